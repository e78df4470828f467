#include "tunnel/handover.h"

#include "base/clock.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>

ENUM_DEFINE(handover_message, HANDOVER_MESSAGE_LIST);
ENUM_DEFINE(handover_item, HANDOVER_ITEM_LIST);
ENUM_DEFINE(handover_role, HANDOVER_ROLE_LIST);

/* ---- the tunnel ---- */

void handover_tunnel_init(struct handover_tunnel *t)
{
	*t = (struct handover_tunnel){.uapi_fd = -1, .ctl_fd = -1, .process_fd = -1};
	for (unsigned i = 0; i < TUN_QUEUES_MAX; i++)
		t->tun[i] = -1;
	for (unsigned i = 0; i < UDP_WORKERS_MAX; i++)
		t->udp4[i] = t->udp6[i] = -1;
}

void handover_tunnel_done(struct handover_tunnel *t)
{
	for (unsigned i = 0; i < TUN_QUEUES_MAX; i++)
		close_fd(&t->tun[i]);
	for (unsigned i = 0; i < UDP_WORKERS_MAX; i++) {
		close_fd(&t->udp4[i]);
		close_fd(&t->udp6[i]);
	}
	close_fd(&t->uapi_fd);
	close_fd(&t->ctl_fd);
	close_fd(&t->process_fd);
	handover_tunnel_init(t);
}

static void put_address(struct buf *f, const struct bind_address *a)
{
	cleanup(buf_done) struct buf text = buf_of_max(128);

	if (!a->family)
		return;
	bind_address_format(a, &text);
	ctl_put_text(f, HANDOVER_ITEM_BIND_ADDRESS | CTL_CRITICAL, buf_str(&text));
}

void handover_put_tunnel(struct buf *f, const struct handover_tunnel *t)
{
	ctl_begin(f, HANDOVER_TUNNEL);
	ctl_put_number(f, HANDOVER_ITEM_VERSION | CTL_CRITICAL, HANDOVER_VERSION);
	ctl_put_number(f, HANDOVER_ITEM_PID, t->pid);
	ctl_put_text(f, HANDOVER_ITEM_PROGRAM, t->program);
	ctl_put_number(f, HANDOVER_ITEM_PORT | CTL_CRITICAL, t->port);
	ctl_put_number(f, HANDOVER_ITEM_FWMARK | CTL_CRITICAL, t->fwmark);
	ctl_put_number(f, HANDOVER_ITEM_UP | CTL_CRITICAL, t->up);
	if (t->managed)
		ctl_put_number(f, HANDOVER_ITEM_MANAGED | CTL_CRITICAL, 1);
	put_address(f, &t->bind.v4);
	put_address(f, &t->bind.v6);
	if (t->bind.device[0])
		ctl_put_text(f, HANDOVER_ITEM_BIND_DEVICE | CTL_CRITICAL, t->bind.device);
}

static int get_text(const struct ctl_field *f, char *ret, size_t size)
{
	if (f->kind != CTL_TEXT || f->len >= size)
		return -EBADMSG;
	memset(ret, 0, size);
	memcpy(ret, f->data, f->len);
	return 0;
}

static int get_address(const struct ctl_field *f, struct bind *ret)
{
	cleanup(buf_done) struct buf why = buf_of_max(256);
	struct bind_address a;
	char text[128];

	if (get_text(f, text, sizeof(text)) < 0 || bind_address_parse(text, &a, &why) < 0)
		return -EBADMSG;
	*(a.family == AF_INET6 ? &ret->v6 : &ret->v4) = a;
	return 0;
}

static int get_item(const struct ctl_field *f, struct handover_tunnel *t, struct buf *why)
{
	switch (f->tag & ~CTL_CRITICAL) {
	case HANDOVER_ITEM_VERSION:
		if (f->number == HANDOVER_VERSION)
			return 0;
		buf_printf(why, "the running one speaks version %llu of the hand-over",
			(unsigned long long)f->number);
		return -EPROTONOSUPPORT;
	case HANDOVER_ITEM_PID:
		t->pid = f->number;
		return 0;
	case HANDOVER_ITEM_PROGRAM:
		return get_text(f, t->program, sizeof(t->program));
	case HANDOVER_ITEM_PORT:
		t->port = (uint16_t)f->number;
		return f->number > UINT16_MAX ? -EBADMSG : 0;
	case HANDOVER_ITEM_FWMARK:
		t->fwmark = (uint32_t)f->number;
		return f->number > UINT32_MAX ? -EBADMSG : 0;
	case HANDOVER_ITEM_UP:
		t->up = f->number;
		return f->number > 1 ? -EBADMSG : 0;
	case HANDOVER_ITEM_MANAGED:
		t->managed = f->number;
		return f->number > 1 ? -EBADMSG : 0;
	case HANDOVER_ITEM_BIND_ADDRESS:
		return get_address(f, &t->bind);
	case HANDOVER_ITEM_BIND_DEVICE:
		return get_text(f, t->bind.device, sizeof(t->bind.device));
	}
	if (!(f->tag & CTL_CRITICAL))
		return 0;
	buf_printf(why, "the running one has a setting (%u) that is not known here", f->tag & ~CTL_CRITICAL);
	return -EPROTONOSUPPORT;
}

int handover_get_tunnel(struct rd fields, struct handover_tunnel *ret, struct buf *why)
{
	struct ctl_field f;

	while (ctl_next(&fields, &f)) {
		int r = get_item(&f, ret, why);

		if (r < 0)
			return r;
	}
	return 0;
}

/* ---- descriptors ---- */

struct role {
	uint8_t	role;
	int	fd;
};

