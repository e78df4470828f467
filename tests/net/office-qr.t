#!/usr/bin/env python3
"""
A telephone's key: shown once, on a terminal, as a code that a foreign reader decodes; its text brings a tunnel up.
"""
import base64
import fcntl
import os
import pty
import re
import select
import shutil
import struct
import subprocess
import sys
import termios

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lab  # noqa: E402
from lab import ok, same  # noqa: E402
from office import DESK, FILE, NET, OFFICE, build, bundle, call, desk, office, ping, put, quick, run  # noqa: E402

BIN, TMP = "/run/lab/bin", "/run/lab/tmp"
LOCK = DESK + "/office.lock"
PHONE = NET.replace("e person 10.70.0.4", "e person 10.70.0.4 phone") + "f person\n"
ASKED = "Ctrl-C: no, and all stays as it was."
CLEAR, LEAVE = "\x1b[2J\x1b[H", "\x1b[2J\x1b[H\x1b[?1049l"
CAP_SYS_RESOURCE = 24
COLOURS = {"16": 0, "231": 255}
TEXT = """[Interface]
PrivateKey = %s
Address = 10.70.0.4/32
%s
[Peer]
PublicKey = %s
Endpoint = z.test:51820
PersistentKeepalive = 25
AllowedIPs = 10.70.0.0/16, 192.168.200.0/24, 192.168.201.0/24
"""


class Terminal:
    """ginnel qr on a terminal, with a /tmp of its own that is looked through later."""

    def __init__(self, *args, lines=60, columns=120):
        self.fd, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

        def own():
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        self.p = subprocess.Popen(["unshare", "--mount", "sh", "-c", 'mount --bind "$1" /tmp && shift && exec "$@"', "sh", TMP,
                                   BIN + "/ginnel", "qr", "--file=" + FILE, *args], stdin=slave, stdout=slave,
                                  stderr=subprocess.PIPE, preexec_fn=own)
        os.close(slave)
        self.raw, self.said = b"", ""

    def more(self):
        if not select.select([self.fd], [], [], lab.PATIENCE)[0]:
            return False
        try:
            got = os.read(self.fd, 65536)
        except OSError:     # nobody has it open any more
            return False
        self.raw += got
        self.said = self.raw.decode(errors="replace").replace("\r\n", "\n")
        return True

    def shows(self):
        """What is on the screen when it waits for an answer; "" if it never does."""
        while ASKED not in self.said:
            if not self.more():
                return ""
        return self.said.split(CLEAR, 1)[1].rsplit("Take it", 1)[0]

    def type(self, keys):
        os.write(self.fd, keys)

    def end(self):
        """(status, what it said on standard error); the rest of standard output is in said."""
        while self.more():
            pass
        errors = self.p.stderr.read().decode()
        os.close(self.fd)
        return self.p.wait(lab.PATIENCE), errors


def qr(*args, **kw):
    return Terminal(*args, **kw).end()


def pixels(screen):
    """Rows of modules as the terminal has them, of the colours that it was told; 128: its own."""
    fore = back = 128
    rows = []
    for line in screen.splitlines():
        upper, lower = [], []
        for sgr, c in re.findall("\x1b\\[([0-9;]*)m|(.)", line):
            if c:
                upper.append(fore if c in "▀█" else back)
                lower.append(fore if c in "▄█" else back)
                continue
            if sgr in ("", "0"):
                fore = back = 128
            for which, colour in re.findall(r"([34]8);5;(\d+)", sgr):
                if which == "38":
                    fore = COLOURS[colour]
                else:
                    back = COLOURS[colour]
        rows += [upper, lower]
    return rows


