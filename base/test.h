/*
 * base/test.h - the test harness: one C program per module, TAP on standard output, prove judges.
 *
 * 	int main(void)
 * 	{
 * 		test_run("a counter seen once is refused the second time [replay-window]", seen_twice);
 * 		return test_done();
 * 	}
 *
 * A test is a function; it fails on its first failed CHECK, with file, line and values, and the
 * rest of the program goes on.  Names say the behaviour; an id in [brackets] ties the test to its
 * row in tests/behaviours.tsv. A test that checks nothing fails.
 */
#pragma once

#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void test_run(const char *name, void (*fn)(void));

/* test_skip(name, why): report a test that cannot run here; ./check lists every one. */
void test_skip(const char *name, const char *why);

/* test_done(): print the plan; the exit status of the program, 0 when all passed. */
int test_done(void);

/* test_note(...): a diagnostic line. */
void test_note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/*
 * test_unhex(hex, ret, max): bytes of a hex string (blanks ignored); aborts on a bad string.
 * Returns the count.
 */
size_t test_unhex(const char *hex, uint8_t *ret, size_t max);

/* test_random(seed): a small repeatable generator (xorshift64*) for property tests. */
uint64_t test_random(uint64_t *state);

/* Used by the macros below. */
void test_checked(void);
_Noreturn void test_fail(const char *file, int line, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void test_check_mem(
	const char *file, int line, const char *expr, const void *got, const void *want, size_t len);

#define CHECK(cond)                                                                                \
	do {                                                                                       \
		test_checked();                                                                    \
		if (!(cond))                                                                       \
			test_fail(__FILE__, __LINE__, "%s", #cond);                                \
	} while (0)

#define CHECK_EQ(got, want)                                                                        \
	do {                                                                                       \
		long long got_ = (long long)(got), want_ = (long long)(want);                      \
		test_checked();                                                                    \
		if (got_ != want_)                                                                 \
			test_fail(__FILE__, __LINE__, "%s is %lld (0x%llx), not %lld (0x%llx)",    \
				#got, got_, (unsigned long long)got_, want_,                       \
				(unsigned long long)want_);                                        \
	} while (0)

#define CHECK_STR(got, want)                                                                       \
	do {                                                                                       \
		const char *got_ = (got), *want_ = (want);                                         \
		test_checked();                                                                    \
		if (!got_ || !want_ || __builtin_strcmp(got_, want_))                              \
			test_fail(__FILE__, __LINE__, "%s is \"%s\", not \"%s\"", #got,            \
				got_ ? got_ : "(null)", want_ ? want_ : "(null)");                 \
	} while (0)

#define CHECK_MEM(got, want, len) test_check_mem(__FILE__, __LINE__, #got, got, want, len)
