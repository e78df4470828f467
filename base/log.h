/*
 * base/log.h - one line per thing worth knowing, on standard error.
 *
 * Form: "subsystem: what happened key=value ...", with "<prio>" in front under systemd's journal.
 * Secrets have no formatter here, so that they cannot be printed by accident.  Where a stranger can
 * trigger a line, use log_limited(): a burst of 5 per call site, then one a second, and the number
 * that was held back is said with the next.
 *
 * Nothing here waits: what standard error does not take at once, because its reader stands still or
 * its disk is full, is lost and counted, and the number is said as soon as there is room.
 *
 * Locks: lines from several threads do not mix (one write each).
 */
#pragma once

#include "base/enum.h"

#define LOG_LEVEL_LIST(X)                                                                          \
	X(LOG_LEVEL_SILENT, 0, "silent", "nothing")                                                \
	X(LOG_LEVEL_ERROR, 1, "error", "what needs somebody's attention")                          \
	X(LOG_LEVEL_INFO, 2, "info", "state changes: links, listening ports, fallbacks")           \
	X(LOG_LEVEL_VERBOSE, 3, "verbose", "handshakes, keypairs, timers, refused packets")
ENUM_DECLARE(log_level, LOG_LEVEL_LIST);

/* log_open(name, level): ${name} stands in front of each line ("ginnel-wg(wg0)"); copied. */
void log_open(const char *name, enum log_level level);

enum log_level log_level_now(void);

/* Cheap when the level is off: arguments are not evaluated. */
#define log_at(level, ...)                                                                         \
	do {                                                                                       \
		if (log_level_now() >= (level))                                                    \
			log_write(level, __VA_ARGS__);                                             \
	} while (0)
#define log_error(...) log_at(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_info(...) log_at(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_verbose(...) log_at(LOG_LEVEL_VERBOSE, __VA_ARGS__)

struct log_limit {
	_Atomic uint64_t tokens_at_ns;	/* when the bucket would be full */
	_Atomic uint32_t held_back;
};

/* log_limited(level, ...): as log_at(), with a bucket per call site. */
#define log_limited(level, ...)                                                                    \
	do {                                                                                       \
		static struct log_limit limit_;                                                    \
		uint32_t held_;                                                                    \
		if (log_level_now() >= (level) && log_limit_take(&limit_, &held_)) {               \
			if (held_)                                                                 \
				log_write(level, "log: %u lines like the next were held back",     \
					held_);                                                    \
			log_write(level, __VA_ARGS__);                                             \
		}                                                                                  \
	} while (0)

bool log_limit_take(struct log_limit *l, uint32_t *ret_held_back);
void log_write(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
