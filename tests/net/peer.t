#!/usr/bin/python3
"""A peer that misbehaves on purpose, as initiator and as responder: what it does wrong is refused in silence, and the
session that it had goes on."""
import os
import socket
import struct
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lab  # noqa: E402
import wgpeer as w  # noqa: E402
from lab import note, ok, same  # noqa: E402
from wire import INNER, INNER6, PORT, Wire  # noqa: E402


ANSWERS = "response", "cookie"


def after_init_gap():
    time.sleep(0.025)  # initiations of one peer within 20 ms are taken for a flood


def answered(p):
    """A new initiation gets a response."""
    p.send(p.initiation())
    return w.kind(p.recv_to(p.hs["index"], 1) or b"") == "response"


def bad_initiations(wire):
    p = wire.peer()
    p.handshake()
    ok(p.works(), "a handshake by an independent implementation is answered and data passes [noise-transport-keys]")

    def refused(msg, name):
        p.drain()
        p.send(msg)
        quiet = p.silence(want=ANSWERS)
        ok(quiet, "silence: " + name, "answered with %s" % w.kind(p.heard or b""))
        after_init_gap()

    for name, tag in (("wrong-mac1", "noise-mac1-first"), ("old-timestamp", "noise-timestamp-replay"),
                      ("low-order-static", "noise-zero-dh"), ("unknown-static", "noise-unknown-static"),
                      ("corrupt-static", "noise-tampered"), ("corrupt-timestamp", "noise-tampered"),
                      ("reserved-initiation", "rx-type-reserved")):
        refused(p.initiation(**w.QUIRKS[name][1]), "initiation, %s [%s]" % (name, tag))
    p.drain()
    for point in w.LOW_ORDER:
        p.send(p.initiation(ephemeral=point))
        after_init_gap()
    ok(p.silence(want=ANSWERS), "silence: initiations with each ephemeral key of low order [noise-zero-dh]")

    good = p.initiation()
    for msg in (good[:-1], good + b"\0", good[:4], good + bytes(1000), good[:116]):
        p.send(msg)
    ok(p.silence(want=ANSWERS), "silence: initiations of other lengths than 148 [rx-length-exact]")

    stamp = w.tai64n()
    first = p.initiation(timestamp=stamp)
    p.send(first)
    resp = p.recv(want="response")
    ok(resp is not None, "a good initiation after all of these is answered [noise-state-after-success]")
    s = p.consume_response(resp)
    p.send(s.data())
    after_init_gap()
    refused(first, "the same initiation again [noise-timestamp-replay]")
    refused(p.initiation(timestamp=stamp), "a new one with the same timestamp [noise-timestamp-replay]")
    seconds, ns = struct.unpack(">QI", stamp)
    older = struct.pack(">QI", seconds, ns - 1) if ns else struct.pack(">QI", seconds - 1, 999999999)
    refused(p.initiation(timestamp=older), "a timestamp one nanosecond older [noise-timestamp-replay]")
    # 0x...00ff against 0x...0100: a little-endian comparison would take the older for the newer.
    ahead = seconds + 1 | 0xff
    ok(p.works(s), "the session survives the refused initiations [noise-state-after-success]")
    p.handshake(timestamp=struct.pack(">QI", ahead + 1, 0))
    after_init_gap()
    refused(p.initiation(timestamp=struct.pack(">QI", ahead, 999999999)), "timestamps compare as big-endian [noise-timestamp-replay]")

    # Each that is answered comes 20 ms or more after the one before it, and all of them before the last answer is heard.
    q = wire.peer()
    burst = [q.initiation() for _ in range(30)]
    t0, n = time.monotonic(), 0
    for m in burst:
        q.send(m)
    while q.recv(0.3 if n else lab.PATIENCE, "response") is not None:
        n, t1 = n + 1, time.monotonic()
    ok(n and n <= 1 + (t1 - t0) / 0.02, "silence: a second initiation within 20 ms [noise-flood-limit]", "%d answers" % n)
    ok(lab.wait_for(lambda: answered(q), step=0.025), "20 ms after the accepted one the next is answered [noise-flood-accepted-only]")

    p = wire.peer()
    p.send(p.initiation(wrong_mac2=True))
    ok(p.recv(want="response") is not None, "without load mac2 is not looked at [load-idle-mac1-only]")
    # Two answers differ in everything that must be fresh.
    after_init_gap()
    p.send(p.initiation())
    a = p.recv(want="response")
    same(p.tos, 0x88, "a response has TOS 0x88 [tx-tos-handshake]")
    after_init_gap()
    p.send(p.initiation())
    b = p.recv(want="response")
    ok(a and b and a[4:8] != b[4:8], "each response has a new index [noise-fresh-index]")
    ok(a and b and a[12:44] != b[12:44], "each response has a new ephemeral key [noise-fresh-ephemeral]")
    same((b or bytes(92))[76:], bytes(16), "mac2 is zero without a cookie [mac-mac2-zero]")


