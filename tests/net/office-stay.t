#!/usr/bin/env python3
"""
ginnel up --stay: real daemons whose network somebody takes apart, piece by piece, and which mend it; hubs and daemons that
die, bundles that change beside them, clocks that are wrong.
"""
import os
import re
import signal
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lab  # noqa: E402
from lab import ok, same, wait_for  # noqa: E402
from office import FILE, NET, OFFICE, Monitor, build, bundle, cable, call, keepers, office, run, there  # noqa: E402

PATIENCE = 300  # what is not heard is looked for each 30 s, by a machine that may be busy
PRELOAD = os.path.join(os.path.dirname(os.path.dirname(lab.WG)), "tests", "net", "fault", "clock.so")
ENDPOINTS = "/var/lib/ginnel/office.endpoints"
BUNDLE = "/var/lib/ginnel/office.bundle"
NO_CLOCK = ("setpriv", "--bounding-set", "-sys_time")  # whatever it thinks of the time, the machine's clock stays
stays = {}


def wait(condition):
    return wait_for(condition, timeout=PATIENCE, step=0.1)


class Stay:
    """ginnel up --stay in a host, in the foreground."""
    count = 0

    def __init__(self, m, *args, env=(), but=NO_CLOCK, program=OFFICE):
        Stay.count += 1
        self.m, self.log = m, "/run/lab/stay-%s-%d" % (m, Stay.count)
        env = (*env, "LOG_LEVEL=verbose")  # of the daemon that it starts
        with open(self.log, "w") as f:
            self.p = subprocess.Popen(there(m, [*but, "env", *env, program, "up", "--stay", *args]), stdin=subprocess.DEVNULL, stdout=f, stderr=f)
        stays[m] = self

    def said(self, at=0):
        with open(self.log) as f:
            f.seek(at)
            return f.read()

    def says(self, words, at=0):
        return wait(lambda: words in self.said(at) or self.p.poll() is not None) and words in self.said(at)

    def at(self):
        return os.path.getsize(self.log)

    def up(self):
        return self.says("stays so")

    def end(self):
        """Its exit status after SIGTERM."""
        self.p.terminate()
        return self.p.wait(PATIENCE)


def has(m, cmd, words):
    return words in call(m, cmd)[1]


def keep(m, text):
    call(m, ["sh", "-c", "cat >/run/bundle"], text)
    return "/run/bundle"


def repaired(m, what, break_it, good, words):
    """Break it, and see it mended and told."""
    at = stays[m].at()
    for cmd in [break_it] if isinstance(break_it, str) else break_it:
        run(m, cmd)
    back = wait(good)
    said = stays[m].says(words, at)
    ok(back and said, "%s is restored and told [stay-drift]" % what, stays[m].said(at))


def daemon(m):
    """The process that serves m's tunnel: of those it is the one in m's namespace."""
    for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
        try:
            if os.path.basename(os.readlink("/proc/%d/exe" % pid)) == os.path.basename(lab.WG) and lab.pid_alive(pid) and \
                    os.stat("/proc/%d/ns/net" % pid).st_ino == os.stat("/proc/%d/ns/net" % keepers[m].pid).st_ino:
                return pid
        except OSError:
            pass
    return 0


def handshakes(m):
    """Seconds since 1970, of each peer; nobody answers: none."""
    return [int(x) for x in re.findall(r"\t(\d+)$", call(m, "wg show office latest-handshakes")[1], re.M)]


def cut():
    """Who does not reach whom."""
    return [(a, b) for a, b in (("b", "192.168.200.244"), ("e", "192.168.201.55"), ("e", "192.168.200.244"))
            if call(a, "ping -n -q -c 1 -W 3 " + b)[0]]


def all_reach(name):
    ok(wait(lambda: not cut()), name, cut())


def tell(*members):
    """What the daemons there say, for who looks for the reason."""
    return "\n".join("%s: %s\n%s" % (m, call(m, "wg show")[1], call(m, "tail -n 40 /run/ginnel/office.log")[1]) for m in members)


