/*
 * office/plan.h - what one member has to be: its tunnel, routes, rules and filters.
 *
 * Pure: from a settled office that check() has passed.  Everything that is applied, exported, said
 * in words or drawn comes from here.  Aliases are no part of it: nothing translates them yet, and
 * what no node would answer must not be sent.
 */
#pragma once

#include "office/office.h"

#define PLAN_KEEPALIVE_S 25		/* by who is behind NAT: all but the hub */
#define PLAN_TABLE 7070			/* of the ways back through a gateway; priority of its rule too */

/* Out of which interface. */
#define PLAN_OUT_LIST(X)                                                                           \
	X(PLAN_OUT_TUNNEL, 1, "tunnel", "the office's")                                            \
	X(PLAN_OUT_LAN, 2, "lan", "the node's to its LAN")
ENUM_DECLARE(plan_out, PLAN_OUT_LIST);

struct plan_peer {
	const struct member	*member;	/* of the office */
	const uint8_t *key;                     /* its public key; NULL: it has none yet */
	bool next; /* behind the one with the same member's key: its next key, without prefixes */
	struct prefix		*allowed;	/* sorted, each once */
	size_t			 n_allowed;
	bool			 has_endpoint;	/* the member's own, but for the port */
	uint16_t		 port;		/* with an endpoint: one of those that the hub answers at */
	uint16_t		 keepalive_s;	/* 0: none */
	bool			 has_psk;	/* a secret is shared with it */
	const uint8_t		*psk;		/* the office's; NULL: none, or the office does not know it */
};

struct plan_route {
	struct prefix		 to;
	enum plan_out		 out;
	bool			 via_gateway;	/* of the LAN; else the destination is on the link */
	uint32_t		 table;		/* 254: main */
	unsigned		 mtu;		/* of a member behind which less fits than here; 0: as here */
	const struct member	*because;	/* whose line asks for it: a node, or for the net the hub */
};

struct plan {
	const struct office	*office;
	const struct member	*self;		/* hub, node or person */
	uint16_t		 listen_port;	/* 0: any */
	unsigned		 mtu;
	struct plan_peer	*peers;		/* in the order of their ids; those without a key too */
	size_t			 n_peers;
	struct plan_route	*routes;	/* sorted by table, destination */
	size_t			 n_routes;

	bool			 forward;	/* packets go through: hub and nodes */
	bool			 clamp;		/* TCP's segments to the MTU, both ways */
	/*
	 * What comes out of the tunnel for the LAN uses PLAN_TABLE.  Its routes: the LAN through the
	 * gateway, and the gateway itself on the link, which who applies adds where the file names none.
	 */
	bool			 gateway_back;
	bool			 snat;		/* and bears the node's own address */
	bool			 no_redirects;	/* hub: it sends packets back where they came from */
	bool			 probe;		/* mode auto: ask the gateway; ${mode} is what it said last */
	enum return_mode	 mode;		/* node: the one in force; auto that has learnt nothing: snat */
};

/* plan_mtu(o, m): of the member's end of the tunnel: said, or measured and no more than the office's. */
unsigned plan_mtu(const struct office *o, const struct member *m);

/* plan_port(hub, port): the port, if it is one of those that the hub answers at; or its first. */
uint16_t plan_port(const struct member *hub, uint16_t port);

/*
 * plan_make(o, m, ret): ${m} is a hub, node or person of ${o}, which must outlive the plan.
 * 0 or -ENOMEM.
 */
int plan_make(const struct office *o, const struct member *m, struct plan **ret);
void plan_free(struct plan *p);
static inline void plan_freep(struct plan **p)
{
	plan_free(*p);
}
