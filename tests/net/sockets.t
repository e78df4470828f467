#!/bin/bash
# The UDP sockets: a host without IPv6, one whose underlay is IPv6 only, buffers, ports that are low, chosen, busy;
# sends that the system refuses.
# shellcheck source=tests/net/lib.sh
. "${0%/*}/lib.sh"
lab_enter 600 "$@"
lab_pair
sockets() { in_ns "$1" ss -Hluan "sport = $2"; }

# --- a host without IPv6
in_ns b sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1
wg_start a wg1 && wg_start b wg2 || { echo "Bail out! no daemon"; exit 1; }
wg set wg1 private-key <(echo "$key1") listen-port 1111 peer "$pub2" allowed-ips 192.168.241.2/32 endpoint 10.0.0.2:2222
wg set wg2 private-key <(echo "$key2") listen-port 2222 peer "$pub1" allowed-ips 192.168.241.1/32
addr a wg1 192.168.241.1/24 && addr b wg2 192.168.241.2/24
ip -n a link set wg1 up && ip -n b link set wg2 up
once() { in_ns a ping -n -q -c 1 -W "${1:-20}" 192.168.241.2; }
ok "where IPv6 is disabled the tunnel runs on IPv4 [sock-no-v6]" once
cpu=$(wg_cpu_ms wg2)
wg set wg2 peer "$pub1" endpoint '[fd00:aa::1]:1111'
in_ns b ping -n -q -c 5 -i 0.1 -W 1 192.168.241.1 >/dev/null
ok "an endpoint of the family that is not there is no work [sock-no-v6]" test $(($(wg_cpu_ms wg2) - cpu)) -lt 300
ok "and the daemon still answers, and reaches the peer when it speaks up [sock-no-v6]" once

# --- an underlay of IPv6 only
ip -n b link set wg2 down
in_ns b sysctl -qw net.ipv6.conf.all.disable_ipv6=0 net.ipv6.conf.default.disable_ipv6=0
ip -n b addr flush dev eth
addr b eth fd00:aa::2/64
ip -n b link set wg2 up
wg set wg1 peer "$pub2" endpoint '[fd00:aa::2]:2222'
wg_bounce wg1
ok "where the underlay is IPv6 only the tunnel runs on it [sock-no-v6]" within 60 once 1

# --- buffers
buffers() { in_ns a ss -Huanm "sport = 1111" | grep -o "$1[0-9]*" | sort -u; }
# The kernel doubles what it is asked for.
ok "both sockets receive into 7 MiB [sock-buffers]" test "$(buffers rb | tr -dc 0-9)" = $((2 * 7 << 20))
ok "and send from as much [sock-buffers]" test "$(buffers tb | tr -dc 0-9)" = $((2 * 7 << 20))
is "which is more than the system's limit [sock-buffers]" \
	"$(($(cat /proc/sys/net/core/rmem_max) < 7 << 20))" 1

# --- ports
ip -n a link set wg1 down
wg set wg1 listen-port 0
ip -n a link set wg1 up
chosen() { wg_field wg1 listen-port; }
listens() { (($(sockets a "$1" | wc -l) >= 2)); }
ok "port 0 becomes one that is free [sock-port-zero]" within 60 listens "$(chosen)"
port=$(chosen)
families() { sockets a "$1" | awk '{ print $4 }' | grep -c "$2"; }
ok "for IPv4 and IPv6 alike [sock-port-zero] [sock-one-port]" \
	test "$(families "$port" '^0.0.0.0:')" -ge 1 -a "$(families "$port" '^\[::\]:')" -ge 1
for _ in 1 2 3; do
	ip -n a link set wg1 down
	ip -n a link set wg1 up
done
within 60 listens "$port"
is "it is kept over link down and up [sock-port-kept]" "$(chosen)" "$port"
ok "and listens [sock-port-kept]" listens "$port"
ok "a low port is taken [sock-port-low]" wg set wg1 listen-port 53
ok "and listens [sock-port-low]" listens 53
ok "and the tunnel works from it [sock-port-low]" within 60 once 1