def psk(wire):
    secret = os.urandom(32)
    p = wire.peer(psk=secret)
    p.handshake()
    ok(p.works(), "with the right pre-shared key data passes, the daemon as responder [noise-psk-at-use-time]")
    p.psk = os.urandom(32)
    after_init_gap()
    p.send(p.initiation())
    try:
        p.consume_response(p.recv(want="response") or b"")
        ok(False, "with a wrong pre-shared key the response does not open [noise-psk-mismatch]")
    except w.Refused:
        ok(True, "with a wrong pre-shared key the response does not open [noise-psk-mismatch]")
    ok(p.works(), "the session before it goes on [noise-state-after-success]")
    q = wire.peer(endpoint=True, psk=secret)
    t = q.push_only()
    q.answer()
    got = q.recv_data()
    ok(got and t in got[1], "with the right pre-shared key, the daemon as initiator [noise-psk-at-use-time]")
    # Read when it is used: changed between initiation and response it takes part.
    q = wire.peer(endpoint=True)
    t = q.push_only()
    msg = q.recv(want="initiation")
    q.consume_initiation(msg)
    wire.d.set("public_key=" + q.key.public.hex(), "preshared_key=" + secret.hex())
    q.psk = secret
    q.send(q.response())
    got = q.recv_data()
    ok(got and t in got[1], "a pre-shared key set while a handshake is under way takes part [noise-psk-at-use-time]")


def bad_responses(wire):
    """The daemon initiates.  A bad answer is ignored, and the right one after it is still taken."""
    def case(name, make):
        late = True
        while late:  # after 5 s it starts anew, and takes no response to the one before
            p, start = wire.peer(endpoint=True), time.monotonic()
            t = p.push_only()
            msg = p.recv(want="initiation")
            if msg is None:
                return ok(False, name, "the daemon did not initiate")
            p.consume_initiation(msg)
            for bad in make(p):
                p.send(bad)
            quiet = p.silence(want=("data", "keepalive", "cookie", "response"))
            p.send(p.response())
            late = time.monotonic() - start > 4
        got = p.recv_data()
        ok(quiet and got and t in got[1], name, "heard %s" % w.kind(p.heard or b""), "then %r" % (got,))
        return p

    for quirk, tag in (("wrong-psk", "noise-psk-mismatch"), ("corrupt-response", "noise-tampered"),
                       ("wrong-receiver", "noise-response-state"), ("reserved-response", "rx-type-reserved")):
        case("a response is ignored and the next one taken: %s [%s]" % (quirk, tag),
             lambda p, q=quirk: [p.response(keep=True, **w.QUIRKS[q][1])])
    case("a response is ignored and the next one taken: each ephemeral key of low order [noise-zero-dh]",
         lambda p: [p.response(keep=True, ephemeral=e) for e in w.LOW_ORDER])
    case("a response is ignored and the next one taken: wrong mac1 [noise-tampered]",
         lambda p: [p.response(keep=True, wrong_mac1=True)])

    def lengths(p):
        good = p.response(keep=True)
        return [good[:-1], good + b"\0", good[:60], good + bytes(500)]
    case("a response is ignored and the next one taken: wrong lengths [rx-length-exact]", lengths)

    def data(p):
        s = w.Session(os.urandom(32), os.urandom(32), 1, p.hs["remote"], False)
        return [s.data(p.packet(b"x")), s.data(), s.data(corrupt=-1)]
    case("data with the index of a handshake under way is refused [index-typed-data]", data)

    def cookies(p):
        return [struct.pack("<II", w.COOKIE, p.hs["remote"]) + os.urandom(56),
                struct.pack("<II", w.COOKIE, 0) + os.urandom(56)]
    case("a cookie reply of random bytes is ignored [cookie-consume-outstanding]", cookies)

    p2 = wire.peer(endpoint=True)
    t = p2.push_only()
    p2.answer()
    got = p2.recv_data()
    ok(got and t in got[1], "what waited goes out with the response, and at once [noise-confirm-staged]")
    p3 = wire.peer(endpoint=True)
    p3.push_only()
    p3.consume_initiation(p3.recv(want="initiation"))
    good = p3.response()
    p3.send(good)
    ok(p3.recv_data() is not None, "a response completes the handshake [noise-response-state]")
    p3.drain()
    p3.send(good)
    p3.send(good)
    ok(p3.silence(), "the same response again is ignored [noise-response-twice]", w.kind(p3.heard or b""))
    ok(p3.works(), "and the session goes on [noise-response-twice]")
    p3.send(struct.pack("<III", w.RESPONSE, 7, p3.session.remote) + good[12:])
    ok(p3.silence(), "a response with the index of a session is refused [index-typed-response]")
    ok(p3.works(), "and the session goes on [index-typed-response]")


