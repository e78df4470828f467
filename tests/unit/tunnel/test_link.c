/* Real TUN devices, in network namespaces that only this process holds and that vanish with it. */
#include "tunnel/link.h"

#include "base/test.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>

static struct loop *loop;
static struct link *l;
static int tun = -1, here = -1, there = -1, far = -1;
static char story[4096]; /* the callbacks in order, "up mtu=1420 " ... without routes */
static unsigned n_routes;
static bool gone_seen;

static void tell(const char *what)
{
	strncat(story, what, sizeof(story) - strlen(story) - 1);
}

static void on_up(void *arg)
{
	tell("up ");
}

static void on_down(void *arg)
{
	tell("down ");
}

static void on_mtu(void *arg, unsigned mtu)
{
	char text[32];

	snprintf(text, sizeof(text), "mtu=%u ", mtu);
	tell(text);
}

static void on_name(void *arg, const char *name)
{
	tell("name=");
	tell(name);
	tell(" ");
}

static void on_gone(void *arg)
{
	tell("gone ");
	gone_seen = true;
}

static void on_routes(void *arg)
{
	n_routes++;
}

static const struct link_events events = {.up = on_up,
	.down = on_down,
	.mtu = on_mtu,
	.name = on_name,
	.gone = on_gone,
	.routes = on_routes};

static int new_namespace(void)
{
	CHECK_EQ(unshare(CLONE_NEWNET), 0);
	return open("/proc/self/ns/net", O_RDONLY);
}

static void enter(int ns)
{
	CHECK_EQ(setns(ns, CLONE_NEWNET), 0);
}

static void in(int ns, const char *command)
{
	enter(ns);
	if (system(command))
		test_fail(__FILE__, __LINE__, "%s", command);
	enter(here);
}

/* A command with the descriptor of a namespace for its %d. */
static void move(int from, const char *format, int to)
{
	char command[256];

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	snprintf(command, sizeof(command), format, to);
#pragma GCC diagnostic pop
	in(from, command);
}

/* Run the loop until the story is as it should be; an endless wait is a failure. */
static void expect(const char *want)
{
	for (int i = 0; i < 600 && strcmp(story, want); i++)
		CHECK(loop_wait(loop, 100) >= 0);
	CHECK_STR(story, want);
	*story = 0;
}

/* What is said now, when nothing should be. */
static void expect_silence(void)
{
	while (loop_wait(loop, 300) > 0)
		;
	CHECK_STR(story, "");
}

static void down(void)
{
	link_free(l);
	loop_free(loop);
	close_fd(&tun);
	l = NULL;
	loop = NULL;
	tun = -1;
	*story = 0;
	n_routes = 0;
	gone_seen = false;
}

static void make(void)
{
	struct ifreq ifr = {.ifr_flags = IFF_TUN | IFF_NO_PI, .ifr_name = "tt0"};

	down();
	enter(here);
	tun = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	CHECK(tun >= 0);
	CHECK_EQ(ioctl(tun, TUNSETIFF, &ifr), 0);
	CHECK_EQ(loop_new(&loop), 0);
	CHECK_EQ(link_new(loop, tun, &events, &l), 0);
	CHECK_STR(story, "");
	CHECK_STR(link_name(l), "tt0");
}

static void start(void)
{
	make();
	CHECK_EQ(link_start(l), 0);
	expect("mtu=1500 ");
}

static void initial(void)
{
	make();
	in(here, "ip link set tt0 mtu 1420 up");
	CHECK_EQ(link_start(l), 0);
	CHECK(!strncmp(story, "mtu=1420 up ", 12));
	CHECK(link_is_up(l));
	CHECK_EQ(link_mtu(l), 1420);
}

static void up_down(void)
{
	start();
	CHECK(!link_is_up(l));
	in(here, "ip link set tt0 up");
	expect("up ");
	in(here, "ip link set tt0 down");
	expect("down ");
	/* A flap faster than we look is still told. */
	in(here, "ip link set tt0 up");
	in(here, "ip link set tt0 down");
	in(here, "ip link set tt0 up");
	expect("up down up ");
	in(here, "ip link set tt0 mtu 9000");
	expect("mtu=9000 ");
	CHECK_EQ(link_mtu(l), 9000);
}

