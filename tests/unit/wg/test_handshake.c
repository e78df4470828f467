/* Who accepts which message when, and which of a peer's sessions is used for what. */
#include "sim.h"
#include "wg/peer.h"

#include <errno.h>

static void initiation_at(struct sim *s, unsigned from, unsigned to, uint64_t real_ns, uint32_t index)
{
	struct wg_endpoint src = sim_endpoint(s, from);
	struct wg_initiation m;
	uint8_t ts[12];

	noise_timestamp(real_ns, ts);
	sim_initiation(s, from, to, ts, index, &m);
	sim_receive(s, to, &src, &m, sizeof(m));
	sim_settle(s);
}

static unsigned responses(struct sim *s)
{
	return sim_count(s, 1, WG_MESSAGE_RESPONSE, 0);
}

static void flood(void)
{
	struct sim *s = sim_pair(1, false);
	uint64_t t = s->now.real_ns;

	s->lose[1] = SIM_ALL;
	initiation_at(s, 0, 1, t, 1);
	CHECK_EQ(responses(s), 1);
	sim_advance(s, MS(20) - 1);
	initiation_at(s, 0, 1, t + S(1), 2);
	CHECK_EQ(responses(s), 1);
	CHECK_EQ(sim_drops(s, 1, WG_DROP_FLOOD), 1);
	/* The refused one counts for nothing: neither its time nor its timestamp. */
	sim_advance(s, 1);
	initiation_at(s, 0, 1, t + MS(500), 3);
	CHECK_EQ(responses(s), 2);
	sim_free(s);
}

static void replayed(void)
{
	struct sim *s = sim_pair(2, false);
	struct wg_endpoint src = sim_endpoint(s, 1);
	uint32_t next;

	s->hold[0] = SIM_TYPE(WG_MESSAGE_INITIATION);
	sim_send(s, 0, 1, 100);
	sim_settle(s);
	sim_release(s, 0);
	CHECK_EQ(responses(s), 1);
	CHECK_EQ(s->hosts[1].n_delivered, 1);
	sim_advance(s, S(1));
	next = sim_peer(s, 1, 0)->current->entry.index;
	struct wg_endpoint before = ENDPOINT(sim_peer(s, 1, 0));
	s->held[0].src.dst.port = 7; /* replayed from elsewhere */
	sim_release(s, 0);
	CHECK_EQ(responses(s), 1);
	CHECK_EQ(sim_drops(s, 1, WG_DROP_OLD_TIMESTAMP), 1);
	CHECK_EQ(sim_peer(s, 1, 0)->current->entry.index, next);
	CHECK(!sim_peer(s, 1, 0)->next);
	CHECK(wg_endpoint_equal(&before, &ENDPOINT(sim_peer(s, 1, 0))));
	/* Link down, keys zeroed: still known. */
	wg_device_down(s->hosts[1].device);
	wg_device_up(s->hosts[1].device, s->now);
	sim_release(s, 0);
	CHECK_EQ(responses(s), 1);
	s->lose[0] = s->lose[1] = SIM_ALL;
	sim_advance(s, S(3600));
	sim_release(s, 0);
	CHECK_EQ(responses(s), 1);
	/* Only the peer's removal forgets it. */
	wg_device_remove_peer(s->hosts[1].device, sim_peer(s, 1, 0));
	struct wg_peer *p;
	CHECK(!wg_device_add_peer(s->hosts[1].device, s->hosts[0].public_key, &p));
	sim_release(s, 0);
	CHECK_EQ(responses(s), 2);
	(void)src;
	sim_free(s);
}

/* Timestamps are compared as big-endian bytes: an earlier second with greater nanoseconds is older. */
static void big_endian(void)
{
	struct sim *s = sim_pair(3, false);
	uint64_t t = s->now.real_ns;

	s->lose[1] = SIM_ALL;
	initiation_at(s, 0, 1, t + S(256), 1);
	CHECK_EQ(responses(s), 1);
	sim_advance(s, S(1));
	initiation_at(s, 0, 1, t + S(255) + MS(900), 2);
	CHECK_EQ(responses(s), 1);
	initiation_at(s, 0, 1, t + S(257), 2);
	CHECK_EQ(responses(s), 2);
	sim_free(s);
}

