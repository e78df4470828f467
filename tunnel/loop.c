#include "tunnel/loop.h"

#include <errno.h>

#define LOOP_BATCH 32

struct loop {
	int			 epfd;
	/*
	 * What the kernel reported and was not called yet: events[next..n).  A removed source's
	 * entry is set to NULL.
	 */
	struct epoll_event	 events[LOOP_BATCH];
	int			 next, n;
};

int loop_new(struct loop **ret)
{
	cleanup(free_ptr) struct loop *l = calloc(1, sizeof(*l));

	if (!l)
		return -ENOMEM;
	l->epfd = epoll_create1(EPOLL_CLOEXEC);
	if (l->epfd < 0)
		return -errno;
	*ret = steal(l);
	return 0;
}

void loop_free(struct loop *l)
{
	if (!l)
		return;
	close(l->epfd);
	free(l);
}

static int control(struct loop *l, int op, struct loop_source *s, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.ptr = s};

	return epoll_ctl(l->epfd, op, s->fd, &ev) < 0 ? -errno : 0;
}

int loop_add(struct loop *l, struct loop_source *s, uint32_t events)
{
	return control(l, EPOLL_CTL_ADD, s, events);
}

int loop_modify(struct loop *l, struct loop_source *s, uint32_t events)
{
	return control(l, EPOLL_CTL_MOD, s, events);
}

void loop_remove(struct loop *l, struct loop_source *s)
{
	(void)control(l, EPOLL_CTL_DEL, s, 0);
	for (int i = l->next; i < l->n; i++)
		if (l->events[i].data.ptr == s)
			l->events[i].data.ptr = NULL;
}

void loop_leave(struct loop *l)
{
	l->next = l->n;
}

int loop_wait(struct loop *l, int timeout_ms)
{
	int called = 0;

	l->next = 0;
	l->n = epoll_wait(l->epfd, l->events, LOOP_BATCH, timeout_ms);
	if (l->n < 0) {
		l->n = 0;
		return errno == EINTR ? 0 : -errno;
	}
	while (l->next < l->n) {
		struct epoll_event *ev = &l->events[l->next++];
		struct loop_source *s = ev->data.ptr;

		if (!s)
			continue;
		called++;
		s->ready(s, ev->events);
	}
	return called;
}
