/*
 * wg/allowedips.h - crypto-key routing: longest prefix to owner, for IPv4 and IPv6.
 *
 * Two path-compressed binary tries.  One writer; any number of readers look up without a lock while
 * it writes: a node is complete before it is published by one atomic store, and what is taken out
 * goes to the reclaimer.  Knows an owner only as the head of the list of its prefixes.  No
 * recursion anywhere.
 */
#pragma once

#include "base/slab.h"
#include "wg/reclaim.h"

#include <sys/queue.h>

struct allowedips_node;

/*
 * Embedded in what owns prefixes (a peer).  The list is in insertion order and belongs to the
 * writer.
 */
struct allowedips_owner {
	TAILQ_HEAD(, allowedips_node) prefixes;
};

struct allowedips {
	struct allowedips_node *_Atomic	 root4, *_Atomic root6;
	struct allowedips_node		*last;	/* the writer's: the one inserted last, or NULL */
	struct slab			 nodes4, nodes6;
	struct reclaim			*reclaim;
};

void allowedips_init(struct allowedips *t, struct reclaim *reclaim);
/* Readers are gone and every owner was removed. */
void allowedips_done(struct allowedips *t);

void allowedips_owner_init(struct allowedips_owner *o);

/*
 * allowedips_insert(t, family, addr, cidr, owner): AF_INET or AF_INET6, ${addr} in network order,
 * host bits masked.  A prefix that exists moves to ${owner} (to the end of its list; one that is
 * the owner's already keeps its place).
 * -EINVAL: family or cidr; -ENOMEM: nothing changed.
 */
int allowedips_insert(struct allowedips *t, int family, const void *addr, unsigned cidr,
	struct allowedips_owner *owner);

/* Exactly this prefix, if it is ${owner}'s; else nothing. */
void allowedips_remove(struct allowedips *t, int family, const void *addr, unsigned cidr,
	struct allowedips_owner *owner);

/*
 * All of ${owner}'s, in time proportional to their number; intermediate nodes that serve nobody go
 * with them.
 */
void allowedips_remove_owner(struct allowedips *t, struct allowedips_owner *owner);

/* [any reader] The owner of the longest prefix that holds the address, or NULL. */
struct allowedips_owner *allowedips_lookup4(const struct allowedips *t, const uint8_t addr[4]);
struct allowedips_owner *allowedips_lookup6(const struct allowedips *t, const uint8_t addr[16]);

/*
 * Iterate an owner's prefixes: ${node} NULL starts; NULL at the end.  Any output pointer may be
 * NULL.
 */
struct allowedips_node *allowedips_next(const struct allowedips_owner *owner,
	struct allowedips_node *node, int *ret_family, uint8_t ret_addr[16], unsigned *ret_cidr);

/* Number of nodes in both tries, for tests and the memory figures. */
size_t allowedips_n_nodes(const struct allowedips *t);
