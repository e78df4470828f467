/*
 * Real sockets on loopback, in a network namespace of the test's own where that is allowed (root); the addresses
 * 127.0.0.2, 127.0.0.3 and, in the namespace, fd00:1::1 to ::3 are local.
 */
#include "base/test.h"
#include "tunnel/udp.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static uint8_t bytes[65536 * 2];
static bool own_namespace;

static struct wg_addr addr(const char *text, uint16_t port)
{
	uint8_t a[16];

	if (inet_pton(AF_INET, text, a) == 1)
		return wg_addr_v4(a, port);
	CHECK_EQ(inet_pton(AF_INET6, text, a), 1);
	return wg_addr_v6(a, port, 0);
}

static struct wg_endpoint to(const char *text, uint16_t port)
{
	return (struct wg_endpoint){.dst = addr(text, port)};
}

static struct udp *open_or_fail(uint16_t port, unsigned workers)
{
	struct udp_config c = {.port = port, .workers = workers};
	struct udp *u = NULL;

	CHECK_EQ(udp_open(&c, &u), 0);
	CHECK(u->port != 0);
	return u;
}

static struct udp_message message(const struct wg_endpoint *e, uint32_t len, uint32_t segment)
{
	return (struct udp_message){.to = e, .data = bytes, .len = len, .segment = segment};
}

/* Datagrams that come in on ${fd}, in order, copied. */
struct inbox {
	unsigned		n, runs;
	struct wg_endpoint	from[256];
	uint32_t		len[256];
	uint8_t			tos[256];
	uint8_t			data[256][64];	/* the beginning of each */
	bool			same;		/* each equals what lies in bytes[] behind the one before */
	bool			truncated;
};

static void take(struct inbox *in, int fd, unsigned want)
{
	struct udp_rx *rx;
	uint32_t at = 0;

	memset(in, 0, sizeof(*in));
	in->same = true;
	CHECK_EQ(udp_rx_new(&rx), 0);
	while (in->n < want) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		struct udp_run *runs;
		int n;

		if (poll(&p, 1, 60000) == 0)
			break;
		n = udp_receive(rx, fd, &runs);
		CHECK(n >= 0);
		for (int i = 0; i < n; i++) {
			in->runs++;
			in->truncated |= runs[i].truncated;
			CHECK(runs[i].segment > 0 || runs[i].len == 0);
			for (uint32_t o = 0; o < runs[i].len || o == 0; o += runs[i].segment) {
				uint32_t len = min(runs[i].segment, runs[i].len - o);

				CHECK(in->n < 256);
				in->from[in->n] = runs[i].from;
				in->tos[in->n] = runs[i].tos;
				in->len[in->n] = len;
				memcpy(in->data[in->n], runs[i].data + o, min(len, 64u));
				if (at + len > sizeof(bytes) || memcmp(runs[i].data + o, bytes + at, len))
					in->same = false;
				at += len;
				in->n++;
				if (len == 0)
					break;
			}
		}
	}
	udp_rx_free(rx);
	CHECK_EQ(in->n, want);
}

static struct inbox in;

static void check_quiet(int fd)
{
	struct udp_rx *rx;
	struct udp_run *runs;

	CHECK_EQ(udp_rx_new(&rx), 0);
	CHECK_EQ(udp_receive(rx, fd, &runs), 0);
	udp_rx_free(rx);
}

static void runs_travel(void)
{
	struct udp *a = open_or_fail(0, 1), *b = open_or_fail(0, 1);

	for (unsigned v6 = 0; v6 < 2; v6++) {
		const char *where = v6 ? "::1" : "127.0.0.1";
		struct wg_endpoint e = to(where, b->port);
		struct wg_addr from = addr(where, a->port);
		int fd = v6 ? b->queues[0].fd6 : b->queues[0].fd4;
		static const struct {
			uint32_t len, segment;
		} shapes[] = {{45 * 1452, 1452}, {45 * 1452 - 700, 1452}, {60 * 1452, 1452}, {64, 64}, {64, 1000},
			{200 * 96 + 5, 96}, {130, 1}, {65507, 65507}, {2 * 40000, 40000}, {1453, 1452}};

		for (size_t i = 0; i < array_size(shapes); i++) {
			struct udp_message m = message(&e, shapes[i].len, shapes[i].segment);
			uint32_t segment = shapes[i].segment;
			unsigned n = (m.len + segment - 1) / segment;

			CHECK_EQ(udp_send(&a->queues[0], &m, 1), 0);
			CHECK_EQ(m.error, 0);
			CHECK(!m.source_refused);
			take(&in, fd, n);
			CHECK(in.same);
			for (unsigned k = 0; k < n; k++) {
				CHECK_EQ(in.len[k], k + 1 < n ? segment : m.len - (n - 1) * segment);
				/* Our address and the sender's, for each of them. */
				CHECK(wg_addr_equal(&in.from[k].dst, &from));
				CHECK_MEM(in.from[k].src, from.bytes, 16);
				CHECK_EQ(in.from[k].src_ifindex, v6 ? 0 : if_nametoindex("lo"));
			}
			if (i == 0)
				CHECK(in.runs == 1); /* GRO kept it whole */
			check_quiet(fd);
		}
	}
	CHECK_EQ(a->queues[0].counters.dropped, 0);
	udp_free(a);
	udp_free(b);
}

