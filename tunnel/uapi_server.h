/*
 * tunnel/uapi_server.h - the socket /var/run/wireguard/NAME.sock and its clients.
 *
 * Knows sockets; what goes over them is uapi.h's.  Never blocks.  At most UAPI_CLIENTS_MAX clients:
 * when one more comes, the one that was silent longest is closed, so that a few forgotten
 * connections cannot lock the administrator out.
 */
#pragma once

#include "tunnel/loop.h"
#include "tunnel/uapi.h"

#define UAPI_SOCKET_DIR "/var/run/wireguard"
#define UAPI_CLIENTS_MAX 64

struct uapi_server;

/*
 * uapi_socket_listen(dir, name, ret_fd): listen on ${dir}/${name}.sock, as local_socket_listen(); only its owner may open it.
 */
int uapi_socket_listen(const char *dir, const char *name, int *ret_fd);

/*
 * uapi_socket_adopt(fd): make an inherited listening socket ours: non-blocking, close-on-exec.
 * -ENOTSOCK, -EINVAL: it is none.
 */
int uapi_socket_adopt(int fd);

/*
 * uapi_socket_remove(dir, name, fd): give up before there was a server: remove the socket file if
 * it still is this one, then close ${fd}.  The file of another daemon stays.
 */
void uapi_socket_remove(const char *dir, const char *name, int fd);

struct uapi_server_config {
	struct loop	*loop;
	struct uapi	*uapi;
	const char	*dir;	/* UAPI_SOCKET_DIR; for a socket that is bound to no absolute path */
	const char	*name;
	int		 fd;	/* listening; owned by the server when uapi_server_new() succeeds */
	/*
	 * The file was removed or replaced, or the socket failed: time to go.  Called once, from
	 * the loop.
	 */
	void		(*gone)(void *arg);
	void		*arg;
};

/*
 * uapi_server_new(config, ret): -ESTALE: the socket's file is gone already.  0 or negative errno.
 */
int uapi_server_new(const struct uapi_server_config *config, struct uapi_server **ret);

/* A client on its way to another process. */
struct uapi_packed {
	int		fd;
	struct buf	in, out;	/* not looked at yet; not sent yet */
	bool		ended;		/* closed once ${out} is sent */
};

/*
 * uapi_server_pack(s, give, arg): show every client to ${give}, which borrows it; they stay here
 * until the server is freed, and are served on if it is not.  Who cannot be packed is closed.
 * Stops with the first negative errno of ${give} and returns it; else 0.
 */
int uapi_server_pack(struct uapi_server *s, int (*give)(void *arg, const struct uapi_packed *c), void *arg);

/* uapi_server_adopt(s, p): goes on with that client; ${p}->fd is the server's from now on. */
void uapi_server_adopt(struct uapi_server *s, const struct uapi_packed *p);

/* uapi_server_listener(s): the listening socket, borrowed. */
int uapi_server_listener(const struct uapi_server *s);

/* uapi_server_leave(s): another process has the socket: its file stays when the server is freed. */
void uapi_server_leave(struct uapi_server *s);

/*
 * uapi_server_free(s): closes the clients, removes the file if it still is ours.  NULL is allowed.
 */
void uapi_server_free(struct uapi_server *s);
