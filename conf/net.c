#include "conf/net.h"

#include "conf/array.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/fib_rules.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <time.h>

#define MESSAGE_MAX 512
#define IP6_METRIC 1024

/* Newer than some headers. */
#ifndef IFA_PROTO
#define IFA_PROTO 11
#endif

struct net {
	struct mnl_socket	*socket;
	uint32_t		 seq;
	uint32_t		 ifindex;
	void			(*did)(void *arg, const char *what, const char *was);
	void			*arg;
};

int net_open(const char *name, struct net **ret)
{
	cleanup(net_closep) struct net *n = calloc(1, sizeof(*n));

	if (!n)
		return -ENOMEM;
	if (name) {
		n->ifindex = if_nametoindex(name);
		if (!n->ifindex)
			return -ENODEV;
	}
	n->seq = (uint32_t)time(NULL);
	n->socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	if (!n->socket || mnl_socket_bind(n->socket, 0, MNL_SOCKET_AUTOPID) < 0)
		return -errno;
	*ret = steal(n);
	return 0;
}

void net_close(struct net *n)
{
	if (!n)
		return;
	if (n->socket)
		mnl_socket_close(n->socket);
	free(n);
}

/* A message with its family's header, which is returned. */
static void *begin(
	struct net *n, char buf[MESSAGE_MAX], uint16_t type, uint16_t flags, size_t header_len)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);

	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = NLM_F_REQUEST | flags;
	nlh->nlmsg_seq = ++n->seq;
	return mnl_nlmsg_put_extra_header(nlh, header_len);
}

/* Send it and take the answers until they end: an acknowledgement, or a list of which each is
 * shown. */
static int exchange(struct net *n, char *message, mnl_cb_t each, void *arg)
{
	struct nlmsghdr *nlh = (void *)message;
	char buf[32768];
	int r;

	if (mnl_socket_sendto(n->socket, nlh, nlh->nlmsg_len) < 0)
		return -errno;
	do {
		ssize_t len = mnl_socket_recvfrom(n->socket, buf, sizeof(buf));

		if (len < 0)
			return -errno;
		r = mnl_cb_run(
			buf, (size_t)len, n->seq, mnl_socket_get_portid(n->socket), each, arg);
	} while (r > MNL_CB_STOP);
	return r < 0 ? -errno : 0;
}

static int tell(struct net *n, char *message)
{
	((struct nlmsghdr *)(void *)message)->nlmsg_flags |= NLM_F_ACK;
	return exchange(n, message, NULL, NULL);
}

static void put_prefix(char *message, uint16_t type, const struct prefix *p)
{
	mnl_attr_put((void *)message, type, p->family == AF_INET6 ? 16 : 4, p->bytes);
}

/* The bytes of an attribute, as many as fit. */
static void get_bytes(const struct nlattr *attr, void *ret, size_t size)
{
	memcpy(ret, mnl_attr_get_payload(attr), min((size_t)mnl_attr_get_payload_len(attr), size));
}

void net_tell(struct net *n, void (*did)(void *arg, const char *what, const char *was), void *arg)
{
	n->did = did;
	n->arg = arg;
}

static void told(const struct net *n, const char *what, const char *was)
{
	if (n->did)
		n->did(n->arg, what, was);
}

/* "the route to 10.0.0.0/8"; ${more}: behind it. */
static void told_prefix(const struct net *n, const char *what, const struct prefix *p, const char *more, const char *was)
{
	cleanup(buf_done) struct buf text = buf_of_max(128);

	buf_puts(&text, what);
	text_put_prefix(p, &text);
	buf_puts(&text, more);
	told(n, buf_str(&text), was);
}

static bool contains(const struct prefix set[], size_t n, const struct prefix *p)
{
	for (size_t i = 0; i < n; i++)
		if (!prefix_compare(&set[i], p))
			return true;
	return false;
}

/* ---- the link ---- */

unsigned net_index(const struct net *n)
{
	return n->ifindex;
}

int net_add_link(struct net *n, const char *kind, const char *name)
{
	char message[MESSAGE_MAX];
	struct nlmsghdr *nlh = (void *)message;
	struct nlattr *info;

	begin(n, message, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, sizeof(struct ifinfomsg));
	mnl_attr_put_strz(nlh, IFLA_IFNAME, name);
	info = mnl_attr_nest_start(nlh, IFLA_LINKINFO);
	mnl_attr_put_str(nlh, IFLA_INFO_KIND, kind);
	mnl_attr_nest_end(nlh, info);
	return tell(n, message);
}

