/*
 * base/enum.h - enumerations that know their names.
 *
 * An enumeration that a person or a wire sees is declared once, by a list macro with full
 * identifiers (so that grep, ctags and gdb see them):
 *
 *	#define COLOUR_LIST(X) \
 *		X(COLOUR_RED,   1, "red",   "the colour of a drop") \
 *		X(COLOUR_GREEN, 2, "green", "the colour of a session")
 *	ENUM_DECLARE(colour, COLOUR_LIST);		in the header: enum colour and colour_enum
 *	ENUM_DEFINE(colour, COLOUR_LIST);		in one source file
 *
 * enum_name(&colour_enum, COLOUR_RED) is "red".  Two members of one value do not compile.  A second
 * name for a member is an alias; it has a list of its own, and what it stands for must be a member
 * of the type:
 *
 *	#define COLOUR_ALIASES(X) X(COLOUR_CRIMSON, COLOUR_RED, "crimson")
 *	ENUM_DECLARE_ALIASES(colour, COLOUR_LIST, COLOUR_ALIASES);
 *	ENUM_DEFINE_ALIASES(colour, COLOUR_LIST, COLOUR_ALIASES);
 *
 * FLAGS_DECLARE, FLAGS_DEFINE and their _ALIASES forms do the same for sets of bits.  A member is
 * one bit of 0..62; an alias may be any set of members, also the empty one.  Sets behave as those
 * of Python's enum.Flag do.
 *
 * What belongs to each member of a type, but not into its declaration, goes into a table that does
 * not compile when a member has no row (or two) in it:
 *
 *	#define COLOUR_RGB_ROWS(X) X(COLOUR_RED, 0xff0000) X(COLOUR_GREEN, 0x00ff00)
 *	ENUM_TABLE(uint32_t, colour_rgb, colour, COLOUR_RGB_ROWS);
 *
 * *colour_rgb(COLOUR_RED) is 0xff0000; colour_rgb() of a value that is no member is NULL.
 *
 * Everything is a constant: no code runs at start-up.
 */
#pragma once

#include "base/buf.h"

struct enum_member {
	const char	*identifier;	/* "COLOUR_RED" */
	const char	*name;		/* "red" */
	const char	*doc;
	int64_t		 value;
};

struct enum_alias {
	const char	*identifier;
	const char	*name;
	int64_t		 value;		/* of a member; of a set of members with flags */
};

struct enum_type {
	const char			*name;	/* "colour" */
	const struct enum_member	*members;
	size_t				 n_members;
	const struct enum_alias		*aliases;
	size_t				 n_aliases;
	bool				 is_flags;
	int64_t				 mask;	/* flags: all members together */
};

#define ENUM_VALUE_(id, value, name, doc) id = (value),
#define ENUM_ALIAS_VALUE_(id, of, name) id = (of),
#define ENUM_ORDER_(id, value, name, doc) char id;
#define ENUM_ROW_(id, value, name, doc) {#id, name, doc, value},
#define ENUM_ALIAS_ROW_(id, of, name) {#id, name, of},
#define ENUM_CASE_(id, value, name, doc) case value:
#define ENUM_ALIAS_CHECK_(id, of, name) (void)offsetof(__typeof__(*order_), of);
#define ENUM_TABLE_ROW_(id, ...) [offsetof(__typeof__(*order_), id)] = __VA_ARGS__,
#define ENUM_TABLE_CASE_(id, ...)                                                                  \
	case id:                                                                                   \
		return &rows_[offsetof(__typeof__(*order_), id)];
