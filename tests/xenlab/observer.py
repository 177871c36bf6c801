"""observer — what is seen outside of the guests of a lab: every frame, and the host it came from.

It listens where the hosts' guest bridges are plugged in, so that it hears what a switch would hear,
from each host by itself. Each message of the workload (guest/workload.c) is judged as it comes:
nothing is ever taken back or said twice, nothing is left out while one host has the guest, the chain
is whole, no page was torn, and its disk holds what it must. Across a change of host messages may be
missing (output held back for a commit that never came), and their number is told.
"""

import collections
import select
import socket
import struct
import threading
import time

from guests import mac as guest_mac

PORT = 9000
REPORT = struct.Struct("<8s9Q")
MAGIC = b"rpwork1\0"
ETH_P_ALL = 3
SO_ATTACH_FILTER, SO_RCVBUFFORCE = 26, 33
PACKET_OUTGOING = 4
RECENT = 400                    # frames that are kept for who looks for a fault
M64 = (1 << 64) - 1
# Frames whose sender's MAC starts with Xen's 00:16:3e, but no TCP.
FILTER = ((0x20, 0, 0, 6), (0x54, 0, 0, 0xFFFFFF00), (0x15, 0, 5, 0x00163E00), (0x28, 0, 0, 12),
          (0x15, 0, 2, 0x0800), (0x30, 0, 0, 23), (0x15, 1, 0, 6), (0x6, 0, 0, 256), (0x6, 0, 0, 0))


def mix(x):
    x = (x + 0x9E3779B97F4A7C15) & M64
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & M64
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & M64
    return x ^ (x >> 31)


def announcement(frame):
    """("rarp", MAC, ""), ("arp", MAC, its IPv4 address) or ("na", MAC, its IPv6 address); or None."""
    mac, kind, body = frame[6:12].hex(":"), frame[12:14], frame[14:]
    if kind == b"\x80\x35":
        return "rarp", mac, ""
    if kind == b"\x08\x06" and len(body) >= 28 and body[14:18] == body[24:28]:  # asks for itself
        return "arp", mac, socket.inet_ntoa(body[14:18])
    if kind == b"\x86\xdd" and len(body) >= 64 and body[6] == 58 and body[40] == 136:
        return "na", mac, socket.inet_ntop(socket.AF_INET6, body[48:64])
    return None


class Seen:
    """What one guest has said, and what is wrong with it (faults: sentences)."""

    def __init__(self, name):
        self.name = name
        self.host = self.boot = None
        self.step = self.chain = self.messages = self.blocks = 0
        self.newest = {}        # by host: the last step that was heard from it
        self.every = None
        self.last = 0.0         # when it was heard, time.monotonic()
        self.mono_ns = self.tsc = 0
        self.questions = 0      # for addresses (ARP), since the last message
        self.changes = []       # (from, to, messages missing, seconds of silence, messages before)
        self.gaps = []          # tsc ticks, the longest pause that the guest saw before each message
        self.faults = []
        self.recent = collections.deque(maxlen=RECENT)  # (seconds, host, step or the frame's first octets)

    def fault(self, text):
        if len(self.faults) < 20:
            self.faults.append(f"{self.name}: {text}")

    def hear(self, host, when, report):
        _, boot, step, chain, bad, mono_ns, tsc, gap, blocks, blocks_bad = report
        if bad:
            self.fault(f"{bad} pages torn at step {step}")
        if blocks_bad:
            self.fault(f"{blocks_bad} of {blocks} blocks of its disk wrong at step {step}")
        if self.boot is None or boot != self.boot:
            if self.boot is not None:
                self.fault(f"started anew, at step {step} on host {host}")
        else:
            self.follow(host, when, step, chain)
        self.host, self.boot, self.step, self.chain, self.last = host, boot, step, chain, when
        self.mono_ns, self.tsc, self.blocks = mono_ns, tsc, blocks
        self.newest[host] = step
        self.messages += 1
        self.questions = 0
        self.gaps.append(gap)

    def follow(self, host, when, step, chain):
        if step <= self.step:
            self.fault(f"step {step} from host {host} after step {self.step} from host {self.host}")
            return
        self.every = self.every or step - self.step
        missing = (step - self.step) // self.every - 1
        if host != self.host:
            self.changes.append((self.host, host, missing, when - self.last, self.messages))
        elif missing:
            since = f", {self.messages - self.changes[-1][4]} messages after it came there" if self.changes else ""
            self.fault(f"{missing} messages missing before step {step} from host {host}, {when - self.last:.2f} s after the "
                       f"one before{since}; {self.questions} questions for addresses in between")
        expected = self.chain
        for at in range(self.step + 1, step + 1):
            expected = mix(expected ^ at)
        if expected != chain:
            self.fault(f"the chain is broken at step {step} from host {host}")


