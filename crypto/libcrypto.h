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
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include "base/library.h"

/* What this floor calls of it, as libcrypto.NAME(...). */
/* clang-format off */
#define LIBCRYPTO_FUNCTIONS(X)                  \
	X(CRYPTO_memcmp)                        \
	X(ERR_clear_error)                      \
	X(EVP_CIPHER_CTX_ctrl)                  \
	X(EVP_CIPHER_CTX_free)                  \
	X(EVP_CIPHER_CTX_new)                   \
	X(EVP_CIPHER_fetch)                     \
	X(EVP_CipherFinal_ex)                   \
	X(EVP_CipherInit_ex2)                   \
	X(EVP_CipherUpdate)                     \
	X(EVP_DigestFinal_ex)                   \
	X(EVP_DigestInit_ex2)                   \
	X(EVP_DigestUpdate)                     \
	X(EVP_MAC_CTX_free)                     \
	X(EVP_MAC_CTX_new)                      \
	X(EVP_MAC_CTX_set_params)               \
	X(EVP_MAC_fetch)                        \
	X(EVP_MAC_final)                        \
	X(EVP_MAC_init)                         \
	X(EVP_MAC_update)                       \
	X(EVP_MD_CTX_copy_ex)                   \
	X(EVP_MD_CTX_free)                      \
	X(EVP_MD_CTX_new)                       \
	X(EVP_MD_fetch)                         \
	X(EVP_PKEY_CTX_dup)                     \
	X(EVP_PKEY_CTX_free)                    \
	X(EVP_PKEY_CTX_new_from_name)           \
	X(EVP_PKEY_CTX_new_from_pkey)           \
	X(EVP_PKEY_derive)                      \
	X(EVP_PKEY_derive_init)                 \
	X(EVP_PKEY_derive_set_peer_ex)          \
	X(EVP_PKEY_free)                        \
	X(EVP_PKEY_fromdata)                    \
	X(EVP_PKEY_fromdata_init)               \
	X(EVP_PKEY_get_octet_string_param)      \
	X(EVP_PKEY_new_raw_public_key_ex)       \
	X(EVP_PKEY_set1_encoded_public_key)     \
	X(OPENSSL_init_crypto)                  \
	X(OSSL_LIB_CTX_new)                     \
	X(OSSL_PARAM_construct_end)             \
	X(OSSL_PARAM_construct_octet_string)    \
	X(OSSL_PARAM_construct_size_t)          \
	X(OpenSSL_version)
/* clang-format on */

/* All NULL until crypto_load(), which crypto_algorithms(), crypto_ciphers() and crypto_scratch() call. */
extern struct libcrypto {
	LIBCRYPTO_FUNCTIONS(LIBRARY_POINTER)
} libcrypto;

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
	EVP_MD_CTX	*md, *blake2s;	/* the second is initialised, to be copied over the first */
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
