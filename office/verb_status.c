#include "office/verbs.h"

#include "base/log.h"
#include "conf/client.h"
#include "office/bundle.h"
#include "office/check.h"
#include "office/learn.h"
#include "office/status.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>

#define OUTPUT_MAX ((size_t)16 << 20)
#define CLEAR_SCREEN "\033[H\033[J"

static int load(const char *interface, struct office **ret, struct plan **ret_plan)
{
	cleanup(buf_done) struct buf text = buf_of_max(OFFICE_TEXT_MAX + 1), errors = buf_of_max(OUTPUT_MAX),
			      warnings = buf_of_max(OUTPUT_MAX);
	const struct member *m;
	char path[BUNDLE_PATH_MAX];
	int r = bundle_path(interface, path);

	if (r == 0)
		r = bundle_load(path, path, &text, ret);
	if (r < 0)
		return r;
	m = bundle_self(*ret);
	if (!m)
		return -EINVAL;
	if (!check(*ret, path, &errors, &warnings)) {
		fputs(buf_str(&errors), stderr);
		return -EINVAL;
	}
	learn_recall(interface, *ret);
	r = plan_make(*ret, m, ret_plan);
	if (r < 0)
		log_error("cannot make a plan: %s", strerror(-r));
	return r;
}

static int show(const struct plan *p, const struct verb_settings *s, bool clear)
{
	cleanup(buf_done) struct buf out = buf_of_max(OUTPUT_MAX);
	cleanup(running_freep) struct running *running = NULL;
	struct status status = {.plan = p, .interface = s->interface, .now_s = (uint64_t)time(NULL)};
	int r = client_get(s->interface, &running);

	if (r == -ENOENT || r == -ECONNREFUSED) {
		log_error(p->self->engine == ENGINE_KERNEL ? "%s is down: there is no interface %s; ginnel up"
							   : "%s is down: no daemon serves %s; ginnel up",
			p->self->name, s->interface);
		return 1;
	}
	if (r < 0) {
		log_error("cannot ask the daemon of %s: %s", s->interface, strerror(-r));
		return 1;
	}
	status.running = running;
	if (clear)
		buf_puts(&out, CLEAR_SCREEN);
	if (s->json)
		status_json(&status, &out);
	else
		status_words(&status, &out);
	return cmd_print(&out);
}

int verb_status(const struct cmd_call *call, void *into)
{
	const struct verb_settings *s = into;
	cleanup(office_freep) struct office *o = NULL;
	cleanup(plan_freep) struct plan *p = NULL;
	struct timespec pause = {.tv_sec = s->watch_s};
	bool clear = s->watch_s && !s->json && isatty(STDOUT_FILENO);
	int status;

	if (!verb_on_member(s))
		return 1;
	if (load(s->interface, &o, &p) < 0)
		return 1;
	for (;;) {
		status = show(p, s, clear);
		if (status || !s->watch_s)
			return status;
		nanosleep(&pause, NULL);
	}
}
