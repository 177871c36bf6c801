#!/usr/bin/env python3
"""Everything but a power cut that can part two hosts, end a process or end a guest: whoever has the
guest afterwards, outside it is one guest that goes on, or none that ended by itself. A short run
does a part of them; FAULT=all: all of them; FAULT=word,word: those with one of the words."""

import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import bench_side  # noqa: E402
from scene import NAME, SHELL_XL, Scene, is_wanted  # noqa: E402
from tap import Test  # noqa: E402

DIRTY_LOG_MARK = "xenstore-ls -f /tool/replicator | grep dirty-log"


def protected(scene, *more, receiver=(), **options):
    scene.receive(**dict(receiver))
    scene.protect(*more, **options)
    return scene.is_protected()


# ---------------------------------------------------------------- hosts and links


def frozen(scene):
    # What has left the network buffer leaves the host: it is frozen when nothing is on its way.
    if not protected(scene, "--interval", "2s"):
        return None
    scene.observer.wait_quiet(0.3)
    scene.lab.freeze(scene.primary)
    at = time.monotonic()
    scene.check(scene.observer.wait_steps(NAME, 20, host=scene.backup), "the backup takes over")
    scene.observer.wait(lambda: time.monotonic() > at + 10, at + 10 - time.monotonic())
    before = scene.observer.frames[scene.primary]
    scene.lab.thaw(scene.primary)
    scene.is_fenced()
    scene.goes_on(scene.backup)
    scene.check(scene.observer.frames[scene.primary] == before, "the stale primary lets 0 frames out",
                f"{scene.observer.frames[scene.primary] - before} frames")
    scene.is_only_on(scene.backup)
    return scene.backup


def link(state):
    def cut(scene):
        if not protected(scene):
            return None
        since = len(scene.protector.events)
        scene.lab.link(scene.backup, state)
        # The one host that can be asked while it lasts; the arbiter gives it an answer.
        goes_on = scene.protector.wait(since=since, to="unprotected")
        winner = scene.primary if goes_on else scene.backup
        scene.goes_on(winner)
        scene.lab.link(scene.backup, "up")
        if goes_on:
            scene.is_protected_again(since)
        else:
            scene.is_fenced()
            scene.is_only_on(winner)
        return winner
    return cut


# ---------------------------------------------------------------- processes


def killed_protect(scene):
    if not protected(scene):
        return None
    scene.pid("primary", scene.primary, "KILL")
    scene.goes_on(scene.backup)
    # It is found what the arbiter has decided meanwhile.
    scene.protect()
    scene.is_fenced()
    scene.is_only_on(scene.backup)
    return scene.backup


def killed_and_started_again(scene):
    """The backup sleeps meanwhile, so that it does not take over before: the token goes to who asks first."""
    if not protected(scene):
        return None
    scene.pid("backup", scene.backup, "STOP")
    scene.pid("primary", scene.primary, "KILL")
    scene.check(scene.lab.sh(scene.primary, DIRTY_LOG_MARK), "a killed process leaves the dirty log on")
    scene.protect()
    scene.protector.wait(to="unprotected")
    scene.pid("backup", scene.backup, "CONT")
    scene.goes_on(scene.primary)
    scene.is_protected_again(0)
    return scene.primary


def killed_in_a_pause(scene):
    """With a manual arbiter the guest goes on at once."""
    if not protected(scene, failpoint="capture_state:kill:10", arbiter="manual", receiver={"arbiter": "manual"}.items()):
        return None
    scene.protector.wait_end()
    state = scene.lab.sh(scene.primary, f"xl list {NAME}")
    scene.check("---ss-" in state, "the guest is left suspended", state)
    scene.protect(arbiter="manual")
    scene.goes_on(scene.primary)
    scene.is_protected_again(0)
    return scene.primary


def recover(scene, *more):
    return scene.lab.run(scene.primary, "replicator", "recover", NAME, *more, check=False)


