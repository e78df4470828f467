/* What records mean, in words: made-up records, and what is said of them. */
#include "scope/story.h"

#include "base/test.h"
#include "scope/condense.h"
#include "scope/drops.h"
#include "scope/trace_line.h"
#include "wg/device.h"
#include "wg/messages.h"
#include "wg/tap.h"

#include <errno.h>
#include <stdio.h>

#define S NS_PER_S

static struct names *names;
static struct story *story;
static struct buf said;
static unsigned level;
static uint64_t now = 1700000000 * S;

static void begin(void)
{
	static const char file[] = "[Interface]\n# laptop\n[Peer]\nPublicKey = AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n";

	CHECK_EQ(names_new(&names), 0);
	CHECK_EQ(names_read(names, file, sizeof(file) - 1), 0);
	CHECK_EQ(story_new(names, &story), 0);
	said = buf_of_max(4096);
}

static void end(void)
{
	story_free(story);
	names_free(names);
	buf_done(&said);
}

/* Of peer ${peer}, 0: of none, at 192.0.2.PEER:51820. */
static struct capture_record record(enum capture_kind kind, unsigned peer)
{
	struct capture_record r = {.real_ns = now, .kind = kind, .n = 1, .has_peer = peer != 0};

	memset(r.public_key, (int)peer, sizeof(r.public_key));
	return r;
}

static void at(struct capture_record *r, uint8_t host)
{
	const uint8_t address[4] = {192, 0, 2, host};

	r->family = 4;
	r->remote_port = 51820;
	memcpy(r->remote, address, sizeof(address));
}

static const char *tell(const struct capture_record *r, const void *data)
{
	buf_clear(&said);
	if (!story_tell(story, r, data, &said, &level))
		return "";
	return buf_str(&said);
}

static const char *event(enum wg_event e, unsigned peer)
{
	struct capture_record r = record(CAPTURE_EVENT, peer);

	r.event = (uint16_t)e;
	return tell(&r, NULL);
}

static const char *message(enum wg_tap_point point, enum wg_message type, unsigned peer, uint8_t host, enum wg_drop drop)
{
	uint8_t data[sizeof(struct wg_initiation)] = {(uint8_t)type};
	struct capture_record r = record(CAPTURE_PACKET, peer);

	at(&r, host);
	r.point = (uint16_t)point;
	r.drop = (uint16_t)drop;
	r.len = r.kept = type == WG_MESSAGE_INITIATION ? sizeof(struct wg_initiation) :
		type == WG_MESSAGE_RESPONSE ? sizeof(struct wg_response) : sizeof(struct wg_cookie_reply);
	return tell(&r, data);
}

static const char *not_sent(unsigned peer, int error)
{
	uint8_t data[sizeof(struct wg_initiation)] = {WG_MESSAGE_INITIATION};
	struct capture_record r = record(CAPTURE_PACKET, peer);

	at(&r, (uint8_t)peer);
	r.point = WG_TAP_DROPPED;
	r.drop = WG_DROP_SEND_FAILED;
	r.error = (uint8_t)error;
	r.len = r.kept = sizeof(data);
	return tell(&r, data);
}

static const char *initiate(unsigned peer)
{
	CHECK_STR(message(WG_TAP_OUTER_OUT, WG_MESSAGE_INITIATION, peer, (uint8_t)peer, WG_DROP_NONE), "");
	return event(WG_EVENT_INITIATION_SENT, peer);
}

static bool has(const char *text, const char *part)
{
	return strstr(text, part);
}

