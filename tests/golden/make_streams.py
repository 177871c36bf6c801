#!/usr/bin/env python3
"""make_streams — the golden streams, made from the formats' description by nothing of the program.

make_streams.py FOLDER           writes NAME.stream for every case, and manifest.json
make_streams.py --archive FILE   the same as one .tar.xz, the one in the tree
make_streams.py --compare FILE   exit 1 when the archive holds anything else than is made here

The manifest maps a name to what `replicator stream verify` must say of it: `options` it needs,
`status`, and for accepted ones framing, version, guest, image_sha256, image_pages, pages_populated,
checkpoints, complete, state (name → SHA-256), hvm_params; for refused ones `reason` (a class for
people, not a text), `from` (the offset of the item in which the refusal must lie) and the item's
`number`.
"""
import io
import json
import lzma
import pathlib
import sys
import tarfile

import framed_cases
import legacy_cases
import libxc_cases


def everything():
    """name → octets, the manifest last."""
    files, manifest = {}, {}
    for source in (libxc_cases, framed_cases, legacy_cases):
        for name, case in source.cases():
            assert name not in manifest, name
            files[f"{name}.stream"] = case.pop("octets")
            manifest[name] = case
    files["manifest.json"] = (json.dumps(manifest, indent=1, sort_keys=True) + "\n").encode()
    return files


def archive(files):
    """The same octets every time: no dates, no owners."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, octets in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(octets), 0o644
            tar.addfile(member, io.BytesIO(octets))
    return lzma.compress(raw.getvalue(), preset=9 | lzma.PRESET_EXTREME)


def unpacked(path):
    with tarfile.open(path, "r:xz") as tar:
        return {member.name: tar.extractfile(member).read() for member in tar if member.isfile()}


def main(arguments):
    if len(arguments) == 2 and arguments[0] == "--archive":
        pathlib.Path(arguments[1]).write_bytes(archive(everything()))
    elif len(arguments) == 2 and arguments[0] == "--compare":
        kept, made = unpacked(arguments[1]), everything()
        differ = sorted(name for name in kept.keys() | made.keys() if kept.get(name) != made.get(name))
        for name in differ:
            print(f"{name}: not as the generator makes it")
        return 1 if differ else 0
    elif len(arguments) == 1 and not arguments[0].startswith("-"):
        for name, octets in everything().items():
            path = pathlib.Path(arguments[0], name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(octets)
    else:
        print(__doc__, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
