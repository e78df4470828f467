#!/usr/bin/python3
"""Under load: cookies from the daemon and to it, the order of the checks, and who is let through."""
import os
import struct
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lab  # noqa: E402
import wgpeer as w  # noqa: E402
from lab import ok, same  # noqa: E402
from wire import PORT, Wire  # noqa: E402


class Flood:
    """Keep the daemon under load: bursts of messages with a right mac1 whose inside is worthless."""

    def __init__(self, wire, n=3000):
        self.peer = w.UdpPeer(("10.0.0.2", PORT), remote_public=wire.key.public)
        self.n = n
        self.msgs = [self.peer.initiation(corrupt=80) for _ in range(20)]

    def burst(self):
        s, to = self.peer.sock, self.peer.endpoint
        for i in range(self.n):
            s.sendto(self.msgs[i % 20], to)
        self.peer.drain()


def under_load(flood, p, make, tries=10):
    """
    Send make() in the middle of a burst until a cookie reply comes back for it: the daemon is under load, and stays so
    for a second.  Returns the message and the reply.
    """
    for _ in range(tries):
        flood.burst()
        time.sleep(0.05)
        msg = make()
        p.drain()
        p.send(msg)
        got = p.recv(1, ("cookie", "response"))
        if got is not None and w.kind(got) == "cookie":
            return msg, got
        time.sleep(0.03)
    return None, None


