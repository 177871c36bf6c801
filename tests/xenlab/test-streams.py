#!/usr/bin/env python3
"""What a primary says of a Xen domain is a stream file: recorded on its way it passes `replicator stream
verify`, and its last checkpoint, written as a file of xl, is taken by a stock `xl restore` on the other
host. There the guest goes on from that checkpoint: nothing that was seen outside is taken back."""

import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import service  # noqa: E402
from tap import Test  # noqa: E402

KINDS = {"pvh": "stream-p", "hvm": "stream-h"}
OPTIONS = ("--interval", "500ms", "--timeout", "5s", "--json")
BUILD = os.environ.get("BUILD", "build")


def tool(test, *words):
    """A stream tool, here: what a host would need minutes for."""
    return subprocess.run([f"{BUILD}/replicator", "stream", *map(str, words)], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, env={**os.environ, "TMPDIR": str(test.lab.dir)})


def files(name):
    """The capture and the file of xl, in the folder that both hosts and this one have."""
    return f"{name}.capture", f"{name}.xl"


def record(test, name):
    """The guest is protected through a recorder, then its primary is killed: output is held from then on,
    so that the capture has an epoch for every message that was seen. True when it has a capture."""
    lab, capture = test.lab, files(name)[0]
    receiver = service.Service(lab, "b", "replicator", "receive", "--listen",
                               f"tcp:{service.lab_address('b')}:{service.PORT}", "--json")
    receiver.wait(event="listening")
    (lab.share / capture).unlink(missing_ok=True)
    protector = service.Service(
        lab, "a", "replicator", "protect", name, *OPTIONS, "--to",
        f"exec:replicator stream record /host/{capture} --to tcp:{service.lab_address('b')}:{service.PORT}")
    if not test.check(protector.wait(to="protected"), f"{name} is protected through a recorder",
                      f"{protector.said()} {receiver.said()}"):
        return False
    test.observer.wait_steps(name, 40)
    lab.sh("a", "kill -KILL $(pgrep -f '^replicator protect')")
    protector.wait_end()
    # The recorder ends with the session: only then has the capture its name.
    lab.sh("a", "while busybox pidof replicator; do sleep 0.1; done")
    lab.run("a", "xl", "destroy", name)
    lab.sh("b", "kill -TERM $(busybox pidof replicator)")
    receiver.wait_end()
    return True


def verified(test, file, what):
    done = tool(test, "verify", "--json", test.lab.share / file)
    said = json.loads(done.stdout or "{}")
    test.check(done.returncode == 0 and said.get("status") == "ok", f"replicator stream verify takes {what}",
               done.stdout + done.stderr)
    return said


def goes_on(test, kind, name):
    lab, observer = test.lab, test.observer
    capture, file = files(name)
    captured = verified(test, capture, f"the recorded session ({kind})")
    test.say(f"{captured.get('checkpoints')} checkpoints, {captured.get('pages_populated')} pages, "
             f"{(lab.share / capture).stat().st_size} octets")
    done = tool(test, "convert", "--to", "xl", "--checkpoint", "last", lab.share / capture, lab.share / file)
    test.check(done.returncode == 0, f"its last checkpoint becomes a file of xl ({kind})", done.stderr)
    written = verified(test, file, f"that file ({kind})")
    test.check(written.get("image_sha256") and written["image_sha256"] == captured.get("image_sha256"),
               f"it is the same memory ({kind})", f"{written} {captured}")
    done = lab.run("b", "xl", "restore", f"/host/{file}", check=False)
    if not test.check(done.returncode == 0, f"a stock xl restore takes it ({kind})", done.stderr.decode()):
        return
    test.check(observer.wait_steps(name, 20, host="b"), f"the guest goes on from there ({kind})")
    test.check(observer.of(name).changes[-1:] and observer.of(name).changes[-1][:2] == ("a", "b"),
               f"it is the guest that was recorded ({kind})", str(observer.of(name).changes))
    lab.run("b", "xl", "destroy", name, check=False)
    for one in (capture, file):
        (lab.share / one).unlink(missing_ok=True)


def main(test):
    test.hosts()
    test.observe(*KINDS.values())
    for kind, name in KINDS.items():
        test.lab.guest("a", name, kind)
        if test.check(test.observer.wait_steps(name, 10), f"a guest of type {kind} runs") and record(test, name):
            goes_on(test, kind, name)
    test.check_seen("no message was repeated, left out or wrong")


with Test("streams") as one:
    main(one)