static void response_states(void)
{
	struct sim *s = sim_pair(4, false);
	uint8_t forged[92];
	struct cookie_maker to0;

	cookie_maker_init(&to0, s->hosts[0].public_key);
	s->hold[1] = SIM_TYPE(WG_MESSAGE_RESPONSE);
	sim_send(s, 0, 1, 100);
	sim_settle(s);
	/* For an index that nobody has. */
	memcpy(forged, s->held[0].bytes, 92);
	forged[8] ^= 1;
	cookie_add_macs(&to0, 0, forged, 92);
	struct wg_endpoint src = sim_endpoint(s, 1);
	sim_receive(s, 0, &src, forged, 92);
	sim_settle(s);
	CHECK_EQ(sim_drops(s, 0, WG_DROP_WRONG_STATE), 1);
	CHECK(!sim_peer(s, 0, 1)->current);
	/* Twice. */
	sim_release(s, 0);
	struct wg_keypair *k = sim_peer(s, 0, 1)->current;
	CHECK(k);
	unsigned n = s->n_records;
	sim_release(s, 0); /* its index is now a session's */
	CHECK_EQ(sim_drops(s, 0, WG_DROP_WRONG_STATE), 2);
	CHECK(sim_peer(s, 0, 1)->current == k);
	CHECK_EQ(s->n_records, n);
	sim_free(s);
}

static void late_response(void)
{
	struct sim *s = sim_pair(5, false);

	s->hold[1] = SIM_TYPE(WG_MESSAGE_RESPONSE);
	sim_send(s, 0, 1, 100);
	sim_advance(s, S(5) + MS(400)); /* the second initiation went out */
	CHECK_EQ(s->n_held, 2);
	sim_release(s, 0);
	CHECK(!sim_peer(s, 0, 1)->current);
	CHECK_EQ(sim_drops(s, 0, WG_DROP_WRONG_STATE), 1);
	sim_release(s, 1);
	CHECK(sim_peer(s, 0, 1)->current);
	CHECK_EQ(s->hosts[1].n_delivered, 1);
	sim_free(s);
}

static void slow_response(void)
{
	struct sim *s = sim_pair(6, false);

	s->hold[1] = SIM_TYPE(WG_MESSAGE_RESPONSE);
	sim_send(s, 0, 1, 100);
	sim_advance(s, S(4) + MS(999));
	sim_release(s, 0);
	CHECK(sim_peer(s, 0, 1)->current);
	CHECK_EQ(s->hosts[1].n_delivered, 1);
	sim_free(s);
}

static void fresh(void)
{
	struct sim *s = sim_pair(7, false);
	const struct sim_record *seen[64];
	unsigned n = 0;

	s->hold[1] = SIM_TYPE(WG_MESSAGE_RESPONSE);
	sim_send(s, 0, 1, 100);
	sim_advance(s, S(60));
	for (unsigned i = 0; i < s->n_records; i++) {
		const struct sim_record *r = &s->records[i];
		unsigned at = r->type == WG_MESSAGE_INITIATION ? 8 : 12;

		CHECK(r->type == WG_MESSAGE_INITIATION || r->type == WG_MESSAGE_RESPONSE);
		for (unsigned j = 0; j < n; j++) {
			CHECK(get_le32(seen[j]->bytes + 4) != get_le32(r->bytes + 4));
			CHECK(memcmp(seen[j]->bytes + (seen[j]->type == WG_MESSAGE_INITIATION ? 8 : 12),
				r->bytes + at, 32));
		}
		seen[n++] = r;
	}
	CHECK(n >= 20);
	/* Initiator: only the newest initiation's index.  Responder: only the newest session's. */
	CHECK_EQ(index_count(&s->hosts[0].device->index), 1);
	CHECK_EQ(index_count(&s->hosts[1].device->index), 1);
	for (unsigned i = 0; i < s->n_held - 1; i++) {
		sim_release(s, i);
		CHECK(!sim_peer(s, 0, 1)->current);
	}
	sim_free(s);
}

static void unasked_response(void)
{
	struct sim *s = sim_pair(8, true);

	/* Nothing was consumed, so nothing is answered: not even to data, cookies or responses. */
	s->hold[1] = SIM_TYPE(WG_MESSAGE_RESPONSE);
	sim_send(s, 0, 1, 100);
	sim_settle(s);
	struct wg_endpoint src = sim_endpoint(s, 0);
	unsigned n = s->n_records;
	uint8_t cookie[64] = {3}, data[32] = {4};
	sim_receive(s, 1, &src, s->held[0].bytes, 92);
	sim_receive(s, 1, &src, cookie, 64);
	sim_receive(s, 1, &src, data, 32);
	sim_settle(s);
	CHECK_EQ(s->n_records, n);
	CHECK_EQ(responses(s), 1);
	sim_free(s);
}

