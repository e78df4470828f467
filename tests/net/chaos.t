#!/usr/bin/python3
"""
Everything at once: clients that contradict each other while packets flow and the link comes and goes, descriptors and
urgent bytes on the socket, prefixes that move under traffic, packets that no kernel makes on both sides, a daemon that
is stopped in the middle of it.
"""
import array
import itertools
import os
import random
import signal
import socket
import struct
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lab  # noqa: E402
import wgpeer as w  # noqa: E402
from lab import ok, same  # noqa: E402
from wire import Wire  # noqa: E402

PATIENCE = 60
NUMBERS = ("0", "1", "65535", "65536", "4294967295", "4294967296", "18446744073709551616", "-1", "+1", " 1", "0x10", "00001", "", "9" * 400,
           "1\0")
ENDPOINTS = ("10.0.0.1:9", "0.0.0.0:0", "0.0.0.0:51820", "255.255.255.255:1", "224.0.0.1:5", "127.0.0.1:51820", "10.0.0.2:51820",
             "[::1]:51820", "[ff02::1%eth]:5", "[fe80::1%eth]:5", "[fe80::1%nosuch]:5", "[fe80::1%99999]:9", "[::ffff:10.0.0.1]:7", "[::]:0",
             "10.9.0.1:51820", "10.0.0.1:65536", "host:1", "[::1", "::1:5", "[" + "a" * 200 + "]:1", "[fe80::1%" + "x" * 100 + "]:1")
PREFIXES = ("0.0.0.0/0", "::/0", "255.255.255.255/32", "::1/128", "1.2.3.4/33", "1.2.3.4", "/", "::/129", "-", "--1.2.3.4/3",
            "::ffff:1.2.3.4/96", "1.2.3.4/032", "fe80::1%eth0/64")


def line(rng, keys):
    """A line of a set request, as likely good as not."""
    sign = rng.choice(("", "", "-"))
    return rng.choice((
        lambda: "allowed_ip=%s10.%d.%d.%d/%d" % (sign, rng.randrange(20, 25), rng.randrange(256), rng.randrange(256), rng.randrange(8, 33)),
        lambda: "allowed_ip=%sfd01:%x::%x/%d" % (sign, rng.randrange(4), rng.randrange(65536), rng.randrange(16, 129)),
        lambda: "allowed_ip=" + rng.choice(PREFIXES),
        lambda: "public_key=" + rng.choice(keys).public.hex(),
        lambda: "public_key=" + rng.choice(keys).public.hex(),
        lambda: "public_key=" + rng.choice(["ff" * 32] + [k.hex() for k in w.LOW_ORDER]),
        lambda: rng.choice(("remove=true", "update_only=true", "replace_allowed_ips=true", "replace_peers=true", "protocol_version=1")),
        lambda: "preshared_key=" + rng.randbytes(32).hex(),
        lambda: "endpoint=" + rng.choice(ENDPOINTS),
        lambda: "persistent_keepalive_interval=" + rng.choice(NUMBERS),
        lambda: "fwmark=" + rng.choice(NUMBERS),
        lambda: "listen_port=" + rng.choice(("51820", "51821", "0", "1", "99999")),
        lambda: "private_key=" + rng.choice([k.private for k in keys] + [bytes(32)]).hex(),
        lambda: rng.choice(("", "=", "a", "a=b", "errno=0", "public_key=", "x" * 1025, "\xff=\xfe")),
    ))()


def complaint(text):
    """What is wrong with an answer to get, or None."""
    if not text.endswith("errno=0\n\n"):
        return "ends with %r" % text[-60:]
    keys = [x for x in text.split("\n") if x.startswith("public_key=")]
    return "a peer is shown twice" if len(keys) != len(set(keys)) else None


