"""
bench/chart.py - the summary as one SVG: how many times as good as the peer, on a logarithmic scale.  Written by hand, in
colours that are read on white and on black alike.
"""
import math
import os
import sys
from xml.sax.saxutils import escape

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from measure import METRICS, OURS, PEER  # noqa: E402
from report import number  # noqa: E402

WIDTH, ROW, LEFT, RIGHT, TOP, BOTTOM = 860, 26, 292, 190, 62, 46
TEXT, FAINT, BAR, WORSE = "#76808b", "#76808b55", "#2f9e6e", "#d9822b"


def rows_of(summary):
    """(title, times as good, ours, peer, unit), the best first."""
    rows = []
    for k, r in summary.items():
        if METRICS[k].chart and r.get("ratio"):
            times = r["ratio"] if r["more_is_better"] else 1 / r["ratio"]
            rows.append((r["title"], times, r["programs"][OURS]["median"], r["programs"][PEER]["median"], r["unit"]))
    return sorted(rows, key=lambda r: -r[1])


def ticks(low, high):
    return [v for v in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000) if low <= v <= high]


def svg(info, summary):
    rows = rows_of(summary)
    low = min([0.8] + [r[1] * 0.9 for r in rows])
    high = max([5.0] + [r[1] * 1.1 for r in rows])
    height = TOP + ROW * max(len(rows), 1) + BOTTOM

    def x(v):
        return LEFT + (WIDTH - LEFT - RIGHT) * math.log(v / low) / math.log(high / low)

    def text(at_x, at_y, what, anchor="start", size=12, weight="normal"):
        return '<text x="%.1f" y="%.1f" text-anchor="%s" font-size="%d" font-weight="%s" fill="%s">%s</text>' % (
            at_x, at_y, anchor, size, weight, TEXT, escape(what))
    out = ['<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" '
           'font-family="system-ui, sans-serif">' % (WIDTH, height, WIDTH, height),
           "<title>%s</title>" % escape("%s beside %s" % (OURS, PEER)),
           text(12, 22, "Ginnel beside %s, times as good" % info["versions"].get(PEER, PEER), size=15, weight="bold"),
           text(12, 42, "%s, %d CPUs, Linux %s, others used %.0f %% of it, %s" % (
               info["cpu"], info["cpus"], info["kernel"], 100 * info["others"], info["time"][:10]), size=11)]
    bottom = TOP + ROW * max(len(rows), 1)
    for v in ticks(low, high):
        out.append('<line x1="%.1f" y1="%d" x2="%.1f" y2="%d" stroke="%s" stroke-width="%d"/>' % (
            x(v), TOP - 4, x(v), bottom, TEXT if v == 1 else FAINT, 1))
        out.append(text(x(v), bottom + 16, "%g×" % v, "middle", 11))
    for i, (title, times, ours, peer, unit) in enumerate(rows):
        y = TOP + ROW * i
        a, b = sorted((x(1), x(times)))
        out.append(text(LEFT - 10, y + 16, title, "end"))
        out.append('<rect x="%.1f" y="%d" width="%.1f" height="%d" rx="2" fill="%s"/>' % (
            a, y + 4, max(b - a, 1), ROW - 9, BAR if times >= 1 else WORSE))
        out.append(text(max(x(times), x(1)) + 6, y + 16, "%.1f×" % times, weight="bold"))
        out.append(text(WIDTH - 8, y + 16, "%s : %s %s" % (number(ours), number(peer), unit.replace("us", "µs")), "end", 11))
    if not rows:
        out.append(text(LEFT, TOP + 16, "no ratio could be drawn"))
    out.append(text(12, height - 8, "Longer is better throughout: of times, processor time and memory the inverse is drawn.", size=11))
    out.append("</svg>")
    return "\n".join(out) + "\n"
