/*
 * tests/unit/no_memory.h - every allocation made to fail in turn.
 *
 * For a program that is linked with --wrap=malloc and --wrap=calloc.
 */
#pragma once

#include "base/test.h"

#include <stdlib.h>

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);

static long until_failure = -1;	/* allocations that still succeed; negative: all */
static bool only_one;		/* fail, and go on succeeding */
static unsigned failures;

static bool fails(void)
{
	if (until_failure < 0)
		return false;
	if (until_failure > 0) {
		until_failure--;
		return false;
	}
	if (only_one)
		until_failure = -1;
	failures++;
	return true;
}

void *__wrap_malloc(size_t n)
{
	return fails() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return fails() ? NULL : __real_calloc(n, size);
}

/* Run ${fn} with the first, second, ... allocation failing, until none fails any more. */
static void each_failure(void (*fn)(void))
{
	unsigned rounds = 0;

	for (int one = 0; one < 2; one++) {
		for (long n = 0;; n++) {
			failures = 0;
			only_one = one;
			until_failure = n;
			fn();
			until_failure = -1;
			if (!failures)
				break;
			rounds++;
		}
	}
	CHECK(rounds > 2);
}