def recovered(scene):
    """What a person does without protecting it again."""
    if not protected(scene, failpoint="capture_state:kill:10", arbiter="manual", receiver={"arbiter": "manual"}.items()):
        return None
    host = scene.primary
    scene.protector.wait_end()
    scene.pid("backup", scene.backup, "KILL")

    done = recover(scene)
    scene.check(done.returncode == 0 and b"still suspended" in done.stderr, "recover says that it is suspended",
                done.stderr.decode())
    scene.check(not scene.lab.sh(host, DIRTY_LOG_MARK, check=False), "its dirty log is off")
    done = recover(scene, "--resume")
    scene.check(done.returncode == 10 and b"--fenced-by" in done.stderr, "nobody resumes what the backup may run",
                done.stderr.decode())
    done = recover(scene, "--resume", "--fenced-by", "lab")
    scene.check(done.returncode == 0 and b"goes on" in done.stderr, "on a person's word it goes on", done.stderr.decode())
    done = scene.lab.run(host, "replicator", "netbuf", "cleanup", NAME, "--release", check=False)
    scene.check(done.returncode == 0, "and what it says is let out", done.stderr.decode())
    scene.goes_on(host)
    scene.is_only_on(host)
    return host


def left_by_another_tool(scene):
    """Stock `xl remus` leaves the dirty log on when its backup dies. Whether it is read any more a person knows."""
    bench_side.XlRemus(scene.lab, scene.observer, NAME, 200, hosts=scene.primary + scene.backup).cut()
    scene.receive()
    scene.protect()
    scene.check(scene.protector.wait_said("--log-left-by"), "protect does not take the log from another tool")
    scene.pid("primary", scene.primary, "TERM")
    scene.protector.wait_end()
    done = recover(scene)
    scene.check(done.returncode == 0 and b"log is on, by another tool" in done.stderr, "recover says whose it is",
                done.stderr.decode())
    done = recover(scene, "--log-left-by", "xl remus")
    scene.check(done.returncode == 0 and b"log is off" in done.stderr, "on a person's word it is turned off",
                done.stderr.decode())
    scene.protect()
    scene.is_protected()
    return scene.primary


def killed_receive(scene):
    if not protected(scene):
        return None
    since = len(scene.protector.events)
    scene.lab.sh(scene.backup, "kill -KILL $(busybox pidof replicator)")
    scene.goes_on(scene.primary)
    scene.is_only_on(scene.primary)
    scene.receive()
    scene.is_protected_again(since)
    return scene.primary


def killed_xl(scene):
    if not protected(scene):
        return None
    since = len(scene.protector.events)
    scene.lab.sh(scene.backup, f"kill -KILL $({SHELL_XL})")
    lost = scene.receiver.wait_said("event=lost")
    scene.check(lost and "signal 9" in lost, "the backup says why the replica is lost", lost)
    scene.goes_on(scene.primary)
    scene.is_protected_again(since)
    return scene.primary


# ---------------------------------------------------------------- the activation


def bridge_gone(scene):
    """What went since the start is missed before there is no way back, and may come back."""
    if not protected(scene):
        return None
    scene.lab.sh(scene.backup, "ip link set xenbr0 down && ip link set xenbr0 name elsewhere")
    scene.pid("primary", scene.primary, "STOP")
    missed = scene.receiver.wait_said("event=fault", 300)
    scene.check(missed and "no bridge xenbr0" in missed, "the backup says what it lacks", missed)
    scene.lab.sh(scene.backup, "ip link set elsewhere name xenbr0 && ip link set xenbr0 up")
    scene.goes_on(scene.backup)
    scene.pid("primary", scene.primary, "CONT")
    scene.is_fenced()
    scene.is_only_on(scene.backup)
    return scene.backup


def xl_fails(scene):
    """The replica is lost and that is said; a guest whose host was alive after all is not."""
    if not protected(scene, arbiter="manual", receiver={"arbiter": "manual"}.items()):
        return None
    since = len(scene.protector.events)
    scene.lab.sh(scene.backup, "mv /host/guest/vif-lab /host/guest/away")
    scene.pid("primary", scene.primary, "STOP")
    done = scene.lab.run(scene.backup, "replicator", "activate", NAME, "--fenced-by", "lab", "--timeout", "300s",
                         check=False)
    scene.check(done.returncode == 1 and b"lost" in done.stderr, "activate says that the replica is lost",
                f"{done.returncode}: {done.stderr.decode()}")
    lost = scene.receiver.wait_said("event=lost")
    scene.check(lost and "xl restore ended with" in lost, "the log says what xl said", lost)
    scene.lab.sh(scene.backup, "mv /host/guest/away /host/guest/vif-lab")
    done = scene.lab.run(scene.backup, "replicator", "activate", NAME, "--fenced-by", "lab", check=False)
    scene.check(done.returncode == 7, "there is nothing to try again", f"{done.returncode}: {done.stderr.decode()}")
    scene.is_only_on(scene.primary)
    scene.pid("primary", scene.primary, "CONT")
    scene.goes_on(scene.primary)
    scene.is_protected_again(since)
    return scene.primary


