#include "conf/apply.h"

#include "base/log.h"
#include "conf/client.h"
#include "conf/net.h"
#include "conf/resolve.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>

#define REQUEST_MAX ((size_t)64 << 20)
#define VALID_MARK "/proc/sys/net/ipv4/conf/all/src_valid_mark"

/* The mark of the tunnel's own packets; with a default route through it they must have one. */
static uint32_t mark_of(const struct conf_file *c)
{
	if (!c->fwmark && c->table == CONF_TABLE_AUTO &&
		(conf_takes_all(c, AF_INET) || conf_takes_all(c, AF_INET6)))
		return APPLY_TABLE_DEFAULT;
	return c->fwmark;
}

/* ---- the daemon ---- */

/* Where a peer answered once; for one that has an endpoint now it changes nothing. */
static bool recall(
	const struct endpoint_rows *remembered, const struct conf_peer *p, struct wanted_endpoint *ret)
{
	const struct endpoint_row *row = remembered ? endpoints_row(remembered, p->public_key) : NULL;
	cleanup(buf_done) struct buf text = buf_of_max(sizeof(ret->text) - 1);

	if (!row || row->endpoint.is_name)
		return false;
	text_put_endpoint(&row->endpoint, &text);
	if (text.error)
		return false;
	memcpy(ret->text, buf_str(&text), text.len + 1);
	ret->unchanged = true;
	return true;
}

/* The daemon knows where the peer is, and the file says what it said before: that stays. */
static bool stays(const struct running *running, const struct conf_peer *p, const struct wanted_endpoint *wanted)
{
	const struct running_peer *have = running_peer(running, p->public_key);

	return wanted->unchanged && have && have->endpoint[0];
}

/* One address for each endpoint, the first of a name's. */
static int find_endpoints(const struct conf_file *c, const struct endpoint_rows *before,
	const struct endpoint_rows *remembered, const struct running *running, struct wanted_endpoint *ret)
{
	int unreachable = 0;

	for (size_t i = 0; i < c->n_peers; i++) {
		const struct endpoint *e = &c->peers[i].endpoint;
		const struct endpoint_row *row = endpoints_row(before, c->peers[i].public_key);
		cleanup(buf_done) struct buf text = buf_of_max(sizeof(ret->text));
		struct sockaddr_storage addresses[RESOLVE_MAX];
		size_t n = 0;
		int r;

		if (!e->host[0]) {
			recall(remembered, &c->peers[i], &ret[i]);
			continue;
		}
		ret[i].unchanged = !c->peers[i].look_up && row && !strcmp(row->endpoint.host, e->host) &&
				   row->endpoint.port == e->port;
		if (stays(running, &c->peers[i], &ret[i]))
			continue;
		/* Where no server answers, each more name would cost its patience once more. */
		r = e->is_name && unreachable ? unreachable : resolve(e, addresses, &n);
		if (r) {
			bool recalled = recall(remembered, &c->peers[i], &ret[i]);

			log_error("%s cannot be resolved: %s; %s%s", e->host, resolve_error(r),
				recalled ? "its last address is tried: " : "ginnel-conf watch goes on trying",
				recalled ? ret[i].text : "");
			if (resolve_unreachable(r))
				unreachable = r;
			continue;
		}
		text_put_address(&addresses[0], &text);
		memcpy(ret[i].text, buf_str(&text), text.len + 1);
	}
	return 0;
}

static const char *daemon_error(int r)
{
	switch (-r) {
	case ENOENT:
	case ECONNREFUSED:
		return "no daemon serves it: start ginnel-wg first";
	case EACCES:
		return "its socket may not be opened: run this as root, or as who runs the daemon";
	case EADDRINUSE:
		return "another program has the port: ss -ulpn says which";
	case EBADMSG:
		return "the daemon's answer cannot be understood";
	default:
		return strerror(-r);
	}
}

