/*
 * tunnel/bind.h - where the UDP sockets are bound: addresses of ours, and a network device.
 *
 * Pure values, as a person gives them.  Whether such an address or device is there is looked up
 * when a socket is bound (tunnel/udp.h), and may change from one time to the next.
 */
#pragma once

#include "base/buf.h"

#include <net/if.h>
#include <sys/socket.h>

struct bind_address {
	uint8_t		family;		/* AF_INET, AF_INET6; 0: none was given */
	uint8_t		bytes[16];	/* network order, IPv4 in the first 4 */
	char		scope[IFNAMSIZ];	/* IPv6 link-local: the interface, else "" */
};

struct bind {
	struct bind_address	v4, v6;
	char			device[IFNAMSIZ];	/* ""; a VRF is a device too */
};

/*
 * bind_address_parse(text, ret, why): "192.0.2.1", "2001:db8::1", "fe80::1%eth0", "0.0.0.0", "::".
 * -EINVAL with a clause appended to ${why}, ${*ret} as it was.
 */
int bind_address_parse(const char *text, struct bind_address *ret, struct buf *why);

/* bind_address_format(a, ret): append what bind_address_parse() reads; nothing for none. */
void bind_address_format(const struct bind_address *a, struct buf *ret);

/* bind_address_of(b, family): the one of AF_INET or AF_INET6. */
static inline const struct bind_address *bind_address_of(const struct bind *b, int family)
{
	return family == AF_INET6 ? &b->v6 : &b->v4;
}

/*
 * bind_listens(b, family): without any address both families are used, else those that have one.
 */
static inline bool bind_listens(const struct bind *b, int family)
{
	return (!b->v4.family && !b->v6.family) || bind_address_of(b, family)->family;
}
