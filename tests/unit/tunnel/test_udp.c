/* tunnel/udp: what datagrams bring along, and runs of them. */
#include "udp_inbox.h"

#include <errno.h>
#include <net/if.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

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

int main(void)
{
	bool own_namespace = begin();

	test_run("runs travel whole and come apart as they were, with addresses for each [udp-runs]", runs_travel);
	test_run("an answer leaves from the address that was written to [sticky-source]", sticky_source);
	test_run("a source that is gone is left out once and said so [sticky-source-gone]", source_gone);
	test_run("IPv4 and IPv6 alternate without leaving traces in each other [udp-families]", families_alternate);
	test_run("TOS and traffic class travel with every datagram [udp-tos]", tos_travels);
	test_run("a hop limit of its own is one datagram's, with source and TOS [loop-nested]",
		ttl_travels);
	test_run("runs are neither sent nor received, nor routes asked for, where that is excluded [without-udp]", without);
	test_run("empty datagrams travel, oversized ones are dropped alone", empty_and_long);
	test_run("where routes may not be asked for sources are believed, and nobody asks again "
		 "[fast-path-state]",
		not_asked);
	if (own_namespace) {
		test_run("a datagram says how many before it found no room [drop-receive-full]",
			overflow);
		test_run("a path too narrow for runs gets single datagrams, for a while "
			 "[udp-narrow] [sock-gso-fallback] [fast-path-state]",
			narrow_path);
		test_run("more narrow paths than are remembered lose nothing [udp-narrow]", many_paths);
		test_run("a hundred narrow paths are each refused once only [udp-narrow]", several_paths);
		test_run("an unreachable peer costs the others nothing", unreachable);
	} else {
		test_skip("what needs a network namespace", "not root");
	}
	return test_done();
}
