"""
tests/net/lab.py - the laboratory of lib.sh for tests written in Python.

enter(SECONDS) starts the script again inside namespaces of its own (network, process, mount, an empty /run), which the
kernel takes away with everything in them when the script ends, however it ends.  The script itself stands in the
network namespace that it calls its own; daemons run in hosts made with host().

Whatever a test waits for is a condition, and PATIENCE bounds only how long a hang lasts: on a busy machine all things
come late, and what is late has not failed.

WG names the program under test, build/bin/ginnel-wg if unset.  WIREGUARD_GO names the foreign one.
"""

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, "tests", "peer"))

WG = os.environ.get("WG") or os.path.join(TOP, "build", "bin", "ginnel-wg")
WIREGUARD_GO = os.environ.get("WIREGUARD_GO", "/usr/bin/wireguard-go")
CLONE_NEWNET = 0x40000000
PATIENCE = 60  # seconds
_libc = ctypes.CDLL(None, use_errno=True)
_count = _failed = 0
_daemons = []


class Timeout(BaseException):
    pass


def enter(seconds):
    """Go on inside the laboratory, as root, for at most that many seconds."""
    if os.environ.get("GINNEL_LAB") != "1" or os.getpid() != 1:
        if os.geteuid():
            print("Bail out! namespaces need root: run this with sudo")
            sys.exit(1)
        os.environ["GINNEL_LAB"] = "1"
        os.execvp("unshare", ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc",
                              sys.executable] + sys.argv)
    del os.environ["GINNEL_LAB"]
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    sys.stdout.reconfigure(line_buffering=True)
    run("mount -t tmpfs -o mode=755 lab /run")
    os.makedirs("/run/netns")
    os.makedirs("/run/lab")
    run("ip link set lo up")
    run("sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0")

    def timeout(*_):
        signal.alarm(2)  # once more, should something be waited for on the way out
        raise Timeout("not done after %d seconds" % seconds)

    def stop(sig, _):
        sys.exit(128 + sig)
    signal.signal(signal.SIGALRM, timeout)
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGHUP, stop)
    signal.alarm(seconds)


def main(seconds, test):
    """enter(), run test(), print the plan and exit: the whole life of a test script."""
    enter(seconds)
    try:
        test()
        if _daemons:
            same([d.name for d in _daemons if not d.alive()], [], "no daemon has died before the end [no-crash]")
    except (Exception, Timeout) as e:
        print("# " + traceback.format_exc().replace("\n", "\n# "))
        _logs()
        print("Bail out! %s" % e)
        os._exit(1)
    if _failed:
        _logs()
    print("1..%d" % _count)
    sys.stdout.flush()
    os._exit(_failed > 0)


def _logs():
    for d in _daemons:
        print("# --- the last lines of %s, in host %s:" % (d.name, d.ns))
        for line in d.log_lines()[-15:]:
            print("#   " + line)


# --- TAP

def ok(good, name, *why):
    """One result.  why: shown when it failed."""
    global _count, _failed
    _count += 1
    _failed += not good
    print("%sok %d - %s" % ("" if good else "not ", _count, name))
    if not good:
        for w in why:
            print("#   " + str(w).replace("\n", "\n#   "))
    return bool(good)


def same(got, want, name):
    return ok(got == want, name, "got  %r" % (got,), "want %r" % (want,))


def skip(name, why):
    global _count
    _count += 1
    print("ok %d - %s # SKIP %s" % (_count, name, why))


def note(text):
    print("# " + text)


# --- hosts

def run(cmd, ns=None, check=True, **kw):
    """Run a command line or list, in a host; return its standard output."""
    cmd = cmd.split() if isinstance(cmd, str) else list(cmd)
    if ns:
        cmd = ["ip", "netns", "exec", ns] + cmd
    p = subprocess.run(cmd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **kw)
    if check and p.returncode:
        raise RuntimeError("%s: exit status %d: %s" % (" ".join(cmd), p.returncode, p.stdout))
    return p.stdout if check else p


def host(ns, dev="eth", mine="10.0.0.1/24", theirs="10.0.0.2/24", mine6="fd00:aa::1/64", theirs6="fd00:aa::2/64"):
    """
    A host with a cable to the script's own namespace:

          this script                              host NS
          eth-NS  10.0.0.1  fd00:aa::1 ----------- eth  10.0.0.2  fd00:aa::2
    """
    run("ip netns add " + ns)
    run("ip -n %s link set lo up" % ns)
    run("sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0", ns)
    run("ip link add eth-%s type veth peer name %s netns %s" % (ns, dev, ns))
    run("ip link set eth-%s up" % ns)
    run("ip -n %s link set %s up" % (ns, dev))
    for a in filter(None, (mine, mine6)):
        run("ip addr add %s dev eth-%s%s" % (a, ns, " nodad" if ":" in a else ""))
    for a in filter(None, (theirs, theirs6)):
        run("ip -n %s addr add %s dev %s%s" % (ns, a, dev, " nodad" if ":" in a else ""))


