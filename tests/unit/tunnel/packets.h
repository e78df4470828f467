/*
 * Packets built field by field with the slowest checksum there is, for tests to compare with.  Shares no code with tunnel/.
 */
#pragma once

#include "base/test.h"
#include "base/util.h"

struct packet_spec {
	bool		 v6, tcp;
	uint8_t		 tos;
	uint32_t	 flow_label;	/* IPv6 */
	uint8_t		 ttl;
	bool		 df;		/* IPv4 */
	uint16_t	 id;
	uint8_t		 src, dst;	/* last byte of the address */
	uint16_t	 sport, dport;
	uint32_t	 seq, ack;
	uint8_t		 flags;
	uint16_t	 window, urgent;
	unsigned	 options_len;	/* TCP */
	uint8_t		 options[40];
	unsigned	 ip_options_len;	/* IPv4 options; IPv6: a destination options header, multiple of 8 */
};

static inline uint16_t slow_sum(uint32_t sum, const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		sum += i % 2 ? p[i] : (uint32_t)p[i] << 8;
		if (sum > 0xffff)
			sum = (sum & 0xffff) + 1;
	}
	return (uint16_t)sum;
}

static inline size_t packet_ip_len(const struct packet_spec *s)
{
	return (s->v6 ? 40 : 20) + s->ip_options_len;
}

static inline size_t packet_headers_len(const struct packet_spec *s)
{
	return packet_ip_len(s) + (s->tcp ? 20 + s->options_len : 8);
}

/* The pseudo-header's sum with the length ${n} of header and payload. */
static inline uint16_t packet_pseudo(const uint8_t *p, bool tcp, size_t n)
{
	uint16_t sum = p[0] >> 4 == 4 ? slow_sum(0, p + 12, 8) : slow_sum(0, p + 8, 32);
	uint8_t rest[4] = {0, tcp ? 6 : 17, (uint8_t)(n >> 8), (uint8_t)n};

	return slow_sum(sum, rest, 4);
}

static inline size_t packet_build(
	uint8_t *p, const struct packet_spec *s, const uint8_t *payload, size_t n)
{
	size_t ip_len = packet_ip_len(s), headers = packet_headers_len(s), len = headers + n;
	uint8_t *t = p + ip_len;
	uint8_t protocol = s->tcp ? 6 : 17;
	size_t field = s->tcp ? 16 : 6;
	uint16_t sum;

	memset(p, 0, headers);
	if (s->v6) {
		put_be32(p, 6u << 28 | (uint32_t)s->tos << 20 | s->flow_label);
		put_be16(p + 4, (uint16_t)(len - 40));
		p[6] = s->ip_options_len ? 60 : protocol;
		p[7] = s->ttl;
		p[8] = p[24] = 0xfd;
		p[23] = s->src;
		p[39] = s->dst;
		if (s->ip_options_len) {
			p[40] = protocol;
			p[41] = (uint8_t)(s->ip_options_len / 8 - 1);
			p[42] = 1; /* PadN */
			p[43] = (uint8_t)(s->ip_options_len - 4);
		}
	} else {
		p[0] = (uint8_t)(0x40 | ip_len / 4);
		p[1] = s->tos;
		put_be16(p + 2, (uint16_t)len);
		put_be16(p + 4, s->id);
		p[6] = s->df ? 0x40 : 0;
		p[8] = s->ttl;
		p[9] = protocol;
		p[12] = p[16] = 10;
		p[15] = s->src;
		p[19] = s->dst;
		memset(p + 20, 1, s->ip_options_len);
		put_be16(p + 10, (uint16_t)~slow_sum(0, p, ip_len));
	}
	put_be16(t, s->sport);
	put_be16(t + 2, s->dport);
	if (s->tcp) {
		put_be32(t + 4, s->seq);
		put_be32(t + 8, s->ack);
		t[12] = (uint8_t)((20 + s->options_len) / 4 << 4);
		t[13] = s->flags;
		put_be16(t + 14, s->window);
		put_be16(t + 18, s->urgent);
		memcpy(t + 20, s->options, s->options_len);
	} else {
		put_be16(t + 4, (uint16_t)(len - ip_len));
	}
	if (n)
		memcpy(p + headers, payload, n);
	sum = (uint16_t)~slow_sum(packet_pseudo(p, s->tcp, len - ip_len), t, len - ip_len);
	put_be16(t + field, !sum && !s->tcp ? 0xffff : sum);
	return len;
}

static inline void packet_random_bytes(uint64_t *seed, uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)(test_random(seed) >> 32);
}

static inline struct packet_spec packet_random_spec(uint64_t *seed)
{
	struct packet_spec s = {
		.v6 = test_random(seed) >> 20 & 1,
		.tcp = test_random(seed) >> 20 & 1,
		.tos = (uint8_t)(test_random(seed) >> 20),
		.flow_label = test_random(seed) >> 20 & 0xfffff,
		.ttl = (uint8_t)(test_random(seed) >> 20),
		.df = test_random(seed) >> 20 & 1,
		.id = (uint16_t)(test_random(seed) >> 20),
		.src = 1,
		.dst = 2,
		.sport = (uint16_t)(test_random(seed) >> 20),
		.dport = (uint16_t)(test_random(seed) >> 20),
		.seq = (uint32_t)(test_random(seed) >> 20),
		.ack = (uint32_t)(test_random(seed) >> 20),
		.flags = 0x10,
		.window = (uint16_t)(test_random(seed) >> 20),
		.options_len = (unsigned)(test_random(seed) >> 20) % 11 * 4,
	};

	packet_random_bytes(seed, s.options, sizeof(s.options));
	return s;
}
