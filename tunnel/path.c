#include "tunnel/path.h"

#include "tunnel/balance.h"
#include "tunnel/icmp.h"
#include "tunnel/join.h"
#include "tunnel/split.h"
#include "wg/tap.h"

#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/udp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

/* In a row, before the sockets get their turn: many small packets, or a few coalesced ones. */
#define TUN_READS_MAX 64
#define TUN_READ_BYTES_MAX (3u << 16)
#define SEND_BUFFER (192u << 10)
#define DATAGRAM_MAX 65507
#define STACK_BYTES (1u << 20)

/*
 * A worker whose turn took so long looks for more so long before it sleeps, and lets others have the
 * processor meanwhile.  What carries much will soon have more, and to be woken costs an idle processor
 * as long, where it is a virtual one.  Where others did want it, it sleeps as usual for a while.
 */
#define LINGER_AFTER_NS 30000
#define LINGER_NS 30000
#define LINGER_NOT_NS 1000000

#define NESTED_TTL 16 /* hops that being carried once more costs: three times, of the usual 64 */

/* What the worker collects before one system call sends it. */
struct outbox {
	unsigned		n;
	size_t			len;
	struct udp_message	messages[UDP_SEND_MAX];
	struct wg_endpoint	endpoints[UDP_SEND_MAX];
	struct wg_peer		*peers[UDP_SEND_MAX];
	uint8_t			data[SEND_BUFFER];
};

/* Where packets come from.  Its owner alone reads it, and gives it away between two batches. */
struct source {
	struct tun_queue	*tun;		/* [I] a queue of the TUN; NULL: a socket */
	int			 fd;		/* written while all are parked; -1: none */
	_Atomic unsigned	 owner;		/* [a] number of the worker; written by its owner */
	uint64_t		 busy_ns;	/* of the owner's window; owned */
	uint32_t		 overflows;	/* of the socket, as far as they are counted; owned */
	bool			 inherited;	/* what it says first is another daemon's, and counted; owned */
};

struct worker {
	struct path		*path;
	unsigned		 number;	/* [I] */
	struct wg_worker	*wg;
	struct tun_queue	*tun;		/* [I] that it writes to */
	struct udp_queue	*udp;		/* that it sends by; NULL: the link is down */
	uint16_t		 port;
	pthread_t		 thread;
	bool			 started;
	bool			 deaf;		/* a source could not be watched: to be tried again */
	int			 epoll_fd, event_fd;
	uint64_t		 now_ns;
	struct balance		 balance;
	uint64_t		 cpu_ns, used_ns; /* processor time at the last balance(), and without what it lingered */
	uint64_t		 lingered_ns;	/* since then */
	uint64_t		 linger_ns;	/* not before then */
	struct icmp_limit	 icmp_limit;
	struct udp_rx		*rx;
	struct join		 join;
	struct outbox		 out;
	uint8_t			 packet[SPLIT_BUFFER_SIZE];
};

/* Locks: [l] lock */
struct path {
	struct path_config	 config;
	unsigned		 n;
	pthread_mutex_t		 lock;
	pthread_cond_t		 changed;
	bool			 paused, stop;	/* [l] what the control thread wants */
	unsigned		 n_parked;	/* [l] */
	_Atomic bool		 interrupt;	/* one of them is set: look under the lock */
	struct udp		*udp;		/* [l] written while all are parked */
	bool			 balanced;	/* [I] sources may change their owner */
	unsigned		 n_sources;	/* [I] the TUN's queues, then the sockets */
	struct source		 sources[TUN_QUEUES_MAX + 2 * UDP_WORKERS_MAX];
	balance_load		 loads[UDP_WORKERS_MAX];
	struct worker		*workers[];
};

/* ---- TUN to UDP ---- */

static void send_failed(struct worker *w, const struct udp_message *m, struct wg_peer *peer)
{
	if (!m->error)
		return;
	wg_tap_drop(w->wg, WG_DROP_SEND_FAILED, m->dropped,
		(struct wg_tap_packet){.peer = peer, .endpoint = m->to, .tos = m->tos, .error = m->error});
	log_limited(LOG_LEVEL_VERBOSE, "udp: cannot send: %s", strerror(-m->error));
}

