"""
tests/net/captures.py - a tunnel between two hosts, ginnel capture on either, and what tshark reads of it.

      host a                                                host b
      wg1  192.168.241.1                ..tunnel..          wg2  192.168.241.2
      eth  10.0.0.1  fd00:aa::1  UDP 51820 ----------- eth  10.0.0.2  fd00:aa::2  UDP 51821
"""
import base64
import os
import signal
import socket
import struct
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lab  # noqa: E402
import wgpeer  # noqa: E402
from lab import wait_for  # noqa: E402

BIN = os.path.dirname(os.path.abspath(lab.WG))
SCOPE, GINNEL = os.path.join(BIN, "ginnel-scope"), os.path.join(BIN, "ginnel")
HERE = "/run/lab/"
INNER = {"a": "192.168.241.1", "b": "192.168.241.2"}
PORTS = {"a": 51820, "b": 51821}
NAMES = {"a": "wg1", "b": "wg2"}
OTHER = {"a": "b", "b": "a"}


class Tunnel:
    """Two daemons that know each other."""

    def __init__(self, workers=1, psk=False, v6=False, options=()):
        self.keys = {ns: wgpeer.Key() for ns in "ab"}
        self.psk = os.urandom(32) if psk else None
        self.daemons = {}
        self.seq = 0
        for ns in "ab":
            d = lab.Daemon(ns, NAMES[ns], args=["-f", "--workers=%d" % workers, *options, NAMES[ns]])
            self.daemons[ns] = d
            o = OTHER[ns]
            at = ("[fd00:aa::%d]" if v6 else "10.0.0.%d") % (1 if o == "a" else 2)
            d.set("private_key=" + self.keys[ns].private.hex(), "listen_port=%d" % PORTS[ns],
                  "public_key=" + self.keys[o].public.hex(), "preshared_key=" + (self.psk or bytes(32)).hex(),
                  "endpoint=%s:%d" % (at, PORTS[o]), "allowed_ip=%s/32" % INNER[o])
            lab.run("ip -n %s addr add %s/24 dev %s" % (ns, INNER[ns], NAMES[ns]))
            lab.run("ip -n %s link set %s up" % (ns, NAMES[ns]))

    def stop(self):
        for d in self.daemons.values():
            d.stop()

    def pings(self, n, frm="a", size=100, again=False):
        """
        As many echo requests, one after the other is answered: what went through: type, sequence number, data.
        again: the interface is so full that some do not get through.
        """
        seen = []
        with lab.inside(frm):
            s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
        s.settimeout(1 if again else lab.PATIENCE)
        for _ in range(n):
            self.seq += 1
            data = b"\xff" * 8 + os.urandom(size - 8)
            message = struct.pack("!BBHHH", 8, 0, 0, 0x4711, self.seq) + data
            message = message[:2] + checksum(message) + message[4:]
            for _ in range(lab.PATIENCE):
                s.sendto(message, (INNER[OTHER[frm]], 0))
                try:
                    got = s.recv(65535)[20:]
                    while got[0] != 0 or got[6:8] != message[6:8]:
                        got = s.recv(65535)[20:]
                    break
                except socket.timeout:
                    if not again:
                        raise
            else:
                raise RuntimeError("the tunnel stands still")
            seen += [(8, self.seq, data.hex()), (0, self.seq, got[8:].hex())]
        s.close()
        return seen

    def handshake(self, ns):
        p = self.daemons[ns].peer(self.keys[OTHER[ns]].public)
        return p["last_handshake_time_sec"], p["last_handshake_time_nsec"]

    def renew(self, ns):
        """A new handshake that this host begins: a listener to keys who has none of the session brings it about."""
        before = self.handshake("a"), self.handshake("b")
        c = Capture(self, ns, "--keys", file=HERE + "renew.pcapng")
        done = wait_for(lambda: self.handshake("a") != before[0] and self.handshake("b") != before[1])
        c.end()
        if not done:
            raise RuntimeError("no new handshake")

    def renew_by_other(self, ns):
        """The same where only this host's daemon is one that is watched."""
        before = self.handshake(ns)
        c = Capture(self, ns, "--keys", file=HERE + "renew.pcapng")
        wait_for(lambda: self.handshake(ns) != before)
        c.end()

    def secrets(self):
        return [k.private for k in self.keys.values()] + ([self.psk] if self.psk else [])


