/* Peers and their configuration. */
#include "wg/peer.h"

#include <errno.h>

FLAGS_DEFINE(peer_signal, PEER_SIGNAL_LIST);

void peer_signal(struct wg_peer *p, uint32_t signals)
{
	struct wg_device *d = p->device;
	struct wg_peer *head;

	/* Whoever sets the first signal owns next_signalled and queues the peer. */
	if (atomic_fetch_or_explicit(&p->signals, signals, memory_order_acq_rel))
		return;
	head = atomic_load_explicit(&d->signalled, memory_order_relaxed);
	do {
		p->next_signalled = head;
	} while (!atomic_compare_exchange_weak_explicit(
		&d->signalled, &head, p, memory_order_release, memory_order_relaxed));
	if (!head && d->config.wake)
		d->config.wake(d->config.arg);
}

/* ---- by public key ---- */

static uint32_t hash_of(const struct wg_device *d, const uint8_t public_key[WG_KEY_LEN])
{
	uint64_t h = d->hash_seed;

	for (int i = 0; i < WG_KEY_LEN; i += 8)
		h = (h ^ get_le64(public_key + i)) * 0x9e3779b97f4a7c15ULL;
	return (uint32_t)(h >> 32);
}

static int hash_reserve(struct wg_device *d)
{
	uint32_t size = d->hashed ? 2 * (d->hash_mask + 1) : 16;
	struct wg_peer **hashed, *p;

	if (d->hashed && d->n_peers <= d->hash_mask)
		return 0;
	hashed = calloc(size, sizeof(struct wg_peer *));
	if (!hashed)
		return -ENOMEM;
	free(d->hashed);
	d->hashed = hashed;
	d->hash_mask = size - 1;
	TAILQ_FOREACH(p, &d->peers, in_order) {
		struct wg_peer **at = &hashed[hash_of(d, p->public_key) & d->hash_mask];

		p->next_hashed = *at;
		*at = p;
	}
	return 0;
}

struct wg_peer *wg_device_peer(struct wg_device *d, const uint8_t public_key[WG_KEY_LEN])
{
	struct wg_peer *p = NULL;

	if (d->hashed)
		p = d->hashed[hash_of(d, public_key) & d->hash_mask];
	while (p && memcmp(p->public_key, public_key, WG_KEY_LEN))
		p = p->next_hashed;
	return p;
}

struct wg_peer *wg_device_first_peer(struct wg_device *d)
{
	return TAILQ_FIRST(&d->peers);
}

struct wg_peer *wg_peer_next(struct wg_peer *p)
{
	return TAILQ_NEXT(p, in_order);
}

/* ---- life and death ---- */

int wg_device_add_peer(
	struct wg_device *d, const uint8_t public_key[WG_KEY_LEN], struct wg_peer **ret)
{
	struct wg_peer *p, **at;

	if (d->key && !memcmp(x25519_public(d->key), public_key, WG_KEY_LEN))
		return -EADDRINUSE;
	if (wg_device_peer(d, public_key))
		return -EEXIST;
	if (d->n_peers >= WG_PEERS_MAX)
		return -ENOSPC;
	if (hash_reserve(d) < 0 || timer_heap_reserve(&d->timers, d->n_peers + 1) < 0)
		return -ENOMEM;
	p = calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	p->device = d;
	p->number = ++d->last_number;
	memcpy(p->public_key, public_key, WG_KEY_LEN);
	allowedips_owner_init(&p->allowed);
	endpoint_cell_init(&p->endpoint);
	pthread_mutex_init(&p->keypairs_lock, NULL);
	TAILQ_INIT(&p->staged);
	cookie_maker_init(&p->cookie, public_key);
	timers_init(&p->timers);

	TAILQ_INSERT_TAIL(&d->peers, p, in_order);
	at = &d->hashed[hash_of(d, public_key) & d->hash_mask];
	p->next_hashed = *at;
	*at = p;
	d->n_peers++;
	tap_event(d, p, NULL, WG_EVENT_PEER_ADDED, WG_DROP_NONE);
	*ret = p;
	return 0;
}

static void free_peer(struct wg_peer *p)
{
	endpoint_cell_done(&p->endpoint);
	pthread_mutex_destroy(&p->keypairs_lock);
	explicit_bzero(p, sizeof(*p));
	free(p);
}

