/* A stream becomes a device. */
#include "wg/handover.h"
#include "wg/peer.h"

#include "base/rd.h"

#include <errno.h>

#define STORE(x, v) atomic_store_explicit(&(x), (v), memory_order_relaxed)

struct import {
	struct wg_device	*d;
	struct wg_now		 now;
	unsigned		 parts;
	uint64_t		 made_ns;	/* the stream's own time */
	struct wg_peer		*peer;		/* the one that PREFIX, KEYPAIR ... are about; NULL: none yet */
	bool			 in_state;	/* DEVICE was met */
	bool			 have_key;	/* PRIVATE_KEY was met */
	bool			 ended;
	const char		*why;		/* what is wrong, more exactly than the error; or NULL */
};

static int bad(struct import *im, const char *why)
{
	im->why = why;
	return -EBADMSG;
}

static uint16_t get16(struct rd *r)
{
	uint16_t low = rd_u8(r);

	return (uint16_t)(low | rd_u8(r) << 8);
}

static bool get_flag(struct rd *r)
{
	uint8_t v = rd_u8(r);

	r->bad |= v > 1;
	return v;
}

static uint8_t get_family(struct rd *r)
{
	switch (rd_u8(r)) {
	case 0:
		return 0;
	case 4:
		return AF_INET;
	case 6:
		return AF_INET6;
	default:
		r->bad = true;
		return 0;
	}
}

/* Values are compared as bytes: what a family does not use is zero. */
static void get_endpoint(struct rd *r, struct wg_endpoint *ret)
{
	uint8_t family = get_family(r), zero = rd_u8(r);
	size_t used = family == AF_INET6 ? 16 : family == AF_INET ? 4 : 0;
	struct wg_endpoint e = {.dst = {.family = family}};

	e.dst.port = get16(r);
	e.dst.scope_id = rd_le32(r);
	rd_copy(r, e.dst.bytes, sizeof(e.dst.bytes));
	rd_copy(r, e.src, sizeof(e.src));
	e.src_ifindex = rd_le32(r);
	for (size_t i = used; i < 16; i++)
		zero |= e.dst.bytes[i] | e.src[i];
	if (zero || (family != AF_INET6 && e.dst.scope_id) ||
		(!family && (e.dst.port || e.src_ifindex)))
		r->bad = true;
	*ret = e;
}

/* ---- the configuration ---- */

static int get_begin(struct import *im, struct rd *r)
{
	uint16_t version = get16(r);

	if (im->parts)
		return bad(im, "it begins twice");
	if (version != WG_HANDOVER_VERSION) {
		im->why = "it has another version";
		return -EPROTONOSUPPORT;
	}
	im->parts = get16(r);
	im->made_ns = rd_le64(r);
	if (!rd_at_end(r))
		return -EBADMSG;
	if (!im->parts || im->parts & ~(unsigned)(WG_HANDOVER_CONFIG | WG_HANDOVER_STATE)) {
		im->why = "it has parts that are not known";
		return -EPROTONOSUPPORT;
	}
	if (im->made_ns > im->now.boot_ns) {
		im->why = "its clock is ahead of ours: it comes from another system";
		return -ESTALE;
	}
	if (im->parts & WG_HANDOVER_CONFIG) {
		struct wg_peer *p;

		while ((p = wg_device_first_peer(im->d)))
			wg_device_remove_peer(im->d, p);
	}
	return 0;
}

static int get_private_key(struct import *im, struct rd *r)
{
	const uint8_t *key = rd_bytes(r, WG_KEY_LEN);

	if (!(im->parts & WG_HANDOVER_CONFIG) || im->have_key || wg_device_first_peer(im->d))
		return bad(im, "it is in the wrong place");
	im->have_key = true;
	return rd_at_end(r) ? wg_device_set_private_key(im->d, im->now, key) : -EBADMSG;
}

