"""legacy_cases — streams of Xen 3.x to 4.5, a case for every chunk and tail, good and bad."""
import struct

import legacy_stream as y
from guest_model import BROKEN, L1, L4, NOTAB, PAGE, PINNED, XALLOC, XTAB, blob, content, table, touched
from legacy_stream import NOTHING, LegacyStream, full, runs
from libxc_cases import cut
from libxc_stream import PV_P2M, PV_ROOT, PV_START_INFO, PV_TABLE

HVM_PARAMS = (y.GENERATION_ID, y.IDENT_PT, y.PAGING, y.ACCESS, y.SHARING, y.VM86_TSS, y.CONSOLE_PFN,
              y.ACPI_IOPORTS, y.VIRIDIAN, y.IOREQ_SERVER_PFN, y.IOREQ_SERVER_NR, y.X87_FIP_WIDTH)
BARE = ()  # extended info without a block


def good(s, complete=True, **options):
    hints = {}
    if s.guest == "pv" and s.ext is None:
        hints["guest"] = "pv"  # cannot be told from HVM
    return {"octets": bytes(s.out), "framing": "legacy", "version": 1, **s.model.outcome(complete),
            "options": {**hints, **options}}


def bad(s, reason, **options):
    return {"octets": bytes(s.out), "status": "reject", "reason": reason, "from": s.at, "number": None,
            "options": options}


def memory(s):
    if s.guest == "hvm":
        return s.batch((4, XALLOC), (5, XALLOC)).batch(0, 1, NOTHING, 4, (7, NOTAB, content(7, 1)), NOTHING)
    s.batch(0, 1, PV_START_INFO, PV_P2M, NOTHING)
    return s.batch((PV_ROOT, L4 | PINNED, table(PV_ROOT, 16)), (PV_TABLE, L1, table(PV_TABLE, 16)), NOTHING)


def state(s, tsc=True, params=True):
    if tsc:
        s.tsc()
    if s.guest == "pv":
        s.vcpus(0, 2)
        return s.toolstack()
    s.vcpus(0, 1)
    for n, kind in enumerate(HVM_PARAMS if params else ()):
        s.param(kind, 1 if kind in (y.ACPI_IOPORTS, y.VIRIDIAN) else 0xFE000 + n)
    return s.toolstack((0xF1000000, 0xF0000000, 0x800000, b"vga.vram\0"), (1, 2, 3, b"bios\0"))


def plain(guest="hvm", width=8, **shape):
    return state(memory(LegacyStream(guest, width, **shape))).last().tail()


def remus(epochs, guest="hvm", width=8, **shape):
    """Checkpointed, pages as they are (format A)."""
    s = tail(state(memory(LegacyStream(guest, width, **shape))), 0)
    for n in range(1, epochs):
        s.batch((0, NOTAB, content(0, n)), (8 + n, NOTAB, content(8, n)))
        tail(state(s, tsc=False), n)
    return s


def tail(s, version):
    return s.tail(version, **({"signature": y.REMUS_QEMU} if s.guest == "hvm" else {}))


def format_b(guest="hvm", width=8, **shape):
    """Body 1 as it is, ENABLE_COMPRESSION, and an epoch that is open for format B."""
    s = memory(LegacyStream(guest, width, **shape))
    return tail(state(s.compress()), 0)


