/* X25519 against RFC 7748 and libsodium. */
#include "base/test.h"
#include "crypto/x25519.h"

#include <errno.h>
#include <pthread.h>

#include <sodium.h>

static struct x25519 *key_of(const uint8_t private[32])
{
	struct x25519 *k = NULL;

	CHECK_EQ(x25519_new(private, &k), 0);
	return k;
}

static void check_derive(const char *private_hex, const char *public_hex, const char *shared_hex)
{
	cleanup(x25519_freep) struct x25519 *k = NULL;
	uint8_t private[32], public[32], want[32], got[32];

	test_unhex(private_hex, private, 32);
	test_unhex(public_hex, public, 32);
	test_unhex(shared_hex, want, 32);
	k = key_of(private);
	CHECK_EQ(x25519_derive(k, public, got), 0);
	CHECK_MEM(got, want, 32);
}

static void rfc_7748(void)
{
	check_derive("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
		"e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
		"c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552");
	/* The top bit of this public key is set and has to be ignored. */
	check_derive("4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
		"e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
		"95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957");
}

static void rfc_7748_exchange(void)
{
	static const char *const secrets[] = {
		"77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
		"5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb",
	};
	static const char *const publics[] = {
		"8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a",
		"de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f",
	};
	uint8_t shared[32], got[32];

	test_unhex("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742", shared, 32);
	for (int i = 0; i < 2; i++) {
		cleanup(x25519_freep) struct x25519 *k = NULL;
		uint8_t private[32], ours[32], theirs[32];

		test_unhex(secrets[i], private, 32);
		test_unhex(publics[i], ours, 32);
		test_unhex(publics[1 - i], theirs, 32);
		k = key_of(private);
		CHECK_MEM(x25519_public(k), ours, 32);
		CHECK_EQ(x25519_derive(k, theirs, got), 0);
		CHECK_MEM(got, shared, 32);
	}
}

static void iterations(void)
{
	uint8_t scalar[32] = {9}, point[32] = {9}, result[32], want[32];

	for (int i = 1; i <= 1000; i++) {
		cleanup(x25519_freep) struct x25519 *k = key_of(scalar);

		CHECK_EQ(x25519_derive(k, point, result), 0);
		memcpy(point, scalar, 32);
		memcpy(scalar, result, 32);
		if (i == 1) {
			test_unhex("422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079",
				want, 32);
			CHECK_MEM(scalar, want, 32);
		}
	}
	test_unhex("684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51", want, 32);
	CHECK_MEM(scalar, want, 32);
}

/* Every 32-byte string that encodes a point of order 1, 2, 4 or 8 on the curve or its twist, the top bit apart. */
static const char *const low_order[] = {
	"0000000000000000000000000000000000000000000000000000000000000000",
	"0100000000000000000000000000000000000000000000000000000000000000",
	"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
	"5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
};

static void low_orders(void)
{
	uint64_t seed = 11;

	for (int round = 0; round < 20; round++) {
		cleanup(x25519_freep) struct x25519 *k = NULL;
		uint8_t private[32];

		for (size_t i = 0; i < 32; i++)
			private[i] = (uint8_t)test_random(&seed);
		k = key_of(private);
		for (size_t i = 0; i < 2 * array_size(low_order); i++) {
			uint8_t public[32], good[32] = {9}, got[32];
			const uint8_t zero[32] = {0};

			test_unhex(low_order[i / 2], public, 32);
			public[31] |= i % 2 ? 0x80 : 0;
			memset(got, 0xa5, sizeof(got));
			CHECK_EQ(x25519_derive(k, public, got), -EBADMSG);
			CHECK_MEM(got, zero, 32);
			/* The refusal leaves nothing behind that would spoil the next one. */
			CHECK_EQ(x25519_derive(k, good, got), 0);
			CHECK_MEM(got, x25519_public(k), 32);
		}
	}
}

