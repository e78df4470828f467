/*
 * bench/net.h - what the load generators share: clocks, processor time of others, and UDP sockets
 * in a named network namespace.  Whatever fails ends the program with a message: a benchmark that
 * goes on with less measures something else.
 */
#pragma once

#include "base/util.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>

#define SECOND_NS 1000000000ull

static inline void die(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(1);
}

static inline uint64_t clock_read(clockid_t clock)
{
	struct timespec t;

	if (clock_gettime(clock, &t) < 0)
		die("clock_gettime");
	return (uint64_t)t.tv_sec * SECOND_NS + (uint64_t)t.tv_nsec;
}

static inline uint64_t now_ns(void)
{
	return clock_read(CLOCK_MONOTONIC);
}

static inline void sleep_until(uint64_t ns)
{
	struct timespec t = {.tv_sec = (time_t)(ns / SECOND_NS), .tv_nsec = (long)(ns % SECOND_NS)};

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR)
		;
}

/* cpu_ns(n, pids): the processor time that these processes have used so far. */
static inline uint64_t cpu_ns(int n, char *const pids[])
{
	uint64_t sum = 0;

	for (int i = 0; i < n; i++) {
		clockid_t clock;

		errno = clock_getcpuclockid(atoi(pids[i]), &clock);
		if (errno)
			die("the processor time of a daemon");
		sum += clock_read(clock);
	}
	return sum;
}

/* enter_netns(name): from here on the sockets of this thread belong to that host; "-": this one. */
static inline void enter_netns(const char *name)
{
	char path[256];
	int fd;

	if (!strcmp(name, "-"))
		return;
	snprintf(path, sizeof(path), "/run/netns/%s", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || setns(fd, CLONE_NEWNET) < 0)
		die(path);
	close(fd);
}

/* Sleeps end when they should, not up to 50 us later. */
static inline void exact_sleeps(void)
{
	prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);
}

struct address {
	struct sockaddr_storage sa;
	socklen_t len;
};

static inline struct address address_of(const char *text, uint16_t port)
{
	struct address a = {0};
	struct sockaddr_in *v4 = (struct sockaddr_in *)&a.sa;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&a.sa;

	if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(port);
		a.len = sizeof(*v4);
	} else if (inet_pton(AF_INET6, text, &v6->sin6_addr) == 1) {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons(port);
		a.len = sizeof(*v6);
	} else {
		fprintf(stderr, "%s is no IP address\n", text);
		exit(2);
	}
	return a;
}

/* A UDP socket in the namespace that this thread is in, with buffers that are never what is full.
 */
static inline int udp_socket(int family)
{
	int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0), size = 32 << 20;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0 ||
		setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) < 0)
		die("a UDP socket");
	return fd;
}

static inline void receive_timeout(int fd, unsigned ms)
{
	struct timeval t = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t)) < 0)
		die("SO_RCVTIMEO");
}
