/*
 * office/show.h - the plan for people: in words, as JSON, as a drawing.
 *
 * Pure.  Names and numbers only: no text of theirs can hold what needs quoting.
 */
#pragma once

#include "office/plan.h"

/* What is shown: the office, and what the lock knew before; NULL: it knew nothing. */
struct show {
	const struct office	*o, *lock;
	const char		*name, *lock_name;	/* of the files; lines of reasons are theirs */
	const struct member	**of;			/* whose plans; NULL: everybody's, in short if nothing changes */
	size_t			 n_of;
};

/*
 * show_words(s, ret): for each member what it gets: one fact a line, with "+" what comes, "-" what
 * goes, "~" what is another now, each with the line that is the reason; then how much that is.
 * 0, -ENOMEM, or the error of ${ret}.
 */
int show_words(const struct show *s, struct buf *ret);

/* show_json(s, ret): one object, with all of each plan.  The same. */
int show_json(const struct show *s, struct buf *ret);

/* show_dot(o, ret): the network for Graphviz. */
int show_dot(const struct office *o, struct buf *ret);
