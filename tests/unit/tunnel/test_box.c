/* What the daemon's box refuses, each thing tried in a process of its own that is inside; and that
 * what it needs still works. */
#include "base/sandbox.h"
#include "base/test.h"
#include "tunnel/box.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/sched.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>

/* Results of a child: 0, an errno, or one of ours from 150 on; what a sanitizer exits with is none
 * of them. */
#define ENDED_BY(sig) (1000 + (sig))
#define ENDED_WITH(status) (2000 + (status))
#define STATUS_OF(result) ((result) ? 100 + (result) : 0)

static char dir[64]; /* with "elsewhere/", "link" to elsewhere, and "elsewhere/s.sock" listening at
			${listener} */
static int listener = -1;

/* ---- a process inside ---- */

enum box {
	OUTSIDE,
	BOX_FILES,
	BOX_CALLS,
	BOX_BOTH,
};

/* Run ${fn} in a child in that box and return its result, or ENDED_BY(), or ENDED_WITH(). */
static int in_box(enum box box, int (*fn)(void))
{
	pid_t child = fork();
	int status;

	if (!child) {
		int r;

		if ((box == BOX_FILES || box == BOX_BOTH) &&
			box_shut_files(listener, "/nonexistent", NULL, false) < 0)
			_exit(STATUS_OF(154));
		if ((box == BOX_CALLS || box == BOX_BOTH) && box_shut_calls(false) < 0)
			_exit(STATUS_OF(154));
		r = fn();
		_exit(r < 0 || r > 154 ? 99 : STATUS_OF(r));
	}
	if (child < 0 || waitpid(child, &status, 0) < 0)
		return -1;
	if (WIFSIGNALED(status))
		return ENDED_BY(WTERMSIG(status));
	status = WEXITSTATUS(status);
	return status > 100 ? status - 100 : status ? ENDED_WITH(status) : 0;
}

static int result(long r)
{
	return r < 0 ? errno : 0;
}

/* ---- system calls ---- */

static int open_to_read(void)
{
	return result(open("/etc/passwd", O_RDONLY));
}

static int open_to_write(void)
{
	return result(open("/dev/null", O_WRONLY));
}

static int open_by_the_newest_call(void)
{
	uint64_t how[3] = {O_RDONLY};

	return result(syscall(SYS_openat2, AT_FDCWD, "/etc/passwd", how, sizeof(how)));
}

static int make_dir(void)
{
	return result(mkdir("/etc/passwd", 0700));
}

static int rename_file(void)
{
	return result(rename("/nonexistent/a", "/nonexistent/b"));
}

static int change_mode(void)
{
	return result(chmod("/nonexistent", 0777));
}

static int execute(void)
{
	char name[] = "/bin/true", *argv[] = {name, NULL};

	return result(execve(name, argv, argv + 1));
}

static int execute_descriptor(void)
{
	char name[] = "true", *argv[] = {name, NULL};

	return result(syscall(SYS_execveat, -1, "", argv, argv + 1, AT_EMPTY_PATH));
}

static int fork_process(void)
{
	pid_t child = fork();

	if (!child)
		_exit(0);
	return result(child);
}

static int clone_by_the_newest_call(void)
{
	struct clone_args args = {.exit_signal = SIGCHLD};
	long child = syscall(SYS_clone3, &args, sizeof(args));

	if (!child)
		_exit(0);
	return result(child);
}

static void *nothing(void *arg)
{
	return arg;
}

static int start_thread(void)
{
	pthread_t t;
	int r = pthread_create(&t, NULL, nothing, NULL);

	if (!r)
		pthread_join(t, NULL);
	return r;
}

static int socket_packet(void)
{
	return result(socket(AF_PACKET, SOCK_RAW, 0));
}

static int socket_raw(void)
{
	return result(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP));
}

static int socket_tcp(void)
{
	return result(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
}

static int socket_tcp6(void)
{
	return result(socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK, 0));
}

/* Who may make these is a setting of the kernel, which refuses with another error. */
static int socket_ping(void)
{
	int r = result(socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP));

	return r == EACCES ? 0 : r;
}

static int socket_ping6(void)
{
	int r = result(socket(AF_INET6, SOCK_DGRAM, IPPROTO_ICMPV6));

	return r == EACCES ? 0 : r;
}

static int socket_unix(void)
{
	return result(socket(AF_UNIX, SOCK_STREAM, 0));
}

static int socket_netfilter(void)
{
	return result(socket(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER));
}

