/*
 * cli/show_enum.h - "ginnel enum": what the numbers and names of this build are.
 *
 * Prints tables of base/enum.h, as text for people, as JSON, or as lines for tests/enum.lock.
 */
#pragma once

#include "base/buf.h"
#include "base/enum.h"

/* show_enum_list(json, ret): append the names of all types. */
int show_enum_list(bool json, struct buf *ret);

/* show_enum(type, json, ret): append its members and aliases with values and documentation. */
int show_enum(const struct enum_type *type, bool json, struct buf *ret);

/*
 * show_enum_lock(ret): append "type=value=name" for every member of every public type,
 * "type=value=name alias" for aliases.
 */
int show_enum_lock(struct buf *ret);

/* show_enum_find(name, why): the type of that name; NULL with a sentence appended to ${why}. */
const struct enum_type *show_enum_find(const char *name, struct buf *why);
