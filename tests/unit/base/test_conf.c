#include "base/conf.h"

#include <errno.h>
#include <stdio.h>

#include "base/log.h"
#include "base/test.h"

struct settings {
	enum log_level	 level;
	uint16_t	 port;
	int64_t		 wait_ms;
	char		 path[64];
	bool		 on;
};

static const struct conf_row rows[] = {
	{"log-level", VALUE_ENUM_AT(settings, level, &log_level_enum, "error"),
		.environment = "TEST_CONF_LEVEL", .help = "how much is said"},
	{"port", VALUE_INT_AT(settings, port, 1, 65535, "51820"), .environment = "TEST_CONF_PORT",
		.help = "where to listen"},
	{"wait", VALUE_DURATION_AT(settings, wait_ms, 0, 3600000, "5s"), .help = "how long"},
	{"path", VALUE_TEXT_AT(settings, path, 0, ""), .help = "where it lies"},
	{"enabled", VALUE_BOOL_AT(settings, on), .help = "whether"},
};
#define N array_size(rows)

static struct settings s;
static struct buf errors = {.max = 10000};

static const char *parse_bytes(const char *text, size_t len)
{
	struct settings before;
	int r;

	memset(&s, 0, sizeof(s));
	conf_default(rows, N, &s);
	before = s;
	buf_done(&errors);
	r = conf_parse(rows, N, "f.conf", text, len, &s, &errors);
	CHECK_EQ(r, errors.len ? -EINVAL : 0);
	if (r)
		CHECK(!memcmp(&s, &before, sizeof(s)));
	return buf_str(&errors);
}

static const char *parse(const char *text)
{
	return parse_bytes(text, strlen(text));
}

static void accepted(void)
{
	CHECK_STR(parse(""), "");
	CHECK_EQ(s.port, 51820);
	CHECK_STR(parse("# nothing\n\n   \n\t# port = 7"), "");
	CHECK_EQ(s.port, 51820);
	CHECK_STR(
		parse("port=7\n log-level\t=  info  \nwait = 2m\r\npath = a b # c\nenabled = yes"),
		"");
	CHECK_EQ(s.port, 7);
	CHECK_EQ(s.level, LOG_LEVEL_INFO);
	CHECK_EQ(s.wait_ms, 120000);
	CHECK_STR(s.path, "a b # c");
	CHECK(s.on);
	CHECK_STR(parse("path = \" say \\\"hi\\\" \\\\ \"  \n"), "");
	CHECK_STR(s.path, " say \"hi\" \\ ");
	CHECK_STR(parse("path = \"\""), "");
	CHECK_STR(parse("path ="), "");
	CHECK_STR(parse("path = a=b"), "");
	CHECK_STR(s.path, "a=b");
}

static void refused_all_at_once(void)
{
	CHECK_STR(parse("port = 0\n"
			"log-level = eror\n"
			"  prot = 7\n"
			"wait = 5\n"
			"nonsense\n"
			"= 3\n"
			"enabled = yes\n"
			"enabled = no\n"
			"path = \"open\n"),
		"f.conf:1:8: port: must be 1..65535\n"
		"f.conf:2:13: log-level: no log_level is called \"eror\": did you mean error?\n"
		"f.conf:3:3: unknown setting \"prot\": did you mean port?\n"
		"f.conf:4:8: wait: must be 0s..1h\n"
		"f.conf:5:9: \"key = value\" is expected\n"
		"f.conf:6:1: \"key = value\" is expected\n"
		"f.conf:8:1: enabled was set before, in line 7\n"
		"f.conf:9:8: the closing quote is missing\n");
}

static void hostile(void)
{
	cleanup(buf_done) struct buf b = buf_of_max(100000);

	CHECK_STR(parse_bytes("port = 7\0", 9), "f.conf:1:9: a control character\n");
	CHECK_STR(parse("path = a\x1b[2J"), "f.conf:1:9: a control character\n");
	CHECK_STR(parse("path = \"a\\n\""),
		"f.conf:1:10: only \\\" and \\\\ are known after a backslash\n");
	CHECK_STR(parse("path = \"a\\"),
		"f.conf:1:10: only \\\" and \\\\ are known after a backslash\n");
	CHECK_STR(parse("path = \"a\" b"), "f.conf:1:11: nothing may follow the closing quote\n");
	buf_puts(&b, "path = ");
	for (int i = 0; i < 70000; i++)
		buf_puts(&b, "x");
	CHECK_STR(parse(buf_str(&b)), "f.conf:1:8: the value is too long\n");
	buf_clear(&b);
	for (int i = 0; i < 70000; i++)
		buf_puts(&b, "x");
	CHECK_STR(parse(buf_str(&b)), "f.conf:1:70001: \"key = value\" is expected\n");
	buf_puts(&b, "=1");
	CHECK(strlen(parse(buf_str(&b))) < 200);
	/* More errors than there is room for are still errors. */
	buf_clear(&b);
	for (int i = 0; i < 5000; i++)
		buf_puts(&b, "bad line\n");
	memset(&s, 0, sizeof(s));
	buf_done(&errors);
	CHECK_EQ(conf_parse(rows, N, "f", buf_str(&b), b.len, &s, &errors), -EINVAL);
	CHECK_EQ(errors.error, -ENOBUFS);
}