static void session_first(void)
{
	struct sim *s = sim_pair(9, false);

	/* The response is queued as an effect, and the session is there before anybody sends it. */
	s->hold[0] = SIM_TYPE(WG_MESSAGE_INITIATION);
	sim_send(s, 0, 1, 100);
	sim_settle(s);
	struct wg_device *d = s->hosts[1].device;
	CHECK(!wg_device_queue(d, &s->held[0].src, s->held[0].bytes, s->held[0].len));
	wg_device_run(d, s->now);
	CHECK(sim_peer(s, 1, 0)->next);
	struct index_entry *e = index_lookup(&d->index, sim_peer(s, 1, 0)->next->entry.index);
	CHECK(e == &sim_peer(s, 1, 0)->next->entry);
	sim_settle(s);
	CHECK_EQ(s->hosts[1].n_delivered, 1);
	sim_free(s);
}

static void answer_suppresses(void)
{
	struct sim *s = sim_pair(10, true);

	s->lose[1] = SIM_ALL;
	sim_send(s, 0, 1, 100);
	sim_settle(s);
	CHECK_EQ(responses(s), 1);
	s->lose[0] = SIM_ALL;
	for (unsigned i = 0; i < 49; i++) {
		sim_send(s, 1, 0, 100);
		sim_advance(s, MS(100));
		CHECK_EQ(sim_count(s, 1, WG_MESSAGE_INITIATION, 0), 0);
	}
	/* What waits is not forgotten, though nobody sends any more. */
	sim_advance(s, MS(600));
	CHECK_EQ(sim_count(s, 1, WG_MESSAGE_INITIATION, 0), 1);
	sim_free(s);
}

static void confirm_staged(void)
{
	struct sim *s = sim_pair(11, false);

	for (uint32_t i = 0; i < 5; i++)
		sim_send_tag(s, 0, 1, 100, i);
	sim_settle(s);
	CHECK_EQ(sim_count(s, 0, WG_MESSAGE_DATA, 0), 5); /* no keepalive beside them */
	CHECK_EQ(s->hosts[1].n_delivered, 5);
	for (uint32_t i = 0; i < 5; i++)
		CHECK_EQ(s->hosts[1].tags[i], i);
	sim_free(s);
}

static void confirm_keepalive(void)
{
	struct sim *s = sim_pair(12, false);

	wg_peer_set_keepalive(sim_peer(s, 0, 1), 0);
	handshake_initiate(sim_peer(s, 0, 1), false);
	sim_settle(s);
	CHECK_EQ(sim_count(s, 0, WG_MESSAGE_DATA, 0), 1);
	CHECK_EQ(sim_newest(s, 0, WG_MESSAGE_DATA)->len, 32);
	CHECK(sim_peer(s, 1, 0)->current); /* it confirmed */
	sim_advance(s, S(100));
	CHECK_EQ(sim_count(s, 0, WG_MESSAGE_DATA, 0), 1);
	CHECK_EQ(sim_count(s, 1, WG_MESSAGE_DATA, 0), 0);
	sim_free(s);
}

static void crossed(void)
{
	for (unsigned seed = 0; seed < 8; seed++) {
		struct sim *s = sim_pair(seed + 100, true);
		uint64_t t = s->now.boot_ns;

		s->hold[0] = s->hold[1] = SIM_TYPE(WG_MESSAGE_INITIATION);
		sim_send_tag(s, 0, 1, 100, 1);
		sim_send_tag(s, 1, 0, 100, 2);
		sim_settle(s);
		CHECK_EQ(s->n_held, 2);
		s->hold[0] = s->hold[1] = SIM_TYPE(WG_MESSAGE_RESPONSE);
		sim_advance(s, MS(150));
		for (unsigned i = 0; i < 2; i++)
			sim_release(s, i);
		CHECK_EQ(s->n_held, 4);
		s->hold[0] = s->hold[1] = 0;
		sim_advance(s, MS(150));
		sim_release(s, 2);
		sim_release(s, 3);
		CHECK_EQ(s->hosts[0].n_delivered, 1);
		CHECK_EQ(s->hosts[1].n_delivered, 1);
		CHECK(s->now.boot_ns - t < S(1));
		sim_forget(s);
		for (unsigned i = 0; i < 100; i++) {
			sim_send(s, 0, 1, 100);
			sim_send(s, 1, 0, 100);
			sim_advance(s, S(1));
		}
		CHECK_EQ(s->hosts[0].n_delivered, 101);
		CHECK_EQ(s->hosts[1].n_delivered, 101);
		CHECK_EQ(sim_count(s, 0, WG_MESSAGE_INITIATION, 0) + sim_count(s, 1, WG_MESSAGE_INITIATION, 0), 0);
		sim_free(s);
	}
}

