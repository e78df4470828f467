/*
 * Handshake messages between the wire and noise.c: MACs, cookies and limits before, peers, keypairs
 * and timers after.
 */
#include "wg/peer.h"

#include <errno.h>

#define RENEW_AFTER_NS (40 * NS_PER_S / 1000) /* two steps of a timestamp, and more than 20 ms */

static struct noise_self self_of(struct wg_device *d)
{
	return (struct noise_self){.aead = d->control->aead, .key = d->key};
}

static void refuse(struct wg_device *d, struct wg_peer *p, const struct wg_endpoint *src,
	enum wg_drop why)
{
	wg_worker_drop(d->control, why, 1);
	tap_event(d, p, src,
		why == WG_DROP_COOKIE_SENT ? WG_EVENT_COOKIE_SENT : WG_EVENT_REFUSED, why);
}

static struct x25519 *ephemeral_new(struct wg_device *d)
{
	uint8_t private[X25519_LEN];
	struct x25519 *key = NULL;

	d->config.random(d->config.arg, private, sizeof(private));
	if (x25519_new(private, &key) < 0)
		key = NULL;
	explicit_bzero(private, sizeof(private));
	return key;
}

/*
 * DH of both static keys, computed when it is first needed: 10,000 peers are configured without it.
 */
static enum wg_drop need_static_static(struct wg_peer *p)
{
	int r;

	if (p->have_static_static)
		return WG_DROP_NONE;
	r = x25519_derive(p->device->key, p->public_key, p->static_static);
	if (r < 0)
		return r == -EBADMSG ? WG_DROP_LOW_ORDER : WG_DROP_NO_MEMORY;
	p->have_static_static = true;
	return WG_DROP_NONE;
}

static void handshake_free(struct wg_handshake *h)
{
	if (!h)
		return;
	x25519_free(h->ephemeral);
	retain_free(h->retained);
	explicit_bzero(h, sizeof(*h));
	free(h);
}

static void free_item(struct reclaim_item *item)
{
	handshake_free(container_of(item, struct wg_handshake, reclaim));
}

void handshake_clear(struct wg_peer *p)
{
	struct wg_handshake *h = steal(p->handshake);

	if (!h)
		return;
	index_release(&p->device->index, &h->entry);
	/* The secrets go now; workers only ever look at the entry. */
	noise_state_wipe(&h->state);
	x25519_free(steal(h->ephemeral));
	retain_free(steal(h->retained));
	reclaim_later(&p->device->reclaim, &h->reclaim, free_item);
}

static void heard(struct wg_peer *p, const struct wg_endpoint *src, size_t len)
{
	if (peer_roam(p, src))
		tap_event(p->device, p, src, WG_EVENT_ROAMED, WG_DROP_NONE);
	atomic_fetch_add_explicit(&p->rx_bytes, len, memory_order_relaxed);
	timers_any_received(p, p->device->now.boot_ns);
}

static void send_message(struct wg_peer *p, void *msg, size_t len)
{
	struct wg_device *d = p->device;
	struct wg_endpoint to = peer_endpoint(p);
	uint8_t *out;

	cookie_add_macs(&p->cookie, d->now.boot_ns, msg, len);
	timers_any_sent(p, d->now.boot_ns);
	atomic_store_explicit(
		&p->initiated_ns, max(d->now.boot_ns, (uint64_t)1), memory_order_relaxed);
	out = effect_send_begin(d, len);
	if (!out)
		return;
	memcpy(out, msg, len);
	effect_send_commit(d, p, &to, WG_TOS_HANDSHAKE, len);
	tap_message(d->control, WG_TAP_OUTER_OUT, p, &to, WG_TOS_HANDSHAKE, msg, len);
	atomic_fetch_add_explicit(&p->tx_bytes, len, memory_order_relaxed);
}

