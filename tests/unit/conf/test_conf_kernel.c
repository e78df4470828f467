#include "conf/kernel_messages.h"

#include "base/rd.h"
#include "base/test.h"

#include <errno.h>
#include <stdio.h>

#define HEX_A "4045a977745ccfa40cda43ca0529b2880c28d727c37f52d0a60af80a9317fc7b"
#define HEX_B "a01e94cc4459c2a593c79c994f91b794224954b8f96a9f84e3a3eee155e66645"
#define HEX_C "f0d727e10c96599c864723e676fc841c82772206904cea5336110ed866ebd977"
#define NOBODY "1111111111111111111111111111111111111111111111111111111111111111"

/* Messages below are as linux/netlink.h, genetlink.h and wireguard.h have them on a machine with the lower byte first. */
#define HEAD(len) len " 1f00 0500 00000000 00000000 01 01 0000"	/* family 31; WG_CMD_SET_DEVICE, version 1 */
#define INDEX "0800 0100 07000000"

static _Alignas(struct nlmsghdr) uint8_t bytes[65536];

static const struct nlmsghdr *message(const char *hex)
{
	struct nlmsghdr *nlh = (void *)bytes;
	size_t n = test_unhex(hex, bytes, sizeof(bytes));

	CHECK_EQ(n, nlh->nlmsg_len);
	return nlh;
}

static struct buf said = {.max = 1 << 20};

static const char *answer(const char *first, const char *second)
{
	struct kernel_answer a = {.in_peer = false};

	buf_done(&said);
	CHECK_EQ(kernel_answer_read(message(first), &a, &said), 0);
	if (second)
		CHECK_EQ(kernel_answer_read(message(second), &a, &said), 0);
	return buf_str(&said);
}

/* ---- answers ---- */

static void reads_device(void)
{
	CHECK_STR(answer("54000000 1f00 0200 00000000 00000000 00 01 0000"
			 "0b000200 6f666669636500 00"		/* ifname: nobody asks for it */
			 "2400 0300 " HEX_A			/* private key */
			 "0600 0600 6bca 0000"			/* port 51819 */
			 "0800 0700 07000000", NULL),
		"private_key=" HEX_A "\nlisten_port=51819\nfwmark=7\n");
}

#define PEER_HEAD "2400 0100 " HEX_B
#define ALLOWED_4 "1c00 0080 0600 0100 0200 0000 0800 0200 0a000001 0500 0300 18 000000"
#define ALLOWED_6 "2800 0080 0600 0100 0a00 0000 1400 0200 fd000000000000000000000000000001 0500 0300 80 000000"

static void reads_peers(void)
{
	CHECK_STR(answer("d4000000 1f00 0200 00000000 00000000 00 01 0000"
			 "c000 0880 bc00 0080 " PEER_HEAD
			 "2400 0200 " HEX_C					/* pre-shared */
			 "1400 0400 0200 0050 c0000201 0000000000000000"	/* 192.0.2.1:80 */
			 "0600 0500 1900 0000"					/* keepalive */
			 "1400 0600 0065cd1d00000000 0500000000000000"		/* handshake */
			 "0c00 0700 0100000000000000 0c00 0800 ffffffffffffffff"
			 "2000 0980" ALLOWED_4
			 "0800 0a00 01000000", NULL),
		"public_key=" HEX_B "\npreshared_key=" HEX_C "\nendpoint=192.0.2.1:80\npersistent_keepalive_interval=25\n"
		"last_handshake_time_sec=500000000\nlast_handshake_time_nsec=5\nrx_bytes=1\ntx_bytes=18446744073709551615\nallowed_ip=10.0.0.1/24\n");
}

/* No time at all: what is read of it is that there was none. */
static void reads_bad_times(void)
{
	CHECK_STR(answer("54000000 1f00 0200 00000000 00000000 00 01 0000"
			 "4000 0880 3c00 0080" PEER_HEAD "1400 0600 0065cd1d00000000 00ca9a3b00000000", NULL),
		"public_key=" HEX_B "\nlast_handshake_time_sec=0\nlast_handshake_time_nsec=0\n");
	CHECK_STR(answer("54000000 1f00 0200 00000000 00000000 00 01 0000"
			 "4000 0880 3c00 0080" PEER_HEAD "1400 0600 ffffffffffffffff 0500000000000000", NULL),
		"public_key=" HEX_B "\nlast_handshake_time_sec=0\nlast_handshake_time_nsec=0\n");
}

