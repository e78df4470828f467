#!/usr/bin/python3
"""Raw conversations over the configuration socket: what is accepted, every error, and what `wg` makes of the answers."""
import os
import socket
import stat
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lab  # noqa: E402
import wgpeer as w  # noqa: E402
from lab import Daemon, Uapi, ok, same  # noqa: E402

OK, INVALID, PROTOCOL, IN_USE = "errno=0\n\n", "errno=-22\n\n", "errno=-71\n\n", "errno=-98\n\n"
K = [os.urandom(32).hex() for _ in range(8)]


def test():
    lab.host("d")
    d = Daemon("d", "wg1")

    def s(*lines):
        return d.ask("set=1\n" + "".join(x + "\n" for x in lines) + "\n")

    def get():
        return d.ask("get=1\n\n")

    path = "/var/run/wireguard/wg1.sock"
    mode, dmode = os.stat(path).st_mode, os.stat(os.path.dirname(path)).st_mode
    same((stat.S_ISSOCK(mode), oct(mode & 0o777), oct(dmode & 0o777)), (True, "0o700", "0o755"),
         "the socket is its owner's only, its directory for all to look into [uapi-socket-path]")

    # Conversations.
    first = get()
    same((first.endswith("errno=0\n\n"), "private_key" in first, "listen_port" in first, "fwmark" in first),
         (True, False, False, False), "an unconfigured device has no key, port or mark in get [uapi-get-optional]")
    u = Uapi("wg1")
    same([u.ask("get=1\n\n") for _ in range(3)], [first] * 3, "one connection carries several operations [uapi-several-operations]")
    u.send("get=1\n\nset=1\nfwmark=0\n\nget=1\n\n")
    same([u.answer(), u.answer(), u.answer()], [first, OK, first], "sent at once they are answered in order [uapi-several-operations]")
    for c in "set=1\nlisten_port=0\n\n":
        u.send(c)
        time.sleep(0.001)
    same(u.answer(), OK, "an operation may come byte by byte [uapi-set]")
    same((u.ask("frobnicate=1\n\n"), u.answer()), ("", ""), "an unknown operation closes the connection [uapi-unknown-operation]")
    for _ in range(200):
        x = socket.socket(socket.AF_UNIX)
        x.connect(path)
        x.close()
    same(get(), first, "clients that leave at once harm nothing [uapi-eof]")
    u = Uapi("wg1")
    u.send("set=1\nlisten_port=1")
    u.close()
    same(get(), first, "a request that is cut off in the middle of a line changes nothing [uapi-eof]")

    # What a refusal leaves in the log.
    same((s("private_key=" + "5" * 63), s("private_kye=" + "5" * 64)), (INVALID, INVALID), "a bad value and an unknown key are refused [uapi-error-invalid]")
    ok(lab.wait_for(lambda: sum("errno=-22" in x for x in d.log_lines()) == 2), "each has a line in the log [uapi-refused-line]", d.log_lines())
    log = "\n".join(d.log_lines())
    same(("line=2 key=private_key" in log, "line=2 key=unknown" in log, "5555" in log, "kye" in log), (True, True, False, False),
         "that says which line and key, and nothing else of what came [uapi-refused-line]")

    # Device.
    key = w.Key()
    bits = bytearray(os.urandom(32))
    bits[0] |= 7
    bits[31] |= 0x80
    same(s("private_key=" + bits.hex()), OK, "any 32 bytes are a private key [uapi-private-key]")
    clamped = bytearray(bits)
    clamped[0] &= 248
    clamped[31] = clamped[31] & 127 | 64
    same(d.get()[0].get("private_key"), clamped.hex(), "it is clamped [uapi-private-key]")
    same((s("private_key=" + "0" * 64), "private_key" in get()), (OK, False), "all zero unsets it [uapi-private-key]")
    same((s("private_key=" + key.private.hex().upper()), d.get()[0].get("private_key")), (OK, key.private.hex()),
         "upper-case digits are taken, lower-case ones given [uapi-private-key]")
    same((s("listen_port=51820"), d.get()[0].get("listen_port")), (OK, "51820"), "the port is kept while down [uapi-listen-port]")
    same((s("fwmark=4294967295"), d.get()[0].get("fwmark")), (OK, "4294967295"), "a mark has 32 bits [uapi-fwmark]")
    same((s("fwmark=0"), "fwmark" in get()), (OK, False), "mark 0 is none [uapi-fwmark]")
    same(lab.run("ss -Hlun", "d"), "", "down, nothing is bound [uapi-listen-port]")
    s("fwmark=42")
    lab.run("ip -n d link set wg1 up")

    def ports():
        out = lab.run("ss -Hlun", "d")
        return sorted({int(x.split()[3].rsplit(":", 1)[1]) for x in out.splitlines()})

    def bound():
        return len(lab.run("ss -Hlun", "d").splitlines()) >= 2
    lab.wait_for(bound)
    same(ports(), [51820], "the port is bound when the link comes up [uapi-listen-port]")
    same(bound(), True, "for IPv4 and IPv6 [sock-one-port]")

    def marks():
        """The marks of all sockets, in both families."""
        return {x.split("fwmark:")[1].split()[0] if "fwmark:" in x else "none" for x in lab.run("ss -Hluen", "d").splitlines()
                if x.startswith("UNCONN")}
    same(marks(), {"0x2a"}, "with the mark that was set before [uapi-fwmark] [sock-mark]")
    same((s("fwmark=43"), marks()), (OK, {"0x2b"}), "a new mark is on them at once [uapi-fwmark] [sock-mark]")
    same((s("listen_port=51821"), ports()), (OK, [51821]), "a new port is bound at once [uapi-listen-port]")
    same(marks(), {"0x2b"}, "and has the mark [sock-mark]")
    same((s("fwmark=0"), marks()), (OK, {"none"}), "which can be taken off [uapi-fwmark] [sock-mark]")
    busy = lab.udp_socket("d", "0.0.0.0", 51900)
    same(s("listen_port=51900"), IN_USE, "a port that is taken is -98 [uapi-error-bind] [sock-port-busy]")
    busy6 = lab.udp_socket("d", "::", 51901)
    same(s("listen_port=51901"), IN_USE, "also if it is taken for IPv6 only [uapi-error-bind] [sock-port-busy]")
    busy.close(), busy6.close()
    same((s("listen_port=51900"), ports()), (OK, [51900]), "when it is free again it is bound [uapi-error-bind]")
    same((s("listen_port=0"), len(ports()), ports()[0] > 0, d.get()[0].get("listen_port")), (OK, 1, True, str(ports()[0])),
         "port 0 finds one port for both families, and get tells which [sock-port-zero]")
    port = ports()
    lab.run("ip -n d link set wg1 down")
    same(lab.wait_for(lambda: not ports()), True, "a link that is down has no port open [link-down-effects]")
    lab.run("ip -n d link set wg1 up")
    lab.wait_for(bound)
    same(ports(), port, "a port that was found is kept over down and up [sock-port-kept]")
    sockets = lab.run("ss -Hluen", "d")
    same((s("listen_port=%d" % port[0]), lab.run("ss -Hluen", "d")), (OK, sockets), "the same port again leaves the sockets as they are [uapi-listen-port-equal]")

    # Peers.
    same(s("public_key=" + K[0], "allowed_ip=10.1.2.3/16", "allowed_ip=fd00:1:2:3::4/32", "allowed_ip=10.9.9.9/32"), OK,
         "a peer is created [uapi-set]")
    p = d.get()[1][K[0]]
    same(p["allowed_ip"], ["10.1.0.0/16", "fd00:1::/32", "10.9.9.9/32"], "its prefixes are masked, and in the order of their insertion [uapi-allowed-ip] [trie-mask] [trie-order]")
    same((p["preshared_key"], p["protocol_version"], "endpoint" in p), ("0" * 64, "1", False),
         "a peer always has a pre-shared key and a version, and no endpoint that is not known [uapi-get-optional]")
    body = get().split("public_key=")[1]
    keys = [x.split("=")[0] for x in ("public_key=" + body).split()]
    order = ["public_key", "preshared_key", "protocol_version", "last_handshake_time_sec", "last_handshake_time_nsec",
             "tx_bytes", "rx_bytes", "persistent_keepalive_interval", "allowed_ip", "allowed_ip", "allowed_ip", "errno"]
    same(keys, order, "keys come in the fixed order, without others while these are zero [uapi-get-order] [uapi-get-extra]")
    for e, shown in (("192.0.2.1:65535", None), ("[2001:db8::1]:1", None), ("[2001:DB8:0:0::1]:51820", "[2001:db8::1]:51820"),
                     ("[::ffff:192.0.2.1]:7", ("[::ffff:192.0.2.1]:7", "192.0.2.1:7"))):
        same(s("public_key=" + K[0], "endpoint=" + e), OK, "endpoint %s [uapi-endpoint-v%d]" % (e, 6 if "[" in e else 4))
        got = d.get()[1][K[0]].get("endpoint")
        ok(got in shown if isinstance(shown, tuple) else got == (shown or e), "and is shown [uapi-endpoint-v%d]" % (6 if "[" in e else 4), got)
    scoped = "endpoint=[fe80::1%eth]:51820"
    index = lab.run("cat /sys/class/net/eth/ifindex", "d").strip()
    ok(s("public_key=" + K[0], scoped) == OK and d.get()[1][K[0]].get("endpoint") in
       ("[fe80::1%eth]:51820", "[fe80::1%" + index + "]:51820"), "a link-local endpoint keeps its scope [endpoint-v6-scope]")
    psk = os.urandom(32).hex()
    same((s("public_key=" + K[0], "preshared_key=" + psk), d.get()[1][K[0]]["preshared_key"]), (OK, psk), "a pre-shared key [uapi-preshared-key]")
    same((s("public_key=" + K[0], "preshared_key=" + "0" * 64), d.get()[1][K[0]]["preshared_key"]), (OK, "0" * 64), "and none again [uapi-preshared-key]")
    for n in ("0", "1", "65535"):
        same((s("public_key=" + K[0], "persistent_keepalive_interval=" + n), d.get()[1][K[0]]["persistent_keepalive_interval"]),
             (OK, n), "persistent keepalive %s [uapi-keepalive]" % n)
    s("public_key=" + K[0], "persistent_keepalive_interval=0")
    same((s("public_key=" + K[1], "update_only=true", "allowed_ip=10.9.9.9/32"), sorted(d.get()[1]), d.get()[1][K[0]]["allowed_ip"][-1]),
         (OK, [K[0]], "10.9.9.9/32"), "update_only creates no peer and moves no prefix [uapi-update-only]")
    same((s("public_key=" + K[1], "remove=true"), sorted(d.get()[1])), (OK, [K[0]]), "removing a peer that is not there is no error [uapi-remove-peer]")
    same((s("public_key=" + K[0], "allowed_ip=-10.9.9.9/32"), d.get()[1][K[0]]["allowed_ip"]),
         (OK, ["10.1.0.0/16", "fd00:1::/32"]), "a minus removes a prefix [uapi-allowed-ip-minus]")
    same((s("public_key=" + K[0], "allowed_ip=-10.1.0.0/17", "allowed_ip=-10.0.0.0/8", "allowed_ip=-::/0"), d.get()[1][K[0]]["allowed_ip"]),
         (OK, ["10.1.0.0/16", "fd00:1::/32"]), "only exactly that prefix [uapi-allowed-ip-minus] [trie-remove-exact]")
    s("public_key=" + K[1], "allowed_ip=10.2.0.0/16")
    same((s("public_key=" + K[1], "allowed_ip=-10.1.0.0/16"), d.get()[1][K[0]]["allowed_ip"]),
         (OK, ["10.1.0.0/16", "fd00:1::/32"]), "and not another peer's [trie-remove-exact]")
    same((s("public_key=" + K[1], "allowed_ip=10.1.255.255/16"), d.get()[1][K[0]]["allowed_ip"], d.get()[1][K[1]]["allowed_ip"]),
         (OK, ["fd00:1::/32"], ["10.2.0.0/16", "10.1.0.0/16"]), "a prefix moves to the peer that gets it last [trie-move-prefix]")
    same((s("public_key=" + K[1], "replace_allowed_ips=true", "allowed_ip=0.0.0.0/0", "allowed_ip=::/0"), d.get()[1][K[1]]["allowed_ip"]),
         (OK, ["0.0.0.0/0", "::/0"]), "replace_allowed_ips [uapi-replace-allowed-ips] [trie-default]")
    same((s("public_key=" + K[1], "remove=true"), sorted(d.get()[1])), (OK, [K[0]]), "remove [uapi-remove-peer]")
    same((s("public_key=" + key.public.hex(), "allowed_ip=10.7.0.0/16"), sorted(d.get()[1])), (OK, [K[0]]),
         "our own public key as a peer is ignored [own-key-peer-ignored]")
    many = [os.urandom(32).hex() for _ in range(30)]
    s(*["public_key=" + k for k in many])
    same(list(d.get()[1]), [K[0]] + many, "peers come in the order in which they were added [uapi-get-order]")
    same((s("replace_peers=true", "public_key=" + K[2], "public_key=" + K[3]), list(d.get()[1])), (OK, K[2:4]), "replace_peers [uapi-replace-peers]")
    same((s("public_key=" + K[2], "protocol_version=1"), s("public_key=" + K[2], "protocol_version=2")), (OK, INVALID),
         "protocol version 1 and no other [uapi-protocol-version]")

    # Errors.
    peer = "public_key=" + K[2]
    bad = {
        "uapi-error-invalid": [("unknown=1",), (peer, "unknown=1"), ("listen_port=65536",), ("listen_port=-1",), ("listen_port=x",),
                               ("listen_port=",), ("listen_port=1 ",), ("listen_port=1.0",), ("fwmark=4294967296",),
                               ("fwmark=-1",), ("fwmark=z",), ("replace_peers=false",), ("replace_peers=1",), ("replace_peers=",),
                               ("allowed_ip=10.0.0.0/8",), ("remove=true",), ("=",), ("=1",),
                               (peer, "listen_port=1"), (peer, "private_key=" + K[0])],
        "uapi-private-key": [("private_key=",), ("private_key=" + "0" * 63,), ("private_key=" + "0" * 65,),
                             ("private_key=" + "0" * 66,), ("private_key=" + "g" * 64,), ("private_key=" + "0" * 62 + "0x",)],
        "uapi-set": [("public_key=",), ("public_key=" + "1" * 63,), ("public_key=" + "1" * 62 + "zz",), ("public_key=" + "1" * 128,)],
        "uapi-preshared-key": [(peer, "preshared_key="), (peer, "preshared_key=" + "1" * 62), (peer, "preshared_key=" + "q" * 64)],
        "uapi-remove-peer": [(peer, "remove=false"), (peer, "remove=1"), (peer, "remove=")],
        "uapi-update-only": [(peer, "update_only=false"), (peer, "update_only=TRUE")],
        "uapi-endpoint-v4": [(peer, "endpoint=" + e) for e in ("", "192.0.2.1", "192.0.2.1:", "192.0.2.1:65536", "192.0.2.1:-1",
                                                              "192.0.2:1", "192.0.2.256:1", ":1", "192.0.2.1:1x")],
        "uapi-endpoint-v6": [(peer, "endpoint=" + e) for e in ("2001:db8::1:1x", "[2001:db8::1]", "[2001:db8::1]:", "[2001:db8::1:1",
                                                              "[192.0.2.1]x:1", "[::g]:1", "[]:1")],
        "uapi-endpoint-name": [(peer, "endpoint=localhost:51820"), (peer, "endpoint=example.org:1")],
        "uapi-keepalive": [(peer, "persistent_keepalive_interval=" + v) for v in ("65536", "-1", "off", "", "1s")],
        "uapi-replace-allowed-ips": [(peer, "replace_allowed_ips=false"), (peer, "replace_allowed_ips=")],
        "uapi-allowed-ip": [(peer, "allowed_ip=" + a) for a in ("10.0.0.1", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/", "10.0.0/8", "::/129",
                                                             "/8", "", "x/8", "10.0.0.0/8/8", "--10.0.0.0/8", "10.0.0.0/8x")],
    }
    for tag, cases in bad.items():
        wrong = [(c, got) for c in cases if (got := s(*c)) != INVALID]
        ok(not wrong, "bad values are -22 [%s]%s" % (tag, "" if tag == "uapi-error-invalid" else " [uapi-error-invalid]"),
           *["%s: %r" % (" / ".join(c), g) for c, g in wrong])
    wrong = [(c, got) for c in ("listen_port", "x", peer.replace("=", " "), " ", "get", "\0") if (got := s(c)) != PROTOCOL]
    ok(not wrong, "a line without = is -71 [uapi-error-protocol]", *wrong)
    same((s("fwmark=7", "listen_port=nonsense", "fwmark=8"), d.get()[0].get("fwmark")), (INVALID, "7"),
         "lines before the error stay applied, those after it do not [uapi-error-keeps]")
    u = Uapi("wg1")
    same((u.ask("set=1\nunknown=1\nfwmark=9\nget=1\nset=1\n\n"), u.ask("set=1\nfwmark=0\n\n")), (INVALID, OK),
         "the rest of a failed request is skipped, and the connection goes on [uapi-error-swallow]")
    u.send("set=1\nx\n\nset=1\nfwmark=3\n\n")
    same((u.answer(), u.answer(), d.get()[0].get("fwmark")), (PROTOCOL, OK, "3"),
         "also when what follows was sent with it [uapi-error-swallow]")
    s("fwmark=0")
    u = Uapi("wg1")
    try:
        u.send("set=1\n" + "x" * (1 << 20) + "\n\n")
        got = u.answer()
    except OSError:
        got = ""
    ok(got in (PROTOCOL, INVALID, ""), "a line of a megabyte is an error [uapi-error-protocol]", got[:50])
    same((s("listen_port=\0"), s("private_key=" + "\0" * 64)), (INVALID, INVALID), "zero bytes are no digits [uapi-error-invalid]")

    # Many clients.
    results = []

    def client(i):
        u, k = Uapi("wg1"), os.urandom(32).hex()
        for n in range(20):
            got = u.ask("set=1\npublic_key=%s\nreplace_allowed_ips=true\n%s\n" % (
                k, "".join("allowed_ip=10.%d.%d.%d/32\n" % (100 + i, n, j) for j in range(20))))
            text = u.ask("get=1\n\n")
            results.append(got == OK and text.endswith(OK) and all(
                x.count("allowed_ip") in (0, 20) for x in text.split("public_key=")[1:]))
        u.ask("set=1\npublic_key=%s\nremove=true\n\n" % k)
        u.close()
    threads = [threading.Thread(target=client, args=(i,)) for i in range(10)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    same((len(results), all(results)), (200, True), "ten clients at once see no half of another's set [uapi-many-clients]")

    # A client that never reads its answers.
    s(*["public_key=" + K[2]] + ["allowed_ip=10.%d.%d.%d/32" % (50 + (i >> 16), i >> 8 & 255, i & 255) for i in range(20000)])
    slow = Uapi("wg1")
    for _ in range(20):
        slow.send("get=1\n\n")
    time.sleep(0.1)
    same(s("fwmark=0"), OK, "a client that does not read holds up no other [uapi-slow-client]")
    slow.close()
    same(get().count("allowed_ip="), 20000, "get of 20,000 prefixes is complete [uapi-large]")

    # wg understands it.
    s("replace_peers=true")
    with open("/run/lab/wg1.conf", "w") as f:
        f.write("[Interface]\nPrivateKey = %s\nListenPort = 51820\nFwMark = 0x2a\n\n[Peer]\nPublicKey = %s\nPresharedKey = %s\n"
                "AllowedIPs = 10.1.0.0/16, fd00:1::/32\nEndpoint = 192.0.2.1:51820\nPersistentKeepalive = 25\n\n" %
                (w.b64(key.private), w.b64(bytes.fromhex(K[4])), w.b64(bytes.fromhex(psk))))
    lab.run("wg setconf wg1 /run/lab/wg1.conf")
    want = open("/run/lab/wg1.conf").read()
    norm = lambda t: sorted(x.replace(" ", "") for x in t.lower().splitlines() if x.strip())  # noqa: E731
    same(norm(lab.run("wg showconf wg1")), norm(want), "wg setconf and wg showconf agree [uapi-wg-set] [uapi-wg-show]")
    lab.run(["wg", "set", "wg1", "peer", w.b64(bytes.fromhex(K[5])), "allowed-ips", "10.2.0.0/16", "persistent-keepalive", "off"])
    show = lab.run("wg show wg1")
    ok(all(x in show for x in ("interface: wg1", "listening port: 51820", "fwmark: 0x2a", "endpoint: 192.0.2.1:51820",
                               "persistent keepalive: every 25 seconds", "allowed ips: 10.2.0.0/16")), "wg show [uapi-wg-show]", show)
    same(len(lab.run("wg show wg1 dump").splitlines()), 3, "wg show dump [uapi-wg-show]")
    same(lab.run("wg show interfaces").split(), ["wg1"], "wg show interfaces [uapi-wg-show]")
    lab.run("wg syncconf wg1 /run/lab/wg1.conf")
    same(len(lab.run("wg show wg1 dump").splitlines()), 2, "wg syncconf removes what is not in the file [uapi-wg-set]")


lab.main(600, test)