static void as_initiator(void)
{
	begin();
	event(WG_EVENT_PEER_ADDED, 1);
	CHECK_STR(initiate(1), "initiation sent (try 1/20) to 192.0.2.1:51820, no session; next try in 5 s");
	CHECK_EQ(story_facts(story)->attempt, 1);
	now += 55 * NS_PER_MS;
	CHECK_STR(message(WG_TAP_OUTER_IN, WG_MESSAGE_RESPONSE, 1, 1, WG_DROP_NONE), "");
	CHECK_STR(event(WG_EVENT_HANDSHAKE_COMPLETE, 1),
		"session up as initiator, rtt 55 ms, keys valid 180 s, rekey at 120 s");
	CHECK_EQ(level, 6);
	CHECK_EQ(story_facts(story)->rtt_ns, 55 * NS_PER_MS);
	CHECK_STR(story_facts(story)->role, "initiator");
	now += 120 * S;
	CHECK_STR(initiate(1), "initiation sent (try 1/20) to 192.0.2.1:51820, to renew the session of 120.0 s ago; next try in 5 s");
	now += 80 * S;
	CHECK(has(initiate(1), ", no session since that of 200.0 s ago;"));
	event(WG_EVENT_KEYS_ZEROED, 1);
	CHECK(has(initiate(1), ", no session;"));
	end();
}

static void as_responder(void)
{
	begin();
	message(WG_TAP_OUTER_IN, WG_MESSAGE_INITIATION, 1, 1, WG_DROP_NONE);
	CHECK_STR(event(WG_EVENT_INITIATION_RECEIVED, 1), "initiation received: it is this peer's, and newer than its last");
	message(WG_TAP_OUTER_OUT, WG_MESSAGE_RESPONSE, 1, 1, WG_DROP_NONE);
	CHECK_STR(event(WG_EVENT_RESPONSE_SENT, 1),
		"response sent to 192.0.2.1:51820; the session is up with the peer's first packet");
	now += 5 * S;
	CHECK(has(event(WG_EVENT_INITIATION_RECEIVED, 1), "again, 5.0 s after our response"));
	CHECK(has(buf_str(&said), "pre-shared key"));
	message(WG_TAP_OUTER_OUT, WG_MESSAGE_RESPONSE, 1, 1, WG_DROP_NONE);
	event(WG_EVENT_RESPONSE_SENT, 1);
	now += 100 * NS_PER_MS;
	CHECK_STR(event(WG_EVENT_HANDSHAKE_COMPLETE, 1),
		"session up as responder, the first packet came 100 ms after the response, keys valid 180 s, the peer renews them");
	CHECK_STR(story_facts(story)->role, "responder");
	end();
}

static void no_answer(void)
{
	begin();
	initiate(1);
	now += 5200 * NS_PER_MS;
	CHECK(has(event(WG_EVENT_HANDSHAKE_RETRY, 1), "no answer for 5.2 s: nothing at all received from 192.0.2.1 -> is UDP 51820 open there"));
	CHECK_EQ(level, 4);
	CHECK_EQ(story_facts(story)->waited_ns, 5200 * NS_PER_MS);
	CHECK(has(initiate(1), "(try 2/20)"));
	/* Somebody else's does not count, from there it does, whatever it is. */
	message(WG_TAP_OUTER_IN, WG_MESSAGE_INITIATION, 0, 2, WG_DROP_UNKNOWN_PEER);
	CHECK(has(event(WG_EVENT_HANDSHAKE_RETRY, 1), "nothing at all received"));
	initiate(1);
	message(WG_TAP_OUTER_IN, WG_MESSAGE_INITIATION, 0, 1, WG_DROP_BAD_MAC1);
	CHECK(has(event(WG_EVENT_HANDSHAKE_RETRY, 1), "but 192.0.2.1 was heard (dropped: bad-mac1)"));
	CHECK(has(event(WG_EVENT_HANDSHAKE_GIVEN_UP, 1), "handshake given up after 20 tries"));
	CHECK(has(initiate(1), "(try 1/20)"));
	message(WG_TAP_OUTER_IN, WG_MESSAGE_RESPONSE, 1, 1, WG_DROP_BAD_HANDSHAKE);
	CHECK(has(buf_str(&said), "is the pre-shared key the same at both ends?"));
	CHECK(has(event(WG_EVENT_HANDSHAKE_RETRY, 1), "was dropped: bad-handshake -> is the pre-shared key the same"));
	initiate(1);
	event(WG_EVENT_COOKIE_RECEIVED, 1);
	CHECK(has(event(WG_EVENT_HANDSHAKE_RETRY, 1), "a cookie came"));
	initiate(1);
	message(WG_TAP_DROPPED, WG_MESSAGE_INITIATION, 1, 1, WG_DROP_SEND_FAILED);
	CHECK(has(event(WG_EVENT_HANDSHAKE_RETRY, 1), "could not be sent -> is there a route to 192.0.2.1?"));
	initiate(1);
	CHECK(has(not_sent(1, ENETUNREACH), "the UDP socket refused to send: Network is unreachable) -> is there a route"));
	CHECK(has(event(WG_EVENT_HANDSHAKE_RETRY, 1), "could not be sent: Network is unreachable -> is there a route to 192.0.2.1?"));
	/* The wall clock is set back: 5 s it was, by the timer. */
	now -= 3600 * S;
	CHECK(has(event(WG_EVENT_HANDSHAKE_RETRY, 1), "no answer for 5.0 s"));
	now += 3600 * S;
	/* Begun before it was listened to. */
	CHECK(has(event(WG_EVENT_HANDSHAKE_RETRY, 3), "no answer for 5.0 s"));
	CHECK_STR(event(WG_EVENT_INITIATION_SENT, 3), "initiation sent; next try in 5 s");
	end();
}

