#include "office/clock_wait.h"

#include "base/log.h"
#include "office/bundle.h"
#include "office/engine.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/timex.h>

#define SLACK_S 60
#define BEHIND_S 86400
#define LIFE_S (20L * 365 * 86400) /* of this program, at the most */
#define STEP_MS 1000

struct seen {
	time_t now_s, program_s, files_s;
	bool synchronised;
};

enum clock_is clock_judge(time_t now_s, time_t program_s, time_t files_s)
{
	if (files_s - program_s > LIFE_S)
		files_s = program_s;
	if (now_s < program_s - SLACK_S)
		return CLOCK_WRONG;
	if (now_s >= files_s - SLACK_S)
		return CLOCK_PLAUSIBLE;
	return now_s >= files_s - BEHIND_S ? CLOCK_BEHIND : CLOCK_DOUBTFUL;
}

static time_t written(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 ? st.st_mtime : 0;
}

static struct seen look(const char *interface)
{
	char bundle[BUNDLE_PATH_MAX], endpoints[PATH_MAX];
	struct timex kernel = {0};
	struct seen s = {
		.now_s = time(NULL),
		.program_s = written("/proc/self/exe"),
		.synchronised = adjtimex(&kernel) >= 0 && !(kernel.status & STA_UNSYNC),
	};

	if (bundle_path(interface, bundle) == 0)
		s.files_s = written(bundle);
	if (engine_path(interface, endpoints) == 0)
		s.files_s = max(s.files_s, written(endpoints));
	return s;
}

static enum clock_is judge(const struct seen *s)
{
	return s->synchronised ? CLOCK_PLAUSIBLE : clock_judge(s->now_s, s->program_s, s->files_s);
}

static time_t least(const struct seen *s)
{
	return s->files_s - s->program_s > LIFE_S ? s->program_s : max(s->files_s, s->program_s);
}

static const char *show(time_t t, char ret[32])
{
	struct tm tm;

	if (!gmtime_r(&t, &tm) || !strftime(ret, 32, "%Y-%m-%d %H:%M:%S UTC", &tm))
		snprintf(ret, 32, "nonsense");
	return ret;
}

static void set(const struct seen *s)
{
	struct timespec to = {.tv_sec = least(s)};
	char text[32];

	if (judge(s) == CLOCK_DOUBTFUL)
		log_error("nobody has set the clock, which is %ld days behind what was written here; going on with it: "
			  "if it is wrong, peers refuse handshakes until it is right",
			(long)(to.tv_sec - s->now_s) / 86400);
	else if (clock_settime(CLOCK_REALTIME, &to) < 0)
		log_error("nobody has set the clock, and it cannot be set here: %s; peers refuse handshakes until it is right",
			strerror(errno));
	else
		log_info("nobody has set the clock: set it to %s, the least that it can be", show(to.tv_sec, text));
}

int clock_wait(const char *interface, unsigned seconds, const struct notify *n, int signals)
{
	struct seen s = look(interface);
	char now[32], then[32];

	if (judge(&s) == CLOCK_PLAUSIBLE)
		return 0;
	log_info("the clock says %s, but %s was written at %s: waiting for somebody to set it, up to %u s", show(s.now_s, now),
		least(&s) == s.program_s ? "this program" : "what is kept here", show(least(&s), then), seconds);
	for (unsigned i = 0; i < seconds; i++) {
		struct pollfd p = {.fd = signals, .events = POLLIN};

		(void)notify_say(n, "STATUS=Waiting for a clock that is right\nEXTEND_TIMEOUT_USEC=%u", 10 * STEP_MS * 1000);
		if (poll(&p, 1, STEP_MS) > 0)
			return 1;
		s = look(interface);
		if (judge(&s) == CLOCK_PLAUSIBLE) {
			log_info("the clock says %s now", show(s.now_s, now));
			return 0;
		}
	}
	set(&s);
	return 0;
}

void clock_stamp(const char *interface)
{
	char bundle[BUNDLE_PATH_MAX], endpoints[PATH_MAX];
	struct seen s = look(interface);

	if (judge(&s) != CLOCK_PLAUSIBLE)
		return;
	if (engine_path(interface, endpoints) == 0)
		(void)utimensat(AT_FDCWD, endpoints, NULL, 0);
	if (bundle_path(interface, bundle) == 0 && written(bundle) > s.now_s + SLACK_S)
		(void)utimensat(AT_FDCWD, bundle, NULL, 0);
}