/* What is kept of the endpoints is what would be written. */
static bool same_endpoints(const struct conf_file *c, const struct endpoint_rows *before,
	const struct wanted_endpoint endpoints[])
{
	size_t n = 0;

	for (size_t i = 0; i < c->n_peers; i++) {
		if (c->peers[i].endpoint.host[0] && !endpoints[i].unchanged)
			return false;
		n += c->peers[i].endpoint.host[0] != '\0';
	}
	return n == before->n;
}

int apply_daemon(const char *name, const struct conf_file *c, const struct endpoint_rows *remembered,
	uint32_t *ret_mark, struct difference *ret)
{
	cleanup(endpoint_rows_done) struct endpoint_rows before = {0};
	cleanup(free_ptr) struct wanted_endpoint *endpoints =
		calloc(max(c->n_peers, (size_t)1), sizeof(*endpoints));
	cleanup(running_freep) struct running *running = NULL;
	cleanup(buf_done) struct buf request = buf_of_max(REQUEST_MAX);
	bool there = endpoints_load(name, &before);
	int r = endpoints ? client_get(name, &running) : -ENOMEM;

	if (r == 0)
		r = find_endpoints(c, &before, remembered, running, endpoints);
	if (r == 0)
		r = difference(c, mark_of(c), endpoints, running, &request, ret);
	if (r == 0 && request.len)
		r = client_set(name, &request);
	if (r < 0) {
		log_error("cannot configure %s: %s", name, daemon_error(r));
		return r;
	}
	*ret_mark = running->fwmark;
	/* A full disk is no reason to leave a tunnel without addresses and routes. */
	r = there && same_endpoints(c, &before, endpoints) ? 0 : endpoints_save(name, c);
	if (r < 0)
		log_error("cannot write %s/%s.endpoints: %s; going on, and names are not watched as the file has them now",
			ENDPOINTS_DIR, name, strerror(-r));
	return 0;
}

void apply_say(const char *name, const struct conf_file *c, const struct difference *d)
{
	log_info("configured %s: peers=%zu added=%u changed=%u removed=%u%s", name, c->n_peers,
		d->added, d->changed, d->removed, d->interface ? " interface=changed" : "");
}

/* ---- the kernel ---- */

static int find_routes(const struct conf_file *c, struct net_route **ret, size_t *ret_n)
{
	struct net_route *routes;
	size_t n = 0, at = 0;

	for (size_t i = 0; i < c->n_peers; i++)
		n += c->peers[i].n_allowed;
	routes = calloc(max(n, (size_t)1), sizeof(*routes));
	if (!routes)
		return -ENOMEM;
	for (size_t i = 0; i < c->n_peers; i++) {
		for (size_t j = 0; j < c->peers[i].n_allowed; j++) {
			const struct prefix *p = &c->peers[i].allowed[j];
			uint32_t table = c->table;

			if (table == CONF_TABLE_OFF)
				continue;
			if (table == CONF_TABLE_AUTO)
				table = p->bits ? 254 : mark_of(c);
			routes[at++] = (struct net_route){.to = *p, .table = table};
		}
	}
	*ret = routes;
	*ret_n = at;
	return 0;
}

static int apply_routes(struct net *n, const char *name, const struct conf_file *c)
{
	cleanup(free_ptr) struct net_route *routes = NULL;
	cleanup(buf_done) struct buf taken = buf_of_max(128);
	size_t n_routes = 0;
	struct prefix to = {.family = AF_INET};
	int r = find_routes(c, &routes, &n_routes);

	if (r == 0)
		r = net_set_routes(n, 0, routes, n_routes, &to);
	text_put_prefix(&to, &taken);
	if (r == -EEXIST)
		log_error("another route to %s is there already, and stays: take it away, or say "
			  "Table = off",
			buf_str(&taken));
	else if (r < 0)
		log_error("cannot set the route to %s through %s: %s", buf_str(&taken), name,
			strerror(-r));
	return r;
}

/* Packets that come back to a marked one are looked up with its mark, as their answers are. */
static void judge_by_mark(void)
{
	cleanup(close_fd) int fd = open(VALID_MARK, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, "1", 1) != 1)
		log_info("cannot set %s: strict reverse path filters may drop the tunnel's "
			 "packets: %s",
			VALID_MARK, strerror(errno));
}

