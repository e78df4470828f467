#include "scope/condense.h"

#include "base/util.h"

#define SECOND_NS 1000000000ull

static bool same_kind(const struct capture_record *a, const struct capture_record *b)
{
	return a->kind == b->kind && a->event == b->event && a->drop == b->drop && a->has_peer == b->has_peer &&
	       (!a->has_peer || !memcmp(a->public_key, b->public_key, sizeof(a->public_key)));
}

bool condense_take(struct condense *c, const struct capture_record *r, uint64_t now_ns)
{
	struct condensed *free_ = NULL, *k;

	for (k = c->kinds; k < c->kinds + CONDENSE_KINDS; k++) {
		if (k->begun_ns && same_kind(&k->of, r))
			break;
		if (!k->begun_ns && !free_)
			free_ = k;
	}
	if (k == c->kinds + CONDENSE_KINDS) {
		/* So many kinds in one second are all printed. */
		if (!free_)
			return true;
		k = free_;
		*k = (struct condensed){.begun_ns = now_ns ? now_ns : 1};
	}
	k->of = *r;
	if (k->shown < CONDENSE_LINES) {
		k->shown++;
		return true;
	}
	k->held += r->n;
	return false;
}

bool condense_due(struct condense *c, uint64_t now_ns, struct condensed *ret)
{
	for (unsigned i = 0; i < CONDENSE_KINDS; i++) {
		struct condensed *k = &c->kinds[i];
		bool held = k->held;

		if (!k->begun_ns || (now_ns != UINT64_MAX && now_ns < k->begun_ns + SECOND_NS))
			continue;
		*ret = *k;
		/* A kind that goes on prints nothing but counts, until a second is quiet. */
		if (held && now_ns != UINT64_MAX) {
			k->begun_ns = max(now_ns, (uint64_t)1);
			k->held = 0;
		} else {
			k->begun_ns = 0;
		}
		if (held)
			return true;
	}
	return false;
}

int condense_next_ms(const struct condense *c, uint64_t now_ns, int longest_ms)
{
	uint64_t ms = (uint64_t)longest_ms;

	for (unsigned i = 0; i < CONDENSE_KINDS; i++) {
		const struct condensed *k = &c->kinds[i];
		uint64_t due = k->begun_ns + SECOND_NS;

		if (k->begun_ns && k->held)
			ms = min(ms, due <= now_ns ? 0 : (due - now_ns) / 1000000 + 1);
	}
	return (int)ms;
}
