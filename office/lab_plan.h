/*
 * office/lab_plan.h - an office and the internet around it, as hosts and cables to be made on one
 * machine.
 *
 * Pure: from a settled office that check() has passed.  Around each LAN and each person stands what
 * real ones have around them:
 *
 *	public.internet ---- z                                  the hub, with an address of its own
 *	   |--- a.carrier ---- a.gateway ---- a.switch ---- a, b   NAT twice, then the LAN
 *	   '--- e.carrier ---- e.router ---- e                  NAT twice, then the person
 *
 * No member's name has a dot, so those of what surrounds it are free.
 */
#pragma once

#include "office/office.h"

#define LAB_HOMES_MAX 100	/* LANs and persons: each has a public address, and another to change to */
#define LAB_INTERNET "public.internet"

#define GATEWAY_KIND_LIST(X)                                                                       \
	X(GATEWAY_NONE, 0, "none", "no routes to the node")                                        \
	X(GATEWAY_STATIC, 1, "static", "static routes to the node")                                \
	X(GATEWAY_STRICT, 2, "strict", "static routes, and flows are dropped that go by it one way only")
ENUM_DECLARE(gateway_kind, GATEWAY_KIND_LIST);

struct lab_gateway {
	char			 node[OFFICE_NAME_MAX + 1];
	enum gateway_kind	 kind;
};

/*
 * lab_plan(o, name, gateways, n, ret, errors):
 * Append to ${ret} one record a line, its fields separated by tabs:
 *
 *	host HOST KIND MEMBER		KIND is the member's, or internet carrier gateway router switch
 *	bridge HOST DEVICE
 *	cable HOST DEVICE HOST DEVICE
 *	port HOST DEVICE BRIDGE
 *	address HOST DEVICE PREFIX
 *	route HOST TO DEVICE [VIA]	TO may be "default"
 *	forward HOST			it passes on what is not for itself
 *	nat HOST OUT loose|strict	what leaves by OUT bears its address, nothing comes in by
 *					itself; strict: one-sided flows are dropped
 *	static HOST TO VIA		what an administrator has set on a gateway
 *	uplink MEMBER HOST DEVICE	without it the member has no internet
 *	public MEMBER HOST DEVICE PREFIX OTHER	the carrier's, and the one that it may change to
 *	name ADDRESS NAME		for every host
 *
 * Gateways of nodes that ${gateways} leaves out are of the kind none.
 * 0; -EINVAL with at least one line in ${errors}, behind ${name}; -ENOMEM: an error of a buffer.
 */
int lab_plan(const struct office *o, const char *name, const struct lab_gateway gateways[], size_t n,
	struct buf *ret, struct buf *errors);
