#include "office/ruleset.h"

#include "crypto/hash.h"

#include <stdio.h>

#define TABLE_MAX ((size_t)1 << 16)

/*
 * Set for the less of both ways; never raised.  One rule for each direction: a connection is opened
 * from either side.
 */
static void put_clamp(const char *interface, struct buf *b, unsigned *rules)
{
	static const char *const sides[] = {"iifname", "oifname"};

	buf_puts(b, "\tchain clamp {\n\t\ttype filter hook forward priority mangle; policy accept;\n");
	for (size_t i = 0; i < array_size(sides); i++, ++*rules)
		buf_printf(b, "\t\t%s \"%s\" tcp flags syn / syn,rst tcp option maxseg size set rt mtu\n",
			sides[i], interface);
	buf_puts(b, "\t}\n");
}

static void put_stand_in(const struct plan *p, const char *interface, struct buf *b, unsigned *rules)
{
	const struct prefix *lan = &p->self->lan;

	buf_printf(b, "\tchain source {\n\t\ttype nat hook postrouting priority srcnat; policy accept;\n"
		"\t\tiifname \"%s\" %s daddr ", interface, lan->family == AF_INET6 ? "ip6" : "ip");
	text_put_prefix(lan, b);
	buf_puts(b, " masquerade\n\t}\n");
	++*rules;
}

/*
 * To the tunnel's own: only what is for this machine, and has not come through the tunnel.  The kernel keeps flows of
 * all packets for that.  To leave others out is not ours: answers are known by their flow, and rules of others may ask for
 * what was established.
 */
static void put_ports(const struct plan *p, const char *interface, struct buf *b, unsigned *rules)
{
	const struct member *m = p->self;

	buf_puts(b, "\tchain ports {\n\t\ttype nat hook prerouting priority dstnat; policy accept;\n");
	buf_printf(b, "\t\tiifname != \"%s\" fib daddr type local udp dport { ", interface);
	for (unsigned i = 0; i < OFFICE_HUB_PORTS_MAX && m->ports[i]; i++)
		buf_printf(b, "%s%u", i ? ", " : "", m->ports[i]);
	buf_printf(b, " } redirect to :%u\n\t}\n", p->listen_port);
	++*rules;
}

void ruleset_put(const struct plan *p, const char *interface, struct buf *ret, struct ruleset *ret_of)
{
	cleanup(buf_done) struct buf chains = buf_of_max(TABLE_MAX), hex = buf_of_max(RULESET_COMMENT_MAX);
	const bool ports = p->self->kind == MEMBER_HUB && p->self->ports[0];
	uint8_t hash[HASH_LEN];

	*ret_of = (struct ruleset){.rules = 0};
	if (p->clamp)
		put_clamp(interface, &chains, &ret_of->rules);
	if (ports)
		put_ports(p, interface, &chains, &ret_of->rules);
	if (p->snat)
		put_stand_in(p, interface, &chains, &ret_of->rules);
	if (!ret_of->rules)
		return;
	/* A chain for each; the other ports are a set. */
	ret_of->things = ret_of->rules + p->clamp + 2 * ports + p->snat;
	hash2(hash, chains.data, chains.len, NULL, 0);
	buf_put_hex(&hex, hash, 8);
	snprintf(ret_of->comment, sizeof(ret_of->comment), "ginnel %s", buf_str(&hex));
	buf_printf(ret, "table " RULESET_FAMILY " " RULESET_TABLE "%s {\n\tcomment \"%s\"\n%s}\n", interface,
		ret_of->comment, buf_str(&chains));
}
