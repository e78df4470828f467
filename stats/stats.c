#include "stats/stats.h"

#include "base/clock.h"

#include <errno.h>

#define ANSWER_NS (CTL_CLIENT_TIMEOUT_S * UINT64_C(1000000000)) /* for all of it */
#define PATIENCE_S 2 /* with one of many, whose silence must not hide the others */

void stats_done(struct stats *s)
{
	free(s->pieces);
	free(s->drops);
	free(s->events);
	free(s->peers);
	free(s->last);
	*s = (struct stats){.n_peers = 0};
}

/* Room for one element more behind ${*n}, which is counted; zeroed.  NULL without memory. */
static void *add(void *array, size_t *n, size_t size)
{
	void **at = array;

	/* A power of two, or nothing yet: it is full. */
	if ((*n & (*n - 1)) == 0) {
		void *larger = reallocarray(*at, *n ? *n * 2 : 1, size);

		if (!larger)
			return NULL;
		*at = larger;
	}
	return memset((char *)*at + (*n)++ * size, 0, size);
}

/* The length of the character of UTF-8 at ${p}; 0: it is none, or one that controls. */
static size_t character(const uint8_t *p, size_t n)
{
	static const uint32_t least[] = {0, ' ', 0x80, 0x800, 0x10000};
	size_t len = *p < 0x80 ? 1 : *p >> 5 == 6 ? 2 : *p >> 4 == 14 ? 3 : *p >> 3 == 30 ? 4 : 0;
	uint32_t c = len == 1 ? *p : *p & 0x7fu >> len;

	if (!len || len > n)
		return 0;
	for (size_t i = 1; i < len; i++) {
		if (p[i] >> 6 != 2)
			return 0;
		c = c << 6 | (p[i] & 63);
	}
	return c < least[len] || (c >= 0x7f && c < 0xa0) || (c >= 0xd800 && c < 0xe000) ||
			c > 0x10ffff ? 0 : len;
}

/* ${ret} has ${size} bytes.  "?" for what is not printable UTF-8: it goes to terminals and parsers. */
static void copy_text(const struct ctl_field *f, char *ret, size_t size)
{
	size_t out = 0, len;

	if (f->kind != CTL_TEXT)
		return;
	for (size_t i = 0; i < f->len; i += max(len, (size_t)1)) {
		len = character(f->data + i, f->len - i);
		if (out + max(len, (size_t)1) >= size)
			break;
		if (!len)
			ret[out++] = '?';
		memcpy(ret + out, f->data + i, len);
		out += len;
	}
	ret[out] = '\0';
}

#define COPY_TEXT(f, array) copy_text(f, array, sizeof(array))

static void copy_key(const struct ctl_field *f, uint8_t ret[KEY_LEN])
{
	if (f->kind == CTL_BYTES && f->len == KEY_LEN)
		memcpy(ret, f->data, KEY_LEN);
}

/* ---- a message each: what is not known is passed over ---- */

static int take_device(struct stats *s, struct rd fields)
{
	struct ctl_field f;

	while (ctl_next(&fields, &f)) {
		switch (f.tag) {
		case CTL_ITEM_NAME:
			COPY_TEXT(&f, s->name);
			break;
		case CTL_ITEM_VERSION:
			COPY_TEXT(&f, s->version);
			break;
		case CTL_ITEM_CIPHER:
			COPY_TEXT(&f, s->cipher);
			break;
		case CTL_ITEM_PID:
			s->pid = f.number;
			break;
		case CTL_ITEM_STARTED:
			s->started_ns = f.number;
			break;
		case CTL_ITEM_UP:
			s->up = f.number;
			break;
		case CTL_ITEM_PORT:
			s->port = f.number;
			break;
		case CTL_ITEM_FWMARK:
			s->fwmark = f.number;
			break;
		case CTL_ITEM_BIND_ADDRESS:
			COPY_TEXT(&f, s->bind_address[s->bind_address[0][0] != '\0']);
			break;
		case CTL_ITEM_BIND_DEVICE:
			COPY_TEXT(&f, s->bind_device);
			break;
		case CTL_ITEM_WORKERS:
			s->workers = f.number;
			break;
		case CTL_ITEM_RETAIN:
			s->retain = f.number;
			break;
		default:
			break;
		}
	}
	return 0;
}

