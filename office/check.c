#include "office/check.h"

#include "conf/array.h"
#include "office/ipv4.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#define FINDINGS_MAX ((size_t)3 * OFFICE_MEMBERS_MAX)
#define MTU_LEAST_GOOD 1280

struct finding {
	unsigned	line, column;
	size_t		order;
	bool		error;
	char		*text;
};

struct checking {
	const struct office	*o;
	struct finding		*findings;
	size_t			 n, room;
	bool			 lost;		/* out of memory: no "all is well" */
};

static void checking_done(struct checking *c)
{
	for (size_t i = 0; i < c->n; i++)
		free(c->findings[i].text);
	free(c->findings);
}

static void find(struct checking *c, bool error, unsigned line, unsigned column, const char *fmt, va_list args)
	__attribute__((format(printf, 5, 0)));
static void find(struct checking *c, bool error, unsigned line, unsigned column, const char *fmt, va_list args)
{
	struct finding f = {.line = line ? line : 1, .column = column ? column : 1, .order = c->n, .error = error};

	if (c->n == FINDINGS_MAX && !error)
		return;
	if (!array_grow(&c->findings, &c->room, c->n, sizeof(f)) || vasprintf(&f.text, fmt, args) < 0)
		c->lost = true;
	else
		c->findings[c->n++] = f;
}

