#include "wg/peer.h"

#include <errno.h>

#include <netinet/ip.h>
#include <netinet/ip6.h>

int worker_new(struct wg_device *d, unsigned reader, bool is_control, struct wg_worker **ret)
{
	struct wg_worker *w = aligned_alloc(64, (sizeof(*w) + 63) & ~(size_t)63);
	int r;

	if (!w)
		return -ENOMEM;
	memset(w, 0, sizeof(*w));
	w->device = d;
	w->reader = reader;
	w->is_control = is_control;
	r = aead_new(&w->aead);
	if (r < 0) {
		free(w);
		return r;
	}
	*ret = w;
	return 0;
}

void worker_free(struct wg_worker *w)
{
	if (!w)
		return;
	aead_free(w->aead);
	free(w);
}

void wg_worker_online(struct wg_worker *w)
{
	reclaim_online(&w->device->reclaim, w->reader);
}

/*
 * A cipher context may still hold the key that it worked with last, and a key is wiped once every
 * worker has let go of it: so the context lets go first.
 */
void wg_worker_offline(struct wg_worker *w)
{
	aead_forget(w->aead);
	reclaim_offline(&w->device->reclaim, w->reader);
}

void wg_worker_quiescent(struct wg_worker *w)
{
	aead_forget(w->aead);
	reclaim_quiescent(&w->device->reclaim, w->reader);
}

void wg_worker_drop(struct wg_worker *w, enum wg_drop why, unsigned n)
{
	/* One writer: no read-modify-write is needed. */
	uint64_t v = atomic_load_explicit(&w->drops[why], memory_order_relaxed);

	atomic_store_explicit(&w->drops[why], v + n, memory_order_relaxed);
}

const char *wg_worker_cipher(const struct wg_worker *w)
{
	return aead_describe(w->aead);
}

/* ---- TUN to UDP ---- */

static struct wg_peer *peer_of(struct allowedips_owner *o)
{
	return o ? container_of(o, struct wg_peer, allowed) : NULL;
}

struct wg_peer *wg_tx_route(
	struct wg_worker *w, const uint8_t *packet, size_t len, enum wg_drop *ret_drop)
{
	struct wg_peer *p = NULL;

	if (len >= sizeof(struct iphdr) && packet[0] >> 4 == 4) {
		p = peer_of(allowedips_lookup4(&w->device->allowedips, packet + 16));
	} else if (len >= sizeof(struct ip6_hdr) && packet[0] >> 4 == 6) {
		p = peer_of(allowedips_lookup6(&w->device->allowedips, packet + 24));
	} else {
		*ret_drop = WG_DROP_NOT_IP;
		return NULL;
	}
	if (!p)
		*ret_drop = WG_DROP_NO_PEER;
	return p;
}

/*
 * True when ${n} nonces from ${*ret} on are the caller's: by compare-and-swap, so that nobody ever
 * runs past the limit.
 */
static bool reserve_nonces(struct wg_keypair *k, unsigned n, uint64_t *ret)
{
	uint64_t c = atomic_load_explicit(&k->send_counter, memory_order_relaxed);

	do {
		if (c > WG_REJECT_AFTER_MESSAGES - n) {
			atomic_store_explicit(&k->send_invalid, true, memory_order_relaxed);
			return false;
		}
	} while (!atomic_compare_exchange_weak_explicit(
		&k->send_counter, &c, c + n, memory_order_relaxed, memory_order_relaxed));
	*ret = c;
	return true;
}

/* An initiation went out less than 5 s ago: asking again would only wake the control half. */
static bool recently_initiated(struct wg_peer *p, uint64_t boot_ns)
{
	uint64_t last = atomic_load_explicit(&p->initiated_ns, memory_order_relaxed);

	return last && last + WG_REKEY_TIMEOUT_NS > boot_ns;
}

/* True for who set it from none to ${boot_ns}. */
static bool stamp(_Atomic uint64_t *at, uint64_t boot_ns)
{
	uint64_t none = 0;

	return atomic_compare_exchange_strong(at, &none, max(boot_ns, (uint64_t)1));
}

/* Then it looks at the stamp when it fires: nobody need be woken for that. */
static bool is_armed(const struct wg_peer *p, enum peer_timer timer)
{
	return atomic_load(&p->armed) & TIMER_BIT(timer);
}

