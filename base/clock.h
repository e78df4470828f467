/*
 * base/clock.h - a clock's time as one number.
 */
#pragma once

#include <stdint.h>
#include <time.h>

/* clock_ns(clock): nanoseconds.  For clocks that every system has: it cannot fail. */
static inline uint64_t clock_ns(clockid_t clock)
{
	struct timespec ts = {0};

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}
