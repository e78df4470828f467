#!/bin/bash
# tier: full release
# The Debian package in the guest: installed, a tunnel enabled by its unit, killed, reloaded and upgraded under traffic,
# removed and purged.  tests/guest/package.sh draws the hosts; all that the guest sends passes the eth of host a.
# shellcheck source=tests/net/lib.sh
. "${0%/*}/lib.sh"
# shellcheck source=tests/guest/lib.sh
. "${0%/*}/../guest/lib.sh"
# shellcheck source=tests/guest/package.sh
. "${0%/*}/../guest/package.sh"

# --- what is in the packages

holds() # PACKAGE FILE...: whole paths, or how they begin
{
	local list file missing=''

	list=$(dpkg-deb --fsys-tarfile "$(echo "$top/.build/deb/$1"_*.deb)" | tar -t) || return
	for file in "${@:2}"; do
		grep -q "^\./$file" <<<"$list" || missing+=" $file"
	done
	echo "missing:$missing"
	[[ ! $missing ]]
}
ok "the package has programs, units, user, directories, manuals, completion and the setting for wg-quick [deb-holds]" \
	holds ginnel-wg usr/bin/ginnel-{wg,conf}$ lib/systemd/system/ginnel-{wg,conf}@.service$ usr/lib/{sysusers,tmpfiles}.d/ginnel-wg.conf$ \
	usr/share/man/man8/ginnel-{wg,conf}.8.gz$ usr/share/bash-completion/completions/ginnel-{wg,conf}.bash$ \
	usr/share/doc/ginnel-wg/{OPERATIONS.md,examples/wg-quick-ginnel.conf}
ok "that of the front has its programs, unit, manuals and completion [deb-holds]" \
	holds ginnel usr/bin/ginnel{,-lab,-office,-scope}$ lib/systemd/system/ginnel-office@.service$ usr/share/man/man1/ginnel{,-scope}.1.gz$ usr/share/bash-completion/completions/ginnel{,-scope}.bash$