static void flush(struct worker *w)
{
	struct outbox *o = &w->out;

	if (!o->n)
		return;
	if (unlikely(udp_send(w->udp, o->messages, o->n)))
		for (unsigned i = 0; i < o->n; i++)
			send_failed(w, &o->messages[i], o->peers[i]);
	for (unsigned i = 0; i < o->n; i++)
		if (unlikely(o->messages[i].source_refused))
			wg_tx_source_refused(w->wg, o->peers[i]);
	o->n = 0;
	o->len = 0;
}

/*
 * Room for one more datagram of this run.  It joins the last message if that goes to the same place
 * and its datagrams were all of one length so far; else it starts one of its own.
 */
static uint8_t *reserve(
	struct worker *w, const struct wg_tx_run *run, uint8_t tos, uint8_t ttl, size_t len)
{
	struct outbox *o = &w->out;
	struct udp_message *m;

	if (len > sizeof(o->data) - o->len)
		flush(w);
	m = o->n ? &o->messages[o->n - 1] : NULL;
	if (m && m->tos == tos && m->ttl == ttl && len <= m->segment && m->len % m->segment == 0 &&
		o->peers[o->n - 1] == run->peer && wg_endpoint_equal(m->to, &run->endpoint)) {
		m->len += (uint32_t)len;
	} else {
		if (o->n == UDP_SEND_MAX)
			flush(w);
		m = &o->messages[o->n];
		o->endpoints[o->n] = run->endpoint;
		o->peers[o->n] = run->peer;
		*m = (struct udp_message){.to = &o->endpoints[o->n],
			.data = o->data + o->len,
			.len = (uint32_t)len,
			.segment = (uint32_t)len,
			.tos = tos,
			.ttl = ttl};
		o->n++;
	}
	o->len += len;
	return o->data + o->len - len;
}

/* The UDP header of a packet, or of its first fragment, with four bytes behind it; NULL: none. */
static const uint8_t *udp_header(const uint8_t *packet, size_t len)
{
	const uint8_t *end = packet + len, *udp;
	uint8_t protocol;

	if (packet[0] >> 4 == 4) {
		udp = packet + (size_t)(packet[0] & 15) * 4;
		protocol = packet[9];
		if (get_be16(packet + 6) & IP_OFFMASK)
			return NULL;
	} else {
		udp = packet + sizeof(struct ip6_hdr);
		protocol = packet[6];
		if (protocol == IPPROTO_FRAGMENT && udp + sizeof(struct ip6_frag) <= end &&
			!(get_be16(udp + 2) & ~7)) {
			protocol = udp[0];
			udp += sizeof(struct ip6_frag);
		}
	}
	return protocol == IPPROTO_UDP && udp + sizeof(struct udphdr) + 4 <= end ? udp : NULL;
}

static bool goes_to(const uint8_t *packet, const uint8_t *udp, const struct wg_endpoint *to)
{
	bool v4 = packet[0] >> 4 == 4;

	return to->dst.family == (v4 ? AF_INET : AF_INET6) &&
	       !memcmp(packet + (v4 ? 16 : 24), to->dst.bytes, v4 ? 4 : 16) &&
	       get_be16(udp + 2) == to->dst.port;
}

/*
 * The hop limit of what carries this packet: 0, the system's, unless it is an outer packet of ours
 * that comes back to be carried once more.  That is how one peer is reached through another, and it
 * is a loop where the route to the endpoint leads into the tunnel, or where each of two peers is to
 * be reached through the other, as both may pretend: -ELOOP.  A lower limit each time tells how
 * deep we are.  Too long for the tunnel, such a packet comes in fragments, of which the first
 * tells; those behind it are shorter, and come back as whole packets.
 */
static int carrier_ttl(
	const struct worker *w, const uint8_t *packet, size_t len, const struct wg_endpoint *to)
{
	const uint8_t *udp = udp_header(packet, len);
	uint32_t type;
	int ttl;

	if (likely(!udp || get_be16(udp) != w->port))
		return 0;
	type = get_le32(udp + sizeof(struct udphdr));
	if (type < WG_MESSAGE_INITIATION || type > WG_MESSAGE_DATA)
		return 0;
	ttl = packet[0] >> 4 == 4 ? packet[8] : packet[7];
	return goes_to(packet, udp, to) || ttl <= NESTED_TTL ? -ELOOP : ttl - NESTED_TTL;
}

