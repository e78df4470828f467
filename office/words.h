/*
 * office/words.h - the words of the grammar, for who reads and for who writes them.
 *
 * A member's line is NAME KIND, what the kind always needs, and words of these in any order.
 */
#pragma once

#include "office/office.h"

#define KINDS(kind) (1u << (kind))
#define OURS (KINDS(MEMBER_HUB) | KINDS(MEMBER_NODE) | KINDS(MEMBER_PERSON))
#define ALL_KINDS (OURS | KINDS(MEMBER_HOST))
#define SAID true	/* in the file that people write too */
#define DERIVED false	/* in lock and bundle only */
#define VALUE true
#define ALONE false

/* word, kinds that have it, who says it, whether a value follows, what it means */
#define MEMBER_WORD_LIST(X)                                                                        \
	X(ADDRESS, "address", OURS, SAID, VALUE, "its address in the tunnel")                      \
	X(AT, "at", KINDS(MEMBER_NODE), SAID, VALUE, "the node's own address in its LAN, as .2")   \
	X(GW, "gw", KINDS(MEMBER_NODE), SAID, VALUE, "the LAN's gateway, as .1")                   \
	X(IF, "if", KINDS(MEMBER_NODE), SAID, VALUE, "the node's interface to the LAN, as eth0")   \
	X(RETURN, "return", KINDS(MEMBER_NODE), SAID, VALUE,                                       \
		"how the LAN answers: auto, route, route+gw or snat")                              \
	X(ALIAS, "alias", KINDS(MEMBER_NODE), SAID, VALUE, "a second prefix for the LAN, as long") \
	X(PORTS, "ports", KINDS(MEMBER_HUB), SAID, VALUE, "more ports that it answers on, as 443,4500") \
	X(PHONE, "phone", KINDS(MEMBER_PERSON), SAID, ALONE, "gets its part by QR code")           \
	X(ENGINE, "engine", OURS, SAID, VALUE, "ginnel or kernel")                                 \
	X(MTU, "mtu", OURS, SAID, VALUE, "the tunnel's MTU there")                                 \
	X(ID, "id", ALL_KINDS, DERIVED, VALUE, "its number, never given twice")                    \
	X(KEY, "key", OURS, DERIVED, VALUE, "its public key")                                      \
	X(NEXT_KEY, "next-key", OURS, DERIVED, VALUE, "the public key that takes over")            \
	X(PSK, "psk", KINDS(MEMBER_NODE) | KINDS(MEMBER_PERSON), DERIVED, VALUE,                   \
		"bundle only: the secret that it shares with the hub")                             \
	X(LEARNT, "learnt", KINDS(MEMBER_NODE), DERIVED, VALUE, "the return mode that a probe found") \
	X(LEARNT_MTU, "learnt-mtu", OURS, DERIVED, VALUE, "the MTU that was measured")             \
	X(GIVEN, "given", OURS, DERIVED, VALUE, "a number of what was exported for it last")       \
	X(GONE, "gone", OURS, DERIVED, ALONE, "was a member once; what was its own stays taken")

/* word, who says it, what it means */
#define TOP_WORD_LIST(X)                                                                           \
	X(NET, "net", SAID, "the members' addresses are of this prefix")                           \
	X(ALIASES, "aliases", SAID, "the LANs' aliases are of this prefix")                        \
	X(PORT, "port", SAID, "the hub's UDP port")                                                \
	X(OFFICE_MTU, "mtu", SAID, "the tunnel's MTU where a member says none")                    \
	X(PSK_ON, "psk", SAID, "on: the hub shares a secret with each of the others")              \
	X(VERSION, "version", DERIVED, "of the format; in a bundle \"for NAME\" follows")          \
	X(NEXT, "next", DERIVED, "the next id")

#define MEMBERS_WORD "members"	/* bundle: behind "for NAME", how many there are */

/* Not known yet, and kept free: no member bears such a name. */
#define LATER_TOP_WORDS "allow", "group", "name", "ula"
#define LATER_MEMBER_WORDS "dhcp121", "expires", "full", "inlan", "ra", "standin"