# All but one port that the system would choose are taken, for IPv6 only.
range=$(in_ns a cat /proc/sys/net/ipv4/ip_local_port_range)
in_ns a sysctl -qw net.ipv4.ip_local_port_range="41000 41003"
takers=()
for port in 41000 41001 41003; do
	in_ns_exec a socat -u UDP6-RECV:$port,ipv6only /dev/null &
	takers+=($!)
	within 60 in_ns a bash -c "[[ \$(ss -Hlun 'sport = $port') ]]"
done
ok "port 0 is set while all ports but one are taken for IPv6 [sock-port-zero]" wg set wg1 listen-port 0
is "it becomes the one that is free for both families [sock-port-zero]" "$(chosen)" 41002
kill "${takers[@]}"
wait "${takers[@]}" 2>/dev/null
in_ns a sysctl -qw net.ipv4.ip_local_port_range="$range"

ip -n a link set wg1 down
in_ns_exec a socat -u UDP4-RECV:1111 /dev/null &
socat=$!
taken() { sockets a 1111 | grep -q .; }
within 60 taken
wg set wg1 listen-port 1111
ip -n a link set wg1 up
ok "a port that is busy when the link comes up is told [sock-port-retry]" \
	within 60 grep -q 'cannot bind port 1111' "${wg_log[wg1]}"
fails "and nothing passes [sock-port-retry]" once 1
sleep 2.5
is "which is told once, not for every try [sock-port-retry]" "$(grep -c 'cannot bind port 1111' "${wg_log[wg1]}")" 1
kill $socat
wait $socat 2>/dev/null
ok "it is taken when it is free [sock-port-retry]" within 60 listens 1111
ok "and the tunnel works [sock-port-retry]" within 60 once 1

# --- refused sends
in_ns a nft -f - <<'END'
table inet t {
	chain out { type filter hook output priority 0; policy accept; udp sport 1111 drop; }
}
END
lines=$(wc -l <"${wg_log[wg1]}")
in_ns a ping -n -q -f -c 2000 -w 2 192.168.241.2 >/dev/null
ok "what the firewall refuses does not flood the log [sock-refused]" \
	test $(($(wc -l <"${wg_log[wg1]}") - lines)) -lt 50
fails "nor pass [sock-refused]" once 1
in_ns a nft delete table inet t
ok "the next packet passes when the firewall lets it [sock-refused]" once
for broken in "route add unreachable fd00:aa::2/128" "route add blackhole fd00:aa::2/128" "route add prohibit fd00:aa::2/128"; do
	# shellcheck disable=SC2086
	ip -n a -6 $broken
	sleep 0.3
	in_ns a ping -n -q -f -c 200 -w 1 192.168.241.2 >/dev/null
	fails "nothing passes with: $broken [sock-refused]" once 1
	# shellcheck disable=SC2086
	ip -n a -6 ${broken/add/del}
	ok "and the next packet does when the route is back [sock-refused]" once
done
ip -n a link set eth down
in_ns a ping -n -q -f -c 200 -w 1 192.168.241.2 >/dev/null
ip -n a link set eth up
addr a eth fd00:aa::1/64 2>/dev/null
ok "nor does it take more when the underlay's link was down [sock-refused]" within 60 once 1

# --- link-local addresses: b has one of the same name on another link
link_add a way b way
addr a way fe80::a/64 && addr b way fe80::b/64 && addr a eth fe80::a/64
in_ns a wg set wg1 peer "$pub2" endpoint '[fe80::b%way]:2222'
ok "a link-local endpoint is reached by its link [endpoint-v6-scope]" once
is "the other end has learnt where from [endpoint-v6-scope]" "$(wg_field wg2 endpoints)" \
	"[fe80::a%$(in_ns b cat /sys/class/net/way/ifindex)]:1111"
ok "and answers there [endpoint-v6-scope]" in_ns b ping -n -q -c 1 -W 10 192.168.241.1
in_ns a wg set wg1 peer "$pub2" endpoint '[fe80::b%eth]:2222'
fails "by another link it is not there [endpoint-v6-scope]" once 1
lab_end
