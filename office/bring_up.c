#include "office/bring_up.h"

#include "base/log.h"
#include "conf/client.h"
#include "office/bundle.h"
#include "office/check.h"
#include "office/engine.h"
#include "office/learn.h"
#include "office/mtu.h"
#include "office/rotate.h"
#include "office/store.h"
#include "office/up.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>

#define ERRORS_MAX ((size_t)1 << 20)

/* The bundle that was kept; NULL: there is none that can be read. */
static struct office *load_kept(const char *stored)
{
	cleanup(buf_done) struct buf text = buf_of_max(OFFICE_TEXT_MAX + 1), errors = buf_of_max(ERRORS_MAX);
	struct office *o = NULL;

	if (store_read(stored, &text) < 0 ||
		office_read(DIALECT_BUNDLE, stored, (const char *)text.data, text.len, &o, &errors) < 0)
		return NULL;
	return o;
}

/* A key that was found to be in use, before the office was told, is not given up again. */
static void recall(const char *stored, struct office *o, struct buf *text)
{
	cleanup(office_freep) struct office *kept = load_kept(stored);

	if (!kept || !rotate_recall(o, kept))
		return;
	buf_clear(text);
	office_write(o, DIALECT_BUNDLE, text);
}

/* An answer that does not come leaves what was known. */
static void learn(const struct bring_up *b, struct office *o)
{
	struct member *m = (struct member *)office_find(o, o->self);
	const struct member *hub = office_hub(o);

	learn_recall(b->interface, o);
	if (m->kind == MEMBER_NODE && m->mode == RETURN_AUTO && hub &&
		(b->ask_again || (b->ask && m->learnt_mode == RETURN_AUTO)))
		(void)learn_mode(m, b->interface, &hub->address);
}

/*
 * What can be learnt only once the tunnel is up: at which port the hub answers, and how large packets
 * may be.  Then the tunnel is made so.
 */
static int learn_path(struct bring_up *b, struct office *o, const uint8_t key[KEY_LEN], int lock_fd)
{
	struct member *m = (struct member *)office_find(o, o->self);
	cleanup(plan_freep) struct plan *p = NULL;
	const struct member *hub = office_hub(o);
	/* lint-ignore clang-analyzer-core.NullDereference: a bundle was loaded, or nobody comes here */
	bool measure = !m->mtu && o->mtu > MTU_LEAST && (b->ask_again || !m->learnt_mtu);
	int r;

	if (!hub || hub == m || !hub->has_key || (!measure && !hub->ports[0]))
		return 0;
	if (!learn_hub(o, m, b->interface, key)) {
		if (measure)
			log_info("the MTU of the path to the hub %s is measured when it answers: by ginnel up", hub->name);
		return 0;
	}
	if (!measure)
		return 0;
	(void)learn_mtu(o, m, b->interface);
	r = plan_make(o, m, &p);
	b->audit.repair = false;
	return r < 0 ? r : up(p, b->interface, key, lock_fd, &b->audit);
}

static int keep(const char *path, const struct buf *text)
{
	int r = text->error ? text->error : store_write(path, 0600, text);

	if (r < 0)
		log_error("cannot keep the bundle in %s: %s; nothing is changed", path, strerror(-r));
	return r;
}

/* Whether the bundle is another one than the time before. */
static bool is_new(struct bring_up *b, const struct buf *text)
{
	uint8_t hash[HASH_LEN];
	bool is;

	hash2(hash, text->data, text->len, NULL, 0);
	is = memcmp(hash, b->last, HASH_LEN) != 0;
	memcpy(b->last, hash, HASH_LEN);
	return is;
}

static bool has_next_keys(const struct plan *p)
{
	bool has = false;

	for (size_t i = 0; i < p->n_peers; i++)
		has = has || p->peers[i].next;
	return has;
}

static int put_in_force(struct bring_up *b, struct office *o, const struct member *m, struct buf *text,
	const char *stored, int lock_fd)
{
	cleanup(rotate_keys_done) struct rotate_keys keys = {.has_next = false};
	cleanup(plan_freep) struct plan *p = NULL;
	int r;

	recall(stored, o, text);
	r = rotate_keys_load(b->interface, (struct member *)m, &keys);
	if (r == 0)
		r = keep(stored, text);
	if (r < 0)
		return r;
	b->audit.repair = !is_new(b, text);
	if (rotate_step(b->interface, stored, o))
		b->audit.repair = false;
	learn(b, o);
	r = plan_make(o, m, &p);
	if (r < 0) {
		log_error("cannot make a plan: %s", strerror(-r));
		return r;
	}
	b->next_keys = has_next_keys(p);
	if (b->renew)
		engine_renew(b->interface, lock_fd);
	r = up(p, b->interface, rotate_keys_running(b->interface, &keys), lock_fd, &b->audit);
	/* What takes its time, or makes sessions anew, is not done at each look. */
	if (b->brief || (!b->ask && b->audit.repair))
		return r;
	if (r >= 0 && keys.has_next)
		r = rotate_try(p, b->interface, &keys);
	if (r >= 0)
		r = learn_path(b, o, rotate_keys_running(b->interface, &keys), lock_fd);
	return r;
}

bool bring_up_is_due(const struct bring_up *b)
{
	cleanup(running_freep) struct running *running = NULL;
	cleanup(office_freep) struct office *o = NULL;
	char stored[BUNDLE_PATH_MAX];

	if (!b->next_keys || bundle_path(b->interface, stored) < 0 || client_get(b->interface, &running) < 0)
		return false;
	o = load_kept(stored);
	return o && rotate_found(o, running);
}

/*
 * Who writes it may take his time, or never come.  Nothing is begun yet, and signals that wait for the end of
 * what is begun need not.
 */
static int load_given(const char *from, const char *stored, struct buf *text, struct office **ret)
{
	sigset_t none, before;
	int r;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, &before);
	r = bundle_load(from, stored, text, ret);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return r;
}

int bring_up(struct bring_up *b)
{
	cleanup(buf_done) struct buf text = buf_of_max(OFFICE_TEXT_MAX + 1), errors = buf_of_max(ERRORS_MAX),
			      warnings = buf_of_max(ERRORS_MAX);
	cleanup(office_freep) struct office *o = NULL;
	cleanup(close_fd) int locked = -1;
	char stored[BUNDLE_PATH_MAX];
	const struct member *m;
	int r = bundle_path(b->interface, stored);

	if (r == 0 && b->from)
		r = load_given(b->from, stored, &text, &o);
	if (r == 0)
		r = up_lock(&locked);
	if (r == 0 && !b->from)
		r = bundle_load(stored, stored, &text, &o);
	if (r < 0)
		return r;
	m = bundle_self(o);
	if (!m)
		return -EINVAL;
	if (!check(o, b->from ? b->from : stored, &errors, &warnings)) {
		fputs(buf_str(&errors), stderr);
		return -EINVAL;
	}
	return put_in_force(b, o, m, &text, stored, locked);
}
