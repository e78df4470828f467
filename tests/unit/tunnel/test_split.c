#include "packets.h"
#include "tunnel/split.h"

#include <errno.h>

#define FIN_PSH 0x09
#define CWR 0x80

static uint8_t payload[65536];

/* A buffer as tun_read() leaves it, not a byte longer than promised. */
struct super {
	uint8_t	*buf;
	size_t	 len;
};

static struct super super_build(const struct packet_spec *s, size_t n, uint8_t gso_type, uint16_t gso_size)
{
	size_t headers = packet_headers_len(s), len = VNET_HDR_LEN + headers + n;
	struct super su = {malloc(len + SPLIT_TAILROOM), len};
	struct virtio_net_hdr h = {
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.gso_type = gso_type,
		.hdr_len = 0xbeef, /* a lie, as the kernel's may be */
		.gso_size = gso_size,
		.csum_start = (uint16_t)packet_ip_len(s),
		.csum_offset = s->tcp ? 16 : 6,
	};
	uint8_t *p = su.buf + VNET_HDR_LEN;

	memcpy(su.buf, &h, sizeof(h));
	packet_build(p, s, payload, n);
	/* The kernel leaves the pseudo-header's sum in the field. */
	put_be16(p + h.csum_start + h.csum_offset,
		packet_pseudo(p, s->tcp, headers + n - packet_ip_len(s)));
	memset(su.buf + len, 0xa5, SPLIT_TAILROOM);
	return su;
}

static uint8_t type_of(const struct packet_spec *s)
{
	if (!s->tcp)
		return VIRTIO_NET_HDR_GSO_UDP_L4;
	return s->v6 ? VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_TCPV4;
}

static void check_split(struct super su, const struct packet_spec *s, size_t n, unsigned mss)
{
	static const uint8_t zero[SPLIT_TAILROOM];
	static uint8_t want[65536 + 300];
	unsigned count = n ? (unsigned)((n + mss - 1) / mss) : 1;
	struct split sp;
	size_t len, want_len;
	uint8_t *p;

	CHECK_EQ(split_begin(&sp, su.buf, su.len), 0);
	CHECK_EQ(sp.n, count);
	CHECK_EQ(sp.len, su.len - VNET_HDR_LEN);
	for (unsigned i = 0; i < count; i++) {
		struct packet_spec one = *s;
		size_t at = (size_t)i * mss;

		one.id = (uint16_t)(s->id + i);
		one.seq = s->seq + (uint32_t)at;
		if (i > 0)
			one.flags &= (uint8_t)~CWR;
		if (i + 1 < count)
			one.flags &= (uint8_t)~FIN_PSH;
		want_len = packet_build(want, &one, payload + at, n - at < mss ? n - at : mss);
		CHECK_EQ(sp.next, i);
		p = split_next(&sp, &len);
		CHECK(p != NULL);
		CHECK_EQ(len, want_len);
		CHECK_MEM(p, want, len);
		CHECK_MEM(p + len, zero, SPLIT_TAILROOM);
	}
	CHECK(split_next(&sp, &len) == NULL);
	CHECK(split_next(&sp, &len) == NULL);
	CHECK_EQ(su.buf[su.len], 0xa5);
}

static void random_super(void)
{
	uint64_t seed = 42;

	packet_random_bytes(&seed, payload, sizeof(payload));
	for (unsigned i = 0; i < 1500; i++) {
		struct packet_spec s = packet_random_spec(&seed);
		unsigned mss, ecn = 0;
		size_t n, room;
		struct super su;

		if (i % 5 == 0)
			s.ip_options_len = s.v6 ? 8 : 4 * (unsigned)(test_random(&seed) % 11);
		s.flags = (uint8_t)test_random(&seed);
		if (s.tcp && s.flags & CWR)
			ecn = VIRTIO_NET_HDR_GSO_ECN;
		room = 65535 - packet_headers_len(&s);
		n = test_random(&seed) % (i % 3 ? 5000 : room + 1);
		/* Also tiny ones, whose next header covers more than one segment before it. */
		mss = 1 + (unsigned)(test_random(&seed) % (i % 4 ? 1460 : 64));
		su = super_build(&s, n, (uint8_t)(type_of(&s) | ecn), (uint16_t)mss);
		check_split(su, &s, n, mss);
		free(su.buf);
	}
}

static void largest(void)
{
	for (unsigned kind = 0; kind < 4; kind++) {
		struct packet_spec s = {.v6 = kind & 1, .tcp = kind & 2, .src = 1, .dst = 2, .ttl = 64,
			.flags = 0x18, .seq = 0xfffffff0, .id = 0xfffe};
		size_t n = 65535 - packet_headers_len(&s);
		struct super su = super_build(&s, n, type_of(&s), 1380);

		check_split(su, &s, n, 1380);
		free(su.buf);
		su = super_build(&s, n, type_of(&s), 65535);
		check_split(su, &s, n, 65535);
		free(su.buf);
	}
}

