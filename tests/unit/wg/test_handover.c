/*
 * A device is handed over in every state of the protocol, to one with another number of workers, and the peer notices nothing.
 *
 * test_handover --fixture DIR writes the streams of today's version, which every later one must read.
 */
#include "sim.h"
#include "wg/handover.h"
#include "wg/peer.h"

#include <errno.h>
#include <stdio.h>

#define FIXTURES SOURCE_ROOT "/tests/unit/wg/fixtures"

static const unsigned BOTH = WG_HANDOVER_CONFIG | WG_HANDOVER_STATE;

static unsigned other_workers(const struct sim *s, unsigned host)
{
	return s->hosts[host].workers % 3 + 1;
}

static void replace(struct sim *s, unsigned host)
{
	sim_replace(s, host, other_workers(s, host));
}

/* ---- no nonce twice ---- */

static int by_nonce(const void *a, const void *b)
{
	const struct sim_record *x = a, *y = b;
	int r = (int)x->from - (int)y->from;

	return r ? r : memcmp(x->bytes + 4, y->bytes + 4, 12);
}

/* No host wrote a receiver's index and a counter together more than once.  Sorts and forgets the records. */
static void no_nonce_twice(struct sim *s)
{
	unsigned n = 0;

	for (unsigned i = 0; i < s->n_records; i++)
		if (s->records[i].type == WG_MESSAGE_DATA)
			s->records[n++] = s->records[i];
	CHECK(n > 0);
	qsort(s->records, n, sizeof(s->records[0]), by_nonce);
	for (unsigned i = 1; i < n; i++)
		CHECK(by_nonce(&s->records[i - 1], &s->records[i]) != 0);
	sim_forget(s);
}

/* ---- sessions go on ---- */

static void both_ways(struct sim *s)
{
	unsigned at0 = s->hosts[0].n_delivered, at1 = s->hosts[1].n_delivered;

	CHECK_EQ(sim_send(s, 0, 1, 200), 0);
	sim_settle(s);
	CHECK_EQ(sim_send(s, 1, 0, 300), 0);
	sim_settle(s);
	CHECK_EQ(s->hosts[0].n_delivered, at0 + 1);
	CHECK_EQ(s->hosts[1].n_delivered, at1 + 1);
}

static void session_goes_on(void)
{
	struct sim *s = sim_session(1);

	for (unsigned i = 0; i < 40; i++) {
		replace(s, i & 1);
		both_ways(s);
	}
	CHECK_EQ(sim_count(s, 0, WG_MESSAGE_INITIATION, 0), 1);
	CHECK_EQ(sim_count(s, 1, WG_MESSAGE_INITIATION, 0), 0);
	no_nonce_twice(s);
	sim_free(s);
}

static void replays_are_refused(void)
{
	struct sim *s = sim_session(2);

	s->hold[0] = SIM_TYPE(WG_MESSAGE_DATA);
	for (unsigned i = 0; i < 300; i++)
		sim_send(s, 0, 1, 100);
	sim_settle(s);
	s->hold[0] = 0;
	for (unsigned i = 0; i < s->n_held; i += 2)
		sim_release(s, i);
	CHECK_EQ(s->hosts[1].n_delivered, 1 + 150);
	replace(s, 1);
	for (unsigned i = 0; i < s->n_held; i++)
		sim_release(s, i);
	CHECK_EQ(s->hosts[1].n_delivered, 1 + 300);
	CHECK_EQ(sim_drops(s, 1, WG_DROP_REPLAY), 150);
	replace(s, 1);
	for (unsigned i = 0; i < s->n_held; i++)
		sim_release(s, i);
	CHECK_EQ(s->hosts[1].n_delivered, 1 + 300);
	CHECK_EQ(sim_drops(s, 1, WG_DROP_REPLAY), 450);
	sim_free(s);
}

