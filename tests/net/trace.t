#!/usr/bin/python3
"""ginnel trace: it names the cause of each handshake that fails, and says of one that succeeds that it does; how it begins
and ends."""
import json
import os
import pty
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lab  # noqa: E402
import wgpeer as w  # noqa: E402
from lab import ok, same  # noqa: E402
from wire import PORT, Wire  # noqa: E402

GINNEL = os.path.join(os.path.dirname(lab.WG), "ginnel")


class Trace:
    """A trace that runs.  Its lines, so far."""
    n = 0

    def __init__(self, d, *args, out=None, env=None, by=()):
        Trace.n += 1
        self.path = "/run/lab/trace%d" % Trace.n
        before = self.listeners(d)
        with open(self.path, "w") as f:
            self.p = subprocess.Popen([*by, GINNEL, "trace", *args], stdout=f if out is None else out, stderr=f, env=dict(os.environ, **(env or {})))
        lab.wait_for(lambda: self.listeners(d) > before or self.p.poll() is not None)

    @staticmethod
    def listeners(d):
        return sum("a listener came" in x for x in d.log_lines())

    def text(self):
        with open(self.path, errors="replace") as f:
            return f.read()

    def says(self, *words, since=0):
        """The first line that has all these words."""
        return lab.wait_for(lambda: next((x for x in self.text()[since:].splitlines() if all(k in x for k in words)), None))

    def end(self, sig=signal.SIGINT):
        self.p.send_signal(sig)
        return self.p.wait(lab.PATIENCE)


def named(key, who):
    """A file of the tunnel in which a peer has a name."""
    os.makedirs("/run/lab/wireguard", exist_ok=True)
    with open("/run/lab/wireguard/wg1.conf", "w") as f:
        f.write("[Interface]\n\n# %s\n[Peer]\nPublicKey = %s\n" % (who, w.b64(key.public)))
    os.makedirs("/etc/wireguard", exist_ok=True)
    lab.run("mount --bind /run/lab/wireguard /etc/wireguard")


def succeeds(wire, t):
    p = wire.peer(key=LAPTOP)
    p.handshake()
    ok(t.says("laptop", "initiation received from 10.0.0.1:%d: it is this peer's" % p.port) and t.says("laptop", "response sent to 10.0.0.1:%d" % p.port),
       "an initiation that is answered is told, by the peer's name [trace-handshake]", t.text())
    ok(t.says("laptop", "session up as responder", "keys valid 180 s"), "so is the session, and whose it is to renew it [trace-handshake]", t.text())
    q = wire.peer(endpoint=True)
    q.push_only()
    q.answer()
    key = w.b64(q.key.public)
    who = "%s...%s" % (key[:4], key[40:43])
    ok(t.says(who, "initiation sent (try 1/20) to 10.0.0.1:%d, no session; next try in 5 s" % q.port), "what is sent is told, with the try and the next one [trace-handshake]", t.text())
    ok(t.says(who, "session up as initiator, rtt ", " ms, keys valid 180 s, rekey at 120 s"), "and the session that comes of it, with the round trip [trace-handshake]", t.text())
    other = q.rebind()
    q.send(q.session.data(q.packet(b"x")))
    ok(t.says(who, "the peer speaks from 10.0.0.1:%d now and no longer from 10.0.0.1:%d" % (q.port, other.getsockname()[1])),
       "a peer that moves is told [trace-handshake]", t.text())
    return p


