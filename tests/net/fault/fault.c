/*
 * fault - make chosen calls of a program fail, for tests.
 *
 * Loaded by LD_PRELOAD.  The rules lie in a file, FAULT_FILE, that the constructor maps: whoever else has it mapped
 * changes the rules while the program runs, also when it can open no file any more, and reads how often each rule was
 * looked at and struck.  tests/net/faults.py is that other end and explains the words.
 *
 * Wrapped are functions of the C library, so also those of a program with a sanitizer, whose interceptors call the next
 * library's: this one's.  What the C library calls inside of itself is not seen.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define RULES_MAX 16
#define MAGIC 0x746c756166ull

/* As tests/net/faults.py packs it.  Written by the test but for seen, hits and last. */
struct rule {
	char call[24];			/* the function, "any", "any-alloc" */
	char only[24];			/* a class of its calls, see the functions below; "": all */
	int64_t error;			/* errno; for a clock nanoseconds that are added */
	uint64_t argument;		/* see the functions */
	uint64_t has_argument;
	uint64_t skip;			/* so many pass first */
	uint64_t left;			/* then so many are struck; counted down */
	uint64_t permille;		/* of those, by chance */
	_Atomic uint64_t seen, hits;
	char last[24];			/* the function struck last */
};

struct page {
	_Atomic uint64_t magic;		/* set when the constructor has run */
	_Atomic uint64_t n;
	_Atomic uint64_t lock;		/* while the rules are looked at or changed */
	struct rule rules[RULES_MAX];
};

static struct page *page;
static _Atomic uint64_t tuns;		/* descriptors below 64 that are TUN devices */

#define REAL(name) ((__typeof__(&(name)))real(#name))

static void *real(const char *name)
{
	return dlsym(RTLD_NEXT, name);
}

