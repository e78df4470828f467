#include "wg/noise.h"

#include <errno.h>

/* 2^62 + 10: TAI's label for the Unix epoch, as WireGuard writes it. */
#define TAI64_EPOCH 0x400000000000000aULL

/* clang-format off */
const uint8_t noise_initial_chaining_key[HASH_LEN] = {
	0x60, 0xe2, 0x6d, 0xae, 0xf3, 0x27, 0xef, 0xc0,
	0x2e, 0xc3, 0x35, 0xe2, 0xa0, 0x25, 0xd2, 0xd0,
	0x16, 0xeb, 0x42, 0x06, 0xf8, 0x72, 0x77, 0xf5,
	0x2d, 0x38, 0xd1, 0x98, 0x8b, 0x78, 0xcd, 0x36,
};
const uint8_t noise_initial_hash[HASH_LEN] = {
	0x22, 0x11, 0xb3, 0x61, 0x08, 0x1a, 0xc5, 0x66,
	0x69, 0x12, 0x43, 0xdb, 0x45, 0x8a, 0xd5, 0x32,
	0x2d, 0x9c, 0x6c, 0x66, 0x22, 0x93, 0xe8, 0xb7,
	0x0e, 0xe1, 0x9c, 0x65, 0xba, 0x07, 0x9e, 0xf3,
};
/* clang-format on */

void noise_state_wipe(struct noise_state *s)
{
	explicit_bzero(s, sizeof(*s));
}

struct secret {
	uint8_t bytes[WG_KEY_LEN];
};

static void secret_wipe(struct secret *s)
{
	explicit_bzero(s, sizeof(*s));
}

static void mix_hash(struct noise_state *s, const void *data, size_t len)
{
	hash2(s->hash, s->hash, HASH_LEN, data, len);
}

static void mix_key(struct noise_state *s, const void *data, size_t len, uint8_t *ret_key)
{
	kdf(s->chaining_key, data, len, s->chaining_key, ret_key, NULL);
}

static enum wg_drop dh(const struct x25519 *key, const uint8_t public[WG_KEY_LEN], struct secret *ret)
{
	switch (x25519_derive(key, public, ret->bytes)) {
	case 0:
		return WG_DROP_NONE;
	case -EBADMSG:
		return WG_DROP_LOW_ORDER;
	default:
		return WG_DROP_NO_MEMORY;
	}
}

static enum wg_drop mix_dh(struct noise_state *s, const struct x25519 *key,
	const uint8_t public[WG_KEY_LEN], uint8_t *ret_key)
{
	cleanup(secret_wipe) struct secret product;
	enum wg_drop drop = dh(key, public, &product);

	if (drop == WG_DROP_NONE)
		mix_key(s, product.bytes, sizeof(product.bytes), ret_key);
	return drop;
}

static void encrypt_and_hash(const struct noise_self *self, struct noise_state *s,
	const struct secret *key, const void *src, size_t len, void *dst)
{
	aead_seal(self->aead, key->bytes, 0, s->hash, HASH_LEN, src, len, dst);
	mix_hash(s, dst, len + AEAD_TAG_LEN);
}

static bool decrypt_and_hash(const struct noise_self *self, struct noise_state *s,
	const struct secret *key, const void *src, size_t len, void *dst)
{
	if (!aead_open(self->aead, key->bytes, 0, s->hash, HASH_LEN, src, len, dst))
		return false;
	mix_hash(s, src, len);
	return true;
}

/* Both ends start from the responder's static key. */
static void start(struct noise_state *s, const uint8_t responder[WG_KEY_LEN])
{
	memcpy(s->chaining_key, noise_initial_chaining_key, HASH_LEN);
	hash2(s->hash, noise_initial_hash, HASH_LEN, responder, WG_KEY_LEN);
}

static void mix_ephemeral(struct noise_state *s, const uint8_t public[WG_KEY_LEN])
{
	mix_hash(s, public, WG_KEY_LEN);
	mix_key(s, public, WG_KEY_LEN, NULL);
}

static void mix_preshared_key(
	struct noise_state *s, const uint8_t preshared_key[WG_KEY_LEN], struct secret *ret_key)
{
	cleanup(secret_wipe) struct secret tau;

	kdf(s->chaining_key, preshared_key, WG_KEY_LEN, s->chaining_key, tau.bytes,
		ret_key->bytes);
	mix_hash(s, tau.bytes, sizeof(tau.bytes));
}

enum wg_drop noise_initiation_create(const struct noise_self *self,
	const uint8_t peer_public[WG_KEY_LEN], const uint8_t static_static[WG_KEY_LEN],
	const struct x25519 *ephemeral, const uint8_t timestamp[WG_TIMESTAMP_LEN], uint32_t sender,
	struct noise_state *ret, struct wg_initiation *msg)
{
	cleanup(secret_wipe) struct secret key;
	enum wg_drop drop;

