/*
 * scope/stop.h - what ends a verb that would go on for ever: SIGINT, SIGTERM, SIGHUP, or a limit of time.
 */
#pragma once

#include "base/util.h"

/*
 * stop_init(seconds): from now on; 0: no limit of time.  A system call that waits then is interrupted,
 * each second anew.  SIGPIPE and SIGXFSZ are errors of write().
 */
void stop_init(int64_t seconds);

/* stop_asked(): it is time to end. */
bool stop_asked(void);

/* stop_timeout_ms(longest_ms): how long to wait for something else at most. */
int stop_timeout_ms(int longest_ms);
