#include "conf/endpoints.h"

#include "base/test.h"
#include "tests/unit/conf/keys.h"

#include <errno.h>

static void round_trip(void)
{
	static const char text[] = "[Interface]\nPrivateKey = " KEY_A "\n[Peer]\nPublicKey = " KEY_B "\nEndpoint = vpn.example.org:7\n"
		"[Peer]\nPublicKey = " KEY_C "\nPresharedKey = " KEY_D "\n[Peer]\nPublicKey = " KEY_D "\nEndpoint=[fd00::1]:9\n";
	cleanup(buf_done) struct buf b = buf_of_max(4096);
	cleanup(conf_freep) struct conf_file *c = NULL;
	cleanup(endpoint_rows_done) struct endpoint_rows rows = {0};
	const struct endpoint_row *row;
	uint8_t key[KEY_LEN];

	CHECK_EQ(conf_read("f", text, sizeof(text) - 1, 0, &c, &b, &b), 0);
	endpoints_format(c, &b);
	CHECK_STR(buf_str(&b), "ginnel-endpoints 1\n" KEY_B " vpn.example.org:7\n" KEY_D " [fd00::1]:9\n");
	CHECK_EQ(endpoints_parse(buf_str(&b), b.len, &rows), 0);
	CHECK_EQ(rows.n, 2);
	CHECK_EQ(key_text_parse(KEY_B, KEY_TEXT_LEN, key), 0);
	row = endpoints_row(&rows, key);
	CHECK(row && row->endpoint.is_name && row->endpoint.port == 7);
	CHECK_EQ(key_text_parse(KEY_C, KEY_TEXT_LEN, key), 0);
	CHECK(!endpoints_row(&rows, key));
}

static void refused(void)
{
	static const char *const bad[] = {"", "ginnel-endpoints 2\n", "ginnel-endpoints 1", "ginnel-endpoints 1\n\n",
		"ginnel-endpoints 1\n" KEY_B "\n", "ginnel-endpoints 1\n" KEY_B " \n", "ginnel-endpoints 1\n" KEY_B " x:1",
		"ginnel-endpoints 1\n" KEY_B " x\n", "ginnel-endpoints 1\nx " KEY_B "x:1\n"};
	struct endpoint_rows rows = {0};

	for (size_t i = 0; i < array_size(bad); i++) {
		CHECK_EQ(endpoints_parse(bad[i], strlen(bad[i]), &rows), -EBADMSG);
		CHECK(!rows.rows && !rows.n);
	}
}

int main(void)
{
	test_run("endpoints that were applied are written without secrets, and read back [conf-roamed]", round_trip);
	test_run("a file of them that is cut off, or of another version, is refused [conf-roamed]", refused);
	return test_done();
}