static void old_initiation_is_refused(void)
{
	struct sim *s = sim_pair(3, true);
	struct wg_initiation copy;
	struct wg_endpoint from;

	s->hold[0] = SIM_TYPE(WG_MESSAGE_INITIATION);
	sim_send(s, 0, 1, 100);
	sim_settle(s);
	CHECK_EQ(s->n_held, 1);
	memcpy(&copy, s->held[0].bytes, sizeof(copy));
	s->hold[0] = 0;
	sim_release(s, 0);
	CHECK_EQ(s->hosts[1].n_delivered, 1);
	sim_advance(s, S(1));
	replace(s, 1);
	from = sim_endpoint(s, 0);
	sim_receive(s, 1, &from, &copy, sizeof(copy));
	sim_settle(s);
	CHECK_EQ(sim_drops(s, 1, WG_DROP_OLD_TIMESTAMP), 1);
	sim_free(s);
}

/* ---- every step of the protocol ---- */

/*
 * A story in steps.  After step ${at} host ${host} is replaced; what is delivered, sent and counted in the end is the same
 * as without.
 */
struct outcome {
	unsigned delivered[2], initiations[2], responses[2], cookies[2];
	uint64_t tx[2], rx[2];
};

static const unsigned held_types[] = {
	SIM_TYPE(WG_MESSAGE_INITIATION),
	SIM_TYPE(WG_MESSAGE_RESPONSE),
	SIM_TYPE(WG_MESSAGE_DATA),
};

/* Returns false when there is no such step. */
static bool story_step(struct sim *s, unsigned step)
{
	switch (step) {
	case 0: /* staged, and the initiation is on its way */
		s->hold[0] = s->hold[1] = held_types[0];
		sim_send(s, 0, 1, 100);
		sim_send(s, 0, 1, 101);
		sim_settle(s);
		return true;
	case 1: /* it arrives, the response is on its way */
		s->hold[0] = s->hold[1] = held_types[1];
		sim_release_all(s);
		return true;
	case 2: /* it arrives, what confirms the session is on its way; the responder waits */
		s->hold[0] = s->hold[1] = held_types[2];
		sim_release_all(s);
		return true;
	case 3: /* confirmed */
		s->hold[0] = s->hold[1] = 0;
		sim_release_all(s);
		return true;
	case 4:
		for (unsigned i = 0; i < 5; i++) {
			sim_send(s, 0, 1, 60);
			sim_send(s, 1, 0, 70);
		}
		sim_settle(s);
		return true;
	case 5: /* a keepalive is owed */
		sim_send(s, 0, 1, 100);
		sim_advance(s, S(9));
		return true;
	case 6: /* it was sent */
		sim_advance(s, S(3));
		return true;
	case 7: /* the key grows old: a new session beside the old one, packets of the old one on the way */
		sim_advance(s, S(115));
		s->hold[1] = held_types[2];
		sim_send(s, 1, 0, 90);
		sim_settle(s);
		s->hold[1] = 0;
		sim_send(s, 0, 1, 80);
		sim_settle(s);
		return true;
	case 8: /* which still arrive */
		sim_release_all(s);
		return true;
	case 9: /* nobody answers: a new handshake after 15 s */
		s->lose[1] = SIM_ALL;
		sim_send(s, 0, 1, 80);
		sim_advance(s, S(12));
		return true;
	case 10: /* and again and again */
		sim_advance(s, S(20));
		return true;
	case 11:
		s->lose[1] = 0;
		sim_advance(s, S(10));
		return true;
	case 12: /* the other one begins */
		sim_advance(s, S(200));
		sim_send(s, 1, 0, 120);
		sim_settle(s);
		return true;
	case 13: /* the keys are gone */
		sim_advance(s, S(600));
		return true;
	case 14:
		sim_send(s, 0, 1, 100);
		sim_settle(s);
		sim_send(s, 1, 0, 100);
		sim_settle(s);
		return true;
	default:
		return false;
	}
}

