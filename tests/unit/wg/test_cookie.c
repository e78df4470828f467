#include "base/test.h"
#include "wg/cookie.h"

#include <errno.h>

/* The linker sends every equal_const() of cookie.c here (--wrap). */
bool __real_equal_const(const void *a, const void *b, size_t len);
bool __wrap_equal_const(const void *a, const void *b, size_t len);
static unsigned n_compared;

bool __wrap_equal_const(const void *a, const void *b, size_t len)
{
	n_compared += len == MAC_LEN;
	return __real_equal_const(a, b, len);
}

#define S NS_PER_S
#define START (1000 * S)

/* Secret and nonce of the vectors below, then a plain generator. */
static unsigned n_random;
static void fake_random(void *arg, void *buf, size_t len)
{
	uint64_t *state = arg;
	uint8_t *b = buf;

	for (size_t i = 0; i < len; i++)
		b[i] = *state ? (uint8_t)(test_random(state) >> 32) :
				(uint8_t)((len == 32 ? 0x40 : 0xc0) + i);
	n_random++;
}

static uint64_t random_state;
static const struct wg_device_config config = {.random = fake_random, .arg = &random_state};

static struct cookie_checker checker;
static struct cookie_maker maker;
static uint8_t public_key[WG_KEY_LEN];
static struct wg_addr src4, src6;
static union {
	struct wg_initiation initiation;
	struct wg_response   response;
	uint8_t		     bytes[148];
} msg;
#define INITIATION sizeof(struct wg_initiation)
#define RESPONSE sizeof(struct wg_response)

static void setup(uint64_t seed)
{
	random_state = seed;
	n_random = n_compared = 0;
	for (unsigned i = 0; i < WG_KEY_LEN; i++)
		public_key[i] = (uint8_t)i;
	cookie_checker_init(&checker, public_key);
	cookie_maker_init(&maker, public_key);
	src4 = wg_addr_v4((uint8_t[]){192, 0, 2, 7}, 51820);
	src6 = wg_addr_v6((uint8_t[16]){0x20, 0x01, 0x0d, 0xb8, [15] = 7}, 4660, 0);
	for (unsigned i = 0; i < sizeof(msg.bytes); i++)
		msg.bytes[i] = (uint8_t)(i * 7 + 3);
	put_le32(msg.bytes, WG_MESSAGE_INITIATION);
}

static enum cookie_verdict check_at(uint64_t boot_ns, size_t len, const struct wg_addr *src)
{
	return cookie_check(&checker, boot_ns, src, &msg, len, true);
}

/* Send from the maker, be asked for a cookie, take it in: at ${boot_ns}, from ${src}. */
static void exchange(uint64_t boot_ns, size_t len, const struct wg_addr *src)
{
	struct wg_cookie_reply reply;

	cookie_add_macs(&maker, boot_ns, &msg, len);
	cookie_reply(&checker, &config, boot_ns, src, &msg, len, &reply);
	CHECK_EQ(cookie_consume(&maker, boot_ns, &reply), 0);
}

/*
 * Computed with Python's hashlib.blake2s(key=..., digest_size=16) and libsodium's
 * crypto_aead_xchacha20poly1305_ietf_encrypt from the inputs above.
 */
