"""tests/net/successor.py - a daemon that takes over from another, held or ended on the way, and one who only says so."""
import os
import socket
import struct
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lab  # noqa: E402
from lab import WG  # noqa: E402

STOP = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(WG))), "tests", "net", "fault", "stop.so")
MESSAGES = {"tunnel": 0x9001, "descriptors": 0x9002, "piece": 0x9003, "prepared": 0x9004, "freeze": 0x9005, "final": 0x9007,
            "ready": 0x9008, "commit": 0x9009, "taken": 0x900a}


class Next(lab.Daemon):
    """A daemon that takes over; stop: where it or the old one is stopped, as stop.c says."""
    count = 0

    def __init__(self, ns, name, *options, replace=True, stop=None, program=None):
        Next.count += 1
        self.ns, self.name = ns, name
        self.log = "/run/lab/%s.%d.log" % (name, Next.count)
        env = dict(os.environ, LOG_LEVEL="verbose")
        if stop:
            env.update(LD_PRELOAD=STOP, STOP_AT=stop, ASAN_OPTIONS=os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0")
        args = [program or WG, "-f"] + (["--replace"] if replace else []) + list(options) + [name]
        words = ["env"] + ["%s=%s" % (k, env[k]) for k in ("LD_PRELOAD", "STOP_AT", "ASAN_OPTIONS") if k in env and stop]
        for k in ("LD_PRELOAD", "STOP_AT"):
            env.pop(k, None)
        with open(self.log, "wb") as f:
            self.p = subprocess.Popen(["ip", "netns", "exec", ns] + words + args, stdin=subprocess.DEVNULL, stdout=f, stderr=f, env=env)
        lab._daemons.append(self)

    def said(self, text):
        return any(text in line for line in self.log_lines())

    def took_over(self):
        return self.said("handover: took over")

    def pause_us(self):
        return next((int(x.rsplit("pause_us=", 1)[1]) for x in self.log_lines() if "pause_us=" in x), None)


class Stranger:
    """Whoever asks for a tunnel by hand."""

    def __init__(self, name, version=1):
        self.s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.s.settimeout(lab.PATIENCE)
        self.s.connect("/run/ginnel/%s.ctl" % name)
        self.s.send(struct.pack("!BBH", 1, 0, 3) + struct.pack("!HBHQ", 0x8001, 1, 8, version))

    def hear(self):
        """The type of the next frame; 0 at the end."""
        data, fds, _, _ = socket.recv_fds(self.s, 65536, 8)
        for fd in fds:
            os.close(fd)
        return struct.unpack_from("!H", data, 2)[0] if data else 0

    def until(self, message):
        while (m := self.hear()) not in (0, message):
            pass
        return m

    def say(self, message):
        self.s.send(struct.pack("!BBH", 1, 0, message))
