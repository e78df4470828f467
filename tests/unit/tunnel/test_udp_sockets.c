/* tunnel/udp_sockets: what is opened, bound, shared among workers, taken over and marked. */
#include "udp_inbox.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sys/stat.h>
#include <sys/syscall.h>

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

static void missing_families(void)
{
	in_child(no_v6);
	in_child(no_v4);
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

int main(void)
{
	bool own_namespace = begin();

	test_run("all sockets share a port, and nobody else gets it [udp-port]", ports);
	test_run("a port of which one family is taken is refused [udp-port] [sock-port-busy]", port_half_used);
	test_run("a bad number of workers is refused", bad_configs);
	test_run("sockets listen on the given addresses, and only in their families [bind-address]", addresses);
	test_run("sockets are bound to the given device [bind-device]", devices);
	test_run("senders are spread over the workers' sockets", workers_share);
	test_run("sockets are taken over with what waits in them, more than there are workers too [udp-adopt]", adopted);
	test_run("sockets that are missing are made, and packets spread over them [udp-adopt]", grown);
	test_run("where none can be made all workers share the first [udp-adopt]", not_grown);
	test_run("what is no such socket is not taken over [udp-adopt]", no_sockets);
	test_run("one family is enough, none is not [udp-one-family] [sock-no-v6]", missing_families);
	if (own_namespace) {
		test_run("the mark is on every socket, and changes live [udp-mark]", marks);
		test_run("a mark without the right to it is an error [udp-mark]", mark_refused);
		test_run("a mark that one socket is refused is on none [udp-mark]", mark_on_all_or_none);
	} else {
		test_skip("what needs a network namespace", "not root");
	}
	return test_done();
}
