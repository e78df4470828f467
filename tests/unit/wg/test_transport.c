/* Data: what is sealed and sent, what is opened, refused, counted and delivered. */
#include "sim.h"
#include "wg/peer.h"

#include <errno.h>

/* Seal a packet of the test's own under host 0's session and hand it to host 1. */
static void forge(struct sim *s, uint64_t counter, const void *inner, size_t len)
{
	struct wg_tx_run run = {.keypair = sim_peer(s, 0, 1)->current, .counter = counter, .n = 1};
	struct wg_endpoint src = sim_endpoint(s, 0);
	uint8_t msg[2048], padded[2048] = {0};

	if (len)
		memcpy(padded, inner, len);
	wg_tx_seal(wg_device_worker(s->hosts[0].device, 0), &run, 0, padded, len, msg);
	sim_receive(s, 1, &src, msg, len + WG_DATA_OVERHEAD);
	sim_settle(s);
}

static void sizes(void)
{
	struct sim *s = sim_session(1);

	CHECK_EQ(sim_newest(s, 0, WG_MESSAGE_INITIATION)->len, 148);
	CHECK_EQ(sim_newest(s, 1, WG_MESSAGE_RESPONSE)->len, 92);
	for (size_t len = 20; len <= 1500; len++) {
		size_t want = (len + 15) / 16 * 16;

		if (len <= SIM_MTU && want > SIM_MTU)
			want = SIM_MTU;
		if (len > SIM_MTU) /* the remainder is padded */
			want = SIM_MTU + min((len - SIM_MTU + 15) / 16 * 16, (size_t)SIM_MTU);
		CHECK_EQ(sim_send(s, 0, 1, len), 0);
		CHECK_EQ(sim_newest(s, 0, WG_MESSAGE_DATA)->len, want + 32);
		sim_settle(s);
		CHECK_EQ(s->hosts[1].last_len, len); /* the padding is cut off again */
	}
	struct wg_tx_run run = {.mtu = 0};
	CHECK_EQ(wg_tx_padded_len(&run, 1419), 1424);
	CHECK_EQ(wg_tx_padded_len(&run, 0), 0);
	stage_send_keepalive(sim_peer(s, 0, 1));
	sim_settle(s);
	CHECK_EQ(sim_newest(s, 0, WG_MESSAGE_DATA)->len, 32);
	sim_free(s);
}

static void padding_zero(void)
{
	struct sim *s = sim_session(2);
	struct wg_keypair *k = sim_peer(s, 1, 0)->current;
	uint8_t plain[64];

	s->hold[0] = SIM_ALL;
	sim_send(s, 0, 1, 33);
	sim_settle(s);
	CHECK_EQ(s->held[0].len, 48 + 32);
	CHECK(aead_open(s->hosts[1].device->control->aead, k->keys.receive, get_le64(s->held[0].bytes + 8), NULL, 0,
		s->held[0].bytes + 16, 64, plain));
	CHECK(is_zero_const(plain + 33, 15));
	sim_free(s);
	/* And of a packet that was staged. */
	s = sim_pair(3, false);
	s->hold[0] = SIM_TYPE(WG_MESSAGE_DATA);
	sim_send(s, 0, 1, 33);
	sim_settle(s);
	CHECK_EQ(s->held[0].len, 48 + 32);
	k = sim_peer(s, 1, 0)->next;
	CHECK(aead_open(s->hosts[1].device->control->aead, k->keys.receive, 0, NULL, 0, s->held[0].bytes + 16, 64, plain));
	CHECK(is_zero_const(plain + 33, 15));
	sim_free(s);
}

static void tos(void)
{
	struct sim *s = sim_session(4);
	uint8_t p[100], v6[60] = {0x6f, 0xf5};

	for (unsigned t = 0; t < 256; t++) {
		sim_ipv4(p, 100, 0, 1, (uint8_t)t);
		CHECK_EQ(sim_send_packet(s, 0, p, 100), 0);
		CHECK_EQ(sim_newest(s, 0, WG_MESSAGE_DATA)->tos, t & 3);
	}
	for (unsigned ecn = 0; ecn < 4; ecn++) {
		v6[1] = (uint8_t)(0xc5 | ecn << 4);
		CHECK_EQ(wg_tx_tos(v6), ecn);
	}
	CHECK_EQ(sim_newest(s, 0, WG_MESSAGE_INITIATION)->tos, 0x88);
	CHECK_EQ(sim_newest(s, 1, WG_MESSAGE_RESPONSE)->tos, 0x88);
	sim_free(s);
}

