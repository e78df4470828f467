#!/usr/bin/python3
"""What a running daemon says of itself: ginnel stats, metrics and report, and its control channel under bad company."""
import base64
import json
import os
import re
import socket
import stat
import struct
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lab  # noqa: E402
import wgpeer as w  # noqa: E402
from lab import Daemon, WG, ok, same  # noqa: E402

GINNEL = os.path.join(os.path.dirname(WG), "ginnel")
CTL = "/run/ginnel/%s.ctl"
STATS, END, REFUSED = 1, 0x8000, 0x8001


def ginnel(*args):
    """(exit status, standard output, standard error)"""
    p = subprocess.run([GINNEL, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=lab.PATIENCE)
    return p.returncode, p.stdout, p.stderr


def stats(*args):
    status, out, err = ginnel("stats", "--json", *args)
    if status:
        raise RuntimeError("ginnel stats %s: %s" % (args, err))
    return json.loads(out)


class Ctl:
    """A conversation on the control channel."""

    def __init__(self, name, small=False):
        self.s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        if small:
            self.s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        self.s.connect(CTL % name)
        self.s.settimeout(lab.PATIENCE)

    def ask(self, request):
        self.s.send(struct.pack(">BBH", 1, 0, request))

    def frames(self):
        """Types of the frames up to END or REFUSED; [] when the daemon closed."""
        types = []
        while not types or types[-1] not in (END, REFUSED):
            try:
                frame = self.s.recv(1 << 16)
            except ConnectionResetError:
                frame = b""
            if not frame:
                return []
            types.append(struct.unpack(">H", frame[2:4])[0])
        return types

    def stats(self):
        self.ask(STATS)
        return self.frames()


def tunnel(ends, workers):
    """Two daemons and traffic between them, and a preshared key."""
    keys = [w.Key(), w.Key()]
    psk = os.urandom(32)
    daemons = []
    for i, end in enumerate(ends):
        ns, name = end
        d = Daemon(ns, name, args=["-f", "--workers=%d" % workers, name])
        daemons.append(d)
        endpoint = ["endpoint=10.0.%d.2:5000" % (2 - i)] if i == 0 else []
        d.set("private_key=" + keys[i].private.hex(), "listen_port=5000", "public_key=" + keys[1 - i].public.hex(),
              "preshared_key=" + psk.hex(), *endpoint, "allowed_ip=192.168.7.%d/32" % (2 - i), "allowed_ip=192.168.8.%d/32" % (2 - i))
        lab.run("ip addr add 192.168.7.%d/24 dev %s" % (i + 1, name), ns)
        lab.run("ip link set %s up" % name, ns)
    lab.run("ping -qc3 -i0.1 -W%d 192.168.7.2" % lab.PATIENCE, ends[0][0])
    return daemons, keys, psk


def shows(workers, psk, keys, daemons):
    a, b = daemons
    key = base64.b64encode(keys[1].public).decode()
    path, dpath = os.stat(CTL % a.name), os.stat("/run/ginnel")
    same((stat.S_ISSOCK(path.st_mode), oct(path.st_mode & 0o777), oct(dpath.st_mode & 0o777)), (True, "0o600", "0o755"),
         "the control channel is its owner's only, its directory for all to look into [ctl-socket]")
    s = stats(a.name)[0]
    p = s["peers"][0]
    same((s["interface"], s["pid"], s["up"], s["port"], s["workers"], len(s["peers"]), p["public_key"], p["endpoint"], p["allowed_ips"]),
         (a.name, a.pid, True, 5000, workers, 1, key, "10.0.2.2:5000", 2), "stats say what is configured and running [stats-shows]")

    def agree():
        x, u = stats(a.name)[0]["peers"][0], a.peer(keys[1].public)
        return (x["rx_bytes"], x["tx_bytes"], int(x["last_handshake"])) == \
            (int(u["rx_bytes"]), int(u["tx_bytes"]), int(u["last_handshake_time_sec"]))
    # A keepalive may come in between.
    ok(lab.wait_for(agree), "bytes and handshake are those of the configuration socket [stats-shows]", stats(a.name), a.get())
    ok("session_age" in p and s["events"]["handshake-complete"] >= 1 and s["drops"]["replay"] == 0,
       "session, events and drops are there [stats-shows]", s)
    ok(all(x["on"] or x["why"] for x in s["fast_path"].values()) and re.match(r"(ipsec-mb|openssl) \S+", s["cipher"]),
       "the fast path is told piece by piece, and why one is not in use [stats-fast-path]", s["fast_path"])
    status, text, err = ginnel("stats", a.name)
    words = (a.name + ": up, port 5000, 1 peer", "%s...%s" % (key[:4], key[40:43]), "10.0.2.2:5000", s["cipher"], "%d worker" % workers)
    ok(status == 0 and all(x in text for x in words) and "\033" not in text, "the table says the same, without colours on no terminal [stats-shows]",
       text, err)
    same([x["interface"] for x in stats()], sorted(x.name for x in daemons), "without a name it shows all tunnels [stats-all]")
    lab.run("ip netns exec %s ping -qc1 -W1 192.168.7.77" % a.ns, check=False)
    ok(lab.wait_for(lambda: stats(a.name)[0]["drops"]["no-peer"] > 0), "a drop is counted under its reason [stats-drops]")
    text = ginnel("stats", a.name)[1], ginnel("stats", "--all", a.name)[1]
    same([("no-peer" in x, "replay 0" in x) for x in text], [(True, False), (True, True)],
         "reasons that have not occurred are shown with --all only [stats-drops]")
    secrets = {"private key of a": keys[0].private, "private key of b": keys[1].private, "preshared key": psk}
    raw = bytearray()
    c = Ctl(a.name)
    for request in (1, 2):
        c.ask(request)
        while True:
            frame = c.s.recv(1 << 16)
            raw += frame
            if struct.unpack(">H", frame[2:4])[0] == END:
                break
    clamped = {n: bytes([k[0] & 248]) + k[1:31] + bytes([k[31] & 127 | 64]) for n, k in secrets.items()}
    same([n for n, k in [*secrets.items(), *clamped.items()] if k in raw or k[:16] in raw], [],
         "no private or preshared key goes over the control channel [ctl-no-secrets]")
    for options in ([], ["--hide-addresses"]):
        status, text, err = ginnel("report", *options, a.name)
        forms = {n: (k, k.hex().encode(), base64.b64encode(k)) for n, k in
                 [*secrets.items(), *clamped.items(), ("public key of a", keys[0].public), ("public key of b", keys[1].public)]}
        found = [n for n, f in forms.items() if any(x in text.encode("utf-8", "surrogateescape") for x in f)]
        same((status, found), (0, []), "a report holds no key, raw, in hex or base64: %s [report-no-secrets]" % (options or "as it is"))
    ok("10.0.2.2" not in text and "(hidden)" in text, "--hide-addresses hides where peers are [report-hides]", text)
    text = ginnel("report", a.name)[1]
    ok(all(x in text for x in ("handshake-complete", "10.0.2.2:5000", "ginnel-wg ", os.uname().release, s["cipher"], "Seccomp:", "PRETTY_NAME")),
       "and has versions, kernel, stats, the last events and the box [report-holds]", text)
    status, text, _ = ginnel("report", a.name, "wg77")
    ok(status == 1 and "no ginnel-wg runs for wg77" in text and "interface " + a.name in text,
       "a tunnel that does not answer is told in the report and makes it exit with 1 [report-holds]", text)


def removed_while_read(d):
    """Peers go while an answer that lists them is under way."""
    keys = [os.urandom(32).hex() for _ in range(6000)]
    for i in range(0, len(keys), 1000):
        d.set(*("public_key=" + k for k in keys[i:i + 1000]))
    ask = [Ctl(d.name) for _ in range(8)]
    for c in ask:
        c.ask(STATS)
        for _ in range(80):
            c.s.recv(1 << 16)
    for i in range(0, len(keys), 1000):
        d.set(*(x for k in keys[i:i + 1000] for x in ("public_key=" + k, "remove=true")))
    ends = [c.frames()[-1:] for c in ask]
    same((ends, len(stats(d.name)[0]["peers"])), ([[END]] * 8, 1), "peers that are removed while an answer lists them harm nothing [ctl-removed]")


def company(d):
    """Clients that behave badly, and many."""
    before = len(os.listdir("/proc/%d/fd" % d.pid))
    stalled = [Ctl(d.name, small=True) for _ in range(20)]
    for c in stalled:
        for _ in range(40):
            c.ask(STATS)
    clients = [Ctl(d.name) for _ in range(200)]
    answers, lock = [], threading.Lock()

    def several(some):
        for c in some:
            t = c.stats()
            with lock:
                answers.append(t[-1:])
    threads = [lab.in_thread(several, clients[i::8]) for i in range(8)]
    for t in threads:
        t.join(lab.PATIENCE)
    same(answers, [[END]] * 200, "200 clients at once are answered while 20 stand still [ctl-many] [ctl-stalled]")
    rss = d.status("VmRSS")
    for _ in range(5):
        for c in clients:
            c.stats()
    ok(d.sanitised() or d.status("VmRSS") < rss + 4096, "and take no memory with them [ctl-stalled]", rss, d.status("VmRSS"))
    for c in stalled + clients:
        c.s.close()
    null = os.open("/dev/null", os.O_RDONLY)
    for i in range(500):
        c = Ctl(d.name)
        bad = os.urandom(1 + i % 70) if i % 2 else struct.pack(">BBH", 1, 0, 1 + i % 4) + os.urandom(i % 70)
        try:
            socket.send_fds(c.s, [bad], [null] * (i % 4))
            if i % 3 == 0:
                c.s.recv(100)
        except OSError:
            pass
        c.s.close()
    same(Ctl(d.name).stats()[-1:], [END], "after hostile bytes it still answers [ctl-refuses]")
    # Of those who asked before it may not have noticed yet that they had gone.
    ok(lab.wait_for(lambda: len(os.listdir("/proc/%d/fd" % d.pid)) <= before), "and has kept none of their descriptors [ctl-refuses]",
       before, os.listdir("/proc/%d/fd" % d.pid))


def strangers(d):
    nobody = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
    copy = "/run/lab/ginnel"  # where others may execute it
    subprocess.run(["cp", GINNEL, copy], check=True)
    os.chmod("/run/lab", 0o755)
    os.chmod(copy, 0o755)
    p = subprocess.run([*nobody, copy, "stats", d.name], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=lab.PATIENCE)
    same((p.returncode, p.stdout, p.stderr), (1, "", "ginnel stats: /run/ginnel/%s.ctl is for root and for who runs the daemon\n" % d.name),
         "another user is refused and told why [ctl-strangers]")


def watch(d):
    p = subprocess.Popen([GINNEL, "stats", "--watch=1", "--json", d.name], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    seen, end = [], time.monotonic() + lab.PATIENCE
    # One that was due while this script did not get to run has counted nothing.
    while len(seen) < 3 or (not seen[-1]["rx_bytes_per_second"] and time.monotonic() < end):
        text = ""
        while not text.endswith("]}]\n"):
            line = p.stdout.readline()
            if not line:
                break
            text += line
        seen.append(json.loads(text)[0]["peers"][0])
        lab.run("ping -qc2 -i0.1 -W1 192.168.7.2", d.ns, check=False)
    ok("rx_bytes_per_second" not in seen[0] and seen[-1]["rx_bytes_per_second"] > 0 and seen[-1]["rx_bytes"] > seen[0]["rx_bytes"],
       "watching, each time after the first has rates [stats-watch]", seen)
    d.p.kill()
    d.gone()
    try:
        p.wait(lab.PATIENCE)
    except subprocess.TimeoutExpired:
        p.kill()
    same((p.returncode, p.stderr.read()), (1, "ginnel stats: no ginnel-wg runs for %s (nobody listens on /run/ginnel/%s.ctl)\n" % (d.name, d.name)),
         "a daemon that is killed while it is watched ends that with a reason [stats-watch]")
    d = Daemon(d.ns, d.name)
    same(stats(d.name)[0]["interface"], d.name, "its channel's dead socket is taken over by the next daemon [ctl-socket]")
    return d


def unwritable(ns):
    """A /run in which no channel can be made."""
    d = Daemon(ns, "wg5", program="unshare", args=["--mount", "sh", "-c", "mkdir -p /run/ginnel && mount -t tmpfs -o ro none /run/ginnel && exec \"$@\"",
                                                  "sh", WG, "-f", "wg5"])
    told = [x for x in d.log_lines() if "control" in x or "ctl" in x]
    ok(len(told) == 1 and "cannot listen on /run/ginnel/wg5.ctl: Read-only file system; going on" in told[0],
       "without a place for its control channel it says so once and serves [ctl-without]", *told)
    same(d.stop(), 0, "and ends as always [ctl-without]")


def test():
    for i, ns in enumerate(("a", "b")):
        lab.host(ns, mine="10.0.%d.1/24" % (i + 1), theirs="10.0.%d.2/24" % (i + 1), mine6=None, theirs6=None)
        lab.run("ip route add default via 10.0.%d.1" % (i + 1), ns)
    lab.run("sysctl -qw net.ipv4.ip_forward=1")
    status, out, err = ginnel("stats")
    same((status, out), (0, "no tunnel runs here (nothing listens in /run/ginnel)\n"), "no tunnel at all is no failure [stats-all]")
    same((ginnel("stats", "wg1")[0::2], stats()), ((1, "ginnel stats: no ginnel-wg runs for wg1 (no /run/ginnel/wg1.ctl)\n"), []),
         "one that is asked for by name and does not run is [ctl-nobody]")
    for workers in (1, 2):
        daemons, keys, psk = tunnel((("a", "wga%d" % workers), ("b", "wgb%d" % workers)), workers)
        shows(workers, psk, keys, daemons)
        company(daemons[0])
        removed_while_read(daemons[0])
        strangers(daemons[0])
        daemons[0] = watch(daemons[0])
        same([(d.stop(), os.path.exists(CTL % d.name)) for d in daemons], [(0, False)] * 2, "a daemon that ends takes its channel away [ctl-socket]")
    unwritable("a")
    same(os.listdir("/run/ginnel"), [], "nothing is left in /run/ginnel [ctl-socket]")


lab.main(900, test)
