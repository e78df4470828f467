/* Too many messages, too many packets: load, limiter, cookies, and every bound of what waits. */
#include "sim.h"
#include "wg/peer.h"

#include <errno.h>

static struct wg_endpoint attacker(unsigned i)
{
	return (struct wg_endpoint){.dst = {.bytes = {198, 51, (uint8_t)(i >> 8), (uint8_t)i}, .port = 9, .family = AF_INET}};
}

static void junk(struct sim *s, unsigned at, unsigned n)
{
	struct wg_endpoint src = attacker(0);
	struct wg_initiation m = {.type = {1}};

	while (n--)
		sim_receive(s, at, &src, &m, sizeof(m));
}

static void initiation(struct sim *s, struct wg_initiation *m, uint32_t index)
{
	uint8_t ts[12];

	noise_timestamp(s->now.real_ns, ts);
	sim_initiation(s, 0, 1, ts, index, m);
}

/* The message comes behind ${n} others, and is therefore seen with one fewer each. */
static unsigned cookies_behind(unsigned n)
{
	struct sim *s = sim_pair(1, false);
	struct wg_endpoint src = sim_endpoint(s, 0);
	struct wg_initiation m;

	s->lose[1] = SIM_ALL;
	initiation(s, &m, 1);
	sim_receive(s, 1, &src, &m, sizeof(m));
	junk(s, 1, n - 1);
	sim_settle(s);
	n = sim_count(s, 1, WG_MESSAGE_COOKIE, 0);
	CHECK_EQ(n + sim_count(s, 1, WG_MESSAGE_RESPONSE, 0), 1);
	sim_free(s);
	return n;
}

static void threshold(void)
{
	CHECK_EQ(cookies_behind(511), 0);
	CHECK_EQ(cookies_behind(512), 1);
}

static void sticky(void)
{
	struct sim *s = sim_pair(2, false);
	struct wg_endpoint src = sim_endpoint(s, 0);
	struct wg_initiation m;

	s->lose[1] = SIM_ALL;
	junk(s, 1, 512);
	sim_settle(s);
	sim_advance(s, S(1) - 1);
	initiation(s, &m, 1);
	sim_receive(s, 1, &src, &m, sizeof(m));
	sim_settle(s);
	CHECK_EQ(sim_count(s, 1, WG_MESSAGE_COOKIE, 0), 1);
	CHECK_EQ(sim_count_events(s, 1, WG_EVENT_UNDER_LOAD), 1);
	CHECK_EQ(sim_count_events(s, 1, WG_EVENT_LOAD_PASSED), 0);
	CHECK_EQ(sim_count_events(s, 1, WG_EVENT_COOKIE_SENT), 1);
	sim_advance(s, 1);
	sim_receive(s, 1, &src, &m, sizeof(m));
	sim_settle(s);
	CHECK_EQ(sim_count(s, 1, WG_MESSAGE_COOKIE, 0), 1);
	CHECK_EQ(sim_count(s, 1, WG_MESSAGE_RESPONSE, 0), 1);
	CHECK_EQ(sim_count_events(s, 1, WG_EVENT_UNDER_LOAD), 1);
	CHECK_EQ(sim_count_events(s, 1, WG_EVENT_LOAD_PASSED), 1);
	sim_free(s);
}

static void yields(void)
{
	struct sim *s = sim_pair(1, false);

	junk(s, 1, 1);
	sim_settle(s);
	CHECK_EQ(s->hosts[1].n_yielded, 0);
	junk(s, 1, 100);
	sim_settle(s);
	CHECK_EQ(s->hosts[1].n_yielded, 99);
	sim_free(s);
}

static void idle_ignores_mac2(void)
{
	struct sim *s = sim_pair(3, false);
	struct wg_endpoint src = sim_endpoint(s, 0);
	struct wg_initiation m;

	s->lose[1] = SIM_ALL;
	initiation(s, &m, 1);
	memset(m.macs.mac2, 0xee, 16);
	sim_receive(s, 1, &src, &m, sizeof(m));
	sim_settle(s);
	CHECK_EQ(sim_count(s, 1, WG_MESSAGE_RESPONSE, 0), 1);
	CHECK_EQ(ratelimiter_n_entries(s->hosts[1].device->limiter), 0);
	sim_free(s);
}

