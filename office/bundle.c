#include "office/bundle.h"

#include "base/log.h"
#include "office/engine.h"
#include "office/store.h"

#include <errno.h>
#include <stdio.h>

#define ERRORS_MAX ((size_t)1 << 20)

int bundle_path(const char *interface, char ret[BUNDLE_PATH_MAX])
{
	int n = snprintf(ret, BUNDLE_PATH_MAX, "%s/%s.bundle", ENGINE_STATE_DIR, interface);

	return n >= BUNDLE_PATH_MAX ? -ENAMETOOLONG : 0;
}

int bundle_load(const char *from, const char *stored, struct buf *text, struct office **ret)
{
	cleanup(buf_done) struct buf errors = buf_of_max(ERRORS_MAX);
	const char *name = !strcmp(from, "-") ? "standard input" : from;
	int r = store_read(from, text);

	if (r == -ENOENT && !strcmp(from, stored)) {
		log_error("there is no bundle from before: give one, as in: ginnel export NAME | ssh root@NAME ginnel up -");
		return r;
	}
	if (r < 0) {
		log_error("cannot read %s: %s", name, r == -ENOBUFS ? "it is too large for a bundle" : strerror(-r));
		return r;
	}
	if (!text->len) {
		log_error("%s is empty: the bundle was not made", name);
		return -EINVAL;
	}
	r = office_read(DIALECT_BUNDLE, name, (const char *)text->data, text->len, ret, &errors);
	fputs(buf_str(&errors), stderr);
	return r;
}

const struct member *bundle_self(const struct office *o)
{
	const struct member *m = office_find(o, o->self);

	if (!m || m->kind == MEMBER_HOST) {
		log_error("the bundle is for %s, which is no hub, node or person in it", o->self);
		return NULL;
	}
	return m;
}
