/* ChaCha20-Poly1305 of every backend and XChaCha20-Poly1305: published vectors, libsodium, and an attacker. */
#include "base/test.h"
#include "crypto/aead.h"
#include "crypto/aead_backend.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/mman.h>

#include <sodium.h>

#define GUARD 0xa5
#define MAX_LEN 70000
#define ROOM (MAX_LEN + 256)

static const char ladies[] =
	"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, "
	"sunscreen would be it.";

/* Every implementation that this machine can run; the first two are the public backends. */
static struct aead *backends[8];
static size_t n_backends;

static uint8_t plain[ROOM], sealed[ROOM], wanted[ROOM], opened[ROOM];

static void fill(uint64_t *seed, void *to, size_t len)
{
	uint8_t *p = to;

	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)(test_random(seed) >> 56);
}

static void check_guard(const uint8_t *p, size_t len)
{
	size_t i = 0;

	while (i < len && p[i] == GUARD)
		i++;
	CHECK_EQ(i, len);
}

static void check_zero(const uint8_t *p, size_t len)
{
	size_t i = 0;

	while (i < len && p[i] == 0)
		i++;
	CHECK_EQ(i, len);
}

static void rfc_8439(void)
{
	uint8_t key[32], nonce[12], aad[12], want[114], want_tag[16];

	for (size_t i = 0; i < sizeof(key); i++)
		key[i] = (uint8_t)(0x80 + i);
	test_unhex("070000004041424344454647", nonce, sizeof(nonce));
	test_unhex("50515253c0c1c2c3c4c5c6c7", aad, sizeof(aad));
	CHECK_EQ(test_unhex("d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d6"
			    "3dbea45e8ca9671282fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b36"
			    "92ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc"
			    "3ff4def08e4b7a9de576d26586cec64b6116",
			 want, sizeof(want)),
		114);
	test_unhex("1ae10b594f09e26a7e902ecbd0600691", want_tag, sizeof(want_tag));
	for (size_t b = 0; b < n_backends; b++) {
		struct aead *a = backends[b];
		uint8_t tag[16];

		a->ops->seal(a, key, nonce, aad, sizeof(aad), ladies, 114, sealed, tag);
		CHECK_MEM(sealed, want, 114);
		CHECK_MEM(tag, want_tag, 16);
		CHECK(a->ops->open(a, key, nonce, aad, sizeof(aad), want, 114, opened, want_tag));
		CHECK_MEM(opened, ladies, 114);
	}
}

static void rfc_8439_a5(void)
{
	uint8_t key[32], aad[12], message[281];
	const char *text =
		"Internet-Drafts are draft documents valid for a maximum of six months and may be "
		"updated, replaced, or obsoleted by other documents at any time. It is "
		"inappropriate to use Internet-Drafts as reference material or to cite them other "
		"than as /\xe2\x80\x9cwork in progress./\xe2\x80\x9d";

	test_unhex("1c9240a5eb55d38af333888604f6b5f0473917c1402b80099dca5cbc207075c0", key, 32);
	test_unhex("f33388860000000000004e91", aad, sizeof(aad));
	CHECK_EQ(test_unhex("64a0861575861af460f062c79be643bd5e805cfd345cf389f108670ac76c8cb2"
			    "4c6cfc18755d43eea09ee94e382d26b0bdb7b73c321b0100d4f03b7f355894cf"
			    "332f830e710b97ce98c8a84abd0b948114ad176e008d33bd60f982b1ff37c855"
			    "9797a06ef4f0ef61c186324e2b3506383606907b6a7c02b0f9f6157b53c867e4"
			    "b9166c767b804d46a59b5216cde7a4e99040c5a40433225ee282a1b0a06c523e"
			    "af4534d7f83fa1155b0047718cbc546a0d072b04b3564eea1b422273f548271a"
			    "0bb2316053fa76991955ebd63159434ecebb4e466dae5a1073a6727627097a10"
			    "49e617d91d361094fa68f0ff77987130305beaba2eda04df997b714d6c6f2c29"
			    "a6ad5cb4022b02709beead9d67890cbb22392336fea1851f38",
			 message, sizeof(message)),
		281);
	for (size_t b = 0; b < n_backends; b++) {
		/* The vector's nonce happens to have WireGuard's form. */
		CHECK(aead_open(backends[b], key, 0x0807060504030201, aad, sizeof(aad), message,
			sizeof(message), opened));
		CHECK_EQ(strlen(text), 265);
		CHECK_MEM(opened, text, 265);
		aead_seal(backends[b], key, 0x0807060504030201, aad, sizeof(aad), text, 265, sealed);
		CHECK_MEM(sealed, message, sizeof(message));
	}
}

