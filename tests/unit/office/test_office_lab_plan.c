/* An office as hosts and cables. */
#include "office/lab_plan.h"
#include "office/settle.h"

#include "base/test.h"

#include <errno.h>
#include <stdio.h>

struct made {
	struct buf	plan, errors;
	int		status;
};

static void made_done(struct made *m)
{
	buf_done(&m->plan);
	buf_done(&m->errors);
}

static struct made make(const char *text, const struct lab_gateway gateways[], size_t n)
{
	struct made m = {.plan = buf_of_max(1 << 20), .errors = buf_of_max(1 << 16)};
	cleanup(office_freep) struct office *file = NULL, *o = NULL;

	CHECK_EQ(office_read(DIALECT_FILE, "f", text, strlen(text), &file, &m.errors), 0);
	CHECK_EQ(settle(file, "f", NULL, "f.lock", &o, &m.errors), 0);
	m.status = lab_plan(o, "f", gateways, n, &m.plan, &m.errors);
	return m;
}

static void check_has(struct made *m, const char *line)
{
	if (!strstr(buf_str(&m->plan), line))
		test_note("the plan has no \"%s\"", line);
	CHECK(strstr(buf_str(&m->plan), line));
}

static void smallest(void)
{
	cleanup(made_done) struct made m = make("z hub z.example.com\ne person\n", NULL, 0);

	CHECK_EQ(m.status, 0);
	CHECK_STR(buf_str(&m.plan),
		"host	public.internet	internet	-\n"
		"bridge	public.internet	bridge\n"
		"forward	public.internet\n"
		"address	public.internet	bridge	203.0.113.1/24\n"
		"host	z	hub	z\n"
		"cable	public.internet	p1	z	eth0\n"
		"port	public.internet	p1	bridge\n"
		"uplink	z	public.internet	p1\n"
		"address	z	eth0	203.0.113.10/24\n"
		"route	z	default	eth0	203.0.113.1\n"
		"name	203.0.113.10	z.example.com\n"
		"host	e.carrier	carrier	e\n"
		"forward	e.carrier\n"
		"nat	e.carrier	wan	loose\n"
		"cable	public.internet	p2	e.carrier	wan\n"
		"port	public.internet	p2	bridge\n"
		"uplink	e	public.internet	p2\n"
		"address	e.carrier	wan	203.0.113.21/24\n"
		"route	e.carrier	default	wan	203.0.113.1\n"
		"public	e	e.carrier	wan	203.0.113.21/24	203.0.113.131/24\n"
		"host	e.router	router	e\n"
		"forward	e.router\n"
		"nat	e.router	wan	loose\n"
		"cable	e.carrier	lan	e.router	wan\n"
		"address	e.carrier	lan	100.64.0.1/30\n"
		"address	e.router	wan	100.64.0.2/30\n"
		"route	e.router	default	wan	100.64.0.1\n"
		"host	e	person	e\n"
		"cable	e.router	lan	e	eth0\n"
		"address	e.router	lan	192.168.1.1/24\n"
		"address	e	eth0	192.168.1.100/24\n"
		"route	e	default	eth0	192.168.1.1\n");
}

#define NOTES                                                                                      \
	"z hub z.example.com\na node 192.168.201.0/24\nc node 192.168.200.0/24 at .9 gw .7 if lan0\n" \
	"b host a .55\nd host c .244\ne person 10.70.0.4\nf person\n"

static void gateways_of_each_kind(void)
{
	static const struct lab_gateway kinds[] = {{"a", GATEWAY_STATIC}, {"c", GATEWAY_STRICT}};
	cleanup(made_done) struct made none = make(NOTES, NULL, 0), both = make(NOTES, kinds, 2);

	CHECK_EQ(none.status, 0);
	CHECK(!strstr(buf_str(&none.plan), "static\t"));
	check_has(&none, "nat	c.gateway	wan	loose\n");
	CHECK_EQ(both.status, 0);
	check_has(&both, "static	a.gateway	10.70.0.0/16	192.168.201.2\n");
	check_has(&both, "static	a.gateway	10.71.0.0/16	192.168.201.2\n");
	check_has(&both, "static	a.gateway	192.168.200.0/24	192.168.201.2\n");
	CHECK(!strstr(buf_str(&both.plan), "static	a.gateway	192.168.201.0/24"));
	check_has(&both, "nat	a.gateway	wan	loose\n");
	check_has(&both, "static	c.gateway	192.168.201.0/24	192.168.200.9\n");
	check_has(&both, "nat	c.gateway	wan	strict\n");
}

