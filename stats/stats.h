/*
 * stats/stats.h - what a tunnel says of itself over the control channel, as one structure.
 *
 * Knows the messages; how it is shown is stats/show.h's, stats/metrics.h's and stats/report.h's.
 * Texts come from another program: they are printable, and cut to what fits.
 */
#pragma once

#include "base/key_text.h"
#include "ctl/client.h"

struct stats_count {
	char		name[48];
	uint64_t	n;
};

struct stats_piece {
	char		name[48];
	char		why[128];	/* it is not used, or not everywhere; "": it is */
	uint64_t	times;		/* how often that was found out */
	bool		on;
};

struct stats_peer {
	uint8_t		public_key[KEY_LEN];
	char		endpoint[80];	/* "": not known */
	uint64_t	rx_bytes, tx_bytes;
	uint64_t	handshake_ns;	/* since 1970; 0: never */
	uint64_t	session_age_ns;
	bool		has_session;
	uint64_t	allowed_ips;
	uint64_t	keepalive_s;
};

struct stats_event {
	uint64_t	time_ns;	/* since 1970 */
	uint64_t	n;
	char		name[48];
	char		reason[48];	/* "": none */
	char		endpoint[80];	/* likewise */
	uint8_t		public_key[KEY_LEN];
	bool		has_peer;
};

struct stats {
	char			 name[64], version[64], cipher[64];
	uint64_t		 pid, started_ns, port, fwmark, workers;
	bool			 up, retain;	/* retain: handshakes of sessions are kept in memory */
	char			 bind_address[2][80], bind_device[16];	/* "": bound to none */
	struct stats_piece	*pieces;
	struct stats_count	*drops, *events;
	struct stats_peer	*peers;
	struct stats_event	*last;	/* after stats_ask_events() */
	size_t			 n_pieces, n_drops, n_events, n_peers, n_last;
	uint64_t		 taken_real_ns, taken_ns;	/* when; of the second, differences count */
};

/*
 * stats_ask(c, ret, why): over a connection, which may be used again afterwards.  0, or as
 * ctl_client_next(), or -ENOMEM, with a sentence appended to ${why}; ${ret} then is empty.
 */
int stats_ask(struct ctl_client *c, struct stats *ret, struct buf *why);

/* stats_ask_events(c, s, why): its last events as well. */
int stats_ask_events(struct ctl_client *c, struct stats *s, struct buf *why);

/* Of several tunnels. */
struct stats_set {
	struct stats	*at;
	size_t		 n;
};

/*
 * stats_collect(names, n, missing_ok, ret, why): of these tunnels, or, with ${n} 0, of all that
 * there are, by new connections.  ${missing_ok}: those that do not answer are left out; otherwise
 * the first of the ${names} that does not is the error.
 */
int stats_collect(char *const names[], size_t n, bool missing_ok, struct stats_set *ret,
	struct buf *why);
void stats_set_done(struct stats_set *s);

/* stats_done(s): for cleanup(); all zero before and afterwards. */
void stats_done(struct stats *s);
