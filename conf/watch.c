#include "conf/watch.h"

#include "base/log.h"
#include "conf/client.h"

#include <errno.h>
#include <poll.h>
#include <sys/inotify.h>
#include <time.h>

#define QUIET_MS 10000 /* between two looks while all are well */
#define SEEKING_MS 2000
#define REQUEST_MAX 1024

static bool is_silent(const struct running_peer *have, uint64_t wall_s)
{
	/* A clock that was set back makes a handshake of the future: believed to be young. */
	return !have->handshake_s ||
	       (wall_s > have->handshake_s && wall_s - have->handshake_s >= WATCH_SILENT_S);
}

static enum watch_action set(struct watch_peer *p, uint64_t now_ms, size_t at)
{
	p->at = at;
	p->since_ms = now_ms;
	return WATCH_SET;
}

enum watch_action watch_look(
	struct watch_peer *p, uint64_t now_ms, uint64_t wall_s, const struct running_peer *have)
{
	bool sent = have && p->seen && have->tx_bytes > p->tx_bytes;

	p->seen = have != NULL;
	if (!have || !is_silent(have, wall_s)) {
		p->seeking = false;
		p->tx_bytes = have ? have->tx_bytes : 0;
		return WATCH_NOTHING;
	}
	p->tx_bytes = have->tx_bytes;
	if (!p->seeking) {
		/* A peer without an endpoint cannot show that it wants to send. */
		if (!sent && have->endpoint[0])
			return WATCH_NOTHING;
		p->seeking = true;
		p->since_ms = now_ms;
		/* One that never answered has been tried only since now. */
		if (!have->handshake_s && have->endpoint[0])
			return WATCH_NOTHING;
		if (have->endpoint[0] || !p->resolved_ms)
			return WATCH_RESOLVE;
	}
	if (now_ms - p->since_ms < WATCH_TRY_MS)
		return WATCH_NOTHING;
	if (p->n && p->at + 1 < p->n)
		return set(p, now_ms, p->at + 1);
	if (p->n && now_ms - p->resolved_ms < WATCH_RESOLVE_MS)
		return set(p, now_ms, 0);
	return WATCH_RESOLVE;
}

enum watch_action watch_resolved(struct watch_peer *p, uint64_t now_ms,
	const struct running_peer *have, const struct sockaddr_storage addresses[], size_t n)
{
	size_t kept = 0;

	p->resolved_ms = now_ms;
	p->since_ms = now_ms;
	if (!n)
		return p->n ? set(p, now_ms, 0) : WATCH_NOTHING;
	/* The one that was tried just now comes last. */
	for (unsigned last = 0; last < 2; last++) {
		for (size_t i = 0; i < min(n, (size_t)RESOLVE_MAX); i++) {
			cleanup(buf_done) struct buf text = buf_of_max(128);

			text_put_address(&addresses[i], &text);
			if (last == !strcmp(buf_str(&text), have->endpoint))
				p->addresses[kept++] = addresses[i];
		}
	}
	p->n = kept;
	return set(p, now_ms, 0);
}

/* ---- the watcher ---- */

struct watcher {
	const char		*name;
	struct watch_peer	*peers;
	size_t			 n;
	int			 inotify;
	int			 told;		/* the error of the daemon that was told */
};

