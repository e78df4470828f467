#include "tunnel/path_worker.h"

#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#define STACK_BYTES (1u << 20)

/*
 * A worker whose turn took so long looks for more for a moment before it sleeps, and lets others have
 * the processor meanwhile.  What carries much will soon have more, and to be woken costs an idle
 * processor several times as long, where it is a virtual one.  Where others did want it, which is when
 * they had it for longer than this moment, it sleeps as usual for a while.
 */
#define LINGER_AFTER_NS 30000
#define LINGER_NS 6000
#define LINGER_NOT_NS 1000000

int path_watch(int epoll_fd, int fd, struct source *source)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.ptr = source};

	return epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &ev) == 0 || errno == EEXIST ? 0 : -errno;
}

void path_tun_gone(struct worker *w)
{
	w->path->config.tun_gone(w->path->config.arg);
}

/* All sources of this worker.  Without one it is deaf, so it tries until it has them. */
static void watch_sources(struct worker *w)
{
	int r = 0;

	for (unsigned i = 0; i < w->path->n_sources; i++)
		if (path_owns(w, &w->path->sources[i]))
			r = min(r, path_watch(w->epoll_fd, w->path->sources[i].fd, &w->path->sources[i]));
	if (r < 0)
		log_limited(LOG_LEVEL_ERROR,
			"epoll: cannot watch a queue or socket: %s; trying again every second",
			strerror(-r));
	w->deaf = r < 0;
}

/* Closed sockets leave epoll by themselves, but the control thread closes them only after this. */
static void unwatch_sockets(struct worker *w)
{
	for (unsigned i = 0; i < w->path->n_sources; i++)
		if (path_owns(w, &w->path->sources[i]) && !w->path->sources[i].tun)
			epoll_ctl(w->epoll_fd, EPOLL_CTL_DEL, w->path->sources[i].fd, NULL);
}

/* Parked while the control thread changes the sockets.  False: the thread is to end. */
static bool park(struct worker *w)
{
	struct path *p = w->path;
	uint64_t unused;
	bool stop;

	pthread_mutex_lock(&p->lock);
	p->n_parked++;
	pthread_cond_broadcast(&p->changed);
	while (p->paused && !p->stop)
		pthread_cond_wait(&p->changed, &p->lock);
	p->n_parked--;
	stop = p->stop;
	w->udp = p->udp ? &p->udp->queues[w->number] : NULL;
	w->port = p->udp ? p->udp->port : 0;
	pthread_mutex_unlock(&p->lock);
	if (read(w->event_fd, &unused, sizeof(unused)) < 0 && errno != EAGAIN)
		log_error("eventfd: %s", strerror(errno));
	w->deaf = false;
	if (!stop)
		watch_sources(w);
	return !stop;
}

/*
 * Between two batches: all that was read of a source has been sent.  The other one sees what waits
 * as soon as it watches it.
 */
static void give(struct worker *w, struct source *s, unsigned to)
{
	struct path *p = w->path;

	if (atomic_load_explicit(&s->helper, memory_order_acquire) >= 0)
		return; /* its work is shared already */
	if (epoll_ctl(w->epoll_fd, EPOLL_CTL_DEL, s->fd, NULL) < 0)
		return; /* it was not watched: its turn comes again */
	atomic_store_explicit(&s->owner, to, memory_order_release);
	if (path_watch(p->workers[to]->epoll_fd, s->fd, s) == 0)
		return;
	atomic_store_explicit(&s->owner, w->number, memory_order_relaxed);
	watch_sources(w);
}

static void balance(struct worker *w)
{
	struct path *p = w->path;
	uint64_t busy_ns[array_size(p->sources)];
	struct source *own[array_size(p->sources)];
	bool goes[array_size(p->sources)];
	uint64_t cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID), had_ns = cpu_ns - w->cpu_ns;
	unsigned n = 0, to;

	w->cpu_ns = cpu_ns;
	w->used_ns += had_ns - min(had_ns, w->lingered_ns + w->helped_ns);
	w->lingered_ns = w->helped_ns = 0;
	for (unsigned i = 0; i < p->n_sources; i++) {
		if (!path_owns(w, &p->sources[i]))
			continue;
		own[n] = &p->sources[i];
		busy_ns[n] = own[n]->busy_ns;
		n++;
	}
	balance_choose(&w->balance, w->now_ns, w->used_ns, p->loads, p->n, w->number, busy_ns, n, goes,
		&to);
	for (unsigned i = 0; i < n; i++) {
		own[i]->busy_ns = 0;
		if (goes[i])
			give(w, own[i], to);
	}
}

