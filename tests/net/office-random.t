#!/usr/bin/python3
# tier: full
"""
Random offices in the laboratory: each host and member calls each other one, by ping and TCP, and who gets there, and as
whom it is seen, is what the oracle says of the file alone.  OFFICE_SEEDS="7 8" tries others.
"""
import os
import random
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "oracle"))
import lab  # noqa: E402
from lab import ok, same  # noqa: E402
from office_oracle import Office, make, text_of  # noqa: E402

# Between them these have each return mode with each kind of gateway.
SEEDS = [int(s) for s in os.environ.get("OFFICE_SEEDS", "115 173 1667").split()]
GINNEL = os.path.join(os.path.dirname(os.path.abspath(lab.WG)), "ginnel")
SAW = os.path.join(lab.TOP, "tests", "net", "saw.py")
FILE = "/run/lab/office.net"
UP_S, LOST_S = 10, 3
serial = 0


def ginnel(*words):
    done = subprocess.run([GINNEL, "lab", *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    return done.returncode, done.stdout


def seen_by(name):
    with open("/run/lab/saw." + name, encoding="ascii") as f:
        return f.read().split("\n")[:-1]


def watch(names):
    """From now on these see who comes."""
    running = []
    for name in names:
        with open("/run/lab/saw." + name, "w", encoding="ascii") as f:
            running.append(subprocess.Popen([GINNEL, "lab", "exec", name, SAW], stdin=subprocess.DEVNULL, stdout=f, stderr=subprocess.STDOUT))
    for name in names:
        if not lab.wait_for(lambda name=name: "ready" in seen_by(name)):
            raise RuntimeError("%s does not listen: %s" % (name, seen_by(name)))
    return running


def ask(o, pairs, seconds):
    """As whom each was seen, {pair: (by ping, by TCP)}; all ask at once."""
    global serial
    calls, running, got = {}, {}, {pair: [None, None] for pair in pairs}
    for pair in pairs:
        serial += 1
        calls[serial] = pair
    for x in {x for x, _ in pairs}:
        running[x] = subprocess.Popen([GINNEL, "lab", "exec", x, SAW, "ask", str(seconds)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        running[x].stdin.write("".join("%s %d\n" % (text_of(o.members[y].address), n) for n, (z, y) in calls.items() if z == x))
        running[x].stdin.close()
    for p in running.values():
        for line in p.stdout:
            n, how, *who = line.split()
            x, y = calls[int(n)]
            if how == "tcp":
                got[x, y][1] = who[0] if who else "?"
                continue
            # The kernel has answered; that it was seen is told when it is.
            there = lambda n=n, y=y: [s.split()[1] for s in seen_by(y) if s.startswith("ping ") and s.endswith(" " + n)]  # noqa: E731
            got[x, y][0] = there()[0] if lab.wait_for(there) else "?"
        p.wait()
    return {pair: tuple(g) for pair, g in got.items()}


def try_office(seed):
    """How often which answer came."""
    text, gateways = make(random.Random(seed), (2, 4), (0, 3), (1, 3))
    o = Office(text, gateways)
    print("# seed %d, gateways %s\n# %s" % (seed, " ".join("%s=%s" % g for g in gateways.items()), text.strip().replace("\n", "\n# ")))
    with open(FILE, "w", encoding="ascii") as f:
        f.write(text)
    status, said = ginnel("up", FILE, *("--gateway=%s=%s" % g for g in gateways.items()))
    ok(status == 0, "seed %d comes up [office-random]" % seed, said)
    if status:
        return []
    want = {(x, y): tuple(a and text_of(a) for a in o.seen(x, y)) for x in o.members for y in o.members if x != y}
    watchers = watch(o.members)
    # First all that works, wholly or by ping: then everything is in force, and what does not come does not come late.
    got, end = {}, time.monotonic() + lab.PATIENCE * 2
    wait = {pair for pair, w in want.items() if w[0]}
    while wait and time.monotonic() < end:
        whole = {pair for pair in wait if want[pair][1]}
        got.update(ask(o, sorted(whole or wait), UP_S if whole else LOST_S))
        wait = {pair for pair in wait if got.get(pair) != want[pair]}
    got.update(ask(o, sorted(pair for pair, w in want.items() if not w[0]), LOST_S))
    wrong = ["%s -> %s: %s, not %s" % (*pair, got[pair], w) for pair, w in want.items() if got[pair] != w]
    ok(not wrong, "seed %d: of %d pairs each reaches the other, or not, as the oracle says [office-random]" % (seed, len(want)), wrong)
    status, said = ginnel("down")
    ok(status == 0, "seed %d goes down [office-random]" % seed, said)
    for p in watchers:
        p.wait()
    return ["no" if not w[0] else "ping" if not w[1] else "itself" if w[0] in (text_of(o.members[x].address), text_of(o.members[x].at or 0))
            else "node" for (x, _), w in want.items()]


def main():
    answers = [a for seed in SEEDS for a in try_office(seed)]
    if "OFFICE_SEEDS" not in os.environ:
        same(sorted(set(answers)), ["itself", "no", "node", "ping"], "among them is each answer that there is [office-random]")


os.environ.pop("LOG_LEVEL", None)
lab.main(840, main)
