#include "wg/reclaim.h"

#include <errno.h>

int reclaim_init(struct reclaim *r, unsigned n_readers)
{
	size_t n = max(n_readers, 1u);
	struct reclaim_reader *readers = aligned_alloc(_Alignof(struct reclaim_reader), n * sizeof(*readers));

	if (!readers)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		atomic_init(&readers[i].seen, 0);
	atomic_init(&r->epoch, 1);
	r->readers = readers;
	r->n_readers = n_readers;
	r->first = NULL;
	r->last = &r->first;
	return 0;
}

static void free_first(struct reclaim *r)
{
	struct reclaim_item *item = r->first;

	r->first = item->next;
	if (!r->first)
		r->last = &r->first;
	item->free(item); /* may hand in others */
}

void reclaim_done(struct reclaim *r)
{
	while (r->first)
		free_first(r);
	free(steal(r->readers));
}

void reclaim_later(
	struct reclaim *r, struct reclaim_item *item, void (*free)(struct reclaim_item *item))
{
	item->next = NULL;
	item->free = free;
	/*
	 * The epoch that reclaim_poll() will start: one increment for all that came in since the
	 * last.
	 */
	item->epoch = atomic_load_explicit(&r->epoch, memory_order_relaxed) + 1;
	*r->last = item;
	r->last = &item->next;
}

bool reclaim_poll(struct reclaim *r)
{
	uint64_t oldest;

	if (!r->first)
		return false;
	/* Epochs never fall along the list, so its last item says whether an increment is due. */
	oldest = atomic_load_explicit(&r->epoch, memory_order_relaxed);
	if (container_of(r->last, struct reclaim_item, next)->epoch > oldest)
		oldest = atomic_fetch_add(&r->epoch, 1) + 1;
	for (unsigned i = 0; i < r->n_readers; i++) {
		uint64_t seen = atomic_load(&r->readers[i].seen);

		if (seen && seen < oldest)
			oldest = seen;
	}
	while (r->first && r->first->epoch <= oldest)
		free_first(r);
	return r->first != NULL;
}