def remembered():
    """Whether z has written down where its three peers are now."""
    now = {tuple(x.split()) for x in call("z", "wg show office endpoints")[1].splitlines()}
    kept = {tuple(x.split()) for x in call("z", "cat " + ENDPOINTS)[1].splitlines()[1:]}
    return len(now) == 3 and now == kept


def restart(m, *args, **kw):
    """Another in the place of the one that has ended."""
    s = Stay(m, *args, **kw)
    ok(s.up(), "%s stays again" % m, s.said())
    return s


# --- the parts

def starts():
    for m in ("z", "a", "c", "e"):
        line = call(m, [OFFICE, "key", m])[1]
        office("accept", "--file=" + FILE, stdin=line)
    status, out = call("a", ["timeout", "-k", "9", "600", OFFICE, "up", "--stay"])
    ok(status == 6 and "no bundle from before" in out, "without a bundle there is nothing to stay for, and to try again is of no use [stay-up]", out)
    with lab.inside("z"):
        manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        manager.bind("\0manager")
    manager.settimeout(PATIENCE)
    run("a", "mkfifo /run/never")
    s = Stay("a", "/run/never")
    wait(lambda: has("a", "ls /run/ginnel", "office.stay"))
    status, out = call("a", [OFFICE, "down"])
    ok(status == 0 and "ended process" in out and s.p.wait(PATIENCE) in (0, -15), "one that waits for its bundle is ended by down [stay-wait]", out, s.p.returncode)
    z = Stay("z", keep("z", bundle("z")), env=("NOTIFY_SOCKET=@manager",))
    for m in ("a", "c", "e"):
        Stay(m, keep(m, bundle(m)))
    for m, s in stays.items():
        ok(s.up(), "%s comes up and stays [stay-up]" % m, s.said())
    told = ""
    while "READY=1" not in told:
        told = manager.recv(4096).decode()
    ok("STATUS=office is up" in told, "the service manager is told when it is up [stay-notify]", told)
    z.p.send_signal(1)
    while not told.startswith("RELOADING"):
        told = manager.recv(4096).decode()
    ok(re.fullmatch(r"RELOADING=1\nMONOTONIC_USEC=\d+", told), "and of a reload when SIGHUP asks for it [stay-notify]", told)
    while "READY=1" not in told:
        told = manager.recv(4096).decode()
    ok("STATUS=office is up" in told, "until it is done [stay-notify]", told)
    manager.settimeout(None)
    lab.in_thread(lambda: [manager.recv(4096) for _ in iter(int, 1)])
    all_reach("all reach each other [stay-up]")
    status, out = call("a", ["timeout", "-k", "9", "600", OFFICE, "up", "--stay"])
    ok(status == 1 and "process %d stays already" % stays["a"].p.pid in out, "there is one for an interface [stay-one]", out)