struct kind_search {
	const char	*kind;
	bool		 found;
};

static int see_kind(const struct nlmsghdr *nlh, void *arg)
{
	struct kind_search *s = arg;
	const struct nlattr *attr, *info;

	mnl_attr_for_each(attr, nlh, sizeof(struct ifinfomsg))
	{
		if (mnl_attr_get_type(attr) != IFLA_LINKINFO)
			continue;
		mnl_attr_for_each_nested(info, attr)
			if (mnl_attr_get_type(info) == IFLA_INFO_KIND && !mnl_attr_validate(info, MNL_TYPE_NUL_STRING))
				s->found = !strcmp(mnl_attr_get_str(info), s->kind);
	}
	return MNL_CB_OK;
}

int net_check_kind(struct net *n, const char *kind)
{
	struct kind_search s = {.kind = kind};
	char message[MESSAGE_MAX];
	struct ifinfomsg *info = begin(n, message, RTM_GETLINK, 0, sizeof(*info));
	int r;

	info->ifi_index = (int)n->ifindex;
	((struct nlmsghdr *)(void *)message)->nlmsg_flags |= NLM_F_ACK;
	r = exchange(n, message, see_kind, &s);
	return r < 0 ? r : s.found ? 0 : -ENODEV;
}

int net_remove_link(struct net *n)
{
	char message[MESSAGE_MAX];
	struct ifinfomsg *info = begin(n, message, RTM_DELLINK, 0, sizeof(*info));

	info->ifi_index = (int)n->ifindex;
	return tell(n, message);
}

struct link_state {
	uint32_t	ifindex, mtu;
	bool		up;
};

static int see_link(const struct nlmsghdr *nlh, void *arg)
{
	struct link_state *l = arg;
	const struct ifinfomsg *info = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *attr;

	if (nlh->nlmsg_type != RTM_NEWLINK || (uint32_t)info->ifi_index != l->ifindex)
		return MNL_CB_OK;
	l->up = info->ifi_flags & IFF_UP;
	mnl_attr_for_each(attr, nlh, sizeof(*info))
		if (mnl_attr_get_type(attr) == IFLA_MTU)
			get_bytes(attr, &l->mtu, sizeof(l->mtu));
	return MNL_CB_OK;
}

/* Asked for with an acknowledgement, which ends the answer. */
static int get_link(struct net *n, struct link_state *ret)
{
	char message[MESSAGE_MAX];
	struct ifinfomsg *info = begin(n, message, RTM_GETLINK, NLM_F_ACK, sizeof(*info));

	*ret = (struct link_state){.ifindex = n->ifindex};
	info->ifi_index = (int)n->ifindex;
	return exchange(n, message, see_link, ret);
}

int net_set_up(struct net *n, unsigned mtu)
{
	char message[MESSAGE_MAX], before[16], what[32];
	struct link_state have;
	struct ifinfomsg *info;
	int r = get_link(n, &have);

	if (r < 0 || (have.up && have.mtu == mtu))
		return r;
	info = begin(n, message, RTM_NEWLINK, 0, sizeof(*info));
	info->ifi_index = (int)n->ifindex;
	info->ifi_flags = info->ifi_change = IFF_UP;
	mnl_attr_put_u32((void *)message, IFLA_MTU, mtu);
	r = tell(n, message);
	if (r < 0)
		return r;
	snprintf(before, sizeof(before), "%u", have.mtu);
	snprintf(what, sizeof(what), "the MTU %u", mtu);
	if (have.mtu != mtu)
		told(n, what, before);
	if (!have.up)
		told(n, "the state up", "down");
	return !have.up;
}

/* ---- addresses ---- */

struct address_list {
	uint32_t	 ifindex;
	struct prefix	*ours, *all;
	size_t		 n_ours, n_all, room_ours, room_all;
	int		 error;
};

