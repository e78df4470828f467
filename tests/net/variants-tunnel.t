#!/bin/bash
# tier: full
# The tests of tunnels with two workers and with pieces of the fast path off, one by one and all.
# shellcheck source=tests/net/variants.sh
. "${0%/*}/variants.sh"
for without in all tun-vnet tun-tso tun-uso join-tcp join-udp udp-gso udp-gro route-query tun-steering balance; do
	variant "with workers=2 without=$without [variants-tunnel]" tunnel.t \
		GINNEL_WG_OPTIONS="--workers=2 --without=$without"
done
variants_end
