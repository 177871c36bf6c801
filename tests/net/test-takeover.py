#!/usr/bin/env python3
"""Two hosts in two namespaces, a simulated guest on a TAP, its output in the kernel's plug: the primary is
killed, the backup goes on, and an observer on the wire judges every frame. FAILOVERS=n (10)."""
import json
import os
import socket
import struct
import sys

sys.path.insert(0, os.path.dirname(__file__))
from hosts import Hosts  # noqa: E402
from lab import ETH_P_ALL, SO_RCVBUFFORCE, in_namespace, main, run  # noqa: E402

FAILOVERS = int(os.environ.get("FAILOVERS", "10"))
AT_THE_ACK = 3
FRAME = struct.Struct("<QQBBHIQQQQQ")
ACK = struct.Struct("<QQB7xQ")
FRAME_MAGIC, ACK_MAGIC = 0x31454D4152465052, 0x314B434152465052
ETHERTYPE = b"\x88\xb5"


class Judge:
    """Sees every frame on the wire and answers it; what it saw must never be taken back."""

    def __init__(self):
        def make():
            s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
            s.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 16 << 20)
            s.bind(("sw", ETH_P_ALL))
            s.setblocking(False)
            return s

        self.socket = in_namespace("wire", make)
        self.chains, self.boot, self.frames, self.newest, self.complete = {}, 0, 0, 0, 0

    def take(self, data):
        magic, domain, vcpu, _, _, boot, _, seq, chain, _, _ = FRAME.unpack_from(data, 14)
        if magic != FRAME_MAGIC:
            return
        assert boot >= self.boot, f"the loser spoke: boot {boot} after {self.boot}"
        self.boot = boot
        known = self.chains.setdefault(seq, chain)
        assert known == chain, f"payload {seq} was taken back"
        self.newest = max(self.newest, seq)
        self.frames += 1
        while self.complete + 1 in self.chains:
            self.complete += 1
        # An acknowledgement is for all before it: it must not cover what died in the loser's plug.
        ack = ACK.pack(ACK_MAGIC, domain, vcpu, self.complete)
        self.socket.send(data[6:12] + b"\x06\0\0\0\0\x01" + ETHERTYPE + ack)

    def look(self):
        while True:
            try:
                data, about = self.socket.recvfrom(4096)
            except BlockingIOError:
                return
            if about[2] != socket.PACKET_OUTGOING and data[12:14] == ETHERTYPE and len(data) >= 78:
                self.take(data)

    def until(self, what, claim):
        Hosts.until(f"{what} (boot {self.boot}, up to {self.complete} of {self.newest})", claim, self.look)


def begin(hosts, judge, seed, failpoint=None):
    """A guest on "prim", with a backup; the primary's process, and whether it protects."""
    tokens = f"{hosts.folder}/tokens"
    os.mkdir(tokens)
    hosts.start("back", "receive", "receive", "--listen", f"unix:{hosts.folder}/link", "--arbiter",
                f"file:{tokens}")
    judge.until("listener", lambda: os.path.exists(f"{hosts.folder}/link"))
    primary = hosts.start("prim", "protect", "protect",
                          f"sim:web1?mib=16&workload=web&dirty=300&seed={seed}&nic=tap:tap0", "--to",
                          f"unix:{hosts.folder}/link", "--interval", "40ms", "--timeout", "600ms", "--arbiter",
                          f"file:{tokens}", failpoint=failpoint)

    def is_protected():
        assert primary.poll() is None, hosts.log("protect")
        return hosts.ask("prim", "status", "web1", "--exit-code")[0] == 8

    return primary, is_protected


def one_failover(number, failpoint=None):
    """The primary dies of a signal from here, or by itself at a failpoint."""
    hosts = Hosts(("prim", "back"))
    try:
        judge = Judge()
        primary, is_protected = begin(hosts, judge, number, failpoint)
        if failpoint:
            judge.until("death", lambda: primary.poll() is not None)
        else:
            judge.until("protection", is_protected)
            before = judge.frames
            judge.until("output of a protected guest", lambda: judge.frames > before + 20 + 7 * (number % 5))
            _, said = hosts.ask("prim", "netbuf", "list", "--json")
            assert '"mode":"holding"' in said and '"process":"runs"' in said, said
            primary.kill()
        judge.until("frame of the activated guest", lambda: judge.boot == 2)
        after = judge.newest
        judge.until("progress of the activated guest", lambda: judge.newest > after + 30)
        # What was held when the primary died is gone, and the guest says it again.
        judge.until("payload that is missing", lambda: judge.complete >= after)
        status, said = hosts.ask("prim", "netbuf", "cleanup")
        assert status == 2, said
        assert hosts.ask("prim", "netbuf", "cleanup", "--drop")[0] == 0
        judge.look()
        return judge.frames
    except AssertionError as why:
        raise AssertionError(f"{why}\n{hosts.log('receive')}\n{hosts.log('protect')}") from None
    finally:
        hosts.close()


def test_failovers_take_nothing_back_and_lose_nothing():
    frames = sum(one_failover(i) for i in range(FAILOVERS))
    return f"{FAILOVERS} failovers, {frames} frames judged"


def test_a_switchover_leaves_nothing_on_the_host_that_the_guest_left():
    hosts = Hosts(("prim", "back"))
    try:
        judge = Judge()
        primary, is_protected = begin(hosts, judge, 1)
        judge.until("protection", is_protected)
        before = judge.frames
        judge.until("output of a protected guest", lambda: judge.frames > before + 20)
        status, said = hosts.ask("prim", "switchover", "web1")
        assert status == 0, said
        # At once: whoever moves guests may look the moment that the command says it is done.
        left = json.loads(hosts.ask("prim", "netbuf", "list", "--json")[1])["netbufs"]
        links = run("ip", "-n", "prim", "-o", "link", "show", "type", "ifb")
        assert not left and not links, f"{left} {links}"
        assert primary.wait() == 0, hosts.log("protect")
        judge.until("frame of the activated guest", lambda: judge.boot == 2)
        after = judge.newest
        judge.until("payload that is missing", lambda: judge.complete >= after)
    finally:
        hosts.close()


def test_what_was_acknowledged_and_still_held_when_the_primary_died_is_said_again():
    frames = sum(one_failover(i, f"lease_check:kill:{30 + i}") for i in range(AT_THE_ACK))
    return f"{AT_THE_ACK} failovers, {frames} frames judged"


if __name__ == "__main__":
    main(globals())
