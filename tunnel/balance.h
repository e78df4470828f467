/*
 * tunnel/balance.h - which worker serves which of the TUN's queues and sockets.
 *
 * Each of those is a source of packets and has one owner at a time, so that a flow stays in order;
 * others that have time help with the backlog of a socket, and keep that order (tunnel/line.h).
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

/*
 * What a worker says of itself: thousandths of its last window that it was busy with its own sources and
 * with others', whether it had to wait for a processor, and when.
 */
typedef _Atomic uint64_t balance_load;

struct balance {
	uint64_t	start_ns;	/* of the window */
	uint64_t	cpu_ns;		/* the thread's processor time then */
	uint64_t	busy_ns;	/* of it so far, with its own sources */
	uint64_t	help_ns;	/* and with others' */
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
 * has used for its own sources so far, ${busy_ns[i]} what its i-th source took of ${b}->busy_ns.  How many of its
 * ${sources} sources go to worker ${*ret}: those with ${give[i]} set.
 */
unsigned balance_choose(struct balance *b, uint64_t now_ns, uint64_t cpu_ns, balance_load loads[],
	unsigned n, unsigned self, const uint64_t busy_ns[], unsigned sources, bool give[],
	unsigned *ret);

/*
 * balance_has_time(loads, n, self, now_ns, ret): the one of the others that has least to do, if its
 * own work leaves it half of its time and it does not help others for the rest; false: there is none.
 */
bool balance_has_time(
	balance_load loads[], unsigned n, unsigned self, uint64_t now_ns, unsigned *ret);
