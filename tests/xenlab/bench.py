#!/usr/bin/env python3
"""bench — a guest under replicator and under stock `xl remus`, in the same lab, the same run, with the same
load, in turns; beside it the same guest under neither. Everything is in emulated machines: only ratios within
one run mean anything.

ROUNDS=N (3), WINDOW=S seconds each (10), INTERVAL=MS (200), TIMEOUT=S (2), CUTS=N takeovers of ours, and one
of xl's (3), TRIALS=N pauses whose parts are told (40); 0: not that. WEIGHT=N of the guest in the hypervisor's
scheduler, where domain 0 has 256 (256). JSON=FILE.

gap         how long the guest's program stood still at a checkpoint, by the guest's own clock: the longest
            gaps of a window between two of its steps, as many as there were checkpoints
speed       its steps a second, of those without protection just before
octets      on the interface that replicates, both ways, a checkpoint and a second of the guest's work
processor   what dom0 took of both hosts beyond what it takes without protection
"""

import json
import os
import statistics
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import bench_side  # noqa: E402
from lab import BUILD  # noqa: E402
from tap import Test  # noqa: E402

ROUNDS = int(os.environ.get("ROUNDS", "3"))
WINDOW = float(os.environ.get("WINDOW", "10"))
INTERVAL = int(os.environ.get("INTERVAL", "200"))
TIMEOUT = int(os.environ.get("TIMEOUT", "2"))
TRIALS = int(os.environ.get("TRIALS", "40"))
CUTS = int(os.environ.get("CUTS", "3"))
WEIGHT = int(os.environ.get("WEIGHT", "256"))
WATCHED = 20  # seconds that xl is given to take over
NAME = "bench"
XL, OURS, PACED = "xl remus", "replicator", "at xl's pace"
COLUMNS = {XL: bench_side.XlRemus, OURS: bench_side.Replicator, PACED: bench_side.Replicator}
# Without a pause, in few enough pages that all of them are dirty at each checkpoint.
LOAD = {"span": 3, "pages": 16, "pace_us": 0, "report": 25}

COUNTERS = """
xl list | mawk '$1 == "Domain-0" { print $NF }'
cat /sys/class/net/eth0/statistics/tx_bytes /sys/class/net/eth0/statistics/rx_bytes
"""


class Moment:
    """All counters at (nearly) one time."""

    def __init__(self, lab, seen, side):
        self.a = [float(word) for word in lab.sh("a", COUNTERS).split()]
        self.b = [float(word) for word in lab.sh("b", COUNTERS).split()]
        self.checkpoints = side.counts()["checkpoints"] if side else 0
        self.time = time.monotonic()
        self.at, self.step, self.tsc, self.mono_ns = len(seen.gaps), seen.step, seen.tsc, seen.mono_ns


def measure(test, side):
    """One window: figures of it."""
    seen = test.observer.of(NAME)
    before = Moment(test.lab, seen, side)
    test.observer.wait(lambda: False, WINDOW)
    after = Moment(test.lab, seen, side)
    hertz = (after.tsc - before.tsc) / max(1, after.mono_ns - before.mono_ns) * 1e9
    # Under protection the guest's monotonic clock stands still in each pause; its TSC does not.
    test.hertz = test.hertz if side else hertz
    seconds = (after.tsc - before.tsc) / test.hertz
    checkpoints = after.checkpoints - before.checkpoints
    gaps = sorted((gap / test.hertz * 1e3 for gap in seen.gaps[before.at:after.at]), reverse=True)
    return {
        "seconds": after.time - before.time,
        "steps_s": (after.step - before.step) / seconds,
        "checkpoints": checkpoints,
        "gap_ms": statistics.median(gaps[:checkpoints]) if checkpoints and gaps else None,
        "longest_gap_ms": gaps[0] if gaps else None,
        "octets": sum(after.a[1:]) - sum(before.a[1:]),
        "steps": after.step - before.step,
        "cpu_a": after.a[0] - before.a[0],
        "cpu_b": after.b[0] - before.b[0],
    }


