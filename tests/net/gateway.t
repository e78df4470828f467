#!/usr/bin/env bash
# shellcheck disable=SC2317 # functions called by name
# What the probe of a gateway finds, with gateways that do all that they can do.
#
#	node ------- gw ------- isp
#	 .2   LAN   .1   masquerade
. "${0%/*}/lib.sh"
lab_enter 600 "$@"

probe=${WG%/bin/*}/tests/net/gateway/probe
target=10.70.0.1

ns_add node gw isp && link_add node eth gw lan && link_add gw wan isp eth &&
	addr node eth 192.168.7.2/24 && addr gw lan 192.168.7.1/24 && addr gw wan 203.0.113.2/24 && addr isp eth 203.0.113.1/24 &&
	ip -n gw route add default via 203.0.113.1 && ip -n node route add default via 192.168.7.1 || exit
for host in gw isp; do
	in_ns $host sh -c 'for f in /proc/sys/net/ipv4/conf/*/send_redirects; do echo 0 >$f; done; echo 1 >/proc/sys/net/ipv4/ip_forward'
done

# rules TEXT: those of the gateway, of which nothing is remembered.
rules()
{
	in_ns gw nft -f - <<-END
		flush ruleset
		table ip gw {
			chain through {
				type filter hook forward priority filter
				$1
			}
			chain out {
				type nat hook postrouting priority srcnat
				oifname "wan" masquerade
			}
		}
	END
}
finds() { is "$1 [probe-gateway]" "$(in_ns node "$probe" eth 192.168.7.2 192.168.7.1 $target ${3-} 2>&1)" "$2"; }

rules ''
finds "without a route it is snat, at once: the next hop answers" snat
rules 'iifname "lan" oifname "wan" drop'
finds "and after the deadline where nobody does" snat 1500
rules ''
ip -n gw route add 10.70.0.0/16 via 192.168.7.2
finds "with a route it is route" route
finds "again too: the flows are fresh ones" route
rules 'ct state invalid drop'
finds "with a route and a filter that drops half of a flow, route+gw" route+gw
finds "again too" route+gw
rules 'tcp flags ack / syn,ack drop'
finds "whatever the filter knows them by" route+gw
rules 'iifname "lan" oifname "lan" drop'
finds "a gateway that passes nothing back into the LAN is as one without a route" snat 1500
rules 'iifname "lan" oifname "lan" reject'
finds "at once where it says so" snat
rules 'numgen inc mod 4 1 drop'
finds "of a way that loses packets it is not thought that it is strict" route
rules ''
ip -n gw route add unreachable 10.70.0.1/32
finds "a gateway that says that there is no way is one without a route" snat
ip -n gw route del unreachable 10.70.0.1/32

capture isp eth "tcp or udp"
capture node eth "tcp[tcpflags] & tcp-rst != 0 or udp"
finds "what comes back goes no further" route
capture_end isp eth 203.0.113.2
capture_end node eth 192.168.7.1
is "neither to the target nor into the node's own TCP [probe-gateway]" "$(captured isp eth; captured node eth)" ""

ip -n gw link set lan down
cable_is_out() { [[ $(ip -n node -br link show dev eth) != *" UP "* ]]; }
ok "the cable is out" within 60 cable_is_out
finds "who does not answer ARP is no gateway" EHOSTUNREACH 700
is "a device that is not there is said so [probe-gateway]" "$(in_ns node "$probe" eth7 192.168.7.2 192.168.7.1 $target)" ENODEV
is "so is IPv6 [probe-gateway]" "$(in_ns node "$probe" eth fd00::2 fd00::1 fd70::1)" EAFNOSUPPORT
is "and a lack of rights [probe-gateway]" \
	"$(in_ns node setpriv --bounding-set=-net_raw --inh-caps=-net_raw "$probe" eth 192.168.7.2 192.168.7.1 $target)" EPERM
lab_end