static void sticky_source(void)
{
	struct udp *a = open_or_fail(0, 1), *b = open_or_fail(0, 1);
	struct wg_endpoint e = to("127.0.0.1", b->port), back;
	struct udp_message m = message(&e, 3000, 1000);
	struct wg_addr three = addr("127.0.0.3", 0);

	/* From 127.0.0.2 by request; the receiver sees it, and that it was sent to 127.0.0.1. */
	memcpy(e.src, addr("127.0.0.2", 0).bytes, 16);
	CHECK_EQ(udp_send(&a->queues[0], &m, 1), 0);
	CHECK(!m.source_refused);
	take(&in, b->queues[0].fd4, 3);
	for (unsigned i = 0; i < 3; i++)
		CHECK_MEM(in.from[i].dst.bytes, addr("127.0.0.2", 0).bytes, 16);

	/* To 127.0.0.3: the answer leaves from there. */
	e = to("127.0.0.3", b->port);
	CHECK_EQ(udp_send(&a->queues[0], &m, 1), 0);
	take(&in, b->queues[0].fd4, 3);
	back = in.from[2];
	CHECK_MEM(back.src, three.bytes, 16);
	m = message(&back, 2000, 1000);
	CHECK_EQ(udp_send(&b->queues[0], &m, 1), 0);
	CHECK(!m.source_refused);
	take(&in, a->queues[0].fd4, 2);
	CHECK_MEM(in.from[0].dst.bytes, three.bytes, 16);
	CHECK_MEM(in.from[1].dst.bytes, three.bytes, 16);
	udp_free(a);
	udp_free(b);
}

static void source_gone(void)
{
	struct udp *a = open_or_fail(0, 1), *b = open_or_fail(0, 1);

	for (unsigned v6 = 0; v6 < 2; v6++) {
		int fd = v6 ? b->queues[0].fd6 : b->queues[0].fd4;
		struct wg_endpoint e = to(v6 ? "::1" : "127.0.0.1", b->port);
		/* Several kernel messages, all of whose headers were made with the source. */
		struct udp_message m[3];

		memcpy(e.src, addr(v6 ? "2001:db8::77" : "203.0.113.77", 0).bytes, 16);
		for (unsigned i = 0; i < 3; i++)
			m[i] = message(&e, i == 1 ? 80 * 1000 : 100, 1000);
		CHECK_EQ(udp_send(&a->queues[0], m, 3), 0);
		for (unsigned i = 0; i < 3; i++) {
			CHECK(m[i].source_refused);
			CHECK_EQ(m[i].error, 0);
		}
		take(&in, fd, 82);
		CHECK_EQ(a->queues[0].n_paths, 0);
		/* An interface that is gone. */
		e = to(v6 ? "::1" : "127.0.0.1", b->port);
		e.src_ifindex = 99999;
		CHECK_EQ(udp_send(&a->queues[0], m, 1), 0);
		CHECK(m[0].source_refused);
		take(&in, fd, 1);
	}
	CHECK_EQ(a->queues[0].counters.refused_sources, 8);
	udp_free(a);
	udp_free(b);
}

static void families_alternate(void)
{
	struct udp *a = open_or_fail(0, 1), *b = open_or_fail(0, 1);
	struct wg_endpoint e4 = to("127.0.0.1", b->port), e6 = to("::1", b->port);
	struct udp_message m[40];

	memcpy(e4.src, addr("127.0.0.2", 0).bytes, 16);
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < 40; i++) {
			m[i] = message(i % 2 ? &e6 : &e4, 100 + i, 0);
			m[i].tos = (uint8_t)(i % 4 == 3 ? 2 : 0);
		}
		CHECK_EQ(udp_send(&a->queues[0], m, 40), 0);
		take(&in, b->queues[0].fd4, 20);
		for (unsigned i = 0; i < 20; i++) {
			CHECK_EQ(in.len[i], 100 + 2 * i);
			CHECK_MEM(in.from[i].dst.bytes, addr("127.0.0.2", 0).bytes, 16);
			CHECK_MEM(in.from[i].src, addr("127.0.0.1", 0).bytes, 16);
		}
		take(&in, b->queues[0].fd6, 20);
		for (unsigned i = 0; i < 20; i++) {
			CHECK_EQ(in.len[i], 101 + 2 * i);
			CHECK_EQ(in.tos[i], i % 2 ? 2 : 0);
			CHECK_MEM(in.from[i].dst.bytes, addr("::1", 0).bytes, 16);
			CHECK_MEM(in.from[i].src, addr("::1", 0).bytes, 16);
		}
	}
	udp_free(a);
	udp_free(b);
}

static void tos_travels(void)
{
	struct udp *a = open_or_fail(0, 1), *b = open_or_fail(0, 1);
	static const uint8_t values[] = {0, 1, 2, 3, 0x88};

	for (unsigned v6 = 0; v6 < 2; v6++)
		for (size_t i = 0; i < sizeof(values); i++) {
			struct wg_endpoint e = to(v6 ? "::1" : "127.0.0.1", b->port);
			struct udp_message m = message(&e, 5000, 1000);

			m.tos = values[i];
			CHECK_EQ(udp_send(&a->queues[0], &m, 1), 0);
			take(&in, v6 ? b->queues[0].fd6 : b->queues[0].fd4, 5);
			for (unsigned k = 0; k < 5; k++)
				CHECK_EQ(in.tos[k], values[i]);
		}
	udp_free(a);
	udp_free(b);
}

/* The hop limit of the next datagram on ${fd}. */
static int ttl_of_next(int fd, bool v6)
{
	_Alignas(struct cmsghdr) uint8_t control[512];
	uint8_t data[2000];
	struct iovec iov = {data, sizeof(data)};
	struct msghdr h = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control)};
	struct pollfd p = {.fd = fd, .events = POLLIN};
	int ttl = -1;

	CHECK_EQ(poll(&p, 1, 60000), 1);
	CHECK(recvmsg(fd, &h, 0) >= 0);
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&h); c; c = CMSG_NXTHDR(&h, c))
		if (v6 ? c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_HOPLIMIT
		       : c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TTL)
			memcpy(&ttl, CMSG_DATA(c), sizeof(ttl));
	return ttl;
}

