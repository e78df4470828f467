#!/usr/bin/python3
"""
What ginnel capture writes, read by a tshark that was never configured: what went through the tunnel is in it as it was,
decrypted where keys were asked for and nowhere else; whatever goes wrong with a capture, the tunnel does not notice.
"""
import base64
import ctypes
import fcntl
import glob
import json
import mmap
import os
import random
import select
import signal
import socket
import struct
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lab  # noqa: E402
import wgpeer  # noqa: E402
from captures import GINNEL, HERE, INNER, PORTS, SCOPE, Capture, Tunnel, fields, holds, hosts, icmp, key_log, listeners, sound  # noqa: E402
from lab import ok, same, wait_for  # noqa: E402

# --- the tests

def decrypts(workers, psk, v6):
    """Both ends of one tunnel, each with a capture of its own, across handshakes that either began."""
    how = "%d worker%s, %s psk, IPv%d outside" % (workers, "s" if workers > 1 else "", "with" if psk else "no", 6 if v6 else 4)
    t = Tunnel(workers, psk, v6)
    c = {ns: Capture(t, ns, "--keys", file=HERE + ns + ".pcapng") for ns in "ab"}
    plain = {(ns, view): Capture(t, ns, "--" + view, file=HERE + "%s.%s.pcapng" % (ns, view)) for ns in "ab" for view in ("inner", "outer")}
    seen = t.pings(5)
    t.renew("a")
    seen += t.pings(5)
    t.renew("b")
    seen += t.pings(5, "b", 1301)
    statuses = [x.end() for x in list(c.values()) + list(plain.values())]
    same(statuses, [0] * 6, "a capture that is told to end has succeeded, %s [capture-end]" % how)
    for ns, role in (("a", "initiator"), ("b", "responder")):
        file = HERE + ns + ".pcapng"
        ok(sound(file), "capinfos finds no fault in it, %s, %s [capture-file]" % (role, how))
        same(icmp(file), sorted(seen), "all that was sent is read, decrypted, by the %s, %s [capture-keys]" % (role, how))
        same(icmp(HERE + ns + ".inner.pcapng"), sorted(seen), "and seen inside, %s, %s [capture-inner]" % (role, how))
        same([r for r in fields(HERE + ns + ".inner.pcapng", "icmp", "frame.len", "ip.len") if r[0] != r[1]], [], "as long as they are, without padding, %s, %s [capture-inner]" % (role, how))
        same(icmp(HERE + ns + ".outer.pcapng"), [], "outside it is encrypted, %s, %s [capture-outer]" % (role, how))
        keys = [v for k, v in key_log(file) if k.startswith(("LOCAL", "PRE"))]
        ok(t.keys[ns].private in keys and len(set(keys)) >= 4, "the file has the keys of three handshakes, %s, %s [capture-keys]" % (role, how))
        for view in ("inner", "outer"):
            same(holds(HERE + "%s.%s.pcapng" % (ns, view), t.secrets() + keys), [],
                 "with --%s there is no key in it, in no form, %s, %s [capture-no-secret]" % (view, role, how))
        same(len(holds(file, [t.keys[ns].private])), 1, "which a search of that kind finds where there is one, %s, %s [capture-no-secret]" % (role, how))
        ours = ("fd00:aa::%d" if v6 else "10.0.0.%d") % (1 if ns == "a" else 2)
        rows = fields(file, "wg.type", "frame.packet_flags_direction", "ipv6.src" if v6 else "ip.src")
        ok(rows and all((d in ("2", "0x00000002")) == (src == ours) for d, src in rows), "directions are marked, and addresses are those of the wire, %s, %s [capture-direction]" % (role, how), rows[:5])
        same(fields(file, "udp.checksum.status == 0 || ip.checksum.status == 0", "frame.number"), [], "no checksum is wrong, %s, %s [capture-headers]" % (role, how))
    same(os.stat(HERE + "a.pcapng").st_mode & 0o777, 0o600, "the file is its owner's only, %s [capture-private]" % how)
    ok("private" in c["a"].said() and "private" not in plain["a", "inner"].said(), "who asks for keys is told what the file holds, %s [capture-warns]" % how)
    return t


