#include "tunnel/path_worker.h"
#include "wg/tap.h"

#include "base/log.h"

#include <errno.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/udp.h>
#include <sys/epoll.h>

/*
 * In a row, before the sockets get their turn: many small packets, or eight coalesced ones, which are
 * sent by one call.  A small one does not wait for more of those than are before it.
 */
#define TUN_READS_MAX 64
#define TUN_READ_BYTES_MAX (15u << 15)
#define SEND_AT (1u << 16)
#define DATAGRAM_MAX 65507
#define NESTED_TTL 16 /* hops that being carried once more costs: three times, of the usual 64 */

static void send_failed(struct worker *w, const struct udp_message *m, struct wg_peer *peer)
{
	if (!m->error)
		return;
	wg_tap_drop(w->wg, WG_DROP_SEND_FAILED, m->dropped,
		(struct wg_tap_packet){.peer = peer, .endpoint = m->to, .tos = m->tos, .error = m->error});
	log_limited(LOG_LEVEL_VERBOSE, "udp: cannot send: %s", strerror(-m->error));
}

static void flush(struct worker *w)
{
	struct outbox *o = &w->out;

	if (!o->n)
		return;
	if (unlikely(udp_send(w->udp, o->messages, o->n)))
		for (unsigned i = 0; i < o->n; i++)
			send_failed(w, &o->messages[i], o->peers[i]);
	for (unsigned i = 0; i < o->n; i++)
		if (unlikely(o->messages[i].source_refused))
			wg_tx_source_refused(w->wg, o->peers[i]);
	o->n = 0;
	o->len = 0;
}

/*
 * Room for one more datagram of this run.  It joins the last message if that goes to the same place
 * and its datagrams were all of one length so far; else it starts one of its own.
 */
static uint8_t *reserve(
	struct worker *w, const struct wg_tx_run *run, uint8_t tos, uint8_t ttl, size_t len)
{
	struct outbox *o = &w->out;
	struct udp_message *m;

	if (len > sizeof(o->data) - o->len)
		flush(w);
	m = o->n ? &o->messages[o->n - 1] : NULL;
	if (m && m->tos == tos && m->ttl == ttl && len <= m->segment && m->len % m->segment == 0 &&
		o->peers[o->n - 1] == run->peer && wg_endpoint_equal(m->to, &run->endpoint)) {
		m->len += (uint32_t)len;
	} else {
		if (o->n == UDP_SEND_MAX)
			flush(w);
		m = &o->messages[o->n];
		o->endpoints[o->n] = run->endpoint;
		o->peers[o->n] = run->peer;
		*m = (struct udp_message){.to = &o->endpoints[o->n],
			.data = o->data + o->len,
			.len = (uint32_t)len,
			.segment = (uint32_t)len,
			.tos = tos,
			.ttl = ttl};
		o->n++;
	}
	o->len += len;
	return o->data + o->len - len;
}

/* The UDP header of a packet, or of its first fragment, with four bytes behind it; NULL: none. */
static const uint8_t *udp_header(const uint8_t *packet, size_t len)
{
	const uint8_t *end = packet + len, *udp;
	uint8_t protocol;

	if (packet[0] >> 4 == 4) {
		udp = packet + (size_t)(packet[0] & 15) * 4;
		protocol = packet[9];
		if (get_be16(packet + 6) & IP_OFFMASK)
			return NULL;
	} else {
		udp = packet + sizeof(struct ip6_hdr);
		protocol = packet[6];
		if (protocol == IPPROTO_FRAGMENT && udp + sizeof(struct ip6_frag) <= end &&
			!(get_be16(udp + 2) & ~7)) {
			protocol = udp[0];
			udp += sizeof(struct ip6_frag);
		}
	}
	return protocol == IPPROTO_UDP && udp + sizeof(struct udphdr) + 4 <= end ? udp : NULL;
}

static bool goes_to(const uint8_t *packet, const uint8_t *udp, const struct wg_endpoint *to)
{
	bool v4 = packet[0] >> 4 == 4;

	return to->dst.family == (v4 ? AF_INET : AF_INET6) &&
	       !memcmp(packet + (v4 ? 16 : 24), to->dst.bytes, v4 ? 4 : 16) &&
	       get_be16(udp + 2) == to->dst.port;
}

/*
 * The hop limit of what carries this packet: 0, the system's, unless it is an outer packet of ours
 * that comes back to be carried once more.  That is how one peer is reached through another, and it
 * is a loop where the route to the endpoint leads into the tunnel, or where each of two peers is to
 * be reached through the other, as both may pretend: -ELOOP.  A lower limit each time tells how
 * deep we are.  Too long for the tunnel, such a packet comes in fragments, of which the first
 * tells; those behind it are shorter, and come back as whole packets.
 */
static int carrier_ttl(
	const struct worker *w, const uint8_t *packet, size_t len, const struct wg_endpoint *to)
{
	const uint8_t *udp = udp_header(packet, len);
	uint32_t type;
	int ttl;

	if (likely(!udp || get_be16(udp) != w->port))
		return 0;
	type = get_le32(udp + sizeof(struct udphdr));
	if (type < WG_MESSAGE_INITIATION || type > WG_MESSAGE_DATA)
		return 0;
	ttl = packet[0] >> 4 == 4 ? packet[8] : packet[7];
	return goes_to(packet, udp, to) || ttl <= NESTED_TTL ? -ELOOP : ttl - NESTED_TTL;
}

