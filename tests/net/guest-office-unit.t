#!/bin/bash
# tier: full release
# The unit of an office's member in the guest, from the Debian packages: enabled, in its box, under drift, reloaded, killed,
# upgraded, restarted, stopped, after a loss of power, and removed.  tests/guest/office.sh draws the hosts; the gateway of the
# guest's LAN is b, so that the node has somebody to ask.
# shellcheck source=tests/net/lib.sh
. "${0%/*}/lib.sh"
# shellcheck source=tests/guest/lib.sh
. "${0%/*}/../guest/lib.sh"
if [[ -z ${GINNEL_LAB-} || $$ != 1 ]]; then
	guest_image
	"$top/scripts/deb" >/dev/null || { echo "Bail out! the package cannot be built"; exit 1; }
fi
# shellcheck source=tests/guest/office.sh
. "${0%/*}/../guest/office.sh"

# The kernel is to say whatever the unit's filter of system calls refuses.
GUEST_APPEND=SYSTEMD_LOG_SECCOMP=1
put_programs()
{
	local package deb

	for package in ginnel-wg ginnel; do
		deb=$(compgen -G "$top/.build/deb/${package}_*.deb") && dpkg-deb -R "$deb" "/run/lab/$package" &&
			dpkg-deb -Znone -b "/run/lab/$package" "/run/lab/$package.deb" >/dev/null &&
			guest_put "/run/lab/$package.deb" "/root/$package.deb" || return
	done
	in_guest 'dpkg -i ginnel-wg.deb ginnel.deb'
}
office_build || bail "no office"
# a's gateway is b, and may be asked.
in_guest 'ip -n b addr add 192.168.201.1/24 dev eth; ip netns exec b sysctl -qw net.ipv4.ip_forward=1
	sysctl -qw kernel.printk_ratelimit=0' || bail "no gateway"
bundle() # LINE...: of a, into the file of that name
{
	office_file '' '' "$@"
	sed -i '/^a node/s/return route at .2/at .2 gw .1/' $desk/office.net
	office export a >/run/lab/bundle
}

unit=ginnel-office@office
# service: pid, restarts and state.
service="systemctl show -P MainPID -P NRestarts -P ActiveState $unit | paste -s -d ' '"
# becomes WORD: the state of the service, soon.  The guest has one processor, and who asks often takes it from who is waited for.
becomes='becomes() { for i in $(seq 100); do [ "$(systemctl is-active '$unit')" = "$1" ] && return; sleep 1; done; journalctl -n 40 --no-pager; false; }
	has() { for i in $(seq 100); do eval "$1" | grep -q -e "$2" && return; sleep 1; done; journalctl -n 40 --no-pager; eval "$1"; false; }
	told() { has "journalctl --no-pager -o cat -u '$unit' --after-cursor=\"\$(cat cursor)\"" "$1"; }
	mark() { journalctl -n 0 --show-cursor | sed -n "s/^-- cursor: //p" >cursor; }
'
in_unit() { in_guest "$becomes$1" "${@:2}"; }
# All that is to be there.
state='ip -o -d link show office | sed "s/ *qdisc.*//"; ip -o addr show office | sed "s/valid_lft.*//"; ip rule; ip route show table all; nft list ruleset
	cd /proc/sys/net/ipv4/conf && grep . office/forwarding lan/forwarding'
# as_then NAME THEN
as_then()
{
	in_guest "$state" >/run/lab/now
	ok "$1" diff /run/lab/now <(echo "$2")
}
daemon='cat /sys/class/net/office/ifindex; pgrep -x ginnel-wg'

# --- enabled