static void drop_inner(struct worker *w, enum wg_drop why, unsigned n, struct wg_peer *peer,
	const uint8_t *packet, size_t len)
{
	wg_tap_drop(w->wg, why, n,
		(struct wg_tap_packet){.peer = peer, .data = packet, .len = len});
}

static void unreachable(struct worker *w, const uint8_t *packet, size_t len)
{
	uint8_t error[ICMP_UNREACHABLE_MAX];
	struct virtio_net_hdr header = {0};
	struct iovec iov[2] = {{&header, VNET_HDR_LEN}, {error, 0}};

	if (!icmp_limit_take(&w->icmp_limit, w->now_ns))
		return;
	iov[1].iov_len = icmp_unreachable(packet, len, error);
	if (iov[1].iov_len && tun_writev(w->tun, iov, 2) < 0)
		drop_inner(w, WG_DROP_ICMP_REFUSED, 1, NULL, error, iov[1].iov_len);
}

static void drop_message(struct worker *w, enum wg_drop why, const struct udp_run *run,
	const uint8_t *msg, size_t len)
{
	wg_tap_drop(w->wg, why, 1,
		(struct wg_tap_packet){
			.endpoint = &run->from, .tos = run->tos, .data = msg, .len = len});
}

static void stage(struct worker *w, struct wg_peer *peer, struct split *s)
{
	uint8_t *packet;
	size_t len;

	while ((packet = split_next(s, &len)))
		wg_tx_stage(w->wg, peer, packet, len);
}

/* Seal what is left of the super-packet, a reservation at a time. */
static void seal(struct worker *w, struct wg_peer *peer, struct split *s, uint8_t tos)
{
	int ttl = 0;

	while (s->next < s->n) {
		unsigned n = min(s->n - s->next, (unsigned)WG_BATCH_MAX);
		struct wg_tx_run run;
		size_t bytes = 0;
		int r = wg_tx_reserve(w->wg, peer, w->now_ns, n, true, &run);

		if (r == -EAGAIN) {
			stage(w, peer, s);
			return;
		}
		if (r < 0) {
			if (r == -EDESTADDRREQ && !s->next)
				unreachable(w, s->packet, s->len);
			drop_inner(w, r == -EDESTADDRREQ ? WG_DROP_NO_ENDPOINT : WG_DROP_LINK_DOWN,
				s->n - s->next, peer, s->packet, s->len);
			return;
		}
		if (!s->next)
			ttl = carrier_ttl(w, s->packet, s->len, &run.endpoint);
		if (unlikely(ttl < 0)) {
			drop_inner(w, WG_DROP_LOOP, s->n, peer, s->packet, s->len);
			log_limited(LOG_LEVEL_ERROR,
				"udp: the route to a peer's endpoint leads into the tunnel itself");
			return;
		}
		for (unsigned i = 0; i < n; i++) {
			size_t len, padded;
			uint8_t *packet = split_next(s, &len);

			padded = wg_tx_padded_len(&run, len);
			if (padded + WG_DATA_OVERHEAD > DATAGRAM_MAX) {
				drop_inner(w, WG_DROP_TOO_BIG, 1, peer, packet, len);
				continue;
			}
			wg_tx_seal(w->wg, &run, i, packet, padded,
				reserve(w, &run, tos, (uint8_t)ttl, padded + WG_DATA_OVERHEAD));
			bytes += padded + WG_DATA_OVERHEAD;
		}
		wg_tx_sent(w->wg, &run, bytes);
	}
}

static void send_packet(struct worker *w, size_t n)
{
	struct wg_peer *peer;
	enum wg_drop drop;
	struct split s;

	if (split_begin(&s, w->packet, n) < 0) {
		drop_inner(w, WG_DROP_NOT_IP, 1, NULL, w->packet + VNET_HDR_LEN, n - VNET_HDR_LEN);
		return;
	}
	if (unlikely(!w->udp)) {
		drop_inner(w, WG_DROP_LINK_DOWN, s.n, NULL, s.packet, s.len);
		return;
	}
	peer = wg_tx_route(w->wg, s.packet, s.len, &drop);
	if (!peer) {
		drop_inner(w, drop, s.n, NULL, s.packet, s.len);
		if (drop == WG_DROP_NO_PEER)
			unreachable(w, s.packet, s.len);
		return;
	}
	seal(w, peer, &s, wg_tx_tos(s.packet));
}