def shapes():
    for width in (4, 8):
        bits = 8 * width
        yield f"hvm-{bits}", good(plain("hvm", width))
        for guest_width in (4, 8):
            yield f"pv{8 * guest_width}-{bits}", good(plain("pv", width, guest_width=guest_width))
        yield f"pv-without-ext-{bits}", good(plain("pv", width, ext=None))
        yield f"hvm-least-{bits}", good(LegacyStream("hvm", width).batch(1).tail(context=1))
        yield f"pv-p2m-of-two-frames-{bits}", good(plain("pv", width, pages=1030))
        yield f"pv32-p2m-of-one-frame-{bits}", good(plain("pv", width, pages=1024, guest_width=4))
    for name, ext in (("vcpu-only", ("vcpu",)), ("with-extv", ("vcpu", "extv")), ("with-xcnt", ("vcpu", "xcnt")),
                      ("unknown-block", ("vcpu", "else", "extv")), ("without-blocks", BARE)):
        yield f"ext-{name}", good(plain("pv", ext=ext))
    yield "xcnt-of-head-only", good(plain("pv", ext=("vcpu", b"xcnt" + struct.pack("<II", 4, 0)), xsave=0))
    s = memory(LegacyStream("pv")).toolstack().last()
    yield "pv-without-vcpu-info", good(s.tail())
    yield "hvm-32-with-empty-body", good(LegacyStream("hvm", 4).last().tail(), toolstack_width=32)
    yield "no-last-checkpoint", good(state(memory(LegacyStream())).tail())
    s = plain()
    s.out += b"unread"
    yield "octets-after-last-checkpoint", good(s)


def chunks():
    for width in (4, 8):
        for kind in HVM_PARAMS:
            if kind in (y.IOREQ_SERVER_PFN, y.IOREQ_SERVER_NR):
                continue
            s = memory(LegacyStream("hvm", width)).param(kind, 1).last()
            yield f"param-{-kind}-{8 * width}", good(s.tail())
    s = memory(LegacyStream()).param(y.IOREQ_SERVER_PFN, 0xFE001).param(y.IOREQ_SERVER_NR, 8).last()
    yield "ioreq-server", good(s.tail())
    s = memory(LegacyStream()).chunk(y.IOREQ_SERVER_PFN, struct.pack("<IQ", 0, 0xFE001)).last()
    yield "ioreq-server-by-half", good(s.tail())
    s = memory(LegacyStream()).chunk(y.TOOLSTACK, struct.pack("<I", 0)).last()
    yield "toolstack-empty", good(s.tail())
    s = memory(LegacyStream()).verify().batch(0, (1, NOTAB, content(1, 5)), 9)
    yield "verify-compares-only", good(state(s).last().tail())
    s = memory(LegacyStream("pv")).vcpus(0, 5, 63, 64, 70)
    yield "vcpu-map-of-two-words", good(s.last().tail())
    s = memory(LegacyStream("pv")).vcpus(0, most=63)
    yield "vcpu-map-of-one-full-word", good(s.last().tail())
    s = memory(LegacyStream("pv", ext=("vcpu",))).vcpus(0, 4095)
    yield "vcpu-map-of-the-most", good(s.last().tail())
    for width in (4, 8):
        s = LegacyStream("hvm", width)
        s.toolstack((1, 2, 3, b"vga\0")).tsc()
        yield f"toolstack-first-{8 * width}", good(memory(s).last().tail())
    s = LegacyStream().batch(*[(pfn % 16, XALLOC) for pfn in range(1023)], 3)
    yield "batch-of-1024", good(s.last().tail())
    for kind in (NOTAB, 1, 2, 3, 4, 9, 10, 11, 12):
        s = memory(LegacyStream("pv")).batch((8, kind, table(8, 16)))
        yield f"type-{kind:x}", good(state(s).last().tail())
    s = memory(LegacyStream()).batch((1, XALLOC), (7, XTAB), (8, XALLOC), (9, BROKEN), NOTHING, NOTHING)
    yield "types-without-content", good(state(s).last().tail())
    s = LegacyStream().batch(NOTHING, NOTHING).last()
    yield "nothing-does-not-touch-pfn-0", good(s.tail())
    s = LegacyStream().batch((1, NOTAB, content(1, 1)), (1, NOTAB, content(1, 2))).batch((1, NOTAB, content(1, 3)))
    yield "same-pfn-again-last-wins", good(s.last().tail())
    s = LegacyStream("hvm", 8, pages=0x200).batch(0, 0x1FF)
    yield "last-pfn", good(s.last().tail())
    yield "compression-enabled-but-unused", good(state(memory(LegacyStream()).compress()).last().tail())


