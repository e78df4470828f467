#include "base/program.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>

int program_beside(const char *name, char ret[PATH_MAX])
{
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;

	if (n < 0)
		return -errno;
	self[n] = '\0';
	slash = strrchr(self, '/');
	if (!slash || (size_t)n == sizeof(self) - 1)
		return -ENAMETOOLONG;
	slash[1] = '\0';
	n = snprintf(ret, PATH_MAX, "%s%s", self, name);
	return n >= PATH_MAX ? -ENAMETOOLONG : 0;
}

/* A program that reads nothing must not end us, hence a socket: it takes MSG_NOSIGNAL. */
static int feed(int fd, const struct buf *input, size_t *at)
{
	ssize_t n = send(fd, input->data + *at, input->len - *at, MSG_NOSIGNAL | MSG_DONTWAIT);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	*at += (size_t)n;
	return 0;
}

/* False: it says no more. */
static bool hear(int fd, struct buf *said)
{
	char piece[4096];
	ssize_t n = read(fd, piece, sizeof(piece));

	if (n > 0)
		buf_put(said, piece, min((size_t)n, said->max - said->len));
	return n > 0 || (n < 0 && errno == EINTR);
}

/* Both at once: who waits for the one must not keep the other waiting. */
static void talk(int to, const struct buf *input, int from, struct buf *said)
{
	size_t at = 0;

	while ((input && to >= 0) || (said && from >= 0)) {
		struct pollfd p[2] = {{.fd = to, .events = POLLOUT}, {.fd = from, .events = POLLIN}};

		if (poll(p, 2, -1) < 0 && errno != EINTR)
			return;
		if (input && p[0].revents && (feed(to, input, &at) < 0 || at == input->len)) {
			shutdown(to, SHUT_WR);
			to = -1;
		}
		if (said && p[1].revents && !hear(from, said))
			from = -1;
	}
}

static int wait_for(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

int program_run(char *const argv[], const struct buf *input, int in_fd, int log_fd, struct buf *said)
{
	cleanup(close_fd) int to = -1, its_in = -1, from = -1, its_out = -1;
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t none;
	int in[2], out[2], r;
	pid_t pid;

	if (input && input->len) {
		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, in) < 0)
			return -errno;
		to = in[0];
		its_in = in[1];
	} else {
		its_in = in_fd >= 0 ? fcntl(in_fd, F_DUPFD_CLOEXEC, 3) : open("/dev/null", O_RDONLY | O_CLOEXEC);
		if (its_in < 0)
			return -errno;
	}
	if (said) {
		if (pipe2(out, O_CLOEXEC) < 0)
			return -errno;
		from = out[0];
		its_out = out[1];
	}
	r = posix_spawn_file_actions_init(&actions);
	if (r)
		return -r;
	r = posix_spawn_file_actions_adddup2(&actions, its_in, STDIN_FILENO);
	for (int fd = STDOUT_FILENO; !r && fd <= STDERR_FILENO && (said || log_fd >= 0); fd++)
		r = posix_spawn_file_actions_adddup2(&actions, said ? its_out : log_fd, fd);
	/* Signals that are blocked here are not its business. */
	sigemptyset(&none);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
	if (!r)
		r = posix_spawnp(&pid, argv[0], &actions, &attributes, argv, environ);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&actions);
	if (r)
		return -r;
	/* Ends that only the program may hold. */
	close(its_in);
	its_in = -1;
	close_fd(&its_out);
	its_out = -1;
	talk(to, input, from, said);
	return wait_for(pid);
}
