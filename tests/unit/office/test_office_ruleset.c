#include "tests/unit/office/office.h"

#include "office/ruleset.h"

struct made {
	struct buf	text;
	struct ruleset	of;
};

static void made_done(struct made *m)
{
	buf_done(&m->text);
}

static struct made make(const char *lines, const char *name, const char *interface)
{
	cleanup(office_freep) struct office *o = settle_text(lines, NULL);
	cleanup(plan_freep) struct plan *p = NULL;
	struct made m = {.text = buf_of_max(1 << 16)};

	CHECK_EQ(plan_make(o, office_find(o, name), &p), 0);
	ruleset_put(p, interface, &m.text, &m.of);
	CHECK_EQ(m.text.error, 0);
	return m;
}

static unsigned count(struct made *m, const char *words)
{
	unsigned n = 0;

	for (const char *at = buf_str(&m->text); (at = strstr(at, words)); at++)
		n++;
	return n;
}

static void person(void)
{
	cleanup(made_done) struct made e = make(NAMES, "e", "office");

	CHECK_EQ(e.of.rules, 0);
	CHECK_EQ(e.text.len, 0);
	CHECK_STR(e.of.comment, "");
}

static void both_ways(void)
{
	cleanup(made_done) struct made z = make(NAMES, "z", "office"), a = make(NAMES "g node 10.1.0.0/24 return route\n", "g", "office");

	for (struct made *m = &z; m; m = m == &z ? &a : NULL) {
		CHECK_EQ(count(m, "iifname \"office\" tcp flags syn / syn,rst tcp option maxseg size set rt mtu"), 1);
		CHECK_EQ(count(m, "oifname \"office\" tcp flags syn / syn,rst tcp option maxseg size set rt mtu"), 1);
		CHECK_EQ(count(m, "masquerade"), 0);
	}
}

static void stands_in(void)
{
	cleanup(made_done) struct made snat = make(NAMES "g node 10.1.0.0/24 return snat\n", "g", "office"),
				       asked = make(NAMES, "a", "office"),
				       gateway = make(NAMES "g node 10.1.0.0/24 return route+gw\n", "g", "office");

	CHECK_EQ(count(&snat, "iifname \"office\" ip daddr 10.1.0.0/24 masquerade\n"), 1);
	CHECK_EQ(count(&snat, "type nat hook postrouting"), 1);
	/* Who was not asked yet stands in, too. */
	CHECK_EQ(count(&asked, "iifname \"office\" ip daddr 192.168.201.0/24 masquerade\n"), 1);
	CHECK_EQ(count(&gateway, "masquerade"), 0);
	CHECK_EQ(snat.of.rules, gateway.of.rules + 1);
}

/* Its comment tells whether the kernel has this text. */
static void comment(void)
{
	cleanup(made_done) struct made a = make(NAMES, "a", "office"), again = make(NAMES, "a", "office"), c = make(NAMES, "c", "office"),
				       other = make(NAMES, "a", "wg9");
	const char *texts[] = {a.of.comment, c.of.comment, other.of.comment};

	CHECK_STR(buf_str(&again.text), buf_str(&a.text));
	CHECK_STR(again.of.comment, a.of.comment);
	CHECK(!strncmp(a.of.comment, "ginnel ", 7) && strlen(a.of.comment) > 20);
	CHECK_EQ(count(&a, a.of.comment), 1);
	for (size_t i = 0; i < array_size(texts); i++)
		for (size_t j = 0; j < i; j++)
			CHECK(strcmp(texts[i], texts[j]) != 0);
	CHECK_EQ(count(&a, "table inet ginnel-office {"), 1);
	CHECK_EQ(count(&other, "table inet ginnel-wg9 {"), 1);
	CHECK_EQ(count(&other, "\"office\""), 0);
}

int main(void)
{
	test_run("who forwards nothing has no table [office-ruleset]", person);
	test_run("who forwards fits TCP in both directions [office-ruleset]", both_ways);
	test_run("a node stands in for the others where the gateway knows no way back, and only there [office-ruleset]", stands_in);
	test_run("tables of different rules bear different comments, the same the same [office-ruleset]", comment);
	return test_done();
}
