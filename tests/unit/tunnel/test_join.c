#include "packets.h"
#include "tunnel/join.h"
#include "tunnel/split.h"

#include <errno.h>

#define MANY 4096

struct packet {
	uint8_t	*data;
	size_t	 len;
};

/* What was written, taken apart again by split. */
static struct packet got[MANY];
static unsigned n_got;
static unsigned n_writes, n_merged;
static unsigned made_of[MANY];	/* packets in each write */
static struct virtio_net_hdr headers[MANY];
static int refuse;		/* what to say to merged packets */
static unsigned n_refused;	/* how often it was said */
static unsigned most;		/* packets in one write */

static struct join j;

static void keep(struct packet *to, const uint8_t *data, size_t len)
{
	to->data = malloc(len);
	memcpy(to->data, data, len);
	to->len = len;
}

static int record(void *arg, const struct join_output *out)
{
	static uint8_t buf[SPLIT_BUFFER_SIZE];
	struct split s;
	size_t at = 0, len;
	uint8_t *p;

	CHECK(arg == &j);
	if (out->packets > 1 && refuse) {
		n_refused++;
		return refuse;
	}
	CHECK_EQ(out->iov[0].iov_len, VNET_HDR_LEN);
	for (unsigned i = 0; i < out->n_iov; i++) {
		memcpy(buf + at, out->iov[i].iov_base, out->iov[i].iov_len);
		at += out->iov[i].iov_len;
	}
	CHECK_EQ(at, out->bytes + VNET_HDR_LEN);
	CHECK(out->bytes <= 65535);
	memcpy(&headers[n_writes], buf, VNET_HDR_LEN);
	made_of[n_writes++] = out->packets;
	n_merged += out->packets > 1;
	most = max(most, out->packets);
	CHECK_EQ(split_begin(&s, buf, at), 0);
	CHECK_EQ(s.n, out->packets);
	while ((p = split_next(&s, &len)))
		keep(&got[n_got++], p, len);
	return 0;
}

static void forget_sent(void);

static void start(unsigned flags)
{
	forget_sent();
	for (unsigned i = 0; i < n_got; i++)
		free(got[i].data);
	n_got = n_writes = n_merged = most = 0;
	refuse = 0;
	join_init(&j, flags, record, &j);
}

static uint8_t payload[65536];

static struct packet sent[MANY], in[MANY];
static unsigned n_sent;

/* Copies that join may change, and copies to compare with. */
static void send_raw(const uint8_t *p, size_t len)
{
	keep(&sent[n_sent], p, len);
	keep(&in[n_sent], p, len);
	join_add(&j, in[n_sent].data, len);
	n_sent++;
}

static void send_spec(const struct packet_spec *s, size_t n)
{
	static uint8_t p[65536];

	send_raw(p, packet_build(p, s, payload + s->seq % 1000, n));
}

static void forget_sent(void)
{
	for (unsigned i = 0; i < n_sent; i++) {
		free(sent[i].data);
		free(in[i].data);
	}
	n_sent = 0;
}

static void check_same_order(void)
{
	CHECK_EQ(n_got, n_sent);
	for (unsigned i = 0; i < n_sent; i++) {
		CHECK_EQ(got[i].len, sent[i].len);
		CHECK_MEM(got[i].data, sent[i].data, sent[i].len);
	}
}

/* Two packets that merge; each rule's test spoils one thing. */
static struct packet_spec tcp_spec(bool v6)
{
	return (struct packet_spec){.v6 = v6, .tcp = true, .tos = 2, .flow_label = 0x12345, .ttl = 64,
		.df = true, .id = 100, .src = 1, .dst = 2, .sport = 1000, .dport = 2000, .seq = 5000,
		.ack = 77, .flags = 0x10, .window = 500, .options_len = 12,
		.options = {1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8}};
}

static struct packet_spec udp_spec(bool v6)
{
	struct packet_spec s = tcp_spec(v6);

	s.tcp = false;
	s.options_len = 0;
	return s;
}

