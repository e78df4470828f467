#include "office/show.h"

#include <arpa/inet.h>

static void put_address(const struct prefix *p, struct buf *ret)
{
	char address[INET6_ADDRSTRLEN] = "?";

	if (p->family)
		inet_ntop(p->family, p->bytes, address, sizeof(address));
	buf_puts(ret, address);
}

static void put_box(const char *indent, const struct member *m, const char *shape, const struct prefix *address, struct buf *ret)
{
	buf_printf(ret, "%s\"%s\" [shape=%s, label=\"%s\\n", indent, m->name, shape, m->name);
	if (m->kind == MEMBER_HUB) {
		text_put_endpoint(&m->endpoint, ret);
		buf_puts(ret, "\\n");
	}
	put_address(address, ret);
	buf_puts(ret, "\"];\n");
}

static void put_lan_begin(const struct member *m, struct buf *ret)
{
	buf_printf(ret, "  subgraph \"cluster_%s\" {\n    label=\"LAN ", m->name);
	text_put_prefix(&m->lan, ret);
	buf_puts(ret, "\"; color=grey;\n");
	put_box("    ", m, "box", &m->address, ret);
	buf_puts(ret, "  }\n");
}

static void put_host(const struct member *m, struct buf *ret)
{
	/* A cluster may be said in pieces. */
	buf_printf(ret, "  subgraph \"cluster_%s\" {\n", m->node);
	put_box("    ", m, "plain", &m->host, ret);
	buf_printf(ret, "  }\n  \"%s\" -- \"%s\" [style=dotted];\n", m->node, m->name);
}

int show_dot(const struct office *o, struct buf *ret)
{
	buf_puts(ret, "graph office {\n  layout=fdp; overlap=false; splines=true;\n  node [fontname=\"sans-serif\", fontsize=11];\n"
		      "  graph [fontname=\"sans-serif\", fontsize=11];\n");
	for (const struct member *m = o->members; m < o->members + o->n_members; m++) {
		if (m->gone)
			continue;
		switch (m->kind) {
		case MEMBER_HUB:
			put_box("  ", m, "doubleoctagon", &m->address, ret);
			continue;
		case MEMBER_NODE:
			put_lan_begin(m, ret);
			break;
		case MEMBER_HOST:
			put_host(m, ret);
			continue;
		case MEMBER_PERSON:
			put_box("  ", m, "ellipse", &m->address, ret);
			break;
		}
		if (o->hub)
			buf_printf(ret, "  \"%s\" -- \"%s\";\n", o->hub->name, m->name);
	}
	buf_puts(ret, "}\n");
	return ret->error;
}
