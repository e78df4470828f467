#!/bin/bash
# shellcheck disable=SC1010 # "do" in -M do is a word of ping
# tier: full release
# The program under test in host a, the WireGuard of Linux 6.1 in the guest: with one and two workers, with the whole
# fast path, without each piece of it, and without all.
# shellcheck source=tests/net/lib.sh
. "${0%/*}/lib.sh"
# shellcheck source=tests/guest/lib.sh
. "${0%/*}/../guest/lib.sh"
guest_image
lab_enter 840 "$@"

# shellcheck source=tests/guest/pair.sh
. "${0%/*}/../guest/pair.sh"

ns_add a
pair_boot
pair_guest || bail "no tunnel in the guest"
bulk_server

pings()
{
	in_ns a ping -n -q -c 2 -i 0.2 -W 20 192.168.241.2 && in_ns a ping -6 -n -q -c 2 -i 0.2 -W 20 fd00:241::2 &&
		in_ns a ping -n -q -c 1 -W 20 -M do -s 1392 192.168.241.2
}

turn=0
for without in "" all tun-vnet tun-tso tun-uso join-tcp join-udp udp-gso udp-gro route-query tun-steering balance; do
	for workers in 1 2; do
		# Either family below by turns, so that both meet each piece.
		((turn++ & 1)) && at='[fd00:aa::2]:2222' || at=10.0.0.2:2222
		export GINNEL_WG_OPTIONS="--workers=$workers${without:+ --without=$without}"
		pair_a
		a_forgets "$at" && guest_forgets || bail "the guest does not answer"
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
