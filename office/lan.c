#include "office/lan.h"

#include "base/log.h"

#include <errno.h>

int lan_find(const struct member *m, struct net *n, struct lan *ret)
{
	cleanup(buf_done) struct buf text = buf_of_max(64);
	struct lan lan = {.own = m->lan_address};
	struct prefix own = {.family = 0};
	int r = net_device_of(n, &m->lan, lan.device, &own);

	if (m->device[0]) {
		memcpy(lan.device, m->device, sizeof(lan.device));
		r = 0;
	}
	if (!lan.own.family)
		lan.own = own;
	if (r == 0) {
		lan.ifindex = if_nametoindex(lan.device);
		r = lan.ifindex ? 0 : -errno;
	}
	text_put_prefix(&m->lan, &text);
	if (r < 0)
		log_error("%s joins the LAN %s, but this machine has no %s%s: is this %s?", m->name, buf_str(&text),
			m->device[0] ? "interface " : "address in it", m->device, m->name);
	else
		*ret = lan;
	return r;
}

int lan_find_gateway(const struct member *m, struct net *n, struct lan *lan)
{
	cleanup(buf_done) struct buf text = buf_of_max(64);
	int r = 0;

	if (m->gateway.family)
		lan->gateway = m->gateway;
	else
		r = net_gateway_of(n, lan->ifindex, m->lan.family, &lan->gateway);
	text_put_prefix(&m->lan, &text);
	if (r < 0)
		log_error("the gateway of the LAN %s is not known: write gw ADDRESS behind %s node", buf_str(&text), m->name);
	return r;
}
