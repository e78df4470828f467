/* The sockets of tunnel/udp.h: made, taken over, marked. */
#include "tunnel/udp.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <netinet/udp.h>

#define BUFFER_BYTES (7 << 20)	 /* what SO_RCVBUF and SO_SNDBUF ask for */
#define PORT_TRIES 100		 /* for a port that is free for both families */

static int set_int(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value)) < 0 ? -errno : 0;
}

static int set_mark(int fd, uint32_t mark)
{
	return set_int(fd, SOL_SOCKET, SO_MARK, (int)mark);
}

static int set_options(int fd, int family, const struct udp_config *config)
{
	const char *device = config->bind.device;
	int r;

	if (family == AF_INET6) {
		r = set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
		r = r ? r : set_int(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
		r = r ? r : set_int(fd, IPPROTO_IPV6, IPV6_RECVTCLASS, 1);
		r = r ? r : set_int(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_DONT);
	} else {
		r = set_int(fd, IPPROTO_IP, IP_PKTINFO, 1);
		r = r ? r : set_int(fd, IPPROTO_IP, IP_RECVTOS, 1);
		r = r ? r : set_int(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT);
	}
	if (r < 0)
		return r;
	if (config->mark) {
		r = set_mark(fd, config->mark);
		if (r < 0)
			return r;
	}
	if (device[0] &&
		setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, device, (socklen_t)strlen(device)) < 0)
		return -errno;
	/*
	 * The second of each pair may exceed the system's limit, but needs CAP_NET_ADMIN; either
	 * may fail.
	 */
	(void)set_int(fd, SOL_SOCKET, SO_RCVBUF, BUFFER_BYTES);
	(void)set_int(fd, SOL_SOCKET, SO_SNDBUF, BUFFER_BYTES);
	(void)set_int(fd, SOL_SOCKET, SO_RCVBUFFORCE, BUFFER_BYTES);
	(void)set_int(fd, SOL_SOCKET, SO_SNDBUFFORCE, BUFFER_BYTES);
	(void)set_int(fd, SOL_SOCKET, SO_RXQ_OVFL, 1);
	/* Without it (before Linux 5.0) every datagram comes alone. */
	r = config->without & FAST_PATH_UDP_GRO ? 0 : set_int(fd, IPPROTO_UDP, UDP_GRO, 1);
	if (r < 0)
		fast_path_fell_back(FAST_PATH_UDP_GRO, FAST_PATH_KERNEL, -r);
	return 0;
}

/* Where a socket of the family is to be bound; its port is 0. */
static int bind_to(const struct bind *b, int family, union sockaddr_any *ret)
{
	const struct bind_address *a = bind_address_of(b, family);

	*ret = (union sockaddr_any){.any.sa_family = (sa_family_t)family};
	if (!bind_listens(b, family))
		return -EAFNOSUPPORT;
	if (family == AF_INET) {
		memcpy(&ret->in.sin_addr, a->bytes, 4);
		return 0;
	}
	memcpy(&ret->in6.sin6_addr, a->bytes, 16);
	if (a->scope[0]) {
		ret->in6.sin6_scope_id = if_nametoindex(a->scope);
		if (!ret->in6.sin6_scope_id)
			return -ENODEV;
	}
	return 0;
}

static int bound_port(int fd, uint16_t *ret)
{
	union sockaddr_any a = {0};
	socklen_t len = sizeof(a);

	if (getsockname(fd, &a.any, &len) < 0)
		return -errno;
	*ret = ntohs(a.any.sa_family == AF_INET6 ? a.in6.sin6_port : a.in.sin_port);
	return 0;
}

/* The device that a socket is bound to, by number: names move. */
static uint32_t device_of(int fd)
{
	int ifindex = 0;
	socklen_t len = sizeof(ifindex);

	(void)getsockopt(fd, SOL_SOCKET, SO_BINDTOIFINDEX, &ifindex, &len);
	return (uint32_t)ifindex;
}

static bool has_gso(int fd, const struct udp_config *config)
{
	int segment;
	socklen_t len = sizeof(segment);
	int r = getsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &segment, &len);

	if (r < 0)
		fast_path_fell_back(FAST_PATH_UDP_GSO, FAST_PATH_KERNEL, errno);
	return r == 0 && !(config->without & FAST_PATH_UDP_GSO);
}

/*
 * One socket per worker.  The first is bound like anybody's, so that a port in use is refused; only
 * then does it allow the others beside it.
 */
