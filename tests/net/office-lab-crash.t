#!/usr/bin/env bash
# tier: full
# An office's lab that breaks while it is made: at its calls of other programs, by failure, by a signal, by a kill.
. "${0%/*}/lib.sh"
lab_enter 840 "$@"
unset LOG_LEVEL

cat >/run/lab/office.net <<'END'
z hub z.example.com
a node 192.168.201.0/24
b host a .55
e person
END
lab() { "${WG%/*}/ginnel" lab "$@" </dev/null; }
left()
{
	find /run -mindepth 1 ! -path '/run/lab*' ! -path /run/netns ! -path /run/mount ! -path /run/wireguard ! -path /run/ginnel
	ip netns list
	ip -o link show | grep -v ' lo:'
	pgrep -fx 'sleep infinity'
}

mkdir /run/lab/stub
for program in ip nsenter; do
	cat >/run/lab/stub/$program <<-END && chmod +x /run/lab/stub/$program
		#!/bin/bash
		count=\$((\$(</run/lab/count) + 1))
		echo \$count >/run/lab/count
		((count == BREAK_AT)) && [[ \$BREAK_BY == fail ]] && { echo "broken on purpose" >&2; exit 1; }
		((count == BREAK_AT)) && kill -"\$BREAK_BY" "\$(</run/lab/victim)"
		PATH=\${PATH#*:}
		exec $program "\$@"
	END
done
# broken_up HOW WHERE: up with that accident; its status.
broken_up()
{
	echo 0 >/run/lab/count
	PATH=/run/lab/stub:$PATH BREAK_BY=$1 BREAK_AT=$2 bash -c \
		'echo $$ >/run/lab/victim; exec "$1" up /run/lab/office.net' broken "${WG%/*}/ginnel-lab" >/run/lab/said 2>&1 </dev/null
}

broken_up none 0
# Nothing of the stubs' is in what is up, and what status asks is not counted.
calls=$(</run/lab/count)
is "without an accident it comes up" "$(lab status | wc -l)" 11
lab down >/dev/null
ok "up calls often enough to be broken: $calls" test "$calls" -gt 20

# accidents HOW STATUS EVERY AFTER...: each EVERYth of them; those that end otherwise or leave something after AFTER.
accidents()
{
	local how=$1 want=$2 every=$3 n status rest
	shift 3
	for ((n = 1; n <= calls; n += every)); do
		broken_up "$how" $n 2>/dev/null
		status=$?
		[[ $how != fail ]] || grep -q 'broken on purpose' /run/lab/said || echo "fail at $n: $(</run/lab/said)"
		"$@" >/run/lab/after 2>&1 || echo "after $how at $n: $*: $(</run/lab/after)"
		rest=$(left)
		[[ $status == "$want" && -z $rest ]] || echo "$how at $n: status $status, left: $rest"
	done
}
again() { lab up /run/lab/office.net && lab exec e ping -n -c 1 -W 10 z.example.com && lab down; }

is "up that fails anywhere leaves nothing [office-lab-crash]" "$(accidents fail 1 2 true)" ""
is "nor does one that is interrupted [office-lab-crash]" "$(accidents TERM 143 3 true)" ""
is "down removes what one that was killed left [office-lab-crash]" "$(accidents KILL 137 3 lab down)" ""
is "and so does the next up [office-lab-crash]" "$(accidents KILL 137 7 again)" ""

broken_up KILL 22 2>/dev/null
is "the next may be the lab of two too [office-lab-crash]" \
	"$(lab up >/dev/null && lab exec a ping -n -q -c 1 -W 10 192.168.241.2 >/dev/null && lab status | grep -c ^host; lab down; left)" $'2\nThe lab is down.'
lab up /run/lab/office.net >/dev/null
umask 077 && rm /run/ginnel-lab/plan /run/ginnel-lab/up
is "down needs nothing of what up wrote [office-lab-crash]" "$(lab down; left)" "The lab is down."
lab_end