static int socket_udp_as_tcp(void)
{
	/* The upper half of a register is not the kernel's concern. */
	return result(syscall(SYS_socket, (1l << 32) | AF_INET, (1l << 32) | SOCK_STREAM, 0));
}

static int listen_again(void)
{
	return result(listen(listener, 1));
}

static int option_foreign(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0), one = 1;

	if (fd < 0)
		return 152;
	return result(setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &one, sizeof(one)));
}

static int ioctl_foreign(void)
{
	struct ifreq ifr = {.ifr_name = "lo"};
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	if (fd < 0)
		return 152;
	return result(ioctl(fd, SIOCGIFFLAGS, &ifr));
}

static int terminal_input(void)
{
	char c = 'x';

	return result(ioctl(listener, TIOCSTI, &c));
}

static int trace(void)
{
	return result(ptrace(PTRACE_TRACEME, 0, NULL, NULL));
}

static int read_process(void)
{
	char c;
	struct iovec mine = {&c, 1}, its = {&c, 1};

	return result(syscall(SYS_process_vm_readv, getpid(), &mine, 1, &its, 1, 0));
}

static int write_process(void)
{
	char c = 0, d = 0;
	struct iovec mine = {&c, 1}, its = {&d, 1};

	return result(syscall(SYS_process_vm_writev, getpid(), &mine, 1, &its, 1, 0));
}

static int mount_something(void)
{
	return result(mount("none", "/nonexistent", "nonexistent", 0, NULL));
}

static int unshare_namespace(void)
{
	return result(unshare(CLONE_NEWUTS));
}

static int enter_namespace(void)
{
	return result(setns(-1, CLONE_NEWNET));
}

static int signal_parent(void)
{
	return result(kill(getppid(), 0));
}

static int signal_parent_thread(void)
{
	return result(syscall(SYS_tgkill, getppid(), getppid(), 0));
}

static int descriptor_of_process(void)
{
	return result(syscall(SYS_pidfd_open, getpid(), 0));
}

static int memory_executable(void)
{
	return result(mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
				      MAP_FAILED
			      ? -1
			      : 0);
}

static int memory_becomes_executable(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? 152 : result(mprotect(p, 4096, PROT_READ | PROT_EXEC));
}

static int load_program(void)
{
	return result(syscall(SYS_bpf, 0, NULL, 0));
}

static int become_dumpable(void)
{
	return result(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0));
}

static int make_queue(void)
{
	return result(syscall(SYS_io_uring_setup, 0, NULL));
}

static int keep_key(void)
{
	return result(syscall(SYS_add_key, NULL, NULL, NULL, 0, 0));
}

static int limits(void)
{
	return result(syscall(SYS_prlimit64, 0, 0, NULL, NULL));
}

static int unknown_call(void)
{
	return result(syscall(4000));
}

/*
 * ${outside}: what it gives without the box, so that a refusal can only be the box's.  Where that
 * is EPERM too, because we are not root or are in a box of somebody else's, nothing would be
 * proven.
 */
