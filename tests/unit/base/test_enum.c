#include "base/enum.h"

#include <errno.h>

#include "base/log.h"
#include "base/test.h"

#define COLOUR_LIST(X)                                                                             \
	X(COLOUR_RED, 1, "red", "the colour of a drop")                                            \
	X(COLOUR_GREEN, 200, "green", "the colour of a session")                                   \
	X(COLOUR_BLUE, -3, "blue", "")
#define COLOUR_ALIASES(X) X(COLOUR_CRIMSON, COLOUR_RED, "crimson")
ENUM_DECLARE_ALIASES(colour, COLOUR_LIST, COLOUR_ALIASES);
ENUM_DEFINE_ALIASES(colour, COLOUR_LIST, COLOUR_ALIASES);

#define RGB_ROWS(X)                                                                                \
	X(COLOUR_BLUE, {0, 0, 255, "b"}) X(COLOUR_RED, {255, 0, 0, "r"})                           \
	X(COLOUR_GREEN, {0, 255, 0, "g"})
struct rgb {
	uint8_t		 r, g, b;
	const char	*letter;
};
ENUM_TABLE(struct rgb, colour_rgb, colour, RGB_ROWS);

#define LETTER_ROWS(X) X(COLOUR_RED, "r") X(COLOUR_GREEN, "g") X(COLOUR_BLUE, "b")
ENUM_TABLE(const char *, colour_letter, colour, LETTER_ROWS);

#define PERM_LIST(X)                                                                               \
	X(PERM_READ, 1 << 0, "read", "look") X(PERM_WRITE, 1 << 1, "write", "change")              \
	X(PERM_ADMIN, 1LL << 62, "admin", "everything")
#define PERM_ALIASES(X) X(PERM_NONE, 0, "none") X(PERM_RW, PERM_READ | PERM_WRITE, "rw")
FLAGS_DECLARE_ALIASES(perm, PERM_LIST, PERM_ALIASES);
FLAGS_DEFINE_ALIASES(perm, PERM_LIST, PERM_ALIASES);

#define BARE_LIST(X) X(BARE_A, 1, "a", "") X(BARE_D, 8, "d", "")
FLAGS_DECLARE(bare, BARE_LIST);
FLAGS_DEFINE(bare, BARE_LIST);

static void names(void)
{
	int64_t v = 77;

	CHECK_STR(enum_name(&colour_enum, COLOUR_RED), "red");
	CHECK_STR(enum_name(&colour_enum, COLOUR_CRIMSON), "red");
	CHECK_STR(enum_name(&colour_enum, -3), "blue");
	CHECK(!enum_name(&colour_enum, 2));
	CHECK_STR(enum_member_of(&colour_enum, 200)->identifier, "COLOUR_GREEN");
	CHECK_STR(enum_member_of(&colour_enum, 200)->doc, "the colour of a session");
	CHECK_EQ(enum_value(&colour_enum, "GREEN", &v), -ENOENT);
	CHECK_EQ(enum_value(&colour_enum, "", &v), -ENOENT);
	CHECK_EQ(enum_value(&colour_enum, "re", &v), -ENOENT);
	CHECK_EQ(v, 77);
	CHECK_EQ(enum_value_any_case(&colour_enum, "GREEN", &v), 0);
	CHECK_EQ(v, 200);
	CHECK_EQ(enum_value(&colour_enum, "crimson", &v), 0);
	CHECK_EQ(v, COLOUR_RED);
}

static void order(void)
{
	cleanup(buf_done) struct buf b = buf_of_max(200);

	enum_each (&colour_enum, m)
		buf_printf(&b, "%s ", m->identifier);
	CHECK_STR(buf_str(&b), "COLOUR_RED COLOUR_GREEN COLOUR_BLUE ");
	CHECK_EQ(ENUM_COUNT(colour), 3);
	CHECK_EQ(ENUM_COUNT(log_level), 4);
	buf_clear(&b);
	flags_each (&perm_enum, PERM_ADMIN | PERM_READ, m)
		buf_printf(&b, "%s ", m->name);
	CHECK_STR(buf_str(&b), "read admin ");
}

