/* office/lab_plan.c - see office/lab_plan.h. */
#include "office/lab_plan.h"

#include "office/ipv4.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#define INTERNET "203.0.113.0/24"
#define FIRST_HUB 10	/* last byte of an address there */
#define FIRST_HOME 21
#define OTHERS 110	/* above it: what a carrier changes to */

ENUM_DEFINE(gateway_kind, GATEWAY_KIND_LIST);

struct lab {
	const struct office	*o;
	struct buf		*ret;
	struct prefix		 internet, router, hub;
	struct prefix		 carrier, home;	/* the same around everybody, as in life */
	unsigned		 n_homes;
	unsigned		 n_ports;	/* of the internet */
};

static bool overlap(const struct prefix *a, const struct prefix *b)
{
	return a->family == AF_INET && b->family == AF_INET && ipv4_overlap(a, b);
}

/* The address in a prefix with this number, with the prefix's length: 1 is the first one. */
static struct prefix nth(const struct prefix *p, uint32_t n)
{
	struct prefix a = ipv4_prefix(ipv4_first(p) + n, 32);

	a.bits = p->bits;
	return a;
}

static bool is_same_address(const struct prefix *a, const struct prefix *b)
{
	return a->family == b->family && !memcmp(a->bytes, b->bytes, 4);
}

/* An address as itself, without the length of its network. */
static struct prefix alone(const struct prefix *address)
{
	struct prefix a = *address;

	a.bits = 32;
	return a;
}

/* In its LAN: with that one's length. */
static struct prefix within(const struct prefix *address, const struct prefix *lan)
{
	struct prefix a = *address;

	a.bits = lan->bits;
	return a;
}

static void put_address(const struct prefix *a, struct buf *ret)
{
	char text[INET_ADDRSTRLEN];

	buf_puts(ret, inet_ntop(AF_INET, a->bytes, text, sizeof(text)));
}

/* put(l, "sspa", ...): one record.  s: text; p: prefix; a: address without length. */
static void put(struct lab *l, const char *form, ...)
{
	const char *between = "";
	va_list args;

	va_start(args, form);
	for (; *form; form++) {
		buf_puts(l->ret, between);
		between = "\t";
		if (*form == 's')
			buf_puts(l->ret, va_arg(args, const char *));
		else if (*form == 'p')
			text_put_prefix(va_arg(args, const struct prefix *), l->ret);
		else
			put_address(va_arg(args, const struct prefix *), l->ret);
	}
	va_end(args);
	buf_puts(l->ret, "\n");
}

/* --- what is free of the office's own */

static bool is_offices(const struct lab *l, const struct prefix *p)
{
	if (overlap(p, &l->o->net) || overlap(p, &l->o->aliases) || overlap(p, &l->hub))
		return true;
	for (size_t i = 0; i < l->o->n_members; i++) {
		const struct member *m = &l->o->members[i];

		if (!m->gone && (overlap(p, &m->lan) || overlap(p, &m->address) || overlap(p, &m->alias)))
			return true;
	}
	return false;
}

static int pick(const struct lab *l, const char *const texts[], struct prefix *ret)
{
	for (; *texts; texts++) {
		if (text_prefix(*texts, strlen(*texts), ret) < 0)
			return -EINVAL;
		if (!is_offices(l, ret))
			return 0;
	}
	return -EADDRINUSE;
}

/* --- hosts */

/* A host's cable to the internet, whose end here is ${device}. */
static void join_internet(struct lab *l, const struct member *m, const char *host, const char *device)
{
	char port[16];

	snprintf(port, sizeof(port), "p%u", ++l->n_ports);
	put(l, "sssss", "cable", LAB_INTERNET, port, host, device);
	put(l, "ssss", "port", LAB_INTERNET, port, "bridge");
	put(l, "ssss", "uplink", m->name, LAB_INTERNET, port);
}

static void add_hub(struct lab *l, const struct member *m)
{
	put(l, "ssss", "host", m->name, "hub", m->name);
	join_internet(l, m, m->name, "eth0");
	put(l, "sssp", "address", m->name, "eth0", &l->hub);
	if (!overlap(&l->hub, &l->internet)) {
		put(l, "ssps", "route", LAB_INTERNET, &l->hub, "bridge");
		put(l, "ssps", "route", m->name, &l->router, "eth0");
	}
	put(l, "ssssa", "route", m->name, "default", "eth0", &l->router);
	if (m->endpoint.is_name)
		put(l, "sas", "name", &l->hub, m->endpoint.host);
}

