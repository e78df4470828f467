#!/usr/bin/env bash
# shellcheck disable=SC2016,SC2317 # programs of inner shells; functions called by name
# tier: full
# ginnel lab: two hosts that stay until they are taken down, and of which nothing stays then, whatever went wrong.
. "${0%/*}/lib.sh"
lab_enter 840 "$@"

# The programs lie together, where nobody can read and run them too.
mkdir /run/lab/bin && cp "$WG" /run/lab/bin/ginnel-wg && cp "${WG%/*}"/ginnel{,-lab,-lab-office,-wg-gdb.py} /run/lab/bin || exit
unset LOG_LEVEL

lab() { /run/lab/bin/ginnel lab "$@" </dev/null; }
# says NAME STATUS WORDS ARGUMENT...: ginnel lab ARGUMENT... exits with STATUS after saying WORDS.
says()
{
	local name=$1 status=$2 words=$3 said got
	shift 3
	said=$(lab "$@" 2>&1)
	got=$?
	ok "$name" test "$got $(grep -cF -- "$words" <<<"$said")" = "$status 1"
	[[ $got == "$status" && $said == *"$words"* ]] || sed "s/^/# $got: /" <<<"$said"
}

daemons() { pgrep -x ginnel-wg; }
# left: whatever a lab could leave behind.
left()
{
	local pid

	find /run -mindepth 1 ! -path '/run/lab*' ! -path /run/netns ! -path /run/wireguard ! -path /run/ginnel
	ip netns list
	ip -o link show | grep -v ' lo:'
	for pid in $(daemons); do
		# Those that are about to end count when they do not.
		within 60 eval '! kill -0 '"$pid"
	done >/dev/null 2>&1
	daemons
}
clean() { is "$1" "$(left)" ""; }

# --- not there

ok "--help needs neither a lab nor root [lab-root]" setpriv --reuid=65534 --clear-groups /run/lab/bin/ginnel lab up --help
for verb in up down status "exec a true" "shell a"; do
	is "without root $verb says what to do [lab-root]" \
		"$(setpriv --reuid=65534 --clear-groups /run/lab/bin/ginnel lab $verb 2>&1; echo $?)" \
		"ginnel lab: needs root: sudo ginnel lab $verb"$'\n1'
done
says "status says that it is down [lab-status]" 1 "The lab is down." status
says "exec says how to get it up [lab-exec]" 1 "ginnel lab up" exec a true
says "a wrong host is refused [lab-exec]" 2 "no host 'c'" exec c true
says "so is an empty one [lab-exec]" 2 "no host ''" exec '' true
says "so is one that is an expression [lab-exec]" 2 "no host" exec 'x$(touch /run/oops)' true
says "so is an unknown command" 2 "unknown command" updown
says "so are arguments too many" 2 "up takes one file" up now then
says "down without a lab succeeds [lab-down]" 0 "There was no lab." down
clean "none of that left anything [lab-down]"
is "ginnel and ginnel-lab have the same commands" \
	"$(/run/lab/bin/ginnel --dump-options | grep -oP '^command\tginnel lab \K\w+' | sort)" \
	"$(lab up --help | grep -oP '^  \K\w+' | sort -u)"
ok "bash completes them" grep -q 'words="up status exec shell down ' <(/run/lab/bin/ginnel --completion=bash)

# --- up

says "up succeeds [lab-up]" 0 "The lab is up." up
for to in 192.168.241.2 fd00:241::2 10.0.0.2 fd00:aa::2; do
	ok "a reaches $to [lab-up]" lab exec a ping -n -c 2 -i 0.1 -W 10 $to
done
ok "b reaches a through the tunnel [lab-up]" lab exec b ping -n -c 2 -i 0.1 -W 10 192.168.241.1
ok "by WireGuard [lab-up]" test "$(wg show ginnel-lab-a latest-handshakes | cut -f2)" -gt 0
is "nobody but root looks into its state [lab-up]" \
	"$(stat -c %a /run/ginnel-lab; find /run/ginnel-lab -type f -perm /077)" 700
