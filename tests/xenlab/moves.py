#!/usr/bin/env python3
"""moves — a guest that speaks without a pause goes to the other host by switchover, and back: which of its messages
its own kernel drops while its interface connects anew. An experiment and no test: losses are told, not judged.

MOVES=N (5). QUEUE=fq_codel|pfifo_fast of the guest (pfifo_fast). WEIGHT=N: a loop keeps the target's domain 0
busy, with this weight in the hypervisor's scheduler, where the guest has 256 (0: it is left in peace)."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import service  # noqa: E402
from tap import Test  # noqa: E402

MOVES = int(os.environ.get("MOVES", "5"))
WEIGHT = int(os.environ.get("WEIGHT", "0"))
NAME = "moves"
LOAD = {"span": 3, "pages": 4, "pace_us": 0, "report": 1}
OTHER = {"a": "b", "b": "a"}
BUSY_SECONDS = 25  # a move with the target busy takes nearly as long


def move(test, source):
    target, seen = OTHER[source], test.observer.of(NAME)
    receiver = service.receive(test.lab, target)
    protector = service.protect(test.lab, source, target, NAME, "--interval", "500ms", "--timeout", "60s")
    if not protector.wait(to="protected"):
        raise RuntimeError(protector.said() + receiver.said())
    if WEIGHT:
        test.lab.sh(target, f"xl sched-credit2 -d Domain-0 -w {WEIGHT}; "
                    f"busybox timeout {BUSY_SECONDS} busybox sh -c 'while :; do :; done' >/dev/null 2>&1 &")
    test.lab.run(source, "replicator", "switchover", NAME, "--timeout", "600s")
    if not test.check(test.observer.wait_steps(NAME, 300, host=target), f"{NAME} goes on on {target}"):
        return False
    protector.wait_end()
    test.lab.sh(target, "kill $(busybox pidof replicator)", check=False)
    receiver.wait_end()
    _, _, missing, silence, _ = seen.changes[-1]
    test.say(f"to {target}: {missing} messages before the first one there, after {silence:.2f} s; "
             f"{len(seen.faults)} gaps behind it")
    for fault in seen.faults:
        test.say(fault)
    seen.faults.clear()
    return True


with Test("moves") as one:
    one.hosts()
    one.lab.sh("a", "rm -rf /host/arbiter && mkdir /host/arbiter")
    one.observe(NAME)
    one.lab.guest("a", NAME, "pvh", **LOAD)
    one.observer.wait_steps(NAME, 300)
    for number in range(MOVES):
        if not move(one, "ab"[number % 2]):
            break
