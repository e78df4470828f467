#include "office/plan.h"

#include "office/ipv4.h"

#include <errno.h>

#define TABLE_MAIN 254

ENUM_DEFINE(plan_out, PLAN_OUT_LIST);

void plan_free(struct plan *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < p->n_peers; i++)
		free(p->peers[i].allowed);
	free(p->peers);
	free(p->routes);
	free(p);
}

/* By destination, as people read them: 10.0.0.0/8 before 192.168.0.0/16. */
static bool comes_before(const struct prefix *a, const struct prefix *b)
{
	int r = memcmp(a->bytes, b->bytes, sizeof(a->bytes));

	return r ? r < 0 : a->bits < b->bits;
}

static struct plan_peer *add_peer(struct plan *p, const struct member *m, size_t n_allowed)
{
	struct plan_peer *peer = &p->peers[p->n_peers];
	const struct member *spoke = m->kind == MEMBER_HUB ? p->self : m;

	peer->member = m;
	peer->key = m->has_key ? m->public_key : NULL;
	peer->has_psk = p->office->psk || spoke->psk;
	peer->psk = spoke->psk;
	peer->allowed = calloc(n_allowed, sizeof(*peer->allowed));
	if (!peer->allowed)
		return NULL;
	p->n_peers++;
	return peer;
}

/* All prefixes stay with the key before it until somebody has spoken with it. */
static void add_next_peer(struct plan *p, const struct plan_peer *peer)
{
	const struct member *m = peer->member;

	if (!m->has_key || !m->has_next_key)
		return;
	p->peers[p->n_peers++] = (struct plan_peer){.member = m,
		.key = m->next_key,
		.next = true,
		.has_endpoint = peer->has_endpoint,
		.port = peer->port,
		.keepalive_s = peer->keepalive_s,
		.has_psk = peer->has_psk,
		.psk = peer->psk};
}

/* At its place: what is added in order costs nothing, and LANs come so. */
static void allow(struct plan_peer *peer, const struct prefix *p)
{
	size_t i = peer->n_allowed++;

	for (; i && comes_before(p, &peer->allowed[i - 1]); i--)
		peer->allowed[i] = peer->allowed[i - 1];
	peer->allowed[i] = *p;
}

static void add_route(struct plan *p, const struct prefix *to, unsigned mtu, const struct member *because)
{
	size_t i = p->n_routes++;

	for (; i && comes_before(to, &p->routes[i - 1].to); i--)
		p->routes[i] = p->routes[i - 1];
	p->routes[i] = (struct plan_route){.to = *to, .out = PLAN_OUT_TUNNEL, .table = TABLE_MAIN, .mtu = mtu, .because = because};
}

/* What fits to a member of the hub's, where that is less than the hub's own. */
static unsigned less_behind(const struct plan *p, const struct member *m)
{
	unsigned mtu = plan_mtu(p->office, m);

	return p->self->kind == MEMBER_HUB && mtu < p->mtu ? mtu : 0;
}

unsigned plan_mtu(const struct office *o, const struct member *m)
{
	if (m->mtu)
		return m->mtu;
	return m->learnt_mtu ? min(m->learnt_mtu, o->mtu) : o->mtu;
}

uint16_t plan_port(const struct member *hub, uint16_t port)
{
	for (unsigned i = 0; i < OFFICE_HUB_PORTS_MAX && hub->ports[i]; i++)
		if (hub->ports[i] == port)
			return port;
	return hub->endpoint.port;
}

/* To everybody at an address of its own, and to the LAN of a node. */
static int plan_hub(struct plan *p)
{
	const struct office *o = p->office;
	size_t most = 0;

	p->listen_port = p->self->endpoint.port;
	p->forward = p->clamp = p->no_redirects = true;
	for (const struct member *m = o->members; m < o->members + o->n_members; m++)
		most += !m->gone && (m->kind == MEMBER_NODE || m->kind == MEMBER_PERSON);
	p->peers = calloc(2 * most + 1, sizeof(*p->peers));
	if (!p->peers)
		return -ENOMEM;
	for (const struct member *m = o->members; m < o->members + o->n_members; m++) {
		struct plan_peer *peer;

		if (m->gone || (m->kind != MEMBER_NODE && m->kind != MEMBER_PERSON))
			continue;
		peer = add_peer(p, m, 2);
		if (!peer)
			return -ENOMEM;
		allow(peer, &m->address);
		if (m->kind == MEMBER_NODE)
			allow(peer, &m->lan);
		add_next_peer(p, peer);
	}
	return 0;
}

/* All that is not its own is behind the hub. */
static int plan_spoke(struct plan *p)
{
	const struct office *o = p->office;
	struct plan_peer *peer;

	if (!o->hub)
		return 0;
	p->peers = calloc(2, sizeof(*p->peers));
	peer = p->peers ? add_peer(p, o->hub, o->n_nodes + 1) : NULL;
	if (!peer)
		return -ENOMEM;
	peer->has_endpoint = true;
	peer->port = plan_port(o->hub, p->self->learnt_port);
	peer->keepalive_s = PLAN_KEEPALIVE_S;
	for (size_t i = 0; i < o->n_nodes; i++)
		if (o->nodes[i] != p->self)
			allow(peer, &o->nodes[i]->lan);
	allow(peer, &o->net);
	add_next_peer(p, peer);
	return 0;
}

static void plan_return(struct plan *p)
{
	const struct member *m = p->self;

	p->forward = p->clamp = true;
	p->probe = m->mode == RETURN_AUTO;
	p->mode = !p->probe ? m->mode : m->learnt_mode != RETURN_AUTO ? m->learnt_mode : RETURN_SNAT;
	p->snat = p->mode == RETURN_SNAT;
	p->gateway_back = p->mode == RETURN_ROUTE_GW;
	if (!p->gateway_back)
		return;
	/* Another table, and a greater one: behind the others. */
	p->routes[p->n_routes++] = (struct plan_route){.to = m->lan, .out = PLAN_OUT_LAN, .via_gateway = true,
		.table = PLAN_TABLE, .because = m};
	if (m->gateway.family)
		p->routes[p->n_routes++] = (struct plan_route){.to = m->gateway, .out = PLAN_OUT_LAN,
			.table = PLAN_TABLE, .because = m};
}

static int plan_routes(struct plan *p)
{
	const struct office *o = p->office;

	p->routes = calloc(o->n_nodes + p->n_peers + 3, sizeof(*p->routes));
	if (!p->routes)
		return -ENOMEM;
	for (size_t i = 0; i < o->n_nodes; i++)
		if (o->nodes[i] != p->self)
			add_route(p, &o->nodes[i]->lan, less_behind(p, o->nodes[i]), o->nodes[i]);
	for (size_t i = 0; i < p->n_peers; i++)
		if (!p->peers[i].next && less_behind(p, p->peers[i].member))
			add_route(p, &p->peers[i].member->address, less_behind(p, p->peers[i].member), p->peers[i].member);
	add_route(p, &o->net, 0, o->hub ? o->hub : p->self);
	if (p->self->kind == MEMBER_NODE)
		plan_return(p);
	return 0;
}

int plan_make(const struct office *o, const struct member *m, struct plan **ret)
{
	cleanup(plan_freep) struct plan *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return -ENOMEM;
	p->office = o;
	p->self = m;
	p->mtu = plan_mtu(o, m);
	r = m->kind == MEMBER_HUB ? plan_hub(p) : plan_spoke(p);
	if (!r)
		r = plan_routes(p);
	if (r < 0)
		return r;
	*ret = steal(p);
	return 0;
}
