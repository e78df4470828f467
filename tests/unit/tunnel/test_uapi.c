#include "tunnel/uapi.h"

#include "base/buf.h"
#include "base/test.h"
#include "fake_device.h"

#include <errno.h>
#include <stdio.h>

#define K1 "0101010101010101010101010101010101010101010101010101010101010101"
#define K2 "0202020202020202020202020202020202020202020202020202020202020202"
#define K3 "0303030303030303030303030303030303030303030303030303030303030303"
#define KA "AaAaAaAaAaAaAaAaAaAaAaAaAaAaAaAaAaAaAaAaAaAaAaAaAaAaAaAaAaAaAaAa"
#define ZERO "0000000000000000000000000000000000000000000000000000000000000000"
#define PEER_TAIL                                                                                  \
	"last_handshake_time_sec=0\nlast_handshake_time_nsec=0\ntx_bytes=0\nrx_bytes=0\n"          \
	"persistent_keepalive_interval=0\n"

/* Every test starts from an empty device, two connected clients and a host that obeys. */
static struct wg_device dev;
static struct uapi *uapi;
static struct uapi_client *one, *two;
static struct buf answer = {.max = 1u << 30};
static uint16_t port;
static uint32_t mark;
static int port_error, mark_error;
static unsigned n_changed;
static char refused[64];

static struct wg_now host_now(void *arg)
{
	return (struct wg_now){.boot_ns = 77, .real_ns = 99};
}

static int host_set_port(void *arg, uint16_t p)
{
	if (port_error)
		return port_error;
	port = p;
	buf_printf(&dev.calls, "port %u\n", p);
	return 0;
}

static uint16_t host_port(void *arg)
{
	return port;
}

static int host_set_mark(void *arg, uint32_t m)
{
	if (mark_error)
		return mark_error;
	mark = m;
	buf_printf(&dev.calls, "mark %u\n", m);
	return 0;
}

static uint32_t host_mark(void *arg)
{
	return mark;
}

static uint32_t host_scope(void *arg, const char *name)
{
	return strcmp(name, "eth0") ? 0 : 7;
}

static void host_changed(void *arg)
{
	n_changed++;
}

static void host_refused(void *arg, size_t line, const char *key, int error)
{
	snprintf(refused, sizeof(refused), "%zu %s %d", line, key ? key : "-", error);
}

static void down(void)
{
	if (one)
		uapi_client_free(one);
	if (two)
		uapi_client_free(two);
	uapi_free(uapi);
	if (dev.calls.max)
		fake_device_done(&dev);
	buf_done(&answer);
	one = two = NULL;
	uapi = NULL;
}

static void up(void)
{
	static const struct uapi_host host = {.now = host_now,
		.set_listen_port = host_set_port,
		.listen_port = host_port,
		.set_fwmark = host_set_mark,
		.fwmark = host_mark,
		.scope_id = host_scope,
		.changed = host_changed,
		.refused = host_refused};

	down();
	fake_device_init(&dev);
	port = 0;
	mark = 0;
	port_error = mark_error = 0;
	n_changed = 0;
	refused[0] = 0;
	CHECK_EQ(uapi_new(&dev, &host, &uapi), 0);
	CHECK_EQ(uapi_client_new(uapi, &one), 0);
	CHECK_EQ(uapi_client_new(uapi, &two), 0);
}

/* Take all that there is, in bites of ${bite}. */
static const char *take(struct uapi_client *c, size_t bite)
{
	const uint8_t *data;
	size_t n;

	buf_clear(&answer);
	while ((n = uapi_output(c, &data))) {
		CHECK(n <= (64u << 10) + 4096);
		n = min(n, bite);
		CHECK_EQ(buf_put(&answer, data, n), 0);
		uapi_written(c, n);
	}
	return buf_str(&answer);
}

static const char *ask(struct uapi_client *c, const char *text)
{
	CHECK_EQ(uapi_feed(c, text, strlen(text)), 0);
	return take(c, SIZE_MAX);
}

static const char *calls(void)
{
	return fake_device_calls(&dev);
}

/* ---- set ---- */

static void set_device(void)
{
	up();
	CHECK_STR(ask(one, "set=1\nprivate_key=" K1 "\nlisten_port=51820\nfwmark=4294967295\n"
			   "replace_peers=true\n\n"),
		"errno=0\n\n");
	CHECK_STR(calls(), "private 01\nport 51820\nmark 4294967295\n");
	CHECK_EQ(n_changed, 1);
	CHECK_STR(ask(one, "set=1\nprivate_key=" ZERO "\nlisten_port=0\nfwmark=0\n\n"),
		"errno=0\n\n");
	CHECK_STR(calls(), "private 00\nport 0\nmark 0\n");
	CHECK_STR(ask(one, "set=1\n\n"), "errno=0\n\n");
}

static void set_peer(void)
{
	up();
	CHECK_STR(ask(one, "set=1\npublic_key=" K1 "\npreshared_key=" K2
			   "\nendpoint=192.0.2.1:51820\npersistent_keepalive_interval=25\n"
			   "replace_allowed_ips=true\nallowed_ip=10.0.0.0/8\nallowed_ip=::/0\n"
			   "allowed_ip=-10.0.0.0/8\nprotocol_version=1\npublic_key=" KA "\n\n"),
		"errno=0\n\n");
	CHECK_STR(calls(), "add 01\npsk 01 02\nendpoint 01 192.0.2.1|0|51820\nkeepalive 01 25\n"
			   "disallow-all 01\nallow 01 10.0.0.0/8\nallow 01 ::/0\n"
			   "disallow 01 10.0.0.0/8\nconfigured 01\nadd aa\nconfigured aa\n");
	CHECK_EQ(dev.configured_boot_ns, 77);
}