ok "status shows both hosts [lab-status]" \
	grep -c 'latest handshake' <(lab status | tee /run/lab/status)
is "with their tunnels [lab-status]" "$(grep -cE '^host [ab]: |^  interface: ginnel-lab-[ab]$' /run/lab/status)" 4
before=$(daemons; wg showconf ginnel-lab-a)
says "up again says that it is up [lab-idempotent]" 0 "The lab is up already." up
is "and changes nothing [lab-idempotent]" "$(daemons; wg showconf ginnel-lab-a)" "$before"

# --- exec, shell

says "exec keeps the status of what it runs [lab-exec]" 7 "seven" exec a sh -c 'echo seven; exit 7'
is "and its arguments [lab-exec]" "$(lab exec b printf '%s|' 'a b' '' -- --help -h '$x')" 'a b||--|--help|-h|$x|'
is "exec passes standard input [lab-exec]" "$(echo in | /run/lab/bin/ginnel lab exec a cat)" in
is "shell runs a shell on the host [lab-exec]" \
	"$(echo 'echo $GINNEL_LAB_HOST $(ip -o -4 addr show eth | grep -o 10.0.0.2)' | SHELL=/bin/sh /run/lab/bin/ginnel lab shell b)" \
	"b 10.0.0.2"
is "up --gdb prints the command that attaches [lab-gdb]" "$(lab up --gdb b | tail -n 1)" \
	"gdb -iex 'add-auto-load-safe-path /run/lab/bin/ginnel-wg-gdb.py' -p $(ip netns pids ginnel-lab-b) /run/lab/bin/ginnel-wg"
ok "which works [lab-gdb]" grep -cF "$(lab exec a wg show ginnel-lab-a public-key)" <(eval "$(lab up --gdb=b | tail -n 1) -batch -nx -ex wg-peers" 2>&1)
ok "and on a terminal GDB is there at once [lab-gdb]" grep -c 'number, public key' \
	<(script -qec '/run/lab/bin/ginnel lab up --gdb a' /dev/null <<<$'help wg-peers\nquit\ny\n')
is "the daemons go on when it has gone [lab-gdb]" "$(daemons; wg showconf ginnel-lab-a)" "$before"
says "a wrong host is not debugged [lab-gdb]" 2 "no host 'c' to debug" up --gdb c
says "nor one that is missing [lab-gdb]" 2 "no host '' to debug" up --gdb

says "down on a host of it is refused [lab-down]" 1 "leave it first" exec a /run/lab/bin/ginnel lab down
says "and so is up [lab-up]" 1 "leave it first" exec a /run/lab/bin/ginnel lab up

# --- down

lab exec a sh -c 'trap "" TERM HUP; touch /run/lab/deaf; while :; do sleep 1; done' >/dev/null 2>&1 &
deaf=$!
within 60 test -e /run/lab/deaf
says "down succeeds [lab-down]" 0 "The lab is down." down
clean "and nothing is left, not even what would not end [lab-down]"
ok "what ran on a host has ended [lab-down]" within 60 eval "! kill -0 $deaf"
says "down again says so [lab-down]" 0 "There was no lab." down

# --- the debug build

mkdir -p /run/lab/tree/build /run/lab/tree/.build/debug
cp -r /run/lab/bin /run/lab/tree/build && cp -r /run/lab/bin /run/lab/tree/.build/debug
is "in a tree with a debug build that is what is debugged [lab-gdb]" \
	"$(/run/lab/tree/build/bin/ginnel lab up --gdb b </dev/null | tail -n 1 | grep -o '[^ ]*$')" /run/lab/tree/.build/debug/bin/ginnel-wg
is "and only that [lab-gdb]" "$(daemons | xargs -I% readlink /proc/%/exe | sort)" \
	/run/lab/tree/.build/debug/bin/ginnel-wg$'\n'/run/lab/tree/build/bin/ginnel-wg