ok "without a bundle it fails once, and says what is wanted [service-lacking]" in_unit "
	mark; ! systemctl start $unit && [ \"\$(systemctl show -P NRestarts -P ActiveState $unit | paste -s -d ' ')\" = '0 failed' ] && told 'there is no bundle from before: give one'"
bundle
ok "it is enabled and started where a bundle is [service-start]" in_unit "
	umask 077; mkdir -p /var/lib/ginnel; cat >/var/lib/ginnel/office.bundle; mark
	systemctl enable --now $unit && becomes active || { journalctl -n 60 --no-pager; false; }" /run/lab/bundle
ok "the hub is reached [service-start]" guest_pings 10.70.0.1
ok "the LAN reaches the other one, and is reached [service-start]" b_pings 192.168.200.244
ok "from there as well [service-start]" within 60 in_ns d ping -n -q -c 1 -W 5 192.168.201.55
ok "systemd knows that it is up, and the journal has what was done [service-start] [service-journal]" in_unit "
	[ \"\$(systemctl show -P StatusText $unit)\" = 'office is up' ] && told 'set the route to 192.168.200.0/24' && told 'set the table inet ginnel-office' &&
	told 'set the setting net/ipv4/conf/lan/forwarding=1' && told 'the gateway 192.168.201.1 has routes to this node' && told 'the path to the hub carries packets of 1420'"
ok "it and the daemon have the capabilities that they need and no other, and are in their boxes [service-box]" in_guest "
	p=\$(systemctl show -P MainPID $unit); grep -e Cap -e Seccomp: /proc/\$p/status /proc/\$(pgrep -x ginnel-wg)/status
	grep -q '^CapEff:.*0000008002003c00' /proc/\$p/status && grep -q '^Seccomp:.2' /proc/\$p/status && grep -q '^Seccomp:.2' /proc/\$(pgrep -x ginnel-wg)/status &&
	! grep -E 'not filtered|not fenced|not locked|cannot be held' /run/ginnel/office.log"

# --- drift

up=$(in_guest "$state")
# mended NAME SCRIPT LINE: what the script does is mended, and is a line of the journal.
mended()
{
	ok "$1 is repaired, and told [service-drift] [service-journal]" in_unit "mark; $2 && told '$3'"
	as_then "and nothing else is another [service-drift]" "$up"
}
mended "a route that somebody takes away" 'ip route del 192.168.200.0/24' 'restored the route to 192.168.200.0/24, found missing'
mended "a setting of the kernel" 'sysctl -qw net.ipv4.conf.lan.forwarding=0' 'restored the setting net/ipv4/conf/lan/forwarding=1, found 0'
mended "the table" 'nft delete table inet ginnel-office' 'restored the table inet ginnel-office, found missing'
ok "rules of iptables of both kinds that drop what is forwarded are passed [service-drift]" in_unit "
	mark; iptables-nft -P FORWARD DROP && iptables-legacy -P FORWARD DROP && systemctl reload $unit &&
	told 'chain ip filter FORWARD' && told 'chain FORWARD of iptables-legacy'"
ok "so that the LANs reach each other [service-drift]" b_pings 192.168.200.244
in_guest 'iptables-nft -F FORWARD; iptables-nft -P FORWARD ACCEPT; iptables-legacy -F FORWARD; iptables-legacy -P FORWARD ACCEPT; nft delete table ip filter'

# --- reload

main=$(in_guest "$service")
bundle 'g node 192.168.202.0/24 return route at .2'
echo "g key $(wg genkey | wg pubkey)" | accept
bundle 'g node 192.168.202.0/24 return route at .2'
ok "a reload puts another bundle in force [service-reload]" in_unit "cat >/var/lib/ginnel/office.bundle; systemctl reload $unit && has 'ip route' 192.168.202.0/24" /run/lab/bundle
ok "one that is wrong is said [service-reload]" in_unit "
	mark; echo nonsense >>/var/lib/ginnel/office.bundle; systemctl reload $unit && told 'office.bundle:[0-9]*:1: ' &&
	has 'systemctl show -P StatusText $unit' 'not all is in force'"
bundle
ok "and the next one is in force again [service-reload]" in_unit "
	cat >/var/lib/ginnel/office.bundle; systemctl reload $unit && ! { ip route | grep 192.168.202.0/24 && ! has 'ip route | grep -c 192.168.202.0/24' 0; } &&
	has 'systemctl show -P StatusText $unit' 'is up'" /run/lab/bundle
as_then "all is as it was [service-reload]" "$up"
is "in the same process [service-reload]" "$(in_guest "$service")" "$main"

# --- killed, upgraded

# pinging SCRIPT: while b pings d and hears each answer, and the daemon and its interface stay.
pinging()
{
	in_unit "before=\$($daemon); ip netns exec b ping -n -i 0.1 -W 60 192.168.200.244 >pings & ping=\$!
		more() { n=\$(wc -l <pings); while [ \$(wc -l <pings) -le \$((n + 9)) ]; do sleep 0.5; done; }
		more; $1
		status=\$?; more; kill -INT \$ping; wait \$ping
		[ \$status = 0 ] && [ \"\$before\" = \"\$($daemon)\" ] &&
		sed -n 's/.*icmp_seq=\([0-9]*\) .*/\1/p' pings | sort -n | awk '\$1 != NR { lost = 1 } END { exit lost || !NR }' ||
			{ tail -n 30 pings; journalctl -n 40 --no-pager; false; }"
}
again="for i in \$(seq 100); do now=\$($service); [ \"\$now\" != \"\$main\" ] && [ \"\${now##* }\" = active ] && break; sleep 1; done"
ok "killed with -9 it is started again, and not a ping is lost [service-crash]" pinging "
	main=\$($service); systemctl kill --kill-whom=main --signal=KILL $unit; $again; echo \"\$main, \$now\"
	set -- \$main \$now; [ \$4 != \$1 ] && [ \$5 = \$((\$2 + 1)) ] && [ \$6 = active ]"
as_then "nothing was taken down [service-crash]" "$up"
ok "with the daemon, too, all of it comes back [service-crash]" in_unit "
	main=\$($service); systemctl kill --kill-whom=all --signal=KILL $unit; $again; becomes active && has 'ip route' 192.168.200.0/24"
ok "and traffic [service-crash]" b_pings 192.168.200.244
for m in ginnel-wg ginnel; do
	sed -i 's/^Version: .*/&+later/; /^Depends:/s/(= \([^)]*\))/(= \1+later)/' /run/lab/$m/DEBIAN/control && dpkg-deb -Znone -b /run/lab/$m /run/lab/$m-later.deb >/dev/null &&
		guest_put /run/lab/$m-later.deb /root/$m-later.deb || bail "no later package"
done
up=$(in_guest "$state")
daemon='cat /sys/class/net/office/ifindex'
ok "the packages are upgraded, and not a ping is lost [service-upgrade]" pinging "
	mark; main=\$($service); dpkg -i ginnel-wg-later.deb ginnel-later.deb && $again
	told 'the daemon of office is the program that is installed now' &&
	[ /proc/\${now%% *}/exe -ef /usr/bin/ginnel-office ] && [ /proc/\$(pgrep -x ginnel-wg)/exe -ef /usr/bin/ginnel-wg ]"
as_then "nothing was taken down [service-upgrade]" "$up"

# --- restart, stop

ok "restarted it is active [service-stop]" in_unit "systemctl restart $unit && becomes active"
ok "and all is there [service-stop]" b_pings 192.168.200.244
stopped='systemctl is-active '$unit'; systemctl show -P Result '$unit'; ip link show office; ip route show proto 103; nft list ruleset; cat /proc/sys/net/ipv4/conf/lan/forwarding; pgrep ginnel; ls /run/ginnel'
is "stopped it leaves nothing [service-stop]" "$(in_guest "systemctl stop $unit; { $stopped; } 2>&1")" 'inactive
success
Device "office" does not exist.
0'

# A person beside it, by the kernel's WireGuard, whose module nobody has loaded.
office_file '' 'engine kernel'
office export e >/run/lab/person
ok "a unit with the kernel's WireGuard comes up [service-engine]" in_guest "
	cat >/var/lib/ginnel/away.bundle; ! grep -w ^wireguard /proc/modules && systemctl start ginnel-office@away && ip -d link show away | grep -w wireguard ||
		{ journalctl -n 40 --no-pager; false; }" /run/lab/person
ok "with traffic [service-engine]" guest_pings -I away 192.168.200.244
ok "and goes [service-engine]" in_guest 'systemctl stop ginnel-office@away && ! ip link show away'

# --- power, and a clock that has lost it

ok "after a loss of power it comes up by itself, in whatever order [service-boot]" in_unit "
	rm -rf /run/ginnel /run/wireguard; rm -f /run/xtables.lock; ip link set lan down; ip addr del 192.168.201.2/24 dev lan
	mkdir /run/systemd/system/ginnel-office@.service.d
	printf '[Service]\nExecStart=\nExecStart=/usr/bin/ginnel-office up --stay --clock-wait=1 --interface=%%i\n' >/run/systemd/system/ginnel-office@.service.d/wait.conf
	date +%s >then; touch -d @\$((\$(cat then) + 40000)) /var/lib/ginnel/office.endpoints
	systemctl daemon-reload; systemd-tmpfiles --create ginnel-wg.conf; mark
	systemctl start multi-user.target && becomes active && told 'this machine has no address in it'
	ip addr add 192.168.201.2/24 dev lan; ip link set lan up; has 'systemctl show -P StatusText $unit' 'is up'"
ok "a clock that is wrong, and that nobody sets, it has set before [service-boot]" in_unit "
	told 'nobody has set the clock: set it to' && [ \$(date +%s) -ge \$((\$(cat then) + 40000)) ]"
ok "and traffic with it [service-boot]" b_pings 192.168.200.244

# --- what it was not let do

ok "no system call was refused, but one for which there is another [service-box]" in_guest '
	journalctl -k --no-pager | grep "type=1326" | tail -n 30
	journalctl -k --no-pager | grep "type=1326.*comm=.ginnel-office.*syscall=435" && ! journalctl -k --no-pager | grep "type=1326" | grep -v "syscall=435 "'
ok "nor anything else [service-box]" in_guest "! journalctl --no-pager -u 'ginnel-office@*' | grep -i -e 'not permitted' -e denied -e read-only"
ok "no private key is in the journal [service-journal]" in_guest '! journalctl --no-pager | grep -F -f /etc/ginnel/office.key -f /etc/ginnel/away.key'
ok "removing the package takes it down [service-remove]" in_guest "dpkg -r ginnel && ! ip link show office && ! pgrep ginnel && ! systemctl is-active $unit"
ok "the guest shuts down" guest_off
lab_end
