/*
 * clock - have a program set a file in the place of the clock, for tests.
 *
 * Loaded by LD_PRELOAD.  What clock_settime() is given is written to the file that CLOCK_SET_FILE names, in seconds.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

__attribute__((visibility("default"))) int clock_settime(clockid_t clock, const struct timespec *to)
{
	const char *path = getenv("CLOCK_SET_FILE");
	FILE *f = path && clock == CLOCK_REALTIME ? fopen(path, "w") : NULL;

	if (!f)
		return -1;
	fprintf(f, "%lld\n", (long long)to->tv_sec);
	return fclose(f);
}
