/*
 * crypto/x25519.h - X25519 (RFC 7748) over libcrypto, with private keys kept as prepared objects: a
 * derivation from raw bytes costs twice as much as from a kept key.
 */
#pragma once

#include "base/util.h"

#define X25519_LEN 32

struct x25519;

/* x25519_clamp(key): RFC 7748, section 5. */
static inline void x25519_clamp(uint8_t key[X25519_LEN])
{
	key[0] &= 248;
	key[31] = (uint8_t)((key[31] & 127) | 64);
}

/* x25519_new(private, ret): clamps its copy and computes the public key.  0 or -ENOMEM. */
int x25519_new(const uint8_t private[X25519_LEN], struct x25519 **ret);

/* x25519_free(k): wipes.  NULL is allowed. */
void x25519_free(struct x25519 *k);
static inline void x25519_freep(struct x25519 **k)
{
	x25519_free(*k);
}

const uint8_t *x25519_public(const struct x25519 *k);

/* x25519_private(k, ret): a copy of the private key, for who hands it over.  0 or -ENOMEM. */
int x25519_private(const struct x25519 *k, uint8_t ret[X25519_LEN]);

/*
 * x25519_derive(k, public, ret): the shared secret.  -EBADMSG when it is all zero (a low-order
 * public key), tested in constant time; ${ret} is then zero.  -ENOMEM.  Several threads may use one
 * ${k}.
 */
int x25519_derive(const struct x25519 *k, const uint8_t public[X25519_LEN], uint8_t ret[X25519_LEN]);