static void types(void)
{
	struct sim *s = sim_session(5);
	struct wg_endpoint src = sim_endpoint(s, 0);
	uint8_t m[2000] = {0};

	for (unsigned byte = 0; byte < 4; byte++) {
		for (unsigned v = 0; v < 256; v++) {
			memset(m, 0, 4);
			m[byte] = (uint8_t)v;
			for (unsigned i = 0; i < 4; i++) {
				static const size_t lens[] = {148, 92, 64, 32};
				bool good = !byte && v == i + 1;

				if (byte || v != 4)
					CHECK_EQ(wg_message_check(m, lens[i]) != 0, good);
				m[0] = byte ? (uint8_t)(i + 1) : (uint8_t)v; /* a right type with a reserved byte set */
				if (byte && v)
					CHECK_EQ(wg_message_check(m, lens[i]), 0);
			}
		}
	}
	for (size_t len = 0; len < 2000; len++) {
		for (unsigned t = 0; t < 7; t++) {
			static const size_t want[] = {0, 148, 92, 64};

			put_le32(m, t);
			CHECK_EQ(wg_message_check(m, len), t == 4 ? (len >= 32 ? 4 : 0) : t && t < 4 && len == want[t] ? (int)t : 0);
		}
	}
	unsigned n = s->n_records;
	for (size_t len = 0; len < 200; len++) {
		memset(m, 0xaa, sizeof(m));
		sim_receive(s, 1, &src, m, len);
		put_le32(m, 5);
		sim_receive(s, 1, &src, m, len);
	}
	sim_settle(s);
	CHECK_EQ(s->n_records, n); /* no answer */
	CHECK_EQ(sim_drops(s, 1, WG_DROP_MALFORMED), 400);
	CHECK_EQ(wg_device_queue(s->hosts[1].device, &src, m, 149), -EMSGSIZE);
	sim_free(s);
}

static void limits(void)
{
	struct sim *s = sim_session(6);
	struct wg_peer *a = sim_peer(s, 0, 1);
	struct wg_worker *w;
	struct wg_tx_run run;
	uint8_t p[100];

	sim_advance(s, S(6));
	sim_forget(s);
	atomic_store(&a->current->send_counter, (1ULL << 60) - 1);
	CHECK_EQ(sim_send(s, 0, 1, 100), 0); /* nonce 2^60-1: 2^60 were sent */
	sim_settle(s);
	CHECK_EQ(sim_count(s, 0, WG_MESSAGE_INITIATION, 0), 0);
	CHECK_EQ(sim_send(s, 0, 1, 100), 0); /* nonce 2^60 */
	sim_settle(s);
	CHECK_EQ(sim_count(s, 0, WG_MESSAGE_INITIATION, 0), 1);
	/* The responder renews by count too. */
	sim_advance(s, S(6));
	sim_forget(s);
	atomic_store(&sim_peer(s, 1, 0)->current->send_counter, (1ULL << 60) + 5);
	CHECK_EQ(sim_send(s, 1, 0, 100), 0);
	sim_settle(s);
	CHECK_EQ(sim_count(s, 1, WG_MESSAGE_INITIATION, 0), 1);
	sim_free(s);

	s = sim_session(7);
	a = sim_peer(s, 0, 1);
	w = wg_device_worker(s->hosts[0].device, 0);
	sim_ipv4(p, 100, 0, 1, 0);
	const uint64_t last = UINT64_MAX - (1ULL << 13) - 1; /* 2^64-2^13-2 */
	unsigned n = s->hosts[1].n_delivered;
	forge(s, last + 1, p, 100);
	CHECK_EQ(s->hosts[1].n_delivered, n);
	forge(s, UINT64_MAX, p, 100);
	CHECK_EQ(s->hosts[1].n_delivered, n);
	CHECK_EQ(sim_drops(s, 1, WG_DROP_COUNTER_LIMIT), 2);
	forge(s, last, p, 100);
	CHECK_EQ(s->hosts[1].n_delivered, n + 1);
	forge(s, last - 1, p, 100); /* checked against the stored counter too */
	CHECK_EQ(s->hosts[1].n_delivered, n + 1);

	atomic_store(&a->current->send_counter, last - 1);
	a->initiated_ns = s->now.boot_ns;
	CHECK_EQ(wg_tx_reserve(w, a, s->now.boot_ns, 3, true, &run), -EAGAIN); /* whole */
	a->current->send_invalid = false;
	CHECK_EQ(wg_tx_reserve(w, a, s->now.boot_ns, 2, true, &run), 0);
	CHECK_EQ(run.counter + 1, last);
	CHECK_EQ(wg_tx_reserve(w, a, s->now.boot_ns, 1, true, &run), -EAGAIN);
	CHECK_EQ(a->current->send_counter, last + 1);
	a->initiated_ns = 0;
	sim_forget(s);
	sim_send_tag(s, 0, 1, 100, 1);
	sim_send_tag(s, 0, 1, 100, 2);
	s->now.boot_ns += S(6);
	s->now.real_ns += S(6);
	sim_settle(s);
	CHECK_EQ(sim_count(s, 0, WG_MESSAGE_INITIATION, 0), 1);
	CHECK_EQ(s->hosts[1].n_delivered, n + 3);
	CHECK_EQ(s->hosts[1].tags[n + 1], 1);
	CHECK_EQ(s->hosts[1].tags[n + 2], 2);
	sim_free(s);
}

