#!/usr/bin/env python3
"""rewrite — sound streams written anew, and what comes out compared with what went in.

rewrite.py PROGRAM ARCHIVE SCRATCH [WORD]   TAP on stdout; with WORD only cases whose name has it

Of every golden stream that is accepted: convert to each target keeps the guest; pack then unpack is the
same file as convert; one octet of the packed image changed anywhere is refused, and leaves no file.
"""
import json
import pathlib
import random
import subprocess
import sys
import tarfile

OPTIONS = {"framing": "--framing", "mode": "--mode", "guest": "--guest",
           "toolstack_width": "--toolstack-width", "guest_width": "--guest-width"}
DAMAGES = 3


def arguments(options):
    out = []
    for name, value in sorted(options.items()):
        out += ["--strict"] if name == "strict" else [OPTIONS[name], str(value)]
    return out


class Program:
    def __init__(self, path):
        self.path = path

    def run(self, *words):
        done = subprocess.run([self.path, "stream", *map(str, words)], capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, timeout=60)
        return done.returncode, done.stdout, done.stderr.strip()

    def verify(self, path, *options):
        status, out, said = self.run("verify", path, "--json", *options)
        return json.loads(out) if status == 0 else {"status": "reject", "reason": said}


def compare(want, got, is_legacy, name):
    """Lines: what the guest has lost or got on the way."""
    if got["status"] != "ok":
        yield f"is refused: {got['reason']}"
        return
    for key in ("guest", "hvm_params", "pages_populated"):
        if got[key] != want[key]:
            yield f"{key} is {got[key]}, not {want[key]}"
    if got["image_pages"] == want["image_pages"] and got["image_sha256"] != want["image_sha256"]:
        yield "the image is another one"
    for key, digest in want["state"].items():
        if got["state"].get(key) != digest:
            yield f"{key} is {got['state'].get(key)}, not {digest}"
    # Whether a legacy stream of one epoch is a checkpointed one shows only when it goes on.
    checkpoints = want["checkpoints"]
    good = (0, 1) if is_legacy and checkpoints == 1 else (checkpoints,)
    if got["checkpoints"] not in good and name != "last":
        yield f"{got['checkpoints']} checkpoints of {checkpoints}"


def damaged(program, packed, scratch, chance):
    """A line if an image with one octet changed is taken, or leaves a file."""
    octets = bytearray(packed.read_bytes())
    at = chance.randrange(len(octets))
    octets[at] ^= 1 << chance.randrange(8)
    bad, out = scratch / "damaged", scratch / "never"
    bad.write_bytes(octets)
    status, _, said = program.run("unpack", bad, out)
    if status == 0 and is_informative(octets, at):
        out.unlink()
        return None
    if status == 0:
        return f"octet {at} changed, and taken"
    return f"refused, and a file is left: {said}" if list(scratch.glob("never*")) else None


def is_informative(octets, at):
    """Octets before the image's first: headers, whose version of Xen and reserved bits bind nobody."""
    return at < octets.index(b"\x08\0\x50\x52") + 16


def case(program, scratch, name, want, chance):
    path = scratch / f"{name}.stream"
    options = arguments(want["options"])
    is_legacy = want["version"] < 2
    framing = want["framing"]
    for target in ("v3", "v2", "libxl", "xl"):
        out = scratch / "out"
        status, _, said = program.run("convert", "--to", target, path, out, *options)
        if status != 0:
            yield f"to {target}: {said}"
            continue
        for line in compare(want, program.verify(out), is_legacy, target):
            yield f"to {target}: {line}"
    status, _, said = program.run("convert", "--to", "v3", "--checkpoint", "last", path, scratch / "last", *options)
    for line in compare(want, program.verify(scratch / "last"), is_legacy, "last") if status == 0 else [said]:
        yield f"last checkpoint: {line}"
    same = {"libxl": "libxl", "xl": "xl"}.get(framing, "v3")
    packed, unpacked, plain = scratch / "packed", scratch / "unpacked", scratch / "plain"
    for words in (("pack", path, packed, *options), ("unpack", packed, unpacked),
                  ("convert", "--to", same, path, plain, *options)):
        status, _, said = program.run(*words)
        if status != 0:
            yield f"{words[0]}: {said}"
            return
    for line in compare(want, program.verify(packed), is_legacy, "pack"):
        yield f"packed: {line}"
    status, out, said = program.run("diff", unpacked, plain)
    if status != 0:
        yield f"unpacked differs: {out} {said}"
    for _ in range(DAMAGES):
        line = damaged(program, packed, scratch, chance)
        if line:
            yield line


def main():
    program, archive, scratch = Program(sys.argv[1]), sys.argv[2], pathlib.Path(sys.argv[3])
    word = sys.argv[4] if len(sys.argv) > 4 else ""
    with tarfile.open(archive, "r:xz") as tar:
        tar.extractall(scratch)
    manifest = json.loads((scratch / "manifest.json").read_text())
    sound = {k: v for k, v in sorted(manifest.items()) if v["status"] == "ok" and word in k}
    failed = 0
    for n, (name, want) in enumerate(sound.items(), 1):
        wrong = list(case(program, scratch, name, want, random.Random(name)))
        print(f"{'not ok' if wrong else 'ok'} {n} - {name}", flush=True)
        for line in wrong:
            print(f"# {line}")
        failed += bool(wrong)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