def drift():
    """Of each kind, one after the other."""
    # A look that measures the path sets what it finds missing without calling it restored.
    for m in ("a", "c", "e"):
        ok(stays[m].says("the path to the hub carries"), "%s measures its path to the hub [stay-up]" % m, stays[m].said())
        run(m, "flock /run/ginnel true")
    repaired("a", "a route", "ip route del 192.168.200.0/24", lambda: has("a", "ip route", "192.168.200.0/24 dev office"),
             "restored the route to 192.168.200.0/24, found missing")
    repaired("e", "an address", "ip addr flush dev office", lambda: has("e", "ip addr", "10.70.0.4/32") and has("e", "ip route", "10.70.0.0/16"),
             "restored the address 10.70.0.4/32, found missing")
    repaired("z", "the MTU", "ip link set office mtu 1300", lambda: has("z", "ip link show office", "mtu 1420"), "restored the MTU 1420, found 1300")
    repaired("c", "the link", "ip link set office down", lambda: has("c", "ip link show office", ",UP") and has("c", "ip route", "192.168.201.0/24"),
             "restored the state up, found down")
    repaired("a", "forwarding", "sysctl -qw net.ipv4.conf.eth0.forwarding=0", lambda: has("a", "sysctl net.ipv4.conf.eth0.forwarding", "= 1"),
             "restored the setting net/ipv4/conf/eth0/forwarding=1, found 0")
    repaired("z", "a setting that nobody tells of", "sysctl -qw net.ipv4.conf.office.send_redirects=1",
             lambda: has("z", "sysctl net.ipv4.conf.office.send_redirects", "= 0"), "restored the setting net/ipv4/conf/office/send_redirects=0, found 1")
    repaired("c", "the table", "nft delete table inet ginnel-office", lambda: has("c", "nft list ruleset", "masquerade"),
             "restored the table inet ginnel-office, found missing")
    repaired("c", "what was in it", "nft flush table inet ginnel-office", lambda: has("c", "nft list ruleset", "masquerade"),
             "restored the table inet ginnel-office, found changed")
    repaired("c", "what somebody has put into it", [["nft", "flush chain inet ginnel-office clamp; add rule inet ginnel-office clamp counter; "
                                                    "add rule inet ginnel-office clamp counter; add chain inet ginnel-office clamp { policy drop; }"]],
             lambda: has("c", "nft list ruleset", "rt mtu") and not has("c", "nft list ruleset", "policy drop"),
             "restored the table inet ginnel-office, found changed")
    key = run("e", "wg show office peers").strip()
    repaired("e", "a peer", ["wg set office peer %s remove" % key], lambda: has("e", "wg show office allowed-ips", "192.168.200.0/24"),
             "restored the daemon's peers, found changed")
    repaired("c", "the way through another firewall",
             [["nft", "add table ip filter; add chain ip filter FORWARD { type filter hook forward priority 0; policy drop; }"]],
             lambda: has("c", "nft list ruleset", 'comment "ginnel office"'), "the drops of the chain ip filter FORWARD")
    repaired("c", "it again, when that was flushed", "nft flush chain ip filter FORWARD",
             lambda: has("c", "nft list ruleset", 'comment "ginnel office"'), "restored the rules that let office through")
    run("c", "nft delete table ip filter")
    all_reach("and all reach each other [stay-drift]")


def bundle_beside():
    """route+gw for c, by an up beside; its rule and its table are lost, then the LAN's interface."""
    with open(FILE, "w") as f:
        f.write(NET.replace("return snat", "return route+gw"))
    for to in ("192.168.201.0/24", "10.70.0.0/16"):
        lab.run("ip -n g2 route add %s via 192.168.200.2" % to)
    old, at = bundle("c"), stays["c"].at()
    status, out = call("c", [OFFICE, "up", "-"], bundle("c"))
    ok(status == 0 and has("c", "ip rule", "7070"), "another bundle is brought up beside it [stay-bundle]", out)
    ok(stays["c"].says("configured office", at), "which sees that it is another [stay-bundle]", stays["c"].said(at))
    run("c", "ip route del 192.168.201.0/24")
    ok(stays["c"].says("restored the route to 192.168.201.0/24", at), "and mends what is broken [stay-bundle]", stays["c"].said(at))
    ok(has("c", "ip rule", "7070") and not has("c", "nft list ruleset", "masquerade"), "by the new bundle [stay-bundle]", old)
    repaired("c", "a rule", "ip rule del pref 7070", lambda: has("c", "ip rule", "7070"), "restored the rule for what comes in by office, found missing")
    repaired("c", "another table's routes", "ip route flush table 7070", lambda: has("c", "ip route show table 7070", "192.168.200.0/24 via 192.168.200.1"),
             "restored the route to 192.168.200.0/24 in table 7070, found missing")
    at = stays["c"].at()
    before = run("c", "cat /sys/class/net/eth0/ifindex")
    run("c", "ip link del eth0")
    ok(stays["c"].says("this machine has no address in it", at), "a LAN that is gone is told of [stay-lan]", stays["c"].said(at))
    cable("c", "unused", None, "g2", "unused2", None)
    cable("g2", "to-c", None, "c", "eth0", "192.168.200.2/24")
    lab.run("ip -n g2 link set to-c master lan")
    lab.run("ip -n c route add default via 192.168.200.1")
    for ns, dev in (("g2", "lan"), ("d", "eth0")):  # it has another address there too
        lab.run("ip -n %s neigh flush dev %s" % (ns, dev))
    ok(run("c", "cat /sys/class/net/eth0/ifindex") != before, "it comes back as another interface")
    ok(wait(lambda: has("c", "ip route show table 7070", "192.168.200.0/24 via 192.168.200.1") and has("c", "sysctl net.ipv4.conf.eth0.forwarding", "= 1")),
       "and what belongs there is done there [stay-lan]", stays["c"].said(at))
    all_reach("so that all reach each other [stay-lan]")
    with open(FILE, "w") as f:
        f.write(NET)
    same(call("c", [OFFICE, "up", "-"], bundle("c"))[0], 0, "back to what it was")