static void lans(void)
{
	cleanup(made_done) struct made m = make(NOTES, NULL, 0);

	CHECK_EQ(m.status, 0);
	check_has(&m, "address	c	lan0	192.168.200.9/24\n");
	check_has(&m, "route	c	default	lan0	192.168.200.7\n");
	check_has(&m, "address	c.gateway	lan	192.168.200.7/24\n");
	check_has(&m, "cable	c.switch	p2	c	lan0\n");
	check_has(&m, "cable	c.switch	p3	d	eth0\n");
	check_has(&m, "address	d	eth0	192.168.200.244/24\n");
	check_has(&m, "route	d	default	eth0	192.168.200.7\n");
}

static void addresses_nobody_said(void)
{
	cleanup(made_done) struct made m = make("z hub z.example.com\na node 192.168.9.0/24\nb host a .1\nc host a .3\n", NULL, 0);

	CHECK_EQ(m.status, 0);
	check_has(&m, "address	a.gateway	lan	192.168.9.2/24\n");
	check_has(&m, "address	a	eth0	192.168.9.4/24\n");
}

/* Split a record; returns how many fields. */
static size_t fields(char *line, char *ret[8])
{
	size_t n = 0;

	for (char *save, *f = strtok_r(line, "\t", &save); f && n < 8; f = strtok_r(NULL, "\t", &save))
		ret[n++] = f;
	return n;
}

static bool has_host(const char *plan, const char *host)
{
	char line[128];

	snprintf(line, sizeof(line), "host\t%s\t", host);
	return strstr(plan, line);
}

