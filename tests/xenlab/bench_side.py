"""bench_side — who keeps the copy of the guest in `bench`: replicator, or stock `xl remus`.

Both are made, are waited for until checkpoints flow, tell what they have counted (counts()), and end
without the guest (end()), which runs on on host a.
"""

import json
import os
import pathlib
import struct

import remote
import service

HERE = pathlib.Path(__file__).parent
RELAY_PORT = 7800
CHECKPOINTS_BEFORE = 5  # in which neither is measured: what the first ones find is left by the first copy


class Replicator:
    name = "replicator"

    def __init__(self, lab, observer, guest, interval_ms, timeout_s):
        self.lab, self.guest = lab, guest
        lab.sh("a", "rm -rf /host/arbiter && mkdir /host/arbiter")
        self.receiver = service.receive(lab, "b")
        self.protector = service.protect(lab, "a", "b", guest, "--interval", f"{interval_ms}ms",
                                         "--timeout", f"{timeout_s}s")
        if not self.protector.wait(to="protected"):
            raise RuntimeError(self.protector.said() + self.receiver.said())
        observer.wait(lambda: False, CHECKPOINTS_BEFORE * interval_ms / 1000)

    def counts(self):
        status = json.loads(self.lab.sh("a", f"replicator status {self.guest} --json"))
        return {"checkpoints": status["epochs"], "status": status}

    def end(self):
        self.lab.run("a", "replicator", "detach", self.guest, check=False)
        self.protector.wait_end()
        self.lab.sh("b", "kill $(busybox pidof replicator)", check=False)
        self.receiver.wait_end()


class XlRemus:
    """Its network and its disks without protection, which its build has no other way of: -Fdn."""
    name = "xl remus"

    def __init__(self, lab, observer, guest, interval_ms, timeout_s):
        del timeout_s  # it has none
        self.lab, self.guest = lab, guest
        for host in "ab":
            lab.put(host, HERE / "relay.py", "/usr/local/bin")
        self.receiver = lab.begin("b", "/usr/local/bin/relay.py", "at", RELAY_PORT, "xl", "migrate-receive",
                                  "-r", "-e")
        self.receiver.next()  # it listens
        to = service.lab_address("b")
        self.sender = lab.begin("a", "xl", "remus", "-Fdn", "-i", interval_ms, "-s", "", guest,
                                f"exec /usr/local/bin/relay.py to {to} {RELAY_PORT} /run/relay")
        if not observer.wait(lambda: False, 1) and not self.flows(observer):
            raise RuntimeError("xl remus makes no checkpoints")

    def flows(self, observer):
        for _ in range(300):
            if self.counts()["checkpoints"] > CHECKPOINTS_BEFORE:
                return True
            observer.wait(lambda: False, 1)
        return False

    def counts(self):
        octets = self.lab.run("a", "cat", "/run/relay", check=False).stdout
        _, bursts = struct.unpack("QQ", octets) if len(octets) == 16 else (0, 0)
        return {"checkpoints": bursts}

    def end(self):
        """The backup first, hard: one that sees an end starts its copy of the guest."""
        self.lab.sh("b", XL_END)
        try:
            self.sender.finish()
        except (remote.Lost, OSError):
            pass
        for one in (self.sender, self.receiver):
            one.close()


# Whoever restores, and what they made.
XL_END = """
for one in /proc/[0-9]*; do
    case $(readlink $one/exe) in */xl | */libxl-save-helper) kill -KILL ${one##*/} ;; esac
done
for id in $(xl list | mawk 'NR > 2 { print $2 }'); do
    xl destroy "$id"
done
"""


def raise_priority(lab):
    """Of the emulated machines, so that what else runs on this one disturbs less; not needed."""
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
            if any(f"xenlab-{lab.name}-{host}".encode() in words for host in "ab"):
                for task in (process / "task").iterdir():
                    os.setpriority(os.PRIO_PROCESS, int(task.name), -10)
        except OSError:
            continue
