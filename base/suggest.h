/*
 * base/suggest.h - "did you mean": the nearest of some words to one that nobody knows.
 *
 * Knows no table: offer it candidates one by one, then look at ${best}.  Case does not count.
 * Words longer than SUGGEST_LEN_MAX have no neighbours, so that hostile input costs nothing.
 */
#pragma once

#include "base/buf.h"

#define SUGGEST_LEN_MAX 64

struct suggest {
	const char	*word;
	size_t		 len;
	const char	*best;		/* borrowed from a candidate; NULL: nothing is near */
	unsigned	 distance;	/* of best */
};

/* suggest_for(word, len): start with the unknown word; borrowed. */
struct suggest suggest_for(const char *word, size_t len);

/*
 * suggest_offer(s, candidate): keep it when it is nearer than what was offered before; the first of
 * equals stays.
 */
void suggest_offer(struct suggest *s, const char *candidate);

/* suggest_say(s, prefix, ret): append ": did you mean PREFIXbest?" when something is near. */
void suggest_say(const struct suggest *s, const char *prefix, struct buf *ret);

/*
 * suggest_distance(a, a_len, b, b_len, most): how many insertions, deletions, replacements and
 * swaps of neighbours make one word of the other, or most + 1 when it takes more.
 */
unsigned suggest_distance(const char *a, size_t a_len, const char *b, size_t b_len, unsigned most);