/* Also when both responses are lost, whatever the latency. */
static void crossed_lost(void)
{
	for (unsigned seed = 0; seed < 8; seed++) {
		struct sim *s = sim_pair(seed + 200, true);

		s->hold[0] = s->hold[1] = SIM_TYPE(WG_MESSAGE_INITIATION);
		sim_send(s, 0, 1, 100);
		sim_send(s, 1, 0, 100);
		sim_advance(s, MS(900));
		s->hold[0] = s->hold[1] = 0;
		s->lose[0] = s->lose[1] = SIM_TYPE(WG_MESSAGE_RESPONSE);
		sim_release_all(s);
		s->lose[0] = s->lose[1] = 0;
		sim_advance(s, S(12));
		CHECK_EQ(s->hosts[0].n_delivered, 1);
		CHECK_EQ(s->hosts[1].n_delivered, 1);
		sim_free(s);
	}
}

/* ---- the three sessions of a peer ---- */

static void rekey(struct sim *s, unsigned from)
{
	sim_advance(s, S(6));
	handshake_initiate(sim_peer(s, from, !from), false);
	sim_settle(s);
}

static void rotation(void)
{
	struct sim *s = sim_session(13);
	struct wg_peer *a = sim_peer(s, 0, 1), *b = sim_peer(s, 1, 0);
	uint32_t first = a->current->entry.index, second;

	CHECK(!a->previous && !a->next);
	rekey(s, 0);
	second = a->current->entry.index;
	CHECK(a->previous && a->previous->entry.index == first);
	CHECK(!a->next && second != first);
	rekey(s, 0);
	CHECK_EQ(a->previous->entry.index, second);
	CHECK(!index_lookup(&s->hosts[0].device->index, first)); /* the older is gone */
	CHECK_EQ(index_count(&s->hosts[0].device->index), 2);
	CHECK(b->current && b->previous && !b->next);
	CHECK_EQ(index_count(&s->hosts[1].device->index), 2);
	sim_free(s);
}

static void initiator_next(void)
{
	struct sim *s = sim_session(14);
	struct wg_peer *b = sim_peer(s, 1, 0);
	uint32_t old = b->current->entry.index, next;

	sim_advance(s, S(6));
	s->lose[1] = SIM_TYPE(WG_MESSAGE_RESPONSE);
	handshake_initiate(sim_peer(s, 0, 1), false);
	sim_settle(s);
	CHECK(b->next);
	next = b->next->entry.index;
	s->lose[1] = 0;
	sim_advance(s, MS(4900));
	/* b now makes one of its own while next awaits confirmation. */
	atomic_store(&b->initiated_ns, 0);
	handshake_initiate(b, false);
	sim_settle(s);
	CHECK(!b->next);
	CHECK(b->previous && b->previous->entry.index == next);
	CHECK(b->current->initiator);
	CHECK(!index_lookup(&s->hosts[1].device->index, old));
	sim_free(s);
}

static void responder_next(void)
{
	struct sim *s = sim_session(15);
	struct wg_peer *b = sim_peer(s, 1, 0);
	uint32_t first = b->current->entry.index, second, next;

	rekey(s, 0);
	second = b->current->entry.index;
	CHECK_EQ(b->previous->entry.index, first);
	s->lose[1] = SIM_TYPE(WG_MESSAGE_RESPONSE);
	rekey(s, 0);
	CHECK(b->next && !b->previous);
	CHECK_EQ(b->current->entry.index, second);
	CHECK(!index_lookup(&s->hosts[1].device->index, first));
	next = b->next->entry.index;
	rekey(s, 0);
	CHECK(b->next->entry.index != next);
	CHECK(!index_lookup(&s->hosts[1].device->index, next));
	CHECK_EQ(b->current->entry.index, second);
	sim_free(s);
}

