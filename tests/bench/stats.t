#!/usr/bin/python3
"""What bench/run makes of its measurements: statistics, the search for a rate, verdicts and the chart.  No timing."""
import os
import random
import sys
import xml.etree.ElementTree as ElementTree

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(TOP, "bench"))
import chart  # noqa: E402
import report  # noqa: E402
import stats  # noqa: E402
from measure import CEILING, GROUPS, METRICS, OURS, PEER  # noqa: E402

count = failed = 0


def ok(good, name, *why):
    global count, failed
    count += 1
    failed += not good
    print("%sok %d - %s" % ("" if good else "not ", count, name), flush=True)
    for w in () if good else why:
        print("#   %r" % (w,))


def same(got, want, name):
    ok(got == want, name, got, want)


# --- median and spread, against values worked out by hand
same(stats.median([5, 1, 3]), 3, "the median of three is the middle one [bench-statistics]")
same(stats.median([4, 1, 3, 2]), 2.5, "the median of four lies between the middle two [bench-statistics]")
same(stats.iqr([1, 2, 3, 4, 5]), 2, "the quartiles of 1 to 5 are 2 and 4 [bench-statistics]")
same(stats.iqr([7, 7, 7]), 0, "equal values have no spread [bench-statistics]")
same(stats.iqr([7]), 0, "nor has a single one [bench-statistics]")
same(stats.iqr([1, 2, 3, 4, 1000]), 2, "one stray value does not move the quartiles [bench-statistics]")
same(stats.spread([90, 95, 100, 105, 110]), 0.1, "the spread is a part of the median [bench-statistics]")
same(stats.spread([0, 0, 0]), 0, "zeroes have none [bench-statistics]")

# --- steal: user nice system idle iowait irq softirq steal guest guest_nice
before = stats.CpuTimes("cpu  100 10 50 800 20 5 15 30 40 2")
after = stats.CpuTimes("cpu  160 10 70 1000 20 5 15 50 80 2")
same(after.total - before.total, 300, "time of guests is not counted twice [bench-statistics]")
same(round(after.steal_since(before), 9), round(20 / 300, 9), "steal is its part of all time since then [bench-statistics]")
same(round(after.busy_since(before), 9), round(100 / 300, 9), "what was not idle was used [bench-statistics]")
same(before.steal_since(before), 0, "of no time, none was stolen [bench-statistics]")
now = stats.CpuTimes.now()
ok(now.total > 0 and 0 <= now.steal <= now.total and 0 < now.idle <= now.total, "this machine's times are read [bench-statistics]",
   vars(now))

# --- when a ratio may be drawn
steady = [100, 101, 102, 103, 104]
same(stats.doubt(steady, [0, 0.01]), None, "steady figures of the peer are good for a ratio [bench-no-ratio]")
ok("spread" in stats.doubt([50, 75, 100, 125, 150], [0]), "those that scatter by more than 15 % are not [bench-no-ratio]")
same(stats.doubt([92.5, 92.5, 100, 107.5, 107.5], [0]), None, "15 % is not more than 15 % [bench-no-ratio]")
ok("steal" in stats.doubt(steady, [0.03, 0.02]), "nor when more than 2 % was stolen [bench-no-ratio]")
same(stats.doubt(steady, [0.03, 0.01]), None, "2 % is not more than 2 % [bench-no-ratio]")
ok(stats.doubt(steady[:2], [0]), "nor from two runs [bench-no-ratio]")
ok(stats.doubt([], [0]), "nor from none [bench-no-ratio]")


# --- the search for the highest rate
class Tunnel:
    """Loses what goes beyond its capacity, and now and then something for no reason."""

    def __init__(self, capacity, stray=(), generator=float("inf")):
        self.capacity, self.stray, self.generator, self.rates = capacity, set(stray), generator, []

    def __call__(self, rate):
        self.rates.append(rate)
        sent = min(rate, self.generator)
        loss = max(0.0, 1 - self.capacity / sent)
        return sent, 0.5 if len(self.rates) in self.stray else loss


for capacity in (500, 20000, 123456, 3000000):
    got = stats.highest(Tunnel(capacity), 20000, 0.05)
    ok(capacity / 1.06 <= got <= capacity * 1.001, "a capacity of %d is found to 5 %% [bench-bisection]" % capacity, got)
source = random.Random(1)
for _ in range(200):
    capacity = 10 ** source.uniform(3, 7)
    got = stats.highest(Tunnel(capacity), 20000, 0.1)
    if not capacity / 1.11 <= got <= capacity * 1.001:
        ok(False, "any capacity is found to 10 % [bench-bisection]", capacity, got)
        break
else:
    ok(True, "any capacity is found to 10 % [bench-bisection]")
