/*
 * office/settle.h - from what people say to all that must be known.
 *
 * What the file says holds; what it leaves out is as the lock has it; what neither has is given
 * out now: ids, addresses, aliases.  So nothing moves when lines change their order or others come and
 * go, and no id or address is given to somebody else later.
 */
#pragma once

#include "office/office.h"

#define SETTLE_NET "10.70.0.0/16"
#define SETTLE_PORT 51820
#define SETTLE_MTU 1420

/*
 * settle(file, name, lock, lock_name, ret, errors):
 * ${lock} may be NULL: there was none.  ${name} and ${lock_name} stand in front of errors.
 * Members that the lock has and the file has not are gone: kept, so that nobody gets what was
 * theirs.  One that comes back under its name is a new member, of its old address unless it says
 * another, and needs a new key.
 * 0 and ${ret}, whose members bear the places of the file; -EINVAL with at least one error
 * ("no address is left in 10.70.0.0/30 for f"); -ENOMEM.
 */
int settle(const struct office *file, const char *name, const struct office *lock,
	const char *lock_name, struct office **ret, struct buf *errors);

/*
 * settle_part(o, member, ret): of a settled office what this member needs to know, which is what
 * its bundle holds: plan_make() of the part is plan_make() of the whole.
 */
int settle_part(const struct office *o, const struct member *m, struct office **ret);
