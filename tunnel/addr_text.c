#include "tunnel/addr_text.h"

#include <arpa/inet.h>

void addr_put(const struct wg_addr *a, struct buf *ret)
{
	char text[INET6_ADDRSTRLEN];

	inet_ntop(a->family, a->bytes, text, sizeof(text));
	if (a->family == AF_INET)
		buf_printf(ret, "%s:%u", text, a->port);
	else if (a->scope_id)
		buf_printf(ret, "[%s%%%u]:%u", text, a->scope_id, a->port);
	else
		buf_printf(ret, "[%s]:%u", text, a->port);
}

bool ipv4_parse(const char *text, size_t len, uint8_t ret[4])
{
	size_t at = 0;

	for (unsigned i = 0; i < 4; i++) {
		unsigned v = 0;
		size_t start;

		if (i && (at == len || text[at++] != '.'))
			return false;
		for (start = at; at < len && text[at] >= '0' && text[at] <= '9'; at++) {
			v = v * 10 + (unsigned)(text[at] - '0');
			if (v > UINT8_MAX)
				return false;
		}
		if (at == start || (text[start] == '0' && at - start > 1))
			return false;
		ret[i] = (uint8_t)v;
	}
	return at == len;
}

/* -1: no hexadecimal digit. */
static int digit_of(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Digits from ${at} on, at most four.  Returns where they end. */
static size_t group_parse(const char *text, size_t len, size_t at, unsigned *ret)
{
	size_t end = min(len, at + 4);
	int digit;

	for (*ret = 0; at < end && (digit = digit_of(text[at])) >= 0; at++)
		*ret = *ret << 4 | (unsigned)digit;
	return at;
}

/* Groups between colons, the last two perhaps an IPv4 address; "::" once, for one zero group or more. */
bool ipv6_parse(const char *text, size_t len, uint8_t ret[16])
{
	size_t at = 0, n = 0, gap = SIZE_MAX;

	if (len >= 2 && text[0] == ':' && text[1] == ':')
		at = 1;
	for (;;) {
		unsigned group;
		size_t end;

		/* ${at} is behind a colon, or at the start. */
		if (at < len && text[at] == ':') {
			if (!at || gap != SIZE_MAX)
				return false;
			gap = n;
			at++;
			if (at == len)
				break;
		}
		end = group_parse(text, len, at, &group);
		if (end == at || n == 16)
			return false;
		if (end < len && text[end] == '.') {
			if (n > 12 || !ipv4_parse(text + at, len - at, ret + n))
				return false;
			n += 4;
			break;
		}
		put_be16(ret + n, (uint16_t)group);
		n += 2;
		if (end == len)
			break;
		if (text[end] != ':')
			return false;
		at = end + 1;
	}
	if (gap == SIZE_MAX)
		return n == 16;
	if (n == 16)
		return false;
	memmove(ret + 16 - (n - gap), ret + gap, n - gap);
	memset(ret + gap, 0, 16 - n);
	return true;
}
