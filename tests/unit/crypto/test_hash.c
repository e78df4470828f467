/* BLAKE2s, its keyed form, HMAC and HKDF against RFC 7693 and Python's hashlib. */
#include "base/test.h"
#include "crypto/hash.h"

#include <pthread.h>

#include "hash_vectors.h"

#define GUARD 0xa5

static uint8_t counting[1024];	/* 00 01 02 ... */

/* One digest into the middle of guard bytes; CHECKs that only ${len} bytes were written. */
static void check_guarded(const uint8_t box[64], size_t len, const uint8_t *want)
{
	CHECK_MEM(box + 16, want, len);
	for (size_t i = 0; i < 16; i++)
		CHECK_EQ(box[i], GUARD);
	for (size_t i = 16 + len; i < 64; i++)
		CHECK_EQ(box[i], GUARD);
}

static void rfc_7693(void)
{
	uint8_t want[32], got[32];

	test_unhex("508c5e8c327c14e2e1a72ba34eeb452f37458b209ed63a294d999b4c86675982", want, 32);
	hash2(got, "abc", 3, NULL, 0);
	CHECK_MEM(got, want, 32);
	hash2(got, NULL, 0, "abc", 3);
	CHECK_MEM(got, want, 32);
	test_unhex("69217a3079908094e11121d042354a7c1f55b6482ca1a51e1b250dfd1ed0eef9", want, 32);
	hash_parts(got, NULL, 0);
	CHECK_MEM(got, want, 32);
	/* The first row of BLAKE2's own list of keyed results. */
	test_unhex("48a8997da407876b3d79c0d92325ad3b89cbb754d86ab71aee047ad345fd2c49", want, 32);
	mac(got, 32, counting, 32, NULL, 0);
	CHECK_MEM(got, want, 32);
}

static void plain(void)
{
	for (size_t n = 0; n < array_size(want_hash); n++) {
		uint8_t box[64];

		memset(box, GUARD, sizeof(box));
		hash2(box + 16, counting, n, NULL, 0);
		check_guarded(box, 32, want_hash[n]);
	}
}

static void keyed(void)
{
	for (size_t n = 0; n < array_size(want_mac32); n++) {
		uint8_t box[64];

		memset(box, GUARD, sizeof(box));
		mac(box + 16, 32, counting, 32, counting, n);
		check_guarded(box, 32, want_mac32[n]);
		/* Directly after a longer one: nothing of its size may stay. */
		memset(box, GUARD, sizeof(box));
		mac(box + 16, 16, counting, 32, counting, n);
		check_guarded(box, 16, want_mac16[n]);
	}
}

static void keyed_sizes(void)
{
	for (size_t n = 0; n < array_size(want_mac_sizes); n++) {
		uint8_t box[64];

		memset(box, GUARD, sizeof(box));
		mac(box + 16, n + 1, counting, 32 - n, counting, 116);
		check_guarded(box, n + 1, want_mac_sizes[n]);
	}
}

static void splits(void)
{
	uint64_t seed = 3;

	for (size_t n = 0; n < array_size(want_hash); n++) {
		for (int round = 0; round < 8; round++) {
			struct hash_part parts[9];
			size_t at = 0;
			uint8_t got[32];

			for (size_t i = 0; i < array_size(parts); i++) {
				size_t len = i == 8 ? n - at : test_random(&seed) % (n - at + 1);

				parts[i] = (struct hash_part){len ? counting + at : NULL, len};
				at += len;
			}
			hash_parts(got, parts, array_size(parts));
			CHECK_MEM(got, want_hash[n], 32);
		}
	}
}

static void aliases(void)
{
	uint8_t got[32];

	/* hash2's result may be either of its inputs: that is how a transcript hash is carried on. */
	memcpy(got, counting, 32);
	hash2(got, got, 32, counting + 32, 64);
	CHECK_MEM(got, want_hash[96], 32);
	memcpy(got, counting + 64, 32);
	hash2(got, counting, 64, got, 32);
	CHECK_MEM(got, want_hash[96], 32);
	memset(got, 32, 32);
	kdf(got, counting, 32, got, NULL, NULL);
	CHECK_MEM(got, want_kdf[32], 32);
}

