#!/usr/bin/env python3
"""What an operator sees of a protected guest whose interfaces are disturbed, of frames that find no room, and
of a primary that is started again after a kill. The guest has tap0; vif0 (and more) stand for its others."""
import json
import os
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(__file__))
from lab import PROGRAM, Lab, frame, ip, main, number_of, run  # noqa: E402

WAIT_S = 300  # until something that must happen counts as not happening


class Pair:
    """Primary and backup of one guest on this machine, around a lab's bridge."""

    def __init__(self, lab, *words, arbiter="manual", spec="frames=20"):
        self.lab, self.words, self.arbiter, self.spec = lab, words, arbiter, spec
        self.processes = {}
        if "tap0" not in run("ip", "link"):
            run("modprobe", "tun")
            ip("tuntap", "add", "dev", "tap0", "mode", "tap")
            ip("link", "set", "tap0", "master", "br0", "up")

    def run_dir(self, name):
        return os.path.join(self.lab.folder, name)

    def start(self, name, *words):
        with open(f"{self.run_dir(name)}.log", "a") as log:
            self.processes[name] = subprocess.Popen([PROGRAM, name, *words, "--run-dir", self.run_dir(name)],
                                                    stdout=subprocess.DEVNULL, stderr=log)

    def start_backup(self):
        link = f"{self.lab.folder}/link"
        if os.path.exists(link):
            os.unlink(link)
        self.start("receive", "--listen", f"unix:{link}", "--arbiter", self.arbiter)
        self.wait("listener", lambda: os.path.exists(link))

    def start_primary(self, spec=None):
        self.start("protect", f"sim:web1?mib=16&workload=web&dirty=50&nic=tap:tap0&{spec or self.spec}", "--to",
                   f"unix:{self.lab.folder}/link", "--timeout", "4s", "--arbiter", self.arbiter, *self.words)

    def log(self, name):
        with open(f"{self.run_dir(name)}.log") as f:
            return f.read()

    def status(self):
        done = subprocess.run([PROGRAM, "status", "web1", "--json", "--run-dir", self.run_dir("protect")],
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False)
        return json.loads(done.stdout) if done.returncode == 0 else {}

    def words_of_status(self):
        return run(PROGRAM, "status", "web1", "--run-dir", self.run_dir("protect"))

    def interfaces(self):
        return {i["name"]: i for i in self.status().get("netbuf", {}).get("interfaces", [])}

    def wait(self, what, claim):
        end = time.monotonic() + WAIT_S
        while not claim():
            assert time.monotonic() < end, (f"no {what} in {WAIT_S} s\n{self.status()}\n{self.log('receive')}\n"
                                            f"{self.log('protect') if 'protect' in self.processes else ''}")
            time.sleep(0.05)

    def protected(self):
        self.wait("protection", lambda: self.status().get("protected"))

    def kill(self, *names):
        for name in names:
            self.processes[name].send_signal(signal.SIGKILL)
        for name in names:
            self.processes[name].wait()

    def __enter__(self):
        self.start_backup()
        self.start_primary()
        self.protected()
        return self

    def __exit__(self, *_):
        for p in self.processes.values():
            p.kill()
            p.wait()
        # A replica's process is its listener's child, and lives apart from it.
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/cmdline") as f:
                    if self.lab.folder in f.read():
                        os.kill(int(pid), signal.SIGKILL)
            except OSError:
                pass
        subprocess.run([PROGRAM, "netbuf", "cleanup", "--drop", "--run-dir", self.run_dir("protect")], check=False)
        run("ip", "link", "del", "tap0", check=False)


