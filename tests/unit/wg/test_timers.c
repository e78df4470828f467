/* The five timers, suppression, clocks that jump, and whole days of fake time. */
#include "sim.h"
#include "wg/peer.h"

#include <errno.h>

static uint64_t at_of(struct sim *s, unsigned from, enum wg_message type, unsigned n)
{
	for (unsigned i = 0; i < s->n_records; i++)
		if (s->records[i].from == from && s->records[i].type == type && !n--)
			return s->records[i].at_ns;
	return 0;
}

static unsigned keepalives(struct sim *s, unsigned from)
{
	unsigned n = 0;

	for (unsigned i = 0; i < s->n_records; i++)
		n += s->records[i].from == from && s->records[i].type == WG_MESSAGE_DATA && s->records[i].len == 32;
	return n;
}

static unsigned initiations(struct sim *s, unsigned from)
{
	return sim_count(s, from, WG_MESSAGE_INITIATION, 0);
}

static void retransmission(void)
{
	unsigned low = 0, high = 0;
	struct sim *s = sim_pair(1, false);

	s->lose[0] = SIM_ALL;
	for (unsigned round = 0; round < 4; round++) {
		sim_forget(s);
		sim_send(s, 0, 1, 100);
		sim_advance(s, S(200));
		CHECK_EQ(initiations(s, 0), 20);
		for (unsigned i = 1; i < 20; i++) {
			uint64_t gap = at_of(s, 0, WG_MESSAGE_INITIATION, i) - at_of(s, 0, WG_MESSAGE_INITIATION, i - 1);

			CHECK(gap >= S(5) && gap <= S(5) + MS(333));
			CHECK_EQ(gap % NS_PER_MS, 0);
			low += gap < S(5) + MS(60);
			high += gap > S(5) + MS(273);
		}
		CHECK_EQ(sim_count_events(s, 0, WG_EVENT_HANDSHAKE_GIVEN_UP), 1);
		CHECK_EQ(sim_count_events(s, 0, WG_EVENT_HANDSHAKE_RETRY), 19);
		CHECK_EQ(sim_drops(s, 0, WG_DROP_STAGED_FLUSHED), round + 1);
		CHECK_EQ(sim_peer(s, 0, 1)->n_staged, 0);
	}
	CHECK(low > 3 && high > 3); /* spread over the whole range: 76 draws */
	sim_free(s);
}

static void give_up(void)
{
	struct sim *s = sim_session(2);
	struct wg_peer *p = sim_peer(s, 0, 1);

	s->lose[0] = s->lose[1] = SIM_ALL;
	sim_send(s, 0, 1, 100);
	sim_advance(s, S(185));
	uint64_t start = p->current->created_ns;
	sim_advance(s, S(539) - (s->now.boot_ns - start));
	CHECK_EQ(initiations(s, 0), 21);
	CHECK(p->current != NULL);
	CHECK_EQ(keepalives(s, 0), 0);
	sim_advance(s, S(2));
	CHECK(!p->current && !p->previous && !p->next && !p->handshake);
	CHECK_EQ(index_count(&s->hosts[0].device->index), 0);
	CHECK_EQ(sim_count_events(s, 0, WG_EVENT_KEYS_ZEROED), 1);
	sim_free(s);

	/* Without any session before, the pending handshake is zeroed 540 s after giving up. */
	s = sim_pair(3, false);
	p = sim_peer(s, 0, 1);
	s->lose[0] = SIM_ALL;
	sim_send(s, 0, 1, 100);
	sim_advance(s, S(110));
	CHECK(p->handshake);
	CHECK_EQ(sim_count_events(s, 0, WG_EVENT_HANDSHAKE_GIVEN_UP), 1);
	sim_advance(s, S(545));
	CHECK(!p->handshake);
	CHECK_EQ(index_count(&s->hosts[0].device->index), 0);
	CHECK_EQ(s->hosts[0].next_ns, UINT64_MAX); /* nothing is due any more */
	sim_free(s);
}

