#include "tunnel/uapi_server.h"

#include "tunnel/acceptor.h"

#include "base/log.h"
#include "base/local_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/un.h>

#define READ_PIECE (64u << 10)
#define PIECES_PER_TURN 4 /* of one client, before the loop looks at others again */

struct client {
	TAILQ_ENTRY(client)	 entry;
	struct loop_source	 source;
	struct uapi_server	*server;
	struct uapi_client	*uapi;
	uint32_t		 waiting;	/* EPOLLIN or EPOLLOUT, as the loop knows it */
};

struct uapi_server {
	struct loop		*loop;
	struct uapi		*uapi;
	struct acceptor		 acceptor;
	struct loop_source	 watch;
	char			 path[LOCAL_PATH_MAX];
	struct local_file	 file;		/* that the socket is bound to */
	TAILQ_HEAD(, client)	 clients;	/* the one silent longest first */
	unsigned		 n_clients;
	bool			 left;		/* the file is another process's now */
	void			(*gone)(void *arg);
	void			*arg;
};

/* ---- the file ---- */

/* The path of ${name}'s socket. */
static int socket_path(const char *dir, const char *name, char ret[LOCAL_PATH_MAX])
{
	int n = snprintf(ret, LOCAL_PATH_MAX, "%s/%s.sock", dir, name);

	return n < 0 || n >= LOCAL_PATH_MAX ? -ENAMETOOLONG : 0;
}

int uapi_socket_listen(const char *dir, const char *name, int *ret_fd)
{
	char path[LOCAL_PATH_MAX];
	int r = socket_path(dir, name, path);

	return r < 0 ? r : local_socket_listen(path, SOCK_STREAM, 0700, ret_fd);
}

int uapi_socket_adopt(int fd)
{
	int type, listens, flags;
	struct sockaddr_un address = {0};
	socklen_t len = sizeof(type);

	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0)
		return -errno;
	len = sizeof(listens);
	if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) < 0)
		return -errno;
	len = sizeof(address);
	if (getsockname(fd, (struct sockaddr *)&address, &len) < 0)
		return -errno;
	if (type != SOCK_STREAM || !listens || address.sun_family != AF_UNIX)
		return -EINVAL;
	flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ||
		fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
		return -errno;
	return 0;
}

void uapi_socket_remove(const char *dir, const char *name, int fd)
{
	char path[LOCAL_PATH_MAX];

	if (!socket_path(dir, name, path))
		local_socket_remove(path, fd);
	close(fd);
}

/* ---- clients ---- */

static void close_client(struct client *c)
{
	struct uapi_server *s = c->server;

	TAILQ_REMOVE(&s->clients, c, entry);
	s->n_clients--;
	loop_remove(s->loop, &c->source);
	close(c->source.fd);
	uapi_client_free(c->uapi);
	free(c);
}

static void wait_for(struct client *c, uint32_t events)
{
	if (c->waiting == events)
		return;
	if (loop_modify(c->server->loop, &c->source, events) < 0)
		close_client(c);
	else
		c->waiting = events;
}

/* Write what there is; then wait for room, or for the next request.  May free the client. */
static void client_write(struct client *c)
{
	for (int i = 0; i < PIECES_PER_TURN; i++) {
		const uint8_t *data;
		size_t len = uapi_output(c->uapi, &data);
		ssize_t n;

		if (!len) {
			if (uapi_ended(c->uapi))
				close_client(c);
			else
				wait_for(c, EPOLLIN);
			return;
		}
		n = send(c->source.fd, data, len, MSG_NOSIGNAL);
		if (n < 0) {
			if (errno == EAGAIN || errno == EINTR)
				break;
			close_client(c);
			return;
		}
		uapi_written(c->uapi, (size_t)n);
	}
	wait_for(c, EPOLLOUT);
}

static void client_ready(struct loop_source *source, uint32_t events)
{
	struct client *c = container_of(source, struct client, source);
	struct uapi_server *s = c->server;

	TAILQ_REMOVE(&s->clients, c, entry);
	TAILQ_INSERT_TAIL(&s->clients, c, entry);
	if (c->waiting == EPOLLIN) {
		uint8_t piece[READ_PIECE];
		ssize_t n = recv(source->fd, piece, sizeof(piece), 0);
		int r;

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0) {
			close_client(c);
			return;
		}
		r = uapi_feed(c->uapi, piece, (size_t)n);
		explicit_bzero(piece, (size_t)n);
		if (r < 0) {
			close_client(c);
			return;
		}
	}
	client_write(c);
}

static struct client *add_client(struct uapi_server *s, int fd)
{
	struct client *c;

	if (s->n_clients == UAPI_CLIENTS_MAX)
		close_client(TAILQ_FIRST(&s->clients));
	c = calloc(1, sizeof(*c));
	if (!c || uapi_client_new(s->uapi, &c->uapi) < 0) {
		free(c);
		close(fd);
		return NULL;
	}
	c->server = s;
	c->source.fd = fd;
	c->source.ready = client_ready;
	c->waiting = EPOLLIN;
	TAILQ_INSERT_TAIL(&s->clients, c, entry);
	s->n_clients++;
	if (loop_add(s->loop, &c->source, EPOLLIN) < 0) {
		close_client(c);
		return NULL;
	}
	return c;
}

/* ---- clients that go on in another process ---- */

#define PACKED_MAX (UAPI_BUFFERED_MAX + ((size_t)1 << 30))