def test_status_names_what_happens_to_each_interface():
    with Lab() as lab, Pair(lab, "--vif", "tap0", "--vif", "vif*") as pair:
        assert {n: i["state"] for n, i in pair.interfaces().items()} == {"tap0": "holding", "vif0": "holding"}
        assert pair.status()["degraded"] is None
        run("ip", "link", "set", "vif0", "down")
        pair.wait("degrade", lambda: pair.status()["degraded"] == "interface vif0 is down")
        assert "DEGRADED   interface vif0 is down" in pair.words_of_status()
        assert pair.interfaces()["vif0"]["state"] == "down"
        assert pair.status()["protected"], "what sends nothing breaks no promise"
        run("ip", "link", "set", "vif0", "up")
        pair.wait("end of it", lambda: pair.status()["degraded"] is None)

        before = pair.status()["netbuf"]["troubles"]
        run("tc", "qdisc", "del", "dev", "vif0", "clsact")
        pair.wait("trouble", lambda: pair.status()["netbuf"]["troubles"] > before)
        newest = pair.status()["netbuf"]["newest_trouble"]
        assert newest == "vif0 lost its ingress hook: somebody removed it", newest
        pair.wait("mending", lambda: "rp-vif0" in run("tc", "filter", "show", "dev", "vif0", "ingress"))
        pair.protected()
        log = pair.log("protect")
        for words in ('output=degraded reason="interface vif0 is down"', 'output=whole reason=""',
                      'output=disturbed reason="vif0 lost its ingress hook: somebody removed it"'):
            assert words in log, f"{words} is not in\n{log}"


def test_an_interface_plugged_in_later_is_held_and_one_that_cannot_be_is_named():
    with Lab() as lab, Pair(lab, "--vif", "tap0", "--vif", "vif*") as pair:
        run("ip", "link", "add", "vif1", "type", "dummy")
        pair.wait("new interface", lambda: pair.interfaces().get("vif1", {}).get("state") in ("holding", "down"))
        run("ip", "link", "add", "later", "type", "dummy")
        run("tc", "qdisc", "add", "dev", "later", "clsact")
        run("tc", "filter", "add", "dev", "later", "ingress", "protocol", "ip", "prio", "7", "matchall", "action",
            "pass")
        run("ip", "link", "set", "later", "name", "vif2")  # is there with its filters from the first moment on
        pair.wait("reason", lambda: not pair.status()["protected"] and
                  "vif2 has filters" in (pair.status()["degraded"] or ""))
        assert "vif2 has filters" in pair.status()["reason"], pair.status()["reason"]
        run("tc", "qdisc", "del", "dev", "vif2", "clsact")
        pair.protected()
        pair.wait("end of it", lambda: "vif2 has" not in (pair.status()["degraded"] or ""))
        for link in ("vif1", "vif2"):
            run("ip", "link", "del", link)


def test_leaving_out_an_interface_of_the_guest_is_refused():
    with Lab() as lab:
        pair = Pair(lab, "--vif", "vif0")
        try:
            pair.start_backup()
            pair.start_primary()
            assert pair.processes["protect"].wait() == 2
            assert "--vif leaves out tap0" in pair.log("protect"), pair.log("protect")
        finally:
            pair.__exit__()


def test_frames_that_find_no_room_are_a_named_degrade_and_counted():
    with Lab() as lab, Pair(lab, "--vif", "tap0", "--vif", "vif0", "--netbuf-limit", "1M", "--interval",
                            "3s") as pair:
        end = time.monotonic() + WAIT_S
        words = None
        while not words:
            assert time.monotonic() < end, pair.words_of_status()
            for i in range(300):
                lab.send(frame(i, size=9000))
            words = pair.status()["degraded"]
        assert "frames of the guest found no room and are lost: --netbuf-limit is 1048576 octets" in words, words
        assert pair.interfaces()["vif0"]["dropped"] > 0 and pair.interfaces()["tap0"]["dropped"] == 0
        assert pair.status()["netbuf"]["dropped"] > 0
        pair.protected()
        metrics = run(PROGRAM, "status", "web1", "--metrics", "--run-dir", pair.run_dir("protect"))
        assert 'replicator_degraded{domain="web1",role="primary"} ' in metrics, metrics
        dropped = [line for line in metrics.split("\n") if line.startswith("replicator_interface_dropped_frames_total")]
        assert {line.split("interface=")[1].split('"')[1]: int(line.split()[-1]) > 0 for line in dropped} == {
            "tap0": False, "vif0": True}, dropped
        pair.wait("end of it", lambda: pair.status()["degraded"] is None)
        log = pair.log("protect")
        assert log.count("output=degraded") == log.count("output=whole") >= 1, log


