/*
 * wg/endpoint_cell.h - an endpoint that several threads write and many read, without a lock for the
 * readers.
 *
 * A sequence lock whose words are atomic.  An endpoint must change before the packet that moved it
 * is delivered inside - the answer may be on its way at once, by another worker - so the worker
 * that saw it writes it.
 */
#pragma once

#include "wg/endpoint.h"

#include <pthread.h>
#include <stdatomic.h>

#define ENDPOINT_WORDS ((sizeof(struct wg_endpoint) + 7) / 8)

/* Locks: [w] lock, for writers  [a] atomic */
struct endpoint_cell {
	_Atomic uint32_t	sequence;	/* [a] odd: being written.  Changes once for each endpoint */
	_Atomic uint64_t	words[ENDPOINT_WORDS]; /* [a] */
	pthread_mutex_t		lock;
};

static inline void endpoint_cell_init(struct endpoint_cell *c)
{
	pthread_mutex_init(&c->lock, NULL);
}

static inline void endpoint_cell_done(struct endpoint_cell *c)
{
	pthread_mutex_destroy(&c->lock);
}

/* [any thread] A copy; dst.family 0: not known. */
static inline struct wg_endpoint endpoint_cell_get(const struct endpoint_cell *c)
{
	uint64_t words[ENDPOINT_WORDS];
	struct wg_endpoint e;
	uint32_t before, after;

	do {
		before = atomic_load_explicit(&c->sequence, memory_order_acquire);
		for (size_t i = 0; i < ENDPOINT_WORDS; i++)
			words[i] = atomic_load_explicit(&c->words[i], memory_order_acquire);
		after = atomic_load_explicit(&c->sequence, memory_order_relaxed);
	} while (before & 1 || before != after);
	memcpy(&e, words, sizeof(e));
	return e;
}

/* Under the lock. */
static inline void endpoint_cell_write(struct endpoint_cell *c, const struct wg_endpoint *e)
{
	uint32_t sequence = atomic_load_explicit(&c->sequence, memory_order_relaxed);
	uint64_t words[ENDPOINT_WORDS] = {0};

	memcpy(words, e, sizeof(*e));
	atomic_store_explicit(&c->sequence, sequence + 1, memory_order_relaxed);
	for (size_t i = 0; i < ENDPOINT_WORDS; i++)
		atomic_store_explicit(&c->words[i], words[i], memory_order_release);
	atomic_store_explicit(&c->sequence, sequence + 2, memory_order_release);
}

/* [any thread] */
static inline void endpoint_cell_set(struct endpoint_cell *c, const struct wg_endpoint *e)
{
	pthread_mutex_lock(&c->lock);
	endpoint_cell_write(c, e);
	pthread_mutex_unlock(&c->lock);
}

/* [any thread] Keep the destination, forget our own address. */
static inline void endpoint_cell_clear_source(struct endpoint_cell *c)
{
	struct wg_endpoint e;

	pthread_mutex_lock(&c->lock);
	e = (struct wg_endpoint){.dst = endpoint_cell_get(c).dst};
	endpoint_cell_write(c, &e);
	pthread_mutex_unlock(&c->lock);
}
