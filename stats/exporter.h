/*
 * stats/exporter.h - serve the metrics of tunnels by HTTP, for Prometheus.
 *
 * Answers GET /metrics and nothing else.  Slow and silent clients are bounded in number, bytes and
 * time, and hold nobody up.  Once it listens it can do little but that, see base/sandbox.h.
 */
#pragma once

#include "base/buf.h"

/*
 * exporter_listen(where, ret, why): on "unix:PATH" (mode 0660) or "ADDRESS:PORT", "[ADDRESS]:PORT".
 * 0, or negative errno with a sentence appended to ${why}.
 */
int exporter_listen(const char *where, int *ret, struct buf *why);

/*
 * exporter_run(listener, where, names, n): until SIGTERM or SIGINT; then the socket is removed.
 * ${names}: of tunnels; none: all that there are at the time.  0 or negative errno, logged.
 */
int exporter_run(int listener, const char *where, char *const names[], size_t n);
