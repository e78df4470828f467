#include "office/show.h"

#include "base/json.h"
#include "office/given.h"

static void put_text(const char *name, const char *value, struct buf *ret)
{
	buf_printf(ret, ", \"%s\": ", name);
	json_put_text(value, ret);
}

static void put_prefix(const struct prefix *p, struct buf *ret)
{
	buf_puts(ret, "\"");
	text_put_prefix(p, ret);
	buf_puts(ret, "\"");
}

static void put_bool(const char *name, bool value, struct buf *ret)
{
	buf_printf(ret, ", \"%s\": %s", name, value ? "true" : "false");
}

static void put_key(const char *name, const uint8_t *key, struct buf *ret)
{
	buf_printf(ret, ", \"%s\": ", name);
	if (!key) {
		buf_puts(ret, "null");
		return;
	}
	buf_puts(ret, "\"");
	text_put_key(key, ret);
	buf_puts(ret, "\"");
}

static void put_peer(const struct plan_peer *peer, struct buf *ret)
{
	buf_puts(ret, "{\"name\": ");
	json_put_text(peer->member->name, ret);
	put_key("public_key", peer->key, ret);
	if (peer->next)
		put_bool("next", true, ret);
	if (peer->has_psk)
		put_bool("preshared_key", true, ret);
	if (peer->has_endpoint) {
		buf_puts(ret, ", \"endpoint\": \"");
		text_put_endpoint(&peer->member->endpoint, ret);
		buf_puts(ret, "\"");
	}
	buf_printf(ret, ", \"keepalive_s\": %u, \"allowed_ips\": [", peer->keepalive_s);
	for (size_t i = 0; i < peer->n_allowed; i++) {
		buf_puts(ret, i ? ", " : "");
		put_prefix(&peer->allowed[i], ret);
	}
	buf_puts(ret, "]}");
}

static void put_route(const struct plan_route *r, struct buf *ret)
{
	buf_puts(ret, "{\"to\": ");
	put_prefix(&r->to, ret);
	put_text("out", enum_name(&plan_out_enum, r->out), ret);
	put_bool("via_gateway", r->via_gateway, ret);
	buf_printf(ret, ", \"table\": %u", r->table);
	if (r->mtu)
		buf_printf(ret, ", \"mtu\": %u", r->mtu);
	put_text("because", r->because->name, ret);
	buf_printf(ret, ", \"line\": %u}", r->because->place.line);
}

static void put_plan(const struct plan *p, enum given_state state, struct buf *ret)
{
	const struct member *m = p->self;

	buf_puts(ret, "{\"name\": ");
	json_put_text(m->name, ret);
	put_text("kind", enum_name(&member_kind_enum, m->kind), ret);
	buf_printf(ret, ", \"line\": %u, \"id\": %u, \"address\": ", m->place.line, m->id);
	put_prefix(&m->address, ret);
	put_key("public_key", m->has_key ? m->public_key : NULL, ret);
	if (m->has_next_key)
		put_key("next_key", m->next_key, ret);
	put_text("exported", enum_name(&given_state_enum, state), ret);
	put_text("engine", enum_name(&engine_enum, m->engine), ret);
	buf_printf(ret, ", \"listen_port\": %u, \"mtu\": %u", p->listen_port, p->mtu);
	put_bool("forward", p->forward, ret);
	put_bool("clamp", p->clamp, ret);
	put_bool("no_redirects", p->no_redirects, ret);
	if (m->kind == MEMBER_NODE) {
		buf_puts(ret, ",\n   \"lan\": ");
		put_prefix(&m->lan, ret);
		buf_puts(ret, ", \"alias\": ");
		put_prefix(&m->alias, ret);
		put_text("return", enum_name(&return_mode_enum, p->mode), ret);
		put_bool("probe", p->probe, ret);
		put_bool("snat", p->snat, ret);
		put_bool("gateway_back", p->gateway_back, ret);
	}
	buf_puts(ret, ",\n   \"peers\": [");
	for (size_t i = 0; i < p->n_peers; i++) {
		buf_puts(ret, i ? ",\n    " : "\n    ");
		put_peer(&p->peers[i], ret);
	}
	buf_puts(ret, "],\n   \"routes\": [");
	for (size_t i = 0; i < p->n_routes; i++) {
		buf_puts(ret, i ? ",\n    " : "\n    ");
		put_route(&p->routes[i], ret);
	}
	buf_puts(ret, "]}");
}

static int put_member(const struct given *given, const struct member *m, bool first, struct buf *ret)
{
	cleanup(plan_freep) struct plan *p = NULL;
	enum given_state state = GIVEN_NO_KEY;
	int r = plan_make(given->o, m, &p);

	if (!r)
		r = given_state(given, m, &state);
	if (r < 0)
		return r;
	buf_puts(ret, first ? "\n  " : ",\n  ");
	put_plan(p, state, ret);
	return ret->error;
}

static int put_members(const struct show *s, struct buf *ret)
{
	struct given given;
	bool first = true;
	int r = given_init(s->o, &given);

	for (size_t i = 0; s->of && i < s->n_of && !r; i++)
		r = put_member(&given, s->of[i], i == 0, ret);
	for (const struct member *m = s->o->members; !s->of && m < s->o->members + s->o->n_members && !r; m++) {
		if (m->gone || m->kind == MEMBER_HOST)
			continue;
		r = put_member(&given, m, first, ret);
		first = false;
	}
	return r;
}

int show_json(const struct show *s, struct buf *ret)
{
	bool first = true;
	int r;

	buf_puts(ret, "{\"file\": ");
	json_put_text(s->name, ret);
	buf_puts(ret, ", \"net\": ");
	put_prefix(&s->o->net, ret);
	buf_puts(ret, ", \"aliases\": ");
	put_prefix(&s->o->aliases, ret);
	buf_puts(ret, ",\n \"members\": [");
	r = put_members(s, ret);
	if (r < 0)
		return r;
	buf_puts(ret, "],\n \"hosts\": [");
	for (const struct member *m = s->o->members; m < s->o->members + s->o->n_members; m++) {
		if (m->gone || m->kind != MEMBER_HOST)
			continue;
		buf_puts(ret, first ? "\n  {\"name\": " : ",\n  {\"name\": ");
		first = false;
		json_put_text(m->name, ret);
		put_text("node", m->node, ret);
		buf_printf(ret, ", \"line\": %u, \"id\": %u, \"address\": ", m->place.line, m->id);
		put_prefix(&m->host, ret);
		buf_puts(ret, "}");
	}
	buf_puts(ret, "]}\n");
	return ret->error;
}
