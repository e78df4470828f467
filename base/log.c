#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

#define BURST 5
#define PERIOD_NS 1000000000ULL

ENUM_DEFINE(log_level, LOG_LEVEL_LIST);

static char prefix[64];
static bool journal;
static _Atomic int level_now = LOG_LEVEL_ERROR;

void log_open(const char *name, enum log_level level)
{
	snprintf(prefix, sizeof(prefix), "%s", name);
	journal = getenv("JOURNAL_STREAM") != NULL;
	atomic_store_explicit(&level_now, (int)level, memory_order_relaxed);
}

enum log_level log_level_now(void)
{
	return (enum log_level)atomic_load_explicit(&level_now, memory_order_relaxed);
}

bool log_limit_take(struct log_limit *l, uint32_t *ret_held_back)
{
	struct timespec ts;
	uint64_t now, full, next;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
	now = (uint64_t)ts.tv_sec * 1000000000ULL + (uint64_t)ts.tv_nsec;
	full = atomic_load_explicit(&l->tokens_at_ns, memory_order_relaxed);
	do {
		next = max(full, now) + PERIOD_NS;
		if (next > now + BURST * PERIOD_NS) {
			atomic_fetch_add_explicit(&l->held_back, 1, memory_order_relaxed);
			return false;
		}
	} while (!atomic_compare_exchange_weak_explicit(
		&l->tokens_at_ns, &full, next, memory_order_relaxed, memory_order_relaxed));
	*ret_held_back = atomic_exchange_explicit(&l->held_back, 0, memory_order_relaxed);
	return true;
}

void log_write(enum log_level level, const char *fmt, ...)
{
	static const char *const priority[] = {
		[LOG_LEVEL_SILENT] = "",
		[LOG_LEVEL_ERROR] = "<3>",
		[LOG_LEVEL_INFO] = "<6>",
		[LOG_LEVEL_VERBOSE] = "<7>",
	};
	int saved = errno;
	char line[1024];
	size_t at = 0;
	va_list ap;
	int n;

	n = snprintf(line, sizeof(line), "%s%s%s", journal ? priority[level] : "", prefix,
		prefix[0] ? ": " : "");
	at = (size_t)n;
	va_start(ap, fmt);
	n = vsnprintf(line + at, sizeof(line) - at - 1, fmt, ap);
	va_end(ap);
	at = min(at + (size_t)max(n, 0), sizeof(line) - 2);
	/* What came from outside must not break the line. */
	for (size_t i = 0; i < at; i++)
		if ((unsigned char)line[i] < ' ' || line[i] == 0x7f)
			line[i] = '?';
	line[at++] = '\n';
	if (write(STDERR_FILENO, line, at) < 0) {
		/* nowhere left to say it */
	}
	errno = saved;
}