def judged(plain, window):
    """A window beside the plain one before it."""
    n = max(1, window["checkpoints"])
    ratio = window["seconds"] / plain["seconds"]
    return {
        "gap_ms": window["gap_ms"],
        "longest_gap_ms": window["longest_gap_ms"],
        "speed": window["steps_s"] / plain["steps_s"],
        "checkpoints_s": window["checkpoints"] / window["seconds"],
        "octets_checkpoint": window["octets"] / n,
        "octets_s": window["octets"] / window["seconds"],
        "cpu_a_ms": (window["cpu_a"] - plain["cpu_a"] * ratio) / n * 1e3,
        "cpu_b_ms": (window["cpu_b"] - plain["cpu_b"] * ratio) / n * 1e3,
    }


def one_turn(test, kind, interval_ms):
    """A plain window, and one with the guest kept by `kind`."""
    plain = measure(test, None)
    side = kind(test.lab, test.observer, NAME, interval_ms, TIMEOUT)
    window = measure(test, side)
    row = {"interval_ms": interval_ms, **judged(plain, window)}
    if kind is bench_side.Replicator:
        status = side.counts()["status"]
        row["pause_ms"] = status["pause_us"]["p50"] / 1e3
        row["parts_ms"] = {part: value["p50"] / 1e3 for part, value in status["pause_parts_us"].items()}
        row["dirty_pages"] = status["dirty_pages"]
    side.end()
    return row


def take_turns(test, rows):
    """xl sleeps for the interval after each checkpoint, replicator counts it from pause to pause: what xl
    makes of its interval is the third turn's."""
    for number in range(ROUNDS):
        its_period = INTERVAL
        for column, kind in COLUMNS.items():
            row = one_turn(test, kind, its_period if column == PACED else INTERVAL)
            rows[column].append(row)
            if column == XL:
                its_period = round(1000 / row["checkpoints_s"])
            test.say(f"round {number + 1}, {column}: " + json.dumps(
                {key: round(value, 3) if isinstance(value, float) else value for key, value in row.items()}))


def trial(test, kind, span):
    """What a pause is made of, taken without sending anything: medians, µs (pages: pages)."""
    name = f"trial-{kind}-{span}"
    test.observer.close()
    test.observer = test.observe(name)
    test.lab.guest("a", name, kind, **{**LOAD, "span": span})
    test.observer.wait_steps(name, 20)
    said = test.lab.run("a", "/usr/local/bin/pause_trial", name, TRIALS, INTERVAL).stdout.decode()
    test.lab.run("a", "xl", "destroy", name)
    lines = [line.split() for line in said.splitlines()]
    return {words[0]: float(words[1]) for words in lines if len(words) == 4 and words[1].isdigit()}


def try_parts(test, result):
    """In few pages and in many, so that what a page costs can be told from what a pause costs."""
    test.lab.put("a", BUILD / "xenlab/pause_trial", "/usr/local/bin")
    columns = {f"{kind}, {span} MiB": trial(test, kind, span) for kind, span in (("pvh", 3), ("pvh", 48), ("hvm", 3))}
    result["trials_us"] = columns
    print(f"{'a pause, median us':18}" + "".join(f"{column:>14}" for column in columns))
    for part in columns["pvh, 3 MiB"]:
        print(f"{part:18}" + "".join(f"{parts[part]:14,.0f}" for parts in columns.values()), flush=True)
    few, many = columns["pvh, 3 MiB"], columns["pvh, 48 MiB"]
    print("a page more: " + ", ".join(
        f"{part} {(many[part] - few[part]) / (many['pages'] - few['pages']):.2f}" for part in
        ("types", "map", "copy", "unmap")) + " us", flush=True)


def cut_under(test, kind):
    """Seconds from the cut until the guest is heard from b, or None; and what is on b then."""
    test.hosts()
    bench_side.raise_priority(test.lab)
    if test.observer:
        test.observer.close()
    observer = test.observe(NAME)
    test.lab.guest("a", NAME, "pvh", **LOAD)
    observer.wait_steps(NAME, 20)
    kind(test.lab, observer, NAME, INTERVAL, TIMEOUT)
    seen = observer.of(NAME)
    test.lab.cut("a")
    began = time.monotonic()
    took_over = observer.wait(lambda: seen.host == "b", WATCHED + TIMEOUT)
    seconds = time.monotonic() - began if took_over else None
    return seconds, test.lab.sh("b", "xl list | tail -n +3").strip()


def median(rows, key):
    values = [row[key] for row in rows if row.get(key) is not None]
    return statistics.median(values) if values else float("nan")


