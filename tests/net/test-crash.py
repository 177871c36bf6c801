#!/usr/bin/env python3
"""SIGKILL before and after every message to the kernel, in set-up, mark, release, tear-down and cleanup:
either nothing is redirected or output is held, and cleanup restores the interfaces exactly. EVERY=n: only
every nth place, from one that SEED chooses."""
import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(__file__))
from lab import PROGRAM, Driver, Lab, frame, main, number_of, replicator  # noqa: E402

VIFS = 2
POINTS_MAX = 400
EVERY = int(os.environ.get("EVERY", "1"))
FIRST = 1 + int(os.environ.get("SEED", "1")) % EVERY

# What a process is told in its life; "send N" is the guest, and a frame's number is the epoch it is of.
LIVES = {
    "passing": ["open", "send 0", "close"],
    "epochs": ["open", "send 0", "mark 1", "send 2", "release 1", "mark 2", "send 3", "release 2",
               "mark 3", "send 4", "mark 4", "send 5", "release 4"],
    "opened again": ["open", "mark 1", "send 2", "mark 2", "pass", "send 0", "close"],
    "dropped": ["open", "mark 1", "send 2", "mark 2", "drop", "send 3", "release 2", "close"],
}


class Life:
    """Runs lines until the process dies; knows which epochs may be seen outside."""

    def __init__(self, lab, lines, failpoint):
        self.lab, self.lines = lab, lines
        self.driver = Driver(failpoint)
        self.may_be_seen, self.holds, self.dies = 0, False, False

    def say(self, line):
        if line == "open":
            line = f"open {self.lab.folder} web1 {1 << 20} {','.join(self.lab.vifs)}"
        if line.startswith("release"):
            self.may_be_seen = int(line.split()[1])  # from the order on
        if line == "pass":
            self.may_be_seen, self.holds = 1 << 62, False
        answer = self.driver.say(line)
        if line.startswith(("mark", "drop")) and answer:
            self.holds = True
        return answer

    def run(self):
        for line in self.lines:
            if line.startswith("send"):
                for i in range(VIFS):
                    self.lab.send(frame(int(line.split()[1])), vif=i)
            elif self.say(line) is None:
                self.dies = True
                break
        self.driver.kill()

    def check(self, wait_s):
        for one in self.lab.arrived(wait_s):
            assert number_of(one) <= self.may_be_seen, f"epoch {number_of(one)} leaked"


def places(n):
    return f"{n - 1} places" + (f", every {EVERY}th from {FIRST} on" if EVERY > 1 else "")


def every_death_of(name, how):
    with Lab(vifs=VIFS) as lab:
        before = lab.state()
        for n in range(FIRST, POINTS_MAX, EVERY):
            life = Life(lab, LIVES[name], f"netlink:kill:{n}")
            life.run()
            for i in range(VIFS):
                lab.send(frame(99), vif=i)  # of an epoch that nobody ever releases
            if life.holds:
                life.check(0.03)
            lab.arrived(0.03)
            status, said = replicator(lab, "cleanup", "web1", how)
            assert status == 0, f"after message {n}: cleanup: {said}"
            if how == "--drop" and life.holds:
                life.check(0.03)
            lab.assert_state(before)
            assert not [f for f in os.listdir(lab.folder) if f.endswith(".netbuf")]
            lab.arrived(0.03)
            for i in range(VIFS):
                lab.send(frame(0), vif=i)
            assert number_of(lab.arrived(until=VIFS)[-1]) == 0, "the interface is not usable again"
            lab.arrived(0.01)
            if not life.dies:
                return places(n)
        raise AssertionError("it never ends")


def test_death_at_any_message_while_passing():
    return every_death_of("passing", "--release")


def test_death_at_any_message_of_epochs_then_drop():
    return every_death_of("epochs", "--drop")


def test_death_at_any_message_of_epochs_then_release():
    return every_death_of("epochs", "--release")


def test_death_at_any_message_when_opened_again():
    return every_death_of("opened again", "--drop")


def test_death_at_any_message_when_dropped():
    return every_death_of("dropped", "--drop")


def test_death_of_cleanup_at_any_message_and_cleanup_again():
    with Lab(vifs=VIFS) as lab:
        before = lab.state()
        for how in ("--drop", "--release"):
            for n in range(FIRST, POINTS_MAX, EVERY):
                life = Life(lab, ["open", "mark 1", "send 2", "mark 2"], None)
                life.run()
                replicator(lab, "list")  # makes the run folder
                done = subprocess.run(
                    [PROGRAM, "netbuf", "cleanup", how, "--run-dir", os.path.join(lab.folder, "run")],
                    env={**os.environ, "REPLICATOR_FAILPOINT": f"netlink:kill:{n}"}, stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT, check=False)
                if done.returncode == 0:
                    break
                if how == "--drop":
                    life.check(0.02)
                status, said = replicator(lab, "cleanup", how)
                assert status == 0, said
                lab.assert_state(before)
            lab.assert_state(before)
            lab.arrived(0.01)
    return places(n)


def test_what_was_held_is_not_let_go_without_a_word():
    with Lab() as lab:
        life = Life(lab, ["open", "mark 1", "mark 2"], None)
        life.run()
        lab.send(frame(2))
        status, said = replicator(lab, "cleanup")
        assert status == 2 and "--release" in said, (status, said)
        status, said = replicator(lab, "list", "--json")
        assert '"domain":"web1"' in said and '"process":"gone"' in said and '"held_frames":1' in said, said
        assert lab.arrived(0.1) == []
        assert replicator(lab, "cleanup", "--release")[0] == 0
        assert [number_of(f) for f in lab.arrived(until=1)] == [2]
        assert replicator(lab, "cleanup", "--release")[0] == 0, "twice is as once"


def test_a_plug_without_a_record_is_found_by_its_name():
    with Lab() as lab:
        before = lab.state()
        life = Life(lab, ["open", "mark 1"], None)
        life.run()
        os.unlink(os.path.join(lab.folder, "web1.netbuf"))
        status, said = replicator(lab, "list", "--json")
        assert '"process":"unknown"' in said and '"vif":"vif0"' in said, said
        assert replicator(lab, "cleanup")[0] == 2
        assert replicator(lab, "cleanup", "--drop")[0] == 0
        lab.assert_state(before)


if __name__ == "__main__":
    main(globals())
