#!/usr/bin/env python3
"""make_image — a large libxc v3 stream of an HVM guest, for benchmarks: make_image.py MIB > FILE

Batches of 1024 pages as a saver writes them. Of every 16 pages 4 are zeros, 4 hold text, 8 hold what
does not compress; none equals its neighbour.
"""
import hashlib
import random
import struct
import sys

BATCH = 1024
PAGE = 4096


def record(kind, body):
    return struct.pack("<II", kind, len(body)) + body + bytes(-len(body) % 8)


def main():
    out, pages = sys.stdout.buffer, int(sys.argv[1]) * 256
    noise = random.Random("image").randbytes(8 << 20)
    words = b" ".join(hashlib.sha256(b"%d" % n).hexdigest().encode()[:n % 9 + 1] for n in range(1 << 16))
    out.write(struct.pack(">QIIHHI", (1 << 64) - 1, 0x58454E46, 3, 0, 0, 0))
    out.write(struct.pack("<IHHII", 2, 12, 0, 4, 17))
    out.write(record(0x10, b""))
    for first in range(0, pages, BATCH):
        count = min(BATCH, pages - first)
        body = [struct.pack("<II", count, 0), struct.pack(f"<{count}Q", *range(first, first + count))]
        for pfn in range(first, first + count):
            if pfn % 16 < 4:
                body.append(bytes(PAGE))
                continue
            source = words if pfn % 16 < 8 else noise
            at = pfn * 2654435761 % (len(source) - PAGE)
            body.append(struct.pack("<Q", pfn) + source[at:at + PAGE - 8])
        out.write(record(1, b"".join(body)))
    out.write(record(0x0A, struct.pack("<IIQQ", 1, 0, 1, 0xFEFFC)))
    out.write(record(0x09, noise[:8192]))
    out.write(record(0, b""))


if __name__ == "__main__":
    main()
