#include "tunnel/path_worker.h"
#include "wg/tap.h"

#include <errno.h>
#include <sched.h>
#include <sys/epoll.h>

#define BACKLOG 256	/* datagrams by one call: more wait, and to open them takes longer than to wake somebody */
#define DELIVERIES_MAX 4 /* of others' batches, before this worker looks after the rest of its work */

static void drop_message(struct worker *w, enum wg_drop why, const struct udp_run *run,
	const uint8_t *msg, size_t len)
{
	wg_tap_drop(w->wg, why, 1,
		(struct wg_tap_packet){
			.endpoint = &run->from, .tos = run->tos, .data = msg, .len = len});
}

int path_write_joined(void *arg, const struct join_output *out)
{
	struct worker *w = arg;
	int r = tun_writev(w->deliver_to, out->iov, out->n_iov);

	if (r == -EBADFD)
		path_tun_gone(w);
	return r;
}

/* These were opened, and it is their turn. */
static void deliver_run(struct worker *w, const struct udp_run *run, struct wg_rx_packet pkts[], unsigned n)
{
	wg_rx_commit(w->wg, w->now_ns, &run->from, pkts, n);
	wg_rx_filter(w->wg, pkts, n);
	for (unsigned i = 0; i < n; i++) {
		if (pkts[i].drop != WG_DROP_NONE || !pkts[i].len)
			continue;
		wg_rx_ecn(pkts[i].packet, pkts[i].len, run->tos);
	}
	if (unlikely(wg_tap_listens(w->wg)))
		wg_tap_judged(w->wg, &run->from, pkts, n);
	for (unsigned i = 0; i < n; i++) {
		if (pkts[i].drop != WG_DROP_NONE || !pkts[i].len)
			continue;
		join_add(&w->join, pkts[i].packet, pkts[i].len);
	}
}

static void deliver(struct worker *w, struct batch *b)
{
	struct wg_rx_packet *pkts = b->packets;

	for (unsigned i = 0; i < b->n_runs; i++) {
		deliver_run(w, b->runs[i].run, pkts, b->runs[i].n);
		pkts += b->runs[i].n;
	}
	b->n = b->n_runs = 0;
}

/* Nothing refers to the batch any more: the next one's turn. */
static void delivered(struct worker *w, struct source *s, struct batch *b)
{
	unsigned lost = join_flush(&w->join);

	if (lost)
		wg_tap_drop(w->wg, WG_DROP_TUN_WRITE, lost, (struct wg_tap_packet){0});
	line_passed(&s->line, &b->item);
}

/* Who put a batch there comes here until it was delivered, so that others may go away. */
static void deliver_ready(struct worker *w, struct source *s)
{
	struct line_item *item;

	for (int i = 0; i < DELIVERIES_MAX && (item = line_next(&s->line)); i++) {
		struct batch *b = container_of(item, struct batch, item);

		deliver(w, b);
		delivered(w, s, b);
	}
}

/*
 * ${n} more packets are in the batch, of one message.  They are delivered at once while ${*front}
 * says that it is the batch's turn, and else kept while there is room.
 */
static void receive_packets(struct worker *w, struct source *s, struct batch *b, bool *front,
	const struct udp_run *run, unsigned n)
{
	struct wg_rx_packet *pkts = b->packets + b->n;
	bool listens = wg_tap_listens(w->wg), full = b->n + n + WG_BATCH_MAX > BATCH_PACKETS_MAX;

	if (!n)
		return;
	/* Who listens is told of messages in the order of their packets. */
	if (unlikely(!*front && (listens || full))) {
		line_await_front(&s->line, &b->item);
		*front = true;
		deliver(w, b);
		memmove(b->packets, pkts, n * sizeof(pkts[0]));
		pkts = b->packets;
	}
	if (unlikely(listens))
		wg_tap_arrived(w->wg, &run->from, run->tos, pkts, n);
	wg_rx_open(w->wg, w->now_ns, pkts, n);
	b->runs[b->n_runs++] = (struct opened){run, n};
	b->n += n;
	if (*front)
		deliver(w, b);
}

