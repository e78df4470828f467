#!/bin/bash
# tier: full
# Several workers without the fast path: every packet is a read, a message and a write of its own.
# shellcheck source=tests/net/variants.sh
. "${0%/*}/variants.sh"
variant "without the fast path [variants-tunnel]" workers.t GINNEL_WG_OPTIONS=--without=all
variants_end
