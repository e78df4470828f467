#!/bin/bash
# tier: full release
# Members of an office whose engine is the kernel's WireGuard, that of Linux 6.1 in the guest: a node, and a person on
# the same machine.  The hub and another node are ginnel-wg.  tests/guest/office.sh draws the hosts.
# shellcheck source=tests/net/lib.sh
. "${0%/*}/lib.sh"
# shellcheck source=tests/guest/lib.sh
. "${0%/*}/../guest/lib.sh"
guest_image
# shellcheck source=tests/guest/office.sh
. "${0%/*}/../guest/office.sh"
office_build || bail "no office"

# All that up touches.
state='ip -o -d link show | sed "s/ *qdisc.*//"; ip -o addr show | sed "s/ tentative//; s/valid_lft.*//"; ip rule; ip route show table all; nft list ruleset
	sysctl -a -r "^net\.ipv4\.(conf\..*\.(forwarding|send_redirects)|ip_forward)"; ls /run/ginnel 2>/dev/null'
# as_then NAME THEN: it is as it was then.
as_then()
{
	in_guest "$state" >/run/lab/now
	ok "$1" diff /run/lab/now <(echo "$2")
}
# same_session NAME THEN: no handshake since then but the one that is due after two minutes.
handshakes='wg show office latest-handshakes | cut -f2'
same_session()
{
	local now

	now=$(in_guest "$handshakes")
	ok "$1" test "$now" -eq "$2" -o $((now - $2)) -ge 119
}
before=$(in_guest "$state")

# --- a kernel without it

office_file 'engine kernel' 'engine kernel'
in_guest 'echo install wireguard /bin/false >/etc/modprobe.d/none.conf'
said=$(up_guest a)
is "a kernel that has no WireGuard is said, with the other engine [kernel-none]" \
	"$? $(grep -c 'this kernel has no WireGuard.*say engine ginnel' <<<"$said")" "1 1"
in_guest 'ginnel-office down' >/dev/null
as_then "and nothing is left [kernel-none]" "$before"
in_guest 'rm /etc/modprobe.d/none.conf'

# --- a node

ok "a node comes up with the kernel's [kernel-up]" up_guest a
ok "which is what carries it, and no daemon of ours [kernel-up]" in_guest '
	ip -d link show office | grep -w wireguard && ! pgrep -x ginnel-wg'
ok "the hub is reached [kernel-up]" guest_pings 10.70.0.1
ok "its LAN reaches the other LAN [kernel-up]" b_pings 192.168.200.244
ok "and the other LAN it, by way of the hub [kernel-up]" within 60 in_ns d ping -n -q -c 1 -W 5 192.168.201.55
ok "status says it [kernel-status]" in_guest '
	ginnel-office status; ginnel-office status --json | python3 -c "
