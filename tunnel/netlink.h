/*
 * tunnel/netlink.h - an attribute of a question for the kernel, by the macros of its own headers.
 *
 * Two files ask little; a library for it would be loaded before every start.
 */
#pragma once

#include "base/util.h"

#include <linux/rtnetlink.h>

/* netlink_put(nlh, type, data, len): append it; the buffer is zeroed and has room. */
static inline void netlink_put(struct nlmsghdr *nlh, uint16_t type, const void *data, uint16_t len)
{
	struct rtattr *a = (void *)((uint8_t *)nlh + nlh->nlmsg_len);

	a->rta_type = type;
	a->rta_len = (uint16_t)RTA_LENGTH(len);
	memcpy(RTA_DATA(a), data, len);
	nlh->nlmsg_len += RTA_SPACE(len);
}

static inline void netlink_put_u32(struct nlmsghdr *nlh, uint16_t type, uint32_t v)
{
	netlink_put(nlh, type, &v, sizeof(v));
}
