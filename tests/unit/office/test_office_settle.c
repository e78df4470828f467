#include "tests/unit/office/office.h"

#include <errno.h>

#define KEY1 "QEWpd3Rcz6QM2kPKBSmyiAwo1yfDf1LQpgr4CpMX/Hs="

/* The lock without its comment. */
static void lock_is(const struct office *o, const char *want)
{
	cleanup(buf_done) struct buf text = buf_of_max(1 << 20);
	const char *members;

	write_text(o, DIALECT_LOCK, &text);
	members = strstr(buf_str(&text), "\nnet ");
	CHECK_STR(members ? members + 1 : "", want);
}

static void give_key(struct office *o, const char *name)
{
	struct member *m = (struct member *)office_find(o, name);

	CHECK_EQ(key_text_parse(KEY1, KEY_TEXT_LEN, m->public_key), 0);
	m->has_key = true;
}

static void seven_lines(void)
{
	cleanup(office_freep) struct office *o = settle_text(NAMES, NULL);

	lock_is(o,
		"net 10.70.0.0/16\naliases 10.71.0.0/16\nport 51820\nmtu 1420\nnext 8\n"
		"z hub z.example.com:51820 address 10.70.0.1 id 1\n"
		"a node 192.168.201.0/24 address 10.70.0.2 alias 10.71.1.0/24 id 2\n"
		"c node 192.168.200.0/24 address 10.70.0.3 alias 10.71.2.0/24 id 3\n"
		"b host a 192.168.201.55 id 4\n"
		"d host c 192.168.200.244 id 5\n"
		"e person 10.70.0.4 id 6\n"
		"f person 10.70.0.5 id 7\n");
}

static void shuffled(void)
{
	cleanup(office_freep) struct office *o = settle_text(NAMES, NULL), *again = NULL;
	cleanup(buf_done) struct buf before = buf_of_max(1 << 20), after = buf_of_max(1 << 20);

	give_key(o, "a");
	again = settle_text("g person\nf person\nd host c .244\ne person\nb host a .55\nc node 192.168.200.0/24\n"
			    "a node 192.168.201.0/24\nz hub z.example.com\n",
		o);
	CHECK_EQ(office_find(again, "g")->id, 8);
	CHECK_EQ(again->next_id, 9);
	CHECK(office_find(again, "a")->has_key);
	/* But for the new one nothing has changed. */
	again->n_members--;
	again->next_id--;
	write_text(o, DIALECT_LOCK, &before);
	write_text(again, DIALECT_LOCK, &after);
	CHECK_STR(buf_str(&after), buf_str(&before));
	again->n_members++;
}

static void come_and_go(void)
{
	cleanup(office_freep) struct office *o = settle_text("z hub z\na node 10.1.0.0/24\ne person\nf person\nh host a .5\n", NULL),
				   *without = NULL, *other = NULL, *back = NULL;

	give_key(o, "e");
	without = settle_text("z hub z\nf person\n", o);
	lock_is(without,
		"net 10.70.0.0/16\naliases 10.71.0.0/16\nport 51820\nmtu 1420\nnext 6\n"
		"z hub z:51820 address 10.70.0.1 id 1\n"
		"a node 10.1.0.0/24 address 10.70.0.2 alias 10.71.1.0/24 id 2 gone\n"
		"e person 10.70.0.3 id 3 key " KEY1 " gone\n"
		"f person 10.70.0.4 id 4\n");
	/* Somebody else gets nothing of theirs. */
	other = settle_text("g person\nn node 10.2.0.0/24\nz hub z\nf person\n", without);
	lock_is(other,
		"net 10.70.0.0/16\naliases 10.71.0.0/16\nport 51820\nmtu 1420\nnext 8\n"
		"z hub z:51820 address 10.70.0.1 id 1\n"
		"a node 10.1.0.0/24 address 10.70.0.2 alias 10.71.1.0/24 id 2 gone\n"
		"e person 10.70.0.3 id 3 key " KEY1 " gone\n"
		"f person 10.70.0.4 id 4\n"
		"g person 10.70.0.5 id 6\n"
		"n node 10.2.0.0/24 address 10.70.0.6 alias 10.71.2.0/24 id 7\n");
	/* They come back: new, at their places; unless the file gives those away. */
	back = settle_text("e person\na node 10.1.0.0/24 address 10.70.0.9\nz hub z\nf person\ng person 10.70.0.2\nn node 10.2.0.0/24\n", other);
	lock_is(back,
		"net 10.70.0.0/16\naliases 10.71.0.0/16\nport 51820\nmtu 1420\nnext 10\n"
		"z hub z:51820 address 10.70.0.1 id 1\n"
		"f person 10.70.0.4 id 4\n"
		"g person 10.70.0.2 id 6\n"
		"n node 10.2.0.0/24 address 10.70.0.6 alias 10.71.2.0/24 id 7\n"
		"e person 10.70.0.3 id 8\n"
		"a node 10.1.0.0/24 address 10.70.0.9 alias 10.71.1.0/24 id 9\n");
}

