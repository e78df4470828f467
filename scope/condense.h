/*
 * scope/condense.h - which of many lines of one kind are printed: the first few of a second; the others
 * are counted.
 *
 * A kind is an event or a reason to drop, of one peer or of all strangers.  A table of fixed size.
 */
#pragma once

#include "ctl/capture.h"

#define CONDENSE_LINES 5	/* of a kind in a second */
#define CONDENSE_KINDS 64

struct condensed {
	struct capture_record	 of;		/* the last one */
	uint64_t		 begun_ns;	/* of any clock; 0: free */
	uint64_t		 shown;
	uint64_t		 held;		/* packets or events, not lines */
};

struct condense {
	struct condensed kinds[CONDENSE_KINDS];
};

/*
 * condense_take(c, r, now_ns): true: print it.  The caller has called condense_due() until it returned
 * false.
 */
bool condense_take(struct condense *c, const struct capture_record *r, uint64_t now_ns);

/*
 * condense_due(c, now_ns, ret): true: of ${ret->of}'s kind ${ret->held} were not printed in the second
 * that is over.  ${now_ns} UINT64_MAX: all that is left.
 */
bool condense_due(struct condense *c, uint64_t now_ns, struct condensed *ret);

/* condense_next_ms(c, now_ns, longest_ms): after which time condense_due() may have something. */
int condense_next_ms(const struct condense *c, uint64_t now_ns, int longest_ms);
