#!/bin/bash
# tier: full release
# Units whose program changes, in the guest, where all does not go well: a daemon that does not let itself be replaced;
# and wg-quick's own unit.  tests/guest/package.sh draws the hosts.
# shellcheck source=tests/net/lib.sh
. "${0%/*}/lib.sh"
# shellcheck source=tests/guest/lib.sh
. "${0%/*}/../guest/lib.sh"
# shellcheck source=tests/guest/package.sh
. "${0%/*}/../guest/package.sh"

in_guest 'dpkg -i ginnel-wg.deb && systemctl enable --now ginnel-wg@wg0 && ping -n -q -c 1 -W 60 192.168.241.1' >/dev/null || bail "no tunnel"
before_place=$(in_guest "$place")
ok "a daemon that does not let itself be replaced is said, and started anew by the upgrade [deb-upgrade-anew]" in_guest "
	before=\$($main); rm /run/ginnel/wg0.ctl
	dpkg -i later.deb 2>&1 | tee said | grep -F 'cannot be replaced in use' || { cat said; exit 1; }
	for i in \$(seq 300); do now=\$($main); [ \"\$now\" != \"\$before\" ] && [ \"\${now##* }\" = active ] && break; sleep 0.2; done
	ping -n -q -c 1 -W 60 192.168.241.1"
is "with all that hangs on it too [deb-upgrade-anew]" "$(in_guest "$place")" "$before_place"

# --- the unit of wg-quick, where the kernel has no WireGuard

# Its reload sets the mark to what the file says, and none is no way for a default route.
ok "wg-quick's unit uses it by the setting that comes along [unit-wg-quick]" in_guest '
	systemctl stop ginnel-wg@wg0
	sed -i "s/^PrivateKey.*/&\nFwMark = 51820/" /etc/wireguard/wg0.conf
	echo install wireguard /bin/false >/etc/modprobe.d/none.conf
	mkdir -p /etc/systemd/system/wg-quick@.service.d
	cat >/etc/systemd/system/wg-quick@.service.d/ginnel.conf
	systemctl daemon-reload
	systemctl start wg-quick@wg0 || { journalctl -n 40 --no-pager; exit 1; }
	pgrep -x ginnel-wg && ping -n -q -c 1 -W 60 172.31.0.1' "$top/dist/wg-quick-ginnel.conf"
before_handshake=$(handshake_at_peer)
ok "its reload after an upgrade puts the new program in the place of the old one [unit-wg-quick]" in_guest '
	before=$(pgrep -x ginnel-wg)
	cp /usr/bin/ginnel-wg /usr/bin/ginnel-wg.new && mv /usr/bin/ginnel-wg.new /usr/bin/ginnel-wg
	systemctl reload wg-quick@wg0
	for i in $(seq 300); do [ -e /proc/$before ] || break; sleep 0.2; done
	now=$(pgrep -x ginnel-wg); [ "$now" != "$before" ] && [ /proc/$now/exe -ef /usr/bin/ginnel-wg ] &&
	grep -q wg-quick@wg0.service /proc/$now/cgroup && ping -n -q -c 1 -W 60 172.31.0.1 || { journalctl -n 40 --no-pager; exit 1; }'
ok "without a handshake [unit-wg-quick]" same_session "$before_handshake" "$(handshake_at_peer)"
ok "and it stops [unit-wg-quick]" in_guest 'systemctl stop wg-quick@wg0 && ! ip link show wg0 && ! pgrep -x ginnel-wg'

ok "the guest shuts down" guest_off
lab_end
