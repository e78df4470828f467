#include "office/audit.h"

#include "base/clock.h"
#include "base/log.h"

#include <stdio.h>

#define AGAIN_MAX 128

/* The one of that name, or in the place of the one that was mended longest ago. */
static struct audit_thing *find(struct audit *a, const char *what)
{
	struct audit_thing *oldest = &a->things[0];

	for (size_t i = 0; i < AUDIT_THINGS; i++) {
		struct audit_thing *t = &a->things[i];

		if (t->times && !strncmp(t->name, what, sizeof(t->name) - 1))
			return t;
		if (!t->times || (oldest->times && t->last_ms < oldest->last_ms))
			oldest = t;
	}
	*oldest = (struct audit_thing){.times = 0};
	snprintf(oldest->name, sizeof(oldest->name), "%s", what);
	return oldest;
}

bool audit_judge(struct audit *a, const char *what, uint64_t now_ms, struct buf *again)
{
	struct audit_thing *t = find(a, what);

	if (!t->times || now_ms - t->last_ms >= AUDIT_FORGET_MS) {
		t->times = 0;
		t->first_ms = now_ms;
	}
	t->last_ms = now_ms;
	t->times++;
	if (t->times > AUDIT_EACH && now_ms - t->said_ms < AUDIT_AGAIN_MS)
		return false;
	t->said_ms = now_ms;
	if (t->times >= AUDIT_EACH)
		buf_printf(again, ", %u times in %llu s: something changes it again and again", t->times,
			(unsigned long long)((now_ms - t->first_ms) / 1000));
	return true;
}

void audit_did(void *audit, const char *what, const char *was)
{
	cleanup(buf_done) struct buf again = buf_of_max(AGAIN_MAX);
	struct audit *a = audit;

	a->n++;
	if (!was)
		log_info("removed %s", what);
	else if (!a->repair)
		log_info("set %s", what);
	else if (audit_judge(a, what, clock_ns(CLOCK_BOOTTIME) / 1000000, &again))
		log_info("restored %s, found %s%s", what, was, buf_str(&again));
}
