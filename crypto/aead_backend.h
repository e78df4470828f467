/*
 * crypto/aead_backend.h - between the front (aead.c) and the libraries that do the work.  For these
 * files and for tests with published vectors, whose nonces are not WireGuard's.
 */
#pragma once

#include "crypto/aead.h"

struct aead_ops {
	/*
	 * As aead_seal and aead_open, with the nonce in full; ${len} is the plaintext's, the tag
	 * lies apart.
	 */
	void (*seal)(struct aead *a, const uint8_t key[AEAD_KEY_LEN],
		const uint8_t nonce[AEAD_NONCE_LEN], const void *aad, size_t aad_len, const void *src,
		size_t len, void *dst, uint8_t ret_tag[AEAD_TAG_LEN]);
	/* False leaves the wiping of ${dst} to the front. */
	bool (*open)(struct aead *a, const uint8_t key[AEAD_KEY_LEN],
		const uint8_t nonce[AEAD_NONCE_LEN], const void *aad, size_t aad_len, const void *src,
		size_t len, void *dst, const uint8_t tag[AEAD_TAG_LEN]);
	void (*forget)(struct aead *a);
	void (*free)(struct aead *a);
};

/* The first member of each backend's context. */
struct aead {
	const struct aead_ops	*ops;
	char			 description[64];
};

/*
 * aead_ipsecmb_new(architecture, ret): with the code for "avx512", "avx2" or "avx"; NULL lets the
 * library choose.
 * 0, -ENOMEM, or -ENOTSUP where the processor or the library's build cannot.
 */
int aead_ipsecmb_new(const char *architecture, struct aead **ret);

/* aead_openssl_new(ret): 0 or -ENOMEM. */
int aead_openssl_new(struct aead **ret);

#ifdef NULL_CIPHER
/* aead_null_new(ret): encrypts nothing; for measuring.  0 or -ENOMEM. */
int aead_null_new(struct aead **ret);
#endif

/* hchacha20(key, nonce, ret): draft-irtf-cfrg-xchacha-03, section 2.2. */
void hchacha20(const uint8_t key[32], const uint8_t nonce[16], uint8_t ret[32]);
