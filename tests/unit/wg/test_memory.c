/* Every allocation of the engine fails in turn, and what a peer costs. */
#include "sim.h"
#include "wg/peer.h"

#include <malloc.h>

/* ---- seams: linked with --wrap ---- */

static unsigned fail_at, n_allocations; /* 0: none fails */
static long long fails_from_here(void)
{
	return ++n_allocations == fail_at;
}

void *__real_malloc(size_t len);
void *__wrap_malloc(size_t len);
void *__wrap_malloc(size_t len)
{
	return fails_from_here() ? NULL : __real_malloc(len);
}

void *__real_calloc(size_t n, size_t len);
void *__wrap_calloc(size_t n, size_t len);
void *__wrap_calloc(size_t n, size_t len)
{
	return fails_from_here() ? NULL : __real_calloc(n, len);
}

void *__real_realloc(void *p, size_t len);
void *__wrap_realloc(void *p, size_t len);
void *__wrap_realloc(void *p, size_t len)
{
	return fails_from_here() ? NULL : __real_realloc(p, len);
}

void *__real_aligned_alloc(size_t align, size_t len);
void *__wrap_aligned_alloc(size_t align, size_t len);
void *__wrap_aligned_alloc(size_t align, size_t len)
{
	return fails_from_here() ? NULL : __real_aligned_alloc(align, len);
}

static void random_bytes(void *arg, void *buf, size_t len)
{
	for (size_t i = 0; i < len; i++)
		((uint8_t *)buf)[i] = (uint8_t)(test_random(arg) >> 32);
}

static void device_new(void)
{
	uint64_t seed = 1;
	struct wg_device_config config = {.random = random_bytes, .arg = &seed, .workers = 2};
	struct wg_device *d = NULL;
	unsigned failures = 0;

	for (unsigned k = 1;; k++) {
		int r;

		fail_at = k;
		n_allocations = 0;
		r = wg_device_new(&config, &d);
		fail_at = 0;
		if (r >= 0 && n_allocations < k)
			break;
		CHECK(r < 0 && !d);
		failures++;
	}
	CHECK(failures >= 6);
	wg_device_free(d);
}

static void add_peer(void)
{
	uint64_t seed = 1;
	struct wg_device_config config = {.random = random_bytes, .arg = &seed, .workers = 1};
	unsigned failures = 0;

	for (unsigned k = 1;; k++) {
		struct wg_device *d;
		struct wg_peer *p = NULL;
		uint8_t key[32] = {9}, ip[4] = {10};
		int r;

		CHECK(!wg_device_new(&config, &d));
		fail_at = k;
		n_allocations = 0;
		r = wg_device_add_peer(d, key, &p);
		if (r >= 0)
			r = wg_peer_allow(d, p, AF_INET, ip, 8);
		fail_at = 0;
		CHECK(r >= 0 || n_allocations >= k);
		if (!p)
			CHECK(!wg_device_peer(d, key) && !wg_device_first_peer(d));
		wg_device_free(d);
		if (n_allocations < k)
			break;
		failures++;
	}
	CHECK(failures >= 4);
}

/* One failure anywhere in a whole exchange: nothing breaks, and the next packets arrive. */
static void exchange(void)
{
	unsigned failures = 0;

	for (unsigned k = 1;; k++) {
		struct sim *s = sim_pair(7, false);
		struct wg_device *d = s->hosts[k % 2].device;
		unsigned before;
		struct wg_now now = s->now;

		s->hold[0] = s->hold[1] = SIM_ALL;
		sim_settle(s);
		/* Only the engine's calls fail, not the simulator's. */
		for (unsigned round = 0; round < 4; round++) {
			struct wg_worker *w = wg_device_worker(d, 0);
			uint8_t packet[64] = {0x45};

			fail_at = round == (k / 2) % 4 ? 1 + k / 8 : 0;
			n_allocations = 0;
			wg_tx_stage(w, wg_device_first_peer(d), packet, sizeof(packet));
			if (s->n_held)
				wg_device_queue(d, &s->held[0].src, s->held[0].bytes, s->held[0].len);
			wg_device_run(d, now);
			failures += fail_at && n_allocations >= fail_at;
			fail_at = 0;
			sim_settle(s);
			sim_send(s, 1 - k % 2, k % 2, 100);
			sim_settle(s);
		}
		s->hold[0] = s->hold[1] = 0;
		s->n_held = 0;
		sim_advance(s, S(200));
		before = s->hosts[1].n_delivered;
		sim_send(s, 0, 1, 100);
		sim_advance(s, S(12));
		CHECK(s->hosts[1].n_delivered > before);
		for (unsigned i = 0; i < 2; i++) {
			wg_device_remove_peer(s->hosts[i].device, wg_device_first_peer(s->hosts[i].device));
			sim_settle(s);
			CHECK_EQ(index_count(&s->hosts[i].device->index), 0);
			CHECK_EQ(s->hosts[i].device->staged_bytes, 0);
		}
		sim_free(s);
		if (k == 160)
			break;
	}
	test_note("%u failures", failures);
	CHECK(failures >= 10);
}

static void sizes(void)
{
	size_t configured = sizeof(struct wg_peer) + 128;
	size_t session = configured + 3 * sizeof(struct wg_keypair) + sizeof(struct wg_handshake);

	test_note("peer %zu, keypair %zu, handshake %zu bytes", sizeof(struct wg_peer), sizeof(struct wg_keypair),
		sizeof(struct wg_handshake));
	CHECK(configured <= 2000);
	CHECK(session <= 6000);
}

static const struct sim_test tests[] = {
	{"a device that cannot have all its memory is an error and leaks nothing", device_new},
	{"so is a peer, and it is then not there", add_peer},
	{"one failed allocation anywhere in an exchange is recovered from", exchange},
	{"a peer takes less than 2 kB configured, and less than 6 kB with all its sessions", sizes},
};

int main(void)
{
	/* What the crypto floor keeps for itself is there from the first use on. */
	sim_workers = 1;
	sim_free(sim_session(1));
	return sim_main(tests, array_size(tests));
}
