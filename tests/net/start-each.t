#!/usr/bin/python3
# tier: full
"""Each call of a start made to fail in turn, with another error than startup.t does, and each request for memory."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lab  # noqa: E402
from faults import Faults  # noqa: E402
from starts import Background, Start, sweep  # noqa: E402


def test():
    sweep("any", "EPERM")
    sweep("any", "ENOMEM")
    sweep("any", "EMFILE", how=Background)
    # Ours only: libseccomp without memory makes filters that refuse everything, and does not say so.
    f = Faults("probe")
    f.rules("any-alloc ENOMEM x0 ginnel-wg")
    s = Start("wg3", f)
    s.settle()
    n = f.seen()
    s.end()
    # A sanitizer has its own functions for memory.
    if n:
        sweep("any-alloc", "ENOMEM ginnel-wg", least=10)


lab.main(600, test)
