#include "tunnel/uapi.h"

#include "base/buf.h"
#include "tunnel/addr_text.h"

#include <arpa/inet.h>
#include <errno.h>
#include <sys/queue.h>

/* The protocol's own numbers: Linux's, but for the last one, which stands for everything else. */
#define UAPI_EINVAL 22
#define UAPI_EPROTO 71
#define UAPI_EADDRINUSE 98
#define UAPI_EOTHER 55

#define OUTPUT_MAX (UAPI_PIECE + (4u << 10)) /* what was begun below the limit is finished */

struct uapi {
	struct wg_device	*device;
	struct uapi_host	 host;
	size_t			 buffered;	/* bytes in all clients' ${in} */
	uint64_t		 generation;	/* of the configuration: the number of set requests that were applied */
	TAILQ_HEAD(, uapi_client) clients;
};

enum get_state {
	GET_NONE,	/* no answer under way */
	GET_DEVICE,
	GET_PEER,	/* the head of get.peer comes next */
	GET_PREFIXES,	/* some allowed IPs of get.peer were shown */
};

struct get {
	enum get_state		 state;
	struct wg_peer		*peer;		/* NULL: all are shown */
	uint64_t		 generation;	/* in which ${at} was good */
	void			*at;
	struct wg_prefix	 last;		/* the one that ${at} is */
	size_t			 n_shown;	/* allowed IPs of this peer */
};

struct uapi_client {
	TAILQ_ENTRY(uapi_client) entry;
	struct uapi	*uapi;
	/*
	 * [in_at, in_line) are complete lines of the first request; what follows was not looked at.
	 */
	struct buf	 in;
	size_t		 in_at, in_line;
	bool		 swallowing;		/* a request that was too long; nothing of it is in ${in} */
	bool		 swallow_line_start;	/* the last byte was a '\n' */
	bool		 ended;
	struct get	 get;
	struct buf	 out;
	size_t		 out_at;
};

/* ---- values ---- */

struct text {
	const char	*at;
	size_t		 len;
};

#define TEXT(literal) {literal, sizeof(literal) - 1}

static bool text_equals(struct text a, struct text b)
{
	return a.len == b.len && !memcmp(a.at, b.at, a.len);
}

#define text_is(t, literal) text_equals(t, (struct text)TEXT(literal))

/* Decimal digits only: no sign, no blank, no 0x. */
static bool parse_number(struct text t, uint64_t limit, uint64_t *ret)
{
	uint64_t v = 0;

	if (!t.len)
		return false;
	for (size_t i = 0; i < t.len; i++) {
		if (t.at[i] < '0' || t.at[i] > '9')
			return false;
		v = v * 10 + (uint64_t)(t.at[i] - '0');
		if (v > limit)
			return false;
	}
	*ret = v;
	return true;
}

/* Branch-free: the time does not depend on the digit.  -1: it is none. */
static int hex_digit(uint8_t c)
{
	int digit = c ^ '0', letter = (c | 0x20) - 'a';
	int is_digit = (digit - 10) >> 8, is_letter = ((letter - 6) & ~letter) >> 8;

	return (is_digit & digit) | (is_letter & (letter + 10)) | ~(is_digit | is_letter);
}

static bool parse_key(struct text t, uint8_t ret[WG_KEY_LEN])
{
	int bad = 0;

	if (t.len != 2UL * WG_KEY_LEN)
		return false;
	for (size_t i = 0; i < WG_KEY_LEN; i++) {
		int high = hex_digit((uint8_t)t.at[2 * i]);
		int low = hex_digit((uint8_t)t.at[2 * i + 1]);

		bad |= high | low;
		ret[i] = (uint8_t)((unsigned)high << 4 | (unsigned)low);
	}
	return bad >= 0;
}

/* A copy as a C string; false when it does not fit or holds a zero byte. */
static bool text_copy(struct text t, char *ret, size_t size)
{
	if (t.len >= size || memchr(t.at, 0, t.len))
		return false;
	memcpy(ret, t.at, t.len);
	ret[t.len] = 0;
	return true;
}

static bool parse_scope(const struct uapi *u, const char *scope, uint32_t *ret)
{
	uint64_t number;

	if (parse_number((struct text){scope, strlen(scope)}, UINT32_MAX, &number))
		*ret = (uint32_t)number;
	else
		*ret = u->host.scope_id ? u->host.scope_id(u->host.arg, scope) : 0;
	return *ret != 0;
}