def ways(t):
    """Not only files."""
    fifo = HERE + "fifo"
    os.mkfifo(fifo, 0o600)
    for name, words in (("-r -", ["-r", "-"]), ("-i -", ["-i", "-"])):
        had = listeners(t.daemons["a"])
        p = subprocess.Popen("'%s' capture --keys wg1 2>/dev/null | exec tshark -n -l %s -T fields -E occurrence=f -e icmp.type -e icmp.seq -e data.data -Y icmp >%sway.out 2>%sway.err" % (SCOPE, " ".join(words), HERE, HERE),
                             shell=True, start_new_session=True)
        wait_for(lambda: listeners(t.daemons["a"]) > had)
        live(t, p, "by tshark %s, as it happens" % name)
    p = subprocess.Popen("exec tshark -n -l -i %s -T fields -E occurrence=f -e icmp.type -e icmp.seq -e data.data -Y icmp >%sway.out 2>%sway.err" % (fifo, HERE, HERE),
                         shell=True, start_new_session=True)
    c = Capture(t, "a", "--keys", file=fifo)
    live(t, p, "through a FIFO, as it happens", c)


def live(t, p, how, c=None):
    before = t.handshake("a")
    t.pings(1)
    wait_for(lambda: t.handshake("a") != before, timeout=2)
    def lines():
        if not os.path.exists(HERE + "way.out"):
            return []
        with open(HERE + "way.out") as f:
            return [(int(a), int(b), d) for a, b, d in (line.rstrip("\n").split("\t") for line in f if line.endswith("\n"))]
    sent = []

    def arrived():
        nonlocal sent
        sent = t.pings(2)
        return wait_for(lambda: set(sent) <= set(lines()), timeout=5)
    good = wait_for(arrived)
    ok(good, "packets are read decrypted %s [capture-live]" % how, sent, lines() if os.path.exists(HERE + "way.out") else "nothing", open(HERE + "way.err").read())
    left = listeners(t.daemons["a"], "left")
    os.killpg(p.pid, signal.SIGTERM)
    p.wait()
    t.pings(2)
    if c:
        status = c.p.wait(lab.PATIENCE)
        ok(status == 1 and ("Broken pipe" in c.said() or "nobody reads" in c.said()), "a reader that goes away ends the capture, which says so [capture-reader-gone]", status, c.said())
    ok(wait_for(lambda: listeners(t.daemons["a"], "left") > left), "and the daemon forgets it [capture-reader-gone]")


def middle(options, retained):
    t = Tunnel(2, True, False, options)
    t.pings(3)
    before, c = (t.handshake("a"), t.handshake("b")), {}
    for ns in "ab":
        had = t.handshake("a"), t.handshake("b")
        c[ns] = Capture(t, ns, "--keys", file=HERE + ns + ".pcapng")
        if not retained:
            # Of the session that the other one's brought about, this one came too late for the keys.
            ok(wait_for(lambda: t.handshake("a") != had[0] and t.handshake("b") != had[1]),
               "a capture that begins in the middle of a session makes a new handshake, host %s [capture-middle]" % ns)
    seen = t.pings(5)
    for x in c.values():
        x.end()
    for ns in "ab":
        got = icmp(HERE + ns + ".pcapng")
        if retained:
            same(got, sorted(seen), "where keys are retained, a capture from the middle on reads all from its first packet on, host %s [capture-retained]" % ns)
        else:
            ok(set(seen) <= set(got), "and reads what comes after it, host %s [capture-middle]" % ns, seen, got)
    if retained:
        same((t.handshake("a"), t.handshake("b")), before, "without a new handshake [capture-retained]")
    shown = json.loads(lab.run([GINNEL, "stats", "--json", "wg1"]))
    shown = shown[0] if isinstance(shown, list) else shown
    shown = shown.get("tunnels", [shown])[0]
    same(shown["retain_keys"], retained, "stats say whether keys are retained [retain-shown]")
    same("retained" in lab.run([GINNEL, "stats", "wg1"]), retained, "also those for people [retain-shown]")
    same(any("--retain-keys" in x for x in t.daemons["a"].log_lines()), retained, "and the log at the start [retain-shown]")
    return t


