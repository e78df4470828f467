#!/bin/bash
# tier: full
# The newest wg(8), of Debian sid, with its own C library: every command of it against the daemon, and allowed IPs that
# are added and taken away one by one.
# shellcheck disable=SC2046 # words are meant to split
# shellcheck source=tests/net/lib.sh
. "${0%/*}/lib.sh"
foreign NEW sid wireguard-tools libc6
lab_enter 600 "$@"
if [[ ! -x $NEW/run/wg ]]; then
	ok "the newest wg can be fetched [wg-new]" eval "echo '$NEW'; false"
	lab_end
fi
PATH=$NEW/run:$PATH
version=$(awk '$1 == "wireguard-tools" { sub(/-[^-]*$/, "", $2); print $2 }' "$NEW/versions")
is "wg is the one of sid [wg-new]" "$(wg --version | cut -d' ' -f2)" "v$version"
lab_pair
once() { in_ns a ping -n -q -c 1 -W 1 192.168.241.2; }
# An initiation that meets no listener is sent again after five seconds.
soon() { within 60 once; }
wg_start a wg1 && wg_start b wg2 || { echo "Bail out! no daemon"; exit 1; }
wg set wg2 peer "$pub1" preshared-key <(echo "$key1")
wg set wg1 fwmark 0x77 peer "$pub2" preshared-key <(echo "$key1")
lab_tunnel
ok "a tunnel that it set up works [wg-new]" soon
wg set wg1 peer "$pub2" persistent-keepalive 25

# --- show
is "wg show interfaces lists them [wg-new]" "$(wg show interfaces | tr ' ' '\n' | sort | paste -sd' ')" "wg1 wg2"
is "wg show all lists both [wg-new]" "$(wg show all public-key | sort)" "$(printf 'wg1\t%s\nwg2\t%s' "$pub1" "$pub2")"
for what in "public-key $pub1" "private-key $key1" "listen-port 1111" "fwmark 0x77" "preshared-keys $pub2 $key1" \
	"peers $pub2" "endpoints $pub2 10.0.0.2:2222" "allowed-ips $pub2 192.168.241.2/32 fd00:241::2/128" \
	"persistent-keepalive $pub2 25"; do
	is "wg show wg1 ${what%% *} [wg-new]" "$(wg show wg1 "${what%% *}" | tr '\t' ' ')" "${what#* }"
done
fresh()
{
	local at
	at=$(wg_field wg1 latest-handshakes)
	((at > 0 && $(date +%s) - at < 120))
}
ok "wg show wg1 latest-handshakes [wg-new]" fresh
ok "wg show wg1 transfer [wg-new]" test "$(wg_field wg1 transfer | cut -f1)" -ge $((92 + 128))
# Times and counters go on.
is "wg show wg1 dump [wg-new]" "$(wg show wg1 dump | cut -f1-5,8)" \
	"$(printf '%s\t%s\t1111\t0x77\n%s\t%s\t10.0.0.2:2222\t192.168.241.2/32,fd00:241::2/128\t%s\t25' \
		"$key1" "$pub1" "$pub2" "$key1" \
		"$(wg_field wg1 latest-handshakes)")"
ok "wg show wg1, for people [wg-new]" grep -q "every 25 seconds" <(wg show wg1)

