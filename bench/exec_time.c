/*
 * bench/exec_time.c - how long after its exec a daemon is there.
 *
 *	exec_time NS SOCKET PROGRAM ARGS...
 *
 * Runs the program in that host and prints, as JSON, the milliseconds until SOCKET takes a
 * connection and until it has answered the first request.  Then ends the program and waits for it.
 */
#include "bench/net.h"

#include <signal.h>
#include <sys/un.h>
#include <sys/wait.h>

#define GIVE_UP_NS (20 * SECOND_NS)
#define POLL_NS 20000

/* The child's clock starts with the exec; what the pipe carries is that moment. */
static void run(const char *ns, int clock_fd, char *argv[])
{
	int null = open("/dev/null", O_RDWR);
	uint64_t start;

	enter_netns(ns);
	dup2(null, 0);
	dup2(null, 1);
	dup2(null, 2);
	setenv("WG_PROCESS_FOREGROUND", "1", 1);
	setenv("LOG_LEVEL", "silent", 1);
	start = now_ns();
	if (write(clock_fd, &start, sizeof(start)) != sizeof(start))
		_exit(126);
	execv(argv[0], argv);
	_exit(127);
}

static int connect_to(const char *path)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(un.sun_path, sizeof(un.sun_path), "%s", path);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&un, sizeof(un)) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

int main(int argc, char *argv[])
{
	uint64_t start, connected, answered;
	char answer[4096];
	int fds[2], fd = -1, status;
	size_t len = 0;
	pid_t pid;

	if (argc < 4) {
		fprintf(stderr, "usage: exec_time NS SOCKET PROGRAM ARGS...\n");
		return 2;
	}
	exact_sleeps();
	if (pipe(fds) < 0)
		die("pipe");
	pid = fork();
	if (pid < 0)
		die("fork");
	if (!pid)
		run(argv[1], fds[1], argv + 3);
	if (read(fds[0], &start, sizeof(start)) != sizeof(start))
		die("the program's start");
	while ((fd = connect_to(argv[2])) < 0) {
		if (waitpid(pid, &status, WNOHANG) == pid || now_ns() - start > GIVE_UP_NS) {
			fprintf(stderr, "%s did not come up\n", argv[3]);
			kill(pid, SIGKILL);
			return 1;
		}
		sleep_until(now_ns() + POLL_NS);
	}
	connected = now_ns();
	if (write(fd, "get=1\n\n", 7) != 7)
		die("write");
	while (len < 2 || memcmp(answer + len - 2, "\n\n", 2)) {
		ssize_t n = read(fd, answer + len, sizeof(answer) - len);

		if (n <= 0) {
			fprintf(stderr, "%s did not answer\n", argv[3]);
			kill(pid, SIGKILL);
			return 1;
		}
		len += (size_t)n;
	}
	answered = now_ns();
	close(fd);
	kill(pid, SIGTERM);
	waitpid(pid, &status, 0);
	printf("{\"socket_ms\": %.3f, \"answer_ms\": %.3f}\n", (double)(connected - start) / 1e6,
		(double)(answered - start) / 1e6);
	return 0;
}
