/*
 * tunnel/path.h - the packet's way: the worker threads between the TUN's queues and the UDP
 * sockets.
 *
 * Each worker runs to completion: TUN, split, seal, UDP; and UDP, open, join, TUN.  No queue, no
 * lock and no allocation a packet.  Which worker serves which queue and socket: tunnel/balance.h.  Handshake messages are handed to the device's queue; the
 * control thread answers them.
 *
 * Locks: all functions are the control thread's.
 */
#pragma once

#include "tunnel/tun.h"
#include "tunnel/udp.h"
#include "wg/worker.h"

struct path;

struct path_config {
	struct wg_device	*device;
	struct tun		*tun;		/* with a queue for each worker, by the first path_resume() */
	unsigned		workers;	/* as many as the device has */
	unsigned		without;	/* FAST_PATH_BALANCE */
	void			(*tun_gone)(void *arg); /* [any worker], once or more: the device was deleted */
	void			*arg;
};

/*
 * path_new(config, ret): the threads are started, and parked: they move nothing before
 * path_resume().
 */
int path_new(const struct path_config *config, struct path **ret);

/* Stops and joins the threads. */
void path_free(struct path *p);
static inline void path_freep(struct path **p)
{
	if (*p)
		path_free(*p);
}

/* path_pause(p): returns when every worker is parked and touches neither TUN nor sockets. */
void path_pause(struct path *p);

/*
 * path_resume(p, udp): go on with these sockets, one queue per worker or more; NULL: the link is down,
 * nothing moves.
 */
void path_resume(struct path *p, struct udp *udp);