static enum wg_drop create_initiation(struct wg_peer *p, struct wg_initiation *msg)
{
	struct wg_device *d = p->device;
	struct noise_self self = self_of(d);
	uint8_t timestamp[WG_TIMESTAMP_LEN];
	struct wg_handshake *h;
	enum wg_drop drop = need_static_static(p);

	if (drop != WG_DROP_NONE)
		return drop;
	handshake_clear(p); /* its index goes first */
	h = calloc(1, sizeof(*h));
	if (!h)
		return WG_DROP_NO_MEMORY;
	h->peer = p;
	h->entry.type = INDEX_HANDSHAKE;
	h->ephemeral = ephemeral_new(d);
	if (!h->ephemeral || index_pick(&d->index, &h->entry) < 0) {
		handshake_free(h);
		return WG_DROP_NO_MEMORY;
	}
	noise_timestamp(d->now.real_ns, timestamp);
	drop = noise_initiation_create(&self, p->public_key, p->static_static, h->ephemeral,
		timestamp, h->entry.index, &h->state, msg);
	if (drop != WG_DROP_NONE) {
		handshake_free(h);
		return drop;
	}
	index_publish(&d->index, &h->entry);
	p->handshake = h;
	return WG_DROP_NONE;
}

static void retain_initiation(struct wg_handshake *h, const struct wg_initiation *msg)
{
	struct wg_retained *r = retain_new(h->peer, h->ephemeral);

	if (!r)
		return;
	r->initiator = true;
	r->initiation = *msg;
	r->initiation_ns = h->peer->device->now.real_ns;
	h->retained = r;
}

static struct wg_retained *retain_response(struct wg_peer *p, const struct x25519 *ephemeral,
	const struct wg_initiation *initiation, const struct wg_response *response)
{
	struct wg_retained *r = retain_new(p, ephemeral);

	if (!r)
		return NULL;
	r->at = peer_endpoint(p);
	r->initiation = *initiation;
	r->response = *response;
	r->initiation_ns = r->response_ns = p->device->now.real_ns;
	return r;
}

void handshake_initiate(struct wg_peer *p, bool retry)
{
	struct wg_device *d = p->device;
	uint64_t last = atomic_load_explicit(&p->initiated_ns, memory_order_relaxed);
	struct wg_initiation msg = {0};
	enum wg_drop drop;

	if (!retry)
		p->timers.attempts = 0;
	if (p->dead || !device_is_up(d) || !d->key ||
		!peer_endpoint(p).dst.family)
		return;
	if (last && last + WG_REKEY_TIMEOUT_NS > d->now.boot_ns) {
		if (atomic_load_explicit(&p->n_staged, memory_order_relaxed))
			timers_initiation_put_off(p, last);
		return;
	}
	if (!retry && (effects_full(d) || d->n_initiated >= INITIATIONS_PER_RUN)) {
		peer_signal(p, PEER_NEED_HANDSHAKE);
		return;
	}
	d->n_initiated++;
	timers_zero_overdue(p);
	drop = create_initiation(p, &msg);
	if (drop == WG_DROP_NONE) {
		tap_keys(p, p->handshake->ephemeral);
		send_message(p, &msg, sizeof(msg));
		WG_PROBE3(handshake_initiation_sent, p->number, p->handshake->entry.index,
			p->timers.attempts);
		retain_initiation(p->handshake, &msg);
		tap_event(d, p, NULL, WG_EVENT_INITIATION_SENT, WG_DROP_NONE);
	} else {
		WG_PROBE4(drop, drop, p->number, sizeof(msg), 1);
		refuse(d, p, NULL, drop);
	}
	if (drop == WG_DROP_NONE || drop == WG_DROP_NO_MEMORY)
		timers_initiation_sent(p);
}