def initiation_from_daemon(wire):
    p = wire.peer(endpoint=True)
    t0 = time.time()
    p.push_only()
    msg = p.recv(want="initiation")
    t1 = time.time()
    same(p.tos, 0x88, "an initiation has TOS 0x88 [tx-tos-handshake]")
    info = p.consume_initiation(msg)
    same(info["static"], wire.key.public, "an initiation bears the daemon's key [noise-initiation-bytes]")
    seconds, ns = struct.unpack(">QI", info["timestamp"])
    ok(t0 - 1 <= seconds - 0x400000000000000a <= t1, "its timestamp is TAI64N [noise-tai64n]", seconds)
    same((ns & 0xffffff, ns < 10**9), (0, True), "its nanoseconds are cut to steps of 2^24 [noise-tai64n-steps]")
    same(info["mac2"], bytes(16), "its mac2 is zero without a cookie [mac-mac2-zero]")
    p.send(p.response())
    # With nothing waiting the confirmation is one keepalive: a persistent keepalive asks for a handshake with none.
    q = wire.peer(endpoint=True, lines=["persistent_keepalive_interval=3000"])
    q.answer()
    first, more = q.recv(), q.recv(0.3)
    ok(first and w.kind(first) == "keepalive" and more is None,
       "with nothing waiting a response is confirmed by exactly one keepalive [noise-confirm-keepalive]",
       w.kind(first or b""), w.kind(more or b""))
    # A peer of low order.
    for i, point in enumerate(w.LOW_ORDER[:3]):
        k = w.Key()
        k.public = point
        q = wire.peer(endpoint=True, key=k, lines=["persistent_keepalive_interval=1"])
        q.push_only()
        ok(q.silence(0.4), "to a peer whose public key has low order nothing is sent, %d [noise-low-order-peer]" % i)
        wire.d.set("public_key=" + point.hex(), "remove=true")


