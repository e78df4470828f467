#!/bin/bash
# tier: full
# Several workers without the fast path, where every packet is a read, a message and a write of its own; and without
# what moves work between them.
# shellcheck source=tests/net/variants.sh
. "${0%/*}/variants.sh"
variant "without the fast path [variants-tunnel]" workers.t GINNEL_WG_OPTIONS=--without=all
variant "each with a queue and a socket for good [variants-tunnel]" workers.t GINNEL_WG_OPTIONS=--without=balance
variants_end
