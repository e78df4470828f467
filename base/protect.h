/*
 * base/protect.h - a process through which keys pass.
 */
#pragma once

#include <sys/prctl.h>
#include <sys/resource.h>

/* protect(): from now on it leaves no core, and nobody but root looks into it. */
static inline void protect(void)
{
	(void)setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
	(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}
