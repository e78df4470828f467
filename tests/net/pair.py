"""
tests/net/pair.py - two daemons with a tunnel between them, and numbered packets through it.

      host a                                       host b
      wg1  10.9.0.1  fd00:9::1   ..tunnel..        wg2  10.9.0.2  fd00:9::2
      eth  10.0.0.1  fd00:aa::1  ------------      eth  10.0.0.2  fd00:aa::2
      UDP 1111                                     UDP 2222

Both run under rules (faults.py) that are empty at first: p.fa and p.fb.
"""

import os
import socket
import struct
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import counters  # noqa: E402
import lab  # noqa: E402
import wgpeer as w  # noqa: E402
from faults import Faults  # noqa: E402

UDP_SEGMENT, UDP_GRO = 103, 104
FENCE = 2**64 - 1  # instead of a number


class Flow:
    """What came of a number of packets that were sent."""

    def __init__(self):
        self.sent = self.got = self.disordered = self.strange = 0
        self.last = -1
        self.remarks = []  # if anything is missing: which packets, and what was counted meanwhile

    @property
    def lost(self):
        return self.sent - self.got

    def in_order(self):
        return not self.disordered and not self.strange

    def whole(self):
        return self.in_order() and self.sent == self.got > 0

    def __str__(self):
        text = "%d sent, %d lost, %d out of order or twice, %d changed" % (self.sent, self.lost, self.disordered, self.strange)
        return "\n    ".join([text] + self.remarks)


