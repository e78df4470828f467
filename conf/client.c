#include "conf/client.h"

#include "conf/kernel.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#define SOCKET_DIR "/var/run/wireguard"
#define ANSWER_MAX ((size_t)256 << 20)
#define PIECE ((size_t)65536)
#define PATIENCE_S 60 /* with a daemon that stands still */

void client_path(const char *name, char ret[CLIENT_PATH_MAX])
{
	snprintf(ret, CLIENT_PATH_MAX, "%s/%s.sock", SOCKET_DIR, name);
}

static int reach(const char *name, int *ret)
{
	const struct timeval patience = {.tv_sec = PATIENCE_S};
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	cleanup(close_fd) int fd = -1;

	_Static_assert(sizeof(a.sun_path) == CLIENT_PATH_MAX, "a path fits");
	client_path(name, a.sun_path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0 ||
		setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) < 0 ||
		connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		return -errno;
	*ret = fd;
	fd = -1;
	return 0;
}

static int failed(void)
{
	return errno == EAGAIN ? -ETIMEDOUT : -errno;
}

static int send_all(int fd, const uint8_t *data, size_t len)
{
	while (len) {
		ssize_t n = send(fd, data, len, MSG_NOSIGNAL);

		if (n < 0 && errno != EINTR)
			return failed();
		if (n > 0) {
			data += n;
			len -= (size_t)n;
		}
	}
	return 0;
}

/* One answer, which ends with a blank line. */
static int receive(int fd, struct buf *answer)
{
	for (;;) {
		uint8_t *room = buf_reserve(answer, PIECE);
		ssize_t n;

		if (!room)
			return answer->error;
		n = recv(fd, room, PIECE, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return failed();
		if (n == 0)
			return -ECONNRESET;
		answer->len += (size_t)n;
		if (answer->len >= 2 && !memcmp(answer->data + answer->len - 2, "\n\n", 2))
			return 0;
	}
}

static int ask(const char *name, const uint8_t *request, size_t len, struct buf *answer)
{
	cleanup(close_fd) int fd = -1;
	int r = reach(name, &fd);

	if (r == -ENOENT || r == -ECONNREFUSED) {
		int r_kernel = kernel_ask(name, request, len, answer);

		return r_kernel == -ENODEV ? r : r_kernel;
	}
	if (r == 0)
		r = send_all(fd, request, len);
	return r < 0 ? r : receive(fd, answer);
}

int client_get(const char *name, struct running **ret)
{
	cleanup(buf_done) struct buf answer = buf_of_max(ANSWER_MAX);
	static const char request[] = "get=1\n\n";
	int r = ask(name, (const uint8_t *)request, sizeof(request) - 1, &answer);

	return r < 0 ? r : running_read((const char *)answer.data, answer.len, ret);
}

int client_set(const char *name, struct buf *request)
{
	cleanup(buf_done) struct buf answer = buf_of_max(PIECE * 2);
	cleanup(running_freep) struct running *none = NULL;
	int r = ask(name, request->data, request->len, &answer);

	return r < 0 ? r : running_read((const char *)answer.data, answer.len, &none);
}