def tails():
    for width in (4, 8):
        for name, signature in (("0002", y.PLAIN_QEMU), ("remus", y.REMUS_QEMU), ("xend", y.XEND_QEMU)):
            s = state(memory(LegacyStream("hvm", width))).last()
            yield f"device-model-{name}-{8 * width}", good(s.tail(signature=signature))
        s = state(memory(LegacyStream("pv", width))).last()
        yield f"unmapped-never-sent-{8 * width}", good(s.tail(freed=(9, 10, 15)))
        s = state(memory(LegacyStream("pv", width)).batch(9, 10)).last()
        yield f"unmapped-after-sent-{8 * width}", good(s.tail(freed=(9, 15)))
    s = state(memory(LegacyStream())).last()
    yield "device-model-empty", good(s.tail(qemu=b""))
    s = state(memory(LegacyStream())).last()
    yield "context-of-one-octet", good(s.tail(context=1))


TMEM_POOLS = (
    (0, 1 | 1 << 24, 4, [((1, 2, 3), 7, content(1, 7)), ((1, 2, 3), 8, content(2, 7))]),
    (1, 2 | 1 << 24, 0, []),
    (5, 1 | 1 << 24, 2, [((9, 0, 0), 0, content(3, 7)), ((9, 0, 0), 1, content(4, 7))]),
)


def tmem():
    for width in (4, 8):
        s = LegacyStream("pv", width).tmem(TMEM_POOLS)
        memory(s).tmem_extra((0, (1, 2, 3), 7), (5, (9, 0, 0), 1))
        yield f"pools-and-invalidations-{8 * width}", good(state(s).last().tail())
    yield "no-pools", good(state(memory(LegacyStream("pv").tmem(()))).last().tail())
    yield "ephemeral-only", good(state(memory(LegacyStream("pv").tmem(TMEM_POOLS[1:2]))).last().tail())
    yield "no-invalidations", good(state(memory(LegacyStream("pv").tmem(TMEM_POOLS)).tmem_extra()).last().tail())
    large = (3, 1 | 1 << 4 | 1 << 24, 2, [((4, 5, 6), 1, content(6, 7) + content(7, 7))])
    yield "pages-of-8192", good(state(memory(LegacyStream("pv").tmem((large,)))).last().tail())
    yield "in-hvm", good(state(memory(LegacyStream("hvm").tmem(TMEM_POOLS))).last().tail())
    for name, how in (("version-2", {"version": 2}), ("head-not-ones", {"head": 7})):
        yield f"bad-{name}", bad(LegacyStream("pv").tmem(TMEM_POOLS, **how), "tmem")
    s = LegacyStream("pv").tmem(TMEM_POOLS, end=b"")
    yield "bad-cut-in-pools", bad(cut(s, 5000), "truncated")
    s = memory(LegacyStream("pv")).tmem_extra((0, (1, 2, 3), 7), end=b"")
    yield "bad-cut-in-invalidations", bad(s, "truncated")


