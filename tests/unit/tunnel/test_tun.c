/* Devices in a network namespace of the test's own. */
#include "packets.h"
#include "tunnel/join.h"
#include "tunnel/split.h"
#include "tunnel/tun.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

static void set_up(const char *name, const char *address)
{
	struct ifreq ifr = {0};
	struct sockaddr_in a = {.sin_family = AF_INET};
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	memcpy(ifr.ifr_name, name, strlen(name));
	CHECK_EQ(inet_pton(AF_INET, address, &a.sin_addr), 1);
	memcpy(&ifr.ifr_addr, &a, sizeof(a));
	CHECK_EQ(ioctl(fd, SIOCSIFADDR, &ifr), 0);
	CHECK_EQ(inet_pton(AF_INET, "255.255.255.0", &a.sin_addr), 1);
	memcpy(&ifr.ifr_netmask, &a, sizeof(a));
	CHECK_EQ(ioctl(fd, SIOCSIFNETMASK, &ifr), 0);
	ifr.ifr_flags = IFF_UP | IFF_RUNNING;
	CHECK_EQ(ioctl(fd, SIOCSIFFLAGS, &ifr), 0);
	close(fd);
}

static void set_up6(const char *name)
{
	struct {
		struct in6_addr	addr;
		uint32_t	prefixlen;
		int		ifindex;
	} a = {.prefixlen = 64, .ifindex = (int)if_nametoindex(name)};
	int fd = socket(AF_INET6, SOCK_DGRAM, 0);

	CHECK_EQ(inet_pton(AF_INET6, "fd00::1", &a.addr), 1);
	CHECK_EQ(ioctl(fd, SIOCSIFADDR, &a), 0);
	close(fd);
}

static void create(const char *name, unsigned queues, unsigned without, struct tun **ret)
{
	CHECK_EQ(tun_open(name, without, ret), 0);
	tun_equip(*ret, queues, without);
}

static void opens(void)
{
	struct tun *t = NULL, *other = NULL;
	unsigned mtu = 0;

	create("gt0", 1, 0, &t);
	CHECK_STR(t->name, "gt0");
	CHECK_EQ(tun_mtu("gt0", &mtu), 0);
	CHECK_EQ(mtu, TUN_MTU_DEFAULT);
	CHECK((t->offloads & (TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6)) ==
		(TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6));
	CHECK(tun_join_flags(t) & JOIN_TCP);
	CHECK_EQ(tun_set_mtu("gt0", 1300), 0);
	CHECK_EQ(tun_mtu("gt0", &mtu), 0);
	CHECK_EQ(mtu, 1300);

	CHECK_EQ(tun_open("gt0", 0, &other), -EBUSY);
	CHECK_EQ(tun_open("lo", 0, &other), -EBUSY);
	CHECK_EQ(tun_open("sixteen-letters-", 0, &other), -ENAMETOOLONG);
	CHECK_EQ(tun_mtu("nothing", &mtu), -ENODEV);
	CHECK(other == NULL);
	tun_free(t);
	CHECK_EQ(if_nametoindex("gt0"), 0);
	create("gt%d", 3, 0, &t);
	CHECK_EQ(t->n_queues, 3);
	CHECK(if_nametoindex(t->name) != 0);
	tun_free(t);
}

