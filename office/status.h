/*
 * office/status.h - how a member's tunnel stands: whom it speaks with, since when, how much.
 *
 * Pure: from the plan and what the daemon says of itself.
 */
#pragma once

#include "conf/running.h"
#include "office/plan.h"

#define STATUS_SILENT_S 180	/* a session without a new handshake is dead: REJECT_AFTER_TIME */

#define PEER_STATE_LIST(X)                                                                         \
	X(PEER_UP, 1, "up", "a session stands")                                                    \
	X(PEER_AWAY, 2, "away", "it was there once, and is silent")                                \
	X(PEER_NEVER, 3, "never", "no handshake was completed yet")                                \
	X(PEER_NO_KEY, 4, "no-key", "its key is not known: ginnel key there, ginnel accept here")  \
	X(PEER_MISSING, 5, "missing", "the daemon does not know it: ginnel up")
ENUM_DECLARE(peer_state, PEER_STATE_LIST);

struct status {
	const struct plan	*plan;
	const char		*interface;
	const struct running	*running;
	uint64_t		 now_s;		/* since 1970 */
};

enum peer_state status_of(const struct status *s, const struct plan_peer *peer);

/* status_words(s, ret): a line for the member, and a table of its peers in the plan's order. */
void status_words(const struct status *s, struct buf *ret);

/* status_json(s, ret): the same as one object and a newline. */
void status_json(const struct status *s, struct buf *ret);
