#!/usr/bin/env python3
"""The network buffer on a real kernel: what is held, what leaves, in which order, and what stays behind."""
import os
import random
import struct
import subprocess
import sys

sys.path.insert(0, os.path.dirname(__file__))
from hosts import Hosts  # noqa: E402
from lab import DRIVER, PROGRAM, Driver, Lab, frame, main, number_of, replicator, run  # noqa: E402


def kinds():
    """One frame of each kind that a guest may send, by name."""
    src, all_ = b"\x02\0\0\0\0\x01", b"\xff" * 6

    def ipv4(payload, to=all_):
        head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), 0, 0, 64, 253, 0,
                           bytes([10, 0, 0, 1]), bytes([10, 0, 0, 2]))
        return to + src + b"\x08\x00" + head + payload

    return {
        "ipv4": ipv4(b"x" * 40),
        "ipv6": all_ + src + b"\x86\xdd" + struct.pack("!IHBB", 6 << 28, 40, 59, 64) + b"\0" * 72,
        "arp": all_ + src + b"\x08\x06" + b"\x00\x01\x08\x00\x06\x04\x00\x01" + b"\0" * 50,
        "vlan": all_ + src + b"\x81\x00\x00\x07\x88\xb5" + b"v" * 60,
        "qinq": all_ + src + b"\x88\xa8\x00\x07\x81\x00\x00\x08\x88\xb5" + b"q" * 60,
        "multicast": b"\x01\x00\x5e\x00\x00\x05" + src + b"\x08\x00" + ipv4(b"m" * 40)[14:],
        "lldp": b"\x01\x80\xc2\x00\x00\x0e" + src + b"\x88\xcc" + b"l" * 60,
        "9000 octets": ipv4(b"j" * 8980),
        "short": all_ + src + b"\x88\xb6" + b"s" * 3,
        "802.3": all_ + src + struct.pack("!H", 46) + b"\xaa\xaa\x03" + b"\0" * 43,
    }


def test_frames_of_every_kind_are_held_and_leave_in_order_once():
    with Lab() as lab, Driver() as d:
        d.open(lab)
        d.do("mark 1")
        d.do("release 1")
        sent = list(kinds().values())
        for one in sent:
            lab.send(one)
        d.do("mark 2")
        assert lab.arrived(0.3) == [], "something left before the release"
        assert d.do("stats")[0] == len(sent), "not all are held"
        d.do("release 2")
        got = lab.arrived(until=len(sent))
        assert got == sent, f"{len(got)} of {len(sent)} left as they were sent: {[k for k, v in kinds().items() if v not in got]}"
        assert lab.arrived(0.2) == [], "something left twice"
        d.do("pass")
        d.do("close")
    return f"{len(sent)} kinds"


