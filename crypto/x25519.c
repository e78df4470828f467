#include "crypto/x25519.h"
#include "crypto/hash.h"
#include "crypto/libcrypto.h"

#include <errno.h>

#include <openssl/err.h>

struct x25519 {
	EVP_PKEY	*key;
	EVP_PKEY_CTX	*derive;	/* prepared once; each derivation works on a copy, so that threads may share it */
	uint8_t		 public[X25519_LEN];
};

static void pkey_ctx_freep(EVP_PKEY_CTX **c)
{
	EVP_PKEY_CTX_free(*c);
}

int x25519_new(const uint8_t private[X25519_LEN], struct x25519 **ret)
{
	OSSL_LIB_CTX *lib = crypto_algorithms()->lib;
	cleanup(x25519_freep) struct x25519 *k = calloc(1, sizeof(*k));
	uint8_t clamped[X25519_LEN];
	size_t len = sizeof(k->public);

	if (!k)
		return -ENOMEM;
	memcpy(clamped, private, sizeof(clamped));
	x25519_clamp(clamped);
	k->key = EVP_PKEY_new_raw_private_key_ex(lib, "X25519", NULL, clamped, sizeof(clamped));
	explicit_bzero(clamped, sizeof(clamped));
	if (!k->key || EVP_PKEY_get_raw_public_key(k->key, k->public, &len) <= 0)
		return -ENOMEM;
	k->derive = EVP_PKEY_CTX_new_from_pkey(lib, k->key, NULL);
	if (!k->derive || EVP_PKEY_derive_init(k->derive) <= 0)
		return -ENOMEM;
	*ret = steal(k);
	return 0;
}

void x25519_free(struct x25519 *k)
{
	if (!k)
		return;
	EVP_PKEY_CTX_free(k->derive);
	EVP_PKEY_free(k->key);	/* wipes the private key */
	free(k);
}

const uint8_t *x25519_public(const struct x25519 *k)
{
	return k->public;
}

int x25519_private(const struct x25519 *k, uint8_t ret[X25519_LEN])
{
	size_t len = X25519_LEN;

	return EVP_PKEY_get_raw_private_key(k->key, ret, &len) > 0 ? 0 : -ENOMEM;
}

int x25519_derive(const struct x25519 *k, const uint8_t public[X25519_LEN], uint8_t ret[X25519_LEN])
{
	cleanup(pkey_ctx_freep) EVP_PKEY_CTX *c = EVP_PKEY_CTX_dup(k->derive);
	EVP_PKEY *peer = crypto_scratch()->peer;
	uint8_t shared[X25519_LEN];
	size_t len = sizeof(shared);
	bool derived, zero;

	if (!c || EVP_PKEY_set1_encoded_public_key(peer, public, X25519_LEN) <= 0 ||
		EVP_PKEY_derive_set_peer_ex(c, peer, 0) <= 0)
		return -ENOMEM;
	/* libcrypto refuses a zero result too, but with the same answer as any other failure. */
	memset(shared, 0xff, sizeof(shared));
	derived = EVP_PKEY_derive(c, shared, &len) > 0;
	zero = is_zero_const(shared, sizeof(shared));
	if (zero || derived)
		memcpy(ret, shared, sizeof(shared));
	explicit_bzero(shared, sizeof(shared));
	if (!derived)
		ERR_clear_error();
	if (zero)
		return -EBADMSG;
	return derived ? 0 : -ENOMEM;
}
