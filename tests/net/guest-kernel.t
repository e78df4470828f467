#!/bin/bash
# shellcheck disable=SC1010 # "do" in -M do is a word of ping
# tier: full
# The program under test in host a, the WireGuard of Linux 6.1 in the guest: either may start, over IPv4 and over
# IPv6, with and without a pre-shared key; keys are renewed in time; each end may forget the other.
#
#	  host a                                               guest
#	+---------------------------+                        +---------------------------+
#	| wg1 192.168.241.1         |   tunnel               | wg2 192.168.241.2         |
#	|     fd00:241::1           | ...................... |     fd00:241::2           |
#	| wg3 192.168.243.1         |   renewed by a         | wg3 192.168.243.2         |
#	| wg4 192.168.244.1         |   renewed by the guest | wg4 192.168.244.2         |
#	|                           |                        |                           |
#	| eth 10.0.0.1  fd00:aa::1  |------------------------| eth0 10.0.0.2  fd00:aa::2 |
#	+---------------------------+                        +---------------------------+
# shellcheck source=tests/net/lib.sh
. "${0%/*}/lib.sh"
# shellcheck source=tests/guest/lib.sh
. "${0%/*}/../guest/lib.sh"
guest_image
export GINNEL_WG_OPTIONS=${GINNEL_WG_OPTIONS:---workers=2}
lab_enter 840 "$@"

bail() { echo "Bail out! $*"; lab_logs; guest_logs; exit 1; }

key1=$(wg genkey) key2=$(wg genkey)
pub1=$(wg pubkey <<<"$key1") pub2=$(wg pubkey <<<"$key2")

# plug_in: boot the guest, connect it, and load the module.
plug_in()
{
	guest_boot a eth || bail "no guest"
	addr a eth 10.0.0.1/24 fd00:aa::1/64 || bail "no link to the guest"
	guest_run 120 "
		sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0
		ip link set eth0 up
		ip addr add 10.0.0.2/24 dev eth0
		ip addr add fd00:aa::2/64 dev eth0 nodad
		echo $key2 >key2
		modprobe wireguard &&
		ip link add wg2 type wireguard && wg set wg2 listen-port 2222 private-key key2 &&
		ip addr add 192.168.241.2/24 dev wg2 &&
		ip addr add fd00:241::2/64 dev wg2 nodad &&
		ip link set wg2 up" || bail "the guest cannot be set up"
}

# a_forgets and guest_forgets [ENDPOINT [PSK]]: have the other end as a new peer.
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

guest_sees() { [[ $(guest_run 120 "wg show wg2 $1" | cut -f2-) == "$2" ]]; }

# renewed_tunnel NAME NET STARTER: a tunnel of its own that carries a packet each second, so that it renews its keys.
renewed_tunnel()
{
	local name=$1 net=$2 starter=$3 port=$((3000 + $2)) key theirs at=()
	key=$(wg genkey) theirs=$(wg genkey)

	wg_start a "$name" || bail "no daemon"
	[[ $starter == a ]] && at=(endpoint "10.0.0.2:$port")
	wg set "$name" private-key <(echo "$key") listen-port "$port" peer "$(wg pubkey <<<"$theirs")" \
		allowed-ips "192.168.$net.2/32" "${at[@]}" &&
		addr a "$name" "192.168.$net.1/24" && ip -n a link set "$name" up || bail "no tunnel $name"
	[[ $starter == a ]] && at=() || at=(endpoint "10.0.0.1:$port")
	guest_run 120 "
		ip link add $name type wireguard &&
		wg set $name private-key <(echo $theirs) listen-port $port \
			peer $(wg pubkey <<<"$key") allowed-ips 192.168.$net.1/32 ${at[*]} &&
		ip addr add 192.168.$net.2/24 dev $name && ip link set $name up" || bail "no tunnel $name"
	if [[ $starter == a ]]; then
		in_ns a ping -n -q "192.168.$net.2" >/dev/null 2>&1 &
	else
		guest_run 120 "ping -n -q 192.168.$net.1 >/dev/null 2>&1 &"
	fi
}

is_renewed() { [[ $(wg show "$1" latest-handshakes | cut -f2) -gt $2 ]]; }
has_session() { is_renewed "$1" 0; }

# bulk ADDRESS OPTION...: a megabyte by iperf3, whose server does not listen for a moment between two runs.
bulk() { in_ns a timeout 120 iperf3 -c "$@" -n 1M -J >/run/lab/bulk 2>&1 && enough /run/lab/bulk; }
enough() # FILE: what iperf3 counted
{
	/usr/bin/python3 -c 'import json, sys
n = json.load(open(sys.argv[1]))["end"]["sum_received"]["bytes"]
print(n, "bytes received")
sys.exit(n < 500_000)' "$1"
}

