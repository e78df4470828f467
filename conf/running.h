/*
 * conf/running.h - what a daemon says of itself when it is asked with "get=1", and what to tell it
 * so that it is as a file says.
 *
 * Pure: text in, text out.
 */
#pragma once

#include "conf/file.h"

struct running_peer {
	uint8_t		 public_key[KEY_LEN], psk[KEY_LEN];
	char		 endpoint[80];		/* "": none */
	uint16_t	 keepalive;
	uint64_t	 handshake_s;		/* wall clock; 0: there was none */
	uint32_t handshake_ns;                  /* and the rest of that second */
	uint64_t	 tx_bytes, rx_bytes;	/* handshakes count */
	struct prefix	*allowed;		/* sorted */
	size_t		 n_allowed;
};

struct running {
	uint8_t			 private_key[KEY_LEN];	/* all zero: none */
	uint16_t		 listen_port;
	uint32_t		 fwmark;
	struct running_peer	*peers;		/* in the order of their keys */
	size_t			 n_peers;
};

/*
 * running_read(text, len, ret): the answer up to its blank line.  0; -EBADMSG where it cannot be
 * understood, lines of unknown keys aside; -ENOMEM; negative, the error that it reports.
 */
int running_read(const char *text, size_t len, struct running **ret);
void running_free(struct running *r);
static inline void running_freep(struct running **r)
{
	running_free(*r);
}

/* running_peer(r, public_key): the peer with this key, or NULL. */
const struct running_peer *running_peer(
	const struct running *r, const uint8_t public_key[KEY_LEN]);

/* What a peer of the file has for an endpoint now, by the index of the peer. */
struct wanted_endpoint {
	char	text[80];	/* as the daemon writes it; "": none, or its name is unknown now */
	/*
	 * The file said the same when it was applied last: then what the peer has now was learnt
	 * from it, or is as it was set, and stays.
	 */
	bool	unchanged;
};

struct difference {
	unsigned	added, changed, removed;	/* peers */
	bool		interface;			/* key, port or mark differ */
};

/*
 * difference(file, fwmark, endpoints, running, request, ret):
 * Append to ${request} the "set=1" after which the daemon is as the file says: only of what
 * differs, so that nothing happens to peers which do not.  Peers that the file has not are removed.
 * ${endpoints} has one row for each of the file's peers.  Nothing is appended when nothing differs.
 * 0 or the buffer's error.
 */
int difference(const struct conf_file *file, uint32_t fwmark, const struct wanted_endpoint endpoints[],
	const struct running *running, struct buf *request, struct difference *ret);
