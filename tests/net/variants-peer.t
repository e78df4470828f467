#!/bin/bash
# tier: full
# The misbehaving peer against one and two workers, with the whole fast path and with none of it; then without each
# piece of it, with one and two workers by turns.
# shellcheck source=tests/net/variants.sh
. "${0%/*}/variants.sh"
for workers in 1 2; do
	for without in "" all; do
		variant "with workers=$workers without=${without:-nothing} [variants-peer]" peer.t \
			GINNEL_WG_OPTIONS="--workers=$workers${without:+ --without=$without}"
	done
done
turn=0
for without in tun-vnet tun-tso tun-uso join-tcp join-udp udp-gso udp-gro route-query tun-steering balance; do
	workers=$((1 + turn++ % 2))
	variant "with workers=$workers without=$without [variants-peer]" peer.t \
		GINNEL_WG_OPTIONS="--workers=$workers --without=$without"
done
variants_end
