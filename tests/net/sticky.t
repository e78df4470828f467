#!/bin/bash
# Hosts with many addresses and many ways between them: an answer leaves from the address, and for IPv4 by the
# interface, that was spoken to, for as long as that can work, and from another at once when it cannot.
#
#	  host a                                            host b
#	+-------------------------------+                 +-------------------------------+
#	| lo   10.9.0.1  fd00:c::1      |                 |                               |
#	| eth  10.0.0.1  fd00:aa::1     |-----------------| eth  10.0.0.2  fd00:aa::2     |
#	|                               |                 |      10.0.0.22 fd00:aa::22    |
#	| way  10.1.0.1  fd00:ab::1     |-----------------| way  10.1.0.2  fd00:ab::2     |
#	+-------------------------------+                 +-------------------------------+
#
# a speaks from the addresses on its lo, to which b has two routes: by eth, and a worse one by way.
# shellcheck disable=SC2046,SC2086 # words are meant to split
# shellcheck source=tests/net/lib.sh
. "${0%/*}/lib.sh"
lab_enter 600 "$@"
lab_pair
link_add a way b way
addr a way 10.1.0.1/24 fd00:ab::1/64 && addr b way 10.1.0.2/24 fd00:ab::2/64
addr a lo 10.9.0.1/32 fd00:c::1/128
# The kernel chooses neither of these by itself: the second of a network, and a deprecated one.
second4() { addr b eth 10.0.0.22/24; }
second6() { ip -n b addr add fd00:aa::22/64 dev eth nodad preferred_lft 0; }
second4 && second6
# An address answers on its own link only, as between two providers.
for ns in a b; do
	in_ns $ns sysctl -qw net.ipv4.conf.all.arp_ignore=1 net.ipv4.conf.all.arp_announce=2 \
		net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.eth.rp_filter=0 net.ipv4.conf.way.rp_filter=0
done
routes_to_a()
{
	ip -n b route replace 10.9.0.1/32 via 10.0.0.1 metric 10
	ip -n b route replace 10.9.0.1/32 via 10.1.0.1 metric 20
	ip -n b -6 route replace fd00:c::1/128 via fd00:aa::1 metric 10
	ip -n b -6 route replace fd00:c::1/128 via fd00:ab::1 metric 20
}
routes_to_a
for host in 10.0.0.2 10.0.0.22; do ip -n a route add $host/32 dev eth src 10.9.0.1; done
ip -n a route add 10.1.0.2/32 dev way src 10.9.0.1
for host in fd00:aa::2 fd00:aa::22; do ip -n a -6 route add $host/128 dev eth src fd00:c::1 metric 1; done
ip -n a -6 route add fd00:ab::2/128 dev way src fd00:c::1 metric 1
wg_start a wg1 && wg_start b wg2 || { echo "Bail out! no daemon"; exit 1; }
lab_tunnel 10.9.0.1 10.0.0.2

# speak_to ADDRESS: a speaks to this address of b from now on.
speak_to() { wg set wg1 peer "$pub2" $(endpoint "$1" 2222); }
# settle_on ADDRESS: the same, and b has answered from there.  What was still on its way from another address would, by
# rights, have a follow it back.
settle_on() { within 60 settled_on "$1"; }
settled_on()
{
	speak_to "$1" && once && [[ "endpoint $(wg_field wg1 endpoints)" == "$(endpoint "$1" 2222)" ]]
}

lab_bound() { [[ $(in_ns "$1" ss -Hlun "sport = $2") ]]; }

# watch / watched: what b sends, as lines "DEVICE SOURCE DESTINATION", each once.
watch() { capture b eth udp -Q out && capture b way udp -Q out; }
watched()
{
	capture_end b eth 10.0.0.1
	capture_end b way 10.1.0.1
	senders eth way
}
# senders DEVICE...
senders()
{
	local dev

	for dev; do
		captured b $dev | awk -v dev=$dev '$4 == ">" { sub(/:$/, "", $5); print dev, $3, $5 }'
	done | sort -u
}

# longest NS: the length of what it sent on its eth at once.
longest() { captured "$1" eth | sed -n 's/.*length \([0-9]*\).*/\1/p' | sort -n | tail -1; }

# ping that must come through at once / that may lose some first.
once() { in_ns a ping -n -q -c 1 -W 20 192.168.241.2; }
soon() { within 60 in_ns a ping -n -q -c 1 -W 1 192.168.241.2; }