static void receive_run(struct worker *w, struct source *s, struct batch *b, bool *front,
	const struct udp_run *run)
{
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
			b->packets[b->n + n++] = (struct wg_rx_packet){.msg = msg, .len = len};
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
			receive_packets(w, s, b, front, run, n);
			n = 0;
		}
	}
	receive_packets(w, s, b, front, run, n);
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

/* A backlog: who has time shares this socket with its owner. */
static void ask_for_help(struct worker *w, struct source *s)
{
	struct path *p = w->path;
	unsigned helper;

	if (!p->balanced || atomic_load_explicit(&s->helper, memory_order_acquire) >= 0 ||
		!balance_has_time(p->loads, p->n, w->number, w->now_ns, &helper))
		return;
	/* Before it can look. */
	atomic_store_explicit(&s->helper, (int)helper, memory_order_release);
	if (path_watch(p->workers[helper]->epoll_fd, s->fd, s) < 0)
		atomic_store_explicit(&s->helper, -1, memory_order_relaxed);
}

static void stop_helping(struct worker *w, struct source *s)
{
	epoll_ctl(w->epoll_fd, EPOLL_CTL_DEL, s->fd, NULL);
	if (atomic_load_explicit(&s->helper, memory_order_relaxed) == (int)w->number)
		atomic_store_explicit(&s->helper, -1, memory_order_release);
}

/* Receive a batch, and deliver it or leave that to whoever is before it.  Was there a backlog? */
static bool receive(struct worker *w, struct source *s, struct batch *b)
{
	struct udp_run *runs;
	unsigned datagrams = 0;
	bool front;
	int n;

	pthread_mutex_lock(&s->receiving);
	n = line_is_full(&s->line) ? 0 : udp_receive(b->rx, s->fd, &runs);
	if (n > 0)
		line_place(&s->line, &b->item);
	for (int i = 0; i < n; i++)
		count_overflows(w, s, &runs[i]);
	pthread_mutex_unlock(&s->receiving);
	if (n <= 0)
		return false;
	for (int i = 0; i < n; i++)
		datagrams += runs[i].len / max(runs[i].segment, 1u);
	if (datagrams >= BACKLOG && path_owns(w, s))
		ask_for_help(w, s);
	front = line_front(&s->line, &b->item);
	for (int i = 0; i < n; i++)
		receive_run(w, s, b, &front, &runs[i]);
	if (front)
		delivered(w, s, b);
	else
		line_put(&s->line, &b->item);
	deliver_ready(w, s);
	return datagrams >= BACKLOG;
}

static struct batch *free_batch(struct worker *w)
{
	for (unsigned i = 0; i < BATCHES; i++)
		if (!atomic_load_explicit(&w->batches[i].item.waits, memory_order_acquire))
			return &w->batches[i];
	return NULL;
}

/*
 * An owner receives another batch only while others open what is before its first; a helper, while
 * there is a backlog.  What a worker opened refers to keypairs that it saw, so that it stays until
 * all of it was delivered.
 *
 * All write to the owner's queue of the TUN: without steering, the kernel takes the one that it
 * heard last to be the one for the answers.
 */
void path_from_udp(struct worker *w, struct source *s)
{
	unsigned owner = atomic_load_explicit(&s->owner, memory_order_acquire);
	bool own = owner == w->number, backlog = false;
	struct batch *b;

	w->deliver_to = w->path->workers[owner]->tun;
	for (unsigned i = 0; i < BATCHES && (b = free_batch(w)); i++) {
		backlog = receive(w, s, b);
		if (!backlog || (own && !atomic_load_explicit(&b->item.waits, memory_order_acquire)))
			break;
	}
	if (!own && !backlog)
		stop_helping(w, s);
	for (unsigned i = 0; i < BATCHES; i++) {
		while (atomic_load_explicit(&w->batches[i].item.waits, memory_order_acquire)) {
			sched_yield();
			deliver_ready(w, s);
		}
	}
}
