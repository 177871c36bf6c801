"""guests — what the lab's guests are made of, and how xl is told."""

import hashlib
import os
import pathlib
import shutil
import struct
import subprocess
import tempfile
import uuid

M64 = (1 << 64) - 1
PAGE_WORDS = 512
# Debian's kernel has fq_codel, which drops what has waited too long: on purpose, as on a congested way. What a guest
# says waits when its interface connects anew, and each message that is missing is a fault to the observer (moves.py
# shows it, with QUEUE=fq_codel).
QUEUE = f"sysctl.net.core.default_qdisc={os.environ.get('QUEUE', 'pfifo_fast')}"
DISK_BLOCKS = 256  # of 4 KiB: small, so that both hosts have it soon


def put_files(image, build, folder):
    """An initramfs of the workload and the modules that it needs; what connects its devices."""
    for script in ("vif-lab", "block-lab"):
        shutil.copy(pathlib.Path(__file__).with_name(script), folder)
        (folder / script).chmod(0o755)
    with tempfile.TemporaryDirectory() as name:
        root = pathlib.Path(name)
        shutil.copy(build / "xenlab/workload", root / "init")
        shutil.copytree(image / "modules", root / "modules")
        for place in ("dev", "proc", "sys", "sbin"):
            (root / place).mkdir()
        for name in ("poweroff", "reboot"):
            (root / "sbin" / name).symlink_to("/init")
        files = b"\n".join(str(path.relative_to(root)).encode() for path in sorted(root.rglob("*")))
        with open(folder / "initrd", "wb") as out:
            subprocess.run(["cpio", "-o", "-H", "newc", "--owner=0:0", "--quiet"], cwd=root, input=files,
                           stdout=out, check=True)


def ip(name):
    """10.78.0.16 to .239, of a guest's name."""
    return f"10.78.0.{16 + hashlib.sha256(name.encode()).digest()[0] % 224}"


def known_to_xl(name):
    """An IPv4 and an IPv6 address that the guest itself knows nothing of: only xl's configuration has them."""
    host = ip(name).rpartition(".")[2]
    return f"10.79.0.{host}", f"fd00:78::{host}"


def mac(name):
    return "00:16:3e:" + ":".join(f"{octet:02x}" for octet in hashlib.sha256(name.encode()).digest()[1:4])


def uuid_of(name):
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, name))


def disk(name):
    """Where it is, on every host."""
    return f"/var/lib/xen/images/{name}.img"


def disk_image(blocks):
    """What the workload expects to read."""
    words = (at * 0x9E3779B97F4A7C15 & M64 for at in range(blocks * PAGE_WORDS))
    return b"".join(struct.pack("<Q", word ^ word >> 32) for word in words)


def config(name, kind, memory=128, vcpus=1, vifs=1, disk_blocks=0, disk_by="qdisk", **words):
    """xl's configuration; other words go to the workload. The disk is served by QEMU (qdisk) or the kernel (phy)."""
    words = {"ip": ip(name), **words}
    if disk_blocks:
        words["disk"] = disk_blocks
    told = " ".join(f"{word}={value}" for word, value in words.items())
    lines = [
        f'name = "{name}"',
        f'uuid = "{uuid_of(name)}"',
        f'type = "{kind}"',
        f"memory = {memory}",
        f"vcpus = {vcpus}",
        f'kernel = "/boot/{"vmlinuz" if kind == "hvm" else "vmlinux"}"',
        'ramdisk = "/host/guest/initrd"',
        f'cmdline = "console=hvc0 quiet panic=-1 mitigations=off net.ifnames=0 {QUEUE} {told}"',
        'on_crash = "preserve"',
        "vif = [" + ", ".join(
            f"'mac={mac(name + str(number) if number else name)},bridge=xenbr0,type=vif,"
            f"ip={' '.join(known_to_xl(name))},script=/host/guest/vif-lab'"
            for number in range(int(vifs))) + "]",
    ]
    if disk_blocks:  # rw though nobody writes: QEMU 7.2 serves none that is ro to a domain of Xen
        lines.append(f"disk = ['format=raw,vdev=xvda,access=rw,backendtype={disk_by},target={disk(name)}']")
    if kind == "hvm":
        lines += ["vnc = 0", 'vga = "none"', 'serial = "pty"', "xen_platform_pci = 1"]
    return "\n".join(lines) + "\n"
