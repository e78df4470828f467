/*
 * bench/inprocess.c - the engine with split and join, from memory to memory: what a packet costs
 * before any system call.
 *
 *	inprocess			each case, in nanoseconds a packet: best of several rounds
 *	inprocess CASE TURNS		one case that often, for callgrind; prints the number of
 *packets
 *
 * Cases: tx-super, rx-super: a TCP super-packet of 47 segments; tx-small, rx-small: single UDP
 * packets of 64 bytes.  Each is one function of the same name with turn_ in front, in which
 *callgrind counts (--toggle-collect); what prepares its input is outside.
 */
#include "tunnel/join.h"
#include "tunnel/split.h"
#include "wg/worker.h"

#include <netinet/in.h>
#include <stdio.h>
#include <time.h>

#include "tunnel/checksum.h"

#define ROUNDS 15
#define TURNS 300
#define SEGMENTS 47
#define MTU 1420
#define HEADERS 52 /* IPv4, and TCP with timestamps */
#define MSS (MTU - HEADERS)
#define SMALL 64
#define NOW_NS (1000 * NS_PER_S)

static const struct wg_now now = {.boot_ns = NOW_NS, .real_ns = 1767225600 * NS_PER_S};
static struct wg_device *devices[2];
static struct wg_endpoint endpoints[2];

static struct {
	uint8_t super[VNET_HDR_LEN + HEADERS + SEGMENTS * MSS];
	uint8_t small[VNET_HDR_LEN + SMALL];
	uint8_t from_tun[SPLIT_BUFFER_SIZE];
	uint8_t datagrams[SEGMENTS * (MTU + WG_DATA_OVERHEAD)];
	size_t lens[SEGMENTS];
	unsigned n;
	struct join join;
	unsigned writes, packets; /* since the last turn began */
	size_t bytes;
} m;

static void must(bool good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "inprocess: %s\n", what);
	exit(1);
}

/* ---- two ends with a session ---- */

static void fill_random(void *arg, void *buf, size_t len)
{
	static uint64_t seed = 1;
	uint8_t *p = buf;

	for (size_t i = 0; i < len; i++) {
		seed = seed * 6364136223846793005ull + 1442695040888963407ull;
		p[i] = (uint8_t)(seed >> 56);
	}
}

/* What the devices have to say to each other, until they are done. */
static void settle(void)
{
	for (bool moved = true; moved;) {
		moved = false;
		for (unsigned i = 0; i < 2; i++) {
			struct wg_effect e;

			wg_device_run(devices[i], now);
			while (wg_device_effect(devices[i], &e)) {
				enum wg_message type = wg_message_check(e.data, e.len);
				struct wg_worker *w = wg_device_worker(devices[!i], 0);
				uint8_t copy[256];
				struct wg_rx_packet pkt = {.msg = copy, .len = (uint32_t)e.len};

				if (e.len > sizeof(copy))
					continue;
				moved = true;
				memcpy(copy, e.data, e.len);
				if (type != WG_MESSAGE_DATA) {
					wg_device_queue(devices[!i], &endpoints[i], copy, e.len);
					continue;
				}
				wg_worker_online(w);
				wg_rx_open(w, NOW_NS, &pkt, 1);
				wg_rx_commit(w, NOW_NS, &endpoints[i], &pkt, 1);
				wg_worker_offline(w);
			}
		}
	}
}