static void ttl_travels(void)
{
	struct udp *a = open_or_fail(0, 1), *b = open_or_fail(0, 1);
	int one = 1;

	for (unsigned v6 = 0; v6 < 2; v6++) {
		const char *where = v6 ? "::1" : "127.0.0.1";
		int fd = v6 ? b->queues[0].fd6 : b->queues[0].fd4, usual;
		struct wg_endpoint e = to(where, b->port);
		struct udp_message m[3];

		memcpy(e.src, addr(where, 0).bytes, 16);
		CHECK_EQ(setsockopt(fd, v6 ? IPPROTO_IPV6 : IPPROTO_IP,
				 v6 ? IPV6_RECVHOPLIMIT : IP_RECVTTL, &one, sizeof(one)),
			0);
		for (unsigned i = 0; i < 3; i++) {
			m[i] = message(&e, 1000 + i, 0);
			m[i].tos = 2;
			m[i].ttl = i == 1 ? 7 : 0;
		}
		CHECK_EQ(udp_send(&a->queues[0], m, 3), 0);
		usual = ttl_of_next(fd, v6);
		CHECK(usual > 7);
		CHECK_EQ(ttl_of_next(fd, v6), 7);
		CHECK_EQ(ttl_of_next(fd, v6), usual);
	}
	udp_free(a);
	udp_free(b);
}

static void ports(void)
{
	for (unsigned workers = 1; workers <= 3; workers++) {
		struct udp *a = open_or_fail(0, workers), *b = NULL;
		struct udp_config c = {.port = a->port, .workers = 1};
		struct sockaddr_in6 s = {0};
		socklen_t len;

		/* Both families of every worker on one port. */
		for (unsigned i = 0; i < workers; i++) {
			int fds[2] = {a->queues[i].fd4, a->queues[i].fd6};

			for (unsigned k = 0; k < 2; k++) {
				len = sizeof(s);
				CHECK_EQ(getsockname(fds[k], (void *)&s, &len), 0);
				CHECK_EQ(ntohs(s.sin6_port), a->port); /* the same place in both */
			}
		}
		/* Nobody joins, with as many workers as he likes. */
		for (c.workers = 1; c.workers <= 3; c.workers++)
			CHECK_EQ(udp_open(&c, &b), -EADDRINUSE);
		CHECK(b == NULL);
		udp_free(a);
		/* Free again at once. */
		a = open_or_fail(c.port, workers);
		CHECK_EQ(a->port, c.port);
		udp_free(a);
	}
}

/* Only the IPv6 half is in use. */
static void port_half_used(void)
{
	struct sockaddr_in6 s = {.sin6_family = AF_INET6};
	socklen_t len = sizeof(s);
	int fd = socket(AF_INET6, SOCK_DGRAM, 0), one = 1;
	struct udp_config c = {.workers = 2};
	struct udp *u = NULL;

	CHECK_EQ(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)), 0);
	CHECK_EQ(bind(fd, (void *)&s, sizeof(s)), 0);
	CHECK_EQ(getsockname(fd, (void *)&s, &len), 0);
	c.port = ntohs(s.sin6_port);
	CHECK_EQ(udp_open(&c, &u), -EADDRINUSE);
	CHECK(u == NULL);
	close(fd);
	CHECK_EQ(udp_open(&c, &u), 0);
	udp_free(u);
}

static void bad_configs(void)
{
	struct udp_config c = {.workers = 0};
	struct udp *u = NULL;

	CHECK_EQ(udp_open(&c, &u), -EINVAL);
	c.workers = UDP_WORKERS_MAX + 1;
	CHECK_EQ(udp_open(&c, &u), -EINVAL);
	CHECK(u == NULL);
}

/* What ${fd} is bound to. */
static struct wg_addr bound(int fd)
{
	union {
		struct sockaddr_in	in;
		struct sockaddr_in6	in6;
	} s = {0};
	socklen_t len = sizeof(s);

	CHECK_EQ(getsockname(fd, (void *)&s, &len), 0);
	return s.in.sin_family == AF_INET6 ? wg_addr_v6(&s.in6.sin6_addr, 0, s.in6.sin6_scope_id)
					   : wg_addr_v4(&s.in.sin_addr, 0);
}

static void addresses(void)
{
	cleanup(buf_done) struct buf why = buf_of_max(100);
	struct udp_config c = {.workers = 2};
	struct wg_addr want4 = addr("127.0.0.3", 0), want6 = addr("::1", 0);
	struct wg_endpoint e6 = to("::1", 9);
	struct udp_message m = message(&e6, 10, 0);
	struct udp *u, *other;

	CHECK_EQ(bind_address_parse("127.0.0.3", &c.bind.v4, &why), 0);
	CHECK_EQ(udp_open(&c, &u), 0);
	for (unsigned i = 0; i < 2; i++) {
		struct wg_addr got = bound(u->queues[i].fd4);

		CHECK(wg_addr_equal(&got, &want4));
		CHECK(u->queues[i].fd6 < 0);
	}
	CHECK_EQ(udp_send(&u->queues[0], &m, 1), 1);
	CHECK_EQ(m.error, -EAFNOSUPPORT);
	/* Another address has ports of its own. */
	c.port = u->port;
	CHECK_EQ(udp_open(&c, &other), -EADDRINUSE);
	CHECK_EQ(bind_address_parse("127.0.0.4", &c.bind.v4, &why), 0);
	CHECK_EQ(bind_address_parse("::1", &c.bind.v6, &why), 0);
	CHECK_EQ(udp_open(&c, &other), 0);
	for (unsigned i = 0; i < 2; i++) {
		struct wg_addr got = bound(other->queues[i].fd6);

		CHECK(wg_addr_equal(&got, &want6));
	}
	CHECK_EQ(udp_send(&other->queues[1], &m, 1), 0);
	udp_free(other);
	udp_free(u);
	c.port = 0;
	CHECK_EQ(bind_address_parse("198.51.100.7", &c.bind.v4, &why), 0);
	CHECK_EQ(udp_open(&c, &u), -EADDRNOTAVAIL);
	c.bind.v4 = (struct bind_address){0};
	CHECK_EQ(udp_open(&c, &u), 0);
	CHECK(u->queues[0].fd4 < 0 && u->queues[0].fd6 >= 0);
	udp_free(u);
	CHECK_EQ(bind_address_parse("2001:db8::7", &c.bind.v6, &why), 0);
	CHECK_EQ(udp_open(&c, &u), -EADDRNOTAVAIL);
	CHECK_EQ(bind_address_parse("fe80::1%nothing", &c.bind.v6, &why), 0);
	CHECK_EQ(udp_open(&c, &u), -ENODEV);
}

