#include "tunnel/daemon_state.h"

#include "tunnel/handover_give.h"
#include "tunnel/key_file.h"
#include "tunnel/link.h"
#include "tunnel/path.h"
#include "tunnel/process.h"
#include "tunnel/uapi_server.h"

#include "base/buf.h"
#include "base/local_socket.h"
#include "base/log.h"

#include <errno.h>
#include <net/if.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/signalfd.h>

#define BIND_RETRY_NS (2 * NS_PER_S)
#define EFFECTS_PER_SEND UDP_SEND_MAX

/* ---- what the device asks for ---- */

/* Whose files those of ours are: another daemon's, until it has given them or once it has them. */
static void free_sockets(struct daemon *d)
{
	if (d->foreign) {
		if (d->server)
			uapi_server_leave(d->server);
		if (d->ctl)
			ctl_server_leave(d->ctl);
		close_fd(&d->uapi_fd);
		close_fd(&d->ctl_fd);
		d->uapi_fd = d->ctl_fd = -1;
	}
	uapi_server_free(d->server);
	if (d->uapi_fd >= 0)
		uapi_socket_remove(UAPI_SOCKET_DIR, d->name, d->uapi_fd);
	ctl_server_free(d->ctl);
	ctl_socket_remove(d->name, d->ctl_fd);
}

/* There is no way to go on, and nobody to tell: leave nothing behind but the reason. */
static _Noreturn void die(struct daemon *d, int error)
{
	log_error("random: the kernel gives none: %s", strerror(error));
	free_sockets(d);
	_exit(1);
}

static void draw(struct daemon *d, void *buf, size_t len)
{
	uint8_t *p = buf;

	while (len) {
		ssize_t n = getrandom(p, len, 0);

		if (n < 0 && errno != EINTR)
			die(d, errno); /* no key may be made without it */
		if (n > 0) {
			p += n;
			len -= (size_t)n;
		}
	}
}

/* Numbers are no secrets, and are drawn many at a time: a call for each would be a third of a percent of a handshake. */
static void device_random(void *arg, void *buf, size_t len)
{
	static _Thread_local uint32_t numbers[64];
	static _Thread_local size_t n;

	if (len != sizeof(numbers[0])) {
		draw(arg, buf, len);
		return;
	}
	if (!n) {
		draw(arg, numbers, sizeof(numbers));
		n = array_size(numbers);
	}
	memcpy(buf, &numbers[--n], len);
}

static void device_wake(void *arg)
{
	struct daemon *d = arg;

	eventfd_write(d->wake.fd, 1);
}

/* Where others take the processor for long, we then have it as long: else they would have it all. */
static void device_yield(void *arg)
{
	struct daemon *d = arg;
	uint64_t now_ns = clock_ns(CLOCK_MONOTONIC), then_ns;

	if (now_ns < d->yield_ns)
		return;
	sched_yield();
	then_ns = clock_ns(CLOCK_MONOTONIC);
	d->yield_ns = then_ns + (then_ns - now_ns);
}

static void send_effects(struct daemon *d, struct udp_message m[], struct wg_peer *peers[], unsigned n)
{
	if (!d->udp) {
		for (unsigned i = 0; i < n; i++)
			wg_device_drop(d->device, WG_DROP_LINK_DOWN, 1,
				(struct wg_tap_packet){
					.peer = peers[i], .endpoint = m[i].to, .tos = m[i].tos});
		return;
	}
	if (!n)
		return;
	udp_send(&d->udp->control, m, n);
	for (unsigned i = 0; i < n; i++) {
		if (m[i].error) {
			wg_device_drop(d->device, WG_DROP_SEND_FAILED, m[i].dropped,
				(struct wg_tap_packet){.peer = peers[i],
					.endpoint = m[i].to,
					.tos = m[i].tos,
					.error = m[i].error});
			log_limited(LOG_LEVEL_VERBOSE, "udp: cannot send: %s",
				strerror(-m[i].error));
		}
		if (m[i].source_refused && peers[i])
			wg_peer_clear_source(d->device, peers[i]);
	}
}