def configured(wire):
    """What a set does after the last line of a peer."""
    q = wire.peer(endpoint=True, lines=["persistent_keepalive_interval=3000"])
    ok(q.recv(want="initiation") is not None, "a peer that is set with endpoint and keepalive is started at once [uapi-post-config]")
    q = wire.peer(endpoint=True)
    ok(q.silence(), "one without a keepalive is not [uapi-post-config]", w.kind(q.heard or b""))
    q.handshake()
    public = "public_key=" + q.key.public.hex()
    for interval, want in ((3000, "keepalive"), (3000, None), (2000, None), (0, None), (3000, "keepalive")):
        q.drain()
        wire.d.set(public, "persistent_keepalive_interval=%d" % interval)
        got = q.recv(lab.PATIENCE if want else 0.25)
        ok((w.kind(got) if got else None) == want and q.silence(), "keepalive %d after that: %s at once [uapi-post-config] "
           "[timer-persistent-turned-on]" % (interval, want or "nothing"), w.kind(got or b""), w.kind(q.heard or b""))
    # Each peer of one request has its turn, also when another's lines follow.
    a, b = wire.peer(), wire.peer()
    wire.d.set(*[x for p in (a, b) for x in ("public_key=" + p.key.public.hex(), "endpoint=10.0.0.1:%d" % p.port,
                                            "persistent_keepalive_interval=3000")])
    ok(all(p.recv(want="initiation") for p in (a, b)), "two peers of one request are started [uapi-post-config]")
    # Before an error too.
    a = wire.peer()
    wire.d.ask("set=1\npublic_key=%s\nendpoint=10.0.0.1:%d\npersistent_keepalive_interval=3000\nx=1\n\n" % (
        a.key.public.hex(), a.port))
    ok(a.recv(want="initiation") is not None, "and one whose lines end in an error [uapi-post-config] [uapi-error-keeps]")
    # Waiting packets.
    private = wire.key.private.hex()
    wire.d.set("private_key=" + w.ZERO.hex())
    q = wire.peer(endpoint=True)
    waiting = q.push_only()
    ok(q.silence(), "without a private key packets wait and nothing is sent [uapi-post-config]", w.kind(q.heard or b""))
    wire.d.set("private_key=" + private, "public_key=" + q.key.public.hex())
    q.answer()
    got = q.recv_data()
    ok(got and waiting in got[1], "and go out when it is set [uapi-post-config] [key-first-sends-staged]", got)


def confirmation(wire):
    p = wire.peer()
    s = p.handshake(confirm=False)
    t = p.push_only()
    first = p.recv(0.3)
    ok(first is None, "a responder sends nothing under an unconfirmed session [keypair-responder-confirm]",
       w.kind(first or b""))
    p.send(s.data())
    got = p.recv_data()
    ok(got and t in got[1], "the first keepalive confirms it, and what waited goes out [rx-confirm-sends-staged]")
    new = p.handshake(confirm=False)
    ok(p.pull() is s, "after a second handshake it sends under the session before, until confirmed [keypair-responder-confirm]")
    p.put(b"confirm", new)
    lab.wait_for(lambda: wire.arrived(timeout=0.1) == b"confirm")
    ok(p.pull() is new, "data confirms it too [keypair-responder-confirm]")
    ok(p.works(s), "packets under the previous session are still taken [keypair-previous-receives]")
    third = p.handshake()
    p.pull()
    p.refuses([s.data(p.packet(b"too old"))], "packets under the one before the previous are not [keypair-responder-next]", third)
    # Data straight behind the initiation's answer.
    q = wire.peer()
    q.handshake(confirm=False)
    wire.empty()
    q.put(b"at once")
    same(wire.arrived(), b"at once", "data that follows the response at once is opened [noise-session-before-response]")


