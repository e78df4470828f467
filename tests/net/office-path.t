#!/usr/bin/env python3
"""
The path of a member to its hub: how large packets may be, where carriers drop fragments; at which port it answers, where
they drop what goes to another.
"""
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lab  # noqa: E402
from lab import ok, same, wait_for  # noqa: E402
from office import FILE, NET, OFFICE, build, bundle, call, desk, ping, run, stream, there  # noqa: E402

DROP_FRAGMENTS = "add table ip carrier; add chain ip carrier pre { type filter hook prerouting priority -450; }; " \
                 "add rule ip carrier pre iifname { wan, to-g1 } ip frag-off & 0x3fff != 0 counter drop"


def up(m, *args, stdin=""):
    return call(m, [OFFICE, "up", *args], stdin)


def at_terminal(m):
    """What up prints there."""
    master, slave = os.openpty()
    p = subprocess.Popen(there(m, [OFFICE, "up"]), stdin=subprocess.DEVNULL, stdout=slave, stderr=slave)
    os.close(slave)
    out = b""
    try:
        while piece := os.read(master, 4096):
            out += piece
    except OSError:  # the last who had it open is gone
        pass
    os.close(master)
    p.wait()
    return out.decode()


def write(text):
    with open(FILE, "w") as f:
        f.write(text)


def learnt(m):
    return run(m, ["sh", "-c", "cat /var/lib/ginnel/office.learnt 2>/dev/null || :"])


def passes(ns, to, size):
    """Whether a packet of that size that may not be cut into fragments gets there and back."""
    return wait_for(lambda: call(ns, "ping -n -q -c 1 -W 5 -M do -s %d %s" % (size - 28, to))[0] == 0)


def dies(ns, to, size):
    return call(ns, "ping -n -q -c 3 -i 0.2 -W 1 -M do -s %d %s" % (size - 28, to))[0] != 0


def mtu(ns):
    return int(re.search(r" mtu (\d+)", run(ns, "ip link show office")).group(1))


def measured(m, want):
    """Measure until that is what was found; what it said."""
    said = []

    def again():
        said.append(up(m, "--probe")[1])
        return "%s mtu %d\n" % (m, want) in learnt(m) and mtu(m) == want
    wait_for(again, step=0.2)
    return said[-1]


def small_path(to):
    """
    Between g1 and the internet only so much fits, and both drop what was cut; nobody remembers what fitted before.  In the
    tunnel it is 60 less, and as the hub fills its packets up, a multiple of 16.
    """
    lab.run("ip -n net link set to-g1 mtu %d" % to)
    lab.run("ip -n g1 link set wan mtu %d" % to)
    for ns in ("a", "z", "g1", "net"):
        lab.run("sysctl -qw net.ipv4.route.flush=1", ns)