static void set_succeeds(void)
{
	up();
	CHECK_STR(ask(one, "set=1\npublic_key=" K1 "\npublic_key=" K2 "\nsucceeds=" K1
			   "\nsucceeds=" K3 "\n\n"),
		"errno=0\n\n");
	CHECK_STR(calls(),
		"add 01\nconfigured 01\nadd 02\nsucceed 02 01\nsucceed 02 nobody\nconfigured 02\n");
	CHECK_STR(ask(one, "set=1\npublic_key=" K3 "\nupdate_only=true\nsucceeds=" K1 "\n\n"),
		"errno=0\n\n");
	CHECK_STR(ask(one, "set=1\npublic_key=" K2 "\nsucceeds=" K1 "0\n\n"), "errno=-22\n\n");
	CHECK_STR(ask(one, "set=1\nsucceeds=" K1 "\n\n"), "errno=-22\n\n");
	CHECK_STR(calls(), "configured 02\n");
}

static void set_remove_and_update_only(void)
{
	up();
	ask(one, "set=1\npublic_key=" K1 "\n\n");
	calls();
	CHECK_STR(ask(one, "set=1\npublic_key=" K2 "\nremove=true\npublic_key=" K2
			   "\nupdate_only=true\nallowed_ip=10.0.0.0/8\n\n"),
		"errno=0\n\n");
	CHECK_STR(calls(), "");
	CHECK_STR(ask(one, "set=1\npublic_key=" K1 "\nupdate_only=true\npersistent_keepalive_interval=1\n"
			   "public_key=" K1 "\nremove=true\nallowed_ip=10.0.0.0/8\nremove=true\n\n"),
		"errno=0\n\n");
	CHECK_STR(calls(), "keepalive 01 1\nconfigured 01\nremove 01\n");
	/* Said too late, it still leaves no new peer behind. */
	CHECK_STR(ask(one, "set=1\npublic_key=" K3 "\nprotocol_version=1\nupdate_only=true\n\n"),
		"errno=0\n\n");
	CHECK_STR(calls(), "add 03\nremove 03\n");
	CHECK(!dev.peers);
}

static void set_replace(void)
{
	up();
	ask(one, "set=1\npublic_key=" K1 "\npublic_key=" K2 "\n\n");
	calls();
	CHECK_STR(ask(one, "set=1\nreplace_peers=true\npublic_key=" K2 "\n\n"), "errno=0\n\n");
	CHECK_STR(calls(), "remove 01\nremove 02\nadd 02\nconfigured 02\n");
}

static void own_key(void)
{
	up();
	dev.has_own_public = true;
	memset(dev.own_public, 2, WG_KEY_LEN);
	CHECK_STR(ask(one, "set=1\npublic_key=" K2 "\nallowed_ip=10.0.0.0/8\nendpoint=1.2.3.4:5\n"
			   "preshared_key=" K1 "\npublic_key=" K1 "\nallowed_ip=10.0.0.0/8\n\n"),
		"errno=0\n\n");
	CHECK_STR(calls(), "add 01\nallow 01 10.0.0.0/8\nconfigured 01\n");
	CHECK_STR(ask(one, "set=1\npublic_key=" K2 "\nallowed_ip=10.0.0.0\n\n"), "errno=-22\n\n");
}

static void bad_values(void)
{
	static const char *const device_lines[] = {"private_key=", "private_key=01", "private_key=" K1 "0",
		"private_key=0x" K1, "private_key=g101010101010101010101010101010101010101010101010101010101010101",
		"private_key= " K1, "private_key=(unset)", "listen_port=", "listen_port=65536",
		"listen_port=-1", "listen_port=+1", "listen_port= 1", "listen_port=1 ", "listen_port=0x1",
		"listen_port=18446744073709551617", "listen_port=1\r", "fwmark=4294967296", "fwmark=0x1",
		"fwmark=off", "replace_peers=false", "replace_peers=", "replace_peers=TRUE", "unknown=1",
		"=", "=1", "Listen_port=1", "listen_port =1", "allowed_ip=10.0.0.0/8",
		"protocol_version=1", "remove=true", "public_key=", "public_key=01", "get=1", "set=1", NULL};
	static const char *const peer_lines[] = {"remove=false", "update_only=1", "preshared_key=",
		"preshared_key=00", "endpoint=", "endpoint=:", "endpoint=1.2.3.4", "endpoint=1.2.3.4:",
		"endpoint=1.2.3.4:65536", "endpoint=1.2.3.4:+5", "endpoint=1.2.3:5", "endpoint=[1.2.3.4]:5",
		"endpoint=example.com:5", "endpoint=localhost:5", "endpoint=::1:5", "endpoint=[::1:5",
		"endpoint=[::1]5", "endpoint=[]:5", "endpoint=[:5", "endpoint=]:5", "endpoint=::1]:5", "endpoint=[fe80::1%]:5",
		"endpoint=[fe80::1%eth9]:5", "endpoint=[fe80::1%4294967296]:5", "endpoint=[fe80::1%0]:5", "endpoint=[::1] :5",
		"endpoint=1.2.3.4%eth0:5", "persistent_keepalive_interval=65536",
		"persistent_keepalive_interval=off", "persistent_keepalive_interval=",
		"replace_allowed_ips=false", "allowed_ip=", "allowed_ip=-", "allowed_ip=/", "allowed_ip=10.0.0.0",
		"allowed_ip=10.0.0.0/", "allowed_ip=10.0.0.0/33", "allowed_ip=::/129", "allowed_ip=10.0.0/8",
		"allowed_ip=10.0.0.0/08", "allowed_ip=10.0.0.0/+8", "allowed_ip=10.0.0.0/-8", "allowed_ip=+10.0.0.0/8",
		"allowed_ip=--10.0.0.0/8", "allowed_ip=10.0.0.0/8 ", "allowed_ip=10.0.0.0/8,10.1.0.0/16",
		"allowed_ip=fe80::1%eth0/64", "allowed_ip=10.0.0.0/255.0.0.0", "allowed_ip=10.0.0.0.0/8",
		"allowed_ip=10.0.0./8", "allowed_ip=10..0.0/8", "allowed_ip=.10.0.0.0/8", "allowed_ip=10.0.0.0./8",
		"allowed_ip=256.0.0.0/8", "allowed_ip=10.0.0.256/8", "allowed_ip=10.00.0.0/8", "allowed_ip=010.0.0.0/8",
		"allowed_ip=4294967306.0.0.0/8", "allowed_ip=10.0.0.a/8", "allowed_ip= 10.0.0.0/8", "allowed_ip=10.0.0.0 /8",
		"protocol_version=2",
		"protocol_version=", "protocol_version=01", "private_key=" K1, "listen_port=1", "replace_peers=true", "fwmark=1", NULL};
	char text[1024];

	for (size_t i = 0; device_lines[i]; i++) {
		up();
		snprintf(text, sizeof(text), "set=1\nfwmark=5\n%s\nlisten_port=9\n\n", device_lines[i]);
		ask(one, text);
		if (strcmp(buf_str(&answer), "errno=-22\n\n"))
			test_note("%s", device_lines[i]);
		CHECK_STR(buf_str(&answer), "errno=-22\n\n");
		CHECK_STR(calls(), "mark 5\n");
	}
	for (size_t i = 0; peer_lines[i]; i++) {
		up();
		snprintf(text, sizeof(text),
			"set=1\npublic_key=" K1 "\nprotocol_version=1\n%s\nallowed_ip=9.0.0.0/8\n\n",
			peer_lines[i]);
		ask(one, text);
		if (strcmp(buf_str(&answer), "errno=-22\n\n"))
			test_note("%s", peer_lines[i]);
		CHECK_STR(buf_str(&answer), "errno=-22\n\n");
		CHECK_STR(calls(), "add 01\nconfigured 01\n");
	}
}