static const struct forbidden {
	const char *what;
	int (*fn)(void);
	int outside;
	int inside;
	bool privileged;
} forbidden[] = {
	{"open a file for reading", open_to_read, 0, EPERM},
	{"open a file for writing", open_to_write, 0, EPERM},
	{"open a file by openat2", open_by_the_newest_call, 0, EPERM},
	{"make a directory", make_dir, EEXIST, EPERM},
	{"rename a file", rename_file, ENOENT, EPERM},
	{"change a file's mode", change_mode, ENOENT, EPERM},
	{"execute a program", execute, 0, ENDED_BY(SIGSYS)},
	{"execute a descriptor", execute_descriptor, EBADF, ENDED_BY(SIGSYS)},
	{"fork", fork_process, 0, EPERM},
	{"clone by clone3", clone_by_the_newest_call, 0, EPERM},
	{"start a thread", start_thread, 0, EPERM},
	{"make a packet socket", socket_packet, 0, EPERM, true},
	{"make a raw socket", socket_raw, 0, EPERM, true},
	{"make a TCP socket", socket_tcp, 0, EPERM},
	{"make a TCP socket of IPv6", socket_tcp6, 0, EPERM},
	{"make a socket for pings", socket_ping, 0, EPERM},
	{"make a socket for pings of IPv6", socket_ping6, 0, EPERM},
	{"make a Unix socket", socket_unix, 0, EPERM},
	{"make a netfilter socket", socket_netfilter, 0, EPERM},
	{"make a TCP socket with registers half full", socket_udp_as_tcp, 0, EPERM},
	{"listen", listen_again, 0, EPERM},
	{"set a socket option that it does not use", option_foreign, 0, EPERM},
	{"use a foreign ioctl", ioctl_foreign, 0, EPERM},
	{"type into a terminal", terminal_input, ENOTTY, EPERM},
	{"be traced", trace, 0, ENDED_BY(SIGSYS)},
	{"read a process's memory", read_process, 0, ENDED_BY(SIGSYS)},
	{"write a process's memory", write_process, 0, ENDED_BY(SIGSYS)},
	{"mount", mount_something, ENOENT, EPERM, true},
	{"leave its namespaces", unshare_namespace, 0, EPERM, true},
	{"enter a namespace", enter_namespace, EBADF, EPERM},
	{"signal another process", signal_parent, 0, EPERM},
	{"signal another process's thread", signal_parent_thread, 0, EPERM},
	{"take hold of a process", descriptor_of_process, 0, EPERM},
	{"map executable memory", memory_executable, 0, EPERM},
	{"make memory executable", memory_becomes_executable, 0, EPERM},
	{"load a BPF program", load_program, EINVAL, EPERM, true},
	{"become dumpable", become_dumpable, 0, EPERM},
	{"queue calls in a ring", make_queue, EFAULT, EPERM},
	{"keep a key in the kernel", keep_key, EFAULT, EPERM},
	{"ask for a limit", limits, 0, EPERM},
	{"make a call that nobody knows", unknown_call, ENOSYS, EPERM},
};

static const struct forbidden *now;

static void is_refused(void)
{
	CHECK_EQ(in_box(OUTSIDE, now->fn), now->outside);
	CHECK_EQ(in_box(BOX_CALLS, now->fn), now->inside);
}

static void test_forbidden(const struct forbidden *f)
{
	char name[128];

	snprintf(name, sizeof(name), "inside the box it cannot %s [box-refused]", f->what);
	now = f;
	if (f->privileged && geteuid())
		test_skip(name, "only root could anyway");
	else
		test_run(name, is_refused);
}

/* How many bytes the process has mapped. */
static size_t mapped(void)
{
	cleanup(close_fd) int fd = open("/proc/self/statm", O_RDONLY);
	char text[64] = "";

	return read(fd, text, sizeof(text) - 1) < 0 ? 0 : strtoul(text, NULL, 10) * 4096;
}

static size_t room;

/* 0: refused for want of memory; 151: inside. */
static int box_with_room(void)
{
	size_t limit = mapped() + room;
	struct rlimit r = {limit, limit};

	if (setrlimit(RLIMIT_AS, &r) < 0)
		return errno;
	if (box_shut_calls(false) == -ENOMEM)
		return 0;
	return open_to_read() == EPERM && syscall(SYS_getpid) > 0 ? 151 : 152;
}

static void little_memory(void)
{
	int r = 0;

	for (room = 0; room <= 8u << 20 && r == 0; room += 4096)
		r = in_box(OUTSIDE, box_with_room);
	CHECK_EQ(r, 151);
	CHECK(room > 4096);
}

#ifdef __x86_64__
static long other_abi;

/* getpid() as a 32-bit program would call it. */
static int call_of_32_bits(void)
{
	__asm__ volatile("int $0x80"
			 : "=a"(other_abi)
			 : "a"(20L)
			 : "memory", "r8", "r9", "r10", "r11");
	return other_abi > 0 ? 0 : ENOSYS;
}

/* getpid() of the x32 architecture. */
static int call_of_x32(void)
{
	return result(syscall(0x40000000 | SYS_getpid));
}

static void other_architectures(void)
{
	CHECK(in_box(OUTSIDE, call_of_32_bits) < 256);
	CHECK_EQ(in_box(BOX_CALLS, call_of_32_bits), ENDED_BY(SIGSYS));
	CHECK(in_box(OUTSIDE, call_of_x32) < 256);
	CHECK_EQ(in_box(BOX_CALLS, call_of_x32), ENDED_BY(SIGSYS));
}
#endif

/* ---- all threads ---- */

static pthread_barrier_t shut;
static int thread_saw;

static void *try_in_thread(void *arg)
{
	pthread_barrier_wait(&shut);
	thread_saw = result(open("/etc/passwd", O_RDONLY));
	return NULL;
}