def untouched():
    """Ten repairs: nothing else is touched, and what goes another way loses nothing."""
    all_reach("while all reach each other")
    monitor, at = Monitor("a"), stays["a"].at()
    long = subprocess.Popen(there("b", "ping -n -q -c 100 -i 0.1 -W 20 192.168.200.244"), stdout=subprocess.PIPE, text=True)
    for i in range(10):
        run("a", "ip route del 10.70.0.0/16")
        wait(lambda: has("a", "ip route", "10.70.0.0/16 dev office"))
    out = long.communicate()[0]
    ok("100 received" in out, "of 100 pings during ten repairs none is lost [stay-quiet]", out)
    seen = monitor.stop()
    same([x for x in seen if "10.70.0.0/16 dev office" not in x], [], "nothing else was touched [stay-quiet]")
    same(len([x for x in seen if "Deleted" not in x]), 10, "and that ten times [stay-quiet]")
    said = stays["a"].said(at)
    ok(3 <= said.count("restored the route to 10.70.0.0/16") < 10 and "something changes it again and again" in said,
       "what is taken away again and again is told so, and not each time [stay-fight]", said)


def upgraded():
    """As by an upgrade of the package: the programs are others, and the one that stays is killed and started again."""
    def killed_and_restarted():
        os.kill(stays["a"].p.pid, 9)
        stays["a"].p.wait()
        return restart("a", program="/run/later/ginnel-office")

    all_reach("while all reach each other")
    run("a", ["mkdir", "/run/later"])
    run("a", ["cp", OFFICE, lab.WG, "/run/later"])
    old, before = daemon("a"), handshakes("a")[0]
    pings = subprocess.Popen(there("b", "ping -n -i 0.1 -W 60 192.168.200.244"), stdout=subprocess.PIPE, text=True)
    s = killed_and_restarted()
    ok(s.says("the daemon of office is the program that is installed now"), "one that is started again brings its daemon to the program that is there now [stay-upgrade]", s.said())
    pid = daemon("a")
    same((pid not in (0, old), pid and os.readlink("/proc/%d/exe" % pid)), (True, "/run/later/ginnel-wg"), "it is another process [stay-upgrade]")
    all_reach("and all reach each other [stay-upgrade]")
    pings.send_signal(signal.SIGINT)
    out = pings.communicate()[0]
    heard = sorted(int(x) for x in re.findall(r"icmp_seq=(\d+) ", out))
    ok(heard and heard == list(range(1, len(heard) + 1)), "no ping was lost [stay-upgrade]", out)
    now = handshakes("a")[0]
    ok(now == before or now - before >= 119, "nor the session [stay-upgrade]", before, now)
    s = killed_and_restarted()
    same((daemon("a"), "installed now" in s.said()), (pid, False), "where it is that program already nothing is done [stay-upgrade]")


