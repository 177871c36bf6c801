#!/usr/bin/env python3
"""A guest that is activated on another host: the network is told at once and again and again where it is.

    prim: tap0 ─ br0 ─ up0 ── p0 :wire: sw ── p1 ── up1 ─ br0 ─ tap0, port1 :back"""
import json
import os
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(__file__))
from hosts import drop_held  # noqa: E402
from lab import ETH_P_ALL, PROGRAM, SO_RCVBUFFORCE, in_namespace, ip, main, run, silence_ipv6  # noqa: E402

FIRST_GAP_S = 0.05  # ANNOUNCER_GAP_NS_FIRST
SO_TIMESTAMPNS = 35
WAIT_S = 300  # until something that must happen counts as not happening
OTHER = bytes.fromhex("525400123456")
IPV4, IPV6 = socket.inet_aton("10.0.0.7"), socket.inet_pton(socket.AF_INET6, "fd00::7")


def wait_for(what, claim):
    end = time.monotonic() + WAIT_S
    while not claim():
        assert time.monotonic() < end, f"no {what} in {WAIT_S} s"
        time.sleep(0.02)


class Hosts:
    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="announce-")
        self.processes = []
        run("modprobe", "tun")
        for ns in ("prim", "back", "wire"):
            ip("netns", "add", ns)
            in_namespace(ns, silence_ipv6)
        ip("-n", "wire", "link", "add", "sw", "type", "bridge", "mcast_snooping", "0")
        for i, ns in enumerate(("prim", "back")):
            ip("-n", ns, "link", "add", "br0", "type", "bridge", "mcast_snooping", "0")
            ip("-n", ns, "link", "add", f"up{i}", "type", "veth", "peer", "name", f"p{i}", "netns", "wire")
            ip("-n", ns, "tuntap", "add", "dev", "tap0", "mode", "tap")
            for link in (f"up{i}", "tap0"):
                ip("-n", ns, "link", "set", link, "master", "br0", "up")
            ip("-n", ns, "link", "set", "br0", "up")
            ip("-n", "wire", "link", "set", f"p{i}", "master", "sw", "up")
        ip("-n", "back", "link", "add", "port1", "type", "dummy")
        ip("-n", "back", "link", "set", "port1", "master", "br0", "up")
        ip("-n", "wire", "link", "set", "sw", "up")

    def start(self, ns, name, *words):
        with open(f"{self.folder}/{name}.log", "w") as log:
            process = subprocess.Popen(["ip", "netns", "exec", ns, *words, "--run-dir", f"{self.folder}/{ns}"],
                                       stdout=subprocess.DEVNULL, stderr=log)
        self.processes.append(process)
        return process

    def log(self, name):
        with open(f"{self.folder}/{name}.log") as f:
            return f.read()

    def status(self, ns):
        done = subprocess.run(["ip", "netns", "exec", ns, PROGRAM, "status", "web1", "--json", "--run-dir",
                               f"{self.folder}/{ns}"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                              text=True, check=False)
        return json.loads(done.stdout) if done.returncode == 0 else {}

    def close(self):
        for ns in ("prim", "back"):
            for pid in run("ip", "netns", "pids", ns).split():  # ours: nobody else lives there
                os.kill(int(pid), signal.SIGKILL)
            drop_held(ns)
        for p in self.processes:
            p.wait()
        for ns in ("prim", "back", "wire"):
            run("ip", "netns", "del", ns, check=False)
        shutil.rmtree(self.folder)


def listener():
    """Sees what the switch gets from the backup host."""
    def make():
        s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        s.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20)  # the guest speaks as well
        s.bind(("p1", ETH_P_ALL))
        return s

    return in_namespace("wire", make)


def kind_of(frame):
    """What is announced, and whose: only frames that an announcement is made of have a kind."""
    mac, ethertype = frame[6:12], struct.unpack_from("!H", frame, 12)[0]
    if ethertype == 0x8035 and frame[22:28] == mac:
        return "rarp", mac
    if ethertype == 0x0806 and frame[:6] == b"\xff" * 6 and frame[28:32] == frame[38:42] == IPV4:
        return "arp", mac
    if ethertype == 0x86DD and frame[54] == 136 and frame[58] & 0x20 and frame[62:78] == IPV6:
        return "advertisement", mac
    return None, mac