static void packets(struct tun *t)
{
	struct packet_spec s = {.src = 2, .dst = 1, .ttl = 64, .sport = 7, .dport = 0};
	struct sockaddr_in a = {.sin_family = AF_INET};
	socklen_t len = sizeof(a);
	static uint8_t buf[SPLIT_BUFFER_SIZE];
	uint8_t p[200], got[100];
	struct virtio_net_hdr h = {0};
	struct iovec iov[2] = {{&h, VNET_HDR_LEN}, {p, 0}};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	struct pollfd pfd = {.fd = t->queues[0].fd, .events = POLLIN};
	struct split sp;
	size_t packet_len;
	const uint8_t *packet;
	bool found = false;

	/* Down first. */
	iov[1].iov_len = packet_build(p, &s, (const uint8_t *)"hello", 5);
	CHECK_EQ(tun_writev(&t->queues[0], iov, 2), -EIO);
	set_up(t->name, "10.0.0.1");
	CHECK_EQ(bind(fd, (void *)&a, len), 0);
	CHECK_EQ(getsockname(fd, (void *)&a, &len), 0);
	s.dport = ntohs(a.sin_port);
	iov[1].iov_len = packet_build(p, &s, (const uint8_t *)"hello", 5);
	CHECK_EQ(tun_writev(&t->queues[0], iov, 2), 0);
	CHECK_EQ(recv(fd, got, sizeof(got), 0), 5);
	CHECK_MEM(got, "hello", 5);

	a.sin_port = htons(7);
	CHECK_EQ(inet_pton(AF_INET, "10.0.0.2", &a.sin_addr), 1);
	CHECK_EQ(sendto(fd, "back!", 5, 0, (void *)&a, len), 5);
	while (!found && poll(&pfd, 1, 60000) > 0) {
		ssize_t n = tun_read(&t->queues[0], buf, sizeof(buf) - SPLIT_TAILROOM);

		CHECK(n > VNET_HDR_LEN);
		CHECK_EQ(split_begin(&sp, buf, (size_t)n), 0);
		packet = split_next(&sp, &packet_len);
		/* The kernel's own router solicitations come by as well. */
		if (packet_len == 33 && !memcmp(packet + 28, "back!", 5)) {
			found = true;
			CHECK_EQ(slow_sum(packet_pseudo(packet, false, 13), packet + 20, 13), 0xffff);
		}
	}
	CHECK(found);
	while (tun_read(&t->queues[0], buf, sizeof(buf) - SPLIT_TAILROOM) > 0)
		;
	CHECK_EQ(tun_read(&t->queues[0], buf, sizeof(buf) - SPLIT_TAILROOM), -EAGAIN);
	close(fd);
}

static void carries(void)
{
	struct tun *t;

	create("gt0", 1, 0, &t);
	packets(t);
	tun_free(t);
}

static void without(void)
{
	static const unsigned tso = TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN, uso = 0x60;
	unsigned all, join;
	struct tun *t;

	create("gt0", 1, 0, &t);
	all = t->offloads;
	join = tun_join_flags(t);
	tun_free(t);
	for (int i = 0; i < 9; i++) {
		unsigned without = 1u << i, offloads = all, flags = join;

		if (without == FAST_PATH_TUN_VNET)
			offloads = flags = 0;
		else if (without == FAST_PATH_TUN_TSO)
			offloads &= ~tso;
		else if (without == FAST_PATH_TUN_USO)
			offloads &= ~uso;
		else if (without == FAST_PATH_JOIN_TCP)
			flags &= ~JOIN_TCP;
		else if (without == FAST_PATH_JOIN_UDP)
			flags &= ~JOIN_UDP;
		for (unsigned queues = 1; queues <= 2; queues++) {
			create("gt0", queues, without, &t);
			CHECK_EQ(t->vnet_hdr, without != FAST_PATH_TUN_VNET);
			CHECK_EQ(t->queues[queues - 1].vnet_hdr, t->vnet_hdr);
			CHECK_EQ(t->offloads, offloads);
			CHECK_EQ(tun_join_flags(t), flags);
			if (queues == 1)
				packets(t);
			tun_free(t);
		}
	}
	create("gt0", 1, FAST_PATH_ALL, &t);
	CHECK(!t->vnet_hdr && !t->offloads && !tun_join_flags(t));
	tun_free(t);
}

static int attach_to(const char *name, int flags)
{
	struct ifreq ifr = {.ifr_flags = (short)flags};
	int fd = open("/dev/net/tun", O_RDWR);

	memcpy(ifr.ifr_name, name, strlen(name));
	CHECK(fd >= 0);
	CHECK_EQ(ioctl(fd, TUNSETIFF, &ifr), 0);
	return fd;
}

static int attach(int flags)
{
	return attach_to("gt0", flags);
}