static void every_byte_of_a_key(void)
{
	char text[128] = "set=1\nprivate_key=" K1 "\n\n";

	for (unsigned b = 1; b < 256; b++) {
		bool hex = (b >= '0' && b <= '9') || (b >= 'a' && b <= 'f') || (b >= 'A' && b <= 'F');

		if (b == '\n')
			continue;
		up();
		text[18 + 17] = (char)b;
		CHECK_STR(ask(one, text), hex ? "errno=0\n\n" : "errno=-22\n\n");
		if (hex) {
			char digit[2] = {(char)b};

			CHECK_EQ(dev.private_key[8], strtoul(digit, NULL, 16));
		}
	}
}

static void endpoints(void)
{
	static const struct {
		const char *text, *call;
	} good[] = {
		{"[2001:db8::1]:1", "2001:db8::1|0|1"},
		{"[fe80::1%eth0]:2", "fe80::1|7|2"},
		{"[fe80::1%12]:2", "fe80::1|12|2"},
		{"[fe80::1]:2", "fe80::1|0|2"},
		{"[2001:db8::1%eth0]:1", "2001:db8::1|0|1"},
		{"[::ffff:192.0.2.7]:65535", "192.0.2.7|0|65535"},
		{"0.0.0.0:0", "0.0.0.0|0|0"},
	};
	static const char zero[] = "set=1\npublic_key=" K1 "\nendpoint=1.2.3.4\0:5\n\n";
	char text[256], call[256];

	for (size_t i = 0; i < array_size(good); i++) {
		up();
		snprintf(text, sizeof(text), "set=1\npublic_key=" K1 "\nendpoint=%s\n\n", good[i].text);
		snprintf(call, sizeof(call), "add 01\nendpoint 01 %s\nconfigured 01\n", good[i].call);
		CHECK_STR(ask(one, text), "errno=0\n\n");
		CHECK_STR(calls(), call);
	}
	up();
	CHECK_EQ(uapi_feed(one, zero, sizeof(zero) - 1), 0);
	CHECK_STR(take(one, 1), "errno=-22\n\n");
}

static void no_equals(void)
{
	up();
	CHECK_STR(ask(one, "set=1\nfwmark=1\nnonsense\nfwmark=2\n\n"), "errno=-71\n\n");
	CHECK_STR(calls(), "mark 1\n");
	CHECK_STR(ask(one, "set=1\n \n\n"), "errno=-71\n\n");
}

static void host_errors(void)
{
	up();
	port_error = -EADDRINUSE;
	CHECK_STR(ask(one, "set=1\nlisten_port=1\nfwmark=1\n\n"), "errno=-98\n\n");
	port_error = -EACCES;
	CHECK_STR(ask(one, "set=1\nlisten_port=1\n\n"), "errno=-98\n\n");
	mark_error = -EPERM;
	CHECK_STR(ask(one, "set=1\nfwmark=1\n\n"), "errno=-98\n\n");
	CHECK_STR(calls(), "");
	dev.fail_add = -ENOSPC;
	CHECK_STR(ask(one, "set=1\npublic_key=" K1 "\nallowed_ip=1.0.0.0/8\n\n"), "errno=-55\n\n");
	CHECK_STR(ask(one, "set=1\npublic_key=" K1 "\n\n"), "errno=-55\n\n");
	CHECK_STR(ask(one, "set=1\npublic_key=" K1 "\npublic_key=" K2 "\n\n"), "errno=-55\n\n");
	dev.fail_add = 0;
	dev.fail_allow = -ENOMEM;
	CHECK_STR(ask(one, "set=1\npublic_key=" K1 "\nallowed_ip=1.0.0.0/8\n\n"), "errno=-55\n\n");
	dev.fail_key = -ENOMEM;
	CHECK_STR(ask(one, "set=1\nprivate_key=" K1 "\n\n"), "errno=-55\n\n");
}

static void refusals(void)
{
	static const struct {
		const char	*lines, *said;
	} requests[] = {
		{"", ""},
		{"fwmark=1\n", ""},
		{"fwmark=1\nlisten_port=x\nfwmark=2\n", "3 listen_port -22"},
		{"private_key=" K1 "0\n", "2 private_key -22"},
		{"private_kye=" K1 "\n", "2 - -22"},
		{K1 "\n", "2 - -71"},
		{K1 "=\n", "2 - -22"},
		{"endpoint=1.2.3.4:5\n", "2 endpoint -22"}, /* of a peer, and there is none */
		{"public_key=" K1 "\nendpoint=example.org:1\n", "3 endpoint -22"},
		{"public_key=no\n", "2 public_key -22"},
	};
	char text[512];

	for (size_t i = 0; i < array_size(requests); i++) {
		up();
		snprintf(text, sizeof(text), "set=1\n%s\n", requests[i].lines);
		ask(one, text);
		CHECK_STR(refused, requests[i].said);
	}
	up();
	dev.fail_add = -ENOSPC;
	ask(one, "set=1\npublic_key=" K1 "\n\n");
	CHECK_STR(refused, "2 public_key -55");
	refused[0] = 0;
	ask(one, "get=1\n\n");
	CHECK_STR(refused, "");
}