static void devices(void)
{
	struct udp_config c = {.workers = 2, .bind.device = "lo"};
	char name[IFNAMSIZ];
	struct udp *u;

	CHECK_EQ(udp_open(&c, &u), 0);
	CHECK_EQ(u->device_ifindex, if_nametoindex("lo"));
	for (unsigned i = 0; i < 4; i++) {
		socklen_t len = sizeof(name);

		CHECK_EQ(getsockopt(i & 1 ? u->queues[i / 2].fd4 : u->queues[i / 2].fd6, SOL_SOCKET, SO_BINDTODEVICE, name, &len), 0);
		CHECK_STR(name, "lo");
	}
	udp_free(u);
	memcpy(c.bind.device, "nothing", sizeof("nothing"));
	CHECK_EQ(udp_open(&c, &u), -ENODEV);
}

/* Six datagrams of one length, as one message if that may be. */
static void send_run(unsigned sender_without, unsigned receiver_without, unsigned want_sends, bool want_one_run)
{
	struct udp_config ca = {.workers = 1, .without = sender_without}, cb = {.workers = 1, .without = receiver_without};
	struct udp *a, *b;
	struct wg_endpoint e;
	struct udp_message m;

	CHECK_EQ(udp_open(&ca, &a), 0);
	CHECK_EQ(udp_open(&cb, &b), 0);
	e = to("127.0.0.1", b->port);
	m = message(&e, 6000, 1000);
	CHECK_EQ(udp_send(&a->queues[0], &m, 1), 0);
	CHECK_EQ(a->queues[0].counters.sends, want_sends);
	take(&in, b->queues[0].fd4, 6);
	CHECK(in.same);
	CHECK_EQ(in.runs == 1, want_one_run);
	udp_free(a);
	udp_free(b);
}

static void without(void)
{
	struct udp_config c = {.workers = 2, .without = FAST_PATH_ROUTE_QUERY};
	struct udp *u;

	send_run(0, 0, 1, true);
	send_run(FAST_PATH_UDP_GSO, 0, 6, false);
	send_run(0, FAST_PATH_UDP_GRO, 1, false);
	CHECK_EQ(udp_open(&c, &u), 0);
	CHECK(u->control.routes_fd < 0 && u->queues[0].routes_fd < 0 && u->queues[1].routes_fd < 0);
	udp_free(u);
}

static void workers_share(void)
{
	struct udp *a = open_or_fail(0, 1), *b = open_or_fail(0, 4);
	unsigned got = 0, sockets = 0;
	struct udp_rx *rx;

	CHECK_EQ(udp_rx_new(&rx), 0);
	/* Many senders: the kernel spreads them. */
	for (unsigned i = 0; i < 64; i++) {
		struct udp *one = open_or_fail(0, 1);
		struct wg_endpoint e = to("127.0.0.1", b->port);
		struct udp_message m = message(&e, 100, 0);

		CHECK_EQ(udp_send(&one->queues[0], &m, 1), 0);
		udp_free(one);
	}
	for (unsigned i = 0; i < 4; i++) {
		struct udp_run *runs;
		unsigned here = 0;
		int n;

		while ((n = udp_receive(rx, b->queues[i].fd4, &runs)) > 0)
			here += (unsigned)n;
		CHECK_EQ(n, 0);
		got += here;
		sockets += here > 0;
	}
	CHECK_EQ(got, 64);
	CHECK(sockets > 1);
	udp_rx_free(rx);
	udp_free(a);
	udp_free(b);
}

/* Who has ${n} sockets, as another process would have them: copies, whose first owner is gone. */
static void give_away(struct udp *u, int fd4[], int fd6[])
{
	for (unsigned i = 0; i < u->n_queues; i++) {
		fd4[i] = u->queues[i].fd4 < 0 ? -1 : dup(u->queues[i].fd4);
		fd6[i] = u->queues[i].fd6 < 0 ? -1 : dup(u->queues[i].fd6);
	}
	udp_free(u);
}

/* All that waits on any of the sockets, and that each has a name of its own unless ${shared}. */
static unsigned waiting(struct udp *u, unsigned *ret_sockets)
{
	struct udp_run *runs;
	struct udp_rx *rx;
	unsigned got = 0;

	*ret_sockets = 0;
	CHECK_EQ(udp_rx_new(&rx), 0);
	for (unsigned i = 0; i < u->n_queues; i++) {
		unsigned here = 0;
		int n;

		while ((n = udp_receive(rx, u->queues[i].fd4, &runs)) > 0)
			here += (unsigned)n;
		CHECK_EQ(n, 0);
		got += here;
		*ret_sockets += here > 0;
	}
	udp_rx_free(rx);
	return got;
}

static void send_to(uint16_t port, unsigned senders)
{
	for (unsigned i = 0; i < senders; i++) {
		struct udp *one = open_or_fail(0, 1);
		struct wg_endpoint e = to("127.0.0.1", port);
		struct udp_message m = message(&e, 100, 0);

		CHECK_EQ(udp_send(&one->queues[0], &m, 1), 0);
		udp_free(one);
	}
}

