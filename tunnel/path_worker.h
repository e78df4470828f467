/*
 * tunnel/path_worker.h - the workers of tunnel/path.h, for its three files: path.c runs them,
 * path_out.c is their way from the TUN to UDP, path_in.c the one from UDP to the TUN.
 */
#pragma once

#include "tunnel/balance.h"
#include "tunnel/icmp.h"
#include "tunnel/join.h"
#include "tunnel/line.h"
#include "tunnel/path.h"
#include "tunnel/split.h"

#include <pthread.h>

#define SEND_BUFFER (560u << 10) /* eight packets of 64 KiB, sealed */
#define BATCH_PACKETS_MAX (64 * UDP_SLOTS) /* that are opened before their batch's turn */
#define BATCHES 2		/* of a worker: one is opened while another one waits for its turn */

/* What the worker collects before one system call sends it. */
struct outbox {
	unsigned		n;
	size_t			len;
	struct udp_message	messages[UDP_SEND_MAX];
	struct wg_endpoint	endpoints[UDP_SEND_MAX];
	struct wg_peer		*peers[UDP_SEND_MAX];
	uint8_t			data[SEND_BUFFER];
};

/* Packets that one message brought. */
struct opened {
	const struct udp_run	*run;
	unsigned		 n;
};

/* What one udp_receive() brought: opened, and then delivered when its turn comes. */
struct batch {
	struct line_item	 item;
	struct udp_rx		*rx;
	unsigned		 n_runs, n;	/* opened and not delivered */
	struct opened		 runs[BATCH_PACKETS_MAX];
	struct wg_rx_packet	 packets[BATCH_PACKETS_MAX];
};

/*
 * Where packets come from.  Its owner reads it, and gives it away between two batches.  Of a socket
 * with a backlog another worker helps: each of them receives a batch and opens it, and the batches
 * are delivered in the order in which they were received.
 *
 * Locks: [r] receiving
 */
struct source {
	struct tun_queue	*tun;		/* [I] a queue of the TUN; NULL: a socket */
	int			 fd;		/* written while all are parked; -1: none */
	_Atomic unsigned	 owner;		/* [a] number of the worker; written by its owner */
	uint64_t		 busy_ns;	/* of the owner's window; owned */
	_Atomic int		 helper;	/* [a] number of the worker that helps; -1: none.  Only its owner asks for one */
	pthread_mutex_t		 receiving;
	struct line		 line;		/* [r] its places */
	uint32_t		 overflows;	/* [r] of the socket, as far as they are counted */
	bool			 inherited;	/* [r] what it says first is another daemon's, and counted */
};

struct worker {
	struct path		*path;
	unsigned		 number;	/* [I] */
	struct wg_worker	*wg;
	struct tun_queue	*tun;		/* [I] that it writes to */
	struct udp_queue	*udp;		/* that it sends by; NULL: the link is down */
	uint16_t		 port;
	pthread_t		 thread;
	bool			 started;
	bool			 deaf;		/* a source could not be watched: to be tried again */
	int			 epoll_fd, event_fd;
	uint64_t		 now_ns;
	struct balance		 balance;
	uint64_t		 cpu_ns, used_ns; /* processor time at the last balance(), and that of its own work */
	uint64_t		 lingered_ns;	/* since then */
	uint64_t		 helped_ns;	/* processor time with others' sockets since then */
	uint64_t		 linger_ns;	/* not before then */
	struct icmp_limit	 icmp_limit;
	struct batch		 batches[BATCHES];
	struct tun_queue	*deliver_to;	/* where what is joined goes */
	struct join		 join;
	struct outbox		 out;
	uint8_t			 packet[SPLIT_BUFFER_SIZE];
};

/* Locks: [l] lock */
struct path {
	struct path_config	 config;
	unsigned		 n;
	pthread_mutex_t		 lock;
	pthread_cond_t		 changed;
	bool			 paused, stop;	/* [l] what the control thread wants */
	unsigned		 n_parked;	/* [l] */
	_Atomic bool		 interrupt;	/* one of them is set: look under the lock */
	struct udp		*udp;		/* [l] written while all are parked */
	bool			 balanced;	/* [I] sources may change their owner */
	unsigned		 n_sources;	/* [I] the TUN's queues, then the sockets */
	struct source		 sources[TUN_QUEUES_MAX + 2 * UDP_WORKERS_MAX];
	balance_load		 loads[UDP_WORKERS_MAX];
	struct worker		*workers[];
};

static inline bool path_owns(const struct worker *w, const struct source *s)
{
	return s->fd >= 0 && atomic_load_explicit(&s->owner, memory_order_acquire) == w->number;
}

/* path_watch(epoll_fd, fd, source): level-triggered: what waits already is seen at once.  NULL: the eventfd. */
int path_watch(int epoll_fd, int fd, struct source *source);

/* path_tun_gone(w): the device was deleted. */
void path_tun_gone(struct worker *w);

/* path_from_tun(w, q): what waits in this queue of the TUN, but not more than the sockets can wait for. */
void path_from_tun(struct worker *w, struct tun_queue *q);

/* path_from_udp(w, s): what waits at this socket, but not more than the TUN can wait for. */
void path_from_udp(struct worker *w, struct source *s);

/* path_write_joined(w, out): for join_init(). */
int path_write_joined(void *arg, const struct join_output *out);

