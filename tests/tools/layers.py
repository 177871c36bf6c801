#!/usr/bin/env python3
"""layers — refuses what docs/HACKING.md forbids and a compiler accepts.

layers.py ROOT         checks the tree, one line "file:line: what" per violation, exit 1 if any
layers.py --self-test  plants each violation in a scratch tree and sees that it is found
"""
import pathlib
import re
import sys
import tempfile

# What each folder may include besides itself. Nothing points up, and never to tests/.
MAY_INCLUDE = {
    "base": set(),
    "compress": {"base"},
    "checkpoint": {"base", "compress"},
    "netbuf": {"base"},
    "replicator": {"base", "compress", "checkpoint", "netbuf"},
}
# The clock has one owner; the simulated guest's threads wait on a condition with a deadline, and what
# runs within a guest of the lab is a program of its own.
MAY_READ_CLOCK = re.compile(r"base/clock\.c|checkpoint/sim/guest_sim\w*\.c|tests/xenlab/guest/\w+\.c")
CLOCK = re.compile(r"\b(clock_gettime|gettimeofday|time\s*\((NULL|0|&))")
LEAF = ("base", "compress", "checkpoint", "netbuf")
# proto/ decides and does nothing: no clock, no socket, no memory, no log.
IMPURE = re.compile(r"\b(clock_now_ns|fence_open|malloc|calloc|realloc|free|socket|poll|send|recv|log_\w+)\s*\(")
# _exit is not in the list: it ends a forked child that could not exec, not the caller's process.
LOGS_OR_EXITS = re.compile(r"\b(log_(line|err|warning|notice|info|debug)|exit)\s*\(")
PROTO_WORDS = {"replicator/fence/fence.h"}  # the names of sides and answers, no call
UNFINISHED = re.compile(r"\b(TO" r"DO|FIX" r"ME|X" r"XX)\b")
FUNCTION_LINES_MAX = 70
FILE_LINES_MAX = 500
CODE = {".c", ".h"}
TEXT = CODE | {".def", ".py", ".sh"}


def without_comments_and_strings(text):
    """Blanks them out, keeping every newline, so that line numbers stay."""
    pattern = r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\''
    return re.sub(pattern, lambda m: re.sub(r"[^\n]", " ", m.group(0)), text, flags=re.S)


def check_include(root, name, line):
    """Says what is wrong with the include in `line`, or None."""
    quoted = re.match(r'\s*#\s*include\s*"([^"]+)"', line)
    if not quoted:
        return None
    target = quoted.group(1)
    here, there = name.split("/")[0], target.split("/")[0]
    if "/" not in target or not (root / target).is_file():
        return f'include "{target}" is not written from the root, or names nothing'
    if here in MAY_INCLUDE and there != here and there not in MAY_INCLUDE[here]:
        return f'{here}/ must not include "{target}"'
    if name.startswith("replicator/proto/"):
        if target == "base/log.h" or (
            there == "replicator" and "/proto/" not in target and target not in PROTO_WORDS
        ):
            return f'proto/ is pure and must not include "{target}"'
    return None


def check_code_line(name, line):
    """Yields what is wrong with a line that has neither comments nor strings left."""
    if CLOCK.search(line) and not MAY_READ_CLOCK.fullmatch(name):
        yield "asks for the time: only base/clock.c may"
    if name.startswith("replicator/proto/") and IMPURE.search(line):
        yield "proto/ decides without I/O, memory, log or clock"
    if name.split("/")[0] in LEAF and not name.startswith("base/log."):
        if LOGS_OR_EXITS.search(line):
            yield "a leaf folder neither logs nor exits"


def check_lengths(lines):
    """Functions are what stands between a brace and a brace at column 0."""
    start = None
    for number, line in enumerate(lines, 1):
        if line.rstrip() == "{":
            start = number
        elif line.rstrip() == "}" and start is not None:
            if number - start + 1 > FUNCTION_LINES_MAX:
                yield start, f"function of {number - start + 1} lines (at most {FUNCTION_LINES_MAX})"
            start = None
    if len(lines) > FILE_LINES_MAX:
        yield len(lines), f"file of {len(lines)} lines (at most {FILE_LINES_MAX})"


