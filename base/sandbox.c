#include "base/sandbox.h"
#include "base/libseccomp.h"
#include "base/sonames.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

/* ---- files ---- */

/* The kernel's interface as it is in 2025: headers are older than kernels. */
#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_add_rule 445
#define SYS_landlock_restrict_self 446
#endif
#define CREATE_RULESET_VERSION 1u
#define RULE_PATH_BENEATH 1
#define FS_EXECUTE (1ull << 0)
#define FS_READ_FILE (1ull << 2)
#define FS_READ_DIR (1ull << 3)
#define FS_REMOVE_FILE (1ull << 5)
#define FS_LAST 12
#define FS_LAST_2 13 /* REFER */
#define FS_LAST_3 14 /* TRUNCATE */
#define FS_LAST_5 15 /* IOCTL_DEV */
#define NET_BIND_AND_CONNECT_TCP 3ull
#define SCOPE_ABSTRACT_SOCKETS_AND_SIGNALS 3ull

struct ruleset {
	uint64_t fs;
	uint64_t net;    /* from version 4 */
	uint64_t scoped; /* from version 6 */
};

struct path_beneath {
	uint64_t allowed;
	int32_t parent_fd;
} __attribute__((packed));

int sandbox_files_version(void)
{
	long r = syscall(SYS_landlock_create_ruleset, NULL, 0, CREATE_RULESET_VERSION);

	return r < 0 ? 0 : (int)r;
}

/* All that a kernel of this version can refuse, and how much of the struct it knows. */
static size_t everything(int version, struct ruleset *ret)
{
	int last = version >= 5   ? FS_LAST_5
		   : version >= 3 ? FS_LAST_3
		   : version >= 2 ? FS_LAST_2
				  : FS_LAST;

	*ret = (struct ruleset){.fs = (2ull << last) - 1};
	if (version >= 4)
		ret->net = NET_BIND_AND_CONNECT_TCP;
	if (version >= 6)
		ret->scoped = SCOPE_ABSTRACT_SOCKETS_AND_SIGNALS;
	return version >= 6   ? sizeof(*ret)
	       : version >= 4 ? offsetof(struct ruleset, scoped)
			      : offsetof(struct ruleset, net);
}

static int allow_path(int ruleset_fd, const struct sandbox_path *p)
{
	cleanup(close_fd) int fd = open(p->path, O_PATH | O_CLOEXEC | O_DIRECTORY);
	struct path_beneath rule = {.parent_fd = fd};

	/* What is not there, or cannot be reached anyway, needs no rule. */
	if (fd < 0)
		return errno == ENOENT || errno == ENOTDIR || errno == EACCES ? 0 : -errno;
	if (p->access & SANDBOX_READ)
		rule.allowed |= FS_READ_FILE | FS_READ_DIR | FS_EXECUTE;
	if (p->access & SANDBOX_REMOVE)
		rule.allowed |= FS_REMOVE_FILE;
	return syscall(SYS_landlock_add_rule, ruleset_fd, RULE_PATH_BENEATH, &rule, 0) < 0 ? -errno
											   : 0;
}

int sandbox_files(const struct sandbox_path allowed[], size_t n)
{
	cleanup(close_fd) int fd = -1;
	int version = sandbox_files_version();
	struct ruleset rules;
	size_t size;

	if (!version)
		return -EOPNOTSUPP;
	size = everything(version, &rules);
	fd = (int)syscall(SYS_landlock_create_ruleset, &rules, size, 0);
	if (fd < 0)
		return -errno;
	for (size_t i = 0; i < n; i++) {
		int r = allow_path(fd, &allowed[i]);

		if (r < 0)
			return r;
	}
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	return syscall(SYS_landlock_restrict_self, fd, 0) < 0 ? -errno : 0;
}

/* ---- system calls ---- */

static struct {
	LIBSECCOMP_FUNCTIONS(LIBRARY_POINTER)
} libseccomp;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static char failure[256]; /* empty: none */

static void load(void)
{
#define OF_LIBSECCOMP(f) LIBRARY_FUNCTION(libseccomp, f),
	static const struct library_function functions[] = {LIBSECCOMP_FUNCTIONS(OF_LIBSECCOMP)};
	static const struct library l = {SONAME_SECCOMP, functions, array_size(functions)};
	const char *why = library_load(&l);

	if (why)
		snprintf(failure, sizeof(failure), "%s", why);
}

const char *sandbox_load(void)
{
	pthread_once(&once, load);
	return failure[0] ? failure : NULL;
}

#define FILTER_ROOM (2u << 20) /* several times what a filter of some hundred rows takes while it is made */

static void release(const scmp_filter_ctx *filter)
{
	if (*filter)
		libseccomp.seccomp_release(*filter);
}

static bool calls_can_be_filtered(void)
{
	uint32_t action =
		SECCOMP_RET_KILL_PROCESS; /* the youngest thing that is needed: Linux 4.14 */

	return syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;
}

/* libseccomp does not always look whether it was given memory: so there has to be enough. */
static bool memory_suffices(void)
{
	void *volatile room = malloc(FILTER_ROOM); /* volatile: else nothing is asked for */

	free(room);
	return room != NULL;
}

static int set_attributes(scmp_filter_ctx filter)
{
	int r = libseccomp.seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);

	if (r < 0)
		return r;
	r = libseccomp.seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	if (r < 0)
		return r;
	/*
	 * Before Linux 5.16 a filter would else turn on the mitigation of speculative store bypass,
	 * which slows every instruction of the process.  It protects a process from code that it
	 * runs for others, and there is none.
	 */
	(void)libseccomp.seccomp_attr_set(filter, SCMP_FLTATR_CTL_SSB, 1);
	(void)libseccomp.seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	(void)libseccomp.seccomp_attr_set(filter, SCMP_FLTATR_API_SYSRAWRC, 1);
	return 0;
}

static int allow_call(scmp_filter_ctx filter, const struct sandbox_call *c)
{
	struct scmp_arg_cmp cmp[array_size(c->conditions)];
	unsigned n = 0;

	for (size_t i = 0; i < array_size(c->conditions); i++)
		if (c->conditions[i].mask)
			cmp[n++] = (struct scmp_arg_cmp){.arg = c->conditions[i].argument,
				.op = SCMP_CMP_MASKED_EQ,
				.datum_a = c->conditions[i].mask,
				.datum_b = c->conditions[i].value};
	return libseccomp.seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, c->number, n, cmp);
}

int sandbox_calls(
	const struct sandbox_call allowed[], size_t n, const int deadly[], size_t n_deadly)
{
	cleanup(release) scmp_filter_ctx filter = NULL;
	int r;

	if (!calls_can_be_filtered())
		return -EOPNOTSUPP;
	if (sandbox_load())
		return -ELIBACC;
	if (!memory_suffices())
		return -ENOMEM;
	filter = libseccomp.seccomp_init(SCMP_ACT_ERRNO(EPERM));
	if (!filter)
		return -ENOMEM;
	r = set_attributes(filter);
	for (size_t i = 0; r >= 0 && i < n; i++)
		r = allow_call(filter, &allowed[i]);
	for (size_t i = 0; r >= 0 && i < n_deadly; i++)
		r = libseccomp.seccomp_rule_add(filter, SCMP_ACT_KILL_PROCESS, deadly[i], 0);
	return r < 0 ? r : libseccomp.seccomp_load(filter);
}