static void vectors(void)
{
	struct wg_cookie_reply reply;
	uint8_t want[64], before[116];

	setup(0);
	memcpy(before, &msg, sizeof(before));
	cookie_add_macs(&maker, START, &msg, INITIATION);
	CHECK_MEM(&msg, before, sizeof(before));
	test_unhex("57bab5330fd43228e33b81448f4a6012", want, 16);
	CHECK_MEM(msg.initiation.macs.mac1, want, 16);
	test_unhex("4fb2527ac956001553dc1ad9b55171b7d9daa3de1cdbcd71451830170c7e6cac", want, 32);
	CHECK_MEM(maker.mac1_key, want, 32);
	CHECK_MEM(checker.mac1_key, want, 32);
	test_unhex("3dd5869c5202e45146936d1644f76ff697061661c181f3fd450eae43932eacec", want, 32);
	CHECK_MEM(maker.cookie_key, want, 32);
	CHECK_MEM(checker.cookie_key, want, 32);

	cookie_reply(&checker, &config, START, &src4, &msg, INITIATION, &reply);
	CHECK_EQ(get_le32(reply.type), 3);
	CHECK_MEM(reply.receiver, msg.initiation.sender, 4);
	for (unsigned i = 0; i < 24; i++)
		CHECK_EQ(reply.nonce[i], 0xc0 + i);
	test_unhex("d36cd9b0616fd1ab80b24a4d3796b940dcc7e4012113c6073507a78f77549ea1", want, 32);
	CHECK_MEM(reply.cookie, want, 32);
	CHECK_EQ(cookie_consume(&maker, START, &reply), 0);
	test_unhex("f027dfacc79b51120051e53a009e908e", want, 16);
	CHECK_MEM(maker.cookie, want, 16);
	cookie_add_macs(&maker, START, &msg, INITIATION);
	test_unhex("247e957a60c32ccb5a5c35987e5a0621", want, 16);
	CHECK_MEM(msg.initiation.macs.mac2, want, 16);
	CHECK_EQ(check_at(START, INITIATION, &src4), COOKIE_MAC2);

	cookie_reply(&checker, &config, START, &src6, &msg, INITIATION, &reply);
	test_unhex("9af1752b17aaa4dbafd074317417d8ebcc65c4c0845cd63888af0d270e777523", want, 32);
	CHECK_MEM(reply.cookie, want, 32);
	CHECK_EQ(cookie_consume(&maker, START, &reply), 0);
	cookie_add_macs(&maker, START, &msg, INITIATION);
	test_unhex("0d486b2b96fbb949d7bf1bfb17a5ae5c", want, 16);
	CHECK_MEM(msg.initiation.macs.mac2, want, 16);
	CHECK_EQ(check_at(START, INITIATION, &src6), COOKIE_MAC2);
	CHECK_EQ(check_at(START, INITIATION, &src4), COOKIE_MAC1_ONLY);
}

static void response(void)
{
	struct wg_cookie_reply reply;

	setup(7);
	put_le32(msg.bytes, WG_MESSAGE_RESPONSE);
	cookie_add_macs(&maker, START, &msg, RESPONSE);
	CHECK_EQ(check_at(START, RESPONSE, &src4), COOKIE_MAC1_ONLY);
	cookie_reply(&checker, &config, START, &src4, &msg, RESPONSE, &reply);
	CHECK_MEM(reply.receiver, msg.response.sender, 4);
	CHECK_EQ(cookie_consume(&maker, START, &reply), 0);
	cookie_add_macs(&maker, START, &msg, RESPONSE);
	CHECK_EQ(check_at(START, RESPONSE, &src4), COOKIE_MAC2);
}

