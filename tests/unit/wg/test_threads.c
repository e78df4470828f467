/*
 * Two devices with two worker threads each, sending and receiving for real, while a control thread each runs handshakes, and
 * one of them changes everything that may be changed.  For ThreadSanitizer above all.
 */
#include "base/test.h"
#include "wg/peer.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>

#define PACKETS 20000u /* a worker */
#define RING 1024u
#define BATCH 8u

struct datagram {
	uint32_t	len;
	uint8_t		bytes[160];
};

/* What is on its way to one worker.  Full: lost, as in a socket's buffer. */
struct ring {
	pthread_mutex_t	 lock;
	unsigned	 head, n;
	struct datagram	 d[RING];
};

struct host {
	struct wg_device	*device;
	struct host		*other;
	struct wg_addr		 addr;
	uint8_t			 public_key[32], private_key[32];
	struct ring		 rings[2];
	uint64_t		 random;	/* control thread only */
	_Atomic unsigned	 delivered[2 * PACKETS]; /* by tag */
	_Atomic unsigned	 n_delivered;
	struct nonce_set {
		pthread_mutex_t	 lock;
		unsigned	 n, cap;
		struct nonce {
			uint32_t receiver;
			uint64_t counter;
		}		*seen;
	} nonces;
};

struct job {
	struct host	*h;
	unsigned	 worker;
};

static struct host hosts[2];
static _Atomic uint64_t clock_ns = 1000 * NS_PER_S;
static _Atomic unsigned running;

static void random_bytes(void *arg, void *buf, size_t len)
{
	struct host *h = arg;

	for (size_t i = 0; i < len; i++)
		((uint8_t *)buf)[i] = (uint8_t)(test_random(&h->random) >> 32);
}

static uint64_t now_ns(void)
{
	return atomic_fetch_add(&clock_ns, 20000) + 20000;
}

/* To the other host, by the worker that its flow hashes to. */
static void transmit(struct host *from, unsigned flow, const void *msg, size_t len)
{
	struct ring *r = &from->other->rings[flow % 2];

	if (wg_message_check(msg, len) == WG_MESSAGE_DATA) {
		struct nonce_set *s = &from->nonces;

		pthread_mutex_lock(&s->lock);
		if (s->n == s->cap) {
			s->cap = s->cap ? 2 * s->cap : 4096;
			s->seen = realloc(s->seen, s->cap * sizeof(*s->seen));
			if (!s->seen)
				abort();
		}
		s->seen[s->n++] = (struct nonce){get_le32((const uint8_t *)msg + 4), get_le64((const uint8_t *)msg + 8)};
		pthread_mutex_unlock(&s->lock);
	}
	pthread_mutex_lock(&r->lock);
	if (r->n < RING && len <= sizeof(r->d[0].bytes)) {
		struct datagram *d = &r->d[(r->head + r->n++) % RING];

		d->len = (uint32_t)len;
		memcpy(d->bytes, msg, len);
	}
	pthread_mutex_unlock(&r->lock);
}

static void send_some(struct host *h, struct wg_worker *w, unsigned worker, unsigned *tag)
{
	uint8_t inner[BATCH][112] = {0}, out[144];
	struct wg_tx_run run;
	enum wg_drop drop;
	struct wg_peer *p;
	int r;

	for (unsigned i = 0; i < BATCH; i++) {
		inner[i][0] = 0x45;
		put_be16(inner[i] + 2, 100);
		inner[i][12] = inner[i][16] = 10;
		inner[i][15] = h == &hosts[0] ? 1 : 2;
		inner[i][19] = h == &hosts[0] ? 2 : 1;
		put_be32(inner[i] + 20, 2 * (*tag)++ + worker);
	}
	p = wg_tx_route(w, inner[0], 100, &drop);
	if (!p)
		return;
	r = wg_tx_reserve(w, p, now_ns(), BATCH, true, &run);
	for (unsigned i = 0; i < BATCH; i++) {
		if (r == -EAGAIN) {
			wg_tx_stage(w, p, inner[i], 100);
		} else if (!r) {
			wg_tx_seal(w, &run, i, inner[i], 112, out);
			transmit(h, worker, out, sizeof(out));
		}
	}
	if (!r)
		wg_tx_sent(w, &run, BATCH * sizeof(out));
}