static int threads_started_before(void)
{
	pthread_t t;

	pthread_barrier_init(&shut, NULL, 2);
	if (pthread_create(&t, NULL, try_in_thread, NULL) || box_shut_calls(false) < 0)
		return 152;
	pthread_barrier_wait(&shut);
	pthread_join(t, NULL);
	return thread_saw;
}

static void all_threads(void)
{
	CHECK_EQ(in_box(OUTSIDE, threads_started_before), EPERM);
}

/* ---- what it needs ---- */

static int udp_family(int family)
{
	static const int levels[][2] = {{SOL_SOCKET, SO_RCVBUF}, {SOL_SOCKET, SO_SNDBUF},
		{SOL_SOCKET, SO_REUSEPORT}, {IPPROTO_UDP, UDP_GRO}};
	struct sockaddr_in6 a = {.sin6_family = (sa_family_t)family};
	socklen_t len = family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(a);
	int fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_UDP), one = 1;

	if (fd < 0)
		return errno == EAFNOSUPPORT ? 0 : errno;
	for (size_t i = 0; i < array_size(levels); i++)
		if (setsockopt(fd, levels[i][0], levels[i][1], &one, sizeof(one)) < 0)
			return errno;
	return result(bind(fd, (struct sockaddr *)&a, len));
}

static int needed_sockets(void)
{
	int r = udp_family(AF_INET);

	r = r ? r : udp_family(AF_INET6);
	r = r ? r : result(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
	return r ? r : if_nametoindex("lo") ? 0 : errno;
}

static int needed_memory(void)
{
	void *big = malloc(64 << 20), *small = malloc(100);
	char random[8];

	if (!big || !small)
		return ENOMEM;
	memset(big, 1, 64 << 20);
	big = realloc(big, 80 << 20);
	free(small);
	free(big);
	return big ? result(syscall(SYS_getrandom, random, sizeof(random), 0)) : ENOMEM;
}

static int aborts(void)
{
	signal(SIGABRT, SIG_DFL);
	abort();
}

static void *holds(void *arg)
{
	prctl(PR_SET_NAME, "holds", 0, 0, 0);
	return NULL;
}

/* A thread that was started just before may still be starting. */
static int needed_threads(void)
{
	pthread_t t[8];

	for (size_t i = 0; i < array_size(t); i++)
		if (pthread_create(&t[i], NULL, holds, NULL))
			return 152;
	if (box_shut_calls(false) < 0)
		return 152;
	for (size_t i = 0; i < array_size(t); i++)
		if (pthread_join(t[i], NULL))
			return 151;
	return 0;
}

static int needed_clients(void)
{
	struct pollfd p = {.fd = listener, .events = POLLIN};
	int fd;

	if (poll(&p, 1, 60000) != 1)
		return 152;
	fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0 || send(fd, "x", 1, MSG_NOSIGNAL) != 1)
		return errno;
	return 0;
}

/* Their watching thread would else spin where it should sleep. */
static int sleeps_for_sanitizers(void)
{
	const struct timespec t = {.tv_nsec = 1};

	if (box_shut_calls(true) < 0)
		return 154;
	if (nanosleep(&t, NULL) < 0)
		return errno;
	return clock_nanosleep(CLOCK_MONOTONIC, 0, &t, NULL);
}

static void needed(void)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	cleanup(close_fd) int client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char c;

	CHECK_EQ(in_box(BOX_BOTH, needed_sockets), 0);
	CHECK_EQ(in_box(BOX_BOTH, needed_memory), 0);
	CHECK_EQ(in_box(OUTSIDE, needed_threads), 0);
	CHECK_EQ(in_box(OUTSIDE, sleeps_for_sanitizers), 0);
	CHECK_EQ(in_box(BOX_BOTH, aborts), ENDED_BY(SIGABRT));
	snprintf(a.sun_path, sizeof(a.sun_path), "%s/elsewhere/s.sock", dir);
	CHECK_EQ(connect(client, (struct sockaddr *)&a, sizeof(a)), 0);
	CHECK_EQ(in_box(BOX_BOTH, needed_clients), 0);
	CHECK_EQ(recv(client, &c, 1, 0), 1);
}

/* ---- files ---- */

static void path_of(char buf[128], const char *name)
{
	snprintf(buf, 128, "%s/%s", dir, name);
}

static int file_make(const char *name, int flags)
{
	char path[128];

	path_of(path, name);
	return result(open(path, flags, 0600));
}

static int file_unlink(const char *name)
{
	char path[128];

	path_of(path, name);
	return result(unlink(path));
}

