/*
 * scope/story_peers.h - what a story remembers of each peer, and whether anything came from where an
 * answer is awaited.
 *
 * A table of fixed size: of more peers than it holds, those that were heard of last.
 */
#pragma once

#include "ctl/capture.h"
#include "scope/icmp_errors.h"

#include "base/util.h"

struct story_address {
	uint8_t		family;		/* 4, 6, or 0: not known */
	uint8_t		bytes[16];	/* IPv4: the first 4, others zero */
	uint16_t	port;
};

enum story_session {
	STORY_SESSION_UNKNOWN,		/* there may be one from before */
	STORY_SESSION_NONE,
	STORY_SESSION_UP,
};

struct story_peer {
	bool			 used;
	bool			 retries;	/* the next initiation is one of the same attempt */
	bool			 answered;	/* by a response that was taken */
	bool			 not_sent;	/* the last initiation */
	uint8_t			 not_sent_error;	/* errno, or 0 */
	bool			 cookie;	/* came for it */
	uint16_t		 refused;	/* enum wg_drop of the response that came last, or 0 */
	enum story_session	 session;
	unsigned		 attempt;	/* from 1; 0: not known */
	uint8_t			 key[CAPTURE_KEY_LEN];
	uint64_t		 last_ns;	/* something was told */
	uint64_t		 sent_ns;	/* the last initiation; all times: since 1970, 0: never */
	uint64_t		 responded_ns;	/* and no packet came under that session */
	uint64_t		 rtt_ns;
	uint64_t		 session_ns;
	struct story_address	 at;		/* where it was last */
};

struct story_awaited {
	struct story_address	 at;		/* without the port */
	bool			 heard;
	uint16_t		 drop;		/* what became of the last that came from there */
	struct icmp_error	 icmp;		/* the last one about a datagram to there; says 0: none */
};

struct story_peers;

int story_peers_new(struct story_peers **ret);
void story_peers_free(struct story_peers *t);

/* story_peers_of(t, r): of the record's peer, good until the next call; of none a scratch one. */
struct story_peer *story_peers_of(struct story_peers *t, const struct capture_record *r);

/* story_peers_await(t, p, anew): an answer from p->at; ${anew}: nothing was heard from there yet. */
void story_peers_await(struct story_peers *t, const struct story_peer *p, bool anew);

/* story_peers_hear(t, at, drop): something came from there. */
void story_peers_hear(struct story_peers *t, const struct story_address *at, uint16_t drop);

/* story_peers_hear_icmp(t, e): somebody says why what is sent there does not arrive. */
void story_peers_hear_icmp(struct story_peers *t, const struct icmp_error *e);

/* story_peers_heard(t, p): what came from p->at; NULL: not known. */
const struct story_awaited *story_peers_heard(const struct story_peers *t, const struct story_peer *p);

/* story_peers_down(t): nobody has a session or a handshake. */
void story_peers_down(struct story_peers *t);
