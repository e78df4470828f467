#include "tunnel/balance.h"

#include <string.h>

/* Thousandths of a window. */
#define FULL 900	/* finds no more rest */
#define CALM 500	/* one worker can do what two do */
#define WAITED 150	/* of its busy time without a processor: others want them too */

/*
 * Thousandths of a worker's work.  Where processors are idle, moving anything that counts helps;
 * where they are not, only what is worth a second thread's waking.  A source that was moved is not
 * worth it below LIGHT, with some distance, so that none goes to and fro.
 */
#define WORTH_IDLE 50
#define WORTH 250
#define LIGHT 200

/* A load that nobody renewed for so long is none: its worker sleeps. */
#define STALE_NS (4 * BALANCE_WINDOW_NS)

/* In the published word: milliseconds << 21 | thousandths with others' << 11 | with its own << 1 | waited. */
struct load {
	unsigned	busy, helps;
	bool		waited;
};

static uint64_t pack(struct load l, uint64_t now_ns)
{
	return now_ns / 1000000 << 21 | (uint64_t)l.helps << 11 | (uint64_t)l.busy << 1 | l.waited;
}

static struct load unpack(uint64_t word, uint64_t now_ns)
{
	uint64_t at_ns = (word >> 21) * 1000000;

	if (now_ns > at_ns && now_ns - at_ns > STALE_NS)
		return (struct load){0};
	return (struct load){.busy = word >> 1 & 1023, .helps = word >> 11 & 1023, .waited = word & 1};
}

static unsigned thousandths(uint64_t part, uint64_t whole)
{
	return part >= whole ? 1000 : (unsigned)(part * 1000 / whole);
}

/*
 * The sources whose move evens out two workers, heaviest first; none, where that is not worth it.
 */
static unsigned relieve(struct load own, struct load other, uint64_t whole_ns,
	const uint64_t busy_ns[], unsigned sources, bool give[])
{
	unsigned worth = own.busy * (own.waited ? WORTH : WORTH_IDLE) / 1000;
	unsigned moved = 0, n = 0;

	for (;;) {
		unsigned best = 0, share = 0;

		for (unsigned i = 0; i < sources; i++) {
			unsigned s = thousandths(busy_ns[i], whole_ns);

			if (!give[i] && s > share && moved + s < own.busy &&
				max(own.busy - moved - s, other.busy + moved + s) <
					max(own.busy - moved, other.busy + moved)) {
				best = i;
				share = s;
			}
		}
		if (!share)
			break;
		give[best] = true;
		moved += share;
		n++;
	}
	if (n && moved >= worth && own.busy - moved >= worth && other.busy + moved + worth <= own.busy)
		return n;
	memset(give, 0, sources * sizeof(give[0]));
	return 0;
}

unsigned balance_choose(struct balance *b, uint64_t now_ns, uint64_t cpu_ns, balance_load loads[],
	unsigned n, unsigned self, const uint64_t busy_ns[], unsigned sources, bool give[],
	unsigned *ret)
{
	uint64_t whole_ns = max(now_ns - b->start_ns, (uint64_t)1);
	uint64_t had_ns = cpu_ns - b->cpu_ns;
	struct load own = {.busy = thousandths(b->busy_ns, whole_ns),
		.helps = thousandths(b->help_ns, whole_ns),
		.waited = had_ns < b->busy_ns &&
			  thousandths(b->busy_ns - had_ns, b->busy_ns) > WAITED};
	struct load least = {.busy = 1000};
	unsigned idlest = self, chosen = 0;
	bool rest = b->rest > 0;

	memset(give, 0, sources * sizeof(give[0]));
	atomic_store_explicit(&loads[self], pack(own, now_ns), memory_order_relaxed);
	*b = (struct balance){.start_ns = now_ns, .cpu_ns = cpu_ns, .rest = b->rest - rest};
	/* One that slept has much rest behind it, which says nothing of what it has been given. */
	if (rest || whole_ns > 2 * BALANCE_WINDOW_NS)
		return 0;
	for (unsigned i = 0; i < n; i++) {
		struct load l = unpack(atomic_load_explicit(&loads[i], memory_order_relaxed), now_ns);

		if (i == self)
			continue;
		if ((i < self && own.busy + l.busy <= CALM) ||
			(own.waited && l.waited && l.busy >= FULL &&
				own.busy * 1000 < (own.busy + l.busy) * LIGHT)) {
			memset(give, true, sources * sizeof(give[0]));
			*ret = i;
			return sources;
		}
		if (l.busy < least.busy) {
			least = l;
			idlest = i;
		}
	}
	if (own.busy >= FULL && idlest != self)
		chosen = relieve(own, least, whole_ns, busy_ns, sources, give);
	if (chosen)
		b->rest = BALANCE_REST;
	*ret = idlest;
	return chosen;
}

bool balance_has_time(
	balance_load loads[], unsigned n, unsigned self, uint64_t now_ns, unsigned *ret)
{
	unsigned least = FULL;

	for (unsigned i = 0; i < n; i++) {
		struct load l = unpack(atomic_load_explicit(&loads[i], memory_order_relaxed), now_ns);

		if (i == self || l.busy >= CALM || l.busy + l.helps >= least)
			continue;
		least = l.busy + l.helps;
		*ret = i;
	}
	return least < FULL;
}
