/*
 * wg/worker.h - the data half of the protocol: packets in batches, between one thread's TUN and UDP
 * sockets.
 *
 * A worker belongs to one thread and owns its cipher context and its counters.  Readers take no
 * lock: what they look at is immutable once published, and is freed only after every worker has
 * said wg_worker_quiescent() or is offline.  Pointers to peers and keypairs that these calls hand
 * out are good until the worker's next quiescent point.
 */
#pragma once

#include "wg/device.h"

struct wg_keypair;
struct wg_tap;

/*
 * A thread that may look at published state says so; before it sleeps it goes offline.  Offline and
 * at a quiescent point the cipher context holds no key.
 */
void wg_worker_online(struct wg_worker *w);
void wg_worker_offline(struct wg_worker *w);
/* Between two batches: nothing from before is held any more. */
void wg_worker_quiescent(struct wg_worker *w);

void wg_worker_drop(struct wg_worker *w, enum wg_drop why, unsigned n);

const char *wg_worker_cipher(const struct wg_worker *w);

/* ---- TUN to UDP ---- */

/*
 * wg_tx_route(w, packet, len, ret_drop): the peer to which the destination of this inner packet
 * (from its IP header on) belongs.  NULL with NOT_IP or NO_PEER.  Counts nothing: the caller knows
 * how many packets share the header.
 */
struct wg_peer *wg_tx_route(
	struct wg_worker *w, const uint8_t *packet, size_t len, enum wg_drop *ret_drop);

struct wg_tx_run {
	struct wg_peer		*peer;
	struct wg_keypair	*keypair;
	uint64_t		 counter;	/* of the first packet */
	unsigned		 n;
	unsigned		 mtu;		/* as it was at the reservation, for padding */
	struct wg_endpoint	 endpoint;	/* copy */
	const struct wg_tap	*tap;		/* who listens to packets, or NULL */
};

/*
 * wg_tx_reserve(w, peer, boot_ns, n, data, ret): ${n} nonces (1..WG_BATCH_MAX) under the peer's
 * current keypair.  ${data}: packets rather than keepalives.  Stamps the timers; asks for a new
 * handshake when the key grows old.
 * -EAGAIN: no usable key, stage the packets; -EDESTADDRREQ: the endpoint is not known; -ENETDOWN.
 */
int wg_tx_reserve(struct wg_worker *w, struct wg_peer *peer, uint64_t boot_ns, unsigned n,
	bool data, struct wg_tx_run *ret);

/*
 * wg_tx_stage(w, peer, packet, len): keep a copy of one inner packet until there is a session, and
 * ask for one.  The peer's oldest goes when WG_STAGED_MAX wait, or the device's WG_STAGED_BYTES_MAX
 * are used up; counted.
 */
void wg_tx_stage(struct wg_worker *w, struct wg_peer *peer, const void *packet, size_t len);

/*
 * wg_tx_padded_len(run, len): the length of ${len} inner bytes with padding: to 16, but never
 * beyond the MTU.
 */
static inline size_t wg_tx_padded_len(const struct wg_tx_run *run, size_t len)
{
	size_t last = run->mtu && len > run->mtu ? len % run->mtu : len;
	size_t padded = (last + WG_PADDING - 1) & ~(size_t)(WG_PADDING - 1);

	if (run->mtu && padded > run->mtu)
		padded = run->mtu;
	return len - last + padded;
}

/*
 * wg_tx_seal(w, run, i, src, padded, dst): encrypt packet ${i} of the run.  ${padded} bytes of
 * ${src}, the padding already zero, become padded + WG_DATA_OVERHEAD bytes at ${dst}; they do not
 * overlap, or src == dst + sizeof(struct wg_data). A pure function of its arguments.
 */
void wg_tx_seal(struct wg_worker *w, const struct wg_tx_run *run, unsigned i, const void *src,
	size_t padded, void *dst);

/*
 * wg_tx_sent(w, run, bytes): the run went to the socket as ${bytes} bytes of messages; for the
 * peer's tx_bytes.
 */
void wg_tx_sent(struct wg_worker *w, const struct wg_tx_run *run, size_t bytes);

/*
 * wg_tx_source_refused(w, peer): the kernel no longer sends from the endpoint's source address:
 * forget it.
 */
void wg_tx_source_refused(struct wg_worker *w, struct wg_peer *peer);

/* wg_tx_tos(packet): the outer TOS for data: the ECN bits of the inner header, and no DSCP. */
uint8_t wg_tx_tos(const uint8_t *packet);

/* ---- UDP to TUN ---- */

struct wg_rx_packet {
	uint8_t			*msg;		/* in: a datagram that wg_message_check() called DATA */
	uint32_t		 len;		/* in: its length; after wg_rx_filter: of the inner packet */
	enum wg_drop		 drop;		/* out: WG_DROP_NONE while it lives */
	struct wg_keypair	*keypair;	/* out */
	uint64_t		 counter;	/* out */
	uint8_t			*packet;	/* out: the inner packet, in place; len 0: keepalive */
};

/*
 * wg_rx_open(w, boot_ns, pkts, n): find the keypair by index, decrypt in place.  Writes nothing
 * shared; another worker than the one that received the packets may do it.  Failures are marked in
 * ${drop} and counted.
 */
void wg_rx_open(struct wg_worker *w, uint64_t boot_ns, struct wg_rx_packet pkts[], unsigned n);

/*
 * wg_rx_commit(w, boot_ns, src, pkts, n): for opened packets that came from ${src}, in arrival
 * order: replay check under one lock a run of equal keypairs, then confirm the key, roam, stamp the
 * timers, count.
 */
void wg_rx_commit(struct wg_worker *w, uint64_t boot_ns, const struct wg_endpoint *src,
	struct wg_rx_packet pkts[], unsigned n);

/*
 * wg_rx_filter(w, pkts, n): inner IP version and length, padding trimmed from ${len}, and the
 * source must route back to the peer that sent it.  Keepalives stay, with len 0 and nothing to
 * deliver.
 */
void wg_rx_filter(struct wg_worker *w, struct wg_rx_packet pkts[], unsigned n);

/*
 * The ECN of a datagram into an inner packet before it is delivered (RFC 6040): CE is copied, where
 * the inner header says ECN-capable; fixes the IPv4 checksum.
 */
void wg_rx_ecn(uint8_t *packet, size_t len, uint8_t outer_tos);
