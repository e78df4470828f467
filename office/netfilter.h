/*
 * office/netfilter.h - asks the kernel's netfilter by netlink: one question, and its answers.
 */
#pragma once

#include "base/util.h"

#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>

#define NETFILTER_MESSAGE_MAX 1024

/* netfilter_be32(attr): a number, or 0. */
static inline uint32_t netfilter_be32(const struct nlattr *attr)
{
	return mnl_attr_get_payload_len(attr) < 4 ? 0 : get_be32(mnl_attr_get_payload(attr));
}

/* netfilter_begin(message, subsystem, type, flags, family): a request, to which attributes are added. */
struct nlmsghdr *netfilter_begin(char message[NETFILTER_MESSAGE_MAX], uint8_t subsystem, uint8_t type, uint16_t flags,
	uint8_t family);

/*
 * netfilter_exchange(nlh, each, arg): send it and show each answer until they end: a list, or, with
 * NLM_F_ACK, an acknowledgement.  0; -EINTR: the list was changed meanwhile, ask again; other
 * negative errno.
 */
int netfilter_exchange(struct nlmsghdr *nlh, mnl_cb_t each, void *arg);
