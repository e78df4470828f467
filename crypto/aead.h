/*
 * crypto/aead.h - ChaCha20-Poly1305 (RFC 8439) for packets, XChaCha20-Poly1305 for cookies.
 *
 * Hides which library does the work: libipsec-mb on x86-64, libcrypto elsewhere; both are built
 * wherever they exist, so that tests hold one against the other.  Knows no protocol.  A context
 * belongs to one thread.
 */
#pragma once

#include "base/enum.h"

#define AEAD_KEY_LEN 32
#define AEAD_NONCE_LEN 12
#define AEAD_TAG_LEN 16
#define XAEAD_NONCE_LEN 24

#define AEAD_BACKEND_LIST(X)                                                                       \
	X(AEAD_BACKEND_IPSEC_MB, 1, "ipsec-mb", "libipsec-mb, x86-64 only")                        \
	X(AEAD_BACKEND_OPENSSL, 2, "openssl", "libcrypto, everywhere")
ENUM_DECLARE(aead_backend, AEAD_BACKEND_LIST);

struct aead;

/* aead_new(ret): the fastest backend of this machine.  0 or -ENOMEM. */
int aead_new(struct aead **ret);

/* aead_new_backend(b, ret): that one; -ENOTSUP where it does not exist. */
int aead_new_backend(enum aead_backend b, struct aead **ret);

/* aead_free(a): NULL is allowed. */
void aead_free(struct aead *a);
static inline void aead_freep(struct aead **a)
{
	aead_free(*a);
}

/*
 * aead_forget(a): overwrite what the context still holds of the last key it was used with.  To be
 * called when a key dies and the context lives on; aead_free does it too.
 */
void aead_forget(struct aead *a);

/* aead_describe(a): "ipsec-mb 1.3.0 avx512" or "openssl 3.0.19", valid as long as the context. */
const char *aead_describe(const struct aead *a);

/*
 * aead_seal(a, key, counter, aad, aad_len, src, len, dst):
 * Encrypt ${len} bytes (0 allowed) of ${src} to ${dst} and put the tag behind them: len +
 * AEAD_TAG_LEN bytes are written. ${dst} equals ${src} or does not overlap it.  The nonce is four
 * zero bytes and ${counter} little-endian (WireGuard, section 5.4.6).  Cannot fail for len <= 2^31.
 */
void aead_seal(struct aead *a, const uint8_t key[AEAD_KEY_LEN], uint64_t counter, const void *aad,
	size_t aad_len, const void *src, size_t len, void *dst);

/*
 * aead_open(a, key, counter, aad, aad_len, src, len, dst):
 * ${src} is ciphertext and tag, ${len} bytes together.  True when the tag is right (compared in
 * constant time); the len - AEAD_TAG_LEN bytes of plaintext are then in ${dst}.  False when it is
 * not, or len < AEAD_TAG_LEN: ${dst} holds nothing that may be used.  ${dst} equals ${src} or does
 * not overlap it.
 */
bool aead_open(struct aead *a, const uint8_t key[AEAD_KEY_LEN], uint64_t counter, const void *aad,
	size_t aad_len, const void *src, size_t len, void *dst);

/*
 * The same with XChaCha20 (draft-irtf-cfrg-xchacha-03) and a 24-byte nonce.  For cookies: short,
 * and not fast.
 */
void xaead_seal(const uint8_t key[AEAD_KEY_LEN], const uint8_t nonce[XAEAD_NONCE_LEN],
	const void *aad, size_t aad_len, const void *src, size_t len, void *dst);
bool xaead_open(const uint8_t key[AEAD_KEY_LEN], const uint8_t nonce[XAEAD_NONCE_LEN],
	const void *aad, size_t aad_len, const void *src, size_t len, void *dst);
