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

#include <fcntl.h>
#include <stdio.h>

#define MASK 0x5c
#define SEEN_MAX (64UL << 20)	/* greater mappings are a sanitizer's */

static uint8_t masked[32];

static void secret_new(uint64_t seed)
{
	for (size_t i = 0; i < sizeof(masked); i++)
		masked[i] = (uint8_t)(test_random(&seed) >> 56);
}

/* Writes the secret itself; the caller wipes it. */
static void unmask(uint8_t ret[32])
{
	for (size_t i = 0; i < 32; i++)
		ret[i] = masked[i] ^ MASK;
}

/* Half a secret is too much: count places that hold either half of it. */
static size_t count_in(const uint8_t *p, size_t len)
{
	size_t found = 0;

	for (size_t at = 0; at + 16 <= len; at++) {
		for (size_t half = 0; half < 32; half += 16) {
			size_t same = 0;

			while (same < 16 && p[at + same] == (masked[half + same] ^ MASK))
				same++;
			found += same == 16;
		}
	}
	return found;
}

/* Where the secret lies, in every writable mapping of this process. */
static size_t places(void)
{
	cleanup(close_fd) int fd = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
	static uint8_t page[65536 + 15];
	FILE *maps = fopen("/proc/self/maps", "re");
	size_t found = 0, searched = 0;
	char line[512];

	CHECK(fd >= 0 && maps);
	while (fgets(line, sizeof(line), maps)) {
		unsigned long from, to;
		char perms[5];

		if (sscanf(line, "%lx-%lx %4s", &from, &to, perms) != 3 || perms[1] != 'w' ||
			to - from > SEEN_MAX)
			continue;
		for (unsigned long at = from; at < to; at += 65536) {
			ssize_t n = pread(fd, page, min(to - at, sizeof(page)), (off_t)at);

			/* Not through this buffer: it holds what it was just filled with. */
			if (n <= 0 || ((uintptr_t)page < at + 65536 && at < (uintptr_t)page + sizeof(page)))
				continue;
			searched += (size_t)n;
			if (count_in(page, (size_t)n)) {
				test_note("left in %.*s", (int)strcspn(line, "\n"), line);
				found++;
			}
		}
		explicit_bzero(page, sizeof(page));
	}
	fclose(maps);
	CHECK(searched > 65536);
	return found;
}

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

#ifdef __has_feature
#if __has_feature(thread_sanitizer)
#define __SANITIZE_THREAD__ 1
#endif
#endif

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
	test_run("a private key is in memory once while it lives and never after [secrets-wiped]",
		x25519_forgets);
	test_run("a shared secret is left nowhere but in the caller's result [secrets-wiped]", shared_forgets);
	return test_done();
}
