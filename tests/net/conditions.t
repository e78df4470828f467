#!/usr/bin/python3
"""Bad conditions around a daemon at work: families, offloads and MTUs that are not there or change, readers that stand
still, disks and tables that are full, namespaces that go.  What can go on does, in order and in bounded memory."""
import fcntl
import os
import re
import resource
import signal
import socket
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lab  # noqa: E402
from lab import Uapi, ok, same  # noqa: E402
import counters  # noqa: E402
from pair import Pair  # noqa: E402

TUNSETOFFLOAD = 0x400454d0
PREFIXES = 130560


def both_ways(p, **kw):
    return [p.flow(frm, to, v6=v6, **dict(dict(rounds=12), **kw)) for frm, to in (("a", "b"), ("b", "a")) for v6 in (False, True)]


def whole(flows, name, *why):
    return ok(all(f.whole() for f in flows), name, *map(str, flows), *why)


def bounded(p, name, mb=48):
    for d in (p.a, p.b):
        if d.sanitised():
            lab.skip("%s: %s stays below %d MB [memory-conditions]" % (name, d.name, mb), "a sanitizer's memory is not the program's")
        else:
            kb = d.status("VmHWM")
            ok(kb < mb << 10, "%s: %s stays below %d MB: %d kB [memory-conditions]" % (name, d.name, mb, kb))


def lines(d, words):
    return sum(words in x for x in d.log_lines())


def missing(p):
    """What the kernel of this host does not have."""
    for family, number, error in (("IPv6", socket.AF_INET6, "EAFNOSUPPORT"), ("IPv4", socket.AF_INET, "EAFNOSUPPORT"),
                                  ("IPv6", socket.AF_INET6, "EACCES"), ("IPv4", socket.AF_INET, "EPERM")):
        p.start(["socket %s =%d" % (error, number)], v6=family == "IPv4")
        ok(p.works(), "%s for every %s socket: the tunnel works over the other family [sock-no-v6] [sock-no-v4]" % (error, family))
        whole(both_ways(p), "and all packets of both families arrive, both ways [sock-no-v6] [sock-no-v4]")
        same((lines(p.a, "no %s here" % family), p.fa.hits() > 0), (1, True), "which the log says once [sock-no-v6] [sock-no-v4]")
        same(p.stop(), (0, 0), "and they end as ever")
    for rules, what, said in ((["ioctl EINVAL =%d" % TUNSETOFFLOAD], "a device without any offload", "does not offer TCP segmentation"),
                              (["ioctl EINVAL =%d +2 x1" % TUNSETOFFLOAD], "a device without UDP segmentation", "does not offer UDP segmentation")):
        p.start(rules)
        ok(p.works() and p.fa.hits() > 0 and p.fb.hits() > 0, what + ": the tunnel works [tun-without]")
        whole(both_ways(p) + [p.flow(rounds=20, gso=False)], "and all packets arrive, in order [tun-without]")
        same(lines(p.a, said), 1, "which the log says once [tun-without]")
        same(p.stop(), (0, 0), "and they end as ever")


def underlay(p):
    """No IPv4 address anywhere outside."""
    for ns in "ab":
        lab.run("ip -n %s -4 addr flush dev eth" % ns)
    p.start(v6=True)
    ok(p.works(), "where no host has an IPv4 address the tunnel works [sock-no-v6]")
    whole(both_ways(p, rounds=30), "and all packets of both families arrive, both ways [sock-no-v6]")
    same(p.stop(), (0, 0), "and they end as ever")
    for ns, n in (("a", 1), ("b", 2)):
        lab.run("ip -n %s addr add 10.0.0.%d/24 dev eth" % (ns, n))


