#!/usr/bin/env python3
"""lab — two real Xen hosts, a and b, on a machine of which nothing is asked but QEMU and root.

  lab.py up [a] [b]            boot them (both); the built program is put there
  lab.py down                  end everything of this lab
  lab.py run HOST CMD [ARG...] run a command in a host's dom0, with its exit status
  lab.py shell HOST            a terminal there
  lab.py put HOST FILE... DIR  copy files into a host
  lab.py get HOST FILE DIR     copy one out of it
  lab.py guest HOST NAME TYPE [WORD=VALUE...]  start a guest with the workload (pvh or hvm)
  lab.py cut|start HOST        take its power away; boot it again
  lab.py freeze|thaw HOST      stop its processor; go on
  lab.py link HOST up|down|deaf|mute  its replication link: cut, or cut one way
  lab.py with CMD [ARG...]     up, a command beside them, down; the lab ends with this process
  lab.py inside CMD [ARG...]   run a command beside them, in the network where the guests are
  lab.py logs DIR              consoles, logs and cores of both

LAB=name is the name of the lab (main): labs with different names don't see each other. All that a
lab is hangs on one process, the holder; when that ends, by whatever, the kernel ends the rest.
XENLAB_MEMORY=MIB (2048) and XENLAB_CPUS=N (1) are of each host that is started.
HOST:/host is the same folder in both hosts and in $XENLAB_DIR/LAB/share here.
"""

import contextlib
import ctypes
import fcntl
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import termios
import time
import tty

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import guests  # noqa: E402
import remote  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
TREE = HERE.parents[1]
BUILD = TREE / os.environ.get("BUILD", "build")
HOSTS = {"a": 1, "b": 2}
OUTSIDE = "10.78.0.1"
BOOT_SECONDS = 600  # of a machine that does many other things
CLONE_NEWNET = 0x40000000
COUNTS = "ip -s -s -d link; bridge fdb; cat /proc/net/softnet_stat /proc/net/snmp; dmesg | tail -n 80"
libc = ctypes.CDLL(None, use_errno=True)


class LabError(Exception):
    pass


def address(host):
    """Of a dom0, for the lab and for replication."""
    return f"10.77.0.{HOSTS[host]}"


def check_root():
    if os.geteuid() != 0:
        raise LabError("the lab needs root, for a network of its own")


