/*
 * What stays in memory of a session's keys after it: nothing, also not in the contexts of libcrypto, which keep the key
 * they worked with last.  Every key that the engine gives to its cipher is written down, under a mask.
 */
#include "sim.h"
#include "tests/unit/secrets.h"
#include "wg/peer.h"

#define KEYS_MAX 16

void __real_aead_seal(struct aead *a, const uint8_t key[AEAD_KEY_LEN], uint64_t counter, const void *aad,
	size_t aad_len, const void *src, size_t len, void *dst);
bool __real_aead_open(struct aead *a, const uint8_t key[AEAD_KEY_LEN], uint64_t counter, const void *aad,
	size_t aad_len, const void *src, size_t len, void *dst);
void __wrap_aead_seal(struct aead *a, const uint8_t key[AEAD_KEY_LEN], uint64_t counter, const void *aad,
	size_t aad_len, const void *src, size_t len, void *dst);
bool __wrap_aead_open(struct aead *a, const uint8_t key[AEAD_KEY_LEN], uint64_t counter, const void *aad,
	size_t aad_len, const void *src, size_t len, void *dst);

static uint8_t keys[KEYS_MAX][AEAD_KEY_LEN]; /* masked */
static size_t n_keys;

static void write_down(const uint8_t key[AEAD_KEY_LEN])
{
	size_t i, at;

	for (i = 0; i < n_keys; i++) {
		for (at = 0; at < AEAD_KEY_LEN && (keys[i][at] ^ key[at]) == MASK; at++)
			;
		if (at == AEAD_KEY_LEN)
			return;
	}
	if (n_keys == KEYS_MAX)
		abort();
	for (at = 0; at < AEAD_KEY_LEN; at++)
		keys[n_keys][at] = key[at] ^ MASK;
	n_keys++;
}

void __wrap_aead_seal(struct aead *a, const uint8_t key[AEAD_KEY_LEN], uint64_t counter, const void *aad,
	size_t aad_len, const void *src, size_t len, void *dst)
{
	write_down(key);
	__real_aead_seal(a, key, counter, aad, aad_len, src, len, dst);
}

bool __wrap_aead_open(struct aead *a, const uint8_t key[AEAD_KEY_LEN], uint64_t counter, const void *aad,
	size_t aad_len, const void *src, size_t len, void *dst)
{
	write_down(key);
	return __real_aead_open(a, key, counter, aad, aad_len, src, len, dst);
}

static void use_libcrypto(struct wg_worker *w)
{
	aead_free(w->aead);
	if (aead_new_backend(AEAD_BACKEND_OPENSSL, &w->aead) < 0)
		abort();
}

/* Of how many keys something is in memory. */
static size_t found(void)
{
	size_t n = 0;

	for (size_t i = 0; i < n_keys; i++) {
		memcpy(masked, keys[i], sizeof(masked));
		n += places() > 0;
	}
	return n;
}

static struct sim *session(void)
{
	struct sim *s = sim_new(2, 2, 1);

	n_keys = 0;
	for (unsigned i = 0; i < 2; i++) {
		use_libcrypto(s->hosts[i].device->control);
		for (unsigned k = 0; k < 2; k++)
			use_libcrypto(wg_device_worker(s->hosts[i].device, k));
	}
	sim_connect(s, 0, 1, true);
	sim_send(s, 0, 1, 100); /* goes by the control half, after the handshake */
	sim_settle(s);
	for (unsigned i = 0; i < 8; i++) { /* each worker both ways */
		sim_send(s, i & 1, !(i & 1), 100);
		sim_settle(s);
	}
	CHECK_EQ(s->hosts[0].n_delivered, 4);
	CHECK_EQ(s->hosts[1].n_delivered, 5);
	CHECK_EQ(n_keys, 5); /* two of the initiation, one of the response, one each way */
	/* The two sessions' keys are in memory while they live, those of the handshake are not. */
	CHECK_EQ(found(), 2);
	return s;
}

static void removed(void)
{
	struct sim *s = session();

	for (unsigned i = 0; i < 2; i++)
		wg_device_remove_peer(s->hosts[i].device, sim_peer(s, i, !i));
	sim_settle(s);
	CHECK_EQ(found(), 0);
	sim_free(s);
}

static void too_old(void)
{
	struct sim *s = session();

	/* Nobody sends: three times 180 s after the last handshake the keys go. */
	sim_advance(s, S(3 * 180 + 1));
	CHECK(!sim_peer(s, 0, 1)->current && !sim_peer(s, 1, 0)->current);
	CHECK_EQ(found(), 0);
	sim_free(s);
}

int main(void)
{
#ifdef __SANITIZE_THREAD__
	/* Its run time keeps copies of what it watches, and moves the stack about. */
	test_skip("no key is left in memory", "the thread sanitizer keeps copies of its own");
	return test_done();
#endif
	test_run("no key is left in memory after its peer was removed [secrets-wiped]", removed);
	test_run("no key is left in memory when its session is too old [secrets-wiped]", too_old);
	return test_done();
}
