/*
 * scope/drops.h - for each reason to drop a packet: what it means, and what to look at next.
 */
#pragma once

#include "wg/drop.h"

struct drop_words {
	const char	*cause;		/* goes on after "dropped: NAME (" */
	const char	*next;		/* NULL: there is nothing to be done */
};

/* drops_words(drop): of a reason that is none of these, NULL. */
const struct drop_words *drops_words(enum wg_drop drop);

/* drops_name(drop): "bad-mac1"; NULL: a later daemon's. */
const char *drops_name(unsigned drop);
