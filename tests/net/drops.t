#!/usr/bin/python3
"""Every reason to drop a packet is provoked, and seen by its name in stats, in a trace and in a capture."""
import errno
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lab  # noqa: E402
import wgpeer as w  # noqa: E402
from faults import Faults  # noqa: E402
from flood import Flood, under_load  # noqa: E402
from lab import ok, same  # noqa: E402
from wire import INNER, PORT, Wire  # noqa: E402

GINNEL = os.path.join(os.path.dirname(lab.WG), "ginnel")
TRACE, TEXT, CAPTURE = "/run/lab/trace", "/run/lab/text", "/run/lab/capture"


def listen():
    """A trace as JSON, one for people, and a capture, once the daemon knows of all three."""
    listeners = []
    for args, path in ((["trace", "--json", "wg1"], TRACE), (["trace", "wg1"], TEXT), (["capture", "-w", CAPTURE, "wg1"], "/run/lab/said")):
        with open(path, "w") as f:
            listeners.append(subprocess.Popen([GINNEL, *args], stdout=f, stderr=subprocess.STDOUT))
    return listeners


class Lab:
    def __init__(self):
        self.f = Faults("wg1")
        self.f.rules()
        self.wire = Wire("env", self.f.args(lab.WG, "-f", "wg1"))
        self.d = self.wire.d
        self.listeners = listen()
        lab.wait_for(lambda: sum("a listener came" in x for x in self.d.log_lines()) == 3)
        with lab.inside("d"):
            self.raw = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
        self.p = self.wire.peer()
        self.p.handshake()
        self.q = self.asked()

    def asked(self, **kw):
        """A peer whose handshake the daemon has begun, and nobody has answered."""
        q = self.wire.peer(endpoint=True, **kw)
        q.push_only()
        q.consume_initiation(q.recv(want="initiation"))
        return q

    def into(self, packet):
        """Bytes into the interface as they are."""
        self.raw.sendto(packet, ("wg1", 0x0800))

    def elsewhere(self):
        self.wire.source.sendto(b"to nobody", ("10.9.0.200", 8))

    def initiation(self, **kw):
        time.sleep(0.025)
        self.p.send(self.p.initiation(**kw))

    def data(self, *args, **kw):
        self.p.send(self.p.session.data(*args, **kw))


def counted():
    return json.loads(lab.run([GINNEL, "stats", "--json", "wg1"]))[0]["drops"]


def traced():
    """What the trace says of each reason that it has named."""
    said = {}
    with open(TRACE) as f:
        for line in f:
            if line.endswith("\n") and "drop" in (x := json.loads(line)):
                said.setdefault(x["drop"], []).append(x)
    return said


# --- one for each reason; what does not strike at once is done again


def too_big(t):
    lab.run("ip -n d link set wg1 mtu 65535")
    try:
        t.wire.source.sendto(bytes(65535 - 28), (t.p.inner, 8))
    except OSError:
        pass  # the interface's new MTU is not that of the route yet


def loop(t):
    t.into(w.udp("10.0.0.2", t.p.inner, PORT, 7777, struct.pack("<I", w.DATA) + bytes(60)))


def loop_begin(t):
    t.d.set("public_key=" + t.p.key.public.hex(), "endpoint=%s:7777" % t.p.inner)


def loop_end(t):
    t.d.set("public_key=" + t.p.key.public.hex(), "endpoint=10.0.0.1:%d" % t.p.port)


def unreachable(t):
    t.wire.peer(lines=["endpoint=198.51.100.1:9"]).push_only()


def staged_full(t):
    for _ in range(200):
        t.q.push_only()


def flushed(t):
    t.q.push_only()
    lab.run("ip -n d link set wg1 down")
    lab.run("ip -n d link set wg1 up")


def no_key(t):
    t.d.set("private_key=" + w.ZERO.hex())
    t.p.send(t.p.initiation())
    time.sleep(0.05)
    t.d.set("private_key=" + t.wire.key.private.hex())


