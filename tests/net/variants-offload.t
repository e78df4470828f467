#!/bin/bash
# tier: full
# Big units where pieces of the fast path are off: those on whose work offload.t does not look.
# shellcheck source=tests/net/variants.sh
. "${0%/*}/variants.sh"
for without in udp-gso udp-gro join-udp udp-gso,udp-gro,join-udp,route-query; do
	variant "with workers=2 without=$without [variants-offload]" offload.t \
		GINNEL_WG_OPTIONS="--workers=2 --without=$without"
done
variants_end
