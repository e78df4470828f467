#!/usr/bin/python3
"""ginnel metrics: the text by Prometheus' own checker, and served by HTTP to clients of every sort."""
import base64
import os
import re
import signal
import socket
import stat
import struct
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lab  # noqa: E402
import wgpeer as w  # noqa: E402
from lab import Daemon, WG, ok, same  # noqa: E402

GINNEL = os.path.join(os.path.dirname(WG), "ginnel")
PATH = "/run/metrics/m.sock"

# Fetched outside, where there is a network; unpacked and not installed, for the package would start a server.
if "PROMTOOL" not in os.environ:
    p = subprocess.run([os.path.join(lab.TOP, "scripts", "foreign"), "bookworm", "prometheus"], stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, text=True)
    os.environ["PROMTOOL"] = p.stdout.strip() + ("/run/promtool" if p.returncode == 0 else "")


def metrics(*args):
    return subprocess.run([GINNEL, "metrics", *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=lab.PATIENCE)


def check(text, name):
    if not os.access(os.environ["PROMTOOL"], os.X_OK):
        lab.skip(name, "no promtool: " + os.environ["PROMTOOL"])
        return
    p = subprocess.run([os.environ["PROMTOOL"], "check", "metrics"], input=text, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                       text=True, timeout=lab.PATIENCE)
    same((p.returncode, p.stdout), (0, ""), name)


class Exporter:
    def __init__(self, where, *names):
        self.p = subprocess.Popen([GINNEL, "metrics", "--listen", where, *names], stdin=subprocess.DEVNULL)
        if where.startswith("unix:"):
            self.address = (socket.AF_UNIX, where[5:])
        else:
            host, port = where.rsplit(":", 1)
            self.address = (socket.AF_INET6 if "[" in host else socket.AF_INET, (host.strip("[]"), int(port)))
        if not lab.wait_for(self.answers):
            raise RuntimeError("nobody listens on " + where)

    def connect(self):
        s = socket.socket(self.address[0])
        s.connect(self.address[1])
        s.settimeout(lab.PATIENCE)
        return s

    def answers(self):
        try:
            self.connect().close()
        except OSError:
            return False
        return True

    def ask(self, request):
        s = self.connect()
        s.sendall(request)
        got = b""
        try:
            while piece := s.recv(1 << 16):
                got += piece
        except ConnectionResetError:
            pass
        s.close()
        return got.decode()

    def stop(self):
        self.p.send_signal(signal.SIGTERM)
        return self.p.wait(lab.PATIENCE)


def curl(*args):
    return lab.run(["curl", "-sS", "-m", str(lab.PATIENCE), *args])


class Endless:
    """A control channel on which one request has one more frame every second, for ever."""

    def __enter__(self):
        self.s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.s.bind("/run/ginnel/endless.ctl")
        self.s.listen()
        self.thread = lab.in_thread(self.run)

    def run(self):
        try:
            c, _ = self.s.accept()
            while True:
                c.send(struct.pack("!BBH", 1, 0, 0x8006))
                time.sleep(1)
        except OSError:
            pass

    def __exit__(self, *_):
        self.s.shutdown(socket.SHUT_RDWR)
        os.unlink("/run/ginnel/endless.ctl")
        self.thread.join(lab.PATIENCE)


def values(text, name):
    return {re.sub(r"^[^{]*", "", k): float(v) for k, v in
            (x.rsplit(" ", 1) for x in text.splitlines() if x.startswith(name + "{"))}


def test():
    os.environ["no_proxy"] = "*"
    lab.host("a")
    key, peer = w.Key(), w.Key()
    d = Daemon("a", "wg1")
    d.set("private_key=" + key.private.hex(), "listen_port=5000", "public_key=" + peer.public.hex(), "endpoint=[fd00:aa::1]:1234",
          "allowed_ip=10.1.0.0/16")
    odd = Daemon("a", 'q"x\\y')
    text = metrics().stdout
    check(text, "promtool finds nothing to complain about [metrics-promtool]")
    labels = '{interface="wg1",public_key="%s"}' % base64.b64encode(peer.public).decode()
    same((values(text, "ginnel_peer_receive_bytes_total"), values(text, "ginnel_peer_allowed_ips")), ({labels: 0.0}, {labels: 1.0}),
         "a peer has its samples, labelled with interface and key [metrics-format]")
    ok('ginnel_peers{interface="q\\"x\\\\y"} 0\n' in text, "labels are escaped [metrics-format]", text[:2000])
    names = re.findall(r"^# TYPE (\S+) (\S+)$", text, re.M)
    ok(len(names) == len(set(names)) >= 10 and all(n.startswith("ginnel_") and n.endswith("_total") == (t == "counter") for n, t in names),
       "names begin with ginnel_, and those of counters and no others end with _total [metrics-format]", names)
    ok(not any(k.private.hex() in text or base64.b64encode(k.private).decode() in text for k in (key, peer)),
       "no private key is in it [metrics-format]")
    odd.stop()
    p = metrics("wg1", "wg7")
    same((p.returncode, p.stdout, p.stderr), (1, "", "ginnel metrics: no ginnel-wg runs for wg7 (no /run/ginnel/wg7.ctl)\n"),
         "printed once, a tunnel that is missing is an error [metrics-once]")

    os.mkdir("/run/metrics")
    for where, args in (("unix:" + PATH, ("--unix-socket", PATH, "http://ginnel/metrics")), ("127.0.0.1:9586", ("http://127.0.0.1:9586/metrics",)),
                        ("[::1]:9586", ("http://[::1]:9586/metrics",))):
        e = Exporter(where)
        got = curl(*args)
        check(got, "served on %s it is the same to promtool [metrics-promtool]" % where)
        ok(labels in got, "and has the peer [metrics-http]", got[:500])
        if where.startswith("unix:"):
            same(oct(stat.S_IMODE(os.stat(PATH).st_mode)), "0o660", "the socket is for its owner and group [metrics-http]")
        same(metrics("--listen", where).returncode, 1, "a place that is taken is refused [metrics-http]")
        same((e.stop(), os.path.exists(PATH)), (0, False), "SIGTERM ends it, and the socket goes [metrics-http]")
    for where in ("9586", "unix:m.sock", "localhost:x", "127.0.0.1", ""):
        p = metrics("--listen", where)
        ok(p.returncode and len(p.stderr.splitlines()) == 1, "%r is no place to listen on [metrics-http]" % where, p)

    e = Exporter("127.0.0.1:9586")
    e.ask(b"GET / HTTP/1.1\r\n\r\n")  # it listens before it serves
    with open("/proc/%d/status" % e.p.pid) as f:
        status = dict(x.split(":", 1) for x in f)
    same(status["NoNewPrivs"].strip(), "1", "it gives up privileges for good [metrics-box]")
    if d.sanitised():
        lab.skip("and its system calls are filtered [metrics-box]", "a sanitizer needs more")
    else:
        same(status["Seccomp"].strip(), "2", "and its system calls are filtered [metrics-box]")
    for request, answer in ((b"GET /metrics HTTP/1.0\n\n", "200"), (b"HEAD /metrics HTTP/1.1\r\n\r\n", "200"), (b"GET /metrics?x=1 HTTP/1.1\r\n\r\n", "200"),
                            (b"GET / HTTP/1.1\r\n\r\n", "404"), (b"GET /metrics/../../etc/passwd HTTP/1.1\r\n\r\n", "404"),
                            (b"POST /metrics HTTP/1.1\r\n\r\n", "405"), (b"GET\r\n\r\n", "400"), (b"\r\n\r\n", "400"), (b"GET /\0 HTTP/1.1\r\n\r\n", "400"),
                            (b"GET /metrics HTTP/2.0\r\n\r\n", "400"), (b"GET /" + b"a" * 5000, "431")):
        got = e.ask(request)
        same(got[9:12], answer, "%r is answered with %s [metrics-hostile]" % (request[:30], answer))
    ok(e.ask(b"HEAD /metrics HTTP/1.1\r\n\r\n").endswith("\r\n\r\n"), "HEAD has no body [metrics-hostile]")
    for i in range(200):
        e.ask(os.urandom(1 + i) + b"\r\n\r\n")
    ok(labels in e.ask(b"GET /metrics HTTP/1.1\r\n\r\n"), "after random bytes it still serves [metrics-hostile]")
    slow = [e.connect() for _ in range(100)]
    for s in slow[::2]:
        try:
            s.sendall(b"GET /metr")
        except OSError:
            pass  # it had to make room already
    ok(labels in e.ask(b"GET /metrics HTTP/1.1\r\n\r\n"), "a hundred clients that say nothing keep nobody out [metrics-slow]")
    fds = len(os.listdir("/proc/%d/fd" % e.p.pid))
    ok(fds < 60, "and take no more than their places [metrics-slow]", fds)
    for s in slow:
        s.close()
    # Tunnels come and go.
    d.p.kill()
    d.gone()
    got = e.ask(b"GET /metrics HTTP/1.1\r\n\r\n")
    ok(got[9:12] == "200" and "interface=" not in got, "without a tunnel it serves no samples [metrics-http]", got)
    d = Daemon("a", "wg1")
    ok(lab.wait_for(lambda: 'ginnel_up{interface="wg1"}' in e.ask(b"GET /metrics HTTP/1.1\r\n\r\n")), "and those of one that came later [metrics-http]")
    with Endless():
        got = e.ask(b"GET /metrics HTTP/1.1\r\n\r\n")
        ok('ginnel_up{interface="wg1"}' in got and "endless" not in got, "one that answers for ever hides no other [metrics-others]", got[:500])
    same(e.stop(), 0, "it ends as it should [metrics-http]")


lab.main(600, test)
