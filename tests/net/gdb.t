#!/usr/bin/python3
"""dist/gdb/ginnel-gdb.py: what GDB shows of a running daemon is what the daemon says of itself, and holds no secret."""
import base64
import os
import re
import shutil
import signal
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lab  # noqa: E402
from lab import Daemon, WG, ok, run, same, wait_for  # noqa: E402

BIN = os.path.dirname(WG)
NAMES = ("retransmit", "keepalive", "new-handshake", "zero-keys", "persistent")


def command(pid, *commands, program=WG, safe=BIN):
    return ["gdb", "-nx", "-batch", "-iex", "set width 0"] + (["-iex", "add-auto-load-safe-path " + safe] if safe else []) + \
        ["-p", str(pid), program] + [x for c in commands for x in ("-ex", c)]


def gdb(daemon, *commands, **kw):
    """What it prints of a running daemon, errors as well."""
    said = run(command(daemon.pid, "echo =====\\n", *commands, "echo =====\\n", **kw), check=False,
               timeout=10 * lab.PATIENCE).stdout
    return said.partition("=====\n")[2].rpartition("=====\n")[0]


def pub(private):
    return run("wg pubkey", input=private).strip()


def rows(text):
    """Of a table: a dict for each line, by its head."""
    lines = [re.split(r"  +", line.strip()) for line in text.splitlines()]
    head = next(i for i, line in enumerate(lines) if len(line) > 1)
    return [dict(zip(lines[head], line)) for line in lines[head + 1:] if len(line) == len(lines[head])]


def dump(name):
    """Of wg(8), a dict for each peer."""
    fields = ("key", "psk", "endpoint", "allowed", "handshake", "received", "sent", "keepalive")
    return [dict(zip(fields, line.split("\t"))) for line in run("wg show %s dump" % name).splitlines()[1:]]


def numbers(scoped):
    """An endpoint with the number of its interface in the place of the name: GDB is in no network namespace of it."""
    return re.sub(r"%(\w+)", lambda m: "%" + run(["cat", "/sys/class/net/%s/ifindex" % m[1]], "a").strip(), scoped)


def two_hosts():
    """Two tunnels that talk, with a pre-shared key; and peers of the first that do not."""
    run("ip netns add a")
    run("ip netns add b")
    run("ip link add eth netns a type veth peer name eth netns b")
    secrets = {name: run("wg genkey").strip() for name in ("a", "b", "psk", "psk3")}
    hosts = {}
    for n, ns in enumerate("ab", 1):
        run("ip -n %s link set lo up" % ns)
        run("ip -n %s address add 10.0.0.%d/24 dev eth" % (ns, n))
        run("ip -n %s link set eth up" % ns)
        hosts[ns] = Daemon(ns, "wg" + ns)
        run("ip -n %s address add 192.168.241.%d/24 dev wg%s" % (ns, n, ns))
        run("ip -n %s link set wg%s up" % (ns, ns))
    for ns, other, n in (("a", "b", 2), ("b", "a", 1)):
        run(["wg", "set", "wg" + ns, "private-key", "/dev/stdin", "listen-port", str(1000 + ord(ns))],
            input=secrets[ns])
        run(["wg", "set", "wg" + ns, "peer", pub(secrets[other]), "preshared-key", "/dev/stdin",
             "allowed-ips", "192.168.241.%d/32,fd00:241::%d/128" % (n, n), "endpoint", "10.0.0.%d:%d" % (n, 1000 + ord(other))],
            input=secrets["psk"])
    strangers = [pub(run("wg genkey")) for _ in range(4)]
    run(["wg", "set", "wga", "peer", strangers[0], "allowed-ips", "10.9.0.0/16,10.9.1.0/24,fd00:99::/48", "endpoint", "10.0.0.9:99",
         "persistent-keepalive", "25"])
    run(["wg", "set", "wga", "peer", strangers[1], "preshared-key", "/dev/stdin", "allowed-ips", "0.0.0.0/0,::/0,10.9.1.128/25"],
        input=secrets["psk3"])
    run(["wg", "set", "wga", "peer", strangers[2], "endpoint", "[fe80::77%lo]:7"])
    run(["wg", "set", "wga", "peer", strangers[3], "endpoint", "[2001:db8::1]:65535"])
    # Numbers are not given twice.
    run(["wg", "set", "wga", "peer", strangers[2], "remove"])
    run(["wg", "set", "wga", "peer", strangers[2], "endpoint", "[fe80::77%lo]:7"])
    run("ping -n -q -c 3 -i 0.1 -W 10 192.168.241.2", "a")
    return hosts["a"], hosts["b"], secrets


