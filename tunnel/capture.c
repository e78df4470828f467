#include "tunnel/capture.h"

#include "base/clock.h"
#include "base/log.h"
#include "ctl/capture.h"
#include "ctl/ring.h"
#include "tunnel/local_address.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/queue.h>
#include <sys/socket.h>

/* Packets leave this much of a ring for keys, events and handshakes. */
#define SPARE (1u << 15)
/* And what anybody can send leaves this much of it: messages whose peer is not known, and why they died. */
#define SPARE_OF_STRANGERS (SPARE / 2)

/* Messages that arrived and have no verdict yet, of one worker: records, or NULL. */
struct pending {
	unsigned		 first, n;
	struct capture_record	*records[WG_BATCH_MAX];
};

/* Locks: [I] set before workers see it, else the control thread's; pending: each its worker's */
struct listener {
	TAILQ_ENTRY(listener)	 entry;
	struct capture		*capture;	/* [I] */
	struct loop_source	 source;	/* [I] the connection */
	struct ring_writer	 ring;
	unsigned		 want;		/* [I] enum capture_want */
	uint32_t		 snap;		/* [I] bytes of a packet that are kept */
	bool			 one_peer;	/* [I] */
	uint8_t			 public_key[WG_KEY_LEN]; /* [I] of it */
	struct pending		*pending;	/* [I] for each worker and the control half */
};

struct capture {
	struct capture_host	 host;
	struct wg_tap		 tap;		/* while there are listeners */
	struct buf		 wake;		/* [I] the frame */
	_Atomic uint16_t	 port;
	_Atomic uint32_t	 fwmark;
	TAILQ_HEAD(, listener)	 listeners;	/* changed while the workers are offline */
	unsigned		 n;
};

/* ---- records: [any thread] ---- */

static void publish(struct listener *l, struct capture_record *r)
{
	/* A socket that has no room already holds a call that was not heard. */
	if (ring_publish(&l->ring, r))
		(void)ctl_send(l->source.fd, &l->capture->wake, NULL, 0);
}

static bool is_peers(const struct listener *l, struct wg_peer *p)
{
	return !l->one_peer || (p && !memcmp(l->public_key, wg_peer_public_key(p), WG_KEY_LEN));
}

static void set_peer(struct capture_record *r, struct wg_peer *p)
{
	if (!p)
		return;
	r->has_peer = 1;
	memcpy(r->public_key, wg_peer_public_key(p), WG_KEY_LEN);
}

static void set_stranger(struct capture_record *r, const uint8_t *key)
{
	if (key)
		memcpy(r->public_key, key, WG_KEY_LEN);
}

static void set_endpoint(struct capture_record *r, const struct capture *c, const struct wg_endpoint *at)
{
	if (!at || !at->dst.family)
		return;
	r->family = at->dst.family == AF_INET ? 4 : 6;
	r->remote_port = at->dst.port;
	r->local_port = atomic_load_explicit(&c->port, memory_order_relaxed);
	memcpy(r->remote, at->dst.bytes, sizeof(r->remote));
	memcpy(r->local, at->src, sizeof(r->local));
}

/* Of a handshake the source address is not known before the first answer; data may go without. */
static void ask_local(struct capture_record *r, const struct capture *c, const struct wg_endpoint *at)
{
	static const uint8_t none[sizeof(r->local)];

	if (!memcmp(r->local, none, sizeof(none)))
		local_address(&at->dst, atomic_load_explicit(&c->fwmark, memory_order_relaxed), r->local);
}

/* With room for ${kept} bytes behind it; NULL: lost, and counted. */
static struct capture_record *record_new(struct listener *l, enum capture_kind kind,
	uint64_t real_ns, size_t kept, size_t spare)
{
	struct capture_record *r = ring_reserve(&l->ring, sizeof(*r) + kept, spare);

	if (!r)
		return NULL;
	*r = (struct capture_record){.real_ns = real_ns ? real_ns : clock_ns(CLOCK_REALTIME),
		.kind = kind,
		.n = 1,
		.kept = (uint32_t)kept};
	return r;
}

static struct capture_record *packet_new(struct listener *l, const struct wg_tap_packet *p)
{
	bool handshake = p->data && p->endpoint && p->len && p->data[0] != WG_MESSAGE_DATA;
	/* A handshake that is cut makes nothing readable. */
	uint32_t snap = handshake ? max(l->snap, (uint32_t)CAPTURE_HANDSHAKE_MAX) : l->snap;
	size_t kept = p->data ? min(p->len, (size_t)snap) : 0;
	size_t spare = !handshake ? SPARE : p->peer ? 0 : SPARE_OF_STRANGERS;
	struct capture_record *r = record_new(l, CAPTURE_PACKET, p->real_ns, kept, spare);

