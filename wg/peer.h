/*
 * wg/peer.h - what is inside a peer and the device.  For the files of wg/ only.
 */
#pragma once

#include "wg/allowedips.h"
#include "wg/cookie.h"
#include "wg/device.h"
#include "wg/endpoint_cell.h"
#include "wg/keypair.h"
#include "wg/probe.h"
#include "wg/ratelimiter.h"
#include "wg/tap.h"
#include "wg/timers.h"
#include "wg/worker.h"

#include "base/buf.h"

/* Our initiation that waits for its response.  Immutable once published in the index table. */
struct wg_handshake {
	struct reclaim_item	reclaim;
	struct index_entry	entry;
	struct wg_peer		*peer;
	struct noise_state	state;
	struct x25519		*ephemeral;
	struct wg_retained	*retained;	/* or NULL */
};

/* A packet that waits for a session. */
struct wg_staged {
	TAILQ_ENTRY(wg_staged)	 of_peer;
	TAILQ_ENTRY(wg_staged)	 of_device;
	struct wg_peer		*peer;
	size_t			 len; /* 0: a keepalive */
	uint8_t			 packet[];
};
TAILQ_HEAD(wg_staged_list, wg_staged);

/* What workers tell the control half about a peer.  Only a change from none queues the peer. */
#define PEER_SIGNAL_LIST(X)                                                                        \
	X(PEER_NEED_HANDSHAKE, 1, "need-handshake", "no usable key, or one that grows old")        \
	X(PEER_CONFIRMED, 2, "confirmed", "the first packet under a key came")                     \
	X(PEER_SENT, 4, "sent", "data went out and nothing has come back since")                   \
	X(PEER_GOT, 8, "got", "data came in and nothing has gone back since")                      \
	X(PEER_ROAMED, 16, "roamed", "an authenticated packet came from another address")
FLAGS_DECLARE(peer_signal, PEER_SIGNAL_LIST);

/* Locks: [c] control half  [I] set once  [a] atomic  [k] keypairs_lock  [s] device->stage_lock */
struct wg_peer {
	struct wg_device		*device;	/* [I] */
	uint8_t				 public_key[WG_KEY_LEN]; /* [I] */
	uint32_t			 number;		/* [I] 1, 2, ... as they were added to the device; not given twice, nor handed over */
	struct allowedips_owner		 allowed;	/* [c]; its address is what look-ups return */

	/* What the packet path reads and writes. */
	struct wg_keypair *_Atomic	 current;	/* [a] written under [k] */
	struct wg_keypair *_Atomic	 next;		/* [a] written under [k] */
	struct wg_keypair		*previous;	/* [k] */
	pthread_mutex_t			 keypairs_lock;
	struct endpoint_cell		 endpoint;	/* written by [c] and by the workers that see the peer roam */
	_Atomic uint64_t		 unanswered_ns;	/* [a] when data was first sent since we last heard; 0: none */
	_Atomic uint64_t		 owed_ns;	/* [a] when data first came since we last sent; 0: none */
	_Atomic bool			 owed_more;	/* [a] and more came after it */
	_Atomic uint32_t		 armed;		/* [a] bits by enum peer_timer: what need not be signalled */
	_Atomic bool			 dead;		/* [a] removed: nothing is staged any more */
	_Atomic uint64_t		 traversal_ns;	/* [a] last authenticated packet, either way */
	_Atomic uint64_t		 initiated_ns;	/* [a] last handshake message sent; 0: may send at once */
	_Atomic uint64_t		 tx_bytes, rx_bytes; /* [a] */
	_Atomic uint32_t		 n_staged;	/* [a] written under [s] */

	_Atomic uint32_t		 signals;	/* [a] enum peer_signal */
	struct wg_peer			*next_signalled; /* owned by who set the first signal */

	struct wg_staged_list		 staged;	/* [s] */

	struct wg_handshake		*handshake;	/* [c] ours under way, or NULL */
	TAILQ_ENTRY(wg_peer)		 in_order;	/* [c] */
	struct wg_peer			*next_hashed;	/* [c] */
	struct reclaim_item		 reclaim;	/* [c] */

