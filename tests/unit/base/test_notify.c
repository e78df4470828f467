#include "base/notify.h"

#include "base/test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

/* The manager's end, under an abstract name or a path. */
static int manager(const char *name)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	memcpy(a.sun_path, name, strlen(name));
	if (*name == '@')
		a.sun_path[0] = '\0';
	CHECK(bind(fd, (struct sockaddr *)&a, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name))) == 0);
	setenv("NOTIFY_SOCKET", name, 1);
	return fd;
}

/* The next message, and the descriptors that came with it. */
static const char *heard(int fd, int fds[8], size_t *ret_n)
{
	static char text[2048];
	union {
		struct cmsghdr	header;
		char		room[CMSG_SPACE(8 * sizeof(int))];
	} control;
	struct iovec iov = {.iov_base = text, .iov_len = sizeof(text) - 1};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
	struct cmsghdr *c;
	ssize_t n = recvmsg(fd, &m, MSG_CMSG_CLOEXEC);

	*ret_n = 0;
	if (n < 0)
		return "";
	text[n] = '\0';
	c = CMSG_FIRSTHDR(&m);
	if (c) {
		*ret_n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		memcpy(fds, CMSG_DATA(c), *ret_n * sizeof(int));
	}
	return text;
}

static void nobody(void)
{
	struct notify n;
	int fd = 0;

	unsetenv("NOTIFY_SOCKET");
	CHECK_EQ(notify_open(&n), 0);
	CHECK_EQ(notify_say(&n, "READY=1"), 0);
	CHECK_EQ(notify_keep(&n, "tun", &fd, 1), 0);
	notify_close(&n);
	setenv("NOTIFY_SOCKET", "/nonexistent/socket", 1);
	CHECK_EQ(notify_open(&n), -ENOENT);
	CHECK_EQ(notify_say(&n, "READY=1"), 0);
}

/* Another run of this test may be under way. */
static const char *abstract_name(void)
{
	static char name[64];

	snprintf(name, sizeof(name), "@ginnel-test-notify.%d", getpid());
	return name;
}

static void says(void)
{
	static char long_text[4096];
	char path[64];
	int fds[8];
	size_t n_fds;

	snprintf(path, sizeof(path), "/tmp/ginnel-notify.%d", getpid());
	unlink(path);
	memset(long_text, 'x', sizeof(long_text) - 1);
	for (unsigned abstract = 0; abstract < 2; abstract++) {
		struct notify n;
		int fd = manager(abstract ? abstract_name() : path);

		CHECK_EQ(notify_open(&n), 0);
		CHECK(!getenv("NOTIFY_SOCKET"));
		CHECK_EQ(notify_say(&n, "READY=1\nMAINPID=%d", 7), 0);
		CHECK_STR(heard(fd, fds, &n_fds), "READY=1\nMAINPID=7");
		CHECK_EQ(n_fds, 0);
		CHECK_EQ(notify_forget(&n, "tun"), 0);
		CHECK_STR(heard(fd, fds, &n_fds), "FDSTOREREMOVE=1\nFDNAME=tun");
		CHECK_EQ(notify_say(&n, "STATUS=%s", long_text), -E2BIG);
		CHECK_STR(heard(fd, fds, &n_fds), "");
		notify_close(&n);
		close(fd);
		unlink(path);
	}
}

static void never_waits(void)
{
	struct notify n;
	int fd = manager(abstract_name()), r = 0;

	CHECK_EQ(notify_open(&n), 0);
	for (unsigned i = 0; i < 100000 && r == 0; i++)
		r = notify_say(&n, "STATUS=busy");
	CHECK_EQ(r, -EAGAIN);
	notify_close(&n);
	close(fd);
}

static void keeps(void)
{
	struct notify n;
	struct stat a, b;
	int fd = manager(abstract_name()), ends[2], fds[8], many[NOTIFY_FDS_MAX + 1] = {0};
	size_t n_fds;

	CHECK(pipe(ends) == 0);
	CHECK_EQ(notify_open(&n), 0);
	CHECK_EQ(notify_keep(&n, "tun", ends, 2), 0);
	CHECK_STR(heard(fd, fds, &n_fds), "FDSTORE=1\nFDNAME=tun\nFDPOLL=0");
	CHECK_EQ(n_fds, 2);
	CHECK(fstat(ends[1], &a) == 0 && fstat(fds[1], &b) == 0 && a.st_ino == b.st_ino);
	CHECK_EQ(notify_keep(&n, "tun", many, NOTIFY_FDS_MAX + 1), -E2BIG);
	close(fds[0]);
	close(fds[1]);
	close(ends[0]);
	close(ends[1]);
	notify_close(&n);
	close(fd);
}

static size_t kept(const char *pid, const char *count, const char *names, int ret[NOTIFY_FDS_MAX])
{
	char self[16];

	snprintf(self, sizeof(self), "%d", getpid());
	notify_kept_done();
	if (pid)
		setenv("LISTEN_PID", *pid ? pid : self, 1);
	if (count)
		setenv("LISTEN_FDS", count, 1);
	if (names)
		setenv("LISTEN_FDNAMES", names, 1);
	return notify_kept("tun", ret);
}

static void given_back(void)
{
	int fds[NOTIFY_FDS_MAX];

	CHECK_EQ(kept("", "3", "tun:other:tun", fds), 2);
	CHECK(fds[0] == 3 && fds[1] == 5);
	CHECK_EQ(kept("", "1", "tun:tun", fds), 1);
	CHECK_EQ(kept("", "3", "tun", fds), 1);
	CHECK_EQ(kept("", "2", "tunnel:tu", fds), 0);
	CHECK_EQ(kept("1", "1", "tun", fds), 0);
	CHECK_EQ(kept(NULL, "1", "tun", fds), 0);
	CHECK_EQ(kept("", NULL, "tun", fds), 0);
	CHECK_EQ(kept("", "1", NULL, fds), 0);
	CHECK_EQ(kept("", "x", "tun", fds), 0);
	CHECK_EQ(kept("", "-1", "tun", fds), 0);
	notify_kept_done();
	CHECK(!getenv("LISTEN_PID") && !getenv("LISTEN_FDS") && !getenv("LISTEN_FDNAMES"));
}

int main(void)
{
	test_run("without a service manager nothing is told, and nothing fails [notify-say]", nobody);
	test_run("the service manager is told, by a path and by an abstract name [notify-say]", says);
	test_run("a service manager that does not read holds nothing up [notify-say]", never_waits);
	test_run("descriptors are given to the service manager, all in one message [notify-keep]", keeps);
	test_run("descriptors that it gives back are found by name, and only when they are meant for us [notify-keep]",
		given_back);
	return test_done();
}