static void nonces(void)
{
	struct sim *s = sim_session(8);
	struct wg_peer *a = sim_peer(s, 0, 1);
	uint64_t next = a->current->send_counter;

	for (unsigned i = 0; i < 500; i++) {
		unsigned n = 1 + i % WG_BATCH_MAX;
		struct wg_tx_run run;

		CHECK_EQ(wg_tx_reserve(wg_device_worker(s->hosts[0].device, i % sim_workers), a, s->now.boot_ns, n, true, &run), 0);
		CHECK_EQ(run.counter, next);
		next += n;
	}
	sim_free(s);
}

static void tampered(void)
{
	struct sim *s = sim_session(9);

	s->hold[0] = SIM_ALL;
	sim_send(s, 0, 1, 64);
	sim_settle(s);
	struct wg_endpoint src = {.dst = {.bytes = {203, 0, 113, 5}, .port = 5, .family = AF_INET}};
	struct wg_peer *b = sim_peer(s, 1, 0);
	struct wg_endpoint before = ENDPOINT(b);
	uint64_t greatest = b->current->window.greatest, rx = b->rx_bytes, heard = b->traversal_ns;
	for (unsigned bit = 0; bit < 96 * 8; bit++) {
		uint8_t m[96];

		memcpy(m, s->held[0].bytes, 96);
		m[bit / 8] ^= (uint8_t)(1 << bit % 8);
		sim_receive(s, 1, &src, m, 96);
	}
	sim_advance(s, S(1));
	CHECK_EQ(s->hosts[1].n_delivered, 1);
	CHECK_EQ(b->current->window.greatest, greatest);
	CHECK_EQ(b->rx_bytes, rx);
	CHECK_EQ(b->traversal_ns, heard);
	CHECK(wg_endpoint_equal(&ENDPOINT(b), &before));
	CHECK_EQ(sim_drops(s, 1, WG_DROP_UNKNOWN_INDEX), 32);
	sim_release(s, 0);
	CHECK_EQ(s->hosts[1].n_delivered, 2);
	/* A second time: dropped, and from elsewhere it moves nothing. */
	before = ENDPOINT(b);
	rx = b->rx_bytes;
	heard = b->traversal_ns;
	sim_advance(s, S(1));
	s->held[0].src = src;
	sim_release(s, 0);
	CHECK_EQ(s->hosts[1].n_delivered, 2);
	CHECK_EQ(sim_drops(s, 1, WG_DROP_REPLAY), 1);
	CHECK(wg_endpoint_equal(&ENDPOINT(b), &before));
	CHECK_EQ(b->rx_bytes, rx);
	CHECK_EQ(b->traversal_ns, heard);
	sim_free(s);
}