static void free_item(struct reclaim_item *item)
{
	struct wg_peer *p = container_of(item, struct wg_peer, reclaim);

	/* No worker can signal it any more, but one may have just before. */
	if (atomic_load_explicit(&p->signals, memory_order_acquire))
		device_drain_signals(p->device);
	free_peer(p);
}

void peer_forget_sessions(struct wg_peer *p)
{
	stage_flush(p);
	timers_stop(p);
	handshake_clear(p);
	keypairs_drop_all(p);
	atomic_store_explicit(&p->initiated_ns, 0, memory_order_relaxed);
}

void wg_device_remove_peer(struct wg_device *d, struct wg_peer *p)
{
	struct wg_peer **at = &d->hashed[hash_of(d, p->public_key) & d->hash_mask];

	pthread_mutex_lock(&d->stage_lock);
	p->dead = true;
	pthread_mutex_unlock(&d->stage_lock);

	while (*at != p)
		at = &(*at)->next_hashed;
	*at = p->next_hashed;
	TAILQ_REMOVE(&d->peers, p, in_order);
	d->n_peers--;
	allowedips_remove_owner(&d->allowedips, &p->allowed);
	successor_end(p);
	peer_forget_sessions(p);
	endpoint_cell_set(&p->endpoint, &(struct wg_endpoint){0});
	tap_event(d, p, NULL, WG_EVENT_PEER_REMOVED, WG_DROP_NONE);
	reclaim_later(&d->reclaim, &p->reclaim, free_item);
}

void peer_free_all(struct wg_device *d)
{
	struct wg_peer *p;

	while ((p = TAILQ_FIRST(&d->peers)))
		wg_device_remove_peer(d, p);
	free(d->hashed);
	d->hashed = NULL;
}

/* ---- endpoint ---- */

bool peer_roam(struct wg_peer *p, const struct wg_endpoint *src)
{
	struct wg_endpoint old = peer_endpoint(p);

	if (wg_endpoint_equal(&old, src))
		return false;
	endpoint_cell_set(&p->endpoint, src);
	if (wg_addr_equal(&old.dst, &src->dst))
		return false;
	WG_PROBE3(roam, p->number, src->dst.family, src->dst.port);
	return true;
}

void wg_peer_set_endpoint(struct wg_device *d, struct wg_peer *p, const struct wg_addr *dst)
{
	struct wg_endpoint e = {.dst = *dst};

	endpoint_cell_set(&p->endpoint, &e);
	tap_event(d, p, &e, WG_EVENT_ENDPOINT_SET, WG_DROP_NONE);
}

void wg_peer_clear_source(struct wg_device *d, struct wg_peer *p)
{
	if (p) {
		endpoint_cell_clear_source(&p->endpoint);
		return;
	}
	TAILQ_FOREACH(p, &d->peers, in_order)
		endpoint_cell_clear_source(&p->endpoint);
}

/* ---- settings ---- */

void wg_peer_set_preshared_key(struct wg_peer *p, const uint8_t key[WG_KEY_LEN])
{
	memcpy(p->preshared_key, key, WG_KEY_LEN);
}

void wg_peer_set_keepalive(struct wg_peer *p, uint16_t seconds)
{
	if (!p->keepalive_s && seconds)
		p->keepalive_switched_on = true;
	p->keepalive_s = seconds;
	timers_keepalive_changed(p);
}

int wg_peer_allow(struct wg_device *d, struct wg_peer *p, int family, const void *addr, unsigned cidr)
{
	return allowedips_insert(&d->allowedips, family, addr, cidr, &p->allowed);
}

void wg_peer_disallow(
	struct wg_device *d, struct wg_peer *p, int family, const void *addr, unsigned cidr)
{
	allowedips_remove(&d->allowedips, family, addr, cidr, &p->allowed);
}

void wg_peer_disallow_all(struct wg_device *d, struct wg_peer *p)
{
	allowedips_remove_owner(&d->allowedips, &p->allowed);
}

void wg_peer_configured(struct wg_device *d, struct wg_peer *p, struct wg_now now)
{
	bool keepalive = p->keepalive_switched_on && p->keepalive_s;

	d->now = now;
	p->keepalive_switched_on = false;
	if (!device_is_up(d))
		return;
	timers_keepalive_changed(p);
	if (keepalive)
		stage_send_keepalive(p);
	else
		stage_send(p);
}

