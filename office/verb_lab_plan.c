/*
 * ginnel-office lab-plan, which ginnel-lab calls: into a directory of that one's it writes plan, see office/lab_plan.h;
 * office.net, the file as it is; and office.lock, all that it leaves out.  The lock beside the file is read and
 * stays as it is.
 */
#include "office/lab_plan.h"
#include "office/load.h"
#include "office/store.h"
#include "office/verbs.h"

#include <errno.h>
#include <stdio.h>

static int read_gateway(const char *text, struct lab_gateway *ret)
{
	const char *equals = strchr(text, '=');
	size_t len = equals ? (size_t)(equals - text) : 0;
	int64_t kind;

	if (!len || len >= sizeof(ret->node)) {
		fprintf(stderr, "ginnel lab: a gateway is NAME=KIND, not '%s'\n", text);
		return -EINVAL;
	}
	if (enum_value(&gateway_kind_enum, equals + 1, &kind) < 0) {
		cleanup(buf_done) struct buf why = buf_of_max(512);

		enum_say_unknown(&gateway_kind_enum, equals + 1, &why);
		fprintf(stderr, "ginnel lab: %s: %s\n", text, buf_str(&why));
		return -EINVAL;
	}
	memcpy(ret->node, text, len);
	ret->node[len] = '\0';
	ret->kind = (enum gateway_kind)kind;
	return 0;
}

/* In the laboratory nobody has a key of the real network, nor has anything been tried there. */
static void forget(struct office *o)
{
	for (size_t i = 0; i < o->n_members; i++) {
		o->members[i].has_key = o->members[i].has_next_key = false;
		o->members[i].learnt_mode = RETURN_AUTO;
		o->members[i].learnt_mtu = 0;
		o->members[i].given = 0;
	}
}

static int write_in(const char *dir, const char *name, const struct buf *text)
{
	char path[PATH_MAX];
	int r = snprintf(path, sizeof(path), "%s/%s", dir, name) >= (int)sizeof(path) ? -ENAMETOOLONG : 0;

	r = r < 0 ? r : store_write(path, 0600, text);
	if (r < 0)
		fprintf(stderr, "ginnel lab: cannot write %s/%s: %s\n", dir, name, strerror(-r));
	return min(r, 0);
}

int verb_lab_plan(const struct cmd_call *call, void *into)
{
	const char *file = ((const struct verb_settings *)into)->file, *dir = call->operands[0];
	char *const *gateways = call->operands + 1;
	const size_t n = (size_t)call->n_operands - 1;
	cleanup(buf_done) struct buf text = buf_of_max(OFFICE_TEXT_MAX), lock = buf_of_max(OFFICE_TEXT_MAX),
				     plan = buf_of_max(OFFICE_TEXT_MAX), errors = buf_of_max(OFFICE_TEXT_MAX);
	cleanup(free_ptr) struct lab_gateway *wanted = calloc(n + 1, sizeof(*wanted));
	cleanup(office_freep) struct office *o = NULL;
	int r = wanted ? 0 : -ENOMEM;

	for (size_t i = 0; i < n && r == 0; i++) {
		if (read_gateway(gateways[i], &wanted[i]) < 0)
			return VERB_STATUS_USAGE;
	}
	if (r < 0 || load_office(file, &o) < 0)
		return 1;
	forget(o);
	r = lab_plan(o, file, wanted, n, &plan, &errors);
	fputs(buf_str(&errors), stderr);
	r = r < 0 ? r : store_read(file, &text);
	r = r < 0 ? r : office_write(o, DIALECT_LOCK, &lock);
	if (r < 0 && !errors.len)
		fprintf(stderr, "ginnel lab: %s: %s\n", file, strerror(-r));
	if (r < 0 || write_in(dir, "office.net", &text) < 0 || write_in(dir, "office.lock", &lock) < 0)
		return 1;
	return write_in(dir, "plan", &plan) < 0;
}