# bulk [COMMAND...]: TCP both ways between a and b without an end; it succeeds when a megabyte has moved each way, after
# that the COMMAND was done, and after that another.
bulk()
{
	local pid status=0

	in_ns_exec b socat -b 65536 TCP-LISTEN:7000,reuseaddr 'OPEN:/dev/zero!!OPEN:/dev/null' &
	pid=$!
	within 60 lab_listens b 7000
	in_ns_exec a socat -b 65536 'OPEN:/dev/zero!!OPEN:/dev/null' TCP:192.168.241.2:7000 &
	pid+=" $!"
	move && { (($# == 0)) || "$@"; } && move || status=1
	kill $pid
	wait $pid
	within 60 quiet
	return $status
} 2>/dev/null
quiet()
{
	local n
	n=$(received wg1)
	sleep 0.3
	(($(received wg1) == n))
}
# move: wait until a megabyte more has come to a and to b.
move() { local a b; a=$(received wg1) b=$(received wg2) && within 60 moved $((a + 1000000)) $((b + 1000000)); }
moved() { (($(received wg1) >= $1 && $(received wg2) >= $2)); }
received() { wg_field "$1" transfer | cut -f1; }

# --- one interface, two addresses, under bulk data, where datagrams arrive joined

once >/dev/null
for host in 10.0.0.22 fd00:aa::22; do
	[[ $host == *:* ]] && mine=fd00:c::1 || mine=10.9.0.1
	settle_on $host
	watch
	capture a eth udp -Q out
	ok "bulk flows both ways, a speaks to $host [sticky-gro-segment]" bulk
	capture_end a eth 10.0.0.2
	is "and b answers from it [sticky-gro-segment]" "$(watched)" "eth $host.2222 $mine.1111"
	is "a still speaks to $host [sticky-gro-segment]" "$(wg_field wg1 endpoints)" \
		"$(endpoint $host 2222 | cut -d' ' -f2)"
	ok "what b gets and sends is joined, up to $(longest a) and $(longest b) bytes [sticky-gro-segment]" \
		test "$(longest a)" -gt 2000 -a "$(longest b)" -gt 2000
done

# --- the interface

settle_on 10.1.0.2
watch
ping4 a 192.168.241.2 >/dev/null
ok "bulk flows both ways by another interface than the better route's [sticky-interface]" bulk
is "b answers by the interface that was spoken to, though its better route leaves by another [sticky-interface]" \
	"$(watched)" "way 10.1.0.2.2222 10.9.0.1.1111"

# --- the route by that interface goes, a still speaks to it: forgotten, however often it is learnt again

lose_way()
{
	ip -n b route del 10.9.0.1/32 via 10.1.0.1 metric 20
	ip -n b -6 route del fd00:c::1/128 via fd00:ab::1 metric 20
}
ok "bulk goes on when the route by that interface is gone [sticky-route-moved]" bulk lose_way
watch
ok "and packets are answered [sticky-route-moved]" once
is "by the route that is left, from its address [sticky-route-moved]" "$(watched)" "eth 10.0.0.2.2222 10.9.0.1.1111"
is "which a follows [sticky-route-moved]" "$(wg_field wg1 endpoints)" 10.0.0.2:2222
speak_to 10.1.0.2
ok "spoken to where it has no route back, b answers by the route that it has [sticky-route-moved]" once
speak_to 10.1.0.2
wg_bounce wg1
ok "handshakes too [sticky-route-moved]" soon
routes_to_a
lose_eth() { ip -n b -6 route del fd00:c::1/128 via fd00:aa::1 metric 10; }
settle_on fd00:aa::22
ok "an IPv6 route that moves to another interface is noticed by an IPv6 peer [sticky-route-both-families]" bulk lose_eth
routes_to_a

# --- addresses go while bulk flows

for host in 10.0.0.22/24 fd00:aa::22/64; do
	settle_on ${host%/*}
	ok "bulk goes on when the address ${host%/*} is deleted [sticky-address-gone] [sticky-send-error]" \
		bulk ip -n b addr del $host dev eth
	is "from another, which a follows [sticky-send-error]" "$(wg_field wg1 endpoints)" \
		"$([[ $host == *:* ]] && echo '[fd00:aa::2]:2222' || echo 10.0.0.2:2222)"
	if [[ $host == *:* ]]; then second6; else second4; fi
done
settle_on fd00:aa::22
ip -n b addr del fd00:aa::22/64 dev eth
watch
ok "the first packet after the address is gone is answered [sticky-send-error]" \
	in_ns b ping -n -q -c 1 -W 10 192.168.241.1
is "once, from the other [sticky-send-error]" "$(watched)" "eth fd00:aa::2.2222 fd00:c::1.1111"
second6

# --- mark and port: what was learnt is forgotten, the kernel chooses anew

ip -n b rule add fwmark 9 lookup 99
ip -n b -6 rule add fwmark 9 lookup 99
in_ns b ip route add 10.9.0.1/32 via 10.1.0.1 dev way table 99
in_ns b ip -6 route add fd00:c::1/128 via fd00:ab::1 dev way table 99
speak() { in_ns b ping -n -q -c 1 -W 10 192.168.241.1 >/dev/null; }
for host in 10.0.0.22 fd00:aa::22; do
	[[ $host == *:* ]] && mine=fd00:c::1 way=fd00:ab::2 eth=fd00:aa::2 || mine=10.9.0.1 way=10.1.0.2 eth=10.0.0.2
	settle_on $host
	wg set wg2 fwmark 9
	watch
	speak
	is "after a change of mark b speaks by the route of that mark, not from $host [sticky-fwmark]" \
		"$(watched)" "way $way.2222 $mine.1111"
	wg set wg2 fwmark 0
	settle_on $host
	wg set wg2 listen-port 2223
	watch
	speak
	eth=$(ip -n b -o route get $mine | sed 's/.* src \([^ ]*\).*/\1/')
	is "after a change of port b speaks from what the kernel chooses, not from $host [sticky-port]" \
		"$(watched)" "eth $eth.2223 $mine.1111"
	wg set wg2 listen-port 2222
	speak
done

# --- two more peers in b's daemon, one by each family: every datagram to its own full address

ns_add c d
link_add b toc c eth && link_add b tod d eth
addr b toc 10.3.0.2/24 && addr c eth 10.3.0.1/24
addr b tod fd00:ad::2/64 && addr d eth fd00:ad::1/64
wg_start c wg3 && wg_start d wg4 || { echo "Bail out! no daemon"; exit 1; }
n=3
for peer in 10.3.0.2 fd00:ad::2; do
	key=$(wg genkey)
	ns=$( ((n == 3)) && echo c || echo d)
	wg set wg$n private-key <(echo "$key") listen-port ${n}333 peer "$pub2" \
		allowed-ips 192.168.241.2/32 $(endpoint $peer 2222)
	wg set wg2 peer "$(wg pubkey <<<"$key")" allowed-ips 192.168.241.$n/32
	addr $ns wg$n 192.168.241.$n/24 && ip -n $ns link set wg$n up
	in_ns $ns ping -n -q -c 1 -W 10 192.168.241.2 >/dev/null
	((n++))
done
settle_on 10.0.0.22
for dev in eth toc tod; do capture b $dev udp -Q out; done
receiving=()
for ns in a:1 c:3 d:4; do
	in_ns_exec ${ns%:*} /usr/bin/python3 -c '
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, 33, 8 << 20)
s.bind(("0.0.0.0", 9))
s.settimeout(60)
n = 0
try:
	while n < 800:
		s.recv(100)
		n += 1
except socket.timeout:
	pass
print(n)
' >/run/lab/got.${ns#*:} &
	receiving+=($!)
	within 60 lab_bound ${ns%:*} 9
done
# b sends to all three by turns, so that single batches hold datagrams of both families.  The queue of an interface holds
# 500: the daemon has read all but the last 200 before more are sent.
in_ns b /usr/bin/python3 -c '
import socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, 32, 8 << 20)
count = open("/sys/class/net/wg2/statistics/tx_packets")
def read():
	count.seek(0)
	return int(count.read())
start = read()
for i in range(800):
	for n in 1, 3, 4:
		s.sendto(b"%d" % i, ("192.168.241.%d" % n, 9))
	while 3 * i - (read() - start) > 200:
		time.sleep(0.002)
'
wait "${receiving[@]}"
for n in 1 3 4; do
	is "nothing was lost on the way to peer $n [sticky-mixed-families]" "$(cat /run/lab/got.$n)" 800
done
capture_end b eth 10.0.0.1
capture_end b toc 10.3.0.1
capture_end b tod fd00:ad::1
is "IPv4 peers get theirs [sticky-mixed-families]" "$(senders eth toc)" \
	"eth 10.0.0.22.2222 10.9.0.1.1111
toc 10.3.0.2.2222 10.3.0.1.3333"
is "and the IPv6 peer, all at full addresses [sticky-mixed-families]" "$(senders tod)" "tod fd00:ad::2.2222 fd00:ad::1.4333"

# Routes of both families change at once: both peers go on.
change()
{
	routes_to_a
	ip -n b route del 10.9.0.1/32 via 10.0.0.1 metric 10
	ip -n b -6 route replace fd00:ad::1/128 dev tod src fd00:ad::22
}
addr b tod fd00:ad::22/64
change
ok "IPv4 routes are followed with peers of both families [sticky-route-both-families]" once
ok "IPv6 routes are followed with peers of both families [sticky-route-both-families]" \
	in_ns d ping -n -q -c 1 -W 10 192.168.241.2
lab_end
