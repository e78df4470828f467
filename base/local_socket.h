/*
 * base/local_socket.h - a Unix socket that listens at a path, and its file.
 *
 * Knows no protocol.  Takes a dead socket's place, never a living one's, and removes a file only if
 * it still is the socket's own.
 */
#pragma once

#include "base/util.h"

#include <sys/types.h>

#define LOCAL_PATH_MAX 109 /* of struct sockaddr_un, and a zero behind it */

/*
 * local_socket_listen(path, type, mode, ret_fd): create the directory (0755) where it is missing and
 * listen on ${path}, with the permissions ${mode}.  ${type}: SOCK_STREAM, SOCK_SEQPACKET.  A
 * socket on which nobody listens any more is replaced; of several daemons that start at once one
 * wins, by a lock on .lock beside it, which is gone afterwards.
 * 0; -EADDRINUSE: somebody listens there; -EEXIST: what is there is no socket; -EOWNERDEAD: .lock is
 * another user's, whose start was killed or goes on; -EPERM: the socket is another user's, who may listen
 * or be dead; -ENAMETOOLONG; other negative errno.
 */
int local_socket_listen(const char *path, int type, mode_t mode, int *ret_fd);

/* Which file it is, whatever its name. */
struct local_file {
	dev_t	dev;
	ino_t	ino;
};

/*
 * local_socket_file(fd, path, ret): the file that ${fd} is bound to, wherever it is now; without
 * the privilege to ask, the one at ${path}.  0 or negative errno.
 */
int local_socket_file(int fd, const char *path, struct local_file *ret);

/* local_file_is(path, file): that file is at ${path}. */
bool local_file_is(const char *path, const struct local_file *file);

/* local_socket_remove(path, fd): remove the file if it is the one that ${fd} is bound to. */
void local_socket_remove(const char *path, int fd);
