#include "tunnel/handover_give.h"

#include "tunnel/ctl_server.h"
#include "wg/handover.h"

#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <poll.h>

#define FRAMES_PER_TURN 32 /* before the loop looks at others again */

struct handover_give {
	struct handover_host	 host;
	struct loop_source	 source;	/* fd -1: nobody is there */
	pid_t			 to;		/* who that is, by the kernel's word */
	struct buf		 frame;
	struct handover_tunnel	 tunnel;	/* descriptors borrowed */
	struct buf		 state;		/* PREPARE's */
	bool			 told_tunnel;
	unsigned		 n_descriptors;	/* that went */
	size_t			 sent;		/* of ${state} */
	bool			 prepared;
	uint64_t		 config_changes, tunnel_changes;
	uint64_t		 deadline_ns;
};

static void end(struct handover_give *g)
{
	if (g->source.fd < 0)
		return;
	loop_remove(g->host.loop, &g->source);
	close(g->source.fd);
	g->source.fd = -1;
	buf_done(&g->state);
	buf_done(&g->frame);
	g->deadline_ns = UINT64_MAX;
}

static void abort_it(struct handover_give *g, const char *why)
{
	log_error("handover: %s: going on as before", why);
	(void)handover_say(g->source.fd, &g->frame, HANDOVER_ABORT, why);
	end(g);
}

static const char *words(int r)
{
	switch (-r) {
	case EPIPE:
		return "the new daemon is gone";
	case ETIMEDOUT:
		return "the new daemon says nothing";
	case EBADMSG:
	case EPROTO:
		return "the new daemon says something else than it should";
	case ECANCELED:
		return "the new daemon gave up";
	default:
		return strerror(-r);
	}
}

/* ---- PREPARE ---- */

/* Put the next frame into g->frame.  0: there is none left. */
static int next_frame(struct handover_give *g, int fds[CTL_FDS_MAX], unsigned *ret_fds, size_t *ret_piece)
{
	*ret_fds = 0;
	*ret_piece = 0;
	if (!g->told_tunnel) {
		handover_put_tunnel(&g->frame, &g->tunnel);
		return 1;
	}
	*ret_fds = handover_put_descriptors(&g->frame, &g->tunnel, g->n_descriptors, fds);
	if (*ret_fds)
		return 1;
	*ret_piece = handover_put_piece(&g->frame, HANDOVER_ITEM_STATE, &g->state, g->sent);
	if (*ret_piece)
		return 1;
	ctl_begin(&g->frame, HANDOVER_PREPARED);
	return 0;
}

static void prepare(struct handover_give *g)
{
	for (unsigned i = 0; i < FRAMES_PER_TURN && !g->prepared; i++) {
		int fds[CTL_FDS_MAX], more, r;
		unsigned n_fds;
		size_t piece;

		more = next_frame(g, fds, &n_fds, &piece);
		r = ctl_send(g->source.fd, &g->frame, fds, n_fds);
		if (r == -EAGAIN)
			return;
		if (r < 0) {
			abort_it(g, words(r));
			return;
		}
		g->told_tunnel = true;
		g->n_descriptors += n_fds;
		g->sent += piece;
		g->prepared = !more;
		g->deadline_ns = clock_ns(CLOCK_BOOTTIME) + HANDOVER_STEP_NS;
	}
	if (!g->prepared)
		return;
	buf_done(&g->state);
	if (loop_modify(g->host.loop, &g->source, EPOLLIN) < 0)
		abort_it(g, "the event loop refused it");
}

/* ---- FREEZE to COMMIT ---- */

struct packing {
	struct handover_give	*g;
	uint64_t		 deadline_ns;
};

static int send_pieces(struct handover_give *g, enum handover_item item, const struct buf *b, uint64_t deadline_ns)
{
	size_t at = 0, n;
	int r = 0;

	while (r == 0 && (n = handover_put_piece(&g->frame, item, b, at))) {
		r = handover_send(g->source.fd, &g->frame, NULL, 0, deadline_ns);
		at += n;
	}
	return r;
}

