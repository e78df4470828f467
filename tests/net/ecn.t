#!/usr/bin/python3
"""The byte of type of service, in both families, outside and inside, of single datagrams and of coalesced ones: the mark
of handshakes, congestion marks on their way through, and nothing else."""
import os
import socket
import struct
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lab  # noqa: E402
import wgpeer as w  # noqa: E402
from lab import ok, same  # noqa: E402
from wire import INNER, INNER6, SINK, Wire  # noqa: E402

UDP_SEGMENT, UDP_GRO = 103, 104
BYTES = (0, 1, 2, 3, 0xb8, 0xb9, 0xba, 0xbb, 0xff)


def set_tos(s, tos):
    if s.family == socket.AF_INET6:
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, tos)
    else:
        s.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, tos)


def receive_tos(s):
    if s.family == socket.AF_INET6:
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVTCLASS, 1)
    else:
        s.setsockopt(socket.IPPROTO_IP, socket.IP_RECVTOS, 1)


def handshakes(wire, outer):
    v6 = outer == 6
    p = wire.peer(v6=v6)
    p.send(p.initiation())
    p.consume_response(p.recv(want="response") or b"")
    same(p.tos, 0x88, "a response over IPv%d has TOS 0x88 [tx-tos-handshake]" % outer)
    q = wire.peer(endpoint=True, v6=v6)
    q.push_only()
    ok(q.recv(want="initiation") is not None and q.tos == 0x88, "and an initiation [tx-tos-handshake]", q.tos)


def sends(wire, outer):
    """The daemon sends single datagrams of each TOS, then 40 in one."""
    p = wire.peer(v6=outer == 6)
    p.handshake()
    for inner, source, to in ((4, wire.source, p.inner), (6, wire.source6, p.inner6)):
        what = "IPv%d inside IPv%d" % (inner, outer)
        got = {}
        for tos in BYTES:
            set_tos(source, tos)
            source.sendto(b"x", (to, 8))
            p.recv_data()
            got[tos] = p.tos
        same(got, {tos: tos & 3 for tos in BYTES}, "the outer TOS has the inner ECN and no DSCP, %s [tx-ecn-data]" % what)
        # What arrives as one is read as one.
        p.sock.setsockopt(socket.IPPROTO_UDP, UDP_GRO, 1)
        set_tos(source, 0xba)
        source.sendmsg([b"y" * 40000], [(socket.IPPROTO_UDP, UDP_SEGMENT, struct.pack("H", 1000))], 0, (to, 8))
        total, longest, marks = 0, 0, set()
        while total < 40 * 1000:
            msg = p.recv()
            if msg is None:
                break
            total, longest = total + len(msg), max(longest, len(msg))
            marks.add(p.tos)
        p.sock.setsockopt(socket.IPPROTO_UDP, UDP_GRO, 0)
        set_tos(source, 0)
        ok(longest > 10000 and marks == {2}, "and that of 40 datagrams sent as one, %s [tx-ecn-data]" % what, total, longest, marks)


def receives(wire, outer):
    """40 datagrams to the daemon as one, of which each fourth can bear no congestion mark."""
    p = wire.peer(v6=outer == 6)
    s = p.handshake()
    for inner, sink, source, to in ((4, wire.sink, p.inner, INNER), (6, wire.sink6, p.inner6, INNER6)):
        for mark, name in ((3, "a congestion mark on the outside is passed on where it can be borne"),
                           (1, "no other ECN"), (0xb8, "nor a DSCP")):
            wire.empty()
            sent = [0xb8 if i % 4 == 0 else 0xb9 if i % 4 == 1 else 2 for i in range(40)]
            key = "tclass" if inner == 6 else "tos"
            burst = [s.data(w.udp(source, to, 7, SINK, b"%04d" % i + bytes(500), **{key: t})) for i, t in enumerate(sent)]
            level = (socket.IPPROTO_IPV6, socket.IPV6_TCLASS) if outer == 6 else (socket.IPPROTO_IP, socket.IP_TOS)
            p.sock.sendmsg([b"".join(burst)], [(socket.IPPROTO_UDP, UDP_SEGMENT, struct.pack("H", len(burst[0]))),
                                               (*level, struct.pack("i", mark))], 0, p.endpoint)
            got = {}
            sink.settimeout(lab.PATIENCE)
            try:
                while len(got) < 40:
                    data, anc, _, _ = sink.recvmsg(2000, 256)
                    got[int(data[:4])] = w.tos_of(anc)
            except socket.timeout:
                pass
            want = {i: t | 3 if mark == 3 and t & 3 else t for i, t in enumerate(sent)}
            same(got, want, "of 40 datagrams received as one: %s, IPv%d inside IPv%d [rx-ecn] [sticky-gro-segment]" % (
                name, inner, outer))
    ok(p.works(), "and the session goes on [rx-ecn]")


def test():
    wire = Wire()
    wire.source6 = lab.udp_socket("d", INNER6)
    for sink in (wire.sink, wire.sink6):
        receive_tos(sink)
    for outer in (4, 6):
        for part in (handshakes, sends, receives):
            part(wire, outer)


lab.main(600, test)