static uint64_t clock_ms(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static void watcher_done(struct watcher *w)
{
	free(w->peers);
	close_fd(&w->inotify);
}

static bool is_same(const struct endpoint_row *a, const struct endpoint_row *b)
{
	return !memcmp(a->public_key, b->public_key, KEY_LEN) &&
	       !strcmp(a->endpoint.host, b->endpoint.host) && a->endpoint.port == b->endpoint.port;
}

/* The names of the file as it is now; what is known of those that stay is kept. */
static int load(struct watcher *w)
{
	cleanup(endpoint_rows_done) struct endpoint_rows rows = {0};
	struct watch_peer *peers;
	size_t n = 0;

	(void)endpoints_load(w->name, &rows);
	peers = calloc(max(rows.n, (size_t)1), sizeof(*peers));
	if (!peers)
		return -ENOMEM;
	for (size_t i = 0; i < rows.n; i++) {
		const struct endpoint_row *row = &rows.rows[i];

		if (!row->endpoint.is_name)
			continue;
		peers[n].row = *row;
		for (size_t j = 0; j < w->n; j++)
			if (is_same(&w->peers[j].row, row))
				peers[n] = w->peers[j];
		n++;
	}
	free(w->peers);
	w->peers = peers;
	if (n != w->n)
		log_info("watch: names=%zu", n);
	w->n = n;
	return 0;
}

static void set_endpoint(const struct watcher *w, const struct watch_peer *p)
{
	cleanup(buf_done) struct buf request = buf_of_max(REQUEST_MAX), address = buf_of_max(128);
	int r;

	text_put_address(&p->addresses[p->at], &address);
	buf_puts(&request, "set=1\npublic_key=");
	buf_put_hex(&request, p->row.public_key, KEY_LEN);
	buf_printf(&request, "\nupdate_only=true\nendpoint=%s\n\n", buf_str(&address));
	r = client_set(w->name, &request);
	if (r < 0)
		log_error("watch: cannot set the endpoint of %s to %s: %s", p->row.endpoint.host,
			buf_str(&address), strerror(-r));
	else
		log_info("watch: no answer: trying %s for %s", buf_str(&address),
			p->row.endpoint.host);
}

static enum watch_action look_up(struct watch_peer *p, const struct running_peer *have)
{
	struct sockaddr_storage addresses[RESOLVE_MAX];
	size_t n = 0;
	int r = resolve(&p->row.endpoint, addresses, &n);

	if (r)
		log_info(
			"watch: %s cannot be resolved: %s", p->row.endpoint.host, resolve_error(r));
	return watch_resolved(p, clock_ms(CLOCK_BOOTTIME), have, addresses, r ? 0 : n);
}

/* A look at every peer that has a name; how long until the next. */
static int look(struct watcher *w)
{
	cleanup(running_freep) struct running *running = NULL;
	int r = client_get(w->name, &running), wait_ms = QUIET_MS;

	if (r < 0) {
		/* It may be restarting; nothing can be done meanwhile. */
		if (r != w->told)
			log_info("watch: the daemon does not answer: %s", strerror(-r));
		w->told = r;
		return SEEKING_MS;
	}
	w->told = 0;
	for (size_t i = 0; i < w->n; i++) {
		struct watch_peer *p = &w->peers[i];
		const struct running_peer *have = running_peer(running, p->row.public_key);
		enum watch_action action = watch_look(
			p, clock_ms(CLOCK_BOOTTIME), clock_ms(CLOCK_REALTIME) / 1000, have);

		if (action == WATCH_RESOLVE)
			action = look_up(p, have);
		if (action == WATCH_SET)
			set_endpoint(w, p);
		/* Also while nothing was sent yet: the first answer is what is waited for most. */
		if (p->seeking || (have && !have->handshake_s))
			wait_ms = SEEKING_MS;
	}
	return wait_ms;
}

static void forget_events(const struct watcher *w)
{
	_Alignas(struct inotify_event) char events[4096];

	while (read(w->inotify, events, sizeof(events)) > 0)
		;
}

int watch_run(const char *name)
{
	cleanup(watcher_done) struct watcher w = {
		.name = name, .inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK)};
	int r;

	if (w.inotify < 0 ||
		inotify_add_watch(w.inotify, ENDPOINTS_DIR, IN_MOVED_TO | IN_DELETE) < 0) {
		r = -errno;
		log_error("watch: cannot watch %s: %s", ENDPOINTS_DIR, strerror(-r));
		return r;
	}
	for (;;) {
		struct pollfd p = {.fd = w.inotify, .events = POLLIN};

		forget_events(&w);
		r = load(&w);
		if (r < 0) {
			log_error("watch: %s", strerror(-r));
			return r;
		}
		/* Without a name there is nothing to do until the file changes. */
		if (poll(&p, 1, w.n ? look(&w) : -1) < 0 && errno != EINTR)
			return -errno;
	}
}
