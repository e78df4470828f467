/* The bytes of the handshake, against what another implementation computed, and what it refuses. */
#include "sim.h"
#include "wg/peer.h"

#include <malloc.h>

/* ---- seams: linked with --wrap ---- */

static unsigned derivations;
int __real_x25519_derive(const struct x25519 *k, const uint8_t public[X25519_LEN], uint8_t ret[X25519_LEN]);
int __wrap_x25519_derive(const struct x25519 *k, const uint8_t public[X25519_LEN], uint8_t ret[X25519_LEN]);
int __wrap_x25519_derive(const struct x25519 *k, const uint8_t public[X25519_LEN], uint8_t ret[X25519_LEN])
{
	derivations++;
	return __real_x25519_derive(k, public, ret);
}

static const uint8_t *secrets[6];
static unsigned n_secrets, freed_with_secret, freed;
void __real_free(void *p);
void __wrap_free(void *p);
void __wrap_free(void *p)
{
	size_t len = p && n_secrets ? malloc_usable_size(p) : 0;

	for (unsigned i = 0; i < n_secrets && len >= 32; i++)
		freed_with_secret += memmem(p, len, secrets[i], 32) != NULL;
	freed += len >= sizeof(struct wg_keypair);
	__real_free(p);
}

/* ---- vectors: Python, hashlib and cryptography, from the paper alone ---- */

static const char initiation_hex[] =
	"01000000040302017b4e909bbe7ffe44c465a220037d608ee35897d31ef972f07f74892cb0f73f13ef06789fa0b8cdf9"
	"e0083cab08708355f5143d6289337219faebe9e0926103225adc3dd43b5aff74c7244d98dbd1607bdf8ed0969eb6a074"
	"d0ba9ee6df0c4536c5eeb997d8e233c3b9f20aab56fc256c6a0b53d17fa438980c9470ef000000000000000000000000"
	"00000000";
static const char response_hex[] =
	"020000000d0c0b0a040302010faa684ed28867b97f4a6a2dee5df8ce974e76b7018e3f22a1c4cf2678570f20f3507433"
	"906ab3bef867647bff95e1d8fc5098f26a9d95c22f02541f1f65e47200000000000000000000000000000000";
static const char keepalive_hex[] = "040000000d0c0b0a08070605040302013cabe246424d1daa2a58e0e9eaecdf6f";
static const char data_hex[] =
	"040000000d0c0b0a0500000000000000138c99c255b5f39770537b30c26f4e6728603bb2e39689b05ffe1e57bfae2129"
	"c9beb6919451d9d23cf8c8df5e9a111d";

struct vector {
	struct aead		*aead;
	struct x25519		*a, *b, *e1, *e2;
	uint8_t			 psk[32], timestamp[WG_TIMESTAMP_LEN], ss[32];
	struct noise_self	 self_a, self_b;
	struct noise_state	 state_a, state_b;
	struct wg_initiation	 initiation;
	struct wg_response	 response;
	struct noise_keys	 keys_a, keys_b;
};

static struct x25519 *key_from(int first, int step)
{
	struct x25519 *k;
	uint8_t private[32];

	for (int i = 0; i < 32; i++)
		private[i] = (uint8_t)(first + step * i);
	if (x25519_new(private, &k) < 0)
		abort();
	return k;
}

static struct vector vector_new(void)
{
	struct vector v = {.a = key_from(1, 1), .b = key_from(64, 1), .e1 = key_from(0x11, 0), .e2 = key_from(0x22, 0)};
	struct cookie_maker m;
	uint8_t public[32], timestamp[12];

	CHECK(!aead_new(&v.aead));
	v.self_a = (struct noise_self){.aead = v.aead, .key = v.a};
	v.self_b = (struct noise_self){.aead = v.aead, .key = v.b};
	for (int i = 0; i < 32; i++)
		v.psk[i] = (uint8_t)(100 + i);
	test_unhex("400000006955b90a12000000", v.timestamp, sizeof(v.timestamp));
	CHECK(!x25519_derive(v.a, x25519_public(v.b), v.ss));
	CHECK_EQ(noise_initiation_create(&v.self_a, x25519_public(v.b), v.ss, v.e1, v.timestamp, 0x01020304,
			 &v.state_a, &v.initiation), WG_DROP_NONE);
	cookie_maker_init(&m, x25519_public(v.b));
	cookie_add_macs(&m, 1, &v.initiation, sizeof(v.initiation));
	CHECK_EQ(noise_initiation_read_static(&v.self_b, &v.initiation, &v.state_b, public), WG_DROP_NONE);
	CHECK_MEM(public, x25519_public(v.a), 32);
	CHECK_EQ(noise_initiation_read_timestamp(&v.self_b, &v.initiation, v.ss, &v.state_b, timestamp), WG_DROP_NONE);
	CHECK_MEM(timestamp, v.timestamp, 12);
	CHECK_EQ(noise_response_create(&v.self_b, &v.state_b, v.initiation.ephemeral, x25519_public(v.a), v.psk, v.e2,
			 0x0a0b0c0d, 0x01020304, &v.response, &v.keys_b), WG_DROP_NONE);
	cookie_maker_init(&m, x25519_public(v.a));
	cookie_add_macs(&m, 1, &v.response, sizeof(v.response));
	CHECK_EQ(noise_response_read(&v.self_a, &v.state_a, v.e1, v.psk, &v.response, &v.keys_a), WG_DROP_NONE);
	return v;
}