def client(rng, keys, conversations, bad):
    for _ in range(conversations):
        try:
            u = lab.Uapi("wg1", timeout=PATIENCE)
            for _ in range(rng.randrange(1, 15)):
                if rng.randrange(3):
                    lines = [line(rng, keys) for _ in range(rng.randrange(1, rng.choice((4, 30, 200))))]
                    # An empty line ends the request; what follows is one of its own, and mostly no operation.
                    u.send("".join(x + "\n" for x in ["set=1"] + [x for x in lines if x] + [""]).encode("latin-1"))
                    got = u.answer()
                    if not got.startswith("errno="):
                        bad.append("set: %r" % got)
                    continue
                # More than the socket holds: the daemon waits for room in the middle of an answer.
                n = rng.choice((1, 1, 1, 60))
                u.send("get=1\n\n" * n)
                time.sleep(0.01 * (n > 1))
                bad += ["get: " + x for x in (complaint(u.answer()) for _ in range(n)) if x]
            if rng.randrange(2):
                u.send(rng.choice((b"set=1\nfwm", b"\n", b"get=1", rng.randbytes(50))))
            u.close()
        except OSError as e:
            # There is no place for it at the moment.
            if not isinstance(e, (BlockingIOError, ConnectionResetError, BrokenPipeError)):
                bad.append(repr(e))


def configuration(wire, rng):
    d, keys, bad, stop = wire.d, [w.Key() for _ in range(40)], [], threading.Event()
    peers = [wire.peer(key=keys[i], endpoint=bool(i % 2)) for i in range(6)]

    def weather():
        for n in itertools.count():
            if stop.is_set():
                break
            p = rng.choice(peers)
            try:
                p.send(p.initiation())
                wire.source.sendto(bytes(rng.randrange(1400)), (p.inner, 9))
                wire.source.sendto(bytes(1000), ("10.%d.1.2" % rng.randrange(20, 25), 9))
            except OSError:
                pass
            if n % 20 == 0:
                lab.run("ip -n d link set wg1 " + rng.choice(("down", "up", "up", "mtu 1280", "mtu 9000", "mtu 1420")), check=False)
            time.sleep(0.005)
    lab.run("ip -n d route add 10.16.0.0/12 dev wg1", check=False)
    threads = [threading.Thread(target=client, args=(random.Random(rng.random()), keys, 150, bad), daemon=True) for _ in range(5)]
    sky = lab.in_thread(weather)
    [t.start() for t in threads]
    [t.join(PATIENCE) for t in threads]
    stop.set()
    sky.join(PATIENCE)
    same((bad[:5], [t for t in threads if t.is_alive()]), ([], []),
         "clients that contradict each other get well-formed answers, while packets flow and the link comes and goes [chaos-uapi]")
    lab.run("ip -n d link set wg1 mtu 1420 up")
    d.set("private_key=" + wire.key.private.hex(), "listen_port=51820", "fwmark=0", "replace_peers=true")
    same(len(d.get()[1]), 0, "and what the last one says holds [chaos-uapi]")
    p = wire.peer()
    p.handshake()
    ok(lab.wait_for(p.works), "the next peer's tunnel works [chaos-uapi]")


