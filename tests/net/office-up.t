#!/usr/bin/env python3
"""
An office network on its members: key, accept, export and up on hosts with files of their own, real daemons, and down.
"""
import os
import re
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lab  # noqa: E402
from lab import ok, same, wait_for  # noqa: E402
from office import (DESK, FILE, NET, OFFICE, Monitor, build, bundle, call, office, ping, run, source_seen, there)  # noqa: E402


def up(m, *args, stdin=""):
    return call(m, [OFFICE, "up", *args], stdin)


def state(ns):
    """All that up touches; counters and the lifetimes of neighbours aside."""
    parts = []
    for cmd in ("ip -o addr show", "ip rule show", "ip -6 rule show", "ip route show table all", "ip -o link show", "nft list ruleset",
                "sysctl -a -r ^net\\.ipv4\\."):
        parts.append("# %s\n%s" % (cmd, run(ns, cmd, check=False).stdout))
    text = "\n".join(parts)
    text = re.sub(r"(?m)^.*(nf_conntrack_count|fragment|neigh\.default\.gc|ping_group|\.sched).*\n", "", text)
    return re.sub(r"packets \d+ bytes \d+", "", text)


def differs(a, b):
    import difflib
    return "\n".join(difflib.unified_diff(a.splitlines(), b.splitlines(), lineterm="", n=0))


def slow(program, real):
    """Have the programs in /run/slow of c, with this one among them, which takes its time to do something."""
    run("c", "mkdir -p /run/slow")
    run("c", "rm -f /run/slow/began /run/slow/go /run/slow/done")
    for name, at in (("ginnel-office", OFFICE), ("ginnel-wg", lab.WG), ("nft", shutil.which("nft"))):
        run("c", ["cp", at, "/run/slow/" + name])
    run("c", ["tee", "/run/slow/" + program], input="""#!/bin/sh
case "$*" in *-c*|*list*) exec %s "$@" ;; esac
touch /run/slow/began
until [ -e /run/slow/go ]; do sleep 0.05; done
%s "$@"
touch /run/slow/done
""" % (real, real))


