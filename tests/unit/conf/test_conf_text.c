#include "conf/text.h"

#include "base/test.h"
#include "tests/unit/conf/keys.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>

static void keys(void)
{
	static const char *const bad[] = {"", "QEWpd3Rcz6QM2kPKBSmyiAwo1yfDf1LQpgr4CpMX/Hs", "QEWpd3Rcz6QM2kPKBSmyiAwo1yfDf1LQpgr4CpMX/Hs= ",
		"QEWpd3Rcz6QM2kPKBSmyiAwo1yfDf1LQpgr4CpMX/Ht=", "QEWpd3Rcz6QM2kPKBSmyiAwo1yfDf1LQpgr4CpMX/Hss",
		"*EWpd3Rcz6QM2kPKBSmyiAwo1yfDf1LQpgr4CpMX/Hs=", "QEWpd3Rcz6QM2kPKBSmyiAwo1yfDf1LQpgr4CpMX/H=="};
	uint64_t seed = 1;
	uint8_t key[KEY_LEN], again[KEY_LEN] = {7};

	for (size_t i = 0; i < array_size(bad); i++)
		CHECK_EQ(key_text_parse(bad[i], strlen(bad[i]), again), -EINVAL);
	CHECK_EQ(again[0], 7);
	for (unsigned n = 0; n < 100; n++) {
		cleanup(buf_done) struct buf text = buf_of_max(64), hex = buf_of_max(80);

		for (size_t i = 0; i < KEY_LEN; i++)
			key[i] = (uint8_t)test_random(&seed);
		text_put_key(key, &text);
		CHECK_EQ(text.len, KEY_TEXT_LEN);
		CHECK_EQ(key_text_parse(buf_str(&text), text.len, again), 0);
		CHECK_MEM(again, key, KEY_LEN);
		buf_put_hex(&hex, key, KEY_LEN);
		CHECK_EQ(text_hex_key(buf_str(&hex), hex.len, again), 0);
		CHECK_MEM(again, key, KEY_LEN);
		CHECK_EQ(text_hex_key(buf_str(&hex), hex.len - 1, again), -EINVAL);
	}
	/* What wg pubkey says of one byte. */
	CHECK_EQ(key_text_parse("AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", KEY_TEXT_LEN, key), 0);
	CHECK(key[0] == 1 && key[31] == 0);
}

/* The bytes alone, so that a sanitizer sees who looks behind them. */
static char *bytes_of(const char *text)
{
	size_t len = strlen(text);
	char *bytes = malloc(max(len, (size_t)1));

	CHECK(bytes);
	return memcpy(bytes, text, len);
}

static const char *prefix(const char *text, bool mask)
{
	static char said[128];
	cleanup(buf_done) struct buf b = buf_of_max(100);
	cleanup(free_ptr) char *bytes = bytes_of(text);
	struct prefix p;

	if (text_prefix(bytes, strlen(text), &p) < 0)
		return "refused";
	if (mask)
		prefix_mask(&p);
	text_put_prefix(&p, &b);
	snprintf(said, sizeof(said), "%s", buf_str(&b));
	return said;
}

static void prefixes(void)
{
	static const char *const bad[] = {"", "/", "10.0.0.1/", "10.0.0.1/33", "10.0.0/8", "fd00::/129", "fd00::/x", "10.0.0.1/-1",
		"10.0.0.1/+8", "10.0.0.1 /8", "host", "10.0.0.1/8/8", "::1::", "10.0.0.1/0x8 "};

	for (size_t i = 0; i < array_size(bad); i++)
		CHECK_STR(prefix(bad[i], false), "refused");
	CHECK_STR(prefix("10.1.2.3/8", false), "10.1.2.3/8");
	CHECK_STR(prefix("10.1.2.3/8", true), "10.0.0.0/8");
	CHECK_STR(prefix("10.1.2.255/31", true), "10.1.2.254/31");
	CHECK_STR(prefix("10.1.2.3", true), "10.1.2.3/32");
	CHECK_STR(prefix("10.1.2.3/0", true), "0.0.0.0/0");
	CHECK_STR(prefix("fd00:1:2:3::1/49", true), "fd00:1:2::/49");
	CHECK_STR(prefix("fd00::1", true), "fd00::1/128");
}

static const char *endpoint(const char *text)
{
	static char said[400];
	cleanup(buf_done) struct buf b = buf_of_max(400);
	cleanup(free_ptr) char *bytes = bytes_of(text);
	struct endpoint e;

	if (text_endpoint(bytes, strlen(text), &e, &b) < 0) {
		CHECK(b.len > 0);
		return "refused";
	}
	buf_puts(&b, e.is_name ? "name " : "address ");
	text_put_endpoint(&e, &b);
	snprintf(said, sizeof(said), "%s", buf_str(&b));
	return said;
}

static void endpoints(void)
{
	static const char *const bad[] = {"", ":", "host", "host:", "host:0", "host:65536", "host:x", ":5", "[::1]", "[::1:5", "[]:5",
		"[10.0.0.1]:5", "::1:5", "fe80::1:51820", "10.0.0.256:5", "1.2.3:5", "ho st:5", "-host:5", "host/:5", "h\xc3\xa9:5", "[host]:5",
		"[fe80::1%]:5", "[fe80::1%\"]:5", "[fe80::1%a;b]:5", "[fe80::1%\xc2\x9b]:5"};

	for (size_t i = 0; i < array_size(bad); i++)
		CHECK_STR(endpoint(bad[i]), "refused");
	CHECK_STR(endpoint("192.0.2.1:51820"), "address 192.0.2.1:51820");
	CHECK_STR(endpoint("[2001:db8::1]:1"), "address [2001:db8::1]:1");
	CHECK_STR(endpoint("[fe80::1%eth0]:1"), "address [fe80::1%eth0]:1");
	CHECK_STR(endpoint("vpn.example.org:65535"), "name vpn.example.org:65535");
	CHECK_STR(endpoint("3com.example:1"), "name 3com.example:1");
}

static void numbers(void)
{
	uint64_t v = 9;

	CHECK_EQ(text_number("0", 1, 10, &v), 0);
	CHECK_EQ(v, 0);
	CHECK_EQ(text_number("0xCa6c", 6, 100000, &v), 0);
	CHECK_EQ(v, 0xca6c);
	CHECK_EQ(text_number("18446744073709551615", 20, UINT64_MAX, &v), 0);
	CHECK(v == UINT64_MAX);
	CHECK_EQ(text_number("18446744073709551616", 20, UINT64_MAX, &v), -ERANGE);
	CHECK_EQ(text_number("11", 2, 10, &v), -ERANGE);
	CHECK_EQ(text_number("", 0, 10, &v), -EINVAL);
	CHECK_EQ(text_number("1a", 2, 10, &v), -EINVAL);
	CHECK_EQ(text_number("-1", 2, 10, &v), -EINVAL);
}

int main(void)
{
	test_run("keys are read and written as wg does [conf-text]", keys);
	test_run("addresses with prefixes are read, masked and written [conf-text]", prefixes);
	test_run("endpoints are addresses or names with a port [conf-text]", endpoints);
	test_run("numbers are decimal or hexadecimal and bounded [conf-text]", numbers);
	return test_done();
}
