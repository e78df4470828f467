#include "wg/cookie.h"

#include <errno.h>

ENUM_DEFINE(cookie_verdict, COOKIE_VERDICT_LIST);

#define MACS_LEN sizeof(struct wg_macs)

static void derive_keys(uint8_t ret_mac1_key[HASH_LEN], uint8_t ret_cookie_key[HASH_LEN],
	const uint8_t public_key[WG_KEY_LEN])
{
	hash2(ret_mac1_key, WG_LABEL_MAC1, strlen(WG_LABEL_MAC1), public_key, WG_KEY_LEN);
	hash2(ret_cookie_key, WG_LABEL_COOKIE, strlen(WG_LABEL_COOKIE), public_key, WG_KEY_LEN);
}

/* A clock that went back makes nothing old. */
static bool older(uint64_t made_ns, uint64_t boot_ns, uint64_t age_ns)
{
	return boot_ns > made_ns && boot_ns - made_ns >= age_ns;
}

/* ---- the responder's end ---- */

void cookie_checker_init(struct cookie_checker *c, const uint8_t public_key[WG_KEY_LEN])
{
	explicit_bzero(c, sizeof(*c));
	derive_keys(c->mac1_key, c->cookie_key, public_key);
}

static bool have_secret(const struct cookie_checker *c, uint64_t boot_ns)
{
	return c->secret_made_ns && !older(c->secret_made_ns, boot_ns, WG_COOKIE_SECRET_AGE_NS);
}

static void make_cookie(
	const struct cookie_checker *c, const struct wg_addr *src, uint8_t ret[MAC_LEN])
{
	size_t len = src->family == AF_INET ? 4 : 16;
	uint8_t from[18];

	memcpy(from, src->bytes, len);
	put_be16(from + len, src->port);
	mac(ret, MAC_LEN, c->secret, sizeof(c->secret), from, len + 2);
}

enum cookie_verdict cookie_check(const struct cookie_checker *c, uint64_t boot_ns,
	const struct wg_addr *src, const void *msg, size_t len, bool check_mac2)
{
	const struct wg_macs *macs = (const void *)((const uint8_t *)msg + len - MACS_LEN);
	uint8_t want[MAC_LEN], cookie[MAC_LEN];
	bool good;

	mac(want, MAC_LEN, c->mac1_key, sizeof(c->mac1_key), msg, len - MACS_LEN);
	if (!equal_const(want, macs->mac1, MAC_LEN))
		return COOKIE_BAD_MAC1;
	/* Without a secret of our own, anybody could compute what it would have made. */
	if (!check_mac2 || !have_secret(c, boot_ns))
		return COOKIE_MAC1_ONLY;
	make_cookie(c, src, cookie);
	mac(want, MAC_LEN, cookie, MAC_LEN, msg, len - MAC_LEN);
	good = equal_const(want, macs->mac2, MAC_LEN);
	explicit_bzero(cookie, sizeof(cookie));
	explicit_bzero(want, sizeof(want));
	return good ? COOKIE_MAC2 : COOKIE_MAC1_ONLY;
}

void cookie_reply(struct cookie_checker *c, const struct wg_device_config *random, uint64_t boot_ns,
	const struct wg_addr *src, const void *msg, size_t len, struct wg_cookie_reply *ret)
{
	const struct wg_macs *macs = (const void *)((const uint8_t *)msg + len - MACS_LEN);
	uint8_t cookie[MAC_LEN];

	if (!have_secret(c, boot_ns)) {
		random->random(random->arg, c->secret, sizeof(c->secret));
		c->secret_made_ns = max(boot_ns, (uint64_t)1); /* 0 means none */
	}
	put_le32(ret->type, WG_MESSAGE_COOKIE);
	/* The sender's index lies at one place in both messages. */
	memcpy(ret->receiver, ((const struct wg_initiation *)msg)->sender, sizeof(ret->receiver));
	random->random(random->arg, ret->nonce, sizeof(ret->nonce));
	make_cookie(c, src, cookie);
	xaead_seal(c->cookie_key, ret->nonce, macs->mac1, MAC_LEN, cookie, MAC_LEN, ret->cookie);
	explicit_bzero(cookie, sizeof(cookie));
}

_Static_assert(
	offsetof(struct wg_initiation, sender) == offsetof(struct wg_response, sender), "5.4.7");

/* ---- the initiator's end ---- */

void cookie_maker_init(struct cookie_maker *m, const uint8_t public_key[WG_KEY_LEN])
{
	explicit_bzero(m, sizeof(*m));
	derive_keys(m->mac1_key, m->cookie_key, public_key);
}

void cookie_add_macs(struct cookie_maker *m, uint64_t boot_ns, void *msg, size_t len)
{
	struct wg_macs *macs = (void *)((uint8_t *)msg + len - MACS_LEN);

	mac(macs->mac1, MAC_LEN, m->mac1_key, sizeof(m->mac1_key), msg, len - MACS_LEN);
	memcpy(m->last_mac1, macs->mac1, MAC_LEN);
	m->have_last_mac1 = true;
	if (m->have_cookie &&
		older(m->cookie_got_ns, boot_ns, WG_COOKIE_SECRET_AGE_NS - WG_COOKIE_LATENCY_NS)) {
		explicit_bzero(m->cookie, sizeof(m->cookie));
		m->have_cookie = false;
	}
	if (m->have_cookie)
		mac(macs->mac2, MAC_LEN, m->cookie, MAC_LEN, msg, len - MAC_LEN);
	else
		memset(macs->mac2, 0, MAC_LEN);
}

int cookie_consume(struct cookie_maker *m, uint64_t boot_ns, const struct wg_cookie_reply *reply)
{
	uint8_t cookie[MAC_LEN];

	if (!m->have_last_mac1 ||
		!xaead_open(m->cookie_key, reply->nonce, m->last_mac1, MAC_LEN, reply->cookie,
			sizeof(reply->cookie), cookie))
		return -EBADMSG;
	memcpy(m->cookie, cookie, MAC_LEN);
	explicit_bzero(cookie, sizeof(cookie));
	m->cookie_got_ns = boot_ns;
	m->have_cookie = true;
	m->have_last_mac1 = false; /* a second reply to the same message is nobody's answer */
	return 0;
}
