#!/usr/bin/env python3
"""generated_xen — streams of random guests, written anew by `replicator stream`, before Xen's checker.

generated_xen.py PROGRAM GOLDEN SCRATCH [COUNT [SEED]]   TAP on stdout, 77 without Xen's tools

Each stream is made by the generator of the golden set, converted to every target that the checker
knows, packed and unpacked; each result must be accepted by verify-stream-v2 and be the same guest.
"""
import json
import pathlib
import random
import subprocess
import sys

import xen_tools

PAGES_MOST = 96


def libxc(golden, chance):
    guest, version = chance.choice(("pv", "hvm")), chance.choice((2, 3))
    pages = chance.randrange(8, PAGES_MOST)
    s = golden.opened(guest, version, width=chance.choice((4, 8)), pages=pages)
    epochs = chance.choice((0, 0, 1, 2, 4))
    for epoch in range(max(1, epochs)):
        for _ in range(chance.randrange(1, 5)):
            s.pages(*(entry(golden, guest, pages, chance, epoch) for _ in range(chance.randrange(1, 40))))
        if guest == "pv":
            s.pages((golden.PV_P2M,), (golden.PV_START_INFO,))
        state(s, golden, guest, chance, epoch)
        if epochs:
            s.checkpoint()
    return s.end()


def entry(golden, guest, pages, chance, epoch):
    pfn = chance.randrange(pages)
    kind = chance.choice((golden.NOTAB,) * 6 + (1, golden.L4 | golden.PINNED, golden.XALLOC,
                                                golden.XTAB, golden.BROKEN))
    if guest == "pv" and pfn == golden.PV_P2M:
        kind = golden.NOTAB
    octets = chance.choice((golden.content(pfn, epoch), bytes(4096), chance.randbytes(4096)))
    return pfn, kind, None if kind in golden.WITHOUT_CONTENT else octets


def state(s, golden, guest, chance, epoch):
    s.tsc(epoch)
    if guest == "hvm":
        order = [lambda: s.context(epoch, chance.randrange(1, 5000)),
                 lambda: s.hvm_params((1, chance.randrange(1 << 40)), (17, epoch + 1))]
        chance.shuffle(order)
        for write in order:
            write()
    else:
        s.shared_info(epoch)
        for vcpu in range(chance.randrange(1, 4)):
            s.basic(vcpu, epoch)
            if chance.randrange(2):
                s.vcpu(golden.VCPU_EXTENDED, vcpu, golden.blob(f"ext {epoch}", chance.randrange(1, 129)))
                s.vcpu(golden.VCPU_XSAVE, vcpu, golden.blob(f"xsave {epoch}", chance.randrange(16, 900)))
                s.vcpu(golden.VCPU_MSRS, vcpu, golden.blob(f"msr {epoch}", 16 * chance.randrange(1, 9)))


def run(program, *words):
    done = subprocess.run([program, "stream", *map(str, words)], capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, timeout=60)
    return done.returncode, done.stdout, done.stderr.strip()


def results(program, path, scratch, is_remus):
    """(name, framing of the checker, file) of each way, or a line of complaint."""
    ways = [("v3", "libxc"), ("v2", "libxc")]
    ways += [] if is_remus else [("libxl", "libxl")]  # the checker can't read those
    for target, framing in ways:
        out = scratch / f"out.{target}"
        status, _, said = run(program, "convert", "--no-extras", "--to", target, path, out)
        yield (target, framing, out) if status == 0 else f"to {target}: {said}"
    packed, unpacked = scratch / "packed", scratch / "unpacked"
    for words in (("pack", path, packed), ("unpack", packed, unpacked)):
        status, _, said = run(program, *words)
        if status != 0:
            yield f"{words[0]}: {said}"
            return
    yield ("unpacked", "libxc", unpacked)


def judge(xen, program, s, scratch):
    path = scratch / "generated"
    path.write_bytes(bytes(s.out))
    want = s.model.outcome()
    judged = 0
    for result in results(program, path, scratch, want["checkpoints"] > 0):
        if isinstance(result, str):
            return judged, result
        name, framing, out = result
        why = xen.verify(out.read_bytes(), framing)
        if why:
            return judged, f"{name}: Xen says {why}"
        status, text, said = run(program, "verify", "--json", out)
        got = json.loads(text) if status == 0 else {}
        for key in ("guest", "image_sha256", "image_pages", "pages_populated", "checkpoints", "hvm_params"):
            if got.get(key) != want[key]:
                return judged, f"{name}: {key} is {got.get(key)}, not {want[key]} {said}"
        judged += 1
    return judged, None


def main():
    xen = xen_tools.find()
    program, scratch = sys.argv[1], pathlib.Path(sys.argv[3])
    count, seed = int((sys.argv[4:] or [300])[0]), int((sys.argv[5:] or [1])[0])
    sys.path.insert(0, sys.argv[2])
    import libxc_stream
    judged = 0
    for n in range(count):
        chance = random.Random(seed * 1000003 + n)
        more, complaint = judge(xen, program, libxc(libxc_stream, chance), scratch)
        judged += more
        if complaint:
            print(f"# seed {seed}, stream {n}: {complaint}\nnot ok 1 - what we write is accepted by Xen's checker")
            return 1
    print(f"# {judged} streams that we wrote, of {count} guests, accepted by verify-stream-v2 (seed {seed})")
    print("ok 1 - what we write is accepted by Xen's checker, and is the same guest")
    return 0


if __name__ == "__main__":
    sys.exit(main())