def take_over(hosts, wrapper=()):
    """Protects a guest, kills its primary, and waits for the guest on the other host."""
    tokens = f"{hosts.folder}/tokens"
    os.mkdir(tokens)
    hosts.start("back", "receive", *wrapper, PROGRAM, "receive", "--listen", f"unix:{hosts.folder}/link",
                "--arbiter", f"file:{tokens}", "--announce", f"web1:port1={OTHER.hex(':')}=10.0.0.7,fd00::7",
                "--announce", "other:br0=52:54:00:00:00:99")
    wait_for("listener", lambda: os.path.exists(f"{hosts.folder}/link"))
    primary = hosts.start("prim", "protect", PROGRAM, "protect",
                          "sim:web1?mib=16&workload=counter&dirty=100&nic=tap:tap0", "--to",
                          f"unix:{hosts.folder}/link", "--interval", "50ms", "--timeout", "1s", "--arbiter",
                          f"file:{tokens}")
    wait_for("protection", lambda: hosts.status("prim").get("protected"))
    primary.kill()
    wait_for("activation", lambda: hosts.status("back").get("state") == "active")


def test_an_activation_is_announced_at_once_and_with_growing_gaps():
    hosts = Hosts()
    try:
        heard = listener()
        take_over(hosts)
        wait_for("last round", lambda: hosts.status("back")["announced"]["rounds"] == 9)
        times = {}
        while select.select([heard], [], [], 0)[0]:
            frame, about = heard.recvfrom(2048)
            name, mac = kind_of(frame)
            if about[2] != socket.PACKET_OUTGOING and name:
                times.setdefault((name, mac), []).append(time.monotonic())
        assert {len(t) for t in times.values()} == {9}, {k: len(t) for k, t in times.items()}
        kinds = sorted((name, mac == OTHER) for name, mac in times)
        assert kinds == [("advertisement", True), ("arp", True), ("rarp", False), ("rarp", True)], kinds
        own = [mac for name, mac in times if mac != OTHER][0]
        assert own[0] == 2 and b"\x52\x54\x00\x00\x00\x99" not in [m for _, m in times], "another domain's"
        table = run("ip", "netns", "exec", "back", "bridge", "fdb", "show", "br", "br0")
        assert f"{OTHER.hex(':')} dev port1 master br0" in table, table
        assert f"{own.hex(':')} dev tap0 master br0" in table, table
        assert "permanent" not in [line for line in table.split("\n") if OTHER.hex(":") in line][0], table
        assert 'interfaces=2 reason=""' in hosts.log("receive"), hosts.log("receive")
    except AssertionError as why:
        raise AssertionError(f"{why}\n{hosts.log('receive')}\n{hosts.log('protect')}") from None
    finally:
        hosts.close()


def test_rounds_are_further_apart_each_time():
    """By the kernel's own clock, and by the schedule of netbuf/announcer.h: a round may come late, as on a machine
    that stands still, but never much earlier than twice the gap before says."""
    hosts = Hosts()
    try:
        heard = listener()
        heard.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        take_over(hosts)
        times = []
        while len(times) < 9:
            assert select.select([heard], [], [], WAIT_S)[0], f"{len(times)} rounds of 9"
            frame, notes, _, about = heard.recvmsg(2048, 128)
            if about[2] != socket.PACKET_OUTGOING and kind_of(frame) == ("rarp", OTHER):
                seconds, ns = struct.unpack("qq", notes[0][2])
                times.append(seconds + ns / 1e9)
        gaps = [b - a for a, b in zip(times, times[1:])]
        for number, gap in enumerate(gaps[4:], 4):  # the kernel had waited with the first ones
            assert gap > 0.75 * FIRST_GAP_S * 2 ** number, gaps
    finally:
        hosts.close()
    return "gaps " + ", ".join(f"{g:.2f} s" for g in gaps)


def test_without_the_capability_the_guest_runs_and_the_reason_is_said():
    hosts = Hosts()
    try:
        caps = "-all,+net_admin,+sys_admin,+dac_override"
        take_over(hosts, ("setpriv", "--bounding-set", caps, "--inh-caps", caps))
        wait_for("first round", lambda: hosts.status("back")["announced"]["rounds"] > 0)
        reason = hosts.status("back")["announced"]["reason"]
        assert "CAP_NET_RAW is missing" in reason, reason
        wait_for("a line", lambda: "CAP_NET_RAW is missing" in hosts.log("receive"))
        wait_for("three rounds more", lambda: hosts.status("back")["announced"]["rounds"] > 4)
        assert hosts.log("receive").count("CAP_NET_RAW is missing") == 1, "said more than once"
    except AssertionError as why:
        raise AssertionError(f"{why}\n{hosts.status('back')}\n{hosts.log('receive')}") from None
    finally:
        hosts.close()


if __name__ == "__main__":
    main(globals())
