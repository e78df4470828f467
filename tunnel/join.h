/*
 * tunnel/join.h - merge consecutive packets of a flow, so that the kernel takes them in one write.
 *
 * The reverse of split.h and what the kernel calls GRO: TCP and (where the TUN has USO) UDP over
 * IPv4 or IPv6.  Payload is not copied: a merged packet is a list of pieces, the first packet's
 * header and the payloads where they lie.  Merges only what a later split gives back byte for byte;
 * checksums are verified before a packet is merged, since the kernel would otherwise repair them.
 * Packets of one flow leave in the order in which they came; flows may pass each other.
 *
 * 	join_init(&j, JOIN_TCP | JOIN_UDP, write_packet, worker);
 * 	for each inner packet of the batch: join_add(&j, packet, len);
 * 	lost = join_flush(&j);
 */
#pragma once

#include "base/util.h"

#include <linux/virtio_net.h>
#include <sys/uio.h>

#define JOIN_TCP 1u		/* merge TCP: the TUN takes TSO */
#define JOIN_UDP 2u		/* merge UDP: the TUN takes USO */
#define JOIN_ATOMIC_ID 4u	/* IPv4 with DF: equal IDs merge too; a later split counts them up (RFC 6864 allows it) */

#define JOIN_BATCH_MAX 512	/* packets that wait; one more flushes */
#define JOIN_FLOWS_MAX 8	/* flows that are open for merging at a time */
#define JOIN_SEGMENTS_MAX 64	/* in one merged packet; more is EINVAL for USO before Linux 6.9 */

/* One write: iov[0] is the virtio header (10 bytes), the rest one packet. */
struct join_output {
	const struct iovec	*iov;
	unsigned		 n_iov;
	unsigned		 packets;	/* how many it was made of */
	size_t			 bytes;		/* of all of iov, without the virtio header */
};

struct join_packet {
	uint8_t		*data;
	uint16_t	 len;
	uint16_t	 next;		/* the one merged behind it; JOIN_NONE */
};

struct join_unit {		/* what will be one write */
	uint16_t	 first, last;	/* packets */
	uint16_t	 n;
	uint16_t	 segment;	/* payload of the first */
	uint16_t	 headers, transport;
	uint32_t	 len;		/* of the whole merged packet */
	uint8_t		 protocol;
	bool		 verified;	/* the first packet's checksum */
	bool		 fixed_id;	/* IPv4: the IDs are equal (JOIN_ATOMIC_ID) */
	bool		 push;		/* the last has PSH */
};

struct join {
	unsigned		 flags;		/* what is merged now; a refused kind is taken out */
	int			 (*write)(void *arg, const struct join_output *out);
	void			*arg;
	unsigned		 lost;
	unsigned		 n_packets, n_units, n_open;
	uint16_t		 open[JOIN_FLOWS_MAX];	/* units, least recently used first */
	struct join_packet	 packets[JOIN_BATCH_MAX];
	struct join_unit	 units[JOIN_BATCH_MAX];
	struct iovec		 iov[JOIN_SEGMENTS_MAX + 1];
};

/*
 * join_init(j, flags, write, arg): ${write} hands one packet to the TUN: 0 or a negative errno.
 * When it says -EINVAL to a merged packet, the packet is written again in pieces, and its kind (TCP
 * or UDP) is taken out of ${j->flags}.
 */
void join_init(struct join *j, unsigned flags,
	int (*write)(void *arg, const struct join_output *out), void *arg);

/*
 * join_add(j, packet, len): one inner packet, 1..65535 bytes from the IP header on, valid length
 * already checked by the receiver (the IP header's length is ${len}; anything else is passed on
 * unmerged).  Borrowed, and its headers changed, until the next join_flush(); the JOIN_BATCH_MAX +
 * 1st packet flushes by itself.
 */
void join_add(struct join *j, uint8_t *packet, size_t len);

/*
 * join_flush(j): write everything, in order.  How many packets were refused since the last flush.
 */
unsigned join_flush(struct join *j);