def main():
    build()
    members = ("z", "a", "c", "e")
    before = {m: state(m) for m in members}

    # --- keys
    for m in members:
        status, line = call(m, [OFFICE, "key", m])
        ok(status == 0 and re.fullmatch(m + r" key [A-Za-z0-9+/]{43}=\n", line), "%s makes its key and prints one line [office-key]" % m, line)
        same(call(m, "stat -c %a:%a /etc/ginnel/office.key /etc/ginnel")[1].split(), ["600:600", "700:700"], "which only root may read [office-key]")
        same(call(m, [OFFICE, "key", m])[1], line, "asked again, it has the same [office-key]")
        status, out = office("accept", "--file=" + FILE, stdin=line)
        ok(status == 0 and "has its key" in out, "the administrator accepts it [office-accept]", out)
        secret = run(m, "cat /etc/ginnel/office.key").strip()
        ok(secret not in line + out + "".join(open(os.path.join(DESK, f)).read() for f in os.listdir(DESK)),
           "the private one stays where it is [office-secret]")
    lock = open(DESK + "/office.lock").read()
    status, out = office("accept", "--file=" + FILE, stdin=line)
    same((status, out, open(DESK + "/office.lock").read()), (0, "", lock), "accepted again, nothing changes [office-accept]")
    for wrong, why in (("x key " + "A" * 43 + "=", "there is no member x"), ("b key x", "is a host"), ("a key abc", "is no key"),
                       ("a key " + line.split()[2], "is the key of e already"), ("a return maybe", "must be route"), ("a says", "must be NAME key KEY")):
        status, out = office("accept", "--file=" + FILE, stdin="# a comment\n" + wrong + "\n")
        ok(status == 1 and "standard input:2: " in out and why in out and open(DESK + "/office.lock").read() == lock,
           "what is wrong is refused with its line: %s [office-accept-wrong]" % wrong[:14], out)

    # --- up
    status, out = up("a")
    ok(status == 1 and "no bundle from before" in out, "without a bundle there is nothing to bring up [office-up-wrong]", out)
    for bad, why in (("", "is empty"), ("version 1 for a\nnonsense\n", "standard input:2:"), (bundle("c"), "for another key"),
                     ("#" * (5 << 20), "too large for a bundle"), (bundle("a")[:-1].rpartition("\n")[0] + "\n", "lost on the way")):
        status, out = up("a", "-", stdin=bad)
        ok(status == 1 and why in out and state("a") == before["a"], "a bundle that is none is refused, and nothing done: %s [office-up-wrong]" % why, out)
    for m in members:
        status, out = up(m, "-", stdin=bundle(m))
        ok(status == 0, "%s comes up [office-up]" % m, out)
    for ns, to, name in (("e", "192.168.200.244", "e -> d"), ("b", "192.168.200.244", "b -> d"), ("e", "192.168.201.55", "e -> b"),
                         ("a", "10.70.0.4", "a -> e"), ("z", "192.168.200.244", "z -> d")):
        same(ping(ns, to), 0, "%s is reached [office-up]" % name)
    same((source_seen("d", "b", "192.168.200.244"), source_seen("b", "e", "192.168.201.55"), source_seen("d", "e", "192.168.200.244")),
         ("192.168.200.2", "10.70.0.4", "192.168.200.2"), "who is seen at the far end is as the return mode says [office-source]")

    # --- once more
    monitors = {m: Monitor(m) for m in ("z", "a", "e")}
    table = run("a", "nft -a list table inet ginnel-office")
    long = subprocess.Popen(there("b", "ping -n -q -c 100 -i 0.1 -W 20 192.168.200.244"), stdout=subprocess.PIPE, text=True)
    said = ""
    for i in range(10):
        for m in ("z", "a", "c", "e"):
            status, out = up(m, *(("-",) if i % 2 else ()), stdin=bundle(m) if i % 2 else "")
            said += out if status or "added=0 changed=0 removed=0" not in out or "interface" in out else ""
    same(said, "", "ten times more, each changes nothing [office-again]")
    out = long.communicate()[0]
    ok("100 received" in out, "of 100 pings meanwhile none is lost [office-again]", out)
    for m, monitor in monitors.items():
        same(monitor.stop(), [], "on %s neither link, address, route, rule nor filter was touched [office-again]" % m)
    same(run("a", "nft -a list table inet ginnel-office"), table, "and the table is the very same [office-again]")

    # --- drift, and what another office file changes
    run("a", "ip route del 192.168.200.0/24")
    run("c", "nft delete table inet ginnel-office")
    run("z", "ip link set office mtu 1300")
    for m in ("a", "c", "z"):
        same(up(m)[0], 0, "%s once more" % m)
    ok("192.168.200.0/24 dev office" in run("a", "ip route") and "masquerade" in run("c", "nft list ruleset") and
       "mtu 1420" in run("z", "ip link show office"), "what somebody took away is back [office-drift]")
    run("c", "nft flush table inet ginnel-office")
    same(up("c")[0], 0, "a table that was emptied")
    ok("masquerade" in run("c", "nft list ruleset"), "is filled [office-drift]")
    wait_for(lambda: ping("b", "192.168.200.244") == 0)

    # --- the way back through the gateway
    with open(FILE, "w") as f:
        f.write(NET.replace("return snat", "return route+gw"))
    for to in ("192.168.201.0/24", "10.70.0.0/16"):
        lab.run("ip -n g2 route add %s via 192.168.200.2" % to)
    run("g2", ["nft", "add table ip strict; add chain ip strict forward { type filter hook forward priority 0; }; add rule ip strict forward ct state invalid drop"])
    status, out = up("c", "-", stdin=bundle("c"))
    ok(status == 0 and "iif office lookup 7070" in run("c", "ip rule") and "masquerade" not in run("c", "nft list ruleset"),
       "c goes back through its gateway now, in its own name no more [office-gateway-back]", out)
    same(sorted(x.strip() for x in run("c", "ip route show table 7070").splitlines()),
         ["192.168.200.0/24 via 192.168.200.1 dev eth0 proto 103", "192.168.200.1 dev eth0 proto 103 scope link"],
         "by routes of a table of their own [office-gateway-back]")
    same((ping("b", "192.168.200.244"), ping("e", "192.168.200.244"), ping("d", "192.168.201.55"), source_seen("d", "e", "192.168.200.244")),
         (0, 0, 0, "10.70.0.4"), "and a gateway that drops what it saw one side of lets it through [office-gateway-back]")
    with open(FILE, "w") as f:
        f.write(NET)
    same(up("c", "-", stdin=bundle("c"))[0], 0, "and back again")
    ok("7070" not in run("c", "ip rule") and not call("c", "ip route show table 7070")[1].replace("Error: ipv4: FIB table does not exist.\nDump terminated\n", ""),
       "rule and routes are gone [office-gateway-back]")

    # --- chains of others
    run("c", ["nft", "add table ip filter; add chain ip filter FORWARD { type filter hook forward priority 0; policy drop; }; "
              "add table inet strict; add chain inet strict fwd-all { type filter hook forward priority 5; }; "
              "add rule inet strict fwd-all ct state invalid drop; add rule inet strict fwd-all counter reject"])
    foreign = run("c", "nft list ruleset")
    same(call("b", "ping -n -q -c 2 -i 0.2 -W 1 192.168.200.244")[0], 1, "another firewall drops what is forwarded")
    status, out = up("c")
    ok(status == 0 and "drops of the chain ip filter FORWARD" in out and "drops of the chain inet strict fwd-all" in out, "its chains are found and named [office-foreign]", out)
    same(ping("b", "192.168.200.244"), 0, "and passed through [office-foreign]")
    same(up("c")[1].count("chain"), 0, "once only [office-foreign]")
    same(run("c", "nft list ruleset").count('comment "ginnel office"'), 4, "by rules that bear a tag [office-foreign]")

    # --- down
    for m in members:
        status, out = call(m, [OFFICE, "down"])
        ok(status == 0, "%s goes down [office-down]" % m, out)
    run("c", "nft delete table ip filter")
    run("c", "nft delete table inet strict")
    for m in members:
        now = state(m)
        ok(now == before[m], "and %s is as it was before [office-down]" % m, differs(before[m], now))
        same(call(m, "ls /run/ginnel")[1].split(), [], "nor is a file left [office-down]")
    same(call("a", [OFFICE, "down"])[0], 0, "down of what is not up is nothing to do [office-down]")
    ok("strict" in foreign, "what others had was theirs")
    run("e", [lab.WG, "office"])
    run("e", ["sh", "-c", "umask 077; wg genkey >/run/theirs; wg set office private-key /run/theirs peer $(wg genkey | wg pubkey) allowed-ips 10.99.0.0/24"])
    run("e", "ip link set office up")
    run("e", "ip route add 10.99.0.0/24 dev office proto 103")
    now, theirs = state("e"), run("e", "wg show office dump")
    status, out = call("e", [OFFICE, "down"])
    same((status, state("e") == now, run("e", "wg show office dump") == theirs), (0, True, True), "a tunnel of somebody else is left alone [office-others]")
    run("e", "ip link del office")
    ok(wait_for(lambda: call("e", "wg show office")[0] != 0), "it ends")
    for m in members:
        same(up(m)[0], 0, "%s comes up from what it has kept [office-kept]" % m)
    same((ping("b", "192.168.200.244"), ping("e", "192.168.201.55")), (0, 0), "and reaches what it reached [office-kept]")

    # --- what bears our name
    run("e", "ip link set office down")
    run("e", "ip link set office name renamed")
    run("e", "ip link add office type bridge")
    run("e", "ip addr add 10.96.0.1/24 dev office")
    now = run("e", "ip addr show dev office")
    status, out = up("e")
    ok(status == 1 and "office is no tunnel any more" in out, "an interface of somebody else that has the name now is told of [office-others]", out)
    call("e", [OFFICE, "down"])
    same(run("e", "ip addr show dev office"), now, "and left alone [office-others]")
    for dev in ("office", "renamed"):
        run("e", "ip link del " + dev)
    ok(wait_for(lambda: call("e", "wg show office")[0] != 0), "both go")

    # --- a hub behind itself
    run("e", ["sh", "-c", "cp /etc/hosts /run/hosts && sed s/10.0.0.2/10.70.9.9/ /run/hosts >/etc/hosts"])
    status, out = up("e")
    ok(status == 1 and "the hub is at 10.70.9.9, within 10.70.0.0/16" in out, "a hub that would be reached through itself is told of [office-hub-inside]", out)
    ok("dev office" not in run("e", "ip route"), "and nothing is led there [office-hub-inside]")
    run("e", ["sh", "-c", "cat /run/hosts >/etc/hosts"])
    status, out = up("e")
    same((status, ping("e", "192.168.200.244")), (0, 0), "when its name means another address, that is found [office-hub-inside]")

    # --- a full disk
    run("e", "mount -o remount,size=16k /var/lib")
    call("e", "dd if=/dev/zero of=/var/lib/fill bs=4k")
    now, kept = state("e"), run("e", "cat /var/lib/ginnel/office.bundle")
    with open(FILE, "w") as f:
        f.write(NET + "mtu 1380\n")
    status, out = up("e", "-", stdin=bundle("e"))
    ok(status == 1 and "cannot keep the bundle" in out and "nothing is changed" in out, "where there is no room for a new bundle, that is told [office-disk-full]", out)
    same((state("e") == now, run("e", "cat /var/lib/ginnel/office.bundle"), ping("e", "192.168.200.244")), (True, kept, 0),
         "and the network of before stands [office-disk-full]")
    run("e", "rm /var/lib/fill")
    status, out = up("e", "-", stdin=bundle("e"))
    ok(status == 0 and "mtu 1380" in run("e", "ip link show office"), "when there is room again the next run does it [office-disk-full]", out)
    call("e", [OFFICE, "down"])
    run("e", "mkdir -p /run/ginnel")
    run("e", "mount -t tmpfs -o size=4k full /run/ginnel")
    call("e", "dd if=/dev/zero of=/run/ginnel/fill bs=4k")
    status, out = up("e")
    ok(status == 1 and "cannot write /run/ginnel/office.made" in out, "without room for notes of what is made", out)
    ok(state("e") == before["e"], "nothing is made [office-disk-full]", differs(before["e"], state("e")))
    run("e", "umount /run/ginnel")

    # --- killed
    for m in ("a", "c"):
        call(m, [OFFICE, "down"])
        start = lab.time.monotonic()
        up(m)
        takes = lab.time.monotonic() - start
        for after in range(12):
            call(m, [OFFICE, "down"])
            p = subprocess.Popen(there(m, [OFFICE, "up"]), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            lab.time.sleep(after / 12 * takes)
            p.kill()  # nsenter has become the program
            p.wait()
            if after % 2:
                status, out = up(m)
                good = status == 0 and ping(m, "10.70.0.1") == 0
                ok(good, "%s killed while it came up comes up when asked again [office-killed]" % m, out)
            status, out = call(m, [OFFICE, "down"])
            now = state(m)
            ok(status == 0 and now == before[m], "%s killed while it came up goes down to what was before [office-killed]" % m, out, differs(before[m], now))
    for program, real in (("ginnel-wg", lab.WG), ("nft", shutil.which("nft"))):
        call("c", [OFFICE, "down"])
        slow(program, real)
        p = subprocess.Popen(there("c", ["env", "PATH=/run/slow:" + os.environ["PATH"], "/run/slow/ginnel-office", "up"]),
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        ok(wait_for(lambda: call("c", "test -e /run/slow/began")[0] == 0), "an up has begun to run " + program)
        p.kill()
        p.wait()
        q = subprocess.Popen(there("c", [OFFICE, "down"]), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        lab.time.sleep(0.3)  # time to go wrong
        run("c", "touch /run/slow/go")
        out = q.communicate()[0]
        ok(wait_for(lambda: call("c", "test -e /run/slow/done")[0] == 0), "which ends after it was killed")
        now = state("c")
        ok(q.returncode == 0 and now == before["c"], "down waits for what one that was killed has begun: %s [office-killed]" % program,
           out, differs(before["c"], now))


lab.main(900, main)