/* A router with a NAT between two cables: the carrier's, a LAN's, a person's at home. */
static void add_router(struct lab *l, const struct member *m, const char *host, const char *kind, bool strict)
{
	put(l, "ssss", "host", host, kind, m->name);
	put(l, "ss", "forward", host);
	put(l, "ssss", "nat", host, "wan", strict ? "strict" : "loose");
}

/* The number of the n-th home's public address, such that neither this nor its other is the hub's. */
static uint32_t home_number(const struct lab *l, unsigned n)
{
	const uint32_t number = FIRST_HOME + n;
	const struct prefix own = nth(&l->internet, number), other = nth(&l->internet, number + OTHERS);

	/* Behind those of the last home there is a pair left. */
	return is_same_address(&own, &l->hub) || is_same_address(&other, &l->hub) ? FIRST_HOME + LAB_HOMES_MAX : number;
}

/* What stands between the internet and a LAN or a person; ${inner} is the router's side of theirs. */
static void add_ways_out(struct lab *l, const struct member *m, const char *inner, const char *kind, bool strict)
{
	const uint32_t number = home_number(l, l->n_homes++);
	const struct prefix public = nth(&l->internet, number), other = nth(&l->internet, number + OTHERS);
	const struct prefix down = nth(&l->carrier, 1), up = nth(&l->carrier, 2);
	char carrier[OFFICE_NAME_MAX + 16];

	snprintf(carrier, sizeof(carrier), "%s.carrier", m->name);
	add_router(l, m, carrier, "carrier", false);
	join_internet(l, m, carrier, "wan");
	put(l, "sssp", "address", carrier, "wan", &public);
	put(l, "ssssa", "route", carrier, "default", "wan", &l->router);
	put(l, "sssspp", "public", m->name, carrier, "wan", &public, &other);

	add_router(l, m, inner, kind, strict);
	put(l, "sssss", "cable", carrier, "lan", inner, "wan");
	put(l, "sssp", "address", carrier, "lan", &down);
	put(l, "sssp", "address", inner, "wan", &up);
	put(l, "ssssa", "route", inner, "default", "wan", &down);
}

/* A node's LAN; what the file does not say of it is the first address that nobody else has. */
struct lan {
	const struct member	*node;
	struct prefix		 gateway, own;
};

static bool is_free(const struct office *o, const struct lan *lan, const struct prefix *a)
{
	if (is_same_address(a, &lan->gateway) || is_same_address(a, &lan->own))
		return false;
	for (size_t i = 0; i < o->n_members; i++) {
		const struct member *m = &o->members[i];

		if (m->kind == MEMBER_HOST && !m->gone && is_same_address(a, &m->host))
			return false;
	}
	return true;
}

/* Where none is left, ${family} stays 0. */
static struct lan lan_of(const struct office *o, const struct member *node)
{
	const uint32_t broadcast = ipv4_last(&node->lan) - ipv4_first(&node->lan);
	struct lan lan = {.node = node, .gateway = node->gateway, .own = node->lan_address};
	struct prefix *const wanted[] = {&lan.gateway, &lan.own};

	for (size_t i = 0; i < array_size(wanted); i++) {
		for (uint32_t n = 1; !wanted[i]->family && n < broadcast; n++) {
			const struct prefix a = nth(&node->lan, n);

			if (is_free(o, &lan, &a))
				*wanted[i] = a;
		}
	}
	return lan;
}

static void add_to_switch(struct lab *l, const char *lan_switch, const char *host, const char *device, unsigned port)
{
	char name[16];

	snprintf(name, sizeof(name), "p%u", port);
	put(l, "sssss", "cable", lan_switch, name, host, device);
	put(l, "ssss", "port", lan_switch, name, "bridge");
}

