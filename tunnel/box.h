/*
 * tunnel/box.h - what the daemon may still do once it runs: its policy for base/sandbox.h.
 *
 * Afterwards it can remove its sockets' files; open UDP sockets, set the options it needs, and bind
 * them; ask where its device is, and for routes; serve clients on the listening sockets it has; and
 * end.  It opens no file, starts no thread or program, makes no other kind of socket and no
 * executable memory.  A feature that needs another call adds its row to the table in box.c; until
 * then it gets EPERM.
 */
#pragma once

#include "base/util.h"

/*
 * box_shut_files(uapi_fd, dir, ctl_dir, sanitizers): no file but those beside the socket ${uapi_fd}
 * and in ${ctl_dir} (or NULL), which may be removed; ${dir} is the directory of the socket if it is
 * bound to no absolute path.  ${sanitizers}:
 * SANITIZERS; a test may say false.  After sandbox_load() and before any thread is started.  Says so in one line where
 * the kernel cannot.  0 or negative errno.
 */
int box_shut_files(int uapi_fd, const char *dir, const char *ctl_dir, bool sanitizers);

/* box_shut_calls(sanitizers): no system call but those of a running daemon, in all threads.  After
 * all is made.  Likewise. */
int box_shut_calls(bool sanitizers);
