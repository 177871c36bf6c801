#!/usr/bin/env python3
"""Stands between primary and backup on unix sockets, reads the stream as it passes, and can hold it.

usage: overflow_tap.py LISTEN TARGET PRIMARY-CONTROL-SOCKET PAGE-BUFFER

A guest that dirties more than the page buffer holds: the epoch comes as two batches, and the guest is
paused until the first is out, not until the second is. Seen by holding the stream in each of them: the
guest's own output, which piles up in front of its plug, grows exactly while it runs.
"""
import json
import os
import socket
import struct
import sys
import threading
import time

HEADERS, RECORD = 40, struct.Struct("<II")
CHUNK, EPOCH_BEGIN, EPOCH_END = 0x52500001, 0x52500002, 0x52500003
DEADLINE_S = 30
SAMPLES = 25


class Tap:
    """The relay. `hold_at` names a batch: the stream stops before its next first chunk."""

    def __init__(self, upstream, downstream):
        self.upstream, self.downstream = upstream, downstream
        self.changed = threading.Condition()
        self.hold_at = None
        self.is_held = False
        self.ends = []      # (pages, batches, {batch: pages}) of each whole epoch
        self.batches = {}
        for work in (self.forth, self.back):
            threading.Thread(target=work, daemon=True).start()

    def back(self):
        while octets := self.downstream.recv(1 << 16):
            self.upstream.sendall(octets)
        os._exit(1)

    def exactly(self, n):
        got = bytearray()
        while len(got) < n:
            octets = self.upstream.recv(n - len(got))
            if not octets:
                os._exit(1)
            got += octets
        return bytes(got)

    def forth(self):
        self.downstream.sendall(self.exactly(HEADERS))
        while True:
            head = self.exactly(RECORD.size)
            kind, length = RECORD.unpack(head)
            body = self.exactly((length + 7) & ~7)
            self.look(kind, body)
            self.downstream.sendall(head + body)

    def look(self, kind, body):
        with self.changed:
            if kind == EPOCH_BEGIN:
                self.batches = {}
            elif kind == CHUNK:
                pages, batch = struct.unpack_from("<II", body)
                if batch == self.hold_at and batch not in self.batches:
                    self.is_held = True
                    self.changed.notify_all()
                    self.changed.wait_for(lambda: not self.is_held)
                self.batches[batch] = self.batches.get(batch, 0) + pages
            elif kind == EPOCH_END:
                _, pages, _, _, batches, _, _ = struct.unpack_from("<QQQIIII", body)
                self.ends.append((pages, batches, self.batches))
                self.changed.notify_all()

    def hold(self, batch):
        with self.changed:
            self.hold_at = batch
            return self.changed.wait_for(lambda: self.is_held, DEADLINE_S)

    def go_on(self):
        with self.changed:
            self.hold_at = None
            self.is_held = False
            self.changed.notify_all()

    def await_epochs(self, n):
        with self.changed:
            want = len(self.ends) + n
            return self.changed.wait_for(lambda: len(self.ends) >= want, DEADLINE_S)


class Primary:
    def __init__(self, path):
        self.file = socket.socket(socket.AF_UNIX)
        self.file.connect(path)
        self.file = self.file.makefile("rw")

    def status(self):
        self.file.write('{"op":"status"}\n')
        self.file.flush()
        return json.loads(self.file.readline())

    def held_frames(self):
        return self.status()["netbuf"]["held_frames"]


CLAIMS = 0


def claim(sentence, is_so):
    global CLAIMS
    CLAIMS += 1
    print(f"{'ok' if is_so else 'not ok'} {CLAIMS} - {sentence}", flush=True)
    if not is_so:
        sys.exit(1)


def main():
    listen_at, target, control, page_buffer = sys.argv[1:4] + [int(sys.argv[4])]
    listener, downstream = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
    listener.bind(listen_at)
    listener.listen(1)
    print("# tap: ready", flush=True)
    upstream, _ = listener.accept()
    downstream.connect(target)
    tap = Tap(upstream, downstream)

    claim("epochs pass though they don't fit the page buffer", tap.await_epochs(5))
    primary = Primary(control)
    pages, batches, seen = tap.ends[-1]
    claim(f"an epoch of {pages} pages says that it came in two batches", pages > page_buffer and batches == 2)
    claim("the stream shows the two: a full buffer, then the rest",
          seen == {1: page_buffer, 2: pages - page_buffer})

    claim("the stream is held in the first batch", tap.hold(1))
    end = time.monotonic() + DEADLINE_S
    still = 0
    before = primary.held_frames()
    while still < SAMPLES and time.monotonic() < end: # it may send until buffers on the way are full
        time.sleep(0.02)
        now = primary.held_frames()
        still = still + 1 if now == before else 0
        before = now
    claim("the guest stands still while the first batch is not out", still == SAMPLES)
    tap.go_on()

    claim("the stream is held in the second batch", tap.hold(2))
    before = primary.held_frames()
    while primary.held_frames() < before + 20 and time.monotonic() < end:
        time.sleep(0.01)
    claim("the guest runs while the second batch is not out", primary.held_frames() >= before + 20)
    tap.go_on()
    claim("and goes on being protected", tap.await_epochs(5) and primary.status()["protected"])


main()
