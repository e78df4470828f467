#!/usr/bin/python3
"""Many of everything: prefixes on one peer, peers, sessions; and the memory that each takes."""
import ipaddress
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lab  # noqa: E402
import wgpeer as w  # noqa: E402
from lab import Daemon, ok, same  # noqa: E402
from wire import PORT  # noqa: E402

PREFIXES, PEERS, MEASURED = 130560, 10000, 5000


def limit(d, before, n, kb, name):
    """Resident memory that n things added, in bytes each."""
    each = (d.status("VmRSS") - before) * 1024 / n
    if d.sanitised():
        return lab.skip(name, "a sanitizer's memory is not the program's")
    ok(each <= kb * 1024, name + ": %d bytes" % each)


def prefixes():
    d = Daemon("d", "wg1")
    public = os.urandom(32).hex()
    want = ["%d.%d.%d.%d/32" % (10 + (i >> 16), i >> 8 & 255, i & 255, 1) for i in range(PREFIXES // 2)]
    want += ["fd00:%x:%x::/64" % (i >> 8, i & 255) for i in range(PREFIXES // 2)]
    t = time.monotonic()
    d.set("public_key=" + public, *["allowed_ip=" + a for a in want])
    lab.note("set in %.2f s" % (time.monotonic() - t))
    t = time.monotonic()
    got = d.get()[1][public]["allowed_ip"]
    lab.note("got in %.2f s" % (time.monotonic() - t))

    same(len(got), PREFIXES, "130,560 prefixes of one peer are set and shown completely [trie-many-prefixes] [uapi-large]")
    ok(got == [str(ipaddress.ip_network(a)) for a in want], "and they are the ones that were set [trie-many-prefixes]",
       *[x for x in zip(got, want) if x[0] != x[1]][:3])
    shown = lab.run("wg show wg1 allowed-ips").split()
    same(len(shown), PREFIXES + 1, "wg shows them all [uapi-wg-show]")
    d.set("public_key=" + public, "remove=true")
    same(d.get()[1], {}, "and they go with their peer [trie-remove-peer]")
    same(d.stop(), 0, "the daemon ends [proc-sigterm]")


def peers():
    d = Daemon("d", "wg1")
    d.set("private_key=" + w.Key().private.hex(), "listen_port=%d" % PORT)
    lab.run("ip -n d link set wg1 up")
    keys = [w.Key().public.hex() for _ in range(PEERS)]

    def lines(span):
        return [x for i in span for x in ("public_key=" + keys[i], "allowed_ip=10.%d.%d.1/32" % (i >> 8, i & 255),
                                          "allowed_ip=fd00:%x::/64" % i, "endpoint=192.0.2.1:%d" % (i + 1))]
    d.set(*lines(range(1)))
    d.get()
    time.sleep(0.1)
    before = d.status("VmRSS")
    t = time.monotonic()
    d.set(*lines(range(1, MEASURED)))
    lab.note("%d peers set in %.2f s" % (MEASURED, time.monotonic() - t))
    limit(d, before, MEASURED, 2, "a configured peer with an endpoint and two prefixes takes at most 2 kB of resident memory [memory-idle-peer]")
    d.set(*lines(range(MEASURED, PEERS)))
    t = time.monotonic()
    got = d.get()[1]
    lab.note("%d peers shown in %.2f s" % (PEERS, time.monotonic() - t))
    ok(list(got) == keys, "10,000 peers are set and shown completely, in order [peers-many] [uapi-get-order]", len(got))
    ok(all(got[k]["endpoint"] == "192.0.2.1:%d" % (i + 1) and len(got[k]["allowed_ip"]) == 2 for i, k in enumerate(keys) if k in got),
       "each with its endpoint and prefixes [peers-many]")
    same(len(lab.run("wg show wg1 dump").splitlines()), PEERS + 1, "wg shows them all [uapi-wg-show]")
    d.set("replace_peers=true")
    same(d.get()[1], {}, "and they are removed at once [uapi-replace-peers]")
    # Added and removed again and again: nothing is left behind.
    def cycle():
        d.set("replace_peers=true", *lines(range(1000)))
        d.set("replace_peers=true")
    for _ in range(5):
        cycle()
    before = d.status("VmRSS")
    for _ in range(10):
        cycle()
    grown = d.status("VmRSS") - before
    if d.sanitised():
        lab.skip("peers that come and go leave no memory behind [memory-churn]", "a sanitizer's memory is not the program's")
    else:
        ok(grown < 2048, "10,000 peers that come and go leave no memory behind: %d kB [memory-churn]" % grown)
    same(d.stop(), 0, "the daemon ends [proc-sigterm]")


def sessions():
    d = Daemon("d", "wg1")
    key = w.Key()
    d.set("private_key=" + key.private.hex(), "listen_port=%d" % PORT)
    lab.run("ip -n d link set wg1 up")
    n = MEASURED
    keys = [w.Key() for _ in range(n + 1)]
    sock = w.UdpPeer(("10.0.0.2", PORT)).sock
    before = None
    ends = []
    for i, k in enumerate(keys):
        p = w.UdpPeer(("10.0.0.2", PORT), k, key.public, sock=sock)
        ends.append(p)
    # The first warms up what every daemon needs once.
    d.set("public_key=" + keys[0].public.hex(), "allowed_ip=10.200.0.1/32")
    ends[0].handshake()
    time.sleep(0.1)
    before = d.status("VmRSS")
    d.set(*[x for i, k in enumerate(keys[1:]) for x in ("public_key=" + k.public.hex(), "allowed_ip=10.%d.%d.1/32" % (i >> 8, i & 255))])
    t = time.monotonic()
    failed = 0
    for p in ends[1:]:
        try:
            p.handshake()
        except w.Refused:
            failed += 1
        p.hs = None
    lab.note("%d handshakes in %.1f s" % (n, time.monotonic() - t))
    same(failed, 0, "5,000 peers complete their handshakes [sessions-many]")
    lab.wait_for(lambda: d.peer(keys[-1].public).get("last_handshake_time_sec", "0") != "0")
    st = d.get()[1]
    same(sum(x["last_handshake_time_sec"] != "0" for x in st.values()), n + 1, "each of them is confirmed [sessions-many]")
    limit(d, before, n, 6, "a peer with a session takes at most 6 kB of resident memory [memory-session]")
    same(d.stop(), 0, "the daemon ends [proc-sigterm]")


def test():
    lab.host("d")
    for part in (prefixes, peers, sessions):
        t = time.monotonic()
        part()
        lab.note("%s: %.1f s" % (part.__name__, time.monotonic() - t))


lab.main(600, test)
