/*
 * wg/probe.h - where a tracer or debugger can look on: static probes (USDT) of the provider "ginnel".
 *
 * A probe is one nop, and a note in the program that says where it is and where its arguments are;
 * nothing is called, and nobody looks by default.  Arguments are integers: a tracer's program cannot follow
 * pointers well, and no key can get out this way.  PEER is a peer's number, 0 when it is not known.
 * docs/DEBUGGING.md is for who uses them.  Without -Dprobes there are none.
 *
 *	handshake_initiation_sent(PEER, our index, attempt)	attempt: 0, or the number of the retry
 *	handshake_initiation_received(PEER, its index)		genuine, and from now on answered
 *	handshake_response_sent(PEER, our index, its index)
 *	handshake_response_received(PEER, our index, its index)	genuine
 *	session_up(PEER, we are the initiator)			both ends have it, as far as we know
 *	keys_zeroed(PEER, sessions)				all that there were
 *	timer_armed(PEER, enum peer_timer, ns from now)		again, if it was armed
 *	timer_fired(PEER, enum peer_timer)
 *	drop(enum wg_drop, PEER, bytes, packets)		bytes: of one that stands for all; 0: they are gone
 *	roam(PEER, AF_INET or AF_INET6, port)			it speaks from another address or port now
 */
#pragma once

#ifdef WG_PROBES
#include <sys/sdt.h>
#define WG_PROBE2(name, a, b) DTRACE_PROBE2(ginnel, name, a, b)
#define WG_PROBE3(name, a, b, c) DTRACE_PROBE3(ginnel, name, a, b, c)
#define WG_PROBE4(name, a, b, c, d) DTRACE_PROBE4(ginnel, name, a, b, c, d)
#else
/* Looked at by the compiler, and not computed. */
#define WG_PROBE2(name, a, b) ((void)sizeof((a) + (b)))
#define WG_PROBE3(name, a, b, c) ((void)sizeof((a) + (b) + (c)))
#define WG_PROBE4(name, a, b, c, d) ((void)sizeof((a) + (b) + (c) + (d)))
#endif
