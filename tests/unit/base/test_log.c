#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/mman.h>
#include <time.h>

#include "base/test.h"

static char said[65536];
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
	return test_done();
}