static void renamed(void)
{
	start();
	in(here, "ip link set tt0 name other0");
	expect("name=other0 ");
	CHECK_STR(link_name(l), "other0");
	in(here, "ip link set other0 up");
	expect("up ");
}

static void strangers(void)
{
	start();
	/* A device of the same name and very likely the same index in another namespace, numbered by us or not. */
	in(there, "ip link add tt0 index 99 type veth peer name q0 && ip link set tt0 up mtu 1300 && ip link del tt0");
	move(here, "ip link add x0 type veth && ip link set x0 netns /proc/self/fd/%d", there);
	in(there, "ip link set x0 name tt0 mtu 1234 up && ip link set tt0 down && ip link del tt0");
	expect_silence();
}

static void same_index_elsewhere(void)
{
	char command[256];

	start();
	snprintf(command, sizeof(command),
		"ip link add y0 index %u type veth && ip link set y0 up mtu 1234 && ip link del y0",
		if_nametoindex("tt0"));
	in(there, command);
	expect_silence();
	CHECK(!link_is_up(l));
	CHECK_EQ(link_mtu(l), 1500);
}

static void moves(void)
{
	start();
	in(here, "ip link set tt0 up");
	expect("up ");
	/* Moving takes a device down. */
	move(here, "ip link set tt0 netns /proc/self/fd/%d", there);
	expect("down ");
	in(there, "ip link set tt0 up");
	expect("up ");
	in(there, "ip link set tt0 mtu 1400");
	expect("mtu=1400 ");
	in(there, "ip link set tt0 down"); /* before Linux 6.2 no device is renamed that is up */
	expect("down ");
	in(there, "ip link set tt0 name moved0");
	expect("name=moved0 ");
	in(there, "ip link set moved0 up");
	expect("up ");
	/* On into a third, of which our namespace knows nothing. */
	move(there, "ip link set moved0 netns /proc/self/fd/%d", far);
	expect("down ");
	in(far, "ip link set moved0 mtu 1380 up");
	expect("mtu=1380 up ");
	/* And home. */
	move(far, "ip link set moved0 netns /proc/self/fd/%d", here);
	expect("down ");
	in(here, "ip link set moved0 mtu 1360");
	expect("mtu=1360 ");
	in(here, "ip link set moved0 up");
	expect("up ");
}

static void index_changes(void)
{
	start();
	/* Its index is taken over there: it gets another one. */
	{
		char command[128];

		snprintf(command, sizeof(command), "ip link add y0 index %u type veth",
			if_nametoindex("tt0"));
		in(there, command);
	}
	move(here, "ip link set tt0 netns /proc/self/fd/%d name tt9", there);
	expect("name=tt9 ");
	in(there, "ip link set y0 up mtu 1234");
	expect_silence();
	in(there, "ip link set tt9 up");
	expect("up ");
	in(there, "ip link del y0");
}

static void deleted(void)
{
	start();
	in(here, "ip link set tt0 up");
	expect("up ");
	in(here, "ip link del tt0");
	expect("down gone ");
	link_check(l);
	expect_silence();
	start();
	move(here, "ip link set tt0 netns /proc/self/fd/%d", there);
	in(there, "ip link del tt0");
	expect("gone ");
}

static void already_deleted(void)
{
	struct link *other;

	make();
	in(here, "ip link del tt0");
	CHECK_EQ(link_start(l), -EBADFD);
	CHECK_EQ(link_new(loop, tun, &events, &other), -EBADFD);
}

static void namespace_deleted(void)
{
	int ns;

	start();
	ns = new_namespace();
	enter(here);
	move(here, "ip link set tt0 netns /proc/self/fd/%d", ns);
	while (loop_wait(loop, 200) > 0)
		;
	CHECK(!gone_seen);
	close(ns);
	expect("gone ");
}

static void overflow(void)
{
	char command[512];

	start();
	/* More than a socket buffer holds, while nobody reads; the last word is lost with the others. */
	snprintf(command, sizeof(command),
		"i=0; { while [ $i -lt 1500 ]; do echo link set tt0 mtu $((1300 + i %% 2)); i=$((i + 1)); done; "
		"echo link set tt0 mtu 1333; echo link set tt0 up; } | ip -batch -");
	in(here, command);
	for (int i = 0; i < 100 && !(link_is_up(l) && link_mtu(l) == 1333); i++)
		CHECK(loop_wait(loop, 100) >= 0);
	CHECK(link_is_up(l));
	CHECK_EQ(link_mtu(l), 1333);
}