class Lab:
    """The lab of a name. With own=True it ends with this process, however that ends."""

    def __init__(self, name=None, own=False):
        self.name = name or os.environ.get("LAB", "main")
        self.own = own
        base = os.environ.get("XENLAB_DIR", f"/tmp/xenlab-{os.getuid()}")
        self.dir = pathlib.Path(base) / self.name
        self.share = self.dir / "share"

    # ------------------------------------------------------------ the holder, and what it holds

    def holder(self):
        """Its pid, or None."""
        try:
            pid, started = (self.dir / "holder").read_text().split()
            return int(pid) if started == self.started(pid) else None
        except (OSError, ValueError):
            return None

    @staticmethod
    def started(pid):
        """When a process started; with its pid that is a name that isn't used again."""
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]

    def hold(self):
        check_root()
        if self.holder():
            return
        shutil.rmtree(self.dir, ignore_errors=True)
        for folder in ("share/cores", "share/guest"):
            (self.dir / folder).mkdir(parents=True)
        tied = ["setpriv", "--pdeathsig", "KILL"] if self.own else ["setsid"]
        said = self.dir / "unshare"  # also that it was killed, which is how a lab ends
        with open(said, "wb") as err:
            outer = subprocess.Popen(
                tied + ["unshare", "--net", "--pid", "--fork", "--kill-child=KILL", "--",
                        "sh", "-c", "echo; exec env --ignore-signal=CHLD sleep infinity"],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=err)
        if not outer.stdout.readline():
            raise LabError(f"no namespaces: {said.read_text().strip()}")
        children = pathlib.Path(f"/proc/{outer.pid}/task/{outer.pid}/children").read_text()
        pid = children.split()[0]
        (self.dir / "holder").write_text(f"{pid} {self.started(pid)}")
        self.make_network()

    def enter(self, *argv, pid=False):
        """A command line that runs another in the lab's network."""
        return ["nsenter", "-t", str(self.need_holder()), "--net"] + (["--pid"] if pid else []) + \
            ["--", *argv]

    def need_holder(self):
        pid = self.holder()
        if pid is None:
            raise LabError(f"no lab '{self.name}' is up: start it with  lab.py up")
        return pid

    def inside(self, *argv, **kwargs):
        return subprocess.run(self.enter(*argv), check=True, **kwargs)

    def make_network(self):
        commands = ["link set lo up"]
        for number, net in enumerate(("lab", "out")):
            commands += [f"link add {net} type bridge forward_delay 0 mcast_snooping 0",
                         f"link set {net} up"]
            for host in HOSTS:
                commands += [f"tuntap add dev {host}{number} mode tap",
                             f"link set {host}{number} master {net} up"]
        commands += ["addr add 10.77.0.254/24 dev lab", f"addr add {OUTSIDE}/24 dev out"]
        batch = "\n".join(commands).encode()
        for net in ("lab", "out"):
            self.sysctl(f"net.ipv6.conf.{net}.accept_dad", 0)
        self.inside("ip", "-batch", "-", input=batch)

    def sysctl(self, name, value):
        path = "/proc/sys/" + name.replace(".", "/")
        subprocess.run(self.enter("sh", "-c", f"echo {value} 2>/dev/null >{path}"), stderr=subprocess.DEVNULL)

    @contextlib.contextmanager
    def network(self):
        """Sockets opened within are the lab's."""
        with open("/proc/thread-self/ns/net") as own, open(f"/proc/{self.need_holder()}/ns/net") as other:
            if libc.setns(other.fileno(), CLONE_NEWNET):
                raise LabError(os.strerror(ctypes.get_errno()))
            try:
                yield
            finally:
                libc.setns(own.fileno(), CLONE_NEWNET)

    def down(self):
        pid = self.holder()
        if pid:
            with contextlib.suppress(OSError):
                gone = os.pidfd_open(pid)
                os.kill(pid, signal.SIGKILL)
                wait_for(gone)
        shutil.rmtree(self.dir, ignore_errors=True)

    # ------------------------------------------------------------ hosts

    def up(self, *hosts):
        image = subprocess.run(["bash", HERE / "image.sh"], stdout=subprocess.PIPE, text=True)
        if image.returncode:
            sys.exit(image.returncode)
        self.image = pathlib.Path(image.stdout.strip())
        self.hold()
        guests.put_files(self.image, BUILD, self.share / "guest")
        shutil.copy(HERE / "agent.py", self.share)
        shutil.rmtree(self.share / "program", ignore_errors=True)
        (self.dir / "image").write_text(str(self.image))
        for host in hosts or HOSTS:
            self.start(host, wait=False)
        for host in hosts or HOSTS:
            self.wait_boot(host)
            self.put_program(host)

    def start(self, host, wait=True):
        """Boots it, with the disk as it was made."""
        if self.is_on(host):
            return
        serial = self.dir / f"serial.{host}"
        if serial.exists():  # what it said before its power was cut
            with open(self.dir / f"serial.{host}.before", "ab") as before:
                before.write(serial.read_bytes())
        # It goes into the background when it is set up: a parent that waited would stop and go on with it.
        with open(self.dir / f"qemu.{host}", "ab") as out:
            done = subprocess.run(self.enter(*self.qemu(host), pid=True), stdin=subprocess.DEVNULL, stdout=out,
                                  stderr=out)
        if done.returncode:
            raise LabError(f"host {host} can't be started:\n{(self.dir / f'qemu.{host}').read_text(errors='replace')}")
        if wait:
            self.wait_boot(host)
            self.put_program(host)

    def qemu(self, host):
        image = pathlib.Path((self.dir / "image").read_text())
        linux = f"console=hvc0 quiet panic=-1 mitigations=off net.ifnames=0 lab_host={host}"
        args = ["qemu-system-x86_64", "-machine", "q35,usb=off", "-accel", "tcg,tb-size=256", "-smp", os.environ.get("XENLAB_CPUS", "1"),
                # What Xen trips over under emulation is off: SMAP faults in dom0's first iret,
                # MONITOR makes Xen's idle loop #GP, RDTSCP ends PVH guests.
                "-cpu", "EPYC,-avx,-avx2,-smap,-smep,-monitor,-rdtscp,+svm,+npt",
                "-m", os.environ.get("XENLAB_MEMORY", "2048"), "-display", "none", "-vga", "none",
                "-nodefaults", "-no-user-config", "-no-reboot", "-daemonize", "-name", f"xenlab-{self.name}-{host}",
                "-kernel", image / "xen", "-append",
                "dom0_mem=768M dom0_max_vcpus=1 com1=115200,8n1 console=com1 noreboot watchdog=0 "
                # Without eager-fpu guests' SSE registers come up in programs of dom0: under
                # emulation not every use of them after a VM exit traps, which Xen counts on.
                "loglvl=warning guest_loglvl=warning spec-ctrl=eager-fpu",
                "-initrd", f"{image}/vmlinux {linux},{image}/initrd",
                "-drive", f"file={image}/rootfs.img,if=virtio,format=raw,snapshot=on",
                "-virtfs", f"local,path={self.share},mount_tag=host,security_model=none,multidevs=remap",
                "-device", "virtio-rng-pci",
                "-serial", f"file:{self.dir}/serial.{host}",
                "-qmp", f"unix:{self.dir}/qmp.{host},server=on,wait=off",
                "-pidfile", self.dir / f"pid.{host}"]
        for number in (0, 1):
            args += ["-netdev", f"tap,id=n{number},ifname={host}{number},script=no,downscript=no",
                     "-device", f"virtio-net-pci,netdev=n{number},"
                     f"mac=52:54:00:77:{number:02x}:{HOSTS[host]:02x}"]
        return [str(arg) for arg in args]

    def kill(self, host, name):
        """A signal to its machine; False when that isn't there."""
        with contextlib.suppress(OSError, LabError):
            pid = (self.dir / f"pid.{host}").read_text().strip()
            kill = self.enter("/bin/kill", f"-{name}", pid, pid=True)
            return subprocess.run(kill, stderr=subprocess.DEVNULL).returncode == 0
        return False

    def is_on(self, host):
        return self.kill(host, "0")

    def cut(self, host):
        """As by a power cut: nothing is said, nothing is written. Returns when it is gone."""
        if not self.kill(host, "KILL"):
            return
        path = self.dir / f"pid.{host}"
        with open(path, "r+b") as file:
            fcntl.lockf(file, fcntl.LOCK_EX)  # QEMU holds it as long as it is there
        path.unlink()

    def freeze(self, host):
        if not self.kill(host, "STOP"):
            raise LabError(f"host {host} has no power")

    def thaw(self, host):
        if not self.kill(host, "CONT"):
            raise LabError(f"host {host} has no power")

    def link(self, host, state):
        """Replication link: up, down (both ways), deaf (hears nothing), mute (says nothing)."""
        self.inside("ip", "link", "set", f"{host}0", "down" if state == "down" else "up")
        for one in ("deaf", "mute"):
            with contextlib.suppress(LabError):
                self.qmp(host, "object-del", id=one)
        if state in ("deaf", "mute"):
            with contextlib.suppress(LabError):  # there from the last time
                self.qmp(host, "chardev-add", id="nowhere", backend={"type": "null", "data": {}})
            # "rx" is what the machine's network card hears, as QEMU calls it.
            self.qmp(host, "object-add", id=state, netdev="n0", outdev="nowhere",
                     queue="tx" if state == "deaf" else "rx", **{"qom-type": "filter-redirector"})

    def qmp(self, host, command, **arguments):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(self.dir / f"qmp.{host}"))
            stream = connection.makefile("rw")
            for name, words in (("qmp_capabilities", {}), (command, arguments)):
                stream.write(json.dumps({"execute": name, "arguments": words}))
                stream.flush()
                while True:
                    answer = json.loads(stream.readline())
                    if "error" in answer:
                        raise LabError(f"{command}: {answer['error']['desc']}")
                    if "return" in answer:
                        break
            return answer["return"]

    def serial(self, host):
        path = self.dir / f"serial.{host}"
        return path.read_text(errors="replace") if path.exists() else ""

    # ------------------------------------------------------------ commands in hosts

    def wait_boot(self, host):
        deadline = time.monotonic() + BOOT_SECONDS
        while time.monotonic() < deadline:
            try:
                self.connect(host, 2).close()
                return
            except OSError:
                time.sleep(0.2)
            if not self.is_on(host):
                break
        said = "".join(f"    {line}\n" for line in self.serial(host).splitlines()[-60:])
        qemu = (self.dir / f"qemu.{host}").read_text(errors="replace")
        raise LabError(f"host {host} did not boot; its last words:\n{said}{qemu}")

    def connect(self, host, seconds=60):
        with self.network():
            connection = socket.socket(socket.AF_INET)
        connection.settimeout(seconds)
        try:
            connection.connect((address(host), remote.PORT))
        except BaseException:
            connection.close()
            raise
        connection.settimeout(None)
        return connection

    def begin(self, host, *argv, **kwargs):
        """A command as it runs: remote.Remote."""
        return remote.Remote(self.connect(host), [str(arg) for arg in argv], **kwargs)

    def run(self, host, *argv, stdin=b"", check=True):
        """A command's CompletedProcess; LabError when it failed."""
        command = self.begin(host, *argv)
        done = command.finish(stdin)
        command.close()
        if check and done.returncode:
            raise LabError(f"{host}: {' '.join(map(str, argv))}: exit status {done.returncode}: "
                           f"{done.stderr.decode(errors='replace').strip()}")
        return done

    def sh(self, host, script, **kwargs):
        """What a shell script writes, as text."""
        return self.run(host, "sh", "-c", script, **kwargs).stdout.decode(errors="replace")

    def put(self, host, file, folder):
        path = pathlib.Path(file)
        self.run(host, "sh", "-c", 'mkdir -p "${0%/*}" && cat >"$0.part" && chmod "$1" "$0.part" && mv "$0.part" "$0"',
                 f"{folder}/{path.name}", f"{path.stat().st_mode & 0o777:o}", stdin=path.read_bytes())

    def get(self, host, file, folder):
        path = pathlib.Path(folder) / pathlib.Path(file).name
        path.write_bytes(self.run(host, "cat", file).stdout)
        return path

    def put_program(self, host):
        """The program as shipped, and as `replicator-test` with its failpoints."""
        folder = self.share / "program"
        if not folder.exists():
            folder.mkdir()
            for file, name in ((BUILD / "replicator", "replicator"), (BUILD / "test/replicator", "replicator-test")):
                if file.exists():
                    shutil.copy(file, folder / name)
        # One that runs keeps the file that it runs.
        self.run(host, "sh", "-c", "cp --remove-destination /host/program/* /usr/sbin/")

    def put_disk(self, host, name, blocks=guests.DISK_BLOCKS):
        """The host serves disks with block-lab from then on, whoever calls for Xen's block."""
        self.run(host, "sh", "-c", 'mkdir -p "${0%/*}" && cat >"$0" && cp /host/guest/block-lab /etc/xen/scripts/block',
                 guests.disk(name), stdin=guests.disk_image(blocks))

    def guest(self, host, name, kind, **words):
        """Starts a guest with the workload; its words are described in guest/workload.c. With
        disk_blocks=N it has a disk, which each host that has power gets, too."""
        if "disk_blocks" in words:
            for one in filter(self.is_on, HOSTS):
                self.put_disk(one, name, int(words["disk_blocks"]))
        config = guests.config(name, kind, **words)
        self.run(host, "sh", "-c", 'cat >"/root/$0.cfg"', name, stdin=config.encode())
        self.run(host, "xl", "create", f"/root/{name}.cfg")

    def logs(self, folder):
        folder = pathlib.Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        for file in (*self.dir.glob("serial.*"), *self.dir.glob("qemu.*"), *self.share.glob("cores/*")):
            shutil.copy(file, folder)
        for host in HOSTS:
            with contextlib.suppress(OSError, LabError, remote.Lost):
                if self.is_on(host):
                    (folder / f"xl-dmesg.{host}").write_text(self.sh(host, "xl dmesg"))
                    (folder / f"counts.{host}").write_text(self.sh(host, COUNTS, check=False))
                    (folder / f"log.{host}.tar").write_bytes(
                        self.run(host, "tar", "-C", "/", "-c", "var/log", "run/replicator", check=False).stdout)


