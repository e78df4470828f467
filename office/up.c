#include "office/up.h"

#include "base/log.h"
#include "conf/apply.h"
#include "conf/client.h"
#include "conf/endpoints.h"
#include "conf/net.h"

#include "office/engine.h"
#include "office/filter.h"
#include "office/ipv4.h"
#include "office/lan.h"
#include "office/made.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>

#define METRIC 5000u /* above that of any network's own: where both have a prefix, the one here is meant */

/* Programs that we run hold it too: when we are killed, they are not. */
int up_lock(int *ret)
{
	int r = 0;

	if (mkdir(ENGINE_DIR, 0755) < 0 && errno != EEXIST)
		r = -errno;
	if (r == 0) {
		*ret = open(ENGINE_DIR, O_RDONLY | O_DIRECTORY);
		r = *ret < 0 ? -errno : 0;
	}
	if (r == 0 && flock(*ret, LOCK_EX | LOCK_NB) < 0) {
		log_info("waiting for another that is at it");
		r = flock(*ret, LOCK_EX) < 0 ? -errno : 0;
	}
	if (r < 0)
		log_error("cannot lock %s: %s", ENGINE_DIR, strerror(-r));
	return r;
}

static int load(const char *interface, struct made *ret)
{
	int r = made_load(interface, ret);

	if (r < 0)
		log_error("cannot read %s: %s", ret->path, r == -EBADMSG ? "it holds something else" : strerror(-r));
	return r;
}

/* ---- settings ---- */

static int set(struct made *m, const char *device, const char *name, const char *value, struct audit *a)
{
	char path[128];

	snprintf(path, sizeof(path), "net/ipv4/conf/%s/%s", device, name);
	return made_set(m, path, value, a);
}

/* Of the interfaces that take part; whether this machine is a router for others is not ours to say. */
static int set_settings(const struct plan *p, const char *interface, const struct lan *lan, struct made *m,
	struct audit *a)
{
	int result = 0, r;

	if (p->forward) {
		result = set(m, interface, "forwarding", "1", a);
		r = lan->device[0] ? set(m, lan->device, "forwarding", "1", a) : 0;
		result = result ? result : r;
	}
	/* Either of the two lets it send them. */
	if (p->no_redirects) {
		r = set(m, "all", "send_redirects", "0", a);
		result = result ? result : r;
		r = set(m, interface, "send_redirects", "0", a);
		result = result ? result : r;
	}
	return result;
}

/* ---- routes ---- */

/* What is sent to the hub must not go into the tunnel that leads to it; its name may mean any address here. */
static int check_way(const struct plan *p, const char *interface, struct net *n)
{
	cleanup(running_freep) struct running *running = NULL;

	if (p->self->kind == MEMBER_HUB || client_get(interface, &running) < 0)
		return 0;
	for (size_t i = 0; i < running->n_peers; i++) {
		cleanup(buf_done) struct buf why = buf_of_max(256), text = buf_of_max(64);
		const char *at = running->peers[i].endpoint;
		struct endpoint e;
		struct prefix address;
		struct net_route way;

		if (text_endpoint(at, strlen(at), &e, &why) < 0 || text_prefix(e.host, strlen(e.host), &address) < 0 ||
			address.family != AF_INET || net_way_to(n, &address, &way) < 0)
			continue;
		for (size_t j = 0; j < p->n_routes; j++) {
			const struct prefix *to = &p->routes[j].to;

			if (p->routes[j].out != PLAN_OUT_TUNNEL || !ipv4_holds(to, &address) ||
				(way.ifindex != net_index(n) && way.to.bits >= to->bits))
				continue;
			text_put_prefix(to, &text);
			log_error("the hub is at %s, within %s, which is to be reached through it: the routes stay as they are; "
				  "say another address of the hub, or another prefix",
				e.host, buf_str(&text));
			return -ELOOP;
		}
	}
	return 0;
}

static int set_routes(const struct plan *p, const char *interface, struct net *n, const struct lan *lan)
{
	cleanup(free_ptr) struct net_route *routes = calloc(p->n_routes + 1, sizeof(*routes));
	cleanup(buf_done) struct buf text = buf_of_max(64);
	struct prefix to = {.family = AF_INET};
	size_t at = 0;
	int r = routes ? 0 : -ENOMEM;

	for (size_t i = 0; routes && i < p->n_routes; i++) {
		const struct plan_route *from = &p->routes[i];

		if (from->out == PLAN_OUT_LAN && !lan->ifindex)
			continue;
		routes[at] = (struct net_route){.to = from->to, .table = from->table, .mtu = from->mtu};
		if (from->out == PLAN_OUT_LAN)
			routes[at].ifindex = lan->ifindex;
		if (from->table == RT_TABLE_MAIN)
			routes[at].metric = METRIC;
		if (from->via_gateway)
			routes[at].gateway = lan->gateway;
		at++;
	}
	/* The gateway itself stays on the link, also one that only this machine knows. */
	if (routes && lan->gateway.family && !p->self->gateway.family)
		routes[at++] = (struct net_route){.to = lan->gateway, .table = PLAN_TABLE, .ifindex = lan->ifindex};
	if (r == 0)
		r = net_set_routes(n, PLAN_TABLE, routes, at, &to);
	text_put_prefix(&to, &text);
	if (r == -EEXIST)
		log_error("another route to %s is there already, and stays: take it away", buf_str(&text));
	else if (r < 0)
		log_error("cannot set the route to %s for %s: %s", buf_str(&text), interface, strerror(-r));
	return r;
}

