/*
 * tunnel/balance.h - which worker serves which of the TUN's queues and sockets.
 *
 * Each of those is a source of packets and has one owner at a time, so that a flow stays in order.
 * All begin with the first worker: on one thread the data of a flow and the answers to it cost less
 * than on two that wake each other.  A worker that finds no more rest gives a source to one that
 * has time; one that has hardly anything to do gives its sources back.
 *
 * Pure: is told the time, and what was used of it.
 *
 * Locks: a struct balance is its worker's; balance_load is written by its worker and read by all.
 */
#pragma once

#include "base/util.h"

#include <stdatomic.h>

#define BALANCE_WINDOW_NS 20000000ull	/* a worker looks at what it did so often, while it does anything */
#define BALANCE_REST 5			/* windows after a source was given away until the next is */

/* What a worker says of itself: busy thousandths of its last window, whether it had to wait for a processor, and when. */
typedef _Atomic uint64_t balance_load;

struct balance {
	uint64_t	start_ns;	/* of the window */
	uint64_t	cpu_ns;		/* the thread's processor time then */
	uint64_t	busy_ns;	/* of it so far */
	unsigned	rest;
};

/* The window is over: then call balance_choose(). */
static inline bool balance_due(const struct balance *b, uint64_t now_ns)
{
	return now_ns - b->start_ns >= BALANCE_WINDOW_NS;
}

/*
 * balance_choose(b, now_ns, cpu_ns, loads, n, self, busy_ns, sources, give, ret): close the window
 * of worker ${self} of ${n} and publish its load.  ${cpu_ns} is the processor time that its thread
 * has used so far, ${busy_ns[i]} what its i-th source took of ${b}->busy_ns.  How many of its
 * ${sources} sources go to worker ${*ret}: those with ${give[i]} set.
 */
unsigned balance_choose(struct balance *b, uint64_t now_ns, uint64_t cpu_ns, balance_load loads[],
	unsigned n, unsigned self, const uint64_t busy_ns[], unsigned sources, bool give[],
	unsigned *ret);
