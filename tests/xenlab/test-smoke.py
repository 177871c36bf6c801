#!/usr/bin/env python3
"""The lab tells the truth: guests of both kinds run on both hosts and go on over a save and a restore
by Xen's own tools, a power cut is one, a frozen host is silent and goes on, and the observer sees
what is wrong when something is."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from tap import Test  # noqa: E402

KINDS = {"pvh": "smoke-p", "hvm": "smoke-h"}

with Test("smoke") as test:
    lab = test.lab
    test.hosts()
    observer = test.observe(*KINDS.values())
    for kind, name in KINDS.items():
        lab.guest("a", name, kind)
        test.check(observer.wait_steps(name, 20), f"a guest of type {kind} boots and is heard outside")
    for kind, name in KINDS.items():
        lab.run("a", "xl", "save", name, f"/host/{name}.save")
        before = observer.of(name).step
        # To the other host by the folder that both see, as Xen's own tools do it.
        lab.run("b", "xl", "restore", f"/host/{name}.save")
        test.check(observer.wait_steps(name, 20, host="b"), f"it goes on on the other host ({kind})")
        change = observer.of(name).changes[-1]
        test.check(change[:3] == ("a", "b", 0), f"a saved guest of type {kind} loses no message",
                   f"{change} after step {before}")
        done = lab.run("b", "replicator", "stream", "verify", f"/host/{name}.save", check=False)
        test.check(done.returncode == 0, f"replicator stream verify takes xl's save file ({kind})",
                   done.stderr.decode())
        lab.sh("b", f"rm /host/{name}.save")
    test.check_seen("no message was repeated, left out or wrong")

    name = KINDS["pvh"]
    lab.freeze("b")
    observer.wait(lambda: False, 1)
    frozen = observer.frames["b"]
    test.check(not observer.wait(lambda: observer.frames["b"] > frozen, 3), "a frozen host is silent")
    lab.thaw("b")
    test.check(observer.wait_steps(name, 20, host="b"), "a thawed host goes on")
    lab.cut("b")
    observer.wait(lambda: False, 0.5)
    cut = observer.frames["b"]
    test.check(not lab.is_on("b") and not observer.wait(lambda: observer.frames["b"] > cut, 3),
               "a host without power is silent")
    test.check_seen("a frozen guest goes on where it was")

    # The observer must be able to fail: two copies of one guest.
    lab.guest("a", name, "pvh")
    test.check(observer.wait_steps(name, 5, host="a"), "a guest of the same name starts on the other host")
    test.check(any("started anew" in fault for fault in observer.faults()),
               "the observer knows a guest that went on from one that started anew")
