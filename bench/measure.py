"""
bench/measure.py - what is measured, and how each figure comes about.

A group is a function of (program, times) that returns {figure: value}; bench/main.py calls it for each program by turns.
METRICS says of every figure what it is called, what it is measured in and what it should be.
"""
import contextlib
import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import stats  # noqa: E402
import topology as t  # noqa: E402
from topology import lab  # noqa: E402

PEERS_TOGETHER = 1000
PEERS_SET = 10000
PREFIXES_SET = 130560
WINDOW = 64        # initiations under way: below the 128 from which wireguard-go sends cookies, and our 512
FLOOD_PER_S = 10000
FLOOD_LONGER = 4   # seconds: also where the last packets are lost, for which a second is waited
WINDOW_MIN = 16
OURS, PEER, CEILING = "ginnel", "wireguard-go", "no cipher"


@dataclasses.dataclass(frozen=True)
class Times:
    """How long things are measured, in seconds."""
    bulk: float = 5
    trial: float = 0.5
    idle: float = 5
    load: float = 5
    handshakes: float = 2.5
    flood: float = 3
    all: bool = True  # every figure, or the most important ones


QUICK = Times(bulk=1, trial=0.15, idle=0.8, load=1.2, handshakes=0.8, flood=1, all=False)


@dataclasses.dataclass(frozen=True)
class Metric:
    group: str
    title: str
    unit: str
    more: bool = True           # is more better?
    target: float = None        # of the ratio ours / peer: at least (more) or at most
    ceiling: float = None       # part of the ceiling: at least
    own: float = None           # no ratio to the peer but a bound of our own figure
    chart: bool = False
    ratio: bool = True          # is a ratio to the peer of any use?
    only: str = ""              # measured of this program alone


