#include "tests/unit/office/office.h"

#include "office/check.h"

#define HUB "z hub z.example.com\n"
#define KEY1 "QEWpd3Rcz6QM2kPKBSmyiAwo1yfDf1LQpgr4CpMX/Hs="
#define LOCK "version 1\nnet 10.70.0.0/16\naliases 10.71.0.0/16\nport 51820\nmtu 1420\nnext 9\n"

static const struct {
	const char *text, *errors;
} wrong[] = {
	{"a node 10.1.0.0/24\n", "x:1:1: there is no hub: a line as \"z hub z.example.com\" names the public server\n"},
	{HUB "y hub y.example.com\n", "x:2:1: y: there is a hub already, z in line 1: only one is known yet\n"},
	{HUB "c node 10.2.0.0/24\na node 10.1.0.0/24\nb node 10.1.0.0/24\n", "x:4:8: b: 10.1.0.0/24 is a's LAN too, in line 3\n"},
	{HUB "a node 10.1.0.128/25\nb node 10.1.0.0/24\n", "x:3:8: b: 10.1.0.0/24 overlaps 10.1.0.128/25, a's LAN, in line 2\n"},
	{HUB "a node 10.70.4.0/24\n",
		"x:2:8: a: its LAN 10.70.4.0/24 overlaps the members' addresses, 10.70.0.0/16: say another net\n"},
	{HUB "a node 10.71.4.0/24\n", "x:2:8: a: its LAN 10.71.4.0/24 overlaps the LANs' aliases, 10.71.0.0/16: say other aliases\n"},
	{"net 10.9.0.0/16\naliases 10.9.128.0/24\n" HUB, "x:2:9: net 10.9.0.0/16 and aliases 10.9.128.0/24 overlap\n"},
	{"z hub 192.168.5.9\na node 192.168.5.0/24\n",
		"x:1:7: z: 192.168.5.9 is within a's LAN, in line 2: the others could not reach the hub by it\n"},
	{"z hub 10.70.9.9\n", "x:1:7: z: 10.70.9.9 is within 10.70.0.0/16, the members' addresses: nobody could reach the hub by it\n"},
	{"z hub 10.71.9.9:53\n", "x:1:7: z: 10.71.9.9 is within 10.71.0.0/16, the LANs' aliases: nobody could reach the hub by it\n"},
	{"z hub 127.0.0.1\n", "x:1:7: z: nobody could reach the hub by 127.0.0.1, which is each machine's own, and no network\n"},
	{"z hub 224.0.0.9:53\n", "x:1:7: z: nobody could reach the hub by 224.0.0.9, which is multicast or reserved\n"},
	{"z hub localhost:53\n", "x:1:7: z: nobody could reach the hub by localhost, which is each machine's own\n"},
	{"z hub LOCALHOST.:53\n", "x:1:7: z: nobody could reach the hub by localhost, which is each machine's own\n"},
	{"z hub [::1]\n", "x:1:7: z: nobody could reach the hub by ::1, which is each machine's own\n"},
	{"z hub [fe80::1]:9\n", "x:1:7: z: nobody could reach the hub by fe80::1, which is of one link only\n"},
	{"z hub [ff02::1]\n", "x:1:7: z: nobody could reach the hub by ff02::1, which is multicast\n"},
	{"z hub [::ffff:192.0.2.1]\n", "x:1:7: z: nobody could reach the hub by ::ffff:192.0.2.1, which stands for an IPv4 address: say that one\n"},
	{HUB "localhost person\n", "x:2:1: localhost: each machine calls itself so: take another name\n"},
	{HUB "a node 10.1.0.0/24 if lo\n", "x:2:1: a: lo leads to no LAN, but to the machine itself\n"},
	{HUB "e person 10.70.0.9\nf person 10.70.0.9\n", "x:3:10: f: 10.70.0.9 is e's too, in line 2\n"},
	{HUB "e person 10.60.0.9\n", "x:2:10: e: 10.60.0.9 is outside of 10.70.0.0/16, the members' addresses\n"},
	{HUB "e person 10.70.0.0\nf person 10.70.255.255\n",
		"x:2:10: e: 10.70.0.0 means the network 10.70.0.0/16 itself: take one between\n"
		"x:3:10: f: 10.70.255.255 means the network 10.70.0.0/16 itself: take one between\n"},
	{HUB "a node 10.1.0.0/24\nh host a 10.2.0.5\n", "x:3:10: h: 10.2.0.5 is outside of 10.1.0.0/24, its node's LAN\n"},
	{HUB "a node 10.1.0.0/25\nh host a .200\ni host a .127\n",
		"x:3:10: h: 10.1.0.200 is outside of 10.1.0.0/25, its node's LAN\n"
		"x:4:10: i: 10.1.0.127 means the network 10.1.0.0/25 itself: take one between\n"},
	{HUB "h host a .5\ni host a .5\na node 10.1.0.0/24\n", "x:3:10: i: 10.1.0.5 is h's too, in line 2\n"},
	{HUB "a node 10.1.0.0/24 at .2 gw .1\nh host a .2\ni host a .1\n",
		"x:3:10: h: 10.1.0.2 is the node a's too, in line 2\nx:4:10: i: 10.1.0.1 is the gateway's of a too, in line 2\n"},
	{HUB "a node 10.1.0.0/24 at .1 gw .1\n", "x:2:29: a: 10.1.0.1 is the node a's too, in line 2\n"},
	{HUB "a node 10.1.0.0/24 at 10.2.0.2 gw .255\n",
		"x:2:23: a: 10.2.0.2 is outside of 10.1.0.0/24, its LAN\n"
		"x:2:35: a: 10.1.0.255 means the network 10.1.0.0/24 itself: take one between\n"},
	{HUB "a node 10.1.0.0/24 alias 10.71.4.0/25\nb node 10.2.0.0/24 alias 10.72.4.0/24\n",
		"x:2:26: a: its alias 10.71.4.0/25 must be as long as its LAN 10.1.0.0/24\n"
		"x:3:26: b: its alias 10.72.4.0/24 is outside of 10.71.0.0/16, the aliases\n"},
	{HUB "a node 10.1.0.0/24 alias 10.71.4.0/24\nb node 10.2.0.0/24 alias 10.71.4.0/24\n",
		"x:3:26: b: 10.71.4.0/24 is a's alias too, in line 2\n"},
	{HUB "a node 127.0.0.0/24\nb node 224.1.0.0/24\nc node 169.254.0.0/24\n",
		"x:2:8: a: 127.0.0.0/24 is each machine's own, and no network\n"
		"x:3:8: b: 224.1.0.0/24 is multicast or reserved\n"
		"x:4:8: c: 169.254.0.0/24 is what devices take that get no address: no router carries it\n"},
	{"z hub z.example.com ports 443,51820\n", "x:1:1: z: port 51820 is its own already\n"},
};

