"""
tests/oracle/office_oracle.py - who reaches whom in an office, from the text of its file alone; and files made by chance.

Knows of the programs nothing but the grammar and what docs/OFFICE.md promises.

	o = Office(text, gateways)      gateways: of each node's LAN "none", "static" or "strict"
	o.seen(x, y)                    as whom y sees x: by ping, by TCP; None where it does not get there and back
"""
import ipaddress
import re

FITS = {"none": "snat", "static": "route", "strict": "route+gw"}  # what auto finds


def number(text):
    return int(ipaddress.IPv4Address(text))


def text_of(address):
    return str(ipaddress.IPv4Address(address))


class Range:
    """A prefix of IPv4, fast."""
    def __init__(self, text):
        address, bits = text.split("/") if "/" in text else (text, "32")
        self.bits = int(bits)
        self.mask = 0xffffffff << (32 - self.bits) & 0xffffffff
        self.first = number(address) & self.mask

    def __contains__(self, address):
        return address & self.mask == self.first

    def __str__(self):
        return "%s/%d" % (text_of(self.first), self.bits)


class Member:
    def __init__(self, name, kind, words):
        self.name, self.kind, self.words = name, kind, words
        self.node = self.lan = self.address = self.at = self.gateway = None

    def said(self, word):
        return self.words[self.words.index(word) + 1] if word in self.words else None


class Office:
    def __init__(self, text, gateways, asked=True):
        """asked: the nodes whose mode is auto have asked their gateways."""
        self.members, self.gateways, self.asked = {}, gateways, asked
        self.net = Range("10.70.0.0/16")
        for line in text.splitlines():
            words = line.split("#")[0].split()
            if words[:1] == ["net"]:
                self.net = Range(words[1])
            elif words and words[0] != "aliases":
                self.members[words[0]] = Member(words[0], words[1], words[2:])
        for m in self.members.values():
            if m.kind == "node":
                m.lan, m.mode = Range(m.words[0]), m.said("return") or "auto"
        for m in self.members.values():
            if m.kind == "host":
                m.node = self.members[m.words[0]]
                m.address = self.within(m.node.lan, m.words[1])
        self.give_addresses()
        for m in self.members.values():
            if m.kind == "node":
                self.give_lan_addresses(m)

    @staticmethod
    def within(lan, said):
        return lan.first & 0xffffff00 | int(said[1:]) if said[0] == "." else number(said)

    def give_addresses(self):
        """Of the tunnel: those that are said, then the first that are free, in the order of the file."""
        ours = [m for m in self.members.values() if m.kind != "host"]
        for m in ours:
            said = m.said("address") or (m.words[0] if m.kind == "person" and re.match(r"[0-9.]+$", (m.words + ["-"])[0]) else None)
            m.address = number(said) if said else None
        taken = {m.address for m in ours}
        free = self.net.first
        for m in ours:
            while m.address is None:
                free += 1
                m.address = None if free in taken else free
                taken.add(free)

    def give_lan_addresses(self, node):
        """The gateway's and the node's own: those that are said, then the first that are free."""
        taken = {m.address for m in self.members.values() if m.node is node}
        for word in "gw", "at":
            said = node.said(word)
            if said:
                taken.add(self.within(node.lan, said))
        for word, attribute in ("gw", "gateway"), ("at", "at"):
            said, free = node.said(word), node.lan.first + 1
            while not said and free in taken:
                free += 1
            setattr(node, attribute, self.within(node.lan, said) if said else free)
            taken.add(getattr(node, attribute))

    def mode_of(self, node):
        return node.mode if node.mode != "auto" else FITS[self.gateways[node.name]] if self.asked else "snat"

    def seen(self, x, y):
        x, y = self.members[x], self.members[y]
        if x.node and x.node is y.node:
            return x.address, x.address
        if y.node is x:
            return x.at, x.at
        seen, tcp = x.address, True
        if x.node:
            # Its gateway must know the node.  Answers come past the gateway, unless they are handed to it.
            kind = self.gateways[x.node.name]
            if kind == "none":
                return None, None
            tcp = kind != "strict" or (y is not x.node and self.mode_of(x.node) == "route+gw")
        if y.node:
            kind, mode = self.gateways[y.node.name], self.mode_of(y.node)
            if mode == "snat":
                seen = y.node.at
            elif kind == "none" or (kind == "strict" and mode != "route+gw"):
                return None, None
        return seen, seen if tcp else None


def make(rng, nodes, hosts, people):
    """A file and its gateways; nodes, hosts of each and people: from and to how many."""
    lines, gateways = [], {}
    net, people_from = rng.choice([("", "10.70.0."), ("", "10.70.0."), ("net 10.9.0.0/22", "10.9.1."), ("net 192.168.64.0/18", "192.168.100.")])
    if net:
        lines.append(net)
    if net or rng.random() < 0.5:
        lines.append("aliases 10.128.0.0/10")
    wide = "aliases 10.128.0.0/10" in lines
    lines.append("z hub " + rng.choice(["z.example.com", "z.example.com:443", "203.0.113.77", "198.51.100.9:5000"])
                 + rng.choice(["", "", " mtu 1400"]))
    for n, block in enumerate(rng.sample(range(16, 32), rng.randint(*nodes))):
        lan = Range("172.%d.%d.%d/%d" % (block, rng.randrange(256), rng.randrange(256), rng.choice([16, 22, 24, 25, 28] if wide else [24, 25, 28])))
        name = "n%d" % n
        # Of the narrowest, fourteen.
        free = [lan.first + i for i in rng.sample(range(3, 15), 12)]

        def short(address, bits=lan.bits):
            return ".%d" % (address & 255) if bits >= 24 and rng.random() < 0.5 else text_of(address)

        line = "%s node %s" % (name, lan)
        if rng.random() < 0.3:
            line += " at " + short(free.pop())
        if rng.random() < 0.3:
            line += " gw " + short(free.pop())
        if rng.random() < 0.3:
            line += " if lan%d" % n
        mode = rng.choice(["", "auto", "snat", "route", "route+gw"])
        lines.append(line + (mode and " return " + mode))
        gateways[name] = rng.choice(["none", "static", "static", "strict", "strict"])
        lines += ["h%d%d host %s %s" % (n, i, name, short(free.pop())) for i in range(rng.randint(*hosts))]
    for i in range(rng.randint(*people)):
        lines.append("p%d person%s" % (i, rng.choice(["", "", " " + people_from + str(200 + i)])))
    rng.shuffle(lines)
    return "\n".join(lines) + "\n", gateways