def rotation(t):
    """t: a tunnel with a session."""
    os.makedirs(HERE + "all.d")
    few = Capture(t, "a", "--inner", "--rotate=8K:3", file=HERE + "turn.pcapng")
    before = t.handshake("a")
    c = Capture(t, "a", "--keys", "--rotate=8K", file=HERE + "all.d/turn.pcapng")
    wait_for(lambda: t.handshake("a") != before)
    seen = t.pings(60, size=1000)
    c.end()
    files = sorted(glob.glob(HERE + "all.d/turn-*.pcapng"))
    ok(len(files) > 5 and files[0].endswith("turn-00001.pcapng"), "a capture goes on in the next file, by number [capture-rotate]", files)
    got = []
    for f in files:
        ok(sound(f), "each is whole [capture-rotate]", f)
        rows = icmp(f)
        same(fields(f, "wg.type == 4 && !icmp && !wg.keepalive", "frame.number"), [], "and decrypts alone [capture-rotate]")
        n = lab.run(["capinfos", "-D", f])
        ok("secrets" in n and not n.rstrip().endswith(" 0"), "with the keys in it [capture-rotate]", n)
        got += rows
    ok(set(seen) <= set(got) and len(got) == len(set(got)), "nothing is lost between them, and nothing written twice [capture-rotate]")
    few.end()
    names = sorted(os.path.basename(x) for x in glob.glob(HERE + "turn-*.pcapng"))
    last = int(names[-1][5:10])
    same((names, last > 5), (["turn-%05d.pcapng" % n for n in range(last - 2, last + 1)], True), "the last few are kept where so many were asked for [capture-rotate]")


def run(*words, **kw):
    """(exit status, what it said): one that ends by itself."""
    p = subprocess.run([SCOPE, "capture", *words], stdin=subprocess.DEVNULL, stdout=kw.pop("stdout", subprocess.DEVNULL), stderr=subprocess.PIPE,
                       text=True, timeout=lab.PATIENCE, **kw)
    return p.returncode, p.stderr


def refused(name, ident, got, *texts):
    ok(got[0] == 1 and all(x in got[1] for x in texts) and got[1].count("\n") == 1, "%s [%s]" % (name, ident), got)


