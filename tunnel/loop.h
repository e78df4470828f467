/*
 * tunnel/loop.h - one epoll descriptor and the things that wait on it.
 *
 * Knows descriptors and callbacks; knows no time: the caller works out its deadline and passes it
 * as a timeout.  Belongs to one thread.  Level-triggered: a source that is not served is called
 * again.
 */
#pragma once

#include "base/util.h"

#include <sys/epoll.h>

struct loop;

/*
 * Embedded in its owner, which finds itself with container_of().  Must stay where it is while it is
 * in the loop.
 */
struct loop_source {
	int fd;
	/* ${events}: EPOLLIN, EPOLLOUT, EPOLLHUP, EPOLLERR ... as epoll reports them */
	void (*ready)(struct loop_source *s, uint32_t events);
};

/* loop_new(ret): 0 or negative errno. */
int loop_new(struct loop **ret);

/* loop_free(l): closes the epoll descriptor only; sources belong to others.  NULL is allowed. */
void loop_free(struct loop *l);
static inline void loop_freep(struct loop **l)
{
	loop_free(*l);
}

/*
 * loop_add(l, s, events): s->fd and s->ready are set.  0 or negative errno (-EEXIST: it is in
 * already).
 */
int loop_add(struct loop *l, struct loop_source *s, uint32_t events);

/* loop_modify(l, s, events): wait for other events; 0 waits for EPOLLHUP and EPOLLERR only. */
int loop_modify(struct loop *l, struct loop_source *s, uint32_t events);

/*
 * loop_remove(l, s): ${s} is not called again, not even for an event that loop_wait() has taken
 * from the kernel already; its owner may be freed at once.  Allowed in any callback, for any
 * source.  Call it before s->fd is closed.
 */
void loop_remove(struct loop *l, struct loop_source *s);

/*
 * loop_leave(l): in a callback: what is ready besides is left for the next loop_wait(), here or, of
 * descriptors that another process has too, there.
 */
void loop_leave(struct loop *l);

/*
 * loop_wait(l, timeout_ms): sleep until something is ready or the time is over (-1: for ever; 0: do
 * not sleep), then call what is ready.  Returns the number of callbacks made; 0 as well after a
 * signal handler ran; or negative errno.
 */
int loop_wait(struct loop *l, int timeout_ms);
