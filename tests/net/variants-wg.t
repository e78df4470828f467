#!/bin/bash
# tier: full
# wg-quick and wg of Debian sid, with sid's C library, in the place of Debian 12's.
# shellcheck source=tests/net/variants.sh
. "${0%/*}/variants.sh"
dir=$("$variants_here/../../scripts/foreign" sid wireguard-tools libc6 2>&1)
if [[ -x $dir/run/wg-quick ]]; then
	for script in wg-quick.t uapi.t; do
		variant "with wireguard-tools of sid [variants-wg]" $script PATH="$dir/run:$PATH:/usr/sbin:/sbin"
	done
else
	echo "not ok 1 - wireguard-tools of sid can be fetched [variants-wg]"
	sed 's/^/#   /' <<<"$dir"
	variants_count=1 variants_failed=1
fi
variants_end
