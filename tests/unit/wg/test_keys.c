/* What a listener to keys hears, and what is retained for who comes later. */
#include "sim.h"

#include "wg/retain.h"
#include "wg/peer.h"
#include "tests/unit/secrets.h"

static const uint8_t psk[WG_KEY_LEN] = {5, 4, 3, 2, 1};

static struct heard {
	unsigned	 keys, messages;
	bool		 early;		/* a message of ours came before its keys */
	uint8_t		 local_static[WG_KEY_LEN], ephemeral[WG_KEY_LEN], preshared[WG_KEY_LEN];
	uint64_t	 real_ns;
	struct wg_peer	*peer;
	uint8_t		 types[16];
	bool		 ours[16];
} heard;

static char not_checked; /* as a listener's argument: no other copy of the key is made */

static void hear_keys(void *arg, const struct wg_tap_keys *k)
{
	heard.keys++;
	heard.peer = k->peer;
	heard.real_ns = k->real_ns;
	memcpy(heard.local_static, k->local_static, WG_KEY_LEN);
	memcpy(heard.ephemeral, k->ephemeral, WG_KEY_LEN);
	memcpy(heard.preshared, k->preshared, WG_KEY_LEN);
}

static void hear(void *arg, unsigned worker, const struct wg_tap_packet *p)
{
	bool ours = p->point == WG_TAP_OUTER_OUT;

	if (!ours && p->point != WG_TAP_OUTER_IN)
		return;
	if (p->data[0] == WG_MESSAGE_DATA)
		return;
	if (ours && !heard.keys)
		heard.early = true;
	if (ours && arg != &not_checked) {
		/* An initiation and a response both have the ephemeral public key behind 8 or 12 bytes. */
		struct x25519 *key = NULL;

		if (x25519_new(heard.ephemeral, &key) < 0 ||
			memcmp(x25519_public(key), p->data + (p->data[0] == WG_MESSAGE_INITIATION ? 8 : 12), WG_KEY_LEN))
			heard.early = true;
		x25519_free(key);
	}
	heard.types[heard.messages % 16] = p->data[0];
	heard.ours[heard.messages++ % 16] = ours;
}

static void listen_to_keys(struct sim *s, unsigned host)
{
	heard = (struct heard){.keys = 0};
	s->hosts[host].tap.keys = hear_keys;
	sim_listen(s, host, hear, NULL);
}

static void prime(struct sim *s, unsigned host)
{
	const struct wg_tap to = {.packet = hear, .keys = hear_keys};

	wg_tap_prime(s->hosts[host].device, s->now, NULL, &to);
}

static void with_psk(struct sim *s)
{
	wg_peer_set_preshared_key(sim_peer(s, 0, 1), psk);
	wg_peer_set_preshared_key(sim_peer(s, 1, 0), psk);
}

static void each_role(void)
{
	for (unsigned i = 0; i < 4; i++) {
		struct sim *s = sim_pair(i + 1, false);
		unsigned host = i % 2;
		static const uint8_t none[WG_KEY_LEN];

		if (i / 2)
			with_psk(s);
		listen_to_keys(s, host);
		sim_send(s, 0, 1, 100);
		sim_settle(s);
		CHECK_EQ(heard.keys, 1);
		CHECK(!heard.early);
		CHECK_EQ(heard.messages, 2);
		CHECK_MEM(heard.local_static, s->hosts[host].private_key, WG_KEY_LEN);
		CHECK_MEM(heard.preshared, i / 2 ? psk : none, WG_KEY_LEN);
		CHECK(heard.peer == sim_peer(s, host, !host));
		sim_free(s);
	}
}

static void renews(void)
{
	struct sim *s = sim_session(7);
	unsigned before;

	sim_advance(s, S(10));
	before = s->n_records;
	listen_to_keys(s, 0);
	prime(s, 0);
	sim_settle(s);
	CHECK_EQ(sim_count(s, 0, WG_MESSAGE_INITIATION, before), 1);
	CHECK_EQ(heard.keys, 1);
	CHECK_EQ(sim_count_events(s, 0, WG_EVENT_HANDSHAKE_COMPLETE), 2);
	/* Again within moments: it is put off, and comes. */
	heard.keys = 0;
	before = s->n_records;
	prime(s, 0);
	sim_settle(s);
	CHECK_EQ(sim_count(s, 0, WG_MESSAGE_INITIATION, before), 0);
	sim_advance(s, S(6));
	CHECK_EQ(sim_count(s, 0, WG_MESSAGE_INITIATION, before), 1);
	CHECK_EQ(heard.keys, 1);
	CHECK_EQ(sim_count_events(s, 0, WG_EVENT_HANDSHAKE_COMPLETE), 3);
	sim_free(s);
}

