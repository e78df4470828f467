#include "office/clock_wait.h"

#include "base/log.h"
#include "office/bundle.h"
#include "office/engine.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/stat.h>

#define SLACK_S 60
#define STEP_MS 1000

bool clock_is_plausible(time_t now_s, time_t least_s)
{
	return now_s >= least_s - SLACK_S;
}

static time_t written(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 ? st.st_mtime : 0;
}

time_t clock_least(const char *interface)
{
	char bundle[BUNDLE_PATH_MAX], endpoints[PATH_MAX];
	time_t least = written("/proc/self/exe");

	if (bundle_path(interface, bundle) == 0)
		least = max(least, written(bundle));
	if (engine_path(interface, endpoints) == 0)
		least = max(least, written(endpoints));
	return least;
}

static bool is_wrong(const char *interface)
{
	return !clock_is_plausible(time(NULL), clock_least(interface));
}

static const char *show(time_t t, char ret[32])
{
	struct tm tm;

	if (!gmtime_r(&t, &tm) || !strftime(ret, 32, "%Y-%m-%d %H:%M:%S UTC", &tm))
		snprintf(ret, 32, "nonsense");
	return ret;
}

static void set(const char *interface)
{
	struct timespec to = {.tv_sec = clock_least(interface)};
	char text[32];

	if (clock_settime(CLOCK_REALTIME, &to) < 0)
		log_error("nobody has set the clock, and it cannot be set here: %s; peers refuse handshakes until it is right",
			strerror(errno));
	else
		log_info("nobody has set the clock: set it to %s, the least that it can be", show(to.tv_sec, text));
}

int clock_wait(const char *interface, unsigned seconds, const struct notify *n, int signals)
{
	char now[32], least[32];

	if (!is_wrong(interface))
		return 0;
	log_info("the clock says %s, but it is at least %s: waiting for somebody to set it, up to %u s", show(time(NULL), now),
		show(clock_least(interface), least), seconds);
	for (unsigned i = 0; i < seconds; i++) {
		struct pollfd p = {.fd = signals, .events = POLLIN};

		(void)notify_say(n, "STATUS=Waiting for a clock that is right\nEXTEND_TIMEOUT_USEC=%u", 10 * STEP_MS * 1000);
		if (poll(&p, 1, STEP_MS) > 0)
			return 1;
		if (!is_wrong(interface)) {
			log_info("the clock says %s now", show(time(NULL), now));
			return 0;
		}
	}
	set(interface);
	return 0;
}

void clock_stamp(const char *interface)
{
	char path[PATH_MAX];

	if (engine_path(interface, path) == 0 && !is_wrong(interface))
		(void)utimensat(AT_FDCWD, path, NULL, 0);
}
