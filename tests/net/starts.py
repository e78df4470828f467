"""
tests/net/starts.py - starts that may fail, and what is wrong with how they end.

A start has to end in one of two ways: the program serves, inside its box; or it has exited with status 1, said why in
one line, and left neither socket nor interface.
"""

import os
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lab  # noqa: E402
from faults import Faults  # noqa: E402
from lab import WG, ok  # noqa: E402

SOCKETS = "/var/run/wireguard/"
ENV = {k: v for k, v in os.environ.items() if not k.startswith("WG") and k != "LOG_LEVEL"}


def exists(name):
    return [x for x in (SOCKETS + name + ".sock", "/run/ginnel/" + name + ".ctl", "/sys/class/net/" + name) if os.path.exists(x)]


def reasons(err):
    """Why it ended; what it did without is no reason."""
    return [x for x in err.splitlines() if x.startswith("ginnel-wg") and "; going on" not in x]


class Start:
    """One start of the program in the foreground, in the script's own host."""
    FLAGS = ["-f"]

    def __init__(self, name, faults=None, prefix=(), log=None):
        self.name, self.log = name, "/run/lab/%s.log" % (log or name)
        args = ["env", *faults.args(WG, *self.FLAGS, name)] if faults else [WG, *self.FLAGS, name]
        with open(self.log, "wb") as f:
            self.p = subprocess.Popen([*prefix, *args], env=ENV, stdin=subprocess.DEVNULL, stdout=f, stderr=f)

    def settle(self, timeout=lab.PATIENCE):
        """Wait until it serves (True) or is gone (False); None: neither, a hang."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            if self.p.poll() is not None:
                return False
            if os.path.exists(SOCKETS + self.name + ".sock"):
                try:
                    u = lab.Uapi(self.name, timeout=2)
                    if "errno=0" in u.ask("get=1\n\n"):
                        return True
                except OSError:
                    pass
            time.sleep(0.005)
        return None

    def pid(self):
        return self.p.pid

    def said(self):
        with open(self.log, errors="replace") as f:
            return f.read()

    def end(self, kill=False):
        self.p.kill() if kill else self.p.terminate()
        try:
            return self.p.wait(lab.PATIENCE)
        except subprocess.TimeoutExpired:
            self.p.kill()
            return self.p.wait()


class Background(Start):
    """The same, into the background: what counts is how the parent ends."""
    FLAGS = []

    def settle(self, timeout=lab.PATIENCE):
        try:
            return self.p.wait(timeout) == 0
        except subprocess.TimeoutExpired:
            return None

    def pid(self):
        return lab.pid_of(self.name, but=(1, self.p.pid))

    def end(self, kill=False):
        """0: the daemon ended when it was told to."""
        self.p.poll() is None and self.p.kill()
        self.p.wait()
        pid = self.pid()
        if not pid:
            return "there is no daemon"
        os.kill(pid, signal.SIGKILL if kill else signal.SIGTERM)
        if lab.wait_for(lambda: not lab.pid_alive(pid)):
            return 0
        os.kill(pid, signal.SIGKILL)
        return "no SIGTERM ends it"


def boxed(pid):
    """Is it inside its box?  The names of /proc/PID/status with their values."""
    with open("/proc/%d/status" % pid) as f:
        st = dict(x.split(":", 1) for x in f)
    caps = 1 << 12 | 1 << 11 | 1 << 10
    return int(st["CapEff"], 16) & ~caps == 0 and st["NoNewPrivs"].strip() == "1"


def judge(start, served, what):
    """What is wrong with how a start under a fault ended, or None."""
    said = start.said()
    if served is None:
        start.end(kill=True)
        return "%s: it hung: %s" % (what, said)
    if served:
        box = boxed(start.pid())
        status = start.end()
        if not box:
            return "%s: it serves outside of its box" % what
        if status:
            return "%s: it served, but ended with %s: %s" % (what, status, start.said())
    elif start.FLAGS == [] and not lab.wait_for(lambda: not start.pid()):  # the parent may tell before the child has ended
        return "%s: the parent failed, but a process is left: %s" % (what, start.end(kill=True))
    elif start.p.returncode != 1:
        return "%s: exit status %s: %s" % (what, start.p.returncode, said)
    elif len(reasons(said)) != 1:
        return "%s: %d lines give a reason: %s" % (what, len(reasons(said)), said)
    left = exists(start.name)
    return left and "%s: left behind: %s" % (what, left)


def sweep(call, error, step=1, least=80, how=Start):
    """Let the first call fail, then the second, until one start has none left to fail."""
    wrong, survived, n, k = [], {}, 0, 0
    while True:
        f = Faults("sweep")
        f.rules("%s %s +%d x1" % (call, error, k))
        s = how("wg3", f)
        served = s.settle()
        struck, last = f.hits(), f.last()
        f.rules()
        bad = judge(s, served, "call %d, %s with %s" % (k, last, error))
        if not struck:
            if not served or bad:
                wrong.append(bad or "it does not start without a fault: " + s.said())
            break
        n += 1
        if bad:
            wrong.append(bad)
        elif served:
            survived[last] = survived.get(last, 0) + 1
        k += step
    ok(not wrong and n >= least, "each of %d calls of a start %s fails with %s: it ends with one reason and leaves nothing, "
       "or does without [start-each-call]" % (n, "in the foreground" if how is Start else "into the background", error), *wrong[:12])
    lab.note("done without: " + " ".join("%s:%d" % x for x in sorted(survived.items())))
