/*
 * tunnel/checksum.h - the Internet checksum (RFC 1071), fast.
 *
 * Sums are of 16-bit words in the machine's order: fold them and store the result with memcpy, and
 * the bytes are right on either kind of machine.  A sum is a plain uint64_t that takes 2^32 words
 * and more before it could overflow.
 */
#pragma once

#include "base/util.h"

/*
 * checksum_add(sum, data, len): ${sum} plus the words of ${data}; an odd last byte counts as if a
 * zero followed, so only the last piece of a packet may be odd.  Any alignment.
 */
uint64_t checksum_add(uint64_t sum, const void *data, size_t len);

/*
 * checksum_pseudo(packet, protocol, len): the pseudo-header's sum for a transport header plus
 * payload of ${len} bytes, from the addresses of the IPv4 or IPv6 header at ${packet}.
 */
uint64_t checksum_pseudo(const uint8_t *packet, uint8_t protocol, uint32_t len);

/* checksum_fold(sum): the 16-bit sum, not inverted. */
static inline uint16_t checksum_fold(uint64_t sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

/* checksum_store(p, value): put a folded (and inverted) sum into a header. */
static inline void checksum_store(void *p, uint16_t value)
{
	memcpy(p, &value, sizeof(value));
}

/*
 * checksum_add_portable(sum, data, len): what checksum_add() does without vector instructions; for
 * its tests.
 */
uint64_t checksum_add_portable(uint64_t sum, const void *data, size_t len);