static void tun_gone(struct worker *w)
{
	w->path->config.tun_gone(w->path->config.arg);
}

static void from_tun(struct worker *w, struct tun_queue *q)
{
	size_t bytes = 0;

	for (int i = 0; i < TUN_READS_MAX && bytes < TUN_READ_BYTES_MAX; i++) {
		ssize_t n = tun_read(q, w->packet, sizeof(w->packet) - SPLIT_TAILROOM);

		if (n == -EBADFD) {
			epoll_ctl(w->epoll_fd, EPOLL_CTL_DEL, q->fd, NULL);
			tun_gone(w);
		} else if (n < 0 && n != -EAGAIN) {
			/* The kernel has let go of it all the same. */
			drop_inner(w, WG_DROP_TUN_READ, 1, NULL, NULL, 0);
		}
		if (n < 0)
			break;
		bytes += (size_t)n;
		send_packet(w, (size_t)n);
	}
	flush(w);
}

/* ---- UDP to TUN ---- */

static int write_joined(void *arg, const struct join_output *out)
{
	struct worker *w = arg;
	int r = tun_writev(w->tun, out->iov, out->n_iov);

	if (r == -EBADFD)
		tun_gone(w);
	return r;
}

static void receive_batch(struct worker *w, const struct udp_run *run, struct wg_rx_packet pkts[],
	unsigned n)
{
	bool listens = wg_tap_listens(w->wg);

	if (!n)
		return;
	if (unlikely(listens))
		wg_tap_arrived(w->wg, &run->from, run->tos, pkts, n);
	wg_rx_open(w->wg, w->now_ns, pkts, n);
	wg_rx_commit(w->wg, w->now_ns, &run->from, pkts, n);
	wg_rx_filter(w->wg, pkts, n);
	for (unsigned i = 0; i < n; i++) {
		if (pkts[i].drop != WG_DROP_NONE || !pkts[i].len)
			continue;
		wg_rx_ecn(pkts[i].packet, pkts[i].len, run->tos);
	}
	if (unlikely(listens))
		wg_tap_judged(w->wg, &run->from, pkts, n);
	for (unsigned i = 0; i < n; i++) {
		if (pkts[i].drop != WG_DROP_NONE || !pkts[i].len)
			continue;
		join_add(&w->join, pkts[i].packet, pkts[i].len);
	}
}

static void receive_run(struct worker *w, const struct udp_run *run)
{
	struct wg_rx_packet pkts[WG_BATCH_MAX];
	unsigned n = 0;

	if (run->truncated) {
		drop_message(w, WG_DROP_TRUNCATED, run, run->data, run->len);
		return;
	}
	for (uint32_t at = 0; at < run->len; at += run->segment) {
		uint8_t *msg = run->data + at;
		uint32_t len = min(run->segment, run->len - at);

		switch (wg_message_check(msg, len)) {
		case WG_MESSAGE_DATA:
			pkts[n++] = (struct wg_rx_packet){.msg = msg, .len = len};
			break;
		case WG_MESSAGE_INITIATION:
		case WG_MESSAGE_RESPONSE:
		case WG_MESSAGE_COOKIE:
			if (wg_device_queue(w->path->config.device, &run->from, msg, len) < 0)
				drop_message(w, WG_DROP_QUEUE_FULL, run, msg, len);
			break;
		default:
			drop_message(w, WG_DROP_MALFORMED, run, msg, len);
			break;
		}
		if (n == WG_BATCH_MAX) {
			receive_batch(w, run, pkts, n);
			n = 0;
		}
	}
	receive_batch(w, run, pkts, n);
}

/* The kernel says with what it could keep how much there was no room for. */
static void count_overflows(struct worker *w, struct source *s, const struct udp_run *run)
{
	if (unlikely(s->inherited)) {
		s->inherited = false;
		s->overflows = run->overflows;
	}
	if (likely(run->overflows == 0 || run->overflows == s->overflows))
		return;
	wg_tap_drop(w->wg, WG_DROP_RECEIVE_FULL, run->overflows - s->overflows,
		(struct wg_tap_packet){0});
	s->overflows = run->overflows;
}

