/*
 * office/clock_wait.h - a machine without a clock of its own does not begin with one that is wrong.
 *
 * Handshakes bear the time, and peers refuse those that are older than the last: a clock that went back
 * would keep a member out until it is right again.  The time is at least that of the newest of a few files.
 */
#pragma once

#include "base/notify.h"

#include <time.h>

/* clock_is_plausible(now_s, least_s): a minute less is. */
bool clock_is_plausible(time_t now_s, time_t least_s);

/* clock_least(interface): when program, bundle or endpoints were written, the last of these. */
time_t clock_least(const char *interface);

/*
 * clock_wait(interface, seconds, n, signals): wait until the clock is plausible, or, after so long, set
 * it to the least that it can be.  1: meanwhile ${signals} can be read; 0.
 */
int clock_wait(const char *interface, unsigned seconds, const struct notify *n, int signals);

/* clock_stamp(interface): the time is known to be at least now. */
void clock_stamp(const char *interface);
