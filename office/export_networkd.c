#include "office/export.h"

#define METRIC 5000u
#define KEY_DIR "/etc/systemd/network"

static void put_peer(const struct plan_peer *p, struct buf *b)
{
	buf_printf(b, "\n[WireGuardPeer]\n# %s\nPublicKey=", p->member->name);
	text_put_key(p->key, b);
	if (p->psk) {
		buf_puts(b, "\nPresharedKey=");
		text_put_key(p->psk, b);
	}
	if (p->has_endpoint) {
		buf_puts(b, "\nEndpoint=");
		text_put_endpoint(&p->member->endpoint, b);
	}
	if (p->keepalive_s)
		buf_printf(b, "\nPersistentKeepalive=%u", p->keepalive_s);
	buf_puts(b, "\nAllowedIPs=");
	for (size_t i = 0; i < p->n_allowed; i++) {
		buf_puts(b, i ? "," : "");
		text_put_prefix(&p->allowed[i], b);
	}
	buf_puts(b, "\n");
}

int export_networkd_netdev(const struct plan *p, const char *interface, struct buf *ret, struct buf *why)
{
	int r = export_managed(p, why);

	if (r < 0)
		return r;
	buf_printf(ret, "# The part of %s in its office network, for systemd-networkd: " KEY_DIR "/%s.netdev.\n"
		"# The private key stays on this machine; ginnel key %s has made it, or wg genkey.  networkd is another user:\n"
		"#   install -g systemd-network -m 640 /etc/ginnel/%s.key " KEY_DIR "/%s.key\n"
		"# networkctl reload takes no changes of peers in, not with systemd 252 of Debian 12.  After one of this file:\n"
		"#   systemctl restart systemd-networkd\n",
		p->self->name, interface, p->self->name, interface, interface);
	if (p->office->psk)
		buf_printf(ret, "# This file has a pre-shared key, for root and networkd only:\n"
			"#   chown root:systemd-network " KEY_DIR "/%s.netdev; chmod 640 " KEY_DIR "/%s.netdev\n",
			interface, interface);
	export_put_besides(p, interface, ret);
	buf_printf(ret, "[NetDev]\nName=%s\nKind=wireguard\nMTUBytes=%u\n\n[WireGuard]\nPrivateKeyFile=" KEY_DIR "/%s.key\n",
		interface, p->mtu, interface);
	if (p->listen_port)
		buf_printf(ret, "ListenPort=%u\n", p->listen_port);
	/* Of AllowedIPs none: what is meant without this is another thing in each version. */
	buf_puts(ret, "RouteTable=off\n");
	for (size_t i = 0; i < p->n_peers; i++)
		if (p->peers[i].key && !p->peers[i].next)
			put_peer(&p->peers[i], ret);
	return ret->error;
}

int export_networkd_network(const struct plan *p, const char *interface, struct buf *ret)
{
	buf_printf(ret, "# " KEY_DIR "/%s.network.  Where a network here has the same prefix, that one is meant: the metric.\n"
		"[Match]\nName=%s\n\n[Network]\nAddress=", interface, interface);
	text_put_prefix(&p->self->address, ret);
	buf_puts(ret, "\n");
	for (size_t i = 0; i < p->n_routes; i++) {
		if (p->routes[i].out != PLAN_OUT_TUNNEL)
			continue;
		buf_puts(ret, "\n[Route]\nDestination=");
		text_put_prefix(&p->routes[i].to, ret);
		buf_printf(ret, "\nMetric=%u\n", METRIC);
		if (p->routes[i].mtu)
			buf_printf(ret, "MTUBytes=%u\n", p->routes[i].mtu);
	}
	return ret->error;
}
