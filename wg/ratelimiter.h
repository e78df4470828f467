/*
 * wg/ratelimiter.h - token buckets per source address, for handshakes under load (paper, section
 * 5.3).
 *
 * 20 a second, bursts of 5; IPv4 by /32, IPv6 by /64.  The table is bounded: when it is full, new
 * sources are refused.  An entry idle for more than a second is full again, and is collected.  The
 * hash is keyed, so that nobody can choose addresses that collide.  Memory grows with use and
 * shrinks when idle.  Belongs to one thread.
 */
#pragma once

#include "wg/endpoint.h"

#define RATELIMITER_PER_SECOND 20
#define RATELIMITER_BURST 5
#define RATELIMITER_ENTRIES_MAX 65536

struct ratelimiter;

/* ${seed}: 32 random bytes, copied.  0 or -ENOMEM. */
int ratelimiter_new(const uint8_t seed[32], struct ratelimiter **ret);
void ratelimiter_free(struct ratelimiter *r);

/* May a message from ${src} (its port does not matter) be worked on now? */
bool ratelimiter_allow(struct ratelimiter *r, const struct wg_addr *src, uint64_t boot_ns);

/*
 * Drop idle entries.  Returns the boot_ns at which to call again, UINT64_MAX when the table is
 * empty.
 */
uint64_t ratelimiter_collect(struct ratelimiter *r, uint64_t boot_ns);

size_t ratelimiter_n_entries(const struct ratelimiter *r);
/* Bytes that the table holds, for tests and the memory figures. */
size_t ratelimiter_memory(const struct ratelimiter *r);
