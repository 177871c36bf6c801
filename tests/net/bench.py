#!/usr/bin/env python3
"""What the network buffer costs: mark and release of all interfaces of a domain, beside a process of tc
for the same order; and what redirect and a plug that lets all through take from forwarding. Under
emulation only the ratios mean anything."""
import json
import os
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(__file__))
from lab import Driver, Lab, ip, run  # noqa: E402

EPOCHS = int(os.environ.get("EPOCHS", "300"))
SECONDS = int(os.environ.get("SECONDS", "5"))
ROUNDS = 3


def by_tc(lab):
    """Median µs of one `tc` for each interface, as a script would mark."""
    took = []
    for _ in range(20):
        start = time.monotonic_ns()
        for vif in lab.vifs:
            run("tc", "qdisc", "change", "dev", f"rp-{vif}", "root", "handle", "5250:", "plug", "block")
        took.append((time.monotonic_ns() - start) / 1000)
    return sorted(took)[len(took) // 2]


def orders():
    print(f"{'interfaces':>10} {'mark µs':>9} {'release µs':>11} {'tc µs':>9} {'tc : mark':>10}")
    for vifs in (1, 4, 16):
        with Lab(vifs=vifs) as lab, Driver() as d:
            d.open(lab)
            mark_ns, release_ns = d.do(f"bench {EPOCHS}")
            tc_us = by_tc(lab)
            print(f"{vifs:>10} {mark_ns / 1000:>9.0f} {release_ns / 1000:>11.0f} {tc_us:>9.0f} "
                  f"{tc_us * 1000 / mark_ns:>10.1f}", flush=True)


def mbit_per_s():
    done = run("ip", "netns", "exec", "guest", "iperf3", "-c", "10.9.0.2", "-t", str(SECONDS), "-J")
    return json.loads(done)["end"]["sum_received"]["bits_per_second"] / 1e6


def throughput():
    with Lab() as lab:
        ip("-n", "guest", "addr", "add", "10.9.0.1/24", "dev", "g0")
        ip("-n", "wire", "addr", "add", "10.9.0.2/24", "dev", "w0")
        server = subprocess.Popen(["ip", "netns", "exec", "wire", "iperf3", "-s", "--forceflush"],
                                  stdout=subprocess.PIPE, text=True)
        while "listening" not in server.stdout.readline():
            pass
        threading.Thread(target=server.stdout.read, daemon=True).start()  # it must not wait for a reader
        plain, plugged = [], []
        for _ in range(ROUNDS):  # in turns, so that both meet the same machine
            plain.append(mbit_per_s())
            with Driver() as d:
                d.open(lab, limit=256 << 20)
                plugged.append(mbit_per_s())
                d.do("close")
        server.kill()
        server.wait()
    a, b = (sorted(x)[ROUNDS // 2] for x in (plain, plugged))
    print(f"forwarding, Mbit/s: plain {a:.0f}, redirected through a plug that passes {b:.0f}: ratio {b / a:.2f}")


if __name__ == "__main__":
    orders()
    throughput()
