#include "office/stay_one.h"

#include "base/log.h"
#include "office/engine.h"
#include "office/stay.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/pidfd.h>
#include <sys/stat.h>

#define END_MS 60000

static int path_of(const char *interface, char ret[PATH_MAX])
{
	return snprintf(ret, PATH_MAX, "%s/%s.stay", ENGINE_DIR, interface) >= PATH_MAX ? -ENAMETOOLONG : 0;
}

static struct flock whole(void)
{
	return (struct flock){.l_type = F_WRLCK, .l_whence = SEEK_SET};
}

/* Who has it; 0: nobody. */
static pid_t holder(int fd)
{
	struct flock l = whole();

	return fcntl(fd, F_GETLK, &l) == 0 && l.l_type != F_UNLCK ? l.l_pid : 0;
}

/* Whoever left it last has removed the file, which is another by now. */
static bool is_at(int fd, const char *path)
{
	struct stat mine, there;

	return fstat(fd, &mine) == 0 && stat(path, &there) == 0 && mine.st_ino == there.st_ino && mine.st_dev == there.st_dev;
}

static int take(const char *path, int *ret)
{
	cleanup(close_fd) int fd = -1;
	struct flock l = whole();

	do {
		close_fd(&fd);
		fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (fd < 0)
			return -errno;
		if (fcntl(fd, F_SETLK, &l) < 0) {
			if (errno != EAGAIN && errno != EACCES)
				return -errno;
			log_error("process %d stays already: end it first, or give it another bundle with ginnel up BUNDLE",
				(int)holder(fd));
			return -EBUSY;
		}
	} while (!is_at(fd, path));
	*ret = fd;
	fd = -1;
	return 0;
}

int stay_one_take(const char *interface, int *ret)
{
	char path[PATH_MAX];
	int r = path_of(interface, path);

	if (r == 0 && mkdir(ENGINE_DIR, 0755) < 0 && errno != EEXIST)
		r = -errno;
	if (r == 0)
		r = take(path, ret);
	if (r < 0 && r != -EBUSY)
		log_error("cannot lock %s: %s", path, strerror(-r));
	return r;
}

void stay_one_leave(const char *interface, int fd)
{
	char path[PATH_MAX];

	if (path_of(interface, path) == 0)
		unlink(path);
	close(fd);
}

/* The descriptor is of the process that has the lock, or of one that has ended: no other gets the signal. */
static int end(int fd, pid_t pid)
{
	cleanup(close_fd) int process = pidfd_open(pid, 0);
	struct pollfd p = {.fd = process, .events = POLLIN};

	if (process < 0)
		return errno == ESRCH ? 0 : -errno;
	if (holder(fd) != pid)
		return 0;
	if (pidfd_send_signal(process, SIGTERM, NULL, 0) < 0)
		return errno == ESRCH ? 0 : -errno;
	log_info("ended process %d, which stayed", (int)pid);
	while (poll(&p, 1, END_MS) < 0)
		if (errno != EINTR)
			return -errno;
	return p.revents ? 0 : -ETIMEDOUT;
}

int stay_end(const char *interface)
{
	cleanup(close_fd) int fd = -1;
	char path[PATH_MAX];
	int r = path_of(interface, path);
	pid_t pid;

	if (r < 0)
		return r;
	fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	pid = holder(fd);
	r = pid > 0 ? end(fd, pid) : 0;
	if (r < 0)
		log_error("cannot end process %d, which stays: %s", (int)pid, strerror(-r));
	/* Of one that was killed. */
	else if (!holder(fd) && is_at(fd, path))
		unlink(path);
	return r;
}