/* 192.0.2.1:51820, [2001:db8::1]:51820, [fe80::1%eth0]:51820, [fe80::1%3]:51820; never a name. */
static bool parse_endpoint(const struct uapi *u, struct text t, struct wg_addr *ret)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	char text[128], *host = text, *colon, *scope;
	uint32_t scope_id = 0;
	uint8_t bytes[16];
	uint64_t port;

	if (!text_copy(t, text, sizeof(text)))
		return false;
	colon = strrchr(text, ':');
	if (!colon || colon == text)
		return false;
	if (!parse_number((struct text){colon + 1, strlen(colon + 1)}, UINT16_MAX, &port))
		return false;
	*colon = 0;

	if (*host != '[') {
		if (inet_pton(AF_INET, host, bytes) != 1)
			return false;
		*ret = wg_addr_v4(bytes, (uint16_t)port);
		return true;
	}
	if (colon[-1] != ']')
		return false;
	colon[-1] = 0;
	host++;
	scope = strchr(host, '%');
	if (scope)
		*scope++ = 0;
	if (inet_pton(AF_INET6, host, bytes) != 1)
		return false;
	if (scope && !parse_scope(u, scope, &scope_id))
		return false;
	/* An IPv6 socket of ours would not reach it. */
	if (!memcmp(bytes, mapped, sizeof(mapped)))
		*ret = wg_addr_v4(bytes + 12, (uint16_t)port);
	else if (bytes[0] == 0xfe && (bytes[1] & 0xc0) == 0x80)
		*ret = wg_addr_v6(bytes, (uint16_t)port, scope_id);
	else
		*ret = wg_addr_v6(bytes, (uint16_t)port, 0);
	return true;
}

/* [-]ADDRESS/CIDR; the mask is not optional. */
static bool parse_prefix(struct text t, struct wg_prefix *ret, bool *ret_remove)
{
	struct text address = t, mask;
	const char *slash;
	uint64_t cidr;

	*ret_remove = t.len && t.at[0] == '-';
	if (*ret_remove)
		address = (struct text){t.at + 1, t.len - 1};
	slash = memchr(address.at, '/', address.len);
	if (!slash)
		return false;
	mask = (struct text){slash + 1, address.len - 1 - (size_t)(slash - address.at)};
	address.len = (size_t)(slash - address.at);
	*ret = (struct wg_prefix){.family = AF_INET};
	if (!ipv4_parse(address.at, address.len, ret->bytes)) {
		ret->family = AF_INET6;
		if (!ipv6_parse(address.at, address.len, ret->bytes))
			return false;
	}
	if (mask.len > 1 && mask.at[0] == '0')
		return false;
	if (!parse_number(mask, ret->family == AF_INET ? 32 : 128, &cidr))
		return false;
	ret->cidr = (uint8_t)cidr;
	return true;
}

/* ---- set ---- */

struct set {
	struct uapi	*u;
	struct wg_now	 now;
	bool		 in_peer;	/* a public_key line was met */
	uint8_t		 key[WG_KEY_LEN];
	struct wg_peer	*peer;		/* NULL: not made yet, or ignored */
	bool		 created;	/* ${peer} is new in this request */
	bool		 ignored;	/* the lines of this peer are checked and have no effect */
};

static void remove_peer(struct uapi *u, struct wg_peer *p)
{
	uapi_peer_leaves(u, p);
	wg_device_remove_peer(u->device, p);
}

/*
 * A new peer is made when its first attribute comes or its lines end, so that remove and
 * update_only never make one.
 */
static int make_peer(struct set *s)
{
	int r;

	if (s->peer || s->ignored)
		return 0;
	r = wg_device_add_peer(s->u->device, s->key, &s->peer);
	if (r == -EADDRINUSE) {
		/* Our own public key: what a configuration shared by all members holds. */
		s->peer = NULL;
		s->ignored = true;
		return 0;
	}
	if (r < 0) {
		s->peer = NULL;
		s->ignored = true;
		return -UAPI_EOTHER;
	}
	s->created = true;
	return 0;
}

static int finish_peer(struct set *s)
{
	int r;

	if (!s->in_peer)
		return 0;
	r = make_peer(s);
	if (s->peer)
		wg_peer_configured(s->u->device, s->peer, s->now);
	s->in_peer = false;
	s->peer = NULL;
	return r;
}