static void another_kind(void)
{
	cleanup(office_freep) struct office *o = settle_text("z hub z\ne person\n", NULL), *node = NULL;

	give_key(o, "e");
	node = settle_text("z hub z\ne node 192.168.5.0/24\n", o);
	CHECK_EQ(office_find(node, "e")->id, 3);
	CHECK(!office_find(node, "e")->has_key);
	CHECK_EQ(office_find(node, "e")->address.bytes[3], 2);
	CHECK_EQ(node->n_members, 2);
}

static void net_changes(void)
{
	cleanup(office_freep) struct office *o = settle_text("z hub z\ne person\nf person\n", NULL), *moved = NULL, *stays = NULL;

	moved = settle_text("net 10.71.0.0/24\nz hub z\ne person 10.71.0.1\nf person\n", o);
	lock_is(moved,
		"net 10.71.0.0/24\naliases 10.71.1.0/24\nport 51820\nmtu 1420\nnext 4\n"
		"z hub z:51820 address 10.71.0.2 id 1\n"
		"e person 10.71.0.1 id 2\n"
		"f person 10.71.0.3 id 3\n");
	/* The line may go: what was given stays given. */
	stays = settle_text("z hub z\ne person\nf person\n", moved);
	CHECK_EQ(office_find(stays, "f")->address.bytes[1], 71);
}

static void forgets(void)
{
	static const char text[] = "version 1\nnet 10.70.0.0/16\naliases 10.71.0.0/16\nport 4500\nmtu 1300\nnext 3\n"
				   "z hub z:4500 address 10.70.0.1 ports 53 engine kernel id 1\n"
				   "a node 192.168.1.0/24 address 10.70.0.2 alias 10.71.1.0/24 at 192.168.1.2 return route learnt snat id 2\n";
	cleanup(office_freep) struct office *lock = read_text(DIALECT_LOCK, text), *o = NULL, *elsewhere = NULL;

	o = settle_text("z hub z\na node 192.168.1.0/24\n", lock);
	lock_is(o,
		"net 10.70.0.0/16\naliases 10.71.0.0/16\nport 51820\nmtu 1420\nnext 3\n"
		"z hub z:51820 address 10.70.0.1 id 1\n"
		"a node 192.168.1.0/24 address 10.70.0.2 alias 10.71.1.0/24 learnt snat id 2\n");
	elsewhere = settle_text("z hub z\na node 192.168.2.0/25\n", lock);
	lock_is(elsewhere,
		"net 10.70.0.0/16\naliases 10.71.0.0/16\nport 51820\nmtu 1420\nnext 3\n"
		"z hub z:51820 address 10.70.0.1 id 1\n"
		"a node 192.168.2.0/25 address 10.70.0.2 alias 10.71.0.128/25 id 2\n");
}

static const struct {
	const char *text, *errors;
} full[] = {
	{"net 10.70.0.0/30\nz hub z\ne person\nf person\n", "x:4:1: no address is left in 10.70.0.0/30 for f\n"},
	{"net 10.70.0.0/30\nf person\nz hub z\ne person 10.70.0.1\ng person\n",
		"x:3:1: no address is left in 10.70.0.0/30 for z\nx:5:1: no address is left in 10.70.0.0/30 for g\n"},
	{"aliases 10.71.0.0/24\nz hub z\na node 192.168.1.0/25\nb node 192.168.2.0/25\n",
		"x:4:1: no block for the alias is left in 10.71.0.0/24 for b\n"},
	{"z hub z\na node 172.0.0.0/8\n", "x:2:1: no block for the alias is left in 10.71.0.0/16 for a\n"},
	{"net 10.0.0.0/8\nz hub z\n",
		"x:1:5: net: there is no private block beside it for the LANs' aliases: say one, as aliases 10.71.0.0/16\n"},
};

static void nothing_left(void)
{
	for (size_t i = 0; i < array_size(full); i++) {
		cleanup(office_freep) struct office *file = read_text(DIALECT_FILE, full[i].text), *o = NULL;
		cleanup(buf_done) struct buf said = buf_of_max(1 << 16);

		CHECK_EQ(settle(file, "x", NULL, NULL, &o, &said), -EINVAL);
		CHECK(!o);
		CHECK_STR(buf_str(&said), full[i].errors);
	}
}

static void taken(void)
{
	cleanup(office_freep) struct office *lock = settle_text("z hub z\ne person\nf person\n", NULL),
				   *file = read_text(DIALECT_FILE, "z hub z\nf person\ng person 10.70.0.2\ne person\n"), *o = NULL;
	cleanup(buf_done) struct buf said = buf_of_max(1 << 16);

	CHECK_EQ(settle(file, "x", lock, "x.lock", &o, &said), -EINVAL);
	CHECK_STR(buf_str(&said), "x:3:10: g: this address is e's, as x.lock:2 has it: take another, or say one for e\n");
}

