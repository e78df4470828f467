/*
 * office/filter.h - makes the kernel's nftables what a plan needs: the table of office/ruleset.h in one
 * transaction, and a way through the chains of others that would drop what is forwarded.
 *
 * What is as it should be is not touched.
 */
#pragma once

#include "office/made.h"
#include "office/plan.h"

/*
 * filter_set(p, interface, m, a): ${p} NULL: take all of ours away.  What fails is told in the log
 * and the rest is done; 0, or negative when something has failed.  Flows that began under another
 * table are to be forgotten: that is noted in ${m} before, until it is done.
 */
int filter_set(const struct plan *p, const char *interface, struct made *m, struct audit *a);
