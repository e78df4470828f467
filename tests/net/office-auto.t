#!/usr/bin/env python3
"""
The return mode auto: a node asks the gateway of its LAN, whatever that is and becomes.
"""
import json
import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lab  # noqa: E402
from lab import ok, same  # noqa: E402
from office import FILE, NET, OFFICE, build, bundle, call, desk, office, ping, run, source_seen  # noqa: E402


def up(m, *args, stdin=""):
    return call(m, [OFFICE, "up", *args], stdin)


def learnt():
    return run("c", "cat /var/lib/ginnel/office.learnt", check=False).stdout


def main():
    build()
    auto = NET.replace("return snat", "return auto")
    with open(FILE, "w") as f:
        f.write(auto)
    members = "z", "a", "c", "e"
    desk("accept", stdin="".join(run(m, [OFFICE, "key", m]) for m in members))
    for m in ("z", "a", "e"):
        status, out = up(m, "-", stdin=bundle(m))
        same(status, 0, "%s is up" % m)

    # A gateway that knows nothing.
    status, out = up("c", "-", stdin=bundle("c"))
    ok(status == 0 and "the gateway 192.168.200.1 has no routes" in out and "ginnel accept c return snat" in out,
       "a gateway without routes is found out [office-auto]", out)
    same((learnt().splitlines()[:1], ping("e", "192.168.200.244"), source_seen("d", "e", "192.168.200.244")), (["c return snat"], 0, "192.168.200.2"),
         "and the node stands in [office-auto]")
    status, out = up("c")
    ok(status == 0 and "gateway" not in out, "what was found is kept, and nobody asked again [office-auto-kept]", out)

    # It gets routes.
    for to in ("192.168.201.0/24", "10.70.0.0/16"):
        lab.run("ip -n g2 route add %s via 192.168.200.2" % to)
    status, out = up("c", "--probe")
    ok(status == 0 and "has routes to this node\n" in out and "c return route\n" in learnt(), "once it has routes, asking again finds them [office-auto]", out)
    same((ping("e", "192.168.200.244"), source_seen("d", "e", "192.168.200.244"), ping("d", "10.70.0.4")), (0, "10.70.0.4", 0),
         "and the LAN sees who calls, and calls [office-auto]")

    # It becomes strict: what it sees one side of, it drops.
    run("g2", ["nft", "add table ip strict; add chain ip strict forward { type filter hook forward priority 0; }; add rule ip strict forward ct state invalid drop"])
    status, out = up("c", "--probe")
    ok(status == 0 and "drops flows of which it sees one side" in out and "c return route+gw\n" in learnt(), "a strict one is found out [office-auto]", out)
    ok("iif office lookup 7070" in run("c", "ip rule"), "and gone through both ways [office-auto]")
    same((ping("e", "192.168.200.244"), source_seen("d", "e", "192.168.200.244"), ping("d", "10.70.0.4")), (0, "10.70.0.4", 0),
         "so that everybody reaches everybody, strict or not [office-auto]")

    # The lock takes what was found, and the next bundle says it.
    desk("accept", "c", "return", "route+gw")
    ok("learnt route+gw" in bundle("c"), "the lock takes in what was found [office-auto-kept]", bundle("c"))
    run("c", "rm /var/lib/ginnel/office.learnt")
    status, out = up("c", "-", stdin=bundle("c"))
    ok(status == 0 and "gateway" not in out and "iif office lookup 7070" in run("c", "ip rule"), "and the node, from its bundle [office-auto-kept]", out)

    # Nobody there.
    lab.run("ip -n g2 link set lan down")
    status, out = up("c", "--probe")
    ok("cannot ask the gateway of c for its return mode: it does not answer" in out, "a gateway that is silent is told", out)
    ok("iif office lookup 7070" in run("c", "ip rule"), "and what was known stays [office-auto-kept]")

    # How it stands.
    status, out = call("z", [OFFICE, "status"])
    ok(status == 0 and out.startswith("z hub 10.70.0.1, interface office\n") and len(re.findall(r"(?m)^[ace] .* up$", out)) == 3,
       "the hub says that it speaks with all of them [office-status]", out)
    seen = json.loads(run("c", [OFFICE, "status", "--json"]))
    same((seen["return"], [(p["name"], p["state"], p["endpoint"], p["received_bytes"] > 1000) for p in seen["peers"]]),
         ("route+gw", [("z", "up", "10.0.0.2:51820", True)]), "and a node that it speaks with the hub [office-status]")
    for m in members:
        status, out = call(m, [OFFICE, "down"])
        same((status, run(m, "ip -o link show").count(" office:")), (0, 0), "%s is down" % m)
    status, out = call("z", [OFFICE, "status"])
    ok(status == 1 and "z is down: no daemon serves office; ginnel up" in out, "and says so [office-status]", out)


lab.main(600, main)
