/*
 * conf/watch.h - which of a name's addresses a peer answers at.
 *
 * A peer that wants to send and has no handshake is silent.  Then the addresses of its name are
 * tried one after the other, the families by turns, until a handshake completes; whoever answers
 * first wins, since the daemon follows the answer.  When all were tried the name is looked up
 * again.  Pure: told the time and what the daemon says.
 */
#pragma once

#include "conf/endpoints.h"
#include "conf/resolve.h"
#include "conf/running.h"

#define WATCH_SILENT_S 180	/* a session without a new handshake is dead: REJECT_AFTER_TIME */
#define WATCH_TRY_MS 6000	/* for one address: more than from one initiation to the next */
#define WATCH_RESOLVE_MS 30000	/* between two look-ups of a name, at least */

struct watch_peer {
	struct endpoint_row	 row;
	struct sockaddr_storage	 addresses[RESOLVE_MAX];
	size_t			 n, at;
	bool			 seen;		/* tx_bytes below is of this peer */
	uint64_t		 tx_bytes;
	bool			 seeking;
	uint64_t		 since_ms;	/* the address was set then */
	uint64_t		 resolved_ms;
};

enum watch_action {
	WATCH_NOTHING,
	WATCH_RESOLVE,	/* look the name up, then watch_resolved() */
	WATCH_SET,	/* set the peer's endpoint to addresses[at] */
};

/*
 * watch_look(p, now_ms, wall_s, have): what to do now.  ${have} is what the daemon says of the peer,
 * NULL: it has no such peer.  To be called every few seconds.
 */
enum watch_action watch_look(struct watch_peer *p, uint64_t now_ms, uint64_t wall_s, const struct running_peer *have);

/*
 * watch_resolved(p, now_ms, have, addresses, n): the name has these; 0: it could not be looked up,
 * and those known before are tried again.  Then as watch_look().
 */
enum watch_action watch_resolved(struct watch_peer *p, uint64_t now_ms, const struct running_peer *have,
	const struct sockaddr_storage addresses[], size_t n);

/* watch_run(name): watch the tunnel until something fails; negative errno after a line of the log. */
int watch_run(const char *name);
