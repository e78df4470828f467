# shellcheck shell=bash disable=SC2154,SC1010 # "do" in -M do is a word of ping
# tests/guest/pair.sh - host a and the guest as the two ends of tunnel wg1 - wg2, over one cable.
#
#	  host a                                               guest
#	+---------------------------+                        +---------------------------+
#	| wg1 192.168.241.1         |   tunnel               | wg2 192.168.241.2         |
#	|     fd00:241::1           | ...................... |     fd00:241::2           |
#	|                           |                        |                           |
#	| eth 10.0.0.1  fd00:aa::1  |------------------------| eth0 10.0.0.2  fd00:aa::2 |
#	+---------------------------+                        +---------------------------+
#
#	lab_enter 840 "$@"
#	ns_add a
#	pair_a			# wg1 is the program under test
#	pair_boot && pair_guest	# wg2 is the WireGuard of the guest's kernel

key1=$(wg genkey) key2=$(wg genkey)
pub1=$(wg pubkey <<<"$key1") pub2=$(wg pubkey <<<"$key2")

bail() { echo "Bail out! $*"; lab_logs; guest_logs; exit 1; }

# pair_a: wg1 in host a, up, without a peer.
pair_a()
{
	wg_start a wg1 || bail "no daemon"
	wg set wg1 private-key <(echo "$key1") listen-port 1111
	addr a wg1 192.168.241.1/24 fd00:241::1/64
	ip -n a link set wg1 up
}

# pair_boot [CPUS]: boot the guest and connect it; its key lies in file key2.
pair_boot()
{
	guest_boot a eth "$@" || bail "no guest"
	addr a eth 10.0.0.1/24 fd00:aa::1/64 || bail "no link to the guest"
	guest_run 120 "
		sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0
		ip link set eth0 up
		ip addr add 10.0.0.2/24 dev eth0
		ip addr add fd00:aa::2/64 dev eth0 nodad
		echo $key2 >key2" || bail "the guest cannot be set up"
}

# pair_guest: wg2 in the guest, up, without a peer: the kernel's, unless there is one already.
pair_guest()
{
	guest_run 120 '
		[[ -e /sys/class/net/wg2 ]] || { modprobe wireguard && ip link add wg2 type wireguard; } &&
		wg set wg2 listen-port 2222 private-key key2 &&
		ip addr add 192.168.241.2/24 dev wg2 &&
		ip addr add fd00:241::2/64 dev wg2 nodad &&
		ip link set wg2 up'
}

# a_forgets and guest_forgets [ENDPOINT [PSK-FILE]]: have the other end as a new peer.
a_forgets()
{
	wg set wg1 peer "$pub2" remove
	wg set wg1 peer "$pub2" allowed-ips 192.168.241.2/32,fd00:241::2/128 ${1:+endpoint "$1"} \
		${2:+preshared-key "$2"}
}

guest_forgets()
{
	guest_run 120 "
		wg set wg2 peer $pub1 remove
		wg set wg2 peer $pub1 allowed-ips 192.168.241.1/32,fd00:241::1/128 ${1:+endpoint $1} \
			${2:+preshared-key /dev/stdin}" ${2:+"$2"}
}

# introduce STARTER OUTER [PSK-FILE]: each forgets the other; only the one that starts knows the other's address.
introduce()
{
	local at_a=10.0.0.1:1111 at_guest=10.0.0.2:2222

	[[ $2 == 4 ]] || at_a='[fd00:aa::1]:1111' at_guest='[fd00:aa::2]:2222'
	if [[ $1 == a ]]; then
		a_forgets "$at_guest" "${@:3}" && guest_forgets "" "${@:3}"
	else
		a_forgets "" "${@:3}" && guest_forgets "$at_a" "${@:3}"
	fi
}

# from HOST PING-ARGUMENTS...
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

# each_size HOST: packets from it of both families and of full size.
each_size()
{
	local to=192.168.241.2 to6=fd00:241::2

	[[ $1 == a ]] || to=192.168.241.1 to6=fd00:241::1
	from "$1" -c 3 $to && from "$1" -c 3 $to6 && from "$1" -c 2 -M do -s 1392 $to
}

# bulk_server: in the guest.
bulk_server() { guest_run 120 'iperf3 -s -D; until [[ $(ss -Hltn "sport = 5201") ]]; do sleep 0.1; done'; }

# bulk ADDRESS OPTION...: a megabyte by iperf3, whose server does not listen for a moment between two runs.
bulk() { in_ns a timeout 120 iperf3 -c "$@" -n 1M -J >/run/lab/bulk 2>&1 && enough /run/lab/bulk; }
enough() # FILE: what iperf3 counted
{
	/usr/bin/python3 -c 'import json, sys
end = json.load(open(sys.argv[1]))["end"]
udp = "sum_received" not in end
n = end["sum" if udp else "sum_received"]["bytes"]
print(n, "bytes received")
sys.exit(n < (100_000 if udp else 500_000))' "$1"
}
