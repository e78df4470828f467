#include "tunnel/line.h"

#include <sched.h>

void line_init(struct line *l)
{
	l->places = 0;
	atomic_init(&l->taken, false);
	atomic_init(&l->passed, 0);
	for (unsigned i = 0; i < LINE_MAX_ITEMS; i++)
		atomic_init(&l->items[i], NULL);
}

bool line_is_full(struct line *l)
{
	return l->places - atomic_load(&l->passed) >= LINE_MAX_ITEMS;
}

void line_place(struct line *l, struct line_item *item)
{
	item->place = l->places++;
}

static bool take(struct line *l)
{
	return !atomic_exchange(&l->taken, true);
}

bool line_front(struct line *l, const struct line_item *item)
{
	/* Whoever passed on the one before may hold the line a little longer. */
	return atomic_load(&l->passed) == item->place && take(l);
}

void line_await_front(struct line *l, const struct line_item *item)
{
	while (!line_front(l, item))
		sched_yield();
}

void line_put(struct line *l, struct line_item *item)
{
	atomic_store(&item->waits, true);
	atomic_store(&l->items[item->place % LINE_MAX_ITEMS], item);
}

static struct line_item *first(struct line *l)
{
	return atomic_load(&l->items[atomic_load(&l->passed) % LINE_MAX_ITEMS]);
}

/*
 * Who put an item there may have found the line taken: so who frees it looks once more, here and by
 * calling this again.
 */
struct line_item *line_next(struct line *l)
{
	struct line_item *item;

	while (first(l) && take(l)) {
		item = first(l);
		if (item)
			return item;
		atomic_store(&l->taken, false);
	}
	return NULL;
}

void line_passed(struct line *l, struct line_item *item)
{
	uint32_t place = item->place;

	atomic_store(&l->items[place % LINE_MAX_ITEMS], NULL);
	atomic_store(&l->passed, place + 1);
	atomic_store(&l->taken, false);
	atomic_store(&item->waits, false);
}