static void joins_pieces(void)
{
	CHECK_STR(answer("60000000 1f00 0200 00000000 00000000 00 01 0000"
			 "4c00 0880 4800 0080 " PEER_HEAD "2000 0980" ALLOWED_4,
			 "b8000000 1f00 0200 00000000 00000000 00 01 0000"
			 "2400 0300 " HEX_A			/* what stands behind a peer is not the device's */
			 "8000 0880 5400 0080 " PEER_HEAD "2c00 0980" ALLOWED_6
			 "2800 0080 2400 0100 " HEX_C),
		"public_key=" HEX_B "\nallowed_ip=10.0.0.1/24\nallowed_ip=fd00::1/128\npublic_key=" HEX_C "\n");
}

static void refuses_answers(void)
{
	static const char *const bad[] = {
		"10000000 1f00 0200 00000000 00000000",
		"16000000 1f00 0200 00000000 00000000 00 01 0000 0600",						/* cut off */
		"18000000 1f00 0200 00000000 00000000 00 01 0000 0400 0300",					/* a key of nothing */
		"34000000 1f00 0200 00000000 00000000 00 01 0000 2000 0300 00000000000000000000000000000000000000000000000000000000",
		"1c000000 1f00 0200 00000000 00000000 00 01 0000 0700 0600 010203 00",				/* a port of 3 bytes */
		"1c000000 1f00 0200 00000000 00000000 00 01 0000 0800 0880 0400 0080",				/* a peer without a key */
		"48000000 1f00 0200 00000000 00000000 00 01 0000 3400 0880 3000 0080" PEER_HEAD "0800 0400 0200 0050",
		"48000000 1f00 0200 00000000 00000000 00 01 0000 3400 0880 3000 0080" PEER_HEAD "0800 0600 01000000",
		"4c000000 1f00 0200 00000000 00000000 00 01 0000 3800 0880 3400 0080" PEER_HEAD "0c00 0980 0800 0080 00000000",
	};

	for (size_t i = 0; i < array_size(bad); i++) {
		struct kernel_answer a = {.in_peer = false};

		if (kernel_answer_read(message(bad[i]), &a, &said) != -EBADMSG)
			test_note("not refused: %s", bad[i]);
		CHECK_EQ(kernel_answer_read(message(bad[i]), &(struct kernel_answer){.in_peer = false}, &said), -EBADMSG);
	}
}

/* Whatever the lengths inside say, nothing behind the message is read: the sanitizers look. */
static void bounds(void)
{
	const struct nlmsghdr *nlh = message("d4000000 1f00 0200 00000000 00000000 00 01 0000"
		"c000 0880 bc00 0080 " PEER_HEAD "2400 0200 " HEX_C "1400 0400 0200 0050 c0000201 0000000000000000"
		"0600 0500 1900 0000 1400 0600 0065cd1d00000000 0500000000000000"
		"0c00 0700 0100000000000000 0c00 0800 ffffffffffffffff 2000 0980" ALLOWED_4 "0800 0a00 01000000");
	size_t len = nlh->nlmsg_len, good = 0;

	for (size_t at = sizeof(*nlh) + 4; at < len; at++) {
		for (unsigned to = 0; to < 256; to += 15) {
			cleanup(free_ptr) uint8_t *copy = malloc(len);
			struct kernel_answer a = {.in_peer = false};

			memcpy(copy, bytes, len);
			copy[at] = (uint8_t)to;
			buf_clear(&said);
			good += kernel_answer_read((void *)copy, &a, &said) == 0;
		}
	}
	CHECK(good > 100);
}

/* ---- requests ---- */

struct sent {
	struct buf	bytes;		/* of all messages, one behind the other */
	unsigned	n, fail_at;
};

static int note(void *arg, struct nlmsghdr *nlh)
{
	struct sent *s = arg;

	buf_put(&s->bytes, nlh, nlh->nlmsg_len);
	return ++s->n == s->fail_at ? -EADDRINUSE : 0;
}

