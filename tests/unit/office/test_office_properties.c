/*
 * What must hold for any office: thousands of random ones, whose packets are followed from member to member through
 * the plans, by the longest prefix.
 */
#include "tests/unit/office/office.h"

#include "office/check.h"
#include "office/ipv4.h"
#include "office/show.h"

#include <stdio.h>

#define OFFICES 2000
#define LINES_MAX 64
#define HOPS_MAX 3

/* ---- random files ---- */

struct lines {
	char		line[LINES_MAX][160];
	unsigned	n;
	unsigned	n_nodes;	/* named n0, n1, ... */
};

static unsigned below(uint64_t *seed, unsigned n)
{
	return (unsigned)(test_random(seed) >> 33) % n;
}

static const char *one_of(uint64_t *seed, const char *const words[], unsigned n)
{
	return words[below(seed, n)];
}

/* LANs that do not overlap: each in a /16 of its own. */
static void add_node(struct lines *l, uint64_t *seed, unsigned block)
{
	static const char *const modes[] = {"", "", " return snat", " return route", " return route+gw", " return route+gw gw .1"};
	static const char *const words[] = {"", "", " mtu 1380", " if eth1", " engine kernel", " at .2"};
	unsigned i = l->n_nodes++, bits = 16 + below(seed, 13), narrow = bits > 24; /* .1 and .2 may lie outside */
	struct prefix lan = ipv4_prefix(172u << 24 | (16 + block) << 16 | below(seed, 65536), bits);
	cleanup(buf_done) struct buf text = buf_of_max(64);

	text_put_prefix(&lan, &text);
	snprintf(l->line[l->n++], 160, "n%u node %s%s%s", i, buf_str(&text), one_of(seed, modes, array_size(modes) - narrow),
		one_of(seed, words, array_size(words) - narrow));
}

static void make_lines(struct lines *l, uint64_t *seed)
{
	static const char *const nets[] = {"", "", "net 10.70.0.0/16", "net 10.9.0.0/22", "net 192.168.64.0/18"};
	static const char *const hubs[] = {"z hub z.example.com", "z hub 203.0.113.9:443 ports 53,4500", "z hub [2001:db8::1] mtu 1400"};
	unsigned nodes = below(seed, 6), people = below(seed, 8), hosts = nodes ? below(seed, 8) : 0, first = below(seed, 8);

	l->n = l->n_nodes = 0;
	snprintf(l->line[l->n++], 160, "%s", one_of(seed, nets, array_size(nets)));
	/* The default block of aliases has no room for many /16. */
	snprintf(l->line[l->n++], 160, "aliases 10.128.0.0/10");
	snprintf(l->line[l->n++], 160, "%s", one_of(seed, hubs, array_size(hubs)));
	for (unsigned i = 0; i < nodes; i++)
		add_node(l, seed, first + i);
	for (unsigned i = 0; i < people; i++)
		snprintf(l->line[l->n++], 160, "p%u person%s", i, below(seed, 3) ? "" : " phone");
	/* .4 and above, one each: the narrowest LANs have 14. */
	for (unsigned i = 0; i < hosts; i++) {
		unsigned node = below(seed, nodes);
		const char *lan = strstr(l->line[3 + node], "node ") + 5;
		struct prefix p;

		CHECK_EQ(text_prefix(lan, strcspn(lan, " "), &p), 0);
		snprintf(l->line[l->n++], 160, "h%u host n%u .%u", i, node, (p.bytes[3] & (0xff << (32 - max(p.bits, (uint8_t)24)))) + 4 + i);
	}
}

static void shuffle(struct lines *l, uint64_t *seed)
{
	for (unsigned i = l->n; i > 1; i--) {
		unsigned j = below(seed, i);
		char line[160];

		memcpy(line, l->line[j], 160);
		memcpy(l->line[j], l->line[i - 1], 160);
		memcpy(l->line[i - 1], line, 160);
	}
}

static struct office *settle_lines(const struct lines *l, const struct office *lock)
{
	cleanup(buf_done) struct buf text = buf_of_max(1 << 16);

	for (unsigned i = 0; i < l->n; i++)
		buf_printf(&text, "%s\n", l->line[i]);
	return settle_text(buf_str(&text), lock);
}

