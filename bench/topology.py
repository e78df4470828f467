"""
bench/topology.py - the hosts, and the daemons on them.  Everything is in the namespaces that lab.enter() made.

    pair    a 10.0.0.1 ---------------- b 10.0.0.2       wg1 192.168.241.1 ... wg2 192.168.241.2
              fd00:aa::1                  fd00:aa::2         fd00:241::1          fd00:241::2

    hub     s 10.0.1.1 ---- 10.0.1.254 h 10.0.2.254 ---- t 10.0.2.2
            wg1 192.168.242.1 ... wg0 192.168.242.254 ... wg2 192.168.242.2

    farm    g 10.0.3.1 ---------------- d 10.0.3.2       wg1 192.168.243.1 ... wg0 192.168.243.2
              10.1.0.0/16, all local
"""
import base64
import contextlib
import json
import os
import subprocess
import sys
import time

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(TOP, "tests", "net"))
import lab  # noqa: E402

PORT = 51820
TOOLS = os.path.join(TOP, ".build", "bench", "bench")


class Program:
    """One of those that are compared."""

    def __init__(self, name, path, env=None):
        self.name, self.path, self.env = name, path, dict(env or {}, LOG_LEVEL="silent")

    def version(self):
        if os.path.exists(self.path + ".version"):  # the package's own, from bench/newest-wireguard-go
            with open(self.path + ".version") as f:
                return "%s %s" % (self.name, f.read().strip())
        p = subprocess.run([self.path, "--version"], capture_output=True, text=True)
        return (p.stdout.splitlines() or ["%s, unknown version" % self.name])[0]


class Daemon(lab.Daemon):
    """A daemon with all its processes: whatever it starts counts as its own."""

    def __init__(self, program, ns, name, cpu=None):
        command, args = program.path, ["-f", name]
        if cpu is not None:
            command, args = "/usr/bin/taskset", ["-c", str(cpu), program.path] + args
        super().__init__(ns, name, command, program.env, args=args)

    def pids(self):
        """Its process and those that descend from it."""
        children = {}
        for entry in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open("/proc/%s/stat" % entry) as f:
                    parent = int(f.read().rsplit(")", 1)[1].split()[1])
            except OSError:
                continue
            children.setdefault(parent, []).append(int(entry))
        found, new = [], [self.pid]
        while new:
            found += new
            new = [c for p in new for c in children.get(p, [])]
        return found

    def cpu(self):
        """Seconds of processor time, to the nanosecond: the living, and the dead that were waited for."""
        total = 0.0
        for pid in self.pids():
            total += time.clock_gettime((~pid << 3) | 2)  # what clock_getcpuclockid(3) computes
            with open("/proc/%d/stat" % pid) as f:
                p = f.read().rsplit(")", 1)[1].split()
            total += (int(p[13]) + int(p[14])) / os.sysconf("SC_CLK_TCK")
        return total

    def memory(self, field):
        """VmRSS or VmHWM of all its processes, in MB."""
        total = 0
        for pid in self.pids():
            with open("/proc/%d/status" % pid) as f:
                total += next((int(x.split()[1]) for x in f if x.startswith(field + ":")), 0)
        return total / 1024


def key():
    private = lab.run("wg genkey").strip()
    return private, subprocess.run(["wg", "pubkey"], input=private, capture_output=True, text=True, check=True).stdout.strip()


def hex_of(text):
    return base64.b64decode(text).hex()


def hosts(*names):
    for ns in names:
        lab.run("ip netns add " + ns)
        lab.run("ip -n %s link set lo up" % ns)
        lab.run("sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0", ns)


def cable(ns1, dev1, addresses1, ns2, dev2, addresses2):
    lab.run("ip link add %s netns %s type veth peer name %s netns %s" % (dev1, ns1, dev2, ns2))
    for ns, dev, addresses in ((ns1, dev1, addresses1), (ns2, dev2, addresses2)):
        for a in addresses:
            lab.run("ip -n %s addr add %s dev %s%s" % (ns, a, dev, " nodad" if ":" in a else ""))
        lab.run("ip -n %s link set %s up" % (ns, dev))


def build():
    """All hosts of all topologies, once."""
    hosts("a", "b", "s", "h", "t", "g", "d")
    cable("a", "eth", ["10.0.0.1/24", "fd00:aa::1/64"], "b", "eth", ["10.0.0.2/24", "fd00:aa::2/64"])
    cable("s", "eth", ["10.0.1.1/24"], "h", "eth1", ["10.0.1.254/24"])
    cable("t", "eth", ["10.0.2.2/24"], "h", "eth2", ["10.0.2.254/24"])
    lab.run("sysctl -qw net.ipv4.ip_forward=1", "h")
    cable("g", "eth", ["10.0.3.1/24"], "d", "eth", ["10.0.3.2/24"])
    lab.run("ip -n g route add local 10.1.0.0/16 dev lo")
    lab.run("ip -n d route add 10.1.0.0/16 via 10.0.3.1")


def up(daemon, addresses):
    for a in addresses:
        lab.run("ip -n %s addr add %s dev %s%s" % (daemon.ns, a, daemon.name, " nodad" if ":" in a else ""))
    lab.run("ip -n %s link set %s up" % (daemon.ns, daemon.name))


def peer_lines(public, allowed, endpoint=None):
    return ["public_key=" + hex_of(public)] + ["allowed_ip=" + a for a in allowed] + \
        (["endpoint=" + endpoint] if endpoint else [])


@contextlib.contextmanager
def stopping(daemons):
    try:
        yield daemons
    finally:
        for d in daemons:
            d.p.terminate()
        for d in daemons:
            if d.gone(10) is None:
                d.p.kill()
                d.gone()


