#!/bin/bash
# tier: full release
# The Debian package in the guest: installed, a tunnel enabled by its unit, killed, reloaded and upgraded under traffic,
# removed and purged.  Host a is the peer, and all that the guest sends passes its eth.
#
#	  host a                                               guest
#	+---------------------------+                        +---------------------------+
#	| wg1 192.168.241.1         |   tunnel               | wg0 192.168.241.2         |
#	|     172.31.0.1            | ...................... |                           |
#	| eth 10.0.0.1              |------------------------| eth0 10.0.0.2             |
#	+---------------------------+                        +---------------------------+
# shellcheck source=tests/net/lib.sh
. "${0%/*}/lib.sh"
# shellcheck source=tests/guest/lib.sh
. "${0%/*}/../guest/lib.sh"
if [[ -z ${GINNEL_LAB-} || $$ != 1 ]]; then
	guest_image
	"$top/scripts/deb" >/dev/null || { echo "Bail out! the package cannot be built"; exit 1; }
fi
lab_enter 840 "$@"

bail() { echo "Bail out! $*"; lab_logs; guest_logs; exit 1; }

deb=$(compgen -G "$top/.build/deb/ginnel-wg_*.deb") || bail "there is no package"
key1=$(wg genkey) key2=$(wg genkey) psk=$(wg genpsk)
pub1=$(wg pubkey <<<"$key1") pub2=$(wg pubkey <<<"$key2") pub3=$(wg genkey | wg pubkey)

# The same package, a version later.
dpkg-deb -R "$deb" /run/lab/later && sed -i 's/^Version: .*/&+later/' /run/lab/later/DEBIAN/control &&
	dpkg-deb -Znone -b /run/lab/later /run/lab/later.deb >/dev/null || bail "no later package"

in_guest() { guest_run 120 "$@"; }
guest_is() # NAME SCRIPT WANT
{
	is "$1" "$(in_guest "$2")" "$3"
}

ns_add a
wg_start a wg1 || bail "no daemon"
wg set wg1 private-key <(echo "$key1") listen-port 1111 peer "$pub2" allowed-ips 192.168.241.2/32
addr a wg1 192.168.241.1/24
ip -n a addr add 172.31.0.1/32 dev lo
ip -n a link set wg1 up
guest_boot a eth || bail "no guest"
addr a eth 10.0.0.1/24

cat >/run/lab/wg0.conf <<END
[Interface]
PrivateKey = $key2
Address = 192.168.241.2/24

[Peer]
PublicKey = $pub1
AllowedIPs = 192.168.241.0/24, 172.31.0.0/16
Endpoint = 10.0.0.1:1111
END
in_guest 'ip link set lo up; ip link set eth0 up; ip addr add 10.0.0.2/24 dev eth0; mkdir -p /etc/wireguard
	ip route add default via 10.0.0.1
	umask 077; cat >/etc/wireguard/wg0.conf' /run/lab/wg0.conf || bail "no file in the guest"
guest_put "$deb" /root/ginnel-wg.deb && guest_put /run/lab/later.deb /root/later.deb || bail "no package in the guest"

# --- install, enable

ok "the package is installed [deb-install]" in_guest 'dpkg -i ginnel-wg.deb && getent passwd ginnel-wg && stat -c "%a %U %G" /run/ginnel | grep -x "1775 root ginnel-wg"'
ok "a tunnel is enabled and started by its unit [unit-start]" in_guest 'systemctl enable --now ginnel-wg@wg0 || { journalctl -n 40 --no-pager; false; }'
guest_is "as its own user, and systemd knows when it serves [unit-start]" \
	'systemctl show -P Type ginnel-wg@wg0; systemctl is-active ginnel-wg@wg0; ps -o euser:20= -p $(systemctl show -P MainPID ginnel-wg@wg0)' \
	$'notify\nactive\nginnel-wg'
ok "the tunnel of the file carries, also to what its routes say [unit-start]" \
	in_guest 'ping -n -q -c 2 -i 0.2 -W 30 192.168.241.1 && ping -n -q -c 2 -i 0.2 -W 30 172.31.0.1'
ok "names are watched by a process of its own [unit-watch]" in_guest 'systemctl is-active ginnel-conf@wg0'
for unit in ginnel-wg@wg0 ginnel-conf@wg0; do
	ok "systemd-analyze finds the exposure of $unit to be 2.0 or less [unit-hardened]" \
		in_guest "systemd-analyze security --offline=true --threshold=20 /lib/systemd/system/${unit%wg0}.service"
done
guest_is "the daemon has the capabilities that it needs and no other [unit-hardened]" \
	'grep CapEff /proc/$(systemctl show -P MainPID ginnel-wg@wg0)/status | cut -f2' 0000000000001c00
ok "and is in its box [unit-hardened]" in_guest 'p=$(systemctl show -P MainPID ginnel-wg@wg0)
	grep -q "^Seccomp:.2" /proc/$p/status && ! journalctl -u ginnel-wg@wg0 | grep -E "not filtered|not fenced|not locked|cannot be held"'

# --- a crash under traffic

place='ip -o addr show wg0 | sed "s/valid.*//"; ip route show; ip rule; ip link show wg0 | head -n 1'
before=$(in_guest "$place")
capture a eth "not arp and not (udp and port 1111)"
in_guest 'ping -n -q -i 0.05 -p 67696e6e656c 192.168.241.1 >/root/ping1 2>&1 & ping -n -q -i 0.05 -p 67696e6e656c 172.31.0.1 >/root/ping2 2>&1 &
	sleep 1; systemctl kill --kill-whom=main --signal=KILL ginnel-wg@wg0; sleep 0.5'