static void icmp(enum icmp_says says, uint8_t host, uint16_t port)
{
	const struct icmp_error e = {.says = says, .family = 4, .from = {10, 0, 0, 9}, .to = {192, 0, 2, host}, .to_port = port, .real_ns = now};

	story_hear_icmp(story, &e);
}

static void says_icmp(void)
{
	const struct capture_record other = record(CAPTURE_EVENT, 1);

	begin();
	initiate(1);
	now += S;
	icmp(ICMP_SAYS_PORT, 1, 51820);
	now += 4 * S;
	CHECK_STR(event(WG_EVENT_HANDSHAKE_RETRY, 1), "no answer for 5.0 s: 10.0.0.9 says that nothing listens at UDP 51820 of 192.0.2.1 "
		"-> does the tunnel run there, and is that its port?");
	CHECK_STR(story_facts(story)->icmp, "port-unreachable");
	CHECK_EQ(level, 4);
	/* It is about the one before. */
	now += 1;
	initiate(1);
	CHECK(has(event(WG_EVENT_HANDSHAKE_RETRY, 1), "nothing at all received"));
	CHECK(!story_facts(story)->icmp);
	icmp(ICMP_SAYS_FORBIDDEN, 1, 51820);
	CHECK(has(event(WG_EVENT_HANDSHAKE_GIVEN_UP, 1), "says that it is forbidden to reach 192.0.2.1 -> a firewall"));
	now += 1;
	initiate(1);
	icmp(ICMP_SAYS_NO_WAY, 1, 51820);
	CHECK(has(event(WG_EVENT_HANDSHAKE_RETRY, 1), "says that there is no way to 192.0.2.1 -> "));
	/* Of another port, of a host that nobody waits for, of one that was heard. */
	icmp(ICMP_SAYS_PORT, 1, 9);
	CHECK(has(event(WG_EVENT_HANDSHAKE_RETRY, 1), "nothing at all received"));
	icmp(ICMP_SAYS_PORT, 77, 51820);
	CHECK(has(event(WG_EVENT_HANDSHAKE_RETRY, 1), "nothing at all received"));
	icmp(ICMP_SAYS_PORT, 1, 51820);
	message(WG_TAP_OUTER_IN, WG_MESSAGE_INITIATION, 0, 1, WG_DROP_BAD_MAC1);
	CHECK(has(event(WG_EVENT_HANDSHAKE_RETRY, 1), "but 192.0.2.1 was heard"));
	CHECK(!story_waits(&other));
	end();
}

