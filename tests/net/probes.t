#!/usr/bin/env bash
# shellcheck disable=SC2016,SC2034,SC2317 # programs of tracers; read by lib.sh; functions called by name
# What tracers and debuggers see by the probes of a running daemon, read by two of them: bpftrace with our scripts, and gdb.
. "${0%/*}/lib.sh"
lab_enter 840 "$@"

# A copy, so that daemons of other tests are not looked at.
mkdir /run/lab/bin && cp "$WG" /run/lab/bin/ginnel-wg || exit
ginnel=${WG%/*}/ginnel
WG=/run/lab/bin/ginnel-wg
scripts=$top/dist/bpftrace

# --- in the program

# notes: NAME ADDRESS ARGUMENTS, a line for each place of a probe.
notes()
{
	readelf -nW "$WG" | awk '
		/Provider:/ { provider = $NF }
		/Name:/ { name = $2 }
		/Location:/ { at = substr($2, 1, length($2) - 1) }
		/Arguments:/ { if (provider == "ginnel") print name, at, NF - 1 }'
}
is "the program has every probe, with its arguments [probe-all]" "$(notes | cut -d' ' -f1,3 | sort -u)" \
"drop 4
handshake_initiation_received 2
handshake_initiation_sent 3
handshake_response_received 3
handshake_response_sent 3
keys_zeroed 2
roam 3
session_up 2
timer_armed 3
timer_fired 2"
is "and the header says what each is [probe-all]" \
	"$(sed -n 's/^ \*\t\([a-z_]*\)(.*/\1/p' "$top/wg/probe.h" | sort)" "$(notes | cut -d' ' -f1 | sort -u)"
is "a probe is one nop [probe-nop]" "$(notes | while read -r name at _; do
	objdump -d --start-address="$at" --stop-address=$((at + 1)) "$WG" | grep -q '\bnop$' || echo "$name at $at"
done)" ""
for script in drops:reason:wg_drop timers:timer:peer_timer; do
	IFS=: read -r name map enum <<<"$script"
	is "$name.bt knows the names of every ${enum#*_} [bpftrace-names]" \
		"$(sed -n 's/^\t@'"$map"'\[\(.*\)\] = "\(.*\)";/\1 \2/p' "$scripts/$name.bt")" \
		"$("$ginnel" enum show "$enum" | awk '{ print $1, $2 }')"
done

# --- two hosts

lab_pair
wg_start a wg1
wg_start b wg2
lab_tunnel
# One that does not answer.
wg set wg1 peer "$(wg genkey | wg pubkey)" allowed-ips 10.9.0.0/16 endpoint 10.0.0.2:9

# happen: a handshake between the first peers, one that gets no answer, a timer, a drop for each of two reasons, and a
# peer that roams.
happen()
{
	wg set wg1 peer "$pub2" persistent-keepalive 1 endpoint 10.0.0.2:2222
	wg_bounce wg1
	ip -n a route replace 10.9.0.0/16 dev wg1
	ping4 a 192.168.241.2 1
	in_ns a ping -n -c 1 -W 0.1 10.9.0.1
	in_ns a ping -n -c 1 -W 0.1 192.168.241.77
	in_ns b bash -c 'printf "\4\0\0\0%060d" 0 >/dev/udp/10.0.0.1/1111'
	wg set wg2 listen-port $((2300 + RANDOM % 100))
	in_ns b ping -n -q -c 1 -W 10 192.168.241.1
	wg set wg2 listen-port 2222
} >/dev/null 2>&1

# --- gdb

# at PROBE: its arguments where gdb stopped at it, while all happens again and again.
at()
{
	local pid end=$((SECONDS + 120))

	gdb -nx -batch -p "${wg_pid[wg1]}" "$WG" -ex "break -probe-stap ginnel:$1" -ex continue \
		-ex 'printf "args %d:", $_probe_argc' \
		-ex 'python print(*(int(gdb.parse_and_eval("$_probe_arg%d" % i)) for i in range(int(gdb.parse_and_eval("$_probe_argc")))))' \
		-ex detach >/run/lab/gdb 2>&1 </dev/null &
	pid=$!
	while kill -0 $pid 2>/dev/null && ((SECONDS < end)); do
		happen
	done
	kill $pid 2>/dev/null
	wait $pid 2>/dev/null
	sed -n 's/^args //p' /run/lab/gdb
}
# One of these is the answer, and the other is not there: what gdb said is shown.
found=$(at session_up)
is "gdb stops at a probe: session_up of peer 1, by us [probe-gdb]" "$found" "2:1 1"
[[ $found ]] || sed 's/^/#   /' /run/lab/gdb
found=$(at drop)
ok "gdb stops at a drop: a reason, a peer, bytes and packets: $found [probe-gdb]" \
	grep -qxE '4:([0-9]+ ){3}1' <<<"$found"