def checkpointed():
    for guest in ("hvm", "pv"):
        for width in (4, 8):
            s = remus(3, guest, width)
            yield f"{guest}-{8 * width}", good(s, complete=False)
    yield "last-checkpoint-in-epoch-3", good(tail(state(remus(2), tsc=False).last(), 7))
    s = remus(2).batch((0, NOTAB, content(0, 9)), 9)
    yield "break-after-batch", good(s, complete=False)
    yield "break-in-batch", good(cut(s, 100), complete=False)
    s = remus(2).batch((0, NOTAB, content(0, 9))).body_end()
    yield "break-before-tail", good(s, complete=False)
    for guest in ("hvm", "pv"):
        s = remus(2, guest)
        s.batch((0, NOTAB, content(0, 9)))
        wanted = good(s, complete=False)
        tail(state(s, tsc=False), 9)
        yield f"break-in-tail-{guest}", {**wanted, "octets": bytes(s.out[:-1])}
    s = remus(1, "pv")
    s.batch((0, NOTAB, content(0, 1))).vcpus(0, 1, 2, 3)
    yield "vcpu-comes-online", good(tail(s, 1), complete=False)
    s = remus(1, "pv")
    s.batch((0, NOTAB, content(0, 1))).tail(1, freed=(1,))
    s.batch((2, NOTAB, content(2, 2))).tail(2, freed=(3, 9))
    yield "only-the-last-list-frees", good(s, complete=False)
    yield "one-epoch-then-break", good(cut(remus(1).batch(3), 8), complete=False)
    yield "one-epoch-plain", good(remus(1), mode="plain")
    yield "one-epoch-remus", good(remus(1), complete=False, mode="remus")
    yield "two-epochs-plain-takes-first", {**good(remus(1), mode="plain"), "octets": bytes(remus(2).out)}
    s = LegacyStream("pv").batch(1)
    yield "bad-break-before-first", bad(s, "truncated")
    s = remus(2).batch(16)
    refused = bad(s, "pfn")
    tail(state(s, tsc=False), 7)
    yield "bad-pfn-in-committed-epoch", {**refused, "octets": bytes(s.out)}
    yield "pfn-beyond-never-applied", good(remus(2).batch(16), complete=False)
    yield "bad-chunk-in-epoch-2", bad(remus(1).chunk(-22), "chunk")


def compressed():
    for guest in ("hvm", "pv"):
        for width in (4, 8):
            s = format_b(guest, width)
            s.batch((0, NOTAB, content(0, 1)), (8, NOTAB, content(8)), NOTHING, (9, XALLOC), (1, NOTAB, content(1)))
            s.compressed(full(content(0, 1)) + full(content(8)) + b"\0")
            tail(state(s, tsc=False), 1)
            new = touched(content(0, 1), 0, 5, 6, 1023)
            s.batch((0, NOTAB, new), (8, NOTAB, content(8, 1)))
            s.compressed(runs(content(0, 1), new) + runs(content(8), content(8, 1)))
            tail(state(s, tsc=False), 2)
            yield f"{guest}-{8 * width}", good(s, complete=False)
    new = [touched(content(pfn), *range(pfn, 1024, 3 + pfn)) for pfn in (0, 1)]
    payload = runs(content(0), new[0]) + runs(content(1), new[1])
    s = format_b().batch((0, NOTAB, new[0]), (1, NOTAB, new[1]))
    for at in range(0, len(payload), 501):
        s.compressed(payload[at:at + 501]).compressed(b"")
    yield "cut-anywhere", good(tail(s, 1), complete=False)
    s = format_b().batch((0, NOTAB, new[0])).compressed(runs(content(0), new[0]))
    s.batch((1, NOTAB, new[1]), (9, XALLOC)).compressed(runs(content(1), new[1]))
    yield "interleaved", good(tail(s, 1), complete=False)
    s = format_b().compressed(payload).batch((0, NOTAB, new[0]), (1, NOTAB, new[1]))
    yield "data-before-entries", good(tail(s, 1), complete=False)
    s = format_b().batch((0, NOTAB, new[0]), (1, NOTAB, new[1])).vcpus(0, 1).compressed(payload)
    yield "data-after-state", good(tail(s, 1), complete=False)
    s = format_b().batch((0, NOTAB, new[0])).compressed(payload)
    yield "left-over-data", good(tail(s, 1), complete=False)
    again = touched(new[0], 9)
    s = format_b().batch((0, NOTAB, new[0]), (0, NOTAB, again))
    s.compressed(runs(content(0), new[0]) + runs(new[0], again))
    yield "same-pfn-twice", good(tail(s, 1), complete=False)
    s = format_b().batch((12, NOTAB, touched(bytes(PAGE), 4)), (13, NOTAB, bytes(PAGE)))
    s.compressed(runs(bytes(PAGE), touched(bytes(PAGE), 4)) + b"\0")
    yield "delta-from-nothing", good(tail(s, 1), complete=False)
    s = format_b().batch((0, NOTAB, new[0])).compressed(runs(content(0), new[0]))
    s.batch((1, NOTAB, new[1]))
    yield "break-before-data", good(s, complete=False)
    skip = b"".join(bytes([0x80 | n]) for n in (127,) * 8 + (8,))
    s = format_b().batch((0, NOTAB, content(0))).compressed(skip)
    yield "skips-only", good(tail(s, 1), complete=False)
    s = format_b("pv").batch((PV_ROOT, L4 | PINNED, table(PV_ROOT, 16, 3)))
    yield "page-table", good(tail(s.compressed(full(table(PV_ROOT, 16, 3))), 1), complete=False)
    yield "epoch-without-pages", good(tail(format_b().vcpus(0), 1), complete=False)
    yield from compressed_refused(payload, skip)


