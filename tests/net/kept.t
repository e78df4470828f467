#!/usr/bin/python3
"""A service manager keeps the interface of a daemon that is killed: addresses, routes and rules stay, nothing goes around
the tunnel, and the daemon that comes next takes it up.  The script is the manager, as sd_notify(3) describes it."""
import array
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lab  # noqa: E402
import wgpeer as w  # noqa: E402
from lab import Daemon, WG, ok, same, wait_for  # noqa: E402

NOTIFY = "/run/lab/notify"
FIRST = 3  # sd_listen_fds(3)


class Manager:
    def __init__(self):
        self.s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.s.bind(NOTIFY)
        self.s.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self.s.settimeout(lab.PATIENCE)
        self.kept, self.said = {}, []
        self.main, self.strangers = 0, 0  # who may speak; how often somebody else did

    def hear(self, word):
        """Take messages until one has a line that begins so."""
        while not any(x.startswith(word) for x in self.said):
            text, control, _, _ = self.s.recvmsg(4096, socket.CMSG_SPACE(256) + socket.CMSG_SPACE(12))
            lines = text.decode().split("\n")
            fds = array.array("i")
            for level, kind, data in control:
                if kind == socket.SCM_RIGHTS:
                    fds.frombytes(data[:len(data) - len(data) % fds.itemsize])
                elif kind == socket.SCM_CREDENTIALS and self.main:
                    self.strangers += struct.unpack("iii", data)[0] != self.main
            for x in lines:
                if x.startswith("MAINPID="):
                    self.main = int(x[8:])
            name = next((x[7:] for x in lines if x.startswith("FDNAME=")), "")
            if "FDSTORE=1" in lines:
                self.drop(name)
                self.kept[name] = list(fds)
            if "FDSTOREREMOVE=1" in lines:
                self.drop(name)
            self.said += lines
        self.said, said = [], self.said
        return said

    def drop(self, name):
        for fd in self.kept.pop(name, []):
            os.close(fd)

    def reload(self, ns, name, program, *options, pid=None, **env):
        """The command of a service's reload, as its manager would run it; its status and what it said."""
        env = dict(os.environ, LOG_LEVEL="verbose", NOTIFY_SOCKET=NOTIFY, MAINPID=str(pid or self.main), **env)
        log = "/run/lab/%s.reload.log" % name
        with open(log, "wb") as f:
            r = subprocess.run(["ip", "netns", "exec", ns, program, *options, name], env=env, stdin=subprocess.DEVNULL, stdout=f, stderr=f)
        with open(log) as f:
            return r.returncode, f.read()

    def start(self, ns, name, *options):
        """The daemon in a host, with what is kept, in the order of systemd: the descriptors from number 3 on."""
        fds = [fd for kept in self.kept.values() for fd in kept]
        names = ":".join(n for n, kept in self.kept.items() for _ in kept)
        high = [os.dup2(fd, 100 + i, inheritable=False) for i, fd in enumerate(fds)]

        def move():
            for i, fd in enumerate(high):
                os.dup2(fd, FIRST + i)
        env = dict(os.environ, LOG_LEVEL="verbose", NOTIFY_SOCKET=NOTIFY, LISTEN_FDS=str(len(fds)), LISTEN_FDNAMES=names)
        log = open("/run/lab/%s.log" % name, "ab")
        p = subprocess.Popen(["ip", "netns", "exec", ns, "sh", "-c", 'LISTEN_PID=$$ exec "$@"', "sh", WG, "-f", *options, name],
                             stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env, preexec_fn=move,
                             pass_fds=range(FIRST, FIRST + len(fds)))
        for fd in high:
            os.close(fd)
        return p


def queues(ns, name):
    return lab.run("ip -n %s -d link show %s" % (ns, name))


def place():
    """What of host b hangs on the interface."""
    return [lab.run("ip -n b " + what) for what in ("-o addr show dev wg2", "route show table all dev wg2",
                                                    "-6 route show table all dev wg2", "rule show")]


def uapi(*lines):
    u = lab.Uapi("wg2")
    same(u.ask("set=1\n" + "".join(x + "\n" for x in lines) + "\n"), "errno=0\n\n", "the daemon is configured")
    u.close()


def died(p, manager):
    """Kill it as a crash would."""
    p.send_signal(signal.SIGKILL)
    p.wait(lab.PATIENCE)