def as_wg_says(a):
    """One reading between two of wg that agree."""
    shown = []

    def read():
        before = dump("wga")
        every = [str(n) for n in range(1, 7) if n != 4]
        text = gdb(a, "wg-peers", *(x for n in every for x in ("echo --\\n", "wg-peer " + n)))
        shown[:] = [before, rows(text.split("--\n")[0]), text.split("--\n")[1:], text]
        # The one who does not answer is called for 90 s, and after a pause again.
        return before == dump("wga") and "handshake under way: ours" in text
    ok(wait_for(read), "nothing changes while gdb looks")
    wg, table, single, text = shown
    for field, column, name in (("key", "public key", "public keys [gdb-peers]"), ("endpoint", "endpoint", "endpoints [gdb-peers]"),
                                ("handshake", "latest handshake", "times of handshakes [gdb-peers]"),
                                ("received", "received", "bytes received [gdb-peers]"), ("sent", "sent", "bytes sent [gdb-peers]")):
        want = [numbers(p[field]) if field == "endpoint" else p[field] for p in wg]
        if not same([r.get(column, "").split(" ")[0] if field == "handshake" else r.get(column) for r in table], want,
                    "wg-peers shows the %s that wg shows" % name):
            lab.note(text.replace("\n", "\n# "))
    same([r.get("#") for r in table], ["1", "2", "3", "5", "6"], "and each peer's number, of which none is given twice [gdb-peers]")
    ok(sum(int(p["handshake"]) > 0 for p in wg) == 1 and len(wg) == 5, "of five peers, one of which had a handshake", wg)
    facts = [dict(line.split(": ", 1) for line in s.splitlines() if ": " in line) for s in single]
    for field, fact, name in (("key", "public key", "public key"), ("allowed", "allowed ips", "allowed IPs in their order"),
                              ("keepalive", "persistent keepalive", "interval"), ("handshake", "latest handshake", "handshake's time")):
        same([f.get(fact, "").split(" (")[0].replace(", ", ",") if f.get(fact) != "(none)" else "(none)" for f in facts],
             [p[field] for p in wg], "wg-peer shows the %s that wg shows [gdb-peer]" % name)
    same([f.get("transfer") for f in facts], ["%s received, %s sent" % (p["received"], p["sent"]) for p in wg],
         "and what was transferred [gdb-peer]")
    same([f.get("preshared key") for f in facts], ["(none)" if p["psk"] == "(none)" else "(hidden: set wg-secrets on)" for p in wg],
         "and whether there is a pre-shared key [gdb-peer]")
    ok(facts[1].get("handshake under way", "").startswith("ours, index 0x"), "and a handshake under way [gdb-peer]", facts[1])
    by_key = gdb(a, "wg-peer " + wg[1]["key"], "echo --\\n", "wg-peer " + wg[1]["key"][:12])
    same([t.split("\n")[0] for t in by_key.split("--\n")], ["public key: " + wg[1]["key"]] * 2,
         "wg-peer finds a peer by its key, and by the beginning of it [gdb-peer]")
    same(gdb(a, "python print(gdb.parse_and_eval('$wg_key(ginnel_device->peers.tqh_first->public_key)').string())").strip(), wg[0]["key"],
         "$wg_key shows a key in base64 [gdb-peer]")


def trees(a):
    """The tree as printed: each prefix is below the longest other that holds it."""
    import ipaddress
    text = gdb(a, "wg-allowedips")
    want = sorted((prefix, p["#"]) for p in rows(gdb(a, "wg-peers"))
                  for d in dump("wga") if d["key"] == p["public key"]
                  for prefix in d["allowed"].split(",") if prefix != "(none)")
    found, path, wrong = [], [], []
    for line in text.splitlines():
        if line.startswith("IP"):
            path = []
            continue
        depth = (len(line) - len(line.lstrip())) // 2
        prefix, whose = line.strip().split("  ")
        net = ipaddress.ip_network(prefix)
        path = path[:depth - 1] + [net]
        if len(path) != depth or (depth > 1 and not net.subnet_of(path[-2])) or (depth > 1 and net == path[-2]):
            wrong.append(line)
        if whose.startswith("peer "):
            found.append((prefix, whose[5:]))
        elif whose != "fork":
            wrong.append(line)
    same(sorted(found), want, "wg-allowedips shows every prefix with its peer [gdb-allowedips]")
    ok(not wrong, "as trees in which each is part of what it is below [gdb-allowedips]", text)


