#!/usr/bin/python3
"""One daemon takes the place of another under traffic, either end, many times, and with either of them killed or held at
every step: the stream goes on, no counter is used twice, and there is always exactly one daemon."""
import fcntl
import hashlib
import json
import os
import random
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lab  # noqa: E402
from lab import WG, ok, same, wait_for  # noqa: E402
from pair import Pair  # noqa: E402
from successor import MESSAGES, Next, Stranger  # noqa: E402

NAMES = {"a": "wg1", "b": "wg2"}


class Lab(Pair):
    def daemon(self, ns):
        return getattr(self, ns)

    def forget(self, d):
        if d in lab._daemons:
            lab._daemons.remove(d)

    def replace(self, ns, *options, **kw):
        """The daemon of a host by a new one.  Both; the exit status of the old one."""
        old = self.daemon(ns)
        new = Next(ns, NAMES[ns], *options, **kw)
        wait_for(lambda: not old.alive() or not new.alive())
        status = old.gone() if new.alive() else None
        wait_for(new.took_over)
        setattr(self, ns, new if status is not None else old)
        return new, status

    def config(self, ns):
        """What wg show would print, without what time changes."""
        device, peers = self.daemon(ns).get()
        for p in peers.values():
            for k in ("tx_bytes", "rx_bytes"):
                p.pop(k, None)
        return device, peers

    def handshake(self, ns):
        return [(p["last_handshake_time_sec"], p["last_handshake_time_nsec"]) for p in self.daemon(ns).get()[1].values()]


class Sniffer:
    """All datagrams of both tunnels' ends on the cable, each by itself."""

    def __init__(self):
        for ns in "ab":
            lab.run("ethtool -K eth tso off gso off gro off tx-udp-segmentation off", ns)
        with lab.inside("a"):
            self.s = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0003))
            self.s.bind(("eth", 3))
        self.s.setsockopt(socket.SOL_SOCKET, 33, 256 << 20)
        self.s.settimeout(0.2)
        self.seen, self.twice, self.handshakes, self.data, self.whole = set(), [], [], 0, True
        self.stopping = False
        self.thread = lab.in_thread(self.run)

    def run(self):
        while True:
            try:
                p = self.s.recv(65535)
            except socket.timeout:
                if self.stopping:
                    return
                continue
            if len(p) < 44 or p[0] >> 4 != 4 or p[9] != 17:
                continue
            if struct.unpack_from("!H", p, 6)[0] & 0x1fff:
                continue
            m = p[28:]
            if m[0] in (1, 2):
                self.handshakes.append(time.monotonic())
            elif m[0] == 4:
                self.whole &= len(m) <= 1500
                self.data += 1
                key = m[4:16]
                if key in self.seen:
                    self.twice.append(key.hex())
                self.seen.add(key)

    def stop(self):
        self.stopping = True
        self.thread.join()
        lost = struct.unpack("II", self.s.getsockopt(263, 6, 8))[1]  # SOL_PACKET, PACKET_STATISTICS
        self.s.close()
        return lost


class Transfer:
    """A TCP connection through the tunnel that carries random bytes both ways until it is told to end, and their hashes."""

    def __init__(self):
        with lab.inside("b"):
            listener = socket.create_server(("10.9.0.2", 5000))
        with lab.inside("a"):
            near = socket.create_connection(("10.9.0.2", 5000), lab.PATIENCE)
        far, _ = listener.accept()
        listener.close()
        self.ends, self.stopping = (near, far), False
        self.sums = {}
        self.moved = [0, 0]
        self.threads = []
        for i in (0, 1):
            self.ends[i].settimeout(lab.PATIENCE)
            self.threads += [lab.in_thread(self.send, i), lab.in_thread(self.receive, i)]

    def send(self, i):
        h, block = hashlib.sha256(), os.urandom(1 << 17)
        while not self.stopping:
            part = block[random.randrange(1 << 16):]
            self.ends[i].sendall(part)
            h.update(part)
            time.sleep(0.02)
        self.ends[i].shutdown(socket.SHUT_WR)
        self.sums["sent", i] = h.hexdigest()

    def receive(self, i):
        h = hashlib.sha256()
        while data := self.ends[i].recv(1 << 16):
            h.update(data)
            self.moved[i] += len(data)
        self.sums["got", i] = h.hexdigest()

    def goes_on(self):
        """More bytes arrive at both ends than before."""
        before = list(self.moved)
        return wait_for(lambda: all(now > was for now, was in zip(self.moved, before)))

    def stop(self):
        self.stopping = True
        for t in self.threads:
            t.join(lab.PATIENCE)
        for s in self.ends:
            s.close()
        s = self.sums
        return s.get(("sent", 0)) == s.get(("got", 1)) is not None and s.get(("sent", 1)) == s.get(("got", 0)) is not None


