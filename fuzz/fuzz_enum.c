/*
 * Names, sets and their numbers: what is read is written and read again to the same, and boundaries hold.  The input is a boundary and
 * a type, a number, and text.
 */
#include "fuzz/fuzz.h"
#include "base/enum.h"

#include <errno.h>

#define RIGHTS_LIST(X)                                                                             \
	X(RIGHTS_READ, 1, "read", "")                                                              \
	X(RIGHTS_WRITE, 2, "write", "")                                                            \
	X(RIGHTS_ADMIN, 16, "admin", "")
#define RIGHTS_ALIASES(X)                                                                          \
	X(RIGHTS_NOTHING, 0, "nothing")                                                            \
	X(RIGHTS_BOTH, RIGHTS_READ | RIGHTS_WRITE, "both")
FLAGS_DECLARE_ALIASES(rights, RIGHTS_LIST, RIGHTS_ALIASES);
FLAGS_DEFINE_ALIASES(rights, RIGHTS_LIST, RIGHTS_ALIASES);

#define WIDE_LIST(X)                                                                               \
	X(WIDE_LOW, 1, "low", "")                                                                  \
	X(WIDE_HIGH, 1LL << 62, "high", "")
FLAGS_DECLARE(wide, WIDE_LIST);
FLAGS_DEFINE(wide, WIDE_LIST);

#define LETTER_LIST(X)                                                                             \
	X(LETTER_A, -1, "a", "")                                                                   \
	X(LETTER_CAPITAL_A, 0, "A", "")                                                            \
	X(LETTER_LONG, 1, "a-long-one", "")
ENUM_DECLARE(letter, LETTER_LIST);
ENUM_DEFINE(letter, LETTER_LIST);

static void check_set(const struct enum_type *type, enum flags_boundary boundary, int r, int64_t set)
{
	cleanup(buf_done) struct buf text = buf_of_max(4096), again = buf_of_max(4096);
	int64_t back = -77, not = -77;

	switch (boundary) {
	case FLAGS_STRICT:
	case FLAGS_CONFORM:
		MUST(r == 0 && !(set & ~type->mask) && set >= 0);
		MUST(flags_not(type, boundary, set, &not) == 0);
		MUST(not == (type->mask & ~set));
		break;
	case FLAGS_EJECT:
		if (r == 1)
			return; /* a number, and no set any more */
		MUST(r == 0 && !(set & ~type->mask));
		break;
	case FLAGS_KEEP:
		MUST(r == 0 && set >= 0);
		break;
	}
	/* What is a set stays it. */
	MUST(flags_check(type, boundary, set, &back) == 0 && back == set);
	MUST(flags_format(type, set, &text) == 0);
	MUST(text.len && fuzz_printable(text.data, text.len));
	back = -77;
	MUST(flags_parse(type, boundary, buf_str(&text), &back, NULL) == 0);
	MUST(back == set);
	MUST(flags_format(type, back, &again) == 0);
	MUST(again.len == text.len && !memcmp(again.data, text.data, text.len));
}

static void check_names(const char *text)
{
	cleanup(buf_done) struct buf why = buf_of_max(4096);
	int64_t exact = 77, any = 77;
	int r = enum_value(&letter_enum, text, &exact), r_any = enum_value_any_case(&letter_enum, text, &any);

	MUST(r == 0 || (r == -ENOENT && exact == 77));
	MUST(r_any == 0 || (r_any == -ENOENT && any == 77));
	if (r == 0) {
		MUST(!strcmp(enum_name(&letter_enum, exact), text));
		MUST(r_any == 0 && any == exact);
	} else if (r_any == 0) {
		MUST(enum_name(&letter_enum, any));
	}
	enum_say_unknown(&letter_enum, text, &why);
	MUST(!why.error && why.len && fuzz_printable(why.data, why.len));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct rd in = rd_of(data, len);
	uint8_t what = rd_u8(&in);
	int64_t number = (int64_t)rd_le64(&in), set = -77;
	cleanup(free_ptr) char *text = in.bad ? fuzz_text("", 0) : fuzz_text(in.at, rd_left(&in));
	cleanup(buf_done) struct buf why = buf_of_max(4096);
	const struct enum_type *type = what & 4 ? &wide_enum : &rights_enum;
	enum flags_boundary boundary = (enum flags_boundary)(what & 3);
	int r;

	MUST(enum_name(&flags_boundary_enum, boundary));
	r = flags_check(type, boundary, number, &set);
	if (r >= 0)
		check_set(type, boundary, r, set);
	else
		MUST(set == -77 && (boundary == FLAGS_STRICT ? r == -EINVAL : boundary == FLAGS_KEEP && r == -ERANGE));
	set = -77;
	r = flags_parse(type, boundary, text, &set, &why);
	MUST(!why.error);
	if (r >= 0) {
		MUST(!why.len);
		check_set(type, boundary, r, set);
	} else {
		MUST(set == -77);
		MUST(why.len && fuzz_printable(why.data, why.len));
	}
	/* More than 63 bits hold. */
	if (strlen(text) > 19 && strspn(text, "123456789") == strlen(text))
		MUST(r < 0);
	check_names(text);
	return 0;
}
