#include "tunnel/ctl_server.h"

#include "tunnel/acceptor.h"

#include "base/log.h"
#include "base/local_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/queue.h>
#include <sys/socket.h>

#define FRAMES_PER_TURN 32 /* of one client, before the loop looks at others again */

struct client {
	TAILQ_ENTRY(client)		 entry;
	struct loop_source		 source;
	struct ctl_server		*server;
	const struct ctl_service	*service;	/* that answers; NULL: a request may come */
	void				*answer;	/* its */
	struct buf			 frame;		/* did not fit the socket; else empty */
	bool				 last;		/* it ends the answer */
};

struct ctl_server {
	struct loop			*loop;
	struct acceptor			 acceptor;
	char				 path[LOCAL_PATH_MAX];
	struct local_file		 file;
	uid_t				 own;
	bool				 left;		/* the file is another process's now */
	struct buf			 frame;		/* of whichever client is served */
	TAILQ_HEAD(, client)		 clients;	/* the one silent longest first */
	unsigned			 n_clients;
	const struct ctl_service	*services;
	size_t				 n_services;
};

/* ---- the file ---- */

int ctl_socket_path(const char *name, char ret[])
{
	int n = snprintf(ret, LOCAL_PATH_MAX, CTL_DIR "/%s" CTL_SUFFIX, name);

	return n < 0 || n >= LOCAL_PATH_MAX ? -ENAMETOOLONG : 0;
}

int ctl_socket_listen(const char *name, int *ret)
{
	char path[LOCAL_PATH_MAX];
	int r = ctl_socket_path(name, path);

	return r < 0 ? r : local_socket_listen(path, SOCK_SEQPACKET, 0600, ret);
}

void ctl_socket_remove(const char *name, int fd)
{
	char path[LOCAL_PATH_MAX];

	if (fd >= 0 && !ctl_socket_path(name, path))
		local_socket_remove(path, fd);
	close_fd(&fd);
}

/* ---- answers ---- */

static void put_refusal(struct buf *frame, int error, const char *why)
{
	ctl_begin(frame, CTL_MESSAGE_REFUSED);
	ctl_put_number(frame, CTL_ITEM_ERROR, (uint64_t)-error);
	ctl_put_text(frame, CTL_ITEM_WHY, why ? why : strerror(-error));
}

void ctl_refuse(int socket, int error, const char *why)
{
	cleanup(buf_done) struct buf frame = buf_of_max(CTL_FRAME_MAX);

	put_refusal(&frame, error, why);
	(void)ctl_send(socket, &frame, NULL, 0);
}

static void end_answer(struct client *c)
{
	if (c->service && c->service->end)
		c->service->end(c->service->arg, c->answer);
	c->service = NULL;
	c->answer = NULL;
	c->last = false;
}

/* The client is no longer ours; its descriptor is. */
static void forget_client(struct client *c)
{
	struct ctl_server *s = c->server;

	end_answer(c);
	TAILQ_REMOVE(&s->clients, c, entry);
	s->n_clients--;
	loop_remove(s->loop, &c->source);
	buf_done(&c->frame);
	free(c);
}

static void close_client(struct client *c)
{
	int fd = c->source.fd;

	forget_client(c);
	close(fd);
}

/* Put the next frame of the answer into the server's buffer. */
static void make_frame(struct client *c)
{
	struct buf *frame = &c->server->frame;
	int r;

	buf_clear(frame);
	r = c->service->next(c->service->arg, c->answer, frame);
	if (r > 0)
		r = frame->error ? frame->error : r;
	if (r > 0)
		return;
	buf_clear(frame);
	if (r < 0)
		put_refusal(frame, r, NULL);
	else
		ctl_begin(frame, CTL_MESSAGE_END);
	c->last = true;
}

/* What the socket does not take now is kept. */
static int send_frame(struct client *c)
{
	struct buf *frame = c->frame.len ? &c->frame : &c->server->frame;
	int r = ctl_send(c->source.fd, frame, NULL, 0);

	if (r >= 0) {
		buf_done(&c->frame);
		return 0;
	}
	if (r == -EAGAIN && frame != &c->frame)
		buf_put(&c->frame, frame->data, frame->len);
	return c->frame.error ? c->frame.error : r;
}

/* May free the client. */
static void client_write(struct client *c)
{
	for (int i = 0; i < FRAMES_PER_TURN; i++) {
		int r;

		if (!c->frame.len)
			make_frame(c);
		r = send_frame(c);
		if (r == -EAGAIN)
			return;
		if (r < 0) {
			close_client(c);
			return;
		}
		if (c->last) {
			end_answer(c);
			if (loop_modify(c->server->loop, &c->source, EPOLLIN) < 0)
				close_client(c);
			return;
		}
	}
}

static const struct ctl_service *find_service(const struct ctl_server *s, uint16_t type)
{
	for (size_t i = 0; i < s->n_services; i++)
		if (s->services[i].request == type)
			return &s->services[i];
	return NULL;
}

static bool has_critical(struct rd fields)
{
	struct ctl_field f;

	while (ctl_next(&fields, &f))
		if (f.tag & CTL_CRITICAL)
			return true;
	return false;
}

