#include "crypto/libcrypto.h"
#include "crypto/load.h"

#include <limits.h>
#include <pthread.h>
#include <stdio.h>

static pthread_once_t once = PTHREAD_ONCE_INIT, once_ciphers = PTHREAD_ONCE_INIT;
static pthread_key_t thread_end;
static struct crypto_algorithms algorithms;
static struct crypto_ciphers ciphers;
static _Thread_local struct crypto_scratch *mine;

void crypto_die(const char *what)
{
	fprintf(stderr, "crypto: libcrypto cannot go on, out of memory or damaged: %s\n", what);
	abort();
}

const uint8_t x25519_base[32] = {9};

static void scratch_free(void *p)
{
	struct crypto_scratch *s = p;

	/* Each of these wipes what it frees. */
	libcrypto.EVP_CIPHER_CTX_free(s->chacha20);
	libcrypto.EVP_CIPHER_CTX_free(s->chacha20_poly1305);
	libcrypto.EVP_MD_CTX_free(s->md);
	libcrypto.EVP_MD_CTX_free(s->blake2s);
	libcrypto.EVP_MAC_CTX_free(s->mac);
	libcrypto.EVP_PKEY_free(s->peer);
	libcrypto.EVP_PKEY_CTX_free(s->from_data);
	free(s);
}

static void fetch(void)
{
	struct crypto_algorithms *a = &algorithms;

	/* Once a thread is confined it must not come upon the idea to read a configuration. */
	crypto_need();
	if (!libcrypto.OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL) ||
		!(a->lib = libcrypto.OSSL_LIB_CTX_new()) ||
		!(a->blake2s = libcrypto.EVP_MD_fetch(a->lib, "BLAKE2S-256", NULL)) ||
		!(a->blake2s_mac = libcrypto.EVP_MAC_fetch(a->lib, "BLAKE2SMAC", NULL)) ||
		pthread_key_create(&thread_end, scratch_free))
		crypto_die("algorithms");
}

const struct crypto_algorithms *crypto_algorithms(void)
{
	pthread_once(&once, fetch);
	return &algorithms;
}

static void fetch_ciphers(void)
{
	OSSL_LIB_CTX *lib = crypto_algorithms()->lib;

	if (!(ciphers.chacha20 = libcrypto.EVP_CIPHER_fetch(lib, "ChaCha20", NULL)) ||
		!(ciphers.chacha20_poly1305 = libcrypto.EVP_CIPHER_fetch(lib, "ChaCha20-Poly1305", NULL)))
		crypto_die("ciphers");
}

const struct crypto_ciphers *crypto_ciphers(void)
{
	pthread_once(&once_ciphers, fetch_ciphers);
	return &ciphers;
}

static struct crypto_scratch *scratch_new(void)
{
	const struct crypto_algorithms *a = crypto_algorithms();
	struct crypto_scratch *s = calloc(1, sizeof(*s));

	if (!s || !(s->md = libcrypto.EVP_MD_CTX_new()) || !(s->blake2s = libcrypto.EVP_MD_CTX_new()) ||
		libcrypto.EVP_DigestInit_ex2(s->blake2s, a->blake2s, NULL) <= 0 ||
		!(s->mac = libcrypto.EVP_MAC_CTX_new(a->blake2s_mac)) ||
		!(s->peer = libcrypto.EVP_PKEY_new_raw_public_key_ex(
			  a->lib, "X25519", NULL, x25519_base, sizeof(x25519_base))) ||
		!(s->from_data = libcrypto.EVP_PKEY_CTX_new_from_name(a->lib, "X25519", NULL)) ||
		libcrypto.EVP_PKEY_fromdata_init(s->from_data) <= 0 ||
		pthread_setspecific(thread_end, s))
		crypto_die("contexts");
	return s;
}

struct crypto_scratch *crypto_scratch(void)
{
	if (unlikely(!mine))
		mine = scratch_new();
	return mine;
}

static EVP_CIPHER_CTX *context(EVP_CIPHER_CTX **c, const EVP_CIPHER *cipher)
{
	*c = libcrypto.EVP_CIPHER_CTX_new();
	if (!*c)
		crypto_die("contexts");
	crypto_must(libcrypto.EVP_CipherInit_ex2(*c, cipher, NULL, NULL, 1, NULL));
	return *c;
}

EVP_CIPHER_CTX *crypto_chacha20(void)
{
	struct crypto_scratch *s = crypto_scratch();

	return likely(s->chacha20) ? s->chacha20 : context(&s->chacha20, crypto_ciphers()->chacha20);
}

EVP_CIPHER_CTX *crypto_chacha20_poly1305(void)
{
	struct crypto_scratch *s = crypto_scratch();

	return likely(s->chacha20_poly1305) ?
		       s->chacha20_poly1305 :
		       context(&s->chacha20_poly1305, crypto_ciphers()->chacha20_poly1305);
}

static void update(EVP_CIPHER_CTX *c, void *dst, const void *src, size_t len)
{
	int n;

	/* libcrypto takes an empty piece for the end of the message. */
	if (len)
		crypto_must(libcrypto.EVP_CipherUpdate(c, dst, &n, src, (int)len));
}

void libcrypto_seal(EVP_CIPHER_CTX *c, const uint8_t key[32], const uint8_t nonce[12],
	const void *aad, size_t aad_len, const void *src, size_t len, void *dst,
	uint8_t ret_tag[16])
{
	int n;

	if (unlikely(len > INT_MAX || aad_len > INT_MAX))
		crypto_die("message too long");
	crypto_must(libcrypto.EVP_CipherInit_ex2(c, NULL, key, nonce, 1, NULL));
	update(c, NULL, aad, aad_len);
	update(c, dst, src, len);
	crypto_must(libcrypto.EVP_CipherFinal_ex(c, NULL, &n));
	crypto_must(libcrypto.EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, 16, ret_tag));
}

bool libcrypto_open(EVP_CIPHER_CTX *c, const uint8_t key[32], const uint8_t nonce[12],
	const void *aad, size_t aad_len, const void *src, size_t len, void *dst,
	const uint8_t tag[16])
{
	uint8_t wanted[16];
	int n;

	if (unlikely(len > INT_MAX || aad_len > INT_MAX))
		crypto_die("message too long");
	memcpy(wanted, tag, sizeof(wanted));
	crypto_must(libcrypto.EVP_CipherInit_ex2(c, NULL, key, nonce, 0, NULL));
	update(c, NULL, aad, aad_len);
	update(c, dst, src, len);
	crypto_must(libcrypto.EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_TAG, sizeof(wanted), wanted));
	/*
	 * libcrypto never hands out the tag of a decryption; its own comparison takes constant
	 * time.
	 */
	return libcrypto.EVP_CipherFinal_ex(c, NULL, &n) > 0;
}

void libcrypto_forget(EVP_CIPHER_CTX *c)
{
	static const uint8_t zero[32];
	uint8_t block[1] = {0};
	int n;

	crypto_must(libcrypto.EVP_CipherInit_ex2(c, NULL, zero, zero, 1, NULL));
	/* One byte draws a block of the zero key's keystream over the one that was buffered. */
	crypto_must(libcrypto.EVP_CipherUpdate(c, block, &n, block, sizeof(block)));
}
