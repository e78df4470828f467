#include "stats/metrics.h"

#include "stats/text.h"

/* ---- samples ---- */

static void put_label(const char *name, const char *value, struct buf *ret)
{
	buf_printf(ret, "%s=\"", name);
	for (; *value; value++)
		buf_printf(ret, "%s%c", *value == '"' || *value == '\\' ? "\\" : "", *value);
	buf_puts(ret, "\"");
}

/* Up to the labels' closing brace. */
static void begin(const char *family, const struct stats *s, struct buf *ret)
{
	buf_printf(ret, "%s{", family);
	put_label("interface", s->name, ret);
}

static void label(const char *name, const char *value, struct buf *ret)
{
	buf_puts(ret, ",");
	put_label(name, value, ret);
}

static void end(uint64_t value, struct buf *ret)
{
	buf_printf(ret, "} %llu\n", (unsigned long long)value);
}

static void end_seconds(uint64_t ns, struct buf *ret)
{
	buf_printf(ret, "} %llu.%09llu\n", (unsigned long long)(ns / 1000000000),
		(unsigned long long)(ns % 1000000000));
}

static void begin_peer(
	const char *family, const struct stats *s, const struct stats_peer *p, struct buf *ret)
{
	char key[KEY_TEXT_LEN + 1];

	key_text_format(p->public_key, key);
	begin(family, s, ret);
	label("public_key", key, ret);
}

/* ---- families: all samples of one tunnel ---- */

static void info(const char *family, const struct stats *s, struct buf *ret)
{
	begin(family, s, ret);
	label("version", s->version, ret);
	label("cipher", s->cipher, ret);
	end(1, ret);
}

static void up(const char *family, const struct stats *s, struct buf *ret)
{
	begin(family, s, ret);
	end(s->up, ret);
}

static void start_time(const char *family, const struct stats *s, struct buf *ret)
{
	begin(family, s, ret);
	end_seconds(s->started_ns, ret);
}

static void workers(const char *family, const struct stats *s, struct buf *ret)
{
	begin(family, s, ret);
	end(s->workers, ret);
}

static void peers(const char *family, const struct stats *s, struct buf *ret)
{
	begin(family, s, ret);
	end(s->n_peers, ret);
}

static void pieces(const char *family, const struct stats *s, struct buf *ret)
{
	for (size_t i = 0; i < s->n_pieces; i++) {
		begin(family, s, ret);
		label("piece", s->pieces[i].name, ret);
		end(s->pieces[i].on, ret);
	}
}

static void counts(const char *family, const struct stats *s, const char *by,
	const struct stats_count *array, size_t n, struct buf *ret)
{
	for (size_t i = 0; i < n; i++) {
		begin(family, s, ret);
		label(by, array[i].name, ret);
		end(array[i].n, ret);
	}
}

static void drops(const char *family, const struct stats *s, struct buf *ret)
{
	counts(family, s, "reason", s->drops, s->n_drops, ret);
}

static void events(const char *family, const struct stats *s, struct buf *ret)
{
	counts(family, s, "event", s->events, s->n_events, ret);
}

static void received(const char *family, const struct stats *s, struct buf *ret)
{
	for (size_t i = 0; i < s->n_peers; i++) {
		begin_peer(family, s, &s->peers[i], ret);
		end(s->peers[i].rx_bytes, ret);
	}
}

static void transmitted(const char *family, const struct stats *s, struct buf *ret)
{
	for (size_t i = 0; i < s->n_peers; i++) {
		begin_peer(family, s, &s->peers[i], ret);
		end(s->peers[i].tx_bytes, ret);
	}
}

static void handshakes(const char *family, const struct stats *s, struct buf *ret)
{
	for (size_t i = 0; i < s->n_peers; i++) {
		begin_peer(family, s, &s->peers[i], ret);
		end_seconds(s->peers[i].handshake_ns, ret);
	}
}

static void allowed_ips(const char *family, const struct stats *s, struct buf *ret)
{
	for (size_t i = 0; i < s->n_peers; i++) {
		begin_peer(family, s, &s->peers[i], ret);
		end(s->peers[i].allowed_ips, ret);
	}
}

static void session_ages(const char *family, const struct stats *s, struct buf *ret)
{
	for (size_t i = 0; i < s->n_peers; i++) {
		if (!s->peers[i].has_session)
			continue;
		begin_peer(family, s, &s->peers[i], ret);
		end_seconds(s->peers[i].session_age_ns, ret);
	}
}

static void endpoints(const char *family, const struct stats *s, struct buf *ret)
{
	for (size_t i = 0; i < s->n_peers; i++) {
		if (!s->peers[i].endpoint[0])
			continue;
		begin_peer(family, s, &s->peers[i], ret);
		label("endpoint", s->peers[i].endpoint, ret);
		end(1, ret);
	}
}

static const struct {
	const char *name, *type, *help;
	void (*put)(const char *family, const struct stats *s, struct buf *ret);
} families[] = {
	{"ginnel_info", "gauge", "The daemon and the cipher that it uses; always 1.", info},
	{"ginnel_up", "gauge", "1 when the link is up and the sockets are there, else 0.", up},
	{"ginnel_start_time_seconds", "gauge", "When the daemon started, since 1970.", start_time},
	{"ginnel_workers", "gauge", "Threads that move packets.", workers},
	{"ginnel_peers", "gauge", "Configured peers.", peers},
	{"ginnel_fast_path_enabled", "gauge", "1 when this piece of the fast path is in use, else 0.",
		pieces},
	{"ginnel_dropped_packets_total", "counter", "Packets and messages that died, by reason.", drops},
	{"ginnel_events_total", "counter", "What happened, by kind.", events},
	{"ginnel_peer_receive_bytes_total", "counter", "Bytes of messages received from the peer.",
		received},
	{"ginnel_peer_transmit_bytes_total", "counter", "Bytes of messages sent to the peer.",
		transmitted},
	{"ginnel_peer_last_handshake_timestamp_seconds", "gauge",
		"When the last handshake with the peer was completed, since 1970; 0 before the first.",
		handshakes},
	{"ginnel_peer_session_age_seconds", "gauge", "Age of the session that is used to send.",
		session_ages},
	{"ginnel_peer_allowed_ips", "gauge", "Prefixes that are routed to the peer.", allowed_ips},
	{"ginnel_peer_endpoint_info", "gauge", "Where the peer is; always 1.", endpoints},
};

void metrics_put(const struct stats tunnels[], size_t n, struct buf *ret)
{
	for (size_t i = 0; i < array_size(families); i++) {
		buf_printf(ret, "# HELP %s %s\n# TYPE %s %s\n", families[i].name, families[i].help,
			families[i].name, families[i].type);
		for (size_t k = 0; k < n; k++)
			families[i].put(families[i].name, &tunnels[k], ret);
	}
}
