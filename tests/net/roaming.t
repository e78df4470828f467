#!/bin/bash
# A peer that moves, and many ways between two hosts: the tunnel follows, without a handshake.
#
#	  host a                                   host b
#	+------------------+                     +------------------+
#	| eth  10.0.0.1    |---------------------| eth  10.0.0.2    |
#	|      10.0.0.11   |                     |                  |
#	| way  10.1.0.1    |---------------------| way  10.1.0.2    |
#	+------------------+                     +------------------+
# shellcheck disable=SC2046,SC2086 # words are meant to split
# shellcheck source=tests/net/lib.sh
. "${0%/*}/lib.sh"
lab_enter 600 "$@"
lab_pair
link_add a way b way
addr a way 10.1.0.1/24 && addr b way 10.1.0.2/24
wg_start a wg1 && wg_start b wg2 || { echo "Bail out! no daemon"; exit 1; }
lab_tunnel none 10.0.0.2
seen() { [[ $(wg_field wg2 endpoints) == "$1" ]]; }

ok "a reaches b, who learns a's endpoint [roam-handshake]" ping4 a 192.168.241.2
ok "the endpoint is where a sends from [roam-handshake]" seen 10.0.0.1:1111
before=$(wg_field wg1 latest-handshakes)

wg set wg1 listen-port 1112
ok "after a change of port data passes [roam-data-new-port]" ping4 a 192.168.241.2 1
ok "and b has followed [roam-data-new-port]" within 60 seen 10.0.0.1:1112
ok "b reaches a there [roam-data-new-port]" ping4 b 192.168.241.1 1

addr a eth 10.0.0.11/24
ip -n a addr del 10.0.0.1/24 dev eth
ok "after the local address is gone data passes from the other [sticky-address-gone]" within 60 \
	in_ns a ping -n -q -c 1 -W 1 192.168.241.2
ok "and b has followed [roam-data]" within 60 seen 10.0.0.11:1112

wg set wg1 peer "$pub2" endpoint 10.1.0.2:2222
ok "over another link data passes [roam-data]" ping4 a 192.168.241.2 1
ok "and b has followed [roam-data]" within 60 seen 10.1.0.1:1112
wg set wg1 peer "$pub2" endpoint '[fd00:aa::2]:2222'
ok "over the other family data passes [roam-data]" ping6 a fd00:241::2 1
ok "and b has followed [roam-data]" within 60 seen '[fd00:aa::1]:1112'
is "none of this took a handshake [roam-data]" "$(wg_field wg1 latest-handshakes)" "$before"

# b answers from the address that a spoke to, though its route says otherwise.
addr b eth 10.0.0.22/24
wg set wg1 peer "$pub2" endpoint 10.0.0.22:2222
sources() { captured b eth | awk '{ print $3 }' | sort -u; }
capture b eth udp -Q out
ping4 a 192.168.241.2 5 >/dev/null
capture_end b eth 10.0.0.11
is "b answers from the address that a spoke to [sticky-reply]" "$(sources)" 10.0.0.22.2222
is "and a's endpoint stays what was spoken to [sticky-reply]" "$(wg_field wg1 endpoints)" 10.0.0.22:2222
capture b eth udp -Q out
iperf a b 192.168.241.2 -n 20M >/run/lab/bulk 2>&1
capture_end b eth 10.0.0.11
is "under bulk data too, where datagrams arrive joined [sticky-reply] [sticky-gro-segment]" "$(sources)" 10.0.0.22.2222
ip -n b addr del 10.0.0.22/24 dev eth
wg set wg1 peer "$pub2" endpoint 10.0.0.2:2222
ok "when that address is gone b answers from another [sticky-address-gone]" within 60 \
	in_ns a ping -n -q -c 1 -W 1 192.168.241.2

# Firewall mark: a rule that drops what bears it.
in_ns a ip rule add fwmark 7 prohibit
wg set wg1 fwmark 7
fails "the firewall mark is on what is sent [sock-mark]" in_ns a ping -n -q -c 1 -W 1 192.168.241.2
in_ns a ip -6 rule add fwmark 7 prohibit
wg set wg1 peer "$pub2" endpoint '[fd00:aa::2]:2222'
fails "over IPv6 too [sock-mark]" in_ns a ping -n -q -c 1 -W 1 192.168.241.2
wg set wg1 listen-port 1113
fails "and from a new port [sock-mark]" in_ns a ping -n -q -c 1 -W 1 192.168.241.2
wg set wg1 fwmark 0
ok "and is taken off again [sock-mark]" within 60 in_ns a ping -n -q -c 1 -W 1 192.168.241.2

# A path whose MTU is smaller than the tunnel's: datagrams are fragmented, not lost.
ip -n a link set eth mtu 1280
ip -n b link set eth mtu 1280
ok "full-sized packets pass over a path of 1280 bytes [sock-fragments]" \
	in_ns a ping -n -q -c 3 -i 0.1 -W 10 -s 1392 192.168.241.2
iperf a b 192.168.241.2 -n 20M -J >/run/lab/bulk 2>&1
ok "and bulk data [sock-gso-fallback]" /usr/bin/python3 -c \
	'import json; assert json.load(open("/run/lab/bulk"))["end"]["sum_received"]["bytes"] > 5e6'
ip -n a link set eth mtu 1500
ip -n b link set eth mtu 1500

# The tunnel routed into itself: what ten pings cause is bounded.
sent() { wg_field wg1 transfer | cut -f2; }
for family in 4 6; do
	outer=$( ((family == 4)) && echo 10.0.0.2 || echo fd00:aa::2)
	wg set wg1 peer "$pub2" allowed-ips "192.168.241.2/32,fd00:241::2/128,$outer"
	in_ns a ping -n -q -c 1 -W 10 192.168.241.2 >/dev/null
	ip -n a route add $outer dev wg1 metric 1
	wg set wg1 peer "$pub2" $(endpoint $outer 2222) # forgets the source, by whose interface it would go on
	for size in 56 1392; do
		before=$(sent)
		fails "nothing passes a tunnel over IPv$family that is routed into itself [loop-guard]" \
			in_ns a ping -n -q -c 10 -i 0.1 -W 1 -s $size 192.168.241.2
		after=$(sent)
		ok "and ten packets of $size bytes cause $((after - before)) [loop-guard]" \
			test $((after - before)) -lt 70000
		ok "but do go into it [loop-guard]" within 60 eval '(($(sent) > before))'
	done
	ip -n a route del $outer dev wg1 metric 1
	ok "it works when the route is gone [loop-guard]" within 60 in_ns a ping -n -q -c 1 -W 1 192.168.241.2
done
lab_end
