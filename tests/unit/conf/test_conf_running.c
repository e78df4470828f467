#include "conf/running.h"

#include "base/test.h"
#include "tests/unit/conf/keys.h"

#include <errno.h>
#include <stdio.h>

#define HEX_A "4045a977745ccfa40cda43ca0529b2880c28d727c37f52d0a60af80a9317fc7b"
#define HEX_B "a01e94cc4459c2a593c79c994f91b794224954b8f96a9f84e3a3eee155e66645"
#define HEX_C "f0d727e10c96599c864723e676fc841c82772206904cea5336110ed866ebd977"
#define ZERO "0000000000000000000000000000000000000000000000000000000000000000"
#define PEER_B "public_key=" HEX_B "\n"
#define PEER_C "public_key=" HEX_C "\n"

#define FILE_TEXT                                                                                  \
	"[Interface]\nPrivateKey = " KEY_A "\nListenPort = 7\n[Peer]\nPublicKey = " KEY_B               \
	"\nAllowedIPs = 10.0.0.2/32, fd00::2/128\nEndpoint = 192.0.2.1:9\nPersistentKeepalive = 25\n"     \
	"[Peer]\nPublicKey = " KEY_C "\nPresharedKey = " KEY_D "\nAllowedIPs = 10.0.0.3/32\n"

static struct running *read_(const char *text, int want)
{
	struct running *r = NULL;

	CHECK_EQ(running_read(text, strlen(text), &r), want);
	return r;
}

static void reads(void)
{
	cleanup(running_freep) struct running *r = read_("listen_port=7\nfwmark=51820\nsomething_new=1\n"
		PEER_C "preshared_key=" ZERO "\nendpoint=[fd00::1]:9\nlast_handshake_time_sec=1700000000\nlast_handshake_time_nsec=5\n"
		"tx_bytes=18446744073709551615\nrx_bytes=1\npersistent_keepalive_interval=25\nallowed_ip=fd00::/64\nallowed_ip=10.0.0.1/32\n"
		"protocol_version=1\n" PEER_B "tx_bytes=0\nerrno=0\n\n", 0);
	const struct running_peer *p;
	uint8_t key[KEY_LEN];

	CHECK(r->listen_port == 7 && r->fwmark == 51820 && r->n_peers == 2);
	CHECK_EQ(text_hex_key(HEX_C, 64, key), 0);
	p = running_peer(r, key);
	CHECK(p && p->handshake_s == 1700000000 && p->tx_bytes == UINT64_MAX && p->rx_bytes == 1 && p->keepalive == 25 && p->n_allowed == 2);
	CHECK_STR(p->endpoint, "[fd00::1]:9");
	CHECK_EQ(p->allowed[0].family, AF_INET);
	key[0] ^= 1;
	CHECK(!running_peer(r, key));
}

static void refuses(void)
{
	static const char *const bad[] = {"", "\n", "listen_port=7\n\n", "listen_port=x\nerrno=0\n\n", "listen_port=65536\nerrno=0\n\n",
		"nothing\nerrno=0\n\n", "public_key=00\nerrno=0\n\n", PEER_B "allowed_ip=x\nerrno=0\n\n", "errno=0", "errno=x\n\n",
		PEER_B "endpoint=12345678901234567890123456789012345678901234567890123456789012345678901234567890\nerrno=0\n\n"};

	for (size_t i = 0; i < array_size(bad); i++)
		CHECK(!read_(bad[i], -EBADMSG));
	CHECK(!read_("errno=-98\n\n", -98));
	CHECK(!read_("errno=22\n\n", -22));
	CHECK(!read_("errno=-99999\n\n", -EIO));
}

static struct buf request = {.max = 100000};
static struct difference d;

/* What must be said to a daemon that answers ${now}, for a file, where the endpoint of B's is ${e}. */
static const char *diff(const char *text, const char *now, struct wanted_endpoint e, uint32_t mark)
{
	cleanup(buf_done) struct buf errors = buf_of_max(4096);
	cleanup(conf_freep) struct conf_file *c = NULL;
	cleanup(running_freep) struct running *r = read_(now, 0);
	struct wanted_endpoint endpoints[2] = {e};

	CHECK_EQ(conf_read("f", text, strlen(text), 0, &c, &errors, &errors), 0);
	buf_done(&request);
	CHECK_EQ(difference(c, mark, endpoints, r, &request, &d), 0);
	return buf_str(&request);
}

#define HAVE_B PEER_B "preshared_key=" ZERO "\nendpoint=192.0.2.1:9\npersistent_keepalive_interval=25\nallowed_ip=fd00::2/128\nallowed_ip=10.0.0.2/32\n"
#define HAVE_C PEER_C "preshared_key=d8d727e10c96599c864723e676fc841c82772206904cea5336110ed866ebd977\nallowed_ip=10.0.0.3/32\n"
#define PRIVATE "private_key=" HEX_A "\n"

