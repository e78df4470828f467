#include "base/log.h"
#include "base/clock.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>

#define LINE_MAX_LEN 1024
#define BURST 5
#define PERIOD_NS 1000000000ULL

ENUM_DEFINE(log_level, LOG_LEVEL_LIST);

static char prefix[64];
static bool journal;
static _Atomic uint32_t n_lost; /* lines that were not taken, and of which nothing was said yet */
static _Atomic bool torn; /* of the last line only the beginning was taken */
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
	uint64_t now = clock_ns(CLOCK_MONOTONIC_COARSE), full, next;

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

/*
 * Never waits for who reads: a tunnel must not stand still because its log does.  O_NONBLOCK would
 * be everybody's who has the same terminal or pipe, so it is asked first; a pipe that has room takes
 * a whole line.  A terminal may say that it has room and wait for more of it all the same: whoever
 * has one opens it anew first, process_own_stderr().  The journal's socket is told for this one call.
 */
static bool put(const char *line, size_t len)
{
	struct pollfd p = {.fd = STDERR_FILENO, .events = POLLOUT};
	ssize_t n = send(STDERR_FILENO, line, len, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n >= 0 || errno != ENOTSOCK)
		return n >= 0;
	if (poll(&p, 1, 0) == 0)
		return false;
	if (atomic_load_explicit(&torn, memory_order_relaxed) && write(STDERR_FILENO, "\n", 1) != 1)
		return false;
	n = write(STDERR_FILENO, line, len);
	atomic_store_explicit(&torn, n > 0 && (size_t)n < len, memory_order_relaxed);
	return n == (ssize_t)len;
}

/* A whole line; what came from outside must not break it.  Its length. */
__attribute__((format(printf, 3, 0))) static size_t make(
	char line[LINE_MAX_LEN], enum log_level level, const char *fmt, va_list ap)
{
	static const char *const priority[] = {
		[LOG_LEVEL_SILENT] = "",
		[LOG_LEVEL_ERROR] = "<3>",
		[LOG_LEVEL_INFO] = "<6>",
		[LOG_LEVEL_VERBOSE] = "<7>",
	};
	size_t at;
	int n;

	n = snprintf(line, LINE_MAX_LEN, "%s%s%s", journal ? priority[level] : "", prefix,
		prefix[0] ? ": " : "");
	at = (size_t)n;
	n = vsnprintf(line + at, LINE_MAX_LEN - at - 1, fmt, ap);
	at = min(at + (size_t)max(n, 0), (size_t)LINE_MAX_LEN - 2);
	for (size_t i = 0; i < at; i++)
		if ((unsigned char)line[i] < ' ' || line[i] == 0x7f)
			line[i] = '?';
	line[at++] = '\n';
	return at;
}

__attribute__((format(printf, 2, 3))) static bool say(enum log_level level, const char *fmt, ...)
{
	char line[LINE_MAX_LEN];
	va_list ap;
	size_t len;

	va_start(ap, fmt);
	len = make(line, level, fmt, ap);
	va_end(ap);
	return put(line, len);
}

void log_write(enum log_level level, const char *fmt, ...)
{
	int saved = errno;
	uint32_t lost = atomic_exchange_explicit(&n_lost, 0, memory_order_relaxed);
	char line[LINE_MAX_LEN];
	va_list ap;

	va_start(ap, fmt);
	if (!lost || say(level, "log: %u lines were lost here: nobody took them", lost))
		lost = 0;
	if (lost || !put(line, make(line, level, fmt, ap)))
		atomic_fetch_add_explicit(&n_lost, lost + 1, memory_order_relaxed);
	va_end(ap);
	errno = saved;
}
