#include "fake_device.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>

static void note(struct wg_device *d, const char *what, const struct wg_peer *p, const char *detail)
{
	buf_puts(&d->calls, what);
	if (p)
		buf_printf(&d->calls, " %02x", p->info.public_key[0]);
	if (detail)
		buf_printf(&d->calls, " %s", detail);
	buf_puts(&d->calls, "\n");
}

void fake_device_init(struct wg_device *d)
{
	*d = (struct wg_device){.calls = buf_of_max(64u << 20)};
}

static void drop_prefixes(struct wg_peer *p)
{
	while (p->prefixes) {
		struct fake_prefix *x = p->prefixes;

		p->prefixes = x->next;
		free(x);
	}
}

static void drop_peer(struct wg_device *d, struct wg_peer *p)
{
	struct wg_peer **at = &d->peers;

	while (*at != p)
		at = &(*at)->next;
	*at = p->next;
	drop_prefixes(p);
	free(p);
}

void fake_device_done(struct wg_device *d)
{
	while (d->peers)
		drop_peer(d, d->peers);
	buf_done(&d->calls);
}

const char *fake_device_calls(struct wg_device *d)
{
	static char *last;

	free(last);
	last = strdup(buf_str(&d->calls));
	buf_clear(&d->calls);
	return last;
}

int wg_device_set_private_key(struct wg_device *d, struct wg_now now, const uint8_t key[WG_KEY_LEN])
{
	static const uint8_t zero[WG_KEY_LEN];
	struct wg_peer *p;

	if (d->fail_key < 0)
		return d->fail_key;
	memcpy(d->private_key, key, WG_KEY_LEN);
	d->has_key = memcmp(key, zero, WG_KEY_LEN) != 0;
	buf_printf(&d->calls, "private %02x\n", key[0]);
	p = wg_device_peer(d, d->next_own_public);
	if (p)
		drop_peer(d, p);
	return 0;
}

bool wg_device_private_key(const struct wg_device *d, uint8_t ret[WG_KEY_LEN])
{
	memcpy(ret, d->private_key, WG_KEY_LEN);
	return d->has_key;
}

struct wg_peer *wg_device_peer(struct wg_device *d, const uint8_t public_key[WG_KEY_LEN])
{
	for (struct wg_peer *p = d->peers; p; p = p->next)
		if (!memcmp(p->info.public_key, public_key, WG_KEY_LEN))
			return p;
	return NULL;
}

struct wg_peer *wg_device_first_peer(struct wg_device *d)
{
	return d->peers;
}

struct wg_peer *wg_peer_next(struct wg_peer *p)
{
	return p->next;
}

int wg_device_add_peer(struct wg_device *d, const uint8_t public_key[WG_KEY_LEN], struct wg_peer **ret)
{
	struct wg_peer *p, **at = &d->peers;

	if (d->fail_add < 0)
		return d->fail_add;
	if (d->has_own_public && !memcmp(public_key, d->own_public, WG_KEY_LEN))
		return -EADDRINUSE;
	if (wg_device_peer(d, public_key))
		return -EEXIST;
	p = calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	p->device = d;
	memcpy(p->info.public_key, public_key, WG_KEY_LEN);
	while (*at)
		at = &(*at)->next;
	*at = p;
	note(d, "add", p, NULL);
	*ret = p;
	return 0;
}

void wg_device_remove_peer(struct wg_device *d, struct wg_peer *p)
{
	note(d, "remove", p, NULL);
	drop_peer(d, p);
}

void wg_peer_set_preshared_key(struct wg_peer *p, const uint8_t key[WG_KEY_LEN])
{
	char text[8] = "";

	snprintf(text, sizeof(text), "%02x", key[0]);
	note(p->device, "psk", p, text);
	memcpy(p->info.preshared_key, key, WG_KEY_LEN);
}