static void vector_done(struct vector *v)
{
	aead_free(v->aead);
	x25519_free(v->a);
	x25519_free(v->b);
	x25519_free(v->e1);
	x25519_free(v->e2);
}

static void bytes(void)
{
	struct vector v = vector_new();
	uint8_t want[256];

	hash2(want, WG_CONSTRUCTION, strlen(WG_CONSTRUCTION), NULL, 0);
	CHECK_MEM(noise_initial_chaining_key, want, HASH_LEN);
	hash2(want, want, HASH_LEN, WG_IDENTIFIER, strlen(WG_IDENTIFIER));
	CHECK_MEM(noise_initial_hash, want, HASH_LEN);
	CHECK_EQ(test_unhex(initiation_hex, want, sizeof(want)), 148);
	CHECK_MEM(&v.initiation, want, 148);
	CHECK_EQ(test_unhex(response_hex, want, sizeof(want)), 92);
	CHECK_MEM(&v.response, want, 92);
	vector_done(&v);
}

static void transport_keys(void)
{
	struct vector v = vector_new();
	uint8_t want[32];

	test_unhex("4843e6f42ec30af23a8e46b57e899b926f0350eb59705d50ae002d539745a52d", want, 32);
	CHECK_MEM(v.keys_a.send, want, 32);
	CHECK_MEM(v.keys_b.receive, want, 32);
	test_unhex("99a98c1447b679393ba9bac8b8fda22137bf82dbad81f60d929484a151529202", want, 32);
	CHECK_MEM(v.keys_b.send, want, 32);
	CHECK_MEM(v.keys_a.receive, want, 32);
	vector_done(&v);
}

static void transport_bytes(void)
{
	struct vector v = vector_new();
	struct sim *s = sim_session(1);
	struct wg_keypair k = {.keys = v.keys_a, .remote_index = 0x0a0b0c0d};
	struct wg_tx_run run = {.keypair = &k, .counter = 0x0102030405060706, .n = 4};
	uint8_t want[64], got[64], src[32] = {'E'};

	test_unhex(keepalive_hex, want, sizeof(want));
	wg_tx_seal(wg_device_worker(s->hosts[0].device, 0), &run, 2, src, 0, got);
	CHECK_MEM(got, want, 32);
	test_unhex(data_hex, want, sizeof(want));
	run.counter = 5;
	CHECK_EQ(wg_tx_padded_len(&run, 20), 32);
	wg_tx_seal(wg_device_worker(s->hosts[0].device, 0), &run, 0, src, 32, got);
	CHECK_MEM(got, want, 64);
	sim_free(s);
	vector_done(&v);
}

static void low_order(void)
{
	struct vector v = vector_new();
	struct wg_initiation i = v.initiation;
	struct wg_response r = v.response;
	struct noise_state st;
	struct noise_keys keys;
	uint8_t out[32];

	memset(i.ephemeral, 0, 32); /* es */
	CHECK_EQ(noise_initiation_read_static(&v.self_b, &i, &st, out), WG_DROP_LOW_ORDER);
	i.ephemeral[0] = 1;
	CHECK_EQ(noise_initiation_read_static(&v.self_b, &i, &st, out), WG_DROP_LOW_ORDER);
	memset(r.ephemeral, 0, 32); /* ee, se */
	CHECK_EQ(noise_response_read(&v.self_a, &v.state_a, v.e1, v.psk, &r, &keys), WG_DROP_LOW_ORDER);
	memset(out, 0, 32); /* es of the initiator, ee and se of the responder */
	CHECK_EQ(noise_initiation_create(&v.self_a, out, v.ss, v.e1, v.timestamp, 1, &st, &i), WG_DROP_LOW_ORDER);
	st = v.state_b;
	CHECK_EQ(noise_response_create(&v.self_b, &st, out, x25519_public(v.a), v.psk, v.e2, 1, 2, &r, &keys),
		WG_DROP_LOW_ORDER);
	st = v.state_b;
	CHECK_EQ(noise_response_create(&v.self_b, &st, v.initiation.ephemeral, out, v.psk, v.e2, 1, 2, &r, &keys),
		WG_DROP_LOW_ORDER);
	vector_done(&v);
}