static void help(struct worker *w, struct source *s)
{
	uint64_t cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID), now_ns;

	path_from_udp(w, s);
	w->helped_ns += clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu_ns;
	now_ns = clock_ns(CLOCK_BOOTTIME);
	w->balance.help_ns += now_ns - w->now_ns;
	w->now_ns = now_ns;
}

/* A few batches of each source that has something.  Returns how long that took. */
static uint64_t serve(struct worker *w, const struct epoll_event events[], int n)
{
	uint64_t started_ns = w->now_ns, help_ns = w->balance.help_ns;

	for (int i = 0; i < n; i++) {
		struct source *s = events[i].data.ptr;

		if (!s)
			continue;
		if (!path_owns(w, s)) {
			help(w, s);
			continue;
		}
		if (s->tun)
			path_from_tun(w, s->tun);
		else
			path_from_udp(w, s);
		if (w->path->balanced) {
			uint64_t now_ns = clock_ns(CLOCK_BOOTTIME);

			s->busy_ns += now_ns - w->now_ns;
			w->now_ns = now_ns;
		}
	}
	if (!w->path->balanced)
		w->now_ns = clock_ns(CLOCK_BOOTTIME);
	w->balance.busy_ns += w->now_ns - started_ns - (w->balance.help_ns - help_ns);
	return w->now_ns - started_ns;
}

/* What comes within LINGER_NS; 0: nothing. */
static int linger(struct worker *w, struct epoll_event events[], int max)
{
	uint64_t now_ns = w->now_ns, then_ns;
	int n;

	while (!(n = epoll_wait(w->epoll_fd, events, max, 0)) && now_ns - w->now_ns < LINGER_NS) {
		sched_yield();
		then_ns = clock_ns(CLOCK_BOOTTIME);
		if (then_ns - now_ns > LINGER_NS)
			w->linger_ns = then_ns + LINGER_NOT_NS;
		now_ns = then_ns;
	}
	w->lingered_ns += now_ns - w->now_ns;
	return n;
}

static void *run(void *arg)
{
	struct worker *w = arg;
	struct epoll_event events[16];
	uint64_t took_ns = 0;
	char name[16];

	snprintf(name, sizeof(name), "worker %u", w->number);
	pthread_setname_np(pthread_self(), name);
	w->balance.start_ns = clock_ns(CLOCK_BOOTTIME);
	while (park(w)) {
		while (!atomic_load_explicit(&w->path->interrupt, memory_order_acquire)) {
			int n = 0;

			if (took_ns >= LINGER_AFTER_NS && w->now_ns >= w->linger_ns)
				n = linger(w, events, array_size(events));
			if (!n)
				n = epoll_wait(w->epoll_fd, events, array_size(events), w->deaf ? 1000 : -1);
			if (unlikely(w->deaf))
				watch_sources(w);
			wg_worker_online(w->wg);
			w->now_ns = clock_ns(CLOCK_BOOTTIME);
			took_ns = serve(w, events, n);
			wg_worker_offline(w->wg);
			if (w->path->balanced && balance_due(&w->balance, w->now_ns))
				balance(w);
		}
		unwatch_sockets(w);
	}
	return NULL;
}

static void worker_free(struct worker *w)
{
	close_fd(&w->epoll_fd);
	close_fd(&w->event_fd);
	for (unsigned i = 0; i < BATCHES; i++)
		udp_rx_free(w->batches[i].rx);
	explicit_bzero(w->packet, sizeof(w->packet));
	free(w);
}

/* With a stack of its own size, whatever limit the process was started with. */
static int thread_start(struct worker *w)
{
	pthread_attr_t attr;
	int r = -pthread_attr_init(&attr);

	if (r < 0)
		return r;
	r = -pthread_attr_setstacksize(&attr, STACK_BYTES);
	if (r == 0)
		r = -pthread_create(&w->thread, &attr, run, w);
	pthread_attr_destroy(&attr);
	w->started = r == 0;
	return r;
}

static int worker_start(struct path *p, unsigned i)
{
	struct worker *w = calloc(1, sizeof(*w));
	int r;

	if (!w)
		return -ENOMEM;
	p->workers[i] = w;
	w->path = p;
	w->number = i;
	w->wg = wg_device_worker(p->config.device, i);
	w->tun = &p->config.tun->queues[i];
	w->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	w->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (w->epoll_fd < 0 || w->event_fd < 0)
		return -errno;
	for (unsigned k = 0; k < BATCHES; k++) {
		r = udp_rx_new(&w->batches[k].rx);
		if (r < 0)
			return r;
	}
	join_init(&w->join, tun_join_flags(p->config.tun), path_write_joined, w);
	r = path_watch(w->epoll_fd, w->event_fd, NULL);
	if (r < 0)
		return r;
	return thread_start(w);
}

