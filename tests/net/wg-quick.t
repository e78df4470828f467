#!/usr/bin/env bash
# shellcheck disable=SC2016,SC2317 # programs of inner shells; functions called by name
# wg-quick of Debian's wireguard-tools with the program as its user-space implementation: a host whose whole traffic,
# but for the tunnel's own packets, goes through the tunnel.
#
#	  host a                       host r                         host b
#	+---------------------+      +----------------------+      +--------------------------+
#	| wg1 10.66.0.1       |      |                      |      | wg2 10.66.0.2            |
#	|     fd00:66::1      | .......... tunnel ................ |     fd00:66::2           |
#	|                     |      |                      |      |                          |
#	| eth 10.0.0.1        |------| to-a 10.0.0.254      |      | lo  172.31.0.1           |
#	|     fd00:aa::1      |      |      fd00:aa::fe     |      |     fd00:31::1           |
#	| default by r        |      |     10.0.1.254  to-b |------| eth 10.0.1.2 fd00:bb::2  |
#	+---------------------+      |     fd00:bb::fe      |      +--------------------------+
#	                             +----------------------+
#
# The addresses of b's lo are known to nobody but b: who reaches them went through the tunnel.  a reaches b's eth by its
# default route only, which the tunnel covers: an outer packet without the mark would loop.
. "${0%/*}/lib.sh"
lab_enter 600 "$@"

conf=/run/lab/wg1.conf hooks=/run/lab/hooks
# Newer ones have made the interface when PreUp runs.
before_up=$(awk '/^cmd_up/ { on = 1 } on && /^\tadd_if/ { print "there"; exit } on && /PRE_UP/ { print "gone"; exit }' \
	"$(command -v wg-quick)")

# quick ARGUMENT...: wg-quick in host a.  The kernel's own WireGuard, if it has one, is out of reach there.
quick()
{
	in_ns a env WG_QUICK_USERSPACE_IMPLEMENTATION="$WG" bash -c '
		ip()
		{
			if [[ $* == *"type wireguard"* ]]; then
				echo "Error: Unknown device type." >&2
				return 2
			fi
			command ip "$@"
		}
		export -f ip
		[[ ! -e /sys/module/wireguard ]] || mount -t tmpfs none /sys/module || exit
		exec wg-quick "$@"' quick "$@" </dev/null
}

# state: everything of host a that wg-quick touches.  Counters of connection tracking move by themselves.
state()
{
	for family in -4 -6; do
		echo "rules $family" && ip -n a $family rule show
		echo "routes $family" && ip -n a $family route show table all
	done
	echo addresses && ip -n a -o addr show | sed 's/valid_lft.*//'
	echo firewall && in_ns a nft list ruleset
	echo settings && in_ns a sysctl -a -r '^net\.(ipv4|ipv6|core)\.' 2>/dev/null
}

daemon() { pgrep -f "^$WG wg1\$"; }
no_daemon() { ! daemon; }
nothing_left()
{
	no_daemon && [[ ! -e /run/wireguard/wg1.sock ]] && ! ip -n a link show wg1
}

# restored NAME: the state is the one before.
restored()
{
	state >/run/lab/after
	ok "$1" diff -u /run/lab/before /run/lab/after
}

sent() { ip -n a -s -j link show "$1" | grep -oP '"tx":\{[^}]*"packets":\K[0-9]+'; }

# no_loop NAME COMMAND...: the command, which sends 10 packets, succeeds, and neither link sees much more than those, a
# handshake, keepalives, and what the kernel says by itself on a new link.
no_loop()
{
	local name=$1 eth wg
	shift
	eth=$(sent eth) wg=$(sent wg1)
	ok "$name" "$@"
	eth=$(($(sent eth) - eth)) wg=$(($(sent wg1) - wg))
	ok "$name, and no outer packet enters the tunnel [wg-quick-mark]" \
		test "$wg" -ge 10 -a "$wg" -le 40 -a "$eth" -ge 10 -a "$eth" -le 40
}

# ping_both NAME: both families, to addresses behind the tunnel.
ping_both()
{
	no_loop "$1, IPv4" ping4 a 172.31.0.1 10
	no_loop "$1, IPv6" ping6 a fd00:31::1 10
}

ns_add a r b && link_add a eth r to-a && link_add r to-b b eth &&
	addr a eth 10.0.0.1/24 fd00:aa::1/64 && addr r to-a 10.0.0.254/24 fd00:aa::fe/64 &&
	addr r to-b 10.0.1.254/24 fd00:bb::fe/64 && addr b eth 10.0.1.2/24 fd00:bb::2/64 &&
	addr b lo 172.31.0.1/32 fd00:31::1/128 &&
	in_ns r sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 &&
	ip -n a route add default via 10.0.0.254 && ip -n a -6 route add default via fd00:aa::fe &&
	ip -n b route add default via 10.0.1.254 && ip -n b -6 route add default via fd00:bb::fe ||
	exit
