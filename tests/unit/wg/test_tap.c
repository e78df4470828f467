/* The taps: what a listener sees is what was sent, received, dropped and changed, and nothing is left out. */
#include "sim.h"

#include "wg/peer.h"

#include <netinet/in.h>

#define WORKERS_MAX 3
#define SEEN_MAX 4096

struct seen {
	struct wg_tap_packet	what;		/* its pointers: only peer is still good */
	unsigned		worker;
	size_t			len;
	uint8_t			bytes[2048];
};

struct listener {
	struct seen	*seen;
	unsigned	 n;
	uint64_t	 drops[WG_DROP_COUNT];
	unsigned	 waiting[WORKERS_MAX];	/* OUTER_IN without a verdict */
	unsigned	 unasked;		/* verdicts on no OUTER_IN */
};

static void hear(void *arg, unsigned worker, const struct wg_tap_packet *p)
{
	struct listener *l = arg;
	struct seen *s = &l->seen[l->n % SEEN_MAX];

	l->n++;
	CHECK(worker <= sim_workers);
	*s = (struct seen){.what = *p, .worker = worker, .len = p->len};
	if (p->data)
		memcpy(s->bytes, p->data, min(p->len, sizeof(s->bytes)));
	if (p->point == WG_TAP_DROPPED)
		l->drops[p->drop] += p->n;
	if (p->point == WG_TAP_OUTER_IN)
		l->waiting[worker]++;
	CHECK(!p->verdict || p->point == WG_TAP_INNER_IN || p->point == WG_TAP_DROPPED);
	CHECK(p->verdict || p->point != WG_TAP_INNER_IN);
	if (!p->verdict)
		return;
	if (l->waiting[worker])
		l->waiting[worker]--;
	else
		l->unasked++;
}

static struct listener listener_new(void)
{
	struct listener l = {.seen = calloc(SEEN_MAX, sizeof(*l.seen))};

	if (!l.seen)
		abort();
	return l;
}

static const struct seen *find(const struct listener *l, enum wg_tap_point point, unsigned since)
{
	for (unsigned i = since; i < l->n; i++)
		if (l->seen[i].what.point == point)
			return &l->seen[i];
	return NULL;
}

static void one_packet(void)
{
	struct sim *s = sim_session(1);
	struct listener a = listener_new(), b = listener_new();
	const struct seen *inner, *outer;
	const struct sim_record *wire;
	uint8_t packet[100] = {0};

	sim_listen(s, 0, hear, &a);
	sim_listen(s, 1, hear, &b);
	sim_ipv4(packet, sizeof(packet), 0, 1, 3);
	for (unsigned i = 20; i < sizeof(packet); i++)
		packet[i] = (uint8_t)i;
	sim_send_packet(s, 0, packet, sizeof(packet));
	sim_settle(s);
	wire = sim_newest(s, 0, WG_MESSAGE_DATA);

	CHECK_EQ(a.n, 2);
	inner = find(&a, WG_TAP_INNER_OUT, 0);
	outer = find(&a, WG_TAP_OUTER_OUT, 0);
	CHECK(inner && outer && wire);
	CHECK(inner < outer);
	CHECK_EQ(inner->len, sizeof(packet)); /* and not what it was padded to */
	CHECK_MEM(inner->bytes, packet, sizeof(packet));
	CHECK(inner->what.peer == sim_peer(s, 0, 1));
	CHECK_EQ(outer->len, wire->len);
	CHECK_MEM(outer->bytes, wire->bytes, wire->len);
	CHECK(outer->what.peer == sim_peer(s, 0, 1));
	CHECK_EQ(outer->what.tos, 3);

	CHECK_EQ(b.n, 2);
	outer = find(&b, WG_TAP_OUTER_IN, 0);
	inner = find(&b, WG_TAP_INNER_IN, 0);
	CHECK(inner && outer);
	CHECK(outer < inner);
	CHECK_EQ(outer->len, wire->len);
	CHECK_MEM(outer->bytes, wire->bytes, wire->len); /* although it was opened in place */
	CHECK_EQ(inner->len, sizeof(packet));
	CHECK_MEM(inner->bytes, packet, sizeof(packet));
	CHECK(inner->what.peer == sim_peer(s, 1, 0));
	CHECK_EQ(inner->worker, outer->worker);
	sim_free(s);
	free(a.seen);
	free(b.seen);
}

