#include "tunnel/udp.h"
#include "base/clock.h"
#include "base/log.h"
#include "tunnel/netlink.h"

#include <errno.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdio.h>
#include <sys/mman.h>

#define RUN_BYTES_MAX 65507	 /* payload of one IPv4 message, and of an IPv6 one */
#define PATH_RETRY_NS (10ull * 1000000000)
#define WAIT_MS 5		 /* for a full socket buffer, once per udp_send() */
#define CONTROL_LEN (CMSG_SPACE(sizeof(struct in6_pktinfo)) + 3 * CMSG_SPACE(sizeof(int)))

/* ---- receive ---- */

struct udp_rx {
	struct udp_run		 runs[UDP_SLOTS];
	struct mmsghdr		 messages[UDP_SLOTS];
	struct iovec		 iov[UDP_SLOTS];
	union sockaddr_any	 names[UDP_SLOTS];
	/* Packet information, TOS, segment size, overflows. */
	_Alignas(struct cmsghdr)
		uint8_t control[UDP_SLOTS][CONTROL_LEN + CMSG_SPACE(sizeof(uint32_t))];
	uint8_t			*slots;
};

int udp_rx_new(struct udp_rx **ret)
{
	cleanup(free_ptr) struct udp_rx *rx = calloc(1, sizeof(*rx));
	void *slots;

	if (!rx)
		return -ENOMEM;
	/* Fresh pages: slots that are never filled cost nothing. */
	slots = mmap(NULL, (size_t)UDP_SLOTS * UDP_SLOT_SIZE, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (slots == MAP_FAILED)
		return -ENOMEM;
	rx->slots = slots;
	for (unsigned i = 0; i < UDP_SLOTS; i++) {
		rx->runs[i].data = rx->slots + (size_t)i * UDP_SLOT_SIZE;
		rx->iov[i] = (struct iovec){rx->runs[i].data, UDP_SLOT_SIZE};
	}
	*ret = steal(rx);
	return 0;
}

void udp_rx_free(struct udp_rx *rx)
{
	if (!rx)
		return;
	munmap(rx->slots, (size_t)UDP_SLOTS * UDP_SLOT_SIZE);
	free(rx);
}

void udp_run_control(struct udp_run *run, struct msghdr *h)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c; c = CMSG_NXTHDR(h, c)) {
		const uint8_t *data = CMSG_DATA(c);
		size_t room = h->msg_controllen - (size_t)((uint8_t *)c - (uint8_t *)h->msg_control);
		size_t len = c->cmsg_len - CMSG_LEN(0);
		int value = 0;

		if (c->cmsg_len < CMSG_LEN(0) || c->cmsg_len > room)
			break;
		if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
			struct in_pktinfo info;

			if (len < sizeof(info))
				continue;
			memcpy(&info, data, sizeof(info));
			memcpy(run->from.src, &info.ipi_spec_dst, 4);
			run->from.src_ifindex = (uint32_t)info.ipi_ifindex;
		} else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
			struct in6_pktinfo info;

			if (len < sizeof(info))
				continue;
			memcpy(&info, data, sizeof(info));
			memcpy(run->from.src, &info.ipi6_addr, 16);
			if (IN6_IS_ADDR_LINKLOCAL(&info.ipi6_addr))
				run->from.src_ifindex = info.ipi6_ifindex;
		} else if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_RXQ_OVFL) {
			memcpy(&run->overflows, data, min(len, sizeof(run->overflows)));
		} else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TOS) {
			run->tos = len ? data[0] : 0;
		} else {
			memcpy(&value, data, min(len, sizeof(value)));
			if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_TCLASS)
				run->tos = (uint8_t)value;
			else if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO && value > 0)
				run->segment = min((uint32_t)value, run->len);
		}
	}
}

