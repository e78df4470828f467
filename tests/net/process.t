#!/usr/bin/python3
"""The program's life: arguments, environment, what stops it from starting and what ends it."""
import fcntl
import os
import signal
import socket
import stat
import struct
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lab  # noqa: E402
import wgpeer as w  # noqa: E402
from lab import Daemon, WG, ok, pid_of, same  # noqa: E402
from starts import ENV, SOCKETS  # noqa: E402


def start(*args, env=None, timeout=lab.PATIENCE, prefix=(), **kw):
    """Run the program to its end: (status, stdout, stderr); status None if it goes on."""
    e = {**ENV, **(env or {})}
    # Files, not pipes: a daemon may keep its streams, and a pipe would then not end.
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        p = subprocess.Popen([*prefix, WG, *args], env=e, stdin=subprocess.DEVNULL, stdout=out, stderr=err, **kw)
        try:
            status = p.wait(timeout)
        except subprocess.TimeoutExpired:
            status = None
            p.kill()
            p.wait()
        out.seek(0), err.seek(0)
        return status, out.read(), err.read()


def link_exists(name, ns=None):
    return lab.run("ip link show " + name, ns, check=False).returncode == 0


def socket_exists(name):
    return os.path.exists(SOCKETS + name + ".sock")


def gone(name, pid=None):
    return lab.wait_for(lambda: not link_exists(name) and not socket_exists(name) and not (pid and lab.pid_alive(pid)))


def one_line(err):
    """The lines that give a reason; a banner in a box may stand before them."""
    return [x for x in err.splitlines() if x.strip() and not x.strip()[0] in "┌│└"]


def arguments():
    status, out, err = start("--version")
    ok(status == 0 and out.strip() and "\n" not in out.strip().split("\n\n")[0], "--version prints the version and exits 0 [proc-version]", status, out, err)
    for args in ((), ("a", "b"), ("-f",), ("-f", "a", "b")):
        status, out, err = start(*args)
        ok(status == 0 and "usage" in (out + err).lower(), "usage and exit 0: %s [proc-usage]" % (" ".join(args) or "no argument"),
           status, out, err)
    status, out, err = start("--help")
    ok(status in (0, 1) and WG.rsplit("/", 1)[1] in out + err and not link_exists("--help"), "--help makes no interface [proc-usage]", status, out, err)
    for name, why in (("n" * 16, "a name of 16 characters"), ("n" * 300, "of 300"), ("", "an empty one"), ("a/b", "one with a slash"),
                      ("..", "two dots"), ("a b", "one with a space"), ("../../lab/x", "a path")):
        for flags in (["-f"], []):
            status, out, err = start(*flags, name)
            err = out + err
            ok(status == 1 and len(one_line(err)) == 1, "a name that cannot be is refused with a reason, exit 1: %s, %s [proc-failure]"
               % (why, flags[0] if flags else "daemonised"), status, err)
    same((os.listdir("/run/lab"), os.listdir(SOCKETS) if os.path.isdir(SOCKETS) else []), ([], []), "none of these left a file [proc-failure]")
    d = Daemon("d", "n" * 15)
    same(d.stop(), 0, "a name of 15 characters is taken [proc-foreground]")