is "after kill -9 addresses, routes and rules are as before [crash-unit]" "$(in_guest "$place")" "$before"
ok "the next daemon is configured and the tunnel carries again, without anybody's help [crash-unit]" in_guest '
	for i in $(seq 300); do
		[ "$(systemctl show -P NRestarts ginnel-wg@wg0)" = 1 ] && systemctl is-active -q ginnel-wg@wg0 && break
		sleep 0.2
	done
	ping -n -q -c 2 -i 0.2 -W 60 192.168.241.1 && systemctl is-active ginnel-wg@wg0 || { journalctl -n 40 --no-pager; false; }'
is "on the same interface [crash-unit]" "$(in_guest "$place")" "$before"
ok "and names are watched again [unit-watch]" in_guest 'for i in $(seq 100); do systemctl is-active ginnel-conf@wg0 && exit; sleep 0.2; done; false'
in_guest 'pkill -x ping; sleep 0.2'
capture_end a eth 10.0.0.2
is "nothing of the traffic was on the cable in the clear [crash-unit]" \
	"$(tcpdump -n -r "$(capture_file a eth)" net 192.168.241.0/24 or net 172.31.0.0/16 2>/dev/null)" ""

# --- reload

handshake=$(in_guest 'wg show wg0 latest-handshakes | cut -f2')
printf '\n[Peer]\nPublicKey = %s\nPresharedKey = %s\nAllowedIPs = 10.77.0.0/16\n' "$pub3" "$psk" >/run/lab/peer
ok "a changed file is reloaded under traffic [unit-reload]" in_guest 'cat >>/etc/wireguard/wg0.conf
	ping -n -q -c 60 -i 0.05 192.168.241.1 >/root/ping3 2>&1 &
	systemctl reload ginnel-wg@wg0; status=$?; wait; exit $status' /run/lab/peer
is "the new peer is there, with its route [unit-reload]" "$(in_guest "wg show wg0 allowed-ips | grep -F '$pub3' | cut -f2; ip route show 10.77.0.0/16 | cut -d' ' -f1")" \
	$'10.77.0.0/16\n10.77.0.0/16'
is "and the other's session goes on [unit-reload]" "$(in_guest "wg show wg0 latest-handshakes | grep -F '$pub1' | cut -f2")" "$handshake"
ok "without a packet lost [unit-reload]" in_guest 'cat ping3; grep " 0% packet loss" ping3'
ok "a file that is wrong is refused, and the tunnel goes on [unit-reload]" in_guest '
	echo Nonsense >>/etc/wireguard/wg0.conf
	! systemctl reload ginnel-wg@wg0 && systemctl is-active ginnel-wg@wg0 && sed -i "\$d" /etc/wireguard/wg0.conf &&
	journalctl -u ginnel-wg@wg0 | grep "wg0.conf:[0-9]*:1: " && ping -n -q -c 1 -W 30 192.168.241.1'
ok "no key is in the journal [unit-reload]" in_guest "! journalctl --no-pager | grep -F -e '$key2' -e '$psk'"

# --- upgrade

in_ns_exec a iperf3 -s -1 >/run/lab/iperf.server 2>&1 </dev/null &
within 60 lab_listens a 5201
ok "the package is upgraded while a TCP transfer goes on [deb-upgrade]" in_guest '
	systemctl show -P MainPID ginnel-wg@wg0 >pid
	timeout 110 iperf3 -c 192.168.241.1 -t 15 >iperf 2>&1 & client=$!
	sleep 2
	dpkg -i later.deb || exit
	wait $client || { cat iperf; journalctl -n 40 --no-pager; exit 1; }'
ok "the transfer came to its end [deb-upgrade]" in_guest 'cat iperf; grep -q receiver iperf'
ok "the new program runs, on the same interface [deb-upgrade]" in_guest '
	p=$(systemctl show -P MainPID ginnel-wg@wg0)
	[ "$p" != "$(cat pid)" ] && [ "$(readlink /proc/$p/exe)" = /usr/bin/ginnel-wg ]'
is "with all that hangs on it [deb-upgrade]" "$(in_guest "$place" | grep -v 10.77)" "$before"

# --- remove, purge

ok "the package is removed [deb-remove]" in_guest 'dpkg -r ginnel-wg'
ok "and with it the running tunnel [deb-remove]" in_guest '! ip link show wg0 && ! pgrep ginnel && [ ! -e /run/wireguard/wg0.sock ]'
# What the search above looked for: this is how it would have looked.
capture a eth "not arp and not (udp and port 1111)"
in_guest 'ping -n -q -c 1 -W 1 192.168.241.1' >/dev/null
capture_end a eth 10.0.0.2
ok "without the tunnel its traffic is on the cable in the clear, and the search finds it [crash-unit]" \
	grep -q 192.168.241.1 <(tcpdump -n -r "$(capture_file a eth)" net 192.168.241.0/24 2>/dev/null)
ok "it is purged [deb-purge]" in_guest 'dpkg -P ginnel-wg'
guest_is "and nothing of it is left but the tunnel's own file [deb-purge]" \
	'find / -xdev \( -path /proc -o -path /sys -o -path /root -o -path /var/lib/dpkg -o -path /var/log \) -prune -o -iname "*ginnel*" -print
	find /run -iname "*ginnel*"; getent passwd ginnel-wg; ls -d /run/wireguard 2>/dev/null; ls /etc/wireguard' wg0.conf
ok "the guest shuts down" guest_off
lab_end
