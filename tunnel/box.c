#include "tunnel/box.h"

#include "base/log.h"
#include "base/sandbox.h"
#include "tunnel/kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>

/* The kernel reads most arguments as 32 bits; what a register holds above them must not matter. */
/* clang-format off */
#define INT_IS(n, v) {.argument = (n), .mask = 0xffffffff, .value = (uint32_t)(v)}
#define BITS_CLEAR(n, bits) {.argument = (n), .mask = (bits), .value = 0}
#define CALL(name) {.number = SCMP_SYS(name)}
#define CALL_IF(name, ...) {.number = SCMP_SYS(name), .conditions = {__VA_ARGS__}}
/* clang-format on */
#define SOCKET(family, protocol)                                                                   \
	CALL_IF(socket, INT_IS(0, family), {.argument = 1, .mask = 0xf, .value = SOCK_DGRAM},      \
		INT_IS(2, protocol))
#define OPTION(level, name) CALL_IF(setsockopt, INT_IS(1, level), INT_IS(2, name))

static const struct sandbox_call running[] = {
	/*
	 * Packets, and clients.  No conditions here: such calls pass without the filter being run.
	 */
	CALL(read),
	CALL(write),
	CALL(readv),
	CALL(writev),
	CALL(recvfrom),
	CALL(sendto),
	CALL(recvmsg),
	CALL(sendmsg),
	CALL(recvmmsg),
	CALL(recvmmsg_time64),
	CALL(sendmmsg),
	CALL(epoll_wait),
	CALL(epoll_pwait),
	CALL(epoll_pwait2),
	CALL(epoll_ctl),
	CALL(poll),
	CALL(ppoll),
	CALL(ppoll_time64),
	CALL(timerfd_settime),
	CALL(timerfd_settime64),
	CALL(accept4),
	CALL(close),
	CALL_IF(fcntl, INT_IS(1, F_DUPFD_CLOEXEC)),
	CALL_IF(fcntl, INT_IS(1, F_GETFL)),
	CALL_IF(fcntl, INT_IS(1, F_GETFD)),
	CALL_IF(fcntl, INT_IS(1, F_GET_SEALS)),

	/* Sockets: UDP, by its name or as the family's own, and questions about routes.  No TCP,
	   ICMP, Unix or packet socket: there is no way to other services. */
	SOCKET(AF_INET, 0),
	SOCKET(AF_INET, IPPROTO_UDP),
	SOCKET(AF_INET6, 0),
	SOCKET(AF_INET6, IPPROTO_UDP),
	CALL_IF(socket, INT_IS(0, AF_NETLINK), INT_IS(2, NETLINK_ROUTE)),
	CALL(bind),
	CALL(connect),
	CALL(getsockname),
	CALL(getsockopt),
	OPTION(SOL_SOCKET, SO_MARK),
	OPTION(SOL_SOCKET, SO_BINDTODEVICE),
	OPTION(SOL_SOCKET, SO_RCVBUF),
	OPTION(SOL_SOCKET, SO_SNDBUF),
	OPTION(SOL_SOCKET, SO_RCVBUFFORCE),
	OPTION(SOL_SOCKET, SO_SNDBUFFORCE),
	OPTION(SOL_SOCKET, SO_REUSEPORT),
	OPTION(SOL_SOCKET, SO_RXQ_OVFL),
	OPTION(IPPROTO_IP, IP_PKTINFO),
	OPTION(IPPROTO_IP, IP_RECVTOS),
	OPTION(IPPROTO_IP, IP_MTU_DISCOVER),
	OPTION(IPPROTO_IPV6, IPV6_V6ONLY),
	OPTION(IPPROTO_IPV6, IPV6_RECVPKTINFO),
	OPTION(IPPROTO_IPV6, IPV6_RECVTCLASS),
	OPTION(IPPROTO_IPV6, IPV6_MTU_DISCOVER),
	OPTION(IPPROTO_UDP, UDP_GRO),
	OPTION(IPPROTO_UDP, UDP_SEGMENT),

	/* One more queue of a device that was taken over, from a descriptor that is open. */
	CALL_IF(ioctl, INT_IS(1, TUNSETIFF)),

	/* Where the device is and what it is called; the index of another, for an endpoint's scope.
	 */
	CALL_IF(ioctl, INT_IS(1, TUNGETIFF)),
	CALL_IF(ioctl, INT_IS(1, TUNGETDEVNETNS)),
	CALL_IF(ioctl, INT_IS(1, SIOCGSKNS)),
	CALL_IF(ioctl, INT_IS(1, SIOCGIFINDEX)),

	/* Are the sockets' files still ours?  And away with them. */
	CALL(fstat),
	CALL(fstat64),
	CALL(lstat),
	CALL(lstat64),
	CALL(newfstatat),
	CALL(fstatat64),
	CALL(statx),
	CALL(unlink),
	CALL(unlinkat),

	/* Going into the background: /dev/null over standard error. */
	CALL_IF(dup2, INT_IS(1, STDERR_FILENO)),
	CALL_IF(dup3, INT_IS(1, STDERR_FILENO)),

	/* Memory: none becomes executable. */
	CALL(brk),
	CALL_IF(mmap, BITS_CLEAR(2, PROT_EXEC)),
	CALL_IF(mmap2, BITS_CLEAR(2, PROT_EXEC)),
	CALL_IF(mprotect, BITS_CLEAR(2, PROT_EXEC)),
	CALL(munmap),
	CALL(mremap),
	CALL(madvise),

	/* Clocks, locks, threads that are just starting or ending. */
	CALL(getrandom),
	CALL(clock_gettime),
	CALL(clock_gettime64),
	CALL(gettimeofday),
	CALL(time),
	CALL(futex),
	CALL(futex_time64),
	CALL(set_robust_list),
	CALL(rseq),
	CALL_IF(prctl, INT_IS(0, PR_SET_NAME)),
	CALL(sched_yield),
	CALL(sched_getaffinity),
	CALL(getpid),
	CALL(gettid),
	CALL(restart_syscall),
	CALL(rt_sigaction),
	CALL(rt_sigprocmask),
	CALL(rt_sigreturn),
	CALL(sigreturn),
	CALL(sigaltstack),
	CALL(exit),
	CALL(exit_group),
};