static void begin(void)
{
	struct wg_device_config config = {.random = fill_random, .workers = 1};
	uint8_t private[2][WG_KEY_LEN];
	struct x25519 *keys[2];

	for (unsigned i = 0; i < 2; i++) {
		uint8_t ip[4] = {192, 0, 2, (uint8_t)(i + 1)};

		fill_random(NULL, private[i], WG_KEY_LEN);
		must(!x25519_new(private[i], &keys[i]) && !wg_device_new(&config, &devices[i]) &&
				!wg_device_set_private_key(devices[i], now, private[i]),
			"no device");
		wg_device_set_mtu(devices[i], MTU);
		wg_device_up(devices[i], now);
		endpoints[i] = (struct wg_endpoint){.dst = wg_addr_v4(ip, 51820)};
	}
	for (unsigned i = 0; i < 2; i++) {
		uint8_t allowed[4] = {10, 0, 0, (uint8_t)(2 - i)};
		struct wg_peer *p;

		must(!wg_device_add_peer(devices[i], x25519_public(keys[!i]), &p) &&
				!wg_peer_allow(devices[i], p, AF_INET, allowed, 32),
			"no peer");
		wg_peer_set_endpoint(devices[i], p, &endpoints[!i].dst);
		wg_peer_set_keepalive(p, i ? 0 : 1000); /* begins the handshake */
		wg_peer_configured(devices[i], p, now);
	}
	settle();
	x25519_free(keys[0]);
	x25519_free(keys[1]);
}

/* ---- packets ---- */

static void ipv4(uint8_t *p, uint8_t protocol, size_t len)
{
	memcpy(p,
		(const uint8_t[20]){
			0x45, [6] = 0x40, [8] = 64, [12] = 10, [15] = 1, [16] = 10, [19] = 2},
		20);
	p[9] = protocol;
	put_be16(p + 2, (uint16_t)len);
	checksum_store(p + 10, (uint16_t)~checksum_fold(checksum_add(0, p, 20)));
}

static void make_packets(void)
{
	struct virtio_net_hdr h = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
		.hdr_len = HEADERS,
		.gso_size = MSS,
		.csum_start = 20,
		.csum_offset = 16};
	uint8_t *p = m.super + VNET_HDR_LEN, *udp;

	fill_random(NULL, m.super, sizeof(m.super));
	memcpy(m.super, &h, VNET_HDR_LEN);
	ipv4(p, IPPROTO_TCP, sizeof(m.super) - VNET_HDR_LEN);
	p[20 + 12] = 8 << 4; /* header of 32 bytes */
	p[20 + 13] = 0x10;   /* ACK */
	checksum_store(p + 36, checksum_fold(checksum_pseudo(
				       p, IPPROTO_TCP, sizeof(m.super) - VNET_HDR_LEN - 20)));

	p = m.small + VNET_HDR_LEN;
	udp = p + 20;
	fill_random(NULL, p, SMALL);
	ipv4(p, IPPROTO_UDP, SMALL);
	put_be16(udp + 4, SMALL - 20);
	memset(udp + 6, 0, 2);
	checksum_store(
		udp + 6, (uint16_t)~checksum_fold(checksum_add(
				 checksum_pseudo(p, IPPROTO_UDP, SMALL - 20), udp, SMALL - 20)));
}

/* ---- what is measured ---- */

static void send_packets(size_t len)
{
	struct wg_worker *w = wg_device_worker(devices[0], 0);
	uint8_t *out = m.datagrams, *packet;
	struct wg_tx_run run;
	struct wg_peer *peer;
	enum wg_drop drop;
	struct split s;

	wg_worker_online(w);
	if (split_begin(&s, m.from_tun, len) < 0 ||
		!(peer = wg_tx_route(w, s.packet, s.len, &drop)) ||
		wg_tx_reserve(w, peer, NOW_NS, s.n, true, &run) < 0)
		must(false, "a packet does not go out");
	m.n = 0;
	while ((packet = split_next(&s, &len))) {
		size_t padded = wg_tx_padded_len(&run, len);

		wg_tx_seal(w, &run, m.n, packet, padded, out);
		m.lens[m.n++] = padded + WG_DATA_OVERHEAD;
		out += padded + WG_DATA_OVERHEAD;
	}
	wg_tx_sent(w, &run, (size_t)(out - m.datagrams));
	wg_worker_offline(w);
}