# --- configuration files
wg showconf wg1 >/run/lab/conf
is "wg showconf shows all of it [wg-new]" "$(grep -cE '^(ListenPort = 1111|FwMark = 0x77|PrivateKey = |PublicKey = |PresharedKey = |AllowedIPs = 192.168.241.2/32, fd00:241::2/128|Endpoint = 10.0.0.2:2222|PersistentKeepalive = 25)' /run/lab/conf)" 8
before=$(wg_field wg1 latest-handshakes)
ok "wg syncconf with the same [wg-new]" wg syncconf wg1 /run/lab/conf
is "keeps the session [wg-new]" "$(wg_field wg1 latest-handshakes)" "$before"
is "and the configuration [wg-new]" "$(wg showconf wg1)" "$(cat /run/lab/conf)"
other=$(wg genkey | wg pubkey)
printf '[Peer]\nPublicKey = %s\nAllowedIPs = 192.168.99.0/24, fd00:99::/64\n' "$other" >/run/lab/more
ok "wg addconf adds a peer [wg-new]" wg addconf wg1 /run/lab/more
is "and keeps the other [wg-new]" "$(wg show wg1 peers | sort)" "$(printf '%s\n' "$pub2" "$other" | sort)"
ok "wg syncconf takes it away [wg-new]" wg syncconf wg1 /run/lab/conf
is "and nothing else [wg-new]" "$(wg showconf wg1)" "$(cat /run/lab/conf)"
ok "the tunnel still works [wg-new]" soon
ok "wg setconf sets all anew [wg-new]" wg setconf wg1 /run/lab/conf
is "and reads back the same [wg-new]" "$(wg showconf wg1)" "$(cat /run/lab/conf)"
ok "and the tunnel works [wg-new]" soon
printf '[Interface]\nPrivateKey = %s\n' "$key1" >/run/lab/bare
ok "wg setconf of a bare interface [wg-new]" wg setconf wg1 /run/lab/bare
is "leaves no peer [wg-new]" "$(wg show wg1 peers)" ""
wg setconf wg1 /run/lab/conf

# --- allowed IPs one by one
ips() { wg show wg1 allowed-ips | awk -v peer="$pub2" '$1 == peer' | cut -f2 | tr ' ' '\n' | sort | paste -sd' '; }
ok "allowed IPs are added to those that are there [wg-new-allowed-ips]" wg set wg1 peer "$pub2" allowed-ips +10.7.0.0/16,+fd00:7::/48
is "and shown [wg-new-allowed-ips]" "$(ips)" "10.7.0.0/16 192.168.241.2/32 fd00:241::2/128 fd00:7::/48"
ok "and taken away [wg-new-allowed-ips]" wg set wg1 peer "$pub2" allowed-ips -10.7.0.0/16,-fd00:241::2/128
is "and only those [wg-new-allowed-ips]" "$(ips)" "192.168.241.2/32 fd00:7::/48"
ok "both in one [wg-new-allowed-ips]" wg set wg1 peer "$pub2" allowed-ips -fd00:7::/48,+10.8.0.0/16
is "as it says [wg-new-allowed-ips]" "$(ips)" "10.8.0.0/16 192.168.241.2/32"
ok "one that is not there is no error [wg-new-allowed-ips]" wg set wg1 peer "$pub2" allowed-ips -10.99.0.0/16
is "and nothing [wg-new-allowed-ips]" "$(ips)" "10.8.0.0/16 192.168.241.2/32"
wg set wg1 peer "$other" allowed-ips 10.9.0.0/16
ok "another peer's is not taken [wg-new-allowed-ips]" wg set wg1 peer "$pub2" allowed-ips -10.9.0.0/16
is "away from it [wg-new-allowed-ips]" "$(wg show wg1 allowed-ips | grep "$other" | cut -f2)" 10.9.0.0/16
wg set wg1 peer "$pub2" allowed-ips +10.9.0.0/16
is "but moves when it is added [wg-new-allowed-ips]" "$(ips) $(wg show wg1 allowed-ips | grep "$other" | cut -f2)" \
	"10.8.0.0/16 10.9.0.0/16 192.168.241.2/32 (none)"
wg set wg1 peer "$other" remove
ok "traffic goes on meanwhile [wg-new-allowed-ips]" soon
wg set wg1 peer "$pub2" allowed-ips -192.168.241.2/32
fails "and not to what was taken away [wg-new-allowed-ips]" once
wg set wg1 peer "$pub2" allowed-ips +192.168.241.2/32
ok "until it is added again [wg-new-allowed-ips]" soon
lab_end