static int see_address(const struct nlmsghdr *nlh, void *arg)
{
	struct address_list *l = arg;
	const struct ifaddrmsg *a = mnl_nlmsg_get_payload(nlh);
	struct prefix p = {.family = a->ifa_family, .bits = a->ifa_prefixlen};
	const struct nlattr *attr;
	uint8_t protocol = 0;
	bool local = false;

	if (nlh->nlmsg_type != RTM_NEWADDR || a->ifa_index != l->ifindex)
		return MNL_CB_OK;
	mnl_attr_for_each(attr, nlh, sizeof(*a))
	{
		uint16_t type = mnl_attr_get_type(attr);

		/* IPv6 has no local address where both ends are the same. */
		if (type == IFA_LOCAL || (type == IFA_ADDRESS && !local))
			get_bytes(attr, p.bytes, sizeof(p.bytes));
		local |= type == IFA_LOCAL;
		if (type == IFA_PROTO)
			get_bytes(attr, &protocol, 1);
	}
	if (!array_grow(&l->all, &l->room_all, l->n_all, sizeof(p)) ||
		!array_grow(&l->ours, &l->room_ours, l->n_ours, sizeof(p))) {
		l->error = -ENOMEM;
		return MNL_CB_OK;
	}
	l->all[l->n_all++] = p;
	if (protocol == NET_PROTOCOL)
		l->ours[l->n_ours++] = p;
	return MNL_CB_OK;
}

static void address_list_done(struct address_list *l)
{
	free(l->ours);
	free(l->all);
}

static int change_address(struct net *n, uint16_t type, const struct prefix *p)
{
	char message[MESSAGE_MAX];
	struct ifaddrmsg *a = begin(n, message, type,
		type == RTM_NEWADDR ? NLM_F_CREATE | NLM_F_REPLACE : 0, sizeof(*a));
	int r;

	a->ifa_family = p->family;
	a->ifa_prefixlen = p->bits;
	a->ifa_index = n->ifindex;
	put_prefix(message, IFA_LOCAL, p);
	put_prefix(message, IFA_ADDRESS, p);
	if (type == RTM_NEWADDR)
		mnl_attr_put_u8((void *)message, IFA_PROTO, NET_PROTOCOL);
	r = tell(n, message);
	if (r == 0)
		told_prefix(n, "the address ", p, "", type == RTM_NEWADDR ? "missing" : NULL);
	return r;
}

int net_set_addresses(struct net *n, const struct prefix want[], size_t n_want)
{
	cleanup(address_list_done) struct address_list l = {.ifindex = n->ifindex};
	char message[MESSAGE_MAX];
	struct ifaddrmsg *a = begin(n, message, RTM_GETADDR, NLM_F_DUMP, sizeof(*a));
	int r = exchange(n, message, see_address, &l);

	(void)a;
	if (r < 0 || l.error)
		return r < 0 ? r : l.error;
	for (size_t i = 0; i < l.n_ours && r == 0; i++)
		if (!contains(want, n_want, &l.ours[i]))
			r = change_address(n, RTM_DELADDR, &l.ours[i]);
	for (size_t i = 0; i < n_want && r == 0; i++)
		if (!contains(l.all, l.n_all, &want[i]))
			r = change_address(n, RTM_NEWADDR, &want[i]);
	return r;
}

struct device_search {
	const struct prefix	*lan;
	uint32_t		 but, found;	/* interfaces */
	struct prefix		 own;
};

static int see_device(const struct nlmsghdr *nlh, void *arg)
{
	struct device_search *s = arg;
	const struct ifaddrmsg *a = mnl_nlmsg_get_payload(nlh);
	struct prefix p = {.family = a->ifa_family, .bits = s->lan->bits}, own;
	const struct nlattr *attr;

	if (nlh->nlmsg_type != RTM_NEWADDR || a->ifa_index == s->but)
		return MNL_CB_OK;
	mnl_attr_for_each(attr, nlh, sizeof(*a))
	{
		uint16_t type = mnl_attr_get_type(attr);

		if (type != (a->ifa_family == AF_INET ? IFA_LOCAL : IFA_ADDRESS))
			continue;
		get_bytes(attr, p.bytes, sizeof(p.bytes));
		own = p;
		prefix_mask(&p);
		if (prefix_compare(&p, s->lan) != 0 || s->found)
			continue;
		s->found = a->ifa_index;
		s->own = own;
		s->own.bits = a->ifa_family == AF_INET ? 32 : 128;
	}
	return MNL_CB_OK;
}

