/*
 * wg/messages.h - what is on the wire, and every number of the protocol.
 *
 * Sources: "WireGuard: Next Generation Kernel Network Tunnel" (Donenfeld, 2020-06-01 edition),
 * section 5.4 for the messages and section 6.1 for the constants.  All fields are little-endian and
 * unaligned on the wire; structures hold bytes only, so that they may be laid over a datagram.
 */
#pragma once

#include "base/enum.h"
#include "crypto/aead.h"
#include "crypto/hash.h"
#include "crypto/x25519.h"

#define WG_KEY_LEN 32
#define WG_TIMESTAMP_LEN 12
#define WG_CONSTRUCTION "Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s"
#define WG_IDENTIFIER "WireGuard v1 zx2c4 Jason@zx2c4.com"
#define WG_LABEL_MAC1 "mac1----"
#define WG_LABEL_COOKIE "cookie--"

#define NS_PER_MS 1000000ULL
#define NS_PER_S 1000000000ULL

#define WG_REKEY_AFTER_MESSAGES (1ULL << 60)
#define WG_REJECT_AFTER_MESSAGES (UINT64_MAX - (1ULL << 13))
#define WG_REKEY_AFTER_TIME_NS (120 * NS_PER_S)
#define WG_REJECT_AFTER_TIME_NS (180 * NS_PER_S)
#define WG_REKEY_ATTEMPT_TIME_NS (90 * NS_PER_S)
#define WG_REKEY_TIMEOUT_NS (5 * NS_PER_S)
#define WG_KEEPALIVE_TIMEOUT_NS (10 * NS_PER_S)
#define WG_JITTER_MAX_MS 333 /* uniform 0..333, on retransmission and on the new-handshake timer */
#define WG_MAX_TIMER_HANDSHAKES (WG_REKEY_ATTEMPT_TIME_NS / WG_REKEY_TIMEOUT_NS)
#define WG_ZERO_KEYS_AFTER_NS (3 * WG_REJECT_AFTER_TIME_NS)
/* An initiator that still receives rekeys this long before its key dies. */
#define WG_REKEY_ON_RECEIVE_NS                                                                     \
	(WG_REJECT_AFTER_TIME_NS - WG_KEEPALIVE_TIMEOUT_NS - WG_REKEY_TIMEOUT_NS)
#define WG_INITIATIONS_PER_SECOND 50 /* accepted from one peer */
#define WG_COOKIE_SECRET_AGE_NS (120 * NS_PER_S)
#define WG_COOKIE_LATENCY_NS (5 * NS_PER_S) /* a cookie is used for 115 s: its secret may be 5 s younger */
#define WG_UNDER_LOAD_AFTER_NS (1 * NS_PER_S)

#define WG_REPLAY_WINDOW 8128
#define WG_HANDSHAKE_QUEUE 4096 /* messages; the device is under load from 1/8 of it */
#define WG_STAGED_MAX 128	/* packets per peer */
#define WG_STAGED_BYTES_MAX (4u << 20)
#define WG_PEERS_MAX (1u << 20)
#define WG_BATCH_MAX 128 /* packets per reservation; workers x batch stay below the replay window */
#define WG_WORKERS_MAX 32
#define WG_PADDING 16
#define WG_TOS_HANDSHAKE 0x88 /* AF41, not ECN-capable */

#define WG_MESSAGE_LIST(X)                                                                         \
	X(WG_MESSAGE_INITIATION, 1, "initiation", "handshake, first message")                      \
	X(WG_MESSAGE_RESPONSE, 2, "response", "handshake, second message")                         \
	X(WG_MESSAGE_COOKIE, 3, "cookie", "come back with this cookie: the responder is under load")   \
	X(WG_MESSAGE_DATA, 4, "data", "an encrypted packet, or a keepalive when empty")
ENUM_DECLARE(wg_message, WG_MESSAGE_LIST);

struct wg_macs {
	uint8_t mac1[MAC_LEN];
	uint8_t mac2[MAC_LEN];
};

struct wg_initiation {
	uint8_t		type[4];
	uint8_t		sender[4];
	uint8_t		ephemeral[WG_KEY_LEN];
	uint8_t		static_[WG_KEY_LEN + AEAD_TAG_LEN];
	uint8_t		timestamp[WG_TIMESTAMP_LEN + AEAD_TAG_LEN];
	struct wg_macs	macs;
};

struct wg_response {
	uint8_t		type[4];
	uint8_t		sender[4];
	uint8_t		receiver[4];
	uint8_t		ephemeral[WG_KEY_LEN];
	uint8_t		empty[AEAD_TAG_LEN];
	struct wg_macs	macs;
};

struct wg_cookie_reply {
	uint8_t	type[4];
	uint8_t	receiver[4];
	uint8_t	nonce[XAEAD_NONCE_LEN];
	uint8_t	cookie[MAC_LEN + AEAD_TAG_LEN];
};

struct wg_data {
	uint8_t	type[4];
	uint8_t	receiver[4];
	uint8_t	counter[8];
};

_Static_assert(sizeof(struct wg_initiation) == 148, "section 5.4.2");
_Static_assert(sizeof(struct wg_response) == 92, "section 5.4.3");
_Static_assert(sizeof(struct wg_cookie_reply) == 64, "section 5.4.7");
_Static_assert(sizeof(struct wg_data) == 16, "section 5.4.6");

#define WG_DATA_OVERHEAD (sizeof(struct wg_data) + AEAD_TAG_LEN)
#define WG_KEEPALIVE_LEN WG_DATA_OVERHEAD

/*
 * wg_message_check(msg, len): the type of a datagram whose type field and length fit each other,
 * else 0. Nothing else of it is looked at.
 */
static inline enum wg_message wg_message_check(const void *msg, size_t len)
{
	uint32_t type = len >= 4 ? get_le32(msg) : 0; /* the three reserved bytes are part of it */

	if (type == WG_MESSAGE_DATA && len >= WG_KEEPALIVE_LEN)
		return WG_MESSAGE_DATA;
	if ((type == WG_MESSAGE_INITIATION && len == sizeof(struct wg_initiation)) ||
		(type == WG_MESSAGE_RESPONSE && len == sizeof(struct wg_response)) ||
		(type == WG_MESSAGE_COOKIE && len == sizeof(struct wg_cookie_reply)))
		return (enum wg_message)type;
	return (enum wg_message)0;
}