def oddities(wire, rng):
    """What else a stream socket of a Unix system can do."""
    d, p = wire.d, wire.peer()
    p.handshake()
    before = len(os.listdir("/proc/%d/fd" % d.pid))
    given = [os.open("/dev/null", os.O_RDWR) for _ in range(50)]
    for _ in range(50):
        u = lab.Uapi("wg1", timeout=PATIENCE)
        u.s.sendmsg([b"get=1\n\n"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", given + [u.s.fileno()]))])
        if not u.answer().endswith("errno=0\n\n"):
            break
        u.close()
    else:
        ok(True, "descriptors that come with a request are not taken [uapi-oddities]")
    [os.close(x) for x in given]
    same(lab.wait_for(lambda: len(os.listdir("/proc/%d/fd" % d.pid)) <= before, PATIENCE), True, "and none is kept [uapi-oddities]")
    urgent = []
    for start in (b"", b"get=1", b"set=1\n"):
        u = lab.Uapi("wg1")
        u.send(start)
        try:
            u.s.send(b"g", socket.MSG_OOB)
        except OSError:
            pass  # an older kernel
        urgent.append(u)
    u = lab.Uapi("wg1", timeout=PATIENCE)
    u.send("get=1\n\n" * 100)
    u.s.shutdown(socket.SHUT_WR)
    got = b""
    while x := u.s.recv(1 << 20):
        got += x
    same(got.count(b"errno=0\n\n"), 100, "a client that says no more gets all its answers [uapi-oddities]")
    urgent += [u, lab.Uapi("wg1")]
    urgent[-1].s.shutdown(socket.SHUT_RD)
    time.sleep(0.5)
    cpu = d.cpu()
    time.sleep(1.5)
    ok(d.cpu() - cpu < 0.5, "urgent bytes, and ends that are half closed, do not keep it busy [uapi-oddities]", d.cpu() - cpu)
    ok(d.ready() and p.works(), "and the tunnel works [uapi-oddities]")
    [u.close() for u in urgent]


def moving(wire, rng):
    """A prefix goes from peer to peer as fast as one client can say so."""
    d, peers = wire.d, [wire.peer(endpoint=True) for _ in range(4)]
    for p in peers:
        p.handshake()
        p.sock.setsockopt(socket.SOL_SOCKET, 33, 16 << 20)  # SO_RCVBUFFORCE
    lab.run("ip -n d link set wg1 txqueuelen 20000")
    lab.run("ip -n d route add 10.60.0.0/24 dev wg1")
    d.set("public_key=" + peers[0].key.public.hex(), "allowed_ip=10.60.0.1/32")
    stop, moves, bad = threading.Event(), [0], []

    def mover():
        u = lab.Uapi("wg1", timeout=PATIENCE)
        while not stop.is_set():
            got = u.ask("set=1\npublic_key=%s\nallowed_ip=10.60.0.1/32\n\n" % rng.choice(peers).key.public.hex())
            if got != "errno=0\n\n":
                bad.append(got)
                break
            moves[0] += 1
        u.close()

    def dropped():
        return int(lab.run("ip netns exec d cat /sys/class/net/wg1/statistics/tx_dropped", check=True))

    got, sent, before = [], 0, dropped()

    def take():
        for p in peers:
            while (m := lab.recv_or_none(p.sock, 0)) is not None:
                if w.kind(m) == "data":
                    plain = p.open(m)[1]
                    if plain[28:31] == b"seq":
                        got.append(plain[28:].rstrip(b"\0"))
    t = lab.in_thread(mover)
    for _ in range(300):
        for _ in range(20):
            wire.source.sendto(b"seq%d" % sent, ("10.60.0.1", 9))
            sent += 1
        time.sleep(0.002)
        take()
    stop.set()
    t.join(PATIENCE)

    def lost():
        """Without those for which the device's queue had no room."""
        return max(0, sent - len(got) - (dropped() - before))
    lab.wait_for(lambda: take() or not lost(), PATIENCE)
    same((bad, lost(), len(got) - len(set(got))), ([], 0, 0),
         "of %d packets to a prefix that moved %d times none is lost or comes twice [chaos-moving]" % (sent, moves[0]))
    d.set(*[x for p in peers for x in ("public_key=" + p.key.public.hex(), "remove=true")])


def checksum(b):
    s = sum(struct.unpack("!%dH" % (len(b) // 2), b))
    s = (s & 0xffff) + (s >> 16)
    return ~(s + (s >> 16)) & 0xffff


def v4(rng, src, dst, proto, payload, first=None, total=None, frag=0, options=b""):
    n = 20 + len(options)
    h = struct.pack("!BBHHHBBH4s4s", 0x40 | n // 4 if first is None else first, rng.getrandbits(8), (n + len(payload) if total is None else total),
                    rng.getrandbits(16), frag, 64, proto, 0, socket.inet_aton(src), socket.inet_aton(dst)) + options
    return h[:10] + struct.pack("!H", checksum(h)) + h[12:] + payload


def v6(rng, src, dst, proto, payload, length=None):
    return (struct.pack("!IHBB", 0x60000000 | rng.getrandbits(8) << 20, len(payload) if length is None else length, proto, 64) +
            socket.inet_pton(socket.AF_INET6, src) + socket.inet_pton(socket.AF_INET6, dst) + payload)


def extended(rng, payload):
    """Extension headers, some with lengths that lead out of the packet."""
    proto = 17
    for _ in range(rng.randrange(1, 10)):
        kind, length = rng.choice((0, 43, 60, 44, 51, 50, 135)), rng.choice((0, 0, 1, 2, 255))
        payload = bytes([proto, length]) + rng.randbytes(6 + 8 * min(length, 2)) + payload
        proto = kind
    return proto, payload


def transport(rng, proto):
    rest = rng.randbytes(rng.randrange(1200))
    if proto == 17:
        return struct.pack("!HHHH", 7, rng.choice((8, 51820)), rng.choice((8 + len(rest), 0, 7, 65535)), rng.getrandbits(16)) + rest
    if proto == 6:
        return struct.pack("!HHIIBBHHH", 80, 1234, rng.choice((0, 0xffffffff, 1000, 1000 + len(rest))), rng.getrandbits(32),
                           rng.choice((5, 5, 8, 15, 0, 4)) << 4, rng.choice((0x10, 0x18, 0x02, 0x01, 0xff, 0x90)), 1, rng.getrandbits(16), 0) + rest
    return rest


def odd_packet(rng, src, dst, src6, dst6):
    proto = rng.choice((17, 17, 6, 6, 1, 58, 47, 132, 50, 0, 255))
    load = transport(rng, proto)
    return rng.choice((
        lambda: v4(rng, src, dst, proto, load),
        lambda: v4(rng, src, dst, proto, load, total=rng.choice((0, 1, 19, 20, 21, 28, 65535))),
        lambda: v4(rng, src, dst, proto, load, first=0x40 | rng.randrange(16)),
        lambda: v4(rng, src, dst, proto, load, options=rng.randbytes(4 * rng.randrange(1, 11))),
        lambda: v4(rng, src, dst, proto, load, frag=rng.choice((0x2000, 0x4000, 0x8000, 1, 0x1fff, 0x2001))),
        lambda: v6(rng, src6, dst6, proto, load),
        lambda: v6(rng, src6, dst6, proto, load, length=rng.choice((0, 1, 7, 8, 40, 65496, 65535))),
        lambda: v6(rng, src6, dst6, *extended(rng, load)),
        lambda: bytes([rng.choice((0x00, 0x10, 0x50, 0xf0, 0x4f, 0x60, 0x45, 0x40, 0x44))]) + rng.randbytes(rng.randrange(100)),
        lambda: v4(rng, src, dst, proto, load)[:rng.randrange(1, 60)],
    ))()


def packets(wire, rng):
    other, *peers = [wire.peer(endpoint=True) for _ in range(4)]  # the other one never sends
    for p in peers:
        p.handshake()
        p.sock.setsockopt(socket.SOL_SOCKET, 33, 16 << 20)
    with lab.inside("d"):
        seen = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))
        seen.setsockopt(socket.SOL_SOCKET, 33, 32 << 20)
        seen.bind(("wg1", 3))
        plain = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        large = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        large.setsockopt(263, 15, 1)  # SOL_PACKET, PACKET_VNET_HDR

    # From peers.
    bad, came, n = [], 0, 0

    def look():
        nonlocal came
        for x, a in iter(lambda: take_packet(seen), None):
            if a[2] == socket.PACKET_OUTGOING:
                continue
            came += 1
            if x[0] >> 4 == 4:
                good = len(x) >= 20 and struct.unpack("!H", x[2:4])[0] == len(x) and socket.inet_ntoa(x[12:16]) in [q.inner for q in peers]
            else:
                good = x[0] >> 4 == 6 and struct.unpack("!H", x[4:6])[0] + 40 == len(x) and \
                    socket.inet_ntop(socket.AF_INET6, x[8:24]) in [q.inner6 for q in peers]
            if not good:
                bad.append(x[:60].hex())
        return came > 300
    for _ in range(250):
        p = rng.choice(peers)
        for _ in range(20):
            packet = odd_packet(rng, rng.choice((p.inner, p.inner, other.inner, "127.0.0.1", "0.0.0.0", "224.0.0.1", "10.9.0.1")),
                                rng.choice(("10.9.0.1", "255.255.255.255", "8.8.8.8")),
                                rng.choice((p.inner6, p.inner6, other.inner6, "::1", "ff02::1")), rng.choice(("fd00:9::1", "ff02::1")))
            p.send(p.session.data(packet, pad=rng.choice((None, None, None, 0, 1, 15, 1000))))
            n += 1
        look()
        time.sleep(0.001)
    lab.wait_for(look)
    ok(came > 300 and not bad, "of %d odd packets from peers %d came out, each of its own length and from its peer's addresses [chaos-inner]"
       % (n, came), *bad[:5])

    # From the kernel, with every kind of virtio header.
    bad, arrived, n = [], 0, 0

    def hear():
        nonlocal arrived
        for p in peers:
            while (m := lab.recv_or_none(p.sock, 0)) is not None:
                if w.kind(m) != "data":
                    continue
                x = p.open(m)[1]
                arrived += 1
                to = socket.inet_ntoa(x[16:20]) if x[0] >> 4 == 4 else socket.inet_ntop(socket.AF_INET6, x[24:40])
                if to not in (p.inner, p.inner6):
                    bad.append("to %s: %s" % (p.inner, x[:60].hex()))
        return arrived > 100
    for _ in range(100):
        for _ in range(10):
            p = rng.choice(peers)
            packet = odd_packet(rng, "10.9.0.1", p.inner, "fd00:9::1", p.inner6)
            where = ("wg1", 0x86dd if packet[0] >> 4 == 6 else 0x0800)
            try:
                if rng.randrange(2):
                    plain.sendto(packet, where)
                else:
                    family, proto = rng.choice(((v4, 6), (v4, 17), (v6, 6), (v6, 17)))
                    ends, n_header, n_sum = (("10.9.0.1", p.inner), 20, 16 if proto == 6 else 6) if family is v4 else \
                        (("fd00:9::1", p.inner6), 40, 16 if proto == 6 else 6)
                    body = transport(rng, proto)[:20 if proto == 6 else 8] + rng.randbytes(rng.choice((0, 1, 1400, 5000, 30000, 60000)))
                    large.sendto(struct.pack("=BBHHHH", rng.choice((0, 1, 1, 2)), rng.choice((0, 1, 3, 4, 5, 0x81, 0x84)),
                                             rng.choice((n_header + 20, n_header + 8, n_header, 0, 65535)),
                                             rng.choice((0, 1, 8, 536, 1380, 9000, 65535)), rng.choice((n_header, n_header, 0, 65535)),
                                             rng.choice((n_sum, n_sum, 0, 65535))) + family(rng, *ends, proto, body),
                                 ("wg1", 0x0800 if family is v4 else 0x86dd))
                n += 1
            except OSError:
                pass  # the kernel will have none of it
        hear()
        time.sleep(0.001)
    lab.wait_for(hear)
    ok(n > 100 and arrived > 100 and not bad, "of %d odd packets from the kernel %d went out in pieces, each to its peer [chaos-inner]"
       % (n, arrived), *bad[:5])
    seen.close()

    def works(p):
        while lab.recv_or_none(p.sock, 0) is not None:
            pass
        return p.works()
    ok(all(lab.wait_for(lambda: works(p), PATIENCE) for p in peers), "and every session goes on [chaos-inner]")


def take_packet(s):
    try:
        return s.recvfrom(70000, socket.MSG_DONTWAIT)
    except BlockingIOError:
        return None


def stopped(wire, rng):
    d, p = wire.d, wire.peer(endpoint=True)
    p.handshake()
    for pause in [2] + [0.003] * 60:
        os.kill(d.pid, signal.SIGSTOP)
        end = time.monotonic() + pause
        while time.monotonic() < end:
            for _ in range(20):
                p.put(bytes(1200))
                wire.source.sendto(bytes(1200), (p.inner, 9))
            p.send(struct.pack("<II", w.INITIATION, 1) + rng.randbytes(140))
            time.sleep(0.003)
        os.kill(d.pid, signal.SIGCONT)

    def works():
        while lab.recv_or_none(p.sock, 0) is not None:
            pass
        return p.works()
    ok(bool(lab.wait_for(works, PATIENCE)), "stopped and continued under load, again and again, its session goes on [proc-suspended]")
    ok(d.ready(), "and it answers [proc-suspended]")


def test():
    seed = int(os.environ.get("SEED", random.SystemRandom().randrange(2**32)))
    lab.note("SEED=%d" % seed)
    rng = random.Random(seed)
    wire = Wire()
    for part in (oddities, moving, packets, stopped, configuration):
        t = time.monotonic()
        part(wire, rng)
        lab.note("%s: %.1f s" % (part.__name__, time.monotonic() - t))
    lab.same(wire.d.stop(), 0, "and it ends in order [proc-sigterm]")


lab.main(840, test)
