#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/mman.h>
#include <time.h>

#include "base/test.h"

static char said[65536], wanted[128];
static int saved = -1, capture = -1;

static void begin(void)
{
	capture = memfd_create("log", MFD_CLOEXEC);
	saved = dup(STDERR_FILENO);
	if (capture < 0 || saved < 0 || fcntl(capture, F_SETFL, O_APPEND) ||
		dup2(capture, STDERR_FILENO) < 0)
		abort();
}

static void end(void)
{
	ssize_t n = pread(capture, said, sizeof(said) - 1, 0);

	said[max(n, (ssize_t)0)] = '\0';
	dup2(saved, STDERR_FILENO);
	close(saved);
	close(capture);
}

static unsigned count(const char *needle)
{
	unsigned n = 0;

	for (const char *p = said; (p = strstr(p, needle)); p++)
		n++;
	return n;
}

static int evaluated;

static int evaluate(void)
{
	return ++evaluated;
}

static void say_all(void)
{
	log_error("e %d", evaluate());
	log_info("i %d", evaluate());
	log_verbose("v %d", evaluate());
}

static void levels(void)
{
	static const struct {
		enum log_level	 level;
		const char	*want;
	} rows[] = {
		{LOG_LEVEL_SILENT, ""},
		{LOG_LEVEL_ERROR, "p: e 1\n"},
		{LOG_LEVEL_INFO, "p: e 1\np: i 2\n"},
		{LOG_LEVEL_VERBOSE, "p: e 1\np: i 2\np: v 3\n"},
	};

	for (size_t i = 0; i < array_size(rows); i++) {
		log_open("p", rows[i].level);
		CHECK_EQ(log_level_now(), rows[i].level);
		evaluated = 0;
		begin();
		say_all();
		end();
		CHECK_STR(said, rows[i].want);
		CHECK_EQ(evaluated, rows[i].level);
	}
}

static void journal(void)
{
	setenv("JOURNAL_STREAM", "8:1", 1);
	log_open("p", LOG_LEVEL_VERBOSE);
	evaluated = 0;
	begin();
	say_all();
	end();
	unsetenv("JOURNAL_STREAM");
	log_open("p", LOG_LEVEL_VERBOSE);
	CHECK_STR(said, "<3>p: e 1\n<6>p: i 2\n<7>p: v 3\n");
}

static void control_characters(void)
{
	log_open("p", LOG_LEVEL_ERROR);
	begin();
	log_error("a%sb", "\n<0>forged\r\x1b[2J\t\x7f\x01");
	end();
	CHECK_STR(said, "p: a?<0>forged??[2J???b\n");
}

static void long_lines(void)
{
	static char text[5000];

	memset(text, 'x', sizeof(text) - 1);
	log_open("", LOG_LEVEL_ERROR);
	begin();
	errno = 4711;
	log_error("%s", text);
	CHECK_EQ(errno, 4711);
	end();
	CHECK(strlen(said) > 900 && strlen(said) <= 1024);
	CHECK_EQ(count("\n"), 1);
	CHECK_EQ(said[strlen(said) - 1], '\n');
}

static void limited(void)
{
	struct log_limit l = {0};
	uint32_t held = 99;
	struct timespec from, to;
	unsigned taken = 0;

	clock_gettime(CLOCK_MONOTONIC, &from);
	for (unsigned i = 0; i < 1000; i++)
		taken += log_limit_take(&l, &held);
	clock_gettime(CLOCK_MONOTONIC, &to);
	/* However slow this machine is: five at once and then one a second. */
	CHECK(taken >= 5);
	CHECK(taken <= 5 + 1 + (unsigned)(to.tv_sec - from.tv_sec));
	/* As if it had been quiet since: the next says how many there were. */
	l.tokens_at_ns = 0;
	l.held_back = 995;
	CHECK(log_limit_take(&l, &held));
	CHECK_EQ(held, 995);
	CHECK(log_limit_take(&l, &held));
	CHECK_EQ(held, 0);
}

