"""bench_side — who keeps the copy of the guest in `bench`: replicator, or stock `xl remus`.

Both are made, are waited for until checkpoints flow, tell what they have counted (counts()), and end
without the guest (end()), which runs on on host a.
"""

import json
import os
import pathlib

import service

HERE = pathlib.Path(__file__).parent
LISTENS, SUSPENDED = "listening", "Domain now suspended"  # what relay.py and xl say
RELAY, RELAY_PORT = "/usr/local/bin/relay.py", 7800
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

    def __init__(self, lab, observer, guest, interval_ms, timeout_s=None, hosts="ab"):
        del timeout_s  # it has none
        self.lab, self.guest, (self.primary, self.backup) = lab, guest, hosts
        for host in "ab":
            lab.put(host, HERE / "relay.py", "/usr/local/bin")
        self.receiver = service.Service(lab, self.backup, "python3", RELAY, "at", RELAY_PORT, "xl", "migrate-receive",
                                        "-r", "-e")
        self.wait_said(self.receiver, LISTENS, 1)
        self.sender = service.Service(lab, self.primary, "xl", "remus", "-Fdn", "-i", interval_ms, "-s", "", guest,
                                      f"exec python3 {RELAY} to {service.lab_address(self.backup)} {RELAY_PORT}")
        self.wait_said(self.sender, SUSPENDED, CHECKPOINTS_BEFORE)
        del observer

    @staticmethod
    def wait_said(one, words, times):
        def said():
            return sum(words in line for line in one.errors)
        with one.changed:
            one.changed.wait_for(lambda: said() >= times or one.status is not None, service.PATIENCE)
            if said() < times:
                raise RuntimeError(one.said())

    def counts(self):
        with self.sender.changed:
            return {"checkpoints": sum(SUSPENDED in line for line in self.sender.errors)}

    def cut(self):
        """The backup first, hard: one that sees an end starts its copy of the guest. The guest's dirty log
        stays on."""
        self.lab.sh(self.backup, XL_END)
        self.sender.wait_end()
        self.receiver.wait_end()

    def end(self):
        self.cut()
        self.lab.run(self.primary, "replicator", "recover", self.guest, "--log-left-by", self.name)


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
    """Of the emulated machines, so that what else runs on this one disturbs less; not needed. Where the
    kernel groups tasks by their sessions it is the group's priority that counts."""
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
            if any(f"xenlab-{lab.name}-{host}".encode() in words for host in "ab"):
                for task in (process / "task").iterdir():
                    os.setpriority(os.PRIO_PROCESS, int(task.name), -10)
                (process / "autogroup").write_text("-10")
        except OSError:
            continue
