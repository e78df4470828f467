#include "tunnel/events.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/key_text.h"
#include "base/log.h"
#include "tunnel/addr_text.h"

#include <inttypes.h>
#include <stdio.h>

#define PEER_TEXT 12
#define REPEATS_AMONG 9 /* as many entries, less one, are searched for the same event */

/* The first and last characters of the public key, as wg(8) prints it: enough to find it. */
static void peer_text(struct wg_peer *p, char ret[PEER_TEXT])
{
	char base64[KEY_TEXT_LEN + 1];

	if (!p) {
		snprintf(ret, PEER_TEXT, "-");
		return;
	}
	key_text_format(wg_peer_public_key(p), base64);
	snprintf(ret, PEER_TEXT, "%.4s...%.3s", base64, base64 + 40);
}

static bool same(const struct event *a, const struct event *b)
{
	return a->event == b->event && a->drop == b->drop && a->has_peer == b->has_peer &&
	       !memcmp(a->public_key, b->public_key, WG_KEY_LEN);
}

static void keep(struct events *k, const struct wg_tap_event *e)
{
	struct event new = {.event = e->event, .drop = e->drop, .n = 1, .has_peer = e->peer};

	new.real_ns = clock_ns(CLOCK_REALTIME);
	if (e->peer)
		memcpy(new.public_key, wg_peer_public_key(e->peer), WG_KEY_LEN);
	if (e->at)
		new.at = e->at->dst;
	for (uint64_t i = k->total; i && i + REPEATS_AMONG > k->total; i--) {
		struct event *old = &k->kept[(i - 1) % EVENTS_KEPT];

		if (same(old, &new)) {
			new.n = old->n + 1;
			*old = new;
			return;
		}
	}
	k->kept[k->total++ % EVENTS_KEPT] = new;
}

static void write_event(const struct wg_tap_event *e)
{
	cleanup(buf_done) struct buf at = buf_of_max(128);
	const char *endpoint;
	char peer[PEER_TEXT];

	if (log_level_now() < LOG_LEVEL_VERBOSE)
		return;
	peer_text(e->peer, peer);
	if (e->at && e->at->dst.family)
		addr_put(&e->at->dst, &at);
	else
		buf_puts(&at, "-");
	endpoint = buf_str(&at);
	if (e->event == WG_EVENT_REFUSED)
		/* A stranger can cause it. */
		log_limited(LOG_LEVEL_VERBOSE, "wg: refused reason=%s peer=%s endpoint=%s",
			enum_name(&wg_drop_enum, e->drop), peer, endpoint);
	else if (e->event == WG_EVENT_ROAMED)
		/* A peer can, with every packet. */
		log_limited(LOG_LEVEL_VERBOSE, "wg: roamed peer=%s endpoint=%s", peer, endpoint);
	else if (e->event == WG_EVENT_COOKIE_SENT)
		log_limited(LOG_LEVEL_VERBOSE, "wg: under load, cookie sent endpoint=%s", endpoint);
	else
		log_verbose("wg: %s peer=%s endpoint=%s", enum_name(&wg_event_enum, e->event), peer,
			endpoint);
}

static void heard(void *arg, const struct wg_tap_event *e)
{
	struct events *k = arg;

	if (e->event == WG_EVENT_PEER_REMOVED && k->peer_removed)
		k->peer_removed(k->arg, e->peer);
	keep(k, e);
	write_event(e);
}

void events_init(struct events *e)
{
	*e = (struct events){.tap = {.event = heard, .arg = e}};
}

void events_tell_drops(const struct wg_device *d)
{
	cleanup(buf_done) struct buf text = buf_of_max(2048);
	uint64_t drops[WG_DROP_COUNT];

	if (log_level_now() < LOG_LEVEL_VERBOSE)
		return;
	wg_device_drops(d, drops);
	for (int i = 0; i < WG_DROP_COUNT; i++)
		if (drops[i])
			buf_printf(&text, " %s=%" PRIu64, enum_name(&wg_drop_enum, i), drops[i]);
	if (text.len)
		log_verbose("wg: dropped%s", buf_str(&text));
}