static struct packet_spec follow(struct packet_spec s, size_t n)
{
	s.seq += (uint32_t)n;
	s.id++;
	return s;
}

/* How many writes the two packets took, after ${damage} to the second's bytes. */
static unsigned pair(struct packet_spec a, size_t na, struct packet_spec b, size_t nb,
	size_t damage_at, uint8_t damage)
{
	uint8_t p[3000];
	size_t len;

	start(JOIN_TCP | JOIN_UDP);
	send_raw(p, packet_build(p, &a, payload, na));
	len = packet_build(p, &b, payload, nb);
	p[damage_at] ^= damage;
	send_raw(p, len);
	CHECK_EQ(join_flush(&j), 0);
	check_same_order();
	forget_sent();
	return n_writes;
}

static void pairs_merge(void)
{
	for (unsigned v6 = 0; v6 < 2; v6++) {
		struct packet_spec a = tcp_spec(v6), u = udp_spec(v6);
		struct virtio_net_hdr *h = &headers[0];

		CHECK_EQ(pair(a, 1000, follow(a, 1000), 1000, 0, 0), 1);
		CHECK_EQ(h->flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
		CHECK_EQ(h->gso_type, v6 ? VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_TCPV4);
		CHECK_EQ(h->gso_size, 1000);
		CHECK_EQ(h->hdr_len, packet_headers_len(&a));
		CHECK_EQ(h->csum_start, v6 ? 40 : 20);
		CHECK_EQ(h->csum_offset, 16);
		CHECK_EQ(pair(a, 1000, follow(a, 1000), 1, 0, 0), 1);
		CHECK_EQ(pair(u, 1000, follow(u, 1000), 1000, 0, 0), 1);
		CHECK_EQ(h->gso_type, VIRTIO_NET_HDR_GSO_UDP_L4);
		CHECK_EQ(h->csum_offset, 6);
		CHECK_EQ(pair(u, 1000, follow(u, 1000), 999, 0, 0), 1);
		/* Sequence numbers wrap. */
		a.seq = 0xffffff00;
		CHECK_EQ(pair(a, 1000, follow(a, 1000), 1000, 0, 0), 1);
	}
}

static void rules(void)
{
	for (unsigned v6 = 0; v6 < 2; v6++) {
		struct packet_spec a = tcp_spec(v6), b = follow(a, 1000), c;

#define SPOIL(change)                                                                              \
	do {                                                                                       \
		c = b;                                                                             \
		change;                                                                            \
		CHECK_EQ(pair(a, 1000, c, 1000, 0, 0), 2);                                         \
	} while (0)
		SPOIL(c.src = 9);
		SPOIL(c.dst = 9);
		SPOIL(c.sport++);
		SPOIL(c.dport++);
		SPOIL(c.seq++);
		SPOIL(c.seq = a.seq);
		SPOIL(c.seq -= 2000);
		SPOIL(c.ack++);
		SPOIL(c.window++);
		SPOIL(c.urgent++);
		SPOIL(c.tos ^= 4);
		SPOIL(c.tos ^= 1);
		SPOIL(c.ttl--);
		SPOIL(c.options_len = 0);
		SPOIL(c.options_len = 16);
		SPOIL(c.options[11]++);
		for (uint8_t flag = 1; flag; flag = (uint8_t)(flag << 1))
			if (flag != 0x08)
				SPOIL(c.flags ^= flag);
		if (v6) {
			SPOIL(c.flow_label++);
			SPOIL(c.flow_label ^= 0x80000);
			SPOIL(c.ip_options_len = 8);
		} else {
			SPOIL(c.df = false);
			SPOIL(c.id++);
			SPOIL(c.id--);
			SPOIL(c.ip_options_len = 4);
		}
#undef SPOIL
		/* A larger one never follows; empty ones are not merged. */
		CHECK_EQ(pair(a, 999, follow(a, 999), 1000, 0, 0), 2);
		CHECK_EQ(pair(a, 1000, b, 0, 0, 0), 2);
		CHECK_EQ(pair(a, 0, a, 1000, 0, 0), 2);
		/* Flags of the first, too; PSH ends what it is in. */
		for (uint8_t flag = 1; flag; flag = (uint8_t)(flag << 1)) {
			c = a;
			c.flags ^= flag;
			CHECK_EQ(pair(c, 1000, follow(c, 1000), 1000, 0, 0), 2);
		}
		/* Checksums: of the payload, of either packet, and of the IPv4 header. */
		CHECK_EQ(pair(a, 1000, b, 1000, packet_headers_len(&a) + 500, 1), 2);
		CHECK_EQ(pair(a, 1000, b, 1000, packet_ip_len(&a) + 16, 1), 2);
		/* The reserved bits between header length and flags. */
		CHECK_EQ(pair(a, 1000, b, 1000, packet_ip_len(&a) + 12, 1), 2);
		if (!v6) {
			CHECK_EQ(pair(a, 1000, b, 1000, 10, 1), 2);
			CHECK_EQ(pair(a, 1000, b, 1000, 6, 0x20), 2); /* more fragments */
			CHECK_EQ(pair(a, 1000, b, 1000, 6, 0x80), 2); /* reserved */
			CHECK_EQ(pair(a, 1000, b, 1000, 7, 0x01), 2); /* a later fragment */
			CHECK_EQ(pair(a, 1000, b, 1000, 3, 1), 2);    /* a wrong length */
		} else {
			CHECK_EQ(pair(a, 1000, b, 1000, 5, 1), 2);
		}
	}
}

static void udp_rules(void)
{
	for (unsigned v6 = 0; v6 < 2; v6++) {
		struct packet_spec a = udp_spec(v6), b = follow(a, 0), c;
		uint8_t p[100];
		size_t len;

#define SPOIL(change)                                                                              \
	do {                                                                                       \
		c = b;                                                                             \
		change;                                                                            \
		CHECK_EQ(pair(a, 1000, c, 1000, 0, 0), 2);                                         \
	} while (0)
		SPOIL(c.sport++);
		SPOIL(c.dport++);
		SPOIL(c.tos ^= 4);
		SPOIL(c.ttl--);
		SPOIL(c.tcp = true);
#undef SPOIL
		CHECK_EQ(pair(a, 999, b, 1000, 0, 0), 2);
		CHECK_EQ(pair(a, 1000, b, 0, 0, 0), 2);
		CHECK_EQ(pair(a, 0, b, 0, 0, 0), 2);
		CHECK_EQ(pair(a, 1000, b, 1000, packet_headers_len(&a) + 5, 1), 2);
		/* A length of its own that is not the packet's. */
		CHECK_EQ(pair(a, 1000, b, 1000, packet_ip_len(&a) + 5, 1), 2);

		/* No checksum: two in a row, and one behind a good one. */
		for (unsigned first = 0; first < 2; first++) {
			start(JOIN_TCP | JOIN_UDP);
			len = packet_build(p, &a, payload, 20);
			if (first)
				put_be16(p + packet_ip_len(&a) + 6, 0);
			send_raw(p, len);
			len = packet_build(p, &b, payload, 20);
			put_be16(p + packet_ip_len(&a) + 6, 0);
			send_raw(p, len);
			CHECK_EQ(join_flush(&j), 0);
			CHECK_EQ(n_writes, 2);
			check_same_order();
			forget_sent();
		}
	}
}

/* A damaged first packet must not be repaired by what follows it. */
static void first_is_bad(void)
{
	struct packet_spec a = tcp_spec(false);
	uint8_t p[2000];
	size_t len;

	start(JOIN_TCP);
	len = packet_build(p, &a, payload, 1000);
	p[len - 1] ^= 1;
	send_raw(p, len);
	for (unsigned i = 0; i < 3; i++) {
		a = follow(a, 1000);
		send_raw(p, packet_build(p, &a, payload, 1000));
	}
	join_flush(&j);
	check_same_order();
	CHECK_EQ(n_writes, 2);
	forget_sent();
}

static void ids(void)
{
	struct packet_spec a = udp_spec(false), b = a;

	/* Equal IDs: not by itself, since a split would count them up. */
	CHECK_EQ(pair(a, 100, b, 100, 0, 0), 2);
	for (unsigned df = 0; df < 2; df++) {
		start(JOIN_UDP | JOIN_ATOMIC_ID);
		a.df = df;
		for (unsigned i = 0; i < 3; i++)
			send_spec(&a, 100);
		join_flush(&j);
		CHECK_EQ(n_writes, df ? 1 : 3);
		/* A flow does not change its way of counting in the middle. */
		for (unsigned i = 0; i < 4; i++) {
			send_spec(&a, 100);
			a.id = (uint16_t)(a.id + (i > 0));
		}
		n_writes = 0;
		join_flush(&j);
		CHECK_EQ(n_writes, 2);
		CHECK_EQ(made_of[0], df ? 2 : 1);
		forget_sent();
	}
	/* The ID wraps. */
	a.id = 0xffff;
	CHECK_EQ(pair(a, 100, follow(a, 100), 100, 0, 0), 1);
}

static void push_and_tail(void)
{
	struct packet_spec a = tcp_spec(false);

	start(JOIN_TCP);
	for (unsigned i = 0; i < 6; i++) {
		a.flags = i == 2 ? 0x18 : 0x10;
		send_spec(&a, i == 4 ? 500 : 1000);
		a = follow(a, i == 4 ? 500 : 1000);
	}
	join_flush(&j);
	check_same_order();
	CHECK_EQ(n_writes, 3);
	CHECK_EQ(made_of[0], 3); /* up to the PSH */
	CHECK_EQ(made_of[1], 2); /* up to the short one */
	CHECK_EQ(made_of[2], 1);
	forget_sent();
}

static void limits(void)
{
	struct packet_spec a = tcp_spec(true);

	start(JOIN_TCP);
	for (unsigned i = 0; i < 100; i++) {
		send_spec(&a, 1000);
		a = follow(a, 1000);
	}
	join_flush(&j);
	check_same_order();
	CHECK_EQ(made_of[0], 64);
	forget_sent();

	start(JOIN_TCP);
	for (unsigned i = 0; i < 50; i++) {
		send_spec(&a, 1428);
		a = follow(a, 1428);
	}
	join_flush(&j);
	check_same_order();
	CHECK_EQ(made_of[0], (65535 - 72) / 1428);
	forget_sent();
}

static void more_than_a_batch(void)
{
	struct packet_spec a = tcp_spec(false);

	start(JOIN_TCP);
	for (unsigned i = 0; i < 3 * JOIN_BATCH_MAX + 5; i++) {
		send_spec(&a, 100);
		a = follow(a, 100);
	}
	CHECK_EQ(join_flush(&j), 0);
	check_same_order();
	CHECK_EQ(most, JOIN_SEGMENTS_MAX);
	CHECK_EQ(join_flush(&j), 0);
	CHECK_EQ(n_got, n_sent);
	forget_sent();
}

static void lost_are_counted(void)
{
	struct packet_spec a = tcp_spec(false);

	start(JOIN_TCP);
	refuse = -EIO;
	for (unsigned i = 0; i < JOIN_BATCH_MAX + 2; i++) {
		send_spec(&a, 100);
		a = follow(a, 100);
	}
	CHECK_EQ(join_flush(&j), JOIN_BATCH_MAX + 2);
	CHECK_EQ(join_flush(&j), 0);
	CHECK(j.flags & JOIN_TCP);
	forget_sent();
}

static void refused_merges(void)
{
	for (unsigned kind = 0; kind < 4; kind++) {
		struct packet_spec a = kind & 1 ? tcp_spec(kind & 2) : udp_spec(kind & 2);

		start(JOIN_TCP | JOIN_UDP);
		refuse = -EINVAL;
		n_refused = 0;
		for (unsigned i = 0; i < 10; i++) {
			unsigned n = i == 4 ? 600 : 700; /* ends the first of two merged packets */

			a.flags = i == 9 ? 0x18 : 0x10;
			send_spec(&a, n);
			a = follow(a, n);
		}
		CHECK_EQ(join_flush(&j), 0);
		CHECK_EQ(n_refused, 1);
		check_same_order();
		CHECK_EQ(n_writes, 10);
		CHECK_EQ(j.flags, kind & 1 ? JOIN_UDP : JOIN_TCP);
		/* It is not tried again; the other kind is. */
		refuse = 0;
		for (unsigned i = 0; i < 3; i++) {
			send_spec(&a, 700);
			a = follow(a, 700);
		}
		n_merged = 0;
		CHECK_EQ(join_flush(&j), 0);
		CHECK_EQ(n_merged, 0);
		check_same_order();
		forget_sent();
	}
}

/* What cannot be merged stays in its place within the flow. */
static void nothing_overtakes(void)
{
	struct packet_spec a, b;
	uint8_t p[200];
	size_t len;

	for (unsigned what = 0; what < 4; what++) {
		start(JOIN_TCP | JOIN_UDP);
		a = tcp_spec(false);
		send_spec(&a, 100);
		b = a;
		switch (what) {
		case 0: /* an acknowledgement without payload */
			send_spec(&b, 0);
			break;
		case 1: /* FIN | ACK with other data */
			b.flags = 0x11;
			send_spec(&b, 10);
			break;
		case 2: /* a fragment of something between the two hosts */
			len = packet_build(p, &b, payload, 50);
			p[6] = 0x20;
			send_raw(p, len);
			break;
		default: /* IP options */
			b.ip_options_len = 4;
			send_spec(&b, 10);
		}
		a = follow(a, 100);
		send_spec(&a, 100);
		join_flush(&j);
		check_same_order();
		CHECK_EQ(n_writes, 3);
		forget_sent();
	}
}

static void interleaved(void)
{
	struct packet_spec flows[8];

	start(JOIN_TCP | JOIN_UDP);
	for (unsigned f = 0; f < 8; f++) {
		flows[f] = f % 2 ? tcp_spec(f & 2) : udp_spec(f & 2);
		flows[f].sport = (uint16_t)f;
	}
	for (unsigned i = 0; i < 20; i++)
		for (unsigned f = 0; f < 8; f++) {
			send_spec(&flows[f], 400);
			flows[f] = follow(flows[f], 400);
		}
	join_flush(&j);
	CHECK_EQ(n_writes, 8);
	CHECK_EQ(n_got, 160);
	forget_sent();
}

static void oddities(void)
{
	static uint8_t p[65535];

	start(JOIN_TCP | JOIN_UDP);
	for (size_t len = 1; len < 70; len++)
		for (unsigned version = 0; version < 16; version++) {
			uint8_t *exact = malloc(len);

			memset(exact, 6, len);
			exact[0] = (uint8_t)(version << 4 | 5);
			send_raw(exact, len);
			free(exact);
		}
	join_flush(&j);
	CHECK_EQ(n_got, n_sent);
	check_same_order();
	forget_sent();
	start(JOIN_TCP);
	p[0] = 0x45;
	send_raw(p, sizeof(p));
	join_flush(&j);
	check_same_order();
	forget_sent();
}

static bool same_flow(const uint8_t *a, const uint8_t *b)
{
	if (a[0] >> 4 != b[0] >> 4)
		return false;
	if (a[0] >> 4 == 4)
		return a[9] == b[9] && !memcmp(a + 12, b + 12, 12);
	return a[6] == b[6] && !memcmp(a + 8, b + 8, 36);
}

/*
 * Random flows, interleaved, with losses, swaps, flags, sizes and damage: every packet comes out as it went in, and in the
 * order of its flow.
 */
static void property(void)
{
	uint64_t seed = 2024;
	unsigned merged = 0;

	packet_random_bytes(&seed, payload, sizeof(payload));
	for (unsigned round = 0; round < 400; round++) {
		struct packet_spec flows[12];
		size_t size[12];
		unsigned n_flows = 1 + (unsigned)(test_random(&seed) % 12);
		unsigned noise = round % 4 ? 4 + (unsigned)(test_random(&seed) % 40) : 1000000;

		start(JOIN_TCP | JOIN_UDP);
		for (unsigned f = 0; f < n_flows; f++) {
			flows[f] = packet_random_spec(&seed);
			flows[f].sport = (uint16_t)(100 + f);
			flows[f].flags = 0x10;
			size[f] = 1 + test_random(&seed) % 1400;
		}
		for (unsigned i = 0; i < 500; i++) {
			unsigned f = (unsigned)(test_random(&seed) % n_flows);
			struct packet_spec *s = &flows[f], s2;
			size_t n = size[f];
			uint8_t p[2000];
			size_t len;
			unsigned what = (unsigned)(test_random(&seed) % noise);

			s2 = *s;
			if (what == 0)
				s2.flags = (uint8_t)test_random(&seed);
			else if (what == 1)
				s2.flags |= 8;
			else if (what == 2)
				n = test_random(&seed) % 1400;
			else if (what == 3)
				s2.seq += (uint32_t)(test_random(&seed) % 5000);
			else if (what == 4)
				s2.ttl++;
			else if (what == 5)
				s2.id = (uint16_t)test_random(&seed);
			len = packet_build(p, &s2, payload + test_random(&seed) % 1000, n);
			if (what == 6)
				p[test_random(&seed) % len] ^= (uint8_t)(1 + test_random(&seed) % 255);
			*s = follow(*s, n);
			if (what == 7)
				continue; /* lost */
			send_raw(p, len);
		}
		CHECK_EQ(join_flush(&j), 0);
		merged += n_merged;
		CHECK_EQ(n_got, n_sent);
		/* Each packet that came out is the first not yet matched of its flow. */
		for (unsigned i = 0; i < n_got; i++) {
			bool found = false;

			for (unsigned k = 0; k < n_sent && !found; k++) {
				if (!sent[k].data || sent[k].len == 0)
					continue;
				if (sent[k].len == got[i].len &&
					!memcmp(sent[k].data, got[i].data, got[i].len)) {
					sent[k].len = 0;
					found = true;
				} else if (got[i].len >= 44 && sent[k].len >= 44) {
					CHECK(!same_flow(sent[k].data, got[i].data));
				}
			}
			CHECK(found);
		}
		forget_sent();
	}
	CHECK(merged > 5000);
}

int main(void)
{
	test_run("consecutive TCP and UDP packets become one write [join-merge]", pairs_merge);
	test_run("TCP packets that differ in anything a split repeats stay apart [join-rules]", rules);
	test_run("UDP datagrams that differ stay apart, zero checksums always [join-rules]", udp_rules);
	test_run("a damaged first packet is not repaired by merging [join-checksum]", first_is_bad);
	test_run("IPv4 IDs must count up; equal ones only by request and with DF [join-id]", ids);
	test_run("PSH and a shorter packet end the merged one [join-rules]", push_and_tail);
	test_run("a merged packet holds 64 packets and 65535 bytes at most [join-limits]", limits);
	test_run("more packets than a batch holds all leave, in order", more_than_a_batch);
	test_run("packets that the interface refuses are counted", lost_are_counted);
	test_run("merged writes that are refused as invalid go out singly [join-fallback]", refused_merges);
	test_run("nothing overtakes within a flow [join-order]", nothing_overtakes);
	test_run("eight interleaved flows merge [join-merge]", interleaved);
	test_run("short and strange packets pass untouched", oddities);
	test_run("whatever is merged comes apart again byte for byte, flow by flow in order [join-order]",
		property);
	return test_done();
}
