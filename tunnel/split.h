/*
 * tunnel/split.h - cut one super-packet that the TUN handed over into the packets that it stands
 * for, without copying payload.
 *
 * The kernel hands over up to 64 KiB of one flow behind a virtio header.  Each segment's IP and TCP
 * or UDP header is laid directly in front of its payload, over the tail of the segment before it -
 * which the caller has by then encrypted to somewhere else.  So each packet is contiguous, and good
 * until the next call.  Knows no socket, peer or key.
 *
 * 	n = tun_read(queue, buf, sizeof(buf) - SPLIT_TAILROOM);
 * 	if (split_begin(&s, buf, n) < 0) drop;
 * 	reserve s.n nonces (in pieces of WG_BATCH_MAX: s.n may be over a thousand with a tiny MSS)
 * 	while ((packet = split_next(&s, &len)))
 * 		seal len (+ padding) bytes at packet
 */
#pragma once

#include "base/util.h"

#include <linux/virtio_net.h>

#define VNET_HDR_LEN 10 /* sizeof(struct virtio_net_hdr) */
#define SPLIT_TAILROOM 16 /* behind each packet: zero bytes for the padding */
#define SPLIT_BUFFER_SIZE (VNET_HDR_LEN + 65535 + 1 + SPLIT_TAILROOM)
#define SPLIT_HEADERS_MAX 256 /* IP header with options or extension headers, and TCP header with options */

#ifndef VIRTIO_NET_HDR_GSO_UDP_L4
#define VIRTIO_NET_HDR_GSO_UDP_L4 5
#endif

struct split {
	uint8_t		*packet;	/* the super-packet's IP header; for routing, before the first split_next() */
	size_t		 len;		/* its length */
	unsigned	 n;		/* packets in all, at least 1 */
	unsigned	 next;		/* index of the one that split_next() returns next */

	/* Only split.c looks at these. */
	unsigned	 segment;	/* payload of all but the last */
	unsigned	 transport;	/* offset of the TCP or UDP header */
	unsigned	 headers;	/* IP and transport headers together */
	bool		 gso, tcp, v6;
	uint8_t		 tail[SPLIT_TAILROOM];	/* what the zero bytes behind the current packet displaced */
	uint8_t		*tail_at;
	uint64_t	 ip_sum;	/* the IPv4 header's, without length, ID and checksum */
	uint64_t	 pseudo_sum;	/* without the length */
	uint8_t		 template[SPLIT_HEADERS_MAX];
};

/*
 * split_begin(s, buf, len): ${buf} holds ${len} bytes as tun_read() left them, virtio header first,
 * and SPLIT_TAILROOM writable bytes behind them.  Nothing the virtio header says is believed
 * without a check against the packet.  0, or -EBADMSG when it does not fit the packet; then ${s} is
 * not usable.  Says nothing about packets without offloads: they come out as they are, even when
 * they are no IP.
 */
int split_begin(struct split *s, uint8_t *buf, size_t len);

/*
 * split_next(s, ret_len): the next packet, contiguous and complete with all checksums, with
 * SPLIT_TAILROOM zero bytes behind it that do not count; NULL after the last.  Overwrites the
 * packet before it.
 */
uint8_t *split_next(struct split *s, size_t *ret_len);