static void refused_once(void)
{
	struct capture_record r;

	begin();
	CHECK(has(message(WG_TAP_OUTER_IN, WG_MESSAGE_INITIATION, 0, 9, WG_DROP_BAD_MAC1),
		"dropped: bad-mac1 (initiation from 192.0.2.9:51820: meant for another public key than ours) -> "));
	r = record(CAPTURE_EVENT, 0);
	r.event = WG_EVENT_REFUSED;
	r.drop = WG_DROP_BAD_MAC1;
	at(&r, 9);
	CHECK_STR(tell(&r, NULL), "");
	CHECK(has(tell(&r, NULL), "dropped: bad-mac1 (")); /* another, whose packet was lost */
	r = record(CAPTURE_PACKET, 0);
	r.drop = WG_DROP_UNKNOWN_PEER;
	r.point = WG_TAP_OUTER_IN;
	memset(r.public_key, 1, sizeof(r.public_key));
	at(&r, 9);
	CHECK(has(tell(&r, NULL), "which is AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=) -> add this peer?"));
	end();
}

static void inner_packet(void)
{
	static const uint8_t v4[20] = {0x45, [12] = 10, 9, 9, 9, 10, 77, 0, 1};
	static const uint8_t v6[40] = {0x60, [8] = 0xfd, [23] = 1, [24] = 0xfd, [39] = 2};
	struct capture_record r;

	begin();
	r = record(CAPTURE_PACKET, 1);
	r.point = WG_TAP_DROPPED;
	r.drop = WG_DROP_INNER_SOURCE;
	r.len = r.kept = sizeof(v4);
	CHECK(has(tell(&r, v4), "dropped: inner-source (10.9.9.9 -> 10.77.0.1: its source is not among the peer's allowed IPs) -> "));
	r.n = 3;
	CHECK(has(tell(&r, v4), "; 3 packets) -> "));
	r.n = 1;
	r.len = r.kept = sizeof(v6);
	CHECK(has(tell(&r, v6), "(fd00::1 -> fd00::2: "));
	r.kept = 19;
	CHECK(has(tell(&r, v4), "dropped: inner-source (its source"));
	end();
}

static void every_reason(void)
{
	begin();
	for (int i = 1; i < WG_DROP_COUNT; i++) {
		struct capture_record r = record(CAPTURE_PACKET, 0);
		char name[64];

		r.point = WG_TAP_DROPPED;
		r.drop = (uint16_t)i;
		snprintf(name, sizeof(name), "dropped: %s (", drops_name((unsigned)i));
		CHECK(has(tell(&r, NULL), name));
		CHECK(has(buf_str(&said), ") -> "));
		CHECK_EQ(level, 4);
	}
	CHECK(drops_name(WG_DROP_COUNT) == NULL);
	CHECK(drops_words((enum wg_drop)WG_DROP_COUNT) == NULL);
	for (int i = 1; i <= WG_EVENT_COUNT - 1; i++)
		CHECK(i == WG_EVENT_REFUSED || i == WG_EVENT_COOKIE_SENT || strlen(event((enum wg_event)i, 1)) > 8);
	end();
}

static uint32_t random_state = 1;

static uint32_t random_32(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 17;
	random_state ^= random_state << 5;
	return random_state;
}

/* Also more peers than are remembered, and values that no enumeration has. */
static void arbitrary(void)
{
	unsigned told = 0, bad = 0;

	begin();
	for (unsigned i = 0; i < 60000; i++) {
		struct capture_record r;
		uint8_t data[160];
		struct trace_line l = {.record = &r, .who = "?", .level = 4};
		cleanup(buf_done) struct buf out = buf_of_max(4096);

		for (size_t k = 0; k < sizeof(r); k++)
			((uint8_t *)&r)[k] = (uint8_t)random_32();
		for (size_t k = 0; k < sizeof(data); k++)
			data[k] = (uint8_t)random_32();
		r.kind = random_32() % 5;
		r.event = (uint16_t)(random_32() % 30);
		r.drop = (uint16_t)(random_32() % 4 ? random_32() % 45 : 0);
		r.point = (uint16_t)(random_32() % 7);
		r.family = (uint8_t)(random_32() % 4 * 2);
		r.has_peer &= 1;
		r.kept = random_32() % (sizeof(data) + 1);
		if (random_32() % 2)
			r.len = r.kept;
		data[0] = (uint8_t)(random_32() % 6);
		memset(data + 1, 0, random_32() % 2 * 3);
		l.text = tell(&r, data);
		told += *l.text != '\0';
		CHECK_EQ(said.error, 0);
		l.facts = story_facts(story);
		trace_line_put(&l, (struct trace_style){.json = i & 1}, &out);
		for (size_t k = 0; k + 1 < out.len; k++)
			bad += out.data[k] < ' ' || out.data[k] > '~';
		bad += out.error || out.data[out.len - 1] != '\n';
	}
	CHECK_EQ(bad, 0);
	CHECK(told > 10000);
	end();
}

