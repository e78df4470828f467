#include "stats/exporter.h"

#include "base/clock.h"
#include "base/local_socket.h"
#include "base/log.h"
#include "base/sandbox.h"
#include "stats/metrics.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define CLIENTS_MAX 32
#define REQUEST_MAX 4096u
#define ANSWER_MAX (64u << 20)
#define PATIENCE_NS 10000000000ULL /* for a request to come, and then for its answer to go */
#define UNIX "unix:"

struct client {
	int		fd;	/* -1: a free place */
	uint64_t	until_ns;
	struct buf	in, out;
	size_t		sent;
};

struct exporter {
	int		 listener;
	char *const	*names;
	size_t		 n_names;
	struct client	 clients[CLIENTS_MAX];
};

static volatile sig_atomic_t told_to_end;

static void end_told(int signal_number)
{
	told_to_end = 1;
}

/* ---- where ---- */

static int listen_internet(const char *where, int *ret, struct buf *why)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
		.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE}, *a;
	cleanup(close_fd) int fd = -1;
	const char *colon = strrchr(where, ':');
	char host[64];
	size_t len = colon ? (size_t)(colon - where) : 0;
	int one = 1, r;

	if (len >= 2 && where[0] == '[' && where[len - 1] == ']') {
		where++;
		len -= 2;
	}
	snprintf(host, sizeof(host), "%.*s", (int)min(len, sizeof(host) - 1), where);
	if (!len || getaddrinfo(host, colon + 1, &hints, &a)) {
		buf_puts(why, "what to listen on is unix:PATH, ADDRESS:PORT or [ADDRESS]:PORT");
		return -EINVAL;
	}
	fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	r = fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
			    bind(fd, a->ai_addr, a->ai_addrlen) < 0 || listen(fd, 64) < 0
		    ? -errno
		    : 0;
	freeaddrinfo(a);
	if (r < 0)
		return r;
	*ret = fd;
	fd = -1;
	return 0;
}

int exporter_listen(const char *where, int *ret, struct buf *why)
{
	int r = strncmp(where, UNIX, strlen(UNIX))
			? listen_internet(where, ret, why)
			: local_socket_listen(where + strlen(UNIX), SOCK_STREAM, 0660, ret);

	if (r < 0 && !why->len)
		buf_printf(why, "cannot listen on %s: %s", where,
			r == -EINVAL ? "the path must begin with /" : strerror(-r));
	return r;
}

/* ---- the box ---- */

/* clang-format off */
#define CALL(name) {.number = SCMP_SYS(name)}
#define IS(n, v) {.argument = (n), .mask = 0xffffffff, .value = (uint32_t)(v)}
#define CLEAR(n, bits) {.argument = (n), .mask = (bits), .value = 0}
#define CALL_IF(name, ...) {.number = SCMP_SYS(name), .conditions = {__VA_ARGS__}}
/* clang-format on */

static const struct sandbox_call calls[] = {
	CALL(read),
	CALL(write),
	CALL(writev),
	CALL(recvfrom),
	CALL(sendto),
	CALL(recvmsg),
	CALL(sendmsg),
	CALL(accept4),
	CALL(close),
	CALL(poll),
	CALL(ppoll),
	CALL(ppoll_time64),

	/* The control channels, and no other kind of socket. */
	CALL_IF(socket, IS(0, AF_UNIX), {.argument = 1, .mask = 0xf, .value = SOCK_SEQPACKET}),
	CALL(connect),
	CALL_IF(setsockopt, IS(1, SOL_SOCKET), IS(2, SO_RCVTIMEO)),
	CALL_IF(setsockopt, IS(1, SOL_SOCKET), IS(2, SO_SNDTIMEO)),

	/* Which there are: Landlock says where it may look. */
	CALL_IF(openat, CLEAR(2, O_WRONLY | O_RDWR | O_CREAT | O_TRUNC)),
	CALL_IF(open, CLEAR(1, O_WRONLY | O_RDWR | O_CREAT | O_TRUNC)),
	CALL(getdents64),
	CALL(getdents),
	CALL(fstat),
	CALL(fstat64),
	CALL(newfstatat),
	CALL(fstatat64),
	CALL(lstat),
	CALL(lstat64),
	CALL(statx),
	CALL(unlink),
	CALL(unlinkat),

	CALL(brk),
	CALL_IF(mmap, CLEAR(2, PROT_EXEC)),
	CALL_IF(mmap2, CLEAR(2, PROT_EXEC)),
	CALL(munmap),
	CALL(mremap),
	CALL(madvise),
	CALL(getrandom),
	CALL(clock_gettime),
	CALL(clock_gettime64),
	CALL(futex),
	CALL(futex_time64),
	CALL(restart_syscall),
	CALL(rt_sigreturn),
	CALL(sigreturn),
	CALL(rt_sigprocmask),
	CALL(exit),
	CALL(exit_group),
};

