#include "tests/unit/office/office.h"

#include "office/plan.h"

static struct plan *plan_of(const struct office *o, const char *name)
{
	struct plan *p = NULL;

	CHECK_EQ(plan_make(o, office_find(o, name), &p), 0);
	return p;
}

/* A plan, shortly. */
static void put(const struct plan *p, struct buf *ret)
{
	for (size_t i = 0; i < p->n_peers; i++) {
		const struct plan_peer *peer = &p->peers[i];

		buf_printf(ret, "peer %s%s %u:", peer->member->name, peer->has_endpoint ? " endpoint" : "", peer->keepalive_s);
		if (peer->has_endpoint)
			CHECK_EQ(peer->port, plan_port(peer->member, p->self->learnt_port));
		for (size_t j = 0; j < peer->n_allowed; j++) {
			buf_puts(ret, " ");
			text_put_prefix(&peer->allowed[j], ret);
		}
		buf_puts(ret, "\n");
	}
	for (size_t i = 0; i < p->n_routes; i++) {
		const struct plan_route *r = &p->routes[i];

		buf_puts(ret, "route ");
		text_put_prefix(&r->to, ret);
		buf_printf(ret, " %s%s %u %s", enum_name(&plan_out_enum, r->out), r->via_gateway ? " gateway" : "", r->table,
			r->because->name);
		if (r->mtu)
			buf_printf(ret, " mtu %u", r->mtu);
		buf_puts(ret, "\n");
	}
	buf_printf(ret, "port %u mtu %u%s%s%s%s%s%s %s\n", p->listen_port, p->mtu, p->forward ? " forward" : "",
		p->clamp ? " clamp" : "", p->gateway_back ? " gateway_back" : "", p->snat ? " snat" : "",
		p->no_redirects ? " no_redirects" : "", p->probe ? " probe" : "", enum_name(&return_mode_enum, p->mode));
}

static void plan_is(const struct office *o, const char *name, const char *want)
{
	cleanup(plan_freep) struct plan *p = plan_of(o, name);
	cleanup(buf_done) struct buf text = buf_of_max(1 << 16);

	put(p, &text);
	CHECK_STR(buf_str(&text), want);
}

static void seven_lines(void)
{
	cleanup(office_freep) struct office *o = settle_text(NAMES, NULL);

	plan_is(o, "z",
		"peer a 0: 10.70.0.2/32 192.168.201.0/24\n"
		"peer c 0: 10.70.0.3/32 192.168.200.0/24\n"
		"peer e 0: 10.70.0.4/32\n"
		"peer f 0: 10.70.0.5/32\n"
		"route 10.70.0.0/16 tunnel 254 z\n"
		"route 192.168.200.0/24 tunnel 254 c\n"
		"route 192.168.201.0/24 tunnel 254 a\n"
		"port 51820 mtu 1420 forward clamp no_redirects auto\n");
	plan_is(o, "a",
		"peer z endpoint 25: 10.70.0.0/16 192.168.200.0/24\n"
		"route 10.70.0.0/16 tunnel 254 z\n"
		"route 192.168.200.0/24 tunnel 254 c\n"
		"port 0 mtu 1420 forward clamp snat probe snat\n");
	plan_is(o, "e",
		"peer z endpoint 25: 10.70.0.0/16 192.168.200.0/24 192.168.201.0/24\n"
		"route 10.70.0.0/16 tunnel 254 z\n"
		"route 192.168.200.0/24 tunnel 254 c\n"
		"route 192.168.201.0/24 tunnel 254 a\n"
		"port 0 mtu 1420 auto\n");
}

