/*
 * wg/timers.h - the five timers of a peer (paper, sections 6.1 to 6.5), and the heap that says
 * which is next.
 *
 * Timers are lazy: workers only stamp when something was sent or heard, and signal the stamp if the
 * timer is not armed; a timer looks at the stamps when it fires and arms itself again. They run only
 * while the link is up and the peer lives.
 */
#pragma once

#include "wg/messages.h"

struct wg_peer;
struct wg_device;

#define PEER_TIMER_LIST(X)                                                                         \
	X(TIMER_RETRANSMIT, 0, "retransmit", "an initiation was not answered")                     \
	X(TIMER_KEEPALIVE, 1, "keepalive", "data came, and nothing was sent for 10 s")             \
	X(TIMER_NEW_HANDSHAKE, 2, "new-handshake", "data was sent, and nothing came for 15 s")     \
	X(TIMER_ZERO_KEYS, 3, "zero-keys", "no new session for 540 s")                             \
	X(TIMER_PERSISTENT, 4, "persistent", "the configured interval passed in silence")
ENUM_DECLARE(peer_timer, PEER_TIMER_LIST);
#define TIMER_COUNT ((int)ENUM_COUNT(peer_timer))
#define TIMER_BIT(timer) (1u << (timer))

struct peer_timers {
	uint64_t	due_ns[TIMER_COUNT];	/* boot time; UINT64_MAX: off */
	uint64_t	jitter_ns;		/* of the new-handshake timer */
	uint32_t	heap_at;		/* one more than the place in the heap; 0: not in it */
	uint32_t	attempts;		/* initiations since the last that was not a retry */
	bool		renew;			/* another one, when what is under way is complete */
};

struct timer_heap {
	struct wg_peer	**peers;
	uint32_t	  n, cap;
};

void timers_init(struct peer_timers *t);
void timer_heap_done(struct timer_heap *h);

/* Room for one more peer; so that arming never fails.  0 or -ENOMEM. */
int timer_heap_reserve(struct timer_heap *h, uint32_t n_peers);

/* Timers as another device had them; UINT64_MAX: off.  The link is up, or all are off. */
void timers_restore(struct wg_peer *p, const uint64_t due_ns[TIMER_COUNT]);

/* All timers of the peer off. */
void timers_stop(struct wg_peer *p);

/* Run what is due at d->now.  Stops early, with more due, when the effects are full. */
void timers_run(struct wg_device *d);
/* The boot_ns at which the next is due; UINT64_MAX: none. */
uint64_t timers_next(const struct wg_device *d);

/* What happened; each arms or disarms what the paper says. */
void timers_initiation_sent(struct wg_peer *p);
/* One is wanted, but the last handshake message left at ${last_ns}, less than 5 s ago. */
void timers_initiation_put_off(struct wg_peer *p, uint64_t last_ns);
/* The handshake that is under way, if one is, is to be followed by another. */
void timers_renew(struct wg_peer *p);
/*
 * After a suspend: keys whose time is over go before a new handshake begins, not together with it
 * and what waits for it.
 */
void timers_zero_overdue(struct wg_peer *p);
void timers_session_derived(struct wg_peer *p);
void timers_handshake_complete(struct wg_peer *p);
void timers_data_sent(struct wg_peer *p);	/* PEER_SENT: unanswered_ns was set */
void timers_data_received(struct wg_peer *p);	/* PEER_GOT: owed_ns was set */
void timers_keepalive_changed(struct wg_peer *p); /* interval, or link up */
/* Any authenticated packet, handshakes included. */
void timers_any_sent(struct wg_peer *p, uint64_t boot_ns);
void timers_any_received(struct wg_peer *p, uint64_t boot_ns);
