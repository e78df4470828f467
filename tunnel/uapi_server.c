#include "tunnel/uapi_server.h"

#include "base/log.h"
#include "tunnel/kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/stat.h>
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
	struct loop_source	 listener, watch;
	struct sockaddr_un	 address;
	dev_t			 dev;		/* of the socket's file */
	ino_t			 ino;
	int			 spare_fd;	/* given up to be able to accept when there is no other descriptor left */
	TAILQ_HEAD(, client)	 clients;	/* the one silent longest first */
	unsigned		 n_clients;
	void			(*gone)(void *arg);
	void			*arg;
};

/* ---- the file ---- */

static int socket_address(const char *dir, const char *name, struct sockaddr_un *ret)
{
	int n;

	*ret = (struct sockaddr_un){.sun_family = AF_UNIX};
	n = snprintf(ret->sun_path, sizeof(ret->sun_path), "%s/%s.sock", dir, name);
	return n < 0 || (size_t)n >= sizeof(ret->sun_path) ? -ENAMETOOLONG : 0;
}

/* /var/run may lack; its parent never does. */
static int make_dir(const char *dir)
{
	cleanup(free_ptr) char *path = strdup(dir);

	if (!path)
		return -ENOMEM;
	for (char *p = path + 1;; p++) {
		char c = *p;

		if (c && c != '/')
			continue;
		*p = 0;
		/* The caller's umask may be 077, but wg(8) as any user may look who is there. */
		if (mkdir(path, 0755) < 0) {
			if (errno != EEXIST)
				return -errno;
		} else if (chmod(path, 0755) < 0) {
			return -errno;
		}
		if (!c)
			return 0;
		*p = c;
	}
}

struct dir_lock {
	int	fd;
	char	path[sizeof(((struct sockaddr_un *)0)->sun_path) + 8];
};

static void unlock_dir(const struct dir_lock *l)
{
	if (l->fd < 0)
		return;
	unlink(l->path);
	close(l->fd);
}

/*
 * Only one at a time may look who is there and take the place.  The lock is on a file that nobody
 * else can open: whoever may read the directory could hold a lock on that, and stop every start.
 */
static int lock_dir(const char *dir, struct dir_lock *ret)
{
	struct stat ours, there;
	int n = snprintf(ret->path, sizeof(ret->path), "%s/.lock", dir);

	if (n < 0 || (size_t)n >= sizeof(ret->path))
		return -ENAMETOOLONG;
	for (;;) {
		cleanup(close_fd) int fd =
			open(ret->path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);

		if (fd < 0)
			return -errno;
		if (flock(fd, LOCK_EX) < 0) {
			if (errno != EINTR)
				return -errno;
			continue;
		}
		if (fstat(fd, &ours) < 0)
			return -errno;
		/* Who had it before took the file away: the lock is on the one that is there. */
		if (lstat(ret->path, &there) < 0 || there.st_dev != ours.st_dev ||
			there.st_ino != ours.st_ino)
			continue;
		ret->fd = fd;
		fd = -1;
		return 0;
	}
}

/* Does somebody answer there?  0: nobody; -EADDRINUSE. */
static int probe(const struct sockaddr_un *address)
{
	cleanup(close_fd) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	if (!connect(fd, (const struct sockaddr *)address, sizeof(*address)))
		return -EADDRINUSE;
	switch (errno) {
	case EAGAIN: /* its backlog is full: it is busy, and alive */
	case EPROTOTYPE: /* another kind of socket listens */
		return -EADDRINUSE;
	case ECONNREFUSED:
	case ENOENT:
		return 0;
	default:
		return -errno;
	}
}

