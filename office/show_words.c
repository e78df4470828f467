#include "office/given.h"
#include "office/show.h"

#include "conf/array.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

/* One fact of a plan, and what it was before. */
struct fact {
	char			 key[96], value[192];
	const struct member	*because;
	struct fact		*before;	/* of the other plan */
};

struct facts {
	struct fact	*all;
	size_t		 n, room;
	bool		 lost;
};

struct counts {
	unsigned	add, change, remove, machines;
	struct buf	to_export;	/* names */
};

static void counts_done(struct counts *c)
{
	buf_done(&c->to_export);
}

static void facts_done(struct facts *f)
{
	free(f->all);
}

static void add(struct facts *f, const struct member *because, const char *key, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
static void add(struct facts *f, const struct member *because, const char *key, const char *fmt, ...)
{
	struct fact *fact;
	va_list args;

	if (!array_grow(&f->all, &f->room, f->n, sizeof(*fact))) {
		f->lost = true;
		return;
	}
	fact = &f->all[f->n++];
	*fact = (struct fact){.because = because};
	snprintf(fact->key, sizeof(fact->key), "%s", key);
	va_start(args, fmt);
	vsnprintf(fact->value, sizeof(fact->value), fmt, args);
	va_end(args);
}

static const char *say(const struct prefix *p, char ret[64])
{
	char address[INET6_ADDRSTRLEN] = "?";

	inet_ntop(p->family, p->bytes, address, sizeof(address));
	snprintf(ret, 64, p->bits == 32 ? "%s" : "%s/%u", address, p->bits);
	return ret;
}

static void add_peer(struct facts *f, const struct plan *p, const struct plan_peer *peer)
{
	char key[96], prefix[64], public_key[KEY_TEXT_LEN + 1] = "no key yet", keepalive[40] = "";
	cleanup(buf_done) struct buf endpoint = buf_of_max(512);
	const struct member *m = peer->member;
	char less[40] = "";

	if (p->self->kind == MEMBER_HUB && plan_mtu(p->office, m) < p->mtu)
		snprintf(less, sizeof(less), ", %u bytes at most", plan_mtu(p->office, m));
	snprintf(key, sizeof(key), "peer %s%s", m->name, peer->next ? " next" : "");
	if (peer->key)
		key_text_format(peer->key, public_key);
	if (peer->has_endpoint) {
		buf_puts(&endpoint, "at ");
		text_put_endpoint(&m->endpoint, &endpoint);
		buf_puts(&endpoint, ", ");
	}
	if (peer->keepalive_s)
		snprintf(keepalive, sizeof(keepalive), ", keepalive %u s", peer->keepalive_s);
	add(f, m, key, "%.90s%s%s%s", buf_str(&endpoint), public_key, keepalive, peer->has_psk ? ", with a pre-shared key" : "");
	for (size_t i = 0; i < peer->n_allowed; i++) {
		const struct plan_route *r = i < p->n_routes ? &p->routes[i] : NULL;

		/* With one peer they are in the order of the routes, which know whose line asks for them. */
		snprintf(key, sizeof(key), "to %s", say(&peer->allowed[i], prefix));
		add(f, r && !prefix_compare(&r->to, &peer->allowed[i]) ? r->because : m, key, "by %s%s", m->name, less);
	}
}

static void add_return(struct facts *f, const struct plan *p)
{
	static const char *const meaning[] = {[RETURN_ROUTE] = "the gateway has routes to the node",
		[RETURN_ROUTE_GW] = "the gateway has routes, and sees both directions",
		[RETURN_SNAT] = "the LAN sees the node and not who calls, and calls nobody"};
	const struct member *m = p->self;
	char key[96], prefix[64];

	add(f, m, "return", "%s%s: %s", enum_name(&return_mode_enum, p->mode),
		!p->probe ? "" : m->learnt_mode != RETURN_AUTO ? ", as was found" : " until the gateway was asked",
		meaning[p->mode]);
	for (size_t i = 0; i < p->n_routes; i++) {
		if (p->routes[i].out != PLAN_OUT_LAN)
			continue;
		snprintf(key, sizeof(key), "back to %s", say(&p->routes[i].to, prefix));
		add(f, m, key, "%s, table %u", p->routes[i].via_gateway ? "through the LAN's gateway" : "on the link",
			p->routes[i].table);
	}
}

static void list_facts(struct facts *f, const struct plan *p)
{
	const struct member *m = p->self;
	char prefix[64], ports[64] = "";

	add(f, m, "address", "%s", say(&m->address, prefix));
	if (m->kind == MEMBER_HUB) {
		for (unsigned i = 0; i < OFFICE_HUB_PORTS_MAX && m->ports[i]; i++)
			snprintf(ports + strlen(ports), sizeof(ports) - strlen(ports), ", %u", m->ports[i]);
		add(f, m, "UDP port", "%u%s", p->listen_port, ports);
	}
	add(f, m, "MTU", "%u", p->mtu);
	if (m->engine != ENGINE_GINNEL)
		add(f, m, "engine", "%s", enum_name(&engine_enum, m->engine));
	if (m->has_key) {
		char key[KEY_TEXT_LEN + 1];

		key_text_format(m->public_key, key);
		add(f, m, "key", "%s", key);
	}
	if (m->has_next_key) {
		char key[KEY_TEXT_LEN + 1];

		key_text_format(m->next_key, key);
		add(f, m, "next key", "%s", key);
	}
	if (p->forward)
		add(f, m, "forwards", "%s", p->clamp ? "and fits TCP to the MTU" : "");
	if (m->kind == MEMBER_NODE)
		add_return(f, p);
	for (size_t i = 0; i < p->n_peers; i++)
		add_peer(f, p, &p->peers[i]);
}

/* ---- the difference ---- */

static int by_key(const void *a, const void *b)
{
	const struct fact *const *x = a, *const *y = b;

	return strcmp((*x)->key, (*y)->key);
}

/* Each fact that both have learns of the other. */
static int match(struct facts *now, struct facts *old)
{
	cleanup(free_ptr) struct fact **x = calloc(now->n + 1, sizeof(struct fact *));
	cleanup(free_ptr) struct fact **y = calloc(old->n + 1, sizeof(struct fact *));
	size_t i = 0, j = 0;

	if (!x || !y || now->lost || old->lost)
		return -ENOMEM;
	for (i = 0; i < now->n; i++)
		x[i] = &now->all[i];
	for (j = 0; j < old->n; j++)
		y[j] = &old->all[j];
	qsort(x, now->n, sizeof(struct fact *), by_key);
	qsort(y, old->n, sizeof(struct fact *), by_key);
	for (i = j = 0; i < now->n && j < old->n;) {
		int r = strcmp(x[i]->key, y[j]->key);

		if (!r) {
			x[i]->before = y[j];
			y[j]->before = x[i];
		}
		i += r <= 0;
		j += r >= 0;
	}
	return 0;
}

static void put_reason(const char *file, const struct member *because, struct buf *ret)
{
	if (because && because->place.line)
		buf_printf(ret, "  %s:%u", file, because->place.line);
	buf_puts(ret, "\n");
}

static void put_fact(char sign, const struct fact *f, const char *file, struct buf *ret)
{
	cleanup(buf_done) struct buf line = buf_of_max(1024);

	buf_printf(&line, "   %c %-24s %s", sign, f->key, f->value);
	if (sign == '~')
		buf_printf(&line, " (was: %s)", f->before->value);
	buf_printf(ret, "%-78s", buf_str(&line));
	put_reason(file, f->because, ret);
}

static void put_hosts(const struct show *s, const struct member *node, struct buf *ret)
{
	char address[64];
	const struct office *o = s->o;

	if (node->kind != MEMBER_NODE || !s->of)
		return;
	for (const struct member *m = o->members; m < o->members + o->n_members; m++) {
		struct fact f = {.because = m};

		if (m->kind != MEMBER_HOST || strcmp(m->node, node->name) != 0)
			continue;
		snprintf(f.key, sizeof(f.key), "host %s", m->name);
		snprintf(f.value, sizeof(f.value), "%s, nothing is done there", say(&m->host, address));
		put_fact(' ', &f, s->name, ret);
	}
}

static void put_head(const struct show *s, const struct member *m, const char *what, struct buf *ret)
{
	cleanup(buf_done) struct buf line = buf_of_max(1024);
	char address[64], lan[64];

	buf_printf(&line, "%s %s %s", m->name, enum_name(&member_kind_enum, m->kind), say(&m->address, address));
	if (m->kind == MEMBER_NODE)
		buf_printf(&line, ", LAN %s", say(&m->lan, lan));
	if (m->kind == MEMBER_HUB) {
		buf_puts(&line, ", at ");
		text_put_endpoint(&m->endpoint, &line);
	}
	buf_printf(&line, ": %s", what);
	buf_printf(ret, "%-78s", buf_str(&line));
	put_reason(s->name, m, ret);
}

static const char *say_given(enum given_state state)
{
	return state == GIVEN_NEVER ? ", not exported yet" : state == GIVEN_OTHER ? ", to be exported again" : "";
}

static int show_member(const struct show *s, const struct given *given, const struct member *m, struct counts *counts,
	struct buf *ret)
{
	const struct member *old_member = s->lock ? office_find(s->lock, m->name) : NULL;
	cleanup(plan_freep) struct plan *plan = NULL, *old_plan = NULL;
	cleanup(facts_done) struct facts now = {.n = 0}, old = {.n = 0};
	enum given_state state = GIVEN_NO_KEY;
	unsigned add = 0, change = 0, remove = 0;
	cleanup(buf_done) struct buf what = buf_of_max(256);
	bool changes;
	int r = plan_make(s->o, m, &plan);

	if (!r)
		r = given_state(given, m, &state);

	/* One that was gone, or another, begins anew. */
	if (old_member && old_member->id != m->id)
		old_member = NULL;
	if (!r && old_member)
		r = plan_make(s->lock, old_member, &old_plan);
	if (r < 0)
		return r;
	list_facts(&now, plan);
	if (old_plan)
		list_facts(&old, old_plan);
	r = match(&now, &old);
	if (r < 0)
		return r;
	for (size_t i = 0; i < now.n; i++) {
		add += !now.all[i].before;
		change += now.all[i].before && strcmp(now.all[i].value, now.all[i].before->value) != 0;
	}
	for (size_t i = 0; i < old.n; i++)
		remove += !old.all[i].before;
	changes = add + change + remove > 0;
	buf_printf(&what, "%s%s", !old_plan ? "new" : changes ? "changes" : "no change", say_given(state));
	put_head(s, m, buf_str(&what), ret);
	if (*say_given(state))
		buf_printf(&counts->to_export, "%s%s", counts->to_export.len ? ", " : "", m->name);
	for (size_t i = 0; i < now.n; i++) {
		const struct fact *f = &now.all[i];
		const char *sign = !f->before ? "+" : strcmp(f->value, f->before->value) != 0 ? "~" : " ";

		if (*sign != ' ' || s->of)
			put_fact(*sign, f, s->name, ret);
	}
	for (size_t i = 0; i < old.n; i++)
		if (!old.all[i].before)
			put_fact('-', &old.all[i], s->lock_name, ret);
	put_hosts(s, m, ret);
	counts->add += add;
	counts->change += change;
	counts->remove += remove;
	counts->machines += changes;
	return ret->error;
}

/* Who was there and is not any more, or is another now. */
static void show_gone(const struct show *s, struct counts *counts, struct buf *ret)
{
	for (size_t i = 0; s->lock && i < s->lock->n_members; i++) {
		const struct member *m = &s->lock->members[i], *now = office_find(s->o, m->name);
		cleanup(buf_done) struct buf line = buf_of_max(1024);

		if (m->gone || m->kind == MEMBER_HOST || (now && now->id == m->id))
			continue;
		buf_printf(&line, "%s %s: gone: ginnel down there", m->name, enum_name(&member_kind_enum, m->kind));
		buf_printf(ret, "%-78s", buf_str(&line));
		put_reason(s->lock_name, m, ret);
		counts->remove++;
		counts->machines++;
	}
}

int show_words(const struct show *s, struct buf *ret)
{
	cleanup(counts_done) struct counts counts = {.to_export = buf_of_max(OFFICE_TEXT_MAX)};
	struct given given;
	int r = given_init(s->o, &given);

	for (size_t i = 0; s->of && i < s->n_of && !r; i++)
		r = show_member(s, &given, s->of[i], &counts, ret);
	for (size_t i = 0; !s->of && i < s->o->n_members && !r; i++)
		if (!s->o->members[i].gone && s->o->members[i].kind != MEMBER_HOST)
			r = show_member(s, &given, &s->o->members[i], &counts, ret);
	if (!s->of)
		show_gone(s, &counts, ret);
	if (counts.to_export.len)
		buf_printf(ret, "To be exported: %s\n", buf_str(&counts.to_export));
	if (counts.machines)
		buf_printf(ret, "Plan: %u add, %u change, %u remove on %u machine%s\n", counts.add, counts.change,
			counts.remove, counts.machines, counts.machines == 1 ? "" : "s");
	else
		buf_puts(ret, "Plan: nothing changes\n");
	return r ? r : ret->error;
}
