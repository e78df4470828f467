#include "scope/story.h"

#include "scope/drops.h"
#include "scope/story_peers.h"
#include "wg/device.h"
#include "wg/tap.h"

#include <arpa/inet.h>
#include <errno.h>

/* The type of wg/, for its names. */
ENUM_DEFINE_AS(static const struct enum_type type_event, wg_event, WG_EVENT_LIST);

/* The first one, and as many as the timer makes of it (wg/timers.c). */
#define ATTEMPTS_MAX ((unsigned)WG_MAX_TIMER_HANDSHAKES + 2)

struct story {
	const struct names	*names;
	struct story_peers	*peers;
	struct capture_record	 refused;	/* the handshake message that was refused last; kind 0: told */
	struct story_facts	 facts;
};

int story_new(const struct names *names, struct story **ret)
{
	cleanup(story_freep) struct story *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	s->names = names;
	r = story_peers_new(&s->peers);
	if (r < 0)
		return r;
	*ret = steal(s);
	return 0;
}

void story_free(struct story *s)
{
	if (s->peers)
		story_peers_free(s->peers);
	free(s);
}

void story_who(const struct story *s, const struct capture_record *r, char ret[NAME_MAX_LEN + 1])
{
	if (r->has_peer)
		names_of(s->names, r->public_key, ret);
	else
		memcpy(ret, "?", 2);
}

const struct story_facts *story_facts(const struct story *s)
{
	return &s->facts;
}

const char *story_event_name(unsigned event)
{
	return enum_name(&type_event, event);
}

/* ---- pieces of text ---- */

static bool put_host(const struct story_address *a, struct buf *ret)
{
	char text[INET6_ADDRSTRLEN];

	if ((a->family != 4 && a->family != 6) ||
		!inet_ntop(a->family == 4 ? AF_INET : AF_INET6, a->bytes, text, sizeof(text)))
		return false;
	buf_puts(ret, text);
	return true;
}

static bool put_address(const struct story_address *a, struct buf *ret)
{
	if (a->family == 6)
		buf_puts(ret, "[");
	if (!put_host(a, ret))
		return false;
	buf_printf(ret, "%s:%u", a->family == 6 ? "]" : "", a->port);
	return true;
}

static struct story_address address_of(const struct capture_record *r)
{
	struct story_address a = {.family = r->family, .port = r->remote_port};

	if (r->family == 4 || r->family == 6)
		memcpy(a.bytes, r->remote, r->family == 4 ? 4 : 16);
	else
		a.family = 0;
	return a;
}

bool story_put_address(const struct capture_record *r, struct buf *ret)
{
	struct story_address a = address_of(r);

	return a.family && put_address(&a, ret);
}

static void put_to(const char *word, const struct story_address *a, struct buf *ret)
{
	if (!a->family)
		return;
	buf_printf(ret, " %s ", word);
	put_address(a, ret);
}

static void put_time(uint64_t ns, struct buf *ret)
{
	if (ns < 10 * NS_PER_MS)
		buf_printf(ret, "%llu.%llu ms", (unsigned long long)(ns / NS_PER_MS),
			(unsigned long long)(ns / (NS_PER_MS / 10) % 10));
	else if (ns < NS_PER_S)
		buf_printf(ret, "%llu ms", (unsigned long long)(ns / NS_PER_MS));
	else
		buf_printf(ret, "%llu.%llu s", (unsigned long long)(ns / NS_PER_S),
			(unsigned long long)(ns / (NS_PER_S / 10) % 10));
}

/* The wall clock may have been set meanwhile. */
static uint64_t since(const struct capture_record *r, uint64_t then)
{
	return then && r->real_ns > then ? r->real_ns - then : 0;
}

static enum wg_message message_of(const struct capture_record *r, const uint8_t *data)
{
	bool inner = r->point == WG_TAP_INNER_IN || r->point == WG_TAP_INNER_OUT;

	return inner || !r->family || r->kept < 4 ? (enum wg_message)0 : wg_message_check(data, r->len == r->kept ? r->kept : 0);
}

/* ---- drops ---- */

static void put_inner(const uint8_t *data, size_t len, struct buf *ret)
{
	bool v4 = len >= 20 && data[0] >> 4 == 4, v6 = len >= 40 && data[0] >> 4 == 6;
	struct story_address from = {.family = v4 ? 4 : 6}, to = from;

	if (!v4 && !v6)
		return;
	memcpy(from.bytes, data + (v4 ? 12 : 8), v4 ? 4 : 16);
	memcpy(to.bytes, data + (v4 ? 16 : 24), v4 ? 4 : 16);
	put_host(&from, ret);
	buf_puts(ret, " -> ");
	put_host(&to, ret);
	buf_puts(ret, ": ");
}