static int take_piece(struct stats *s, struct rd fields)
{
	struct stats_piece *p = add(&s->pieces, &s->n_pieces, sizeof(*p));
	struct ctl_field f;

	while (p && ctl_next(&fields, &f)) {
		if (f.tag == CTL_ITEM_NAME)
			COPY_TEXT(&f, p->name);
		else if (f.tag == CTL_ITEM_WHY)
			COPY_TEXT(&f, p->why);
		else if (f.tag == CTL_ITEM_COUNT)
			p->times = f.number;
		else if (f.tag == CTL_ITEM_ON)
			p->on = f.number;
	}
	return p ? 0 : -ENOMEM;
}

static int take_count(struct stats_count **array, size_t *n, struct rd fields)
{
	struct stats_count *c = add(array, n, sizeof(*c));
	struct ctl_field f;

	while (c && ctl_next(&fields, &f)) {
		if (f.tag == CTL_ITEM_NAME)
			COPY_TEXT(&f, c->name);
		else if (f.tag == CTL_ITEM_COUNT)
			c->n = f.number;
	}
	return c ? 0 : -ENOMEM;
}

static int take_drop(struct stats *s, struct rd fields)
{
	return take_count(&s->drops, &s->n_drops, fields);
}

static int take_event_count(struct stats *s, struct rd fields)
{
	return take_count(&s->events, &s->n_events, fields);
}

static int take_peer(struct stats *s, struct rd fields)
{
	struct stats_peer *p = add(&s->peers, &s->n_peers, sizeof(*p));
	struct ctl_field f;

	while (p && ctl_next(&fields, &f)) {
		switch (f.tag) {
		case CTL_ITEM_PUBLIC_KEY:
			copy_key(&f, p->public_key);
			break;
		case CTL_ITEM_ENDPOINT:
			COPY_TEXT(&f, p->endpoint);
			break;
		case CTL_ITEM_RX_BYTES:
			p->rx_bytes = f.number;
			break;
		case CTL_ITEM_TX_BYTES:
			p->tx_bytes = f.number;
			break;
		case CTL_ITEM_HANDSHAKE:
			p->handshake_ns = f.number;
			break;
		case CTL_ITEM_SESSION_AGE:
			p->session_age_ns = f.number;
			p->has_session = true;
			break;
		case CTL_ITEM_ALLOWED_IPS:
			p->allowed_ips = f.number;
			break;
		case CTL_ITEM_KEEPALIVE:
			p->keepalive_s = f.number;
			break;
		default:
			break;
		}
	}
	return p ? 0 : -ENOMEM;
}

static int take_event(struct stats *s, struct rd fields)
{
	struct stats_event *e = add(&s->last, &s->n_last, sizeof(*e));
	struct ctl_field f;

	while (e && ctl_next(&fields, &f)) {
		switch (f.tag) {
		case CTL_ITEM_TIME:
			e->time_ns = f.number;
			break;
		case CTL_ITEM_COUNT:
			e->n = f.number;
			break;
		case CTL_ITEM_NAME:
			COPY_TEXT(&f, e->name);
			break;
		case CTL_ITEM_REASON:
			COPY_TEXT(&f, e->reason);
			break;
		case CTL_ITEM_ENDPOINT:
			COPY_TEXT(&f, e->endpoint);
			break;
		case CTL_ITEM_PUBLIC_KEY:
			copy_key(&f, e->public_key);
			e->has_peer = true;
			break;
		default:
			break;
		}
	}
	return e ? 0 : -ENOMEM;
}

/* ---- */

