"""tap — what the lab's tests have in common: the lab that is up, a line a claim, logs of what failed.

A test is a program: `with Test("name") as test:`, claims by test.check(), and it ends with exit().
"""

import contextlib
import os
import pathlib
import socket
import sys
import time
import traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import guests  # noqa: E402
import lab as lab_module  # noqa: E402
import observer as observer_module  # noqa: E402


COUNTS_PORT = 5003  # of guest/workload.c


class Test:
    def __init__(self, name):
        self.name = name
        self.number = self.bad = 0
        self.lab = lab_module.Lab()
        self.observer = None
        self.started = time.monotonic()

    def __enter__(self):
        self.lab.need_holder()
        return self

    def __exit__(self, kind, error, trace):
        if error and not isinstance(error, SystemExit):
            traceback.print_exception(error, file=sys.stdout)
            self.check(False, f"{self.name} goes to its end", str(error).splitlines()[0] if str(error) else "")
        if self.observer:
            self.observer.close()
        self.say(f"{self.name}: {time.monotonic() - self.started:.0f} s")
        if self.bad:
            self.logs(pathlib.Path(os.environ.get("BUILD", "build")) / "logs/xen" / self.name)
        with contextlib.suppress(Exception):
            self.clean()
        sys.stdout.flush()
        if not isinstance(error, SystemExit):
            sys.exit(1 if self.bad else 0)

    def logs(self, folder):
        """Of the lab; and of each guest that is watched the frames that were seen last, and what it counts itself."""
        self.lab.logs(folder)
        for address, seen in self.observer.seen.items() if self.observer else ():
            with contextlib.suppress(OSError), self.lab.network():
                said = "".join(f"{when:.4f} {host} {what}\n" for when, host, what in list(seen.recent))
                (folder / f"frames.{seen.name}").write_text(said)
                with socket.create_connection((address, COUNTS_PORT), 10) as connection:
                    (folder / f"counts.{seen.name}").write_bytes(connection.makefile("rb").read())

    def say(self, text):
        print(f"# {text}", flush=True)

    def check(self, holds, claim, why=""):
        self.number += 1
        if not holds:
            self.bad += 1
            if why:
                self.say(why)
        print(f"{'ok' if holds else 'not ok'} {self.number} - {claim}", flush=True)
        return holds

    # ------------------------------------------------------------ what tests do

    def hosts(self, *hosts):
        """Both (or those) have power and nothing on them but what they booted with."""
        for host in hosts or lab_module.HOSTS:
            self.lab.start(host, wait=False)
        for host in hosts or lab_module.HOSTS:
            self.lab.wait_boot(host)
            self.lab.link(host, "up")
            self.lab.put_program(host)
        self.clean()

    def clean(self):
        """Ends our processes and all domains of hosts that have power, and removes what killed ones left."""
        for host in lab_module.HOSTS:
            if self.lab.is_on(host):
                self.lab.thaw(host)
                self.lab.run(host, "sh", "-c", CLEAN, check=False)

    def domains_left(self, host):
        """What xl lists when another domain than the first is there after a minute; else nothing."""
        return self.lab.sh(host, GONE)

    def observe(self, *names):
        self.observer = observer_module.Observer(self.lab, {name: guests.ip(name) for name in names})
        return self.observer

    def check_seen(self, claim):
        faults = self.observer.faults()
        for fault in faults:
            self.say(fault)
        return self.check(not faults, claim)


# Few programs: starting them is what emulated hosts are slowest at.
CLEAN = """
pids=$(busybox pidof replicator replicator-test) && kill -KILL $pids
for id in $(xl list | mawk 'NR > 2 { print $2 }'); do
    xl destroy "$id"
done
replicator netbuf cleanup --drop >/dev/null
rm -rf /run/replicator/*
xenstore-rm /tool/replicator
"""

# A domain that was destroyed takes its time to go.
GONE = """
for try in $(seq 300); do
    [ "$(xl list 2>/dev/null | wc -l)" = 2 ] && exit 0
    busybox sleep 0.2
done
echo "left after a minute:"
xl list
"""
