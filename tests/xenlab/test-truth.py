#!/usr/bin/env python3
"""Memory truth: of guests under load every page of the replica is compared with what the guest had at the
pause of the same epoch, again and again; and what is activated after a power cut, or by a switchover, is
an epoch that was found equal.

EPOCHS=N compared before that (6), EVERY=N epochs from one to the next (1), KIND=word: only that type."""

import json
import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import guests  # noqa: E402
import service  # noqa: E402
from tap import Test  # noqa: E402

EPOCHS = int(os.environ.get("EPOCHS", "6"))
EVERY = os.environ.get("EVERY", "1")
OPTIONS = ("--interval", os.environ.get("INTERVAL", "500ms"), "--timeout", "10s", "--verify-every", EVERY)
DISKS = {"pvh": "phy", "hvm": "qdisk"}


def epochs_of(receiver, words):
    """Epochs of what the backup has said, in order (its children say it on stderr)."""
    with receiver.changed:
        lines = [line for line in receiver.errors if words in line]
    return [int(re.search(r" epoch=(\d+)", line)[1]) for line in lines]


def are_equal(receiver):
    """EPOCHS were compared, and none differed."""
    def is_clear():
        said = " ".join(receiver.errors)
        return said.count("event=verified") >= EPOCHS or "event=differs" in said or receiver.status is not None
    with receiver.changed:
        receiver.changed.wait_for(is_clear, service.PATIENCE)
    return len(epochs_of(receiver, "event=verified")) >= EPOCHS and not epochs_of(receiver, "event=differs")


def takeover(test, name):
    test.lab.cut("a")


def switchover(test, name):
    done = test.lab.run("a", "replicator", "switchover", name, check=False)
    test.check(done.returncode == 0, f"{name} is handed over", done.stderr.decode())


def truth(test, kind, name, end):
    lab, observer = test.lab, test.observer
    test.hosts()
    lab.sh("a", "rm -rf /host/arbiter && mkdir /host/arbiter")
    receiver = service.receive(lab, "b")
    # What a device's other end writes into the guest is memory of the guest, too.
    lab.guest("a", name, kind, disk_blocks=guests.DISK_BLOCKS, disk_by=DISKS[kind])
    test.check(observer.wait_steps(name, 5), f"a guest of type {kind} runs")
    protector = service.protect(lab, "a", "b", name, *OPTIONS)
    test.check(protector.wait(to="protected"), f"it is protected ({kind})", protector.said())
    if not test.check(are_equal(receiver), f"{EPOCHS} epochs are found equal ({kind})",
               f"{protector.said()}\n# " + "\n# ".join(receiver.errors[-40:])):
        return
    pages = protector.find(event="verified") or {}
    test.check(pages.get("pages", 0) >= 30000, f"every page of it, of 128 MiB ({kind})", str(pages))
    status = json.loads(lab.run("a", "replicator", "status", name, "--json").stdout)
    test.say(f"{kind}: {status.get('verified')}, pause {status.get('pause_us')}, of it {status.get('pause_parts_us')}")
    end(test, name)
    test.check(observer.wait_steps(name, 20, host="b"), f"it goes on on the other host ({kind})", receiver.said())
    verified, active = epochs_of(receiver, "event=verified"), epochs_of(receiver, "to=active ")
    test.check(active and active[-1] in verified, f"as it was in an epoch that was found equal ({kind})",
               f"activated {active}, verified {verified[-5:]}")
    test.check(not epochs_of(receiver, "event=differs"), f"none differed ({kind})", receiver.said())
    test.say(f"{kind}: {len(verified)} epochs of {pages.get('pages')} pages compared")


def main(test):
    ends = {"pvh": ("truth-p", takeover), "hvm": ("truth-h", switchover)}
    test.observe(*(name for name, _ in ends.values()))
    for kind, (name, end) in ends.items():
        if os.environ.get("KIND", "") in kind:
            truth(test, kind, name, end)
    test.check_seen("no message was repeated, left out or wrong")


with Test("truth") as one:
    main(one)