static void adopted(void)
{
	struct udp_config c = {.workers = 1};
	int fd4[UDP_WORKERS_MAX], fd6[UDP_WORKERS_MAX];
	struct udp *u = open_or_fail(0, 3), *other = NULL;
	struct wg_endpoint e;
	struct udp_message m;
	unsigned sockets;

	/* What waits in three sockets goes along to one worker, who has all of them. */
	c.port = u->port;
	send_to(u->port, 64);
	give_away(u, fd4, fd6);
	CHECK_EQ(udp_adopt(&c, fd4, fd6, 3, &u), 0);
	CHECK_EQ(u->port, c.port);
	CHECK_EQ(u->n_queues, 3);
	CHECK(u->adopted);
	CHECK_EQ(waiting(u, &sockets), 64);
	CHECK(sockets > 1);
	udp_grow(u, &c);
	CHECK_EQ(u->n_queues, 3); /* it has more than enough */
	/* It sends, too, from the port that it had. */
	other = open_or_fail(0, 1);
	e = to("127.0.0.1", other->port);
	m = message(&e, 30 * 1000, 1000);
	CHECK_EQ(udp_send(&u->control, &m, 1), 0);
	take(&in, other->queues[0].fd4, 30);
	CHECK(in.same);
	CHECK_EQ(in.from[0].dst.port, c.port);
	udp_free(other);
	udp_free(u);
	/* And with it the port is free. */
	u = open_or_fail(c.port, 1);
	udp_free(u);
}

static void grown(void)
{
	struct udp_config c = {.workers = 4};
	int fd4[UDP_WORKERS_MAX], fd6[UDP_WORKERS_MAX];
	struct udp *u = open_or_fail(0, 1), *other = NULL;
	unsigned sockets;

	c.port = u->port;
	give_away(u, fd4, fd6);
	CHECK_EQ(udp_adopt(&c, fd4, fd6, 1, &u), 0);
	/* Until it is grown there is the one socket. */
	send_to(c.port, 64);
	CHECK_EQ(u->n_queues, 1);
	CHECK_EQ(waiting(u, &sockets), 64);
	udp_grow(u, &c);
	CHECK_EQ(u->n_queues, 4);
	for (unsigned i = 0; i < 4; i++)
		CHECK(u->queues[i].fd4 >= 0 && u->queues[i].fd6 >= 0);
	send_to(c.port, 64);
	CHECK_EQ(waiting(u, &sockets), 64);
	CHECK(sockets > 1);
	/* The port is no more open to strangers than before. */
	CHECK_EQ(udp_open(&(struct udp_config){.port = c.port, .workers = 1}, &other), -EADDRINUSE);
	CHECK(other == NULL);
	udp_free(u);

	/* One family stays one. */
	u = open_or_fail(0, 1);
	c.port = u->port;
	give_away(u, fd4, fd6);
	close(fd6[0]);
	fd6[0] = -1;
	CHECK_EQ(udp_adopt(&c, fd4, fd6, 1, &u), 0);
	udp_grow(u, &c);
	for (unsigned i = 0; i < 4; i++)
		CHECK(u->queues[i].fd4 >= 0 && u->queues[i].fd6 < 0);
	udp_free(u);
}

/* Where no more sockets can be had each worker has a name of the first. */
static void not_grown(void)
{
	struct udp_config c = {.workers = 3, .bind = {.device = "gone"}};
	int fd4[UDP_WORKERS_MAX], fd6[UDP_WORKERS_MAX];
	struct udp *u = open_or_fail(0, 1);
	struct stat first, st;

	c.port = u->port;
	give_away(u, fd4, fd6);
	CHECK_EQ(udp_adopt(&c, fd4, fd6, 1, &u), 0);
	udp_grow(u, &c);
	CHECK_EQ(u->n_queues, 3);
	CHECK_EQ(fstat(u->queues[0].fd4, &first), 0);
	for (unsigned i = 0; i < 3; i++)
		CHECK(!fstat(u->queues[i].fd4, &st) && st.st_ino == first.st_ino);
	udp_free(u);
}

static void no_sockets(void)
{
	struct udp_config c = {.workers = 1, .port = 7};
	struct udp *u = NULL;
	int none = -1, file = open("/dev/null", O_RDWR), tcp = socket(AF_INET, SOCK_STREAM, 0),
	    v6 = socket(AF_INET6, SOCK_DGRAM, 0);

	CHECK_EQ(udp_adopt(&c, &none, &none, 0, &u), -EINVAL);
	CHECK_EQ(udp_adopt(&c, &file, &none, 1, &u), -ENOTSOCK);
	CHECK_EQ(udp_adopt(&c, &tcp, &none, 1, &u), -EBADF);
	CHECK_EQ(udp_adopt(&c, &v6, &none, 1, &u), -EBADF);
	CHECK(u == NULL);
	/* They stay their owner's. */
	CHECK(!close(file) && !close(tcp) && !close(v6));
}

static void empty_and_long(void)
{
	struct udp *a = open_or_fail(0, 1), *b = open_or_fail(0, 1);
	struct wg_endpoint e = to("127.0.0.1", b->port);
	struct udp_message m[3] = {message(&e, 0, 0), message(&e, 65508, 65508), message(&e, 7, 0)};

	CHECK_EQ(udp_send(&a->queues[0], m, 3), 1);
	CHECK_EQ(m[0].error, 0);
	CHECK_EQ(m[1].error, -EMSGSIZE);
	CHECK_EQ(m[1].dropped, 1);
	CHECK_EQ(m[2].error, 0);
	take(&in, b->queues[0].fd4, 2);
	CHECK_EQ(in.len[0], 0);
	CHECK_EQ(in.len[1], 7);
	CHECK(!in.truncated);
	udp_free(a);
	udp_free(b);
}

/* In a child: what a process without a family, or with a namespace of its own, sees. */
static void in_child(void (*fn)(void))
{
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		fn();
		_exit(0);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFEXITED(status));
	CHECK_EQ(WEXITSTATUS(status), 0);
}