static int send_client(void *arg, const struct uapi_packed *c)
{
	struct packing *p = arg;
	struct handover_give *g = p->g;
	int r;

	ctl_begin(&g->frame, HANDOVER_CLIENT);
	ctl_put_number(&g->frame, HANDOVER_ITEM_ENDED | CTL_CRITICAL, c->ended);
	r = handover_send(g->source.fd, &g->frame, &c->fd, 1, p->deadline_ns);
	if (r == 0)
		r = send_pieces(g, HANDOVER_ITEM_INPUT, &c->in, p->deadline_ns);
	if (r == 0)
		r = send_pieces(g, HANDOVER_ITEM_OUTPUT, &c->out, p->deadline_ns);
	return r;
}

static int send_final(struct handover_give *g, uint64_t frozen_ns)
{
	cleanup(buf_done) struct buf state = buf_of_max(WG_HANDOVER_MAX);
	uint64_t deadline_ns = frozen_ns + HANDOVER_FROZEN_NS;
	struct packing p = {g, deadline_ns};
	unsigned parts = WG_HANDOVER_STATE;
	int r;

	r = uapi_server_pack(g->host.uapi, send_client, &p);
	if (r < 0)
		return r;
	if (g->host.config_changes(g->host.arg) != g->config_changes)
		parts |= WG_HANDOVER_CONFIG;
	r = wg_handover_export(g->host.device, g->host.now(g->host.arg), parts, &state);
	if (r == 0)
		r = send_pieces(g, HANDOVER_ITEM_STATE, &state, deadline_ns);
	if (r < 0)
		return r;
	ctl_begin(&g->frame, HANDOVER_FINAL);
	ctl_put_number(&g->frame, HANDOVER_ITEM_FROZEN_AT, frozen_ns);
	return handover_send(g->source.fd, &g->frame, NULL, 0, deadline_ns);
}

/* ${expected}, or -ECANCELED for ABORT, -EPROTO for anything else. */
static int expect(struct handover_give *g, enum handover_message expected, uint64_t deadline_ns)
{
	cleanup(ctl_fds_done) struct ctl_fds fds = CTL_FDS_NONE;
	cleanup(buf_done) struct buf why = buf_of_max(1024);
	struct rd fields;
	uint16_t type;
	int r = handover_recv(g->source.fd, &g->frame, &fds, deadline_ns, &fields, &type);

	if (r < 0)
		return r;
	if (type == expected)
		return 0;
	if (type != HANDOVER_ABORT)
		return -EPROTO;
	handover_why(fields, &why);
	log_error("handover: the new daemon says: %s", buf_str(&why));
	return -ECANCELED;
}

/*
 * COMMIT is on its way.  The new one says TAKEN before it does anything; as long as it lives it may,
 * and the old one may not go on.  True: it has the tunnel.
 */
static bool wait_taken(struct handover_give *g)
{
	for (;;) {
		struct pollfd p[2] = {{.fd = g->source.fd, .events = POLLIN},
			{.fd = g->host.signals_fd, .events = POLLIN}};

		if (poll(p, 2, -1) < 0 && errno != EINTR)
			return true;
		if (p[0].revents)
			return expect(g, HANDOVER_TAKEN, UINT64_MAX) == 0;
		if (p[1].revents)
			return true; /* told to end: then it is the new one's in any case */
	}
}

static void freeze(struct handover_give *g)
{
	const struct handover_host *h = &g->host;
	uint64_t frozen_ns;
	const char *why = h->objection(h->arg, g->to);
	int r;

	if (why) {
		abort_it(g, why);
		return;
	}
	if (h->tunnel_changes(h->arg) != g->tunnel_changes) {
		abort_it(g, "port, sockets or link changed meanwhile, try again");
		return;
	}
	frozen_ns = clock_ns(CLOCK_BOOTTIME);
	h->freeze(h->arg);
	r = send_final(g, frozen_ns);
	if (r == 0)
		r = expect(g, HANDOVER_READY, frozen_ns + HANDOVER_FROZEN_NS);
	if (r == 0)
		r = handover_say(g->source.fd, &g->frame, HANDOVER_COMMIT, NULL);
	if (r == 0 && wait_taken(g)) {
		log_info("handover: another daemon has taken over pid=%d", (int)g->to);
		h->given(h->arg, g->to);
		end(g);
		return;
	}
	abort_it(g, r == 0 ? words(-EPIPE) : words(r));
	h->thaw(h->arg);
}

/* ---- the loop ---- */

