#include "base/suggest.h"

#include <ctype.h>

static bool same(char a, char b)
{
	return tolower((unsigned char)a) == tolower((unsigned char)b);
}

unsigned suggest_distance(const char *a, size_t a_len, const char *b, size_t b_len, unsigned most)
{
	/* Three rows of the usual table: two before, one before, this one. */
	unsigned rows[3][SUGGEST_LEN_MAX + 1];
	unsigned *before2 = rows[0], *before = rows[1], *row = rows[2];
	size_t apart = a_len > b_len ? a_len - b_len : b_len - a_len;

	if (a_len > SUGGEST_LEN_MAX || b_len > SUGGEST_LEN_MAX || apart > most)
		return most + 1;
	for (size_t j = 0; j <= b_len; j++)
		before[j] = (unsigned)j;
	for (size_t i = 1; i <= a_len; i++) {
		unsigned least = row[0] = (unsigned)i;
		unsigned *oldest = before2;

		for (size_t j = 1; j <= b_len; j++) {
			unsigned d = before[j - 1] + !same(a[i - 1], b[j - 1]);

			d = min(d, before[j] + 1);
			d = min(d, row[j - 1] + 1);
			if (i > 1 && j > 1 && same(a[i - 1], b[j - 2]) && same(a[i - 2], b[j - 1]))
				d = min(d, before2[j - 2] + 1);
			row[j] = d;
			least = min(least, d);
		}
		if (least > most)
			return most + 1;
		before2 = before;
		before = row;
		row = oldest;
	}
	return min(before[b_len], most + 1);
}

struct suggest suggest_for(const char *word, size_t len)
{
	/* One slip for every three letters, at most three: words of two are all near each other. */
	unsigned distance = len < 3 ? 1 : min((unsigned)len / 3, 3u) + 1;

	return (struct suggest){.word = word, .len = len, .distance = distance};
}

void suggest_offer(struct suggest *s, const char *candidate)
{
	unsigned d;

	if (!s->len)
		return;
	d = suggest_distance(s->word, s->len, candidate, strlen(candidate), s->distance);
	if (d < s->distance) {
		s->distance = d;
		s->best = candidate;
	}
}

void suggest_say(const struct suggest *s, const char *prefix, struct buf *ret)
{
	if (s->best)
		buf_printf(ret, ": did you mean %s%s?", prefix, s->best);
}