static void order(void)
{
	struct sim *s = sim_pair(4, false);
	struct wg_device *d = s->hosts[1].device;
	struct wg_endpoint src = sim_endpoint(s, 0);
	struct wg_initiation m;
	struct cookie_maker maker;
	struct wg_cookie_reply reply;

	s->lose[1] = SIM_ALL;
	junk(s, 1, 600);
	sim_settle(s);
	CHECK_EQ(s->n_records, 0); /* a wrong mac1 gets no cookie */
	CHECK_EQ(ratelimiter_n_entries(d->limiter), 0);
	/* Six with a good cookie: five go through to Noise, the sixth is dropped without an answer. */
	cookie_maker_init(&maker, s->hosts[1].public_key);
	for (unsigned i = 0; i < 7; i++) {
		initiation(s, &m, i);
		cookie_add_macs(&maker, s->now.boot_ns, &m, sizeof(m));
		if (!i) {
			cookie_reply(&d->checker, &d->config, s->now.boot_ns, &src.dst, &m, sizeof(m), &reply);
			CHECK(!cookie_consume(&maker, s->now.boot_ns, &reply));
			continue;
		}
		sim_receive(s, 1, &src, &m, sizeof(m));
		sim_settle(s);
	}
	CHECK_EQ(sim_count(s, 1, WG_MESSAGE_RESPONSE, 0), 1);
	CHECK_EQ(sim_drops(s, 1, WG_DROP_OLD_TIMESTAMP), 4);
	CHECK_EQ(sim_drops(s, 1, WG_DROP_RATE_LIMIT), 1);
	CHECK_EQ(sim_count(s, 1, WG_MESSAGE_COOKIE, 0), 0);
	/* The same message from another port or address owns nothing: a cookie. */
	src.dst.port++;
	sim_receive(s, 1, &src, &m, sizeof(m));
	src.dst.port--;
	src.dst.bytes[3]++;
	sim_receive(s, 1, &src, &m, sizeof(m));
	sim_settle(s);
	CHECK_EQ(sim_count(s, 1, WG_MESSAGE_COOKIE, 0), 2);
	/* Nonces differ. */
	CHECK(memcmp(s->records[s->n_records - 1].bytes + 8, s->records[s->n_records - 2].bytes + 8, 24));
	CHECK_EQ(sim_newest(s, 1, WG_MESSAGE_COOKIE)->tos, 0x88);
	/* The limiter's memory goes when it is idle. */
	CHECK_EQ(ratelimiter_n_entries(d->limiter), 1);
	sim_advance(s, S(4));
	CHECK_EQ(ratelimiter_n_entries(d->limiter), 0);
	sim_free(s);
}

/* A flood with good cookies from one address does not keep another away. */
static void per_source(void)
{
	struct sim *s = sim_new(sim_workers, 3, 5);
	struct wg_endpoint src;

	sim_connect(s, 0, 1, false);
	sim_connect(s, 2, 1, false);
	src = sim_endpoint(s, 2);
	junk(s, 1, 600);
	sim_send(s, 0, 1, 100);
	sim_settle(s); /* host 0 has its cookie */
	sim_advance(s, S(4) + MS(900));
	junk(s, 1, 600);
	for (unsigned i = 0; i < 100; i++)
		ratelimiter_allow(s->hosts[1].device->limiter, &src.dst, s->now.boot_ns);
	sim_advance(s, MS(500));
	CHECK_EQ(s->hosts[1].n_delivered, 1);
	CHECK_EQ(sim_drops(s, 1, WG_DROP_RATE_LIMIT), 0);
	sim_free(s);
}

static void queue_bound(void)
{
	struct sim *s = sim_pair(6, false);
	struct wg_endpoint src = attacker(0);
	struct wg_initiation m = {.type = {1}};
	struct wg_device *d = s->hosts[1].device;

	for (unsigned i = 0; i < 4096; i++)
		CHECK_EQ(wg_device_queue(d, &src, &m, sizeof(m)), 0);
	CHECK_EQ(wg_device_queue(d, &src, &m, sizeof(m)), -ENOBUFS);
	unsigned runs = 0;
	while (wg_device_run(d, s->now) <= s->now.boot_ns)
		runs++;
	CHECK(runs >= 100 && runs < 200); /* bounded work a call */
	CHECK_EQ(sim_drops(s, 1, WG_DROP_BAD_MAC1), 4096);
	CHECK_EQ(wg_device_queue(d, &src, &m, sizeof(m)), 0);
	sim_settle(s);
	sim_send(s, 0, 1, 100);
	sim_advance(s, S(6));
	CHECK_EQ(s->hosts[1].n_delivered, 1);
	sim_free(s);
}

/* ---- what waits for a session ---- */