static void stops_when_complete(void)
{
	struct sim *s = sim_pair(4, false);

	s->lose[1] = SIM_TYPE(WG_MESSAGE_RESPONSE);
	sim_send(s, 0, 1, 100);
	sim_advance(s, S(12));
	CHECK_EQ(initiations(s, 0), 3);
	s->lose[1] = 0;
	sim_advance(s, S(100));
	CHECK_EQ(initiations(s, 0), 4);
	CHECK_EQ(s->hosts[1].n_delivered, 1);
	CHECK_EQ(sim_peer(s, 0, 1)->timers.attempts, 0);
	sim_free(s);
}

static void attempts_reset(void)
{
	struct sim *s = sim_pair(5, false);

	s->lose[0] = SIM_ALL;
	sim_send(s, 0, 1, 100);
	while (initiations(s, 0) < 10)
		sim_advance(s, MS(10));
	sim_send(s, 0, 1, 100); /* asked for anew: all its attempts again */
	sim_advance(s, S(250));
	CHECK_EQ(initiations(s, 0), 10 + 19);
	sim_free(s);
}

static void suppressed(void)
{
	struct sim *s = sim_pair(6, false);

	s->lose[1] = SIM_ALL;
	for (unsigned i = 0; i < 3000; i++) {
		sim_send(s, 0, 1, 100);
		handshake_initiate(sim_peer(s, 0, 1), false);
		sim_advance(s, MS(10));
	}
	for (unsigned i = 1; i < initiations(s, 0); i++)
		CHECK(at_of(s, 0, WG_MESSAGE_INITIATION, i) - at_of(s, 0, WG_MESSAGE_INITIATION, i - 1) >= S(5));
	CHECK_EQ(initiations(s, 0), 6);
	sim_free(s);
}

static void clears_source(void)
{
	struct sim *s = sim_session(7);
	struct wg_peer *a = sim_peer(s, 0, 1);

	CHECK(ENDPOINT(a).src_ifindex == 2);
	s->lose[0] = s->lose[1] = SIM_ALL;
	sim_send(s, 0, 1, 100);
	sim_advance(s, S(14) + MS(990));
	CHECK_EQ(ENDPOINT(a).src_ifindex, 2);
	CHECK_EQ(initiations(s, 0), 1);
	sim_advance(s, MS(400));
	CHECK_EQ(initiations(s, 0), 2);
	CHECK_EQ(sim_count_events(s, 0, WG_EVENT_PEER_SILENT), 1);
	CHECK_EQ(sim_newest(s, 0, WG_MESSAGE_INITIATION)->to.src_ifindex, 0);
	CHECK(wg_addr_equal(&ENDPOINT(a).dst, &s->hosts[1].addr));
	struct wg_endpoint e = ENDPOINT(a);
	e.src_ifindex = 9;
	endpoint_cell_set(&a->endpoint, &e);
	sim_advance(s, S(5) + MS(400));
	CHECK_EQ(sim_newest(s, 0, WG_MESSAGE_INITIATION)->to.src_ifindex, 0); /* and by a retransmission */
	sim_free(s);
}

static void new_handshake_jitter(void)
{
	uint64_t least = UINT64_MAX, most = 0;

	for (unsigned seed = 0; seed < 40; seed++) {
		struct sim *s = sim_session(seed + 300);
		uint64_t start;

		s->lose[0] = s->lose[1] = SIM_ALL;
		sim_advance(s, S(5));
		start = s->now.boot_ns;
		sim_send(s, 0, 1, 100);
		sim_advance(s, S(3));
		sim_send(s, 0, 1, 100); /* data after it puts nothing off */
		sim_advance(s, S(15));
		CHECK_EQ(initiations(s, 0), 2);
		uint64_t gap = at_of(s, 0, WG_MESSAGE_INITIATION, 1) - start;
		CHECK(gap >= S(15) && gap <= S(15) + MS(333));
		least = min(least, gap);
		most = max(most, gap);
		sim_free(s);
	}
	CHECK(most - least > MS(200));
}