/* ---- requests ---- */

static void after_an_error(void)
{
	up();
	CHECK_STR(ask(one, "set=1\nbad=1\nget=1\nset=1\nfwmark=3\n\nset=1\nfwmark=4\n\nget=1\n\n"),
		"errno=-22\n\nerrno=0\n\nfwmark=4\nerrno=0\n\n");
	CHECK(!uapi_ended(one));
	CHECK_STR(calls(), "mark 4\n");
}

static void byte_by_byte(void)
{
	const char *text = "set=1\npublic_key=" K1 "\nallowed_ip=10.0.0.0/8\n\nget=1\n\nset=1\nbad\n\n";

	up();
	for (const char *p = text; *p; p++) {
		CHECK_EQ(uapi_feed(one, p, 1), 0);
		if (p - text < 80)
			CHECK_STR(calls(), "");
	}
	CHECK_STR(take(one, 1),
		"errno=0\n\npublic_key=" K1 "\npreshared_key=" ZERO "\nprotocol_version=1\n" PEER_TAIL
		"allowed_ip=10.0.0.0/8\nerrno=0\n\nerrno=-71\n\n");
}

static void unknown_operation(void)
{
	static const char *const bad[] = {"\n", "\n\n", "get=2\n\n", "set=2\n", "GET=1\n\n", "get=1\r\n\r\n", "x",
		"get=1x", "{\"json\":1}", "get=", "s\n", NULL};

	for (size_t i = 0; bad[i]; i++) {
		bool prefix = !strcmp(bad[i], "get=");

		up();
		CHECK_STR(ask(one, "set=1\n\n"), "errno=0\n\n");
		CHECK_STR(ask(one, bad[i]), "");
		CHECK_EQ(uapi_ended(one), !prefix);
		if (prefix)
			continue;
		CHECK_STR(ask(one, "get=1\n\nset=1\nfwmark=1\n\n"), "");
		CHECK_STR(calls(), "");
	}
	/* The answers to what came before are still given. */
	up();
	CHECK_EQ(uapi_feed(one, "set=1\nfwmark=1\n\nrubbish\n\n", 25), 0);
	CHECK(!uapi_ended(one));
	CHECK_STR(take(one, 3), "errno=0\n\n");
	CHECK(uapi_ended(one));
}

static void get_with_lines(void)
{
	up();
	CHECK_STR(ask(one, "get=1\nfwmark=1\n\nget=1\n\n"), "errno=-22\n\nerrno=0\n\n");
}

static void whole_requests(void)
{
	up();
	ask(one, "set=1\nreplace_peers=true\npublic_key=" K1 "\n");
	CHECK_STR(ask(two, "set=1\nfwmark=9\n\n"), "errno=0\n\n");
	CHECK_STR(calls(), "mark 9\n");
	CHECK_STR(ask(two, "get=1\n\n"), "fwmark=9\nerrno=0\n\n");
	CHECK_STR(ask(one, "\n"), "errno=0\n\n");
	CHECK_STR(calls(), "add 01\nconfigured 01\n");
	/* A client that dies in the middle of a line, or before the blank one, changes nothing. */
	ask(one, "set=1\nreplace_peers=true\npubl");
	uapi_client_free(one);
	one = NULL;
	CHECK_STR(calls(), "");
	CHECK(dev.peers != NULL);
}

static void feed_much(struct uapi_client *c, const char *piece, size_t times, size_t *done)
{
	size_t len = strlen(piece);

	for (*done = 0; *done < times; ++*done)
		CHECK_EQ(uapi_feed(c, piece, len), 0);
}

static void long_lines(void)
{
	char big[8192];
	size_t n;

	memset(big, 'x', sizeof(big));
	big[8191] = 0;
	up();
	ask(one, "set=1\nfwmark=1\n");
	feed_much(one, big, 4, &n);
	CHECK_STR(ask(one, "=\nfwmark=2\n\n"), "errno=-22\n\n");
	CHECK_STR(calls(), "mark 1\n");
	memset(big, '0', sizeof(big));
	memcpy(big, "fwmark=", 7);
	strcpy(big + 1025, "\n\n");
	ask(one, "set=1\n");
	CHECK_STR(ask(one, big), "errno=-22\n\n");
	strcpy(big + 1024, "\n\n");
	ask(one, "set=1\n");
	CHECK_STR(ask(one, big), "errno=0\n\n");
}

static void too_long(void)
{
	static char piece[1 << 20];
	size_t n;

	memset(piece, 'x', sizeof(piece) - 1);
	up();
	/* An endless line. */
	ask(one, "set=1\nfwmark=1\n");
	feed_much(one, piece, 70, &n);
	CHECK_STR(ask(one, "\n\nget=1\n\n"), "errno=-55\n\nerrno=0\n\n");
	CHECK_STR(calls(), "");
	/* Its bound is met right behind an end of line. */
	memset(piece, '\n', sizeof(piece) - 1);
	for (size_t i = 1; i < sizeof(piece) - 1; i += 2)
		piece[i - 1] = '=';
	piece[sizeof(piece) - 2] = '=';
	piece[sizeof(piece) - 3] = '\n';
	ask(one, "set=1\n");
	feed_much(one, piece, 70, &n);
	CHECK_STR(ask(one, "\n\nset=1\nfwmark=4\n\n"), "errno=-55\n\nerrno=0\n\n");
	CHECK_STR(calls(), "mark 4\n");
}