METRICS = {
    "tcp_1_ab": Metric("tcp", "TCP, 1 stream, a to b", "Gbit/s", target=2.5, ceiling=0.80, chart=True),
    "tcp_1_ba": Metric("tcp", "TCP, 1 stream, b to a", "Gbit/s", target=2.5, ceiling=0.80),
    "tcp_1_both": Metric("tcp", "TCP, 1 stream, both ways at once", "Gbit/s"),
    "tcp_4_ab": Metric("tcp", "TCP, 4 streams, a to b", "Gbit/s", target=2.5, chart=True),
    "tcp_4_ba": Metric("tcp", "TCP, 4 streams, b to a", "Gbit/s", target=2.5),
    "tcp_4_both": Metric("tcp", "TCP, 4 streams, both ways at once", "Gbit/s"),
    "tcp_6in4": Metric("tcp", "TCP, 1 stream, IPv6 inside IPv4", "Gbit/s"),
    "tcp_4in6": Metric("tcp", "TCP, 1 stream, IPv4 inside IPv6", "Gbit/s"),
    "tcp_6in6": Metric("tcp", "TCP, 1 stream, IPv6 inside IPv6", "Gbit/s"),
    "cpu_s_per_gb": Metric("tcp", "processor time for a GB, 1 stream", "s", more=False, target=0.40, chart=True),
    "peak_mb": Metric("tcp", "greatest memory, under bulk load", "MB", more=False, target=1 / 15, chart=True),
    "udp_64_pps": Metric("udp", "UDP, 64-byte packets", "1000/s", target=3.0, chart=True),
    "udp_1400_pps": Metric("udp", "UDP, 1,400-byte packets", "1000/s", chart=True),
    "cpu_s_per_mpkt": Metric("udp", "processor time for a million of 64 bytes", "s", more=False, chart=True),
    "rtt_idle_p50": Metric("rtt", "round trip, idle, p50", "us", more=False, target=0.8, chart=True),
    "rtt_idle_p99": Metric("rtt", "round trip, idle, p99", "us", more=False),
    "rtt_idle_p999": Metric("rtt", "round trip, idle, p99.9", "us", more=False),
    "rtt_load_p50": Metric("rtt", "round trip under bulk load, p50", "us", more=False),
    "rtt_load_p99": Metric("rtt", "round trip under bulk load, p99", "us", more=False, target=0.5, chart=True),
    "rtt_load_p999": Metric("rtt", "round trip under bulk load, p99.9", "us", more=False),
    "hub_1": Metric("hub", "TCP, 1 stream through a hub", "Gbit/s", target=2.0, chart=True),
    "hub_4": Metric("hub", "TCP, 4 streams through a hub", "Gbit/s"),
    "hub_cpu_s_per_gb": Metric("hub", "hub's processor time for a GB", "s", more=False),
    "hub_write_kb": Metric("hub", "what the hub writes to its TUN at a time", "kB", ratio=False),
    "hub_read_kb": Metric("hub", "what it then reads from it at a time", "kB", ratio=False),
    "hub_split_1": Metric("hub", "1 stream, with the TUN's gso_max_segs at 45", "Gbit/s", only=OURS),
    "hub_split_read_kb": Metric("hub", "what the hub then reads at a time", "kB", only=OURS),
    "hs_per_s": Metric("handshakes", "handshakes answered by one core", "1/s", target=1.2, chart=True),
    "hs_cpu_us": Metric("handshakes", "processor time for a handshake", "us", more=False),
    "hs_fraction": Metric("handshakes", "part of what X25519 allows, by processor time", "", own=0.8, ratio=False),
    "together_s": Metric("handshakes", "1,000 peers at once: all have sessions", "s", more=False),
    "together_half_s": Metric("handshakes", "1,000 peers at once: half of them have", "s", more=False),
    "quiet_p99": Metric("flood", "round trip, no flood, p99", "us", more=False),
    "valid_p50": Metric("flood", "round trip in valid initiations, p50", "us", more=False),
    "valid_p99": Metric("flood", "round trip in valid initiations, p99", "us", more=False),
    "broken_p50": Metric("flood", "round trip in broken initiations, p50", "us", more=False),
    "broken_p99": Metric("flood", "round trip in broken initiations, p99", "us", more=False),
    "forged_p50": Metric("flood", "round trip in forged initiations, p50", "us", more=False),
    "forged_p99": Metric("flood", "round trip in forged initiations, p99", "us", more=False),
    "valid_times": Metric("flood", "p99 in valid ones, times the quiet p99", "", more=False, own=2.0, ratio=False),
    "broken_times": Metric("flood", "p99 in broken ones, times the quiet p99", "", more=False, own=2.0, ratio=False),
    "forged_times": Metric("flood", "p99 in forged ones, times the quiet p99", "", more=False, own=2.0, ratio=False),
    "capture_off": Metric("capture", "TCP, 1 stream, nobody listens", "Gbit/s", only=OURS),
    "capture_stalled_part": Metric("capture", "part of it, a stalled reader at each end", "", own=0.9, only=OURS),
    "capture_stalled_lost": Metric("capture", "records that they lost", "1000", more=False, only=OURS),
    "capture_inner_part": Metric("capture", "part of it under capture --inner", "", only=OURS),
    "capture_inner_lost": Metric("capture", "records that it lost", "1000", more=False, only=OURS),
    "capture_outer_part": Metric("capture", "part of it under capture --outer", "", only=OURS),
    "capture_outer_lost": Metric("capture", "records that it lost", "1000", more=False, only=OURS),
    "capture_keys_part": Metric("capture", "part of it under capture --keys", "", only=OURS),
    "capture_keys_lost": Metric("capture", "records that it lost", "1000", more=False, only=OURS),
    "start_mb": Metric("memory", "memory at start", "MB", more=False),
    "peer_kb": Metric("memory", "memory for a peer, of 10,000", "kB", more=False, chart=True),
    "exec_socket_ms": Metric("memory", "from exec to the UAPI socket", "ms", more=False, target=0.5, chart=True),
    "exec_answer_ms": Metric("memory", "from exec to the first answer on it", "ms", more=False),
    "set_peers_s": Metric("memory", "time to set 10,000 peers", "s", more=False),
    "set_prefixes_s": Metric("memory", "time to set 130,560 prefixes", "s", more=False, target=0.3, chart=True),
}


def cpu(daemons):
    return sum(d.cpu() for d in daemons)


def bulk(ns, address, seconds, *flags):
    """Gbit/s that arrived, all streams and directions together, and the bytes."""
    end = t.iperf(ns, address, seconds, *flags)
    sums = [end[k] for k in ("sum_received", "sum_received_bidir_reverse") if k in end]
    return sum(s["bits_per_second"] for s in sums) / 1e9, sum(s["bytes"] for s in sums)


