#include "wg/peer.h"

#include <errno.h>

ENUM_DEFINE(peer_timer, PEER_TIMER_LIST);

#define FITS_(id, value, name, doc) _Static_assert((value) < TIMER_COUNT, "timers are an array");
PEER_TIMER_LIST(FITS_)

#define OFF UINT64_MAX

/* ---- a binary heap of peers by the earliest of their timers ---- */

static uint64_t earliest(const struct wg_peer *p)
{
	uint64_t t = OFF;

	for (int i = 0; i < TIMER_COUNT; i++)
		t = min(t, p->timers.due_ns[i]);
	return t;
}

static void place(struct timer_heap *h, uint32_t i, struct wg_peer *p)
{
	h->peers[i] = p;
	p->timers.heap_at = i + 1;
}

static void sift(struct timer_heap *h, uint32_t i)
{
	struct wg_peer *p = h->peers[i];
	uint64_t key = earliest(p);

	while (i && earliest(h->peers[(i - 1) / 2]) > key) {
		place(h, i, h->peers[(i - 1) / 2]);
		i = (i - 1) / 2;
	}
	for (;;) {
		uint32_t child = 2 * i + 1;

		if (child + 1 < h->n && earliest(h->peers[child + 1]) < earliest(h->peers[child]))
			child++;
		if (child >= h->n || earliest(h->peers[child]) >= key)
			break;
		place(h, i, h->peers[child]);
		i = child;
	}
	place(h, i, p);
}

/* The peer's timers changed. */
static void reorder(struct wg_peer *p)
{
	struct timer_heap *h = &p->device->timers;
	uint32_t at = p->timers.heap_at;

	if (earliest(p) != OFF) {
		if (!at) {
			at = ++h->n;
			place(h, at - 1, p);
		}
		sift(h, at - 1);
	} else if (at) {
		struct wg_peer *last = h->peers[--h->n];

		p->timers.heap_at = 0;
		if (last != p) {
			place(h, at - 1, last);
			sift(h, at - 1);
		}
	}
}

void timer_heap_done(struct timer_heap *h)
{
	free(h->peers);
	*h = (struct timer_heap){0};
}

int timer_heap_reserve(struct timer_heap *h, uint32_t n_peers)
{
	struct wg_peer **peers;
	uint32_t cap;

	if (n_peers <= h->cap)
		return 0;
	cap = max(n_peers, 2 * h->cap);
	peers = realloc(h->peers, cap * sizeof(struct wg_peer *));
	if (!peers)
		return -ENOMEM;
	h->peers = peers;
	h->cap = cap;
	return 0;
}

/* ---- the timers ---- */

void timers_init(struct peer_timers *t)
{
	*t = (struct peer_timers){0};
	for (int i = 0; i < TIMER_COUNT; i++)
		t->due_ns[i] = OFF;
}

static void arm(struct wg_peer *p, enum peer_timer timer, uint64_t due_ns)
{
	if (!device_is_up(p->device) || p->dead)
		return;
	WG_PROBE3(timer_armed, p->number, timer, due_ns - p->device->now.boot_ns);
	p->timers.due_ns[timer] = due_ns;
	atomic_fetch_or(&p->armed, TIMER_BIT(timer));
	reorder(p);
}

/*
 * Sequentially consistent, as is the worker's look at the bit after its stamp: either it sees the bit
 * gone and signals, or who disarmed the timer to fire it sees the stamp.
 */
static void disarm(struct wg_peer *p, enum peer_timer timer)
{
	p->timers.due_ns[timer] = OFF;
	atomic_fetch_and(&p->armed, ~TIMER_BIT(timer));
	reorder(p);
}

static bool armed(const struct wg_peer *p, enum peer_timer timer)
{
	return p->timers.due_ns[timer] != OFF;
}

/* Uniform over 0..333 ms. */
static uint64_t jitter(struct wg_device *d)
{
	uint32_t r;

	do {
		d->config.random(d->config.arg, &r, sizeof(r));
	} while (r >= UINT32_MAX - UINT32_MAX % (WG_JITTER_MAX_MS + 1));
	return r % (WG_JITTER_MAX_MS + 1) * NS_PER_MS;
}

void timers_restore(struct wg_peer *p, const uint64_t due_ns[TIMER_COUNT])
{
	uint32_t bits = 0;

	for (int i = 0; i < TIMER_COUNT; i++) {
		p->timers.due_ns[i] = due_ns[i];
		if (due_ns[i] != OFF)
			bits |= TIMER_BIT(i);
	}
	atomic_store(&p->armed, bits);
	reorder(p);
}

