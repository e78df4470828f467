/*
 * office/lan.h - the LAN that a node stands in, as its machine sees it.
 */
#pragma once

#include "conf/net.h"
#include "office/office.h"

struct lan {
	char		device[IFNAMSIZ];
	unsigned	ifindex;
	struct prefix	own;		/* the node's address there */
	struct prefix	gateway;	/* family 0: not asked for, or not known */
};

/*
 * lan_find(m, n, ret): the interface to the LAN of the node ${m}, and its address.  Without an interface
 * 0 is not returned, but a line stands in the log.
 */
int lan_find(const struct member *m, struct net *n, struct lan *ret);

/* lan_find_gateway(m, n, lan): the one that is said, or the default route's; as lan_find(). */
int lan_find_gateway(const struct member *m, struct net *n, struct lan *lan);