static void tables(void)
{
	CHECK_EQ(colour_rgb(COLOUR_RED)->r, 255);
	CHECK_EQ(colour_rgb(COLOUR_BLUE)->b, 255);
	CHECK_STR(colour_rgb(COLOUR_GREEN)->letter, "g");
	CHECK(!colour_rgb((enum colour)2));
	CHECK(!colour_rgb((enum colour)0));
	enum_each (&colour_enum, m)
		CHECK_EQ(**colour_letter((enum colour)m->value), m->name[0]);
	CHECK_STR(*colour_letter(COLOUR_CRIMSON), "r");
}

static void unknown(void)
{
	cleanup(buf_done) struct buf b = buf_of_max(300);

	enum_say_unknown(&colour_enum, "gren", &b);
	CHECK_STR(buf_str(&b), "no colour is called \"gren\": did you mean green?");
	buf_clear(&b);
	enum_say_unknown(&colour_enum, "crimsn", &b);
	CHECK_STR(buf_str(&b), "no colour is called \"crimsn\": did you mean crimson?");
	buf_clear(&b);
	enum_say_unknown(&colour_enum, "\x1b[2Jmauve", &b);
	CHECK_STR(buf_str(&b), "no colour is called \"?[2Jmauve\"; there are red, green, blue");
}

static const char *formatted(const struct enum_type *type, int64_t set)
{
	static struct buf b = {.max = 200};

	buf_clear(&b);
	flags_format(type, set, &b);
	return buf_str(&b);
}

static void sets(void)
{
	cleanup(buf_done) struct buf why = buf_of_max(300);
	int64_t v = 77;

	CHECK(perm_enum.is_flags && !colour_enum.is_flags);
	CHECK_EQ(perm_enum.mask, PERM_READ | PERM_WRITE | PERM_ADMIN);
	CHECK_STR(formatted(&perm_enum, PERM_READ | PERM_ADMIN), "read|admin");
	CHECK_STR(formatted(&perm_enum, PERM_READ | PERM_WRITE), "rw");
	CHECK_STR(formatted(&perm_enum, 0), "none");
	CHECK_STR(formatted(&bare_enum, 0), "0");
	CHECK_STR(formatted(&bare_enum, 8 | 0x40), "d|0x40");
	CHECK_STR(formatted(&bare_enum, 0x40), "0x40");

	CHECK_EQ(flags_parse(&perm_enum, FLAGS_STRICT, "rw | admin", &v, &why), 0);
	CHECK_EQ(v, perm_enum.mask);
	v = 77;
	CHECK_EQ(flags_parse(&perm_enum, FLAGS_STRICT, "read|wirte", &v, &why), -EINVAL);
	CHECK_STR(buf_str(&why), "no perm is called \"wirte\": did you mean write?");
	buf_clear(&why);
	CHECK_EQ(flags_parse(&bare_enum, FLAGS_STRICT, "a|0x42", &v, &why), -EINVAL);
	CHECK_STR(buf_str(&why), "0x42 has bits that no bare stands for");
	CHECK_EQ(v, 77);
	CHECK_EQ(flags_parse(&bare_enum, FLAGS_CONFORM, "a|0x42", &v, NULL), 0);
	CHECK_EQ(v, 1);
	CHECK_EQ(flags_parse(&bare_enum, FLAGS_KEEP, "a|0x42", &v, NULL), 0);
	CHECK_EQ(v, 0x43);
	CHECK_EQ(flags_parse(&bare_enum, FLAGS_EJECT, "a|0x42", &v, NULL), 1);
	CHECK_EQ(v, 0x43);
	CHECK_EQ(flags_parse(&bare_enum, FLAGS_KEEP, "", &v, NULL), -EINVAL);
	CHECK_EQ(flags_parse(&bare_enum, FLAGS_KEEP, "a||d", &v, NULL), -EINVAL);
	CHECK_EQ(flags_not(&bare_enum, FLAGS_STRICT, 1, &v), 0);
	CHECK_EQ(v, 8);
	CHECK(flags_has(7, 5) && !flags_has(7, 9) && flags_has(0, 0));
}

int main(void)
{
	test_run(
		"a member is found by value, name and alias, whole names only [enum-names]", names);
	test_run("members come in the order of definition, aliases are not among them [enum-names]",
		order);
	test_run("a table has each member's row, and none for a stranger [enum-table]", tables);
	test_run("an unknown name is answered with the nearest, or with all [enum-names]", unknown);
	test_run("sets are named and read, and boundaries are kept [enum-flags]", sets);
	return test_done();
}