class Pair:
    def __init__(self):
        for ns in "ab":
            lab.run("ip netns add " + ns)
            lab.run("ip -n %s link set lo up" % ns)
            lab.run("sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0", ns)
        self.cable()
        self.ends = {}
        self.ka, self.kb = w.Key(), w.Key()

    def cable(self):
        lab.run("ip link add eth netns a type veth peer name eth netns b")
        for ns, n in (("a", 1), ("b", 2)):
            lab.run("ip -n %s addr add 10.0.0.%d/24 dev eth" % (ns, n))
            lab.run("ip -n %s addr add fd00:aa::%d/64 dev eth nodad" % (ns, n))
            lab.run("ip -n %s link set eth up" % ns)

    def start(self, rules=(), v6=False, a=lab.Daemon, options=()):
        """Both daemons.  rules: for both, from their start on.  a: another way to start the one in host a."""
        self.fa, self.fb = Faults("a"), Faults("b")
        self.fa.rules(*rules), self.fb.rules(*rules)
        self.a = a("a", "wg1", "env", args=self.fa.args(lab.WG, *options, "-f", "wg1"))
        self.b = lab.Daemon("b", "wg2", "env", args=self.fb.args(lab.WG, *options, "-f", "wg2"))
        self.a.set("private_key=" + self.ka.private.hex(), "listen_port=1111", "public_key=" + self.kb.public.hex(),
                   "allowed_ip=10.9.0.2/32", "allowed_ip=fd00:9::2/128")
        self.b.set("private_key=" + self.kb.private.hex(), "listen_port=2222", "public_key=" + self.ka.public.hex(),
                   "allowed_ip=10.9.0.1/32", "allowed_ip=fd00:9::1/128")
        self.underlay(v6)
        for ns, name, n in (("a", "wg1", 1), ("b", "wg2", 2)):
            lab.run("ip -n %s addr add 10.9.0.%d/24 dev %s" % (ns, n, name))
            lab.run("ip -n %s addr add fd00:9::%d/64 dev %s nodad" % (ns, n, name))
            lab.run("ip -n %s link set %s up" % (ns, name))
        return self

    def stop(self):
        """The exit statuses of both."""
        while self.ends:
            self.ends.popitem()[1].close()
        return self.a.stop(), self.b.stop()

    def underlay(self, v6):
        """Which family carries the tunnel."""
        a, b = ("[fd00:aa::1]", "[fd00:aa::2]") if v6 else ("10.0.0.1", "10.0.0.2")
        self.a.set("public_key=" + self.kb.public.hex(), "endpoint=%s:2222" % b)
        self.b.set("public_key=" + self.ka.public.hex(), "endpoint=%s:1111" % a)

    def bounce(self):
        """Forget every session."""
        for d in (self.a, self.b):
            lab.run("ip -n %s link set %s down" % (d.ns, d.name))
            lab.run("ip -n %s link set %s up" % (d.ns, d.name))
        for ns, name, n in (("a", "wg1", 1), ("b", "wg2", 2)):
            lab.run("ip -n %s addr replace fd00:9::%d/64 dev %s nodad" % (ns, n, name))

    def socket(self, ns, v6):
        if (ns, v6) not in self.ends:
            addr = ("fd00:9::%d" if v6 else "10.9.0.%d") % (1 if ns == "a" else 2)
            s = lab.udp_socket(ns, addr, 4000)
            s.setsockopt(socket.SOL_SOCKET, 33, 8 << 20)
            self.ends[ns, v6] = s
        return self.ends[ns, v6]

    def flow(self, frm="a", to="b", v6=False, rounds=50, burst=40, size=1200, gso=True, patience=0.3, settle=30, each=None):
        """
        Rounds of one burst each, as one coalesced packet (gso) or one by one.  A round is over when all of it has come,
        or nothing has for that long: nothing overtakes itself, so what is lost, was lost by the tunnel.  The last one is
        over when all has come, or a packet that was sent after it, or nothing for `settle` seconds.  each(round) is called
        before each of them.
        """
        src, dst, f = self.socket(frm, v6), self.socket(to, v6), Flow()
        before = counters.of("a", "b")
        address = dst.getsockname()
        while lab.recv_or_none(dst, 0.0) is not None:
            pass
        pad = os.urandom(size)
        number = 0
        for i in range(rounds):
            if each:
                each(i)
            parts = [struct.pack("<Q", number + k) + pad[8:] for k in range(burst)]
            number += burst
            try:
                if gso and burst > 1:
                    src.sendmsg([b"".join(parts)], [(socket.IPPROTO_UDP, UDP_SEGMENT, struct.pack("H", size))], 0, address)
                else:
                    for x in parts:
                        src.sendto(x, address)
            except OSError:
                # Nobody took it: not the tunnel's loss.
                number -= burst
                continue
            f.sent += burst
            self._take(dst, f, number, pad, patience)
        fence, end = struct.pack("<Q", FENCE) + os.urandom(16), time.monotonic() + settle
        while f.lost and time.monotonic() < end:
            try:
                src.sendto(fence, address)
            except OSError:
                pass
            if self._take(dst, f, number, pad, 0.3, fence):
                break
        if not f.whole():
            if f.last < number - 1:
                f.remarks.append("%d to %d did not come" % (f.last + 1, number - 1))
            f.remarks += counters.since(before)
            f.remarks += counters.queues("a", "b")
        return f

    def _take(self, dst, f, until, pad, patience, fence=None):
        """Take what comes, until all has come; true if the fence comes first."""
        while f.last < until - 1:
            x = lab.recv_or_none(dst, patience)
            if x is None:
                return False
            if x[:8] == struct.pack("<Q", FENCE):
                if x == fence:
                    return True
                continue
            n = struct.unpack("<Q", x[:8])[0] if len(x) >= 8 else None
            if n is None or x[8:] != pad[8:] or n >= until:
                f.strange += 1
                continue
            if n != f.last + 1 and len(f.remarks) < 20:
                f.remarks.append("%d came behind %d" % (n, f.last))
            f.got += n > f.last
            f.disordered += n <= f.last
            f.last = max(f.last, n)
        return False

    def works(self, v6=False, timeout=lab.PATIENCE):
        """Until one packet has passed each way."""
        def once():
            return self.flow(rounds=1, burst=1, v6=v6, settle=1).whole() and \
                self.flow("b", "a", rounds=1, burst=1, v6=v6, settle=1).whole()
        return bool(lab.wait_for(once, timeout))