def twenty(p):
    sniffer = Sniffer()
    p.works()
    began = time.monotonic()
    before = {ns: (p.config(ns), p.handshake(ns)) for ns in "ab"}
    t = Transfer()
    t.goes_on()
    statuses, pauses, still = [], [], 0
    for i in range(20):
        for ns in "ab":
            # One, two and three workers by turns, so that there are more and fewer queues and sockets than before.
            new, status = p.replace(ns, "--workers=%d" % (1, 2, 1, 3)[(i + (ns == "b")) % 4])
            statuses.append(status)
            pauses.append(new.pause_us())
            still += not t.goes_on()
    good = t.stop()
    lost = sniffer.stop()
    lasted = time.monotonic() - began
    same(statuses, [0] * 40, "twenty hand-overs in a row at each end, the old one ends with 0 [replace-stream]")
    ok(good and not still, "a TCP stream goes on in both directions, each byte as it was sent [replace-stream]",
       t.sums, "stood still: %d" % still, t.moved)
    ok(not lost and sniffer.whole and sniffer.data > 1000, "all datagrams were seen: %d [replace-counter]" % sniffer.data, lost, sniffer.whole)
    same(sniffer.twice, [], "no counter of an index is seen twice on the wire [replace-counter]")
    early = [x - began for x in sniffer.handshakes if x > began and x - began < 100]
    same(early, [], "and no handshake [replace-handshake]")
    if lasted < 100:
        same({ns: (p.config(ns), p.handshake(ns)) for ns in "ab"}, before, "what wg shows is what it showed before [replace-show]")
    else:
        same({ns: p.config(ns)[1].keys() for ns in "ab"}, {ns: before[ns][0][1].keys() for ns in "ab"},
             "what wg shows is what it showed before [replace-show]")
    ok(all(x is not None for x in pauses), "the pause is told: %d us in the middle, %d at most" % (sorted(pauses)[20], max(pauses)))


def exactly_one(p, ns, old, new):
    """The one that is left."""
    wait_for(lambda: old.alive() + new.alive() == 1)
    left = [d for d in (old, new) if d.alive()]
    for d in (old, new):
        if not d.alive():
            p.forget(d)
    if len(left) == 1:
        setattr(p, ns, left[0])
    return len(left) == 1


def killed(p):
    t = Transfer()
    # The new one, at whatever it hears or says.
    for what in ("got tunnel", "got descriptors", "got piece", "got prepared", "send freeze", "sent freeze", "got final", "send ready",
                 "sent ready", "got commit", "send taken"):
        when, message = what.split()
        old = p.daemon("a")
        new = Next("a", "wg1", stop="%s %x 9 1" % (when, MESSAGES[message]))
        one = exactly_one(p, "a", old, new)
        ok(one and old.alive() and t.goes_on(), "the new one is killed when it %s %s: the old one goes on [replace-killed]" % (when, message),
           "old %s new %s" % (old.alive(), new.alive()), *old.log_lines()[-5:])
    # The old one, from when it has said what it has: before, that is a crash of the only daemon.
    for what in ("sent prepared", "got freeze", "sent piece", "send final", "sent final", "got ready", "send commit", "sent commit",
                 "got taken"):
        when, message = what.split()
        count = 2 if what == "sent piece" else 1  # the first one is of the trial
        old, status = p.replace("b", stop="%s %x 9 %d" % (when, MESSAGES[message], count))
        if not same(status, 0, "one that will be killed when it %s %s takes over [replace-killed]" % (when, message)):
            return
        new = Next("b", "wg2")
        one = exactly_one(p, "b", old, new)
        ok(one and new.alive() and t.goes_on(), "the old one is killed when it %s %s: the new one goes on [replace-killed]" %
           (when, message), "old %s new %s" % (old.alive(), new.alive()), *new.log_lines()[-5:])
    ok(t.stop(), "and the stream has lost no byte [replace-killed]", t.sums)