static void nonce_form(void)
{
	static const uint64_t counters[] = {0, 1, 0x0102030405060708, 0xff, 0x100, UINT32_MAX,
		1ULL << 32, 1ULL << 63, UINT64_MAX};
	uint8_t key[32] = {7};

	for (size_t i = 0; i < array_size(counters); i++) {
		uint8_t nonce[12] = {0};
		unsigned long long len;

		for (int j = 0; j < 8; j++)
			nonce[4 + j] = (uint8_t)(counters[i] >> 8 * j);
		crypto_aead_chacha20poly1305_ietf_encrypt(
			wanted, &len, plain, 100, NULL, 0, NULL, nonce, key);
		for (size_t b = 0; b < n_backends; b++) {
			aead_seal(backends[b], key, counters[i], NULL, 0, plain, 100, sealed);
			CHECK_MEM(sealed, wanted, 116);
		}
	}
}

/*
 * One random message through each backend, held against libsodium: out of place and in place, at every alignment, with
 * guards around the destination.
 */
static void check_agree(uint64_t *seed, size_t len)
{
	size_t aad_len = test_random(seed) % 101;
	uint64_t counter = test_random(seed);
	uint8_t key[32], aad[100], nonce[12] = {0};
	unsigned long long sodium_len;

	fill(seed, key, sizeof(key));
	fill(seed, aad, aad_len);
	fill(seed, plain, len);
	put_le64(nonce + 4, counter);
	crypto_aead_chacha20poly1305_ietf_encrypt(
		wanted, &sodium_len, plain, len, aad, aad_len, NULL, nonce, key);
	CHECK_EQ(sodium_len, len + 16);

	for (size_t b = 0; b < n_backends; b++) {
		struct aead *a = backends[b];
		uint8_t *out = sealed + 64 + test_random(seed) % 64;
		uint8_t *in = opened + 64 + test_random(seed) % 64;

		/* Out of place, from an unaligned source. */
		memset(sealed, GUARD, len + 256);
		memcpy(in, plain, len);
		aead_seal(a, key, counter, aad, aad_len, in, len, out);
		CHECK_MEM(out, wanted, len + 16);
		check_guard(out - 64, 64);
		check_guard(out + len + 16, 64);
		CHECK_MEM(in, plain, len);

		memset(opened, GUARD, len + 256);
		CHECK(aead_open(a, key, counter, aad, aad_len, out, len + 16, in));
		CHECK_MEM(in, plain, len);
		check_guard(in - 64, 64);
		check_guard(in + len, 64);
		CHECK_MEM(out, wanted, len + 16);

		/* In place. */
		aead_seal(a, key, counter, aad, aad_len, in, len, in);
		CHECK_MEM(in, wanted, len + 16);
		check_guard(in - 64, 64);
		check_guard(in + len + 16, 64);
		CHECK(aead_open(a, key, counter, aad, aad_len, in, len + 16, in));
		CHECK_MEM(in, plain, len);
		CHECK_MEM(in + len, wanted + len, 16);
		check_guard(in - 64, 64);
		check_guard(in + len + 16, 64);
	}
}

static void agree_short(void)
{
	uint64_t seed = 1;

	for (size_t len = 0; len <= 1100; len++)
		check_agree(&seed, len);
}

static void agree_random(void)
{
	uint64_t seed = 2;

	for (int i = 0; i < 1500; i++)
		check_agree(&seed, test_random(&seed) % 4201);
}

