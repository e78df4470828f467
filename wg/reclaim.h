/*
 * wg/reclaim.h - free what was replaced only when nobody can be looking at it (quiescent-state
 * based reclamation).
 *
 * One writer unpublishes objects and hands them in with reclaim_later(); each reader announces when
 * it holds nothing. An offline reader never holds anything up.  Knows nothing of what it frees.
 */
#pragma once

#include "base/util.h"

#include <stdatomic.h>

struct reclaim_item {
	struct reclaim_item	*next;
	void			(*free)(struct reclaim_item *item);
	uint64_t		 epoch;
};

struct reclaim_reader {
	_Alignas(64) _Atomic uint64_t seen; /* the epoch last seen; 0: offline */
};

/* Locks: epoch and readers [a]; the list belongs to the writer. */
struct reclaim {
	_Atomic uint64_t	 epoch; /* from 1 */
	struct reclaim_reader	*readers;
	unsigned		 n_readers;
	struct reclaim_item	*first, **last;
};

/* Every reader is offline.  0 or -ENOMEM. */
int reclaim_init(struct reclaim *r, unsigned n_readers);
/* Every reader is offline for good: frees all that waits. */
void reclaim_done(struct reclaim *r);

/*
 * Readers, each by its number.
 *
 * Two rules make it safe, and everything below serves one of them.  (1) A reader that announces
 * epoch E has loaded it (acquire) from the writer's increment, so whatever was unpublished before
 * that increment it cannot find again. (2) The writer loads the announcement (acquire) that the
 * reader stored (release) after its last use, so those uses come before free().  Only the change
 * from offline to online needs more: the writer may still read "offline".
 */

/*
 * Announce an epoch that holds everything up, and only then load the real one: when the writer
 * missed the first store, this load, later than it in the single order of seq_cst operations,
 * cannot miss the writer's increment.
 */
static inline void reclaim_online(struct reclaim *r, unsigned reader)
{
	atomic_store(&r->readers[reader].seen, 1);
	atomic_store_explicit(&r->readers[reader].seen, atomic_load(&r->epoch), memory_order_release);
}

static inline void reclaim_offline(struct reclaim *r, unsigned reader)
{
	atomic_store_explicit(&r->readers[reader].seen, 0, memory_order_release);
}

/*
 * The reader is online, and holds nothing from before this call.  One load when nothing was handed
 * in meanwhile.
 */
static inline void reclaim_quiescent(struct reclaim *r, unsigned reader)
{
	uint64_t epoch = atomic_load_explicit(&r->epoch, memory_order_acquire);

	if (atomic_load_explicit(&r->readers[reader].seen, memory_order_relaxed) != epoch)
		atomic_store_explicit(&r->readers[reader].seen, epoch, memory_order_release);
}

/* Writer: ${item} was unpublished; call free(item) when no reader can hold it. */
void reclaim_later(
	struct reclaim *r, struct reclaim_item *item, void (*free)(struct reclaim_item *item));

/*
 * Writer: free what may be freed, oldest first.  Returns true while something still waits.  What
 * free() hands in waits for the next call.
 */
bool reclaim_poll(struct reclaim *r);