static void staged_and_handshake(void)
{
	struct sim *s = sim_pair(2, false);
	struct listener a = listener_new(), b = listener_new();
	static const enum wg_tap_point at_a[] = {
		/* the initiation; the response, and what waited under it, before the verdict */
		WG_TAP_OUTER_OUT, WG_TAP_OUTER_IN, WG_TAP_INNER_OUT, WG_TAP_OUTER_OUT, WG_TAP_INNER_IN};
	static const enum wg_tap_point at_b[] = {
		WG_TAP_OUTER_IN, WG_TAP_OUTER_OUT, WG_TAP_INNER_IN, WG_TAP_OUTER_IN, WG_TAP_INNER_IN};

	sim_listen(s, 0, hear, &a);
	sim_listen(s, 1, hear, &b);
	sim_send(s, 0, 1, 100);
	sim_settle(s);
	CHECK_EQ(a.n, array_size(at_a));
	CHECK_EQ(b.n, array_size(at_b));
	for (unsigned i = 0; i < array_size(at_a); i++) {
		CHECK_EQ(a.seen[i].what.point, at_a[i]);
		CHECK_EQ(a.seen[i].worker, sim_workers); /* the control half did it all */
		CHECK_EQ(b.seen[i].what.point, at_b[i]);
	}
	CHECK_EQ(a.seen[0].len, sizeof(struct wg_initiation));
	CHECK_EQ(a.seen[0].what.tos, WG_TOS_HANDSHAKE);
	CHECK_EQ(a.seen[1].len, sizeof(struct wg_response));
	CHECK_EQ(a.seen[4].len, 0); /* nothing for the interface in a response */
	CHECK(a.seen[4].what.peer == sim_peer(s, 0, 1));
	CHECK_MEM(a.seen[0].bytes, b.seen[0].bytes, sizeof(struct wg_initiation));
	sim_free(s);
	free(a.seen);
	free(b.seen);
}

/* What host 0 sent last as data, changed by ${change}, arrives at host 1. */
static void again(struct sim *s, void (*change)(uint8_t *msg))
{
	const struct sim_record *r = sim_newest(s, 0, WG_MESSAGE_DATA);
	struct wg_endpoint src = sim_endpoint(s, 0);
	uint8_t msg[160];

	memcpy(msg, r->bytes, r->len);
	if (change)
		change(msg);
	sim_receive(s, 1, &src, msg, r->len);
	sim_settle(s);
}

static void bad_tag(uint8_t *msg)
{
	msg[8]++; /* another counter */
}

static void unknown_index(uint8_t *msg)
{
	msg[4] ^= 0xff;
	msg[5] ^= 0xff;
}

static void counter_limit(uint8_t *msg)
{
	memset(msg + 8, 0xff, 8);
}

static void bad_mac1(struct sim *s)
{
	struct wg_endpoint src = sim_endpoint(s, 0);
	struct wg_initiation m = {0};

	put_le32(m.type, WG_MESSAGE_INITIATION);
	sim_receive(s, 1, &src, &m, sizeof(m));
	sim_settle(s);
}

/* Its timestamp begins with ${stamp}; those of today with 0x40. */
static void initiation(struct sim *s, unsigned from, uint8_t stamp)
{
	struct wg_endpoint src = sim_endpoint(s, 0);
	uint8_t timestamp[WG_TIMESTAMP_LEN] = {stamp};
	struct wg_initiation m;

	sim_initiation(s, from, 1, timestamp, 7, &m);
	sim_receive(s, 1, &src, &m, sizeof(m));
	sim_settle(s);
}

static void stray(struct sim *s, enum wg_message type, size_t len)
{
	struct wg_endpoint src = sim_endpoint(s, 0);
	uint8_t m[160] = {(uint8_t)type};

	sim_receive(s, 1, &src, m, len);
	sim_settle(s);
}

