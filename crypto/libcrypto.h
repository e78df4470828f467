/*
 * crypto/libcrypto.h - what the files of this floor share of OpenSSL's libcrypto.
 *
 * Fetching an algorithm or making a context costs libcrypto several times what a short message
 * costs, so both are kept: algorithms once per process, contexts once per thread.  They come from a
 * library context of our own, which no other user of libcrypto in the process can change;
 * openssl.cnf is not read, and no file is opened at any time.
 */
#pragma once

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "base/util.h"

/*
 * What is left when libcrypto refuses something that cannot fail on valid lengths: no memory, or a
 * broken library.
 */
_Noreturn void crypto_die(const char *what);

#define crypto_must(call)                                                                          \
	do {                                                                                       \
		if (unlikely((call) <= 0))                                                         \
			crypto_die(#call);                                                         \
	} while (0)

struct crypto_algorithms {
	OSSL_LIB_CTX	*lib;
	EVP_MD		*blake2s;
	EVP_MAC		*blake2s_mac;
};

/* Apart, for asked for one libcrypto makes all ciphers that it has, and most hosts never need one. */
struct crypto_ciphers {
	EVP_CIPHER	*chacha20;
	EVP_CIPHER	*chacha20_poly1305;
};

/* The base point of X25519 (RFC 7748, section 4.1). */
extern const uint8_t x25519_base[32];

/* One thread's contexts. */
struct crypto_scratch {
	EVP_CIPHER_CTX	*chacha20;		/* NULL until crypto_chacha20() */
	EVP_CIPHER_CTX	*chacha20_poly1305;	/* NULL until crypto_chacha20_poly1305() */
	EVP_MD_CTX	*md;
	EVP_MAC_CTX	*mac;
	EVP_PKEY	*peer;		/* an X25519 public key, overwritten by every derivation */
	EVP_PKEY_CTX	*from_data;	/* makes X25519 keys of bytes */
};

/* crypto_algorithms(), crypto_ciphers(): fetched at the first call.  Never NULL. */
const struct crypto_algorithms *crypto_algorithms(void);
const struct crypto_ciphers *crypto_ciphers(void);

/*
 * crypto_scratch(): the calling thread's contexts, made at its first call and wiped and freed when
 * it ends.  Never NULL.
 */
struct crypto_scratch *crypto_scratch(void);

/* Of crypto_scratch(), initialised with the algorithm.  Never NULL. */
EVP_CIPHER_CTX *crypto_chacha20(void);
EVP_CIPHER_CTX *crypto_chacha20_poly1305(void);

/*
 * libcrypto_seal, libcrypto_open: ChaCha20-Poly1305 with a full nonce and the tag apart, on a
 * context initialised with the algorithm.  ${len} is the plaintext's.  False leaves ${dst} to the
 * caller to wipe.
 */
void libcrypto_seal(EVP_CIPHER_CTX *c, const uint8_t key[32], const uint8_t nonce[12],
	const void *aad, size_t aad_len, const void *src, size_t len, void *dst,
	uint8_t ret_tag[16]);
bool libcrypto_open(EVP_CIPHER_CTX *c, const uint8_t key[32], const uint8_t nonce[12],
	const void *aad, size_t aad_len, const void *src, size_t len, void *dst,
	const uint8_t tag[16]);

/* libcrypto_forget(c): overwrite the key and keystream that a cipher's context holds. */
void libcrypto_forget(EVP_CIPHER_CTX *c);