static void drain(struct daemon *d)
{
	struct wg_endpoint endpoints[EFFECTS_PER_SEND];
	struct udp_message messages[EFFECTS_PER_SEND];
	struct wg_peer *peers[EFFECTS_PER_SEND];
	struct wg_effect e;
	unsigned n = 0;

	while (wg_device_effect(d->device, &e)) {
		endpoints[n] = e.endpoint;
		peers[n] = e.peer;
		messages[n] = (struct udp_message){.to = &endpoints[n],
			.data = e.data,
			.len = (uint32_t)e.len,
			.segment = (uint32_t)e.len,
			.tos = e.tos};
		if (++n == EFFECTS_PER_SEND) {
			send_effects(d, messages, peers, n);
			n = 0;
		}
	}
	send_effects(d, messages, peers, n);
}

void daemon_run_device(struct daemon *d)
{
	d->deadline_ns = wg_device_run(d->device, daemon_now());
	drain(d);
}

/* ---- link and sockets ---- */

static void put_bind(const struct bind *b, struct buf *ret)
{
	const struct bind_address *addresses[] = {&b->v4, &b->v6};

	for (size_t i = 0; i < array_size(addresses); i++) {
		if (addresses[i]->family)
			buf_puts(ret, " address=");
		bind_address_format(addresses[i], ret);
	}
	if (b->device[0])
		buf_printf(ret, " device=%s", b->device);
}

static void stop_binding(struct daemon *d)
{
	d->bind_retry_ns = UINT64_MAX;
	d->bind_error = 0;
}

struct udp_config daemon_udp_config(const struct daemon *d, uint16_t port)
{
	return (struct udp_config){.port = port,
		.mark = d->fwmark,
		.workers = d->workers,
		.without = d->without,
		.bind = d->bind};
}

static int open_sockets(struct daemon *d, uint16_t port)
{
	struct udp_config config = daemon_udp_config(d, port);
	cleanup(buf_done) struct buf where = buf_of_max(256);
	struct udp *new = NULL;
	int r = udp_open(&config, &new);

	if (r < 0)
		return r;
	/* The new ones stand before the old ones go: a port that cannot be had changes nothing. */
	path_pause(d->path);
	udp_freep(&d->udp);
	d->udp = new;
	d->port = new->port;
	capture_socket(d->capture, d->port, d->fwmark);
	d->tunnel_changes++;
	path_resume(d->path, new);
	stop_binding(d);
	wg_peer_clear_source(d->device, NULL);
	put_bind(&d->bind, &where);
	wg_device_tell(d->device, WG_EVENT_BOUND);
	log_info("udp: listening port=%u%s", d->port, buf_str(&where));
	return 0;
}

static void close_sockets(struct daemon *d)
{
	path_pause(d->path);
	udp_freep(&d->udp);
	d->udp = NULL;
	d->tunnel_changes++;
	path_resume(d->path, NULL);
}

static const char *bind_error(const struct bind *b, int r)
{
	if (r == -EADDRNOTAVAIL && b->v4.family && b->v6.family)
		return "one of the addresses is on no interface here";
	if (r == -EADDRNOTAVAIL)
		return "the address is on no interface here";
	if (r == -ENODEV)
		return "there is no such interface";
	if (r == -EPERM && b->device[0])
		return "binding to a device takes Linux 5.7 or CAP_NET_RAW";
	return strerror(-r);
}

/* Each reason is told once, not each try. */
static void bind_failed(struct daemon *d, int r)
{
	cleanup(buf_done) struct buf where = buf_of_max(256);

	put_bind(&d->bind, &where);
	if (d->bind_error != r)
		log_error("udp: cannot bind port %u: %s; trying again every %u s%s", d->port,
			bind_error(&d->bind, r), (unsigned)(BIND_RETRY_NS / NS_PER_S),
			buf_str(&where));
	d->bind_error = r;
	wg_device_tell(d->device, WG_EVENT_BIND_FAILED);
	d->bind_retry_ns = clock_ns(CLOCK_BOOTTIME) + BIND_RETRY_NS;
}

static int go_up(struct daemon *d)
{
	int r = open_sockets(d, d->port);

	if (r < 0) {
		bind_failed(d, r);
		return r;
	}
	wg_device_up(d->device, daemon_now());
	daemon_run_device(d);
	return 0;
}

static void link_went_up(void *arg)
{
	struct daemon *d = arg;

	/* As the daemon knew that was replaced by this one. */
	if (d->link_up)
		return;

	log_info("link: up");
	d->link_up = true;
	d->tunnel_changes++;
	go_up(d);
}