	if (!r)
		return NULL;
	r->point = p->point;
	r->drop = p->drop;
	r->tos = p->tos;
	r->error = (uint8_t)-p->error;
	r->n = p->n;
	r->len = (uint32_t)p->len;
	set_peer(r, p->peer);
	set_stranger(r, p->stranger);
	set_endpoint(r, l->capture, p->endpoint);
	if (handshake && p->point == WG_TAP_OUTER_OUT)
		ask_local(r, l->capture, p->endpoint);
	if (kept)
		memcpy(r + 1, p->data, kept);
	return r;
}

static void put_packet(struct listener *l, const struct wg_tap_packet *p)
{
	struct capture_record *r = is_peers(l, p->peer) ? packet_new(l, p) : NULL;

	if (r)
		publish(l, r);
}

static bool wants_message(const struct listener *l, const struct wg_tap_packet *p)
{
	bool data = p->len && p->data && p->data[0] == WG_MESSAGE_DATA;

	return l->want & (data ? CAPTURE_OUTER : CAPTURE_OUTER | CAPTURE_HANDSHAKES);
}

static void arrived(struct listener *l, struct pending *q, const struct wg_tap_packet *p)
{
	struct capture_record *r = wants_message(l, p) ? packet_new(l, p) : NULL;

	if (q->n == array_size(q->records)) {
		/* Nobody shows so many before their verdicts; but what is reserved must come out. */
		if (r)
			publish(l, r);
		return;
	}
	q->records[(q->first + q->n++) % array_size(q->records)] = r;
}

static void judged(struct listener *l, struct pending *q, const struct wg_tap_packet *p)
{
	struct capture_record *r = NULL;

	if (q->n) {
		r = q->records[q->first];
		q->first = (q->first + 1) % (unsigned)array_size(q->records);
		q->n--;
	}
	if (r) {
		r->drop = p->drop;
		set_peer(r, p->peer);
		set_stranger(r, p->stranger);
		if (!is_peers(l, p->peer))
			r->kind = CAPTURE_NOTHING;
		publish(l, r);
	}
	if (p->point == WG_TAP_INNER_IN) {
		if ((l->want & CAPTURE_INNER) && p->len)
			put_packet(l, p);
	} else if (!r && (l->want & CAPTURE_DROPS)) {
		put_packet(l, p);
	}
}

static void hear_packet(struct listener *l, unsigned worker, const struct wg_tap_packet *p)
{
	struct pending *q = &l->pending[worker];

	if (p->point == WG_TAP_OUTER_IN)
		arrived(l, q, p);
	else if (p->verdict)
		judged(l, q, p);
	else if (p->point == WG_TAP_OUTER_OUT ? wants_message(l, p) :
			p->point == WG_TAP_DROPPED ? l->want & CAPTURE_DROPS :
						     l->want & CAPTURE_INNER)
		put_packet(l, p);
}

static void packet(void *arg, unsigned worker, const struct wg_tap_packet *p)
{
	struct capture *c = arg;
	struct listener *l;

	TAILQ_FOREACH (l, &c->listeners, entry)
		hear_packet(l, worker, p);
}

static void event(void *arg, const struct wg_tap_event *e)
{
	struct capture *c = arg;
	struct listener *l;

	c->host.first->event(c->host.first->arg, e);
	TAILQ_FOREACH (l, &c->listeners, entry) {
		struct capture_record *r;

		if (!(l->want & CAPTURE_EVENTS) || (e->peer && !is_peers(l, e->peer)))
			continue;
		r = record_new(l, CAPTURE_EVENT, 0, 0, e->drop ? SPARE_OF_STRANGERS : 0);
		if (!r)
			continue;
		r->event = (uint16_t)e->event;
		r->drop = (uint16_t)e->drop;
		set_peer(r, e->peer);
		set_endpoint(r, c, e->at);
		publish(l, r);
	}
}

