/* ginnel-wg: WireGuard in user space. */
#include "tunnel/box.h"
#include "tunnel/ctl_server.h"
#include "tunnel/daemon.h"
#include "tunnel/handover_take.h"
#include "tunnel/key_file.h"
#include "tunnel/null_cipher.h"
#include "tunnel/options.h"
#include "tunnel/process.h"
#include "tunnel/steering.h"
#include "tunnel/uapi_server.h"

#include "base/notify.h"
#include "base/pages.h"
#include "base/sandbox.h"
#include "crypto/load.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <sys/stat.h>

#define WORKERS_DEFAULT_MAX 8
#define STACK_BYTES (256u << 10) /* of the control thread: it has buffers of 64 KiB and less there */
#define OTHERS_LOCK(dir) dir "/.lock is another user's: remove it, if none of theirs is just starting"
#define OTHERS_SOCKET "it is another user's: end the daemon that they run, or remove the file if there is none"
#define KEPT_TUN "tun" /* the queues, where the service manager keeps them */

static unsigned default_workers(void)
{
	cpu_set_t cpus;
	int n = sched_getaffinity(0, sizeof(cpus), &cpus) < 0 ? 1 : CPU_COUNT(&cpus);

	return (unsigned)min(max(n, 1), WORKERS_DEFAULT_MAX);
}

static const char *open_error(int r)
{
	switch (-r) {
	case EBUSY:
		return "an interface of this name exists already: choose another name, or delete it";
	case EPERM:
		return "it takes CAP_NET_ADMIN: run it as root";
	case EACCES:
		return "/dev/net/tun may not be opened: run it as root, and give a container the device";
	case ENOENT:
		return "there is no /dev/net/tun: load the module tun, or give the container the device";
	case ENODEV:
		return "the kernel has no TUN driver: load the module tun";
	default:
		return strerror(-r);
	}
}

/*
 * The interface of a daemon that died in our place: with it addresses, routes and rules stayed, so
 * that nothing went around the tunnel.  False: there is none, or it was deleted meanwhile.
 */
static bool take_up_tun(const struct options *o, const struct notify *n, struct tun **ret)
{
	int fds[NOTIFY_FDS_MAX], r;
	size_t n_fds = notify_kept(KEPT_TUN, fds);

	if (!n_fds)
		return false;
	r = tun_adopt(fds, (unsigned)n_fds, o->without, ret);
	if (r >= 0) {
		log_info("tun: took up the interface %s that was kept queues=%zu", (*ret)->name, n_fds);
		return true;
	}
	log_info("tun: the interface that was kept is no more: %s", strerror(-r));
	for (size_t i = 0; i < n_fds; i++)
		close(fds[i]);
	notify_forget(n, KEPT_TUN);
	return false;
}

/* Where it cannot be kept the tunnel works all the same. */
static void keep_tun(const struct tun *t, const struct notify *n)
{
	unsigned n_fds = 0;
	int fds[TUN_QUEUES_MAX], r;

	for (; n_fds < t->n_queues && !t->queues[n_fds].shared; n_fds++)
		fds[n_fds] = t->queues[n_fds].fd;
	r = notify_keep(n, KEPT_TUN, fds, n_fds);
	if (r < 0)
		log_info("tun: a crash will take the interface along: the service manager does not "
			 "keep it: %s", strerror(-r));
}

/* 0: the interface was there; 1: it is made, and equip_tun() is to follow. */
static int get_tun(const struct options *o, const struct environment *env, const struct notify *n,
	struct tun **ret)
{
	int r;

	if (env->tun_fd >= 0) {
		r = process_adopt_fd(env->tun_fd);
		if (r >= 0)
			r = tun_adopt(&env->tun_fd, 1, o->without, ret);
		if (r >= 0)
			r = tun_set_own_mtu(*ret, TUN_MTU_DEFAULT);
		if (r < 0)
			log_error("WG_TUN_FD: descriptor %d is no usable TUN device: %s", env->tun_fd,
				strerror(-r));
		return r;
	}
	if (take_up_tun(o, n, ret))
		return 0;
	r = tun_open(o->name, o->without, ret);
	if (r < 0)
		log_error("cannot create the interface %s: %s", o->name, open_error(r));
	return r < 0 ? r : 1;
}

/* Who waits for the socket need not wait for this. */
static void equip_tun(const struct options *o, const struct notify *n, struct tun *t)
{
	tun_equip(t, o->workers ? o->workers : default_workers(), o->without);
	keep_tun(t, n);
}

