#include "office/stay.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/notify.h"
#include "conf/watch.h"
#include "office/bundle.h"
#include "office/clock_wait.h"
#include "office/drift.h"
#include "office/engine.h"
#include "office/pace.h"
#include "office/stay_one.h"
#include "office/up.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

#define ASK_AGAIN 20 /* looks without a sound, until a gateway that did not answer is asked again */

struct stay {
	struct bring_up	*b;
	struct drift	 drift;
	struct notify	 notify;
	struct pace	 pace;
	int		 one;		/* of office/stay_one.h */
	int		 signals, inotify;
	int		 names;		/* the process that looks names up, -1: none */
	pid_t		 names_pid;
	unsigned	 quiet;		/* looks for which there was no reason */
	bool		 begun;		/* all of it was done once */
	bool		 ended;
	uint64_t	 next_ms[8];	/* of each chore */
};

static uint64_t now_ms(void)
{
	return clock_ns(CLOCK_BOOTTIME) / 1000000;
}

/* ---- what is done while it stays, each thing in its own time ---- */

static void remember(struct stay *s)
{
	cleanup(close_fd) int locked = -1;

	if (up_lock(&locked) == 0)
		engine_remember(s->b->interface);
}

static void stamp(struct stay *s)
{
	clock_stamp(s->b->interface);
}

static void live(struct stay *s)
{
	(void)notify_say(&s->notify, "WATCHDOG=1");
}

/* Looks up again the names of peers that fall silent; it may wait for name servers, and we may not. */
static void watch_names(struct stay *s)
{
	pid_t parent = getpid();
	sigset_t none;

	if (s->names >= 0)
		return;
	s->names_pid = fork();
	if (s->names_pid == 0) {
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		close_range(STDERR_FILENO + 1, ~0U, 0);
		prctl(PR_SET_PDEATHSIG, SIGTERM);
		if (getppid() == parent)
			(void)watch_run(s->b->interface);
		_exit(EXIT_FAILURE);
	}
	s->names = s->names_pid < 0 ? -1 : pidfd_open(s->names_pid, 0);
	if (s->names < 0)
		log_error("cannot watch the names of peers: %s; trying again", strerror(errno));
}

/* To a next key only ginnel-wg gives the prefixes by itself. */
static void follow_keys(struct stay *s)
{
	if (bring_up_is_due(s->b))
		s->pace.now = true;
}

/* A new one is a row here; run() may ask for a look: pace.now. */
static const struct chore {
	unsigned every_ms;
	void (*run)(struct stay *s);
} chores[] = {
	{1000, follow_keys},
	{5000, remember},
	{5000, watch_names},
	{20000, live},
	{600000, stamp},
};

/* When the next one is due. */
static uint64_t do_chores(struct stay *s)
{
	uint64_t due = UINT64_MAX;

	_Static_assert(array_size(chores) <= array_size(s->next_ms), "each has its time");
	for (size_t i = 0; i < array_size(chores); i++) {
		if (s->next_ms[i] <= now_ms()) {
			chores[i].run(s);
			s->next_ms[i] = now_ms() + chores[i].every_ms;
		}
		due = min(due, s->next_ms[i]);
	}
	return due;
}

/* ---- what is heard ---- */

