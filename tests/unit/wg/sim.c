#include "sim.h"
#include "wg/cookie.h"
#include "wg/handover.h"
#include "wg/noise.h"

#include <errno.h>

#define DATAGRAM_MAX SIM_DATAGRAM_MAX

unsigned sim_workers = 1;
bool sim_retain;

struct sim_datagram {
	struct sim_datagram	*next;
	struct wg_endpoint	 to;
	unsigned		 from;
	uint8_t			 tos;
	size_t			 len;
	uint8_t			 bytes[DATAGRAM_MAX];
};

static void sim_random(void *arg, void *buf, size_t len)
{
	struct sim_host *h = arg;
	uint8_t *p = buf;

	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)(test_random(&h->sim->random) >> 32);
}

static void sim_wake(void *arg)
{
	struct sim_host *h = arg;

	h->woken = true;
	h->n_woken++;
	if (h->prompt)
		wg_device_run(h->device, h->sim->now);
}

static void sim_yield(void *arg)
{
	struct sim_host *h = arg;

	h->n_yielded++;
}

static void drain(struct sim *s, unsigned host);

static void *must(void *p)
{
	if (!p)
		abort();
	return p;
}

static void sim_packet(void *arg, unsigned number, const struct wg_tap_packet *p)
{
	struct sim_host *h = arg;

	h->packet(h->packet_arg, number, p);
}

static void sim_event(void *arg, const struct wg_tap_event *e)
{
	struct sim_host *h = arg;
	struct sim *s = h->sim;

	if (s->n_events < SIM_RECORDS_MAX)
		s->events[s->n_events++] = (struct sim_event){.at_ns = s->now.boot_ns,
			.event = e->event,
			.drop = e->drop,
			.host = (uint8_t)(h - s->hosts)};
}

void sim_listen(struct sim *s, unsigned host,
	void (*packet)(void *arg, unsigned worker, const struct wg_tap_packet *p), void *arg)
{
	struct sim_host *h = &s->hosts[host];

	h->packet_arg = arg;
	h->packet = packet;
	h->tap.packet = packet ? sim_packet : NULL;
	wg_device_set_tap(h->device, &h->tap);
}

struct sim *sim_new(unsigned workers, unsigned hosts, uint64_t seed)
{
	struct sim *s = must(calloc(1, sizeof(*s)));

	s->workers = workers;
	s->n_hosts = hosts;
	s->random = seed;
	s->now = (struct wg_now){.boot_ns = S(1000), .real_ns = S(1767225600)};
	s->records = must(calloc(SIM_RECORDS_MAX, sizeof(*s->records)));
	s->events = must(calloc(SIM_RECORDS_MAX, sizeof(*s->events)));
	s->last = &s->first;
	for (unsigned i = 0; i < hosts; i++) {
		struct sim_host *h = &s->hosts[i];
		struct x25519 *key;
		struct wg_device_config config = {
			.retain = sim_retain,
			.random = sim_random, .wake = sim_wake, .yield = sim_yield, .arg = h, .workers = workers};
		uint8_t ip[4] = {192, 0, 2, (uint8_t)(i + 1)};

		h->sim = s;
		h->addr = wg_addr_v4(ip, SIM_PORT);
		h->next_ns = UINT64_MAX;
		h->workers = workers;
		h->tags = must(calloc(SIM_TAGS_MAX, sizeof(*h->tags)));
		sim_random(h, h->private_key, WG_KEY_LEN);
		x25519_clamp(h->private_key);
		if (x25519_new(h->private_key, &key) < 0 || wg_device_new(&config, &h->device) < 0)
			abort();
		memcpy(h->public_key, x25519_public(key), WG_KEY_LEN);
		x25519_free(key);
		if (wg_device_set_private_key(h->device, s->now, h->private_key) < 0)
			abort();
		h->tap = (struct wg_tap){.event = sim_event, .arg = h};
		wg_device_set_tap(h->device, &h->tap);
		wg_device_set_mtu(h->device, SIM_MTU);
		wg_device_up(h->device, s->now);
	}
	return s;
}

