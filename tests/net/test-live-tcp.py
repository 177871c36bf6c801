#!/usr/bin/env python3
"""A TCP connection from outside to a guest that is protected by two hosts in turn: again and again the host
that runs the guest dies (or sleeps, and wakes up too late), the other goes on and is protected by the one that
lost. The client is the kernel's own TCP: one connection for all of it, and every octet is compared.
FAILOVERS=n (10), SEED=n. A host may speak as the guest only while the newest token is its own."""
import hashlib
import os
import random
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(__file__))
from hosts import Hosts  # noqa: E402
from lab import ETH_P_ALL, SO_RCVBUFFORCE, in_namespace, ip, main, run  # noqa: E402

FAILOVERS = int(os.environ.get("FAILOVERS", "10"))
SEED = int(os.environ.get("SEED", "1"))
GUEST, CLIENT = "10.0.0.7", "10.0.0.9"
SPEC = f"sim:web1?mib=16&workload=tcp&dirty=300&nic=tap:tap0&ip={GUEST}"
TIMING = ("--interval", "40ms", "--timeout", "2s")  # an emulated machine may be silent for a second
ECHO_PORT, REPLICA_PORT = 7, 7000
AHEAD_MAX = 8000           # octets on their way: some segments, and not all of the machine
SO_TIMESTAMPNS = 35
SLEEPS_EVERY = int(os.environ.get("SLEEPS_EVERY", "5"))           # every so often the loser sleeps instead of dying
NAMES = ("one", "two")


def octets(at, count):
    """The stream: a function of the place in it."""
    first, last = at // 32, (at + count - 1) // 32
    blocks = b"".join(hashlib.sha256(struct.pack("!Q", i)).digest() for i in range(first, last + 1))
    return blocks[at % 32:at % 32 + count]


class Client(threading.Thread):
    """Sends the stream and compares what comes back, until finish(); never more than AHEAD_MAX ahead."""

    def __init__(self, namespace):
        super().__init__(daemon=True)
        self.socket = in_namespace(namespace, lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM))
        self.sent = self.echoed = 0
        self.wants_end, self.has_ended, self.failure = False, False, None
        self.wake, self.waker = socket.socketpair()

    def run(self):
        try:
            self.socket.connect((GUEST, ECHO_PORT))
            self.socket.setblocking(False)
            while not self.has_ended:
                self.turn()
        except Exception as why:  # noqa: judged by the main thread
            self.failure = why

    def turn(self):
        may_send = not self.wants_end and self.sent - self.echoed < AHEAD_MAX
        readable, writable, _ = select.select([self.socket, self.wake], [self.socket] if may_send else [], [])
        if writable:
            self.sent += self.socket.send(octets(self.sent, min(4096, AHEAD_MAX - (self.sent - self.echoed))))
        if self.wake in readable:
            self.wake.recv(1)
            self.socket.shutdown(socket.SHUT_WR)
        if self.socket in readable:
            self.take(self.socket.recv(65536))

    def take(self, data):
        if not data:
            assert self.wants_end, f"the guest ended the connection after {self.echoed} octets"
            self.has_ended = True
            return
        assert data == octets(self.echoed, len(data)), f"octets {self.echoed} … +{len(data)} are not what was sent"
        self.echoed += len(data)

    def finish(self):
        self.wants_end = True
        self.waker.send(b"x")


class Watch:
    """Sees what leaves each host, with the kernel's time; judges it by who owned the guest then."""

    def __init__(self, mac):
        self.mac, self.frames, self.resets, self.owners = mac, 0, 0, []
        self.ports = [in_namespace("wire", lambda i=i: self.listen(f"p{i}")) for i in range(2)]
        self.pending = []

    @staticmethod
    def listen(port):
        s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        s.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20)
        s.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        s.bind((port, ETH_P_ALL))
        s.setblocking(False)
        return s

    def look(self):
        for host, port in enumerate(self.ports):
            while True:
                try:
                    data, about, _, address = port.recvmsg(4096, 256)
                except BlockingIOError:
                    break
                if address[2] != socket.PACKET_OUTGOING and data[6:12] == self.mac:
                    seconds, ns = struct.unpack("qq", about[0][2][:16])
                    self.pending.append((seconds * 10**9 + ns, host, data[:54]))
                    self.frames += 1
                    self.resets += data[12:14] == b"\x08\x00" and data[23] == 6 and bool(data[47] & 4)

    def judge(self):
        """Every frame was its host's to send: the newest token before it was that host's."""
        self.look()
        assert self.resets == 0, f"{self.resets} resets left a host"
        for when, host, frame in self.pending:
            since, owner = [one for one in self.owners if one[0] <= when][-1]
            assert host == owner, (f"host {NAMES[host]} spoke as the guest {(when - since) / 1e6:.1f} ms after "
                                   f"{NAMES[owner]} had got it: {frame.hex()}")
        self.pending = []


