/*
 * scope/exported.h - a message without IP and UDP headers, which says itself what it is: for ports that
 * Wireshark knows as another protocol's.
 *
 * With headers Wireshark goes by the port where it knows it, and sees no WireGuard in, say, port 2222
 * or 4500.  LINKTYPE_WIRESHARK_UPPER_PDU names the protocol, and carries addresses and ports beside it.
 */
#pragma once

#include "scope/outer.h"

#define EXPORTED_MAX 96

/* exported_is_needed(port): Wireshark (4.0) takes UDP datagrams of this port for something else. */
bool exported_is_needed(uint16_t port);

/* exported_make(o, ret): what stands in front of the message instead of headers.  How long it is. */
size_t exported_make(const struct outer *o, uint8_t ret[EXPORTED_MAX]);
