#!/usr/bin/env python3
"""The primary's host loses its power, and two of its guests are activated on the other: one on a person's
word, under the manual arbiter, one by itself, under an arbiter that is a program. Then each is an ordinary
domain there, and the network has been told where it is."""

import os
import pathlib
import socket
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import guests  # noqa: E402
import remote  # noqa: E402
import service  # noqa: E402
from tap import Test  # noqa: E402

ARBITERS = {"act-m": "manual", "act-e": "exec:/usr/local/bin/arbiter-exec"}
MANUAL = "act-m"
PORTS = {name: 7700 + number for number, name in enumerate(ARBITERS)}
OPTIONS = ("--interval", "500ms", "--timeout", "5s")
REFUSED = 10  # exit status: the primary is not known to be fenced


def activate(test, *more):
    return test.lab.run("b", "replicator", "activate", MANUAL, "--timeout", "600s", *more, check=False)


def is_announced(test, name):
    """By frames that no guest sends: RARP, and ARP and an advertisement of addresses that it doesn't know."""
    mac, (ipv4, ipv6) = guests.mac(name), guests.known_to_xl(name)
    wanted = {("b", "rarp", mac, ""), ("b", "arp", mac, ipv4), ("b", "na", mac, ipv6)}
    heard = test.observer.announced
    came = test.observer.wait(lambda: wanted <= set(heard), 300)
    test.check(came, f"{name} is announced from b: RARP, gratuitous ARP, neighbour advertisement", str(set(heard)))


def is_ordinary(test, name):
    rows = [row.split() for row in test.lab.sh("b", "xl list -v").splitlines() if row.startswith(name)]
    test.check(len(rows) == 1 and rows[0][0] == name and guests.uuid_of(name) in rows[0] and "p" not in rows[0][4],
               f"{name} on b has its name and its UUID, and runs", str(rows))
    vifs = test.lab.sh("b", f"xl network-list {name}")
    test.check(guests.mac(name) in vifs, f"{name} on b has its interface", vifs)


def has_console(test, name):
    """What the kernel says to `xl sysrq` is read by `xl console`."""
    console = test.lab.begin("b", "xl", "console", name)
    console.connection.settimeout(300)
    said = b""
    try:
        while b"sysrq" not in said:
            if not said:
                test.lab.run("b", "xl", "sysrq", name, "h")
            kind, body = console.next()
            said += body if kind == b"o" else b""
            if kind == b"x":
                break
    except (remote.Lost, socket.timeout) as why:
        test.say(repr(why))
    console.close()
    test.check(b"sysrq" in said, f"xl console shows what {name} says", repr(said))


def reboots(test, name, receiver):
    """The xl that the activation leaves behind acts upon it, as for any domain."""
    seen = test.observer.of(name)
    before = seen.boot
    test.lab.run("b", "xl", "reboot", name)
    came = test.observer.wait(lambda: seen.boot != before, 300)
    test.check(came and seen.host == "b", f"{name} boots again on b", test.lab.sh("b", "xl list; cat /var/log/xen/xl-*.log"))
    seen.faults = [fault for fault in seen.faults if "started anew" not in fault]
    test.check(receiver.wait(event="replica_ended", domain=name), f"what held the replica of {name} ends with its reboot",
               receiver.said())


def shuts_down(test, name, receiver):
    done = test.lab.run("b", "xl", "shutdown", "-w", name, check=False)
    test.check(done.returncode == 0, f"xl shutdown ends {name}", done.stderr.decode())
    test.check(receiver.wait(event="replica_ended", domain=name), f"what held the replica of {name} ends with it",
               receiver.said())


def is_protected(test, receivers):
    protectors = {name: service.protect(test.lab, "a", "b", name, *OPTIONS, arbiter=arbiter, port=PORTS[name])
                  for name, arbiter in ARBITERS.items()}
    return all([test.check(one.wait(to="protected"), f"{name} is protected under {ARBITERS[name]}",
                           f"{one.said()}\n# {receivers[name].said()}") for name, one in protectors.items()])


def main(test):
    test.hosts()
    test.lab.sh("a", "rm -rf /host/tokens && mkdir /host/tokens")
    for host in ("a", "b"):
        test.lab.put(host, pathlib.Path(__file__).with_name("arbiter-exec"), "/usr/local/bin")
    observer = test.observe(*ARBITERS)
    for name in ARBITERS:
        test.lab.guest("a", name, "pvh")
        test.check(observer.wait_steps(name, 5), f"{name} runs")
    receivers = {name: service.receive(test.lab, "b", arbiter=arbiter, port=PORTS[name])
                 for name, arbiter in ARBITERS.items()}
    if not is_protected(test, receivers):
        return
    done = activate(test)
    test.check(done.returncode == REFUSED, "while the primary lives nobody activates", done.stderr.decode())
    for name in ARBITERS:
        observer.wait_steps(name, 20)
    test.check(not [one for one in observer.announced if one[1] == "rarp"], "nothing was announced yet")
    test.lab.cut("a")
    test.check(observer.wait_steps("act-e", 20, host="b"), "the program grants: the guest goes on by itself",
               receivers["act-e"].said())
    done = activate(test)
    test.check(done.returncode == REFUSED and observer.of(MANUAL).host == "a",
               "nobody activates without a word on who fenced the primary", done.stderr.decode())
    done = activate(test, "--fenced-by", "somebody who pulled the plug")
    test.check(done.returncode == 0 and observer.wait_steps(MANUAL, 20, host="b"),
               "on a person's word the guest goes on", f"{done.stderr.decode()} {receivers[MANUAL].said()}")
    for name, receiver in receivers.items():
        is_announced(test, name)
        is_ordinary(test, name)
        has_console(test, name)
    reboots(test, "act-e", receivers["act-e"])
    shuts_down(test, MANUAL, receivers[MANUAL])
    test.check_seen("nothing was lost, taken back or torn")


with Test("activate") as one:
    main(one)