def check_file(root, path):
    """Yields (line number, what) for each violation in one file."""
    name = path.relative_to(root).as_posix()
    text = path.read_text(encoding="utf-8", errors="replace")
    lines = text.splitlines()
    for number, line in enumerate(lines, 1):
        if "\t" in line:
            yield number, "tab"
        if line != line.rstrip():
            yield number, "space at the end of the line"
        if UNFINISHED.search(line):
            yield number, "unfinished business: open an issue instead"
    if text and not text.endswith("\n"):
        yield len(lines), "no newline at the end"
    if path.suffix not in CODE:
        return
    if not text.startswith("/*"):
        yield 1, "the first comment says what the file promises"
    for number, line in enumerate(lines, 1):
        wrong = check_include(root, name, line)
        if wrong:
            yield number, wrong
    bare = without_comments_and_strings(text).splitlines()
    for number, line in enumerate(bare, 1):
        for wrong in check_code_line(name, line):
            yield number, wrong
    yield from check_lengths(bare)


def files_of(root):
    for folder in sorted(MAY_INCLUDE) + ["tests"]:
        for path in sorted((root / folder).rglob("*")):
            if path.suffix in TEXT and path.is_file():
                yield path


def check_tree(root):
    """All violations as printable lines."""
    found, owner = [], {}
    for path in files_of(root):
        name = path.relative_to(root).as_posix()
        found += [f"{name}:{number}: {what}" for number, what in check_file(root, path)]
        if path.suffix in CODE and not name.startswith("tests/"):
            if path.name in owner:
                found.append(f"{name}:1: has the name of {owner[path.name]}")
            owner.setdefault(path.name, name)
    return found


PLANTED = [  # file, its text, what the complaint must contain (None: there must be none)
    ("base/up.c", '/* x */\n#include "checkpoint/guest.h"\n', "must not include"),
    ("checkpoint/side.c", '/* x */\n#include "netbuf/netbuf.h"\n', "must not include"),
    ("netbuf/side.c", '/* x */\n#include "checkpoint/guest.h"\n', "must not include"),
    ("replicator/test.c", '/* x */\n#include "tests/unit/t.h"\n', "must not include"),
    ("base/near.c", '/* x */\n#include "near.h"\n', "from the root"),
    ("replicator/link/clock.c", "/* x */\nint f(void) { return clock_gettime(0, 0); }\n", "time"),
    ("replicator/proto/p.c", "/* x */\nvoid *f(void) { return malloc(1); }\n", "without I/O"),
    ("replicator/proto/q.c", '/* x */\n#include "base/log.h"\n', "pure"),
    ("replicator/proto/f.c", '/* x */\n#include "replicator/fence/fence.h"\n', None),
    ("base/loud.c", '/* x */\nvoid f(void) { log_err("x"); }\n', "neither logs"),
    ("compress/quits.c", "/* x */\nvoid f(void) { exit(1); }\n", "neither logs"),
    ("base/later.c", "/* TO" "DO more */\n", "unfinished"),
    ("base/tab.c", "/* x */\n\tint x;\n", "tab"),
    ("base/blank.c", "/* x */ \n", "space at the end"),
    ("base/cut.c", "/* x */\nint x;", "no newline"),
    ("base/bare.c", "int x;\n", "first comment"),
    ("base/long.c", "/* x */\nint f(void)\n{\n" + "    f();\n" * 70 + "}\n", "function of 72"),
    ("base/file.c", "/* x */\n" + "int x;\n" * 500, "file of 501"),
    ("replicator/stats/err.c", "/* x */\n", "has the name of base/err.c"),
    ("base/fine.c", '/* clock_gettime( */\nconst char *x = "exit(1) malloc(";\n', None),
    ("replicator/fine.c", '/* x */\n#include "base/log.h"\n#include "netbuf/netbuf.h"\n', None),
    ("base/edge.c", "/* x */\nint f(void)\n{\n" + "    f();\n" * 68 + "}\n", None),
    ("checkpoint/sim/guest_sim.c", "/* x */\nint f(void) { return clock_gettime(0, 0); }\n", None),
]


def self_test():
    """Each planted file alone in a clean tree: its complaint must be there, and be the only one."""
    clean = ["base/log.h", "base/err.c", "checkpoint/guest.h", "netbuf/netbuf.h", "tests/unit/t.h"]
    clean.append("replicator/fence/fence.h")
    failures = 0
    for name, text, expected in PLANTED:
        with tempfile.TemporaryDirectory() as scratch:
            root = pathlib.Path(scratch)
            for path, content in [(c, "/* x */\n") for c in clean] + [(name, text)]:
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                (root / path).write_text(content, encoding="utf-8")
            found = check_tree(root)
        right = len(found) == 1 and expected in found[0] if expected else not found
        if not right:
            failures += 1
            print(f"self test: {name}: expected {expected!r}, found {found}")
    return failures


def main():
    if sys.argv[1:] == ["--self-test"]:
        return 1 if self_test() else 0
    found = check_tree(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "."))
    for line in found:
        print(line)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