def ends():
    """SIGTERM leaves it up, down ends it."""
    pid = daemon("e")
    same(stays["e"].end(), 0, "SIGTERM ends it [stay-end]")
    same(daemon("e"), pid, "and the daemon goes on [stay-end]")
    all_reach("so that the network stays [stay-end]")
    same(call("e", "ls /run/ginnel/office.stay")[0] != 0, True, "its own file does not [stay-end]")
    restart("e")
    same(daemon("e"), pid, "another one takes over what is there")
    status, out = call("e", [OFFICE, "down"])
    ok(status == 0 and "ended process %d" % stays["e"].p.pid in out, "down ends it [stay-down]", out)
    same(stays["e"].p.wait(PATIENCE), 0, "cleanly [stay-down]")
    wait(lambda: not daemon("e"))
    ok(not has("e", "ip link", "office") and not daemon("e") and not call("e", "ls /run/ginnel")[1], "and nothing comes back [stay-down]",
       call("e", "ip link"), daemon("e"), call("e", "ls /run/ginnel"))


def hub_dies():
    """Nobody but the hub speaks: it must remember where they are."""
    restart("e")
    all_reach("all reach each other")
    ok(wait(remembered), "the hub remembers where its peers are, while it runs [stay-remember]", call("z", "cat " + ENDPOINTS))
    same(call("z", "stat -c %a " + ENDPOINTS)[1].strip(), "600", "for root only [stay-remember]")
    for m in ("a", "c", "e"):
        same(stays[m].end(), 0, "%s is left alone" % m)
        run(m, "wg set office peer %s persistent-keepalive 0" % run(m, "wg show office peers").strip())
    at, pid = stays["z"].at(), daemon("z")
    os.kill(pid, 9)
    ok(stays["z"].says("restored the daemon of office", at) and daemon("z") not in (0, pid), "a daemon that died is started again [stay-daemon]", stays["z"].said(at))
    ok(wait(lambda: all(handshakes("z")) and len(handshakes("z")) == 3), "and calls its peers where they were, who say nothing by themselves [stay-hub]",
       handshakes("z"), tell("z", "a", "c", "e"))
    all_reach("so that all reach each other [stay-hub]")
    # The whole of it, as when a machine has lost power.
    wait(remembered)
    os.kill(stays["z"].p.pid, 9)
    stays["z"].p.wait()
    os.kill(daemon("z"), 9)
    wait(lambda: not daemon("z"))
    restart("z")
    ok(wait(lambda: all(handshakes("z")) and len(handshakes("z")) == 3), "also when it died with the daemon [stay-hub]", handshakes("z"), tell("z", "a", "c", "e"))
    all_reach("and all reach each other [stay-hub]")


def hub_moves():
    """The hub's name means another address than before."""
    call("e", [OFFICE, "down"])
    run("e", ["sh", "-c", "cp /etc/hosts /run/hosts && sed s/10.0.0.2/10.0.0.99/ /run/hosts >/etc/hosts"])
    s = restart("e")
    ok(s.says("watch: no answer", 0), "who does not answer is looked for [stay-name]", s.said())
    same(handshakes("e"), [0], "where the name says, in vain [stay-name]")
    run("e", ["sh", "-c", "cat /run/hosts >/etc/hosts"])
    ok(wait(lambda: any(handshakes("e"))), "a name that has moved is followed [stay-name]", s.said())