	start(ret, peer_public);
	put_le32(msg->type, WG_MESSAGE_INITIATION);
	put_le32(msg->sender, sender);
	memcpy(msg->ephemeral, x25519_public(ephemeral), WG_KEY_LEN);
	mix_ephemeral(ret, msg->ephemeral);

	drop = mix_dh(ret, ephemeral, peer_public, key.bytes);
	if (drop != WG_DROP_NONE)
		return drop;
	encrypt_and_hash(self, ret, &key, x25519_public(self->key), WG_KEY_LEN, msg->static_);

	mix_key(ret, static_static, WG_KEY_LEN, key.bytes);
	encrypt_and_hash(self, ret, &key, timestamp, WG_TIMESTAMP_LEN, msg->timestamp);
	return WG_DROP_NONE;
}

enum wg_drop noise_initiation_read_static(const struct noise_self *self,
	const struct wg_initiation *msg, struct noise_state *ret,
	uint8_t ret_peer_public[WG_KEY_LEN])
{
	cleanup(secret_wipe) struct secret key;
	enum wg_drop drop;

	start(ret, x25519_public(self->key));
	mix_ephemeral(ret, msg->ephemeral);
	drop = mix_dh(ret, self->key, msg->ephemeral, key.bytes);
	if (drop != WG_DROP_NONE)
		return drop;
	if (!decrypt_and_hash(self, ret, &key, msg->static_, sizeof(msg->static_), ret_peer_public))
		return WG_DROP_BAD_HANDSHAKE;
	return WG_DROP_NONE;
}

enum wg_drop noise_initiation_read_timestamp(const struct noise_self *self,
	const struct wg_initiation *msg, const uint8_t static_static[WG_KEY_LEN],
	struct noise_state *s, uint8_t ret_timestamp[WG_TIMESTAMP_LEN])
{
	cleanup(secret_wipe) struct secret key;

	mix_key(s, static_static, WG_KEY_LEN, key.bytes);
	if (!decrypt_and_hash(self, s, &key, msg->timestamp, sizeof(msg->timestamp), ret_timestamp))
		return WG_DROP_BAD_HANDSHAKE;
	return WG_DROP_NONE;
}

enum wg_drop noise_response_create(const struct noise_self *self, struct noise_state *s,
	const uint8_t peer_ephemeral[WG_KEY_LEN], const uint8_t peer_public[WG_KEY_LEN],
	const uint8_t preshared_key[WG_KEY_LEN], const struct x25519 *ephemeral, uint32_t sender,
	uint32_t receiver, struct wg_response *msg, struct noise_keys *ret)
{
	cleanup(secret_wipe) struct secret key;
	enum wg_drop drop;

	put_le32(msg->type, WG_MESSAGE_RESPONSE);
	put_le32(msg->sender, sender);
	put_le32(msg->receiver, receiver);
	memcpy(msg->ephemeral, x25519_public(ephemeral), WG_KEY_LEN);
	mix_ephemeral(s, msg->ephemeral);

	drop = mix_dh(s, ephemeral, peer_ephemeral, NULL);
	if (drop == WG_DROP_NONE)
		drop = mix_dh(s, ephemeral, peer_public, NULL);
	if (drop != WG_DROP_NONE)
		return drop;
	mix_preshared_key(s, preshared_key, &key);
	encrypt_and_hash(self, s, &key, NULL, 0, msg->empty);

	kdf(s->chaining_key, NULL, 0, ret->receive, ret->send, NULL);
	return WG_DROP_NONE;
}

enum wg_drop noise_response_read(const struct noise_self *self, const struct noise_state *s,
	const struct x25519 *ephemeral, const uint8_t preshared_key[WG_KEY_LEN],
	const struct wg_response *msg, struct noise_keys *ret)
{
	cleanup(noise_state_wipe) struct noise_state t = *s;
	cleanup(secret_wipe) struct secret key;
	uint8_t nothing[1];
	enum wg_drop drop;

	mix_ephemeral(&t, msg->ephemeral);
	drop = mix_dh(&t, ephemeral, msg->ephemeral, NULL);
	if (drop == WG_DROP_NONE)
		drop = mix_dh(&t, self->key, msg->ephemeral, NULL);
	if (drop != WG_DROP_NONE)
		return drop;
	mix_preshared_key(&t, preshared_key, &key);
	if (!decrypt_and_hash(self, &t, &key, msg->empty, sizeof(msg->empty), nothing))
		return WG_DROP_BAD_HANDSHAKE;

	kdf(t.chaining_key, NULL, 0, ret->send, ret->receive, NULL);
	return WG_DROP_NONE;
}

void noise_timestamp(uint64_t real_ns, uint8_t ret[WG_TIMESTAMP_LEN])
{
	put_be64(ret, TAI64_EPOCH + real_ns / NS_PER_S);
	put_be32(ret + 8, (uint32_t)(real_ns % NS_PER_S) & ~0xffffffU);
}
