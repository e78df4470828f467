#include "office/given.h"

#include "office/plan.h"
#include "office/settle.h"

#include <errno.h>

ENUM_DEFINE(given_state, GIVEN_STATE_LIST);

static int hash_part(const struct office *part, const uint8_t before[HASH_LEN], uint8_t ret[HASH_LEN])
{
	cleanup(buf_done) struct buf text = buf_of_max(OFFICE_TEXT_MAX);
	int r = office_write(part, DIALECT_BUNDLE, &text);

	if (r < 0)
		return r;
	hash2(ret, before, before ? HASH_LEN : 0, text.data, text.len);
	return 0;
}

/* What of another member is nothing to the one whose part it is. */
static void forget_others_own(const struct office *o, struct member *m)
{
	unsigned mtu = plan_mtu(o, m);

	m->engine = ENGINE_GINNEL;
	m->mtu = m->kind == MEMBER_HUB || !o->hub || mtu >= plan_mtu(o, o->hub) ? 0 : mtu;
	m->learnt_mtu = 0;
	m->phone = false;
	m->lan_address = m->gateway = (struct prefix){0};
	m->device[0] = '\0';
	m->mode = m->learnt_mode = RETURN_AUTO;
	member_set_psk(m, NULL);
}

static void forget_learnt(struct member *m)
{
	m->learnt_mtu = 0;
	m->learnt_mode = RETURN_AUTO;
}

/* A telephone is told the hub's next key only when that is its key. */
static int hash_common(const struct office *o, bool phone, uint8_t ret[HASH_LEN])
{
	const struct member nobody = {.kind = MEMBER_PERSON};
	cleanup(office_freep) struct office *part = NULL;
	int r = settle_part(o, &nobody, &part);

	for (size_t i = 0; r == 0 && i < part->n_members; i++) {
		forget_others_own(o, &part->members[i]);
		part->members[i].has_next_key &= !phone;
	}
	return r < 0 ? r : hash_part(part, NULL, ret);
}

static int hash_hub(const struct office *o, const struct member *hub, uint8_t ret[HASH_LEN])
{
	cleanup(office_freep) struct office *part = NULL;
	int r = settle_part(o, hub, &part);

	for (size_t i = 0; r == 0 && i < part->n_members; i++) {
		if (part->members[i].id == hub->id)
			forget_learnt(&part->members[i]);
		else
			forget_others_own(o, &part->members[i]);
	}
	return r < 0 ? r : hash_part(part, NULL, ret);
}

static int hash_other(const struct given *g, const struct member *m, uint8_t ret[HASH_LEN])
{
	struct member own = *m;
	struct office alone = *g->o;

	own.psk = NULL;
	forget_learnt(&own);
	alone.members = &own;
	alone.n_members = 1;
	return hash_part(&alone, g->common[m->phone], ret);
}

int given_init(const struct office *o, struct given *ret)
{
	int r = 0;

	ret->o = o;
	for (unsigned phone = 0; phone < array_size(ret->common) && r == 0; phone++)
		r = hash_common(o, phone, ret->common[phone]);
	return r;
}

int given_number(const struct given *g, const struct member *m, uint64_t *ret)
{
	uint8_t hash[HASH_LEN], psk = g->o->psk;
	int r = m->kind == MEMBER_HUB ? hash_hub(g->o, m, hash) : hash_other(g, m, hash);

	if (r < 0)
		return r;
	hash2(hash, hash, sizeof(hash), &psk, sizeof(psk));
	*ret = max((uint64_t)get_be32(hash) << 32 | get_be32(hash + 4), (uint64_t)1);
	return 0;
}

int given_state(const struct given *g, const struct member *m, enum given_state *ret)
{
	uint64_t now = 0;
	int r = m->has_key && m->given ? given_number(g, m, &now) : 0;

	if (r < 0)
		return r;
	*ret = !m->has_key ? GIVEN_NO_KEY : !m->given ? GIVEN_NEVER : m->given != now ? GIVEN_OTHER : GIVEN_SAME;
	return 0;
}
