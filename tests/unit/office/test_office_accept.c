#include "tests/unit/office/office.h"

#include "office/accept.h"

#include <errno.h>

#define KEY_1 "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE="
#define KEY_2 "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAI="
#define KEY_3 "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAM="

static void lines_are(struct office *o, const char *text, const char *said_want, const char *errors_want)
{
	cleanup(buf_done) struct buf said = buf_of_max(1 << 16), errors = buf_of_max(1 << 16);
	int r = accept_lines(o, "x", NULL, text, strlen(text), &said, &errors);

	CHECK_EQ(r, *errors_want ? -EINVAL : 0);
	CHECK_STR(buf_str(&said), said_want);
	CHECK_STR(buf_str(&errors), errors_want);
}

static void taken(void)
{
	cleanup(office_freep) struct office *o = settle_text(NAMES, NULL);
	const struct member *a = office_find(o, "a"), *c = office_find(o, "c");

	lines_are(o, "\xef\xbb\xbf# from a\na key " KEY_1 "\r\n\n  c\treturn route+gw\nc mtu 1412",
		"a: has its key\nc: return mode route+gw\nc: MTU 1412\n", "");
	CHECK(a->has_key && a->public_key[KEY_LEN - 1] == 1);
	CHECK(c->learnt_mode == RETURN_ROUTE_GW && c->learnt_mtu == 1412);
	/* Once is enough. */
	lines_are(o, "a key " KEY_1 "\nc return route+gw\nc mtu 1412\n", "", "");
	lines_are(o, "a key " KEY_2 "\n", "a: another key takes the old one's place\n", "");
	CHECK_EQ(a->public_key[KEY_LEN - 1], 2);
}

static void refused(void)
{
	cleanup(office_freep) struct office *o = settle_text(NAMES, NULL);

	lines_are(o,
		"a key short\n"
		"a key AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"
		"g key " KEY_1 "\n"
		"b key " KEY_1 "\n"
		"e return snat\n"
		"c return auto\n"
		"c mtu 575\n"
		"c says so\n"
		"c port 443\n"
		"c says\n"
		"c key " KEY_1 " twice\n",
		"",
		"x:1: key of a: is no key: 44 characters of base64, as ginnel key prints them\n"
		"x:2: key of a: is no key: 44 characters of base64, as ginnel key prints them\n"
		"x:3: there is no member g\n"
		"x:4: b is a host, on which nothing of ours runs\n"
		"x:5: return of e: is for nodes only\n"
		"x:6: return of c: must be route, route+gw or snat\n"
		"x:7: mtu of c: must be 576..65535\n"
		"x:8: behind c stands key, next-key, return or mtu\n"
		"x:9: behind c stands key, next-key, return or mtu\n"
		"x:10: must be NAME key KEY, NAME next-key KEY, NAME return MODE or NAME mtu N\n"
		"x:11: must be NAME key KEY, NAME next-key KEY, NAME return MODE or NAME mtu N\n");
}

static void next_keys(void)
{
	cleanup(office_freep) struct office *o = settle_text(NAMES, NULL);
	const struct member *a = office_find(o, "a");

	lines_are(o, "a key " KEY_1 "\na next-key " KEY_2 "\n",
		"a: has its key\na: a next key stands beside its key: export to z, then to a\n",
		"");
	CHECK(a->public_key[KEY_LEN - 1] == 1 && a->has_next_key && a->next_key[KEY_LEN - 1] == 2);
	lines_are(o, "a key " KEY_1 "\na next-key " KEY_2 "\n", "", "");
	lines_are(o, "a next-key " KEY_3 "\n",
		"a: a next key stands beside its key: export to z, then to a\n", "");
	lines_are(o, "a key " KEY_3 "\n",
		"a: its next key is its key now, and the old one is none any more: export to z\n",
		"");
	CHECK(a->public_key[KEY_LEN - 1] == 3 && !a->has_next_key);
	/* All lines once more, in any order. */
	lines_are(o, "a next-key " KEY_3 "\na key " KEY_3 "\n", "", "");
	lines_are(o, "a next-key " KEY_2 "\n",
		"a: a next key stands beside its key: export to z, then to a\n", "");
	lines_are(o, "a key " KEY_1 "\n", "a: another key takes the old one's place\n", "");
	CHECK(a->public_key[KEY_LEN - 1] == 1 && !a->has_next_key);
}

