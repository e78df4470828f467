#include "base/notify.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>

#define TEXT_MAX 1024
#define FIRST_FD 3
#define WAIT_MS 5000

int notify_open(struct notify *ret)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	const char *path = getenv("NOTIFY_SOCKET");
	size_t len = path ? strlen(path) : 0;
	cleanup(close_fd) int fd = -1;

	ret->fd = -1;
	if (!len)
		return 0;
	if (len >= sizeof(a.sun_path))
		return -ENAMETOOLONG;
	memcpy(a.sun_path, path, len);
	unsetenv("NOTIFY_SOCKET");
	/* An abstract name, which begins with a zero byte. */
	if (a.sun_path[0] == '@')
		a.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&a,
			      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)) < 0)
		return -errno;
	ret->fd = fd;
	fd = -1;
	return 0;
}

void notify_close(struct notify *n)
{
	close_fd(&n->fd);
	n->fd = -1;
}

static int send_text(
	const struct notify *n, const char *text, size_t len, const int fds[], size_t n_fds)
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(NOTIFY_FDS_MAX * sizeof(int))];
	} control = {.room = {0}};
	struct iovec iov = {.iov_base = (char *)text, .iov_len = len};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};

	if (n->fd < 0)
		return 0;
	if (n_fds > NOTIFY_FDS_MAX)
		return -E2BIG;
	if (n_fds) {
		m.msg_control = &control;
		m.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(n_fds * sizeof(int));
		memcpy(CMSG_DATA(&control.header), fds, n_fds * sizeof(int));
	}
	return sendmsg(n->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}

__attribute__((format(printf, 2, 0)))
static int say(const struct notify *n, const char *fmt, va_list ap)
{
	char text[TEXT_MAX];
	int len = vsnprintf(text, sizeof(text), fmt, ap);

	if (len < 0 || (size_t)len >= sizeof(text))
		return -E2BIG;
	return send_text(n, text, (size_t)len, NULL, 0);
}

int notify_say(const struct notify *n, const char *fmt, ...)
{
	va_list ap;
	int r;

	va_start(ap, fmt);
	r = say(n, fmt, ap);
	va_end(ap);
	return r;
}

int notify_wait(const struct notify *n, const char *fmt, ...)
{
	for (;;) {
		struct pollfd p = {.fd = n->fd, .events = POLLOUT};
		va_list ap;
		int r;

		va_start(ap, fmt);
		r = say(n, fmt, ap);
		va_end(ap);
		if (r != -EAGAIN)
			return r;
		r = poll(&p, 1, WAIT_MS);
		if (r == 0)
			return -ETIMEDOUT;
		if (r < 0 && errno != EINTR)
			return -errno;
	}
}

int notify_keep(const struct notify *n, const char *name, const int fds[], size_t n_fds)
{
	char text[TEXT_MAX];
	/* Not polled: the manager need not wake for every packet that our device has. */
	int len = snprintf(text, sizeof(text), "FDSTORE=1\nFDNAME=%s\nFDPOLL=0", name);

	if (len < 0 || (size_t)len >= sizeof(text))
		return -E2BIG;
	return send_text(n, text, (size_t)len, fds, n_fds);
}

int notify_forget(const struct notify *n, const char *name)
{
	return notify_say(n, "FDSTOREREMOVE=1\nFDNAME=%s", name);
}

/* The decimal number that ${variable} holds; -1: none. */
static long number_in(const char *variable)
{
	const char *text = getenv(variable);
	char *end;
	long v;

	if (!text || *text < '0' || *text > '9')
		return -1;
	errno = 0;
	v = strtol(text, &end, 10);
	return *end || errno ? -1 : v;
}

size_t notify_kept(const char *name, int ret[NOTIFY_FDS_MAX])
{
	const char *names = getenv("LISTEN_FDNAMES");
	long count = number_in("LISTEN_FDS");
	size_t n = 0;

	if (number_in("LISTEN_PID") != getpid() || !names)
		return 0;
	for (long i = 0; i < count && n < NOTIFY_FDS_MAX; i++) {
		size_t len = strcspn(names, ":");

		if (len == strlen(name) && !memcmp(names, name, len))
			ret[n++] = FIRST_FD + (int)i;
		names += len;
		if (*names++ != ':')
			break;
	}
	return n;
}

void notify_kept_done(void)
{
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
}
