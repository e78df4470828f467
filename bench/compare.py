#!/usr/bin/python3
"""
Throughput, processor time and memory of two programs by turns; see bench/run, which calls this.

      host a                                       host b
      wg1 192.168.241.1 ........ tunnel ......... wg2 192.168.241.2
      eth 10.0.0.1 ------------- veth ----------- eth 10.0.0.2
"""
import argparse
import csv
import json
import os
import platform
import statistics
import subprocess
import sys
import time

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(TOP, "tests", "net"))
import lab  # noqa: E402

PROGRAMS = {
    "ginnel": os.environ.get("GINNEL_WG") or os.path.join(TOP, "build", "bin", "ginnel-wg"),
    "wireguard-go": lab.WIREGUARD_GO,
}
DIRECTIONS = {"a->b": [], "b->a": ["-R"]}
FIGURES = {  # name: (unit, key of a run)
    "throughput": ("Gbit/s", "gbit_per_s"),
    "CPU per GB": ("s", "cpu_s_per_gb"),
    "peak memory": ("MB", "peak_mb"),
}


def progress(text):
    if sys.stderr.isatty():
        sys.stderr.write("\r\033[K\033[2m%s…\033[0m" % text if text else "\r\033[K")
        sys.stderr.flush()
    elif text:
        sys.stderr.write(text + "\n")


def topology():
    for ns in "ab":
        lab.run("ip netns add " + ns)
        lab.run("ip -n %s link set lo up" % ns)
    lab.run("ip link add eth netns a type veth peer name eth netns b")
    for ns, n in (("a", 1), ("b", 2)):
        lab.run("ip -n %s addr add 10.0.0.%d/24 dev eth" % (ns, n))
        lab.run("ip -n %s link set eth up" % ns)


def key():
    private = subprocess.run(["wg", "genkey"], capture_output=True, text=True, check=True).stdout
    public = subprocess.run(["wg", "pubkey"], input=private, capture_output=True, text=True, check=True).stdout
    return private, public.strip()


def tunnel(program):
    """Start a daemon on both hosts, configured with wg(8), and wait for the first ping."""
    daemons = [lab.Daemon("a", "wg1", program, {"LOG_LEVEL": "error"}), lab.Daemon("b", "wg2", program, {"LOG_LEVEL": "error"})]
    keys = [key(), key()]
    for i, d in enumerate(daemons):
        with open("/run/lab/key", "w") as f:
            f.write(keys[i][0])
        lab.run(["wg", "set", d.name, "private-key", "/run/lab/key", "listen-port", "51820", "peer", keys[1 - i][1],
                 "allowed-ips", "192.168.241.%d/32" % (2 - i), "endpoint", "10.0.0.%d:51820" % (2 - i)])
        lab.run("ip -n %s addr add 192.168.241.%d/24 dev %s" % (d.ns, i + 1, d.name))
        lab.run("ip -n %s link set %s up" % (d.ns, d.name))
    lab.run("ping -n -q -c 3 -i 0.1 -W 5 192.168.241.2", "a")
    return daemons


def measure(program, seconds):
    """One round of one program: a run for each direction."""
    daemons, runs = tunnel(program), {}
    server = subprocess.Popen(["ip", "netns", "exec", "b", "iperf3", "-s", "-p", "5201"], stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL)
    lab.wait_for(lambda: "5201" in lab.run("ss -Hltn", "b"))
    try:
        for direction, flags in DIRECTIONS.items():
            before = sum(d.cpu() for d in daemons)
            out = json.loads(lab.run(["iperf3", "-c", "192.168.241.2", "-t", str(seconds), "-J"] + flags, "a"))
            cpu = sum(d.cpu() for d in daemons) - before
            got = out["end"]["sum_received"]
            runs[direction] = {
                "gbit_per_s": got["bits_per_second"] / 1e9,
                "bytes": got["bytes"],
                "cpu_s": cpu,
                "cpu_s_per_gb": cpu / (got["bytes"] / 1e9),
                "peak_mb": max(d.status("VmHWM") for d in daemons) / 1024,
                "retransmits": out["end"]["sum_sent"].get("retransmits"),
            }
    finally:
        server.terminate()
        server.wait()
        for d in daemons:
            d.stop()
    return runs