lab down >/dev/null

# --- something breaks while it is up

lab up >/dev/null
ip -n ginnel-lab-b link del ginnel-lab-b
within 60 eval '! wg show ginnel-lab-b'
says "status names the host whose tunnel is gone [lab-status]" 1 "The tunnel of host b is gone" status
says "up says what to do [lab-idempotent]" 1 "ginnel lab down, then up again" up
ip netns del ginnel-lab-a
says "status names the host that is gone [lab-status]" 1 "Host a is gone." status
says "down removes the rest [lab-crash]" 0 "The lab is down." down
within 60 eval '! daemons'
clean "and nothing is left [lab-crash]"

lab up >/dev/null
daemons | xargs kill -KILL
within 60 eval '! daemons'
says "status notices daemons that were killed [lab-status]" 1 "The tunnel of host a is gone" status
says "down succeeds nevertheless [lab-crash]" 0 "The lab is down." down
clean "and removes the sockets that they left [lab-crash]"

# --- up breaks in the middle: at each of its calls of ip(8), by failure, by a signal, by a kill

mkdir /run/lab/stub && cat >/run/lab/stub/ip <<'END' && chmod +x /run/lab/stub/ip
#!/bin/bash
count=$(($(</run/lab/count) + 1))
echo $count >/run/lab/count
((count == BREAK_AT)) && [[ $BREAK_BY == fail ]] && { echo "broken on purpose" >&2; exit 1; }
PATH=${PATH#*:}
ip "$@"
status=$?
((count == BREAK_AT)) && kill -"$BREAK_BY" "$(</run/lab/victim)"
exit $status
END
# broken_up HOW WHERE: up with that accident; its status.
broken_up()
{
	echo 0 >/run/lab/count
	PATH=/run/lab/stub:$PATH BREAK_BY=$1 BREAK_AT=$2 bash -c \
		'echo $$ >/run/lab/victim; exec /run/lab/bin/ginnel lab up' >/run/lab/said 2>&1 </dev/null
}

broken_up none 0
calls=$(</run/lab/count)
lab down >/dev/null
ok "up calls ip(8) often enough to be broken: $calls" test "$calls" -gt 15

# accidents HOW STATUS AFTER...: each ${every}th of them; list those that end otherwise or leave something after AFTER.
accidents()
{
	local how=$1 want=$2 n status rest
	shift 2
	for ((n = 1; n <= calls; n += ${every-1})); do
		broken_up "$how" $n 2>/dev/null
		status=$?
		[[ $how != fail ]] || grep -q 'broken on purpose' /run/lab/said || echo "fail at $n: $(</run/lab/said)"
		"$@" >/run/lab/after 2>&1 || echo "after $how at $n: $*: $(</run/lab/after)"
		rest=$(left)
		[[ $status == "$want" && -z $rest ]] || echo "$how at $n: status $status, left: $rest"
	done
}
again() { lab up && lab exec a ping -n -c 1 -W 10 192.168.241.2 && lab down; }

is "up that fails anywhere leaves nothing [lab-crash]" "$(accidents fail 1 true)" ""
is "nor does one that is interrupted [lab-crash]" "$(accidents TERM 143 true)" ""
is "down removes what one that was killed left [lab-crash]" "$(accidents KILL 137 lab down)" ""
is "and so does the next up [lab-crash]" "$(every=4 accidents KILL 137 again)" ""

# --- two at once

lab up >/run/lab/one 2>&1 &
one=$!
lab up >/run/lab/two 2>&1 &
two=$!
wait $one && wait $two
tap $? "two at once both succeed [lab-idempotent]"
is "one makes it, the other says that it is up [lab-idempotent]" \
	"$(cat /run/lab/one /run/lab/two | grep -c 'up already')" 1
lab down >/dev/null
clean "and down removes it [lab-down]"

lab_end