/* Every reason that the engine itself gives, except what only an allocation failure or real load bring. */
static void every_drop(void)
{
	static const enum wg_drop reasons[] = {WG_DROP_STAGED_FULL, WG_DROP_STAGED_FLUSHED,
		WG_DROP_UNKNOWN_INDEX, WG_DROP_KEY_EXPIRED, WG_DROP_COUNTER_LIMIT, WG_DROP_BAD_TAG,
		WG_DROP_REPLAY, WG_DROP_INNER_NOT_IP, WG_DROP_INNER_LENGTH, WG_DROP_INNER_SOURCE,
		WG_DROP_NO_PRIVATE_KEY, WG_DROP_BAD_MAC1, WG_DROP_UNKNOWN_PEER,
		WG_DROP_OLD_TIMESTAMP, WG_DROP_FLOOD, WG_DROP_BAD_COOKIE, WG_DROP_LINK_DOWN};
	struct sim *s = sim_new(sim_workers, 3, 3);
	struct listener a = listener_new(), b = listener_new();
	static const uint8_t no_key[WG_KEY_LEN];
	uint64_t drops[WG_DROP_COUNT];
	uint8_t packet[100] = {0};
	const struct seen *last;

	sim_connect(s, 0, 1, false);
	sim_listen(s, 0, hear, &a);
	sim_listen(s, 1, hear, &b);
	sim_send(s, 0, 1, 40);
	sim_settle(s);
	again(s, NULL);
	last = &b.seen[b.n - 1];
	CHECK_EQ(last->what.point, WG_TAP_DROPPED);
	CHECK_EQ(last->what.drop, WG_DROP_REPLAY);
	CHECK(last->what.peer == sim_peer(s, 1, 0));
	again(s, bad_tag);
	again(s, unknown_index);
	again(s, counter_limit);
	sim_ipv4(packet, sizeof(packet), 9, 1, 0); /* a source that is not the peer's */
	sim_send_packet(s, 0, packet, sizeof(packet));
	sim_settle(s);
	last = &b.seen[b.n - 1];
	CHECK_EQ(last->what.drop, WG_DROP_INNER_SOURCE);
	CHECK_MEM(last->bytes, packet, sizeof(packet));
	sim_ipv4(packet, sizeof(packet), 0, 1, 0);
	put_be16(packet + 2, 1000);
	sim_send_packet(s, 0, packet, sizeof(packet));
	sim_settle(s);
	CHECK_EQ(b.seen[b.n - 1].what.drop, WG_DROP_INNER_LENGTH);
	wg_peer_allow(s->hosts[0].device, sim_peer(s, 0, 1), AF_INET, no_key, 0);
	/* The route is looked up by this end's packet; what the other end finds inside is another matter. */
	{
		struct wg_worker *w = wg_device_worker(s->hosts[0].device, 0);
		struct wg_endpoint src = sim_endpoint(s, 0);
		struct wg_tx_run run;
		uint8_t zero[16] = {0}, msg[64];

		wg_worker_online(w);
		CHECK_EQ(wg_tx_reserve(w, sim_peer(s, 0, 1), s->now.boot_ns, 1, true, &run), 0);
		wg_tx_seal(w, &run, 0, zero, sizeof(zero), msg);
		wg_worker_offline(w);
		sim_receive(s, 1, &src, msg, sizeof(zero) + WG_DATA_OVERHEAD);
	}
	CHECK_EQ(b.seen[b.n - 1].what.drop, WG_DROP_INNER_NOT_IP);
	bad_mac1(s);
	initiation(s, 2, 0x80);
	initiation(s, 0, 0x30);
	initiation(s, 0, 0x80);
	stray(s, WG_MESSAGE_COOKIE, sizeof(struct wg_cookie_reply));
	/* Keys that both ends hold for too long, and a peer that is silent meanwhile. */
	s->lose[0] = SIM_ALL;
	sim_send(s, 0, 1, 40);
	sim_settle(s);
	sim_advance(s, S(181));
	again(s, NULL);
	for (unsigned i = 0; i < WG_STAGED_MAX + 5; i++)
		sim_send(s, 0, 1, 40);
	sim_settle(s);
	CHECK_EQ(a.drops[WG_DROP_STAGED_FULL], 5);
	wg_device_drop(s->hosts[0].device, WG_DROP_SEND_FAILED, 2,
		(struct wg_tap_packet){.peer = sim_peer(s, 0, 1)});
	CHECK_EQ(a.drops[WG_DROP_SEND_FAILED], 2);
	wg_device_down(s->hosts[0].device);
	wg_device_set_private_key(s->hosts[1].device, s->now, no_key);
	stray(s, WG_MESSAGE_RESPONSE, sizeof(struct wg_response));
	wg_device_down(s->hosts[1].device);
	stray(s, WG_MESSAGE_RESPONSE, sizeof(struct wg_response));

	for (unsigned i = 0; i < array_size(reasons); i++) {
		if (!a.drops[reasons[i]] && !b.drops[reasons[i]])
			test_note("%s was not provoked", enum_name(&wg_drop_enum, reasons[i]));
		CHECK(a.drops[reasons[i]] || b.drops[reasons[i]]);
	}
	wg_device_drops(s->hosts[0].device, drops);
	for (int i = 0; i < WG_DROP_COUNT; i++)
		CHECK_EQ(a.drops[i], drops[i]);
	wg_device_drops(s->hosts[1].device, drops);
	for (int i = 0; i < WG_DROP_COUNT; i++)
		CHECK_EQ(b.drops[i], drops[i]);
	CHECK(a.n < SEEN_MAX && b.n < SEEN_MAX);
	for (unsigned i = 0; i <= sim_workers; i++)
		CHECK_EQ(b.waiting[i], 0);
	CHECK_EQ(b.unasked, 0);
	sim_free(s);
	free(a.seen);
	free(b.seen);
}

