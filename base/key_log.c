#include "base/key_log.h"

#include "base/private_file.h"

#include <errno.h>
#include <fcntl.h>

#define PATH_SHOWN 500 /* bytes of a path in a message */

static void put_key(struct buf *b, const char *label, const uint8_t key[KEY_LEN])
{
	char text[KEY_TEXT_LEN + 1];

	key_text_format(key, text);
	buf_printf(b, "%s=%s\n", label, text);
	explicit_bzero(text, sizeof(text));
}

void key_log_put(const struct key_log_keys *k, struct buf *ret)
{
	static const uint8_t none[KEY_LEN];

	put_key(ret, "LOCAL_STATIC_PRIVATE_KEY", k->local_static);
	if (k->remote_static)
		put_key(ret, "REMOTE_STATIC_PUBLIC_KEY", k->remote_static);
	if (k->local_ephemeral)
		put_key(ret, "LOCAL_EPHEMERAL_PRIVATE_KEY", k->local_ephemeral);
	if (k->preshared && memcmp(k->preshared, none, sizeof(none)))
		put_key(ret, "PRESHARED_KEY", k->preshared);
}

/* ---- files ---- */

/* A pipe that nobody reads yet can only be opened for both ways. */
static int open_path(const char *path, bool never_wait)
{
	const int flags = O_APPEND | O_CREAT | O_NOFOLLOW | O_NOCTTY | O_CLOEXEC;
	int fd = open(path, O_WRONLY | flags | (never_wait ? O_NONBLOCK : 0), 0600);

	if (fd < 0 && errno == ENXIO && never_wait)
		fd = open(path, O_RDWR | flags | O_NONBLOCK, 0600);
	/* lint-ignore resourceLeak: it is the caller's from here on */
	return fd < 0 ? -errno : fd;
}

static const char *objection(const struct stat *st)
{
	if (!S_ISREG(st->st_mode) && !S_ISFIFO(st->st_mode))
		return "is neither a file nor a pipe";
	return private_file_objection(st);
}

/* A name may have anything in it, and be longer than there is room for. */
static void put_path(struct buf *why, const char *before, const char *path, const char *behind)
{
	buf_puts(why, before);
	buf_put_printable(why, path, min(strlen(path), (size_t)PATH_SHOWN));
	buf_puts(why, behind);
}

int key_log_open(const char *path, bool never_wait, struct key_log *ret, struct buf *why)
{
	cleanup(close_fd) int fd = open_path(path, never_wait);
	const char *no;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0) {
		int error = fd < 0 ? -fd : errno;

		put_path(why, "cannot write keys to ", path, ": ");
		buf_puts(why, error == ELOOP ? "it is a symbolic link: name the file itself" : strerror(error));
		return -error;
	}
	no = objection(&st);
	if (no) {
		put_path(why, "no keys are written to ", path, ": it ");
		buf_puts(why, no);
		return -EPERM;
	}
	*ret = (struct key_log){.fd = fd};
	fd = -1;
	return 0;
}

void key_log_close(struct key_log *l)
{
	close_fd(&l->fd);
	l->fd = -1;
}

int key_log_write(struct key_log *l, const struct key_log_keys *k)
{
	cleanup(buf_done) struct buf text = buf_of_max(1024);
	ssize_t n;

	/* Behind half a line the first of the next block would be lost with it. */
	if (l->torn)
		buf_puts(&text, "\n");
	key_log_put(k, &text);
	if (text.error)
		return text.error;
	do
		n = write(l->fd, text.data, text.len);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	l->torn = (size_t)n < text.len;
	return l->torn ? -ENOSPC : 0;
}