def drops(p):
    """What the daemon itself does not carry it counts, and says so at its end."""
    def said(name):
        with open("/run/lab/%s.log" % name) as f:
            found = [x for x in f if "wg: dropped" in x]
        return dict(x.split("=") for x in found[0].split("dropped ")[1].split()) if len(found) == 1 else found

    p.start()
    p.works()
    with lab.inside("a"):
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.settimeout(lab.PATIENCE)
    s.setsockopt(socket.IPPROTO_IP, 11, 1)  # IP_RECVERR
    s.connect(("10.9.0.77", 4000))
    s.send(b"to nobody")
    try:
        refused = s.recv(1) and None
    except OSError as e:
        refused = type(e).__name__
    s.close()
    # Nobody reads the socket while more comes than it holds; the kernel says so with what comes when there is room again.
    def outer():
        with lab.inside("b"):
            return [x[3:] for x in counters.sockets() if x[0] == "udp" and x[2] == 2222]
    s = lab.udp_socket("a", "10.0.0.1")
    os.kill(p.b.pid, signal.SIGSTOP)
    for _ in range(60000):
        s.sendto(b"x", ("10.0.0.2", 2222))
    os.kill(p.b.pid, signal.SIGCONT)
    for _ in range(2):
        lab.wait_for(lambda: not any(waiting for waiting, _ in outer()))
        s.sendto(b"x", ("10.0.0.2", 2222))
    ok(p.works(), "after a full receive buffer the tunnel works [drop-receive-full]")
    lost = sum(dropped for _, dropped in outer())
    s.close()
    p.fa.rules("writev EINVAL single")
    with lab.inside("a"):
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.sendto(b"to nobody", ("10.9.0.77", 4000))
    s.close()
    lab.wait_for(lambda: p.fa.hits() > 0)
    p.fa.rules("read EINVAL tun x3")
    lab.wait_for(lambda: p.works(timeout=1) and p.fa.hits() == 3)
    p.stop()
    a, b = said("wg1"), said("wg2")
    ok(refused == "OSError" and int(a["no-peer"]) > 1, "at level verbose the daemon says at its end what it has dropped and why [log-drops]", refused, a)
    ok(int(a.get("icmp-refused", 0)) > 0, "ICMP errors that the interface refuses are among it [drop-icmp-refused]", a)
    same(a.get("tun-read"), "3", "so are packets that the interface failed to hand over [drop-tun-read]")
    ok(0 < lost == int(b.get("receive-full", 0)), "and what a full receive buffer had no room for, as the kernel counts it [drop-receive-full]", lost, b)


def rebinds(p):
    """The device to which the sockets are bound is made anew, and the new one cannot be bound at once."""
    p.start(options=["--bind-device=eth"])
    p.works()
    p.fa.rules("bind EADDRINUSE")
    lab.run("ip -n a link del eth")
    p.cable()
    ok(lab.wait_for(lambda: lines(p.a, "cannot bind port 1111")) == 1, "that the new device cannot be bound is told once [bind-device-again]")
    lab.wait_for(lambda: p.fa.hits() > 2)
    p.fa.rules()
    ok(p.works() and lines(p.a, "cannot bind port") == 1, "and it is tried again until it is bound [bind-device-again]")
    same(p.stop(), (0, 0), "and they end as ever")


def mtu(p):
    """The outer link becomes narrow under traffic, and wide again."""
    def set_mtu(n):
        for ns in "ab":
            lab.run("ip -n %s link set eth mtu %d" % (ns, n))
    p.start()
    p.works()
    for v6 in (False, True):
        p.underlay(v6)
        p.works()
        name = "over IPv%d" % (6 if v6 else 4)

        def change(i):
            if i == 10:
                set_mtu(1280)
                p.fa.rules("sendmsg EIO gso x0", "sendmsg EIO plain x0")
        f = p.flow(rounds=30, each=change, size=1300)
        ok(f.in_order() and f.lost <= 40, "the outer MTU shrinks to 1280 under traffic %s: no more than what was under way is lost [mtu-changes]" % name, f)
        ok(p.fa.seen(1) >= 18 * 40 and 0 < p.fa.seen(0) < 4, "and packets go one by one [mtu-changes]", p.fa.seen(0), p.fa.seen(1))
        f = p.flow(rounds=10, size=1300)
        ok(f.whole(), "all that follow arrive [mtu-changes]", f)
        set_mtu(1500)
        p.fa.rules("sendmsg EIO gso x0", "sendmsg EIO plain x0", "clock_gettime +11s =6")
        f = p.flow(rounds=20, size=1300)
        ok(f.whole() and p.fa.seen(0) >= 19 and p.fa.seen(1) < 20, "when it has grown again, runs are sent again after a while [mtu-changes]",
           f, p.fa.seen(0), p.fa.seen(1))
        p.fa.rules()
    p.underlay(False)
    bounded(p, "MTUs that change")
    p.stop()


