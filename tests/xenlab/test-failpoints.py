#!/usr/bin/env python3
"""A process is killed, or stopped and woken too late, at the named places before and after each promise
(base/failpoint.h), on real hypervisors: what follows is what the row says, and outside it is one guest.

Without FAILPOINTS a part of the rows, one of each kind; FAILPOINTS=all: all of them; FAILPOINTS=word,word:
those with one of them."""

import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from scene import NAME, Scene, is_wanted  # noqa: E402
from tap import Test  # noqa: E402


def strike(scene, one):
    """Until the place was reached."""
    return scene.check(one.wait_said(" reached by process "), "the place is reached")


# ---------------------------------------------------------------- the primary's process


def primary_killed(scene, order):
    """The backup takes over. Whoever starts the primary again finds that out."""
    scene.receive()
    scene.protect(failpoint=order)
    if not strike(scene, scene.protector):
        return None
    if not scene.check(scene.protector.find(to="protected"), "the guest is protected before"):
        return None
    scene.goes_on(scene.backup)
    scene.protect()
    scene.is_fenced()
    scene.is_only_on(scene.backup)
    return scene.backup


def primary_killed_early(scene, order):
    """Before anything was committed: the backup has nothing to run, and the guest is held at most until
    the process is started again."""
    scene.receive()
    scene.protect(failpoint=order)
    if not strike(scene, scene.protector):
        return None
    scene.check(scene.receiver.wait(event="replica_ended"), "the replica ends with nothing held")
    scene.protect()
    scene.is_protected()
    return scene.primary


def primary_stopped(scene, order):
    """It sleeps while the backup takes over, and lets nothing out when it wakes."""
    scene.receive()
    scene.protect(failpoint=order)
    if not strike(scene, scene.protector):
        return None
    if not scene.check(scene.protector.find(to="protected"), "the guest is protected before"):
        return None
    scene.goes_on(scene.backup)
    before = scene.observer.frames[scene.primary]
    scene.pid("primary", scene.primary, "CONT")
    scene.is_fenced()
    scene.goes_on(scene.backup)
    scene.check(scene.observer.frames[scene.primary] == before, "the stale primary lets 0 frames out",
                f"{scene.observer.frames[scene.primary] - before} frames")
    scene.is_only_on(scene.backup)
    return scene.backup


def primary_killed_alone(scene, order):
    """The backup sleeps while the primary asks for the token."""
    scene.receive()
    scene.protect(failpoint=order)
    if not scene.is_protected():
        return None
    scene.pid("backup", scene.backup, "STOP")
    return strike(scene, scene.protector)


def killed_before_the_token(scene, order):
    if not primary_killed_alone(scene, order):
        return None
    scene.pid("backup", scene.backup, "CONT")
    scene.goes_on(scene.backup)
    scene.protect()
    scene.is_fenced()
    scene.is_only_on(scene.backup)
    return scene.backup


def killed_with_the_token(scene, order):
    """It is the primary's, so that the backup may not; a process that is started again knows."""
    if not primary_killed_alone(scene, order):
        return None
    scene.pid("backup", scene.backup, "CONT")
    scene.check(scene.receiver.wait_said("to=stale"), "the backup is told that it is stale")
    scene.protect()
    scene.goes_on(scene.primary)
    scene.is_protected_again(0)
    return scene.primary


def killed_detaching(scene, order):
    scene.receive()
    scene.protect(failpoint=order)
    if not scene.is_protected():
        return None
    scene.pid("primary", scene.primary, "TERM")
    if not strike(scene, scene.protector):
        return None
    scene.goes_on(scene.backup)
    scene.protect()
    scene.is_fenced()
    scene.is_only_on(scene.backup)
    return scene.backup


# ---------------------------------------------------------------- the replica's process


def replica_killed(scene, order):
    """The guest goes on where it is, and gets a new replica."""
    scene.receive(failpoint=order)
    scene.protect()
    if not strike(scene, scene.receiver):
        return None
    since = len(scene.protector.events)
    scene.goes_on(scene.primary)
    scene.protector.wait(to="protected", since=since)
    scene.is_protected()
    return scene.primary


def replica_killed_alone(scene, order):
    """The primary sleeps, so that the backup asks for the token."""
    scene.receive(failpoint=order)
    scene.protect()
    if not scene.is_protected():
        return None
    scene.pid("primary", scene.primary, "STOP")
    reached = strike(scene, scene.receiver)
    return reached


def replica_killed_before_the_token(scene, order):
    if not replica_killed_alone(scene, order):
        return None
    since = len(scene.protector.events)
    scene.pid("primary", scene.primary, "CONT")
    scene.goes_on(scene.primary)
    scene.is_protected_again(since)
    return scene.primary


