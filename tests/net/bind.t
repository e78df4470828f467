#!/bin/bash
# Sockets bound to addresses and to a device: who is listened to, from where answers leave, on every socket and also
# after changes; what is not there yet, or not any more.
#
#	  host a                                            host b
#	+-------------------------------+                 +-------------------------------+
#	| eth  10.0.0.1   fd00:aa::1    |-----------------| eth  10.0.0.2  fd00:aa::2     |
#	|      10.0.0.11  fd00:aa::11   |                 | lo   10.9.0.2  fd00:c::2      |
#	| way  10.1.0.1   fd00:ab::1    |-----------------| way  10.1.0.2  fd00:ab::2     |
#	|      10.1.0.11  fd00:ab::11   |                 |                               |
#	+-------------------------------+                 +-------------------------------+
#
# The options of wg1 are given by GINNEL_WG_OPTIONS.
# shellcheck disable=SC2046,SC2086,SC2120 # words are meant to split
# shellcheck source=tests/net/lib.sh
. "${0%/*}/lib.sh"
lab_enter 600 "$@"
lab_pair
link_add a way b way
addr a eth 10.0.0.11/24 fd00:aa::11/64
addr a way 10.1.0.1/24 fd00:ab::1/64 10.1.0.11/24 fd00:ab::11/64
addr b way 10.1.0.2/24 fd00:ab::2/64
addr b lo 10.9.0.2/32 fd00:c::2/128
# Without being told, a would use eth.
ip -n a route add 10.9.0.2/32 via 10.0.0.2 metric 10
ip -n a route add 10.9.0.2/32 via 10.1.0.2 metric 20
ip -n a -6 route add fd00:c::2/128 via fd00:aa::2 metric 10
ip -n a -6 route add fd00:c::2/128 via fd00:ab::2 metric 20
for ns in a b; do
	in_ns $ns sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.eth.rp_filter=0 net.ipv4.conf.way.rp_filter=0
done

# start OPTIONS: a daemon with them in a, and one in b, and a tunnel.
start()
{
	GINNEL_WG_OPTIONS=$1 wg_start a wg1 && wg_start b wg2 || { echo "Bail out! no daemon with $1"; exit 1; }
	lab_tunnel
}
stop() { wg_stop wg1; wg_stop wg2; }
# listening PORT: addresses and devices of a's sockets there, one line each kind.
listening() { in_ns a ss -Hlun "sport = $1" | awk '{ print $4 }' | sort -u | paste -sd' '; }
number() { in_ns a ss -Hlun "sport = $1" | wc -l; }
listens_on() { [[ $(listening "$1") == "$2" ]]; }
once() { in_ns a ping -n -q -c 1 -W "${1:-20}" 192.168.241.2; }
seen() { wg_field wg2 endpoints; } # where b sees a
seen_at() { [[ $(seen) == "$1"* ]]; }
told() { grep -c 'cannot bind' "${wg_log[wg1]}"; }
# spoken_to ADDRESS: b starts anew, to this address of a.
spoken_to()
{
	wg set wg2 peer "$pub1" endpoint "$(endpoint_text "$1" 1111)"
	wg_bounce wg2
	within 60 in_ns b ping -n -q -c 1 -W 1 192.168.241.1
}
endpoint_text() { [[ $1 == *:* ]] && echo "[$1]:$2" || echo "$1:$2"; }

# --- an address

start "--workers=2 --bind-address=10.0.0.11"
ok "bound to one address the tunnel works [bind-address]" once
is "and only this is listened on [bind-address]" "$(listening 1111)" 10.0.0.11:1111
is "by the sockets of both workers [bind-address]" "$(number 1111)" 2
is "and spoken from [bind-address]" "$(seen)" 10.0.0.11:1111
wg set wg1 listen-port 1112
is "after a change of port too [bind-address]" "$(listening 1112) $(listening 1111)" "10.0.0.11:1112 "
wg_bounce wg1
ok "and after the link was down [bind-address]" within 60 listens_on 1112 10.0.0.11:1112
ok "and the tunnel works [bind-address]" within 60 once 1
wg set wg1 listen-port 1111
fails "b is not heard at another address [bind-address]" eval \
	'wg set wg2 peer "$pub1" endpoint 10.0.0.1:1111; wg_bounce wg2; in_ns b ping -n -q -c 1 -W 2 192.168.241.1'
ok "but is at this [bind-address]" spoken_to 10.0.0.11
ok "another program may have the port on another address [bind-address]" \
	in_ns a timeout 60 socat -u OPEN:/dev/null UDP4-SENDTO:10.0.0.2:9,bind=10.0.0.1:1111
stop

start "--bind-address=fd00:aa::11 --bind-address=10.0.0.11"
ok "bound to an address of each family the tunnel works [bind-address]" once
is "and both are listened on [bind-address]" "$(listening 1111)" "10.0.0.11:1111 [fd00:aa::11]:1111"
wg set wg1 peer "$pub2" endpoint '[fd00:aa::2]:2222'
once >/dev/null
is "IPv6 is spoken from its address [bind-address]" "$(seen)" "[fd00:aa::11]:1111"
stop

# --- an address that is not there

start "--bind-address=10.0.0.77"
ok "an address that is not there is told when the link comes up [bind-absent]" within 60 grep -q \
	'cannot bind port 1111: the address is on no interface here; trying again every 2 s address=10.0.0.77' "${wg_log[wg1]}"