static void staged_peer(void)
{
	struct sim *s = sim_pair(7, false);

	for (uint32_t i = 0; i < 300; i++)
		sim_send_tag(s, 0, 1, 100, i);
	CHECK_EQ(sim_peer(s, 0, 1)->n_staged, 128);
	CHECK_EQ(sim_drops(s, 0, WG_DROP_STAGED_FULL), 172);
	sim_settle(s);
	CHECK_EQ(s->hosts[1].n_delivered, 128);
	for (uint32_t i = 0; i < 128; i++)
		CHECK_EQ(s->hosts[1].tags[i], 172 + i);
	CHECK_EQ(s->hosts[0].device->staged_bytes, 0);
	sim_free(s);
}

static void staged_device(void)
{
	struct sim *s = sim_new(sim_workers, 1, 8);
	struct wg_device *d = s->hosts[0].device;
	struct wg_peer *p[64];
	uint8_t key[32] = {9}, packet[1400] = {0x45};

	for (unsigned i = 0; i < 64; i++) {
		key[1] = (uint8_t)(i + 1);
		CHECK(!wg_device_add_peer(d, key, &p[i]));
	}
	for (unsigned n = 0; n < 100; n++)
		for (unsigned i = 0; i < 64; i++) {
			wg_tx_stage(wg_device_worker(d, i % sim_workers), p[i], packet, sizeof(packet));
			CHECK(d->staged_bytes <= 4 << 20);
		}
	CHECK(d->staged_bytes > (4 << 20) - 2000);
	unsigned kept = 0;
	for (unsigned i = 0; i < 64; i++)
		kept += p[i]->n_staged;
	CHECK_EQ(kept + sim_drops(s, 0, WG_DROP_STAGED_FULL), 6400);
	/* Peers go while packets of theirs are queued and signalled. */
	for (unsigned i = 0; i < 64; i += 2)
		wg_device_remove_peer(d, p[i]);
	wg_tx_stage(wg_device_worker(d, 0), p[0], packet, sizeof(packet)); /* a worker that has not noticed */
	CHECK_EQ(p[0]->n_staged, 0);
	CHECK(d->staged_bytes > 0);
	sim_settle(s);
	wg_device_down(d);
	CHECK_EQ(d->staged_bytes, 0);
	CHECK_EQ(sim_drops(s, 0, WG_DROP_STAGED_FULL) + sim_drops(s, 0, WG_DROP_STAGED_FLUSHED), 6401);
	sim_free(s);
}

/* The effects are bounded, and nothing that waits is lost to the bound. */
static void effects(void)
{
	struct sim *s = sim_new(sim_workers, 1, 9);
	struct wg_device *d = s->hosts[0].device;
	struct wg_addr to = {.bytes = {192, 0, 2, 9}, .port = 1, .family = AF_INET};
	enum { N = 10000 };
	uint8_t key[32] = {9};
	unsigned sent = 0;
	struct wg_effect e;

	wg_device_down(d);
	for (unsigned i = 0; i < N; i++) {
		struct wg_peer *p;

		put_le32(key + 4, i);
		CHECK(!wg_device_add_peer(d, key, &p));
		wg_peer_set_endpoint(d, p, &to);
		wg_peer_set_keepalive(p, 600);
	}
	wg_device_up(d, s->now);
	CHECK(d->effect_bytes.len <= 2 << 20);
	for (unsigned round = 0; round < 400; round++) {
		while (wg_device_effect(d, &e))
			sent++;
		CHECK((wg_device_run(d, s->now) == s->now.boot_ns) == (sent + 32 < N));
		CHECK(d->effect_bytes.len <= 2 << 20);
		CHECK(d->effects_n < 40000);
	}
	CHECK_EQ(sent, N);
	CHECK_EQ(sim_drops(s, 0, WG_DROP_NO_MEMORY), 0);
	sim_free(s);
}

static unsigned drain(struct wg_device *d, unsigned *ret_responses)
{
	struct wg_effect e;
	unsigned initiations = 0;

	while (wg_device_effect(d, &e)) {
		initiations += e.len == sizeof(struct wg_initiation);
		*ret_responses += e.len == sizeof(struct wg_response);
	}
	return initiations;
}