/* The first bytes of the next request come with the last ones of each. */
static void always_in_the_middle(void)
{
	static char piece[1 << 20];

	memset(piece, 'x', sizeof(piece) - 1);
	memcpy(piece, "et=1\n", 5);
	strcpy(piece + sizeof(piece) - 4, "\n\ns");
	up();
	ask(one, "s");
	for (size_t i = 0; i < (UAPI_BUFFERED_MAX >> 20) + 2; i++)
		CHECK_STR(ask(one, piece), "errno=-22\n\n");
	CHECK_STR(ask(one, "et=1\nfwmark=4\n\n"), "errno=0\n\n");
	CHECK_STR(calls(), "mark 4\n");
}

static void all_clients_bound(void)
{
	static char piece[1 << 20];
	struct uapi_client *more[4];
	size_t n;

	memset(piece, 'x', sizeof(piece) - 1);
	up();
	for (size_t i = 0; i < 4; i++) {
		CHECK_EQ(uapi_client_new(uapi, &more[i]), 0);
		ask(more[i], "set=1\n");
		feed_much(more[i], piece, i == 2 ? 16 : 15, &n);
	}
	/* More than 64 MiB: the longest one is refused, and who says something short is served. */
	ask(one, "set=1\n");
	feed_much(one, piece, 8, &n);
	CHECK_STR(ask(one, "\n\nset=1\nfwmark=7\n\n"), "errno=-22\n\nerrno=0\n\n");
	CHECK_STR(ask(more[2], "\n\nset=1\nfwmark=8\n\n"), "errno=-55\n\nerrno=0\n\n");
	CHECK_STR(calls(), "mark 7\nmark 8\n");
	CHECK_STR(ask(more[1], "\n\n"), "errno=-22\n\n");
	/* What they held is free again when they are gone. */
	for (size_t i = 0; i < 4; i++)
		uapi_client_free(more[i]);
	/* Whose own is the longest is refused itself. */
	for (size_t i = 0; i < 4; i++) {
		CHECK_EQ(uapi_client_new(uapi, &more[i]), 0);
		ask(more[i], "set=1\n");
		feed_much(more[i], piece, 12, &n);
	}
	ask(one, "set=1\n");
	feed_much(one, piece, 18, &n);
	CHECK_STR(ask(one, "\n\n"), "errno=-55\n\n");
	for (size_t i = 0; i < 4; i++) {
		CHECK_STR(ask(more[i], "\n\n"), "errno=-22\n\n");
		uapi_client_free(more[i]);
	}
	CHECK_STR(ask(one, "set=1\nfwmark=1\n\n"), "errno=0\n\n");
	ask(one, "set=1\n");
	feed_much(one, piece, 60, &n);
	CHECK_STR(ask(one, "\n\n"), "errno=-22\n\n");
}

static void answers_not_taken(void)
{
	static char piece[1 << 20];
	int r = 0;

	memset(piece, '\n', sizeof(piece));
	for (size_t i = 0; i + 7 <= sizeof(piece); i += 7)
		memcpy(piece + i, "get=1\n\n", 7);
	up();
	for (int i = 0; i < 70 && !r; i++)
		r = uapi_feed(one, piece, sizeof(piece) - sizeof(piece) % 7);
	CHECK_EQ(r, -ENOBUFS);
}

/* ---- to another process ---- */

static int feed(struct uapi_client *c, const char *text)
{
	return uapi_feed(c, text, strlen(text));
}

/* What a client has, packed and given to the other one, as its server does it. */
static void move_client(struct uapi_client *from, struct uapi_client *to)
{
	cleanup(buf_done) struct buf in = buf_of_max(1 << 20), out = buf_of_max(1 << 20);

	CHECK_EQ(uapi_client_pack(from, &in, &out), 0);
	if (out.len)
		CHECK_EQ(uapi_client_answer(to, out.data, out.len), 0);
	if (uapi_ended(from))
		uapi_client_end(to);
	if (in.len)
		CHECK_EQ(uapi_feed(to, in.data, in.len), 0);
}

static void pack_half_request(void)
{
	up();
	/* Nothing is applied before its blank line, and nothing twice. */
	ask(one, "set=1\nfwmark=3\n\nset=1\nfwm");
	CHECK_STR(calls(), "mark 3\n");
	move_client(one, two);
	CHECK_STR(ask(two, "ark=4\n\nset=1\n"), "errno=0\n\n");
	CHECK_STR(calls(), "mark 4\n");
	up();
	move_client(one, two); /* who has said nothing yet */
	CHECK_STR(ask(two, "set=1\nfwmark=5\n\n"), "errno=0\n\n");
}

static void pack_answers(void)
{
	const uint8_t *data;
	char want[4096];
	size_t n;

	up();
	ask(one, "set=1\nprivate_key=" K1 "\npublic_key=" K2 "\nallowed_ip=10.0.0.0/8\n\n");
	snprintf(want, sizeof(want), "%s", ask(one, "get=1\n\n"));
	CHECK(strlen(want) > 100);
	/* Three requests at once, of the first answer ten bytes are taken: the rest goes along, each once. */
	CHECK_EQ(feed(one, "get=1\n\nget=1\n\nset=1\nfwmark=9\n\nget="), 0);
	n = uapi_output(one, &data);
	CHECK(n > 10 && !memcmp(data, want, 10));
	uapi_written(one, 10);
	move_client(one, two);
	{
		cleanup(buf_done) struct buf expected = buf_of_max(1 << 20);

		buf_printf(&expected, "%s%serrno=0\n\n", want + 10, want);
		CHECK(mark != 9); /* its turn comes when the answers before it were taken */
		CHECK_STR(take(two, 7), buf_str(&expected));
	}
	CHECK_EQ(mark, 9);
	/* And the request that was cut off is completed there. */
	CHECK(strstr(ask(two, "1\n\n"), "fwmark=9\n"));
}

