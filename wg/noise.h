/*
 * wg/noise.h - Noise_IKpsk2 as WireGuard uses it (paper, sections 5.4.2, 5.4.3, 5.4.5): messages to
 * keys and back.
 *
 * Pure functions over bytes.  Knows no peer, index table, timer or MAC: the last 32 bytes of a
 * message are left alone.  Each returns WG_DROP_NONE, or why it stopped: LOW_ORDER, BAD_HANDSHAKE
 * or NO_MEMORY, with the outputs then not to be used.  Every Diffie-Hellman product is compared to
 * zero.
 */
#pragma once

#include "wg/drop.h"
#include "wg/messages.h"

struct noise_state {
	uint8_t hash[HASH_LEN];
	uint8_t chaining_key[HASH_LEN];
};

/* What every handshake begins with: the hash of WG_CONSTRUCTION, and that of it and WG_IDENTIFIER. */
extern const uint8_t noise_initial_chaining_key[HASH_LEN], noise_initial_hash[HASH_LEN];

void noise_state_wipe(struct noise_state *s);

/* What this end brings to each handshake. */
struct noise_self {
	struct aead	*aead;
	struct x25519	*key;		/* our static key */
};

/*
 * noise_initiation_create: ${static_static} is DH(our static, ${peer_public}), ${ephemeral} ours
 * and kept by the caller for the response.  Fills ${msg} up to its MACs.
 */
enum wg_drop noise_initiation_create(const struct noise_self *self,
	const uint8_t peer_public[WG_KEY_LEN], const uint8_t static_static[WG_KEY_LEN],
	const struct x25519 *ephemeral, const uint8_t timestamp[WG_TIMESTAMP_LEN], uint32_t sender,
	struct noise_state *ret, struct wg_initiation *msg);

/*
 * The responder reads an initiation in two steps: who it is, and, with what is known of that peer,
 * when it was made.
 */
enum wg_drop noise_initiation_read_static(const struct noise_self *self,
	const struct wg_initiation *msg, struct noise_state *ret,
	uint8_t ret_peer_public[WG_KEY_LEN]);
enum wg_drop noise_initiation_read_timestamp(const struct noise_self *self,
	const struct wg_initiation *msg, const uint8_t static_static[WG_KEY_LEN],
	struct noise_state *s, uint8_t ret_timestamp[WG_TIMESTAMP_LEN]);

struct noise_keys {
	uint8_t send[AEAD_KEY_LEN];
	uint8_t receive[AEAD_KEY_LEN];
};

/*
 * noise_response_create: ${s} as the two reads left it; ${peer_ephemeral} from the initiation.
 * Fills ${msg} up to its MACs.
 */
enum wg_drop noise_response_create(const struct noise_self *self, struct noise_state *s,
	const uint8_t peer_ephemeral[WG_KEY_LEN], const uint8_t peer_public[WG_KEY_LEN],
	const uint8_t preshared_key[WG_KEY_LEN], const struct x25519 *ephemeral, uint32_t sender,
	uint32_t receiver, struct wg_response *msg, struct noise_keys *ret);

/*
 * noise_response_read: ${s} as the initiation left it; unchanged, so that a wrong response spoils
 * nothing.
 */
enum wg_drop noise_response_read(const struct noise_self *self, const struct noise_state *s,
	const struct x25519 *ephemeral, const uint8_t preshared_key[WG_KEY_LEN],
	const struct wg_response *msg, struct noise_keys *ret);

/*
 * noise_timestamp(real_ns, ret): TAI64N, with the nanoseconds in steps of 2^24 (16.8 ms), so that
 * timers do not leak.
 */
void noise_timestamp(uint64_t real_ns, uint8_t ret[WG_TIMESTAMP_LEN]);
