#!/usr/bin/env python3
"""
A flow keeps sending while the return mode of a LAN changes: the kernel remembers what it began with, and forgets that.
"""
import os
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lab  # noqa: E402
from lab import ok, same, wait_for  # noqa: E402
from office import FILE, NET, OFFICE, build, bundle, call, desk, run  # noqa: E402


class Flow:
    """Datagrams from e to d and back, from one port, without an end; whom d saw last."""

    def __init__(self, to):
        self.seen, self.n, self.on = None, 0, True
        with lab.inside("d"):
            self.server = lab.socket.socket(lab.socket.AF_INET, lab.socket.SOCK_DGRAM)
            self.server.bind((to, 7000))
        with lab.inside("e"):
            self.client = lab.socket.socket(lab.socket.AF_INET, lab.socket.SOCK_DGRAM)
            self.client.connect((to, 7000))
        for f in (self.send, self.listen):
            threading.Thread(target=f, daemon=True).start()

    def send(self):
        while self.on:
            try:
                self.client.send(b"x")
            except OSError:
                pass
            time.sleep(0.02)

    def listen(self):
        while self.on:
            _, who = self.server.recvfrom(100)
            self.seen, self.n = who[0], self.n + 1
            # A flow of which the kernel has seen both directions is not judged again by itself.
            self.server.sendto(b"y", who)


def change(mode):
    with open(FILE, "w") as f:
        f.write(NET.replace("192.168.200.0/24 return snat", "192.168.200.0/24 return " + mode))
    status, out = call("c", [OFFICE, "up", "-"], bundle("c"))
    ok(status == 0, "c is up with %s" % mode, out)
    return out


def main():
    build()
    desk("accept", stdin="".join(run(m, [OFFICE, "key", m]) for m in ("z", "a", "c", "e")))
    for m in ("z", "e"):
        same(call(m, [OFFICE, "up", "-"], bundle(m))[0], 0, "%s is up" % m)
    for to in ("192.168.201.0/24", "10.70.0.0/16"):
        lab.run("ip -n g2 route add %s via 192.168.200.2" % to)
    # Somebody else's rules there have the kernel remember flows and translate addresses, with ours or without.
    run("c", ["nft", "add table ip own; add chain ip own post { type nat hook postrouting priority 100; }; add chain ip own in { type filter hook input priority 0; }; add rule ip own in ct state established accept"])
    change("snat")
    flow, own = Flow("192.168.200.244"), None
    ok(wait_for(lambda: flow.seen == "192.168.200.2"), "with snat d sees the node [office-flows]", flow.seen)
    with lab.inside("c"):
        server = lab.socket.create_server(("192.168.200.2", 7001))
    with lab.inside("e"):
        own = lab.socket.create_connection(("192.168.200.2", 7001), lab.PATIENCE)
    server.settimeout(lab.PATIENCE)
    conn, _ = server.accept()

    for mode, seen in (("route", "10.70.0.4"), ("snat", "192.168.200.2"), ("route+gw", "10.70.0.4"), ("snat", "192.168.200.2")):
        out = change(mode)
        ok("the kernel has forgotten 1 flow into the LAN" in out, "the change to %s has the kernel forget what began before [office-flows]" % mode, out)
        ok(wait_for(lambda: flow.seen == seen), "and d sees the flow that went on as %s says [office-flows]" % mode, flow.seen)
        n = flow.n
        same(call("c", [OFFICE, "up"])[1].count("forgotten"), 0, "once more, nothing is forgotten [office-flows]")
        ok(wait_for(lambda: flow.n > n), "and it goes on")
        own.send(b"y")
        conn.settimeout(lab.PATIENCE)
        same(conn.recv(10), b"y", "a connection to the node itself goes on")
    flow.on = False


lab.main(300, main)
