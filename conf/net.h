/*
 * conf/net.h - addresses, MTU, routes and rules of an interface, by rtnetlink.
 *
 * What it makes bears NET_PROTOCOL as its origin, and only what bears that is taken away again:
 * what the kernel or an administrator has put there stays.  (Addresses have an origin from Linux
 * 5.18 on; before that none is taken away.)
 */
#pragma once

#include "conf/text.h"

#define NET_PROTOCOL 103
#define NET_RULE_PRIORITY 32764u /* of two rules; the main table's has 32766 */

struct net;

/*
 * net_open(name, ret): -ENODEV: there is no such interface; other negative errno.  ${name} may be
 * NULL, for the rules of an interface that is gone.
 */
int net_open(const char *name, struct net **ret);
void net_close(struct net *n);
static inline void net_closep(struct net **n)
{
	net_close(*n);
}

/* net_set_up(n, mtu): the link, with this MTU. */
int net_set_up(struct net *n, unsigned mtu);

/* net_set_addresses(n, want, n_want): these, and no others of ours. */
int net_set_addresses(struct net *n, const struct prefix want[], size_t n_want);

struct net_route {
	struct prefix	to;
	uint32_t	table;
};

/*
 * net_set_routes(n, want, n_want, ret_taken): these through the interface, and no others of ours.
 * Those that are new are there before the others go.  -EEXIST: a route to ${*ret_taken} leads
 * elsewhere; it stays, and the others are set.
 */
int net_set_routes(struct net *n, const struct net_route want[], size_t n_want, struct prefix *ret_taken);

/*
 * net_set_rules(n, family, table, on): have everything of the family that does not bear ${table} as
 * its mark use that table, unless the main one has a route to it that is no default route; or not.
 * Where another interface has routes in the table the rules are its too, and stay.
 */
int net_set_rules(struct net *n, int family, uint32_t table, bool on);
