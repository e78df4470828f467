#include "tunnel/tun.h"
#include "base/log.h"
#include "tunnel/join.h"
#include "tunnel/kernel.h"
#include "tunnel/process.h"
#include "tunnel/split.h"
#include "tunnel/steering.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <sched.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

static int ioctl_errno(int fd, unsigned long request, void *arg)
{
	return ioctl(fd, request, arg) < 0 ? -errno : 0;
}

/*
 * What the kernel has: checksums and TCP, then what newer ones have; each is tried with what was
 * taken before it.
 */
static unsigned find_offloads(int fd)
{
	static const struct {
		unsigned bits, pieces;
		const char *what;
	} steps[] = {
		{TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6,
			FAST_PATH_TUN_TSO | FAST_PATH_TUN_USO | FAST_PATH_JOIN_UDP,
			"TCP segmentation"},
		{TUN_F_TSO_ECN, 0, "TCP segmentation with ECN"},
		{TUN_F_USO4 | TUN_F_USO6, FAST_PATH_TUN_USO | FAST_PATH_JOIN_UDP,
			"UDP segmentation"},
	};
	unsigned taken = 0;

	for (size_t i = 0; i < array_size(steps); i++) {
		if (ioctl(fd, TUNSETOFFLOAD, (unsigned long)(taken | steps[i].bits)) == 0) {
			taken |= steps[i].bits;
			continue;
		}
		fast_path_fell_back(steps[i].pieces, FAST_PATH_KERNEL, errno);
		log_info("tun: the kernel does not offer %s: %s", steps[i].what, strerror(errno));
		if (i == 0)
			break;
		/* A refusal may leave the device without any; say again what was taken. */
		if (ioctl(fd, TUNSETOFFLOAD, (unsigned long)taken) < 0)
			return 0;
	}
	return taken;
}

/*
 * Turn on what is wanted.  What may be written merged depends on what the kernel has, not on what
 * it is told to hand over: a kernel that has USO for reading has it for writing.
 */
static void take_offloads(struct tun *t, int fd, unsigned without)
{
	unsigned found = find_offloads(fd), wanted = found;

	if (without & FAST_PATH_TUN_VNET)
		wanted = 0;
	if (without & FAST_PATH_TUN_TSO)
		wanted &= ~(unsigned)(TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN);
	if (without & FAST_PATH_TUN_USO)
		wanted &= ~(unsigned)(TUN_F_USO4 | TUN_F_USO6);
	if (wanted != found && ioctl(fd, TUNSETOFFLOAD, (unsigned long)wanted) < 0)
		wanted = found;
	t->offloads = wanted;
	if (without & FAST_PATH_TUN_VNET)
		return;
	if (!(without & FAST_PATH_JOIN_TCP))
		t->join |= JOIN_TCP;
	if (found & TUN_F_USO4 && !(without & FAST_PATH_JOIN_UDP))
		t->join |= JOIN_UDP;
}

static struct tun *tun_new(void)
{
	struct tun *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	for (unsigned i = 0; i < TUN_QUEUES_MAX; i++)
		t->queues[i].fd = -1;
	return t;
}

void tun_free(struct tun *t)
{
	for (unsigned i = 0; i < TUN_QUEUES_MAX; i++)
		close_fd(&t->queues[i].fd);
	free(t);
}

/* The virtio header is ten bytes towards us, whatever it was set to before. */
static int set_vnet_hdr_len(int fd)
{
	int len = VNET_HDR_LEN;

	return ioctl_errno(fd, TUNSETVNETHDRSZ, &len);
}

int tun_open(const char *name, unsigned without, struct tun **ret)
{
	cleanup(tun_freep) struct tun *t = NULL;
	struct ifreq ifr = {0};
	struct tun_queue *q;
	/*
	 * Many queues also where there will be one: who takes over may want more.  Without EXCL the
	 * queue would be one more of another program's device.
	 */
	int flags = IFF_TUN | IFF_NO_PI | IFF_MULTI_QUEUE | IFF_TUN_EXCL, r;

	if (strlen(name) >= IFNAMSIZ)
		return -ENAMETOOLONG;
	t = tun_new();
	if (!t)
		return -ENOMEM;
	q = &t->queues[0];
	t->vnet_hdr = q->vnet_hdr = !(without & FAST_PATH_TUN_VNET);
	ifr.ifr_flags = (short)(flags | (t->vnet_hdr ? IFF_VNET_HDR : 0));
	memcpy(ifr.ifr_name, name, strlen(name));
	q->fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	/* A container that may not have the device says EPERM. */
	if (q->fd < 0)
		return errno == EPERM ? -EACCES : -errno;
	r = ioctl_errno(q->fd, TUNSETIFF, &ifr);
	if (r < 0)
		return r;
	t->n_queues = 1;
	memcpy(t->name, ifr.ifr_name, IFNAMSIZ);
	t->name[IFNAMSIZ - 1] = '\0';
	r = q->vnet_hdr ? set_vnet_hdr_len(q->fd) : 0;
	if (r >= 0)
		r = tun_set_mtu(t->name, TUN_MTU_DEFAULT);
	if (r < 0)
		return r;
	*ret = steal(t);
	return 0;
}

