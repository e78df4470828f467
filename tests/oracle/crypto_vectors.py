#!/usr/bin/env python3
"""Write a C header of BLAKE2s, HMAC and HKDF results, computed by Python's hashlib and hmac.

The build runs it for tests/unit/crypto/test_hash.c, so that its table cannot go stale or be fitted to our code.
"""

import hashlib
import hmac
import sys

KEY = bytes(range(32))
DATA = bytes(range(256))
TEXT = bytes(i * 7 & 255 for i in range(1, 301))


def row(digest):
    return "\t{" + ", ".join(f"0x{b:02x}" for b in digest) + "},"


def table(name, width, digests):
    print(f"static const uint8_t {name}[][{width}] = {{")
    for digest in digests:
        print(row(digest))
    print("};\n")


def mac_of(key, data):
    return hmac.new(key, data, hashlib.blake2s).digest()


def kdf(chaining_key, data):
    """Noise, section 4.3: HKDF with three outputs."""
    secret = mac_of(chaining_key, data)
    first = mac_of(secret, b"\x01")
    second = mac_of(secret, first + b"\x02")
    third = mac_of(secret, second + b"\x03")
    return first + second + third


def main():
    sys.stdout.reconfigure(newline="\n")
    print("/* Made by tests/oracle/crypto_vectors.py. */\n")
    print("/* Row n: over the n bytes 00 01 02 ..., keyed with 00 01 .. 1f where it is a MAC. */")
    lengths = range(256)
    table("want_hash", 32, (hashlib.blake2s(DATA[:n]).digest() for n in lengths))
    for size in (16, 32):
        table(f"want_mac{size}", size,
              (hashlib.blake2s(DATA[:n], key=KEY, digest_size=size).digest() for n in lengths))
    print("/* Row n: digest size n + 1 and key length 32 - n, over 116 bytes; zeroes behind the digest. */")
    table("want_mac_sizes", 32,
          (hashlib.blake2s(DATA[:116], key=KEY[:32 - n], digest_size=n + 1).digest().ljust(32, b"\0")
           for n in range(32)))
    print("/* Row n: HMAC over the first n bytes of (7 * i) mod 256, i from 1, with the first n mod 65 of 00 01 ... */")
    table("want_hmac", 32, (mac_of(DATA[:n % 65], TEXT[:n]) for n in range(301)))
    print("/* Row n: three outputs with chaining key n, n, n ... and n bytes of input. */")
    table("want_kdf", 96, (kdf(bytes([n] * 32), DATA[:n]) for n in range(101)))


main()
