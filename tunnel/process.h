/*
 * tunnel/process.h - the process: into the background, its descriptors, its privileges, its
 * signals.
 *
 * Knows no tunnel.  Call while there is one thread.
 */
#pragma once

#include "base/util.h"

#include <sys/types.h>

/*
 * process_adopt_fd(fd): an inherited descriptor becomes ours: close-on-exec and non-blocking.
 * -EBADF: it is not open.
 */
int process_adopt_fd(int fd);

/*
 * process_close_others(keep, n): close every descriptor above 2 that is not in ${keep}.  0 or
 * negative errno.  Also opens /dev/null on any of 0, 1 and 2 that is closed, so that no socket ends
 * up there.
 */
int process_close_others(const int keep[], size_t n);

/*
 * process_own_stderr(): a terminal or pipe on standard error becomes an open file of our own, which
 * never waits for who reads; O_NONBLOCK on the one that we got would be everybody's who has it.  0
 * or negative errno: it stays the one that we got.
 */
int process_own_stderr(void);

/*
 * process_daemonise(orphan, ret_ready_fd): fork.  Returns in the child only, which has a session of its
 * own, / as directory and /dev/null as standard input and output; standard error still is the
 * caller's, for messages of a start that fails. The parent waits: until process_ready() (then exits
 * with 0), or until the child is gone (then with 1).  ${orphan}: the child is at once a child of
 * whoever takes those in whose parents have ended, and the parent may learn a moment early that it
 * is gone.  Negative errno: there is no child, or this is it and it has to end.
 */
int process_daemonise(bool orphan, int *ret_ready_fd);

/*
 * process_ready(ready_fd, keep_stderr): all is served: let the parent exit with 0 and, unless
 * ${keep_stderr}, put /dev/null on standard error. Closes ${ready_fd}; -1 (in the foreground): does
 * nothing at all.
 */
void process_ready(int ready_fd, bool keep_stderr);

/*
 * process_protect(): no core dump, no ptrace by others of the same user, and umask 077.  0 or
 * negative errno.
 */
int process_protect(void);

/*
 * process_need_stack(bytes): this thread's stack may grow to so many bytes, whatever limit we were
 * started with.  0; -EPERM: the limit cannot be raised.
 */
int process_need_stack(size_t bytes);

/*
 * process_keep_small(): large blocks come from the system and go back to it one by one.  The C
 * library would keep what was freed once for a next block as large, and clear it by writing to it.
 */
void process_keep_small(void);

/*
 * process_lock_memory(): no page that is or will be touched is ever written to swap, and with them
 * no key.  Does not outlive a fork.  0; -EPERM: it takes CAP_SYS_RESOURCE, or an unlimited
 * RLIMIT_MEMLOCK.
 */
int process_lock_memory(void);

/*
 * process_drop_privileges(): keep CAP_NET_ADMIN, CAP_NET_BROADCAST and CAP_NET_BIND_SERVICE where
 * we have them, and give up every other capability, for good: bounding set, ambient set,
 * no_new_privs.  0 or negative errno.
 */
int process_drop_privileges(void);

/*
 * process_hold_signals(): SIGTERM and SIGINT wait for process_signals() from here on: what was made
 * is taken away again, however early they come.  SIGHUP, SIGPIPE and SIGXFSZ are ignored: that a log
 * takes no more is no reason to end.  0 or negative errno.
 */
int process_hold_signals(void);

/*
 * process_signals(ret_fd): SIGTERM and SIGINT are blocked and come through a signalfd (one struct
 * signalfd_siginfo each).  0 or negative errno.
 */
int process_signals(int *ret_fd);

/*
 * process_show_interrupt(): in the thread that reads these: SIGINT is delivered before it is read there, so that a
 * debugger sees it and not the program.  By it debuggers stop what they debug.
 */
void process_show_interrupt(void);
