/*
 * base/key_log.h - Wireshark's WireGuard key log: the keys of handshakes in its words, and a file of
 * them.
 *
 * Knows no tunnel.  What is appended is never taken back: Wireshark reads on where it stopped.
 */
#pragma once

#include "base/buf.h"
#include "base/key_text.h"

/* Of one handshake, at one of its ends.  Secrets. */
struct key_log_keys {
	const uint8_t	*local_static;		/* private keys */
	const uint8_t	*local_ephemeral;	/* NULL: it is only said who this end is */
	const uint8_t	*remote_static;		/* public; NULL: not known */
	const uint8_t	*preshared;		/* NULL or zero: none */
};

/*
 * key_log_put(k, ret): append their block: to be written with one call before the first message that
 * needs it is read.  The caller's to wipe.
 */
void key_log_put(const struct key_log_keys *k, struct buf *ret);

struct key_log {
	int	fd;
	bool	torn;	/* what is in it ends within a line */
};

#define KEY_LOG_NONE {.fd = -1}

/*
 * key_log_open(path, never_wait, ret, why):
 * A file, made 0600 where there is none, or a pipe with a name, which a reader may open later.
 * Refused with a sentence: what others may read, somebody else's (but his who called sudo), a
 * symbolic link.  With ${never_wait} no write ever waits for the reader of a pipe; without, this
 * call waits until there is one.  0 or negative errno.
 */
int key_log_open(const char *path, bool never_wait, struct key_log *ret, struct buf *why);
void key_log_close(struct key_log *l);

/* key_log_write(l, k): 0; -EAGAIN: the pipe is full, and nothing was written; negative errno. */
int key_log_write(struct key_log *l, const struct key_log_keys *k);
