#!/bin/bash
# shellcheck disable=SC1010 # "do" in -M do is a word of ping
# tier: full release
# The program under test in the guest, whose Linux 6.1 has no UDP segmentation in tunnels and an old Landlock, with
# itself in host a as the peer: on a processor without AVX, and on one with AVX2.
# shellcheck source=tests/net/lib.sh
. "${0%/*}/lib.sh"
# shellcheck source=tests/guest/lib.sh
. "${0%/*}/../guest/lib.sh"
guest_image
lab_enter 840 "$@"

# shellcheck source=tests/guest/pair.sh
. "${0%/*}/../guest/pair.sh"

log_has() { guest_run 120 "grep -E '$1' log || { cat log; exit 1; }"; }

ns_add a
pair_a

for GUEST_CPU in qemu64 max; do
	[[ $GUEST_CPU == qemu64 ]] && processor="without AVX" cipher=openssl || processor="with AVX2" cipher="ipsec-mb .* avx2"
	pair_boot 2
	guest_put "$WG" /usr/bin/ginnel-wg
	ok "$processor the daemon starts on Linux 6.1 [guest-old-start]" guest_run 120 '
		LOG_LEVEL=verbose ginnel-wg -f wg2 >log 2>&1 </dev/null &
		echo $! >pid
		until wg show wg2 >/dev/null 2>&1; do
			kill -0 $! || { cat log; exit 1; }
			sleep 0.1
		done'
	pair_guest || bail "no tunnel in the guest"
	ok "$processor it takes the cipher that this processor can [guest-cipher]" log_has "cipher=\"$cipher"
	ok "$processor it says which offload the kernel lacks [guest-old-offloads]" \
		log_has "the kernel does not offer UDP segmentation"
	ok "$processor it says that of no other [guest-old-offloads]" \
		guest_run 120 '[[ $(grep -c "does not offer" log) == 1 ]]'
	ok "$processor system calls are filtered and files fenced off [guest-old-box]" guest_run 120 '
		cat log; ! grep "box:.* not " log && grep -w 2 <(awk "/^Seccomp:/ { print \$2 }" /proc/$(<pid)/status)'
	ok "$processor its memory is kept out of swap [guest-old-locked]" guest_run 120 '
		grep "memory is not locked" log && exit 1
		grep -E "^VmLck:.* [1-9][0-9]+ kB" /proc/$(<pid)/status'
	for outer in 4 6; do
		for starter in a guest; do
			introduce $starter $outer
			ok "$processor, started by ${starter/#guest/the guest}, over IPv$outer: both families and full-sized packets \
[guest-old-tunnel]" each_size $starter
		done
	done
	introduce a 4
	bulk_server
	for flags in "" -R "-6" "-6 -R" "-u -b 20M" "-u -b 20M -R"; do
		[[ $flags == -6* ]] && to=fd00:241::2 || to=192.168.241.2
		ok "$processor: bulk data${flags:+ $flags} [guest-old-bulk]" within 120 bulk $to ${flags#-6}
	done
	ok "$processor: the daemon in the guest is told to end, and leaves nothing behind [guest-old-stop]" guest_run 120 '
		kill $(<pid)
		for ((i = 0; i < 600; i++)); do kill -0 $(<pid) 2>/dev/null || break; sleep 0.1; done
		cat log; ((i < 600)) && [[ ! -e /sys/class/net/wg2 && ! -e /run/wireguard/wg2.sock ]]'
	if [[ $GUEST_CPU == max ]]; then
		ok "the guest shuts down in order [guest-old-stop]" guest_off
	else
		guest_kill
	fi
done
((tap_failed)) && guest_logs
lab_end
