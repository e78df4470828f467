#include "office/engine.h"

#include "base/log.h"
#include "base/program.h"
#include "conf/apply.h"
#include "conf/client.h"
#include "conf/net.h"
#include "office/secret.h"
#include "office/status.h"
#include "office/store.h"
#include "stats/stats.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <time.h>

#define MEMORY_MAX ((size_t)16 << 20)
#define KEEPALIVE_ONCE_S 3600
#define STOP_STEP_MS 10
#define STOP_STEPS 1000

static bool is_nobody(int r)
{
	return r == -ENOENT || r == -ECONNREFUSED;
}

/* ---- end ---- */

static int wait_until_gone(const char *interface)
{
	const struct timespec step = {.tv_nsec = STOP_STEP_MS * 1000000L};

	for (unsigned i = 0; i < STOP_STEPS; i++) {
		cleanup(running_freep) struct running *running = NULL;

		if (is_nobody(client_get(interface, &running)))
			return 0;
		nanosleep(&step, NULL);
	}
	log_error("the daemon of %s does not end", interface);
	return -ETIMEDOUT;
}

static int end(const char *interface)
{
	cleanup(net_closep) struct net *n = NULL;
	int r = net_open(interface, &n);

	if (r == 0)
		r = net_remove_link(n);
	if (r < 0 && r != -ENODEV) {
		log_error("cannot remove the interface %s: %s", interface, strerror(-r));
		return r;
	}
	return wait_until_gone(interface);
}

/* ---- start ---- */

/*
 * Its parent holds the lock until it is ready, as its standard input, which the daemon itself lets go:
 * otherwise who takes everything down after we were killed would not meet it.
 */