static int set_private_key(struct set *s, struct text value)
{
	struct uapi *u = s->u;
	struct uapi_client *c;
	uint8_t key[WG_KEY_LEN];
	int r;

	if (!parse_key(value, key)) {
		explicit_bzero(key, sizeof(key));
		return -UAPI_EINVAL;
	}
	/*
	 * The device may remove one peer: the one that has our new public key.  Whoever stands
	 * there goes to the next.
	 */
	struct {
		struct uapi_client	*client;
		uint8_t			 key[WG_KEY_LEN];
		struct wg_peer		*next;
	} *places = NULL;
	size_t n = 0;

	TAILQ_FOREACH(c, &u->clients, entry)
		n += c->get.peer != NULL;
	if (n) {
		places = calloc(n, sizeof(*places));
		if (!places) {
			explicit_bzero(key, sizeof(key));
			return -UAPI_EOTHER;
		}
		n = 0;
		TAILQ_FOREACH(c, &u->clients, entry) {
			if (!c->get.peer)
				continue;
			places[n].client = c;
			memcpy(places[n].key, wg_peer_public_key(c->get.peer), WG_KEY_LEN);
			places[n++].next = wg_peer_next(c->get.peer);
		}
	}
	r = wg_device_set_private_key(u->device, s->now, key);
	explicit_bzero(key, sizeof(key));
	for (size_t i = 0; i < n; i++) {
		if (wg_device_peer(u->device, places[i].key))
			continue;
		places[i].client->get.peer = places[i].next;
		places[i].client->get.state = GET_PEER;
	}
	free(places);
	return r < 0 ? -UAPI_EOTHER : 0;
}

static int set_listen_port(struct set *s, struct text value)
{
	uint64_t v;

	if (!parse_number(value, UINT16_MAX, &v))
		return -UAPI_EINVAL;
	return s->u->host.set_listen_port(s->u->host.arg, (uint16_t)v) < 0 ? -UAPI_EADDRINUSE : 0;
}

static int set_fwmark(struct set *s, struct text value)
{
	uint64_t v;

	if (!parse_number(value, UINT32_MAX, &v))
		return -UAPI_EINVAL;
	return s->u->host.set_fwmark(s->u->host.arg, (uint32_t)v) < 0 ? -UAPI_EADDRINUSE : 0;
}

static int set_replace_peers(struct set *s, struct text value)
{
	struct wg_peer *p;

	if (!text_is(value, "true"))
		return -UAPI_EINVAL;
	while ((p = wg_device_first_peer(s->u->device)))
		remove_peer(s->u, p);
	return 0;
}

static int set_public_key(struct set *s, struct text value)
{
	uint8_t key[WG_KEY_LEN];
	int r = finish_peer(s);

	if (r < 0)
		return r;
	if (!parse_key(value, key))
		return -UAPI_EINVAL;
	memcpy(s->key, key, sizeof(s->key));
	s->in_peer = true;
	s->created = s->ignored = false;
	s->peer = wg_device_peer(s->u->device, key);
	return 0;
}

static int set_remove(struct set *s, struct text value)
{
	if (!text_is(value, "true"))
		return -UAPI_EINVAL;
	if (s->peer)
		remove_peer(s->u, s->peer);
	s->peer = NULL;
	s->ignored = true;
	return 0;
}

static int set_update_only(struct set *s, struct text value)
{
	if (!text_is(value, "true"))
		return -UAPI_EINVAL;
	if (s->created && s->peer) {
		remove_peer(s->u, s->peer);
		s->peer = NULL;
	}
	if (!s->peer)
		s->ignored = true;
	return 0;
}

static int set_preshared_key(struct set *s, struct text value)
{
	uint8_t key[WG_KEY_LEN];
	int r = parse_key(value, key) ? make_peer(s) : -UAPI_EINVAL;

	if (!r && s->peer)
		wg_peer_set_preshared_key(s->peer, key);
	explicit_bzero(key, sizeof(key));
	return r;
}

static int set_endpoint(struct set *s, struct text value)
{
	struct wg_addr dst;
	int r;

	if (!parse_endpoint(s->u, value, &dst))
		return -UAPI_EINVAL;
	r = make_peer(s);
	if (r < 0 || !s->peer)
		return r;
	wg_peer_set_endpoint(s->u->device, s->peer, &dst);
	return 0;
}