static void hear_signals(struct stay *s)
{
	struct signalfd_siginfo info;

	while (read(s->signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		if (info.ssi_signo != SIGHUP) {
			s->ended = true;
			continue;
		}
		(void)notify_say(&s->notify, "RELOADING=1\nMONOTONIC_USEC=%llu",
			(unsigned long long)(clock_ns(CLOCK_MONOTONIC) / 1000));
		s->pace.now = true;
	}
}

/* The bundle that is kept was replaced. */
static void hear_bundle(struct stay *s)
{
	_Alignas(struct inotify_event) char events[4096];
	char path[BUNDLE_PATH_MAX];
	ssize_t n;

	if (bundle_path(s->b->interface, path) < 0)
		return;
	while ((n = read(s->inotify, events, sizeof(events))) > 0) {
		for (ssize_t at = 0; at < n;) {
			const struct inotify_event *e = (const void *)(events + at);

			if (e->mask & IN_Q_OVERFLOW || (e->len && !strcmp(e->name, strrchr(path, '/') + 1)))
				s->pace.now = true;
			at += (ssize_t)sizeof(*e) + e->len;
		}
	}
}

/* It never ends by itself; watch_names() starts another. */
static void hear_names_end(struct stay *s)
{
	while (waitpid(s->names_pid, NULL, 0) < 0 && errno == EINTR)
		;
	close(s->names);
	s->names = -1;
}

static void hear(struct stay *s, uint64_t until_ms)
{
	struct pollfd p[] = {
		{.fd = s->signals, .events = POLLIN},
		{.fd = s->drift.route, .events = POLLIN},
		{.fd = s->drift.filter, .events = POLLIN},
		{.fd = s->inotify, .events = POLLIN},
		{.fd = s->names, .events = POLLIN},
	};
	uint64_t now = now_ms();

	if (poll(p, array_size(p), until_ms > now ? (int)min(until_ms - now, (uint64_t)60000) : 0) <= 0)
		return;
	if (p[0].revents)
		hear_signals(s);
	for (size_t i = 1; i <= 2; i++)
		if (p[i].revents && drift_heard(p[i].fd))
			pace_hear(&s->pace, now_ms());
	if (p[3].revents)
		hear_bundle(s);
	if (p[4].revents)
		hear_names_end(s);
}

/* ---- the look ---- */

static void say_ready(const struct stay *s, bool failed)
{
	(void)notify_say(&s->notify, "READY=1\nSTATUS=%s%s", s->b->interface,
		failed ? ": not all is in force, as the log says; trying again" : " is up");
}

static void look(struct stay *s)
{
	unsigned before = s->b->audit.n;
	int r;

	s->quiet = s->pace.heard_ms || s->pace.now ? 0 : s->quiet + 1;
	s->b->ask = !s->begun || s->quiet == ASK_AGAIN;
	if (s->b->ask)
		s->quiet = 0;
	r = bring_up(s->b);
	s->b->ask_again = false;
	s->begun = true;
	pace_looked(&s->pace, now_ms(), s->b->audit.n != before, r < 0);
	say_ready(s, r < 0);
}

/* The first time: what cannot come right by itself ends it.  A hub that does not answer is waited for later. */
static int begin(struct stay *s)
{
	static const uint8_t none[HASH_LEN];
	int r;

	s->b->brief = true;
	r = bring_up(s->b);
	s->b->brief = false;
	s->b->from = NULL;
	s->b->renew = false;
	if (r < 0 && !memcmp(s->b->last, none, HASH_LEN)) {
		if (!bring_up_lacks(r))
			return r;
		log_error("nothing stays up for %s: mend that and start this again", s->b->interface);
		return -ENOKEY;
	}
	s->inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (s->inotify < 0 || inotify_add_watch(s->inotify, ENGINE_STATE_DIR, IN_MOVED_TO) < 0) {
		r = -errno;
		log_error("cannot watch %s: %s", ENGINE_STATE_DIR, strerror(-r));
		return r;
	}
	log_info("%s%s stays so: what others change is repaired, until SIGTERM or ginnel down", s->b->interface,
		r < 0 ? " is not all in force yet, is tried again and" : "");
	say_ready(s, r < 0);
	/* Once more, now that changes are heard: none is missed in between. */
	return 0;
}

bool stay_is_to_end(void)
{
	sigset_t pending;

	return sigpending(&pending) == 0 && (sigismember(&pending, SIGTERM) > 0 || sigismember(&pending, SIGINT) > 0);
}

static int block_signals(int *ret)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	*ret = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return *ret < 0 ? -errno : 0;
}

static int prepare(struct stay *s)
{
	int r = block_signals(&s->signals);

	if (r == 0)
		r = drift_open(&s->drift);
	if (r < 0)
		log_error("cannot hear signals and changes: %s", strerror(-r));
	/* Out of the environment, before a daemon is started that could take it for its own. */
	if (notify_open(&s->notify) < 0)
		log_error("cannot reach the service manager: %s", strerror(errno));
	return r;
}

static void done(struct stay *s)
{
	(void)notify_say(&s->notify, "STOPPING=1");
	if (s->names >= 0 && pidfd_send_signal(s->names, SIGTERM, NULL, 0) == 0)
		hear_names_end(s);
	drift_close(&s->drift);
	notify_close(&s->notify);
	close_fd(&s->signals);
	close_fd(&s->inotify);
	if (s->one >= 0)
		stay_one_leave(s->b->interface, s->one);
}

int stay_run(struct bring_up *b, unsigned clock_wait_s)
{
	cleanup(done) struct stay s = {.b = b, .drift = {-1, -1}, .notify = {-1}, .one = -1, .signals = -1, .inotify = -1, .names = -1};
	int r = stay_one_take(b->interface, &s.one);

	if (r == 0)
		r = prepare(&s);
	if (r == 0 && clock_wait(b->interface, clock_wait_s, &s.notify, s.signals))
		hear_signals(&s);
	if (r < 0 || s.ended)
		return r;
	r = begin(&s);
	s.pace.now = true;
	while (r == 0 && !s.ended) {
		uint64_t due = do_chores(&s);

		if (pace_due(&s.pace) <= now_ms())
			look(&s);
		hear(&s, min(due, pace_due(&s.pace)));
	}
	if (s.ended) {
		remember(&s);
		log_info("ended; %s stays up: ginnel down takes it down", b->interface);
	}
	return r;
}
