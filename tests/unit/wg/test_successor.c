/* A peer that takes the place of another: the same machine with another key. */
#include "sim.h"

#include "wg/peer.h"

struct other {
	uint8_t private[WG_KEY_LEN], public[WG_KEY_LEN];
};

static struct other make_key(uint8_t first)
{
	struct other k = {.private = {first, 7, 7}};
	cleanup(x25519_freep) struct x25519 *x = NULL;

	CHECK_EQ(x25519_new(k.private, &x), 0);
	memcpy(k.public, x25519_public(x), WG_KEY_LEN);
	return k;
}

/* Host 0 has host 1's next key beside its key. */
static struct wg_peer *add_successor(struct sim *s, const struct other *k)
{
	struct wg_peer *p = NULL;

	CHECK_EQ(wg_device_add_peer(s->hosts[0].device, k->public, &p), 0);
	wg_peer_succeed(p, sim_peer(s, 0, 1));
	return p;
}

static void use(struct sim *s, const uint8_t key[WG_KEY_LEN])
{
	CHECK_EQ(wg_device_set_private_key(s->hosts[1].device, s->now, key), 0);
}

static unsigned n_allowed(const struct wg_peer *p)
{
	struct wg_prefix prefix;
	void *at = NULL;
	unsigned n = 0;

	while (wg_peer_prefix(p, &at, &prefix))
		n++;
	return n;
}

/* Both ways, and nothing is lost. */
static void passes(struct sim *s, unsigned from, unsigned to)
{
	unsigned before = s->hosts[to].n_delivered;

	sim_send(s, from, to, 100);
	sim_settle(s);
	CHECK_EQ(s->hosts[to].n_delivered, before + 1);
}

static void takes_over(void)
{
	struct sim *s = sim_session(1);
	struct other k = make_key(9);
	struct wg_peer *old = sim_peer(s, 0, 1), *p = add_successor(s, &k);

	passes(s, 0, 1);
	CHECK(n_allowed(old) == 2 && n_allowed(p) == 0);
	use(s, k.private);
	/* What the old session of the others carries still arrives. */
	passes(s, 0, 1);
	passes(s, 1, 0);
	CHECK(n_allowed(old) == 0 && n_allowed(p) == 2);
	CHECK_EQ(wg_device_moves(s->hosts[0].device), 2);
	for (unsigned i = 0; i < 5; i++) {
		passes(s, 0, 1);
		passes(s, 1, 0);
	}
	CHECK_EQ(sim_drops(s, 0, WG_DROP_INNER_SOURCE), 0);
	sim_free(s);
}

static void old_key_is_over(void)
{
	struct sim *s = sim_session(2);
	struct other k = make_key(9);
	struct wg_peer *p = add_successor(s, &k);
	unsigned before;

	use(s, k.private);
	passes(s, 1, 0);
	use(s, s->hosts[1].private_key);
	before = s->hosts[0].n_delivered;
	sim_send(s, 1, 0, 100);
	sim_settle(s);
	CHECK(s->hosts[0].n_delivered == before && sim_drops(s, 0, WG_DROP_INNER_SOURCE) == 1);
	CHECK_EQ(n_allowed(p), 2);
	sim_free(s);
}

static void old_key_comes_back(void)
{
	struct sim *s = sim_session(3);
	struct other k = make_key(9);
	struct wg_peer *old = sim_peer(s, 0, 1), *p = add_successor(s, &k);
	unsigned before;

	/* The initiation arrives, the response does not: its sender cannot know. */
	use(s, k.private);
	s->lose[0] = SIM_TYPE(WG_MESSAGE_RESPONSE);
	sim_send(s, 1, 0, 100);
	sim_settle(s);
	CHECK(n_allowed(old) == 0 && n_allowed(p) == 2);
	s->lose[0] = 0;
	use(s, s->hosts[1].private_key);
	sim_advance(s, S(1));
	before = s->hosts[0].n_delivered;
	sim_send(s, 1, 0, 100);
	sim_settle(s);
	/* With the one that has waited for an answer to the next key. */
	CHECK_EQ(s->hosts[0].n_delivered, before + 2);
	CHECK(n_allowed(old) == 2 && n_allowed(p) == 0);
	passes(s, 0, 1);
	/* And the next attempt is as good as the first. */
	use(s, k.private);
	sim_advance(s, S(1));
	passes(s, 1, 0);
	CHECK(n_allowed(old) == 0 && n_allowed(p) == 2);
	sim_free(s);
}

