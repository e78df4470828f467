/* A device becomes a stream. */
#include "wg/handover.h"
#include "wg/peer.h"

ENUM_DEFINE(wg_handover_item, WG_HANDOVER_ITEM_LIST);
ENUM_DEFINE(wg_handover_slot, WG_HANDOVER_SLOT_LIST);
FLAGS_DEFINE(wg_handover_part, WG_HANDOVER_PART_LIST);

#define LOAD(x) atomic_load_explicit(&(x), memory_order_relaxed)

/* ---- items ---- */

static void put8(struct buf *b, uint8_t v)
{
	buf_put(b, &v, 1);
}

static void put16(struct buf *b, uint16_t v)
{
	put8(b, (uint8_t)v);
	put8(b, (uint8_t)(v >> 8));
}

static void put32(struct buf *b, uint32_t v)
{
	uint8_t bytes[4];

	put_le32(bytes, v);
	buf_put(b, bytes, sizeof(bytes));
}

static void put64(struct buf *b, uint64_t v)
{
	uint8_t bytes[8];

	put_le64(bytes, v);
	buf_put(b, bytes, sizeof(bytes));
}

/* Its length follows with item_end(). */
static size_t item_begin(struct buf *b, enum wg_handover_item type, uint16_t flags)
{
	size_t at = b->len;

	put16(b, (uint16_t)type);
	put16(b, flags);
	put32(b, 0);
	return at;
}

static void item_end(struct buf *b, size_t at)
{
	if (!b->error)
		put_le32(b->data + at + 4, (uint32_t)(b->len - at - WG_HANDOVER_ITEM_HEADER));
}

static uint8_t family_number(uint8_t family)
{
	return family == AF_INET ? 4 : family == AF_INET6 ? 6 : 0;
}

static void put_endpoint(struct buf *b, const struct wg_endpoint *e)
{
	put8(b, family_number(e->dst.family));
	put8(b, 0);
	put16(b, e->dst.port);
	put32(b, e->dst.scope_id);
	buf_put(b, e->dst.bytes, sizeof(e->dst.bytes));
	buf_put(b, e->src, sizeof(e->src));
	put32(b, e->src_ifindex);
}

/* ---- the configuration ---- */

static void put_prefixes(struct buf *b, const struct wg_peer *p)
{
	struct wg_prefix prefix = {0};
	void *at = NULL;

	while (wg_peer_prefix(p, &at, &prefix)) {
		size_t item = item_begin(b, WG_HANDOVER_PREFIX, WG_HANDOVER_CRITICAL);

		put8(b, family_number(prefix.family));
		put8(b, prefix.cidr);
		buf_put(b, prefix.bytes, prefix.family == AF_INET ? 4 : 16);
		item_end(b, item);
	}
}

static void put_config(struct buf *b, const struct wg_device *d)
{
	static const uint8_t none[WG_KEY_LEN];
	size_t item = item_begin(b, WG_HANDOVER_PRIVATE_KEY, WG_HANDOVER_CRITICAL);
	struct wg_peer *p;

	buf_put(b, d->key ? d->private_key : none, WG_KEY_LEN);
	item_end(b, item);
	TAILQ_FOREACH(p, &d->peers, in_order) {
		item = item_begin(b, WG_HANDOVER_PEER, WG_HANDOVER_CRITICAL);
		buf_put(b, p->public_key, WG_KEY_LEN);
		buf_put(b, p->preshared_key, WG_KEY_LEN);
		put16(b, p->keepalive_s);
		item_end(b, item);
		put_prefixes(b, p);
	}
}

/* ---- the state ---- */

static void put_keypair(struct buf *b, enum wg_handover_slot slot, struct wg_keypair *k)
{
	size_t item;

	if (!k)
		return;
	item = item_begin(b, WG_HANDOVER_KEYPAIR, WG_HANDOVER_CRITICAL);
	put8(b, (uint8_t)slot);
	put8(b, k->initiator);
	put8(b, LOAD(k->send_invalid));
	put8(b, LOAD(k->rekey_asked));
	put32(b, k->entry.index);
	put32(b, k->remote_index);
	put64(b, k->created_ns);
	buf_put(b, k->keys.send, sizeof(k->keys.send));
	buf_put(b, k->keys.receive, sizeof(k->keys.receive));
	put64(b, LOAD(k->send_counter));
	pthread_mutex_lock(&k->lock);
	put64(b, k->window.greatest);
	for (size_t i = 0; i < array_size(k->window.bits); i++)
		put64(b, k->window.bits[i]);
	pthread_mutex_unlock(&k->lock);
	item_end(b, item);
}

static void put_keypairs(struct buf *b, struct wg_peer *p)
{
	struct wg_keypair *current, *next, *previous;

	/* Workers only turn the next one into the current one; who drops any is our caller. */
	pthread_mutex_lock(&p->keypairs_lock);
	current = peer_current(p);
	next = LOAD(p->next);
	previous = p->previous;
	pthread_mutex_unlock(&p->keypairs_lock);
	put_keypair(b, WG_HANDOVER_CURRENT, current);
	put_keypair(b, WG_HANDOVER_NEXT, next);
	put_keypair(b, WG_HANDOVER_PREVIOUS, previous);
}

static void put_initiation(struct buf *b, const struct wg_handshake *h)
{
	uint8_t private[X25519_LEN];
	size_t item;

	/* Without memory for that the initiation is as good as lost: another one follows. */
	if (!h || x25519_private(h->ephemeral, private) < 0)
		return;
	item = item_begin(b, WG_HANDOVER_INITIATION, WG_HANDOVER_CRITICAL);
	put32(b, h->entry.index);
	buf_put(b, private, sizeof(private));
	buf_put(b, h->state.hash, sizeof(h->state.hash));
	buf_put(b, h->state.chaining_key, sizeof(h->state.chaining_key));
	item_end(b, item);
	explicit_bzero(private, sizeof(private));
}