def tcp(program, times):
    out = {}
    four, six = "192.168.241.2", "fd00:241::2"
    with t.pair(program) as daemons, t.iperf_server("b"):
        t.warm("a", four)
        before = cpu(daemons)
        out["tcp_1_ab"], n = bulk("a", four, times.bulk)
        out["cpu_s_per_gb"] = (cpu(daemons) - before) / (n / 1e9)
        out["tcp_1_ba"], _ = bulk("a", four, times.bulk, "-R")
        if program.name != CEILING or times.all:
            out["tcp_4_ab"], _ = bulk("a", four, times.bulk, "-P4")
        if times.all:
            out["tcp_4_ba"], _ = bulk("a", four, times.bulk, "-P4", "-R")
            out["tcp_1_both"], _ = bulk("a", four, times.bulk, "--bidir")
            out["tcp_4_both"], _ = bulk("a", four, times.bulk, "-P4", "--bidir")
            out["tcp_6in4"], _ = bulk("a", six, times.bulk / 2)
            t.outside(daemons, 6)
            out["tcp_4in6"], _ = bulk("a", four, times.bulk / 2)
            out["tcp_6in6"], _ = bulk("a", six, times.bulk / 2)
        out["peak_mb"] = max(d.memory("VmHWM") for d in daemons)
    return out


def udp(program, times):
    out = {}
    with t.pair(program) as daemons:
        pids = [p for d in daemons for p in d.pids()]
        for size in (64, 1400) if times.all else (64,):
            cost = {}

            def trial(rate):
                r = t.tool("udp_rate", "a", "b", "192.168.241.2", size, rate, times.trial, *pids)
                achieved = r["sent"] / r["seconds"]
                cost[achieved] = r["cpu_s"] / (r["sent"] / 1e6)
                return achieved, 1 - r["received"] / r["sent"]
            best = stats.highest(trial, 20000, precision=0.05 if times.all else 0.1)
            if best:
                out["udp_%d_pps" % size] = best / 1e3
            if best and size == 64:
                out["cpu_s_per_mpkt"] = cost[best]
    return out


