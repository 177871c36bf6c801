#!/usr/bin/env python3
"""What happens to a guest's interfaces while its output is held: it is heard, named and mended, and nothing
leaves early. And what a dead process held is taken over by the next one of the same domain."""
import itertools
import os
import sys

sys.path.insert(0, os.path.dirname(__file__))
from lab import Driver, Lab, frame, main, number_of, packet_socket, replicator, run  # noqa: E402


epochs = itertools.count(1000)  # only ever growing


def held(lab, driver, number, vif=0):
    """A frame sent now does not leave before its release, and then does."""
    lab.send(frame(number), vif=vif)
    assert lab.arrived(0.2) == [], "it left at once"
    epoch = next(epochs)
    driver.do(f"mark {epoch}")
    driver.do(f"release {epoch}")
    assert [number_of(f) for f in lab.arrived(until=1)] == [number], "it did not leave with its epoch"


def holding(lab, driver, **how):
    driver.open(lab, **how)
    driver.do("mark 1")
    driver.do("release 1")


def plug_in(lab, number):
    """One more interface of the guest."""
    lab.vifs.append(f"vif{number}")
    lab.connect(f"vif{number}", f"g{number}", "guest", 9000)
    lab.settle()
    lab.out.append(packet_socket("guest", f"g{number}"))


def test_an_ifb_that_somebody_removed_is_made_again():
    with Lab() as lab, Driver() as d:
        before = lab.state()
        holding(lab, d)
        lab.send(frame(1))
        run("ip", "link", "del", "rp-vif0")
        lab.send(frame(2))
        assert lab.arrived(0.2) == [], "a redirect to nowhere let it by"
        d.do("watch")
        whole, troubles, newest, degraded = d.health()
        assert whole and troubles >= 1 and degraded == "", (whole, troubles, degraded)
        assert newest == "vif0 lost what it held: somebody removed its ifb", newest
        held(lab, d, 3)
        d.do("pass")
        d.do("close")
        lab.assert_state(before)


def test_every_trouble_is_named_with_its_interface():
    with Lab(vifs=2) as lab, Driver() as d:
        holding(lab, d)
        for words, said in (
                ("ip link set rp-vif1 down", "vif1 lost what it held: somebody set its ifb down"),
                ("tc qdisc replace dev rp-vif0 root pfifo", "vif0 lost its plug: somebody replaced it"),
                ("tc filter del dev vif1 ingress", "vif1 lost its redirect: somebody removed it"),
                ("tc qdisc del dev vif0 clsact", "vif0 lost its ingress hook: somebody removed it")):
            run(*words.split())
            d.do("watch")
            whole, _, newest, degraded = d.health()
            assert whole and newest == said and degraded == "", (words, newest, degraded)
            held(lab, d, 1, vif=0)
            held(lab, d, 2, vif=1)
        run("ip", "link", "set", "vif1", "down")
        d.do("watch")
        assert d.health()[2:] == ("vif1 was set down", "interface vif1 is down"), d.health()
        run("ip", "link", "set", "vif1", "up")
        d.do("watch")
        assert d.health()[3] == "", d.health()
        lab.settle()
        held(lab, d, 3, vif=1)
        d.do("pass")
        d.do("close")


def test_a_named_interface_that_is_unplugged_is_missed_until_it_is_back():
    with Lab() as lab, Driver() as d:
        holding(lab, d)
        lab.out[0].close()
        run("ip", "link", "del", "vif0")
        d.do("watch")
        whole, _, newest, degraded = d.health()
        assert whole and degraded == "interface vif0 is unplugged", degraded
        d.do("mark 2")
        lab.connect("vif0", "g0", "guest", 9000)
        lab.settle()
        d.do("watch")
        assert d.health()[2:] == ("vif0 was plugged in again", ""), d.health()
        lab.out[0] = packet_socket("guest", "g0")
        d.do("release 2")
        held(lab, d, 3)
        d.do("pass")
        d.do("close")


