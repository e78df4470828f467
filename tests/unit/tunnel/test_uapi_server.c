/* The real socket in a directory of its own; the device behind it is a fake. */
#include "tunnel/uapi_server.h"

#include "base/buf.h"
#include "base/test.h"
#include "fake_device.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

static char top[] = "/tmp/test_uapi_server.XXXXXX", dir[64], path[128], lock[128];
static struct wg_device dev;
static struct loop *loop;
static struct uapi *uapi;
static struct uapi_server *server;
static unsigned n_gone;

static struct wg_now host_now(void *arg)
{
	return (struct wg_now){0};
}

static int set_port(void *arg, uint16_t p)
{
	return 0;
}

static uint16_t get_port(void *arg)
{
	return 51820;
}

static int set_mark(void *arg, uint32_t m)
{
	return 0;
}

static uint32_t get_mark(void *arg)
{
	return 0;
}

static void gone(void *arg)
{
	n_gone++;
}

static void down(void)
{
	uapi_server_free(server);
	uapi_free(uapi);
	loop_free(loop);
	if (dev.calls.max)
		fake_device_done(&dev);
	dev.calls.max = 0;
	server = NULL;
	uapi = NULL;
	loop = NULL;
	unlink(path);
}

static int start_on(int fd)
{
	static const struct uapi_host host = {.now = host_now,
		.set_listen_port = set_port,
		.listen_port = get_port,
		.set_fwmark = set_mark,
		.fwmark = get_mark};
	struct uapi_server_config config = {.dir = dir, .name = "wg7", .fd = fd, .gone = gone};

	fake_device_init(&dev);
	n_gone = 0;
	CHECK_EQ(loop_new(&loop), 0);
	CHECK_EQ(uapi_new(&dev, &host, &uapi), 0);
	config.loop = loop;
	config.uapi = uapi;
	return uapi_server_new(&config, &server);
}

static void start(void)
{
	int fd;

	down();
	CHECK_EQ(uapi_socket_listen(dir, "wg7", &fd), 0);
	CHECK_EQ(start_on(fd), 0);
}

/* Let the server do all that it can do without waiting. */
static void serve(void)
{
	for (int i = 0; i < 1000 && loop_wait(loop, 0) > 0; i++)
		;
}

static int dial(void)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	strcpy(a.sun_path, path);
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0) {
		int e = errno;

		close(fd);
		return -e;
	}
	return fd;
}

