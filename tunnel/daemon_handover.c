#include "tunnel/daemon_state.h"

#include "base/log.h"
#include "base/notify.h"
#include "tunnel/handover_give.h"
#include "tunnel/handover_take.h"
#include "tunnel/link.h"
#include "tunnel/path.h"
#include "tunnel/uapi_server.h"

#include <errno.h>
#include <sys/syscall.h>

/* ---- another daemon takes over ---- */

static struct wg_now give_now(void *arg)
{
	return daemon_now();
}

static void give_describe(void *arg, struct handover_tunnel *ret)
{
	const struct daemon *d = arg;

	ret->pid = (uint64_t)getpid();
	memcpy(ret->program, GINNEL_VERSION, min(sizeof(GINNEL_VERSION), sizeof(ret->program) - 1));
	ret->port = d->port;
	ret->fwmark = d->fwmark;
	ret->up = d->link_up;
	ret->managed = d->notify->fd >= 0;
	ret->bind = d->bind;
	for (; ret->n_tun < d->tun->n_queues && !d->tun->queues[ret->n_tun].shared; ret->n_tun++)
		ret->tun[ret->n_tun] = d->tun->queues[ret->n_tun].fd;
	for (unsigned i = 0; d->udp && i < d->udp->n_queues; i++) {
		ret->udp4[ret->n_udp4++] = d->udp->queues[i].fd4;
		ret->udp6[ret->n_udp6++] = d->udp->queues[i].fd6;
	}
	ret->uapi_fd = uapi_server_listener(d->server);
	ret->ctl_fd = ctl_server_listener(d->ctl);
	ret->process_fd = d->process_fd;
}

static uint64_t give_config_changes(void *arg)
{
	return ((struct daemon *)arg)->config_changes;
}

static uint64_t give_tunnel_changes(void *arg)
{
	return ((struct daemon *)arg)->tunnel_changes;
}

static void give_freeze(void *arg)
{
	struct daemon *d = arg;

	path_pause(d->path);
	d->frozen = true;
	daemon_run_device(d);
}

static void give_thaw(void *arg)
{
	struct daemon *d = arg;

	d->frozen = false;
	path_resume(d->path, d->udp);
	d->deadline_ns = 0;
}

/* A service manager that does not know the new main process ends it with us: it must be known to listen. */
static const char *give_objection(void *arg, pid_t to)
{
	const struct daemon *d = arg;

	if (d->notify->fd < 0)
		return NULL;
	if (to <= 0)
		return "the service manager cannot be told who follows, which is in another PID namespace: restart the service";
	if (notify_wait(d->notify, "STATUS=Serving the interface %s", d->name) < 0)
		return "the service manager cannot be told who follows, for it does not listen: restart the service";
	return NULL;
}

static void given(void *arg, pid_t to)
{
	struct daemon *d = arg;
	int r = d->notify->fd >= 0 ? notify_wait(d->notify, "MAINPID=%d", (int)to) : 0;

	if (r < 0)
		log_error("handover: the service manager was not told who follows, and is to start another: %s",
			strerror(-r));

	/* Who connects or asks now does so there, also those that this turn of the loop has heard already. */
	loop_leave(d->loop);
	d->foreign = true;
	d->stop = true;
	/* For it the service is this process: ending well would end the tunnel, and let go of the interface. */
	d->result = r < 0 ? r : 1;
}

int daemon_make_give(struct daemon *d, struct ctl_service *ret)
{
	struct handover_host host = {.loop = d->loop,
		.device = d->device,
		.uapi = d->server,
		.signals_fd = d->signals.fd,
		.now = give_now,
		.describe = give_describe,
		.config_changes = give_config_changes,
		.tunnel_changes = give_tunnel_changes,
		.objection = give_objection,
		.freeze = give_freeze,
		.thaw = give_thaw,
		.given = given,
		.identity = d->identity,
		.arg = d};
	int r = handover_give_new(&host, &d->give);

	if (r < 0)
		return r;
	/* Before Linux 5.3 there is none: then nobody takes over from us when we die on the way. */
	d->process_fd = (int)syscall(SYS_pidfd_open, getpid(), 0);
	handover_give_service(d->give, ret);
	return 0;
}

/* ---- taking over ---- */

static int take_sockets(struct daemon *d, struct handover_tunnel *t)
{
	struct udp_config config = daemon_udp_config(d, d->port);
	unsigned n = max(t->n_udp4, t->n_udp6);
	int r;

	if (!n)
		return 0;
	r = udp_adopt(&config, t->udp4, t->udp6, n, &d->udp);
	if (r < 0)
		return r;
	for (unsigned i = 0; i < n; i++)
		t->udp4[i] = t->udp6[i] = -1;
	return 0;
}

/* A trial: it may still fail, and the other one goes on. */
int daemon_make_taken(struct daemon *d)
{
	struct handover_tunnel *t;

	if (!d->take)
		return 0;
	t = handover_take_tunnel(d->take);
	d->port = t->port;
	d->fwmark = t->fwmark;
	d->link_up = t->up;
	d->bind = t->bind;
	return take_sockets(d, t) < 0 ? -EBADF : handover_take_import(d->take, d->device, daemon_now());
}

/* The tunnel is ours, and packets wait. */
static void go_on(struct daemon *d, struct handover_take *take)
{
	struct udp_config config = daemon_udp_config(d, d->port);
	uint64_t frozen_ns = handover_take_frozen(take);

	capture_socket(d->capture, d->port, d->fwmark);
	tun_attach_queues(d->tun);
	if (d->udp)
		udp_grow(d->udp, &config);
	path_resume(d->path, d->udp);
	if (frozen_ns)
		log_info("handover: took over pid=%llu version=%s workers=%u pause_us=%llu",
			(unsigned long long)handover_take_tunnel(take)->pid,
			handover_take_tunnel(take)->program, d->workers,
			(unsigned long long)((daemon_now().boot_ns - frozen_ns) / 1000));
	handover_take_clients(take, d->server);
	d->deadline_ns = 0;
	if (d->link_up && !d->udp)
		d->bind_retry_ns = 0;
}

/* What the link became while nobody looked. */
static int look_at_link(struct daemon *d)
{
	int r = link_start(d->link);

	if (r >= 0 && d->link_up && !link_is_up(d->link))
		daemon_link_went_down(d);
	return r;
}

int daemon_take_over(struct daemon *d)
{
	struct handover_take *take = steal(d->take);
	int r = handover_take_finish(take, d->device, daemon_now);

	if (r < 0)
		return r;
	d->foreign = false;
	go_on(d, take);
	r = look_at_link(d);
	if (r < 0)
		log_error("link: cannot read its state: %s", strerror(-r));
	return r;
}