/* Who comes between a message of ours and its answer has not heard the keys of that session. */
static void renews_what_is_under_way(void)
{
	for (unsigned i = 0; i < 3; i++) {
		struct sim *s = i ? sim_session(9 + i) : sim_pair(9, false);

		sim_advance(s, S(10));
		listen_to_keys(s, 0);
		s->hold[0] = SIM_TYPE(WG_MESSAGE_INITIATION);
		if (i)
			prime(s, 0);
		else
			sim_send(s, 0, 1, 100);
		sim_settle(s);
		CHECK_EQ(sim_count(s, 0, WG_MESSAGE_INITIATION, 0), i ? 2 : 1);
		heard.keys = 0;
		prime(s, 0);
		if (i == 2)
			prime(s, 0);
		s->hold[0] = 0;
		sim_release_all(s);
		CHECK_EQ(heard.keys, 0);
		CHECK_EQ(sim_count_events(s, 0, WG_EVENT_HANDSHAKE_COMPLETE), i ? 2 : 1);
		sim_advance(s, S(6));
		CHECK_EQ(heard.keys, 1);
		CHECK_EQ(sim_count_events(s, 0, WG_EVENT_HANDSHAKE_COMPLETE), i ? 3 : 2);
		/* And that was all. */
		sim_advance(s, S(20));
		CHECK_EQ(heard.keys, 1);
		sim_free(s);
	}
}

static void no_session(void)
{
	struct sim *s = sim_pair(8, true);

	listen_to_keys(s, 0);
	prime(s, 0);
	sim_settle(s);
	CHECK_EQ(s->n_records, 0);
	CHECK_EQ(heard.keys, 0);
	sim_free(s);
}

static void retains(void)
{
	for (unsigned host = 0; host < 2; host++) {
		struct sim *s;
		unsigned before;

		sim_retain = true;
		s = sim_pair(9, false);
		sim_retain = false;
		with_psk(s);
		sim_send(s, 0, 1, 100);
		sim_settle(s);
		before = s->n_records;
		heard = (struct heard){.keys = 0};
		prime(s, host);
		sim_settle(s);
		CHECK_EQ(heard.keys, 1);
		CHECK(!heard.early);
		CHECK_EQ(heard.messages, 2);
		CHECK_EQ(heard.types[0], WG_MESSAGE_INITIATION);
		CHECK_EQ(heard.types[1], WG_MESSAGE_RESPONSE);
		CHECK_EQ(heard.ours[0], host == 0);
		CHECK_EQ(heard.ours[1], host == 1);
		CHECK_MEM(heard.preshared, psk, WG_KEY_LEN);
		CHECK_MEM(heard.local_static, s->hosts[host].private_key, WG_KEY_LEN);
		CHECK(heard.real_ns > 0 && heard.real_ns <= s->now.real_ns);
		CHECK_EQ(s->n_records, before); /* no new handshake */
		sim_free(s);
	}
}

/* The ephemeral key that was retained is in no page any more when its session is. */
static void wiped_with_session(void)
{
	struct sim *s;

	sim_retain = true;
	s = sim_pair(10, false);
	sim_retain = false;
	sim_send(s, 0, 1, 100);
	sim_settle(s);
	heard = (struct heard){.keys = 0};
	wg_tap_prime(s->hosts[0].device, s->now, NULL,
		&(struct wg_tap){.packet = hear, .keys = hear_keys, .arg = &not_checked});
	CHECK_EQ(heard.keys, 1);
	for (unsigned i = 0; i < WG_KEY_LEN; i++)
		masked[i] = heard.ephemeral[i] ^ MASK;
	explicit_bzero(&heard, sizeof(heard));
	CHECK(places() > 0);
	s->lose[0] = s->lose[1] = SIM_ALL;
	sim_advance(s, S(700));
	CHECK_EQ(places(), 0);
	sim_free(s);
}

static void not_retained(void)
{
	struct sim *s = sim_pair(11, false);

	listen_to_keys(s, 0);
	sim_send(s, 0, 1, 100);
	sim_settle(s);
	CHECK_EQ(heard.keys, 1);
	for (unsigned i = 0; i < WG_KEY_LEN; i++)
		masked[i] = heard.ephemeral[i] ^ MASK;
	explicit_bzero(&heard, sizeof(heard));
	sim_advance(s, S(1));
	CHECK_EQ(places(), 0);
	sim_free(s);
}

static const struct sim_test tests[] = {
	{"keys are told before the first message of ours, to either role, with and without psk [tap-keys]", each_role},
	{"for who begins to listen a new handshake is made, or a little later [tap-prime]", renews},
	{"also where one is under way, whose keys were told before [tap-prime]", renews_what_is_under_way},
	{"but none where there is no session [tap-prime]", no_session},
	{"a retained handshake is told as it was, and no new one is made [retain-tells]", retains},
	{"what was retained is wiped with its session [retain-wiped]", wiped_with_session},
	{"nothing is retained unless that was asked for [retain-wiped]", not_retained},
};

int main(void)
{
	return sim_main(tests, array_size(tests));
}