static void limited_lines(void)
{
	log_open("p", LOG_LEVEL_INFO);
	begin();
	for (unsigned i = 0; i < 300; i++)
		log_limited(LOG_LEVEL_INFO, "flood");
	for (unsigned i = 0; i < 300; i++)
		log_limited(LOG_LEVEL_VERBOSE, "not at this level");
	log_limited(LOG_LEVEL_INFO, "another place");
	end();
	CHECK(count("flood") >= 5 && count("flood") < 300);
	CHECK_EQ(count("another place"), 1);
	CHECK_EQ(count("not at this level"), 0);
}

static void *write_lines(void *arg)
{
	for (int i = 0; i < 200; i++)
		log_error("%s", (const char *)arg);
	return NULL;
}

static void threads(void)
{
	pthread_t a, b;

	log_open("", LOG_LEVEL_ERROR);
	begin();
	if (pthread_create(&a, NULL, write_lines, (void *)"aaaaaaaaaaaaaaaaaaaaaaaa") ||
		pthread_create(&b, NULL, write_lines, (void *)"bbbbbbbbbbbbbbbbbbbbbbbb"))
		abort();
	pthread_join(a, NULL);
	pthread_join(b, NULL);
	end();
	CHECK_EQ(count("\n"), 400);
	CHECK_EQ(count("ab") + count("ba"), 0);
	CHECK_EQ(count("aaaaaaaaaaaaaaaaaaaaaaaa\n"), 200);
}

/* Standard error is a short pipe that nobody reads: as many lines as fit, and no wait for more. */
static void nobody_reads(void)
{
	int ends[2];
	size_t got = 0;
	ssize_t n;

	CHECK_EQ(pipe(ends), 0);
	CHECK(fcntl(ends[0], F_SETPIPE_SZ, 16384) >= 16384);
	saved = dup(STDERR_FILENO);
	dup2(ends[1], STDERR_FILENO);
	close(ends[1]);
	alarm(60); /* a write that waits would wait for ever */
	for (unsigned i = 0; i < 3000; i++)
		log_error("line %u of many that are long enough", i);
	alarm(0);
	fcntl(ends[0], F_SETFL, O_NONBLOCK);
	while ((n = read(ends[0], said + got, sizeof(said) - 1 - got)) > 0)
		got += (size_t)n;
	log_error("somebody reads again");
	n = read(ends[0], said + got, sizeof(said) - 1 - got);
	dup2(saved, STDERR_FILENO);
	close(saved);
	close(ends[0]);
	CHECK(n > 0);
	said[got + (size_t)n] = '\0';
	/* From the first on whole lines, then the number of those between, then what comes next. */
	CHECK_EQ(count("line 0 of many"), 1);
	CHECK_EQ(count("line 2999 of many"), 0);
	snprintf(wanted, sizeof(wanted), "log: %u lines were lost here", 3000 - count(" of many that are long enough\n"));
	CHECK_EQ(count(wanted), 1);
	CHECK(strstr(said, wanted) < strstr(said, "somebody reads again\n"));
	CHECK_EQ(count("somebody reads again\n"), 1);
}

/* A disk without room, then with. */
static void disk_is_full(void)
{
	int full = open("/dev/full", O_WRONLY | O_CLOEXEC);

	CHECK(full >= 0);
	saved = dup(STDERR_FILENO);
	dup2(full, STDERR_FILENO);
	close(full);
	log_error("one");
	log_error("two");
	dup2(saved, STDERR_FILENO);
	close(saved);
	begin();
	log_error("three");
	end();
	CHECK_EQ(count("log: 2 lines were lost here"), 1);
	CHECK_EQ(count("three\n"), 1);
}

int main(void)
{
	unsetenv("JOURNAL_STREAM");
	test_run("a line is written at its level and above, and its arguments are evaluated only "
		 "then",
		levels);
	test_run("under systemd's journal a line starts with its priority", journal);
	test_run("control characters from outside can't break or forge a line [log-neutral]",
		control_characters);
	test_run("an overlong line is cut, stays one line, and errno survives", long_lines);
	test_run("the limit passes a burst of five and counts what it held back [log-limit]",
		limited);
	test_run("each place that logs has a limit of its own [log-limit]", limited_lines);
	test_run("lines of several threads do not mix", threads);
	test_run("a reader that stands still holds nobody up, and is told how many lines it missed [log-no-wait]",
		nobody_reads);
	test_run("what a full disk did not take is told when there is room [log-no-wait]", disk_is_full);
	return test_done();
}