int udp_receive(struct udp_rx *rx, int fd, struct udp_run **ret_runs)
{
	int n;

	for (unsigned i = 0; i < UDP_SLOTS; i++)
		rx->messages[i].msg_hdr = (struct msghdr){
			.msg_name = &rx->names[i],
			.msg_namelen = sizeof(rx->names[i]),
			.msg_iov = &rx->iov[i],
			.msg_iovlen = 1,
			.msg_control = rx->control[i],
			.msg_controllen = sizeof(rx->control[i]),
		};
	do
		n = recvmmsg(fd, rx->messages, UDP_SLOTS, MSG_DONTWAIT, NULL);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN ? 0 : -errno;
	for (int i = 0; i < n; i++) {
		struct udp_run *run = &rx->runs[i];
		const union sockaddr_any *a = &rx->names[i];

		run->len = run->segment = rx->messages[i].msg_len;
		run->tos = 0;
		run->overflows = 0;
		run->truncated = (rx->messages[i].msg_hdr.msg_flags & MSG_TRUNC) != 0;
		memset(&run->from, 0, sizeof(run->from));
		if (a->any.sa_family == AF_INET6)
			run->from.dst = wg_addr_v6(&a->in6.sin6_addr, ntohs(a->in6.sin6_port),
				a->in6.sin6_scope_id);
		else
			run->from.dst = wg_addr_v4(&a->in.sin_addr, ntohs(a->in.sin_port));
		udp_run_control(run, &rx->messages[i].msg_hdr);
	}
	*ret_runs = rx->runs;
	return n;
}

/* ---- send ---- */

/* One kernel message: a piece of a udp_message. */
struct piece {
	struct udp_message	*m;
	const uint8_t		*data;
	uint32_t		 len, segment;
	struct iovec		 iov;
	union sockaddr_any	 name;
	_Alignas(struct cmsghdr) uint8_t control[CONTROL_LEN];
};

struct batch {
	unsigned	 n;
	uint8_t		 family;
	bool		 waited;
	struct mmsghdr	 messages[UDP_SEND_MAX];
	struct piece	 pieces[UDP_SEND_MAX];
};

static bool has_source(const struct wg_endpoint *e)
{
	static const uint8_t none[16];

	return e->src_ifindex != 0 || memcmp(e->src, none, sizeof(none)) != 0;
}

void udp_no_route_query(struct udp_queue *q, int why)
{
	close_fd(&q->routes_fd);
	q->routes_fd = -1;
	fast_path_fell_back(FAST_PATH_ROUTE_QUERY, FAST_PATH_KERNEL, why);
	log_limited(LOG_LEVEL_INFO, "udp: cannot ask for routes: %s", strerror(why));
}

/*
 * Is there a route to ${e} from its source?  1, 0, or < 0: the system did not say.  An IPv4 socket
 * that is told an interface which has no route takes the destination to be on that link, and never
 * says that nobody is there: only the table knows.
 */
static int ask_route(struct udp_queue *q, const struct wg_endpoint *e)
{
	_Alignas(struct nlmsghdr) uint8_t buf[2048] = {0};
	struct nlmsghdr *nlh = (void *)buf;
	struct rtmsg *rt = NLMSG_DATA(nlh);
	uint16_t len = e->dst.family == AF_INET6 ? 16 : 4;
	uint32_t mark = q->owner->mark;
	uint32_t out = e->src_ifindex ? e->src_ifindex : q->owner->device_ifindex;
	ssize_t n;

	*nlh = (struct nlmsghdr){.nlmsg_len = NLMSG_LENGTH(sizeof(*rt)),
		.nlmsg_type = RTM_GETROUTE,
		.nlmsg_flags = NLM_F_REQUEST};
	*rt = (struct rtmsg){.rtm_family = e->dst.family,
		.rtm_dst_len = (uint8_t)(len * 8),
		.rtm_src_len = (uint8_t)(len * 8),
		.rtm_flags = RTM_F_FIB_MATCH};
	netlink_put(nlh, RTA_DST, e->dst.bytes, len);
	netlink_put(nlh, RTA_SRC, e->src, len);
	if (out)
		netlink_put_u32(nlh, RTA_OIF, out);
	if (mark)
		netlink_put_u32(nlh, RTA_MARK, mark);
	if (send(q->routes_fd, nlh, nlh->nlmsg_len, 0) < 0)
		return -errno;
	/* The kernel answers while it takes the question. */
	n = recv(q->routes_fd, buf, sizeof(buf), MSG_DONTWAIT);
	if (n < 0)
		return -errno;
	if (!NLMSG_OK(nlh, (size_t)n))
		return -EBADMSG;
	return nlh->nlmsg_type != NLMSG_ERROR;
}

/* Where it is known whether ${key}'s source works, or where that is to be written. */
static struct udp_way *way_for(struct udp_queue *q, const struct wg_endpoint *key, unsigned routes)
{
	unsigned hash = 2166136261u;
	struct udp_way *set, *old = NULL;