/* None has a descriptor yet. */
static void make_sources(struct path *p)
{
	p->n_sources = array_size(p->sources);
	for (unsigned i = 0; i < p->n_sources; i++) {
		unsigned pair = i < TUN_QUEUES_MAX ? i : (i - TUN_QUEUES_MAX) % UDP_WORKERS_MAX;

		p->sources[i].tun = i < TUN_QUEUES_MAX ? &p->config.tun->queues[i] : NULL;
		p->sources[i].fd = -1;
		atomic_init(&p->sources[i].helper, -1);
		pthread_mutex_init(&p->sources[i].receiving, NULL);
		line_init(&p->sources[i].line);
		atomic_init(&p->sources[i].owner, p->balanced ? 0 : pair % p->n);
	}
}

/* There may be more of them than workers: from a daemon that had more. */
static void set_sources(struct path *p, const struct udp *udp)
{
	const struct tun *t = p->config.tun;

	for (unsigned i = 0; i < TUN_QUEUES_MAX; i++)
		p->sources[i].fd = i < t->n_queues && !t->queues[i].shared ? t->queues[i].fd : -1;
	for (unsigned i = 0; i < UDP_WORKERS_MAX; i++) {
		struct source *v4 = &p->sources[TUN_QUEUES_MAX + i], *v6 = v4 + UDP_WORKERS_MAX;

		v4->fd = udp && i < udp->n_queues ? udp->queues[i].fd4 : -1;
		v6->fd = udp && i < udp->n_queues ? udp->queues[i].fd6 : -1;
		if (udp == p->udp)
			continue;
		v4->overflows = v6->overflows = 0;
		v4->inherited = v6->inherited = udp && udp->adopted;
	}
}

int path_new(const struct path_config *config, struct path **ret)
{
	cleanup(path_freep) struct path *p = NULL;
	unsigned n = config->workers;
	sigset_t all, old;
	int r = 0;

	p = calloc(1, sizeof(*p) + n * sizeof(p->workers[0]));
	if (!p)
		return -ENOMEM;
	p->config = *config;
	p->n = n;
	p->balanced = n > 1 && !(config->without & FAST_PATH_BALANCE);
	make_sources(p);
	p->paused = true;
	atomic_store(&p->interrupt, true);
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->changed, NULL);
	/* Signals are the control thread's. */
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	for (unsigned i = 0; r >= 0 && i < n; i++)
		r = worker_start(p, i);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (r < 0)
		return r;
	*ret = steal(p);
	return 0;
}

static void interrupt(struct path *p)
{
	atomic_store_explicit(&p->interrupt, true, memory_order_release);
	for (unsigned i = 0; i < p->n; i++)
		if (p->workers[i] && p->workers[i]->started)
			eventfd_write(p->workers[i]->event_fd, 1);
}

void path_free(struct path *p)
{
	pthread_mutex_lock(&p->lock);
	p->stop = true;
	pthread_cond_broadcast(&p->changed);
	pthread_mutex_unlock(&p->lock);
	interrupt(p);
	for (unsigned i = 0; i < p->n && p->workers[i]; i++)
		if (p->workers[i]->started)
			pthread_join(p->workers[i]->thread, NULL);
	/* Not before all have ended: they look at each other. */
	for (unsigned i = 0; i < p->n && p->workers[i]; i++)
		worker_free(p->workers[i]);
	for (unsigned i = 0; i < p->n_sources; i++)
		pthread_mutex_destroy(&p->sources[i].receiving);
	pthread_mutex_destroy(&p->lock);
	pthread_cond_destroy(&p->changed);
	free(p);
}

/* All that was received has been delivered.  No socket may be watched when it is closed. */
static void dismiss_helpers(struct path *p)
{
	for (unsigned i = 0; i < p->n_sources; i++) {
		struct source *s = &p->sources[i];
		int helper = atomic_load_explicit(&s->helper, memory_order_acquire);

		if (helper >= 0)
			epoll_ctl(p->workers[helper]->epoll_fd, EPOLL_CTL_DEL, s->fd, NULL);
		atomic_store_explicit(&s->helper, -1, memory_order_relaxed);
	}
}

void path_pause(struct path *p)
{
	pthread_mutex_lock(&p->lock);
	p->paused = true;
	interrupt(p);
	while (p->n_parked < p->n)
		pthread_cond_wait(&p->changed, &p->lock);
	dismiss_helpers(p);
	pthread_mutex_unlock(&p->lock);
}

void path_resume(struct path *p, struct udp *udp)
{
	pthread_mutex_lock(&p->lock);
	set_sources(p, udp);
	p->udp = udp;
	p->paused = false;
	atomic_store_explicit(&p->interrupt, false, memory_order_release);
	pthread_cond_broadcast(&p->changed);
	pthread_mutex_unlock(&p->lock);
}
