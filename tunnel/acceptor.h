/*
 * tunnel/acceptor.h - takes clients from a listening socket, also when descriptors run out.
 *
 * A client that waits to be accepted wakes its server again and again.  Where no descriptor is left
 * the newcomer is taken with a spare one and turned away; where not even that helps, for others took
 * it or the whole machine has none, a client of ours makes room and accepting pauses for 100 ms.
 */
#pragma once

#include "tunnel/loop.h"

struct acceptor {
	/* Set before acceptor_start(). */
	struct loop		*loop;
	const char		*name;				/* in log lines */
	void			(*accepted)(void *arg, int fd);	/* non-blocking, close-on-exec, the callee's */
	void			(*make_room)(void *arg);	/* close the client that is missed least, if there is one */
	void			(*failed)(void *arg, const char *why);	/* the socket is of no use any more; ${why} for people */
	void			*arg;

	struct loop_source	 listener;
	struct loop_source	 pause;		/* timer: while it runs, ${listener} is out of the loop */
	int			 spare_fd;
};

/* acceptor_start(a, fd): ${fd} listens; owned on success.  0 or negative errno. */
int acceptor_start(struct acceptor *a, int fd);

/* acceptor_stop(a): accept no more.  Allowed in its callbacks, and again. */
void acceptor_stop(struct acceptor *a);

/* acceptor_done(a): stop, and close the socket. */
void acceptor_done(struct acceptor *a);
