/*
 * wg/device.h - the control half of the protocol: configuration, handshakes, cookies, limiter,
 * timers.
 *
 * Makes no system call, starts no thread, reads no clock: it is told the time, given random bytes,
 * called with messages, and what it wants sent is drained as a list of effects.  One owner at a time (the
 * daemon's control thread, or a test); only what is marked [any thread] may be called by others.
 * The data half is wg/worker.h.
 */
#pragma once

#include "wg/drop.h"
#include "wg/endpoint.h"
#include "wg/messages.h"

struct wg_device;
struct wg_peer;
struct wg_worker;

/*
 * Both clocks.  boot_ns (CLOCK_BOOTTIME, counts suspend) measures ages; real_ns (CLOCK_REALTIME)
 * only TAI64N and display.
 */
struct wg_now {
	uint64_t boot_ns;
	uint64_t real_ns;
};

struct wg_device_config {
	/*
	 * Fill ${buf} with random bytes; never fails.  Called by the owner only.  Four bytes are a number that is no
	 * secret, an index or a delay; all that is secret is longer.
	 */
	void (*random)(void *arg, void *buf, size_t len);
	/*
	 * [any thread] Something waits for wg_device_run(): called when the device goes from idle
	 * to not idle.  May be NULL.
	 */
	void (*wake)(void *arg);
	/*
	 * Called by the owner between two messages of one run: whoever else wants the processor may
	 * have it now, for a handshake takes longer than a packet can wait.  May be NULL.
	 */
	void (*yield)(void *arg);
	void *arg;
	unsigned workers; /* 1..WG_WORKERS_MAX */
	bool retain; /* keep the handshake of each session: wg/retain.h */
};

int wg_device_new(const struct wg_device_config *config, struct wg_device **ret);

/* wg_device_free(d): every worker is offline for good.  Wipes.  Frees the workers as well. */
void wg_device_free(struct wg_device *d);
static inline void wg_device_freep(struct wg_device **d)
{
	if (*d)
		wg_device_free(*d);
}

/*
 * wg_device_worker(d, i): the i-th worker, i < config.workers.  Owned by the device, used by one
 * thread.
 */
struct wg_worker *wg_device_worker(struct wg_device *d, unsigned i);

/*
 * wg_device_queue(d, src, msg, len): [any thread] hand in a datagram that wg_message_check() called
 * an initiation, response or cookie.  Copied.  0, or -ENOBUFS when WG_HANDSHAKE_QUEUE messages
 * wait: dropped, for the caller to count as QUEUE_FULL.
 */
int wg_device_queue(
	struct wg_device *d, const struct wg_endpoint *src, const void *msg, size_t len);

/*
 * wg_device_run(d, now): do what is due - at most a bounded number of queued messages, the peers
 * that the workers signalled, the timers - and give back memory that no worker can see any more.
 * Drain the effects afterwards.
 * Returns the boot_ns of the next call: now.boot_ns when more messages wait, UINT64_MAX when
 * nothing is due. Calls may come earlier or later than that, and with clocks that stand still or
 * jump.
 */
uint64_t wg_device_run(struct wg_device *d, struct wg_now now);

#define WG_EVENT_LIST(X)                                                                           \
	X(WG_EVENT_INITIATION_SENT, 1, "initiation-sent", "")                                      \
	X(WG_EVENT_INITIATION_RECEIVED, 2, "initiation-received", "")                              \
	X(WG_EVENT_RESPONSE_SENT, 3, "response-sent", "")                                          \
	X(WG_EVENT_HANDSHAKE_COMPLETE, 4, "handshake-complete", "a session is usable")             \
	X(WG_EVENT_HANDSHAKE_GIVEN_UP, 5, "handshake-given-up", "no answer for 90 s")              \
	X(WG_EVENT_HANDSHAKE_RETRY, 6, "handshake-retry", "no answer for 5 s")                     \
	X(WG_EVENT_PEER_SILENT, 7, "peer-silent",                                                  \
		"data sent, nothing heard for 15 s: a new handshake")                              \
	X(WG_EVENT_KEEPALIVE_SENT, 8, "keepalive-sent", "")                                        \
	X(WG_EVENT_KEYS_ZEROED, 9, "keys-zeroed", "no new session for 540 s")                      \
	X(WG_EVENT_COOKIE_SENT, 10, "cookie-sent", "")                                             \
	X(WG_EVENT_COOKIE_RECEIVED, 11, "cookie-received", "")                                     \
	X(WG_EVENT_ROAMED, 12, "roamed", "the peer speaks from another address")                   \
	X(WG_EVENT_REFUSED, 13, "refused", "a message died; drop says why")                        \
	X(WG_EVENT_UP, 14, "up", "the link went up")                                               \
	X(WG_EVENT_DOWN, 15, "down", "the link went down: no keys, no timers")                     \
	X(WG_EVENT_PEER_ADDED, 16, "peer-added", "")                                               \
	X(WG_EVENT_PEER_REMOVED, 17, "peer-removed", "")                                           \
	X(WG_EVENT_PRIVATE_KEY_SET, 18, "private-key-set", "a private key was set, or unset")      \
	X(WG_EVENT_UNDER_LOAD, 19, "under-load", "from now on strangers need a cookie")            \
	X(WG_EVENT_LOAD_PASSED, 20, "load-passed", "and no longer")                                \
	X(WG_EVENT_MTU, 21, "mtu", "the interface has another MTU")                                \
	X(WG_EVENT_ENDPOINT_SET, 22, "endpoint-set", "the peer's address was configured")          \
	X(WG_EVENT_BOUND, 23, "bound", "the UDP sockets are there")                                \
	X(WG_EVENT_BIND_FAILED, 24, "bind-failed", "they are not; tried again after a while")
