/* conf/array.h - arrays that grow, of things that may be secret. */
#pragma once

#include "base/util.h"

/*
 * array_grow(array, room, n, size): room for one more element of ${size} bytes behind the ${n} of
 * the array that ${array} points to and that has ${*room}.  What moves is wiped where it was.
 * False: out of memory, and nothing has changed.
 */
static inline bool array_grow(void *array, size_t *room, size_t n, size_t size)
{
	size_t more = max(*room * 2, (size_t)8);
	void **p = array, *bigger;

	if (n < *room)
		return true;
	bigger = calloc(more, size);
	if (!bigger)
		return false;
	if (n) {
		memcpy(bigger, *p, n * size);
		explicit_bzero(*p, n * size);
	}
	free(*p);
	*p = bigger;
	*room = more;
	return true;
}
