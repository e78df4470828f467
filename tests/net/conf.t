#!/usr/bin/python3
"""A tunnel as its file says: ginnel-conf.  Host b has the file, host a is its peer; the script is the router between."""
import fcntl
import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lab  # noqa: E402
import wgpeer as w  # noqa: E402
from base64 import b64encode  # noqa: E402
from lab import Daemon, WG, ok, same, wait_for  # noqa: E402

CONF = os.path.join(os.path.dirname(WG), "ginnel-conf")
FILE, BESIDE = "/run/lab/wg2.conf", "/run/lab/wg3.conf"
said = []


def b64(raw):
    return b64encode(raw).decode()


def write(interface, *peers, mode=0o600, path=FILE):
    with open(path, "w") as f:
        f.write("[Interface]\n" + "".join(x + "\n" for x in interface))
        for p in peers:
            f.write("\n[Peer]\n" + "".join(x + "\n" for x in p))
    os.chmod(path, mode)


def conf(*args):
    """Run it in host b: (status, what it said)."""
    p = lab.run([CONF, *args], "b", check=False)
    said.append(p.stdout)
    return p.returncode, p.stdout


def start(*args):
    """The same, without waiting for its end."""
    return subprocess.Popen(["ip", "netns", "exec", "b", CONF, *args], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def ping(to="192.168.241.1"):
    return lab.run("ping -n -q -c 3 -i 0.1 -W 20 " + to, "b", check=False).returncode


def b(*args):
    return lab.run(["ip", "-n", "b", *" ".join(args).split()])


def hears(monitor):
    """Until it tells of changes."""
    def told():
        b("route add 10.98.0.0/16 dev eth")
        b("route del 10.98.0.0/16 dev eth")
        return "Deleted 10.98.0.0/16" in open("/run/lab/monitor").read()
    ok(wait_for(told), "somebody watches")


def routes():
    return sorted(x.split(" dev")[0].strip() for f in ("-4", "-6")
                  for x in b(f, "route show table all proto 103").splitlines())


def main():
    lab.host("a")
    lab.host("b", theirs="10.0.1.2/24", mine="10.0.1.1/24", theirs6="fd00:bb::2/64", mine6="fd00:bb::1/64")
    lab.run("sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1")
    for ns, v4, v6 in (("a", "10.0.0.1", "fd00:aa::1"), ("b", "10.0.1.1", "fd00:bb::1")):
        lab.run("ip -n %s route add default via %s" % (ns, v4))
        lab.run("ip -n %s -6 route add default via %s" % (ns, v6))
    ka, kb, other, psk, psk2 = w.Key(), w.Key(), w.Key(), os.urandom(32), os.urandom(32)
    a = Daemon("a", "wg1")
    a.set("private_key=" + ka.private.hex(), "listen_port=1111", "public_key=" + kb.public.hex(), "preshared_key=" + psk.hex(),
          "allowed_ip=192.168.241.2/32", "allowed_ip=fd00:241::2/128", "allowed_ip=10.0.1.2/32")
    for x in ("addr add 192.168.241.1/24 dev wg1", "addr add fd00:241::1/64 dev wg1 nodad", "addr add 172.31.0.1/32 dev lo", "link set wg1 up"):
        lab.run("ip -n a " + x)
    d = Daemon("b", "wg2")

    head = ["PrivateKey = " + b64(kb.private), "ListenPort = 2222", "Address = 192.168.241.2/24, fd00:241::2/64"]
    peer = ["PublicKey = " + b64(ka.public), "PresharedKey = " + b64(psk), "AllowedIPs = 192.168.241.0/24, fd00:241::/64, 172.31.0.0/16",
            "Endpoint = 10.0.0.2:1111"]
    third = ["PublicKey = " + b64(other.public), "AllowedIPs = 10.77.0.0/16", "Endpoint = 10.0.0.2:9"]

    # --- from nothing
    write(head + ["MTU = 1380"], peer, third, mode=0o644)
    same(conf("check", FILE)[0], 0, "a file that is right is checked, and nothing done [conf-check]")
    ok(any("chmod 600" in x for x in said), "keys that everybody may read are told [conf-secrets]", said)
    same(d.get()[1], {}, "after a check the daemon is as it was [conf-check]")
    same(conf("apply", FILE)[0], 0, "a file is applied [conf-apply]")
    same(ping(), 0, "and the tunnel carries [conf-apply]")
    same(ping("fd00:241::1"), 0, "in both families [conf-apply]")
    same(ping("172.31.0.1"), 0, "and to networks behind the peer [conf-apply]")
    link = b("-o addr show dev wg2")
    ok("192.168.241.2/24" in link and "fd00:241::2/64" in link and "mtu 1380" in b("link show wg2"), "addresses and MTU are the file's [conf-apply]", link)
    same(routes(), ["10.77.0.0/16", "172.31.0.0/16"],
         "there is a route for each network that has none through the interface [conf-apply]")

    # --- again, and with changes
    b("addr add 192.168.9.9/32 dev wg2")
    b("route add 10.88.0.0/16 dev wg2")
    monitor = subprocess.Popen(["ip", "-n", "b", "monitor", "link", "address", "route", "rule"], stdout=open("/run/lab/monitor", "w"))
    hears(monitor)
    before, handshake = d.get(), d.peer(ka.public)["last_handshake_time_nsec"]
    status, out = conf("apply", FILE)
    ok(status == 0 and "added=0 changed=0 removed=0" in out and "interface" not in out, "applied once more, nothing differs [conf-same]", out)
    changes = [x for x in open("/run/lab/monitor") if "wg2" in x and "addr" in x]
    same((d.get(), changes), (before, []), "and neither daemon nor addresses are touched [conf-same]")
    monitor.terminate()
    monitor.wait()

    write(head, peer[:2] + ["AllowedIPs = 192.168.241.0/24, fd00:241::/64", "PersistentKeepalive = 25"] + peer[3:])
    status, out = conf("apply", FILE)
    ok(status == 0 and "added=0 changed=1 removed=1" in out, "a peer that is gone from the file is removed, another changed [conf-sync]", out)
    got = d.peer(ka.public)
    same((got["persistent_keepalive_interval"], sorted(got["allowed_ip"]), got["last_handshake_time_nsec"]),
         ("25", ["192.168.241.0/24", "fd00:241::/64"], handshake), "what changed is in force, and the session goes on [conf-sync]")
    same(routes(), [], "routes that the file has no longer are gone [conf-sync]")
    ok("10.88.0.0/16" in b("route") and "192.168.9.9" in b("addr show dev wg2"), "what an administrator has set stays [conf-sync]")
    ok("mtu 1420" in b("link show wg2"), "an MTU that is no longer given is the usual one [conf-sync]")
    write(head[:2] + ["Address = 192.168.241.2/24"], peer)
    same(conf("apply", FILE)[0], 0, "an address is taken out")
    ok("fd00:241::2" not in b("addr show dev wg2") or os.uname().release.split(".")[0] < "6", "and is gone from the interface [conf-sync]")

    # --- roaming
    d.set("public_key=" + ka.public.hex(), "update_only=true", "endpoint=[fd00:aa::2]:1111")
    status, out = conf("apply", FILE)
    same((status, d.peer(ka.public)["endpoint"]), (0, "[fd00:aa::2]:1111"), "an endpoint that was learnt stays while the file says the same [conf-roamed]")
    write(head, peer[:3] + ["Endpoint = 10.0.0.2:1112"])
    conf("apply", FILE)
    same(d.peer(ka.public)["endpoint"], "10.0.0.2:1112", "and one that the file changes is set [conf-roamed]")
    write(head, peer)
    conf("apply", FILE)

    # --- a pre-shared key
    same(ping(), 0, "the tunnel carries")
    handshake = d.peer(ka.public)["last_handshake_time_nsec"]
    write(head, [peer[0], "PresharedKey = " + b64(psk2), *peer[2:]])
    ok("changed=1" in conf("apply", FILE)[1], "another pre-shared key is a change of one peer [psk-change]")
    same((ping(), d.peer(ka.public)["last_handshake_time_nsec"]), (0, handshake), "the session goes on with the key of its handshake [psk-change]")
    a.set("public_key=" + kb.public.hex(), "update_only=true", "preshared_key=" + psk2.hex())
    same((ping(), d.peer(ka.public)["last_handshake_time_nsec"]), (0, handshake), "on the other end too [psk-change]")
    b("link set wg2 down")
    same(conf("apply", FILE)[0], 0, "an interface that is down is set up again [conf-apply]")
    ok(ping() == 0 and d.peer(ka.public)["last_handshake_time_nsec"] != handshake, "the next handshake takes the new key [psk-change]")
    a.set("public_key=" + kb.public.hex(), "update_only=true", "preshared_key=" + psk.hex())
    b("link set wg2 down")
    conf("apply", FILE)
    same(lab.run("ping -n -q -c 2 -i 0.2 -W 1 192.168.241.1", "b", check=False).returncode, 1, "and without it there is no session [psk-change]")
    a.set("public_key=" + kb.public.hex(), "update_only=true", "preshared_key=" + psk2.hex())
    psk = psk2
    peer[1] = "PresharedKey = " + b64(psk2)

    # --- everything through the tunnel
    rules = b("rule show"), b("-6 rule show")
    whole = peer[:2] + ["AllowedIPs = 0.0.0.0/0, ::/0", "Endpoint = 10.0.0.2:1111"]
    write(head, whole)
    same(conf("apply", FILE)[0], 0, "a default route through the tunnel is applied [conf-default-route]")
    same(ping("172.31.0.1"), 0, "what was out of reach goes through the tunnel [conf-default-route]")
    same((d.get()[0]["fwmark"], b("route get 8.8.8.8").split()[2], "wg2" in b("-6 route get 2001:db8::1")), ("51820", "wg2", True),
         "and everything else but its own packets, which are marked [conf-default-route]")
    same(conf("apply", FILE)[0], 0, "also when it is applied once more")
    same(len([x for x in b("rule show").splitlines() if "proto 103" in x or "103" in x]), 2, "there are as many rules as before [conf-default-route]")
    write(head, peer)
    same(conf("apply", FILE)[0], 0, "without it")
    same((b("rule show"), b("-6 rule show"), d.get()[0].get("fwmark", "0")), (*rules, "0"), "rules and mark are gone [conf-default-route]")
    write(head, whole)
    conf("apply", FILE)
    ok(b("rule show") != rules[0] and conf("down", FILE)[0] == 0, "taken down [conf-down]")
    same((b("rule show"), b("-6 rule show"), os.path.exists("/run/ginnel/wg2.endpoints")), (*rules, False),
         "rules and the memory of endpoints are gone [conf-down]")

    # --- another tunnel beside it
    conf("apply", FILE)
    beside, seen = Daemon("b", "wg3"), (b("rule show"), b("-6 rule show"))
    for what, interface, networks in (("that is no way for everything", [], "10.78.0.0/16"), ("that marks its packets alike", ["FwMark = 51820"], "10.78.0.0/16"),
                                      ("that wants everything too", [], "0.0.0.0/0, ::/0")):
        write(["PrivateKey = " + b64(other.private)] + interface, ["PublicKey = " + b64(ka.public), "AllowedIPs = " + networks], path=BESIDE)
        status, out = conf("apply", BESIDE)
        ok(status == networks.startswith("0"), "a tunnel beside it %s is applied, as far as can be [conf-beside]" % what, out)
        same((b("rule show"), b("-6 rule show")), seen, "and changes nothing about where packets go [conf-beside]")
        same((conf("down", BESIDE)[0], b("rule show"), b("-6 rule show")), (0, *seen), "nor when it is taken down [conf-beside]")
    beside.stop()
    os.unlink(BESIDE)
    same((conf("down", BESIDE)[0], b("rule show"), b("-6 rule show")), (0, *seen), "nor when neither daemon nor file are there any more [conf-beside]")
    ok("wg2" in b("route get 8.8.8.8") and ping("172.31.0.1") == 0, "and everything goes through the first one still [conf-beside]")

    # --- from one mark to another
    monitor = subprocess.Popen(["ip", "-n", "b", "monitor", "route", "rule"], stdout=open("/run/lab/monitor", "w"))
    hears(monitor)
    write(head + ["FwMark = 1234"], whole)
    same(conf("apply", FILE)[0], 0, "another mark is applied [conf-default-route]")
    b("route add 10.99.0.0/16 dev eth")
    wait_for(lambda: "10.99.0.0/16" in open("/run/lab/monitor").read())
    monitor.terminate()
    monitor.wait()
    changes = open("/run/lab/monitor").read().splitlines()
    gone = [i for i, x in enumerate(changes) if x.startswith("Deleted") and "51820" in x]
    come = [i for i, x in enumerate(changes) if not x.startswith("Deleted") and "1234" in x]
    ok(len(gone) == len(come) == 4 and max(come) < min(gone), "routes and rules of the one are there before those of the other go: nothing leaves around the "
       "tunnel meanwhile [conf-default-route]", *changes)
    same(ping("172.31.0.1"), 0, "and the tunnel carries")
    conf("down", FILE)
    same((b("rule show"), b("-6 rule show")), rules, "taken down, its rules are gone [conf-down]")

    # --- two at once
    write(head, peer)
    conf("apply", FILE)
    lock = os.open("/run/ginnel/wg2.lock", os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_EX)
    waits = lambda: [x for x in open("/proc/locks") if "-> FLOCK" in x and x.split()[6].endswith(":%d" % os.fstat(lock).st_ino)]  # noqa: E731
    late = start("apply", FILE)
    ok(wait_for(lambda: waits() or late.poll() is not None) and late.poll() is None, "who comes while another applies a file waits [conf-once]")
    write(head, peer, third)
    os.close(lock)
    ok("added=1" in late.communicate()[0] and late.returncode == 0, "and then has the file as it is by then [conf-once]")
    for x in (whole, peer, whole, peer):
        write(head, x)
        several = [start("apply", FILE) for _ in range(4)]
        same([(p.communicate()[0].count("\n"), p.returncode) for p in several], [(1, 0)] * 4, "of four at once none is in another's way [conf-once]")

    # --- no room for the memory of endpoints
    for what, options in (("be made", "nr_inodes=1"), ("be written", "size=4k")):
        lab.run("mount -t tmpfs -o mode=755,%s full /run/ginnel" % options)
        if "size" in options:
            with open("/run/ginnel/full", "wb") as f:
                f.write(bytes(4096))
        write(head, peer)
        b("addr flush dev wg2")
        status, out = conf("apply", FILE)
        left = [x for x in os.listdir("/run/ginnel") if x != "wg2.lock"]
        lab.run("umount /run/ginnel")
        ok(status == 0 and "wg2.endpoints: No space left" in out, "that it cannot %s is told [conf-full]" % what, status, out)
        same((ping(), left in ([], ["full"])), (0, True), "and everything else is applied, and nothing half left behind [conf-full]")

    # --- names
    with open("/run/lab/nsswitch", "w") as f:
        f.write("hosts: files\n")
    open("/run/lab/hosts", "w").close()
    for x in ("hosts", "nsswitch"):
        lab.run(["mount", "--bind", "/run/lab/" + x, "/etc/" + {"hosts": "hosts", "nsswitch": "nsswitch.conf"}[x]])
    named = peer[:3] + ["Endpoint = vpn.test:1111", "PersistentKeepalive = 1"]
    d.set("replace_peers=true")
    write(head, named)
    status, out = conf("apply", FILE)
    ok(status == 0 and "vpn.test cannot be resolved" in out, "a name that nobody knows is told, and the rest applied [conf-names-later]", out)
    with open("/run/lab/watch", "w") as f:
        watch = subprocess.Popen(["ip", "netns", "exec", "b", CONF, "watch", FILE], stdout=f, stderr=f)
    with open("/run/lab/hosts", "w") as f:
        f.write("10.0.0.77 vpn.test\nfd00:aa::2 vpn.test\n")  # nobody has the first
    ok(wait_for(lambda: d.peer(ka.public).get("last_handshake_time_sec", "0") != "0", 120), "it is found when it is known, and of both families "
       "the one that answers wins [conf-names]", open("/run/lab/watch").read())
    same(d.peer(ka.public)["endpoint"], "[fd00:aa::2]:1111", "which is in force [conf-names]")
    write(head, peer)
    conf("apply", FILE)
    ok(wait_for(lambda: "names=0" in open("/run/lab/watch").read()), "without names there is nothing to watch, and it waits for some [conf-names]")
    same(watch.poll(), None, "and stays")
    watch.terminate()
    watch.wait()

    # --- what is wrong
    write(head + ["PostUp = touch /run/lab/ran", "DNS = 1.1.1.1"], peer)
    before = d.get()
    status, out = conf("apply", FILE)
    same((status, out.count("is not done here"), d.get(), os.path.exists("/run/lab/ran")), (1, 2, before, False),
         "commands and name servers are refused, and nothing is applied [conf-left]")
    os.environ["GINNEL_CONF_LEAVE"] = "hooks,dns"
    same((conf("apply", FILE)[0], os.path.exists("/run/lab/ran")), (0, False), "or left out, when that is known [conf-left]")
    del os.environ["GINNEL_CONF_LEAVE"]
    write(head, [peer[0], "AllowedIPs = 10.0.1.0/24"])
    b("route replace 10.0.1.0/24 dev eth metric 0")
    status, out = conf("apply", FILE)
    ok(status == 1 and "another route to 10.0.1.0/24" in out and "dev eth" in b("route show 10.0.1.0/24"), "a route that is there already stays, and that is told [conf-errors-told]", out)
    status, out = conf("apply", "--file=" + FILE, "wg7")
    ok(status == 1 and "start ginnel-wg first" in out, "without a daemon that is told [conf-errors-told]", out)
    status, out = conf("apply", "/nonexistent/wg2.conf")
    ok(status == 1 and "cannot read /nonexistent/wg2.conf" in out, "without a file too [conf-errors-told]", out)
    everything = "".join(said) + open("/run/lab/watch").read()
    ok(not any(x in everything for k in (kb.private, psk, psk2) for x in (b64(k), k.hex(), b64(k)[:20])), "no key was ever printed [conf-secrets]")


lab.main(400, main)
