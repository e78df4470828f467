#!/usr/bin/python3
"""ginnel check and ginnel plan as a person runs them: what goes where, exit statuses, and that nothing is written."""
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


def ginnel(where, *words, path=None):
    env = dict(os.environ, **({"PATH": path} if path is not None else {}))
    done = subprocess.run([BIN + "/ginnel", *words], cwd=where, env=env, text=True, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    return done.returncode, done.stdout, done.stderr


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
print("1..%d" % n)
sys.exit(failed > 0)
