#include "crypto/x25519.h"
#include "crypto/hash.h"
#include "crypto/libcrypto.h"

#include <errno.h>

#include <openssl/core_names.h>

struct x25519 {
	EVP_PKEY	*key;		/* what it has for its public key is the base point */
	EVP_PKEY_CTX	*derive;	/* prepared once; each derivation works on a copy, so that threads may share it */
	uint8_t		 public[X25519_LEN];
};

static void pkey_ctx_freep(EVP_PKEY_CTX **c)
{
	libcrypto.EVP_PKEY_CTX_free(*c);
}

/*
 * A key without its public half, for which libcrypto would take a way of its own that is slower than
 * a derivation: 44 us instead of 36.  It is not asked to if it is told one, and derivations never look
 * at it.
 */
static EVP_PKEY *private_only(uint8_t private[X25519_LEN])
{
	EVP_PKEY_CTX *from_data = crypto_scratch()->from_data;
	uint8_t any[X25519_LEN];
	OSSL_PARAM both[] = {
		libcrypto.OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PRIV_KEY, private, X25519_LEN),
		libcrypto.OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, any, sizeof(any)),
		libcrypto.OSSL_PARAM_construct_end(),
	};
	EVP_PKEY *key = NULL;

	memcpy(any, x25519_base, sizeof(any));
	return libcrypto.EVP_PKEY_fromdata(from_data, &key, EVP_PKEY_KEYPAIR, both) > 0 ? key : NULL;
}

int x25519_new(const uint8_t private[X25519_LEN], struct x25519 **ret)
{
	cleanup(x25519_freep) struct x25519 *k = calloc(1, sizeof(*k));
	uint8_t clamped[X25519_LEN];
	int r;

	if (!k)
		return -ENOMEM;
	memcpy(clamped, private, sizeof(clamped));
	x25519_clamp(clamped);
	k->key = private_only(clamped);
	explicit_bzero(clamped, sizeof(clamped));
	if (!k->key)
		return -ENOMEM;
	k->derive = libcrypto.EVP_PKEY_CTX_new_from_pkey(crypto_algorithms()->lib, k->key, NULL);
	if (!k->derive || libcrypto.EVP_PKEY_derive_init(k->derive) <= 0)
		return -ENOMEM;
	r = x25519_derive(k, x25519_base, k->public);
	if (r < 0)
		return r;
	*ret = steal(k);
	return 0;
}

void x25519_free(struct x25519 *k)
{
	if (!k)
		return;
	libcrypto.EVP_PKEY_CTX_free(k->derive);
	libcrypto.EVP_PKEY_free(k->key);	/* wipes the private key */
	free(k);
}

const uint8_t *x25519_public(const struct x25519 *k)
{
	return k->public;
}

int x25519_private(const struct x25519 *k, uint8_t ret[X25519_LEN])
{
	size_t len = X25519_LEN;

	/* EVP_PKEY_get_raw_private_key() leaves a copy in memory that it frees. */
	return libcrypto.EVP_PKEY_get_octet_string_param(k->key, OSSL_PKEY_PARAM_PRIV_KEY, ret, len, &len) > 0 ? 0 : -ENOMEM;
}

int x25519_derive(const struct x25519 *k, const uint8_t public[X25519_LEN], uint8_t ret[X25519_LEN])
{
	cleanup(pkey_ctx_freep) EVP_PKEY_CTX *c = libcrypto.EVP_PKEY_CTX_dup(k->derive);
	EVP_PKEY *peer = crypto_scratch()->peer;
	uint8_t shared[X25519_LEN];
	size_t len = sizeof(shared);
	bool derived, zero;

	if (!c || libcrypto.EVP_PKEY_set1_encoded_public_key(peer, public, X25519_LEN) <= 0 ||
		libcrypto.EVP_PKEY_derive_set_peer_ex(c, peer, 0) <= 0)
		return -ENOMEM;
	/* libcrypto refuses a zero result too, but with the same answer as any other failure. */
	memset(shared, 0xff, sizeof(shared));
	derived = libcrypto.EVP_PKEY_derive(c, shared, &len) > 0;
	zero = is_zero_const(shared, sizeof(shared));
	if (zero || derived)
		memcpy(ret, shared, sizeof(shared));
	explicit_bzero(shared, sizeof(shared));
	if (!derived)
		libcrypto.ERR_clear_error();
	if (zero)
		return -EBADMSG;
	return derived ? 0 : -ENOMEM;
}
