"""hosts — two hosts of one guest in two namespaces, each with a TAP for it, joined by a switch in a third:

    ns: tap0 ─ br0 ─ up0 ── p0 :wire: sw ── p1 ── up1 ─ br0 ─ tap0 :ns
                                      └─ pc ── e0 :client (if there is one)
    ns: r0 ── r1 :ns, for the replicas, 192.168.7.1 and .2

A host is its namespace: what runs there dies together."""
import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time

from lab import PROGRAM, in_namespace, ip, run, silence_ipv6

WAIT_S = 120  # a wait for an event that never comes ends so


def drop_held(ns):
    """A frame that is held keeps the TAP's socket, and that its namespace: without this both stay for ever."""
    for line in run("ip", "-n", ns, "-o", "link", "show", "type", "ifb").splitlines():
        ip("-n", ns, "link", "del", line.split(": ")[1])


class Hosts:
    def __init__(self, names, client=None):
        self.folder = tempfile.mkdtemp(prefix="hosts-")
        self.names, self.client = names, client
        self.processes, self.logs = [], {}
        run("modprobe", "tun")
        for ns in (*names, "wire", *([client] if client else [])):
            ip("netns", "add", ns)
            in_namespace(ns, silence_ipv6)
        ip("-n", "wire", "link", "add", "sw", "type", "bridge", "mcast_snooping", "0")
        for i, ns in enumerate(names):
            ip("-n", ns, "link", "add", "br0", "type", "bridge", "mcast_snooping", "0")
            self.to_switch(ns, f"up{i}", f"p{i}")
            ip("-n", ns, "tuntap", "add", "dev", "tap0", "mode", "tap")
            for link in (f"up{i}", "tap0"):
                ip("-n", ns, "link", "set", link, "master", "br0", "up")
            ip("-n", ns, "link", "set", "br0", "up")
        ip("-n", names[0], "link", "add", "r0", "type", "veth", "peer", "name", "r1", "netns", names[1])
        for i, ns in enumerate(names):
            ip("-n", ns, "addr", "add", f"{self.address(i)}/24", "dev", f"r{i}")
            ip("-n", ns, "link", "set", f"r{i}", "up")
        if client:
            self.to_switch(client, "e0", "pc")
        ip("-n", "wire", "link", "set", "sw", "up")

    @staticmethod
    def address(number):
        return f"192.168.7.{number + 1}"

    @staticmethod
    def to_switch(ns, link, port):
        ip("-n", ns, "link", "add", link, "type", "veth", "peer", "name", port, "netns", "wire")
        ip("-n", ns, "link", "set", link, "up")
        ip("-n", "wire", "link", "set", port, "master", "sw", "up")

    def start(self, ns, name, *words, failpoint=None):
        """A process of the host; what it says is in log(name)."""
        env = {**os.environ, **({"REPLICATOR_FAILPOINT": failpoint} if failpoint else {})}
        self.logs[name] = f"{self.folder}/{name}.log"
        with open(self.logs[name], "w") as log:
            process = subprocess.Popen(["ip", "netns", "exec", ns, PROGRAM, *words, "--run-dir",
                                        f"{self.folder}/{ns}"], stdout=subprocess.DEVNULL, stderr=log, env=env)
        self.processes.append(process)
        return process

    def ask(self, ns, *words):
        """A command there; exit status and what it said."""
        done = subprocess.run(["ip", "netns", "exec", ns, PROGRAM, *words, "--run-dir", f"{self.folder}/{ns}"],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        return done.returncode, done.stdout

    def log(self, name):
        if name not in self.logs:
            return ""
        with open(self.logs[name]) as f:
            return f.read()

    @staticmethod
    def until(what, claim, look=lambda: None):
        """Waits for an event, looking at what comes in meanwhile."""
        end = time.monotonic() + WAIT_S
        while not claim():
            assert time.monotonic() < end, f"no {what} in {WAIT_S} s"
            look()
            time.sleep(0.002)

    def kill_host(self, ns):
        """All at once, as when the power fails; one that is being forked meanwhile, too."""
        while pids := run("ip", "netns", "pids", ns).split():  # ours: nobody else lives there
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
            self.reap()

    def reap(self):
        for p in self.processes:
            p.poll()

    def close(self):
        for ns in self.names:
            self.kill_host(ns)
            drop_held(ns)
        for p in self.processes:
            p.wait()
        for ns in (*self.names, "wire", *([self.client] if self.client else [])):
            run("ip", "netns", "del", ns, check=False)
        shutil.rmtree(self.folder)