def data(wire):
    p = wire.peer()
    s = p.handshake()
    pk = p.packet

    def bad(tag, name, *msgs):
        p.refuses(msgs, "%s [%s]" % (name, tag), s)

    bad("rx-tampered", "a flipped bit anywhere refuses the packet",
        *[s.data(pk(b"flipped"), corrupt=c) for c in (4, 8, 15, 16, 30, -16, -1)])
    bad("rx-type-reserved", "reserved bytes must be zero", *[s.data(pk(b"reserved"), type_word=w.DATA | 1 << b)
                                                           for b in (8, 15, 16, 24, 31)])
    bad("rx-unknown-index", "an index that nobody has", s.data(pk(b"index"), index=s.remote ^ 1),
        s.data(pk(b"index"), index=0), s.data(pk(b"index"), index=0xffffffff))
    bad("rx-length-data", "data messages that are too short", *[s.data()[:n] for n in (0, 1, 3, 4, 15, 16, 31)])
    c = s.counter
    s.counter += 1
    good = s.data(pk(b"once"), counter=c)
    wire.empty()
    p.send(good)
    same(wire.arrived(), b"once", "a counter is taken once [rx-replay]")
    bad("rx-replay", "the same datagram again", good, good)
    bad("rx-replay", "the same counter with other contents", s.data(pk(b"twice"), counter=c))
    # A forged counter far ahead must not move the window.
    bad("rx-replay-after-aead", "a forged packet with a great counter", s.data(pk(b"forged"), counter=c + 10**6, corrupt=-1))
    # The window.
    g = s.counter + 20000
    wire.empty()

    def verdicts(counters):
        """Which of the counters deliver: all are sent, then one that must."""
        wire.empty()
        for n in counters:
            p.send(s.data(pk(b"c%d" % n), counter=n))
        return lambda end: [n for n in counters if b"c%d" % n in end]

    def try_counters(counters, fence):
        v = verdicts(counters)
        p.send(s.data(pk(b"fence"), counter=fence))
        got = []
        while (x := wire.arrived()) not in (b"fence", None):
            got.append(x)
        return v(got) if x else None

    edge = [g, g - w.WINDOW + 1, g - w.WINDOW + 1, g - w.WINDOW - 1, g - w.WINDOW - 2, g - 1, g - 1, g, g - 64, g - 64]
    got = []
    wire.empty()
    for n in edge:
        p.send(s.data(pk(b"c%d" % n), counter=n))
    p.send(s.data(pk(b"fence"), counter=g - 2))
    while (x := wire.arrived()) not in (b"fence", None):
        got.append(int(x[1:]))
    same(got, [g, g - w.WINDOW + 1, g - 1, g - 64],
         "a counter 8,127 behind the greatest is taken once, one 8,129 behind is not [replay-window]")
    same(try_counters([g + w.WINDOW * 3, g], g + w.WINDOW * 3 - 1), [g + w.WINDOW * 3],
         "a jump past the whole window forgets what lies behind [replay-window]")
    s.counter = g + w.WINDOW * 3 + 1
    # Inner packets.
    t = b"inner"
    v4 = pk(t)
    bad("rx-inner-v4-length", "an inner IPv4 length beyond what arrived",
        s.data(w.ipv4(p.inner, INNER, v4[20:], total=len(v4) + 100), pad=0),
        s.data(w.ipv4(p.inner, INNER, v4[20:], total=65535)))
    bad("rx-inner-v4-length", "an inner IPv4 length below 20", *[s.data(w.ipv4(p.inner, INNER, v4[20:], total=n))
                                                               for n in (0, 1, 19)])
    bad("rx-inner-v4-length", "an inner IPv4 packet cut short", *[s.data(v4[:n], pad=0) for n in (1, 19, 20, 21)])
    # What the interface was given is seen by the kernel's own count of received packets.
    def rx_packets():
        return int(lab.run("cat /sys/class/net/wg1/statistics/rx_packets", "d"))
    before = rx_packets()
    for version in (0, 1, 5, 7, 15):
        p.send(s.data(bytes([version << 4 | 5]) + v4[1:]))
    p.put(b"after")
    wire.arrived()
    same(rx_packets() - before, 1, "a packet of another IP version does not reach the interface [rx-version]")
    other = wire.peer()
    bad("rx-source", "an inner source of another peer or of nobody", s.data(pk(t, other.inner)), s.data(pk(t, "10.9.0.200")),
        s.data(pk(t, INNER)), s.data(pk(t, "0.0.0.0")))
    before = rx_packets()
    for src in (other.inner6, "fd00:9::ffff", "::"):
        p.send(s.data(pk(t, src)))
    p.put(b"after")
    wire.arrived()
    same(rx_packets() - before, 1, "an inner IPv6 source of another peer or of nobody [rx-source]")
    wide = wire.peer(allowed=["10.9.0.0/16", "fd00:9::/32"])
    ws = wide.handshake()
    wide.refuses([ws.data(wide.packet(t, p.inner))], "a longer prefix of another peer wins over the sender's own shorter one [rx-source-longest]")
    # Padding.
    wire.empty()
    for pad in (0, 1, 7, 15, 16, 33, 300):
        p.put(b"padded %d" % pad, pad=pad)
        same(wire.arrived(), b"padded %d" % pad, "%d bytes of padding are cut off [rx-trim]" % pad)
    # Keepalives deliver nothing and are not answered.
    p.pull()  # one for what came so far may be due
    p.drain()
    before = rx_packets()
    for _ in range(3):
        p.send(s.data())
    quiet = p.silence()
    same((rx_packets() - before, quiet), (0, True), "keepalives deliver nothing and are not answered [rx-keepalive] [timer-keepalive-armed]")
    # The greatest datagram there is, authenticated and not.
    p.send(os.urandom(65507))
    p.send(struct.pack("<II", w.DATA, s.remote) + os.urandom(65499))
    p.send(struct.pack("<II", 1, 1) + bytes(65499))
    big = os.urandom(65507 - 32 - 28 - 16)
    wire.sink.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    wire.empty()
    p.put(big, pad=0)
    p.put(b"fence")
    got = wire.arrived()
    ok(got in (big, b"fence"), "the greatest authenticated datagram is delivered whole or not at all [rx-oversize]")
    note("greatest datagram: %s" % ("delivered" if got == big else "dropped"))
    if got == big:
        wire.arrived()
    ok(p.works(s), "datagrams of 65,507 bytes harm nothing [rx-oversize]")
    # The last counters.
    wire.empty()
    last = w.REJECT_AFTER_MESSAGES - 1
    for n in (2**64 - 1, 2**64 - 2**13, last + 1, last, last + 1):
        p.send(s.data(pk(b"c%d" % n), counter=n))
    same((wire.arrived(), wire.arrived(timeout=0.2)), (b"c%d" % last, None),
         "counter 2^64-2^13-2 is taken, all above are refused [rx-counter-limit]")
    p.handshake()
    ok(p.works(), "a new handshake starts from zero [rx-counter-limit]")


