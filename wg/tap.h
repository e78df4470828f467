/*
 * wg/tap.h - where a listener sees what the protocol sees: packets inside and outside, what died and
 * why, what changed.
 *
 * Knows no listener, ring, file or format.  Nobody listens: packets cost one load a run of packets,
 * events the count that is kept anyway.
 */
#pragma once

#include "wg/worker.h"

#define WG_TAP_POINT_LIST(X)                                                                       \
	X(WG_TAP_INNER_OUT, 1, "inner-out", "an inner packet, before it is sealed")                \
	X(WG_TAP_OUTER_OUT, 2, "outer-out", "a message, before it is handed to the socket")        \
	X(WG_TAP_OUTER_IN, 3, "outer-in", "a message as it arrived, before it is opened")          \
	X(WG_TAP_INNER_IN, 4, "inner-in",                                                          \
		"what was in it, before it is handed to the interface; empty: nothing to deliver") \
	X(WG_TAP_DROPPED, 5, "dropped", "it ends here")
ENUM_DECLARE(wg_tap_point, WG_TAP_POINT_LIST);

struct wg_tap_packet {
	enum wg_tap_point	 point;
	enum wg_drop		 drop;		/* DROPPED: why */
	unsigned		 n;		/* DROPPED: how many packets died with it; else 1 */
	bool			 verdict;	/* on this worker's first OUTER_IN that is still without one: INNER_IN or DROPPED */
	struct wg_peer		*peer;		/* NULL: not known */
	const uint8_t		*stranger;	/* UNKNOWN_PEER: the public key that it claims to have; else NULL */
	const struct wg_endpoint *endpoint;	/* of a message: where it goes or came from; NULL: not known */
	uint8_t			 tos;		/* of a message: the outer TOS; 0 for handshakes that arrive */
	int			 error;		/* SEND_FAILED: negative errno; else 0 */
	const uint8_t		*data;		/* NULL: the bytes are gone */
	size_t			 len;		/* of an inner packet: by its own header, without padding */
	uint64_t		 real_ns;	/* when; 0: now */
};

struct wg_tap_event {
	enum wg_event		 event;
	enum wg_drop		 drop;		/* REFUSED, COOKIE_SENT: why */
	struct wg_peer		*peer;		/* NULL: it is about none */
	const struct wg_endpoint *at;		/* the address that it is about, or NULL */
};

/* What makes the session of the handshake message that comes next readable.  Secrets. */
struct wg_tap_keys {
	struct wg_peer		*peer;
	uint64_t		 real_ns;	/* 0: now */
	const uint8_t		*local_static;	/* private keys */
	const uint8_t		*ephemeral;
	const uint8_t		*preshared;	/* zero: none */
};

/* What is passed is good for the call only.  A listener calls nothing that changes the device. */
struct wg_tap {
	/*
	 * [any worker] ${worker}: 0 to config.workers - 1, and config.workers for the control half.
	 * The calls of one worker do not overlap.  Or NULL.
	 */
	void (*packet)(void *arg, unsigned worker, const struct wg_tap_packet *p);
	/*
	 * [owner of the device] PEER_REMOVED: wg_peer_next() still says which one came after it.
	 * Or NULL.
	 */
	void (*event)(void *arg, const struct wg_tap_event *e);
	/*
	 * [owner of the device] Before the first message of ours in a handshake is shown: an
	 * initiation or a response.  Or NULL: then no private key is read for it.
	 */
	void (*keys)(void *arg, const struct wg_tap_keys *k);
	void *arg;
};

/*
 * wg_device_set_tap(d, tap): from now on it hears of everything; NULL: nobody.  Borrowed until the
 * next call.  The workers are offline.
 */
void wg_device_set_tap(struct wg_device *d, const struct wg_tap *tap);

/*
 * wg_tap_prime(d, now, p, to): for who begins to listen to keys and packets in the middle of sessions.
 * Of each session of ${p} (NULL: of all peers) ${to} hears the handshake if it was retained; else a
 * new one is made, at once or, less than 40 ms after the last, 5 s after that.  One that is under way
 * is followed by another.
 */
void wg_tap_prime(
	struct wg_device *d, struct wg_now now, struct wg_peer *p, const struct wg_tap *to);

/* ---- for who moves the packets ---- */

/* True while somebody listens to packets. */
bool wg_tap_listens(const struct wg_worker *w);

/*
 * wg_tap_arrived(w, src, tos, pkts, n), before wg_rx_open(); wg_tap_judged(w, src, pkts, n), when
 * the inner packets are as they will be delivered.
 */
void wg_tap_arrived(struct wg_worker *w, const struct wg_endpoint *src, uint8_t tos,
	const struct wg_rx_packet pkts[], unsigned n);
void wg_tap_judged(struct wg_worker *w, const struct wg_endpoint *src,
	const struct wg_rx_packet pkts[], unsigned n);

/*
 * wg_tap_drop(w, why, n, what): wg_worker_drop() of ${n} packets, and shows ${what}, whose point,
 * drop and n are filled in.
 */
void wg_tap_drop(struct wg_worker *w, enum wg_drop why, unsigned n, struct wg_tap_packet what);

/* The same for the owner of the device, of what it was to send. */
void wg_device_drop(struct wg_device *d, enum wg_drop why, unsigned n, struct wg_tap_packet what);
