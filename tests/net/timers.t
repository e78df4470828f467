#!/usr/bin/python3
"""The protocol's timers by the real clock, several peers at once.  Only lower bounds are asserted, and that a thing
happens at all: a busy machine may be late, never early."""
import os
import select
import struct
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lab  # noqa: E402
import wgpeer as w  # noqa: E402
from lab import ok, same  # noqa: E402
from wire import Wire  # noqa: E402

SECONDS = 22


def test():
    wire = Wire()
    heard = {}
    t0 = {}

    # Times count from before what starts the timer, so that a lower bound holds however late this process gets to run.
    def watch(name, p, since=None):
        heard[name] = []
        p.name = name
        p.drain()
        t0[name] = since or time.monotonic()
        return p

    # Answers an initiation and has heard the keepalive that confirms it.
    def answer(p):
        p.answer()
        if p.recv(want="keepalive") is None:
            raise AssertionError("no keepalive confirms the handshake")

    # Got data and has nothing to send: one keepalive after 10 s.
    passive = wire.peer()
    passive.handshake()
    now = time.monotonic()
    passive.put(b"data")
    watch("passive", passive, now)
    # Got data twice: a second keepalive 10 s after the first.
    again = wire.peer()
    again.handshake()
    again.put(b"data")
    watch("again", again)
    # Got a keepalive only: nothing.
    quiet = wire.peer()
    quiet.handshake()
    watch("quiet", quiet)
    # Sent data, heard nothing: a new handshake after 15 s.
    deaf = wire.peer()
    deaf.handshake()
    now = time.monotonic()
    deaf.pull()
    watch("deaf", deaf, now)
    # The same, but a keepalive comes back: none.
    heard_of = wire.peer()
    heard_of.handshake()
    heard_of.pull()
    watch("heard_of", heard_of)
    # Never answers: initiations every 5 s.
    silent = watch("silent", wire.peer(endpoint=True))
    silent.push_only()
    # Persistent keepalive of 2 s; one of 8 s with traffic all the time; another that is turned off.
    persistent = wire.peer(endpoint=True, lines=["persistent_keepalive_interval=2"])
    now = time.monotonic()
    answer(persistent)
    watch("persistent", persistent, now)
    busy = wire.peer(endpoint=True, lines=["persistent_keepalive_interval=8"])
    answer(busy)
    watch("busy", busy)
    off = wire.peer(endpoint=True, lines=["persistent_keepalive_interval=2"])
    answer(off)
    wire.d.set("public_key=" + off.key.public.hex(), "persistent_keepalive_interval=0")
    off.pull()  # behind which nothing is on its way any more; it asks for a sign of life
    off.send(off.session.data())
    watch("off", off)
    # Asked again and again within 5 s: one initiation.
    asked = watch("asked", wire.peer(endpoint=True))

    peers = [passive, again, quiet, deaf, heard_of, silent, persistent, busy, off, asked]
    due = {"passive": 1, "again": 2, "deaf": 1, "silent": 4, "persistent": 8, "asked": 1}
    start, next_busy, sent_again, sent_of = time.monotonic(), 0, False, False
    while (now := time.monotonic()) < start + SECONDS or (
            now < start + 10 * SECONDS and any(len(heard[name]) < n for name, n in due.items())):
        if now > next_busy:
            next_busy = now + 0.5
            busy.send(busy.session.data(busy.packet(b"busy")))
            if now - start < 4.5:
                asked.push_only()
        if not sent_again and now - start > 2:
            again.put(b"data")
            sent_again = True
        if not sent_of and now - start > 3:
            heard_of.send(heard_of.session.data())
            sent_of = True
        ready, _, _ = select.select([p.sock for p in peers], [], [], 0.1)
        for p in peers:
            if p.sock in ready:
                msg = p.recv(0)
                if msg is not None:
                    heard[p.name].append((time.monotonic() - t0[p.name], w.kind(msg), msg))

    def kinds(name):
        return [k for _, k, _ in heard[name]]

    def times(name, what):
        return ["%.2f" % t for t, k, _ in heard[name] if k == what]
    same(kinds("passive"), ["keepalive"], "data that is not answered gets exactly one keepalive [const-keepalive-timeout] [timer-keepalive-armed]")
    ok(heard["passive"] and heard["passive"][0][0] >= 9.8, "after 10 s and not before [const-keepalive-timeout]", heard["passive"])
    same(kinds("again"), ["keepalive", "keepalive"], "data that comes while a keepalive is due makes one more due [timer-keepalive-again]")
    same(kinds("quiet"), [], "a keepalive is not answered [timer-keepalive-armed]")
    same([k for k in kinds("deaf") if k == "initiation"][:1], ["initiation"], "data sent and nothing heard starts a handshake [timer-new-handshake]")
    ok([t for t, k, _ in heard["deaf"] if k == "initiation"][:1] >= [14.7], "after 15 s and not before [timer-new-handshake]", times("deaf", "initiation"))
    same(kinds("heard_of"), [], "a keepalive that came saves the handshake [timer-new-handshake-cleared]")
    inits = [(t, m) for t, k, m in heard["silent"] if k == "initiation"]
    # Late is when this process heard it, so gaps prove nothing: the k-th cannot have been sent before k intervals.
    ok(len(inits) >= 4 and all(t >= 5 * k for k, (t, _) in enumerate(inits)), "without an answer an initiation is sent again every 5 s and not sooner [timer-retransmit] [const-rekey-timeout]",
       [t for t, _ in inits])
    same(len({m[4:8] for _, m in inits}) == len(inits) == len({m[8:40] for _, m in inits}), True,
         "each with its own index and ephemeral key [noise-fresh-index] [noise-fresh-ephemeral]")
    stamps = [silent.consume_initiation(m)["timestamp"] for _, m in inits]
    ok(all(not struct.unpack(">QI", s)[1] & 0xffffff for s in stamps), "and a greater timestamp, in steps of 2^24 [noise-tai64n-steps]")
    n = kinds("persistent").count("keepalive")
    ok(n >= 8 and set(kinds("persistent")) == {"keepalive"}, "a persistent keepalive of 2 s comes every 2 s: %d [timer-persistent]" % n)
    ok(all(t >= 2 * k for k, (t, _, _) in enumerate(heard["persistent"], 1)), "and not more often [timer-persistent]", times("persistent", "keepalive"))
    # What is left to the busy one is the passive keepalive of 10 s.
    ok(not [t for t, k, _ in heard["busy"] if k == "keepalive" and t < 9.8], "traffic puts the persistent keepalive off [timer-persistent-busy]", times("busy", "keepalive"))
    same(kinds("off"), [], "interval 0 stops it [timer-persistent-off]")
    inits = [t for t, k, _ in heard["asked"] if k == "initiation"]
    ok(inits and len([t for t in inits if t < 4.9]) <= 1, "however often one is asked for, none leaves within 5 s of the last [timer-initiation-suppressed]", inits)
    # Turned on while up.
    wire.d.set("public_key=" + quiet.key.public.hex(), "persistent_keepalive_interval=100")
    ok(w.kind(quiet.recv() or b"") == "keepalive", "turned on it sends one at once [timer-persistent-turned-on]")
    wire.d.set("public_key=" + quiet.key.public.hex(), "persistent_keepalive_interval=100")
    ok(quiet.recv(0.3) is None, "set again it does not [timer-persistent-turned-on]")


lab.main(600, test)
