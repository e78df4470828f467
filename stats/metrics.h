/*
 * stats/metrics.h - stats of tunnels in the text format of Prometheus (version 0.0.4).
 *
 * Names begin with ginnel_, counters end with _total, times are seconds.
 */
#pragma once

#include "stats/stats.h"

#define METRICS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* metrics_put(tunnels, n, ret): append every family once, with the samples of all tunnels. */
void metrics_put(const struct stats tunnels[], size_t n, struct buf *ret);