def stopped_in_a_pause(scene):
    """Of a guest that can't be suspended: the end waits for no guest."""
    if not protected(scene):
        return None
    scene.pid("backup", scene.backup, "STOP")  # so that the token goes to who asks first
    scene.lab.run(scene.primary, "xl", "pause", NAME)
    scene.pid("primary", scene.primary, "TERM")
    done = scene.lab.run(scene.primary, "replicator", "status", NAME, check=False)
    scene.check(done.returncode == 0, "it answers meanwhile", done.stderr.decode())
    scene.check(scene.protector.wait_end() == 0, "protection ends")
    scene.lab.run(scene.primary, "xl", "unpause", NAME)
    scene.pid("backup", scene.backup, "CONT")
    scene.goes_on(scene.primary)
    return scene.primary


# ---------------------------------------------------------------- the guest itself


def ended_by(command, *reasons, stays=False):
    """It ends, and so does its replica, whose shell is gone when that has ended."""
    def end(scene):
        if not protected(scene):
            return None
        host = scene.primary
        scene.lab.sh(host, command)
        scene.check(scene.protector.wait_end() == 0, "protection ends")
        reason = (scene.protector.find(event="ended") or {}).get("reason", "")
        scene.check(reason in reasons, "and says why", reason)
        scene.check(scene.receiver.wait(event="replica_ended"), "so does the replica")
        shells = scene.lab.sh(scene.backup, "xl list | grep -c scene", check=False).strip()
        scene.check(shells == "0", "nothing of it is left on the backup", shells)
        scene.check(scene.observer.of(NAME).host == host, "no failover")
        scene.check(not scene.lab.sh(host, DIRTY_LOG_MARK, check=False), "no dirty log is left on")
        if stays:
            stays(scene)
    return end


def is_kept(scene):
    state = scene.lab.sh(scene.primary, f"xl list {NAME}", check=False)
    scene.check("---sc-" in state, "what panicked is kept to be looked at", state)


SHUT_DOWN = "the guest shut down"
# What is done, and whether the short run does it, too.
FAULTS = {
    "frozen primary": (frozen, True),
    "replication link cut": (link("down"), True),
    "backup that hears nothing": (link("deaf"), True),
    "backup that says nothing": (link("mute"), True),
    "protect killed": (killed_protect, True),
    "protect killed and started again": (killed_and_started_again, False),
    "protect killed in a pause and started again": (killed_in_a_pause, False),
    "protect killed in a pause and recovered from": (recovered, True),
    "receive killed": (killed_receive, True),
    "xl of the replica killed": (killed_xl, True),
    "dirty log left on by xl remus": (left_by_another_tool, True),
    "bridge of the backup gone at the failover": (bridge_gone, False),
    "xl failing at the activation": (xl_fails, False),
    "protect stopped while the guest can't be suspended": (stopped_in_a_pause, False),
    "guest shut down": (ended_by(f"xl shutdown {NAME}", SHUT_DOWN), True),
    "guest rebooted": (ended_by(f"xl reboot {NAME}", "the guest rebooted", SHUT_DOWN), False),
    "guest destroyed": (ended_by(f"xl destroy {NAME}", SHUT_DOWN), True),
    "guest panicked": (ended_by(f"xl sysrq {NAME} c", "the guest crashed", stays=is_kept), True),
}

with Test("faults") as test:
    scene = Scene(test)
    for words, (run, is_short) in FAULTS.items():
        if is_wanted(os.environ.get("FAULT", ""), words, is_short):
            started = time.monotonic()
            scene.begin(words)
            scene.end(run(scene))
            test.say(f"{words}: {time.monotonic() - started:.0f} s")