static void receive_packets(void)
{
	struct wg_worker *w = wg_device_worker(devices[1], 0);
	struct wg_rx_packet pkts[SEGMENTS];
	uint8_t *in = m.datagrams;

	wg_worker_online(w);
	for (unsigned i = 0; i < m.n; in += m.lens[i++])
		pkts[i] = (struct wg_rx_packet){.msg = in, .len = (uint32_t)m.lens[i]};
	wg_rx_open(w, NOW_NS, pkts, m.n);
	wg_rx_commit(w, NOW_NS, &endpoints[0], pkts, m.n);
	wg_rx_filter(w, pkts, m.n);
	for (unsigned i = 0; i < m.n; i++) {
		if (pkts[i].drop != WG_DROP_NONE || !pkts[i].len)
			continue;
		wg_rx_ecn(pkts[i].packet, pkts[i].len, 0);
		join_add(&m.join, pkts[i].packet, pkts[i].len);
	}
	join_flush(&m.join);
	wg_worker_offline(w);
}

/* Under their own names, so that callgrind can tell them apart. */
#define TURN(name, call)                                        \
	static __attribute__((noinline)) void turn_##name(void) \
	{                                                       \
		call;                                           \
	}
TURN(tx_super, send_packets(sizeof(m.super)))
TURN(tx_small, send_packets(sizeof(m.small)))
TURN(rx_super, receive_packets())
TURN(rx_small, receive_packets())

static int write_joined(void *arg, const struct join_output *out)
{
	m.writes++;
	m.packets += out->packets;
	m.bytes += out->bytes;
	return 0;
}

static const struct test_case {
	const char *name;
	void (*turn)(void);
	bool receives;
	const uint8_t *packet;
	size_t len;
	unsigned packets;
} cases[] = {
	{"tx-super", turn_tx_super, false, m.super, sizeof(m.super), SEGMENTS},
	{"rx-super", turn_rx_super, true, m.super, sizeof(m.super), SEGMENTS},
	{"tx-small", turn_tx_small, false, m.small, sizeof(m.small), 1},
	{"rx-small", turn_rx_small, true, m.small, sizeof(m.small), 1},
};

static uint64_t clock_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

/* ${turns} turns; the time that the measured part of them took.  What arrives must be what was
 * sent. */
static uint64_t run(const struct test_case *c, unsigned turns)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < turns; i++) {
		uint64_t start;

		memcpy(m.from_tun, c->packet, c->len);
		if (c->receives)
			send_packets(c->len);
		m.writes = m.packets = 0;
		m.bytes = 0;
		start = clock_ns();
		c->turn();
		sum += clock_ns() - start;
		if (!c->receives)
			receive_packets();
		must(m.n == c->packets && m.writes == 1 && m.packets == c->packets &&
				m.bytes == c->len - VNET_HDR_LEN,
			"what came out is not what went in");
	}
	return sum;
}

int main(int argc, char *argv[])
{
	begin();
	make_packets();
	join_init(&m.join, JOIN_TCP | JOIN_UDP, write_joined, NULL);
	for (size_t i = 0; i < array_size(cases); i++) {
		const struct test_case *c = &cases[i];
		double best = 1e18;

		if (argc == 3 && !strcmp(argv[1], c->name)) {
			unsigned turns = (unsigned)atoi(argv[2]);

			run(c, turns);
			printf("%u packets, %s\n", turns * c->packets,
				wg_worker_cipher(wg_device_worker(devices[0], 0)));
			return 0;
		}
		if (argc > 1)
			continue;
		for (int round = 0; round < ROUNDS; round++) {
			double each = (double)run(c, TURNS) / TURNS / c->packets;

			best = min(best, each);
		}
		printf("%-10s %8.0f ns a packet of %zu bytes\n", c->name, best,
			c->packets > 1 ? (size_t)MTU : (size_t)SMALL);
	}
	if (argc > 1) {
		fprintf(stderr, "usage: inprocess [tx-super|rx-super|tx-small|rx-small TURNS]\n");
		return 2;
	}
	printf("cipher: %s\n", wg_worker_cipher(wg_device_worker(devices[0], 0)));
	wg_device_free(devices[0]);
	wg_device_free(devices[1]);
	return 0;
}
