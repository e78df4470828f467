#include "office/store.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>

#define PIECE ((size_t)65536)

static int read_all(int fd, struct buf *ret)
{
	for (;;) {
		uint8_t *room = buf_reserve(ret, 1);
		ssize_t n;

		if (room)
			room = buf_reserve(ret, min(PIECE, ret->max - ret->len));
		if (!room)
			return ret->error;
		n = read(fd, room, min(PIECE, ret->max - ret->len));
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n == 0)
			return 0;
		ret->len += n > 0 ? (size_t)n : 0;
	}
}

int store_read(const char *path, struct buf *ret)
{
	cleanup(close_fd) int fd = -1;

	if (!strcmp(path, "-"))
		return read_all(STDIN_FILENO, ret);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : read_all(fd, ret);
}

int store_read_secret(const char *path, struct buf *ret)
{
	cleanup(close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	return (st.st_mode & (S_IRWXG | S_IRWXO)) ? -EPERM : read_all(fd, ret);
}

static int write_all(int fd, const struct buf *text)
{
	for (size_t at = 0; at < text->len;) {
		ssize_t n = write(fd, text->data + at, text->len - at);

		if (n < 0 && errno != EINTR)
			return -errno;
		at += n > 0 ? (size_t)n : 0;
	}
	return fsync(fd) < 0 ? -errno : 0;
}

/* The directory of ${path}, made where it is missing. */
static int open_directory(const char *path, int *ret)
{
	char directory[PATH_MAX];
	const char *slash = strrchr(path, '/');
	int n = snprintf(directory, sizeof(directory), "%.*s", slash ? (int)(slash - path) + 1 : 1,
		slash ? path : ".");

	if (n >= (int)sizeof(directory))
		return -ENAMETOOLONG;
	if (mkdir(directory, 0755) < 0 && errno != EEXIST && errno != EROFS && errno != EACCES)
		return -errno;
	*ret = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return *ret < 0 ? -errno : 0;
}

int store_lock(const char *path, bool wait, int *ret)
{
	cleanup(close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	while (flock(fd, LOCK_EX | (wait ? 0 : LOCK_NB)) < 0) {
		if (errno == EWOULDBLOCK)
			return -EWOULDBLOCK;
		if (errno != EINTR)
			break;
	}
	*ret = fd;
	fd = -1;
	return 0;
}

static int replace(const char *path, mode_t mode, const struct buf *text, bool only_new)
{
	cleanup(close_fd) int directory = -1, fd = -1;
	char fresh[PATH_MAX];
	int r = text->error ? text->error : open_directory(path, &directory);

	if (r < 0)
		return r;
	if (snprintf(fresh, sizeof(fresh), "%s.new", path) >= (int)sizeof(fresh))
		return -ENAMETOOLONG;
	if (unlink(fresh) < 0 && errno != ENOENT)
		return -errno;
	fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
	if (fd < 0)
		return -errno;
	r = fchmod(fd, mode) < 0 ? -errno : write_all(fd, text);
	/* A name for what is there already is never taken over by link(). */
	if (r == 0 && (only_new ? link(fresh, path) : rename(fresh, path)) < 0)
		r = -errno;
	if (r < 0 || only_new)
		unlink(fresh);
	if (r == 0 && fsync(directory) < 0)
		r = -errno;
	return r < 0 ? r : 1;
}

int store_write(const char *path, mode_t mode, const struct buf *text)
{
	cleanup(buf_done) struct buf old = buf_of_max(text->len + 1);
	struct stat st;

	if (!text->error && store_read(path, &old) == 0 && old.len == text->len &&
		!memcmp(buf_str(&old), text->data, text->len) && stat(path, &st) == 0 &&
		(st.st_mode & 07777) == mode)
		return 0;
	return replace(path, mode, text, false);
}

int store_make(const char *path, mode_t mode, const struct buf *text)
{
	return replace(path, mode, text, true);
}

int store_rename(const char *from, const char *to)
{
	cleanup(close_fd) int directory = -1;
	int r = open_directory(to, &directory);

	if (r == 0 && rename(from, to) < 0)
		r = -errno;
	/* It has happened; that it may be undone by a loss of power is nobody's loss. */
	if (r == 0)
		(void)fsync(directory);
	return r;
}

int store_remove(const char *path)
{
	return unlink(path) < 0 && errno != ENOENT ? -errno : 0;
}
