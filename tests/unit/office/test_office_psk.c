#include "tests/unit/office/office.h"

#include "office/export.h"
#include "office/plan.h"
#include "office/psk.h"
#include "office/show.h"

#include <errno.h>

#define KEY1 "QEWpd3Rcz6QM2kPKBSmyiAwo1yfDf1LQpgr4CpMX/Hs="
#define PSK1 "HOC7uqKhGyR4mxoRO2i5D6twm2MEfMlsDwF0wFuW1mw="
#define PSK2 "BIUsKvZ0yODmHS8bR7cVAzOWCbgo2MlzJ6u3bvr0rHg="
#define NONE "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
#define WITH NAMES "psk on\n"

static struct member *get(struct office *o, const char *name)
{
	return (struct member *)office_find(o, name);
}

static void give_key(struct office *o, const char *name, uint8_t first)
{
	struct member *m = get(o, name);

	m->has_key = true;
	memset(m->public_key, first, KEY_LEN);
}

/* Read what must be right. */
static void read_psks(struct office *o, const struct office *lock, const char *text)
{
	cleanup(buf_done) struct buf errors = buf_of_max(1 << 16);

	CHECK_EQ(psk_read(o, lock, "x.psk", text, strlen(text), &errors), 0);
	CHECK_STR(buf_str(&errors), "");
}

static void psk_is(const struct office *o, const char *name, const char *want)
{
	const struct member *m = office_find(o, name);
	char text[KEY_TEXT_LEN + 1] = "none";

	if (m->psk)
		key_text_format(m->psk, text);
	CHECK_STR(text, want);
}

static void made(void)
{
	cleanup(office_freep) struct office *o = settle_text(WITH, NULL), *again = settle_text(WITH, o);
	cleanup(buf_done) struct buf text = buf_of_max(1 << 16), same = buf_of_max(1 << 16);

	CHECK_EQ(psk_make(o), 0);
	for (struct member *m = o->members; m < o->members + o->n_members; m++)
		CHECK_EQ(m->psk != NULL, m->kind == MEMBER_NODE || m->kind == MEMBER_PERSON);
	CHECK(memcmp(get(o, "a")->psk, get(o, "c")->psk, KEY_LEN) != 0);
	CHECK_EQ(psk_write(o, &text), 0);
	read_psks(again, o, buf_str(&text));
	CHECK_EQ(psk_make(again), 0);
	CHECK_EQ(psk_write(again, &same), 0);
	CHECK_STR(buf_str(&same), buf_str(&text));
}

static void whose(void)
{
	static const char text[] = "# of people\n\na " PSK1 "\n  c\t" PSK2 " \r\nz " PSK1 "\nb " PSK1 "\nq " PSK1 "\ne " PSK2;
	cleanup(office_freep) struct office *lock = settle_text(WITH, NULL), *o = NULL;

	o = settle_text("z hub z.example.com\na person\nc node 192.168.200.0/24\ng person\npsk on\n", lock);
	read_psks(o, lock, text);
	/* Another a, a hub, a host, nobody, one that is gone. */
	psk_is(o, "a", "none");
	psk_is(o, "c", PSK2);
	psk_is(o, "z", "none");
	CHECK(!office_find(o, "e"));
	/* Who is new to the lock is not the one for whom it was made. */
	read_psks(o, lock, "g " PSK1 "\n");
	psk_is(o, "g", "none");
	read_psks(o, NULL, "g " PSK1 "\n");
	psk_is(o, "g", PSK1);
	CHECK_EQ(member_set_psk(get(o, "g"), NULL), 0);
	psk_is(o, "g", "none");
}

