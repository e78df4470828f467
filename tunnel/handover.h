/*
 * tunnel/handover.h - what a running daemon and the one that takes its place say to each other, and
 * what both ends share.
 *
 * Over a connection of the control channel, after the request REPLACE: docs/PROTOCOL-CTL.md.  The
 * old one is tunnel/handover_give.h, the new one tunnel/handover_take.h.
 *
 *	old                                        new
 *	TUNNEL, DESCRIPTORS, PIECE..., PREPARED ->
 *	                                           tries the state, makes all that it needs
 *	                                        <- FREEZE
 *	workers stop, what they have is sent
 *	CLIENT..., PIECE..., FINAL              ->
 *	                                        <- READY
 *	COMMIT                                  ->
 *	                                        <- TAKEN, and then the first packet
 *	ends
 *
 * The new one sends no packet before COMMIT, the old one none after it.  Whoever stops before COMMIT
 * leaves the tunnel to the old one; when the new one is gone before it says TAKEN it has done
 * nothing, and the old one goes on.
 */
#pragma once

#include "ctl/protocol.h"
#include "tunnel/bind.h"
#include "tunnel/tun.h"
#include "tunnel/udp.h"

#define HANDOVER_VERSION 1
#define HANDOVER_STEP_NS (5 * UINT64_C(1000000000))   /* nothing came, or nothing could be sent, for so long */
#define HANDOVER_FROZEN_NS (2 * UINT64_C(1000000000)) /* from FREEZE to COMMIT: no packet moves */
#define HANDOVER_PIECE_MAX 32768u

#define HANDOVER_MESSAGE_LIST(X)                                                                   \
	X(HANDOVER_TUNNEL, 0x9001, "tunnel", "old: the settings that are not the engine's")        \
	X(HANDOVER_DESCRIPTORS, 0x9002, "descriptors", "old: up to eight, and what each is")       \
	X(HANDOVER_PIECE, 0x9003, "piece", "old: of the state, or of a client's bytes")            \
	X(HANDOVER_PREPARED, 0x9004, "prepared", "old: that was all that can be told in motion")   \
	X(HANDOVER_FREEZE, 0x9005, "freeze", "new: all is made; stop")                             \
	X(HANDOVER_CLIENT, 0x9006, "client", "old: a client of the UAPI socket")                   \
	X(HANDOVER_FINAL, 0x9007, "final", "old: that was the last state")                         \
	X(HANDOVER_READY, 0x9008, "ready", "new: it was understood")                               \
	X(HANDOVER_COMMIT, 0x9009, "commit", "old: sends nothing any more; go")                    \
	X(HANDOVER_TAKEN, 0x900a, "taken", "new: goes; end")                                       \
	X(HANDOVER_ABORT, 0x900b, "abort", "either: not now; the old one goes on")
ENUM_DECLARE(handover_message, HANDOVER_MESSAGE_LIST);

#define HANDOVER_ITEM_LIST(X)                                                                      \
	X(HANDOVER_ITEM_VERSION, 1, "version", "number: of the hand-over, in REPLACE and TUNNEL")  \
	X(HANDOVER_ITEM_WHY, 2, "why", "text: for people")                                         \
	X(HANDOVER_ITEM_PID, 3, "pid", "number: of the old one, in its namespace")                 \
	X(HANDOVER_ITEM_PROGRAM, 4, "program", "text: version of the old one")                     \
	X(HANDOVER_ITEM_PORT, 5, "port", "number: UDP port; 0: to be chosen")                      \
	X(HANDOVER_ITEM_FWMARK, 6, "fwmark", "number")                                             \
	X(HANDOVER_ITEM_UP, 7, "up", "number: 1, the link is up")                                  \
	X(HANDOVER_ITEM_BIND_ADDRESS, 8, "bind-address", "text: of either family, or both")        \
	X(HANDOVER_ITEM_BIND_DEVICE, 9, "bind-device", "text")                                     \
	X(HANDOVER_ITEM_ROLES, 10, "roles", "bytes: a handover_role for each descriptor")          \
	X(HANDOVER_ITEM_STATE, 11, "state", "bytes: of wg/handover.h's stream")                    \
	X(HANDOVER_ITEM_INPUT, 12, "input", "bytes: the client before it sent, not looked at")     \
	X(HANDOVER_ITEM_OUTPUT, 13, "output", "bytes: the client before it is to be sent")         \
	X(HANDOVER_ITEM_ENDED, 14, "ended", "number: 1, the client is closed then")                \
	X(HANDOVER_ITEM_FROZEN_AT, 15, "frozen-at", "number: boot time in ns")                     \
	X(HANDOVER_ITEM_MANAGED, 16, "managed", "number: 1, the old one is a service")             \
	X(HANDOVER_ITEM_UNLESS, 17, "unless", "text: refuse, if this is what the old one is")
