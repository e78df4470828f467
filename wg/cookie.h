/*
 * wg/cookie.h - mac1, mac2 and cookies (paper, sections 5.3, 5.4.4, 5.4.7), both ends of them.
 *
 * The checker is the responder's: it says what a message's MACs are worth and makes cookie replies.
 * The maker is one per peer: it adds MACs to what is sent there and takes in cookie replies.  Knows
 * no handshake, queue or limiter.
 */
#pragma once

#include "wg/device.h"

struct cookie_checker {
	uint8_t  mac1_key[HASH_LEN];	/* H("mac1----" || our public key) */
	uint8_t  cookie_key[HASH_LEN];	/* H("cookie--" || our public key) */
	uint8_t  secret[32];
	uint64_t secret_made_ns;	/* boot time; 0: none yet */
};

/* Our public key changed. */
void cookie_checker_init(struct cookie_checker *c, const uint8_t public_key[WG_KEY_LEN]);

#define COOKIE_VERDICT_LIST(X)                                                                     \
	X(COOKIE_BAD_MAC1, 0, "bad-mac1", "not meant for our key: no answer")                      \
	X(COOKIE_MAC1_ONLY, 1, "mac1-only", "enough when there is no load")                        \
	X(COOKIE_MAC2, 2, "mac2", "the sender owns its address")
ENUM_DECLARE(cookie_verdict, COOKIE_VERDICT_LIST);

/*
 * cookie_check(c, now_ns, src, msg, len, check_mac2): ${msg} is an initiation or response with its
 * length checked; the MACs are its last 32 bytes.  Constant time.  A secret older than 120 s makes
 * no valid mac2.
 */
enum cookie_verdict cookie_check(const struct cookie_checker *c, uint64_t boot_ns,
	const struct wg_addr *src, const void *msg, size_t len, bool check_mac2);

/*
 * cookie_reply(c, config, now_ns, src, msg, len, ret): the answer to ${msg}, bound to address and
 * port of ${src} and to its mac1; makes a new secret when the old one is 120 s old.
 */
void cookie_reply(struct cookie_checker *c, const struct wg_device_config *random, uint64_t boot_ns,
	const struct wg_addr *src, const void *msg, size_t len, struct wg_cookie_reply *ret);

struct cookie_maker {
	uint8_t  mac1_key[HASH_LEN];
	uint8_t  cookie_key[HASH_LEN];
	uint8_t  last_mac1[MAC_LEN];
	uint8_t  cookie[MAC_LEN];
	uint64_t cookie_got_ns;
	bool     have_cookie, have_last_mac1;
};

/* ${public_key}: the peer's. */
void cookie_maker_init(struct cookie_maker *m, const uint8_t public_key[WG_KEY_LEN]);

/*
 * cookie_add_macs(m, boot_ns, msg, len): fill in the last 32 bytes; mac2 is zero without a cookie
 * younger than 115 s.
 */
void cookie_add_macs(struct cookie_maker *m, uint64_t boot_ns, void *msg, size_t len);

/*
 * cookie_consume(m, boot_ns, reply): 0, or -EBADMSG when no mac1 is outstanding or the reply does
 * not decrypt against it.  One cookie per mac1.
 */
int cookie_consume(struct cookie_maker *m, uint64_t boot_ns, const struct wg_cookie_reply *reply);