void handshake_renew(struct wg_peer *p)
{
	uint64_t last = atomic_load_explicit(&p->initiated_ns, memory_order_relaxed);

	/*
	 * The peer takes an initiation whose timestamp is greater and that comes 20 ms after the one
	 * before; the 5 s are for ends that hear nothing.
	 */
	if (last && last + RENEW_AFTER_NS > p->device->now.boot_ns) {
		timers_renew(p);
		timers_initiation_put_off(p, last);
		return;
	}
	atomic_store_explicit(&p->initiated_ns, 0, memory_order_relaxed);
	handshake_initiate(p, false);
}

static void keypair_freep(struct wg_keypair **k)
{
	keypair_free(*k);
}

/* ---- an initiation came ---- */

/* All checks; nothing of the peer's is written before every one has passed. */
static enum wg_drop consume_initiation(struct wg_device *d, const struct wg_initiation *msg,
	struct noise_state *state, struct wg_peer **ret)
{
	struct noise_self self = self_of(d);
	uint8_t public[WG_KEY_LEN], timestamp[WG_TIMESTAMP_LEN];
	uint64_t now = d->now.boot_ns;
	struct wg_peer *p;
	enum wg_drop drop;

	drop = noise_initiation_read_static(&self, msg, state, public);
	if (drop != WG_DROP_NONE)
		return drop;
	p = wg_device_peer(d, public);
	if (!p) {
		memcpy(d->stranger, public, sizeof(d->stranger));
		return WG_DROP_UNKNOWN_PEER;
	}
	*ret = p;
	drop = need_static_static(p);
	if (drop == WG_DROP_NONE)
		drop = noise_initiation_read_timestamp(
			&self, msg, p->static_static, state, timestamp);
	if (drop != WG_DROP_NONE)
		return drop;
	if (memcmp(timestamp, p->last_timestamp, WG_TIMESTAMP_LEN) <= 0)
		return WG_DROP_OLD_TIMESTAMP;
	if (p->last_initiation_ns &&
		now < p->last_initiation_ns + NS_PER_S / WG_INITIATIONS_PER_SECOND)
		return WG_DROP_FLOOD;

	memcpy(p->last_timestamp, timestamp, WG_TIMESTAMP_LEN);
	p->last_initiation_ns = max(now, (uint64_t)1);
	return WG_DROP_NONE;
}

/* The session is derived before the response leaves, so that its first packet finds it. */
static enum wg_drop respond(struct wg_peer *p, struct noise_state *state,
	const struct wg_initiation *initiation)
{
	struct wg_device *d = p->device;
	struct noise_self self = self_of(d);
	uint32_t remote_index = get_le32(initiation->sender);
	cleanup(x25519_freep) struct x25519 *ephemeral = ephemeral_new(d);
	cleanup(keypair_freep) struct wg_keypair *k = NULL;
	struct wg_response msg = {0};
	struct wg_keypair *session;
	enum wg_drop drop;

	k = keypair_new(p, false, remote_index, d->now.boot_ns);
	if (!k || !ephemeral || index_pick(&d->index, &k->entry) < 0)
		return WG_DROP_NO_MEMORY;
	drop = noise_response_create(&self, state, initiation->ephemeral, p->public_key,
		p->preshared_key, ephemeral, k->entry.index, remote_index, &msg, &k->keys);
	if (drop != WG_DROP_NONE)
		return drop;
	index_publish(&d->index, &k->entry);

	/*
	 * Ours under way, if any, is overtaken.  But when both ends do so to initiations that
	 * crossed, both responses meet nothing: so the end with the greater public key lets its own
	 * stand.
	 */
	if (memcmp(x25519_public(d->key), p->public_key, WG_KEY_LEN) < 0)
		handshake_clear(p);
	session = k;
	keypairs_install(p, steal(k));
	timers_session_derived(p);
	tap_keys(p, ephemeral);
	send_message(p, &msg, sizeof(msg));
	WG_PROBE3(handshake_response_sent, p->number, get_le32(msg.sender), remote_index);
	session->retained = retain_response(p, ephemeral, initiation, &msg);
	tap_event(d, p, NULL, WG_EVENT_RESPONSE_SENT, WG_DROP_NONE);
	/* Before anything can come under it. */
	successor_speaks(p);
	return WG_DROP_NONE;
}