def fails(wire, t, p):
    """Each time: what is wrong, and which words must name it.  The waits are 5 s of the protocol; all of them at once."""
    for a in (50, 51, 52):
        lab.run("ip addr add 10.0.0.%d/24 dev eth-d" % a)
    closed = wire.peer(lines=["endpoint=10.0.0.50:9"])
    behind = wire.peer(lines=["endpoint=10.0.0.51:9"])
    lab.run(["nft", "add table inet t; add chain inet t in { type filter hook input priority 0; }; add rule inet t in ip daddr 10.0.0.51 drop"])
    other = wire.peer(endpoint=True)  # the one there has another key than the daemon believes
    real = w.UdpPeer(("10.0.0.2", PORT), remote_public=wire.key.public, bind=("10.0.0.52", 0))
    wire.d.set("public_key=" + other.key.public.hex(), "endpoint=10.0.0.52:%d" % real.port)
    psk = wire.peer(endpoint=True, psk=os.urandom(32))
    for x in (closed, behind, other, psk):
        x.push_only()
    psk.consume_initiation(psk.recv(want="initiation"))
    psk.send(psk.response(psk=os.urandom(32), keep=True))
    refused = False
    try:
        real.consume_initiation(real.recv(want="initiation"))
    except w.Refused:
        refused = True
    ok(t.says("dropped: bad-handshake (response from 10.0.0.1:%d" % psk.port, "is the pre-shared key the same at both ends?"),
       "a wrong pre-shared key, as initiator: named at once [trace-cause]", t.text())
    for name, at in (("a closed port", "10.0.0.50"), ("a firewall", "10.0.0.51")):
        ok(t.says("no answer for ", "nothing at all received from %s -> is UDP 9 open there" % at), "%s: nothing came, and the port is named [trace-cause]" % name, t.text())
    ok(refused and t.says("nothing at all received from 10.0.0.52 -> is UDP %d open there, and the peer's public key right?" % real.port),
       "the wrong public key of a peer: it does not answer, and that is named [trace-cause]", t.text())
    ok(t.says("no answer for ", "was dropped: bad-handshake -> is the pre-shared key the same at both ends?"),
       "a wrong pre-shared key: named again when the time is over [trace-cause]", t.text())
    ok(t.says("initiation sent (try 2/20) to 10.0.0.50:9"), "and tries are counted [trace-cause]", t.text())

    def said(msg, name, *words):
        start = len(t.text())
        time.sleep(0.025)
        p.send(msg)
        ok(t.says(*words, since=start), name + " [trace-cause]", t.text()[start:])
    stranger = w.Key()
    said(p.initiation(static=stranger), "a peer that is not configured: with its key", "unknown-peer", "no peer here has its public key",
         w.b64(stranger.public), "add this peer?")
    said(p.initiation(timestamp=w.tai64n(1)), "a clock that went back", "laptop", "old-timestamp", "the clock of the peer went back")
    wrong = w.UdpPeer(p.endpoint, p.key, w.Key().public)
    said(wrong.initiation(), "a peer with a wrong public key of this end", "bad-mac1", "meant for another public key than ours", "is PublicKey of this end's [Peer] right?")
    # As responder to a peer with another pre-shared key: it does not like the answer, and asks again.
    start = len(t.text())
    p.psk = os.urandom(32)
    for _ in range(2):
        p.send(p.initiation())
        p.recv(want="response")
        time.sleep(0.025)
    ok(t.says("laptop", "initiation received from", "again", "after our response", "is the pre-shared key the same at both ends?", since=start),
       "a wrong pre-shared key, as responder [trace-cause]", t.text()[start:])
    p.psk = w.ZERO
    lab.run("nft delete table inet t")


def icmp(wire):
    """A trace that stands beside the daemon's sockets hears what ICMP says of them; both families."""
    for a in (60, 61, 62):
        lab.run("ip addr add 10.0.0.%d/24 dev eth-d" % a)
    lab.run("ip -6 addr add fd00:aa::60/64 dev eth-d nodad")
    lab.run(["nft", "add table inet t; add chain inet t in { type filter hook input priority 0; };"
             "add rule inet t in ip daddr 10.0.0.61 drop; add rule inet t in ip daddr 10.0.0.62 reject with icmp type admin-prohibited"])
    there = ["ip", "netns", "exec", "d"]
    text, js = Trace(wire.d, "wg1", by=there), Trace(wire.d, "--json", "wg1", by=there)
    deaf = Trace(wire.d, "wg1", by=[*there, "setpriv", "--bounding-set=-net_raw"])
    peers = {at: wire.peer(lines=["endpoint=%s:9" % at]) for at in ("10.0.0.60", "10.0.0.61", "10.0.0.62", "[fd00:aa::60]", "10.0.0.99")}
    for x in peers.values():
        x.push_only()
    for name, at in (("a closed port", "10.0.0.60"), ("a closed port, IPv6", "fd00:aa::60")):
        ok(text.says("no answer for ", ": %s says that nothing listens at UDP 9 of %s -> does the tunnel run there" % (at, at)), "%s is told as such [trace-icmp]" % name, text.text())
    ok(text.says("no answer for ", ": 10.0.0.62 says that it is forbidden to reach 10.0.0.62 -> a firewall"), "so is a firewall that says so [trace-icmp]", text.text())
    ok(text.says("no answer for ", ": 10.0.0.2 says that there is no way to 10.0.0.99 -> is the address right"), "and a host that there is not [trace-icmp]", text.text())
    ok(text.says("no answer for ", "nothing at all received from 10.0.0.61 -> is UDP 9 open there"), "one that says nothing is silent [trace-icmp]", text.text())
    ok("10.0.0.61 says" not in text.text(), "and nobody speaks for it [trace-icmp]")
    ok(deaf.says("no answer for ", "nothing at all received from 10.0.0.60 -> is UDP 9 open there") and " says that " not in deaf.text(),
       "who may not hear ICMP tells of silence [trace-icmp]", deaf.text())
    lab.wait_for(lambda: js.text().count('"icmp"') >= 4)
    same([x.end() for x in (text, js, deaf)], [0, 0, 0], "all end well [trace-end]")
    said = {(x["public_key"], x["icmp"]) for x in map(json.loads, js.text().splitlines()) if "icmp" in x}
    same({(w.b64(peers[at].key.public), k) for at, k in (("10.0.0.60", "port-unreachable"), ("10.0.0.62", "prohibited"), ("10.0.0.99", "unreachable"),
                                                        ("[fd00:aa::60]", "port-unreachable"))} - said, set(), "as JSON by a name [trace-icmp]")
    lab.run("nft delete table inet t")