static void wrong_mac1(void)
{
	uint8_t other[WG_KEY_LEN] = {9};

	setup(7);
	exchange(START, INITIATION, &src4);
	cookie_add_macs(&maker, START, &msg, INITIATION);
	CHECK_EQ(check_at(START, INITIATION, &src4), COOKIE_MAC2);
	/* Every bit of the message counts for mac1, but for those of mac2. */
	for (unsigned bit = 0; bit < 8 * (INITIATION - MAC_LEN); bit++) {
		msg.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
		CHECK_EQ(check_at(START, INITIATION, &src4), COOKIE_BAD_MAC1);
		CHECK_EQ(cookie_check(&checker, START, &src4, &msg, INITIATION, false), COOKIE_BAD_MAC1);
		msg.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	for (unsigned bit = 8 * (INITIATION - MAC_LEN); bit < 8 * INITIATION; bit++) {
		msg.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
		CHECK_EQ(check_at(START, INITIATION, &src4), COOKIE_MAC1_ONLY);
		msg.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	CHECK_EQ(check_at(START, INITIATION, &src4), COOKIE_MAC2);
	/* Meant for another key. */
	cookie_maker_init(&maker, other);
	cookie_add_macs(&maker, START, &msg, INITIATION);
	CHECK_EQ(check_at(START, INITIATION, &src4), COOKIE_BAD_MAC1);
	memset(&msg.initiation.macs, 0, sizeof(msg.initiation.macs));
	CHECK_EQ(check_at(START, INITIATION, &src4), COOKIE_BAD_MAC1);
}

static void not_under_load(void)
{
	setup(7);
	exchange(START, INITIATION, &src4);
	cookie_add_macs(&maker, START, &msg, INITIATION);
	CHECK_EQ(cookie_check(&checker, START, &src4, &msg, INITIATION, false), COOKIE_MAC1_ONLY);
	memset(msg.initiation.macs.mac2, 0xff, MAC_LEN);
	CHECK_EQ(cookie_check(&checker, START, &src4, &msg, INITIATION, false), COOKIE_MAC1_ONLY);
}

static void no_cookie_no_mac2(void)
{
	static const uint8_t zero[MAC_LEN];
	uint8_t zero_secret[32] = {0}, from[6] = {192, 0, 2, 7, 51820 >> 8, 51820 & 255};
	uint8_t cookie[MAC_LEN];

	setup(7);
	cookie_add_macs(&maker, START, &msg, INITIATION);
	CHECK_MEM(msg.initiation.macs.mac2, zero, MAC_LEN);
	CHECK_EQ(check_at(START, INITIATION, &src4), COOKIE_MAC1_ONLY);
	/* Before the first reply there is no secret.  An attacker tries what a secret of zeroes would have made. */
	mac(cookie, MAC_LEN, zero_secret, 32, from, 6);
	mac(msg.initiation.macs.mac2, MAC_LEN, cookie, MAC_LEN, &msg, INITIATION - MAC_LEN);
	CHECK_EQ(check_at(START, INITIATION, &src4), COOKIE_MAC1_ONLY);
	CHECK_EQ(check_at(0, INITIATION, &src4), COOKIE_MAC1_ONLY);
	exchange(START, INITIATION, &src4);
	memset(msg.initiation.macs.mac2, 0, MAC_LEN);
	CHECK_EQ(check_at(START, INITIATION, &src4), COOKIE_MAC1_ONLY);
	/* A change of our own key takes the secret along. */
	cookie_checker_init(&checker, public_key);
	cookie_add_macs(&maker, START, &msg, INITIATION);
	CHECK_EQ(check_at(START, INITIATION, &src4), COOKIE_MAC1_ONLY);
}

static void address_and_port(void)
{
	struct wg_addr other;

	setup(7);
	exchange(START, INITIATION, &src4);
	cookie_add_macs(&maker, START, &msg, INITIATION);
	CHECK_EQ(check_at(START, INITIATION, &src4), COOKIE_MAC2);
	for (unsigned bit = 0; bit < 16; bit++) {
		other = src4;
		other.port ^= (uint16_t)(1 << bit);
		CHECK_EQ(check_at(START, INITIATION, &other), COOKIE_MAC1_ONLY);
	}
	for (unsigned bit = 0; bit < 32; bit++) {
		other = src4;
		other.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
		CHECK_EQ(check_at(START, INITIATION, &other), COOKIE_MAC1_ONLY);
	}
	exchange(START, INITIATION, &src6);
	cookie_add_macs(&maker, START, &msg, INITIATION);
	CHECK_EQ(check_at(START, INITIATION, &src6), COOKIE_MAC2);
	for (unsigned bit = 0; bit < 128; bit++) { /* no /64 here: the whole address */
		other = src6;
		other.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
		CHECK_EQ(check_at(START, INITIATION, &other), COOKIE_MAC1_ONLY);
	}
	other = src6;
	other.port++;
	CHECK_EQ(check_at(START, INITIATION, &other), COOKIE_MAC1_ONLY);
	other = src6;
	other.family = AF_INET;
	CHECK_EQ(check_at(START, INITIATION, &other), COOKIE_MAC1_ONLY);
}

static void secret_age(void)
{
	struct wg_cookie_reply reply;
	uint8_t first[32];

	setup(7);
	exchange(START, INITIATION, &src4);
	CHECK_EQ(n_random, 2); /* secret and nonce */
	memcpy(first, checker.secret, 32);
	cookie_add_macs(&maker, START, &msg, INITIATION);
	CHECK_EQ(check_at(START + 120 * S - 1, INITIATION, &src4), COOKIE_MAC2);
	CHECK_EQ(check_at(START + 120 * S, INITIATION, &src4), COOKIE_MAC1_ONLY);
	CHECK_EQ(check_at(START + 100000 * S, INITIATION, &src4), COOKIE_MAC1_ONLY);
	CHECK_EQ(check_at(START - 100 * S, INITIATION, &src4), COOKIE_MAC2); /* a clock that went back */
	/* Replies do not renew it before its time. */
	cookie_reply(&checker, &config, START + 120 * S - 1, &src4, &msg, INITIATION, &reply);
	CHECK_EQ(n_random, 3);
	CHECK_MEM(checker.secret, first, 32);
	CHECK_EQ(check_at(START + 120 * S, INITIATION, &src4), COOKIE_MAC1_ONLY);
	cookie_reply(&checker, &config, START + 120 * S, &src4, &msg, INITIATION, &reply);
	CHECK_EQ(n_random, 5);
	CHECK(memcmp(checker.secret, first, 32));
	CHECK_EQ(check_at(START + 120 * S, INITIATION, &src4), COOKIE_MAC1_ONLY); /* made with the old one */
	exchange(START + 130 * S, INITIATION, &src4);
	cookie_add_macs(&maker, START + 130 * S, &msg, INITIATION);
	CHECK_EQ(check_at(START + 240 * S - 1, INITIATION, &src4), COOKIE_MAC2);
	CHECK_EQ(check_at(START + 240 * S, INITIATION, &src4), COOKIE_MAC1_ONLY);
}

static void clock_at_zero(void)
{
	setup(7);
	exchange(0, INITIATION, &src4);
	cookie_add_macs(&maker, 0, &msg, INITIATION);
	CHECK_EQ(check_at(0, INITIATION, &src4), COOKIE_MAC2);
	exchange(0, INITIATION, &src4);
	CHECK_EQ(n_random, 3); /* one secret, two nonces */
}

static void cookie_age(void)
{
	static const uint8_t zero[MAC_LEN];
	struct wg_cookie_reply reply;

	setup(7);
	cookie_add_macs(&maker, START, &msg, INITIATION);
	cookie_reply(&checker, &config, START, &src4, &msg, INITIATION, &reply);
	CHECK_EQ(cookie_consume(&maker, START + 3 * S, &reply), 0); /* from when it came */
	cookie_add_macs(&maker, START + 118 * S - 1, &msg, INITIATION);
	CHECK_EQ(check_at(START + 118 * S - 1, INITIATION, &src4), COOKIE_MAC2);
	cookie_add_macs(&maker, START + 118 * S, &msg, INITIATION);
	CHECK_MEM(msg.initiation.macs.mac2, zero, MAC_LEN);
	CHECK_MEM(maker.cookie, zero, MAC_LEN); /* wiped */
	/* And it does not come back with the clock. */
	cookie_add_macs(&maker, START + 50 * S, &msg, INITIATION);
	CHECK_MEM(msg.initiation.macs.mac2, zero, MAC_LEN);
}

static void one_cookie_per_mac1(void)
{
	struct wg_cookie_reply first, second;
	struct cookie_maker before;

	setup(7);
	cookie_add_macs(&maker, START, &msg, INITIATION);
	cookie_reply(&checker, &config, START, &src4, &msg, INITIATION, &first);
	cookie_reply(&checker, &config, START, &src6, &msg, INITIATION, &second);
	CHECK(memcmp(first.nonce, second.nonce, sizeof(first.nonce)));
	CHECK_EQ(cookie_consume(&maker, START, &first), 0);
	before = maker;
	CHECK_EQ(cookie_consume(&maker, START + S, &first), -EBADMSG);
	CHECK_EQ(cookie_consume(&maker, START + S, &second), -EBADMSG);
	CHECK_MEM(&maker, &before, sizeof(maker));
	/* Nor for a message that is not the last. */
	cookie_add_macs(&maker, START, &msg, INITIATION);
	cookie_reply(&checker, &config, START, &src4, &msg, INITIATION, &first);
	msg.bytes[50] ^= 1;
	cookie_add_macs(&maker, START, &msg, INITIATION);
	CHECK_EQ(cookie_consume(&maker, START, &first), -EBADMSG);
	/* That was no answer: the right one is still waited for. */
	cookie_reply(&checker, &config, START, &src4, &msg, INITIATION, &first);
	CHECK_EQ(cookie_consume(&maker, START, &first), 0);
}

static void unasked(void)
{
	struct wg_cookie_reply reply;

	setup(7);
	memset(msg.initiation.macs.mac1, 0, MAC_LEN); /* what a maker that has sent nothing holds */
	cookie_reply(&checker, &config, START, &src4, &msg, INITIATION, &reply);
	CHECK_EQ(cookie_consume(&maker, START, &reply), -EBADMSG);
	CHECK(!maker.have_cookie);
}

static void foreign_and_corrupted(void)
{
	uint8_t other_key[WG_KEY_LEN] = {9};
	struct cookie_checker other;
	struct wg_cookie_reply reply, bad;
	struct cookie_maker before;

	setup(7);
	cookie_checker_init(&other, other_key);
	cookie_add_macs(&maker, START, &msg, INITIATION);
	before = maker;
	/* Another peer saw our message and answers. */
	cookie_reply(&other, &config, START, &src4, &msg, INITIATION, &reply);
	CHECK_EQ(cookie_consume(&maker, START, &reply), -EBADMSG);
	CHECK_MEM(&maker, &before, sizeof(maker));
	cookie_reply(&checker, &config, START, &src4, &msg, INITIATION, &reply);
	for (unsigned bit = 8 * offsetof(struct wg_cookie_reply, nonce); bit < 8 * sizeof(reply); bit++) {
		bad = reply;
		((uint8_t *)&bad)[bit / 8] ^= (uint8_t)(1 << bit % 8);
		CHECK_EQ(cookie_consume(&maker, START, &bad), -EBADMSG);
	}
	CHECK_MEM(&maker, &before, sizeof(maker));
	CHECK_EQ(cookie_consume(&maker, START, &reply), 0);
}

static void constant_time(void)
{
	setup(7);
	exchange(START, INITIATION, &src4);
	cookie_add_macs(&maker, START, &msg, INITIATION);
	n_compared = 0;
	CHECK_EQ(check_at(START, INITIATION, &src4), COOKIE_MAC2);
	CHECK_EQ(n_compared, 2);
	CHECK_EQ(cookie_check(&checker, START, &src4, &msg, INITIATION, false), COOKIE_MAC1_ONLY);
	CHECK_EQ(n_compared, 3);
	msg.bytes[20] ^= 1;
	CHECK_EQ(check_at(START, INITIATION, &src4), COOKIE_BAD_MAC1);
	CHECK_EQ(n_compared, 4);
}

int main(void)
{
	test_run("MACs and cookies are those that other libraries compute [mac-mac1-key] [mac-mac2-key] [cookie-reply-bytes]", vectors);
	test_run("a response is asked for a cookie like an initiation [cookie-reply-response] [cookie-reply-receiver]", response);
	test_run("a message whose mac1 is not for our key is refused [mac-mac1-key]", wrong_mac1);
	test_run("without load mac2 is not looked at [load-idle-mac1-only]", not_under_load);
	test_run("without a cookie no mac2 is right, zero or guessed [mac-mac2-zero]", no_cookie_no_mac2);
	test_run("a cookie is good for one address and one port [mac-cookie-port] [mac-cookie-address]", address_and_port);
	test_run("a cookie is accepted while its secret is younger than 120 s [cookie-secret-age]", secret_age);
	test_run("a clock that begins at zero makes one secret [cookie-secret-age]", clock_at_zero);
	test_run("a cookie is used for 115 s and wiped [cookie-use-age]", cookie_age);
	test_run("a message takes one cookie, and only the last message does [cookie-consume-once]",
		one_cookie_per_mac1);
	test_run("a cookie that nobody asked for is refused [cookie-consume-outstanding]", unasked);
	test_run("a cookie from another peer, or with a bit wrong, is refused [cookie-reply-aad]",
		foreign_and_corrupted);
	test_run("both MACs are compared in constant time [mac-mac1-key] [mac-mac2-key]", constant_time);
	return test_done();
}
