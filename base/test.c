#include "base/test.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static jmp_buf back;
static unsigned ran, failed, checks;

void test_note(const char *fmt, ...)
{
	va_list ap;

	printf("# ");
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
}

void test_checked(void)
{
	checks++;
}

void test_fail(const char *file, int line, const char *fmt, ...)
{
	va_list ap;

	printf("# %s:%d: ", file, line);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
	longjmp(back, 1);
}

void test_check_mem(
	const char *file, int line, const char *expr, const void *got, const void *want, size_t len)
{
	const uint8_t *g = got, *w = want;

	checks++;
	for (size_t i = 0; i < len; i++)
		if (g[i] != w[i])
			test_fail(file, line, "%s differs at byte %zu of %zu: %02x, not %02x", expr,
				i, len, g[i], w[i]);
}

void test_run(const char *name, void (*fn)(void))
{
	volatile bool ok = false;	/* survives the longjmp */

	ran++;
	checks = 0;
	if (!setjmp(back)) {
		fn();
		ok = checks > 0;
		if (!ok)
			test_note("checked nothing");
	}
	failed += !ok;
	printf("%s %u - %s\n", ok ? "ok" : "not ok", ran, name);
	fflush(stdout);
}

void test_skip(const char *name, const char *why)
{
	printf("ok %u - %s # SKIP %s\n", ++ran, name, why);
	fflush(stdout); /* or a test that forks says it again */
}

int test_done(void)
{
	printf("1..%u\n", ran);
	fflush(stdout);
	return failed || !ran;
}

size_t test_unhex(const char *hex, uint8_t *ret, size_t max)
{
	size_t n = 0;
	int high = -1;

	for (; *hex; hex++) {
		const char *digits = "0123456789abcdef0123456789ABCDEF";
		const char *at = strchr(digits, *hex);

		if (*hex == ' ' || *hex == '\n' || *hex == '\t')
			continue;
		if (!at || (high >= 0 && n == max))
			abort();
		if (high < 0) {
			high = (int)((at - digits) & 15);
		} else {
			ret[n++] = (uint8_t)(high << 4 | ((at - digits) & 15));
			high = -1;
		}
	}
	if (high >= 0)
		abort();
	return n;
}

uint64_t test_random(uint64_t *state)
{
	uint64_t x = *state ? *state : 0x9e3779b97f4a7c15ULL;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	*state = x;
	return x * 0x2545f4914f6cdd1dULL;
}