int net_device_of(struct net *n, const struct prefix *lan, char ret[IFNAMSIZ], struct prefix *ret_own)
{
	struct prefix masked = *lan;
	struct device_search s = {.lan = &masked, .but = n->ifindex};
	char message[MESSAGE_MAX];
	struct ifaddrmsg *a = begin(n, message, RTM_GETADDR, NLM_F_DUMP, sizeof(*a));
	int r;

	prefix_mask(&masked);
	a->ifa_family = lan->family;
	r = exchange(n, message, see_device, &s);
	if (r < 0)
		return r;
	if (!s.found || !if_indextoname(s.found, ret))
		return -ENODEV;
	if (ret_own)
		*ret_own = s.own;
	return 0;
}

/* ---- routes ---- */

struct seen_route {
	struct net_route	route;
	bool			ours;
};

struct route_list {
	uint32_t		 ifindex, table;
	struct seen_route	*routes;	/* through the interface or in the table, sorted */
	size_t			 n, room;
	int			 error;
};

#define COMPARE(x, y) (((x) > (y)) - ((x) < (y)))

static int compare_ways(const struct net_route *x, const struct net_route *y)
{
	int d = prefix_compare(&x->to, &y->to);

	d = d ? d : COMPARE(x->table, y->table);
	d = d ? d : COMPARE(x->ifindex, y->ifindex);
	return d ? d : prefix_compare(&x->gateway, &y->gateway);
}

static int compare_routes(const void *a, const void *b)
{
	const struct net_route *x = a, *y = b;
	int d = compare_ways(x, y);

	return d ? d : COMPARE(x->metric, y->metric);
}

/* The kernel's own, of an address, have a metric that nobody asked for, and do as well. */
static int match_routes(const void *a, const void *b)
{
	const struct net_route *x = a, *y = b;
	int d = compare_ways(x, y);

	return d || !x->metric || !y->metric ? d : COMPARE(x->metric, y->metric);
}

static void read_metrics(const struct nlattr *metrics, struct net_route *route)
{
	const struct nlattr *attr;

	mnl_attr_for_each_nested(attr, metrics)
		if (mnl_attr_get_type(attr) == RTAX_MTU)
			get_bytes(attr, &route->mtu, sizeof(route->mtu));
}

/* False: no route of the kind that we make. */
static bool read_route(const struct nlmsghdr *nlh, struct seen_route *ret)
{
	const struct rtmsg *m = mnl_nlmsg_get_payload(nlh);
	struct net_route *route = &ret->route;
	const struct nlattr *attr;

	if (nlh->nlmsg_type != RTM_NEWROUTE || m->rtm_type != RTN_UNICAST ||
		m->rtm_flags & RTM_F_CLONED)
		return false;
	*ret = (struct seen_route){.ours = m->rtm_protocol == NET_PROTOCOL,
		.route = {.to = {.family = m->rtm_family, .bits = m->rtm_dst_len},
			.table = m->rtm_table}};
	mnl_attr_for_each(attr, nlh, sizeof(*m))
	{
		switch (mnl_attr_get_type(attr)) {
		case RTA_DST:
			get_bytes(attr, route->to.bytes, sizeof(route->to.bytes));
			break;
		case RTA_OIF:
			get_bytes(attr, &route->ifindex, sizeof(route->ifindex));
			break;
		case RTA_TABLE:
			get_bytes(attr, &route->table, sizeof(route->table));
			break;
		case RTA_PRIORITY:
			get_bytes(attr, &route->metric, sizeof(route->metric));
			break;
		case RTA_GATEWAY:
			route->gateway.family = m->rtm_family;
			route->gateway.bits = m->rtm_family == AF_INET ? 32 : 128;
			get_bytes(attr, route->gateway.bytes, sizeof(route->gateway.bytes));
			break;
		case RTA_METRICS:
			read_metrics(attr, route);
			break;
		default:
			break;
		}
	}
	/* Of IPv6 the kernel names a metric where none was. */
	if (m->rtm_family == AF_INET6 && route->metric == IP6_METRIC)
		route->metric = 0;
	return true;
}

static int see_route(const struct nlmsghdr *nlh, void *arg)
{
	struct route_list *l = arg;
	struct seen_route s;

	if (!read_route(nlh, &s) ||
		((!l->ifindex || s.route.ifindex != l->ifindex) && (!l->table || s.route.table != l->table)))
		return MNL_CB_OK;
	if (!array_grow(&l->routes, &l->room, l->n, sizeof(s)))
		l->error = -ENOMEM;
	else
		l->routes[l->n++] = s;
	return MNL_CB_OK;
}

