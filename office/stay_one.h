/*
 * office/stay_one.h - that one process stays for an interface, and which: /run/ginnel/INTERFACE.stay, of
 * which it holds the lock.
 */
#pragma once

#include "base/util.h"

#include <sys/types.h>

/* stay_one_take(interface, ret): be it.  0 and what to give to stay_one_leave(); -EBUSY after a line of the log; negative errno. */
int stay_one_take(const char *interface, int *ret);
void stay_one_leave(const char *interface, int fd);