def wait_for(pidfd):
    import select
    select.select([pidfd], [], [])
    os.close(pidfd)


# ---------------------------------------------------------------- for people


def shell(lab, host):
    size = os.get_terminal_size() if os.isatty(0) else (80, 24)
    command = lab.begin(host, "env", "TERM=linux", "sh", "-c",
                        f"stty cols {size[0]} rows {size[1]}; exec bash -i", tty=True)
    before = termios.tcgetattr(0) if os.isatty(0) else None
    try:
        if before:
            tty.setraw(0)
        return command.follow()
    finally:
        if before:
            termios.tcsetattr(0, termios.TCSADRAIN, before)


def run(lab, host, *argv):
    # Standard input goes along when it is not a terminal.
    return lab.begin(host, *argv).follow(stdin=not os.isatty(0))


def put(lab, host, *files):
    for file in files[:-1]:
        lab.put(host, file, files[-1])


def guest(lab, host, name, kind, *words):
    lab.guest(host, name, kind, **dict(word.split("=", 1) for word in words))


def with_lab(lab, *argv):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # by way of `finally`
    lab.own = True
    try:
        lab.up()
        return subprocess.run(argv, env={**os.environ, "LAB": lab.name}).returncode
    finally:
        lab.down()


def inside(lab, *argv):
    return subprocess.run(lab.enter(*argv)).returncode


COMMANDS = {
    "up": Lab.up, "down": Lab.down, "run": run, "shell": shell, "put": put, "get": Lab.get,
    "guest": guest, "cut": Lab.cut, "start": Lab.start, "freeze": Lab.freeze, "thaw": Lab.thaw,
    "link": Lab.link, "with": with_lab, "inside": inside, "logs": Lab.logs,
}


def main(argv):
    if len(argv) < 2 or argv[1] not in COMMANDS:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        result = COMMANDS[argv[1]](Lab(), *argv[2:])
        return result if isinstance(result, int) else 0
    except (LabError, remote.Lost, OSError, TypeError) as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv))