id=$(readelf -n /run/lab/later/usr/bin/ginnel-wg | sed -n 's/.*Build ID: //p')
ok "and that of the symbols those of the very program [deb-holds]" holds ginnel-wg-dbgsym "usr/lib/debug/.build-id/${id:0:2}/${id:2}.debug$"
ok "lintian finds no fault with them [deb-lintian]" lintian --fail-on error,warning "$top"/.build/deb/*.changes

# --- install, enable

ok "the package is installed [deb-install]" in_guest 'dpkg -i ginnel-wg.deb && getent passwd ginnel-wg && stat -c "%a %U %G" /run/ginnel | grep -x "1775 root ginnel-wg"'
ok "a tunnel is enabled and started by its unit [unit-start]" in_guest 'systemctl enable --now ginnel-wg@wg0 || { journalctl -n 40 --no-pager; false; }'
guest_is "as its own user, and systemd knows when it serves [unit-start]" \
	'systemctl show -P Type ginnel-wg@wg0; systemctl is-active ginnel-wg@wg0; ps -o euser:20= -p $(systemctl show -P MainPID ginnel-wg@wg0)' \
	$'notify\nactive\nginnel-wg'
ok "the tunnel of the file carries, and is the default route [unit-start] [unit-default-route]" \
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

# in_the_clear: packets of the tunnel's addresses on the cable, and lines of all bytes there that have what the pings carry.
in_the_clear()
{
	local file
	file=$(capture_file a eth)
	echo "$(tcpdump -n -r "$file" net 192.168.241.0/24 or net 172.31.0.0/16 2>/dev/null | wc -l) $(grep -a -c ginnelginnel "$file")"
}

rules=$(in_guest 'ip rule')
is "rules send there what is not the tunnel's own [unit-default-route]" "$(grep -c -e 'not from all fwmark' -e suppress_prefixlength <<<"$rules")" 2
before=$(in_guest "$place")
capture a eth "not arp" -s 0
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
ok "what was on the cable is the tunnel's messages, from before and after [crash-unit]" \
	test "$(tcpdump -n -r "$(capture_file a eth)" src 10.0.0.2 and udp dst port 1111 2>/dev/null | wc -l)" -ge 20
is "nothing of the traffic was there in the clear, neither packets nor what they carried [crash-unit]" "$(in_the_clear)" "0 0"

# --- reload

handshake=$(in_guest 'wg show wg0 latest-handshakes | cut -f2')
printf '\n[Peer]\nPublicKey = %s\nPresharedKey = %s\nAllowedIPs = 10.77.0.0/16\n' "$pub3" "$psk" >/run/lab/peer
ok "a changed file is reloaded under traffic [unit-reload]" in_guest 'cat >>/etc/wireguard/wg0.conf
	ping -n -q -c 60 -i 0.05 -W 60 192.168.241.1 >/root/ping3 2>&1 &
	systemctl reload ginnel-wg@wg0; status=$?; wait; exit $status' /run/lab/peer
is "the new peer is there, with its route [unit-reload]" "$(in_guest "wg show wg0 allowed-ips | grep -F '$pub3' | cut -f2; ip route show 10.77.0.0/16 | cut -d' ' -f1")" \
	$'10.77.0.0/16\n10.77.0.0/16'
ok "and the other's session goes on [unit-reload]" same_session "$handshake" "$(in_guest "wg show wg0 latest-handshakes | grep -F '$pub1' | cut -f2")"
ok "without a packet lost [unit-reload]" in_guest 'cat ping3; grep " 0% packet loss" ping3'
ok "a file that is wrong is refused, and the tunnel goes on [unit-reload]" in_guest '
	echo Nonsense >>/etc/wireguard/wg0.conf
	! systemctl reload ginnel-wg@wg0 && systemctl is-active ginnel-wg@wg0 && sed -i "\$d" /etc/wireguard/wg0.conf &&
	journalctl -u ginnel-wg@wg0 | grep "wg0.conf:[0-9]*:1: " && ping -n -q -c 1 -W 30 192.168.241.1'
ok "no key is in the journal [unit-reload]" in_guest "! journalctl --no-pager | grep -F -e '$key2' -e '$psk'"

# --- upgrade

in_ns_exec a socat -u TCP-LISTEN:5201 CREATE:/run/lab/got &
receiver=$!
within 60 lab_listens a 5201
# A session that is young.
in_guest "wg set wg0 peer '$pub1' remove && systemctl reload ginnel-wg@wg0 && ping -n -q -c 1 -W 60 192.168.241.1" >/dev/null
before_main=$(in_guest "$main") before_place=$(in_guest "$place") before_handshake=$(handshake_at_peer)
ok "the package is upgraded while a TCP transfer goes on, and pings [deb-upgrade]" in_guest '
	{ while [ ! -e stop ]; do head -c 20000 /dev/urandom; sleep 0.05; done | tee sent | socat -u - TCP:192.168.241.1:5201; } & sender=$!
	ping -n -i 0.1 172.31.0.1 >ping4 2>&1 & ping=$!
	sleep 1
	dpkg -i later.deb; status=$?
	for i in 1 2; do
		s=$(stat -c %s sent) n=$(wc -l <ping4)
		for k in $(seq 300); do [ $(stat -c %s sent) -gt $s ] && [ $(wc -l <ping4) -gt $n ] && echo more && break; sleep 0.1; done
	done >during
	for k in $(seq 300); do [ -e /proc/'"${before_main%% *}"' ] || break; sleep 0.1; done
	touch stop; wait $sender; kill -INT $ping; wait $ping
	[ $status = 0 ] || { journalctl -n 40 --no-pager; exit 1; }'
after_handshake=$(handshake_at_peer)
wait "$receiver"
guest_is "both went on when it was done [deb-upgrade]" 'cat during' $'more\nmore'
is "the transfer lost no byte [deb-upgrade]" "$(sha256sum </run/lab/got)" "$(in_guest 'sha256sum <sent')"
ok "no ping was lost, and none out of order [deb-upgrade]" in_guest '
	tail -n 30 ping4
	sed -n "s/.*icmp_seq=\([0-9]*\) .*/\1/p" ping4 | awk "\$1 != NR { exit 1 }" &&
	awk "/ packets transmitted/ { exit !(\$4 > 20 && \$1 - \$4 <= 1) }" ping4'