static void wrong(void)
{
	static const char key[] = "is no pre-shared key: 44 characters as wg genpsk prints them; without the line a new one is made\n";
	static const struct {
		const char *text, *at, *what;
	} lines[] = {{"a\n", "x:1:1: ", "must be NAME KEY\n"}, {"\n a " PSK1 " b\n", "x:2:2: ", "must be NAME KEY\n"},
		{"a " NONE "\n", "x:1:3: ", key}, {"a HOC7uqKhGyR4mxoRO2i5D6twm2MEfMlsDwF0wFuW1m\n", "x:1:3: ", key},
		{"a " PSK1 "\n# \na " PSK2 "\n", "x:3:1: ", "a: has one already, in a line above\n"}};

	for (size_t i = 0; i < array_size(lines); i++) {
		cleanup(office_freep) struct office *o = settle_text(WITH, NULL);
		cleanup(buf_done) struct buf said = buf_of_max(1 << 16), want = buf_of_max(1 << 16);

		buf_printf(&want, "%s%s", lines[i].at, lines[i].what);
		CHECK_EQ(psk_read(o, NULL, "x", lines[i].text, strlen(lines[i].text), &said), -EINVAL);
		CHECK_STR(buf_str(&said), buf_str(&want));
	}
}

/* Its own bundle has one, the hub's all of them, the lock none. */
static void bundles(void)
{
	cleanup(office_freep) struct office *o = settle_text(WITH, NULL), *hub = NULL, *part = NULL, *back = NULL;
	cleanup(buf_done) struct buf lock = buf_of_max(1 << 16), of_hub = buf_of_max(1 << 16), of_a = buf_of_max(1 << 16),
				     again = buf_of_max(1 << 16);

	read_psks(o, NULL, "a " PSK1 "\ne " PSK2 "\n");
	write_text(o, DIALECT_LOCK, &lock);
	CHECK(strstr(buf_str(&lock), "\npsk on\n") && !strstr(buf_str(&lock), PSK1) && !strstr(buf_str(&lock), " psk "));
	CHECK_EQ(settle_part(o, get(o, "z"), &hub), 0);
	CHECK_EQ(settle_part(o, get(o, "a"), &part), 0);
	write_text(hub, DIALECT_BUNDLE, &of_hub);
	write_text(part, DIALECT_BUNDLE, &of_a);
	CHECK(strstr(buf_str(&of_hub), " id 2 psk " PSK1 "\n") && strstr(buf_str(&of_hub), " psk " PSK2 "\n"));
	CHECK(strstr(buf_str(&of_a), " id 2 psk " PSK1 "\n") && !strstr(buf_str(&of_a), PSK2));
	back = read_text(DIALECT_BUNDLE, buf_str(&of_a));
	psk_is(back, "a", PSK1);
	write_text(back, DIALECT_BUNDLE, &again);
	CHECK_STR(buf_str(&again), buf_str(&of_a));
}

static const struct plan_peer *peer_of(const struct plan *p, const char *name, bool next)
{
	for (size_t i = 0; i < p->n_peers; i++)
		if (!strcmp(p->peers[i].member->name, name) && p->peers[i].next == next)
			return &p->peers[i];
	CHECK(false);
	return &p->peers[0];
}

static void plans(void)
{
	cleanup(office_freep) struct office *o = settle_text(WITH, NULL), *without = settle_text(NAMES, o), *part = NULL;
	cleanup(plan_freep) struct plan *hub = NULL, *a = NULL, *before = NULL, *of_part = NULL;
	struct member *m = get(o, "a");

	give_key(o, "a", 1);
	m->has_next_key = true;
	memset(m->next_key, 2, KEY_LEN);
	/* Known or not, it is said that there is one. */
	CHECK_EQ(plan_make(o, get(o, "z"), &before), 0);
	CHECK(peer_of(before, "a", false)->has_psk && !peer_of(before, "a", false)->psk);
	read_psks(o, NULL, "a " PSK1 "\n");
	CHECK_EQ(plan_make(o, get(o, "z"), &hub), 0);
	CHECK_EQ(plan_make(o, m, &a), 0);
	CHECK_EQ(settle_part(o, m, &part), 0);
	CHECK_EQ(plan_make(part, get(part, "a"), &of_part), 0);
	CHECK(peer_of(hub, "a", false)->psk == m->psk && peer_of(hub, "a", true)->psk == m->psk && peer_of(a, "z", false)->psk == m->psk);
	CHECK(peer_of(of_part, "z", false)->has_psk && !memcmp(peer_of(of_part, "z", false)->psk, m->psk, KEY_LEN));
	plan_free(steal(before));
	CHECK_EQ(plan_make(without, get(without, "a"), &before), 0);
	CHECK(!peer_of(before, "z", false)->has_psk && !peer_of(before, "z", false)->psk);
}