def as_json(wire, t, j, p):
    lines = [json.loads(x) for x in j.text().splitlines()]
    ups = [x for x in lines if x.get("event") == "handshake-complete"]
    ok(ups[0]["role"] == "responder" and ups[0]["peer"] == "laptop" and ups[0]["public_key"] == w.b64(p.key.public) and ups[0]["event_number"] == 4,
       "as JSON each line is one object with names and numbers [trace-json]", ups)
    ok(ups[1]["role"] == "initiator" and ups[1]["rtt_ns"] > 0, "round trips are in ns [trace-json]", ups)
    retry = [x for x in lines if x.get("event") == "handshake-retry"]
    ok(retry and all(x["waited_ns"] > 10**9 and x["attempt"] >= 1 and x["level"] == 4 for x in retry), "and what was waited for in vain [trace-json]", retry)
    strangers = [x for x in lines if x.get("drop") == "unknown-peer"]
    ok(strangers and "claimed_public_key" in strangers[0] and "public_key" not in strangers[0] and strangers[0]["remote"].startswith("10.0.0.1:"),
       "a stranger's key is what it claims [trace-json]", strangers)
    same([x for x in lines if not {"time", "time_ns", "level", "kind", "text"} <= set(x)], [], "each has its time, level, kind and text [trace-json]")


def begins_and_ends(wire, t, p):
    one = Trace(wire.d, "--peer", "laptop", "wg1")
    other = wire.peer()
    time.sleep(0.025)
    other.handshake()
    p.handshake()
    ok(one.says("laptop", "session up"), "of one peer, by its name [trace-peer]", one.text())
    same([x for x in one.text().splitlines() if "laptop" not in x], [], "only that one is told [trace-peer]")
    same(one.end(), 0, "SIGINT ends it well [trace-end]")
    loud = Trace(wire.d, "-v", "wg1")
    keeper = wire.peer(endpoint=True, lines=["persistent_keepalive_interval=1"])
    keeper.answer()
    ok(loud.says("keepalive sent"), "with -v keepalives are told [trace-verbose]", loud.text())
    ok("keepalive sent" not in t.text(), "and without they are not [trace-verbose]")
    same(loud.end(signal.SIGTERM), 0, "SIGTERM ends it well [trace-end]")

    r, wr = os.pipe()
    piped = Trace(wire.d, "wg1", out=wr)
    os.close(wr)
    os.close(r)
    same((piped.p.wait(lab.PATIENCE), piped.text()), (0, ""), "it ends when its reader goes away, in silence [trace-end]")

    for env, want in (({}, True), ({"NO_COLOR": "1"}, False)):
        master, slave = pty.openpty()
        shown = Trace(wire.d, "wg1", out=slave, env=env)
        os.close(slave)
        p.send(p.initiation(wrong_mac1=True))
        got = b""
        while b"bad-mac1" not in got:
            got += os.read(master, 4096)
        same(b"\033[33mdropped: bad-mac1" in got, want, "on a terminal %s [trace-style]" % ("warnings are yellow" if want else "NO_COLOR is respected"))
        shown.end()
        os.close(master)
    ok("\033" not in t.text(), "no colours where there is no terminal [trace-style]")

    for args, words in ((["nosuch"], "nosuch"), (["--peer", "nobody", "wg1"], "neither a public key nor the name"),
                        (["--peer", w.b64(w.Key().public), "wg1"], "no peer has that public key")):
        x = subprocess.run([GINNEL, "trace", *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=lab.PATIENCE)
        ok(x.returncode == 1 and x.stdout == "" and words in x.stderr and x.stderr.count("\n") == 1, "%s: one line says what is wrong [trace-bad]" % " ".join(args), x)


def replaced(wire, t):
    start = len(t.text())
    old, wire.d = wire.d, lab.Daemon("d", "wg1", args=["-f", "--replace", "wg1"])
    same(old.gone(), 0, "another daemon takes the tunnel over [trace-replace]")
    lab.wait_for(lambda: Trace.listeners(wire.d) >= 1)
    p = wire.peer()
    p.handshake()
    ok(t.says("session up as responder", since=start), "and the trace goes on [trace-replace]", t.text()[start:])
    wire.d.stop()
    same(t.p.wait(lab.PATIENCE), 1, "when the daemon ends so does the trace, with an error [trace-end]")
    ok("ginnel trace: the ginnel-wg of wg1 ended" in t.text(), "that it says [trace-end]", t.text()[start:])


LAPTOP = w.Key()


def test():
    wire = Wire()
    named(LAPTOP, "laptop")
    t, j = Trace(wire.d, "wg1"), Trace(wire.d, "--json")
    p = succeeds(wire, t)
    fails(wire, t, p)
    same(j.end(), 0, "asked to end it ends well [trace-end]")
    as_json(wire, t, j, p)
    begins_and_ends(wire, t, p)
    icmp(wire)
    replaced(wire, t)


lab.main(600, test)
