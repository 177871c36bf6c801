#!/usr/bin/env python3
"""The primary's host loses its power, again and again: its guests go on on the other host, by
themselves, and nothing that was seen outside is lost or taken back. Then that host is the primary,
and the one that lost its power, which has come back empty, its backup.

CUTS=N power cuts (20), HVM=N of them with a guest that has emulated devices as well (5), SEED=N."""

import os
import random
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import service  # noqa: E402
from tap import Test  # noqa: E402

CUTS = int(os.environ.get("CUTS", "20"))
HVM = int(os.environ.get("HVM", "5"))
SEED = int(os.environ.get("SEED", "0")) or int(time.time())
OPTIONS = ("--interval", os.environ.get("INTERVAL", "500ms"), "--timeout", os.environ.get("TIMEOUT", "5s"))
# Each time that a guest comes up on another host its network driver (Debian's 6.1) loses 256 receive pages, after
# xl save and xl restore as well: the kernel's, and a guest of 128 MiB has forty such lives.
MEMORY = 128 + max(0, CUTS - 20)
OTHER = {"a": "b", "b": "a"}


def protect_all(test, primary, names):
    """True when all are protected."""
    backup = OTHER[primary]
    receiver = service.receive(test.lab, backup)
    protectors = [service.protect(test.lab, primary, backup, name, *OPTIONS) for name in names]
    for protector in protectors:
        if not protector.wait(to="protected"):
            test.say(protector.said())
            test.say(receiver.said())
            return None
    return receiver


def cut_once(test, primary, names, rng):
    """The messages that were missing and the seconds of silence, of each guest; None: it went wrong."""
    backup = OTHER[primary]
    observer = test.observer
    receiver = protect_all(test, primary, names)
    if receiver is None:
        return None
    for name in names:
        observer.wait_steps(name, rng.randrange(5, 60), host=primary)
    changes = {name: len(observer.of(name).changes) for name in names}
    test.lab.cut(primary)
    test.lab.start(primary, wait=False)  # power is back at once, and the host empty soon after
    for name in names:
        if not observer.wait_steps(name, 10, host=backup) or len(observer.of(name).changes) != changes[name] + 1:
            test.say(receiver.said())
            return None
    return [observer.of(name).changes[-1] for name in names]


def main(test):
    test.say(f"SEED={SEED}")
    rng = random.Random(SEED)
    test.hosts()
    test.lab.sh("a", "rm -rf /host/arbiter && mkdir /host/arbiter")
    names = {"cut-p": "pvh", **({"cut-h": "hvm"} if HVM else {})}
    observer = test.observe(*names)
    for name, kind in names.items():
        test.lab.guest("a", name, kind, memory=MEMORY)
        if not test.check(observer.wait_steps(name, 5), f"{name} runs"):
            return
    primary, missing, silence = "a", [], []
    for number in range(CUTS):
        guests = list(names) if number < HVM else ["cut-p"]
        if number == HVM and HVM:
            test.lab.run(primary, "xl", "destroy", "cut-h")
        changes = cut_once(test, primary, guests, rng)
        if not test.check(changes is not None, f"power cut {number + 1}: {' and '.join(guests)} go on on {OTHER[primary]}"):
            return
        if not test.check_seen(f"power cut {number + 1}: nothing lost, taken back or torn"):
            return
        missing += [change[2] for change in changes]
        silence += [change[3] for change in changes]
        test.lab.wait_boot(primary)
        test.lab.put_program(primary)
        primary = OTHER[primary]
    silence.sort()
    test.say(f"{len(missing)} failovers: silence median {silence[len(silence) // 2]:.2f} s, longest {silence[-1]:.2f} s; "
             f"messages held and never let out at most {max(missing)}")


with Test("power-cut") as one:
    main(one)
