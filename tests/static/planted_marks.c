/* Marks for scripts/static to judge; built by nothing. */
#include <stdlib.h>

int marked(size_t n);

int marked(size_t n)
{
	char *p = calloc(1, n + 1), *q = calloc(1, n + 1), *s = calloc(1, n + 1);

	if (!p || !q || !s)
		abort();
	free(p);
	free(q);
	/*
	 * lint-ignore deallocuse: a mark that is as it should be
	 * (in a comment of several lines).
	 */
	*p = 1;
	*q = 1; /* lint-ignore deallocuse: */
	*s = 1; /* lint-ignore deallocuse: a mark that nothing needs */
	free(s);
	return 0;
}