static void route_list_done(struct route_list *l)
{
	free(l->routes);
}

/* change_route(n, type, flags, route): ${flags}: those of RTM_NEWROUTE. */
static int change_route(struct net *n, uint16_t type, uint16_t flags, const struct net_route *route)
{
	char message[MESSAGE_MAX];
	struct rtmsg *m = begin(n, message, type, flags, sizeof(*m));
	char more[32] = "";
	int r;

	m->rtm_family = route->to.family;
	m->rtm_dst_len = route->to.bits;
	m->rtm_table = route->table < 256 ? (uint8_t)route->table : RT_TABLE_UNSPEC;
	m->rtm_protocol = NET_PROTOCOL;
	m->rtm_type = RTN_UNICAST;
	m->rtm_scope = route->to.family == AF_INET && !route->gateway.family ? RT_SCOPE_LINK
									   : RT_SCOPE_UNIVERSE;
	put_prefix(message, RTA_DST, &route->to);
	mnl_attr_put_u32((void *)message, RTA_OIF, route->ifindex);
	mnl_attr_put_u32((void *)message, RTA_TABLE, route->table);
	if (route->gateway.family)
		put_prefix(message, RTA_GATEWAY, &route->gateway);
	if (route->metric)
		mnl_attr_put_u32((void *)message, RTA_PRIORITY, route->metric);
	if (route->mtu && type == RTM_NEWROUTE) {
		struct nlattr *metrics = mnl_attr_nest_start((void *)message, RTA_METRICS);

		mnl_attr_put_u32((void *)message, RTAX_MTU, route->mtu);
		mnl_attr_nest_end((void *)message, metrics);
	}
	r = tell(n, message);
	if (route->table != RT_TABLE_MAIN)
		snprintf(more, sizeof(more), " in table %u", route->table);
	if (r == 0)
		told_prefix(n, "the route to ", &route->to, more, type != RTM_NEWROUTE ? NULL : flags & NLM_F_REPLACE ? "changed" : "missing");
	return r;
}

/* A kernel without IPv6 has no routes of it. */
static int see_routes(struct net *n, int family, mnl_cb_t each, void *arg)
{
	char message[MESSAGE_MAX];
	struct rtmsg *m = begin(n, message, RTM_GETROUTE, NLM_F_DUMP, sizeof(*m));
	int r;

	m->rtm_family = (uint8_t)family;
	r = exchange(n, message, each, arg);
	return r == -EOPNOTSUPP ? 0 : r;
}

static int list_routes(struct net *n, mnl_cb_t each, void *arg)
{
	int r = see_routes(n, AF_INET, each, arg);

	return r < 0 ? r : see_routes(n, AF_INET6, each, arg);
}

struct gateway_search {
	uint32_t	 ifindex;
	int		 family;
	struct net_route best;
};

static int see_gateway(const struct nlmsghdr *nlh, void *arg)
{
	struct gateway_search *g = arg;
	struct seen_route s;

	if (read_route(nlh, &s) && s.route.ifindex == g->ifindex && !s.route.to.bits &&
		s.route.gateway.family == g->family && s.route.table == RT_TABLE_MAIN &&
		(!g->best.gateway.family || s.route.metric < g->best.metric))
		g->best = s.route;
	return MNL_CB_OK;
}

int net_gateway_of(struct net *n, unsigned ifindex, int family, struct prefix *ret)
{
	struct gateway_search g = {.ifindex = ifindex, .family = family};
	int r = list_routes(n, see_gateway, &g);

	if (r < 0)
		return r;
	if (!g.best.gateway.family)
		return -ENETUNREACH;
	*ret = g.best.gateway;
	return 0;
}

struct way {
	struct seen_route	seen;
	bool			found;
};

static int see_way(const struct nlmsghdr *nlh, void *arg)
{
	struct way *w = arg;

	w->found |= read_route(nlh, &w->seen);
	return MNL_CB_OK;
}

int net_way_to(struct net *n, const struct prefix *address, struct net_route *ret)
{
	char message[MESSAGE_MAX];
	struct rtmsg *m = begin(n, message, RTM_GETROUTE, NLM_F_ACK, sizeof(*m));
	struct way w = {.found = false};
	int r;

	m->rtm_family = address->family;
	m->rtm_dst_len = address->bits;
	m->rtm_flags = RTM_F_FIB_MATCH;
	put_prefix(message, RTA_DST, address);
	r = exchange(n, message, see_way, &w);
	if (r == 0 && !w.found)
		r = -EHOSTUNREACH;
	if (r == 0)
		*ret = w.seen.route;
	return r;
}

