#include "base/ctl.h"

#include <errno.h>

ENUM_DEFINE(ctl_kind, CTL_KIND_LIST);

#define FIELD_HEADER 5

void ctl_begin(struct buf *b, uint16_t type)
{
	uint8_t header[4] = {CTL_VERSION, 0};

	buf_clear(b);
	put_be16(header + 2, type);
	buf_put(b, header, sizeof(header));
}

static void put_field(
	struct buf *b, uint16_t tag, enum ctl_kind kind, const void *data, size_t len)
{
	uint8_t header[FIELD_HEADER];

	if (len > CTL_FIELD_MAX) {
		b->error = b->error ? b->error : -ENOBUFS;
		return;
	}
	/* All of the field or nothing. */
	if (!buf_reserve(b, sizeof(header) + len))
		return;
	put_be16(header, tag);
	header[2] = (uint8_t)kind;
	put_be16(header + 3, (uint16_t)len);
	buf_put(b, header, sizeof(header));
	buf_put(b, data, len);
}

void ctl_put_number(struct buf *b, uint16_t tag, uint64_t number)
{
	uint8_t data[8];

	put_be64(data, number);
	put_field(b, tag, CTL_NUMBER, data, sizeof(data));
}

void ctl_put_text(struct buf *b, uint16_t tag, const char *text)
{
	put_field(b, tag, CTL_TEXT, text, strlen(text));
}

void ctl_put_bytes(struct buf *b, uint16_t tag, const void *data, size_t len)
{
	put_field(b, tag, CTL_BYTES, data, len);
}

bool ctl_next(struct rd *r, struct ctl_field *ret)
{
	struct ctl_field f = {.tag = 0};

	if (r->bad || rd_at_end(r))
		return false;
	f.tag = rd_be16(r);
	f.kind = (enum ctl_kind)rd_u8(r);
	f.len = rd_be16(r);
	f.data = rd_bytes(r, f.len);
	if (r->bad)
		return false;
	switch (f.kind) {
	case CTL_NUMBER:
		if (f.len == 8)
			f.number = (uint64_t)get_be32(f.data) << 32 | get_be32(f.data + 4);
		else
			r->bad = true;
		break;
	case CTL_TEXT:
		r->bad = memchr(f.data, 0, f.len) != NULL;
		break;
	case CTL_BYTES:
		break;
	default:
		r->bad = true;
	}
	if (r->bad)
		return false;
	*ret = f;
	return true;
}

int ctl_open(struct rd *r, const void *frame, size_t len, uint16_t *ret_type)
{
	struct rd body = rd_of(frame, len), check;
	struct ctl_field f;
	uint8_t version, zero;
	uint16_t type;

	version = rd_u8(&body);
	if (body.bad)
		return -EBADMSG;
	if (version != CTL_VERSION)
		return -EPROTONOSUPPORT;
	zero = rd_u8(&body);
	type = rd_be16(&body);
	if (body.bad || zero)
		return -EBADMSG;
	check = body;
	while (ctl_next(&check, &f))
		continue;
	if (check.bad)
		return -EBADMSG;
	*r = body;
	*ret_type = type;
	return 0;
}

/* ---- descriptors ---- */

void ctl_fds_done(struct ctl_fds *fds)
{
	for (size_t i = 0; i < fds->n; i++)
		close_fd(&fds->fd[i]);
	fds->n = 0;
}

int ctl_fds_take(struct ctl_fds *fds, size_t i)
{
	int fd;

	if (i >= fds->n || fds->fd[i] < 0)
		return -EBADF;
	fd = fds->fd[i];
	fds->fd[i] = -1;
	return fd;
}

/* ---- sockets ---- */

union control {
	struct cmsghdr	align;
	uint8_t		bytes[CMSG_SPACE(CTL_FDS_MAX * sizeof(int))];
};

int ctl_send(int socket, const struct buf *frame, const int fds[], size_t n_fds)
{
	union control control;
	struct iovec iov = {.iov_base = frame->data, .iov_len = frame->len};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t n;

	if (frame->error)
		return frame->error;
	if (n_fds > CTL_FDS_MAX || !frame->len)
		return -EINVAL;
	if (n_fds) {
		memset(&control, 0, sizeof(control));
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(n_fds * sizeof(int));
		memcpy(CMSG_DATA(&control.align), fds, n_fds * sizeof(int));
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
	}
	do
		n = sendmsg(socket, &msg, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == ECONNRESET || errno == ENOTCONN ? -EPIPE : -errno;
	return 0;
}

/*
 * Collect the descriptors of a received message; false when there were more than ${ret} holds
 * (those are closed).
 */
static bool collect(struct msghdr *msg, struct ctl_fds *ret)
{
	bool all = true;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		size_t n;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
			if (ret->n < CTL_FDS_MAX) {
				ret->fd[ret->n++] = fd;
			} else {
				close(fd);
				all = false;
			}
		}
	}
	return all;
}

int ctl_recv(int socket, struct buf *ret, struct ctl_fds *ret_fds)
{
	cleanup(ctl_fds_done) struct ctl_fds fds = CTL_FDS_NONE;
	union control control;
	struct iovec iov;
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t n;
	bool all;

	buf_clear(ret);
	iov.iov_base = buf_reserve(ret, ret->max);
	iov.iov_len = ret->max;
	if (!iov.iov_base)
		return ret->error;
	do {
		msg.msg_control = &control;
		msg.msg_controllen = sizeof(control);
		n = recvmsg(socket, &msg, MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == ECONNRESET || errno == ENOTCONN ? -EPIPE : -errno;
	all = collect(&msg, &fds);
	if (!all || (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC))) {
		explicit_bzero(iov.iov_base, (size_t)n);
		return -EMSGSIZE;
	}
	if (!n)
		return -EPIPE;
	ret->len = (size_t)n;
	*ret_fds = fds;
	fds.n = 0;
	return 0;
}

int ctl_peer(int socket, struct ucred *ret)
{
	socklen_t len = sizeof(*ret);

	return getsockopt(socket, SOL_SOCKET, SO_PEERCRED, ret, &len) ? -errno : 0;
}

int ctl_peer_check(int socket, uid_t own)
{
	struct ucred peer;
	int r = ctl_peer(socket, &peer);

	if (r)
		return r;
	/* A socket without a peer says (uid_t)-1, a peer in another PID namespace has pid 0. */
	if (peer.uid == (uid_t)-1 || (peer.uid != 0 && peer.uid != own))
		return -EPERM;
	return 0;
}
