/* Names of peers from files that people and programs wrote, and from any other bytes. */
#include "base/test.h"
#include "scope/names.h"

#include <errno.h>
#include <stdio.h>

#define A "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE="
#define B "QkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkI="

static struct names *n;
static unsigned seen;
static char last[NAME_MAX_LEN + 1];

static void read_text(const char *text)
{
	CHECK_EQ(names_new(&n), 0);
	CHECK_EQ(names_read(n, text, strlen(text)), 0);
}

static void is_called(char letter, const char *want)
{
	uint8_t key[KEY_LEN];
	char name[NAME_MAX_LEN + 1];

	memset(key, letter, sizeof(key));
	names_of(n, key, name);
	CHECK_STR(name, want);
}

static void note(void *arg, unsigned family, const uint8_t *address, const char *name)
{
	seen++;
	snprintf(last, sizeof(last), "%s", name);
	CHECK(family == 4 || family == 6);
}

static void comments(void)
{
	uint8_t key[KEY_LEN];

	read_text("[Interface]\nPrivateKey = " B "\n# laptop\n[Peer]\nPublicKey = " A "\nAllowedIPs = 10.0.0.1/32, 10.1.0.0/16,fd00::1/128\n"
		  "\n[Peer]\n## Name = the phone\r\nPublicKey=" B " # not: this\nAllowedIPs = 10.0.0.2\n");
	is_called('A', "laptop");
	is_called('B', "the phone");
	is_called('C', "Q0ND...Q0M");
	seen = 0;
	names_each(n, note, NULL);
	CHECK_EQ(seen, 3);
	CHECK_STR(last, "the phone");
	CHECK_EQ(names_find(n, "laptop", key), 0);
	CHECK_EQ(key[0], 'A');
	CHECK_EQ(names_find(n, A, key), 0);
	CHECK_EQ(names_find(n, "Laptop", key), -ENOENT);
	CHECK_EQ(names_find(n, "", key), -ENOENT);
	names_free(n);
	read_text("[Peer]\n# pc\nPublicKey = " A "\n[Peer]\n# pc\nPublicKey = " B "\n");
	CHECK_EQ(names_find(n, "pc", key), -EEXIST);
	names_free(n);
	read_text("# far away\n\n[Peer]\nPublicKey = " A "\n# " "a name of more than forty characters is no name" "\n[Peer]\nPublicKey = " B "\n");
	is_called('A', "QUFB...QUE");
	is_called('B', "QkJC...QkI");
	names_free(n);
}

/* Of 2,000 who stand in no order: each by his own, of twice the same the first, and none for who has none. */
static void many(void)
{
	cleanup(buf_done) struct buf text = buf_of_max(1 << 20);
	uint8_t keys[2000][KEY_LEN];
	char name[NAME_MAX_LEN + 1], want[NAME_MAX_LEN + 1];
	uint64_t seed = 5;

	for (unsigned i = 0; i < array_size(keys); i++) {
		char key[KEY_TEXT_LEN + 1];

		for (unsigned k = 0; k < KEY_LEN; k++)
			keys[i][k] = (uint8_t)test_random(&seed);
		key_text_format(keys[i], key);
		buf_printf(&text, "[Peer]\n%s%u\nPublicKey = %s\n", i % 3 ? "# number " : "Endpoint = 1.2.3.4:", i, key);
	}
	for (unsigned i = 1; i < array_size(keys); i += 100) {
		char key[KEY_TEXT_LEN + 1];

		key_text_format(keys[i], key);
		buf_printf(&text, "[Peer]\n# again %u\nPublicKey = %s\n", i, key);
	}
	CHECK_EQ(text.error, 0);
	CHECK_EQ(names_new(&n), 0);
	CHECK_EQ(names_read(n, (const char *)text.data, text.len), 0);
	for (unsigned i = 0; i < array_size(keys); i++) {
		bool named = i % 3 || i % 100 == 1;

		snprintf(want, sizeof(want), i % 3 ? "number %u" : "again %u", i);
		CHECK_EQ(names_of(n, keys[i], name), named);
		if (named)
			CHECK_STR(name, want);
	}
	names_free(n);
}

static void any_bytes(void)
{
	static const char *const words[] = {"[Peer]", "# ", "PublicKey", "=", "AllowedIPs", A, B, "10.0.0.1/32", ",", "\n", "\n", "\r", "\0x",
		"\x1b[2J", "\xff\xfe", "name", ":", "[", " ", "fd00::1/128", "#"};
	uint64_t seed = 11;

	for (unsigned i = 0; i < 5000; i++) {
		char text[600];
		size_t len = 0;
		uint8_t key[KEY_LEN];
		char name[NAME_MAX_LEN + 1];
		char *copy;

		while (len < 500) {
			const char *w = words[test_random(&seed) % array_size(words)];
			size_t k = *w ? strlen(w) : 2;

			/* lint-ignore bugprone-not-null-terminated-result: bytes, no string */
			memcpy(text + len, w, k);
			len += k;
		}
		copy = malloc(len); /* not a byte to spare */
		if (!copy)
			abort();
		memcpy(copy, text, len);
		CHECK_EQ(names_new(&n), 0);
		CHECK_EQ(names_read(n, copy, len), 0);
		free(copy);
		memset(key, 'A', sizeof(key));
		names_of(n, key, name);
		for (const char *p = name; *p; p++)
			CHECK(*p >= ' ' && *p <= '~');
		names_each(n, note, NULL);
		names_free(n);
	}
}

int main(void)
{
	test_run("comments beside [Peer] are names, and find their peers [names-file]", comments);
	test_run("each of many is found, by the first name that he has [names-many]", many);
	test_run("from any bytes come printable names or none [names-hostile]", any_bytes);
	return test_done();
}