# Rules, tables and settings of the host's own, which must survive.
in_ns a nft -f - <<-END && ip -n a rule add from 10.9.9.9 table 99 && ip -n a route add 10.99.0.0/16 via 10.0.0.254 table 99 || exit
	table inet mine { chain input { type filter hook input priority 0; udp dport 9 drop; }; }
END

key1=$(wg genkey) key2=$(wg genkey) psk=$(wg genpsk)
pub1=$(wg pubkey <<<"$key1") pub2=$(wg pubkey <<<"$key2") pub3=$(wg genkey | wg pubkey)
ok "b comes up" wg_start b wg2
ok "b is configured" wg set wg2 private-key <(echo "$key2") listen-port 2222 peer "$pub1" \
	preshared-key <(echo "$psk") allowed-ips 10.66.0.1/32,fd00:66::1/128
addr b wg2 10.66.0.2/24 fd00:66::2/64 && ip -n b link set wg2 up

umask 077
cat >/run/lab/hook <<'END' && chmod +x /run/lab/hook
#!/bin/sh
ip -o link show "$2" >/dev/null 2>&1 && there=there || there=gone
echo "$1 $2 $there" >>/run/lab/hooks
END
cat >$conf <<END
[Interface]
PrivateKey = $key1
Address = 10.66.0.1/24, fd00:66::1/64
ListenPort = 1111
PreUp = /run/lab/hook PreUp %i
PostUp = /run/lab/hook PostUp %i
PreDown = /run/lab/hook PreDown %i
PostDown = /run/lab/hook PostDown %i

[Peer]
PublicKey = $pub2
PresharedKey = $psk
Endpoint = 10.0.1.2:2222
AllowedIPs = 0.0.0.0/0, ::/0
END

# --- up, use, down

# wg-quick asks for answers to be judged by the mark, and by its design leaves that setting behind.
in_ns a sysctl -qw net.ipv4.conf.all.src_valid_mark=1
# What the kernel does by itself when a link comes up it has done.
local_is_there() { [[ $(ip -n a -6 addr show dev eth scope link -tentative) && $(ip -n a -6 route show table local dev eth) == *fe80:* ]]; }
within 60 local_is_there
state >/run/lab/before
fails "before, nobody in a reaches what is behind the tunnel" in_ns a ping -n -q -c 1 -W 2 172.31.0.1
ok "wg-quick up succeeds [proc-wg-quick]" quick up $conf
ok "the interface is the program's [proc-wg-quick]" daemon
is "the mark is what wg-quick chose [wg-quick-mark]" "$(wg show wg1 fwmark)" 0xca6c
is "the port is the configured one [proc-wg-quick]" "$(wg show wg1 listen-port)" 1111
is "wg-quick could choose the MTU [proc-wg-quick]" "$(ip -n a -o link show wg1 | grep -oP 'mtu \K[0-9]+')" 1420
ping_both "everything of a goes through the tunnel, outside IPv4"
is "the hooks ran, in order and around the interface [wg-quick-hooks]" "$(<$hooks)" "PreUp wg1 $before_up"$'\nPostUp wg1 there'

fails "up twice is refused [wg-quick-twice]" quick up $conf
ok "and says why [wg-quick-twice]" grep -q "wg1' already exists" <(quick up $conf 2>&1)
said=$(in_ns a "$WG" wg1 2>&1)
ok "the program itself refuses the name, and says why [wg-quick-twice]" \
	grep -Eqi 'exists|in use|busy' <<<"$said"
no_loop "the refused ones did no harm [wg-quick-twice]" ping4 a 172.31.0.1 10

# --- save, strip, syncconf

cp $conf /run/lab/original.conf
ok "wg-quick save succeeds [wg-quick-save]" quick save $conf
# The kernel gives every TUN interface a link-local address.
settings()
{
	grep -E '^(PrivateKey|Address|ListenPort|P(re|ost)(Up|Down)|PublicKey|PresharedKey|Endpoint|AllowedIPs) = ' "$1" |
		sed 's/^Address = //; s/, /\n/g' | grep -v '^fe80:' | sort
}
is "and keeps every setting [wg-quick-save]" "$(settings $conf)" "$(settings /run/lab/original.conf)"
# Without it wg syncconf would take the mark away, and the tunnel would be routed into itself.
ok "and writes the mark [wg-quick-save]" grep -q '^FwMark = 0xca6c$' $conf

