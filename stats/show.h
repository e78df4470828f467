/* stats/show.h - stats of a tunnel for people, and as JSON. */
#pragma once

#include "stats/stats.h"

struct show_style {
	bool	all;		/* also what is zero, and pieces that are on */
	bool	colours;
};

/* show_stats(s, before, style, ret): append it; ${before}, of an earlier time, gives rates, or NULL. */
void show_stats(
	const struct stats *s, const struct stats *before, struct show_style style, struct buf *ret);

/* show_stats_json(s, before, ret): append one object, without newline. */
void show_stats_json(const struct stats *s, const struct stats *before, struct buf *ret);