import json, sys
p = json.load(sys.stdin)[\"peers\"]
sys.exit(not (len(p) == 1 and p[0][\"name\"] == \"z\" and p[0][\"state\"] == \"up\"))"'
ok "where the hub answered is remembered [kernel-up]" in_guest 'ginnel-office up && grep 10.0.0.1:51820 /var/lib/ginnel/office.endpoints'

up=$(in_guest "$state") handshake=$(in_guest "$handshakes")
ok "ten times up again: not a ping of 100 is lost [kernel-again]" in_guest '
	ip -o monitor link address route rule >seen 2>&1 & monitor=$!
	ip netns exec b ping -n -q -c 100 -i 0.1 -W 60 192.168.200.244 >pings & ping=$!
	for i in 1 2 3 4 5 6 7 8 9 10; do ginnel-office up || exit; done
	wait $ping; kill $monitor
	cat pings; grep " 0% packet loss" pings'
as_then "nothing was touched [kernel-again]" "$up"
is "neither for a moment [kernel-again]" "$(in_guest "grep -v -i -e neigh -e 'dev lan lladdr' seen")" ""
same_session "nor the session [kernel-again]" "$handshake"

# --- a change under traffic

# A LAN more, whose node is never there, and away again.
office_file 'engine kernel' 'engine kernel' 'g node 192.168.202.0/24 return route at .2'
echo "g key $(wg genkey | wg pubkey)" | accept
office export a >/run/lab/more
office_file 'engine kernel' 'engine kernel'
office export a >/run/lab/less
in_guest 'cat >more' /run/lab/more
in_guest 'cat >less' /run/lab/less
ok "LANs come and go, and not a ping is lost [kernel-change]" in_guest '
	ip netns exec b ping -n -q -c 60 -i 0.1 -W 60 192.168.200.244 >pings & ping=$!
	for i in 1 2 3; do
		ginnel-office up more && wg show office allowed-ips | grep -F 192.168.202.0/24 || exit
		ginnel-office up less && ! wg show office allowed-ips | grep -F 192.168.202.0/24 || exit
	done
	wait $ping; cat pings; grep " 0% packet loss" pings'
same_session "in the same session [kernel-change]" "$handshake"
as_then "and all is as before [kernel-change]" "$up"

ok "what somebody took away is brought back [kernel-change]" in_guest '
	wg set office peer $(wg show office peers) remove; ip route del 192.168.200.0/24 dev office
	ginnel-office up && wg show office allowed-ips | grep -F 192.168.200.0/24'
as_then "and all is as before [kernel-change]" "$up"
ok "and traffic [kernel-change]" b_pings 192.168.200.244

# --- a person beside it

in_guest 'ginnel-office down' >/dev/null
as_then "down leaves nothing [kernel-down]" "$before"
ok "a person comes up with the kernel's, too [kernel-person]" up_guest e away
ok "reaches the hub and a LAN [kernel-person]" guest_pings -I away 192.168.200.244
ok "and the LAN the person [kernel-person]" within 60 in_ns d ping -n -q -c 1 -W 5 10.70.0.4
in_guest 'ginnel-office down --interface=away' >/dev/null
as_then "down leaves nothing [kernel-down]" "$before"

# --- another engine

office_file '' ''
ok "with ginnel-wg the node comes up [kernel-engine]" up_guest a
sed -i 's/^a node .*/& engine kernel/' /run/lab/bundle
in_guest 'cat >kernel' /run/lab/bundle
ok "who changes the engine gets the other one [kernel-engine]" in_guest '
	pgrep -x ginnel-wg && ginnel-office up kernel && ip -d link show office | grep -w wireguard &&
	for i in $(seq 300); do pgrep -x ginnel-wg >/dev/null || exit 0; sleep 0.2; done; false'
ok "and traffic by it [kernel-engine]" b_pings 192.168.200.244
ok "and back [kernel-engine]" up_guest a
ok "with traffic [kernel-engine]" b_pings 192.168.200.244
in_guest 'ginnel-office down' >/dev/null
as_then "down leaves nothing [kernel-down]" "$before"

# --- what is not ours

in_guest 'ip link add office type wireguard'
said=$(in_guest 'ginnel-office up')
is "an interface of the kernel's that is not ours is not taken for ginnel-wg [kernel-foreign]" \
	"$? $(grep -c "is an interface of the kernel's WireGuard: take it away, or say engine kernel" <<<"$said")" "1 1"
ok "but served, where engine kernel is said and it has no key of its own [kernel-foreign]" in_guest 'ginnel-office up kernel'
ok "and left without peers and key [kernel-foreign]" in_guest 'ginnel-office down; ip link show office && [ "$(wg show office dump | cut -f1,2)" = "(none)	(none)" ]'
in_guest 'wg genkey >other; wg set office private-key other'
said=$(in_guest 'ginnel-office up kernel')
is "one with another key is another tunnel [kernel-foreign]" "$? $(grep -c 'is another tunnel, with a key of its own' <<<"$said")" "1 1"
in_guest 'ginnel-office down; ip link del office' >/dev/null
ok "no private key was said [office-secret]" in_guest '! grep -r -F -f /etc/ginnel/office.key /run /var/lib/ginnel /root'
ok "the guest shuts down" guest_off
lab_end
