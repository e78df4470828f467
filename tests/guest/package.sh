# shellcheck shell=bash disable=SC2034,SC2154,SC2015
# tests/guest/package.sh - the guest with the Debian package to be installed, and its peer.  To be read after lib.sh of
# tests/net and of tests/guest; enters the laboratory.  The tunnel is the guest's default route.
#
#	  host a                                               guest
#	+---------------------------+                        +---------------------------+
#	| wg1 192.168.241.1         |   tunnel               | wg0 192.168.241.2         |
#	|     172.31.0.1            | ...................... |                           |
#	| eth 10.0.0.1              |------------------------| eth0 10.0.0.2             |
#	+---------------------------+                        +---------------------------+
#
# In the guest are ginnel-wg.deb, the same a version later as later.deb, and /etc/wireguard/wg0.conf.
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

in_guest() { guest_run 300 "$@"; }
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
AllowedIPs = 0.0.0.0/0
Endpoint = 10.0.0.1:1111
END
in_guest 'ip link set lo up; ip link set eth0 up; ip addr add 10.0.0.2/24 dev eth0; mkdir -p /etc/wireguard
	ip route add default via 10.0.0.1
	umask 077; cat >/etc/wireguard/wg0.conf' /run/lab/wg0.conf || bail "no file in the guest"
guest_put "$deb" /root/ginnel-wg.deb && guest_put /run/lab/later.deb /root/later.deb || bail "no package in the guest"

# What hangs on the interface.
place='ip -o addr show wg0 | sed "s/valid.*//"; ip route show; ip rule; ip link show wg0 | head -n 1'
# The other end's view: when the handshake was, and how often a counter came twice.
replays() { "$(dirname "$WG")/ginnel" stats wg1 --json | python3 -c 'import json, sys; print(sum(d["drops"].get("replay", 0) for d in json.load(sys.stdin)))'; }
handshake_at_peer() { wg show wg1 latest-handshakes | cut -f2; }
# main: pid, restarts and state of the service.
main='systemctl show -P MainPID -P NRestarts -P ActiveState ginnel-wg@wg0 | paste -s -d " "'
same_session() # BEFORE AFTER: no handshake but the one that is due when two minutes are over
{
	(($2 == $1 || $2 - $1 >= 119))
}
