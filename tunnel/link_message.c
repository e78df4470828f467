#include "tunnel/link_message.h"

#include <linux/if.h>
#include <linux/if_link.h>
#include <linux/net_namespace.h>
#include <sys/socket.h>

_Static_assert(LINK_NAME_SIZE == IFNAMSIZ, "the kernel's names fit");

static size_t payload_len(const struct nlmsghdr *nlh)
{
	return nlh->nlmsg_len - NLMSG_HDRLEN;
}

/* For each attribute ${attr} behind the family's header, of which ${left} bytes are left.  The message is at least as long as that header. */
#define each_attribute(nlh, header_len)                                                            \
	struct rtattr *attr = attributes(nlh, header_len, &left);                                  \
	RTA_OK(attr, left);                                                                        \
	attr = RTA_NEXT(attr, left)

static struct rtattr *attributes(const struct nlmsghdr *nlh, size_t header_len, int *ret_len)
{
	*ret_len = (int)nlh->nlmsg_len - (int)NLMSG_SPACE(header_len);
	return (void *)((uint8_t *)nlh + NLMSG_SPACE(header_len));
}

static unsigned type_of(const struct rtattr *attr)
{
	return attr->rta_type & NLA_TYPE_MASK;
}

static uint32_t number_of(const struct rtattr *attr)
{
	uint32_t v = 0;

	if (RTA_PAYLOAD(attr) >= sizeof(v))
		memcpy(&v, RTA_DATA(attr), sizeof(v));
	return v;
}

static void take_name(const struct rtattr *attr, char ret[LINK_NAME_SIZE])
{
	const char *name = RTA_DATA(attr);
	size_t size = RTA_PAYLOAD(attr);

	if (size && !name[size - 1])
		strncpy(ret, name, LINK_NAME_SIZE - 1);
}

static bool read_link(const struct nlmsghdr *nlh, struct link_message *ret)
{
	const struct ifinfomsg *info = NLMSG_DATA(nlh);
	struct link_state *s = &ret->state;
	int left;

	if (payload_len(nlh) < sizeof(*info))
		return false;
	s->ifindex = (uint32_t)info->ifi_index;
	s->up = (info->ifi_flags & IFF_UP) != 0;
	for (each_attribute(nlh, sizeof(*info))) {
		if (type_of(attr) == IFLA_MTU)
			s->mtu = number_of(attr);
		if (type_of(attr) == IFLA_IFNAME)
			take_name(attr, s->name);
	}
	ret->whole = info->ifi_family == AF_UNSPEC && s->mtu && *s->name;
	return true;
}

static bool read_nsid(const struct nlmsghdr *nlh, struct link_message *ret)
{
	int left;

	if (payload_len(nlh) < sizeof(struct rtgenmsg))
		return false;
	for (each_attribute(nlh, sizeof(struct rtgenmsg)))
		if (type_of(attr) == NETNSA_NSID && RTA_PAYLOAD(attr) >= 4)
			ret->nsid = (int)number_of(attr);
	return true;
}

static bool read_error(const struct nlmsghdr *nlh, struct link_message *ret)
{
	const struct nlmsgerr *e = NLMSG_DATA(nlh);

	if (payload_len(nlh) < sizeof(e->error))
		return false;
	ret->error = e->error;
	return true;
}

bool link_messages_next(struct link_messages *m, struct link_message *ret)
{
	const struct nlmsghdr *nlh = m->at;

	/* Below zero where the last one's padding is missing. */
	if (m->left < 0 || !NLMSG_OK(nlh, (size_t)m->left))
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
	m->at = NLMSG_NEXT(nlh, m->left);
	return true;
}