static void from_udp(struct worker *w, struct source *s)
{
	struct udp_run *runs;
	int n = udp_receive(w->rx, s->fd, &runs);
	unsigned lost;

	for (int i = 0; i < n; i++) {
		count_overflows(w, s, &runs[i]);
		receive_run(w, &runs[i]);
	}
	lost = join_flush(&w->join);
	if (lost)
		wg_tap_drop(w->wg, WG_DROP_TUN_WRITE, lost, (struct wg_tap_packet){0});
}

/* ---- the thread ---- */

/* Level-triggered: what waits already is seen at once.  NULL: the eventfd. */
static int watch(int epoll_fd, int fd, struct source *source)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.ptr = source};

	return epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &ev) == 0 || errno == EEXIST ? 0 : -errno;
}

static bool owns(const struct worker *w, const struct source *s)
{
	return s->fd >= 0 && atomic_load_explicit(&s->owner, memory_order_acquire) == w->number;
}

/* All sources of this worker.  Without one it is deaf, so it tries until it has them. */
static void watch_sources(struct worker *w)
{
	int r = 0;

	for (unsigned i = 0; i < w->path->n_sources; i++)
		if (owns(w, &w->path->sources[i]))
			r = min(r, watch(w->epoll_fd, w->path->sources[i].fd, &w->path->sources[i]));
	if (r < 0)
		log_limited(LOG_LEVEL_ERROR,
			"epoll: cannot watch a queue or socket: %s; trying again every second",
			strerror(-r));
	w->deaf = r < 0;
}

/* Closed sockets leave epoll by themselves, but the control thread closes them only after this. */
static void unwatch_sockets(struct worker *w)
{
	for (unsigned i = 0; i < w->path->n_sources; i++)
		if (owns(w, &w->path->sources[i]) && !w->path->sources[i].tun)
			epoll_ctl(w->epoll_fd, EPOLL_CTL_DEL, w->path->sources[i].fd, NULL);
}

/* Parked while the control thread changes the sockets.  False: the thread is to end. */
static bool park(struct worker *w)
{
	struct path *p = w->path;
	uint64_t unused;
	bool stop;

	unwatch_sockets(w);
	pthread_mutex_lock(&p->lock);
	p->n_parked++;
	pthread_cond_broadcast(&p->changed);
	while (p->paused && !p->stop)
		pthread_cond_wait(&p->changed, &p->lock);
	p->n_parked--;
	stop = p->stop;
	w->udp = p->udp ? &p->udp->queues[w->number] : NULL;
	w->port = p->udp ? p->udp->port : 0;
	pthread_mutex_unlock(&p->lock);
	if (read(w->event_fd, &unused, sizeof(unused)) < 0 && errno != EAGAIN)
		log_error("eventfd: %s", strerror(errno));
	w->deaf = false;
	if (!stop)
		watch_sources(w);
	return !stop;
}

/*
 * Between two batches: all that was read of a source has been sent.  The other one sees what waits
 * as soon as it watches it.
 */
static void give(struct worker *w, struct source *s, unsigned to)
{
	struct path *p = w->path;

	if (epoll_ctl(w->epoll_fd, EPOLL_CTL_DEL, s->fd, NULL) < 0)
		return; /* it was not watched: its turn comes again */
	atomic_store_explicit(&s->owner, to, memory_order_release);
	if (watch(p->workers[to]->epoll_fd, s->fd, s) == 0)
		return;
	atomic_store_explicit(&s->owner, w->number, memory_order_relaxed);
	watch_sources(w);
}

static void balance(struct worker *w)
{
	struct path *p = w->path;
	uint64_t busy_ns[array_size(p->sources)];
	struct source *own[array_size(p->sources)];
	bool goes[array_size(p->sources)];
	uint64_t cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID), had_ns = cpu_ns - w->cpu_ns;
	unsigned n = 0, to;

	w->cpu_ns = cpu_ns;
	w->used_ns += had_ns - min(had_ns, w->lingered_ns);
	w->lingered_ns = 0;
	for (unsigned i = 0; i < p->n_sources; i++) {
		if (!owns(w, &p->sources[i]))
			continue;
		own[n] = &p->sources[i];
		busy_ns[n] = own[n]->busy_ns;
		n++;
	}
	balance_choose(&w->balance, w->now_ns, w->used_ns, p->loads, p->n, w->number, busy_ns, n, goes,
		&to);
	for (unsigned i = 0; i < n; i++) {
		own[i]->busy_ns = 0;
		if (goes[i])
			give(w, own[i], to);
	}
}