static void responder_confirm(void)
{
	struct sim *s = sim_session(16);
	struct wg_peer *b = sim_peer(s, 1, 0);
	struct wg_keypair *old = b->current, *next;
	uint64_t sent = old->send_counter;

	s->hold[0] = SIM_TYPE(WG_MESSAGE_DATA);
	rekey(s, 0);
	next = b->next;
	CHECK(next && b->current == old);
	CHECK_EQ(sim_send(s, 1, 0, 100), 0);
	sim_settle(s);
	CHECK_EQ(old->send_counter, sent + 1);
	CHECK_EQ(next->send_counter, 0);
	CHECK_EQ(s->hosts[0].n_delivered, 2); /* under the previous session */
	sim_release_all(s);
	CHECK(b->current == next && b->previous == old && !b->next);
	CHECK_EQ(sim_send(s, 1, 0, 100), 0);
	CHECK_EQ(next->send_counter, 1);
	sim_settle(s);
	CHECK_EQ(s->hosts[0].n_delivered, 3);
	sim_free(s);
}

/* The worker that took the first packet under a key in answers before the control half has run. */
static void first_answer(void)
{
	struct sim *s = sim_session(17);
	struct wg_peer *b = sim_peer(s, 1, 0);
	struct wg_keypair *next;

	s->hold[0] = SIM_TYPE(WG_MESSAGE_DATA);
	rekey(s, 0);
	next = b->next;
	CHECK(next && s->n_held);
	sim_receive(s, 1, &s->held[0].src, s->held[0].bytes, s->held[0].len);
	CHECK_EQ(sim_send(s, 1, 0, 100), 0);
	CHECK_EQ(next->send_counter, 1);
	CHECK_EQ(get_le32(sim_newest(s, 1, WG_MESSAGE_DATA)->bytes + 4), next->remote_index);
	sim_free(s);
}

static void previous_receives(void)
{
	struct sim *s = sim_session(17);

	s->hold[0] = s->hold[1] = SIM_TYPE(WG_MESSAGE_DATA);
	for (unsigned i = 0; i < 10; i++) {
		sim_send(s, 0, 1, 100);
		sim_send(s, 1, 0, 100);
	}
	sim_settle(s);
	s->hold[0] = s->hold[1] = 0;
	rekey(s, 0);
	sim_send(s, 0, 1, 100);
	sim_settle(s);
	sim_release_all(s);
	CHECK_EQ(s->hosts[0].n_delivered, 11);
	CHECK_EQ(s->hosts[1].n_delivered, 12);
	sim_free(s);
}

static void no_loss(void)
{
	struct sim *s = sim_session(18);

	/* Ten packets are in flight each way over a hundred rekeys. */
	for (unsigned i = 0; i < 12500; i++) {
		if (i % 10 == 5) {
			s->hold[0] = s->hold[1] = SIM_TYPE(WG_MESSAGE_DATA);
		} else if (i % 10 == 0) {
			s->hold[0] = s->hold[1] = 0;
			sim_release_all(s);
			sim_forget(s);
		}
		sim_send_tag(s, 0, 1, 100, i);
		sim_send_tag(s, 1, 0, 100, i);
		sim_advance(s, MS(999));
	}
	s->hold[0] = s->hold[1] = 0;
	sim_release_all(s);
	CHECK_EQ(s->hosts[0].n_delivered, 12501);
	CHECK_EQ(s->hosts[1].n_delivered, 12501);
	CHECK(sim_peer(s, 0, 1)->current->created_ns > S(12000));
	sim_free(s);
}

/* ---- cookies ---- */

static void load(struct sim *s, unsigned at, unsigned n)
{
	struct wg_endpoint src = {.dst = {.bytes = {198, 51, 100, 9}, .port = 9, .family = AF_INET}};
	struct wg_initiation junk = {.type = {1}};

	while (n--)
		sim_receive(s, at, &src, &junk, sizeof(junk));
}

