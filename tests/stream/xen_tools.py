"""xen_tools — Xen's own checker and converter of streams, where they are installed (Debian: xen-utils-4.17).

VERIFY_STREAM names a verify-stream-v2 that is elsewhere; the converter and the python modules are
looked for beside it.
"""
import glob
import io
import os
import pathlib
import subprocess
import sys

SKIP = 77


class XenTools:
    def __init__(self, verifier):
        self.bin = pathlib.Path(verifier).parent
        self.modules = self.bin.parent / "lib" / "python"
        sys.dont_write_bytecode = True
        sys.path.insert(0, str(self.modules))
        from xen.migration import libxc, libxl  # a checker, not a library: it is meant to be run
        self.checkers = {"libxc": libxc.VerifyLibxc, "libxl": libxl.VerifyLibxl}

    def verify(self, octets, framing="libxc"):
        """None when it is accepted, else why not."""
        try:
            self.checkers[framing](lambda *_: None, io.BytesIO(octets).read).verify()
        except Exception as why:  # whatever stops it
            return f"{type(why).__name__}: {why}"
        return None

    def convert(self, path, to, width, guest):
        """A legacy stream as libxc v3. None when it could, else what it said last."""
        environment = dict(os.environ, PYTHONPATH=str(self.modules), PYTHONDONTWRITEBYTECODE="1")
        done = subprocess.run(
            [sys.executable, self.bin / "convert-legacy-stream", "-i", path, "-o", to, "-w", str(width),
             "-g", guest, "--skip-qemu"], capture_output=True, env=environment, stdin=subprocess.DEVNULL,
            timeout=60)
        if done.returncode == 0:
            return None
        return (done.stderr.decode(errors="replace").strip().splitlines() or ["?"])[-1]


def find():
    """The tools; ends the process with 77 when there are none."""
    named = os.environ.get("VERIFY_STREAM")
    for verifier in [named] if named else sorted(glob.glob("/usr/lib/xen-*/bin/verify-stream-v2")):
        try:
            return XenTools(verifier)
        except ImportError:
            pass
    print("verify-stream-v2 and its python modules are not installed (package xen-utils-4.17)")
    sys.exit(SKIP)
