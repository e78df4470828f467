/*
 * tunnel/udp.h - the UDP sockets: one port, IPv4 and IPv6, one pair of sockets for each worker.
 *
 * Moves runs of datagrams: up to 64 KiB of equal pieces in one system call's message (UDP_GRO,
 * UDP_SEGMENT).  Tells for every datagram from which of our addresses it came, and answers from
 * there, unless no route leads that way.  Where a path or a kernel refuses a run, sends it in
 * pieces; the kernel fragments what exceeds the path (DF is never set).  Knows no message of the
 * protocol.
 *
 * Locks: struct udp is the control thread's; a queue is its worker's; udp_set_mark() and
 * udp_routes_changed() may run beside the workers.  To change the port, stop the workers, free this
 * and open another.
 */
#pragma once

#include "tunnel/bind.h"
#include "tunnel/fast_path.h"
#include "wg/endpoint.h"

#include <sys/socket.h>
#include <sys/uio.h>

#define UDP_WORKERS_MAX 32
#define UDP_SLOTS 12		/* messages per udp_receive(); each may hold 64 datagrams and more */
#define UDP_SLOT_SIZE 65536u
#define UDP_SEND_MAX 64		/* kernel messages per system call */
#define UDP_PATHS_MAX 512	/* that are narrow, or cannot segment, at a time; more are tried twice */
#define UDP_PATHS_TOGETHER 4	/* of them share a place */
#define UDP_WAYS_MAX 2048	/* of sources whose routes are known; more are asked for again */
#define UDP_WAYS_TOGETHER 4	/* of them share a place */

struct udp_config {
	uint16_t	port;		/* 0: the kernel chooses one that is free for both families */
	uint32_t	mark;		/* SO_MARK; 0: none */
	unsigned	workers;	/* 1..UDP_WORKERS_MAX */
	unsigned	without;	/* pieces of the fast path: FAST_PATH_... */
	struct bind	bind;
};

/* A path on which the kernel refused a run.  All zero: a free entry. */
struct udp_path {
	struct wg_addr	dst;
	uint32_t	segment;	/* the smallest that was refused; 0: there are no runs there at all */
	uint64_t	until_ns;	/* CLOCK_MONOTONIC: not tried again before */
};

/* What the routing table said about one pair of addresses. */
struct udp_way {
	struct wg_endpoint	endpoint;	/* its port is 0; family 0: unused */
	unsigned		routes;		/* the state of the routes then */
	bool			works;		/* the source can be used */
};

struct udp_counters {
	uint64_t	sends;		/* messages that the kernel took */
	uint64_t	datagrams;	/* in them */
	uint64_t	waits;		/* full socket buffer: waited */
	uint64_t	dropped;	/* datagrams that were not sent */
	uint64_t	refused_runs;	/* messages that had to be sent in pieces */
	uint64_t	refused_sources;
};

union sockaddr_any {
	struct sockaddr		any;
	struct sockaddr_in	in;
	struct sockaddr_in6	in6;
};

struct udp_queue {
	int			fd4, fd6;	/* [I] -1: the family is not there.  Poll them for POLLIN. */
	bool			gso4, gso6;	/* [w] UDP_SEGMENT works */
	unsigned		max_segments;	/* [I] per message */
	bool			told_no_runs;	/* [w] the log knows that a path cannot segment */
	unsigned		n_paths;	/* [w] entries in use */
	struct udp_path		paths[UDP_PATHS_MAX];	/* [w] */
	struct udp_counters	counters;	/* [w] */
	const struct udp	*owner;		/* [I] */
	int			routes_fd;	/* [w] asks for routes; -1: cannot */
	struct udp_way		ways[UDP_WAYS_MAX];	/* [w] */
	unsigned		ways_turn;		/* [w] which of those in a place goes next */
};

struct udp {
	uint16_t		port;		/* [I] the one in use */
	unsigned		n_queues;
	_Atomic uint32_t	mark;
	_Atomic unsigned	routes;		/* counts their states */
	uint32_t		device_ifindex;	/* [I] of bind.device, when it was bound; 0: no device */
	struct udp_queue	control;	/* the control thread's: sends by the first queue's sockets, which are not its own */
	bool			adopted;	/* [I] made by another process */
	unsigned		room;		/* [I] for so many queues; n_queues of them are there */
	struct udp_queue	queues[];
};

