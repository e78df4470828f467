#!/bin/bash
# Big units: coalesced packets on the TUN, UDP and TCP, both ways; paths and devices that refuse runs; packets that are
# too long for any datagram.
# shellcheck disable=SC1010,SC2046,SC2086,SC2120 # words are meant to split
# shellcheck source=tests/net/lib.sh
. "${0%/*}/lib.sh"
lab_enter 600 "$@"
lab_pair
wg_start a wg1 && wg_start b wg2 || { echo "Bail out! no daemon"; exit 1; }
lab_tunnel
once() { in_ns a ping -n -q -c 1 -W 20 "$@" 192.168.241.2; }
once >/dev/null

# --- what the device offers
offered() { in_ns a ethtool -k wg1 | grep -q "^\s*$1: on"; }
for what in tx-checksum-ip-generic tx-tcp-segmentation tx-tcp6-segmentation; do
	ok "the device takes coalesced packets: $what [tun-offload]" offered $what
done
if (($(uname -r | awk -F. '{ print $1 * 100 + $2 }') >= 602)); then
	ok "and UDP, since the kernel can [tun-offload]" offered tx-udp-segmentation
	joined=40000
else
	fails "and no UDP, since the kernel cannot [tun-offload]" offered tx-udp-segmentation
	joined=1000
fi

# capture_both FILTER / capture_both_end: what passes the tunnel's devices.
capture_both() { capture a wg1 "$1 or udp port 9" && capture b wg2 "$1 or udp port 9"; }
capture_both_end() { capture_end a wg1 192.168.241.2 && capture_end b wg2 192.168.241.1; }
# longest NS DEVICE: the length of the longest packet captured there.
longest() { captured "$1" "$2" | sed -n 's/.*length \([0-9]*\).*/\1/p' | sort -n | tail -1; }

for family in 4 6; do
	to=$( ((family == 4)) && echo 192.168.241.2 || echo fd00:241::2)
	capture_both "tcp port 5201"
	iperf a b $to -$family -n 10M -J >/run/lab/bulk 2>&1
	capture_both_end
	ok "TCP over IPv$family is read from the device in packets of $(longest a wg1) bytes [tun-offload]" \
		test "$(longest a wg1)" -gt 2000
	ok "and written to it in packets of $(longest b wg2) [tun-offload]" test "$(longest b wg2)" -gt 2000
done

# 40 datagrams of 1200 bytes in one send; the receiver sees each by itself, or joined with its size.
in_ns_exec b /usr/bin/python3 -c '
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, 8, 4 << 20)
s.bind(("192.168.241.2", 9000))
print("ready", flush=True)
s.settimeout(60)
got = []
try:
	while len(got) < 41:
		got.append(s.recv(65535))
except socket.timeout:
	pass
assert got[:40] == [bytes([i]) * 1200 for i in range(40)] and got[40] == b"last", (len(got), [len(g) for g in got])
print("intact", flush=True)
' >/run/lab/receiver 2>&1 &
receiver=$!
within 60 grep -q ready /run/lab/receiver
capture_both "udp port 9000"
in_ns a /usr/bin/python3 -c '
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.connect(("192.168.241.2", 9000))
s.setsockopt(17, 103, 1200)
s.send(b"".join(bytes([i]) * 1200 for i in range(40)) + b"last")
'
wait $receiver
capture_both_end
is "UDP datagrams sent as one arrive as they were, the short last one too [tun-offload]" \
	"$(tail -1 /run/lab/receiver)" intact
ok "and went into the tunnel in packets of $(longest a wg1) bytes [tun-offload]" test "$(longest a wg1)" -gt $joined

# --- paths that refuse
head -c 4000000 /dev/urandom >/run/lab/data
# carry FROM TO ADDRESS: 4 MB over TCP.
carry()
{
	rm -f /run/lab/copy
	in_ns_exec "$2" socat -u TCP-LISTEN:7000,reuseaddr OPEN:/run/lab/copy,creat,trunc &
	local copy=$!
	within 60 lab_listens "$2" 7000
	in_ns "$1" timeout 120 socat -u OPEN:/run/lab/data "TCP:$3:7000"
	wait $copy
	cmp /run/lab/data /run/lab/copy
}
for outer in 10.0.0 fd00:aa:; do
	sep=$([[ $outer == *:* ]] && echo : || echo .)
	wg set wg1 peer "$pub2" $(endpoint "$outer${sep}2" 2222)
	once >/dev/null
	ip -n a link set eth mtu 1280
	ip -n b link set eth mtu 1280
	ok "4 MB pass over $outer with MTU 1280 below [sock-gso-fallback]" carry a b 192.168.241.2
	ok "and back [sock-gso-fallback]" carry b a 192.168.241.1
	ip -n a link set eth mtu 1500
	ip -n b link set eth mtu 1500
	in_ns a ethtool -K eth tx off gso off tso off >/dev/null 2>&1
	in_ns b ethtool -K eth tx off gso off gro off >/dev/null 2>&1
	ok "and without any offload below [sock-gso-fallback]" carry a b 192.168.241.2
	ok "and back [sock-gso-fallback]" carry b a 192.168.241.1
	in_ns a ethtool -K eth tx on gso on tso on >/dev/null 2>&1
	in_ns b ethtool -K eth tx on gso on gro on >/dev/null 2>&1
done

# --- too long
ip -n a link set wg1 mtu 65535
ip -n b link set wg2 mtu 65535
in_ns a sysctl -qw net.ipv4.ip_no_pmtu_disc=1
wg set wg1 peer "$pub2" endpoint 10.0.0.2:2222
once >/dev/null
ok "an inner packet that a datagram just holds passes [tx-too-big]" once -M do -s $((65472 - 28))
fails "one that no datagram holds does not [tx-too-big]" once -W 1 -M do -s $((65535 - 28))
ok "and the next one is sent [tx-too-big]" once
lab_end