static int set_keepalive(struct set *s, struct text value)
{
	uint64_t v;
	int r;

	if (!parse_number(value, UINT16_MAX, &v))
		return -UAPI_EINVAL;
	r = make_peer(s);
	if (!r && s->peer)
		wg_peer_set_keepalive(s->peer, (uint16_t)v);
	return r;
}

static int set_replace_allowed_ips(struct set *s, struct text value)
{
	int r;

	if (!text_is(value, "true"))
		return -UAPI_EINVAL;
	r = make_peer(s);
	if (!r && s->peer)
		wg_peer_disallow_all(s->u->device, s->peer);
	return r;
}

static int set_allowed_ip(struct set *s, struct text value)
{
	struct wg_prefix p;
	bool remove;
	int r;

	if (!parse_prefix(value, &p, &remove))
		return -UAPI_EINVAL;
	r = make_peer(s);
	if (r < 0 || !s->peer)
		return r;
	if (remove) {
		wg_peer_disallow(s->u->device, s->peer, p.family, p.bytes, p.cidr);
		return 0;
	}
	r = wg_peer_allow(s->u->device, s->peer, p.family, p.bytes, p.cidr);
	return r == -EINVAL ? -UAPI_EINVAL : r < 0 ? -UAPI_EOTHER : 0;
}

/* Not of the protocol of others: who sends it must bear to be refused. */
static int set_succeeds(struct set *s, struct text value)
{
	uint8_t key[WG_KEY_LEN];
	int r = parse_key(value, key) ? make_peer(s) : -UAPI_EINVAL;

	if (!r && s->peer)
		wg_peer_succeed(s->peer, wg_device_peer(s->u->device, key));
	return r;
}

static int set_protocol_version(struct set *s, struct text value)
{
	return text_is(value, "1") ? make_peer(s) : -UAPI_EINVAL;
}

/* What there may be most of comes first. */
static const struct set_key {
	struct text	 name;
	int		(*set)(struct set *s, struct text value);
	bool		 of_peer;
} set_keys[] = {
	{TEXT("allowed_ip"), set_allowed_ip, true},
	{TEXT("private_key"), set_private_key, false},
	{TEXT("listen_port"), set_listen_port, false},
	{TEXT("fwmark"), set_fwmark, false},
	{TEXT("replace_peers"), set_replace_peers, false},
	{TEXT("remove"), set_remove, true},
	{TEXT("update_only"), set_update_only, true},
	{TEXT("preshared_key"), set_preshared_key, true},
	{TEXT("endpoint"), set_endpoint, true},
	{TEXT("persistent_keepalive_interval"), set_keepalive, true},
	{TEXT("replace_allowed_ips"), set_replace_allowed_ips, true},
	{TEXT("protocol_version"), set_protocol_version, true},
	{TEXT("succeeds"), set_succeeds, true},
};

static int set_line(struct set *s, const char *line, size_t len)
{
	const char *equals = memchr(line, '=', len);
	struct text key, value;

	if (len > UAPI_LINE_MAX)
		return -UAPI_EINVAL;
	if (!equals)
		return -UAPI_EPROTO;
	key = (struct text){line, (size_t)(equals - line)};
	value = (struct text){equals + 1, len - key.len - 1};
	if (text_is(key, "public_key"))
		return set_public_key(s, value);
	for (size_t i = 0; i < array_size(set_keys); i++)
		if (set_keys[i].of_peer == s->in_peer && text_equals(key, set_keys[i].name))
			return set_keys[i].set(s, value);
	return -UAPI_EINVAL;
}

/* The key of a line as the protocol's own word, or NULL. */
static const char *known_key(const char *line, size_t len)
{
	const char *equals = memchr(line, '=', len);
	struct text key = {line, equals ? (size_t)(equals - line) : 0};

	if (text_is(key, "public_key"))
		return "public_key";
	for (size_t i = 0; i < array_size(set_keys); i++)
		if (text_equals(key, set_keys[i].name))
			return set_keys[i].name.at;
	return NULL;
}