	uint8_t				 preshared_key[WG_KEY_LEN]; /* [c] */
	uint8_t				 static_static[WG_KEY_LEN]; /* [c] valid with the flag */
	bool				 have_static_static; /* [c] computed at the first handshake */
	bool				 keepalive_switched_on; /* [c] until wg_peer_configured() */
	uint16_t			 keepalive_s;	/* [c] */
	uint8_t				 last_timestamp[WG_TIMESTAMP_LEN]; /* [c] greatest accepted */
	uint64_t			 last_initiation_ns; /* [c] when; 0: never */
	uint64_t			 last_handshake_real_ns; /* [c] */
	struct cookie_maker		 cookie;	/* [c] */
	struct peer_timers		 timers;	/* [c] */
	struct wg_peer			*pair;		/* [c] whom it succeeds, or who succeeds it; or NULL */
	bool				 is_successor;	/* [c] of the two */
};

struct queued_message {
	struct wg_endpoint	src;
	uint8_t			len;
	uint8_t			bytes[sizeof(struct wg_initiation)];
};

struct effect;

struct wg_device {
	struct wg_device_config		 config;	/* [I] */
	struct reclaim			 reclaim;
	struct index_table		 index;
	struct allowedips		 allowedips;
	_Atomic unsigned		 mtu;		/* [a] */
	_Atomic bool			 up;		/* [a] */
	struct wg_now			 now;		/* [c] of the call that runs */

	TAILQ_HEAD(, wg_peer)		 peers;		/* [c] in insertion order */
	struct wg_peer			**hashed;	/* [c] by public key */
	uint32_t			 n_peers, hash_mask; /* [c] */
	uint32_t			 last_number;	/* [c] of a peer */
	uint64_t			 hash_seed;	/* [I] */

	struct x25519			*key;		/* [c] NULL: none */
	uint8_t				 private_key[WG_KEY_LEN]; /* [c] */
	struct cookie_checker		 checker;	/* [c] */
	struct ratelimiter		*limiter;	/* [c] */
	uint64_t			 limiter_due_ns; /* [c] */
	uint64_t			 last_load_ns;	/* [c] */
	bool				 loaded;	/* [c] under load within the last second */
	uint8_t				 stranger[WG_KEY_LEN]; /* [c] of the last UNKNOWN_PEER */
	uint64_t			 moves;		/* [c] wg_device_moves() */
	unsigned			 n_initiated;	/* [c] since the last call of wg_device_run() */

	struct timer_heap		 timers;	/* [c] */

	pthread_mutex_t			 queue_lock;
	struct queued_message		*queue;		/* [q] ring of WG_HANDSHAKE_QUEUE */
	unsigned			 queue_head, queue_n; /* [q] */

	struct wg_peer *_Atomic		 signalled;	/* [a] stack */

	pthread_mutex_t			 stage_lock;
	struct wg_staged_list		 staged;	/* [s] oldest first */
	size_t				 staged_bytes;	/* [s] */

	struct effect			*effects;	/* [c] */
	size_t				 effects_at, effects_n, effects_cap; /* [c] */
	struct buf			 effect_bytes;	/* [c] */

	const struct wg_tap		*tap;		/* [c] */
	const struct wg_tap *_Atomic	 packet_tap;	/* [a] the same if it listens to packets, or NULL */
	uint64_t			 events[WG_EVENT_COUNT]; /* [c] */

	struct wg_worker		*control;	/* [c] seals keepalives and what was staged */
	struct wg_worker		*workers[WG_WORKERS_MAX]; /* [I] */
};

/* Locks: owned by one thread; drops are read by the control half [a] */
struct wg_worker {
	struct wg_device	*device;	/* [I] */
	unsigned		 reader;	/* [I] */
	bool			 is_control;	/* [I] the control half's own: is no reader */
	struct aead		*aead;
	_Atomic uint64_t	 drops[WG_DROP_COUNT];
};

/* For probes; 0: not known. */
static inline uint32_t peer_number(const struct wg_peer *p)
{
	return p ? p->number : 0;
}

static inline struct wg_keypair *peer_current(struct wg_peer *p)
{
	return atomic_load_explicit(&p->current, memory_order_acquire);
}

static inline struct wg_endpoint peer_endpoint(const struct wg_peer *p)
{
	return endpoint_cell_get(&p->endpoint);
}

/* [any thread] */
void peer_signal(struct wg_peer *p, uint32_t signals);

