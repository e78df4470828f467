#!/usr/bin/python3
"""A start that cannot succeed: each call of it made to fail in turn, too little memory, several at once, a directory in
which no socket can be.  One line says why, and nothing is left behind."""
import os
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lab  # noqa: E402
from faults import Faults  # noqa: E402
from lab import Daemon, ok, same  # noqa: E402
from starts import SOCKETS, Start, exists, judge, reasons, sweep  # noqa: E402


def refused(name, start, *words):
    """It must not serve, and the reason has one of these words."""
    served = start.settle()
    bad = judge(start, served, name)
    said = start.said()
    ok(served is False and not bad and any(w in said for w in words), "exit 1 with a reason: %s [start-conditions]" % name, bad, said)


def each_call():
    sweep("any", "EMFILE")


def limits():
    """So little of something, or so much, that the start fails at ever later points, and then does not."""
    def climb(resource, steps, what):
        wrong, served = [], []
        for n in steps:
            s = Start("wg3", prefix=["prlimit", "--%s=%d" % (resource, n)])
            up = s.settle()
            if not up and (s.p.returncode == 127 or (s.p.returncode == -signal.SIGSEGV and resource == "as" and n < 1 << 20)):
                continue  # not even the dynamic linker had enough, or the kernel to execute the program
            served.append(up)
            bad = judge(s, up, "%s=%d" % (resource, n))
            if bad:
                wrong.append(bad)
        ok(not wrong and served.count(False) >= 3 and served[-1], "with ever more %s the start fails with one reason, then succeeds "
           "[start-limits]" % what, *(wrong[:5] or [served]))

    for limit, what, serves in (("65536:8388608", "little, but may have more", (True,)), (str(1 << 40), "far too much", (True,)),
                                ("131072", "little, and may not have more", (True, False))):
        s = Start("wg3", prefix=["prlimit", "--stack=" + limit])
        up = s.settle()
        if up:
            lab.run("ip link set wg3 up")
            up = s.settle()
        bad = judge(s, up, "stack=" + limit)
        ok(up in serves and not bad, "with a limit of the stack that is %s it %s [start-stack]"
           % (what, "works" if serves == (True,) else "works or says why not"), bad, s.said())

    d = Daemon("d", "wg1")
    peak = d.status("VmPeak") << 10
    sanitised = d.sanitised()
    d.stop()
    climb("nofile", range(4, 48), "descriptors")
    name = "with ever more memory the start fails with one reason, then succeeds [start-limits]"
    if sanitised:
        lab.skip(name, "a sanitizer's memory is not the program's")
    else:
        climb("as", range(peak // 40, peak * 2, peak // 40), "memory")


def directory():
    """/var/run/wireguard as it should not be, before the start and after it."""
    there = SOCKETS.rstrip("/")

    def mounted(script):
        return ["unshare", "--mount", "sh", "-c", script + ' && exec "$@"', "sh"]
    lab.run(["rm", "-rf", there])
    s = Start("wg3")
    same(bool(s.settle()), True, "a directory that is missing is made [start-conditions]")
    same((s.end(), exists("wg3")), (0, []), "and the socket in it removed [proc-socket-removed]")
    refused("the directory is on a file system that is read-only", Start("wg3", prefix=mounted(
        "mount -t tmpfs -o ro none /run/wireguard")), "Read-only file system")
    for make, why in ((": >%s", "Not a directory"), ("ln -s /run/nowhere/at/all %s", "No such file")):
        lab.run(["rm", "-rf", there])
        lab.run(["sh", "-c", make % there])
        refused("the directory is something else: " + make % "DIR", Start("wg3"), why)
    lab.run(["rm", "-rf", there])
    os.mkdir(there)
    open(SOCKETS + "wg3.sock", "w").close()
    refused_by_file = Start("wg3")
    served = refused_by_file.settle()
    ok(served is False and refused_by_file.p.returncode == 1 and len(reasons(refused_by_file.said())) == 1
       and os.path.exists(SOCKETS + "wg3.sock"), "a file that is no socket is not taken away, and the reason told [start-conditions]",
       refused_by_file.said())
    os.unlink(SOCKETS + "wg3.sock")
    refused("no device node may be used", Start("wg3", prefix=mounted(
        "mount -t tmpfs -o nodev none /dev && mkdir /dev/net && mknod /dev/net/tun c 10 200 && mknod /dev/null c 1 3")), "/dev/net/tun may not be opened")
    f = Faults("instances")
    f.rules("inotify_init1 EMFILE x1")
    refused("the user watches too many things", Start("wg3", f), "watching the socket: Too many open files (ulimit -n, or sysctl fs.inotify")
    for what in (["mv", there, there + ".old"], ["rm", "-rf", there]):
        s = Start("wg3")
        s.settle()
        lab.run(what)
        try:
            status = s.p.wait(lab.PATIENCE)
        except subprocess.TimeoutExpired:
            status = s.end(kill=True)
        same((status, exists("wg3")), (0, []), "the daemon ends when its directory goes: %s [proc-socket-unlinked]" % what[0])
        lab.run(["rm", "-rf", there, there + ".old"])


def ended_early():
    """SIGTERM at any moment of a start."""
    wrong, statuses, n = [], set(), 40
    for i in range(n):
        s = Start("wg3")
        # Later and later, and at the very moment at which the socket is there.
        if i % 3 == 0:
            lab.wait_for(lambda: exists("wg3") or s.p.poll() is not None, step=0)
        else:
            time.sleep(i * 0.002)
        s.p.terminate()
        try:
            statuses.add(s.p.wait(lab.PATIENCE))
        except subprocess.TimeoutExpired:
            wrong.append("round %d: no SIGTERM ends it" % i)
            s.end(kill=True)
        if exists("wg3"):
            wrong.append("round %d: left behind: %s" % (i, exists("wg3")))
            os.unlink(SOCKETS + "wg3.sock")
    ok(not wrong and statuses <= {0, -15}, "SIGTERM at %d moments of a start leaves nothing behind [proc-sigterm] [proc-socket-removed]" % n,
       statuses, *wrong[:5])


def at_once():
    """Several at the same moment, again and again: one has what both want."""
    rounds, wrong = 15, []
    for i in range(rounds):
        starts = [Start("wg3", log="wg3.%d" % n) for n in range(3)]
        # One serves when the two others are gone.
        lab.wait_for(lambda: sum(s.p.poll() is None for s in starts) == 1)
        alive = [s for s in starts if s.p.poll() is None]
        losers = [s for s in starts if s not in alive]
        if len(alive) != 1 or not alive[0].settle() or any(s.p.returncode != 1 or len(reasons(s.said())) != 1 for s in losers):
            wrong.append("round %d: %d go on; %s" % (i, len(alive), [(s.p.poll(), s.said()) for s in starts]))
        for s in alive:
            s.end()
        if exists("wg3"):
            wrong.append("round %d: left behind: %s" % (i, exists("wg3")))
    ok(not wrong, "of three daemons started for one name exactly one serves, the others exit 1 and say why, %d times [start-race]"
       % rounds, *wrong[:3])

    rounds, wrong = 10, []
    for i in range(rounds):
        ds = [Daemon("d", "wg%d" % n) for n in (3, 4)]
        for d in ds:
            d.set("listen_port=5555")
        ups = [subprocess.Popen(["ip", "-n", "d", "link", "set", d.name, "up"]) for d in ds]
        for u in ups:
            u.wait()

        def said():
            return [sum("cannot bind port 5555" in x for x in d.log_lines()) for d in ds]

        def listening():
            return [sum("port=5555" in x for x in d.log_lines()) for d in ds]
        lab.wait_for(lambda: sum(said()) and sum(listening()))
        time.sleep(0.1)
        if sorted(said()) != [0, 1] or sorted(listening()) != [0, 1] or said() == listening():
            wrong.append("round %d: refused %s, listening %s" % (i, said(), listening()))
        else:
            lab.run("ip -n d link set %s down" % ds[listening().index(1)].name)
            if i == 0 and not lab.wait_for(lambda: listening() == [1, 1]):
                wrong.append("the other did not take the port when it was free: %s" % listening())
        for d in ds:
            d.stop()
    ok(not wrong, "of two links that go up with one port one listens, the other says so once, %d times, and takes it when it is free "
       "[start-race] [sock-port-retry]" % rounds, *wrong[:3])


def test():
    lab.host("d")
    for part in (each_call, limits, directory, ended_early, at_once):
        t = time.monotonic()
        part()
        lab.note("%s: %.1f s" % (part.__name__, time.monotonic() - t))


lab.main(600, test)
