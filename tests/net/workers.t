#!/bin/bash
# A tunnel with one, two and four workers on either side: traffic of many flows, the order within each, and memory.
# shellcheck source=tests/net/lib.sh
. "${0%/*}/lib.sh"
lab_enter 600 "$@"
lab_pair

# Each of several flows sends numbered datagrams from a to b; within a flow the numbers must never go down.
cat >/run/lab/receive <<'EOF'
import socket, struct, sys
flows, s = {}, socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, 33, 8 << 20)  # SO_RCVBUFFORCE
s.bind(("192.168.241.2", 7000))
s.settimeout(60)
open("/run/lab/ready", "w")
got = ended = 0
while ended < int(sys.argv[1]):
    data, source = s.recvfrom(2048)
    (n,) = struct.unpack_from("!I", data)
    if n == 0xffffffff:
        ended += source not in flows.setdefault("ended", set())
        flows["ended"].add(source)
        continue
    assert n > flows.get(source, -1), "flow %s: %d after %d" % (source, n, flows[source])
    flows[source] = n
    got += 1
    if got % 100 == 0:
        s.sendto(struct.pack("!I", got), (source[0], 7001))
print(got)
EOF
cat >/run/lab/send <<'EOF'
import select, socket, struct, sys
sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(int(sys.argv[1]))]
# Answers are a flow of their own: the kernel moves a flow to the queue that its other half is written to, and what waits
# in the old queue then meets another worker.
answers = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
answers.bind(("192.168.241.1", 7001))
sent = got = lost = 0
for n in range(4000):
    for s in sockets:
        s.sendto(struct.pack("!I", n) + bytes(n % 1200), ("192.168.241.2", 7000))
    sent += len(sockets)
    # The queue of an interface holds 500: the receiver tells what it got before more are sent.
    while sent - got - lost > 400:
        if select.select([answers], [], [], 60)[0]:
            got = max(got, *struct.unpack("!I", answers.recv(4)))
        else:
            lost = sent - got
for _ in range(3):
    for s in sockets:
        s.sendto(b"\xff\xff\xff\xff", ("192.168.241.2", 7000))
EOF
# How many arrived; fails where the order does not hold.
arrived()
{
	local receiver

	rm -f /run/lab/ready
	in_ns_exec b timeout 120 /usr/bin/python3 /run/lab/receive 6 >/run/lab/got 2>&1 &
	receiver=$!
	within 60 test -e /run/lab/ready
	in_ns a timeout 120 /usr/bin/python3 /run/lab/send 6
	wait $receiver || { cat /run/lab/got; return 1; }
	cat /run/lab/got
}
in_order()
{
	local got

	got=$(arrived) || { echo "$got"; return 1; }
	echo "$got of 24000 arrived"
	((got == 24000))
}

# While other flows come and go, so that queues and sockets change their workers.  Some packets find a full queue then.
in_order_under_load()
{
	local load got r

	(for _ in 1 2 3; do iperf a b 192.168.241.2 -t 1 -P2 --bidir; sleep 0.2; done) >/dev/null 2>&1 &
	load=$!
	got=$(arrived)
	r=$?
	wait $load
	echo "$got"
	return $r
}

