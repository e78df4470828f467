/*
 * What the kernel hands over: two bytes that say how much payload is added, so that small inputs make big packets, then the virtio
 * header and the packet, both as hostile as can be.
 */
#include "fuzz/fuzz.h"
#include "tests/unit/tunnel/packets.h"
#include "tunnel/split.h"

struct expected {
	uint8_t			*packet;	/* as it was */
	size_t			 len;
	struct virtio_net_hdr	 h;
	size_t			 transport, headers;
	bool			 v6, tcp;
};

/* Found again without a look at what the code under test found. */
static void find_headers(struct expected *e)
{
	const uint8_t *p = e->packet;

	e->v6 = p[0] >> 4 == 6;
	e->tcp = (e->h.gso_type & 0x7f) != VIRTIO_NET_HDR_GSO_UDP_L4;
	MUST(e->v6 || p[0] >> 4 == 4);
	MUST(!e->tcp || e->v6 == ((e->h.gso_type & 0x7f) == VIRTIO_NET_HDR_GSO_TCPV6));
	if (e->v6)
		e->transport = p[6] == (e->tcp ? 6 : 17) ? 40 : e->h.csum_start;
	else
		e->transport = (p[0] & 15) * 4u;
	MUST(e->transport + (e->tcp ? 20 : 8) <= e->len);
	e->headers = e->transport + (e->tcp ? (e->packet[e->transport + 12] >> 4) * 4u : 8);
	MUST(e->headers <= e->len);
}

static void check_segment(const struct expected *e, const uint8_t *p, size_t len, size_t done, unsigned i)
{
	const uint8_t *t = p + e->transport, *t0 = e->packet + e->transport;
	size_t payload = len - e->headers, n = len - e->transport;
	bool last = done + payload == e->len - e->headers;
	uint8_t header[SPLIT_HEADERS_MAX];

	MUST(len >= e->headers && done + payload <= e->len - e->headers);
	MUST(last ? payload <= e->h.gso_size : payload == e->h.gso_size);
	MUST(!memcmp(p + e->headers, e->packet + e->headers + done, payload));
	if (e->v6) {
		MUST(get_be16(p + 4) == len - 40);
	} else {
		MUST(get_be16(p + 2) == len);
		MUST(get_be16(p + 4) == (uint16_t)(get_be16(e->packet + 4) + i));
		MUST(slow_sum(0, p, e->transport) == 0xffff);
	}
	MUST(slow_sum(packet_pseudo(p, e->tcp, n), t, n) == 0xffff);
	if (e->tcp) {
		MUST(get_be32(t + 4) == (uint32_t)(get_be32(t0 + 4) + done));
		MUST((t[13] & 0x09) == (last ? t0[13] & 0x09 : 0)); /* FIN, PSH */
		MUST((t[13] & 0x80) == (i ? 0 : t0[13] & 0x80));    /* CWR */
		MUST((t[13] & 0x76) == (t0[13] & 0x76));
	} else {
		MUST(get_be16(t + 4) == n);
		MUST(get_be16(t + 6));
	}
	/* All else is as it was. */
	memcpy(header, p, e->headers);
	if (e->v6) {
		memcpy(header + 4, e->packet + 4, 2);
	} else {
		memcpy(header + 2, e->packet + 2, 4);
		memcpy(header + 10, e->packet + 10, 2);
	}
	if (e->tcp) {
		memcpy(header + e->transport + 4, t0 + 4, 4);
		header[e->transport + 13] = t0[13];
		memcpy(header + e->transport + 16, t0 + 16, 2);
	} else {
		memcpy(header + e->transport + 4, t0 + 4, 4);
	}
	MUST(!memcmp(header, e->packet, e->headers));
}

/* A packet that stands for itself: with its checksum filled in, if that was asked for. */
static void check_whole(const struct expected *e, const uint8_t *p, size_t len)
{
	cleanup(free_ptr) uint8_t *copy = fuzz_copy(e->packet, e->len);

	MUST(len == e->len);
	if (e->h.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) {
		size_t start = e->h.csum_start, field = start + e->h.csum_offset;
		uint16_t sum = (uint16_t)~slow_sum(0, e->packet + start, e->len - start);

		put_be16(copy + field, sum ? sum : 0xffff);
	}
	MUST(!memcmp(copy, p, len));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const uint8_t zeros[SPLIT_TAILROOM];
	cleanup(free_ptr) uint8_t *buf = NULL;
	struct expected e = {0};
	size_t extra, n, done = 0;
	unsigned packets = 0;
	struct split s;
	uint8_t *p;

	if (len < 2)
		return 0;
	extra = get_be16(data);
	data += 2;
	len -= 2;
	buf = malloc(len + extra + SPLIT_TAILROOM);
	if (!buf)
		abort();
	memcpy(buf, data, len);
	for (size_t i = 0; i < extra; i++)
		buf[len + i] = (uint8_t)(i * 37 >> 3);
	len += extra;
	memset(buf + len, 0xa5, SPLIT_TAILROOM);
	if (len > VNET_HDR_LEN) {
		e.len = len - VNET_HDR_LEN;
		memcpy(&e.h, buf, VNET_HDR_LEN);
		e.packet = fuzz_copy(buf + VNET_HDR_LEN, e.len);
	}
	if (split_begin(&s, buf, len) < 0) {
		free(e.packet);
		return 0;
	}
	MUST(s.packet == buf + VNET_HDR_LEN && s.len == e.len && s.n >= 1);
	if (e.h.gso_type != VIRTIO_NET_HDR_GSO_NONE)
		find_headers(&e);
	while ((p = split_next(&s, &n))) {
		MUST(p >= buf && p + n <= buf + len);
		if (e.h.gso_type != VIRTIO_NET_HDR_GSO_NONE) {
			check_segment(&e, p, n, done, packets);
			done += n - e.headers;
		} else {
			check_whole(&e, p, n);
		}
		MUST(!memcmp(p + n, zeros, sizeof(zeros)));
		packets++;
		MUST(packets <= s.n && s.next == packets);
	}
	MUST(packets == s.n);
	MUST(done == (e.h.gso_type != VIRTIO_NET_HDR_GSO_NONE ? e.len - e.headers : 0));
	MUST(!split_next(&s, &n));
	free(e.packet);
	return 0;
}
