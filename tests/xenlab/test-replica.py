#!/usr/bin/env python3
"""A replica of a Xen domain without a primary: memory and state come from a file of `xl save`, by way of
shell_driver. It becomes the same guest; whatever dies before it does, nothing of it is left to run."""

import os
import pathlib
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lab import BUILD  # noqa: E402
from tap import Test  # noqa: E402

KINDS = {"pvh": "shell-p", "hvm": "shell-h"}
DRIVER = "/usr/local/bin/shell_driver"

# The xl that restores, by its program and its words.
XL_PID = """
for one in /proc/[0-9]*; do
    case $(readlink $one/exe) in */xl) ;; *) continue ;; esac
    tr '\\0' ' ' <$one/cmdline | grep -q ' restore -p ' && echo "${one##*/}"
done
"""
DRIVER_PID = f"""
for one in /proc/[0-9]*; do
    [ "$(readlink $one/exe)" != {DRIVER} ] || echo "${{one##*/}}"
done
"""


class Driver:
    """shell_driver as it waits for a word."""

    def __init__(self, lab, file):
        self.said = b""
        self.status = None
        self.remote = lab.begin("b", DRIVER, file, "wait")

    def wait(self, words=None):
        """Until it has said that, or has ended."""
        while self.status is None and (words is None or words not in self.said):
            kind, body = self.remote.next()
            if kind == b"x":
                self.status = body
            else:
                self.said += body
        return words is None or words in self.said


def is_gone(test):
    return not test.domains_left("b")


def begin(test, file):
    driver = Driver(test.lab, file)
    if not driver.wait(b"ready"):
        test.say(driver.said.decode(errors="replace"))
    return driver


def becomes_the_guest(test, kind, name, file):
    done = test.lab.run("b", DRIVER, file, check=False)
    test.say((done.stdout + done.stderr).decode(errors="replace").strip())
    if not test.check(done.returncode == 0, f"a replica ({kind}) is activated"):
        return
    test.check(test.observer.wait_steps(name, 20, host="b"), f"it goes on ({kind})")
    change = test.observer.of(name).changes[-1]
    test.check(change[:2] == ("a", "b"), f"it is the guest that was saved ({kind})", str(change))
    test.say(f"{change[2]} messages went nowhere while its interface was connected, silence {change[3]:.1f} s")
    listed = test.lab.sh("b", "xl list").split()
    test.check(name in listed and f"{name}--replica" not in listed, f"it has its own name ({kind})")
    test.lab.run("b", "xl", "destroy", name)


def is_never_torn(test, name, file):
    done = test.lab.run("b", DRIVER, file, "pages", check=False)
    test.check(done.returncode < 0 and is_gone(test), "killed in the middle of memory: nothing is left")

    driver = begin(test, file)
    test.lab.sh("b", f"xl destroy {name}--replica")
    test.check(driver.wait(b"lost: ") and b"destroyed" in driver.said, "somebody destroys the shell: said",
               driver.said.decode())
    driver.wait()
    test.check(is_gone(test), "and nothing is left")

    driver = begin(test, file)
    test.lab.sh("b", f"kill -KILL $({XL_PID})")
    test.check(driver.wait(b"lost: ") and b"signal 9" in driver.said, "xl is killed: said", driver.said.decode())
    driver.wait()
    test.check(is_gone(test), "and its domain is destroyed")

    driver = begin(test, file)
    test.lab.sh("b", f"kill -STOP $({DRIVER_PID}); kill -KILL $({XL_PID}); kill -KILL $({DRIVER_PID})")
    driver.wait()
    test.check(f"{name}--replica" in test.lab.sh("b", "xl list"), "both are killed: the shell is left, paused")
    done = test.lab.run("b", DRIVER, file, check=False)
    test.check(done.returncode == 1 and b"is being removed" in done.stderr, "the next replica has it removed",
               done.stderr.decode())
    test.check(is_gone(test), "and it is")


def main(test):
    test.hosts()
    test.observe(*KINDS.values())
    test.lab.put("b", pathlib.Path(BUILD) / "xenlab/shell_driver", pathlib.Path(DRIVER).parent)
    for kind, name in KINDS.items():
        file = f"/host/{name}.save"
        test.lab.guest("a", name, kind)
        test.check(test.observer.wait_steps(name, 10), f"a guest of type {kind} runs")
        # Not straight to the shared folder: it can't be written to from a domain's pages.
        test.lab.sh("a", f"xl save {name} /tmp/saved && cp /tmp/saved {file} && rm /tmp/saved")
        becomes_the_guest(test, kind, name, file)
    test.check_seen("no message was repeated, left out or wrong")
    is_never_torn(test, KINDS["pvh"], f"/host/{KINDS['pvh']}.save")
    test.lab.sh("b", "rm -f /host/shell-*.save")


with Test("replica") as one:
    main(one)
