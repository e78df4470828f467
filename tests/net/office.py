"""
tests/net/office.py - the office network of the notes, for tests: hosts with files of their own.

	                        internet
	   10.0.0.0/24 |   10.0.1.0/24 |      | 10.0.2.0/24  | 10.0.3.0/24
	               z              g1      g2             e
	                               |       |
	         192.168.201.0/24 -----+--     +------ 192.168.200.0/24
	                          |    |       |    |
	                          a.2  b.55   c.2  d.244

g1 and g2 are gateways that translate addresses.  g1 has routes to the office by a; g2 knows nothing, c stands in.
Each host has its own /run, /etc and /var/lib: a host of Linux could be one for each.
"""
import os
import re
import socket
import subprocess

import lab

OFFICE = os.path.join(os.path.dirname(lab.WG), "ginnel-office")
DESK = "/run/lab/desk"
FILE = DESK + "/office.net"
NET = """
z hub    z.test:51820
a node   192.168.201.0/24 return route at .2
c node   192.168.200.0/24 return snat
b host   a .55
d host   c .244
e person 10.70.0.4
"""
OWN = ("passwd", "group", "hosts", "nsswitch.conf", "ld.so.cache", "protocols", "services", "iproute2", "alternatives")
QUICK = r'''
ip()
{
	if [[ $* == *"type wireguard"* ]]; then
		echo "Error: Unknown device type." >&2
		return 2
	fi
	command ip "$@"
}
export -f ip
[[ ! -e /sys/module/wireguard ]] || mount -t tmpfs none /sys/module || exit
exec wg-quick "$@"
'''
keepers = {}


def host(ns):
    """A host with its own network, /run, /etc and /var/lib."""
    lab.run("ip netns add " + ns)
    lab.run("ip -n %s link set lo up" % ns)
    lab.run("sysctl -qw net.ipv6.conf.default.disable_ipv6=1 net.ipv4.conf.all.rp_filter=1 net.ipv4.conf.default.rp_filter=1", ns)
    script = "mount -t tmpfs own /var/lib && mkdir /run/etc-$1 && mount -t tmpfs own /run/etc-$1 && cd /etc && cp -a %s /run/etc-$1 && " \
             "mount --bind /run/etc-$1 /etc && mount -t tmpfs -o mode=755 own /run && echo 10.0.0.2 z.test >>/etc/hosts && " \
             "echo 'hosts: files' >/etc/nsswitch.conf && mount --bind /bin /bin && echo ready && exec sleep infinity" % " ".join(OWN)
    p = subprocess.Popen(["ip", "netns", "exec", ns, "unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh", ns],
                         stdout=subprocess.PIPE, text=True)
    if p.stdout.readline() != "ready\n":
        raise RuntimeError("no host " + ns)
    keepers[ns] = p


def there(ns, cmd):
    return ["nsenter", "-t", str(keepers[ns].pid), "-m", "-n"] + (cmd.split() if isinstance(cmd, str) else list(cmd))


def run(ns, cmd, **kw):
    return lab.run(there(ns, cmd), **kw)