got = stats.highest(Tunnel(100000, stray=(1, 3, 6)), 20000, 0.05)
ok(got > 94000, "one interrupted trial is not taken for the capacity [bench-bisection]", got)


class Held(Tunnel):
    def __call__(self, rate):
        sent, loss = super().__call__(rate)
        return (sent / 2 if len(self.rates) in self.stray else sent), max(0.0, 1 - self.capacity / sent)


got = stats.highest(Held(100000, stray=(1, 2, 4)), 20000, 0.05)
ok(got > 94000, "nor is a generator that was held up now and then [bench-bisection]", got)
t = Tunnel(1e9, generator=50000)
same(stats.highest(t, 20000, 0.05), 50000, "a generator that is the limit is found to be it [bench-bisection]")
ok(max(t.rates) < 1e6, "without asking it for ever more [bench-bisection]", t.rates)
same(stats.highest(Tunnel(0.0), 20000, 0.05), 0, "a tunnel that lets nothing through has the rate 0 [bench-bisection]")
t = Tunnel(100000)
ok(stats.highest(t, 20000, 0.05) and len(t.rates) <= 25, "the search ends after few trials [bench-bisection]", t.rates)


# --- runs to verdicts
def runs(figure, ours, theirs, top=(), steal=0.0):
    return [{"round": i, "program": p, "group": METRICS[figure].group, "figure": figure, "value": v, "steal": steal}
            for p, values in ((OURS, ours), (PEER, theirs), (CEILING, top)) for i, v in enumerate(values)]


many = runs("tcp_1_ab", [6, 6, 6], [2, 2, 2], [8, 8, 8]) + runs("peak_mb", [10, 10, 10], [100, 100, 100]) + \
    runs("tcp_4_ab", [6, 6, 6], [1, 2, 3]) + runs("hs_fraction", [0.7, 0.7, 0.7], [0.5, 0.5, 0.5])
s = report.summarise(many)
same(s["tcp_1_ab"]["ratio"], 3, "the ratio is that of the medians [bench-verdict]")
same([(x["what"], x["met"]) for x in s["tcp_1_ab"]["targets"]], [("ratio", True), ("of ceiling", False)],
     "a target is met from its bound on, missed below [bench-verdict]")
same([x["met"] for x in s["peak_mb"]["targets"]], [False], "where less is better, above it [bench-verdict]")
ok("ratio" not in s["tcp_4_ab"] and "spread" in s["tcp_4_ab"]["no_ratio"], "no ratio where the peer scatters [bench-no-ratio]")
same([x["met"] for x in s["tcp_4_ab"]["targets"]], [None], "and then no verdict [bench-verdict]")
same([x["met"] for x in s["hs_fraction"]["targets"]], [False], "a bound of our own figure needs no peer [bench-verdict]")
s2 = report.summarise(runs("tcp_1_ab", [6, 6, 6], [2, 2, 2], [4, 8, 12]) + runs("hs_fraction", [0.5, 0.9, 1.5], []))
same([x["met"] for x in s2["tcp_1_ab"]["targets"]], [True, None], "nor a part of a ceiling that scatters [bench-no-ratio]")
same([x["met"] for x in s2["hs_fraction"]["targets"]], [None], "nor a verdict on a figure of ours that does [bench-no-ratio]")
ok("ratio" not in report.summarise(runs("tcp_1_ab", [6] * 5, [2] * 5, steal=0.05))["tcp_1_ab"],
   "no ratio while the machine is robbed [bench-no-ratio]")
ok(all(m.group in GROUPS for m in METRICS.values()), "every figure belongs to a group [bench-verdict]")
text = report.csv_text(many)
same((len(text.splitlines()), text.splitlines()[0]), (len(many) + 1, "round,program,group,figure,value,steal"),
     "the CSV has every run [bench-verdict]")

# --- the chart
info = {"cpu": "A <processor> & more", "cpus": 2, "kernel": "6.1", "load_average": 0.1, "others": 0.01, "problems": [],
        "time": "2026-01-01T00:00:00Z", "versions": {OURS: "o", PEER: "p <1>"}}
for name, summary in (("full", s), ("empty", {}), ("one that is worse", report.summarise(
        runs("exec_socket_ms", [9, 9, 9], [3, 3, 3])))):
    try:
        root = ElementTree.fromstring(chart.svg(info, summary))
        good = root.tag == "{http://www.w3.org/2000/svg}svg"
        bars = len(root.findall("{http://www.w3.org/2000/svg}rect"))
    except ElementTree.ParseError as e:
        good, bars = False, str(e)
    ok(good, "the chart is valid XML: %s [bench-chart]" % name, bars)
    same(bars, len(chart.rows_of(summary)), "and has a bar for each ratio: %s [bench-chart]" % name)
print("1..%d" % count)
sys.exit(failed > 0)
