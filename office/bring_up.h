/*
 * office/bring_up.h - from a member's bundle to its network: read, held against the key of this machine,
 * kept, planned and put in force.
 *
 * What fails is told in the log.
 */
#pragma once

#include "crypto/hash.h"
#include "office/audit.h"

#include <errno.h>

struct bring_up {
	const char	*interface;
	const char	*from;		/* a file, "-": standard input; NULL: what was kept */
	bool		 ask;		/* the gateway of a LAN, where what it does is not known */
	bool		 ask_again;	/* also where it is */
	bool		 renew;		/* the daemon, where its program was replaced */
	bool		 brief;		/* what waits for others is left to the next time */
	uint8_t		 last[HASH_LEN];	/* of the bundle that was in force before */
	bool		 next_keys;	/* a peer has one that nobody has spoken with yet */
	struct audit	 audit;
};

/*
 * bring_up(b): once.  What it finds changed, with the same bundle as the time before, is told as a repair.
 * 0; -EINVAL and the like with nothing done; what up() returns.
 */
int bring_up(struct bring_up *b);

/* bring_up_is_due(b): since then a peer has spoken with its next key, and bring_up() would go on with that. */
bool bring_up_is_due(const struct bring_up *b);

/* bring_up_lacks(r): of one that has done nothing: bundle or key are missing or wrong, which somebody has to mend. */
static inline bool bring_up_lacks(int r)
{
	return r == -ENOENT || r == -EINVAL || r == -EBADMSG || r == -EKEYREJECTED;
}