static void cookie_flow(void)
{
	struct sim *s = sim_pair(19, false);
	struct wg_peer_info before, after;
	struct wg_peer *p = sim_peer(s, 0, 1);
	static const uint8_t zero[16];

	load(s, 1, 600);
	sim_send(s, 0, 1, 100);
	wg_peer_info(p, &before);
	struct wg_endpoint e = ENDPOINT(p);
	s->hold[1] = SIM_TYPE(WG_MESSAGE_COOKIE);
	sim_settle(s);
	CHECK_EQ(s->n_held, 1);
	const struct sim_record *i = sim_newest(s, 0, WG_MESSAGE_INITIATION);
	CHECK_MEM(i->bytes + 132, zero, 16);
	CHECK_MEM(s->held[0].bytes + 4, i->bytes + 4, 4); /* to the refused message's sender */
	uint64_t due = p->timers.due_ns[TIMER_RETRANSMIT], heard = p->traversal_ns;
	wg_peer_info(p, &before);
	s->held[0].src.dst.port = 4; /* the reply comes from elsewhere */
	uint8_t bad[64];
	memcpy(bad, s->held[0].bytes, 64);
	bad[4] ^= 1; /* to an index that nobody has */
	sim_receive(s, 0, &s->held[0].src, bad, 64);
	sim_settle(s);
	CHECK(!p->cookie.have_cookie);
	sim_release(s, 0);
	CHECK(p->cookie.have_cookie);
	wg_peer_info(p, &after);
	CHECK_EQ(after.rx_bytes, before.rx_bytes);
	CHECK_EQ(after.tx_bytes, before.tx_bytes);
	CHECK(wg_endpoint_equal(&ENDPOINT(p), &e));
	CHECK_EQ(p->timers.due_ns[TIMER_RETRANSMIT], due);
	CHECK_EQ(p->traversal_ns, heard);
	CHECK_EQ(sim_count(s, 0, WG_MESSAGE_INITIATION, 0), 1); /* no answer but at its time */
	sim_release(s, 0); /* one cookie a mac1 */
	CHECK_EQ(sim_drops(s, 0, WG_DROP_BAD_COOKIE), 2);
	s->hold[1] = 0;
	sim_advance(s, S(4) + MS(990));
	load(s, 1, 700);
	sim_advance(s, MS(400));
	CHECK_EQ(sim_count(s, 0, WG_MESSAGE_INITIATION, 0), 2);
	i = sim_newest(s, 0, WG_MESSAGE_INITIATION);
	CHECK(memcmp(i->bytes + 132, zero, 16));
	if (s->hosts[1].n_delivered != 1) { /* the load had gone before the retry came */
		test_note("no load at the retry");
	}
	CHECK_EQ(s->hosts[1].n_delivered, 1);
	sim_free(s);
}

/* The same with the retry under load for certain, and a response that needs a cookie as well. */
static void cookie_under_load(void)
{
	struct sim *s = sim_pair(20, false);

	s->hold[0] = SIM_TYPE(WG_MESSAGE_INITIATION);
	sim_send(s, 0, 1, 100);
	sim_settle(s);
	load(s, 1, 600);
	sim_release(s, 0);
	CHECK_EQ(sim_count(s, 1, WG_MESSAGE_COOKIE, 0), 1);
	CHECK_EQ(sim_count(s, 1, WG_MESSAGE_RESPONSE, 0), 0);
	CHECK(is_zero_const(sim_peer(s, 1, 0)->last_timestamp, 12));
	sim_advance(s, S(5) + MS(400));
	CHECK_EQ(s->n_held, 2);
	s->hold[1] = SIM_TYPE(WG_MESSAGE_RESPONSE);
	load(s, 1, 600);
	sim_release(s, 1);
	CHECK_EQ(sim_count(s, 1, WG_MESSAGE_RESPONSE, 0), 1);
	/* The initiator is under load too when the response comes. */
	load(s, 0, 600);
	sim_release(s, 2);
	CHECK_EQ(sim_count(s, 0, WG_MESSAGE_COOKIE, 0), 1);
	CHECK(!sim_peer(s, 0, 1)->current);
	CHECK(sim_peer(s, 1, 0)->cookie.have_cookie);
	s->hold[0] = s->hold[1] = 0;
	sim_advance(s, S(6));
	CHECK(sim_peer(s, 0, 1)->current);
	CHECK_EQ(s->hosts[1].n_delivered, 1);
	sim_free(s);
}