/* The child has no harness: it says why by its status. */
#define DEMAND(cond)                                                                               \
	do {                                                                                       \
		if (!(cond)) {                                                                     \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond);                 \
			_exit(1);                                                                  \
		}                                                                                  \
	} while (0)

/* ${call} with ${value} as its first argument fails from here on with ${why}. */
static void forbid(unsigned call, unsigned value, int why)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)why),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = {array_size(code), code};

	DEMAND(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	DEMAND(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) == 0);
}

static void forbid_family(int family, int why)
{
	forbid(__NR_socket, (unsigned)family, why);
}

static void forbid_options(unsigned fd)
{
	forbid(__NR_setsockopt, fd, EPERM);
}

static void one_family(int missing)
{
	struct udp_config c = {.workers = 2};
	struct wg_endpoint e = {0};
	struct udp_message m = {.to = &e, .data = bytes, .len = 10};
	struct udp *u;

	forbid_family(missing, EAFNOSUPPORT);
	DEMAND(udp_open(&c, &u) == 0);
	DEMAND(u->port != 0);
	for (unsigned i = 0; i < 2; i++) {
		DEMAND((u->queues[i].fd4 < 0) == (missing == AF_INET));
		DEMAND((u->queues[i].fd6 < 0) == (missing == AF_INET6));
	}
	e.dst.family = (uint8_t)missing;
	e.dst.port = 9;
	DEMAND(udp_send(&u->queues[0], &m, 1) == 1);
	DEMAND(m.error == -EAFNOSUPPORT && m.dropped == 1);
	udp_free(u);
	forbid_family(missing == AF_INET ? AF_INET6 : AF_INET, EAFNOSUPPORT);
	DEMAND(udp_open(&c, &u) == -EAFNOSUPPORT);
}

static void no_v6(void)
{
	one_family(AF_INET6);
}

static void no_v4(void)
{
	one_family(AF_INET);
}

/* The socket that asks for routes is there, and may not be used. */
static void no_questions(void)
{
	struct udp_config c = {.workers = 1};
	struct wg_endpoint e = {
		.dst = {.family = AF_INET, .bytes = {127, 0, 0, 1}}, .src = {127, 0, 0, 2}};
	struct udp_message m = {.to = &e, .data = bytes, .len = 10};
	struct fast_path_piece pieces[FAST_PATH_COUNT];
	struct udp *u;

	DEMAND(udp_open(&c, &u) == 0 && u->queues[0].routes_fd >= 0);
	e.dst.port = u->port;
	forbid(__NR_sendto, (unsigned)u->queues[0].routes_fd, EPERM);
	for (unsigned i = 0; i < 2; i++) {
		DEMAND(udp_send(&u->queues[0], &m, 1) == 0 && !m.source_refused);
		DEMAND(u->queues[0].routes_fd < 0);
	}
	DEMAND(u->queues[0].counters.sends == 2);
	fast_path_state(pieces);
	for (unsigned i = 0; i < FAST_PATH_COUNT; i++)
		if (pieces[i].piece == FAST_PATH_ROUTE_QUERY)
			DEMAND(pieces[i].why == FAST_PATH_KERNEL && pieces[i].error == EPERM &&
				pieces[i].times == 1);
	udp_free(u);
}

static void not_asked(void)
{
	in_child(no_questions);
}

static void missing_families(void)
{
	in_child(no_v6);
	in_child(no_v4);
}

static struct udp_path *path_to(struct udp_queue *q, const struct wg_addr *dst)
{
	for (unsigned i = 0; i < UDP_PATHS_MAX; i++)
		if (wg_addr_equal(&q->paths[i].dst, dst))
			return &q->paths[i];
	DEMAND(!"the path is known");
	return NULL;
}

/* A path that is narrower than the segments: lo with an MTU of 1280. */
static void narrow(void)
{
	struct udp *a, *b;
	struct udp_config c = {.workers = 1};
	struct ifreq ifr = {.ifr_name = "lo", .ifr_mtu = 1280};
	struct fast_path_piece pieces[FAST_PATH_COUNT];

	DEMAND(ioctl(socket(AF_INET, SOCK_DGRAM, 0), SIOCSIFMTU, &ifr) == 0);
	DEMAND(udp_open(&c, &a) == 0 && udp_open(&c, &b) == 0);
	for (unsigned v6 = 0; v6 < 2; v6++) {
		struct wg_endpoint e = {.dst.family = v6 ? AF_INET6 : AF_INET, .dst.port = b->port};
		struct udp_message m = {.to = &e, .data = bytes, .len = 45 * 1400, .segment = 1400};
		uint64_t refused = a->queues[0].counters.refused_runs;

		memcpy(e.dst.bytes, v6 ? (const void *)"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1" : "\177\0\0\1", v6 ? 16 : 4);
		for (unsigned round = 0; round < 3; round++) {
			unsigned got = 0;
			struct udp_rx *rx;
			struct udp_run *runs;
			struct pollfd p = {.fd = v6 ? b->queues[0].fd6 : b->queues[0].fd4, .events = POLLIN};

			DEMAND(udp_send(&a->queues[0], &m, 1) == 0);
			DEMAND(udp_rx_new(&rx) == 0);
			while (got < 45 && poll(&p, 1, 60000) > 0) {
				int n = udp_receive(rx, p.fd, &runs);

				for (int i = 0; i < n; i++) {
					DEMAND(runs[i].segment == 1400);
					got += runs[i].len / 1400;
				}
			}
			DEMAND(got == 45);
			udp_rx_free(rx);
		}
		/* Refused once, then remembered for this path, and not for the socket. */
		DEMAND(a->queues[0].counters.refused_runs == refused + 1);
		DEMAND(a->queues[0].gso4 && a->queues[0].gso6);
		DEMAND(a->queues[0].n_paths == v6 + 1);
		DEMAND(path_to(&a->queues[0], &e.dst)->segment == 1400);
		/* Smaller segments still travel as one. */
		m.segment = 1000;
		m.len = 10000;
		refused = a->queues[0].counters.sends;
		DEMAND(udp_send(&a->queues[0], &m, 1) == 0);
		DEMAND(a->queues[0].counters.sends == refused + 1);
		/* After a while runs are tried again. */
		m.segment = 1400;
		path_to(&a->queues[0], &e.dst)->until_ns = 1;
		refused = a->queues[0].counters.refused_runs;
		DEMAND(udp_send(&a->queues[0], &m, 1) == 0);
		DEMAND(a->queues[0].counters.refused_runs == refused + 1);
	}
	fast_path_state(pieces);
	for (unsigned i = 0; i < FAST_PATH_COUNT; i++) {
		if (pieces[i].piece != FAST_PATH_UDP_GSO)
			continue;
		DEMAND(pieces[i].why == FAST_PATH_PATHS && pieces[i].error != 0);
		DEMAND(pieces[i].times == 4 && pieces[i].last_real_ns >= pieces[i].since_real_ns);
	}
	udp_free(a);
	udp_free(b);
}

