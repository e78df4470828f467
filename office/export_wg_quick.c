#include "office/export.h"

#include "office/ruleset.h"
#include "office/secret.h"
#include "office/settle.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>

#define TEXT_MAX ((size_t)1 << 17)
#define METRIC 5000

static void put_address(const struct prefix *p, struct buf *b)
{
	char text[INET6_ADDRSTRLEN] = "?";

	inet_ntop(p->family, p->bytes, text, sizeof(text));
	buf_puts(b, text);
}

/* One line for the shell: what nft takes as lines, with semicolons. */
static void put_table(const struct plan *p, struct buf *b)
{
	cleanup(buf_done) struct buf text = buf_of_max(TEXT_MAX);
	struct ruleset of;

	ruleset_put(p, "%i", &text, &of);
	if (!of.rules)
		return;
	buf_puts(b, "PostUp = nft '");
	for (const char *line = buf_str(&text); *line;) {
		size_t len = strcspn(line, "\n");
		size_t tabs = strspn(line, "\t");

		buf_put(b, line + tabs, len - tabs);
		if (len && !strchr("{;", line[len - 1]))
			buf_puts(b, ";");
		line += len + (line[len] == '\n');
		buf_puts(b, *line ? " " : "");
	}
	buf_puts(b, "'\nPreDown = nft delete table " RULESET_FAMILY " " RULESET_TABLE "%i\n");
}

static void put_settings(const struct plan *p, struct buf *b)
{
	if (p->forward)
		buf_puts(b, "PostUp = sysctl -q -w net.ipv4.ip_forward=1\n");
	if (p->no_redirects)
		buf_puts(b, "PostUp = sysctl -q -w net.ipv4.conf.all.send_redirects=0 net.ipv4.conf.%i.send_redirects=0\n");
}

static void put_routes(const struct plan *p, struct buf *b)
{
	buf_puts(b, "Table = off\n");
	for (size_t i = 0; i < p->n_routes; i++) {
		if (p->routes[i].out != PLAN_OUT_TUNNEL)
			continue;
		buf_puts(b, "PostUp = ip route add ");
		text_put_prefix(&p->routes[i].to, b);
		buf_printf(b, " dev %%i metric %u", METRIC);
		if (p->routes[i].mtu)
			buf_printf(b, " mtu %u", p->routes[i].mtu);
		buf_puts(b, "\n");
	}
}

/* The gateway itself stays on the link. */
static void put_way_back(const struct plan *p, struct buf *b)
{
	cleanup(buf_done) struct buf gateway = buf_of_max(64);
	const struct member *m = p->self;

	put_address(&m->gateway, &gateway);
	buf_printf(b, "PostUp = ip route add %s dev ", buf_str(&gateway));
	if (m->device[0])
		buf_puts(b, m->device);
	else
		buf_printf(b, "$(ip -o route get %s | sed 's/.* dev \\([^ ]*\\).*/\\1/')", buf_str(&gateway));
	buf_printf(b, " table %u\nPostUp = ip route add ", PLAN_TABLE);
	text_put_prefix(&m->lan, b);
	buf_printf(b, " via %s table %u\n", buf_str(&gateway), PLAN_TABLE);
	buf_printf(b, "PostUp = ip rule add pref %u iif %%i lookup %u\n", PLAN_TABLE, PLAN_TABLE);
	buf_printf(b, "PreDown = ip rule del pref %u iif %%i lookup %u; ip route flush table %u\n", PLAN_TABLE, PLAN_TABLE,
		PLAN_TABLE);
}

/* Where the network lets the usual port not pass, a person takes one of the others. */
static void put_endpoint(const struct member *hub, bool others, struct buf *b)
{
	struct endpoint e = hub->endpoint;

	buf_puts(b, "\nEndpoint = ");
	text_put_endpoint(&e, b);
	for (unsigned i = 0; others && i < OFFICE_HUB_PORTS_MAX && hub->ports[i]; i++) {
		e.port = hub->ports[i];
		buf_puts(b, "\n# Endpoint = ");
		text_put_endpoint(&e, b);
	}
}

static void put_peer(const struct plan_peer *p, bool others, struct buf *b)
{
	buf_puts(b, "PublicKey = ");
	text_put_key(p->key, b);
	if (p->psk) {
		buf_puts(b, "\nPresharedKey = ");
		text_put_key(p->psk, b);
	}
	if (p->has_endpoint)
		put_endpoint(p->member, others, b);
	if (p->keepalive_s)
		buf_printf(b, "\nPersistentKeepalive = %u", p->keepalive_s);
	buf_puts(b, "\nAllowedIPs = ");
	for (size_t i = 0; i < p->n_allowed; i++) {
		buf_puts(b, i ? ", " : "");
		text_put_prefix(&p->allowed[i], b);
	}
	buf_puts(b, "\n");
}

static void put_peers(const struct plan *p, bool named, struct buf *b)
{
	for (size_t i = 0; i < p->n_peers; i++) {
		/* Nothing would ever give prefixes to a next key. */
		if (!p->peers[i].key || p->peers[i].next)
			continue;
		buf_puts(b, "\n[Peer]\n");
		if (named)
			buf_printf(b, "# %s\n", p->peers[i].member->name);
		put_peer(&p->peers[i], named, b);
	}
}

void export_phone(const struct plan *p, const uint8_t key[KEY_LEN], struct buf *ret)
{
	buf_puts(ret, "[Interface]\n");
	if (key) {
		buf_puts(ret, "PrivateKey = ");
		text_put_key(key, ret);
	} else {
		buf_puts(ret, "# PrivateKey = the one that is made on this device");
	}
	buf_puts(ret, "\nAddress = ");
	text_put_prefix(&p->self->address, ret);
	buf_puts(ret, "\n");
	if (p->mtu != SETTLE_MTU)
		buf_printf(ret, "MTU = %u\n", p->mtu);
	put_peers(p, false, ret);
}

int export_wg_quick(const struct plan *p, const char *interface, struct buf *ret, struct buf *why)
{
	const struct member *m = p->self;
	char key[128];

	if (p->gateway_back && !m->gateway.family) {
		buf_printf(why, "the gateway of the LAN of %s is not known: write gw ADDRESS behind it", m->name);
		return -EINVAL;
	}
	if (secret_path(interface, key, sizeof(key)) < 0) {
		buf_puts(why, "the name of the interface is too long");
		return -EINVAL;
	}
	buf_printf(ret, "# The part of %s in its office network, for wg-quick(8).\n", m->name);
	if (m->phone) {
		export_phone(p, NULL, ret);
		return ret->error;
	}
	if (p->office->psk)
		buf_puts(ret, "# It has a pre-shared key: only root may read it, mode 0600.\n");
	buf_printf(ret, "[Interface]\n# The private key stays on this machine, in a file that ginnel key %s has made.\n"
		"PostUp = wg set %%i private-key %s\nAddress = ", m->name, key);
	text_put_prefix(&m->address, ret);
	buf_printf(ret, "\nMTU = %u\n", p->mtu);
	if (p->listen_port)
		buf_printf(ret, "ListenPort = %u\n", p->listen_port);
	put_settings(p, ret);
	put_table(p, ret);
	put_routes(p, ret);
	if (p->gateway_back)
		put_way_back(p, ret);
	put_peers(p, true, ret);
	return ret->error;
}
