#include "scope/story_peers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define WAYS 4
#define SETS 1024
#define AWAITED 4096

struct story_peers {
	struct story_peer	peers[SETS][WAYS];
	struct story_awaited	awaited[AWAITED];
	struct story_peer	nobody;
};

int story_peers_new(struct story_peers **ret)
{
	*ret = calloc(1, sizeof(**ret));
	return *ret ? 0 : -ENOMEM;
}

void story_peers_free(struct story_peers *t)
{
	free(t);
}

/* Keys and addresses of strangers meet only what waits for them: no secret hash is needed. */
static unsigned hash(const uint8_t *bytes, size_t n)
{
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < n; i++)
		h = (h ^ bytes[i]) * 16777619u;
	return h ^ h >> 15;
}

struct story_peer *story_peers_of(struct story_peers *t, const struct capture_record *r)
{
	struct story_peer *set, *p;

	if (!r->has_peer) {
		t->nobody = (struct story_peer){.used = false};
		return &t->nobody;
	}
	p = set = t->peers[hash(r->public_key, sizeof(r->public_key)) % SETS];
	for (unsigned i = 0; i < WAYS; i++) {
		if (set[i].used && !memcmp(set[i].key, r->public_key, sizeof(r->public_key))) {
			set[i].last_ns = r->real_ns;
			return &set[i];
		}
		if (p->used && (!set[i].used || set[i].last_ns < p->last_ns))
			p = &set[i];
	}
	*p = (struct story_peer){.used = true, .last_ns = r->real_ns};
	memcpy(p->key, r->public_key, sizeof(p->key));
	return p;
}

static bool same_host(const struct story_address *a, const struct story_address *b)
{
	return a->family == b->family && !memcmp(a->bytes, b->bytes, sizeof(a->bytes));
}

static struct story_awaited *slot(struct story_peers *t, const struct story_address *at)
{
	return &t->awaited[hash(at->bytes, sizeof(at->bytes)) % AWAITED];
}

void story_peers_await(struct story_peers *t, const struct story_peer *p, bool anew)
{
	struct story_awaited *a = slot(t, &p->at);

	if (!p->at.family || (!anew && same_host(&a->at, &p->at)))
		return;
	*a = (struct story_awaited){.at = p->at, .icmp = same_host(&a->at, &p->at) ? a->icmp : (struct icmp_error){.says = 0}};
}

void story_peers_hear(struct story_peers *t, const struct story_address *at, uint16_t drop)
{
	struct story_awaited *a = slot(t, at);

	if (!at->family || !same_host(&a->at, at))
		return;
	a->heard = true;
	a->drop = drop;
}

void story_peers_hear_icmp(struct story_peers *t, const struct icmp_error *e)
{
	struct story_address at = {.family = e->family};
	struct story_awaited *a;

	memcpy(at.bytes, e->to, sizeof(at.bytes));
	a = slot(t, &at);
	if (same_host(&a->at, &at))
		a->icmp = *e;
}

const struct story_awaited *story_peers_heard(const struct story_peers *t, const struct story_peer *p)
{
	const struct story_awaited *a = slot((struct story_peers *)t, &p->at);

	return p->at.family && same_host(&a->at, &p->at) ? a : NULL;
}

void story_peers_down(struct story_peers *t)
{
	for (unsigned i = 0; i < SETS; i++)
		for (unsigned k = 0; k < WAYS; k++) {
			struct story_peer *p = &t->peers[i][k];

			p->session = STORY_SESSION_NONE;
			p->retries = false;
			p->responded_ns = p->attempt = 0;
		}
}