/* A socket that holds little, and more than that comes. */
static void overflow(void)
{
	cleanup(udp_freep) struct udp *u = open_or_fail(0, 1);
	struct wg_endpoint e = to("127.0.0.1", u->port);
	struct udp_message m = message(&e, 1000, 1000);
	int small = 4096, fd = u->queues[0].fd4;
	uint32_t kept = 0, last = 0;
	struct udp_rx *rx = NULL;
	struct udp_run *runs;

	CHECK_EQ(udp_rx_new(&rx), 0);
	CHECK_EQ(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)), 0);
	for (unsigned i = 0; i < 100; i++)
		CHECK_EQ(udp_send(&u->queues[0], &m, 1), 0);
	/* What came before there was no room knows of none, what comes now of all. */
	for (unsigned round = 0; round < 2; round++) {
		int n;

		while ((n = udp_receive(rx, fd, &runs)) > 0)
			for (int i = 0; i < n; i++) {
				kept++;
				last = runs[i].overflows;
				CHECK_EQ(last, round ? 101 - kept : 0);
			}
		if (!round)
			CHECK_EQ(udp_send(&u->queues[0], &m, 1), 0);
	}
	CHECK(last > 0 && kept > 1);
	udp_rx_free(rx);
}

static void narrow_path(void)
{
	in_child(narrow);
}

/* More narrow paths than are remembered. */
static void many(void)
{
	struct udp_config c = {.workers = 1};
	struct ifreq ifr = {.ifr_name = "lo", .ifr_mtu = 1280};
	struct udp *a;

	DEMAND(ioctl(socket(AF_INET, SOCK_DGRAM, 0), SIOCSIFMTU, &ifr) == 0);
	DEMAND(udp_open(&c, &a) == 0);
	for (unsigned i = 0; i < 3 * UDP_PATHS_MAX; i++) {
		struct wg_endpoint e = {.dst = {.family = AF_INET, .port = (uint16_t)(1 + i)}};
		struct udp_message m = {.to = &e, .data = bytes, .len = 2800, .segment = 1400};

		memcpy(e.dst.bytes, "\177\0\0\1", 4);
		DEMAND(udp_send(&a->queues[0], &m, 1) == 0);
		DEMAND(a->queues[0].n_paths <= UDP_PATHS_MAX);
	}
	DEMAND(a->queues[0].counters.dropped == 0);
	DEMAND(a->queues[0].counters.datagrams == 6 * UDP_PATHS_MAX);
	udp_free(a);
}

/* As many as a hub has peers behind tunnels of their own: a run to each, and again.  None is tried twice. */
static void several(void)
{
	struct udp_config c = {.workers = 1};
	struct ifreq ifr = {.ifr_name = "lo", .ifr_mtu = 1280};
	enum { paths = 100, rounds = 5 };
	struct udp *a;

	DEMAND(ioctl(socket(AF_INET, SOCK_DGRAM, 0), SIOCSIFMTU, &ifr) == 0);
	DEMAND(udp_open(&c, &a) == 0);
	for (unsigned round = 0; round < rounds; round++)
		for (unsigned i = 0; i < paths; i++) {
			struct wg_endpoint e = to("127.0.0.1", (uint16_t)(1 + i));
			struct udp_message m = message(&e, 2800, 1400);

			DEMAND(udp_send(&a->queues[0], &m, 1) == 0);
		}
	DEMAND(a->queues[0].n_paths == paths);
	DEMAND(a->queues[0].counters.refused_runs == paths);
	/* When their time is over they are free again. */
	for (unsigned i = 0; i < UDP_PATHS_MAX; i++)
		if (a->queues[0].paths[i].until_ns)
			a->queues[0].paths[i].until_ns = 1;
	for (unsigned i = 0; i < paths; i++) {
		struct wg_endpoint e = to("127.0.0.1", (uint16_t)(1 + i));
		struct udp_message m = message(&e, 200, 100);

		DEMAND(udp_send(&a->queues[0], &m, 1) == 0);
	}
	DEMAND(a->queues[0].n_paths == 0);
	udp_free(a);
}

static void several_paths(void)
{
	in_child(several);
}

static void many_paths(void)
{
	in_child(many);
}

static void marks(void)
{
	struct udp_config c = {.workers = 2, .mark = 0x1234};
	struct udp *u;
	int mark;
	socklen_t len = sizeof(mark);

	CHECK_EQ(udp_open(&c, &u), 0);
	for (uint32_t want = 0x1234;; want = 0xffffffff) {
		for (unsigned i = 0; i < 2; i++) {
			CHECK_EQ(getsockopt(u->queues[i].fd4, SOL_SOCKET, SO_MARK, &mark, &len), 0);
			CHECK_EQ((uint32_t)mark, want);
			CHECK_EQ(getsockopt(u->queues[i].fd6, SOL_SOCKET, SO_MARK, &mark, &len), 0);
			CHECK_EQ((uint32_t)mark, want);
		}
		if (want != 0x1234)
			break;
		CHECK_EQ(udp_set_mark(u, 0xffffffff), 0);
	}
	udp_free(u);
}

