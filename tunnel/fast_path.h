/*
 * tunnel/fast_path.h - the pieces of the fast path that can be done without.
 *
 * Each has a fallback that is taken by itself where the kernel lacks the piece.  --without takes it
 * where the kernel has it: for receivers that cannot cope, for finding out what a fault hangs on,
 * and for tests.
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
	X(FAST_PATH_BALANCE, 0x200, "balance", "queues and sockets that change their worker with the load")
#define FAST_PATH_ALIASES(X) X(FAST_PATH_ALL, 0x3ff, "all")
/* clang-format on */
FLAGS_DECLARE_ALIASES(fast_path, FAST_PATH_LIST, FAST_PATH_ALIASES);
