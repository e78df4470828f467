/*
 * office/probe.h - what the gateway of a LAN does with packets for the tunnel's other side, found
 * out from the node, with nothing installed on the gateway.
 *
 * The node hands the gateway a frame of its own for an address behind the tunnel.  If the gateway
 * has a route to the node, the frame comes back; its source is the node's own address, so the
 * kernel drops it, and nothing reaches anybody.  If it has none, the frame dies one hop further:
 * its time to live is two.
 */
#pragma once

#include "conf/text.h"
#include "office/office.h"

#define PROBE_TIMEOUT_MS 3000	/* enough for a LAN */

/*
 * probe_gateway(device, own, gateway, target, timeout_ms, ret):
 * ${own}: the node's address in the LAN behind ${device}; ${gateway}: that of the LAN; ${target}:
 * an address of the office that the gateway should route to the node.  All IPv4.  Waits for
 * ${timeout_ms} at most, and that long only if the gateway or what is behind it says nothing.
 * ${*ret}: RETURN_ROUTE, frames come back; RETURN_ROUTE_GW, but not those of a flow of which the
 * gateway has seen one side; RETURN_SNAT, they do not.
 * -EHOSTUNREACH: nobody answers ARP for the gateway; -EAFNOSUPPORT: not IPv4; -ENODEV: no such
 * device; -EPERM without CAP_NET_RAW; other negative errno.
 */
int probe_gateway(const char *device, const struct prefix *own, const struct prefix *gateway,
	const struct prefix *target, int timeout_ms, enum return_mode *ret);