def compressed_refused(payload, skip):
    whole = bytes([127]) + bytes(508)
    for name, octets in (
            ("ends-early", payload[:-1]), ("no-data", b""), ("full-page-short", full(content(0))[:-1]),
            ("coverage-short", skip[:-1]), ("skip-past-the-end", skip[:-1] + b"\x89"),
            ("run-past-the-end", whole * 8 + bytes([9]) + bytes(36)), ("zero-run-inside", b"\x81\0" + bytes(5000)),
            ("zero-skip-inside", b"\x01abcd\x80" + bytes(5000))):
        s = format_b().batch((0, NOTAB, content(0)), *(((1, NOTAB, content(1)),) if name == "ends-early" else ()))
        s.compressed(octets)
        refused = bad(s, "compressed")
        yield f"bad-{name}", {**refused, "octets": bytes(tail(s, 1).out), "from": 0}
    s = memory(LegacyStream()).compressed(full(content(0)))
    yield "bad-data-in-format-a", bad(s, "compressed")


def refused():
    for width in (4, 8):
        for kind in (-22, -23, -100, -0x80000000):
            yield f"chunk-{-kind}-{8 * width}", bad(memory(LegacyStream("hvm", width)).chunk(kind), "chunk")
        s = LegacyStream("hvm", width)
        yield f"batch-of-1025-{8 * width}", bad(s.batch(*[(1, XALLOC)] * 1025), "batch")
        yield f"batch-of-7fffffff-{8 * width}", bad(LegacyStream("hvm", width).batch(count=0x7FFFFFFF), "batch")
        for pfn in (16, 17, 0x0FFFFFFF):
            yield f"pfn-{pfn:x}-{8 * width}", bad(LegacyStream("hvm", width).batch(pfn), "pfn")
        yield f"pfn-allocated-beyond-{8 * width}", bad(LegacyStream("hvm", width).batch((16, XALLOC)), "pfn")
        for kind in (5, 6, 7, 8):
            yield f"type-{kind}-{8 * width}", bad(LegacyStream("hvm", width).batch((1, kind)), "type")
    s = LegacyStream().raw(struct.pack("<iQ", 1, 1 << 32 | 1) + content(1))
    yield "entry-beyond-32-bits", bad(s, "pfn")
    for most in (4096, 0x7FFFFFFF, -1, -0x80000000):
        s = memory(LegacyStream("pv")).chunk(y.VCPU_INFO, struct.pack("<i", most) + bytes(64))
        yield f"max-vcpu-{most}", bad(s, "vcpu")
    for name, s in (("batch", LegacyStream().batch(1, 2)), ("entries", LegacyStream().chunk(9)),
                    ("vcpu-info", memory(LegacyStream()).vcpus(0, 1)), ("param", LegacyStream().param(y.IDENT_PT, 1)),
                    ("tsc", LegacyStream().tsc()), ("toolstack", LegacyStream().toolstack((1, 2, 3, b"x\0"))),
                    ("chunk-id", LegacyStream().last())):
        yield f"cut-in-{name}", bad(cut(s, 1), "truncated")
    for width in (4, 8):
        for guest in ("hvm", "pv"):
            s = state(memory(LegacyStream(guest, width))).last().tail()
            yield f"cut-in-{guest}-tail-{8 * width}", bad(cut(s, 1), "truncated")
    s = memory(LegacyStream())
    s.at = len(s.out)
    yield "no-end-of-body", bad(s, "truncated")
    s = memory(LegacyStream()).body_end()
    s.at = len(s.out)
    yield "no-tail", bad(s, "truncated")
    yield from refused_tails()
    yield from refused_heads()


