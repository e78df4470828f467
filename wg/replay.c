#include "wg/replay.h"

#define WORD_BITS 64
#define N_WORDS array_size(((struct replay_window *)0)->bits)

/*
 * The window begins at most in the word behind that of the greatest counter, seen around the ring.
 */
_Static_assert(WG_REPLAY_WINDOW == (N_WORDS - 1) * WORD_BITS, "one word is in the making");

void replay_init(struct replay_window *w)
{
	*w = (struct replay_window){0};
}

bool replay_commit(struct replay_window *w, uint64_t counter)
{
	uint64_t at, word, bit;

	if (counter >= WG_REJECT_AFTER_MESSAGES)
		return false;
	at = counter + 1; /* like ${greatest}: 0 is nobody's */
	word = at / WORD_BITS;
	bit = 1ULL << at % WORD_BITS;
	if (at > w->greatest) {
		uint64_t last = w->greatest / WORD_BITS;

		for (uint64_t n = min(word - last, (uint64_t)N_WORDS); n; n--)
			w->bits[++last % N_WORDS] = 0;
		w->greatest = at;
	} else if (w->greatest - at > WG_REPLAY_WINDOW || w->bits[word % N_WORDS] & bit) {
		return false;
	}
	w->bits[word % N_WORDS] |= bit;
	return true;
}
