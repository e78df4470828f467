#include "tunnel/handover_take.h"

#include "tunnel/ctl_server.h"
#include "base/local_socket.h"
#include "wg/handover.h"

#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/un.h>

struct handover_take {
	int			 fd;
	char			 name[IFNAMSIZ];
	struct buf		 frame;
	struct handover_tunnel	 tunnel;
	struct buf		 state;		/* the trial; later the last one */
	struct uapi_packed	 clients[UAPI_CLIENTS_MAX];
	unsigned		 n_clients;
	uint64_t		 frozen_ns;
	struct buf		 why;
};

static int failed(const struct handover_take *t, const char *step, int r)
{
	const char *why = t->why.len ? buf_str((struct buf *)&t->why) : strerror(-r);

	if (r == -EPIPE && !t->why.len)
		why = "it is gone";
	else if (r == -ETIMEDOUT)
		why = "it says nothing";
	else if (r == -EPROTO)
		why = "it says something else than it should";
	log_error("cannot take over %s: %s: %s", t->name, step, why);
	return r;
}

static bool is_error(struct rd refused, unsigned error)
{
	struct ctl_field f;

	while (ctl_next(&refused, &f))
		if (f.tag == CTL_ITEM_ERROR && f.number == error)
			return true;
	return false;
}

/* The next frame that is not the other's last word. */
static int hear(struct handover_take *t, struct ctl_fds *fds, uint64_t deadline_ns, struct rd *ret,
	uint16_t *ret_type)
{
	int r = handover_recv(t->fd, &t->frame, fds, deadline_ns, ret, ret_type);

	if (r < 0)
		return r;
	if (*ret_type != HANDOVER_ABORT && *ret_type != CTL_MESSAGE_REFUSED)
		return 0;
	buf_clear(&t->why);
	handover_why(*ret, &t->why);
	return *ret_type == CTL_MESSAGE_REFUSED && is_error(*ret, EALREADY) ? -EALREADY : -ECANCELED;
}

/* ---- pieces ---- */

static int add_client(struct handover_take *t, struct rd fields, struct ctl_fds *fds)
{
	struct uapi_packed *c = &t->clients[t->n_clients];
	struct ctl_field f;

	if (t->n_clients == UAPI_CLIENTS_MAX || fds->n != 1)
		return -EPROTO;
	*c = (struct uapi_packed){.in = buf_of_max(WG_HANDOVER_MAX), .out = buf_of_max(WG_HANDOVER_MAX)};
	while (ctl_next(&fields, &f)) {
		if ((f.tag & ~CTL_CRITICAL) == HANDOVER_ITEM_ENDED)
			c->ended = f.number;
		else if (f.tag & CTL_CRITICAL)
			return -EPROTO;
	}
	c->fd = ctl_fds_take(fds, 0);
	t->n_clients++;
	return 0;
}

static int add_piece(struct handover_take *t, struct rd fields)
{
	struct uapi_packed *c = t->n_clients ? &t->clients[t->n_clients - 1] : NULL;
	struct ctl_field f;
	struct buf *b = NULL;

	while (ctl_next(&fields, &f)) {
		switch (f.tag & ~CTL_CRITICAL) {
		case HANDOVER_ITEM_STATE:
			b = &t->state;
			break;
		case HANDOVER_ITEM_INPUT:
			b = c ? &c->in : NULL;
			break;
		case HANDOVER_ITEM_OUTPUT:
			b = c ? &c->out : NULL;
			break;
		default:
			if (!(f.tag & CTL_CRITICAL))
				continue;
			return -EPROTO;
		}
		if (!b || f.kind != CTL_BYTES)
			return -EPROTO;
		if (buf_put(b, f.data, f.len) < 0)
			return b->error;
	}
	return 0;
}

static void forget_clients(struct handover_take *t)
{
	for (unsigned i = 0; i < t->n_clients; i++) {
		struct uapi_packed *c = &t->clients[i];

		close_fd(&c->fd);
		buf_done(&c->in);
		buf_done(&c->out);
	}
	t->n_clients = 0;
}

/* ---- PREPARE ---- */