	for (unsigned i = 0; i < sizeof(key->src); i++)
		hash = (hash ^ key->dst.bytes[i] ^ (uint32_t)key->src[i] << 8) * 16777619u;
	set = &q->ways[(hash >> 16) * UDP_WAYS_TOGETHER % UDP_WAYS_MAX];
	for (unsigned i = 0; i < UDP_WAYS_TOGETHER; i++) {
		if (wg_endpoint_equal(&set[i].endpoint, key))
			return &set[i];
		if (!set[i].endpoint.dst.family || set[i].routes != routes)
			old = &set[i];
	}
	return old ? old : &set[q->ways_turn++ % UDP_WAYS_TOGETHER];
}

/*
 * Can ${e}'s source be used?  Not without a route from it, for IPv4 by its interface.
 */
static bool source_works(struct udp_queue *q, const struct wg_endpoint *e)
{
	struct wg_endpoint key = *e;
	unsigned routes = q->owner->routes;
	struct udp_way *way;
	int r;

	if (q->routes_fd < 0 || e->dst.scope_id)
		return true;
	key.dst.port = 0;
	way = way_for(q, &key, routes);
	if (wg_endpoint_equal(&way->endpoint, &key) && way->routes == routes)
		return way->works;
	r = ask_route(q, e);
	/* A policy, and for good: each question would cost a call for nothing. */
	if (r == -EPERM || r == -EACCES)
		udp_no_route_query(q, -r);
	/* Other errors are of the moment: there was no memory, say. */
	if (r < 0)
		return true;
	*way = (struct udp_way){.endpoint = key, .routes = routes, .works = r > 0};
	return way->works;
}

static unsigned n_datagrams(uint32_t len, uint32_t segment)
{
	return segment == 0 || len <= segment ? 1 : (len + segment - 1) / segment;
}

/* The entries among which this path may be: UDP_PATHS_TOGETHER from here on. */
static struct udp_path *paths_for(struct udp_queue *q, const struct wg_addr *dst)
{
	unsigned hash = (2166136261u ^ dst->port) * 16777619u;

	for (unsigned i = 0; i < sizeof(dst->bytes); i++)
		hash = (hash ^ dst->bytes[i]) * 16777619u;
	return &q->paths[(hash >> 16) * UDP_PATHS_TOGETHER % UDP_PATHS_MAX];
}

/*
 * Segments this long, and longer ones, cannot go there as runs: errno ${why}.  Another path may be
 * forgotten.
 */
static void path_refused(struct udp_queue *q, const struct wg_addr *dst, uint32_t segment, int why)
{
	struct udp_path *set = paths_for(q, dst), *p = NULL, *oldest = &set[0];

	for (unsigned i = 0; i < UDP_PATHS_TOGETHER && !p; i++) {
		if (wg_addr_equal(&set[i].dst, dst))
			p = &set[i];
		/* Free ones have 0 there. */
		if (set[i].until_ns < oldest->until_ns)
			oldest = &set[i];
	}
	if (!p) {
		p = oldest;
		q->n_paths += p->until_ns == 0;
		p->segment = UINT32_MAX;
	}
	p->dst = *dst;
	p->segment = min(p->segment, segment);
	p->until_ns = clock_ns(CLOCK_MONOTONIC_COARSE) + PATH_RETRY_NS;
	fast_path_fell_back(FAST_PATH_UDP_GSO, FAST_PATH_PATHS, why);
}

static bool path_takes_runs(struct udp_queue *q, const struct wg_addr *dst, uint32_t segment)
{
	struct udp_path *set;

	if (likely(!q->n_paths))
		return true;
	set = paths_for(q, dst);
	for (unsigned i = 0; i < UDP_PATHS_TOGETHER; i++) {
		if (!wg_addr_equal(&set[i].dst, dst))
			continue;
		if (clock_ns(CLOCK_MONOTONIC_COARSE) < set[i].until_ns)
			return segment < set[i].segment;
		set[i] = (struct udp_path){0};
		q->n_paths--;
	}
	return true;
}

/* Append one control message to ${h}, whose buffer has room by its size. */
static void put_control(struct msghdr *h, int level, int type, const void *data, size_t len)
{
	struct cmsghdr *c = (void *)((uint8_t *)h->msg_control + h->msg_controllen);

	c->cmsg_level = level;
	c->cmsg_type = type;
	c->cmsg_len = CMSG_LEN(len);
	memcpy(CMSG_DATA(c), data, len);
	h->msg_controllen += CMSG_SPACE(len);
}

/*
 * Everything is set anew each time: no field of an earlier message, of whatever family, can remain.
 */