/* ${lines}: each with its '\n'. */
static void do_set(struct uapi_client *c, const char *lines, size_t len)
{
	struct uapi *u = c->uapi;
	struct set s = {.u = u, .now = u->host.now(u->host.arg)};
	const char *key = NULL;
	size_t n = 1;
	int r = 0, finished;

	while (len && !r) {
		const char *end = memchr(lines, '\n', len);
		size_t line = (size_t)(end - lines);

		n++;
		r = set_line(&s, lines, line);
		if (r)
			key = known_key(lines, line);
		lines += line + 1;
		len -= line + 1;
	}
	finished = finish_peer(&s);
	if (!r && finished) {
		r = finished;
		key = "public_key"; /* the last peer could not be added */
	}
	if (r && u->host.refused)
		u->host.refused(u->host.arg, n, key, r);
	u->generation++;
	buf_printf(&c->out, "errno=%d\n\n", r);
	if (u->host.changed)
		u->host.changed(u->host.arg);
}

/* ---- get ---- */

static void put_secret(struct buf *out, const char *key, const uint8_t bytes[WG_KEY_LEN])
{
	buf_puts(out, key);
	buf_put_hex(out, bytes, WG_KEY_LEN);
	buf_puts(out, "\n");
}

static void get_device(struct uapi_client *c)
{
	struct uapi *u = c->uapi;
	uint8_t key[WG_KEY_LEN];
	uint32_t v;

	if (wg_device_private_key(u->device, key))
		put_secret(&c->out, "private_key=", key);
	explicit_bzero(key, sizeof(key));
	v = u->host.listen_port(u->host.arg);
	if (v)
		buf_printf(&c->out, "listen_port=%u\n", v);
	v = u->host.fwmark(u->host.arg);
	if (v)
		buf_printf(&c->out, "fwmark=%u\n", v);
}

static void get_peer(struct uapi_client *c, const struct wg_peer *p)
{
	struct buf *out = &c->out;
	struct wg_peer_info info;

	wg_peer_info(p, &info);
	put_secret(out, "public_key=", info.public_key);
	put_secret(out, "preshared_key=", info.preshared_key);
	buf_puts(out, "protocol_version=1\n");
	if (info.endpoint.dst.family) {
		buf_puts(out, "endpoint=");
		addr_put(&info.endpoint.dst, out);
		buf_puts(out, "\n");
	}
	buf_printf(out,
		"last_handshake_time_sec=%llu\nlast_handshake_time_nsec=%llu\ntx_bytes=%llu\n"
		"rx_bytes=%llu\npersistent_keepalive_interval=%u\n",
		(unsigned long long)(info.last_handshake_real_ns / NS_PER_S),
		(unsigned long long)(info.last_handshake_real_ns % NS_PER_S),
		(unsigned long long)info.tx_bytes, (unsigned long long)info.rx_bytes,
		info.keepalive_s);
	explicit_bzero(&info, sizeof(info));
}

/* Back to the last allowed IP shown; when it is gone, to the same position in the list. */
static bool get_resume(struct get *g)
{
	struct wg_prefix p;
	void *at = NULL;
	size_t n = 0;

	while (wg_peer_prefix(g->peer, &at, &p))
		if (p.family == g->last.family && p.cidr == g->last.cidr &&
			!memcmp(p.bytes, g->last.bytes, p.family == AF_INET ? 4 : 16)) {
			g->at = at;
			return true;
		}
	at = NULL;
	while (n < g->n_shown) {
		if (!wg_peer_prefix(g->peer, &at, &p))
			return false;
		n++;
	}
	g->at = at;
	return true;
}

/* Of the lists of allowed IPs: a request changes them, and a handshake of a peer that succeeds
 * another. */
static uint64_t generation(const struct uapi *u)
{
	return u->generation + wg_device_moves(u->device);
}

