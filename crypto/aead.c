#include "crypto/aead_backend.h"
#include "crypto/libcrypto.h"

#include <errno.h>

ENUM_DEFINE(aead_backend, AEAD_BACKEND_LIST);

int aead_new(struct aead **ret)
{
#ifdef NULL_CIPHER
	return aead_null_new(ret);
#else
	int r = aead_new_backend(AEAD_BACKEND_IPSEC_MB, ret);

	if (r == -ENOTSUP)
		r = aead_new_backend(AEAD_BACKEND_OPENSSL, ret);
	return r;
#endif
}

int aead_new_backend(enum aead_backend b, struct aead **ret)
{
	switch (b) {
	case AEAD_BACKEND_IPSEC_MB:
#ifdef HAVE_IPSEC_MB
		return aead_ipsecmb_new(NULL, ret);
#else
		return -ENOTSUP;
#endif
	case AEAD_BACKEND_OPENSSL:
		return aead_openssl_new(ret);
	}
	return -ENOTSUP;
}

void aead_free(struct aead *a)
{
	if (a)
		a->ops->free(a);
}

void aead_forget(struct aead *a)
{
	a->ops->forget(a);
}

const char *aead_describe(const struct aead *a)
{
	return a->description;
}

void aead_seal(struct aead *a, const uint8_t key[AEAD_KEY_LEN], uint64_t counter, const void *aad,
	size_t aad_len, const void *src, size_t len, void *dst)
{
	uint8_t nonce[AEAD_NONCE_LEN] = {0};

	put_le64(nonce + 4, counter);
	a->ops->seal(a, key, nonce, aad, aad_len, src, len, dst, (uint8_t *)dst + len);
}

bool aead_open(struct aead *a, const uint8_t key[AEAD_KEY_LEN], uint64_t counter, const void *aad,
	size_t aad_len, const void *src, size_t len, void *dst)
{
	uint8_t nonce[AEAD_NONCE_LEN] = {0};

	if (len < AEAD_TAG_LEN)
		return false;
	len -= AEAD_TAG_LEN;
	put_le64(nonce + 4, counter);
	if (likely(a->ops->open(a, key, nonce, aad, aad_len, src, len, dst,
		    (const uint8_t *)src + len)))
		return true;
	if (len)
		memset(dst, 0, len);
	return false;
}

/*
 * A block of ChaCha20's keystream is the permuted state plus the state before; HChaCha20 is the
 * first and the last four words of the permuted state alone, where the state before held constants
 * and nonce.
 */
void hchacha20(const uint8_t key[32], const uint8_t nonce[16], uint8_t ret[32])
{
	static const char constants[] = "expand 32-byte k";
	EVP_CIPHER_CTX *c = crypto_chacha20();
	uint8_t block[64] = {0};
	int n;

	crypto_must(libcrypto.EVP_CipherInit_ex2(c, NULL, key, nonce, 1, NULL));
	crypto_must(libcrypto.EVP_CipherUpdate(c, block, &n, block, sizeof(block)));
	for (int i = 0; i < 16; i += 4) {
		put_le32(ret + i, get_le32(block + i) - get_le32(constants + i));
		put_le32(ret + 16 + i, get_le32(block + 48 + i) - get_le32(nonce + i));
	}
	explicit_bzero(block, sizeof(block));
	libcrypto_forget(c);
}

/* inner_of(...): the key and the nonce of the ChaCha20-Poly1305 inside (section 2.3). */
static void inner_of(const uint8_t key[AEAD_KEY_LEN], const uint8_t nonce[XAEAD_NONCE_LEN],
	uint8_t ret_key[AEAD_KEY_LEN], uint8_t ret_nonce[AEAD_NONCE_LEN])
{
	hchacha20(key, nonce, ret_key);
	memset(ret_nonce, 0, 4);
	memcpy(ret_nonce + 4, nonce + 16, 8);
}

void xaead_seal(const uint8_t key[AEAD_KEY_LEN], const uint8_t nonce[XAEAD_NONCE_LEN],
	const void *aad, size_t aad_len, const void *src, size_t len, void *dst)
{
	EVP_CIPHER_CTX *c = crypto_chacha20_poly1305();
	uint8_t inner_key[AEAD_KEY_LEN], inner_nonce[AEAD_NONCE_LEN];

	inner_of(key, nonce, inner_key, inner_nonce);
	libcrypto_seal(c, inner_key, inner_nonce, aad, aad_len, src, len, dst, (uint8_t *)dst + len);
	explicit_bzero(inner_key, sizeof(inner_key));
	libcrypto_forget(c);
}

bool xaead_open(const uint8_t key[AEAD_KEY_LEN], const uint8_t nonce[XAEAD_NONCE_LEN],
	const void *aad, size_t aad_len, const void *src, size_t len, void *dst)
{
	EVP_CIPHER_CTX *c = crypto_chacha20_poly1305();
	uint8_t inner_key[AEAD_KEY_LEN], inner_nonce[AEAD_NONCE_LEN];
	bool ok;

	if (len < AEAD_TAG_LEN)
		return false;
	len -= AEAD_TAG_LEN;
	inner_of(key, nonce, inner_key, inner_nonce);
	ok = libcrypto_open(c, inner_key, inner_nonce, aad, aad_len, src, len, dst,
		(const uint8_t *)src + len);
	explicit_bzero(inner_key, sizeof(inner_key));
	libcrypto_forget(c);
	if (!ok && len)
		memset(dst, 0, len);
	return ok;
}