def crash():
    lab.host("a")
    lab.host("b", theirs="10.0.1.2/24", mine="10.0.1.1/24", theirs6="fd00:bb::2/64", mine6="fd00:bb::1/64")
    lab.run("sysctl -qw net.ipv4.ip_forward=1")
    lab.run("ip -n a route add default via 10.0.0.1")
    lab.run("ip -n b route add default via 10.0.1.1")
    ka, kb = w.Key(), w.Key()
    a = Daemon("a", "wg1")
    a.set("private_key=" + ka.private.hex(), "listen_port=1111", "public_key=" + kb.public.hex(), "allowed_ip=192.168.241.2/32")
    lab.run("ip -n a addr add 192.168.241.1/24 dev wg1")
    lab.run("ip -n a link set wg1 up")

    manager = Manager()
    b = manager.start("b", "wg2", "--workers=3")
    said = manager.hear("READY=1")
    ok("READY=1" in said and any(x.startswith("STATUS=") for x in said), "the service manager is told when all is served [notify-ready]", said)
    same({k: len(v) for k, v in manager.kept.items()}, {"tun": 3}, "and is given every queue of the interface [crash-kept]")
    config = ("private_key=" + kb.private.hex(), "public_key=" + ka.public.hex(), "allowed_ip=192.168.241.0/24",
              "allowed_ip=172.31.0.0/16", "endpoint=10.0.0.2:1111")
    uapi(*config)
    for line in ("addr add 192.168.241.2/24 dev wg2", "link set wg2 mtu 1390 up", "route add 172.31.0.0/16 dev wg2",
                 "rule add from 192.168.241.2 table 77", "route add default dev wg2 table 77"):
        lab.run("ip -n b " + line)
    ping = "ping -n -q -c 3 -i 0.1 -W 20 -p 67696e6e656c 192.168.241.1"
    same(lab.run(ping, "b", check=False).returncode, 0, "the tunnel carries")

    # All that b sends on its cable, from before the end of the daemon until the next one carries.
    with lab.inside("b"):
        wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        wire.bind(("eth", 0))
    wire.settimeout(0)
    before = place()
    # Inside and to what only the tunnel reaches, all the while.
    pings = [subprocess.Popen(["ip", "netns", "exec", "b", "ping", "-n", "-q", "-i", "0.01", "-p", "67696e6e656c", to],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for to in ("192.168.241.1", "172.31.0.1")]
    for n in range(2):
        died(b, manager)
        same(place(), before, "after kill -9 addresses, routes and rules are as before [crash-kept]")
        sent = lambda: int(lab.run("cat /sys/class/net/wg2/statistics/tx_dropped", "b"))  # noqa: E731
        was = sent()
        ok(wait_for(lambda: sent() > was), "what is sent while no daemon is there is dropped in the interface [crash-no-leak]")
        b = manager.start("b", "wg2", "--workers=1")
        manager.hear("READY=1")
        same((place(), len(manager.kept["tun"])), (before, 3), "the next one takes the interface up, with all queues, and changes nothing [crash-kept]")
        uapi(*config)
        same(lab.run(ping, "b", check=False).returncode, 0, "and when it is configured the tunnel carries again [crash-resumes]")
    for p in pings:
        p.terminate()
        p.wait()
    seen, clear = 0, 0
    while True:
        try:
            frame = wire.recv(65535)
        except BlockingIOError:
            break
        seen += 1
        clear += b"ginnelginnel" in frame
    same((seen > 10, clear), (True, 0), "nothing of it was ever on the cable in the clear [crash-no-leak]")

    # The interface goes while nobody serves it: the next one makes a new one.
    died(b, manager)
    lab.run("ip -n b link del wg2")
    b = manager.start("b", "wg2")
    manager.hear("READY=1")
    ok("wg2" in queues("b", "wg2") and any("no more" in x for x in open("/run/lab/wg2.log")),
       "an interface that was deleted meanwhile is made anew, and that is told [crash-deleted]")
    same(list(manager.kept), ["tun"], "and the new one is kept in its place [crash-deleted]")
    b.terminate()
    same(b.wait(lab.PATIENCE), 0, "it ends as ever")
    manager.hear("STOPPING=1")
    ok(True, "and says so [notify-ready]")
    manager.drop("tun")
    ok(wait_for(lambda: lab.run("ip -n b link show wg2", check=False).returncode != 0),
       "when the manager lets go of the interface it is gone [crash-kept]")

    # A manager whose socket is gone is no reason not to serve.
    os.unlink(NOTIFY)
    manager.kept = {}
    b = manager.start("b", "wg2")
    ok(wait_for(lambda: os.path.exists("/run/wireguard/wg2.sock")), "a service manager that cannot be reached stops nothing [notify-ready]")
    b.terminate()
    b.wait(lab.PATIENCE)


def stranger(pid):
    """A process that is not our child: does it live?"""
    try:
        with open("/proc/%d/stat" % pid) as f:
            return f.read().rsplit(") ", 1)[1][0] != "Z"
    except OSError:
        return False


def upgrade():
    """A service is reloaded when its program is another than the one that runs."""
    lab.host("c", theirs="10.0.2.2/24", mine="10.0.2.1/24", theirs6="fd00:cc::2/64", mine6="fd00:cc::1/64")
    later = "/run/lab/ginnel-wg.later"
    shutil.copy(WG, later)
    manager = Manager()
    old = manager.start("c", "wg3", "--workers=2")
    manager.hear("READY=1")
    manager.main = old.pid
    u = lab.Uapi("wg3")
    same(u.ask("set=1\nprivate_key=%s\nlisten_port=3333\n\n" % w.Key().private.hex()), "errno=0\n\n", "a service is configured")

    status, said = manager.reload("c", "wg3", WG, "--upgrade", "--workers=2")
    same((status, old.poll()), (0, None), "where the program that runs is this one there is nothing to upgrade [upgrade-same]")
    ok("nothing to do" in said, "and that is said [upgrade-same]")
    for what, program, options, env in (("by hand", later, ("--replace",), {"pid": 1}), ("in the foreground", later, ("--upgrade", "-f"), {})):
        status, said = manager.reload("c", "wg3", program, *options, **env)
        ok(status == 1 and "reload" in said and old.poll() is None, "%s a service is not taken over from its manager [upgrade-managed]" % what,
           status, said)

    status, said = manager.reload("c", "wg3", later, "--upgrade", "--workers=3")
    same((status, old.wait(lab.PATIENCE)), (0, 0), "another program takes the place of the one that runs [upgrade-managed]")
    manager.hear("MAINPID=")
    ok(manager.main != old.pid and os.readlink("/proc/%d/exe" % manager.main) == later,
       "the old one tells the service manager who follows [upgrade-managed]", manager.main, said)
    with open("/proc/%d/stat" % manager.main) as f:
        same(int(f.read().rsplit(") ", 1)[1].split()[1]), 1, "that is nobody's child but the manager's [upgrade-managed]")
    said = manager.hear("READY=1")
    same(({k: len(v) for k, v in manager.kept.items()}, manager.strangers), ({"tun": 3}, 0),
         "the new one gives it the interface to keep, and speaks only when it is known [upgrade-managed]")
    ok("listen_port=3333" in u.ask("get=1\n\n"), "and has the configuration [upgrade-managed]")

    first = manager.main
    status, said = manager.reload("c", "wg3", later, "--upgrade", "--workers=1")
    same(status, 0, "with other options the same program takes over as well [upgrade-options]")
    manager.hear("MAINPID=")
    manager.hear("READY=1")
    same((manager.main != first, len(manager.kept["tun"]), manager.strangers), (True, 3, 0), "and all queues stay kept [upgrade-options]")
    ok(wait_for(lambda: not stranger(first)), "and the one before is gone [upgrade-options]")

    # kill -9 after that: the next one has what the last gave.
    last, manager.main = manager.main, 0
    os.kill(last, signal.SIGKILL)
    ok(wait_for(lambda: not stranger(last)), "the last one is killed")
    same("wg3" in lab.run("ip -n c link"), True, "its interface stays [upgrade-managed]")
    b = manager.start("c", "wg3")
    manager.hear("READY=1")
    ok(any("took up the interface" in x for x in open("/run/lab/wg3.log")), "and is taken up [upgrade-managed]")
    b.terminate()
    same(b.wait(lab.PATIENCE), 0, "and ends as ever")
    manager.drop("tun")


def deaf():
    """A service whose manager cannot be told who follows."""
    later = "/run/lab/ginnel-wg.later"
    os.unlink(NOTIFY)
    manager = Manager()
    old = manager.start("c", "wg3")
    manager.hear("READY=1")
    manager.s.close()
    status, said = manager.reload("c", "wg3", later, "--upgrade", pid=old.pid)
    ok(status == 1 and "service manager cannot be told" in said, "one whose manager does not listen is not taken over [upgrade-deaf]", status, said)
    ok(old.poll() is None and os.path.exists("/run/wireguard/wg3.sock"), "and its daemon goes on as before [upgrade-deaf]", old.poll())
    old.terminate()
    same(old.wait(lab.PATIENCE), 0, "and ends as ever")
    manager.drop("tun")

    # It hears one message, by which the old one sees that it listens, and no more.
    os.unlink(NOTIFY)
    manager = Manager()
    old = manager.start("c", "wg3")
    manager.hear("READY=1")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.setblocking(False)
        try:
            while s.sendto(b"X=1", NOTIFY):
                pass
        except BlockingIOError:
            manager.s.recv(4096)
    status, said = manager.reload("c", "wg3", later, "--upgrade", pid=old.pid)
    same((status, old.wait(lab.PATIENCE)), (0, 1), "one whose manager is not told who follows ends as one that failed, so that another is started "
         "with the interface that is kept [upgrade-deaf]")
    ok(any("was not told who follows" in x for x in open("/run/lab/wg3.log")), "and says why [upgrade-deaf]")
    ok(os.path.exists("/run/wireguard/wg3.sock"), "the one that follows has the sockets [upgrade-deaf]", said)
    lab.run("ip -n c link del wg3")
    ok(wait_for(lambda: not os.path.exists("/run/wireguard/wg3.sock")), "until it ends [upgrade-deaf]")
    manager.drop("tun")


def test():
    crash()
    upgrade()
    deaf()


lab.main(600, test)
