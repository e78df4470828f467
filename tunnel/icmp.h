/*
 * tunnel/icmp.h - tell the sender of an inner packet that no peer can take it.
 *
 * Builds ICMP host unreachable (type 3, code 1) or ICMPv6 address unreachable (type 1, code 3), to
 * be written back into the TUN.  The source is the packet's own destination: an address of this
 * host, coming in from outside, would be dropped by the kernel as a martian, while the destination
 * is routed to this interface and passes the reverse-path filter.
 */
#pragma once

#include "base/util.h"

#define ICMP_UNREACHABLE_MAX 1280 /* IPv6 minimum MTU; IPv4 errors stay within 576 */

/*
 * icmp_unreachable(packet, len, ret): build the error for the inner ${packet} into ${ret}.  Its
 * length; 0 where none may be sent (RFC 1122 3.2.2, RFC 4443 2.4): about ICMP errors, later
 * fragments, to or from multicast, broadcast, loopback or unspecified addresses, or what is no
 * whole IP header.
 */
size_t icmp_unreachable(const uint8_t *packet, size_t len, uint8_t ret[ICMP_UNREACHABLE_MAX]);

/*
 * A bucket of 50 errors that fills with one a millisecond (the kernel's own limits).
 * Zero-initialised: full.
 */
struct icmp_limit {
	uint64_t full_at_ns;
};

/* icmp_limit_take(l, now_ns): whether one more may be sent now. */
bool icmp_limit_take(struct icmp_limit *l, uint64_t now_ns);