static int ask(const char *text, const char *now, struct sent *s)
{
	cleanup(running_freep) struct running *before = NULL;
	struct kernel_device d = {.family = 31, .ifindex = 7, .send = note, .arg = s};

	memset(d.nobody, 0x11, sizeof(d.nobody));
	CHECK_EQ(running_read(now, strlen(now), &before), 0);
	d.before = before;
	return kernel_request_send(&d, text, strlen(text));
}

/* The one message of a request is these bytes. */
static void sends(const char *text, const char *now, const char *hex)
{
	struct sent s = {.bytes = buf_of_max(1 << 20)};
	size_t n = test_unhex(hex, bytes, sizeof(bytes));

	CHECK_EQ(ask(text, now, &s), 0);
	CHECK_EQ(s.n, 1);
	CHECK_EQ(s.bytes.len, n);
	CHECK_MEM(s.bytes.data, bytes, n);
	buf_done(&s.bytes);
}

#define NONE "errno=0\n\n"

static void sends_device(void)
{
	sends("set=1\nprivate_key=" HEX_A "\nlisten_port=51819\nfwmark=7\nreplace_peers=true\n\n", NONE,
		HEAD("58000000") INDEX "2400 0300 " HEX_A "0600 0600 6bca 0000 0800 0700 07000000 0800 0500 01000000");
}

static void sends_peer(void)
{
	sends("set=1\npublic_key=" HEX_B "\npreshared_key=" HEX_C "\nendpoint=192.0.2.1:80\npersistent_keepalive_interval=25\n"
		"replace_allowed_ips=true\nallowed_ip=fd00::1/128\nallowed_ip=10.0.0.1/24\n\n", NONE,
		HEAD("d8000000") INDEX "bc00 0880 b800 0080 " PEER_HEAD "0800 0300 02000000 2400 0200 " HEX_C
		"1400 0400 0200 0050 c0000201 0000000000000000 0600 0500 1900 0000 4800 0980 " ALLOWED_6
		"1c00 0080 0600 0100 0200 0000 0800 0200 0a000000 0500 0300 18 000000");
	sends("set=1\npublic_key=" HEX_B "\nremove=true\npublic_key=" HEX_C "\nupdate_only=true\n\n", NONE,
		HEAD("80000000") INDEX "6400 0880 3000 0080 " PEER_HEAD "0800 0300 01000000"
		"3000 0080 2400 0100 " HEX_C "0800 0300 04000000");
}

/* What a peer keeps is not touched; what nobody is to have goes to a peer that goes. */
static void keeps_allowed(void)
{
	sends("set=1\npublic_key=" HEX_B "\nupdate_only=true\nreplace_allowed_ips=true\nallowed_ip=10.0.0.0/24\n\n",
		"public_key=" HEX_B "\nallowed_ip=10.0.0.0/24\nallowed_ip=fd00::1/128\nerrno=0\n\n",
		HEAD("f4000000") INDEX "d800 0880"
		"5400 0080 2400 0100 " NOBODY "2c00 0980 " ALLOWED_6
		"3000 0080 2400 0100 " NOBODY "0800 0300 01000000"
		"5000 0080 " PEER_HEAD "0800 0300 04000000 2000 0980 1c00 0080 0600 0100 0200 0000 0800 0200 0a000000 0500 0300 18 000000");
}

/* It may have it already when the other's turn comes. */
static void moves_allowed(void)
{
	sends("set=1\npublic_key=" HEX_C "\nupdate_only=true\nreplace_allowed_ips=true\nallowed_ip=fd00::1/128\n"
		"public_key=" HEX_B "\nupdate_only=true\nreplace_allowed_ips=true\n\n",
		"public_key=" HEX_B "\nallowed_ip=fd00::1/128\npublic_key=" HEX_C "\nerrno=0\n\n",
		HEAD("ac000000") INDEX "9000 0880"
		"5c00 0080 2400 0100 " HEX_C "0800 0300 04000000 2c00 0980 " ALLOWED_6
		"3000 0080 " PEER_HEAD "0800 0300 04000000");
}

