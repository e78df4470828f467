#include "stats/show.h"

#include "base/json.h"
#include "base/table.h"
#include "stats/text.h"

#include <stdio.h>

#define BOLD "\033[1m"
#define YELLOW "\033[33m"
#define PLAIN "\033[0m"

static uint64_t since(const struct stats *s, uint64_t real_ns)
{
	return s->taken_real_ns > real_ns ? s->taken_real_ns - real_ns : 0;
}

/* The same peer at the earlier time; most often in the same place. */
static const struct stats_peer *peer_before(
	const struct stats *before, size_t i, const struct stats_peer *p)
{
	if (!before)
		return NULL;
	if (i < before->n_peers && !memcmp(before->peers[i].public_key, p->public_key, KEY_LEN))
		return &before->peers[i];
	for (size_t k = 0; k < before->n_peers; k++)
		if (!memcmp(before->peers[k].public_key, p->public_key, KEY_LEN))
			return &before->peers[k];
	return NULL;
}

/* Bytes a second; a peer that was added anew since counts from zero. */
static uint64_t rate(const struct stats *s, const struct stats *before, uint64_t now, uint64_t then)
{
	uint64_t ns = s->taken_ns - before->taken_ns;

	return ns && now > then ? (uint64_t)((double)(now - then) * 1e9 / (double)ns) : 0;
}

static void put_head(const struct stats *s, struct show_style style, struct buf *ret)
{
	char age[32];

	text_age(since(s, s->started_ns), age);
	buf_printf(ret, "%s%s%s: %s", style.colours ? BOLD : "", s->name, style.colours ? PLAIN : "",
		s->up ? "up" : "down");
	if (s->port)
		buf_printf(ret, ", port %llu", (unsigned long long)s->port);
	for (size_t i = 0; i < array_size(s->bind_address); i++)
		if (s->bind_address[i][0])
			buf_printf(ret, " at %s", s->bind_address[i]);
	if (s->bind_device[0])
		buf_printf(ret, " by %s", s->bind_device);
	if (s->fwmark)
		buf_printf(ret, ", fwmark 0x%llx", (unsigned long long)s->fwmark);
	buf_printf(ret, ", %zu peer%s; ginnel-wg %s, pid %llu, for %s\n", s->n_peers,
		s->n_peers == 1 ? "" : "s", s->version, (unsigned long long)s->pid, age);
}

static void put_path(const struct stats *s, struct show_style style, struct buf *ret)
{
	buf_printf(ret, "  path     %s, %llu worker%s", s->cipher, (unsigned long long)s->workers,
		s->workers == 1 ? "" : "s");
	for (size_t i = 0; i < s->n_pieces; i++)
		if (s->pieces[i].on)
			buf_printf(ret, ", %s", s->pieces[i].name);
	buf_puts(ret, "\n");
	for (size_t i = 0; i < s->n_pieces; i++)
		if (!s->pieces[i].on || s->pieces[i].why[0])
			buf_printf(ret, "  %s  %s%s%s: %s\n", s->pieces[i].on ? "partly " : "without",
				style.colours ? YELLOW : "", s->pieces[i].name,
				style.colours ? PLAIN : "", s->pieces[i].why);
	if (s->retain)
		buf_printf(ret, "  keys     %sretained%s: captures can read sessions that exist, and so can who gets hold of the memory\n",
			style.colours ? YELLOW : "", style.colours ? PLAIN : "");
}

static void put_counts(const char *title, const struct stats_count *counts, size_t n,
	struct show_style style, struct buf *ret)
{
	bool any = false;

	for (size_t i = 0; i < n; i++) {
		if (!counts[i].n && !style.all)
			continue;
		buf_printf(ret, "%s%s %llu", any ? ", " : title, counts[i].name,
			(unsigned long long)counts[i].n);
		any = true;
	}
	buf_puts(ret, any ? "\n" : "");
}

struct showing {
	const struct stats	*now, *before;
};

static void fill_row(const void *of, size_t row, char cell[][TABLE_CELL_MAX])
{
	const struct showing *showing = of;
	const struct stats *s = showing->now, *before = showing->before;
	const struct stats_peer *p = &s->peers[row], *old = peer_before(before, row, p);
	char text[32];

	text_key_short(p->public_key, cell[0]);
	snprintf(cell[1], TABLE_CELL_MAX, "%s", p->endpoint[0] ? p->endpoint : "-");
	if (p->handshake_ns) {
		text_age(since(s, p->handshake_ns), text);
		snprintf(cell[2], TABLE_CELL_MAX, "%s ago", text);
	} else {
		snprintf(cell[2], TABLE_CELL_MAX, "never");
	}
	text_bytes(p->rx_bytes, cell[3]);
	text_bytes(p->tx_bytes, cell[4]);
	snprintf(cell[5], TABLE_CELL_MAX, "%llu", (unsigned long long)p->allowed_ips);
	if (!before)
		return;
	text_bytes(rate(s, before, p->rx_bytes, old ? old->rx_bytes : 0), text);
	snprintf(cell[6], TABLE_CELL_MAX, "%s/s", text);
	text_bytes(rate(s, before, p->tx_bytes, old ? old->tx_bytes : 0), text);
	snprintf(cell[7], TABLE_CELL_MAX, "%s/s", text);
}