static void put_message(const struct capture_record *r, const uint8_t *data, struct buf *ret)
{
	/* By the word at its head; it may have been cut, or be malformed. */
	static const char *const names[] = {"message", "initiation", "response", "cookie", "data"};
	bool out = r->point == WG_TAP_OUTER_OUT ||
		(r->point == WG_TAP_DROPPED && (r->drop == WG_DROP_SEND_FAILED || r->drop == WG_DROP_LINK_DOWN));
	uint32_t type = r->kept >= 4 && r->drop != WG_DROP_MALFORMED ? get_le32(data) : 0;
	const struct story_address a = address_of(r);

	buf_puts(ret, type < array_size(names) ? names[type] : names[0]);
	put_to(out ? "to" : "from", &a, ret);
	if (type == WG_MESSAGE_DATA && r->kept >= sizeof(struct wg_data))
		buf_printf(ret, ", counter %llu", (unsigned long long)get_le64(data + offsetof(struct wg_data, counter)));
	if (r->drop == WG_DROP_MALFORMED || r->drop == WG_DROP_TRUNCATED)
		buf_printf(ret, ", %u bytes", r->len);
	buf_puts(ret, ": ");
}

/* Where the message says more than the reason alone. */
static struct drop_words words_of(const struct capture_record *r, enum wg_message type)
{
	const struct drop_words *w = drops_words((enum wg_drop)r->drop);
	struct drop_words words = w ? *w : (struct drop_words){"a reason that this program does not know", NULL};

	if (r->drop == WG_DROP_BAD_HANDSHAKE && type == WG_MESSAGE_RESPONSE)
		words = (struct drop_words){"it is the answer to ours and does not decrypt",
			"is the pre-shared key the same at both ends?"};
	if (r->drop == WG_DROP_BAD_HANDSHAKE && type == WG_MESSAGE_INITIATION && r->has_peer)
		words = (struct drop_words){"it claims to be this peer's, whose private key did not make it",
			"damaged on the way, or forged"};
	return words;
}

static void tell_drop(const struct capture_record *r, const uint8_t *data, struct buf *ret)
{
	static const uint8_t none[CAPTURE_KEY_LEN];
	struct drop_words words = words_of(r, message_of(r, data));
	const char *name = drops_name(r->drop);

	if (name)
		buf_printf(ret, "dropped: %s (", name);
	else
		buf_printf(ret, "dropped: reason %u (", r->drop);
	if (r->family)
		put_message(r, data, ret);
	else
		put_inner(data, r->kept, ret);
	buf_puts(ret, words.cause);
	if (r->error)
		buf_printf(ret, ": %s", strerror(r->error));
	if (!r->has_peer && memcmp(r->public_key, none, sizeof(none))) {
		char key[KEY_TEXT_LEN + 1];

		key_text_format(r->public_key, key);
		buf_printf(ret, ", which is %s", key);
	}
	if (r->n > 1)
		buf_printf(ret, "; %u packets", r->n);
	buf_puts(ret, ")");
	if (words.next)
		buf_printf(ret, " -> %s", words.next);
}

/* ---- events ---- */

static void tell_initiation_sent(struct story *s, struct story_peer *p, const struct capture_record *r,
	struct buf *ret)
{
	p->attempt = !p->retries ? 1 : p->attempt ? p->attempt + 1 : 0;
	p->retries = false;
	p->sent_ns = r->real_ns;
	p->answered = p->not_sent = p->cookie = false;
	p->refused = WG_DROP_NONE;
	s->facts.attempt = p->attempt;
	buf_puts(ret, "initiation sent");
	if (p->attempt)
		buf_printf(ret, " (try %u/%u)", p->attempt, ATTEMPTS_MAX);
	put_to("to", &p->at, ret);
	if (p->session == STORY_SESSION_NONE)
		buf_puts(ret, ", no session");
	if (p->session == STORY_SESSION_UP) {
		uint64_t age = since(r, p->session_ns);

		buf_puts(ret, age < WG_REJECT_AFTER_TIME_NS ? ", to renew the session of " : ", no session since that of ");
		put_time(age, ret);
		buf_puts(ret, " ago");
	}
	buf_puts(ret, "; next try in 5 s");
}

