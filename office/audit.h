/*
 * office/audit.h - one line of the log for each thing that was changed on this machine.
 *
 * Knows how often each thing was mended, so that what another program takes away again and again is
 * said with that number, and not as often as it happens.
 */
#pragma once

#include "base/buf.h"

#define AUDIT_THINGS 64
#define AUDIT_NAME_MAX 128
#define AUDIT_EACH 3			/* so many times in a row a line each */
#define AUDIT_AGAIN_MS 60000		/* then one in this time */
#define AUDIT_FORGET_MS 600000		/* left alone for so long, it begins anew */

struct audit_thing {
	char		name[AUDIT_NAME_MAX];
	unsigned	times;
	uint64_t	first_ms, last_ms, said_ms;
};

struct audit {
	bool			repair;		/* what is changed had been as it should be */
	unsigned		n;		/* changes so far */
	struct audit_thing	things[AUDIT_THINGS];
};

/*
 * audit_did(audit, what, was): ${what}, "the route to 10.0.0.0/8", was set, and ${was} "missing" or "1300"
 * before; NULL: it was removed.  ${audit}: a struct audit, for callers that know no more.
 */
void audit_did(void *audit, const char *what, const char *was);

/*
 * audit_judge(a, what, now_ms, again): one more repair of ${what}: whether it is to be said now, with
 * what is appended to ${again}.  Pure.
 */
bool audit_judge(struct audit *a, const char *what, uint64_t now_ms, struct buf *again);