fails "and nothing passes [bind-absent]" once 1
fails "a change of port is refused then [bind-absent]" wg set wg1 listen-port 1113
sleep 2.5
is "and told once for each time that it was asked for [bind-absent]" "$(told)" 2
is "nothing is listened on [bind-absent]" "$(listening 1111)$(listening 1113)" ""
addr a eth 10.0.0.77/24
ok "it is taken when it is there [bind-absent]" within 60 listens_on 1113 10.0.0.77:1113
ok "and the tunnel works [bind-absent]" within 60 once 1
stop

# --- a device

start "--workers=2 --bind-device=way"
wg set wg1 peer "$pub2" endpoint 10.9.0.2:2222
ok "bound to a device the tunnel works by its route, which is not the best [bind-device]" once
is "and by its address [bind-device]" "$(seen)" 10.1.0.1:1111
is "all sockets are bound to it [bind-device]" "$(listening 1111) $(number 1111)" "0.0.0.0%way:1111 [::]%way:1111 4"
wg set wg1 peer "$pub2" endpoint '[fd00:c::2]:2222'
once >/dev/null
ok "for IPv6 too [bind-device]" seen_at '[fd00:ab::'
# Those that the kernel would not choose.
for address in 10.1.0.11 fd00:ab::1; do
	ok "b is heard at its address $address [bind-device]" spoken_to $address
	is "and answered from there [bind-device] [sticky-source]" "$(seen)" "$(endpoint_text $address 1111)"
	once >/dev/null
	is "also when a speaks [bind-device] [sticky-source]" "$(seen)" "$(endpoint_text $address 1111)"
done
fails "and not at another device's [bind-device]" eval \
	'wg set wg2 peer "$pub1" endpoint 10.0.0.1:1111; wg_bounce wg2; in_ns b ping -n -q -c 1 -W 2 192.168.241.1'
spoken_to 10.1.0.1 >/dev/null
wg set wg1 listen-port 1112
is "the device is bound after a change of port [bind-device]" "$(listening 1112)" "0.0.0.0%way:1112 [::]%way:1112"
wg_bounce wg1
ok "and after the link was down [bind-device]" within 60 listens_on 1112 "0.0.0.0%way:1112 [::]%way:1112"
ok "and the tunnel works [bind-device]" within 60 once 1

again()
{
	link_add a way b way && addr a way 10.1.0.1/24 fd00:ab::1/64 && addr b way 10.1.0.2/24 fd00:ab::2/64 &&
		ip -n a route add 10.9.0.2/32 via 10.1.0.2 metric 20
}
ip -n a link del way
fails "without the device nothing passes, though there is another route [bind-device-again]" once 1
again
wg set wg1 peer "$pub2" endpoint 10.9.0.2:2222
ok "a device of its name is bound when it is made [bind-device-again]" within 60 listens_on 1112 \
	"0.0.0.0%way:1112 [::]%way:1112"
ok "and the tunnel works [bind-device-again]" within 60 once 1
is "by it [bind-device-again]" "$(seen)" 10.1.0.1:1112
stop

ip -n a link del way
start "--bind-device=way"
ok "a device that is not there is told when the link comes up [bind-absent]" within 60 grep -q \
	'cannot bind port 1111: there is no such interface; trying again every 2 s device=way' "${wg_log[wg1]}"
again
ok "it is taken when it is there [bind-absent]" within 60 listens_on 1111 "0.0.0.0%way:1111 [::]%way:1111"
wg set wg1 peer "$pub2" endpoint 10.9.0.2:2222
ok "and the tunnel works [bind-absent]" within 60 once 1
stop

# --- a VRF: addresses and routes in a table of its own

if ip -n a link add vrf1 type vrf table 77 2>/dev/null; then
	ip -n a link set vrf1 up
	ip -n a link set way master vrf1
	addr a way fd00:ab::1/64 10.1.0.11/24 fd00:ab::11/64
	ip -n a route add 10.9.0.2/32 via 10.1.0.2 vrf vrf1
	ip -n a -6 route add fd00:c::2/128 via fd00:ab::2 vrf vrf1
	start "--bind-device=vrf1"
	wg set wg1 peer "$pub2" endpoint 10.9.0.2:2222
	ok "bound to a VRF the tunnel works by its table [bind-device]" once
	is "and its address [bind-device]" "$(seen)" 10.1.0.1:1111
	wg set wg1 peer "$pub2" endpoint '[fd00:c::2]:2222'
	once >/dev/null
	ok "for IPv6 too [bind-device]" seen_at '[fd00:ab::'
	for address in 10.1.0.11 fd00:ab::1; do
		ok "b is heard at $address in it [bind-device]" spoken_to $address
		once >/dev/null
		is "and answered from there [bind-device]" "$(seen)" "$(endpoint_text $address 1111)"
	done
else
	((++tap_count))
	echo "ok $tap_count - bound to a VRF the tunnel works by its table [bind-device] # SKIP this kernel has no VRF"
fi

# --- mistakes

refused() # OPTIONS WORDS
{
	local said

	said=$(in_ns a env GINNEL_WG_OPTIONS="$1" "$WG" -f wg7 2>&1) && return 1
	[[ $said == "ginnel-wg: GINNEL_WG_OPTIONS: "*"$2"* && $(wc -l <<<"$said") == 1 ]]
}
ok "a misspelt option in the variable is told in one line [env-options]" refused --worker=2 "did you mean --workers?"
ok "so is a misspelt piece of the fast path [env-options]" refused --without=udpgso "did you mean udp-gso?"
ok "so is an address that is none [env-options]" refused --bind-address=10.0.0 "must be an IPv4 or IPv6 address"
lab_end