static void add_static_routes(struct lab *l, const struct lan *lan, const char *gateway)
{
	const struct prefix via = lan->own;

	put(l, "sspa", "static", gateway, &l->o->net, &via);
	put(l, "sspa", "static", gateway, &l->o->aliases, &via);
	for (size_t i = 0; i < l->o->n_members; i++) {
		const struct member *m = &l->o->members[i];

		if (m->kind == MEMBER_NODE && !m->gone && m != lan->node)
			put(l, "sspa", "static", gateway, &m->lan, &via);
	}
}

static void add_lan_host(
	struct lab *l, const struct member *m, const struct lan *lan, const struct prefix *address, const char *device)
{
	const struct prefix in = within(address, &lan->node->lan);

	put(l, "ssss", "host", m->name, enum_name(&member_kind_enum, m->kind), m->name);
	put(l, "sssp", "address", m->name, device, &in);
	put(l, "ssssa", "route", m->name, "default", device, &lan->gateway);
}

static void add_lan(struct lab *l, const struct member *node, enum gateway_kind kind)
{
	const struct lan lan = lan_of(l->o, node);
	const struct prefix gateway = within(&lan.gateway, &node->lan);
	const char *device = node->device[0] ? node->device : "eth0";
	char inner[OFFICE_NAME_MAX + 16], lan_switch[OFFICE_NAME_MAX + 16];
	unsigned port = 0;

	snprintf(inner, sizeof(inner), "%s.gateway", node->name);
	snprintf(lan_switch, sizeof(lan_switch), "%s.switch", node->name);
	add_ways_out(l, node, inner, "gateway", kind == GATEWAY_STRICT);
	/* By itself, so that the gateway's filters see nothing of what stays in the LAN. */
	put(l, "ssss", "host", lan_switch, "switch", node->name);
	put(l, "sss", "bridge", lan_switch, "bridge");
	add_to_switch(l, lan_switch, inner, "lan", ++port);
	put(l, "sssp", "address", inner, "lan", &gateway);
	if (kind != GATEWAY_NONE)
		add_static_routes(l, &lan, inner);

	add_to_switch(l, lan_switch, node->name, device, ++port);
	add_lan_host(l, node, &lan, &lan.own, device);
	for (size_t i = 0; i < l->o->n_members; i++) {
		const struct member *m = &l->o->members[i];

		if (m->kind != MEMBER_HOST || m->gone || strcmp(m->node, node->name) != 0)
			continue;
		add_to_switch(l, lan_switch, m->name, "eth0", ++port);
		add_lan_host(l, m, &lan, &m->host, "eth0");
	}
}

static void add_person(struct lab *l, const struct member *m)
{
	const struct prefix gateway = nth(&l->home, 1), own = nth(&l->home, 100);
	char inner[OFFICE_NAME_MAX + 16];

	snprintf(inner, sizeof(inner), "%s.router", m->name);
	add_ways_out(l, m, inner, "router", false);
	put(l, "ssss", "host", m->name, "person", m->name);
	put(l, "sssss", "cable", inner, "lan", m->name, "eth0");
	put(l, "sssp", "address", inner, "lan", &gateway);
	put(l, "sssp", "address", m->name, "eth0", &own);
	put(l, "ssssa", "route", m->name, "default", "eth0", &gateway);
}

/* --- what cannot be made */

static void complain(struct buf *errors, const char *name, const struct member *m, const char *what)
{
	buf_printf(errors, "%s:", name);
	if (m && m->place.line)
		buf_printf(errors, "%u:%u:", m->place.line, m->place.column);
	buf_printf(errors, " %s%s%s\n", m ? m->name : "", m ? ": " : "", what);
}

static const struct lab_gateway *gateway_of(const struct member *node, const struct lab_gateway gateways[], size_t n)
{
	for (size_t i = n; i-- > 0;) {
		if (!strcmp(gateways[i].node, node->name))
			return &gateways[i];
	}
	return NULL;
}

static bool has_room(const struct office *o, const struct member *node)
{
	const struct lan lan = lan_of(o, node);

	return lan.gateway.family && lan.own.family;
}

