#include "base/test.h"
#include "office/audit.h"
#include "office/clock_wait.h"
#include "office/pace.h"

#include <stdio.h>

/* How many lines ${n} repairs make, one each ${every_ms}. */
static unsigned lines_of(struct audit *a, const char *what, unsigned n, uint64_t every_ms, uint64_t *now_ms, struct buf *last)
{
	unsigned lines = 0;

	for (unsigned i = 0; i < n; i++, *now_ms += every_ms) {
		cleanup(buf_done) struct buf again = buf_of_max(128);

		if (!audit_judge(a, what, *now_ms, &again))
			continue;
		lines++;
		buf_clear(last);
		buf_puts(last, buf_str(&again));
	}
	return lines;
}

static void test_audit(void)
{
	cleanup(buf_done) struct buf last = buf_of_max(128);
	struct audit a = {.repair = true};
	uint64_t now = 1000;

	CHECK_EQ(lines_of(&a, "the route to x", 2, 1000, &now, &last), 2);
	CHECK_STR(buf_str(&last), "");
	CHECK_EQ(lines_of(&a, "the route to x", 1, 1000, &now, &last), 1);
	CHECK_STR(buf_str(&last), ", 3 times in 2 s: something changes it again and again");
	CHECK_EQ(lines_of(&a, "the route to x", 50, 1000, &now, &last), 0);
	CHECK_EQ(lines_of(&a, "the route to x", 120, 1000, &now, &last), 2);
	CHECK_EQ(lines_of(&a, "the route to y", 1, 1000, &now, &last), 1);
	CHECK_STR(buf_str(&last), "");
	now += AUDIT_FORGET_MS;
	CHECK_EQ(lines_of(&a, "the route to x", 1, 1000, &now, &last), 1);
	CHECK_STR(buf_str(&last), "");
}

static void test_audit_full(void)
{
	cleanup(buf_done) struct buf last = buf_of_max(128);
	struct audit a = {.repair = true};
	uint64_t now = 1000;

	for (unsigned i = 0; i < 10 * AUDIT_THINGS; i++) {
		char what[300];

		/* Longer than what is kept of it. */
		snprintf(what, sizeof(what), "%u %0200u", i, 0u);
		CHECK_EQ(lines_of(&a, what, 5, 0, &now, &last), 3);
		now++;
	}
}

static void test_pace(void)
{
	struct pace p = {.now = true};
	uint64_t t = 5000;

	CHECK_EQ(pace_due(&p), 0);
	pace_looked(&p, t, false, false);
	CHECK_EQ(pace_due(&p), t + PACE_CHECK_MS);
	pace_hear(&p, t + 10);
	CHECK_EQ(pace_due(&p), t + 10 + PACE_QUIET_MS);
	for (uint64_t at = t + 10; at < t + 5000; at += 50)
		pace_hear(&p, at);
	CHECK_EQ(pace_due(&p), t + 10 + PACE_CROWD_MS);
}

static void test_pace_fight(void)
{
	struct pace p = {.now = true};
	uint64_t t = 5000, looks = 0;

	/* Somebody undoes it at once, for ten minutes. */
	pace_looked(&p, t, true, false);
	for (; t < 605000; looks++) {
		pace_hear(&p, t + 1);
		t = pace_due(&p);
		pace_looked(&p, t, true, false);
	}
	CHECK(looks > 50 && looks < 100);
	/* Left alone, what is changed next is mended soon. */
	t += 60000;
	pace_looked(&p, t, false, false);
	pace_hear(&p, t + 1);
	CHECK_EQ(pace_due(&p), t + 1 + PACE_QUIET_MS);
}

static void test_pace_failing(void)
{
	struct pace p = {.now = true};
	uint64_t t = 5000, looks = 0;

	for (; t < 86400000; looks++) {
		pace_looked(&p, t, false, true);
		t = pace_due(&p);
	}
	CHECK(looks > 100 && looks < 200);
	pace_hear(&p, t);
	CHECK(pace_due(&p) <= t + PACE_CROWD_MS);
	pace_looked(&p, t, false, false);
	CHECK_EQ(pace_due(&p), t + PACE_CHECK_MS);
}

static void test_clock(void)
{
	const time_t day = 86400, program = 20000 * day, files = program + 400 * day;

	CHECK_EQ(clock_judge(files, program, files), CLOCK_PLAUSIBLE);
	CHECK_EQ(clock_judge(files + 400 * day, program, files), CLOCK_PLAUSIBLE);
	CHECK_EQ(clock_judge(files - 59, program, files), CLOCK_PLAUSIBLE);
	CHECK_EQ(clock_judge(files - 61, program, files), CLOCK_BEHIND);
	CHECK_EQ(clock_judge(files - day, program, files), CLOCK_BEHIND);
	CHECK_EQ(clock_judge(files - day - 1, program, files), CLOCK_DOUBTFUL);
	CHECK_EQ(clock_judge(program, program, files), CLOCK_DOUBTFUL);
	CHECK_EQ(clock_judge(program - 59, program, files), CLOCK_DOUBTFUL);
	CHECK_EQ(clock_judge(program - 61, program, files), CLOCK_WRONG);
	CHECK_EQ(clock_judge(0, program, files), CLOCK_WRONG);
	CHECK_EQ(clock_judge(0, program, 0), CLOCK_WRONG);
	CHECK_EQ(clock_judge(program, program, 0), CLOCK_PLAUSIBLE);
	/* A file of the next century. */
	CHECK_EQ(clock_judge(program, program, program + 30000 * day), CLOCK_PLAUSIBLE);
	CHECK_EQ(clock_judge(program - day, program, program + 30000 * day), CLOCK_WRONG);
}

int main(void)
{
	test_run("a thing that is changed again and again is told of with that number, and not each time [stay-fight]", test_audit);
	test_run("more things than there is room for are told of each [stay-fight]", test_audit_full);
	test_run("what comes together is looked at together, and now and then all [stay-drift]", test_pace);
	test_run("who undoes what was mended is met ever more slowly, until it rests [stay-fight]", test_pace_fight);
	test_run("what fails is tried less and less often, until something is heard [stay-drift]", test_pace_failing);
	test_run("a clock before the program is wrong, one before what was written is behind or doubtful [stay-clock]", test_clock);
	return test_done();
}
