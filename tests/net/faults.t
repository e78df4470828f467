#!/usr/bin/python3
"""System calls that fail under a daemon at work: what can go on goes on, in order, with nothing lost that need not be."""
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lab  # noqa: E402
from lab import ok, same  # noqa: E402
from pair import Pair  # noqa: E402


def both_ways(p, **kw):
    """Numbered packets a to b, then b to a, over IPv4 and IPv6 inside."""
    return [p.flow(frm, to, v6=v6, rounds=12, **kw) for frm, to in (("a", "b"), ("b", "a")) for v6 in (False, True)]


def whole(flows, name, *why):
    return ok(all(f.whole() for f in flows), name, *map(str, flows), *why)


def sends(p):
    whole(both_ways(p), "without a fault nothing is lost, and all is in order [fault-send]")
    for v6 in (False, True):
        p.underlay(v6)
        p.works()
        outer = "IPv%d" % (6 if v6 else 4)
        # A whole run is refused: its pieces go out, in order, and none is lost.
        for error in ("EIO", "EINVAL", "EMSGSIZE"):
            p.fa.rules("sendmsg %s gso" % error)
            flows = both_ways(p)
            whole(flows, "%s for every run over %s: all packets go one by one, in order [fault-send] [sock-gso-fallback]" % (error, outer))
            hits = p.fa.hits()
            # Each worker learns by itself, and from all that one system call carries: 24 runs there are.
            ok(0 < hits <= 8, "which was tried at first, not for every run: %d times [fault-send]" % hits)
            # Ten seconds later, by the clock that it looks at, runs go again.
            p.fa.rules("clock_gettime +11s =6", "sendmsg EIO gso x0")
            whole(both_ways(p), "later, over %s, nothing is lost either [fault-send]" % outer)
            ok(p.fa.hits(0) > 0 and p.fa.seen(1) > 10, "and runs are tried again after a while: %d [fault-send] [sock-gso-fallback]" % p.fa.seen(1))
            p.fa.rules()
            p.bounce()  # sockets without a memory, and the clock's own time again
            p.works()
    p.underlay(False)
    p.works()

    # The socket's buffer is full for a moment: it waits.
    p.fa.rules("sendmsg EAGAIN x1")
    whole([p.flow(rounds=5)], "EAGAIN once: the packets wait, and none is lost [fault-send]")
    same(p.fa.hits(), 1, "the fault has struck [fault-send]")
    # For long: it does not wait for ever.
    for error in ("EAGAIN", "ENOBUFS", "ENETUNREACH", "EPERM", "ENOMEM"):
        p.fa.rules("sendmsg %s 30%%" % error)
        f = p.flow(rounds=40, burst=10)
        ok(f.in_order() and f.got, "%s by chance: the others arrive, in order [fault-send]" % error, f)
        ok(p.fa.hits() > 0, "the fault has struck %d times, %d packets were lost [fault-send]" % (p.fa.hits(), f.lost))
        p.fa.rules()
        f = p.flow(rounds=10)
        ok(f.whole(), "and when it is over all arrive again [fault-send]", f)
    # Handshakes too: the control thread's sends.
    p.bounce()
    p.fa.rules("sendmsg ENOBUFS x2")
    p.fb.rules("sendmsg ENOBUFS x2")
    ok(p.works(), "a handshake whose first messages could not be sent is tried again [fault-send]")
    ok(p.fa.hits() + p.fb.hits() > 0, "the fault has struck [fault-send]")
    p.fa.rules(), p.fb.rules()


def one_path(p):
    """One of two ways to the same peer cannot segment."""
    lab.run("ip -n b addr add 10.0.0.3/24 dev eth")
    public = "public_key=" + p.kb.public.hex()
    p.fa.rules("sendmsg EIO gso =2", "sendmsg EIO gso x0 =3")
    whole([p.flow(rounds=5)], "EIO on one path: all packets go one by one [fault-send]")
    struck = p.fa.hits(0)
    p.a.set(public, "endpoint=10.0.0.3:2222")
    whole([p.flow(rounds=20)], "on another of the same family nothing is lost [fault-send]")
    ok(struck and p.fa.seen(1) >= 20, "and runs are sent there: %d [fault-send] [sock-gso-fallback]" % p.fa.seen(1))
    p.a.set(public, "endpoint=10.0.0.2:2222")
    whole([p.flow(rounds=5)], "back on the first nothing is lost either [fault-send]")
    ok(p.fa.seen(1) < 40 and p.fa.hits(0) <= struck + 2, "nor is it tried again at once [fault-send]", p.fa.hits(0), struck)
    p.fa.rules()
    p.bounce()
    p.works()


