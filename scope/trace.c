/* ginnel trace: what happens in a tunnel, one line each. */
#include "base/clock.h"
#include "scope/condense.h"
#include "scope/follow.h"
#include "scope/icmp_errors.h"
#include "scope/stop.h"
#include "scope/target.h"
#include "scope/trace_line.h"
#include "scope/verbs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define LOOK_MS 1000		/* whether the reader is still there, and nothing was lost */
#define FLUSH_AT ((size_t)64 << 10)
#define OUTPUT_MAX ((size_t)1 << 20)
#define SNAP 256		/* headers of what was dropped, and whole handshake messages */
#define LEVEL_DETAIL 7
#define ICMP_AT_ONCE 1000

struct trace {
	struct target		 target;
	struct story		*story;
	struct follow		*follow;
	struct icmp_errors	 icmp;
	struct condense		 condense;
	struct trace_style	 style;
	bool			 verbose;
	uint64_t		 lost;		/* was said */
	struct buf		 out;
};

static void trace_done(struct trace *t)
{
	if (t->follow)
		follow_free(t->follow);
	if (t->story)
		story_free(t->story);
	icmp_errors_close(&t->icmp);
	target_done(&t->target);
	buf_done(&t->out);
}

static int begin(struct trace *t, const char *tunnel, const struct scope_settings *s, struct buf *why)
{
	const char *no_color = getenv("NO_COLOR");
	struct follow_config in = {.want = CAPTURE_HANDSHAKES | CAPTURE_DROPS | CAPTURE_EVENTS, .snap = SNAP};
	int r = target_find(tunnel, s->peer, &t->target, why);

	if (r < 0)
		return r;
	t->verbose = s->verbose;
	t->style = (struct trace_style){.json = s->json,
		.colours = isatty(STDOUT_FILENO) && !(no_color && *no_color)};
	r = story_new(t->target.names, &t->story);
	if (r < 0) {
		buf_puts(why, strerror(-r));
		return r;
	}
	icmp_errors_open(&t->icmp);
	in.name = t->target.tunnel;
	in.peer = t->target.one_peer ? t->target.peer : NULL;
	return follow_new(&in, &t->follow, why);
}

static int flush(struct trace *t, struct buf *why)
{
	size_t at = 0;

	while (at < t->out.len && !t->out.error) {
		ssize_t n = write(STDOUT_FILENO, t->out.data + at, t->out.len - at);

		if (n >= 0) {
			at += (size_t)n;
		} else if (errno == EINTR) {
			/* Asked to end while the reader stands still: it will not get the rest. */
			if (stop_asked())
				return -EPIPE;
		} else {
			buf_printf(why, "cannot go on writing standard output: %s", strerror(errno));
			return -errno;
		}
	}
	if (t->out.error)
		buf_puts(why, "no memory for what is to be printed");
	at = (size_t)t->out.error;
	buf_clear(&t->out);
	return at ? -ENOMEM : 0;
}

static void put(struct trace *t, const struct trace_line *l)
{
	char who[NAME_MAX_LEN + 1];
	struct trace_line line = *l;

	story_who(t->story, l->record, who);
	/* What is about the tunnel as a whole is not about a stranger. */
	line.who = !l->record->has_peer && l->record->kind == CAPTURE_EVENT && !l->record->drop ? t->target.tunnel : who;
	trace_line_put(&line, t->style, &t->out);
}

/* What was held back, of seconds that are over. */
static void put_held(struct trace *t, uint64_t now_ns)
{
	struct condensed k;

	while (condense_due(&t->condense, now_ns, &k)) {
		cleanup(buf_done) struct buf text = buf_of_max(256);

		k.of.real_ns = clock_ns(CLOCK_REALTIME);
		trace_line_put_more(k.held, &k.of, &text);
		put(t, &(struct trace_line){.record = &k.of, .text = buf_str(&text), .level = 4, .more = k.held});
	}
}

static void hear_icmp(struct trace *t)
{
	struct icmp_error e;

	for (unsigned i = 0; i < ICMP_AT_ONCE && icmp_errors_next(&t->icmp, &e); i++)
		story_hear_icmp(t->story, &e);
}

static void tell(struct trace *t, const struct capture_record *r, const uint8_t *data)
{
	cleanup(buf_done) struct buf text = buf_of_max(1024);
	unsigned level;

	if (story_waits(r))
		hear_icmp(t);
	if (!story_tell(t->story, r, data, &text, &level) || (level >= LEVEL_DETAIL && !t->verbose))
		return;
	if (!t->verbose && !condense_take(&t->condense, r, clock_ns(CLOCK_MONOTONIC)))
		return;
	put(t,
		&(struct trace_line){.record = r,
			.facts = story_facts(t->story),
			.text = buf_str(&text),
			.level = level});
}

static void put_lost(struct trace *t)
{
	uint64_t lost = follow_lost(t->follow);

	if (lost <= t->lost)
		return;
	trace_line_put_lost(clock_ns(CLOCK_REALTIME), lost - t->lost, t->style, &t->out);
	t->lost = lost;
}

static int go_on(struct trace *t, struct buf *why)
{
	while (!stop_asked()) {
		const struct capture_record *r;
		const uint8_t *data;
		int wait_ms = condense_next_ms(&t->condense, clock_ns(CLOCK_MONOTONIC), LOOK_MS);
		int got = follow_next(t->follow, stop_timeout_ms(wait_ms), &r, &data, why), error = 0;

		if (got < 0)
			return got;
		put_held(t, clock_ns(CLOCK_MONOTONIC));
		if (got)
			tell(t, r, data);
		if (!got)
			hear_icmp(t);
		if (!got || follow_idle(t->follow) || t->out.len >= FLUSH_AT) {
			put_lost(t);
			error = flush(t, why);
		}
		if (error < 0)
			return error;
		if (!got && stop_reader_gone(STDOUT_FILENO))
			return -EPIPE;
	}
	return 0;
}

int trace_verb(const struct cmd_call *call, void *settings)
{
	cleanup(buf_done) struct buf why = buf_of_max(1024);
	cleanup(trace_done) struct trace t = {.icmp = ICMP_ERRORS_NONE, .out = buf_of_max(OUTPUT_MAX)};
	int r;

	stop_init(0);
	r = begin(&t, call->n_operands ? call->operands[0] : NULL, settings, &why);
	if (r >= 0)
		r = go_on(&t, &why);
	if (t.follow && r != -EPIPE) {
		cleanup(buf_done) struct buf ignored = buf_of_max(256);

		put_held(&t, UINT64_MAX);
		put_lost(&t);
		(void)flush(&t, &ignored);
	}
	/* Who has read enough closes the pipe. */
	if (r >= 0 || r == -EPIPE)
		return 0;
	fprintf(stderr, "ginnel trace: %s\n", why.len ? buf_str(&why) : strerror(-r));
	return 1;
}
