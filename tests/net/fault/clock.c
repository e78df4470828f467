/*
 * clock - have a program set a file in the place of the clock, and tell it that nobody sets the clock, for tests.
 *
 * Loaded by LD_PRELOAD.  What clock_settime() is given is written to the file that CLOCK_SET_FILE names, in seconds; it is
 * refused where that is not set.  The clock is synchronised if CLOCK_SYNCHRONISED is set, whatever the machine's is.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/timex.h>
#include <time.h>

__attribute__((visibility("default"))) int clock_settime(clockid_t clock, const struct timespec *to)
{
	const char *path = getenv("CLOCK_SET_FILE");
	FILE *f = path && clock == CLOCK_REALTIME ? fopen(path, "w") : NULL;

	if (!f) {
		errno = EPERM;
		return -1;
	}
	fprintf(f, "%lld\n", (long long)to->tv_sec);
	return fclose(f);
}

__attribute__((visibility("default"))) int adjtimex(struct timex *t)
{
	t->status = getenv("CLOCK_SYNCHRONISED") ? 0 : STA_UNSYNC;
	return 0;
}