ok "no session was lost: the peer had no handshake [deb-upgrade]" same_session "$before_handshake" "$after_handshake"
is "and no counter twice [deb-upgrade]" "$(replays)" 0
read -r pid restarts _ <<<"$before_main"
ok "the new program is the main process, and the service was not started again [deb-upgrade]" in_guest "
	set -x; now=\$($main)
	[ \"\${now#* }\" = '$restarts active' ] && [ \"\${now%% *}\" != $pid ] && [ ! -e /proc/$pid ] &&
	[ /proc/\${now%% *}/exe -ef /usr/bin/ginnel-wg ] && systemctl status ginnel-wg@wg0 | grep 'Main PID: '\${now%% *}"
ok "in its box, with the capabilities that it needs [deb-upgrade] [unit-hardened]" in_guest '
	p=$(systemctl show -P MainPID ginnel-wg@wg0)
	cat /proc/$p/status; grep -q "^Seccomp:.2" /proc/$p/status && grep -q "^CapEff:.*0000000000001c00" /proc/$p/status &&
	[ "$(ps -o euser:20= -p $p)" = ginnel-wg ]'
ok "its manager found nothing to complain about [deb-upgrade]" in_guest '
	journalctl --no-pager -u ginnel-wg@wg0 | tail -n 30
	! journalctl --no-pager -u ginnel-wg@wg0 | grep -E "refusing|not our child|reception only permitted"'
is "all that hangs on the interface is as it was [deb-upgrade]" "$(in_guest "$place")" "$before_place"
ok "a reload without anything new changes nothing [unit-reload]" in_guest "before=\$($main); systemctl reload ginnel-wg@wg0 && [ \"\$before\" = \"\$($main)\" ]"
ok "killed with -9 after that, it is there again on the same interface [crash-unit]" in_guest "before=\$($main)
	systemctl kill --kill-whom=main --signal=KILL ginnel-wg@wg0
	for i in \$(seq 300); do now=\$($main); [ \"\$now\" != \"\$before\" ] && [ \"\${now##* }\" = active ] && break; sleep 0.2; done
	ping -n -q -c 1 -W 60 192.168.241.1 && journalctl -u ginnel-wg@wg0 | grep -c 'took up the interface wg0' | grep -x 2"
is "with all that hangs on it [crash-unit]" "$(in_guest "$place")" "$before_place"
# --- remove, purge

ok "the package is removed [deb-remove]" in_guest 'dpkg -r ginnel-wg'
is "and with it its rules [deb-remove]" "$(in_guest 'ip rule | grep -c -e "not from all fwmark" -e suppress_prefixlength')" 0
ok "and with it the running tunnel [deb-remove]" in_guest '! ip link show wg0 && ! pgrep ginnel && [ ! -e /run/wireguard/wg0.sock ]'
# What the search above looked for: this is how it would have looked.
capture a eth "not arp" -s 0
in_guest 'ping -n -q -c 1 -W 1 -p 67696e6e656c 192.168.241.1' >/dev/null
capture_end a eth 10.0.0.2
ok "without the tunnel its traffic is on the cable in the clear, and the search finds both [crash-unit]" grep -x '[1-9][0-9]* [1-9][0-9]*' <(in_the_clear)
purge='setpriv --reuid=ginnel-wg --clear-groups sleep 900 </dev/null >/dev/null 2>&1 & dpkg -P ginnel-wg 2>&1; echo "status $?"; kill $!; wait; userdel ginnel-wg'
is "it is purged, also while somebody runs something as its user [deb-purge]" \
	"$(in_guest "$purge" 2>&1 | grep -x -e 'status 0' -e 'ginnel-wg: its user stays; when nothing runs as it: userdel ginnel-wg')" \
	"ginnel-wg: its user stays; when nothing runs as it: userdel ginnel-wg
status 0"
guest_is "and nothing of it is left but the tunnel's own file [deb-purge]" \
	'find / -xdev \( -path /proc -o -path /sys -o -path /root -o -path /var/lib/dpkg -o -path /var/log \) -prune -o -iname "*ginnel*" -print
	find /run -iname "*ginnel*"; getent passwd ginnel-wg; ls -d /run/wireguard 2>/dev/null; ls /etc/wireguard' wg0.conf
ok "the guest shuts down" guest_off
lab_end