/* One step of the answer: one block of lines. */
static void get_step(struct uapi_client *c)
{
	struct uapi *u = c->uapi;
	struct get *g = &c->get;
	char text[INET6_ADDRSTRLEN];

	switch (g->state) {
	case GET_NONE:
		return;
	case GET_DEVICE:
		get_device(c);
		g->peer = wg_device_first_peer(u->device);
		g->state = GET_PEER;
		return;
	case GET_PEER:
		if (!g->peer) {
			buf_puts(&c->out, "errno=0\n\n");
			g->state = GET_NONE;
			return;
		}
		get_peer(c, g->peer);
		g->at = NULL;
		g->n_shown = 0;
		g->generation = generation(u);
		g->state = GET_PREFIXES;
		return;
	case GET_PREFIXES:
		if (g->generation != generation(u)) {
			g->generation = generation(u);
			if (!g->n_shown)
				g->at = NULL;
			else if (!get_resume(g))
				goto next_peer;
		}
		if (!wg_peer_prefix(g->peer, &g->at, &g->last))
			goto next_peer;
		g->n_shown++;
		inet_ntop(g->last.family, g->last.bytes, text, sizeof(text));
		buf_printf(&c->out, "allowed_ip=%s/%u\n", text, g->last.cidr);
		return;
	}
next_peer:
	g->peer = wg_peer_next(g->peer);
	g->state = GET_PEER;
}

void uapi_peer_leaves(struct uapi *u, struct wg_peer *p)
{
	struct uapi_client *c;

	TAILQ_FOREACH(c, &u->clients, entry)
		if (c->get.peer == p) {
			c->get.peer = wg_peer_next(p);
			c->get.state = GET_PEER;
		}
}

/* ---- requests ---- */

static const char op_get[] = "get=1\n", op_set[] = "set=1\n";
#define OP_LEN (sizeof(op_get) - 1)
_Static_assert(sizeof(op_get) == sizeof(op_set), "told apart after as many bytes");

static void forget_input(struct uapi_client *c)
{
	c->uapi->buffered -= c->in.len;
	buf_done(&c->in);
	c->in_at = c->in_line = 0;
}

/*
 * Requests that were carried out go from the buffer.  Not each at once: what stands behind them is
 * moved.
 */
static void drop_done(struct uapi_client *c)
{
	if (c->in_at <= c->in.len / 2)
		return;
	buf_drop_front(&c->in, c->in_at);
	c->uapi->buffered -= c->in_at;
	c->in_line -= c->in_at;
	c->in_at = 0;
}

static bool answering(const struct uapi_client *c)
{
	return c->get.state != GET_NONE || c->out_at < c->out.len;
}

/*
 * The first request waits in [in_at, *ret_end), of which the last byte ends its last line; in_line
 * is behind its blank line.
 */
static bool find_request(struct uapi_client *c, size_t *ret_end)
{
	while (c->in_line < c->in.len) {
		const uint8_t *line = c->in.data + c->in_line;
		const uint8_t *end = memchr(line, '\n', c->in.len - c->in_line);

		if (!end)
			return false;
		*ret_end = c->in_line;
		c->in_line += (size_t)(end - line) + 1;
		if (end == line)
			return true;
	}
	return false;
}

/* Carry out what is complete, until there is an answer to be taken. */
static void advance(struct uapi_client *c)
{
	while (!c->ended && !answering(c)) {
		size_t left = c->in.len - c->in_at, end;
		const char *request;
		bool get, set;

		if (!left)
			return;
		request = (const char *)c->in.data + c->in_at;
		get = !memcmp(request, op_get, min(left, OP_LEN));
		set = !memcmp(request, op_set, min(left, OP_LEN));
		if (!get && !set) {
			c->ended = true;
			forget_input(c);
			return;
		}
		if (!find_request(c, &end))
			return;
		if (set) {
			do_set(c, request + OP_LEN, end - c->in_at - OP_LEN);
		} else if (end - c->in_at > OP_LEN) {
			buf_printf(&c->out, "errno=%d\n\n", -UAPI_EINVAL);
		} else {
			c->get = (struct get){.state = GET_DEVICE};
		}
		c->in_at = c->in_line;
		if (c->in_at == c->in.len)
			forget_input(c);
	}
}

/* Drop the rest of a request that was too long.  Returns how much of ${data} that was. */
static size_t swallow(struct uapi_client *c, const char *data, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (data[i] == '\n' && c->swallow_line_start) {
			c->swallowing = false;
			buf_printf(&c->out, "errno=%d\n\n", -UAPI_EOTHER);
			return i + 1;
		}
		c->swallow_line_start = data[i] == '\n';
	}
	return len;
}

/* The request that is under way is too long: what there is of it goes, and so will the rest. */
static void refuse_request(struct uapi_client *c)
{
	c->swallow_line_start = c->in.len && c->in.data[c->in.len - 1] == '\n';
	c->swallowing = true;
	forget_input(c);
}