static int connect_to(struct handover_take *t)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	char path[LOCAL_PATH_MAX];
	int r = ctl_socket_path(t->name, path);

	if (r < 0)
		return r;
	memcpy(a.sun_path, path, min(strlen(path), sizeof(a.sun_path)));
	t->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (t->fd < 0)
		return -errno;
	if (connect(t->fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		return errno == ENOENT || errno == ECONNREFUSED ? -ENOENT : -errno;
	r = ctl_peer_check(t->fd, geteuid());
	if (r < 0)
		return r;
	return fcntl(t->fd, F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
}

static int hear_all(struct handover_take *t)
{
	for (;;) {
		cleanup(ctl_fds_done) struct ctl_fds fds = CTL_FDS_NONE;
		struct rd fields;
		uint16_t type;
		int r = hear(t, &fds, clock_ns(CLOCK_BOOTTIME) + HANDOVER_STEP_NS, &fields, &type);

		if (r < 0)
			return r;
		switch (type) {
		case HANDOVER_TUNNEL:
			r = handover_get_tunnel(fields, &t->tunnel, &t->why);
			break;
		case HANDOVER_DESCRIPTORS:
			r = handover_get_descriptors(fields, &fds, &t->tunnel);
			break;
		case HANDOVER_PIECE:
			r = add_piece(t, fields);
			break;
		case HANDOVER_PREPARED:
			return 0;
		default:
			r = -EPROTO;
		}
		if (r < 0)
			return r;
	}
}

static void trial_random(void *arg, void *buf, size_t len)
{
	if (getrandom(buf, len, 0) != (ssize_t)len)
		abort();
}

/* On a device of its own, before anything is touched. */
static int try_state(struct handover_take *t)
{
	struct wg_device_config config = {.random = trial_random, .workers = 1};
	cleanup(wg_device_freep) struct wg_device *d = NULL;
	int r = wg_device_new(&config, &d);

	return r < 0 ? r : wg_handover_import(d, (struct wg_now){.boot_ns = clock_ns(CLOCK_BOOTTIME)},
		t->state.data, t->state.len, &t->why);
}

static int prepare(struct handover_take *t, const char *unless)
{
	int r = connect_to(t);

	if (r == -ENOENT)
		buf_puts(&t->why, "nobody listens on its control channel: start it without --replace, or restart its service");
	if (r < 0)
		return r;
	ctl_begin(&t->frame, CTL_MESSAGE_REPLACE);
	ctl_put_number(&t->frame, HANDOVER_ITEM_VERSION | CTL_CRITICAL, HANDOVER_VERSION);
	if (unless)
		ctl_put_text(&t->frame, HANDOVER_ITEM_UNLESS | CTL_CRITICAL, unless);
	r = handover_send(t->fd, &t->frame, NULL, 0, clock_ns(CLOCK_BOOTTIME) + HANDOVER_STEP_NS);
	if (r == 0)
		r = hear_all(t);
	if (r < 0)
		return r;
	if (!t->tunnel.n_tun || t->tunnel.uapi_fd < 0 || t->tunnel.ctl_fd < 0)
		return -EPROTO;
	return try_state(t);
}

int handover_take_begin(const char *name, const char *unless, struct handover_take **ret)
{
	cleanup(handover_take_freep) struct handover_take *t = calloc(1, sizeof(*t));
	int r;

	if (!t)
		return -ENOMEM;
	t->fd = -1;
	snprintf(t->name, sizeof(t->name), "%s", name);
	t->frame = buf_of_max(CTL_FRAME_MAX);
	t->state = buf_of_max(WG_HANDOVER_MAX);
	t->why = buf_of_max(4096);
	handover_tunnel_init(&t->tunnel);
	r = prepare(t, unless);
	if (r == -EALREADY)
		return r;
	if (r < 0)
		return failed(t, "the running daemon", r);
	*ret = steal(t);
	return 0;
}

void handover_take_free(struct handover_take *t)
{
	forget_clients(t);
	handover_tunnel_done(&t->tunnel);
	close_fd(&t->fd);
	buf_done(&t->frame);
	buf_done(&t->state);
	buf_done(&t->why);
	free(t);
}

struct handover_tunnel *handover_take_tunnel(struct handover_take *t)
{
	return &t->tunnel;
}

uint64_t handover_take_frozen(const struct handover_take *t)
{
	return t->frozen_ns;
}

int handover_take_import(struct handover_take *t, struct wg_device *d, struct wg_now now)
{
	int r = wg_handover_import(d, now, t->state.data, t->state.len, &t->why);

	buf_done(&t->state);
	return r < 0 ? failed(t, "its state", r) : 0;
}

/* ---- FREEZE to TAKEN ---- */

static int hear_final(struct handover_take *t)
{
	for (;;) {
		cleanup(ctl_fds_done) struct ctl_fds fds = CTL_FDS_NONE;
		struct ctl_field f;
		struct rd fields;
		uint16_t type;
		int r = hear(t, &fds, clock_ns(CLOCK_BOOTTIME) + HANDOVER_STEP_NS, &fields, &type);

		if (r < 0)
			return r;
		switch (type) {
		case HANDOVER_CLIENT:
			r = add_client(t, fields, &fds);
			break;
		case HANDOVER_PIECE:
			r = add_piece(t, fields);
			break;
		case HANDOVER_FINAL:
			while (ctl_next(&fields, &f))
				if (f.tag == HANDOVER_ITEM_FROZEN_AT)
					t->frozen_ns = f.number;
			return 0;
		default:
			r = -EPROTO;
		}
		if (r < 0)
			return r;
	}
}

static int hear_commit(struct handover_take *t)
{
	cleanup(ctl_fds_done) struct ctl_fds fds = CTL_FDS_NONE;
	struct rd fields;
	uint16_t type;
	/* Longer than the old one waits for us: so it is that one who gives up. */
	int r = hear(t, &fds, clock_ns(CLOCK_BOOTTIME) + 2 * HANDOVER_STEP_NS, &fields, &type);

	if (r == 0 && type != HANDOVER_COMMIT)
		r = -EPROTO;
	return r;
}

/* The connection ended.  Did the old one too, or only the hand-over? */
static bool old_is_dead(const struct handover_take *t)
{
	struct pollfd p = {.fd = t->tunnel.process_fd, .events = POLLIN};

	/* A process closes its descriptors a moment before it is dead. */
	return p.fd >= 0 && poll(&p, 1, (int)(HANDOVER_STEP_NS / 1000000)) == 1;
}

static int finish(struct handover_take *t, struct wg_device *d, struct wg_now (*now)(void))
{
	int r = handover_say(t->fd, &t->frame, HANDOVER_FREEZE, NULL);

	if (r == 0)
		r = hear_final(t);
	if (r == 0)
		r = wg_handover_import(d, now(), t->state.data, t->state.len, &t->why);
	buf_done(&t->state);
	if (r == 0)
		r = handover_say(t->fd, &t->frame, HANDOVER_READY, NULL);
	return r == 0 ? hear_commit(t) : r;
}

int handover_take_finish(struct handover_take *t, struct wg_device *d, struct wg_now (*now)(void))
{
	int r = finish(t, d, now);

	if (r == 0) {
		/* From here on it does not matter whether anybody hears it. */
		(void)handover_say(t->fd, &t->frame, HANDOVER_TAKEN, NULL);
		return 0;
	}
	if (r == -EPIPE && old_is_dead(t)) {
		log_error("handover: the old daemon died on the way: new sessions are made");
		wg_device_forget_sessions(d, now());
		return 1;
	}
	(void)handover_say(t->fd, &t->frame, HANDOVER_ABORT, t->why.len ? buf_str(&t->why) : strerror(-r));
	return failed(t, "its last state", r);
}

void handover_take_wait(struct handover_take *t)
{
	struct pollfd p = {.fd = t->fd, .events = POLLIN};

	(void)poll(&p, 1, (int)(HANDOVER_STEP_NS / 1000000));
}

void handover_take_clients(struct handover_take *t, struct uapi_server *s)
{
	for (unsigned i = 0; i < t->n_clients; i++) {
		uapi_server_adopt(s, &t->clients[i]);
		t->clients[i].fd = -1;
	}
	forget_clients(t);
}
