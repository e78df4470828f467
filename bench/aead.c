/*
 * bench/aead.c - what one packet, one hash and one derivation cost on this machine, in nanoseconds.
 *
 *	.build/bench/bench/aead
 *
 * Each figure is the best of several rounds, so that other work on the machine disturbs it least.
 * Every packet has a nonce and a tag of its own, as on the wire: figures of streaming tools leave
 * those out.
 */
#include <stdio.h>
#include <time.h>

#include "crypto/aead.h"
#include "crypto/hash.h"
#include "crypto/x25519.h"

#define ROUNDS 15

static double now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* measure(...): the best time per turn of ROUNDS rounds of ${n} turns. */
static double measure(void (*turn)(void *arg), void *arg, int n)
{
	double best = 1e18;

	for (int round = 0; round < ROUNDS; round++) {
		double start = now_ns(), each;

		for (int i = 0; i < n; i++)
			turn(arg);
		each = (now_ns() - start) / n;
		best = min(best, each);
	}
	return best;
}

struct packet {
	struct aead *a;
	uint64_t counter;
	size_t len;
	uint8_t key[AEAD_KEY_LEN];
	uint8_t clear[1500];
	uint8_t sealed[1500 + AEAD_TAG_LEN];
};

static void seal(void *arg)
{
	struct packet *p = arg;

	aead_seal(p->a, p->key, p->counter++, NULL, 0, p->clear, p->len, p->sealed);
}

static void open_packet(void *arg)
{
	struct packet *p = arg;

	if (!aead_open(p->a, p->key, 0, NULL, 0, p->sealed, p->len + AEAD_TAG_LEN, p->clear))
		abort();
}

static void packets(enum aead_backend backend)
{
	static const size_t lens[] = {0, 64, 256, 1440};
	static struct packet p;

	if (aead_new_backend(backend, &p.a) < 0) {
		printf("%s: not on this machine\n", enum_name(&aead_backend_enum, backend));
		return;
	}
	for (size_t i = 0; i < array_size(lens); i++) {
		double sealing, opening;

		p.len = lens[i];
		sealing = measure(seal, &p, 4000);
		p.counter = 0;
		seal(&p);
		opening = measure(open_packet, &p, 4000);
		printf("%-22s %5zu bytes   seal %6.0f   open %6.0f\n", aead_describe(p.a), p.len,
			sealing, opening);
	}
	aead_free(p.a);
}

static uint8_t key[32] = {1}, out[3][32], message[148];
static struct x25519 *private;

static void turn_hash(void *arg)
{
	hash2(out[0], key, 32, message, 32);
}

static void turn_mac(void *arg)
{
	mac(out[0], 16, key, 32, message, 116);
}

static void turn_hmac(void *arg)
{
	hmac(out[0], key, 32, message, 32);
}

static void turn_kdf(void *arg)
{
	kdf(key, message, 32, out[0], out[1], out[2]);
}

static void turn_xaead(void *arg)
{
	static const uint8_t nonce[XAEAD_NONCE_LEN];

	xaead_seal(key, nonce, message, 16, key, 16, message + 16);
}

static void turn_derive(void *arg)
{
	if (x25519_derive(private, x25519_public(private), out[0]) < 0)
		abort();
}

static void turn_keygen(void *arg)
{
	struct x25519 *k;

	if (x25519_new(key, &k) < 0)
		abort();
	x25519_free(k);
}

static void turn_context(void *arg)
{
	struct aead *a;

	if (aead_new(&a) < 0)
		abort();
	aead_free(a);
}

int main(void)
{
	static const struct {
		const char *name;
		void (*turn)(void *arg);
		int n;
	} rows[] = {
		{"hash of 64 bytes", turn_hash, 4000},
		{"keyed hash of 116 bytes (mac1)", turn_mac, 4000},
		{"hmac of 32 bytes", turn_hmac, 4000},
		{"kdf with three outputs", turn_kdf, 1000},
		{"xaead seal of 16 bytes (a cookie)", turn_xaead, 1000},
		{"x25519 derive", turn_derive, 100},
		{"x25519 key made and freed", turn_keygen, 100},
		{"aead context made and freed", turn_context, 20},
	};

	packets(AEAD_BACKEND_IPSEC_MB);
	packets(AEAD_BACKEND_OPENSSL);
	if (x25519_new(key, &private) < 0)
		return 1;
	for (size_t i = 0; i < array_size(rows); i++)
		printf("%-40s %8.0f\n", rows[i].name, measure(rows[i].turn, NULL, rows[i].n));
	x25519_free(private);
	return 0;
}