void sim_free(struct sim *s)
{
	struct sim_datagram *g;

	for (unsigned i = 0; i < s->n_hosts; i++) {
		wg_device_free(s->hosts[i].device);
		free(s->hosts[i].tags);
	}
	free(s->held);
	while ((g = s->first)) {
		s->first = g->next;
		free(g);
	}
	free(s->records);
	free(s->events);
	free(s);
}

void sim_replace(struct sim *s, unsigned host, unsigned workers)
{
	cleanup(buf_done) struct buf stream = buf_of_max(WG_HANDOVER_MAX);
	cleanup(buf_done) struct buf again = buf_of_max(WG_HANDOVER_MAX);
	cleanup(buf_done) struct buf why = buf_of_max(256);
	struct sim_host *h = &s->hosts[host];
	struct wg_device_config config = {
		.retain = sim_retain,
		.random = sim_random, .wake = sim_wake, .yield = sim_yield, .arg = h, .workers = workers};
	const unsigned both = WG_HANDOVER_CONFIG | WG_HANDOVER_STATE;
	struct wg_device *new;

	drain(s, host);
	if (wg_handover_export(h->device, s->now, both, &stream) < 0 ||
		wg_device_new(&config, &new) < 0)
		abort();
	if (wg_handover_import(new, s->now, stream.data, stream.len, &why) < 0) {
		test_note("the import failed: %s", buf_str(&why));
		abort();
	}
	if (wg_handover_export(new, s->now, both, &again) < 0)
		abort();
	CHECK_EQ(again.len, stream.len);
	CHECK(again.len == stream.len && !memcmp(again.data, stream.data, stream.len));
	wg_device_set_tap(h->device, NULL);
	wg_device_free(h->device);
	h->device = new;
	h->workers = workers;
	h->next_ns = s->now.boot_ns;
	wg_device_set_tap(new, &h->tap);
}

struct wg_peer *sim_peer(struct sim *s, unsigned at, unsigned of)
{
	return wg_device_peer(s->hosts[at].device, s->hosts[of].public_key);
}

static void add(struct sim *s, unsigned at, unsigned of, bool with_endpoint)
{
	struct wg_device *d = s->hosts[at].device;
	uint8_t v4[4] = {10, 0, 0, (uint8_t)(of + 1)};
	uint8_t v6[16] = {0xfd, [15] = (uint8_t)(of + 1)};
	struct wg_peer *p;

	if (wg_device_add_peer(d, s->hosts[of].public_key, &p) < 0 ||
		wg_peer_allow(d, p, AF_INET, v4, 32) < 0 ||
		wg_peer_allow(d, p, AF_INET6, v6, 128) < 0)
		abort();
	if (with_endpoint)
		wg_peer_set_endpoint(d, p, &s->hosts[of].addr);
	wg_peer_configured(d, p, s->now);
}

void sim_connect(struct sim *s, unsigned a, unsigned b, bool both)
{
	add(s, a, b, true);
	add(s, b, a, both);
}

/* ---- the network ---- */

static void transmit(struct sim *s, unsigned from, const struct wg_endpoint *to, uint8_t tos,
	const void *msg, size_t len)
{
	struct sim_datagram *g = must(calloc(1, sizeof(*g)));
	struct sim_record *r;

	if (len > sizeof(g->bytes) || s->n_records == SIM_RECORDS_MAX)
		abort();
	r = &s->records[s->n_records++];
	*r = (struct sim_record){.at_ns = s->now.boot_ns,
		.to = *to,
		.len = (uint32_t)len,
		.type = wg_message_check(msg, len),
		.from = (uint8_t)from,
		.tos = tos};
	memcpy(r->bytes, msg, min(len, sizeof(r->bytes)));
	g->to = *to;
	g->from = from;
	g->tos = tos;
	g->len = len;
	memcpy(g->bytes, msg, len);
	*s->last = g;
	s->last = &g->next;
}