# worker_time DAEMON WORKER: hundredths of seconds of processor time that it has used.
worker_time()
{
	local task

	for task in /proc/"${wg_pid[$1]}"/task/*; do
		[[ $(<"$task/comm") != "worker $2" ]] || awk '{ sub(/.*\) /, ""); print $12 + $13 }' "$task/stat"
	done
}

# Where nothing moves work between workers, which of them get any is left to a hash.
balanced() { [[ ! ${GINNEL_WG_OPTIONS-} =~ --without=.*(all|balance) ]]; }

# Data both ways is more than one worker can do, the more so if others come before it: the second gets its part.
both_work()
{
	local tasks

	tasks=$(ls "/proc/${wg_pid[wg1]}/task")
	# shellcheck disable=SC2086
	renice -n 15 -p $tasks >/dev/null || return 1
	for _ in {1..40}; do
		iperf a b 192.168.241.2 -t 1 -P2 --bidir >/dev/null || return 1
		(($(worker_time wg1 1) < 5)) || break
	done
	# shellcheck disable=SC2086
	renice -n 0 -p $tasks >/dev/null || return 1
	(($(worker_time wg1 1) < 5)) || return 0
	echo "worker 0: $(worker_time wg1 0), worker 1: $(worker_time wg1 1)"
	return 1
}

# Watched by two workers at a time: a socket of which one helps another with a backlog.  It never moves that way.
cat >/run/lab/helped <<'EOF'
import collections, glob, os, sys, time
pid, seen, end = sys.argv[1], 0, time.monotonic() + 60
def watched():
    for fd in glob.glob("/proc/%s/fd/*" % pid):
        try:
            if os.readlink(fd) != "anon_inode:[eventpoll]":
                continue
            with open("/proc/%s/fdinfo/%s" % (pid, os.path.basename(fd))) as f:
                yield from (line.split()[1] for line in f if line.startswith("tfd:"))
        except FileNotFoundError:
            pass
while seen < 10 and time.monotonic() < end:
    seen += any(n > 1 for n in collections.Counter(watched()).values())
    time.sleep(0.003)
print("seen", seen, "times")
sys.exit(seen < 10)
EOF

# Data one way comes by one socket, which stays one worker's; of a backlog another one opens its part all the same.
# Others that come before the daemon give it one.
backlog_is_shared()
{
	local tasks load r

	tasks=$(ls "/proc/${wg_pid[wg2]}/task")
	# shellcheck disable=SC2086
	renice -n 15 -p $tasks >/dev/null || return 1
	(until [[ -e /run/lab/enough ]]; do iperf a b 192.168.241.2 -t 1 -P2 || sleep 0.2; done) >/dev/null &
	load=$!
	python3 /run/lab/helped "${wg_pid[wg2]}"
	r=$?
	touch /run/lab/enough
	wait $load
	rm /run/lab/enough
	# shellcheck disable=SC2086
	renice -n 0 -p $tasks >/dev/null || return 1
	return $r
}

sanitised() { grep -qa -e __asan_init -e __tsan_init "$WG"; }

for pair in "1 1" "2 2" "1 4" "4 2"; do
	read -r n1 n2 <<<"$pair"
	for n in $n1 $n2; do
		printf '#!/bin/sh\nexec "%s" --workers=%d "$@"\n' "$WG" "$n" >"/run/lab/workers$n"
		chmod +x "/run/lab/workers$n"
	done
	wg_start a wg1 "/run/lab/workers$n1" && wg_start b wg2 "/run/lab/workers$n2" ||
		{ echo "Bail out! no daemon"; exit 1; }
	is "--workers=$n1 runs as many threads [workers-any]" \
		"$(grep -c '^worker ' /proc/"${wg_pid[wg1]}"/task/*/comm | awk -F: '{ n += $2 } END { print n }')" "$n1"
	lab_tunnel
	ok "$n1 and $n2 workers: IPv4 passes [workers-any]" ping4 a 192.168.241.2
	ok "$n1 and $n2 workers: IPv6 passes [workers-any]" ping6 b fd00:241::1
	ok "$n1 and $n2 workers: no flow is ever out of order [rx-order-per-peer] [workers-any]" in_order
	for flags in -P4 "-P4 -R" "-P2 --bidir"; do
		ok "$n1 and $n2 workers: bulk data flows: iperf3 $flags [bulk] [workers-any]" \
			iperf a b 192.168.241.2 -t 1 $flags
	done
	if ((n2 > 1)) && balanced; then
		ok "$n2 workers: one helps with a backlog of another's socket [backlog-shared]" backlog_is_shared
	fi
	if ((n1 > 1)) && balanced; then
		ok "$n1 workers: a busy one shares its work [worker-balance]" both_work
	fi
	if ((n1 > 1 || n2 > 1)) && balanced; then
		ok "$n1 and $n2 workers: and no flow is out of order meanwhile [worker-balance] [backlog-order] [workers-any]" \
			in_order_under_load
	fi
	if sanitised; then
		((++tap_count))
		echo "ok $tap_count - under bulk load a daemon takes less than 16 MB [memory-bulk] # SKIP a sanitizer's memory is not the program's"
	else
		peak=$(($(wg_peak_kb wg1) > $(wg_peak_kb wg2) ? $(wg_peak_kb wg1) : $(wg_peak_kb wg2)))
		ok "$n1 and $n2 workers: under bulk load a daemon takes less than 16 MB: $peak kB [memory-bulk]" \
			test "$peak" -lt 16000
	fi
	wg_stop wg1
	wg_stop wg2
done
lab_end
