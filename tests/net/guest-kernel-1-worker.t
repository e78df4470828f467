#!/bin/bash
# tier: full release
# The tests against the WireGuard of Linux 6.1 once more, with one worker.
export GINNEL_WG_OPTIONS=--workers=1
exec "${0%/*}/guest-kernel.t" "$@"
