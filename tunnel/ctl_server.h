/*
 * tunnel/ctl_server.h - the control channel /run/ginnel/NAME.ctl and its clients.
 *
 * Knows sockets, frames (base/ctl.h) and who may ask; what is asked and answered are rows of a
 * table that the daemon brings.  Never blocks.  An answer is made frame by frame as its client
 * takes it, so that one who stands still costs a descriptor and at most one frame.  At most
 * CTL_CLIENTS_MAX clients: when one more comes, the one that was silent longest is closed.
 *
 * Locks: the control thread's.
 */
#pragma once

#include "ctl/protocol.h"
#include "tunnel/loop.h"

#define CTL_CLIENTS_MAX 256

struct ctl_server;

/* A request and who answers it: either begin, next and end, or take. */
struct ctl_service {
	enum ctl_message request;
	/*
	 * begin(arg, fields, ret): ${fields} are of the request, for ctl_next().  0 with what next()
	 * needs; negative errno: refused, and the client may ask something else.
	 */
	int	(*begin)(void *arg, struct rd fields, void **ret);
	/*
	 * next(arg, answer, frame): put one frame into ${frame}, which is empty.  1; 0 when there
	 * was none left: the server says END; negative errno: REFUSED ends the answer.
	 */
	int	(*next)(void *arg, void *answer, struct buf *frame);
	/* Once for each begin() that succeeded, also when the client went away. */
	void	(*end)(void *arg, void *answer);
	/*
	 * take(arg, socket, fields, fds): the connection is no longer the server's but the
	 * callee's, for good: a socket that does not block, close-on-exec, in no loop, whose other
	 * end may do anything.  The callee answers, refuses and closes.  It takes of ${fds}, which
	 * came with the request, what it wants.  Beside requests of this kind descriptors are
	 * closed unseen.
	 */
	void	(*take)(void *arg, int socket, struct rd fields, struct ctl_fds *fds);
	void	*arg;
};

/*
 * ctl_socket_listen(name, ret): as local_socket_listen() does, on CTL_DIR/NAME.ctl; its path is
 * ctl_socket_path().
 */
int ctl_socket_listen(const char *name, int *ret);

/* ctl_socket_path(name, ret): ${ret} has room for LOCAL_PATH_MAX; -ENAMETOOLONG. */
int ctl_socket_path(const char *name, char ret[]);

/* ctl_socket_remove(name, fd): as uapi_socket_remove(); nothing where ${fd} is -1. */
void ctl_socket_remove(const char *name, int fd);

struct ctl_server_config {
	struct loop			*loop;
	int				 fd;	/* listening; owned by the server when ctl_server_new() succeeds */
	const char			*path;	/* of its file */
	uid_t				 own;	/* beside root, who may ask */
	const struct ctl_service	*services;	/* borrowed */
	size_t				 n_services;
};

int ctl_server_new(const struct ctl_server_config *config, struct ctl_server **ret);

/* ctl_server_leave(s): another process has the socket: its file stays when the server is freed. */
void ctl_server_leave(struct ctl_server *s);

/* ctl_server_listener(s): the listening socket, borrowed. */
int ctl_server_listener(const struct ctl_server *s);

/* ctl_server_free(s): closes the clients, removes the file if it still is ours.  NULL is allowed. */
void ctl_server_free(struct ctl_server *s);

/*
 * ctl_refuse(socket, error, why): the answer to a request that was taken and cannot be served.
 * Does not close.
 */
void ctl_refuse(int socket, int error, const char *why);