static void window(void)
{
	struct sim *s = sim_session(10);
	uint8_t p[100];

	sim_ipv4(p, 100, 0, 1, 0);
	unsigned n = s->hosts[1].n_delivered;
	forge(s, 100000, p, 100);
	forge(s, 100000 - 8127, p, 100);
	CHECK_EQ(s->hosts[1].n_delivered, n + 2);
	forge(s, 100000 - 8129, p, 100);
	forge(s, 100000 - 8127, p, 100);
	forge(s, 1, p, 100);
	CHECK_EQ(s->hosts[1].n_delivered, n + 2);
	CHECK_EQ(sim_drops(s, 1, WG_DROP_REPLAY), 3);
	sim_free(s);
}

static void inner(void)
{
	struct sim *s = sim_new(sim_workers, 3, 11);
	uint8_t p[400], v6[400];
	uint64_t counter = 1000;

	sim_connect(s, 0, 1, false);
	sim_connect(s, 2, 1, false);
	sim_send(s, 0, 1, 100);
	sim_settle(s);
	unsigned n = s->hosts[1].n_delivered;
	CHECK_EQ(n, 1);
	for (unsigned v = 0; v < 16; v++) {
		sim_ipv4(p, 100, 0, 1, 0);
		p[0] = (uint8_t)(v << 4 | 5);
		if (v != 4 && v != 6)
			forge(s, counter++, p, 112);
	}
	CHECK_EQ(sim_drops(s, 1, WG_DROP_INNER_NOT_IP), 14);
	CHECK_EQ(s->hosts[1].n_delivered, n);
	for (unsigned len = 0; len < 65536; len += len < 200 ? 1 : 997) {
		sim_ipv4(p, 112, 0, 1, 0);
		put_be16(p + 2, (uint16_t)len);
		forge(s, counter++, p, 112);
		bool good = len >= 20 && len <= 112;
		n += good;
		CHECK_EQ(s->hosts[1].n_delivered, n);
		if (good)
			CHECK_EQ(s->hosts[1].last_len, len);
	}
	for (unsigned len = 0; len < 65536; len += len < 200 || len > 65000 ? 1 : 997) {
		memset(v6, 0, sizeof(v6));
		v6[0] = 0x60;
		put_be16(v6 + 4, (uint16_t)len);
		v6[8] = 0xfd;
		v6[23] = 1;
		forge(s, counter++, v6, 112);
		bool good = len + 40 <= 112;
		n += good;
		CHECK_EQ(s->hosts[1].n_delivered, n);
		if (good)
			CHECK_EQ(s->hosts[1].last_len, len + 40);
	}
	for (size_t len = 1; len < 40; len++) { /* shorter than any header */
		memset(p, 0, sizeof(p));
		p[0] = len % 2 ? 0x45 : 0x60;
		forge(s, counter++, p, len < 20 || p[0] == 0x60 ? len : 19);
		CHECK_EQ(s->hosts[1].n_delivered, n);
	}
	/* The source: nobody's, another peer's, and a longer prefix of another. */
	sim_ipv4(p, 112, 77, 1, 0);
	forge(s, counter++, p, 112);
	sim_ipv4(p, 112, 2, 1, 0);
	struct wg_peer *b = sim_peer(s, 1, 0);
	uint64_t rx = b->rx_bytes;
	s->now.boot_ns += S(3);
	forge(s, counter++, p, 112);
	CHECK_EQ(sim_drops(s, 1, WG_DROP_INNER_SOURCE), 2);
	CHECK_EQ(b->rx_bytes, rx + 112 + 32); /* it still counts */
	CHECK_EQ(b->traversal_ns, s->now.boot_ns);
	CHECK_EQ(s->hosts[1].n_delivered, n);
	uint8_t ten[4] = {10};
	CHECK(!wg_peer_allow(s->hosts[1].device, b, AF_INET, ten, 8));
	forge(s, counter++, p, 112); /* 10.0.0.3/32 is still the other's */
	CHECK_EQ(s->hosts[1].n_delivered, n);
	sim_ipv4(p, 112, 77, 1, 0);
	forge(s, counter++, p, 112);
	CHECK_EQ(s->hosts[1].n_delivered, n + 1);
	/* And a refused one roams as any other. */
	s->hosts[0].addr.port = 999;
	sim_ipv4(p, 112, 2, 1, 0);
	forge(s, counter++, p, 112);
	CHECK_EQ(ENDPOINT(b).dst.port, 999);
	/* A keepalive delivers nothing. */
	forge(s, counter++, p, 0);
	CHECK_EQ(s->hosts[1].n_delivered, n + 1);
	sim_free(s);
}

