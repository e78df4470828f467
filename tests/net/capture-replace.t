#!/usr/bin/python3
"""Who listens while one daemon takes over from another: before, on the way, and afterwards; and what of retained keys goes along."""
import json
import os
import signal
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lab  # noqa: E402
from captures import GINNEL, HERE, Capture, Tunnel, hosts, icmp, listeners  # noqa: E402
from lab import ok, same, wait_for  # noqa: E402
from successor import MESSAGES, Next, Stranger  # noqa: E402


def frozen():
    """Somebody who has the last state and says nothing more: for two seconds no packet moves, then the old one goes on."""
    s = Stranger("wg1")
    s.until(MESSAGES["prepared"])
    s.say(MESSAGES["freeze"])
    s.until(MESSAGES["final"])
    return s


def given_up(t):
    """A hand-over that comes to nothing."""
    before = Capture(t, "a", "--inner", file=HERE + "before")
    leaves = Capture(t, "a", "--inner", file=HERE + "leaves")
    seen = t.pings(3)
    s, had = frozen(), listeners(t.daemons["a"], "left")
    comes = Capture(t, "a", "--inner", file=HERE + "comes", wait=False)
    leaves.p.send_signal(signal.SIGINT)
    same(leaves.p.wait(lab.PATIENCE), 0, "a capture can end while a hand-over is under way [capture-frozen]")
    same(s.until(0x900b), 0x900b, "one that is under way for too long is given up [capture-frozen]")
    ok(wait_for(lambda: listeners(t.daemons["a"]) == 3 and listeners(t.daemons["a"], "left") > had), "who came or left meanwhile is heard then [capture-frozen]")
    late = t.pings(3)
    same([before.end(), comes.end()], [0, 0], "both who stayed end well [capture-frozen]")
    same(icmp(HERE + "before"), sorted(seen + late), "who listened before has what passed before and after [capture-frozen]")
    same(icmp(HERE + "leaves"), sorted(seen), "who left, what passed before [capture-frozen]")
    same(icmp(HERE + "comes"), sorted(late), "who came, what passed after [capture-frozen]")


def taken(t):
    """The new one is held until somebody knocks; what it does not do within two seconds it does not do at all: then again."""
    for n in range(20):
        file = HERE + "knocked.%d" % n
        came = listeners(t.daemons["a"])
        first = Capture(t, "a", "--inner", file=HERE + "first.%d" % n)
        seen = t.pings(2)
        old, new = t.daemons["a"], Next("a", "wg1", stop="send %x %d 1" % (MESSAGES["ready"], signal.SIGSTOP))
        wait_for(lambda: stopped(new))
        c = Capture(t, "a", "--inner", file=file, wait=False)
        wait_for(lambda: os.path.exists("/proc/%d/maps" % c.p.pid) and "ginnel-ring" in open("/proc/%d/maps" % c.p.pid).read())
        new.p.send_signal(signal.SIGCONT)
        wait_for(lambda: new.took_over() or not new.alive())
        went = new.took_over()
        if went:
            same(old.gone(), 0, "a daemon takes over while a capture knocks [capture-frozen]")
            t.daemons["a"] = new
        else:
            new.gone()
        wait_for(lambda: os.path.exists(file) or c.p.poll() is not None)
        wait_for(lambda: listeners(t.daemons["a"]) >= (2 if went else came + 2))
        late = t.pings(3)
        same([first.end(), c.end()], [0, 0], "it is heard by whoever has the tunnel then, as is who listened before [capture-frozen]")
        same((icmp(HERE + "first.%d" % n), icmp(file)), (sorted(seen + late), sorted(late)), "and has what passes from then on [capture-frozen]")
        if went:
            return
    ok(False, "in twenty times the new one was never in time [capture-frozen]")


def stopped(d):
    with open("/proc/%d/stat" % d.pid) as f:
        return f.read().rsplit(")", 1)[1].split()[0] == "T"


def replace(t, *options):
    old = t.daemons["a"]
    t.daemons["a"] = new = Next("a", "wg1", *options)
    wait_for(lambda: new.took_over() or not new.alive())
    same((old.gone(), new.alive()), (0, True), "a daemon takes over, %s [retain-replace]" % (" ".join(options) or "that is not told to retain"))
    shown = json.loads(lab.run([GINNEL, "stats", "--json", "wg1"]))[0]
    same(shown["retain_keys"], "--retain-keys" in options, "whether it retains keys is what it was told itself [retain-replace]")


def first_packets(t, name, anew):
    """A capture that begins now: whether a new handshake was made for it, and it reads what comes."""
    before = t.handshake("a")
    c = Capture(t, "a", "--keys", file=HERE + name)
    if anew:
        ok(wait_for(lambda: t.handshake("a") != before), "a capture has a new handshake made [retain-replace]")
    seen = t.pings(4)
    same(c.end(), 0, "it ends well [retain-replace]")
    got = icmp(HERE + name)
    if anew:
        ok(set(seen) <= set(got), "and reads what comes after it [retain-replace]", seen, got)
    else:
        same((got, t.handshake("a")), (sorted(seen), before), "a capture reads from its first packet on, without a new handshake [retain-replace]")


def retained():
    t = Tunnel(2, True, options=("--retain-keys",))
    t.pings(2)
    first_packets(t, "one", False)
    replace(t, "--retain-keys")
    # No handshake is handed over.
    first_packets(t, "two", True)
    first_packets(t, "three", False)
    replace(t)
    first_packets(t, "four", True)
    first_packets(t, "five", True)
    replace(t, "--retain-keys")
    first_packets(t, "six", True)
    first_packets(t, "seven", False)
    return t


def test():
    hosts()
    t = Tunnel()
    t.pings(2)
    given_up(t)
    taken(t)
    t.stop()
    retained().stop()


lab.main(600, test)