static void adopts(void)
{
	struct tun *t = NULL;
	int fd;

	for (unsigned vnet = 0; vnet < 2; vnet++) {
		fd = attach(IFF_TUN | IFF_NO_PI | (vnet ? IFF_VNET_HDR : 0));
		CHECK_EQ(tun_adopt(&fd, 1, 0, &t), 0);
		CHECK_STR(t->name, "gt0");
		CHECK_EQ(t->vnet_hdr, vnet);
		CHECK_EQ(tun_join_flags(t) != 0, vnet);
		CHECK(fcntl(fd, F_GETFL) & O_NONBLOCK);
		CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
		packets(t);
		tun_free(t);
	}
	fd = attach(IFF_TUN | IFF_NO_PI | IFF_VNET_HDR);
	CHECK_EQ(tun_adopt(&fd, 1, FAST_PATH_TUN_VNET, &t), 0);
	CHECK(t->vnet_hdr && !t->offloads && !tun_join_flags(t));
	packets(t);
	tun_free(t);
	fd = attach(IFF_TAP | IFF_NO_PI);
	CHECK_EQ(tun_adopt(&fd, 1, 0, &t), -EPROTOTYPE);
	close(fd);
	fd = open("/dev/null", O_RDWR);
	CHECK_EQ(tun_adopt(&fd, 1, 0, &t), -ENOTTY);
	close(fd);
	fd = open("/dev/net/tun", O_RDWR);
	CHECK_EQ(tun_adopt(&fd, 1, 0, &t), -EBADFD);
	CHECK(fcntl(fd, F_GETFD) >= 0); /* still the caller's */
	close(fd);
}

/* All queues of a device whose owner died, with whatever MTU it had. */
static void adopts_queues(void)
{
	const int flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR | IFF_MULTI_QUEUE;
	struct tun *t = NULL;
	unsigned mtu;
	int fds[3] = {-1, -1, -1};

	CHECK_EQ(tun_adopt(fds, 0, 0, &t), -EINVAL);
	CHECK_EQ(tun_adopt(fds, TUN_QUEUES_MAX + 1, 0, &t), -EINVAL);
	for (size_t i = 0; i < array_size(fds); i++)
		fds[i] = attach(flags);
	CHECK_EQ(tun_set_mtu("gt0", 1333), 0);
	CHECK_EQ(tun_adopt(fds, 3, 0, &t), 0);
	CHECK_EQ(t->n_queues, 3);
	for (size_t i = 0; i < array_size(fds); i++)
		CHECK(t->queues[i].fd == fds[i] && t->queues[i].vnet_hdr);
	CHECK_EQ(tun_mtu("gt0", &mtu), 0);
	CHECK_EQ(mtu, 1333);
	tun_free(t);

	fds[0] = attach_to("gt0", flags);
	fds[1] = attach_to("gt1", flags);
	CHECK_EQ(tun_adopt(fds, 2, 0, &t), -EXDEV);
	CHECK(fcntl(fds[0], F_GETFD) >= 0 && fcntl(fds[1], F_GETFD) >= 0);
	close(fds[0]);
	close(fds[1]);
}

/* 64 flows go out: how many of their packets came, and by how many queues. */
static unsigned flows(struct tun *t, unsigned *ret_queues)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(9)};
	unsigned got = 0, by[TUN_QUEUES_MAX] = {0};
	uint8_t buf[2048];

	CHECK_EQ(inet_pton(AF_INET, "10.0.0.2", &to.sin_addr), 1);
	for (unsigned i = 0; i < 64; i++) {
		int fd = socket(AF_INET, SOCK_DGRAM, 0);

		CHECK_EQ(sendto(fd, "flow", 4, 0, (void *)&to, sizeof(to)), 4);
		close(fd);
	}
	for (unsigned i = 0; i < t->n_queues; i++) {
		ssize_t n;

		while ((n = tun_read(&t->queues[i], buf, sizeof(buf))) > 0)
			by[i] += n >= VNET_HDR_LEN + 32 && !memcmp(buf + VNET_HDR_LEN + 28, "flow", 4);
	}
	*ret_queues = 0;
	for (unsigned i = 0; i < t->n_queues; i++) {
		got += by[i];
		*ret_queues += by[i] > 0;
	}
	return got;
}

/* A device that was taken over with one queue, and workers for three. */
static void attaches_queues(void)
{
	const int flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR | IFF_MULTI_QUEUE;
	struct tun *t = NULL;
	int fd = attach(flags);
	unsigned queues;

	CHECK_EQ(tun_adopt(&fd, 1, 0, &t), 0);
	set_up("gt0", "10.0.0.1");
	CHECK_EQ(tun_prepare_queues(t, 1), 1);
	CHECK_EQ(tun_prepare_queues(t, 3), 3);
	/* Until they are attached the kernel knows of one. */
	CHECK_EQ(t->n_queues, 1);
	CHECK_EQ(flows(t, &queues), 64);
	tun_attach_queues(t);
	CHECK_EQ(t->n_queues, 3);
	for (unsigned i = 0; i < 3; i++)
		CHECK(!t->queues[i].shared && t->queues[i].vnet_hdr);
	CHECK_EQ(flows(t, &queues), 64);
	CHECK(queues > 1);
	tun_attach_queues(t); /* nothing is left to do */
	CHECK_EQ(t->n_queues, 3);
	tun_free(t);
	CHECK_EQ(if_nametoindex("gt0"), 0);

	/* One that was made for one queue has no more. */
	fd = attach(IFF_TUN | IFF_NO_PI | IFF_VNET_HDR);
	CHECK_EQ(tun_adopt(&fd, 1, 0, &t), 0);
	CHECK_EQ(tun_prepare_queues(t, 3), 1);
	tun_free(t);
}