class Observer:
    """Listens from its making to close(). guests: addresses and what they are called."""

    def __init__(self, lab, guests):
        self.seen = {address: Seen(name) for name, address in guests.items()}
        self.by_mac = {guest_mac(seen.name): seen for seen in self.seen.values()}
        self.frames = {"a": 0, "b": 0}
        self.announced = []     # (host, kind, MAC, address or "") of what tells switches and neighbours
        self.changed = threading.Condition()
        self.sockets = {}
        with lab.network():
            for host in self.frames:
                self.sockets[self.listen(f"{host}1")] = host
            # So that the guests aren't told that nobody listens.
            self.sink = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sink.bind(("", PORT))
        self.ends, self.end = socket.socketpair()
        self.thread = threading.Thread(target=self.loop, daemon=True)
        self.thread.start()

    @staticmethod
    def listen(interface):
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        code = b"".join(struct.pack("=HBBI", *one) for one in FILTER)
        import ctypes
        buffer = ctypes.create_string_buffer(code)
        sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER,
                        struct.pack("HL", len(FILTER), ctypes.addressof(buffer)))
        sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 32 << 20)
        sock.bind((interface, ETH_P_ALL))
        return sock

    def loop(self):
        while True:
            ready = select.select([self.ends, *self.sockets], [], [])[0]
            if self.ends in ready:
                return
            with self.changed:
                for sock in ready:
                    self.hear(self.sockets[sock], *sock.recvfrom(2048))
                self.changed.notify_all()

    def hear(self, host, frame, source):
        if source[2] == PACKET_OUTGOING:  # on its way to the host
            return
        self.frames[host] += 1
        if kind := announcement(frame):
            self.announced.append((host, *kind))
        if seen := self.by_mac.get(frame[6:12].hex(":")):
            seen.recent.append((time.monotonic(), host, self.step_of(frame) or frame[12:42].hex()))
        if frame[12:14] == b"\x08\x06" and (seen := self.seen.get(socket.inet_ntoa(frame[28:32]))):
            seen.questions += 1
        if not self.step_of(frame):
            return
        seen = self.seen.get(socket.inet_ntoa(frame[26:30]))
        report = REPORT.unpack_from(frame, 42)
        if seen and report[0] == MAGIC:
            seen.hear(host, time.monotonic(), report)

    @staticmethod
    def step_of(frame):
        """Of a message of the workload; None: it is another frame."""
        if len(frame) < 42 + REPORT.size or frame[12:14] != b"\x08\x00" or frame[23] != 17 or \
                frame[36:38] != struct.pack(">H", PORT):
            return None
        return REPORT.unpack_from(frame, 42)[2]

    def of(self, name):
        return next(seen for seen in self.seen.values() if seen.name == name)

    def wait(self, condition, seconds):
        """Until the condition (of nothing) holds; False when it didn't in so many seconds."""
        with self.changed:
            return self.changed.wait_for(condition, seconds)

    def wait_steps(self, name, messages, seconds=300, host=None):
        """Until a guest has said so many more, from `host` where one is given."""
        seen = self.of(name)
        with self.changed:
            start = [seen.messages]

            def enough():
                if host and seen.host != host:
                    start[0] = seen.messages
                return seen.messages >= start[0] + messages
            return self.changed.wait_for(enough, seconds)

    def wait_quiet(self, seconds):
        """Until a guest was heard, and then nobody for so long."""
        with self.changed:
            self.changed.wait()
            while self.changed.wait(seconds):
                pass

    def faults(self):
        with self.changed:
            return [fault for seen in self.seen.values() for fault in seen.faults]

    def close(self):
        self.end.send(b"x")
        self.thread.join()
        for sock in (*self.sockets, self.sink, self.ends, self.end):
            sock.close()