def refused(p):
    old, t = p.daemon("a"), Transfer()
    same(Stranger("wg1", version=2).hear(), 0x8001, "another version of the hand-over is refused [replace-refused]")
    s = Stranger("wg1")
    same(s.hear(), MESSAGES["tunnel"], "who asks is told of the tunnel [replace-refused]")
    same(Stranger("wg1").hear(), 0x8001, "a second one is refused meanwhile [replace-refused]")
    same(s.until(0x900b), 0x900b, "one that does not go on is given up [replace-stalled]")
    s = Stranger("wg1")
    s.until(MESSAGES["prepared"])
    s.say(MESSAGES["freeze"])
    same(s.until(MESSAGES["final"]), MESSAGES["final"], "one that has the last state and says nothing [replace-stalled]")
    same(s.until(0x900b), 0x900b, "is given up too [replace-stalled]")
    ok(t.goes_on(), "and packets go on [replace-stalled]")
    s = Stranger("wg1")
    s.until(MESSAGES["prepared"])
    s.say(MESSAGES["freeze"])
    s.until(MESSAGES["final"])
    s.say(0x7777)
    same(s.until(0x900b), 0x900b, "so is one that says something else [replace-refused]")
    ok(t.goes_on() and old.alive(), "after each of them the old one goes on [replace-refused]")
    new = Next("a", "wg1", "--bind-address=10.0.0.1")
    same(new.gone(), 1, "other addresses to listen on are refused [replace-bind]")
    ok(new.said("--bind-address"), "with the reason [replace-bind]", *new.log_lines())
    new = Next("b", "wg1")
    same(new.gone(), 1, "from another network namespace it is refused [replace-namespace]")
    ok(new.said("network namespace"), "with the reason [replace-namespace]", *new.log_lines())
    new = Next("a", "wg7")
    same(new.gone(), 1, "where nobody serves there is nothing to replace [replace-refused]")
    ok(new.said("without --replace"), "and it says what to do [replace-refused]", *new.log_lines())
    ok(t.goes_on() and old.alive(), "through all that the old one goes on [replace-refused]")
    ok(t.stop(), "and the stream has lost no byte [replace-refused]", t.sums)


def clients(p):
    half, idle, many = lab.Uapi("wg1"), lab.Uapi("wg1"), lab.Uapi("wg1")
    half.send("get=")
    many.send("get=1\n\n" * 50)
    p.replace("a")
    half.send("1\n\n")
    ok("public_key" in half.answer(), "a client in the middle of its request is answered by the next daemon [replace-uapi]")
    ok("public_key" in idle.ask("get=1\n\n"), "so is one that had said nothing yet [replace-uapi]")
    same([("public_key" in many.answer()) for _ in range(50)], [True] * 50, "and one that had asked often [replace-uapi]")
    for c in (half, idle, many):
        c.close()
    waiting, answered = [], set()

    def hear():
        c = waiting.pop(0)
        answered.add("public_key" in c.answer())
        c.close()
    new = Next("a", "wg1")
    while not new.took_over() and new.alive():
        c = lab.Uapi("wg1")
        c.send("get=1\n\n")
        waiting.append(c)
        if len(waiting) > 20:  # with those that are closed and not noticed yet they stay below what a daemon serves
            hear()
        time.sleep(0.001)
    while waiting:
        hear()
    same(answered, {True}, "whoever comes in between is answered by one of them [replace-uapi]")
    p.daemon("a").gone()
    p.a = new
    # The old one hears of this one and that it is to freeze at once.
    old, _ = p.replace("a", stop="sent %x %d 1" % (MESSAGES["prepared"], signal.SIGSTOP))
    new = Next("a", "wg1", stop="sent %x %d 1" % (MESSAGES["freeze"], signal.SIGSTOP))
    both = (old.pid, new.pid)
    ok(wait_for(lambda: all(is_stopped(pid) for pid in both)), "old and new are held in the middle")
    c = lab.Uapi("wg1")
    c.send("get=1\n\n")
    for pid in both:
        os.kill(pid, signal.SIGCONT)
    ok("public_key" in c.answer(), "who comes while the old one already hears of its end is answered by the new one [replace-uapi]")
    c.close()
    ok(wait_for(new.took_over), "which has taken over")
    old.gone()
    p.a = new


def is_stopped(pid):
    with open("/proc/%d/stat" % pid) as f:
        return f.read().rsplit(")", 1)[1].split()[0] == "T"


