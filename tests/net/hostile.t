#!/usr/bin/python3
"""A stranger's bytes on the UDP port and a clumsy client's on the socket: nothing crashes, nothing grows without bound,
and a session that was there goes on.  And peers that lead the daemon in circles."""
import os
import random
import socket
import struct
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lab  # noqa: E402
import wgpeer as w  # noqa: E402
from lab import ok, same  # noqa: E402
from wire import INNER, PORT, Wire  # noqa: E402


def datagrams(rng, p, n):
    """Arbitrary datagrams, and true ones with something changed."""
    s = p.session
    true = [p.initiation(), s.data(p.packet(b"x")), s.data(), struct.pack("<II", w.RESPONSE, 1) + os.urandom(84),
            struct.pack("<II", w.COOKIE, s.remote) + os.urandom(56)]
    for _ in range(n):
        kind = rng.randrange(6)
        if kind == 0:
            yield rng.randbytes(rng.choice((0, 1, 3, 4, 15, 16, 31, 32, 63, 64, 91, 92, 93, 147, 148, 149, 1452, 9000, 65507)))
        elif kind == 1:
            yield struct.pack("<I", rng.randrange(6)) + rng.randbytes(rng.randrange(200))
        elif kind == 2:
            yield struct.pack("<II", rng.choice((1, 2, 3, 4)), s.remote) + rng.randbytes(rng.choice((56, 84, 140, 24, 1000)))
        elif kind == 3:
            m = bytearray(rng.choice(true))
            m[rng.randrange(len(m))] ^= 1 << rng.randrange(8)
            yield bytes(m)
        elif kind == 4:
            yield rng.choice(true)[:rng.randrange(150)]
        else:
            yield struct.pack("<IIQ", w.DATA, s.remote, rng.getrandbits(64)) + rng.randbytes(rng.randrange(16, 1500))


def udp(wire, rng):
    for v6 in (False, True):
        p = wire.peer(v6=v6)
        p.handshake()
        ok(p.works(), "before, over IPv%d [rx-hostile]" % (6 if v6 else 4))
        before = wire.d.status("VmRSS")
        strangers = [p.new_socket() for _ in range(8)]
        sent = 0
        for m in datagrams(rng, p, 6000):
            try:
                rng.choice(strangers).sendto(m, p.endpoint)
                sent += 1
            except OSError:
                pass
            if sent % 500 == 0:
                time.sleep(0.01)
        ok(lab.wait_for(lambda: p.works(timeout=2)), "after %d hostile datagrams the session goes on, over IPv%d [rx-hostile]" % (sent, 6 if v6 else 4))
        same(p.endpoint_port(), p.port, "and its endpoint has not moved [roam-unauthenticated]")
        if not wire.d.sanitised():
            grown = wire.d.status("VmRSS") - before
            ok(grown < 16384, "memory has not grown by it: %d kB [rx-hostile]" % grown)
        for s in strangers:
            s.close()


def bulk(wire, rng):
    """Full-sized datagrams of one flow, good and bad by turns, as fast as they go: coalesced reads hold both."""
    p = wire.peer()
    s = p.handshake()
    wire.empty()
    bad = struct.pack("<II", w.DATA, s.remote)
    batch, want = [], 200
    for i in range(want):
        batch.append(s.data(p.packet(b"%04d" % i + bytes(1000))))
        n = len(batch[-1])
        batch.append(bad + struct.pack("<Q", 10**6 + i) + rng.randbytes(n - 16))
        batch.append(s.data(p.packet(b"evil" + bytes(1000)), corrupt=-1))
    for m in batch:
        p.send(m)
    p.put(b"fence")
    got = []
    while (x := wire.arrived()) not in (b"fence", None):
        got.append(x[:4])
    ok(b"evil" not in got and got == sorted(got) and len(got) > want // 2,
       "between forged packets of the same size the good ones arrive, in order: %d of %d [rx-hostile] [rx-order-per-peer]" % (len(got), want))
    # In one buffer of many segments, with UDP_SEGMENT: what generic receive offload makes of a burst.
    good = [s.data(p.packet(b"%04d" % i + bytes(1000))) for i in range(40)]
    size = len(good[0])
    for i in range(0, 40, 4):
        good[i] = good[i][:-1] + bytes([good[i][-1] ^ 1])
    good[39] = good[39][:100]  # a shorter tail
    wire.empty()
    p.sock.sendmsg([b"".join(good)], [(socket.IPPROTO_UDP, 103, struct.pack("H", size))], 0, p.endpoint)
    p.put(b"fence")
    got = []
    while (x := wire.arrived()) not in (b"fence", None):
        got.append(int(x[:4]))
    same(got, [i for i in range(39) if i % 4], "of one coalesced burst exactly the good segments arrive [rx-hostile] [rx-order-per-peer]")
    ok(p.works(), "and the session goes on [rx-hostile]")