static void give_keys(struct office *o, uint64_t *seed)
{
	for (struct member *m = o->members; m < o->members + o->n_members; m++) {
		if (m->gone || m->has_key || m->kind == MEMBER_HOST || !below(seed, 4))
			continue;
		m->has_key = true;
		for (size_t i = 0; i < KEY_LEN; i++)
			m->public_key[i] = (uint8_t)test_random(seed);
		m->has_next_key = !below(seed, 4);
		for (size_t i = 0; m->has_next_key && i < KEY_LEN; i++)
			m->next_key[i] = (uint8_t)test_random(seed);
		m->learnt_mtu = below(seed, 3) ? 0 : 1300 + below(seed, 100);
		if (m->kind == MEMBER_NODE)
			m->learnt_mode = (enum return_mode)below(seed, 4);
	}
}

static void must_pass(const struct office *o)
{
	cleanup(buf_done) struct buf errors = buf_of_max(1 << 16), warnings = buf_of_max(1 << 16);

	check(o, "x", &errors, &warnings);
	CHECK_STR(buf_str(&errors), "");
}

/* ---- packets ---- */

struct plans {
	const struct office	*o;
	struct plan		**of;	/* by the index of the member */
};

static struct plans make_plans(const struct office *o)
{
	struct plans p = {.o = o};

	p.of = calloc(o->n_members + 1, sizeof(struct plan *));
	CHECK(p.of);

	for (size_t i = 0; i < o->n_members; i++)
		if (!o->members[i].gone && o->members[i].kind != MEMBER_HOST)
			CHECK_EQ(plan_make(o, &o->members[i], &p.of[i]), 0);
	return p;
}

/* Behind the peer of a key the one of the next key, if there is one, and nothing is sent to that.
 */
static void next_keys_stand_by(const struct plans *p)
{
	for (size_t i = 0; i < p->o->n_members; i++) {
		const struct plan *plan = p->of[i];

		for (size_t j = 0; plan && j < plan->n_peers; j++) {
			const struct plan_peer *peer = &plan->peers[j], *before = peer - 1;
			const struct member *m = peer->member;

			CHECK(peer->key == (peer->next          ? m->next_key
						   : m->has_key ? m->public_key
								: NULL));
			if (peer->next)
				CHECK(j && before->member == m && !before->next &&
					!peer->n_allowed &&
					peer->has_endpoint == before->has_endpoint &&
					peer->keepalive_s == before->keepalive_s);
			else
				CHECK(peer->n_allowed &&
					(m->has_key && m->has_next_key) ==
						(j + 1 < plan->n_peers && peer[1].next));
		}
	}
}

static void plans_done(struct plans *p)
{
	for (size_t i = 0; i < p->o->n_members; i++)
		plan_free(p->of[i]);
	free(p->of);
}

static const struct plan *plan_of(const struct plans *p, const struct member *m)
{
	return p->of[m - p->o->members];
}

/* Cryptokey routing: who has the longest prefix that holds the address. */
static const struct plan_peer *peer_for(const struct plan *p, const struct prefix *address)
{
	const struct plan_peer *best = NULL;
	int bits = -1;

	for (size_t i = 0; i < p->n_peers; i++)
		for (size_t j = 0; j < p->peers[i].n_allowed; j++)
			if (p->peers[i].allowed[j].bits > bits && ipv4_holds(&p->peers[i].allowed[j], address)) {
				best = &p->peers[i];
				bits = best->allowed[j].bits;
			}
	return best;
}

/* The kernel's table: into the tunnel?  The LAN's own route is there too. */
static bool leads_into_tunnel(const struct plan *p, const struct prefix *address)
{
	int bits = -1;
	bool tunnel = false;

	if (p->self->kind == MEMBER_NODE && ipv4_holds(&p->self->lan, address))
		bits = p->self->lan.bits;
	for (size_t i = 0; i < p->n_routes; i++)
		if (p->routes[i].table == 254 && p->routes[i].to.bits > bits && ipv4_holds(&p->routes[i].to, address)) {
			bits = p->routes[i].to.bits;
			tunnel = p->routes[i].out == PLAN_OUT_TUNNEL;
		}
	return tunnel;
}

static const struct prefix *address_of(const struct member *m)
{
	return m->kind == MEMBER_HOST ? &m->host : &m->address;
}

/* The member of ours at which a packet of ${m} enters the tunnel, or where one for it leaves it. */
static const struct member *door_of(const struct office *o, const struct member *m)
{
	return m->kind == MEMBER_HOST ? office_find(o, m->node) : m;
}

