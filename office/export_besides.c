#include "office/export.h"

#include <errno.h>

int export_managed(const struct plan *p, struct buf *why)
{
	if (p->self->phone) {
		buf_printf(why, "%s is a telephone: ginnel qr %s shows it its part", p->self->name, p->self->name);
		return -EINVAL;
	}
	if (p->gateway_back) {
		buf_printf(why, "%s goes back through the gateway of its LAN, whose routes are not the tunnel's: take the form "
			"wg-quick, or ginnel up there",
			p->self->name);
		return -EINVAL;
	}
	return 0;
}

void export_put_besides(const struct plan *p, const char *interface, struct buf *ret)
{
	if (!p->forward)
		return;
	buf_printf(ret, "# %s passes packets on.  Besides this it needs:\n#   - as root: echo net.ipv4.ip_forward=1 "
		">/etc/sysctl.d/90-%s.conf; sysctl --system\n", p->self->name, interface);
	if (p->no_redirects)
		buf_printf(ret, "#   - and so net.ipv4.conf.all.send_redirects=0\n");
	buf_printf(ret, "#   - what \"ginnel export %s nft\" prints, as a file that /etc/nftables.conf includes\n"
		"#   - of other firewalls there, that they let what is forwarded pass from and to %s\n", p->self->name, interface);
}
