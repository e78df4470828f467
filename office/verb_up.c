#include "office/verbs.h"

#include "base/log.h"
#include "office/bundle.h"
#include "office/check.h"
#include "office/engine.h"
#include "office/learn.h"
#include "office/mtu.h"
#include "office/rotate.h"
#include "office/store.h"
#include "office/up.h"

#include <errno.h>
#include <stdio.h>

#define ERRORS_MAX ((size_t)1 << 20)

/* A key that was found to be in use, before the office was told, is not given up again. */
static void recall(const char *stored, struct office *o, struct buf *text)
{
	cleanup(buf_done) struct buf before = buf_of_max(OFFICE_TEXT_MAX + 1),
				     errors = buf_of_max(ERRORS_MAX);
	cleanup(office_freep) struct office *kept = NULL;

	if (store_read(stored, &before) < 0 ||
		office_read(DIALECT_BUNDLE, stored, (const char *)before.data, before.len, &kept,
			&errors) < 0)
		return;
	if (!rotate_recall(o, kept))
		return;
	buf_clear(text);
	office_write(o, DIALECT_BUNDLE, text);
}

/* An answer that does not come leaves what was known. */
static void learn(const char *interface, struct office *o, bool again)
{
	struct member *m = (struct member *)office_find(o, o->self);
	const struct member *hub = office_hub(o);

	learn_recall(interface, o);
	if (m->kind == MEMBER_NODE && m->mode == RETURN_AUTO && hub && (again || m->learnt_mode == RETURN_AUTO))
		(void)learn_mode(m, interface, &hub->address);
}

/*
 * What can be learnt only once the tunnel is up: at which port the hub answers, and how large packets
 * may be.  Then the tunnel is made so.
 */
static int learn_path(const char *interface, struct office *o, const uint8_t key[KEY_LEN], bool again)
{
	struct member *m = (struct member *)office_find(o, o->self);
	cleanup(plan_freep) struct plan *p = NULL;
	const struct member *hub = office_hub(o);
	/* lint-ignore clang-analyzer-core.NullDereference: a bundle was loaded, or nobody comes here */
	bool measure = !m->mtu && o->mtu > MTU_LEAST && (again || !m->learnt_mtu);
	int r;

	if (!hub || hub == m || !hub->has_key || (!measure && !hub->ports[0]))
		return 0;
	if (!learn_hub(o, m, interface, key)) {
		if (measure)
			log_info("the MTU of the path to the hub %s is measured when it answers: by ginnel up", hub->name);
		return 0;
	}
	if (!measure)
		return 0;
	(void)learn_mtu(o, m, interface);
	r = plan_make(o, m, &p);
	return r < 0 ? r : up(p, interface, key);
}

static int keep(const char *path, const struct buf *text)
{
	int r = text->error ? text->error : store_write(path, 0600, text);

	if (r < 0)
		log_error("cannot keep the bundle in %s: %s; nothing is changed", path, strerror(-r));
	return r;
}

static int bring_up(const char *from, const char *interface, bool probe)
{
	cleanup(buf_done) struct buf text = buf_of_max(OFFICE_TEXT_MAX + 1), errors = buf_of_max(ERRORS_MAX),
			      warnings = buf_of_max(ERRORS_MAX);
	cleanup(office_freep) struct office *o = NULL;
	cleanup(plan_freep) struct plan *p = NULL;
	char stored[BUNDLE_PATH_MAX];
	cleanup(rotate_keys_done) struct rotate_keys keys = {.has_next = false};
	const struct member *m;
	int r = bundle_path(interface, stored);

	if (r == 0)
		r = bundle_load(from ? from : stored, stored, &text, &o);
	if (r < 0)
		return r;
	m = bundle_self(o);
	if (!m)
		return -EINVAL;
	if (!check(o, from ? from : stored, &errors, &warnings)) {
		fputs(buf_str(&errors), stderr);
		return -EINVAL;
	}
	recall(stored, o, &text);
	r = rotate_keys_load(interface, (struct member *)m, &keys);
	if (r == 0)
		r = keep(stored, &text);
	if (r >= 0) {
		rotate_step(interface, stored, o);
		learn(interface, o, probe);
		r = plan_make(o, m, &p);
		if (r < 0)
			log_error("cannot make a plan: %s", strerror(-r));
	}
	if (r >= 0)
		r = up(p, interface, rotate_keys_running(interface, &keys));
	if (r >= 0 && keys.has_next)
		r = rotate_try(p, interface, &keys);
	if (r >= 0)
		r = learn_path(interface, o, rotate_keys_running(interface, &keys), probe);
	return r;
}

int verb_up(const struct cmd_call *call, void *into)
{
	const struct verb_settings *s = into;
	char prefix[64];

	if (!verb_interface(s))
		return 1;
	snprintf(prefix, sizeof(prefix), "ginnel-office(%s)", s->interface);
	log_open(prefix, LOG_LEVEL_INFO);
	return bring_up(call->n_operands ? call->operands[0] : NULL, s->interface, s->probe) < 0;
}
