#!/usr/bin/env python3
"""golden — every golden stream through `replicator stream verify`, compared with what its generator says.

golden.py PROGRAM ARCHIVE SCRATCH [WORD]   TAP on stdout; with WORD only cases whose name has it

Each file is read three times: as a file; from a pipe whose writer stops at odd places, because a reader
may not depend on where a read ends; and with --no-image, which may change nothing but the digest.
"""
import json
import pathlib
import subprocess
import sys
import tarfile

OPTIONS = {"framing": "--framing", "mode": "--mode", "guest": "--guest",
           "toolstack_width": "--toolstack-width", "guest_width": "--guest-width"}
ACCEPTED = ("framing", "version", "guest", "image_sha256", "image_pages", "pages_populated", "checkpoints",
            "complete", "state", "hvm_params")
PIECE = 4093


def arguments(options):
    out = []
    for name, value in sorted(options.items()):
        out += ["--strict"] if name == "strict" else [OPTIONS[name], str(value)]
    return out


def verify(program, path, options, by_pipe, *more):
    """(exit status, object or None, what it said besides)"""
    command = [program, "stream", "verify", "-" if by_pipe else str(path), "--json", *arguments(options),
               *more]
    if not by_pipe:
        done = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, timeout=60)
        status, out, said = done.returncode, done.stdout, done.stderr
    else:
        octets = path.read_bytes()
        child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            for at in range(0, len(octets), PIECE):
                child.stdin.write(octets[at:at + PIECE])
                child.stdin.flush()
        except BrokenPipeError:
            pass  # a reader need not take what comes after the end
        try:
            child.stdin.close()
        except BrokenPipeError:
            pass
        child.stdin = None
        out, said = child.communicate(timeout=60)
        status = child.returncode
    try:
        return status, json.loads(out), said.decode(errors="replace")
    except ValueError:
        return status, None, said.decode(errors="replace")


def complaints(want, path, status, got, said):
    """What is not as it must be, a line each."""
    if got is None:
        yield f"exit status {status}, no object; {said.strip()}"
        return
    if status != {"ok": 0, "reject": 1}[want["status"]] or got.get("status") != want["status"]:
        yield (f"exit status {status}, {got.get('status')} ({got.get('reason')}), "
               f"not {want['status']} ({want.get('reason', 'sound')})")
        return
    if want["status"] == "ok":
        for name in ACCEPTED:
            if got.get(name) != want[name]:
                yield f"{name} is {got.get(name)}, not {want[name]}"
        return
    if not got.get("reason"):
        yield "refused without a reason"
    offset = got.get("offset")
    if not isinstance(offset, int) or not want["from"] <= offset <= path.stat().st_size:
        yield f"refused at offset {offset}, not between {want['from']} and the end; {got.get('reason')}"
    number = want["number"]
    if number and f"record {number} " not in got["reason"]:
        yield f"refused elsewhere than in record {number}: {got['reason']}"


def main():
    program, archive, scratch = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3])
    word = sys.argv[4] if len(sys.argv) > 4 else ""
    with tarfile.open(archive, "r:xz") as tar:
        tar.extractall(scratch)
    manifest = json.loads((scratch / "manifest.json").read_text())
    failed = 0
    for n, (name, want) in enumerate(sorted((k, v) for k, v in manifest.items() if word in k), 1):
        path = scratch / f"{name}.stream"
        wrong = []
        for by_pipe in (False, True):
            wrong += complaints(want, path, *verify(program, path, want["options"], by_pipe))
        blind = {**want, "image_sha256": None}
        wrong += complaints(blind, path, *verify(program, path, want["options"], False, "--no-image"))
        print(f"{'not ok' if wrong else 'ok'} {n} - {name}: {want.get('reason', want['status'])}", flush=True)
        for line in dict.fromkeys(wrong):
            print(f"# {line}")
        failed += bool(wrong)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