static void condensed(void)
{
	struct condense c = {.kinds = {{.held = 0}}};
	struct capture_record r = record(CAPTURE_PACKET, 0), other = record(CAPTURE_PACKET, 1);
	cleanup(buf_done) struct buf text = buf_of_max(256);
	struct condensed k;
	unsigned shown = 0;

	r.drop = other.drop = WG_DROP_BAD_MAC1;
	for (unsigned i = 0; i < 4216; i++)
		shown += condense_take(&c, &r, S + i);
	CHECK_EQ(shown, CONDENSE_LINES);
	CHECK(condense_take(&c, &other, S + 10)); /* a peer's are not the strangers' */
	CHECK(!condense_due(&c, S + 5000, &k));
	CHECK_EQ(condense_next_ms(&c, S, 5000), 1001);
	CHECK(condense_due(&c, 2 * S, &k));
	CHECK_EQ(k.held, 4211);
	trace_line_put_more(k.held, &k.of, &text);
	CHECK_STR(buf_str(&text), "and 4,211 more in the last second: dropped, bad-mac1");
	while (condense_due(&c, 2 * S + 10, &k))
		CHECK(false);
	/* It goes on: counted only, until a second is quiet. */
	CHECK(!condense_take(&c, &r, 2 * S + 20));
	CHECK(condense_due(&c, 3 * S + 30, &k));
	CHECK_EQ(k.held, 1);
	CHECK(!condense_due(&c, 4 * S + 40, &k));
	CHECK(condense_take(&c, &r, 4 * S + 50));
	/* More kinds than there is room for are printed. */
	for (unsigned i = 0; i < 3 * CONDENSE_KINDS; i++) {
		other.event = (uint16_t)i;
		CHECK(condense_take(&c, &other, 5 * S));
	}
	CHECK(!condense_due(&c, UINT64_MAX, &k));
}

static void json(void)
{
	struct capture_record r = record(CAPTURE_PACKET, 0);
	struct trace_line l = {.record = &r, .who = "?", .text = "a \"text\"", .level = 4};
	cleanup(buf_done) struct buf out = buf_of_max(4096);

	r.real_ns = 1700000000123456789;
	r.point = WG_TAP_OUTER_IN;
	r.drop = WG_DROP_BAD_MAC1;
	r.len = 148;
	at(&r, 9);
	trace_line_put(&l, (struct trace_style){.json = true}, &out);
	CHECK_STR(buf_str(&out), "{\"time\":\"2023-11-14T22:13:20.123Z\",\"time_ns\":1700000000123456789,\"level\":4,"
		"\"kind\":\"drop\",\"point\":\"outer-in\",\"packets\":1,\"length\":148,\"tos\":0,\"drop\":\"bad-mac1\","
		"\"drop_number\":22,\"remote\":\"192.0.2.9:51820\",\"text\":\"a \\\"text\\\"\"}\n");
}

int main(void)
{
	test_run("a handshake of ours: tries, session, round trip [trace-story]", as_initiator);
	test_run("a handshake of the peer's, and one that it does not like [trace-story]", as_responder);
	test_run("no answer: what was heard meanwhile says why [trace-story]", no_answer);
	test_run("a message that was refused is told once [trace-story]", refused_once);
	test_run("an ICMP error is told as the cause, if it is about the last message to there [trace-icmp]", says_icmp);
	test_run("of an inner packet source and destination are told [trace-story]", inner_packet);
	test_run("every reason and event has words, and reasons a next step [trace-story]", every_reason);
	test_run("arbitrary records: printable ASCII in one line [trace-safe]", arbitrary);
	test_run("many of one kind in a second are counted [trace-condense]", condensed);
	test_run("a line of JSON [trace-json]", json);
	return test_done();
}