void daemon_link_went_down(void *arg)
{
	struct daemon *d = arg;

	log_info("link: down");
	d->link_up = false;
	stop_binding(d);
	wg_device_down(d->device);
	drain(d);
	close_sockets(d);
}

static void link_has_mtu(void *arg, unsigned mtu)
{
	struct daemon *d = arg;

	log_info("link: mtu=%u", mtu);
	wg_device_set_mtu(d->device, mtu);
}

static void link_renamed(void *arg, const char *name)
{
	log_info("link: name=%s", name);
}

static void link_gone(void *arg)
{
	struct daemon *d = arg;

	log_info("link: deleted");
	d->stop = true;
}

static void routes_changed(void *arg)
{
	struct daemon *d = arg;
	uint32_t device = d->udp && d->bind.device[0] ? if_nametoindex(d->bind.device) : 0;
	int r = 0;

	/* A device that was deleted and made again is another, to which no socket is bound. */
	if (device && device != d->udp->device_ifindex)
		r = open_sockets(d, d->port);
	if (r < 0)
		bind_failed(d, r);
	if (d->udp)
		udp_routes_changed(d->udp);
}

/* ---- what the configuration asks for ---- */

static struct wg_now host_now(void *arg)
{
	return daemon_now();
}

static int host_set_listen_port(void *arg, uint16_t port)
{
	struct daemon *d = arg;
	int r = 0;

	if (!d->link_up) {
		d->port = port;
		d->tunnel_changes++;
	} else if (!d->udp) {
		d->port = port;
		d->bind_error = 0;
		r = go_up(d);
	} else if (port != d->port) {
		r = open_sockets(d, port);
	}
	return r;
}

static uint16_t host_listen_port(void *arg)
{
	return ((struct daemon *)arg)->port;
}

static int host_set_fwmark(void *arg, uint32_t mark)
{
	struct daemon *d = arg;
	int r = d->udp ? udp_set_mark(d->udp, mark) : 0;

	if (r < 0)
		return r;
	d->fwmark = mark;
	capture_socket(d->capture, d->port, d->fwmark);
	d->tunnel_changes++;
	wg_peer_clear_source(d->device, NULL);
	return 0;
}

static uint32_t host_fwmark(void *arg)
{
	return ((struct daemon *)arg)->fwmark;
}

static uint32_t host_scope_id(void *arg, const char *name)
{
	return if_nametoindex(name);
}

static void host_changed(void *arg)
{
	struct daemon *d = arg;

	d->config_changes++;
	daemon_run_device(d);
}

static void host_refused(void *arg, size_t line, const char *key, int error)
{
	log_limited(LOG_LEVEL_ERROR,
		"uapi: a set request stopped at a line, and those before it are applied "
		"line=%zu key=%s errno=%d",
		line, key ? key : "unknown", error);
}

static void socket_gone(void *arg)
{
	struct daemon *d = arg;

	log_info("uapi: the socket was removed");
	d->stop = true;
}

/* ---- the control thread's descriptors ---- */

static void woken(struct loop_source *s, uint32_t events)
{
	struct daemon *d = container_of(s, struct daemon, wake);
	eventfd_t unused;

	eventfd_read(s->fd, &unused);
	d->deadline_ns = 0;
	if (atomic_load_explicit(&d->tun_gone, memory_order_relaxed))
		d->stop = true;
}

static void signalled(struct loop_source *s, uint32_t events)
{
	struct daemon *d = container_of(s, struct daemon, signals);
	struct signalfd_siginfo info;

	if (read(s->fd, &info, sizeof(info)) == sizeof(info)) {
		log_info("signal: %s", strsignal((int)info.ssi_signo));
		d->stop = true;
	}
}

static void worker_lost_tun(void *arg)
{
	struct daemon *d = arg;

	atomic_store_explicit(&d->tun_gone, true, memory_order_relaxed);
	eventfd_write(d->wake.fd, 1);
}

int daemon_run(struct daemon *d)
{
	process_show_interrupt();
	while (!d->stop) {
		uint64_t t = clock_ns(CLOCK_BOOTTIME), due;
		int timeout = -1, r;

		if (d->bind_retry_ns <= t)
			go_up(d);
		if (d->deadline_ns <= t)
			daemon_run_device(d);
		t = clock_ns(CLOCK_BOOTTIME);
		handover_give_tick(d->give);
		due = min(d->deadline_ns, d->bind_retry_ns);
		due = min(due, handover_give_due(d->give));
		if (due != UINT64_MAX) {
			uint64_t ms = due > t ? (due - t + NS_PER_MS - 1) / NS_PER_MS : 0;

			timeout = (int)min(ms, (uint64_t)3600000);
		}
		r = loop_wait(d->loop, timeout);
		if (r < 0)
			return r;
	}
	return d->result;
}

