/*
 * Sequences of inner packets: whatever was merged, split again it is what went in, and no packet passes another one that it may
 * belong to.  The device behind refuses merged packets, or everything, when the input says so.
 */
#include "fuzz/fuzz.h"
#include "tests/unit/tunnel/packets.h"
#include "tunnel/join.h"
#include "tunnel/split.h"

#include <errno.h>

#define MANY 700	/* above JOIN_BATCH_MAX, so that it flushes by itself */
#define BYTES_MAX (200u << 10)

struct packet {
	uint8_t		*data;	/* join's, until it was written */
	uint8_t		*copy;
	size_t		 len;
	bool		 done;	/* it came out, or was refused */
};

/* What was written last of a flow, for the next to follow. */
struct flow {
	uint32_t	seq;
	uint16_t	id;
};

struct fuzz {
	struct join	 j;
	struct packet	*packets;
	unsigned	 n;
	size_t		 bytes;
	int		 refuse_merged, refuse_all;
	unsigned	 lost;
	bool		 was_refused[2];	/* a merged one: UDP, TCP */
	struct flow	 flows[16];
};

/* Whether two packets may be of one flow, by the header's words, for packets whose lengths are right. */
static bool related(const struct packet *a, const struct packet *b)
{
	const uint8_t *p = a->copy, *q = b->copy;
	bool v6 = p[0] >> 4 == 6;
	size_t transport = v6 ? 40 : 20;

	if (p[0] >> 4 != q[0] >> 4 || (p[0] >> 4 != 4 && !v6) || a->len < transport || b->len < transport)
		return false;
	if (v6 ? memcmp(p + 8, q + 8, 32) : memcmp(p + 12, q + 12, 8))
		return false;
	for (unsigned i = 0; i < 2; i++) {
		const struct packet *x = i ? b : a;
		const uint8_t *d = x->copy;

		if (v6 ? d[6] != 6 && d[6] != 17 : d[0] != 0x45 || (d[9] != 6 && d[9] != 17) || get_be16(d + 6) & 0xbfff)
			return true;
		if (x->len < transport + (d[v6 ? 6 : 9] == 6 ? 20 : 8) ||
			(v6 ? get_be16(d + 4) + 40u : get_be16(d + 2)) != x->len)
			return true;
	}
	return p[v6 ? 6 : 9] == q[v6 ? 6 : 9] && !memcmp(p + transport, q + transport, 4);
}

/* With JOIN_ATOMIC_ID a split counts up IDs that were equal. */
static bool same(const struct fuzz *f, const struct packet *p, const uint8_t *q, size_t len)
{
	if (p->len != len)
		return false;
	if (f->j.flags & JOIN_ATOMIC_ID && len >= 20 && q[0] == 0x45 && q[6] == 0x40)
		return !memcmp(p->copy, q, 4) && !memcmp(p->copy + 6, q + 6, 4) && !memcmp(p->copy + 12, q + 12, len - 12);
	return !memcmp(p->copy, q, len);
}

/* One packet came out: it must be the first one like it, and none before it that is related may still wait. */
static void came_out(struct fuzz *f, const uint8_t *p, size_t len)
{
	unsigned i = 0;

	while (i < f->n && (f->packets[i].done || !same(f, &f->packets[i], p, len)))
		i++;
	MUST(i < f->n);
	for (unsigned k = 0; k < i; k++)
		MUST(f->packets[k].done || !related(&f->packets[k], &f->packets[i]));
	f->packets[i].done = true;
}

static int record(void *arg, const struct join_output *out)
{
	struct fuzz *f = arg;
	cleanup(free_ptr) uint8_t *buf = malloc(VNET_HDR_LEN + out->bytes + SPLIT_TAILROOM);
	struct virtio_net_hdr h;
	struct split s;
	size_t at = 0, len;
	int refused = out->packets > 1 && f->refuse_merged ? f->refuse_merged : f->refuse_all;
	unsigned n = 0;
	uint8_t *p;

	if (!buf)
		abort();
	MUST(out->n_iov >= 2 && out->iov[0].iov_len == VNET_HDR_LEN);
	MUST(out->bytes <= 65535 && out->packets >= 1 && out->packets <= JOIN_SEGMENTS_MAX);
	for (unsigned i = 0; i < out->n_iov; i++) {
		MUST(at + out->iov[i].iov_len <= VNET_HDR_LEN + out->bytes);
		memcpy(buf + at, out->iov[i].iov_base, out->iov[i].iov_len);
		at += out->iov[i].iov_len;
	}
	MUST(at == VNET_HDR_LEN + out->bytes);
	memcpy(&h, buf, sizeof(h));
	MUST((out->packets > 1) == (h.gso_type != VIRTIO_NET_HDR_GSO_NONE));
	if (out->packets > 1) {
		bool tcp = h.gso_type != VIRTIO_NET_HDR_GSO_UDP_L4;

		MUST(f->j.flags & (tcp ? JOIN_TCP : JOIN_UDP) && !f->was_refused[tcp]);
		MUST(h.hdr_len + h.gso_size <= out->bytes);
		if (refused == -EINVAL) {
			f->was_refused[tcp] = true;
			return -EINVAL;
		}
	}
	MUST(split_begin(&s, buf, at) == 0);
	MUST(s.n == out->packets);
	for (; (p = split_next(&s, &len)); n++)
		came_out(f, p, len);
	MUST(n == out->packets);
	if (refused)
		f->lost += n;
	return refused;
}