void tun_equip(struct tun *t, unsigned queues, unsigned without)
{
	(void)tun_prepare_queues(t, queues);
	tun_attach_queues(t);
	if (t->vnet_hdr)
		take_offloads(t, t->queues[0].fd, without);
}

void tun_steer(const struct tun *t, unsigned without)
{
	int r;

	if (t->n_queues < 2 || without & FAST_PATH_TUN_STEERING)
		return;
	r = steering_attach(t->queues[0].fd);
	if (r >= 0)
		return;
	log_info("tun: flows cannot be held to one worker, and may get out of order once: %s", strerror(-r));
	fast_path_fell_back(FAST_PATH_TUN_STEERING, FAST_PATH_KERNEL, -r);
}

/* The descriptor ${fd} is of a TUN device, and made fit for us; what the kernel says of it. */
static int look_at(int fd, struct ifreq *ret)
{
	int r = ioctl_errno(fd, TUNGETIFF, ret);

	if (r < 0)
		return r;
	/* IFF_NO_PI says nothing here: the kernel reports it set, whatever was asked for. */
	if ((ret->ifr_flags & IFF_TUN) == 0)
		return -EPROTOTYPE;
	r = process_adopt_fd(fd);
	if (r < 0)
		return r;
	return (ret->ifr_flags & IFF_VNET_HDR) ? set_vnet_hdr_len(fd) : 0;
}

int tun_adopt(const int fds[], unsigned n, unsigned without, struct tun **ret)
{
	cleanup(tun_freep) struct tun *t = NULL;
	struct ifreq ifr = {0};
	int r;

	if (n < 1 || n > TUN_QUEUES_MAX)
		return -EINVAL;
	t = tun_new();
	if (!t)
		return -ENOMEM;
	for (unsigned i = 0; i < n; i++) {
		r = look_at(fds[i], &ifr);
		if (r < 0)
			return r;
		/* One namespace has a name once; a device of another is not looked for. */
		if (i && strncmp(t->name, ifr.ifr_name, IFNAMSIZ) != 0)
			return -EXDEV;
		memcpy(t->name, ifr.ifr_name, IFNAMSIZ);
		t->name[IFNAMSIZ - 1] = '\0';
		t->queues[i].vnet_hdr = (ifr.ifr_flags & IFF_VNET_HDR) != 0;
	}
	t->n_queues = n;
	t->vnet_hdr = t->queues[0].vnet_hdr;
	if (t->vnet_hdr) {
		take_offloads(t, fds[0], without);
	} else {
		log_info("tun: the adopted device has no virtio header: single packets only");
		fast_path_fell_back(FAST_PATH_WITH_VNET, FAST_PATH_DEVICE, 0);
	}
	/* From here on nothing fails: the caller keeps the descriptors on an error. */
	for (unsigned i = 0; i < n; i++)
		t->queues[i].fd = fds[i];
	*ret = steal(t);
	return 0;
}