static const struct wanted_endpoint at_b = {.text = "192.0.2.1:9"};

static void from_nothing(void)
{
	CHECK_STR(diff(FILE_TEXT, "errno=0\n\n", at_b, 5),
		"set=1\n" PRIVATE "listen_port=7\nfwmark=5\n"
		PEER_B "endpoint=192.0.2.1:9\npersistent_keepalive_interval=25\nreplace_allowed_ips=true\nallowed_ip=10.0.0.2/32\nallowed_ip=fd00::2/128\n"
		PEER_C "preshared_key=d8d727e10c96599c864723e676fc841c82772206904cea5336110ed866ebd977\nreplace_allowed_ips=true\nallowed_ip=10.0.0.3/32\n\n");
	CHECK(d.added == 2 && !d.changed && !d.removed && d.interface);
}

static void nothing(void)
{
	CHECK_STR(diff(FILE_TEXT, PRIVATE "listen_port=7\nfwmark=5\n" HAVE_C HAVE_B "errno=0\n\n", at_b, 5), "");
	CHECK_EQ(request.len, 0);
	CHECK(!d.added && !d.changed && !d.removed && !d.interface);
	/* A port that was chosen is as good as another. */
	CHECK_STR(diff("[Interface]\nPrivateKey=" KEY_A, PRIVATE "listen_port=4711\nerrno=0\n\n", at_b, 0), "");
}

static void one_peer(void)
{
	static const char without_psk[] = PEER_C "preshared_key=" ZERO "\nallowed_ip=10.0.0.3/32\n";
	static const char other_ips[] = PEER_C "preshared_key=d8d727e10c96599c864723e676fc841c82772206904cea5336110ed866ebd977\nallowed_ip=10.0.0.4/32\n";
	cleanup(buf_done) struct buf now = buf_of_max(4096);

	buf_printf(&now, PRIVATE "listen_port=7\n%s" HAVE_B "errno=0\n\n", without_psk);
	CHECK_STR(diff(FILE_TEXT, buf_str(&now), at_b, 0),
		"set=1\n" PEER_C "update_only=true\npreshared_key=d8d727e10c96599c864723e676fc841c82772206904cea5336110ed866ebd977\n\n");
	CHECK_EQ(d.changed, 1);
	buf_clear(&now);
	buf_printf(&now, PRIVATE "listen_port=7\n%s" HAVE_B "errno=0\n\n", other_ips);
	CHECK_STR(diff(FILE_TEXT, buf_str(&now), at_b, 0),
		"set=1\n" PEER_C "update_only=true\nreplace_allowed_ips=true\nallowed_ip=10.0.0.3/32\n\n");
	CHECK_STR(diff(FILE_TEXT, PRIVATE "listen_port=7\n" HAVE_C HAVE_B "public_key=" ZERO "\nerrno=0\n\n", at_b, 0),
		"set=1\npublic_key=" ZERO "\nremove=true\n\n");
	CHECK_EQ(d.removed, 1);
}

static void roamed(void)
{
	static const char away[] = PRIVATE "listen_port=7\n" HAVE_C PEER_B "preshared_key=" ZERO
		"\nendpoint=198.51.100.7:1\npersistent_keepalive_interval=25\nallowed_ip=fd00::2/128\nallowed_ip=10.0.0.2/32\nerrno=0\n\n";
	static const char nowhere[] = PRIVATE "listen_port=7\n" HAVE_C PEER_B "preshared_key=" ZERO
		"\npersistent_keepalive_interval=25\nallowed_ip=fd00::2/128\nallowed_ip=10.0.0.2/32\nerrno=0\n\n";

	CHECK_STR(diff(FILE_TEXT, away, (struct wanted_endpoint){.text = "192.0.2.1:9", .unchanged = true}, 0), "");
	CHECK_STR(diff(FILE_TEXT, away, at_b, 0), "set=1\n" PEER_B "update_only=true\nendpoint=192.0.2.1:9\n\n");
	CHECK_STR(diff(FILE_TEXT, away, (struct wanted_endpoint){.text = ""}, 0), "");
	CHECK_STR(diff(FILE_TEXT, nowhere, (struct wanted_endpoint){.text = "192.0.2.1:9", .unchanged = true}, 0),
		"set=1\n" PEER_B "update_only=true\nendpoint=192.0.2.1:9\n\n");
}

int main(void)
{
	test_run("what a daemon says is read, lines that nobody knows aside [conf-running]", reads);
	test_run("an answer that is cut off or makes no sense is refused [conf-running]", refuses);
	test_run("a daemon without configuration is told everything [conf-difference]", from_nothing);
	test_run("where nothing differs nothing is said [conf-difference]", nothing);
	test_run("only what differs of a peer is said, and peers that are gone are removed [conf-difference]", one_peer);
	test_run("an endpoint learnt by roaming stays, unless the file gives another one than before [conf-roamed]", roamed);
	buf_done(&request);
	return test_done();
}