static int files_read(void)
{
	return file_make("beside", O_RDONLY);
}

static int files_read_own(void)
{
	return file_make("elsewhere/own", O_RDONLY);
}

static int files_list(void)
{
	return file_make("elsewhere", O_RDONLY | O_DIRECTORY);
}

static int files_write(void)
{
	return file_make("beside", O_WRONLY);
}

static int files_create(void)
{
	return file_make("elsewhere/new", O_WRONLY | O_CREAT);
}

static int files_unlink_beside(void)
{
	return file_unlink("beside");
}

static int files_mkdir(void)
{
	char path[128];

	path_of(path, "elsewhere/dir");
	return result(mkdir(path, 0700));
}

static int files_rename(void)
{
	char from[128], to[128];

	path_of(from, "elsewhere/own");
	path_of(to, "elsewhere/renamed");
	return result(rename(from, to));
}

static int files_symlink(void)
{
	char path[128];

	path_of(path, "elsewhere/symlink");
	return result(symlink("/etc/passwd", path));
}

static int files_execute(void)
{
	return execute();
}

static int files_truncate(void)
{
	char path[128];

	path_of(path, "beside");
	return result(truncate(path, 0));
}

static int bind_unix(void)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(a.sun_path, sizeof(a.sun_path), "%s/elsewhere/t.sock", dir);
	return fd < 0 ? 152 : result(bind(fd, (struct sockaddr *)&a, sizeof(a)));
}

static int bind_tcp(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	return fd < 0 ? 152 : result(bind(fd, (struct sockaddr *)&a, sizeof(a)));
}

static int connect_abstract(void)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(a.sun_path + 1, sizeof(a.sun_path) - 1, "%s", dir);
	return fd < 0 ? 152 : result(connect(fd, (struct sockaddr *)&a, sizeof(a)));
}

/* The order matters: what is outside may change files. */
static const struct {
	const char *what;
	int (*fn)(void);
	int version; /* of Landlock */
	int inside;
} fenced[] = {
	{"read a file", files_read, 1, EACCES},
	{"read a file beside its socket", files_read_own, 1, EACCES},
	{"list its socket's directory", files_list, 1, EACCES},
	{"write a file", files_write, 1, EACCES},
	{"make a file beside its socket", files_create, 1, EACCES},
	{"make a directory", files_mkdir, 1, EACCES},
	{"make a symbolic link", files_symlink, 1, EACCES},
	{"make a socket file", bind_unix, 1, EACCES},
	{"rename a file beside its socket", files_rename, 1, EACCES},
	{"execute a program", files_execute, 1, EACCES},
	{"truncate a file", files_truncate, 3, EACCES},
	{"bind a TCP port", bind_tcp, 4, EACCES},
	{"connect to an abstract socket", connect_abstract, 6, EPERM},
	{"signal another process", signal_parent, 6, EPERM},
	{"remove a file elsewhere", files_unlink_beside, 1, EACCES},
};

static size_t fence;

static void is_fenced(void)
{
	CHECK_EQ(in_box(BOX_FILES, fenced[fence].fn), fenced[fence].inside);
	CHECK_EQ(in_box(OUTSIDE, fenced[fence].fn), 0);
}

/* Its own socket: looked at, watched and removed, from inside and by a path with a symbolic link in
 * it. */
static int own_socket(void)
{
	char path[128];
	struct inotify_event ev[16];
	struct stat st;
	int fd;

	path_of(path, "link/s.sock");
	fd = inotify_init1(IN_NONBLOCK);
	if (box_shut_files(listener, "/nonexistent", NULL, false) < 0)
		return 152;
	if (inotify_add_watch(fd, path, IN_ATTRIB | IN_DELETE_SELF) < 0)
		return errno;
	if (box_shut_calls(false) < 0)
		return 152;
	if (lstat(path, &st) < 0)
		return errno;
	if (!S_ISSOCK(st.st_mode))
		return 151;
	if (unlink(path) < 0)
		return errno;
	if (read(fd, ev, sizeof(ev)) <= 0)
		return errno;
	return lstat(path, &st) < 0 && errno == ENOENT ? 0 : 150;
}

static void own_socket_is_removed(void)
{
	CHECK_EQ(in_box(OUTSIDE, own_socket), 0);
}