static void new_handshake_cleared(void)
{
	struct sim *s = sim_session(8);

	/* The other end has nothing to send: its keepalives alone save the handshake. */
	for (unsigned i = 0; i < 100; i++) {
		sim_send(s, 0, 1, 100);
		sim_advance(s, S(1));
	}
	CHECK_EQ(initiations(s, 0), 1);
	CHECK_EQ(sim_count_events(s, 0, WG_EVENT_PEER_SILENT), 0);
	CHECK(keepalives(s, 1) >= 8);
	sim_free(s);
}

/* Questions and answers by turns, each the end of a silence: what was armed by the first serves all. */
static void armed_wakes_nobody(void)
{
	struct sim *s = sim_session(10);

	sim_send(s, 0, 1, 100);
	sim_settle(s);
	sim_send(s, 1, 0, 100);
	sim_settle(s);
	s->hosts[0].n_woken = s->hosts[1].n_woken = 0;
	for (unsigned i = 0; i < 1000; i++) {
		sim_send(s, 0, 1, 100);
		sim_settle(s);
		sim_send(s, 1, 0, 100);
		sim_settle(s);
		sim_advance(s, MS(5));
	}
	CHECK_EQ(s->hosts[0].n_woken, 0);
	CHECK_EQ(s->hosts[1].n_woken, 0);
	/* And yet the timers hold: what stays unanswered now is noticed in 15 s, and data is answered in 10. */
	sim_forget(s);
	s->lose[1] = SIM_ALL;
	sim_send(s, 0, 1, 100);
	sim_settle(s);
	sim_advance(s, S(16));
	CHECK_EQ(sim_count_events(s, 0, WG_EVENT_PEER_SILENT), 1);
	CHECK(keepalives(s, 1) >= 1);
	/* Both anew, after they fired. */
	s->lose[1] = 0;
	sim_advance(s, S(40));
	sim_forget(s);
	sim_send(s, 0, 1, 100);
	sim_settle(s);
	sim_advance(s, S(11));
	CHECK_EQ(keepalives(s, 1), 1);
	sim_free(s);
}

/* The packet that confirms a key is no answer to the data that it lets out. */
static void confirmation_answers_nothing(void)
{
	struct sim *s = sim_pair(11, false);
	struct wg_peer *p = sim_peer(s, 1, 0);

	s->hold[0] = SIM_TYPE(WG_MESSAGE_DATA);
	sim_send(s, 0, 1, 100);
	sim_settle(s);
	CHECK_EQ(s->n_held, 1);
	CHECK_EQ(sim_send(s, 1, 0, 100), -EAGAIN); /* waits for the key */
	sim_settle(s);
	s->hold[0] = 0;
	s->lose[0] = SIM_ALL;
	s->hosts[1].prompt = true;
	sim_release(s, 0);
	s->hosts[1].prompt = false;
	CHECK_EQ(sim_count(s, 1, WG_MESSAGE_DATA, 0), 1);
	CHECK(atomic_load(&p->unanswered_ns) != 0);
	sim_advance(s, S(16));
	CHECK_EQ(sim_count_events(s, 1, WG_EVENT_PEER_SILENT), 1);
	sim_free(s);
}

static void keepalives_arm_nothing(void)
{
	struct sim *s = sim_session(9);

	sim_advance(s, S(12)); /* what is owed for the first packets */
	unsigned n = s->n_records;
	s->lose[0] = SIM_ALL;
	stage_send_keepalive(sim_peer(s, 0, 1));
	sim_advance(s, S(100));
	CHECK_EQ(s->n_records, n + 1);
	sim_free(s);
}

