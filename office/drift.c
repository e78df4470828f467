#include "office/drift.h"

#include <errno.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

static int open_for(int family, const int groups[], size_t n, int *ret)
{
	struct sockaddr_nl a = {.nl_family = AF_NETLINK};
	cleanup(close_fd) int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, family);

	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		return -errno;
	for (size_t i = 0; i < n; i++)
		if (setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &groups[i], sizeof(groups[i])) < 0)
			return -errno;
	*ret = fd;
	fd = -1;
	return 0;
}

int drift_open(struct drift *ret)
{
	static const int routes[] = {
		RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV4_RULE, RTNLGRP_IPV4_NETCONF};
	static const int filters[] = {NFNLGRP_NFTABLES};

	*ret = (struct drift){.route = -1, .filter = -1};
	/* A kernel without nftables has none of ours. */
	(void)open_for(NETLINK_NETFILTER, filters, array_size(filters), &ret->filter);
	return open_for(NETLINK_ROUTE, routes, array_size(routes), &ret->route);
}

void drift_close(struct drift *d)
{
	close_fd(&d->route);
	close_fd(&d->filter);
}

bool drift_heard(int fd)
{
	char none;
	bool heard = false;

	/* More than there was room for is heard too. */
	while (recv(fd, &none, sizeof(none), MSG_TRUNC) >= 0 || errno == ENOBUFS)
		heard = true;
	return heard;
}
