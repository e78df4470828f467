"""
tests/net/flood.py - put a daemon of wire.py under load.
"""

import os
import struct
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lab  # noqa: E402,F401
import wgpeer as w  # noqa: E402
from wire import PORT  # noqa: E402


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


def under_load(flood, p, make, tries=100):
    """
    Send make() behind a burst until a cookie reply comes back for it: the daemon is under load, and stays so for a
    second.  Returns the message and the reply.
    """
    for _ in range(tries):
        flood.burst()
        time.sleep(0.05)
        msg = make()
        p.send(msg)
        got = p.recv_to(struct.unpack_from("<I", msg, 4)[0], 2)
        if got is not None and w.kind(got) == "cookie":
            return msg, got
        time.sleep(0.03)
    return None, None
