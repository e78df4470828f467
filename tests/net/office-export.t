#!/usr/bin/env python3
"""What leaves the administrator's machine for hosts without ginnel up: each kind of member by the real wg-quick."""
import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lab  # noqa: E402
from lab import ok, same  # noqa: E402
from office import FILE, NET, OFFICE, build, call, desk, office, ping, put, quick, run, source_seen  # noqa: E402

MEMBERS = ("z", "a", "c", "e")


def main():
    build()
    for m in MEMBERS:
        status, line = call(m, [OFFICE, "key", m])
        same((status, office("accept", "--file=" + FILE, stdin=line)[0]), (0, 0), "%s has a key" % m)

    status, out = office("export", "--file=" + FILE, "aa", "wg-quick")
    ok(status == 1 and "there is no member aa" in out, "who is no member is told [export-wrong]", out)
    status, out = office("export", "--file=" + FILE, "b")
    ok(status == 1 and "is a host" in out, "a plain host gets nothing [export-wrong]", out)
    with open(FILE, "a") as f:
        f.write("g person\n")
    status, out = office("export", "--file=" + FILE, "g", "app")
    ok(status == 1 and "make an empty tunnel" in out and "accept g key KEY" in out, "where the key of an application comes from is told [export-wrong]", out)
    with open(FILE, "w") as f:
        f.write(NET)
    status, out = office("export", "--file=" + FILE, "a", "wg-quik")
    ok(status == 1 and "did you mean wg-quick?" in out, "a form is found by its neighbour [export-wrong]", out)

    for m in MEMBERS:
        text = desk("export", m, "wg-quick")
        secret = run(m, "cat /etc/ginnel/office.key").strip()
        ok(secret not in text and not re.search(r"(?m)^PrivateKey", text) and "private-key /etc/ginnel/office.key" in text,
           "the text for %s names the key's file and has no key [office-secret]" % m)
        put(m, text)
        status, out = quick(m, "up")
        ok(status == 0, "wg-quick takes %s up [export-wg-quick]" % m, out, text)
    for ns, to, name in (("e", "192.168.200.244", "e -> d"), ("b", "192.168.200.244", "b -> d"), ("e", "192.168.201.55", "e -> b"), ("a", "10.70.0.4", "a -> e")):
        same(ping(ns, to), 0, "%s is reached [export-wg-quick]" % name)
    same((source_seen("d", "b", "192.168.200.244"), source_seen("b", "e", "192.168.201.55")), ("192.168.200.2", "10.70.0.4"),
         "with the sources that the return modes say [export-wg-quick]")
    ok("maxseg" in run("a", "nft list table inet ginnel-office"), "segments are clamped [export-wg-quick]")

    # --- back through the gateway
    with open(FILE, "w") as f:
        f.write(NET.replace("return snat", "return route+gw"))
    status, out = office("export", "--file=" + FILE, "c", "wg-quick")
    ok(status == 1 and "write gw ADDRESS" in out, "a gateway that must be known and is not is asked for [export-wrong]", out)
    with open(FILE, "w") as f:
        f.write(NET.replace("return snat", "return route+gw gw .1"))
    status, out = quick("c", "down")
    same((status, "ginnel" in run("c", "nft list ruleset")), (0, False), "c goes down, and its table with it [export-wg-quick]")
    put("c", desk("export", "c", "wg-quick"))
    for to in ("192.168.201.0/24", "10.70.0.0/16"):
        lab.run("ip -n g2 route add %s via 192.168.200.2" % to)
    run("g2", ["nft", "add table ip strict; add chain ip strict forward { type filter hook forward priority 0; }; add rule ip strict forward ct state invalid drop"])
    status, out = quick("c", "up")
    ok(status == 0, "and up with the way back through its gateway [export-wg-quick]", out)
    same((ping("b", "192.168.200.244"), ping("d", "192.168.201.55"), source_seen("d", "e", "192.168.200.244")), (0, 0, "10.70.0.4"),
         "which sees both directions [export-wg-quick]")
    status, out = quick("c", "down")
    same((status, "7070" in run("c", "ip rule"), "7070" in run("c", "ip route show table all")), (0, False, False), "down takes rule and routes away [export-wg-quick]")

    # --- applications, and managers of networks
    quick("e", "down")
    text = desk("export", "e", "app")
    ok("Post" not in text and "Table" not in text and "private-key" not in text and not re.search(r"(?m)^PrivateKey", text),
       "the text for applications has neither commands nor a key [export-app]", text)
    put("e", text.replace("# PrivateKey = the one that is made on this device", "PrivateKey = " + run("e", "cat /etc/ginnel/office.key").strip()))
    status, out = quick("e", "up")
    ok(status == 0, "and comes up with the one that was made there [export-app]", out)
    same((ping("e", "10.70.0.1"), ping("e", "192.168.201.55")), (0, 0), "and reaches the office [export-app]")
    status, out = office("export", "--file=" + FILE, "a", "app")
    ok(status == 1 and "passes packets on" in out, "a node is nothing for them [export-wrong]", out)
    for form in ("networkd", "nm"):
        status, out = office("export", "--file=" + FILE, "c", form)
        ok(status == 1 and "goes back through the gateway" in out, "what %s cannot do is said, with what can [export-wrong]" % form, out)
        text = desk("export", "z", form)
        ok("net.ipv4.ip_forward=1" in text and "send_redirects" in text and "ginnel export z nft" in text and "51820" in text,
           "what a hub needs besides %s is said [export-besides]" % form, text)
    with open(FILE, "w") as f:
        f.write(NET.replace("e person 10.70.0.4", "e person 10.70.0.4 mtu 1300"))
    for form, want in (("networkd", "Destination=10.70.0.4/32\nMetric=5000\nMTUBytes=1300\n"),
                       ("nm", "=10.70.0.4/32,0.0.0.0,5000\nroute2_options=mtu=1300\n")):
        ok(want in desk("export", "z", form), "as %s has it a way to a smaller MTU has that [export-%s]" % (form, form))
    with open(FILE, "w") as f:
        f.write(NET)
    status, out = office("export", "--file=" + FILE, "--into=/run/lab", "a", "hosts")
    ok(status == 1 and "without --into" in out, "a form of one text goes into no directory [export-wrong]", out)
    status, out = office("export", "--file=" + FILE, "--into=/run/lab/none/of/it", "a", "networkd")
    ok(status == 1 and "cannot write /run/lab/none/of/it/office.netdev" in out, "a directory that is not there is named [export-wrong]", out)

    # --- a telephone
    quick("e", "down")
    with open(FILE, "w") as f:
        f.write(NET.replace("e person 10.70.0.4", "e person 10.70.0.4 phone"))
    text = desk("export", "e", "wg-quick")
    for form in ("networkd", "nm"):
        status, out = office("export", "--file=" + FILE, "e", form)
        ok(status == 1 and "ginnel qr e" in out, "a telephone has no %s [export-wrong]" % form, out)
    ok("Post" not in text and "Table" not in text and "private-key" not in text, "a telephone's text has no commands [export-phone]", text)
    put("e", text.replace("# PrivateKey = the one that is made on this device", "PrivateKey = " + run("e", "cat /etc/ginnel/office.key").strip()))
    status, out = quick("e", "up")
    ok(status == 0, "and comes up with the device's own key [export-phone]", out)
    same((ping("e", "10.70.0.1"), ping("e", "192.168.201.55")), (0, 0), "and reaches the office [export-phone]")

    # --- the other forms
    rules = desk("export", "a", "nft")
    put("a", rules)
    run("a", "nft delete table inet ginnel-office")
    same((call("a", "nft -f /run/office.conf")[0], rules.count("maxseg size set rt mtu")), (0, 2), "nft takes the table [export-nft]")
    same(desk("export", "e", "nft"), "", "who forwards nothing needs none [export-nft]")
    hosts = dict(reversed(x.split()) for x in desk("export", "a", "hosts").splitlines())
    same(hosts, {"z": "10.70.0.1", "a": "10.70.0.2", "c": "10.70.0.3", "e": "10.70.0.4", "b": "192.168.201.55", "d": "192.168.200.244"},
         "hosts has a line for each member [export-hosts]")
    text = desk("export", "a", "gateway=linux")
    for to in ("192.168.200.0/24", "10.70.0.0/16"):
        lab.run("ip -n g1 route del %s" % to)
    same(call("b", "ping -n -q -c 2 -i 0.2 -W 1 10.70.0.1")[0], 1, "a gateway that was told nothing sends nothing to the node")
    for line in text.splitlines():
        if not line.startswith("#"):
            run("g1", line)
    same(ping("b", "10.70.0.1"), 0, "told what export says, it does [export-gateway]")
    for kind, word in (("openwrt", "uci commit network"), ("mikrotik", "/ip route add dst-address=10.70.0.0/16 gateway=192.168.201.2"),
                       ("huawei", "ip route-static 192.168.200.0 24 192.168.201.2"), ("form", "network 10.70.0.0, mask 255.255.0.0, gateway 192.168.201.2")):
        out = desk("export", "a", "gateway=" + kind)
        ok(word in out, "and so in the words of %s [export-gateway]" % kind, out)
    status, out = office("export", "--file=" + FILE, "c", "gateway=linux")
    ok(status == 1 and "write at ADDRESS" in out, "a node whose address is not known is asked for it [export-wrong]", out)


lab.main(600, main)
