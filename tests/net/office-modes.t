#!/usr/bin/env bash
# tier: full
# Each way back from a LAN with each kind of gateway: what must work, as whom it is seen, and what must not.
#
#	p, a person    none     static    strict      three nodes, each with a host in its LAN (h...) behind a
#	               hnone    hstatic   hstrict     gateway of the kind that it is called after
. "${0%/*}/lib.sh"
lab_enter 840 "$@"
. "$top/tests/net/office.sh"
unset LOG_LEVEL

declare -A lan=([none]=192.168.11 [static]=192.168.12 [strict]=192.168.13)
p=10.70.0.100

# write MODE: the office's file.
write()
{
	cat <<-END
		z hub z.example.com
		none node 192.168.11.0/24 return $1
		static node 192.168.12.0/24 return $1
		strict node 192.168.13.0/24 return $1
		hnone host none .55
		hstatic host static .55
		hstrict host strict .55
		p person $p
	END
}

# change MODE: all three nodes come up with that one.
change()
{
	local kind

	write "$1" >$office_state/office.net
	for kind in none static strict; do
		"$office_bin/ginnel-office" export --file $office_state/office.net $kind >/run/lab/bundle 2>/run/lab/said &&
			"$office_bin/ginnel" lab exec $kind "$office_bin/ginnel-office" up - </run/lab/bundle >>/run/lab/said 2>&1 ||
			{ tap 1 "$kind comes up with $1"; sed 's/^/# /' /run/lab/said; }
	done
}

# to, from: a person calls a host of the LAN, and is called by it.
to() { office_reaches "$1 / $2: p reaches the LAN, seen as $3 [office-modes]" p "h$2" "${lan[$2]}.55" "$3"; }
from() { office_reaches "$1 / $2: the LAN reaches p, seen as itself [office-modes]" "h$2" p $p "${lan[$2]}.55"; }
to_lost() { office_lost "$1 / $2: p does not reach the LAN [office-modes]" p "h$2" "${lan[$2]}.55"; }
from_lost() { office_lost "$1 / $2: the LAN does not reach p [office-modes]" "h$2" p $p; }
# A strict gateway lets the first packets of a call pass, those of which it knows no other: pings, but no TCP.
from_half() { office_lost "$1 / $2: the LAN reaches p by ping, not by TCP [office-modes]" "h$2" p $p "${lan[$2]}.55 -"; }

write route >/run/lab/office.net
ok "the office comes up" lab up /run/lab/office.net --gateway static=static --gateway strict=strict
office_watch p hnone hstatic hstrict

# First what works in a mode: then it is in force, and what does not come does not come late.
change route
to route static $p
from route static
to_lost route none
from_lost route none
to_lost route strict
from_half route strict

change route+gw
to route+gw static $p
from route+gw static
to route+gw strict $p
from route+gw strict
to_lost route+gw none
from_lost route+gw none

change snat
to snat none 192.168.11.2
to snat static 192.168.12.2
to snat strict 192.168.13.2
from snat static
from_lost snat none
from_half snat strict

change auto
to auto none 192.168.11.2
to auto static $p
to auto strict $p
from auto static
from auto strict
from_lost auto none

lab down >/dev/null
lab_end
