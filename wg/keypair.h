/*
 * wg/keypair.h - the keys of one session, and the three that a peer may have at once.
 *
 * The control half makes, installs and drops keypairs; workers read what is constant, reserve
 * nonces by compare-and-swap, and move the replay window under the lock.
 */
#pragma once

#include "wg/index.h"
#include "wg/noise.h"
#include "wg/replay.h"
#include "wg/retain.h"

#include <pthread.h>

/* Locks: [I] constant once installed  [a] atomic  [k] lock */
struct wg_keypair {
	struct reclaim_item	reclaim;
	struct index_entry	entry;		/* [I] our index: what the peer writes as receiver */
	struct wg_peer		*peer;		/* [I] */
	struct noise_keys	keys;		/* [I] */
	uint32_t		remote_index;	/* [I] */
	bool			initiator;	/* [I] we made the initiation */
	uint64_t		created_ns;	/* [I] boot time */
	struct wg_retained	*retained;	/* [c] its handshake, or NULL */

	_Atomic uint64_t	send_counter;	/* [a] the next nonce */
	_Atomic bool		send_invalid;	/* [a] our private key changed, or the nonces ran out */
	_Atomic bool		rekey_asked;	/* [a] by a receiver, shortly before it dies */

	pthread_mutex_t		lock;
	struct replay_window	window;		/* [k] */
};

/* keypair_new(peer, ...): without keys yet, and not in the index table.  NULL without memory. */
struct wg_keypair *keypair_new(
	struct wg_peer *peer, bool initiator, uint32_t remote_index, uint64_t boot_ns);

/* Before it was in the index table. */
void keypair_free(struct wg_keypair *k);

static inline uint64_t keypair_age(const struct wg_keypair *k, uint64_t boot_ns)
{
	return boot_ns > k->created_ns ? boot_ns - k->created_ns : 0;
}

/*
 * keypairs_install(peer, k): the session that a handshake made.  The initiator uses it at once.
 * The responder keeps sending under the current one until the first packet under the new one proves
 * that the initiator has it.
 */
void keypairs_install(struct wg_peer *peer, struct wg_keypair *k);

/*
 * keypairs_confirm(peer, k): [any thread] something authenticated came under ${k}.  True when it was
 * the one that waited, and is the current one from now on.  The worker does it before it delivers the
 * packet: a peer that starts anew has no older session by which it could read the answer.
 */
bool keypairs_confirm(struct wg_peer *peer, struct wg_keypair *k);

/* All three go: unpublished, wiped and freed when no worker can hold them. */
void keypairs_drop_all(struct wg_peer *peer);

/* Nothing is sent under them any more; receiving goes on. */
void keypairs_end_sending(struct wg_peer *peer);
