#include "tests/unit/office/office.h"

#include "office/given.h"
#include "office/psk.h"

#define WITH_PHONE "z hub z.example.com\na node 192.168.201.0/24\nc node 192.168.200.0/24\nb host a .55\ne person\nf person phone\n"

static struct member *get(struct office *o, const char *name)
{
	return &o->members[office_find(o, name) - o->members];
}

static void give_keys(struct office *o)
{
	for (size_t i = 0; i < o->n_members; i++) {
		o->members[i].has_key = o->members[i].kind != MEMBER_HOST;
		o->members[i].public_key[0] = (uint8_t)o->members[i].id;
	}
}

/* Everybody is given what it needs. */
static void give(struct office *o)
{
	struct given g;

	CHECK_EQ(given_init(o, &g), 0);
	for (size_t i = 0; i < o->n_members; i++)
		if (o->members[i].kind != MEMBER_HOST)
			CHECK_EQ(given_number(&g, &o->members[i], &o->members[i].given), 0);
}

/* The names of those who were given something else. */
static void others_are(const struct office *o, const char *want)
{
	cleanup(buf_done) struct buf names = buf_of_max(1 << 10);
	struct given g;

	CHECK_EQ(given_init(o, &g), 0);
	for (size_t i = 0; i < o->n_members; i++) {
		enum given_state state = GIVEN_SAME;

		if (o->members[i].kind == MEMBER_HOST || o->members[i].gone)
			continue;
		CHECK_EQ(given_state(&g, &o->members[i], &state), 0);
		if (state != GIVEN_SAME)
			buf_printf(&names, "%s%s", o->members[i].name, state == GIVEN_OTHER ? "" : state == GIVEN_NEVER ? "?" : "!");
	}
	CHECK_STR(buf_str(&names), want);
}

static struct office *begin(void)
{
	struct office *o = settle_text(WITH_PHONE, NULL);

	give_keys(o);
	give(o);
	return o;
}

static void states(void)
{
	cleanup(office_freep) struct office *o = settle_text(WITH_PHONE, NULL), *lock = NULL, *again = NULL;
	cleanup(buf_done) struct buf text = buf_of_max(1 << 16);

	others_are(o, "z!a!c!e!f!");
	give_keys(o);
	others_are(o, "z?a?c?e?f?");
	give(o);
	others_are(o, "");
	write_text(o, DIALECT_LOCK, &text);
	lock = read_text(DIALECT_LOCK, buf_str(&text));
	again = settle_text(WITH_PHONE, lock);
	others_are(again, "");
}

/* Who needs something, and nobody else. */
static void changes(void)
{
	static const struct {
		const char *text, *others;
	} cases[] = {
		{WITH_PHONE, ""},
		{"f person phone\n# nobody\nz hub z.example.com\nc node 192.168.200.0/24\ne person\na node 192.168.201.0/24\n", ""},
		{WITH_PHONE "d host a .77\n", ""},
		{WITH_PHONE "g person\n", "zg!"},
		{WITH_PHONE "g node 10.9.0.0/24\n", "zacefg!"},
		{WITH_PHONE "port 53\n", "zacef"},
		{WITH_PHONE "psk on\n", "zacef"},
		{"z hub z.example.com\na node 192.168.201.0/24\nc node 192.168.200.0/24\nf person phone\n", "z"},
		{"z hub z.example.com\na node 192.168.201.0/24\ne person\nf person phone\n", "zaef"},
		{"z hub z.example.com engine kernel\na node 192.168.201.0/24 engine kernel return route\nc node 192.168.200.0/24\n"
		 "e person\nf person phone\n", "za"},
		{"z hub z.example.com\na node 192.168.201.0/24\nc node 192.168.200.0/24\ne person mtu 1300\nf person phone\n", "ze"},
		{"z hub z.example.com ports 443\na node 192.168.201.0/24\nc node 192.168.200.0/24\ne person\nf person phone\n", "zacef"},
	};

	for (size_t i = 0; i < array_size(cases); i++) {
		cleanup(office_freep) struct office *lock = begin(), *o = settle_text(cases[i].text, lock);

		others_are(o, cases[i].others);
	}
}

static void learnt(void)
{
	cleanup(office_freep) struct office *o = begin();

	get(o, "c")->learnt_mode = RETURN_ROUTE;
	others_are(o, "");
	get(o, "c")->learnt_mtu = 1380;
	others_are(o, "z");
	give(o);
	get(o, "a")->public_key[1] = 7;
	others_are(o, "za");
	give(o);
	get(o, "z")->has_next_key = true;
	others_are(o, "zace");
	give(o);
	get(o, "z")->has_next_key = false;
	get(o, "z")->public_key[1] = 7;
	others_are(o, "zacef");
}

static void secrets(void)
{
	cleanup(office_freep) struct office *lock = begin(), *o = settle_text(WITH_PHONE "psk on\n", lock);

	CHECK_EQ(psk_make(o), 0);
	give(o);
	others_are(o, "");
	CHECK_EQ(psk_make(o), 0);
	others_are(o, "");
	CHECK_EQ(member_set_psk(get(o, "e"), NULL), 0);
	others_are(o, "");
	CHECK_EQ(psk_make(o), 0);
	others_are(o, "z?e?");
}

int main(void)
{
	test_run("who has no key, was given nothing, or what it needs, is told apart, and kept by the lock [plan-export]", states);
	test_run("a change asks for an export to those who need it, and to nobody else [plan-export]", changes);
	test_run("what a member has learnt itself, it need not be given; keys it must [plan-export]", learnt);
	test_run("another pre-shared key is for both its ends [plan-export]", secrets);
	return test_done();
}
