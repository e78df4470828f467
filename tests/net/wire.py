"""
tests/net/wire.py - a daemon and any number of scripted peers around it.

      this script                                        host d
      peer 2   10.0.0.1:any -.                        .- wg1  10.9.0.1  fd00:9::1
      peer 3   10.0.0.1:any --- eth-d ======== eth  --|
      peer n   10.0.0.1:any -'  10.0.0.1     10.0.0.2 '- UDP 51820

Peer n has the inner addresses 10.9.0.n and fd00:9::n.  `wire.sink` is a UDP socket on the daemon's inner address, so
that what comes out of the tunnel has passed the kernel's own checks; `wire.source` sends into the tunnel.
"""

import os
import socket
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lab  # noqa: E402
import wgpeer as w  # noqa: E402

PORT, SINK, INNER, INNER6 = 51820, 900, "10.9.0.1", "fd00:9::1"


class Wire:
    def __init__(self, program=None, args=None):
        lab.host("d")
        self.key = w.Key()
        self.d = lab.Daemon("d", "wg1", program, args=args)
        self.d.set("private_key=" + self.key.private.hex(), "listen_port=%d" % PORT)
        lab.run("ip -n d addr add %s/24 dev wg1" % INNER)
        lab.run("ip -n d addr add %s/64 dev wg1 nodad" % INNER6)
        lab.run("ip -n d link set wg1 up")
        self.sink = lab.udp_socket("d", INNER, SINK)
        self.sink6 = lab.udp_socket("d", INNER6, SINK)
        for s in (self.sink, self.sink6):
            s.setsockopt(socket.SOL_SOCKET, 33, 4 << 20)  # SO_RCVBUFFORCE: bursts lie here until they are read
        self.source = lab.udp_socket("d", INNER)
        self.last, self.tokens = 1, 0

    def token(self):
        """A payload that was never used before."""
        self.tokens += 1
        return b"token %d" % self.tokens

    def peer(self, endpoint=False, psk=None, allowed=None, lines=(), v6=False, key=None):
        """A new peer, configured in the daemon.  endpoint: the daemon knows where it is."""
        self.last += 1
        p = Peer(self, self.last, psk or w.ZERO, v6, key)
        set_ = ["public_key=" + p.key.public.hex()]
        for a in allowed if allowed is not None else (p.inner + "/32", p.inner6 + "/128"):
            set_.append("allowed_ip=" + a)
        if psk:
            set_.append("preshared_key=" + psk.hex())
        if endpoint:
            set_.append("endpoint=" + ("[fd00:aa::1]:%d" if v6 else "10.0.0.1:%d") % p.port)
        self.d.set(*set_, *lines)
        return p

    def arrived(self, sink=None, timeout=lab.PATIENCE):
        """The payload of the next datagram out of the tunnel."""
        return lab.recv_or_none(sink or self.sink, timeout)

    def empty(self):
        """Forget what lies in the sinks."""
        for s in (self.sink, self.sink6):
            while lab.recv_or_none(s, 0) is not None:
                pass


class Peer(w.UdpPeer):
    def __init__(self, wire, n, psk, v6, key):
        super().__init__(("fd00:aa::2" if v6 else "10.0.0.2", PORT), key, wire.key.public, psk)
        self.wire, self.inner, self.inner6 = wire, "10.9.0.%d" % n, "fd00:9::%x" % n

    def packet(self, payload, src=None, **kw):
        """An inner datagram for the sink."""
        src = src or self.inner
        return w.udp(src, INNER6 if ":" in src else INNER, 7, SINK, payload, **kw)

    def put(self, payload, session=None, sock=None, src=None, **kw):
        """Send an inner datagram for the sink; keywords as of Session.data."""
        self.send((session or self.session).data(self.packet(payload, src), **kw), sock)

    def works(self, session=None, timeout=lab.PATIENCE):
        """Data passes in both directions."""
        self.wire.empty()
        t = self.wire.token()
        self.put(t, session)
        if self.wire.arrived(timeout=timeout) != t:
            return False
        return self.pull(timeout=timeout) is not None

    def pull(self, sock=None, timeout=lab.PATIENCE):
        """Let the daemon send a datagram to this peer; the session that it came under, or None."""
        t = self.wire.token()
        self.wire.source.sendto(t, (self.inner, 8))
        for _ in range(20):
            msg = self.recv(timeout, "data", sock)
            if msg is None:
                return None
            s, plain = self.open(msg)
            if t in plain:
                self.plain = plain
                return s
        return None

    def push_only(self):
        """Make the daemon want to send to this peer."""
        t = self.wire.token()
        self.wire.source.sendto(t, (self.inner, 8))
        return t

    def refuses(self, bad, name, session=None, sink=None, src=None):
        """
        The datagrams `bad` must deliver nothing: the next thing to come out of the tunnel is what is sent after them.
        A daemon delivers one peer's packets in their order.
        """
        self.wire.empty()
        for b in bad:
            self.send(b)
        t = self.wire.token()
        self.put(t, session)
        got = self.wire.arrived()
        return lab.same(got, t, name)

    def silence(self, timeout=0.25, want=None):
        """True if nothing arrives here; want: no message of this kind, or these."""
        self.heard = self.recv(timeout, want)
        return self.heard is None

    def stats(self):
        return self.wire.d.peer(self.key.public)

    def endpoint_port(self):
        return int(self.stats().get("endpoint", ":0").rsplit(":", 1)[1])