def roams(wire, rng):
    """A peer that speaks from another port with every packet."""
    d, p = wire.d, wire.peer()
    s = p.handshake()
    before, sockets, n = os.path.getsize(d.log), [p.new_socket() for _ in range(8)], 4000
    for i in range(n):
        p.send(s.data(), sockets[i % 8])
        if i % 50 == 0:
            time.sleep(0.002)
    ports = [x.getsockname()[1] for x in sockets]
    ok(lab.wait_for(lambda: p.endpoint_port() in ports), "a peer that roams with every packet is followed [log-roaming]", p.stats())
    p.send(s.data())
    ok(lab.wait_for(lambda: p.works(timeout=3)), "and still a peer [log-roaming]")
    with open(d.log, errors="replace") as f:
        f.seek(before)
        said = sum("roamed" in x for x in f)
    ok(said < n // 20, "and the log says so now and then: %d times of %d [log-roaming]" % (said, n))


def uapi(wire, rng):
    d = wire.d
    p = wire.peer()
    p.handshake()
    words = ["set=1", "get=1", "get=", "=", "", "public_key=" + os.urandom(32).hex(), "public_key=", "private_key=zz", "listen_port=99999",
             "allowed_ip=1.2.3.4/33", "allowed_ip=::/129", "endpoint=[::1", "endpoint=1.2.3.4:0", "remove=true", "remove=maybe",
             "fwmark=0x10", "preshared_key=" + "0" * 63, "protocol_version=9", "\0\0\0", "\xff\xfe", "x" * 5000, "errno=0",
             "persistent_keepalive_interval=100000", "replace_allowed_ips=", "update_only=true", "a=b=c"]
    for _ in range(300):
        u = lab.Uapi("wg1", timeout=2)
        try:
            first = rng.choice(("set=1\n", "get=1\n", "set=1\n", ""))
            body = "".join(rng.choice(words) + rng.choice(("\n", "\n", "\n\n", "\r\n", "")) for _ in range(rng.randrange(12)))
            u.send((first + body + rng.choice(("\n\n", "\n", ""))).encode("latin-1"))
            if rng.randrange(2):
                u.s.settimeout(0.002)
                try:
                    u.s.recv(4096)
                except socket.timeout:
                    pass
        except OSError:
            pass
        u.close()
    for _ in range(100):
        u = lab.Uapi("wg1", timeout=2)
        try:
            u.send(rng.randbytes(rng.randrange(3000)))
        except OSError:
            pass
        u.close()
    ok(d.alive() and d.ready(), "400 malformed conversations leave the socket working [uapi-eof] [rx-hostile]")
    ok(p.works(), "and the session [rx-hostile]")
    # Many idle clients, and half a request in each.
    idle = []
    try:
        for _ in range(100):
            u = lab.Uapi("wg1", timeout=5)
            u.send("set=1\nfwmark=1")
            idle.append(u)
    except OSError:
        pass
    ok(p.works(), "with %d clients that stop in the middle of a line the tunnel works [uapi-slow-client]" % len(idle))
    for u in idle:
        u.close()
    ok(bool(lab.wait_for(d.ready)), "and when they are gone the socket does [uapi-eof]")
    same(d.get()[0].get("fwmark"), None, "half a line has set nothing [uapi-eof]")
    def fds():
        return len(os.listdir("/proc/%d/fd" % d.pid))
    ok(lab.wait_for(lambda: fds() < 60), "no descriptor is left behind: %d are open [uapi-eof]" % fds())


def carried(wire, carrier, inner):
    """The datagram that the daemon sends to an endpoint inside carrier's tunnel, as its UDP payload."""
    for _ in range(20):
        got = carrier.recv_data()
        if got is None:
            return None
        plain = got[1][:w.inner_length(got[1])]
        if plain[0] >> 4 == 4 and plain[9] == 17 and plain[16:20] == socket.inet_aton(inner):
            return plain[28:]
    return None


def calm(wire):
    """Until what was sent before is answered, and nobody is asked for a cookie any more."""
    p = wire.peer()

    def answers():
        p.send(p.initiation())
        return w.kind(p.recv(5) or b"") == "response"
    if not lab.wait_for(answers, step=1):
        raise RuntimeError("the daemon asks for cookies for ever")


def nested(wire, rng):
    """Peers that are reached through other peers: one that is, and two that pretend to be, each through the other."""
    d = wire.d
    calm(wire)
    a, b = wire.peer(), wire.peer()
    a.handshake()
    d.set("public_key=" + b.key.public.hex(), "endpoint=%s:7777" % a.inner)
    b.push_only()
    b.consume_initiation(carried(wire, a, a.inner))

    def back(m):
        a.send(a.session.data(w.udp(a.inner, INNER, 7777, PORT, m)))
    back(b.response())
    kind, plain = None, b""
    while kind != "data":
        m = carried(wire, a, a.inner)
        kind, plain = w.kind(m), b.open(m)[1]
    ok(b"token" in plain, "a peer is reached through another's tunnel [loop-nested]", plain)
    back(b.session.data(b.packet(b"through a")))
    same(wire.arrived(), b"through a", "and heard through it [loop-nested]")

    b.sock = a.sock
    b.handshake()

    def into():
        fields = lab.run("ip -n d -s -o link show dev wg1").split("TX:")[1].split("\\")[1].split()
        return int(fields[0])
    good = wire.peer()
    good.handshake()
    # Both in one burst: either moves its carrier to where the burst comes from, and then what it carries comes out.
    pair = [x.session.data(w.udp(x.inner, INNER, 7777, PORT, y.session.data())) for x, y in ((a, b), (b, a))]
    a.sock.sendmsg([b"".join(pair)], [(socket.IPPROTO_UDP, 103, struct.pack("H", len(pair[0])))], 0, a.endpoint)
    moved = lab.wait_for(lambda: [x.stats()["endpoint"] for x in (a, b)] == ["%s:7777" % x.inner for x in (b, a)])
    ok(moved, "two peers place each other's endpoint in their own tunnel [loop-nested]", a.stats(), b.stats())
    for size, most in ((100, 70000), (1350, 300000)):
        before = into()
        for _ in range(10):
            wire.source.sendto(bytes(size), (a.inner, 9))
        lab.wait_for(lambda: into() - before >= 10 * size)
        # What still goes round would go round for ever, and more of it every time.
        seen = [into()]
        while len(seen) < 3 or seen[-1] != seen[-2]:
            time.sleep(0.3)
            seen.append(into())
            if seen[-1] - before > most:
                break
        ok(10 * size <= seen[-1] - before <= most, "ten packets of %d bytes between them cause %d bytes and no more [loop-nested]"
           % (size, seen[-1] - before))
    ok(good.works(), "and others go on [loop-nested]")


def test():
    seed = int(os.environ.get("SEED", random.SystemRandom().randrange(2**32)))
    lab.note("SEED=%d" % seed)
    rng = random.Random(seed)
    wire = Wire()
    for part in (udp, bulk, nested, roams, uapi):
        t = time.monotonic()
        part(wire, rng)
        lab.note("%s: %.1f s" % (part.__name__, time.monotonic() - t))


lab.main(600, test)
