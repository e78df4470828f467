#include "office/status.h"

#include "base/json.h"
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

#define COLUMNS 8

struct row {
	char	cell[COLUMNS][96];
};

static void fill_row(const struct status *s, const struct plan_peer *peer, struct row *ret)
{
	const struct running_peer *r = running_of(s, peer);
	char text[32];

	snprintf(ret->cell[0], sizeof(ret->cell[0]), "%s%s", peer->member->name,
		peer->next ? " next" : "");
	snprintf(ret->cell[1], sizeof(ret->cell[1]), "%s", enum_name(&member_kind_enum, peer->member->kind));
	put_address(&peer->member->address, ret->cell[2]);
	snprintf(ret->cell[3], sizeof(ret->cell[3]), "%s", r && r->endpoint[0] ? r->endpoint : "-");
	snprintf(ret->cell[4], sizeof(ret->cell[4]), "-");
	snprintf(ret->cell[5], sizeof(ret->cell[5]), "-");
	snprintf(ret->cell[6], sizeof(ret->cell[6]), "-");
	if (r && r->handshake_s) {
		text_age(age_of(s, r) * 1000000000u, text);
		snprintf(ret->cell[4], sizeof(ret->cell[4]), "%s ago", text);
	}
	if (r) {
		text_bytes(r->rx_bytes, ret->cell[5]);
		text_bytes(r->tx_bytes, ret->cell[6]);
	}
	snprintf(ret->cell[7], sizeof(ret->cell[7]), "%s", enum_name(&peer_state_enum, status_of(s, peer)));
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
	static const struct row head = {{"name", "kind", "address", "at", "handshake", "received", "sent", "state"}};
	int widths[COLUMNS];
	struct row row = head;

	put_self(s, ret);
	for (unsigned c = 0; c < COLUMNS; c++)
		widths[c] = (int)strlen(head.cell[c]);
	for (size_t i = 0; i < s->plan->n_peers; i++) {
		struct row r = {{""}};

		fill_row(s, &s->plan->peers[i], &r);
		for (unsigned c = 0; c < COLUMNS; c++)
			widths[c] = max(widths[c], (int)strlen(r.cell[c]));
	}
	for (size_t i = 0; i <= s->plan->n_peers; i++) {
		for (unsigned c = 0; c + 1 < COLUMNS; c++)
			/* Words to the left, amounts to the right. */
			buf_printf(ret, "%*s  ", c < 4 ? -widths[c] : widths[c], row.cell[c]);
		buf_printf(ret, "%s\n", row.cell[COLUMNS - 1]);
		if (i < s->plan->n_peers)
			fill_row(s, &s->plan->peers[i], &row);
	}
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