ENUM_DECLARE(wg_event, WG_EVENT_LIST);
#define WG_EVENT_COUNT ((int)ENUM_COUNT(wg_event) + 1) /* their values begin with 1 */

/* Events by kind, since the device was made; who wants each as it happens sets a tap (wg/tap.h). */
void wg_device_events(const struct wg_device *d, uint64_t ret[WG_EVENT_COUNT]);

/* wg_device_tell(d, event): of what happened around it: BOUND, BIND_FAILED. */
void wg_device_tell(struct wg_device *d, enum wg_event event);

/* A datagram to be sent. */
struct wg_effect {
	struct wg_endpoint	 endpoint;
	uint8_t			 tos;
	const uint8_t		*data;	/* valid until the next call other than wg_device_effect() */
	size_t			 len;
	struct wg_peer		*peer;	/* or NULL */
};

/* wg_device_effect(d, ret): take the oldest effect; false when there is none. */
bool wg_device_effect(struct wg_device *d, struct wg_effect *ret);

/* ---- the device ---- */

/*
 * wg_device_set_private_key(d, now, key): clamped; all zero unsets it.  A peer that has our own
 * public key is removed.  The sessions end for sending, new handshakes may start at once.  0 or
 * -ENOMEM.
 */
int wg_device_set_private_key(
	struct wg_device *d, struct wg_now now, const uint8_t key[WG_KEY_LEN]);

/* Copy of the private key; false and zeroes when there is none. */
bool wg_device_private_key(const struct wg_device *d, uint8_t ret[WG_KEY_LEN]);

/*
 * The interface's MTU, for padding; 0: unknown. The workers see it at their next reservation.
 */
void wg_device_set_mtu(struct wg_device *d, unsigned mtu);

/*
 * Link state.  Down: timers stop, keys and staged packets go.  Up: staged packets and persistent
 * keepalives go out.
 */
void wg_device_up(struct wg_device *d, struct wg_now now);
void wg_device_down(struct wg_device *d);

/* ---- peers, in the order in which they were added ---- */

struct wg_peer *wg_device_peer(struct wg_device *d, const uint8_t public_key[WG_KEY_LEN]);
struct wg_peer *wg_device_first_peer(struct wg_device *d);
struct wg_peer *wg_peer_next(struct wg_peer *p);

/* 0; -EEXIST; -EADDRINUSE for our own public key; -ENOSPC at WG_PEERS_MAX; -ENOMEM. */
int wg_device_add_peer(
	struct wg_device *d, const uint8_t public_key[WG_KEY_LEN], struct wg_peer **ret);
void wg_device_remove_peer(struct wg_device *d, struct wg_peer *p);

/* Used by the next handshake; the session goes on. */
void wg_peer_set_preshared_key(struct wg_peer *p, const uint8_t key[WG_KEY_LEN]);

/* dst as configured; forgets the source address. */
void wg_peer_set_endpoint(struct wg_device *d, struct wg_peer *p, const struct wg_addr *dst);

/* Seconds, 0 off.  The change from 0 takes effect in wg_peer_configured(). */
void wg_peer_set_keepalive(struct wg_peer *p, uint16_t seconds);

/*
 * family AF_INET or AF_INET6; host bits are masked; a prefix of another peer moves here.  -EINVAL,
 * -ENOMEM.
 */
int wg_peer_allow(struct wg_device *d, struct wg_peer *p, int family, const void *addr, unsigned cidr);
/* Exactly this prefix, if it is this peer's; else nothing happens. */
void wg_peer_disallow(struct wg_device *d, struct wg_peer *p, int family, const void *addr, unsigned cidr);
void wg_peer_disallow_all(struct wg_device *d, struct wg_peer *p);

/*
 * After the last change of a peer in one request: one keepalive if the interval was 0 before,
 * staged packets go.
 */
void wg_peer_configured(struct wg_device *d, struct wg_peer *p, struct wg_now now);

/*
 * The local addresses or routes changed: forget the source address of this peer (or, with NULL, of
 * all).
 */
void wg_peer_clear_source(struct wg_device *d, struct wg_peer *p);

/*
 * wg_peer_succeed(successor, before): ${successor} is who ${before} is, with another key; NULL:
 * nobody.  Both stay, and whichever of them makes a handshake first, or again, gets all allowed IPs
 * of the other, and what is staged for it.  Once the other end has shown that it has a session of
 * the successor that is over, and
 * ${before} does not get them back.  A peer is in one pair at most.  It is not handed over.
 */
void wg_peer_succeed(struct wg_peer *successor, struct wg_peer *before);

/* How many allowed IPs have moved so. */
uint64_t wg_device_moves(const struct wg_device *d);

struct wg_peer_info {
	uint8_t			public_key[WG_KEY_LEN];
	uint8_t			preshared_key[WG_KEY_LEN]; /* wipe it after use */
	struct wg_endpoint	endpoint; /* dst.family 0: not known */
	uint64_t		last_handshake_real_ns; /* 0: never */
	uint64_t		session_boot_ns; /* when the current session was made; 0: none */
	uint64_t		tx_bytes, rx_bytes;
	uint16_t		keepalive_s;
};

void wg_peer_info(const struct wg_peer *p, struct wg_peer_info *ret);
const uint8_t *wg_peer_public_key(const struct wg_peer *p);

struct wg_prefix {
	uint8_t		bytes[16];
	uint8_t		family;
	uint8_t		cidr;
};

/* wg_peer_prefix(p, &at, ret): iterate its allowed IPs in insertion order; start with at = NULL. */
bool wg_peer_prefix(const struct wg_peer *p, void **at, struct wg_prefix *ret);

/* Drops by reason, summed over the workers and the control half. */
void wg_device_drops(const struct wg_device *d, uint64_t ret[WG_DROP_COUNT]);