static bool receive_some(struct host *h, struct wg_worker *w, unsigned worker)
{
	struct ring *ring = &h->rings[worker];
	struct datagram d[BATCH];
	struct wg_rx_packet pkts[BATCH];
	struct wg_endpoint src = {.dst = h->other->addr};
	unsigned n = 0, n_data = 0;

	pthread_mutex_lock(&ring->lock);
	for (; n < BATCH && ring->n; ring->n--) {
		d[n++] = ring->d[ring->head];
		ring->head = (ring->head + 1) % RING;
	}
	src.dst.port = (uint16_t)(src.dst.port + (ring->head / 256 & 1)); /* it roams */
	pthread_mutex_unlock(&ring->lock);
	for (unsigned i = 0; i < n; i++) {
		if (wg_message_check(d[i].bytes, d[i].len) == WG_MESSAGE_DATA)
			pkts[n_data++] = (struct wg_rx_packet){.msg = d[i].bytes, .len = d[i].len};
		else
			wg_device_queue(h->device, &src, d[i].bytes, d[i].len);
	}
	wg_rx_open(w, now_ns(), pkts, n_data);
	wg_rx_commit(w, now_ns(), &src, pkts, n_data);
	wg_rx_filter(w, pkts, n_data);
	for (unsigned i = 0; i < n_data; i++)
		if (pkts[i].drop == WG_DROP_NONE && pkts[i].len) {
			atomic_fetch_add(&h->delivered[get_be32(pkts[i].packet + 20)], 1);
			atomic_fetch_add(&h->n_delivered, 1);
		}
	return n > 0;
}

static void *work(void *arg)
{
	struct job *job = arg;
	struct wg_worker *w = wg_device_worker(job->h->device, job->worker);
	unsigned tag = 0;

	wg_worker_online(w);
	while (tag < PACKETS) {
		send_some(job->h, w, job->worker, &tag);
		if (!receive_some(job->h, w, job->worker)) {
			wg_worker_offline(w);
			sched_yield();
			wg_worker_online(w);
		}
		wg_worker_quiescent(w);
	}
	wg_worker_offline(w);
	atomic_fetch_sub(&running, 1);
	return NULL;
}

static void add_peer(struct host *h)
{
	uint8_t ip[4] = {10, 0, 0, h == &hosts[0] ? 2 : 1};
	struct wg_peer *p;

	if (wg_device_add_peer(h->device, h->other->public_key, &p) < 0 ||
		wg_peer_allow(h->device, p, AF_INET, ip, 32) < 0)
		abort();
	wg_peer_set_endpoint(h->device, p, &h->other->addr);
}

static void change(struct host *h, unsigned round, struct wg_now now)
{
	static const uint8_t zero[32];
	struct wg_peer *p = wg_device_peer(h->device, h->other->public_key);
	uint8_t key[32] = {7}, net[4] = {10, 1};

	switch (round % 7) {
	case 0:
		wg_device_remove_peer(h->device, p);
		add_peer(h);
		break;
	case 1: /* another key and back: the sessions end */
		wg_device_set_private_key(h->device, now, key);
		wg_device_set_private_key(h->device, now, h->private_key);
		break;
	case 2:
		wg_peer_set_endpoint(h->device, p, &h->other->addr);
		break;
	case 3:
		for (unsigned i = 0; i < 40; i++) {
			net[2] = (uint8_t)i;
			if (wg_peer_allow(h->device, p, AF_INET, net, 24) < 0)
				abort();
		}
		for (unsigned i = 0; i < 40; i++) {
			net[2] = (uint8_t)i;
			wg_peer_disallow(h->device, p, AF_INET, net, 24);
		}
		break;
	case 4:
		wg_peer_set_preshared_key(p, zero);
		wg_peer_set_keepalive(p, (uint16_t)(round % 5));
		wg_peer_configured(h->device, p, now);
		break;
	case 5:
		wg_peer_clear_source(h->device, NULL);
		wg_device_set_mtu(h->device, 1000 + round % 400);
		break;
	default:
		wg_device_down(h->device);
		wg_device_up(h->device, now);
	}
}