static void hmacs(void)
{
	uint8_t text[300];

	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (uint8_t)((i + 1) * 7);
	for (size_t n = 0; n < array_size(want_hmac); n++) {
		uint8_t box[64];

		memset(box, GUARD, sizeof(box));
		hmac(box + 16, counting, n % 65, text, n);
		check_guarded(box, 32, want_hmac[n]);
	}
}

static void kdfs(void)
{
	for (size_t n = 0; n < array_size(want_kdf); n++) {
		uint8_t ck[32], out[3][32];

		memset(ck, (int)n, sizeof(ck));
		for (int outputs = 1; outputs <= 3; outputs++) {
			memset(out, GUARD, sizeof(out));
			kdf(ck, counting, n, out[0], outputs > 1 ? out[1] : NULL,
				outputs > 2 ? out[2] : NULL);
			CHECK_MEM(out, want_kdf[n], 32 * (size_t)outputs);
			for (int i = 32 * outputs; i < 96; i++)
				CHECK_EQ(((uint8_t *)out)[i], GUARD);
		}
		/* "... and those after it". */
		memset(out, GUARD, sizeof(out));
		kdf(ck, counting, n, out[0], NULL, out[2]);
		CHECK_MEM(out[0], want_kdf[n], 32);
		CHECK_EQ(out[2][0], GUARD);
	}
}

static void compares(void)
{
	uint8_t a[64], b[64];

	for (size_t len = 0; len <= sizeof(a); len++) {
		memset(a, 0, sizeof(a));
		memset(b, 0, sizeof(b));
		CHECK(equal_const(a, b, len));
		CHECK(is_zero_const(a, len));
		for (size_t bit = 0; bit < sizeof(a) * 8; bit++) {
			a[bit / 8] ^= (uint8_t)(1 << bit % 8);
			CHECK_EQ(equal_const(a, b, len), bit >= len * 8);
			CHECK_EQ(is_zero_const(a, len), bit >= len * 8);
			a[bit / 8] = 0;
		}
	}
}

/* Every result of one thread; true when all are right. */
static void *hash_thread(void *arg)
{
	bool *ok = arg;
	uint8_t got[96];

	for (size_t n = 0; n < 101; n++) {
		uint8_t ck[32];

		hash2(got, counting, n, NULL, 0);
		*ok = *ok && !memcmp(got, want_hash[n], 32);
		mac(got, 16, counting, 32, counting, n);
		*ok = *ok && !memcmp(got, want_mac16[n], 16);
		memset(ck, (int)n, sizeof(ck));
		kdf(ck, counting, n, got, got + 32, got + 64);
		*ok = *ok && !memcmp(got, want_kdf[n], 96);
	}
	return NULL;
}

static void threads(void)
{
	for (int round = 0; round < 20; round++) {
		pthread_t t[4];
		bool ok[4];

		for (size_t i = 0; i < array_size(t); i++) {
			ok[i] = true;
			CHECK_EQ(pthread_create(&t[i], NULL, hash_thread, &ok[i]), 0);
		}
		for (size_t i = 0; i < array_size(t); i++) {
			CHECK_EQ(pthread_join(t[i], NULL), 0);
			CHECK(ok[i]);
		}
	}
}

int main(void)
{
	for (size_t i = 0; i < sizeof(counting); i++)
		counting[i] = (uint8_t)i;
	/* First, while nothing is fetched: threads race for the first use. */
	test_run("threads that come and go hash without disturbing each other [crypto-threads]", threads);
	test_run("BLAKE2s gives the results of RFC 7693 and of BLAKE2's own list [blake2s]", rfc_7693);
	test_run("BLAKE2s agrees with Python at every length from 0 to 255 [blake2s]", plain);
	test_run("keyed BLAKE2s of 16 and of 32 bytes agrees with Python at every length [blake2s-keyed]",
		keyed);
	test_run("keyed BLAKE2s agrees with Python at every size of digest and of key [blake2s-keyed]",
		keyed_sizes);
	test_run("a hash does not depend on how its input is cut [blake2s]", splits);
	test_run("HMAC-BLAKE2s agrees with Python for keys of 0 to 64 bytes [hmac-blake2s]", hmacs);
	test_run("the three outputs of the KDF agree with Python, and no more is written than asked for [noise-kdf]",
		kdfs);
	test_run("a result may overwrite the input that it is made from [noise-kdf]", aliases);
	test_run("each differing bit is seen by the comparisons, at every length [const-time-compare]",
		compares);
	return test_done();
}
