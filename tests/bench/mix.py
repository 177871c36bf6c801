"""10,000 pages an epoch of the traced guests (mix.c), rows in turn: medians, and ratios to the first row
within a round.   usage: mix.py ROUNDS EPOCHS BUILD TRACE...
BENCH_BEFORE=FILE is the same program of an older build, for one more row."""
import json
import os
import statistics
import subprocess
import sys

ROUNDS, EPOCHS, BUILD, TRACES = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4:]
NEW, OLD = f"{BUILD}/bench/mix", os.environ.get("BENCH_BEFORE")
ROWS = [("before, no LZ4", OLD, "0", "0", "off"), ("before, LZ4", OLD, "0", "0", "on")] if OLD else []
ROWS += [("no threads, no LZ4", NEW, "0", "0", "off"), ("1 + 1 threads, no LZ4", NEW, "1", "1", "off"),
         ("2 + 2 threads, no LZ4", NEW, "2", "2", "off"), ("no threads, LZ4", NEW, "0", "0", "on"),
         ("1 + 1 threads, LZ4", NEW, "1", "1", "on")]
FIGURES = ("pages_a_second", "octets_a_page", "primary_cpu_s_per_gib", "backup_cpu_s_per_gib",
           "pause_cpu_s_per_gib", "pause_ms")

seen = {row[0]: [] for row in ROWS}
for _ in range(ROUNDS):
    for name, program, encoders, decoders, lz4 in ROWS:
        out = subprocess.run([program, EPOCHS, encoders, decoders, lz4, *TRACES], check=True,
                             capture_output=True, text=True).stdout
        seen[name].append(json.loads(out))
print(f"{'':24}{'pages/s':>9}{'octets':>9}{'primary':>9}{'backup':>9}{'(ratio)':>9}{'pause':>9}{'pause':>9}")
print(f"{'':24}{'':>9}{'a page':>9}{'s/GiB':>9}{'s/GiB':>9}{'of both':>9}{'s/GiB':>9}{'ms':>9}")
first = ROWS[0][0]
for name in seen:
    middle = {f: statistics.median(run[f] for run in seen[name]) for f in FIGURES}
    ratio = statistics.median(
        (a["primary_cpu_s_per_gib"] + a["backup_cpu_s_per_gib"]) /
        (b["primary_cpu_s_per_gib"] + b["backup_cpu_s_per_gib"]) for a, b in zip(seen[name], seen[first]))
    print(f"{name:24}{middle['pages_a_second']:9.0f}{middle['octets_a_page']:9.1f}"
          f"{middle['primary_cpu_s_per_gib']:9.3f}{middle['backup_cpu_s_per_gib']:9.3f}{ratio:9.2f}"
          f"{middle['pause_cpu_s_per_gib']:9.3f}{middle['pause_ms']:9.2f}")