def call(ns, cmd, stdin=""):
    """(status, everything it said)"""
    p = subprocess.run(there(ns, cmd) if ns else cmd, input=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return p.returncode, p.stdout


def cable(ns1, dev1, address1, ns2, dev2, address2):
    lab.run("ip link add %s netns %s type veth peer name %s netns %s" % (dev1, ns1, dev2, ns2))
    for ns, dev, address in ((ns1, dev1, address1), (ns2, dev2, address2)):
        lab.run("ip -n %s link set %s up" % (ns, dev))
        if address:
            lab.run("ip -n %s addr add %s dev %s" % (ns, address, dev))


def gateway(ns, wan, lan, members):
    lab.run("ip -n %s link add lan type bridge" % ns)
    lab.run("ip -n %s link set lan up" % ns)
    lab.run("ip -n %s addr add %s.1/24 dev lan" % (ns, lan))
    for m, at in members.items():
        cable(ns, "to-" + m, None, m, "eth0", "%s.%d/24" % (lan, at))
        lab.run("ip -n %s link set to-%s master lan" % (ns, m))
        lab.run("ip -n %s route add default via %s.1" % (m, lan))
    run(ns, ["sysctl", "-qw", "net.ipv4.ip_forward=1"])
    run(ns, ["nft", "add table ip nat; add chain ip nat post { type nat hook postrouting priority srcnat; }; "
             "add rule ip nat post oifname wan masquerade"])


def internet():
    lab.run("ip netns add net")
    lab.run("ip -n net link set lo up")
    lab.run("sysctl -qw net.ipv4.ip_forward=1", "net")
    for i, ns in enumerate(("z", "g1", "g2", "e")):
        dev = "wan" if ns[0] == "g" else "eth0"
        cable("net", "to-" + ns, "10.0.%d.1/24" % i, ns, dev, "10.0.%d.2/24" % i)
        lab.run("ip -n %s route add default via 10.0.%d.1" % (ns, i))


def office(*args, stdin=""):
    return call(None, [OFFICE, *args], stdin)


def desk(verb, *args, stdin=""):
    """A verb of the administrator: what it prints on standard output; all must go well."""
    p = subprocess.run([OFFICE, verb, "--file=" + FILE, *args], input=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if p.returncode:
        raise RuntimeError("%s %s: %s" % (verb, args, p.stderr))
    return p.stdout


def bundle(m):
    return desk("export", m)


def quick(m, verb, program=lab.WG):
    """wg-quick in a host, with the program under test or another in the place of the kernel's WireGuard."""
    said = call(m, ["env", "WG_QUICK_USERSPACE_IMPLEMENTATION=" + program, "bash", "-c", QUICK, "quick", verb, "/run/office.conf"])
    if verb == "down":
        lab.wait_for(lambda: call(m, "wg show office")[0])  # the daemon ends when it sees that its interface is gone
    return said


def put(m, text):
    call(m, ["sh", "-c", "umask 077; cat >/run/office.conf"], text)


def ping(ns, to, n=3):
    """How many were lost."""
    out = run(ns, "ping -n -q -c %d -i 0.1 -W 20 %s" % (n, to), check=False).stdout
    got = re.search(r"(\d+) received", out)
    return n - int(got.group(1)) if got else n


def source_seen(ns, to, at):
    """The address that the far end sees of a connection."""
    with lab.inside(ns):
        server = socket.socket()
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind((at, 7777))
        server.listen(1)
    server.settimeout(lab.PATIENCE)
    with lab.inside(to):
        client = socket.socket()
    try:
        client.setblocking(False)
        client.connect_ex((at, 7777))
        conn, who = server.accept()
        conn.close()
        return who[0]
    finally:
        client.close()
        server.close()


def stream(ns, to, at, n=300000, patience=lab.PATIENCE):
    """How many of n bytes get from a host to the address of another by TCP, and as many back: (there, back)."""
    with lab.inside(to):
        server = socket.create_server((at, 7778))
    with lab.inside(ns):
        client = socket.socket()
    server.settimeout(patience)
    client.settimeout(patience)
    there = back = 0

    def drain(s):
        got = 0
        try:
            while got < n and (piece := s.recv(65536)):
                got += len(piece)
        except OSError:
            pass
        return got

    def send(s):
        try:
            s.sendall(bytes(n))
        except OSError:
            pass

    with server, client:
        try:
            client.connect((at, 7778))
            conn, _ = server.accept()
        except OSError:
            return 0, 0
        with conn:
            conn.settimeout(patience)
            for a, b in ((client, conn), (conn, client)):
                t = lab.in_thread(send, a)
                got = drain(b)
                there, back = (got, back) if a is client else (there, got)
                if got < n:
                    break
                t.join()
    return there, back


class Monitor:
    """Every change of links, addresses, routes, rules and of nftables in a host."""

    def __init__(self, ns):
        self.ns, self.marks, self.p = ns, 0, []
        self.files = ["/run/lab/%s.%s" % (ns, x) for x in ("ip", "nft")]
        for f, cmd in zip(self.files, ("ip monitor link address route rule", "nft monitor")):
            self.p.append(subprocess.Popen(there(ns, ["stdbuf", "-oL", *cmd.split()]), stdout=open(f, "w")))
        lab.wait_for(lambda: all(self.mark()), step=0.1)
        self.at = self.mark_and_wait()

    def mark(self):
        """Make a change of our own in each; whether it was seen."""
        self.marks += 1
        name = "mark%d-" % self.marks
        run(self.ns, "ip rule add pref %d table 1" % (20000 + self.marks))
        run(self.ns, "ip rule del pref %d table 1" % (20000 + self.marks))
        run(self.ns, "nft add table ip " + name)
        run(self.ns, "nft delete table ip " + name)
        return self.seen()

    def seen(self):
        words = "Deleted %d:" % (20000 + self.marks), "delete table ip mark%d-" % self.marks
        return [w in open(f).read() for f, w in zip(self.files, words)]

    def mark_and_wait(self):
        self.mark()
        lab.wait_for(lambda: all(self.seen()))
        return [os.path.getsize(f) for f in self.files]

    def stop(self):
        """What was seen since it began."""
        before, good = self.at, self.mark_and_wait()
        for p in self.p:
            p.terminate()
            p.wait()
        seen = [] if good and all(self.seen()) else ["it has stopped listening"]
        for f, at in zip(self.files, before):
            with open(f) as x:
                x.seek(at)
                seen += [line.strip() for line in x if line.strip() and not re.search(r"2\d{4}:|table ip mark|new generation", line)]
        return seen


def build():
    """All of it, and the desk of the administrator."""
    os.makedirs(DESK)
    lab.run(["sh", "-c", "echo 10.0.0.2 z.test >/run/lab/hosts && mount --bind /run/lab/hosts /etc/hosts"])
    for ns in ("z", "g1", "a", "b", "g2", "c", "d", "e"):
        host(ns)
    internet()
    gateway("g1", "10.0.1.2", "192.168.201", {"a": 2, "b": 55})
    gateway("g2", "10.0.2.2", "192.168.200", {"c": 2, "d": 244})
    for to in ("192.168.200.0/24", "10.70.0.0/16"):
        lab.run("ip -n g1 route add %s via 192.168.201.2" % to)
    with open(FILE, "w") as f:
        f.write(NET)
    # The kernel looks somewhat later whether a cable is in.
    for ns in keepers:
        lab.wait_for(lambda ns=ns: not re.search("NO-CARRIER|DOWN", lab.run("ip -n %s -o link show up" % ns)))