class World:
    def __init__(self):
        self.hosts = Hosts(NAMES, client="outside")
        self.owner, self.lives = 0, 0
        self.tokens = f"{self.hosts.folder}/tokens"
        os.mkdir(self.tokens)
        ip("-n", "outside", "addr", "add", f"{CLIENT}/24", "dev", "e0")
        self.random = random.Random(SEED)
        self.began = time.monotonic()

    def link(self, number):
        return f"tcp:{Hosts.address(number)}:{REPLICA_PORT}"

    def receive(self, number):
        """The host is ready to be the backup, and to go on from there."""
        self.lives += 1
        self.life = f"{NAMES[number]}-{self.lives}"
        self.hosts.start(NAMES[number], self.life, "receive", "--listen", self.link(number), "--arbiter",
                         f"file:{self.tokens}", "--onward", self.link(1 - number))
        self.until("listener", lambda: "listening on" in self.hosts.log(self.life))

    def until(self, what, claim):
        def look():
            self.watch.look()
            assert self.client.failure is None, f"{what}: the client's connection: {self.client.failure!r}"

        Hosts.until(what, claim, look)

    def token_time(self, known):
        """When the newest token was granted, which was not there before."""
        fresh = set(os.listdir(self.tokens)) - known
        assert len(fresh) == 1, f"{fresh} are new tokens: a failover that nobody asked for?"
        return os.stat(f"{self.tokens}/{fresh.pop()}").st_ctime_ns

    def wait_progress(self, least):
        """So many octets more are sent and come back."""
        goal = self.client.sent + least
        self.until("progress of the stream", lambda: self.client.echoed >= goal)

    def pid_of_primary(self):
        with open(f"{self.hosts.folder}/{NAMES[self.owner]}/primary/web1.lock") as f:
            return int(f.read())

    def wait_active(self, backup):
        self.until("activation", lambda: "from=activating to=active" in self.hosts.log(backup))

    def sleep_and_wake(self, backup):
        """The loser is stopped until the other runs the guest; then it finds out."""
        name, pid = NAMES[self.owner], self.pid_of_primary()
        os.kill(pid, signal.SIGSTOP)
        self.wait_active(backup)
        self.wait_progress(1000)
        os.kill(pid, signal.SIGCONT)
        self.until("fenced loser", lambda: has_ended(pid))
        self.hosts.kill_host(name)

    def fail_over(self, number, newest):
        """The owner dies; the log of the new owner is returned."""
        backup, known = self.life, set(os.listdir(self.tokens))
        self.wait_progress(self.random.randrange(1, 20000))
        if number % SLEEPS_EVERY == SLEEPS_EVERY - 1:
            self.sleep_and_wake(backup)
        else:
            self.hosts.kill_host(NAMES[self.owner])
            self.wait_active(backup)
        loser, self.owner = self.owner, 1 - self.owner
        self.watch.owners.append((self.token_time(known), self.owner))
        self.wait_progress(1000)
        assert self.hosts.ask(NAMES[loser], "netbuf", "cleanup", "--drop")[0] == 0
        self.receive(loser)
        self.until("new protection", lambda: is_protected(self.hosts.log(backup)))
        self.watch.judge()
        return backup

    def start(self):
        self.receive(1)
        self.hosts.start(NAMES[0], "first", "protect", SPEC, "--to", self.link(1), "--arbiter",
                         f"file:{self.tokens}", *TIMING)
        self.until("protection", lambda: is_protected(self.hosts.log("first")))


def is_protected(log):
    return re.search(r"role=primary from=\w+ to=protected", log) is not None


def has_ended(pid):
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


def guest_mac():
    """Of the client's neighbour, as ARP told."""
    said = run("ip", "-n", "outside", "neigh", "show", GUEST)
    return bytes.fromhex(re.search(r"lladdr ([0-9a-f:]+)", said).group(1).replace(":", ""))


def test_a_connection_survives_failovers_without_a_reset_or_a_gap():
    world = World()
    newest = "first"
    try:
        world.watch = Watch(b"\0" * 6)
        world.client = Client("outside")
        world.watch.owners.append((time.time_ns(), 0))
        world.start()
        world.client.start()
        world.wait_progress(1000)
        world.watch.mac = guest_mac()
        for number in range(FAILOVERS):
            newest = world.fail_over(number, newest)
            if os.environ.get("VERBOSE"):
                print(f"# {number + 1}: {NAMES[world.owner]} runs it, {world.client.echoed} octets, {time.monotonic() - world.began:.1f} s", flush=True)
        world.client.finish()
        world.until("end of the stream", lambda: world.client.has_ended)
        world.watch.judge()
        assert world.client.echoed == world.client.sent, "octets are missing at the end"
        said = subprocess.run(["ip", "netns", "exec", "outside", "cat", "/proc/net/snmp"], capture_output=True,
                              text=True, check=True).stdout
        resets = dict(zip(*[line.split()[1:] for line in said.splitlines() if line.startswith("Tcp:")]))
        assert resets["EstabResets"] == "0", "the client's kernel saw a reset"
        return (f"{FAILOVERS} failovers, {world.client.echoed} octets back, {world.watch.frames} frames of the "
                f"guest judged, 0 resets")
    except AssertionError as why:
        raise AssertionError(f"{why}\n" + "".join(f"{name}:\n{world.hosts.log(name)}" for name in (
            newest, world.life))) from None
    finally:
        world.hosts.close()


if __name__ == "__main__":
    main(globals())