static void tell_story(int at, unsigned host, struct outcome *ret)
{
	struct sim *s = sim_pair(4, true);

	for (unsigned step = 0; story_step(s, step); step++) {
		if ((int)step == at)
			replace(s, host);
		sim_settle(s);
	}
	*ret = (struct outcome){0};
	for (unsigned i = 0; i < 2; i++) {
		struct wg_peer_info info;

		wg_peer_info(sim_peer(s, i, !i), &info);
		ret->delivered[i] = s->hosts[i].n_delivered;
		ret->initiations[i] = sim_count(s, i, WG_MESSAGE_INITIATION, 0);
		ret->responses[i] = sim_count(s, i, WG_MESSAGE_RESPONSE, 0);
		ret->tx[i] = info.tx_bytes;
		ret->rx[i] = info.rx_bytes;
	}
	no_nonce_twice(s);
	sim_free(s);
}

static void every_step(void)
{
	struct outcome plain, other;

	tell_story(-1, 0, &plain);
	CHECK(plain.delivered[0] >= 8 && plain.delivered[1] >= 11);
	CHECK(plain.initiations[0] >= 5 && plain.initiations[1] >= 1);
	for (int at = 0; at < 15; at++) {
		for (unsigned host = 0; host < 2; host++) {
			tell_story(at, host, &other);
			if (memcmp(&plain, &other, sizeof(plain)))
				test_note("host %u replaced after step %d", host, at);
			CHECK_EQ(other.delivered[0], plain.delivered[0]);
			CHECK_EQ(other.delivered[1], plain.delivered[1]);
			CHECK_EQ(other.initiations[0], plain.initiations[0]);
			CHECK_EQ(other.initiations[1], plain.initiations[1]);
			CHECK_EQ(other.responses[0], plain.responses[0]);
			CHECK_EQ(other.responses[1], plain.responses[1]);
			CHECK(!memcmp(&plain, &other, sizeof(plain)));
		}
	}
}

static void days(void)
{
	struct sim *s = sim_new(sim_workers, 2, 5);
	unsigned sent = 0, n_replaced = 0, initiations = 0;
	uint64_t random = 6;

	sim_connect(s, 0, 1, true);
	for (unsigned t = 0; t < 2 * 86400; t += 7, sent += 2) {
		sim_send(s, 0, 1, 100);
		sim_settle(s);
		sim_send(s, 1, 0, 100);
		sim_advance(s, S(7));
		if (test_random(&random) % 8 == 0) {
			replace(s, (unsigned)(test_random(&random) >> 40) & 1);
			n_replaced++;
		}
		if (t % 25200 == 0) {
			initiations += sim_count(s, 0, WG_MESSAGE_INITIATION, 0);
			CHECK_EQ(sim_count(s, 1, WG_MESSAGE_INITIATION, 0), 0);
			no_nonce_twice(s);
		}
	}
	initiations += sim_count(s, 0, WG_MESSAGE_INITIATION, 0);
	CHECK(n_replaced > 2000);
	CHECK_EQ(s->hosts[0].n_delivered + s->hosts[1].n_delivered, sent);
	CHECK(initiations >= 2 * 86400 / 128);
	CHECK(initiations <= 2 * 86400 / 120 + 1);
	no_nonce_twice(s);
	sim_free(s);
}

static void under_load(void)
{
	struct sim *s = sim_pair(7, true);
	struct wg_initiation flood;
	struct wg_endpoint stranger = sim_endpoint(s, 0);
	uint8_t timestamp[WG_TIMESTAMP_LEN] = {0};

	stranger.dst.port = 1;
	sim_initiation(s, 0, 1, timestamp, 5, &flood);
	for (unsigned i = 0; i < WG_HANDSHAKE_QUEUE / 4; i++)
		sim_receive(s, 1, &stranger, &flood, sizeof(flood));
	/* All of them wait in the queue, and go along. */
	replace(s, 1);
	wg_device_run(s->hosts[1].device, s->now);
	CHECK(sim_drops(s, 1, WG_DROP_COOKIE_SENT) > 0);
	replace(s, 1); /* with the secret of the cookies */
	s->hold[1] = SIM_TYPE(WG_MESSAGE_COOKIE);
	sim_send(s, 0, 1, 100);
	sim_settle(s);
	/* The last one is the answer to host 0, which is replaced before it comes. */
	CHECK(s->n_held > 0);
	replace(s, 0);
	s->hold[1] = 0;
	sim_release(s, s->n_held - 1);
	CHECK_EQ(sim_count_events(s, 0, WG_EVENT_COOKIE_RECEIVED), 1);
	replace(s, 0); /* with the cookie */
	replace(s, 1);
	for (unsigned i = 0; i < WG_HANDSHAKE_QUEUE / 4; i++)
		sim_receive(s, 1, &stranger, &flood, sizeof(flood));
	sim_advance(s, S(7));
	CHECK_EQ(s->hosts[1].n_delivered, 1);
	sim_free(s);
}

