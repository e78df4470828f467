#!/usr/bin/python3
"""base/enum against Python's enum, on random sets, numbers and strings.  Prints TAP.

usage: tests/oracle/enum.t [PROGRAM [SEED]]     PROGRAM: .build/gcc/tests/unit/base/enum_oracle
"""
import enum
import os
import random
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PROGRAM = sys.argv[1] if len(sys.argv) > 1 else os.path.join(ROOT, ".build/gcc/tests/unit/base/enum_oracle")
SEED = int(sys.argv[2]) if len(sys.argv) > 2 else 20261124
ROUNDS = 1500
INT64_MAX = 2**63 - 1

BOUNDARIES = {"strict": enum.STRICT, "conform": enum.CONFORM, "eject": enum.EJECT, "keep": enum.KEEP}
FLAGS = {
    "perm": [("read", 1), ("write", 2), ("exec", 4), ("none", 0), ("rw", 3), ("all", 7), ("look", 1)],
    "gaps": [("a", 1), ("c", 4), ("h", 0x80), ("ac", 5)],
    "mixed": [("z-last", 16), ("y", 1), ("x", 8), ("w", 2), ("v", 4)],
    "lone": [("lone", 0x20)],
    "wide": [("b%d" % n, 1 << n) for n in (0, 1, 30, 31, 32, 61, 62)],
}
ENUMS = {
    "colour": [("red", 1), ("green", 20), ("blue", 3), ("infra red", -5), ("crimson", 1), ("Verde", 20), ("rot", 1)],
    "single": [("only", 0)],
    "cases": [("Go", 1), ("go", 2), ("stop", 3), ("GO", 2), ("HALT", 3)],
    "many": [("m%02o" % n, 1000 + n * 37 % 64) for n in range(64)],
}


def make(base, name, rows, **kw):
    metaclass = type(base)
    body = metaclass.__prepare__(name, (base,), **kw)
    if base is enum.Flag:
        body["_numeric_repr_"] = hex
    for key, value in rows:
        body[key] = value
    return metaclass(name, (base,), body, **kw)


flags = {(t, b): make(enum.Flag, t, rows, boundary=boundary)
         for t, rows in FLAGS.items() for b, boundary in BOUNDARIES.items()}
enums = {t: make(enum.Enum, t, rows) for t, rows in ENUMS.items()}
random.seed(SEED)
asked = []  # (operation, line, expected)


def ask(operation, type_, boundary, rest, expected):
    asked.append((operation, "%s %s %s %s" % (operation, type_, boundary, rest), expected))


def said(result):
    """What cls(value) returned, in the words of the program."""
    if isinstance(result, enum.Flag):
        return "ok %d" % result.value if result.value <= INT64_MAX else "range"
    return "eject %d" % result


def attempt(f):
    try:
        return said(f())
    except ValueError:
        return "error"


def name_of(member):
    return member.name if member.name is not None else hex(member.value) if member.value else "0"


def some_set(cls):
    """A number of 0..2^63-1: mostly bits of members, sometimes others."""
    mask = 0
    for m in cls:
        mask |= m.value
    n = random.getrandbits(63) & mask
    how = random.randrange(6)
    if how == 0:
        n |= 1 << random.randrange(63)
    elif how == 1:
        n = random.getrandbits(random.randrange(1, 64))
    elif how == 2:
        n = random.choice([0, mask, random.choice(list(cls.__members__.values())).value])
    return n


def some_number(cls):
    n = some_set(cls)
    how = random.randrange(5)
    if how == 0:
        n = ~n
    elif how == 1:
        n = -n
    elif how == 2:
        n = random.choice([0, -1, 1, -2**63, INT64_MAX, -2**63 + 1, -2**62, 2**62, -2**62 - 1, 255, -256, -257])
    return n


def reference_parse(cls, text):
    value = 0
    for token in text.split("|"):
        token = token.strip(" \t")
        if token in cls.__members__:
            value |= cls[token].value
        elif re.fullmatch("0[xX][0-9a-fA-F]+|[0-9]+", token, re.ASCII):
            n = int(token, 16) if token[:2].lower() == "0x" else int(token, 10)
            if n > INT64_MAX:
                raise ValueError(token)
            value |= n
        else:
            raise ValueError(token)
    return cls(value)


def some_text(cls):
    tokens = []
    for _ in range(random.choice([1, 1, 2, 2, 3, 5])):
        token = random.choice(list(cls.__members__))
        how = random.randrange(14)
        if how == 0:
            token = str(some_set(cls))
        elif how == 1:
            token = random.choice(["0x%x", "0X%X", "0x0%x"]) % some_set(cls)
        elif how == 2:
            token = random.choice(["", "0", "-1", "+1", "0x", "0xg", "00", "007", "9223372036854775808",
                                   "0x8000000000000000", "9223372036854775807", "18446744073709551617", "1 2", "1_0"])
        elif how == 3:
            token = token[:-1]
        elif how == 4:
            token = token.swapcase()
        tokens.append(random.choice(["", "", " ", "\t "]) + token + random.choice(["", "", " "]))
    return "|".join(tokens)


