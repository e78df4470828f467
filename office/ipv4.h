/* office/ipv4.h - IPv4 prefixes as ranges of numbers. */
#pragma once

#include "conf/text.h"

/* A prefix's bits behind its length count as 0. */
static inline uint32_t ipv4_mask(unsigned bits)
{
	return bits ? UINT32_MAX << (32 - bits) : 0;
}

static inline uint32_t ipv4_first(const struct prefix *p)
{
	return get_be32(p->bytes) & ipv4_mask(p->bits);
}

static inline uint32_t ipv4_last(const struct prefix *p)
{
	return ipv4_first(p) | ~ipv4_mask(p->bits);
}

static inline struct prefix ipv4_prefix(uint32_t address, unsigned bits)
{
	struct prefix p = {.family = AF_INET, .bits = (uint8_t)bits};

	put_be32(p.bytes, address & ipv4_mask(bits));
	return p;
}

/* ipv4_holds(outer, inner): ${inner} is a part of ${outer}, or all of it. */
static inline bool ipv4_holds(const struct prefix *outer, const struct prefix *inner)
{
	return inner->bits >= outer->bits && !((ipv4_first(inner) ^ ipv4_first(outer)) & ipv4_mask(outer->bits));
}

static inline bool ipv4_overlap(const struct prefix *a, const struct prefix *b)
{
	return ipv4_holds(a, b) || ipv4_holds(b, a);
}