static void fill_header(struct piece *p, struct msghdr *h, bool with_source)
{
	const struct wg_endpoint *e = p->m->to;
	bool v6 = e->dst.family == AF_INET6;
	int tos = p->m->tos, ttl = p->m->ttl;

	memset(&p->name, 0, sizeof(p->name));
	memset(p->control, 0, sizeof(p->control));
	p->iov = (struct iovec){(void *)(uintptr_t)p->data, p->len};
	*h = (struct msghdr){
		.msg_name = &p->name,
		.msg_namelen = v6 ? sizeof(p->name.in6) : sizeof(p->name.in),
		.msg_iov = &p->iov,
		.msg_iovlen = 1,
		.msg_control = p->control,
	};
	if (v6) {
		p->name.in6.sin6_family = AF_INET6;
		p->name.in6.sin6_port = htons(e->dst.port);
		p->name.in6.sin6_scope_id = e->dst.scope_id;
		memcpy(&p->name.in6.sin6_addr, e->dst.bytes, 16);
	} else {
		p->name.in.sin_family = AF_INET;
		p->name.in.sin_port = htons(e->dst.port);
		memcpy(&p->name.in.sin_addr, e->dst.bytes, 4);
	}
	if (with_source && v6) {
		struct in6_pktinfo info = {.ipi6_ifindex = e->src_ifindex};

		memcpy(&info.ipi6_addr, e->src, 16);
		put_control(h, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof(info));
	} else if (with_source) {
		struct in_pktinfo info = {.ipi_ifindex = (int)e->src_ifindex};

		memcpy(&info.ipi_spec_dst, e->src, 4);
		put_control(h, IPPROTO_IP, IP_PKTINFO, &info, sizeof(info));
	}
	if (tos && v6)
		put_control(h, IPPROTO_IPV6, IPV6_TCLASS, &tos, sizeof(tos));
	else if (tos)
		put_control(h, IPPROTO_IP, IP_TOS, &tos, sizeof(tos));
	if (ttl && v6)
		put_control(h, IPPROTO_IPV6, IPV6_HOPLIMIT, &ttl, sizeof(ttl));
	else if (ttl)
		put_control(h, IPPROTO_IP, IP_TTL, &ttl, sizeof(ttl));
	if (n_datagrams(p->len, p->segment) > 1) {
		uint16_t segment = (uint16_t)p->segment;

		put_control(h, IPPROTO_UDP, UDP_SEGMENT, &segment, sizeof(segment));
	}
	if (h->msg_controllen == 0)
		h->msg_control = NULL;
}

static void count_sent(struct udp_queue *q, const struct piece *p)
{
	q->counters.sends++;
	q->counters.datagrams += n_datagrams(p->len, p->segment);
}

static void drop_piece(struct udp_queue *q, const struct piece *p, int r)
{
	unsigned n = n_datagrams(p->len, p->segment);

	p->m->error = r;
	p->m->dropped += n;
	q->counters.dropped += n;
}

/* One message, now; waits once per batch for room in the socket's buffer. */
static int try_piece(
	struct udp_queue *q, struct batch *b, int fd, struct piece *p, bool with_source)
{
	struct msghdr h;

	fill_header(p, &h, with_source);
	for (;;) {
		struct pollfd pfd = {.fd = fd, .events = POLLOUT};

		if (sendmsg(fd, &h, MSG_DONTWAIT) >= 0) {
			count_sent(q, p);
			return 0;
		}
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN || b->waited)
			return -errno;
		b->waited = true;
		q->counters.waits++;
		(void)poll(&pfd, 1, WAIT_MS);
	}
}

static bool source_may_be_why(int r)
{
	return r == -EINVAL || r == -EADDRNOTAVAIL || r == -ENETUNREACH || r == -EHOSTUNREACH ||
		r == -ENETDOWN || r == -ENODEV || r == -ENXIO;
}

/* A piece that the kernel refused with ${r}: again without what may be the reason. */
static int retry_piece(struct udp_queue *q, struct batch *b, int fd, struct piece *p, int r)
{
	bool source = has_source(p->m->to);

	if (r == -EAGAIN)
		r = try_piece(q, b, fd, p, source && !p->m->source_refused);
	/*
	 * The batch may have been filled before its first message said that the source is refused.
	 */
	if (r < 0 && source && source_may_be_why(r)) {
		int without = try_piece(q, b, fd, p, false);

		if (without == 0)
			p->m->source_refused = true;
		/* What it says without a source is the better reason. */
		r = without;
	}
	return r;
}

