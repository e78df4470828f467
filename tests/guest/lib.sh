# shellcheck shell=bash disable=SC2154,SC2015
# tests/guest/lib.sh - a guest with a kernel of its own as a host of the laboratory.
#
# The guest is a stock Debian 12 in memory, run by QEMU without help of the processor, so that it works wherever
# the tests do, and is some ten times slower than the machine it runs on.  It forgets everything when it ends.
#
#	. "${0%/*}/lib.sh"
#	. "${0%/*}/../guest/lib.sh"
#	guest_image		# before lab_enter: building the guest wants the network that the laboratory has not
#	lab_enter 840 "$@"
#	ns_add a
#	guest_boot a eth	# its eth0 is plugged into a device "eth", which appears in host a
#	guest_put build/bin/ginnel /usr/local/bin/ginnel
#	guest_run 120 'ip link set eth0 up; uname -r'
#	guest_off
#
# GUEST_CPU names QEMU's model of the processor.  The default has neither AES nor AVX.  GUEST_APPEND is more for the
# kernel's command line; what is NAME=VALUE and the kernel does not know is in the environment of its first process.

guest_top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
guest_dir=$guest_top/.build/guest
: "${GUEST_CPU:=qemu64}"

guest_pid='' guest_to='' guest_from='' guest_boots=0

# guest_image: have the guest built, or end the test as skipped where it could not run.
guest_image()
{
	if [[ $(uname -m) != x86_64 ]]; then
		echo "1..0 # SKIP the guest is an amd64 Debian"
		exit 0
	fi
	[[ -z ${GINNEL_LAB-} ]] || return 0
	"$guest_top/tests/guest/build" && return
	echo "Bail out! the guest cannot be built"
	exit 1
}

# guest_boot NS DEV [CPUS]: start it with a cable to host NS, and wait until it takes commands.
guest_boot()
{
	local ns=$1 dev=$2 cpus=${3:-1} dir=/run/lab/guest.$((++guest_boots)) said

	mkdir "$dir" && mkfifo "$dir/port.in" "$dir/port.out" || return
	ip netns exec "$ns" qemu-system-x86_64 -accel tcg -cpu "$GUEST_CPU" -smp "$cpus" -m 768 -no-reboot \
		-nodefaults -no-user-config -display none -sandbox on,obsolete=deny,spawn=deny,resourcecontrol=deny \
		-kernel "$guest_dir/vmlinuz" -initrd "$guest_dir/image" \
		-append "console=ttyS0 quiet panic=-1 rdinit=/lib/systemd/systemd net.ifnames=0 mitigations=off no_timer_check ${GUEST_APPEND-}" \
		-serial "file:$dir/console" -device virtio-rng-pci \
		-netdev "tap,id=net,ifname=$dev,script=no,downscript=no" \
		-device virtio-net-pci,netdev=net,romfile= \
		-chardev "pipe,id=port,path=$dir/port" -device virtio-serial-pci \
		-device virtserialport,chardev=port >"$dir/qemu" 2>&1 </dev/null &
	guest_pid=$!
	exec {guest_to}<>"$dir/port.in" {guest_from}<>"$dir/port.out"
	if read -r -t 400 -u "$guest_from" said && [[ $said == ready ]]; then
		ip -n "$ns" link set "$dev" up
		return
	fi
	echo "# the guest did not come up:"
	sed 's/^/#   /' "$dir/qemu"
	guest_logs
	guest_kill
	return 1
}

# guest_run SECONDS SCRIPT [INPUT-FILE]: have bash run it in the guest.
# Prints what it printed; the status is its own, 124 if it took too long, 125 if the guest does not answer.
guest_run()
{
	local seconds=$1 status size

	guest_send "$@"
	if ! read -r -t $((seconds + 60)) -u "$guest_from" status size; then
		echo "the guest does not answer"
		guest_kill
		return 125
	fi
	timeout 60 head -c "$size" <&"$guest_from"
	return "$status"
}

guest_send()
{
	local seconds=$1 script=$2 input=${3:-/dev/null}
	local LC_ALL=C # ${#script} counts bytes

	{
		echo "$seconds ${#script} $(stat -L -c %s "$input")"
		printf %s "$script"
		cat "$input"
	} >&"$guest_to"
}

# guest_put FILE PATH: copy a file of the host into the guest, executable.
guest_put() { guest_run 120 "mkdir -p '${2%/*}' && cat >'$2' && chmod 755 '$2'" "$1"; }

# guest_relay WHAT FILE: results of a test program in the guest as our own; that it did not end as TAP demands is one more.
guest_relay()
{
	local line n=0 plan='' failed=$tap_failed

	while IFS= read -r line; do
		case $line in
		'ok '*) tap 0 "On Linux 6.1, $1: ${line#* - }" && ((++n)) ;;
		'not ok '*) tap 1 "On Linux 6.1, $1: ${line#* - }" && ((++n)) ;;
		1..*) plan=${line#1..} ;;
		esac
	done <"$2"
	[[ $plan == "$n" ]] || tap 1 "On Linux 6.1, $1: as many results as planned"
	((tap_failed == failed)) || tail -n 60 "$2" | sed 's/^/# /'
}

# guest_suite UNIT-TESTS NET-TESTS: run these there, as they are, with the program under test.
guest_suite()
{
	local test build

	build=$(dirname "$(dirname "$WG")")
	tar -C "$guest_top" -cf /run/lab/tree.tar tests/net tests/peer || return
	for test in $1; do
		tar -C "$build" -rf /run/lab/tree.tar "tests/unit/tunnel/test_$test" || return
	done
	guest_put "$WG" /usr/bin/ginnel-wg &&
		guest_run 60 'tar -xf - && modprobe tun' /run/lab/tree.tar || return
	for test in $1; do
		guest_run 60 "tests/unit/tunnel/test_$test" >/run/lab/results 2>&1
		guest_relay "test_$test" /run/lab/results
	done
	for test in $2; do
		guest_run 400 "WG=/usr/bin/ginnel-wg tests/net/$test.t" >/run/lab/results 2>&1
		guest_relay "$test.t" /run/lab/results
	done
}

# guest_off: shut it down in order, as `systemctl poweroff` does, and wait for its end.
guest_off()
{
	local i

	guest_send 120 'systemctl poweroff' # what answers is among the first things to end
	for ((i = 0; i < 2400; i++)); do
		guest_alive || return 0
		sleep 0.05
	done
	echo "the guest does not shut down"
	guest_kill
	return 1
}

# guest_kill: pull its plug.
guest_kill()
{
	kill -KILL "$guest_pid" 2>/dev/null
	wait "$guest_pid" 2>/dev/null
	return 0
}

guest_alive()
{
	local line
	line=$(cat "/proc/$guest_pid/stat" 2>/dev/null) && [[ ${line##*) } != Z* ]]
}

# guest_logs: the last lines of the newest guest's console, as TAP comments.
guest_logs()
{
	echo "# --- the guest's console:"
	tail -n 20 "/run/lab/guest.$guest_boots/console" 2>/dev/null | tr -d '\r' | sed 's/^/#   /'
}