/* What routers or the host said of the last initiation.  Whoever saw it can say so. */
static const struct icmp_error *icmp_about(const struct story_peer *p, const struct story_awaited *a)
{
	const struct icmp_error *e = &a->icmp;

	return e->says && e->to_port == p->at.port && e->real_ns >= p->sent_ns ? e : NULL;
}

static void put_icmp(struct story *s, const struct story_peer *p, const struct icmp_error *e, struct buf *ret)
{
	struct story_address from = {.family = e->family};

	memcpy(from.bytes, e->from, sizeof(from.bytes));
	s->facts.icmp = enum_name(&icmp_says_enum, e->says);
	buf_puts(ret, ": ");
	put_host(&from, ret);
	switch (e->says) {
	case ICMP_SAYS_PORT:
		buf_printf(ret, " says that nothing listens at UDP %u of ", p->at.port);
		put_host(&p->at, ret);
		buf_puts(ret, " -> does the tunnel run there, and is that its port?");
		break;
	case ICMP_SAYS_FORBIDDEN:
		buf_puts(ret, " says that it is forbidden to reach ");
		put_host(&p->at, ret);
		buf_printf(ret, " -> a firewall there or on the way has to allow UDP %u", p->at.port);
		break;
	case ICMP_SAYS_NO_WAY:
		buf_puts(ret, " says that there is no way to ");
		put_host(&p->at, ret);
		buf_puts(ret, " -> is the address right, and does the host run?");
		break;
	}
}

static void put_silence(struct story *s, const struct story_peer *p, struct buf *ret)
{
	const struct story_awaited *a = story_peers_heard(s->peers, p);
	const struct icmp_error *icmp = a && !a->heard ? icmp_about(p, a) : NULL;

	if (p->not_sent) {
		buf_puts(ret, "; the initiation could not be sent");
		if (p->not_sent_error)
			buf_printf(ret, ": %s", strerror(p->not_sent_error));
		buf_puts(ret, " -> is there a route to ");
		put_host(&p->at, ret);
		buf_puts(ret, "?");
	} else if (p->refused) {
		buf_printf(ret, ", for the one that came was dropped: %s -> ", drops_name(p->refused));
		buf_puts(ret, p->refused == WG_DROP_BAD_HANDSHAKE ? "is the pre-shared key the same at both ends?"
								  : "see above");
	} else if (p->cookie) {
		buf_puts(ret, ", but a cookie came: the peer is under load; the next initiation bears it");
	} else if (icmp) {
		put_icmp(s, p, icmp, ret);
	} else if (a && !a->heard) {
		buf_puts(ret, ": nothing at all received from ");
		put_host(&p->at, ret);
		buf_printf(ret, " -> is UDP %u open there, and the peer's public key right? "
			"It answers nobody who has a wrong one", p->at.port);
	} else if (a) {
		buf_puts(ret, ", but ");
		put_host(&p->at, ret);
		buf_puts(ret, " was heard");
		if (a->drop && drops_name(a->drop))
			buf_printf(ret, " (dropped: %s)", drops_name(a->drop));
		buf_puts(ret, " -> does it know our public key, and does what we send reach it?");
	}
}

static void tell_retry(struct story *s, struct story_peer *p, const struct capture_record *r, struct buf *ret)
{
	uint64_t waited = since(r, p->sent_ns);

	p->retries = true;
	s->facts.waited_ns = waited;
	s->facts.attempt = p->attempt;
	buf_puts(ret, "no answer for ");
	put_time(waited ? waited : WG_REKEY_TIMEOUT_NS, ret);
	put_silence(s, p, ret);
}

static void tell_given_up(struct story *s, struct story_peer *p, struct buf *ret)
{
	p->retries = false;
	s->facts.attempt = p->attempt;
	buf_printf(ret, "handshake given up after %u tries", ATTEMPTS_MAX);
	put_silence(s, p, ret);
	buf_puts(ret, "; begins again when there is something to send");
	p->attempt = 0;
}

static void tell_initiation_received(struct story_peer *p, const struct capture_record *r, struct buf *ret)
{
	const struct story_address from = address_of(r);

	buf_puts(ret, "initiation received");
	put_to("from", &from, ret);
	if (p->responded_ns) {
		buf_puts(ret, " again, ");
		put_time(since(r, p->responded_ns), ret);
		buf_puts(ret, " after our response: it did not arrive, or the peer refuses it -> does UDP pass back to ");
		put_host(&from, ret);
		buf_puts(ret, ", and is the pre-shared key the same at both ends?");
	} else {
		buf_puts(ret, ": it is this peer's, and newer than its last");
	}
	p->at = from;
}