int uapi_socket_listen(const char *dir, const char *name, int *ret_fd)
{
	cleanup(close_fd) int fd = -1;
	cleanup(unlock_dir) struct dir_lock lock = {.fd = -1};
	struct sockaddr_un address;
	struct stat st;
	mode_t mask;
	int r;

	r = socket_address(dir, name, &address);
	if (r < 0)
		return r;
	r = make_dir(dir);
	if (r < 0)
		return r;
	r = lock_dir(dir, &lock);
	if (r < 0)
		return r;
	r = probe(&address);
	if (r < 0)
		return r;
	/* Only a dead socket is taken away, never a file that somebody put there. */
	if (!lstat(address.sun_path, &st)) {
		if (!S_ISSOCK(st.st_mode))
			return -EEXIST;
		if (unlink(address.sun_path) < 0 && errno != ENOENT)
			return -errno;
	}
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	mask = umask(077);
	r = bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ? -errno : 0;
	umask(mask);
	if (r < 0)
		return r;
	if (listen(fd, 128) < 0) {
		r = -errno;
		unlink(address.sun_path);
		return r;
	}
	*ret_fd = fd;
	fd = -1;
	return 0;
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

/*
 * The file that ${fd} is bound to, wherever it is now; without the privilege to ask, the one at
 * ${path}.
 */
static int bound_file(int fd, const char *path, struct stat *ret)
{
	cleanup(close_fd) int file = ioctl(fd, SIOCUNIXFILE);

	if (file >= 0)
		return fstat(file, ret) < 0 ? -errno : 0;
	return lstat(path, ret) < 0 ? -errno : 0;
}

static bool file_is(const char *path, dev_t dev, ino_t ino)
{
	struct stat st;

	return !lstat(path, &st) && st.st_dev == dev && st.st_ino == ino;
}

void uapi_socket_remove(const char *dir, const char *name, int fd)
{
	struct sockaddr_un address;
	struct stat st;

	if (!socket_address(dir, name, &address) && !bound_file(fd, address.sun_path, &st) &&
		file_is(address.sun_path, st.st_dev, st.st_ino))
		unlink(address.sun_path);
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

static void add_client(struct uapi_server *s, int fd)
{
	struct client *c;

	if (s->n_clients == UAPI_CLIENTS_MAX)
		close_client(TAILQ_FIRST(&s->clients));
	c = calloc(1, sizeof(*c));
	if (!c || uapi_client_new(s->uapi, &c->uapi) < 0) {
		free(c);
		close(fd);
		return;
	}
	c->server = s;
	c->source.fd = fd;
	c->source.ready = client_ready;
	c->waiting = EPOLLIN;
	TAILQ_INSERT_TAIL(&s->clients, c, entry);
	s->n_clients++;
	if (loop_add(s->loop, &c->source, EPOLLIN) < 0)
		close_client(c);
}

/* ---- the server ---- */

static void gone(struct uapi_server *s)
{
	loop_remove(s->loop, &s->listener);
	loop_remove(s->loop, &s->watch);
	s->gone(s->arg);
}

static int accept_one(struct uapi_server *s)
{
	int fd = accept4(s->listener.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0)
		return -errno;
	add_client(s, fd);
	return 0;
}

/*
 * No descriptor left: with the spare one the newcomer is taken and turned away, else it would wake
 * us for ever.
 */
static void turn_away(struct uapi_server *s)
{
	int fd;

	log_limited(LOG_LEVEL_ERROR, "uapi: a client was turned away: too many open descriptors");
	close_fd(&s->spare_fd);
	fd = accept4(s->listener.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	/*
	 * It was not enough, for others took it or the whole machine has none: then one of ours
	 * goes, the one silent longest.
	 */
	if (fd < 0 && errno != EAGAIN && !TAILQ_EMPTY(&s->clients))
		close_client(TAILQ_FIRST(&s->clients));
	close_fd(&fd);
	s->spare_fd = fcntl(s->listener.fd, F_DUPFD_CLOEXEC, 0);
}

static void listener_ready(struct loop_source *source, uint32_t events)
{
	struct uapi_server *s = container_of(source, struct uapi_server, listener);

	/* Somebody who shares it shut it down: accept() would say no more than -EAGAIN. */
	if (events & (EPOLLHUP | EPOLLERR)) {
		log_error("uapi: the listening socket was shut down");
		gone(s);
		return;
	}
	for (int i = 0; i < 16; i++) {
		int r = accept_one(s);

		switch (-r) {
		case 0:
		case ECONNABORTED:
		case EINTR:
			continue;
		case EMFILE:
		case ENFILE:
			turn_away(s);
			return;
		case EBADF:
		case EINVAL:
		case ENOTSOCK:
		case EOPNOTSUPP:
			log_error("uapi: the socket failed: %s", strerror(-r));
			gone(s);
			return;
		default:
			return;
		}
	}
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
	if (!file_is(s->address.sun_path, s->dev, s->ino))
		gone(s);
}

static int watch_file(struct uapi_server *s)
{
	char dir[sizeof(s->address.sun_path) + 1];

	s->watch.ready = watch_ready;
	s->watch.fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (s->watch.fd < 0)
		return -errno;
	if (inotify_add_watch(s->watch.fd, s->address.sun_path,
		    IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF | IN_DONT_FOLLOW) < 0)
		return errno == ENOENT ? -ESTALE : -errno;
	/*
	 * A directory that is renamed takes the file away without touching it.  Without the right to look
	 * into it (an adopted socket in somebody's own) that goes unnoticed.
	 */
	memcpy(dir, s->address.sun_path, sizeof(s->address.sun_path));
	dir[sizeof(s->address.sun_path)] = '\0';
	if (inotify_add_watch(s->watch.fd, dirname(dir), IN_MOVE_SELF | IN_ONLYDIR) < 0 &&
		errno != EACCES)
		return -errno;
	/* From here on no change is missed; was there one before? */
	return file_is(s->address.sun_path, s->dev, s->ino) ? 0 : -ESTALE;
}

static void server_freep(struct uapi_server **s)
{
	if (!*s)
		return;
	close_fd(&(*s)->watch.fd);
	close_fd(&(*s)->spare_fd);
	free(*s);
}

int uapi_server_new(const struct uapi_server_config *config, struct uapi_server **ret)
{
	cleanup(server_freep) struct uapi_server *s = calloc(1, sizeof(*s));
	socklen_t len = sizeof(s->address);
	struct stat st;
	int r;

	if (!s)
		return -ENOMEM;
	s->loop = config->loop;
	s->uapi = config->uapi;
	s->gone = config->gone;
	s->arg = config->arg;
	TAILQ_INIT(&s->clients);
	s->watch.fd = s->spare_fd = -1;
	s->listener.fd = config->fd;
	s->listener.ready = listener_ready;

	/* An adopted socket may live elsewhere. */
	if (getsockname(config->fd, (struct sockaddr *)&s->address, &len) < 0)
		return -errno;
	if (s->address.sun_path[0] != '/') {
		r = socket_address(config->dir, config->name, &s->address);
		if (r < 0)
			return r;
	}
	r = bound_file(config->fd, s->address.sun_path, &st);
	if (r < 0)
		return r == -ENOENT ? -ESTALE : r;
	s->dev = st.st_dev;
	s->ino = st.st_ino;
	r = watch_file(s);
	if (r < 0)
		return r;
	s->spare_fd = fcntl(config->fd, F_DUPFD_CLOEXEC, 0);
	if (s->spare_fd < 0)
		return -errno;
	r = loop_add(s->loop, &s->listener, EPOLLIN);
	if (r < 0)
		return r;
	r = loop_add(s->loop, &s->watch, EPOLLIN);
	if (r < 0) {
		loop_remove(s->loop, &s->listener);
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
	loop_remove(s->loop, &s->listener);
	loop_remove(s->loop, &s->watch);
	if (file_is(s->address.sun_path, s->dev, s->ino))
		unlink(s->address.sun_path);
	close(s->listener.fd);
	server_freep(&s);
}
