/*
 * base/value.h - one typed value that a person sets, be it as an option or in a file.
 *
 * A row says where in the caller's structure it lives, its kind, range, default and unit; from that
 * come parsing, formatting and the words about it in help texts.  base/cmd.h and base/conf.h build
 * on it.  Knows no syntax around the value.
 */
#pragma once

#include "base/enum.h"

#define VALUE_KIND_LIST(X)                                                                         \
	X(VALUE_NONE, 0, "none", "takes no value")                                                 \
	X(VALUE_BOOL, 1, "bool", "yes or no, in a bool")                                           \
	X(VALUE_INT, 2, "int", "a whole number, decimal or 0x, in an integer of any width")        \
	X(VALUE_DURATION, 3, "duration", "a number and ms, s, m, h or d, in milliseconds")         \
	X(VALUE_TEXT, 4, "text", "text without control characters, in an array of char")           \
	X(VALUE_ENUM, 5, "enum", "a name out of an enumeration, in an integer")                    \
	X(VALUE_FLAGS, 6, "flags", "names with | between them, in an integer")
ENUM_DECLARE(value_kind, VALUE_KIND_LIST);

struct value {
	enum value_kind		 kind;
	size_t			 offset, size;	/* of the field in the caller's structure */
	int64_t			 least, most;	/* INT; DURATION, in ms; TEXT: the least length */
	const struct enum_type	*type;		/* ENUM, FLAGS */
	const char		*fallback;	/* the default as text, NULL: zero or empty */
};

#define VALUE_AT_(tag, field)                                                                      \
	.offset = offsetof(struct tag, field), .size = sizeof(((struct tag *)0)->field)

/* VALUE_..._AT(structure, field, ...): initialisers of a struct value. */
#define VALUE_BOOL_AT(tag, field) {.kind = VALUE_BOOL, VALUE_AT_(tag, field)}
#define VALUE_INT_AT(tag, field, least_, most_, fallback_)                                         \
	{.kind = VALUE_INT, VALUE_AT_(tag, field), .least = (least_), .most = (most_),             \
		.fallback = (fallback_)}
#define VALUE_DURATION_AT(tag, field, least_ms, most_ms, fallback_)                                \
	{.kind = VALUE_DURATION, VALUE_AT_(tag, field), .least = (least_ms), .most = (most_ms),    \
		.fallback = (fallback_)}
#define VALUE_TEXT_AT(tag, field, least_len, fallback_)                                            \
	{.kind = VALUE_TEXT, VALUE_AT_(tag, field), .least = (least_len), .fallback = (fallback_)}
#define VALUE_ENUM_AT(tag, field, type_, fallback_)                                                \
	{.kind = VALUE_ENUM, VALUE_AT_(tag, field), .type = (type_), .fallback = (fallback_)}
#define VALUE_FLAGS_AT(tag, field, type_, fallback_)                                               \
	{.kind = VALUE_FLAGS, VALUE_AT_(tag, field), .type = (type_), .fallback = (fallback_)}

/*
 * value_parse(v, text, into, why):
 * Read ${text} and store it in the structure ${into}; NULL only checks it.  0, or -EINVAL with the
 * structure as it was and a clause appended to ${why} ("must be 1..32").
 */
int value_parse(const struct value *v, const char *text, void *into, struct buf *why);

/* value_format(v, into, ret): append what value_parse() reads back to the same. */
int value_format(const struct value *v, const void *into, struct buf *ret);

/* value_default(v, into): store the default; one that does not parse is our own bug and aborts. */
void value_default(const struct value *v, void *into);

/*
 * value_range(v, ret): append what is allowed ("1..32", "yes or no", "error, info"); nothing for
 * free text.
 */
void value_range(const struct value *v, struct buf *ret);