def test_an_interface_that_is_plugged_in_later_is_held_by_its_pattern():
    with Lab() as lab, Driver() as d:
        holding(lab, d, vifs="vif*")
        run("ip", "link", "add", "other0", "type", "dummy")
        plug_in(lab, 1)
        d.do("watch")
        assert d.health()[2] == "vif1 was plugged in", d.health()
        held(lab, d, 1, vif=1)
        held(lab, d, 2, vif=0)
        # Both in one epoch, one release.
        for vif in (0, 1):
            lab.send(frame(7), vif=vif)
        epoch = next(epochs)
        d.do(f"mark {epoch}")
        d.do(f"release {epoch}")
        assert [number_of(f) for f in lab.arrived(until=2)] == [7, 7]
        status, said = replicator(lab, "list", "--json")
        assert '"vif":"vif1"' in said and "other0" not in said, said
        # Gone for good: such interfaces are not missed.
        lab.out[1].close()
        run("ip", "link", "del", "vif1")
        d.do("watch")
        assert d.health()[3] == "", d.health()
        held(lab, d, 3)
        d.do("pass")
        d.do("close")
        assert "rp-vif" not in run("ip", "link"), "something stays behind"
        run("ip", "link", "del", "other0")


def test_an_interface_that_cannot_be_held_is_named_and_no_epoch_is_marked():
    with Lab() as lab, Driver() as d:
        holding(lab, d, vifs="vif*")
        run("ip", "link", "add", "vif1", "type", "dummy")
        run("tc", "qdisc", "add", "dev", "vif1", "clsact")
        run("tc", "filter", "add", "dev", "vif1", "ingress", "protocol", "ip", "prio", "7", "matchall", "action",
            "pass")
        # The watch may come before or after the filter; holding it must not be claimed in between.
        answer = d.say("watch")
        if answer.startswith("ok"):
            run("tc", "qdisc", "del", "dev", "vif1", "clsact")
            d.do("watch")
            raise AssertionError("it was held beside somebody's filter")
        assert "vif1 has filters" in answer, answer
        whole, _, _, degraded = d.health()
        assert not whole and "vif1 has filters" in degraded, degraded
        assert "vif1 has filters" in d.say("mark 2")
        d.do("release 1")
        run("tc", "qdisc", "del", "dev", "vif1", "clsact")
        d.do("mark 3")
        assert d.health()[0] and d.health()[3] == "", d.health()
        d.do("pass")
        d.do("close")
        run("ip", "link", "del", "vif1")


def test_the_limit_may_change_while_frames_are_held():
    with Lab() as lab, Driver() as d:
        holding(lab, d, limit=65536)
        for i in range(100):
            lab.send(frame(i, size=1000))
        _, _, _, dropped = d.do("stats")
        assert dropped >= 30, dropped
        d.do(f"resize {1 << 20}")
        for i in range(100, 300):
            lab.send(frame(i, size=1000))
        count, _, _, more = d.do("stats")
        assert more == dropped and count == 300 - dropped, (count, more, dropped)
        d.do("pass")
        assert len(lab.arrived(until=count)) == count
        d.do("close")


# ---- after a death --------------------------------------------------------------------------------------

def dies_holding(lab, sent=3):
    """A process dies with frames held; the number of the last one."""
    first = Driver()
    first.open(lab)
    first.do("mark 1")
    first.do("release 1")
    for i in range(1, sent + 1):
        lab.send(frame(i))
        first.do(f"mark {i + 1}")
    first.kill()
    return sent


def test_output_held_by_a_dead_process_is_taken_over_and_stays_held():
    with Lab() as lab:
        before = lab.state()
        last = dies_holding(lab)
        with Driver() as d:
            d.open(lab, how="over")
            lab.send(frame(last + 1))
            assert lab.arrived(0.3) == [], "taking over let something out"
            d.do("mark 0")  # what a primary does that has to ask first
            lab.send(frame(last + 2))
            assert lab.arrived(0.2) == []
            d.do("pass")
            assert [number_of(f) for f in lab.arrived(until=last + 2)] == list(range(1, last + 3))
            d.do("mark 10")
            d.do("release 10")
            held(lab, d, 20)
            d.do("pass")
            d.do("close")
            lab.assert_state(before)


def test_a_fenced_successor_drops_what_was_held():
    with Lab() as lab:
        dies_holding(lab)
        with Driver() as d:
            d.open(lab, how="over")
            d.do("drop")
            lab.send(frame(9))
            assert lab.arrived(0.3) == []
            d.do("close")
        assert replicator(lab, "cleanup", "web1", "--drop")[0] == 0