def test():
    wire = Wire()
    settled = wire.peer()
    settled.handshake()
    ok(settled.works(), "before the flood [load-handshake-completes]")
    p = wire.peer()
    flood = Flood(wire)
    msg, reply = under_load(flood, p, p.initiation)
    if not ok(reply is not None, "under load an initiation is answered with a cookie [load-order-cookie]"):
        return
    same(reply[4:8], msg[4:8], "the reply goes to the sender index of the message [cookie-reply-receiver]")
    same(p.tos, 0x88, "with TOS 0x88 [tx-tos-handshake]")
    try:
        p.consume_cookie(reply)
        ok(True, "it opens under the daemon's public key and the message's mac1 [cookie-reply-bytes] [cookie-reply-aad]")
    except w.Refused as e:
        ok(False, "it opens under the daemon's public key and the message's mac1 [cookie-reply-bytes] [cookie-reply-aad]", e)
    same(p.stats()["tx_bytes"], "0", "a cookie reply counts for no peer [cookie-no-tick]")

    # The same address and port with the cookie, before the load is over.
    cookie = p.cookie
    flood.burst()
    time.sleep(0.05)
    p.send(p.initiation())
    got = p.recv(1, ("response", "cookie"))
    ok(w.kind(got or b"") == "response", "with the cookie in mac2 the handshake is answered [load-handshake-completes] [mac-mac2-key]",
       w.kind(got or b""))
    if w.kind(got or b"") == "response":
        p.consume_response(got)
        ok(p.works(), "and completes [load-handshake-completes]")
    ok(settled.works(), "sessions go on under load [load-handshake-completes]")

    # Two replies to one message differ, and what is wrong in mac1 gets none.
    q = wire.peer()
    m1, r1 = under_load(flood, q, lambda: q.initiation(corrupt=80))
    m2, r2 = under_load(flood, q, lambda: m1 or q.initiation(corrupt=80))
    ok(r1 and r2 and r1[8:32] != r2[8:32], "every reply has its own nonce [cookie-reply-nonce]")
    flood.burst()
    time.sleep(0.05)
    q.drain()
    q.send(q.initiation(wrong_mac1=True))
    ok(q.recv(0.3) is None, "a wrong mac1 gets no cookie [load-order-mac1]")

    # A cookie of another port or address is none.
    r = wire.peer()
    r.cookie = cookie
    msg, reply = under_load(flood, r, r.initiation)
    ok(reply is not None, "the cookie of another port is refused [mac-cookie-port]")
    lab.run("ip addr add 10.0.0.99/24 dev eth-d")
    port = p.port
    p.sock.close()
    other = w.UdpPeer(("10.0.0.2", PORT), r.key, wire.key.public, bind=("10.0.0.99", port))
    other.cookie = cookie
    msg, reply = under_load(flood, other, other.initiation)
    ok(reply is not None, "the cookie of another address with the same port is refused [mac-cookie-address]")
    r.cookie = None
    msg, reply = under_load(flood, r, lambda: r.initiation(wrong_mac2=True))
    ok(reply is not None, "a wrong mac2 gets a cookie, no response [load-order-cookie]")

    # A response under load is asked for a cookie too.
    s = wire.peer(endpoint=True)
    s.push_only()
    s.consume_initiation(s.recv(2, "initiation"))

    def response():
        m = s.response(keep=True)
        return m
    reply = None
    for _ in range(10):
        flood.burst()
        time.sleep(0.05)
        s.drain()
        m = response()
        s.send(m)
        got = s.recv(1)
        if w.kind(got or b"") == "cookie":
            reply = got
            break
        if got is not None:
            s.push_only()  # it was not under load and the handshake is complete: the next one
            s = wire.peer(endpoint=True)
            s.push_only()
            s.consume_initiation(s.recv(2, "initiation"))
    ok(reply is not None, "a response under load gets a cookie too [cookie-reply-response]")
    if reply:
        same(reply[4:8], m[4:8], "to its own sender index [cookie-reply-receiver]")

    # The limiter: with valid cookies only so many handshakes a second are answered for one address.
    cookies = []
    for _ in range(12):
        x = wire.peer()
        _, reply = under_load(flood, x, x.initiation)
        if reply:
            x.consume_cookie(reply)
            cookies.append(x)
    time.sleep(0.5)  # the bucket is full again
    flood.burst()
    time.sleep(0.05)
    for x in cookies:
        x.drain()
        x.send(x.initiation())
    answers = sum(x.recv(0.3, "response") is not None for x in cookies)
    ok(len(cookies) >= 10 and 4 <= answers <= 9, "with a valid cookie a burst of 5 or little more is answered, of %d: %d [limiter-burst] [load-order-limiter]"
       % (len(cookies), answers))

    # After a second of rest mac1 is enough again.
    time.sleep(1.5)
    z = wire.peer()
    z.send(z.initiation())
    ok(w.kind(z.recv(1) or b"") == "response", "a second after the flood mac1 is enough again [load-sticky]")

    # The daemon as the one that gets cookies.
    c = wire.peer(endpoint=True)
    elsewhere = c.new_socket()
    c.push_only()
    first = c.recv(2, "initiation")
    t = time.monotonic()
    mac1 = first[116:132]
    good = os.urandom(16)
    c.send(c.cookie_reply(first, None, cookie=os.urandom(16), mac1=os.urandom(16)))       # bound to another message
    c.send(c.cookie_reply(first, None, cookie=os.urandom(16), receiver=1 ^ struct.unpack("<I", first[4:8])[0]))
    c.send(c.cookie_reply(first, None, cookie=good, mac1=mac1), elsewhere)
    time.sleep(0.3)  # from another address it may come to another worker: the next one must not overtake it
    c.send(c.cookie_reply(first, None, cookie=os.urandom(16), mac1=mac1))                   # a second one to the same mac1
    early = c.recv(4.5, "initiation")
    ok(early is None, "a cookie does not start a handshake before its time [cookie-no-tick] [const-rekey-timeout]")
    same(c.endpoint_port(), c.port, "a cookie reply from elsewhere moves no endpoint [cookie-no-roam]")
    same(c.stats()["rx_bytes"], "0", "and counts for nothing [cookie-no-tick]")
    second = c.recv(2, "initiation")
    took = time.monotonic() - t
    ok(second is not None and took >= 4.9, "an initiation without an answer is sent again after 5 s [timer-retransmit]", took)
    if second:
        same(second[132:], w.mac(good, second[:132]), "with the one cookie that was asked for in mac2 "
             "[cookie-used-next] [cookie-consume-once] [cookie-consume-index] [mac-mac2-key]")
        ok(second[4:8] != first[4:8] and second[8:40] != first[8:40],
           "and with a new index and a new ephemeral key [noise-fresh-index] [noise-fresh-ephemeral]")
        c.consume_initiation(first, check_timestamp=False)
        c.send(c.response(keep=True))
        ok(c.recv(0.3) is None, "a response to the initiation before it is ignored [noise-response-late]")
        c.consume_initiation(second)
        c.send(c.response())
        ok(c.recv_data() is not None, "one to the last is taken [noise-response-retry-window]")


lab.main(60, test)