@contextlib.contextmanager
def inside(ns):
    """Sockets made inside this block belong to the host."""
    there = os.open("/run/netns/" + ns, os.O_RDONLY)
    here = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        if _libc.setns(there, CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
        yield
    finally:
        _libc.setns(here, CLONE_NEWNET)
        os.close(here)
        os.close(there)


def udp_socket(ns, addr, port=0):
    """A bound UDP socket in a host."""
    with inside(ns):
        s = socket.socket(socket.AF_INET6 if ":" in addr else socket.AF_INET, socket.SOCK_DGRAM)
        s.bind((addr, port))
    s.settimeout(PATIENCE)
    return s


def recv_or_none(s, timeout=0.3):
    s.settimeout(timeout)
    try:
        return s.recv(65535)
    except (socket.timeout, BlockingIOError):
        return None


def wait_for(condition, timeout=PATIENCE, step=0.02):
    """The condition's value as soon as it is true, else its last value."""
    end = time.monotonic() + timeout
    while True:
        v = condition()
        if v or time.monotonic() > end:
            return v
        time.sleep(step)


# --- daemons

class Uapi:
    """A conversation with /run/wireguard/NAME.sock."""

    def __init__(self, name, timeout=PATIENCE):
        self.s = socket.socket(socket.AF_UNIX)
        self.s.connect("/var/run/wireguard/%s.sock" % name)  # with a timeout it would fail where others wait already
        self.s.settimeout(timeout)
        self.buf = b""

    def send(self, text):
        self.s.sendall(text.encode() if isinstance(text, str) else text)

    def answer(self):
        """The next answer up to its blank line, or what came of it before the daemon closed or fell silent."""
        buf, at = bytearray(self.buf), 0
        while (end := buf.find(b"\n\n", at)) < 0:
            at = max(0, len(buf) - 1)
            try:
                got = self.s.recv(1 << 20)
            except socket.timeout:
                return buf.decode() + "(and nothing more)"
            except ConnectionResetError:
                got = b""
            if not got:
                self.buf = b""
                return buf.decode()
            buf += got
        self.buf = bytes(buf[end + 2:])
        return buf[:end + 2].decode()

    def ask(self, text):
        self.send(text)
        return self.answer()

    def close(self):
        self.s.close()


class Daemon:
    """The program under test (or another) in the foreground in a host."""

    def __init__(self, ns, name, program=None, env=None, wait=True, args=None):
        self.ns, self.name = ns, name
        self.log = "/run/lab/%s.log" % name
        e = dict(os.environ, LOG_LEVEL="verbose", WG_PROCESS_FOREGROUND="1")
        e.update(env or {})
        with open(self.log, "wb") as f:
            self.p = subprocess.Popen(["ip", "netns", "exec", ns, program or WG] + (args or ["-f", name]),
                                      stdin=subprocess.DEVNULL, stdout=f, stderr=f, env=e)
        _daemons.append(self)
        if wait and not (wait_for(lambda: self.ready() or not self.alive()) and self.alive()):
            raise RuntimeError("%s did not come up: %s" % (program or WG, "\n".join(self.log_lines())))

    @property
    def pid(self):
        return self.p.pid

    def ready(self):
        try:
            return "errno=0" in self.ask("get=1\n\n")
        except OSError:  # nobody is there, or has no room for one more client and turns it away
            return False

    def alive(self):
        return self.p.poll() is None

    def log_lines(self):
        with open(self.log, errors="replace") as f:
            return f.read().splitlines()

    def stop(self):
        """End it; its exit status."""
        self.p.terminate()
        return self.gone()

    def gone(self, timeout=PATIENCE):
        """Wait for its end; its exit status, None if it goes on."""
        try:
            status = self.p.wait(timeout)
        except subprocess.TimeoutExpired:
            return None
        if self in _daemons:
            _daemons.remove(self)
        if _failed:
            for line in self.log_lines():
                if "wg: dropped" in line:
                    note("host %s: %s" % (self.ns, line))
        return status

    def ask(self, text):
        u = Uapi(self.name)
        try:
            return u.ask(text)
        finally:
            u.close()

    def set(self, *lines):
        """A UAPI set that must succeed.  Keyword-like lines: "key=value"."""
        got = self.ask("set=1\n" + "".join(x + "\n" for x in lines) + "\n")
        if got != "errno=0\n\n":
            raise RuntimeError("set %r: %r" % (lines, got))

    def get(self):
        """(device, peers): a dict, and a dict of public key (hex) to dict with a list "allowed_ip"."""
        device, peers, d = {}, {}, None
        text = self.ask("get=1\n\n")
        for line in text.splitlines():
            k, _, v = line.partition("=")
            if k == "public_key":
                d = peers.setdefault(v, {"allowed_ip": []})
            elif k == "errno" or not k:
                d = None
            elif k == "allowed_ip":
                d[k].append(v)
            else:
                (device if d is None else d)[k] = v
        return device, peers

    def peer(self, public):
        return self.get()[1].get(public.hex(), {})

    def status(self, field):
        """A figure of /proc/PID/status in kB: VmRSS, VmHWM."""
        with open("/proc/%d/status" % self.pid) as f:
            return next((int(x.split()[1]) for x in f if x.startswith(field + ":")), 0)

    def cpu(self):
        """Seconds of processor time, user and system."""
        with open("/proc/%d/stat" % self.pid) as f:
            p = f.read().rsplit(")", 1)[1].split()
        return (int(p[11]) + int(p[12])) / os.sysconf("SC_CLK_TCK")

    def sanitised(self):
        """Built with a sanitizer: its memory says nothing about the program's."""
        with open("/proc/%d/exe" % self.pid, "rb") as f:
            text = f.read()
        return b"__asan_init" in text or b"__tsan_init" in text


def pid_alive(pid):
    try:
        with open("/proc/%d/stat" % pid) as f:
            return f.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def pid_of(name, but=(1,)):
    """The process in which the program serves an interface, as a daemon."""
    for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
        try:
            with open("/proc/%d/cmdline" % pid, "rb") as f:
                args = f.read().split(b"\0")
        except OSError:
            continue
        if pid not in but and os.path.basename(WG).encode() in args[0] and name.encode() in args[1:] and pid_alive(pid):
            return pid
    return None


def in_thread(f, *args):
    t = threading.Thread(target=f, args=args, daemon=True)
    t.start()
    return t
