/*
 * ctl/protocol.h - what is said on the control channel of a tunnel, docs/PROTOCOL-CTL.md.
 *
 * The names and numbers of messages and items; base/ctl.h makes frames of them.  Both ends are
 * built on this, and nothing else of ours knows the numbers.
 */
#pragma once

#include "base/ctl.h"

#define CTL_DIR "/run/ginnel"
#define CTL_SUFFIX ".ctl"

/*
 * The type of a frame.  Below 0x8000 a request, from there on an answer.  Each request is answered
 * with any number of frames and then END or REFUSED, unless its row here says otherwise.
 */
#define CTL_MESSAGE_LIST(X)                                                                        \
	X(CTL_MESSAGE_STATS, 1, "stats",                                                           \
		"asks for device, pieces, drops, event counts and peers, in this order")           \
	X(CTL_MESSAGE_EVENTS, 2, "events", "asks for the last events, the oldest first")           \
	X(CTL_MESSAGE_REPLACE, 3, "replace",                                                       \
		"asks for the whole tunnel, and has the connection: tunnel/handover.h")            \
	X(CTL_MESSAGE_CAPTURE, 4, "capture",                                                       \
		"listens, with a ring (ctl/ring.h) for what there is to hear (ctl/capture.h)")     \
	X(CTL_MESSAGE_END, 0x8000, "end", "that was all of the answer")                            \
	X(CTL_MESSAGE_REFUSED, 0x8001, "refused", "there is no answer: error and why")             \
	X(CTL_MESSAGE_DEVICE, 0x8002, "device", "the tunnel itself")                               \
	X(CTL_MESSAGE_PIECE, 0x8003, "piece", "a piece of the fast path: on, or off and why")      \
	X(CTL_MESSAGE_DROP, 0x8004, "drop", "how many packets died for one reason")                \
	X(CTL_MESSAGE_EVENT_COUNT, 0x8005, "event-count", "how often one thing happened")          \
	X(CTL_MESSAGE_PEER, 0x8006, "peer", "one peer")                                            \
	X(CTL_MESSAGE_EVENT, 0x8007, "event", "something that happened")                           \
	X(CTL_MESSAGE_CAPTURING, 0x8008, "capturing", "from now on it is heard")                   \
	X(CTL_MESSAGE_WAKE, 0x8009, "wake", "there is something in the ring")
ENUM_DECLARE(ctl_message, CTL_MESSAGE_LIST);

/* The tag of a field.  A tag with CTL_CRITICAL must be understood, see base/ctl.h. */
#define CTL_ITEM_LIST(X)                                                                           \
	X(CTL_ITEM_ERROR, 1, "error", "number: errno")                                             \
	X(CTL_ITEM_WHY, 2, "why", "text: for people")                                              \
	X(CTL_ITEM_NAME, 3, "name", "text: of what the message is about")                          \
	X(CTL_ITEM_COUNT, 4, "count", "number: how many, how often")                               \
	X(CTL_ITEM_VERSION, 5, "version", "text: of the program")                                  \
	X(CTL_ITEM_PID, 6, "pid", "number: of the process, in its own namespace")                  \
	X(CTL_ITEM_STARTED, 7, "started", "number: ns since 1970")                                 \
	X(CTL_ITEM_UP, 8, "up", "number: 1, the link is up and the sockets are there")             \
	X(CTL_ITEM_PORT, 9, "port", "number: UDP port")                                            \
	X(CTL_ITEM_FWMARK, 10, "fwmark", "number")                                                 \
	X(CTL_ITEM_PEERS, 11, "peers", "number: how many")                                         \
	X(CTL_ITEM_WORKERS, 12, "workers", "number: threads that move packets")                    \
	X(CTL_ITEM_CIPHER, 13, "cipher", "text: library, its version, instruction set")            \
	X(CTL_ITEM_ON, 14, "on", "number: 1 or 0")                                                 \
	X(CTL_ITEM_PUBLIC_KEY, 15, "public-key", "32 bytes: of the device or peer")                \
	X(CTL_ITEM_ENDPOINT, 16, "endpoint", "text: 192.0.2.1:51820, [2001:db8::1]:51820")         \
	X(CTL_ITEM_RX_BYTES, 17, "rx-bytes", "number")                                             \
	X(CTL_ITEM_TX_BYTES, 18, "tx-bytes", "number")                                             \
	X(CTL_ITEM_HANDSHAKE, 19, "handshake", "number: the last one, ns since 1970")              \
	X(CTL_ITEM_SESSION_AGE, 20, "session-age", "number: ns since its handshake")               \
	X(CTL_ITEM_ALLOWED_IPS, 21, "allowed-ips", "number: how many prefixes")                    \
	X(CTL_ITEM_KEEPALIVE, 22, "keepalive", "number: seconds; persistent keepalive")            \
	X(CTL_ITEM_TIME, 23, "time", "number: ns since 1970")                                      \
	X(CTL_ITEM_REASON, 24, "reason", "text: name of a drop, or why a piece is not used")       \
	X(CTL_ITEM_CAPTURE_VERSION, 25, "capture-version", "number: of what the ring holds")       \
	X(CTL_ITEM_WANT, 26, "want", "number: bits of capture_want")                               \
	X(CTL_ITEM_SNAP, 27, "snap", "number: bytes of a packet that are kept")                    \
	X(CTL_ITEM_RETAIN, 28, "retain", "number: 1, handshakes of sessions are kept in memory")   \
	X(CTL_ITEM_BIND_ADDRESS, 29, "bind-address", "text: of either family, or both")            \
	X(CTL_ITEM_BIND_DEVICE, 30, "bind-device", "text: that the sockets are bound to")
ENUM_DECLARE(ctl_item, CTL_ITEM_LIST);