def sending(wire):
    p = wire.peer()
    p.handshake()
    sizes = []
    for n in range(0, 34):
        wire.source.sendto(b"x" * n, (p.inner, 8))
        s, plain = p.recv_data()
        sizes.append(len(plain) % 16 == 0 and len(plain) - (28 + n) < 16 and not any(plain[28 + n:]))
    ok(all(sizes), "inner packets are padded with zeroes to a multiple of 16 [tx-padding-16]", sizes)
    got = []
    for n in (1420 - 28, 1419 - 28, 1409 - 28, 1408 - 28):
        wire.source.sendto(b"x" * n, (p.inner, 8))
        got.append(len(p.recv_data()[1]))
    same(got, [1420, 1420, 1420, 1408], "padding never goes beyond the MTU [tx-padding-mtu]")
    counters = []
    for _ in range(5):
        wire.source.sendto(b"x", (p.inner, 8))
    for _ in range(5):
        msg = p.recv(want="data")
        counters.append(struct.unpack("<Q", msg[8:16])[0])
        p.open(msg)
    same(counters, list(range(counters[0], counters[0] + 5)), "counters are given out in order and without a gap [tx-nonce-order]")
    tos = []
    for dscp_ecn in (0, 1, 2, 3, 0xb8, 0xb9, 0xff):
        wire.source.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, dscp_ecn)
        wire.source.sendto(b"x", (p.inner, 8))
        _, plain = p.recv_data()
        tos.append((plain[1] & 3, p.tos))
    wire.source.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, 0)
    ok(all(inner == outer for inner, outer in tos) and any(inner for inner, _ in tos),
       "the outer TOS has the inner ECN and no DSCP [tx-ecn-data]", tos)