/* Without the flag the header's place follows from the packet. */
static void no_needs_csum(void)
{
	struct packet_spec s = {.tcp = true, .src = 1, .dst = 2, .ttl = 64, .flags = 0x10};
	struct super su = super_build(&s, 3000, VIRTIO_NET_HDR_GSO_TCPV4, 1000);

	su.buf[0] = 0;
	put_le32(su.buf + 6, 0);
	check_split(su, &s, 3000, 1000);
	free(su.buf);
}

static void partial_checksum(void)
{
	uint64_t seed = 9;
	struct split sp;
	size_t len;

	for (unsigned i = 0; i < 400; i++) {
		struct packet_spec s = packet_random_spec(&seed);
		size_t n = test_random(&seed) % 1500;
		struct super su;
		static uint8_t want[2000];
		size_t want_len;
		uint8_t *p;

		s.tcp = s.tcp && i % 2;
		su = super_build(&s, n, VIRTIO_NET_HDR_GSO_NONE, 0);
		want_len = packet_build(want, &s, payload, n);
		CHECK_EQ(split_begin(&sp, su.buf, su.len), 0);
		CHECK_EQ(sp.n, 1);
		p = split_next(&sp, &len);
		CHECK_EQ(len, want_len);
		CHECK_MEM(p, want, len);
		CHECK(split_next(&sp, &len) == NULL);
		free(su.buf);
	}
}

/* A UDP datagram whose sum is zero bears 0xffff, never "none". */
static void udp_zero(void)
{
	struct packet_spec s = {.src = 1, .dst = 2, .ttl = 64, .sport = 1, .dport = 2};
	uint8_t two[4] = {0}, sum[2], packet[64];
	struct super su;
	struct split sp;
	size_t len;
	uint8_t *p;

	packet_build(packet, &s, two, 4);
	memcpy(sum, packet + 26, 2);
	memcpy(payload, sum, 2); /* adding the checksum itself makes the sum all ones */
	memset(payload + 2, 0, 2);
	su = super_build(&s, 4, VIRTIO_NET_HDR_GSO_NONE, 0);
	CHECK_EQ(split_begin(&sp, su.buf, su.len), 0);
	p = split_next(&sp, &len);
	CHECK_EQ(get_be16(p + 26), 0xffff);
	free(su.buf);
	memcpy(payload + 4, payload, 4);
	su = super_build(&s, 8, VIRTIO_NET_HDR_GSO_UDP_L4, 4);
	CHECK_EQ(split_begin(&sp, su.buf, su.len), 0);
	p = split_next(&sp, &len);
	CHECK_EQ(get_be16(p + 26), 0xffff);
	p = split_next(&sp, &len);
	CHECK_EQ(get_be16(p + 26), 0xffff);
	free(su.buf);
}

static void as_it_is(void)
{
	uint8_t buf[VNET_HDR_LEN + 5 + SPLIT_TAILROOM] = {0};
	struct split sp;
	size_t len;
	uint8_t *p;

	memcpy(buf + VNET_HDR_LEN, "\x00zzzz", 5);
	CHECK_EQ(split_begin(&sp, buf, VNET_HDR_LEN + 5), 0);
	CHECK_EQ(sp.n, 1);
	p = split_next(&sp, &len);
	CHECK_EQ(len, 5);
	CHECK_MEM(p, "\x00zzzz", 5);
	CHECK_EQ(split_begin(&sp, buf, VNET_HDR_LEN), -EBADMSG);
	CHECK_EQ(split_begin(&sp, buf, 3), -EBADMSG);
	CHECK_EQ(split_begin(&sp, buf, 0), -EBADMSG);
}