void timers_stop(struct wg_peer *p)
{
	for (int i = 0; i < TIMER_COUNT; i++)
		p->timers.due_ns[i] = OFF;
	reorder(p);
	atomic_store(&p->armed, 0);
	p->timers.attempts = 0;
	p->timers.renew = false;
	atomic_store_explicit(&p->unanswered_ns, 0, memory_order_relaxed);
	atomic_store_explicit(&p->owed_ns, 0, memory_order_relaxed);
	atomic_store_explicit(&p->owed_more, false, memory_order_relaxed);
}

void timers_initiation_sent(struct wg_peer *p)
{
	p->timers.renew = false;
	arm(p, TIMER_RETRANSMIT, p->device->now.boot_ns + WG_REKEY_TIMEOUT_NS + jitter(p->device));
}

void timers_initiation_put_off(struct wg_peer *p, uint64_t last_ns)
{
	if (!armed(p, TIMER_RETRANSMIT))
		arm(p, TIMER_RETRANSMIT, last_ns + WG_REKEY_TIMEOUT_NS + jitter(p->device));
}

void timers_renew(struct wg_peer *p)
{
	p->timers.renew = armed(p, TIMER_RETRANSMIT);
}

void timers_session_derived(struct wg_peer *p)
{
	arm(p, TIMER_ZERO_KEYS, p->device->now.boot_ns + WG_ZERO_KEYS_AFTER_NS);
}

void timers_handshake_complete(struct wg_peer *p)
{
	disarm(p, TIMER_RETRANSMIT);
	p->timers.attempts = 0;
	p->last_handshake_real_ns = p->device->now.real_ns;
	if (p->timers.renew)
		timers_initiation_put_off(p, atomic_load_explicit(&p->initiated_ns, memory_order_relaxed));
	p->timers.renew = false;
}

void timers_data_sent(struct wg_peer *p)
{
	uint64_t since = atomic_load_explicit(&p->unanswered_ns, memory_order_relaxed);

	if (!since || armed(p, TIMER_NEW_HANDSHAKE))
		return; /* heard since, or it will look for itself when it fires */
	p->timers.jitter_ns = jitter(p->device);
	arm(p, TIMER_NEW_HANDSHAKE,
		since + WG_KEEPALIVE_TIMEOUT_NS + WG_REKEY_TIMEOUT_NS + p->timers.jitter_ns);
}

void timers_data_received(struct wg_peer *p)
{
	uint64_t since = atomic_load_explicit(&p->owed_ns, memory_order_relaxed);

	if (since && !armed(p, TIMER_KEEPALIVE))
		arm(p, TIMER_KEEPALIVE, since + WG_KEEPALIVE_TIMEOUT_NS);
}

void timers_keepalive_changed(struct wg_peer *p)
{
	/* Never put off, or whoever repeats a setting often enough would silence it. */
	if (!p->keepalive_s)
		disarm(p, TIMER_PERSISTENT);
	else
		arm(p, TIMER_PERSISTENT,
			min(p->timers.due_ns[TIMER_PERSISTENT],
				p->device->now.boot_ns + p->keepalive_s * NS_PER_S));
}

void timers_any_sent(struct wg_peer *p, uint64_t boot_ns)
{
	atomic_store_explicit(&p->traversal_ns, boot_ns, memory_order_relaxed);
	/* Loads first: the line stays shared between workers while nothing changes. */
	if (atomic_load_explicit(&p->owed_ns, memory_order_relaxed))
		atomic_store_explicit(&p->owed_ns, 0, memory_order_relaxed);
	if (atomic_load_explicit(&p->owed_more, memory_order_relaxed))
		atomic_store_explicit(&p->owed_more, false, memory_order_relaxed);
}

void timers_any_received(struct wg_peer *p, uint64_t boot_ns)
{
	atomic_store_explicit(&p->traversal_ns, boot_ns, memory_order_relaxed);
	if (atomic_load_explicit(&p->unanswered_ns, memory_order_relaxed))
		atomic_store_explicit(&p->unanswered_ns, 0, memory_order_relaxed);
}

