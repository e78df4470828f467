/*
 * tunnel/tun.h - the TUN device: make or adopt it, and move packets through its queues.
 *
 * Every read and write carries a virtio header of VNET_HDR_LEN bytes (split.h) towards the caller,
 * also where an adopted device has none; then it is made up on reading and left out on writing.
 * Fallbacks where the kernel lacks an offload happen here, piece by piece, and are logged once.
 * Knows no peer and no protocol.
 */
#pragma once

#include "tunnel/fast_path.h"

#include "base/util.h"

#include <net/if.h>
#include <sys/uio.h>

#define TUN_MTU_DEFAULT 1420
#define TUN_QUEUES_MAX 32

struct tun_queue {
	int	fd;		/* [I] non-blocking; poll it for POLLIN; POLLERR: the device is gone */
	bool	vnet_hdr;	/* [I] */
	bool	shared;		/* [I] ${fd} is one more name of the first queue: for writing only */
};

struct tun {
	char			name[IFNAMSIZ];	/* [I] as it was at the start; the device may be renamed */
	unsigned		n_queues;	/* [I] */
	unsigned		n_spare;	/* behind them, opened and not attached yet */
	bool			vnet_hdr;	/* [I] */
	unsigned		offloads;	/* [I] TUN_F_CSUM | TUN_F_TSO4 ... that the device has on */
	unsigned		join;		/* [I] tun_join_flags() */
	struct tun_queue	queues[TUN_QUEUES_MAX];	/* [I] */
};

/*
 * tun_open(name, without, ret): create the device ${name} ("" or with "%d": the kernel chooses) with
 * MTU 1420 and one queue.  ${without}: of FAST_PATH_....  Errors: -EBUSY another program has it, or
 * another kind of interface bears the name; -EPERM no CAP_NET_ADMIN; -EACCES /dev/net/tun may not be
 * opened; -ENOENT there is none; -ENODEV the module is missing; -ENAMETOOLONG.
 */
int tun_open(const char *name, unsigned without, struct tun **ret);

/*
 * tun_equip(t, queues, without): what else a created device gets, once and before packets: as many of
 * 1..TUN_QUEUES_MAX queues as can be had, and all offloads that the kernel takes and ${without} does
 * not exclude.  Somebody may have moved or renamed it meanwhile: see tun_attach_queues().
 */
void tun_equip(struct tun *t, unsigned queues, unsigned without);

/*
 * tun_steer(t, without): hold each flow to one queue (steering.h), where there are several and ${without}
 * does not exclude it, from now on.  Needs CAP_BPF; without it there is a line in the log.
 */
void tun_steer(const struct tun *t, unsigned without);

/*
 * tun_adopt(fds, n, without, ret): take over the queues of a TUN device that somebody attached
 * (WG_TUN_FD: one; a service manager that kept ours: all).  It keeps the virtio header that it may
 * have, its MTU and its steering.  Owns the descriptors on success.
 * -ENOTTY or -EBADFD when one is no attached TUN, -EPROTOTYPE for a TAP device, -EXDEV when they are
 * of several devices, -EINVAL for none or too many.  It must have been made with IFF_NO_PI: the
 * kernel does not tell.
 */
int tun_adopt(const int fds[], unsigned n, unsigned without, struct tun **ret);

/*
 * A device gets more queues in two steps, for as soon as there is another one the kernel
 * puts packets into it.  tun_prepare_queues(t, n): open what lacks to ${n}; how many queues it can
 * have in the end: fewer where it was made with one.  tun_attach_queues(t): they are there; one
 * that cannot be had, since the device is in another namespace or on Linux before 5.2, shares the first.
 */
unsigned tun_prepare_queues(struct tun *t, unsigned n);
void tun_attach_queues(struct tun *t);

/* tun_free(t): close the queues; the device vanishes unless it is persistent. */
void tun_free(struct tun *t);
static inline void tun_freep(struct tun **t)
{
	if (*t)
		tun_free(*t);
}

/* What join_init() may merge for this device: JOIN_TCP, JOIN_UDP. */
unsigned tun_join_flags(const struct tun *t);

/*
 * tun_set_mtu(name, mtu), tun_mtu(name, ret): in the caller's network namespace.  0 or negative
 * errno.
 */
int tun_set_mtu(const char *name, unsigned mtu);
int tun_mtu(const char *name, unsigned *ret);

/*
 * tun_set_own_mtu(t, mtu): of this device, in whichever network namespace it is; for an adopted
 * one.  To be called before threads are started.  0 or negative errno: -EPERM when it is in another
 * one and we have no CAP_SYS_ADMIN.
 */
int tun_set_own_mtu(const struct tun *t, unsigned mtu);

/* same_namespace_as(other): the socket was made in the network namespace that we are in, as far as can be told. */
bool same_namespace_as(int other);

/*
 * tun_read(q, buf, size): one packet with its virtio header in front, > VNET_HDR_LEN.  -EAGAIN:
 * none waits; -EBADFD: the device is gone; -EIO and others: try again after the next poll.
 */
ssize_t tun_read(struct tun_queue *q, uint8_t *buf, size_t size);

/*
 * tun_writev(q, iov, n): one packet; iov[0] is the virtio header.  0; -EIO: the link is down;
 * -EBADFD: the device is gone; -EINVAL: refused; -EAGAIN: the kernel has no room.
 */
int tun_writev(struct tun_queue *q, const struct iovec iov[], unsigned n);
