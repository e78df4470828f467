/*
 * office/given.h - whether a member was given what it needs now.
 *
 * The lock keeps a number of each, made of all that its part said when it was exported last: but for
 * what it has learnt by itself, and for pre-shared keys, of which it counts whether there are any.
 * That it arrived nobody knows here.
 *
 * Pure.
 */
#pragma once

#include "crypto/hash.h"
#include "office/office.h"

#define GIVEN_STATE_LIST(X)                                                                        \
	X(GIVEN_NO_KEY, 0, "no-key", "it has no key yet, without which there is nothing to export") \
	X(GIVEN_NEVER, 1, "never", "it was not exported to yet")                                   \
	X(GIVEN_OTHER, 2, "other", "it was given something else than it needs now")                \
	X(GIVEN_SAME, 3, "same", "it was given what it needs now")
ENUM_DECLARE(given_state, GIVEN_STATE_LIST);

/* Of an office: what is in the parts of all who are no hub, and the same for telephones. */
struct given {
	const struct office	*o;
	uint8_t			 common[2][HASH_LEN];
};

/* given_init(o, ret): ${o} is settled, and must outlive it.  0 or -ENOMEM. */
int given_init(const struct office *o, struct given *ret);

/* given_number(g, m, ret): of what hub, node or person ${m} would be given now; not 0.  0 or -ENOMEM. */
int given_number(const struct given *g, const struct member *m, uint64_t *ret);

/* given_state(g, m, ret): of what it was given, as the lock has it.  0 or -ENOMEM. */
int given_state(const struct given *g, const struct member *m, enum given_state *ret);