int tx_reserve(struct wg_worker *w, struct wg_peer *peer, uint64_t boot_ns, unsigned n, bool data,
	struct wg_tx_run *ret)
{
	struct wg_keypair *k;
	uint64_t counter;

	if (!device_is_up(w->device))
		return -ENETDOWN;
	ret->endpoint = peer_endpoint(peer);
	if (!ret->endpoint.dst.family)
		return -EDESTADDRREQ;
	k = peer_current(peer);
	if (!k || atomic_load_explicit(&k->send_invalid, memory_order_relaxed) ||
		keypair_age(k, boot_ns) >= WG_REJECT_AFTER_TIME_NS ||
		!reserve_nonces(k, n, &counter))
		return -EAGAIN;

	if ((counter + n > WG_REKEY_AFTER_MESSAGES ||
		    (k->initiator && keypair_age(k, boot_ns) >= WG_REKEY_AFTER_TIME_NS)) &&
		!recently_initiated(peer, boot_ns))
		peer_signal(peer, PEER_NEED_HANDSHAKE);
	timers_any_sent(peer, boot_ns);
	if (data && !atomic_load_explicit(&peer->unanswered_ns, memory_order_relaxed) &&
		stamp(&peer->unanswered_ns, boot_ns) && !is_armed(peer, TIMER_NEW_HANDSHAKE))
		peer_signal(peer, PEER_SENT);

	ret->peer = peer;
	ret->keypair = k;
	ret->counter = counter;
	ret->n = n;
	ret->mtu = atomic_load_explicit(&w->device->mtu, memory_order_relaxed);
	ret->tap = atomic_load_explicit(&w->device->packet_tap, memory_order_acquire);
	return 0;
}

int wg_tx_reserve(struct wg_worker *w, struct wg_peer *peer, uint64_t boot_ns, unsigned n,
	bool data, struct wg_tx_run *ret)
{
	/* What came earlier goes out first, once there is a session. */
	if (atomic_load_explicit(&peer->n_staged, memory_order_relaxed) &&
		peer_endpoint(peer).dst.family)
		return -EAGAIN;
	return tx_reserve(w, peer, boot_ns, n, data, ret);
}

void wg_tx_stage(struct wg_worker *w, struct wg_peer *peer, const void *packet, size_t len)
{
	stage_packet(w, peer, packet, len);
	peer_signal(peer, PEER_NEED_HANDSHAKE);
}

static inline void seal(struct wg_worker *w, const struct wg_tx_run *run, unsigned i,
	const void *src, size_t padded, struct wg_data *msg)
{
	put_le32(msg->type, WG_MESSAGE_DATA);
	put_le32(msg->receiver, run->keypair->remote_index);
	put_le64(msg->counter, run->counter + i);
	aead_seal(w->aead, run->keypair->keys.send, run->counter + i, NULL, 0, src, padded,
		msg + 1);
}

/* The length of the inner packet by its own header, or 0: none that fits. */
static size_t inner_len(const uint8_t *packet, size_t len)
{
	size_t inner;

	if (packet[0] >> 4 == 4) {
		inner = len >= sizeof(struct iphdr) ? get_be16(packet + 2) : 0;
		return inner >= sizeof(struct iphdr) && inner <= len ? inner : 0;
	}
	inner = len >= sizeof(struct ip6_hdr) ? get_be16(packet + 4) + sizeof(struct ip6_hdr) : 0;
	return inner <= len ? inner : 0;
}

/* Apart, so that who is not listened to does not even save registers for it. */
static __attribute__((noinline)) void seal_shown(struct wg_worker *w, const struct wg_tx_run *run,
	unsigned i, const void *src, size_t padded, void *dst)
{
	uint8_t tos = padded ? wg_tx_tos(src) : 0;
	size_t inner = padded ? inner_len(src, padded) : 0;

	tap_before_seal(w, run, src, inner ? inner : padded);
	seal(w, run, i, src, padded, dst);
	tap_after_seal(w, run, tos, dst, padded + WG_DATA_OVERHEAD);
}

void wg_tx_seal(struct wg_worker *w, const struct wg_tx_run *run, unsigned i, const void *src,
	size_t padded, void *dst)
{
	if (unlikely(run->tap))
		seal_shown(w, run, i, src, padded, dst);
	else
		seal(w, run, i, src, padded, dst);
}