static void shown(void)
{
	cleanup(office_freep) struct office *o = settle_text(NAMES, NULL), *now = settle_text(WITH, o);
	struct show show = {.o = now, .lock = o, .name = "x", .lock_name = "x.lock"};
	cleanup(buf_done) struct buf words = buf_of_max(1 << 20), back = buf_of_max(1 << 20), json = buf_of_max(1 << 20),
				     dot = buf_of_max(1 << 20);

	read_psks(now, NULL, "a " PSK1 "\n");
	CHECK_EQ(show_words(&show, &words), 0);
	CHECK_EQ(show_json(&show, &json), 0);
	CHECK_EQ(show_dot(now, &dot), 0);
	CHECK(strstr(buf_str(&words), "no key yet, keepalive 25 s, with a pre-shared key (was: at z.example.com:51820, no key yet, keepalive 25 s)"));
	CHECK(strstr(buf_str(&words), "Plan: 0 add, 8 change, 0 remove on 5 machines\n"));
	CHECK(strstr(buf_str(&json), "\"preshared_key\": true"));
	CHECK(!strstr(buf_str(&words), PSK1) && !strstr(buf_str(&json), PSK1) && !strstr(buf_str(&dot), PSK1));
	show = (struct show){.o = o, .lock = now, .name = "x", .lock_name = "x.lock"};
	CHECK_EQ(show_words(&show, &back), 0);
	CHECK(strstr(buf_str(&back), "Plan: 0 add, 8 change, 0 remove on 5 machines\n"));
}

static void exported(void)
{
	cleanup(office_freep) struct office *o = settle_text(WITH, NULL);
	cleanup(buf_done) struct buf quick = buf_of_max(1 << 16), phone = buf_of_max(1 << 16), netdev = buf_of_max(1 << 16),
				     network = buf_of_max(1 << 16), nm = buf_of_max(1 << 16), why = buf_of_max(1 << 10);
	cleanup(plan_freep) struct plan *p = NULL;

	give_key(o, "z", 1);
	give_key(o, "a", 2);
	read_psks(o, NULL, "a " PSK1 "\ne " PSK2 "\n");
	CHECK_EQ(plan_make(o, get(o, "a"), &p), 0);
	CHECK_EQ(export_wg_quick(p, "office", &quick, &why), 0);
	export_phone(p, NULL, &phone);
	CHECK_EQ(export_networkd_netdev(p, "office", &netdev, &why), 0);
	CHECK_EQ(export_networkd_network(p, "office", &network), 0);
	CHECK_EQ(export_nm(p, "office", &nm, &why), 0);
	CHECK(strstr(buf_str(&quick), "\nPresharedKey = " PSK1 "\n") && strstr(buf_str(&quick), "mode 0600"));
	CHECK(strstr(buf_str(&phone), "\nPresharedKey = " PSK1 "\n"));
	CHECK(strstr(buf_str(&netdev), "\nPresharedKey=" PSK1 "\n") && strstr(buf_str(&netdev), "chmod 640"));
	CHECK(!strstr(buf_str(&network), PSK1));
	CHECK(strstr(buf_str(&nm), "\npreshared-key=" PSK1 "\npreshared-key-flags=0\n"));
}

int main(void)
{
	test_run("each node and person gets one with the hub, which is read back [psk-made]", made);
	test_run("whose name was somebody else's does not get that one's [psk-gone]", whose);
	test_run("what is wrong in their file is said, without it [psk-file] [psk-secret]", wrong);
	test_run("a bundle has its member's, the hub's all, the lock none [psk-secret]", bundles);
	test_run("both ends have the same in their plans, for a next key too [psk-plan]", plans);
	test_run("the plan says who has one now, or none any more, and not which [psk-plan] [psk-secret]", shown);
	test_run("each form for others' programs has it [psk-export]", exported);
	return test_done();
}