def bad(t):
    refused("a tunnel that there is not is refused", "capture-bad", run("wg9"), "wg9")
    refused("a peer that there is not is refused", "capture-bad", run("--peer", base64.b64encode(bytes(31) + b"\1").decode(), "wg1"), "no peer has that public key")
    refused("so is a name that no peer has", "capture-bad", run("--peer", "nobody", "wg1"), "nobody")
    refused("a file that cannot be written is refused", "capture-bad", run("-w", HERE + "no/file", "wg1"), HERE + "no/file")
    refused("a size that is none is refused", "capture-bad", run("--rotate=12Q", "-w", HERE + "x", "wg1"), "--rotate")
    refused("no file to be kept is none", "capture-bad", run("--rotate=8K:0", "-w", HERE + "x", "wg1"), "--rotate")
    got = run("a\x1b[31mb")
    refused("a name with control characters is refused, and they are not printed", "capture-bad", got, "a?[31mb")
    ok("\x1b" not in got[1], "nowhere [capture-bad]", got)
    refused("rotation wants files", "capture-bad", run("--rotate=1M", "wg1"), "-w")
    ours, theirs = os.openpty()
    refused("a terminal gets none", "capture-terminal", run("wg1", stdout=theirs), "terminal")
    os.close(ours)
    os.close(theirs)
    scope = HERE + "scope"
    lab.run(["cp", SCOPE, scope])
    os.chmod(HERE, 0o755)
    p = subprocess.run([scope, "capture", "wg1"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, user=65534, group=65534, extra_groups=[], timeout=lab.PATIENCE)
    ok(p.returncode == 1 and not p.stdout and b"is for root" in p.stderr, "who is neither root nor the daemon's user may not listen [capture-permission]", p)
    many = [Capture(t, "a", "--inner", file=HERE + "many.%d" % i) for i in range(8)]
    refused("a ninth listener is refused", "capture-many", run("wg1"), "too many")
    seen, left = t.pings(3), listeners(t.daemons["a"], "left")
    for c in many:
        c.end()
    wait_for(lambda: listeners(t.daemons["a"], "left") >= left + 8)
    same([icmp(HERE + "many.%d" % i) for i in range(8)], [sorted(seen)] * 8, "eight hear the same [capture-many]")


def shell(t, words, script='exec "$@"', **kw):
    """A process that the daemon has heard, started by a shell."""
    had = listeners(t.daemons["a"])
    p = subprocess.Popen(["bash", "-c", script, "-", SCOPE, *words], stdin=subprocess.DEVNULL, stderr=kw.pop("stderr", subprocess.PIPE), **kw)
    wait_for(lambda: listeners(t.daemons["a"]) > had or p.poll() is not None)
    return p


def surroundings(t):
    """What a process is started with, and who reads it."""
    for closed in ("2>&-", "<&- >&- 2>&-"):
        p = shell(t, ["capture", "--keys", "-c", "8", "-w", HERE + "closed", "wg1"], 'exec "$@" ' + closed)
        seen = t.pings(8)
        same(p.wait(lab.PATIENCE), 0, "a capture goes on without standard descriptors, %s [capture-closed]" % closed)
        got = icmp(HERE + "closed")
        with open(HERE + "closed", "rb") as f:
            data = f.read()
        ok(sound(HERE + "closed") and set(got) <= set(seen) and b"what is written" not in data, "and nothing that is meant for them gets into its file [capture-closed]", got)
    p = shell(t, ["capture", "--keys", "wg1"], 'exec "$@" >&-')
    said = p.communicate(timeout=lab.PATIENCE)[1]
    ok(p.returncode == 1 and b"cannot go on writing standard output: Bad file descriptor" in said, "without standard output there is no capture to it [capture-closed]", p.returncode, said)

    p = shell(t, ["capture", "-w", HERE + "nohup", "wg1"], "trap '' HUP; exec \"$@\"")
    p.send_signal(signal.SIGHUP)
    seen = t.pings(3)
    p.send_signal(signal.SIGINT)
    same((p.wait(lab.PATIENCE), icmp(HERE + "nohup")), (0, sorted(seen)), "a hang-up that is ignored ends nothing [capture-nohup]")

    silent = base64.b64encode(os.urandom(31) + b"\1")
    t.daemons["a"].set("public_key=" + base64.b64decode(silent).hex(), "allowed_ip=192.168.241.80/32")
    for name, words in (("capture", ["capture", "--peer", silent, "wg1"]), ("keylog", ["keylog", "-", "wg1"])):
        p = shell(t, words, stdout=subprocess.PIPE)
        p.stdout.close()
        status, said = p.wait(lab.PATIENCE), p.stderr.read()
        same((status, b"nobody reads" in said or b"Broken pipe" in said), (1, True), "%s sees that its reader went away, also when there is nothing to write [capture-reader-gone]" % name)
    for words in (["capture", "--keys", "-w", HERE + "core", "wg1"], ["keylog", HERE + "core.keys", "wg1"]):
        p = shell(t, words, 'ulimit -c unlimited; exec "$@"')
        with open("/proc/%d/limits" % p.pid) as f:
            limit = [x.split()[4:6] for x in f if x.startswith("Max core file size")]
        p.send_signal(signal.SIGINT)
        same((limit, p.wait(lab.PATIENCE)), ([["0", "0"]], 0), "%s --keys leaves no core [keys-core]" % words[0] if "--keys" in words else "keylog leaves no core [keys-core]")

    with open(HERE + "theirs", "w"):
        pass
    os.chown(HERE + "theirs", 65534, 65534)
    for view in ("--keys", "--inner"):
        refused("a file of somebody else is refused, %s" % view, "capture-private", run(view, "-w", HERE + "theirs", "wg1"), "somebody else")
    with open(HERE + "open", "w"):
        pass
    os.chmod(HERE + "open", 0o640)
    refused("keys are not written to a file that others may open", "capture-private", run("--keys", "-w", HERE + "open", "wg1"), "chmod 600")
    same(os.path.getsize(HERE + "theirs") + os.path.getsize(HERE + "open"), 0, "and nothing is [capture-private]")


def ask(ring):
    """What docs/PROTOCOL-CTL.md says of who listens, without any care: its connection, and the type of the answer."""
    def number(tag, n):
        return struct.pack("!HBHQ", tag, 1, 8, n)
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    s.settimeout(lab.PATIENCE)
    s.connect("/run/ginnel/wg1.ctl")
    socket.send_fds(s, [struct.pack("!BBH", 1, 0, 4) + number(25, 1) + number(26, 127) + number(27, 65535)], [ring])
    return s, struct.unpack("!H", s.recv(65536)[2:4])[0]


HEAD, RING = 4096, 1 << 16  # ctl/ring.c: tail, lost, sleeps in the head, 64 bytes apart


def spoil(ring, how, r):
    """One thing that a listener may do to the memory that it shares."""
    m = mmap.mmap(ring, HEAD + RING)
    if how == "anything":
        m[:] = r.randbytes(HEAD + RING)
    elif how == "some":
        for _ in range(100):
            at = r.randrange(HEAD + RING - 64)
            m[at:at + 64] = r.randbytes(64)
    elif how == "tail":
        m[0:8] = struct.pack("=Q", r.choice((0, 16, RING, 2 ** 64 - 1, 2 ** 63, r.getrandbits(64), r.randrange(RING * 64))))
        m[128:132] = b"\1\0\0\0"
    elif how == "hole":
        libc.fallocate(ring, 3, ctypes.c_long(0), ctypes.c_long(HEAD + RING))
    elif how == "size":
        for size in (0, HEAD, HEAD + 4 * RING):
            try:
                os.ftruncate(ring, size)
            except OSError:
                pass
    m.close()


libc = ctypes.CDLL(None)


def listener_spoils(t):
    """Listeners who do to what is shared whatever they can; some share one memory."""
    r = random.Random(2)
    rings = []
    for seals in (fcntl.F_SEAL_SHRINK, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL):
        ring = os.memfd_create("ring", os.MFD_ALLOW_SEALING)
        os.ftruncate(ring, HEAD + RING)
        fcntl.fcntl(ring, fcntl.F_ADD_SEALS, seals)
        rings += [ring] * 3
    asked = [ask(x) for x in rings]
    same([kind for _, kind in asked], [0x8008] * 6, "six listen, of whom three each have brought the same memory [listen-hostile]")
    for _ in range(30):
        for how in ("tail", "some", "anything", "hole", "size"):
            for ring in set(rings):
                spoil(ring, how, r)
            flood(t, 20)
        t.pings(1, again=True)
    c = Capture(t, "a", "--inner", file=HERE + "beside")
    seen = t.pings(3, again=True)
    same((c.end(), set(seen) <= set(icmp(HERE + "beside"))), (0, True), "whatever they do to it, the tunnel goes on, and who listens beside them hears all [listen-hostile]")
    left = listeners(t.daemons["a"], "left")
    for s, _ in asked:
        s.close()
    ok(wait_for(lambda: listeners(t.daemons["a"], "left") >= left + 6), "and they are forgotten when they go [listen-hostile]")


def stopped(t):
    """A capture that stands still, or is killed, wherever it is."""
    for i in range(12):
        p = subprocess.Popen([SCOPE, "capture", "--keys", "-w", HERE + "phase", "wg1"], stderr=subprocess.DEVNULL)
        select.select([], [], [], 0.001 * i * i)
        p.send_signal(signal.SIGKILL if i % 2 else signal.SIGSTOP)
        flood(t, 50)
        t.pings(1, again=True)
        p.kill()
        p.wait()
    ok(wait_for(lambda: listeners(t.daemons["a"]) == listeners(t.daemons["a"], "left")), "a capture that is stopped or killed at any moment is forgotten, and the tunnel goes on [capture-killed]")


def full(t):
    small = HERE + "small"
    os.makedirs(small)
    lab.run("mount -t tmpfs -o size=64k small " + small)
    had = listeners(t.daemons["a"], "left")
    c = Capture(t, "a", "--inner", file=small + "/file")
    seen = []
    while c.p.poll() is None and len(seen) < 20000:
        seen += t.pings(10, size=1000)
    same((c.p.wait(lab.PATIENCE), "No space left" in c.said(), sound(small + "/file")), (1, True, True),
         "when the disk is full it ends and says so, and the file is whole up to there [capture-full]")
    got = icmp(small + "/file")
    ok(len(got) > 20 and set(got) <= set(seen), "and can be read [capture-full]", len(got), len(seen))
    ok(wait_for(lambda: listeners(t.daemons["a"], "left") > had), "the daemon forgets it [capture-full]")
    # What a shell has put in front stays.
    with open(small + "/file", "wb") as f:
        f.write(b"x" * 5000)
    with open(small + "/file", "ab") as f:
        c = Capture(t, "a", "--inner", stdout=f)
        while c.p.poll() is None:
            t.pings(10, size=1000)
    with open(small + "/file", "rb") as f:
        data = f.read()
    with open(HERE + "behind", "wb") as f:
        f.write(data[5000:])
    ok(data[:5000] == b"x" * 5000 and sound(HERE + "behind") and icmp(HERE + "behind"), "also behind what stood in the file before [capture-full]")
    lab.run("umount " + small)
    had = listeners(t.daemons["a"], "left")
    c = Capture(t, "a", "--keys", file=HERE + "killed")
    c.end(signal.SIGKILL)
    ok(wait_for(lambda: listeners(t.daemons["a"], "left") > had), "a capture that is killed is forgotten [capture-killed]")
    same(len(t.pings(3)), 6, "and the tunnel goes on [capture-killed]")


def flood(t, n):
    with lab.inside("a"):
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for _ in range(n):
        s.sendto(bytes(1300), (INNER["b"], 9))
    s.close()


def slow(t):
    """A reader who does not read, and then reads after all."""
    had = listeners(t.daemons["a"], "left")
    r, w = os.pipe()
    c = Capture(t, "a", "--inner", stdout=w)
    os.close(w)
    for _ in range(20):
        flood(t, 2000)
        t.pings(1, again=True)
    same(len(t.pings(5, again=True)), 10, "a reader who does not read does not hold the tunnel up [capture-slow]")
    with open(HERE + "slow.pcapng", "wb") as f:
        last = b""
        while b"records lost here" not in last:  # which may come in two pieces
            got = os.read(r, 65536)
            f.write(got)
            last = last[-100:] + got
        c.p.send_signal(signal.SIGINT)
        while got := os.read(r, 65536):
            f.write(got)
    os.close(r)
    same(c.p.wait(lab.PATIENCE), 0, "and ends as always [capture-slow]")
    ok(wait_for(lambda: listeners(t.daemons["a"], "left") > had), "and is forgotten [capture-slow]")
    said = [x for x in t.daemons["a"].log_lines() if "capture: a listener left" in x][-1]
    lost = int(said.rsplit("lost=", 1)[1].split()[0])
    ok(lost > 0 and "%d records lost" % lost in c.said(), "what it lost is counted [capture-slow]", said, c.said())
    told = sum(int(x[0].split(": ")[1].split()[0]) for x in fields(HERE + "slow.pcapng", "systemd_journal.message contains \"records lost\"", "systemd_journal.message"))
    same(told, lost, "and stands in the capture, where it was lost [capture-slow]")
    r, w = os.pipe()
    c = Capture(t, "a", "--inner", stdout=w)
    os.close(w)
    for _ in range(3):
        flood(t, 200)
        t.pings(1, again=True)
    same(c.end(), 0, "one that waits for its reader can be ended [capture-slow]")
    os.close(r)


def limits(t):
    c = Capture(t, "a", "--inner", "-c", "3", file=HERE + "count")
    t.pings(3)
    same(c.p.wait(lab.PATIENCE), 0, "a capture of so many packets ends with success [capture-limits]")
    # Of answers to the flood of before, some are late.
    same(len(fields(HERE + "count", "ip", "frame.number")), 3, "and has them [capture-limits]")
    same(run("-d", "1", "-w", HERE + "time", "wg1")[0], 0, "one of so many seconds too [capture-limits]")
    c = Capture(t, "a", "--inner", "--snap=64", file=HERE + "snap")
    k = Capture(t, "a", "--keys", "--snap=64", file=HERE + "snapkeys")
    seen = t.pings(3, size=500)
    c.end()
    k.end()
    rows = fields(HERE + "snap", "icmp.type == 8 || icmp.type == 0", "frame.cap_len", "frame.len")
    ok(len(rows) == len(seen) and all(int(a) == 64 and int(b) >= 528 for a, b in rows), "packets can be cut, and how long they were stays known [capture-snap]", rows)
    ok(fields(HERE + "snapkeys", "wg.type == 2 && wg.handshake_ok", "frame.number"), "messages of handshakes are not cut [capture-snap]")
    stranger = wgpeer.Key()
    t.daemons["a"].set("public_key=" + stranger.public.hex(), "allowed_ip=192.168.241.77/32")
    with open("/etc/wireguard/wg1.conf", "w") as f:
        f.write("[Interface]\n# home\n[Peer]\n# Name = laptop\nPublicKey = %s\nAllowedIPs = %s/32\n[Peer]\nPublicKey = %s\n# other\n" % (
            base64.b64encode(t.keys["b"].public).decode(), INNER["b"], base64.b64encode(stranger.public).decode()))
    two = {who: Capture(t, "a", "--outer", "--peer", who, file=HERE + "peer.%d" % (who == "laptop")) for who in ("laptop", base64.b64encode(stranger.public).decode())}
    named = Capture(t, "a", "--inner", file=HERE + "named")
    seen = t.pings(3)
    for x in list(two.values()) + [named]:
        x.end()
    rows = fields(HERE + "peer.1", "wg", "frame.comment")
    ok(len(rows) >= 6 and all(r == ["laptop"] for r in rows), "a peer can be chosen by the name in the tunnel's file, and messages bear it [capture-peer]", rows)
    same(fields(HERE + "peer.0", "wg", "frame.number"), [], "others are not in it [capture-peer]")
    text = subprocess.run(["tshark", "-r", HERE + "named", "-N", "n", "-Y", "icmp"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
    ok(text.count("laptop") >= len(seen), "addresses inside have names [capture-names]", text)


def hostile(t):
    """What strangers and users send, and names that somebody wrote into the tunnel's file: the files stay readable."""
    with open("/etc/wireguard/wg1.conf", "wb") as f:
        f.write(b"[Peer]\n# \x1b[31m\xff\x00name\nPublicKey = %s\nAllowedIPs = %s/32, %s/32\n" % (
            base64.b64encode(t.keys["b"].public), INNER["b"].encode(), b"x" * 3000))
        f.write(b"[Peer]\n# %%s%%n<b>&'\"\\\nPublicKey = %s\nAllowedIPs = 192.168.241.78/32\n" % base64.b64encode(os.urandom(32)))
    views = {v: Capture(t, "a", "--" + v, file=HERE + "hostile." + v) for v in ("inner", "outer", "keys")}
    r = random.Random(1)
    with lab.inside("b"):
        outside = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with lab.inside("a"):
        inside = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    lengths = {1: 148, 2: 92, 3: 64, 4: 96}
    for i in range(600):
        kind = r.randrange(5)
        data = bytes([kind, 0, 0, 0]) + r.randbytes(max(0, lengths.get(kind, 0) - 4) if r.randrange(3) else r.randrange(1300))
        outside.sendto(data, ("10.0.0.1", PORTS["a"]))
        payload = r.randbytes(r.randrange(1200))
        inside.sendto(struct.pack("!BBHHHBBH4s4s", 0x45, r.randrange(256), 0, i + 1, 0, 1 + r.randrange(255), r.randrange(256), 0,
                                  socket.inet_aton(INNER["a"]), socket.inet_aton(INNER["b"])) + payload, (INNER["b"], 0))
    t.pings(3, again=True)
    for v, c in views.items():
        same(c.end(), 0, "a capture takes what strangers and users send, --%s [capture-hostile]" % v)
        ok(sound(HERE + "hostile." + v), "capinfos reads it whole [capture-hostile]")
        read = subprocess.run(["tshark", "-n", "-r", HERE + "hostile." + v, "-V"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=lab.PATIENCE * 5)
        ok(read.returncode == 0 and b"cut short" not in read.stderr and b"appears" not in read.stderr and read.stdout.count(b"\nFrame ") > 300,
           "and tshark all of it [capture-hostile]", read.stderr[-500:], read.stdout.count(b"\nFrame "))
    ok(b"dropped: " in open(HERE + "hostile.outer", "rb").read(), "with the reason where something was dropped [capture-hostile]")


def replaced(t):
    before = t.handshake("a")
    c = Capture(t, "a", "--keys", file=HERE + "replaced")
    wait_for(lambda: t.handshake("a") != before)
    seen = t.pings(5)
    old = t.daemons["a"]
    log = HERE + "next.log"
    with open(log, "wb") as f:
        env = dict(os.environ, LOG_LEVEL="verbose")
        new = subprocess.Popen(["ip", "netns", "exec", "a", lab.WG, "-f", "--replace", "wg1"], stdin=subprocess.DEVNULL, stdout=f, stderr=f, env=env)
    same(old.gone(), 0, "a daemon takes over under a capture [capture-replace]")
    ok(wait_for(lambda: "capture: a listener came" in open(log).read()), "which goes on with that [capture-replace]", open(log).read())
    seen += t.pings(5)
    t.renew_by_other("b")
    seen += t.pings(5)
    same(c.end(), 0, "in the same file [capture-replace]")
    same(icmp(HERE + "replaced"), sorted(seen), "decrypted before and after, and after new handshakes [capture-replace]")
    c = subprocess.Popen([SCOPE, "capture", "--inner", "-w", HERE + "gone", "wg1"], stderr=subprocess.PIPE, text=True)
    wait_for(lambda: open(log).read().count("capture: a listener came") > 1)
    new.terminate()
    new.wait(lab.PATIENCE)
    status = c.wait(lab.PATIENCE)
    ok(status == 1 and "ended" in c.stderr.read() and sound(HERE + "gone"), "when the daemon ends for good, so does the capture [capture-daemon-gone]")
    t.daemons.pop("a")


def main():
    hosts()
    for workers, psk, v6 in ((1, False, False), (2, True, False), (2, False, True), (1, True, True)):
        t = decrypts(workers, psk, v6)
        if (workers, psk) == (1, True):
            ways(t)
        t.stop()
    t = middle((), False)
    rotation(t)
    bad(t)
    surroundings(t)
    listener_spoils(t)
    stopped(t)
    full(t)
    slow(t)
    limits(t)
    hostile(t)
    replaced(t)
    t.stop()
    middle(("--retain-keys",), True).stop()


if __name__ == "__main__":
    lab.main(900, main)
