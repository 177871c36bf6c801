#!/usr/bin/env python3
"""What the backup would lack at a failover is missed at the start: refused in words on both hosts, by
`check` and by `protect`, with the guest let alone; and when it is there, protection begins by itself."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import guests  # noqa: E402
import service  # noqa: E402
from scene import NAME, OPTIONS  # noqa: E402
from tap import Test  # noqa: E402

BALLAST = "ballast"
# All of a host's memory but a little, for a guest that never runs.
TAKE_MEMORY = f"""
sed "s/^memory = .*/memory = $(($(xl info free_memory) - 64))/" /root/{BALLAST}.cfg >/root/large.cfg
xl create -p /root/large.cfg
"""
# What is missing: taken away, given back, and the words that name it.
LACKS = {
    "a bridge": ("ip link set xenbr0 down && ip link set xenbr0 name elsewhere",
                 "ip link set elsewhere name xenbr0 && ip link set xenbr0 up", ("no bridge xenbr0",)),
    "a disk": (f"mv {guests.disk(NAME)} /root", f"mv /root/{NAME}.img {guests.disk(NAME)}",
               ("disk xvda", f"{guests.disk(NAME)}: No such file")),
    "memory": (TAKE_MEMORY, f"xl destroy {BALLAST}", ("the replica needs", "MiB free")),
}


def is_refused(test, receiver, what, words):
    test.observer.wait_steps(NAME, 1)
    steps = test.observer.of(NAME).step
    done = test.lab.run("a", "replicator", "check", NAME, "--to", f"tcp:{service.lab_address('b')}:{service.PORT}",
                        check=False)
    said = (done.stdout + done.stderr).decode(errors="replace")
    test.check(done.returncode == 1 and all(one in said for one in words), f"check misses {what}", said)
    protector = service.protect(test.lab, "a", "b", NAME, *OPTIONS)
    refused = protector.wait_said("event=refused")
    test.check(refused and all(one in refused for one in words), f"protect says that {what} is missing", protector.said())
    there = receiver.wait_said("event=refused")
    test.check(there and any(words[0] in line for line in receiver.errors), f"so does the backup ({what})",
               receiver.said())
    test.check(test.observer.wait_steps(NAME, 20) and test.observer.of(NAME).step > steps,
               f"the guest runs without ({what})")
    return protector


def main(test):
    test.hosts()
    test.lab.sh("a", "mkdir -p /host/arbiter && rm -rf /host/arbiter/*")
    test.observe(NAME)
    test.lab.guest("a", NAME, "pvh", disk_blocks=guests.DISK_BLOCKS)
    test.lab.run("b", "sh", "-c", f"cat >/root/{BALLAST}.cfg", stdin=guests.config(BALLAST, "pvh").encode())
    test.check(test.observer.wait_steps(NAME, 5), "a guest runs")
    for what, (take, give, words) in LACKS.items():
        receiver = service.receive(test.lab, "b")
        test.lab.sh("b", take)
        try:
            protector = is_refused(test, receiver, what, words)
        finally:
            test.lab.sh("b", give)
        test.check(protector.wait(to="protected"), f"with {what} it is protected by itself", protector.said())
        test.lab.sh("a", f"kill -TERM $(cat /run/replicator/primary/{NAME}.lock)")
        test.check(protector.wait_end() == 0, f"protection ends ({what})", protector.said())
        test.lab.sh("b", "kill -TERM $(busybox pidof replicator)")
        receiver.wait_end()
    test.check_seen("nothing was lost, taken back or torn")


with Test("refusals") as one:
    main(one)
