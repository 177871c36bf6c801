#!/usr/bin/env python3
"""The lab tells the truth: guests of both kinds run on both hosts and go on over a save and a restore
by Xen's own tools, a power cut is one, a frozen host is silent and goes on, and the observer sees
what is wrong when something is."""

import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from tap import Test  # noqa: E402

BUILD = os.environ.get("BUILD", "build")
KINDS = {"pvh": "smoke-p", "hvm": "smoke-h"}

with Test("smoke") as test:
    lab = test.lab
    test.hosts()
    observer = test.observe(*KINDS.values())
    for kind, name in KINDS.items():
        lab.guest("a", name, kind)
        test.check(observer.wait_steps(name, 20), f"a guest of type {kind} boots and is heard outside")
    for kind, name in KINDS.items():
        # 9p can't write pages out of another domain, so the file is copied to the folder that both hosts see.
        lab.sh("a", f"xl save {name} /tmp/save && cp /tmp/save /host/{name}.save && rm /tmp/save")
        before = observer.of(name).step
        lab.run("b", "xl", "restore", f"/host/{name}.save")
        test.check(observer.wait_steps(name, 20, host="b"), f"it goes on on the other host ({kind})")
        change = observer.of(name).changes[-1]
        test.check(change[:2] == ("a", "b"), f"it is the guest that was saved ({kind})", f"{change} after step {before}")
        test.say(f"{change[2]} messages went nowhere while its interface was connected, silence {change[3]:.1f} s")
        # Out here: to digest 4 GiB of mostly zeros takes an emulated host minutes.
        done = subprocess.run([f"{BUILD}/replicator", "stream", "verify", lab.share / f"{name}.save"],
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        test.check(done.returncode == 0, f"replicator stream verify takes xl's save file ({kind})", done.stderr)
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