ENUM_DECLARE(handover_item, HANDOVER_ITEM_LIST);

#define HANDOVER_ROLE_LIST(X)                                                                      \
	X(HANDOVER_ROLE_TUN, 1, "tun", "a queue of the interface")                                 \
	X(HANDOVER_ROLE_UDP4, 2, "udp4", "a socket; the first is the first queue's")               \
	X(HANDOVER_ROLE_UDP6, 3, "udp6", "likewise")                                               \
	X(HANDOVER_ROLE_UAPI, 4, "uapi", "the listening socket of the configuration")              \
	X(HANDOVER_ROLE_CTL, 5, "ctl", "the listening socket of the control channel")              \
	X(HANDOVER_ROLE_PROCESS, 6, "process", "a pidfd of the old one")
ENUM_DECLARE(handover_role, HANDOVER_ROLE_LIST);

/* Descriptors are the owner's; -1 and 0: none. */
struct handover_tunnel {
	uint64_t	pid;
	char		program[32];
	uint16_t	port;
	uint32_t	fwmark;
	bool		up;
	bool		managed;	/* its service manager hears from it who comes next */
	struct bind	bind;
	unsigned	n_tun, n_udp4, n_udp6;
	int		tun[TUN_QUEUES_MAX];
	int		udp4[UDP_WORKERS_MAX], udp6[UDP_WORKERS_MAX];
	int		uapi_fd, ctl_fd, process_fd;
};

void handover_tunnel_init(struct handover_tunnel *t);
/* Close what it holds. */
void handover_tunnel_done(struct handover_tunnel *t);

/*
 * handover_put_tunnel(f, t): the TUNNEL frame.  handover_get_tunnel(fields, ret, why): 0; -EBADMSG;
 * -EPROTONOSUPPORT for another version or an item that must be understood and is not.
 */
void handover_put_tunnel(struct buf *f, const struct handover_tunnel *t);
int handover_get_tunnel(struct rd fields, struct handover_tunnel *ret, struct buf *why);

/*
 * handover_put_descriptors(f, t, first, fds): the DESCRIPTORS frame with the ${first}-th and those
 * behind it, at most CTL_FDS_MAX, in ${fds}.  How many; 0: there are none left.
 * handover_get_descriptors(fields, fds, t): take them.  -EBADMSG: too many, or roles that do not
 * fit.
 */
unsigned handover_put_descriptors(
	struct buf *f, const struct handover_tunnel *t, unsigned first, int fds[CTL_FDS_MAX]);
int handover_get_descriptors(struct rd fields, struct ctl_fds *fds, struct handover_tunnel *t);

/* handover_put_piece(f, item, b, at): the next piece of ${b}; how many bytes; 0: none are left. */
size_t handover_put_piece(struct buf *f, enum handover_item item, const struct buf *b, size_t at);

/*
 * handover_send(fd, f, fds, n, deadline_ns), handover_recv(fd, f, fds, deadline_ns, ret, ret_type):
 * as ctl_send() and ctl_recv() with ctl_open(), but wait until that boot time; UINT64_MAX: for
 * ever.  -ETIMEDOUT; -EPIPE: the other end is gone.
 */
int handover_send(int fd, const struct buf *f, const int fds[], size_t n, uint64_t deadline_ns);
int handover_recv(int fd, struct buf *f, struct ctl_fds *fds, uint64_t deadline_ns, struct rd *ret,
	uint16_t *ret_type);

/* handover_say(fd, f, type, why): a frame with nothing else in it, for ABORT with ${why}; waits not. */
int handover_say(int fd, struct buf *f, enum handover_message type, const char *why);

/* handover_why(fields, ret): what ABORT or REFUSED says, fit for a log; "" for nothing. */
void handover_why(struct rd fields, struct buf *ret);