/*
 * The kernel has one way for a destination, table and metric: where that is an old one of ours, it
 * makes room.
 */
static int add_route(struct net *n, const struct route_list *l, const struct net_route *route)
{
	int r = change_route(n, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, route);

	for (size_t i = 0; i < l->n && r == -EEXIST; i++) {
		const struct net_route *old = &l->routes[i].route;

		if (!l->routes[i].ours || prefix_compare(&old->to, &route->to) != 0 ||
			old->table != route->table || old->metric != route->metric)
			continue;
		r = change_route(n, RTM_DELROUTE, 0, old);
		if (r == 0)
			r = change_route(n, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, route);
	}
	return r;
}

int net_set_routes(struct net *n, uint32_t table, const struct net_route want[], size_t n_want,
	struct prefix *ret_taken)
{
	cleanup(route_list_done) struct route_list l = {.ifindex = n->ifindex, .table = table};
	cleanup(free_ptr) struct net_route *sorted =
		calloc(max(n_want, (size_t)1), sizeof(*sorted));
	int r = sorted ? list_routes(n, see_route, &l) : -ENOMEM, taken = 0;

	r = r < 0 ? r : l.error;
	if (r < 0)
		return r;
	if (l.n)
		qsort(l.routes, l.n, sizeof(*l.routes), compare_routes);
	for (size_t i = 0; i < n_want; i++) {
		sorted[i] = want[i];
		if (!sorted[i].ifindex)
			sorted[i].ifindex = n->ifindex;
	}
	qsort(sorted, n_want, sizeof(*sorted), compare_routes);
	for (size_t i = 0; i < n_want; i++) {
		/* struct seen_route begins with its route. */
		const struct seen_route *there =
			l.n ? bsearch(&sorted[i], l.routes, l.n, sizeof(*l.routes), match_routes) : NULL;

		if (there && (!there->ours || there->route.mtu == sorted[i].mtu))
			continue;
		r = there ? change_route(n, RTM_NEWROUTE, NLM_F_REPLACE, &sorted[i]) : add_route(n, &l, &sorted[i]);
		if (r == -EEXIST) {
			taken = r;
			*ret_taken = sorted[i].to;
		} else if (r < 0) {
			*ret_taken = sorted[i].to;
			return r;
		}
	}
	/* Last: what goes another way from now on must have that before. */
	for (size_t i = 0; i < l.n; i++) {
		if (!l.routes[i].ours || bsearch(&l.routes[i].route, sorted, n_want,
						 sizeof(*sorted), match_routes))
			continue;
		r = change_route(n, RTM_DELROUTE, 0, &l.routes[i].route);
		if (r < 0 && r != -ESRCH)
			return r;
	}
	return taken;
}

/* ---- rules ---- */

/* Who else has routes in a table. */
struct table_users {
	uint32_t	ifindex, table;
	bool		others;
};

static int see_user(const struct nlmsghdr *nlh, void *arg)
{
	struct table_users *u = arg;
	struct seen_route s;

	if (read_route(nlh, &s) && s.route.ifindex && s.route.ifindex != u->ifindex)
		u->others |= s.route.table == u->table;
	return MNL_CB_OK;
}

struct rule_list {
	uint32_t	 table;
	const char	*device;	/* NULL: rules for what comes in anywhere */
	bool		 there;		/* our rule for that table */
	bool		 others;	/* our rules for another tunnel's */
};

static int see_rule(const struct nlmsghdr *nlh, void *arg)
{
	struct rule_list *l = arg;
	const struct fib_rule_hdr *h = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *attr;
	const char *device = NULL;
	uint32_t table = h->table;
	uint8_t protocol = 0;

	mnl_attr_for_each(attr, nlh, sizeof(*h))
	{
		if (mnl_attr_get_type(attr) == FRA_TABLE)
			get_bytes(attr, &table, sizeof(table));
		if (mnl_attr_get_type(attr) == FRA_PROTOCOL)
			get_bytes(attr, &protocol, 1);
		if (mnl_attr_get_type(attr) == FRA_IIFNAME && !mnl_attr_validate(attr, MNL_TYPE_NUL_STRING))
			device = mnl_attr_get_str(attr);
	}
	if (!l->device != !device || (device && strcmp(l->device, device) != 0))
		return MNL_CB_OK;
	if (protocol == NET_PROTOCOL && table != RT_TABLE_MAIN) {
		l->there |= table == l->table;
		l->others |= table != l->table;
	}
	return MNL_CB_OK;
}

