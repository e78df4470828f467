/*
 * wg/replay.h - which counters of a keypair were already seen (RFC 6479's ring of words).
 *
 * A ring of 8,192 bits of which WG_REPLAY_WINDOW (8,128) behind the greatest counter are effective.
 * Knows no key, peer or clock.  The caller authenticates first, and holds the keypair's lock: an
 * unauthenticated packet must never move the window.
 */
#pragma once

#include "wg/messages.h"

struct replay_window {
	uint64_t greatest;	/* one more than the greatest counter seen; 0: none yet */
	uint64_t bits[8192 / 64];
};

void replay_init(struct replay_window *w);

/*
 * replay_commit(w, counter): record one authenticated counter.  False when it was seen before, lies
 * behind the window, or is at or past WG_REJECT_AFTER_MESSAGES; the window is then unchanged.
 */
bool replay_commit(struct replay_window *w, uint64_t counter);