static void passive(void)
{
	struct sim *s = sim_session(10);

	sim_advance(s, S(30));
	sim_forget(s);
	uint64_t start = s->now.boot_ns;
	sim_send(s, 0, 1, 100);
	sim_advance(s, S(60));
	CHECK_EQ(keepalives(s, 1), 1);
	CHECK_EQ(at_of(s, 1, WG_MESSAGE_DATA, 0) - start, S(10));
	CHECK_EQ(keepalives(s, 0), 0); /* a keepalive is never answered */
	CHECK_EQ(initiations(s, 0), 0);

	/* More data while it is due: one more, 10 s after it, and then none. */
	sim_forget(s);
	start = s->now.boot_ns;
	sim_send(s, 0, 1, 100);
	sim_advance(s, S(4));
	sim_send(s, 0, 1, 100);
	sim_settle(s);
	sim_send(s, 0, 1, 100);
	sim_advance(s, S(60));
	CHECK_EQ(keepalives(s, 1), 2);
	CHECK_EQ(at_of(s, 1, WG_MESSAGE_DATA, 0) - start, S(10));
	CHECK_EQ(at_of(s, 1, WG_MESSAGE_DATA, 1) - start, S(20));
	CHECK_EQ(keepalives(s, 0), 0);
	sim_free(s);
}

static void passive_cleared(void)
{
	struct sim *s = sim_session(11);

	sim_advance(s, S(30));
	sim_forget(s);
	sim_send(s, 0, 1, 100);
	sim_advance(s, S(9) + MS(999));
	sim_send(s, 1, 0, 100);
	sim_advance(s, S(9));
	CHECK_EQ(keepalives(s, 1), 0);
	sim_advance(s, S(50));
	CHECK_EQ(keepalives(s, 1), 0);
	CHECK_EQ(keepalives(s, 0), 1);
	sim_free(s);
}

static void zero_keys(void)
{
	struct sim *s = sim_session(12);
	struct wg_peer *a = sim_peer(s, 0, 1);
	uint64_t start = a->current->created_ns;

	sim_advance(s, S(300));
	handshake_initiate(a, false);
	sim_settle(s);
	CHECK(a->current->created_ns >= start + S(300));
	sim_advance(s, S(539));
	CHECK(a->current && a->previous); /* put off by the new session */
	CHECK_EQ(sim_send(s, 0, 1, 100), -EAGAIN);
	s->lose[0] = SIM_ALL;
	sim_settle(s);
	CHECK(a->handshake);
	CHECK_EQ(a->n_staged, 1);
	sim_advance(s, S(1) + 1);
	CHECK(!a->current && !a->previous && !a->handshake);
	CHECK_EQ(a->n_staged, 0);
	CHECK_EQ(sim_drops(s, 0, WG_DROP_STAGED_FLUSHED), 1);
	CHECK_EQ(index_count(&s->hosts[0].device->index), 0);
	CHECK_EQ(index_count(&s->hosts[1].device->index), 0);
	sim_free(s);
}

static void persistent(void)
{
	struct sim *s = sim_session(13);
	struct wg_device *d = s->hosts[1].device;
	struct wg_peer *b = sim_peer(s, 1, 0);

	sim_advance(s, S(30));
	sim_forget(s);
	wg_peer_set_keepalive(b, 25);
	wg_peer_configured(d, b, s->now);
	sim_settle(s);
	CHECK_EQ(keepalives(s, 1), 1); /* at once */
	wg_peer_set_keepalive(b, 25);
	wg_peer_configured(d, b, s->now);
	sim_settle(s);
	CHECK_EQ(keepalives(s, 1), 1); /* and not again */
	uint64_t start = s->now.boot_ns;
	sim_advance(s, S(76));
	CHECK_EQ(keepalives(s, 1), 4);
	for (unsigned i = 1; i < 4; i++)
		CHECK_EQ(at_of(s, 1, WG_MESSAGE_DATA, i), start + i * S(25));
	/* Traffic, in one direction or the other, puts it off. */
	sim_forget(s);
	for (unsigned i = 0; i < 10; i++) {
		sim_send(s, 0, 1, 100);
		sim_settle(s);
		sim_send(s, 1, 0, 100); /* so that no passive keepalive is owed either */
		sim_advance(s, S(8));
	}
	CHECK_EQ(keepalives(s, 1), 0);
	sim_forget(s);
	wg_peer_set_keepalive(b, 0);
	wg_peer_configured(d, b, s->now);
	sim_advance(s, S(300));
	CHECK_EQ(keepalives(s, 1), 0);
	sim_free(s);
}

