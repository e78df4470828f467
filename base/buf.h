/*
 * base/buf.h - a byte buffer that grows up to a maximum it was born with.
 *
 * The error is sticky: what does not fit, or cannot be allocated, sets ${error} and leaves the
 * contents as they were; check once, at the end.  Contents are wiped before memory is given back,
 * so that secrets may pass through.
 */
#pragma once

#include "base/util.h"

#include <stdarg.h>

struct buf {
	uint8_t		*data;
	size_t		 len, cap, max;
	size_t		 used;	/* behind it nothing was written yet */
	int		 error; /* 0, -ENOBUFS (past max) or -ENOMEM */
};

/*
 * buf_of_max(max): an empty buffer that refuses to hold more than ${max} bytes; allocates nothing
 * yet.
 */
static inline struct buf buf_of_max(size_t max)
{
	return (struct buf){.max = max};
}

/* buf_done(b): wipe, free, and leave an empty buffer of the same maximum.  Fit for cleanup(). */
void buf_done(struct buf *b);

/* buf_clear(b): forget the contents (wiped) and the error; keeps the memory. */
void buf_clear(struct buf *b);

/* buf_reserve(b, n): room for ${n} more bytes behind ${len}, or NULL with the error set. */
uint8_t *buf_reserve(struct buf *b, size_t n);

/*
 * buf_put(b, data, n), buf_puts(b, s), buf_printf(b, ...), buf_vprintf(b, fmt, args): append.  Return 0
 * or the sticky error.
 */
int buf_put(struct buf *b, const void *data, size_t n);
int buf_puts(struct buf *b, const char *s);
int buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int buf_vprintf(struct buf *b, const char *fmt, va_list args) __attribute__((format(printf, 2, 0)));

/* buf_put_hex(b, data, n): append lower-case hex. */
int buf_put_hex(struct buf *b, const void *data, size_t n);

/*
 * buf_put_printable(b, data, n): append text from outside, "?" for each byte of a control character, as ASCII and
 * UTF-8 have them.
 */
int buf_put_printable(struct buf *b, const void *data, size_t n);

/* buf_drop_front(b, n): remove the first ${n} bytes; n <= len. */
void buf_drop_front(struct buf *b, size_t n);

/*
 * buf_str(b): the contents as a C string ("" on error), valid until the next change; not counted in
 * len.
 */
const char *buf_str(struct buf *b);
