#!/usr/bin/env python3
"""random_test — random guests through every tool that writes a stream anew: nothing may be lost.

random_test.py PROGRAM SCRATCH SEEDS [FIRST]   TAP on stdout

Of each seed: what verify says is what the generator says; converted to v3, v2, libxl or xl, or packed,
or packed and unpacked, one of them a seed, it is the same guest; its last checkpoint as a plain stream without anything of
ours is accepted by Xen's verify-stream-v2, and the first epoch of a legacy stream is what Xen's
convert-legacy-stream makes of it (where they are installed); packed with one octet changed it
is refused, and no file is left.
"""
import json
import pathlib
import random
import subprocess
import sys

import golden
import random_guests

SAME = ("guest", "image_sha256", "image_pages", "pages_populated", "checkpoints", "complete", "state",
        "hvm_params")
REWRITERS = {
    "v3": ("convert", "--to", "v3"),
    "v2": ("convert", "--to", "v2"),
    "libxl": ("convert", "--to", "libxl"),
    "xl": ("convert", "--to", "xl"),
    "packed": ("pack",),
    "raw": ("pack", "--codecs", "none"),
}
PACKED = ("packed", "raw")


able = 0  # streams that Xen's converter could convert


class Refused(Exception):
    pass


class Tools:
    def __init__(self, program, scratch):
        self.program, self.scratch = program, scratch
        scratch.mkdir(parents=True, exist_ok=True)

    def path(self, name):
        return self.scratch / f"{name}.stream"

    def rewrite(self, command, source, name, options=()):
        target = self.path(name)
        target.unlink(missing_ok=True)
        done = subprocess.run([self.program, "stream", *command, str(source), str(target), *options],
                              capture_output=True, stdin=subprocess.DEVNULL, timeout=60)
        if done.returncode != 0:
            if target.exists():
                raise AssertionError(f"{' '.join(command)} failed and left {target}")
            raise Refused(f"{' '.join(command)}: {done.stderr.decode(errors='replace').strip()}")
        return target

    def verify(self, path, options=()):
        done = subprocess.run([self.program, "stream", "verify", str(path), "--json", *options],
                              capture_output=True, stdin=subprocess.DEVNULL, timeout=60)
        got = json.loads(done.stdout)
        if got["status"] != "ok":
            raise Refused(f"verify {path.stem}: {got['reason']}")
        return got


def differences(name, got, want):
    for key in SAME:
        if got[key] != want[key]:
            yield f"{name}: {key} is {got[key]}, not {want[key]}"


def damaged(tools, rng, packed):
    octets = bytearray(packed.read_bytes())
    octets[rng.randrange(len(octets))] ^= 1 << rng.randrange(8)
    path = tools.path("damaged")
    path.write_bytes(octets)
    for command in ("unpack",), ("convert", "--to", "v3"):
        try:
            tools.rewrite(command, path, "from-damaged")
        except Refused:
            continue
        yield f"a damaged image was taken by {command[0]}"


def by_xen(xen, tools, source, options):
    plain = tools.rewrite(("convert", "--to", "v3", "--checkpoint", "last", "--no-extras"), source, "last",
                          options)
    why = xen.verify(plain.read_bytes())
    if why:
        yield f"verify-stream-v2 refuses the last checkpoint: {why}"


def by_converter(xen, tools, case, source):
    """The first epoch of a legacy stream, converted by Xen and by us. BROKEN pages have memory for us, as
    for the restore of old; where the guest has some, images of HVM guests may end elsewhere."""
    global able
    theirs = tools.path("by-xen")
    if xen.convert(source, theirs, case["width"], case["guest"]) is not None:
        return
    able += 1
    got = tools.verify(theirs)
    ours = tools.verify(tools.rewrite(("convert", "--to", "v3", "--checkpoint", "1", "--no-extras"), source,
                                      "first"))
    keys = ["state", "hvm_params"]
    if case["guest"] == "pv" or got["pages_populated"] == ours["pages_populated"]:
        keys += ["image_sha256", "image_pages"]
    for key in keys:
        if got[key] != ours[key]:
            yield f"convert-legacy-stream: {key} is {got[key]}, ours {ours[key]}"


def judge(tools, xen, seed):
    """What is wrong with this seed, a line each."""
    rng = random.Random(f"judge {seed}")
    kind, case = random_guests.make(seed)
    source = tools.path("source")
    source.write_bytes(case["octets"])
    options = golden.arguments(case["options"])
    yield from differences(f"{kind}, read", tools.verify(source, options), case)
    want = {**case, "complete": True, **case.get("anew", {})}
    name = rng.choice(sorted(REWRITERS))
    if name in ("libxl", "xl"):
        want["state"] = {**want["state"], **case.get("framed", {})}
    anew = tools.rewrite(REWRITERS[name], source, name, options)
    yield from differences(f"{kind} as {name}", tools.verify(anew), want)
    if name in PACKED:
        yield from differences(f"{kind} {name}, unpacked", tools.verify(
            tools.rewrite(("unpack",), anew, "unpacked")), want)
        yield from damaged(tools, rng, anew)
    if xen:
        yield from by_xen(xen, tools, source, options)
        if kind == "legacy":
            yield from by_converter(xen, tools, case, source)


def xen_or_none():
    try:
        import xen_tools
        return xen_tools.find()
    except SystemExit:
        return None


def main():
    program, scratch, seeds = sys.argv[1], pathlib.Path(sys.argv[2]), int(sys.argv[3])
    first = int(sys.argv[4]) if len(sys.argv) > 4 else 0
    tools, xen, failed = Tools(program, scratch), xen_or_none(), 0
    for seed in range(first, first + seeds):
        try:
            wrong = list(judge(tools, xen, seed))
        except (Refused, AssertionError) as why:
            wrong = [str(why)]
        for line in wrong:
            print(f"# seed {seed}: {line[:400]}")
        failed += bool(wrong)
        if failed >= 10:
            break
    print(f"# {seeds} guests from seed {first}, each written anew in one of {len(REWRITERS)} ways")
    print(f"{'not ok' if failed else 'ok'} 1 - a guest is the same guest in every kind of stream")
    if xen:
        print(f"# {seeds} streams of ours before verify-stream-v2, {able} beside convert-legacy-stream")
        print(f"{'not ok' if failed else 'ok'} 2 - what we write without extensions is accepted by Xen's checker")
    else:
        print("ok 2 - what we write without extensions is accepted by Xen's checker "
              "# SKIP xen-utils-4.17 is not installed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