void wg_peer_set_endpoint(struct wg_device *d, struct wg_peer *p, const struct wg_addr *dst)
{
	char host[INET6_ADDRSTRLEN], text[96];

	inet_ntop(dst->family, dst->bytes, host, sizeof(host));
	snprintf(text, sizeof(text), "%s|%u|%u", host, dst->scope_id, dst->port);
	note(d, "endpoint", p, text);
	p->info.endpoint = (struct wg_endpoint){.dst = *dst};
}

void wg_peer_set_keepalive(struct wg_peer *p, uint16_t seconds)
{
	char text[8];

	snprintf(text, sizeof(text), "%u", seconds);
	note(p->device, "keepalive", p, text);
	p->info.keepalive_s = seconds;
}

void wg_peer_succeed(struct wg_peer *successor, struct wg_peer *before)
{
	char text[8] = "nobody";

	if (before)
		snprintf(text, sizeof(text), "%02x", before->info.public_key[0]);
	note(successor->device, "succeed", successor, text);
}

uint64_t wg_device_moves(const struct wg_device *d)
{
	return d->moves;
}

static const char *prefix_text(int family, const void *addr, unsigned cidr)
{
	static char text[80];
	char host[INET6_ADDRSTRLEN];

	inet_ntop(family, addr, host, sizeof(host));
	snprintf(text, sizeof(text), "%s/%u", host, cidr);
	return text;
}

static bool same(const struct fake_prefix *x, int family, const void *addr, unsigned cidr)
{
	return x->p.family == family && x->p.cidr == cidr &&
	       !memcmp(x->p.bytes, addr, family == AF_INET ? 4 : 16);
}

static bool take_prefix(struct wg_peer *p, int family, const void *addr, unsigned cidr)
{
	for (struct fake_prefix **at = &p->prefixes; *at; at = &(*at)->next)
		if (same(*at, family, addr, cidr)) {
			struct fake_prefix *x = *at;

			*at = x->next;
			free(x);
			return true;
		}
	return false;
}

int wg_peer_allow(struct wg_device *d, struct wg_peer *p, int family, const void *addr, unsigned cidr)
{
	struct fake_prefix **at = &p->prefixes, *x;

	if (d->fail_allow < 0)
		return d->fail_allow;
	note(d, "allow", p, prefix_text(family, addr, cidr));
	for (struct wg_peer *other = d->peers; other; other = other->next)
		if (other != p)
			take_prefix(other, family, addr, cidr);
	for (; *at; at = &(*at)->next)
		if (same(*at, family, addr, cidr))
			return 0;
	x = calloc(1, sizeof(*x));
	if (!x)
		return -ENOMEM;
	x->p.family = (uint8_t)family;
	x->p.cidr = (uint8_t)cidr;
	memcpy(x->p.bytes, addr, family == AF_INET ? 4 : 16);
	*at = x;
	return 0;
}

void wg_peer_disallow(struct wg_device *d, struct wg_peer *p, int family, const void *addr, unsigned cidr)
{
	note(d, "disallow", p, prefix_text(family, addr, cidr));
	take_prefix(p, family, addr, cidr);
}

void wg_peer_disallow_all(struct wg_device *d, struct wg_peer *p)
{
	note(d, "disallow-all", p, NULL);
	drop_prefixes(p);
}

void wg_peer_configured(struct wg_device *d, struct wg_peer *p, struct wg_now now)
{
	note(d, "configured", p, NULL);
	d->configured_boot_ns = now.boot_ns;
}

void wg_peer_info(const struct wg_peer *p, struct wg_peer_info *ret)
{
	*ret = p->info;
}

const uint8_t *wg_peer_public_key(const struct wg_peer *p)
{
	return p->info.public_key;
}

bool wg_peer_prefix(const struct wg_peer *p, void **at, struct wg_prefix *ret)
{
	struct fake_prefix *x = *at ? ((struct fake_prefix *)*at)->next : p->prefixes;

	if (!x)
		return false;
	*at = x;
	*ret = x->p;
	return true;
}
