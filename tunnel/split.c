#include "tunnel/split.h"
#include "tunnel/checksum.h"

#include <errno.h>
#include <netinet/in.h>

_Static_assert(sizeof(struct virtio_net_hdr) == VNET_HDR_LEN, "the legacy header");

#define TCP_FIN 0x01
#define TCP_PSH 0x08
#define TCP_CWR 0x80

/* Where the checksum lies in the transport header. */
static unsigned checksum_offset(const struct split *s)
{
	return s->tcp ? 16 : 6;
}

/*
 * One packet whose transport checksum the kernel left to us: the field holds the pseudo-header's
 * sum.
 */
static int complete_checksum(struct split *s, const struct virtio_net_hdr *h)
{
	uint8_t *p = s->packet;
	size_t start = h->csum_start, field = start + h->csum_offset;
	uint16_t sum;

	if (start >= s->len || field + 2 > s->len)
		return -EBADMSG;
	sum = (uint16_t)~checksum_fold(checksum_add(0, p + start, s->len - start));
	/* Zero means "none" to UDP, and both zeroes are equal to the others. */
	checksum_store(p + field, sum ? sum : 0xffff);
	return 0;
}

/*
 * Find the transport header of a super-packet, and hold what the virtio header says against what is
 * there.
 */
static int parse_headers(struct split *s, const struct virtio_net_hdr *h)
{
	const uint8_t *p = s->packet;
	uint8_t protocol = s->tcp ? IPPROTO_TCP : IPPROTO_UDP;
	unsigned ip_len;

	if (s->v6) {
		if (s->len < 40 || p[0] >> 4 != 6)
			return -EBADMSG;
		ip_len = 40;
		if (p[6] != protocol) {
			/* Extension headers: only the kernel's word says where they end. */
			if (!(h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) || h->csum_start < 48)
				return -EBADMSG;
			ip_len = h->csum_start;
		}
	} else {
		if (s->len < 20 || p[0] >> 4 != 4)
			return -EBADMSG;
		ip_len = (p[0] & 15) * 4u;
		if (ip_len < 20 || p[9] != protocol || get_be16(p + 6) & 0x3fff)
			return -EBADMSG;
	}
	s->transport = ip_len;
	if (h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM &&
		(h->csum_start != ip_len || h->csum_offset != checksum_offset(s)))
		return -EBADMSG;
	if (s->tcp) {
		unsigned doff;

		if (ip_len + 20 > s->len)
			return -EBADMSG;
		doff = (p[ip_len + 12] >> 4) * 4u;
		if (doff < 20)
			return -EBADMSG;
		s->headers = ip_len + doff;
	} else {
		s->headers = ip_len + 8;
	}
	if (s->headers > s->len || s->headers > SPLIT_HEADERS_MAX)
		return -EBADMSG;
	return 0;
}

static int begin_gso(struct split *s, const struct virtio_net_hdr *h)
{
	uint8_t *t = s->template;
	size_t payload;
	int r;

	switch (h->gso_type & ~VIRTIO_NET_HDR_GSO_ECN) {
	case VIRTIO_NET_HDR_GSO_TCPV4:
		s->tcp = true;
		break;
	case VIRTIO_NET_HDR_GSO_TCPV6:
		s->tcp = s->v6 = true;
		break;
	case VIRTIO_NET_HDR_GSO_UDP_L4:
		if (h->gso_type & VIRTIO_NET_HDR_GSO_ECN)
			return -EBADMSG;
		s->v6 = s->packet[0] >> 4 == 6;
		break;
	default:
		return -EBADMSG;
	}
	if (h->gso_size == 0)
		return -EBADMSG;
	r = parse_headers(s, h);
	if (r < 0)
		return r;

	s->segment = h->gso_size;
	payload = s->len - s->headers;
	s->n = payload ? (unsigned)((payload + s->segment - 1) / s->segment) : 1;
	s->gso = true;
	/*
	 * The template's own fields that differ from segment to segment count as zero in the sums.
	 */
	memcpy(t, s->packet, s->headers);
	checksum_store(t + s->transport + checksum_offset(s), 0);
	s->pseudo_sum = checksum_pseudo(t, s->tcp ? IPPROTO_TCP : IPPROTO_UDP, 0);
	if (!s->v6) {
		uint8_t ip[60];

		memcpy(ip, t, s->transport);
		put_be16(ip + 2, 0);
		put_be16(ip + 4, 0);
		put_be16(ip + 10, 0);
		s->ip_sum = checksum_add_portable(0, ip, s->transport);
	}
	return 0;
}

int split_begin(struct split *s, uint8_t *buf, size_t len)
{
	struct virtio_net_hdr h;

	if (len <= VNET_HDR_LEN)
		return -EBADMSG;
	memcpy(&h, buf, sizeof(h));
	s->packet = buf + VNET_HDR_LEN;
	s->len = len - VNET_HDR_LEN;
	s->n = 1;
	s->next = 0;
	s->gso = s->tcp = s->v6 = false;
	s->tail_at = NULL;
	if (s->len > 65535)
		return -EBADMSG;
	if (h.gso_type != VIRTIO_NET_HDR_GSO_NONE)
		return begin_gso(s, &h);
	if (h.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)
		return complete_checksum(s, &h);
	return 0;
}

/* Lay the header of segment ${i} in front of its ${payload} bytes. */
static void write_headers(struct split *s, uint8_t *p, unsigned i, size_t payload)
{
	uint8_t *t = p + s->transport;
	size_t transport_len = s->headers - s->transport + payload;
	bool last = i + 1 == s->n;
	uint8_t len_be[2];
	uint16_t sum;

	memcpy(p, s->template, s->headers);
	if (s->v6) {
		put_be16(p + 4, (uint16_t)(s->headers - 40 + payload));
	} else {
		put_be16(p + 2, (uint16_t)(s->headers + payload));
		put_be16(p + 4, (uint16_t)(get_be16(p + 4) + i));
		sum = checksum_fold(checksum_add_portable(s->ip_sum, p + 2, 4));
		checksum_store(p + 10, (uint16_t)~sum);
	}
	if (s->tcp) {
		put_be32(t + 4, get_be32(t + 4) + i * s->segment);
		if (i > 0)
			t[13] &= (uint8_t)~TCP_CWR;
		if (!last)
			t[13] &= (uint8_t) ~(TCP_FIN | TCP_PSH);
	} else {
		put_be16(t + 4, (uint16_t)transport_len);
	}
	put_be16(len_be, (uint16_t)transport_len);
	sum = checksum_fold(checksum_add_portable(
		checksum_add(s->pseudo_sum, t, transport_len), len_be, sizeof(len_be)));
	sum = (uint16_t)~sum;
	if (!sum && !s->tcp)
		sum = 0xffff;
	checksum_store(t + checksum_offset(s), sum);
}

uint8_t *split_next(struct split *s, size_t *ret_len)
{
	unsigned i = s->next;
	uint8_t *packet = s->packet;
	size_t len = s->len;

	if (s->tail_at)
		memcpy(s->tail_at, s->tail, sizeof(s->tail));
	if (i == s->n) {
		s->tail_at = NULL;
		return NULL;
	}
	if (s->gso) {
		size_t done = (size_t)i * s->segment;
		size_t payload = min((size_t)s->segment, s->len - s->headers - done);

		packet += done;
		len = s->headers + payload;
		write_headers(s, packet, i, payload);
	}
	s->tail_at = packet + len;
	memcpy(s->tail, s->tail_at, sizeof(s->tail));
	memset(s->tail_at, 0, sizeof(s->tail));
	s->next++;
	*ret_len = len;
	return packet;
}
