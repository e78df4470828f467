#!/bin/bash
# tier: full
# Sessions with the WireGuard of Linux 6.1 in the guest, with one and with two workers: 120 seconds after their first
# handshake the sender has new keys, by whichever end they were started.
# shellcheck source=tests/net/lib.sh
. "${0%/*}/lib.sh"
# shellcheck source=tests/guest/lib.sh
. "${0%/*}/../guest/lib.sh"
guest_image
lab_enter 840 "$@"
# shellcheck source=tests/guest/pair.sh
. "${0%/*}/../guest/pair.sh"

# renewed_tunnel WORKERS STARTER: a tunnel whose starter sends a packet each second, so that it renews its keys.
renewed_tunnel()
{
	local name=wg$1$2 net=$((240 + $1)) key theirs at=() port
	[[ $2 == a ]] || ((net += 5))
	port=$((3000 + net)) key=$(wg genkey) theirs=$(wg genkey)

	GINNEL_WG_OPTIONS="--workers=$1" wg_start a "$name" || bail "no daemon"
	[[ $2 == a ]] && at=(endpoint "10.0.0.2:$port")
	wg set "$name" private-key <(echo "$key") listen-port "$port" peer "$(wg pubkey <<<"$theirs")" \
		allowed-ips "192.168.$net.2/32" "${at[@]}" &&
		addr a "$name" "192.168.$net.1/24" && ip -n a link set "$name" up || bail "no tunnel $name"
	[[ $2 == a ]] && at=() || at=(endpoint "10.0.0.1:$port")
	guest_run 120 "
		modprobe wireguard && ip link add $name type wireguard &&
		wg set $name private-key <(echo $theirs) listen-port $port \
			peer $(wg pubkey <<<"$key") allowed-ips 192.168.$net.1/32 ${at[*]} &&
		ip addr add 192.168.$net.2/24 dev $name && ip link set $name up" || bail "no tunnel $name"
	if [[ $2 == a ]]; then
		in_ns a ping -n -q "192.168.$net.2" >/dev/null 2>&1 &
		to[$name]=192.168.$net.2
	else
		guest_run 120 "ping -n -q 192.168.$net.1 >/dev/null 2>&1 &"
		to[$name]=192.168.$net.1
	fi
}

is_renewed() { [[ $(wg show "$1" latest-handshakes | cut -f2) -gt $2 ]]; }

declare -A to first
ns_add a
pair_boot
for workers in 1 2; do
	for starter in a guest; do
		renewed_tunnel $workers $starter
	done
done
for name in wg1a wg1guest wg2a wg2guest; do
	within 60 is_renewed $name 0 || bail "no session to renew in $name"
	first[$name]=$(wg_field $name latest-handshakes)
done
for workers in 1 2; do
	for starter in a guest; do
		name=wg$workers$starter
		[[ $starter == a ]] && what="we renew the keys of a session with the kernel" ||
			what="the kernel renews the keys of a session with us"
		ok "workers=$workers: $what [interop-kernel-rekey]" within 400 is_renewed $name "${first[$name]}"
		ok "workers=$workers: and the renewed session carries packets [interop-kernel-rekey]" from $starter -c 3 "${to[$name]}"
	done
done
ok "the guest shuts down in order [interop-kernel-rekey]" guest_off
((tap_failed)) && guest_logs
lab_end