# Seconds of TCP over the tunnel, while the peer gets a keepalive, and a peer is added.
iperf a b 172.31.0.1 -t 4 -J >/run/lab/iperf 2>&1 &
client=$!
within 60 eval '(($(sent wg1) > 1000))'
handshake=$(wg_field wg1 latest-handshakes)
sed -i 's/^Endpoint = .*/&\nPersistentKeepalive = 25/' $conf
printf '\n[Peer]\nPublicKey = %s\nAllowedIPs = 10.77.0.0/16\n' "$pub3" >>$conf
is "wg-quick strip leaves what wg(8) knows [wg-quick-syncconf]" \
	"$(quick strip $conf | grep -cE '^(Address|PreUp|PostUp|PreDown|PostDown)') $(quick strip $conf | grep -c '^PublicKey')" "0 2"
ok "wg syncconf while traffic goes on [wg-quick-syncconf]" wg syncconf wg1 <(quick strip $conf)
is "the changed keepalive is in force [wg-quick-syncconf]" "$(wg show wg1 persistent-keepalive | grep -F "$pub2" | cut -f2)" 25
is "and the new peer [wg-quick-syncconf]" "$(wg show wg1 allowed-ips | grep -F "$pub3" | cut -f2)" 10.77.0.0/16
is "the session goes on [wg-quick-syncconf]" "$(wg show wg1 latest-handshakes | grep -F "$pub2" | cut -f2)" "$handshake"
wait $client
tap $? "and so does the traffic [wg-quick-syncconf]"
ok "which the receiver got [wg-quick-syncconf]" \
	awk -F '[:,]' '/"sum_received"/ { on = 1 } on && /"bytes"/ { exit !($2 > 1000000) }' /run/lab/iperf
# The endpoint waits until b is silent: what b still sends from the old one would move the peer back, by rights.
sed -i 's/^Endpoint = .*/Endpoint = [fd00:bb::2]:2222/' $conf
ok "wg syncconf changes the endpoint to one of the other family [wg-quick-syncconf]" wg syncconf wg1 <(quick strip $conf)
is "which is in force [wg-quick-syncconf]" "$(wg show wg1 endpoints | grep -F "$pub2" | cut -f2)" "[fd00:bb::2]:2222"
is "and the session goes on [wg-quick-syncconf]" "$(wg show wg1 latest-handshakes | grep -F "$pub2" | cut -f2)" "$handshake"
ping_both "after that everything still goes through the tunnel, outside IPv6"

# --- down

ok "wg-quick down succeeds [proc-wg-quick]" quick down $conf
ok "the program and its socket are gone [proc-wg-quick]" within 60 nothing_left
restored "rules, routes, addresses, firewall and settings are as before [wg-quick-restores]"
is "all four hooks have run, in order and around the interface [wg-quick-hooks]" "$(<$hooks)" \
	"PreUp wg1 $before_up"$'\nPostUp wg1 there\nPreDown wg1 there\nPostDown wg1 gone'
fails "wg-quick down when it is down is refused" quick down $conf

# --- once more, with the end that is not wg-quick's

cp /run/lab/original.conf $conf
ok "wg-quick up after down succeeds [proc-wg-quick]" quick up $conf
ping_both "and everything goes through the tunnel again"
ok "wg-quick's del: the interface is deleted" ip -n a link del wg1
ok "deleting the interface ends the program and removes its socket [proc-tun-gone]" within 60 nothing_left
for family in -4 -6; do
	ip -n a $family rule del table 51820 && ip -n a $family rule del table main suppress_prefixlength 0
done
in_ns a nft -f <(in_ns a nft list tables | sed -n '/wg-quick-wg1$/s/^/delete /p')
restored "nothing of it is left but what wg-quick made itself [wg-quick-restores]"

# --- a start that fails in the middle: wg-quick undoes it, which takes the interface and the program

sed 's/^PostUp = .*/PostUp = false/' /run/lab/original.conf >$conf
fails "a PostUp that fails fails wg-quick up" quick up $conf
ok "and ends the program again [proc-wg-quick]" within 60 nothing_left
restored "and everything is as before [wg-quick-restores]"
sed 's/^Address = .*/Address = 300.1.1.1/' /run/lab/original.conf >$conf
fails "an address that is none fails wg-quick up" quick up $conf
ok "and ends the program again, too [proc-wg-quick]" within 60 nothing_left
restored "and everything is as before, too [wg-quick-restores]"

lab_end