/* A cookie is taken by the index of a session as well; and used for 115 s, no longer. */
static void cookie_ages(void)
{
	struct sim *s = sim_session(21);
	struct wg_peer *a = sim_peer(s, 0, 1);
	static const uint8_t zero[16];
	struct cookie_checker *c = &s->hosts[1].device->checker;
	struct wg_cookie_reply reply;
	struct wg_initiation m = {.type = {1}};
	struct wg_endpoint src = sim_endpoint(s, 1);

	put_le32(m.sender, a->current->entry.index);
	memcpy(m.macs.mac1, a->cookie.last_mac1, 16);
	cookie_reply(c, &s->hosts[1].device->config, s->now.boot_ns, &s->hosts[0].addr, &m, sizeof(m), &reply);
	sim_receive(s, 0, &src, &reply, sizeof(reply));
	sim_settle(s);
	CHECK(a->cookie.have_cookie);
	uint64_t got = s->now.boot_ns;
	s->lose[1] = SIM_ALL;
	sim_advance(s, S(114));
	handshake_initiate(a, false);
	sim_settle(s);
	CHECK(memcmp(sim_newest(s, 0, WG_MESSAGE_INITIATION)->bytes + 132, zero, 16));
	unsigned n = s->n_records;
	sim_advance(s, got + S(130) - s->now.boot_ns);
	CHECK(sim_count(s, 0, WG_MESSAGE_INITIATION, n) >= 1);
	for (unsigned i = n; i < s->n_records; i++)
		if (s->records[i].type == WG_MESSAGE_INITIATION)
			CHECK_EQ(!memcmp(s->records[i].bytes + 132, zero, 16), s->records[i].at_ns >= got + S(115));
	sim_free(s);
}

/* ---- private key ---- */

static void new_key(struct sim *s, unsigned i, unsigned seed)
{
	cleanup(x25519_freep) struct x25519 *k = NULL;

	memset(s->hosts[i].private_key, (int)seed, 32);
	CHECK(!x25519_new(s->hosts[i].private_key, &k));
	memcpy(s->hosts[i].public_key, x25519_public(k), 32);
	CHECK(!wg_device_set_private_key(s->hosts[i].device, s->now, s->hosts[i].private_key));
}

static void key_change(void)
{
	struct sim *s = sim_session(22);
	struct wg_peer *a = sim_peer(s, 0, 1), *b = sim_peer(s, 1, 0), *n;
	uint8_t ip[4] = {10, 0, 0, 1};

	sim_forget(s);
	new_key(s, 0, 77);
	CHECK_EQ(sim_send_tag(s, 0, 1, 100, 5), -EAGAIN); /* not under the old session */
	/* b does not know the new key yet */
	sim_settle(s);
	CHECK_EQ(sim_count(s, 0, WG_MESSAGE_DATA, 0), 0);
	CHECK_EQ(sim_count(s, 0, WG_MESSAGE_INITIATION, 0), 1); /* at once, though the last was just now */
	CHECK_EQ(s->hosts[1].n_delivered, 1);
	CHECK_EQ(sim_drops(s, 1, WG_DROP_UNKNOWN_PEER), 1);
	/* The old session still receives. */
	CHECK_EQ(sim_send(s, 1, 0, 100), 0);
	sim_settle(s);
	CHECK_EQ(s->hosts[0].n_delivered, 2);
	wg_device_remove_peer(s->hosts[1].device, b);
	CHECK(!wg_device_add_peer(s->hosts[1].device, s->hosts[0].public_key, &n));
	CHECK(!wg_peer_allow(s->hosts[1].device, n, AF_INET, ip, 32));
	sim_advance(s, S(6));
	CHECK_EQ(s->hosts[1].n_delivered, 2);
	CHECK_EQ(s->hosts[1].tags[1], 5);
	CHECK(a->current->initiator);
	/* The same key again changes nothing. */
	struct wg_keypair *k = a->current;
	CHECK(!wg_device_set_private_key(s->hosts[0].device, s->now, s->hosts[0].private_key));
	CHECK_EQ(sim_send(s, 0, 1, 100), 0);
	CHECK(a->current == k);
	sim_free(s);
}

static void own_peer(void)
{
	struct sim *s = sim_session(23);
	struct wg_peer *p;
	uint8_t first[32];

	CHECK_EQ(wg_device_add_peer(s->hosts[0].device, s->hosts[0].public_key, &p), -EADDRINUSE);
	memcpy(first, s->hosts[1].private_key, 32);
	CHECK(!wg_device_set_private_key(s->hosts[0].device, s->now, first));
	CHECK(!sim_peer(s, 0, 1));
	CHECK(!wg_device_first_peer(s->hosts[0].device));
	sim_settle(s);
	CHECK_EQ(index_count(&s->hosts[0].device->index), 0);
	CHECK_EQ(sim_send(s, 0, 1, 100), -ENOKEY);
	sim_free(s);
}