static int shut(const char *where)
{
	char dir[LOCAL_PATH_MAX] = "";
	struct sandbox_path allowed[3] = {{.path = CTL_DIR, .access = SANDBOX_READ}};
	size_t n = 1;
	int r;

	if (!strncmp(where, UNIX, strlen(UNIX))) {
		snprintf(dir, sizeof(dir), "%s", where + strlen(UNIX));
		*(strrchr(dir, '/') + 1) = '\0';
		allowed[n++] = (struct sandbox_path){.path = dir, .access = SANDBOX_REMOVE};
	}
	if (SANITIZERS)
		allowed[n++] = (struct sandbox_path){.path = "/", .access = SANDBOX_READ};
	/* A tunnel may start later, and what is not there now cannot be seen then. */
	if (mkdir(CTL_DIR, 0755) < 0 && errno != EEXIST)
		log_info("metrics: " CTL_DIR " is not there and cannot be made: %s", strerror(errno));
	(void)sandbox_load(); /* a failure shows below */
	r = sandbox_files(allowed, n);
	if (r == -EOPNOTSUPP)
		log_info("metrics: files are not fenced off: the kernel has no Landlock, or it is off");
	else if (r < 0)
		return r;
	if (SANITIZERS)
		return 0;
	r = sandbox_calls(calls, array_size(calls), NULL, 0);
	if (r == -EOPNOTSUPP)
		log_info("metrics: system calls are not filtered: there is no seccomp here");
	return r == -EOPNOTSUPP ? 0 : r;
}

/* ---- requests ---- */

static void close_client(struct client *c)
{
	close_fd(&c->fd);
	c->fd = -1;
	buf_done(&c->in);
	buf_done(&c->out);
}

static void answer(struct client *c, const char *status, const char *type, const char *text,
	size_t len, bool body)
{
	buf_printf(&c->out,
		"HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n",
		status, type, len);
	if (body)
		buf_put(&c->out, text, len);
	if (c->out.error)
		close_client(c);
}

static void refuse(struct client *c, const char *status)
{
	answer(c, status, "text/plain", "There is nothing but GET /metrics.\n", 35, true);
}

static void answer_metrics(struct exporter *e, struct client *c, bool body)
{
	cleanup(buf_done) struct buf text = buf_of_max(ANSWER_MAX / 2), why = buf_of_max(1024);
	cleanup(stats_set_done) struct stats_set set = {.n = 0};
	int r = stats_collect(e->names, e->n_names, true, &set, &why);

	if (r >= 0) {
		metrics_put(set.at, set.n, &text);
		r = text.error;
	}
	if (r < 0) {
		log_limited(LOG_LEVEL_ERROR, "metrics: %s", why.len ? buf_str(&why) : strerror(-r));
		answer(c, "500 Internal Server Error", "text/plain", "", 0, false);
		return;
	}
	answer(c, "200 OK", METRICS_CONTENT_TYPE, (const char *)text.data, text.len, body);
}

/* A whole request is there. */
static void serve(struct exporter *e, struct client *c)
{
	char *line = strdup(buf_str(&c->in));
	char *space, *path;
	bool is_head;

	if (!line) {
		close_client(c);
		return;
	}
	line[strcspn(line, "\r\n")] = '\0';
	space = strchr(line, ' ');
	path = space ? space + 1 : line + strlen(line);
	is_head = !strncmp(line, "HEAD ", 5);
	if (!space || !strstr(path, " HTTP/1."))
		refuse(c, "400 Bad Request");
	else if (!is_head && strncmp(line, "GET ", 4))
		refuse(c, "405 Method Not Allowed");
	else if (path[strcspn(path, "? ")] = '\0', strcmp(path, "/metrics"))
		refuse(c, "404 Not Found");
	else
		answer_metrics(e, c, !is_head);
	free(line);
}

static bool is_whole(const struct buf *in)
{
	return memmem(in->data, in->len, "\r\n\r\n", 4) || memmem(in->data, in->len, "\n\n", 2);
}

