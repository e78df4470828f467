/*
 * Several clients of the configuration protocol at once, against the real device.  Input below 0x80 is text for the current client, the
 * rest says who speaks, how much is taken of the answers, what else happens, and stands for lines that are too long to be guessed.
 *
 * The limits are small here, so that they are met.
 */
#include "tunnel/uapi.h"

#undef UAPI_REQUEST_MAX
#define UAPI_REQUEST_MAX 6000u
#undef UAPI_PIECE
#define UAPI_PIECE 100u

static void saw_peer_leave(struct wg_device *d, struct wg_peer *p);
static int saw_private_key(struct wg_device *d, struct wg_now at, const uint8_t key[WG_KEY_LEN]);

#define wg_device_remove_peer saw_peer_leave
#define wg_device_set_private_key saw_private_key
#include "tunnel/addr_text.c"
#include "tunnel/uapi.c"
#undef wg_device_remove_peer
#undef wg_device_set_private_key

#include "fuzz/fuzz.h"

#define CLIENTS 3
#define PEERS 64	/* that are followed */
#define ANSWER_MAX (1u << 20)
#define REQUESTS_MAX 400

/* One client's end of the line. */
struct client {
	struct uapi_client	*c;
	struct buf		 sent;		/* text that was not fed yet */
	struct buf		 answer;	/* of one request, as far as it was taken */
	bool			 begun;
	bool			 closed;
	/* Who was there when the answer began, and still is. */
	uint8_t			 peers[PEERS][WG_KEY_LEN];
	bool			 there[PEERS];
	unsigned		 n_peers;
};

struct fuzz {
	struct wg_device	*device;
	struct uapi		*uapi;
	struct client		 clients[CLIENTS];
	struct wg_now		 now;
	uint64_t		 random;
	uint16_t		 port;
	uint32_t		 mark;
	bool			 port_busy;
	unsigned		 requests;
};

static struct fuzz *fuzz; /* whose device it is that the two functions above are told of */

/* ---- the host ---- */

static void random_bytes(void *arg, void *buf, size_t len)
{
	struct fuzz *f = arg;
	uint8_t *p = buf;

	while (len--) {
		f->random = f->random * 6364136223846793005u + 1442695040888963407u;
		*p++ = (uint8_t)(f->random >> 56);
	}
}

static struct wg_now now(void *arg)
{
	return ((struct fuzz *)arg)->now;
}

static int set_port(void *arg, uint16_t port)
{
	struct fuzz *f = arg;

	if (f->port_busy)
		return -EADDRINUSE;
	f->port = port ? port : 40000;
	return 0;
}

static uint16_t port(void *arg)
{
	return ((struct fuzz *)arg)->port;
}

static int set_mark(void *arg, uint32_t mark)
{
	((struct fuzz *)arg)->mark = mark;
	return 0;
}

static uint32_t mark(void *arg)
{
	return ((struct fuzz *)arg)->mark;
}

static uint32_t scope(void *arg, const char *name)
{
	return !strcmp(name, "eth0") ? 2 : 0;
}

static void drain(void *arg)
{
	struct fuzz *f = arg;
	struct wg_effect e;

	wg_device_run(f->device, f->now);
	while (wg_device_effect(f->device, &e))
		MUST(e.len);
	f->requests++;
}

/* ---- who left while somebody was being told ---- */

static void forget_peer(struct fuzz *f, const uint8_t key[WG_KEY_LEN])
{
	for (unsigned i = 0; i < CLIENTS; i++)
		for (unsigned k = 0; k < f->clients[i].n_peers; k++)
			if (!memcmp(f->clients[i].peers[k], key, WG_KEY_LEN))
				f->clients[i].there[k] = false;
}

static void saw_peer_leave(struct wg_device *d, struct wg_peer *p)
{
	forget_peer(fuzz, wg_peer_public_key(p));
	wg_device_remove_peer(d, p);
}

static int saw_private_key(struct wg_device *d, struct wg_now at, const uint8_t key[WG_KEY_LEN])
{
	int r = wg_device_set_private_key(d, at, key);

	for (unsigned i = 0; i < CLIENTS; i++)
		for (unsigned k = 0; k < fuzz->clients[i].n_peers; k++)
			if (!wg_device_peer(d, fuzz->clients[i].peers[k]))
				fuzz->clients[i].there[k] = false;
	return r;
}