static void return_modes(void)
{
	cleanup(office_freep) struct office *o = settle_text("z hub z.example.com:443 mtu 1380\n"
							     "a node 192.168.1.0/24 return route\n"
							     "b node 192.168.2.0/24 return route+gw gw .1\n"
							     "c node 192.168.3.0/24 return route+gw mtu 1300\n",
		NULL);

	plan_is(o, "a",
		"peer z endpoint 25: 10.70.0.0/16 192.168.2.0/24 192.168.3.0/24\n"
		"route 10.70.0.0/16 tunnel 254 z\n"
		"route 192.168.2.0/24 tunnel 254 b\n"
		"route 192.168.3.0/24 tunnel 254 c\n"
		"port 0 mtu 1420 forward clamp route\n");
	plan_is(o, "b",
		"peer z endpoint 25: 10.70.0.0/16 192.168.1.0/24 192.168.3.0/24\n"
		"route 10.70.0.0/16 tunnel 254 z\n"
		"route 192.168.1.0/24 tunnel 254 a\n"
		"route 192.168.3.0/24 tunnel 254 c\n"
		"route 192.168.2.0/24 lan gateway 7070 b\n"
		"route 192.168.2.1/32 lan 7070 b\n"
		"port 0 mtu 1420 forward clamp gateway_back route+gw\n");
	plan_is(o, "c",
		"peer z endpoint 25: 10.70.0.0/16 192.168.1.0/24 192.168.2.0/24\n"
		"route 10.70.0.0/16 tunnel 254 z\n"
		"route 192.168.1.0/24 tunnel 254 a\n"
		"route 192.168.2.0/24 tunnel 254 b\n"
		"route 192.168.3.0/24 lan gateway 7070 c\n"
		"port 0 mtu 1300 forward clamp gateway_back route+gw\n");
	plan_is(o, "z",
		"peer a 0: 10.70.0.2/32 192.168.1.0/24\n"
		"peer b 0: 10.70.0.3/32 192.168.2.0/24\n"
		"peer c 0: 10.70.0.4/32 192.168.3.0/24\n"
		"route 10.70.0.0/16 tunnel 254 z\n"
		"route 10.70.0.4/32 tunnel 254 c mtu 1300\n"
		"route 192.168.1.0/24 tunnel 254 a\n"
		"route 192.168.2.0/24 tunnel 254 b\n"
		"route 192.168.3.0/24 tunnel 254 c mtu 1300\n"
		"port 443 mtu 1380 forward clamp no_redirects auto\n");
}

static void learnt(void)
{
	cleanup(office_freep) struct office *o = settle_text(NAMES, NULL), *again = NULL;
	struct member *a = (struct member *)office_find(o, "a");

	a->learnt_mode = RETURN_ROUTE;
	a->learnt_mtu = 1412;
	again = settle_text(NAMES, o);
	plan_is(again, "a",
		"peer z endpoint 25: 10.70.0.0/16 192.168.200.0/24\n"
		"route 10.70.0.0/16 tunnel 254 z\n"
		"route 192.168.200.0/24 tunnel 254 c\n"
		"port 0 mtu 1412 forward clamp probe route\n");
}

/* At a port of the hub's that got through, and at no other one that was noted. */
static void port(void)
{
	static const struct {
		uint16_t learnt, used;
	} cases[] = {{0, 51820}, {443, 443}, {4500, 4500}, {51820, 51820}, {53, 51820}};
	cleanup(office_freep) struct office *o = settle_text("z hub z.example.com ports 443,4500\ne person\n", NULL);
	struct member *e = (struct member *)office_find(o, "e");

	for (size_t i = 0; i < array_size(cases); i++) {
		cleanup(plan_freep) struct plan *p = NULL;

		e->learnt_port = cases[i].learnt;
		p = plan_of(o, "e");
		CHECK_EQ(p->peers[0].port, cases[i].used);
	}
}

/* What was measured holds up to what the office has, and what is said always. */
static void mtu(void)
{
	cleanup(office_freep) struct office *o = settle_text("z hub z.example.com\nmtu 1400\ne person\nf person mtu 1410\n", NULL);
	struct member *e = (struct member *)office_find(o, "e"), *f = (struct member *)office_find(o, "f");

	CHECK_EQ(plan_mtu(o, e), 1400);
	e->learnt_mtu = f->learnt_mtu = 1328;
	CHECK_EQ(plan_mtu(o, e), 1328);
	CHECK_EQ(plan_mtu(o, f), 1410);
	e->learnt_mtu = 1420;
	CHECK_EQ(plan_mtu(o, e), 1400);
}

int main(void)
{
	test_run("each member of the README's network has the peers and routes that it needs [plan-peers]", seven_lines);
	test_run("each return mode of a node has its routes and filters [plan-return]", return_modes);
	test_run("what a probe found is used until it is asked again [plan-return]", learnt);
	test_run("a member calls the hub at the port that it has noted, if that is one of the hub's [office-ports]", port);
	test_run("the MTU is what is said, or measured and no more than the office's [office-mtu]", mtu);
	return test_done();
}
