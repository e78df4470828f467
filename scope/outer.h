/*
 * scope/outer.h - the IP and UDP headers that a message had on the wire, made again: whoever gave it
 * to a socket never saw them.
 */
#pragma once

#include "base/util.h"

#define OUTER_MAX 48 /* IPv6 and UDP */

struct outer {
	unsigned	 family;	/* 4 or 6 */
	const uint8_t	*from, *to;	/* addresses */
	uint16_t	 from_port, to_port;
	uint8_t		 tos;
	size_t		 len;		/* of the message */
};

/*
 * outer_make(o, kept, n_kept, ret): the headers in front of a message of which ${n_kept} bytes are
 * known: all of them, or no UDP checksum.  How long they are.
 */
size_t outer_make(const struct outer *o, const uint8_t *kept, size_t n_kept, uint8_t ret[OUTER_MAX]);

/* From which of our addresses the last messages to each of a few others went. */
struct outer_locals {
	unsigned	 next;
	struct {
		unsigned	 family;	/* 0: none */
		uint8_t		 remote[16], local[16];
	} at[8];
};

/*
 * outer_local(l, family, remote, local): ${local} where it is not zero, and remembered; else what is
 * remembered, or zero.
 */
const uint8_t *outer_local(struct outer_locals *l, unsigned family, const uint8_t remote[16],
	const uint8_t local[16]);