/* The other end's are test_load's. */
static void every_event(void)
{
	static const enum wg_event events[] = {WG_EVENT_INITIATION_SENT, WG_EVENT_HANDSHAKE_COMPLETE,
		WG_EVENT_HANDSHAKE_GIVEN_UP, WG_EVENT_HANDSHAKE_RETRY, WG_EVENT_PEER_SILENT,
		WG_EVENT_KEEPALIVE_SENT, WG_EVENT_KEYS_ZEROED, WG_EVENT_ROAMED, WG_EVENT_UP,
		WG_EVENT_DOWN, WG_EVENT_PEER_ADDED, WG_EVENT_PEER_REMOVED, WG_EVENT_PRIVATE_KEY_SET,
		WG_EVENT_MTU, WG_EVENT_ENDPOINT_SET, WG_EVENT_BOUND, WG_EVENT_BIND_FAILED};
	struct sim *s = sim_session(4);
	struct wg_device *d = s->hosts[0].device;
	uint64_t counted[WG_EVENT_COUNT];
	struct wg_peer *p;

	wg_peer_set_keepalive(sim_peer(s, 0, 1), 20);
	wg_peer_configured(d, sim_peer(s, 0, 1), s->now);
	sim_settle(s);
	s->hosts[1].addr.port++; /* it moves */
	sim_send(s, 1, 0, 40);
	sim_settle(s);
	initiation(s, 0, 0x80);
	sim_send(s, 0, 1, 40);
	s->lose[0] = s->lose[1] = SIM_ALL;
	sim_send(s, 0, 1, 40);
	sim_advance(s, S(700));
	CHECK(!wg_device_add_peer(d, (const uint8_t[WG_KEY_LEN]){9}, &p));
	wg_peer_set_endpoint(d, p, &(struct wg_addr){.family = AF_INET});
	wg_device_set_mtu(d, 1400);
	wg_device_tell(d, WG_EVENT_BOUND);
	wg_device_tell(d, WG_EVENT_BIND_FAILED);
	wg_device_remove_peer(d, p);
	wg_device_down(d);
	wg_device_up(d, s->now);
	wg_device_set_private_key(d, s->now, (const uint8_t[WG_KEY_LEN]){1});

	wg_device_events(d, counted);
	for (int i = 1; i < WG_EVENT_COUNT; i++)
		CHECK_EQ(sim_count_events(s, 0, (enum wg_event)i) + (i == WG_EVENT_PRIVATE_KEY_SET), counted[i]);
	for (unsigned i = 0; i < array_size(events); i++) {
		if (!counted[events[i]])
			test_note("%s did not happen", enum_name(&wg_event_enum, events[i]));
		CHECK(counted[events[i]] > 0);
	}
	sim_free(s);
}

static void off(void)
{
	struct sim *s = sim_session(5);
	struct listener a = listener_new();
	unsigned n;

	sim_listen(s, 0, hear, &a);
	sim_send(s, 0, 1, 40);
	sim_settle(s);
	n = a.n;
	CHECK(n > 0);
	sim_listen(s, 0, NULL, NULL);
	sim_send(s, 0, 1, 40);
	sim_send(s, 1, 0, 40);
	sim_settle(s);
	CHECK_EQ(a.n, n);
	sim_free(s);
	free(a.seen);
}

static const struct sim_test tests[] = {
	{"a packet is seen inside and outside, at both ends, as it was [tap-packets]", one_packet},
	{"a handshake and what waited for it are seen in order, each with its verdict [tap-verdict]", staged_and_handshake},
	{"every drop is counted and shown once, with its reason [tap-drops]", every_drop},
	{"every event is counted and told [tap-events]", every_event},
	{"without a listener nothing is shown [tap-off]", off},
};

int main(void)
{
	return sim_main(tests, array_size(tests));
}
