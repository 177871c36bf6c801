#!/usr/bin/env python3
"""Guests move to the other host by plan, and back: nothing that they say is lost, nobody is fenced, and on
the host that they left nothing is left. Then who held the replica protects the guest in turn, by itself.

LONG=1: the HVM guest goes all the way, too, not only the first."""

import json
import os
import struct
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import guests  # noqa: E402
import remote  # noqa: E402
import service  # noqa: E402
from observer import PORT, REPORT  # noqa: E402
from tap import Test  # noqa: E402

GUESTS = {"move-p": "pvh", "move-h": "hvm"}
FURTHER = list(GUESTS) if os.environ.get("LONG") else ["move-p"]
OPTIONS = ("--interval", "500ms", "--timeout", "5s")
OTHER = {"a": "b", "b": "a"}
NEXT_PORT = service.PORT + 1  # where at first nobody listens
# What is made for a protected guest: interfaces of ours, records of ours, marks in xenstore.
LEFT = """
ls /sys/class/net | grep '^rp-'
find /run/replicator ! -type d ! -name '*.lock'
xenstore-ls /tool/replicator 2>/dev/null
exit 0
"""


class Inside(threading.Thread):
    """What a guest says, before anybody holds it: its interface's own frames, on the host where it runs."""

    def __init__(self, lab, host, name):
        super().__init__(daemon=True)
        vif = f"vif{lab.sh(host, f'xl domid {name}').strip()}.0"
        self.remote = lab.begin(host, "tcpdump", "-i", vif, "--immediate-mode", "-U", "-w", "-",
                                "udp", "port", str(PORT))
        self.said, self.octets = b"", b""
        while b"listening on" not in self.said:
            kind, body = self.remote.next()
            if kind == b"x":
                raise RuntimeError(f"tcpdump: {self.said.decode()}")
            self.take(kind, body)
        self.start()

    def take(self, kind, body):
        if kind == b"o":
            self.octets += body
        else:
            self.said += body

    def run(self):
        """To its end, which comes when the interface goes."""
        kind = None
        try:
            while kind != b"x":
                kind, body = self.remote.next()
                if kind != b"x":
                    self.take(kind, body)
        except (remote.Lost, OSError) as why:
            self.said += repr(why).encode()

    def newest_step(self):
        """When it has ended."""
        self.join()
        at, step = 24, 0
        while at + 16 <= len(self.octets):
            length = struct.unpack_from("<I", self.octets, at + 8)[0]
            if length >= 42 + REPORT.size:
                step = REPORT.unpack_from(self.octets, at + 16 + 42)[2]
            at += 16 + length
        return step


def is_ordinary(test, host, name):
    """As xl shows it: by its name and UUID, neither paused nor a shell, with its interface."""
    listed = test.lab.sh(host, "xl list -v").splitlines()
    rows = [row for row in listed if row.startswith(name)]
    test.check(len(rows) == 1 and rows[0].split()[0] == name and guests.uuid_of(name) in rows[0] and
               "p" not in rows[0].split()[4], f"{name} on {host} has its name and UUID, and runs", "\n".join(listed))
    vifs = test.lab.sh(host, f"xl network-list {name}")
    test.check(guests.mac(name) in vifs and len(vifs.splitlines()) == 2, f"{name} on {host} has its interface", vifs)


def nothing_is_left(test, host):
    left = test.domains_left(host)
    test.check(not left, f"the guests are gone from {host}", left)
    held = json.loads(test.lab.sh(host, "replicator netbuf list --json"))["netbufs"]
    test.check(not held, f"no output is held on {host}", str(held))
    left = test.lab.sh(host, LEFT)
    test.check(not left, f"nothing else is left on {host}", left)


def protect(test, names, source, receiver):
    """Guests, to the other host; their processes, or False."""
    protectors = {name: service.protect(test.lab, source, OTHER[source], name, *OPTIONS) for name in names}
    words = f"is protected, from {source} to {OTHER[source]}"
    return all([test.check(one.wait(to="protected"), f"{name} {words}", f"{one.said()}\n# {receiver.said()}")
                for name, one in protectors.items()]) and protectors


def move(test, name, source, receiver, protector):
    """One guest, by the command."""
    observer, target = test.observer, OTHER[source]
    inside = Inside(test.lab, source, name)
    observer.wait_steps(name, 20)
    changes = len(observer.of(name).changes)
    done = test.lab.run(source, "replicator", "switchover", name, "--timeout", "600s", check=False)
    test.check(done.returncode == 0, f"replicator switchover {name}, from {source}", done.stderr.decode())
    test.check(observer.wait_steps(name, 20, host=target), f"{name} goes on on {target}",
               f"{protector.said()}\n# {receiver.said()}")
    test.check(protector.wait_end() == 0, f"the process that protected {name} ends with 0", protector.said())
    said, heard = inside.newest_step(), observer.of(name).newest[source]
    test.check(said == heard > 0, f"all that {name} said on {source} was heard outside",
               f"said up to step {said}, heard up to {heard}")
    new = observer.of(name).changes[changes:]
    test.check([change[:2] for change in new] == [(source, target)], f"{name} went from {source} to {target} once",
               str(new))
    for change in new:
        test.say(f"{name}: silence of {change[3]:.2f} s; {change[2]} messages went nowhere while its interface "
                 f"on {target} was connected")
    is_ordinary(test, target, name)


def go_onward(test, receiver):
    """Who held the replicas on a protects the guests in turn as soon as somebody listens, and then the next
    power cut finds a backup."""
    backup = service.receive(test.lab, "b", port=NEXT_PORT)
    for name in FURTHER:
        test.check(receiver.wait_said(f"domain={name} role=primary from=synchronizing to=protected"),
                   f"{name} is protected again by itself", f"{receiver.said()}\n# {backup.said()}")
        test.observer.wait_steps(name, 20, host="a")
    test.lab.cut("a")
    for name in FURTHER:
        test.check(test.observer.wait_steps(name, 20, host="b"), f"{name} goes on on b after a power cut",
                   backup.said())


def there(test, names, source, *more):
    """Guests move from one host to the other, and nothing of them stays; the receiver there, or None."""
    receiver = service.receive(test.lab, OTHER[source], *more)
    protectors = protect(test, names, source, receiver)
    if not protectors:
        return None
    for name, protector in protectors.items():
        move(test, name, source, receiver, protector)
    nothing_is_left(test, source)
    return receiver


def main(test):
    test.hosts()
    test.lab.sh("a", "rm -rf /host/arbiter && mkdir /host/arbiter")
    observer = test.observe(*GUESTS)
    for name, kind in GUESTS.items():
        test.lab.guest("a", name, kind)
        test.check(observer.wait_steps(name, 5), f"{name} runs")
    if not there(test, GUESTS, "a"):
        return
    for name in GUESTS:
        if name not in FURTHER:
            test.lab.run("b", "xl", "destroy", name)
    receiver = there(test, FURTHER, "b", "--onward", f"tcp:{service.lab_address('b')}:{NEXT_PORT}")
    if receiver:
        go_onward(test, receiver)
    test.check_seen("nothing was lost, taken back or torn")


with Test("switchover") as one:
    main(one)
