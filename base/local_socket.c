#include "base/local_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

/* linux/un.h does not go with sys/un.h. */
#ifndef SIOCUNIXFILE
#define SIOCUNIXFILE 0x89e0
#endif

/* /run may lack; its parent never does. */
static int make_dir(const char *dir)
{
	cleanup(free_ptr) char *path = strdup(dir);

	if (!path)
		return -ENOMEM;
	for (char *p = path + 1;; p++) {
		char c = *p;

		if (c && c != '/')
			continue;
		*p = 0;
		/* The caller's umask may be 077, but wg(8) as any user may look who is there. */
		if (mkdir(path, 0755) < 0) {
			if (errno != EEXIST)
				return -errno;
		} else if (chmod(path, 0755) < 0) {
			return -errno;
		}
		if (!c)
			return 0;
		*p = c;
	}
}

struct dir_lock {
	int	fd;
	char	path[sizeof(((struct sockaddr_un *)0)->sun_path) + 8];
};

static void unlock_dir(const struct dir_lock *l)
{
	if (l->fd < 0)
		return;
	unlink(l->path);
	close(l->fd);
}

static int open_lock(const char *path)
{
	/*
	 * In a sticky directory the kernel may let nobody, root included, create a file that is
	 * another user's already (fs.protected_regular).
	 */
	int fd = open(path, O_RDWR | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0 && errno == ENOENT)
		fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd >= 0)
		return fd;
	return errno == EACCES && !access(path, F_OK) ? -EOWNERDEAD : -errno;
}

/*
 * Only one at a time may look who is there and take the place.  The lock is on a file that nobody
 * else can open: whoever may read the directory could hold a lock on that, and stop every start.
 */
static int lock_dir(const char *dir, struct dir_lock *ret)
{
	struct stat ours, there;
	int n = snprintf(ret->path, sizeof(ret->path), "%s/.lock", dir);

	if (n < 0 || (size_t)n >= sizeof(ret->path))
		return -ENAMETOOLONG;
	for (;;) {
		cleanup(close_fd) int fd = open_lock(ret->path);

		/* Somebody else was first. */
		if (fd == -EEXIST)
			continue;
		if (fd < 0)
			return fd;
		if (flock(fd, LOCK_EX) < 0) {
			if (errno != EINTR)
				return -errno;
			continue;
		}
		if (fstat(fd, &ours) < 0)
			return -errno;
		/* Who had it before took the file away: the lock is on the one that is there. */
		if (lstat(ret->path, &there) < 0 || there.st_dev != ours.st_dev ||
			there.st_ino != ours.st_ino)
			continue;
		ret->fd = fd;
		fd = -1;
		return 0;
	}
}

/* Does somebody answer there?  0: nobody; -EADDRINUSE. */
static int probe(const struct sockaddr_un *address, int type)
{
	cleanup(close_fd) int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	if (!connect(fd, (const struct sockaddr *)address, sizeof(*address)))
		return -EADDRINUSE;
	switch (errno) {
	case EAGAIN: /* its backlog is full: it is busy, and alive */
	case EPROTOTYPE: /* another kind of socket listens */
		return -EADDRINUSE;
	case ECONNREFUSED:
	case ENOENT:
		return 0;
	case EACCES:
		return -EPERM;
	default:
		return -errno;
	}
}

/* Only a dead socket is taken away, never a file that somebody put there. */
static int take_away_dead(const struct sockaddr_un *address, int type)
{
	struct stat st;
	int r = probe(address, type);

	if (r < 0)
		return r;
	if (lstat(address->sun_path, &st) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return -EEXIST;
	return unlink(address->sun_path) < 0 && errno != ENOENT ? -errno : 0;
}

static int bind_to(int fd, const struct sockaddr_un *address)
{
	return bind(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 ? -errno : 0;
}

int local_socket_listen(const char *path, int type, mode_t mode, int *ret_fd)
{
	cleanup(close_fd) int fd = -1;
	cleanup(unlock_dir) struct dir_lock lock = {.fd = -1};
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	char dir[sizeof(address.sun_path)];
	size_t len = strlen(path);
	mode_t mask;
	int r;

	if (path[0] != '/' || len >= sizeof(address.sun_path))
		return path[0] == '/' ? -ENAMETOOLONG : -EINVAL;
	memcpy(address.sun_path, path, len + 1);
	memcpy(dir, path, len + 1);
	*strrchr(dir, '/') = '\0';
	r = make_dir(dir);
	if (r < 0)
		return r;
	r = lock_dir(dir, &lock);
	if (r < 0)
		return r;
	fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	mask = umask(0777 & ~mode);
	r = bind_to(fd, &address);
	if (r == -EADDRINUSE) {
		r = take_away_dead(&address, type);
		if (r >= 0)
			r = bind_to(fd, &address);
	}
	umask(mask);
	if (r < 0)
		return r;
	if (listen(fd, 128) < 0) {
		r = -errno;
		unlink(address.sun_path);
		return r;
	}
	*ret_fd = fd;
	fd = -1;
	return 0;
}

int local_socket_file(int fd, const char *path, struct local_file *ret)
{
	cleanup(close_fd) int file = ioctl(fd, SIOCUNIXFILE);
	struct stat st;

	if (file >= 0 ? fstat(file, &st) : lstat(path, &st))
		return -errno;
	*ret = (struct local_file){.dev = st.st_dev, .ino = st.st_ino};
	return 0;
}

bool local_file_is(const char *path, const struct local_file *file)
{
	struct stat st;

	return !lstat(path, &st) && st.st_dev == file->dev && st.st_ino == file->ino;
}

void local_socket_remove(const char *path, int fd)
{
	struct local_file file = {.ino = 0};

	if (!local_socket_file(fd, path, &file) && local_file_is(path, &file))
		unlink(path);
}
