#include "tests/unit/office/office.h"

#include "office/show.h"

static void words_are(const struct office *o, const struct office *lock, const char *of, const char *want)
{
	const struct member *one = of ? office_find(o, of) : NULL;
	struct show show = {.o = o, .lock = lock, .name = "x.net", .lock_name = "x.lock", .of = of ? &one : NULL, .n_of = 1};
	cleanup(buf_done) struct buf said = buf_of_max(1 << 20), shown = buf_of_max(1 << 20);
	bool blank = false;

	CHECK_EQ(show_words(&show, &said), 0);
	/* Columns are for the eye: runs of blanks count as one. */
	for (const char *p = buf_str(&said); *p; p++) {
		if (*p != ' ' || !blank)
			buf_put(&shown, p, 1);
		blank = *p == ' ';
	}
	CHECK_STR(buf_str(&shown), want);
}

static void one_member(void)
{
	cleanup(office_freep) struct office *o = settle_text(NAMES, NULL);

	words_are(o, NULL, "a",
		"a node 10.70.0.2, LAN 192.168.201.0/24: new x.net:2\n"
		" + address 10.70.0.2 x.net:2\n"
		" + MTU 1420 x.net:2\n"
		" + forwards and fits TCP to the MTU x.net:2\n"
		" + return snat until the gateway was asked: the LAN sees the node and not who calls, and calls nobody x.net:2\n"
		" + peer z at z.example.com:51820, no key yet, keepalive 25 s x.net:1\n"
		" + to 10.70.0.0/16 by z x.net:1\n"
		" + to 192.168.200.0/24 by z x.net:3\n"
		" host b 192.168.201.55, nothing is done there x.net:4\n"
		"Plan: 7 add, 0 change, 0 remove on 1 machine\n");
}

static void changes(void)
{
	cleanup(office_freep) struct office *first = settle_text(NAMES, NULL), *lock = NULL, *o = NULL;
	cleanup(buf_done) struct buf text = buf_of_max(1 << 20);

	write_text(first, DIALECT_LOCK, &text);
	lock = read_text(DIALECT_LOCK, buf_str(&text));
	o = settle_text("z hub z.example.com\na node 192.168.201.0/24 return route\ne person 10.70.0.4 mtu 1400\ng person\n", lock);
	words_are(o, lock, NULL,
		"z hub 10.70.0.1, at z.example.com:51820: changes x.net:1\n"
		" ~ to 10.70.0.4 by e, 1400 bytes at most (was: by e) x.net:3\n"
		" + peer g no key yet x.net:4\n"
		" + to 10.70.0.6 by g x.net:4\n"
		" - peer c no key yet x.lock:10\n"
		" - to 10.70.0.3 by c x.lock:10\n"
		" - to 192.168.200.0/24 by c x.lock:10\n"
		" - peer f no key yet x.lock:14\n"
		" - to 10.70.0.5 by f x.lock:14\n"
		"a node 10.70.0.2, LAN 192.168.201.0/24: changes x.net:2\n"
		" ~ return route: the gateway has routes to the node (was: snat until the gateway was asked: "
		"the LAN sees the node and not who calls, and calls nobody) x.net:2\n"
		" - to 192.168.200.0/24 by z x.lock:10\n"
		"e person 10.70.0.4: changes x.net:3\n"
		" ~ MTU 1400 (was: 1420) x.net:3\n"
		" - to 192.168.200.0/24 by z x.lock:10\n"
		"g person 10.70.0.6: new x.net:4\n"
		" + address 10.70.0.6 x.net:4\n"
		" + MTU 1420 x.net:4\n"
		" + peer z at z.example.com:51820, no key yet, keepalive 25 s x.net:1\n"
		" + to 10.70.0.0/16 by z x.net:1\n"
		" + to 192.168.201.0/24 by z x.net:2\n"
		"c node: gone: ginnel down there x.lock:10\n"
		"f person: gone: ginnel down there x.lock:14\n"
		"Plan: 7 add, 3 change, 9 remove on 6 machines\n");
}

static void nothing(void)
{
	cleanup(office_freep) struct office *o = settle_text(NAMES, NULL), *again = settle_text(NAMES, o);

	words_are(again, o, NULL,
		"z hub 10.70.0.1, at z.example.com:51820: no change x.net:1\n"
		"a node 10.70.0.2, LAN 192.168.201.0/24: no change x.net:2\n"
		"c node 10.70.0.3, LAN 192.168.200.0/24: no change x.net:3\n"
		"e person 10.70.0.4: no change x.net:6\n"
		"f person 10.70.0.5: no change x.net:7\n"
		"Plan: nothing changes\n");
}

