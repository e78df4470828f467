/*
 * base/ctl.h - messages of a local control channel over SOCK_SEQPACKET.
 *
 * One packet is one frame: a version byte, a zero byte, a 16-bit message type, then fields.  A
 * field is a 16-bit tag, a byte that says its kind, a 16-bit length and as many bytes; everything
 * is big-endian.  Unknown tags are for the receiver to skip, so that a newer end may say more; but
 * one with the bit CTL_CRITICAL must be understood, or the frame is refused.
 * Knows no message; encoding and decoding make no system call.
 *
 *	cleanup(buf_done) struct buf f = buf_of_max(CTL_FRAME_MAX);
 *	ctl_begin(&f, STATS_GET);
 *	ctl_put_text(&f, TAG_NAME, "wg0");
 *	r = ctl_send(fd, &f, NULL, 0);
 */
#pragma once

#include <sys/socket.h>

#include "base/enum.h"
#include "base/rd.h"

#define CTL_VERSION 1
#define CTL_FRAME_MAX 65536
#define CTL_FIELD_MAX 65535
#define CTL_FDS_MAX 8
#define CTL_CRITICAL 0x8000

#define CTL_KIND_LIST(X)                                                                           \
	X(CTL_NUMBER, 1, "number", "eight bytes")                                                  \
	X(CTL_TEXT, 2, "text", "characters without NUL, not terminated")                           \
	X(CTL_BYTES, 3, "bytes", "anything")
ENUM_DECLARE(ctl_kind, CTL_KIND_LIST);

struct ctl_field {
	uint16_t	 tag;
	enum ctl_kind	 kind;
	uint64_t	 number;	/* NUMBER, else 0 */
	const uint8_t	*data;		/* borrowed from the frame */
	size_t		 len;
};

/*
 * ctl_begin(b, type): empty the buffer and start a frame.  Errors of this and the next are the
 * buffer's sticky one.
 */
void ctl_begin(struct buf *b, uint16_t type);
void ctl_put_number(struct buf *b, uint16_t tag, uint64_t number);
void ctl_put_text(struct buf *b, uint16_t tag, const char *text);
void ctl_put_bytes(struct buf *b, uint16_t tag, const void *data, size_t len);

/*
 * ctl_open(r, frame, len, ret_type):
 * Start reading a frame that must outlive ${r}, after all of it was checked: ctl_next() will not
 * fail half-way.  0; -EPROTONOSUPPORT for another version; -EBADMSG.
 */
int ctl_open(struct rd *r, const void *frame, size_t len, uint16_t *ret_type);

/*
 * ctl_next(r, ret): the next field; false at the end, or, on a reader not from ctl_open(), with
 * r->bad set.
 */
bool ctl_next(struct rd *r, struct ctl_field *ret);

/* Descriptors that came with a frame; what nobody took is closed by ctl_fds_done(). */
struct ctl_fds {
	int	fd[CTL_FDS_MAX];
	size_t	n;
};

#define CTL_FDS_NONE {.n = 0}

/* ctl_fds_done(fds): close what was not taken.  For cleanup(). */
void ctl_fds_done(struct ctl_fds *fds);

/*
 * ctl_fds_take(fds, i): the i-th descriptor, now the caller's; -EBADF when there is none or it was
 * taken.
 */
int ctl_fds_take(struct ctl_fds *fds, size_t i);

/*
 * ctl_send(socket, frame, fds, n_fds): send a frame and copies of at most CTL_FDS_MAX descriptors,
 * which stay the caller's.  0 or negative errno: the buffer's error, -EAGAIN when the socket is
 * full, -EPIPE when the other end is gone.  No SIGPIPE.
 */
int ctl_send(int socket, const struct buf *frame, const int fds[], size_t n_fds);

/*
 * ctl_recv(socket, ret, ret_fds):
 * Receive one packet into ${ret} (emptied first; its maximum bounds the packet) and its
 * descriptors, close-on-exec, into ${ret_fds}.  0; -EPIPE at the end of the stream; -EAGAIN;
 * -EMSGSIZE when the packet, the descriptors or other control data were more than fits.  On failure
 * ${ret} is empty, and every descriptor that came along is closed.
 */
int ctl_recv(int socket, struct buf *ret, struct ctl_fds *ret_fds);

/* ctl_peer(socket, ret): who connected (SO_PEERCRED).  0 or negative errno. */
int ctl_peer(int socket, struct ucred *ret);

/* ctl_peer_check(socket, own): 0 when the other end is root or the user ${own}; -EPERM. */
int ctl_peer_check(int socket, uid_t own);
