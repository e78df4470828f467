/*
 * scope/trace_line.h - one line of a trace, for people or as JSON.
 */
#pragma once

#include "scope/story.h"

struct trace_style {
	bool	json;
	bool	colours;
};

struct trace_line {
	const struct capture_record	*record;
	const struct story_facts	*facts;		/* or NULL */
	const char			*who, *text;
	unsigned			 level;
	uint64_t			 more;		/* so many of the kind were not printed; else 0 */
};

/* trace_line_put(l, style, ret): append it, with its newline. */
void trace_line_put(const struct trace_line *l, struct trace_style style, struct buf *ret);

/* trace_line_put_more(n, r, ret): append the text for what was not printed: "and 4,211 more ...". */
void trace_line_put_more(uint64_t n, const struct capture_record *r, struct buf *ret);

/* trace_line_put_lost(real_ns, n, style, ret): that so many records were lost to a slow reader. */
void trace_line_put_lost(uint64_t real_ns, uint64_t n, struct trace_style style, struct buf *ret);
