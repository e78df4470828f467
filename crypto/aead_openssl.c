/*
 * ChaCha20-Poly1305 by libcrypto: one context, initialised with the algorithm once and with key and
 * nonce per packet.
 */
#include "crypto/aead_backend.h"
#include "crypto/libcrypto.h"

#include <errno.h>
#include <stdio.h>

struct openssl {
	struct aead	 a;
	EVP_CIPHER_CTX	*ctx;
};

static EVP_CIPHER_CTX *ctx_of(struct aead *a)
{
	return container_of(a, struct openssl, a)->ctx;
}

static void openssl_seal(struct aead *a, const uint8_t key[AEAD_KEY_LEN],
	const uint8_t nonce[AEAD_NONCE_LEN], const void *aad, size_t aad_len, const void *src,
	size_t len, void *dst, uint8_t ret_tag[AEAD_TAG_LEN])
{
	libcrypto_seal(ctx_of(a), key, nonce, aad, aad_len, src, len, dst, ret_tag);
}

static bool openssl_open(struct aead *a, const uint8_t key[AEAD_KEY_LEN],
	const uint8_t nonce[AEAD_NONCE_LEN], const void *aad, size_t aad_len, const void *src,
	size_t len, void *dst, const uint8_t tag[AEAD_TAG_LEN])
{
	return libcrypto_open(ctx_of(a), key, nonce, aad, aad_len, src, len, dst, tag);
}

static void openssl_forget(struct aead *a)
{
	libcrypto_forget(ctx_of(a));
}

static void openssl_free(struct aead *a)
{
	struct openssl *o = container_of(a, struct openssl, a);

	libcrypto.EVP_CIPHER_CTX_free(o->ctx);	/* wipes the key */
	free(o);
}

static const struct aead_ops openssl_ops = {
	.seal = openssl_seal,
	.open = openssl_open,
	.forget = openssl_forget,
	.free = openssl_free,
};

int aead_openssl_new(struct aead **ret)
{
	const EVP_CIPHER *cipher = crypto_ciphers()->chacha20_poly1305;
	struct openssl *o = calloc(1, sizeof(*o));

	if (!o)
		return -ENOMEM;
	o->a.ops = &openssl_ops;
	o->ctx = libcrypto.EVP_CIPHER_CTX_new();
	if (!o->ctx || libcrypto.EVP_CipherInit_ex2(o->ctx, cipher, NULL, NULL, 1, NULL) <= 0) {
		openssl_free(&o->a);
		return -ENOMEM;
	}
	snprintf(o->a.description, sizeof(o->a.description), "openssl %s",
		libcrypto.OpenSSL_version(OPENSSL_VERSION_STRING));
	*ret = &o->a;
	return 0;
}
