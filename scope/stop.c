#include "scope/stop.h"

#include "base/clock.h"

#include <poll.h>
#include <signal.h>
#include <unistd.h>

static volatile sig_atomic_t asked;
static uint64_t end_ns; /* of CLOCK_BOOTTIME; 0: no limit */

/* Again every second: what began to wait just after the first time comes back too. */
static void ask(int signal)
{
	asked = 1;
	alarm(1);
}

void stop_init(int64_t seconds)
{
	/* Without SA_RESTART: what waits comes back. */
	const struct sigaction stop = {.sa_handler = ask}, ignore = {.sa_handler = SIG_IGN};
	struct sigaction before;

	sigaction(SIGINT, &stop, NULL);
	sigaction(SIGTERM, &stop, NULL);
	if (sigaction(SIGHUP, NULL, &before) < 0 || before.sa_handler != SIG_IGN)
		sigaction(SIGHUP, &stop, NULL);
	sigaction(SIGALRM, &stop, NULL);
	sigaction(SIGPIPE, &ignore, NULL);
	sigaction(SIGXFSZ, &ignore, NULL);
	alarm((unsigned)seconds);
	end_ns = seconds ? clock_ns(CLOCK_BOOTTIME) + (uint64_t)seconds * 1000000000 : 0;
}

bool stop_asked(void)
{
	return asked || (end_ns && clock_ns(CLOCK_BOOTTIME) >= end_ns);
}

bool stop_reader_gone(int fd)
{
	struct pollfd p = {.fd = fd};

	return poll(&p, 1, 0) > 0 && (p.revents & (POLLERR | POLLHUP));
}

int stop_timeout_ms(int longest_ms)
{
	uint64_t now = clock_ns(CLOCK_BOOTTIME);

	if (!end_ns)
		return longest_ms;
	return end_ns <= now ? 0 : (int)min((end_ns - now + 999999) / 1000000, (uint64_t)longest_ms);
}