/* Packets wait meanwhile: however much a client has asked for, it is one answer at most that is made. */
static void pack_one_answer(void)
{
	cleanup(buf_done) struct buf in = buf_of_max(1 << 20), out = buf_of_max(1 << 20);

	up();
	for (int i = 0; i < 1000; i++)
		CHECK_EQ(feed(one, "get=1\n\n"), 0);
	CHECK_EQ(feed(one, "get="), 0);
	CHECK_EQ(uapi_client_pack(one, &in, &out), 0);
	CHECK_STR(buf_str(&out), "errno=0\n\n");
	CHECK_EQ(in.len, 999 * 7 + 4);
	/* Given back it goes on with the next. */
	CHECK_EQ(uapi_client_answer(one, out.data, out.len), 0);
	CHECK_EQ(strlen(take(one, 100)), 1000 * strlen("errno=0\n\n"));
}

static void pack_given_back(void)
{
	cleanup(buf_done) struct buf in = buf_of_max(1 << 20), out = buf_of_max(1 << 20);

	up();
	/* The other process came to nothing: the client gets its answer back and goes on. */
	CHECK_EQ(feed(one, "set=1\nfwmark=6\n\nset=1\nfw"), 0);
	CHECK_EQ(uapi_client_pack(one, &in, &out), 0);
	CHECK_STR(buf_str(&out), "errno=0\n\n");
	CHECK_STR(buf_str(&in), "set=1\nfw");
	CHECK_EQ(uapi_client_answer(one, out.data, out.len), 0);
	CHECK_STR(take(one, 3), "errno=0\n\n");
	CHECK_STR(ask(one, "mark=7\n\n"), "errno=0\n\n");
	CHECK_STR(calls(), "mark 6\nmark 7\n");
}

static void pack_refused(void)
{
	cleanup(buf_done) struct buf in = buf_of_max(1 << 20), out = buf_of_max(1 << 20), small = buf_of_max(4);
	static char piece[1 << 20];
	size_t n;

	memset(piece, 'x', sizeof(piece) - 1);
	up();
	/* A request that is being swallowed has no beginning to take along. */
	ask(one, "set=1\n");
	feed_much(one, piece, 66, &n);
	CHECK_EQ(uapi_client_pack(one, &in, &out), -EMSGSIZE);
	/* No room: an error, not half an answer. */
	CHECK_EQ(feed(two, "get=1\n\n"), 0);
	CHECK(uapi_client_pack(two, &in, &small) < 0);
	/* An unknown operation: what was asked before is answered, then it ends there as well. */
	up();
	CHECK_EQ(feed(one, "get=1\n\nnonsense\n"), 0);
	move_client(one, two);
	CHECK(strlen(take(two, 100)) > 5);
	CHECK(uapi_ended(two));
}

/* ---- get ---- */

static void get_all(void)
{
	struct wg_peer *p;

	up();
	CHECK_STR(ask(one, "get=1\n\n"), "errno=0\n\n");
	ask(one, "set=1\nprivate_key=" K1 "\nlisten_port=7\nfwmark=8\npublic_key=" K3
		 "\nendpoint=[fe80::1%eth0]:5\nallowed_ip=10.0.0.0/8\nallowed_ip=2001:db8::/32\n"
		 "preshared_key=" K2 "\npersistent_keepalive_interval=25\npublic_key=" K2
		 "\nendpoint=192.0.2.1:80\npublic_key=" K1 "\nendpoint=[2001:db8::1]:9\n\n");
	p = dev.peers;
	p->info.last_handshake_real_ns = 1700000000123456789ULL;
	p->info.tx_bytes = UINT64_MAX;
	p->info.rx_bytes = 1;
	CHECK_STR(ask(one, "get=1\n\n"),
		"private_key=" K1 "\nlisten_port=7\nfwmark=8\n"
		"public_key=" K3 "\npreshared_key=" K2 "\nprotocol_version=1\nendpoint=[fe80::1%7]:5\n"
		"last_handshake_time_sec=1700000000\nlast_handshake_time_nsec=123456789\n"
		"tx_bytes=18446744073709551615\nrx_bytes=1\npersistent_keepalive_interval=25\n"
		"allowed_ip=10.0.0.0/8\nallowed_ip=2001:db8::/32\n"
		"public_key=" K2 "\npreshared_key=" ZERO "\nprotocol_version=1\n"
		"endpoint=192.0.2.1:80\n" PEER_TAIL
		"public_key=" K1 "\npreshared_key=" ZERO "\nprotocol_version=1\n"
		"endpoint=[2001:db8::1]:9\n" PEER_TAIL "errno=0\n\n");
}

static void make_prefixes(const char *key, unsigned first, unsigned n)
{
	struct buf text = buf_of_max(16u << 20);

	buf_printf(&text, "set=1\npublic_key=%s\n", key);
	for (unsigned i = first; i < first + n; i++)
		buf_printf(&text, "allowed_ip=10.%u.%u.%u/32\n", i >> 16, i >> 8 & 255, i & 255);
	buf_puts(&text, "\n");
	CHECK_STR(ask(one, buf_str(&text)), "errno=0\n\n");
	buf_done(&text);
}

static void make_peers(unsigned n)
{
	struct buf text = buf_of_max(16u << 20);

	buf_puts(&text, "set=1\n");
	for (unsigned i = 0; i < n; i++)
		buf_printf(&text, "public_key=%08x%056x\n", i + 1, 0);
	buf_puts(&text, "\n");
	CHECK_STR(ask(one, buf_str(&text)), "errno=0\n\n");
	buf_done(&text);
}

static size_t count(const char *text, const char *what)
{
	size_t n = 0;

	while ((text = strstr(text, what))) {
		n++;
		text += strlen(what);
	}
	return n;
}

static void get_large(void)
{
	struct buf whole = buf_of_max(64u << 20);

	up();
	make_prefixes(K1, 0, 4000);
	make_peers(2000);
	buf_puts(&whole, ask(one, "get=1\n\n"));
	CHECK_EQ(count(buf_str(&whole), "allowed_ip="), 4000);
	CHECK_EQ(count(buf_str(&whole), "public_key="), 2001);
	CHECK(whole.len > 5 * 65536);
	CHECK_EQ(uapi_feed(one, "get=1\n\n", 7), 0);
	CHECK(!strcmp(take(one, 1000), buf_str(&whole)));
	CHECK_EQ(uapi_feed(one, "get=1\n\n", 7), 0);
	CHECK(!strcmp(take(one, 65537), buf_str(&whole)));
	buf_done(&whole);
}

