#!/usr/bin/env python3
"""Guests that read a disk, one served by the kernel and one by QEMU, lose their host. The disk of one has gone on
the other host since its protection began: its activation says so and waits for it. Both go on reading what they must.

What a backup without the disk says before protection begins is in test-refusals; a guest with emulated devices and
a disk is handed over in test-truth."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import guests  # noqa: E402
import service  # noqa: E402
from scene import OPTIONS  # noqa: E402
from tap import Test  # noqa: E402

BACKENDS = {"disk-k": "phy", "disk-q": "qdisk"}
IN_XENSTORE = {"phy": "/vbd/", "qdisk": "/qdisk/"}
LACKING = "disk-q"
CONNECTED = "4"


def reads_on(test, name, host, blocks=20):
    """So many blocks more; what they hold the observer judges."""
    seen = test.observer.of(name)
    before = seen.blocks
    return test.observer.wait(lambda: seen.host == host and seen.blocks >= before + blocks, 300)


def begin(test):
    for name, backend in BACKENDS.items():
        test.lab.guest("a", name, "pvh", disk_blocks=guests.DISK_BLOCKS, disk_by=backend)
    for name, backend in BACKENDS.items():
        test.check(reads_on(test, name, "a"), f"{name} reads its disk, a file served by {backend}")
    receiver = service.receive(test.lab, "b")
    protectors = {name: service.protect(test.lab, "a", "b", name, *OPTIONS) for name in BACKENDS}
    for name, protector in protectors.items():
        is_protected = protector.wait(to="protected") and reads_on(test, name, "a")
        test.check(is_protected, f"{name} is protected, and reads", f"{protector.said()}\n# {receiver.said()}")
    return receiver


def waits_for_its_disk(test, receiver):
    path = guests.disk(LACKING)
    test.lab.sh("b", f"mv {path} {path}.away")
    test.lab.cut("a")
    missed = receiver.wait_said("event=fault", 300)
    test.check(missed and "disk xvda" in missed and path in missed, f"the activation says that {LACKING}'s disk is gone",
               receiver.said())
    for name in set(BACKENDS) - {LACKING}:
        test.check(reads_on(test, name, "b"), f"{name}, whose disk is there, goes on and reads", receiver.said())
    test.check(test.observer.of(LACKING).host == "a", f"{LACKING} waits")
    test.lab.sh("b", f"mv {path}.away {path}")
    test.check(reads_on(test, LACKING, "b"), f"when its disk is there {LACKING} goes on and reads", receiver.said())


def has_its_disk(test, name):
    rows = [row.split() for row in test.lab.sh("b", f"xl block-list {name}").splitlines()[1:]]
    test.check(len(rows) == 1 and rows[0][3] == CONNECTED and IN_XENSTORE[BACKENDS[name]] in rows[0][-1],
               f"xl shows the disk of {name} on the backup", str(rows))


def main(test):
    test.hosts()
    test.lab.sh("a", "mkdir -p /host/arbiter && rm -rf /host/arbiter/*")
    test.observe(*BACKENDS)
    receiver = begin(test)
    waits_for_its_disk(test, receiver)
    for name in BACKENDS:
        has_its_disk(test, name)
        test.lab.sh("b", f"xl destroy {name}")
    left = test.domains_left("b") + test.lab.sh("b", "pgrep -a qemu-system; busybox losetup -a", check=False)
    test.check(not left, "destroyed, nothing of them is left, neither a QEMU nor a loop device", left)
    test.check_seen("nothing was lost, taken back, torn or misread")


with Test("disk") as one:
    main(one)
