"""
wgpeer - an independent WireGuard peer in Python, for testing others.

Written from the protocol's paper ("WireGuard: Next Generation Kernel Network Tunnel", 2020-06-01), not from any
implementation, so that a mistake in the program under test is not repeated here.  Slow and not constant-time: for
tests only.

Three layers.  Functions at the top are the primitives.  `Peer` is the protocol without I/O: it makes and consumes
messages as bytes, and every message it makes can be made wrong on purpose by a keyword.  `UdpPeer` gives it a socket.

As a program it is a scripted peer:

	wgpeer.py --private KEY --public KEY --endpoint ADDR:PORT initiate ping 10.0.0.1 10.0.0.2
	wgpeer.py --private KEY --public KEY --listen PORT respond echo
	wgpeer.py --list-quirks
"""

import base64
import hashlib
import hmac
import os
import select
import socket
import struct
import sys
import time

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.serialization import (
    Encoding, NoEncryption, PrivateFormat, PublicFormat)

CONSTRUCTION = b"Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s"
IDENTIFIER = b"WireGuard v1 zx2c4 Jason@zx2c4.com"
INITIATION, RESPONSE, COOKIE, DATA = 1, 2, 3, 4
INITIATION_LEN, RESPONSE_LEN, COOKIE_LEN, KEEPALIVE_LEN = 148, 92, 64, 32
REJECT_AFTER_MESSAGES = 2**64 - 2**13 - 1  # the first counter that is refused; see the paper's section 6.1
WINDOW = 8128
ZERO = bytes(32)
PATIENCE = 60  # seconds for what must come: a busy machine may be late

# Public keys whose product with every private key is zero (points of small order, in all their encodings below 2^255).
LOW_ORDER = [bytes.fromhex(h) for h in (
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
)]


class Refused(Exception):
    """A message that this peer does not accept; the text says why."""


# --- primitives

def H(*parts):
    h = hashlib.blake2s()
    for p in parts:
        h.update(p)
    return h.digest()


def mac(key, data):
    return hashlib.blake2s(data, key=key, digest_size=16).digest()


def hmac_blake2s(key, data):
    return hmac.new(key, data, hashlib.blake2s).digest()


def kdf(n, key, data):
    prk = hmac_blake2s(key, data)
    out, t = [], b""
    for i in range(1, n + 1):
        t = hmac_blake2s(prk, t + bytes([i]))
        out.append(t)
    return out[0] if n == 1 else out


def seal(key, counter, data, ad=b""):
    return ChaCha20Poly1305(key).encrypt(bytes(4) + struct.pack("<Q", counter), data, ad)


def unseal(key, counter, data, ad=b""):
    try:
        return ChaCha20Poly1305(key).decrypt(bytes(4) + struct.pack("<Q", counter), data, ad)
    except InvalidTag:
        raise Refused("authentication failed")


def hchacha20(key, nonce16):
    x = list(struct.unpack("<4I8I4I", b"expand 32-byte k" + key + nonce16))

    def quarter(a, b, c, d):
        for p, q, r, n in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
            x[p] = (x[p] + x[q]) & 0xffffffff
            v = x[r] ^ x[p]
            x[r] = (v << n | v >> (32 - n)) & 0xffffffff

    for _ in range(10):
        for i in range(4):
            quarter(i, 4 + i, 8 + i, 12 + i)
        for i in range(4):
            quarter(i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4)
    return struct.pack("<8I", *(x[:4] + x[12:]))


def xseal(key, nonce24, data, ad):
    sub = hchacha20(key, nonce24[:16])
    return ChaCha20Poly1305(sub).encrypt(bytes(4) + nonce24[16:], data, ad)


def xunseal(key, nonce24, data, ad):
    sub = hchacha20(key, nonce24[:16])
    try:
        return ChaCha20Poly1305(sub).decrypt(bytes(4) + nonce24[16:], data, ad)
    except InvalidTag:
        raise Refused("cookie: authentication failed")


class Key:
    """A key pair; from 32 bytes, base64, or made here."""

    def __init__(self, private=None):
        if isinstance(private, str):
            private = base64.b64decode(private)
        self._k = X25519PrivateKey.from_private_bytes(private) if private else X25519PrivateKey.generate()
        self.private = self._k.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
        self.public = self._k.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)

    def dh(self, public):
        """The shared secret; 32 zero bytes where the product is zero, which a correct peer refuses."""
        try:
            return self._k.exchange(X25519PublicKey.from_public_bytes(public))
        except ValueError:
            return ZERO


