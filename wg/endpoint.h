/*
 * wg/endpoint.h - where a peer is, and from which of our addresses it is spoken to.
 *
 * Plain values: copied, compared field by field, never holding stale bytes (an IPv4 address zeroes
 * the other 12).
 */
#pragma once

#include "base/util.h"

#include <netinet/in.h>

struct wg_addr {
	uint8_t		 bytes[16];	/* network order; IPv4 in the first 4, the rest zero */
	uint32_t	 scope_id;	/* IPv6 link-local only, else 0 */
	uint16_t	 port;		/* host order */
	uint8_t		 family;	/* AF_INET, AF_INET6, or 0: none */
	uint8_t		 unused;	/* 0 */
};

struct wg_endpoint {
	struct wg_addr	dst;
	uint8_t		src[16];	/* our address (of dst's family) that the peer last wrote to; zero: let the kernel choose */
	uint32_t	src_ifindex;	/* the interface it came in by; 0: none.  IPv4, and IPv6 link-local */
};

static inline bool wg_addr_equal(const struct wg_addr *a, const struct wg_addr *b)
{
	return !memcmp(a, b, sizeof(*a));
}

static inline bool wg_endpoint_equal(const struct wg_endpoint *a, const struct wg_endpoint *b)
{
	return !memcmp(a, b, sizeof(*a));
}

static inline struct wg_addr wg_addr_v4(const void *bytes, uint16_t port)
{
	struct wg_addr a = {.family = AF_INET, .port = port};

	memcpy(a.bytes, bytes, 4);
	return a;
}

static inline struct wg_addr wg_addr_v6(const void *bytes, uint16_t port, uint32_t scope_id)
{
	struct wg_addr a = {.family = AF_INET6, .port = port, .scope_id = scope_id};

	memcpy(a.bytes, bytes, 16);
	return a;
}

_Static_assert(sizeof(struct wg_addr) == 24, "no hidden padding: values are compared as bytes");
_Static_assert(sizeof(struct wg_endpoint) == 44, "no hidden padding: values are compared as bytes");