static void put_keys(struct listener *l, const struct wg_tap_keys *k)
{
	struct capture_secrets *s;
	struct capture_record *r;

	if (!(l->want & CAPTURE_KEYS) || !is_peers(l, k->peer))
		return;
	r = record_new(l, CAPTURE_SECRETS, k->real_ns, sizeof(*s), 0);
	if (!r)
		return;
	set_peer(r, k->peer);
	s = (struct capture_secrets *)(r + 1);
	memcpy(s->local_static, k->local_static, WG_KEY_LEN);
	memcpy(s->local_ephemeral, k->ephemeral, WG_KEY_LEN);
	memcpy(s->preshared, k->preshared, WG_KEY_LEN);
	publish(l, r);
}

static void keys(void *arg, const struct wg_tap_keys *k)
{
	struct capture *c = arg;
	struct listener *l;

	if (c->host.first->keys)
		c->host.first->keys(c->host.first->arg, k);
	TAILQ_FOREACH (l, &c->listeners, entry)
		put_keys(l, k);
}

/* ---- one listener alone, for what it missed ---- */

static void prime_packet(void *arg, unsigned worker, const struct wg_tap_packet *p)
{
	hear_packet(arg, worker, p);
}

static void prime_keys(void *arg, const struct wg_tap_keys *k)
{
	put_keys(arg, k);
}

static void prime(struct listener *l)
{
	const struct wg_tap to = {.packet = prime_packet, .keys = prime_keys, .arg = l};
	const struct capture_host *h = &l->capture->host;
	struct wg_peer *p = NULL;

	if (!(l->want & CAPTURE_PRIME))
		return;
	if (l->one_peer) {
		p = wg_device_peer(h->device, l->public_key);
		if (!p)
			return;
	}
	wg_tap_prime(h->device, h->now(h->arg), p, &to);
	h->due(h->arg);
}

/* ---- listeners come and go ---- */

/* The workers are offline. */
static void set_tap(struct capture *c)
{
	struct listener *l;
	unsigned want = 0;

	TAILQ_FOREACH (l, &c->listeners, entry)
		want |= l->want;
	c->tap = (struct wg_tap){.event = event, .arg = c};
	if (want & (CAPTURE_INNER | CAPTURE_OUTER | CAPTURE_HANDSHAKES | CAPTURE_DROPS))
		c->tap.packet = packet;
	if (want & CAPTURE_KEYS || c->host.first->keys)
		c->tap.keys = keys;
	wg_device_set_tap(c->host.device, c->n ? &c->tap : c->host.first);
}

static void listener_free(struct listener *l)
{
	ring_writer_close(&l->ring);
	close_fd(&l->source.fd);
	free(l->pending);
	free(l);
}

static void listener_freep(struct listener **l)
{
	if (*l)
		listener_free(*l);
}

static void leave(struct listener *l)
{
	struct capture *c = l->capture;

	c->host.quiet(c->host.arg, true);
	TAILQ_REMOVE(&c->listeners, l, entry);
	c->n--;
	set_tap(c);
	c->host.quiet(c->host.arg, false);
	loop_remove(c->host.loop, &l->source);
	log_info("capture: a listener left want=%u lost=%llu", l->want,
		(unsigned long long)ring_writer_lost(&l->ring));
	listener_free(l);
}

/* A listener has nothing more to say: whatever comes, it is the end. */
static void connection_ready(struct loop_source *s, uint32_t events)
{
	leave(container_of(s, struct listener, source));
}

static int join(struct listener *l)
{
	struct capture *c = l->capture;
	int r = loop_add(c->host.loop, &l->source, EPOLLIN);

	if (r < 0)
		return r;
	c->host.quiet(c->host.arg, true);
	TAILQ_INSERT_TAIL(&c->listeners, l, entry);
	c->n++;
	set_tap(c);
	c->host.quiet(c->host.arg, false);
	return 0;
}

struct request {
	uint64_t version, want, snap;
	struct ctl_field peer;
};

static int read_request(struct rd fields, struct request *ret)
{
	struct ctl_field f;

	*ret = (struct request){.snap = CAPTURE_SNAP_MAX};
	while (ctl_next(&fields, &f)) {
		switch (f.tag & ~CTL_CRITICAL) {
		case CTL_ITEM_CAPTURE_VERSION:
			ret->version = f.number;
			break;
		case CTL_ITEM_WANT:
			ret->want = f.number;
			break;
		case CTL_ITEM_SNAP:
			ret->snap = f.number;
			break;
		case CTL_ITEM_PUBLIC_KEY:
			if (f.kind != CTL_BYTES || f.len != WG_KEY_LEN)
				return -EBADMSG;
			ret->peer = f;
			break;
		default:
			if (f.tag & CTL_CRITICAL)
				return -EOPNOTSUPP;
		}
	}
	if (!ret->want || ret->want & ~(uint64_t)capture_want_enum.mask || ret->snap > CAPTURE_SNAP_MAX)
		return -EINVAL;
	return 0;
}

