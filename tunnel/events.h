/*
 * tunnel/events.h - what the engine reports: lines of the log, and the last of them kept for who
 * asks.
 *
 * Costs packets nothing.  What strangers can cause repeats: an event that says the same as one of
 * the last few is counted there, so that a flood does not push out what came before it.
 *
 * Locks: the owner of the device.
 */
#pragma once

#include "wg/tap.h"

#define EVENTS_KEPT 256

struct event {
	uint64_t	 real_ns;		/* of the last time */
	uint64_t	 n;			/* how often */
	enum wg_event	 event;
	enum wg_drop	 drop;
	bool		 has_peer;
	uint8_t		 public_key[WG_KEY_LEN]; /* of the peer */
	struct wg_addr	 at;			/* family 0: none */
};

struct events {
	struct wg_tap	 tap;			/* for wg_device_set_tap() */
	uint64_t	 total;			/* entries made; the last EVENTS_KEPT are there */
	struct event	 kept[EVENTS_KEPT];	/* entry i at i % EVENTS_KEPT */
	/* A peer is going; wg_peer_next() still knows what came after it.  Or NULL. */
	void		(*peer_removed)(void *arg, struct wg_peer *p);
	void		*arg;
};

/* events_init(e): ${e} stays where it is. */
void events_init(struct events *e);

/*
 * events_tell_drops(d): one line, at level verbose, with every reason for which something died and
 * how much did.
 */
void events_tell_drops(const struct wg_device *d);
