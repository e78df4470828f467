/* Peers and indices come and go at every moment of a handshake. */
#include "sim.h"
#include "wg/peer.h"

#include <errno.h>

static uint32_t next_index[8];
static unsigned n_next, at_next;

static void scripted(void *arg, void *buf, size_t len)
{
	if (at_next == n_next)
		abort();
	memcpy(buf, &next_index[at_next++], len);
}

static void two_phase(void)
{
	struct reclaim r;
	struct index_table t;
	struct index_entry a = {.type = INDEX_KEYPAIR}, b = {.type = INDEX_KEYPAIR}, c = {.type = INDEX_HANDSHAKE};

	CHECK(!reclaim_init(&r, 1));
	CHECK(!index_init(&t, &r, scripted, NULL));
	next_index[0] = 7;
	next_index[1] = 7; /* taken meanwhile: another is drawn */
	next_index[2] = 7;
	next_index[3] = 71; /* the same slot */
	n_next = 4;
	at_next = 0;
	CHECK(!index_pick(&t, &a));
	CHECK(!index_lookup(&t, 7)); /* picked is not yet visible */
	index_publish(&t, &a);
	CHECK(index_lookup(&t, 7) == &a);
	CHECK(!index_pick(&t, &b));
	CHECK_EQ(b.index, 71);
	CHECK_EQ(at_next, 4);
	index_publish(&t, &b);
	index_replace(&t, &a, &c);
	CHECK_EQ(c.index, 7);
	CHECK(index_lookup(&t, 7) == &c);
	index_release(&t, &c);
	CHECK(!index_lookup(&t, 7));
	CHECK(index_lookup(&t, 71) == &b); /* probed over the tombstone */
	index_release(&t, &b);
	CHECK_EQ(index_count(&t), 0);
	reclaim_done(&r);
	index_done(&t);
}

static void random_index(void *arg, void *buf, size_t len)
{
	uint32_t v = (uint32_t)(test_random(arg) >> 32) & 0x3fff; /* few, so that they collide */

	memcpy(buf, &v, len);
}

static void unique(void)
{
	enum { N = 4000 };
	static struct index_entry e[N], *by[0x4000];
	uint64_t seed = 5;
	struct reclaim r;
	struct index_table t;
	unsigned live = 0;

	memset(by, 0, sizeof(by));
	memset(e, 0, sizeof(e));
	CHECK(!reclaim_init(&r, 1));
	CHECK(!index_init(&t, &r, random_index, &seed));
	for (unsigned i = 0; i < 200000; i++) {
		struct index_entry *x = &e[test_random(&seed) % N];

		if (!x->type) {
			CHECK(!index_pick(&t, x));
			CHECK(!by[x->index]);
			x->type = INDEX_KEYPAIR;
			index_publish(&t, x);
			by[x->index] = x;
			live++;
		} else {
			index_release(&t, x);
			by[x->index] = NULL;
			x->type = 0;
			live--;
		}
		uint32_t q = (uint32_t)(test_random(&seed) % 0x4000);
		CHECK(index_lookup(&t, q) == by[q]);
		CHECK_EQ(index_count(&t), live);
		if (i % 100 == 0)
			reclaim_poll(&r);
	}
	reclaim_done(&r);
	index_done(&t);
}

/* Remove the peer after k steps of a handshake, at either end. */
static void teardown(void)
{
	for (unsigned end = 0; end < 2; end++) {
		for (unsigned k = 0; k < 5; k++) {
			struct sim *s = sim_pair(k + 10, true);
			struct wg_device *d = s->hosts[end].device;

			s->hold[0] = s->hold[1] = SIM_ALL;
			sim_send(s, 0, 1, 100);
			sim_settle(s);
			for (unsigned i = 0; i < k && i < s->n_held; i++)
				sim_release(s, i);
			if (s->n_held) { /* the next message is queued when the peer goes */
				const struct sim_held *h = &s->held[min(k, s->n_held - 1)];

				sim_receive(s, end, &h->src, h->bytes, h->len);
			}
			sim_send(s, end, !end, 100); /* and it is signalled, with packets waiting */
			wg_device_remove_peer(d, sim_peer(s, end, !end));
			CHECK(!sim_peer(s, end, !end));
			sim_settle(s);
			sim_release_all(s);
			sim_advance(s, S(20));
			CHECK_EQ(index_count(&d->index), 0);
			CHECK_EQ(d->staged_bytes, 0);
			CHECK_EQ(d->timers.n, 0);
			CHECK(!d->reclaim.first);
			sim_free(s);
		}
	}
}

