/*
 * base/program.h - other programs: where they are, and what they say when they are run.
 *
 * Runs them with the environment of this one and in its place: the same directory, the same
 * namespaces.
 */
#pragma once

#include "base/buf.h"

#include <limits.h>

/* program_beside(name, ret): its path in the directory that this program was started from. */
int program_beside(const char *name, char ret[PATH_MAX]);

/*
 * program_run(argv, input, in_fd, log_fd, said):
 * Run ${argv[0]}, a path or a name of PATH, and wait for its end.  It reads ${input}; if that is NULL,
 * ${in_fd}; if that is negative, nothing.
 * What it writes to standard output and error is appended to ${said}, as much as has room there; if that
 * is NULL, it goes to ${log_fd}; if that is negative, to where ours goes.  With ${said} the children
 * that it leaves behind are waited for.
 * The exit status, 128 and the signal's number when one ended it; -ENOENT: there is no such program;
 * other negative errno.
 */
int program_run(char *const argv[], const struct buf *input, int in_fd, int log_fd,
	struct buf *said);
