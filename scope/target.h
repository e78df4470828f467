/*
 * scope/target.h - which tunnel and which peer are meant, and what they are called.
 */
#pragma once

#include "base/cmd.h"
#include "scope/names.h"

struct target {
	char		 tunnel[64];
	struct names	*names;
	bool		 one_peer;
	uint8_t		 peer[KEY_LEN];
};

/*
 * target_find(tunnel, peer, ret, why): ${tunnel} NULL: the only one that runs; ${peer} "": all, else
 * a name or a public key.  0, or negative errno with a sentence.
 */
int target_find(const char *tunnel, const char *peer, struct target *ret, struct buf *why);
void target_done(struct target *t);