static void counts(void)
{
	struct sim *s = sim_pair(12, false);
	struct wg_peer_info a, b;

	sim_send(s, 0, 1, 100); /* 112 + 32 */
	sim_settle(s);
	wg_peer_info(sim_peer(s, 0, 1), &a);
	wg_peer_info(sim_peer(s, 1, 0), &b);
	CHECK_EQ(a.tx_bytes, 148 + 144);
	CHECK_EQ(b.rx_bytes, 148 + 144);
	CHECK_EQ(b.tx_bytes, 92);
	CHECK_EQ(a.rx_bytes, 92);
	sim_send(s, 1, 0, 1420);
	sim_advance(s, S(11)); /* and a keepalive */
	wg_peer_info(sim_peer(s, 0, 1), &a);
	wg_peer_info(sim_peer(s, 1, 0), &b);
	CHECK_EQ(a.rx_bytes, 92 + 1452);
	CHECK_EQ(b.tx_bytes, 92 + 1452);
	CHECK_EQ(a.tx_bytes, 148 + 144 + 32);
	CHECK_EQ(b.rx_bytes, 148 + 144 + 32);
	sim_free(s);
}

static void order(void)
{
	struct sim *s = sim_session(13);
	struct wg_worker *w = wg_device_worker(s->hosts[1].device, sim_workers - 1);
	struct wg_rx_packet pkts[64];

	/* A batch opened by one worker, committed by another, in the order of arrival. */
	s->hold[0] = SIM_ALL;
	for (uint32_t i = 0; i < 64; i++)
		sim_send_tag(s, 0, 1, 100, i);
	sim_settle(s);
	for (unsigned i = 0; i < 64; i++)
		pkts[i] = (struct wg_rx_packet){.msg = s->held[i ^ 3].bytes, .len = (uint32_t)s->held[i].len};
	wg_worker_online(w);
	wg_rx_open(w, s->now.boot_ns, pkts, 64);
	struct wg_worker *first = wg_device_worker(s->hosts[1].device, 0);
	wg_rx_commit(first, s->now.boot_ns, &s->held[0].src, pkts, 64);
	wg_rx_filter(first, pkts, 64);
	for (unsigned i = 0; i < 64; i++) {
		CHECK_EQ(pkts[i].drop, WG_DROP_NONE);
		CHECK_EQ(get_be32(pkts[i].packet + 20), i ^ 3);
	}
	wg_worker_offline(w);
	for (uint32_t i = 0; i < 1000; i++)
		sim_send_tag(s, 0, 1, 100, i);
	s->hold[0] = 0;
	sim_settle(s);
	CHECK_EQ(s->hosts[1].n_delivered, 1 + 1000);
	for (uint32_t i = 0; i < 1000; i++)
		CHECK_EQ(s->hosts[1].tags[1 + i], i);
	sim_free(s);
}

static void confirm_sends(void)
{
	struct sim *s = sim_pair(14, true);

	s->hold[0] = SIM_TYPE(WG_MESSAGE_DATA);
	sim_send(s, 0, 1, 100);
	sim_settle(s);
	for (uint32_t i = 0; i < 5; i++)
		CHECK_EQ(sim_send_tag(s, 1, 0, 100, i), -EAGAIN);
	sim_settle(s);
	CHECK_EQ(s->hosts[0].n_delivered, 0);
	sim_release(s, 0);
	CHECK_EQ(s->hosts[0].n_delivered, 5);
	for (uint32_t i = 0; i < 5; i++)
		CHECK_EQ(s->hosts[0].tags[i], i);
	CHECK_EQ(sim_count(s, 1, WG_MESSAGE_INITIATION, 0), 0);
	sim_free(s);
}

static void typed_index(void)
{
	struct sim *s = sim_pair(15, false);
	struct wg_endpoint src = sim_endpoint(s, 1);
	uint8_t m[32] = {4};

	s->lose[0] = SIM_ALL;
	sim_send(s, 0, 1, 100);
	sim_settle(s);
	put_le32(m + 4, sim_peer(s, 0, 1)->handshake->entry.index);
	sim_receive(s, 0, &src, m, 32);
	CHECK_EQ(sim_drops(s, 0, WG_DROP_UNKNOWN_INDEX), 1);
	sim_free(s);
}

