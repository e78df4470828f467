#include "office/space.h"

#include "conf/array.h"

#include <errno.h>

void space_init(struct space *s, const struct prefix *p, uint32_t spare)
{
	*s = (struct space){.first = ipv4_first(p) + spare, .last = ipv4_last(p) - spare};
}

void space_done(struct space *s)
{
	free(s->taken);
}

int space_take(struct space *s, const struct prefix *p)
{
	if (!array_grow(&s->taken, &s->room, s->n, sizeof(*s->taken)))
		return -ENOMEM;
	s->taken[s->n++] = (struct range){ipv4_first(p), ipv4_last(p)};
	return 0;
}

static int by_first(const void *a, const void *b)
{
	const struct range *x = a, *y = b;

	return x->first < y->first ? -1 : x->first > y->first;
}

static bool touch(const struct range *a, const struct range *b)
{
	return (uint64_t)a->last + 1 >= b->first;
}

void space_sort(struct space *s)
{
	size_t n = 0;

	if (!s->n)
		return;
	qsort(s->taken, s->n, sizeof(*s->taken), by_first);
	for (size_t i = 1; i < s->n; i++) {
		if (touch(&s->taken[n], &s->taken[i]))
			s->taken[n].last = max(s->taken[n].last, s->taken[i].last);
		else
			s->taken[++n] = s->taken[i];
	}
	s->n = n + 1;
}

/* The first range that ends at ${address} or behind it. */
static size_t find(const struct space *s, uint64_t address)
{
	size_t low = 0, high = s->n;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (s->taken[middle].last < address)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Put it before the range ${i}, or make it a part of its neighbours. */
static int insert(struct space *s, size_t i, struct range r)
{
	bool left = i && touch(&s->taken[i - 1], &r), right = i < s->n && touch(&r, &s->taken[i]);

	if (left && right) {
		s->taken[i - 1].last = s->taken[i].last;
		memmove(&s->taken[i], &s->taken[i + 1], (s->n - i - 1) * sizeof(r));
		s->n--;
	} else if (left) {
		s->taken[i - 1].last = r.last;
	} else if (right) {
		s->taken[i].first = r.first;
	} else {
		if (!array_grow(&s->taken, &s->room, s->n, sizeof(*s->taken)))
			return -ENOMEM;
		memmove(&s->taken[i + 1], &s->taken[i], (s->n - i) * sizeof(r));
		s->taken[i] = r;
		s->n++;
	}
	return 0;
}

int space_give(struct space *s, unsigned bits, struct prefix *ret)
{
	uint64_t size = 1ull << (32 - bits), at = max(s->next[bits], (uint64_t)s->first);

	for (;;) {
		size_t i;

		at = (at + size - 1) & ~(size - 1);
		if (at + size - 1 > s->last)
			return -ENOSPC;
		i = find(s, at);
		if (i == s->n || s->taken[i].first > at + size - 1) {
			s->next[bits] = at + size;
			*ret = ipv4_prefix((uint32_t)at, bits);
			return insert(s, i, (struct range){(uint32_t)at, (uint32_t)(at + size - 1)});
		}
		at = (uint64_t)s->taken[i].last + 1;
	}
}