/* What the kernel would have after the messages, if it answered with them. */
static void sends_many(void)
{
	struct sent s = {.bytes = buf_of_max(64 << 20)};
	struct buf text = buf_of_max(64 << 20), back = buf_of_max(64 << 20);
	struct kernel_answer a = {.in_peer = false};
	unsigned replaces = 0;

	buf_puts(&text, "set=1\nprivate_key=" HEX_A "\nreplace_peers=true\n");
	for (unsigned i = 0; i < 300; i++) {
		buf_printf(&text, "public_key=%064x\nreplace_allowed_ips=true\n", i + 1);
		for (unsigned j = 0; j < (i == 7 ? 3000 : 2); j++)
			buf_printf(&text, "allowed_ip=10.%u.%u.%u/32\n", i % 256, j / 256, j % 256);
	}
	buf_puts(&text, "\n");
	CHECK_EQ(ask(buf_str(&text), NONE, &s), 0);
	CHECK(s.n > 10);
	for (size_t at = 0; at < s.bytes.len;) {
		const struct nlmsghdr *nlh = (const void *)(s.bytes.data + at);

		CHECK(nlh->nlmsg_len <= KERNEL_MESSAGE_MAX);
		CHECK_EQ(kernel_answer_read(nlh, &a, &back), 0);
		/* A list of peers is thrown away in the first only. */
		for (size_t i = 0; i + 8 <= nlh->nlmsg_len; i += 4)
			replaces += !memcmp((const char *)nlh + i, "\x08\x00\x05\x00\x01\x00\x00\x00", 8);
		at += nlh->nlmsg_len;
	}
	CHECK_EQ(replaces, 1);
	/* The same text, but for what is no answer. */
	for (const char *p = buf_str(&text), *q = buf_str(&back); *p;) {
		size_t n = strcspn(p, "\n") + 1;

		if (strncmp(p, "set=", 4) != 0 && strncmp(p, "replace_", 8) != 0 && n > 1) {
			CHECK(!strncmp(p, q, n));
			q += n;
		}
		p += n;
	}
	buf_done(&text);
	buf_done(&back);
	buf_done(&s.bytes);
}

static void fails(void)
{
	static const char *const bad[] = {"", "get=1\n\n", "set=1\nx\n\n", "set=1\nlisten_port=65536\n\n", "set=1\nprivate_key=00\n\n",
		"set=1\nunknown=1\n\n", "set=1\npublic_key=" HEX_B "\nunknown=1\n\n", "set=1\npublic_key=" HEX_B "\nendpoint=a.example:7\n\n",
		"set=1\npublic_key=" HEX_B "\nallowed_ip=10.0.0.1/33\n\n", "set=1\nlisten_port=7", "set=1\npublic_key=" HEX_B "\nremove=false\n\n"};
	struct sent s = {.bytes = buf_of_max(1 << 20), .fail_at = 1};

	CHECK_EQ(ask("set=1\nlisten_port=7\n\n", NONE, &s), -EADDRINUSE);
	CHECK_EQ(s.n, 1);
	for (size_t i = 0; i < array_size(bad); i++) {
		struct sent none = {.bytes = buf_of_max(1 << 20)};

		if (ask(bad[i], NONE, &none) != -EINVAL || none.n)
			test_note("not refused: %s", bad[i]);
		CHECK_EQ(ask(bad[i], NONE, &none), -EINVAL);
		buf_done(&none.bytes);
	}
	buf_done(&s.bytes);
}

int main(void)
{
	test_run("what the kernel says of an interface becomes an answer [kernel-answer]", reads_device);
	test_run("and what it says of peers [kernel-answer]", reads_peers);
	test_run("a handshake whose time is none is none [kernel-answer]", reads_bad_times);
	test_run("a peer that comes in pieces is one [kernel-answer]", joins_pieces);
	test_run("what no kernel says is refused [kernel-answer]", refuses_answers);
	test_run("lengths that are wrong lead nowhere [kernel-answer]", bounds);
	test_run("a request about the interface becomes a message [kernel-request]", sends_device);
	test_run("and one about peers [kernel-request]", sends_peer);
	test_run("allowed IPs that a peer keeps stay where they are [kernel-request]", keeps_allowed);
	test_run("those that go to another peer are not taken from it again [kernel-request]", moves_allowed);
	test_run("what has no room in one message goes in several, and is the same [kernel-request]", sends_many);
	test_run("a request that is none sends nothing, and an error ends it [kernel-request]", fails);
	return test_done();
}
