/*
 * office/mtu.h - how large the packets are that get to another machine and back.
 *
 * Asked by echoes of ICMP that nobody on the way may cut into fragments.  What is too large is lost in
 * silence or refused; a small echo behind each tells that from other losses, so nothing depends on
 * how long a path takes.
 */
#pragma once

#include "base/util.h"

#include <sys/socket.h>

#define MTU_LEAST 1280		/* less is none of IPv6's */
#define MTU_TIMEOUT_MS 8000	/* a path takes some dozen times its own time */

/* mtu_overhead(family): of a packet inside the tunnel when it goes outside by IPv4 or IPv6. */
unsigned mtu_overhead(int family);

/*
 * mtu_echo(to, least, most, timeout_ms, ret): ${*ret}: the largest IP packet of ${least} to ${most}
 * bytes that is answered; 0: small ones are, but not one of ${least}.  When the time is over, the
 * largest that was answered so far.  No more than the interface's MTU is tried.
 * 0; -ETIMEDOUT: there was no answer at all; -EPERM without CAP_NET_RAW; other negative errno.
 */
int mtu_echo(const struct sockaddr_storage *to, unsigned least, unsigned most, int timeout_ms, unsigned *ret);
