#!/usr/bin/python3
"""Under load: cookies from the daemon and to it, the order of the checks, and who is let through."""
import os
import struct
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lab  # noqa: E402
import wgpeer as w  # noqa: E402
from flood import Flood, under_load  # noqa: E402
from lab import ok, same  # noqa: E402
from wire import PORT, Wire  # noqa: E402


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

    def with_cookie():
        flood.burst()
        time.sleep(0.05)
        p.send(p.initiation())
        return p.recv_to(p.hs["index"], 2)  # a burst that is worked off slowly may leave no room for it
    got = lab.wait_for(with_cookie)
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
    q.send(q.initiation(wrong_mac1=True))
    ok(q.recv_to(q.hs["index"], 0.3) is None, "a wrong mac1 gets no cookie [load-order-mac1]")

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
    reply = None
    for _ in range(100):
        s = wire.peer(endpoint=True)
        s.push_only()
        s.consume_initiation(s.recv(want="initiation"))
        flood.burst()
        time.sleep(0.05)
        m = s.response(keep=True)
        s.send(m)
        reply = s.recv_to(struct.unpack_from("<I", m, 4)[0], 2)
        if reply:
            break  # else it was not under load, and the handshake is complete
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
    probe = wire.peer()
    most = []

    def limited():
        """The answers, of a burst that was sent and worked off under load; they are never more than the rate allows."""
        time.sleep(0.5)  # the bucket is full again
        msgs = [x.initiation() for x in cookies] + [probe.initiation()]
        flood.burst()
        time.sleep(0.05)
        start = end = time.monotonic()
        for x, m in zip(cookies + [probe], msgs):
            x.send(m)
        n = 0
        for x in cookies:
            got = x.recv_to(x.hs["index"], 0.3)
            if got is not None and w.kind(got) == "response":
                n, end = n + 1, time.monotonic()
        last = probe.recv_to(probe.hs["index"], 2)
        if last is None or w.kind(last) != "cookie":
            return 0  # the load was over
        most.append((n, 6 + (end - start) / 0.05))
        return n >= 4
    good = lab.wait_for(limited)
    ok(len(cookies) >= 10 and good and all(n <= limit for n, limit in most),
       "with a valid cookie a burst of 5 or little more is answered, of %d: %d [limiter-burst] [load-order-limiter]"
       % (len(cookies), most[-1][0] if most else 0), most)

    # After a second of rest mac1 is enough again.
    z = wire.peer()

    def rested():
        time.sleep(1.5)
        z.send(z.initiation())
        return w.kind(z.recv_to(z.hs["index"], 2) or b"") == "response"
    ok(lab.wait_for(rested), "a second after the flood mac1 is enough again [load-sticky]")

    # The daemon as the one that gets cookies.
    c = wire.peer(endpoint=True)
    elsewhere = c.new_socket()
    t = time.monotonic()
    c.push_only()
    first = c.recv(want="initiation")
    mac1 = first[116:132]
    good = os.urandom(16)
    c.send(c.cookie_reply(first, None, cookie=os.urandom(16), mac1=os.urandom(16)))       # bound to another message
    c.send(c.cookie_reply(first, None, cookie=os.urandom(16), receiver=1 ^ struct.unpack("<I", first[4:8])[0]))
    c.send(c.cookie_reply(first, None, cookie=good, mac1=mac1), elsewhere)
    # A second one to the same mac1, which must not overtake the first: from the same address it comes to the same worker.
    c.send(c.cookie_reply(first, None, cookie=os.urandom(16), mac1=mac1), elsewhere)
    second = c.recv(want="initiation")
    took = time.monotonic() - t
    ok(second is not None and took >= 5, "a cookie does not start a handshake before its time, an initiation without an "
       "answer is sent again after 5 s [cookie-no-tick] [const-rekey-timeout] [timer-retransmit]", took)
    same(c.endpoint_port(), c.port, "a cookie reply from elsewhere moves no endpoint [cookie-no-roam]")
    same(c.stats()["rx_bytes"], "0", "and counts for nothing [cookie-no-tick]")
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


lab.main(600, test)