def size():
    for m in ("z", "e"):
        same(up(m, "-", stdin=bundle(m))[0], 0, "%s is up" % m)
    wait_for(lambda: learnt("e") or (up("e") and False), step=0.2)
    same(learnt("e"), "e mtu 1420\n", "where all fits, the office's MTU is what was measured [office-mtu]")
    same(learnt("z"), "", "the hub measures nothing")

    # --- too much is said
    for ns in ("net", "g1"):
        lab.run(["nft", DROP_FRAGMENTS], ns)
    small_path(1400)
    write(NET.replace("at .2", "at .2 mtu 1420"))
    same(up("a", "-", stdin=bundle("a"))[0], 0, "a is up, with an MTU that was said")
    same((mtu("a"), learnt("a")), (1420, ""), "what is said is not measured [office-mtu]")
    ok(passes("a", "10.70.0.1", 1328) and dies("a", "10.70.0.1", 1400), "and where it is too much, large packets are lost [office-mtu]")
    same(stream("b", "z", "10.70.0.1", patience=3)[0] < 300000, True, "nor does TCP get through")

    # --- measured
    write(NET)
    status, out = up("a", "-", stdin=bundle("a"))
    ok(status == 0 and (learnt("a") == "a mtu 1328\n" or measured("a", 1328)), "it is measured where nothing is said [office-mtu]", out)
    status, out = up("a")
    ok(status == 0 and "the path" not in out and mtu("a") == 1328, "and kept [office-mtu]", out)
    ok(wait_for(lambda: "ginnel accept a mtu 1328" in up("a", "--probe")[1]), "and said with the line for the lock [office-mtu]")
    ok(passes("a", "10.70.0.1", 1328), "packets of that size get there and back [office-mtu]")
    same(stream("b", "z", "10.70.0.1"), (300000, 300000), "and so does TCP, from a device of the LAN [office-mtu]")
    same(stream("e", "b", "192.168.201.55"), (300000, 300000), "and to it [office-mtu]")

    # --- known to the hub
    desk("accept", "a", "mtu", "1328")
    same(up("z", "-", stdin=bundle("z"))[0], 0, "the hub is told")
    routes = run("z", "ip route show dev office")
    ok(re.search(r"192\.168\.201\.0/24 .*mtu 1328", routes) and re.search(r"10\.70\.0\.2 .*mtu 1328", routes) and routes.count("mtu") == 2,
       "the hub's routes to a member say what fits there [office-mtu-hub]", routes)
    out = run("e", "ping -n -c 3 -i 0.2 -W 20 -M do -s 1392 192.168.201.55", check=False).stdout
    ok("mtu = 1328" in out or "mtu=1328" in out, "who sends more is told by the hub [office-mtu-hub]", out)
    same(call("e", "ping -n -q -c 1 -W 30 -M dont -s 1392 192.168.201.55")[0], 0, "and what may be cut is cut inside the tunnel [office-mtu-hub]")
    before = run("z", "ip route show dev office")
    same((up("z")[0], run("z", "ip route show dev office")), (0, before), "another up changes nothing of it [office-mtu-hub]")
    run("z", "ip route change 192.168.201.0/24 dev office proto 103 scope link metric 5000")
    same((up("z")[0], run("z", "ip route show dev office")), (0, before), "and brings back what was changed [office-mtu-hub]")

    # --- other paths
    small_path(1452)
    measured("a", 1392)
    same(mtu("a"), 1392, "asked again on a larger path, it finds that [office-mtu]")
    run("z", ["nft", "add table ip quiet; add chain ip quiet in { type filter hook input priority 0; }; "
              "add rule ip quiet in iifname eth0 icmp type echo-request drop"])
    small_path(1432)
    measured("a", 1360)
    same(mtu("a"), 1360, "a hub that answers no echo outside is asked through the tunnel [office-mtu]")
    small_path(1472)
    measured("a", 1408)
    same(mtu("a"), 1408, "where more fits, too [office-mtu]")
    run("z", "nft delete table ip quiet")
    small_path(1300)
    out = measured("a", 1280)
    ok(mtu("a") == 1280 and "do not get through" in out, "it is never less than 1280, and where that is too much it is said [office-mtu]", out)
    small_path(1500)
    run("z", ["nft", "add table ip quiet; add chain ip quiet in { type filter hook input priority 0; }; add rule ip quiet in icmp type echo-request drop"])
    status, out = up("a", "--probe")
    ok(status == 0 and "cannot measure the MTU" in out and mtu("a") == 1280 and "a mtu 1280\n" in learnt("a"), "where nobody answers, what was known stays [office-mtu]", out)
    run("z", "nft delete table ip quiet")
    measured("a", 1420)
    same(stream("b", "z", "10.70.0.1"), (300000, 300000), "and in the end all is as it was [office-mtu]")


