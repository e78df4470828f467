#!/usr/bin/env python3
"""An office with pre-shared keys: where they are and where not, the same at both ends, and what happens while they are not."""
import base64
import fcntl
import json
import os
import pty
import re
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lab  # noqa: E402
from lab import ok, same, wait_for  # noqa: E402
from office import DESK, FILE, NET, OFFICE, build, bundle, call, desk, office, ping, put, quick, run  # noqa: E402

MEMBERS = ("z", "a", "c", "e")
PSKS = DESK + "/office.psk"
WITH = NET + "psk on\n"
said = []   # what was printed that may not have a secret


def write(text):
    with open(FILE, "w") as f:
        f.write(text)


def read(path):
    with open(path) as f:
        return f.read()


def psks():
    return dict(line.split() for line in read(PSKS).splitlines() if not line.startswith("#"))


def mode(path):
    return "%o" % (os.stat(path).st_mode & 0o7777)


def public(m):
    return re.search(r"(?m)^%s .* key (\S+)" % m, read(DESK + "/office.lock")).group(1)


def in_daemon(m):
    """Public key -> pre-shared key, or None."""
    rows = (line.split("\t") for line in run(m, "wg show office preshared-keys").splitlines())
    return {key: None if psk == "(none)" else psk for key, psk in rows}


def up(m):
    status, out = call(m, [OFFICE, "up", "-"], bundle(m))
    said.append(out)
    return out if status else ""


def anew(m):
    """What it had of sessions is forgotten: its next packet takes a handshake."""
    return call(m, [OFFICE, "down"])[0] or up(m)


def silent(ns, to):
    return call(ns, "ping -n -q -c 3 -i 0.5 -W 2 " + to)[0] == 1


def reaches(ns, to):
    return wait_for(lambda: call(ns, "ping -n -q -c 1 -W 2 " + to)[0] == 0)


