/*
 * base/notify.h - tells the service manager how we are, and keeps descriptors there and back.
 *
 * The protocol of sd_notify(3) and sd_listen_fds(3): datagrams of "KEY=value" lines to the socket
 * that NOTIFY_SOCKET names, descriptors from number 3 on.  The socket is connected once, before a
 * program shuts itself in.  Where no manager listens all this does nothing.  Nothing but notify_wait() waits.
 */
#pragma once

#include "base/util.h"

#define NOTIFY_FDS_MAX 64 /* of one message, and of what is given back */

struct notify {
	int fd; /* -1: nobody listens */
};

/*
 * notify_open(ret): connect to NOTIFY_SOCKET and take the variable out of the environment.  Where
 * there is none, ${ret} is good for the calls below all the same.  0 or negative errno.
 */
int notify_open(struct notify *ret);
void notify_close(struct notify *n);

/*
 * notify_say(n, text): lines like "READY=1\nSTATUS=...".  0; negative errno: not delivered, -EAGAIN
 * because the manager is behind.
 */
int notify_say(const struct notify *n, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* notify_wait(n, text): the same, but wait for a manager that is behind: -ETIMEDOUT after 5 s. */
int notify_wait(const struct notify *n, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/*
 * notify_keep(n, name, fds, n_fds): have the manager keep these descriptors, all or none, until the
 * service is stopped; a process that it starts in our place gets them back.  It does not close any
 * by itself when it fails.  -E2BIG: more than NOTIFY_FDS_MAX.
 */
int notify_keep(const struct notify *n, const char *name, const int fds[], size_t n_fds);

/* notify_forget(n, name): have it close those. */
int notify_forget(const struct notify *n, const char *name);

/*
 * notify_kept(name, ret): which descriptors of ours the manager kept as ${name}: their numbers into
 * ${ret}, and how many.  0 where it gave us none, or the variables are another process's.
 */
size_t notify_kept(const char *name, int ret[NOTIFY_FDS_MAX]);

/* notify_kept_done(): take the variables of notify_kept() out of the environment. */
void notify_kept_done(void);