def places(p):
    """Down, renamed, elsewhere; in the background."""
    lab.run("ip -n a link set wg1 down")
    before = p.config("a")
    _, status = p.replace("a")
    same(status, 0, "a tunnel whose link is down is taken over [replace-down]")
    same(p.config("a"), before, "with its configuration [replace-down]")
    lab.run("ip -n a link set wg1 name office")
    lab.run("ip -n a link set office up")
    p.a.set("public_key=" + p.kb.public.hex(), "endpoint=10.0.0.2:2222")
    same(lab.run("ping -c 1 -W 60 10.9.0.2", "a", check=False).returncode, 0, "and works when it is up again [replace-down]")
    _, status = p.replace("a", "--workers=3")
    same(status, 0, "one whose interface was renamed is taken over [replace-renamed]")
    same(lab.run("ping -c 1 -W 60 10.9.0.2", "a", check=False).returncode, 0, "and works [replace-renamed]")
    lab.run("ip netns add c")
    lab.run("ip -n a link set office netns c")
    lab.run("ip -n c addr add 10.9.0.1/24 dev office")
    lab.run("ip -n c link set office up")
    _, status = p.replace("a", "--workers=1")
    same(status, 0, "one whose interface was moved to another namespace is taken over [replace-moved]")
    same(lab.run("ping -c 1 -W 60 10.9.0.2", "c", check=False).returncode, 0, "and works [replace-moved]")
    _, status = p.replace("a", "--workers=4")
    same(status, 0, "and again, with more workers than it can have queues [replace-moved]")
    same(lab.run("ping -c 1 -W 60 10.9.0.2", "c", check=False).returncode, 0, "and works [replace-moved]")
    ok("office" not in lab.run("ip -n a link"), "and no other interface was made [replace-moved]")
    lab.run("ip -n c link set office netns a")
    lab.run("ip -n a addr add 10.9.0.1/24 dev office")
    lab.run("ip -n a link set office up")

    old = p.daemon("a")
    r = subprocess.run(["ip", "netns", "exec", "a", WG, "--replace", "wg1"], env=dict(os.environ, LOG_LEVEL="silent"),
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    same((r.returncode, old.gone()), (0, 0), "in the background: the command returns when it has taken over [replace-background]")
    same(lab.run("ping -c 1 -W 60 10.9.0.2", "a", check=False).returncode, 0, "and works [replace-background]")
    ok("public_key" in p.a.ask("get=1\n\n"), "its socket is the same [replace-background]")
    r = subprocess.run(["ip", "netns", "exec", "a", WG, "--replace", "wg1"], env=dict(os.environ, LOG_LEVEL="silent"),
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    same(r.returncode, 0, "and again [replace-background]")
    lab.run("ip -n a link del office")
    ok(wait_for(lambda: not os.path.exists("/run/wireguard/wg1.sock") and not os.path.exists("/run/ginnel/wg1.ctl")),
       "the last one takes the sockets' files along when the interface goes [replace-background]")


def foreign(p):
    """The peer is wireguard-go, which counts what it is sent."""
    if not os.access(lab.WIREGUARD_GO, os.X_OK):
        lab.skip("wireguard-go goes on [replace-foreign]", "%s is not there: scripts/packages check installs it" % lab.WIREGUARD_GO)
        return
    p.b.stop()
    p.b = lab.Daemon("b", "wg2", lab.WIREGUARD_GO)
    p.b.set("private_key=" + p.kb.private.hex(), "listen_port=2222", "public_key=" + p.ka.public.hex(),
            "allowed_ip=10.9.0.1/32", "allowed_ip=fd00:9::1/128", "endpoint=10.0.0.1:1111")
    lab.run("ip -n b addr add 10.9.0.2/24 dev wg2")
    lab.run("ip -n b link set wg2 up")
    same(lab.run("ping -c 1 -w 60 10.9.0.2", "a", check=False).returncode, 0, "a tunnel to wireguard-go [replace-foreign]")
    before, t = p.handshake("a"), Transfer()
    statuses = []
    for _ in range(8):
        statuses.append(p.replace("a")[1])
        t.goes_on()
    ok(t.stop() and statuses == [0] * 8, "is taken over eight times, and no byte is lost [replace-foreign]", t.sums, statuses)
    ok(same_session(p, before), "nor a session [replace-foreign]", before, p.handshake("a"))


class Given(lab.Daemon):
    """A daemon with more in its command line and environment, and with descriptors that it inherits."""

    def __init__(self, ns, name, *options, fds=(), env=None):
        self.ns, self.name = ns, name
        self.log = "/run/lab/%s.given.log" % name
        with open(self.log, "wb") as f:
            self.p = subprocess.Popen(["ip", "netns", "exec", ns, WG, "-f", *options, name], stdin=subprocess.DEVNULL, stdout=f, stderr=f,
                                      pass_fds=fds, env=dict(os.environ, LOG_LEVEL="verbose", **(env or {})))
        lab._daemons.append(self)
        if not (wait_for(lambda: self.ready() or not self.alive()) and self.alive()):
            raise RuntimeError("\n".join(self.log_lines()))


def restart(p, *options, **kw):
    """Host a from the beginning, with another daemon, after the end of the one before."""
    p.a = Given("a", "wg1", *options, **kw)
    p.a.set("private_key=" + p.ka.private.hex(), "listen_port=1111", "public_key=" + p.kb.public.hex(),
            "allowed_ip=10.9.0.2/32", "endpoint=10.0.0.2:2222")
    lab.run("ip -n a addr replace 10.9.0.1/24 dev wg1")
    lab.run("ip -n a link set wg1 up")
    return lab.run("ping -c 1 -w 60 10.9.0.2", "a", check=False).returncode


def same_session(p, before):
    """No handshake since, but the one that is due when two minutes are over."""
    now = p.handshake("a")
    return now == before or int(now[0][0]) - int(before[0][0]) >= 119


def given(p):
    """A device that somebody else made, and sockets that are bound to something."""
    for what, flags in (("with a virtio header", 0x5001), ("without one", 0x1001)):  # TUN, NO_PI, VNET_HDR
        p.a.stop()
        with lab.inside("a"):
            tun = os.open("/dev/net/tun", os.O_RDWR)
            fcntl.ioctl(tun, 0x400454ca, struct.pack("16sH22x", b"wg1", flags))
        same(restart(p, fds=[tun], env={"WG_TUN_FD": str(tun)}), 0, "a device that was given %s carries [replace-given]" % what)
        os.close(tun)
        before, t = p.handshake("a"), Transfer()
        for workers in (3, 1):
            _, status = p.replace("a", "--workers=%d" % workers)
            ok(status == 0 and t.goes_on(), "and is taken over, by one that may have %d workers [replace-given]" % workers, status)
        ok(t.stop() and same_session(p, before), "without a byte or the session lost [replace-given]", t.sums)
    p.a.stop()
    same(restart(p, "--bind-device=eth", "--bind-address=10.0.0.1"), 0, "sockets that are bound to a device and an address carry [replace-bound]")
    before, t = p.handshake("a"), Transfer()
    for options in ((), ("--bind-device=eth", "--workers=3"), ("--workers=2",)):
        new, status = p.replace("a", *options)
        ok(status == 0 and t.goes_on(), "and are taken over, %s [replace-bound]" % (" ".join(options) or "without a word of it"), status)
        sockets = [x for x in lab.run("ss -Hulnp", "a").splitlines() if "ginnel" in x or ":1111" in x]
        ok(sockets and all("10.0.0.1%eth:1111" in x for x in sockets), "all of them bound as they were [replace-bound]", sockets)
    ok(t.stop() and same_session(p, before), "without a byte or the session lost [replace-bound]", t.sums)
    ginnel = os.path.join(os.path.dirname(WG), "ginnel")
    said = json.loads(lab.run([ginnel, "stats", "--json", "wg1"]))[0]
    same((said["bind_addresses"], said["bind_device"]), (["10.0.0.1"], "eth"), "stats say where the sockets are bound [stats-bound]")
    ok("port 1111 at 10.0.0.1 by eth" in lab.run([ginnel, "stats", "wg1"]), "the table too [stats-bound]", lab.run([ginnel, "stats", "wg1"]))
    report = [lab.run([ginnel, "report", *o, "wg1"]) for o in ([], ["--hide-addresses"])]
    same([("bound to 10.0.0.1" in x, "10.0.0.1" in x, "device eth" in x) for x in report], [(True, True, True), (False, False, True)],
         "and a report, unless addresses are to be hidden [stats-bound]")
    old = p.daemon("a")
    new = Next("a", "wg1", "--bind-device=lo")
    ok(new.gone() == 1 and new.said("--bind-device") and old.alive(), "another device to be bound to is refused [replace-bind]", *new.log_lines())
    # Bound still when the port changes.
    p.a.set("listen_port=1112")
    ok("10.0.0.1%eth:1112" in lab.run("ss -Huln", "a"), "a port that is set later is bound there too [replace-bound]")


def test():
    p = Lab()
    p.start()
    twenty(p)
    killed(p)
    refused(p)
    clients(p)
    given(p)
    foreign(p)
    places(p)


lab.main(600, test)