static void clamps(void)
{
	uint8_t private[32], other[32], got[32], got2[32], public[32] = {4};
	cleanup(x25519_freep) struct x25519 *a = NULL;
	cleanup(x25519_freep) struct x25519 *b = NULL;

	memset(private, 0xff, 32);
	memcpy(other, private, 32);
	other[0] ^= 7;
	other[31] ^= 0xc0;
	a = key_of(private);
	b = key_of(other);
	CHECK_EQ(private[0], 0xff);
	CHECK_MEM(x25519_public(a), x25519_public(b), 32);
	CHECK_EQ(x25519_derive(a, public, got), 0);
	CHECK_EQ(x25519_derive(b, public, got2), 0);
	CHECK_MEM(got, got2, 32);
	x25519_clamp(private);
	CHECK_EQ(private[0], 0xf8);
	CHECK_EQ(private[31], 0x7f);
	memset(private, 0, 32);
	x25519_clamp(private);
	CHECK_EQ(private[31], 0x40);
}

static void sodium_agrees(void)
{
	uint64_t seed = 5;

	for (int round = 0; round < 1000; round++) {
		cleanup(x25519_freep) struct x25519 *k = NULL;
		uint8_t private[32], public[32], got[32], want[32];

		for (size_t i = 0; i < 32; i++) {
			private[i] = (uint8_t)test_random(&seed);
			public[i] = (uint8_t)test_random(&seed);
		}
		if (round % 4 == 0)	/* near and above the prime */
			memset(public + 1, 0xff, 31);
		k = key_of(private);
		CHECK_EQ(crypto_scalarmult_base(want, private), 0);
		CHECK_MEM(x25519_public(k), want, 32);
		if (crypto_scalarmult(want, private, public)) {
			CHECK_EQ(x25519_derive(k, public, got), -EBADMSG);
			continue;
		}
		CHECK_EQ(x25519_derive(k, public, got), 0);
		CHECK_MEM(got, want, 32);
		/* The public key may be overwritten by the result. */
		CHECK_EQ(x25519_derive(k, public, public), 0);
		CHECK_MEM(public, want, 32);
	}
}

struct share {
	const struct x25519	*k;
	uint64_t		 seed;
	int			 wrong;
	uint8_t			 private[32];
};

static void *share_thread(void *arg)
{
	struct share *s = arg;

	for (int i = 0; i < 300; i++) {
		uint8_t public[32], got[32], want[32];
		bool low = i % 10 == 0;

		for (size_t j = 0; j < 32; j++)
			public[j] = low ? 0 : (uint8_t)test_random(&s->seed);
		if (low) {
			s->wrong += x25519_derive(s->k, public, got) != -EBADMSG;
			continue;
		}
		s->wrong += crypto_scalarmult(want, s->private, public) != 0;
		s->wrong += x25519_derive(s->k, public, got) != 0 || memcmp(got, want, 32);
	}
	return NULL;
}

static void shared_key(void)
{
	uint8_t private[32] = {1, 2, 3};
	cleanup(x25519_freep) struct x25519 *k = key_of(private);
	struct share s[3];
	pthread_t t[3];

	for (size_t i = 0; i < array_size(t); i++) {
		s[i] = (struct share){.k = k, .seed = i + 1};
		memcpy(s[i].private, private, 32);
		CHECK_EQ(pthread_create(&t[i], NULL, share_thread, &s[i]), 0);
	}
	for (size_t i = 0; i < array_size(t); i++) {
		CHECK_EQ(pthread_join(t[i], NULL), 0);
		CHECK_EQ(s[i].wrong, 0);
	}
}

int main(void)
{
	if (sodium_init() < 0)
		return 1;
	test_run("X25519 gives the results of RFC 7748, section 5.2 [x25519]", rfc_7748);
	test_run("X25519 agrees with itself over 1,000 iterations as RFC 7748 says [x25519]", iterations);
	test_run("two parties derive the secret of RFC 7748, section 6.1 [x25519]", rfc_7748_exchange);
	test_run("every low-order public key is refused with a zero result, with either top bit [x25519-low-order]",
		low_orders);
	test_run("private keys that differ in the clamped bits alone are the same key [x25519]", clamps);
	test_run("X25519 agrees with libsodium on random keys and on encodings above the prime [x25519]",
		sodium_agrees);
	test_run("threads derive from one key at the same time [crypto-threads]", shared_key);
	return test_done();
}