/* Are both descriptors of one network namespace? */
static bool same_namespace(int a, int b)
{
	struct stat x, y;

	return !fstat(a, &x) && !fstat(b, &y) && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

unsigned tun_prepare_queues(struct tun *t, unsigned n)
{
	struct ifreq ifr = {0};

	if (n <= t->n_queues)
		return t->n_queues;
	if (ioctl_errno(t->queues[0].fd, TUNGETIFF, &ifr) < 0 || !(ifr.ifr_flags & IFF_MULTI_QUEUE))
		return t->n_queues;
	while (t->n_queues + t->n_spare < min(n, (unsigned)TUN_QUEUES_MAX)) {
		struct tun_queue *q = &t->queues[t->n_queues + t->n_spare];

		q->fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
		if (q->fd < 0) {
			log_info("tun: no more queues: %s", strerror(errno));
			break;
		}
		t->n_spare++;
	}
	return t->n_queues + t->n_spare;
}

/*
 * By its name.  Where there is none of that name the kernel would make a new device: in another
 * namespace, or on a kernel that does not say where it is, there are no more queues.
 */
static int attach_queue(const struct tun *t, int fd)
{
	cleanup(close_fd) int there = ioctl(t->queues[0].fd, TUNGETDEVNETNS);
	cleanup(close_fd) int any = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	cleanup(close_fd) int here = ioctl(any, SIOCGSKNS);
	struct ifreq ifr = {0};
	int r = ioctl_errno(t->queues[0].fd, TUNGETIFF, &ifr);

	if (r < 0)
		return r;
	if (there < 0 || here < 0 || !same_namespace(here, there))
		return -EXDEV;
	ifr.ifr_flags = (short)(IFF_TUN | IFF_NO_PI | IFF_MULTI_QUEUE |
		(t->vnet_hdr ? IFF_VNET_HDR : 0));
	return ioctl_errno(fd, TUNSETIFF, &ifr);
}

void tun_attach_queues(struct tun *t)
{
	for (; t->n_spare; t->n_spare--) {
		struct tun_queue *q = &t->queues[t->n_queues++];
		int r = attach_queue(t, q->fd);

		q->vnet_hdr = t->vnet_hdr;
		if (r >= 0)
			continue;
		log_info("tun: a worker has no queue of its own: %s", strerror(-r));
		close_fd(&q->fd);
		q->fd = fcntl(t->queues[0].fd, F_DUPFD_CLOEXEC, 0);
		q->shared = true;
	}
}

unsigned tun_join_flags(const struct tun *t)
{
	return t->join;
}

static int mtu_ioctl(const char *name, unsigned long request, int *mtu)
{
	cleanup(close_fd) int fd = -1;
	struct ifreq ifr = {.ifr_mtu = *mtu};
	int r;

	if (strlen(name) >= IFNAMSIZ)
		return -ENAMETOOLONG;
	memcpy(ifr.ifr_name, name, strlen(name));
	/* Any socket does, and one of this family costs least. */
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	r = ioctl_errno(fd, request, &ifr);
	*mtu = ifr.ifr_mtu;
	return r;
}

int tun_set_mtu(const char *name, unsigned mtu)
{
	int value = (int)mtu;

	return mtu_ioctl(name, SIOCSIFMTU, &value);
}

bool same_namespace_as(int other)
{
	cleanup(close_fd) int any = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	cleanup(close_fd) int here = ioctl(any, SIOCGSKNS);
	cleanup(close_fd) int there = ioctl(other, SIOCGSKNS);

	return here < 0 || there < 0 || same_namespace(here, there);
}

int tun_set_own_mtu(const struct tun *t, unsigned mtu)
{
	cleanup(close_fd) int there = ioctl(t->queues[0].fd, TUNGETDEVNETNS);
	cleanup(close_fd) int any = -1;
	cleanup(close_fd) int here = -1;
	int r;

	/* Linux before 5.2 does not tell, nor without CAP_NET_ADMIN there: believed to be here. */
	if (there < 0)
		return tun_set_mtu(t->name, mtu);
	any = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	here = ioctl(any, SIOCGSKNS);
	if (here < 0)
		return -errno;
	if (same_namespace(here, there))
		return tun_set_mtu(t->name, mtu);
	if (setns(there, CLONE_NEWNET) < 0)
		return -errno;
	r = tun_set_mtu(t->name, mtu);
	return setns(here, CLONE_NEWNET) < 0 ? -errno : r;
}

int tun_mtu(const char *name, unsigned *ret)
{
	int value = 0, r = mtu_ioctl(name, SIOCGIFMTU, &value);

	if (r == 0)
		*ret = (unsigned)value;
	return r;
}

ssize_t tun_read(struct tun_queue *q, uint8_t *buf, size_t size)
{
	size_t skip = q->vnet_hdr ? 0 : VNET_HDR_LEN;
	ssize_t n;

	do
		n = read(q->fd, buf + skip, size - skip);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	if (skip)
		memset(buf, 0, skip);
	n += (ssize_t)skip;
	return n > VNET_HDR_LEN ? n : -EIO;
}

int tun_writev(struct tun_queue *q, const struct iovec iov[], unsigned n)
{
	unsigned skip = q->vnet_hdr ? 0 : 1;
	ssize_t w;

	do
		w = writev(q->fd, iov + skip, (int)(n - skip));
	while (w < 0 && errno == EINTR);
	return w < 0 ? -errno : 0;
}