static void last_block(void)
{
	cleanup(office_freep) struct office *o = settle_text("net 10.255.0.0/16\nz hub z\na node 192.168.1.0/24\n", NULL),
				   *whole = settle_text("z hub z\na node 172.16.0.0/16\n", NULL);

	CHECK_EQ(o->aliases.bytes[1], 254);
	CHECK_EQ(office_find(whole, "a")->alias.bytes[1], 71);
	CHECK_EQ(office_find(whole, "a")->alias.bits, 16);
}

static void bundle(void)
{
	cleanup(office_freep) struct office *o = settle_text(NAMES, NULL), *part = NULL, *back = NULL;
	cleanup(buf_done) struct buf text = buf_of_max(1 << 20), again = buf_of_max(1 << 20);

	give_key(o, "z");
	give_key(o, "a");
	give_key(o, "c");
	CHECK_EQ(settle_part(o, office_find(o, "e"), &part), 0);
	write_text(part, DIALECT_BUNDLE, &text);
	CHECK_STR(buf_str(&text),
		"version 1 for e members 4\n# What this member needs to know of its office network: ginnel up reads it.\n"
		"net 10.70.0.0/16\naliases 10.71.0.0/16\nport 51820\nmtu 1420\n"
		"z hub z.example.com:51820 address 10.70.0.1 id 1 key " KEY1 "\n"
		"a node 192.168.201.0/24 address 10.70.0.2 alias 10.71.1.0/24 id 2\n"
		"c node 192.168.200.0/24 address 10.70.0.3 alias 10.71.2.0/24 id 3\n"
		"e person 10.70.0.4 id 6\n");
	back = read_text(DIALECT_BUNDLE, buf_str(&text));
	CHECK_STR(back->self, "e");
	write_text(back, DIALECT_BUNDLE, &again);
	CHECK_STR(buf_str(&again), buf_str(&text));
}

static void errors_are(const char *text, const char *lock_text, const char *want)
{
	cleanup(office_freep) struct office *file = read_text(DIALECT_FILE, text), *lock = read_text(DIALECT_LOCK, lock_text);
	cleanup(buf_done) struct buf said = buf_of_max(1 << 16);
	struct office *o = NULL;

	CHECK_EQ(settle(file, "x", lock, "x.lock", &o, &said), -EINVAL);
	CHECK_STR(buf_str(&said), want);
}

/* By hand, or by a merge. */
static void strange_locks(void)
{
#define LOCK "version 1\nnet 10.70.0.0/16\naliases 10.71.0.0/16\nport 51820\nmtu 1420\n"
	errors_are("e person\nf person\n", LOCK "next 9\ne person 10.70.0.4 id 2\nf person 10.70.0.4 id 3\n",
		"x:2:1: f: it has the address of e, says x.lock:8: remove that line, and its key is to be accepted anew\n");
	errors_are("e person\nf person\n", LOCK "next 1000000001\n",
		"x:1:1: no id is left, says the lock: has somebody written into it?\n"
		"x:2:1: no id is left, says the lock: has somebody written into it?\n");
#undef LOCK
}

static void cut(void)
{
	cleanup(office_freep) struct office *o = settle_text(NAMES, NULL), *part = NULL, *none = NULL;
	cleanup(buf_done) struct buf text = buf_of_max(1 << 20), said = buf_of_max(1 << 16);
	const char *a;

	CHECK_EQ(settle_part(o, office_find(o, "z"), &part), 0);
	write_text(part, DIALECT_BUNDLE, &text);
	for (size_t len = 0; len < text.len; len++)
		CHECK_EQ(office_read(DIALECT_BUNDLE, "x", buf_str(&text), len, &none, &said), -EINVAL);
	CHECK(!none);
	a = strstr(buf_str(&text), "\na node");
	CHECK(a);
	if (!a)
		return;
	buf_clear(&said);
	CHECK_EQ(office_read(DIALECT_BUNDLE, "x", buf_str(&text), (size_t)(a + 1 - buf_str(&text)), &none, &said), -EINVAL);
	CHECK_STR(buf_str(&said), "x:7:1: 1 members are here, of 5: a part was lost on the way, send it again\n");
}

int main(void)
{
	test_run("what the README's network leaves out is derived [office-derive]", seven_lines);
	test_run("lines in another order, and more of them, move nothing [office-order]", shuffled);
	test_run("who goes leaves a trace, and nobody gets what was theirs [office-gone]", come_and_go);
	test_run("a person that becomes a node is a new member at the old address", another_kind);
	test_run("another net moves everybody, and stays when its line goes", net_changes);
	test_run("what people no longer say is the default again; what was learnt stays, for that LAN", forgets);
	test_run("where nothing is left, it is said for whom [office-full]", nothing_left);
	test_run("an address that the lock gave to one is not taken from him by another's line [office-taken]", taken);
	test_run("a lock in which two have one address, or no id is left, is told [office-lock]", strange_locks);
	test_run("aliases are of a private block beside the net", last_block);
	test_run("a bundle is what one member needs, and is read back to the same [office-bundle]", bundle);
	test_run("a bundle of which any end is missing is refused [office-bundle-cut]", cut);
	return test_done();
}