ns_add a
plug_in
wg_start a wg1 || bail "no daemon"
wg set wg1 private-key <(echo "$key1") listen-port 1111
addr a wg1 192.168.241.1/24 fd00:241::1/64
ip -n a link set wg1 up

release=$(guest_run 120 "uname -r")
ok "the guest's interface is the kernel's, $release [interop-kernel-initiator]" \
	guest_run 120 'ip -d link show wg2 | grep -w wireguard && [[ ! -e /run/wireguard ]]'

renewed_tunnel wg3 243 a
renewed_tunnel wg4 244 guest
within 60 has_session wg3 || bail "no session to renew in wg3"
within 60 has_session wg4 || bail "no session to renew in wg4"
first3=$(wg_field wg3 latest-handshakes) first4=$(wg_field wg4 latest-handshakes)

umask 077
wg genpsk >/run/lab/psk
wg genpsk >/run/lab/other
for outer in 4 6; do
	[[ $outer == 4 ]] && at_a=10.0.0.1:1111 at_guest=10.0.0.2:2222 ||
		{ at_a='[fd00:aa::1]:1111' at_guest='[fd00:aa::2]:2222'; }
	for starter in a guest; do
		for psk in "" /run/lab/psk; do
			# Only the one that starts knows the other's address.
			if [[ $starter == a ]]; then
				a_forgets $at_guest $psk && guest_forgets "" $psk
				role=initiator to=192.168.241.2 to6=fd00:241::2
			else
				a_forgets "" $psk && guest_forgets $at_a $psk
				role=responder to=192.168.241.1 to6=fd00:241::1
			fi
			id="[interop-kernel-$role]${psk:+ [interop-kernel-psk]}"
			what="as $role over IPv$outer${psk:+ with a pre-shared key}"
			ok "$what: IPv4 inside $id" from $starter -c 3 $to
			ok "$what: IPv6 inside $id" from $starter -c 3 $to6
			ok "$what: full-sized packets $id" from $starter -c 2 -M do -s 1392 $to
		done
	done
	is "both ends saw the other's IPv$outer address [interop-kernel-responder]" \
		"$(wg_field wg1 endpoints) $(guest_run 120 'wg show wg2 endpoints' | cut -f2-)" "$at_guest $at_a"
done

a_forgets 10.0.0.2:2222 /run/lab/psk
guest_forgets 10.0.0.1:1111 /run/lab/other
fails "with two different pre-shared keys nothing gets through [interop-kernel-psk]" from a -c 2 -W 1 192.168.241.2
ok "and the kernel counts no handshake [interop-kernel-psk]" guest_sees latest-handshakes 0

a_forgets 10.0.0.2:2222
guest_forgets 10.0.0.1:1111
guest_run 120 'iperf3 -s -D; until [[ $(ss -Hltn "sport = 5201") ]]; do sleep 0.1; done'
for flags in "" -R "-6" "-6 -R"; do
	[[ $flags == -6* ]] && to=fd00:241::2 || to=192.168.241.2
	ok "bulk data to the kernel and back${flags:+, $flags} [interop-kernel-initiator]" within 120 bulk $to ${flags#-6}
done

guest_forgets 10.0.0.1:1111
ok "the kernel forgot us and starts anew: packets get through [interop-kernel-restart]" \
	from guest -c 1 192.168.241.1
a_forgets 10.0.0.2:2222
ok "we forgot the kernel and start anew: the first packet gets through [interop-kernel-restart]" \
	from a -c 1 192.168.241.2
guest_run 120 'ip link set wg2 down && ip link set wg2 up'
ok "the kernel's interface went down and up: its packets get through [interop-kernel-restart]" \
	from guest -c 1 192.168.241.1

# 120 seconds after their first handshake the sender has new ones, by whichever end they were started.
ok "we renew the keys of a session with the kernel [interop-kernel-rekey]" within 400 is_renewed wg3 "$first3"
ok "the kernel renews the keys of a session with us [interop-kernel-rekey]" within 400 is_renewed wg4 "$first4"
ok "the session that we renewed carries packets [interop-kernel-rekey]" from a -c 3 192.168.243.2
ok "the session that the kernel renewed carries packets [interop-kernel-rekey]" from guest -c 3 192.168.244.1

wg_stop wg3
wg_stop wg4

# A session is up; the guest loses power, comes back with its keys and does not know where we are.
ok "before the power cut there is a session [interop-kernel-reboot]" from a -c 1 192.168.241.2
guest_kill
plug_in
guest_forgets
ok "the kernel's host was restarted: we find the session dead and make a new one [interop-kernel-reboot]" \
	within 40 from a -c 1 192.168.241.2
ok "and the kernel's packets get through again [interop-kernel-reboot]" from guest -c 2 192.168.241.1
ok "the guest shuts down in order [interop-kernel-reboot]" guest_off
((tap_failed)) && guest_logs
lab_end