def timers(a):
    def calls():
        nonlocal table
        table = rows(gdb(a, "wg-timers"))
        return ("2", "retransmit") in {(r["peer"], r["timer"]) for r in table}
    table = []
    wait_for(calls)  # there is a pause between two series of calls
    ok(table and all(r["timer"] in NAMES and re.fullmatch(r"-?\d+\.\d s", r["due in"]) for r in table),
       "wg-timers shows timers by their names [gdb-timers]", table)
    due = [float(r["due in"].split()[0]) for r in table]
    same(due, sorted(due), "the next one first [gdb-timers]")
    have = {(r["peer"], r["timer"]) for r in table}
    ok({("1", "zero-keys"), ("2", "retransmit"), ("2", "persistent")} <= have and not {p for p, _ in have} & {"3", "5"},
       "those that must be armed, and none of a peer that nothing was sent to [gdb-timers]", have)
    ok(all(d <= 541 for d in due), "with the time that is left [gdb-timers]", due)


def sessions(a, b):
    ours, theirs = rows(gdb(a, "wg-keypairs")), rows(gdb(b, "wg-keypairs 1"))
    ok(len(ours) == len(theirs) == 1, "wg-keypairs shows the session of each end [gdb-keypairs]", ours, theirs)
    x, y = ours[0], theirs[0]
    same((x["our index"], x["its index"], x["session"]), (y["its index"], y["our index"], y["session"]),
         "both ends have the same indices [gdb-keypairs]")
    same((x["we are"], y["we are"]), ("initiator", "responder"), "one is the initiator and the other is not [gdb-keypairs]")
    ok(3 <= int(y["received up to"]) <= int(x["next to send"]), "with the counters [gdb-keypairs]", x, y)
    same(x["send key"], "(hidden: set wg-secrets on)", "and no key [gdb-secrets]")
    ours, theirs = (rows(gdb(d, "set wg-secrets on", "wg-keypairs")) for d in (a, b))
    same((ours[0]["send key"], ours[0]["receive key"]), (theirs[0]["receive key"], theirs[0]["send key"]),
         "asked for, the keys are those of the other end [gdb-secrets]")
    return [ours[0]["send key"], ours[0]["receive key"]]


EVERYTHING = ("wg-peers", "wg-peer 1", "wg-peer 3", "wg-timers", "wg-keypairs", "wg-allowedips", "print *ginnel_device",
              "print *ginnel_device->peers.tqh_first", "print *ginnel_device->peers.tqh_first->current",
              "print ginnel_device->peers.tqh_first->current->keys", "print ginnel_device->private_key",
              "print &ginnel_device->private_key[0]", "print ginnel_device->peers.tqh_first->preshared_key",
              "print ginnel_device->peers.tqh_first->static_static", "thread apply all bt full")


def no_secrets(a, b, secrets, session_keys):
    keys = [base64.b64decode(k) for k in (secrets["a"], secrets["psk"], secrets["psk3"], *session_keys)]
    text = gdb(a, *EVERYTHING)
    # The first bytes as GDB would write an array or a text of them.
    plain = gdb(a, "set wg-secrets on", "print ginnel_device->private_key", "print ginnel_device->peers.tqh_first->preshared_key",
                "print ginnel_device->peers.tqh_first->static_static", "wg-peer 1", "wg-peer 3")
    as_gdb_does = [m[:40] for m in re.findall(r"^\$\d+ = (.*)", plain, re.M)]
    same(len([x for x in as_gdb_does if len(x) == 40]), 3, "asked for, secrets are shown as GDB does [gdb-secrets]")
    ok(secrets["psk"] in plain and secrets["psk3"] in plain, "and in base64 [gdb-secrets]", plain)
    forms = as_gdb_does + [f for k in keys for f in (base64.b64encode(k).decode(), k.hex(), ", ".join("0x%x" % c for c in k[:6]))]
    same([f for f in forms if f in text], [], "but not unless asked for, whatever is printed [gdb-secrets]")
    ok(text.count("hidden: set wg-secrets on") > 10, "where it says that they are hidden [gdb-secrets]", text)
    # And where the handshake has them in its hands.
    p = subprocess.Popen(command(b.pid, "break noise_response_create", "continue", "info args", "bt full", "up", "info locals",
                                 "print *p", "detach"),
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True)

    def again():
        run("ip -n a link set wga down")
        run("ip -n a link set wga up")
        run("ping -n -q -c 1 -W 1 192.168.241.2", "a", check=False)
        return p.poll() is not None
    ok(wait_for(again, 2 * lab.PATIENCE), "GDB stops in wg/noise.c, and goes [gdb-break]")
    text = p.communicate()[0]
    ok("noise_response_create (" in text and re.search(r"#1 .*respond", text), "and shows how it came there [gdb-break]", text)
    same([f for f in forms if f in text], [], "without a secret [gdb-secrets]")