static void next_keys_refused(void)
{
	cleanup(office_freep) struct office *o = settle_text(NAMES, NULL);

	lines_are(o,
		"a key " KEY_1 "\na next-key " KEY_2 "\nc next-key " KEY_3 "\nc key " KEY_2
		"\nc key " KEY_3 "\nc next-key " KEY_1 "\nc next-key " KEY_2 "\nc next-key x\n",
		"a: has its key\na: a next key stands beside its key: export to z, then to a\nc: "
		"has its key\n",
		"x:3: next-key of c: it has no key yet beside which this one could stand\n"
		"x:4: key of c: is the key of a already\n"
		"x:6: next-key of c: is the key of a already\n"
		"x:7: next-key of c: is the key of a already\n"
		"x:8: next-key of c: is no key: 44 characters of base64, as ginnel key prints "
		"them\n");
}

/* Points of low order: whoever has one of them has a secret with everybody, which all know. */
static void no_keys(void)
{
	cleanup(office_freep) struct office *o = settle_text(NAMES, NULL);

	lines_are(o,
		"a key AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"
		"a key 4Ot6fDtBuK4WVuP68Z/EatoJjeucMrH9hmIFFl9JuAA=\n"
		"a key 7P///////////////////////////////////////38=\n",
		"",
		"x:1: key of a: is no key: 44 characters of base64, as ginnel key prints them\n"
		"x:2: key of a: is no key: 44 characters of base64, as ginnel key prints them\n"
		"x:3: key of a: is no key: 44 characters of base64, as ginnel key prints them\n");
}

static void one_sender(void)
{
	static const char text[] = "e key " KEY_1 "\nz key " KEY_2 "\nb key " KEY_2 "\nx\xc2\x9b" "2J key " KEY_2 "\ne mtu 1400";
	cleanup(office_freep) struct office *o = settle_text(NAMES, NULL);
	cleanup(buf_done) struct buf said = buf_of_max(1 << 16), errors = buf_of_max(1 << 16);

	CHECK_EQ(accept_lines(o, "x", office_find(o, "e"), text, sizeof(text) - 1, &said, &errors), -EINVAL);
	CHECK_STR(buf_str(&errors),
		"x:2: speaks of z, and only e was to be listened to\nx:3: b is a host, on which nothing of ours runs\n"
		"x:4: there is no member x??2J\n");
	CHECK_STR(buf_str(&said), "e: has its key\ne: MTU 1400\n");
}

/* Bounded in words and in time, and what is taken is said whole. */
static void thousands(void)
{
	cleanup(office_freep) struct office *o = settle_text(NAMES, NULL);
	cleanup(buf_done) struct buf text = buf_of_max(OFFICE_TEXT_MAX), said = buf_of_max(4 * OFFICE_TEXT_MAX),
				     errors = buf_of_max(OFFICE_TEXT_MAX);
	size_t lines = 0;

	while (text.len < OFFICE_TEXT_MAX - 100)
		buf_puts(&text, "aa key x\ne mtu 1400\ne mtu 1401\n");
	CHECK_EQ(accept_lines(o, "x", NULL, (const char *)text.data, text.len, &said, &errors), -EINVAL);
	for (const char *p = buf_str(&errors); *p; p++)
		lines += *p == '\n';
	CHECK_EQ(lines, OFFICE_ERRORS_MAX + 1);
	CHECK(!errors.error && strstr(buf_str(&errors), "more may be wrong"));
}

static void one_key_for_one(void)
{
	cleanup(office_freep) struct office *o = settle_text(NAMES, NULL);

	lines_are(o, "a key " KEY_1 "\nc key " KEY_1 "\n", "a: has its key\n", "x:2: key of c: is the key of a already\n");
}

static void own_notes(void)
{
	static const char text[] = "c return route\nnonsense\nc key " KEY_1 "\nc mtu 1400\nc port 443\nc port 65536\n";
	cleanup(office_freep) struct office *o = settle_text(NAMES, NULL);
	const struct member *c = office_find(o, "c");

	accept_learnt(o, text, sizeof(text) - 1);
	CHECK(c->learnt_mode == RETURN_ROUTE && c->learnt_mtu == 1400 && c->learnt_port == 443 && !c->has_key);
}

int main(void)
{
	test_run("what members say is taken, once [office-accept]", taken);
	test_run("what cannot be is refused, each with its line [office-accept-wrong]", refused);
	test_run("what would be a secret that all know is no key [office-accept-wrong]", no_keys);
	test_run("of whom it is to be, others' lines are refused [office-accept-from]", one_sender);
	test_run("thousands of lines are refused in bounded words [office-accept-wrong]", thousands);
	test_run("two members do not have one key [office-accept-wrong]", one_key_for_one);
	test_run("a next key stands beside the key until it is the key [office-rotate-accept]",
		next_keys);
	test_run("and is nobody else's [office-rotate-accept]", next_keys_refused);
	test_run("a member's own notes say what it has learnt, and nobody's key [office-accept]", own_notes);
	return test_done();
}
