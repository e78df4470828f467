#!/bin/bash
# tier: full release
# What depends on the kernel, on Linux 6.1 in the guest: peers that move.  The test runs there as it is.
# shellcheck source=tests/net/lib.sh
. "${0%/*}/lib.sh"
# shellcheck source=tests/guest/lib.sh
. "${0%/*}/../guest/lib.sh"
guest_image
lab_enter 850 "$@"
ns_add a
guest_boot a eth 2 && guest_suite "" roaming || { echo "Bail out! no guest, or no tests in it"; guest_logs; exit 1; }
is "On Linux 6.1 the test of roaming passes as here [guest-old-roaming]" "$tap_failed failed" "0 failed"
ok "the guest shuts down in order [guest-old-stop]" guest_off
lab_end
