#!/usr/bin/python3
"""Measure Ginnel and another by turns; see bench/run, which calls this."""
import argparse
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import chart  # noqa: E402
import measure  # noqa: E402
import report  # noqa: E402
import stats  # noqa: E402
import topology  # noqa: E402
from topology import lab  # noqa: E402
from measure import CEILING, GROUPS, METRICS, OURS, PEER  # noqa: E402

TOP = topology.TOP
ROUNDS_MAX = 12
OTHERS_SECONDS = 0.3
QUICK_MINUTES = 2.75

PROGRAMS = {
    OURS: topology.Program(OURS, os.environ.get("GINNEL_WG") or os.path.join(TOP, "build", "bin", "ginnel-wg")),
    PEER: topology.Program(PEER, lab.WIREGUARD_GO),
    CEILING: topology.Program(CEILING, os.path.join(TOP, ".build", "null", "bin", "ginnel-wg-without-cipher"),
                              {"GINNEL_NULL_CIPHER_BENCHMARK": "1"}),
}


def progress(text):
    if sys.stderr.isatty():
        width = shutil.get_terminal_size().columns - 2
        sys.stderr.write("\r\033[K\033[2m%s…\033[0m" % text[:width] if text else "\r\033[K")
        sys.stderr.flush()
    elif text:
        sys.stderr.write(text + "\n")


def machine():
    model = "unknown processor"
    with open("/proc/cpuinfo") as f:
        for line in f:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
    with open("/proc/sys/net/ipv4/tcp_congestion_control") as f:
        congestion_control = f.read().strip()
    return {"congestion_control": congestion_control, "cpu": model, "cpus": os.cpu_count(), "kernel": platform.release(),
            "load_average": os.getloadavg()[0],
            "versions": {p.name: p.version() for p in PROGRAMS.values() if p.name != CEILING},
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}


def one(program, group, times):
    """One group once: its figures, and the part of the processor time that was stolen meanwhile."""
    before = stats.CpuTimes.now()
    figures = GROUPS[group].run(program, times)
    return figures, stats.CpuTimes.now().steal_since(before)


def doubtful(runs, group):
    """The figures of a group from which no ratio may be drawn yet."""
    values, steals = report.columns(runs)
    return [k for k, m in METRICS.items() if m.group == group and m.ratio and not m.only and values.get((OURS, k)) and
            stats.doubt(values.get((PEER, k), []), steals[k])]


def others():
    """The part of the machine that is used while nothing of ours runs."""
    before = stats.CpuTimes.now()
    time.sleep(OTHERS_SECONDS)
    return stats.CpuTimes.now().busy_since(before)


def collect(groups, times, rounds, quick, until):
    """
    All runs, as rows, what others used before each round, and what went wrong.  Who goes first changes every round, so
    that a machine that slows down slows all.
    """
    runs, used, problems, n, due = [], [], [], 0, list(groups)
    started = time.monotonic()
    try:
        while due and n < ROUNDS_MAX:
            used.append(others())
            for group in due:
                ceiling = GROUPS[group].quick_ceiling if quick else GROUPS[group].ceiling
                wanted = {OURS: True, PEER: GROUPS[group].others, CEILING: ceiling}
                names = [p for p in PROGRAMS if wanted[p]]
                for name in names[n % len(names):] + names[:n % len(names)]:
                    of = rounds if n < rounds else "up to %d" % ROUNDS_MAX
                    progress("round %d of %s: %s, %s" % (n + 1, of, group, name))
                    try:
                        figures, steal = one(PROGRAMS[name], group, times)
                    except (RuntimeError, OSError, ValueError, subprocess.SubprocessError) as e:
                        problems.append("round %d, %s, %s: %s" % (n + 1, group, name, str(e).strip()))
                        continue
                    runs += [{"round": n, "program": name, "group": group, "figure": k, "value": v, "steal": steal}
                             for k, v in figures.items()]
            n += 1
            if n >= stats.RUNS_MIN and until and time.monotonic() + (time.monotonic() - started) / n > until:
                break  # another one would take too long
            if n >= rounds:
                due = [g for g in due if doubtful(runs, g)] if n >= stats.RUNS_MIN else []
    except KeyboardInterrupt:
        progress("")
        print("Interrupted after %d rounds; what there is:\n" % n)
        problems.append("interrupted")
        if not runs:
            sys.exit(130)
    progress("")
    return runs, stats.median(used), problems


def main():
    p = argparse.ArgumentParser(prog="bench/run", description="Measure Ginnel and wireguard-go by turns.",
                                epilog="groups: " + "; ".join("%s: %s" % (k, g.about) for k, g in GROUPS.items()))
    p.add_argument("--quick", action="store_true", help="the most important figures in under three minutes")
    p.add_argument("--only", metavar="GROUP,...", help="these groups only")
    p.add_argument("--rounds", type=int, metavar="N",
                   help="at least so many, 1 to %d; 5 if not given; one or two only try whether it runs" % ROUNDS_MAX)
    p.add_argument("--minutes", type=float, metavar="M", help="begin no round that would end later, from the fourth on")
    p.add_argument("--publish", action="store_true", help="copy the chart to docs/bench.svg, which the README shows")
    a = p.parse_args()
    started = time.monotonic()
    groups = a.only.split(",") if a.only else [k for k, g in GROUPS.items() if g.quick or not a.quick]
    for g in groups:
        if g not in GROUPS:
            p.error("there is no group '%s'; there are: %s" % (g, ", ".join(GROUPS)))
    if a.rounds is not None and not 1 <= a.rounds <= ROUNDS_MAX:
        p.error("--rounds: 1 to %d" % ROUNDS_MAX)
    rounds = a.rounds or 5
    for program in PROGRAMS.values():
        if not os.access(program.path, os.X_OK):
            p.error("%s is not there: %s" % (program.name, program.path))
    lab.enter(4 * 3600)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # the shell's child in a pipe may have it ignored
    directory = os.path.join(TOP, "build", "bench")
    os.makedirs(directory, exist_ok=True)
    info = machine()
    topology.build()
    times = measure.QUICK if a.quick else measure.Times()
    minutes = a.minutes or (QUICK_MINUTES if a.quick else None)
    until = started + minutes * 60 if minutes else None
    runs, info["others"], info["problems"] = collect(groups, times, rounds, a.quick, until)
    info["seconds"] = round(time.monotonic() - started)
    summary = report.summarise(runs)
    report.show(info, summary, sys.stdout)
    files = {"bench.json": json.dumps({"format": 2, **info, "summary": summary, "runs": runs}, indent=1) + "\n",
             "bench.csv": report.csv_text(runs), "chart.svg": chart.svg(info, summary)}
    owner = int(os.environ.get("SUDO_UID", 0)), int(os.environ.get("SUDO_GID", 0))
    written = [os.path.join(directory, name) for name in files]
    for path, text in zip(written, files.values()):
        with open(path, "w") as f:
            f.write(text)
    if a.publish:
        written.append(os.path.join(TOP, "docs", "bench.svg"))
        shutil.copyfile(os.path.join(directory, "chart.svg"), written[-1])
    for path in [directory] + written:
        os.chown(path, *owner)
    print("\nEvery run: %s" % ", ".join(os.path.relpath(w, TOP) for w in written))
    return 1 if info["problems"] else 0


if __name__ == "__main__":
    try:
        code = main()
    except KeyboardInterrupt:
        code = 130
    except (RuntimeError, lab.Timeout) as e:
        progress("")
        sys.stderr.write("bench/run: %s\n" % e)
        code = 1
    sys.exit(code)
