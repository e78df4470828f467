#include "wg/peer.h"

static unsigned number_of(const struct wg_worker *w)
{
	return w->is_control ? w->device->config.workers : w->reader;
}

static const struct wg_tap *tap_of(const struct wg_worker *w)
{
	return atomic_load_explicit(&w->device->packet_tap, memory_order_acquire);
}

void wg_device_set_tap(struct wg_device *d, const struct wg_tap *tap)
{
	d->tap = tap;
	atomic_store_explicit(
		&d->packet_tap, tap && tap->packet ? tap : NULL, memory_order_release);
}

bool wg_tap_listens(const struct wg_worker *w)
{
	return atomic_load_explicit(&w->device->packet_tap, memory_order_relaxed);
}

static void show(struct wg_worker *w, const struct wg_tap *tap, const struct wg_tap_packet *p)
{
	tap->packet(tap->arg, number_of(w), p);
}

void tap_before_seal(struct wg_worker *w, const struct wg_tx_run *run, const void *src, size_t len)
{
	show(w, run->tap,
		&(struct wg_tap_packet){.point = WG_TAP_INNER_OUT,
			.n = 1,
			.peer = run->peer,
			.data = src,
			.len = len});
}

void tap_after_seal(struct wg_worker *w, const struct wg_tx_run *run, uint8_t tos, const void *msg,
	size_t len)
{
	show(w, run->tap,
		&(struct wg_tap_packet){.point = WG_TAP_OUTER_OUT,
			.n = 1,
			.peer = run->peer,
			.endpoint = &run->endpoint,
			.tos = tos,
			.data = msg,
			.len = len});
}

void tap_message(struct wg_worker *w, enum wg_tap_point point, struct wg_peer *peer,
	const struct wg_endpoint *endpoint, uint8_t tos, const void *msg, size_t len)
{
	const struct wg_tap *tap = tap_of(w);

	if (unlikely(tap))
		show(w, tap,
			&(struct wg_tap_packet){.point = point,
				.n = 1,
				.peer = peer,
				.endpoint = endpoint,
				.tos = tos,
				.data = msg,
				.len = len});
}

void tap_verdict(struct wg_worker *w, struct wg_tap_packet what)
{
	const struct wg_tap *tap = tap_of(w);

	if (likely(!tap))
		return;
	what.point = what.drop == WG_DROP_NONE ? WG_TAP_INNER_IN : WG_TAP_DROPPED;
	what.n = 1;
	what.verdict = true;
	show(w, tap, &what);
}

void wg_tap_arrived(struct wg_worker *w, const struct wg_endpoint *src, uint8_t tos,
	const struct wg_rx_packet pkts[], unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		tap_message(w, WG_TAP_OUTER_IN, NULL, src, tos, pkts[i].msg, pkts[i].len);
}

void wg_tap_judged(struct wg_worker *w, const struct wg_endpoint *src,
	const struct wg_rx_packet pkts[], unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		enum wg_drop drop = pkts[i].drop;
		/* Of what died on the way there the message was shown. */
		bool inside = drop == WG_DROP_NONE || drop == WG_DROP_INNER_NOT_IP ||
			      drop == WG_DROP_INNER_LENGTH || drop == WG_DROP_INNER_SOURCE;

		tap_verdict(w,
			(struct wg_tap_packet){
				.drop = drop,
				.peer = pkts[i].keypair ? pkts[i].keypair->peer : NULL,
				.endpoint = inside ? NULL : src,
				.data = inside ? pkts[i].packet : NULL,
				.len = inside ? pkts[i].len : 0});
	}
}

void wg_tap_drop(struct wg_worker *w, enum wg_drop why, unsigned n, struct wg_tap_packet what)
{
	const struct wg_tap *tap = tap_of(w);

	wg_worker_drop(w, why, n);
	WG_PROBE4(drop, why, peer_number(what.peer), what.len, n);
	if (likely(!tap))
		return;
	what.point = WG_TAP_DROPPED;
	what.drop = why;
	what.n = n;
	show(w, tap, &what);
}

void wg_device_drop(struct wg_device *d, enum wg_drop why, unsigned n, struct wg_tap_packet what)
{
	wg_tap_drop(d->control, why, n, what);
}

void tap_keys(struct wg_peer *p, const struct x25519 *ephemeral)
{
	struct wg_device *d = p->device;
	uint8_t private[WG_KEY_LEN];

	if (likely(!d->tap || !d->tap->keys))
		return;
	if (x25519_private(ephemeral, private) >= 0)
		d->tap->keys(d->tap->arg,
			&(struct wg_tap_keys){.peer = p,
				.local_static = d->private_key,
				.ephemeral = private,
				.preshared = p->preshared_key});
	explicit_bzero(private, sizeof(private));
}

static void prime(struct wg_peer *p, const struct wg_tap *to)
{
	bool unknown = false;

	pthread_mutex_lock(&p->keypairs_lock);
	for (unsigned i = 0; i < 3; i++) {
		struct wg_keypair *k = i == 0 ? p->previous : atomic_load(i == 1 ? &p->current : &p->next);

		if (k && k->retained)
			retain_show(k->retained, p, to);
		/* The previous one passes away by itself. */
		else if (k && i)
			unknown = true;
	}
	pthread_mutex_unlock(&p->keypairs_lock);
	if (unknown)
		handshake_renew(p);
	else
		timers_renew(p); /* of one that is under way the keys were told */
}

void wg_tap_prime(struct wg_device *d, struct wg_now now, struct wg_peer *p, const struct wg_tap *to)
{
	d->now = now;
	if (p) {
		prime(p, to);
		return;
	}
	TAILQ_FOREACH (p, &d->peers, in_order)
		prime(p, to);
}

void tap_event(struct wg_device *d, struct wg_peer *peer, const struct wg_endpoint *at,
	enum wg_event event, enum wg_drop drop)
{
	/* One writer. */
	d->events[event]++;
	if (d->tap && d->tap->event)
		d->tap->event(d->tap->arg,
			&(struct wg_tap_event){
				.event = event, .drop = drop, .peer = peer, .at = at});
}

void wg_device_tell(struct wg_device *d, enum wg_event event)
{
	tap_event(d, NULL, NULL, event, WG_DROP_NONE);
}

void wg_device_events(const struct wg_device *d, uint64_t ret[WG_EVENT_COUNT])
{
	memcpy(ret, d->events, sizeof(d->events));
}