static int get_uapi(const struct environment *env, const char *name, int *ret)
{
	int r;

	if (env->uapi_fd >= 0) {
		*ret = env->uapi_fd;
		r = process_adopt_fd(env->uapi_fd);
		if (r >= 0)
			r = uapi_socket_adopt(env->uapi_fd);
		if (r < 0)
			log_error("WG_UAPI_FD: descriptor %d is no listening socket: %s",
				env->uapi_fd, strerror(-r));
		return r;
	}
	r = uapi_socket_listen(UAPI_SOCKET_DIR, name, ret);
	if (r == -EADDRINUSE)
		log_error("%s/%s.sock is in use: another daemon serves %s", UAPI_SOCKET_DIR, name,
			name);
	else if (r == -EOWNERDEAD)
		log_error("cannot listen on %s/%s.sock: %s", UAPI_SOCKET_DIR, name,
			OTHERS_LOCK(UAPI_SOCKET_DIR));
	else if (r == -EPERM)
		log_error("cannot listen on %s/%s.sock: " OTHERS_SOCKET, UAPI_SOCKET_DIR, name);
	else if (r == -EEXIST)
		log_error("%s/%s.sock is no socket: take away what is there", UAPI_SOCKET_DIR, name);
	else if (r < 0)
		log_error("cannot listen on %s/%s.sock: %s", UAPI_SOCKET_DIR, name, strerror(-r));
	return r;
}

/* A tunnel without a control channel is still a tunnel. */
static int get_ctl(const char *name)
{
	int fd = -1, r = ctl_socket_listen(name, &fd);

	if (r >= 0)
		return fd;
	log_error("ctl: cannot listen on " CTL_DIR "/%s" CTL_SUFFIX
		  ": %s; going on, and ginnel stats will not see this tunnel",
		name,
		r == -EADDRINUSE    ? "another daemon serves it"
		: r == -EOWNERDEAD ? OTHERS_LOCK(CTL_DIR)
		: r == -EPERM	    ? OTHERS_SOCKET
				    : strerror(-r));
	return -1;
}

static void log_without(unsigned without)
{
	cleanup(buf_done) struct buf names = buf_of_max(512);

	flags_format(&fast_path_enum, without, &names);
	fast_path_fell_back(without & FAST_PATH_TUN_VNET ? without | FAST_PATH_WITH_VNET : without,
		FAST_PATH_EXCLUDED, 0);
	if (without)
		log_info("daemon: parts of the fast path are off without=\"%s\"", buf_str(&names));
}

/* The listening sockets, until the daemon owns them. */
struct listener {
	char	name[IFNAMSIZ];
	int	fd;
	int	ctl_fd;
	bool	foreign;	/* another daemon's, which keeps their files when this one fails */
};

static void listener_remove(const struct listener *l)
{
	if (l->foreign) {
		close_fd(&l->fd);
		close_fd(&l->ctl_fd);
		return;
	}
	if (l->fd >= 0)
		uapi_socket_remove(UAPI_SOCKET_DIR, l->name, l->fd);
	ctl_socket_remove(l->name, l->ctl_fd);
}

/* ---- in the place of another daemon ---- */

static bool takes_over(const struct options *o)
{
	return o->replace || o->upgrade;
}

/* The program's file, and what it is told: two daemons that are called the same do the same.  "": not known. */
static void identify(const struct options *o, const struct environment *env, struct buf *ret)
{
	struct stat st;

	if (stat("/proc/self/exe", &st) < 0)
		return;
	buf_printf(ret, "file=%llx:%llx workers=%u without=%x log=%d keys=%s device=%s", (unsigned long long)st.st_dev,
		(unsigned long long)st.st_ino, o->workers, o->without, (int)env->log_level, env->key_log,
		o->bind.device);
	bind_address_format(&o->bind.v4, ret);
	bind_address_format(&o->bind.v6, ret);
}

/* Sockets are bound already: other addresses cannot be had without losing what waits in them. */
static bool same_bind(const struct bind *wanted, const struct bind *is)
{
	return (!wanted->v4.family || !memcmp(&wanted->v4, &is->v4, sizeof(is->v4))) &&
		(!wanted->v6.family || !memcmp(&wanted->v6, &is->v6, sizeof(is->v6))) &&
		(!wanted->device[0] || !strcmp(wanted->device, is->device));
}

static int take_tun(const struct options *o, struct handover_tunnel *t, unsigned *ret_workers,
	struct tun **ret)
{
	unsigned wanted = o->workers ? o->workers : default_workers(), queues;
	int r = tun_adopt(t->tun, t->n_tun, o->without, ret);

	if (r < 0) {
		log_error("cannot take over %s: its interface: %s", o->name, strerror(-r));
		return r;
	}
	for (unsigned i = 0; i < t->n_tun; i++)
		t->tun[i] = -1;
	queues = tun_prepare_queues(*ret, wanted);
	if (queues < wanted)
		log_info("tun: the interface has no queues for more workers: workers=%u", queues);
	*ret_workers = min(wanted, queues);
	/* The same program as before, or a newer one; until now it may have had one queue. */
	if (*ret_workers > 1 && !(o->without & FAST_PATH_TUN_STEERING))
		(void)steering_attach((*ret)->queues[0].fd);
	return 0;
}

