#!/usr/bin/env python3
"""golden_xen — the golden streams before Xen's own tools: where they judge otherwise, it is for a reason
that is listed here.

golden_xen.py PROGRAM ARCHIVE SCRATCH   TAP on stdout, 77 when Xen's tools are not installed
"""
import json
import pathlib
import re
import subprocess
import sys
import tarfile

import xen_tools

# What the checker has no rule for.
LAXER = (r"libxc-bad/big-endian$",          # its test of the bit is dead
         r"libxc-bad/no-(context|vcpu-0)$",  # nor for what a restore needs at the end
         r"libxc-bad/p2m-frame-",
         r"libxl-bad/no-context$")
# What it refuses though a restore does not: reserved bits, bodies where none belongs, everything that is
# optional, a Remus stream (which never has an END), records of version 3 in version 2, and, by a fault
# of its own under Python 3, EMULATOR_XENSTORE_DATA.
STRICTER = (r"libxc/(end|verify|static-data-end)-with-body$", r"libxc/optional-records-everywhere$",
            r"libxc/padding-not-zero$", r"libxc/policies-in-v2$", r"libxc/reserved-", r"remus/", r"libxl-remus/",
            r"libxl/(hvm|made-by-the-converter|octets-after-end|optional-record|reserved-options)$")
# States that the converter has no record for, or reads for libxl only.
NOT_CONVERTED = {"TOOLSTACK", "EMULATOR_CONTEXT/0/0", "UNMAPPED_PFNS"}
# Guests that it converts to something else, and why.
OTHERWISE = (r"legacy/pv-without-vcpu-info$",         # writes no vcpu at all without VCPU_INFO
             r"legacy-chunk/verify-compares-only$",   # forgets that pages are to be compared only
             r"legacy-chunk/types-without-content$",  # BROKEN pages: no memory in version 3
             r"legacy-chunk/ioreq-server-by-half$",   # half a pair is a parameter, too
             r"legacy-chunk/nothing-does-not-touch",  # a batch of nothing becomes a record of 0 pages
             r"legacy-tail/unmapped-after-sent-")     # takes the list for bogus


def any_of(patterns, name):
    return any(re.match(pattern, name) for pattern in patterns)


def verify(program, path):
    done = subprocess.run([program, "stream", "verify", str(path), "--json"], capture_output=True,
                          stdin=subprocess.DEVNULL, timeout=60)
    return json.loads(done.stdout)


def judge_verdict(xen, name, want, octets):
    """A line of complaint, or None."""
    why = xen.verify(octets, "libxl" if name.startswith("libxl") else "libxc")
    same = (why is None) == (want["status"] == "ok")
    listed = any_of(LAXER, name) if want["status"] == "reject" else any_of(STRICTER, name)
    if not same and not listed:
        return f"Xen says {why or 'sound'}, we say {want['status']}"
    return None


def judge_conversion(xen, program, name, want, path):
    """(whether the converter was able, a line of complaint or None)"""
    width, guest = (32 if re.search(r"-32($|-)", name) else 64), want["guest"]
    converted = path.with_suffix(".v3")
    if xen.convert(path, converted, width, guest) is not None:
        return False, None
    got = verify(program, converted)
    if got["status"] != "ok":
        return True, f"what Xen converted is refused: {got['reason']}"
    state = {key: value for key, value in want["state"].items() if key not in NOT_CONVERTED}
    for key, mine in (("state", state), ("hvm_params", want["hvm_params"]),
                      ("pages_populated", want["pages_populated"])):
        if got[key] != mine:
            return True, f"{key} is {got[key]} when Xen converts it, {mine} in the legacy stream"
    ours = path.with_suffix(".ours")
    subprocess.run([program, "stream", "convert", "--to", "v3", "--no-extras", str(path), str(ours)],
                   capture_output=True, stdin=subprocess.DEVNULL, timeout=60, check=True)
    mine = verify(program, ours)
    for key in got:
        if got[key] != mine[key]:
            return True, f"{key} is {got[key]} when Xen converts it, {mine[key]} when we do"
    return True, None


def main():
    xen = xen_tools.find()
    program, archive, scratch = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3])
    with tarfile.open(archive, "r:xz") as tar:
        tar.extractall(scratch)
    manifest = json.loads((scratch / "manifest.json").read_text())
    judged, able, wrong = 0, 0, []
    for name, want in sorted(manifest.items()):
        path = scratch / f"{name}.stream"
        if re.match(r"libxc|remus|libxl", name):
            judged += 1
            complaint = judge_verdict(xen, name, want, path.read_bytes())
        elif re.match(r"legacy", name) and want["status"] == "ok" and not any_of(OTHERWISE, name) \
                and want["checkpoints"] == 1 and want["options"].get("guest") is None:
            was_able, complaint = judge_conversion(xen, program, name, want, path)
            able += was_able
        else:
            continue
        if complaint:
            wrong.append(f"# {name}: {complaint}")
    print(*wrong, sep="\n")
    print(f"# {judged} golden streams judged by verify-stream-v2, {able} converted by convert-legacy-stream")
    verdict = "not ok" if wrong else "ok"
    print(f"{verdict} 1 - Xen's checker and converter agree with the golden set, but for what is listed")
    return 1 if wrong or able < 50 else 0


if __name__ == "__main__":
    sys.exit(main())
