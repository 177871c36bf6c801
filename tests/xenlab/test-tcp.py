#!/usr/bin/env python3
"""Two TCP connections from outside to a guest live through power cuts of the host that it runs on. Both ends
are a kernel's own TCP. On one the guest sends a sequence without end, on the other it sends back what it
gets; every octet is compared, and a reset or an end is a failure.

CUTS=N power cuts (2), SEED=N."""

import array
import fcntl
import os
import random
import select
import socket
import sys
import termios
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import guests  # noqa: E402
import service  # noqa: E402
from observer import mix  # noqa: E402
from tap import Test  # noqa: E402

CUTS = int(os.environ.get("CUTS", "2"))
SEED = int(os.environ.get("SEED", "0")) or int(time.time())
NAME = "tcp-p"
OPTIONS = ("--interval", "500ms", "--timeout", "5s")
OTHER = {"a": "b", "b": "a"}
SOURCE, ECHO = 5000, 5001  # ports of guest/workload.c
ROOM = 32 << 10            # octets of a connection that are on their way at most, about
ENOUGH = 64 << 10          # octets after which a connection surely goes on


def sequence(at, count):
    """Octets of what SOURCE sends, and we send to ECHO: mix(0), mix(1) … as words of 8."""
    first = at // 8
    words = array.array("Q", (mix(i) for i in range(first, (at + count - 1) // 8 + 1)))
    if sys.byteorder == "big":
        words.byteswap()
    return words.tobytes()[at - first * 8:][:count]


class Connection(threading.Thread):
    """Reads and compares from its making on; sends, if at all, never more than `ahead` octets before they
    have come back."""

    def __init__(self, lab, port, ahead):
        super().__init__(daemon=True)
        with lab.network():
            self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, ROOM)
        self.socket.connect((guests.ip(NAME), port))
        self.socket.setblocking(False)
        self.sent = self.received = 0
        self.ahead, self.port = ahead, port
        self.failure = None
        self.is_ending = self.has_ended = False
        self.changed = threading.Condition()
        self.wake, self.waker = socket.socketpair()
        self.start()

    def run(self):
        try:
            while not self.has_ended:
                self.turn()
        except (OSError, AssertionError) as why:
            self.failure = why
        with self.changed:
            self.changed.notify_all()

    def turn(self):
        room = 0 if self.is_ending else self.ahead - (self.sent - self.received)
        ready, may_send, _ = select.select([self.socket, self.wake], [self.socket] if room > 0 else [], [])
        if may_send:
            self.sent += self.socket.send(sequence(self.sent, min(room, 8192)))
        if self.wake in ready:
            self.wake.recv(1)
            self.socket.shutdown(socket.SHUT_WR)
        if self.socket in ready:
            with self.changed:
                self.take(self.socket.recv(65536))
                self.changed.notify_all()

    def take(self, octets):
        if not octets:
            assert self.is_ending, f"the guest ended the connection after {self.received} octets"
            self.has_ended = True
        else:
            assert octets == sequence(self.received, len(octets)), \
                f"octets {self.received} to {self.received + len(octets)} are not what they should be"
            self.received += len(octets)

    def wait(self, condition, seconds=600):
        with self.changed:
            self.changed.wait_for(lambda: condition() or self.failure, seconds)
            return condition() and not self.failure

    def wait_more(self, octets):
        start = self.received
        return self.wait(lambda: self.received >= start + octets)

    def unacknowledged(self):
        """Octets that the kernel holds, because the guest's kernel has not said that it has them."""
        count = array.array("i", [0])
        fcntl.ioctl(self.socket, termios.TIOCOUTQ, count)
        return count[0]

    def end(self):
        """True when all came back that was ever sent, and then the guest's end."""
        self.is_ending = True
        self.waker.send(b"x")
        return self.wait(lambda: self.has_ended) and self.received == self.sent

    def said(self):
        return f"port {self.port}: sent {self.sent}, received {self.received}: {self.failure or 'no failure'}"


def cut_once(test, words, primary, rng, source, echo):
    lab, observer, backup = test.lab, test.observer, OTHER[primary]
    receiver = service.receive(lab, backup)
    protector = service.protect(lab, primary, backup, NAME, *OPTIONS)
    if not test.check(protector.wait(to="protected"), f"{words}: protected before",
                      f"{protector.said()}\n# {receiver.said()}"):
        return False
    went_on = all(one.wait_more(ENOUGH) for one in (source, echo))
    test.check(went_on, f"{words}: both connections go on while the guest is protected",
               f"{source.said()}\n# {echo.said()}")
    observer.wait_steps(NAME, rng.randrange(1, 40), host=primary)
    lab.cut(primary)
    there, back = echo.unacknowledged(), echo.sent - echo.received
    test.check(there > 0 and back > 0, f"{words}: octets were on their way, both ways",
               f"{there} not acknowledged, {back} not sent back")
    heard = observer.wait_steps(NAME, 10, host=backup)
    test.check(heard, f"{words}: the guest goes on on {backup}", receiver.said())
    for one, what in ((source, "from the guest"), (echo, "to the guest and back")):
        test.check(heard and one.wait_more(ENOUGH), f"{words}: the connection {what} goes on, every octet right",
                   one.said())
    if heard:
        test.say(f"{words}: {there} octets were not acknowledged, {back} not sent back; "
                 f"silence {observer.of(NAME).changes[-1][3]:.2f} s")
    return heard and not source.failure and not echo.failure


def main(test):
    test.say(f"SEED={SEED}")
    rng = random.Random(SEED)
    test.hosts()
    test.lab.sh("a", "rm -rf /host/arbiter && mkdir /host/arbiter")
    observer = test.observe(NAME)
    test.lab.guest("a", NAME, "pvh")
    if not test.check(observer.wait_steps(NAME, 5), "the guest runs"):
        return
    source, echo = Connection(test.lab, SOURCE, 0), Connection(test.lab, ECHO, ROOM)
    primary = "a"
    for number in range(CUTS):
        if number:
            test.lab.start(OTHER[primary])
        if not cut_once(test, f"power cut {number + 1}", primary, rng, source, echo):
            return
        primary = OTHER[primary]
    test.check(echo.end(), "all that was ever sent came back, then the connection ended in order", echo.said())
    test.check_seen("nothing else that the guest said was lost, taken back or torn")
    test.say(f"{source.received} octets from the guest, {echo.received} to it and back")


with Test("tcp") as one:
    main(one)
