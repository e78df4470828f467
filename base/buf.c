#include "base/buf.h"

#include <errno.h>
#include <stdio.h>

/* Who comes that far is given much: a page that is not used yet costs nothing, a copy does. */
#define LARGE ((size_t)128 << 10)

/* Not more than was used: wiping would be the first use of the rest. */
static void wipe(const struct buf *b)
{
	if (b->data)
		explicit_bzero(b->data, b->used);
}

void buf_done(struct buf *b)
{
	wipe(b);
	free(b->data);
	*b = buf_of_max(b->max);
}

void buf_clear(struct buf *b)
{
	if (b->data)
		explicit_bzero(b->data, b->len);
	b->len = 0;
	b->error = 0;
}

uint8_t *buf_reserve(struct buf *b, size_t n)
{
	size_t cap;
	uint8_t *data;

	if (b->error)
		return NULL;
	if (n > b->max - b->len) {
		b->error = -ENOBUFS;
		return NULL;
	}
	if (n <= b->cap - b->len && b->data) {
		b->used = max(b->used, b->len + n);
		return b->data + b->len;
	}

	cap = max(b->cap * (b->cap < LARGE ? 2 : 64), b->len + n);
	cap = max(cap, (size_t)256);
	cap = min(cap, b->max);
	/* Not realloc: it would leave an unwiped copy behind. */
	data = malloc(max(cap, (size_t)1));
	if (!data) {
		b->error = -ENOMEM;
		return NULL;
	}
	if (b->data)
		memcpy(data, b->data, b->len);
	wipe(b);
	free(b->data);
	b->data = data;
	b->cap = cap;
	b->used = b->len + n;
	return data + b->len;
}

int buf_put(struct buf *b, const void *data, size_t n)
{
	uint8_t *p = buf_reserve(b, n);

	if (!p)
		return b->error;
	if (n)
		memcpy(p, data, n);
	b->len += n;
	return 0;
}

int buf_puts(struct buf *b, const char *s)
{
	return buf_put(b, s, strlen(s));
}

int buf_vprintf(struct buf *b, const char *fmt, va_list args)
{
	va_list again;
	uint8_t *p;
	int n;

	if (b->error)
		return b->error;
	va_copy(again, args);
	n = vsnprintf(NULL, 0, fmt, again);
	va_end(again);
	if (n < 0)
		return b->error = -EINVAL;
	if ((size_t)n > b->max - b->len)
		return b->error = -ENOBUFS;

	/* vsnprintf writes a NUL behind the text; lend it one byte past max for that. */
	b->max++;
	p = buf_reserve(b, (size_t)n + 1);
	b->max--;
	if (!p)
		return b->error;
	vsnprintf((char *)p, (size_t)n + 1, fmt, args);
	b->len += (size_t)n;
	return 0;
}

int buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list args;
	int r;

	va_start(args, fmt);
	r = buf_vprintf(b, fmt, args);
	va_end(args);
	return r;
}

int buf_put_hex(struct buf *b, const void *data, size_t n)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *in = data;
	uint8_t *p;

	if (n > SIZE_MAX / 2)
		return b->error = -ENOBUFS;
	p = buf_reserve(b, 2 * n);
	if (!p)
		return b->error;
	for (size_t i = 0; i < n; i++) {
		p[2 * i] = (uint8_t)digits[in[i] >> 4];
		p[2 * i + 1] = (uint8_t)digits[in[i] & 15];
	}
	b->len += 2 * n;
	return 0;
}

int buf_put_printable(struct buf *b, const void *data, size_t n)
{
	const uint8_t *in = data;
	uint8_t *p = buf_reserve(b, n);

	if (!p)
		return b->error;
	for (size_t i = 0; i < n; i++) {
		p[i] = in[i] < ' ' || in[i] == 0x7f ? '?' : in[i];
		/* U+0080 to U+009F, by which terminals are told as much as by ESC. */
		if (i && in[i - 1] == 0xc2 && in[i] >= 0x80 && in[i] < 0xa0)
			p[i - 1] = p[i] = '?';
	}
	b->len += n;
	return 0;
}

void buf_drop_front(struct buf *b, size_t n)
{
	if (!n)
		return;
	memmove(b->data, b->data + n, b->len - n);
	explicit_bzero(b->data + b->len - n, n);
	b->len -= n;
}

const char *buf_str(struct buf *b)
{
	uint8_t *p;

	if (b->error)
		return "";
	b->max++;
	p = buf_reserve(b, 1);
	b->max--;
	if (!p)
		return "";
	*p = 0;
	return (const char *)b->data;
}
