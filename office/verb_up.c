#include "office/verbs.h"

#include "base/log.h"
#include "office/bundle.h"
#include "office/check.h"
#include "office/engine.h"
#include "office/learn.h"
#include "office/secret.h"
#include "office/store.h"
#include "office/up.h"

#include <errno.h>
#include <stdio.h>

#define ERRORS_MAX ((size_t)1 << 20)

/* The key, which must be the one that the office knows. */
static int load_key(const char *interface, const struct member *m, uint8_t ret[KEY_LEN])
{
	uint8_t public[KEY_LEN];
	char path[PATH_MAX];
	int r = secret_path(interface, path, sizeof(path));

	if (r == 0)
		r = secret_load(path, ret, public);
	if (r == -ENOENT)
		log_error("there is no key in %s: run \"ginnel key %s\" here, and give what it prints to \"ginnel accept\"", path,
			m->name);
	else if (r < 0)
		log_error("cannot read the key in %s: %s", path, r == -EBADMSG ? "it holds something else" : strerror(-r));
	else if (!m->has_key || memcmp(public, m->public_key, KEY_LEN) != 0)
		r = -EKEYREJECTED;
	if (r == -EKEYREJECTED)
		log_error("the bundle is for another key than the one in %s: give what \"ginnel key %s\" prints to "
			  "\"ginnel accept\", and export anew",
			path, m->name);
	return r;
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

static int keep(const char *path, const struct buf *text)
{
	int r = store_write(path, 0600, text);

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
	const struct member *m;
	uint8_t key[KEY_LEN];
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
	r = load_key(interface, m, key);
	if (r == 0)
		r = keep(stored, &text);
	if (r >= 0) {
		learn(interface, o, probe);
		r = plan_make(o, m, &p);
		if (r < 0)
			log_error("cannot make a plan: %s", strerror(-r));
	}
	if (r >= 0)
		r = up(p, interface, key);
	explicit_bzero(key, sizeof(key));
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
