/*
 * wg/drop.h - why a packet or a message died.  One enumeration for the whole program: what counts,
 * traces or shows a drop uses these names.
 */
#pragma once

#include "base/enum.h"

#define WG_DROP_LIST(X)                                                                            \
	X(WG_DROP_NONE, 0, "none", "not dropped")                                                  \
	X(WG_DROP_NOT_IP, 1, "not-ip", "tx: neither IPv4 nor IPv6, or shorter than its header")    \
	X(WG_DROP_NO_PEER, 2, "no-peer", "tx: no allowed IP holds the destination")                \
	X(WG_DROP_NO_ENDPOINT, 3, "no-endpoint", "tx: the peer's address is not known")            \
	X(WG_DROP_STAGED_FULL, 4, "staged-full",                                                   \
		"tx: oldest of too many packets that wait for a handshake")                        \
	X(WG_DROP_STAGED_FLUSHED, 5, "staged-flushed",                                             \
		"tx: waited for a handshake that was given up, or the link went down")             \
	X(WG_DROP_TOO_BIG, 6, "too-big", "tx: longer than a datagram can carry")                   \
	X(WG_DROP_LOOP, 7, "loop", "tx: our own outer packet was routed into the tunnel")          \
	X(WG_DROP_SEND_FAILED, 8, "send-failed", "tx: the socket refused it")                      \
	X(WG_DROP_MALFORMED, 9, "malformed", "rx: type and length fit no message")                 \
	X(WG_DROP_UNKNOWN_INDEX, 10, "unknown-index", "rx: no session or handshake has the index") \
	X(WG_DROP_KEY_EXPIRED, 11, "key-expired", "rx: the session is older than 180 s")           \
	X(WG_DROP_COUNTER_LIMIT, 12, "counter-limit", "rx: a counter past the protocol's limit")   \
	X(WG_DROP_BAD_TAG, 13, "bad-tag", "rx: authentication failed")                             \
	X(WG_DROP_REPLAY, 14, "replay", "rx: a counter seen before, or behind the window")         \
	X(WG_DROP_INNER_NOT_IP, 15, "inner-not-ip", "rx: decrypted, but no valid IP packet")       \
	X(WG_DROP_INNER_LENGTH, 16, "inner-length", "rx: the inner length exceeds the packet")     \
	X(WG_DROP_INNER_SOURCE, 17, "inner-source",                                                \
		"rx: the inner source is not among the peer's allowed IPs")                        \
	X(WG_DROP_TUN_WRITE, 18, "tun-write", "rx: the interface refused the packet")              \
	X(WG_DROP_TRUNCATED, 19, "truncated", "rx: a datagram larger than the receive buffer")     \
	X(WG_DROP_QUEUE_FULL, 20, "queue-full", "handshake: too many messages wait")               \
	X(WG_DROP_NO_PRIVATE_KEY, 21, "no-private-key", "handshake: this end has no private key")  \
	X(WG_DROP_BAD_MAC1, 22, "bad-mac1", "handshake: not meant for this key")                   \
	X(WG_DROP_COOKIE_SENT, 23, "cookie-sent",                                                  \
		"handshake: under load and without a valid cookie; one was sent")                  \
	X(WG_DROP_RATE_LIMIT, 24, "rate-limit",                                                    \
		"handshake: under load and too many from this address")                            \
	X(WG_DROP_BAD_HANDSHAKE, 25, "bad-handshake", "handshake: decryption failed")              \
	X(WG_DROP_UNKNOWN_PEER, 26, "unknown-peer",                                                \
		"handshake: the public key belongs to no configured peer")                         \
	X(WG_DROP_LOW_ORDER, 27, "low-order", "handshake: a key whose product is zero")            \
	X(WG_DROP_OLD_TIMESTAMP, 28, "old-timestamp", "handshake: a replayed or older initiation") \
	X(WG_DROP_FLOOD, 29, "flood", "handshake: within 20 ms of this peer's last initiation")    \
	X(WG_DROP_WRONG_STATE, 30, "wrong-state", "handshake: nothing under way has this index")   \
	X(WG_DROP_BAD_COOKIE, 31, "bad-cookie", "handshake: a cookie that was not asked for")      \
	X(WG_DROP_LINK_DOWN, 32, "link-down", "the interface is down")                             \
	X(WG_DROP_NO_MEMORY, 33, "no-memory", "an allocation failed")                              \
	X(WG_DROP_RECEIVE_FULL, 34, "receive-full",                                                \
		"rx: the socket's buffer was full, told with the next datagram; a coalesced one "  \
		"counts once")                                                                     \
	X(WG_DROP_ICMP_REFUSED, 35, "icmp-refused",                                                \
		"tx: the interface refused the ICMP error about a packet that no peer can take")   \
	X(WG_DROP_TUN_READ, 36, "tun-read", "tx: the interface failed to hand over what it had")
ENUM_DECLARE(wg_drop, WG_DROP_LIST);
#define WG_DROP_COUNT ((int)ENUM_COUNT(wg_drop))
