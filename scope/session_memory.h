/*
 * scope/session_memory.h - the handshakes behind the sessions that may still live, as blocks to be
 * written again at the head of the next file.
 *
 * Knows no block.  Of each peer the last few, none older than a session lives.  Wipes what it
 * forgets.
 */
#pragma once

#include "base/buf.h"
#include "base/key_text.h"

struct session_memory;

int session_memory_new(struct session_memory **ret);
void session_memory_free(struct session_memory *m); /* NULL is allowed */

/* session_memory_begin(m, peer, block): a handshake with ${peer} begins, with its keys. */
void session_memory_begin(struct session_memory *m, const uint8_t peer[KEY_LEN], const struct buf *block);

/* session_memory_add(m, peer, real_ns, complete, block): one of its messages; with ${complete} the last. */
void session_memory_add(struct session_memory *m, const uint8_t peer[KEY_LEN], uint64_t real_ns,
	bool complete, const struct buf *block);

/* session_memory_put(m, real_ns, ret): append those that were made less than 180 s before, in order. */
void session_memory_put(struct session_memory *m, uint64_t real_ns, struct buf *ret);