static void put_timers(struct buf *b, const struct peer_timers *t)
{
	size_t item = item_begin(b, WG_HANDOVER_TIMERS, WG_HANDOVER_CRITICAL);

	put64(b, t->jitter_ns);
	put32(b, t->attempts);
	for (int i = 0; i < TIMER_COUNT; i++) {
		if (t->due_ns[i] == UINT64_MAX)
			continue;
		put16(b, (uint16_t)i);
		put64(b, t->due_ns[i]);
	}
	item_end(b, item);
}

static void put_cookie(struct buf *b, const struct cookie_maker *m)
{
	size_t item;

	if (!m->have_cookie && !m->have_last_mac1)
		return;
	item = item_begin(b, WG_HANDOVER_COOKIE, 0);
	put8(b, m->have_cookie);
	put8(b, m->have_last_mac1);
	put64(b, m->cookie_got_ns);
	buf_put(b, m->cookie, sizeof(m->cookie));
	buf_put(b, m->last_mac1, sizeof(m->last_mac1));
	item_end(b, item);
}

static void put_peer_state(struct buf *b, struct wg_peer *p)
{
	struct wg_endpoint endpoint = peer_endpoint(p);
	size_t item = item_begin(b, WG_HANDOVER_PEER_STATE, WG_HANDOVER_CRITICAL);

	buf_put(b, p->public_key, WG_KEY_LEN);
	put_endpoint(b, &endpoint);
	put64(b, LOAD(p->unanswered_ns));
	put64(b, LOAD(p->owed_ns));
	put64(b, LOAD(p->traversal_ns));
	put64(b, LOAD(p->initiated_ns));
	put64(b, LOAD(p->tx_bytes));
	put64(b, LOAD(p->rx_bytes));
	put64(b, p->last_handshake_real_ns);
	put64(b, p->last_initiation_ns);
	buf_put(b, p->last_timestamp, WG_TIMESTAMP_LEN);
	put32(b, LOAD(p->signals));
	put8(b, LOAD(p->owed_more));
	item_end(b, item);
	put_timers(b, &p->timers);
	put_keypairs(b, p);
	put_initiation(b, p->handshake);
	put_cookie(b, &p->cookie);
}

/* In the order in which they would be dropped, of all peers together. */
static void put_staged(struct buf *b, struct wg_device *d)
{
	struct wg_staged *s;

	pthread_mutex_lock(&d->stage_lock);
	TAILQ_FOREACH(s, &d->staged, of_device) {
		size_t item = item_begin(b, WG_HANDOVER_STAGED, 0);

		buf_put(b, s->peer->public_key, WG_KEY_LEN);
		buf_put(b, s->packet, s->len);
		item_end(b, item);
	}
	pthread_mutex_unlock(&d->stage_lock);
}

static void put_queued(struct buf *b, struct wg_device *d)
{
	pthread_mutex_lock(&d->queue_lock);
	for (unsigned i = 0; i < d->queue_n; i++) {
		const struct queued_message *m =
			&d->queue[(d->queue_head + i) % WG_HANDSHAKE_QUEUE];
		size_t item = item_begin(b, WG_HANDOVER_QUEUED, 0);

		put_endpoint(b, &m->src);
		buf_put(b, m->bytes, m->len);
		item_end(b, item);
	}
	pthread_mutex_unlock(&d->queue_lock);
}

static void put_counts(
	struct buf *b, enum wg_handover_item type, const uint64_t counts[], unsigned n)
{
	size_t item = item_begin(b, type, 0);

	for (unsigned i = 0; i < n; i++) {
		if (!counts[i])
			continue;
		put16(b, (uint16_t)i);
		put64(b, counts[i]);
	}
	item_end(b, item);
}

static void put_state(struct buf *b, struct wg_device *d)
{
	size_t item = item_begin(b, WG_HANDOVER_DEVICE, WG_HANDOVER_CRITICAL);
	uint64_t drops[WG_DROP_COUNT];
	struct wg_peer *p;

	put8(b, device_is_up(d));
	put8(b, d->loaded);
	put32(b, LOAD(d->mtu));
	put64(b, d->last_load_ns);
	item_end(b, item);
	if (d->checker.secret_made_ns) {
		item = item_begin(b, WG_HANDOVER_COOKIE_SECRET, 0);
		buf_put(b, d->checker.secret, sizeof(d->checker.secret));
		put64(b, d->checker.secret_made_ns);
		item_end(b, item);
	}
	TAILQ_FOREACH(p, &d->peers, in_order)
		put_peer_state(b, p);
	put_staged(b, d);
	put_queued(b, d);
	wg_device_drops(d, drops);
	put_counts(b, WG_HANDOVER_DROPS, drops, WG_DROP_COUNT);
	put_counts(b, WG_HANDOVER_EVENTS, d->events, WG_EVENT_COUNT);
}

int wg_handover_export(struct wg_device *d, struct wg_now now, unsigned parts, struct buf *ret)
{
	size_t item = item_begin(ret, WG_HANDOVER_BEGIN, WG_HANDOVER_CRITICAL);

	put16(ret, WG_HANDOVER_VERSION);
	put16(ret, (uint16_t)parts);
	put64(ret, now.boot_ns);
	item_end(ret, item);
	if (parts & WG_HANDOVER_CONFIG)
		put_config(ret, d);
	if (parts & WG_HANDOVER_STATE)
		put_state(ret, d);
	item = item_begin(ret, WG_HANDOVER_END, WG_HANDOVER_CRITICAL);
	item_end(ret, item);
	return ret->error;
}