/*
 * Its manager takes for the service's main process only one of the service, which a command of its
 * reload is, and not that command itself.
 */
static int check_managed(const struct options *o, const struct environment *env, const struct handover_tunnel *t)
{
	if (!t->managed || (env->main_pid == t->pid && !o->foreground && !env->foreground))
		return 0;
	log_error("cannot take over %s: it is a service, whose manager would lose it: reload that, as "
		  "with systemctl reload ginnel-wg@%s", o->name, o->name);
	return -EPERM;
}

/*
 * What the daemon has that serves the name.  It goes on until daemon_take_over(), and if that is
 * never reached.
 */
static int prepare_take(const struct options *o, const struct environment *env, const char *identity,
	struct handover_take **ret, struct listener *l, unsigned *ret_workers, struct tun **ret_tun)
{
	struct handover_tunnel *t;
	int r = handover_take_begin(o->name, o->upgrade && *identity ? identity : NULL, ret);

	if (r < 0)
		return r;
	t = handover_take_tunnel(*ret);
	r = check_managed(o, env, t);
	if (r < 0)
		return r;
	if (!same_namespace_as(t->uapi_fd)) {
		log_error("cannot take over %s: it runs in another network namespace: start the new one there",
			o->name);
		return -EXDEV;
	}
	if (!same_bind(&o->bind, &t->bind)) {
		log_error("cannot take over %s: it is bound elsewhere than --bind-address and "
			  "--bind-device say: leave them out, or restart it", o->name);
		return -EADDRNOTAVAIL;
	}
	r = take_tun(o, t, ret_workers, ret_tun);
	if (r < 0)
		return r;
	l->fd = t->uapi_fd;
	l->ctl_fd = t->ctl_fd;
	l->foreign = true;
	t->uapi_fd = t->ctl_fd = -1;
	return 0;
}

/* 1: the interface is made, and equip_tun() is to follow. */
static int prepare(const struct options *o, const struct environment *env, const char *identity,
	const struct notify *n, struct handover_take **take, struct listener *l, unsigned *workers,
	struct tun **tun)
{
	int r;

	if (takes_over(o)) {
		snprintf(l->name, sizeof(l->name), "%s", o->name);
		return prepare_take(o, env, identity, take, l, workers, tun);
	}
	r = get_tun(o, env, n, tun);
	if (r < 0)
		return r;
	snprintf(l->name, sizeof(l->name), "%s", (*tun)->name);
	return r;
}

static int go_background(const struct options *o, const struct environment *env, int *ret_ready_fd)
{
	int r = o->foreground || env->foreground ? 0 : process_daemonise(takes_over(o), ret_ready_fd);

	if (r < 0)
		log_error("cannot go into the background: %s", strerror(-r));
	return r;
}

/* Late, since it takes longer than all that was done until here, and before files are out of reach. */
static int load_libraries(void)
{
	const char *why = crypto_load();

	if (why) {
		log_error("cannot load the libraries of the cipher: %s: install them", why);
		return -ELIBACC;
	}
	why = sandbox_load();
	if (why)
		log_error("cannot load the library of the filter of system calls: %s: install it", why);
	return why ? -ELIBACC : 0;
}