static void drain(struct sim *s, unsigned host)
{
	struct wg_effect e;

	while (wg_device_effect(s->hosts[host].device, &e))
		transmit(s, host, &e.endpoint, e.tos, e.data, e.len);
}

static struct wg_worker *worker(struct sim *s, unsigned host)
{
	struct sim_host *h = &s->hosts[host];

	return wg_device_worker(h->device, h->turn++ % h->workers);
}

static void receive_data(
	struct sim *s, unsigned to, const struct wg_endpoint *src, void *msg, size_t len)
{
	struct sim_host *h = &s->hosts[to];
	struct wg_worker *w = worker(s, to);
	struct wg_rx_packet pkt = {.msg = msg, .len = (uint32_t)len};

	wg_worker_online(w);
	if (wg_tap_listens(w))
		wg_tap_arrived(w, src, 0, &pkt, 1);
	wg_rx_open(w, s->now.boot_ns, &pkt, 1);
	wg_rx_commit(w, s->now.boot_ns, src, &pkt, 1);
	wg_rx_filter(w, &pkt, 1);
	if (wg_tap_listens(w))
		wg_tap_judged(w, src, &pkt, 1);
	if (pkt.drop == WG_DROP_NONE && pkt.len) {
		if (pkt.len >= 24)
			h->tags[h->n_delivered % SIM_TAGS_MAX] = get_be32(pkt.packet + 20);
		h->n_delivered++;
		h->last_len = pkt.len;
		memcpy(h->last, pkt.packet, pkt.len);
	}
	wg_worker_offline(w);
}

void sim_receive(struct sim *s, unsigned to, const struct wg_endpoint *src, const void *msg, size_t len)
{
	uint8_t copy[DATAGRAM_MAX];

	if (len > sizeof(copy))
		abort();
	memcpy(copy, msg, len);
	switch (wg_message_check(copy, len)) {
	case WG_MESSAGE_DATA:
		receive_data(s, to, src, copy, len);
		break;
	case WG_MESSAGE_INITIATION:
	case WG_MESSAGE_RESPONSE:
	case WG_MESSAGE_COOKIE:
		if (wg_device_queue(s->hosts[to].device, src, copy, len) < 0)
			wg_worker_drop(worker(s, to), WG_DROP_QUEUE_FULL, 1);
		break;
	default:
		wg_worker_drop(worker(s, to), WG_DROP_MALFORMED, 1);
	}
}

static void arrive(struct sim *s, const struct wg_endpoint *to, struct wg_endpoint src,
	const void *msg, size_t len)
{
	for (unsigned i = 0; i < s->n_hosts; i++) {
		if (!wg_addr_equal(&s->hosts[i].addr, &to->dst))
			continue;
		memcpy(src.src, to->dst.bytes, sizeof(src.src));
		src.src_ifindex = 2;
		sim_receive(s, i, &src, msg, len);
		return;
	}
}

static void hold(struct sim *s, const struct sim_datagram *g, enum wg_message type)
{
	struct sim_held *h;

	if (s->n_held == s->held_cap) {
		s->held_cap = max(2 * s->held_cap, 16u);
		s->held = must(realloc(s->held, s->held_cap * sizeof(*s->held)));
	}
	h = &s->held[s->n_held++];
	*h = (struct sim_held){.to = g->to,
		.src = sim_endpoint(s, g->from),
		.from = g->from,
		.type = type,
		.len = g->len};
	memcpy(h->bytes, g->bytes, g->len);
}

static void deliver(struct sim *s, struct sim_datagram *g)
{
	enum wg_message type = wg_message_check(g->bytes, g->len);

	if (s->lose[g->from] & SIM_TYPE(type))
		return;
	if (s->hold[g->from] & SIM_TYPE(type)) {
		hold(s, g, type);
		return;
	}
	if (s->filter && !s->filter(s, g->from, &g->to, g->bytes, &g->len))
		return;
	arrive(s, &g->to, sim_endpoint(s, g->from), g->bytes, g->len);
}

