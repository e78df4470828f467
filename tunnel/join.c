#include "tunnel/join.h"
#include "base/log.h"
#include "tunnel/checksum.h"
#include "tunnel/fast_path.h"
#include "tunnel/split.h"

#include <errno.h>
#include <netinet/in.h>

#define JOIN_NONE 0xffff
#define TCP_PSH 0x08
#define TCP_ACK 0x10
#define IP_DF 0x4000

/* What an inner packet is to us. */
struct view {
	const uint8_t	*p;
	size_t		 len;
	bool		 v6;
	bool		 ip;		/* a whole IP header, with addresses that can be compared */
	bool		 ports;		/* TCP or UDP with its ports in reach */
	bool		 mergeable;
	uint8_t		 protocol;
	uint16_t	 transport, headers;
	uint16_t	 payload;
};

void join_init(struct join *j, unsigned flags,
	int (*write)(void *arg, const struct join_output *out), void *arg)
{
	j->flags = flags;
	j->write = write;
	j->arg = arg;
	j->lost = j->n_packets = j->n_units = j->n_open = 0;
}

static struct view look(const struct join *j, const uint8_t *p, size_t len)
{
	struct view v = {.p = p, .len = len};
	const uint8_t *t;
	bool plain; /* no options, no fragment, and the length is right */

	if (len < 20)
		return v;
	if (p[0] >> 4 == 4) {
		v.ip = true;
		v.protocol = p[9];
		v.transport = 20;
		/* Options move the ports; fragments have none; the reserved bit is nobody's. */
		plain = p[0] == 0x45 && !(get_be16(p + 6) & ~IP_DF) && get_be16(p + 2) == len;
	} else if (p[0] >> 4 == 6 && len >= 40) {
		v.ip = v.v6 = true;
		v.protocol = p[6];
		v.transport = 40;
		plain = get_be16(p + 4) + 40u == len;
	} else {
		return v;
	}
	if (!plain || len < v.transport + 8u)
		return v;
	t = p + v.transport;
	if (v.protocol == IPPROTO_TCP && len >= v.transport + 20u) {
		v.ports = true;
		v.headers = (uint16_t)(v.transport + (t[12] >> 4) * 4);
		v.mergeable = j->flags & JOIN_TCP && t[12] >> 4 >= 5 && !(t[12] & 15) &&
			(t[13] & ~TCP_PSH) == TCP_ACK && v.headers < len &&
			/* The other zero: correct, but a split writes 0. */
			get_be16(t + 16) != 0xffff;
	} else if (v.protocol == IPPROTO_UDP) {
		v.ports = true;
		v.headers = (uint16_t)(v.transport + 8);
		/* Checksum zero says "none", and a merged packet must have one. */
		v.mergeable = j->flags & JOIN_UDP && v.headers < len &&
			get_be16(t + 4) == len - v.transport && (t[6] || t[7]);
	}
	if (v.mergeable)
		v.payload = (uint16_t)(len - v.headers);
	return v;
}

static bool same_addresses(const struct view *v, const uint8_t *head)
{
	if (head[0] >> 4 != (v->v6 ? 6 : 4))
		return false;
	return v->v6 ? !memcmp(v->p + 8, head + 8, 32) : !memcmp(v->p + 12, head + 12, 8);
}

/*
 * Whether the packet must not pass the open unit: the same flow, or a packet that may belong to it.
 */
static bool same_flow(const struct view *v, const struct join_unit *u, const uint8_t *head)
{
	if (!same_addresses(v, head))
		return false;
	if (!v->ports)
		return true;
	return v->protocol == u->protocol && !memcmp(v->p + v->transport, head + u->transport, 4);
}

/* Everything that the split gives to all segments alike. */
static bool same_headers(const struct view *v, const uint8_t *head)
{
	const uint8_t *t = v->p + v->transport, *ht = head + v->transport;

	if (v->v6) {
		/* Version, traffic class, flow label; next header, hop limit. */
		if (memcmp(v->p, head, 4) || v->p[6] != head[6] || v->p[7] != head[7])
			return false;
	} else {
		/* TOS; DF; TTL and protocol. */
		if (v->p[1] != head[1] || v->p[6] != head[6] || v->p[7] != head[7] ||
			v->p[8] != head[8] || v->p[9] != head[9])
			return false;
	}
	if (v->protocol == IPPROTO_UDP)
		return true;
	/*
	 * Acknowledgement, header length, window, urgent pointer, options; flags are ACK and PSH.
	 */
	return !memcmp(t + 8, ht + 8, 5) && !memcmp(t + 14, ht + 14, 2) &&
		!memcmp(t + 18, ht + 18, v->headers - v->transport - 18u);
}

