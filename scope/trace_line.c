#include "scope/trace_line.h"

#include "base/json.h"
#include "scope/drops.h"
#include "wg/tap.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#define BOLD "\033[1m"
#define RED "\033[31m"
#define YELLOW "\033[33m"
#define FAINT "\033[2m"
#define PLAIN "\033[0m"

/* The type of wg/, for its names. */
ENUM_DEFINE_AS(static const struct enum_type type_point, wg_tap_point, WG_TAP_POINT_LIST);

static void put_local_time(uint64_t real_ns, struct buf *ret)
{
	time_t s = (time_t)(real_ns / 1000000000);
	struct tm tm = {.tm_year = 0};
	char text[16];

	if (!localtime_r(&s, &tm) || !strftime(text, sizeof(text), "%H:%M:%S", &tm))
		text[0] = '\0';
	buf_printf(ret, "%s.%03u", text, (unsigned)(real_ns / 1000000 % 1000));
}

static const char *colour_of(unsigned level)
{
	return level <= 3 ? RED : level == 4 ? YELLOW : level >= 7 ? FAINT : "";
}

static void put_plain(uint64_t real_ns, const char *who, unsigned level, const char *text,
	struct trace_style style, struct buf *ret)
{
	const char *colour = style.colours ? colour_of(level) : "";

	put_local_time(real_ns, ret);
	buf_printf(ret, "  %s%-12s%s  %s%s%s\n", style.colours ? BOLD : "", who, style.colours ? PLAIN : "",
		colour, text, *colour ? PLAIN : "");
}

static void put_text(const char *name, const char *text, struct buf *ret)
{
	if (!text)
		return;
	buf_printf(ret, ",\"%s\":", name);
	json_put_text(text, ret);
}

static void put_number(const char *name, uint64_t n, struct buf *ret)
{
	buf_printf(ret, ",\"%s\":%" PRIu64, name, n);
}

static void put_time(uint64_t real_ns, struct buf *ret)
{
	time_t s = (time_t)(real_ns / 1000000000);
	struct tm tm = {.tm_year = 0};
	char text[32];

	if (!gmtime_r(&s, &tm) || !strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm))
		text[0] = '\0';
	buf_printf(ret, "{\"time\":\"%s.%03uZ\"", text, (unsigned)(real_ns / 1000000 % 1000));
	put_number("time_ns", real_ns, ret);
}

static void put_record(const struct capture_record *r, struct buf *ret)
{
	static const uint8_t none[CAPTURE_KEY_LEN];
	cleanup(buf_done) struct buf at = buf_of_max(80);

	put_text("kind", r->kind == CAPTURE_EVENT ? "event" : "drop", ret);
	if (r->kind == CAPTURE_EVENT) {
		put_text("event", story_event_name(r->event), ret);
		put_number("event_number", r->event, ret);
	} else {
		put_text("point", enum_name(&type_point, r->point), ret);
		put_number("packets", r->n, ret);
		put_number("length", r->len, ret);
		put_number("tos", r->tos, ret);
	}
	if (r->drop) {
		put_text("drop", drops_name(r->drop), ret);
		put_number("drop_number", r->drop, ret);
		if (r->error) {
			put_number("errno", r->error, ret);
			put_text("error", strerror(r->error), ret);
		}
	}
	if (r->has_peer || memcmp(r->public_key, none, sizeof(none))) {
		char key[KEY_TEXT_LEN + 1];

		key_text_format(r->public_key, key);
		put_text(r->has_peer ? "public_key" : "claimed_public_key", key, ret);
	}
	if (story_put_address(r, &at))
		put_text("remote", buf_str(&at), ret);
}

static void put_facts(const struct story_facts *f, struct buf *ret)
{
	if (f->attempt)
		put_number("attempt", f->attempt, ret);
	if (f->waited_ns)
		put_number("waited_ns", f->waited_ns, ret);
	if (f->rtt_ns)
		put_number("rtt_ns", f->rtt_ns, ret);
	put_text("role", f->role, ret);
	put_text("icmp", f->icmp, ret);
}

void trace_line_put(const struct trace_line *l, struct trace_style style, struct buf *ret)
{
	const struct capture_record *r = l->record;

	if (!style.json) {
		put_plain(r->real_ns, l->who, l->level, l->text, style, ret);
		return;
	}
	put_time(r->real_ns, ret);
	put_number("level", l->level, ret);
	if (r->has_peer)
		put_text("peer", l->who, ret);
	put_record(r, ret);
	if (l->facts)
		put_facts(l->facts, ret);
	if (l->more)
		put_number("more", l->more, ret);
	put_text("text", l->text, ret);
	buf_puts(ret, "}\n");
}

/* "4,211" */
static void put_grouped(uint64_t n, struct buf *ret)
{
	uint64_t unit = 1;

	while (n / unit >= 1000)
		unit *= 1000;
	buf_printf(ret, "%u", (unsigned)(n / unit));
	while (unit /= 1000)
		buf_printf(ret, ",%03u", (unsigned)(n / unit % 1000));
}

void trace_line_put_more(uint64_t n, const struct capture_record *r, struct buf *ret)
{
	const char *name = r->kind == CAPTURE_EVENT ? story_event_name(r->event) : drops_name(r->drop);

	buf_puts(ret, "and ");
	put_grouped(n, ret);
	buf_printf(ret, " more in the last second: %s%s", r->kind == CAPTURE_EVENT ? "" : "dropped, ",
		name ? name : "of the same kind");
}

void trace_line_put_lost(uint64_t real_ns, uint64_t n, struct trace_style style, struct buf *ret)
{
	cleanup(buf_done) struct buf text = buf_of_max(128);

	put_grouped(n, &text);
	buf_puts(&text, " records lost here: whoever reads this trace is too slow");
	if (!style.json) {
		put_plain(real_ns, "-", 4, buf_str(&text), style, ret);
		return;
	}
	put_time(real_ns, ret);
	put_number("level", 4, ret);
	put_text("kind", "lost", ret);
	put_number("lost", n, ret);
	put_text("text", buf_str(&text), ret);
	buf_puts(ret, "}\n");
}