static void begin_answer(struct fuzz *f, struct client *c)
{
	c->n_peers = 0;
	for (struct wg_peer *p = wg_device_first_peer(f->device); p && c->n_peers < PEERS; p = wg_peer_next(p)) {
		memcpy(c->peers[c->n_peers], wg_peer_public_key(p), WG_KEY_LEN);
		c->there[c->n_peers++] = true;
	}
}

/* ---- answers ---- */

static const struct {
	const char	*name;
	bool		 set;	/* a set request may have it */
} keys[] = {
	{"private_key", true}, {"listen_port", true}, {"fwmark", true}, {"public_key", true},
	{"preshared_key", true}, {"protocol_version", true}, {"endpoint", true},
	{"last_handshake_time_sec", false}, {"last_handshake_time_nsec", false}, {"tx_bytes", false},
	{"rx_bytes", false}, {"persistent_keepalive_interval", true}, {"allowed_ip", true}, {"errno", false},
	{"succeeds", true},
};

static size_t key_of(const char *line, size_t len)
{
	const char *equals = memchr(line, '=', len);

	MUST(equals && equals + 1 < line + len && fuzz_printable(line, len));
	for (size_t i = 0; i < array_size(keys); i++)
		if (strlen(keys[i].name) == (size_t)(equals - line) && !memcmp(keys[i].name, line, (size_t)(equals - line)))
			return i;
	MUST(!"a key that is none");
	return 0;
}

static unsigned times_shown(const struct buf *answer, const uint8_t key[WG_KEY_LEN])
{
	cleanup(buf_done) struct buf line = buf_of_max(256);
	unsigned n = 0;

	buf_puts(&line, "public_key=");
	buf_put_hex(&line, key, WG_KEY_LEN);
	buf_puts(&line, "\n");
	for (const uint8_t *at = answer->data, *end = at + answer->len;
		(at = memmem(at, (size_t)(end - at), line.data, line.len)); at += line.len)
		n += at == answer->data || at[-1] == '\n';
	return n;
}

/* An answer is whole: lines of known keys, the errno last, each peer that was there all the time exactly once. */
static void check_answer(const struct client *c)
{
	const char *at = (const char *)c->answer.data, *stop = at + c->answer.len - 1, *end;
	bool peers = false, last = false;

	for (; at < stop; at = end + 1) {
		size_t key;

		end = memchr(at, '\n', (size_t)(stop - at));
		MUST(end && !last);
		key = key_of(at, (size_t)(end - at));
		peers |= !strcmp(keys[key].name, "public_key");
		last = !strcmp(keys[key].name, "errno");
	}
	MUST(last);
	/* An answer to set shows none. */
	for (unsigned i = 0; peers && i < c->n_peers; i++)
		MUST(!c->there[i] || times_shown(&c->answer, c->peers[i]) == 1);
}

/* Take up to ${n} bytes.  Returns how many there were. */
static size_t take(struct fuzz *f, struct client *c, size_t n)
{
	const uint8_t *out = NULL;
	size_t len;

	if (!c->begun)
		begin_answer(f, c);
	len = uapi_output(c->c, &out);
	MUST(len <= UAPI_PIECE + 4096 && (len == 0 || out));
	c->begun |= len > 0;
	n = min(n, len);
	for (size_t i = 0; i < n; i++) {
		MUST(!buf_put(&c->answer, out + i, 1));
		if (c->answer.len >= 2 && !memcmp(c->answer.data + c->answer.len - 2, "\n\n", 2)) {
			/* One answer at a time: the next is not made before this one is out. */
			MUST(i + 1 == len);
			check_answer(c);
			buf_clear(&c->answer);
			c->begun = false;
		}
	}
	if (len)
		uapi_written(c->c, n);
	if (uapi_ended(c->c)) {
		MUST(!c->answer.len);
		MUST(uapi_output(c->c, &out) == 0);
		c->closed = true;
	}
	return n;
}

static void take_all(struct fuzz *f, struct client *c)
{
	while (!c->closed && take(f, c, SIZE_MAX))
		continue;
	MUST(c->closed || !c->begun);
}

static void feed(struct client *c)
{
	cleanup(free_ptr) uint8_t *text = fuzz_copy(c->sent.data, c->sent.len);

	if (c->sent.len && !c->closed && uapi_feed(c->c, text, c->sent.len) < 0)
		c->closed = true;
	if (!c->closed && uapi_ended(c->c))
		c->closed = true;
	buf_clear(&c->sent);
}

/* ---- clients ---- */

static void hang_up(struct client *c)
{
	uapi_client_free(c->c);
	buf_done(&c->sent);
	buf_done(&c->answer);
}

