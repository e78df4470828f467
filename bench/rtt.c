/*
 * bench/rtt.c - round trips of small UDP packets from a host to another and back.
 *
 *	rtt FROM-NS TO-NS ADDRESS SECONDS INTERVAL-US
 *
 * Packets leave on a timetable, whether or not the one before has come back: a pause of the tunnel
 * is seen by every packet that was due in it.  One that has not come back a second after the last
 * was sent is lost, and counts as that second among the percentiles.  Prints JSON, in microseconds.
 */
#include "bench/net.h"

#include <pthread.h>
#include <stdatomic.h>

#define PORT 7002
#define LOST_NS SECOND_NS

struct payload {
	uint64_t number;
	uint64_t sent_ns;
	uint64_t run;
};

struct probe {
	int near, far; /* sockets */
	uint64_t run;
	uint64_t n;
	_Atomic uint64_t back; /* how many came back */
	uint64_t *took_ns;     /* by number; UINT64_MAX: not back yet */
	_Atomic bool stop;
};

static void *echo(void *arg)
{
	struct probe *p = arg;
	struct payload x;

	while (!atomic_load(&p->stop)) {
		struct address from = {.len = sizeof(from.sa)};
		ssize_t n =
			recvfrom(p->far, &x, sizeof(x), 0, (struct sockaddr *)&from.sa, &from.len);

		if (n > 0)
			sendto(p->far, &x, (size_t)n, 0, (struct sockaddr *)&from.sa, from.len);
	}
	return NULL;
}

static void *receive(void *arg)
{
	struct probe *p = arg;
	struct payload x;

	while (!atomic_load(&p->stop)) {
		ssize_t n = recv(p->near, &x, sizeof(x), 0);
		uint64_t now = now_ns();

		if (n != sizeof(x) || x.run != p->run || x.number >= p->n ||
			p->took_ns[x.number] != UINT64_MAX)
			continue;
		p->took_ns[x.number] = now - x.sent_ns;
		atomic_fetch_add(&p->back, 1);
	}
	return NULL;
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* The value that ${share} of the sorted ones do not exceed. */
static double percentile_us(const uint64_t *sorted, uint64_t n, double share)
{
	uint64_t i = (uint64_t)((double)n * share);

	return (double)sorted[min(i, n - 1)] / 1e3;
}

int main(int argc, char *argv[])
{
	struct probe p = {.stop = false};
	uint64_t interval, start;
	pthread_t threads[2];
	struct address to;

	if (argc != 6) {
		fprintf(stderr, "usage: rtt FROM-NS TO-NS ADDRESS SECONDS INTERVAL-US\n");
		return 2;
	}
	to = address_of(argv[3], PORT);
	interval = strtoull(argv[5], NULL, 10) * 1000;
	p.n = interval ? (uint64_t)(atof(argv[4]) * 1e9) / interval : 0;
	if (!p.n) {
		fprintf(stderr, "rtt: nothing to send in that time\n");
		return 2;
	}
	p.took_ns = malloc(p.n * sizeof(*p.took_ns));
	if (!p.took_ns)
		die("malloc");
	memset(p.took_ns, 0xff, p.n * sizeof(*p.took_ns));
	p.run = clock_read(CLOCK_REALTIME);
	exact_sleeps();
	enter_netns(argv[2]);
	p.far = udp_socket(to.sa.ss_family);
	if (bind(p.far, (struct sockaddr *)&to.sa, to.len) < 0)
		die("bind");
	receive_timeout(p.far, 50);
	enter_netns(argv[1]);
	p.near = udp_socket(to.sa.ss_family);
	if (connect(p.near, (struct sockaddr *)&to.sa, to.len) < 0)
		die("connect");
	receive_timeout(p.near, 50);
	errno = pthread_create(&threads[0], NULL, echo, &p);
	if (!errno)
		errno = pthread_create(&threads[1], NULL, receive, &p);
	if (errno)
		die("pthread_create");

	start = now_ns() + 10000000;
	for (uint64_t i = 0; i < p.n; i++) {
		struct payload x = {.number = i, .run = p.run};

		sleep_until(start + i * interval);
		x.sent_ns = now_ns();
		send(p.near, &x, sizeof(x), 0);
	}
	for (uint64_t end = now_ns() + LOST_NS; atomic_load(&p.back) < p.n && now_ns() < end;)
		sleep_until(now_ns() + 5000000);
	atomic_store(&p.stop, true);
	pthread_join(threads[0], NULL);
	pthread_join(threads[1], NULL);
	for (uint64_t i = 0; i < p.n; i++)
		p.took_ns[i] = min(p.took_ns[i], (uint64_t)LOST_NS);
	qsort(p.took_ns, p.n, sizeof(*p.took_ns), compare);
	printf("{\"n\": %llu, \"lost\": %llu, \"p50_us\": %.1f, \"p99_us\": %.1f, \"p999_us\": "
	       "%.1f, \"max_us\": %.1f}\n",
		(unsigned long long)p.n, (unsigned long long)(p.n - atomic_load(&p.back)),
		percentile_us(p.took_ns, p.n, 0.5), percentile_us(p.took_ns, p.n, 0.99),
		percentile_us(p.took_ns, p.n, 0.999), percentile_us(p.took_ns, p.n, 1));
	free(p.took_ns);
	return 0;
}
