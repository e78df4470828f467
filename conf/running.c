#include "conf/running.h"

#include "conf/array.h"

#include <errno.h>

struct parser {
	struct running	*r;
	size_t		 room_peers, room_allowed;
	long		 error;		/* errno= */
	bool		 ended;		/* errno= was there */
	bool		 bad;
	int		 failed;
};

static bool grow(struct parser *p, void *array, size_t *room, size_t n, size_t size)
{
	if (!array_grow(array, room, n, size))
		p->failed = -ENOMEM;
	return !p->failed;
}

static uint64_t number(struct parser *p, const char *value, size_t len, uint64_t most)
{
	uint64_t v = 0;

	if (text_number(value, len, most, &v) < 0)
		p->bad = true;
	return v;
}

static void key(struct parser *p, const char *value, size_t len, uint8_t ret[KEY_LEN])
{
	if (text_hex_key(value, len, ret) < 0)
		p->bad = true;
}

static void begin_peer(struct parser *p, const char *value, size_t len)
{
	struct running *r = p->r;

	if (!grow(p, &r->peers, &p->room_peers, r->n_peers, sizeof(*r->peers)))
		return;
	r->peers[r->n_peers] = (struct running_peer){.keepalive = 0};
	key(p, value, len, r->peers[r->n_peers++].public_key);
	p->room_allowed = 0;
}

static void add_allowed(struct parser *p, struct running_peer *peer, const char *value, size_t len)
{
	struct prefix prefix;

	if (text_prefix(value, len, &prefix) < 0) {
		p->bad = true;
		return;
	}
	prefix_mask(&prefix);
	if (grow(p, &peer->allowed, &p->room_allowed, peer->n_allowed, sizeof(prefix)))
		peer->allowed[peer->n_allowed++] = prefix;
}

static void of_peer(struct parser *p, const char *name, const char *value, size_t len)
{
	struct running_peer *peer = &p->r->peers[p->r->n_peers - 1];

	if (!strcmp(name, "preshared_key")) {
		key(p, value, len, peer->psk);
	} else if (!strcmp(name, "endpoint")) {
		p->bad |= len >= sizeof(peer->endpoint);
		if (len < sizeof(peer->endpoint))
			memcpy(peer->endpoint, value, len);
	} else if (!strcmp(name, "persistent_keepalive_interval")) {
		peer->keepalive = (uint16_t)number(p, value, len, UINT16_MAX);
	} else if (!strcmp(name, "last_handshake_time_sec")) {
		peer->handshake_s = number(p, value, len, INT64_MAX);
	} else if (!strcmp(name, "last_handshake_time_nsec")) {
		peer->handshake_ns = (uint32_t)number(p, value, len, 999999999);
	} else if (!strcmp(name, "tx_bytes")) {
		peer->tx_bytes = number(p, value, len, UINT64_MAX);
	} else if (!strcmp(name, "rx_bytes")) {
		peer->rx_bytes = number(p, value, len, UINT64_MAX);
	} else if (!strcmp(name, "allowed_ip")) {
		add_allowed(p, peer, value, len);
	}
}

static void take_line(struct parser *p, const char *line, size_t len)
{
	const char *equals = memchr(line, '=', len), *value;
	char name[40] = "";
	size_t n;

	if (!equals || (size_t)(equals - line) >= sizeof(name)) {
		p->bad = true;
		return;
	}
	n = (size_t)(equals - line);
	memcpy(name, line, n);
	value = equals + 1;
	len -= n + 1;
	if (!strcmp(name, "errno")) {
		bool negative = len && *value == '-';

		p->ended = true;
		p->error = (long)number(p, value + negative, len - negative, INT32_MAX);
	} else if (!strcmp(name, "public_key")) {
		begin_peer(p, value, len);
	} else if (p->r->n_peers) {
		of_peer(p, name, value, len);
	} else if (!strcmp(name, "private_key")) {
		key(p, value, len, p->r->private_key);
	} else if (!strcmp(name, "listen_port")) {
		p->r->listen_port = (uint16_t)number(p, value, len, UINT16_MAX);
	} else if (!strcmp(name, "fwmark")) {
		p->r->fwmark = (uint32_t)number(p, value, len, UINT32_MAX);
	}
}

static int compare_peers(const void *a, const void *b)
{
	const struct running_peer *x = a, *y = b;

	return memcmp(x->public_key, y->public_key, KEY_LEN);
}

static int compare_prefixes(const void *a, const void *b)
{
	return prefix_compare(a, b);
}

int running_read(const char *text, size_t len, struct running **ret)
{
	cleanup(running_freep) struct running *r = calloc(1, sizeof(*r));
	struct parser p = {.r = r};

	if (!r)
		return -ENOMEM;
	while (len && *text != '\n' && !p.failed) {
		const char *end = memchr(text, '\n', len);

		if (!end)
			return -EBADMSG;
		take_line(&p, text, (size_t)(end - text));
		len -= (size_t)(end + 1 - text);
		text = end + 1;
	}
	if (p.failed)
		return p.failed;
	if (p.bad || !p.ended)
		return -EBADMSG;
	if (p.error)
		return p.error > 0 && p.error < 4096 ? (int)-p.error : -EIO;
	if (r->n_peers)
		qsort(r->peers, r->n_peers, sizeof(*r->peers), compare_peers);
	for (size_t i = 0; i < r->n_peers; i++)
		if (r->peers[i].n_allowed)
			qsort(r->peers[i].allowed, r->peers[i].n_allowed, sizeof(struct prefix),
				compare_prefixes);
	*ret = steal(r);
	return 0;
}

