/*
 * office/settle.h - from what people say to all that must be known.
 *
 * What the file says holds.  What is given out once - ids, addresses, aliases, the prefixes that
 * they are of - is as the lock has it, and what the lock has not is given out now.  So nothing moves
 * when lines change their order or others come and go, and no id or address is given to somebody
 * else later, unless the file says so.  Keys and what was learnt come from the lock.  All else that
 * the file leaves out is the default again.
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
 * theirs.  (Of a host nothing is kept: it has neither key nor address of ours.)  One that comes back
 * under its name, or as another kind, is a new member, of its old address unless it says another,
 * and needs a new key.
 * 0 and ${ret}, in the order of ids, whose members bear the places of the file; -EINVAL with at least
 * one error ("no address is left in 10.70.0.0/30 for f"); -ENOMEM.
 */
int settle(const struct office *file, const char *name, const struct office *lock,
	const char *lock_name, struct office **ret, struct buf *errors);

/*
 * settle_part(o, member, ret): of a settled office what this member needs to know, which is what
 * its bundle holds: plan_make() of the part is plan_make() of the whole.  Keys, endpoints and hosts of
 * others that it does not speak with are left out.  Pre-shared keys are in it if ${o} has them, see
 * office/psk.h.  0 or -ENOMEM.
 */
int settle_part(const struct office *o, const struct member *m, struct office **ret);
