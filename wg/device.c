/* The control half's one call, its queue and its effects. */
#include "wg/peer.h"

#include <errno.h>

#define MESSAGES_PER_RUN 32
#define EFFECT_BYTES_FULL (1u << 20) /* more work waits until these are drained */
#define EFFECT_BYTES_MAX (2u << 20)
#define EFFECT_BYTES_KEPT (64u << 10)

struct effect {
	struct wg_effect effect;
	size_t		 offset;
};

bool device_is_up(const struct wg_device *d)
{
	return atomic_load_explicit(&d->up, memory_order_acquire);
}

/* ---- effects ---- */

/* Everything was drained, and what was handed out is no longer needed. */
static void effects_reset(struct wg_device *d)
{
	if (!d->effects_n || d->effects_at < d->effects_n)
		return;
	d->effects_at = d->effects_n = 0;
	d->effect_bytes.len = 0;
	if (d->effect_bytes.cap > EFFECT_BYTES_KEPT) {
		buf_done(&d->effect_bytes);
		free(d->effects);
		d->effects = NULL;
		d->effects_cap = 0;
	}
}

static struct effect *effect_add(struct wg_device *d)
{
	if (d->effects_n == d->effects_cap) {
		size_t cap = max(2 * d->effects_cap, (size_t)32);
		struct effect *effects = realloc(d->effects, cap * sizeof(*effects));

		if (!effects)
			return NULL;
		d->effects = effects;
		d->effects_cap = cap;
	}
	return &d->effects[d->effects_n++];
}

bool effects_full(const struct wg_device *d)
{
	return d->effect_bytes.len >= EFFECT_BYTES_FULL;
}

uint8_t *effect_send_begin(struct wg_device *d, size_t len)
{
	uint8_t *p;

	effects_reset(d);
	p = buf_reserve(&d->effect_bytes, len);
	if (!p) {
		d->effect_bytes.error = 0;
		wg_tap_drop(d->control, WG_DROP_NO_MEMORY, 1, (struct wg_tap_packet){0});
	}
	return p;
}

void effect_send_commit(struct wg_device *d, struct wg_peer *peer, const struct wg_endpoint *to,
	uint8_t tos, size_t len)
{
	struct effect *e = effect_add(d);

	if (!e) {
		wg_tap_drop(d->control, WG_DROP_NO_MEMORY, 1, (struct wg_tap_packet){.peer = peer});
		return;
	}
	*e = (struct effect){
		.effect = {.endpoint = *to, .tos = tos, .len = len, .peer = peer},
		.offset = d->effect_bytes.len,
	};
	d->effect_bytes.len += len;
}

bool wg_device_effect(struct wg_device *d, struct wg_effect *ret)
{
	struct effect *e;

	if (d->effects_at == d->effects_n)
		return false;
	e = &d->effects[d->effects_at++];
	*ret = e->effect;
	ret->data = d->effect_bytes.data + e->offset;
	return true;
}

/* ---- from the workers ---- */

static void signalled(struct wg_peer *p, uint32_t signals)
{
	struct wg_device *d = p->device;

	if (p->dead || !device_is_up(d))
		return;
	if (signals & PEER_ROAMED) {
		struct wg_endpoint at = peer_endpoint(p);

		tap_event(d, p, &at, WG_EVENT_ROAMED, WG_DROP_NONE);
	}
	if (signals & PEER_CONFIRMED)
		handshake_confirmed(p);
	if (signals & PEER_GOT)
		timers_data_received(p);
	if (signals & PEER_SENT)
		timers_data_sent(p);
	if (signals & PEER_NEED_HANDSHAKE) {
		if (atomic_load_explicit(&p->n_staged, memory_order_relaxed))
			stage_send(p);
		else
			handshake_initiate(p, false);
	}
}

void device_drain_signals(struct wg_device *d)
{
	struct wg_peer *p =
		atomic_exchange_explicit(&d->signalled, NULL, memory_order_acquire);

	while (p) {
		/* Read first: once the signals are taken, a worker may queue the peer again. */
		struct wg_peer *next = p->next_signalled;

		signalled(p, atomic_exchange_explicit(&p->signals, 0, memory_order_acq_rel));
		p = next;
	}
}

