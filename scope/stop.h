/*
 * scope/stop.h - what ends a verb that would go on for ever: SIGINT, SIGTERM, SIGHUP, a limit of time, or a
 * reader that goes away.
 */
#pragma once

#include "base/util.h"

/*
 * stop_init(seconds): from now on; 0: no limit of time.  A system call that waits then is interrupted,
 * each second anew.  A SIGHUP that was ignored, as by nohup, still is.  SIGPIPE and SIGXFSZ are errors of write().
 */
void stop_init(int64_t seconds);

/* stop_asked(): it is time to end. */
bool stop_asked(void);

/* stop_reader_gone(fd): ${fd} is a pipe or socket, and nobody reads it any more. */
bool stop_reader_gone(int fd);

/* stop_timeout_ms(longest_ms): how long to wait for something else at most. */
int stop_timeout_ms(int longest_ms);
