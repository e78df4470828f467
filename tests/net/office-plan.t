#!/usr/bin/python3
"""
The administrator's desk as a person uses it: what goes where, exit statuses, and what is written: nothing by check and plan, the lock
by accept and export.
"""
import base64
import json
import os
import subprocess
import sys
import tempfile
import xml.dom.minidom

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lab  # noqa: E402

BIN = os.path.dirname(os.path.abspath(lab.WG))
NAMES = """z hub    z.example.com
a node   192.168.201.0/24
c node   192.168.200.0/24
b host   a .55
d host   c .244
e person 10.70.0.4
f person
"""
n, failed = 0, 0


def ok(good, name, said=""):
    global n, failed
    n += 1
    failed += not good
    print("%sok %d - %s" % ("" if good else "not ", n, name))
    if not good:
        print("# %s" % repr(said))


def ginnel(where, *words, path=None, said=None, before=()):
    env = dict(os.environ, **({"PATH": path} if path is not None else {}))
    done = subprocess.run([*before, BIN + "/ginnel", *words], cwd=where, env=env, text=True, input=said or "",
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    return done.returncode, done.stdout, done.stderr


def key():
    return base64.b64encode(os.urandom(32)).decode()


def read(path):
    with open(path, encoding="ascii") as f:
        return f.read()


def write(path, text, to="w"):
    with open(path, to, encoding="ascii") as f:
        f.write(text)


def accepting(where):
    keys = {"p%d" % i: key() for i in range(40)}
    write(where + "/many.net", "z hub z.example.com\n" + "".join("%s person\n" % m for m in keys))
    every = [subprocess.Popen([BIN + "/ginnel", "accept", "--file", "many.net", m, "key", k], cwd=where, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL) for m, k in keys.items()]
    ok(not any([p.wait() for p in every]), "forty accept at the same time")
    lock = read(where + "/many.lock")
    missing = [m for m, k in keys.items() if "\n%s person" % m not in lock or " key %s" % k not in lock]
    ok(not missing, "and no key is lost [office-writers]", missing)

    mine, other = key(), key()
    status, out, err = ginnel(where, "accept", "e", said="e key %s\nz key %s\n" % (mine, other))
    ok((status, out) == (1, "") and "standard input:2: speaks of z, and only e" in err and not os.path.exists(where + "/office.lock"),
       "a member's lines about another are refused, and all of them [office-accept-from]", (out, err))
    status, out, err = ginnel(where, "accept", "e", "key", "%s\nz key %s" % (mine, other))
    ok(status == 1 and "operands:2: speaks of z" in err, "in what is pasted as a key, too [office-accept-from]", err)
    status, out, err = ginnel(where, "accept", "e", said="e key %s\n" % mine)
    ok((status, out) == (0, "e: has its key\n") and mine in read(where + "/office.lock"), "its own are taken [office-accept-from]", err)


def exporting(where):
    def asked():
        return [line for line in ginnel(where, "plan")[1].splitlines() if line.startswith("To be")]

    ginnel(where, "accept", said="z key %s\na key %s\n" % (key(), key()))
    ok(asked() == ["To be exported: z, a, e"], "who has a key and was given nothing is to be exported to [plan-export]", asked())
    for m in "ze":
        ginnel(where, "export", m)
    ginnel(where, "export", "a", "nft")
    ok(asked() == ["To be exported: a"], "until that is done, in a form that is enough [plan-export]", asked())
    write(where + "/office.net", "g person\n", "a")
    status, out, _ = ginnel(where, "plan")
    ok(out.count(": changes, to be exported again") == 1 and asked() == ["To be exported: z, a"], "a change asks for another [plan-export]", out)
    ok(ginnel(where, "export", "z")[0] == 0 and ": no change, not exported yet" in ginnel(where, "plan")[1] and asked() == ["To be exported: a"],
       "and one is enough [plan-export]", asked())
    with open("/dev/full", "wb") as full:
        status = subprocess.run([BIN + "/ginnel", "export", "a"], cwd=where, stdout=full, stderr=subprocess.DEVNULL, check=False).returncode
    ok(status == 1 and asked() == ["To be exported: a"], "what has not left was not exported [plan-export]", asked())

    lock = read(where + "/office.lock")
    read_only = ["unshare", "--mount", "sh", "-ec", 'mount --bind . .; mount -o remount,bind,ro .; cd "$PWD"; exec "$@"', "sh"]
    status, out, err = ginnel(where, "export", "a", before=read_only)
    ok(status == 0 and out and "office.lock: Read-only" in err and "does not know that a was" in err and read(where + "/office.lock") == lock,
       "an export that changes nothing needs no lock that can be written [plan-export]", (status, err))
    write(where + "/office.net", "h person\n", "a")
    status, out, err = ginnel(where, "export", "a", before=read_only)
    ok((status, out) == (1, "") and read(where + "/office.lock") == lock, "but one that has to pin something does", (out, err))


def lock_file(where):
    os.mkdir(where + "/kept")
    write(where + "/linked.net", NAMES)
    os.chmod(where + "/linked.net", 0o640)
    ginnel(where, "accept", "--file", "linked.net", "e", "key", key())
    ok(os.stat(where + "/linked.lock").st_mode & 0o777 == 0o640, "a new lock is for whom the file is [office-lock-file]")
    os.chmod(where + "/linked.lock", 0o600)
    os.rename(where + "/linked.lock", where + "/kept/linked.lock")
    os.symlink("kept/linked.lock", where + "/linked.lock")
    k = key()
    status, out, err = ginnel(where, "accept", "--file", "linked.net", "a", "key", k)
    ok(status == 0 and os.path.islink(where + "/linked.lock") and k in read(where + "/kept/linked.lock") and
       os.stat(where + "/kept/linked.lock").st_mode & 0o777 == 0o600, "a link to it stays one, and its mode as it is [office-lock-file]", err)


with tempfile.TemporaryDirectory() as where:
    with open(where + "/office.net", "w", encoding="ascii") as f:
        f.write(NAMES)
    status, out, err = ginnel(where, "check")
    ok(status == 0 and not out and "office.net:2:1: warning: a has no key yet" in err,
       "check passes the network of the README, and warns on standard error [check-warns]", (status, out, err))
    status, out, err = ginnel(where, "plan")
    ok(status == 0 and not err and out.endswith("Plan: 40 add, 0 change, 0 remove on 5 machines\n"),
       "plan says what everybody gets [plan-words]", (status, out, err))
    status, out, err = ginnel(where, "plan", "--json", "e")
    members = json.loads(out)["members"]
    ok(status == 0 and [m["name"] for m in members] == ["e"] and members[0]["peers"][0]["allowed_ips"] ==
       ["10.70.0.0/16", "192.168.200.0/24", "192.168.201.0/24"], "plan --json is JSON [plan-json]", (out, err))
    status, out, err = ginnel(where, "plan", "--svg", path="/nowhere")
    ok(status == 1 and not out and "install the package graphviz" in err, "plan --svg says what is missing [plan-json]", err)
    os.mkdir(where + "/bin")
    with open(where + "/bin/dot", "w", encoding="ascii") as f:
        f.write("#!/bin/sh\n[ \"$*\" = -Tsvg ] && echo \"<svg><!-- $(grep -c -e --) --></svg>\"\n")
    os.chmod(where + "/bin/dot", 0o755)
    status, out, err = ginnel(where, "plan", "--svg", path=where + "/bin:" + os.environ["PATH"])
    ok(status == 0 and xml.dom.minidom.parseString(out) and "6" in out, "plan --svg hands the drawing to dot [plan-json]", (out, err))
    ok(sorted(os.listdir(where)) == ["bin", "office.net"], "neither writes anything", os.listdir(where))
    status, out, err = ginnel(where, "plan", "b")
    ok(status == 1 and "b: is a host" in err, "a host has no plan", err)
    status, out, err = ginnel(where, "plan", "--json", "--dot")
    ok(status == 2 and not out, "of the forms only one", err)
    with open(where + "/other.net", "w", encoding="ascii") as f:
        f.write(NAMES + "g node 192.168.201.128/25\nh hots a .3\n")
    status, out, err = ginnel(where, "check", "--file", "other.net")
    ok(status == 1 and err == 'other.net:9:3: kind: "hots" is neither hub, node, host nor person: did you mean host?\n',
       "what is wrong is told with its place [office-errors]", err)
    status, out, err = ginnel(where, "check", "--file", "none.net")
    ok(status == 1 and err == "ginnel-office: cannot read none.net: No such file or directory\n", "a file that is not there", err)
    accepting(where)
    exporting(where)
    lock_file(where)
print("1..%d" % n)
sys.exit(failed > 0)