/* From ${from} to ${to}: it arrives where it should, and every receiver takes it from its sender. */
static bool arrives(const struct plans *p, const struct member *from, const struct member *to)
{
	const struct member *at = door_of(p->o, from), *end = door_of(p->o, to);
	const struct prefix *source = address_of(from), *destination = address_of(to);

	for (unsigned hops = 0; at != end; hops++) {
		const struct plan *here = plan_of(p, at), *there;
		const struct plan_peer *next, *back;

		if (hops == HOPS_MAX || !leads_into_tunnel(here, destination))
			return false;
		if (hops && !here->forward)
			return false;
		next = peer_for(here, destination);
		if (!next)
			return false;
		there = plan_of(p, next->member);
		back = peer_for(there, source);
		if (!back || back->member != at)
			return false;
		/* One of both must know where the other is. */
		if (!next->has_endpoint && !back->has_endpoint)
			return false;
		at = next->member;
	}
	if (to->kind != MEMBER_HOST)
		return true;
	return plan_of(p, end)->forward && !leads_into_tunnel(plan_of(p, end), destination);
}

/* How a device of the LAN answers what came through the node's tunnel. */
static bool answers_come_back(const struct plan *node)
{
	bool through_gateway = false;

	for (size_t i = 0; i < node->n_routes; i++)
		through_gateway |= node->routes[i].table == PLAN_TABLE && node->routes[i].via_gateway &&
				   !prefix_compare(&node->routes[i].to, &node->self->lan);
	switch (node->mode) {
	case RETURN_SNAT:
		return node->snat && !node->gateway_back && !through_gateway;
	case RETURN_ROUTE:
		return !node->snat && !node->gateway_back && !through_gateway;
	case RETURN_ROUTE_GW:
		return !node->snat && node->gateway_back && through_gateway;
	case RETURN_AUTO:
		break;
	}
	return false;
}

static void each_pair(const struct plans *p)
{
	static const struct prefix internet = {AF_INET, 32, {198, 51, 100, 7}};
	const struct office *o = p->o;

	for (size_t i = 0; i < o->n_by_name; i++) {
		const struct member *x = o->by_name[i];

		if (x->kind == MEMBER_NODE)
			CHECK(answers_come_back(plan_of(p, x)));
		if (x->kind != MEMBER_HOST)
			CHECK(!leads_into_tunnel(plan_of(p, x), &internet));
		for (size_t j = 0; j < o->n_by_name; j++)
			if (i != j)
				CHECK(arrives(p, x, o->by_name[j]));
	}
}

static void reach(void)
{
	uint64_t seed = 1;
	struct lines l;

	for (unsigned n = 0; n < OFFICES; n++) {
		cleanup(office_freep) struct office *o = NULL;

		make_lines(&l, &seed);
		o = settle_lines(&l, NULL);
		must_pass(o);
		give_keys(o, &seed);
		cleanup(plans_done) struct plans p = make_plans(o);

		each_pair(&p);
		next_keys_stand_by(&p);
	}
}

/* The oracle finds what is wrong: a route taken away, a prefix at another peer, a return table without its route. */
static void oracle_finds(void)
{
	cleanup(office_freep) struct office *o = settle_text(NAMES "g node 10.1.0.0/24 return route+gw\n", NULL);
	cleanup(plans_done) struct plans p = make_plans(o);
	const struct member *b = office_find(o, "b"), *d = office_find(o, "d"), *e = office_find(o, "e");
	struct plan *c = (struct plan *)plan_of(&p, office_find(o, "c")), *z = (struct plan *)plan_of(&p, o->hub),
		    *g = (struct plan *)plan_of(&p, office_find(o, "g"));
	struct prefix kept;

	CHECK(arrives(&p, b, d) && arrives(&p, d, b) && arrives(&p, e, d) && answers_come_back(g));
	c->n_routes--;
	CHECK(arrives(&p, b, d) && !arrives(&p, d, b));
	c->n_routes++;
	kept = z->peers[0].allowed[1];
	z->peers[0].allowed[1] = z->peers[1].allowed[1];
	CHECK(!arrives(&p, e, b) && !arrives(&p, b, d));
	z->peers[0].allowed[1] = kept;
	z->forward = false;
	CHECK(!arrives(&p, b, d));
	g->n_routes--;
	CHECK(!answers_come_back(g));
	g->n_routes++;
}

/* ---- one prefix, one peer ---- */

static int by_prefix(const void *a, const void *b)
{
	return prefix_compare(a, b);
}

