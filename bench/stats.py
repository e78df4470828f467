"""
bench/stats.py - what a row of measurements is worth: median, spread, whether a ratio may be drawn from it, and the
search for the highest rate that still gets through.  Knows no program and no network.
"""
import statistics

SPREAD_MAX = 0.15  # of the peer's own runs: interquartile range over median
STEAL_MAX = 0.02   # of the processor time, taken by other machines on the host
SHORT_MAX = 3      # so often in a row less was sent than asked for: the generator is the limit
RUNS_MIN = 3       # with fewer there is no spread to speak of


def median(values):
    return statistics.median(values)


def iqr(values):
    """The distance between the quartiles; of fewer than two values, none."""
    if len(values) < 2:
        return 0.0
    q = statistics.quantiles(values, n=4, method="inclusive")
    return q[2] - q[0]


def spread(values):
    """The interquartile range as a part of the median."""
    m = median(values)
    return iqr(values) / abs(m) if m else (float("inf") if iqr(values) else 0.0)


class CpuTimes:
    """The machine's processor time so far, from the first line of /proc/stat."""

    def __init__(self, line):
        fields = [int(x) for x in line.split()[1:]]
        self.steal = fields[7] if len(fields) > 7 else 0
        self.total = sum(fields[:8])  # guest and guest_nice are part of user and nice already
        self.idle = fields[3] + fields[4]

    @classmethod
    def now(cls):
        with open("/proc/stat") as f:
            return cls(f.readline())

    def steal_since(self, before):
        """The part that was stolen since then."""
        total = self.total - before.total
        return (self.steal - before.steal) / total if total > 0 else 0.0

    def busy_since(self, before):
        """The part that was used since then, by whomever."""
        total = self.total - before.total
        return 1 - (self.idle - before.idle) / total if total > 0 else 0.0


def doubt(peer_values, steals):
    """Why no ratio may be drawn from these measurements, in words; None when one may."""
    if not peer_values:
        return "not measured"
    if len(peer_values) < RUNS_MIN:
        return "%d of %d runs" % (len(peer_values), RUNS_MIN)
    steal = sum(steals) / len(steals) if steals else 0.0
    if steal > STEAL_MAX:
        return "steal %.1f %%" % (100 * steal)
    s = spread(peer_values)
    if s > SPREAD_MAX:
        return "peer's spread %.0f %%" % (100 * s)
    return None


def highest(trial, start, precision=0.05, growth=1.6, loss_max=0.001, ceiling=1e8):
    """
    The highest rate that trial(rate) -> (achieved, loss) gets through with less loss than loss_max: up by steps from
    start until one fails, then by bisection until the bounds are that close.  A rate has failed when it failed twice:
    one interruption of the machine is not the tunnel's.  The result is the greatest rate that was achieved in a trial
    that passed, 0 when none did.
    """
    best = 0.0

    def passes(rate):
        nonlocal best
        for _ in range(2):
            achieved, loss = trial(rate)
            if loss < loss_max:
                best = max(best, achieved)
                return True, achieved
        return False, achieved

    low, high, rate, short = 0.0, None, float(start), 0
    while high is None and rate < ceiling:
        good, achieved = passes(rate)
        short = short + 1 if achieved < 0.8 * rate else 0
        if not good:
            high = rate
        elif short == SHORT_MAX:
            return best
        else:
            low, rate = rate, rate * growth
    if high is None:
        return best
    while low == 0.0 and high > start / 64:  # even the start was too much
        rate = high / 2
        good, _ = passes(rate)
        if good:
            low = rate
        else:
            high = rate
    while low and high / low > 1 + precision:
        rate = (low * high) ** 0.5
        good, _ = passes(rate)
        if good:
            low = rate
        else:
            high = rate
    return best