static void whole_configuration(void)
{
	struct sim *s = sim_session(8);
	struct wg_device *d = s->hosts[0].device;
	struct wg_peer *p;
	uint8_t key[WG_KEY_LEN];
	unsigned n = 0;

	for (unsigned i = 0; i < 300; i++) {
		uint8_t v4[4] = {10, 1, (uint8_t)(i >> 8), (uint8_t)i}, v6[16] = {0xfd, 1, [15] = (uint8_t)i};
		struct wg_addr at = wg_addr_v6((uint8_t[16]){0xfe, 0x80, [15] = 9}, (uint16_t)(1000 + i), i);

		memset(key, (int)i, sizeof(key));
		put_le32(key, i + 1);
		CHECK_EQ(wg_device_add_peer(d, key, &p), 0);
		CHECK_EQ(wg_peer_allow(d, p, AF_INET6, v6, 128 - i % 60), 0);
		CHECK_EQ(wg_peer_allow(d, p, AF_INET, v4, 32), 0);
		CHECK_EQ(wg_peer_allow(d, p, AF_INET, v4, 30), 0);
		wg_peer_set_preshared_key(p, key);
		wg_peer_set_endpoint(d, p, &at);
		wg_peer_set_keepalive(p, (uint16_t)(i % 3 ? 0 : i));
		wg_peer_configured(d, p, s->now);
	}
	sim_settle(s);
	replace(s, 0); /* which compares */
	for (p = wg_device_first_peer(s->hosts[0].device); p; p = wg_peer_next(p))
		n++;
	CHECK_EQ(n, 301);
	both_ways(s);
	wg_device_down(s->hosts[0].device);
	replace(s, 0);
	CHECK(!device_is_up(s->hosts[0].device));
	wg_device_up(s->hosts[0].device, s->now);
	sim_send(s, 0, 1, 100);
	sim_advance(s, S(6));
	both_ways(s);
	sim_free(s);
}

static void no_private_key(void)
{
	struct sim *s = sim_session(9);
	uint8_t zero[WG_KEY_LEN] = {0}, key[WG_KEY_LEN];

	CHECK_EQ(wg_device_set_private_key(s->hosts[0].device, s->now, zero), 0);
	replace(s, 0);
	CHECK(!wg_device_private_key(s->hosts[0].device, key));
	CHECK_EQ(sim_send(s, 0, 1, 100), -EAGAIN);
	sim_settle(s);
	CHECK_EQ(wg_device_set_private_key(s->hosts[0].device, s->now, s->hosts[0].private_key), 0);
	sim_advance(s, S(6));
	CHECK_EQ(s->hosts[1].n_delivered, 2);
	sim_free(s);
}

/* Who takes over from one that died has no sessions, and asks for new ones at once. */
static void forgotten(void)
{
	struct sim *s = sim_session(10);

	sim_advance(s, S(20));
	replace(s, 0);
	sim_forget(s);
	wg_device_forget_sessions(s->hosts[0].device, s->now);
	sim_settle(s);
	CHECK_EQ(sim_send(s, 0, 1, 100), -EAGAIN);
	sim_settle(s);
	CHECK_EQ(sim_count(s, 0, WG_MESSAGE_INITIATION, 0), 1);
	CHECK_EQ(s->hosts[1].n_delivered, 2);
	both_ways(s);
	sim_free(s);
}

/* ---- streams ---- */

/* A device in the middle of everything. */
static struct sim *rich(void)
{
	struct sim *s = sim_new(sim_workers, 3, 99);
	uint8_t psk[WG_KEY_LEN];
	struct wg_initiation m;
	uint8_t timestamp[WG_TIMESTAMP_LEN] = {0};
	struct wg_endpoint from = sim_endpoint(s, 2);