void wg_tx_sent(struct wg_worker *w, const struct wg_tx_run *run, size_t bytes)
{
	atomic_fetch_add_explicit(&run->peer->tx_bytes, bytes, memory_order_relaxed);
}

void wg_tx_source_refused(struct wg_worker *w, struct wg_peer *peer)
{
	endpoint_cell_clear_source(&peer->endpoint);
}

uint8_t wg_tx_tos(const uint8_t *packet)
{
	if (packet[0] >> 4 == 4)
		return packet[1] & 3;
	if (packet[0] >> 4 == 6)
		return packet[1] >> 4 & 3;
	return 0;
}

/* ---- UDP to TUN ---- */

/* Apart: it is seldom. */
static __attribute__((noinline)) void drop(struct wg_worker *w, const struct wg_rx_packet *pkt)
{
	wg_worker_drop(w, pkt->drop, 1);
	WG_PROBE4(drop, pkt->drop, pkt->keypair ? pkt->keypair->peer->number : 0, pkt->len, 1);
}

static enum wg_drop open_one(struct wg_worker *w, uint64_t boot_ns, struct wg_rx_packet *pkt,
	const struct wg_keypair *k)
{
	const struct wg_data *msg = (const struct wg_data *)pkt->msg;

	if (!k)
		return WG_DROP_UNKNOWN_INDEX;
	if (keypair_age(k, boot_ns) >= WG_REJECT_AFTER_TIME_NS)
		return WG_DROP_KEY_EXPIRED;
	pkt->counter = get_le64(msg->counter);
	if (pkt->counter >= WG_REJECT_AFTER_MESSAGES)
		return WG_DROP_COUNTER_LIMIT;
	pkt->packet = pkt->msg + sizeof(*msg);
	if (!aead_open(w->aead, k->keys.receive, pkt->counter, NULL, 0, pkt->packet,
		    pkt->len - sizeof(*msg), pkt->packet))
		return WG_DROP_BAD_TAG;
	return WG_DROP_NONE;
}

void wg_rx_open(struct wg_worker *w, uint64_t boot_ns, struct wg_rx_packet pkts[], unsigned n)
{
	uint32_t receiver = 0;
	struct wg_keypair *k = NULL;

	for (unsigned i = 0; i < n; i++) {
		const struct wg_data *msg = (const struct wg_data *)pkts[i].msg;

		if (!i || get_le32(msg->receiver) != receiver) {
			struct index_entry *e;

			receiver = get_le32(msg->receiver);
			e = index_lookup(&w->device->index, receiver);
			k = e && e->type == INDEX_KEYPAIR ?
				container_of(e, struct wg_keypair, entry) :
				NULL;
		}
		pkts[i].keypair = k;
		pkts[i].drop = open_one(w, boot_ns, &pkts[i], k);
		if (pkts[i].drop != WG_DROP_NONE)
			drop(w, &pkts[i]);
	}
}

/* The window moves; returns how many live, how many of them carry data, and the bytes of all. */
struct accepted {
	unsigned packets, data;
	size_t	 bytes;
};

static struct accepted check_replay(
	struct wg_worker *w, struct wg_keypair *k, struct wg_rx_packet pkts[], unsigned n)
{
	struct accepted a = {0};

	pthread_mutex_lock(&k->lock);
	for (unsigned i = 0; i < n; i++) {
		struct wg_rx_packet *pkt = &pkts[i];

		if (pkt->drop != WG_DROP_NONE)
			continue;
		if (k->window.greatest >= WG_REJECT_AFTER_MESSAGES) {
			pkt->drop = WG_DROP_COUNTER_LIMIT;
		} else if (!replay_commit(&k->window, pkt->counter)) {
			pkt->drop = WG_DROP_REPLAY;
		} else {
			a.packets++;
			a.data += pkt->len > WG_KEEPALIVE_LEN;
			a.bytes += pkt->len;
			continue;
		}
		drop(w, pkt);
	}
	pthread_mutex_unlock(&k->lock);
	return a;
}

