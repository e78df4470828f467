#!/bin/bash
# shellcheck disable=SC1010 # "do" in -M do is a word of ping
# tier: full release
# The program under test in host a, the WireGuard of Linux 6.1 in the guest: with one and two workers, with the whole
# fast path, without each piece of it, and without all.
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

ns_add a
guest_boot a eth || bail "no guest"
addr a eth 10.0.0.1/24 fd00:aa::1/64 || bail "no link to the guest"
guest_run 120 "
	sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0
	ip link set eth0 up
	ip addr add 10.0.0.2/24 dev eth0
	ip addr add fd00:aa::2/64 dev eth0 nodad
	modprobe wireguard && ip link add wg2 type wireguard &&
	wg set wg2 listen-port 2222 private-key <(echo $key2) &&
	ip addr add 192.168.241.2/24 dev wg2 &&
	ip addr add fd00:241::2/64 dev wg2 nodad &&
	ip link set wg2 up
	iperf3 -s -D; until [[ \$(ss -Hltn 'sport = 5201') ]]; do sleep 0.1; done" || bail "the guest cannot be set up"

pings()
{
	in_ns a ping -n -q -c 2 -i 0.2 -W 20 192.168.241.2 && in_ns a ping -6 -n -q -c 2 -i 0.2 -W 20 fd00:241::2 &&
		in_ns a ping -n -q -c 1 -W 20 -M do -s 1392 192.168.241.2
}

# bulk OPTION...: a megabyte by iperf3, whose server does not listen for a moment between two runs.
bulk() { in_ns a timeout 120 iperf3 -c "$@" -n 1M -J >/run/lab/bulk 2>&1 && enough /run/lab/bulk; }
enough() # FILE: what iperf3 counted
{
	/usr/bin/python3 -c 'import json, sys
end = json.load(open(sys.argv[1]))["end"]
n = end["sum_received" if "sum_received" in end else "sum"]["bytes"]
print(n, "bytes received")
sys.exit(n < 100_000)' "$1"
}

turn=0
for without in "" all tun-vnet tun-tso tun-uso join-tcp join-udp udp-gso udp-gro route-query tun-steering balance; do
	for workers in 1 2; do
		# Either family below by turns, so that both meet each piece.
		((turn++ & 1)) && at='[fd00:aa::2]:2222' || at=10.0.0.2:2222
		export GINNEL_WG_OPTIONS="--workers=$workers${without:+ --without=$without}"
		wg_start a wg1 || bail "no daemon"
		wg set wg1 private-key <(echo "$key1") listen-port 1111 \
			peer "$pub2" allowed-ips 192.168.241.2/32,fd00:241::2/128 endpoint "$at"
		addr a wg1 192.168.241.1/24 fd00:241::1/64
		ip -n a link set wg1 up
		guest_run 120 "
			wg set wg2 peer $pub1 remove
			wg set wg2 peer $pub1 allowed-ips 192.168.241.1/32,fd00:241::1/128" || bail "the guest does not answer"
		what="workers=$workers without=${without:-nothing}, at $at"
		ok "$what: IPv4, IPv6 and full-sized packets pass [interop-kernel-pieces]" pings
		ok "$what: bulk data to the kernel [interop-kernel-pieces]" within 120 bulk 192.168.241.2
		ok "$what: and back [interop-kernel-pieces]" within 120 bulk fd00:241::2 -R
		ok "$what: datagrams to the kernel [interop-kernel-pieces]" within 120 bulk 192.168.241.2 -u -b 20M
		wg_stop wg1
	done
done
ok "the guest shuts down in order [interop-kernel-pieces]" guest_off
lab_end