static int set_rule(struct net *n, const char *interface, bool on)
{
	int r = net_set_rule_in(n, AF_INET, interface, PLAN_TABLE, on);

	if (r < 0)
		log_error("cannot %s the rule for what comes in by %s: %s", on ? "set" : "remove", interface, strerror(-r));
	return r;
}

static int set_link(const struct plan *p, const char *interface, struct net *n)
{
	int r = net_set_addresses(n, &p->self->address, 1);

	if (r == 0)
		r = net_set_up(n, p->mtu);
	if (r < 0)
		log_error("cannot set the address and MTU of %s: %s", interface, strerror(-r));
	return r;
}

static int set_kernel(const struct plan *p, const char *interface, struct made *m, struct audit *a)
{
	cleanup(net_closep) struct net *n = NULL;
	struct lan lan = {.device = ""};
	int result = 0, r_early = 0, r = net_open(interface, &n);

	if (r < 0) {
		log_error("cannot reach the interface %s: %s", interface, strerror(-r));
		return r;
	}
	net_tell(n, audit_did, a);
	/* Before it goes up: the kernel's WireGuard sets this then, and nobody would take it back. */
	if (p->self->engine == ENGINE_KERNEL)
		r_early = set(m, "all", "send_redirects", "0", a);
	r = set_link(p, interface, n);
	if (r < 0)
		return r;
	/* Of a session that ended with the link the other side knows nothing. */
	if (r > 0)
		engine_call(p, interface);
	if (p->self->kind == MEMBER_NODE)
		result = lan_find(p->self, n, &lan);
	if (result == 0 && p->gateway_back)
		result = lan_find_gateway(p->self, n, &lan);
	/* Without it nothing of the LAN is done, and the node itself is reached. */
	r = set_settings(p, interface, &lan, m, a);
	result = result ? result : r;
	r = check_way(p, interface, n);
	if (r == 0)
		r = set_routes(p, interface, n, &lan);
	result = result ? result : r;
	result = result ? result : r_early;
	r = set_rule(n, interface, p->gateway_back && lan.gateway.family);
	return result ? result : r;
}

int up(const struct plan *p, const char *interface, const uint8_t key[KEY_LEN], int lock_fd, struct audit *a)
{
	cleanup(made_done) struct made m = {.link = false};
	int r = load(interface, &m), r_filter;

	if (r == 0)
		r = engine_start(interface, p->self->engine, key, lock_fd, &m, a);
	/* Also where nothing was made: what is up here is ours to take down. */
	if (r == 0)
		r = made_save(&m);
	if (r < 0)
		return r;
	/* Before anything can come through: a flow keeps the source that it began with. */
	r_filter = filter_set(p, interface, &m, a);
	r = engine_configure(p, interface, key, a);
	if (r == 0)
		r = set_kernel(p, interface, &m, a);
	engine_remember(interface);
	return r ? r : r_filter;
}

/* ---- down ---- */

/* Whether up() has been at the interface that has this name now. */
static bool is_ours(const char *interface, const struct made *m)
{
	unsigned there = if_nametoindex(interface);

	return there && m->there && (!m->link || !m->ifindex || m->ifindex == there);
}

static int clear_kernel(const char *interface, bool there)
{
	cleanup(net_closep) struct net *n = NULL;
	struct prefix unused;
	int r = net_open(there ? interface : NULL, &n), r_rule;

	if (r == 0)
		r = net_set_routes(n, PLAN_TABLE, NULL, 0, &unused);
	if (r == 0 && there)
		r = net_set_addresses(n, NULL, 0);
	if (r < 0)
		log_error("cannot remove routes and addresses of %s: %s", interface, strerror(-r));
	r_rule = n ? set_rule(n, interface, false) : 0;
	return r ? r : r_rule;
}

int down(const char *interface)
{
	cleanup(made_done) struct made m = {.link = false};
	cleanup(close_fd) int locked = -1;
	struct audit a = {.repair = false};
	int result = up_lock(&locked), r;

	if (result == 0)
		result = load(interface, &m);
	if (result < 0)
		return result;
	if (m.there)
		engine_remember(interface);
	result = clear_kernel(interface, is_ours(interface, &m));
	r = m.there ? engine_stop(interface, &m) : 0;
	result = result ? result : r;
	r = filter_set(NULL, interface, &m, &a);
	result = result ? result : r;
	r = made_restore(&m);
	result = result ? result : r;
	if (m.there)
		endpoints_remove(interface);
	if (result == 0 && m.there) {
		char log[PATH_MAX];

		snprintf(log, sizeof(log), "%s/%s.log", ENGINE_DIR, interface);
		unlink(log);
		result = made_forget(&m);
	}
	return result;
}