def b64(data):
    return base64.b64encode(data).decode()


def tai64n(t=None):
    ns = time.time_ns() if t is None else int(t * 10**9)
    return struct.pack(">QI", 0x400000000000000a + ns // 10**9, ns % 10**9)


def address_bytes(addr):
    """A socket address as the cookie's MAC takes it: address, then port in network order."""
    host, port = addr[0], addr[1]
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.inet_pton(family, host) + struct.pack(">H", port)


# --- the protocol

class Session:
    """Keys of one direction each, and which counters were seen."""

    def __init__(self, send, recv, local, remote, initiator):
        self.send_key, self.recv_key = send, recv
        self.local, self.remote, self.initiator = local, remote, initiator
        self.counter = 0
        self.greatest, self.seen = -1, set()

    def data(self, payload=b"", counter=None, index=None, key=None, pad=None, corrupt=None,
             type_word=DATA):
        """
        A data message.  Without keywords it is what the protocol asks for: next counter, padded to 16.
        pad: bytes of padding instead; counter, index, key, type_word: used instead of the right ones;
        corrupt: the offset of a byte that is flipped afterwards.
        """
        if counter is None:
            counter = self.counter
            self.counter += 1
        if pad is None:
            pad = -len(payload) % 16
        body = seal(key or self.send_key, counter, payload + bytes(pad))
        msg = struct.pack("<IIQ", type_word, self.remote if index is None else index, counter) + body
        return flip(msg, corrupt)

    def open(self, msg):
        """The payload with its padding.  Raises Refused."""
        word, index, counter = struct.unpack("<IIQ", msg[:16])
        if word != DATA or len(msg) < KEEPALIVE_LEN or index != self.local:
            raise Refused("not a data message of this session")
        if counter >= REJECT_AFTER_MESSAGES:
            raise Refused("counter past the limit")
        plain = unseal(self.recv_key, counter, msg[16:])
        if counter in self.seen or counter < self.greatest - WINDOW:
            raise Refused("counter seen before")
        self.seen.add(counter)
        self.greatest = max(self.greatest, counter)
        return plain


def flip(msg, offset):
    if offset is None:
        return msg
    b = bytearray(msg)
    b[offset] ^= 1
    return bytes(b)


class Peer:
    """One end that talks to one other end.  Keeps its handshake under way and all its sessions."""

    def __init__(self, key=None, remote_public=None, psk=ZERO):
        self.key = key or Key()
        self.remote = remote_public
        self.psk = psk
        self.sessions = []          # newest last
        self.hs = None              # the handshake under way
        self.last_timestamp = bytes(12)
        self.cookie = None          # to put into mac2
        self.cookie_secret = os.urandom(32)
        self.last_mac1 = None       # of the message sent last, for a cookie reply
        self.heard_at = 0           # when the last initiation was answered

    @property
    def session(self):
        return self.sessions[-1] if self.sessions else None

    def _macs(self, body, remote, wrong_mac1=False, cookie=None, wrong_mac2=False):
        m1 = mac(H(b"mac1----", remote), body)
        if wrong_mac1:
            m1 = flip(m1, 15)
        self.last_mac1 = m1
        cookie = cookie if cookie is not None else self.cookie
        m2 = mac(cookie, body + m1) if cookie else bytes(16)
        if wrong_mac2:
            m2 = flip(m2 if cookie else os.urandom(16), 0)
        return body + m1 + m2

    def initiation(self, timestamp=None, ephemeral=None, static=None, index=None, type_word=INITIATION,
                   corrupt=None, wrong_mac1=False, wrong_mac2=False, cookie=None, zero_static=False):
        """
        A first message; it replaces the handshake under way.
        ephemeral: a public key whose private key nobody has, such as one of low order; corrupt: offset of a
        byte flipped before the MACs, so that only the encryption is wrong; zero_static: a static key of low order.
        """
        e = Key()
        e_pub = ephemeral or e.public
        static = static or self.key
        index = int.from_bytes(os.urandom(4), "little") if index is None else index
        ck = H(CONSTRUCTION)
        h = H(H(ck, IDENTIFIER), self.remote)
        h = H(h, e_pub)
        ck = kdf(1, ck, e_pub)
        ck, k = kdf(2, ck, ZERO if ephemeral in LOW_ORDER else e.dh(self.remote))
        c_static = seal(k, 0, ZERO if zero_static else static.public, h)
        h = H(h, c_static)
        ck, k = kdf(2, ck, ZERO if zero_static else static.dh(self.remote))
        c_time = seal(k, 0, timestamp or tai64n(), h)
        h = H(h, c_time)
        body = flip(struct.pack("<II", type_word, index) + e_pub + c_static + c_time, corrupt)
        self.hs = {"role": "initiator", "e": e, "h": h, "ck": ck, "index": index, "static": static}
        return self._macs(body, self.remote, wrong_mac1, cookie, wrong_mac2)

    def consume_initiation(self, msg, check_timestamp=True):
        """Take a first message from the other end; return its parts.  Raises Refused."""
        if len(msg) != INITIATION_LEN or msg[:4] != struct.pack("<I", INITIATION):
            raise Refused("not an initiation")
        if msg[116:132] != mac(H(b"mac1----", self.key.public), msg[:116]):
            raise Refused("mac1")
        sender, = struct.unpack("<I", msg[4:8])
        e_pub = msg[8:40]
        ck = H(CONSTRUCTION)
        h = H(H(ck, IDENTIFIER), self.key.public)
        h = H(h, e_pub)
        ck = kdf(1, ck, e_pub)
        ck, k = kdf(2, ck, self._nonzero(self.key.dh(e_pub)))
        static = unseal(k, 0, msg[40:88], h)
        if self.remote is not None and static != self.remote:
            raise Refused("another peer's static key")
        h = H(h, msg[40:88])
        ck, k = kdf(2, ck, self._nonzero(self.key.dh(static)))
        stamp = unseal(k, 0, msg[88:116], h)
        if check_timestamp and stamp <= self.last_timestamp:
            raise Refused("old timestamp")
        h = H(h, msg[88:116])
        self.last_timestamp = stamp
        self.hs = {"role": "responder", "e_pub": e_pub, "static": static, "h": h, "ck": ck, "remote": sender}
        return {"sender": sender, "static": static, "timestamp": stamp, "ephemeral": e_pub,
                "mac1": msg[116:132], "mac2": msg[132:148], "mac2_body": msg[:132]}

    @staticmethod
    def _nonzero(secret):
        if secret == ZERO:
            raise Refused("low order")
        return secret

    def response(self, ephemeral=None, psk=None, index=None, receiver=None, type_word=RESPONSE, corrupt=None,
                 wrong_mac1=False, keep=False):
        """
        The answer to the initiation consumed last; the new session is appended.
        receiver, psk, ephemeral, type_word, corrupt: used instead of what is right; keep: no session is made.
        """
        hs, e = self.hs, Key()
        e_pub = ephemeral or e.public
        index = int.from_bytes(os.urandom(4), "little") if index is None else index
        h, ck = H(hs["h"], e_pub), kdf(1, hs["ck"], e_pub)
        low = ephemeral in LOW_ORDER
        ck = kdf(1, ck, ZERO if low else e.dh(hs["e_pub"]))
        ck = kdf(1, ck, ZERO if low else e.dh(hs["static"]))
        ck, tau, k = kdf(3, ck, self.psk if psk is None else psk)
        h = H(h, tau)
        empty = seal(k, 0, b"", h)
        body = struct.pack("<III", type_word, index, hs["remote"] if receiver is None else receiver)
        body = flip(body + e_pub + empty, corrupt)
        if not keep:
            t1, t2 = kdf(2, ck, b"")
            self.sessions.append(Session(t2, t1, index, hs["remote"], False))
        return self._macs(body, hs["static"], wrong_mac1)

    def consume_response(self, msg):
        """Complete the handshake under way; the new session is appended and returned.  Raises Refused."""
        hs = self.hs
        if len(msg) != RESPONSE_LEN or msg[:4] != struct.pack("<I", RESPONSE):
            raise Refused("not a response")
        sender, receiver = struct.unpack("<II", msg[4:12])
        if not hs or hs["role"] != "initiator" or receiver != hs["index"]:
            raise Refused("no handshake under way has this index")
        if msg[60:76] != mac(H(b"mac1----", self.key.public), msg[:60]):
            raise Refused("mac1")
        e_pub = msg[12:44]
        h, ck = H(hs["h"], e_pub), kdf(1, hs["ck"], e_pub)
        ck = kdf(1, ck, self._nonzero(hs["e"].dh(e_pub)))
        ck = kdf(1, ck, self._nonzero(hs["static"].dh(e_pub)))
        ck, tau, k = kdf(3, ck, self.psk)
        unseal(k, 0, msg[44:60], H(h, tau))
        t1, t2 = kdf(2, ck, b"")
        self.sessions.append(Session(t1, t2, hs["index"], sender, True))
        self.hs = None
        return self.session

    def cookie_reply(self, msg, addr, cookie=None, mac1=None, receiver=None):
        """What an end under load answers to msg from addr.  mac1, receiver: used instead of msg's."""
        sender = msg[4:8] if receiver is None else struct.pack("<I", receiver)
        if mac1 is None:
            mac1 = msg[-32:-16]
        cookie = cookie or mac(self.cookie_secret, address_bytes(addr))
        nonce = os.urandom(24)
        return (struct.pack("<I", COOKIE) + sender + nonce +
                xseal(H(b"cookie--", self.key.public), nonce, cookie, mac1))

    def consume_cookie(self, msg):
        """Take a cookie reply to the message made last; return the cookie.  Raises Refused."""
        if len(msg) != COOKIE_LEN or msg[:4] != struct.pack("<I", COOKIE):
            raise Refused("not a cookie reply")
        if self.last_mac1 is None:
            raise Refused("no cookie was asked for")
        self.cookie = xunseal(H(b"cookie--", self.remote), msg[8:32], msg[32:64], self.last_mac1)
        return self.cookie

    def open(self, msg):
        """Open a data message under whichever session it names; return (session, payload)."""
        index, = struct.unpack("<I", msg[4:8])
        for s in self.sessions:
            if s.local == index:
                return s, s.open(msg)
        raise Refused("no session has this index")


def kind(msg):
    """initiation, response, cookie, keepalive, data or None."""
    if len(msg) < 4:
        return None
    word, = struct.unpack("<I", msg[:4])
    if word == DATA and len(msg) >= KEEPALIVE_LEN:
        return "keepalive" if len(msg) == KEEPALIVE_LEN else "data"
    return {(1, 148): "initiation", (2, 92): "response", (3, 64): "cookie"}.get((word, len(msg)))


class UdpPeer(Peer):
    """A peer with a UDP socket of its own."""

    def __init__(self, endpoint, key=None, remote_public=None, psk=ZERO, bind=None, sock=None):
        super().__init__(key, remote_public, psk)
        self.endpoint = endpoint
        self.sock = sock or self.new_socket(bind)

    def new_socket(self, bind=None):
        v6 = ":" in (self.endpoint or bind)[0]
        s = socket.socket(socket.AF_INET6 if v6 else socket.AF_INET, socket.SOCK_DGRAM)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        if v6:
            s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVTCLASS, 1)
        else:
            s.setsockopt(socket.IPPROTO_IP, socket.IP_RECVTOS, 1)
        s.bind(bind or (("::" if v6 else "0.0.0.0"), 0))
        return s

    @property
    def port(self):
        return self.sock.getsockname()[1]

    def rebind(self, bind=None):
        """From here on send from another port (or address); the old socket is returned, still open."""
        old, self.sock = self.sock, self.new_socket(bind)
        return old

    def send(self, msg, sock=None):
        (sock or self.sock).sendto(msg, self.endpoint)

    def recv(self, timeout=PATIENCE, want=None, sock=None):
        """
        The next datagram, or None after timeout seconds.  want: a kind, or several; others are dropped.
        Leaves its source in .source and its type-of-service byte in .tos.
        """
        sock, end = sock or self.sock, time.monotonic() + timeout
        while select.select([sock], [], [], max(0, end - time.monotonic()))[0]:
            msg, anc, _, self.source = sock.recvmsg(65535, 256)
            self.tos = tos_of(anc)
            if want is None or kind(msg) in ((want,) if isinstance(want, str) else want):
                return msg
        return None

    def recv_to(self, index, timeout=PATIENCE):
        """The next response or cookie reply to the message that bore this sender index, or None."""
        end = time.monotonic() + timeout
        while (msg := self.recv(max(0, end - time.monotonic()), ("response", "cookie"))) is not None:
            if struct.unpack_from("<I", msg, 8 if kind(msg) == "response" else 4)[0] == index:
                return msg
        return None

    def drain(self):
        """Drop what has arrived; return how much that was."""
        n = 0
        while self.recv(0) is not None:
            n += 1
        return n

    def handshake(self, timeout=PATIENCE, confirm=True, **quirks):
        """Initiate and complete.  With confirm a keepalive follows, so that the other end may send."""
        for _ in range(3):
            # Two initiations within 20 ms are taken for a flood.
            time.sleep(max(0, 0.025 - (time.monotonic() - self.heard_at)))
            self.send(self.initiation(**quirks))
            msg = self.recv_to(self.hs["index"], timeout)
            self.heard_at = time.monotonic()
            if msg is None:
                raise Refused("no response")
            if kind(msg) == "response":
                break
            self.consume_cookie(msg)
        s = self.consume_response(msg)
        if confirm:
            self.send(s.data())
        return s

    def answer(self, timeout=PATIENCE, **quirks):
        """Wait for an initiation and answer it.  Returns the new session and what the initiation held."""
        msg = self.recv(timeout, "initiation")
        if msg is None:
            raise Refused("no initiation")
        info = self.consume_initiation(msg)
        self.endpoint = self.source
        self.send(self.response(**quirks))
        return self.session, info

    def recv_data(self, timeout=PATIENCE):
        """The next data packet as (session, payload); keepalives are skipped.  None after timeout."""
        end = time.monotonic() + timeout
        while (msg := self.recv(max(0, end - time.monotonic()), "data")) is not None:
            return self.open(msg)
        return None


