# shellcheck shell=bash disable=SC2034,SC2046,SC2086
# tests/net/lib.sh - a laboratory of network namespaces for shell tests.
#
# Everything a test makes lives in namespaces of its own: network, process and mount, with an empty /run on top.  So
# its names collide with nothing, sockets in /run/wireguard are its own, and when its first process ends, by success,
# failure, Ctrl-C or SIGKILL, the kernel ends every process in it and takes links, sockets and mounts away.
#
#	. "${0%/*}/lib.sh"
#	lab_enter 600 "$@"	# from here on inside, as root, for at most 600 seconds
#	lab_pair		# two hosts a and b with a link between them, see below
#	wg_start a wg1		# the program under test, in host a
#	ok "a reaches b [id]" in_ns a ping -c1 -W2 192.168.241.2
#	lab_end
#
# Whatever a test waits for is a condition.  Times bound only how long a hang lasts: on a busy machine all things come
# late, and what is late has not failed.
#
# WG names the program under test, build/bin/ginnel-wg if unset.  WIREGUARD_GO names the foreign one.

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
: "${WG:=$top/build/bin/ginnel-wg}"
: "${WIREGUARD_GO:=/usr/bin/wireguard-go}"

declare -A wg_pid=() wg_log=() wg_ns=()
tap_count=0 tap_failed=0

# foreign VARIABLE SUITE PACKAGE...: before lab_enter, since there is no way out of it: fetch packages of another
# suite.  VARIABLE is the directory that scripts/foreign says, or why there is none: test -d.
foreign()
{
	local variable=$1
	shift

	[[ ${GINNEL_LAB-} && $$ == 1 ]] || export "$variable=$("$top/scripts/foreign" "$@" 2>&1)"
}

# lab_enter SECONDS ARGS...: start this script again inside the laboratory with ARGS, and return there.
lab_enter()
{
	local seconds=$1
	shift

	if [[ -z ${GINNEL_LAB-} || $$ != 1 ]]; then
		if ((EUID)); then
			echo "Bail out! namespaces need root: run this with sudo"
			exit 1
		fi
		GINNEL_LAB=1 exec unshare --net --mount --pid --fork --kill-child --mount-proc \
			"$BASH" "$0" "$@"
	fi
	unset GINNEL_LAB
	export PATH=$PATH:/usr/sbin:/sbin
	mount -t tmpfs -o mode=755 lab /run
	mkdir /run/netns /run/lab
	ip link set lo up
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP
	trap 'lab_timeout '"$seconds" ALRM
	# The first wakes a shell that waits for its own; the second ends whatever it waits for instead.
	(sleep "$seconds"; kill -ALRM 1; sleep 1; kill -KILL -1) >/dev/null 2>&1 &
	lab_guard=$!
}

lab_timeout()
{
	echo "Bail out! not done after $1 seconds"
	lab_logs
	exit 1
}

# lab_logs: show what the daemons wrote, as TAP comments.
lab_logs()
{
	local name

	for name in "${!wg_log[@]}"; do
		echo "# --- the last lines of $name, in host ${wg_ns[$name]}:"
		tail -n 15 "${wg_log[$name]}" | sed 's/^/#   /'
	done
}