static int get_peer(struct import *im, struct rd *r)
{
	const uint8_t *public = rd_bytes(r, WG_KEY_LEN), *preshared = rd_bytes(r, WG_KEY_LEN);
	uint16_t keepalive = get16(r);
	int rc;

	if (!(im->parts & WG_HANDOVER_CONFIG) || im->in_state)
		return bad(im, "it is in the wrong place");
	if (!rd_at_end(r))
		return -EBADMSG;
	rc = wg_device_add_peer(im->d, public, &im->peer);
	if (rc == -EEXIST || rc == -EADDRINUSE)
		return bad(im, "there is one of that key already");
	if (rc < 0)
		return rc;
	memcpy(im->peer->preshared_key, preshared, WG_KEY_LEN);
	im->peer->keepalive_s = keepalive;
	return 0;
}

static int get_prefix(struct import *im, struct rd *r)
{
	uint8_t family = get_family(r), cidr = rd_u8(r), bytes[16] = {0};
	int rc;

	rd_copy(r, bytes, family == AF_INET ? 4 : 16);
	if (!im->peer || im->in_state)
		return bad(im, "it is in the wrong place");
	if (!rd_at_end(r) || !family)
		return -EBADMSG;
	rc = wg_peer_allow(im->d, im->peer, family, bytes, cidr);
	return rc == -EINVAL ? -EBADMSG : rc;
}

/* ---- the state ---- */

static int get_device(struct import *im, struct rd *r)
{
	struct wg_device *d = im->d;
	bool up = get_flag(r), loaded = get_flag(r);
	uint32_t mtu = rd_le32(r);
	uint64_t last_load_ns = rd_le64(r);
	struct wg_peer *p;

	if (!(im->parts & WG_HANDOVER_STATE) || im->in_state)
		return bad(im, "it is in the wrong place");
	if (!rd_at_end(r))
		return -EBADMSG;
	im->in_state = true;
	im->peer = NULL;
	d->now = im->now;
	TAILQ_FOREACH(p, &d->peers, in_order) {
		peer_forget_sessions(p);
		cookie_maker_init(&p->cookie, p->public_key);
		/* One that was signalled is in the list: the signals go, its place stays. */
		atomic_store_explicit(&p->signals, 0, memory_order_relaxed);
	}
	atomic_store_explicit(&d->signalled, NULL, memory_order_relaxed);
	d->queue_n = 0;
	explicit_bzero(d->checker.secret, sizeof(d->checker.secret));
	d->checker.secret_made_ns = 0;
	atomic_store_explicit(&d->up, up, memory_order_release);
	d->loaded = loaded;
	d->last_load_ns = last_load_ns;
	STORE(d->mtu, mtu);
	return 0;
}

static int get_cookie_secret(struct import *im, struct rd *r)
{
	struct cookie_checker *c = &im->d->checker;
	uint64_t made_ns;

	rd_copy(r, c->secret, sizeof(c->secret));
	made_ns = rd_le64(r);
	/* An older one than it is would be valid for longer. */
	if (!rd_at_end(r) || !made_ns || made_ns > im->made_ns)
		return -EBADMSG;
	c->secret_made_ns = made_ns;
	return 0;
}

/* In the order of the peers, so that none is left out and none comes twice. */
static int get_peer_state(struct import *im, struct rd *r)
{
	struct wg_peer *p = im->peer ? wg_peer_next(im->peer) : wg_device_first_peer(im->d);
	const uint8_t *public = rd_bytes(r, WG_KEY_LEN);
	struct wg_endpoint endpoint;
	uint64_t stamps[8];
	const uint8_t *timestamp;
	uint32_t signals;
	bool owed_more;

	get_endpoint(r, &endpoint);
	for (size_t i = 0; i < array_size(stamps); i++)
		stamps[i] = rd_le64(r);
	timestamp = rd_bytes(r, WG_TIMESTAMP_LEN);
	signals = rd_le32(r);
	owed_more = get_flag(r);
	if (!rd_at_end(r))
		return -EBADMSG;
	if (!p || memcmp(p->public_key, public, WG_KEY_LEN))
		return bad(im, "it is about another peer than the configuration has there");
	im->peer = p;
	endpoint_cell_set(&p->endpoint, &endpoint);
	STORE(p->unanswered_ns, stamps[0]);
	STORE(p->owed_ns, stamps[1]);
	STORE(p->traversal_ns, stamps[2]);
	STORE(p->initiated_ns, stamps[3]);
	STORE(p->tx_bytes, stamps[4]);
	STORE(p->rx_bytes, stamps[5]);
	p->last_handshake_real_ns = stamps[6];
	p->last_initiation_ns = stamps[7];
	memcpy(p->last_timestamp, timestamp, WG_TIMESTAMP_LEN);
	STORE(p->owed_more, owed_more);
	signals &= (uint32_t)peer_signal_enum.mask;
	if (signals)
		peer_signal(p, signals);
	return 0;
}

