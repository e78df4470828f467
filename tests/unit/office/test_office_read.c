#include "tests/unit/office/office.h"

#include <errno.h>

#define KEY1 "QEWpd3Rcz6QM2kPKBSmyiAwo1yfDf1LQpgr4CpMX/Hs="
#define KEY2 "HOC7uqKhGyR4mxoRO2i5D6twm2MEfMlsDwF0wFuW1mw="

static void address_is(const struct prefix *p, const char *want)
{
	cleanup(buf_done) struct buf text = buf_of_max(64);

	CHECK(p->family);
	text_put_prefix(p, &text);
	CHECK_STR(buf_str(&text), want);
}

static void seven_lines(void)
{
	cleanup(office_freep) struct office *o = read_text(DIALECT_FILE, NAMES);
	const struct member *m;

	CHECK_EQ(o->n_members, 7);
	CHECK_EQ(o->n_nodes, 2);
	CHECK_STR(office_hub(o)->name, "z");
	CHECK_STR(office_hub(o)->endpoint.host, "z.example.com");
	CHECK_EQ(office_hub(o)->endpoint.port, 0);
	m = office_find(o, "a");
	CHECK_EQ(m->kind, MEMBER_NODE);
	CHECK_EQ(m->mode, RETURN_AUTO);
	CHECK_EQ(m->place.line, 2);
	CHECK_EQ(m->column.lan, 10);
	address_is(&m->lan, "192.168.201.0/24");
	m = office_find(o, "d");
	CHECK_STR(m->node, "c");
	address_is(&m->host, "192.168.200.244/32");
	address_is(&office_find(o, "e")->address, "10.70.0.4/32");
	CHECK_EQ(office_find(o, "f")->address.family, 0);
	CHECK(!office_find(o, "g"));
	CHECK(!office_find(o, ""));
}

static void every_word(void)
{
	cleanup(office_freep) struct office *o = read_text(DIALECT_FILE,
		"\xef\xbb\xbf# a file of an editor on Windows\r\n"
		"net 10.9.0.0/16\r\naliases 10.8.0.0/16\r\nport 443\r\nmtu 1400\r\n"
		"h host n .9.55\r\n"
		"z hub [2001:db8::1]:4500 ports 443,53 engine kernel mtu 1280 address 10.9.0.1\r\n"
		"n node 172.20.0.0/16 at .0.2 gw .0.1 if br-lan.7 return route+gw alias 10.8.0.0/16 address 10.9.0.2\r\n"
		"p person phone address 10.9.0.3\r\n"
		"q\tperson\t10.9.0.4\tmtu 1300#x");
	const struct member *z = office_find(o, "z"), *n = office_find(o, "n");

	address_is(&o->net, "10.9.0.0/16");
	address_is(&o->aliases, "10.8.0.0/16");
	CHECK_EQ(o->port, 443);
	CHECK_EQ(o->mtu, 1400);
	CHECK_STR(z->endpoint.host, "2001:db8::1");
	CHECK_EQ(z->endpoint.port, 4500);
	CHECK_EQ(z->ports[0], 443);
	CHECK_EQ(z->ports[1], 53);
	CHECK_EQ(z->ports[2], 0);
	CHECK_EQ(z->engine, ENGINE_KERNEL);
	CHECK_EQ(z->mtu, 1280);
	address_is(&z->address, "10.9.0.1/32");
	address_is(&n->lan_address, "172.20.0.2/32");
	address_is(&n->gateway, "172.20.0.1/32");
	CHECK_STR(n->device, "br-lan.7");
	CHECK_EQ(n->mode, RETURN_ROUTE_GW);
	address_is(&n->alias, "10.8.0.0/16");
	address_is(&office_find(o, "h")->host, "172.20.9.55/32");
	CHECK(office_find(o, "p")->phone);
	address_is(&office_find(o, "p")->address, "10.9.0.3/32");
	CHECK_EQ(office_find(o, "q")->mtu, 1300);
}

static void lock_words(void)
{
	static const char text[] = "version 1\nnet 10.70.0.0/16\naliases 10.71.0.0/16\nport 51820\nmtu 1420\nnext 10\n"
				   "z hub z.example.com:51820 address 10.70.0.1 id 1 key " KEY1 "\n"
				   "a node 192.168.1.0/24 address 10.70.0.2 alias 10.71.1.0/24 learnt snat learnt-mtu 1380 id 2 key " KEY1
				   " next-key " KEY2 "\n"
				   "psk on\nf person 10.70.0.3 id 3 gone\nf person 10.70.0.5 id 9\nh host a 192.168.1.55 id 4\n";
	cleanup(office_freep) struct office *o = read_text(DIALECT_LOCK, text);
	const struct member *a = office_find(o, "a");

	CHECK_EQ(o->next_id, 10);
	CHECK(o->psk);
	CHECK(a->has_key && a->has_next_key);
	CHECK_EQ(a->public_key[0], 0x40);
	CHECK_EQ(a->next_key[0], 0x1c);
	CHECK_EQ(a->learnt_mode, RETURN_SNAT);
	CHECK_EQ(a->learnt_mtu, 1380);
	CHECK_EQ(office_find(o, "f")->id, 9);
	CHECK_EQ(o->n_by_name, 4);
	CHECK_EQ(o->members[4].id, 9); /* in the order of ids */
}