/*
 * udp_open(config, ret): -EADDRINUSE when any other socket has the port; -EAFNOSUPPORT when there
 * is neither IPv4 nor IPv6; -EPERM for a mark without CAP_NET_ADMIN.  A missing family is logged,
 * not an error, unless an address of it is to be bound.  -EADDRNOTAVAIL: no interface has that
 * address; -ENODEV: there is no such device, or none of the name in the address.
 */
int udp_open(const struct udp_config *config, struct udp **ret);
/*
 * udp_adopt(config, fd4, fd6, n, ret): sockets that udp_open() made in another process, ${n} pairs
 * of them; -1: that family is not there.  config->port is theirs.  Owned on success.  More pairs
 * than config->workers stay in use: packets come by each of them.
 * -EBADF and others when one is no such socket.
 */
int udp_adopt(const struct udp_config *config, const int fd4[], const int fd6[], unsigned n,
	struct udp **ret);

/*
 * udp_grow(u, config): make up what udp_adopt() found too few, one pair for each worker; from then
 * on the kernel spreads packets over them.  A pair that cannot be had is one more name of the
 * first.  The workers are stopped.
 */
void udp_grow(struct udp *u, const struct udp_config *config);

void udp_free(struct udp *u);
static inline void udp_freep(struct udp **u)
{
	if (*u)
		udp_free(*u);
}

/* udp_no_route_query(q, why): routes cannot be asked for; sources are believed until a send is refused. */
void udp_no_route_query(struct udp_queue *q, int why);

/* udp_set_mark(u, mark): on all sockets, or on an error on none. */
int udp_set_mark(struct udp *u, uint32_t mark);

/*
 * udp_routes_changed(u): routes or addresses of the system changed: sources are judged anew before
 * they are used again.
 */
void udp_routes_changed(struct udp *u);

/* ---- receive ---- */

struct udp_run {
	uint8_t			*data;		/* datagrams back to back; in place until the next udp_receive() */
	uint32_t		 len;
	uint32_t		 segment;	/* each this long, the last may be shorter; never 0 unless len is */
	struct wg_endpoint	 from;		/* dst: who sent it; src, src_ifindex: our address that it was sent to */
	uint8_t			 tos;		/* the outer TOS or traffic class */
	bool			 truncated;	/* longer than the slot: to be dropped */
	uint32_t		 overflows;	/* what this socket had dropped when it came, modulo 2^32; 0: nothing, or not known */
};

struct udp_rx;				/* the buffers, for a batch: UDP_SLOTS * UDP_SLOT_SIZE and little more */

int udp_rx_new(struct udp_rx **ret);
void udp_rx_free(struct udp_rx *rx);

/*
 * udp_receive(rx, fd, ret_runs): what waits on fd4 or fd6 of a queue, at most UDP_SLOTS runs, as an
 * array that belongs to ${rx}. How many; 0: nothing waits; negative errno.
 */
int udp_receive(struct udp_rx *rx, int fd, struct udp_run **ret_runs);

/*
 * udp_run_control(run, h): our address, the TOS and the segment size from the control messages of
 * a received ${h}, into a ${run} whose other fields are set.  What is not said stays.
 */
void udp_run_control(struct udp_run *run, struct msghdr *h);

/* ---- send ---- */

struct udp_message {
	/* in */
	const struct wg_endpoint	*to;
	const uint8_t			*data;
	uint32_t			 len;
	uint32_t			 segment;	/* datagrams are this long, the last may be shorter; >= len: one datagram */
	uint8_t				 tos;
	uint8_t				 ttl;		/* or hop limit; 0: the system's */
	/* out */
	bool				 source_refused;	/* the endpoint's source does not work and was left out: forget it */
	int				 error;			/* 0, or why (the last) datagrams of it were not sent */
	uint32_t			 dropped;		/* how many datagrams those were */
};

/*
 * udp_send(q, messages, n): all of them, in order per destination; different lengths, destinations
 * and families may follow each other, and a message may be longer than one kernel message takes.
 * Waits a few milliseconds for a full socket buffer, then drops.  How many datagrams were dropped;
 * each message says why.
 */
unsigned udp_send(struct udp_queue *q, struct udp_message messages[], unsigned n);
