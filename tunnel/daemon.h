/*
 * tunnel/daemon.h - the tunnel as a whole: the device between its TUN, its sockets, its link and
 * its configuration.
 *
 * The control thread runs it: one loop for configuration, link events, signals and the workers'
 * calls, and the engine's timers.  Packets are the workers' (tunnel/path.h).
 */
#pragma once

#include "tunnel/bind.h"
#include "tunnel/tun.h"

struct daemon;
struct handover_take;
struct key_file;
struct notify;

struct daemon_config {
	struct tun	*tun;		/* owned by the daemon from the call on, also when it fails */
	int		 uapi_fd;	/* listening; likewise */
	int		 ctl_fd;	/* control channel, likewise; -1: there is none */
	const char	*name;		/* of the sockets */
	unsigned	 workers;	/* threads that move packets */
	unsigned	 without;	/* pieces of the fast path: FAST_PATH_... */
	bool		 retain;	/* the keys of handshakes: wg/retain.h */
	struct bind	 bind;
	const char	*identity;	/* of this program and its options, see handover_give.h; borrowed */
	const struct notify *notify;	/* the service manager, borrowed */
	struct key_file	*key_file;	/* borrowed */
	/*
	 * Of a daemon that is to be replaced, or NULL; borrowed until daemon_take_over() returns.
	 * The descriptors above are its; its sockets are taken out of here.
	 */
	struct handover_take *take;
};

/*
 * daemon_new(config, ret): everything is made and served by the next daemon_run().  Threads are
 * started: fork before.  0, or negative errno after one line of the log.
 */
int daemon_new(const struct daemon_config *config, struct daemon **ret);

/*
 * daemon_take_over(d): with config->take: from here on the tunnel is this one's.  0, or negative
 * errno after one line of the log: it stays the other's, and daemon_free() leaves everything alone.
 */
int daemon_take_over(struct daemon *d);

/*
 * daemon_run(d): until a signal, or the end of the device or of the socket.  0; 1: another daemon
 * has taken over and serves it; or negative errno.
 */
int daemon_run(struct daemon *d);

/* daemon_free(d): removes the sockets and the device, unless another daemon has them. */
void daemon_free(struct daemon *d);
static inline void daemon_freep(struct daemon **d)
{
	if (*d)
		daemon_free(*d);
}