static void random_bytes(void)
{
	static const char some[] = "port =\"\\\n\t#7log-lev\r\0path\x80wait5s";
	uint64_t seed = 4;

	for (int round = 0; round < 20000; round++) {
		char text[64];
		size_t len = test_random(&seed) % sizeof(text);

		for (size_t i = 0; i < len; i++)
			text[i] = some[test_random(&seed) % (sizeof(some) - 1)];
		parse_bytes(text, len);
	}
}

static void environment(void)
{
	memset(&s, 0, sizeof(s));
	conf_default(rows, N, &s);
	buf_done(&errors);
	unsetenv("TEST_CONF_LEVEL");
	setenv("TEST_CONF_PORT", "99", 1);
	CHECK_EQ(conf_environment(rows, N, &s, &errors), 0);
	CHECK_EQ(s.port, 99);
	CHECK_EQ(s.level, LOG_LEVEL_ERROR);
	setenv("TEST_CONF_PORT", "98", 1);
	setenv("TEST_CONF_LEVEL", "lo\nud", 1);
	CHECK_EQ(conf_environment(rows, N, &s, &errors), -EINVAL);
	CHECK_EQ(s.port, 99);
	CHECK_STR(buf_str(&errors), "$TEST_CONF_LEVEL: no log_level is called \"lo?ud\"; there are "
				    "silent, error, info, verbose\n");
}

static void dump(void)
{
	cleanup(buf_done) struct buf b = buf_of_max(4000);

	CHECK_STR(parse("path = /run/x y\nport = 1"), "");
	conf_dump(rows, 2, &s, &b);
	CHECK_STR(buf_str(&b),
		"# how much is said: silent, error, info, verbose\nlog-level = error\n"
		"\n# where to listen: 1..65535\nport = 1\n");
}

static void dump_comes_back(void)
{
	uint64_t seed = 11;

	for (int round = 0; round < 2000; round++) {
		cleanup(buf_done) struct buf b = buf_of_max(4000), again = buf_of_max(4000);
		static const char some[] = "ab \"\\#=\xc3\xa9'[]~";
		struct settings want = {.level = (enum log_level)(test_random(&seed) % 4)};
		size_t len = test_random(&seed) % sizeof(want.path);

		want.port = (uint16_t)(1 + test_random(&seed) % 65535);
		want.wait_ms = (int64_t)(test_random(&seed) % 3600001);
		want.on = test_random(&seed) & 1;
		for (size_t i = 0; i < len; i++)
			want.path[i] = some[test_random(&seed) % (sizeof(some) - 1)];
		CHECK_EQ(conf_dump(rows, N, &want, &b), 0);
		CHECK_STR(parse(buf_str(&b)), "");
		CHECK(s.level == want.level && s.port == want.port && s.wait_ms == want.wait_ms);
		CHECK_EQ(s.on, want.on);
		CHECK_STR(s.path, want.path);
		conf_dump(rows, N, &s, &again);
		CHECK_STR(buf_str(&again), buf_str(&b));
	}
}

static void described(void)
{
	cleanup(buf_done) struct buf b = buf_of_max(4000);

	conf_describe(rows + 1, 1, &b);
	CHECK_STR(buf_str(&b), "port\tint\t1..65535\t51820\tTEST_CONF_PORT\twhere to listen\n");
}

int main(void)
{
	test_run("settings are read, comments and blanks are not [conf-parse]", accepted);
	test_run("all errors of a file are reported at once, with line and column [conf-errors]",
		refused_all_at_once);
	test_run("hostile files are refused and change nothing [conf-hostile]", hostile);
	test_run("random files are read or refused, and change nothing when refused [conf-hostile]",
		random_bytes);
	test_run("the environment overrides, or is refused as a whole", environment);
	test_run("the dump explains each setting [conf-dump]", dump);
	test_run("what was dumped is read back to the same [conf-dump]", dump_comes_back);
	test_run("every row can be listed, for the manual's test", described);
	buf_done(&errors);
	return test_done();
}
