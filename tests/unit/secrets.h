/*
 * tests/unit/secrets.h - is a secret still in memory?  Every writable page of the process is searched.
 *
 * The secret that is searched for is kept under a mask only, so that whatever is found was left there by others.
 */
#pragma once

#include "base/test.h"

#include <fcntl.h>
#include <stdio.h>

#ifdef __has_feature
#if __has_feature(thread_sanitizer)
#define __SANITIZE_THREAD__ 1
#endif
#endif

#define MASK 0x5c
#define SEEN_MAX (64UL << 20)	/* greater mappings are a sanitizer's */

static uint8_t masked[32];

static inline void secret_new(uint64_t seed)
{
	for (size_t i = 0; i < sizeof(masked); i++)
		masked[i] = (uint8_t)(test_random(&seed) >> 56);
}

/* Writes the secret itself; the caller wipes it. */
static inline void unmask(uint8_t ret[32])
{
	for (size_t i = 0; i < 32; i++)
		ret[i] = masked[i] ^ MASK;
}

/* Half a secret is too much: count places that hold either half of it. */
static inline size_t count_in(const uint8_t *p, size_t len)
{
	size_t found = 0;

	for (size_t at = 0; at + 16 <= len; at++) {
		for (size_t half = 0; half < 32; half += 16) {
			size_t same = 0;

			while (same < 16 && p[at + same] == (masked[half + same] ^ MASK))
				same++;
			found += same == 16;
		}
	}
	return found;
}

/* Where the secret lies, in every writable mapping of this process. */
static inline size_t places(void)
{
	cleanup(close_fd) int fd = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
	static uint8_t page[65536 + 15];
	FILE *maps = fopen("/proc/self/maps", "re");
	size_t found = 0, searched = 0;
	char line[512];

	CHECK(fd >= 0 && maps);
	while (fgets(line, sizeof(line), maps)) {
		unsigned long from, to;
		char perms[5];

		if (sscanf(line, "%lx-%lx %4s", &from, &to, perms) != 3 || perms[1] != 'w' ||
			to - from > SEEN_MAX)
			continue;
		for (unsigned long at = from; at < to; at += 65536) {
			ssize_t n = pread(fd, page, min(to - at, sizeof(page)), (off_t)at);

			/* Not through this buffer: it holds what it was just filled with. */
			if (n <= 0 || ((uintptr_t)page < at + 65536 && at < (uintptr_t)page + sizeof(page)))
				continue;
			searched += (size_t)n;
			if (count_in(page, (size_t)n)) {
				test_note("left in %.*s", (int)strcspn(line, "\n"), line);
				found++;
			}
		}
		explicit_bzero(page, sizeof(page));
	}
	fclose(maps);
	CHECK(searched > 65536);
	return found;
}