def refused_tails():
    for name, how in (("unknown", {"signature": b"DeviceModelRecord0003"}), ("zeros", {"signature": bytes(21)}),
                      ("xend-without-qevm", {"signature": y.XEND_QEMU, "qemu": b"QEMU" + bytes(60)}),
                      ("xend-empty", {"signature": y.XEND_QEMU, "qemu": b""})):
        s = state(memory(LegacyStream())).last()
        yield f"device-model-{name}", bad(s.tail(**how), "device-model")
    s = state(memory(LegacyStream())).last().tail()
    yield "no-device-model", bad(cut(s, 21 + 4 + 1005), "truncated")
    s = state(memory(LegacyStream())).last().tail(context=0)
    yield "context-empty", bad(s, "context")
    s = state(memory(LegacyStream("pv"))).last().body_end()
    yield "unmapped-10000001", bad(s.raw(struct.pack("<I", (1 << 28) + 1)), "unmapped")
    for name, frame in (("beyond", 16), ("never-sent", 15), ("a-table", PV_ROOT)):
        s = state(memory(LegacyStream("pv", p2m=[frame]))).last().tail()
        yield f"p2m-frame-{name}", bad(s, "p2m-frame")
    s = state(memory(LegacyStream("pv"))).last()
    yield "xsave-of-other-size", bad(s.tail(xsave=575), "xsave")


def refused_heads():
    def head(words, rest=b"", width=8):
        s = LegacyStream("hvm", width)
        s.out = bytearray(words + rest)
        s.at = 0
        return s

    yield "p2m-size-10000000", bad(head(struct.pack("<QQI", 0x10000000, (1 << 64) - 1, 0)), "p2m-size")
    for name, ext in (("vcpu-size", (b"vcpu" + struct.pack("<I", 0x1431) + bytes(0x1431),)),
                      ("xcnt-size", ("vcpu", b"xcnt" + struct.pack("<IH", 2, 16))),
                      ("block-past-total", ("vcpu", b"more" + struct.pack("<I", 100))),
                      ("total-not-whole-heads", ("vcpu", b"abcd"))):
        yield f"ext-{name}", bad(LegacyStream("pv", ext=ext), "ext-info")
    yield "cut-in-ext", bad(cut(LegacyStream("pv"), 3000), "truncated")
    yield "cut-in-p2m-list", bad(cut(LegacyStream("pv"), 1), "truncated")
    for octets in (1, 4, 7):
        yield f"cut-at-{octets}", bad(head(struct.pack("<Q", 16)[:octets]), "truncated", framing="legacy")
    yield "zeros", bad(head(bytes(64)), "p2m-size")


def for_xl():
    for width in (4, 8):
        yield f"hvm-{8 * width}", good(plain("hvm", width))
        yield f"pv-{8 * width}", good(plain("pv", width))
    yield "remus", good(remus(2), complete=False)


def cases():
    for folder, group in (("legacy", shapes), ("legacy-chunk", chunks), ("legacy-tail", tails),
                          ("legacy-tmem", tmem), ("legacy-remus", checkpointed), ("legacy-b", compressed),
                          ("legacy-bad", refused)):
        for name, case in group():
            yield f"{folder}/{name}", case