/* A run that the kernel refused as a whole: one by one. */
static void send_in_pieces(struct udp_queue *q, struct batch *b, int fd, const struct piece *run)
{
	struct piece p = *run;

	q->counters.refused_runs++;
	for (uint32_t at = 0; at < run->len; at += run->segment) {
		int r;

		p.data = run->data + at;
		p.len = min(run->segment, run->len - at);
		r = try_piece(q, b, fd, &p, has_source(p.m->to) && !p.m->source_refused);
		if (r < 0)
			r = retry_piece(q, b, fd, &p, r);
		if (r < 0)
			drop_piece(q, &p, r);
	}
}

static void send_failed(struct udp_queue *q, struct batch *b, int fd, struct piece *p, int r)
{
	bool run = n_datagrams(p->len, p->segment) > 1;

	r = retry_piece(q, b, fd, p, r);
	if (r == 0)
		return;
	if (run && r == -EIO) {
		/*
		 * The device that this path leaves by has no checksum offload, or IPsec is on the
		 * way: of other paths it says nothing, and routes change.
		 */
		if (!q->told_no_runs)
			log_info("udp: the kernel cannot segment on the way to a peer: single datagrams family=%s",
				b->family == AF_INET6 ? "ipv6" : "ipv4");
		q->told_no_runs = true;
		path_refused(q, &p->m->to->dst, 0, -r);
		send_in_pieces(q, b, fd, p);
	} else if (run && (r == -EMSGSIZE || r == -EINVAL)) {
		/* A segment does not fit the path; alone, it is fragmented. */
		log_limited(LOG_LEVEL_VERBOSE, "udp: a path refuses runs bytes=%u: %s", p->segment,
			strerror(-r));
		path_refused(q, &p->m->to->dst, p->segment, -r);
		send_in_pieces(q, b, fd, p);
	} else {
		drop_piece(q, p, r);
	}
}

static void flush_batch(struct udp_queue *q, struct batch *b)
{
	int fd = b->family == AF_INET6 ? q->fd6 : q->fd4;

	for (unsigned i = 0; i < b->n;) {
		int r = sendmmsg(fd, &b->messages[i], b->n - i, MSG_DONTWAIT);

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0) {
			send_failed(q, b, fd, &b->pieces[i], -errno);
			i++;
			continue;
		}
		for (; r > 0; r--)
			count_sent(q, &b->pieces[i++]);
	}
	b->n = 0;
}

unsigned udp_send(struct udp_queue *q, struct udp_message messages[], unsigned n)
{
	struct batch b;
	unsigned dropped = 0;

	b.n = 0;
	b.family = 0;
	b.waited = false;
	for (unsigned i = 0; i < n; i++) {
		struct udp_message *m = &messages[i];
		uint8_t family = m->to->dst.family;
		uint32_t segment = m->segment && m->segment < m->len ? m->segment : m->len;
		uint32_t step = segment;

		m->source_refused = false;
		m->error = 0;
		m->dropped = 0;
		if ((family != AF_INET || q->fd4 < 0) && (family != AF_INET6 || q->fd6 < 0)) {
			m->error = -EAFNOSUPPORT;
			m->dropped = n_datagrams(m->len, segment);
			q->counters.dropped += m->dropped;
			continue;
		}
		m->source_refused = has_source(m->to) && !source_works(q, m->to);
		if (b.n && family != b.family)
			flush_batch(q, &b);
		b.family = family;
		if (segment < m->len && (family == AF_INET6 ? q->gso6 : q->gso4) &&
			path_takes_runs(q, &m->to->dst, segment)) {
			unsigned fit = min(q->max_segments, RUN_BYTES_MAX / segment);

			step = segment * max(fit, 1u);
		}
		for (uint32_t at = 0; at < m->len || at == 0; at += step) {
			struct piece *p;

			if (b.n == UDP_SEND_MAX)
				flush_batch(q, &b);
			p = &b.pieces[b.n];
			p->m = m;
			p->data = m->data + at;
			p->len = min(step, m->len - at);
			p->segment = segment;
			fill_header(p, &b.messages[b.n].msg_hdr,
				has_source(m->to) && !m->source_refused);
			b.n++;
			if (m->len == 0)
				break;
		}
	}
	if (b.n)
		flush_batch(q, &b);
	for (unsigned i = 0; i < n; i++) {
		dropped += messages[i].dropped;
		/* What fails without it too does not fail for its source. */
		messages[i].source_refused &= !messages[i].error;
		q->counters.refused_sources += messages[i].source_refused;
	}
	return dropped;
}