/* While the response is on its way somebody configures what was so before. */
static void configured_in_between(void)
{
	struct sim *s = sim_session(8);
	struct other k = make_key(9);
	struct wg_peer *old = sim_peer(s, 0, 1), *p = add_successor(s, &k);
	struct wg_prefix prefix = {.family = 0};
	void *at = NULL;

	use(s, k.private);
	s->hold[0] = SIM_TYPE(WG_MESSAGE_RESPONSE);
	sim_send(s, 1, 0, 100);
	sim_settle(s);
	CHECK_EQ(n_allowed(p), 2);
	CHECK(wg_peer_prefix(p, &at, &prefix));
	CHECK_EQ(wg_peer_allow(s->hosts[0].device, old, prefix.family, prefix.bytes, prefix.cidr), 0);
	s->hold[0] = 0;
	sim_release_all(s);
	CHECK_EQ(n_allowed(old), 0);
	CHECK_EQ(n_allowed(p), 2);
	CHECK(!p->pair);
	passes(s, 1, 0);
	passes(s, 0, 1);
	sim_free(s);
}

static void what_waits_goes_along(void)
{
	struct sim *s = sim_pair(4, true);
	struct other k = make_key(9);
	struct wg_peer *p = add_successor(s, &k);
	unsigned before;

	/* Nobody answers to the old key. */
	use(s, k.private);
	for (unsigned i = 0; i < 3; i++)
		sim_send(s, 0, 1, 100);
	sim_settle(s);
	before = s->hosts[1].n_delivered;
	CHECK_EQ(sim_peer(s, 0, 1)->n_staged, 3);
	passes(s, 1, 0);
	CHECK(s->hosts[1].n_delivered == before + 3 && !p->n_staged &&
		!sim_peer(s, 0, 1)->n_staged);
	sim_free(s);
}

/* The side that has two peers begins the handshake itself. */
static void as_initiator(void)
{
	struct sim *s = sim_pair(5, true);
	struct other k = make_key(9);
	struct wg_peer *p = add_successor(s, &k);

	use(s, k.private);
	wg_peer_set_endpoint(s->hosts[0].device, p, &s->hosts[1].addr);
	wg_peer_set_keepalive(p, 25);
	wg_peer_configured(s->hosts[0].device, p, s->now);
	sim_settle(s);
	CHECK(n_allowed(sim_peer(s, 0, 1)) == 0 && n_allowed(p) == 2);
	passes(s, 0, 1);
	sim_free(s);
}

static void pairs(void)
{
	struct sim *s = sim_session(6);
	struct other k = make_key(9), l = make_key(16);
	struct wg_peer *old = sim_peer(s, 0, 1), *p = add_successor(s, &k),
		       *q = add_successor(s, &l);

	CHECK(old->pair == q && q->pair == old && !p->pair && q->is_successor &&
		!old->is_successor);
	/* One that does not succeed any more gets nothing. */
	use(s, k.private);
	sim_send(s, 1, 0, 100);
	sim_settle(s);
	CHECK(n_allowed(old) == 2 && n_allowed(p) == 0);
	wg_device_remove_peer(s->hosts[0].device, q);
	CHECK(!old->pair);
	wg_peer_succeed(p, old);
	wg_device_remove_peer(s->hosts[0].device, old);
	CHECK(!p->pair);
	wg_peer_succeed(p, p);
	CHECK(!p->pair);
	sim_free(s);
}

/* A session that the peer has made with a key which is not ours any more. */
static void foreign_session(void)
{
	struct sim *s = sim_pair(7, true);
	struct other k = make_key(9);
	struct wg_peer *peer = sim_peer(s, 1, 0);

	s->hold[0] = SIM_TYPE(WG_MESSAGE_DATA);
	sim_send(s, 0, 1, 100);
	sim_settle(s);
	use(s, k.private);
	sim_release_all(s);
	CHECK_EQ(peer->last_handshake_real_ns, 0);
	CHECK_EQ(s->hosts[1].n_delivered, 1);
	sim_free(s);
}

static const struct sim_test tests[] = {
	{"the first handshake of a peer that succeeds another gives it the prefixes, and no packet "
	 "is lost [peer-succeeds]",
		takes_over},
	{"and then the old key has nothing more to say [peer-succeeds]", old_key_is_over},
	{"until the other end has its session, the old key gets them back [peer-succeeds-back]",
		old_key_comes_back},
	{"a request that gives the old key prefixes again before that is overtaken [peer-succeeds-back]", configured_in_between},
	{"what waits for a session goes along [peer-succeeds]", what_waits_goes_along},
	{"also where the handshake was begun here [peer-succeeds]", as_initiator},
	{"a peer succeeds one, and is succeeded by one [peer-succeeds]", pairs},
	{"a session made with a key that is not ours any more counts as no handshake "
	 "[peer-succeeds-back]",
		foreign_session},
};

int main(void)
{
	return sim_main(tests, array_size(tests));
}
