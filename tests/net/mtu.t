#!/usr/bin/env bash
# What the measure of a path finds, over paths that do all that they can do.
#
#	here ------- way ------- there
#	      1500         1400
. "${0%/*}/lib.sh"
lab_enter 600 "$@"

mtu=${WG%/bin/*}/tests/net/gateway/mtu

ns_add here way there && link_add here eth way left && link_add way right there eth &&
	addr here eth 10.0.1.2/24 && addr way left 10.0.1.1/24 && addr way right 10.0.2.1/24 && addr there eth 10.0.2.2/24 &&
	addr here eth fd00:1::2/64 && addr way left fd00:1::1/64 && addr way right fd00:2::1/64 && addr there eth fd00:2::2/64 &&
	ip -n here route add default via 10.0.1.1 && ip -n there route add default via 10.0.2.1 &&
	ip -n here route add default via fd00:1::1 && ip -n there route add default via fd00:2::1 || exit
in_ns way sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1

# path SIZE: what fits behind the first cable.  Nobody remembers what fitted before.
path()
{
	ip -n way link set right mtu "$1" && ip -n there link set eth mtu "$1"
	in_ns here sysctl -qw net.ipv4.route.flush=1
	ip -n here -6 route flush cache
}
# rules TEXT: what happens to packets on the way.
rules()
{
	in_ns way nft -f - <<-END
		flush ruleset
		table inet way {
			chain through {
				type filter hook forward priority filter
				$1
			}
			chain out {
				type filter hook output priority filter
				${2-}
			}
		}
	END
}
finds() { is "$1 [mtu-echo]" "$(in_ns here "$mtu" "${@:3}" 2>&1)" "$2"; }

for to in 10.0.2.2 fd00:2::2; do
	rules ''
	path 1500
	finds "$to: where all fits it is the most" 1480 $to 1340 1480
	path 1400
	finds "$to: where less does, that" 1400 $to 1340 1480
	finds "$to: again too" 1400 $to 1340 1480
	path 1341
	finds "$to: one more than the least" 1341 $to 1340 1480
	path 1340
	finds "$to: the least" 1340 $to 1340 1480
	path 1300
	finds "$to: and 0 where less than that fits" 0 $to 1340 1480
	path 1400
	# The link's own, of which nobody is told.
	rules '' 'icmp type destination-unreachable drop; icmpv6 type packet-too-big drop'
	finds "$to: a way that says nothing is measured all the same" 1400 $to 1340 1480
	rules 'meta length > 1380 drop'
	finds "$to: so is a filter" 1380 $to 1340 1480
	rules 'meta length > 1380 drop; numgen inc mod 5 1 drop'
	finds "$to: of a way that loses packets it is not thought that it carries less" 1380 $to 1340 1480
	path 1500
	rules 'meta length > 1000 drop'
	finds "$to: who answers small ones only has no size" 0 $to 1340 1480
	rules 'drop'
	finds "$to: who does not answer has none either" ETIMEDOUT $to 1340 1480
	rules ''
	ip -n here link set eth mtu 1420
	finds "$to: nor is more tried than leaves this machine" 1420 $to 1340 1480
	ip -n here link set eth mtu 1500
done
finds "least and most may be the same" 1400 10.0.2.2 1400 1400
is "a lack of rights is told [mtu-echo]" \
	"$(in_ns here setpriv --bounding-set=-net_raw --inh-caps=-net_raw "$mtu" 10.0.2.2 1340 1480)" EPERM
lab_end
