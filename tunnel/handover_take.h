/*
 * tunnel/handover_take.h - the new daemon's side of a hand-over.
 *
 * handover_take_begin() runs first of all, with files and privileges: it has descriptors and a trial
 * state.  handover_take_finish() runs in the box, when everything is made and nothing moves.
 */
#pragma once

#include "tunnel/handover.h"
#include "tunnel/uapi_server.h"

struct handover_take;

/*
 * handover_take_begin(name, unless, ret): ask the daemon that serves ${name} for all it has.  0, or
 * negative errno after a line of the log; that one then goes on as if nothing had been.
 * ${unless}, if not NULL: -EALREADY, and nothing is logged, if it calls itself so.
 */
int handover_take_begin(const char *name, const char *unless, struct handover_take **ret);

/* handover_take_free(t): before handover_take_finish() has returned >= 0: the old one goes on. */
void handover_take_free(struct handover_take *t);
static inline void handover_take_freep(struct handover_take **t)
{
	if (*t)
		handover_take_free(*t);
}

/* What it has; who takes descriptors out of it puts -1 there. */
struct handover_tunnel *handover_take_tunnel(struct handover_take *t);

/* handover_take_import(t, d, now): the trial state, once.  0 or negative errno after a line of the log. */
int handover_take_import(struct handover_take *t, struct wg_device *d, struct wg_now now);

/*
 * handover_take_finish(t, d, now): have the old one stop, import its last state, and come back when
 * the tunnel is ours.  0; 1: the old one died on the way, its last counters are not known and its
 * sessions were forgotten; negative errno after a line of the log: it goes on.
 */
int handover_take_finish(struct handover_take *t, struct wg_device *d, struct wg_now (*now)(void));

/* handover_take_wait(t): after that: until the old one has told its service manager, or 5 s. */
void handover_take_wait(struct handover_take *t);

/* handover_take_clients(t, s): after that: the clients go on at ${s}. */
void handover_take_clients(struct handover_take *t, struct uapi_server *s);

/* handover_take_frozen(t): the boot time at which the old one stopped; 0: not known. */
uint64_t handover_take_frozen(const struct handover_take *t);
