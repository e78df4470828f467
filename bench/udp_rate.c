/*
 * bench/udp_rate.c - one trial: numbered UDP packets at one rate from a host to another, and how
 * many of them arrived.
 *
 *	udp_rate FROM-NS TO-NS ADDRESS BYTES RATE SECONDS [PID...]
 *
 * BYTES is the length of the IP packet.  Each packet is one datagram of its own, without
 * segmentation offload.  What the sender could not send in time it does not send later: the rate
 * that counts is the one that was sent.  Prints JSON; cpu_s is what the processes PID used.
 */
#include "bench/net.h"

#include <pthread.h>
#include <stdatomic.h>

#define PORT 7001
#define BATCH 64
#define PACKET_MAX 2048
#define PAUSE_NS 30000        /* a sleep is worth it from here on */
#define DRAIN_NS 100000000ull /* what is on its way when the last one was sent */

struct payload {
	uint64_t number;
	uint64_t trial;
};

struct receiver {
	int fd;
	uint64_t trial;
	_Atomic uint64_t stop_ns;
	uint64_t received, reordered, next;
};

static void count(struct receiver *r, const uint8_t *packet, size_t len)
{
	struct payload p;

	if (len < sizeof(p))
		return;
	memcpy(&p, packet, sizeof(p));
	if (p.trial != r->trial)
		return;
	r->received++;
	if (p.number < r->next)
		r->reordered++;
	else
		r->next = p.number + 1;
}

static void *receive(void *arg)
{
	static uint8_t packets[BATCH][PACKET_MAX];
	struct receiver *r = arg;
	struct mmsghdr m[BATCH];
	struct iovec iov[BATCH];

	for (unsigned i = 0; i < BATCH; i++) {
		iov[i] = (struct iovec){packets[i], PACKET_MAX};
		m[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &iov[i], .msg_iovlen = 1}};
	}
	while (now_ns() < atomic_load(&r->stop_ns)) {
		int n = recvmmsg(r->fd, m, BATCH, MSG_WAITFORONE, NULL);

		if (n < 0 && errno != EAGAIN && errno != EINTR)
			die("recvmmsg");
		for (int i = 0; i < n; i++)
			count(r, packets[i], m[i].msg_len);
	}
	return NULL;
}

struct sender {
	int fd;
	struct mmsghdr m[BATCH];
	struct iovec iov[BATCH];
	uint8_t packets[BATCH][PACKET_MAX];
	uint64_t trial, sent;
};

static void send_some(struct sender *s, unsigned n)
{
	unsigned at = 0;

	for (unsigned i = 0; i < n; i++) {
		struct payload p = {s->sent + i, s->trial};

		memcpy(s->packets[i], &p, sizeof(p));
	}
	while (at < n) {
		int r = sendmmsg(s->fd, s->m + at, n - at, 0);

		if (r < 0 && errno != EINTR && errno != ENOBUFS)
			die("sendmmsg");
		if (r > 0)
			at += (unsigned)r;
	}
	s->sent += n;
}

/* Send at the rate until the time is over; returns how long it took. */
static uint64_t send_all(struct sender *s, double rate, uint64_t duration_ns)
{
	uint64_t start = now_ns(), now = start;
	double forgiven = 0;

	while (now - start < duration_ns) {
		double due = rate * (double)(now - start) / 1e9 - forgiven - (double)s->sent;

		if (due > BATCH) {
			forgiven += due - BATCH;
			due = BATCH;
		}
		if (due >= 1) {
			send_some(s, (unsigned)due);
		} else {
			double wait_ns = (1 - due) / rate * 1e9;

			sleep_until(now + max((uint64_t)wait_ns, (uint64_t)PAUSE_NS));
		}
		now = now_ns();
	}
	return now - start;
}

int main(int argc, char *argv[])
{
	static struct sender s;
	struct receiver r = {.stop_ns = UINT64_MAX};
	uint64_t duration, took, cpu;
	struct address to;
	unsigned bytes;
	pthread_t thread;
	double rate;

	if (argc < 7) {
		fprintf(stderr,
			"usage: udp_rate FROM-NS TO-NS ADDRESS BYTES RATE SECONDS [PID...]\n");
		return 2;
	}
	to = address_of(argv[3], PORT);
	bytes = (unsigned)atoi(argv[4]) - (to.sa.ss_family == AF_INET ? 28 : 48);
	rate = atof(argv[5]);
	duration = (uint64_t)(atof(argv[6]) * 1e9);
	if (bytes < sizeof(struct payload) || bytes > PACKET_MAX || rate <= 0 || !duration) {
		fprintf(stderr, "udp_rate: no such packets, rate or duration\n");
		return 2;
	}
	exact_sleeps();
	enter_netns(argv[2]);
	r.fd = udp_socket(to.sa.ss_family);
	if (bind(r.fd, (struct sockaddr *)&to.sa, to.len) < 0)
		die("bind");
	receive_timeout(r.fd, 10);
	enter_netns(argv[1]);
	s.fd = udp_socket(to.sa.ss_family);
	if (connect(s.fd, (struct sockaddr *)&to.sa, to.len) < 0)
		die("connect");
	s.trial = r.trial = clock_read(CLOCK_REALTIME);
	for (unsigned i = 0; i < BATCH; i++) {
		s.iov[i] = (struct iovec){s.packets[i], bytes};
		s.m[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &s.iov[i], .msg_iovlen = 1}};
	}
	errno = pthread_create(&thread, NULL, receive, &r);
	if (errno)
		die("pthread_create");
	cpu = cpu_ns(argc - 7, argv + 7);
	took = send_all(&s, rate, duration);
	atomic_store(&r.stop_ns, now_ns() + DRAIN_NS);
	pthread_join(thread, NULL);
	cpu = cpu_ns(argc - 7, argv + 7) - cpu;
	printf("{\"sent\": %llu, \"received\": %llu, \"reordered\": %llu, \"seconds\": %.6f, "
	       "\"cpu_s\": %.6f}\n",
		(unsigned long long)s.sent, (unsigned long long)r.received,
		(unsigned long long)r.reordered, (double)took / 1e9, (double)cpu / 1e9);
	return 0;
}