static void tell_complete(struct story *s, struct story_peer *p, const struct capture_record *r, struct buf *ret)
{
	s->facts.role = p->answered ? "initiator" : p->responded_ns ? "responder" : NULL;
	buf_puts(ret, "session up");
	if (s->facts.role)
		buf_printf(ret, " as %s", s->facts.role);
	if (p->answered) {
		s->facts.rtt_ns = p->rtt_ns;
		buf_puts(ret, ", rtt ");
		put_time(p->rtt_ns, ret);
		buf_puts(ret, ", keys valid 180 s, rekey at 120 s");
	} else if (p->responded_ns) {
		buf_puts(ret, ", the first packet came ");
		put_time(since(r, p->responded_ns), ret);
		buf_puts(ret, " after the response, keys valid 180 s, the peer renews them");
	}
	p->answered = p->retries = p->cookie = false;
	p->responded_ns = p->attempt = 0;
	p->session = STORY_SESSION_UP;
	p->session_ns = r->real_ns;
}

static void tell_roamed(struct story_peer *p, const struct capture_record *r, struct buf *ret)
{
	const struct story_address from = address_of(r);

	buf_puts(ret, "the peer speaks");
	put_to("from", &from, ret);
	buf_puts(ret, " now");
	put_to("and no longer from", &p->at, ret);
	p->at = from;
}

static bool tell_refused(struct story *s, const struct capture_record *r, const uint8_t *data, struct buf *ret)
{
	const struct capture_record *told = &s->refused;
	bool again = told->kind && told->drop == r->drop && told->family == r->family &&
		told->remote_port == r->remote_port && !memcmp(told->remote, r->remote, sizeof(r->remote));

	s->refused.kind = 0;
	if (!again)
		tell_drop(r, data, ret);
	return !again;
}

#define DEVICE_ROWS(X)                                                                             \
	X(WG_EVENT_UP, "the interface went up")                                                    \
	X(WG_EVENT_DOWN, "the interface went down: no keys, no timers")                            \
	X(WG_EVENT_PEER_ADDED, "peer added")                                                       \
	X(WG_EVENT_PEER_REMOVED, "peer removed")                                                   \
	X(WG_EVENT_PRIVATE_KEY_SET, "another private key, or none: peers need the public key that belongs to it") \
	X(WG_EVENT_UNDER_LOAD, "under load: from now on strangers need a cookie")                  \
	X(WG_EVENT_LOAD_PASSED, "no longer under load")                                            \
	X(WG_EVENT_MTU, "the interface has another MTU")                                           \
	X(WG_EVENT_BOUND, "the UDP sockets are there")                                             \
	X(WG_EVENT_BIND_FAILED, "the UDP sockets could not be made; tried again after a while -> is the port in use?") \
	X(WG_EVENT_KEYS_ZEROED, "keys wiped: no new session for 540 s")                            \
	X(WG_EVENT_PEER_SILENT, "sent data, nothing back for 15 s: new handshake (the peer may have restarted)") \
	X(WG_EVENT_KEEPALIVE_SENT, "keepalive sent")

static const char *plain_words(unsigned event)
{
	static const struct { unsigned event; const char *text; } rows[] = {
#define ROW_(id, text) {id, text},
		DEVICE_ROWS(ROW_)
	};

	for (size_t i = 0; i < array_size(rows); i++)
		if (rows[i].event == event)
			return rows[i].text;
	return NULL;
}

static unsigned level_of(unsigned event)
{
	switch (event) {
	case WG_EVENT_BIND_FAILED:
		return 3;
	case WG_EVENT_HANDSHAKE_RETRY:
	case WG_EVENT_HANDSHAKE_GIVEN_UP:
	case WG_EVENT_PEER_SILENT:
	case WG_EVENT_UNDER_LOAD:
	case WG_EVENT_REFUSED:
	case WG_EVENT_COOKIE_SENT:
		return 4;
	case WG_EVENT_KEEPALIVE_SENT:
		return 7;
	default:
		return 6;
	}
}