static void one_peer(void)
{
	uint64_t seed = 2;
	struct lines l;

	for (unsigned n = 0; n < OFFICES; n++) {
		cleanup(office_freep) struct office *o = NULL;

		make_lines(&l, &seed);
		o = settle_lines(&l, NULL);
		cleanup(plans_done) struct plans p = make_plans(o);

		for (size_t i = 0; i < o->n_members; i++) {
			struct prefix all[256] = {{0}};
			size_t m = 0;

			for (size_t j = 0; p.of[i] && j < p.of[i]->n_peers; j++)
				for (size_t k = 0; k < p.of[i]->peers[j].n_allowed; k++)
					all[m++] = p.of[i]->peers[j].allowed[k];
			qsort(all, m, sizeof(*all), by_prefix);
			for (size_t j = 1; j < m; j++)
				CHECK(prefix_compare(&all[j - 1], &all[j]) != 0);
			for (size_t j = 1; p.of[i] && j < p.of[i]->n_routes; j++)
				CHECK(p.of[i]->routes[j - 1].table != p.of[i]->routes[j].table ||
					prefix_compare(&p.of[i]->routes[j - 1].to, &p.of[i]->routes[j].to) != 0);
		}
	}
}

/* ---- the plan of the plan ---- */

static void same_lock(const struct office *a, const struct office *b)
{
	cleanup(buf_done) struct buf x = buf_of_max(1 << 20), y = buf_of_max(1 << 20);

	write_text(a, DIALECT_LOCK, &x);
	write_text(b, DIALECT_LOCK, &y);
	CHECK_STR(buf_str(&x), buf_str(&y));
}

static void nothing_changes(const struct office *o, const struct office *lock)
{
	struct show show = {.o = o, .lock = lock, .name = "x", .lock_name = "x.lock"};
	cleanup(buf_done) struct buf said = buf_of_max(1 << 20);

	CHECK_EQ(show_words(&show, &said), 0);
	CHECK(strstr(buf_str(&said), "\nPlan: nothing changes\n"));
}

static void settled(void)
{
	uint64_t seed = 3;
	struct lines l;

	for (unsigned n = 0; n < OFFICES; n++) {
		cleanup(office_freep) struct office *o = NULL, *lock = NULL, *of_lock = NULL, *again = NULL, *shuffled = NULL;
		cleanup(buf_done) struct buf text = buf_of_max(1 << 20);

		make_lines(&l, &seed);
		o = settle_lines(&l, NULL);
		give_keys(o, &seed);
		write_text(o, DIALECT_LOCK, &text);
		lock = read_text(DIALECT_LOCK, buf_str(&text));
		same_lock(lock, o);
		of_lock = settle_office(lock, lock);
		same_lock(of_lock, o);
		again = settle_lines(&l, lock);
		same_lock(again, o);
		nothing_changes(again, lock);
		shuffle(&l, &seed);
		shuffled = settle_lines(&l, lock);
		same_lock(shuffled, o);
		nothing_changes(shuffled, lock);
	}
}

/* ---- coming and going ---- */

#define IDS_MAX 4096

static void find_reuse(bool given[IDS_MAX], const struct office *before, const struct office *now)
{
	for (size_t i = 0; i < now->n_by_name; i++) {
		const struct member *m = now->by_name[i], *old = office_find(before, m->name);

		if (old && old->kind == m->kind) {
			CHECK_EQ(m->id, old->id);
			CHECK_EQ(m->has_key, old->has_key);
			CHECK_EQ(prefix_compare(&m->address, &old->address), 0);
		} else {
			/* An id that nobody ever had. */
			CHECK(m->id < IDS_MAX && !given[m->id]);
			CHECK(!m->has_key);
		}
		given[m->id] = true;
	}
	/* What was somebody's is nobody else's. */
	for (size_t i = 0; i < before->n_members; i++)
		for (size_t j = 0; j < now->n_by_name; j++) {
			const struct member *old = &before->members[i], *m = now->by_name[j];

			if (old->address.family && !prefix_compare(&old->address, &m->address))
				CHECK_STR(m->name, old->name);
			if (old->alias.family && m->alias.family && ipv4_overlap(&old->alias, &m->alias))
				CHECK_STR(m->name, old->name);
		}
}