struct wg_endpoint sim_endpoint(const struct sim *s, unsigned i)
{
	return (struct wg_endpoint){.dst = s->hosts[i].addr};
}

void sim_release(struct sim *s, unsigned i)
{
	struct sim_held h;

	if (i >= s->n_held)
		abort(); /* the test's mistake */
	h = s->held[i];
	arrive(s, &h.to, h.src, h.bytes, h.len);
	sim_settle(s);
}

void sim_release_all(struct sim *s)
{
	unsigned n = s->n_held;

	for (unsigned i = 0; i < n; i++)
		sim_release(s, i);
	if (!n)
		return;
	/* What was held meanwhile stays. */
	memmove(s->held, s->held + n, (s->n_held - n) * sizeof(*s->held));
	s->n_held -= n;
}

void sim_settle(struct sim *s)
{
	for (bool moved = true; moved;) {
		moved = false;
		for (unsigned i = 0; i < s->n_hosts; i++) {
			struct sim_host *h = &s->hosts[i];

			drain(s, i); /* what configuration calls left */
			do {
				h->woken = false;
				h->next_ns = wg_device_run(h->device, s->now);
				drain(s, i);
			} while (h->woken || h->next_ns <= s->now.boot_ns);
		}
		while (s->first) {
			struct sim_datagram *g = s->first;

			s->first = g->next;
			if (!s->first)
				s->last = &s->first;
			deliver(s, g);
			free(g);
			moved = true;
		}
	}
}

void sim_advance(struct sim *s, uint64_t ns)
{
	uint64_t end = s->now.boot_ns + ns;

	sim_settle(s);
	while (s->now.boot_ns < end) {
		uint64_t next = end;

		for (unsigned i = 0; i < s->n_hosts; i++)
			next = min(next, s->hosts[i].next_ns);
		s->now.real_ns += next - s->now.boot_ns;
		s->now.boot_ns = next;
		sim_settle(s);
	}
}

/* ---- whole situations ---- */

int sim_main(const struct sim_test tests[], size_t n)
{
	for (unsigned workers = 1; workers <= 2; workers++) {
		test_note("%u worker(s)", workers);
		for (size_t i = 0; i < n; i++) {
			sim_workers = workers; /* a test that failed may have left it changed */
			test_run(tests[i].name, tests[i].fn);
		}
	}
	return test_done();
}

struct sim *sim_pair(uint64_t seed, bool both)
{
	struct sim *s = sim_new(sim_workers, 2, seed);

	sim_connect(s, 0, 1, both);
	return s;
}

struct sim *sim_session(uint64_t seed)
{
	struct sim *s = sim_pair(seed, false);

	sim_send(s, 0, 1, 100);
	sim_settle(s);
	sim_send(s, 1, 0, 100);
	sim_settle(s);
	if (s->hosts[0].n_delivered != 1 || s->hosts[1].n_delivered != 1)
		abort();
	return s;
}

void sim_initiation(struct sim *s, unsigned from, unsigned to, const uint8_t timestamp[WG_TIMESTAMP_LEN],
	uint32_t index, struct wg_initiation *ret)
{
	cleanup(aead_freep) struct aead *aead = NULL;
	cleanup(x25519_freep) struct x25519 *key = NULL;
	cleanup(x25519_freep) struct x25519 *ephemeral = NULL;
	uint8_t private[WG_KEY_LEN], static_static[WG_KEY_LEN];
	struct cookie_maker maker;
	struct noise_self self;
	struct noise_state state;

	sim_random(&s->hosts[from], private, sizeof(private));
	if (aead_new(&aead) < 0 || x25519_new(private, &ephemeral) < 0 ||
		x25519_new(s->hosts[from].private_key, &key) < 0 ||
		x25519_derive(key, s->hosts[to].public_key, static_static) < 0)
		abort();
	self = (struct noise_self){.aead = aead, .key = key};
	*ret = (struct wg_initiation){0};
	if (noise_initiation_create(&self, s->hosts[to].public_key, static_static, ephemeral,
		    timestamp, index, &state, ret) != WG_DROP_NONE)
		abort();
	cookie_maker_init(&maker, s->hosts[to].public_key);
	cookie_add_macs(&maker, s->now.boot_ns, ret, sizeof(*ret));
}