static void agree_long(void)
{
	uint64_t seed = 3;

	for (size_t len = 65000; len < 65003; len++)
		check_agree(&seed, len);
	/* Around the limits of 16-bit lengths. */
	for (size_t len = 65519; len <= 65537; len++)
		check_agree(&seed, len);
	check_agree(&seed, MAX_LEN);
}

/* edge_new(): 8 KiB between two pages that may not be touched; edge_free unmaps it. */
#define EDGE_LEN 8192

static uint8_t *edge_new(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	uint8_t *p = mmap(NULL, EDGE_LEN + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED || mprotect(p + page, EDGE_LEN, PROT_READ | PROT_WRITE))
		abort();
	return p + page;
}

static void edge_free(uint8_t *p)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	munmap(p - page, EDGE_LEN + 2 * page);
}

/* Assembly is invisible to sanitizers: a load or store past the end has to run into a page instead. */
static void edges(void)
{
	uint8_t *src = edge_new(), *dst = edge_new(), *aad = edge_new(), *key = edge_new();
	uint64_t seed = 4;

	fill(&seed, src, EDGE_LEN);
	fill(&seed, aad, EDGE_LEN);
	fill(&seed, key, EDGE_LEN);
	for (size_t b = 0; b < n_backends; b++) {
		for (size_t len = 0; len < EDGE_LEN - 16; len += len < 1100 ? 1 : 61) {
			size_t aad_len = len % 65;
			/* Behind: all of them end where memory ends.  Before: all begin where it begins. */
			const uint8_t *k = key + EDGE_LEN - 32, *a = aad + EDGE_LEN - aad_len;
			const uint8_t *s = src + EDGE_LEN - len;
			uint8_t *d = dst + EDGE_LEN - len - 16;

			aead_seal(backends[b], k, len, a, aad_len, s, len, d);
			CHECK(aead_open(backends[b], k, len, a, aad_len, d, len + 16, d));
			CHECK(!memcmp(d, s, len));
			aead_seal(backends[b], key, len, aad, aad_len, src, len, dst);
			CHECK(aead_open(backends[b], key, len, aad, aad_len, dst, len + 16, dst));
			CHECK(!memcmp(dst, src, len));
		}
	}
	edge_free(src);
	edge_free(dst);
	edge_free(aad);
	edge_free(key);
}

static void corruption(void)
{
	uint8_t key[32] = {1}, aad[13] = {2}, good[48 + 16], bad[48 + 16], got[48];

	for (size_t b = 0; b < n_backends; b++) {
		struct aead *a = backends[b];

		for (size_t len = 0; len <= 48; len += 16) {
			size_t total = len + 16;

			aead_seal(a, key, 5, aad, sizeof(aad), ladies, len, good);
			for (size_t bit = 0; bit < total * 8; bit++) {
				memcpy(bad, good, total);
				bad[bit / 8] ^= (uint8_t)(1 << bit % 8);
				memset(got, GUARD, sizeof(got));
				CHECK(!aead_open(a, key, 5, aad, sizeof(aad), bad, total, got));
				check_zero(got, len);
				check_guard(got + len, sizeof(got) - len);
				CHECK(!aead_open(a, key, 5, aad, sizeof(aad), bad, total, bad));
				check_zero(bad, len);
			}
			for (size_t bit = 0; bit < 256; bit++) {
				key[bit / 8] ^= (uint8_t)(1 << bit % 8);
				CHECK(!aead_open(a, key, 5, aad, sizeof(aad), good, total, got));
				key[bit / 8] ^= (uint8_t)(1 << bit % 8);
			}
			for (size_t bit = 0; bit < sizeof(aad) * 8; bit++) {
				aad[bit / 8] ^= (uint8_t)(1 << bit % 8);
				CHECK(!aead_open(a, key, 5, aad, sizeof(aad), good, total, got));
				aad[bit / 8] ^= (uint8_t)(1 << bit % 8);
			}
			for (int bit = 0; bit < 64; bit++)
				CHECK(!aead_open(a, key, 5 ^ 1ULL << bit, aad, sizeof(aad), good,
					total, got));
			CHECK(!aead_open(a, key, 5, aad, sizeof(aad) - 1, good, total, got));
			CHECK(!aead_open(a, key, 5, NULL, 0, good, total, got));
			/* After all that the good one still opens. */
			CHECK(aead_open(a, key, 5, aad, sizeof(aad), good, total, got));
			CHECK_MEM(got, ladies, len);
		}
	}
}