/* Begin an answer on ${one} and take one piece of it. */
static void begin(struct buf *got)
{
	const uint8_t *data;
	size_t n;

	CHECK_EQ(uapi_feed(one, "get=1\n\n", 7), 0);
	n = uapi_output(one, &data);
	CHECK(n >= 65536);
	buf_put(got, data, n);
	uapi_written(one, n);
}

static struct wg_peer *last_shown(struct buf *got)
{
	const char *at = buf_str(got), *next;
	uint8_t key[WG_KEY_LEN];
	char hex[65];

	while ((next = strstr(at, "public_key=")))
		at = next + 11;
	memcpy(hex, at, 64);
	hex[64] = 0;
	test_unhex(hex, key, sizeof(key));
	return wg_device_peer(&dev, key);
}

static void remove_while_shown(void)
{
	struct buf got = buf_of_max(64u << 20);
	struct wg_peer *p;
	char text[256], key[65], after[65];

	up();
	make_peers(1000);
	begin(&got);
	p = last_shown(&got);
	CHECK(p && p->next && p->next->next);
	for (int i = 0; i < 2; i++) {
		snprintf(key, sizeof(key), "%02x%02x%02x%02x%056x", p->info.public_key[0],
			p->info.public_key[1], p->info.public_key[2], p->info.public_key[3], 0);
		p = p->next;
		snprintf(after, sizeof(after), "%02x%02x%02x%02x%056x", p->info.public_key[0],
			p->info.public_key[1], p->info.public_key[2], p->info.public_key[3], 0);
		/* First the one that was shown last, then the one that would be next; the first comes back as the last. */
		snprintf(text, sizeof(text), "set=1\npublic_key=%s\nremove=true\n\n", key);
		CHECK_STR(ask(two, text), "errno=0\n\n");
	}
	buf_puts(&got, take(one, 100));
	CHECK_EQ(count(buf_str(&got), "public_key="), 999);
	CHECK_EQ(count(buf_str(&got), after), 1);
	CHECK_EQ(count(buf_str(&got), key), 0);
	CHECK_EQ(count(buf_str(&got), "errno=0\n\n"), 1);
	buf_done(&got);
}

static void replace_while_shown(void)
{
	struct buf got = buf_of_max(64u << 20);

	up();
	make_peers(1000);
	begin(&got);
	CHECK_STR(ask(two, "set=1\nreplace_peers=true\npublic_key=" K1 "\npublic_key=" K2 "\n\n"),
		"errno=0\n\n");
	/* Nobody is where the answer stood; what is new behind it was not there at its start. */
	buf_puts(&got, take(one, 100));
	CHECK_EQ(count(buf_str(&got), "errno=0\n\n"), 1);
	CHECK_STR(strstr(buf_str(&got), "errno="), "errno=0\n\n");
	buf_done(&got);
}

static void prefixes_change_while_shown(void)
{
	struct buf got = buf_of_max(64u << 20), req = buf_of_max(4096);
	const char *text, *last, *next;
	char line[64];
	unsigned b, c, d, i;

	up();
	make_prefixes(K1, 0, 6000);
	make_prefixes(K2, 70000, 3);
	begin(&got);
	/* The ones before, at and behind the place go to another peer or away. */
	text = buf_str(&got);
	for (last = text; (next = strstr(last, "allowed_ip=10.")); last = next + 1)
		;
	CHECK_EQ(sscanf(last - 1, "allowed_ip=10.%u.%u.%u/32", &b, &c, &d), 3);
	i = b << 16 | c << 8 | d;
	CHECK(i > 100 && i < 5900);
	buf_puts(&req, "set=1\npublic_key=" K2 "\n");
	for (unsigned k = i + 1; k < i + 11; k++)
		buf_printf(&req, "allowed_ip=10.%u.%u.%u/32\n", k >> 16, k >> 8 & 255, k & 255);
	buf_puts(&req, "allowed_ip=10.0.0.0/32\npublic_key=" K1 "\nallowed_ip=-10.0.0.1/32\n\n");
	CHECK_STR(ask(two, buf_str(&req)), "errno=0\n\n");
	/* All that stayed is shown exactly once: 6000 - 10 by the first, then 3 + 10 + 1 by the second. */
	buf_puts(&got, take(one, 777));
	CHECK_EQ(count(buf_str(&got), "allowed_ip="), 6000 - 10 + 14);
	CHECK_EQ(count(buf_str(&got), "public_key="), 2);
	snprintf(line, sizeof(line), "allowed_ip=10.%u.%u.%u/32\n", (i + 11) >> 16, (i + 11) >> 8 & 255,
		(i + 11) & 255);
	CHECK_EQ(count(buf_str(&got), line), 1);

	/* All of them go: the answer goes on with the next peer. */
	buf_clear(&got);
	begin(&got);
	CHECK_STR(ask(two, "set=1\npublic_key=" K1 "\nreplace_allowed_ips=true\n\n"), "errno=0\n\n");
	buf_puts(&got, take(one, 777));
	CHECK_EQ(count(buf_str(&got), "public_key="), 2);
	CHECK_EQ(count(buf_str(&got), "errno=0\n\n"), 1);
	buf_done(&got);
	buf_done(&req);
}

static void own_key_while_shown(void)
{
	struct buf got = buf_of_max(64u << 20);
	struct wg_peer *p;
	unsigned total;

	up();
	make_peers(1000);
	begin(&got);
	p = last_shown(&got);
	memcpy(dev.next_own_public, p->info.public_key, WG_KEY_LEN);
	CHECK_STR(ask(two, "set=1\nprivate_key=" K1 "\n\n"), "errno=0\n\n");
	buf_puts(&got, take(one, 100));
	total = (unsigned)count(buf_str(&got), "public_key=");
	CHECK_EQ(total, 1000);
	CHECK_EQ(count(buf_str(&got), "errno=0\n\n"), 1);
	buf_done(&got);
}