static void connect_anew(struct fuzz *f, struct client *c)
{
	*c = (struct client){.sent = buf_of_max(1 << 16), .answer = buf_of_max(ANSWER_MAX)};
	MUST(uapi_client_new(f->uapi, &c->c) == 0);
}

static void put_key(struct buf *b, const char *name, uint8_t n)
{
	uint8_t key[WG_KEY_LEN] = {n, 1, 2, 3};

	buf_printf(b, "%s=", name);
	buf_put_hex(b, key, sizeof(key));
	buf_puts(b, "\n");
}

/* The public key that belongs to put_key("private_key", n). */
static void put_own_key(struct buf *b, uint8_t n)
{
	cleanup(x25519_freep) struct x25519 *pair = NULL;
	uint8_t key[WG_KEY_LEN] = {n, 1, 2, 3};

	key[0] &= 248;
	key[31] = 64;
	MUST(x25519_new(key, &pair) == 0);
	buf_puts(b, "public_key=");
	buf_put_hex(b, x25519_public(pair), WG_KEY_LEN);
	buf_puts(b, "\n");
}

static struct fuzz *start(void)
{
	struct fuzz *f = calloc(1, sizeof(*f));
	struct uapi_host host = {.now = now, .set_listen_port = set_port, .listen_port = port, .set_fwmark = set_mark,
		.fwmark = mark, .scope_id = scope, .changed = drain};
	struct wg_device_config config = {.random = random_bytes, .workers = 1};

	if (!f)
		abort();
	host.arg = config.arg = f;
	f->now = (struct wg_now){.boot_ns = 1000 * NS_PER_S, .real_ns = 1800000000 * NS_PER_S};
	f->random = 1;
	MUST(wg_device_new(&config, &f->device) == 0);
	MUST(uapi_new(f->device, &host, &f->uapi) == 0);
	for (unsigned i = 0; i < CLIENTS; i++)
		connect_anew(f, &f->clients[i]);
	fuzz = f;
	return f;
}

static void stop(struct fuzz *f)
{
	for (unsigned i = 0; i < CLIENTS; i++)
		hang_up(&f->clients[i]);
	MUST(f->uapi->buffered == 0);
	uapi_free(f->uapi);
	wg_device_free(f->device);
	free(f);
}

/* ---- set(get(x)) == x ---- */

/* Ask, and keep the lines that make the configuration. */
static void configuration(struct fuzz *f, struct buf *ret)
{
	static const char get[] = "get=1\n\n";
	struct uapi_client *c;
	const uint8_t *out;
	size_t n;

	MUST(uapi_client_new(f->uapi, &c) == 0);
	MUST(uapi_feed(c, get, sizeof(get) - 1) == 0);
	while ((n = uapi_output(c, &out))) {
		MUST(!buf_put(ret, out, n));
		uapi_written(c, n);
	}
	uapi_client_free(c);
	MUST(ret->len >= 9 && !memcmp(ret->data + ret->len - 9, "errno=0\n\n", 9));
	ret->len--;
	for (size_t at = 0; at < ret->len;) {
		uint8_t *line = ret->data + at, *end = memchr(line, '\n', ret->len - at);
		size_t len = (size_t)(end - line) + 1;

		if (keys[key_of((char *)line, len - 1)].set) {
			at += len;
			continue;
		}
		memmove(line, end + 1, ret->len - at - len);
		ret->len -= len;
	}
}

/* Not by what is said about them, which may leave out the same in both. */
static void compare(struct fuzz *f, struct fuzz *other)
{
	struct wg_peer *p = wg_device_first_peer(f->device), *q = wg_device_first_peer(other->device);
	uint8_t a[WG_KEY_LEN], b[WG_KEY_LEN];

	MUST(wg_device_private_key(f->device, a) == wg_device_private_key(other->device, b) && !memcmp(a, b, WG_KEY_LEN));
	MUST(f->port == other->port && f->mark == other->mark);
	for (; p && q; p = wg_peer_next(p), q = wg_peer_next(q)) {
		struct wg_peer_info i, k;
		struct wg_prefix x = {0}, y = {0};
		void *at = NULL, *other_at = NULL;
		bool more;

		wg_peer_info(p, &i);
		wg_peer_info(q, &k);
		MUST(!memcmp(i.public_key, k.public_key, WG_KEY_LEN));
		MUST(!memcmp(i.preshared_key, k.preshared_key, WG_KEY_LEN));
		MUST(wg_addr_equal(&i.endpoint.dst, &k.endpoint.dst) && i.keepalive_s == k.keepalive_s);
		do {
			more = wg_peer_prefix(p, &at, &x);
			MUST(more == wg_peer_prefix(q, &other_at, &y));
			MUST(x.family == y.family && x.cidr == y.cidr && !memcmp(x.bytes, y.bytes, x.family == AF_INET6 ? 16 : 4));
		} while (more);
	}
	MUST(!p && !q);
}

