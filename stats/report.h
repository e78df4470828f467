/*
 * stats/report.h - what somebody who looks into a fault wants to know first, as one text.
 *
 * No key is in it whole, and no private or preshared one at all.
 */
#pragma once

#include "stats/stats.h"

/* report_host(ret): append versions, kernel and distribution. */
void report_host(struct buf *ret);

/* report_tunnel(s, hide_addresses, ret): append one tunnel with its events, when it was asked for. */
void report_tunnel(const struct stats *s, bool hide_addresses, struct buf *ret);