/* ---- the device as far as it concerns every peer ---- */

int wg_device_set_private_key(
	struct wg_device *d, struct wg_now now, const uint8_t key[WG_KEY_LEN])
{
	struct x25519 *new = NULL;
	struct wg_peer *p;
	bool first = !d->key;

	d->now = now;
	if (!is_zero_const(key, WG_KEY_LEN)) {
		uint8_t clamped[WG_KEY_LEN];
		bool same;
		int r;

		memcpy(clamped, key, WG_KEY_LEN);
		x25519_clamp(clamped);
		same = d->key && equal_const(clamped, d->private_key, WG_KEY_LEN);
		r = same ? 0 : x25519_new(clamped, &new);
		if (new)
			memcpy(d->private_key, clamped, WG_KEY_LEN);
		explicit_bzero(clamped, sizeof(clamped));
		if (same || r < 0)
			return r;
	} else {
		if (!d->key)
			return 0;
		explicit_bzero(d->private_key, WG_KEY_LEN);
	}
	x25519_free(d->key);
	d->key = new;
	tap_event(d, NULL, NULL, WG_EVENT_PRIVATE_KEY_SET, WG_DROP_NONE);
	if (d->key) {
		p = wg_device_peer(d, x25519_public(d->key));
		if (p)
			wg_device_remove_peer(d, p);
		cookie_checker_init(&d->checker, x25519_public(d->key));
	}
	TAILQ_FOREACH(p, &d->peers, in_order) {
		p->have_static_static = false;
		explicit_bzero(p->static_static, WG_KEY_LEN);
		handshake_clear(p);
		keypairs_end_sending(p);
		atomic_store_explicit(&p->initiated_ns, 0, memory_order_relaxed);
		if (first && d->key && device_is_up(d))
			stage_send(p);
	}
	return 0;
}

void wg_device_up(struct wg_device *d, struct wg_now now)
{
	struct wg_peer *p;

	d->now = now;
	if (device_is_up(d))
		return;
	/* What a worker stamped as the link went down would pass for a timer that is armed. */
	TAILQ_FOREACH(p, &d->peers, in_order)
		timers_stop(p);
	atomic_store_explicit(&d->up, true, memory_order_release);
	tap_event(d, NULL, NULL, WG_EVENT_UP, WG_DROP_NONE);
	TAILQ_FOREACH(p, &d->peers, in_order) {
		timers_keepalive_changed(p);
		p->keepalive_switched_on = false;
		if (p->keepalive_s)
			stage_send_keepalive(p);
		else
			stage_send(p);
	}
}

void wg_device_down(struct wg_device *d)
{
	struct wg_peer *p;

	if (device_is_up(d))
		tap_event(d, NULL, NULL, WG_EVENT_DOWN, WG_DROP_NONE);
	atomic_store_explicit(&d->up, false, memory_order_release);
	TAILQ_FOREACH(p, &d->peers, in_order)
		peer_forget_sessions(p);
}

/* ---- what is shown ---- */

const uint8_t *wg_peer_public_key(const struct wg_peer *p)
{
	return p->public_key;
}

void wg_peer_info(const struct wg_peer *p, struct wg_peer_info *ret)
{
	const struct wg_keypair *current = atomic_load_explicit(&p->current, memory_order_acquire);

	*ret = (struct wg_peer_info){
		.last_handshake_real_ns = p->last_handshake_real_ns,
		.session_boot_ns = current ? current->created_ns : 0,
		.tx_bytes = atomic_load_explicit(&p->tx_bytes, memory_order_relaxed),
		.rx_bytes = atomic_load_explicit(&p->rx_bytes, memory_order_relaxed),
		.keepalive_s = p->keepalive_s,
	};
	memcpy(ret->public_key, p->public_key, WG_KEY_LEN);
	memcpy(ret->preshared_key, p->preshared_key, WG_KEY_LEN);
	ret->endpoint = peer_endpoint(p);
}

bool wg_peer_prefix(const struct wg_peer *p, void **at, struct wg_prefix *ret)
{
	struct allowedips_node *node;
	unsigned cidr;
	int family;

	node = allowedips_next(&p->allowed, *at, &family, ret->bytes, &cidr);
	*at = node;
	if (!node)
		return false;
	ret->family = (uint8_t)family;
	ret->cidr = (uint8_t)cidr;
	return true;
}