static void *control(void *arg)
{
	struct host *h = arg;
	struct wg_effect e;

	for (unsigned round = 1; atomic_load(&running); round++) {
		struct wg_now now = {.boot_ns = now_ns()};

		now.real_ns = now.boot_ns + 1700000000 * NS_PER_S;
		if (h == &hosts[0] && round % 50 == 0)
			change(h, round / 50, now);
		wg_device_run(h->device, now);
		while (wg_device_effect(h->device, &e))
			transmit(h, round, e.data, e.len);
		atomic_fetch_add(&clock_ns, 50 * NS_PER_MS); /* rekeys come often */
		sched_yield();
	}
	return NULL;
}

static int by_nonce(const void *a, const void *b)
{
	const struct nonce *x = a, *y = b;

	if (x->receiver != y->receiver)
		return x->receiver < y->receiver ? -1 : 1;
	return x->counter < y->counter ? -1 : x->counter > y->counter;
}

static void threads(void)
{
	pthread_t t[6];
	struct job jobs[4];
	unsigned twice = 0, reused = 0, delivered;

	for (unsigned i = 0; i < 2; i++) {
		struct host *h = &hosts[i];
		struct wg_device_config config = {.random = random_bytes, .arg = h, .workers = 2};
		struct x25519 *k;
		uint8_t ip[4] = {192, 0, 2, (uint8_t)(i + 1)};

		h->random = i + 1;
		h->other = &hosts[!i];
		h->addr = wg_addr_v4(ip, 51820);
		memset(h->private_key, (int)i + 0x42, 32);
		x25519_clamp(h->private_key);
		CHECK(!x25519_new(h->private_key, &k));
		memcpy(h->public_key, x25519_public(k), 32);
		x25519_free(k);
		CHECK(!wg_device_new(&config, &h->device));
		for (unsigned j = 0; j < 2; j++)
			pthread_mutex_init(&h->rings[j].lock, NULL);
		pthread_mutex_init(&h->nonces.lock, NULL);
	}
	for (unsigned i = 0; i < 2; i++) {
		struct wg_now now = {.boot_ns = now_ns(), .real_ns = 1700000000 * NS_PER_S};

		CHECK(!wg_device_set_private_key(hosts[i].device, now, hosts[i].private_key));
		add_peer(&hosts[i]);
		wg_device_up(hosts[i].device, now);
	}
	atomic_store(&running, 4);
	for (unsigned i = 0; i < 4; i++) {
		jobs[i] = (struct job){&hosts[i / 2], i % 2};
		CHECK(!pthread_create(&t[i], NULL, work, &jobs[i]));
	}
	for (unsigned i = 0; i < 2; i++)
		CHECK(!pthread_create(&t[4 + i], NULL, control, &hosts[i]));
	for (unsigned i = 0; i < 6; i++)
		pthread_join(t[i], NULL);
	delivered = hosts[0].n_delivered + hosts[1].n_delivered;
	for (unsigned i = 0; i < 2; i++) {
		struct nonce_set *s = &hosts[i].nonces;

		for (unsigned j = 0; j < 2 * PACKETS; j++)
			twice += hosts[i].delivered[j] > 1;
		qsort(s->seen, s->n, sizeof(*s->seen), by_nonce);
		for (unsigned j = 1; j < s->n; j++)
			reused += !by_nonce(&s->seen[j - 1], &s->seen[j]);
		free(s->seen);
		wg_device_free(hosts[i].device);
	}
	test_note("%u packets delivered", delivered);
	CHECK(delivered > 100);
	CHECK_EQ(twice, 0);
	CHECK_EQ(reused, 0);
}

int main(void)
{
	test_run("workers and control threads together: nothing arrives twice, and no nonce is used twice", threads);
	return test_done();
}
