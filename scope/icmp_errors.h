/*
 * scope/icmp_errors.h - what routers and hosts say of datagrams that this machine sent: that nothing
 * listens there, that it is forbidden, that there is no way.
 *
 * A daemon does not hear it: on a socket for many peers such an error would cost a send, and anybody can
 * forge one.  Who only tells about it may listen beside it, in the same network namespace and with
 * CAP_NET_RAW.  What is heard is a hint.
 */
#pragma once

#include "base/enum.h"

#define ICMP_SAYS_LIST(X)                                                                          \
	X(ICMP_SAYS_PORT, 1, "port-unreachable", "nothing listens at the port")                    \
	X(ICMP_SAYS_FORBIDDEN, 2, "prohibited", "a firewall or a route forbids it")                \
	X(ICMP_SAYS_NO_WAY, 3, "unreachable", "there is no way to the host, or it does not answer")
ENUM_DECLARE(icmp_says, ICMP_SAYS_LIST);

struct icmp_error {
	enum icmp_says	says;
	uint8_t		family;		/* 4 or 6 */
	uint8_t		from[16];	/* who says it; IPv4: the first 4 bytes, others zero */
	uint8_t		to[16];		/* where the datagram was to go */
	uint16_t	to_port;
	uint64_t	real_ns;	/* when it came, since 1970; 0: not known */
};

struct icmp_errors {
	int fd4, fd6;			/* -1: this family is not heard */
};

#define ICMP_ERRORS_NONE ((struct icmp_errors){-1, -1})

/* icmp_errors_open(ret): from now on; without the right to it nothing is heard. */
void icmp_errors_open(struct icmp_errors *ret);
void icmp_errors_close(struct icmp_errors *e);

/* icmp_errors_next(e, ret): the next one that came, of a UDP datagram.  False: there is none now. */
bool icmp_errors_next(struct icmp_errors *e, struct icmp_error *ret);

/*
 * icmp_error_parse(family, msg, len, ret): from ICMP or ICMPv6 of any bytes, without the IP header in
 * front; ${from} and ${real_ns} stay.  False: it is none of these errors, or not of UDP.
 */
bool icmp_error_parse(uint8_t family, const uint8_t *msg, size_t len, struct icmp_error *ret);
