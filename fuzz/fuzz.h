/*
 * fuzz/fuzz.h - what the targets share: a check that cannot be compiled out, and copies without a byte to spare.
 */
#pragma once

#include "base/rd.h"

#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define MUST(cond)                                                                                 \
	do {                                                                                       \
		if (!(cond)) {                                                                     \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond);                 \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

/* fuzz_copy(data, len): on the heap and exactly as long, so that the sanitizer sees the first byte too many.  Never NULL. */
static inline void *fuzz_copy(const void *data, size_t len)
{
	void *p = malloc(len ? len : 1);

	if (!p)
		abort();
	if (len)
		memcpy(p, data, len);
	return p;
}

/* fuzz_text(data, len): the same as a C string; what follows a zero byte is cut off by whoever reads it. */
static inline char *fuzz_text(const void *data, size_t len)
{
	char *p = malloc(len + 1);

	if (!p)
		abort();
	if (len)
		memcpy(p, data, len);
	p[len] = 0;
	return p;
}

/* fuzz_printable(text, len): no control character, as messages for people must be. */
static inline bool fuzz_printable(const void *text, size_t len)
{
	const uint8_t *p = text;

	for (size_t i = 0; i < len; i++)
		if (p[i] < ' ' || p[i] == 0x7f)
			return false;
	return true;
}