static void persistent_received(void)
{
	struct sim *s = sim_session(33);

	sim_advance(s, S(30));
	wg_peer_set_keepalive(sim_peer(s, 1, 0), 25); /* the responder: no handshake of its own comes between */
	wg_peer_configured(s->hosts[1].device, sim_peer(s, 1, 0), s->now);
	sim_settle(s);
	sim_forget(s);
	for (unsigned i = 0; i < 4; i++) { /* keepalives received each 20 s */
		sim_advance(s, S(20));
		stage_send_keepalive(sim_peer(s, 0, 1));
		sim_settle(s);
	}
	CHECK_EQ(keepalives(s, 0), 4);
	CHECK_EQ(keepalives(s, 1), 0);
	sim_free(s);
}

static void persistent_repeated(void)
{
	struct sim *s = sim_session(14);
	struct wg_peer *a = sim_peer(s, 0, 1);

	wg_peer_set_keepalive(a, 25);
	wg_peer_configured(s->hosts[0].device, a, s->now);
	sim_settle(s);
	sim_forget(s);
	for (unsigned i = 0; i < 10; i++) { /* a script sets it again and again */
		wg_peer_set_keepalive(a, 25);
		wg_peer_configured(s->hosts[0].device, a, s->now);
		sim_advance(s, S(10));
	}
	CHECK(keepalives(s, 0) >= 3 && keepalives(s, 0) <= 4);
	sim_free(s);
}

static void keepalive_staged(void)
{
	struct sim *s = sim_pair(15, false);
	struct wg_peer *a = sim_peer(s, 0, 1);

	s->lose[1] = SIM_ALL;
	sim_send(s, 0, 1, 100);
	sim_settle(s);
	stage_send_keepalive(a);
	CHECK_EQ(a->n_staged, 1);
	s->lose[1] = 0;
	sim_advance(s, S(6));
	CHECK_EQ(keepalives(s, 0), 0);
	CHECK_EQ(s->hosts[1].n_delivered, 1);
	sim_free(s);
}

static void links(void)
{
	struct sim *s = sim_pair(16, false);
	struct wg_device *d = s->hosts[0].device;
	struct wg_peer *a = sim_peer(s, 0, 1);

	wg_device_down(d);
	sim_send(s, 0, 1, 100);
	wg_tx_stage(wg_device_worker(d, 0), a, "E123456789012345678901234567", 28);
	sim_advance(s, S(100));
	CHECK_EQ(s->n_records, 0);
	wg_device_up(d, s->now);
	sim_settle(s);
	CHECK_EQ(initiations(s, 0), 1); /* what waits goes out */
	CHECK(sim_count(s, 0, WG_MESSAGE_DATA, 0) >= 1);

	/* Down: keys and packets go, no timer fires, nothing is sent. */
	wg_peer_set_keepalive(a, 5);
	wg_peer_configured(d, a, s->now);
	sim_advance(s, S(181));
	s->lose[1] = SIM_ALL;
	sim_advance(s, S(200));
	sim_send(s, 0, 1, 100);
	uint64_t flushed = sim_drops(s, 0, WG_DROP_STAGED_FLUSHED);
	unsigned staged = a->n_staged;
	CHECK(staged > 0);
	wg_device_down(d);
	sim_settle(s);
	CHECK_EQ(a->n_staged, 0);
	CHECK(sim_drops(s, 0, WG_DROP_STAGED_FLUSHED) > flushed);
	CHECK(!a->current && !a->previous && !a->next && !a->handshake);
	CHECK_EQ(index_count(&d->index), 0);
	sim_forget(s);
	sim_advance(s, S(1000));
	CHECK_EQ(sim_count(s, 0, WG_MESSAGE_INITIATION, 0) + sim_count(s, 0, WG_MESSAGE_DATA, 0), 0);
	CHECK_EQ(s->hosts[0].next_ns, UINT64_MAX);
	/* Initiations that come meanwhile get no answer. */
	handshake_initiate(sim_peer(s, 1, 0), false);
	sim_settle(s);
	CHECK_EQ(sim_count(s, 0, WG_MESSAGE_RESPONSE, 0), 0);
	/* Up: the persistent keepalive at once. */
	s->lose[1] = 0;
	wg_device_up(d, s->now);
	sim_settle(s);
	CHECK_EQ(initiations(s, 0), 1);
	CHECK_EQ(keepalives(s, 0), 1);
	sim_free(s);
}

