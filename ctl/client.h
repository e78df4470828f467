/*
 * ctl/client.h - ask a running tunnel, over its control channel.
 *
 * Knows how to connect and how answers end; what a message means is ctl/protocol.h's.  Blocks, with
 * a time limit for a daemon that does not answer.
 *
 *	cleanup(ctl_client_done) struct ctl_client c = CTL_CLIENT_NONE;
 *	r = ctl_client_connect(&c, "wg0", why);
 *	r = ctl_client_request(&c, CTL_MESSAGE_STATS, why);
 *	while ((r = ctl_client_next(&c, &type, &fields, why)) > 0)
 *		while (ctl_next(&fields, &f))
 *			...
 */
#pragma once

#include "ctl/protocol.h"

#define CTL_CLIENT_TIMEOUT_S 10

struct ctl_client {
	int		fd;		/* -1: not connected */
	char		name[64];	/* of the tunnel, for messages: printable */
	unsigned	patience_s;	/* until the next frame; 0: CTL_CLIENT_TIMEOUT_S */
	struct buf	frame;		/* the last one that was sent or came */
	struct ctl_fds	fds;		/* with the last one that came; take what you want of them */
};

#define CTL_CLIENT_NONE {.fd = -1, .frame = {.max = CTL_FRAME_MAX}}

/* All of these append a sentence to ${why} when they fail. */

/*
 * ctl_client_connect(c, name, why): to CTL_DIR/NAME.ctl.  0; -ENOENT, -ECONNREFUSED: no daemon
 * runs; -EACCES; -EINVAL: no name of a tunnel; other negative errno.
 */
int ctl_client_connect(struct ctl_client *c, const char *name, struct buf *why);
int ctl_client_connect_in(struct ctl_client *c, const char *dir, const char *name, struct buf *why);
void ctl_client_done(struct ctl_client *c);

/* ctl_client_request(c, type, why): send a request without fields. */
int ctl_client_request(struct ctl_client *c, enum ctl_message type, struct buf *why);

/* ctl_client_send(c, fds, n, why): send what the caller put into c->frame. */
int ctl_client_send(struct ctl_client *c, const int fds[], size_t n, struct buf *why);

/*
 * ctl_client_next(c, ret_type, ret, why):
 * The next frame of the answer, good until the next call.  1; 0 at its end; the errno with which
 * the daemon refused; -EPIPE: the daemon is gone; -ETIMEDOUT; -EPROTONOSUPPORT: it speaks another
 * version; -EBADMSG.
 */
int ctl_client_next(
	struct ctl_client *c, uint16_t *ret_type, struct rd *ret, struct buf *why);

/*
 * ctl_tunnels(dir, each, arg): call ${each} with the name of every tunnel that has a control
 * channel in ${dir}, by name; a non-zero result ends it.  That result, 0, or negative errno; a
 * directory that is missing has none.
 */
int ctl_tunnels(const char *dir, int (*each)(void *arg, const char *name), void *arg);
