/*
 * tunnel/link.h - follows our network device: up and down, MTU, name, through namespaces, to its
 * end.
 *
 * The truth is the TUN descriptor (which device, which name, which namespace) and one question to
 * rtnetlink; the kernel's notifications are applied where they surely are about our device, and
 * else are reasons to ask again.  It sees into the namespace that the device was moved to without
 * entering it.  UDP sockets, and so the routes and addresses that matter, stay in the process's own
 * namespace: changes of those are reported too, at most a few times a second.
 */
#pragma once

#include "tunnel/loop.h"

struct link;

/*
 * Called from the loop, and up to four times from link_start().  None may be NULL.  Do not free the
 * link in one.
 */
struct link_events {
	void (*up)(void *arg);
	void (*down)(void *arg);
	void (*mtu)(void *arg, unsigned mtu);
	void (*name)(void *arg, const char *name);	/* renamed */
	void (*gone)(void *arg);			/* deleted; the last call of all */
	void (*routes)(void *arg);			/* routes or addresses of our own namespace changed */
	void *arg;
};

/*
 * link_new(loop, tun_fd, events, ret): ${tun_fd} and ${loop} are borrowed, ${events} is copied.
 * Subscribes, calls nothing yet.
 * -EBADFD: the device is gone; other negative errno.
 */
int link_new(struct loop *loop, int tun_fd, const struct link_events *events, struct link **ret);

/*
 * link_start(l): report the state as it is now: name, mtu, and up if it is up.  0, or negative
 * errno when it cannot be read.
 */
int link_start(struct link *l);

/*
 * link_check(l): read the state again, because somebody has a suspicion (a worker whose TUN read
 * failed).
 */
void link_check(struct link *l);

/* The device is known to be up, has this MTU, bears this name. */
bool link_is_up(const struct link *l);
unsigned link_mtu(const struct link *l);
const char *link_name(const struct link *l);

/* link_free(l): NULL is allowed. */
void link_free(struct link *l);
static inline void link_freep(struct link **l)
{
	link_free(*l);
}