static enum wg_drop input_initiation(struct wg_device *d, const struct wg_endpoint *src,
	const struct wg_initiation *msg, struct wg_peer **ret)
{
	cleanup(noise_state_wipe) struct noise_state state;
	enum wg_drop drop = consume_initiation(d, msg, &state, ret);

	if (drop != WG_DROP_NONE)
		return drop;
	heard(*ret, src, sizeof(*msg));
	WG_PROBE2(handshake_initiation_received, (*ret)->number, get_le32(msg->sender));
	tap_event(d, *ret, src, WG_EVENT_INITIATION_RECEIVED, WG_DROP_NONE);
	return respond(*ret, &state, msg);
}

/* ---- a response came ---- */

static void complete(struct wg_peer *p, bool initiator)
{
	successor_confirmed(p);
	timers_handshake_complete(p);
	WG_PROBE2(session_up, p->number, initiator);
	tap_event(p->device, p, NULL, WG_EVENT_HANDSHAKE_COMPLETE, WG_DROP_NONE);
}

static enum wg_drop consume_response(struct wg_device *d, const struct wg_endpoint *src,
	const struct wg_response *msg, struct wg_peer **ret)
{
	struct noise_self self = self_of(d);
	struct index_entry *e = index_lookup(&d->index, get_le32(msg->receiver));
	cleanup(keypair_freep) struct wg_keypair *k = NULL;
	struct wg_handshake *h;
	struct wg_peer *p;
	enum wg_drop drop;

	if (!e || e->type != INDEX_HANDSHAKE)
		return WG_DROP_WRONG_STATE;
	h = container_of(e, struct wg_handshake, entry);
	p = *ret = h->peer;
	k = keypair_new(p, true, get_le32(msg->sender), d->now.boot_ns);
	if (!k)
		return WG_DROP_NO_MEMORY;
	drop = noise_response_read(
		&self, &h->state, h->ephemeral, p->preshared_key, msg, &k->keys);
	if (drop != WG_DROP_NONE)
		return drop;

	/* The keypair takes over the handshake's index, in place. */
	index_replace(&d->index, &h->entry, &k->entry);
	p->handshake = NULL;
	k->retained = steal(h->retained);
	if (k->retained) {
		k->retained->at = *src;
		memcpy(k->retained->preshared, p->preshared_key, WG_KEY_LEN); /* as it was just used */
		k->retained->response = *msg;
		k->retained->response_ns = d->now.real_ns;
	}
	noise_state_wipe(&h->state);
	x25519_free(steal(h->ephemeral));
	reclaim_later(&d->reclaim, &h->reclaim, free_item);
	keypairs_install(p, steal(k));
	return WG_DROP_NONE;
}

static enum wg_drop input_response(struct wg_device *d, const struct wg_endpoint *src,
	const struct wg_response *msg, struct wg_peer **ret)
{
	enum wg_drop drop = consume_response(d, src, msg, ret);

	if (drop != WG_DROP_NONE)
		return drop;
	heard(*ret, src, sizeof(*msg));
	WG_PROBE3(handshake_response_received, (*ret)->number, get_le32(msg->receiver),
		get_le32(msg->sender));
	timers_session_derived(*ret);
	successor_speaks(*ret);
	complete(*ret, true);
	stage_send_keepalive(*ret); /* what is staged, or one keepalive: the responder waits for it */
	return WG_DROP_NONE;
}

void handshake_confirmed(struct wg_peer *p)
{
	const struct wg_keypair *k = peer_current(p);

	/* One made with a key that is not ours any more shows nothing of the one that is. */
	if (k && !atomic_load_explicit(&k->send_invalid, memory_order_relaxed))
		complete(p, false);
	stage_send(p);
}