/* A socket without a path: the directory that is named, here through a symbolic link. */
static int removes_in_named_directory(void)
{
	char path[128];

	path_of(path, "link");
	if (box_shut_files(-1, path, NULL, false) < 0)
		return 152;
	path_of(path, "link/renamed");
	if (unlink(path) < 0)
		return errno;
	path_of(path, "other");
	return unlink(path) < 0 && errno == EACCES ? 0 : 151;
}

static void named_directory(void)
{
	CHECK_EQ(in_box(OUTSIDE, removes_in_named_directory), 0);
}

/* ---- the mechanism ---- */

static int only_reads(void)
{
	struct sandbox_path allowed[] = {
		{.path = "/nonexistent", .access = SANDBOX_READ | SANDBOX_REMOVE},
		{.path = dir, .access = SANDBOX_READ},
	};
	int r = sandbox_files(allowed, array_size(allowed));

	if (r < 0)
		return -r;
	r = file_make("other", O_RDONLY);
	if (r)
		return r;
	r = file_make("elsewhere", O_RDONLY | O_DIRECTORY);
	if (r)
		return r;
	if (file_make("other", O_WRONLY) != EACCES || file_unlink("other") != EACCES ||
		open_to_read() != EACCES)
		return 150;
	return 0;
}

static void only_reads_there(void)
{
	CHECK_EQ(in_box(OUTSIDE, only_reads), 0);
}

/* ---- */

static void prepare(void)
{
	static const char *const files[] = {"beside", "other", "elsewhere/own"};
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	char path[128];
	int fd;

	snprintf(dir, sizeof(dir), "/tmp/ginnel-test-box-XXXXXX");
	if (!mkdtemp(dir))
		abort();
	path_of(path, "elsewhere");
	if (mkdir(path, 0700) < 0)
		abort();
	path_of(path, "link");
	if (symlink("elsewhere", path) < 0)
		abort();
	for (size_t i = 0; i < array_size(files); i++) {
		path_of(path, files[i]);
		fd = open(path, O_WRONLY | O_CREAT, 0600);
		close(fd);
	}
	snprintf(a.sun_path, sizeof(a.sun_path), "%s/elsewhere/s.sock", dir);
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(listener, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(listener, 8) < 0)
		abort();
	/* Somebody outside who listens on an abstract name. */
	memset(a.sun_path, 0, sizeof(a.sun_path));
	snprintf(a.sun_path + 1, sizeof(a.sun_path) - 1, "%s", dir);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, 8) < 0)
		abort();
}

static void tidy(void)
{
	static const char *const names[] = {"beside", "other", "link", "elsewhere/own",
		"elsewhere/new", "elsewhere/renamed", "elsewhere/symlink", "elsewhere/s.sock",
		"elsewhere/t.sock"};
	char path[128];

	for (size_t i = 0; i < array_size(names); i++)
		file_unlink(names[i]);
	path_of(path, "elsewhere/dir");
	rmdir(path);
	path_of(path, "elsewhere");
	rmdir(path);
	rmdir(dir);
}

int main(void)
{
	prepare();
	CHECK(!sandbox_load()); /* as the daemon does before its files are shut */
	for (size_t i = 0; i < array_size(forbidden); i++)
		test_forbidden(&forbidden[i]);
#ifdef __x86_64__
	test_run("a call of another architecture ends it [box-refused]", other_architectures);
#endif
	if (SANITIZERS)
		test_skip("with little memory it is refused or whole [box-memory]", "a sanitizer needs more");
	else
		test_run("with little memory it is refused or whole [box-memory]", little_memory);
	test_run("threads that were started before are inside too [box-threads]", all_threads);
	test_run("sockets, memory, clients, threads and abort work inside [box-works]", needed);
	for (fence = 0; fence < array_size(fenced); fence++) {
		char name[128];

		snprintf(name, sizeof(name),
			"with its files fenced off it cannot %s [box-landlock]",
			fenced[fence].what);
		if (sandbox_files_version() < fenced[fence].version)
			test_skip(name, "the kernel's Landlock is older or off");
		else
			test_run(name, is_fenced);
	}
	if (sandbox_files_version()) {
		test_run("a directory that may be read may only be read [box-landlock]",
			only_reads_there);
		test_run("without a path the named directory is its own [box-landlock]",
			named_directory);
	} else {
		test_skip("a directory that may be read may only be read [box-landlock]",
			"no Landlock");
		test_skip("without a path the named directory is its own [box-landlock]",
			"no Landlock");
	}
	test_run("its own socket's file is watched and removed from inside [box-socket]",
		own_socket_is_removed);
	tidy();
	return test_done();
}
