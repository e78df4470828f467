#!/bin/bash
# tier: full release
# What is exported for network managers, run by them in the guest as its own comments say: a node by systemd-networkd 252,
# a person by NetworkManager.  tests/guest/office.sh draws the hosts.
# shellcheck source=tests/net/lib.sh
. "${0%/*}/lib.sh"
# shellcheck source=tests/guest/lib.sh
. "${0%/*}/../guest/lib.sh"
guest_image
# shellcheck source=tests/guest/office.sh
. "${0%/*}/../guest/office.sh"
office_build || bail "no office"

files=/run/lab/files
mkdir $files
# said FILE WORD: a command that begins so, of the file's comments.
said() { sed -n "s/^#   \(- as root: \)\?\($2.*\)/\2/p" "$1"; }

# --- systemd-networkd

is "the files of networkd are written into a directory [export-networkd]" \
	"$(office export --into=$files a networkd; ls $files)" $'office.netdev\noffice.network'
is "or printed, each behind its name [export-networkd]" "$(office export a networkd)" \
	"$(for f in netdev network; do echo "# ---- office.$f ----"; cat $files/office.$f; done)"
for f in netdev network; do
	in_guest "cat >/etc/systemd/network/office.$f" $files/office.$f
done
ok "with its key where networkd may read it, as they say [export-networkd]" in_guest "
	$(said $files/office.netdev install) && [ \"\$(stat -c '%a %G' /etc/systemd/network/office.key)\" = '640 systemd-network' ]"
ok "networkd brings the node up [export-networkd]" in_guest '
	systemctl start systemd-networkd
	for i in $(seq 600); do ip route show dev office 2>/dev/null | grep -cF -e 192.168.200.0/24 -e 10.70.0.0/16 | grep -x 2 && break; sleep 0.1; done
	ip -d link show office | grep -w wireguard || { journalctl -u systemd-networkd --no-pager; networkctl status office; exit 1; }'
is "with its routes, of our metric [export-networkd]" "$(in_guest 'ip route show dev office | sed "s/ *$//;s/proto static //;s/scope link //" | sort')" \
	$'10.70.0.0/16 metric 5000\n192.168.200.0/24 metric 5000'
is "and MTU and address [export-networkd]" \
	"$(in_guest 'cat /sys/class/net/office/mtu; ip -o -4 addr show office | sed "s/.*inet \([^ ]*\).*/\1/"')" $'1420\n10.70.0.2/32'
ok "it reaches the hub [export-networkd]" guest_pings 10.70.0.1
fails "its LAN nobody yet: what it needs besides is said [export-networkd]" in_guest 'ip netns exec b ping -n -q -c 1 -W 2 10.70.0.1'
office export a nft >$files/nft
in_guest 'nft -f -' $files/nft
in_guest "$(said $files/office.netdev echo)" >/dev/null
ok "with that its LAN reaches the other LAN [export-networkd]" b_pings 192.168.200.244
ok "and that one it [export-networkd]" within 60 in_ns d ping -n -q -c 1 -W 5 192.168.201.55
ok "segments are clamped [export-networkd]" in_guest 'nft list table inet ginnel-office | grep maxseg'

# A node more, whose machine is never there, and a secret for each; a member that has one and a hub that has none have no session.
office_file '' '' 'g node 192.168.202.0/24 return route at .2' 'psk on'
echo "g key $(wg genkey | wg pubkey)" | accept
office export --into=$files a networkd
psk_of() { sed -n "s/^$1 //p" $desk/office.psk; }
is "the file with a pre-shared key is for its owner only [export-networkd] [psk-file]" \
	"$(stat -c %a $files/office.netdev) $(grep -c "^PresharedKey=$(psk_of a)$" $files/office.netdev)" "600 1"
for f in netdev network; do
	in_guest "umask 077; cat >/etc/systemd/network/office.$f; [ $f = netdev ] || chmod 644 /etc/systemd/network/office.$f" $files/office.$f
done
ok "a change comes by the commands that are said [export-networkd]" in_guest "
	$(said $files/office.netdev chown) && $(said $files/office.netdev systemctl)
	for i in \$(seq 600); do { ip route show dev office && wg show office allowed-ips; } 2>/dev/null | grep -cF 192.168.202.0/24 | grep -x 2 && break; sleep 0.1; done
	wg show office allowed-ips | grep -F 192.168.202.0/24 || { journalctl -u systemd-networkd --no-pager; exit 1; }"
is "the pre-shared key with it [export-networkd] [psk-export]" "$(in_guest 'wg show office preshared-keys | cut -f2')" "$(psk_of a)"
ok "which the journal does not have, nor a complaint about who may read it [psk-secret]" in_guest \
	"! journalctl --no-pager | grep -F -e '$(psk_of a)' && ! journalctl --no-pager | grep -i 'office.netdev.*accessible'"
up_in c && up_in z || bail "no pre-shared keys"
# What there was of sessions is from before.
in_guest 'ip link del office; systemctl restart systemd-networkd'
ok "and traffic goes on [export-networkd] [psk-export]" b_pings 192.168.200.244
in_guest 'systemctl stop systemd-networkd.socket systemd-networkd; ip link del office; rm /etc/systemd/network/office.*
	nft flush ruleset; sysctl -qw net.ipv4.ip_forward=0'

# --- NetworkManager

office export --interface=away --into=$files e nm
is "a keyfile is for root only and has no key, but the pre-shared one [export-nm] [office-secret]" \
	"$(stat -c %a $files/away.nmconnection) $(grep -c '^private-key=' $files/away.nmconnection) $(grep -c "^preshared-key=$(psk_of e)$" $files/away.nmconnection)" "600 0 1"
in_guest 'umask 077; cat >/etc/NetworkManager/system-connections/away.nmconnection' $files/away.nmconnection
in_guest 'rm /etc/systemd/system/{dbus.socket,dbus.service,NetworkManager.service}
	printf "[main]\nno-auto-default=*\n[keyfile]\nunmanaged-devices=*,except:interface-name:away\n" >/etc/NetworkManager/conf.d/test.conf
	systemctl daemon-reload; systemctl start dbus.socket'
ok "NetworkManager runs [export-nm]" in_guest 'systemctl start NetworkManager && for i in $(seq 300); do nmcli general && break; sleep 0.2; done'
ok "it takes the keyfile, once the key is in it, as that says [export-nm]" in_guest "
	cd /etc/NetworkManager/system-connections && $(said $files/away.nmconnection '{ printf') && ls -l && $(said $files/away.nmconnection 'nmcli') ||
		{ journalctl -u NetworkManager --no-pager | tail -n 40; exit 1; }"
ok "which stays root's own, with the key in it once [export-nm]" in_guest '
	f=/etc/NetworkManager/system-connections/away.nmconnection
	[ "$(stat -c "%a %U" $f)" = "600 root" ] && [ "$(grep "^private-key=" $f)" = "private-key=$(cat /etc/ginnel/away.key)" ]'
is "with its pre-shared key [export-nm] [psk-export]" "$(in_guest 'wg show away preshared-keys | cut -f2')" "$(psk_of e)"
is "the person has the routes, of our metric [export-nm]" "$(in_guest 'ip route show dev away | sed "s/ *$//;s/proto static //;s/scope link //" | sort')" \
	$'10.70.0.0/16 metric 5000\n192.168.200.0/24 metric 5000\n192.168.201.0/24 metric 5000\n192.168.202.0/24 metric 5000'
ok "it reaches the hub [export-nm]" guest_pings 10.70.0.1
ok "and a LAN [export-nm]" guest_pings 192.168.200.244
ok "and that the person [export-nm]" within 60 in_ns d ping -n -q -c 1 -W 5 10.70.0.4
is "with the MTU that is said, by the kernel's WireGuard [export-nm]" \
	"$(in_guest 'cat /sys/class/net/away/mtu; ip -d link show away | grep -o -w wireguard')" $'1420\nwireguard'
ok "and goes down [export-nm]" in_guest 'nmcli connection down away && for i in $(seq 300); do ip link show away || exit 0; sleep 0.2; done; false'
ok "the guest shuts down" guest_off
lab_end