def ports():
    write(NET.replace("z.test:51820", "z.test:51820 ports 443,4500"))
    same(up("z", "-", stdin=bundle("z"))[0], 0, "the hub answers at more ports")
    rules = run("z", "nft list table inet ginnel-office")
    ok("fib daddr type local udp dport { 443, 4500 } redirect to :51820" in rules, "by a rule for its own addresses [office-ports]", rules)

    # What goes through the hub is not the hub's.
    with lab.inside("b"):
        server = lab.socket.socket(lab.socket.AF_INET, lab.socket.SOCK_DGRAM)
        server.bind(("192.168.201.55", 443))
    with lab.inside("e"):
        client = lab.socket.socket(lab.socket.AF_INET, lab.socket.SOCK_DGRAM)
        client.connect(("192.168.201.55", 443))
    server.settimeout(1)

    def came():
        client.send(b"for b")
        try:
            return server.recv(100) == b"for b"
        except OSError:
            return False
    ok(wait_for(came), "not for what it forwards [office-ports]")
    with lab.inside("z"):
        inner = lab.socket.socket(lab.socket.AF_INET, lab.socket.SOCK_DGRAM)
        inner.bind(("10.70.0.1", 443))
    client.connect(("10.70.0.1", 443))
    server = inner
    ok(wait_for(came), "nor for what comes through the tunnel [office-ports]")

    # --- a carrier that lets 51820 not pass
    same(call("e", [OFFICE, "down"])[0], 0, "e goes down")
    run("e", "rm -f /var/lib/ginnel/office.learnt /var/lib/ginnel/office.endpoints")
    lab.run(["nft", "add table ip strict; add chain ip strict through { type filter hook forward priority 0; }; "
             "add rule ip strict through iifname to-e udp dport { 51820, 4500 } counter drop"], "net")
    status, out = up("e", "-", stdin=bundle("e"))
    # A handshake may be lost on a machine that is late; then the next one tries again.
    wait_for(lambda: "e port 443\n" in learnt("e") or (up("e") and False), step=0.2)
    same(out.count("waiting"), 0, "into a pipe it is not said what is waited for [office-waiting]")
    ok(status == 0 and "does not answer at port 51820: trying 443" in out and "e port 443\n" in learnt("e"), "a member whose carrier drops the usual port goes to another [office-ports]", out)
    same((ping("e", "10.70.0.1"), ping("e", "192.168.201.55")), (0, 0), "and is in the office [office-ports]")
    ok(":443" in run("e", "wg show office endpoints"), "by that port [office-ports]", run("e", "wg show office endpoints"))
    status, out = up("e")
    ok(status == 0 and "port" not in out and "added=0 changed=0 removed=0" in out, "which it remembers [office-ports]", out)
    same(call("e", [OFFICE, "down"])[0], 0, "e goes down once more")
    status, out = up("e")
    ok(status == 0 and ":443" in run("e", "wg show office endpoints"), "and takes first the next time [office-ports]", out)
    same(ping("e", "192.168.201.55"), 0, "and is in the office [office-ports]")
    text = desk("export", "e", "wg-quick")
    ok("# Endpoint = z.test:443" in text and "# Endpoint = z.test:4500" in text, "wg-quick's text has the others as comments [office-ports]", text)

    # --- the first port is dropped where the second was
    lab.run(["nft", "flush chain ip strict through; add rule ip strict through iifname to-e udp dport { 443, 4500 } counter drop"], "net")
    same(call("e", [OFFICE, "down"])[0], 0, "e goes down once more")
    lab.run("nft flush chain ip strict through", "net")
    lab.run(["nft", "add rule ip strict through iifname to-e udp dport { 443, 4500 } counter drop"], "net")
    up("e")
    wait_for(lambda: "e port 51820\n" in learnt("e") or (up("e") and False), step=0.2)
    same((":51820" in run("e", "wg show office endpoints"), ping("e", "10.70.0.1")), (True, 0), "the usual one is among those that are tried [office-ports]")
    lab.run("nft flush chain ip strict through", "net")
    lab.run(["nft", "add rule ip strict through iifname to-e meta l4proto udp counter drop"], "net")
    same(call("e", [OFFICE, "down"])[0], 0, "e goes down once more")
    out = at_terminal("e")
    ok("\rwaiting for an answer of the hub z, " in out.replace("\033[K", "") and "\033[K" in out, "on a terminal it is said what is waited for [office-waiting]", out)
    ok("answers at none of its ports" in out and "e port 51820\n" in learnt("e") and ":51820" in run("e", "wg show office endpoints"),
       "where none gets through, that is said, and what was known stays [office-ports]", out)


def main():
    build()
    desk("accept", stdin="".join(run(m, [OFFICE, "key", m]) for m in ("z", "a", "c", "e")))
    size()
    ports()


lab.main(900, main)