#define FLAGS_OR_(id, value, name, doc) | (value)
#define FLAGS_CHECK_(id, value, name, doc)                                                         \
	_Static_assert((value) > 0 && !((value) & ((value) - 1)), #id " must be exactly one bit");
#define FLAGS_ALIAS_CHECK_(id, of, name)                                                           \
	_Static_assert(!((of) & ~(int64_t)all_), #id " must be a set of members");

/* struct TAG_order has one byte per member, in the order of definition: its offsets number them. */
#define ENUM_DECLARE_(tag, LIST)                                                                   \
	struct tag##_order {                                                                       \
		LIST(ENUM_ORDER_)                                                                  \
	};                                                                                         \
	extern const struct enum_type tag##_enum

#define ENUM_DECLARE(tag, LIST)                                                                    \
	enum tag { LIST(ENUM_VALUE_) };                                                            \
	ENUM_DECLARE_(tag, LIST)

#define ENUM_DECLARE_ALIASES(tag, LIST, ALIASES)                                                   \
	enum tag { LIST(ENUM_VALUE_) ALIASES(ENUM_ALIAS_VALUE_) };                                 \
	ENUM_DECLARE_(tag, LIST)

#define FLAGS_DECLARE(tag, LIST)                                                                   \
	LIST(FLAGS_CHECK_)                                                                         \
	ENUM_DECLARE(tag, LIST)

#define FLAGS_DECLARE_ALIASES(tag, LIST, ALIASES)                                                  \
	LIST(FLAGS_CHECK_)                                                                         \
	ENUM_DECLARE_ALIASES(tag, LIST, ALIASES)

/* ENUM_COUNT(tag): how many members it has, aliases not counted; a constant. */
#define ENUM_COUNT(tag) sizeof(struct tag##_order)

#define ENUM_DEFINE_MEMBERS_(tag, LIST)                                                            \
	static const struct enum_member tag##_members[] = {LIST(ENUM_ROW_)};                       \
	__attribute__((unused)) static void tag##_values_differ_(int64_t value_)                   \
	{                                                                                          \
		switch (value_) {                                                                  \
			LIST(ENUM_CASE_)                                                           \
			break;                                                                     \
		}                                                                                  \
	}

#define ENUM_DEFINE_ALIASES_(tag, ALIASES, CHECK, all)                                             \
	static const struct enum_alias tag##_aliases[] = {ALIASES(ENUM_ALIAS_ROW_)};               \
	__attribute__((unused)) static void tag##_aliases_are_members_(void)                       \
	{                                                                                          \
		struct tag##_order *order_ __attribute__((unused));                                \
		enum { all_ = (all) };                                                             \
		ALIASES(CHECK)                                                                     \
	}

#define ENUM_TYPE_(tag, aliases, n_aliases, is_flags, mask)                                        \
	{                                                                                          \
		#tag, tag##_members, array_size(tag##_members), aliases, n_aliases, is_flags, mask \
	}

/*
 * The _AS forms define a constant of another name (and "static", if so wished): a second copy of a
 * type for a program that wants its names and not the code that is linked with them.
 */
#define ENUM_DEFINE_AS(symbol, tag, LIST)                                                          \
	ENUM_DEFINE_MEMBERS_(tag, LIST)                                                            \
	symbol = ENUM_TYPE_(tag, NULL, 0, false, 0)

#define ENUM_DEFINE_ALIASES_AS(symbol, tag, LIST, ALIASES)                                         \
	ENUM_DEFINE_MEMBERS_(tag, LIST)                                                            \
	ENUM_DEFINE_ALIASES_(tag, ALIASES, ENUM_ALIAS_CHECK_, 0)                                   \
	symbol = ENUM_TYPE_(tag, tag##_aliases, array_size(tag##_aliases), false, 0)

#define FLAGS_DEFINE_AS(symbol, tag, LIST)                                                         \
	ENUM_DEFINE_MEMBERS_(tag, LIST)                                                            \
	symbol = ENUM_TYPE_(tag, NULL, 0, true, 0 LIST(FLAGS_OR_))

#define FLAGS_DEFINE_ALIASES_AS(symbol, tag, LIST, ALIASES)                                        \
	ENUM_DEFINE_MEMBERS_(tag, LIST)                                                            \
	ENUM_DEFINE_ALIASES_(tag, ALIASES, FLAGS_ALIAS_CHECK_, 0 LIST(FLAGS_OR_))                  \
	symbol = ENUM_TYPE_(                                                                       \
		tag, tag##_aliases, array_size(tag##_aliases), true, 0 LIST(FLAGS_OR_))

#define ENUM_DEFINE(tag, LIST) ENUM_DEFINE_AS(const struct enum_type tag##_enum, tag, LIST)
#define ENUM_DEFINE_ALIASES(tag, LIST, ALIASES)                                                    \
	ENUM_DEFINE_ALIASES_AS(const struct enum_type tag##_enum, tag, LIST, ALIASES)
#define FLAGS_DEFINE(tag, LIST) FLAGS_DEFINE_AS(const struct enum_type tag##_enum, tag, LIST)
#define FLAGS_DEFINE_ALIASES(tag, LIST, ALIASES)                                                   \
	FLAGS_DEFINE_ALIASES_AS(const struct enum_type tag##_enum, tag, LIST, ALIASES)

#define ENUM_TABLE(row_type, function, tag, ROWS)                                                  \
	__attribute__((unused)) static inline row_type const *function(enum tag member_)           \
	{                                                                                          \
		struct tag##_order *order_ __attribute__((unused));                                \
		static row_type const rows_[ENUM_COUNT(tag)] = {ROWS(ENUM_TABLE_ROW_)};            \
                                                                                                   \
		switch (member_) {                                                                 \
			ROWS(ENUM_TABLE_CASE_)                                                     \
		}                                                                                  \
		return NULL;                                                                       \
	}                                                                                          \
	_Static_assert(ENUM_COUNT(tag) > 0, "")

/* enum_each(type, m): for each member in the order of definition; aliases are not members. */
#define enum_each(type, m)                                                                         \
	for (const struct enum_member *m = (type)->members,                                        \
				      *m##_end_ = (type)->members + (type)->n_members;             \
		m < m##_end_; m++)

/* flags_each(type, set, m): for each member that ${set} holds, in the order of definition. */
#define flags_each(type, set, m) enum_each(type, m) if ((m)->value & (set))

/* enum_member_of(type, value): the member with that value, or NULL. */
const struct enum_member *enum_member_of(const struct enum_type *type, int64_t value);

/* enum_name(type, value): its name, or NULL when no member has that value. */
const char *enum_name(const struct enum_type *type, int64_t value);

/*
 * enum_value(type, name, ret), enum_value_any_case(type, name, ret): the value of the member or
 * alias with that name.  0, or -ENOENT with ${*ret} as it was.  Without regard to case (ASCII only)
 * an exact name still goes before others.
 */
int enum_value(const struct enum_type *type, const char *name, int64_t *ret);
int enum_value_any_case(const struct enum_type *type, const char *name, int64_t *ret);

/*
 * enum_say_unknown(type, name, ret): append why ${name} is none of the type's, with "did you mean"
 * or with all names.
 */
void enum_say_unknown(const struct enum_type *type, const char *name, struct buf *ret);

/*
 * What becomes of a set that has bits which no member stands for: the boundaries of Python's
 * enum.Flag.
 */
#define FLAGS_BOUNDARY_LIST(X)                                                                     \
	X(FLAGS_STRICT, 0, "strict", "refused")                                                    \
	X(FLAGS_CONFORM, 1, "conform", "the unknown bits are dropped")                             \
	X(FLAGS_EJECT, 2, "eject", "the number as it is, no set any more")                         \
	X(FLAGS_KEEP, 3, "keep", "the unknown bits are kept")
ENUM_DECLARE(flags_boundary, FLAGS_BOUNDARY_LIST);

/*
 * flags_check(type, boundary, value, ret):
 * Make a set of a number.  A negative one is the complement within the type's width.  0; 1 when
 * FLAGS_EJECT let the number through as it is; -EINVAL with FLAGS_STRICT; -ERANGE when the result
 * does not fit 63 bits.  ${*ret} is untouched on failure.
 */
int flags_check(const struct enum_type *type, enum flags_boundary boundary, int64_t value,
	int64_t *ret);

/*
 * flags_not(type, boundary, set, ret): the members that are not in ${set}; with FLAGS_KEEP every
 * bit up to the greater of the set's and the type's width.  Returns as flags_check().  (| & ^ need
 * no help; check what comes from outside.)
 */
int flags_not(
	const struct enum_type *type, enum flags_boundary boundary, int64_t set, int64_t *ret);

/* flags_has(set, all_of): every bit of ${all_of} is in ${set}. */
static inline bool flags_has(int64_t set, int64_t all_of)
{
	return (set & all_of) == all_of;
}

/*
 * flags_format(type, set, ret): append "read|admin" in the order of definition, unknown bits last
 * and in hex ("read|0x40"), "0" for the empty set.  A set that an alias stands for goes by the
 * alias's name.  flags_parse() reads all of that.
 */
int flags_format(const struct enum_type *type, int64_t set, struct buf *ret);

/*
 * flags_parse(type, boundary, text, ret, why):
 * Read names, aliases and numbers (decimal or 0x) with "|" between them and blanks around them.
 * Returns as flags_check(); -EINVAL also for what cannot be read, and then ${why}, unless NULL,
 * gets a sentence appended.
 */
int flags_parse(const struct enum_type *type, enum flags_boundary boundary, const char *text,
	int64_t *ret, struct buf *why);
