#include "scope/icmp_errors.h"

#include "base/util.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/icmp.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/udp.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

ENUM_DEFINE(icmp_says, ICMP_SAYS_LIST);

#define HEADER_LEN 8u /* of ICMP, before the packet that it is about */

static int open_raw(int family, int protocol, int level, int name, const void *filter, socklen_t len)
{
	const int on = 1;
	int fd = socket(family, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol);

	if (fd < 0)
		return -1;
	if (setsockopt(fd, level, name, filter, len) < 0 ||
		setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof(on)) < 0)
		close_fd(&fd);
	return fd;
}

void icmp_errors_open(struct icmp_errors *ret)
{
	const struct icmp_filter four = {.data = ~(1u << ICMP_DEST_UNREACH)};
	struct icmp6_filter six;

	ICMP6_FILTER_SETBLOCKALL(&six);
	ICMP6_FILTER_SETPASS(ICMP6_DST_UNREACH, &six);
	ret->fd4 = open_raw(AF_INET, IPPROTO_ICMP, SOL_RAW, ICMP_FILTER, &four, sizeof(four));
	ret->fd6 = open_raw(AF_INET6, IPPROTO_ICMPV6, IPPROTO_ICMPV6, ICMP6_FILTER, &six, sizeof(six));
}

void icmp_errors_close(struct icmp_errors *e)
{
	close_fd(&e->fd4);
	close_fd(&e->fd6);
}

/* ---- what it says ---- */

static enum icmp_says says4(uint8_t code)
{
	switch (code) {
	case ICMP_PORT_UNREACH:
		return ICMP_SAYS_PORT;
	case ICMP_NET_ANO:
	case ICMP_HOST_ANO:
	case ICMP_PKT_FILTERED:
		return ICMP_SAYS_FORBIDDEN;
	case ICMP_FRAG_NEEDED:
		return (enum icmp_says)0;
	default:
		return ICMP_SAYS_NO_WAY;
	}
}

static enum icmp_says says6(uint8_t code)
{
	switch (code) {
	case ICMP6_DST_UNREACH_NOPORT:
		return ICMP_SAYS_PORT;
	case ICMP6_DST_UNREACH_ADMIN:
	case 5: /* ingress or egress policy, RFC 4443 3.1 */
	case 6: /* a route that rejects */
		return ICMP_SAYS_FORBIDDEN;
	default:
		return ICMP_SAYS_NO_WAY;
	}
}

/* The UDP header of the packet in it, whose destination goes into ${ret}; NULL: it is none. */
static const uint8_t *udp_in(uint8_t family, const uint8_t *packet, size_t len, struct icmp_error *ret)
{
	size_t header = family == 6 ? sizeof(struct ip6_hdr) : sizeof(struct iphdr);

	if (len < header || packet[0] >> 4 != family)
		return NULL;
	if (family == 6) {
		if (packet[6] != IPPROTO_UDP)
			return NULL;
		memcpy(ret->to, packet + 24, 16);
	} else {
		header = (size_t)(packet[0] & 15) * 4;
		if (header < sizeof(struct iphdr) || packet[9] != IPPROTO_UDP)
			return NULL;
		memcpy(ret->to, packet + 16, 4);
	}
	return len >= header + sizeof(struct udphdr) ? packet + header : NULL;
}

bool icmp_error_parse(uint8_t family, const uint8_t *msg, size_t len, struct icmp_error *ret)
{
	const uint8_t *udp;

	if (len < HEADER_LEN || msg[0] != (family == 6 ? ICMP6_DST_UNREACH : ICMP_DEST_UNREACH))
		return false;
	ret->family = family;
	memset(ret->to, 0, sizeof(ret->to));
	ret->says = family == 6 ? says6(msg[1]) : says4(msg[1]);
	udp = udp_in(family, msg + HEADER_LEN, len - HEADER_LEN, ret);
	if (!udp || !ret->says)
		return false;
	ret->to_port = get_be16(udp + 2);
	return true;
}

/* ---- hearing it ---- */

static uint64_t arrival(struct msghdr *h)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c; c = CMSG_NXTHDR(h, c)) {
		struct timespec t;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_TIMESTAMPNS)
			continue;
		memcpy(&t, CMSG_DATA(c), sizeof(t));
		return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
	}
	return 0;
}

/* 1; 0: not of UDP; -1: nothing came. */
static int hear(int fd, uint8_t family, struct icmp_error *ret)
{
	union {
		struct sockaddr_in  four;
		struct sockaddr_in6 six;
	} from = {.four = {.sin_family = AF_UNSPEC}};
	_Alignas(struct cmsghdr) uint8_t control[CMSG_SPACE(sizeof(struct timespec))];
	uint8_t msg[1500];
	struct iovec iov = {msg, sizeof(msg)};
	struct msghdr h = {.msg_name = &from,
		.msg_namelen = sizeof(from),
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control)};
	ssize_t n = fd < 0 ? -1 : recvmsg(fd, &h, MSG_DONTWAIT);
	size_t at = 0;

	if (n < 0)
		return -1;
	*ret = (struct icmp_error){.real_ns = arrival(&h)};
	if (family == 6) {
		memcpy(ret->from, &from.six.sin6_addr, 16);
	} else {
		memcpy(ret->from, &from.four.sin_addr, 4);
		at = n ? (size_t)(msg[0] & 15) * 4 : 0; /* IPv4 comes with its header */
	}
	return at <= (size_t)n && icmp_error_parse(family, msg + at, (size_t)n - at, ret);
}

bool icmp_errors_next(struct icmp_errors *e, struct icmp_error *ret)
{
	int got;

	while ((got = hear(e->fd4, 4, ret)) == 0)
		;
	if (got < 0)
		while ((got = hear(e->fd6, 6, ret)) == 0)
			;
	return got > 0;
}
