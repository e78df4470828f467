#include "office/netfilter.h"

#include <errno.h>
#include <linux/netfilter.h>

static void socket_close(struct mnl_socket **s)
{
	if (*s)
		mnl_socket_close(*s);
}

struct nlmsghdr *netfilter_begin(char message[NETFILTER_MESSAGE_MAX], uint8_t subsystem, uint8_t type, uint16_t flags,
	uint8_t family)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(message);
	struct nfgenmsg *g;

	nlh->nlmsg_type = (uint16_t)(subsystem << 8 | type);
	nlh->nlmsg_flags = NLM_F_REQUEST | flags;
	g = mnl_nlmsg_put_extra_header(nlh, sizeof(*g));
	g->nfgen_family = family;
	g->version = NFNETLINK_V0;
	return nlh;
}

int netfilter_exchange(struct nlmsghdr *nlh, mnl_cb_t each, void *arg)
{
	cleanup(socket_close) struct mnl_socket *s = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
	char buf[32768];
	int r;

	if (!s || mnl_socket_bind(s, 0, MNL_SOCKET_AUTOPID) < 0 ||
		mnl_socket_sendto(s, nlh, nlh->nlmsg_len) < 0)
		return -errno;
	do {
		ssize_t len = mnl_socket_recvfrom(s, buf, sizeof(buf));

		if (len < 0)
			return -errno;
		r = mnl_cb_run(buf, (size_t)len, 0, mnl_socket_get_portid(s), each, arg);
	} while (r > MNL_CB_STOP);
	return r < 0 ? -errno : 0;
}