static void judge(const struct office *o, const char *name, const struct lab_gateway gateways[], size_t n, struct buf *errors)
{
	unsigned homes = 0;

	for (size_t i = 0; i < o->n_members; i++) {
		const struct member *m = &o->members[i];

		if (m->gone)
			continue;
		homes += m->kind == MEMBER_NODE || m->kind == MEMBER_PERSON;
		if (m->kind == MEMBER_NODE && m->lan.family != AF_INET)
			complain(errors, name, m, "the lab has LANs of IPv4 only");
		else if (m->kind == MEMBER_NODE && !has_room(o, m))
			complain(errors, name, m, "its LAN has no address left for the node and the gateway");
		if (!strcmp(m->device, "lo") || !strcmp(m->device, "office"))
			complain(errors, name, m, "lo and office are interfaces there already: the one to its LAN must be another");
	}
	if (homes > LAB_HOMES_MAX) {
		buf_printf(errors, "%s: the lab has room for %d LANs and persons together, and there are %u\n", name,
			LAB_HOMES_MAX, homes);
	}
	for (size_t i = 0; i < n; i++) {
		const struct member *m = office_find(o, gateways[i].node);

		if (!m || m->kind != MEMBER_NODE)
			buf_printf(errors, "%s: there is no node %s, whose gateway is to be %s\n", name, gateways[i].node,
				enum_name(&gateway_kind_enum, gateways[i].kind));
	}
}

/* The hub's address and those around it. */
static int settle_addresses(struct lab *l, const char *name, struct buf *errors)
{
	static const char *const carriers[] = {"100.64.0.0/30", "100.127.255.252/30", "198.19.255.252/30",
		"172.31.255.252/30", "10.255.255.252/30", NULL};
	static const char *const homes[] = {"192.168.1.0/24", "192.168.178.0/24", "192.168.0.0/24", "10.0.0.0/24",
		"172.20.10.0/24", "198.18.1.0/24", NULL};
	const struct member *hub = office_hub(l->o);

	if (text_prefix(INTERNET, strlen(INTERNET), &l->internet) < 0)
		return -EINVAL;
	if (!hub || is_offices(l, &l->internet)) {
		complain(errors, name, NULL, hub ? INTERNET " is the lab's internet, and the office uses it" : "there is no hub");
		return -EINVAL;
	}
	l->hub = nth(&l->internet, FIRST_HUB);
	if (!hub->endpoint.is_name) {
		if (text_prefix(hub->endpoint.host, strlen(hub->endpoint.host), &l->hub) < 0 || l->hub.family != AF_INET) {
			complain(errors, name, hub, "the lab's internet has IPv4 only, and the hub no address of that");
			return -EINVAL;
		}
	}
	l->router = nth(&l->internet, 1);
	if (is_same_address(&l->router, &l->hub))
		l->router = nth(&l->internet, 2);
	l->router = alone(&l->router);
	l->hub.bits = overlap(&l->hub, &l->internet) ? l->internet.bits : 32;
	if (pick(l, carriers, &l->carrier) < 0 || pick(l, homes, &l->home) < 0) {
		complain(errors, name, NULL, "no range is left for what stands around the office");
		return -EINVAL;
	}
	return 0;
}

int lab_plan(const struct office *o, const char *name, const struct lab_gateway gateways[], size_t n, struct buf *ret,
	struct buf *errors)
{
	struct lab l = {.o = o, .ret = ret};
	struct prefix router;

	judge(o, name, gateways, n, errors);
	if (settle_addresses(&l, name, errors) < 0 || errors->len)
		return errors->error ? errors->error : -EINVAL;
	put(&l, "ssss", "host", LAB_INTERNET, "internet", "-");
	put(&l, "sss", "bridge", LAB_INTERNET, "bridge");
	put(&l, "ss", "forward", LAB_INTERNET);
	router = within(&l.router, &l.internet);
	put(&l, "sssp", "address", LAB_INTERNET, "bridge", &router);
	for (size_t i = 0; i < o->n_members; i++) {
		const struct member *m = &o->members[i];
		const struct lab_gateway *gateway = gateway_of(m, gateways, n);

		if (m->gone)
			continue;
		if (m->kind == MEMBER_HUB)
			add_hub(&l, m);
		else if (m->kind == MEMBER_NODE)
			add_lan(&l, m, gateway ? gateway->kind : GATEWAY_NONE);
		else if (m->kind == MEMBER_PERSON)
			add_person(&l, m);
	}
	return ret->error;
}