static void errors(void)
{
	for (size_t i = 0; i < array_size(wrong); i++) {
		cleanup(office_freep) struct office *o = settle_text(wrong[i].text, NULL);
		cleanup(buf_done) struct buf said = buf_of_max(1 << 16), warnings = buf_of_max(1 << 16);

		CHECK(!check(o, "x", &said, &warnings));
		CHECK_STR(buf_str(&said), wrong[i].errors);
	}
}

static void keys(void)
{
	cleanup(office_freep) struct office *o = read_text(DIALECT_LOCK,
		LOCK "z hub z:1 address 10.70.0.1 id 1 key " KEY1 "\n"
		     "e person 10.70.0.2 id 2 key " KEY1 " gone\nf person 10.70.0.3 id 3 next-key " KEY1 "\n");
	cleanup(buf_done) struct buf said = buf_of_max(1 << 16), warnings = buf_of_max(1 << 16);

	CHECK(!check(o, "x", &said, &warnings));
	CHECK_STR(buf_str(&said),
		"x:9:1: f: its key is that of z too, in line 7: each member makes one of its own\n");
}

static void warnings(void)
{
	cleanup(office_freep) struct office *o = settle_text(
		HUB "a node 192.168.1.0/24 mtu 1200\n007 node 172.16.0.0/12 alias 10.64.0.0/12\nc node 100.64.9.0/24\n"
		    "net 198.18.0.0/16\naliases 10.64.0.0/10\nmtu 1000\n",
		NULL);
	cleanup(buf_done) struct buf said = buf_of_max(1 << 16), warned = buf_of_max(1 << 16);
	bool good;

	for (size_t i = 0; i < o->n_members; i++)
		if (o->members[i].name[0] != 'a') {
			o->members[i].has_key = true;
			o->members[i].public_key[0] = (uint8_t)i;
		}
	good = check(o, "x", &said, &warned);
	CHECK_STR(buf_str(&said), "");
	CHECK(good);
	CHECK_STR(buf_str(&warned),
		"x:1:1: warning: an MTU of 1000 is below 1280: IPv6 does not go through\n"
		"x:2:1: warning: a has no key yet: ginnel key a there makes one, ginnel accept takes it in\n"
		"x:2:8: warning: a: 192.168.1.0/24 is what many homes have: from there it cannot be reached\n"
		"x:2:27: warning: a: an MTU of 1200 is below 1280: IPv6 does not go through\n"
		"x:3:1: warning: 007: programs take a name of digits for an address\n"
		"x:3:10: warning: 007: 172.16.0.0/12 overlaps what is Docker's: machines that run it do not reach this\n"
		"x:4:8: warning: c: 100.64.9.0/24 is what carriers use towards their customers\n"
		"x:5:5: warning: net: 198.18.0.0/16 is what proxies give out as addresses of names\n");
}

static void good_network(void)
{
	cleanup(office_freep) struct office *o = settle_text(NAMES, NULL);
	cleanup(buf_done) struct buf said = buf_of_max(1 << 16), warned = buf_of_max(1 << 16);

	CHECK(check(o, "x", &said, &warned));
	CHECK_STR(buf_str(&said), "");
}

/* All in one LAN: an error for each but the first, and not for each pair. */
static void many(void)
{
	cleanup(buf_done) struct buf text = buf_of_max(1 << 20), said = buf_of_max(1 << 20), warned = buf_of_max(1 << 24);
	cleanup(office_freep) struct office *o = NULL;
	size_t lines = 0;

	buf_puts(&text, "aliases 10.80.0.0/12\n" HUB);
	for (unsigned i = 0; i < 3000; i++)
		buf_printf(&text, "n%u node 192.168.7.0/24\n", i);
	o = settle_text(buf_str(&text), NULL);
	CHECK(!check(o, "x", &said, &warned));
	for (const char *p = buf_str(&said); *p; p++)
		lines += *p == '\n';
	CHECK_EQ(lines, OFFICE_ERRORS_MAX + 1);
}

int main(void)
{
	test_run("what contradicts something else is refused, with both lines [check-clash]", errors);
	test_run("a key that two members have is refused, but for members that are gone [check-clash]", keys);
	test_run("what will not go well is warned of, with its line [check-warns]", warnings);
	test_run("the network of the README is sound", good_network);
	test_run("errors are no more than lines, and bounded [office-errors]", many);
	return test_done();
}
