#!/bin/bash
# shellcheck disable=SC1010 # "do" in -M do is a word of ping
# The program under test in host a and wireguard-go in host b: either may start, over IPv4 and over IPv6, with and
# without a pre-shared key.
# shellcheck source=tests/net/lib.sh
. "${0%/*}/lib.sh"
lab_enter 600 "$@"
lab_pair
if [[ ! -x $WIREGUARD_GO ]]; then
	echo "Bail out! $WIREGUARD_GO is not there: scripts/packages check installs it"
	exit 1
fi

iperf_bytes()
{
	/usr/bin/python3 -c 'import json, sys; sys.exit(json.load(open("/run/lab/bulk"))["end"]["sum_received"]["bytes"] < 1e6)'
}

for outer in 4 6; do
	for starter in a b; do
		for psk in "" psk; do
			wg_start a wg1 && wg_start b wg2 "$WIREGUARD_GO" || { echo "Bail out! no daemon"; exit 1; }
			[[ $outer == 4 ]] && at=(10.0.0.1 10.0.0.2) || at=(fd00:aa::1 fd00:aa::2)
			# Only the one that starts knows the other's address.
			if [[ $starter == a ]]; then
				lab_tunnel none "${at[1]}" && role=initiator from=a to=192.168.241.2 to6=fd00:241::2
			else
				lab_tunnel "${at[0]}" none && role=responder from=b to=192.168.241.1 to6=fd00:241::1
			fi
			if [[ $psk ]]; then
				wg genpsk >/run/lab/psk
				wg set wg1 peer "$pub2" preshared-key /run/lab/psk
				wg set wg2 peer "$pub1" preshared-key /run/lab/psk
			fi
			id="[interop-go-$role]"
			what="as $role with wireguard-go over IPv$outer${psk:+ with a pre-shared key}"
			ok "$what: IPv4 inside $id" ping4 $from $to
			ok "$what: IPv6 inside $id" ping6 $from $to6
			ok "$what: full-sized packets $id" in_ns $from ping -n -q -c 2 -i 0.1 -W 10 -M do -s 1392 $to
			if [[ -z $psk ]]; then
				for flags in "" -R; do
					iperf a b 192.168.241.2 -n 20M -J $flags >/run/lab/bulk 2>&1
					ok "$what: bulk data ${flags:-forth}${flags:+ (back)} $id" iperf_bytes
				done
			fi
			wg_stop wg1
			wg_stop wg2
		done
	done
done
lab_end