def test_what_is_not_its_own_is_refused_and_cleanup_named():
    with Lab() as lab:
        dies_holding(lab)
        with Driver() as d:
            order = f"open {lab.folder} web1 {1 << 20} vif0"
            for how in ("", " other"):  # not known to be its own; another domain of the same name
                answer = d.say(order + how)
                assert answer.startswith("error 16 ") and "replicator netbuf cleanup web1" in answer, answer
            assert lab.arrived(0.2) == []
            d.open(lab, how="over")
            d.do("pass")
            d.do("close")


def test_a_process_that_died_while_passing_leaves_nothing_in_the_way():
    with Lab() as lab:
        before = lab.state()
        first = Driver()
        first.open(lab)
        first.kill()
        with Driver() as d:
            d.open(lab)
            lab.send(frame(1))
            assert [number_of(f) for f in lab.arrived(until=1)] == [1]
            d.do("close")
        lab.assert_state(before)


def test_what_was_changed_behind_a_dead_process_is_mended_when_taken_over():
    for words in ("ip link del rp-vif0", "tc qdisc replace dev rp-vif0 root pfifo",
                  "tc qdisc del dev vif0 clsact", "ip link set rp-vif0 down"):
        with Lab(vifs=2) as lab:
            before = lab.state()
            first = Driver()
            first.open(lab, vifs="vif0")
            first.do("mark 1")
            first.kill()
            run(*words.split())
            with Driver() as d:
                d.open(lab, vifs="vif1", how="over")  # and one interface more
                lab.arrived(0.05)
                for vif in (0, 1):
                    lab.send(frame(5 + vif), vif=vif)
                assert lab.arrived(0.3) == [], f"{words}: it left"
                d.do("pass")
                assert sorted(number_of(f) for f in lab.arrived(until=2)) == [5, 6], words
                d.do("close")
            lab.assert_state(before)


def test_death_at_any_message_of_a_takeover_leaves_output_held():
    with Lab(vifs=2) as lab:
        before = lab.state()
        for n in range(1, 200):
            first = Driver()
            first.open(lab)
            first.do("mark 1")
            lab.send(frame(1))
            first.kill()
            second = Driver(f"netlink:kill:{n}")
            died = second.say(f"open {lab.folder} web1 {1 << 20} vif0,vif1 over") is None
            second.kill()
            for vif in (0, 1):
                lab.send(frame(2), vif=vif)
            assert lab.arrived(0.03) == [], f"after message {n}"
            with Driver() as third:
                third.open(lab, how="over")
                assert lab.arrived(0.03) == []
                third.do("pass")
                assert sorted(number_of(f) for f in lab.arrived(until=3)) == [1, 2, 2]
                third.do("close")
            lab.assert_state(before)
            if not died:
                return f"{n - 1} places"
        raise AssertionError("it never ends")


def test_death_at_any_message_while_an_interface_is_plugged_in():
    """It is held or it is not; what was held before stays held, and cleanup restores both."""
    with Lab() as lab:
        plug_in(lab, 1)
        run("ip", "link", "set", "vif1", "down")
        run("ip", "link", "set", "vif1", "name", "later1")
        lab.vifs.pop()
        before, places = lab.state(), 0
        for n in range(1, 200):
            d = Driver(f"netlink:kill:{n}")
            alive = d.say(f"open {lab.folder} web1 {1 << 20} vif*") and d.say("mark 1")
            if alive:
                run("ip", "link", "set", "later1", "name", "vif1")
                alive = d.say("watch")
                lab.send(frame(3))
                assert lab.arrived(0.03) == [], f"after message {n}: what was held leaks"
                places += 1
            d.kill()
            status, said = replicator(lab, "cleanup", "web1", "--drop")
            assert status == 0, f"after message {n}: {said}"
            run("ip", "link", "set", "vif1", "name", "later1", check=False)
            lab.assert_state(before)
            lab.arrived(0.01)
            if alive:
                run("ip", "link", "del", "later1")
                return f"{places - 1} places"
        raise AssertionError("it never ends")


if __name__ == "__main__":
    main(globals())