/* A device of another namespace: all share what there is, and no other device is made here. */
static void attaches_elsewhere(void)
{
	const int flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR | IFF_MULTI_QUEUE;
	int fd = attach(flags), back = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	struct tun *t = NULL;
	unsigned queues;

	CHECK_EQ(tun_adopt(&fd, 1, 0, &t), 0);
	set_up("gt0", "10.0.0.1");
	CHECK_EQ(tun_prepare_queues(t, 2), 2);
	CHECK_EQ(unshare(CLONE_NEWNET), 0);
	tun_attach_queues(t);
	CHECK_EQ(t->n_queues, 2);
	CHECK(!t->queues[0].shared && t->queues[1].shared);
	CHECK_EQ(if_nametoindex("gt0"), 0);
	CHECK_EQ(setns(back, CLONE_NEWNET), 0);
	CHECK_EQ(flows(t, &queues), 64);
	tun_free(t);

	/* Made by us, and somebody was quick. */
	CHECK_EQ(tun_open("gt0", 0, &t), 0);
	CHECK_EQ(unshare(CLONE_NEWNET), 0);
	tun_equip(t, 2, 0);
	CHECK(t->n_queues == 2 && t->queues[1].shared && t->offloads);
	CHECK_EQ(if_nametoindex("gt0"), 0);
	CHECK_EQ(setns(back, CLONE_NEWNET), 0);
	close(back);
	tun_free(t);
}

static int write_tun(void *arg, const struct join_output *out)
{
	struct tun *t = arg;

	CHECK(out->packets == 10);
	return tun_writev(&t->queues[0], out->iov, out->n_iov);
}

/* The kernel takes merged UDP and gives its socket every datagram. */
static void takes_merged(void)
{
	static struct join j;
	struct tun *t;
	struct packet_spec s = {.src = 2, .dst = 1, .ttl = 64, .sport = 7};
	struct sockaddr_in a = {.sin_family = AF_INET};
	socklen_t len = sizeof(a);
	uint8_t p[10][400], data[300], got[400];
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);

	create("gt0", 1, 0, &t);
	set_up("gt0", "10.0.0.1");
	CHECK_EQ(bind(fd, (void *)&a, len), 0);
	CHECK_EQ(getsockname(fd, (void *)&a, &len), 0);
	s.dport = ntohs(a.sin_port);
	if (tun_join_flags(t) & JOIN_UDP) {
		join_init(&j, JOIN_UDP, write_tun, t);
		for (unsigned i = 0; i < 10; i++, s.id++) {
			memset(data, (int)i, sizeof(data));
			join_add(&j, p[i], packet_build(p[i], &s, data, sizeof(data)));
		}
		CHECK_EQ(join_flush(&j), 0);
		for (unsigned i = 0; i < 10; i++) {
			memset(data, (int)i, sizeof(data));
			CHECK_EQ(recv(fd, got, sizeof(got), 0), sizeof(data));
			CHECK_MEM(got, data, sizeof(data));
		}
	} else {
		test_note("this kernel has no USO");
	}
	close(fd);
	tun_free(t);
}

#define QUEUES 4
#define FLOWS 64

/* Where the next packet from 10.0.0.1 or fd00::1 waits; it is taken out.  The kernel's own go by. */
static int queue_of_next(struct tun *t, uint16_t sport)
{
	uint8_t buf[2048];

	for (unsigned tries = 0; tries < 100000; tries++)
		for (int i = 0; i < QUEUES; i++) {
			ssize_t n = tun_read(&t->queues[i], buf, sizeof(buf));
			const uint8_t *ip = buf + VNET_HDR_LEN;

			if (n >= VNET_HDR_LEN + 28 && ip[0] >> 4 == 4 && get_be16(ip + 20) == sport)
				return i;
			if (n >= VNET_HDR_LEN + 48 && ip[0] >> 4 == 6 && ip[6] == IPPROTO_UDP &&
				get_be16(ip + 40) == sport)
				return i;
		}
	return -1;
}

