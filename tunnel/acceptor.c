#include "tunnel/acceptor.h"

#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/timerfd.h>

#define PER_TURN 16 /* before the loop looks at others again */
#define PAUSE_MS 100

static int take(struct acceptor *a)
{
	int fd = accept4(a->listener.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static void pause_arm(struct acceptor *a)
{
	struct itimerspec t = {.it_value = {.tv_nsec = PAUSE_MS * 1000000L}};

	timerfd_settime(a->pause.fd, 0, &t, NULL);
}

static void pause_ready(struct loop_source *source, uint32_t events)
{
	struct acceptor *a = container_of(source, struct acceptor, pause);
	uint64_t expired;

	if (read(source->fd, &expired, sizeof(expired)) > 0 &&
		loop_add(a->loop, &a->listener, EPOLLIN) < 0)
		pause_arm(a);
}

static void turn_away(struct acceptor *a)
{
	int fd;

	log_limited(
		LOG_LEVEL_ERROR, "%s: a client was turned away: too many open descriptors", a->name);
	close_fd(&a->spare_fd);
	fd = take(a);
	if (fd < 0 && fd != -EAGAIN) {
		a->make_room(a->arg);
		/* Not even that may help at once, and whoever waits would wake us for ever. */
		loop_remove(a->loop, &a->listener);
		pause_arm(a);
	}
	close_fd(&fd);
	a->spare_fd = fcntl(a->listener.fd, F_DUPFD_CLOEXEC, 0);
}

static void fail(struct acceptor *a, const char *why)
{
	acceptor_stop(a);
	a->failed(a->arg, why);
}

static void listener_ready(struct loop_source *source, uint32_t events)
{
	struct acceptor *a = container_of(source, struct acceptor, listener);

	/* Somebody who shares it shut it down: accept() would say no more than -EAGAIN. */
	if (events & (EPOLLHUP | EPOLLERR)) {
		fail(a, "it was shut down");
		return;
	}
	for (int i = 0; i < PER_TURN; i++) {
		int fd = take(a);

		if (fd >= 0) {
			a->accepted(a->arg, fd);
			continue;
		}
		switch (-fd) {
		case ECONNABORTED:
		case EINTR:
			continue;
		case EMFILE:
		case ENFILE:
			turn_away(a);
			return;
		case EBADF:
		case EINVAL:
		case ENOTSOCK:
		case EOPNOTSUPP:
			fail(a, strerror(-fd));
			return;
		default:
			return;
		}
	}
}

int acceptor_start(struct acceptor *a, int fd)
{
	int r;

	a->listener = (struct loop_source){.fd = fd, .ready = listener_ready};
	a->pause.ready = pause_ready;
	a->pause.fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	a->spare_fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	r = a->pause.fd < 0 || a->spare_fd < 0 ? -errno : loop_add(a->loop, &a->listener, EPOLLIN);
	r = r < 0 ? r : loop_add(a->loop, &a->pause, EPOLLIN);
	if (r < 0) {
		acceptor_stop(a);
		close_fd(&a->pause.fd);
		close_fd(&a->spare_fd);
	}
	return r;
}

void acceptor_stop(struct acceptor *a)
{
	loop_remove(a->loop, &a->listener);
	loop_remove(a->loop, &a->pause);
}

void acceptor_done(struct acceptor *a)
{
	acceptor_stop(a);
	close_fd(&a->listener.fd);
	close_fd(&a->pause.fd);
	close_fd(&a->spare_fd);
}
