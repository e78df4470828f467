#include "office/pace.h"

#include "base/util.h"

#define MENDED_AGAIN_MS 30000
#define FAIL_LEAST_MS 1000
#define HOLD_FAILED_MS 30000

void pace_hear(struct pace *p, uint64_t now_ms)
{
	if (!p->heard_ms)
		p->first_ms = now_ms;
	p->heard_ms = now_ms;
}

void pace_looked(struct pace *p, uint64_t now_ms, bool changed, bool failed)
{
	p->first_ms = p->heard_ms = 0;
	p->now = false;
	p->last_ms = now_ms;
	p->failed = failed ? p->failed + 1 : 0;
	if (changed)
		p->mended = p->mended_ms && now_ms - p->mended_ms < MENDED_AGAIN_MS ? p->mended + 1 : 1;
	else if (now_ms - p->mended_ms >= MENDED_AGAIN_MS)
		p->mended = 0;
	if (changed)
		p->mended_ms = now_ms;
}

static uint64_t doubled(uint64_t least, unsigned times, uint64_t most)
{
	uint64_t ms = times < 32 ? least << times : most;

	return min(ms, most);
}

uint64_t pace_due(const struct pace *p)
{
	uint64_t due = p->last_ms + (p->failed ? doubled(FAIL_LEAST_MS, p->failed - 1, PACE_FAIL_MOST_MS) : PACE_CHECK_MS);
	uint64_t hold = 0, soon;

	if (p->now)
		return 0;
	if (!p->heard_ms)
		return due;
	/* Once more is no fight: what was mended is heard, and what belongs together comes one after the other. */
	if (p->mended > 2)
		hold = doubled(PACE_QUIET_MS, p->mended - 2, PACE_HOLD_MOST_MS);
	if (p->failed)
		hold = max(hold, doubled(FAIL_LEAST_MS, p->failed - 1, HOLD_FAILED_MS));
	soon = min(p->heard_ms + PACE_QUIET_MS, p->first_ms + PACE_CROWD_MS);
	return min(due, max(soon, p->last_ms + hold));
}