def decode(rows, scale=6):
    """By zbarimg, of the picture that a camera would take."""
    grey = b"".join(bytes(p for p in row for _ in range(scale)) * scale for row in rows)
    head = b"P5 %d %d 255\n" % (len(rows[0]) * scale, len(rows) * scale)
    p = subprocess.run(["zbarimg", "--quiet", "--raw", "--nodbus", "-Sdisable", "-Sqrcode.enable", "pgm:-"], input=head + grey,
                       stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    return p.stdout.decode() if p.returncode == 0 else p.stderr.decode()


def secret_of(text):
    found = re.search(r"(?m)^PrivateKey = (\S{43}=)$", text)
    return found.group(1) if found else "none"


def public_of(private):
    return subprocess.run(["wg", "pubkey"], input=private, stdout=subprocess.PIPE, text=True).stdout.strip()


def locked_key():
    found = re.search(r"(?m)^e person .*\bkey (\S+)", open(LOCK).read())
    return found.group(1) if found else None


def files_with(needles, top="/run"):
    found = []
    for d, below, names in os.walk(top):
        if "netns" in below:
            below.remove("netns")   # no files, but names of namespaces
        for name in names:
            path = os.path.join(d, name)
            if os.path.isfile(path) and not os.path.islink(path):
                with open(path, "rb") as f:
                    text = f.read()
                found += [path for n in needles if n in text]
    return found


def forms(key):
    raw = base64.b64decode(key)
    return [key.encode(), raw, raw.hex().encode()]


def write(text):
    with open(FILE, "w") as f:
        f.write(text)


def line_of(name):
    return next(i for i, line in enumerate(PHONE.splitlines(), 1) if line.startswith(name + " "))


def main():
    build()
    write(PHONE)
    os.makedirs(TMP)
    os.makedirs(BIN)
    for program in ("ginnel", "ginnel-office"):
        shutil.copy(os.path.join(os.path.dirname(OFFICE), program), BIN)

    # --- who gets none
    status, why = qr("e")
    ok(status == 1 and "%s:%d: z has no key yet" % (FILE, line_of("z")) in why and "ginnel key z" in why,
       "while the hub has no key a telephone is not told anything [qr-refused]", why)
    status, line = call("z", [OFFICE, "key", "z"])
    same((status, office("accept", "--file=" + FILE, stdin=line)[0]), (0, 0), "the hub has one")
    hub = line.split()[2]
    before = open(LOCK).read()
    for args in (("e",), ("--text", "e")):
        fd, slave = pty.openpty()
        p = subprocess.run([OFFICE, "qr", "--file=" + FILE, *args], stdin=slave, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        os.close(slave)
        os.close(fd)
        status, why = p.returncode, p.stdout
        ok(status == 1 and "on a terminal and to nobody else" in why and "PrivateKey" not in why,
           "a pipe gets no key: %s [qr-refused]" % " ".join(args), why)
    for name, words in (("a", ("a is no telephone", '"ginnel key a" there')), ("z", ("z is no telephone", '"ginnel key z" there')),
                        ("f", ("f is no telephone", "add the word phone to that line", '"ginnel key f" there')), ("b", ("b is a host",))):
        status, why = qr(name)
        ok(status == 1 and all(w in why for w in ("%s:%d: " % (FILE, line_of(name)), *words)),
           "%s gets none, and it is said what to do [qr-refused]" % name, why)
    status, why = qr("ee")
    ok(status == 1 and "there is no member ee" in why, "nor who is no member [qr-refused]", why)
    status, why = qr("e", lines=24, columns=80)
    ok(status == 1 and "the terminal has 80 and 24: make it larger" in why, "a terminal that would show a part shows nothing [qr-refused]", why)

    # --- what is shown and not taken
    t = Terminal("e")
    same(len(t.shows().splitlines()) > 20, True, "a code is shown [qr-shown]")
    t.type(b"\x03")
    status, why = t.end()
    ok(status == 1 and t.said.endswith(LEAVE) and "nothing is changed" in why, "Ctrl-C wipes the screen [qr-order]", t.said[-60:], why)
    same((open(LOCK).read(), locked_key()), (before, None), "and the lock has no key that nobody has [qr-order]")
    t = Terminal("e")
    t.shows()
    write(PHONE.replace(" phone", ""))
    t.type(b"\n")
    status, why = t.end()
    ok(status == 1 and "what was shown is worth nothing" in why, "a file that says something else meanwhile is heard [qr-order]", why)
    same(open(LOCK).read(), before, "and nothing is taken [qr-order]")

    # --- what is shown and taken
    write(PHONE)
    t = Terminal("e")
    screen = t.shows()
    pid = t.p.pid
    limits, state = (open("/proc/%d/%s" % (pid, x)).read() for x in ("limits", "status"))
    ok(re.search(r"Max core file size +0 +0 ", limits), "the process leaves no core [qr-secret]", limits)
    may = int(re.search(r"CapEff:\s+(\S+)", state).group(1), 16) >> CAP_SYS_RESOURCE & 1
    same(int(re.search(r"VmLck:\s+(\d+)", state).group(1)) > 0, may == 1, "and is not swapped, where it may ask for that [qr-secret]")
    t.type(b"\n")
    status, why = t.end()
    ok(status == 0 and "e: has its key" in t.said.split(LEAVE)[-1], "Enter wipes the screen and takes the key [qr-shown]", t.said[-200:], why)
    rows = pixels(screen)
    same({p for row in rows for p in row}, {0, 255}, "black on white, whatever the terminal's colours are [qr-shown]")
    ok(len({len(row) for row in rows}) == 1 and all(p == 255 for row in rows[:4] + rows[-4:] for p in row)
       and all(p == 255 for row in rows for p in row[:4] + row[-4:]), "with a margin of four modules [qr-shown]")
    text = decode(rows).rstrip("\n") + "\n"
    secret = secret_of(text)
    same(text, TEXT % (secret, "", hub), "a foreign reader decodes all that wg-quick needs, and no command [qr-shown]")
    same(public_of(secret), locked_key(), "the lock has the public key to the private one [qr-shown]")
    same(files_with([hub.encode()], DESK) != [], True, "a key in a file would be found")
    same(files_with(forms(secret)), [], "the private key is in no file [qr-secret]")
    same(desk("export", "e", "wg-quick").split("\n", 1)[1], text.replace("PrivateKey = " + secret, "# PrivateKey = the one that is made on this device"),
         "the export is the same text without it [export-phone]")

    # --- a tunnel of it
    status, out = call("z", [OFFICE, "up", "-"], bundle("z"))
    ok(status == 0, "a hub comes up while others have no key yet [office-up]", out, status)
    put("e", text)
    status, out = quick("e", "up")
    ok(status == 0, "wg-quick takes the decoded text [qr-tunnel]", out)
    same(ping("e", "10.70.0.1"), 0, "and the hub is reached through it [qr-tunnel]")

    # --- another key
    before = open(LOCK).read()
    status, why = qr("e")
    ok(status == 1 and "has a key already: with --new" in why, "who has a key keeps it [qr-new]", why)
    same(open(LOCK).read(), before, "unless asked [qr-new]")
    write(PHONE.replace(" phone", " phone mtu 1280"))
    t = Terminal("--new", "--text", "e", lines=24, columns=80)
    text = t.shows()
    t.type(b"\n")
    status, why = t.end()
    another = secret_of(text)
    ok(status == 0 and another not in ("none", secret), "with --new there is another one [qr-new]", why, t.said)
    same((text, public_of(another)), (TEXT % (another, "MTU = 1280\n", hub), locked_key()), "as text with --text, and the MTU where it is no usual one [qr-text]")
    same(files_with(forms(another)), [], "in no file either [qr-secret]")
    status, out = call("z", [OFFICE, "up", "-"], bundle("z"))
    ok(status == 0 and run("e", "ping -n -q -c 3 -i 0.2 -W 1 10.70.0.1", check=False).returncode == 1,
       "once the hub is told the old one has stopped working [qr-new]", out)
    quick("e", "down")
    put("e", text)
    status, out = quick("e", "up")
    ok(status == 0 and ping("e", "10.70.0.1") == 0, "and the other one works [qr-new] [qr-tunnel]", out)

    # --- and a pre-shared key
    write(PHONE + "psk on\n")
    t = Terminal("--new", "e")
    screen = t.shows()
    t.type(b"\n")
    status, why = t.end()
    psk = re.search(r"(?m)^e (\S+)$", open(DESK + "/office.psk").read()).group(1)
    text = decode(pixels(screen)).rstrip("\n") + "\n"
    ok(status == 0 and "\nPresharedKey = %s\n" % psk in text, "the code has the pre-shared key, which is made for it [psk-export]", why)
    same(files_with(forms(psk)), [DESK + "/office.psk"], "and the file of pre-shared keys has it, and no other [psk-secret]")
    quick("e", "down")
    put("e", text)
    status, out = call("z", [OFFICE, "up", "-"], bundle("z"))
    ok(status == 0, "the hub is told", out)
    status, out = quick("e", "up")
    ok(status == 0 and ping("e", "10.70.0.1") == 0, "and it works at both ends [psk-export]", out)


lab.main(600, main)