static void retransmit(struct wg_peer *p)
{
	uint64_t last = atomic_load_explicit(&p->initiated_ns, memory_order_relaxed);

	if (last && last + WG_REKEY_TIMEOUT_NS > p->device->now.boot_ns) {
		/*
		 * We answered one of the peer's meanwhile.  Should nothing come of that, ours is
		 * due again.
		 */
		timers_initiation_put_off(p, last);
		return;
	}
	if (p->timers.attempts > WG_MAX_TIMER_HANDSHAKES) {
		disarm(p, TIMER_KEEPALIVE);
		stage_flush(p);
		/* The initiation stays: an answer that comes late is still an answer. */
		if (!armed(p, TIMER_ZERO_KEYS))
			timers_session_derived(p);
		tap_event(p->device, p, NULL, WG_EVENT_HANDSHAKE_GIVEN_UP, WG_DROP_NONE);
		return;
	}
	p->timers.attempts++;
	tap_event(p->device, p, NULL, WG_EVENT_HANDSHAKE_RETRY, WG_DROP_NONE);
	wg_peer_clear_source(p->device, p);
	handshake_initiate(p, true);
}

static void keepalive(struct wg_peer *p)
{
	uint64_t now = p->device->now.boot_ns;
	uint64_t since = atomic_load(&p->owed_ns);
	bool more;

	if (!since)
		return;
	if (since + WG_KEEPALIVE_TIMEOUT_NS > now) {
		arm(p, TIMER_KEEPALIVE, since + WG_KEEPALIVE_TIMEOUT_NS);
		return;
	}
	more = atomic_load_explicit(&p->owed_more, memory_order_relaxed);
	atomic_store_explicit(&p->owed_ns, 0, memory_order_relaxed);
	stage_send_keepalive(p);
	if (more) {
		atomic_store_explicit(&p->owed_ns, max(now, (uint64_t)1), memory_order_relaxed);
		arm(p, TIMER_KEEPALIVE, now + WG_KEEPALIVE_TIMEOUT_NS);
	}
}

static void new_handshake(struct wg_peer *p)
{
	uint64_t since = atomic_load(&p->unanswered_ns);
	uint64_t due = since + WG_KEEPALIVE_TIMEOUT_NS + WG_REKEY_TIMEOUT_NS + p->timers.jitter_ns;

	if (!since)
		return;
	if (due > p->device->now.boot_ns) {
		arm(p, TIMER_NEW_HANDSHAKE, due);
		return;
	}
	/* The next data to be sent starts the wait anew. */
	atomic_store_explicit(&p->unanswered_ns, 0, memory_order_relaxed);
	tap_event(p->device, p, NULL, WG_EVENT_PEER_SILENT, WG_DROP_NONE);
	wg_peer_clear_source(p->device, p);
	handshake_initiate(p, false);
}

static void wipe_keys(struct wg_peer *p)
{
	handshake_clear(p);
	keypairs_drop_all(p);
	tap_event(p->device, p, NULL, WG_EVENT_KEYS_ZEROED, WG_DROP_NONE);
}

static void zero_keys(struct wg_peer *p)
{
	wipe_keys(p);
	stage_flush(p);
}

void timers_zero_overdue(struct wg_peer *p)
{
	if (p->timers.due_ns[TIMER_ZERO_KEYS] > p->device->now.boot_ns)
		return;
	disarm(p, TIMER_ZERO_KEYS);
	wipe_keys(p);
}

static void persistent(struct wg_peer *p)
{
	uint64_t now = p->device->now.boot_ns, interval = p->keepalive_s * NS_PER_S;
	uint64_t last = atomic_load_explicit(&p->traversal_ns, memory_order_relaxed);

	if (!interval)
		return;
	if (last && last + interval > now) {
		arm(p, TIMER_PERSISTENT, last + interval);
		return;
	}
	arm(p, TIMER_PERSISTENT, now + interval);
	stage_send_keepalive(p);
}

static void fire(struct wg_peer *p, enum peer_timer timer)
{
	switch (timer) {
	case TIMER_RETRANSMIT:
		retransmit(p);
		break;
	case TIMER_KEEPALIVE:
		keepalive(p);
		break;
	case TIMER_NEW_HANDSHAKE:
		new_handshake(p);
		break;
	case TIMER_ZERO_KEYS:
		zero_keys(p);
		break;
	case TIMER_PERSISTENT:
		persistent(p);
		break;
	}
}

void timers_run(struct wg_device *d)
{
	while (d->timers.n && !effects_full(d) && d->n_initiated < INITIATIONS_PER_RUN) {
		struct wg_peer *p = d->timers.peers[0];

		if (earliest(p) > d->now.boot_ns)
			break;
		for (int i = 0; i < TIMER_COUNT; i++) {
			if (p->timers.due_ns[i] > d->now.boot_ns)
				continue;
			disarm(p, (enum peer_timer)i);
			WG_PROBE2(timer_fired, p->number, i);
			fire(p, (enum peer_timer)i);
		}
	}
}

uint64_t timers_next(const struct wg_device *d)
{
	return d->timers.n ? earliest(d->timers.peers[0]) : OFF;
}
