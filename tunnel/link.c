#include "tunnel/link.h"

#include "base/log.h"
#include "tunnel/kernel.h"
#include "tunnel/link_message.h"
#include "tunnel/netlink.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_link.h>
#include <linux/net_namespace.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>

#define OWN_NAMESPACE (-1)	/* instead of a namespace's number: the process's own */
#define ROUTES_PAUSE_MS 250	/* between two reports of changed routes */
#define MOVE_TRIES 5		/* reading the state of a device that is being moved */

struct link {
	struct loop		*loop;
	int			 tun_fd;
	struct link_events	 events;

	struct loop_source	 links;		/* notifications about links, of all namespaces where possible */
	struct loop_source	 routes;	/* about routes and addresses, of our own */
	struct loop_source	 pause;		/* timer: while it runs, ${routes} is out of the loop */
	bool			 pausing;
	int			 ask_fd;	/* questions and their answers */
	uint32_t		 seq;

	int			 nsid;		/* where the device is, as our namespace numbers it, or OWN_NAMESPACE */
	uint32_t		 ifindex;	/* there */
	bool			 started, gone;
	bool			 unread;	/* its state could not be read: to be tried again */
	bool			 doomed;	/* its namespace is being taken down, and nobody will tell us when it is gone */
	bool			 up;
	unsigned		 mtu;
	char			 name[IFNAMSIZ];
};

/* ---- sockets ---- */

static int netlink_open(int flags, int *ret_fd)
{
	struct sockaddr_nl address = {.nl_family = AF_NETLINK};
	cleanup(close_fd) int fd =
		socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | flags, NETLINK_ROUTE);

	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	*ret_fd = fd;
	fd = -1;
	return 0;
}

static int join(int fd, int group)
{
	return setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)) < 0
		       ? -errno
		       : 0;
}

/*
 * One message with a namespace's number (OWN_NAMESPACE: ours, or one that has no number).  > 0: its
 * length; 0: nothing waits; -ENOBUFS: some were lost.  Only the kernel is believed.
 */
static ssize_t netlink_receive(int fd, void *buf, size_t size, int *ret_nsid)
{
	for (;;) {
		_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
		struct sockaddr_nl from = {0};
		struct iovec iov = {buf, size};
		struct msghdr msg = {.msg_name = &from,
			.msg_namelen = sizeof(from),
			.msg_iov = &iov,
			.msg_iovlen = 1,
			.msg_control = control,
			.msg_controllen = sizeof(control)};
		ssize_t n = recvmsg(fd, &msg, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? 0 : -errno;
		if (msg.msg_flags & MSG_TRUNC)
			return -ENOBUFS;
		if (!n || from.nl_pid)
			continue;
		*ret_nsid = OWN_NAMESPACE;
		for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c))
			if (c->cmsg_level == SOL_NETLINK && c->cmsg_type == NETLINK_LISTEN_ALL_NSID)
				memcpy(ret_nsid, CMSG_DATA(c), sizeof(int));
		return n;
	}
}

/* ---- questions ---- */

/*
 * Send ${request}.  The answer of ${type} goes to ${*ret}, if there is one.  0 or the kernel's
 * negative errno.
 */
static int ask(struct link *l, struct nlmsghdr *request, uint16_t type, struct link_message *ret)
{
	_Alignas(struct nlmsghdr) char buf[32768];
	int nsid;

	request->nlmsg_seq = ++l->seq;
	if (send(l->ask_fd, request, request->nlmsg_len, 0) < 0)
		return -errno;
	for (;;) {
		ssize_t n = netlink_receive(l->ask_fd, buf, sizeof(buf), &nsid);
		struct link_messages messages;
		struct link_message m;

		if (n <= 0)
			return n < 0 ? (int)n : -ETIMEDOUT;
		messages = link_messages_of(buf, (size_t)n);
		while (link_messages_next(&messages, &m)) {
			if (m.seq != request->nlmsg_seq)
				continue; /* late, of a question that was given up */
			if (m.bad)
				return -EBADMSG;
			if (m.type == NLMSG_ERROR)
				return m.error;
			if (m.type == type)
				*ret = m;
		}
	}
}

/* ${buf} is zeroed, with room for what is put behind. */
static struct nlmsghdr *request(void *buf, uint16_t type, size_t family_len)
{
	struct nlmsghdr *nlh = buf;

