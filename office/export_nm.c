#include "office/export.h"

#define METRIC 5000u
#define DIR "/etc/NetworkManager/system-connections"

static void put_peer(const struct plan_peer *p, struct buf *b)
{
	buf_printf(b, "\n# %s\n[wireguard-peer.", p->member->name);
	text_put_key(p->key, b);
	buf_puts(b, "]\n");
	if (p->psk) {
		buf_puts(b, "preshared-key=");
		text_put_key(p->psk, b);
		buf_puts(b, "\npreshared-key-flags=0\n");
	}
	if (p->has_endpoint) {
		buf_puts(b, "endpoint=");
		text_put_endpoint(&p->member->endpoint, b);
		buf_puts(b, "\n");
	}
	if (p->keepalive_s)
		buf_printf(b, "persistent-keepalive=%u\n", p->keepalive_s);
	buf_puts(b, "allowed-ips=");
	for (size_t i = 0; i < p->n_allowed; i++) {
		text_put_prefix(&p->allowed[i], b);
		buf_puts(b, ";");
	}
	buf_puts(b, "\n");
}

/* The key is in a pipe and in files of mode 0600 only, never among a program's arguments. */
static void put_head(const struct plan *p, const char *interface, struct buf *b)
{
	buf_printf(b, "# The part of %s in its office network, for NetworkManager: keep it as root, with mode 0600, as\n"
		"#   " DIR "/%s.nmconnection\n"
		"# The private key stays on this machine; ginnel key %s has made it, or wg genkey.  In that directory:\n"
		"#   { printf private-key=; cat /etc/ginnel/%s.key; } | sed -i -e '/^#private-key=/{r /dev/stdin' -e 'd}' %s.nmconnection\n"
		"# Then, also after a change of this file:\n"
		"#   nmcli connection load " DIR "/%s.nmconnection; nmcli connection up %s\n",
		p->self->name, interface, p->self->name, interface, interface, interface, interface);
}

int export_nm(const struct plan *p, const char *interface, struct buf *ret, struct buf *why)
{
	unsigned n = 0;
	int r = export_managed(p, why);

	if (r < 0)
		return r;
	put_head(p, interface, ret);
	export_put_besides(p, interface, ret);
	buf_printf(ret, "[connection]\nid=%s\ntype=wireguard\ninterface-name=%s\n\n[wireguard]\n#private-key=\nprivate-key-flags=0\n"
		"mtu=%u\npeer-routes=false\n", interface, interface, p->mtu);
	if (p->listen_port)
		buf_printf(ret, "listen-port=%u\n", p->listen_port);
	for (size_t i = 0; i < p->n_peers; i++)
		if (p->peers[i].key && !p->peers[i].next)
			put_peer(&p->peers[i], ret);
	/* Where a network here has the same prefix, that one is meant: the metric. */
	buf_puts(ret, "\n[ipv4]\nmethod=manual\nnever-default=true\naddress1=");
	text_put_prefix(&p->self->address, ret);
	buf_puts(ret, "\n");
	for (size_t i = 0; i < p->n_routes; i++) {
		if (p->routes[i].out != PLAN_OUT_TUNNEL)
			continue;
		buf_printf(ret, "route%u=", ++n);
		text_put_prefix(&p->routes[i].to, ret);
		buf_printf(ret, ",0.0.0.0,%u\n", METRIC);
		if (p->routes[i].mtu)
			buf_printf(ret, "route%u_options=mtu=%u\n", n, p->routes[i].mtu);
	}
	buf_puts(ret, "\n[ipv6]\nmethod=disabled\n");
	return ret->error;
}
