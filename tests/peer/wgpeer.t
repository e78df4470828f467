#!/usr/bin/python3
"""The Python peer itself: published vectors, and two of its ends against each other."""
import os
import struct
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import wgpeer as w  # noqa: E402

count = failed = 0


def ok(good, name):
    global count, failed
    count += 1
    failed += not good
    print("%sok %d - %s" % ("" if good else "not ", count, name), flush=True)


def refused(name, f, *args, **kw):
    try:
        f(*args, **kw)
    except w.Refused:
        return ok(True, name)
    ok(False, name)


unhex = bytes.fromhex
# draft-irtf-cfrg-xchacha-03, 2.2.1 and A.3.1
ok(w.hchacha20(bytes(range(32)), unhex("000000090000004a0000000031415927")) ==
   unhex("82413b4227b27bfed30e42508a877d73a0f9e4d58a74a853c12ec41326d3ecdc"), "HChaCha20 gives the draft's vector")
sealed = w.xseal(bytes(range(0x80, 0xa0)), bytes(range(0x40, 0x58)),
                 b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, "
                 b"sunscreen would be it.", unhex("50515253c0c1c2c3c4c5c6c7"))
ok(sealed[-16:] == unhex("c0875924c1c7987947deafd8780acf49") and sealed.startswith(unhex("bd6d179d3e83d43b")),
   "XChaCha20-Poly1305 gives the draft's vector")
# RFC 7693, appendix B
ok(w.H(b"abc") == unhex("508c5e8c327c14e2e1a72ba34eeb452f37458b209ed63a294d999b4c86675982"),
   "BLAKE2s gives the RFC's vector")
# RFC 7748, 6.1
bob = w.Key(unhex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb"))
ok(bob.public == unhex("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"),
   "X25519 gives the RFC's public key")
ok(bob.dh(unhex("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a")) ==
   unhex("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"), "and its shared secret")
ok(all(w.Key().dh(p) == w.ZERO for p in w.LOW_ORDER), "every low-order key gives the zero secret")
ok(w.tai64n(0)[:8] == unhex("400000000000000a"), "TAI64N starts ten seconds ahead of UTC")
ok(w.checksum(unhex("45000073000040004011b861c0a80001c0a800c7")) == 0, "the Internet checksum")

a, b = w.Peer(), w.Peer()
a.remote, b.remote = b.key.public, a.key.public
a.psk = b.psk = os.urandom(32)
first = a.initiation()
ok(len(first) == 148 and w.kind(first) == "initiation", "an initiation has 148 bytes")
info = b.consume_initiation(first)
ok(info["static"] == a.key.public and info["mac2"] == bytes(16), "the responder learns who calls")
resp = b.response()
ok(len(resp) == 92 and w.kind(resp) == "response", "a response has 92 bytes")
sa, sb = a.consume_response(resp), b.session
ok(sa.send_key == sb.recv_key and sa.recv_key == sb.send_key and sa.send_key != sa.recv_key, "both ends have the same keys")
msg = sa.data(b"hello")
ok(sb.open(msg) == b"hello" + bytes(11), "data is padded to 16 and arrives")
refused("a counter is accepted once", sb.open, msg)
ok(sb.open(sa.data()) == b"", "a keepalive is empty")
ok(w.kind(sa.data()) == "keepalive", "a keepalive has 32 bytes")
for at in (0, 4, 8, 16, -1):
    refused("a flipped byte at %d is noticed" % at, sb.open, sa.data(b"x" * 40, corrupt=at))
refused("a replayed initiation is refused", b.consume_initiation, first)
refused("a response is taken once", a.consume_response, resp)
for name, (where, quirk) in sorted(w.QUIRKS.items()):
    if where == "initiation" and name not in ("wrong-mac2",):
        refused("initiation, " + name, b.consume_initiation, a.initiation(**quirk))
    elif where == "response":
        b.consume_initiation(a.initiation(), check_timestamp=False)
        refused("response, " + name, a.consume_response, b.response(keep=True, **quirk))

b.last_timestamp = bytes(12)
msg = a.initiation()
addr = ("192.0.2.7", 4711)
reply = b.cookie_reply(msg, addr)
ok(len(reply) == 64 and w.kind(reply) == "cookie", "a cookie reply has 64 bytes")
cookie = a.consume_cookie(reply)
ok(cookie == w.mac(b.cookie_secret, unhex("c0000207") + struct.pack(">H", 4711)), "the cookie binds address and port")
msg = a.initiation()
ok(msg[132:] == w.mac(cookie, msg[:132]), "the next initiation bears it in mac2")
refused("a cookie for another message is refused", a.consume_cookie, reply)
p = w.udp("10.0.0.1", "10.0.0.2", 1, 2, b"abc")
ok(w.inner_length(p) == len(p) == 31 and w.checksum(p[:20]) == 0, "an inner IPv4 datagram is well-formed")
p = w.udp("fd00::1", "fd00::2", 1, 2, b"abc")
ok(w.inner_length(p) == len(p) == 51, "an inner IPv6 datagram is well-formed")
print("1..%d" % count)
sys.exit(failed > 0)
