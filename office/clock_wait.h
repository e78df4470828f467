/*
 * office/clock_wait.h - a machine without a clock of its own does not begin with one that is wrong.
 *
 * Handshakes bear the time, and peers refuse those that are older than the last: a clock that went back
 * would keep a member out until it is right again, and one that was set forward once its time has passed.
 * The time is at least that of the program, and of a few files that are written while it runs; but those
 * may have been written under a clock that was ahead.
 */
#pragma once

#include "base/notify.h"

#include <time.h>

enum clock_is {
	CLOCK_PLAUSIBLE,
	CLOCK_BEHIND,	/* a little before the files, as a clock that is kept on disk now and then: they are right */
	CLOCK_DOUBTFUL, /* far before the files: it is wrong, or they are */
	CLOCK_WRONG,	/* before the program was made */
};

/*
 * clock_judge(now_s, program_s, files_s): a clock that nobody vouches for; a minute less is plausible.
 * Files of a time that this program will hardly see say nothing.
 */
enum clock_is clock_judge(time_t now_s, time_t program_s, time_t files_s);

/*
 * clock_wait(interface, seconds, n, signals): wait until the clock is plausible, or the kernel says that
 * it is synchronised.  After so long it is set to the least that it can be, unless it is doubtful: that
 * is told.  1: meanwhile ${signals} can be read; 0.
 */
int clock_wait(const char *interface, unsigned seconds, const struct notify *n, int signals);

/*
 * clock_stamp(interface): the files of this interface are of a plausible time, or the clock is
 * synchronised: then it is at least now, and no file is of later.
 */
void clock_stamp(const char *interface);
