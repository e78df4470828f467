#!/bin/bash
# shellcheck disable=SC1010 # "do" in -M do is a word of ping
# tier: full release
# The program under test in the guest, whose Linux 6.1 has no UDP segmentation in tunnels and an old Landlock, with
# itself in host a as the peer: on a processor without AVX, and on one with AVX2.
#
#	  host a                                               guest
#	+---------------------------+                        +---------------------------+
#	| wg1 192.168.241.1         |   tunnel               | wg2 192.168.241.2         |
#	|     fd00:241::1           | ...................... |     fd00:241::2           |
#	|                           |                        |                           |
#	| eth 10.0.0.1  fd00:aa::1  |------------------------| eth0 10.0.0.2  fd00:aa::2 |
#	+---------------------------+                        +---------------------------+
# shellcheck source=tests/net/lib.sh
. "${0%/*}/lib.sh"
# shellcheck source=tests/guest/lib.sh
. "${0%/*}/../guest/lib.sh"
guest_image
lab_enter 840 "$@"

bail() { echo "Bail out! $*"; lab_logs; guest_logs; exit 1; }

key1=$(wg genkey) key2=$(wg genkey)
pub1=$(wg pubkey <<<"$key1") pub2=$(wg pubkey <<<"$key2")

log_has() { guest_run 120 "grep -E '$1' log || { cat log; exit 1; }"; }

# introduce STARTER OUTER: make each forget the other; only the one that starts knows the other's address.
introduce()
{
	local at_a=() at_guest=()

	case $1$2 in
	a4) at_guest=(endpoint 10.0.0.2:2222) ;;
	a6) at_guest=(endpoint '[fd00:aa::2]:2222') ;;
	guest4) at_a=(endpoint 10.0.0.1:1111) ;;
	guest6) at_a=(endpoint '[fd00:aa::1]:1111') ;;
	esac
	wg set wg1 peer "$pub2" remove
	wg set wg1 peer "$pub2" allowed-ips 192.168.241.2/32,fd00:241::2/128 "${at_guest[@]}"
	guest_run 120 "
		wg set wg2 peer $pub1 remove
		wg set wg2 peer $pub1 allowed-ips 192.168.241.1/32,fd00:241::1/128 ${at_a[*]}"
}

from()
{
	local host=$1
	shift

	if [[ $host == a ]]; then
		in_ns a ping -n -q -i 0.2 -W 20 "$@"
	else
		guest_run 120 "ping -n -q -i 0.2 -W 20 $*"
	fi
}

# bulk ADDRESS OPTION...: a megabyte by iperf3, whose server does not listen for a moment between two runs.
bulk() { in_ns a timeout 120 iperf3 -c "$@" -n 1M -J >/run/lab/bulk 2>&1 && enough /run/lab/bulk; }
enough() # FILE: what iperf3 counted
{
	/usr/bin/python3 -c 'import json, sys
end = json.load(open(sys.argv[1]))["end"]
n = end["sum_received" if "sum_received" in end else "sum"]["bytes"]
print(n, "bytes received")
sys.exit(n < 100_000)' "$1"
}

ns_add a
wg_start a wg1 || bail "no daemon"
wg set wg1 private-key <(echo "$key1") listen-port 1111
addr a wg1 192.168.241.1/24 fd00:241::1/64
ip -n a link set wg1 up

for GUEST_CPU in qemu64 max; do
	[[ $GUEST_CPU == qemu64 ]] && processor="without AVX" cipher=openssl || processor="with AVX2" cipher="ipsec-mb .* avx2"
	guest_boot a eth 2 || bail "no guest"
	addr a eth 10.0.0.1/24 fd00:aa::1/64 || bail "no link to the guest"
	guest_put "$WG" /usr/bin/ginnel-wg
	guest_run 120 "
		sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0
		ip link set eth0 up
		ip addr add 10.0.0.2/24 dev eth0
		ip addr add fd00:aa::2/64 dev eth0 nodad
		echo $key2 >key2" || bail "the guest cannot be set up"
	ok "$processor the daemon starts on Linux 6.1 [guest-old-start]" guest_run 120 '
		LOG_LEVEL=verbose ginnel-wg -f wg2 >log 2>&1 </dev/null &
		echo $! >pid
		until wg show wg2 >/dev/null 2>&1; do
			kill -0 $! || { cat log; exit 1; }
			sleep 0.1
		done
		wg set wg2 private-key key2 listen-port 2222 &&
		ip addr add 192.168.241.2/24 dev wg2 &&
		ip addr add fd00:241::2/64 dev wg2 nodad &&
		ip link set wg2 up'
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
			[[ $starter == a ]] && to=192.168.241.2 to6=fd00:241::2 || to=192.168.241.1 to6=fd00:241::1
			introduce $starter $outer
			what="$processor, started by ${starter/#guest/the guest}, over IPv$outer"
			ok "$what: IPv4 inside [guest-old-tunnel]" from $starter -c 3 $to
			ok "$what: IPv6 inside [guest-old-tunnel]" from $starter -c 3 $to6
			ok "$what: full-sized packets [guest-old-tunnel]" from $starter -c 2 -M do -s 1392 $to
		done
	done
	introduce a 4
	guest_run 120 'iperf3 -s -D; until [[ $(ss -Hltn "sport = 5201") ]]; do sleep 0.1; done'
	for flags in "" -R "-6" "-6 -R" "-u -b 20M" "-u -b 20M -R"; do
		[[ $flags == -6* ]] && to=fd00:241::2 || to=192.168.241.2
		ok "$processor: bulk data${flags:+ $flags} [guest-old-bulk]" within 120 bulk $to ${flags#-6}
	done
	ok "$processor: the daemon in the guest is told to end, and leaves nothing behind [guest-old-stop]" guest_run 120 '
		kill $(<pid)
		for ((i = 0; i < 100; i++)); do kill -0 $(<pid) 2>/dev/null || break; sleep 0.1; done
		cat log; ((i < 100)) && [[ ! -e /sys/class/net/wg2 && ! -e /run/wireguard/wg2.sock ]]'
	if [[ $GUEST_CPU == max ]]; then
		ok "the guest shuts down in order [guest-old-stop]" guest_off
	else
		guest_kill
	fi
done
((tap_failed)) && guest_logs
lab_end