static int launch(const char *interface, bool renew, int lock_fd)
{
	char program[PATH_MAX], log[PATH_MAX];
	char *name = (char *)(uintptr_t)interface;
	char *first[] = {program, name, NULL}, *next[] = {program, (char *)"--upgrade", name, NULL};
	cleanup(close_fd) int fd = -1;
	int r = program_beside("ginnel-wg", program);

	if (r < 0) {
		log_error("cannot find ginnel-wg: %s", strerror(-r));
		return r;
	}
	snprintf(log, sizeof(log), "%s/%s.log", ENGINE_DIR, interface);
	fd = open(log, O_WRONLY | O_CREAT | (renew ? 0 : O_TRUNC) | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
	unsetenv("WG_PROCESS_FOREGROUND");
	r = fd < 0 ? -errno : program_run(renew ? next : first, NULL, lock_fd, fd, NULL);
	if (r < 0)
		log_error("cannot run %s: %s%s", program, strerror(-r),
			r == -ENOENT ? "; the programs belong in one directory" : "");
	else if (r)
		log_error("%s does not %s: see %s", program, renew ? "take over, and the daemon goes on as it is" : "start", log);
	else if (!renew)
		log_info("started %s for %s", program, interface);
	return r > 0 ? -ECHILD : r;
}

static int make_kernel_link(const char *interface)
{
	cleanup(net_closep) struct net *n = NULL;
	int r = net_open(NULL, &n);

	if (r == 0)
		r = net_add_link(n, NET_KIND_WIREGUARD, interface);
	if (r == -EOPNOTSUPP)
		log_error("this kernel has no WireGuard, nor a module of it: say engine ginnel in the member's line, and give "
			  "ginnel up what ginnel export prints then");
	else if (r < 0)
		log_error("cannot make the interface %s of the kernel's WireGuard: %s", interface, strerror(-r));
	else
		log_info("made %s, of the kernel's WireGuard", interface);
	return r;
}

static int start(const char *interface, enum engine engine, int lock_fd, struct made *m)
{
	unsigned there = if_nametoindex(interface);
	int r = 0, r_saved;

	if (there && !(m->link && m->ifindex == there)) {
		log_error("there is an interface %s already, and no daemon serves it: take it away, or say "
			  "--interface=NAME",
			interface);
		return -EEXIST;
	}
	if (there && engine == ENGINE_KERNEL)
		r = end(interface);
	m->link = true;
	m->ifindex = 0;
	if (r == 0)
		r = made_save(m);
	if (r < 0)
		return r;
	if (engine == ENGINE_KERNEL) {
		r = make_kernel_link(interface);
		m->link = r == 0;
	} else {
		r = launch(interface, false, lock_fd);
		if (r < 0)
			return r;
	}
	m->ifindex = m->link ? if_nametoindex(interface) : 0;
	r_saved = made_save(m);
	return r < 0 ? r : r_saved;
}

static bool is_ours(const char *interface, const struct made *m)
{
	return m->link && m->ifindex == if_nametoindex(interface);
}

static bool is_of_kind(const char *interface, const char *kind)
{
	cleanup(net_closep) struct net *n = NULL;

	return net_open(interface, &n) == 0 && net_check_kind(n, kind) == 0;
}

static bool is_kernels(const char *interface)
{
	return is_of_kind(interface, NET_KIND_WIREGUARD);
}

/* What was made for the other engine makes room, and peers are found again where they were. */
static int change_engine(const char *interface, enum engine engine, int lock_fd, struct made *m)
{
	int r;

	if (!is_ours(interface, m)) {
		log_error(engine == ENGINE_KERNEL
				? "a daemon serves %s, and engine kernel is asked for: end it, or say engine ginnel"
				: "%s is an interface of the kernel's WireGuard: take it away, or say engine kernel",
			interface);
		return -EBUSY;
	}
	engine_remember(interface);
	r = end(interface);
	return r < 0 ? r : start(interface, engine, lock_fd, m);
}

static int start_anew(const char *interface, enum engine engine, int lock_fd, struct made *m, struct audit *a)
{
	char what[64];
	int r = start(interface, engine, lock_fd, m);

	snprintf(what, sizeof(what), engine == ENGINE_KERNEL ? "the interface %s" : "the daemon of %s", interface);
	if (r == 0 && a->repair)
		audit_did(a, what, "missing");
	return r;
}

int engine_start(const char *interface, enum engine engine, const uint8_t key[KEY_LEN], int lock_fd, struct made *m,
	struct audit *a)
{
	static const uint8_t none[KEY_LEN];
	cleanup(running_freep) struct running *running = NULL;
	int r = client_get(interface, &running);

	if (is_nobody(r))
		return start_anew(interface, engine, lock_fd, m, a);
	if (r < 0) {
		log_error("%s is served, but cannot be asked: %s", interface, strerror(-r));
		return r;
	}
	/* Killed between the start and the note of it. */
	if (m->link && !m->ifindex) {
		m->ifindex = if_nametoindex(interface);
		r = made_save(m);
	}
	/* Another has started it anew, whose it is now; or has taken the name of ours for something else. */
	if (r == 0 && m->link && m->ifindex != if_nametoindex(interface)) {
		if (!is_of_kind(interface, "tun") && !is_kernels(interface)) {
			log_error("the interface %s is no tunnel any more: take it away, and the daemon that serves %s", interface,
				interface);
			return -EEXIST;
		}
		m->link = false;
		m->ifindex = 0;
		r = made_save(m);
	}
	if (r < 0)
		return r;
	if (is_kernels(interface) != (engine == ENGINE_KERNEL))
		return change_engine(interface, engine, lock_fd, m);
	if (memcmp(running->private_key, none, KEY_LEN) != 0 && memcmp(running->private_key, key, KEY_LEN) != 0 &&
		!is_ours(interface, m)) {
		log_error("%s is another tunnel, with a key of its own: say --interface=NAME", interface);
		return -EBUSY;
	}
	return 0;
}

/* 0: not known. */
static uint64_t pid_of(const char *interface)
{
	cleanup(buf_done) struct buf why = buf_of_max(512);
	cleanup(stats_set_done) struct stats_set set = {.n = 0};
	char *name = (char *)(uintptr_t)interface;

	return stats_collect(&name, 1, true, &set, &why) == 0 && set.n ? set.at->pid : 0;
}

void engine_renew(const char *interface, int lock_fd)
{
	cleanup(made_done) struct made m = {.link = false};
	uint64_t before = 0;

	if (made_load(interface, &m) == 0 && is_ours(interface, &m) && !is_kernels(interface))
		before = pid_of(interface);
	if (before && launch(interface, true, lock_fd) == 0 && pid_of(interface) != before)
		log_info("the daemon of %s is the program that is installed now; its sessions go on", interface);
}

/* ---- peers ---- */

int engine_path(const char *interface, char ret[PATH_MAX])
{
	return snprintf(ret, PATH_MAX, "%s/%s.endpoints", ENGINE_STATE_DIR, interface) >= PATH_MAX
		       ? -ENAMETOOLONG
		       : 0;
}

static void recall(const char *interface, struct endpoint_rows *ret)
{
	cleanup(buf_done) struct buf text = buf_of_max(MEMORY_MAX);
	char path[PATH_MAX];

	*ret = (struct endpoint_rows){0};
	if (engine_path(interface, path) == 0 && store_read(path, &text) == 0)
		endpoints_parse((const char *)text.data, text.len, ret);
}

static int compare_peers(const void *a, const void *b)
{
	return memcmp(((const struct conf_peer *)a)->public_key, ((const struct conf_peer *)b)->public_key,
		KEY_LEN);
}

static int compare_prefixes(const void *a, const void *b)
{
	return prefix_compare(a, b);
}

/* Nothing was heard of it: its name may mean another address by now. */
static bool is_silent(const struct running *running, const uint8_t key[KEY_LEN])
{
	const struct running_peer *have = running ? running_peer(running, key) : NULL;

	return have && (!have->handshake_s || (uint64_t)time(NULL) > have->handshake_s + STATUS_SILENT_S);
}

static int put_peer(const struct plan_peer *p, const struct running *running, struct conf_peer *ret)
{
	struct prefix *allowed = calloc(p->n_allowed + 1, sizeof(*allowed));

	if (!allowed)
		return -ENOMEM;
	*ret = (struct conf_peer){.has_public_key = true, .keepalive = p->keepalive_s, .allowed = allowed};
	memcpy(ret->public_key, p->key, KEY_LEN);
	if (p->psk)
		memcpy(ret->psk, p->psk, KEY_LEN);
	if (p->has_endpoint) {
		ret->endpoint = p->member->endpoint;
		ret->endpoint.port = p->port;
		ret->look_up = ret->endpoint.is_name && is_silent(running, p->key);
	}
	for (; ret->n_allowed < p->n_allowed; ret->n_allowed++)
		ret->allowed[ret->n_allowed] = p->allowed[ret->n_allowed];
	if (ret->n_allowed)
		qsort(ret->allowed, ret->n_allowed, sizeof(*ret->allowed), compare_prefixes);
	/* lint-ignore -Wanalyzer-malloc-leak: conf_free() frees the prefixes of every peer */
	return 0;
}

/* The plan as the file of a tunnel.  ${running}: what is so far; NULL: names are not looked up again. */
static int make_conf(const struct plan *p, const uint8_t key[KEY_LEN], const struct running *running, struct conf_file **ret)
{
	cleanup(conf_freep) struct conf_file *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->peers = calloc(max(p->n_peers, (size_t)1), sizeof(*c->peers));
	if (!c->peers)
		return -ENOMEM;
	memcpy(c->private_key, key, KEY_LEN);
	c->has_private_key = true;
	c->listen_port = p->listen_port;
	c->table = CONF_TABLE_OFF;
	for (size_t i = 0; i < p->n_peers; i++) {
		int r = p->peers[i].key ? put_peer(&p->peers[i], running, &c->peers[c->n_peers]) : 0;

		if (r < 0)
			return r;
		c->n_peers += p->peers[i].key != NULL;
	}
	if (c->n_peers)
		qsort(c->peers, c->n_peers, sizeof(*c->peers), compare_peers);
	*ret = steal(c);
	return 0;
}

/* One whose first handshake gives it the prefixes of another; other daemons know nothing of that.
 */
static void tell_successor(
	const struct plan_peer *before, const struct plan_peer *next, const char *interface)
{
	cleanup(buf_done) struct buf request = buf_of_max(512);

	buf_puts(&request, "set=1\npublic_key=");
	buf_put_hex(&request, next->key, KEY_LEN);
	buf_puts(&request, "\nupdate_only=true\nsucceeds=");
	buf_put_hex(&request, before->key, KEY_LEN);
	buf_puts(&request, "\n\n");
	(void)client_set(interface, &request);
}

int engine_configure(const struct plan *p, const char *interface, const uint8_t key[KEY_LEN], struct audit *a)
{
	struct difference d = {0};
	cleanup(endpoint_rows_done) struct endpoint_rows remembered = {0};
	cleanup(conf_freep) struct conf_file *c = NULL;
	cleanup(running_freep) struct running *running = NULL;
	uint32_t mark;
	bool differs;
	int r;

	/* It may take its time, so not at each look of who stays, who watches names by himself. */
	if (!a->repair)
		(void)client_get(interface, &running);
	r = make_conf(p, key, running, &c);
	if (r < 0) {
		log_error("cannot configure %s: %s", interface, strerror(-r));
		return r;
	}
	recall(interface, &remembered);
	r = apply_daemon(interface, c, &remembered, &mark, &d);
	if (r < 0)
		return r;
	differs = d.added || d.changed || d.removed || d.interface;
	/* Without our key it is a new one, of which was told. */
	if (differs && a->repair && !d.interface)
		audit_did(a, p->self->engine == ENGINE_KERNEL ? "the kernel's peers" : "the daemon's peers", "changed");
	if (differs || !a->repair)
		apply_say(interface, c, &d);
	for (size_t i = 1; i < p->n_peers; i++)
		if (p->peers[i].next)
			tell_successor(&p->peers[i - 1], &p->peers[i], interface);
	return 0;
}

/* A persistent keepalive that is switched on is sent at once, by every implementation. */
static int set_keepalives(const struct plan *p, const char *interface, const struct running *running, unsigned seconds)
{
	cleanup(buf_done) struct buf request = buf_of_max(MEMORY_MAX);
	size_t n = 0;

	buf_puts(&request, "set=1\n");
	for (size_t i = 0; i < p->n_peers; i++) {
		const struct plan_peer *peer = &p->peers[i];
		const struct running_peer *have = peer->key ? running_peer(running, peer->key) : NULL;

		if (peer->keepalive_s || peer->next || !have || !have->endpoint[0])
			continue;
		buf_puts(&request, "public_key=");
		buf_put_hex(&request, peer->key, KEY_LEN);
		buf_printf(&request, "\nupdate_only=true\npersistent_keepalive_interval=%u\n", seconds);
		n++;
	}
	buf_puts(&request, "\n");
	return n ? client_set(interface, &request) : 0;
}

void engine_call(const struct plan *p, const char *interface)
{
	cleanup(running_freep) struct running *running = NULL;
	int r = client_get(interface, &running);

	if (r == 0)
		r = set_keepalives(p, interface, running, KEEPALIVE_ONCE_S);
	if (r == 0)
		r = set_keepalives(p, interface, running, 0);
	if (r < 0)
		log_error("cannot have %s call its peers: %s; they come back by themselves", interface, strerror(-r));
}

void engine_remember(const char *interface)
{
	cleanup(endpoint_rows_done) struct endpoint_rows before = {0};
	cleanup(buf_done) struct buf text = buf_of_max(MEMORY_MAX);
	cleanup(running_freep) struct running *running = NULL;
	static const uint8_t none[KEY_LEN];
	struct conf_file c = {.n_peers = 0};
	char path[PATH_MAX];
	int r = client_get(interface, &running);

	if (r == 0)
		r = engine_path(interface, path);
	/* One that was not told its peers yet knows of none. */
	if (r < 0 || !memcmp(running->private_key, none, KEY_LEN))
		return;
	recall(interface, &before);
	c.peers = calloc(max(running->n_peers, (size_t)1), sizeof(*c.peers));
	if (!c.peers)
		return;
	for (size_t i = 0; i < running->n_peers; i++) {
		const struct running_peer *p = &running->peers[i];
		const struct endpoint_row *row = endpoints_row(&before, p->public_key);
		cleanup(buf_done) struct buf why = buf_of_max(256);
		struct conf_peer *to = &c.peers[c.n_peers++];

		memcpy(to->public_key, p->public_key, KEY_LEN);
		if (p->handshake_s && p->endpoint[0])
			text_endpoint(p->endpoint, strlen(p->endpoint), &to->endpoint, &why);
		else if (row)
			to->endpoint = row->endpoint;
	}
	endpoints_format(&c, &text);
	free(c.peers);
	r = store_write(path, 0600, &text);
	if (r < 0)
		log_error("cannot write %s: %s; where peers are is not remembered", path, strerror(-r));
}

/* ---- stop ---- */

static void put_private_key(const uint8_t key[KEY_LEN], struct buf *request)
{
	buf_puts(request, "set=1\nprivate_key=");
	buf_put_hex(request, key, KEY_LEN);
}

int engine_set_key(const char *interface, const uint8_t key[KEY_LEN])
{
	static const uint8_t none[KEY_LEN];
	cleanup(buf_done) struct buf request = buf_of_max(256);
	int r;

	/* Also the one that is in force: nothing of before is left. */
	put_private_key(none, &request);
	buf_puts(&request, "\nprivate_key=");
	buf_put_hex(&request, key, KEY_LEN);
	buf_puts(&request, "\n\n");
	r = client_set(interface, &request);
	if (r < 0)
		log_error("cannot give %s another key: %s", interface, strerror(-r));
	return r;
}

/* Its key, or the one that takes over. */
static bool is_this_machines(const char *interface, const uint8_t key[KEY_LEN])
{
	char path[PATH_MAX], next[PATH_MAX];
	uint8_t own[KEY_LEN];
	bool is;

	if (secret_path(interface, path, sizeof(path)) < 0 || secret_next_path(path, next, sizeof(next)) < 0)
		return false;
	is = (secret_load(path, own, NULL) == 0 && !memcmp(own, key, KEY_LEN)) ||
	     (secret_load(next, own, NULL) == 0 && !memcmp(own, key, KEY_LEN));
	explicit_bzero(own, sizeof(own));
	return is;
}

static int empty(const char *interface)
{
	cleanup(running_freep) struct running *running = NULL;
	cleanup(buf_done) struct buf request = buf_of_max(256);
	static const uint8_t none[KEY_LEN];
	int r = client_get(interface, &running);

	if (is_nobody(r) || (r == 0 && !is_this_machines(interface, running->private_key)))
		return 0;
	put_private_key(none, &request);
	buf_puts(&request, "\nreplace_peers=true\n\n");
	if (r == 0)
		r = client_set(interface, &request);
	if (r < 0)
		log_error("cannot take the peers out of %s: %s", interface, strerror(-r));
	return r;
}

int engine_stop(const char *interface, const struct made *m)
{
	unsigned there = if_nametoindex(interface);

	if (m->link && (!there || !m->ifindex || m->ifindex == there))
		return end(interface);
	return empty(interface);
}
