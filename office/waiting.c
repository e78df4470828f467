#include "office/waiting.h"

#include <stdarg.h>
#include <stdio.h>

#define LINE_AGAIN "\r\033[K"
#define WIDTH 79 /* a longer one would not be taken away whole */

static void put(const char *line)
{
	dprintf(STDERR_FILENO, LINE_AGAIN "%s", line);
}

void waiting_say(const char *fmt, ...)
{
	char line[WIDTH + 1];
	va_list ap;

	if (!isatty(STDERR_FILENO))
		return;
	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	put(line);
}

void waiting_over(void)
{
	if (isatty(STDERR_FILENO))
		put("");
}