static bool checksum_ok(const uint8_t *p, size_t len, unsigned transport, uint8_t protocol)
{
	size_t n = len - transport;

	/* The IPv4 header's own: a merged packet would get a good one. */
	if (transport == 20 && (get_be16(p + 10) == 0xffff ||
				       checksum_fold(checksum_add_portable(0, p, 20)) != 0xffff))
		return false;
	return checksum_fold(checksum_add(
		       checksum_pseudo(p, protocol, (uint32_t)n), p + transport, n)) == 0xffff;
}

/* Whether ${v} may be appended to ${u}: merged and split again, it would come out as it is. */
static bool fits(const struct join *j, struct join_unit *u, const struct view *v)
{
	const struct join_packet *first = &j->packets[u->first];
	const uint8_t *head = first->data;
	bool fixed_id = false;

	if (!v->mergeable || v->headers != u->headers || v->transport != u->transport ||
		u->n == JOIN_SEGMENTS_MAX || v->payload > u->segment || u->len + v->payload > 65535)
		return false;
	if (!same_headers(v, head))
		return false;
	if (!v->v6) {
		uint16_t step = (uint16_t)(get_be16(v->p + 4) - get_be16(head + 4));

		fixed_id = step == 0 && j->flags & JOIN_ATOMIC_ID && v->p[6] & (IP_DF >> 8);
		if (fixed_id ? u->n > 1 && !u->fixed_id : step != u->n)
			return false;
		if (u->fixed_id && !fixed_id)
			return false;
	}
	if (v->protocol == IPPROTO_TCP) {
		uint32_t seq = get_be32(head + v->transport + 4) + (u->len - u->headers);

		if (get_be32(v->p + v->transport + 4) != seq)
			return false;
	}
	if (!u->verified) {
		if (!checksum_ok(head, first->len, u->transport, u->protocol))
			return false;
		u->verified = true;
	}
	if (!checksum_ok(v->p, v->len, v->transport, v->protocol))
		return false;
	u->fixed_id = fixed_id;
	return true;
}

static void close_flow(struct join *j, unsigned i)
{
	j->n_open--;
	memmove(&j->open[i], &j->open[i + 1], (j->n_open - i) * sizeof(j->open[0]));
}

void join_add(struct join *j, uint8_t *packet, size_t len)
{
	struct view v;
	struct join_unit *u = NULL;
	uint16_t at;
	bool push, open = true;

	if (j->n_packets == JOIN_BATCH_MAX) {
		unsigned lost = join_flush(j);

		j->lost = lost;
	}
	v = look(j, packet, len);
	push = v.mergeable && v.protocol == IPPROTO_TCP && v.p[v.transport + 13] & TCP_PSH;
	at = (uint16_t)j->n_packets++;
	j->packets[at] = (struct join_packet){
		.data = packet, .len = (uint16_t)len, .next = JOIN_NONE};

	/*
	 * Its flow, if open: append, or close it, so that nothing later is merged in front of this
	 * packet.
	 */
	for (unsigned i = j->n_open; i-- > 0 && v.ip;) {
		struct join_unit *o = &j->units[j->open[i]];

		if (!same_flow(&v, o, j->packets[o->first].data))
			continue;
		if (fits(j, o, &v)) {
			uint16_t index = j->open[i];

			u = o;
			j->packets[u->last].next = at;
			u->last = at;
			u->n++;
			u->len += v.payload;
			u->push = push;
			open = !push && v.payload == u->segment;
			close_flow(j, i);
			if (open)
				j->open[j->n_open++] = index;
			return;
		}
		close_flow(j, i);
	}

	j->units[j->n_units] = (struct join_unit){.first = at,
		.last = at,
		.n = 1,
		.segment = v.payload,
		.headers = v.headers,
		.transport = v.transport,
		.len = (uint32_t)len,
		.protocol = v.protocol,
		.push = push};
	if (v.mergeable && !push) {
		if (j->n_open == JOIN_FLOWS_MAX)
			close_flow(j, 0);
		j->open[j->n_open++] = (uint16_t)j->n_units;
	}
	j->n_units++;
}