static void tell_other(struct story *s, struct story_peer *p, const struct capture_record *r, struct buf *ret)
{
	const struct story_address at = address_of(r);
	const char *text = plain_words(r->event);

	switch (r->event) {
	case WG_EVENT_RESPONSE_SENT:
		p->responded_ns = r->real_ns;
		buf_puts(ret, "response sent");
		put_to("to", &p->at, ret);
		buf_puts(ret, "; the session is up with the peer's first packet");
		return;
	case WG_EVENT_COOKIE_RECEIVED:
		p->cookie = true;
		buf_puts(ret, "cookie received");
		put_to("from", &at, ret);
		buf_puts(ret, ": the peer is under load; the next initiation bears it");
		return;
	case WG_EVENT_ENDPOINT_SET:
		p->at = at;
		buf_puts(ret, "the peer's address was set");
		put_to("to", &at, ret);
		return;
	case WG_EVENT_KEYS_ZEROED:
	case WG_EVENT_PEER_ADDED:
		p->session = STORY_SESSION_NONE;
		break;
	case WG_EVENT_DOWN:
		story_peers_down(s->peers);
		break;
	}
	if (text)
		buf_puts(ret, text);
	else
		buf_printf(ret, "event %u, which this program does not know", r->event);
}

static bool tell_event(struct story *s, const struct capture_record *r, const uint8_t *data, struct buf *ret)
{
	struct story_peer *p = story_peers_of(s->peers, r);

	switch (r->event) {
	case WG_EVENT_REFUSED:
	case WG_EVENT_COOKIE_SENT:
		return tell_refused(s, r, data, ret);
	case WG_EVENT_INITIATION_SENT:
		tell_initiation_sent(s, p, r, ret);
		break;
	case WG_EVENT_INITIATION_RECEIVED:
		tell_initiation_received(p, r, ret);
		break;
	case WG_EVENT_HANDSHAKE_COMPLETE:
		tell_complete(s, p, r, ret);
		break;
	case WG_EVENT_HANDSHAKE_RETRY:
		tell_retry(s, p, r, ret);
		break;
	case WG_EVENT_HANDSHAKE_GIVEN_UP:
		tell_given_up(s, p, ret);
		break;
	case WG_EVENT_ROAMED:
		tell_roamed(p, r, ret);
		break;
	default:
		tell_other(s, p, r, ret);
		if (r->event == WG_EVENT_PEER_REMOVED)
			*p = (struct story_peer){.used = false};
	}
	return true;
}

/* ---- packets ---- */

static void learn(struct story *s, const struct capture_record *r, const uint8_t *data)
{
	struct story_peer *p = r->has_peer ? story_peers_of(s->peers, r) : NULL;
	const struct story_address at = address_of(r);
	enum wg_message type = message_of(r, data);

	if (r->point == WG_TAP_OUTER_IN || (r->point == WG_TAP_DROPPED && r->drop != WG_DROP_SEND_FAILED))
		story_peers_hear(s->peers, &at, r->drop);
	if (r->point == WG_TAP_OUTER_IN && r->drop && type && type != WG_MESSAGE_DATA)
		s->refused = *r;
	if (!p)
		return;
	if (r->point == WG_TAP_OUTER_OUT && type == WG_MESSAGE_INITIATION) {
		p->at = at;
		story_peers_await(s->peers, p, !p->retries);
	} else if (r->point == WG_TAP_OUTER_OUT && type == WG_MESSAGE_RESPONSE) {
		p->at = at;
	} else if (r->point == WG_TAP_OUTER_IN && type == WG_MESSAGE_RESPONSE) {
		p->answered = !r->drop;
		p->refused = r->drop;
		p->rtt_ns = since(r, p->sent_ns);
	} else if (r->drop == WG_DROP_SEND_FAILED) {
		p->not_sent = true;
		p->not_sent_error = r->error;
	}
}

void story_hear_icmp(struct story *s, const struct icmp_error *e)
{
	story_peers_hear_icmp(s->peers, e);
}

bool story_waits(const struct capture_record *r)
{
	return r->kind == CAPTURE_EVENT && (r->event == WG_EVENT_HANDSHAKE_RETRY || r->event == WG_EVENT_HANDSHAKE_GIVEN_UP);
}

bool story_tell(struct story *s, const struct capture_record *r, const uint8_t *data,
	struct buf *ret, unsigned *ret_level)
{
	s->facts = (struct story_facts){.attempt = 0};
	if (r->kind == CAPTURE_EVENT) {
		*ret_level = level_of(r->event);
		return tell_event(s, r, data, ret);
	}
	if (r->kind != CAPTURE_PACKET)
		return false;
	learn(s, r, data);
	if (!r->drop)
		return false;
	*ret_level = 4;
	tell_drop(r, data, ret);
	return true;
}