static const struct {
	enum ctl_message type;
	int (*take)(struct stats *s, struct rd fields);
} takes[] = {
	{CTL_MESSAGE_DEVICE, take_device},
	{CTL_MESSAGE_PIECE, take_piece},
	{CTL_MESSAGE_DROP, take_drop},
	{CTL_MESSAGE_EVENT_COUNT, take_event_count},
	{CTL_MESSAGE_PEER, take_peer},
	{CTL_MESSAGE_EVENT, take_event},
};

static int ask(struct ctl_client *c, enum ctl_message request, struct stats *s, struct buf *why)
{
	uint64_t until_ns = clock_ns(CLOCK_MONOTONIC) + ANSWER_NS;
	int r = ctl_client_request(c, request, why);
	struct rd fields;
	uint16_t type;

	while (r >= 0 && (r = ctl_client_next(c, &type, &fields, why)) > 0) {
		for (size_t i = 0; r >= 0 && i < array_size(takes); i++)
			if (takes[i].type == type)
				r = takes[i].take(s, fields);
		if (r == -ENOMEM)
			buf_puts(why, "out of memory");
		if (r >= 0 && clock_ns(CLOCK_MONOTONIC) > until_ns) {
			buf_printf(why, "the ginnel-wg of %s answers on and on", c->name);
			r = -ETIMEDOUT;
		}
	}
	return r;
}

int stats_ask(struct ctl_client *c, struct stats *ret, struct buf *why)
{
	cleanup(stats_done) struct stats s = {.n_peers = 0};
	int r = ask(c, CTL_MESSAGE_STATS, &s, why);

	if (r < 0)
		return r;
	if (!s.name[0])
		memcpy(s.name, c->name, sizeof(s.name));
	s.taken_real_ns = clock_ns(CLOCK_REALTIME);
	s.taken_ns = clock_ns(CLOCK_MONOTONIC);
	*ret = s;
	s = (struct stats){.n_peers = 0};
	return 0;
}

int stats_ask_events(struct ctl_client *c, struct stats *s, struct buf *why)
{
	return ask(c, CTL_MESSAGE_EVENTS, s, why);
}

/* ---- several ---- */

struct collecting {
	struct stats_set	*set;
	bool			 missing_ok;
	struct buf		*why;
};

static int collect_one(void *arg, const char *name)
{
	cleanup(ctl_client_done) struct ctl_client c = CTL_CLIENT_NONE;
	cleanup(buf_done) struct buf why = buf_of_max(1024);
	struct collecting *to = arg;
	struct stats s;
	struct stats *at;
	int r;

	c.patience_s = to->missing_ok ? PATIENCE_S : 0;
	r = ctl_client_connect(&c, name, &why);
	if (r >= 0)
		r = stats_ask(&c, &s, &why);
	if (r < 0) {
		if (to->missing_ok && r != -ENOMEM)
			return 0;
		buf_put(to->why, why.data, why.len);
		return r;
	}
	at = add(&to->set->at, &to->set->n, sizeof(s));
	if (!at) {
		stats_done(&s);
		buf_puts(to->why, "out of memory");
		return -ENOMEM;
	}
	*at = s;
	return 0;
}

int stats_collect(char *const names[], size_t n, bool missing_ok, struct stats_set *ret,
	struct buf *why)
{
	cleanup(stats_set_done) struct stats_set set = {.n = 0};
	struct collecting to = {.set = &set, .missing_ok = missing_ok || !n, .why = why};
	int r = 0;

	if (!n) {
		r = ctl_tunnels(CTL_DIR, collect_one, &to);
		if (r < 0 && !why->len)
			buf_printf(why, "cannot look into " CTL_DIR ": %s", strerror(-r));
	}
	for (size_t i = 0; !r && i < n; i++)
		r = collect_one(&to, names[i]);
	if (r < 0)
		return r;
	*ret = set;
	set = (struct stats_set){.n = 0};
	return 0;
}

void stats_set_done(struct stats_set *s)
{
	for (size_t i = 0; i < s->n; i++)
		stats_done(&s->at[i]);
	free(s->at);
	*s = (struct stats_set){.n = 0};
}