# lab_end: the plan, and the verdict as exit status.
lab_end()
{
	local name dead=''

	for name in "${!wg_pid[@]}"; do
		wg_alive "$name" || dead+=" $name"
	done
	((${#wg_pid[@]})) && is "no daemon has died before the end [no-crash]" "$dead" ""
	((tap_failed)) && lab_logs
	echo "1..$tap_count"
	kill "$lab_guard" 2>/dev/null
	exit $((tap_failed > 0))
}

# --- TAP

# tap STATUS NAME: one result; 0 is ok.
tap()
{
	((++tap_count))
	if (($1 == 0)); then
		echo "ok $tap_count - $2"
	else
		((++tap_failed))
		echo "not ok $tap_count - $2"
	fi
}

# ok NAME COMMAND...: ok if the command succeeds.  What it printed is shown if not.
ok()
{
	local name=$1 out status
	shift

	out=$("$@" 2>&1)
	status=$?
	tap $status "$name"
	((status == 0)) || { echo "# $*: exit status $status"; sed 's/^/#   /' <<<"$out"; }
	return 0
}

# fails NAME COMMAND...: ok if the command fails.
fails()
{
	local name=$1 out
	shift

	if out=$("$@" 2>&1); then
		tap 1 "$name"
		echo "# $*: succeeded, and should not have"
		sed 's/^/#   /' <<<"$out"
	else
		tap 0 "$name"
	fi
	return 0
}

# is NAME GOT WANT: ok if both are the same text.
is()
{
	if [[ $2 == "$3" ]]; then
		tap 0 "$1"
	else
		tap 1 "$1"
		printf '# got  %s\n# want %s\n' "$2" "$3"
	fi
}

# within SECONDS COMMAND...: try a command until it succeeds.  SECONDS are for a machine that is slow and busy.
within()
{
	local end=$((SECONDS + $1 + 1))
	shift

	until "$@" >/dev/null 2>&1; do
		((SECONDS < end)) || { "$@"; return; }
		sleep 0.05
	done
}

# --- hosts and links

# ns_add NAME...: hosts.
ns_add()
{
	local ns

	for ns; do
		ip netns add "$ns" && ip -n "$ns" link set lo up || return
		# Addresses are usable at once, and nothing but the test speaks IPv6.
		in_ns "$ns" sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0 \
			net.ipv6.conf.default.router_solicitations=0 \
			net.ipv4.conf.all.promote_secondaries=1 || return
	done
}

in_ns()
{
	local ns=$1
	shift
	ip netns exec "$ns" "$@"
}

# in_ns_exec NS COMMAND...: the same for the background: $! is the command's own, not that of a shell around it.
in_ns_exec() { exec ip netns exec "$@"; }

# link_add NS1 DEV1 NS2 DEV2: a cable between two hosts.
link_add()
{
	ip link add "$2" netns "$1" type veth peer name "$4" netns "$3" &&
		ip -n "$1" link set "$2" up && ip -n "$3" link set "$4" up
}

# addr NS DEV ADDRESS...
addr()
{
	local ns=$1 dev=$2 a
	shift 2
	for a; do
		ip -n "$ns" addr add "$a" dev "$dev" $([[ $a == *:* ]] && echo nodad) || return
	done
}

# lab_pair: the usual two hosts.
#
#	  host a                                               host b
#	+---------------------------+                        +---------------------------+
#	| wg1 192.168.241.1         |   tunnel               | wg2 192.168.241.2         |
#	|     fd00:241::1           | ...................... |     fd00:241::2           |
#	|                           |                        |                           |
#	| eth 10.0.0.1  fd00:aa::1  |------------------------| eth 10.0.0.2  fd00:aa::2  |
#	+---------------------------+                        +---------------------------+
lab_pair()
{
	ns_add a b && link_add a eth b eth &&
		addr a eth 10.0.0.1/24 fd00:aa::1/64 && addr b eth 10.0.0.2/24 fd00:aa::2/64
	key1=$(wg genkey) key2=$(wg genkey)
	pub1=$(wg pubkey <<<"$key1") pub2=$(wg pubkey <<<"$key2")
}

# lab_tunnel [ENDPOINT-OF-A ENDPOINT-OF-B]: configure wg1 in a and wg2 in b for each other and bring them up.
# "none" leaves an endpoint out.
lab_tunnel()
{
	local e1=${1:-10.0.0.1} e2=${2:-10.0.0.2}

	wg set wg1 private-key <(echo "$key1") listen-port 1111 peer "$pub2" \
		allowed-ips 192.168.241.2/32,fd00:241::2/128 $(endpoint "$e2" 2222) &&
	wg set wg2 private-key <(echo "$key2") listen-port 2222 peer "$pub1" \
		allowed-ips 192.168.241.1/32,fd00:241::1/128 $(endpoint "$e1" 1111) &&
	addr a wg1 192.168.241.1/24 fd00:241::1/64 && addr b wg2 192.168.241.2/24 fd00:241::2/64 &&
	ip -n a link set wg1 up && ip -n b link set wg2 up
}

endpoint()
{
	case $1 in
	none) ;;
	*:*) echo "endpoint [$1]:$2" ;;
	*) echo "endpoint $1:$2" ;;
	esac
}

# --- daemons

# wg_start NS NAME [PROGRAM]: run a daemon in the foreground in a host, and wait for its socket.
wg_start()
{
	local ns=$1 name=$2 program=${3:-$WG}

	wg_ns[$name]=$ns wg_log[$name]=/run/lab/$name.log
	LOG_LEVEL=${LOG_LEVEL:-verbose} WG_PROCESS_FOREGROUND=1 \
		ip netns exec "$ns" "$program" -f "$name" >"${wg_log[$name]}" 2>&1 </dev/null &
	wg_pid[$name]=$!
	wg_wait_socket "$name" && return
	echo "# $program did not come up as $name:"
	sed 's/^/#   /' "${wg_log[$name]}"
	return 1
}

