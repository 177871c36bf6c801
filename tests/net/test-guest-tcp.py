#!/usr/bin/env python3
"""The simulated guest's own TCP (workload=tcp) and the kernel's: over IPv4 and IPv6, on a wire that loses,
repeats and swaps frames, with a peer that does not read, with more connections than it takes."""
import hashlib
import os
import socket
import struct
import sys
import threading

sys.path.insert(0, os.path.dirname(__file__))
from hosts import Hosts  # noqa: E402
from lab import in_namespace, ip, main, run  # noqa: E402

GUEST, CLIENT = "10.0.0.7", "10.0.0.9"
SLOTS = 8  # GUEST_SIM_TCP_CONNECTIONS
TIMEOUT_S = 120


class Scene:
    """One guest that nobody protects, so that nothing is held, and a client."""

    def __init__(self):
        self.hosts = Hosts(("one", "two"), client="outside")
        try:
            self.start()
        except BaseException:
            self.hosts.close()
            raise

    def start(self):
        run("ip", "netns", "exec", "outside", "sysctl", "-q", "net.ipv6.conf.all.disable_ipv6=0",
            "net.ipv6.conf.e0.disable_ipv6=0", "net.ipv6.conf.e0.accept_dad=0")
        ip("-n", "outside", "addr", "add", f"{CLIENT}/24", "dev", "e0")
        Hosts.until("own IPv6 address", lambda: "fe80" in self.own6() and "tentative" not in self.own6())
        self.hosts.start("one", "protect", "protect",
                         f"sim:web1?mib=16&workload=tcp&dirty=300&nic=tap:tap0&ip={GUEST}", "--to", "unix:/nowhere")
        Hosts.until("guest", lambda: "to=unprotected" in self.hosts.log("protect"))
        self.outside("ping", "-c", "3", "-i", "0.2", "-W", "60", GUEST)
        mac = run("ip", "-n", "outside", "neigh", "show", GUEST).split("lladdr ")[1].split()[0]
        octets = bytearray.fromhex(mac.replace(":", ""))
        octets[0] ^= 2
        whole = bytes([0xfe, 0x80] + [0] * 6) + bytes(octets[:3]) + b"\xff\xfe" + bytes(octets[3:])
        self.guest6 = socket.inet_ntop(socket.AF_INET6, whole)

    @staticmethod
    def own6():
        return run("ip", "-n", "outside", "-6", "addr", "show", "dev", "e0")

    @staticmethod
    def outside(*words):
        return run("ip", "netns", "exec", "outside", *words)

    def connect(self, family=socket.AF_INET, port=7):
        s = in_namespace("outside", lambda: socket.socket(family, socket.SOCK_STREAM))
        s.settimeout(TIMEOUT_S)
        index = in_namespace("outside", lambda: socket.if_nametoindex("e0"))
        s.connect((GUEST, port) if family == socket.AF_INET else (self.guest6, port, 0, index))
        return s

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.hosts.close()


def stream(count):
    return b"".join(hashlib.sha256(struct.pack("!Q", i)).digest() for i in range((count + 31) // 32))[:count]


def echo(s, count):
    """Sends so many octets, then its end; all of it comes back, then the guest's end."""
    wanted, got = stream(count), bytearray()
    sender = threading.Thread(target=lambda: (s.sendall(wanted), s.shutdown(socket.SHUT_WR)), daemon=True)
    sender.start()
    while chunk := s.recv(65536):
        got += chunk
    sender.join()
    s.close()
    assert bytes(got) == wanted, f"{len(got)} octets of {count} came back, or others"


def test_pings_are_answered_over_both_protocols():
    with Scene() as scene:
        said = scene.outside("ping", "-6", "-c", "3", "-i", "0.2", "-W", "60", f"{scene.guest6}%e0")
        assert " 0% packet loss" in said, said


def test_streams_come_back_over_both_protocols():
    with Scene() as scene:
        echo(scene.connect(), 1)
        echo(scene.connect(), 1_000_000)
        echo(scene.connect(socket.AF_INET6), 300_000)


def test_streams_come_back_over_a_wire_that_loses_repeats_and_swaps():
    with Scene() as scene:
        run("modprobe", "sch_netem")
        how = ("netem", "delay", "4ms", "3ms", "loss", "3%", "duplicate", "3%", "reorder", "20%")
        for ns, link in (("outside", "e0"), ("wire", "pc")):
            run("tc", "-n", ns, "qdisc", "add", "dev", link, "root", *how)
        echo(scene.connect(), 200_000)
        echo(scene.connect(socket.AF_INET6), 50_000)
        said = scene.outside("tc", "-s", "qdisc", "show", "dev", "e0")
    return " ".join(said.split("Sent")[1].split(")")[0].split()) + ")"


def test_a_peer_that_does_not_read_is_waited_for():
    with Scene() as scene:
        s = scene.connect()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.settimeout(2)
        sent = 0
        try:  # until nobody takes any more
            while True:
                sent += s.send(stream(1000))
        except TimeoutError:
            pass
        assert sent > 16384, f"only {sent} octets were taken"
        s.settimeout(TIMEOUT_S)
        got = 0
        s.shutdown(socket.SHUT_WR)
        while chunk := s.recv(4096):
            got += len(chunk)
        assert got == sent, f"{got} of {sent} octets came back"
    return f"{sent} octets"


def test_more_connections_than_there_are_slots_are_refused_and_a_slot_comes_back():
    with Scene() as scene:
        held = [scene.connect() for _ in range(SLOTS)]
        for family, port in ((socket.AF_INET, 7), (socket.AF_INET, 8)):
            try:
                scene.connect(family, port)
                raise AssertionError(f"port {port} was not refused")
            except ConnectionRefusedError:
                pass
        echo(held.pop(), 1000)
        echo(scene.connect(), 1000)
        for s in held:
            echo(s, 1000)


if __name__ == "__main__":
    main(globals())
