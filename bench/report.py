"""bench/report.py - runs to medians, spreads and ratios, and those to text and files.  Knows no network."""
import csv
import io
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import stats  # noqa: E402
from measure import CEILING, GROUPS, METRICS, OURS, PEER  # noqa: E402

OTHERS_MAX = 0.05  # of the machine, while nothing of ours runs


def columns(runs):
    """{(program, figure): values}, {figure: steal of each run of it}."""
    values, steals = {}, {}
    for r in runs:
        values.setdefault((r["program"], r["figure"]), []).append(r["value"])
        steals.setdefault(r["figure"], []).append(r["steal"])
    return values, steals


def summarise(runs):
    """{figure: medians, spreads, ratio or why there is none, verdicts on the targets}."""
    values, steals = columns(runs)
    out = {}
    for k, m in METRICS.items():
        if not values.get((OURS, k)):
            continue
        row = {"title": m.title, "unit": m.unit, "group": m.group, "more_is_better": m.more,
               "steal": sum(steals[k]) / len(steals[k]), "programs": {}}
        for p in (OURS, PEER, CEILING):
            v = values.get((p, k))
            if v:
                row["programs"][p] = {"median": stats.median(v), "spread": stats.spread(v), "n": len(v),
                                      "min": min(v), "max": max(v)}
        ours = row["programs"][OURS]["median"]
        if m.ratio and not m.only:
            why = stats.doubt(values.get((PEER, k), []), steals[k])
            peer = row["programs"].get(PEER, {}).get("median")
            if why or not peer:
                row["no_ratio"] = why or "the peer's is zero"
            else:
                row["ratio"] = ours / peer
        top = row["programs"].get(CEILING, {}).get("median")
        if top and (m.ceiling or m.more) and not stats.doubt(values[(CEILING, k)], steals[k]):
            row["of_ceiling"] = ours / top
        row["targets"] = targets(m, row, None if stats.doubt(values[(OURS, k)], steals[k]) else ours)
        out[k] = row
    return out


def met(more, value, bound):
    return value >= bound if more else value <= bound


def targets(m, row, ours):
    """[{what, bound, value or None, met or None}]; ours: None where it scatters too much for a verdict."""
    out = []
    for what, bound, value, more in (("ratio", m.target, row.get("ratio"), m.more),
                                     ("of ceiling", m.ceiling, row.get("of_ceiling"), True),
                                     ("own", m.own, ours, m.more)):
        if bound is not None:
            out.append({"what": what, "bound": bound, "at_least": more, "value": value,
                        "met": None if value is None else met(more, value, bound)})
    return out


def number(v):
    if v == 0:
        return "0"
    return "%.0f" % v if abs(v) >= 1000 else "%.1f" % v if abs(v) >= 100 else "%.2f" % v if abs(v) >= 1 else "%.3f" % v


def cell(c):
    return "%8s ±%2.0f %%" % (number(c["median"]), 100 * c["spread"] / 2) if c else ""


def verdict(t):
    sign = "≥" if t["at_least"] else "≤"
    name = {"ratio": "", "of ceiling": "of ceiling ", "own": ""}[t["what"]]
    state = "open" if t["met"] is None else "met" if t["met"] else "MISSED"
    shown = "" if t["value"] is None or t["what"] == "ratio" else "%s " % number(t["value"])
    return "%s%s%s %s %s" % (name, shown, sign, number(t["bound"]), state)


def show(info, summary, out):
    p = lambda *a: print(*a, file=out)  # noqa: E731
    p("%s, %d CPUs, Linux %s, load average %.2f before" % (info["cpu"], info["cpus"], info["kernel"], info["load_average"]))
    p(" / ".join(info["versions"].values()) + " / TCP's congestion control: " + info["congestion_control"])
    if info["others"] > OTHERS_MAX:
        p("THE MACHINE WAS BUSY: others used %.0f %% of it between the measurements.  Preliminary at best." % (100 * info["others"]))
    p("Medians of alternate rounds, ± half the interquartile range; %d s in all" % info.get("seconds", 0))
    for group in GROUPS:
        rows = {k: r for k, r in summary.items() if r["group"] == group}
        if not rows:
            continue
        n = sorted({c["n"] for r in rows.values() for c in r["programs"].values()})
        steal = max(r["steal"] for r in rows.values())
        p("\n%-43s %16s %16s %7s %16s  %s" % ("%s, %s rounds, steal %.1f %%" % (group, "-".join(str(x) for x in n[:1] + n[1:][-1:]),
                                                                               100 * steal),
                                              OURS, PEER, "ratio", CEILING, "target"))
        for r in rows.values():
            c = r["programs"]
            ratio = "%.2f" % r["ratio"] if "ratio" in r else "-"
            notes = [verdict(t) for t in r["targets"]]
            if "no_ratio" in r:
                notes.append("no ratio: " + r["no_ratio"])
            if "of_ceiling" in r and not any(t["what"] == "of ceiling" for t in r["targets"]):
                notes.append("%.2f of ceiling" % r["of_ceiling"])
            p("%-43s %16s %16s %7s %16s  %s" % ("  %s%s" % (r["title"], ", " + r["unit"] if r["unit"] else ""),
                                                cell(c.get(OURS)), cell(c.get(PEER)), ratio, cell(c.get(CEILING)),
                                                "; ".join(notes)))
    for text in info["problems"]:
        p("\nFAILED: " + text)
    p("\nProcessor time and memory: of all processes of a daemon; of both daemons of a pair, memory of the greater.")
    p("No ratio where the peer's interquartile range exceeds %.0f %% of its median, or steal %.0f %%; so for the ceiling."
      % (100 * stats.SPREAD_MAX, 100 * stats.STEAL_MAX))


def csv_text(runs):
    f = io.StringIO()
    w = csv.DictWriter(f, ["round", "program", "group", "figure", "value", "steal"], lineterminator="\n")
    w.writeheader()
    w.writerows(runs)
    return f.getvalue()
