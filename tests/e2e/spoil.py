#!/usr/bin/env python3
"""spoil PID — flips one bit of the memory that a process holds of a simulated guest, behind its back."""

import re
import sys


def guest_memory(pid):
    """Where it begins: of the mappings that stay out of cores the one with the most memory behind it."""
    start, resident, best = 0, 0, (0, 0)
    with open(f"/proc/{pid}/smaps", encoding="ascii", errors="replace") as file:
        for line in file:
            head = re.match(r"([0-9a-f]+)-[0-9a-f]+ ", line)
            if head:
                start = int(head[1], 16)
            elif line.startswith("Rss:"):
                resident = int(line.split()[1])
            elif line.startswith("VmFlags:") and "dd" in line.split():
                best = max(best, (resident, start))
    return best[1] or sys.exit(f"process {pid} holds no guest")


address = guest_memory(sys.argv[1])
with open(f"/proc/{sys.argv[1]}/mem", "r+b", buffering=0) as memory:
    memory.seek(address)
    octet = memory.read(1)[0]
    memory.seek(address)
    memory.write(bytes((octet ^ 0x10,)))