static int get_timers(struct import *im, struct rd *r)
{
	struct wg_peer *p = im->peer;
	uint64_t due_ns[TIMER_COUNT], jitter_ns = rd_le64(r);
	uint32_t attempts = rd_le32(r);

	for (int i = 0; i < TIMER_COUNT; i++)
		due_ns[i] = UINT64_MAX;
	while (!r->bad && rd_left(r)) {
		uint16_t timer = get16(r);
		uint64_t due = rd_le64(r);

		if (timer >= TIMER_COUNT || due_ns[timer] != UINT64_MAX || due == UINT64_MAX)
			return -EBADMSG;
		due_ns[timer] = due;
		if (!device_is_up(im->d))
			return bad(im, "it runs while the link is down");
	}
	if (r->bad || jitter_ns > WG_JITTER_MAX_MS * NS_PER_MS)
		return -EBADMSG;
	p->timers.jitter_ns = jitter_ns;
	p->timers.attempts = attempts;
	timers_restore(p, due_ns);
	return 0;
}

static bool slot_is_free(const struct wg_peer *p, uint8_t slot)
{
	bool next = atomic_load_explicit(&p->next, memory_order_relaxed);

	switch (slot) {
	case WG_HANDOVER_CURRENT:
		return !atomic_load_explicit(&p->current, memory_order_relaxed);
	case WG_HANDOVER_NEXT:
	case WG_HANDOVER_PREVIOUS:
		return !next && !p->previous; /* never both, see keypairs_install() */
	default:
		return false;
	}
}

static void keypair_freep(struct wg_keypair **k)
{
	keypair_free(*k);
}

static int get_keypair(struct import *im, struct rd *r)
{
	cleanup(keypair_freep) struct wg_keypair *k = keypair_new(im->peer, false, 0, 0);
	uint8_t slot = rd_u8(r);
	int rc;

	if (!k)
		return -ENOMEM;
	k->initiator = get_flag(r);
	STORE(k->send_invalid, get_flag(r));
	STORE(k->rekey_asked, get_flag(r));
	k->entry.index = rd_le32(r);
	k->remote_index = rd_le32(r);
	k->created_ns = rd_le64(r);
	rd_copy(r, k->keys.send, sizeof(k->keys.send));
	rd_copy(r, k->keys.receive, sizeof(k->keys.receive));
	STORE(k->send_counter, rd_le64(r));
	k->window.greatest = rd_le64(r);
	for (size_t i = 0; i < array_size(k->window.bits); i++)
		k->window.bits[i] = rd_le64(r);
	/* A key that is older than it is lives for longer. */
	if (!rd_at_end(r) || k->created_ns > im->made_ns ||
		k->window.greatest > WG_REJECT_AFTER_MESSAGES)
		return -EBADMSG;
	if (!slot_is_free(im->peer, slot))
		return bad(im, "there is another one in its place");
	rc = index_insert(&im->d->index, &k->entry);
	if (rc < 0)
		return rc == -EEXIST ? bad(im, "its index is used twice") : rc;
	if (slot == WG_HANDOVER_CURRENT)
		atomic_store_explicit(&im->peer->current, steal(k), memory_order_release);
	else if (slot == WG_HANDOVER_NEXT)
		atomic_store_explicit(&im->peer->next, steal(k), memory_order_release);
	else
		im->peer->previous = steal(k);
	return 0;
}

static void handshake_freep(struct wg_handshake **h)
{
	if (!*h)
		return;
	x25519_free((*h)->ephemeral);
	explicit_bzero(*h, sizeof(**h));
	free(*h);
}

