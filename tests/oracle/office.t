#!/usr/bin/python3
"""
Plans of thousands of random offices, whose packets are followed from host to host, there and back, through gateways of
each kind: who reaches whom and as whom is what the oracle says of the file alone.  Prints TAP.

usage: tests/oracle/office.t [PROGRAM]     PROGRAM: .build/gcc/bin/ginnel-office
"""
import copy
import json
import os
import random
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from office_oracle import Office, Range, make, text_of  # noqa: E402

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PROGRAM = sys.argv[1] if len(sys.argv) > 1 else os.path.join(TOP, ".build/gcc/bin/ginnel-office")
OFFICES = 2000
HOPS_MAX = 8
failed = 0


def longest(routes, address):
    best = None
    for r in routes:
        if address in r[0] and (not best or r[0].bits > best[0].bits):
            best = r
    return best


class World:
    """Hosts, gateways and members as the plan says; nothing here looks at the file."""
    def __init__(self, plan, gateways, lans):
        self.gateways, self.lans = gateways, lans  # lans: of each node, the addresses of gateway and node
        self.office = [Range(plan["net"]), Range(plan["aliases"])]
        self.members = {m["name"]: m for m in plan["members"]}
        for m in self.members.values():
            m["own"] = Range(m["address"]).first
            m["main"] = [(Range(r["to"]), r["out"], r["via_gateway"]) for r in m["routes"] if r["table"] == 254]
            m["back"] = [(Range(r["to"]), r["out"], r["via_gateway"]) for r in m["routes"] if r["table"] == 7070]
            m["keys"] = [(Range(a), p) for p in m["peers"] for a in p["allowed_ips"]]
            if m["kind"] == "node":
                m["range"] = Range(m["lan"])
                m["main"].append((m["range"], "lan", False))
        self.hosts = {h["name"]: (h["node"], Range(h["address"]).first) for h in plan["hosts"]}
        self.at_address = {(node, a): name for name, (node, a) in self.hosts.items()}

    def address(self, name):
        return self.hosts[name][1] if name in self.hosts else self.members[name]["own"]

    def in_lan(self, node, address):
        """Who answers to it there."""
        return node if address == self.lans[node][1] else self.at_address.get((node, address))

    def gateway(self, node, address):
        """Where it hands a packet on to."""
        others = [m["range"] for m in self.members.values() if m["kind"] == "node" and m["name"] != node]
        if address in self.members[node]["range"]:
            return self.in_lan(node, address)
        if self.gateways[node] != "none" and any(address in r for r in self.office + others):
            return node
        return None

    def tunnel(self, m, source, to):
        """To whom the packet goes, who must have asked for such from here."""
        there = longest(m["keys"], to)
        if not there:
            return None
        name = there[1]["name"]
        back = longest(self.members[name]["keys"], source)
        known = "endpoint" in there[1] or (back and "endpoint" in back[1])
        return name if back and back[1]["name"] == m["name"] and known else None

    def send(self, at, source, to, nat):
        """(who got it, as whose, through which gateways).  nat: what snat has changed; answers use it the other way round."""
        through, from_tunnel, answered = set(), False, False
        for hop in range(HOPS_MAX):
            if at in self.hosts:
                node, own = self.hosts[at]
                if own == to:
                    return at, source, through
                if hop:
                    return None, source, through
                if to in self.members[node]["range"]:
                    at = self.in_lan(node, to)
                else:
                    through.add(node)
                    at = self.gateway(node, to)
            else:
                m = self.members[at]
                if not answered and (at, to, source) in nat:
                    to, answered = nat[at, to, source], True
                if to == m["own"] or (m["kind"] == "node" and to == self.lans[at][1]):
                    return at, source, through
                if hop and not m["forward"]:
                    return None, source, through
                route = longest(m["back"], to) if from_tunnel and m.get("gateway_back") else None
                route = route or longest(m["main"], to)
                if not route:
                    return None, source, through
                if route[1] == "tunnel":
                    at, from_tunnel = self.tunnel(m, source, to), True
                else:
                    if not hop:
                        source = self.lans[at][1]
                    elif from_tunnel and m.get("snat") and not answered:
                        nat[at, self.lans[at][1], to] = source
                        source = self.lans[at][1]
                    from_tunnel, node = False, at
                    if route[2]:
                        through.add(node)
                        at = self.gateway(node, to)
                    else:
                        at = self.in_lan(node, to)
            if at is None:
                return None, source, through
        return None, source, through

    def seen(self, x, y):
        nat = {}
        who, source, there = self.send(x, self.address(x), self.address(y), nat)
        if who != y:
            return None, None
        who, _, back = self.send(y, self.address(y), source, nat)
        strict = {n for n, kind in self.gateways.items() if kind == "strict"}
        if who != x or (back - there) & strict:
            return None, None
        return source, None if (there - back) & strict else source