static void drop_inner(struct worker *w, enum wg_drop why, unsigned n, struct wg_peer *peer,
	const uint8_t *packet, size_t len)
{
	wg_tap_drop(w->wg, why, n,
		(struct wg_tap_packet){.peer = peer, .data = packet, .len = len});
}

static void unreachable(struct worker *w, const uint8_t *packet, size_t len)
{
	uint8_t error[ICMP_UNREACHABLE_MAX];
	struct virtio_net_hdr header = {0};
	struct iovec iov[2] = {{&header, VNET_HDR_LEN}, {error, 0}};

	if (!icmp_limit_take(&w->icmp_limit, w->now_ns))
		return;
	iov[1].iov_len = icmp_unreachable(packet, len, error);
	if (iov[1].iov_len && tun_writev(w->tun, iov, 2) < 0)
		drop_inner(w, WG_DROP_ICMP_REFUSED, 1, NULL, error, iov[1].iov_len);
}

static void stage(struct worker *w, struct wg_peer *peer, struct split *s)
{
	uint8_t *packet;
	size_t len;

	while ((packet = split_next(s, &len)))
		wg_tx_stage(w->wg, peer, packet, len);
}

/* Seal what is left of the super-packet, a reservation at a time. */
static void seal(struct worker *w, struct wg_peer *peer, struct split *s, uint8_t tos)
{
	int ttl = 0;

	while (s->next < s->n) {
		unsigned n = min(s->n - s->next, (unsigned)WG_BATCH_MAX);
		struct wg_tx_run run;
		size_t bytes = 0;
		int r = wg_tx_reserve(w->wg, peer, w->now_ns, n, true, &run);

		if (r == -EAGAIN) {
			stage(w, peer, s);
			return;
		}
		if (r < 0) {
			if (r == -EDESTADDRREQ && !s->next)
				unreachable(w, s->packet, s->len);
			drop_inner(w, r == -EDESTADDRREQ ? WG_DROP_NO_ENDPOINT : WG_DROP_LINK_DOWN,
				s->n - s->next, peer, s->packet, s->len);
			return;
		}
		if (!s->next)
			ttl = carrier_ttl(w, s->packet, s->len, &run.endpoint);
		if (unlikely(ttl < 0)) {
			drop_inner(w, WG_DROP_LOOP, s->n, peer, s->packet, s->len);
			log_limited(LOG_LEVEL_ERROR,
				"udp: the route to a peer's endpoint leads into the tunnel itself");
			return;
		}
		for (unsigned i = 0; i < n; i++) {
			size_t len, padded;
			uint8_t *packet = split_next(s, &len);

			padded = wg_tx_padded_len(&run, len);
			if (padded + WG_DATA_OVERHEAD > DATAGRAM_MAX) {
				drop_inner(w, WG_DROP_TOO_BIG, 1, peer, packet, len);
				continue;
			}
			wg_tx_seal(w->wg, &run, i, packet, padded,
				reserve(w, &run, tos, (uint8_t)ttl, padded + WG_DATA_OVERHEAD));
			bytes += padded + WG_DATA_OVERHEAD;
		}
		wg_tx_sent(w->wg, &run, bytes);
	}
}

/* Returns of how many segments it was; 0: it was dropped. */
static unsigned send_packet(struct worker *w, size_t n)
{
	struct wg_peer *peer;
	enum wg_drop drop;
	struct split s;

	if (split_begin(&s, w->packet, n) < 0) {
		drop_inner(w, WG_DROP_NOT_IP, 1, NULL, w->packet + VNET_HDR_LEN, n - VNET_HDR_LEN);
		return 0;
	}
	if (unlikely(!w->udp)) {
		drop_inner(w, WG_DROP_LINK_DOWN, s.n, NULL, s.packet, s.len);
		return 0;
	}
	peer = wg_tx_route(w->wg, s.packet, s.len, &drop);
	if (!peer) {
		drop_inner(w, drop, s.n, NULL, s.packet, s.len);
		if (drop == WG_DROP_NO_PEER)
			unreachable(w, s.packet, s.len);
		return 0;
	}
	seal(w, peer, &s, wg_tx_tos(s.packet));
	return s.n;
}

void path_from_tun(struct worker *w, struct tun_queue *q)
{
	size_t bytes = 0;

	for (int i = 0; i < TUN_READS_MAX && bytes < TUN_READ_BYTES_MAX; i++) {
		ssize_t n = tun_read(q, w->packet, sizeof(w->packet) - SPLIT_TAILROOM);

		if (n == -EBADFD) {
			epoll_ctl(w->epoll_fd, EPOLL_CTL_DEL, q->fd, NULL);
			path_tun_gone(w);
		} else if (n < 0 && n != -EAGAIN) {
			/* The kernel has let go of it all the same. */
			drop_inner(w, WG_DROP_TUN_READ, 1, NULL, NULL, 0);
		}
		if (n < 0)
			break;
		bytes += (size_t)n;
		if (send_packet(w, (size_t)n) == 1 && w->out.len >= SEND_AT)
			flush(w);
	}
	flush(w);
}