/* An answer that comes in by queue ${i}. */
static void answer(struct tun *t, int i, uint16_t to)
{
	struct packet_spec s = {.src = 2, .dst = 1, .ttl = 64, .sport = 9, .dport = to};
	struct virtio_net_hdr header = {0};
	uint8_t p[400], data[10] = {0};
	struct iovec iov[2] = {{&header, VNET_HDR_LEN}, {p, packet_build(p, &s, data, sizeof(data))}};

	CHECK_EQ(tun_writev(&t->queues[i], iov, 2), 0);
}

/* How many of FLOWS flows changed their queue when an answer came by another; and which queues had any. */
static unsigned moved(struct tun *t, int family, unsigned *ret_used)
{
	unsigned n = 0;

	*ret_used = 0;
	for (unsigned f = 0; f < FLOWS; f++) {
		struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(9)};
		struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(9)};
		socklen_t len = family == AF_INET ? sizeof(in) : sizeof(in6);
		void *to = family == AF_INET ? (void *)&in : (void *)&in6;
		int fd = socket(family, SOCK_DGRAM, 0), before, after;
		uint16_t port;

		CHECK_EQ(inet_pton(AF_INET, "10.0.0.2", &in.sin_addr), 1);
		CHECK_EQ(inet_pton(AF_INET6, "fd00::2", &in6.sin6_addr), 1);
		/* A fresh IPv6 address is tentative for a while. */
		for (unsigned tries = 0; connect(fd, to, len) < 0; tries++) {
			CHECK(tries < 1000);
			poll(NULL, 0, 10);
		}
		CHECK_EQ(getsockname(fd, to, &len), 0);
		port = ntohs(family == AF_INET ? in.sin_port : in6.sin6_port);
		CHECK_EQ(send(fd, "x", 1, 0), 1);
		before = queue_of_next(t, port);
		CHECK(before >= 0);
		*ret_used |= 1u << (unsigned)before % QUEUES;
		if (family == AF_INET)
			answer(t, (before + 1) % QUEUES, port);
		CHECK_EQ(send(fd, "x", 1, 0), 1);
		after = queue_of_next(t, port);
		CHECK(after >= 0);
		n += after != before;
		close(fd);
	}
	return n;
}

static void steers(void)
{
	struct tun *t;
	unsigned used;

	create("gt0", QUEUES, 0, &t);
	tun_steer(t, 0);
	set_up("gt0", "10.0.0.1");
	CHECK_EQ(moved(t, AF_INET, &used), 0);
	CHECK_EQ(used, (1u << QUEUES) - 1);
	set_up6("gt0");
	CHECK_EQ(moved(t, AF_INET6, &used), 0);
	CHECK_EQ(used, (1u << QUEUES) - 1);
	tun_free(t);
	create("gt0", QUEUES, 0, &t);
	tun_steer(t, FAST_PATH_TUN_STEERING);
	set_up("gt0", "10.0.0.1");
	test_note("without it %u of %u move", moved(t, AF_INET, &used), FLOWS);
	tun_free(t);
}

int main(void)
{
	if (unshare(CLONE_NEWNET) < 0) {
		test_skip("what needs a network namespace", "not root");
		return test_done();
	}
	test_run("a device is made with offloads and MTU, and errors say which [tun-open]", opens);
	test_run("packets go through, and a link that is down says so [tun-io]", carries);
	test_run("a device does without the offloads that are excluded, one by one and all [without-tun]", without);
	test_run("a device is adopted, also without virtio headers [tun-adopt]", adopts);
	test_run("all queues of one device are adopted, and its MTU stays [tun-adopt-queues]", adopts_queues);
	test_run("queues that are missing are attached when told to, and flows use them [tun-attach]", attaches_queues);
	test_run("a device of another namespace gets none, and nothing is made in its place [tun-attach]", attaches_elsewhere);
	test_run("a flow stays in its queue when its answers come by another, in both families, and flows use all queues [tun-steering]", steers);
	test_run("the kernel takes merged datagrams apart [tun-merged]", takes_merged);
	return test_done();
}