	sim_connect(s, 0, 1, true);
	sim_connect(s, 0, 2, true);
	memset(psk, 7, sizeof(psk));
	wg_peer_set_preshared_key(sim_peer(s, 0, 1), psk);
	wg_peer_set_preshared_key(sim_peer(s, 1, 0), psk);
	wg_peer_set_keepalive(sim_peer(s, 0, 1), 25);
	sim_send(s, 0, 1, 100);
	sim_settle(s);
	sim_send(s, 1, 0, 100);
	sim_advance(s, S(121));
	sim_send(s, 0, 1, 100); /* a second session, beside the first */
	sim_settle(s);
	sim_send(s, 1, 0, 100);
	sim_settle(s);
	s->hold[0] = SIM_TYPE(WG_MESSAGE_INITIATION);
	sim_send(s, 0, 2, 90);
	sim_send(s, 0, 2, 91);
	sim_settle(s);
	sim_initiation(s, 2, 0, timestamp, 4, &m);
	sim_receive(s, 0, &from, &m, sizeof(m));
	return s;
}

static void put_stream(struct sim *s, unsigned host, struct buf *ret)
{
	if (wg_handover_export(s->hosts[host].device, s->now, BOTH, ret) < 0)
		abort();
}

static void device_random(void *arg, void *buf, size_t len)
{
	uint8_t *p = buf;

	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)(test_random(arg) >> 32);
}

static uint64_t random_state = 1;

static struct wg_device *device_new(unsigned workers)
{
	struct wg_device_config config = {.random = device_random, .arg = &random_state, .workers = workers};
	struct wg_device *d;

	if (wg_device_new(&config, &d) < 0)
		abort();
	return d;
}

static int try_import(struct wg_now now, const void *data, size_t len, struct buf *why)
{
	struct wg_device *d = device_new(1);
	int r = wg_handover_import(d, now, data, len, why);

	wg_device_free(d);
	return r;
}

/* One device for all: after a failure it can be tried again. */
static void cut_off(void)
{
	struct sim *s = rich();
	cleanup(buf_done) struct buf stream = buf_of_max(WG_HANDOVER_MAX), why = buf_of_max(1 << 20);
	struct wg_device *d = device_new(1);

	put_stream(s, 0, &stream);
	for (size_t len = 0; len < stream.len; len++) {
		uint8_t *copy = malloc(len ? len : 1);

		if (len)
			memcpy(copy, stream.data, len);
		buf_clear(&why);
		CHECK_EQ(wg_handover_import(d, s->now, copy, len, &why), -EBADMSG);
		CHECK(why.len > 0);
		free(copy);
	}
	buf_clear(&why);
	CHECK_EQ(wg_handover_import(d, s->now, stream.data, stream.len, &why), 0);
	CHECK_EQ(why.len, 0);
	wg_device_free(d);
	sim_free(s);
}

static void damaged(void)
{
	struct sim *s = rich();
	cleanup(buf_done) struct buf stream = buf_of_max(WG_HANDOVER_MAX), why = buf_of_max(4096);
	struct wg_device *d = device_new(2);
	unsigned refused = 0;

	put_stream(s, 0, &stream);
	for (size_t i = 0; i < stream.len; i++) {
		int r;

		stream.data[i] ^= (uint8_t)(1u << i % 8);
		buf_clear(&why);
		r = wg_handover_import(d, s->now, stream.data, stream.len, &why);
		CHECK(r == 0 || r == -EBADMSG || r == -EPROTONOSUPPORT || r == -ESTALE);
		CHECK((r < 0) == (why.len > 0));
		refused += r < 0;
		stream.data[i] ^= (uint8_t)(1u << i % 8);
	}
	CHECK(refused > 100);
	CHECK_EQ(wg_handover_import(d, s->now, stream.data, stream.len, &why), 0);
	wg_device_free(d);
	sim_free(s);
}