def obstacles():
    def failing(name, why, *words, **kw):
        """Refused in the foreground and, as the parent must wait for it, daemonised too."""
        for flags in (["-f"], []):
            before = pid_of(name)
            status, out, err = start(*flags, name, **kw)
            err = out + err
            lines = one_line(err)
            good = status == 1 and len(lines) == 1 and any(x in err.lower() for x in words)
            # The parent may tell before the child that failed has ended.
            ok(lab.wait_for(lambda: pid_of(name) == before) and good, "exit 1 with a reason: %s, %s [proc-failure]" % (why, flags[0] if flags else "daemonised"),
               status, err, "a process is left" if pid_of(name) != before else "")

    failing("wg7", "without privilege", "permitted", "permission", "privilege", "root", "cap_net_admin",
            prefix=["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all"])
    failing("wg7", "without /dev/net/tun", "/dev/net/tun",
            prefix=["unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /dev && exec "$@"', "sh"])
    lab.run("ip link add wg7 type veth peer name wg7b")
    failing("wg7", "an interface of that name exists", "exist", "busy", "invalid", "in use", "wg7")
    ok(link_exists("wg7"), "and that interface is left alone [proc-failure]")
    lab.run("ip link del wg7")
    d = Daemon("d", "wg8")
    # The sockets of all network namespaces are in one directory: this one's daemon is in another.
    failing("wg8", "another daemon has the socket, in whatever namespace", "in use", "already", "exist", "socket")
    ok(d.ready() and d.alive(), "and that daemon goes on [uapi-in-use]")
    os.kill(d.pid, signal.SIGKILL)
    d.gone()
    ok(socket_exists("wg8"), "a daemon that was killed leaves its socket file")
    d = Daemon("d", "wg8")
    ok(d.ready(), "a socket that nobody answers on is replaced [uapi-stale-socket]")
    d.stop()
    with open(SOCKETS + "wg7.sock", "w"):
        pass
    failing("wg7", "a file that is no socket stands in its place", "is no socket: take away")
    ok(os.path.isfile(SOCKETS + "wg7.sock") and not link_exists("wg7"), "and it is left there [proc-failure]")
    os.unlink(SOCKETS + "wg7.sock")


def late_libraries():
    """A library that takes as long to open as the test wants, and then is none."""
    os.mkdir("/run/lab/slow")
    for flags, library in ((["-f"], "libcrypto.so.3"), ([], "libcrypto.so.3"), (["-f"], "libseccomp.so.2")):
        name = "%s, %s" % (library, "in the foreground" if flags else "daemonised")
        fifo = "/run/lab/slow/" + library
        os.mkfifo(fifo)
        with tempfile.TemporaryFile("w+") as err:
            p = subprocess.Popen([WG, *flags, "wg7"], env={**ENV, "LD_LIBRARY_PATH": "/run/lab/slow"}, stdin=subprocess.DEVNULL,
                                 stdout=err, stderr=err)
            ok(lab.wait_for(lambda: socket_exists("wg7") or p.poll() is not None) and p.poll() is None and link_exists("wg7"),
               "interface and socket are there before a library is loaded: %s [start-libraries]" % name)
            with open(fifo, "w") as f:
                f.write("no library")
            status = p.wait(lab.PATIENCE)
            err.seek(0)
            said = one_line(err.read())
        os.unlink(fifo)
        ok(status == 1 and len(said) == 1 and library in said[0], "exit 1 with a reason: it cannot be loaded, %s "
           "[start-libraries] [proc-failure]" % name, status, said)
        ok(gone("wg7"), "and nothing is left behind [start-libraries]")


def endings():
    for sig in (signal.SIGTERM, signal.SIGINT):
        d = Daemon("d", "wg1")
        os.kill(d.pid, sig)
        same((d.gone(), socket_exists("wg1"), link_exists("wg1", "d")), (0, False, False),
             "%s ends it with status 0, and socket and interface are gone [proc-sigterm] [proc-socket-removed]" % sig.name)
    d = Daemon("d", "wg1")
    os.unlink(SOCKETS + "wg1.sock")
    same((d.gone() is not None, link_exists("wg1", "d")), (True, False), "removing the socket ends it [proc-socket-unlinked]")
    d = Daemon("d", "wg1")
    other = Daemon("d", "wg2")
    lab.run("ip -n d link del wg1")
    same((d.gone() is not None, socket_exists("wg1")), (True, False), "deleting the interface ends it, and the socket is gone [proc-tun-gone]")
    ok(other.ready(), "and its neighbour goes on [proc-tun-gone]")
    same(other.stop(), 0, "the neighbour ends by itself [proc-sigterm]")
    # Busy with a client that does not read, and with a link that is up.
    d = Daemon("d", "wg1")
    d.set("private_key=" + w.Key().private.hex(), "listen_port=4000", *[x for i in range(3000) for x in (
        "public_key=" + os.urandom(32).hex(), "endpoint=10.0.0.1:%d" % (i + 1), "persistent_keepalive_interval=1")])
    lab.run("ip -n d link set wg1 up")
    u = lab.Uapi("wg1")
    for _ in range(10):
        u.send("get=1\n\n")
    time.sleep(0.3)
    same((d.stop(), socket_exists("wg1")), (0, False), "SIGTERM ends it in the middle of its work too [proc-sigterm]")


def limits():
    """A log file that is as large as a file may be."""
    log = "/run/lab/limited.log"
    with open(log, "wb") as f:
        p = subprocess.Popen(["prlimit", "--fsize=1500", WG, "-f", "wg1"], env=dict(os.environ, LOG_LEVEL="verbose"),
                             stdin=subprocess.DEVNULL, stdout=f, stderr=f)
    lab.wait_for(lambda: socket_exists("wg1"))

    def flap():
        lab.run("ip link set wg1 up", check=False)
        lab.run("ip link set wg1 down", check=False)
        return os.path.getsize(log) == 1500
    lab.wait_for(flap, step=0)
    same(os.path.getsize(log), 1500, "a log reaches the limit of a file's size [proc-log-limit]")
    for _ in range(5):
        flap()
    try:
        ok("errno=0" in lab.Uapi("wg1").ask("get=1\n\n"), "and the tunnel goes on [proc-log-limit]")
    except OSError as e:
        ok(False, "and the tunnel goes on [proc-log-limit]", e)
    p.terminate()
    same((p.wait(lab.PATIENCE), socket_exists("wg1")), (0, False), "to its orderly end [proc-sigterm]")


    # Nobody takes anything from the first line on.
    r, gone = os.pipe()
    os.close(r)
    with open(log, "wb") as f:
        for prefix, err, why in ((["prlimit", "--fsize=0"], f, "may not grow at all"), ([], gone, "is a pipe that nobody reads any more")):
            p = subprocess.Popen([*prefix, WG, "-f", "wg1"], env=dict(os.environ, LOG_LEVEL="verbose"),
                                 stdin=subprocess.DEVNULL, stdout=f, stderr=err)
            here = lab.wait_for(lambda: p.poll() is None and socket_exists("wg1") and link_exists("wg1"))
            time.sleep(0.2)
            p.terminate()
            same((here, p.wait(lab.PATIENCE), socket_exists("wg1")), (True, 0, False), "a start whose log %s goes on, to an orderly end [log-gone-start]" % why)
            if socket_exists("wg1"):
                os.unlink(SOCKETS + "wg1.sock")
    os.close(gone)


def daemonised():
    for env in ({}, {"WG_PROCESS_FOREGROUND": ""}, {"WG_PROCESS_FOREGROUND": "0"}, {"WG_PROCESS_FOREGROUND": "yes"}):
        name = "WG_PROCESS_FOREGROUND=%s" % env["WG_PROCESS_FOREGROUND"] if env else "no flag"
        status, out, err = start("wg4", env=env)
        here = link_exists("wg4"), socket_exists("wg4")
        same((status, here), (0, (True, True)), "the parent exits 0 when interface and socket are there, %s [proc-daemonise]%s"
             % (name, " [proc-env-foreground]" if env else ""))
        pid = pid_of("wg4")
        if not pid:
            ok(False, "the daemon is there, %s [proc-daemonise]" % name)
            continue
        fds = [os.readlink("/proc/%d/fd/%d" % (pid, n)) for n in (0, 1, 2)]
        same(fds, ["/dev/null"] * 3, "its standard streams are /dev/null [proc-daemon-stdio]")
        ok(os.getsid(pid) != os.getsid(0), "it has left the caller's session [proc-daemonise]")
        ok("errno=0" in lab.Uapi("wg4").ask("get=1\n\n"), "it answers [proc-daemonise]")
        os.kill(pid, signal.SIGTERM)
        ok(gone("wg4", pid), "SIGTERM ends it and leaves nothing [proc-socket-removed]")
    # With LOG_LEVEL set it goes on to log where its caller had it.
    log = open("/run/lab/daemon.log", "w+")
    p = subprocess.Popen([WG, "wg4"], env={**os.environ, "LOG_LEVEL": "verbose", "WG_PROCESS_FOREGROUND": ""},
                         stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    pid = p.wait(lab.PATIENCE) == 0 and pid_of("wg4")
    fds = [os.readlink("/proc/%d/fd/%d" % (pid, n)) for n in (0, 1, 2)] if pid else []
    same(fds, ["/dev/null", "/dev/null", log.name], "with LOG_LEVEL set its standard error is its caller's [proc-daemon-stdio]")
    before = os.path.getsize(log.name)
    lab.run("ip link set wg4 up")
    ok(lab.wait_for(lambda: os.path.getsize(log.name) > before), "and it logs there [proc-daemon-stdio]")
    pid and os.kill(pid, signal.SIGTERM)
    ok(gone("wg4", pid), "until it ends [proc-daemon-stdio]")
    status, out, err = start("wg4", env={"LOG_LEVEL": "silent"})
    pid = pid_of("wg4")
    ok(link_exists("wg4") and pid, "LOG_LEVEL=silent daemonises [proc-log-level]")
    pid and os.kill(pid, signal.SIGTERM)
    gone("wg4", pid)
    for _ in range(5):
        start("wg4")
        lab.run("ip link del wg4")
        ok(gone("wg4", pid_of("wg4")), "made and deleted with ip link, as wg-quick does [proc-tun-gone] [proc-wg-quick]")

    # The foreground.
    for args, env in ((["-f", "wg5"], {}), (["--foreground", "wg5"], {}), (["wg5"], {"WG_PROCESS_FOREGROUND": "1"})):
        d = Daemon("d", "wg5", args=args, env=dict({"WG_PROCESS_FOREGROUND": "", "LOG_LEVEL": "error"}, **env))
        ok(d.alive() and len(d.log_lines()) <= 20, "%s stays in the foreground [proc-foreground]%s" % (
            " ".join(args[:-1]) or "WG_PROCESS_FOREGROUND=1", "" if args[0].startswith("-") else " [proc-env-foreground]"), *d.log_lines())
        same(d.stop(), 0, "and ends with status 0 [proc-sigterm]")
    sizes = []
    for level in ("silent", "error", "verbose"):
        d = Daemon("d", "wg5", env={"LOG_LEVEL": level, "WG_PROCESS_FOREGROUND": "1"})
        d.set("private_key=" + w.Key().private.hex(), "public_key=" + os.urandom(32).hex(), "endpoint=10.0.0.1:9",
              "persistent_keepalive_interval=1")
        lab.run("ip -n d link set wg5 up")
        time.sleep(0.2)
        d.stop()
        sizes.append(os.path.getsize(d.log))
    ok(sizes[0] == 0 and sizes[2] > sizes[1], "LOG_LEVEL: silent says nothing, verbose more than error [proc-log-level]", sizes)


def descriptors():
    def made_tun(name):
        tun = os.open("/dev/net/tun", os.O_RDWR)
        fcntl.ioctl(tun, 0x400454ca, struct.pack("16sH22x", name, 0x0001 | 0x1000 | 0x4000))  # TUN, NO_PI, VNET_HDR
        return tun

    def made_socket():
        os.makedirs(SOCKETS, exist_ok=True)
        s = socket.socket(socket.AF_UNIX)
        s.bind(SOCKETS + "wg6.sock")
        s.listen()
        return s.detach()

    # In another network namespace than ours, where another one bears its name.
    lab.run("ip netns add elsewhere")
    lab.run("ip link add wg6 type veth peer name wg6b")
    with lab.inside("elsewhere"):
        tun = made_tun(b"wg6")
    with open("/run/lab/fd.log", "wb") as log:
        p = subprocess.Popen([WG, "-f", "wg6"], env=dict(os.environ, WG_TUN_FD=str(tun)), pass_fds=[tun], stdout=log, stderr=log)
    os.close(tun)
    up = lab.wait_for(lambda: socket_exists("wg6") and "mtu 1420" in lab.run("ip link show wg6", "elsewhere"))
    same((bool(up), "mtu 1500" in lab.run("ip link show wg6")), (True, True),
         "an adopted interface in another namespace gets its MTU there, and one here of its name keeps its own [proc-tun-fd-netns]")
    p.terminate()
    same(p.wait(lab.PATIENCE), 0, "and ends as ever [proc-sigterm]")
    lab.run("ip link del wg6")
    lab.run("ip netns del elsewhere")

    # What somebody else made; the interface has another name than the argument says.
    for which in (("WG_TUN_FD",), ("WG_UAPI_FD",), ("WG_TUN_FD", "WG_UAPI_FD")):
        fds = {v: made_tun(b"wg6") if v == "WG_TUN_FD" else made_socket() for v in which}
        tags = " ".join("[%s]" % ("proc-tun-fd" if v == "WG_TUN_FD" else "proc-uapi-fd") for v in which)
        log = open("/run/lab/fd.log", "w+")
        p = subprocess.Popen([WG, "-f", "other" if "WG_TUN_FD" in which else "wg6"], pass_fds=fds.values(), stdout=log, stderr=log,
                             env=dict(os.environ, **{v: str(fd) for v, fd in fds.items()}))
        for fd in fds.values():
            os.close(fd)
        lab.wait_for(lambda: socket_exists("wg6"))
        try:
            u = lab.Uapi("wg6")
            ok("errno=0" in u.ask("set=1\nprivate_key=%s\nlisten_port=6666\n\n" % w.Key().private.hex()),
               "%s: adopted and served, by the interface's name %s" % (" and ".join(which), tags))
            u.close()
        except OSError as e:
            ok(False, "%s: adopted and served, by the interface's name %s" % (" and ".join(which), tags), e, open(log.name).read())
        ok("mtu 1420" in lab.run("ip link show wg6", check=False).stdout and not link_exists("other") and not socket_exists("other"),
           "with MTU 1420, and no other is made [tun-mtu-1420] %s" % tags)
        # Adopted descriptors must not block: with packets waiting for nobody it still answers.
        lab.run("ip addr add 10.77.0.1/24 dev wg6")
        lab.run("ip link set wg6 up")
        same(bool(lab.wait_for(lambda: "6666" in lab.run("ss -Hlun"))), True, "and works %s" % tags)
        lab.run("ping -c 3 -i 0.1 -W 1 10.77.0.2", check=False)
        u = lab.Uapi("wg6")
        ok("listen_port=6666" in u.ask("get=1\n\n"), "with packets that wait for more, it answers %s" % tags)
        u.close()
        p.terminate()
        same((p.wait(lab.PATIENCE), link_exists("wg6"), socket_exists("wg6")), (0, False, False), "and ends as ever [proc-sigterm] %s" % tags)
    for env in ({"WG_TUN_FD": "x"}, {"WG_TUN_FD": "999"}, {"WG_TUN_FD": "0"}, {"WG_TUN_FD": "-1"}, {"WG_UAPI_FD": "x"},
                {"WG_UAPI_FD": "999"}):
        status, out, err = start("-f", "wg6", env=env)
        ok(status == 1 and len(one_line(err)) == 1, "%s=%s is refused with a reason [proc-failure]" % list(env.items())[0], status, err)
        os.path.exists(SOCKETS + "wg6.sock") and os.unlink(SOCKETS + "wg6.sock")


def in_memory(pid, what):
    """Is it anywhere in the memory that a process can write to?"""
    with open("/proc/%d/maps" % pid) as maps, open("/proc/%d/mem" % pid, "rb", 0) as mem:
        for line in maps:
            area, mode = line.split()[:2]
            at, end = (int(x, 16) for x in area.split("-"))
            if mode[:2] != "rw" or end - at > 1 << 28:  # the greater are the sanitizers' own
                continue
            try:
                mem.seek(at)
                if what in mem.read(end - at):
                    return True
            except (OSError, OverflowError, ValueError):
                pass
    return False


def secrets():
    d = Daemon("d", "wg1")
    key = w.Key()
    d.set("private_key=" + key.private.hex(), "listen_port=5555", "public_key=" + os.urandom(32).hex(),
          "preshared_key=" + os.urandom(32).hex(), "endpoint=10.0.0.1:9", "persistent_keepalive_interval=1")
    lab.run("ip -n d link set wg1 up")
    log = lab.wait_for(lambda: [x for x in d.log_lines() if "initiation-sent" in x] and "\n".join(d.log_lines()))
    ok(log and key.private.hex() not in log and w.b64(key.private) not in log, "the log never shows a key, however verbose [secret-not-logged]")
    keys = [os.urandom(32) for _ in range(3)]
    peer = "public_key=" + w.Key().public.hex()
    d.set("private_key=" + key.private.hex(), peer, "preshared_key=" + keys[0].hex())
    d.ask("set=1\n%s\npreshared_key=%s\nbad=1\npreshared_key=%s\n\n" % (peer, keys[1].hex(), keys[2].hex()))
    ok(keys[1].hex() in d.ask("get=1\n\n"), "keys are set and shown, before an error too [uapi-error-keeps]")

    def found():
        return [k.hex() for k in [key.private] + keys if in_memory(d.pid, k.hex().encode())]
    # Who has the answer may be quicker than who sent it and wipes it then.
    lab.wait_for(lambda: not found())
    same(found(), [], "no request and no answer is left in memory, whose keys these were [uapi-wipe]")
    ok(in_memory(d.pid, keys[1]), "where the keys themselves are")
    caps = [x.split()[1] for x in open("/proc/%d/status" % d.pid) if x.startswith(("CapEff", "CapPrm"))]
    keeps = (1 << 12) | (1 << 11) | (1 << 10)  # NET_ADMIN, NET_BROADCAST, NET_BIND_SERVICE
    ok(all(int(c, 16) & ~keeps == 0 for c in caps), "it keeps the network capabilities only [box-capabilities]", caps)
    seccomp = [x.split()[1] for x in open("/proc/%d/status" % d.pid) if x.startswith("Seccomp:")]
    same(seccomp, ["2"], "its system calls are filtered [box-seccomp]")
    said = any("memory is not locked" in x for x in d.log_lines())
    may = subprocess.run(["prlimit", "--memlock=unlimited", "true"], stderr=subprocess.DEVNULL).returncode == 0
    same((d.status("VmLck") > 0, said), (False, False) if d.sanitised() else (may, not may),
         "its memory is kept out of swap, or it says that it may not do that [secrets-locked]")
    with open("/proc/%d/smaps" % d.pid) as f:
        libraries = f.read().split("libIPSec_MB")[1:]
    kb = sum(int(x.split("Rss:", 1)[1].split()[0]) for x in libraries)
    ok(libraries and kb < 1024, "of the code that it starts with little stays in memory [pages-start]", kb)
    nnp = [x.split()[1] for x in open("/proc/%d/status" % d.pid) if x.startswith("NoNewPrivs:")]
    same(nnp, ["1"], "it can gain no privilege [box-no-new-privileges]")

    def regular_files():
        for f in os.listdir("/proc/%d/fd" % d.pid):
            f = "/proc/%d/fd/%s" % (d.pid, f)
            try:
                if stat.S_ISREG(os.stat(f).st_mode):
                    yield os.readlink(f)
            except FileNotFoundError:
                pass  # a client's connection may just be closed
    files = list(regular_files())
    ok(not [f for f in files if not f.startswith("/run/lab/")], "it holds no file open, but its log [box-descriptors]", files)
    d.set("fwmark=51", "listen_port=443")
    ok("443" in lab.run("ss -Hlun", "d"), "inside its box it sets marks and binds low ports [box-works] [sock-mark]")
    same(d.stop(), 0, "and removes its socket [proc-socket-removed]")


def links():
    d = Daemon("d", "wg1")
    d.set("private_key=" + w.Key().private.hex(), "listen_port=5555")
    def bound():
        return "5555" in lab.run("ss -Hlun", "d")
    lab.run("ip -n d link set wg1 up")
    same(lab.wait_for(bound), True, "link up binds the port [link-up-down]")
    lab.run("ip -n d link set wg1 down")
    same(lab.wait_for(lambda: not bound()), True, "link down closes it [link-up-down] [link-down-effects]")
    for _ in range(20):
        lab.run("ip -n d link set wg1 up")
        lab.run("ip -n d link set wg1 down")
    lab.run("ip -n d link set wg1 up")
    same(lab.wait_for(bound), True, "however often and fast [link-up-down]")
    lab.run("ip netns add inner")
    lab.run("ip -n d link set wg1 netns inner")
    time.sleep(0.1)
    lab.run("ip -n inner link set wg1 up")
    same((lab.wait_for(bound), "5555" in lab.run("ss -Hlun", "inner")), (True, False),
         "in another namespace the interface works, and its sockets stay where they were [link-socket-netns] [link-netns]")
    lab.run("ip -n inner link set wg1 down")
    same(lab.wait_for(lambda: not bound()), True, "link down is seen there [link-netns]")
    lab.run("ip -n inner link set wg1 up")
    lab.wait_for(bound)
    lab.run("ip -n inner link del wg1")
    same((d.gone() is not None, socket_exists("wg1")), (True, False), "and its end [link-netns] [proc-tun-gone]")
    d = Daemon("d", "wg1")
    lab.run("ip -n inner link set lo down")
    lab.run("ip -n d link set wg1 netns inner")
    lab.run("ip netns del inner")
    same(bool(lab.wait_for(lambda: not d.alive())), True, "deleting the namespace that holds the interface ends it [proc-tun-gone]")
    d.gone(0.1)


def test():
    lab.host("d")
    for part in (arguments, obstacles, late_libraries, endings, limits, daemonised, descriptors, secrets, links):
        t = time.monotonic()
        part()
        lab.note("%s: %.1f s" % (part.__name__, time.monotonic() - t))


lab.main(600, test)
