/*
 * tunnel/link_message.h - what rtnetlink says about links and namespaces, one message after the other.
 *
 * Reads bytes and nothing else: no socket, no device of ours.  Whatever the lengths inside claim, it stays within the datagram.
 */
#pragma once

#include "base/util.h"

#include <linux/rtnetlink.h>

#define LINK_NAME_SIZE 16 /* IFNAMSIZ */

struct link_state {
	uint32_t	ifindex;
	bool		up;
	unsigned	mtu;			/* 0: not said */
	char		name[LINK_NAME_SIZE];	/* "": not said */
};

struct link_message {
	uint16_t		type;	/* RTM_NEWLINK, RTM_DELLINK, RTM_NEWNSID, RTM_DELNSID, NLMSG_ERROR, or one that is not looked into */
	uint32_t		seq;
	bool			bad;	/* too short for its type; the fields below say nothing */
	struct link_state	state;	/* of RTM_NEWLINK and RTM_DELLINK */
	bool			whole;	/* and it is all of the state: not of a bridge's port or a radio, name and MTU are there */
	int			nsid;	/* of RTM_NEWNSID and RTM_DELNSID; -1: none */
	int			error;	/* of NLMSG_ERROR: negative errno, 0 for success */
};

/* The messages of one datagram. */
struct link_messages {
	const struct nlmsghdr	*at;
	int			 left;
};

/* link_messages_of(buf, len): ${buf} is aligned as a struct nlmsghdr, borrowed while messages are taken. */
static inline struct link_messages link_messages_of(const void *buf, size_t len)
{
	return (struct link_messages){.at = buf, .left = (int)len};
}

/* link_messages_next(m, ret): the next one; false at the end, or where no whole message follows. */
bool link_messages_next(struct link_messages *m, struct link_message *ret);
