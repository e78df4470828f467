#!/usr/bin/env python3
"""A member's key takes the place of another: a person's, a node's and the hub's, while connections and pings go through the office."""
import hashlib
import json
import os
import re
import socket
import subprocess
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lab  # noqa: E402
from lab import note, ok, same, wait_for  # noqa: E402
from office import DESK, FILE, OFFICE, build, bundle, call, desk, office, ping, run, there  # noqa: E402

MEMBERS = ("z", "a", "c", "e")
CHUNK = 1400


class Stream:
    """A connection through the office that a far end sends back; what comes is compared with what went."""

    def __init__(self, here, far, at, port):
        with lab.inside(far):
            server = socket.socket()
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            server.bind((at, port))
            server.listen(1)
        with lab.inside(here):
            self.client = socket.create_connection((at, port), timeout=lab.PATIENCE)
        self.far, _ = server.accept()
        server.close()
        self.ended, self.n, self.wrong = threading.Event(), 0, None
        self.threads = [threading.Thread(target=t, daemon=True) for t in (self.echo, self.compare)]
        for t in self.threads:
            t.start()

    def echo(self):
        self.far.settimeout(lab.PATIENCE)
        while True:
            data = self.far.recv(65536)
            if not data:
                break
            self.far.sendall(data)
        self.far.close()

    def compare(self):
        try:
            while not self.ended.is_set():
                data = hashlib.sha512(b"%d" % self.n).digest() * (CHUNK // 64)
                self.client.sendall(data)
                back = b""
                while len(back) < len(data):
                    piece = self.client.recv(len(data) - len(back))
                    if not piece:
                        raise OSError("closed by the far end")
                    back += piece
                if back != data:
                    raise OSError("something else came back")
                self.n += 1
                self.ended.wait(0.002)
        except OSError as e:
            self.wrong = str(e)

    def moves(self):
        """It carries something from now on."""
        n = self.n
        wait_for(lambda: self.wrong or self.n > n + 3)

    def end(self):
        """None, or what went wrong."""
        self.ended.set()
        self.threads[1].join(lab.PATIENCE)
        self.client.close()
        return "it hangs" if self.threads[1].is_alive() else self.wrong


class Pings:
    def __init__(self, here, to):
        self.p = subprocess.Popen(there(here, "ping -n -q -c 250 -i 0.02 -W 20 " + to), stdout=subprocess.PIPE, text=True)

    def end(self):
        """(sent, lost)"""
        sent, received = re.search(r"(\d+) packets transmitted, (\d+) received", self.p.communicate()[0]).groups()
        return int(sent), int(sent) - int(received)


def up(m, fresh=True):
    status, out = call(m, [OFFICE, "up"] + ["-"] * fresh, bundle(m) if fresh else "")
    return out if status == 0 else "exit status %d\n%s" % (status, out)


def takes_over(m):
    """An up of m that takes its next key, whose initiation may be lost on a machine that is late; what it said."""
    said = [up(m)]
    wait_for(lambda: "is its key now" in said[-1] or "nobody has answered" not in said[-1] or said.append(up(m)))
    return said[-1]


def accept(lines):
    status, out = office("accept", "--file=" + FILE, stdin=lines)
    if status:
        raise RuntimeError(out)
    return out


def key(m):
    return call(m, [OFFICE, "key", m])[1]


def begin(m):
    """A next key, which the office knows.  The lines that said so."""
    status, lines = call(m, [OFFICE, "rotate", m])
    if status:
        raise RuntimeError(lines)
    accept(lines)
    return lines


def finish(m, others):
    said = accept(key(m))
    return said + "".join(up(o) for o in others)


def status(m):
    return {p["name"] + (" next" if p.get("next") else ""): p["state"] for p in json.loads(run(m, [OFFICE, "status", "--json"]))["peers"]}


def peers(m):
    """Public key -> number of prefixes, in the daemon."""
    return {line.split("\t")[0]: 0 if line.split("\t")[1] == "(none)" else len(line.split("\t")[1].split())
            for line in run(m, "wg show office allowed-ips").splitlines()}


def under_traffic(m, others, streams, pings):
    """The whole of it, as an administrator does it."""
    run_, watch = [Stream(*s, 7000 + i) for i, s in enumerate(streams)], [Pings(*p) for p in pings]
    for s in run_:
        s.moves()
    old = key(m)
    lines = begin(m)
    said = "".join(up(o) for o in others)
    for s in run_:
        s.moves()
    out = takes_over(m)
    new = key(m)
    ok("is its key now" in out and new != old and new.split()[2] == lines.splitlines()[1].split()[2],
       "%s has its next key as its key once somebody has spoken with it [office-rotate]" % m, out)
    for s in run_:
        s.moves()
    # Before anybody is told more, or comes up once more: the daemons have done it by themselves.
    for o in others:
        wait_for(lambda: peers(o).get(new.split()[2]))
        same((peers(o)[old.split()[2]], peers(o)[new.split()[2]] > 0), (0, True), "%s has given all prefixes to it [office-rotate-lossless]" % o)
    for s in run_:
        s.moves()
    said += finish(m, others)
    for s in run_:
        s.moves()
    for o in others:
        ok(old.split()[2] not in peers(o) and new.split()[2] in peers(o), "%s has forgotten the old one [office-rotate-over]" % o, said)
    same([s.end() for s in run_], [None] * len(run_), "%s: no connection ends, all bytes are what they were [office-rotate-lossless]" % m)
    counts = [p.end() for p in watch]
    note("%s: %s, pings sent and lost: %s; round trips of the streams: %s" % (m, "rotated", counts, [s.n for s in run_]))
    # They go every 20 ms: two seconds in which nothing passes would be 100.
    ok(all(lost <= 100 for _, lost in counts), "%s: few pings are lost [office-rotate-lossless]" % m, counts)


def old_key_is_over(m):
    """Of a member that has just rotated, its key of before."""
    secret = run(m, "cat /etc/ginnel/office.key")
    begin(m)
    up("z")
    same("is its key now" in takes_over(m), True, "%s once more" % m)
    call(m, ["sh", "-c", "umask 077; cat >/run/old.key"], secret)
    run(m, "wg set office private-key /run/old.key")
    ok(call(m, "ping -n -q -c 5 -i 0.2 -W 1 10.70.0.1")[0] != 0, "the old key gets nothing through [office-rotate-over]")
    up("z", fresh=False)
    ok(call(m, "ping -n -q -c 5 -i 0.2 -W 1 10.70.0.1")[0] != 0, "nor when it is forgotten [office-rotate-over]")
    same(up(m, fresh=False).count("exit status"), 0, "%s comes up" % m)
    wait_for(lambda: ping(m, "10.70.0.1") == 0)
    same((ping(m, "10.70.0.1"), finish(m, ["z"]).count("exit status")), (0, 0), "the new one does [office-rotate-over]")


def killed(m, step, takes, after, i):
    p = subprocess.Popen(there(m, step), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True)
    if step[-1] == "-":
        p.stdin.write(bundle(m))
    p.stdin.close()
    lab.time.sleep(takes * i / after)
    p.kill()  # nsenter has become the program
    p.wait()


def kill(pid):
    try:
        if pid:
            os.kill(pid, 9)
    except ProcessLookupError:
        pass


def tries(p):
    """The process by which an up tries a next key: of its children the one with a session of its own."""
    with open("/proc/%d/task/%d/children" % (p.pid, p.pid)) as f:
        for child in map(int, f.read().split()):
            try:
                if os.getsid(child) == child:
                    return child
            except ProcessLookupError:
                pass
    return 0


def trial_ended(m, key_now, key_next):
    """Nobody knows the next key of m: whoever is ended while it is tried, the old one is in force soon."""
    def in_force():
        return run(m, "wg show office public-key").strip()

    def begin_trial(*args, stdin=""):
        log = "/run/lab/trial"
        with open(log, "w") as f:
            p = subprocess.Popen(there(m, [OFFICE, "up", *args]), stdin=subprocess.PIPE, stdout=f, stderr=f, text=True)
        p.stdin.write(stdin)
        p.stdin.close()
        # A machine that is very late sees the end of it only.
        ok(wait_for(lambda: (tries(p) and in_force() == key_next) or "nobody has answered" in open(log).read()), "%s tries its next key" % m)
        return p

    def carries_on(name):
        ok(wait_for(lambda: in_force() == key_now, timeout=10 * lab.PATIENCE), "%s, and the old key is in force again [office-rotate-trial]" % name)
        same((ping(m, "192.168.200.244"), key(m).split()[-1]), (0, key_now), "with which %s carries on [office-rotate-trial]" % m)

    p = begin_trial("-", stdin=bundle(m))
    p.kill()
    p.wait()
    carries_on("an up is killed while it tries, and nobody runs another")
    p = begin_trial("--stay")
    kill(tries(p))
    p.kill()
    p.wait()
    p = begin_trial("--stay")
    kill(tries(p))
    carries_on("one that stays is started again after all of it was killed")
    p.terminate()
    same(p.wait(lab.PATIENCE), 0, "it ends")


def takes(f):
    start = lab.time.monotonic()
    f()
    return lab.time.monotonic() - start


def others_daemons():
    """The hub has one that knows of no successors; now a person has, too, and the hub stays."""
    call("e", [OFFICE, "down"])
    run("e", [lab.WIREGUARD_GO, "office"])
    same(up("e", fresh=False).count("exit status"), 0, "a person with wireguard-go comes up")
    log = "/run/lab/stay"
    stay = subprocess.Popen(there("z", [OFFICE, "up", "--stay"]), stdin=subprocess.DEVNULL, stdout=open(log, "w"), stderr=subprocess.STDOUT)
    ok(wait_for(lambda: "stays so" in open(log).read()), "the hub stays", open(log).read())
    begin("e")
    same(up("z").count("exit status"), 0, "and is told of a next key")
    out = takes_over("e")
    new = key("e").split()[2]
    ok("is its key now" in out, "which the person's daemon takes [office-rotate]", out)
    ok(wait_for(lambda: peers("z").get(new)), "a hub that stays gives it the prefixes, without another up [stay-follow]", open(log).read())
    ok(wait_for(lambda: ping("e", "192.168.200.244") == 0), "and traffic flows [stay-follow]")
    finish("e", ["z"])
    begin("z")
    same("".join(up(m) for m in "ace").count("exit status"), 0, "all are told of a next key of the hub")
    old, out = key("z"), takes_over("z")
    new = key("z").split()[2]
    ok(key("z") != old, "which its daemon takes, by an up or by the one that stays [office-rotate]", out)
    same((up("e", fresh=False).count("exit status"), peers("e").get(new, 0) > 0), (0, True), "the person's gives it the prefixes by the next up [office-rotate-recall]")
    ok(wait_for(lambda: ping("e", "192.168.200.244") + ping("b", "192.168.200.244") == 0), "and traffic flows [office-rotate]")
    finish("z", ["a", "c", "e"])
    stay.terminate()
    same(stay.wait(lab.PATIENCE), 0, "who stays ends")


def main():
    build()
    for m in MEMBERS:
        accept(call(m, [OFFICE, "key", m])[1])
    for m in MEMBERS:
        out = up(m)
        same(out.count("exit status"), 0, "%s comes up" % m)
    wait_for(lambda: ping("b", "192.168.200.244") + ping("e", "192.168.200.244") == 0)

    # --- the next key
    before = key("e")
    got, out = call("z", [OFFICE, "rotate", "--interface=other", "z"])
    ok(got == 1 and "ginnel key z" in out, "without a key there is nothing to rotate [office-rotate]", out)
    got, lines = call("e", [OFFICE, "rotate", "e"])
    ok(got == 0 and re.fullmatch(re.escape(before) + r"e next-key [A-Za-z0-9+/]{43}=\n", lines), "rotate prints the key and the next one [office-rotate]", lines)
    same(call("e", "stat -c %a /etc/ginnel/office.key.next")[1].strip(), "600", "which only root may read [office-rotate]")
    same((call("e", [OFFICE, "rotate", "e"])[1], key("e")), (lines, before), "asked again, both are the same [office-rotate]")
    out = accept(lines)
    ok("e: a next key stands beside its key" in out and "next-key" in open(DESK + "/office.lock").read(), "the administrator accepts it [office-rotate-accept]", out)
    lock = open(DESK + "/office.lock").read()
    same((accept(lines), open(DESK + "/office.lock").read()), ("", lock), "once [office-rotate-accept]")
    secrets = [run("e", "cat /etc/ginnel/" + f).strip() for f in ("office.key", "office.key.next")]
    ok(not any(s in lines + lock + bundle("z") + bundle("e") for s in secrets), "the private ones stay where they are [office-secret]")
    out = desk("plan", "z")
    ok("peer e next" in out and lines.split()[-1] in out, "the plan of those who meet it says so [office-rotate-plan]", out)

    # --- told in the wrong order
    trial_ended("e", before.split()[-1], lines.split()[-1])
    out = up("e")
    ok("nobody has answered" in out and "the hub first" in out and key("e") == before, "a next key that nobody knows is given up for now [office-rotate-back]", out)
    same(ping("e", "192.168.200.244"), 0, "and the old one carries on [office-rotate-back]")
    same(up("z").count("exit status"), 0, "the hub is told")
    same((status("z")["e"], status("z")["e next"]), ("up", "never"), "and has both [office-rotate-plan]")
    out = up("e", fresh=False)
    ok("is its key now" in out and key("e") != before, "then the next run does it [office-rotate-back]", out)
    same(ping("e", "192.168.200.244"), 0, "and it carries on [office-rotate]")
    same(call("e", "ls /etc/ginnel")[1].split(), ["office.key"], "nothing of the old one is left [office-rotate]")
    out = up("e")
    same((out.count("exit status"), key("e").split()[2] == lines.split()[-1]), (0, True), "a bundle of before does no harm [office-rotate-recall]")
    out = up("z")
    same((out.count("exit status"), sorted(status("z"))), (0, ["a", "c", "e"]), "nor the hub's: what has taken over stays so [office-rotate-recall]")
    same(call("z", [OFFICE, "down"])[0], 0, "the hub goes down")
    same(up("z", fresh=False).count("exit status"), 0, "and up")
    ok(list(status("z")) == ["a", "c", "e"], "also from what it has kept [office-rotate-recall]", status("z"))
    wait_for(lambda: ping("e", "10.70.0.1") == 0)
    out = finish("e", ["z"])
    ok("its next key is its key now" in out and "next-key" not in open(DESK + "/office.lock").read(), "its key ends it in the office's lock [office-rotate-accept]", out)
    same((accept(key("e")), ping("e", "192.168.200.244")), ("", 0), "once [office-rotate-accept]")

    # --- under traffic
    wait_for(lambda: ping("b", "192.168.200.244") == 0)
    streams = ("e", "d", "192.168.200.244"), ("b", "d", "192.168.200.244")
    pings = ("e", "192.168.200.244"), ("z", "10.70.0.4"), ("b", "192.168.200.244")
    under_traffic("e", ["z"], streams, pings)
    under_traffic("a", ["z"], streams, pings)
    under_traffic("c", ["z"], streams, pings)
    under_traffic("z", ["a", "c", "e"], streams, pings)
    old_key_is_over("e")

    # --- killed
    for i in range(6):
        killed("c", [OFFICE, "rotate", "c"], takes(lambda: begin("c")), 6, i)
        begin("c")
        killed("z", [OFFICE, "up", "-"], takes(lambda: up("z")), 6, i)
        same(up("z").count("exit status"), 0, "the hub comes up when asked again [office-rotate-killed]")
        killed("c", [OFFICE, "up", "-"], 0.25, 6, i)
        wait_for(lambda: ping("b", "192.168.200.244") == 0)
        out = up("c")
        same((out.count("exit status"), ping("b", "192.168.200.244")), (0, 0), "so does a node, and one of its keys works all the time [office-rotate-killed]")
        killed("z", [OFFICE, "up"], takes(lambda: up("z")), 6, i)
        out = finish("c", ["z", "c"])
        wait_for(lambda: ping("b", "192.168.200.244") == 0)
        same((out.count("exit status"), key("c").split()[2] in peers("z"), len(peers("z"))), (0, True, 3),
             "and the rotation comes to its end [office-rotate-killed]")

    # --- no room
    run("a", "mount -t tmpfs -o size=8k,mode=700 small /etc/ginnel")
    call("a", ["sh", "-c", "umask 077; cat >/etc/ginnel/office.key; dd if=/dev/zero of=/etc/ginnel/fill bs=4k"], open("/proc/self/comm").read())
    got, out = call("a", [OFFICE, "rotate", "a"])
    ok(got == 1 and "something else" in out, "what is no key is left alone [office-rotate]", out)
    run("a", "umount /etc/ginnel")
    secret = run("a", "cat /etc/ginnel/office.key")
    run("a", "mount -t tmpfs -o size=8k,mode=700 small /etc/ginnel")
    call("a", ["sh", "-c", "umask 077; cat >/etc/ginnel/office.key; dd if=/dev/zero of=/etc/ginnel/fill bs=4k"], secret)
    got, out = call("a", [OFFICE, "rotate", "a"])
    ok(got == 1 and "cannot make the key" in out and call("a", "ls /etc/ginnel")[1].split() == ["fill", "office.key"],
       "without room for a next key there is none [office-rotate-killed]", out)
    same((up("a").count("exit status"), ping("b", "192.168.200.244")), (0, 0), "and the key is as it was [office-rotate-killed]")
    run("a", "rm /etc/ginnel/fill")
    begin("a")
    run("z", "mount -o remount,size=16k /var/lib")
    up("z")
    call("z", "dd if=/dev/zero of=/var/lib/fill bs=4k")
    ok("is its key now" in takes_over("a"), "a takes its next key")
    out = up("z", fresh=False)
    ok("cannot keep the bundle" in out and len(peers("z")) == 3 and ping("b", "192.168.200.244") == 0,
       "a hub that cannot write down what has taken over goes on with it [office-rotate-killed]", out)
    run("z", "rm /var/lib/fill")
    same((finish("a", ["z"]).count("exit status"), ping("b", "192.168.200.244")), (0, 0), "and ends it when there is room [office-rotate-killed]")

    # --- another daemon, which knows of no successors
    call("z", [OFFICE, "down"])
    run("z", [lab.WIREGUARD_GO, "office"])
    same(up("z", fresh=False).count("exit status"), 0, "a hub with wireguard-go comes up")
    wait_for(lambda: ping("b", "192.168.200.244") == 0)
    s = Stream("b", "d", "192.168.200.244", 7000)
    s.moves()
    old = key("c")
    begin("c")
    same(up("z").count("exit status"), 0, "and is told")
    ok("is its key now" in takes_over("c"), "its daemon takes the next key")
    new = key("c")
    same((peers("z")[old.split()[2]] > 0, peers("z")[new.split()[2]]), (True, 0), "and leaves prefixes where they are")
    same((up("z", fresh=False).count("exit status"), old.split()[2] in peers("z")), (0, False), "until the next up gives them to it [office-rotate-recall]")
    s.moves()
    same((s.end(), ping("b", "192.168.200.244")), (None, 0), "and connections go on [office-rotate-recall]")
    finish("c", ["z"])
    others_daemons()


lab.main(900, main)
