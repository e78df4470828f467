#include "tunnel/link_message.h"

#include <libmnl/libmnl.h>
#include <linux/if.h>
#include <linux/if_link.h>
#include <linux/net_namespace.h>
#include <sys/socket.h>

_Static_assert(LINK_NAME_SIZE == IFNAMSIZ, "the kernel's names fit");

/*
 * For each attribute ${attr} behind the family's header.  libmnl's own loop over a message rounds the message's end up, past the datagram's.
 * The message is at least as long as the header.
 */
#define each_attribute(nlh, header_len)                                                            \
	mnl_attr_for_each_payload(mnl_nlmsg_get_payload_offset(nlh, header_len),                   \
		(int)mnl_nlmsg_get_payload_len(nlh) - (int)MNL_ALIGN(header_len))

static uint32_t number_of(const struct nlattr *attr)
{
	uint32_t v = 0;

	if (mnl_attr_get_payload_len(attr) >= sizeof(v))
		memcpy(&v, mnl_attr_get_payload(attr), sizeof(v));
	return v;
}

static bool read_link(const struct nlmsghdr *nlh, struct link_message *ret)
{
	const struct ifinfomsg *info = mnl_nlmsg_get_payload(nlh);
	struct link_state *s = &ret->state;
	const struct nlattr *attr;

	if (mnl_nlmsg_get_payload_len(nlh) < sizeof(*info))
		return false;
	s->ifindex = (uint32_t)info->ifi_index;
	s->up = (info->ifi_flags & IFF_UP) != 0;
	each_attribute(nlh, sizeof(*info))
	{
		if (mnl_attr_get_type(attr) == IFLA_MTU)
			s->mtu = number_of(attr);
		if (mnl_attr_get_type(attr) == IFLA_IFNAME && mnl_attr_validate(attr, MNL_TYPE_NUL_STRING) >= 0)
			strncpy(s->name, mnl_attr_get_str(attr), sizeof(s->name) - 1);
	}
	ret->whole = info->ifi_family == AF_UNSPEC && s->mtu && *s->name;
	return true;
}

static bool read_nsid(const struct nlmsghdr *nlh, struct link_message *ret)
{
	const struct nlattr *attr;

	if (mnl_nlmsg_get_payload_len(nlh) < sizeof(struct rtgenmsg))
		return false;
	each_attribute(nlh, sizeof(struct rtgenmsg))
	{
		if (mnl_attr_get_type(attr) == NETNSA_NSID && mnl_attr_get_payload_len(attr) >= 4)
			ret->nsid = (int)number_of(attr);
	}
	return true;
}

static bool read_error(const struct nlmsghdr *nlh, struct link_message *ret)
{
	const struct nlmsgerr *e = mnl_nlmsg_get_payload(nlh);

	if (mnl_nlmsg_get_payload_len(nlh) < sizeof(e->error))
		return false;
	ret->error = e->error;
	return true;
}

bool link_messages_next(struct link_messages *m, struct link_message *ret)
{
	const struct nlmsghdr *nlh = m->at;

	/* libmnl takes a length above INT_MAX for a negative one, which fits everywhere. */
	if (!mnl_nlmsg_ok(nlh, m->left) || nlh->nlmsg_len > (uint32_t)m->left)
		return false;
	*ret = (struct link_message){.type = nlh->nlmsg_type, .seq = nlh->nlmsg_seq, .nsid = -1};
	switch (nlh->nlmsg_type) {
	case RTM_NEWLINK:
	case RTM_DELLINK:
		ret->bad = !read_link(nlh, ret);
		break;
	case RTM_NEWNSID:
	case RTM_DELNSID:
		ret->bad = !read_nsid(nlh, ret);
		break;
	case NLMSG_ERROR:
		ret->bad = !read_error(nlh, ret);
		break;
	default:
		break;
	}
	m->at = mnl_nlmsg_next(nlh, &m->left);
	return true;
}