static const char *ask(int fd, const char *text)
{
	static char answer[65536];
	size_t len = 0;
	ssize_t n;

	CHECK_EQ(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
	serve();
	while ((n = recv(fd, answer + len, sizeof(answer) - 1 - len, 0)) > 0)
		len += (size_t)n;
	answer[len] = 0;
	return answer;
}

static bool closed(int fd)
{
	char c;

	return recv(fd, &c, 1, 0) == 0;
}

/* ---- the file ---- */

static void file_modes(void)
{
	struct stat st;
	int fd;

	down();
	umask(022);
	CHECK_EQ(uapi_socket_listen(dir, "wg7", &fd), 0);
	CHECK(!stat(path, &st) && S_ISSOCK(st.st_mode));
	CHECK_EQ(st.st_mode & 0777, 0700);
	CHECK(!stat(dir, &st));
	CHECK_EQ(st.st_mode & 0777, 0755);
	CHECK_EQ(umask(022), 022);
	CHECK_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
	uapi_socket_remove(dir, "wg7", fd);
	CHECK(access(path, F_OK) < 0);
	rmdir(dir);
	umask(077);
	CHECK_EQ(uapi_socket_listen(dir, "wg7", &fd), 0);
	CHECK(!stat(dir, &st));
	CHECK_EQ(st.st_mode & 0777, 0755);
	uapi_socket_remove(dir, "wg7", fd);
	CHECK_EQ(uapi_socket_listen(dir,
			 "a-name-that-is-much-too-long-for-the-address-of-a-socket-of-the-family-unix-which-"
			 "has-room-for-108-bytes", &fd),
		-ENAMETOOLONG);
}

static void in_use(void)
{
	int fd, again, flood[200], n = 0;

	down();
	CHECK_EQ(uapi_socket_listen(dir, "wg7", &fd), 0);
	CHECK_EQ(uapi_socket_listen(dir, "wg7", &again), -EADDRINUSE);
	CHECK(!access(path, F_OK));
	/* Even when its backlog is full. */
	while (n < 200 && (flood[n] = dial()) >= 0)
		n++;
	CHECK(n < 200);
	CHECK_EQ(uapi_socket_listen(dir, "wg7", &again), -EADDRINUSE);
	while (n)
		close(flood[--n]);
	/* Somebody died: the file is there, nobody listens. */
	close(fd);
	CHECK(!access(path, F_OK));
	CHECK_EQ(uapi_socket_listen(dir, "wg7", &fd), 0);
	CHECK(dial() >= 0);
	uapi_socket_remove(dir, "wg7", fd);
	/* A file of another kind is nobody's stale socket. */
	fd = open(path, O_CREAT | O_RDWR, 0600);
	CHECK(uapi_socket_listen(dir, "wg7", &again) < 0);
	CHECK(!access(path, F_OK));
	close(fd);
}

/* What any user may do who can read the directory. */
static void others_lock(void)
{
	bool root = geteuid() == 0;
	struct stat st;
	int fd;

	down();
	CHECK(!chmod(top, 0755) && !chmod(dir, 01777));
	fd = open(lock, O_CREAT | O_EXCL | O_RDWR, 0);
	CHECK(fd >= 0 && !fchmod(fd, root ? 0600 : 0));
	close(fd);
	CHECK_EQ(root ? seteuid(65534) : 0, 0);
	CHECK_EQ(uapi_socket_listen(dir, "wg7", &fd), -EOWNERDEAD);
	CHECK_EQ(root ? seteuid(0) : 0, 0);
	if (root) {
		CHECK_EQ(chown(lock, 65534, 65534), 0);
		CHECK_EQ(uapi_socket_listen(dir, "wg7", &fd), 0);
		uapi_socket_remove(dir, "wg7", fd);
	}
	unlink(lock);
	CHECK(lstat(lock, &st) < 0);
	CHECK(!chmod(dir, 0755) && !chmod(top, 0700));
}

static void others_socket(void)
{
	bool root = geteuid() == 0;
	int fd, again;

	down();
	CHECK_EQ(uapi_socket_listen(dir, "wg7", &fd), 0);
	CHECK(!chmod(top, 0755) && !chmod(dir, 01777) && !chmod(path, root ? 0700 : 0));
	for (int dead = 0; dead < 2; dead++) {
		CHECK_EQ(root ? seteuid(65534) : 0, 0);
		CHECK_EQ(uapi_socket_listen(dir, "wg7", &again), -EPERM);
		CHECK_EQ(root ? seteuid(0) : 0, 0);
		CHECK(!access(path, F_OK));
		if (!dead)
			close(fd);
	}
	unlink(path);
	CHECK(!chmod(dir, 0755) && !chmod(top, 0700));
}

static void directory_locked(void)
{
	struct stat st;
	int held, fd;

	down();
	CHECK_EQ(uapi_socket_listen(dir, "wg7", &fd), 0);
	uapi_socket_remove(dir, "wg7", fd);
	held = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK(held >= 0);
	CHECK_EQ(flock(held, LOCK_EX), 0);
	alarm(60);
	CHECK_EQ(uapi_socket_listen(dir, "wg7", &fd), 0);
	alarm(0);
	uapi_socket_remove(dir, "wg7", fd);
	close(held);
	/* And nothing is left that others could hold. */
	CHECK(lstat(lock, &st) < 0);
	/* A lock that somebody died with is taken over; a link in its place leads nowhere. */
	umask(0);
	fd = open(lock, O_CREAT | O_RDWR, 0600);
	close(fd);
	CHECK_EQ(uapi_socket_listen(dir, "wg7", &fd), 0);
	uapi_socket_remove(dir, "wg7", fd);
	CHECK_EQ(symlink(top, lock), 0);
	CHECK_EQ(uapi_socket_listen(dir, "wg7", &fd), -ELOOP);
	unlink(lock);
}

/* Until ${child} waits for the lock on ${inode}; false: it has ended. */
static bool waits_for(pid_t child, ino_t inode)
{
	char line[256], want[64];
	bool found = false;

	snprintf(want, sizeof(want), ":%llu ", (unsigned long long)inode);
	while (!found && !waitpid(child, NULL, WNOHANG)) {
		FILE *f = fopen("/proc/locks", "re");

		CHECK(f);
		while (!found && fgets(line, sizeof(line), f))
			found = strstr(line, "-> FLOCK") && strstr(line, want);
		fclose(f);
		usleep(1000);
	}
	return found;
}

/* Whoever had the lock takes its file away, and a third one has made a new one by then. */
static void lock_taken_away(void)
{
	int first, third, fd, status;
	struct stat st;
	pid_t child;

	down();
	first = open(lock, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	CHECK_EQ(flock(first, LOCK_EX), 0);
	CHECK_EQ(fstat(first, &st), 0);
	child = fork();
	if (!child) {
		close(first);
		_exit(uapi_socket_listen(dir, "wg7", &fd) != 0);
	}
	alarm(60);
	CHECK(waits_for(child, st.st_ino));
	unlink(lock);
	third = open(lock, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
	CHECK_EQ(flock(third, LOCK_EX), 0);
	CHECK_EQ(fstat(third, &st), 0);
	close(first);
	CHECK(waits_for(child, st.st_ino));
	unlink(lock);
	close(third);
	CHECK_EQ(waitpid(child, &status, 0), child);
	alarm(0);
	CHECK_EQ(status, 0);
	CHECK(lstat(lock, &st) < 0);
}

static void many_at_once(void)
{
	for (int round = 0; round < 20; round++) {
		int go[2], result[2], stay[2], winners = 0, losers = 0, stale;
		char byte;

		down();
		CHECK_EQ(uapi_socket_listen(dir, "wg7", &stale), 0);
		close(stale);
		CHECK_EQ(pipe(go), 0);
		CHECK_EQ(pipe(result), 0);
		CHECK_EQ(pipe(stay), 0);
		for (int i = 0; i < 6; i++) {
			if (fork())
				continue;
			int fd, r;

			close(go[1]);
			close(stay[1]);
			(void)!read(go[0], &byte, 1);
			r = uapi_socket_listen(dir, "wg7", &fd);
			byte = (char)(!r ? 'w' : r == -EADDRINUSE ? 'l' : 'x');
			(void)!write(result[1], &byte, 1);
			close(result[1]);
			/* A winner stays until all have tried. */
			(void)!read(stay[0], &byte, 1);
			_exit(0);
		}
		close(go[0]);
		close(go[1]);
		close(result[1]);
		while (read(result[0], &byte, 1) == 1) {
			winners += byte == 'w';
			losers += byte == 'l';
		}
		close(result[0]);
		close(stay[0]);
		close(stay[1]);
		while (wait(NULL) > 0)
			;
		CHECK_EQ(winners, 1);
		CHECK_EQ(losers, 5);
	}
}

static void removed_at_the_end(void)
{
	int fd, other;

	start();
	down();
	CHECK(access(path, F_OK) < 0);
	/* But not another one's. */
	start();
	unlink(path);
	other = open(path, O_CREAT | O_RDWR, 0600);
	uapi_server_free(server);
	server = NULL;
	CHECK(!access(path, F_OK));
	close(other);
	down();
	CHECK_EQ(uapi_socket_listen(dir, "wg7", &fd), 0);
	unlink(path);
	CHECK_EQ(uapi_socket_listen(dir, "wg7", &other), 0);
	uapi_socket_remove(dir, "wg7", fd);
	CHECK(!access(path, F_OK));
	uapi_socket_remove(dir, "wg7", other);
	CHECK(access(path, F_OK) < 0);
}

static void told_when_gone(void)
{
	char moved[160];
	int fd;

	start();
	serve();
	chmod(path, 0777);
	serve();
	CHECK_EQ(n_gone, 0);
	unlink(path);
	serve();
	CHECK_EQ(n_gone, 1);
	serve();
	CHECK_EQ(n_gone, 1);

	start();
	snprintf(moved, sizeof(moved), "%s.moved", path);
	CHECK_EQ(rename(path, moved), 0);
	serve();
	CHECK_EQ(n_gone, 1);
	unlink(moved);

	start();
	fd = open(moved, O_CREAT | O_RDWR, 0600);
	close(fd);
	CHECK_EQ(rename(moved, path), 0);
	serve();
	CHECK_EQ(n_gone, 1);

	/* The file is not touched, but nobody finds it there. */
	start();
	snprintf(moved, sizeof(moved), "%s.moved", dir);
	CHECK_EQ(rename(dir, moved), 0);
	serve();
	CHECK_EQ(n_gone, 1);
	CHECK_EQ(rename(moved, dir), 0);

	/* Gone before anybody could watch. */
	down();
	CHECK_EQ(uapi_socket_listen(dir, "wg7", &fd), 0);
	unlink(path);
	CHECK_EQ(start_on(fd), -ESTALE);
	close(fd);
}

static void listener_fails(void)
{
	int fd;

	down();
	CHECK_EQ(uapi_socket_listen(dir, "wg7", &fd), 0);
	CHECK_EQ(start_on(fd), 0);
	shutdown(fd, SHUT_RDWR);
	serve();
	CHECK_EQ(n_gone, 1);
}

static void adopted(void)
{
	int ends[2], fd, udp = socket(AF_INET, SOCK_DGRAM, 0);

	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	CHECK_EQ(uapi_socket_adopt(ends[0]), -EINVAL);
	CHECK_EQ(uapi_socket_adopt(udp), -EINVAL);
	close(udp);
	close(ends[0]);
	close(ends[1]);
	CHECK_EQ(uapi_socket_adopt(ends[0]), -EBADF);
	fd = open("/dev/null", O_RDONLY);
	CHECK_EQ(uapi_socket_adopt(fd), -ENOTSOCK);
	close(fd);
	down();
	CHECK_EQ(uapi_socket_listen(dir, "wg7", &fd), 0);
	fcntl(fd, F_SETFD, 0);
	fcntl(fd, F_SETFL, 0);
	CHECK_EQ(uapi_socket_adopt(fd), 0);
	CHECK_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
	CHECK(fcntl(fd, F_GETFL) & O_NONBLOCK);
	CHECK_EQ(start_on(fd), 0);
	fd = dial();
	CHECK_STR(ask(fd, "get=1\n\n"), "listen_port=51820\nerrno=0\n\n");
	close(fd);
}

/* ---- clients ---- */

static void several(void)
{
	char text[128];
	int a, b, c;
	ssize_t n;

	start();
	a = dial();
	b = dial();
	c = dial();
	/* wg(8) probes like this. */
	close(c);
	serve();
	CHECK_STR(ask(a, "set=1\nreplace_peers=tr"), "");
	CHECK_STR(ask(b, "get=1\n\n"), "listen_port=51820\nerrno=0\n\n");
	CHECK_STR(ask(a, "ue\n\n"), "errno=0\n\n");
	CHECK_STR(ask(a, "set=1\nx=1\n\nget=1\n\n"), "errno=-22\n\nlisten_port=51820\nerrno=0\n\n");
	CHECK_STR(ask(b, "set=1\n\nwhat\n\n"), "errno=0\n\n");
	CHECK(closed(b));
	CHECK(!closed(a));
	/* Half closed, it still gets its answer. */
	CHECK_EQ(send(a, "get=1\n\n", 7, 0), 7);
	shutdown(a, SHUT_WR);
	serve();
	n = recv(a, text, sizeof(text) - 1, 0);
	CHECK(n > 0);
	text[n] = 0;
	CHECK_STR(text, "listen_port=51820\nerrno=0\n\n");
	CHECK(closed(a));
	close(a);
	close(b);
}

static void too_many(void)
{
	int fds[UAPI_CLIENTS_MAX], last;

	start();
	for (int i = 0; i < UAPI_CLIENTS_MAX; i++) {
		fds[i] = dial();
		serve();
	}
	/* The first is not the one silent longest: it just spoke. */
	CHECK_STR(ask(fds[0], "set=1\n\n"), "errno=0\n\n");
	last = dial();
	CHECK_STR(ask(last, "set=1\n\n"), "errno=0\n\n");
	CHECK(closed(fds[1]));
	CHECK(!closed(fds[0]) && !closed(fds[2]));
	for (int i = 0; i < UAPI_CLIENTS_MAX; i++)
		close(fds[i]);
	close(last);
}

static void out_of_descriptors(void)
{
	struct rlimit old, few;
	int a, b, busy = 0, filler[64], n = 0;
	char c;

	start();
	a = dial();
	b = dial();
	getrlimit(RLIMIT_NOFILE, &old);
	few = old;
	few.rlim_cur = 60;
	setrlimit(RLIMIT_NOFILE, &few);
	while (n < 64 && (filler[n] = dup(0)) >= 0)
		n++;
	CHECK(n < 64);
	while (busy < 50 && loop_wait(loop, 0) > 0)
		busy++;
	setrlimit(RLIMIT_NOFILE, &old);
	while (n)
		close(filler[--n]);
	/* It neither spins nor leaves them waiting. */
	CHECK(busy < 50);
	CHECK_EQ(recv(a, &c, 1, 0), 0);
	CHECK_EQ(recv(b, &c, 1, 0), 0);
	close(a);
	close(b);
	a = dial();
	CHECK_STR(ask(a, "set=1\n\n"), "errno=0\n\n");
	close(a);
}

static void large_and_stalled(void)
{
	struct buf text = buf_of_max(32u << 20);
	static char piece[1 << 16];
	size_t got = 0, done = 0;
	int a, b, c, small = 4096;
	ssize_t n;

	start();
	buf_puts(&text, "set=1\npublic_key=");
	buf_printf(&text, "%064x\n", 1);
	for (unsigned i = 0; i < 3000; i++)
		buf_printf(&text, "allowed_ip=fd00:1111:2222:3333:4444:5555:6666:%x/128\n", i + 1);
	buf_puts(&text, "\n");
	a = dial();
	b = dial();
	c = dial();
	setsockopt(a, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	while (done < text.len) {
		n = send(c, text.data + done, text.len - done, MSG_NOSIGNAL);
		if (n > 0)
			done += (size_t)n;
		serve();
	}
	CHECK_STR(ask(c, ""), "errno=0\n\n");
	/* Asks a hundred times for 150 kB and reads nothing: */
	for (int i = 0; i < 100; i++)
		CHECK_EQ(send(a, "get=1\n\n", 7, MSG_NOSIGNAL), 7);
	serve();
	CHECK_EQ(loop_wait(loop, 0), 0);
	/* nobody else minds, and what it gets, late, is whole. */
	CHECK_STR(ask(b, "set=1\n\n"), "errno=0\n\n");
	for (int idle = 0; idle < 3;) {
		n = recv(a, piece, sizeof(piece), 0);
		idle = n > 0 ? 0 : idle + 1;
		got += n > 0 ? (size_t)n : 0;
		serve();
	}
	CHECK(got > 100 * 3000 * 50);
	CHECK_EQ(got % 100, 0);
	/* Dies with an answer under way. */
	CHECK_EQ(send(a, "get=1\n\n", 7, MSG_NOSIGNAL), 7);
	serve();
	close(a);
	serve();
	CHECK_STR(ask(b, "set=1\n\n"), "errno=0\n\n");
	close(b);
	close(c);
	buf_done(&text);
}

int main(void)
{
	CHECK(mkdtemp(top));
	snprintf(dir, sizeof(dir), "%s/run/wg", top);
	snprintf(path, sizeof(path), "%s/wg7.sock", dir);
	snprintf(lock, sizeof(lock), "%s/.lock", dir);
	test_run("the socket is its owner's alone, its directory everybody's to look into [uapi-socket-path]", file_modes);
	test_run("a socket that is listened on is in use, a dead one is replaced [uapi-in-use] [uapi-stale-socket]", in_use);
	test_run("a user who holds a lock on the directory does not stop the start [uapi-dir-lock]", directory_locked);
	test_run("a lock that another user died with is told apart, and no obstacle to root [uapi-dir-lock]", others_lock);
	test_run("a socket of another user, living or dead, is left alone and told apart [uapi-others]", others_socket);
	test_run("who waits for a lock that is taken away waits for the next one [uapi-dir-lock]", lock_taken_away);
	test_run("of six daemons that start at once, one wins [uapi-in-use]", many_at_once);
	test_run("the socket is removed at the end, another one's is not [proc-socket-removed]", removed_at_the_end);
	test_run("removal, renaming and replacement of the socket are noticed, once [proc-socket-unlinked]", told_when_gone);
	test_run("a listener that fails is like one that is gone [proc-listener-error]", listener_fails);
	test_run("an inherited listening socket is served, anything else refused [env-fd]", adopted);
	test_run("many clients, probes and half closed ones are served [uapi-many-clients]", several);
	test_run("with all places taken, the one silent longest goes [uapi-many-clients]", too_many);
	test_run("without descriptors newcomers are turned away, without spinning [uapi-many-clients]", out_of_descriptors);
	test_run("a client that does not read holds up nobody and loses nothing [uapi-slow-client]", large_and_stalled);
	down();
	rmdir(dir);
	dir[strlen(dir) - 3] = 0;
	rmdir(dir);
	rmdir(top);
	return test_done();
}