static int serve(const struct options *o, const struct environment *env, const struct notify *n)
{
	cleanup(handover_take_freep) struct handover_take *take = NULL;
	cleanup(tun_freep) struct tun *tun = NULL;
	cleanup(key_file_close) struct key_file keys = {.log = KEY_LOG_NONE};
	cleanup(listener_remove) struct listener listener = {.fd = -1, .ctl_fd = -1};
	cleanup(buf_done) struct buf identity = buf_of_max(PATH_MAX + 1024);
	cleanup(daemon_freep) struct daemon *d = NULL;
	const struct tun *kept;
	struct daemon_config config;
	unsigned workers = 0;
	char prefix[64];
	int ready_fd = -1, r;
	bool made;

	r = process_hold_signals();
	if (r < 0) {
		log_error("cannot hold signals: %s", strerror(-r));
		return r;
	}
	/* First, so that it is known to the other one and to its manager by who it will be. */
	if (takes_over(o)) {
		identify(o, env, &identity);
		r = go_background(o, env, &ready_fd);
		if (r < 0)
			return r;
	}
	r = prepare(o, env, buf_str(&identity), n, &take, &listener, &workers, &tun);
	if (r == -EALREADY) {
		log_info("%s is served by this very program: nothing to do", o->name);
		process_ready(ready_fd, true);
		return 0;
	}
	if (r < 0)
		return r;
	made = r > 0;
	snprintf(prefix, sizeof(prefix), "ginnel-wg(%s)", listener.name);
	log_open(prefix, env->log_level);
	log_without(o->without);
	if (!take) {
		r = get_uapi(env, listener.name, &listener.fd);
		if (r < 0)
			return r;
		listener.ctl_fd = get_ctl(listener.name);
		r = go_background(o, env, &ready_fd);
		if (r < 0)
			return r;
		if (made)
			equip_tun(o, n, tun);
		workers = tun->n_queues;
		tun_steer(tun, o->without);
		identify(o, env, &identity);
	}
	r = load_libraries();
	if (r < 0)
		return r;
	key_file_open(&keys, env->key_log);
	/* Not in a sanitizer's address space: it gives back pages, and locked ones cannot be. */
	r = SANITIZERS ? 0 : process_lock_memory();
	if (r < 0)
		log_info("process: memory is not locked, keys may get into swap: %s", strerror(-r));
	r = process_drop_privileges();
	if (r < 0) {
		log_error("cannot give up privileges: %s", strerror(-r));
		return r;
	}
	/* Threads that are started later are inside; files are needed no more. */
	r = box_shut_files(listener.fd, UAPI_SOCKET_DIR, listener.ctl_fd < 0 ? NULL : CTL_DIR,
		SANITIZERS);
	if (r < 0) {
		log_error("cannot fence off the files: %s", strerror(-r));
		return r;
	}
	kept = tun;
	config = (struct daemon_config){
		.tun = steal(tun), .uapi_fd = listener.fd, .ctl_fd = listener.ctl_fd,
		.name = listener.name, .workers = workers, .without = o->without, .retain = o->retain,
		.bind = o->bind, .identity = buf_str(&identity), .notify = n, .key_file = &keys,
		.take = take};
	listener.fd = listener.ctl_fd = -1;
	r = daemon_new(&config, &d);
	if (r < 0)
		return r;
	r = box_shut_calls(SANITIZERS);
	if (r < 0) {
		log_error("cannot filter system calls: %s", strerror(-r));
		return r;
	}
	pages_forget_libraries();
	r = take ? daemon_take_over(d) : 0;
	if (r < 0)
		return r;
	if (take && n->fd >= 0) {
		/* Now the manager listens to this one. */
		handover_take_wait(take);
		keep_tun(kept, n);
	}
	process_ready(ready_fd, env->log_level_set);
	notify_say(n, "READY=1\nSTATUS=Serving the interface %s", listener.name);
	r = daemon_run(d);
	if (r > 0)
		return 0;
	notify_say(n, "STOPPING=1");
	if (r < 0)
		log_error("cannot go on: %s", strerror(-r));
	return r;
}

int main(int argc, char *argv[])
{
	cleanup(notify_close) struct notify notify = {.fd = -1};
	int keep[NOTIFY_FDS_MAX + 2];
	struct environment env;
	struct options o;
	size_t n_keep;
	int r;

	if (options_parse(argc, argv, getenv(OPTIONS_VARIABLE), &o, stderr) < 0)
		return 1;
	switch (o.action) {
	case OPTIONS_HELP:
		options_usage(argv[0], stdout);
		return 0;
	case OPTIONS_VERSION:
		options_version(stdout);
		return 0;
	case OPTIONS_RUN:
		break;
	}
#ifdef NULL_CIPHER
	if (!null_cipher_allowed(stderr))
		return 1;
#endif
	if (environment_read(&env, stderr) < 0)
		return 1;
	log_open("ginnel-wg", env.log_level);
	process_keep_small();
	n_keep = notify_kept(KEPT_TUN, keep);
	keep[n_keep++] = env.tun_fd;
	keep[n_keep++] = env.uapi_fd;
	r = process_close_others(keep, n_keep);
	if (r < 0) {
		log_error("cannot put /dev/null in the place of closed standard descriptors: %s",
			strerror(-r));
		return 1;
	}
	/* Without /proc the one that we got must do. */
	(void)process_own_stderr();
	r = process_need_stack(STACK_BYTES);
	if (r < 0) {
		log_error("the stack may not grow to %u bytes: %s (ulimit -s)", STACK_BYTES,
			strerror(-r));
		return 1;
	}
	if (process_protect() < 0)
		log_error("cannot protect the process against core dumps");
	/* Connected now: in the box no socket can be. */
	r = notify_open(&notify);
	if (r < 0)
		log_error("cannot reach the service manager that NOTIFY_SOCKET names: %s", strerror(-r));
	return serve(&o, &env, &notify) < 0 ? 1 : 0;
}