/* Insert an item behind the first one. */
static void insert_item(struct buf *stream, uint16_t type, uint16_t flags, struct buf *ret)
{
	size_t first = WG_HANDOVER_ITEM_HEADER + get_le32(stream->data + 4);
	uint8_t item[WG_HANDOVER_ITEM_HEADER + 3] = {(uint8_t)type, (uint8_t)(type >> 8), (uint8_t)flags, 0, 3};

	buf_put(ret, stream->data, first);
	buf_put(ret, item, sizeof(item));
	buf_put(ret, stream->data + first, stream->len - first);
}

static void unknown_items(void)
{
	struct sim *s = rich();
	cleanup(buf_done) struct buf stream = buf_of_max(WG_HANDOVER_MAX), why = buf_of_max(4096);
	cleanup(buf_done) struct buf skip = buf_of_max(WG_HANDOVER_MAX), must = buf_of_max(WG_HANDOVER_MAX);

	put_stream(s, 0, &stream);
	insert_item(&stream, 999, 0, &skip);
	insert_item(&stream, 999, WG_HANDOVER_CRITICAL, &must);
	CHECK_EQ(try_import(s->now, skip.data, skip.len, &why), 0);
	CHECK_EQ(try_import(s->now, must.data, must.len, &why), -EPROTONOSUPPORT);
	CHECK(strstr(buf_str(&why), "999") != NULL);
	/* Another version: the two bytes behind the first header. */
	buf_clear(&why);
	stream.data[WG_HANDOVER_ITEM_HEADER]++;
	CHECK_EQ(try_import(s->now, stream.data, stream.len, &why), -EPROTONOSUPPORT);
	CHECK(strstr(buf_str(&why), "version") != NULL);
	stream.data[WG_HANDOVER_ITEM_HEADER]--;
	/* A clock that is behind: another system. */
	CHECK_EQ(try_import((struct wg_now){.boot_ns = s->now.boot_ns - 1}, stream.data, stream.len, &why), -ESTALE);
	sim_free(s);
}

/* A trial first, then what changed since; as the daemon does it. */
static void twice(void)
{
	struct sim *s = sim_session(11);
	cleanup(buf_done) struct buf trial = buf_of_max(WG_HANDOVER_MAX), last = buf_of_max(WG_HANDOVER_MAX);
	cleanup(buf_done) struct buf again = buf_of_max(WG_HANDOVER_MAX), why = buf_of_max(4096);
	struct wg_device *d = device_new(2);

	put_stream(s, 0, &trial);
	CHECK_EQ(wg_handover_import(d, s->now, trial.data, trial.len, &why), 0);
	both_ways(s);
	sim_advance(s, S(130));
	both_ways(s);
	CHECK_EQ(wg_handover_export(s->hosts[0].device, s->now, WG_HANDOVER_STATE, &last), 0);
	CHECK_EQ(wg_handover_import(d, s->now, last.data, last.len, &why), 0);
	CHECK_EQ(wg_handover_export(d, s->now, WG_HANDOVER_STATE, &again), 0);
	CHECK(again.len == last.len && !memcmp(again.data, last.data, last.len));
	/* A state without its configuration. */
	wg_device_remove_peer(d, wg_device_first_peer(d));
	CHECK_EQ(wg_handover_import(d, s->now, last.data, last.len, &why), -EBADMSG);
	wg_device_free(d);
	sim_free(s);
}

/* ---- fixtures ---- */

/* ${which}: a host's stream; 3: the initiation that is on its way. */
static void fixture_path(const char *dir, unsigned version, unsigned which, char *ret, size_t size)
{
	snprintf(ret, size, which < 3 ? "%s/handover-%u.%u" : "%s/handover-%u.held", dir, version, which);
}

static bool fixture_write(const char *dir, unsigned which, const void *bytes, size_t len)
{
	char path[512];
	size_t written;
	FILE *f;

	fixture_path(dir, WG_HANDOVER_VERSION, which, path, sizeof(path));
	f = fopen(path, "we");
	written = f ? fwrite(bytes, 1, len, f) : 0;
	return f && fclose(f) == 0 && written == len;
}

