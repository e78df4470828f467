#include "office/status.h"

#include "base/json.h"
#include "base/table.h"
#include "stats/text.h"

#include <arpa/inet.h>
#include <stdio.h>

ENUM_DEFINE(peer_state, PEER_STATE_LIST);

static const struct running_peer *running_of(const struct status *s, const struct plan_peer *peer)
{
	return peer->key ? running_peer(s->running, peer->key) : NULL;
}

static uint64_t age_of(const struct status *s, const struct running_peer *r)
{
	return s->now_s > r->handshake_s ? s->now_s - r->handshake_s : 0;
}

enum peer_state status_of(const struct status *s, const struct plan_peer *peer)
{
	const struct running_peer *r = running_of(s, peer);

	if (!peer->key)
		return PEER_NO_KEY;
	if (!r)
		return PEER_MISSING;
	if (!r->handshake_s)
		return PEER_NEVER;
	return age_of(s, r) <= STATUS_SILENT_S ? PEER_UP : PEER_AWAY;
}

static void put_address(const struct prefix *p, char ret[INET_ADDRSTRLEN])
{
	ret[0] = '\0';
	inet_ntop(AF_INET, p->bytes, ret, INET_ADDRSTRLEN);
}

/* ---- for people ---- */

static void fill_row(const void *of, size_t row, char cell[][TABLE_CELL_MAX])
{
	const struct status *s = of;
	const struct plan_peer *peer = &s->plan->peers[row];
	const struct running_peer *r = running_of(s, peer);
	char text[32];

	snprintf(cell[0], TABLE_CELL_MAX, "%s%s", peer->member->name,
		peer->next ? " next" : "");
	snprintf(cell[1], TABLE_CELL_MAX, "%s", enum_name(&member_kind_enum, peer->member->kind));
	put_address(&peer->member->address, cell[2]);
	snprintf(cell[3], TABLE_CELL_MAX, "%s", r && r->endpoint[0] ? r->endpoint : "-");
	snprintf(cell[4], TABLE_CELL_MAX, "-");
	snprintf(cell[5], TABLE_CELL_MAX, "-");
	snprintf(cell[6], TABLE_CELL_MAX, "-");
	if (r && r->handshake_s) {
		text_age(age_of(s, r) * 1000000000u, text);
		snprintf(cell[4], TABLE_CELL_MAX, "%s ago", text);
	}
	if (r) {
		text_bytes(r->rx_bytes, cell[5]);
		text_bytes(r->tx_bytes, cell[6]);
	}
	snprintf(cell[7], TABLE_CELL_MAX, "%s", enum_name(&peer_state_enum, status_of(s, peer)));
}

static void put_self(const struct status *s, struct buf *ret)
{
	const struct member *m = s->plan->self;
	char address[INET_ADDRSTRLEN];

	put_address(&m->address, address);
	buf_printf(ret, "%s %s %s, interface %s", m->name, enum_name(&member_kind_enum, m->kind), address, s->interface);
	if (m->kind == MEMBER_NODE) {
		buf_puts(ret, ", LAN ");
		text_put_prefix(&m->lan, ret);
		buf_printf(ret, ", return %s", enum_name(&return_mode_enum, s->plan->mode));
	}
	buf_puts(ret, "\n");
}

void status_words(const struct status *s, struct buf *ret)
{
	static const char *const heads[] = {"name", "kind", "address", "at", "handshake", "received", "sent", "state"};
	const struct table table = {"", "llllrrrl", heads, s->plan->n_peers, fill_row, s};

	put_self(s, ret);
	table_put(&table, ret);
}

/* ---- JSON ---- */

static void put_peer(const struct status *s, const struct plan_peer *peer, struct buf *ret)
{
	const struct running_peer *r = running_of(s, peer);
	char address[INET_ADDRSTRLEN];

	put_address(&peer->member->address, address);
	buf_puts(ret, "{\"name\": ");
	json_put_text(peer->member->name, ret);
	buf_printf(ret, ", \"kind\": \"%s\"%s, \"address\": \"%s\", \"state\": \"%s\"",
		enum_name(&member_kind_enum, peer->member->kind),
		peer->next ? ", \"next\": true" : "", address,
		enum_name(&peer_state_enum, status_of(s, peer)));
	if (r && r->endpoint[0]) {
		buf_puts(ret, ", \"endpoint\": ");
		json_put_text(r->endpoint, ret);
	}
	if (r && r->handshake_s)
		buf_printf(ret, ", \"handshake_age_s\": %llu", (unsigned long long)age_of(s, r));
	if (r)
		buf_printf(ret, ", \"received_bytes\": %llu, \"sent_bytes\": %llu", (unsigned long long)r->rx_bytes,
			(unsigned long long)r->tx_bytes);
	buf_puts(ret, "}");
}

void status_json(const struct status *s, struct buf *ret)
{
	const struct member *m = s->plan->self;
	char address[INET_ADDRSTRLEN];

	put_address(&m->address, address);
	buf_puts(ret, "{\"name\": ");
	json_put_text(m->name, ret);
	buf_printf(ret, ", \"kind\": \"%s\", \"address\": \"%s\", \"interface\": ", enum_name(&member_kind_enum, m->kind), address);
	json_put_text(s->interface, ret);
	if (m->kind == MEMBER_NODE) {
		buf_puts(ret, ", \"lan\": \"");
		text_put_prefix(&m->lan, ret);
		buf_printf(ret, "\", \"return\": \"%s\"", enum_name(&return_mode_enum, s->plan->mode));
	}
	buf_puts(ret, ",\n \"peers\": [");
	for (size_t i = 0; i < s->plan->n_peers; i++) {
		buf_puts(ret, i ? ",\n  " : "\n  ");
		put_peer(s, &s->plan->peers[i], ret);
	}
	buf_puts(ret, "]}\n");
}