static void low_order_peer(void)
{
	static const char *const keys[] = {
		"0000000000000000000000000000000000000000000000000000000000000000",
		"0100000000000000000000000000000000000000000000000000000000000000",
		"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
		"5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	};
	struct sim *s = sim_new(sim_workers, 2, 2);

	for (unsigned i = 0; i < array_size(keys); i++) {
		uint8_t key[32], ip[4] = {10, 0, 0, (uint8_t)(i + 2)};
		struct wg_peer *p;

		test_unhex(keys[i], key, 32);
		CHECK(!wg_device_add_peer(s->hosts[0].device, key, &p));
		CHECK(!wg_peer_allow(s->hosts[0].device, p, AF_INET, ip, 32));
		wg_peer_set_endpoint(s->hosts[0].device, p, &s->hosts[1].addr);
		wg_peer_set_keepalive(p, 5);
		wg_peer_configured(s->hosts[0].device, p, s->now);
		for (int t = 0; t < 30; t++) {
			sim_send(s, 0, i + 1, 100);
			sim_advance(s, S(1));
		}
	}
	sim_advance(s, S(600));
	CHECK_EQ(s->n_records, 0);
	CHECK(sim_drops(s, 0, WG_DROP_LOW_ORDER) > 0);
	sim_free(s);
}

static void timestamps(void)
{
	uint8_t a[12], b[12], want[12];

	test_unhex("400000006955b90a 12000000", want, 12);
	noise_timestamp(1767225600ULL * NS_PER_S + 0x12ffffff, a);
	CHECK_MEM(a, want, 12);
	noise_timestamp(1767225600ULL * NS_PER_S + 0x12000000, b);
	CHECK_MEM(b, want, 12);
	noise_timestamp(1767225600ULL * NS_PER_S + 0x13000000, b);
	CHECK(memcmp(b, a, 12) > 0);
	noise_timestamp(0, a);
	test_unhex("400000000000000a00000000", want, 12);
	CHECK_MEM(a, want, 12);
}

static void one_step(void)
{
	struct sim *s = sim_pair(3, false);
	struct wg_initiation m;
	uint8_t ts[12];

	s->hold[0] = s->lose[1] = SIM_ALL;
	noise_timestamp(S(1767225600) + 0x12000000, ts);
	sim_initiation(s, 0, 1, ts, 7, &m);
	struct wg_endpoint from = sim_endpoint(s, 0);
	sim_receive(s, 1, &from, &m, sizeof(m));
	sim_settle(s);
	CHECK_EQ(sim_count(s, 1, WG_MESSAGE_RESPONSE, 0), 1);
	sim_advance(s, S(1)); /* so that only the timestamp refuses it */
	noise_timestamp(S(1767225600) + 0x12ffffff, ts);
	sim_initiation(s, 0, 1, ts, 8, &m);
	sim_receive(s, 1, &from, &m, sizeof(m));
	sim_settle(s);
	CHECK_EQ(sim_count(s, 1, WG_MESSAGE_RESPONSE, 0), 1);
	CHECK_EQ(sim_drops(s, 1, WG_DROP_OLD_TIMESTAMP), 1);
	noise_timestamp(S(1767225600) + 0x13000000, ts);
	sim_initiation(s, 0, 1, ts, 9, &m);
	sim_receive(s, 1, &from, &m, sizeof(m));
	sim_settle(s);
	CHECK_EQ(sim_count(s, 1, WG_MESSAGE_RESPONSE, 0), 2);
	sim_free(s);
}

static void mac1_first(void)
{
	struct sim *s = sim_pair(4, false);
	struct wg_endpoint from = sim_endpoint(s, 0);
	struct wg_initiation m;
	uint8_t ts[12];

	noise_timestamp(s->now.real_ns, ts);
	sim_initiation(s, 0, 1, ts, 7, &m);
	m.macs.mac1[15] ^= 1;
	derivations = 0;
	sim_receive(s, 1, &from, &m, sizeof(m));
	sim_settle(s);
	CHECK_EQ(derivations, 0);
	CHECK_EQ(s->n_records, 0);
	CHECK_EQ(sim_drops(s, 1, WG_DROP_BAD_MAC1), 1);
	m.macs.mac1[15] ^= 1;
	sim_receive(s, 1, &from, &m, sizeof(m));
	sim_settle(s);
	CHECK(derivations > 0);
	CHECK_EQ(sim_count(s, 1, WG_MESSAGE_RESPONSE, 0), 1);
	sim_free(s);
}

/* Every byte of both messages; the MACs made right again, so that Noise itself has to refuse. */
static void tampered(void)
{
	struct sim *s = sim_pair(5, false);
	struct wg_endpoint from = sim_endpoint(s, 0);
	struct cookie_maker to1, to0;
	struct wg_initiation m;
	struct wg_response r;
	uint8_t ts[12];

	cookie_maker_init(&to1, s->hosts[1].public_key);
	cookie_maker_init(&to0, s->hosts[0].public_key);
	noise_timestamp(s->now.real_ns, ts);
	sim_initiation(s, 0, 1, ts, 7, &m);
	for (unsigned macs = 0; macs < 2; macs++) {
		for (unsigned i = 0; i < (macs ? 116 : 132); i++) {
			struct wg_initiation bad = m;

			if (macs && i >= 4 && i < 8)
				continue; /* the sender's index is only covered by mac1 */
			((uint8_t *)&bad)[i] ^= 0x10;
			if (macs)
				cookie_add_macs(&to1, s->now.boot_ns, &bad, sizeof(bad));
			sim_receive(s, 1, &from, &bad, sizeof(bad));
			sim_settle(s);
		}
	}
	CHECK_EQ(s->n_records, 0);
	CHECK(is_zero_const(sim_peer(s, 1, 0)->last_timestamp, 12));
	CHECK_EQ(index_count(&s->hosts[1].device->index), 0);
	CHECK(!ENDPOINT(sim_peer(s, 1, 0)).dst.family);

	s->hold[1] = SIM_TYPE(WG_MESSAGE_RESPONSE);
	sim_send(s, 0, 1, 100);
	sim_settle(s);
	CHECK_EQ(s->n_held, 1);
	from = sim_endpoint(s, 1);
	for (unsigned macs = 0; macs < 2; macs++) {
		for (unsigned i = 0; i < (macs ? 60 : 76); i++) {
			memcpy(&r, s->held[0].bytes, sizeof(r));
			if (macs && i >= 4 && i < 8)
				continue;
			((uint8_t *)&r)[i] ^= 0x10;
			if (macs)
				cookie_add_macs(&to0, s->now.boot_ns, &r, sizeof(r));
			sim_receive(s, 0, &from, &r, sizeof(r));
			sim_settle(s);
		}
	}
	CHECK(!sim_peer(s, 0, 1)->current);
	CHECK(sim_peer(s, 0, 1)->handshake);
	sim_release(s, 0);
	CHECK_EQ(s->hosts[1].n_delivered, 1);
	sim_free(s);
}

static void psk(void)
{
	struct sim *s = sim_pair(6, false);
	uint8_t key[32] = {1, 2, 3};

	wg_peer_set_preshared_key(sim_peer(s, 0, 1), key);
	sim_send(s, 0, 1, 100);
	sim_advance(s, S(20));
	CHECK_EQ(s->hosts[1].n_delivered, 0);
	CHECK(sim_count(s, 1, WG_MESSAGE_RESPONSE, 0) >= 3);
	CHECK(!sim_peer(s, 0, 1)->current);
	CHECK_EQ(sim_count(s, 0, WG_MESSAGE_DATA, 0), 0);
	sim_free(s);
}

static void psk_at_use(void)
{
	struct sim *s = sim_pair(7, false);
	uint8_t key[32] = {9};

	/* Changed on both ends while the response is under way: the responder's counted when it was made. */
	s->hold[1] = SIM_TYPE(WG_MESSAGE_RESPONSE);
	s->hold[0] = SIM_TYPE(WG_MESSAGE_INITIATION);
	sim_send(s, 0, 1, 100);
	sim_settle(s);
	wg_peer_set_preshared_key(sim_peer(s, 1, 0), key);
	sim_release(s, 0); /* the initiation: the response is made with the new key */
	wg_peer_set_preshared_key(sim_peer(s, 0, 1), key);
	sim_release(s, 1);
	CHECK_EQ(s->hosts[1].n_delivered, 1);
	sim_free(s);
}

static void psk_keeps_session(void)
{
	struct sim *s = sim_session(8);
	uint8_t key[32] = {9};

	sim_forget(s);
	wg_peer_set_preshared_key(sim_peer(s, 0, 1), key);
	wg_peer_configured(s->hosts[0].device, sim_peer(s, 0, 1), s->now);
	CHECK_EQ(sim_send(s, 0, 1, 100), 0);
	CHECK_EQ(sim_send(s, 1, 0, 100), 0);
	sim_settle(s);
	CHECK_EQ(s->hosts[0].n_delivered + s->hosts[1].n_delivered, 4);
	CHECK_EQ(sim_count(s, 0, WG_MESSAGE_INITIATION, 0), 0);
	sim_free(s);
}

static void unknown_static(void)
{
	struct sim *s = sim_new(sim_workers, 3, 9);
	struct wg_endpoint from = sim_endpoint(s, 2);
	struct wg_initiation m;
	uint8_t ts[12];

	sim_connect(s, 0, 1, false);
	noise_timestamp(s->now.real_ns, ts);
	sim_initiation(s, 2, 1, ts, 7, &m);
	sim_receive(s, 1, &from, &m, sizeof(m));
	sim_settle(s);
	CHECK_EQ(s->n_records, 0);
	CHECK_EQ(sim_drops(s, 1, WG_DROP_UNKNOWN_PEER), 1);
	sim_free(s);
}

static void wiped(void)
{
	struct sim *s = sim_pair(10, false);
	uint8_t ephemeral[32], chaining[32], keys[2][32];
	struct wg_keypair *k;

	s->hold[1] = SIM_TYPE(WG_MESSAGE_RESPONSE);
	sim_send(s, 0, 1, 100);
	sim_settle(s);
	memcpy(chaining, sim_peer(s, 0, 1)->handshake->state.chaining_key, 32);
	memcpy(ephemeral, sim_peer(s, 0, 1)->handshake->state.hash, 32);
	CHECK(!is_zero_const(chaining, 32));
	struct wg_handshake *h = sim_peer(s, 0, 1)->handshake;
	struct wg_worker *w = wg_device_worker(s->hosts[0].device, 0);
	/* A worker that still looks holds the memory, but not the secrets. */
	wg_worker_online(w);
	wg_device_queue(s->hosts[0].device, &s->held[0].src, s->held[0].bytes, s->held[0].len);
	wg_device_run(s->hosts[0].device, s->now);
	k = sim_peer(s, 0, 1)->current;
	CHECK(k);
	CHECK(is_zero_const(&h->state, sizeof(h->state)));
	CHECK(!h->ephemeral);
	wg_worker_offline(w);

	memcpy(keys[0], k->keys.send, 32);
	memcpy(keys[1], k->keys.receive, 32);
	secrets[0] = keys[0];
	secrets[1] = keys[1];
	secrets[2] = chaining;
	secrets[3] = ephemeral;
	freed = freed_with_secret = 0;
	n_secrets = 4;
	wg_device_remove_peer(s->hosts[0].device, sim_peer(s, 0, 1));
	sim_settle(s);
	n_secrets = 0;
	CHECK(freed > 0);
	CHECK_EQ(freed_with_secret, 0);
	sim_free(s);
}

static const struct sim_test tests[] = {
	{"initiation and response have the bytes that another implementation computes [const-construction] [const-labels] "
	 "[noise-initiation-bytes] [noise-response-bytes] [mac-mac1-key]", bytes},
	{"both sides derive the two keys, and each sends with its own [noise-transport-keys]", transport_keys},
	{"data is sealed under four zero bytes and the counter, with nothing beside it [noise-transport-nonce]",
		transport_bytes},
	{"a product of zero ends the handshake at each of its steps [noise-zero-dh]", low_order},
	{"to a peer of low order nothing is ever sent [noise-low-order-peer]", low_order_peer},
	{"a timestamp is TAI64N in steps of 2^24 ns [noise-tai64n]", timestamps},
	{"two initiations within one step: the second is refused [noise-tai64n-steps] [noise-timestamp-replay]", one_step},
	{"an initiation with a wrong mac1 costs no Diffie-Hellman and gets no answer [noise-mac1-first]", mac1_first},
	{"a message with any one byte changed is refused and changes nothing [noise-tampered] [noise-state-after-success]",
		tampered},
	{"different preshared keys complete no handshake [noise-psk-mismatch]", psk},
	{"a preshared key is read when the response is made and consumed [noise-psk-at-use-time]", psk_at_use},
	{"a changed preshared key leaves the session [noise-psk-session-kept]", psk_keeps_session},
	{"an unknown static key gets no answer [noise-unknown-static]", unknown_static},
	{"secrets are wiped when the session begins, and keypairs before they are freed [noise-wipe-handshake] "
	 "[noise-wipe-keypair]", wiped},
};

int main(void)
{
	return sim_main(tests, array_size(tests));
}