	*nlh = (struct nlmsghdr){.nlmsg_len = (uint32_t)NLMSG_SPACE(family_len),
		.nlmsg_type = type, .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK};
	return nlh;
}

static int nsid_of(struct link *l, int netns_fd, int *ret)
{
	_Alignas(struct nlmsghdr) char buf[256] = {0};
	struct nlmsghdr *nlh = request(buf, RTM_GETNSID, sizeof(struct rtgenmsg));
	struct link_message answer = {.nsid = -1};
	int r;

	netlink_put_u32(nlh, NETNSA_FD, (uint32_t)netns_fd);
	r = ask(l, nlh, RTM_NEWNSID, &answer);
	*ret = answer.nsid;
	return r;
}

/*
 * The number of a namespace; one without is given one, since only of numbered ones there are
 * notifications.
 */
static int nsid_make(struct link *l, int netns_fd, int *ret)
{
	_Alignas(struct nlmsghdr) char buf[256] = {0};
	struct link_message answer;
	struct nlmsghdr *nlh;
	int r = nsid_of(l, netns_fd, ret);

	if (r < 0 || *ret >= 0)
		return r;
	nlh = request(buf, RTM_NEWNSID, sizeof(struct rtgenmsg));
	netlink_put_u32(nlh, NETNSA_FD, (uint32_t)netns_fd);
	netlink_put_u32(nlh, NETNSA_NSID, (uint32_t)-1);
	r = ask(l, nlh, RTM_NEWNSID, &answer);
	/* -EEXIST: somebody else was quicker. */
	if (r < 0 && r != -EEXIST)
		return r;
	r = nsid_of(l, netns_fd, ret);
	return r < 0 ? r : *ret < 0 ? -ENOENT : 0;
}

/* Which namespace is the device in?  -EBADFD: in none, it is gone. */
static int where(struct link *l, int *ret_nsid)
{
	cleanup(close_fd) int device = ioctl(l->tun_fd, TUNGETDEVNETNS);
	cleanup(close_fd) int own = -1;
	struct stat a, b;

	if (device < 0) {
		/* A kernel without the question, or no right to ask: it is believed to be here. */
		if (errno != ENOTTY && errno != EINVAL && errno != EPERM)
			return -errno;
		*ret_nsid = OWN_NAMESPACE;
		return 0;
	}
	own = ioctl(l->ask_fd, SIOCGSKNS);
	if (own < 0 || fstat(own, &a) < 0 || fstat(device, &b) < 0)
		return -errno;
	if (a.st_dev == b.st_dev && a.st_ino == b.st_ino) {
		*ret_nsid = OWN_NAMESPACE;
		return 0;
	}
	return nsid_make(l, device, ret_nsid);
}