/*
 * Room for ${len} more bytes of ${c}, if need be at the cost of whose unfinished request takes most:
 * whoever stops in the middle of a huge one locks nobody out.  False: that is ${c} itself.
 */
static bool make_room(struct uapi_client *c, size_t len)
{
	struct uapi *u = c->uapi;
	struct uapi_client *other, *most;

	while (u->buffered + len > UAPI_BUFFERED_MAX) {
		most = c;
		TAILQ_FOREACH(other, &u->clients, entry)
			if (!answering(other) && other->in.len > most->in.len)
				most = other;
		if (most == c)
			return false;
		refuse_request(most);
	}
	return true;
}

int uapi_feed(struct uapi_client *c, const void *data, size_t len)
{
	struct uapi *u = c->uapi;
	const char *at = data;

	while (len && !c->ended) {
		size_t n = c->swallowing ? swallow(c, at, len) : 0;

		at += n;
		len -= n;
		if (!len)
			break;
		drop_done(c);
		if (c->in.len - c->in_at + len > UAPI_REQUEST_MAX || !make_room(c, len)) {
			/*
			 * Before an answer is taken, only a caller that does not take them gets
			 * here.
			 */
			if (answering(c))
				return -ENOBUFS;
			refuse_request(c);
			continue;
		}
		if (buf_put(&c->in, at, len) < 0)
			return c->in.error;
		u->buffered += len;
		len = 0;
		advance(c);
	}
	return 0;
}

size_t uapi_output(struct uapi_client *c, const uint8_t **ret)
{
	/* A piece is not added to: it is taken first. */
	if (!c->out.len)
		while (c->get.state != GET_NONE && c->out.len < UAPI_PIECE && !c->out.error)
			get_step(c);
	if (c->out.error) {
		/* No memory: half an answer must not look like one. */
		c->get.state = GET_NONE;
		c->get.peer = NULL;
		c->ended = true;
		buf_done(&c->out);
		c->out_at = 0;
		forget_input(c);
	}
	*ret = c->out.len ? c->out.data + c->out_at : NULL;
	return c->out.len - c->out_at;
}

static void taken(struct uapi_client *c, size_t n)
{
	c->out_at += n;
	if (c->out_at < c->out.len)
		return;
	buf_clear(&c->out);
	c->out_at = 0;
}

void uapi_written(struct uapi_client *c, size_t n)
{
	taken(c, n);
	advance(c);
}

int uapi_client_pack(struct uapi_client *c, struct buf *in, struct buf *out)
{
	const uint8_t *data;
	size_t len;

	if (c->swallowing)
		return -EMSGSIZE;
	while ((len = uapi_output(c, &data))) {
		if (buf_put(out, data, len) < 0)
			return out->error;
		taken(c, len);
	}
	return c->in.len ? buf_put(in, c->in.data + c->in_at, c->in.len - c->in_at) : 0;
}

int uapi_client_answer(struct uapi_client *c, const void *data, size_t len)
{
	buf_done(&c->out);
	c->out = buf_of_max(max((size_t)OUTPUT_MAX, len));
	c->out_at = 0;
	return buf_put(&c->out, data, len);
}

void uapi_client_end(struct uapi_client *c)
{
	c->ended = true;
}

bool uapi_ended(const struct uapi_client *c)
{
	return c->ended && !answering(c);
}

int uapi_client_new(struct uapi *u, struct uapi_client **ret)
{
	struct uapi_client *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->uapi = u;
	c->in = buf_of_max(2 * (size_t)UAPI_REQUEST_MAX);
	c->out = buf_of_max(OUTPUT_MAX);
	TAILQ_INSERT_TAIL(&u->clients, c, entry);
	*ret = c;
	return 0;
}

void uapi_client_free(struct uapi_client *c)
{
	TAILQ_REMOVE(&c->uapi->clients, c, entry);
	forget_input(c);
	buf_done(&c->out);
	free(c);
}

int uapi_new(struct wg_device *d, const struct uapi_host *host, struct uapi **ret)
{
	struct uapi *u = calloc(1, sizeof(*u));

	if (!u)
		return -ENOMEM;
	u->device = d;
	u->host = *host;
	TAILQ_INIT(&u->clients);
	*ret = u;
	return 0;
}

void uapi_free(struct uapi *u)
{
	free(u);
}
