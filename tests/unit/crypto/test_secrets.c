/*
 * What stays in memory after a secret was used: every writable page of the process is searched for it.  The test itself
 * keeps secrets only under a mask, so that whatever is found was left there by our code or by a library below it.
 *
 * Programs are linked with -z now, and this test notices when one is not: the dynamic linker's lazy binding saves the
 * vector registers on the stack, and the halves of keys that happen to be in them stay there.
 */
#include "base/test.h"
#include "crypto/aead.h"
#include "crypto/aead_backend.h"
#include "crypto/hash.h"
#include "crypto/x25519.h"
#include "tests/unit/secrets.h"

/* The search finds what is there: without this the other tests could not fail. */
static void search_works(void)
{
	cleanup(free_ptr) uint8_t *heap = malloc(32);
	uint8_t stack[32];

	secret_new(1);
	CHECK_EQ(places(), 0);
	unmask(heap);
	CHECK(places() > 0);
	explicit_bzero(heap, 32);
	CHECK_EQ(places(), 0);
	unmask(stack);
	CHECK(places() > 0);
	explicit_bzero(stack, 32);
	CHECK_EQ(places(), 0);
}

static void use(struct aead *a)
{
	static uint8_t text[1500], box[1516];
	uint8_t key[32];

	/* The caller's own copy is gone afterwards; so what is found is the context's or the stack's below us. */
	unmask(key);
	for (size_t len = 0; len < sizeof(text); len += 83) {
		aead_seal(a, key, len, "aad", 3, text, len, box);
		if (!aead_open(a, key, len, "aad", 3, box, len + 16, box))
			abort();
		box[0] ^= 1;
		if (aead_open(a, key, len, "aad", 3, box, len + 16, box))
			abort();
	}
	explicit_bzero(key, sizeof(key));
}

static void aead_forgets(void)
{
	struct aead *all[6] = {NULL};
	size_t n = 0;

	n += aead_new_backend(AEAD_BACKEND_OPENSSL, &all[n]) == 0;
#ifdef HAVE_IPSEC_MB
	static const char *const architectures[] = {"avx512", "avx2", "avx"};

	for (size_t i = 0; i < array_size(architectures); i++)
		n += aead_ipsecmb_new(architectures[i], &all[n]) == 0;
#endif
	for (size_t i = 0; i < n; i++) {
		test_note("with %s", aead_describe(all[i]));
		secret_new(20 + i);
		use(all[i]);
		aead_forget(all[i]);
		CHECK_EQ(places(), 0);
		use(all[i]);
		aead_free(all[i]);
		CHECK_EQ(places(), 0);
	}
}

static void xaead_forgets(void)
{
	uint8_t key[32], box[32];
	static const uint8_t nonce[24] = {1};

	secret_new(3);
	unmask(key);
	xaead_seal(key, nonce, "aad", 3, "0123456789abcdef", 16, box);
	CHECK(xaead_open(key, nonce, "aad", 3, box, 32, box));
	CHECK(!xaead_open(key, nonce, "aad", 3, box, 32, box));
	explicit_bzero(key, sizeof(key));
	CHECK_EQ(places(), 0);
}

static void hash_forgets(void)
{
	uint8_t key[32], out[32];

	secret_new(4);
	unmask(key);
	hash2(out, key, 32, "a", 1);
	mac(out, 16, key, 32, "some message", 12);
	explicit_bzero(key, sizeof(key));
	CHECK_EQ(places(), 0);
	unmask(key);
	mac(out, 16, "public", 6, key, 32);
	hmac(out, key, 32, "a", 1);
	hmac(out, "a", 1, key, 32);
	kdf(key, key, 32, out, NULL, NULL);
	kdf(key, key, 32, out, out, out);
	explicit_bzero(key, sizeof(key));
	CHECK_EQ(places(), 0);
}

static void kdf_forgets(void)
{
	uint8_t ck[32] = {7}, keys[3][32];

	for (size_t n = 1; n <= 3; n++) {
		kdf(ck, "input", 5, keys[0], n > 1 ? keys[1] : NULL, n > 2 ? keys[2] : NULL);
		for (size_t i = 0; i < 32; i++)
			masked[i] = keys[n - 1][i] ^ MASK;
		explicit_bzero(keys, sizeof(keys));
		CHECK_EQ(places(), 0);
	}
}

static void x25519_forgets(void)
{
	uint8_t key[32], public[32] = {9}, shared[32];
	struct x25519 *k = NULL;

	secret_new(5);
	unmask(key);
	x25519_clamp(key);	/* as libcrypto may keep it */
	masked[0] = key[0] ^ MASK;
	masked[31] = key[31] ^ MASK;
	CHECK_EQ(x25519_new(key, &k), 0);
	explicit_bzero(key, sizeof(key));
	CHECK_EQ(x25519_derive(k, public, shared), 0);
	/* A live key is in memory, once. */
	CHECK_EQ(places(), 1);
	x25519_free(k);
	CHECK_EQ(places(), 0);
}

static void shared_forgets(void)
{
	static const uint8_t private[32] = {1, 2, 3, 4}, public[32] = {9};
	uint8_t shared[32];
	struct x25519 *k = NULL;

	CHECK_EQ(x25519_new(private, &k), 0);
	/* By the base point, so that the secret is the public key, which the object holds: compare the counts. */
	for (size_t i = 0; i < 32; i++)
		masked[i] = x25519_public(k)[i] ^ MASK;
	size_t before = places();

	CHECK(before > 0);
	CHECK_EQ(x25519_derive(k, public, shared), 0);
	explicit_bzero(shared, sizeof(shared));
	CHECK_EQ(places(), before);
	x25519_free(k);
}

int main(void)
{
#ifdef __SANITIZE_THREAD__
	/* Its run time keeps copies of what it watches, and moves the stack about. */
	test_skip("no secret is left in memory", "the thread sanitizer keeps copies of its own");
	return test_done();
#endif
	test_run("the search finds a secret on the heap and on the stack", search_works);
	test_run("no key of a packet is left after its context forgot it or was freed [secrets-wiped]",
		aead_forgets);
	test_run("no key of a cookie is left after it was used [secrets-wiped]", xaead_forgets);
	test_run("no key and no input of a hash, MAC or KDF is left after it was used [secrets-wiped]",
		hash_forgets);
	test_run("no key that was derived is left elsewhere than in the caller's result [secrets-wiped]", kdf_forgets);
	test_run("a private key is in memory once while it lives and never after [secrets-wiped]",
		x25519_forgets);
	test_run("a shared secret is left nowhere but in the caller's result [secrets-wiped]", shared_forgets);
	return test_done();
}