static void malformed(void)
{
	enum { TYPE = 1, SIZE = 4, START = 6, OFFSET = 8 };
	/* Offset in the buffer, 16-bit value in the machine's order or one byte, and on which packet (v6, tcp). */
	static const struct {
		const char *what;
		bool v6, tcp, byte;
		unsigned at, value;
	} rows[] = {
		{"unknown gso type", false, true, true, TYPE, 2},
		{"UFO, which nobody asked for", false, false, true, TYPE, 3},
		{"gso type out of range", false, true, true, TYPE, 0x7f},
		{"UDP with the ECN flag", false, false, true, TYPE, 0x85},
		{"TCPv6 type, IPv4 packet", false, true, true, TYPE, 4},
		{"TCPv4 type, IPv6 packet", true, true, true, TYPE, 1},
		{"UDP type, TCP packet", false, true, true, TYPE, 5},
		{"TCP type, UDP packet", false, false, true, TYPE, 1},
		{"UDP type, TCP packet, v6", true, true, true, TYPE, 5},
		{"gso size 0", false, true, false, SIZE, 0},
		{"gso size 0, UDP", true, false, false, SIZE, 0},
		{"checksum start 0", false, true, false, START, 0},
		{"checksum start inside the IP header", false, true, false, START, 18},
		{"checksum start off by two", false, true, false, START, 22},
		{"checksum start behind the packet", true, true, false, START, 60000},
		{"checksum offset of the other protocol", false, true, false, OFFSET, 6},
		{"checksum offset far away", true, false, false, OFFSET, 65535},
		{"IP version 0", false, true, true, 10, 0x05},
		{"IPv4 header of 16 bytes", false, true, true, 10, 0x44},
		{"IPv4 header longer than said", false, true, true, 10, 0x4f},
		{"a fragment", false, true, true, 16, 0x20},
		{"a later fragment", false, false, true, 17, 1},
		{"TCP header of 16 bytes", false, true, true, 10 + 20 + 12, 0x40},
		{"TCP header of 16 bytes, v6", true, true, true, 10 + 40 + 12, 0x40},
		{"extension header but a start at once", true, true, true, 10 + 6, 60},
	};

	for (size_t i = 0; i < array_size(rows); i++) {
		struct packet_spec s = {.v6 = rows[i].v6, .tcp = rows[i].tcp, .src = 1, .dst = 2};
		struct super su = super_build(&s, 3000, type_of(&s), 1000);
		struct split sp;
		uint16_t v = (uint16_t)rows[i].value;
		int r;

		CHECK_EQ(split_begin(&sp, su.buf, su.len), 0);
		memcpy(su.buf + rows[i].at, &v, rows[i].byte ? 1 : 2);
		r = split_begin(&sp, su.buf, su.len);
		if (r != -EBADMSG)
			test_note("%s: %d", rows[i].what, r);
		CHECK_EQ(r, -EBADMSG);
		free(su.buf);
	}
	/* Cut off anywhere within the headers. */
	for (unsigned kind = 0; kind < 4; kind++) {
		struct packet_spec s = {.v6 = kind & 1, .tcp = kind & 2, .options_len = 12};
		struct super su = super_build(&s, 100, type_of(&s), 10);

		for (size_t len = 0; len < VNET_HDR_LEN + packet_headers_len(&s); len++) {
			uint8_t *cut = malloc(len + SPLIT_TAILROOM);
			struct split sp;

			memcpy(cut, su.buf, len);
			CHECK_EQ(split_begin(&sp, cut, len), -EBADMSG);
			free(cut);
		}
		free(su.buf);
	}
	/* Partial checksums that point outside. */
	for (unsigned i = 0; i < 3; i++) {
		struct packet_spec s = {.tcp = true};
		struct super su = super_build(&s, 0, VIRTIO_NET_HDR_GSO_NONE, 0);
		static const uint16_t bad[3][2] = {{40, 0}, {20, 19}, {65535, 65535}};
		struct split sp;

		memcpy(su.buf + START, bad[i], 4);
		CHECK_EQ(split_begin(&sp, su.buf, su.len), -EBADMSG);
		free(su.buf);
	}
}

/* Whatever comes: no overrun (the sanitizer's), and the pieces add up. */
static void hostile(void)
{
	uint64_t seed = 77;
	unsigned taken = 0;

	for (unsigned i = 0; i < 60000; i++) {
		struct packet_spec s = packet_random_spec(&seed);
		size_t n = test_random(&seed) % 300, sum = 0, len;
		struct super su = super_build(&s, n, type_of(&s), (uint16_t)(1 + test_random(&seed) % 100));
		unsigned flips = (unsigned)(test_random(&seed) % 4), count = 0;
		struct split sp;

		for (unsigned k = 0; k < flips; k++)
			su.buf[test_random(&seed) % (i % 2 ? VNET_HDR_LEN : su.len)] = (uint8_t)test_random(&seed);
		su.len -= test_random(&seed) % 3 == 0 ? test_random(&seed) % (n + 20) : 0;
		if (split_begin(&sp, su.buf, su.len) == 0) {
			while (split_next(&sp, &len)) {
				CHECK(len >= 1 && len <= 65535);
				sum += len;
				count++;
			}
			taken++;
			CHECK_EQ(count, sp.n);
			CHECK(sum >= sp.len);
		}
		free(su.buf);
	}
	CHECK(taken > 10000 && taken < 60000);
}

int main(void)
{
	test_run("a super-packet comes apart as a naive segmenter cuts it [split-segments]", random_super);
	test_run("64 KiB packets come apart, sequence numbers and IDs wrap [split-segments]", largest);
	test_run("without a checksum offset the header is found by itself", no_needs_csum);
	test_run("a partial checksum is completed [split-csum]", partial_checksum);
	test_run("a UDP checksum of zero is sent as all ones [split-csum]", udp_zero);
	test_run("a packet without offloads comes out as it is", as_it_is);
	test_run("every lie of the virtio header is refused [split-bounds]", malformed);
	test_run("random damage never overruns, and the pieces add up [split-bounds]", hostile);
	return test_done();
}