static void rekey_time(void)
{
	struct sim *s = sim_session(18);

	sim_advance(s, S(119) + MS(999));
	sim_send(s, 0, 1, 100);
	sim_settle(s);
	CHECK_EQ(initiations(s, 0), 1);
	sim_advance(s, MS(2));
	sim_send(s, 1, 0, 100); /* the responder does not renew it */
	sim_settle(s);
	CHECK_EQ(initiations(s, 0) + initiations(s, 1), 1);
	sim_send(s, 0, 1, 100);
	sim_settle(s);
	CHECK_EQ(initiations(s, 0), 2);
	CHECK_EQ(initiations(s, 1), 0);
	CHECK_EQ(s->hosts[1].n_delivered, 3);
	sim_free(s);
}

static void receive_rekeys(void)
{
	struct sim *s = sim_session(19);

	s->lose[0] = SIM_TYPE(WG_MESSAGE_INITIATION);
	sim_advance(s, S(164) + MS(999));
	sim_send(s, 1, 0, 100);
	sim_settle(s);
	CHECK_EQ(initiations(s, 0), 1);
	sim_advance(s, MS(2));
	sim_send(s, 1, 0, 100);
	sim_settle(s);
	CHECK_EQ(initiations(s, 0), 2);
	/* Once per session; only that handshake's own retries follow. */
	CHECK(sim_peer(s, 0, 1)->current->rekey_asked);
	sim_peer(s, 0, 1)->initiated_ns = 0;
	sim_send(s, 1, 0, 100);
	sim_settle(s);
	CHECK_EQ(initiations(s, 0), 2);
	CHECK_EQ(initiations(s, 1), 0); /* the responder never does */
	sim_free(s);

	s = sim_session(20);
	sim_advance(s, S(170));
	sim_send(s, 0, 1, 100); /* to the responder */
	sim_settle(s);
	CHECK_EQ(initiations(s, 1), 0);
	sim_free(s);
}

static void reject_time(void)
{
	struct sim *s = sim_session(21);

	s->hold[0] = SIM_TYPE(WG_MESSAGE_DATA);
	sim_send(s, 0, 1, 100);
	sim_send(s, 0, 1, 100);
	sim_settle(s);
	s->hold[0] = 0;
	s->lose[0] = s->lose[1] = SIM_TYPE(WG_MESSAGE_INITIATION);
	sim_advance(s, S(179) + MS(999));
	sim_release(s, 0);
	CHECK_EQ(s->hosts[1].n_delivered, 2);
	CHECK_EQ(sim_send(s, 1, 0, 100), 0);
	sim_advance(s, MS(1));
	sim_release(s, 1);
	CHECK_EQ(s->hosts[1].n_delivered, 2);
	CHECK_EQ(sim_drops(s, 1, WG_DROP_KEY_EXPIRED), 1);
	CHECK_EQ(sim_send(s, 0, 1, 100), -EAGAIN);
	CHECK_EQ(sim_peer(s, 0, 1)->n_staged, 1);
	sim_settle(s);
	CHECK(initiations(s, 0) >= 2);
	sim_free(s);
}

static void storm(void)
{
	struct sim *s = sim_session(22);

	for (unsigned t = 0; t < 4 * 3600 * 10; t++) {
		if (s->n_records > SIM_RECORDS_MAX - 100)
			break;
		sim_send(s, 0, 1, 100);
		sim_send(s, 1, 0, 100);
		sim_advance(s, MS(500));
	}
	uint64_t hours = (s->now.boot_ns - S(1000)) / NS_PER_S;
	CHECK(hours > 4 * 3600);
	CHECK(initiations(s, 0) + initiations(s, 1) <= hours / 120 + 1);
	CHECK(initiations(s, 0) >= hours / 121);
	sim_free(s);
}