def roaming(wire):
    p = wire.peer()
    s = p.handshake()
    ok(p.works(), "before roaming [roam-handshake]")
    home = p.port
    old_msg = s.data(p.packet(b"old"))
    p.send(old_msg)
    lab.wait_for(lambda: wire.arrived(timeout=0.1) == b"old")
    other = p.new_socket()
    p.send(s.data(p.packet(b"x"), corrupt=-1), other)
    p.send(old_msg, other)
    p.send(p.initiation(wrong_mac1=True), other)
    p.send(os.urandom(200), other)
    p.send(struct.pack("<II", w.COOKIE, s.remote) + os.urandom(56), other)
    p.put(b"fence")
    lab.wait_for(lambda: wire.arrived(timeout=0.1) == b"fence")
    same(p.endpoint_port(), home, "what does not authenticate, or was seen before, moves no endpoint "
         "[roam-unauthenticated] [rx-replay-no-endpoint] [cookie-no-roam]")
    p.put(b"moved", sock=other)
    lab.wait_for(lambda: wire.arrived(timeout=0.1) == b"moved")
    ok(lab.wait_for(lambda: p.endpoint_port() == other.getsockname()[1]), "data from a new port moves the endpoint [roam-data-new-port]")
    ok(p.pull(other) is s, "and the answers go there [roam-data-new-port]")
    p.send(s.data())
    ok(lab.wait_for(lambda: p.endpoint_port() == home), "a keepalive moves it back [roam-data]")
    p.send(s.data(p.packet(b"x", "10.9.0.201")), other)
    ok(lab.wait_for(lambda: p.endpoint_port() == other.getsockname()[1]),
       "a packet that is refused for its inside still moves it [rx-refused-inner-counts]")
    lab.run("ip addr add 10.0.0.77/24 dev eth-d")
    third = p.new_socket(("10.0.0.77", 0))
    p.put(b"x", sock=third)
    ok(lab.wait_for(lambda: p.stats()["endpoint"].startswith("10.0.0.77:")), "another address is followed [roam-data]")
    six = w.UdpPeer(("fd00:aa::2", PORT))
    six.send(s.data())
    ok(lab.wait_for(lambda: p.stats()["endpoint"].startswith("[fd00:aa::1]:")), "the other family is followed [roam-data]")
    p.rebind()
    p.handshake()
    ok(lab.wait_for(lambda: p.endpoint_port() == p.port), "an initiation moves it [roam-handshake]")
    q = wire.peer(endpoint=True)
    q.push_only()
    q.consume_initiation(q.recv(want="initiation"))
    moved = q.new_socket()
    q.send(q.response(), moved)
    ok(q.recv(want=("data", "keepalive"), sock=moved) is not None, "a response moves it [roam-handshake]")


def counters(wire):
    p = wire.peer()

    def counted(key, n):
        """What is counted is n, as soon as it is n or more."""
        lab.wait_for(lambda: int(p.stats()[key]) >= n)
        return int(p.stats()[key]) == n
    p.handshake(confirm=False)
    ok(counted("rx_bytes", 148) and counted("tx_bytes", 92), "a handshake counts 148 bytes in and 92 out [rx-bytes] [tx-bytes]")
    same(p.stats().get("last_handshake_time_sec"), "0", "a responder's handshake is not complete before it is confirmed [timer-handshake-time]")
    t0 = int(time.time())
    p.send(p.session.data())
    ok(counted("rx_bytes", 180), "a keepalive counts 32 bytes [rx-bytes]", p.stats())
    lab.wait_for(lambda: p.stats()["last_handshake_time_sec"] != "0")
    st = p.stats()
    ok(t0 <= int(st["last_handshake_time_sec"]) <= time.time(), "now it is, by the wall clock [timer-handshake-time]", st)
    p.put(b"12345678")
    ok(counted("rx_bytes", 180 + 32 + 48), "data counts whole datagrams in [rx-bytes]", p.stats())
    p.send(p.session.data(p.packet(b"x", "10.9.0.202")))
    ok(counted("rx_bytes", 180 + 32 + 48 + 32 + 32),
       "a packet refused for its inside counts too [rx-refused-inner-counts]", p.stats())
    p.pull()  # a keepalive for what came may be due
    tx = int(p.stats()["tx_bytes"])
    p.pull()
    ok(counted("tx_bytes", tx + 32 + len(p.plain)), "data counts whole datagrams out [tx-bytes]")
    before = int(p.stats()["rx_bytes"])
    p.send(p.session.data(corrupt=-1))
    p.send(os.urandom(148))
    p.send(p.initiation(wrong_mac1=True))
    p.put(b"x" * 100)
    ok(counted("rx_bytes", before + 32 + 128), "what does not authenticate is not counted for a peer [rx-bytes]")
    q = wire.peer(endpoint=True)
    q.push_only()
    q.recv(want="initiation")
    p = q
    ok(counted("tx_bytes", 148), "an initiation counts 148 bytes out [tx-bytes]")