# --- bpftrace

# traced SCRIPT EVENT WORDS...: EVENT again and again until the script has written each of the words; what it wrote in
# all is then in trace.SCRIPT.
traced()
{
	local script=$1 event=$2 end=$((SECONDS + 120)) pid
	shift 2

	bpftrace -B line "$scripts/$script.bt" "$WG" >"/run/lab/trace.$script" 2>&1 </dev/null &
	pid=$!
	until has_words "/run/lab/trace.$script" "$@" || ((SECONDS > end)) || ! kill -0 $pid; do
		$event
	done 2>/dev/null
	kill -INT $pid
	wait $pid
}
# Timers fire where nothing happens.
happen_and_rest()
{
	happen
	sleep 2.5
}
has_words()
{
	local file=$1 word
	shift

	for word; do
		grep -qE -- "$word" "$file" || return
	done
}

if bpftrace -e 'BEGIN { exit(); }' >/run/lab/bpftrace 2>&1; then
	answer=' 1  response received, index 0x[0-9a-f]{8}, after [0-9]+\.[0-9]{3} ms$'
	traced handshakes happen "$answer" ' 1  session up, as initiator$' ' 1  session up, as responder, after ' \
		' 2  initiation sent, index 0x[0-9a-f]{8}, retry 0$' 'keys zeroed, sessions: [12]$'
	ok "handshakes.bt tells how long each end waited for the other [bpftrace-handshakes]" \
		has_words /run/lab/trace.handshakes "$answer" ' 1  session up, as responder, after ' "^@answer_us\[[0-9]+, 1\]:"
	ok "and who did not answer [bpftrace-handshakes]" \
		has_words /run/lab/trace.handshakes ' 2  initiation sent, index' '^@unanswered\[[0-9]+, 2\]: [1-9]'
	ok "and when keys are zeroed [bpftrace-handshakes]" has_words /run/lab/trace.handshakes 'keys zeroed, sessions: [12]$'
	fails "but nothing of peers that answered [bpftrace-handshakes]" grep -q '^@unanswered\[[0-9]*, 1\]: [2-9]' /run/lab/trace.handshakes

	traced drops happen ' unknown-index$' ' no-peer$'
	ok "drops.bt tells the first drop of a kind, with its name, peer and length [bpftrace-drops]" \
		has_words /run/lab/trace.drops '     0     64  unknown-index$' '     0     84  no-peer$'
	ok "and counts them [bpftrace-drops]" \
		has_words /run/lab/trace.drops '^@packets\[[0-9]+, unknown-index, 0\]: [1-9]' '^@packets\[[0-9]+, no-peer, 0\]: [1-9]'

	traced timers happen_and_rest ' 1  persistent .* ms$'
	ok "timers.bt tells which timer fired, whose, and how late [bpftrace-timers]" \
		has_words /run/lab/trace.timers ' 1  persistent +[0-9]+\.[0-9]{3} ms$' '^@fired\[[0-9]+, persistent, 1\]: [1-9]' \
		'^@armed\[[0-9]+, persistent, 1\]: [1-9]' '^@late_us\[persistent\]:'

	bpftrace -B line -e 'usdt:$1:ginnel:roam { printf("roam %d %d %d\n", arg0, arg1, arg2); }' "$WG" >/run/lab/trace.roam 2>&1 &
	roam=$!
	within 120 eval 'happen; grep -q ^roam /run/lab/trace.roam'
	ok "a peer that roams is told with family and port [probe-roam]" grep -qE '^roam 1 2 (2222|23[0-9][0-9])$' /run/lab/trace.roam
	kill -INT $roam
	wait $roam
	((tap_failed)) && tail -n 40 /run/lab/trace.* | sed 's/^/#   /'
else
	why=$(tail -n 1 /run/lab/bpftrace)
	for id in bpftrace-handshakes bpftrace-drops bpftrace-timers probe-roam; do
		tap 0 "bpftrace sees it [$id] # SKIP no bpftrace here: $why"
	done
fi

lab_end