def no_memory(p):
    """Requests for memory fail by chance while it is configured, makes sessions and goes down and up."""
    if p.a.sanitised():
        return lab.skip("memory that is not to be had costs what needed it, and no more [fault-memory]", "a sanitizer has its own functions for memory")
    answers, bad, refused = {}, [], 0
    for i in range(30):
        p.fa.rules("any-alloc ENOMEM 30% ginnel-wg")
        peers = [x for k in range(20) for x in ("public_key=" + os.urandom(32).hex(), "allowed_ip=10.%d.%d.0/24" % (20 + i, k), "endpoint=10.0.0.9:9")]
        try:
            said = p.a.ask("set=1\n" + "".join(x + "\n" for x in peers) + "\n")
            p.a.ask("get=1\n\n")
        except OSError as e:
            said = type(e).__name__
        answers[said] = answers.get(said, 0) + 1
        if i % 10 == 0:
            p.bounce()
        p.flow(rounds=1, burst=5, patience=0.05, settle=0)
        struck = p.fa.hits()
        refused += struck
        p.fa.rules()
        if not p.a.alive():
            break
        # What is there is consistent: it can be shown, and taken away.
        device, shown = p.a.get()
        if p.kb.public.hex() not in shown:
            bad.append("round %d: the peer has vanished" % i)
    ok(p.a.alive() and not bad and refused > 30 and len(answers) > 1, "memory that is not to be had costs what needed it, and no more: "
       "%d requests refused [fault-memory]" % refused, answers, bad)
    for k in list(p.a.get()[1]):
        k == p.kb.public.hex() or p.a.set("public_key=" + k, "remove=true")
    ok(p.works(), "and the tunnel works again [fault-memory]")
    lab.note("answers: %s" % answers)
    whole([p.flow(rounds=20)], "without a loss [fault-memory]")


def receives(p):
    for call, what in (("recvmmsg", "the socket"), ("read", "the device")):
        f = p.fb if call == "recvmmsg" else p.fa
        for error in ("ENOMEM", "EIO", "EINTR", "ENOBUFS"):
            f.rules("%s %s %s x25" % (call, error, "tun" if call == "read" else ""))
            flow = p.flow(rounds=40, burst=10)
            ok(flow.whole(), "%s from %s 25 times: nothing is lost, for it is read again [fault-receive]" % (error, what), flow)
            same(f.hits(), 25, "the fault has struck [fault-receive]")
            f.rules()


def device(p):
    # Merged packets are refused, as some kernels do: the pieces are written, and no other is merged.
    p.fb.rules("writev EINVAL merged")
    flows = both_ways(p)
    whole(flows, "EINVAL for every merged packet: the pieces are written, in order [fault-device]")
    ok(0 < p.fb.hits() <= 4, "which was tried once for each worker, not for every packet: %d times [fault-device]" % p.fb.hits())
    p.fb.rules()
    for error in ("EAGAIN", "ENOMEM", "ENOBUFS", "EIO"):
        p.fb.rules("writev %s tun 30%%" % error)
        f = p.flow(rounds=40, burst=10)
        ok(f.in_order() and f.got, "the device takes none at times, %s: the others arrive, in order [fault-device]" % error, f)
        ok(p.fb.hits() > 0, "the fault has struck %d times, %d packets were lost [fault-device]" % (p.fb.hits(), f.lost))
        p.fb.rules()
        f = p.flow(rounds=10)
        ok(f.whole(), "and when it is over all arrive again [fault-device]", f)


def clocks(p):
    for step in (-10 * 365 * 86400, 10 * 365 * 86400, -1, 3600):
        def jump(i):
            if i == 10:
                p.fa.rules("clock_gettime %+ds =0" % step)
                p.a.set("fwmark=0")  # whatever is set, it looks at its clocks
        f = p.flow(rounds=20, each=jump)
        ok(f.whole(), "the wall clock jumps by %d s under traffic: nothing is lost [fault-clock]" % step, f)
        ok(p.fa.hits() > 0, "the clock was looked at [fault-clock]")
        p.fa.rules()
    # The one with a clock from the past cannot initiate, the other can.
    p.bounce()
    ok(p.works(), "a new session, before [fault-clock]")
    p.fa.rules("clock_gettime -1000000s =0")
    p.bounce()
    f = lab.wait_for(lambda: p.flow("b", "a", rounds=1, burst=1).whole())
    ok(f and p.fa.hits() > 0, "a host whose clock is in the past is reached by a peer's handshake [fault-clock]")
    f = p.flow(rounds=10)
    ok(f.whole(), "and then sends as well [fault-clock]", f)
    p.fa.rules()
    # Asleep for ten minutes: every session is over, and a new one is made.
    p.fa.rules("clock_gettime +600s =7")
    p.fb.rules("clock_gettime +600s =7")
    ok(p.works(), "after ten minutes asleep the tunnel makes a new session [fault-clock]")
    f = p.flow(rounds=10)
    ok(f.whole() and p.fa.hits() > 0, "and all arrive [fault-clock]", f)
    # Not back again: that clock never goes backwards.


def memory(p):
    """After all that."""
    for d in (p.a, p.b):
        if d.sanitised():
            lab.skip("%s never took more than 32 MB [memory-faults]" % d.name, "a sanitizer's memory is not the program's")
        else:
            kb = d.status("VmHWM")
            ok(kb < 32768, "%s never took more than 32 MB: %d kB [memory-faults]" % (d.name, kb))


def test():
    p = Pair().start()
    ok(p.works(), "the tunnel works before anything fails [fault-send]")
    for part in (sends, one_path, receives, device, no_memory, clocks, memory):
        t = time.monotonic()
        part(p)
        lab.note("%s: %.1f s" % (part.__name__, time.monotonic() - t))


lab.main(600, test)
