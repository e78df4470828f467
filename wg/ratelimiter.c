#include "wg/ratelimiter.h"
#include "wg/messages.h"

#include <errno.h>

/* Tokens are time: a message costs what a second earns divided by the rate. */
#define COST_NS (NS_PER_S / RATELIMITER_PER_SECOND)
#define FULL_NS (COST_NS * RATELIMITER_BURST)
#define IDLE_NS NS_PER_S
#define SLOTS_MIN 64

_Static_assert(IDLE_NS > FULL_NS, "what is collected was full again: nothing is forgiven");

struct source {
	uint64_t net;		/* IPv4: the address; IPv6: its first 64 bits */
	uint64_t last_ns;	/* the last message, allowed or not */
	uint32_t tokens_ns;
	uint32_t hash;
	uint8_t	 family;	/* 0: the slot is free */
};

/*
 * Open addressing with linear probing, never more than half full; no slots at all while nobody is
 * known.
 */
struct ratelimiter {
	struct source	*slots;
	size_t		 n_slots;	/* 0 or a power of two */
	size_t		 n;
	uint8_t		 seed[32];
};

int ratelimiter_new(const uint8_t seed[32], struct ratelimiter **ret)
{
	struct ratelimiter *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	memcpy(r->seed, seed, sizeof(r->seed));
	*ret = r;
	return 0;
}

void ratelimiter_free(struct ratelimiter *r)
{
	if (!r)
		return;
	free(r->slots);
	explicit_bzero(r, sizeof(*r));
	free(r);
}

static struct source source_of(const struct ratelimiter *r, const struct wg_addr *src)
{
	size_t len = src->family == AF_INET ? 4 : 8;
	struct source s = {.family = src->family};
	uint8_t key[9] = {src->family}, hash[4];

	memcpy(key + 1, src->bytes, len);
	s.net = get_le64(key + 1);
	mac(hash, sizeof(hash), r->seed, sizeof(r->seed), key, sizeof(key));
	s.hash = get_le32(hash);
	return s;
}

/* The slot of ${s}, or the free one where it belongs.  There are slots, and one of them is free. */
static struct source *find(struct source *slots, size_t n_slots, const struct source *s)
{
	size_t i = s->hash & (n_slots - 1);

	while (slots[i].family && (slots[i].net != s->net || slots[i].family != s->family))
		i = (i + 1) & (n_slots - 1);
	return &slots[i];
}

static bool live(const struct source *s, uint64_t boot_ns)
{
	return s->family && (boot_ns <= s->last_ns || boot_ns - s->last_ns <= IDLE_NS);
}

/* Move who is not idle to a table of ${n_slots}. */
static int rebuild(struct ratelimiter *r, size_t n_slots, uint64_t boot_ns)
{
	struct source *slots = n_slots ? calloc(n_slots, sizeof(*slots)) : NULL;

	if (n_slots && !slots)
		return -ENOMEM;
	r->n = 0;
	for (size_t i = 0; i < r->n_slots; i++) {
		const struct source *s = &r->slots[i];

		if (!live(s, boot_ns))
			continue;
		*find(slots, n_slots, s) = *s;
		r->n++;
	}
	free(r->slots);
	r->slots = slots;
	r->n_slots = n_slots;
	return 0;
}

static bool add(struct ratelimiter *r, struct source *s, uint64_t boot_ns)
{
	if (r->n == RATELIMITER_ENTRIES_MAX)
		return false;
	if (r->n * 2 == r->n_slots && rebuild(r, max(r->n_slots * 2, (size_t)SLOTS_MIN), boot_ns) < 0)
		return false;
	s->last_ns = boot_ns;
	s->tokens_ns = FULL_NS - COST_NS;
	*find(r->slots, r->n_slots, s) = *s;
	r->n++;
	return true;
}

bool ratelimiter_allow(struct ratelimiter *r, const struct wg_addr *src, uint64_t boot_ns)
{
	struct source s = source_of(r, src), *known = NULL;
	uint64_t earned;

	if (r->n_slots)
		known = find(r->slots, r->n_slots, &s);
	if (!known || !known->family)
		return add(r, &s, boot_ns);
	earned = boot_ns > known->last_ns ? min(boot_ns - known->last_ns, FULL_NS) : 0;
	known->last_ns = boot_ns;
	known->tokens_ns = (uint32_t)min(known->tokens_ns + earned, FULL_NS);
	if (known->tokens_ns < COST_NS)
		return false;
	known->tokens_ns -= COST_NS;
	return true;
}

uint64_t ratelimiter_collect(struct ratelimiter *r, uint64_t boot_ns)
{
	size_t n = 0, n_slots = SLOTS_MIN;

	for (size_t i = 0; i < r->n_slots; i++) {
		struct source *s = &r->slots[i];

		s->last_ns = min(s->last_ns, boot_ns); /* the clock went back: nobody stays for ever */
		n += live(s, boot_ns);
	}
	while (n_slots < n * 2)
		n_slots *= 2;
	/*
	 * Without memory for a smaller table this one stays, and so do the idle: their buckets are
	 * full anyway.
	 */
	if (n < r->n)
		(void)rebuild(r, n ? n_slots : 0, boot_ns);
	return r->n ? boot_ns + IDLE_NS : UINT64_MAX;
}

size_t ratelimiter_n_entries(const struct ratelimiter *r)
{
	return r->n;
}

size_t ratelimiter_memory(const struct ratelimiter *r)
{
	return r->n_slots * sizeof(*r->slots);
}
