#!/usr/bin/env python3
"""Everything but a power cut that can part two hosts or end a guest: whoever has the guest afterwards,
outside it is one guest that goes on, or none that ended by itself. FAULT=word: only those with it.

Each fault starts with a guest that is protected on a, and ends with a claim on who has it."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import service  # noqa: E402
from tap import Test  # noqa: E402

OPTIONS = ("--interval", "500ms", "--timeout", "5s")
NAME = "fault"


class Fault:
    """A protected guest: from set up to the claims that every fault ends with."""

    def __init__(self, test, words):
        self.test, self.lab, self.words = test, test.lab, words
        test.hosts()
        self.lab.sh("a", "rm -rf /host/arbiter && mkdir /host/arbiter")
        self.observer = test.observe(NAME)
        self.receiver = service.receive(self.lab, "b")
        self.lab.guest("a", NAME, "pvh")
        self.observer.wait_steps(NAME, 5)
        self.protector = service.protect(self.lab, "a", "b", NAME, *OPTIONS)
        self.ready = self.protector.wait(to="protected") is not None
        self.observer.wait_steps(NAME, 20)

    def said(self):
        return f"{self.protector.said()}\n# {self.receiver.said()}"

    def goes_on(self, host):
        """Outside the guest is heard from `host`, and from the other one no frame any more."""
        seen = self.observer.of(NAME)
        heard = self.observer.wait_steps(NAME, 20, host=host)
        other = "a" if host == "b" else "b"
        before = self.observer.frames[other]
        self.observer.wait(lambda: False, 10)
        self.test.check(heard and seen.host == host, f"{self.words}: the guest goes on on {host}", self.said())
        self.test.check(self.observer.frames[other] == before, f"{self.words}: {other} lets nothing out")

    def end(self):
        self.test.check_seen(f"{self.words}: nothing lost, taken back or torn")
        self.observer.close()
        self.test.observer = None


def frozen(fault):
    fault.lab.freeze("a")
    took = fault.observer.wait_steps(NAME, 20, host="b")
    fault.test.check(took, f"{fault.words}: the backup takes over", fault.said())
    fault.observer.wait(lambda: False, 10)
    before = fault.observer.frames["a"]
    fault.lab.thaw("a")
    end = fault.protector.wait_end()
    fault.test.check(end not in (None, 0), f"{fault.words}: the stale primary ends, fenced", fault.said())
    fault.test.check(fault.observer.frames["a"] == before, f"{fault.words}: it lets 0 frames out",
                     f"{fault.observer.frames['a'] - before} frames")
    fault.goes_on("b")


def link(state):
    def cut(fault):
        fault.lab.link("b", state)
        winner = fault.receiver.wait(seconds=60, to="active")
        fault.goes_on("b" if winner else "a")
        fault.lab.link("b", "up")
    return cut


def killed_protect(fault):
    fault.lab.sh("a", "kill -KILL $(busybox pidof replicator)")
    fault.goes_on("b")


def killed_receive(fault):
    fault.lab.sh("b", "kill -KILL $(busybox pidof replicator)")
    fault.goes_on("a")
    left = fault.lab.sh("b", "xl list")
    fault.test.check(NAME not in left, f"{fault.words}: the shell is gone from the backup", left)


def ended_by(script, how):
    def end(fault):
        fault.lab.sh("a", script)
        fault.test.check(fault.protector.wait_end() is not None, f"{fault.words}: protect ends", fault.said())
        before = fault.observer.of(NAME).messages
        fault.test.check(not fault.observer.wait_steps(NAME, 1, seconds=30, host="b") and
                         fault.observer.of(NAME).host == "a",
                         f"{fault.words}: {how}", f"{fault.observer.of(NAME).messages - before} messages")
    return end


FAULTS = {
    "frozen primary": frozen,
    "replication link cut": link("down"),
    "backup that hears nothing": link("deaf"),
    "backup that says nothing": link("mute"),
    "protect killed": killed_protect,
    "receive killed": killed_receive,
    "guest destroyed": ended_by(f"xl destroy {NAME}", "no failover of a guest that was destroyed"),
    "guest shut down": ended_by(f"xl shutdown {NAME}", "no failover of a guest that ended by itself"),
    "guest panicked": ended_by(f"xl sysrq {NAME} c", "no failover of a panic"),
}

with Test("faults") as one:
    for words, run in FAULTS.items():
        if os.environ.get("FAULT", "") in words:
            fault = Fault(one, words)
            if one.check(fault.ready, f"{words}: the guest is protected before", fault.said()):
                run(fault)
            fault.end()