static int open_family(struct udp *u, int family, const struct udp_config *config, unsigned first,
	uint16_t *port)
{
	union sockaddr_any a;
	socklen_t len = family == AF_INET6 ? sizeof(a.in6) : sizeof(a.in);
	int r = bind_to(&config->bind, family, &a);

	if (r < 0)
		return r;
	for (unsigned i = first; i < config->workers; i++) {
		struct udp_queue *q = &u->queues[i];
		int *fd = family == AF_INET6 ? &q->fd6 : &q->fd4;

		*fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_UDP);
		/* A family that a container or a policy forbids is as good as missing. */
		if (*fd < 0)
			return errno == EPERM || errno == EACCES || errno == EPROTONOSUPPORT
				? -EAFNOSUPPORT
				: -errno;
		*(family == AF_INET6 ? &q->gso6 : &q->gso4) = has_gso(*fd, config);
		r = set_options(*fd, family, config);
		if (r == 0 && i > 0)
			r = set_int(*fd, SOL_SOCKET, SO_REUSEPORT, 1);
		if (r < 0)
			return r;
		if (family == AF_INET6)
			a.in6.sin6_port = htons(*port);
		else
			a.in.sin_port = htons(*port);
		if (bind(*fd, &a.any, len) < 0)
			return -errno;
		r = bound_port(*fd, port);
		if (r == 0 && i == 0 && config->workers > 1)
			r = set_int(*fd, SOL_SOCKET, SO_REUSEPORT, 1);
		if (r < 0)
			return r;
	}
	return 0;
}

static void close_family(struct udp *u, int family)
{
	for (unsigned i = 0; i < u->room; i++) {
		int *fd = family == AF_INET6 ? &u->queues[i].fd6 : &u->queues[i].fd4;

		close_fd(fd);
		*fd = -1;
	}
}

/* Not there, and not asked for either.  Where IPv6 is disabled, its socket cannot be bound. */
static bool family_is_missing(const struct bind *b, int family, int r)
{
	if (bind_address_of(b, family)->family)
		return false;
	return r == -EAFNOSUPPORT || r == -EADDRNOTAVAIL;
}

/*
 * How many segments the kernel takes in one message: 64, and 128 since Linux 6.9.  Asked once, by a
 * message of one-byte datagrams to ourselves.
 */
static unsigned probe_max_segments(void)
{
	cleanup(close_fd) int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);
	uint8_t bytes[128] = {0};

	if (fd >= 0 && bind(fd, (void *)&a, len) == 0 && getsockname(fd, (void *)&a, &len) == 0 &&
		connect(fd, (void *)&a, len) == 0 && set_int(fd, IPPROTO_UDP, UDP_SEGMENT, 1) == 0 &&
		send(fd, bytes, sizeof(bytes), 0) == sizeof(bytes))
		return sizeof(bytes);
	return 64;
}

static void open_routes(struct udp_queue *q, const struct udp *u, unsigned without)
{
	q->owner = u;
	q->routes_fd = -1;
	if (without & FAST_PATH_ROUTE_QUERY)
		return;
	q->routes_fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (q->routes_fd < 0)
		udp_no_route_query(q, errno);
}

static struct udp *udp_new(const struct udp_config *config, unsigned room)
{
	struct udp *u = calloc(1, sizeof(*u) + room * sizeof(u->queues[0]));

	if (!u)
		return NULL;
	fast_path_tried_again(FAST_PATH_UDP_GSO | FAST_PATH_UDP_GRO);
	u->mark = config->mark;
	u->room = room;
	u->control.routes_fd = -1;
	for (unsigned i = 0; i < u->room; i++)
		u->queues[i].fd4 = u->queues[i].fd6 = u->queues[i].routes_fd = -1;
	return u;
}

/* The sockets are there: what else it takes to send. */
static void finish(struct udp *u, const struct udp_config *config)
{
	const struct udp_queue *first = &u->queues[0];
	unsigned max_segments = probe_max_segments();

	fast_path_tried_again(FAST_PATH_ROUTE_QUERY);
	if (config->bind.device[0])
		u->device_ifindex = device_of(first->fd4 < 0 ? first->fd6 : first->fd4);
	for (unsigned i = 0; i < u->room; i++) {
		u->queues[i].max_segments = max_segments;
		open_routes(&u->queues[i], u, config->without);
	}
	u->control = u->queues[0];
	open_routes(&u->control, u, config->without);
}

int udp_open(const struct udp_config *config, struct udp **ret)
{
	cleanup(udp_freep) struct udp *u = NULL;
	int r4 = 0, r6 = 0;

	if (config->workers < 1 || config->workers > UDP_WORKERS_MAX)
		return -EINVAL;
	u = udp_new(config, config->workers);
	if (!u)
		return -ENOMEM;
	u->n_queues = config->workers;

	for (unsigned tries = 0; tries < PORT_TRIES; tries++) {
		u->port = config->port;
		r4 = open_family(u, AF_INET, config, 0, &u->port);
		if (r4 < 0)
			close_family(u, AF_INET);
		if (r4 < 0 && !family_is_missing(&config->bind, AF_INET, r4))
			return r4;
		r6 = open_family(u, AF_INET6, config, 0, &u->port);
		if (r6 < 0)
			close_family(u, AF_INET6);
		if (r6 == -EADDRINUSE && config->port == 0) {
			close_family(u, AF_INET);
			continue;
		}
		break;
	}
	if (r6 < 0 && !family_is_missing(&config->bind, AF_INET6, r6))
		return r6;
	if (r4 < 0 && r6 < 0)
		return -EAFNOSUPPORT;
	if (bind_listens(&config->bind, r4 < 0 ? AF_INET : AF_INET6) && (r4 < 0 || r6 < 0))
		log_info("udp: no %s here: %s", r4 < 0 ? "IPv4" : "IPv6", strerror(r4 < 0 ? -r4 : -r6));
	finish(u, config);
	*ret = steal(u);
	return 0;
}