def clocks():
    """No program here may set the machine's clock, and so none can; nor does the machine's own state count."""
    but = ("setpriv", "--bounding-set", "-sys_time")
    alone = ("LD_PRELOAD=" + PRELOAD, "ASAN_OPTIONS=%s:verify_asan_link_order=0" % os.environ.get("ASAN_OPTIONS", ""))
    files = " ".join((ENDPOINTS, BUNDLE))
    sane, hours, year = int(time.time()), 40000, 400 * 86400 + 40000

    def begin(written, wait_s, *env):
        call("e", [OFFICE, "down"])
        run("e", "touch -d @%d %s" % (sane + written, files))
        return Stay("e", "--clock-wait=%d" % wait_s, env=(*alone, *env), but=but)

    s = begin(year, 3600)
    ok(s.says("waiting for somebody to set it"), "a clock that is behind what was written is waited for [stay-clock]", s.said())
    ok(not daemon("e") and not has("e", "ip link", "office"), "and nothing is begun [stay-clock]")
    run("e", "touch -d @%d %s" % (sane, files))
    ok(s.says("the clock says 2") and s.up(), "until it is right [stay-clock]", s.said())
    s = begin(hours, 1, "CLOCK_SET_FILE=/run/clock")
    ok(s.says("nobody has set the clock: set it to") and s.up(), "or it is set to what it is at least [stay-clock]", s.said())
    same(int(run("e", "cat /run/clock")), sane + hours, "to the second [stay-clock]")
    run("e", "rm /run/clock")
    s = begin(hours, 1)
    ok(s.says("it cannot be set here") and s.up(), "or it is told that it cannot be set [stay-clock]", s.said())
    s = begin(year, 1, "CLOCK_SET_FILE=/run/clock")
    ok(s.says("400 days behind what was written here") and s.up(), "far behind it is told [stay-clock]", s.said())
    ok(not has("e", "ls /run", "clock"), "and left as it is [stay-clock]")
    s = begin(year, 3600, "CLOCK_SET_FILE=/run/clock", "CLOCK_SYNCHRONISED=1")
    ok(s.up() and "the clock" not in s.said(), "one that is synchronised is right [stay-clock]", s.said())
    ok(not has("e", "ls /run", "clock"), "and left as it is [stay-clock]")
    ok(wait(lambda: all(int(x) < sane + hours for x in run("e", "stat -c %%Y %s" % files).split())), "and what was written is of no later time [stay-clock]",
       run("e", "stat -c %%Y %s" % files))
    ok(abs(time.time() - sane) < 86400, "the machine's clock is as it was")
    s = begin(year, 3600)
    ok(s.says("waiting for somebody"), "while it waits")
    same(s.end(), 0, "it can be ended [stay-clock]")
    run("e", "touch -d @%d %s" % (sane, files))


def hub_is_dead():
    """It answers at none of its ports."""
    with open(FILE, "w") as f:
        f.write(NET.replace("z.test:51820", "z.test:51820 ports 443,4500,53,123"))
    call("e", [OFFICE, "down"])
    run("e", ["sh", "-c", "sed s/10.0.0.2/10.0.0.99/ /run/hosts >/etc/hosts"])
    with lab.inside("e"):
        manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        manager.bind("\0manager")
    manager.setblocking(False)
    s = Stay("e", keep("e", bundle("e")), env=("NOTIFY_SOCKET=@manager",))
    ok(s.says("trying 443"), "a hub that does not answer is tried at another port [stay-wait]", s.said())
    said, told = s.said(), []
    try:
        while True:
            told.append(manager.recv(4096).decode())
    except BlockingIOError:
        pass
    ok(said.index("stays so") < said.index("trying 443") and any("READY=1" in x for x in told), "when the manager was told that it is up [stay-wait]", said, told)
    ok(s.end() == 0 and "answers at none" not in s.said(), "and SIGTERM ends it in the midst of that [stay-wait]", s.said())
    run("e", ["sh", "-c", "cat /run/hosts >/etc/hosts"])


def unit():
    """As it is installed, but for the place of the program."""
    here = os.path.join(lab.TOP, "dist", "systemd", "ginnel-office@.service")
    there_ = "/run/lab/ginnel-office@.service"
    with open(here) as f, open(there_, "w") as g:
        g.write(f.read().replace("/usr/bin/ginnel-office", OFFICE))
    for args in (["verify", "--man=no", there_.replace("@", "@office")], ["security", "--offline=true", "--threshold=30", there_]):
        p = subprocess.run(["systemd-analyze", *args], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        ok(p.returncode == 0 and there_ not in (p.stdout if args[0] == "verify" else ""), "systemd-analyze %s finds no fault with the unit [stay-unit]" % args[0], p.stdout)


def main():
    build()
    unit()
    for part in (starts, drift, bundle_beside, untouched, upgraded, ends, hub_dies, hub_moves, hub_is_dead, clocks):
        began = time.monotonic()
        part()
        lab.note("%s: %d s" % (part.__name__, time.monotonic() - began))


lab.main(900, main)
