"""service — a replicator process in a host of the lab, followed by its events."""

import json
import threading
import time

import remote

PORT = 7700
PATIENCE = 1500  # seconds: a machine that does many other things is slow, which is no fault


class Service:
    """Runs from its making until it ends, stop(), or its host has no power any more."""

    def __init__(self, lab, host, *argv):
        self.host, self.argv = host, argv
        self.events, self.errors = [], []
        self.status = None  # exit status; "lost" with its host
        self.changed = threading.Condition()
        self.remote = lab.begin(host, *argv)
        self.remote.send(b"")
        self.lab = lab
        self.thread = threading.Thread(target=self.follow, daemon=True)
        self.thread.start()

    def follow(self):
        left = {b"o": b"", b"e": b""}
        try:
            while self.status is None:
                kind, body = self.remote.next()
                if kind == b"x":
                    self.end(body)
                    return
                *lines, left[kind] = (left[kind] + body).split(b"\n")
                for line in lines:
                    self.take(kind, line)
        except (remote.Lost, OSError, ValueError):
            self.end("lost")

    def take(self, kind, line):
        with self.changed:
            if kind == b"o":
                try:
                    self.events.append({**json.loads(line), "heard": time.monotonic()})
                except ValueError:
                    self.errors.append(line.decode(errors="replace"))
            else:
                self.errors.append(line.decode(errors="replace"))
            self.changed.notify_all()

    def end(self, status):
        with self.changed:
            self.status = status
            self.changed.notify_all()

    def find(self, since=0, **words):
        """The newest event with all these words, not one of the first `since`, or None."""
        for event in reversed(self.events[since:]):
            if all(event.get(word) == value for word, value in words.items()):
                return event
        return None

    def wait(self, seconds=PATIENCE, since=0, **words):
        """An event, when it has come or comes; None when the process has ended without it."""
        with self.changed:
            self.changed.wait_for(lambda: self.find(since, **words) or self.status is not None, seconds)
            return self.find(since, **words)

    def wait_said(self, words, seconds=PATIENCE):
        """A line of its standard error with these words, when it has come or comes; None: it has ended without."""
        def find():
            return next((line for line in self.errors if words in line), None)
        with self.changed:
            self.changed.wait_for(lambda: find() or self.status is not None, seconds)
            return find()

    def wait_end(self, seconds=120):
        with self.changed:
            self.changed.wait_for(lambda: self.status is not None, seconds)
            return self.status

    def said(self):
        """Its last words, for a claim that doesn't hold."""
        with self.changed:
            events = [{key: value for key, value in event.items()
                       if key not in ("heard", "status")} for event in self.events[-8:]]
            return f"{self.host}: {' '.join(map(str, self.argv[:3]))}: {self.status}; {events}; " + \
                " / ".join(self.errors[-8:])

    def forget(self):
        """Its connection goes, and it with it where its host has power."""
        self.remote.connection.close()


def program(failpoint):
    """The program's words; with a failpoint (see base/failpoint.h) the build that has them."""
    return ("env", f"REPLICATOR_FAILPOINT={failpoint}", "replicator-test") if failpoint else ("replicator",)


def receive(lab, host, *more, failpoint=None, arbiter="file:/host/arbiter", port=PORT):
    one = Service(lab, host, *program(failpoint), "receive", "--listen", f"tcp:{lab_address(host)}:{port}",
                  "--arbiter", arbiter, "--json", *more)
    one.wait(event="listening")
    return one


def protect(lab, host, to, name, *more, failpoint=None, arbiter="file:/host/arbiter", port=PORT):
    return Service(lab, host, *program(failpoint), "protect", name, "--to", f"tcp:{lab_address(to)}:{port}",
                   "--arbiter", arbiter, "--json", *more)


def lab_address(host):
    return {"a": "10.77.0.1", "b": "10.77.0.2"}[host]
