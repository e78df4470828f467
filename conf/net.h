/*
 * conf/net.h - addresses, MTU, routes and rules of an interface, by rtnetlink.
 *
 * What it makes bears NET_PROTOCOL as its origin, and only what bears that is taken away again:
 * what the kernel or an administrator has put there stays.  (Addresses have an origin from Linux
 * 5.18 on; before that none is taken away.)
 */
#pragma once

#include "conf/text.h"

#include <net/if.h>

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

/*
 * net_tell(n, did, arg): from now on ${did} is called for each change that was made.  ${what}: "the route to
 * 10.0.0.0/8"; ${was}: how it was before, "missing" or "1300"; NULL: it was removed.
 */
void net_tell(struct net *n, void (*did)(void *arg, const char *what, const char *was), void *arg);

/* net_set_up(n, mtu): the link, with this MTU; untouched where it is so.  1: it was down; 0 or negative errno. */
int net_set_up(struct net *n, unsigned mtu);

/* net_set_addresses(n, want, n_want): these, and no others of ours. */
int net_set_addresses(struct net *n, const struct prefix want[], size_t n_want);

/*
 * net_device_of(n, lan, ret, ret_own): the interface that has an address in this network, or, for one
 * of all bits, this address; another one than ${n}'s.  ${ret_own}, unless it is NULL, becomes that
 * address.  0; -ENODEV: none; other negative errno.
 */
int net_device_of(struct net *n, const struct prefix *lan, char ret[IFNAMSIZ], struct prefix *ret_own);

/*
 * net_gateway_of(n, ifindex, family, ret): where the default route through this interface leads.
 * 0; -ENETUNREACH: there is none; other negative errno.
 */
int net_gateway_of(struct net *n, unsigned ifindex, int family, struct prefix *ret);

/* net_index(n): of the interface that was opened. */
unsigned net_index(const struct net *n);

#define NET_KIND_WIREGUARD "wireguard"

/* net_add_link(n, kind, name): a new link.  -EEXIST; -EOPNOTSUPP: the kernel has no such kind; other negative errno. */
int net_add_link(struct net *n, const char *kind, const char *name);

/* net_check_kind(n, kind): -ENODEV: the link is of another kind, or gone; other negative errno. */
int net_check_kind(struct net *n, const char *kind);

/* net_remove_link(n): with it go its addresses and routes, and a daemon that made it. */
int net_remove_link(struct net *n);

struct net_route {
	struct prefix	to;
	uint32_t	table;
	uint32_t	metric;		/* 0: the least */
	uint32_t	ifindex;	/* 0: through the interface that was opened */
	struct prefix	gateway;	/* family 0: what is there is on the link */
	unsigned	mtu;		/* 0: the interface's */
};

/*
 * net_set_routes(n, table, want, n_want, ret_taken): these, and no others of ours through the
 * interface, nor, unless ${table} is 0, in that table.  Those that are new are there before the others
 * go.  -EEXIST: a route to ${*ret_taken} leads elsewhere; it stays, and the others are set.
 */
int net_set_routes(struct net *n, uint32_t table, const struct net_route want[], size_t n_want,
	struct prefix *ret_taken);

/*
 * net_way_to(n, address, ret): the route by which this machine sends to that address.  0; -ENETUNREACH and the like:
 * there is none; -EHOSTUNREACH: it is one of another kind, as to an address of this machine.
 */
int net_way_to(struct net *n, const struct prefix *address, struct net_route *ret);

/*
 * net_set_rules(n, family, table, on): have everything of the family that does not bear ${table} as
 * its mark use that table, unless the main one has a route to it that is no default route; or not.
 * Where another interface has routes in the table the rules are its too, and stay.
 */
int net_set_rules(struct net *n, int family, uint32_t table, bool on);

/*
 * net_set_rule_in(n, family, device, table, on): have what comes in by the interface of that name use
 * ${table} first, which is the rule's priority too; or not.
 */
int net_set_rule_in(struct net *n, int family, const char *device, uint32_t table, bool on);
