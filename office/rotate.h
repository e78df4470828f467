/*
 * office/rotate.h - a member's next key takes the place of its key, and at every moment one of them
 * works.
 *
 * Whoever speaks with the member has the next key as a second peer without prefixes (plan_make()).
 * The member tries its next key: once somebody has answered to it, it is the key, and if nobody
 * does, the old one is in force again.  On the other side the first handshake with the next key
 * gives it all the old one's prefixes, at once where the daemon can (engine_configure()), else with
 * the next rotate_step(); and that makes it the member's key in the bundle that is kept, so that
 * the old one is forgotten.
 *
 * What fails is told in the log.
 */
#pragma once

#include "conf/running.h"
#include "office/plan.h"

#include <limits.h>

/* ---- others ---- */

/*
 * rotate_recall(o, before): ${before} is the bundle that was kept: a next key that it has as the
 * key of the same member has taken over, although the office was not told yet.  How many.  Pure.
 */
unsigned rotate_recall(struct office *o, const struct office *before);

/* rotate_found(o, running): next keys with which somebody has spoken become keys.  How many.  Pure.
 */
unsigned rotate_found(struct office *o, const struct running *running);

/*
 * rotate_step(interface, stored, o): rotate_found() in the daemon that runs, if any; where
 * something was found
 * ${stored}, the file, is written anew.  How many: then a new plan is to be applied.
 */
unsigned rotate_step(const char *interface, const char *stored, struct office *o);

/* ---- our own ---- */

struct rotate_keys {
	char path[PATH_MAX];  /* of the key */
	uint8_t key[KEY_LEN]; /* private ones, to be wiped by rotate_keys_done() */
	uint8_t next[KEY_LEN];
	bool has_next; /* it is there, and the office knows it */
};

void rotate_keys_done(struct rotate_keys *k);

/*
 * rotate_keys_load(interface, self, ret): the key that is in force, which must be one that the
 * office has for ${self}.  Where that is its next key, it becomes the key of ${self}.  0 or
 * negative errno.
 */
int rotate_keys_load(const char *interface, struct member *self, struct rotate_keys *ret);

/* rotate_keys_running(interface, k): of the two the one that the daemon has now; if it has none of
 * them, the key. */
const uint8_t *rotate_keys_running(const char *interface, const struct rotate_keys *k);

/*
 * rotate_try(p, interface, k): the member is up.  Speak with the next key, which ${k} has, for some
 * seconds at most.  1: it is the key now, also on disk; 0: nobody has answered, and all is as
 * before; negative errno: one of the two is in force, and the next run goes on.  Who is ended
 * meanwhile leaves that to a process which goes on to the same end, with all locks.
 */
int rotate_try(const struct plan *p, const char *interface, const struct rotate_keys *k);