static void roaming(void)
{
	struct sim *s = sim_session(16);
	struct wg_peer *b = sim_peer(s, 1, 0);

	s->hosts[0].addr.port = 1234; /* the port alone */
	sim_send(s, 0, 1, 100);
	sim_settle(s);
	CHECK_EQ(ENDPOINT(b).dst.port, 1234);
	CHECK_EQ(sim_count_events(s, 1, WG_EVENT_ROAMED), 2);
	s->hosts[0].addr.bytes[3] = 77;
	sim_send(s, 0, 1, 100);
	sim_settle(s);
	CHECK(wg_addr_equal(&ENDPOINT(b).dst, &s->hosts[0].addr));
	CHECK_EQ(sim_send(s, 1, 0, 100), 0);
	sim_settle(s);
	CHECK_EQ(s->hosts[0].n_delivered, 2);
	CHECK_EQ(ENDPOINT(b).src_ifindex, 2); /* and our address that it wrote to */
	CHECK_EQ(ENDPOINT(b).src[3], 2);
	/* A handshake moves it too, in both directions. */
	sim_advance(s, S(6));
	s->hosts[0].addr.port = 4321;
	s->hosts[1].addr.port = 99;
	wg_peer_set_endpoint(s->hosts[0].device, sim_peer(s, 0, 1), &s->hosts[1].addr);
	CHECK_EQ(ENDPOINT(sim_peer(s, 0, 1)).src_ifindex, 0);
	s->hold[1] = SIM_TYPE(WG_MESSAGE_RESPONSE);
	handshake_initiate(sim_peer(s, 0, 1), false);
	sim_settle(s);
	CHECK_EQ(ENDPOINT(b).dst.port, 4321);
	s->held[0].src.dst.port = 98;
	sim_release(s, 0);
	CHECK_EQ(ENDPOINT(sim_peer(s, 0, 1)).dst.port, 98);
	sim_free(s);
}

static void route(void)
{
	struct sim *s = sim_new(sim_workers, 3, 17);
	struct wg_worker *w;
	enum wg_drop drop = WG_DROP_NONE;
	uint8_t p[100], ten[4] = {10}, any[16] = {0};

	sim_connect(s, 0, 1, false);
	sim_connect(s, 0, 2, false);
	w = wg_device_worker(s->hosts[0].device, 0);
	CHECK(!wg_peer_allow(s->hosts[0].device, sim_peer(s, 0, 1), AF_INET, ten, 8));
	sim_ipv4(p, 100, 0, 2, 0);
	CHECK(wg_tx_route(w, p, 100, &drop) == sim_peer(s, 0, 2));
	sim_ipv4(p, 100, 0, 99, 0);
	CHECK(wg_tx_route(w, p, 100, &drop) == sim_peer(s, 0, 1));
	p[16] = 11;
	CHECK(!wg_tx_route(w, p, 100, &drop));
	CHECK_EQ(drop, WG_DROP_NO_PEER);
	CHECK(!wg_peer_allow(s->hosts[0].device, sim_peer(s, 0, 2), AF_INET, any, 0));
	CHECK(wg_tx_route(w, p, 100, &drop) == sim_peer(s, 0, 2));
	p[0] = 0x60; /* other family, other trie */
	CHECK(!wg_tx_route(w, p, 100, &drop));
	CHECK_EQ(drop, WG_DROP_NO_PEER);
	for (unsigned v = 0; v < 16; v++) {
		p[0] = (uint8_t)(v << 4);
		drop = WG_DROP_NONE;
		if (v != 4 && v != 6) {
			CHECK(!wg_tx_route(w, p, 100, &drop));
			CHECK_EQ(drop, WG_DROP_NOT_IP);
		}
	}
	p[0] = 0x45;
	CHECK(!wg_tx_route(w, p, 19, &drop));
	CHECK_EQ(drop, WG_DROP_NOT_IP);
	p[0] = 0x60;
	CHECK(!wg_tx_route(w, p, 39, &drop));
	CHECK_EQ(drop, WG_DROP_NOT_IP);
	struct wg_tx_run run;
	CHECK_EQ(wg_tx_reserve(wg_device_worker(s->hosts[1].device, 0), sim_peer(s, 1, 0), s->now.boot_ns, 1, true, &run),
		-EDESTADDRREQ);
	sim_free(s);
}