static void first_key(void)
{
	struct sim *s = sim_pair(24, false);
	static const uint8_t none[32];

	CHECK(!wg_device_set_private_key(s->hosts[0].device, s->now, none));
	for (uint32_t i = 0; i < 3; i++)
		sim_send_tag(s, 0, 1, 100, i);
	sim_advance(s, S(1));
	CHECK_EQ(s->n_records, 0);
	CHECK(!wg_device_set_private_key(s->hosts[0].device, s->now, s->hosts[0].private_key));
	sim_settle(s);
	CHECK_EQ(s->hosts[1].n_delivered, 3);
	sim_free(s);
}

static const struct sim_test tests[] = {
	{"initiations within 20 ms of the last accepted one are refused and move nothing [noise-flood-limit] "
	 "[noise-flood-accepted-only] [noise-state-after-success]", flood},
	{"a replayed initiation is refused as long as the peer lives [noise-timestamp-replay] [noise-timestamp-persists]",
		replayed},
	{"timestamps are compared as big-endian bytes [noise-timestamp-replay]", big_endian},
	{"a response is taken once, and only by a handshake that waits [noise-response-state] [noise-response-twice] "
	 "[index-typed-response]", response_states},
	{"a response to a replaced initiation is ignored [noise-response-late]", late_response},
	{"a response that takes 4.999 s is accepted [noise-response-retry-window]", slow_response},
	{"every message has a new ephemeral key and index, and old ones die [noise-fresh-ephemeral] [noise-fresh-index] "
	 "[index-random]", fresh},
	{"nothing but an initiation makes a response [noise-responder-state]", unasked_response},
	{"the session is there before the response leaves [noise-session-before-response]", session_first},
	{"who answered starts none for 5 s, and does then what is still wanted [noise-answer-suppresses]", answer_suppresses},
	{"waiting packets confirm the session, without a keepalive beside them [noise-confirm-staged]", confirm_staged},
	{"with nothing waiting one keepalive confirms it [noise-confirm-keepalive]", confirm_keepalive},
	{"crossed initiations end with one session at once [noise-crossed-initiations]", crossed},
	{"crossed initiations whose responses are lost are tried again [noise-crossed-initiations]", crossed_lost},
	{"the initiator's current session becomes the previous, the older goes [keypair-initiator-rotation] "
	 "[index-replaced-in-place]", rotation},
	{"an initiator with a session to be confirmed keeps that as the previous [keypair-initiator-next]", initiator_next},
	{"a responder's new session waits; an older next and the previous go [keypair-responder-next]", responder_next},
	{"a responder sends under the old session until the new one is confirmed [keypair-responder-confirm]",
		responder_confirm},
	{"the answer to the first packet under a session goes out under it [keypair-responder-confirm]", first_answer},
	{"packets of the previous session are opened after a rekey [keypair-previous-receives]", previous_receives},
	{"a hundred rekeys with packets in flight lose none [keypair-no-loss]", no_loss},
	{"a cookie comes, moves nothing, and the next initiation carries it [cookie-no-roam] [cookie-no-tick] "
	 "[cookie-consume-index] [cookie-consume-once] [cookie-consume-outstanding] [cookie-used-next] "
	 "[cookie-reply-receiver] [mac-mac2-zero]", cookie_flow},
	{"under load initiation and response get cookies, and with them complete [load-handshake-completes] "
	 "[cookie-reply-response] [load-order-cookie]", cookie_under_load},
	{"a cookie for a session's index is taken, and used for 115 s [cookie-consume-index] [cookie-use-age]", cookie_ages},
	{"a new private key ends sending, and makes a handshake at once [key-change-recompute] [key-change-send-invalid] "
	 "[key-change-handshake-at-once]", key_change},
	{"a peer with our own key goes, and is not added [key-change-own-peer] [own-key-peer-ignored]", own_peer},
	{"packets that waited for the first private key go out [key-first-sends-staged]", first_key},
};

int main(void)
{
	return sim_main(tests, array_size(tests));
}