/* ---- peer.c ---- */
/*
 * [any thread] Something authenticated came from there: from now on the peer is there.  True when
 * the peer's own address is another than before.
 */
bool peer_roam(struct wg_peer *p, const struct wg_endpoint *src);
void peer_free_all(struct wg_device *d);
/* What is staged, timers, the handshake under way and all keys go. */
void peer_forget_sessions(struct wg_peer *p);

/* ---- stage.c ---- */
/*
 * [any thread] Copy a packet to the end of the peer's queue, dropping the oldest where a bound is
 * met.
 */
void stage_packet(struct wg_worker *w, struct wg_peer *p, const void *packet, size_t len);
/* Send what is staged, or start a handshake for it. */
void stage_send(struct wg_peer *p);
/* A keepalive, unless something is staged that serves as one; then as stage_send(). */
void stage_send_keepalive(struct wg_peer *p);
/* Drop what is staged, counted. */
void stage_flush(struct wg_peer *p);

/* What waits for one peer waits for another, in order and behind what did so already. */
void stage_move(struct wg_peer *from, struct wg_peer *to);

/* ---- successor.c ---- */
/* A handshake was made with ${p}. */
void successor_speaks(struct wg_peer *p);
/* The other end has a session of ${p}. */
void successor_confirmed(struct wg_peer *p);
/* ${p} is in no pair any more. */
void successor_end(struct wg_peer *p);

/* ---- handshake.c ---- */
/*
 * Initiations a call of wg_device_run(): as many as messages, or their answers would heap up
 * unread.
 */
#define INITIATIONS_PER_RUN 32
/*
 * Send an initiation, unless one was sent less than 5 s ago, the endpoint is unknown or there is no
 * private key.  One more than a call may make goes with the next; not a retry, which timers_run()
 * holds back before it is begun.
 */
void handshake_initiate(struct wg_peer *p, bool retry);
/* The same, also within 5 s of the last one; of one that was just sent, after those. */
void handshake_renew(struct wg_peer *p);
void handshake_clear(struct wg_peer *p);
void handshake_input(struct wg_device *d, const struct wg_endpoint *src, const void *msg, size_t len,
	bool under_load);
/* keypairs_confirm() made a session the current one. */
void handshake_confirmed(struct wg_peer *p);

/* ---- device.c ---- */
bool device_is_up(const struct wg_device *d);
/*
 * Room for a message of ${len} bytes to be sent; NULL when the effects are full: it is then dropped
 * and counted.
 */
uint8_t *effect_send_begin(struct wg_device *d, size_t len);
/* It was written; from ${peer} (or NULL) to ${to}. */
void effect_send_commit(struct wg_device *d, struct wg_peer *peer, const struct wg_endpoint *to,
	uint8_t tos, size_t len);
bool effects_full(const struct wg_device *d);
void device_drain_signals(struct wg_device *d);

/* ---- tap.c ---- */
/* Of the handshake whose message of ours is sent next. */
void tap_keys(struct wg_peer *p, const struct x25519 *ephemeral);
/* Count it, and tell who listens. */
void tap_event(struct wg_device *d, struct wg_peer *peer, const struct wg_endpoint *at,
	enum wg_event event, enum wg_drop drop);
/* Nothing, unless somebody listens to packets. */
void tap_message(struct wg_worker *w, enum wg_tap_point point, struct wg_peer *peer,
	const struct wg_endpoint *endpoint, uint8_t tos, const void *msg, size_t len);
/* What became of the message that arrived: its inner packet, or why it was dropped. */
void tap_verdict(struct wg_worker *w, struct wg_tap_packet what);
/* Somebody listened when the run was reserved. */
void tap_before_seal(struct wg_worker *w, const struct wg_tx_run *run, const void *src, size_t len);
void tap_after_seal(struct wg_worker *w, const struct wg_tx_run *run, uint8_t tos, const void *msg,
	size_t len);

/* ---- worker.c ---- */
int worker_new(struct wg_device *d, unsigned reader, bool is_control, struct wg_worker **ret);
void worker_free(struct wg_worker *w);
/* As wg_tx_reserve(), also while packets are staged. */
int tx_reserve(struct wg_worker *w, struct wg_peer *peer, uint64_t boot_ns, unsigned n, bool data,
	struct wg_tx_run *ret);
