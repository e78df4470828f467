/* ginnel capture: what goes through a tunnel, as pcapng. */
#include "base/clock.h"
#include "base/protect.h"
#include "scope/follow.h"
#include "scope/stop.h"
#include "scope/target.h"
#include "scope/verbs.h"
#include "scope/writer.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define LOOK_AT_LOST_MS 1000
#define LOOK_AT_LOST_RECORDS 4096 /* where there is no pause */

struct capture {
	struct target	 target;
	struct story	*story;
	struct follow	*follow;
	struct writer	*writer;
	uint64_t	 count;		/* packets at most; 0: no limit */
};

static void capture_done(struct capture *c)
{
	if (c->follow)
		follow_free(c->follow);
	if (c->story)
		story_free(c->story);
	target_done(&c->target);
}

/* "10M:5": 10 MiB, five files. */
static int parse_rotate(const char *text, struct writer_config *ret, struct buf *why)
{
	static const char units[] = "KMG";
	char *end;
	unsigned long long size, files = 0;
	bool counted;
	unsigned shift = 0;
	const char *unit;

	if (!*text)
		return 0;
	errno = 0;
	size = strtoull(text, &end, 10);
	unit = *end && end > text ? strchr(units, *end) : NULL;
	if (unit) {
		shift = 10 * (unsigned)(unit - units + 1);
		end++;
	}
	counted = *end == ':' && end[1] >= '0' && end[1] <= '9';
	if (counted)
		files = strtoull(end + 1, &end, 10);
	if (*text < '0' || *text > '9' || *end || errno || size > (1ULL << 50) >> shift || files > 99999 ||
		(counted && !files) || (size << shift) < 4096) {
		buf_puts(why, "--rotate wants SIZE or SIZE:FILES, as 10M or 500K:20, of 4096 bytes at least");
		return -EINVAL;
	}
	ret->file_max = size << shift;
	ret->files_max = (unsigned)files;
	return 0;
}

static unsigned wanted(const struct scope_settings *s)
{
	unsigned want = CAPTURE_HANDSHAKES | CAPTURE_DROPS | CAPTURE_EVENTS;

	if (s->inner || !(s->outer || s->keys))
		want |= CAPTURE_INNER;
	if (s->outer || s->keys)
		want |= CAPTURE_OUTER;
	if (s->keys)
		want |= CAPTURE_KEYS | CAPTURE_PRIME;
	return want;
}

static int begin(struct capture *c, const char *tunnel, const struct scope_settings *s, struct buf *why)
{
	const char *path = s->file[0] ? s->file : "-";
	struct writer_config out = {.path = path, .snap = (uint32_t)s->snap};
	struct follow_config in = {.want = wanted(s), .snap = (uint32_t)s->snap};
	int r = parse_rotate(s->rotate, &out, why);

	if (r >= 0 && out.file_max && !strcmp(path, "-")) {
		buf_puts(why, "--rotate needs a file: -w");
		r = -EINVAL;
	}
	if (r >= 0)
		r = target_find(tunnel, s->peer, &c->target, why);
	if (r < 0)
		return r;
	r = story_new(c->target.names, &c->story);
	if (r < 0) {
		buf_puts(why, strerror(-r));
		return r;
	}
	in.name = out.tunnel = c->target.tunnel;
	in.peer = c->target.one_peer ? c->target.peer : NULL;
	out.names = c->target.names;
	out.story = c->story;
	out.secret = s->keys;
	c->count = (uint64_t)s->count;
	if (!strcmp(path, "-") && isatty(STDOUT_FILENO)) {
		buf_puts(why, "a capture is not for a terminal: give a file with -w, or a pipe");
		return -EINVAL;
	}
	r = follow_new(&in, &c->follow, why);
	return r < 0 ? r : writer_open(&out, &c->writer, why);
}

/* What was there when the end was asked for is taken along. */
static int go_on(struct capture *c, struct buf *why)
{
	uint64_t end_ns = 0;

	for (unsigned n = 1; !c->count || writer_packets(c->writer) < c->count; n++) {
		const struct capture_record *r;
		const uint8_t *data;
		int got, error;

		if (!end_ns && stop_asked())
			end_ns = clock_ns(CLOCK_REALTIME);
		got = follow_next(c->follow, end_ns ? 0 : stop_timeout_ms(LOOK_AT_LOST_MS), &r, &data, why);
		if (got < 0)
			return got;
		if (end_ns && (!got || r->real_ns > end_ns))
			break;
		error = got ? writer_put(c->writer, r, data, why) : 0;
		if (error >= 0 && (!got || follow_idle(c->follow) || n % LOOK_AT_LOST_RECORDS == 0)) {
			error = writer_lost(c->writer, follow_lost(c->follow), why);
			if (error >= 0)
				error = writer_flush(c->writer, why);
		}
		if (error < 0)
			return error;
		if (!got && stop_reader_gone(writer_fd(c->writer))) {
			buf_puts(why, "nobody reads it any more");
			return -EPIPE;
		}
	}
	return writer_lost(c->writer, follow_lost(c->follow), why);
}

int capture_run(const char *tunnel, const struct scope_settings *s)
{
	cleanup(buf_done) struct buf why = buf_of_max(1024), unheard = buf_of_max(1024);
	cleanup(capture_done) struct capture c = {.count = 0};
	uint64_t packets = 0, lost = 0;
	int r, closed = 0;

	stop_init(s->seconds);
	if (s->keys)
		protect();
	r = begin(&c, tunnel, s, &why);
	if (r >= 0 && s->keys && !s->for_wireshark)
		fprintf(stderr, "ginnel capture: what is written holds the tunnel's private and preshared keys; "
			"\"editcap --discard-all-secrets\" takes them out\n");
	if (r >= 0)
		r = go_on(&c, &why);
	if (c.writer) {
		packets = writer_packets(c.writer);
		lost = follow_lost(c.follow);
		/* What went wrong first is what is told. */
		closed = writer_close(c.writer, r < 0 ? &unheard : &why);
	}
	if (r >= 0 && closed < 0)
		r = closed;
	if (packets && !s->for_wireshark && (isatty(STDERR_FILENO) || lost))
		fprintf(stderr, "ginnel capture: %" PRIu64 " packets captured, %" PRIu64 " records lost\n",
			packets, lost);
	if (r >= 0 || (r == -EPIPE && s->for_wireshark) || (r == -EINTR && stop_asked()))
		return 0;
	fprintf(stderr, "ginnel capture: %s\n", why.len ? buf_str(&why) : strerror(-r));
	return 1;
}

int capture_verb(const struct cmd_call *call, void *settings)
{
	return capture_run(call->n_operands ? call->operands[0] : NULL, settings);
}