static int ask_state(struct link *l, int nsid, const char *name, struct link_state *ret)
{
	_Alignas(struct nlmsghdr) char buf[512] = {0};
	struct nlmsghdr *nlh = request(buf, RTM_GETLINK, sizeof(struct ifinfomsg));
	struct link_message answer = {0};
	int r;

	netlink_put(nlh, IFLA_IFNAME, name, (uint16_t)(strlen(name) + 1));
	if (nsid != OWN_NAMESPACE)
		netlink_put_u32(nlh, IFLA_TARGET_NETNSID, (uint32_t)nsid);
	/* RTEXT_FILTER_SKIP_STATS: a short answer. */
	netlink_put_u32(nlh, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
	r = ask(l, nlh, RTM_NEWLINK, &answer);
	*ret = answer.state;
	return r < 0 ? r : ret->ifindex ? 0 : -ENODEV;
}

/* ---- state ---- */

static void apply(struct link *l, const struct link_state *s)
{
	if (*s->name && strcmp(s->name, l->name)) {
		memcpy(l->name, s->name, sizeof(l->name));
		l->events.name(l->events.arg, l->name);
	}
	if (s->mtu && s->mtu != l->mtu) {
		l->mtu = s->mtu;
		l->events.mtu(l->events.arg, l->mtu);
	}
	if (s->up != l->up) {
		l->up = s->up;
		(l->up ? l->events.up : l->events.down)(l->events.arg);
	}
}

static void set_gone(struct link *l)
{
	if (l->gone)
		return;
	l->gone = true;
	loop_remove(l->loop, &l->links);
	loop_remove(l->loop, &l->routes);
	loop_remove(l->loop, &l->pause);
	if (l->up) {
		l->up = false;
		l->events.down(l->events.arg);
	}
	l->events.gone(l->events.arg);
}

/* Find the device anew and read its state. */
static int read_state(struct link *l)
{
	struct link_state s;
	int r = 0;

	/* Between the questions it may be moved or renamed. */
	for (int i = 0; i < MOVE_TRIES; i++) {
		struct ifreq ifr = {0};
		int nsid;

		r = where(l, &nsid);
		if (r == -EBADFD)
			break;
		if (r < 0)
			continue;
		if (ioctl(l->tun_fd, TUNGETIFF, &ifr) < 0) {
			r = -errno;
			if (r == -EBADFD)
				break;
			continue;
		}
		r = ask_state(l, nsid, ifr.ifr_name, &s);
		if (r < 0)
			continue;
		if (nsid != l->nsid)
			log_verbose("link: the device is in %s network namespace nsid=%d",
				nsid == OWN_NAMESPACE ? "our own" : "another", nsid);
		l->nsid = nsid;
		l->ifindex = s.ifindex;
		l->doomed = false;
		apply(l, &s);
		return 0;
	}
	return r;
}

static void pause_arm(struct link *l, unsigned ms)
{
	struct itimerspec t = {.it_value = {.tv_nsec = (long)ms * 1000000}};

	timerfd_settime(l->pause.fd, 0, &t, NULL);
}

void link_check(struct link *l)
{
	int r;

	if (l->gone || !l->started)
		return;
	r = read_state(l);
	l->unread = r < 0 && r != -EBADFD && !l->doomed;
	if (r == -EBADFD)
		set_gone(l);
	if (!l->unread)
		return;
	pause_arm(l, ROUTES_PAUSE_MS);
	log_limited(LOG_LEVEL_ERROR, "link: cannot read the device's state: %s", strerror(-r));
}

/* ---- notifications ---- */

/*
 * One message.  A state of our device is taken as it is, so that no down is lost between two ups.
 * Whatever else bears its index may be another namespace's device, or ours on its way to one: ask
 * again.  Returns whether to.
 */
static bool notice(struct link *l, const struct link_message *m, int nsid)
{
	if (m->bad)
		return false;
	if (m->type == RTM_DELNSID && nsid == OWN_NAMESPACE) {
		if (m->nsid >= 0 && m->nsid == l->nsid) {
			l->doomed = true;
			pause_arm(l, ROUTES_PAUSE_MS);
		}
		return false;
	}
	if ((m->type != RTM_NEWLINK && m->type != RTM_DELLINK) || m->state.ifindex != l->ifindex)
		return false;
	if (m->type == RTM_NEWLINK && nsid == l->nsid && m->whole) {
		apply(l, &m->state);
		return false;
	}
	return true;
}

static void links_ready(struct loop_source *source, uint32_t events)
{
	struct link *l = container_of(source, struct link, links);
	_Alignas(struct nlmsghdr) char buf[32768];
	bool again = false;

	/* As many as a busy machine may have, but not for ever: the loop has others to serve. */
	for (int i = 0; i < 256 && !l->gone; i++) {
		struct link_messages messages;
		struct link_message m;
		int nsid;
		ssize_t n = netlink_receive(source->fd, buf, sizeof(buf), &nsid);

		if (!n)
			break;
		if (n < 0) {
			again = true;
			if (n == -ENOBUFS)
				continue;
			log_limited(LOG_LEVEL_ERROR, "link: notifications: %s", strerror((int)-n));
			break;
		}
		messages = link_messages_of(buf, (size_t)n);
		while (link_messages_next(&messages, &m))
			again |= notice(l, &m, nsid);
	}
	if (again)
		link_check(l);
}

/*
 * What changed does not matter.  At once for the first, then a pause in which they heap up, or are
 * lost, as they like.
 */
static void routes_ready(struct loop_source *source, uint32_t events)
{
	struct link *l = container_of(source, struct link, routes);
	_Alignas(struct nlmsghdr) char buf[32768];
	bool changed = false;

	for (int i = 0; i < 256; i++) {
		int nsid;
		ssize_t n = netlink_receive(source->fd, buf, sizeof(buf), &nsid);

		if (!n)
			break;
		changed = true;
		if (n < 0 && n != -ENOBUFS)
			break;
	}
	if (!changed)
		return;
	loop_remove(l->loop, &l->routes);
	l->pausing = true;
	pause_arm(l, ROUTES_PAUSE_MS);
	l->events.routes(l->events.arg);
}

static void pause_ready(struct loop_source *source, uint32_t events)
{
	struct link *l = container_of(source, struct link, pause);
	uint64_t expired;

	if (read(source->fd, &expired, sizeof(expired)) < 0)
		return;
	if (l->pausing && !loop_add(l->loop, &l->routes, EPOLLIN))
		l->pausing = false;
	if (l->doomed || l->unread)
		link_check(l);
	/* Not enough memory to take it back, or not gone yet: later. */
	if (!l->gone && (l->pausing || l->doomed))
		pause_arm(l, ROUTES_PAUSE_MS);
}

/* ---- life ---- */

static int open_sockets(struct link *l)
{
	static const int groups[] = {RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE, RTNLGRP_IPV4_IFADDR,
		RTNLGRP_IPV6_IFADDR};
	struct timeval patience = {.tv_sec = 2};
	int one = 1, r;

	r = netlink_open(0, &l->ask_fd);
	if (r < 0)
		return r;
	/* The kernel answers while it takes the question; a lost answer must not hang us. */
	if (setsockopt(l->ask_fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0)
		return -errno;
	r = netlink_open(SOCK_NONBLOCK, &l->links.fd);
	if (r < 0)
		return r;
	if (setsockopt(l->links.fd, SOL_NETLINK, NETLINK_LISTEN_ALL_NSID, &one, sizeof(one)) < 0)
		log_info("link: no notifications from other network namespaces: %s", strerror(errno));
	r = join(l->links.fd, RTNLGRP_LINK);
	if (!r)
		r = join(l->links.fd, RTNLGRP_NSID);
	if (r < 0)
		return r;
	r = netlink_open(SOCK_NONBLOCK, &l->routes.fd);
	for (size_t i = 0; !r && i < array_size(groups); i++) {
		r = join(l->routes.fd, groups[i]);
		/* A kernel without IPv6 has no such groups. */
		if (r < 0 && (groups[i] == RTNLGRP_IPV6_ROUTE || groups[i] == RTNLGRP_IPV6_IFADDR))
			r = 0;
	}
	return r;
}

int link_new(struct loop *loop, int tun_fd, const struct link_events *events, struct link **ret)
{
	cleanup(link_freep) struct link *l = calloc(1, sizeof(*l));
	struct ifreq ifr = {0};
	int r;

	if (!l)
		return -ENOMEM;
	l->loop = loop;
	l->tun_fd = tun_fd;
	l->events = *events;
	l->nsid = OWN_NAMESPACE;
	l->ask_fd = l->links.fd = l->routes.fd = l->pause.fd = -1;
	l->links.ready = links_ready;
	l->routes.ready = routes_ready;
	l->pause.ready = pause_ready;
	if (ioctl(tun_fd, TUNGETIFF, &ifr) < 0)
		return -errno;
	memcpy(l->name, ifr.ifr_name, sizeof(l->name));
	r = open_sockets(l);
	if (r < 0)
		return r;
	l->pause.fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (l->pause.fd < 0)
		return -errno;
	*ret = steal(l);
	return 0;
}

int link_start(struct link *l)
{
	int r;

	r = loop_add(l->loop, &l->links, EPOLLIN);
	if (!r)
		r = loop_add(l->loop, &l->routes, EPOLLIN);
	if (!r)
		r = loop_add(l->loop, &l->pause, EPOLLIN);
	if (r < 0)
		return r;
	/* Notifications are collected since link_new(): what changes from here on is not missed. */
	l->started = true;
	return read_state(l);
}

bool link_is_up(const struct link *l)
{
	return l->up;
}

unsigned link_mtu(const struct link *l)
{
	return l->mtu;
}

const char *link_name(const struct link *l)
{
	return l->name;
}

void link_free(struct link *l)
{
	if (!l)
		return;
	if (l->started && !l->gone) {
		loop_remove(l->loop, &l->links);
		loop_remove(l->loop, &l->routes);
		loop_remove(l->loop, &l->pause);
	}
	close_fd(&l->ask_fd);
	close_fd(&l->links.fd);
	close_fd(&l->routes.fd);
	close_fd(&l->pause.fd);
	free(l);
}
