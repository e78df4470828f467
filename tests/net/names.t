#!/usr/bin/python3
"""Endpoints that are names, of peers that fall silent: ginnel-conf looks them up again, and both families are tried until one
answers.  The daemon is this script, so that a peer is silent for three minutes when it says so."""
import base64
import os
import socket
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lab  # noqa: E402
import wgpeer as w  # noqa: E402
from lab import ok, same, wait_for  # noqa: E402

CONF = os.path.join(os.path.dirname(os.path.abspath(lab.WG)), "ginnel-conf")
FILE = "/run/lab/wg5.conf"
LOG = "/run/lab/watch"


class Daemon:
    """What a daemon says of its one peer."""

    def __init__(self, name):
        self.own, self.peer, self.name = w.Key(), w.Key(), name
        self.lock = threading.Lock()
        self.endpoint, self.handshake, self.sent, self.set, self.looks = "", 0, 0, [], 0
        os.makedirs("/run/wireguard", exist_ok=True)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind("/run/wireguard/%s.sock" % name)
        self.listener.listen()
        lab.in_thread(self.run)

    def run(self):
        while True:
            s, _ = self.listener.accept()
            lab.in_thread(self.serve, s)

    def serve(self, s):
        text = b""
        while data := s.recv(65536):
            text += data
            while b"\n\n" in text:
                request, text = text.split(b"\n\n", 1)
                s.sendall(self.answer(request.decode()).encode())

    def answer(self, request):
        with self.lock:
            if request.startswith("set"):
                for x in request.splitlines():
                    if x.startswith("endpoint="):
                        self.endpoint = x[9:]
                        self.set.append(x[9:])
                return "errno=0\n\n"
            self.looks += 1
            self.sent += 148  # something is sent all the while
            return "private_key=%s\nlisten_port=5\npublic_key=%s\n%slast_handshake_time_sec=%d\nlast_handshake_time_nsec=0\ntx_bytes=%d\n" \
                "rx_bytes=0\npersistent_keepalive_interval=0\nallowed_ip=10.5.0.0/24\nprotocol_version=1\nerrno=0\n\n" % (
                    self.own.private.hex(), self.peer.public.hex(), "endpoint=%s\n" % self.endpoint if self.endpoint else "",
                    self.handshake, self.sent)


def hosts(*lines):
    with open("/run/lab/hosts", "w") as f:
        f.write("".join(x + " vpn.test\n" for x in lines))


def test():
    lab.run("ip netns add n")
    lab.run("ip -n n link add wg5 type veth peer name wg5b")
    d = Daemon("wg5")
    with open("/run/lab/nsswitch", "w") as f:
        f.write("hosts: files\n")
    hosts("192.0.2.1")
    for x in ("hosts", "nsswitch.conf"):
        lab.run(["mount", "--bind", "/run/lab/" + x.split(".")[0], "/etc/" + x])
    with open(FILE, "w") as f:
        os.chmod(FILE, 0o600)
        f.write("[Interface]\nPrivateKey = %s\nListenPort = 5\n[Peer]\nPublicKey = %s\nAllowedIPs = 10.5.0.0/24\nEndpoint = vpn.test:1111\n" % (
            base64.b64encode(d.own.private).decode(), base64.b64encode(d.peer.public).decode()))

    def apply():
        """Also has the watcher look at once."""
        looks = d.looks
        r = subprocess.run(["ip", "netns", "exec", "n", CONF, "apply", FILE], stdin=subprocess.DEVNULL, capture_output=True, text=True)
        # One look is of apply itself.
        return r.returncode == 0 and wait_for(lambda: d.looks >= looks + 2), r.stdout + r.stderr

    r = subprocess.run(["ip", "netns", "exec", "n", CONF, "apply", FILE], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    ok(r.returncode == 0 and d.set == ["192.0.2.1:1111"], "the address of the name is set at the start [conf-names-silent]", r.stderr, d.set)
    d.set, d.handshake = [], int(time.time())
    with open(LOG, "w") as f:
        watch = subprocess.Popen(["ip", "netns", "exec", "n", CONF, "watch", FILE], stdout=f, stderr=f)
    ok(wait_for(lambda: d.looks >= 2), "the peer is watched")
    hosts("192.0.2.2", "fd00::2")  # what the name means by now
    ok(all(apply()[0] for _ in range(2)) and d.set == [], "while it answers the name is not looked up again [conf-names-silent]", d.set)

    d.handshake = int(time.time()) - 200
    for _ in range(2):
        ok(apply()[0], "the watcher looks at a peer that has been silent for more than three minutes")
    both = wait_for(lambda: len(d.set) >= 2)
    with d.lock:
        d.handshake = int(time.time())  # it answers at the second one
    ok(both and sorted(d.set[:2]) == ["192.0.2.2:1111", "[fd00::2]:1111"],
       "then the name is looked up again, and its address of either family tried [conf-names-silent]", d.set, open(LOG).read())
    apply()  # whatever was decided before has been done then
    tried = list(d.set)
    ok(all(apply()[0] for _ in range(3)) and d.set == tried and d.endpoint == tried[-1],
       "the first that completes a handshake stays [conf-names-silent]", d.set)

    # And again, with one address that is new.
    hosts("fd00::3")
    d.handshake = int(time.time()) - 200
    for _ in range(2):
        apply()
    ok(wait_for(lambda: d.endpoint == "[fd00::3]:1111"), "the next silence looks the name up anew [conf-names-silent]", d.set)
    same(watch.poll(), None, "the watcher stays")
    ok(base64.b64encode(d.own.private).decode() not in open(LOG).read(), "and prints no key [conf-secrets]")
    watch.terminate()
    watch.wait()


lab.main(600, test)