static int get_initiation(struct import *im, struct rd *r)
{
	cleanup(handshake_freep) struct wg_handshake *h = calloc(1, sizeof(*h));
	const uint8_t *private;
	int rc;

	if (!h)
		return -ENOMEM;
	h->peer = im->peer;
	h->entry.type = INDEX_HANDSHAKE;
	h->entry.index = rd_le32(r);
	private = rd_bytes(r, X25519_LEN);
	rd_copy(r, h->state.hash, sizeof(h->state.hash));
	rd_copy(r, h->state.chaining_key, sizeof(h->state.chaining_key));
	if (!rd_at_end(r))
		return -EBADMSG;
	if (im->peer->handshake)
		return bad(im, "there is another one already");
	rc = x25519_new(private, &h->ephemeral);
	if (rc < 0)
		return rc;
	rc = index_insert(&im->d->index, &h->entry);
	if (rc < 0)
		return rc == -EEXIST ? bad(im, "its index is used twice") : rc;
	im->peer->handshake = steal(h);
	return 0;
}

static int get_cookie(struct import *im, struct rd *r)
{
	struct cookie_maker *m = &im->peer->cookie;
	bool have_cookie = get_flag(r), have_last_mac1 = get_flag(r);

	m->cookie_got_ns = rd_le64(r);
	rd_copy(r, m->cookie, sizeof(m->cookie));
	rd_copy(r, m->last_mac1, sizeof(m->last_mac1));
	if (!rd_at_end(r) || m->cookie_got_ns > im->made_ns)
		return -EBADMSG;
	m->have_cookie = have_cookie;
	m->have_last_mac1 = have_last_mac1;
	return 0;
}

static int get_staged(struct import *im, struct rd *r)
{
	const uint8_t *public = rd_bytes(r, WG_KEY_LEN);
	struct wg_peer *p = public ? wg_device_peer(im->d, public) : NULL;
	size_t len = rd_left(r);

	if (!p)
		return -EBADMSG;
	/* Whoever looks at it later counts on a whole header. */
	if (len && len < 20)
		return -EBADMSG;
	stage_packet(im->d->control, p, rd_bytes(r, len), len);
	return 0;
}

static int get_queued(struct import *im, struct rd *r)
{
	struct wg_endpoint src;
	enum wg_message type;
	size_t len;

	get_endpoint(r, &src);
	if (r->bad || !src.dst.family)
		return -EBADMSG;
	len = rd_left(r);
	type = wg_message_check(r->at, len);
	if (!type || type == WG_MESSAGE_DATA)
		return -EBADMSG;
	/* More than fit: lost, as they would have been there. */
	(void)wg_device_queue(im->d, &src, r->at, len);
	return 0;
}

/* Counts that have no name here are nobody's. */
static int get_counts(struct rd *r, uint64_t counts[], unsigned n)
{
	memset(counts, 0, n * sizeof(counts[0]));
	while (!r->bad && rd_left(r)) {
		uint16_t i = get16(r);
		uint64_t v = rd_le64(r);

		if (i < n)
			counts[i] = v;
	}
	return r->bad ? -EBADMSG : 0;
}

static int get_drops(struct import *im, struct rd *r)
{
	uint64_t drops[WG_DROP_COUNT];
	int rc = get_counts(r, drops, WG_DROP_COUNT);

	/* Their sum is what is shown: the control half's worker has them all. */
	for (int i = 0; rc == 0 && i < WG_DROP_COUNT; i++) {
		STORE(im->d->control->drops[i], drops[i]);
		for (unsigned w = 0; w < im->d->config.workers; w++)
			STORE(im->d->workers[w]->drops[i], 0);
	}
	return rc;
}

static int get_events(struct import *im, struct rd *r)
{
	return get_counts(r, im->d->events, WG_EVENT_COUNT);
}

