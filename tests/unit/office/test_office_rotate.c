#include "tests/unit/office/office.h"

#include "office/rotate.h"

#define KEY_1 "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE="
#define KEY_2 "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAI="
#define KEY_3 "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAM="
#define HEAD "version 1 for z\nnet 10.70.0.0/16\naliases 10.71.0.0/16\nport 51820\nmtu 1420\n"
#define HUB "z hub z.example.com:51820 address 10.70.0.1 id 1 key " KEY_1 "\n"
#define E(keys) HEAD HUB "e person 10.70.0.4 id 2 key " keys "\n"

static void recalls(void)
{
	cleanup(office_freep) struct office *o = read_text(
						    DIALECT_BUNDLE, E(KEY_2 " next-key " KEY_3)),
					    *again = read_text(
						    DIALECT_BUNDLE, E(KEY_2 " next-key " KEY_3)),
					    *done = read_text(DIALECT_BUNDLE, E(KEY_3)),
					    *another = read_text(DIALECT_BUNDLE, HEAD HUB
						    "e person 10.70.0.4 id 3 key " KEY_3 "\n");
	struct member *e = (struct member *)office_find(o, "e");

	CHECK_EQ(rotate_recall(o, again), 0);
	CHECK_EQ(rotate_recall(o, another), 0);
	CHECK(e->has_next_key && e->public_key[KEY_LEN - 1] == 2);
	CHECK_EQ(rotate_recall(o, done), 1);
	CHECK(!e->has_next_key && e->public_key[KEY_LEN - 1] == 3);
	CHECK_EQ(rotate_recall(o, done), 0);
	CHECK_EQ(rotate_recall(done, again), 0);
}

/* A daemon that has both peers. */
static struct running *daemon_has(const char *of_2, const char *of_3)
{
	cleanup(buf_done) struct buf text = buf_of_max(4096);
	struct running *r = NULL;

	for (unsigned i = 2; i <= 3; i++) {
		uint8_t key[KEY_LEN] = {[KEY_LEN - 1] = (uint8_t)i};

		buf_puts(&text, "public_key=");
		buf_put_hex(&text, key, KEY_LEN);
		buf_printf(&text, "\n%s", i == 2 ? of_2 : of_3);
	}
	buf_puts(&text, "errno=0\n\n");
	CHECK_EQ(running_read(buf_str(&text), text.len, &r), 0);
	return r;
}

static void finds(void)
{
	cleanup(office_freep) struct office *o =
		read_text(DIALECT_BUNDLE, E(KEY_2 " next-key " KEY_3));
	cleanup(running_freep) struct running
		*before = daemon_has("last_handshake_time_sec=9\n", ""),
		*after = daemon_has("last_handshake_time_sec=9\n",
			"last_handshake_time_sec=12\nlast_handshake_time_nsec=34\n");
	struct member *e = (struct member *)office_find(o, "e");

	CHECK_EQ(rotate_found(o, before), 0);
	CHECK(e->has_next_key);
	CHECK_EQ(rotate_found(o, after), 1);
	CHECK(!e->has_next_key && e->public_key[KEY_LEN - 1] == 3);
	CHECK_EQ(rotate_found(o, after), 0);
	CHECK_EQ(running_peer(after, e->public_key)->handshake_ns, 34);
}

/* Both keys are peers of those who have one, and only the key has prefixes. */
static void plans(void)
{
	static const char text[] = HEAD HUB
		"a node 192.168.1.0/24 address 10.70.0.3 alias 10.71.1.0/24 id 3 next-key " KEY_1
		"\n"
		"e person 10.70.0.4 id 2 key " KEY_2 " next-key " KEY_3 "\n";
	cleanup(office_freep) struct office *o = read_text(DIALECT_BUNDLE, text);
	cleanup(plan_freep) struct plan *p = NULL;

	CHECK_EQ(plan_make(o, office_hub(o), &p), 0);
	CHECK_EQ(p->n_peers, 3);
	CHECK(p->peers[0].key == office_find(o, "e")->public_key && !p->peers[0].next &&
		p->peers[0].n_allowed == 1);
	CHECK(p->peers[1].key == office_find(o, "e")->next_key && p->peers[1].next &&
		p->peers[1].n_allowed == 0);
	/* A next key alone is none. */
	CHECK(!p->peers[2].key && !p->peers[2].next && p->peers[2].member == office_find(o, "a"));
}

/* Of the hub's two keys both are spoken to. */
static void plans_of_hub(void)
{
	static const char text[] =
		HEAD "z hub z.example.com:51820 address 10.70.0.1 id 1 key " KEY_1
		     " next-key " KEY_3 "\n"
		     "e person 10.70.0.4 id 2 key " KEY_2 "\n";
	cleanup(office_freep) struct office *o = read_text(DIALECT_BUNDLE, text);
	cleanup(plan_freep) struct plan *p = NULL;

	CHECK_EQ(plan_make(o, office_find(o, "e"), &p), 0);
	CHECK_EQ(p->n_peers, 2);
	CHECK(!p->peers[0].next && p->peers[0].n_allowed == 1);
	CHECK(p->peers[1].next && !p->peers[1].n_allowed && p->peers[1].has_endpoint &&
		p->peers[1].keepalive_s == PLAN_KEEPALIVE_S);
}

int main(void)
{
	test_run("a next key that was in use before stays so, whatever the office knows "
		 "[office-rotate-recall]",
		recalls);
	test_run("a next key is in use once somebody has spoken with it [office-rotate-recall]",
		finds);
	test_run("a next key is a peer beside the key's, without prefixes [office-rotate-plan]",
		plans);
	test_run("and the hub's is one too, at the same endpoint [office-rotate-plan]",
		plans_of_hub);
	return test_done();
}
