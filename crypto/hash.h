/*
 * crypto/hash.h - BLAKE2s (RFC 7693), keyed BLAKE2s, HMAC-BLAKE2s and the HKDF of Noise on it.
 *
 * Everything here works on short public and secret strings of a handshake.  Cannot fail on valid
 * lengths.
 */
#pragma once

#include "base/util.h"

#define HASH_LEN 32
#define MAC_LEN 16

struct hash_part {
	const void	*data;
	size_t		 len;
};

/* hash_parts(ret, parts, n): BLAKE2s-256 over the concatenation. */
void hash_parts(uint8_t ret[HASH_LEN], const struct hash_part parts[], size_t n);

/* hash2(ret, a, a_len, b, b_len): BLAKE2s-256(a || b); ${ret} may be ${a} or ${b}. */
void hash2(uint8_t ret[HASH_LEN], const void *a, size_t a_len, const void *b, size_t b_len);

/*
 * mac(ret, ret_len, key, key_len, data, len): keyed BLAKE2s with a digest of ret_len (1..32) bytes,
 * key_len 1..32.
 */
void mac(void *ret, size_t ret_len, const void *key, size_t key_len, const void *data, size_t len);

/* hmac(ret, key, key_len, data, len): HMAC-BLAKE2s-256 (RFC 2104), key_len <= 64. */
void hmac(uint8_t ret[HASH_LEN], const void *key, size_t key_len, const void *data, size_t len);

/*
 * kdf(ck, input, len, ret1, ret2, ret3): Noise's HKDF with chaining key ${ck}: up to three outputs,
 * a NULL one (and those after it) not computed.  ret1 may be ${ck}.
 */
void kdf(const uint8_t ck[HASH_LEN], const void *input, size_t len, uint8_t *ret1, uint8_t *ret2,
	uint8_t *ret3);

/* equal_const(a, b, len): compare in constant time. */
bool equal_const(const void *a, const void *b, size_t len);

/* is_zero_const(a, len): all zero, in constant time. */
bool is_zero_const(const void *a, size_t len);