static int listener_new(struct capture *c, const struct request *request, int ring_fd, int socket,
	struct listener **ret)
{
	cleanup(listener_freep) struct listener *l = calloc(1, sizeof(*l));
	int r;

	if (!l)
		return -ENOMEM;
	l->capture = c;
	l->source = (struct loop_source){.fd = -1, .ready = connection_ready};
	l->want = (unsigned)request->want;
	l->snap = (uint32_t)request->snap;
	l->one_peer = request->peer.data;
	if (l->one_peer)
		memcpy(l->public_key, request->peer.data, WG_KEY_LEN);
	l->pending = calloc(c->host.workers + 1, sizeof(*l->pending));
	if (!l->pending)
		return -ENOMEM;
	r = ring_writer_open(&l->ring, ring_fd);
	if (r < 0)
		return r;
	l->source.fd = socket;
	*ret = steal(l);
	return 0;
}

static int begin(struct capture *c, int socket, struct rd fields, int ring_fd, const char **why)
{
	cleanup(buf_done) struct buf frame = buf_of_max(CTL_FRAME_MAX);
	struct listener *l = NULL;
	struct request request;
	int r = read_request(fields, &request);

	if (r < 0)
		return r;
	if (request.version != CAPTURE_VERSION) {
		*why = "the daemon's captures are of another version: use the ginnel that belongs to it";
		return -EPROTONOSUPPORT;
	}
	if (request.peer.data && !wg_device_peer(c->host.device, request.peer.data)) {
		*why = "no peer has that public key";
		return -ENOENT;
	}
	if (c->n == CAPTURE_LISTENERS_MAX) {
		*why = "too many listen already";
		return -EBUSY;
	}
	r = listener_new(c, &request, ring_fd, socket, &l);
	if (r == -EINVAL || r == -EPERM)
		*why = "what came along is no sealed ring";
	if (r < 0)
		return r;
	/* Before the first record, so that it is what the other end reads first. */
	ctl_begin(&frame, CTL_MESSAGE_CAPTURING);
	r = ctl_send(socket, &frame, NULL, 0);
	if (r >= 0)
		r = join(l);
	if (r < 0) {
		l->source.fd = -1; /* the caller's */
		listener_free(l);
		return r;
	}
	log_info("capture: a listener came want=%u", l->want);
	prime(l);
	return 0;
}

static void take(void *arg, int socket, struct rd fields, struct ctl_fds *fds)
{
	int ring_fd = ctl_fds_take(fds, 0);
	const char *why = ring_fd < 0 ? "no ring came along" : NULL;
	int r = ring_fd < 0 ? ring_fd : begin(arg, socket, fields, ring_fd, &why);

	close_fd(&ring_fd);
	if (r >= 0)
		return;
	ctl_refuse(socket, r, why);
	close(socket);
}

/* ---- life ---- */

int capture_new(const struct capture_host *host, struct capture **ret)
{
	struct capture *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->host = *host;
	c->wake = buf_of_max(CTL_FRAME_MAX);
	ctl_begin(&c->wake, CTL_MESSAGE_WAKE);
	TAILQ_INIT(&c->listeners);
	if (c->wake.error) {
		free(c);
		return -ENOMEM;
	}
	set_tap(c);
	*ret = c;
	return 0;
}

void capture_free(struct capture *c)
{
	struct listener *l;

	if (!c)
		return;
	while ((l = TAILQ_FIRST(&c->listeners))) {
		TAILQ_REMOVE(&c->listeners, l, entry);
		loop_remove(c->host.loop, &l->source);
		listener_free(l);
	}
	wg_device_set_tap(c->host.device, NULL);
	buf_done(&c->wake);
	free(c);
}

void capture_socket(struct capture *c, uint16_t port, uint32_t fwmark)
{
	atomic_store_explicit(&c->port, port, memory_order_relaxed);
	atomic_store_explicit(&c->fwmark, fwmark, memory_order_relaxed);
}

void capture_service(struct capture *c, struct ctl_service *ret)
{
	*ret = (struct ctl_service){.request = CTL_MESSAGE_CAPTURE, .take = take, .arg = c};
}