/* One batch of each source that has something.  Returns how long that took. */
static uint64_t serve(struct worker *w, const struct epoll_event events[], int n)
{
	uint64_t started_ns = w->now_ns;

	for (int i = 0; i < n; i++) {
		struct source *s = events[i].data.ptr;

		if (!s)
			continue;
		if (s->tun)
			from_tun(w, s->tun);
		else
			from_udp(w, s);
		if (w->path->balanced) {
			uint64_t now_ns = clock_ns(CLOCK_BOOTTIME);

			s->busy_ns += now_ns - w->now_ns;
			w->now_ns = now_ns;
		}
	}
	if (!w->path->balanced)
		w->now_ns = clock_ns(CLOCK_BOOTTIME);
	w->balance.busy_ns += w->now_ns - started_ns;
	return w->now_ns - started_ns;
}

/* What comes within LINGER_NS; 0: nothing. */
static int linger(struct worker *w, struct epoll_event events[], int max)
{
	uint64_t now_ns = w->now_ns, then_ns;
	int n;

	while (!(n = epoll_wait(w->epoll_fd, events, max, 0)) && now_ns - w->now_ns < LINGER_NS) {
		sched_yield();
		then_ns = clock_ns(CLOCK_BOOTTIME);
		if (then_ns - now_ns > LINGER_NS)
			w->linger_ns = then_ns + LINGER_NOT_NS;
		now_ns = then_ns;
	}
	w->lingered_ns += now_ns - w->now_ns;
	return n;
}

static void *run(void *arg)
{
	struct worker *w = arg;
	struct epoll_event events[16];
	uint64_t took_ns = 0;
	char name[16];

	snprintf(name, sizeof(name), "worker %u", w->number);
	pthread_setname_np(pthread_self(), name);
	w->balance.start_ns = clock_ns(CLOCK_BOOTTIME);
	while (park(w)) {
		while (!atomic_load_explicit(&w->path->interrupt, memory_order_acquire)) {
			int n = 0;

			if (took_ns >= LINGER_AFTER_NS && w->now_ns >= w->linger_ns)
				n = linger(w, events, array_size(events));
			if (!n)
				n = epoll_wait(w->epoll_fd, events, array_size(events), w->deaf ? 1000 : -1);
			if (unlikely(w->deaf))
				watch_sources(w);
			wg_worker_online(w->wg);
			w->now_ns = clock_ns(CLOCK_BOOTTIME);
			took_ns = serve(w, events, n);
			wg_worker_offline(w->wg);
			if (w->path->balanced && balance_due(&w->balance, w->now_ns))
				balance(w);
		}
	}
	return NULL;
}

static void worker_free(struct worker *w)
{
	close_fd(&w->epoll_fd);
	close_fd(&w->event_fd);
	if (w->rx)
		udp_rx_free(w->rx);
	explicit_bzero(w->packet, sizeof(w->packet));
	free(w);
}

/* With a stack of its own size, whatever limit the process was started with. */
static int thread_start(struct worker *w)
{
	pthread_attr_t attr;
	int r = -pthread_attr_init(&attr);

	if (r < 0)
		return r;
	r = -pthread_attr_setstacksize(&attr, STACK_BYTES);
	if (r == 0)
		r = -pthread_create(&w->thread, &attr, run, w);
	pthread_attr_destroy(&attr);
	w->started = r == 0;
	return r;
}

