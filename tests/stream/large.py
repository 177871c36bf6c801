#!/usr/bin/env python3
"""large — a long stream through every tool: how much memory each takes at most, and the bar on a terminal.

large.py PROGRAM SCRATCH [MIB]   TAP on stdout

Memory is what the kernel says of the process (largest resident size). The bound is the promised one,
64 MiB and 24 octets a guest page, however large the file and wherever it comes from. And an image that
is all zeros for a thousand GiB is told without digesting it.
"""
import json
import os
import pathlib
import pty
import struct
import subprocess
import sys

MAKE_IMAGE = pathlib.Path(__file__).parent.parent / "bench" / "make_image.py"


def run(*words, stdin=subprocess.DEVNULL):
    """(exit status, stdout, largest resident size in octets)"""
    child = subprocess.Popen(list(map(str, words)), stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    out = child.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    return child.returncode, out, usage.ru_maxrss << 10


def by_pipe(path, *words):
    with subprocess.Popen(["cat", path], stdout=subprocess.PIPE) as cat:
        return run(*words, stdin=cat.stdout)


def memory(program, image, scratch, pages):
    """(what, largest size) of each, or a line of complaint."""
    packed, out = scratch / "packed", scratch / "out"
    stream = [program, "stream"]
    for what, done in (
            ("verify", lambda: run(*stream, "verify", image)),
            ("verify --no-image", lambda: run(*stream, "verify", "--no-image", image)),
            ("verify from a pipe", lambda: by_pipe(image, *stream, "verify", "-")),
            ("inspect", lambda: run(*stream, "inspect", image)),
            ("convert to xl", lambda: run(*stream, "convert", "--no-sync", "--to", "xl", image, out)),
            ("convert the last", lambda: run(*stream, "convert", "--no-sync", "--checkpoint", "last", "--to", "v2",
                                             image, out)),
            ("pack", lambda: run(*stream, "pack", "--no-sync", image, packed)),
            ("pack from a pipe", lambda: by_pipe(image, *stream, "pack", "--no-sync", "-", packed)),
            ("unpack", lambda: run(*stream, "unpack", "--no-sync", packed, out)),
            ("diff", lambda: run(*stream, "diff", image, packed)),
            ("extract", lambda: run(*stream, "extract", "--no-sync", packed, out))):
        status, _, largest = done()
        bound = (64 << 20) + 24 * pages
        twice = " (two streams)" if what == "diff" else ""
        bound *= 2 if twice else 1
        complaint = None
        if status != 0:
            complaint = f"exit status {status}"
        elif largest > bound:
            complaint = f"{largest >> 10} KiB, more than {bound >> 10}"
        yield what, largest, bound, complaint


def on_terminal(*words):
    """What a command says on a stderr that is a terminal."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(list(map(str, words)), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                          stderr=theirs) as child:
        os.close(theirs)
        said = b""
        while True:
            try:
                more = os.read(ours, 4096)
            except OSError:  # the other end is closed
                more = b""
            if not more:
                break
            said += more
        child.wait()
    os.close(ours)
    return child.returncode, said


def sparse(path, pfn):
    """A guest of one page, far away."""
    out = struct.pack(">QIIHHI", (1 << 64) - 1, 0x58454E46, 3, 0, 0, 0) + struct.pack("<IHHII", 2, 12, 0, 4, 17)
    out += struct.pack("<II", 0x10, 0)
    out += struct.pack("<IIIIQ", 1, 16 + 4096, 1, 0, pfn) + b"x" * 4096
    out += struct.pack("<II", 9, 8) + b"contexts" + bytes(8)
    path.write_bytes(out)


def main():
    program, scratch = sys.argv[1], pathlib.Path(sys.argv[2])
    mib = int((sys.argv[3:] or [256])[0])
    scratch.mkdir(parents=True, exist_ok=True)
    image, bad, n = scratch / "image", 0, 0
    with image.open("wb") as out:
        subprocess.run([sys.executable, "-B", MAKE_IMAGE, str(mib)], stdout=out, check=True)

    def verdict(complaint, name):
        nonlocal n, bad
        n += 1
        bad += complaint is not None
        if complaint:
            print(f"# {complaint}")
        print(f"{'not ok' if complaint else 'ok'} {n} - {name}", flush=True)

    for what, largest, bound, complaint in memory(program, image, scratch, mib * 256):
        print(f"# {what}: {largest / (1 << 20):.1f} MiB at most, of a guest of {mib} MiB; the bound is "
              f"{bound / (1 << 20):.1f} MiB")
        verdict(complaint, f"{what} keeps to its memory")
    status, said = on_terminal(program, "stream", "verify", "--no-image", image)
    shown = [int(word) for word in said.replace(b"%", b" % ").split() if word.isdigit()]
    verdict(None if status == 0 and b"] " in said and len(set(shown)) > 10 and shown == sorted(shown) else
            f"exit status {status}, said {said[:200]}", "a long file on a terminal has a bar that grows")
    sparse(scratch / "small", 7)
    status, said = on_terminal(program, "stream", "verify", scratch / "small")
    verdict(None if status == 0 and not said else f"said {said}", "a short file has none")
    sparse(scratch / "far", (1 << 28) - 1)
    status, out, _ = run(program, "stream", "verify", "--json", scratch / "far")
    got = json.loads(out) if status == 0 else {}
    verdict(None if got.get("image_sha256", "") is None and got.get("image_pages") == 1 << 28 else f"{status}, {out}",
            "an image of 1024 GiB with one page in it is told, not digested")
    for path in (image, scratch / "packed", scratch / "out"):
        path.unlink(missing_ok=True)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
