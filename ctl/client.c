#include "ctl/client.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <sys/time.h>
#include <sys/un.h>

static unsigned patience(const struct ctl_client *c)
{
	return c->patience_s ? c->patience_s : CTL_CLIENT_TIMEOUT_S;
}

static int say_connect(int r, const char *dir, const char *name, struct buf *why)
{
	switch (-r) {
	case ENOENT:
	case ECONNREFUSED:
		buf_printf(why, "no ginnel-wg runs for %s (%s %s/%s" CTL_SUFFIX ")", name,
			r == -ENOENT ? "no" : "nobody listens on", dir, name);
		break;
	case EACCES:
	case EPERM:
		buf_printf(why, "%s/%s" CTL_SUFFIX " is for root and for who runs the daemon", dir,
			name);
		break;
	default:
		buf_printf(why, "cannot connect to %s/%s" CTL_SUFFIX ": %s", dir, name, strerror(-r));
	}
	return r;
}

int ctl_client_connect_in(struct ctl_client *c, const char *dir, const char *name, struct buf *why)
{
	const struct timeval limit = {.tv_sec = patience(c)};
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int n;

	if (!*name || strchr(name, '/') || strlen(name) >= sizeof(c->name)) {
		buf_puts(why, "no tunnel can be called ");
		buf_put_printable(why, name, min(strlen(name), (size_t)80));
		return -EINVAL;
	}
	n = snprintf(address.sun_path, sizeof(address.sun_path), "%s/%s" CTL_SUFFIX, dir, name);
	ctl_client_done(c);
	snprintf(c->name, sizeof(c->name), "%s", name);
	for (char *p = c->name; *p; p++)
		if ((*p > 0 && *p < ' ') || *p == 0x7f)
			*p = '?';
	name = c->name;
	if (n < 0 || (size_t)n >= sizeof(address.sun_path))
		return say_connect(-ENAMETOOLONG, dir, name, why);
	c->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (c->fd < 0)
		return say_connect(-errno, dir, name, why);
	if (setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) < 0 ||
		setsockopt(c->fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) < 0 ||
		connect(c->fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return say_connect(-errno, dir, name, why);
	return 0;
}

int ctl_client_connect(struct ctl_client *c, const char *name, struct buf *why)
{
	return ctl_client_connect_in(c, CTL_DIR, name, why);
}

void ctl_client_done(struct ctl_client *c)
{
	close_fd(&c->fd);
	c->fd = -1;
	buf_done(&c->frame);
	ctl_fds_done(&c->fds);
}

static int say_lost(const struct ctl_client *c, int r, struct buf *why)
{
	switch (-r) {
	case EPIPE:
		buf_printf(why, "the ginnel-wg of %s ended, or closed the connection", c->name);
		break;
	case EAGAIN:
		buf_printf(why, "the ginnel-wg of %s has not answered for %u s", c->name,
			patience(c));
		return -ETIMEDOUT;
	case EPROTONOSUPPORT:
		buf_printf(why,
			"the ginnel-wg of %s speaks another version of the control channel than %d: "
			"use the ginnel that belongs to it",
			c->name, CTL_VERSION);
		break;
	default:
		buf_printf(why, "the control channel of %s failed: %s", c->name, strerror(-r));
	}
	return r;
}

int ctl_client_send(struct ctl_client *c, const int fds[], size_t n, struct buf *why)
{
	int r = ctl_send(c->fd, &c->frame, fds, n);

	return r < 0 ? say_lost(c, r, why) : 0;
}

int ctl_client_request(struct ctl_client *c, enum ctl_message type, struct buf *why)
{
	ctl_begin(&c->frame, type);
	return ctl_client_send(c, NULL, 0, why);
}

static int say_refused(const struct ctl_client *c, struct rd fields, struct buf *why)
{
	struct ctl_field f, text = {.data = NULL};
	int r = -EPROTO;

	while (ctl_next(&fields, &f)) {
		if (f.tag == CTL_ITEM_ERROR && f.number > 0 && f.number < 4096)
			r = -(int)f.number;
		else if (f.tag == CTL_ITEM_WHY && f.kind == CTL_TEXT)
			text = f;
	}
	buf_printf(why, "the ginnel-wg of %s refused: ", c->name);
	if (text.data)
		buf_put_printable(why, text.data, text.len);
	else
		buf_puts(why, strerror(-r));
	return r;
}

int ctl_client_next(struct ctl_client *c, uint16_t *ret_type, struct rd *ret, struct buf *why)
{
	uint16_t type;
	struct rd fields;
	int r;

	ctl_fds_done(&c->fds);
	r = ctl_recv(c->fd, &c->frame, &c->fds);
	if (r >= 0)
		r = ctl_open(&fields, c->frame.data, c->frame.len, &type);
	if (r < 0)
		return say_lost(c, r, why);
	if (type == CTL_MESSAGE_REFUSED)
		return say_refused(c, fields, why);
	if (type == CTL_MESSAGE_END)
		return 0;
	*ret_type = type;
	*ret = fields;
	return 1;
}

/* ---- which there are ---- */

static int is_channel(const struct dirent *e)
{
	size_t len = strlen(e->d_name), suffix = strlen(CTL_SUFFIX);

	return e->d_name[0] != '.' && len > suffix && !strcmp(e->d_name + len - suffix, CTL_SUFFIX);
}

int ctl_tunnels(const char *dir, int (*each)(void *arg, const char *name), void *arg)
{
	struct dirent **entries;
	int n = scandir(dir, &entries, is_channel, alphasort), r = 0;

	if (n < 0)
		return errno == ENOENT ? 0 : -errno;
	for (int i = 0; i < n; i++) {
		char *name = entries[i]->d_name;

		name[strlen(name) - strlen(CTL_SUFFIX)] = '\0';
		if (!r)
			r = each(arg, name);
		free(entries[i]);
	}
	free(entries);
	return r;
}
