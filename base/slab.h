/*
 * base/slab.h - many small objects of one size, without what malloc() spends on each.
 *
 * Objects lie side by side in blocks, and a block goes back to the system with its last object.
 * Nothing is initialised and nothing wiped: no place for secrets.  One owner at a time.  Under the
 * sanitizers each object is a block, so that they see each one come and go.
 */
#pragma once

#include "base/util.h"

#include <sys/queue.h>

/* Ends by itself: without objects it has no memory. */
struct slab {
	size_t size;	/* of an object: a multiple of 8 */
	size_t n_blocks;
	LIST_HEAD(, slab_block) with_room;
};

void slab_init(struct slab *s, size_t size);

/*
 * slab_alloc(s, ret_place): an object, or NULL: no memory.  Its owner keeps ${*ret_place}, which
 * says where in its block it lies.
 */
void *slab_alloc(struct slab *s, uint16_t *ret_place);

/* slab_free(object, place): what slab_alloc() gave. */
void slab_free(void *object, uint16_t place);