void sim_forget(struct sim *s)
{
	s->n_records = s->n_events = 0;
}

/* ---- inner packets ---- */

void sim_ipv4(uint8_t *packet, size_t len, unsigned src, unsigned dst, uint8_t tos)
{
	memset(packet, 0, len);
	packet[0] = 0x45;
	packet[1] = tos;
	put_be16(packet + 2, (uint16_t)len);
	packet[8] = 64;
	packet[9] = 253;
	packet[12] = packet[16] = 10;
	packet[15] = (uint8_t)(src + 1);
	packet[19] = (uint8_t)(dst + 1);
	for (size_t i = 20; i < len; i++)
		packet[i] = (uint8_t)i;
}

int sim_send_packet(struct sim *s, unsigned a, const uint8_t *packet, size_t len)
{
	uint8_t inner[DATAGRAM_MAX] = {0}, out[DATAGRAM_MAX];
	struct wg_worker *w = worker(s, a);
	struct wg_tx_run run;
	struct wg_peer *p;
	enum wg_drop drop;
	size_t padded;
	int r;

	wg_worker_online(w);
	p = wg_tx_route(w, packet, len, &drop);
	if (!p) {
		wg_worker_drop(w, drop, 1);
		wg_worker_offline(w);
		return -ENOKEY;
	}
	r = wg_tx_reserve(w, p, s->now.boot_ns, 1, true, &run);
	if (r == -EAGAIN)
		wg_tx_stage(w, p, packet, len);
	if (!r) {
		padded = wg_tx_padded_len(&run, len);
		memcpy(inner, packet, len);
		wg_tx_seal(w, &run, 0, inner, padded, out);
		wg_tx_sent(w, &run, padded + WG_DATA_OVERHEAD);
		transmit(s, a, &run.endpoint, wg_tx_tos(packet), out, padded + WG_DATA_OVERHEAD);
	}
	wg_worker_offline(w);
	return r;
}

int sim_send_tag(struct sim *s, unsigned a, unsigned b, size_t len, uint32_t tag)
{
	uint8_t packet[1500];

	sim_ipv4(packet, len, a, b, 0);
	put_be32(packet + 20, tag);
	return sim_send_packet(s, a, packet, len);
}

int sim_send(struct sim *s, unsigned a, unsigned b, size_t len)
{
	uint8_t packet[1500];

	sim_ipv4(packet, len, a, b, 0);
	return sim_send_packet(s, a, packet, len);
}

/* ---- what happened ---- */

unsigned sim_count(const struct sim *s, unsigned from, enum wg_message type, unsigned since)
{
	unsigned n = 0;

	for (unsigned i = since; i < s->n_records; i++)
		n += s->records[i].from == from && s->records[i].type == type;
	return n;
}

const struct sim_record *sim_newest(const struct sim *s, unsigned from, enum wg_message type)
{
	for (unsigned i = s->n_records; i-- > 0;)
		if (s->records[i].from == from && s->records[i].type == type)
			return &s->records[i];
	return NULL;
}

unsigned sim_count_events(const struct sim *s, unsigned host, enum wg_event event)
{
	unsigned n = 0;

	for (unsigned i = 0; i < s->n_events; i++)
		n += s->events[i].host == host && s->events[i].event == event;
	return n;
}

uint64_t sim_drops(const struct sim *s, unsigned host, enum wg_drop why)
{
	uint64_t drops[WG_DROP_COUNT];

	wg_device_drops(s->hosts[host].device, drops);
	return drops[why];
}
