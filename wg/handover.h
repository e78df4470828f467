/*
 * wg/handover.h - a device as a byte stream, for another process that goes on in its place: the
 * configuration, and the state of every session to the last counter.
 *
 * Knows no socket, descriptor or thread.  The stream is a chain of items.  An item is a 16-bit
 * type, 16 bits of flags, a 32-bit length and as many bytes; every number is little-endian.  What a
 * type holds never changes: what is added gets a type of its own.  A reader refuses an unknown item
 * that is marked critical and skips any other, so an older program may take over from a newer one
 * if that says nothing that it must know.  The stream holds every key: wipe it.
 *
 * The handshake under way goes along, so that its answer finds who asked.  Left behind are what is
 * computed again when it is needed (products of static keys, keys of MACs), and the token buckets
 * of the rate limiter: they are full again after a second, and matter under load only.
 */
#pragma once

#include "wg/device.h"

#include "base/buf.h"

#define WG_HANDOVER_VERSION 1
#define WG_HANDOVER_MAX (1u << 30)

#define WG_HANDOVER_PART_LIST(X)                                                                   \
	X(WG_HANDOVER_CONFIG, 1, "config", "our key, the peers and their allowed IPs")             \
	X(WG_HANDOVER_STATE, 2, "state", "everything else, sessions above all")
FLAGS_DECLARE(wg_handover_part, WG_HANDOVER_PART_LIST);

#define WG_HANDOVER_ITEM_LIST(X)                                                                   \
	X(WG_HANDOVER_BEGIN, 1, "begin", "version, parts, the time")                               \
	X(WG_HANDOVER_PRIVATE_KEY, 2, "private-key", "zero: there is none")                        \
	X(WG_HANDOVER_PEER, 3, "peer", "its key, preshared key and keepalive")                     \
	X(WG_HANDOVER_PREFIX, 4, "prefix", "an allowed IP of the peer before it")                  \
	X(WG_HANDOVER_DEVICE, 5, "device", "up or down, MTU, load")                                \
	X(WG_HANDOVER_COOKIE_SECRET, 6, "cookie-secret", "of which our cookies are made")          \
	X(WG_HANDOVER_PEER_STATE, 7, "peer-state", "endpoint, stamps, bytes")                      \
	X(WG_HANDOVER_TIMERS, 8, "timers", "of the peer before it")                                \
	X(WG_HANDOVER_KEYPAIR, 9, "keypair", "of the peer before it")                              \
	X(WG_HANDOVER_INITIATION, 10, "initiation", "of the peer before it: no answer yet")        \
	X(WG_HANDOVER_COOKIE, 11, "cookie", "that the peer before it gave us")                     \
	X(WG_HANDOVER_STAGED, 12, "staged", "a packet that waits for a session")                   \
	X(WG_HANDOVER_QUEUED, 13, "queued", "a message that waits to be looked at")                \
	X(WG_HANDOVER_DROPS, 14, "drops", "by reason")                                             \
	X(WG_HANDOVER_EVENTS, 15, "events", "by kind")                                             \
	X(WG_HANDOVER_END, 16, "end", "nothing was cut off")
ENUM_DECLARE(wg_handover_item, WG_HANDOVER_ITEM_LIST);

#define WG_HANDOVER_SLOT_LIST(X)                                                                   \
	X(WG_HANDOVER_CURRENT, 1, "current", "")                                                   \
	X(WG_HANDOVER_NEXT, 2, "next", "")                                                         \
	X(WG_HANDOVER_PREVIOUS, 3, "previous", "")
ENUM_DECLARE(wg_handover_slot, WG_HANDOVER_SLOT_LIST);

#define WG_HANDOVER_ITEM_HEADER 8
#define WG_HANDOVER_CRITICAL 1 /* flag */

/*
 * wg_handover_export(d, now, parts, ret): append the parts to ${ret}, and leave the device as it
 * is.  While workers run it is a picture of a device in motion, good for nothing but a trial.  The
 * last one counts: every worker is offline, the effects are drained, and ${d} is never run again
 * unless nobody goes on with the stream.  0, or the buffer's error.
 */
int wg_handover_export(struct wg_device *d, struct wg_now now, unsigned parts, struct buf *ret);

/*
 * wg_handover_import(d, now, data, len, why): take what was exported; the workers are offline.
 * CONFIG replaces key and peers.  STATE replaces all sessions, and fits the very peers that the
 * device has.  The number of workers may be another one.
 *
 * -EBADMSG: cut off, damaged, or not for these peers; -EPROTONOSUPPORT: another version, or an item
 * that must be understood and is not; -ESTALE: it was made in our future, on another clock;
 * -ENOMEM.  Then a clause is appended to ${why}, and nothing can be done with the device but
 * importing again or freeing it.
 */
int wg_handover_import(
	struct wg_device *d, struct wg_now now, const void *data, size_t len, struct buf *why);

/*
 * wg_device_forget_sessions(d, now): who had the sessions is gone, and its last counters are not
 * known: no key is used again, and handshakes may begin at once.
 */
void wg_device_forget_sessions(struct wg_device *d, struct wg_now now);