static void ready(struct loop_source *source, uint32_t events)
{
	struct handover_give *g = container_of(source, struct handover_give, source);
	int r;

	if (!g->prepared && !(events & (EPOLLHUP | EPOLLERR))) {
		prepare(g);
		return;
	}
	r = expect(g, HANDOVER_FREEZE, 0);
	if (r < 0)
		abort_it(g, words(r));
	else
		freeze(g);
}

/* 0; what REPLACE says that is not understood: -EPROTONOSUPPORT; -EALREADY: there is no need. */
static int check_request(const struct handover_give *g, struct rd fields)
{
	const char *identity = g->host.identity;
	bool version = false, same = false;
	struct ctl_field f;

	while (ctl_next(&fields, &f)) {
		if ((f.tag & ~CTL_CRITICAL) == HANDOVER_ITEM_VERSION)
			version = f.number == HANDOVER_VERSION;
		else if ((f.tag & ~CTL_CRITICAL) == HANDOVER_ITEM_UNLESS)
			same = f.len == strlen(identity) && !memcmp(f.data, identity, f.len);
		else if (f.tag & CTL_CRITICAL)
			return -EPROTONOSUPPORT;
	}
	if (!version)
		return -EPROTONOSUPPORT;
	return same ? -EALREADY : 0;
}

static int begin(struct handover_give *g, int fd)
{
	const struct handover_host *h = &g->host;
	struct ucred peer;
	int r;

	g->to = ctl_peer(fd, &peer) < 0 ? 0 : peer.pid;
	g->config_changes = h->config_changes(h->arg);
	g->tunnel_changes = h->tunnel_changes(h->arg);
	g->told_tunnel = g->prepared = false;
	g->n_descriptors = 0;
	g->sent = 0;
	handover_tunnel_init(&g->tunnel);
	h->describe(h->arg, &g->tunnel);
	r = wg_handover_export(h->device, h->now(h->arg), WG_HANDOVER_CONFIG | WG_HANDOVER_STATE, &g->state);
	if (r < 0)
		return r;
	g->source.fd = fd;
	r = loop_add(h->loop, &g->source, EPOLLOUT);
	if (r < 0) {
		g->source.fd = -1;
		return r;
	}
	g->deadline_ns = clock_ns(CLOCK_BOOTTIME) + HANDOVER_STEP_NS;
	return 0;
}

static void take(void *arg, int socket, struct rd fields, struct ctl_fds *fds)
{
	struct handover_give *g = arg;
	int r = check_request(g, fields);
	const char *why = NULL;

	if (r == -EALREADY) {
		ctl_refuse(socket, r, "it is this very program");
		close(socket);
		return;
	}
	if (r < 0) {
		why = "the running daemon speaks another version of the hand-over";
	} else if (g->source.fd >= 0) {
		r = -EBUSY;
		why = "another one is taking over already";
	} else {
		r = begin(g, socket);
	}
	if (r == 0) {
		log_info("handover: another daemon wants to take over");
		return;
	}
	buf_done(&g->state);
	log_error("handover: refused: %s", why ? why : strerror(-r));
	ctl_refuse(socket, r, why);
	close(socket);
}

int handover_give_new(const struct handover_host *host, struct handover_give **ret)
{
	struct handover_give *g = calloc(1, sizeof(*g));

	if (!g)
		return -ENOMEM;
	g->host = *host;
	g->source.fd = -1;
	g->source.ready = ready;
	g->frame = buf_of_max(CTL_FRAME_MAX);
	g->state = buf_of_max(WG_HANDOVER_MAX);
	g->deadline_ns = UINT64_MAX;
	*ret = g;
	return 0;
}

void handover_give_free(struct handover_give *g)
{
	if (!g)
		return;
	end(g);
	free(g);
}

void handover_give_service(struct handover_give *g, struct ctl_service *ret)
{
	*ret = (struct ctl_service){.request = CTL_MESSAGE_REPLACE, .take = take, .arg = g};
}

uint64_t handover_give_due(const struct handover_give *g)
{
	return g ? g->deadline_ns : UINT64_MAX;
}

void handover_give_tick(struct handover_give *g)
{
	if (g && g->deadline_ns <= clock_ns(CLOCK_BOOTTIME))
		abort_it(g, words(-ETIMEDOUT));
}
