#!/bin/bash
# tier: full release
# An office whose hub is the kernel's WireGuard, that of Linux 6.1 in the guest, and a node of the same kind beside it; the
# other members are ginnel-wg.  With pre-shared keys, under rotations, held by those who stay, and without one who is gone.
#
#	  guest                                                              c, a node
#	+-------------------------------------------------+                +--------------------+
#	| z, the hub        |  a, a node      |  b        |                |  10.70.0.3         |
#	| 10.70.0.1 office  |  10.70.0.2 a    |           |                |  eth 10.0.1.2      |
#	| to-a 10.0.2.1 ------- eth 10.0.2.2  |           |   e, a person  |  lan 192.168.200.2 |
#	| eth0 10.0.0.2     |  lan .2 ---------- .55, .1  |  10.70.0.4     +--- d .244 ---------+
#	+---------|---------------------------------------+  eth 10.0.0.1       |
#	          +------------------------------------------to-c 10.0.1.1 -----+
#
# a and b are namespaces of the guest; of a's gateway, .1 of b, strict rules are told, so that it has a rule and a table too.
# shellcheck source=tests/net/lib.sh
. "${0%/*}/lib.sh"
# shellcheck source=tests/guest/lib.sh
. "${0%/*}/../guest/lib.sh"
guest_image
# shellcheck source=tests/guest/office.sh
. "${0%/*}/../guest/office.sh"
office_hosts e 'ip netns add a; ip link add to-a type veth peer name eth netns a; ip addr add 10.0.2.1/24 dev to-a; ip link set to-a up
	ip -n a link set lo up; ip -n a link set eth up; ip -n a addr add 10.0.2.2/24 dev eth; ip -n a route add default via 10.0.2.1
	ip -n a link add lan type veth peer name eth netns b; ip -n a link set lan up; ip -n a addr add 192.168.201.2/24 dev lan' &&
	in_guest 'ip -n b addr add 192.168.201.1/24 dev eth' && in_ns e sysctl -qw net.ipv4.ip_forward=1 || bail "no hosts"

# net LINE...: the office's file.
net()
{
	printf '%s\n' 'z hub 10.0.0.2 engine kernel ports 4500' 'a node 192.168.201.0/24 return route+gw at .2 gw .1 engine kernel' \
		'c node 192.168.200.0/24 return route at .2' 'b host a .55' 'd host c .244' "$@" >$desk/office.net
}
e='e person 10.70.0.4 mtu 1380'

# member NAME VERB [OPERAND...] [<BUNDLE]: ginnel-office where NAME is.
member()
{
	local m=$1 verb=$2
	shift 2

	case $m in
	z) cat >/run/lab/input && in_guest "ginnel-office $verb $*" /run/lab/input ;;
	a) cat >/run/lab/input && in_guest "ip netns exec a ginnel-office $verb --interface=a $*" /run/lab/input ;;
	*) in_ns "$m" "$programs/ginnel-office" "$verb" --interface="$m" "$@" ;;
	esac
}
up() { office export "$1" | member "$1" up - >"/run/lab/$1.up" 2>&1 || { cat "/run/lab/$1.up"; false; }; }
again() { member "$1" up </dev/null; }
key() { member "$1" key "$1" </dev/null 2>/dev/null; }
e_pings() { within 120 in_ns e ping -n -q -c 1 -W 5 192.168.200.244; }
d_pings() { within 120 in_ns d ping -n -q -c 1 -W 5 192.168.201.55; }
all_reach()
{
	ok "$1: a LAN at a node with the kernel's reaches one at a node with ginnel-wg $2" b_pings 192.168.200.244
	ok "$1: and that one it $2" d_pings
	ok "$1: a person reaches a LAN $2" e_pings
}
# prefixes KEY: how many the hub has for it.
prefixes() { in_guest "wg show office allowed-ips | awk -v key=$1 '\$1 == key { n = NF - 1; if (\$2 == \"(none)\") n = 0; print n }'"; }

# --- up

net "$e"
for m in z a c e; do
	key $m | accept || bail "no key of $m"
done
ok "a hub comes up with the kernel's [kernel-hub]" up z
ok "and no daemon of ours [kernel-hub]" in_guest 'ip -d link show office | grep -w wireguard && ! pgrep -x ginnel-wg'
for m in a c e; do
	ok "$m comes up [kernel-hub]" up $m
done
all_reach "by way of the hub" "[kernel-hub]"
ok "status of the hub says so of each [kernel-hub]" in_guest '
	ginnel-office status --json | tee status; python3 -c "