def checksum(data):
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data[:len(data) & ~1]))
    total += data[-1] << 8 if len(data) & 1 else 0
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return struct.pack("!H", ~total & 0xffff)


def listeners(d, what="came"):
    return sum("capture: a listener " + what in line for line in d.log_lines())


class Capture:
    """One that runs, and whom the daemon has heard."""
    count = 0

    def __init__(self, tunnel, ns, *options, file=None, stdout=None, wait=True):
        Capture.count += 1
        self.daemon, self.file = tunnel.daemons[ns], file
        had = listeners(self.daemon)
        words = [SCOPE, "capture", *options, *(("-w", file) if file else ()), NAMES[ns]]
        self.err = HERE + "capture.err.%d" % Capture.count
        with open(self.err, "wb") as err:
            self.p = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=stdout or subprocess.DEVNULL, stderr=err)
        if wait and not wait_for(lambda: listeners(self.daemon) > had or self.p.poll() is not None):
            raise RuntimeError("nobody listens")

    def end(self, sig=signal.SIGINT):
        """Its exit status.  What passed before is in the file."""
        self.p.send_signal(sig)
        return self.p.wait(lab.PATIENCE)

    def said(self):
        with open(self.err, errors="replace") as f:
            return f.read()


def tshark(*words, check=True):
    p = subprocess.run(["tshark", "-n", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=lab.PATIENCE * 5)
    errors = [x for x in p.stderr.splitlines() if "Running as user" not in x]
    if check and (p.returncode or errors):
        raise RuntimeError("tshark %s: %d: %s" % (" ".join(words), p.returncode, errors))
    return p.stdout


def fields(file, show, *names):
    """Rows of the first value of each field."""
    words = [x for n in names for x in ("-e", n)]
    return [line.split("\t") for line in
            tshark("-r", file, "-Y", show, "-T", "fields", "-E", "occurrence=f", *words).splitlines()]


def icmp(file, interface=None):
    show = "icmp" + (' && frame.interface_name == "%s"' % interface if interface else "")
    return sorted((int(t), int(seq), data) for t, seq, data in fields(file, show, "icmp.type", "icmp.seq", "data.data"))


def sound(file):
    """capinfos finds no fault."""
    p = subprocess.run(["capinfos", "-M", "-c", file], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return p.returncode == 0 and "Number of packets" in p.stdout and "cut short" not in p.stdout and "appears" not in p.stdout


def forms(secret):
    """A key as it could stand in a file."""
    text = base64.b64encode(secret)
    return [secret, text, text[:42], secret.hex().encode(), secret.hex().upper().encode()]


def holds(file, secrets):
    with open(file, "rb") as f:
        data = f.read()
    return [s for s in secrets if any(x in data for x in forms(s))]


def key_log(file):
    """The keys that are in the file: of Wireshark's kind, by label."""
    data = open(file, "rb").read()
    at, found = 0, []
    while at + 12 <= len(data):
        kind, length = struct.unpack_from("=II", data, at)
        if kind == 10:
            n = struct.unpack_from("=I", data, at + 12)[0]
            for line in data[at + 16:at + 16 + n].decode().splitlines():
                label, _, value = line.partition("=")
                found.append((label, base64.b64decode(value)))
        at += length
    return found


def hosts():
    """Both, and a tshark that nobody configured."""
    os.environ["HOME"] = HERE + "home"
    os.environ.pop("XDG_CONFIG_HOME", None)
    os.makedirs(HERE + "home")
    lab.run("mount -t tmpfs conf /etc/wireguard")
    for ns in "ab":
        lab.run("ip netns add " + ns)
        lab.run("ip -n %s link set lo up" % ns)
    lab.run("ip link add eth netns a type veth peer name eth netns b")
    for ns, n in (("a", 1), ("b", 2)):
        lab.run("ip -n %s addr add 10.0.0.%d/24 dev eth" % (ns, n))
        lab.run("ip -n %s addr add fd00:aa::%d/64 dev eth nodad" % (ns, n))
        lab.run("ip -n %s link set eth up" % ns)
