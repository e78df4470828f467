#!/bin/bash
# tier: full
# The misbehaving peer against one and two workers, with the whole fast path and with none of it.
# shellcheck source=tests/net/variants.sh
. "${0%/*}/variants.sh"
for workers in 1 2; do
	for without in "" all; do
		variant "with workers=$workers without=${without:-nothing} [variants-peer]" peer.t \
			GINNEL_WG_OPTIONS="--workers=$workers${without:+ --without=$without}"
	done
done
variants_end