def export(*args):
    """(status, standard output, standard error)"""
    p = subprocess.run([OFFICE, "export", "--file=" + FILE, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    said.append(p.stderr)
    return p.returncode, p.stdout, p.stderr


def has(text, secrets):
    """One of them, as people or the configuration socket write it."""
    return any(s in text or base64.b64decode(s).hex() in text for s in secrets)


def at_the_desk():
    write(NET)
    for m in MEMBERS:
        status, line = call(m, [OFFICE, "key", m])
        same((status, office("accept", "--file=" + FILE, stdin=line)[0]), (0, 0), "%s has a key" % m)
    for m in ("z", "a"):
        desk("export", m)
    same(sorted(os.listdir(DESK)), ["office.lock", "office.net"], "who asks for none gets none [psk-made]")
    write(WITH)
    out = desk("plan")
    ok("Plan: 0 add, 6 change, 0 remove on 4 machines" in out and out.count("with a pre-shared key (was: ") == 6, "the plan says who gets one [psk-plan]", out)
    same(os.path.exists(PSKS), False, "and makes none")
    status, out, err = export("a")
    first = psks()
    ok(status == 0 and "wrote %s: pre-shared keys" % PSKS in err, "an export makes them, and says so [psk-made]", err)
    same((sorted(first), len(set(first.values())), mode(PSKS)), (["a", "c", "e"], 3, "600"), "one for each node and person, for their owner only [psk-made] [psk-file]")
    ok(out.endswith("\n") and first["a"] in out and not has(out, [first["c"], first["e"]]), "its own is in a's bundle, and no other [psk-secret]")
    status, out, err = export("z")
    same((status, err, all(s in out for s in first.values()), psks()), (0, "", True, first), "the hub's has all, the same ones [psk-made]")
    ok("nothing changes" in desk("plan"), "then nothing changes any more [psk-plan]")

    # Several at once, of whom one makes them.
    os.unlink(PSKS)
    every = [subprocess.Popen([OFFICE, "export", "--file=" + FILE, m], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) for m in MEMBERS * 3]
    outs = [p.communicate()[0] for p in every]
    now = psks()
    same([re.findall(r" psk (\S+)", out) for out in outs], [list(now.values()) if m == "z" else [now[m]] for m in MEMBERS * 3],
         "exports at the same time are of the same keys [psk-made]")
    ok(not set(now.values()) & set(first.values()), "which are others than before")

    # A laboratory has its directory locked while it exports.
    fd = os.open(DESK, os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_EX)
    try:
        got = subprocess.run([OFFICE, "export", "--file=" + FILE, "a"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                             timeout=lab.PATIENCE).returncode
    except subprocess.TimeoutExpired:
        got = "it hangs"
    os.close(fd)
    same(got, 0, "the lock of the directory is somebody else's, and not waited for [psk-made]")

    # What others may read, and what is no key.
    for bad in (0o644, 0o640, 0o604):
        os.chmod(PSKS, bad)
        status, out, err = export("a")
        ok((status, out) == (1, "") and "%s: others may read" % PSKS in err, "a file that others may read is refused: %o [psk-file]" % bad, err)
    os.chmod(PSKS, 0o600)
    with open(PSKS, "a") as f:
        f.write("a %s\n" % now["c"])
    status, out, err = export("a")
    ok((status, out) == (1, "") and "%s:6:1: a: has one already" % PSKS in err, "and one that says two things, with its line [psk-file]", err)
    with open(PSKS, "w") as f:
        f.write("".join("%s %s\n" % x for x in now.items()))
    same((export("a")[0], psks(), mode(PSKS)), (0, now, "600"), "mended, it is taken as it is [psk-file]")
    at_a_terminal(now)


def at_a_terminal(now):
    """With standard output at a terminal."""
    fd, slave = pty.openpty()
    p = subprocess.Popen([OFFICE, "export", "--file=" + FILE, "a"], stdout=slave, stderr=subprocess.PIPE, text=True)
    os.close(slave)
    out = b""
    try:
        while piece := os.read(fd, 4096):
            out += piece
    except OSError:     # nobody has it open any more
        pass
    err = p.stderr.read()
    said.append(err)
    ok(p.wait() == 0 and now["a"] in out.decode() and "are secret" in err, "who has one shown on a terminal is told what it is [psk-secret]", err)
    os.close(fd)


def tunnels():
    for m in MEMBERS:
        same(up(m), "", "%s comes up" % m)
    want = psks()
    same(in_daemon("z"), {public(m): want[m] for m in "ace"}, "the hub has one for each [psk-tunnel]")
    for m in "ace":
        same(in_daemon(m), {public("z"): want[m]}, "%s has the same [psk-tunnel]" % m)
        same(call(m, "stat -c %a /var/lib/ginnel/office.bundle")[1].strip(), "600", "and keeps it for root only [psk-file]")
    same((ping("b", "192.168.200.244"), ping("e", "192.168.200.244"), ping("e", "192.168.201.55")), (0, 0, 0), "and traffic flows [psk-tunnel]")
    out = "".join(up(m) for m in MEMBERS)
    ok(out == "" and all("added=0 changed=0 removed=0" in x for x in said[-4:]), "once more, nothing changes [psk-tunnel]", said[-4:])


def another(m):
    """Another one for m, first at its own end."""
    before = psks()
    with open(PSKS, "w") as f:
        f.write("".join("%s %s\n" % x for x in before.items() if x[0] != m))
    same(anew(m), "", "%s comes up with another one" % m)
    now = psks()
    same((now[m] != before[m], {x: now[x] for x in now if x != m}), (True, {x: before[x] for x in before if x != m}),
         "whose line is taken away gets another, and nobody else [psk-made]")
    ok(silent(m, "10.70.0.1"), "while one end only has it nothing passes [psk-tunnel]")
    same(up("z"), "", "the hub is told")
    ok(reaches(m, "10.70.0.1"), "when both have it, all does [psk-tunnel]")
    same((in_daemon("z")[public(m)], in_daemon(m)[public("z")]), (now[m], now[m]), "and it is the same [psk-tunnel]")
    same(ping("b", "192.168.200.244"), 0, "others have noticed nothing [psk-tunnel]")


def another_key(m):
    """The next key of a rotation has the same."""
    status, lines = call(m, [OFFICE, "rotate", m])
    same((status, office("accept", "--file=" + FILE, stdin=lines)[0], up("z")), (0, 0, ""), "%s has a next key" % m)
    next_key = lines.split()[-1]
    same((in_daemon("z")[next_key], in_daemon("z")[public(m)]), (psks()[m], psks()[m]), "a next key has the same one [psk-plan]")
    same(wait_for(lambda: up(m) == "" and "nobody has answered" not in said[-1]), True, "and %s takes it" % m)
    ok("is its key now" in said[-1], "as its key [psk-tunnel]", said[-1])
    same(office("accept", "--file=" + FILE, stdin=call(m, [OFFICE, "key", m])[1])[0], 0, "which the office knows")
    same((up("z"), list(in_daemon("z")).count(next_key), reaches(m, "10.70.0.1")), ("", 1, True), "and traffic flows [psk-tunnel]")


def nowhere():
    secrets = list(psks().values())
    texts = {"file": read(FILE), "lock": read(DESK + "/office.lock"), "messages": "".join(said)}
    for verb in (("plan",), ("plan", *MEMBERS), ("plan", "--json"), ("plan", "--dot"), ("check",)):
        status, texts[" ".join(verb)] = office(verb[0], "--file=" + FILE, *verb[1:])
        same(status, 0, " ".join(verb))
    for m in MEMBERS:
        for verb in (("status",), ("status", "--json")):
            texts[m + " ".join(verb)] = call(m, [OFFICE, *verb])[1]
        texts[m + " log"] = call(m, "cat /run/ginnel/office.log")[1]
        texts[m + " notes"] = call(m, ["sh", "-c", "cat /run/ginnel/office.made /var/lib/ginnel/office.learnt /var/lib/ginnel/office.endpoints 2>/dev/null"])[1]
    same([name for name, text in texts.items() if not text and name != "check" and not name.endswith(" log")], [], "there is something to look through")
    same([name for name, text in texts.items() if has(text, secrets)], [], "no secret is in file, lock, plan, status, messages and logs [psk-secret]")
    same(sum(p.get("preshared_key", False) for m in json.loads(texts["plan --json"])["members"] for p in m["peers"]), 6, "the plan as JSON says who has one [psk-plan]")
    ok(all(has(bundle("z"), [s]) for s in secrets), "where one is, it would be found")


def forms():
    want = psks()["e"]
    same(call("e", [OFFICE, "down"])[0], 0, "e goes down")
    put("e", desk("export", "e", "wg-quick"))
    status, out = quick("e", "up")
    ok(status == 0, "wg-quick takes its text", out)
    ok(reaches("e", "192.168.200.244"), "and e reaches the others by it [psk-export]")
    quick("e", "down")
    for form in ("nm", "app"):
        ok(want in desk("export", "e", form), "the form %s has it [psk-export]" % form)
    foreign_daemons()
    into = DESK + "/into"
    os.mkdir(into)
    for form, names in (("networkd", ["office.netdev", "office.network"]), ("nm", ["office.nmconnection"])):
        same(export("--into=" + into, "e", form)[:2], (0, ""), "%s in files" % form)
        same([mode(os.path.join(into, x)) for x in names if want in read(os.path.join(into, x))], ["600"], "what has it is for its owner only [psk-file]")
    shutil.rmtree(into)
    for form in ("nft", "hosts"):
        ok(not has(desk("export", "z", form), psks().values()), "the form %s has none [psk-secret]" % form)
    same(up("e"), "", "e comes up")


def foreign_daemons():
    """The hub and a node run wireguard-go, by the real wg-quick."""
    same(up("e"), "", "e comes up")
    for m in ("z", "a"):
        same(call(m, [OFFICE, "down"])[0], 0, "%s goes down" % m)
        put(m, desk("export", m, "wg-quick"))
        status, out = quick(m, "up", lab.WIREGUARD_GO)
        ok(status == 0, "and comes up with wireguard-go [psk-export]", out)
        # What there was of a session is no more.
        same(anew("e"), "", "e begins anew")
        ok(reaches("e", {"z": "10.70.0.1", "a": "192.168.201.55"}[m]), "and reaches it [psk-export]")
    same((set(in_daemon("a").values()), in_daemon("z")[public("a")]), ({psks()["a"]}, psks()["a"]), "both have the pre-shared key [psk-export]")
    for m in ("a", "z"):
        quick(m, "down", lab.WIREGUARD_GO)
        wait_for(lambda: call(m, "wg show office")[0])  # it ends when its interface is gone
        same(up(m), "", "%s is back" % m)
    same(call("e", [OFFICE, "down"])[0], 0, "e goes down")


def come_and_go():
    before = psks()
    write(WITH.replace("e person 10.70.0.4\n", ""))
    same((export("z")[0], psks()), (0, {x: before[x] for x in "ac"}), "who is gone loses it [psk-gone]")
    write(WITH)
    same((export("z")[0], sorted(psks()), psks()["e"] != before["e"]), (0, ["a", "c", "e"], True), "and who comes back gets another [psk-gone]")
    write(WITH.replace("a node   192.168.201.0/24 return route at .2", "a person").replace("b host   a .55\n", ""))
    same((export("z")[0], psks()["a"] != before["a"], psks()["c"]), (0, True, before["c"]), "so does who is somebody else now [psk-gone]")


def without():
    write(NET)
    lock = read(DESK + "/office.lock")
    for m in MEMBERS:
        office("accept", "--file=" + FILE, stdin=call(m, [OFFICE, "key", m])[1])
    for m in MEMBERS:
        same(up(m), "", "%s comes up without" % m)
    same([set(in_daemon(m).values()) for m in MEMBERS], [{None}] * 4, "without the line nobody has one [psk-tunnel]")
    ok("psk on" in lock and "psk" not in read(DESK + "/office.lock"), "nor does the lock say so")
    ok(reaches("e", "192.168.200.244") and reaches("b", "192.168.200.244"), "and traffic flows [psk-tunnel]")


def main():
    build()
    at_the_desk()
    tunnels()
    another("e")
    another("a")
    another_key("e")
    nowhere()
    forms()
    come_and_go()
    without()


lab.main(600, main)