def stalls(p):
    """Consumers that stop reading."""
    p.start()
    p.works()
    # A TCP receiver in the tunnel.
    with lab.inside("b"):
        listener = socket.create_server(("10.9.0.2", 5000))
    with lab.inside("a"):
        tcp = socket.create_connection(("10.9.0.2", 5000), timeout=lab.PATIENCE)
    peer = listener.accept()[0]
    data, sent = os.urandom(1 << 16), 0
    tcp.settimeout(0.5)
    try:
        while sent < 64 << 20:
            sent += tcp.send(data[sent % len(data):])
    except socket.timeout:
        pass
    f = p.flow(rounds=20)
    ok(f.whole() and sent > len(data), "beside a TCP receiver in the tunnel that has stopped after %d kB all others arrive [stalled-reader]" % (sent >> 10), f)
    got, good = 0, True
    peer.settimeout(lab.PATIENCE)
    while got < sent:
        x = peer.recv(min(sent - got, len(data) - got % len(data)))
        good &= x == data[got % len(data):got % len(data) + len(x)]
        got += len(x)
        if not x:
            break
    same((got, good), (sent, True), "and when it reads on it gets all, unchanged [stalled-reader]")
    for s in (tcp, peer, listener):
        s.close()
    # A daemon that does not run for a while: the queues around it are full.
    for d, who in ((p.a, "sender"), (p.b, "receiver")):
        def stand_still(i, pid=d.pid):
            if i in (0, 1500):
                os.kill(pid, signal.SIGCONT if i else signal.SIGSTOP)
        f = p.flow(rounds=1501, burst=1, patience=0, each=stand_still)
        ok(f.in_order() and f.got > 100, "the %s's daemon stands still while 1,500 packets come: what is kept then arrives in order "
           "[stalled-reader]" % who, f)
        whole([p.flow(rounds=20)], "and all that follow arrive [stalled-reader]")
    # Clients of the configuration socket that ask for much and do not read.
    public = os.urandom(32).hex()
    p.a.set("public_key=" + public, *["allowed_ip=%d.%d.%d.1/32" % (20 + (i >> 16), i >> 8 & 255, i & 255) for i in range(PREFIXES)])
    before = p.a.status("VmRSS")
    clients = [Uapi("wg1", timeout=60) for _ in range(10)]
    for u in clients:
        u.send("get=1\n\n")
    f = p.flow(rounds=30)
    ok(f.whole(), "beside ten clients that do not read 130,560 prefixes all packets arrive [uapi-slow-client]", f)
    ok("errno=0" in p.a.ask("set=1\nfwmark=0\n\n"), "and another client is served [uapi-slow-client]")
    grown = p.a.status("VmRSS") - before
    if p.a.sanitised():
        lab.skip("they take no more than 2 MB each [memory-conditions]", "a sanitizer's memory is not the program's")
    else:
        ok(grown < 20480, "they take no more than 2 MB each: %d kB [memory-conditions]" % grown)
    text = clients[0].answer()
    ok(text.count("allowed_ip=") == PREFIXES + 2 and text.endswith("errno=0\n\n"), "one that reads after all gets everything [uapi-slow-client]",
       text[-200:])
    for u in clients:
        u.close()
    p.a.set("public_key=" + public, "remove=true")
    bounded(p, "readers that stop", 96)
    p.stop()