static int worker_start(struct path *p, unsigned i)
{
	struct worker *w = calloc(1, sizeof(*w));
	int r;

	if (!w)
		return -ENOMEM;
	p->workers[i] = w;
	w->path = p;
	w->number = i;
	w->wg = wg_device_worker(p->config.device, i);
	w->tun = &p->config.tun->queues[i];
	w->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	w->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (w->epoll_fd < 0 || w->event_fd < 0)
		return -errno;
	r = udp_rx_new(&w->rx);
	if (r < 0)
		return r;
	join_init(&w->join, tun_join_flags(p->config.tun), write_joined, w);
	r = watch(w->epoll_fd, w->event_fd, NULL);
	if (r < 0)
		return r;
	return thread_start(w);
}

/* None has a descriptor yet. */
static void make_sources(struct path *p)
{
	p->n_sources = array_size(p->sources);
	for (unsigned i = 0; i < p->n_sources; i++) {
		unsigned pair = i < TUN_QUEUES_MAX ? i : (i - TUN_QUEUES_MAX) % UDP_WORKERS_MAX;

		p->sources[i].tun = i < TUN_QUEUES_MAX ? &p->config.tun->queues[i] : NULL;
		p->sources[i].fd = -1;
		atomic_init(&p->sources[i].owner, p->balanced ? 0 : pair % p->n);
	}
}

/* There may be more of them than workers: from a daemon that had more. */
static void set_sources(struct path *p, const struct udp *udp)
{
	const struct tun *t = p->config.tun;

	for (unsigned i = 0; i < TUN_QUEUES_MAX; i++)
		p->sources[i].fd = i < t->n_queues && !t->queues[i].shared ? t->queues[i].fd : -1;
	for (unsigned i = 0; i < UDP_WORKERS_MAX; i++) {
		struct source *v4 = &p->sources[TUN_QUEUES_MAX + i], *v6 = v4 + UDP_WORKERS_MAX;

		v4->fd = udp && i < udp->n_queues ? udp->queues[i].fd4 : -1;
		v6->fd = udp && i < udp->n_queues ? udp->queues[i].fd6 : -1;
		if (udp == p->udp)
			continue;
		v4->overflows = v6->overflows = 0;
		v4->inherited = v6->inherited = udp && udp->adopted;
	}
}

int path_new(const struct path_config *config, struct path **ret)
{
	cleanup(path_freep) struct path *p = NULL;
	unsigned n = config->workers;
	sigset_t all, old;
	int r = 0;

	p = calloc(1, sizeof(*p) + n * sizeof(p->workers[0]));
	if (!p)
		return -ENOMEM;
	p->config = *config;
	p->n = n;
	p->balanced = n > 1 && !(config->without & FAST_PATH_BALANCE);
	make_sources(p);
	p->paused = true;
	atomic_store(&p->interrupt, true);
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->changed, NULL);
	/* Signals are the control thread's. */
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	for (unsigned i = 0; r >= 0 && i < n; i++)
		r = worker_start(p, i);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (r < 0)
		return r;
	*ret = steal(p);
	return 0;
}

static void interrupt(struct path *p)
{
	atomic_store_explicit(&p->interrupt, true, memory_order_release);
	for (unsigned i = 0; i < p->n; i++)
		if (p->workers[i] && p->workers[i]->started)
			eventfd_write(p->workers[i]->event_fd, 1);
}

void path_free(struct path *p)
{
	pthread_mutex_lock(&p->lock);
	p->stop = true;
	pthread_cond_broadcast(&p->changed);
	pthread_mutex_unlock(&p->lock);
	interrupt(p);
	for (unsigned i = 0; i < p->n && p->workers[i]; i++) {
		if (p->workers[i]->started)
			pthread_join(p->workers[i]->thread, NULL);
		worker_free(p->workers[i]);
	}
	pthread_mutex_destroy(&p->lock);
	pthread_cond_destroy(&p->changed);
	free(p);
}

void path_pause(struct path *p)
{
	pthread_mutex_lock(&p->lock);
	p->paused = true;
	interrupt(p);
	while (p->n_parked < p->n)
		pthread_cond_wait(&p->changed, &p->lock);
	pthread_mutex_unlock(&p->lock);
}

void path_resume(struct path *p, struct udp *udp)
{
	pthread_mutex_lock(&p->lock);
	set_sources(p, udp);
	p->udp = udp;
	p->paused = false;
	atomic_store_explicit(&p->interrupt, false, memory_order_release);
	pthread_cond_broadcast(&p->changed);
	pthread_mutex_unlock(&p->lock);
}