__attribute__((constructor)) static void start(void)
{
	const char *name = getenv("FAULT_FILE");
	void *p;
	int fd;

	if (!name)
		return;
	fd = (int)syscall(SYS_openat, AT_FDCWD, name, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		abort();
	p = (void *)REAL(mmap)(NULL, sizeof(struct page), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	syscall(SYS_close, fd);
	if (p == MAP_FAILED)
		abort();
	page = p;
	atomic_store(&page->magic, MAGIC);
}

static bool chance(uint64_t permille)
{
	static _Thread_local uint32_t state = 2463534242u;

	state ^= state << 13;
	state ^= state >> 17;
	state ^= state << 5;
	return permille >= 1000 || state % 1000 < permille;
}

static bool is_allocation(const char *call)
{
	return strcmp(call, "malloc") == 0 || strcmp(call, "calloc") == 0 || strcmp(call, "realloc") == 0;
}

static bool rule_is_for(const struct rule *r, const char *call, const char *class, bool has, uint64_t argument)
{
	if (strcmp(r->call, "any") == 0)
		return !is_allocation(call) && strcmp(call, "clock_gettime") != 0 && strcmp(call, "write") != 0 &&
			strcmp(call, "epoll_wait") != 0 && strcmp(call, "cut") != 0;
	if (strcmp(r->call, "any-alloc") == 0)
		return is_allocation(call) && (!r->only[0] || (class && strstr(class, r->only)));
	return strcmp(r->call, call) == 0 && (!r->only[0] || (class && strstr(class, r->only))) &&
		(!r->has_argument || (has && r->argument == argument));
}

/* The rule that strikes this call, or 0: what it says is its error. */
static int64_t strike(const char *call, const char *class, bool has, uint64_t argument)
{
	int64_t error = 0;

	if (!page || atomic_load_explicit(&page->n, memory_order_acquire) == 0)
		return 0;
	while (atomic_exchange(&page->lock, 1))
		sched_yield();
	for (unsigned i = 0; i < atomic_load(&page->n) && i < RULES_MAX && !error; i++) {
		struct rule *r = &page->rules[i];

		if (!rule_is_for(r, call, class, has, argument))
			continue;
		r->seen++;
		if (r->skip) {
			r->skip--;
		} else if (r->left && chance(r->permille)) {
			r->left--;
			r->hits++;
			strncpy(r->last, call, sizeof(r->last) - 1);
			error = r->error;
		}
	}
	atomic_store(&page->lock, 0);
	return error;
}

static bool fails(const char *call, const char *class, bool has, uint64_t argument)
{
	int64_t error = strike(call, class, has, argument);

	if (error)
		errno = (int)error;
	return error != 0;
}

static bool is_tun(int fd)
{
	return fd >= 0 && fd < 64 && (atomic_load(&tuns) >> fd & 1);
}

#define EXPORT __attribute__((visibility("default")))

/* ---- sending: class "gso" or "plain", "v4" or "v6"; argument: the IPv4 destination's last byte, or IPv6's ---- */

static const char *message_class(const struct msghdr *h, uint64_t *ret_argument)
{
	const struct sockaddr *a = h->msg_name;
	bool gso = false, v6 = a && a->sa_family == AF_INET6;
	struct msghdr copy = *h;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(&copy); c; c = CMSG_NXTHDR(&copy, c))
		gso |= c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_SEGMENT;
	*ret_argument = 0;
	if (v6)
		*ret_argument = ((const uint8_t *)&((const struct sockaddr_in6 *)(const void *)a)->sin6_addr)[15];
	else if (a && a->sa_family == AF_INET)
		*ret_argument = ntohl(((const struct sockaddr_in *)(const void *)a)->sin_addr.s_addr) & 255;
	return v6 ? gso ? "gso v6" : "plain v6" : gso ? "gso v4" : "plain v4";
}

static bool message_fails(const struct msghdr *h)
{
	uint64_t argument;
	const char *class = message_class(h, &argument);

	/* One name for both: which of them sends is the program's own business. */
	return fails("sendmsg", class, true, argument);
}

EXPORT ssize_t sendmsg(int fd, const struct msghdr *h, int flags)
{
	return message_fails(h) ? -1 : REAL(sendmsg)(fd, h, flags);
}

/* As the kernel does: those before the one that fails are sent, and the next call is told. */
EXPORT int sendmmsg(int fd, struct mmsghdr *m, unsigned n, int flags)
{
	static _Thread_local int pending;
	unsigned i;

	if (pending) {
		errno = pending;
		pending = 0;
		return -1;
	}
	for (i = 0; i < n && !message_fails(&m[i].msg_hdr); i++)
		;
	if (i == 0 && n)
		return -1;
	if (i < n)
		pending = errno;
	return REAL(sendmmsg)(fd, m, i, flags);
}

EXPORT int recvmmsg(int fd, struct mmsghdr *m, unsigned n, int flags, struct timespec *t)
{
	int got = fails("recvmmsg", NULL, false, 0) ? -1 : REAL(recvmmsg)(fd, m, n, flags, t);

	/* As if it had been longer than the buffer, which the kernel's datagrams never are. */
	if (got > 0 && fails("cut", NULL, false, 0))
		m[0].msg_hdr.msg_flags |= MSG_TRUNC;
	return got;
}

EXPORT ssize_t recvmsg(int fd, struct msghdr *h, int flags)
{
	return fails("recvmsg", NULL, false, 0) ? -1 : REAL(recvmsg)(fd, h, flags);
}

EXPORT ssize_t recv(int fd, void *buf, size_t len, int flags)
{
	return fails("recv", NULL, false, 0) ? -1 : REAL(recv)(fd, buf, len, flags);
}

EXPORT ssize_t send(int fd, const void *buf, size_t len, int flags)
{
	return fails("send", NULL, true, (uint64_t)fd) ? -1 : REAL(send)(fd, buf, len, flags);
}

EXPORT ssize_t sendto(int fd, const void *buf, size_t len, int flags, const struct sockaddr *to, socklen_t to_len)
{
	return fails("sendto", NULL, false, 0) ? -1 : REAL(sendto)(fd, buf, len, flags, to, to_len);
}

/* ---- files and the TUN: class "tun", and "merged" or "single" for what is written there ---- */

EXPORT ssize_t read(int fd, void *buf, size_t len)
{
	return fails("read", is_tun(fd) ? "tun" : "other", true, (uint64_t)fd) ? -1 : REAL(read)(fd, buf, len);
}

ssize_t __read_chk(int fd, void *buf, size_t len, size_t room);
EXPORT ssize_t __read_chk(int fd, void *buf, size_t len, size_t room)
{
	if (len > room)
		abort();
	return read(fd, buf, len);
}

ssize_t __recv_chk(int fd, void *buf, size_t len, size_t room, int flags);
EXPORT ssize_t __recv_chk(int fd, void *buf, size_t len, size_t room, int flags)
{
	if (len > room)
		abort();
	return recv(fd, buf, len, flags);
}

EXPORT ssize_t write(int fd, const void *buf, size_t len)
{
	return fails("write", is_tun(fd) ? "tun" : "other", true, (uint64_t)fd) ? -1 : REAL(write)(fd, buf, len);
}

EXPORT ssize_t writev(int fd, const struct iovec *iov, int n)
{
	const struct virtio_net_hdr *h = n > 0 ? iov[0].iov_base : NULL;
	const char *class = "other";

	if (is_tun(fd))
		class = h && iov[0].iov_len == sizeof(*h) && h->gso_type != VIRTIO_NET_HDR_GSO_NONE ? "tun merged"
												    : "tun single";
	return fails("writev", class, false, 0) ? -1 : REAL(writev)(fd, iov, n);
}

EXPORT int open(const char *path, int flags, ...)
{
	mode_t mode = 0;
	va_list ap;

	va_start(ap, flags);
	if (flags & (O_CREAT | O_TMPFILE))
		mode = va_arg(ap, mode_t);
	va_end(ap);
	return fails("open", path, false, 0) ? -1 : REAL(open)(path, flags, mode);
}

int __open64_2(const char *path, int flags);
EXPORT int __open64_2(const char *path, int flags)
{
	return open(path, flags);
}

/* argument: the request */
EXPORT int ioctl(int fd, unsigned long request, ...)
{
	va_list ap;
	void *arg;
	int r;

	va_start(ap, request);
	arg = va_arg(ap, void *);
	va_end(ap);
	if (fails("ioctl", NULL, true, request))
		return -1;
	r = REAL(ioctl)(fd, request, arg);
	if (r >= 0 && fd >= 0 && fd < 64 && (request == TUNSETIFF || request == TUNGETIFF))
		atomic_fetch_or(&tuns, 1ull << fd);
	return r;
}

/* argument: the command */
EXPORT int fcntl(int fd, int command, ...)
{
	va_list ap;
	long arg;

	va_start(ap, command);
	arg = va_arg(ap, long);
	va_end(ap);
	return fails("fcntl", NULL, true, (uint64_t)command) ? -1 : REAL(fcntl)(fd, command, arg);
}

/* ---- sockets; argument: the family, or the option's name ---- */

EXPORT int socket(int family, int type, int protocol)
{
	return fails("socket", NULL, true, (uint64_t)family) ? -1 : REAL(socket)(family, type, protocol);
}

EXPORT int bind(int fd, const struct sockaddr *a, socklen_t len)
{
	return fails("bind", NULL, true, a->sa_family) ? -1 : REAL(bind)(fd, a, len);
}

EXPORT int connect(int fd, const struct sockaddr *a, socklen_t len)
{
	return fails("connect", NULL, true, a->sa_family) ? -1 : REAL(connect)(fd, a, len);
}

EXPORT int setsockopt(int fd, int level, int option, const void *value, socklen_t len)
{
	return fails("setsockopt", NULL, true, (uint64_t)option) ? -1 : REAL(setsockopt)(fd, level, option, value, len);
}

EXPORT int getsockopt(int fd, int level, int option, void *restrict value, socklen_t *restrict len)
{
	return fails("getsockopt", NULL, true, (uint64_t)option) ? -1 : REAL(getsockopt)(fd, level, option, value, len);
}

EXPORT int accept4(int fd, struct sockaddr *restrict a, socklen_t *restrict len, int flags)
{
	return fails("accept4", NULL, false, 0) ? -1 : REAL(accept4)(fd, a, len, flags);
}

/* ---- clocks; argument: which ---- */

EXPORT int clock_gettime(clockid_t clock, struct timespec *ret)
{
	int64_t add = strike("clock_gettime", NULL, true, (uint64_t)clock);
	int r = REAL(clock_gettime)(clock, ret);

	if (add && r == 0) {
		int64_t ns = (int64_t)ret->tv_nsec + add % 1000000000;

		ret->tv_sec += add / 1000000000 + (ns < 0 ? -1 : ns / 1000000000);
		ret->tv_nsec = ns < 0 ? ns + 1000000000 : ns % 1000000000;
	}
	return r;
}

/* ---- what gives an error by itself ---- */

EXPORT int pthread_create(pthread_t *restrict thread, const pthread_attr_t *restrict attr, void *(*run)(void *),
	void *restrict arg)
{
	return fails("pthread_create", NULL, false, 0) ? errno : REAL(pthread_create)(thread, attr, run, arg);
}

EXPORT void *mmap(void *at, size_t len, int protection, int flags, int fd, off_t offset)
{
	return fails("mmap", NULL, false, 0) ? MAP_FAILED
					     : REAL(mmap)(at, len, protection, flags, fd, offset);
}

/* Class: the path of the program or library that asks. */
static bool memory_fails(const char *call, const void *caller)
{
	Dl_info info;

	if (!page || atomic_load_explicit(&page->n, memory_order_acquire) == 0)
		return false;
	return fails(call, dladdr(caller, &info) ? info.dli_fname : NULL, false, 0);
}

/* Their real ones are in use before anything can be looked up. */
void *__libc_malloc(size_t len);
void *__libc_calloc(size_t n, size_t len);
void *__libc_realloc(void *p, size_t len);

EXPORT void *malloc(size_t len)
{
	return memory_fails("malloc", __builtin_return_address(0)) ? NULL : __libc_malloc(len);
}

EXPORT void *calloc(size_t n, size_t len)
{
	return memory_fails("calloc", __builtin_return_address(0)) ? NULL : __libc_calloc(n, len);
}

EXPORT void *realloc(void *p, size_t len)
{
	return memory_fails("realloc", __builtin_return_address(0)) ? NULL : __libc_realloc(p, len);
}

EXPORT int prctl(int what, ...)
{
	unsigned long a[4];
	va_list ap;

	va_start(ap, what);
	for (unsigned i = 0; i < 4; i++)
		a[i] = va_arg(ap, unsigned long);
	va_end(ap);
	/* There are eighty of them, and "any" is to be quick. */
	if (what != PR_CAPBSET_READ && what != PR_CAPBSET_DROP && fails("prctl", NULL, true, (uint64_t)what))
		return -1;
	return REAL(prctl)(what, a[0], a[1], a[2], a[3]);
}

EXPORT long syscall(long number, ...)
{
	long a[6];
	va_list ap;

	va_start(ap, number);
	for (unsigned i = 0; i < 6; i++)
		a[i] = va_arg(ap, long);
	va_end(ap);
	return fails("syscall", NULL, true, (uint64_t)number)
		? -1
		: REAL(syscall)(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

/* ---- the rest has no class and no argument ---- */

#define WRAP(type, name, parameters, arguments)                                                                        \
	EXPORT type name parameters                                                                                    \
	{                                                                                                              \
		return fails(#name, NULL, false, 0) ? (type)-1 : REAL(name) arguments;                                 \
	}

WRAP(int, listen, (int fd, int backlog), (fd, backlog))
WRAP(int, getsockname, (int fd, struct sockaddr *restrict a, socklen_t *restrict len), (fd, a, len))
WRAP(int, poll, (struct pollfd * p, nfds_t n, int timeout), (p, n, timeout))
WRAP(int, epoll_create1, (int flags), (flags))
WRAP(int, epoll_ctl, (int fd, int op, int what, struct epoll_event *ev), (fd, op, what, ev))
WRAP(int, epoll_wait, (int fd, struct epoll_event *ev, int n, int timeout), (fd, ev, n, timeout))
WRAP(int, eventfd, (unsigned value, int flags), (value, flags))
WRAP(int, signalfd, (int fd, const sigset_t *set, int flags), (fd, set, flags))
WRAP(int, mlockall, (int flags), (flags))
WRAP(int, inotify_init1, (int flags), (flags))
WRAP(int, inotify_add_watch, (int fd, const char *path, uint32_t mask), (fd, path, mask))
WRAP(int, mkdir, (const char *path, mode_t mode), (path, mode))
WRAP(int, chmod, (const char *path, mode_t mode), (path, mode))
WRAP(int, flock, (int fd, int op), (fd, op))
WRAP(int, pipe2, (int ends[2], int flags), (ends, flags))
WRAP(pid_t, fork, (void), ())
WRAP(pid_t, setsid, (void), ())
WRAP(int, chdir, (const char *path), (path))
WRAP(int, dup2, (int from, int to), (from, to))
WRAP(int, setrlimit, (__rlimit_resource_t what, const struct rlimit *value), (what, value))
WRAP(int, sigprocmask, (int how, const sigset_t *restrict set, sigset_t *restrict old), (how, set, old))
WRAP(ssize_t, getrandom, (void *buf, size_t len, unsigned flags), (buf, len, flags))
