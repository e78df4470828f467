/*
 * office/pace.h - when who stays is to look whether all is as it should be.
 *
 * Pure: told the time.  Soon after something was heard, and now and then anyway; less and less often
 * where what is mended is changed again at once, or where mending fails.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define PACE_QUIET_MS 100	/* what comes together is looked at together */
#define PACE_CROWD_MS 1000	/* but no later than this after the first */
#define PACE_CHECK_MS 30000	/* the next look if nothing is heard */
#define PACE_HOLD_MOST_MS 10000	/* between two looks, where something is mended again and again */
#define PACE_FAIL_MOST_MS 600000

struct pace {
	uint64_t	first_ms, heard_ms;	/* since the last look; 0: nothing */
	uint64_t	last_ms;		/* the last look */
	uint64_t	mended_ms;		/* it has changed something then; 0: never */
	unsigned	mended, failed;		/* in a row */
	bool		now;			/* somebody asks for it */
};

void pace_hear(struct pace *p, uint64_t now_ms);

/* pace_looked(p, now_ms, changed, failed): a look has ended. */
void pace_looked(struct pace *p, uint64_t now_ms, bool changed, bool failed);

/* pace_due(p): when to look next. */
uint64_t pace_due(const struct pace *p);