def machine():
    model = "unknown"
    with open("/proc/cpuinfo") as f:
        for line in f:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
    versions = {}
    for name, program in PROGRAMS.items():
        p = subprocess.run([program, "--version"], capture_output=True, text=True)
        versions[name] = (p.stdout.splitlines() or ["unknown"])[0]
        if os.path.exists(program + ".version"):  # the package's own, from bench/newest-wireguard-go
            with open(program + ".version") as f:
                versions[name] = "%s %s" % (name, f.read().strip())
    return {"cpu": model, "cpus": os.cpu_count(), "kernel": platform.release(), "versions": versions,
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}


def spread(values):
    """Half the distance between least and greatest, in percent of the median."""
    m = statistics.median(values)
    return 100 * (max(values) - min(values)) / 2 / m if m else 0


def report(info, runs, directory):
    print("%s, %d CPUs, Linux %s" % (info["cpu"], info["cpus"], info["kernel"]))
    print("%s / %s" % tuple(info["versions"][p] for p in PROGRAMS))
    rounds = 1 + max(r["round"] for r in runs)
    print("One TCP stream, medians of %d alternate rounds, ± half the spread\n" % rounds)
    print("%-13s %-6s %20s %20s %8s" % ("", "", *PROGRAMS, "ratio"))
    summary = {}
    for figure, (unit, k) in FIGURES.items():
        for direction in DIRECTIONS:
            values = {p: [r[k] for r in runs if r["program"] == p and r["direction"] == direction] for p in PROGRAMS}
            m = {p: statistics.median(v) for p, v in values.items()}
            ours, theirs = (m[p] for p in PROGRAMS)
            ratio = ours / theirs if theirs else float("nan")
            cells = ["%7.2f %-6s ±%2.0f %%" % (m[p], unit, spread(v)) for p, v in values.items()]
            print("%-13s %-6s %20s %20s %8s" % (figure, direction, *cells, "%.2f" % ratio))
            summary["%s, %s" % (figure, direction)] = {"unit": unit, "ratio": ratio, **{
                p: {"median": m[p], "spread_percent": spread(v)} for p, v in values.items()}}
    print("\nCPU: seconds of processor time of both daemons for each GB that arrived.  Memory: the greater of both.")
    with open(os.path.join(directory, "compare.json"), "w") as f:
        json.dump({"format": 1, **info, "summary": summary, "runs": runs}, f, indent=1)
        f.write("\n")
    with open(os.path.join(directory, "compare.csv"), "w", newline="") as f:
        c = csv.DictWriter(f, list(runs[0]))
        c.writeheader()
        c.writerows(runs)
    uid, gid = int(os.environ.get("SUDO_UID", 0)), int(os.environ.get("SUDO_GID", 0))
    for name in ("", "compare.json", "compare.csv"):
        os.chown(os.path.join(directory, name), uid, gid)
    print("Every run: %s/compare.csv, compare.json" % os.path.relpath(directory, TOP))


def main():
    p = argparse.ArgumentParser(prog="bench/run", description="compare Ginnel with wireguard-go")
    p.add_argument("--quick", action="store_true", help="three rounds of four seconds")
    p.add_argument("--rounds", type=int, help="default 7")
    p.add_argument("--seconds", type=int, help="of each direction in a round, default 10")
    a = p.parse_args()
    rounds = a.rounds or (3 if a.quick else 7)
    seconds = a.seconds or (4 if a.quick else 10)
    for name, program in PROGRAMS.items():
        if not os.access(program, os.X_OK):
            p.error("%s is not there: %s" % (name, program))
    lab.enter(60 + rounds * len(PROGRAMS) * (len(DIRECTIONS) * (seconds + 2) + 5))
    directory = os.path.join(TOP, "build", "bench")
    os.makedirs(directory, exist_ok=True)
    topology()
    runs = []
    for n in range(rounds):
        # Who goes first changes every round, so that a machine that slows down slows both.
        for name in list(PROGRAMS)[::-1 if n % 2 else 1]:
            progress("round %d of %d: %s" % (n + 1, rounds, name))
            for direction, figures in measure(PROGRAMS[name], seconds).items():
                runs.append({"round": n, "program": name, "direction": direction, **figures})
    progress("")
    report(machine(), runs, directory)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
    except lab.Timeout as e:
        sys.exit("bench/run: " + str(e))