static void accept_run(struct wg_keypair *k, uint64_t boot_ns, const struct wg_endpoint *src,
	const struct accepted *a)
{
	struct wg_peer *p = k->peer;

	/* Before the key is confirmed: what that lets out is not answered yet. */
	timers_any_received(p, boot_ns);
	/* Before anything of it is delivered: the answer must find the new address. */
	if (peer_roam(p, src))
		peer_signal(p, PEER_ROAMED);
	/* And the key that the peer surely has. */
	if (keypairs_confirm(p, k))
		peer_signal(p, PEER_CONFIRMED);
	if (k->initiator && keypair_age(k, boot_ns) >= WG_REKEY_ON_RECEIVE_NS &&
		!atomic_exchange_explicit(&k->rekey_asked, true, memory_order_relaxed))
		peer_signal(p, PEER_NEED_HANDSHAKE);
	atomic_fetch_add_explicit(&p->rx_bytes, a->bytes, memory_order_relaxed);
	if (!a->data)
		return;
	if (!atomic_load_explicit(&p->owed_ns, memory_order_relaxed) &&
		stamp(&p->owed_ns, boot_ns)) {
		if (a->data > 1)
			atomic_store_explicit(&p->owed_more, true, memory_order_relaxed);
		if (!is_armed(p, TIMER_KEEPALIVE))
			peer_signal(p, PEER_GOT);
	} else if (!atomic_load_explicit(&p->owed_more, memory_order_relaxed)) {
		atomic_store_explicit(&p->owed_more, true, memory_order_relaxed);
	}
}

void wg_rx_commit(struct wg_worker *w, uint64_t boot_ns, const struct wg_endpoint *src,
	struct wg_rx_packet pkts[], unsigned n)
{
	for (unsigned at = 0, end; at < n; at = end) {
		struct wg_keypair *k = pkts[at].keypair;
		struct accepted a;

		for (end = at + 1; end < n && pkts[end].keypair == k; end++)
			;
		if (!k)
			continue;
		a = check_replay(w, k, pkts + at, end - at);
		if (a.packets)
			accept_run(k, boot_ns, src, &a);
	}
}

static enum wg_drop filter(struct wg_worker *w, struct wg_rx_packet *pkt)
{
	struct allowedips_owner *o;
	size_t len = pkt->len - WG_DATA_OVERHEAD, inner;

	pkt->len = (uint32_t)len;
	if (!len)
		return WG_DROP_NONE;
	if (pkt->packet[0] >> 4 != 4 && pkt->packet[0] >> 4 != 6)
		return WG_DROP_INNER_NOT_IP;
	inner = inner_len(pkt->packet, len);
	if (!inner)
		return WG_DROP_INNER_LENGTH;
	if (pkt->packet[0] >> 4 == 4)
		o = allowedips_lookup4(&w->device->allowedips, pkt->packet + 12);
	else
		o = allowedips_lookup6(&w->device->allowedips, pkt->packet + 8);
	if (peer_of(o) != pkt->keypair->peer)
		return WG_DROP_INNER_SOURCE;
	pkt->len = (uint32_t)inner;
	return WG_DROP_NONE;
}

void wg_rx_filter(struct wg_worker *w, struct wg_rx_packet pkts[], unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		if (pkts[i].drop != WG_DROP_NONE)
			continue;
		pkts[i].drop = filter(w, &pkts[i]);
		if (pkts[i].drop != WG_DROP_NONE)
			drop(w, &pkts[i]);
	}
}

void wg_rx_ecn(uint8_t *packet, size_t len, uint8_t outer_tos)
{
	if ((outer_tos & 3) != 3 || len < sizeof(struct iphdr))
		return;
	if (packet[0] >> 4 == 4) {
		uint32_t sum;
		uint16_t before = get_be16(packet);

		if (!(packet[1] & 3))
			return;
		packet[1] |= 3;
		/* RFC 1624, equation 3, for the first word of the header. */
		sum = (uint16_t)~get_be16(packet + 10) + (uint32_t)(uint16_t)~before +
			get_be16(packet);
		sum = (sum & 0xffff) + (sum >> 16);
		sum = (sum & 0xffff) + (sum >> 16);
		put_be16(packet + 10, (uint16_t)~sum);
	} else if (packet[0] >> 4 == 6 && packet[1] & 0x30) {
		packet[1] |= 0x30;
	}
}