def replica_killed_with_the_token(scene, order):
    """The token says that the backup has the guest, whose replica is lost: nobody may have it any more."""
    if not replica_killed_alone(scene, order):
        return None
    scene.pid("primary", scene.primary, "CONT")
    scene.is_fenced()
    scene.is_only_on(None)
    return None


def replica_killed_when_whole(scene, order):
    """All is there, and stays paused: a person's decision."""
    if not replica_killed_alone(scene, order):
        return None
    state = scene.lab.sh(scene.backup, f"xl list {NAME}", check=False)
    scene.check("--p---" in state, "what became a domain is kept, paused", state)
    scene.pid("primary", scene.primary, "CONT")
    scene.is_fenced()
    scene.lab.run(scene.backup, "xl", "unpause", NAME)
    scene.goes_on(scene.backup)
    scene.is_only_on(scene.backup)
    return scene.backup


def replica_killed_when_it_runs(scene, order):
    """The guest needs it no more."""
    if not replica_killed_alone(scene, order):
        return None
    scene.goes_on(scene.backup)
    scene.pid("primary", scene.primary, "CONT")
    scene.is_fenced()
    scene.is_only_on(scene.backup)
    return scene.backup


# ---------------------------------------------------------------- all of them

# Place, how often it is passed until then, what follows, whether it is also a row of the short run. A
# seed of 128 MiB takes some 130 chunks; most other places are passed once an epoch.
ROWS = [
    ("pause", "kill", 10, primary_killed, False),
    ("plug_mark", "kill", 10, primary_killed, False),
    ("dirty_read", "kill", 16, primary_killed, False),
    ("page_copy", "kill", 400, primary_killed, False),
    ("capture_state", "kill", 10, primary_killed, True),
    ("resume", "kill", 10, primary_killed, False),
    ("encode", "kill", 300, primary_killed, False),
    ("send_epoch", "kill", 10, primary_killed, False),
    ("send_commit", "kill", 10, primary_killed, False),
    ("recv_ack", "kill", 10, primary_killed, False),
    ("lease_check", "kill", 10, primary_killed, False),
    ("after_release", "kill", 10, primary_killed, False),
    ("netlink", "kill", 80, primary_killed, False),
    ("suspend_asked", "kill", 10, primary_killed, False),
    ("half_resumed", "kill", 10, primary_killed, False),
    ("pause", "stop", 10, primary_stopped, False),
    ("capture_state", "stop", 10, primary_stopped, False),
    ("send_commit", "stop", 10, primary_stopped, False),
    ("lease_check", "stop", 10, primary_stopped, True),
    ("netlink", "stop", 80, primary_stopped, False),
    ("log_on", "kill", 1, primary_killed_early, False),
    ("capture_state", "kill", 1, primary_killed_early, False),
    ("half_resumed", "kill", 1, primary_killed_early, False),
    ("primary_ask_token", "kill", 1, killed_before_the_token, False),
    ("go_unprotected", "kill", 1, killed_with_the_token, False),
    ("send_detach", "kill", 1, killed_detaching, False),
    ("accept", "kill", 1, replica_killed, False),
    ("shell_begun", "kill", 1, replica_killed, False),
    ("recv_page", "kill", 60, replica_killed, False),
    ("recv_page", "kill", 170, replica_killed, False),
    ("verify", "kill", 170, replica_killed, False),
    ("stage_full", "kill", 10, replica_killed, False),
    ("before_commit", "kill", 10, replica_killed, False),
    ("before_ack", "kill", 10, replica_killed, False),
    ("after_ack", "kill", 10, replica_killed, False),
    ("mid_apply", "kill", 10, replica_killed, True),
    ("after_apply", "kill", 10, replica_killed, False),
    ("timeout", "kill", 60, replica_killed, False),
    ("backup_ask_token", "kill", 1, replica_killed_before_the_token, False),
    ("before_activate", "kill", 1, replica_killed_with_the_token, False),
    ("shell_done", "kill", 1, replica_killed_when_whole, False),
    ("after_activate", "kill", 1, replica_killed_when_it_runs, False),
]

with Test("failpoints") as test:
    scene = Scene(test)
    for place, action, nth, run, is_short in ROWS:
        words = f"{place}:{action}:{nth}"
        if is_wanted(os.environ.get("FAILPOINTS", ""), words, is_short):
            started = time.monotonic()
            scene.begin(words)
            scene.end(run(scene, words))
            test.say(f"{words}: {time.monotonic() - started:.0f} s")