static void set_what_was_got(struct fuzz *f)
{
	cleanup(buf_done) struct buf is = buf_of_max(ANSWER_MAX), again = buf_of_max(ANSWER_MAX);
	cleanup(buf_done) struct buf request = buf_of_max(ANSWER_MAX);
	const uint8_t *answer;
	struct fuzz *other;
	size_t n;

	configuration(f, &is);
	if (is.len + 20 > UAPI_REQUEST_MAX)
		return;
	other = start();
	buf_printf(&request, "set=1\n%s\n", buf_str(&is));
	MUST(uapi_feed(other->clients[0].c, request.data, request.len) == 0);
	n = uapi_output(other->clients[0].c, &answer);
	MUST(n == 9 && !memcmp(answer, "errno=0\n\n", 9));
	configuration(other, &again);
	MUST(is.len == again.len && (!is.len || !memcmp(is.data, again.data, is.len)));
	compare(f, other);
	stop(other);
	fuzz = f;
}

static void step(struct fuzz *f, struct client **current, uint8_t op, uint8_t next)
{
	struct client *c = *current;
	struct wg_peer *p;

	switch (op) {
	case 0x80 ... 0x82:
		feed(c);
		*current = &f->clients[op - 0x80];
		break;
	case 0x83 ... 0x8f:
		feed(c);
		if (!c->closed)
			take(f, c, (size_t)1 << (op - 0x83));
		break;
	case 0x90:
		feed(c);
		take_all(f, c);
		break;
	case 0x91:
		hang_up(c);
		connect_anew(f, c);
		break;
	case 0x92:
		f->now.boot_ns += next * NS_PER_S;
		f->now.real_ns += next * NS_PER_S;
		drain(f);
		break;
	case 0x93: /* somebody else removes a peer */
		p = wg_device_first_peer(f->device);
		for (unsigned i = 0; p && wg_peer_next(p) && i < next % 8u; i++)
			p = wg_peer_next(p);
		if (p) {
			uapi_peer_leaves(f->uapi, p);
			saw_peer_leave(f->device, p);
		}
		break;
	case 0x94:
		f->port_busy = !f->port_busy;
		break;
	case 0x95:
		buf_put(&c->sent, &next, 1);
		break;
	case 0x96:
		wg_device_up(f->device, f->now);
		drain(f);
		break;
	case 0x97:
		wg_device_down(f->device);
		break;
	case 0x98:
		for (unsigned i = 0; i < next; i++)
			buf_printf(&c->sent, "allowed_ip=10.%u.0.0/16\n", i);
		break;
	case 0x99:
		for (unsigned i = 0; i < next * 16u; i++)
			buf_puts(&c->sent, "x");
		break;
	case 0x9a:
		put_own_key(&c->sent, next);
		break;
	case 0x9b:
		put_key(&c->sent, "private_key", next & 248);
		break;
	case 0x9c:
		put_key(&c->sent, "preshared_key", next);
		break;
	case 0x9d:
		buf_printf(&c->sent, "allowed_ip=10.0.0.%u/32\n", next);
		break;
	case 0x9e:
		for (unsigned i = 0; i < next % 40u; i++)
			put_key(&c->sent, "public_key", (uint8_t)i);
		break;
	case 0x9f:
		buf_puts(&c->sent, "set=1\n");
		break;
	case 0xa0:
		buf_puts(&c->sent, "\nget=1\n\n");
		break;
	default:
		put_key(&c->sent, "public_key", op & 15);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct fuzz *f = start();
	struct client *current = &f->clients[0];

	for (size_t i = 0; i < len && f->requests < REQUESTS_MAX; i++) {
		if (data[i] < 0x80)
			buf_put(&current->sent, &data[i], 1);
		else
			step(f, &current, data[i], i + 1 < len ? data[i + 1] : 0);
		if (data[i] >= 0x92 && data[i] <= 0x9e && data[i] != 0x94 && data[i] != 0x96 && data[i] != 0x97)
			i++; /* its argument */
	}
	for (unsigned i = 0; i < CLIENTS; i++) {
		feed(&f->clients[i]);
		if (!f->clients[i].closed)
			take_all(f, &f->clients[i]);
	}
	set_what_was_got(f);
	stop(f);
	return 0;
}