@contextlib.contextmanager
def pair(program):
    """Two daemons of the program with a session between them: [in a, in b]."""
    with stopping([]) as daemons:
        daemons += [Daemon(program, "a", "wg1"), Daemon(program, "b", "wg2")]
        keys = [key(), key()]
        for i, d in enumerate(daemons):
            other = 2 - i
            d.set("private_key=" + hex_of(keys[i][0]), "listen_port=%d" % PORT,
                  *peer_lines(keys[1 - i][1], ["192.168.241.%d/32" % other, "fd00:241::%d/128" % other],
                              "10.0.0.%d:%d" % (other, PORT)))
            d.peer_key = hex_of(keys[1 - i][1])
            up(d, ["192.168.241.%d/24" % (i + 1), "fd00:241::%d/64" % (i + 1)])
        reach("a", "192.168.241.2")
        yield daemons


def outside(daemons, family):
    """The pair's datagrams over IPv4 or IPv6 from now on."""
    for i, d in enumerate(daemons):
        address = "[fd00:aa::%d]" % (2 - i) if family == 6 else "10.0.0.%d" % (2 - i)
        d.set("public_key=" + d.peer_key, "update_only=true", "endpoint=%s:%d" % (address, PORT))
    reach("a", "192.168.241.2")


@contextlib.contextmanager
def hub(program):
    """[spoke in s, hub in h, spoke in t]."""
    with stopping([]) as daemons:
        daemons += [Daemon(program, "s", "wg1"), Daemon(program, "h", "wg0"), Daemon(program, "t", "wg2")]
        s, h, t = daemons
        ks, kh, kt = key(), key(), key()
        for d, k, via in ((s, ks, "10.0.1.254"), (t, kt, "10.0.2.254")):
            d.set("private_key=" + hex_of(k[0]), "listen_port=%d" % PORT,
                  *peer_lines(kh[1], ["192.168.242.0/24"], "%s:%d" % (via, PORT)))
        h.set("private_key=" + hex_of(kh[0]), "listen_port=%d" % PORT,
              *peer_lines(ks[1], ["192.168.242.1/32"], "10.0.1.1:%d" % PORT),
              *peer_lines(kt[1], ["192.168.242.2/32"], "10.0.2.2:%d" % PORT))
        up(s, ["192.168.242.1/24"])
        up(h, ["192.168.242.254/24"])
        up(t, ["192.168.242.2/24"])
        reach("s", "192.168.242.2")
        yield daemons


@contextlib.contextmanager
def farm(program, peers, cpu=None):
    """One daemon in d that knows these public keys, in hex; it has .public."""
    with stopping([]) as daemons:
        d = Daemon(program, "d", "wg0", cpu)
        daemons.append(d)
        private, d.public = key()
        d.set("private_key=" + hex_of(private), "listen_port=%d" % PORT,
              *[x for i, p in enumerate(peers)
                for x in ("public_key=" + p, "allowed_ip=10.2.%d.%d/32" % (i >> 8, i & 255))])
        up(d, ["192.168.243.2/24"])
        yield d


@contextlib.contextmanager
def established(program, d):
    """A peer of a farm's daemon that has a session with it."""
    with stopping([]) as daemons:
        e = Daemon(program, "g", "wg1")
        daemons.append(e)
        private, public = key()
        e.set("private_key=" + hex_of(private), *peer_lines(d.public, ["192.168.243.2/32"], "10.0.3.2:%d" % PORT))
        d.set(*peer_lines(public, ["192.168.243.1/32"]))
        up(e, ["192.168.243.1/24"])
        reach("g", "192.168.243.2")
        yield e


def reach(ns, address):
    """There is a session: an initiation that was lost is sent again after five seconds."""
    if not lab.wait_for(lambda: "1 received" in lab.run("ping -n -q -c 1 -W 1 " + address, ns, check=False).stdout, 30):
        raise RuntimeError("%s is not reached through the tunnel" % address)


@contextlib.contextmanager
def iperf_server(ns):
    p = subprocess.Popen(["ip", "netns", "exec", ns, "iperf3", "-s", "-p", "5201"], stdout=subprocess.DEVNULL,
                         stderr=subprocess.DEVNULL)
    try:
        lab.wait_for(lambda: "5201" in lab.run("ss -Hltn", ns))
        yield
    finally:
        p.terminate()
        p.wait()


def iperf(ns, address, seconds, *flags):
    """What iperf3 says at its end.  It counts whole seconds only, and takes none for ever."""
    seconds = max(1, round(seconds))
    return _iperf(ns, address, seconds + 60, "-t", str(seconds), *flags)


def warm(ns, address):
    """Some data that does not count: the first of it finds small buffers and an empty heap."""
    _iperf(ns, address, 60, "-n", "50M")


def _iperf(ns, address, timeout, *flags):
    for _ in range(50):
        out = json.loads(lab.run(["iperf3", "-c", address, "-J", *flags], ns, check=False, timeout=timeout).stdout)
        if "server is busy" not in out.get("error", ""):
            break
        time.sleep(0.1)  # with the end of the run before
    if "error" in out:
        raise RuntimeError("iperf3: " + out["error"])
    return out["end"]


def tool(name, *args, cpu=None):
    """The JSON that a program of bench/ prints."""
    pin = ["taskset", "-c", str(cpu)] if cpu is not None else []
    return json.loads(subprocess.run([*pin, os.path.join(TOOLS, name), *map(str, args)], check=True,
                                     stdout=subprocess.PIPE, text=True).stdout)