def logs(p):
    """A log that is not read, on a pipe and on a terminal, and one whose disk is full."""
    class Piped(lab.Daemon):
        def __init__(self, ns, name, program, args):
            self.end, w = os.pipe()
            fcntl.fcntl(self.end, 1031, 4096)  # F_SETPIPE_SZ
            super().__init__(ns, name, "sh", args=["-c", 'exec 2>/proc/%d/fd/%d; exec "$@"' % (os.getpid(), w), "sh", program, *args])
            os.close(w)

    p.start(a=Piped)
    p.a.set("private_key=" + p.ka.private.hex())
    for _ in range(100):  # a line or more each
        lab.run("ip -n a link set wg1 mtu 1400")
        lab.run("ip -n a link set wg1 mtu 1420")
    ok(p.works(), "with a log that nobody reads the tunnel works [log-no-wait]")
    whole([p.flow(rounds=20)], "and all packets arrive [log-no-wait]")
    ok(p.a.ready(), "and it answers [log-no-wait]")
    said = os.read(p.a.end, 65536)
    lab.run("ip -n a link set wg1 mtu 1410")
    os.set_blocking(p.a.end, False)
    text = lab.wait_for(lambda: _read(p.a.end))
    ok(said and b"lines were lost here" in (text or b""), "who reads again is told how many lines are missing [log-no-wait]", said[-300:], text)
    same(p.stop(), (0, 0), "and they end as ever")

    class Terminal(lab.Daemon):
        """On a terminal whose other end has stopped."""
        def __init__(self, ns, name, program, args):
            self.end, slave = os.openpty()
            super().__init__(ns, name, "sh", args=["-c", 'exec 2>/proc/%d/fd/%d; exec "$@"' % (os.getpid(), slave), "sh", program, *args])
            os.close(slave)
    p.start(a=Terminal)
    for _ in range(200):
        lab.run("ip -n a link set wg1 mtu 1400")
        lab.run("ip -n a link set wg1 mtu 1420")
    ok(p.works(), "with a terminal that has stopped the tunnel works [log-no-wait]")
    whole([p.flow(rounds=20)], "and all packets arrive [log-no-wait]")
    os.set_blocking(p.a.end, False)
    while _read(p.a.end):
        pass
    lab.run("ip -n a link set wg1 mtu 1410")
    ok(lab.wait_for(lambda: b"lines were lost here" in (_read(p.a.end) or b"")), "when it goes on it says how many lines are missing [log-no-wait]")
    same(p.stop(), (0, 0), "and they end as ever")

    lab.run("mkdir -p /run/small")
    lab.run("mount -t tmpfs -o size=4096 none /run/small")

    class Full(lab.Daemon):
        def __init__(self, ns, name, program, args):
            super().__init__(ns, name, "sh", args=["-c", 'exec 2>/run/small/log; exec "$@"', "sh", program, *args])
    p.start(a=Full)
    for _ in range(100):
        lab.run("ip -n a link set wg1 mtu 1400")
        lab.run("ip -n a link set wg1 mtu 1420")
    same(os.path.getsize("/run/small/log"), 4096, "the disk for the log is full [log-no-wait]")
    ok(p.works(), "and the tunnel works [log-no-wait]")
    whole([p.flow(rounds=20)], "and all packets arrive [log-no-wait]")
    lab.run("mount -o remount,size=1m /run/small")
    lab.run("ip -n a link set wg1 mtu 1410")
    ok(lab.wait_for(lambda: "lines were lost here" in open("/run/small/log", errors="replace").read()),
       "when there is room again the log says how many lines are missing [log-no-wait]")
    same(p.stop(), (0, 0), "and they end as ever")
    lab.run("umount /run/small")


def _read(fd):
    try:
        return os.read(fd, 65536)
    except BlockingIOError:
        return b""