void running_free(struct running *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->n_peers; i++) {
		explicit_bzero(r->peers[i].psk, KEY_LEN);
		free(r->peers[i].allowed);
	}
	explicit_bzero(r->private_key, KEY_LEN);
	free(r->peers);
	free(r);
}

const struct running_peer *running_peer(const struct running *r, const uint8_t public_key[KEY_LEN])
{
	size_t least = 0, most = r->n_peers;

	while (least < most) {
		size_t mid = least + (most - least) / 2;
		int d = memcmp(r->peers[mid].public_key, public_key, KEY_LEN);

		if (!d)
			return &r->peers[mid];
		if (d < 0)
			least = mid + 1;
		else
			most = mid;
	}
	return NULL;
}

/* ---- the difference ---- */

static void put_key(struct buf *b, const char *name, const uint8_t k[KEY_LEN])
{
	buf_printf(b, "%s=", name);
	buf_put_hex(b, k, KEY_LEN);
	buf_puts(b, "\n");
}

static bool same_allowed(const struct conf_peer *want, const struct running_peer *have)
{
	if (want->n_allowed != have->n_allowed)
		return false;
	for (size_t i = 0; i < want->n_allowed; i++)
		if (prefix_compare(&want->allowed[i], &have->allowed[i]))
			return false;
	return true;
}

static void put_allowed(struct buf *b, const struct conf_peer *p)
{
	buf_puts(b, "replace_allowed_ips=true\n");
	for (size_t i = 0; i < p->n_allowed; i++) {
		buf_puts(b, "allowed_ip=");
		text_put_prefix(&p->allowed[i], b);
		buf_puts(b, "\n");
	}
}

static void put_new(struct buf *b, const struct conf_peer *p, const struct wanted_endpoint *e)
{
	static const uint8_t none[KEY_LEN];

	put_key(b, "public_key", p->public_key);
	if (memcmp(p->psk, none, KEY_LEN) != 0)
		put_key(b, "preshared_key", p->psk);
	if (e->text[0])
		buf_printf(b, "endpoint=%s\n", e->text);
	if (p->keepalive)
		buf_printf(b, "persistent_keepalive_interval=%u\n", p->keepalive);
	put_allowed(b, p);
}

/* Whether it differs in anything. */
static bool put_changes(struct buf *b, const struct conf_peer *p, const struct wanted_endpoint *e,
	const struct running_peer *have)
{
	bool psk = memcmp(p->psk, have->psk, KEY_LEN) != 0, allowed = !same_allowed(p, have);
	bool endpoint = e->text[0] && strcmp(e->text, have->endpoint) != 0 &&
			!(e->unchanged && have->endpoint[0]);

	if (!psk && !allowed && !endpoint && p->keepalive == have->keepalive)
		return false;
	put_key(b, "public_key", p->public_key);
	buf_puts(b, "update_only=true\n");
	if (psk)
		put_key(b, "preshared_key", p->psk);
	if (endpoint)
		buf_printf(b, "endpoint=%s\n", e->text);
	if (p->keepalive != have->keepalive)
		buf_printf(b, "persistent_keepalive_interval=%u\n", p->keepalive);
	if (allowed)
		put_allowed(b, p);
	return true;
}

static void put_interface(struct buf *b, const struct conf_file *f, uint32_t fwmark,
	const struct running *have, struct difference *ret)
{
	if (memcmp(f->private_key, have->private_key, KEY_LEN) != 0) {
		put_key(b, "private_key", f->private_key);
		ret->interface = true;
	}
	/* A file without a port leaves the one that was chosen: another would be no better. */
	if (f->listen_port && f->listen_port != have->listen_port) {
		buf_printf(b, "listen_port=%u\n", f->listen_port);
		ret->interface = true;
	}
	if (fwmark != have->fwmark) {
		buf_printf(b, "fwmark=%u\n", fwmark);
		ret->interface = true;
	}
}

static int compare_to_running(const void *key_, const void *peer)
{
	return memcmp(key_, ((const struct conf_peer *)peer)->public_key, KEY_LEN);
}

int difference(const struct conf_file *file, uint32_t fwmark,
	const struct wanted_endpoint endpoints[], const struct running *running,
	struct buf *request, struct difference *ret)
{
	*ret = (struct difference){0};
	buf_puts(request, "set=1\n");
	put_interface(request, file, fwmark, running, ret);
	/* First those that go: their allowed IPs are free for others. */
	for (size_t i = 0; i < running->n_peers; i++) {
		const uint8_t *k = running->peers[i].public_key;

		if (file->n_peers && bsearch(k, file->peers, file->n_peers, sizeof(*file->peers),
					     compare_to_running))
			continue;
		put_key(request, "public_key", k);
		buf_puts(request, "remove=true\n");
		ret->removed++;
	}
	for (size_t i = 0; i < file->n_peers; i++) {
		const struct running_peer *have = running_peer(running, file->peers[i].public_key);

		if (!have) {
			put_new(request, &file->peers[i], &endpoints[i]);
			ret->added++;
		} else if (put_changes(request, &file->peers[i], &endpoints[i], have)) {
			ret->changed++;
		}
	}
	if (!ret->interface && !ret->added && !ret->changed && !ret->removed) {
		buf_clear(request);
		return request->error;
	}
	buf_puts(request, "\n");
	return request->error;
}