/* ---- life ---- */

/* For debuggers: where dist/gdb/ginnel-gdb.py begins. */
static __attribute__((used)) struct wg_device *ginnel_device;

static int make_device(struct daemon *d)
{
	struct wg_device_config config = {.random = device_random,
		.wake = device_wake,
		.yield = device_yield,
		.arg = d,
		.workers = d->workers,
		.retain = d->retain};
	int r = wg_device_new(&config, &d->device);

	if (r >= 0)
		ginnel_device = d->device;
	return r;
}

static int make_path(struct daemon *d)
{
	struct path_config config = {
		.device = d->device,
		.tun = d->tun,
		.workers = d->workers,
		.without = d->without,
		.tun_gone = worker_lost_tun,
		.arg = d,
	};
	int r;

	events_init(&d->events);
	r = path_new(&config, &d->path);
	if (r >= 0 && !d->take)
		path_resume(d->path, NULL);
	return r;
}

static int make_uapi(struct daemon *d)
{
	struct uapi_host host = {.now = host_now,
		.set_listen_port = host_set_listen_port,
		.listen_port = host_listen_port,
		.set_fwmark = host_set_fwmark,
		.fwmark = host_fwmark,
		.scope_id = host_scope_id,
		.changed = host_changed,
		.refused = host_refused,
		.arg = d};
	struct uapi_server_config server = {.loop = d->loop,
		.dir = UAPI_SOCKET_DIR,
		.name = d->name,
		.fd = d->uapi_fd,
		.gone = socket_gone,
		.arg = d};
	int r = uapi_new(d->device, &host, &d->uapi);

	if (r < 0)
		return r;
	server.uapi = d->uapi;
	r = uapi_server_new(&server, &d->server);
	if (r >= 0)
		d->uapi_fd = -1;
	return r;
}

static void tell_facts(void *arg, struct ctl_facts *ret)
{
	const struct daemon *d = arg;

	*ret = (struct ctl_facts){
		.up = d->link_up && d->udp, .port = d->port, .fwmark = d->fwmark, .bind = d->bind};
}

/* ---- listeners ---- */

static void capture_quiet(void *arg, bool on)
{
	struct daemon *d = arg;

	if (d->frozen)
		return;
	if (on)
		path_pause(d->path);
	else
		path_resume(d->path, d->udp);
}

static void capture_due(void *arg)
{
	((struct daemon *)arg)->deadline_ns = 0;
}

static int make_capture(struct daemon *d)
{
	const struct capture_host host = {.loop = d->loop,
		.device = d->device,
		.first = key_file_tap(d->key_file, d->device, &d->events.tap),
		.workers = d->workers,
		.quiet = capture_quiet,
		.now = host_now,
		.due = capture_due,
		.arg = d};

	return capture_new(&host, &d->capture);
}

/* ---- the control channel ---- */

static int make_ctl(struct daemon *d)
{
	struct ctl_stats_config stats = {.device = d->device,
		.tun = d->tun,
		.events = &d->events,
		.name = d->name,
		.retain = d->retain,
		.facts = tell_facts,
		.arg = d};
	struct ctl_server_config server = {.loop = d->loop,
		.fd = d->ctl_fd,
		.own = geteuid(),
		.services = d->services,
		.n_services = array_size(d->services)};
	char path[LOCAL_PATH_MAX];
	int r;

	if (d->ctl_fd < 0)
		return 0;
	r = ctl_socket_path(d->name, path);
	if (r >= 0)
		r = ctl_stats_new(&stats, &d->stats);
	if (r < 0)
		return r;
	ctl_stats_services(d->stats, d->services);
	r = daemon_make_give(d, &d->services[CTL_STATS_SERVICES]);
	if (r < 0)
		return r;
	capture_service(d->capture, &d->services[CTL_STATS_SERVICES + 1]);
	server.path = path;
	r = ctl_server_new(&server, &d->ctl);
	if (r >= 0)
		d->ctl_fd = -1;
	return r;
}