ROWS = (("gap", "gap_ms", "{:.0f} ms", 0.5), ("workload's speed", "speed", "{:.2f}", -1.5),
        ("octets a second", "octets_s", "{:,.0f}", 0.25), ("octets a checkpoint", "octets_checkpoint", "{:,.0f}", 0.25),
        ("checkpoints a second", "checkpoints_s", "{:.2f}", None), ("dom0 of a, a checkpoint", "cpu_a_ms", "{:.0f} ms", None),
        ("dom0 of b, a checkpoint", "cpu_b_ms", "{:.0f} ms", None), ("longest gap", "longest_gap_ms", "{:.0f} ms", None))


def print_row(rows, result, words, key, form, wanted):
    """A line of the table: medians, and the medians of the ratios to xl's within each round."""
    line = f"{words:26}{form.format(median(rows[XL], key)):>14}"
    for column in (OURS, PACED):
        ratio = statistics.median(mine[key] / its[key] for mine, its in zip(rows[column], rows[XL]) if its[key])
        met = wanted is None or (ratio <= wanted if wanted > 0 else ratio >= -wanted)
        line += f"{form.format(median(rows[column], key)):>20} {ratio:5.2f}{' ' if met else '!'}"
        result["table"].setdefault(key, {XL: median(rows[XL], key)})[column] = {
            "value": median(rows[column], key), "ratio": ratio, "met": met}
    aim = "" if wanted is None else f"<= {wanted}" if wanted > 0 else f">= {-wanted}"
    print(f"{line}  {aim}", flush=True)


def print_table(rows, result):
    print(f"{'':26}{XL:>14}{OURS + ', x xl':>27}{PACED + ', x xl':>27}  wanted (!: missed)")
    for words, key, form, wanted in ROWS:
        print_row(rows, result, words, key, form, wanted)
    result["parts_ms"] = {}
    for column in (OURS, PACED):
        ours = rows[column]
        parts = {part: statistics.median(row["parts_ms"][part] for row in ours) for part in ours[0]["parts_ms"]}
        result["parts_ms"][column] = parts
        print(f"{column}: pause {median(ours, 'pause_ms'):.1f} ms, of it " +
              ", ".join(f"{part} {ms:.1f}" for part, ms in parts.items()) +
              f"; {median(ours, 'dirty_pages'):.0f} dirty pages", flush=True)


def main(test):
    result = {"interval_ms": INTERVAL, "window_s": WINDOW, "timeout_s": TIMEOUT, "weight": WEIGHT, "table": {}}
    rows = {column: [] for column in COLUMNS}
    test.hosts()
    bench_side.raise_priority(test.lab)
    observer = test.observe(NAME)
    test.lab.guest("a", NAME, "pvh", **LOAD)
    if not test.check(observer.wait_steps(NAME, 50), "the guest runs"):
        return
    test.lab.run("a", "xl", "sched-credit2", "-d", NAME, "-w", WEIGHT)
    take_turns(test, rows)
    for fault in observer.faults()[:5]:
        test.say(fault)
    if ROUNDS:
        print_table(rows, result)
    if TRIALS:
        test.lab.run("a", "xl", "destroy", NAME)
        try_parts(test, result)
    result["takeover_s"] = []
    for number in range(CUTS):
        seconds, _ = cut_under(test, bench_side.Replicator)
        result["takeover_s"].append(seconds)
        if test.check(seconds is not None, f"power cut {number + 1}: the guest goes on on the other host"):
            test.say(f"heard {seconds:.2f} s after the cut, {seconds - TIMEOUT:.2f} s after the timeout "
                     f"(wanted: <= 3)")
    if CUTS:
        seconds, left = cut_under(test, bench_side.XlRemus)
        result["xl_takeover"] = {"seconds": seconds, "left": left}
        test.say(f"xl remus after a power cut: " + (f"heard {seconds:.2f} s after it" if seconds is not None else
                 f"nothing was heard in {WATCHED + TIMEOUT} s; on the backup: {left or 'no domain'}"))
    result["rounds"] = rows
    if os.environ.get("JSON"):
        with open(os.environ["JSON"], "w") as out:
            json.dump(result, out, indent=1)


with Test("bench") as one:
    one.hertz = 1e9
    main(one)
