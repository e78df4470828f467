/*
 * ctl/ring.h - records from several threads of one process to one reader in another, in order,
 * through memory that the reader brings.
 *
 * Knows no record.  A writer never waits and never makes a system call: what finds no room is counted.
 * Each end may be hostile to the other: the writer reads nothing from the memory but how far the
 * reader came, and takes no more from it than that there is no room; the memory is sealed, so that it
 * cannot be taken away.  The reader gives back records wiped.
 *
 *	reader						writer
 *	ring_reader_new(1 << 24, &r)
 *	  sends r->fd, by whatever way  ------------>	ring_writer_open(&w, fd)
 *	while ((p = ring_next(r, &len)))		p = ring_reserve(&w, len, spare);
 *		ring_release(r);			if (ring_publish(&w, p)) wake the reader
 *
 * Between reserve and publish other records may be reserved, published and so on; the reader sees a
 * record only when all before it are published.
 */
#pragma once

#include "base/util.h"

#include <stdatomic.h>

#define RING_SIZE_MIN (1u << 16)
#define RING_SIZE_MAX (1u << 28)
#define RING_RECORD_MAX (RING_SIZE_MIN + 4096) /* bytes of one record */

struct ring_shared;

/* Locks: [I] set before threads start  [a] atomic */
struct ring_writer {
	struct ring_shared	*shared;	/* [I] */
	uint8_t			*data;		/* [I] */
	size_t			 size;		/* [I] a power of two */
	_Alignas(64) _Atomic uint64_t head;	/* [a] bytes reserved since the beginning */
};

/*
 * ring_writer_open(w, fd): map what a reader made; ${fd} stays the caller's.  0; -EINVAL: it is no
 * ring; -EPERM: it could be made smaller; other negative errno.
 */
int ring_writer_open(struct ring_writer *w, int fd);

/* No other thread is in here. */
void ring_writer_close(struct ring_writer *w);

/*
 * ring_reserve(w, len, spare): [any thread] room for a record of ${len} bytes, to be filled, aligned
 * to 16; NULL, and counted as lost, where not ${spare} bytes more would be free behind it.
 */
void *ring_reserve(struct ring_writer *w, size_t len, size_t spare);

/*
 * ring_publish(w, record): [any thread] the record is complete, and no longer the caller's.  True:
 * the reader sleeps, and it is this caller that wakes it.
 */
bool ring_publish(struct ring_writer *w, void *record);

/* ring_writer_lost(w): how many found no room, by what the memory says: the reader may have changed it. */
uint64_t ring_writer_lost(const struct ring_writer *w);

/* ---- the reader ---- */

struct ring_reader {
	int			 fd;
	struct ring_shared	*shared;
	uint8_t			*data;
	size_t			 size;
	uint64_t		 tail;	/* bytes given back since the beginning */
	size_t			 taken;	/* of the record that ring_next() gave */
};

/* ring_reader_new(size, ret): ${size} a power of two, RING_SIZE_MIN to RING_SIZE_MAX; kept out of swap
 * if the limit allows.  0 or negative errno. */
int ring_reader_new(size_t size, struct ring_reader **ret);

/* Wipes what was not read. */
void ring_reader_free(struct ring_reader *r);
static inline void ring_reader_freep(struct ring_reader **r)
{
	if (*r)
		ring_reader_free(*r);
}

/*
 * ring_next(r, ret, ret_len): the oldest record, good until ring_release().  1; 0: there is none now;
 * -EBADMSG: the writer wrote nonsense.
 */
int ring_next(struct ring_reader *r, const void **ret, size_t *ret_len);
void ring_release(struct ring_reader *r);

/*
 * ring_sleep(r): ask to be woken.  False: there is a record already (or nonsense), and nobody will
 * wake.
 */
bool ring_sleep(struct ring_reader *r);

/* ring_lost(r): how many records found no room since the beginning. */
uint64_t ring_lost(const struct ring_reader *r);