/* A worker that still holds the peer's keypair: what it does is harmless, and the memory stays until it is done. */
static void dead_peer(void)
{
	struct sim *s = sim_session(20);
	struct wg_device *d = s->hosts[1].device;
	struct wg_peer *b = sim_peer(s, 1, 0);
	struct wg_worker *w = wg_device_worker(d, 0);
	struct wg_rx_packet pkt;
	struct wg_tx_run run;
	uint8_t out[64];

	s->hold[0] = SIM_ALL;
	sim_send(s, 0, 1, 64);
	sim_settle(s);
	wg_worker_online(w);
	CHECK_EQ(wg_tx_reserve(w, b, s->now.boot_ns, 1, true, &run), 0);
	pkt = (struct wg_rx_packet){.msg = s->held[0].bytes, .len = (uint32_t)s->held[0].len};
	wg_rx_open(w, s->now.boot_ns, &pkt, 1);
	wg_device_remove_peer(d, b);
	for (unsigned i = 0; i < 3; i++)
		CHECK(wg_device_run(d, s->now) <= s->now.boot_ns + MS(100));
	wg_tx_seal(w, &run, 0, out + 16, 0, out);
	wg_rx_commit(w, s->now.boot_ns, &s->held[0].src, &pkt, 1);
	wg_rx_filter(w, &pkt, 1);
	CHECK(pkt.drop != WG_DROP_NONE || !pkt.len); /* nobody's allowed IPs hold the source any more */
	wg_tx_stage(w, b, out, 32);
	CHECK(wg_tx_reserve(w, b, s->now.boot_ns, 1, true, &run) < 0);
	wg_worker_offline(w);
	sim_settle(s);
	CHECK(!d->reclaim.first);
	CHECK_EQ(index_count(&d->index), 0);
	CHECK_EQ(d->staged_bytes, 0);
	sim_free(s);

	/* The response was on its way: it makes no session. */
	s = sim_pair(21, false);
	s->hold[1] = SIM_ALL;
	sim_send(s, 0, 1, 100);
	sim_settle(s);
	wg_device_queue(s->hosts[0].device, &s->held[0].src, s->held[0].bytes, s->held[0].len);
	wg_device_remove_peer(s->hosts[0].device, sim_peer(s, 0, 1));
	sim_settle(s);
	CHECK_EQ(index_count(&s->hosts[0].device->index), 0);
	CHECK_EQ(sim_count(s, 0, WG_MESSAGE_DATA, 0), 0);
	sim_free(s);
}

/* Effects that name a peer are drained after its removal and a run: it must still be there. */
static void effects_of_removed(void)
{
	struct sim *s = sim_pair(22, false);
	struct wg_device *d = s->hosts[0].device;
	struct wg_peer *a = sim_peer(s, 0, 1);
	struct wg_effect e;
	unsigned named = 0;

	wg_peer_set_keepalive(a, 5);
	wg_peer_configured(d, a, s->now);
	wg_device_remove_peer(d, a);
	wg_device_run(d, s->now);
	while (wg_device_effect(d, &e))
		if (e.peer) {
			CHECK_MEM(wg_peer_public_key(e.peer), s->hosts[1].public_key, 32);
			named++;
		}
	CHECK(named > 0);
	sim_settle(s);
	CHECK(!d->reclaim.first);
	sim_free(s);
}