static void fault(struct checking *c, unsigned line, unsigned column, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
static void fault(struct checking *c, unsigned line, unsigned column, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	find(c, true, line, column, fmt, args);
	va_end(args);
}

static void warn(struct checking *c, unsigned line, unsigned column, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
static void warn(struct checking *c, unsigned line, unsigned column, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	find(c, false, line, column, fmt, args);
	va_end(args);
}

/* The column of what was said; of the name, if it was derived. */
static unsigned column_of(const struct member *m, unsigned column)
{
	return column ? column : m->place.column;
}

struct said {
	char	text[INET6_ADDRSTRLEN + 4];
};

/* An address, or a prefix with its length. */
static struct said say(const struct prefix *p)
{
	cleanup(buf_done) struct buf text = buf_of_max(64);
	struct said said;
	size_t len;

	text_put_prefix(p, &text);
	len = p->bits == 32 ? strcspn(buf_str(&text), "/") : text.len;
	snprintf(said.text, sizeof(said.text), "%.*s", (int)len, buf_str(&text));
	return said;
}

/* ---- what overlaps ---- */

/* Somebody's, of which there is but one. */
struct claim {
	struct prefix		 p;
	const struct member	*m;
	unsigned		 column;
	const char		*whose;	/* "%s" is the member */
};

struct claims {
	struct claim	*all;
	size_t		 n;
};

static int by_range_and_line(const void *a, const void *b)
{
	const struct claim *x = a, *y = b;
	uint32_t x_first = ipv4_first(&x->p), y_first = ipv4_first(&y->p);

	if (x_first != y_first)
		return x_first < y_first ? -1 : 1;
	if (x->m->place.line != y->m->place.line)
		return x->m->place.line < y->m->place.line ? -1 : 1;
	return (int)x->column - (int)y->column;
}

static void claim(struct claims *c, const struct prefix *p, const struct member *m, unsigned column, const char *whose)
{
	if (p->family)
		c->all[c->n++] = (struct claim){*p, m, column_of(m, column), whose};
}

static void put_whose(const struct claim *c, struct buf *ret)
{
	const char *at = strstr(c->whose, "%s");

	buf_put(ret, c->whose, (size_t)(at - c->whose));
	buf_puts(ret, c->m->name);
	buf_puts(ret, at + 2);
}

static void find_overlap(struct checking *c, const struct claim *x, const struct claim *y)
{
	bool x_later = x->m->place.line > y->m->place.line ||
		       (x->m->place.line == y->m->place.line && x->column > y->column);
	const struct claim *later = x_later ? x : y, *first = x_later ? y : x;
	cleanup(buf_done) struct buf other = buf_of_max(256);

	put_whose(first, &other);
	if (!prefix_compare(&x->p, &y->p))
		fault(c, later->m->place.line, later->column, "%s: %s is %s too, in line %u", later->m->name,
			say(&later->p).text, buf_str(&other), first->m->place.line);
	else
		fault(c, later->m->place.line, later->column, "%s: %s overlaps %s, %s, in line %u", later->m->name,
			say(&later->p).text, say(&first->p).text, buf_str(&other), first->m->place.line);
}

/* Each that begins within another one: against the one that reaches furthest, so that there are no more errors than claims. */
static void find_overlaps(struct checking *c, struct claims *claims)
{
	const struct claim *reach = claims->all;

	qsort(claims->all, claims->n, sizeof(*claims->all), by_range_and_line);
	for (struct claim *k = claims->all + 1; k < claims->all + claims->n; k++) {
		if (ipv4_first(&k->p) <= ipv4_last(&reach->p))
			find_overlap(c, reach, k);
		if (ipv4_last(&k->p) > ipv4_last(&reach->p))
			reach = k;
	}
}

static void claims_done(struct claims *c)
{
	free(c->all);
}

static void check_overlaps(struct checking *c)
{
	size_t n = 3 * c->o->n_members + 1;
	cleanup(claims_done) struct claims lans = {calloc(n, sizeof(struct claim)), 0};
	cleanup(claims_done) struct claims aliases = {calloc(n, sizeof(struct claim)), 0};
	cleanup(claims_done) struct claims addresses = {calloc(n, sizeof(struct claim)), 0};
	cleanup(claims_done) struct claims inside = {calloc(n, sizeof(struct claim)), 0};

	if (!lans.all || !aliases.all || !addresses.all || !inside.all) {
		c->lost = true; /* lint-ignore clang-analyzer-unix.Malloc: claims_done() frees each */
		return;
	}
	for (const struct member *m = c->o->members; m < c->o->members + c->o->n_members; m++) {
		if (m->gone)
			continue;
		claim(&lans, &m->lan, m, m->column.lan, "%s's LAN");
		claim(&aliases, &m->alias, m, m->column.alias, "%s's alias");
		claim(&addresses, &m->address, m, m->column.address, "%s's");
		claim(&inside, &m->lan_address, m, m->column.lan_address, "the node %s's");
		claim(&inside, &m->gateway, m, m->column.gateway, "the gateway's of %s");
		claim(&inside, &m->host, m, m->column.host, "%s's");
	}
	find_overlaps(c, &lans);
	find_overlaps(c, &aliases);
	find_overlaps(c, &addresses);
	find_overlaps(c, &inside);
}

/* ---- keys ---- */

struct key_of {
	const uint8_t		*key;
	const struct member	*m;
};

static int by_key_and_line(const void *a, const void *b)
{
	const struct key_of *x = a, *y = b;
	int r = memcmp(x->key, y->key, KEY_LEN);

	if (r)
		return r;
	return x->m->place.line < y->m->place.line ? -1 : x->m->place.line > y->m->place.line;
}

static void check_keys(struct checking *c)
{
	cleanup(free_ptr) struct key_of *keys = calloc(2 * c->o->n_members + 1, sizeof(*keys));
	size_t n = 0;

	if (!keys) {
		c->lost = true;
		return;
	}
	for (const struct member *m = c->o->members; m < c->o->members + c->o->n_members; m++) {
		if (m->gone)
			continue;
		if (m->has_key)
			keys[n++] = (struct key_of){m->public_key, m};
		if (m->has_next_key)
			keys[n++] = (struct key_of){m->next_key, m};
	}
	qsort(keys, n, sizeof(*keys), by_key_and_line);
	for (size_t i = 1; i < n; i++)
		if (!memcmp(keys[i - 1].key, keys[i].key, KEY_LEN))
			fault(c, keys[i].m->place.line, keys[i].m->place.column,
				"%s: its key is that of %s too, in line %u: each member makes one of its own", keys[i].m->name,
				keys[i - 1].m->name, keys[i - 1].m->place.line);
}

/* ---- single addresses and prefixes ---- */

/* Ranges that no LAN may have, and such that others have too. */
static const struct {
	struct prefix	 p;
	const char	*what;
	bool		 error;
} known[] = {
	{{AF_INET, 8, {0}}, "is no range for a network", true},
	{{AF_INET, 8, {127}}, "is each machine's own, and no network", true},
	{{AF_INET, 16, {169, 254}}, "is what devices take that get no address: no router carries it", true},
	{{AF_INET, 3, {224}}, "is multicast or reserved", true},
	{{AF_INET, 24, {192, 168, 0}}, "is what many homes have: from there it cannot be reached", false},
	{{AF_INET, 24, {192, 168, 1}}, "is what many homes have: from there it cannot be reached", false},
	{{AF_INET, 24, {192, 168, 2}}, "is what many homes have: from there it cannot be reached", false},
	{{AF_INET, 16, {172, 17}}, "is Docker's: machines that run it do not reach this", false},
	{{AF_INET, 10, {100, 64}}, "is what carriers use towards their customers", false},
	{{AF_INET, 15, {198, 18}}, "is what proxies give out as addresses of names", false},
};

static void check_range(struct checking *c, const struct prefix *p, const char *whose, unsigned line, unsigned column)
{
	for (size_t i = 0; i < array_size(known); i++) {
		if (!ipv4_overlap(p, &known[i].p))
			continue;
		(known[i].error ? fault : warn)(c, line, column, "%s: %s %s%s", whose, say(p).text,
			ipv4_holds(&known[i].p, p) ? "" : "overlaps what ", known[i].what);
		return;
	}
}

/* An address that stands for the whole network. */
static bool is_edge(const struct prefix *address, const struct prefix *of)
{
	return ipv4_first(address) == ipv4_first(of) || ipv4_first(address) == ipv4_last(of);
}

static void check_within(struct checking *c, const struct member *m, const struct prefix *address, unsigned column,
	const struct prefix *of, const char *what)
{
	if (!address->family || !of->family)
		return;
	if (!ipv4_holds(of, address))
		fault(c, m->place.line, column_of(m, column), "%s: %s is outside of %s, %s", m->name, say(address).text,
			say(of).text, what);
	else if (is_edge(address, of))
		fault(c, m->place.line, column_of(m, column), "%s: %s means the network %s itself: take one between",
			m->name, say(address).text, say(of).text);
}

static void check_node(struct checking *c, const struct member *m)
{
	const struct office *o = c->o;
	unsigned line = m->place.line;

	check_within(c, m, &m->lan_address, m->column.lan_address, &m->lan, "its LAN");
	check_within(c, m, &m->gateway, m->column.gateway, &m->lan, "its LAN");
	check_range(c, &m->lan, m->name, line, m->column.lan);
	if (!strcmp(m->device, "lo"))
		fault(c, line, m->place.column, "%s: lo leads to no LAN, but to the machine itself", m->name);
	if (ipv4_overlap(&m->lan, &o->net))
		fault(c, line, m->column.lan, "%s: its LAN %s overlaps the members' addresses, %s: say another net", m->name,
			say(&m->lan).text, say(&o->net).text);
	if (o->aliases.family && ipv4_overlap(&m->lan, &o->aliases))
		fault(c, line, m->column.lan, "%s: its LAN %s overlaps the LANs' aliases, %s: say other aliases", m->name,
			say(&m->lan).text, say(&o->aliases).text);
	if (!m->alias.family)
		return;
	if (m->alias.bits != m->lan.bits)
		fault(c, line, column_of(m, m->column.alias), "%s: its alias %s must be as long as its LAN %s", m->name,
			say(&m->alias).text, say(&m->lan).text);
	if (!ipv4_holds(&o->aliases, &m->alias))
		fault(c, line, column_of(m, m->column.alias), "%s: its alias %s is outside of %s, the aliases", m->name,
			say(&m->alias).text, say(&o->aliases).text);
}

static bool is_localhost(const char *name)
{
	return !strcasecmp(name, "localhost") || !strcasecmp(name, "localhost.");
}

static const char *what_is_v6(const struct prefix *p)
{
	struct in6_addr a;

	memcpy(&a, p->bytes, sizeof(a));
	if (IN6_IS_ADDR_UNSPECIFIED(&a) || IN6_IS_ADDR_LOOPBACK(&a))
		return "is each machine's own";
	if (IN6_IS_ADDR_LINKLOCAL(&a))
		return "is of one link only";
	if (IN6_IS_ADDR_MULTICAST(&a))
		return "is multicast";
	if (IN6_IS_ADDR_V4MAPPED(&a))
		return "stands for an IPv4 address: say that one";
	return NULL;
}

/* Packets to the hub itself must not go through the tunnel to it. */
static void check_hub_place(struct checking *c, const struct member *hub)
{
	struct prefix at;
	unsigned line = hub->place.line, column = hub->column.endpoint;
	const struct office *o = c->o;

	if (hub->endpoint.is_name && is_localhost(hub->endpoint.host))
		fault(c, line, column, "%s: nobody could reach the hub by localhost, which is each machine's own", hub->name);
	if (hub->endpoint.is_name || text_prefix(hub->endpoint.host, strlen(hub->endpoint.host), &at) < 0)
		return;
	if (at.family != AF_INET) {
		if (what_is_v6(&at))
			fault(c, line, column, "%s: nobody could reach the hub by %s, which %s", hub->name, hub->endpoint.host,
				what_is_v6(&at));
		return;
	}
	for (size_t i = 0; i < array_size(known); i++)
		if (known[i].error && ipv4_holds(&known[i].p, &at))
			fault(c, line, column, "%s: nobody could reach the hub by %s, which %s", hub->name, hub->endpoint.host,
				known[i].what);
	if (ipv4_holds(&o->net, &at))
		fault(c, line, column, "%s: %s is within %s, the members' addresses: nobody could reach the hub by it", hub->name,
			hub->endpoint.host, say(&o->net).text);
	if (o->aliases.family && ipv4_holds(&o->aliases, &at))
		fault(c, line, column, "%s: %s is within %s, the LANs' aliases: nobody could reach the hub by it", hub->name,
			hub->endpoint.host, say(&o->aliases).text);
	for (size_t i = 0; i < o->n_nodes; i++)
		if (ipv4_holds(&o->nodes[i]->lan, &at))
			fault(c, line, column, "%s: %s is within %s's LAN, in line %u: the others could not reach the hub by it",
				hub->name, hub->endpoint.host, o->nodes[i]->name, o->nodes[i]->place.line);
}

static void check_hub(struct checking *c, const struct member *m)
{
	if (m != c->o->hub)
		fault(c, m->place.line, m->place.column, "%s: there is a hub already, %s in line %u: only one is known yet",
			m->name, c->o->hub->name, c->o->hub->place.line);
	for (unsigned i = 0; i < OFFICE_HUB_PORTS_MAX && m->ports[i]; i++)
		if (m->ports[i] == m->endpoint.port)
			fault(c, m->place.line, m->place.column, "%s: port %u is its own already", m->name, m->ports[i]);
	check_hub_place(c, m);
}

static void check_member(struct checking *c, const struct member *m)
{
	unsigned mtu = m->mtu ? m->mtu : m->learnt_mtu;
	const struct member *node;

	check_within(c, m, &m->address, m->column.address, &c->o->net, "the members' addresses");
	if (is_localhost(m->name))
		fault(c, m->place.line, m->place.column, "%s: each machine calls itself so: take another name", m->name);
	if (strspn(m->name, "0123456789") == strlen(m->name))
		warn(c, m->place.line, m->place.column, "%s: programs take a name of digits for an address", m->name);
	switch (m->kind) {
	case MEMBER_HUB:
		check_hub(c, m);
		break;
	case MEMBER_NODE:
		check_node(c, m);
		break;
	case MEMBER_HOST:
		node = office_find(c->o, m->node);
		if (node)
			check_within(c, m, &m->host, m->column.host, &node->lan, "its node's LAN");
		return;
	case MEMBER_PERSON:
		break;
	}
	if (!m->has_key)
		warn(c, m->place.line, m->place.column,
			m->phone ? "%s has no key yet: ginnel qr %s makes one and shows it"
				 : "%s has no key yet: ginnel key %s there makes one, ginnel accept takes it in",
			m->name, m->name);
	if (mtu && mtu < MTU_LEAST_GOOD)
		warn(c, m->place.line, column_of(m, m->column.mtu), "%s: an MTU of %u is below %d: IPv6 does not go through",
			m->name, mtu, MTU_LEAST_GOOD);
}

static void check_office(struct checking *c)
{
	const struct office *o = c->o;

	check_range(c, &o->net, "net", o->net_place.line, o->net_place.column);
	if (o->aliases.family) {
		check_range(c, &o->aliases, "aliases", o->aliases_place.line, o->aliases_place.column);
		if (ipv4_overlap(&o->net, &o->aliases)) {
			struct place at = o->aliases_place.line > o->net_place.line ? o->aliases_place : o->net_place;

			fault(c, at.line, at.column, "net %s and aliases %s overlap", say(&o->net).text, say(&o->aliases).text);
		}
	}
	if (o->mtu < MTU_LEAST_GOOD)
		warn(c, 1, 1, "an MTU of %u is below %d: IPv6 does not go through", o->mtu, MTU_LEAST_GOOD);
	if (!o->hub)
		fault(c, 1, 1, "there is no hub: a line as \"z hub z.example.com\" names the public server");
}

/* ---- together ---- */

static int by_line(const void *a, const void *b)
{
	const struct finding *x = a, *y = b;

	if (x->line != y->line)
		return x->line < y->line ? -1 : 1;
	if (x->column != y->column)
		return x->column < y->column ? -1 : 1;
	return x->order < y->order ? -1 : 1;
}

static bool report(const struct checking *c, const char *name, struct buf *errors, struct buf *warnings)
{
	size_t n_of[2] = {0}; /* warnings, errors */

	for (size_t i = 0; i < c->n; i++) {
		const struct finding *f = &c->findings[i];
		struct buf *ret = f->error ? errors : warnings;
		size_t n = ++n_of[f->error];

		if (n <= OFFICE_ERRORS_MAX)
			buf_printf(ret, "%s:%u:%u: %s%s\n", name, f->line, f->column, f->error ? "" : "warning: ", f->text);
		else if (n == OFFICE_ERRORS_MAX + 1)
			buf_printf(ret, "%s:%u:%u: there is more: these are the first %d\n", name, f->line, f->column,
				OFFICE_ERRORS_MAX);
	}
	return !n_of[true];
}

bool check(const struct office *o, const char *name, struct buf *errors, struct buf *warnings)
{
	cleanup(checking_done) struct checking c = {.o = o};
	bool good;

	check_office(&c);
	for (const struct member *m = o->members; m < o->members + o->n_members; m++)
		if (!m->gone)
			check_member(&c, m);
	check_overlaps(&c);
	check_keys(&c);
	if (c.n)
		qsort(c.findings, c.n, sizeof(*c.findings), by_line);
	good = report(&c, name, errors, warnings);
	if (c.lost)
		buf_printf(errors, "%s:1:1: %s\n", name, strerror(ENOMEM));
	return good && !c.lost;
}
