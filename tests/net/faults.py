"""
tests/net/faults.py - make chosen calls of a running daemon fail.

	f = Faults("wg1")
	d = lab.Daemon("d", "wg1", "env", args=f.args("-f", "wg1"))
	f.rules("sendmsg EIO gso", "clock_gettime +600s =7", "writev EINVAL merged x3")
	...traffic...
	f.hits(0)		# how often the first has struck

A rule is the call's name and what it fails with, an errno or, for a clock, seconds that are added.  Then, in any order:
a class of calls (gso, plain, v4, v6; tun, other, merged, single; for open a part of the path), =N for calls with that
argument, xN: only N times, +N: after N that pass, N%: by chance.  sendmsg is for sendmmsg too; "cut"
fails nothing, the kernel says of a datagram that it was longer than the buffer; "any" is for every call
but write, epoll_wait, the clock's and those for memory, "any-alloc" for those, whose class is the path of the program or library that asks.  tests/net/fault/fault.c has the calls and their arguments.

For shell tests, or by hand:	faults.py FILE RULE...		sets the rules in the file
				faults.py FILE			shows how often each was seen, and has struck
"""

import errno
import mmap
import os
import struct
import sys
import time

RULE = struct.Struct("24s24sqQQQQQQQ24s")
HEAD = struct.Struct("QQQ")
MAX, MAGIC, FOREVER = 16, 0x746c756166, 2**64 - 1


def library(wg):
    """The library of the build to which the program belongs."""
    lib = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(wg))), "tests", "net", "fault", "fault.so")
    if not os.path.exists(lib):
        raise RuntimeError("%s is not there: configure with -Dtests=true" % lib)
    return lib


def parse(text):
    call, error, *words = text.split()
    value = int(float(error[:-1]) * 10**9) if error.endswith("s") else getattr(errno, error)
    only, argument, skip, left, permille = "", None, 0, FOREVER, 1000
    for word in words:
        if word[0] == "=":
            argument = int(word[1:], 0)
        elif word[0] == "x" and word[1:].isdigit():
            left = int(word[1:])
        elif word[0] == "+" and word[1:].isdigit():
            skip = int(word[1:])
        elif word[-1] == "%":
            permille = int(float(word[:-1]) * 10)
        else:
            only = word
    return RULE.pack(call.encode(), only.encode(), value, argument or 0, argument is not None, skip, left, permille, 0, 0, b"")


class Faults:
    def __init__(self, name, new=True):
        """name: any word, or the path of a file.  new: no rules yet, and whoever has the file loaded is forgotten."""
        self.path = name if "/" in name else "/run/lab/%s.faults" % name
        size = HEAD.size + MAX * RULE.size
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if new:
            os.ftruncate(fd, 0)
        os.ftruncate(fd, size)
        self.page = mmap.mmap(fd, size)
        os.close(fd)

    def args(self, wg, *args):
        """The arguments of env(1) with which the program runs under these rules."""
        return ["LD_PRELOAD=" + library(wg), "FAULT_FILE=" + self.path, "ASAN_OPTIONS=%s:verify_asan_link_order=0" %
                os.environ.get("ASAN_OPTIONS", ""), wg, *args]

    def rules(self, *texts):
        """Replace all rules; none: nothing fails any more.  Counts start at zero."""
        packed = [parse(t) for t in texts]
        # Off first: a look at the rules that has begun is over after a moment.
        struct.pack_into("Q", self.page, 8, 0)
        time.sleep(0.01)
        for i, p in enumerate(packed):
            self.page[HEAD.size + i * RULE.size:HEAD.size + (i + 1) * RULE.size] = p
        struct.pack_into("Q", self.page, 8, len(packed))

    def _field(self, i):
        return RULE.unpack_from(self.page, HEAD.size + i * RULE.size)

    def loaded(self):
        return struct.unpack_from("Q", self.page, 0)[0] == MAGIC

    def seen(self, i=0):
        return self._field(i)[8]

    def hits(self, i=0):
        return self._field(i)[9]

    def last(self, i=0):
        return self._field(i)[10].rstrip(b"\0").decode()


def main():
    f = Faults(os.path.abspath(sys.argv[1]), new=False)
    if len(sys.argv) > 2:
        f.rules(*sys.argv[2:])
        return
    print("loaded" if f.loaded() else "not loaded")
    for i in range(struct.unpack_from("Q", f.page, 8)[0]):
        r = f._field(i)
        print("%s: seen %d, struck %d" % (r[0].rstrip(b"\0").decode(), f.seen(i), f.hits(i)))


if __name__ == "__main__":
    main()
