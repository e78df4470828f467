#!/usr/bin/env python3
"""
A flow keeps sending while the return mode of a LAN changes: the kernel remembers what it began with, and forgets that.
"""
import contextlib
import os
import shutil
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lab  # noqa: E402
from lab import ok, same, wait_for  # noqa: E402
from office import FILE, NET, OFFICE, build, bundle, call, desk, run, there  # noqa: E402


class Flow:
    """Datagrams from e to d and back, from one port, without an end; whom d saw last."""

    def __init__(self, to):
        self.seen, self.n, self.on, self.answers = None, 0, True, True
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
            if self.answers:
                self.server.sendto(b"y", who)

    @contextlib.contextmanager
    def unanswered(self):
        """Meanwhile d is silent: if its answer were the first that the kernel sees afterwards, the flow would be one from d."""
        self.answers, n = False, self.n
        wait_for(lambda: self.n > n + 3)
        yield
        self.answers = True


def write(mode):
    with open(FILE, "w") as f:
        f.write(NET.replace("192.168.200.0/24 return snat", "192.168.200.0/24 return " + mode))


def killed(mode):
    """A change to that mode, killed when the table is another and nft has not ended yet."""
    write(mode)
    run("c", "mkdir -p /run/slow")
    run("c", "rm -f /run/slow/did /run/slow/go")
    run("c", ["tee", "/run/slow/nft"], input="""#!/bin/sh
case "$*" in *-c*|*list*) exec %s "$@" ;; esac
%s "$@"
touch /run/slow/did
until [ -e /run/slow/go ]; do sleep 0.05; done
""" % ((shutil.which("nft"),) * 2))
    run("c", "chmod 755 /run/slow/nft")
    p = subprocess.Popen(there("c", ["env", "PATH=/run/slow:" + os.environ["PATH"], OFFICE, "up", "-"]), stdin=subprocess.PIPE,
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True)
    p.stdin.write(bundle("c"))
    p.stdin.close()
    ok(wait_for(lambda: call("c", "test -e /run/slow/did")[0] == 0), "the table is another")
    p.kill()
    p.wait()
    run("c", "touch /run/slow/go")


def change(mode):
    write(mode)
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
        with flow.unanswered():
            out = change(mode)
            ok("the kernel has forgotten 1 flow into the LAN" in out, "the change to %s has the kernel forget what began before [office-flows]" % mode, out)
            ok(wait_for(lambda: flow.seen == seen), "and d sees the flow that went on as %s says [office-flows]" % mode, flow.seen)
        n = flow.n
        same(call("c", [OFFICE, "up"])[1].count("forgotten"), 0, "once more, nothing is forgotten [office-flows]")
        ok(wait_for(lambda: flow.n > n), "and it goes on")
        own.send(b"y")
        conn.settimeout(lab.PATIENCE)
        same(conn.recv(10), b"y", "a connection to the node itself goes on")

    for mode, seen in (("route", "10.70.0.4"), ("snat", "192.168.200.2")):
        before = flow.seen
        killed(mode)
        n = flow.n
        ok(wait_for(lambda: flow.n > n + 3) and flow.seen == before, "killed before the kernel was told, it goes on as it began", flow.seen)
        with flow.unanswered():
            status, out = call("c", [OFFICE, "up"])
            ok(status == 0 and "the kernel has forgotten 1 flow into the LAN" in out, "and the next up has it forgotten [office-flows-killed]", out)
            ok(wait_for(lambda: flow.seen == seen), "so that d sees it as %s says [office-flows-killed]" % mode, flow.seen)
        same(call("c", [OFFICE, "up"])[1].count("forgotten"), 0, "once [office-flows-killed]")
    flow.on = False


lab.main(300, main)
