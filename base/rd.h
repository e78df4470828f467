/*
 * base/rd.h - read a hostile byte string front to back without overrunning it.
 *
 * The error is sticky: a read past the end returns zero (or NULL) and sets ${bad}, and so does
 * every read after it.  Check once, at the end.  Knows no format.
 */
#pragma once

#include "base/util.h"

struct rd {
	const uint8_t	*at, *end;
	bool		 bad;
};

static inline struct rd rd_of(const void *data, size_t len)
{
	/* NULL and 0 are no bytes at all; C knows no NULL + 0. */
	return (struct rd){.at = data, .end = len ? (const uint8_t *)data + len : data};
}

static inline size_t rd_left(const struct rd *r)
{
	return r->bad ? 0 : (size_t)(r->end - r->at);
}

static inline bool rd_at_end(const struct rd *r)
{
	return !r->bad && r->at == r->end;
}

/* rd_bytes(r, n): the next ${n} bytes, borrowed from the input; NULL past the end. */
static inline const uint8_t *rd_bytes(struct rd *r, size_t n)
{
	const uint8_t *p = r->at;

	if (rd_left(r) < n) {
		r->bad = true;
		return NULL;
	}
	r->at += n;
	return p;
}

static inline uint8_t rd_u8(struct rd *r)
{
	const uint8_t *p = rd_bytes(r, 1);

	return p ? *p : 0;
}

static inline uint16_t rd_be16(struct rd *r)
{
	const uint8_t *p = rd_bytes(r, 2);

	return p ? get_be16(p) : 0;
}

static inline uint32_t rd_be32(struct rd *r)
{
	const uint8_t *p = rd_bytes(r, 4);

	return p ? get_be32(p) : 0;
}

static inline uint32_t rd_le32(struct rd *r)
{
	const uint8_t *p = rd_bytes(r, 4);

	return p ? get_le32(p) : 0;
}

static inline uint64_t rd_le64(struct rd *r)
{
	const uint8_t *p = rd_bytes(r, 8);

	return p ? get_le64(p) : 0;
}

/* rd_copy(r, dst, n): copy the next ${n} bytes; zeroes ${dst} past the end. */
static inline void rd_copy(struct rd *r, void *dst, size_t n)
{
	const uint8_t *p = rd_bytes(r, n);

	if (p)
		memcpy(dst, p, n);
	else
		memset(dst, 0, n);
}
