/*
 * ctl/capture.h - what a daemon that is listened to writes into the ring of who listens: packets,
 * events, keys.
 *
 * Both ends run on one machine: numbers are the machine's.  Types and tags as wg/ has them
 * (wg_tap_point, wg_drop, wg_event); a listener skips what it does not know.
 */
#pragma once

#include "base/enum.h"

#define CAPTURE_VERSION 1
#define CAPTURE_SNAP_MAX 65535
#define CAPTURE_KEY_LEN 32
#define CAPTURE_HANDSHAKE_MAX 148 /* bytes of messages that carry no data are kept in any case */

/* What a listener asks for. */
#define CAPTURE_WANT_LIST(X)                                                                       \
	X(CAPTURE_INNER, 1, "inner", "packets inside the tunnel")                                  \
	X(CAPTURE_OUTER, 2, "outer", "messages, with what is encrypted in them")                   \
	X(CAPTURE_HANDSHAKES, 4, "handshakes", "messages that carry no data")                      \
	X(CAPTURE_DROPS, 8, "drops", "what died, and why")                                         \
	X(CAPTURE_EVENTS, 16, "events", "what changed")                                            \
	X(CAPTURE_KEYS, 32, "keys", "what makes messages readable: secrets")                       \
	X(CAPTURE_PRIME, 64, "prime",                                                              \
		"the handshakes of sessions that exist, or a new handshake for each")
FLAGS_DECLARE(capture_want, CAPTURE_WANT_LIST);

#define CAPTURE_KIND_LIST(X)                                                                       \
	X(CAPTURE_NOTHING, 0, "nothing", "to be skipped")                                          \
	X(CAPTURE_PACKET, 1, "packet", "a packet or message, or its death")                        \
	X(CAPTURE_EVENT, 2, "event", "something changed")                                          \
	X(CAPTURE_SECRETS, 3, "secrets", "the keys of the handshake whose message comes next")
ENUM_DECLARE(capture_kind, CAPTURE_KIND_LIST);

struct capture_record {
	uint64_t	real_ns;	/* since 1970 */
	uint32_t	kind;		/* enum capture_kind */
	uint16_t	point;		/* PACKET: enum wg_tap_point */
	uint16_t	drop;		/* enum wg_drop; not 0: it ended here */
	uint16_t	event;		/* EVENT: enum wg_event */
	uint16_t	remote_port;	/* of an address that is known, host order */
	uint16_t	local_port;
	uint8_t		family;		/* 4, 6, or 0: no address is known */
	uint8_t		tos;		/* of a message */
	uint8_t		has_peer;
	uint8_t		error;		/* SEND_FAILED: the errno of Linux, or 0 */
	uint8_t		unused[2];
	uint32_t	n;		/* how many packets it stands for */
	uint32_t	len;		/* of the packet as it was */
	uint32_t	kept;		/* how many bytes of it follow */
	uint8_t		public_key[CAPTURE_KEY_LEN];	/* of the peer; without: what a stranger claims to have, or zero */
	uint8_t		remote[16];	/* address of the other end; IPv4: the first 4 bytes */
	uint8_t		local[16];	/* ours, if it is known, else zero */
};

/* What follows a record of kind SECRETS. */
struct capture_secrets {
	uint8_t		local_static[CAPTURE_KEY_LEN];
	uint8_t		local_ephemeral[CAPTURE_KEY_LEN];
	uint8_t		preshared[CAPTURE_KEY_LEN];	/* zero: none */
};
