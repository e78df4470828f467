#!/usr/bin/python3
"""The interface's link: its MTU, down and up, and all of that after it moved to another network namespace, as the peers
see it on the wire."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lab  # noqa: E402
import wgpeer as w  # noqa: E402
from lab import ok, same  # noqa: E402
from wire import Wire  # noqa: E402

INSIDE = "10.9.0.1"


def ip(ns, line):
    lab.run("ip -n %s %s" % (ns, line))


def ports():
    """What the daemon listens on, where it was started: pairs of address and port."""
    return sorted({tuple(x.split()[3].rsplit(":", 1)) for x in lab.run("ss -Hlun", "d").splitlines()
                   if not x.split()[3].startswith(INSIDE) and "[fd00:9" not in x})


def addressed(ns):
    """Give the interface its address in a namespace, and return a socket there to send into the tunnel from."""
    ip(ns, "addr replace %s/24 dev wg1" % INSIDE)
    ip(ns, "link set wg1 up")
    return lab.udp_socket(ns, INSIDE)


def sealed_length(p, source, length):
    """How long, with its padding, a packet of that length is inside the datagram that goes to the peer."""
    p.drain()
    source.sendto(bytes(length - 28), (p.inner, 8))
    got = p.recv_data(2)  # tried again
    return got and len(got[1])


def mtu(p, ns, source, where):
    """
    Padding ends at the MTU: a packet as long as that has none.  Longer ones, which the interface then takes no more,
    are padded by what they have beyond it.
    """
    for new, length, want in ((1309, 1309, 1309), (1290, 1290, 1290), (1415, 1300, 1312), (1415, 1415, 1415), (1420, 1409, 1420)):
        ip(ns, "link set wg1 mtu %d" % new)
        got = lab.wait_for(lambda n=length, x=want: sealed_length(p, source, n) == x and x)
        same(got, want, "with MTU %d a packet of %d bytes is padded to %d, %s [link-mtu]%s" % (
            new, length, want, where, "" if ns == "d" else " [link-netns]"))


def followed(p, ns, source, where):
    tag = "[link-up-down]" if ns == "d" else "[link-netns]"
    before = ports()
    same(len(before), 2, "up, the port is open in IPv4 and IPv6, %s %s" % (where, tag))
    ip(ns, "link set wg1 down")
    same(lab.wait_for(lambda: not ports()), True, "down closes it, %s %s [link-down-effects]" % (where, tag))
    ip(ns, "link set wg1 up")
    same(lab.wait_for(lambda: ports() == before), True, "up opens the same one again, %s %s [sock-port-kept]" % (where, tag))
    p.drain()
    p.handshake()
    ok(lab.wait_for(lambda: sealed_length(p, source, 100)), "and the tunnel works, %s %s" % (where, tag))


def effects(peer, wire):
    """What down ends and up starts."""
    p = peer()
    old = p.handshake()
    q = peer(endpoint=True)
    q.push_only()
    ok(q.recv(want="initiation") is not None, "a packet waits for a handshake [link-down-effects]")
    keeper = peer(endpoint=True, lines=["persistent_keepalive_interval=3000"])
    keeper.answer()
    ip("d", "link set wg1 down")
    lab.wait_for(lambda: not ports())
    for x in (p, q, keeper):
        x.drain()
    wire.d.set("public_key=" + q.key.public.hex(), "persistent_keepalive_interval=3000")
    ok(q.silence(), "down, a peer that is given a keepalive gets nothing [link-down-effects] [timer-link-down]", w.kind(q.heard or b""))
    ip("d", "link set wg1 up")
    ok(keeper.recv(want="initiation") is not None, "up starts the peers that have one [link-down-effects] [timer-link-up]")
    q.answer()
    first = q.recv()
    ok(w.kind(first or b"") == "keepalive" and q.silence(), "what waited before down is dropped [link-down-effects] [tx-flush-down]",
       w.kind(first or b""), w.kind(q.heard or b""))
    p.handshake()
    p.refuses([old.data(p.packet(b"old"))], "and the sessions from before are gone [link-down-effects]")


def test():
    wire = Wire()
    wire.d.set("listen_port=0")
    port = int(wire.d.get()[0]["listen_port"])

    def peer(**kw):
        p = wire.peer(**kw)
        p.endpoint = ("10.0.0.2", port)
        return p
    p = peer()
    p.handshake()
    source = addressed("d")
    mtu(p, "d", source, "where it was made")
    followed(p, "d", source, "where it was made")
    here = "d"
    for there, where in (("one", "in another namespace"), ("two", "in a third"), ("d", "back home")):
        if there != "d":
            lab.run("ip netns add " + there)
        ip(here, "link set wg1 netns " + there)
        same(lab.wait_for(lambda: not ports()), True, "the move takes the link down, %s [link-netns]" % where)
        ip(there, "link set wg1 mtu 1402")  # between the move and the link's coming up
        source = addressed(there)
        same(bool(lab.wait_for(ports)), True, "up again, its port is open where the program was started, %s "
             "[link-socket-netns] [link-netns]" % where)
        p.handshake()
        same(lab.wait_for(lambda: sealed_length(p, source, 1402) == 1402 and 1402), 1402,
             "an MTU set while down is followed, %s [link-mtu] [link-netns]" % where)
        mtu(p, there, source, where)
        followed(p, there, source, where)
        if there != "d":
            same(len(lab.run("ss -Hlun", there).splitlines()), 1, "and nowhere else, %s [link-socket-netns]" % where)
        here = there
    effects(peer, wire)


lab.main(600, test)