/* Those that the file wants; or, not ${on}, away with those that it does not want. */
static int apply_rules(struct net *n, const struct conf_file *c, uint32_t mark_before, bool on)
{
	static const int families[] = {AF_INET, AF_INET6};
	uint32_t mark = mark_of(c);
	int result = 0;

	for (size_t i = 0; i < array_size(families); i++) {
		bool wanted = c->table == CONF_TABLE_AUTO && conf_takes_all(c, families[i]);
		int r = 0;

		if (on && wanted && families[i] == AF_INET)
			judge_by_mark();
		if (on && wanted)
			r = net_set_rules(n, families[i], mark, true);
		if (!on && mark_before && mark_before != mark)
			r = net_set_rules(n, families[i], mark_before, false);
		if (!on && r == 0 && mark && !wanted)
			r = net_set_rules(n, families[i], mark, false);
		if (r < 0) {
			log_error("cannot set the rules for a default route: %s", strerror(-r));
			result = r;
		}
	}
	return result;
}

static int apply_to_kernel(const char *name, const struct conf_file *c, uint32_t mark_before)
{
	cleanup(net_closep) struct net *n = NULL;
	int r = net_open(name, &n), r_rules, r_routes, r_gone;

	if (r < 0) {
		log_error("cannot reach the interface %s: %s", name, strerror(-r));
		return r;
	}
	r = net_set_addresses(n, c->addresses, c->n_addresses);
	if (r < 0)
		log_error("cannot set the addresses of %s: %s", name, strerror(-r));
	if (r == 0) {
		r = net_set_up(n, c->mtu ? c->mtu : APPLY_MTU_DEFAULT);
		if (r < 0)
			log_error("cannot set %s up: %s", name, strerror(-r));
	}
	if (r < 0)
		return r;
	/* In this order, so that nothing goes around the tunnel while one way takes the place of another. */
	r_rules = apply_rules(n, c, mark_before, true);
	r_routes = apply_routes(n, name, c);
	r_gone = apply_rules(n, c, mark_before, false);
	r = r_rules < 0 ? r_rules : r_routes;
	return r < 0 ? r : r_gone;
}

int apply(const char *name, const struct conf_file *file)
{
	struct difference d = {0};
	uint32_t mark_before = 0;
	int r = apply_daemon(name, file, NULL, &mark_before, &d);

	if (r < 0)
		return r;
	apply_say(name, file, &d);
	return apply_to_kernel(name, file, mark_before);
}

static void lock_path(const char *name, char ret[PATH_MAX])
{
	snprintf(ret, PATH_MAX, "%s/%s.lock", ENDPOINTS_DIR, name);
}

int apply_lock(const char *name)
{
	cleanup(close_fd) int fd = -1;
	char path[PATH_MAX];
	struct stat st;
	int ret;

	lock_path(name, path);
	/* Not created where it is there: in a sticky directory the kernel may not like that. */
	fd = open(path, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	/* Nobody else's: whoever may open it could keep us waiting for ever. */
	if (fd < 0 || fstat(fd, &st) < 0 || st.st_uid != geteuid())
		return -1;
	while (flock(fd, LOCK_EX) < 0)
		if (errno != EINTR)
			return -1;
	ret = fd;
	fd = -1;
	return ret;
}

int apply_down(const char *name, const struct conf_file *file)
{
	cleanup(net_closep) struct net *n = NULL;
	char path[PATH_MAX];
	uint32_t mark = file && mark_of(file) ? mark_of(file) : APPLY_TABLE_DEFAULT;
	int r = net_open(name, &n), v6;

	if (r == -ENODEV)
		r = net_open(NULL, &n);
	endpoints_remove(name);
	lock_path(name, path);
	unlink(path);
	if (r == 0) {
		r = net_set_rules(n, AF_INET, mark, false);
		v6 = net_set_rules(n, AF_INET6, mark, false);
		r = r < 0 ? r : v6;
	}
	if (r < 0)
		log_error("cannot take the rules away: %s", strerror(-r));
	return r;
}
