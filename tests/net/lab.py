"""lab — the network of the kernel tests, one guest and one wire, in namespaces of this machine:

    guest ns: g0 ── vif0 :host: br0 ── out0 ── w0 :wire ns

What the guest sends by g0 enters the host by vif0, which is what a network buffer holds; what leaves the
host is seen on w0. More guests' interfaces (vif1 …) hang on the same bridge. Prints TAP."""
import ctypes
import difflib
import os
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

BUILD = os.environ.get("BUILD", "build")
DRIVER = f"{BUILD}/tests/net/plug_driver"
PROGRAM = f"{BUILD}/test/replicator"
LIMIT = 8 << 20
PATIENCE_S = 60  # for a frame that must come
CLONE_NEWNET = 0x40000000
ETH_P_ALL = 3
PACKET_AUXDATA = 8
SOL_PACKET = 263
SO_RCVBUFFORCE, SO_SNDBUFFORCE = 33, 32
libc = ctypes.CDLL(None, use_errno=True)


def run(*words, check=True, told=None):
    """Runs a command, with `told` as its stdin; its stdout."""
    done = subprocess.run(words, input=told, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    if check and done.returncode != 0:
        raise RuntimeError(f"{' '.join(words)}: {done.stderr.strip()}")
    return done.stdout


def ip(*words):
    return run("ip", *words)


def in_namespace(name, make):
    """What make() returns, called in a namespace: sockets stay in the one they were made in."""
    with open("/proc/self/ns/net") as here, open(f"/run/netns/{name}") as there:
        if libc.setns(there.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f"setns {name}")
        try:
            return make()
        finally:
            libc.setns(here.fileno(), CLONE_NEWNET)


def silence_ipv6():
    """Here nobody sends but the tests."""
    for which in ("all", "default"):
        with open(f"/proc/sys/net/ipv6/conf/{which}/disable_ipv6", "w") as f:
            f.write("1")


def packet_socket(namespace, interface):
    def make():
        s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        s.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20)
        s.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, 64 << 20)  # what is held is still the sender's
        s.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
        s.bind((interface, ETH_P_ALL))
        s.setblocking(False)
        return s

    return in_namespace(namespace, make)


class Lab:
    """The network above with `vifs` interfaces of the guest."""

    def __init__(self, vifs=1, mtu=9000):
        self.vifs = [f"vif{i}" for i in range(vifs)]
        self.folder = tempfile.mkdtemp(prefix="netbuf-")
        self.remove_links()
        silence_ipv6()
        for ns in ("guest", "wire"):
            ip("netns", "add", ns)
            in_namespace(ns, silence_ipv6)
        ip("link", "add", "br0", "type", "bridge", "mcast_snooping", "0", "group_fwd_mask", "0x4000")
        self.connect("out0", "w0", "wire", mtu)
        for i, vif in enumerate(self.vifs):
            self.connect(vif, f"g{i}", "guest", mtu)
        ip("link", "set", "br0", "up")
        self.settle()
        self.out = [packet_socket("guest", f"g{i}") for i in range(vifs)]
        self.seen = packet_socket("wire", "w0")

    def settle(self):
        """Until every port forwards and the bridge has noticed."""
        for _ in range(200):
            if (ip("-o", "link", "show", "br0").count("state UP")
                    and run("bridge", "link").count("state forwarding") == len(self.vifs) + 1):
                return
            time.sleep(0.05)
        raise RuntimeError("the bridge does not come up")

    @staticmethod
    def connect(host_end, far_end, namespace, mtu):
        ip("link", "add", host_end, "mtu", str(mtu), "type", "veth", "peer", "name", far_end, "mtu", str(mtu),
           "netns", namespace)
        ip("link", "set", host_end, "master", "br0", "up")
        ip("-n", namespace, "link", "set", far_end, "up")

    def close(self):
        for s in (*self.out, self.seen):
            s.close()
        self.remove_links()
        shutil.rmtree(self.folder)

    def remove_links(self):
        """Whatever this or an earlier test left."""
        for ns in ("guest", "wire"):
            run("ip", "netns", "del", ns, check=False)
        for link in (*self.vifs, *(f"rp-{v}" for v in self.vifs), "out0", "br0"):
            run("ip", "link", "del", link, check=False)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send(self, frame, vif=0):
        self.out[vif].send(frame)

    def arrived(self, wait_s=0.0, until=None):
        """Frames seen on the wire that were sent by a guest (source 02:…), in order, tags put back:
        those of this time, or, however long they take, the next `until`."""
        frames, end = [], time.monotonic() + (PATIENCE_S if until else wait_s)
        while until is None or len(frames) < until:
            left = end - time.monotonic()
            if not select.select([self.seen], [], [], max(left, 0))[0]:
                if left <= 0:
                    break
                continue
            frame, about, _, address = self.seen.recvmsg(70000, 1024)
            if address[2] != socket.PACKET_OUTGOING and frame[6] == 0x02:
                frames.append(with_tag(frame, about))
        return frames

    def state(self):
        """Everything of the host that set-up and tear-down may change, counters and times left out."""
        # Two processes for all of it: an emulated machine starts few in a second.
        text = run("ip", "-d", "-o", "-batch", "-", told="".join(
            ["link show\n", *(f"addr show dev {v}\n" for v in self.vifs)]))
        text += run("tc", "-batch", "-", told="".join(
            ["qdisc show\n", *(f"filter show dev {v} ingress\n" for v in self.vifs)]))
        return re.sub(r"(?:_timer|message_age|hello_time) +[0-9.]+", "", text)

    def assert_state(self, before):
        now = self.state()
        assert now == before, "\n".join(difflib.unified_diff(before.split("\n"), now.split("\n"), lineterm="", n=0))