static void clocks(void)
{
	struct sim *s = sim_session(23);

	/* Standing still. */
	sim_forget(s);
	for (unsigned i = 0; i < 1000; i++) {
		sim_send(s, 0, 1, 100);
		sim_send(s, 1, 0, 100);
		sim_settle(s);
	}
	CHECK_EQ(s->n_records, 2000);
	/* Backwards, by steps and by an hour of what little there is. */
	for (unsigned i = 0; i < 900; i++) {
		s->now.boot_ns -= S(1);
		s->now.real_ns -= S(100000);
		sim_send(s, 0, 1, 100);
		sim_send(s, 1, 0, 100);
		sim_settle(s);
	}
	CHECK_EQ(initiations(s, 0) + initiations(s, 1), 0);
	CHECK_EQ(s->n_records, 2000 + 1800);
	CHECK_EQ(s->hosts[0].n_delivered + s->hosts[1].n_delivered, 2 + 3800);
	/* And at the end of time. */
	s->now.boot_ns = UINT64_MAX / 2;
	sim_send(s, 0, 1, 100);
	sim_settle(s);
	s->now.boot_ns = S(2);
	sim_send(s, 0, 1, 100);
	sim_settle(s);
	CHECK(initiations(s, 0) <= 2);
	sim_free(s);
}

static void wall(void)
{
	struct sim *s = sim_session(24);
	struct wg_peer *a = sim_peer(s, 0, 1);
	uint64_t due[TIMER_COUNT];

	sim_forget(s);
	memcpy(due, a->timers.due_ns, sizeof(due));
	for (int i = 0; i < 4; i++) {
		s->now.real_ns = i & 1 ? S(4000000000) : 0; /* 2096, 1970 */
		sim_settle(s);
		CHECK_EQ(sim_send(s, 0, 1, 100), 0);
		sim_settle(s);
	}
	CHECK_EQ(initiations(s, 0), 0);
	CHECK_EQ(s->hosts[1].n_delivered, 5);
	CHECK_EQ(a->timers.due_ns[TIMER_ZERO_KEYS], due[TIMER_ZERO_KEYS]);
	sim_free(s);
}

static void suspend(void)
{
	struct sim *s = sim_session(25);

	sim_forget(s);
	for (unsigned i = 0; i < 3; i++) {
		uint64_t slept = S(3 * 3600);

		s->now.boot_ns += slept; /* at one blow: nothing ran meanwhile */
		s->now.real_ns += slept;
		CHECK_EQ(sim_send(s, 0, 1, 100), -EAGAIN);
		CHECK_EQ(sim_count(s, 0, WG_MESSAGE_DATA, 0), i);
		sim_settle(s);
		CHECK_EQ(initiations(s, 0), i + 1);
		CHECK_EQ(s->hosts[1].n_delivered, i + 2);
	}
	sim_free(s);

	s = sim_session(26);
	sim_forget(s);
	s->now.boot_ns += S(181);
	s->now.real_ns += S(181);
	CHECK_EQ(sim_send(s, 0, 1, 100), -EAGAIN);
	CHECK_EQ(sim_count(s, 0, WG_MESSAGE_DATA, 0), 0);
	sim_settle(s);
	CHECK_EQ(initiations(s, 0), 1);
	CHECK_EQ(s->hosts[1].n_delivered, 2);
	sim_free(s);
}