static void truncation(void)
{
	uint8_t key[32] = {1}, good[100 + 16], got[116];

	for (size_t b = 0; b < n_backends; b++) {
		aead_seal(backends[b], key, 1, NULL, 0, ladies, 100, good);
		for (size_t len = 0; len < sizeof(good); len++) {
			memset(got, GUARD, sizeof(got));
			CHECK(!aead_open(backends[b], key, 1, NULL, 0, good, len, got));
			check_guard(got + (len < 16 ? 0 : len - 16),
				sizeof(got) - (len < 16 ? 0 : len - 16));
		}
		CHECK(aead_open(backends[b], key, 1, NULL, 0, good, sizeof(good), got));
		/* A message that lost its head instead of its tail. */
		for (size_t cut = 1; cut <= 100; cut++)
			CHECK(!aead_open(backends[b], key, 1, NULL, 0, good + cut,
				sizeof(good) - cut, got));
		CHECK(!aead_open(backends[b], key, 1, NULL, 0, NULL, 0, NULL));
	}
}

static void names(void)
{
	cleanup(aead_freep) struct aead *best = NULL;
	struct aead *none = NULL;
	char want[64];

	CHECK_EQ(aead_new(&best), 0);
	CHECK_STR(aead_describe(best), aead_describe(backends[0]));
	CHECK_EQ(aead_new_backend((enum aead_backend)99, &none), -ENOTSUP);
	CHECK(!none);
	CHECK_STR(enum_name(&aead_backend_enum, AEAD_BACKEND_IPSEC_MB), "ipsec-mb");
	CHECK_STR(enum_name(&aead_backend_enum, AEAD_BACKEND_OPENSSL), "openssl");
	snprintf(want, sizeof(want), "openssl 3.");
	CHECK_EQ(aead_new_backend(AEAD_BACKEND_OPENSSL, &none), 0);
	CHECK(!strncmp(aead_describe(none), want, strlen(want)));
	aead_free(none);
	aead_free(NULL);
#ifdef HAVE_IPSEC_MB
	if (__builtin_cpu_supports("avx"))
		CHECK(!strncmp(aead_describe(best), "ipsec-mb ", 9));
	CHECK_EQ(aead_ipsecmb_new("mmx", &none), -ENOTSUP);
	/* Reads past the end of a message. */
	CHECK_EQ(aead_ipsecmb_new("sse", &none), -ENOTSUP);
#endif
}

/* Contexts made, used against libsodium and freed by one thread. */
static void *aead_thread(void *arg)
{
	bool *ok = arg;
	uint64_t seed = (uintptr_t)arg;

	for (int round = 0; round < 10; round++) {
		struct aead *own[2] = {NULL, NULL};

		*ok = *ok && aead_new(&own[0]) == 0 &&
			aead_new_backend(AEAD_BACKEND_OPENSSL, &own[1]) == 0;
		for (int i = 0; *ok && i < 200; i++) {
			uint8_t key[32], text[300], box[316], want[316], nonce[24] = {0};
			size_t len = test_random(&seed) % 301;

			fill(&seed, key, sizeof(key));
			fill(&seed, text, len);
			put_le64(nonce + 4, (uint64_t)i);
			crypto_aead_chacha20poly1305_ietf_encrypt(
				want, NULL, text, len, NULL, 0, NULL, nonce, key);
			for (int b = 0; b < 2; b++) {
				aead_seal(own[b], key, (uint64_t)i, NULL, 0, text, len, box);
				*ok = *ok && !memcmp(box, want, len + 16) &&
					aead_open(own[b], key, (uint64_t)i, NULL, 0, box, len + 16,
						box) &&
					!memcmp(box, text, len);
			}
			crypto_aead_xchacha20poly1305_ietf_encrypt(
				want, NULL, text, len, NULL, 0, NULL, nonce, key);
			xaead_seal(key, nonce, NULL, 0, text, len, box);
			*ok = *ok && !memcmp(box, want, len + 16);
		}
		aead_free(own[0]);
		aead_free(own[1]);
	}
	return NULL;
}