def test_the_limit_follows_how_long_output_is_held():
    with Lab() as lab, Pair(lab, "--interval", "20ms") as pair:
        # 10 Gbit/s in 20 ms and a commit, twice: 50 MB and more, as slow as this machine is.
        pair.wait("size", lambda: pair.status()["netbuf"]["limit_bytes"] > 50_000_000)
        small = pair.status()["netbuf"]["limit_bytes"]
    with Lab() as lab, Pair(lab, "--interval", "2s") as pair:
        assert pair.status()["netbuf"]["limit_bytes"] == 512 << 20
    return f"{small >> 20} MiB at 20 ms"


def test_a_primary_that_is_started_again_holds_on_and_protects_again():
    with Lab() as lab:
        tokens = f"{lab.folder}/tokens"
        os.mkdir(tokens)
        with Pair(lab, "--vif", "tap0", "--vif", "vif0", arbiter=f"file:{tokens}") as pair:
            pair.kill("protect")
            pids = [p for p in run("pgrep", "-f", lab.folder, check=False).split()]
            for pid in pids:  # the backup and its listener, before they take the token
                os.kill(int(pid), signal.SIGKILL)
            lab.send(frame(7))
            assert not [f for f in lab.arrived(0.3) if number_of(f) == 7], "it left though nobody was there"
            # Another guest of the same name is told what to do, and changes nothing.
            pair.start_primary("frames=20&seed=99")
            assert pair.processes["protect"].wait() != 0
            assert "replicator netbuf cleanup web1" in pair.log("protect"), pair.log("protect")
            assert not [f for f in lab.arrived(0.3) if number_of(f) == 7]
            end = time.monotonic() + WAIT_S
            # The same one goes on: the token is its own, so what was held leaves, and then it is protected again.
            pair.start_backup()
            pair.start_primary()
            seen = []
            while 7 not in seen:
                assert time.monotonic() < end, f"what was held never left\n{pair.log('protect')}"
                seen += [number_of(f) for f in lab.arrived(0.1)]
            pair.protected()
            listed = run(PROGRAM, "netbuf", "list", "--json", "--run-dir", pair.run_dir("protect"))
            assert '"process":"runs"' in listed and '"mode":"holding"' in listed, listed
            lab.arrived(0.1)
            lab.send(frame(8))
            end = time.monotonic() + WAIT_S
            while 8 not in [number_of(f) for f in lab.arrived(0.1)]:
                assert time.monotonic() < end, "what was held is not released epoch by epoch"


def test_a_guest_activated_where_its_earlier_life_died_is_not_held_by_it():
    with Lab() as lab:
        tokens = f"{lab.folder}/tokens"
        os.mkdir(tokens)
        for name in ("protect", "receive"):
            os.mkdir(f"{lab.folder}/{name}", 0o700)
        os.mkdir(f"{lab.folder}/protect/netbuf", 0o700)
        os.symlink(f"{lab.folder}/protect/netbuf", f"{lab.folder}/receive/netbuf")  # one host, as to records
        before = run("tc", "qdisc", "show", "dev", "vif0")
        with Pair(lab, "--vif", "tap0", "--vif", "vif0", arbiter=f"file:{tokens}") as pair:
            lab.send(frame(7))
            pair.kill("protect")
            lab.arrived(0.1)
            lab.send(frame(8))
            pair.wait("activation", lambda: "to=active" in pair.log("receive"))
            assert "output=dropped" in pair.log("receive"), pair.log("receive")
            assert "rp-" not in run("ip", "link"), "its interfaces were not given back"
            assert run("tc", "qdisc", "show", "dev", "vif0") == before
            lab.send(frame(9))
            end, seen = time.monotonic() + WAIT_S, []
            while 9 not in seen or len(seen) < 3:  # what the guest says now goes out
                assert time.monotonic() < end, f"the activated guest is not heard: {seen}"
                seen += [number_of(f) for f in lab.arrived(0.2)]
            assert 8 not in seen, "what was held by the dead left"


if __name__ == "__main__":
    main(globals())