def tos_of(anc):
    """The type-of-service byte, or traffic class, in the ancillary data of recvmsg(); None if it is not there."""
    return next((d[0] for level, kind_, d in anc if (level, kind_) in (
        (socket.IPPROTO_IP, socket.IP_TOS), (socket.IPPROTO_IPV6, socket.IPV6_TCLASS))), None)


# --- inner packets

def checksum(data):
    if len(data) % 2:
        data += b"\0"
    s = sum(struct.unpack(">%dH" % (len(data) // 2), data))
    while s >> 16:
        s = (s & 0xffff) + (s >> 16)
    return ~s & 0xffff


def ipv4(src, dst, payload, proto=17, tos=0, total=None, ttl=64):
    """An IPv4 packet; total: lie about the length."""
    head = struct.pack(">BBHHHBBH4s4s", 0x45, tos, 20 + len(payload) if total is None else total, 0, 0, ttl,
                       proto, 0, socket.inet_aton(src), socket.inet_aton(dst))
    return head[:10] + struct.pack(">H", checksum(head)) + head[12:] + payload


def ipv6(src, dst, payload, proto=17, tclass=0, length=None):
    """An IPv6 packet; length: lie about the payload's."""
    return struct.pack(">IHBB16s16s", 6 << 28 | tclass << 20, len(payload) if length is None else length, proto, 64,
                       socket.inet_pton(socket.AF_INET6, src), socket.inet_pton(socket.AF_INET6, dst)) + payload


def udp(src, dst, sport, dport, data, **kw):
    """A UDP datagram in IPv4 or IPv6, with a right checksum."""
    v6 = ":" in src
    f = socket.AF_INET6 if v6 else socket.AF_INET
    a, b, n = socket.inet_pton(f, src), socket.inet_pton(f, dst), 8 + len(data)
    pseudo = a + b + (struct.pack(">II", n, 17) if v6 else struct.pack(">HH", 17, n))
    head = struct.pack(">HHH", sport, dport, n)
    c = checksum(pseudo + head + b"\0\0" + data) or 0xffff
    return (ipv6 if v6 else ipv4)(src, dst, head + struct.pack(">H", c) + data, **kw)


def echo_request(src, dst, ident=1, seq=1, data=b"ginnel"):
    if ":" in src:
        f = socket.AF_INET6
        body = struct.pack(">BBHHH", 128, 0, 0, ident, seq) + data
        pseudo = socket.inet_pton(f, src) + socket.inet_pton(f, dst) + struct.pack(">II", len(body), 58)
        c = checksum(pseudo + body)
        return ipv6(src, dst, body[:2] + struct.pack(">H", c) + body[4:], proto=58)
    body = struct.pack(">BBHHH", 8, 0, 0, ident, seq) + data
    return ipv4(src, dst, body[:2] + struct.pack(">H", checksum(body)) + body[4:], proto=1)


def inner_length(packet):
    """The length that the inner header states; padding lies behind it."""
    if not packet:
        return 0
    return struct.unpack(">H", packet[2:4])[0] if packet[0] >> 4 == 4 else \
        struct.unpack(">H", packet[4:6])[0] + 40


# --- a scripted peer

# Each name is one way to misbehave: keywords for the initiation, the response or the data messages.
QUIRKS = {
    "wrong-mac1": ("initiation", {"wrong_mac1": True}),
    "wrong-mac2": ("initiation", {"wrong_mac2": True}),
    "old-timestamp": ("initiation", {"timestamp": tai64n(1)}),
    "low-order-ephemeral": ("initiation", {"ephemeral": LOW_ORDER[1]}),
    "low-order-static": ("initiation", {"zero_static": True}),
    "unknown-static": ("initiation", {"static": Key()}),
    "corrupt-static": ("initiation", {"corrupt": 87}),
    "corrupt-timestamp": ("initiation", {"corrupt": 115}),
    "reserved-initiation": ("initiation", {"type_word": 0x01000001}),
    "wrong-psk": ("response", {"psk": b"\1" * 32}),
    "low-order-response": ("response", {"ephemeral": LOW_ORDER[2]}),
    "corrupt-response": ("response", {"corrupt": 59}),
    "wrong-receiver": ("response", {"receiver": 0}),
    "reserved-response": ("response", {"type_word": 0x00010002}),
    "corrupt-tag": ("data", {"corrupt": -1}),
    "wrong-counter-limit": ("data", {"counter": 2**64 - 2**13}),
    "reserved-data": ("data", {"type_word": 0x00000104}),
    "unpadded": ("data", {"pad": 0}),
}


def main(argv):
    import argparse
    p = argparse.ArgumentParser(description="a WireGuard peer that can misbehave on purpose")
    p.add_argument("--private", help="own private key, base64")
    p.add_argument("--public", help="the other end's public key, base64")
    p.add_argument("--psk", help="pre-shared key, base64")
    p.add_argument("--endpoint", help="the other end's ADDR:PORT")
    p.add_argument("--listen", type=int, default=0, help="own UDP port")
    p.add_argument("--quirk", choices=sorted(QUIRKS), help="misbehave in one way")
    p.add_argument("--timeout", type=float, default=5)
    p.add_argument("--list-quirks", action="store_true")
    p.add_argument("role", nargs="?", choices=["initiate", "respond"])
    p.add_argument("action", nargs="?", choices=["keepalive", "ping", "echo"], default="keepalive")
    p.add_argument("address", nargs="*", help="ping: inner source and destination")
    a = p.parse_args(argv)
    if a.list_quirks:
        for name, (where, what) in sorted(QUIRKS.items()):
            print("%-22s %-12s %s" % (name, where, ", ".join(what)))
        return 0
    if not (a.private and a.public and a.role):
        p.error("--private, --public and a role are needed")
    host, port = a.endpoint.rsplit(":", 1) if a.endpoint else ("0.0.0.0", "0")
    host = host.strip("[]")
    where, quirk = QUIRKS.get(a.quirk, (None, {}))
    peer = UdpPeer((host, int(port)), Key(a.private), base64.b64decode(a.public),
                   base64.b64decode(a.psk) if a.psk else ZERO,
                   bind=("::" if ":" in host else "0.0.0.0", a.listen))

    def keywords(message):
        return quirk if where == message else {}

    try:
        if a.role == "initiate":
            s = peer.handshake(a.timeout, confirm=False, **keywords("initiation"))
        else:
            s, _ = peer.answer(a.timeout, **keywords("response"))
        print("session: local=%08x remote=%08x" % (s.local, s.remote), flush=True)
        payload = echo_request(*a.address) if a.action == "ping" else b""
        if a.role == "initiate" or a.action == "ping":
            peer.send(s.data(payload, **keywords("data")))
        while a.action != "keepalive":
            got = peer.recv_data(a.timeout)
            if got is None:
                raise Refused("no data")
            s, plain = got
            plain = plain[:inner_length(plain)]
            print("data: %d bytes" % len(plain), flush=True)
            if a.action == "ping":
                break
            if plain[0] >> 4 == 4:  # echo: swapping the addresses leaves every checksum right
                peer.send(s.data(plain[:12] + plain[16:20] + plain[12:16] + plain[20:]))
    except Refused as e:
        print("refused: %s" % e, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