def lifecycle(wire):
    p = wire.peer()
    p.handshake()
    public = "public_key=" + p.key.public.hex()
    wire.d.set(public, "remove=true")
    p.drain()
    wire.empty()
    p.put(b"removed")
    p.send(p.initiation())
    same((wire.arrived(timeout=0.2), p.silence(0.1)), (None, True), "a removed peer's session and handshakes are gone [index-teardown]")
    wire.d.set(public, "allowed_ip=%s/32" % p.inner)
    p.handshake()
    ok(p.works(), "the peer added again starts afresh [noise-timestamp-persists]")
    # Removal and return allow old timestamps again, a link that goes down does not.
    def bound():
        return ":%d " % PORT in lab.run("ss -Hlun", "d")
    lab.run("ip -n d link set wg1 down")
    lab.wait_for(lambda: not bound())
    p.drain()
    p.put(b"down")
    p.send(p.initiation())
    same((wire.arrived(timeout=0.2), p.silence(0.1)), (None, True), "nothing is answered while the link is down [timer-link-down]")
    lab.run("ip -n d link set wg1 up")
    lab.wait_for(bound)
    p.drain()
    p.put(b"old session")
    same(wire.arrived(timeout=0.3), None, "the sessions from before are gone [link-down-effects]")
    p.send(p.initiation(timestamp=w.tai64n(1)))
    ok(p.silence(want=ANSWERS), "the last timestamp is remembered over link down and up [noise-timestamp-persists]")
    p.handshake()
    ok(p.works(), "a new handshake works [link-up-down]")
    # A new private key.
    new = w.Key()
    p.drain()
    wire.d.set("private_key=" + new.private.hex())
    p.push_only()
    msg = p.recv()
    ok(w.kind(msg or b"") == "initiation", "after a change of private key nothing more is sent under the old session, "
       "and a handshake starts at once [key-change-send-invalid] [key-change-handshake-at-once]", w.kind(msg or b""))
    p.remote = new.public
    if msg:
        ok(p.consume_initiation(msg)["static"] == new.public, "with the new key [key-change-recompute]")
    after_init_gap()
    p.handshake()
    ok(p.works(), "and an initiation to the new key is answered [key-change-recompute]")
    wire.d.set("private_key=" + w.ZERO.hex())
    p.drain()
    after_init_gap()
    p.send(p.initiation())
    ok(p.silence(want=ANSWERS), "without a private key no initiation is answered [uapi-private-key]")
    wire.d.set("private_key=" + p.key.private.hex())
    same(wire.d.peer(p.key.public), {}, "the private key of a peer removes that peer [key-change-own-peer]")
    wire.key = p.key


def inner_v6(wire):
    p = wire.peer()
    s = p.handshake()
    v6 = p.packet(b"inner", p.inner6)
    lab.run("ip -n d addr replace %s/64 dev wg1 nodad" % INNER6)  # a link that was down has lost it
    # The kernel takes packets for it somewhat later.
    ok(lab.wait_for(lambda: INNER6 in lab.run("ip -n d -6 route show table local dev wg1")), "an inner IPv6 address is there")
    wire.empty()

    def rx_packets():
        return int(lab.run("cat /sys/class/net/wg1/statistics/rx_packets", "d"))
    before = rx_packets()
    for n in (1, 39, 40):
        p.send(s.data(v6[:n], pad=0))
    for length in (len(v6) - 40 + 1, len(v6) + 100, 65535 - 8, 65535, 65535 - 39, 65536 - 40 + 1):
        p.send(s.data(w.ipv6(p.inner6, INNER6, v6[40:], length=length), pad=0))
    p.put(b"after", src=p.inner6)
    same((wire.arrived(wire.sink6), rx_packets() - before), (b"after", 1),
         "an inner IPv6 length beyond what arrived is refused, also where 16 bits would wrap [rx-inner-v6-length]")


def test():
    wire = Wire()
    for part in (bad_initiations, psk, bad_responses, initiation_from_daemon, configured, confirmation, data, sending, roaming,
                 counters, lifecycle, inner_v6):
        t = time.monotonic()
        part(wire)
        note("%s: %.1f s" % (part.__name__, time.monotonic() - t))


lab.main(600, test)