static void handshake_time(void)
{
	struct sim *s = sim_pair(27, false);
	struct wg_peer_info info;

	s->hold[1] = SIM_TYPE(WG_MESSAGE_RESPONSE);
	s->hold[0] = SIM_TYPE(WG_MESSAGE_DATA);
	sim_send(s, 0, 1, 100);
	sim_settle(s);
	wg_peer_info(sim_peer(s, 1, 0), &info);
	CHECK_EQ(info.last_handshake_real_ns, 0); /* not yet confirmed */
	sim_advance(s, S(2));
	sim_release(s, 0);
	wg_peer_info(sim_peer(s, 0, 1), &info);
	CHECK_EQ(info.last_handshake_real_ns, s->now.real_ns);
	sim_advance(s, S(1));
	wg_peer_info(sim_peer(s, 1, 0), &info);
	CHECK_EQ(info.last_handshake_real_ns, 0);
	sim_release(s, 1);
	wg_peer_info(sim_peer(s, 1, 0), &info);
	CHECK_EQ(info.last_handshake_real_ns, s->now.real_ns);
	sim_free(s);
}

static const struct sim_test tests[] = {
	{"20 initiations in all, each 5 s and 0 to 333 ms after the one before [timer-retransmit] [timer-retransmit-jitter] "
	 "[const-rekey-attempt-time] [const-max-attempts] [tx-flush-give-up]", retransmission},
	{"given up: nothing follows, and the keys are zeroed in time [timer-give-up]", give_up},
	{"nothing is sent again once the handshake is complete [timer-retransmit-stops]", stops_when_complete},
	{"a handshake asked for anew has all its attempts again [timer-attempts-reset]", attempts_reset},
	{"no initiation leaves within 5 s of the last [timer-initiation-suppressed] [const-rekey-timeout]", suppressed},
	{"silence and retransmission forget the source address [timer-retransmit-clears-source] [timer-new-handshake]",
		clears_source},
	{"the new-handshake timer fires 15 s and 0 to 333 ms after the first unanswered data [timer-new-handshake-jitter] "
	 "[timer-new-handshake]", new_handshake_jitter},
	{"keepalives received save the new handshake [timer-new-handshake-cleared]", new_handshake_cleared},
	{"the packet that confirms a key does not answer what it lets out [timer-new-handshake]", confirmation_answers_nothing},
	{"a timer that is armed already wakes nobody, and holds [timer-armed-quiet]", armed_wakes_nobody},
	{"keepalives sent start no timer [timer-new-handshake-data-only]", keepalives_arm_nothing},
	{"data is answered by one keepalive after 10 s, keepalives by none [const-keepalive-timeout] [timer-keepalive-armed] "
	 "[timer-keepalive-again]", passive},
	{"whatever is sent saves the keepalive [timer-keepalive-cleared]", passive_cleared},
	{"all is wiped 540 s after the last session began [timer-zero-keys] [timer-zero-keys-rearmed] [tx-flush-zero]",
		zero_keys},
	{"the persistent keepalive comes each interval of silence, at once when turned on, and stops [timer-persistent] "
	 "[timer-persistent-busy] [timer-persistent-off] [timer-persistent-turned-on]", persistent},
	{"what is received puts the persistent keepalive off [timer-persistent-busy]", persistent_received},
	{"setting the interval again does not silence it [timer-persistent-turned-on]", persistent_repeated},
	{"packets that wait are sent instead of a keepalive [timer-keepalive-staged]", keepalive_staged},
	{"link down ends everything, link up sends what waits [timer-link-up] [timer-link-down] [tx-flush-down]", links},
	{"the initiator renews by sending after 120 s, the responder does not [const-rekey-after-time] [tx-keep-fresh-time]",
		rekey_time},
	{"receiving after 165 s renews, once a session, by the initiator only [rx-keep-fresh] [rx-keep-fresh-once]",
		receive_rekeys},
	{"a session of 180 s neither sends nor accepts [const-reject-after-time] [rx-expired] [tx-stage-expired]", reject_time},
	{"hours of traffic make one handshake per 120 s [timer-no-rekey-storm]", storm},
	{"clocks that stand still or run back send no storm [timer-clock-backward]", clocks},
	{"the wall clock changes no session or timer [time-wall-jump]", wall},
	{"after a suspend nothing is sent under the old session [timer-suspend] [time-boottime]", suspend},
	{"a handshake's time is when it was proved, by the wall clock [timer-handshake-time]", handshake_time},
};

int main(void)
{
	return sim_main(tests, array_size(tests));
}