for (t, b), cls in flags.items():
    ask("list", t, b, "", ",".join(m.name for m in cls))
    for name, member in cls.__members__.items():
        ask("value", t, b, name, "ok %d" % member.value)
        ask("format", t, b, str(member.value), name_of(member))
    for _ in range(ROUNDS):
        n = some_number(cls)
        ask("check", t, b, str(n), attempt(lambda: cls(n)))
        x, y = some_set(cls), some_set(cls)
        text = some_text(cls)
        ask("parse", t, b, text, attempt(lambda: reference_parse(cls, text)))
        try:
            x, y = cls(x), cls(y)
        except ValueError:
            continue
        if not isinstance(x, cls) or not isinstance(y, cls):
            continue
        # Python remembers whose complement a set was made as, and returns that: forget it.
        x._inverted_ = None
        ask("not", t, b, str(x.value), attempt(lambda: ~x))
        ask("or", t, b, "%d %d" % (x.value, y.value), attempt(lambda: x | y))
        ask("and", t, b, "%d %d" % (x.value, y.value), attempt(lambda: x & y))
        ask("xor", t, b, "%d %d" % (x.value, y.value), attempt(lambda: x ^ y))
        ask("has", t, b, "%d %d" % (x.value, y.value), "%d" % (y in x))
        ask("members", t, b, str(x.value), ",".join(m.name for m in x if m))
        ask("format", t, b, str(x.value), name_of(x))
        ask("parse", t, b, name_of(x), "ok %d" % x.value)

for t, cls in enums.items():
    ask("list", t, "strict", "", ",".join(m.name for m in cls))
    values = [m.value for m in cls]
    for _ in range(ROUNDS):
        n = random.choice(values) if random.random() < 0.5 else random.choice([random.getrandbits(5), -random.getrandbits(4), 1000 + random.getrandbits(7), 2**62])
        try:
            expected = cls(n).name
        except ValueError:
            expected = "-"
        ask("name", t, "strict", str(n), expected)
        text = random.choice(list(cls.__members__))
        how = random.randrange(5)
        if how == 0:
            text = "".join(random.choice([c, c.swapcase()]) for c in text)
        elif how == 1:
            text = text[:random.randrange(len(text) + 1)]
        elif how == 2:
            text = text + random.choice(["x", " ", "|", "\t"])
        exact = cls.__members__.get(text)
        ask("value", t, "strict", text, "ok %d" % exact.value if exact else "error")
        # Members in the order of definition, then aliases; an exact name goes before all.
        order = [m.name for m in cls] + [k for k, m in cls.__members__.items() if m.name != k]
        loose = exact or next((cls[k] for k in order if k.lower() == text.lower()), None)
        ask("anycase", t, "strict", text, "ok %d" % loose.value if loose else "error")


def distance(a, b):
    """Optimal string alignment, the textbook's whole table."""
    a, b = a.lower(), b.lower()
    d = [[i + j if i * j == 0 else 0 for j in range(len(b) + 1)] for i in range(len(a) + 1)]
    for i in range(1, len(a) + 1):
        for j in range(1, len(b) + 1):
            d[i][j] = min(d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + (a[i - 1] != b[j - 1]))
            if i > 1 and j > 1 and a[i - 1] == b[j - 2] and a[i - 2] == b[j - 1]:
                d[i][j] = min(d[i][j], d[i - 2][j - 2] + 1)
    return d[-1][-1]


for _ in range(ROUNDS):
    a = "".join(random.choice("abcABC") for _ in range(random.randrange(1, 9)))
    b = list(a)
    for _ in range(random.randrange(5)):
        at = random.randrange(len(b) + 1)
        b[at:at + random.randrange(2)] = random.choice(["", "a", "b", "C"])
    b = "".join(b)
    if random.random() < 0.2:
        b = a[::-1]
    most = random.randrange(6)
    ask("distance", "-", str(most), "%s %s" % (a, b), str(min(distance(a, b), most + 1)))

run = subprocess.run([PROGRAM], input="".join(line + "\n" for _, line, _ in asked), stdout=subprocess.PIPE, text=True)
answers = run.stdout.split("\n")[:-1]
good = {}
print("# Python %s, seed %d, %d questions" % (sys.version.split()[0], SEED, len(asked)))
NAMES = {
    "list": "members come in the order of definition, without aliases",
    "name": "a value has the name of its member, not of an alias",
    "value": "names and aliases have the same values",
    "anycase": "without regard to case, an exact name goes first, then members, then aliases",
    "check": "numbers become sets as each boundary has it",
    "not": "complements are the same under each boundary",
    "or": "unions are the same",
    "and": "intersections are the same",
    "xor": "differences are the same",
    "has": "containment is the same",
    "members": "sets are walked in the order of definition",
    "format": "sets have the same names",
    "parse": "texts become the same sets, and what was formatted comes back",
    "distance": "distances between words are those of the textbook",
}
failures = 0
for n, (operation, name) in enumerate(NAMES.items(), 1):
    mine = [(line, want, answers[i] if i < len(answers) else None)
            for i, (op, line, want) in enumerate(asked) if op == operation]
    bad = [x for x in mine if x[1] != x[2]]
    ok = mine and not bad and run.returncode == 0
    failures += not ok
    print("%sok %d - %s: %d cases [enum-oracle]" % ("" if ok else "not ", n, name, len(mine)))
    for line, want, got in bad[:5]:
        print("# %r: Python %r, C %r" % (line, want, got))
print("1..%d" % len(NAMES))
sys.exit(failures != 0)
