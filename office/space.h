/*
 * office/space.h - which parts of a prefix are taken, and the next free block of a size.
 *
 * Blocks are given out upwards and never taken back, so that n of them cost n log n.
 */
#pragma once

#include "office/ipv4.h"

struct space {
	uint32_t	first, last;	/* of the whole */
	struct range {
		uint32_t first, last;
	}		*taken;		/* apart from each other, sorted, once space_sort() was called */
	size_t		 n, room;
	uint64_t	 next[33];	/* for each length: nothing below is free */
};

/* space_init(s, p, spare): of the prefix, but for ${spare} addresses at either end. */
void space_init(struct space *s, const struct prefix *p, uint32_t spare);
void space_done(struct space *s);

/* space_take(s, p): may overlap what is taken, or lie outside.  0 or -ENOMEM.  Then space_sort(). */
int space_take(struct space *s, const struct prefix *p);
void space_sort(struct space *s);

/* space_give(s, bits, ret): the lowest aligned block that is free, taken now.  0, -ENOSPC, -ENOMEM. */
int space_give(struct space *s, unsigned bits, struct prefix *ret);
