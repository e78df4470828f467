#!/bin/bash
# shellcheck disable=SC1010 # "do" in -M do is a word of ping
# One tunnel between two hosts: every inner family over every outer one, bulk both ways, pre-shared keys.
# shellcheck source=tests/net/lib.sh
. "${0%/*}/lib.sh"
lab_enter 600 "$@"
lab_pair
wg_start a wg1 && wg_start b wg2 || { echo "Bail out! no daemon"; exit 1; }
lab_tunnel

for outer in 4 6; do
	if ((outer == 6)); then
		wg set wg1 peer "$pub2" endpoint [fd00:aa::2]:2222
		wg set wg2 peer "$pub1" endpoint [fd00:aa::1]:1111
	fi
	ok "IPv4 inside IPv$outer reaches the other end [tunnel-4in$outer]" ping4 a 192.168.241.2
	ok "IPv6 inside IPv$outer reaches the other end [tunnel-6in$outer]" ping6 b fd00:241::1
	ok "the greatest packet the interface takes passes over IPv$outer [tunnel-mtu]" \
		in_ns a ping -n -q -c 3 -i 0.1 -W 10 -M do -s $((1420 - 28)) 192.168.241.2
	ok "a packet that must be fragmented inside passes over IPv$outer [tunnel-fragments]" \
		in_ns a ping -n -q -c 2 -i 0.1 -W 10 -s 9000 192.168.241.2
done
is "the interface starts with an MTU of 1420 [tun-mtu-1420]" \
	"$(in_ns a cat /sys/class/net/wg1/mtu)" 1420
is "the endpoint is the one last set [uapi-endpoint-v6]" \
	"$(wg_field wg1 endpoints)" "[fd00:aa::2]:2222"

# Counters: what one end sent is what the other received, to the byte, once nothing is in flight.
same_count()
{
	[[ $(wg_field wg1 transfer | cut -f2) == "$(wg_field wg2 transfer | cut -f1)" &&
		$(wg_field wg2 transfer | cut -f2) == "$(wg_field wg1 transfer | cut -f1)" ]]
}
ok "what one end counts as sent the other counts as received [tx-bytes] [rx-bytes]" within 60 same_count

for flags in "" -R "-P 4"; do
	iperf a b 192.168.241.2 -n 20M -J $flags >/run/lab/bulk 2>&1
	ok "bulk IPv4 data flows: iperf3 ${flags:-(plain)} [bulk]" /usr/bin/python3 -c \
		'import json; assert json.load(open("/run/lab/bulk"))["end"]["sum_received"]["bytes"] > 1e6'
done
# How many are lost on the way is the machine's affair, but not all.
iperf a b 192.168.241.2 -n 20M -J -u -b 200M >/run/lab/bulk 2>&1
ok "bulk IPv4 data flows: iperf3 -u [bulk]" /usr/bin/python3 -c 'import json
s = json.load(open("/run/lab/bulk"))["end"]["sum"]
assert s["bytes"] > 1e6 and s["packets"] - s["lost_packets"] > 100, s'
iperf a b fd00:241::2 -6 -n 20M -J >/run/lab/bulk 2>&1
ok "bulk IPv6 data flows [bulk]" /usr/bin/python3 -c \
	'import json; assert json.load(open("/run/lab/bulk"))["end"]["sum_received"]["bytes"] > 1e6'
head -c 20000000 /dev/urandom >/run/lab/data
in_ns_exec b socat -u TCP-LISTEN:7000 OPEN:/run/lab/copy,creat,trunc &
copy=$!
within 60 lab_listens b 7000
in_ns a socat -u OPEN:/run/lab/data TCP:192.168.241.2:7000
wait $copy
ok "20 MB arrive as they were sent [bulk-intact]" cmp /run/lab/data /run/lab/copy

psk=$(wg genpsk)
before=$(wg_field wg1 latest-handshakes)
wg set wg1 peer "$pub2" preshared-key <(echo "$psk")
ok "setting a pre-shared key does not drop the session [noise-psk-session-kept]" ping4 a 192.168.241.2 1
is "and starts no handshake [noise-psk-session-kept]" "$(wg_field wg1 latest-handshakes)" "$before"
wg_bounce wg1
fails "with a pre-shared key on one side only nothing passes [noise-psk-mismatch]" \
	in_ns a ping -n -q -c 1 -W 1 192.168.241.2
wg set wg2 peer "$pub1" preshared-key <(echo "$psk")
wg_bounce wg1
ok "with the same pre-shared key on both sides the tunnel works [psk]" \
	within 60 in_ns a ping -n -q -c 1 -W 1 192.168.241.2

# What no peer may carry, and a peer that cannot be reached, is told to the sender.
ip -n a route add 192.168.242.0/24 dev wg1
ip -n a route add fd00:242::/64 dev wg1
# A second is plenty, ten are waited for.
unreachable() { in_ns a ping -n -c 1 -W 10 "$1" | grep -E "$2"; }
host='^From .* Destination Host Unreachable' address='^From .* Address unreachable'
ok "a packet for no peer is answered with ICMP unreachable [tx-no-peer-icmp4]" unreachable 192.168.242.9 "$host"
ok "and with ICMPv6 unreachable [tx-no-peer-icmp6]" unreachable fd00:242::9 "$address"
wg set wg1 peer "$(wg genkey | wg pubkey)" allowed-ips 192.168.242.0/24,fd00:242::/64
ok "a packet for a peer without endpoint is answered with ICMP unreachable [tx-no-endpoint-icmp]" \
	unreachable 192.168.242.9 "$host"
ok "and with ICMPv6 unreachable [tx-no-endpoint-icmp]" unreachable fd00:242::9 "$address"
lab_end