# wg_wait_socket NAME: until `wg` can talk to it, for at most a minute.
wg_wait_socket()
{
	local end=$((SECONDS + 60))

	while ((SECONDS < end)); do
		[[ -S /run/wireguard/$1.sock ]] && wg show "$1" >/dev/null 2>&1 && return 0
		wg_alive "$1" || return 1
		sleep 0.05
	done
	return 1
}

wg_alive()
{
	local line
	line=$(cat "/proc/${wg_pid[$1]}/stat" 2>/dev/null) && [[ ${line##*) } != Z* ]]
}

# wg_stop NAME: end a daemon and wait for its end.
wg_stop()
{
	kill "${wg_pid[$1]}" 2>/dev/null
	wait "${wg_pid[$1]}" 2>/dev/null
	unset "wg_pid[$1]"
	return 0
}

# wg_cpu_ms NAME: user and system time that it has used.
wg_cpu_ms()
{
	local line
	line=$(<"/proc/${wg_pid[$1]}/stat")
	set -- ${line##*) }
	echo $(((${12} + ${13}) * 1000 / $(getconf CLK_TCK)))
}

# wg_rss_kb NAME / wg_peak_kb NAME: resident memory now / at its greatest.
wg_rss_kb()  { awk '/^VmRSS:/ { print $2 }' "/proc/${wg_pid[$1]}/status"; }
wg_peak_kb() { awk '/^VmHWM:/ { print $2 }' "/proc/${wg_pid[$1]}/status"; }

# wg_field NAME FIELD: a value of the only peer, by the names of `wg show NAME FIELD`.
wg_field() { wg show "$1" "$2" | cut -f2-; }

# wg_bounce NAME: forget every session by taking the link down and up.
wg_bounce() { ip -n "${wg_ns[$1]}" link set "$1" down && ip -n "${wg_ns[$1]}" link set "$1" up; }

# --- traffic

# One packet of several must come back; none is waited for that came.
ping4() { in_ns "$1" ping -n -q -c "${3:-3}" -i 0.1 -W 20 "$2"; }
ping6() { in_ns "$1" ping -6 -n -q -c "${3:-3}" -i 0.1 -W 20 "$2"; }

# iperf CLIENT SERVER ADDRESS OPTION...: one run of iperf3 from host CLIENT to ADDRESS, where host SERVER listens.
# Every run has a server of its own: between two runs iperf3's does not listen for a moment.
iperf()
{
	local client=$1 server=$2 address=$3 pid status
	shift 3

	in_ns_exec "$server" iperf3 -s -1 >"/run/lab/iperf.$server" 2>&1 </dev/null &
	pid=$!
	within 60 lab_listens "$server" 5201
	in_ns "$client" timeout 120 iperf3 -c "$address" "$@"
	status=$?
	kill "$pid" 2>/dev/null
	wait "$pid" 2>/dev/null
	return $status
}

lab_listens() { [[ $(in_ns "$1" ss -Hltn "sport = $2") ]]; }

# --- captures

# capture NS DEVICE FILTER [OPTION...]: have tcpdump write what passes a device into capture_file NS DEVICE.
capture()
{
	local ns=$1 dev=$2 filter=$3 file
	file=$(capture_file "$1" "$2")
	shift 3

	rm -f "$file" "$file.err"
	in_ns_exec "$ns" tcpdump -n --immediate-mode -U -s 128 -w "$file" -i "$dev" "$@" "$filter" 2>"$file.err" &
	capturing[$ns.$dev]=$!
	within 60 grep -q listening "$file.err"
}
capture_file() { echo "/run/lab/$1.$2.pcap"; }
declare -A capturing=()

# capture_end NS DEVICE ADDRESS: end it when all is in the file that has passed before this call: when a datagram sent
# now to the discard port of ADDRESS, which must leave by DEVICE and pass the filter, is in it.
capture_end()
{
	within 60 capture_has_fence "$@"
	kill "${capturing[$1.$2]}"
	wait "${capturing[$1.$2]}" 2>/dev/null
	unset "capturing[$1.$2]"
	return 0
}
capture_has_fence()
{
	in_ns "$1" bash -c "echo fence >/dev/udp/$3/9"
	[[ $(tcpdump -n -r "$(capture_file "$1" "$2")" "udp dst port 9" 2>/dev/null) ]]
}
# captured NS DEVICE: its packets, one a line, without that datagram.
captured() { tcpdump -n -r "$(capture_file "$1" "$2")" "not udp dst port 9" 2>/dev/null; }