/* ---- a cookie came ---- */

static enum wg_drop input_cookie(struct wg_device *d, const struct wg_endpoint *src,
	const struct wg_cookie_reply *msg, struct wg_peer **ret)
{
	struct index_entry *e = index_lookup(&d->index, get_le32(msg->receiver));

	if (!e)
		return WG_DROP_BAD_COOKIE;
	if (e->type == INDEX_HANDSHAKE)
		*ret = container_of(e, struct wg_handshake, entry)->peer;
	else
		*ret = container_of(e, struct wg_keypair, entry)->peer;
	/* Not authenticated by the session: it moves no endpoint, timer or counter. */
	if (cookie_consume(&(*ret)->cookie, d->now.boot_ns, msg) < 0)
		return WG_DROP_BAD_COOKIE;
	tap_event(d, *ret, src, WG_EVENT_COOKIE_RECEIVED, WG_DROP_NONE);
	return WG_DROP_NONE;
}

static enum wg_drop send_cookie(
	struct wg_device *d, const struct wg_endpoint *src, const void *msg, size_t len)
{
	struct wg_cookie_reply reply = {0};
	uint8_t *out = effect_send_begin(d, sizeof(reply));

	if (!out)
		return WG_DROP_NO_MEMORY;
	cookie_reply(&d->checker, &d->config, d->now.boot_ns, &src->dst, msg, len, &reply);
	memcpy(out, &reply, sizeof(reply));
	effect_send_commit(d, NULL, src, WG_TOS_HANDSHAKE, sizeof(reply));
	tap_message(d->control, WG_TAP_OUTER_OUT, NULL, src, WG_TOS_HANDSHAKE, &reply,
		sizeof(reply));
	return WG_DROP_COOKIE_SENT;
}

static enum wg_drop input(struct wg_device *d, const struct wg_endpoint *src, const void *msg,
	size_t len, bool under_load, struct wg_peer **ret)
{
	enum wg_message type = wg_message_check(msg, len);

	if (!device_is_up(d))
		return WG_DROP_LINK_DOWN;
	if (!d->key)
		return WG_DROP_NO_PRIVATE_KEY;
	if (type == WG_MESSAGE_COOKIE)
		return input_cookie(d, src, msg, ret);
	if (type != WG_MESSAGE_INITIATION && type != WG_MESSAGE_RESPONSE)
		return WG_DROP_MALFORMED;
	switch (cookie_check(&d->checker, d->now.boot_ns, &src->dst, msg, len, under_load)) {
	case COOKIE_BAD_MAC1:
		return WG_DROP_BAD_MAC1;
	case COOKIE_MAC1_ONLY:
		if (under_load)
			return send_cookie(d, src, msg, len);
		break;
	case COOKIE_MAC2:
		if (!ratelimiter_allow(d->limiter, &src->dst, d->now.boot_ns))
			return WG_DROP_RATE_LIMIT;
		d->limiter_due_ns = min(d->limiter_due_ns, d->now.boot_ns + NS_PER_S);
		break;
	}
	return type == WG_MESSAGE_INITIATION ? input_initiation(d, src, msg, ret) :
					       input_response(d, src, msg, ret);
}

void handshake_input(struct wg_device *d, const struct wg_endpoint *src, const void *msg, size_t len,
	bool under_load)
{
	struct wg_peer *p = NULL;
	enum wg_drop drop;

	tap_message(d->control, WG_TAP_OUTER_IN, NULL, src, 0, msg, len);
	drop = input(d, src, msg, len, under_load, &p);
	if (drop != WG_DROP_NONE) {
		WG_PROBE4(drop, drop, peer_number(p), len, 1);
		refuse(d, p, src, drop);
	}
	tap_verdict(d->control,
		(struct wg_tap_packet){.drop = drop,
			.peer = p,
			.stranger = drop == WG_DROP_UNKNOWN_PEER ? d->stranger : NULL});
}
