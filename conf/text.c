#include "conf/text.h"

#include <arpa/inet.h>
#include <errno.h>

void text_put_key(const uint8_t key[KEY_LEN], struct buf *ret)
{
	char text[KEY_TEXT_LEN + 1];

	key_text_format(key, text);
	buf_put(ret, text, KEY_TEXT_LEN);
	explicit_bzero(text, sizeof(text));
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if ((c | 32) >= 'a' && (c | 32) <= 'f')
		return (c | 32) - 'a' + 10;
	return -1;
}

int text_hex_key(const char *text, size_t len, uint8_t ret[KEY_LEN])
{
	if (len != 2 * (size_t)KEY_LEN)
		return -EINVAL;
	for (size_t i = 0; i < len; i++)
		if (hex_digit(text[i]) < 0)
			return -EINVAL;
	for (size_t i = 0; i < KEY_LEN; i++)
		ret[i] = (uint8_t)(hex_digit(text[2 * i]) << 4 | hex_digit(text[2 * i + 1]));
	return 0;
}

int text_number(const char *text, size_t len, uint64_t most, uint64_t *ret)
{
	unsigned base = 10;
	uint64_t v = 0;

	if (len > 2 && text[0] == '0' && (text[1] | 32) == 'x') {
		base = 16;
		text += 2;
		len -= 2;
	}
	if (!len)
		return -EINVAL;
	for (size_t i = 0; i < len; i++) {
		int digit = hex_digit(text[i]);

		if (digit < 0 || (unsigned)digit >= base)
			return -EINVAL;
		if (v > (UINT64_MAX - (unsigned)digit) / base)
			return -ERANGE;
		v = v * base + (unsigned)digit;
	}
	if (v > most)
		return -ERANGE;
	*ret = v;
	return 0;
}

int text_prefix(const char *text, size_t len, struct prefix *ret)
{
	const char *slash = memchr(text, '/', len);
	size_t n = slash ? (size_t)(slash - text) : len;
	char address[INET6_ADDRSTRLEN];
	struct prefix p = {0};
	uint64_t bits;

	if (n >= sizeof(address))
		return -EINVAL;
	memcpy(address, text, n);
	address[n] = '\0';
	p.family = memchr(text, ':', n) ? AF_INET6 : AF_INET;
	bits = p.family == AF_INET6 ? 128 : 32;
	if (inet_pton(p.family, address, p.bytes) != 1)
		return -EINVAL;
	if (slash && (n + 1 == len || slash[1] < '0' || slash[1] > '9' ||
			     text_number(slash + 1, len - n - 1, bits, &bits) < 0))
		return -EINVAL;
	p.bits = (uint8_t)bits;
	*ret = p;
	return 0;
}

void text_put_prefix(const struct prefix *p, struct buf *ret)
{
	char address[INET6_ADDRSTRLEN] = "?";

	inet_ntop(p->family, p->bytes, address, sizeof(address));
	buf_printf(ret, "%s/%u", address, p->bits);
}

void prefix_mask(struct prefix *p)
{
	for (unsigned i = 0; i < sizeof(p->bytes); i++) {
		unsigned keep = p->bits > i * 8 ? min(p->bits - i * 8, 8u) : 0;

		p->bytes[i] &= (uint8_t)(0xff00 >> keep);
	}
}

int prefix_compare(const struct prefix *a, const struct prefix *b)
{
	if (a->family != b->family)
		return a->family < b->family ? -1 : 1;
	if (a->bits != b->bits)
		return a->bits < b->bits ? -1 : 1;
	return memcmp(a->bytes, b->bytes, sizeof(a->bytes));
}

static bool is_host_name(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		char c = text[i];

		if (!((c | 32) >= 'a' && (c | 32) <= 'z') && !(c >= '0' && c <= '9') && c != '-' &&
			c != '.' && c != '_')
			return false;
	}
	return len && text[0] != '-';
}

/* Behind "%": an interface, by name or number. */
static bool is_zone(const char *text)
{
	return *text && strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") == strlen(text);
}

int text_endpoint(const char *text, size_t len, struct endpoint *ret, struct buf *why)
{
	struct endpoint e = {.port = 0};
	struct in6_addr any;
	const char *host = text, *colon = memrchr(text, ':', len);
	size_t n;
	uint64_t port;
	bool bracket = len && text[0] == '[';
	char address[ENDPOINT_HOST_MAX + 1];

	if (!colon ||
		text_number(colon + 1, len - (size_t)(colon - text) - 1, 65535, &port) < 0 ||
		!port) {
		buf_puts(why, "must be HOST:PORT, the port a number from 1 to 65535");
		return -EINVAL;
	}
	n = (size_t)(colon - text);
	if (bracket) {
		if (n < 3 || text[n - 1] != ']') {
			buf_puts(why, "the bracket around the address is not closed");
			return -EINVAL;
		}
		host++;
		n -= 2;
	}
	if (!n || n > ENDPOINT_HOST_MAX) {
		buf_puts(why, n ? "the host is too long" : "must be HOST:PORT");
		return -EINVAL;
	}
	memcpy(e.host, host, n);
	memcpy(address, e.host, sizeof(address));
	address[strcspn(address, "%")] = '\0';
	if (bracket || memchr(host, ':', n)) {
		if (memchr(e.host, '\0', n) || inet_pton(AF_INET6, address, &any) != 1 ||
			(strchr(e.host, '%') && !is_zone(strchr(e.host, '%') + 1))) {
			buf_puts(why, "is no IPv6 address");
			return -EINVAL;
		}
		if (!bracket) {
			buf_printf(why, "an IPv6 address stands in brackets: [%s]:%u", e.host,
				(unsigned)port);
			return -EINVAL;
		}
	} else if (inet_pton(AF_INET, e.host, &any) != 1) {
		if (!is_host_name(host, n) || strspn(e.host, "0123456789.") == n) {
			buf_puts(why, "is neither an address nor a name");
			return -EINVAL;
		}
		e.is_name = true;
	}
	e.port = (uint16_t)port;
	*ret = e;
	return 0;
}

void text_put_endpoint(const struct endpoint *e, struct buf *ret)
{
	buf_printf(ret, strchr(e->host, ':') ? "[%s]:%u" : "%s:%u", e->host, e->port);
}

void text_put_address(const struct sockaddr_storage *a, struct buf *ret)
{
	char host[INET6_ADDRSTRLEN] = "?";

	if (a->ss_family == AF_INET6) {
		const struct sockaddr_in6 *v6 = (const void *)a;

		inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof(host));
		if (v6->sin6_scope_id)
			buf_printf(
				ret, "[%s%%%u]:%u", host, v6->sin6_scope_id, ntohs(v6->sin6_port));
		else
			buf_printf(ret, "[%s]:%u", host, ntohs(v6->sin6_port));
	} else {
		const struct sockaddr_in *v4 = (const void *)a;

		inet_ntop(AF_INET, &v4->sin_addr, host, sizeof(host));
		buf_printf(ret, "%s:%u", host, ntohs(v4->sin_port));
	}
}