static void put_peers(const struct stats *s, const struct stats *before, struct buf *ret)
{
	static const char *const heads[] = {"peer", "endpoint", "handshake", "received", "sent", "allowed", "receives", "sends"};
	const struct showing showing = {s, before};
	const struct table table = {"  ", before ? "llrrrrrr" : "llrrrr", heads, s->n_peers, fill_row, &showing};

	if (s->n_peers)
		table_put(&table, ret);
}

void show_stats(
	const struct stats *s, const struct stats *before, struct show_style style, struct buf *ret)
{
	put_head(s, style, ret);
	put_path(s, style, ret);
	put_counts("  dropped  ", s->drops, s->n_drops, style, ret);
	put_counts("  events   ", s->events, s->n_events, style, ret);
	put_peers(s, before, ret);
}

/* ---- JSON ---- */

static void json_name(const char *name, struct buf *ret)
{
	json_put_text(name, ret);
	buf_puts(ret, ": ");
}

static void json_text(const char *name, const char *text, struct buf *ret)
{
	json_name(name, ret);
	json_put_text(text, ret);
	buf_puts(ret, ", ");
}

static void json_number(const char *name, uint64_t n, struct buf *ret)
{
	json_name(name, ret);
	buf_printf(ret, "%llu, ", (unsigned long long)n);
}

/* Seconds with all the digits that there are: a double would lose some. */
static void json_seconds(const char *name, uint64_t ns, struct buf *ret)
{
	json_name(name, ret);
	buf_printf(ret, "%llu.%09llu, ", (unsigned long long)(ns / 1000000000),
		(unsigned long long)(ns % 1000000000));
}

static void json_counts(
	const char *name, const struct stats_count *counts, size_t n, struct buf *ret)
{
	json_name(name, ret);
	buf_puts(ret, "{");
	for (size_t i = 0; i < n; i++) {
		buf_puts(ret, i ? ", " : "");
		json_name(counts[i].name, ret);
		buf_printf(ret, "%llu", (unsigned long long)counts[i].n);
	}
	buf_puts(ret, "},\n ");
}

static void json_peer(
	const struct stats *s, const struct stats *before, size_t i, struct buf *ret)
{
	const struct stats_peer *p = &s->peers[i], *old = peer_before(before, i, p);
	char key[KEY_TEXT_LEN + 1];

	key_text_format(p->public_key, key);
	buf_puts(ret, i ? ",\n  {" : "\n  {");
	json_text("public_key", key, ret);
	if (p->endpoint[0])
		json_text("endpoint", p->endpoint, ret);
	json_number("rx_bytes", p->rx_bytes, ret);
	json_number("tx_bytes", p->tx_bytes, ret);
	if (before) {
		json_number("rx_bytes_per_second",
			rate(s, before, p->rx_bytes, old ? old->rx_bytes : 0), ret);
		json_number("tx_bytes_per_second",
			rate(s, before, p->tx_bytes, old ? old->tx_bytes : 0), ret);
	}
	if (p->handshake_ns) {
		json_seconds("last_handshake", p->handshake_ns, ret);
		json_seconds("handshake_age", since(s, p->handshake_ns), ret);
	}
	if (p->has_session)
		json_seconds("session_age", p->session_age_ns, ret);
	json_number("persistent_keepalive", p->keepalive_s, ret);
	json_name("allowed_ips", ret);
	buf_printf(ret, "%llu}", (unsigned long long)p->allowed_ips);
}

void show_stats_json(const struct stats *s, const struct stats *before, struct buf *ret)
{
	buf_puts(ret, "{");
	json_text("interface", s->name, ret);
	json_text("version", s->version, ret);
	json_number("pid", s->pid, ret);
	json_seconds("started", s->started_ns, ret);
	json_name("up", ret);
	buf_printf(ret, "%s, ", s->up ? "true" : "false");
	json_number("port", s->port, ret);
	json_number("fwmark", s->fwmark, ret);
	json_name("bind_addresses", ret);
	buf_puts(ret, "[");
	for (size_t i = 0; i < array_size(s->bind_address); i++) {
		if (!s->bind_address[i][0])
			continue;
		buf_puts(ret, i ? ", " : "");
		json_put_text(s->bind_address[i], ret);
	}
	buf_puts(ret, "], ");
	if (s->bind_device[0])
		json_text("bind_device", s->bind_device, ret);
	json_number("workers", s->workers, ret);
	json_name("retain_keys", ret);
	buf_printf(ret, "%s, ", s->retain ? "true" : "false");
	json_text("cipher", s->cipher, ret);
	buf_puts(ret, "\n ");
	json_name("fast_path", ret);
	buf_puts(ret, "{");
	for (size_t i = 0; i < s->n_pieces; i++) {
		buf_puts(ret, i ? ", " : "");
		json_name(s->pieces[i].name, ret);
		buf_printf(ret, "{\"on\": %s", s->pieces[i].on ? "true" : "false");
		if (s->pieces[i].why[0]) {
			buf_puts(ret, ", \"why\": ");
			json_put_text(s->pieces[i].why, ret);
			buf_printf(ret, ", \"times\": %llu", (unsigned long long)s->pieces[i].times);
		}
		buf_puts(ret, "}");
	}
	buf_puts(ret, "},\n ");
	json_counts("drops", s->drops, s->n_drops, ret);
	json_counts("events", s->events, s->n_events, ret);
	json_name("peers", ret);
	buf_puts(ret, "[");
	for (size_t i = 0; i < s->n_peers; i++)
		json_peer(s, before, i, ret);
	buf_puts(ret, "]}");
}