static int pack(struct client *c, int (*give)(void *arg, const struct uapi_packed *c), void *arg)
{
	struct uapi_packed p = {
		.fd = c->source.fd, .in = buf_of_max(PACKED_MAX), .out = buf_of_max(PACKED_MAX)};
	int r = uapi_client_pack(c->uapi, &p.in, &p.out), given = 0;

	if (r == 0) {
		p.ended = uapi_ended(c->uapi);
		given = give(arg, &p);
		r = p.out.len ? uapi_client_answer(c->uapi, p.out.data, p.out.len) : 0;
	}
	if (r < 0)
		close_client(c);
	else if (p.out.len || p.ended)
		wait_for(c, EPOLLOUT);
	buf_done(&p.in);
	buf_done(&p.out);
	return given;
}

int uapi_server_pack(
	struct uapi_server *s, int (*give)(void *arg, const struct uapi_packed *c), void *arg)
{
	struct client *c, *next;
	int r = 0;

	for (c = TAILQ_FIRST(&s->clients); c && r >= 0; c = next) {
		next = TAILQ_NEXT(c, entry);
		r = pack(c, give, arg);
	}
	return r;
}

void uapi_server_adopt(struct uapi_server *s, const struct uapi_packed *p)
{
	struct client *c = add_client(s, p->fd);
	int r;

	if (!c)
		return;
	r = p->out.len ? uapi_client_answer(c->uapi, p->out.data, p->out.len) : 0;
	if (r == 0 && p->in.len)
		r = uapi_feed(c->uapi, p->in.data, p->in.len);
	if (p->ended)
		uapi_client_end(c->uapi);
	if (r < 0)
		close_client(c);
	else
		client_write(c);
}

int uapi_server_listener(const struct uapi_server *s)
{
	return s->acceptor.listener.fd;
}

void uapi_server_leave(struct uapi_server *s)
{
	s->left = true;
}

/* ---- the server ---- */

static void gone(struct uapi_server *s)
{
	acceptor_stop(&s->acceptor);
	loop_remove(s->loop, &s->watch);
	s->gone(s->arg);
}

static void accepted(void *arg, int fd)
{
	add_client(arg, fd);
}

/* The one silent longest. */
static void make_room(void *arg)
{
	struct uapi_server *s = arg;

	if (!TAILQ_EMPTY(&s->clients))
		close_client(TAILQ_FIRST(&s->clients));
}

static void failed(void *arg, const char *why)
{
	log_error("uapi: the listening socket failed: %s", why);
	gone(arg);
}

static void watch_ready(struct loop_source *source, uint32_t events)
{
	struct uapi_server *s = container_of(source, struct uapi_server, watch);
	_Alignas(struct inotify_event) char buf[4096];

	/*
	 * What exactly happened does not matter, the file does: chmod and touch are nothing to us.
	 */
	while (read(source->fd, buf, sizeof(buf)) > 0)
		;
	if (!local_file_is(s->path, &s->file))
		gone(s);
}

static int watch_file(struct uapi_server *s)
{
	char dir[LOCAL_PATH_MAX];

	s->watch.ready = watch_ready;
	s->watch.fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (s->watch.fd < 0)
		return -errno;
	if (inotify_add_watch(s->watch.fd, s->path,
		    IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF | IN_DONT_FOLLOW) < 0)
		return errno == ENOENT ? -ESTALE : -errno;
	/*
	 * A directory that is renamed takes the file away without touching it.  Without the right to look
	 * into it (an adopted socket in somebody's own) that goes unnoticed.
	 */
	memcpy(dir, s->path, sizeof(dir));
	if (inotify_add_watch(s->watch.fd, dirname(dir), IN_MOVE_SELF | IN_ONLYDIR) < 0 &&
		errno != EACCES)
		return -errno;
	/* From here on no change is missed; was there one before? */
	return local_file_is(s->path, &s->file) ? 0 : -ESTALE;
}

static void server_freep(struct uapi_server **s)
{
	if (!*s)
		return;
	close_fd(&(*s)->watch.fd);
	free(*s);
}

int uapi_server_new(const struct uapi_server_config *config, struct uapi_server **ret)
{
	cleanup(server_freep) struct uapi_server *s = calloc(1, sizeof(*s));
	struct sockaddr_un address = {0};
	socklen_t len = sizeof(address);
	int r;

	if (!s)
		return -ENOMEM;
	s->loop = config->loop;
	s->uapi = config->uapi;
	s->gone = config->gone;
	s->arg = config->arg;
	TAILQ_INIT(&s->clients);
	s->watch.fd = -1;
	s->acceptor = (struct acceptor){.loop = s->loop,
		.name = "uapi",
		.accepted = accepted,
		.make_room = make_room,
		.failed = failed,
		.arg = s};

	/* An adopted socket may live elsewhere. */
	if (getsockname(config->fd, (struct sockaddr *)&address, &len) < 0)
		return -errno;
	if (address.sun_path[0] == '/') {
		memcpy(s->path, address.sun_path, sizeof(address.sun_path));
	} else {
		r = socket_path(config->dir, config->name, s->path);
		if (r < 0)
			return r;
	}
	r = local_socket_file(config->fd, s->path, &s->file);
	if (r < 0)
		return r == -ENOENT ? -ESTALE : r;
	r = watch_file(s);
	if (r < 0)
		return r;
	r = loop_add(s->loop, &s->watch, EPOLLIN);
	if (r < 0)
		return r;
	r = acceptor_start(&s->acceptor, config->fd);
	if (r < 0) {
		loop_remove(s->loop, &s->watch);
		return r;
	}
	*ret = steal(s);
	return 0;
}

void uapi_server_free(struct uapi_server *s)
{
	if (!s)
		return;
	while (!TAILQ_EMPTY(&s->clients))
		close_client(TAILQ_FIRST(&s->clients));
	loop_remove(s->loop, &s->watch);
	if (!s->left && local_file_is(s->path, &s->file))
		unlink(s->path);
	acceptor_done(&s->acceptor);
	server_freep(&s);
}