static void without_rights(void)
{
	struct udp_config c = {.workers = 1, .mark = 7};
	struct udp *u;

	DEMAND(setresuid(65534, 65534, 65534) == 0);
	DEMAND(udp_open(&c, &u) == -EPERM);
	c.mark = 0;
	DEMAND(udp_open(&c, &u) == 0);
	DEMAND(udp_set_mark(u, 7) == -EPERM);
	udp_free(u);
}

static void mark_refused(void)
{
	in_child(without_rights);
}

/* The second socket's second is refused its mark: the others do not keep theirs. */
static void with_one_refused(void)
{
	struct udp_config c = {.workers = 2, .mark = 0x1234};
	struct udp *u;
	int mark;
	socklen_t len = sizeof(mark);

	DEMAND(udp_open(&c, &u) == 0);
	forbid_options((unsigned)u->queues[1].fd6);
	DEMAND(udp_set_mark(u, 7) == -EPERM);
	DEMAND(u->mark == 0x1234);
	for (unsigned i = 0; i < 2; i++) {
		DEMAND(getsockopt(u->queues[i].fd4, SOL_SOCKET, SO_MARK, &mark, &len) == 0);
		DEMAND(mark == 0x1234);
		DEMAND(getsockopt(u->queues[i].fd6, SOL_SOCKET, SO_MARK, &mark, &len) == 0);
		DEMAND(mark == 0x1234);
	}
	udp_free(u);
}

static void mark_on_all_or_none(void)
{
	in_child(with_one_refused);
}

static void unreachable(void)
{
	struct udp *a = open_or_fail(0, 1);
	struct wg_endpoint e = to("198.51.100.1", 9), ok = to("127.0.0.1", a->port);
	struct udp_message m[3] = {message(&ok, 10, 0), message(&e, 3000, 1000), message(&ok, 11, 0)};

	memcpy(e.src, addr("127.0.0.2", 0).bytes, 16);
	CHECK_EQ(udp_send(&a->queues[0], m, 3), 3);
	CHECK_EQ(m[1].error, -ENETUNREACH);
	CHECK_EQ(m[1].dropped, 3);
	CHECK(!m[1].source_refused); /* the source was not the reason */
	CHECK_EQ(a->queues[0].counters.dropped, 3);
	take(&in, a->queues[0].fd4, 2);
	CHECK_EQ(in.len[1], 11);
	udp_free(a);
}

static bool enter_namespace(void)
{
	struct ifreq ifr = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_LOOPBACK | IFF_RUNNING};
	int fd, r;

	if (unshare(CLONE_NEWNET) < 0)
		return false;
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	r = ioctl(fd, SIOCSIFFLAGS, &ifr);
	close(fd);
	return r == 0;
}

int main(void)
{
	uint64_t seed = 1;

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(test_random(&seed) >> 32);
	own_namespace = enter_namespace();

	test_run("runs travel whole and come apart as they were, with addresses for each [udp-runs]", runs_travel);
	test_run("an answer leaves from the address that was written to [sticky-source]", sticky_source);
	test_run("a source that is gone is left out once and said so [sticky-source-gone]", source_gone);
	test_run("IPv4 and IPv6 alternate without leaving traces in each other [udp-families]", families_alternate);
	test_run("TOS and traffic class travel with every datagram [udp-tos]", tos_travels);
	test_run("a hop limit of its own is one datagram's, with source and TOS [loop-nested]",
		ttl_travels);
	test_run("all sockets share a port, and nobody else gets it [udp-port]", ports);
	test_run("a port of which one family is taken is refused [udp-port] [sock-port-busy]", port_half_used);
	test_run("a bad number of workers is refused", bad_configs);
	test_run("sockets listen on the given addresses, and only in their families [bind-address]", addresses);
	test_run("sockets are bound to the given device [bind-device]", devices);
	test_run("runs are neither sent nor received, nor routes asked for, where that is excluded [without-udp]", without);
	test_run("senders are spread over the workers' sockets", workers_share);
	test_run("sockets are taken over with what waits in them, more than there are workers too [udp-adopt]", adopted);
	test_run("sockets that are missing are made, and packets spread over them [udp-adopt]", grown);
	test_run("where none can be made all workers share the first [udp-adopt]", not_grown);
	test_run("what is no such socket is not taken over [udp-adopt]", no_sockets);
	test_run("empty datagrams travel, oversized ones are dropped alone", empty_and_long);
	test_run("where routes may not be asked for sources are believed, and nobody asks again "
		 "[fast-path-state]",
		not_asked);
	test_run("one family is enough, none is not [udp-one-family] [sock-no-v6]", missing_families);
	if (own_namespace) {
		test_run("a datagram says how many before it found no room [drop-receive-full]",
			overflow);
		test_run("a path too narrow for runs gets single datagrams, for a while "
			 "[udp-narrow] [sock-gso-fallback] [fast-path-state]",
			narrow_path);
		test_run("more narrow paths than are remembered lose nothing [udp-narrow]", many_paths);
		test_run("a hundred narrow paths are each refused once only [udp-narrow]", several_paths);
		test_run("the mark is on every socket, and changes live [udp-mark]", marks);
		test_run("a mark without the right to it is an error [udp-mark]", mark_refused);
		test_run("a mark that one socket is refused is on none [udp-mark]", mark_on_all_or_none);
		test_run("an unreachable peer costs the others nothing", unreachable);
	} else {
		test_skip("what needs a network namespace", "not root");
	}
	return test_done();
}