def stopped(t):
    """More than its buffer and its queue hold, while nobody reads."""
    flood = Flood(t.wire, 60000)
    os.kill(t.d.pid, signal.SIGSTOP)
    flood.burst()
    os.kill(t.d.pid, signal.SIGCONT)
    t.data()


def cookie(t):
    t.flood = Flood(t.wire)
    t.guest = t.wire.peer()
    _, reply = under_load(t.flood, t.guest, t.guest.initiation)
    if reply:
        t.guest.consume_cookie(reply)


def limited(t):
    if not t.guest.cookie:
        cookie(t)
    t.flood.burst()
    for _ in range(40):
        t.guest.send(t.guest.initiation())


def twice(t):
    time.sleep(0.025)
    for _ in range(3):
        t.p.send(t.p.initiation())


def again(t):
    m = t.p.session.data(t.p.packet(b"again"))
    t.p.send(m)
    t.p.send(m)


def new_session(t):
    time.sleep(0.1)
    t.p.handshake()


def unbound(t):
    t.f.rules("bind EADDRINUSE")
    flushed(t)
    lab.wait_for(lambda: t.f.hits() > 0)
    t.p.push_only()


def fault(rule, act):
    def strike(t):
        t.f.rules(rule)
        act(t)
    return strike


def nothing(t):
    pass


def calm(t):
    t.f.rules()


def bound(t):
    t.f.rules()
    flushed(t)
    lab.wait_for(lambda: t.d.get()[0].get("listen_port") == str(PORT))
    t.p.handshake()


def no_memory(t):
    """None for anything, so that meanwhile the daemon can only be watched by who listens already."""
    t.f.rules("any-alloc ENOMEM ginnel-wg")
    t.initiation()
    lab.wait_for(lambda: "no-memory" in traced(), 1.5)
    t.f.rules()


def later(t):
    """A session that is older than 180 s: by the daemon's clock."""
    t.f.rules("clock_gettime +200s =7")
    t.data(t.p.packet(b"late"))


# reason, what is done before, to provoke it, after
REASONS = [
    ("not-ip", nothing, lambda t: t.into(b"\0" * 40), nothing),
    ("no-peer", nothing, Lab.elsewhere, nothing),
    ("no-endpoint", nothing, lambda t: t.wire.peer().push_only(), nothing),
    ("staged-full", nothing, staged_full, nothing),
    ("too-big", nothing, too_big, nothing),
    ("loop", loop_begin, loop, loop_end),
    ("send-failed", nothing, unreachable, nothing),
    ("malformed", nothing, lambda t: t.p.send(b"what is this"), nothing),
    ("unknown-index", nothing, lambda t: t.data(index=t.p.session.remote ^ 1), nothing),
    ("counter-limit", nothing, lambda t: t.data(counter=w.REJECT_AFTER_MESSAGES), nothing),
    ("bad-tag", nothing, lambda t: t.data(corrupt=-1), nothing),
    ("replay", nothing, again, nothing),
    ("inner-not-ip", nothing, lambda t: t.data(b"\0" * 32), nothing),
    ("inner-length", nothing, lambda t: t.data(w.ipv4(t.p.inner, INNER, b"x", total=900)), nothing),
    ("inner-source", nothing, lambda t: t.p.put(b"x", src="10.77.0.1"), nothing),
    ("bad-mac1", nothing, lambda t: t.initiation(wrong_mac1=True), nothing),
    ("unknown-peer", nothing, lambda t: t.initiation(static=w.Key()), nothing),
    ("low-order", nothing, lambda t: t.initiation(ephemeral=w.LOW_ORDER[1]), nothing),
    ("old-timestamp", nothing, lambda t: t.initiation(timestamp=w.tai64n(1)), nothing),
    ("bad-handshake", nothing, lambda t: t.initiation(corrupt=87), nothing),
    ("flood", nothing, twice, new_session),
    ("wrong-state", nothing, lambda t: t.q.send(t.q.response(receiver=0, keep=True)), nothing),
    ("bad-cookie", nothing, lambda t: t.p.send(struct.pack("<II", w.COOKIE, 0) + os.urandom(56)), nothing),
    ("truncated", nothing, fault("cut EMSGSIZE x1", lambda t: t.data()), calm),
    ("tun-write", nothing, fault("writev EIO tun", lambda t: t.p.put(b"x")), calm),
    ("tun-read", nothing, fault("read EIO tun x3", Lab.elsewhere), calm),
    ("icmp-refused", nothing, fault("writev EINVAL single", Lab.elsewhere), calm),
    ("no-private-key", nothing, no_key, new_session),
    ("no-memory", nothing, no_memory, nothing),
    ("receive-full", nothing, stopped, nothing),
    ("queue-full", nothing, stopped, nothing),
    ("cookie-sent", nothing, cookie, nothing),
    ("rate-limit", nothing, limited, nothing),
    ("staged-flushed", nothing, flushed, new_session),
    ("link-down", nothing, unbound, bound),
    ("key-expired", nothing, later, nothing),
]