static void threads(void)
{
	pthread_t t[2];
	bool ok[2] = {true, true};

	for (size_t i = 0; i < array_size(t); i++)
		CHECK_EQ(pthread_create(&t[i], NULL, aead_thread, &ok[i]), 0);
	for (size_t i = 0; i < array_size(t); i++) {
		CHECK_EQ(pthread_join(t[i], NULL), 0);
		CHECK(ok[i]);
	}
}

static void forgetting(void)
{
	uint8_t key[32] = {9};

	for (size_t b = 0; b < n_backends; b++) {
		aead_forget(backends[b]);
		aead_seal(backends[b], key, 1, NULL, 0, ladies, 50, sealed);
		aead_forget(backends[b]);
		CHECK(aead_open(backends[b], key, 1, NULL, 0, sealed, 66, opened));
		aead_forget(backends[b]);
		CHECK_MEM(opened, ladies, 50);
	}
}

static void xchacha_draft(void)
{
	uint8_t key[32], nonce[24], aad[12], subkey[32], want[130], got[32];

	for (size_t i = 0; i < 32; i++)
		key[i] = (uint8_t)i;
	test_unhex("000000090000004a0000000031415927", nonce, sizeof(nonce));
	test_unhex("82413b4227b27bfed30e42508a877d73a0f9e4d58a74a853c12ec41326d3ecdc", subkey, 32);
	hchacha20(key, nonce, got);
	CHECK_MEM(got, subkey, 32);

	for (size_t i = 0; i < 32; i++)
		key[i] = (uint8_t)(0x80 + i);
	for (size_t i = 0; i < 24; i++)
		nonce[i] = (uint8_t)(0x40 + i);
	test_unhex("50515253c0c1c2c3c4c5c6c7", aad, sizeof(aad));
	CHECK_EQ(test_unhex("bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb"
			    "731c7f1b0b4aa6440bf3a82f4eda7e39ae64c6708c54c216cb96b72e1213b452"
			    "2f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff9"
			    "21f9664c97637da9768812f615c68b13b52e"
			    "c0875924c1c7987947deafd8780acf49",
			 want, sizeof(want)),
		130);
	xaead_seal(key, nonce, aad, sizeof(aad), ladies, 114, sealed);
	CHECK_MEM(sealed, want, 130);
	CHECK(xaead_open(key, nonce, aad, sizeof(aad), want, 130, opened));
	CHECK_MEM(opened, ladies, 114);
}

static void xchacha_agrees(void)
{
	uint64_t seed = 8;

	for (int i = 0; i < 2000; i++) {
		size_t len = test_random(&seed) % 200, aad_len = test_random(&seed) % 101;
		uint8_t key[32], nonce[24], aad[100], sub[32], want_sub[32];
		uint8_t *out = sealed + 64 + test_random(&seed) % 64;

		fill(&seed, key, sizeof(key));
		fill(&seed, nonce, sizeof(nonce));
		fill(&seed, aad, aad_len);
		fill(&seed, plain, len);
		hchacha20(key, nonce, sub);
		crypto_core_hchacha20(want_sub, nonce, key, NULL);
		CHECK_MEM(sub, want_sub, 32);
		crypto_aead_xchacha20poly1305_ietf_encrypt(
			wanted, NULL, plain, len, aad, aad_len, NULL, nonce, key);
		memset(sealed, GUARD, len + 256);
		xaead_seal(key, nonce, aad, aad_len, plain, len, out);
		CHECK_MEM(out, wanted, len + 16);
		check_guard(out - 64, 64);
		check_guard(out + len + 16, 64);
		CHECK(xaead_open(key, nonce, aad, aad_len, out, len + 16, out));
		CHECK_MEM(out, plain, len);
		xaead_seal(key, nonce, aad, aad_len, out, len, out);
		CHECK_MEM(out, wanted, len + 16);
	}
}

