/*
 * office/waiting.h - who sits before a terminal is told what is waited for; a pipe and the journal are not.
 */
#pragma once

#include "base/util.h"

/* waiting_s(ns): what is left, in seconds that are begun. */
static inline unsigned waiting_s(uint64_t ns)
{
	return (unsigned)((ns + 999999999) / 1000000000);
}

/* waiting_say(fmt, ...): in the place of what was said before, in one line that waiting_over() takes away. */
void waiting_say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* waiting_over(): before anything else is written there. */
void waiting_over(void);