static int get_end(struct import *im, struct rd *r)
{
	struct wg_peer *next = im->peer ? wg_peer_next(im->peer) : wg_device_first_peer(im->d);

	if (!rd_at_end(r))
		return -EBADMSG;
	if (im->parts & WG_HANDOVER_CONFIG && !im->have_key)
		return bad(im, "the private key is missing");
	if (im->parts & WG_HANDOVER_STATE && (!im->in_state || next))
		return bad(im, "the state of a peer is missing");
	im->ended = true;
	return 0;
}

/* ---- all of them ---- */

/* What is said about a peer needs one. */
static int of_peer(
	struct import *im, struct rd *r, int (*get)(struct import *im, struct rd *r))
{
	if (!im->in_state || !im->peer)
		return bad(im, "it is in the wrong place");
	return get(im, r);
}

static int of_state(
	struct import *im, struct rd *r, int (*get)(struct import *im, struct rd *r))
{
	return im->in_state ? get(im, r) : bad(im, "it is in the wrong place");
}

static int get_item(struct import *im, uint16_t type, uint16_t flags, struct rd *r)
{
	if (!im->parts && type != WG_HANDOVER_BEGIN)
		return bad(im, "it does not begin");
	if (im->ended)
		return bad(im, "something follows the end");
	switch ((enum wg_handover_item)type) {
	case WG_HANDOVER_BEGIN:
		return get_begin(im, r);
	case WG_HANDOVER_PRIVATE_KEY:
		return get_private_key(im, r);
	case WG_HANDOVER_PEER:
		return get_peer(im, r);
	case WG_HANDOVER_PREFIX:
		return get_prefix(im, r);
	case WG_HANDOVER_DEVICE:
		return get_device(im, r);
	case WG_HANDOVER_COOKIE_SECRET:
		return of_state(im, r, get_cookie_secret);
	case WG_HANDOVER_PEER_STATE:
		return of_state(im, r, get_peer_state);
	case WG_HANDOVER_TIMERS:
		return of_peer(im, r, get_timers);
	case WG_HANDOVER_KEYPAIR:
		return of_peer(im, r, get_keypair);
	case WG_HANDOVER_INITIATION:
		return of_peer(im, r, get_initiation);
	case WG_HANDOVER_COOKIE:
		return of_peer(im, r, get_cookie);
	case WG_HANDOVER_STAGED:
		return of_state(im, r, get_staged);
	case WG_HANDOVER_QUEUED:
		return of_state(im, r, get_queued);
	case WG_HANDOVER_DROPS:
		return of_state(im, r, get_drops);
	case WG_HANDOVER_EVENTS:
		return of_state(im, r, get_events);
	case WG_HANDOVER_END:
		return get_end(im, r);
	}
	if (!(flags & WG_HANDOVER_CRITICAL))
		return 0;
	im->why = "it must be understood and is not known here";
	return -EPROTONOSUPPORT;
}

static void say_why(const struct import *im, uint16_t type, int rc, struct buf *why)
{
	const char *name = enum_name(&wg_handover_item_enum, type);

	if (name)
		buf_printf(why, "item %s: ", name);
	else
		buf_printf(why, "item %u: ", type);
	if (rc == -ENOMEM)
		buf_puts(why, "there is no memory for it");
	else
		buf_puts(why, im->why ? im->why : "it is cut off or damaged");
}

int wg_handover_import(
	struct wg_device *d, struct wg_now now, const void *data, size_t len, struct buf *why)
{
	struct import im = {.d = d, .now = now};
	struct rd all = rd_of(data, len);

	while (rd_left(&all)) {
		uint16_t type = get16(&all), flags = get16(&all);
		uint32_t item_len = rd_le32(&all);
		const uint8_t *item = rd_bytes(&all, item_len);
		struct rd r = rd_of(item, item ? item_len : 0);
		int rc = item && !all.bad ? get_item(&im, type, flags, &r) : -EBADMSG;

		if (rc < 0) {
			say_why(&im, type, rc, why);
			return rc;
		}
	}
	if (!im.ended) {
		buf_puts(why, "it ends too early");
		return -EBADMSG;
	}
	return 0;
}

void wg_device_forget_sessions(struct wg_device *d, struct wg_now now)
{
	bool up = device_is_up(d);

	wg_device_down(d);
	if (up)
		wg_device_up(d, now);
}
