#include "base/value.h"

#include <errno.h>

#include "base/log.h"
#include "base/test.h"

#define PERM_LIST(X) X(PERM_READ, 1, "read", "") X(PERM_WRITE, 2, "write", "")
FLAGS_DECLARE(perm, PERM_LIST);
FLAGS_DEFINE(perm, PERM_LIST);

struct all {
	bool		 on;
	int8_t		 tiny;
	uint16_t	 port;
	uint32_t	 mark;
	int64_t		 wide;
	uint64_t	 wait_ms;
	char		 name[8];
	enum log_level	 level;
	enum perm	 perm;
};

static const struct value on = VALUE_BOOL_AT(all, on);
static const struct value tiny = VALUE_INT_AT(all, tiny, -128, 127, "-5");
static const struct value port = VALUE_INT_AT(all, port, 0, 65535, NULL);
static const struct value mark = VALUE_INT_AT(all, mark, 0, UINT32_MAX, NULL);
static const struct value wide = VALUE_INT_AT(all, wide, INT64_MIN, INT64_MAX, NULL);
static const struct value wait_ms = VALUE_DURATION_AT(all, wait_ms, 0, 86400000, "5s");
static const struct value name = VALUE_TEXT_AT(all, name, 1, "wg0");
static const struct value level = VALUE_ENUM_AT(all, level, &log_level_enum, "info");
static const struct value perm = VALUE_FLAGS_AT(all, perm, &perm_enum, "read");

/* The text that ${text} comes back as, or why it was refused with "!" in front. */
static const char *through(const struct value *v, const char *text)
{
	static struct buf out = {.max = 300};
	struct all a, before;

	memset(&a, 0x5a, sizeof(a));
	before = a;
	buf_done(&out);
	buf_puts(&out, "!");
	if (value_parse(v, text, &a, &out)) {
		CHECK(!memcmp(&a, &before, sizeof(a)));
		return buf_str(&out);
	}
	CHECK_EQ(value_parse(v, text, NULL, &out), 0);
	buf_clear(&out);
	value_format(v, &a, &out);
	/* Nothing beside the field was written. */
	memset((char *)&a + v->offset, 0x5a, v->size);
	CHECK(!memcmp(&a, &before, sizeof(a)));
	return buf_str(&out);
}

static void numbers(void)
{
	CHECK_STR(through(&tiny, "-128"), "-128");
	CHECK_STR(through(&tiny, "127"), "127");
	CHECK_STR(through(&tiny, "128"), "!must be -128..127");
	CHECK_STR(through(&port, "0xffff"), "65535");
	CHECK_STR(through(&port, "65536"), "!must be 0..65535");
	CHECK_STR(through(&port, "-1"), "!must be 0..65535");
	CHECK_STR(through(&mark, "4294967295"), "4294967295");
	CHECK_STR(through(&mark, "0XDEADBEEF"), "3735928559");
	CHECK_STR(through(&wide, "-9223372036854775808"), "-9223372036854775808");
	CHECK_STR(through(&wide, "9223372036854775807"), "9223372036854775807");
	CHECK_STR(through(&wide, "9223372036854775808"), "!is too large");
	CHECK_STR(through(&wide, "-0x8000000000000001"), "!is too small");
	CHECK_STR(through(&wide, "99999999999999999999x"), "!must be a whole number");
	CHECK_STR(through(&port, "99999999999999999999"), "!must be 0..65535");
	CHECK_STR(through(&wide, "010"), "10"); /* not octal */
}

static void no_numbers(void)
{
	static const char *const texts[] = {"", " 1", "1 ", "+1", "--1", "0x", "0x-1", "0x0x1",
		"0x 1", "1x", "- 1", "-", "1e3", "1.0", "\t1", "99999999999999999999", "１", "-0x"};

	for (size_t i = 0; i < array_size(texts); i++)
		CHECK_STR(through(&port, texts[i]), "!must be 0..65535");
}

static void durations(void)
{
	CHECK_STR(through(&wait_ms, "250ms"), "250ms");
	CHECK_STR(through(&wait_ms, "60000ms"), "1m");
	CHECK_STR(through(&wait_ms, "90s"), "90s");
	CHECK_STR(through(&wait_ms, "24h"), "1d");
	CHECK_STR(through(&wait_ms, "0"), "0s");
	CHECK_STR(through(&wait_ms, "5"), "!must be 0s..1d");
	CHECK_STR(through(&wait_ms, "5 s"), "!must be 0s..1d");
	CHECK_STR(through(&wait_ms, "s"), "!must be 0s..1d");
	CHECK_STR(through(&wait_ms, "25h"), "!must be 0s..1d");
	CHECK_STR(through(&wait_ms, "106751991168d"), "!must be 0s..1d"); /* past 63 bits in ms */
	CHECK_STR(through(&wait_ms, "-1s"), "!must be 0s..1d");
}

static void words(void)
{
	static const char *const yes[] = {"yes", "on", "true", "1"}, *const no[] = {"no", "off",
									     "false", "0"};

	for (size_t i = 0; i < 4; i++) {
		CHECK_STR(through(&on, yes[i]), "yes");
		CHECK_STR(through(&on, no[i]), "no");
	}
	CHECK_STR(through(&on, "Yes"), "!must be yes or no");
	CHECK_STR(through(&level, "error"), "error");
	CHECK_STR(through(&level, "VERBOSE"), "verbose");
	CHECK_STR(through(&level, "eror"), "!no log_level is called \"eror\": did you mean error?");
	CHECK_STR(through(&perm, "write|read"), "read|write");
	CHECK_STR(through(&perm, "0"), "0");
	CHECK_STR(through(&perm, "4"), "!0x4 has bits that no perm stands for");
}

static void texts(void)
{
	CHECK_STR(through(&name, "1234567"), "1234567");
	CHECK_STR(through(&name, "12345678"), "!must be 1 to 7 characters long");
	CHECK_STR(through(&name, ""), "!must be 1 to 7 characters long");
	CHECK_STR(through(&name, "a\nb"), "!must not contain control characters");
	CHECK_STR(through(&name, "a\x7f"), "!must not contain control characters");
	CHECK_STR(through(&name, "\xc3\xa9"), "\xc3\xa9");
}

static void defaults(void)
{
	struct all a;

	memset(&a, 0x5a, sizeof(a));
	value_default(&tiny, &a);
	value_default(&port, &a);
	value_default(&name, &a);
	value_default(&level, &a);
	CHECK_EQ(a.tiny, -5);
	CHECK_EQ(a.port, 0);
	CHECK_STR(a.name, "wg0");
	CHECK_EQ(a.level, LOG_LEVEL_INFO);
}

int main(void)
{
	test_run("numbers keep their range and their field's width [value-parse]", numbers);
	test_run("what is no number is refused, not read in part [value-parse]", no_numbers);
	test_run("durations need a unit, and come back in the largest that fits", durations);
	test_run("words are yes and no, names of enumerations, and sets", words);
	test_run("texts fit their array and have no control characters [value-parse]", texts);
	test_run("defaults are stored, zero where there is none", defaults);
	return test_done();
}