static void write_one(struct join *j, uint8_t *packet, size_t len)
{
	struct virtio_net_hdr h = {.gso_type = VIRTIO_NET_HDR_GSO_NONE};
	struct iovec iov[2] = {{&h, VNET_HDR_LEN}, {packet, len}};
	struct join_output out = {.iov = iov, .n_iov = 2, .packets = 1, .bytes = len};

	if (j->write(j->arg, &out) < 0)
		j->lost++;
}

/* Make the first packet's header that of the whole. */
static void merge_header(const struct join_unit *u, uint8_t *p, struct virtio_net_hdr *h)
{
	bool tcp = u->protocol == IPPROTO_TCP, v6 = u->transport == 40;
	uint32_t transport_len = u->len - u->transport;
	uint8_t *t = p + u->transport;

	if (v6) {
		put_be16(p + 4, (uint16_t)transport_len);
	} else {
		put_be16(p + 2, (uint16_t)u->len);
		put_be16(p + 10, 0);
		checksum_store(p + 10,
			(uint16_t)~checksum_fold(checksum_add_portable(0, p, u->transport)));
	}
	if (tcp && u->push)
		t[13] |= TCP_PSH;
	if (!tcp)
		put_be16(t + 4, (uint16_t)transport_len);
	checksum_store(
		t + (tcp ? 16 : 6), checksum_fold(checksum_pseudo(p, u->protocol, transport_len)));
	*h = (struct virtio_net_hdr){
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.gso_type = !tcp ? VIRTIO_NET_HDR_GSO_UDP_L4
			: v6     ? VIRTIO_NET_HDR_GSO_TCPV6
				 : VIRTIO_NET_HDR_GSO_TCPV4,
		.hdr_len = u->headers,
		.gso_size = u->segment,
		.csum_start = u->transport,
		.csum_offset = tcp ? 16 : 6,
	};
}

static void write_pieces(struct join *j, const struct join_unit *u)
{
	for (uint16_t i = u->first; i != JOIN_NONE; i = j->packets[i].next)
		write_one(j, j->packets[i].data, j->packets[i].len);
}

static void write_merged(struct join *j, const struct join_unit *u)
{
	struct join_packet *first = &j->packets[u->first];
	struct virtio_net_hdr h;
	struct join_output out = {.iov = j->iov, .packets = u->n, .bytes = u->len};
	uint8_t saved[SPLIT_HEADERS_MAX];
	unsigned kind = u->protocol == IPPROTO_TCP ? JOIN_TCP : JOIN_UDP;
	unsigned n = 0;
	int r;

	/* Merged before another unit of this batch was refused. */
	if (!(j->flags & kind)) {
		write_pieces(j, u);
		return;
	}
	memcpy(saved, first->data, u->headers);
	merge_header(u, first->data, &h);
	j->iov[n++] = (struct iovec){&h, VNET_HDR_LEN};
	j->iov[n++] = (struct iovec){first->data, first->len};
	for (uint16_t i = first->next; i != JOIN_NONE; i = j->packets[i].next)
		j->iov[n++] = (struct iovec){
			j->packets[i].data + u->headers, j->packets[i].len - (size_t)u->headers};
	out.n_iov = n;
	r = j->write(j->arg, &out);
	if (r == -EINVAL) {
		/* This kernel does not take what it promised: from here on as they came. */
		log_info("tun: the kernel refuses merged packets: single ones from now on protocol=%s",
			kind == JOIN_TCP ? "tcp" : "udp");
		fast_path_fell_back(kind == JOIN_TCP ? FAST_PATH_JOIN_TCP : FAST_PATH_JOIN_UDP,
			FAST_PATH_KERNEL, -r);
		j->flags &= ~kind;
		memcpy(first->data, saved, u->headers);
		write_pieces(j, u);
	} else if (r < 0) {
		j->lost += u->n;
	}
}

unsigned join_flush(struct join *j)
{
	unsigned lost;

	for (unsigned i = 0; i < j->n_units; i++) {
		const struct join_unit *u = &j->units[i];

		if (u->n > 1)
			write_merged(j, u);
		else
			write_one(j, j->packets[u->first].data, j->packets[u->first].len);
	}
	lost = j->lost;
	j->lost = j->n_packets = j->n_units = j->n_open = 0;
	return lost;
}