static unsigned add_role(struct role list[], unsigned n, enum handover_role role, const int fds[], unsigned n_fds)
{
	for (unsigned i = 0; i < n_fds; i++)
		if (fds[i] >= 0)
			list[n++] = (struct role){(uint8_t)role, fds[i]};
	return n;
}

unsigned handover_put_descriptors(
	struct buf *f, const struct handover_tunnel *t, unsigned first, int fds[CTL_FDS_MAX])
{
	struct role list[TUN_QUEUES_MAX + 2 * UDP_WORKERS_MAX + 3];
	uint8_t roles[CTL_FDS_MAX];
	unsigned n = 0, count = 0;

	n = add_role(list, n, HANDOVER_ROLE_TUN, t->tun, t->n_tun);
	n = add_role(list, n, HANDOVER_ROLE_UDP4, t->udp4, t->n_udp4);
	n = add_role(list, n, HANDOVER_ROLE_UDP6, t->udp6, t->n_udp6);
	n = add_role(list, n, HANDOVER_ROLE_UAPI, &t->uapi_fd, 1);
	n = add_role(list, n, HANDOVER_ROLE_CTL, &t->ctl_fd, 1);
	n = add_role(list, n, HANDOVER_ROLE_PROCESS, &t->process_fd, 1);
	for (; first + count < n && count < CTL_FDS_MAX; count++) {
		roles[count] = list[first + count].role;
		fds[count] = list[first + count].fd;
	}
	ctl_begin(f, HANDOVER_DESCRIPTORS);
	ctl_put_bytes(f, HANDOVER_ITEM_ROLES | CTL_CRITICAL, roles, count);
	return count;
}

/* Where the next one of this role goes; NULL: nowhere. */
static int *place_for(struct handover_tunnel *t, uint8_t role)
{
	switch (role) {
	case HANDOVER_ROLE_TUN:
		return t->n_tun < TUN_QUEUES_MAX ? &t->tun[t->n_tun++] : NULL;
	case HANDOVER_ROLE_UDP4:
		return t->n_udp4 < UDP_WORKERS_MAX ? &t->udp4[t->n_udp4++] : NULL;
	case HANDOVER_ROLE_UDP6:
		return t->n_udp6 < UDP_WORKERS_MAX ? &t->udp6[t->n_udp6++] : NULL;
	case HANDOVER_ROLE_UAPI:
		return t->uapi_fd < 0 ? &t->uapi_fd : NULL;
	case HANDOVER_ROLE_CTL:
		return t->ctl_fd < 0 ? &t->ctl_fd : NULL;
	case HANDOVER_ROLE_PROCESS:
		return t->process_fd < 0 ? &t->process_fd : NULL;
	default:
		return NULL;
	}
}

int handover_get_descriptors(struct rd fields, struct ctl_fds *fds, struct handover_tunnel *t)
{
	struct ctl_field f;

	if (!ctl_next(&fields, &f) || (f.tag & ~CTL_CRITICAL) != HANDOVER_ITEM_ROLES || f.kind != CTL_BYTES ||
		f.len != fds->n || !f.len)
		return -EBADMSG;
	for (size_t i = 0; i < f.len; i++) {
		int *place = place_for(t, f.data[i]);

		if (!place)
			return -EBADMSG;
		*place = ctl_fds_take(fds, i);
	}
	return 0;
}

size_t handover_put_piece(struct buf *f, enum handover_item item, const struct buf *b, size_t at)
{
	size_t n = min(b->len - at, (size_t)HANDOVER_PIECE_MAX);

	if (!n)
		return 0;
	ctl_begin(f, HANDOVER_PIECE);
	ctl_put_bytes(f, (uint16_t)(item | CTL_CRITICAL), b->data + at, n);
	return n;
}

/* ---- the connection ---- */

static int wait_for(int fd, short events, uint64_t deadline_ns)
{
	struct pollfd p = {.fd = fd, .events = events};
	uint64_t now_ns = clock_ns(CLOCK_BOOTTIME);
	int r;

	if (deadline_ns == UINT64_MAX)
		r = poll(&p, 1, -1);
	else if (now_ns >= deadline_ns)
		return -ETIMEDOUT;
	else
		r = poll(&p, 1, (int)((deadline_ns - now_ns) / 1000000 + 1));
	return r < 0 && errno != EINTR ? -errno : 0;
}

int handover_send(int fd, const struct buf *f, const int fds[], size_t n, uint64_t deadline_ns)
{
	for (;;) {
		int r = ctl_send(fd, f, fds, n);

		if (r != -EAGAIN)
			return r;
		r = wait_for(fd, POLLOUT, deadline_ns);
		if (r < 0)
			return r;
	}
}

int handover_recv(int fd, struct buf *f, struct ctl_fds *fds, uint64_t deadline_ns, struct rd *ret,
	uint16_t *ret_type)
{
	for (;;) {
		int r = ctl_recv(fd, f, fds);

		if (r == 0)
			return ctl_open(ret, f->data, f->len, ret_type);
		if (r != -EAGAIN)
			return r;
		r = wait_for(fd, POLLIN, deadline_ns);
		if (r < 0)
			return r;
	}
}

int handover_say(int fd, struct buf *f, enum handover_message type, const char *why)
{
	ctl_begin(f, (uint16_t)type);
	if (why)
		ctl_put_text(f, HANDOVER_ITEM_WHY, why);
	return ctl_send(fd, f, NULL, 0);
}

void handover_why(struct rd fields, struct buf *ret)
{
	struct ctl_field f;

	/* In REFUSED the text has the same tag. */
	_Static_assert((int)HANDOVER_ITEM_WHY == (int)CTL_ITEM_WHY, "one reader for both");
	while (ctl_next(&fields, &f))
		if (f.tag == HANDOVER_ITEM_WHY && f.kind == CTL_TEXT)
			buf_put_printable(ret, f.data, f.len);
}