/* One line each: what is read, and the errors. */
static const struct {
	enum dialect	 dialect;
	const char	*text, *errors;
} wrong[] = {
	{DIALECT_FILE, "a nod 192.168.1.0/24\n", "x:1:3: kind: \"nod\" is neither hub, node, host nor person: did you mean node?\n"},
	{DIALECT_FILE, "nett 10.0.0.0/8\n", "x:1:1: line: \"nett\" is no word that begins one: did you mean net?\n"},
	{DIALECT_FILE, "z hub z.example.com enigne kernel mtu 1300\n", "x:1:21: unknown word \"enigne\" for a hub: did you mean engine?\n"},
	{DIALECT_FILE, "z hub z.example.com engine kernal\n", "x:1:28: engine: no engine is called \"kernal\": did you mean kernel?\n"},
	{DIALECT_FILE, "main node 192.168.1.0/24\nb host mian .5\n", "x:2:8: b: there is no node mian: did you mean main?\n"},
	{DIALECT_FILE, "b host b .5\n", "x:1:8: b: b is a host, in line 1, and no node\n"},
	{DIALECT_FILE, "a person\na person\n", "x:2:1: a: the name is there already, in line 1\n"},
	{DIALECT_FILE, "A person\n", "x:1:1: name: \"A\" must be in lower case\n"},
	{DIALECT_FILE, "a_ person\n", "x:1:1: name: \"a_\" must be of letters and digits, with hyphens between\n"},
	{DIALECT_FILE, "net person\n", "x:1:1: name: \"net\" is a word of the grammar, and no member's name\n"},
	{DIALECT_FILE, "expires person\n", "x:1:1: name: \"expires\" is a word of the grammar, and no member's name\n"},
	{DIALECT_FILE, "group dev = e f\nf person full\n", "x:1:1: \"group\" is not known yet\nx:2:10: \"full\" is not known yet\n"},
	{DIALECT_FILE, "a node\n", "x:1:3: node: the prefix of its LAN, as 192.168.201.0/24 must follow\n"},
	{DIALECT_FILE, "a\n", "x:1:1: line: \"a\" stands alone: NAME hub, node, host or person is expected\n"},
	{DIALECT_FILE, "a node fd00::/64\n", "x:1:8: node: \"fd00::/64\" is IPv6: only IPv4 is known yet\n"},
	{DIALECT_FILE, "net fd00::/64\n", "x:1:5: net: \"fd00::/64\" is IPv6: only IPv4 is known yet\n"},
	{DIALECT_FILE, "a node 0.0.0.0/0\n", "x:1:8: node: \"0.0.0.0/0\" must have a length from 8 to 30\n"},
	{DIALECT_FILE, "a node 192.168.1.5/24\n", "x:1:8: node: \"192.168.1.5/24\" is an address within 192.168.1.0/24: say the prefix\n"},
	{DIALECT_FILE, "a node 192.168.1.0\n", "x:1:8: node: \"192.168.1.0\" must be a prefix with its length, as 192.168.201.0/24\n"},
	{DIALECT_FILE, "a node 192.168.1.0/24 at .300\n", "x:1:26: at: \".300\" is no address, as 192.168.201.55 or .55\n"},
	{DIALECT_FILE, "a node 192.168.1.0/24 gw\n", "x:1:23: gw: a value is missing: the LAN's gateway, as .1\n"},
	{DIALECT_FILE, "a node 192.168.1.0/24 if eth0\" mtu 1300\n", "x:1:26: if: \"eth0\"\" is no interface, as eth0\n"},
	{DIALECT_FILE, "a node 192.168.1.0/24 mtu 1300 mtu 1400\n", "x:1:32: mtu: said twice\n"},
	{DIALECT_FILE, "f person gw .1\n", "x:1:10: gw: a person has none\n"},
	{DIALECT_FILE, "f person id 7\n", "x:1:10: id: nobody says this here: it is derived, and kept in the lock\n"},
	{DIALECT_FILE, "port 0\n", "x:1:6: port: \"0\" must be a number from 1 to 65535\n"},
	{DIALECT_FILE, "port 1\nport 2\n", "x:2:1: port: said before, in line 1\n"},
	{DIALECT_FILE, "mtu 1400 1500\n", "x:1:10: end of line: \"1500\" is too much here\n"},
	{DIALECT_FILE, "z hub z ports 1,2,1\n", "x:1:19: ports: \"1\" is there twice\n"},
	{DIALECT_FILE, "z hub z ports 1,2,3,4,5\n", "x:1:15: ports: \"1,2,3,4,5\" are more than 4\n"},
	{DIALECT_FILE, "z hub a..b/c\n", "x:1:7: hub: \"a..b/c\" is neither an address nor a name\n"},
	{DIALECT_FILE, "z hub 2001:db8::1\n", "x:1:7: hub: \"2001:db8::1\" must stand in brackets: [2001:db8::1]\n"},
	{DIALECT_FILE, "psk " KEY1 "\n",
		"x:1:5: psk: must be \"on\": without the line there are none; the keys themselves are in the file that ends in .psk\n"},
	{DIALECT_FILE, "psk on\npsk on\npsk person\n", "x:2:1: psk: said before, in line 1\nx:3:1: name: \"psk\" is a word of the grammar, and no member's name\n"},
	{DIALECT_FILE, "f person psk " KEY1 "\n",
		"x:1:10: psk: a secret does not belong here: the line \"psk on\" has one made for each\n"},
	{DIALECT_FILE, "z hub [fe80::1%eth0]\n", "x:1:7: hub: \"[fe80::1%eth0]\" is an address of one machine's own interface: the others cannot reach the hub by it\n"},
	{DIALECT_FILE, "z hub [fe80::1%\";x]\n", "x:1:7: hub: \"[fe80::1%\";x]\" is no IPv6 address\n"},
	{DIALECT_FILE, "f person\xc2\x9b" "2J\n", "x:1:3: kind: \"person??2J\" is neither hub, node, host nor person\n"},
	{DIALECT_FILE, "a person\n<<<<<<< HEAD\nb person\n=======\nc person\n>>>>>>> theirs\n",
		"x:2:1: a merge has left the lines of two sides here: keep what is right, and remove this line\n"
		"x:4:1: a merge has left the lines of two sides here: keep what is right, and remove this line\n"
		"x:6:1: a merge has left the lines of two sides here: keep what is right, and remove this line\n"},
	{DIALECT_FILE, "\xff\xfe" "a\xff", "x:1:1: this is UTF-16: save it as UTF-8\n"},
	{DIALECT_FILE, "e person # \xe3\x80\x80\nf\xe3\x80\x80person\ng person\xc2\xa0\n",
		"x:2:2: a blank of another kind: take a space\nx:3:9: a blank of another kind: take a space\n"},
	{DIALECT_FILE, "a person\x01\n", "x:1:9: a control character\n"},
	{DIALECT_LOCK, "version 2\nwhat else\n", "x:1:9: version: \"2\" is of another ginnel's format: this one knows 1\n"},
	{DIALECT_LOCK, "net 10.0.0.0/8\nversion 1\naliases 10.0.0.0/8\nport 1\nmtu 1400\nnext 1\n", "x:1:1: \"version 1\" must come first\n"},
	{DIALECT_LOCK, "version 1\nnet 10.0.0.0/8\naliases 11.0.0.0/8\nport 1\nmtu 1400\nnext 1000000002\n"
		       "f person 10.0.0.1 id 1 given 0\ng person 10.0.0.2 id 1 given 0x1234567890abcdef1\n",
		"x:6:6: next: \"1000000002\" must be a number from 1 to 1000000001\n"
		"x:7:30: given: \"0\" must be a number from 1 to 18446744073709551615\n"
		"x:8:30: given: \"0x1234567890abcdef1\" must be a number from 1 to 18446744073709551615\n"
		"x:8:1: g: the id is there already, in line 7: remove this line, and the member gets another one, and its key is to be accepted anew\n"
		"x:7:1: f: the id, one below that of the line \"next\", is missing\n"
		"x:8:1: g: the id, one below that of the line \"next\", is missing\n"},
	{DIALECT_LOCK, "version 1\nnet 10.0.0.0/8\naliases 11.0.0.0/8\nport 1\nmtu 1400\nnext 2\nf person 10.0.0.1 id 1 psk " KEY1 "\n",
		"x:7:24: psk: a secret does not belong here: the line \"psk on\" has one made for each\n"},
	{DIALECT_BUNDLE, "version 1 for f\nnet 10.0.0.0/8\naliases 11.0.0.0/8\nport 1\nmtu 1400\npsk on\n"
			 "z hub z:1 address 10.0.0.2 id 2 psk " KEY1 "\nf person 10.0.0.1 id 1 psk " KEY1 "=\n",
		"x:6:5: psk: in a bundle it stands in the lines of members\nx:7:33: psk: a hub has none\n"
		"x:8:28: psk: is no pre-shared key: 44 characters as wg genpsk prints them\n"},
	{DIALECT_BUNDLE, "version 1\n", "x:1:10: version: \"for NAME\" is missing\n"},
};

static void errors(void)
{
	for (size_t i = 0; i < array_size(wrong); i++) {
		cleanup(buf_done) struct buf said = buf_of_max(1 << 16);
		struct office *o = NULL;

		CHECK_EQ(office_read(wrong[i].dialect, "x", wrong[i].text, strlen(wrong[i].text), &o, &said), -EINVAL);
		CHECK(!o);
		CHECK_STR(buf_str(&said), wrong[i].errors);
	}
}

int main(void)
{
	test_run("the network of the README is read [office-read]", seven_lines);
	test_run("every word that people write is read [office-read]", every_word);
	test_run("every word of a lock is read, and its members are in the order of their ids [office-lock]", lock_words);
	test_run("what is wrong is said with file, line and column, and with what was meant [office-errors]", errors);
	return test_done();
}
