/*
 * base/sandbox.h - what this process may still do: to files and sockets by Landlock, and by system
 * calls with seccomp.
 *
 * Knows no product: callers bring the lists, and what is in none is refused.  Nothing is ever taken
 * back.  Both set no_new_privs and hold for children too.  Neither needs a privilege, and both may
 * be missing: then -EOPNOTSUPP.
 */
#pragma once

#include "base/util.h"

#include <seccomp.h>

#define SANDBOX_READ 1u   /* read and execute files, read directories */
#define SANDBOX_REMOVE 2u /* unlink files; not directories */

struct sandbox_path {
	const char *path; /* of a directory: it and all below, wherever symbolic links lead */
	unsigned access;  /* SANDBOX_... */
};

/*
 * sandbox_files(allowed, n): no file is opened, made, renamed or removed any more but as the ${n}
 * rows allow; and as far as the kernel knows how: nothing is truncated, no device opened later is
 * controlled, no TCP port bound or connected to, no signal sent and no abstract socket connected to
 * outside.  Descriptors that are open stay what they are; stat(), inotify and whatever else only
 * looks at names works.  A path that cannot be opened is left out.
 *
 * Holds for the calling thread and for those it starts: call while there is one.
 * 0; -EOPNOTSUPP: the kernel has no Landlock, or it is off; other negative errno.
 */
int sandbox_files(const struct sandbox_path allowed[], size_t n);

/* sandbox_files_version(): of the kernel's Landlock, from 1; 0: there is none. */
int sandbox_files_version(void);

/* One argument of a system call: (argument & mask) == value. */
struct sandbox_condition {
	unsigned argument; /* from 0 */
	uint64_t mask;     /* 0: there is no condition */
	uint64_t value;
};

struct sandbox_call {
	int number; /* SCMP_SYS(name); one that this machine does not have is ignored */
	struct sandbox_condition conditions[3]; /* all must hold; on different arguments */
};

/*
 * sandbox_load(): NULL, or why libseccomp, which makes the filter, cannot be loaded, in words.
 * sandbox_calls() does it too; who shuts the files before does it before that.
 */
const char *sandbox_load(void);

/*
 * sandbox_calls(allowed, n, deadly, n_deadly): of the system calls the ${n} rows may be made;
 * several rows of one call: if one holds. The ${n_deadly}, and any of another architecture, end the
 * process with SIGSYS; whatever else gets EPERM, so that a library that learns a new call falls
 * back or fails in that one place.  A call that is allowed without conditions costs least.
 *
 * Holds for all threads.  0; -EOPNOTSUPP: the kernel, or a container's own filter, has no filters;
 * -ELIBACC: sandbox_load(); other negative errno.
 */
int sandbox_calls(
	const struct sandbox_call allowed[], size_t n, const int deadly[], size_t n_deadly);