static void many_peers(void)
{
	struct sim *s = sim_new(sim_workers, 1, 23);
	struct wg_device *d = s->hosts[0].device;
	struct wg_peer *p;
	uint8_t key[32] = {1};
	unsigned n = 0;

	for (uint32_t i = 0; i < 20000; i++) {
		put_le32(key + 8, i);
		CHECK(!wg_device_add_peer(d, key, &p));
	}
	CHECK_EQ(wg_device_add_peer(d, key, &p), -EEXIST);
	for (p = wg_device_first_peer(d); p; p = wg_peer_next(p), n++)
		CHECK_EQ(get_le32(wg_peer_public_key(p) + 8), n);
	CHECK_EQ(n, 20000);
	for (uint32_t i = 0; i < 20000; i += 2) {
		put_le32(key + 8, i);
		wg_device_remove_peer(d, wg_device_peer(d, key));
	}
	for (uint32_t i = 0; i < 20000; i++) {
		put_le32(key + 8, i);
		CHECK_EQ(wg_device_peer(d, key) != NULL, i % 2);
	}
	/* The limit, without a million allocations. */
	d->n_peers = WG_PEERS_MAX;
	put_le32(key + 8, 5000000);
	CHECK_EQ(wg_device_add_peer(d, key, &p), -ENOSPC);
	CHECK(!wg_device_peer(d, key));
	d->n_peers = 10000;
	CHECK(!wg_device_add_peer(d, key, &p));
	sim_free(s);
}

static void prefixes(void)
{
	struct sim *s = sim_new(sim_workers, 3, 24);
	struct wg_device *d = s->hosts[0].device;
	struct wg_worker *w = wg_device_worker(d, 0);
	struct wg_peer *a, *b;
	uint8_t net[4] = {10, 0, 0, 77}, p[100];
	struct wg_prefix x;
	enum wg_drop drop;
	void *at = NULL;

	sim_connect(s, 0, 1, false);
	sim_connect(s, 0, 2, false);
	a = sim_peer(s, 0, 1);
	b = sim_peer(s, 0, 2);
	sim_ipv4(p, 100, 0, 200, 0);
	CHECK(!wg_peer_allow(d, a, AF_INET, net, 24)); /* masked */
	CHECK(wg_tx_route(w, p, 100, &drop) == a);
	CHECK(!wg_peer_allow(d, b, AF_INET, net, 24)); /* moves */
	CHECK(wg_tx_route(w, p, 100, &drop) == b);
	wg_peer_disallow(d, a, AF_INET, net, 24); /* not its own: nothing */
	CHECK(wg_tx_route(w, p, 100, &drop) == b);
	CHECK_EQ(wg_peer_allow(d, a, AF_INET, net, 33), -EINVAL);
	CHECK_EQ(wg_peer_allow(d, a, AF_UNIX, net, 3), -EINVAL);
	unsigned n = 0;
	while (wg_peer_prefix(b, &at, &x))
		n++;
	CHECK_EQ(n, 3);
	wg_peer_disallow_all(d, b);
	CHECK(!wg_tx_route(w, p, 100, &drop));
	at = NULL;
	CHECK(!wg_peer_prefix(b, &at, &x));
	sim_ipv4(p, 100, 0, 1, 0);
	CHECK(wg_tx_route(w, p, 100, &drop) == a);
	wg_device_remove_peer(d, a);
	CHECK(!wg_tx_route(w, p, 100, &drop));
	CHECK_EQ(allowedips_n_nodes(&d->allowedips), 0);
	sim_free(s);
}

static const struct sim_test tests[] = {
	{"an index taken after it was looked at is not given twice [index-two-phase] [index-replaced-in-place]", two_phase},
	{"no two live entries ever share an index [index-unique] [index-random]", unique},
	{"a peer removed at any moment of a handshake leaves nothing behind [index-teardown] [tx-flush-remove]", teardown},
	{"a worker that still holds a removed peer does no harm, and no session comes of it [index-dead-peer]", dead_peer},
	{"effects outlive the peers that they name", effects_of_removed},
	{"peers are found, listed in order and refused at the limit [peers-max]", many_peers},
	{"prefixes are masked, moved, and removed with their peer [trie-mask] [trie-move-prefix] [trie-remove-exact] "
	 "[trie-remove-peer] [trie-bad-cidr]", prefixes},
};

int main(void)
{
	return sim_main(tests, array_size(tests));
}