def provoke(t, reason, before, act, after):
    def seen():
        act(t)
        return lab.wait_for(lambda: counted()[reason] > 0 and reason in traced(), 1.5, 0.05)
    start = time.monotonic()
    before(t)
    good = lab.wait_for(seen)
    ok(good, "%s: counted by stats, named by trace [trace-drops]" % reason, counted()[reason], traced().get(reason))
    after(t)
    lab.note("%.1f s" % (time.monotonic() - start))


def words(said):
    """One line of each, for who reads the log of this test."""
    for reason in sorted(said):
        lab.note("%s: %s" % (reason, said[reason][0]["text"]))


def test():
    t = Lab()
    ok(t.p.works(), "the tunnel works before anything is dropped [trace-drops]")
    known = {x["name"] for x in json.loads(lab.run([GINNEL, "enum", "show", "--json", "wg_drop"]))["members"]} - {"none"}
    same(known ^ {r[0] for r in REASONS}, set(), "each reason that there is is provoked here [trace-drops]")
    out_of = set()
    for reason, *how in REASONS:
        if reason == "no-memory" and t.d.sanitised():
            out_of.add(reason)
            lab.skip("no-memory: counted by stats, named by trace [trace-drops]", "a sanitizer has its own functions for memory")
            continue
        provoke(t, reason, *how)
    for p in t.listeners:
        p.send_signal(signal.SIGINT)
    same([p.wait(lab.PATIENCE) for p in t.listeners], [0, 0, 0], "asked to end all listeners end well [trace-end]")
    said = traced()
    words(said)
    same([r for r in said if not all("dropped" in x["text"] for x in said[r])], [], "the text says so as well [trace-drops]")
    ok(all(" -> " in said[r][0]["text"] for r in said), "each with a next step [trace-drops]")
    send = said["send-failed"][0]
    ok(send["errno"] == errno.ENETUNREACH and "the UDP socket refused to send: Network is unreachable" in send["text"],
       "what the system said is told [trace-drops]", send)
    with open(TEXT) as f:
        text = f.read()
    same([r for r in known - out_of if "dropped: %s (" % r not in text], [], "a trace for people names them all [trace-drops]")
    ok("\033" not in text, "without colours on no terminal [trace-style]")
    ok(any(" more in the last second: dropped, " in x for x in text.splitlines()), "many of one kind in a second are condensed [trace-condense]")
    shown = lab.run(["tshark", "-r", CAPTURE, "-Y", "frame.comment || systemd_journal", "-T", "fields", "-e", "frame.comment",
                     "-e", "systemd_journal.message"], env=dict(os.environ, HOME="/run/lab"))
    same([r for r in known - out_of if "dropped: %s (" % r not in shown], [], "in the capture each is in a comment or an event [capture-drops]")
    note = [x for x in shown.splitlines() if "inner-source" in x][:1]
    ok(note and "10.77.0.1 -> %s" % INNER in note[0], "with what was dropped [capture-drops]", note)


lab.main(900, test)
