#include "cli/stats_verbs.h"

#include "base/log.h"
#include "stats/exporter.h"
#include "stats/metrics.h"
#include "stats/report.h"
#include "stats/show.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>

#define OUTPUT_MAX (256u << 20)
#define CLEAR_SCREEN "\033[H\033[J"

static int fail(const struct cmd_call *call, struct buf *why)
{
	fprintf(stderr, "ginnel %s: %s\n", cmd_called(call)->name, buf_str(why));
	return 1;
}

static const struct stats *find(const struct stats_set *set, const char *name)
{
	for (size_t i = 0; i < set->n; i++)
		if (!strcmp(set->at[i].name, name))
			return &set->at[i];
	return NULL;
}

static void put_text(const struct stats_set *now, const struct stats_set *before,
	struct show_style style, struct buf *out)
{
	for (size_t i = 0; i < now->n; i++) {
		buf_puts(out, i ? "\n" : "");
		show_stats(&now->at[i], find(before, now->at[i].name), style, out);
	}
	if (!now->n)
		buf_puts(out, "no tunnel runs here (nothing listens in " CTL_DIR ")\n");
}

static void put_json(const struct stats_set *now, const struct stats_set *before, struct buf *out)
{
	buf_puts(out, "[");
	for (size_t i = 0; i < now->n; i++) {
		buf_puts(out, i ? ",\n" : "");
		show_stats_json(&now->at[i], find(before, now->at[i].name), out);
	}
	buf_puts(out, "]\n");
}

int stats_verb(const struct cmd_call *call, const struct stats_settings *settings)
{
	cleanup(stats_set_done) struct stats_set before = {.n = 0};
	const char *no_color = getenv("NO_COLOR");
	bool terminal = isatty(STDOUT_FILENO);
	struct show_style style = {
		.all = settings->all, .colours = terminal && !(no_color && *no_color)};
	struct timespec pause = {.tv_sec = settings->watch_s};

	for (;;) {
		cleanup(buf_done) struct buf out = buf_of_max(OUTPUT_MAX), why = buf_of_max(1024);
		struct stats_set now = {.n = 0};

		if (stats_collect(call->operands, (size_t)call->n_operands, false, &now, &why) < 0)
			return fail(call, &why);
		if (settings->watch_s && terminal && !settings->json)
			buf_puts(&out, CLEAR_SCREEN);
		if (settings->json)
			put_json(&now, &before, &out);
		else
			put_text(&now, &before, style, &out);
		stats_set_done(&before);
		before = now;
		if (cmd_print(&out))
			return 1;
		if (!settings->watch_s)
			return 0;
		nanosleep(&pause, NULL);
	}
}

int metrics_verb(const struct cmd_call *call, const struct stats_settings *settings)
{
	cleanup(buf_done) struct buf out = buf_of_max(OUTPUT_MAX), why = buf_of_max(1024);
	cleanup(stats_set_done) struct stats_set set = {.n = 0};
	size_t n = (size_t)call->n_operands;
	int listener;

	if (settings->listen[0]) {
		if (exporter_listen(settings->listen, &listener, &why) < 0)
			return fail(call, &why);
		log_open("ginnel", LOG_LEVEL_INFO);
		return exporter_run(listener, settings->listen, call->operands, n) < 0;
	}
	if (stats_collect(call->operands, n, false, &set, &why) < 0)
		return fail(call, &why);
	metrics_put(set.at, set.n, &out);
	return cmd_print(&out);
}

struct reporting {
	struct buf			*out;
	const struct stats_settings	*settings;
	bool				 missing;
};

static int report_one(void *arg, const char *name)
{
	cleanup(ctl_client_done) struct ctl_client c = CTL_CLIENT_NONE;
	cleanup(buf_done) struct buf why = buf_of_max(1024);
	cleanup(stats_done) struct stats s = {.n_peers = 0};
	struct reporting *r = arg;

	/* What cannot be asked is part of the report. */
	if (ctl_client_connect(&c, name, &why) < 0 || stats_ask(&c, &s, &why) < 0 ||
		stats_ask_events(&c, &s, &why) < 0) {
		buf_printf(r->out, "\n%s\n", buf_str(&why));
		r->missing = true;
		return 0;
	}
	report_tunnel(&s, r->settings->hide_addresses, r->out);
	return 0;
}

int report_verb(const struct cmd_call *call, const struct stats_settings *settings)
{
	cleanup(buf_done) struct buf out = buf_of_max(OUTPUT_MAX);
	struct reporting r = {.out = &out, .settings = settings};
	int error = 0;

	report_host(&out);
	for (int i = 0; i < call->n_operands; i++)
		report_one(&r, call->operands[i]);
	if (!call->n_operands)
		error = ctl_tunnels(CTL_DIR, report_one, &r);
	if (error < 0)
		buf_printf(&out, "\ncannot look into " CTL_DIR ": %s\n", strerror(-error));
	return cmd_print(&out) || r.missing || error < 0;
}