static void xchacha_corruption(void)
{
	uint8_t key[32] = {1}, nonce[24] = {2}, aad[16] = {3}, good[32], bad[32], got[16];

	xaead_seal(key, nonce, aad, sizeof(aad), ladies, 16, good);
	for (size_t bit = 0; bit < sizeof(good) * 8; bit++) {
		memcpy(bad, good, sizeof(bad));
		bad[bit / 8] ^= (uint8_t)(1 << bit % 8);
		memset(got, GUARD, sizeof(got));
		CHECK(!xaead_open(key, nonce, aad, sizeof(aad), bad, sizeof(bad), got));
		check_zero(got, sizeof(got));
	}
	for (size_t bit = 0; bit < sizeof(nonce) * 8; bit++) {
		nonce[bit / 8] ^= (uint8_t)(1 << bit % 8);
		CHECK(!xaead_open(key, nonce, aad, sizeof(aad), good, sizeof(good), got));
		nonce[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	for (size_t bit = 0; bit < sizeof(aad) * 8; bit++) {
		aad[bit / 8] ^= (uint8_t)(1 << bit % 8);
		CHECK(!xaead_open(key, nonce, aad, sizeof(aad), good, sizeof(good), got));
		aad[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	for (size_t len = 0; len < sizeof(good); len++)
		CHECK(!xaead_open(key, nonce, aad, sizeof(aad), good, len, got));
	CHECK(xaead_open(key, nonce, aad, sizeof(aad), good, sizeof(good), got));
	CHECK_MEM(got, ladies, 16);
}

int main(void)
{
	if (sodium_init() < 0)
		return 1;
#ifdef HAVE_IPSEC_MB
	n_backends += aead_new_backend(AEAD_BACKEND_IPSEC_MB, &backends[n_backends]) == 0;
#endif
	n_backends += aead_new_backend(AEAD_BACKEND_OPENSSL, &backends[n_backends]) == 0;
#ifdef HAVE_IPSEC_MB
	/* What the library would choose on lesser processors than this one. */
	static const char *const architectures[] = {"avx512", "avx2", "avx"};

	for (size_t i = 0; i < array_size(architectures); i++)
		n_backends += aead_ipsecmb_new(architectures[i], &backends[n_backends]) == 0;
#endif
	for (size_t b = 0; b < n_backends; b++)
		test_note("with %s", aead_describe(backends[b]));

	test_run("threads with contexts of their own do not disturb each other [crypto-threads]", threads);
	test_run("every backend gives the results of RFC 8439, section 2.8.2 [aead-vectors]", rfc_8439);
	test_run("every backend gives the results of RFC 8439, appendix A.5 [aead-vectors]", rfc_8439_a5);
	test_run("the nonce is four zero bytes and the counter, little-endian [noise-transport-nonce]",
		nonce_form);
	test_run("backends and libsodium agree at every length up to 1,100, in place and not, within bounds [aead-backends-agree]",
		agree_short);
	test_run("backends and libsodium agree on random messages up to 4,200 bytes [aead-backends-agree]",
		agree_random);
	test_run("backends and libsodium agree on lengths around 65,535 [aead-backends-agree]", agree_long);
	test_run("nothing outside of the given buffers is read or written, not even by assembly [aead-bounds]",
		edges);
	test_run("any flipped bit of message, key, counter or AAD is refused and no plaintext is left [aead-refuses]",
		corruption);
	test_run("a message that lost its end or its beginning is refused [aead-refuses]", truncation);
	test_run("a context that was told to forget goes on working [aead-forget]", forgetting);
	test_run("the fastest backend is chosen and a backend that is not there is refused [aead-choice]",
		names);
	test_run("HChaCha20 and XChaCha20-Poly1305 give the draft's results [xaead]", xchacha_draft);
	test_run("XChaCha20-Poly1305 agrees with libsodium, in place and not, within bounds [xaead]",
		xchacha_agrees);
	test_run("any flipped bit of a sealed cookie, its nonce or its AAD is refused, and so is a shorter one [xaead]",
		xchacha_corruption);
	for (size_t b = 0; b < n_backends; b++)
		aead_free(backends[b]);
	return test_done();
}
