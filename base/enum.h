/*
 * base/enum.h - enumerations that know their names.
 *
 * An enumeration that a person or a wire sees is declared once, by a list macro with full identifiers (so that grep,
 * ctags and gdb see them):
 *
 *	#define COLOUR_LIST(X) \
 *		X(COLOUR_RED,   1, "red",   "the colour of a drop") \
 *		X(COLOUR_GREEN, 2, "green", "the colour of a session")
 *	ENUM_DECLARE(colour, COLOUR_LIST);		in the header: enum colour and colour_enum
 *	ENUM_DEFINE(colour, COLOUR_LIST);		in one source file
 *
 * enum_name(&colour_enum, COLOUR_RED) is "red".
 */
#pragma once

#include "base/util.h"

struct enum_member {
	const char	*identifier;	/* "COLOUR_RED" */
	const char	*name;		/* "red" */
	const char	*doc;
	int64_t		 value;
};

struct enum_type {
	const char			*name;	/* "colour" */
	const struct enum_member	*members;
	size_t				 n_members;
};

#define ENUM_VALUE_(id, value, name, doc) id = (value),
#define ENUM_ROW_(id, value, name, doc) {#id, name, doc, value},
#define ENUM_CASE_(id, value, name, doc) case id:

#define ENUM_DECLARE(tag, LIST)                                                                    \
	enum tag { LIST(ENUM_VALUE_) };                                                            \
	extern const struct enum_type tag##_enum

#define ENUM_DEFINE(tag, LIST)                                                                     \
	static const struct enum_member tag##_members[] = {LIST(ENUM_ROW_)};                       \
	const struct enum_type tag##_enum = {#tag, tag##_members, array_size(tag##_members)}

/* enum_name(type, value): its name, or NULL when no member has that value. */
const char *enum_name(const struct enum_type *type, int64_t value);