static void flush(struct fuzz *f)
{
	MUST(join_flush(&f->j) == f->lost);
	f->lost = 0;
	for (unsigned i = 0; i < f->n; i++) {
		MUST(f->packets[i].done);
		free(f->packets[i].data);
		free(f->packets[i].copy);
	}
	f->n = 0;
}

static void add(struct fuzz *f, const uint8_t *p, size_t len)
{
	if (!len || len > 65535 || f->bytes + len > BYTES_MAX)
		return;
	if (f->n == MANY)
		flush(f);
	f->bytes += len;
	f->packets[f->n] = (struct packet){.data = fuzz_copy(p, len), .copy = fuzz_copy(p, len), .len = len};
	f->n++;
	join_add(&f->j, f->packets[f->n - 1].data, len);
}

/* The next packet of a flow, wrong in at most the ways that the input asks for. */
static void add_next(struct fuzz *f, uint8_t flow, uint8_t how, size_t n, struct rd *r)
{
	static uint8_t packet[65536], payload[65536];
	struct flow *state = &f->flows[flow & 15];
	struct packet_spec s = {
		.v6 = flow & 1,
		.tcp = flow & 2,
		.src = 1,
		.dst = flow & 4 ? 3 : 2,
		.sport = 1000,
		.dport = flow & 8 ? 3000 : 2000,
		.ttl = 64,
		.df = !(how & 1),
		.id = state->id,
		.seq = state->seq,
		.ack = 7,
		.flags = how & 2 ? 0x18 : 0x10,
		.window = 500,
		.options_len = how & 4 ? 12 : 0,
		.options = {1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 1},
	};
	size_t len, at;

	for (size_t i = 0; i < n; i++)
		payload[i] = (uint8_t)(state->seq + i);
	n = min(n, (size_t)65535 - packet_headers_len(&s));
	len = packet_build(packet, &s, payload, n);
	if (how & 8) { /* a byte of it is another one; with how & 16 the checksums follow */
		at = rd_be16(r) % len;
		if (how & 16)
			at %= packet_headers_len(&s);
		packet[at] ^= rd_u8(r);
	}
	if (how & 16 && len == packet_headers_len(&s) + n) {
		uint8_t *t = packet + packet_ip_len(&s);
		size_t field = s.tcp ? 16 : 6, rest = len - packet_ip_len(&s);

		if (packet[0] == 0x45) {
			put_be16(packet + 10, 0);
			put_be16(packet + 10, (uint16_t)~slow_sum(0, packet, 20));
		}
		put_be16(t + field, 0);
		put_be16(t + field, (uint16_t)~slow_sum(packet_pseudo(packet, s.tcp, rest), t, rest));
		if (how & 1 && n >= 2) { /* the payload such that the checksum is zero; and then the other zero */
			uint8_t *first = packet + packet_headers_len(&s);
			uint32_t sum = get_be16(first) + get_be16(t + field);

			put_be16(first, (uint16_t)(sum % 0xffff));
			put_be16(t + field, 0xffff);
		}
	}
	if (how & 32) /* cut off */
		len -= rd_u8(r) % len;
	state->seq += (uint32_t)n;
	state->id = (uint16_t)(state->id + !(how & 64));
	if (how & 128)
		state->seq += rd_u8(r);
	add(f, packet, len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const int errors[] = {0, -EINVAL, -EIO, -ENOBUFS};
	struct rd r = rd_of(data, len);
	struct fuzz *f = calloc(1, sizeof(*f));
	struct packet *packets = calloc(MANY, sizeof(*packets));

	if (!f || !packets)
		abort();
	f->packets = packets;
	join_init(&f->j, rd_u8(&r) & (JOIN_TCP | JOIN_UDP | JOIN_ATOMIC_ID), record, f);
	while (rd_left(&r)) {
		uint8_t op = rd_u8(&r), flow, how;
		size_t n;

		switch (op & 7) {
		case 0: case 1: case 2:
			flow = rd_u8(&r);
			add_next(f, flow, 0, 1 + (op >> 3) * 45u, &r);
			break;
		case 3: case 4: /* many equal ones */
			flow = rd_u8(&r);
			n = 1 + rd_be16(&r) % 1500u;
			for (unsigned i = 0; i < (op >> 3) * 4u; i++)
				add_next(f, flow, op & 1 ? 0 : 64, n, &r);
			break;
		case 5:
			flow = rd_u8(&r);
			how = rd_u8(&r);
			add_next(f, flow, how, rd_be16(&r), &r);
			break;
		case 6: /* raw */
			n = min((size_t)rd_u8(&r), rd_left(&r));
			if (n) {
				cleanup(free_ptr) uint8_t *p = fuzz_copy(rd_bytes(&r, n), n);

				add(f, p, n);
			}
			break;
		default:
			if (op & 8)
				f->refuse_merged = errors[op >> 4 & 3];
			else if (op & 16)
				f->refuse_all = errors[op >> 5 & 3];
			else
				flush(f);
		}
	}
	flush(f);
	free(packets);
	free(f);
	return 0;
}