int wg_device_queue(
	struct wg_device *d, const struct wg_endpoint *src, const void *msg, size_t len)
{
	struct queued_message *m;
	bool was_idle;

	if (len > sizeof(m->bytes))
		return -EMSGSIZE;
	pthread_mutex_lock(&d->queue_lock);
	if (d->queue_n == WG_HANDSHAKE_QUEUE) {
		pthread_mutex_unlock(&d->queue_lock);
		return -ENOBUFS;
	}
	was_idle = !d->queue_n;
	if (was_idle)
		d->queue_head = 0; /* the same few pages serve a quiet device */
	m = &d->queue[(d->queue_head + d->queue_n++) % WG_HANDSHAKE_QUEUE];
	m->src = *src;
	m->len = (uint8_t)len;
	memcpy(m->bytes, msg, len);
	pthread_mutex_unlock(&d->queue_lock);
	if (was_idle && d->config.wake)
		d->config.wake(d->config.arg);
	return 0;
}

/* Returns how many waited, this one included; 0: none. */
static unsigned dequeue(struct wg_device *d, struct queued_message *ret)
{
	unsigned waiting;

	pthread_mutex_lock(&d->queue_lock);
	waiting = d->queue_n;
	if (waiting) {
		*ret = d->queue[d->queue_head];
		d->queue_head = (d->queue_head + 1) % WG_HANDSHAKE_QUEUE;
		d->queue_n--;
	}
	pthread_mutex_unlock(&d->queue_lock);
	return waiting;
}

/* Under load from an eighth of the queue on, and for a second after. */
static bool under_load(struct wg_device *d, unsigned waiting)
{
	if (waiting >= WG_HANDSHAKE_QUEUE / 8) {
		d->last_load_ns = d->now.boot_ns;
		if (!d->loaded)
			tap_event(d, NULL, NULL, WG_EVENT_UNDER_LOAD, WG_DROP_NONE);
		d->loaded = true;
	} else if (d->loaded && d->now.boot_ns >= d->last_load_ns + WG_UNDER_LOAD_AFTER_NS) {
		d->loaded = false;
		tap_event(d, NULL, NULL, WG_EVENT_LOAD_PASSED, WG_DROP_NONE);
	}
	return d->loaded;
}

static bool messages_run(struct wg_device *d)
{
	struct queued_message m;
	unsigned waiting = 0;

	for (int i = 0; i < MESSAGES_PER_RUN && !effects_full(d); i++) {
		waiting = dequeue(d, &m);
		if (!waiting)
			return false;
		handshake_input(d, &m.src, m.bytes, m.len, under_load(d, waiting));
		waiting--;
		if (waiting && d->config.yield)
			d->config.yield(d->config.arg);
	}
	return waiting || effects_full(d);
}

uint64_t wg_device_run(struct wg_device *d, struct wg_now now)
{
	bool more, pending, waits;
	uint64_t next;

	d->now = now;
	d->n_initiated = 0;
	effects_reset(d);
	pending = d->effects_n > 0;
	device_drain_signals(d);
	more = messages_run(d);
	timers_run(d);
	if (d->limiter_due_ns <= now.boot_ns)
		d->limiter_due_ns = ratelimiter_collect(d->limiter, now.boot_ns);
	/* As the workers do, before keys are freed; the keys of handshakes with them. */
	aead_forget(d->control->aead);
	/*
	 * Effects from before this call may name a peer that was removed since: it lives until they
	 * are drained.
	 */
	if (pending)
		waits = d->reclaim.first != NULL;
	else
		waits = reclaim_poll(&d->reclaim);
	if (more || effects_full(d) || atomic_load_explicit(&d->signalled, memory_order_relaxed))
		return now.boot_ns;
	next = min(timers_next(d), d->limiter_due_ns);
	/* What a worker still may hold is looked at again soon; nothing else would call. */
	return waits ? min(next, now.boot_ns + 100 * NS_PER_MS) : next;
}