static void no_memory_kept(void)
{
	const uint8_t *data, *where;
	size_t n;

	up();
	ask(one, "set=1\nprivate_key=" KA "\n\n");
	CHECK_EQ(uapi_feed(one, "get=1\n\n", 7), 0);
	n = uapi_output(one, &data);
	where = data;
	CHECK(memmem(where, n, "aaaaaaaa", 8) != NULL);
	uapi_written(one, n);
	CHECK(memmem(where, n, "aaaaaaaa", 8) == NULL);
}

/* Random bytes made of the protocol's own words, in random pieces. */
static void random_requests(void)
{
	static const char *const words[] = {"get=1\n", "set=1\n", "\n", "\n\n", "public_key=" K1 "\n",
		"public_key=" K2 "\n", "public_key=" K3, "remove=true\n", "update_only=true\n",
		"allowed_ip=10.0.0.0/8\n", "allowed_ip=-10.0.0.0/8\n", "allowed_ip=::/0\n",
		"replace_peers=true\n", "private_key=" K1 "\n", "endpoint=[::1]:5\n", "endpoint=[%", "=",
		"x", "fwmark=1\n", "replace_allowed_ips=true\n", "preshared_key=" ZERO "\n"};
	uint64_t seed = 5;
	const uint8_t *data;

	up();
	memset(dev.own_public, 3, WG_KEY_LEN);
	memset(dev.next_own_public, 2, WG_KEY_LEN);
	dev.has_own_public = true;
	for (unsigned i = 0; i < 60000; i++) {
		struct uapi_client **c = test_random(&seed) % 2 ? &one : &two;
		const char *word = words[test_random(&seed) % array_size(words)];
		size_t n;

		if (!(test_random(&seed) % 8) || uapi_ended(*c)) {
			uapi_client_free(*c);
			CHECK_EQ(uapi_client_new(uapi, c), 0);
			CHECK_EQ(uapi_feed(*c, "set=1\n", 6), 0);
		}
		CHECK_EQ(uapi_feed(*c, word, strlen(word)), 0);
		n = uapi_output(*c, &data);
		if (n)
			uapi_written(*c, test_random(&seed) % n + 1);
		if (!(i % 64))
			calls();
	}
	CHECK(n_changed > 500);
}

int main(void)
{
	test_run("private key, port, mark and replace_peers reach the device [uapi-set-device]", set_device);
	test_run("every line of a peer reaches it in order, then it is configured once [uapi-set-peer]", set_peer);
	test_run("succeeds names the peer whose place another takes [peer-succeeds]", set_succeeds);
	test_run("remove and update_only never make a peer [uapi-update-only]",
		set_remove_and_update_only);
	test_run("replace_peers removes all that were there [uapi-set-device]", set_replace);
	test_run("our own public key as a peer is ignored, but its lines are checked [own-key-peer-ignored]",
		own_key);
	test_run("a bad value or an unknown key is -22 and does nothing, lines before it stay [uapi-error-invalid] [uapi-error-keeps]",
		bad_values);
	test_run("a key takes hexadecimal digits of both cases and no other byte [uapi-private-key]",
		every_byte_of_a_key);
	test_run("endpoints are numbers, with scope and in brackets where IPv6 [uapi-endpoint-v4] [uapi-endpoint-v6] [uapi-endpoint-name]", endpoints);
	test_run("a line without '=' is -71 [uapi-error-protocol]", no_equals);
	test_run("a port or mark that is refused is -98, anything else -55 [uapi-error-bind] [uapi-error-other]", host_errors);
	test_run("a refused request tells its line and key, and nothing else of what came [uapi-refused-line]", refusals);
	test_run("after an error the rest of the request is swallowed and the connection goes on [uapi-error-swallow]",
		after_an_error);
	test_run("requests may come byte by byte and back to back [uapi-several-operations]", byte_by_byte);
	test_run("an unknown operation ends the connection after the answers before it [uapi-unknown-operation]",
		unknown_operation);
	test_run("get takes no lines [uapi-get]", get_with_lines);
	test_run("a request is applied whole or, without its blank line, not at all [uapi-many-clients]",
		whole_requests);
	test_run("a line longer than the bound is -22 [uapi-bounds]", long_lines);
	test_run("a request longer than the bound is refused as a whole [uapi-bounds] [uapi-error-other]", too_long);
	test_run("a client that is always in the middle of its next request goes on for ever [uapi-bounds] [uapi-several-operations]",
		always_in_the_middle);
	test_run("what all clients have waiting is bounded, at the cost of the longest request [uapi-bounds] [uapi-half-requests]", all_clients_bound);
	test_run("who asks on and on without reading is refused [uapi-bounds]", answers_not_taken);
	test_run("a client with half a request goes to another process, which completes it [uapi-pack]", pack_half_request);
	test_run("answers that were not taken go along, each once and whole [uapi-pack]", pack_answers);
	test_run("however much a client has asked for, one answer is made for another process [uapi-pack] [uapi-bounds]", pack_one_answer);
	test_run("one that gets its answers back goes on where it was [uapi-pack]", pack_given_back);
	test_run("what cannot be packed says so [uapi-pack]", pack_refused);
	test_run("get shows everything in the order that wg expects, peers as they were added [uapi-get]",
		get_all);
	test_run("a large answer comes in pieces of 64 KiB [uapi-large]", get_large);
	test_run("a peer removed while shown does not lose the next one [uapi-get-stream]",
		remove_while_shown);
	test_run("replacing all peers while shown ends the answer properly [uapi-get-stream]",
		replace_while_shown);
	test_run("allowed IPs that move while shown: those that stay are shown once [uapi-get-stream]",
		prefixes_change_while_shown);
	test_run("the peer that a new private key removes is not looked at again [uapi-get-stream]",
		own_key_while_shown);
	test_run("an answer with keys is wiped when it was taken [uapi-wipe]", no_memory_kept);
	test_run("random requests in random pieces do no harm [uapi-random]", random_requests);
	down();
	return test_done();
}