/* What a shell carries out must name what is there, and no end of a cable twice. */
static void whole(void)
{
	cleanup(made_done) struct made m = make(NOTES, NULL, 0);
	const char *plan = buf_str(&m.plan);
	cleanup(free_ptr) char *copy = strdup(plan);
	char ends[64][128];
	size_t n_ends = 0, hosts = 0;

	CHECK(copy);
	for (char *save, *line = strtok_r(copy, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *f[8] = {NULL};
		size_t n = fields(line, f);

		CHECK(n >= 2);
		if (!strcmp(f[0], "name"))
			continue;
		CHECK(has_host(plan, f[!strcmp(f[0], "uplink") || !strcmp(f[0], "public") ? 2 : 1]));
		hosts += !strcmp(f[0], "host");
		if (strcmp(f[0], "cable") != 0)
			continue;
		CHECK_EQ(n, 5);
		CHECK(has_host(plan, f[3]));
		for (size_t i = 1; i < 5; i += 2)
			snprintf(ends[n_ends++], sizeof(ends[0]), "%s %s", f[i], f[i + 1]);
	}
	for (size_t i = 0; i < n_ends; i++) {
		for (size_t j = 0; j < i; j++)
			CHECK(strcmp(ends[i], ends[j]) != 0);
	}
	CHECK_EQ(hosts, 18);
	CHECK_EQ(n_ends, 34);
}

static void ranges_in_use(void)
{
	cleanup(made_done) struct made m =
		make("net 100.64.0.0/16\nz hub z.example.com\na node 192.168.1.0/24\nc node 192.168.178.0/24\ne person\n", NULL, 0);

	CHECK_EQ(m.status, 0);
	check_has(&m, "address	e	eth0	192.168.0.100/24\n");
	check_has(&m, "address	e.carrier	lan	100.127.255.253/30\n");
}

static void hubs_own_address(void)
{
	cleanup(made_done) struct made out = make("z hub 198.51.100.7\ne person\n", NULL, 0),
				       in = make("z hub 203.0.113.21\ne person\n", NULL, 0),
				       other = make("z hub 203.0.113.131\ne person\n", NULL, 0),
				       first = make("z hub 203.0.113.1\ne person\n", NULL, 0);

	CHECK_EQ(out.status, 0);
	check_has(&out, "address	z	eth0	198.51.100.7/32\n");
	check_has(&out, "route	public.internet	198.51.100.7/32	bridge\n");
	check_has(&out, "route	z	203.0.113.1/32	eth0\nroute	z	default	eth0	203.0.113.1\n");
	CHECK(!strstr(buf_str(&out.plan), "name\t"));
	CHECK_EQ(in.status, 0);
	check_has(&in, "address	z	eth0	203.0.113.21/24\n");
	check_has(&in, "public	e	e.carrier	wan	203.0.113.121/24	203.0.113.231/24\n");
	check_has(&other, "public	e	e.carrier	wan	203.0.113.121/24	203.0.113.231/24\n");
	check_has(&first, "address	public.internet	bridge	203.0.113.2/24\n");
	check_has(&first, "route	e.carrier	default	wan	203.0.113.2\n");
}

static void refused(void)
{
	static const struct lab_gateway wrong[] = {{"b", GATEWAY_STATIC}, {"q", GATEWAY_NONE}};
	cleanup(buf_done) struct buf crowd = buf_of_max(1 << 16);
	cleanup(made_done) struct made gateways = make(NOTES, wrong, 2), hub6 = make("z hub [2001:db8::1]:1\n", NULL, 0),
				       internet = make("z hub z.example.com\na node 203.0.113.128/25\n", NULL, 0),
				       full = make("z hub z.example.com\na node 192.168.9.0/30\nb host a .1\n", NULL, 0),
				       lo = make("z hub z.example.com\na node 192.168.9.0/24 if lo\nb node 192.168.8.0/24 if office\n", NULL, 0);
	struct made many;

	CHECK_EQ(gateways.status, -EINVAL);
	CHECK_STR(buf_str(&gateways.errors), "f: there is no node b, whose gateway is to be static\n"
					     "f: there is no node q, whose gateway is to be none\n");
	CHECK_EQ(gateways.plan.len, 0);
	CHECK_EQ(hub6.status, -EINVAL);
	CHECK_STR(buf_str(&hub6.errors), "f:1:1: z: the lab's internet has IPv4 only, and the hub no address of that\n");
	CHECK_EQ(internet.status, -EINVAL);
	CHECK_STR(buf_str(&internet.errors), "f: 203.0.113.0/24 is the lab's internet, and the office uses it\n");
	CHECK_EQ(full.status, -EINVAL);
	CHECK_STR(buf_str(&full.errors), "f:2:1: a: its LAN has no address left for the node and the gateway\n");
	CHECK_EQ(lo.status, -EINVAL);
	CHECK_STR(buf_str(&lo.errors), "f:2:1: a: lo and office are interfaces there already: the one to its LAN must be another\n"
				       "f:3:1: b: lo and office are interfaces there already: the one to its LAN must be another\n");
	buf_puts(&crowd, "z hub z.example.com\n");
	for (int i = 0; i < LAB_HOMES_MAX; i++)
		buf_printf(&crowd, "p%d person\n", i);
	many = make(buf_str(&crowd), NULL, 0);
	CHECK_EQ(many.status, 0);
	check_has(&many, "public	p99	p99.carrier	wan	203.0.113.120/24	203.0.113.230/24\n");
	made_done(&many);
	buf_puts(&crowd, "one-more person\n");
	many = make(buf_str(&crowd), NULL, 0);
	CHECK_EQ(many.status, -EINVAL);
	CHECK_STR(buf_str(&many.errors), "f: the lab has room for 100 LANs and persons together, and there are 101\n");
	made_done(&many);
}

int main(void)
{
	test_run("a hub and a person: each of them, the NATs and the internet [office-lab-plan]", smallest);
	test_run("gateways have the routes of their kind [office-lab-plan]", gateways_of_each_kind);
	test_run("hosts stand in their LAN as the file says [office-lab-plan]", lans);
	test_run("who has no address by the file has one that is free [office-lab-plan]", addresses_nobody_said);
	test_run("what is named is there, and each end of a cable once [office-lab-plan]", whole);
	test_run("homes and carriers use no range of the office [office-lab-plan]", ranges_in_use);
	test_run("the hub has the address that the file says [office-lab-plan]", hubs_own_address);
	test_run("what the lab cannot make is refused with a reason [office-lab-plan]", refused);
	return test_done();
}