/* ---- the device ---- */

void wg_device_set_mtu(struct wg_device *d, unsigned mtu)
{
	if (atomic_exchange_explicit(&d->mtu, mtu, memory_order_relaxed) != mtu)
		tap_event(d, NULL, NULL, WG_EVENT_MTU, WG_DROP_NONE);
}

bool wg_device_private_key(const struct wg_device *d, uint8_t ret[WG_KEY_LEN])
{
	memcpy(ret, d->private_key, WG_KEY_LEN);
	return d->key != NULL;
}

struct wg_worker *wg_device_worker(struct wg_device *d, unsigned i)
{
	return i < d->config.workers ? d->workers[i] : NULL;
}

static void add_drops(const struct wg_worker *w, uint64_t ret[WG_DROP_COUNT])
{
	for (int i = 0; i < WG_DROP_COUNT; i++)
		ret[i] += atomic_load_explicit(&w->drops[i], memory_order_relaxed);
}

void wg_device_drops(const struct wg_device *d, uint64_t ret[WG_DROP_COUNT])
{
	memset(ret, 0, WG_DROP_COUNT * sizeof(ret[0]));
	add_drops(d->control, ret);
	for (unsigned i = 0; i < d->config.workers; i++)
		add_drops(d->workers[i], ret);
}

static int limiter_init(struct wg_device *d)
{
	uint8_t seed[32];
	int r;

	d->config.random(d->config.arg, seed, sizeof(seed));
	r = ratelimiter_new(seed, &d->limiter);
	explicit_bzero(seed, sizeof(seed));
	d->limiter_due_ns = UINT64_MAX;
	return r;
}

int wg_device_new(const struct wg_device_config *config, struct wg_device **ret)
{
	cleanup(wg_device_freep) struct wg_device *d = NULL;
	int r;

	if (!config->random || !config->workers || config->workers > WG_WORKERS_MAX)
		return -EINVAL;
	d = calloc(1, sizeof(*d));
	if (!d)
		return -ENOMEM;
	d->config = *config;
	TAILQ_INIT(&d->peers);
	TAILQ_INIT(&d->staged);
	pthread_mutex_init(&d->queue_lock, NULL);
	pthread_mutex_init(&d->stage_lock, NULL);
	d->effect_bytes = buf_of_max(EFFECT_BYTES_MAX);
	config->random(config->arg, &d->hash_seed, sizeof(d->hash_seed));
	r = reclaim_init(&d->reclaim, config->workers);
	if (r < 0)
		return r;
	allowedips_init(&d->allowedips, &d->reclaim);
	r = index_init(&d->index, &d->reclaim, config->random, config->arg);
	if (r < 0)
		return r;
	d->queue = calloc(WG_HANDSHAKE_QUEUE, sizeof(*d->queue));
	if (!d->queue)
		return -ENOMEM;
	r = limiter_init(d);
	if (r < 0)
		return r;
	r = worker_new(d, 0, true, &d->control);
	for (unsigned i = 0; r >= 0 && i < config->workers; i++)
		r = worker_new(d, i, false, &d->workers[i]);
	if (r < 0)
		return r;
	*ret = steal(d);
	return 0;
}

void wg_device_free(struct wg_device *d)
{
	wg_device_set_tap(d, NULL);
	atomic_store_explicit(&d->up, false, memory_order_relaxed);
	peer_free_all(d);
	if (d->reclaim.readers)
		reclaim_done(&d->reclaim);
	allowedips_done(&d->allowedips);
	index_done(&d->index);
	timer_heap_done(&d->timers);
	if (d->limiter)
		ratelimiter_free(d->limiter);
	x25519_free(d->key);
	worker_free(d->control);
	for (unsigned i = 0; i < d->config.workers; i++)
		worker_free(d->workers[i]);
	buf_done(&d->effect_bytes);
	free(d->effects);
	free(d->queue);
	pthread_mutex_destroy(&d->queue_lock);
	pthread_mutex_destroy(&d->stage_lock);
	explicit_bzero(d, sizeof(*d));
	free(d);
}