import json
p = json.load(open(\"status\"))[\"peers\"]
assert [(x[\"name\"], x[\"state\"]) for x in p] == [(m, \"up\") for m in \"ace\"]"'
ok "who sends more than a member can take is told by the hub [kernel-hub]" \
	within 60 bash -c 'ip netns exec c ping -n -c 1 -W 5 -M do -s 1372 10.70.0.4 | grep -E "mtu(:| =) 1380"'
ok "up again, nothing is another [kernel-hub]" test "$(again z 2>&1 | grep -c 'added=0 changed=0 removed=0')" = 1

# --- another port

member c down
in_ns c nft 'add table ip block; add chain ip block out { type filter hook output priority 0; }; add rule ip block out udp dport 51820 drop'
# found: it is a matter of seconds which of the ports answers, and of a busy machine.
found() { up c && grep 'answers at port 4500, which is kept' /run/lab/c.up; }
ok "the hub answers at its other port [kernel-hub]" within 200 found
ok "and traffic passes there [kernel-hub]" d_pings
in_ns c nft delete table ip block

# --- pre-shared keys

net "$e" 'psk on'
for m in a c e z; do
	ok "$m comes up with a pre-shared key [kernel-psk]" up $m
done
is "the kernel's hub has that of each [kernel-psk]" \
	"$(in_guest 'wg show office preshared-keys | cut -f2 | sort')" "$(sed -n 's/^[ace] //p' $desk/office.psk | sort)"
is "and the kernel's node its own [kernel-psk]" \
	"$(in_guest 'ip netns exec a wg show a preshared-keys | cut -f2')" "$(sed -n 's/^a //p' $desk/office.psk)"
# What there is of sessions is from before.
for m in a c e; do
	member $m down </dev/null >/dev/null 2>&1
	again $m >/dev/null 2>&1
done
all_reach "with pre-shared keys" "[kernel-psk]"

# --- another key

# A connection of each kind that lives through all of it.
cat >/run/lab/stream.py <<-'END'
	import os, socket, sys, time
	s = socket.create_connection(("192.168.200.244", 7000), 300)
	n = 0
	while not os.path.exists(sys.argv[1]):
	    n += 1
	    data = b"%08d" % n * 100
	    s.sendall(data)
	    back = b""
	    while len(back) < len(data):
	        piece = s.recv(len(data))
	        if not piece:
	            sys.exit("closed")
	        back += piece
	    assert back == data
	    open(sys.argv[1] + ".n", "a").write(".")
	    time.sleep(0.05)
	print("whole", flush=True)
END
guest_put /run/lab/stream.py /root/stream.py
in_ns_exec d socat TCP-LISTEN:7000,fork,reuseaddr EXEC:cat >/run/lab/echo 2>&1 &
within 60 lab_listens d 7000
in_ns_exec e python3 /run/lab/stream.py /run/lab/enough >/run/lab/stream 2>&1 &
stream=$!
in_guest 'ip netns exec b python3 stream.py enough >stream 2>&1 </dev/null &'
streams_move() { within 120 test -s /run/lab/enough.n && in_guest 'for i in $(seq 120); do [ -s enough.n ] && exit; sleep 0.5; done; false'; }
ok "connections begin" streams_move

# begin NAME OTHER...: there is a next key, and the others are told.
begin()
{
	local m=$1 other
	shift
	member "$m" rotate "$m" </dev/null >/run/lab/keys && accept </run/lab/keys || return
	for other; do
		up "$other" || return
	done
}
# changes NAME: it is the key; a member that has heard nobody with it, as on a busy machine, tries again.
changes() { up "$1" && [[ $(key "$1" | cut -d' ' -f3) == "$(key_of next-key)" ]]; }
key_of() { sed -n "s/.* $1 //p" /run/lab/keys; }
# finish NAME OTHER...
finish()
{
	local m=$1 other
	shift
	key "$m" | accept || return
	for other; do
		up "$other" || return
	done
}

ok "a hub with the kernel's is told of a next key [kernel-rotate]" begin c z
ok "by which it speaks with the member [kernel-rotate]" within 200 changes c
is "and has no prefixes for it yet [kernel-rotate]" "$(prefixes "$(key_of next-key)")" 0
ok "its next up gives them [kernel-rotate]" again z
is "all [kernel-rotate]" "$(prefixes "$(key_of next-key)"), $(prefixes "$(key_of key)")" "2, "
all_reach "with the new key" "[kernel-rotate]"
ok "it comes to its end [kernel-rotate]" finish c z

in_guest 'setsid ginnel-office up --stay >z.said 2>&1 </dev/null & echo $! >z.pid
	setsid ip netns exec a ginnel-office up --interface=a --stay >a.said 2>&1 </dev/null & echo $! >a.pid'
# said NAME WORDS: by who stays.
said() { in_guest "for i in \$(seq 240); do grep -e '$2' $1.said && exit; sleep 0.5; done; cat $1.said; false"; }
ok "hub and node stay [kernel-stay]" said z 'office stays so'
ok "both [kernel-stay]" said a 'a stays so'
for m in e a; do
	ok "$m has a next key [kernel-rotate]" begin $m z
	ok "which becomes its key [kernel-rotate]" within 200 changes $m
	all_reach "a hub that stays follows the key of $m" "[kernel-rotate]"
	ok "it comes to its end [kernel-rotate]" finish $m z
done
ok "the hub has a next key [kernel-rotate]" begin z a c e
ok "which becomes its key [kernel-rotate]" within 200 changes z
all_reach "those who stay, and ginnel-wg, follow the key of the hub" "[kernel-rotate]"
ok "it comes to its end [kernel-rotate]" finish z a c e
touch /run/lab/enough
wait $stream
is "a person's connection has lived through all of it [kernel-rotate]" "$(cat /run/lab/stream)" whole
is "and that of a device [kernel-rotate]" "$(in_guest 'touch enough; for i in $(seq 240); do [ -s stream ] && break; sleep 0.5; done; cat stream')" whole
is "all have the same pre-shared keys as before [kernel-psk]" \
	"$(in_guest 'wg show office preshared-keys | cut -f2 | sort')" "$(sed -n 's/^[ace] //p' $desk/office.psk | sort)"

# --- what is taken away

# mended WHAT SCRIPT LINE: at a.
mended()
{
	ok "$1 is restored, and told [kernel-stay]" in_guest "
		n=\$(wc -l <a.said)
		ip netns exec a bash -c '$2' || exit
		for i in \$(seq 240); do tail -n +\$((n + 1)) a.said | grep -F \"$3\" && exit; sleep 0.5; done; cat a.said; false"
}
mended "a route" 'ip route del 192.168.200.0/24' 'restored the route to 192.168.200.0/24, found missing'
mended "a rule" 'ip rule del pref 7070' 'restored the rule for what comes in by a, found missing'
mended "a table" 'ip route flush table 7070' 'restored the route to 192.168.201.0/24 in table 7070, found missing'
mended "an address" 'ip addr flush dev a' 'restored the address 10.70.0.2/32, found missing'
mended "a peer, once it is looked" 'wg set a peer $(wg show a peers) remove; kill -HUP $(cat a.pid)' "restored the kernel's peers, found changed"
mended "the interface itself" 'ip link del dev a' 'restored the interface a, found missing'
all_reach "then" "[kernel-stay]"

# Those who say nothing by themselves are called.
for m in c e; do
	wg set $m peer "$(wg show $m peers)" persistent-keepalive 0
done
ok "where peers are is remembered [kernel-stay]" in_guest 'for i in $(seq 120); do
	wg show office endpoints | sort >now; sed 1d /var/lib/ginnel/office.endpoints | tr " " "\t" | sort >kept; cmp -s now kept && exit; sleep 0.5; done; diff now kept'
ok "a hub whose interface is gone gets it back [kernel-stay]" in_guest 'ip link del office'
ok "and told [kernel-stay]" said z 'restored the interface office, found missing'
ok "it calls its peers where they were [kernel-stay]" in_guest 'for i in $(seq 240); do
	[ "$(wg show office latest-handshakes | grep -v -c "	0$")" = 3 ] && exit; sleep 0.5; done; wg show office; false'
all_reach "then" "[kernel-stay]"
ok "nobody has missed a daemon [kernel-stay]" in_guest '! grep -i daemon z.said a.said'
ok "SIGTERM ends who stays, and leaves all up [kernel-stay]" in_guest '
	kill $(cat z.pid) && for i in $(seq 120); do kill -0 $(cat z.pid) || break; sleep 0.5; done; ! kill -0 $(cat z.pid) && grep "ended; office stays up" z.said && ip link show office'

# --- gone

net 'psk on'
ok "the hub is up without a person [kernel-hub]" up z
is "whom it does not know any more [kernel-hub]" "$(in_guest 'wg show office peers | wc -l')" 2
fails "and refuses [kernel-hub]" in_ns e ping -n -q -c 3 -i 0.3 -W 2 10.70.0.1
again e >/dev/null 2>&1
fails "nor does another session come about [kernel-hub]" in_ns e ping -n -q -c 3 -i 0.3 -W 2 10.70.0.1
ok "others go on [kernel-hub]" d_pings

ok "down ends it, and the node that stays [kernel-stay]" in_guest '
	ginnel-office down && ip netns exec a ginnel-office down --interface=a && ! kill -0 $(cat a.pid) &&
	! ip link show office && ! ip -n a link show a && ! nft list ruleset | grep ginnel && ! ls /run/ginnel/*'
ok "no secret was said [office-secret] [psk-secret]" in_guest '! grep -r -F -f /etc/ginnel/office.key -f /etc/ginnel/a.key /run /root/z.said /root/a.said'
ok "the guest shuts down" guest_off
lab_end