static void come_and_go(void)
{
	uint64_t seed = 4;
	unsigned reborn = 0, kept = 0;

	for (unsigned n = 0; n < OFFICES / 20; n++) {
		bool given[IDS_MAX] = {false};
		cleanup(office_freep) struct office *before = calloc(1, sizeof(*before));
		struct lines all, some;

		CHECK_EQ(office_index(before), 0);
		make_lines(&all, &seed);
		for (unsigned generation = 0; generation < 10; generation++) {
			struct office *now;

			/* Net, aliases and hub stay; of the others who, and in which order, is chance. */
			some = all;
			some.n = 3;
			for (unsigned i = 3; i < all.n; i++)
				if (below(&seed, 3) || (strstr(all.line[i], " node") && strstr(all.line[all.n - 1], " host")))
					memcpy(some.line[some.n++], all.line[i], 160);
			shuffle(&some, &seed);
			now = settle_lines(&some, before->n_members ? before : NULL);
			must_pass(now);
			find_reuse(given, before, now);
			for (size_t i = 0; i < now->n_members; i++)
				kept += now->members[i].gone;
			for (size_t i = 0; i < now->n_by_name; i++)
				reborn += now->by_name[i]->id > all.n;
			give_keys(now, &seed);
			office_free(before);
			before = now;
		}
	}
	CHECK(reborn > 100 && kept > 100);
}

/* ---- the part of one member ---- */

static void put_plan(const struct plan *p, struct buf *ret)
{
	buf_printf(ret, "%s %u %u %d%d%d%d%d%d %d\n", p->self->name, p->listen_port, p->mtu, p->forward, p->clamp, p->gateway_back,
		p->snat, p->no_redirects, p->probe, (int)p->mode);
	for (size_t i = 0; i < p->n_peers; i++) {
		const struct plan_peer *peer = &p->peers[i];

		buf_printf(ret, "%s %d %u ", peer->member->name, peer->has_endpoint, peer->keepalive_s);
		text_put_endpoint(&peer->member->endpoint, ret);
		if (peer->key)
			text_put_key(peer->key, ret);
		buf_puts(ret, peer->next ? " next" : "");
		for (size_t j = 0; j < peer->n_allowed; j++) {
			buf_puts(ret, " ");
			text_put_prefix(&peer->allowed[j], ret);
		}
		buf_puts(ret, "\n");
	}
	for (size_t i = 0; i < p->n_routes; i++) {
		text_put_prefix(&p->routes[i].to, ret);
		buf_printf(ret, " %d %d %u %s\n", (int)p->routes[i].out, p->routes[i].via_gateway, p->routes[i].table,
			p->routes[i].because->name);
	}
}

static void parts(void)
{
	uint64_t seed = 5;
	struct lines l;

	/* lint-ignore clang-analyzer-unix.Malloc: plans_done() frees them at the end of each round */
	for (unsigned n = 0; n < OFFICES / 4; n++) {
		cleanup(office_freep) struct office *o = NULL;

		make_lines(&l, &seed);
		o = settle_lines(&l, NULL);
		give_keys(o, &seed);
		cleanup(plans_done) struct plans whole = make_plans(o);

		for (size_t i = 0; i < o->n_members; i++) {
			cleanup(office_freep) struct office *part = NULL, *bundle = NULL;
			cleanup(plan_freep) struct plan *p = NULL;
			cleanup(buf_done) struct buf text = buf_of_max(1 << 20), want = buf_of_max(1 << 20), got = buf_of_max(1 << 20);

			if (!whole.of[i])
				continue;
			CHECK_EQ(settle_part(o, &o->members[i], &part), 0);
			write_text(part, DIALECT_BUNDLE, &text);
			bundle = read_text(DIALECT_BUNDLE, buf_str(&text));
			CHECK_STR(bundle->self, o->members[i].name);
			CHECK_EQ(plan_make(bundle, office_find(bundle, bundle->self), &p), 0);
			put_plan(whole.of[i], &want);
			put_plan(p, &got);
			CHECK_STR(buf_str(&got), buf_str(&want));
			must_pass(bundle);
		}
	}
}

int main(void)
{
	test_run("each member and host reaches each other one, and every receiver takes the packet from its sender [plan-reach]", reach);
	test_run("the one who follows packets finds what is wrong", oracle_finds);
	test_run("no prefix is at two peers of one device, and no route there twice [plan-once]", one_peer);
	test_run("the plan of the plan is empty, and the order of lines says nothing [plan-stable]", settled);
	test_run("through ten generations no id is given twice, and nobody gets what was somebody else's [office-ids]", come_and_go);
	test_run("the plan of a member's part is its plan of the whole [office-bundle]", parts);
	return test_done();
}
