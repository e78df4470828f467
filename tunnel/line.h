/*
 * tunnel/line.h - things that several threads make ready at a time, and that go on in the order in
 * which they came.
 *
 * Each gets a place in the line when it comes.  Who has made one ready passes it on if it is the
 * first and nobody else is at that; else leaves it in its place, where the thread that passes on
 * what is before it will find it.  Nobody waits for another:
 *
 *	line_place(&l, &item);			as it comes, under the caller's lock
 *	...					made ready, beside others
 *	if (line_front(&l, &item)) {
 *		pass it on;
 *		line_passed(&l, &item);
 *	} else {
 *		line_put(&l, &item);
 *	}
 *	while ((next = line_next(&l))) {	its own, or others'
 *		pass it on;
 *		line_passed(&l, next);
 *	}
 *
 * Who has enough of others' may leave that loop, but who put something there comes back to it until
 * that was passed on.
 *
 * Locks: all but line_init() and line_place() may be called by any thread at any time.  Between
 * line_front() or line_next() and line_passed() the line is the caller's alone.
 */
#pragma once

#include "base/util.h"

#include <stdatomic.h>

#define LINE_MAX_ITEMS 8	/* that have a place at a time; a power of two */

struct line_item {
	uint32_t	place;		/* its thread's until line_put() */
	_Atomic bool	waits;		/* was put there and is not passed on yet: others may look at it */
};

struct line {
	uint32_t			places;	/* given so far; the caller's lock */
	_Atomic bool			taken;	/* somebody passes on what is first */
	_Atomic uint32_t		passed;	/* how many; written by that one */
	_Atomic(struct line_item *)	items[LINE_MAX_ITEMS]; /* the ready ones, by place */
};

void line_init(struct line *l);

/* line_is_full(l): there is no place for another one now; under the lock of line_place(). */
bool line_is_full(struct line *l);

/* line_place(l, item): the last one, so far.  The line is not full. */
void line_place(struct line *l, struct line_item *item);

/* line_front(l, item): it is the turn of ${item}, which was not put there, and the line is the caller's now. */
bool line_front(struct line *l, const struct line_item *item);

/* line_await_front(l, item): returns when it is.  For what cannot be left in its place. */
void line_await_front(struct line *l, const struct line_item *item);

/* line_put(l, item): ready.  It is whoever's passes it on, until ${item->waits} is false again. */
void line_put(struct line *l, struct line_item *item);

/* line_next(l): the first one, if it was put there, and the line is the caller's; or NULL: nothing to do here. */
struct line_item *line_next(struct line *l);

/* line_passed(l, item): what line_front() or line_next() gave went on; the line is free. */
void line_passed(struct line *l, struct line_item *item);
