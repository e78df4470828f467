#!/usr/bin/env python3
# tier: full
"""
The segments of TCP: what both ends are told when a connection is opened, seen where they are, in both directions of every
path, with each return mode; and that a smaller MTU anywhere on the path is enough for both.
"""
import os
import struct
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lab  # noqa: E402
from lab import ok, same  # noqa: E402
from office import FILE, NET, OFFICE, build, bundle, call, desk, run, stream  # noqa: E402

ADDRESS = {"z": "10.70.0.1", "a": "10.70.0.2", "b": "192.168.201.55", "c": "10.70.0.3", "d": "192.168.200.244", "e": "10.70.0.4"}
MTU = {"z": 1420, "a": 1420, "c": 1420, "e": 1420}
NODE = {"b": "a", "d": "c"}
PORT = 7779


class Watch:
    """What comes to a host's own TCP when a connection is opened: the size of segments that the other end is said to take."""

    def __init__(self, ns):
        with lab.inside(ns):
            self.s = lab.socket.socket(lab.socket.AF_INET, lab.socket.SOCK_RAW, lab.socket.IPPROTO_TCP)
        self.s.settimeout(lab.PATIENCE)

    def size(self, flags, port):
        """Of the first segment with these flags (SYN 2, SYN and ACK 18) from or to this port."""
        while True:
            p = self.s.recv(65536)
            t = p[(p[0] & 15) * 4:]
            source, to = struct.unpack_from("!HH", t)
            if t[13] & 0x17 != flags or port not in (source, to):
                continue
            at, end = 20, (t[12] >> 4) * 4
            while at < end and t[at]:
                if t[at] == 1:
                    at += 1
                    continue
                if t[at] == 2:
                    return struct.unpack_from("!H", t, at + 2)[0]
                at += t[at + 1]
            return None


def opened(x, y):
    """x connects to y: (what y is told, what x is told)."""
    global PORT
    PORT += 1
    at, by = Watch(y), Watch(x)
    with lab.inside(y):
        server = lab.socket.create_server((ADDRESS[y], PORT))
    with lab.inside(x):
        client = lab.socket.create_connection((ADDRESS[y], PORT), lab.PATIENCE)
    with server, client, at.s, by.s:
        return at.size(2, PORT), by.size(18, PORT)


def path(x, y):
    """Whose ends of tunnels a connection goes by."""
    return {NODE.get(x, x), "z", NODE.get(y, y)}


def change(text, *members):
    with open(FILE, "w") as f:
        f.write(text)
    for m in members:
        status, out = call(m, [OFFICE, "up", "-"], bundle(m))
        ok(status == 0, "%s is up" % m, out)


def text(mode, small=None):
    lines = NET.strip().splitlines()
    lines = [(x.replace("return snat", "return " + mode) if x.startswith("c ") else x) + (" mtu %d" % small[1] if small and x.startswith(small[0] + " ") else "")
             for x in lines]
    return "\n".join(lines) + "\n"


def told(x, y, small):
    """What x is told: of its own end it knows, and the hub knows of the others'."""
    return min(small[1] if m == small[0] else MTU[m] for m in path(x, y) if m != x or x != "z") - 40


def tell(pairs, small, mode):
    """Of each pair, with one member's MTU less than the others', both ends hear what fits there."""
    for x, y in pairs:
        want = told(y, x, small), told(x, y, small)
        same(opened(x, y), want, "%s connects to %s, %s has an MTU of %d, c returns by %s: they are told %d and %d [office-mss]"
             % (x, y, *small, mode, *want))


def main():
    build()
    desk("accept", stdin="".join(run(m, [OFFICE, "key", m]) for m in ("z", "a", "c", "e")))
    change(text("snat"), "z", "a", "c", "e")

    # --- each mode of c's, and c's end the smallest
    all_ways = [("b", "d"), ("e", "d"), ("z", "d"), ("d", "b"), ("d", "e"), ("d", "z"), ("a", "d"), ("d", "a")]
    change(text("snat", ("c", 1328)), "c", "z")
    tell([("b", "d"), ("e", "d"), ("z", "d"), ("a", "d")], ("c", 1328), "snat")
    for to in ("192.168.201.0/24", "10.70.0.0/16"):
        lab.run("ip -n g2 route add %s via 192.168.200.2" % to)
    change(text("route", ("c", 1328)), "c")
    tell(all_ways, ("c", 1328), "route")
    run("g2", ["nft", "add table ip strict; add chain ip strict forward { type filter hook forward priority 0; }; add rule ip strict forward ct state invalid drop"])
    change(text("route+gw", ("c", 1328)), "c")
    tell(all_ways, ("c", 1328), "route+gw")
    change(text("auto", ("c", 1328)), "c")
    ok("c return route+gw" in run("c", "cat /var/lib/ginnel/office.learnt"), "auto has found the way back through the gateway")
    tell(all_ways, ("c", 1328), "auto")

    # --- the hub's, the person's and the other node's
    change(text("route+gw", ("z", 1360)), "z", "c")
    tell(all_ways + [("e", "b"), ("b", "e"), ("e", "z"), ("z", "e"), ("e", "c")], ("z", 1360), "route+gw")
    change(text("route+gw", ("e", 1312)), "z", "e")
    tell([("e", "d"), ("d", "e"), ("e", "b"), ("b", "e"), ("z", "e"), ("e", "z"), ("b", "d")], ("e", 1312), "route+gw")
    change(text("route+gw", ("a", 1296)), "z", "e", "a")
    tell([("b", "d"), ("d", "b"), ("e", "b"), ("b", "e"), ("z", "b"), ("b", "z"), ("e", "d")], ("a", 1296), "route+gw")

    # --- and what is sent fits: what would not is lost on the way
    for ns in ("net", "g1", "g2"):
        lab.run(["nft", "add table ip carrier; add chain ip carrier pre { type filter hook prerouting priority -450; }; "
                 "add rule ip carrier pre iifname { wan, to-g1, to-g2, to-e, to-z } ip frag-off & 0x3fff != 0 counter drop"], ns)
    lab.run("ip -n net link set to-g1 mtu 1368")
    lab.run("ip -n g1 link set wan mtu 1368")
    for x, y in (("b", "d"), ("d", "b"), ("e", "b"), ("b", "e"), ("z", "b"), ("b", "z")):
        same(stream(x, y, ADDRESS[y]), (300000, 300000), "%s sends to %s and gets back over a path that drops what does not fit [office-mss]" % (x, y))


lab.main(600, main)
