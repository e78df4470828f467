/*
 * conf/kernel_messages.h - the words of the configuration socket as messages of the kernel's WireGuard,
 * and its messages as those words.
 *
 * The kernel is asked by generic netlink, family "wireguard" of linux/wireguard.h.  Pure: sends
 * nothing, and takes nothing of a message for granted.
 */
#pragma once

#include "conf/running.h"

#include <linux/netlink.h>

#define KERNEL_MESSAGE_MAX 8192	/* what is longer goes in several */

/* Where a list of peers has come to: the kernel says a peer twice where one message has no room for it. */
struct kernel_answer {
	uint8_t	public_key[KEY_LEN];
	bool	in_peer;
	bool	in_list;	/* the device itself is said */
};

/*
 * kernel_answer_read(nlh, a, text): append what a message about the device says, without "errno=".
 * ${a} begins with zeros.  0; -EBADMSG: it says nothing that can be; the buffer's error.
 */
int kernel_answer_read(const struct nlmsghdr *nlh, struct kernel_answer *a, struct buf *text);

struct kernel_device {
	uint16_t		 family;	/* number of the generic netlink family */
	uint32_t		 ifindex;
	const struct running	*before;	/* what the device is now */
	uint8_t			 nobody[KEY_LEN];	/* random: the key of a peer that is there for a moment */
	/* Send a message, which the callee may number, and see it done.  0 or negative errno. */
	int			 (*send)(void *arg, struct nlmsghdr *nlh);
	void			*arg;
};

/*
 * kernel_request_send(d, text, len): a "set=1" as messages, in the order in which they belong.  Allowed
 * IPs that a peer has and keeps are not taken from it, not for a moment.
 * 0; -EINVAL: no such request; the first error of sending, after which nothing more is sent.
 */
int kernel_request_send(const struct kernel_device *d, const char *text, size_t len);