static void client_read(struct exporter *e, struct client *c)
{
	size_t room = REQUEST_MAX - c->in.len;
	uint8_t *p = buf_reserve(&c->in, room);
	ssize_t n = p ? recv(c->fd, p, room, 0) : 0;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		close_client(c);
		return;
	}
	c->in.len += (size_t)n;
	if (memchr(c->in.data, 0, c->in.len))
		refuse(c, "400 Bad Request");
	else if (is_whole(&c->in))
		serve(e, c);
	else if (c->in.len == REQUEST_MAX)
		refuse(c, "431 Request Header Fields Too Large");
	c->until_ns = c->out.len ? clock_ns(CLOCK_MONOTONIC) + PATIENCE_NS : c->until_ns;
}

static void client_write(struct client *c)
{
	ssize_t n = send(c->fd, c->out.data + c->sent, c->out.len - c->sent, MSG_NOSIGNAL);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0)
		c->sent += (size_t)n;
	if (n <= 0 || c->sent == c->out.len)
		close_client(c);
}

/* A place for a newcomer: a free one, or that of whoever has waited longest. */
static struct client *place(struct exporter *e)
{
	struct client *oldest = &e->clients[0];

	for (size_t i = 0; i < CLIENTS_MAX; i++) {
		if (e->clients[i].fd < 0)
			return &e->clients[i];
		if (e->clients[i].until_ns < oldest->until_ns)
			oldest = &e->clients[i];
	}
	close_client(oldest);
	return oldest;
}

static void take_newcomer(struct exporter *e)
{
	int fd = accept4(e->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0)
		return;
	*place(e) = (struct client){.fd = fd,
		.until_ns = clock_ns(CLOCK_MONOTONIC) + PATIENCE_NS,
		.in = buf_of_max(REQUEST_MAX + 1),
		.out = buf_of_max(ANSWER_MAX)};
}

/* Milliseconds until the next client has waited too long; those that have are closed. */
static int expire(struct exporter *e)
{
	uint64_t now = clock_ns(CLOCK_MONOTONIC), due = UINT64_MAX;

	for (size_t i = 0; i < CLIENTS_MAX; i++) {
		struct client *c = &e->clients[i];

		if (c->fd >= 0 && c->until_ns <= now)
			close_client(c);
		if (c->fd >= 0)
			due = min(due, c->until_ns);
	}
	return due == UINT64_MAX ? -1 : (int)((due - now) / 1000000) + 1;
}

static int turn(struct exporter *e, const sigset_t *waiting)
{
	struct pollfd fds[CLIENTS_MAX + 1] = {{.fd = e->listener, .events = POLLIN}};
	int timeout_ms = expire(e);
	struct timespec timeout = {timeout_ms / 1000, timeout_ms % 1000 * 1000000L};

	for (size_t i = 0; i < CLIENTS_MAX; i++)
		fds[i + 1] = (struct pollfd){.fd = e->clients[i].fd,
			.events = e->clients[i].out.len ? POLLOUT : POLLIN};
	if (ppoll(fds, array_size(fds), timeout_ms < 0 ? NULL : &timeout, waiting) < 0)
		return errno == EINTR ? 0 : -errno;
	for (size_t i = 0; i < CLIENTS_MAX; i++) {
		struct client *c = &e->clients[i];

		if (!fds[i + 1].revents || c->fd < 0)
			continue;
		if (c->out.len)
			client_write(c);
		else
			client_read(e, c);
	}
	if (fds[0].revents)
		take_newcomer(e);
	return 0;
}

int exporter_run(int listener, const char *where, char *const names[], size_t n)
{
	static struct exporter e;
	struct sigaction end = {.sa_handler = end_told};
	sigset_t held, waiting;
	int r;

	e = (struct exporter){.listener = listener, .names = names, .n_names = n};
	for (size_t i = 0; i < CLIENTS_MAX; i++)
		e.clients[i].fd = -1;
	/* They come while it waits and at no other time. */
	sigemptyset(&held);
	sigaddset(&held, SIGTERM);
	sigaddset(&held, SIGINT);
	sigprocmask(SIG_BLOCK, &held, &waiting);
	sigdelset(&waiting, SIGTERM);
	sigdelset(&waiting, SIGINT);
	sigaction(SIGTERM, &end, NULL);
	sigaction(SIGINT, &end, NULL);
	r = shut(where);
	if (r < 0)
		log_error("metrics: cannot be confined: %s", strerror(-r));
	while (r >= 0 && !told_to_end) {
		r = turn(&e, &waiting);
		if (r < 0)
			log_error("metrics: cannot wait: %s", strerror(-r));
	}
	for (size_t i = 0; i < CLIENTS_MAX; i++)
		if (e.clients[i].fd >= 0)
			close_client(&e.clients[i]);
	if (!strncmp(where, UNIX, strlen(UNIX)))
		local_socket_remove(where + strlen(UNIX), listener);
	close(listener);
	return r;
}