/* 0, or what to refuse it with; -EBADF: the client is gone or taken. */
static int take_request(struct client *c, struct ctl_fds *fds)
{
	const struct ctl_service *service;
	struct rd fields;
	uint16_t type;
	int r = ctl_open(&fields, c->server->frame.data, c->server->frame.len, &type);

	if (r < 0)
		return r;
	service = find_service(c->server, type);
	if (!service)
		return -EOPNOTSUPP;
	if (service->take) {
		int fd = c->source.fd;

		forget_client(c);
		service->take(service->arg, fd, fields, fds);
		return -EBADF;
	}
	/* No request that is answered here knows an item that must be understood. */
	if (has_critical(fields))
		return -EOPNOTSUPP;
	r = service->begin(service->arg, fields, &c->answer);
	if (r < 0)
		return r;
	c->service = service;
	if (loop_modify(c->server->loop, &c->source, EPOLLOUT) < 0) {
		close_client(c);
		return -EBADF;
	}
	return 0;
}

static const char *refusal(int r)
{
	switch (-r) {
	case EOPNOTSUPP:
		return "this version of the daemon does not know the request, or an item of it";
	case EPROTONOSUPPORT:
		return "the daemon speaks another version of the protocol";
	case EBADMSG:
		return "the request is malformed";
	default:
		return NULL;
	}
}

static void client_read(struct client *c)
{
	cleanup(ctl_fds_done) struct ctl_fds fds = CTL_FDS_NONE;
	struct buf *frame = &c->server->frame;
	int r = ctl_recv(c->source.fd, frame, &fds);

	if (r == -EAGAIN)
		return;
	if (r < 0) {
		close_client(c);
		return;
	}
	r = take_request(c, &fds);
	if (r >= 0 || r == -EBADF)
		return;
	/* A client that asks and never listens is one that we need not keep. */
	put_refusal(frame, r, refusal(r));
	if (send_frame(c) < 0)
		close_client(c);
}

static void client_ready(struct loop_source *source, uint32_t events)
{
	struct client *c = container_of(source, struct client, source);
	struct ctl_server *s = c->server;

	TAILQ_REMOVE(&s->clients, c, entry);
	TAILQ_INSERT_TAIL(&s->clients, c, entry);
	if (c->service)
		client_write(c);
	else
		client_read(c);
}

/* ---- newcomers ---- */

static void add_client(struct ctl_server *s, int fd)
{
	struct client *c;

	if (ctl_peer_check(fd, s->own) < 0) {
		log_limited(LOG_LEVEL_ERROR, "ctl: refused a client that is neither root nor us");
		ctl_refuse(fd, -EPERM, NULL);
		close(fd);
		return;
	}
	if (s->n_clients == CTL_CLIENTS_MAX)
		close_client(TAILQ_FIRST(&s->clients));
	c = calloc(1, sizeof(*c));
	if (!c) {
		close(fd);
		return;
	}
	c->server = s;
	c->frame = buf_of_max(CTL_FRAME_MAX);
	c->source.fd = fd;
	c->source.ready = client_ready;
	TAILQ_INSERT_TAIL(&s->clients, c, entry);
	s->n_clients++;
	if (loop_add(s->loop, &c->source, EPOLLIN) < 0)
		close_client(c);
}

static void accepted(void *arg, int fd)
{
	add_client(arg, fd);
}

/* The one silent longest. */
static void make_room(void *arg)
{
	struct ctl_server *s = arg;

	if (!TAILQ_EMPTY(&s->clients))
		close_client(TAILQ_FIRST(&s->clients));
}

static void failed(void *arg, const char *why)
{
	log_error("ctl: the listening socket failed: %s; the tunnel goes on without", why);
}

/* ---- the server ---- */

int ctl_server_new(const struct ctl_server_config *config, struct ctl_server **ret)
{
	cleanup(free_ptr) struct ctl_server *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	s->loop = config->loop;
	s->own = config->own;
	s->services = config->services;
	s->n_services = config->n_services;
	s->frame = buf_of_max(CTL_FRAME_MAX);
	TAILQ_INIT(&s->clients);
	snprintf(s->path, sizeof(s->path), "%s", config->path);
	r = local_socket_file(config->fd, s->path, &s->file);
	if (r < 0)
		return r;
	s->acceptor = (struct acceptor){.loop = s->loop,
		.name = "ctl",
		.accepted = accepted,
		.make_room = make_room,
		.failed = failed,
		.arg = s};
	r = acceptor_start(&s->acceptor, config->fd);
	if (r < 0)
		return r;
	*ret = steal(s);
	return 0;
}

void ctl_server_leave(struct ctl_server *s)
{
	s->left = true;
}

int ctl_server_listener(const struct ctl_server *s)
{
	return s->acceptor.listener.fd;
}

void ctl_server_free(struct ctl_server *s)
{
	if (!s)
		return;
	while (!TAILQ_EMPTY(&s->clients))
		close_client(TAILQ_FIRST(&s->clients));
	if (!s->left && local_file_is(s->path, &s->file))
		unlink(s->path);
	acceptor_done(&s->acceptor);
	buf_done(&s->frame);
	free(s);
}
