#!/usr/bin/env python3
"""Random sequences of mark, release, a mark that joins, a late release, death and a new beginning: every
frame seen outside belongs to an epoch whose release had been ordered. SEQUENCES=n (10000), SEED=n."""
import os
import random
import sys

sys.path.insert(0, os.path.dirname(__file__))
from lab import Driver, Lab, frame, main, number_of, replicator  # noqa: E402

SEQUENCES = int(os.environ.get("SEQUENCES", "10000"))
SEED = int(os.environ.get("SEED", "1"))
DEATH_PERCENT = 2  # of sequences: a new process and a cleanup are slow under emulation


class World:
    """Epochs are numbered through the whole test; a frame's number is the epoch that it is of."""

    def __init__(self, lab):
        self.lab, self.driver = lab, None
        self.epoch, self.may_be_seen = 1, 0
        self.seen = self.sent = self.deaths = 0

    def begin(self):
        self.driver = Driver()
        self.driver.open(self.lab)
        self.driver.do(f"mark {self.epoch}")  # what passed before it was never promised
        self.driver.do(f"release {self.epoch}")
        self.may_be_seen = self.epoch
        self.epoch += 1

    def look(self, wait_s=0.0):
        for one in self.lab.arrived(wait_s):
            self.seen += 1
            assert number_of(one) <= self.may_be_seen, \
                f"a frame of epoch {number_of(one)} was seen, {self.may_be_seen} is released"

    def send(self):
        self.sent += 1
        self.lab.send(frame(self.epoch), vif=random.randrange(len(self.lab.vifs)))

    def mark(self):
        self.driver.do(f"mark {self.epoch}")
        self.epoch += 1

    def release(self):
        self.look()  # before it may be seen
        self.may_be_seen = self.epoch - 1
        self.driver.do(f"release {self.epoch - 1}")

    def release_too_late(self):
        answer = self.driver.say(f"late {self.epoch - 1}")
        assert answer == "ok" or answer.startswith("error 62 "), answer

    def die(self):
        self.deaths += 1
        self.driver.kill()
        self.send()
        self.look(0.01)
        assert replicator(self.lab, "cleanup", "--drop")[0] == 0
        self.look(0.01)
        self.begin()


def test_random_sequences_let_out_only_what_was_released():
    random.seed(SEED)
    with Lab(vifs=2) as lab:
        world = World(lab)
        world.begin()
        for _ in range(SEQUENCES):
            for _ in range(random.randrange(1, 8)):
                what = random.choices((world.send, world.mark, world.release, world.release_too_late),
                                      (6, 3, 3, 1))[0]
                what()
            world.look()
            if random.randrange(100) < DEATH_PERCENT:
                world.die()
        for _ in range(3):
            world.mark()
            world.release()
        world.look(0.5)
        assert world.seen > world.sent // 4, f"only {world.seen} of {world.sent} frames left"
        assert world.driver.do("stats")[0] == 0, "a frame is stuck"
        world.driver.do("pass")
        world.driver.do("close")
    return f"{SEQUENCES} sequences, {world.deaths} deaths, {world.seen} of {world.sent} frames seen"


if __name__ == "__main__":
    main(globals())
