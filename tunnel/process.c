#include "tunnel/process.h"

#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>

#define LARGE_BLOCK (128 << 10)

int process_adopt_fd(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ||
		fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
		return -errno;
	return 0;
}

static int close_between(unsigned first, unsigned last)
{
	int fd;

	if (first > last || syscall(SYS_close_range, first, last, 0) >= 0)
		return 0;
	if (errno != ENOSYS && errno != EPERM)
		return -errno;
	/* Before Linux 5.9, or where a container's filter does not know the call. */
	for (fd = (int)first; fd < (int)min(last, 65536u); fd++)
		close(fd);
	return 0;
}

int process_close_others(const int keep[], size_t n)
{
	unsigned first = 3;

	for (;;) {
		/* The lowest that is kept from here on. */
		unsigned next = UINT_MAX;
		int r;

		for (size_t i = 0; i < n; i++)
			if (keep[i] >= (int)first)
				next = min(next, (unsigned)keep[i]);
		r = close_between(first, next == UINT_MAX ? next : next - 1);
		if (r < 0)
			return r;
		if (next == UINT_MAX)
			break;
		first = next + 1;
	}
	for (int fd = 0; fd <= 2; fd++)
		/* The lowest that is free is this one.  It outlives an exec. */
		if (fcntl(fd, F_GETFD) < 0 && errno == EBADF && open("/dev/null", O_RDWR) < 0)
			return -errno;
	return 0;
}

int process_own_stderr(void)
{
	cleanup(close_fd) int fd = -1;
	struct stat st;

	if (fstat(STDERR_FILENO, &st) < 0)
		return -errno;
	/* Of a file, an open file of our own would write elsewhere; a socket cannot be opened. */
	if (!S_ISFIFO(st.st_mode) && !isatty(STDERR_FILENO))
		return 0;
	fd = open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	return fd < 0 || dup2(fd, STDERR_FILENO) < 0 ? -errno : 0;
}

/* Put /dev/null on the standard descriptors from ${first} to ${last}. */
static int null_over(int first, int last)
{
	cleanup(close_fd) int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null < 0)
		return -errno;
	for (int fd = first; fd <= last; fd++)
		if (dup2(null, fd) < 0)
			return -errno;
	if (null <= 2)
		null = -1; /* it took the place of one that was closed */
	return 0;
}

/*
 * The parent's end: 0 when the child said that it is ready, 1 when it is gone without.  No cleanup:
 * all that we have is its.
 */
static _Noreturn void wait_for_child(pid_t child, int ready_fd)
{
	sigset_t none;
	char byte;
	ssize_t n;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	do {
		n = read(ready_fd, &byte, 1);
	} while (n < 0 && errno == EINTR);
	if (n == 1)
		_exit(0);
	/* Alive or not, it must not go on behind the back of who was told that it failed. */
	if (n < 0) {
		log_error("cannot hear from the daemon: %s", strerror(errno));
		kill(child, SIGTERM);
	}
	while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
		;
	_exit(1);
}

int process_daemonise(bool orphan, int *ret_ready_fd)
{
	int ends[2], r;
	pid_t child;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	child = fork();
	if (child < 0) {
		r = -errno;
		close(ends[0]);
		close(ends[1]);
		return r;
	}
	if (child) {
		close(ends[1]);
		wait_for_child(child, ends[0]);
	}
	close(ends[0]);
	child = orphan ? fork() : 0;
	if (child > 0)
		_exit(0);
	if (child < 0)
		return -errno;
	/* fork() leaves neither a leader of a process group nor of a session: this works. */
	r = setsid() < 0 || chdir("/") < 0 ? -errno : null_over(0, 1);
	/* On an error too: the parent waits until we are gone. */
	*ret_ready_fd = ends[1];
	return r;
}

void process_ready(int ready_fd, bool keep_stderr)
{
	if (ready_fd < 0)
		return;
	if (!keep_stderr)
		/*
		 * Standard input is /dev/null since process_daemonise(); nothing may be opened any
		 * more.
		 */
		dup2(STDIN_FILENO, STDERR_FILENO);
	/*
	 * Without a parent nobody waits; SIGPIPE is ignored by then, or ends what nobody started.
	 */
	while (write(ready_fd, "", 1) < 0 && errno == EINTR)
		;
	close(ready_fd);
}

int process_protect(void)
{
	static const struct rlimit none = {0, 0};

	umask(077);
	if (setrlimit(RLIMIT_CORE, &none) < 0)
		return -errno;
	return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ? -errno : 0;
}

int process_need_stack(size_t bytes)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_STACK, &r) < 0)
		return -errno;
	if (r.rlim_cur >= bytes)
		return 0;
	r.rlim_cur = bytes;
	r.rlim_max = max(r.rlim_max, r.rlim_cur);
	return setrlimit(RLIMIT_STACK, &r) < 0 ? -errno : 0;
}

void process_keep_small(void)
{
	(void)mallopt(M_MMAP_THRESHOLD, LARGE_BLOCK);
}

int process_lock_memory(void)
{
	static const struct rlimit any = {RLIM_INFINITY, RLIM_INFINITY};

	/* Under a limit, which counts what is only reserved too, memory would be refused later. */
	if (setrlimit(RLIMIT_MEMLOCK, &any) < 0)
		return -errno;
	return mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) < 0 ? -errno : 0;
}

#define KEPT_CAPABILITIES                                                                          \
	(1u << CAP_NET_ADMIN | 1u << CAP_NET_BROADCAST | 1u << CAP_NET_BIND_SERVICE)

int process_drop_privileges(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct caps[2];

	/* No program that is executed later brings any back. */
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 && errno != EINVAL)
		return -errno;
	for (unsigned cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		/* Without CAP_SETPCAP the set stays; no_new_privs suffices. */
		if ((cap >= 32 || !(KEPT_CAPABILITIES >> cap & 1)) &&
			prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0 && errno != EPERM)
			return -errno;
	if (syscall(SYS_capget, &header, caps) < 0)
		return -errno;
	caps[0].permitted &= KEPT_CAPABILITIES;
	caps[1].permitted = 0;
	for (int i = 0; i < 2; i++) {
		caps[i].effective = caps[i].permitted;
		caps[i].inheritable = 0;
	}
	return syscall(SYS_capset, &header, caps) < 0 ? -errno : 0;
}

static sigset_t ending(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	return set;
}

int process_hold_signals(void)
{
	sigset_t set = ending();

	signal(SIGHUP, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	return sigprocmask(SIG_BLOCK, &set, NULL) < 0 ? -errno : 0;
}

/* It waits again, and for process_signals(). */
static void hold_interrupt(int number, siginfo_t *info, void *context)
{
	sigaddset(&((ucontext_t *)context)->uc_sigmask, number);
	(void)raise(number);
}

void process_show_interrupt(void)
{
	struct sigaction action = {.sa_sigaction = hold_interrupt, .sa_flags = SA_SIGINFO | SA_RESTART};
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	if (sigaction(SIGINT, &action, NULL) >= 0)
		(void)pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

int process_signals(int *ret_fd)
{
	sigset_t set = ending();
	int fd;

	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	/* Somebody who started us with them ignored would never be able to end us. */
	signal(SIGTERM, SIG_DFL);
	signal(SIGINT, SIG_DFL);
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return -errno;
	*ret_fd = fd;
	return 0;
}