/* ---- from another process ---- */

static int adopt_family(int fd, int family, const struct udp_config *config, bool *ret_gso)
{
	union sockaddr_any a = {0};
	socklen_t len = sizeof(a), type_len = sizeof(int);
	int type, gro = !(config->without & FAST_PATH_UDP_GRO);

	if (getsockname(fd, &a.any, &len) < 0 ||
		getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &type_len) < 0)
		return -errno;
	if (a.any.sa_family != family || type != SOCK_DGRAM)
		return -EBADF;
	(void)set_int(fd, IPPROTO_UDP, UDP_GRO, gro);
	*ret_gso = has_gso(fd, config);
	return 0;
}

int udp_adopt(const struct udp_config *config, const int fd4[], const int fd6[], unsigned n,
	struct udp **ret)
{
	cleanup(udp_freep) struct udp *u = NULL;
	int r = 0;

	if (config->workers < 1 || config->workers > UDP_WORKERS_MAX || n < 1 || n > UDP_WORKERS_MAX)
		return -EINVAL;
	u = udp_new(config, max(n, config->workers));
	if (!u)
		return -ENOMEM;
	for (unsigned i = 0; r == 0 && i < n; i++) {
		struct udp_queue *q = &u->queues[i];

		r = fd4[i] >= 0 ? adopt_family(fd4[i], AF_INET, config, &q->gso4) : 0;
		if (r == 0 && fd6[i] >= 0)
			r = adopt_family(fd6[i], AF_INET6, config, &q->gso6);
	}
	if (r < 0)
		return r;
	for (unsigned i = 0; i < n; i++) {
		u->queues[i].fd4 = fd4[i];
		u->queues[i].fd6 = fd6[i];
	}
	u->port = config->port;
	u->adopted = true;
	u->n_queues = n;
	finish(u, config);
	*ret = steal(u);
	return 0;
}

static void grow_family(struct udp *u, int family, const struct udp_config *config, unsigned first)
{
	const struct udp_queue *q0 = &u->queues[0];
	int fd = family == AF_INET6 ? q0->fd6 : q0->fd4;
	uint16_t port = u->port;
	int r;

	if (fd < 0)
		return;
	r = set_int(fd, SOL_SOCKET, SO_REUSEPORT, 1);
	r = r < 0 ? r : open_family(u, family, config, first, &port);
	if (r >= 0)
		return;
	log_error("udp: no socket for each worker: %s", strerror(-r));
	for (unsigned i = first; i < config->workers; i++) {
		struct udp_queue *q = &u->queues[i];
		int *into = family == AF_INET6 ? &q->fd6 : &q->fd4;

		close_fd(into);
		*into = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	}
}

void udp_grow(struct udp *u, const struct udp_config *config)
{
	unsigned first = u->n_queues;

	if (first >= config->workers)
		return;
	grow_family(u, AF_INET, config, first);
	grow_family(u, AF_INET6, config, first);
	u->n_queues = config->workers;
}

void udp_free(struct udp *u)
{
	close_family(u, AF_INET);
	close_family(u, AF_INET6);
	close_fd(&u->control.routes_fd);
	for (unsigned i = 0; i < u->room; i++)
		close_fd(&u->queues[i].routes_fd);
	free(u);
}

/* Ends with the first that is refused. */
static int mark_all(const struct udp *u, uint32_t mark)
{
	for (unsigned i = 0; i < u->n_queues; i++) {
		const struct udp_queue *q = &u->queues[i];
		int r = q->fd4 >= 0 ? set_mark(q->fd4, mark) : 0;

		if (r == 0 && q->fd6 >= 0)
			r = set_mark(q->fd6, mark);
		if (r < 0)
			return r;
	}
	return 0;
}

int udp_set_mark(struct udp *u, uint32_t mark)
{
	int r = mark_all(u, mark);

	if (r < 0) {
		(void)mark_all(u, u->mark);
		return r;
	}
	u->mark = mark;
	udp_routes_changed(u);
	return 0;
}

void udp_routes_changed(struct udp *u)
{
	u->routes++;
}
