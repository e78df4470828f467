"""
tests/net/counters.py - where a kernel counts what it loses: in the hosts of a test, and on the whole machine.

	before = counters.of("a", "b")
	...traffic...
	for line in counters.since(before): print(line)

A packet that is missing was counted by somebody: a device that refused it, a socket whose buffer was full, a table of
neighbours, or a processor's queue between two devices, which everybody on the machine shares.  Only what grew is told.
"""

import re
import sys
import os

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lab  # noqa: E402

NET = "/proc/thread-self/net/"
# Not every error is a loss, but each is worth a line.
LOSS = re.compile("Err|Drop|Discard|NoPorts|NoRoutes|Overflow|Fail|Truncated|BufferErrors|InUnknown|TooBig|Unreach|Prune|Collapse")
DEVICE = ("rx_bytes rx_packets rx_errs rx_drop rx_fifo rx_frame rx_compressed rx_multicast "
          "tx_bytes tx_packets tx_errs tx_drop tx_fifo tx_colls tx_carrier tx_compressed").split()


def _lines(name):
    try:
        with open(NET + name) as f:
            return f.read().splitlines()
    except FileNotFoundError:
        return []


def _pairs(name):
    """A line of names, then one of values: snmp, netstat."""
    x = _lines(name)
    for names, values in zip(x[::2], x[1::2]):
        kind = names.split(":")[0]
        for k, v in zip(names.split()[1:], values.split()[1:]):
            yield kind + k, int(v)


def sockets():
    """UDP sockets of this host: family, inode, port, bytes that wait, datagrams that were dropped."""
    for family in ("udp", "udp6"):
        for line in _lines(family)[1:]:
            x = line.split()
            yield family, x[9], int(x[1].rsplit(":", 1)[1], 16), int(x[4].split(":")[1], 16), int(x[-1])


def _host():
    for name in ("snmp", "netstat"):
        for k, v in _pairs(name):
            if LOSS.search(k):
                yield k, v
    for line in _lines("snmp6"):
        k, v = line.split()
        if LOSS.search(k):
            yield k, int(v)
    for line in _lines("dev")[2:]:
        dev, values = line.split(":")
        for k, v in zip(DEVICE, values.split()):
            if k[3:] in ("errs", "drop", "fifo", "carrier"):
                yield "device %s %s" % (dev.strip(), k), int(v)
    for family, inode, port, _, dropped in sockets():
        yield "%s socket inode %s port %d drops" % (family, inode, port), dropped


def _machine():
    for i, line in enumerate(_lines("softnet_stat")):
        x = [int(v, 16) for v in line.split()]
        yield "processor %d: packets dropped between devices (net.core.netdev_max_backlog)" % i, x[1]
        yield "processor %d: ran out of time for packets" % i, x[2]
    for table in ("arp_cache", "ndisc_cache"):
        text = lab.run(["ip", "-s", "ntable", "show", "name", table], check=False).stdout
        for k in ("res_failed", "table_fulls", "forced_gc_runs"):
            m = re.search(k + r" (\d+)", text)
            if m:
                yield "neighbours: %s %s" % (table, k), int(m.group(1))


def of(*hosts):
    """What the hosts and the machine have counted so far."""
    found = {("the machine", k): v for k, v in _machine()}
    for ns in hosts:
        try:
            with lab.inside(ns):
                found.update({("host " + ns, k): v for k, v in _host()})
        except FileNotFoundError:  # it is gone
            pass
    return found


def since(before):
    """Lines that name what has grown.  A counter that is new started at zero."""
    now = of(*sorted({who[5:] for who, _ in before if who.startswith("host ")}))
    return ["%s: %s +%d" % (who, k, v - before.get((who, k), 0)) for (who, k), v in sorted(now.items()) if v > before.get((who, k), 0)]


def queues(*hosts):
    """What waits or was dropped in the queues before devices, since those were made."""
    for ns in hosts:
        for line in re.findall(r"^qdisc.*(?:\n .*)*", lab.run(["tc", "-s", "qdisc", "show"], ns, check=False).stdout, re.M):
            m = re.match(r"qdisc (\S+ \S+ dev \S+)", line)
            for k, v in re.findall(r"(dropped|backlog) (\d+)", line):
                if int(v):
                    yield "host %s: qdisc %s %s %s" % (ns, m.group(1), k, v)