static const struct sandbox_call of_sanitizers[] = {
	/* Shadows, limits. */
	CALL(mmap),
	CALL(mprotect),
	CALL(prctl),
	CALL(personality),
	CALL(getrlimit),
	CALL(prlimit64),
	CALL(getuid),
	CALL(geteuid),
	CALL(getppid),
	CALL(uname),
	CALL(membarrier),
	/* A thread of their own that sleeps between two looks around. */
	CALL(nanosleep),
	CALL(clock_nanosleep),
	/* A report: the memory map, symbols, llvm-symbolizer. */
	CALL_IF(openat, BITS_CLEAR(2, O_WRONLY | O_RDWR | O_CREAT | O_TRUNC)),
	CALL_IF(open, BITS_CLEAR(1, O_WRONLY | O_RDWR | O_CREAT | O_TRUNC)),
	CALL(readlink),
	CALL(readlinkat),
	CALL(access),
	CALL(stat),
	CALL(lseek),
	CALL(pread64),
	CALL(getdents),
	CALL(getdents64),
	CALL(ioctl),
	CALL(fcntl),
	CALL(pipe),
	CALL(pipe2),
	CALL(dup2),
	CALL(socketpair),
	CALL(fork),
	CALL(vfork),
	CALL(execve),
	/* Looking for leaks: a process of their own stops the threads. */
	CALL(clone),
	CALL(clone3),
	CALL(ptrace),
	CALL(wait4),
	CALL(waitid),
	CALL(kill),
	CALL(tgkill),
	CALL(sched_setaffinity),
	CALL(process_vm_readv),
};

/* No accident asks for these, and nothing that asks for them should go on. */
static const int deadly[] = {
	SCMP_SYS(execve),
	SCMP_SYS(execveat),
	SCMP_SYS(ptrace),
	SCMP_SYS(process_vm_readv),
	SCMP_SYS(process_vm_writev),
};

int box_shut_calls(bool sanitizers)
{
	struct sandbox_call allowed[array_size(running) + array_size(of_sanitizers) + 1];
	size_t n = array_size(running);
	int r;

	memcpy(allowed, running, sizeof(running));
	/* abort() signals its own thread; other processes are none of ours. */
	allowed[n++] = (struct sandbox_call)CALL_IF(tgkill, INT_IS(0, getpid()));
	if (sanitizers) {
		memcpy(allowed + n, of_sanitizers, sizeof(of_sanitizers));
		n += array_size(of_sanitizers);
	}
	r = sandbox_calls(allowed, n, deadly, sanitizers ? 0 : array_size(deadly));
	if (r == -EOPNOTSUPP) {
		log_info("box: system calls are not filtered: the kernel or the container has no "
			 "seccomp");
		return 0;
	}
	return r;
}

/* The directory of the file that ${fd} is bound to, or "". */
static void directory_of(int fd, char ret[sizeof(((struct sockaddr_un *)0)->sun_path) + 1])
{
	struct sockaddr_un a = {0};
	socklen_t len = sizeof(a);
	char *slash;

	ret[0] = '\0';
	if (getsockname(fd, (struct sockaddr *)&a, &len) < 0 || a.sun_family != AF_UNIX ||
		a.sun_path[0] != '/')
		return;
	memcpy(ret, a.sun_path, sizeof(a.sun_path));
	ret[sizeof(a.sun_path)] = '\0';
	slash = strrchr(ret, '/');
	slash[slash == ret] = '\0';
}

int box_shut_files(int uapi_fd, const char *dir, const char *ctl_dir, bool sanitizers)
{
	char bound[sizeof(((struct sockaddr_un *)0)->sun_path) + 1];
	struct sandbox_path allowed[3] = {{.path = bound, .access = SANDBOX_REMOVE}};
	size_t n = 1;
	int r;

	directory_of(uapi_fd, bound);
	if (!bound[0])
		allowed[0].path = dir;
	if (ctl_dir)
		allowed[n++] = (struct sandbox_path){.path = ctl_dir, .access = SANDBOX_REMOVE};
	if (sanitizers)
		allowed[n++] = (struct sandbox_path){.path = "/", .access = SANDBOX_READ};
	r = sandbox_files(allowed, n);
	if (r == -EOPNOTSUPP) {
		log_info("box: files are not fenced off: the kernel has no Landlock, or it is off");
		return 0;
	}
	return r;
}
