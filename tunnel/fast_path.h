/*
 * tunnel/fast_path.h - the pieces of the fast path that can be done without.
 *
 * Each has a fallback that is taken by itself where the kernel lacks the piece.  --without takes it
 * where the kernel has it: for receivers that cannot cope, for finding out what a fault hangs on,
 * and for tests.
 *
 * Whoever takes a fallback says so here, and whoever wants to know asks for the state.  A daemon
 * has one tunnel: the state is the process's.
 *
 * Locks: its own; any thread may call.  Not for each packet.
 */
#pragma once

#include "base/enum.h"

/* clang-format off */
#define FAST_PATH_LIST(X)                                                                          \
	X(FAST_PATH_TUN_VNET, 0x01, "tun-vnet", "the virtio header of the TUN: with it go the next four") \
	X(FAST_PATH_TUN_TSO, 0x02, "tun-tso", "TCP segments that come from the TUN in one read")   \
	X(FAST_PATH_TUN_USO, 0x04, "tun-uso", "UDP datagrams that come from the TUN in one read")  \
	X(FAST_PATH_JOIN_TCP, 0x08, "join-tcp", "TCP segments merged into one write to the TUN")   \
	X(FAST_PATH_JOIN_UDP, 0x10, "join-udp", "UDP datagrams merged into one write to the TUN")  \
	X(FAST_PATH_UDP_GSO, 0x20, "udp-gso", "datagrams that the UDP socket sends as one message") \
	X(FAST_PATH_UDP_GRO, 0x40, "udp-gro", "datagrams that come from the UDP socket as one message") \
	X(FAST_PATH_ROUTE_QUERY, 0x80, "route-query", "asking for a route before a source address is used") \
	X(FAST_PATH_TUN_STEERING, 0x100, "tun-steering", "each flow in a queue of the TUN of its own choice") \
	X(FAST_PATH_BALANCE, 0x200, "balance", "queues and sockets that change their worker with the load, and help with a backlog")
#define FAST_PATH_ALIASES(X) X(FAST_PATH_ALL, 0x3ff, "all")
/* clang-format on */
FLAGS_DECLARE_ALIASES(fast_path, FAST_PATH_LIST, FAST_PATH_ALIASES);

#define FAST_PATH_COUNT 10
#define FAST_PATH_WITH_VNET                                                                \
	(FAST_PATH_TUN_VNET | FAST_PATH_TUN_TSO | FAST_PATH_TUN_USO | FAST_PATH_JOIN_TCP | \
		FAST_PATH_JOIN_UDP)

/* The greater, the stronger: which one is told where there are several. */
#define FAST_PATH_WHY_LIST(X)                                                                      \
	X(FAST_PATH_WORKS, 0, "works", "nothing speaks against it")                                \
	X(FAST_PATH_PATHS, 1, "paths", "on the way to some peers; elsewhere it works")             \
	X(FAST_PATH_KERNEL, 2, "kernel", "the kernel does not have it, or refused it")             \
	X(FAST_PATH_DEVICE, 3, "device", "the interface was made by others, without it")           \
	X(FAST_PATH_EXCLUDED, 4, "excluded", "--without says so")
ENUM_DECLARE(fast_path_why, FAST_PATH_WHY_LIST);

/* How one piece is doing. */
struct fast_path_piece {
	enum fast_path		piece;
	enum fast_path_why	why;		/* the strongest reason */
	int			error;		/* errno that the kernel gave, or 0 */
	uint64_t		since_real_ns;	/* when that was first found out, by the wall clock; WORKS: 0 */
	uint64_t		last_real_ns;	/* and last */
	uint64_t		times;		/* how often */
};

/*
 * fast_path_fell_back(pieces, why, error): these pieces are not used, for that reason and, unless
 * 0, with that errno.  A weaker reason changes nothing.
 */
void fast_path_fell_back(unsigned pieces, enum fast_path_why why, int error);

/*
 * fast_path_tried_again(pieces): what KERNEL, DEVICE and PATHS said of them is no longer true,
 * because all is made anew: new sockets, another device.
 */
void fast_path_tried_again(unsigned pieces);

/* fast_path_state(ret): all pieces, in the order of the enumeration. */
void fast_path_state(struct fast_path_piece ret[FAST_PATH_COUNT]);

/* fast_path_is_on(p): it is in use, if not everywhere. */
static inline bool fast_path_is_on(const struct fast_path_piece *p)
{
	return p->why == FAST_PATH_WORKS || p->why == FAST_PATH_PATHS;
}
