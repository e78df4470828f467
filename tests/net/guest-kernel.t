#!/bin/bash
# shellcheck disable=SC1010 # "do" in -M do is a word of ping
# tier: full
# The program under test in host a, the WireGuard of Linux 6.1 in the guest: either may start, over IPv4 and over
# IPv6, with and without a pre-shared key; each end may forget the other, and lose its power.
# shellcheck source=tests/net/lib.sh
. "${0%/*}/lib.sh"
# shellcheck source=tests/guest/lib.sh
. "${0%/*}/../guest/lib.sh"
guest_image
export GINNEL_WG_OPTIONS=${GINNEL_WG_OPTIONS:---workers=2}
lab_enter 840 "$@"
# shellcheck source=tests/guest/pair.sh
. "${0%/*}/../guest/pair.sh"

guest_sees() { [[ $(guest_run 120 "wg show wg2 $1" | cut -f2-) == "$2" ]]; }

ns_add a
pair_boot
pair_guest || bail "no tunnel in the guest"
pair_a

release=$(guest_run 120 "uname -r")
ok "the guest's interface is the kernel's, $release [interop-kernel-initiator]" \
	guest_run 120 'ip -d link show wg2 | grep -w wireguard && [[ ! -e /run/wireguard ]]'

umask 077
wg genpsk >/run/lab/psk
wg genpsk >/run/lab/other
for outer in 4 6; do
	[[ $outer == 4 ]] && at_a=10.0.0.1:1111 at_guest=10.0.0.2:2222 ||
		{ at_a='[fd00:aa::1]:1111' at_guest='[fd00:aa::2]:2222'; }
	for starter in a guest; do
		[[ $starter == a ]] && role=initiator || role=responder
		for psk in "" /run/lab/psk; do
			introduce $starter $outer $psk
			ok "as $role over IPv$outer${psk:+ with a pre-shared key}: both families and full-sized packets \
[interop-kernel-$role]${psk:+ [interop-kernel-psk]}" each_size $starter
		done
	done
	is "both ends saw the other's IPv$outer address [interop-kernel-responder]" \
		"$(wg_field wg1 endpoints) $(guest_run 120 'wg show wg2 endpoints' | cut -f2-)" "$at_guest $at_a"
done

a_forgets 10.0.0.2:2222 /run/lab/psk
guest_forgets 10.0.0.1:1111 /run/lab/other
fails "with two different pre-shared keys nothing gets through [interop-kernel-psk]" from a -c 2 -W 1 192.168.241.2
ok "and the kernel counts no handshake [interop-kernel-psk]" guest_sees latest-handshakes 0

a_forgets 10.0.0.2:2222
guest_forgets 10.0.0.1:1111
bulk_server
for flags in "" -R "-6" "-6 -R"; do
	[[ $flags == -6* ]] && to=fd00:241::2 || to=192.168.241.2
	ok "bulk data to the kernel and back${flags:+, $flags} [interop-kernel-initiator]" within 120 bulk $to ${flags#-6}
done

guest_forgets 10.0.0.1:1111
ok "the kernel forgot us and starts anew: packets get through [interop-kernel-restart]" \
	from guest -c 1 192.168.241.1
a_forgets 10.0.0.2:2222
ok "we forgot the kernel and start anew: the first packet gets through [interop-kernel-restart]" \
	from a -c 1 192.168.241.2
guest_run 120 'ip link set wg2 down && ip link set wg2 up'
ok "the kernel's interface went down and up: its packets get through [interop-kernel-restart]" \
	from guest -c 1 192.168.241.1

# A session is up; the guest loses power, comes back with its keys and does not know where we are.
ok "before the power cut there is a session [interop-kernel-reboot]" from a -c 1 192.168.241.2
guest_kill
pair_boot
pair_guest || bail "no tunnel in the guest"
guest_forgets
ok "the kernel's host was restarted: we find the session dead and make a new one [interop-kernel-reboot]" \
	within 120 from a -c 1 192.168.241.2
ok "and the kernel's packets get through again [interop-kernel-reboot]" from guest -c 2 192.168.241.1
ok "the guest shuts down in order [interop-kernel-reboot]" guest_off
((tap_failed)) && guest_logs
lab_end