static size_t fixture_read(unsigned version, unsigned which, void *ret, size_t size)
{
	char path[512];
	size_t len;
	FILE *f;

	fixture_path(FIXTURES, version, which, path, sizeof(path));
	f = fopen(path, "re");
	CHECK(f != NULL);
	len = fread(ret, 1, size, f);
	fclose(f);
	return len;
}

static int write_fixtures(const char *dir)
{
	struct sim *s = rich();
	bool ok = fixture_write(dir, 3, s->held[0].bytes, s->held[0].len);

	for (unsigned host = 0; ok && host < 3; host++) {
		cleanup(buf_done) struct buf stream = buf_of_max(WG_HANDOVER_MAX);

		put_stream(s, host, &stream);
		ok = fixture_write(dir, host, stream.data, stream.len);
	}
	sim_free(s);
	return ok ? 0 : 1;
}

/* Three daemons of that version stop in the middle of everything, three of today's go on. */
static void read_fixtures(unsigned version)
{
	struct sim *s = rich();
	unsigned before[3];

	for (unsigned host = 0; host < 3; host++) {
		cleanup(buf_done) struct buf stream = buf_of_max(WG_HANDOVER_MAX), why = buf_of_max(4096);
		struct sim_host *h = &s->hosts[host];

		stream.len = fixture_read(version, host, buf_reserve(&stream, 1 << 20), 1 << 20);
		CHECK(stream.len > 100);
		CHECK_EQ(wg_handover_import(h->device, s->now, stream.data, stream.len, &why), 0);
		before[host] = h->n_delivered;
	}
	sim_forget(s);
	/* The session: its second key, the preshared one in it. */
	both_ways(s);
	CHECK_EQ(sim_count(s, 0, WG_MESSAGE_INITIATION, 0) + sim_count(s, 1, WG_MESSAGE_INITIATION, 0), 0);
	/* The initiation that was under way in that process is answered, and what waited for it arrives. */
	s->hold[0] = 0;
	CHECK_EQ(s->n_held, 1);
	s->held[0].len = fixture_read(version, 3, s->held[0].bytes, sizeof(s->held[0].bytes));
	sim_release_all(s);
	CHECK_EQ(s->hosts[2].n_delivered, before[2] + 2);
	CHECK_EQ(sim_count(s, 0, WG_MESSAGE_INITIATION, 0), 0);
	/* The keepalive of 25 s runs, and in the end the key is made anew with the same preshared one. */
	sim_advance(s, S(26));
	CHECK(sim_count(s, 0, WG_MESSAGE_DATA, 0) >= 4);
	sim_advance(s, S(180));
	sim_send(s, 0, 1, 100);
	sim_settle(s);
	both_ways(s);
	sim_free(s);
}

static void fixture_1(void)
{
	read_fixtures(1);
}

int main(int argc, char *argv[])
{
	static const struct sim_test tests[] = {
		{"a session goes on in forty devices after each other [handover-session]", session_goes_on},
		{"what was received is not received again by the next device [handover-replay]", replays_are_refused},
		{"nor is an initiation that was answered [handover-replay]", old_initiation_is_refused},
		{"replaced at any step, either end, nothing is lost or sent more often [handover-session]", every_step},
		{"replaced at random for two days, nothing is lost and no nonce used twice [handover-nonce]", days},
		{"under load cookies are kept, given and received [handover-session]", under_load},
		{"peers, keys, allowed IPs and their order are the same [handover-config]", whole_configuration},
		{"a device without a private key [handover-config]", no_private_key},
		{"without its last counters a device forgets the sessions and makes new ones [handover-died]", forgotten},
		{"a trial and then the state alone [handover-session]", twice},
		{"a stream that is cut off anywhere is refused [handover-refused]", cut_off},
		{"a stream with any bit flipped is refused or taken, and nothing else [handover-refused]", damaged},
		{"unknown items are skipped or, if critical, refused; other versions and clocks too [handover-refused]",
			unknown_items},
		{"the streams of release 1 are read and gone on with [handover-fixture]", fixture_1},
	};

	if (argc == 3 && !strcmp(argv[1], "--fixture"))
		return write_fixtures(argv[2]);
	return sim_main(tests, array_size(tests));
}