static void routes_change(void)
{
	static const char *const changes[] = {"ip link set lo up && ip addr add 192.0.2.1/32 dev lo",
		"ip route add 198.51.100.0/24 dev lo", "ip route del 198.51.100.0/24 dev lo",
		"ip -6 addr add 2001:db8::1/128 dev lo", "ip -6 route add 2001:db8:1::/64 dev lo",
		"ip -6 route del 2001:db8:1::/64 dev lo", "ip addr del 192.0.2.1/32 dev lo",
		"ip -6 addr del 2001:db8::1/128 dev lo"};

	start();
	for (size_t i = 0; i < array_size(changes); i++) {
		while (loop_wait(loop, 600) > 0)
			;
		n_routes = 0;
		in(here, changes[i]);
		for (int j = 0; j < 100 && !n_routes; j++)
			CHECK(loop_wait(loop, 100) >= 0);
		if (!n_routes)
			test_note("%s", changes[i]);
		CHECK(n_routes > 0);
	}
	/* Those of the namespace where the device is are not ours. */
	while (loop_wait(loop, 600) > 0)
		;
	n_routes = 0;
	in(there, "ip link set lo up && ip route add 198.51.100.0/24 dev lo && ip route del 198.51.100.0/24 dev lo");
	while (loop_wait(loop, 600) > 0)
		;
	CHECK_EQ(n_routes, 0);
}

static void many_routes(void)
{
	struct timespec before, after;
	double s;

	start();
	in(here, "ip link set lo up");
	while (loop_wait(loop, 600) > 0)
		;
	n_routes = 0;
	clock_gettime(CLOCK_MONOTONIC, &before);
	for (int round = 0; round < 4; round++) {
		in(here, "i=0; while [ $i -lt 2000 ]; do echo route add 198.$((18 + i / 256)).$((i % 256)).0/24 dev lo; "
			 "i=$((i + 1)); done | ip -batch -");
		while (loop_wait(loop, 50) > 0)
			;
		in(here, "ip route flush root 198.16.0.0/12");
		while (loop_wait(loop, 50) > 0)
			;
	}
	while (loop_wait(loop, 600) > 0)
		;
	clock_gettime(CLOCK_MONOTONIC, &after);
	s = (double)(after.tv_sec - before.tv_sec) + 1e-9 * (double)(after.tv_nsec - before.tv_nsec);
	/* Never more often than four times a second, however long this took. */
	CHECK(n_routes >= 1);
	CHECK(n_routes <= 4 * s + 1);
}

#define TESTS(X)                                                                                   \
	X("the state at the start is told: name, MTU, up [link-start]", initial)                   \
	X("up, down, a quick flap and a new MTU are told [link-up-down]", up_down)                 \
	X("a renamed device is followed [link-rename]", renamed)                                   \
	X("devices of other namespaces with our name are not ours [link-strangers]", strangers)    \
	X("a device of another namespace with our index is not ours [link-strangers]",             \
		same_index_elsewhere)                                                              \
	X("the device is followed through two namespaces and home [link-netns]", moves)            \
	X("a new index and name after the move are found [link-netns]", index_changes)             \
	X("deletion is told once, here and in another namespace [link-gone]", deleted)             \
	X("a device that is gone before we start is an error [link-gone]", already_deleted)        \
	X("the end of its namespace is its end [link-gone]", namespace_deleted)                    \
	X("lost notifications are made good by asking [link-overflow]", overflow)                  \
	X("changed routes and addresses of our own namespace are told [link-routes]", routes_change) \
	X("thousands of routes are told at most four times a second [link-routes]", many_routes)

int main(void)
{
	if (unshare(CLONE_NEWNET) < 0 || access("/dev/net/tun", R_OK | W_OK) < 0) {
#define SKIP(name, fn) test_skip(name, "needs root and /dev/net/tun");
		TESTS(SKIP)
		return test_done();
	}
	here = open("/proc/self/ns/net", O_RDONLY);
	unshare(CLONE_NEWNET);
	there = open("/proc/self/ns/net", O_RDONLY);
	unshare(CLONE_NEWNET);
	far = open("/proc/self/ns/net", O_RDONLY);
#define RUN(name, fn) test_run(name, fn);
	TESTS(RUN)
	down();
	return test_done();
}