static void json(void)
{
	cleanup(office_freep) struct office *o = settle_text("z hub z\na node 10.1.0.0/24 return route+gw gw .1\nh host a .9\n", NULL);
	struct show show = {.o = o, .name = "x\"y", .lock_name = ""};
	cleanup(buf_done) struct buf said = buf_of_max(1 << 20);

	CHECK_EQ(show_json(&show, &said), 0);
	CHECK_STR(buf_str(&said),
		"{\"file\": \"x\\\"y\", \"net\": \"10.70.0.0/16\", \"aliases\": \"10.71.0.0/16\",\n \"members\": [\n"
		"  {\"name\": \"z\", \"kind\": \"hub\", \"line\": 1, \"id\": 1, \"address\": \"10.70.0.1/32\", \"public_key\": null, "
		"\"exported\": \"no-key\", \"engine\": \"ginnel\", \"listen_port\": 51820, \"mtu\": 1420, \"forward\": true, \"clamp\": true, \"no_redirects\": true,\n"
		"   \"peers\": [\n"
		"    {\"name\": \"a\", \"public_key\": null, \"keepalive_s\": 0, \"allowed_ips\": [\"10.1.0.0/24\", \"10.70.0.2/32\"]}],\n"
		"   \"routes\": [\n"
		"    {\"to\": \"10.1.0.0/24\", \"out\": \"tunnel\", \"via_gateway\": false, \"table\": 254, \"because\": \"a\", \"line\": 2},\n"
		"    {\"to\": \"10.70.0.0/16\", \"out\": \"tunnel\", \"via_gateway\": false, \"table\": 254, \"because\": \"z\", \"line\": 1}]},\n"
		"  {\"name\": \"a\", \"kind\": \"node\", \"line\": 2, \"id\": 2, \"address\": \"10.70.0.2/32\", \"public_key\": null, "
		"\"exported\": \"no-key\", \"engine\": \"ginnel\", \"listen_port\": 0, \"mtu\": 1420, \"forward\": true, \"clamp\": true, \"no_redirects\": false,\n"
		"   \"lan\": \"10.1.0.0/24\", \"alias\": \"10.71.1.0/24\", \"return\": \"route+gw\", \"probe\": false, \"snat\": false, "
		"\"gateway_back\": true,\n"
		"   \"peers\": [\n"
		"    {\"name\": \"z\", \"public_key\": null, \"endpoint\": \"z:51820\", \"keepalive_s\": 25, \"allowed_ips\": [\"10.70.0.0/16\"]}],\n"
		"   \"routes\": [\n"
		"    {\"to\": \"10.70.0.0/16\", \"out\": \"tunnel\", \"via_gateway\": false, \"table\": 254, \"because\": \"z\", \"line\": 1},\n"
		"    {\"to\": \"10.1.0.0/24\", \"out\": \"lan\", \"via_gateway\": true, \"table\": 7070, \"because\": \"a\", \"line\": 2},\n"
		"    {\"to\": \"10.1.0.1/32\", \"out\": \"lan\", \"via_gateway\": false, \"table\": 7070, \"because\": \"a\", \"line\": 2}]}],\n"
		" \"hosts\": [\n"
		"  {\"name\": \"h\", \"node\": \"a\", \"line\": 3, \"id\": 3, \"address\": \"10.1.0.9/32\"}]}\n");
}

static void drawing(void)
{
	cleanup(office_freep) struct office *o = settle_text("z hub z\na node 10.1.0.0/24\nh host a .9\ne person\n", NULL);
	cleanup(buf_done) struct buf said = buf_of_max(1 << 20);

	CHECK_EQ(show_dot(o, &said), 0);
	CHECK(strstr(buf_str(&said), "graph office {\n"));
	CHECK(strstr(buf_str(&said), "  \"z\" [shape=doubleoctagon, label=\"z\\nz:51820\\n10.70.0.1\"];\n"));
	CHECK(strstr(buf_str(&said), "  subgraph \"cluster_a\" {\n    label=\"LAN 10.1.0.0/24\";"));
	CHECK(strstr(buf_str(&said), "  \"z\" -- \"a\";\n"));
	CHECK(strstr(buf_str(&said), "  \"a\" -- \"h\" [style=dotted];\n"));
	CHECK(strstr(buf_str(&said), "  \"z\" -- \"e\";\n}\n"));
}

int main(void)
{
	test_run("words: what one member gets, each fact with its line [plan-words]", one_member);
	test_run("words: what is new, what changes, what goes and who [plan-words]", changes);
	test_run("words: that nothing changes [plan-words]", nothing);
	test_run("JSON has all of the plan [plan-json]", json);
	test_run("the drawing has hub, LANs, hosts and people [plan-json]", drawing);
	return test_done();
}