def with_tag(frame, about):
    """Puts the VLAN tag back that the kernel took off."""
    for _, _, raw in about:
        status, _, _, _, _, tci, tpid = struct.unpack("IIIHHHH", raw[:20])
        if status & 0x10:
            frame = frame[:12] + struct.pack("!HH", tpid if status & 0x40 else 0x8100, tci) + frame[14 - 2:]
    return frame


class Driver:
    """A process with a network buffer, told what to do line by line."""

    def __init__(self, failpoint=None):
        env = dict(os.environ)
        env.pop("REPLICATOR_FAILPOINT", None)
        if failpoint:
            env["REPLICATOR_FAILPOINT"] = failpoint
        self.process = subprocess.Popen([DRIVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, text=True, bufsize=1, env=env)

    def say(self, line):
        """The answer; None when the process died over it."""
        try:
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()
            return self.process.stdout.readline().strip() or None
        except BrokenPipeError:
            return None

    def do(self, line):
        answer = self.say(line)
        assert answer and answer.startswith("ok"), f"{line}: {answer}"
        return [int(n) for n in answer.split()[1:]]

    def open(self, lab, limit=LIMIT, vifs=None, how=""):
        self.do(f"open {lab.folder} web1 {limit} {vifs or ','.join(lab.vifs)} {how}".rstrip())

    def health(self):
        """Whether all is held, how many troubles there were, the newest one, and what is amiss."""
        head, newest, degraded = self.say("health").split("|")
        return head.split()[1] == "whole", int(head.split()[2]), newest, degraded

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()


def frame(number, size=100, ethertype=0x88B5, to=b"\xff" * 6):
    """A frame of an experimental EtherType that carries a number."""
    return (to + b"\x02\0\0\0\0\x01" + struct.pack("!HQ", ethertype, number)).ljust(size, b"\0")


def number_of(data):
    return struct.unpack("!Q", data[14:22])[0]


def replicator(lab, *words):
    """Runs `replicator netbuf …` on the lab's records; exit status and stdout."""
    records = os.path.join(lab.folder, "run", "netbuf")
    os.makedirs(os.path.dirname(records), exist_ok=True)
    if not os.path.islink(records):
        os.symlink(lab.folder, records)
    done = subprocess.run([PROGRAM, "netbuf", *words, "--run-dir", os.path.join(lab.folder, "run")],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    return done.returncode, done.stdout


def main(tests):
    """Runs functions named test_…; TAP; exit 1 when one failed."""
    failed = 0
    wanted = os.environ.get("ONLY", "")
    tests = [(n, f) for n, f in tests.items() if n.startswith("test_") and wanted in n]
    print(f"1..{len(tests)}")
    for i, (name, test) in enumerate(tests, 1):
        title = name[len("test_"):].replace("_", " ")
        try:
            said = test()
            print(f"ok {i} - {title}" + (f" ({said})" if said else ""), flush=True)
        except Exception as why:  # noqa: every failure is one line of TAP
            import traceback
            failed += 1
            print(f"not ok {i} - {title}\n" + "".join(f"# {line}\n" for line in
                  traceback.format_exc().splitlines()), flush=True)
    sys.exit(failed > 0)