static int make_link(struct daemon *d)
{
	struct link_events events = {.up = link_went_up,
		.down = daemon_link_went_down,
		.mtu = link_has_mtu,
		.name = link_renamed,
		.gone = link_gone,
		.routes = routes_changed,
		.arg = d};
	int r = link_new(d->loop, d->tun->queues[0].fd, &events, &d->link);

	/* What it is now is the other's to know until we have taken over. */
	return r < 0 || d->take ? r : link_start(d->link);
}

static int make_sources(struct daemon *d)
{
	int r;

	d->wake.ready = woken;
	d->wake.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (d->wake.fd < 0)
		return -errno;
	d->signals.ready = signalled;
	r = process_signals(&d->signals.fd);
	if (r < 0)
		return r;
	r = loop_new(&d->loop);
	if (r < 0)
		return r;
	r = loop_add(d->loop, &d->wake, EPOLLIN);
	return r < 0 ? r : loop_add(d->loop, &d->signals, EPOLLIN);
}

/* All parts in their order; which one failed is what to look at. */
static int make_parts(struct daemon *d)
{
	static const struct {
		int		(*make)(struct daemon *d);
		const char	*what;
	} parts[] = {
		{make_sources, "event loop and signals"},
		{make_device, "the protocol's state"},
		{make_path, "threads and their buffers"},
		{make_capture, "listeners"},
		{make_uapi, "watching the socket"},
		{make_ctl, "the control channel"},
		{make_link, "following the interface"},
		{daemon_make_taken, "what the running daemon has"},
	};

	for (size_t i = 0; i < array_size(parts); i++) {
		int r = parts[i].make(d);

		if (r < 0) {
			log_error("cannot start: %s: %s%s", parts[i].what, strerror(-r),
				r == -EMFILE ? " (ulimit -n, or sysctl fs.inotify.max_user_instances)"
					     : "");
			return r;
		}
	}
	return 0;
}

int daemon_new(const struct daemon_config *config, struct daemon **ret)
{
	cleanup(daemon_freep) struct daemon *d = calloc(1, sizeof(*d));
	int r;

	if (!d && config->take) {
		tun_free(config->tun);
		close_fd(&config->uapi_fd);
		close_fd(&config->ctl_fd);
		log_error("cannot start: %s", strerror(ENOMEM));
		return -ENOMEM;
	}
	if (!d) {
		tun_free(config->tun);
		uapi_socket_remove(UAPI_SOCKET_DIR, config->name, config->uapi_fd);
		ctl_socket_remove(config->name, config->ctl_fd);
		log_error("cannot start: %s", strerror(ENOMEM));
		return -ENOMEM;
	}
	d->tun = config->tun;
	d->uapi_fd = config->uapi_fd;
	d->ctl_fd = config->ctl_fd;
	d->name = config->name;
	d->wake.fd = d->signals.fd = d->process_fd = -1;
	d->workers = config->workers;
	d->take = config->take;
	d->foreign = config->take != NULL;
	d->without = config->without;
	d->retain = config->retain;
	d->bind = config->bind;
	d->identity = config->identity;
	d->notify = config->notify;
	d->key_file = config->key_file;
	d->bind_retry_ns = UINT64_MAX;
	r = make_parts(d);
	if (r < 0)
		return r;
	log_verbose("daemon: cipher=\"%s\" workers=%u",
		wg_worker_cipher(wg_device_worker(d->device, 0)), d->workers);
	if (d->retain)
		log_info("daemon: --retain-keys: the keys of handshakes stay in memory as long as their sessions; "
			 "who gets hold of them reads what went through since");
	*ret = steal(d);
	return 0;
}

void daemon_free(struct daemon *d)
{
	free_sockets(d);
	handover_give_free(d->give);
	ctl_stats_free(d->stats);
	uapi_free(d->uapi);
	link_free(d->link);
	path_freep(&d->path);
	udp_freep(&d->udp);
	capture_free(d->capture);
	if (d->device)
		events_tell_drops(d->device);
	ginnel_device = NULL;
	wg_device_freep(&d->device);
	tun_freep(&d->tun);
	if (d->loop) {
		loop_remove(d->loop, &d->wake);
		loop_remove(d->loop, &d->signals);
	}
	loop_free(d->loop);
	close_fd(&d->wake.fd);
	close_fd(&d->signals.fd);
	close_fd(&d->process_fd);
	free(d);
}