static void hostile(void)
{
	struct sim *s = sim_session(18);
	struct wg_endpoint src = {.dst = {.bytes = {203, 0, 113, 5}, .port = 5, .family = AF_INET}};
	uint64_t seed = 99;
	uint8_t m[1500];

	for (unsigned i = 0; i < 20000; i++) {
		size_t len = test_random(&seed) % sizeof(m);

		for (size_t j = 0; j < len; j++)
			m[j] = (uint8_t)(test_random(&seed) >> 40);
		if (len >= 8) {
			static const size_t lens[] = {148, 92, 64};
			unsigned t = 1 + i % 4;

			put_le32(m, t);
			if (t < 4)
				len = lens[t - 1];
			if (i % 3)
				put_le32(m + (t == 2 ? 8 : 4), sim_peer(s, 1, 0)->current->entry.index);
		}
		sim_receive(s, 1, &src, m, len);
		if (i % 64 == 0)
			sim_settle(s);
	}
	sim_settle(s);
	CHECK_EQ(sim_count(s, 1, WG_MESSAGE_COOKIE, 0), 0);
	CHECK_EQ(sim_send(s, 0, 1, 100), 0);
	CHECK_EQ(sim_send(s, 1, 0, 100), 0);
	sim_settle(s);
	CHECK_EQ(s->hosts[0].n_delivered + s->hosts[1].n_delivered, 4);
	sim_free(s);
}

static void owner_drops(void)
{
	struct sim *s = sim_session(2);

	wg_worker_drop(
		wg_device_worker(s->hosts[0].device, sim_workers - 1), WG_DROP_SEND_FAILED, 2);
	wg_device_drop(s->hosts[0].device, WG_DROP_SEND_FAILED, 3, (struct wg_tap_packet){0});
	CHECK_EQ(sim_drops(s, 0, WG_DROP_SEND_FAILED), 5);
	CHECK_EQ(sim_drops(s, 1, WG_DROP_SEND_FAILED), 0);
	sim_free(s);
}

static const struct sim_test tests[] = {
	{"messages have their sizes, data is padded to 16 and never beyond the MTU [const-message-sizes] [tx-padding-16] "
	 "[tx-padding-mtu] [tx-padding-over-mtu] [rx-trim]", sizes},
	{"the padding is zero [tx-padding-16]", padding_zero},
	{"handshakes go out with 0x88, data with its ECN alone [tx-tos-handshake] [tx-ecn-data]", tos},
	{"type and length must fit exactly; what is unknown gets no answer [rx-type-reserved] [rx-length-exact] "
	 "[rx-length-data] [tx-no-junk]", types},
	{"2^60 messages renew a key, 2^64-2^13-2 is its last counter [const-rekey-after-messages] "
	 "[const-reject-after-messages] [tx-nonce-limit] [tx-keep-fresh-count] [rx-counter-limit]", limits},
	{"nonces are given out in order, without a gap, by all workers [tx-nonce-order]", nonces},
	{"any one bit changed, or a second time: dropped, and nothing moves [rx-tampered] [rx-replay] [rx-replay-after-aead] "
	 "[rx-replay-no-endpoint] [roam-unauthenticated] [rx-unknown-index]", tampered},
	{"what lies in the window is accepted once, what lies behind it never [replay-window]", window},
	{"inner version, length and source are checked, and count all the same [rx-version] [rx-inner-v4-length] "
	 "[rx-inner-v6-length] [rx-source] [rx-source-longest] [rx-refused-inner-counts] [rx-keepalive]", inner},
	{"whole datagrams are counted, handshakes too [tx-bytes] [rx-bytes]", counts},
	{"packets are delivered as they arrived [rx-order-per-peer]", order},
	{"the first message under the next session sends what waits [rx-confirm-sends-staged]", confirm_sends},
	{"data for a handshake's index is refused [index-typed-data]", typed_index},
	{"the endpoint follows data, port and handshakes [roam-data] [roam-data-new-port] [roam-handshake] "
	 "[endpoint-set-no-source]", roaming},
	{"the longest allowed IP chooses the peer [tx-route] [trie-longest] [trie-default] [trie-families] [tx-not-ip]", route},
	{"what the owner could not send is counted with the workers' drops [drop-counted-control]", owner_drops},
	{"arbitrary bytes leave sessions working [rx-hostile]", hostile},
};

int main(void)
{
	return sim_main(tests, array_size(tests));
}