def interrupt(a):
    """Ctrl-C in GDB, or the pause of an editor: a SIGINT to the process, which is not meant to end it."""
    with open("/run/lab/interrupt", "w+", encoding="utf-8") as f:
        p = subprocess.Popen(command(a.pid, "continue", "wg-timers", "detach"), stdout=f, stderr=f, stdin=subprocess.DEVNULL)

        def said():
            f.seek(0)
            return f.read()
        wait_for(lambda: "Continuing." in said() or p.poll() is not None)
        os.kill(a.pid, signal.SIGINT)
        status = p.wait(lab.PATIENCE)
        ok(status == 0 and "received signal SIGINT" in said() and "due in" in said(), "an interrupt stops the daemon in GDB [gdb-interrupt]", said())
    ok(a.alive(), "and does not end it [gdb-interrupt]")


def loading(a):
    ok("declined" in run(command(a.pid, "wg-peers", safe=None), check=False).stdout,
       "GDB asks first whether what lies beside a program may be run [gdb-load]")
    script = os.path.join(lab.TOP, "dist", "gdb", "ginnel-gdb.py")
    text = gdb(a, "source " + script, "source " + script, "wg-timers", safe=None)
    ok(text.count("due in") == 1 and "rror" not in text, "it can be loaded by hand, and again [gdb-load]", text)
    os.makedirs("/run/lab/installed")
    os.makedirs("/run/lab/auto/run/lab/installed")
    shutil.copy(WG, "/run/lab/installed/ginnel-wg")
    shutil.copy(script, "/run/lab/auto/run/lab/installed/ginnel-wg-gdb.py")
    text = run(["gdb", "-nx", "-batch", "-iex", "add-auto-load-scripts-directory /run/lab/auto", "-iex",
                "add-auto-load-safe-path /run/lab/auto", "-p", str(a.pid), "/run/lab/installed/ginnel-wg", "-ex", "wg-timers"], check=False).stdout
    ok("due in" in text, "installed where GDB looks, it is loaded with the program [gdb-load]", text)


def mistakes(a):
    for words, want in (("wg-peer", "Usage: wg-peer NUMBER|KEY"), ("wg-peer 4444444", "No peer has the number or key 4444444: see wg-peers."),
                        ("wg-peer ''", "More than one peer has the number or key : see wg-peers."),
                        ("wg-peers 1", "Usage: wg-peers"), ("wg-keypairs 1 2", "Usage: wg-keypairs [NUMBER|KEY]")):
        same(gdb(a, words).splitlines()[:1], [want], "%s: it says what is wrong [gdb-mistakes]" % words)
    text = run(["gdb", "-nx", "-batch", "-iex", "add-auto-load-safe-path " + BIN, WG, "-ex", "wg-peers"], check=False).stdout
    ok("There is no process: gdb -p PID" in text, "without a process it says so [gdb-mistakes]", text)
    # As it is installed from a package, without the symbols beside it.
    os.makedirs("/run/lab/bin")
    run(["strip", "-o", "/run/lab/bin/ginnel-wg", WG])
    shutil.copy(os.path.join(lab.TOP, "dist", "gdb", "ginnel-gdb.py"), "/run/lab/bin/ginnel-wg-gdb.py")
    stripped = Daemon("a", "wgs", program="/run/lab/bin/ginnel-wg")
    text = gdb(stripped, "wg-peers", "info probes stap ginnel", program="/run/lab/bin/ginnel-wg", safe="/run/lab/bin")
    ok("ginnel-wg-dbgsym" in text, "without symbols it says where they are [gdb-mistakes]", text)
    ok(len(re.findall(r"^stap +ginnel +\w+ ", text, re.M)) >= 10, "and the probes are there all the same [probe-gdb]", text)
    stripped.stop()


def test():
    a, b, secrets = two_hosts()
    as_wg_says(a)
    trees(a)
    timers(a)
    no_secrets(a, b, secrets, sessions(a, b))
    interrupt(a)
    loading(a)
    mistakes(a)
    run("ping -n -q -c 3 -i 0.1 -W 10 192.168.241.2", "a")
    ok(True, "the tunnel works as before [gdb-break]")
    os.kill(a.pid, signal.SIGINT)
    same((a.gone(), [line for line in a.log_lines() if "signal:" in line][-1:]), (0, ["ginnel-wg(wga): signal: Interrupt"]),
         "without GDB an interrupt ends the daemon [gdb-interrupt] [proc-sigterm]")


lab.main(840, test)
