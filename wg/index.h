/*
 * wg/index.h - the index table: a random 32-bit number to what it stands for (paper, section 5.4.1:
 * sender and receiver).
 *
 * Each message names the receiver's state by such an index.  Entries are typed, so that a data
 * packet can never hit a handshake under way.  One writer; readers look up without a lock (see
 * wg/reclaim.h).  Knows nothing of what its entries are embedded in.
 */
#pragma once

#include "wg/reclaim.h"

#include "base/enum.h"

#define INDEX_TYPE_LIST(X)                                                                         \
	X(INDEX_HANDSHAKE, 1, "handshake", "our initiation waits for its response")                \
	X(INDEX_KEYPAIR, 2, "keypair", "a session")
ENUM_DECLARE(index_type, INDEX_TYPE_LIST);

struct index_entry {
	uint32_t	index;	/* [I] once published */
	enum index_type	type;	/* [I] */
};

struct index_slots;

struct index_table {
	struct index_slots *_Atomic	 slots;
	struct reclaim			*reclaim;
	void				(*random)(void *arg, void *buf, size_t len);
	void				*random_arg;
};

int index_init(struct index_table *t, struct reclaim *reclaim,
	void (*random)(void *arg, void *buf, size_t len), void *random_arg);
/* Readers are gone. */
void index_done(struct index_table *t);

/*
 * A claim has two phases, so that an entry is complete before anybody can find it.  index_pick(t,
 * e): give ${e} a free random index, with room for it; 0 or -ENOMEM.  index_publish(t, e): take it,
 * before any other is picked.
 */
int index_pick(struct index_table *t, struct index_entry *e);
void index_publish(struct index_table *t, struct index_entry *e);

/*
 * index_insert(t, e): publish ${e} under the index that it has.  0; -EEXIST when that is taken;
 * -ENOMEM.
 */
int index_insert(struct index_table *t, struct index_entry *e);

/*
 * index_replace(t, old, new): ${new} takes over the index of ${old}, in place: no moment without an
 * entry.
 */
void index_replace(struct index_table *t, const struct index_entry *old, struct index_entry *new);

/* index_release(t, e): unpublish; the caller frees it through the reclaimer. */
void index_release(struct index_table *t, const struct index_entry *e);

/* [any reader] index_lookup(t, index): the entry, or NULL. */
struct index_entry *index_lookup(const struct index_table *t, uint32_t index);

/* The number of entries. */
size_t index_count(const struct index_table *t);
