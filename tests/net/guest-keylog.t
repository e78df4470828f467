#!/bin/bash
# shellcheck disable=SC2015,SC2016,SC2086 # as in lib.sh; programs of the guest
# tier: full release
# ginnel keylog --kernel: the keys of the WireGuard of a stock kernel, with which tshark reads what the cable carried.
# The kernel is initiator and responder, with and without a pre-shared key, and renews a session by its own clock; of the probe
# nothing stays.
# shellcheck source=tests/net/lib.sh
. "${0%/*}/lib.sh"
# shellcheck source=tests/guest/lib.sh
. "${0%/*}/../guest/lib.sh"
guest_image
lab_enter 850 "$@"
# shellcheck source=tests/guest/pair.sh
. "${0%/*}/../guest/pair.sh"

umask 077
export HOME=/run/lab/home
mkdir $HOME
wg genpsk >/run/lab/psk

# blocks N: until there are as many in the guest's file.
blocks() { [[ $(guest_run 120 'grep -c EPHEMERAL keys') -ge $1 ]]; }
inside() { tshark -n -r "$(capture_file a eth)" -o wg.keylog_file:"$1" -Y icmp 2>/dev/null | wc -l; }
# traces: probes and trace instances in the guest.
traces() { guest_run 120 'cat /sys/kernel/tracing/kprobe_events; ls /sys/kernel/tracing/instances'; }
# begin NAME: ginnel keylog in the background of the guest; it has said what it warns of.
begin()
{
	guest_run 120 '
		: >said
		ginnel-scope keylog --kernel keys >said 2>&1 &
		echo $! >pid
		until [[ $(</sys/kernel/tracing/instances/ginnel_keylog/events/ginnel_keylog/insert/enable) == 1 ]] &&
			grep -q "who reads" said; do sleep 0.1; done'
}
end() { guest_run 120 'kill $(<pid); while kill -0 $(<pid) 2>/dev/null; do sleep 0.1; done'; }

ns_add a
pair_a
pair_boot
guest_put "${WG%/*}/ginnel-scope" /usr/bin/ginnel-scope
is "without tracefs it says what to do [keylog-kernel-bad]" "$(guest_run 120 'ginnel-scope keylog --kernel keys 2>&1'
	echo $?)" "ginnel keylog: there is no tracefs with kprobes: mount -t tracefs tracefs /sys/kernel/tracing (the kernel \
needs CONFIG_KPROBE_EVENTS and must not be locked down)"$'\n1'
guest_run 120 'mount -t tracefs tracefs /sys/kernel/tracing'
is "without the module too [keylog-kernel-bad]" "$(guest_run 120 'ginnel-scope keylog --kernel keys 2>&1'; echo $?)" \
	"ginnel keylog: the kernel's WireGuard is not there: modprobe wireguard, or bring up a tunnel of it first"$'\n1'
is "neither leaves a file, a probe or an instance [keylog-kernel-gone]" "$(traces; guest_run 120 'ls keys 2>&1')" \
	"ls: cannot access 'keys': No such file or directory"

pair_guest || bail "no tunnel in the guest"
# Wireshark knows other protocols by the ports of the other tests.
wg set wg1 listen-port 51820
guest_run 120 'wg set wg2 listen-port 51820'
capture a eth udp -s 0
begin
is "the kernel says itself where its keys are [keylog-kernel]" "$(guest_run 120 'cat said')" \
	"ginnel keylog: who reads keys can read what goes through the tunnel, and speak as this end"
is "the probe is in an instance of its own: nobody else's trace has it [keylog-kernel-gone]" \
	"$(guest_run 120 'cd /sys/kernel/tracing; cat instances/*/events/ginnel_keylog/insert/enable events/ginnel_keylog/insert/enable')" \
	$'1\n0'
is "a second one is refused [keylog-kernel-bad]" "$(guest_run 120 'ginnel-scope keylog --kernel other 2>&1'; echo $?)" \
	"ginnel keylog: another ginnel keylog --kernel runs"$'\n1'

# meet STARTER [PSK-FILE]: a new handshake, and 2 packets there and back.
meet()
{
	a_forgets "$([[ $1 != a ]] || echo 10.0.0.2:51820)" ${2:+"$2"} &&
		guest_forgets "$([[ $1 == a ]] || echo 10.0.0.1:51820)" ${2:+"$2"} || return
	[[ $1 == a ]] && from a -c 2 192.168.241.2 || from guest -c 2 192.168.241.1
}
for starter in guest a; do
	[[ $starter == guest ]] && role=initiator || role=responder
	for psk in "" /run/lab/psk; do
		ok "the kernel is $role${psk:+, with a pre-shared key} [keylog-kernel]" meet $starter $psk
	done
done
ok "a block for each handshake [keylog-kernel]" within 60 blocks 4
capture_end a eth 10.0.0.2
guest_run 120 'cat keys' >/run/lab/keys
is "tshark sees every packet in all four sessions [keylog-kernel]" "$(inside /run/lab/keys)" 16
is "and none without the keys [keylog-kernel]" "$(inside /dev/null)" 0
# The kernel renews a session by its own clock, two minutes after it began, when it has something to send.
capture a eth udp -s 0
ok "another session of the kernel's [keylog-kernel-rekey]" meet guest
ok "in which it sends for more than two minutes [keylog-kernel-rekey]" \
	guest_run 300 'ping -n -q -i 5 -c 26 -W 20 192.168.241.1'
ok "it is renewed by its timer, and there are the keys of both [keylog-kernel-rekey]" within 60 blocks 6
capture_end a eth 10.0.0.2
guest_run 120 'cat keys' >/run/lab/keys
is "tshark sees every packet, before and after [keylog-kernel-rekey]" "$(inside /run/lab/keys)" 56
is "the file is for its owner only [keylog-private]" "$(guest_run 120 'stat -c %a keys')" 600
end
is "a signal ends it, and nothing is left [keylog-kernel-gone]" "$(traces)" ""

# A kernel that does not say where its keys are.
guest_run 120 'mount --bind /dev/null /sys/kernel/btf/wireguard'
capture a eth udp -s 0
begin
is "what is guessed is said [keylog-kernel]" "$(guest_run 120 'grep -c "does not say where its keys are" said')" 1
guest_run 120 'kill -KILL $(<pid)'
ok "one that was killed leaves its probe [keylog-kernel-gone]" test "$(traces)"
begin
ok "which the next one takes the place of [keylog-kernel-gone]" meet guest
ok "and it works [keylog-kernel-gone]" within 60 blocks 7
capture_end a eth 10.0.0.2
guest_run 120 'cat keys' >/run/lab/keys
is "as the first did [keylog-kernel-gone]" "$(inside /run/lab/keys)" 4
end
is "and leaves nothing [keylog-kernel-gone]" "$(traces)" ""
((tap_failed)) && guest_logs
lab_end