/* What comes while a thousand handshakes are due, by signal or by timer, is answered among the first of them. */
static void initiations(void)
{
	struct sim *s = sim_pair(11, false);
	struct wg_device *d = s->hosts[1].device;
	struct wg_addr to = {.bytes = {192, 0, 2, 9}, .port = 1, .family = AF_INET};
	struct wg_endpoint src = sim_endpoint(s, 0);
	enum { N = 1000 };
	struct wg_initiation m;
	uint8_t key[32] = {9};

	wg_device_down(d);
	for (unsigned i = 0; i < N; i++) {
		struct wg_peer *p;

		put_le32(key + 4, i);
		CHECK(!wg_device_add_peer(d, key, &p));
		wg_peer_set_endpoint(d, p, &to);
		wg_peer_set_keepalive(p, 600);
	}
	wg_device_up(d, s->now);
	for (unsigned retry = 0; retry < 3; retry++) {
		unsigned sent = 0, responses = 0, n;

		s->now.boot_ns += S(6);
		s->now.real_ns += S(6);
		initiation(s, &m, retry);
		CHECK(!wg_device_queue(d, &src, &m, sizeof(m)));
		n = drain(d, &responses);
		CHECK(n <= 32);
		for (unsigned runs = 0; runs < 2 * N / 32; runs++) {
			uint64_t next = wg_device_run(d, s->now);

			sent += n;
			n = drain(d, &responses);
			CHECK(n <= 64);
			CHECK_EQ(responses, 1);
			CHECK(sent + n >= N || next <= s->now.boot_ns);
		}
		CHECK(sent + n >= N);
	}
	sim_free(s);
}

/* While the effects are full a retry waits, and is made, and counted as one, when they are drained. */
static void retry_with_full_effects(void)
{
	struct sim *s = sim_pair(12, false);
	struct wg_device *d = s->hosts[0].device;
	struct wg_peer *a = sim_peer(s, 0, 1);
	const struct wg_endpoint nowhere = {0};
	unsigned responses = 0;

	s->lose[0] = SIM_ALL;
	sim_send(s, 0, 1, 100);
	sim_settle(s);
	for (unsigned attempt = 1; attempt <= 5; attempt++) {
		s->now.boot_ns += S(6);
		s->now.real_ns += S(6);
		while (!effects_full(d)) {
			CHECK(effect_send_begin(d, 10000) != NULL);
			effect_send_commit(d, NULL, &nowhere, 0, 10000);
		}
		CHECK_EQ(wg_device_run(d, s->now), s->now.boot_ns);
		CHECK_EQ(drain(d, &responses), 0);
		CHECK_EQ(a->timers.attempts, attempt - 1);
		wg_device_run(d, s->now);
		CHECK_EQ(drain(d, &responses), 1);
		CHECK_EQ(a->timers.attempts, attempt);
	}
	sim_free(s);
}

/* 128 packets of a jumbo MTU are more than the effects take at once. */
static void effects_jumbo(void)
{
	struct sim *s = sim_session(10);
	struct wg_device *d = s->hosts[0].device;
	struct wg_peer *a = sim_peer(s, 0, 1);
	static uint8_t packet[60000] = {0x45};
	struct wg_effect e;
	unsigned sent = 0;

	wg_device_set_mtu(d, 65000);
	for (unsigned i = 0; i < 60; i++)
		wg_tx_stage(wg_device_worker(d, 0), a, packet, sizeof(packet));
	CHECK_EQ(a->n_staged, 60);
	for (unsigned i = 0; i < 10; i++) {
		uint64_t next = wg_device_run(d, s->now);

		CHECK(d->effect_bytes.len <= 2 << 20);
		CHECK(!a->n_staged || next == s->now.boot_ns);
		while (wg_device_effect(d, &e))
			sent += e.len > 60000;
	}
	CHECK_EQ(sent, 60);
	CHECK_EQ(sim_drops(s, 0, WG_DROP_NO_MEMORY), 0);
	sim_free(s);
}

static const struct sim_test tests[] = {
	{"under load from 512 waiting messages on [load-threshold]", threshold},
	{"load lasts a second after the queue was long, and ends [load-sticky]", sticky},
	{"between two messages others may have the processor [load-yield]", yields},
	{"without load mac2 is not looked at [load-idle-mac1-only]", idle_ignores_mac2},
	{"under load: mac1, then cookie, then limiter [load-order-mac1] [load-order-cookie] [load-order-limiter] "
	 "[mac-cookie-port] [mac-cookie-address] [cookie-reply-nonce] [limiter-burst] [limiter-collect] [tx-tos-handshake]", order},
	{"a flood from one source sends no other away [load-per-source] [load-handshake-completes]", per_source},
	{"4,096 messages wait and no more, and are worked off in pieces", queue_bound},
	{"128 packets wait for a peer, the newest, in order [staged-limit-peer] [tx-drop-oldest] [tx-staged-order]", staged_peer},
	{"4 MiB wait for a device; what goes is counted [staged-limit-device] [tx-flush-remove] [tx-flush-down]", staged_device},
	{"10,000 initiations at once stay within the bound, and none is lost", effects},
	{"messages are answered while 1,000 initiations are due [load-handshake-completes]", initiations},
	{"a retry that meets full effects counts as one [timer-give-up]", retry_with_full_effects},
	{"packets that wait are not lost to full effects [tx-staged-order]", effects_jumbo},
};

int main(void)
{
	return sim_main(tests, array_size(tests));
}
