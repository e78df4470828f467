#!/usr/bin/env bash
# The network of the notes: who reaches whom, and as whom it is seen there; what is lost when something breaks, and
# comes back when it is mended.
#
#	z                 the hub; all others behind carriers' NATs
#	a   LAN1 192.168.201.0/24 with b .55        c   LAN2 192.168.200.0/24 with d .244
#	e   f             at home
. "${0%/*}/lib.sh"
lab_enter 840 "$@"
. "$top/tests/net/office.sh"
unset LOG_LEVEL

b=192.168.201.55 d=192.168.200.244 e=10.70.0.4 f=10.70.0.5
sed 's|^[ac] node *[0-9./]*|& return route|' "$top/dist/office.net" >/run/lab/office.net

ok "the office comes up [office-lab-join]" lab up /run/lab/office.net --gateway a=static --gateway c=static
office_watch b d e f
is "each member has a key of its own [office-lab-join]" \
	"$(for host in z a c e f; do lab exec $host cat /etc/ginnel/office.key; done | sort -u | wc -l)" 5
speaking() { lab status | awk '/ of / { print $1, $(NF - 2), $(NF - 1), $NF }' | paste -sd,; }
all_speak="z 4 of 4,a 1 of 1,c 1 of 1,e 1 of 1,f 1 of 1"
within 60 eval '[[ $(speaking) == "$all_speak" ]]'
is "status shows who speaks with whom [office-lab-join]" "$(speaking)" "$all_speak"

office_reaches "b reaches d and is seen as itself [office-lan-lan]" b d $d $b
office_reaches "d reaches b and is seen as itself [office-lan-lan]" d b $b $d
office_reaches "e reaches d [office-person-lan]" e d $d $e
office_reaches "f reaches d [office-person-lan]" f d $d $f
office_reaches "e reaches f [office-person-person]" e f $f $e
office_reaches "f reaches e [office-person-person]" f e $e $f

lab break internet c >/dev/null
office_lost "without its uplink c is lost [office-lab-fault]" e d $d
lab mend internet c >/dev/null
office_reaches "with it again c is back [office-lab-fault]" e d $d $e
lab break gateway c >/dev/null
office_lost "without the gateway's routes d's answers are lost [office-lab-fault]" e d $d
lab mend gateway c >/dev/null
office_reaches "with them they come [office-lab-fault]" e d $d $e
lab break nat c >/dev/null
office_reaches "after its carrier's change of address c is found again [office-lab-fault]" e d $d $e
ok "at the new address [office-lab-fault]" grep -q 203.0.113.132: <(lab exec z wg show office endpoints)
lab break hub >/dev/null
office_lost "without the hub nobody reaches anybody [office-lab-fault]" e f $f
lab mend hub >/dev/null
# It remembers where all are: f, who only answers, is reached.
office_reaches "when it is mended they do [office-lab-fault]" e f $f $e

ok "down succeeds [office-lab-down]" lab down
is "and nothing is left [office-lab-down]" \
	"$(ip netns list; pgrep -x ginnel-wg; pgrep -fx 'sleep infinity'; ls -d $office_state 2>/dev/null; ip -o link | grep -v ' lo:')" ""
lab_end