/* What bears no mark goes by ${table}; or, for the main table, by it but for its default route. */
static int change_rule(struct net *n, int family, uint16_t type, uint32_t table)
{
	char message[MESSAGE_MAX];
	struct fib_rule_hdr *h = begin(
		n, message, type, type == RTM_NEWRULE ? NLM_F_CREATE | NLM_F_EXCL : 0, sizeof(*h));
	struct nlmsghdr *nlh = (void *)message;

	h->family = (uint8_t)family;
	h->action = FR_ACT_TO_TBL;
	h->table = table < 256 ? (uint8_t)table : RT_TABLE_UNSPEC;
	mnl_attr_put_u32(nlh, FRA_TABLE, table);
	mnl_attr_put_u8(nlh, FRA_PROTOCOL, NET_PROTOCOL);
	if (table == RT_TABLE_MAIN) {
		mnl_attr_put_u32(nlh, FRA_PRIORITY, NET_RULE_PRIORITY);
		mnl_attr_put_u32(nlh, FRA_SUPPRESS_PREFIXLEN, 0);
	} else {
		h->flags = FIB_RULE_INVERT;
		mnl_attr_put_u32(nlh, FRA_PRIORITY, NET_RULE_PRIORITY + 1);
		mnl_attr_put_u32(nlh, FRA_FWMARK, table);
		mnl_attr_put_u32(nlh, FRA_FWMASK, UINT32_MAX);
	}
	return tell(n, message);
}

static int list_rules(struct net *n, int family, struct rule_list *l)
{
	char message[MESSAGE_MAX];
	struct fib_rule_hdr *h = begin(n, message, RTM_GETRULE, NLM_F_DUMP, sizeof(*h));

	h->family = (uint8_t)family;
	return exchange(n, message, see_rule, l);
}

int net_set_rules(struct net *n, int family, uint32_t table, bool on)
{
	struct table_users users = {.ifindex = n->ifindex, .table = table};
	struct rule_list l = {.table = table};
	int r = list_rules(n, family, &l);

	if (r == -EOPNOTSUPP && !on)
		return 0;
	if (r < 0)
		return r;
	if (on && !l.there) {
		r = change_rule(n, family, RTM_NEWRULE, RT_TABLE_MAIN);
		if (r == 0 || r == -EEXIST)
			r = change_rule(n, family, RTM_NEWRULE, table);
	} else if (!on && l.there) {
		r = see_routes(n, family, see_user, &users);
		if (r < 0 || users.others)
			return r;
		r = change_rule(n, family, RTM_DELRULE, table);
		if (r == 0 && !l.others)
			r = change_rule(n, family, RTM_DELRULE, RT_TABLE_MAIN);
	}
	return r;
}

int net_set_rule_in(struct net *n, int family, const char *device, uint32_t table, bool on)
{
	struct rule_list l = {.table = table, .device = device};
	char message[MESSAGE_MAX];
	struct nlmsghdr *nlh = (void *)message;
	struct fib_rule_hdr *h;
	char what[64];
	int r = list_rules(n, family, &l);

	if (r == -EOPNOTSUPP && !on)
		return 0;
	if (r < 0 || l.there == on)
		return r;
	h = begin(n, message, on ? RTM_NEWRULE : RTM_DELRULE, on ? NLM_F_CREATE | NLM_F_EXCL : 0,
		sizeof(*h));
	h->family = (uint8_t)family;
	h->action = FR_ACT_TO_TBL;
	h->table = table < 256 ? (uint8_t)table : RT_TABLE_UNSPEC;
	mnl_attr_put_u32(nlh, FRA_TABLE, table);
	mnl_attr_put_u8(nlh, FRA_PROTOCOL, NET_PROTOCOL);
	mnl_attr_put_u32(nlh, FRA_PRIORITY, table);
	mnl_attr_put_strz(nlh, FRA_IIFNAME, device);
	r = tell(n, message);
	snprintf(what, sizeof(what), "the rule for what comes in by %s", device);
	if (r == 0)
		told(n, what, on ? "missing" : NULL);
	return r;
}
