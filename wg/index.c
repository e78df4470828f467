#include "wg/index.h"

#include <errno.h>

ENUM_DEFINE(index_type, INDEX_TYPE_LIST);

#define SLOTS_MIN 64

/*
 * Open addressing over random keys, at most half full.  A slot that was released holds a tombstone,
 * so that probes of readers go on over it; tombstones vanish when the slots are copied to a new
 * table.
 */
struct index_slots {
	struct reclaim_item	 reclaim;
	uint32_t		 mask;
	uint32_t		 n_live, n_used; /* n_used counts tombstones too; the writer's */
	struct index_entry	*_Atomic slot[];
};

static struct index_entry tombstone;

static void slots_free(struct reclaim_item *item)
{
	free(container_of(item, struct index_slots, reclaim));
}

static struct index_slots *slots_new(uint32_t size)
{
	struct index_slots *s = calloc(1, sizeof(*s) + size * sizeof(s->slot[0]));

	if (s)
		s->mask = size - 1;
	return s;
}

int index_init(struct index_table *t, struct reclaim *reclaim,
	void (*random)(void *arg, void *buf, size_t len), void *random_arg)
{
	struct index_slots *s = slots_new(SLOTS_MIN);

	if (!s)
		return -ENOMEM;
	*t = (struct index_table){.reclaim = reclaim, .random = random, .random_arg = random_arg};
	atomic_init(&t->slots, s);
	return 0;
}

void index_done(struct index_table *t)
{
	free(atomic_load_explicit(&t->slots, memory_order_relaxed));
}

/* The writer's view needs no ordering. */
static struct index_slots *mine(const struct index_table *t)
{
	return atomic_load_explicit(&t->slots, memory_order_relaxed);
}

static void put(struct index_slots *s, struct index_entry *e)
{
	uint32_t i = e->index & s->mask;

	while (atomic_load_explicit(&s->slot[i], memory_order_relaxed))
		i = (i + 1) & s->mask;
	atomic_store_explicit(&s->slot[i], e, memory_order_release);
	s->n_live++;
	s->n_used++;
}

static int make_room(struct index_table *t)
{
	struct index_slots *old = mine(t), *s;
	uint32_t size = SLOTS_MIN;

	if (2 * (old->n_used + 1) <= old->mask + 1)
		return 0;
	while (size < 4 * (old->n_live + 1))
		size *= 2;
	s = slots_new(size);
	if (!s)
		return -ENOMEM;
	for (uint32_t i = 0; i <= old->mask; i++) {
		struct index_entry *e =
			atomic_load_explicit(&old->slot[i], memory_order_relaxed);

		if (e && e != &tombstone)
			put(s, e);
	}
	atomic_store_explicit(&t->slots, s, memory_order_release);
	reclaim_later(t->reclaim, &old->reclaim, slots_free);
	return 0;
}

int index_pick(struct index_table *t, struct index_entry *e)
{
	int r = make_room(t);

	if (r < 0)
		return r;
	do {
		t->random(t->random_arg, &e->index, sizeof(e->index));
	} while (index_lookup(t, e->index));
	return 0;
}

void index_publish(struct index_table *t, struct index_entry *e)
{
	put(mine(t), e);
}

int index_insert(struct index_table *t, struct index_entry *e)
{
	int r = make_room(t);

	if (r < 0)
		return r;
	if (index_lookup(t, e->index))
		return -EEXIST;
	put(mine(t), e);
	return 0;
}

static struct index_entry *_Atomic *find(struct index_slots *s, const struct index_entry *e)
{
	for (uint32_t i = e->index & s->mask;; i = (i + 1) & s->mask) {
		struct index_entry *at = atomic_load_explicit(&s->slot[i], memory_order_relaxed);

		if (at == e)
			return &s->slot[i];
		if (!at)
			abort(); /* ours to know what is in the table */
	}
}

void index_replace(struct index_table *t, const struct index_entry *old, struct index_entry *new)
{
	new->index = old->index;
	atomic_store_explicit(find(mine(t), old), new, memory_order_release);
}

void index_release(struct index_table *t, const struct index_entry *e)
{
	struct index_slots *s = mine(t);

	atomic_store_explicit(find(s, e), &tombstone, memory_order_release);
	s->n_live--;
}

struct index_entry *index_lookup(const struct index_table *t, uint32_t index)
{
	struct index_slots *s = atomic_load_explicit(&t->slots, memory_order_acquire);

	for (uint32_t i = index & s->mask;; i = (i + 1) & s->mask) {
		struct index_entry *e = atomic_load_explicit(&s->slot[i], memory_order_acquire);

		if (!e)
			return NULL;
		if (e != &tombstone && e->index == index)
			return e;
	}
}

size_t index_count(const struct index_table *t)
{
	return mine(t)->n_live;
}