def test_large_segments_are_held_and_leave_whole():
    """A TCP stream from the guest, with segmentation left to the network: super-frames."""
    with Lab() as lab, Driver() as d:
        run("ip", "-n", "guest", "addr", "add", "10.9.0.1/24", "dev", "g0")
        run("ip", "-n", "wire", "addr", "add", "10.9.0.2/24", "dev", "w0")
        import lab as lab_module
        import socket
        import threading

        server = lab_module.in_namespace("wire", lambda: socket.create_server(("10.9.0.2", 999)))
        client = lab_module.in_namespace("guest", lambda: socket.create_connection(("10.9.0.2", 999)))
        peer, _ = server.accept()
        d.open(lab)
        d.do("mark 1")
        d.do("release 1")
        data = bytes(random.Random(1).randbytes(4 << 20))
        got = bytearray()
        sender = threading.Thread(target=lambda: (client.sendall(data), client.close()))
        sender.start()
        epoch, before, biggest = 1, 0, 0
        peer.settimeout(0.05)
        while len(got) < len(data):
            held = d.do("stats")
            if held[0]:
                biggest = max(biggest, held[1] // held[0])
            epoch += 1
            d.do(f"mark {epoch}")
            d.do(f"release {epoch}")
            try:
                part = peer.recv(1 << 20)
                got += part
                if not part:
                    break
            except TimeoutError:
                pass
        sender.join()
        assert bytes(got) == data, f"{len(got)} of {len(data)} octets"
        assert biggest > 9100, f"no large segments were held (at most {biggest} octets a frame)"
        d.do("pass")
        d.do("close")
        for s in (server, peer):
            s.close()
    return f"frames of up to {biggest} octets"


def test_nothing_is_held_before_the_first_mark_and_all_after_it():
    with Lab() as lab, Driver() as d:
        d.open(lab)
        lab.send(frame(1))
        assert [number_of(f) for f in lab.arrived(until=1)] == [1]
        d.do("mark 1")
        lab.send(frame(2))
        assert lab.arrived(0.2) == []
        d.do("release 1")
        assert lab.arrived(0.2) == [], "epoch 2 left with epoch 1"
        d.do("mark 2")
        lab.send(frame(3))
        d.do("release 2")
        assert [number_of(f) for f in lab.arrived(until=1)] == [2]
        d.do("pass")
        assert [number_of(f) for f in lab.arrived(until=1)] == [3]
        d.do("close")


def test_a_mark_while_one_is_unreleased_joins_the_later_release():
    with Lab() as lab, Driver() as d:
        d.open(lab)
        d.do("mark 1")
        for epoch in (2, 3, 4):
            lab.send(frame(epoch))
            d.do(f"mark {epoch}")
        d.do("release 3")
        assert lab.arrived(0.2) == [], "released though a later mark had joined"
        d.do("release 4")
        d.do("mark 5")
        d.do("release 5")
        assert [number_of(f) for f in lab.arrived(until=3)] == [2, 3, 4], "a frame is stuck"
        d.do("pass")
        d.do("close")


def test_a_release_after_the_lease_lets_nothing_out():
    with Lab() as lab, Driver() as d:
        d.open(lab)
        d.do("mark 1")
        d.do("release 1")
        lab.send(frame(1))
        d.do("mark 2")
        assert d.say("late 2").startswith("error 62 "), "ETIME"
        assert lab.arrived(0.2) == []
        d.do("pass")
        d.do("close")


def test_dropped_output_never_leaves_and_cannot_be_opened():
    with Lab() as lab, Driver() as d:
        d.open(lab)
        d.do("mark 1")
        lab.send(frame(1))
        d.do("mark 2")
        d.do("drop")
        lab.send(frame(2))
        d.do("release 2")
        d.do("mark 3")
        d.do("release 3")
        assert d.say("pass").startswith("error 1 ")
        held, _, _, dropped = d.do("stats")
        assert lab.arrived(0.3) == []
        assert held == 0 and dropped >= 2, (held, dropped)
        d.do("close")
        lab.send(frame(3))
        assert lab.arrived(0.2) == [], "close opened it"
        assert replicator(lab, "cleanup", "web1", "--drop")[0] == 1, "its process still runs"
        d.kill()
        assert replicator(lab, "cleanup", "web1", "--drop")[0] == 0
        lab.send(frame(4))
        assert [number_of(f) for f in lab.arrived(until=1)] == [4]


def test_the_limit_drops_and_says_so():
    with Lab() as lab, Driver() as d:
        d.open(lab, limit=65536)
        d.do("mark 1")
        for i in range(100):
            lab.send(frame(i, size=1000))
        held, octets, _, dropped = d.do("stats")
        assert held + dropped == 100 and octets <= 65536 and dropped >= 30, (held, octets, dropped)
        d.do("pass")
        d.do("close")
    return f"{held} held, {dropped} dropped"


def test_all_interfaces_of_a_domain_are_held_together():
    with Lab(vifs=16) as lab, Driver() as d:
        d.open(lab)
        d.do("mark 1")
        d.do("release 1")
        for i in range(16):
            lab.send(frame(i), vif=i)
        d.do("mark 2")
        assert lab.arrived(0.2) == []
        d.do("release 2")
        assert sorted(number_of(f) for f in lab.arrived(until=16)) == list(range(16))
        d.do("pass")
        d.do("close")


def test_an_ifb_that_went_down_is_renewed_and_lets_nothing_out_early():
    with Lab() as lab, Driver() as d:
        d.open(lab)
        d.do("mark 1")
        d.do("release 1")
        for i in range(5):
            lab.send(frame(i))
        d.do("mark 2")  # five frames wait for release 2
        run("ip", "link", "set", "rp-vif0", "down")
        run("ip", "link", "set", "rp-vif0", "up")
        for i in range(10, 15):
            lab.send(frame(i))  # of epoch 3: a plug that kept its counters would take them for epoch 2
        d.do("release 2")
        assert lab.arrived(0.3) == [], "frames of epoch 3 left with epoch 2"
        lab.send(frame(20))
        d.do("mark 3")
        d.do("release 3")
        assert [number_of(f) for f in lab.arrived(until=1)] == [20]
        d.do("pass")
        d.do("close")


def test_a_replaced_plug_and_a_removed_redirect_are_noticed_and_mended():
    with Lab() as lab, Driver() as d:
        d.open(lab)
        d.do("mark 1")
        run("tc", "qdisc", "replace", "dev", "rp-vif0", "root", "pfifo")
        d.do("watch")
        lab.send(frame(1))
        assert lab.arrived(0.2) == [], "the plug was not put back"
        run("tc", "qdisc", "del", "dev", "vif0", "clsact")
        d.do("watch")
        lab.send(frame(2))
        assert lab.arrived(0.2) == [], "the redirect was not put back"
        d.do("pass")
        assert [number_of(f) for f in lab.arrived(until=2)] == [1, 2]
        d.do("close")


def test_an_interface_that_is_plugged_in_again_is_held_again():
    with Lab() as lab, Driver() as d:
        d.open(lab)
        d.do("mark 1")
        lab.out[0].close()
        run("ip", "link", "del", "vif0")
        d.do("watch")
        d.do("mark 2")
        lab.connect("vif0", "g0", "guest", 9000)
        d.do("watch")
        import lab as lab_module
        lab.out[0] = lab_module.packet_socket("guest", "g0")
        lab.send(frame(7))
        assert lab.arrived(0.2) == []
        d.do("pass")
        assert [number_of(f) for f in lab.arrived(until=1)] == [7]
        d.do("close")


def test_close_while_passing_restores_the_interfaces_exactly():
    with Lab(vifs=3) as lab, Driver() as d:
        before = lab.state()
        d.open(lab)
        assert lab.state() != before
        d.do("mark 1")
        d.do("pass")
        d.do("close")
        lab.assert_state(before)
        assert not [f for f in os.listdir(lab.folder) if f.endswith(".netbuf")]


def test_an_empty_hook_that_was_there_stays_and_one_with_filters_is_refused():
    with Lab() as lab, Driver() as d:
        run("tc", "qdisc", "add", "dev", "vif0", "ingress")
        before = lab.state()
        d.open(lab)
        d.do("close")
        lab.assert_state(before)
        run("tc", "filter", "add", "dev", "vif0", "ingress", "protocol", "ip", "prio", "7", "matchall",
            "action", "pass")
        before = lab.state()
        answer = d.say(f"open {lab.folder} web1 {1 << 20} vif0")
        assert answer.startswith("error 16 ") and "filters" in answer, answer
        lab.assert_state(before)


def users_of(module):
    path = f"/sys/module/{module}/refcnt"
    if not os.path.exists(path):
        return 0
    with open(path) as f:
        return int(f.read())


def test_a_kernel_without_matchall_holds_every_kind_by_u32():
    """Without the module the kernel finds u32 only; every kind of frame must be held all the same."""
    Hosts.until("end of the last filter, which the kernel frees later", lambda: users_of("cls_matchall") == 0)
    run("modprobe", "-r", "cls_matchall")
    with open("/etc/modprobe.d/no-matchall.conf", "w") as f:
        f.write("install cls_matchall /bin/false\n")
    try:
        with Lab() as lab, Driver() as d:
            d.open(lab)
            assert "u32" in run("tc", "filter", "show", "dev", "vif0", "ingress")
            d.do("mark 1")
            d.do("release 1")
            sent = list(kinds().values())
            for one in sent:
                lab.send(one)
            d.do("mark 2")
            assert lab.arrived(0.3) == []
            d.do("release 2")
            assert lab.arrived(until=len(sent)) == sent
            d.do("pass")
            d.do("close")
    finally:
        os.unlink("/etc/modprobe.d/no-matchall.conf")


def limited(capabilities, *words):
    """Exit status and words of a command that has these capabilities only."""
    bounding = "-all" + "".join(f",+{c}" for c in capabilities)
    done = subprocess.run(["setpriv", "--bounding-set", bounding, "--inh-caps", bounding, *words],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, input="")
    return done.returncode, done.stdout


def test_cap_net_admin_is_enough_and_its_want_is_named():
    with Lab() as lab:
        order = f"open {lab.folder} web1 {1 << 20} vif0\nmark 1\nmark 2\nrelease 2\npass\nclose\n"
        for caps, want in ((["net_admin"], "ok"), (["net_raw"], "CAP_NET_ADMIN is missing")):
            bounding = "-all" + "".join(f",+{c}" for c in caps)
            done = subprocess.run(["setpriv", "--bounding-set", bounding, "--inh-caps", bounding, DRIVER],
                                  input=order, stdout=subprocess.PIPE, text=True, check=False)
            first = done.stdout.split("\n")[0]
            assert want in first, (caps, done.stdout)
        status, said = limited(["sys_admin", "net_admin"], PROGRAM, "netbuf", "selftest")
        assert status == 4 and "CAP_NET_RAW is missing" in said, (status, said)


def test_a_second_holder_is_refused():
    with Lab() as lab, Driver() as d, Driver() as other:
        d.open(lab)
        assert other.say(f"open {lab.folder} web1 {1 << 20} vif0").startswith("error 16 ")
        assert other.say(f"open {lab.folder} web2 {1 << 20} vif0").startswith("error 16 ")
        d.do("close")
        other.do(f"open {lab.folder} web2 {1 << 20} vif0")
        other.do("close")


if __name__ == "__main__":
    main(globals())