def descriptors(p):
    """Clients that open hundreds of connections, where the daemon may have few descriptors."""
    class Few(lab.Daemon):
        def __init__(self, ns, name, program, args):
            super().__init__(ns, name, "prlimit", args=["--nofile=48", program, *args])
    p.start(a=Few)
    p.works()
    clients = []
    for _ in range(400):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(1)
        try:
            s.connect("/var/run/wireguard/wg1.sock")
        except OSError:
            pass
        clients.append(s)
    f = p.flow(rounds=20)
    ok(f.whole(), "beside 400 connections to a daemon with 48 descriptors all packets arrive [uapi-few-descriptors]", f)
    ok(lab.wait_for(lambda: lines(p.a, "turned away")) >= 1, "the log says that clients are turned away [uapi-few-descriptors]")
    # The sockets need descriptors of their own.
    lab.run("ip -n a link set wg1 down")
    lab.run("ip -n a link set wg1 up")
    for s in clients:
        s.close()
    ok(lab.wait_for(p.a.ready), "when they are gone the next one is served [uapi-few-descriptors]")
    ok(p.works(), "and the link that went down and up meanwhile works [uapi-few-descriptors]")
    ok(lab.wait_for(lambda: len(os.listdir("/proc/%d/fd" % p.a.pid)) < 40), "no descriptor is left behind [uapi-few-descriptors]")
    # Not one, not even in the place of another: as where the whole machine has none.
    lab.run("prlimit --pid %d --nofile=3:48" % p.a.pid)
    s = socket.socket(socket.AF_UNIX)
    s.connect("/var/run/wireguard/wg1.sock")
    lab.wait_for(lambda: lines(p.a, "turned away") >= 2, 3)
    cpu = p.a.cpu()
    time.sleep(2)
    ok(p.a.cpu() - cpu < 0.5, "where it can have none at all, a client that waits does not keep it busy [uapi-few-descriptors]", p.a.cpu() - cpu)
    lab.run("prlimit --pid %d --nofile=48:48" % p.a.pid)
    s.settimeout(lab.PATIENCE)
    s.sendall(b"get=1\n\n")
    ok(s.recv(1 << 16), "and is served when it can [uapi-few-descriptors]")
    s.close()
    p.stop()


def namespaces(p):
    """ip netns del under load: of the host in which the daemon and its sockets are, then of the one that has its device."""
    p.start()
    p.works()

    def forget(i):
        if i == 10:
            lab.run("ip netns del a")
    f = p.flow(rounds=40, each=forget)
    ok(f.whole(), "the name of the daemon's namespace is deleted under traffic: it goes on [netns-deleted]", f)
    os.kill(p.a.pid, signal.SIGTERM)
    same((p.a.gone(), os.path.exists("/var/run/wireguard/wg1.sock")), (0, False), "and ends as ever [netns-deleted]")
    # The device of b moves to a namespace that then goes, with everything in it.
    lab.run("ip netns add c")
    lab.run("ip -n b link set wg2 netns c")
    lab.run("ip -n c addr add 10.9.0.2/24 dev wg2")
    lab.run("ip -n c link set wg2 up")
    def load():
        with lab.inside("c"):
            s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        while time.monotonic() < end:
            try:
                s.sendto(bytes(1200), ("10.9.0.1", 4000))
            except OSError:
                pass
        s.close()
    end = time.monotonic() + 1
    t = lab.in_thread(load)
    time.sleep(0.3)
    lab.run("ip netns del c")
    t.join(lab.PATIENCE)
    status = p.b.gone()
    same((status, os.path.exists("/var/run/wireguard/wg2.sock")), (0, False),
         "its device's namespace is deleted under traffic: the daemon ends, and its socket is gone [netns-deleted] [proc-tun-gone]")


def test():
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
    p = Pair()
    for part in (missing, underlay, drops, rebinds, mtu, stalls, logs, descriptors, namespaces):
        t = time.monotonic()
        part(p)
        lab.note("%s: %.1f s" % (part.__name__, time.monotonic() - t))


lab.main(600, test)
