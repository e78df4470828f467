/* Packets that wait for a session: bounded per peer and per device, oldest dropped first. */
#include "wg/peer.h"

#include <errno.h>

static void unlink_locked(struct wg_staged *s)
{
	struct wg_peer *p = s->peer;
	struct wg_device *d = p->device;

	TAILQ_REMOVE(&p->staged, s, of_peer);
	TAILQ_REMOVE(&d->staged, s, of_device);
	d->staged_bytes -= sizeof(*s) + s->len;
	atomic_fetch_sub_explicit(&p->n_staged, 1, memory_order_relaxed);
}

static struct wg_staged *pop(struct wg_peer *p)
{
	struct wg_device *d = p->device;
	struct wg_staged *s;

	pthread_mutex_lock(&d->stage_lock);
	s = TAILQ_FIRST(&p->staged);
	if (s)
		unlink_locked(s);
	pthread_mutex_unlock(&d->stage_lock);
	return s;
}

static struct wg_tap_packet shown(struct wg_peer *p, const uint8_t *packet, size_t len)
{
	return (struct wg_tap_packet){.peer = p, .data = packet, .len = len};
}

void stage_packet(struct wg_worker *w, struct wg_peer *p, const void *packet, size_t len)
{
	struct wg_device *d = p->device;
	struct wg_staged *s = malloc(sizeof(*s) + len), *old;
	struct wg_staged_list dropped = TAILQ_HEAD_INITIALIZER(dropped);

	if (!s) {
		wg_tap_drop(w, WG_DROP_NO_MEMORY, 1, shown(p, packet, len));
		return;
	}
	s->peer = p;
	s->len = len;
	if (len)
		memcpy(s->packet, packet, len);

	pthread_mutex_lock(&d->stage_lock);
	if (p->dead) {
		pthread_mutex_unlock(&d->stage_lock);
		wg_tap_drop(w, WG_DROP_STAGED_FLUSHED, 1, shown(p, packet, len));
		free(s);
		return;
	}
	while (p->n_staged >= WG_STAGED_MAX ||
		(d->staged_bytes + sizeof(*s) + len > WG_STAGED_BYTES_MAX &&
			!TAILQ_EMPTY(&d->staged))) {
		old = p->n_staged >= WG_STAGED_MAX ? TAILQ_FIRST(&p->staged) :
						     TAILQ_FIRST(&d->staged);
		unlink_locked(old);
		TAILQ_INSERT_TAIL(&dropped, old, of_peer);
	}
	TAILQ_INSERT_TAIL(&p->staged, s, of_peer);
	TAILQ_INSERT_TAIL(&d->staged, s, of_device);
	d->staged_bytes += sizeof(*s) + len;
	atomic_fetch_add_explicit(&p->n_staged, 1, memory_order_relaxed);
	pthread_mutex_unlock(&d->stage_lock);

	while ((old = TAILQ_FIRST(&dropped))) {
		TAILQ_REMOVE(&dropped, old, of_peer);
		if (old->len)
			wg_tap_drop(w, WG_DROP_STAGED_FULL, 1, shown(old->peer, old->packet, old->len));
		free(old);
	}
}

void stage_flush(struct wg_peer *p)
{
	struct wg_staged *s;

	while ((s = pop(p))) {
		if (s->len)
			wg_tap_drop(p->device->control, WG_DROP_STAGED_FLUSHED, 1,
				shown(p, s->packet, s->len));
		free(s);
	}
}

void stage_move(struct wg_peer *from, struct wg_peer *to)
{
	struct wg_staged *s;

	while ((s = pop(from))) {
		if (s->len)
			stage_packet(to->device->control, to, s->packet, s->len);
		free(s);
	}
}

static void seal(struct wg_device *d, const struct wg_tx_run *run, unsigned i, struct wg_staged *s)
{
	size_t padded = wg_tx_padded_len(run, s->len);
	size_t len = padded + WG_DATA_OVERHEAD;
	uint8_t *out = effect_send_begin(d, len), *inner;
	uint8_t tos = s->len ? wg_tx_tos(s->packet) : 0;

	if (!out)
		return;
	inner = out + sizeof(struct wg_data);
	if (s->len)
		memcpy(inner, s->packet, s->len);
	memset(inner + s->len, 0, padded - s->len);
	wg_tx_seal(d->control, run, i, inner, padded, out);
	effect_send_commit(d, run->peer, &run->endpoint, tos, len);
	wg_tx_sent(d->control, run, len);
	if (!s->len)
		tap_event(d, run->peer, NULL, WG_EVENT_KEEPALIVE_SENT, WG_DROP_NONE);
}

static bool has_data(struct wg_peer *p)
{
	struct wg_staged *s;
	bool data = false;

	pthread_mutex_lock(&p->device->stage_lock);
	TAILQ_FOREACH(s, &p->staged, of_peer)
		data |= s->len > 0;
	pthread_mutex_unlock(&p->device->stage_lock);
	return data;
}

void stage_send(struct wg_peer *p)
{
	struct wg_device *d = p->device;
	unsigned n;

	while ((n = atomic_load_explicit(&p->n_staged, memory_order_relaxed)) && !effects_full(d)) {
		struct wg_tx_run run;
		struct wg_staged *s;
		int r;

		n = min(n, (unsigned)WG_BATCH_MAX);
		r = tx_reserve(d->control, p, d->now.boot_ns, n, has_data(p), &run);
		if (r == -EAGAIN)
			handshake_initiate(p, false);
		if (r < 0)
			return;
		/*
		 * Nonces that are not used are nobody's loss; a packet without room would be one.
		 */
		for (unsigned i = 0; i < n && !effects_full(d) && (s = pop(p)); i++) {
			seal(d, &run, i, s);
			free(s);
		}
	}
	/* The effects were full: the rest goes with the next call. */
	if (n)
		peer_signal(p, PEER_NEED_HANDSHAKE);
}

void stage_send_keepalive(struct wg_peer *p)
{
	if (!atomic_load_explicit(&p->n_staged, memory_order_relaxed))
		stage_packet(p->device->control, p, NULL, 0);
	stage_send(p);
}
