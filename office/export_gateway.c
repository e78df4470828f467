#include "office/export.h"

#include <arpa/inet.h>
#include <errno.h>

ENUM_DEFINE(gateway, GATEWAY_LIST);

static const char *address(const struct prefix *p, char text[INET6_ADDRSTRLEN])
{
	return inet_ntop(p->family, p->bytes, text, INET6_ADDRSTRLEN) ? text : "?";
}

static void mask(const struct prefix *p, char text[INET6_ADDRSTRLEN])
{
	struct prefix m = {.family = AF_INET, .bits = p->bits, .bytes = {255, 255, 255, 255}};

	prefix_mask(&m);
	address(&m, text);
}

static void put_head(const struct plan *p, enum gateway kind, const char *node, struct buf *b)
{
	static const char *const traps[] = {
		[GATEWAY_LINUX] = "# To stay over a restart they belong into the machine's network configuration.\n",
		[GATEWAY_OPENWRT] = "# The zone lan must be allowed to forward to itself; drop_invalid must be off, or the node's mode route+gw.\n",
		[GATEWAY_MIKROTIK] = "# In the firewall accept what goes from the LAN's bridge to itself, before \"drop invalid\" and without fasttrack.\n",
		[GATEWAY_HUAWEI] = "",
		[GATEWAY_FORM] = "# Give the node a fixed address, or the routes end with its lease.\n",
	};

	buf_puts(b, "# Routes for the gateway of the LAN ");
	text_put_prefix(&p->self->lan, b);
	buf_printf(b, ": what is for the office network goes to the node %s, %s.\n%s", p->self->name, node, traps[kind]);
}

static void put_route(const struct prefix *to, enum gateway kind, const char *node, struct buf *b)
{
	cleanup(buf_done) struct buf prefix = buf_of_max(64);
	char network[INET6_ADDRSTRLEN] = "", netmask[INET6_ADDRSTRLEN] = "";

	text_put_prefix(to, &prefix);
	address(to, network);
	mask(to, netmask);
	switch (kind) {
	case GATEWAY_LINUX:
		buf_printf(b, "ip route add %s via %s\n", buf_str(&prefix), node);
		break;
	case GATEWAY_OPENWRT:
		buf_printf(b, "uci add network route; uci set network.@route[-1].interface=lan; "
			"uci set network.@route[-1].target=%s; uci set network.@route[-1].gateway=%s\n",
			buf_str(&prefix), node);
		break;
	case GATEWAY_MIKROTIK:
		buf_printf(b, "/ip route add dst-address=%s gateway=%s\n", buf_str(&prefix), node);
		break;
	case GATEWAY_HUAWEI:
		buf_printf(b, "ip route-static %s %u %s\n", network, to->bits, node);
		break;
	case GATEWAY_FORM:
		buf_printf(b, "network %s, mask %s, gateway %s, interface LAN\n", network, netmask, node);
		break;
	}
}

int export_gateway(const struct plan *p, enum gateway kind, struct buf *ret, struct buf *why)
{
	char node[INET6_ADDRSTRLEN] = "";

	if (p->self->kind != MEMBER_NODE) {
		buf_printf(why, "%s is no node, so there is no LAN whose gateway must know it", p->self->name);
		return -EINVAL;
	}
	if (!p->self->lan_address.family) {
		buf_printf(why, "the address of %s in its LAN is not known: write at ADDRESS behind it, as at .2", p->self->name);
		return -EINVAL;
	}
	address(&p->self->lan_address, node);
	put_head(p, kind, node, ret);
	for (size_t i = 0; i < p->n_routes; i++)
		if (p->routes[i].out == PLAN_OUT_TUNNEL)
			put_route(&p->routes[i].to, kind, node, ret);
	if (kind == GATEWAY_OPENWRT)
		buf_puts(ret, "uci commit network; service network reload\n");
	return ret->error;
}
