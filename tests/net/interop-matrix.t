#!/bin/bash
# shellcheck disable=SC1010 # "do" in -M do is a word of ping
# tier: full
# The program under test in host a and each wireguard-go of Debian, from the one of Debian 12 to the newest, in host b:
# either may start, over IPv4 and IPv6, with one and two workers, with the whole fast path, none of it, and without each
# piece of it.  Of all combinations those are run in which every two choices meet.
# shellcheck source=tests/net/lib.sh
. "${0%/*}/lib.sh"
foreign GO_BACKPORTS bookworm-backports wireguard-go
foreign GO_SID sid wireguard-go libc6
lab_enter 840 "$@"
lab_pair

go_dirs=("" "$GO_BACKPORTS" "$GO_SID")
go_names=("Debian 12" "its backports" "Debian sid")
pieces=("" all tun-vnet tun-tso tun-uso join-tcp join-udp udp-gso udp-gro route-query tun-steering balance)
head -c 3000000 /dev/urandom >/run/lab/data

# Ten times 40 datagrams of 1,200 bytes and different content, 40 by one system call.  The receiver says when it has all
# of a round; what was lost is sent again.  What comes must be as it was, and in order.
cat >/run/lab/datagrams <<'END'
import hashlib, select, socket, struct, sys
mode, address = sys.argv[1:3]
s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
def datagram(turn, i):
    head = struct.pack("!II", turn, i)
    return head + hashlib.shake_128(head).digest(1192)
if mode == "send":
    s.connect((address, 9000))
    s.setsockopt(17, 103, 1200)  # UDP_SEGMENT
    turn = 0
    for first in range(0, 400, 40):
        while True:
            turn += 1
            assert turn < 40, "too much is lost"
            s.send(b"".join(datagram(turn, i) for i in range(first, first + 40)))
            if select.select([s], [], [], 3)[0] and s.recv(100) == b"%d" % first:
                break
else:
    s.setsockopt(socket.SOL_SOCKET, 33, 8 << 20)  # SO_RCVBUFFORCE
    s.bind((address, 9000))
    s.settimeout(60)
    print("ready", flush=True)
    have, last = set(), (0, 0)
    while len(have) < 400:
        data, sender = s.recvfrom(65535)
        at = struct.unpack_from("!II", data)
        assert data == datagram(*at), "%s is damaged, %d bytes" % (at, len(data))
        assert at > last, "%s after %s" % (at, last)
        last = at
        have.add(at[1])
        first = at[1] // 40 * 40
        if have >= set(range(first, first + 40)):
            s.sendto(b"%d" % first, sender)
    for _ in range(3):
        s.sendto(b"360", sender)
END

in_ns_exec() { exec ip netns exec "$@"; } # in the background, $! is the program's own

# carry FROM TO ADDRESS: 3 MB over TCP, compared.
carry()
{
	local copy status v=4

	[[ $3 == *:* ]] && v=6
	rm -f /run/lab/copy
	in_ns_exec "$2" timeout 120 socat -u "TCP$v-LISTEN:7000,reuseaddr" OPEN:/run/lab/copy,creat,trunc &
	copy=$!
	within 60 lab_listens "$2" 7000
	in_ns "$1" timeout 120 socat -u OPEN:/run/lab/data "TCP$v:$([[ $v == 6 ]] && echo "[$3]" || echo "$3"):7000" ||
		kill $copy
	wait $copy
	status=$?
	((status == 0)) && [[ $(sha256sum </run/lab/copy) == "$(sha256sum </run/lab/data)" ]]
}

# datagrams FROM TO ADDRESS: 400 in order, compared.
datagrams()
{
	local receiver

	rm -f /run/lab/received
	in_ns_exec "$2" /usr/bin/python3 /run/lab/datagrams receive "$3" >/run/lab/received 2>&1 &
	receiver=$!
	within 60 grep -q ready /run/lab/received
	in_ns "$1" /usr/bin/python3 /run/lab/datagrams send "$3"
	wait $receiver || { cat /run/lab/received; return 1; }
}

pings() { ping4 "$1" "$2" 2 && ping6 "$1" "$3" 2; }

full_size()
{
	in_ns "$1" ping -n -q -c 2 -i 0.1 -W 10 -M do -s 1392 "$2" &&
		in_ns "$1" ping -6 -n -q -c 2 -i 0.1 -W 10 -M do -s 1372 "$3"
}

both_ways() { "$1" a b "$2" && "$1" b a "$3"; }

# combination GO STARTER WORKERS OUTER WITHOUT
combination()
{
	local go=$WIREGUARD_GO role from=$2 to to6 at what

	[[ ${go_dirs[$1]} ]] && go=${go_dirs[$1]}/run/wireguard-go
	export GINNEL_WG_OPTIONS="--workers=$3${5:+ --without=$5}"
	wg_start a wg1 && GINNEL_WG_OPTIONS='' wg_start b wg2 "$go" || { echo "Bail out! no daemon"; exit 1; }
	[[ $4 == 4 ]] && at=(10.0.0.1 10.0.0.2) || at=(fd00:aa::1 fd00:aa::2)
	if [[ $2 == a ]]; then
		lab_tunnel none "${at[1]}" && role=initiator to=192.168.241.2 to6=fd00:241::2
	else
		lab_tunnel "${at[0]}" none && role=responder to=192.168.241.1 to6=fd00:241::1
	fi
	what="$role, wireguard-go of ${go_names[$1]}, workers=$3 over IPv$4 without=${5:-nothing}"
	ok "$what: IPv4 and IPv6 pass [interop-go-versions]" pings "$from" $to $to6
	ok "$what: full-sized packets pass [interop-go-versions]" full_size "$from" $to $to6
	ok "$what: TCP bulk is intact forth and back [interop-go-bulk]" both_ways carry 192.168.241.2 192.168.241.1
	ok "$what: IPv6 TCP bulk is intact forth and back [interop-go-bulk]" both_ways carry fd00:241::2 fd00:241::1
	ok "$what: datagrams are intact and in order forth and back [interop-go-bulk]" \
		both_ways datagrams 192.168.241.2 192.168.241.1
	wg_stop wg1
	wg_stop wg2
}

declare -A met=()
meet()
{
	local i k

	for i in "$@"; do
		for k in "$@"; do met[$i/$k]=1; done
	done
}
for g in 0 1 2; do
	if [[ ${go_dirs[$g]} && ! -x ${go_dirs[$g]}/run/wireguard-go ]]; then
		ok "wireguard-go of ${go_names[$g]} can be fetched [interop-go-versions]" eval "echo '${go_dirs[$g]}'; false"
		continue
	fi
	for p in "${!pieces[@]}"; do
		starter=$( (((g ^ p) & 1)) && echo b || echo a)
		workers=$((1 + ((g >> 1 ^ p >> 1) & 1)))
		outer=$( ((((g + 1) >> 1 ^ p >> 2) & 1)) && echo 6 || echo 4)
		combination $g "$starter" $workers "$outer" "${pieces[$p]}"
		meet "go$g" "starter$starter" "workers$workers" "outer$outer" "piece$p"
	done
done
# 3 programs, n choices of pieces, and three choices of two: each pair in both orders, and each with itself.
n=${#pieces[@]}
is "every two choices met [interop-go-versions]" "${#met[@]}" \
	$((9 + n + 2 * (3 * n + 3 * 3 * 2 + n * 3 * 2 + 3 * 2 * 2)))
lab_end
