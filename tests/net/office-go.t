#!/usr/bin/env python3
# tier: full
"""Any member runs wireguard-go instead, by the real wg-quick: the hub, a node, a person, and in the end all of them."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lab  # noqa: E402
from lab import ok, same, wait_for  # noqa: E402
from office import OFFICE, build, bundle, call, desk, put, quick, run, source_seen, stream  # noqa: E402

MEMBERS = {"z": "the hub", "a": "a node whose gateway has routes", "c": "a node that stands in", "e": "a person"}
ADDRESS = {"z": "10.70.0.1", "a": "10.70.0.2", "b": "192.168.201.55", "d": "192.168.200.244", "e": "10.70.0.4"}
# As whom the far end sees who calls.
SEEN = {("e", "b"): "10.70.0.4", ("b", "e"): "192.168.201.55", ("e", "d"): "192.168.200.2", ("b", "d"): "192.168.200.2",
        ("a", "e"): "10.70.0.2", ("z", "b"): "10.70.0.1", ("e", "z"): "10.70.0.4"}


def reached(by):
    # What the hub forgets when it starts anew, members tell it when they hear nothing: that is a matter of seconds.
    for x, y in SEEN:
        ok(wait_for(lambda: call(x, "ping -n -q -c 1 -W 5 %s" % ADDRESS[y])[0] == 0, timeout=3 * lab.PATIENCE), "%s: %s reaches %s [export-go]" % (by, x, y))
    same({p: source_seen(p[1], p[0], ADDRESS[p[1]]) for p in SEEN}, SEEN, "%s: each is seen as the return mode says [export-go]" % by)
    same((stream("e", "b", ADDRESS["b"]), stream("b", "d", ADDRESS["d"])), ((300000, 300000),) * 2, "%s: connections carry data both ways [export-go]" % by)
    ok(call("e", "ping -n -q -c 3 -i 0.2 -W 20 -M do -s 1392 %s" % ADDRESS["b"])[0] == 0, "%s: so do packets of full size [export-go]" % by)


def daemons(m):
    """The programs that serve tunnels in a host."""
    names = []
    for pid in lab.run("ip netns pids " + m).split():
        try:
            names.append(os.path.basename(os.readlink("/proc/%s/exe" % pid)))
        except OSError:
            pass
    return [x for x in names if x in ("wireguard-go", os.path.basename(lab.WG))]


def go_up(m):
    same(call(m, [OFFICE, "down"])[0], 0, "%s leaves" % m)
    put(m, desk("export", m, "wg-quick"))
    status, out = quick(m, "up", lab.WIREGUARD_GO)
    wait_for(lambda: daemons(m) == ["wireguard-go"])  # the one before ends when its interface is gone
    same((status, daemons(m)), (0, ["wireguard-go"]), "and comes back with wireguard-go [export-go]")


def go_down(m):
    status, out = quick(m, "down", lab.WIREGUARD_GO)
    ok(status == 0 and "ginnel" not in run(m, "nft list ruleset"), "%s goes down, and its table with it [export-go]" % m, out)


def main():
    if not os.access(lab.WIREGUARD_GO, os.X_OK):
        raise RuntimeError(lab.WIREGUARD_GO + " is not there: scripts/packages check installs it")
    build()
    desk("accept", stdin="".join(run(m, [OFFICE, "key", m]) for m in MEMBERS))
    for m in MEMBERS:
        same(call(m, [OFFICE, "up", "-"], bundle(m))[0], 0, "%s is up" % m)
    spokes = [m for m in MEMBERS if m != "z"]
    for m in spokes:
        go_up(m)
        reached(MEMBERS[m])
        go_down(m)
        same(call(m, [OFFICE, "up"])[0], 0, "and %s is back" % m)
    go_up("z")
    reached(MEMBERS["z"])
    for m in spokes:
        go_up(m)
    reached("all of them")


lab.main(840, main)