def rtt(program, times):
    out = {}

    def probe(name, seconds):
        r = t.tool("rtt", "a", "b", "192.168.241.2", seconds, 500)
        for share in ("p50", "p99") + (("p999",) if times.all else ()):
            out["rtt_%s_%s" % (name, share)] = r[share + "_us"]
    with t.pair(program), t.iperf_server("b"):
        probe("idle", times.idle)
        load = subprocess.Popen(["ip", "netns", "exec", "a", "iperf3", "-c", "192.168.241.2", "-t", str(round(times.load) + 3)],
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            time.sleep(0.5)
            probe("load", times.load)
            if load.poll() is not None:
                raise RuntimeError("the bulk load ended before the round trips were measured")
        finally:
            load.terminate()
            load.wait()
    return out


def counters(d):
    """(packets, bytes) that the daemon wrote to its TUN, and those that it read."""
    s = json.loads(lab.run("ip -n %s -s -j link show %s" % (d.ns, d.name)))[0]["stats64"]
    return [(s[way]["packets"], s[way]["bytes"]) for way in ("rx", "tx")]


def units(d, before):
    """kB a write and a read since then."""
    return [(b - b0) / max(n - n0, 1) / 1e3 for (n, b), (n0, b0) in zip(counters(d), before)]


def hub(program, times):
    out = {}
    with t.hub(program) as (_, h, _), t.iperf_server("t"):
        t.warm("s", "192.168.242.2")
        cpu0, count0 = h.cpu(), counters(h)
        out["hub_1"], n = bulk("s", "192.168.242.2", times.bulk)
        out["hub_cpu_s_per_gb"] = (h.cpu() - cpu0) / (n / 1e9)
        out["hub_write_kb"], out["hub_read_kb"] = units(h, count0)
        out["hub_4"], _ = bulk("s", "192.168.242.2", times.bulk, "-P4")
        if program.name == OURS:
            lab.run("ip -n h link set wg0 gso_max_segs 45")
            count0 = counters(h)
            out["hub_split_1"], _ = bulk("s", "192.168.242.2", times.bulk)
            out["hub_split_read_kb"] = units(h, count0)[1]
    return out


_keys = {}


def keys(n):
    """The public keys of the generator's peers."""
    if n not in _keys:
        _keys[n] = subprocess.run([os.path.join(t.TOOLS, "handshakes"), "keys", str(n)], check=True,
                                  capture_output=True, text=True).stdout.split()
    return _keys[n]


def generator(mode, d, *args, cpu=None):
    return t.tool("handshakes", mode, "g", "10.0.3.2", t.PORT, t.hex_of(d.public), PEERS_TOGETHER, *args, cpu=cpu)


def answered(program, times):
    """
    The most responses that the generator got.  A daemon that sends cookies was not given time to answer, and stays so for
    a second: another one gets fewer at a time.
    """
    window = WINDOW
    while True:
        with t.farm(program, keys(PEERS_TOGETHER), cpu=0) as d:
            r = generator("answered", d, window, times.handshakes, *d.pids(), cpu=1)
        if r["cookies"] <= r["answered"] / 100:
            return r
        window //= 2
        if window < WINDOW_MIN:
            raise RuntimeError("%s sent %d cookies and %d responses" % (program.name, r["cookies"], r["answered"]))


def handshakes(program, times):
    out = {}
    if os.cpu_count() < 2:
        raise RuntimeError("handshakes: the daemon and the generator need a core each")
    r = answered(program, times)
    possible = t.tool("handshakes", "possible", 0.5, cpu=0)["per_cpu_s"]
    out["hs_per_s"] = r["per_s"]
    out["hs_cpu_us"] = r["cpu_s"] / r["answered"] * 1e6
    out["hs_fraction"] = r["answered"] / r["cpu_s"] / possible
    if times.all:
        with t.farm(program, keys(PEERS_TOGETHER)) as d:
            r = generator("together", d, 40)
            out["together_s"], out["together_half_s"] = r["all_s"], r["half_s"]
    return out


def flood(program, times):
    out = {}
    for kind in ("quiet", "valid", "broken", "forged"):
        with t.farm(program, keys(PEERS_TOGETHER)) as d, t.established(program, d):
            p = None
            if kind != "quiet":
                p = subprocess.Popen([os.path.join(t.TOOLS, "handshakes"), "flood", "g", "10.0.3.2", str(t.PORT),
                                      t.hex_of(d.public), str(PEERS_TOGETHER), kind, str(FLOOD_PER_S), str(times.flood + FLOOD_LONGER)],
                                     stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
                if p.stdout.readline() != "ready\n":
                    raise RuntimeError("the flood did not begin")
                p.stdin.write("\n")
                p.stdin.flush()
                time.sleep(0.5)
            r = t.tool("rtt", "g", "d", "192.168.243.2", times.flood, 1000)
            if p:
                if p.poll() is not None:
                    raise RuntimeError("the flood ended before the round trips were measured")
                p.terminate()
                p.wait()
                out[kind + "_p50"] = r["p50_us"]
            out[kind + "_p99"] = r["p99_us"]
    for kind in ("valid", "broken", "forged"):
        out[kind + "_times"] = out[kind + "_p99"] / out["quiet_p99"]
    return out


class Listener:
    """ginnel capture of a daemon; reads: into /dev/null, otherwise into a pipe that nobody empties."""

    def __init__(self, program, d, view, reads):
        scope = os.path.join(os.path.dirname(program.path), "ginnel-scope")
        self.reads = reads
        self.p = subprocess.Popen([scope, "capture", view, d.name], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                                  stdout=subprocess.DEVNULL if reads else subprocess.PIPE)
        lab.wait_for(lambda: self.p.poll() is not None or "ginnel-ring" in self.proc("maps"))

    def proc(self, name):
        with open("/proc/%d/%s" % (self.p.pid, name)) as f:
            return f.read()

    def lost(self):
        """It ends: how many records it lost, in thousands."""
        written = int(re.search(r"wchar: (\d+)", self.proc("io"))[1])
        self.p.send_signal(signal.SIGINT)
        said = self.p.stderr.read()
        if self.p.wait(lab.PATIENCE) or (self.reads and written < 1e6):
            raise RuntimeError("ginnel capture wrote %d bytes and said %r" % (written, said))
        lost = re.search(r"(\d+) records lost", said)
        return int(lost[1]) / 1e3 if lost else 0.0

    def close(self):
        self.p.kill()
        self.p.wait()


def listened(program, daemons, view, reads, seconds):
    """Gbit/s and thousands of records lost while there are listeners."""
    with contextlib.ExitStack() as stack:
        listeners = [stack.enter_context(contextlib.closing(Listener(program, d, view, reads))) for d in daemons]
        t.warm("a", "192.168.241.2")  # which fills the memory of who does not read
        speed, _ = bulk("a", "192.168.241.2", seconds)
        return speed, sum(x.lost() for x in listeners)


def capture(program, times):
    out = {}
    with t.pair(program) as daemons, t.iperf_server("b"):
        t.warm("a", "192.168.241.2")
        before, _ = bulk("a", "192.168.241.2", times.bulk)
        speeds = {}
        speeds["stalled"], out["capture_stalled_lost"] = listened(program, daemons, "--inner", False, times.bulk)
        for view in ("inner", "outer", "keys"):
            speeds[view], out["capture_%s_lost" % view] = listened(program, daemons[:1], "--" + view, True, times.bulk)
        after, _ = bulk("a", "192.168.241.2", times.bulk)
        out["capture_off"] = (before + after) / 2  # so that a machine that slows down slows both sides of a part
        for k, v in speeds.items():
            out["capture_%s_part" % k] = v / out["capture_off"]
    if not out["capture_stalled_lost"]:
        raise RuntimeError("who reads nothing lost nothing")
    return out


def set_time(d, text):
    u = lab.Uapi(d.name, 120)
    try:
        start = time.monotonic()
        answer = u.ask("set=1\n" + text + "\n")
        took = time.monotonic() - start
    finally:
        u.close()
    if answer != "errno=0\n\n":
        raise RuntimeError("set: " + answer)
    return took


def memory(program, times):
    out = {}
    env = dict(os.environ, **program.env)
    runs = [json.loads(subprocess.run([os.path.join(t.TOOLS, "exec_time"), "d", "/run/wireguard/wg9.sock", program.path, "-f",
                                       "wg9"], env=env, check=True, stdout=subprocess.PIPE, text=True).stdout)
            for _ in range(15)]
    out["exec_socket_ms"] = stats.median([r["socket_ms"] for r in runs])
    out["exec_answer_ms"] = stats.median([r["answer_ms"] for r in runs])
    with t.farm(program, []) as d:
        time.sleep(0.2)
        out["start_mb"] = d.memory("VmRSS")
        if times.all:
            text = "".join("public_key=%s\nallowed_ip=10.%d.%d.1/32\nendpoint=192.0.2.1:%d\n" % (k, i >> 8, i & 255, i + 1)
                           for i, k in enumerate(keys(PEERS_SET)))
            before = d.memory("VmRSS")
            out["set_peers_s"] = set_time(d, text)
            time.sleep(0.5)
            out["peer_kb"] = (d.memory("VmRSS") - before) * 1024 / PEERS_SET
    half = range(PREFIXES_SET // 2)
    text = "public_key=%s\n" % keys(1)[0]
    text += "".join("allowed_ip=%d.%d.%d.1/32\n" % (10 + (i >> 16), i >> 8 & 255, i & 255) for i in half)
    text += "".join("allowed_ip=fd00:%x:%x::/64\n" % (i >> 8, i & 255) for i in half)
    took = []
    for _ in range(3):
        with t.farm(program, []) as d:
            took.append(set_time(d, text))
    out["set_prefixes_s"] = stats.median(took)
    return out


@dataclasses.dataclass(frozen=True)
class Group:
    run: object
    about: str
    quick: bool = True
    ceiling: bool = False  # also measured without a cipher
    quick_ceiling: bool = False
    others: bool = True    # also measured of the peer


GROUPS = {
    "tcp": Group(tcp, "bulk data, its processor time and memory", ceiling=True, quick_ceiling=True),
    "udp": Group(udp, "numbered packets at the highest rate with less than 0.1 % loss", ceiling=True),
    "rtt": Group(rtt, "round trips, idle and under bulk load", ceiling=True),
    "hub": Group(hub, "spoke, hub, spoke: through one daemon and the kernel's forwarding", quick=False),
    "handshakes": Group(handshakes, "answered by one core; many peers at once"),
    "flood": Group(flood, "what floods of initiations do to the data of an established peer", quick=False),
    "capture": Group(capture, "what it costs to be listened to", quick=False, others=False),
    "memory": Group(memory, "memory, start, and setting many peers and prefixes"),
}