def plan_of(text, where):
    file = os.path.join(where, "office.net")
    with open(file, "w", encoding="ascii") as f:
        f.write(text)
    said = subprocess.run([PROGRAM, "plan", "--json", "--file", file], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    if said.returncode:
        raise RuntimeError(said.stderr)
    return json.loads(said.stdout)


def world_of(plan, o):
    lans = {m.name: (m.gateway, m.at) for m in o.members.values() if m.kind == "node"}
    return World(copy.deepcopy(plan), o.gateways, lans)


def differences(world, o):
    """Pairs of which plan and oracle say something else, and how often they say what."""
    wrong, kinds = [], [0, 0, 0, 0]
    for x in o.members:
        for y in o.members:
            if x == y:
                continue
            want, got = o.seen(x, y), world.seen(x, y)
            kinds[2 if not want[0] else 1 if not want[1] else 0 if want[0] in (o.members[x].address, o.members[x].at) else 3] += 1
            if want != got:
                wrong.append("%s -> %s: %s, not %s" % (x, y, *([a and text_of(a) for a in w] for w in (got, want))))
    return wrong, kinds


def ok(number_, name, said):
    global failed
    failed += bool(said)
    print("%s %d - %s" % ("not ok" if said else "ok", number_, name))
    for line in said[:20]:
        print("# " + line)


EXAMPLE = "z hub z.example.com\na node 192.168.201.0/24 return route+gw\nc node 192.168.200.0/24 return snat\nb host a .55\nd host c .44\ne person\n"
DEFECTS = {
    "a route of the hub is lost": lambda m: m["z"]["routes"].pop(),
    "the node of a LAN forwards nothing": lambda m: m["a"].update(forward=False),
    "what comes back goes past the gateway": lambda m: m["a"].update(gateway_back=False),
    "the node bears its own address for nobody": lambda m: m["c"].update(snat=False),
    "a LAN is at another peer": lambda m: m["z"]["peers"][0]["allowed_ips"].append(m["z"]["peers"][1]["allowed_ips"].pop()),
    "nobody knows where the hub is": lambda m: m["e"]["peers"][0].pop("endpoint"),
    "a person takes nothing from a LAN": lambda m: m["e"]["peers"][0]["allowed_ips"].pop(),
}


def main():
    wrong, kinds = [], [0, 0, 0, 0]
    with tempfile.TemporaryDirectory() as where:
        for seed in range(OFFICES):
            text, gateways = make(random.Random(seed), (0, 5), (0, 3), (0, 4))
            o = Office(text, gateways, asked=False)
            said, counts = differences(world_of(plan_of(text, where), o), o)
            kinds = [a + b for a, b in zip(kinds, counts)]
            wrong += ["seed %d: %s" % (seed, line) for line in said]
        ok(1, "who reaches whom in %d random offices, and as whom, is what the oracle says of their files [plan-oracle]" % OFFICES, wrong)
        ok(2, "each answer is common among them: seen as itself, by ping only, not at all, seen as the node [plan-oracle]",
           [] if min(kinds) > 1000 else [str(kinds)])
        plan, missed = plan_of(EXAMPLE, where), []
        o = Office(EXAMPLE, {"a": "strict", "c": "none"}, asked=False)
        if differences(world_of(plan, o), o)[0]:
            missed.append("nothing is wrong with the example")
        for defect, spoil in DEFECTS.items():
            bad = copy.deepcopy(plan)
            spoil({m["name"]: m for m in bad["members"]})
            if not differences(world_of(bad, o), o)[0]:
                missed.append(defect)
        ok(3, "and who follows the packets finds what is wrong with a plan", missed)
        print("1..3")


main()
sys.exit(failed > 0)
