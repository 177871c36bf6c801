"""libxc_cases — libxc streams, a case for every row of the formats' lists, good and bad."""
import struct

import libxc_stream as x
from guest_model import BROKEN, L1, L4, NOTAB, PAGE, PINNED, XALLOC, XTAB, blob, content, table, touched
from libxc_stream import (PV_P2M, PV_ROOT, PV_START_INFO, LibxcStream, filled, opened, page_data,
                          vcpu_context, with_state)


def good(s, complete=True, **options):
    return {"octets": bytes(s.out), "framing": "libxc", "version": s.version,
            **s.model.outcome(complete), "options": options}


def bad(s, reason, **options):
    """Refused at the newest record (or where the stream ends); `reason` is a class, not a text."""
    return {"octets": bytes(s.out), "status": "reject", "reason": reason, "from": s.at,
            "number": s.numbers, "options": options}


def cut(s, octets):
    """Takes octets off the end."""
    del s.out[len(s.out) - octets:]
    return s


def whole(guest="hvm", version=3, width=8, **header):
    return with_state(filled(guest, version, width, **header)).end()


def accepted_shapes():
    for version in (2, 3):
        yield f"hvm-v{version}", good(whole("hvm", version))
        for width in (4, 8):
            yield f"pv{8 * width}-v{version}", good(whole("pv", version, width))
    s = filled()
    s.tsc().context()
    yield "context-before-params", good(s.hvm_params((1, 7), (19, 1)).end())
    s = filled()
    s.hvm_params((1, 7), (9, 1)).hvm_params((1, 8)).hvm_params().context(0).tsc(0).context(1).tsc(1)
    yield "repeated-state-last-wins", good(s.end())
    s = LibxcStream("hvm", 2).policies().static_end().pages(1, 2)
    yield "policies-in-v2", good(with_state(s).end())
    s = filled().blob(x.CPUID_POLICY, blob("late", 48), has_effect=False)
    yield "policy-after-static-end", good(with_state(s).end())
    s = with_state(filled("pv"))
    for kind in (x.VCPU_BASIC, x.VCPU_EXTENDED, x.VCPU_XSAVE, x.VCPU_MSRS):
        s.vcpu(kind, 0xFFFFFFFF, b"")
    yield "vcpu-records-without-content", good(s.basic(0, 5).end())
    s = opened("pv", pages=600)
    s.p2m(512, 1030, [7, 8]).pages(0, PV_START_INFO, PV_P2M, 7, 8, 1030)
    s.pages((PV_ROOT, L4 | PINNED, table(PV_ROOT, 16)))
    yield "p2m-in-two-records", good(with_state(s).end())
    s = opened("pv", pages=600)
    s.p2m(512, 599, [7]).p2m(0, 520, [8, 8]).pages(0, PV_START_INFO, 8, (PV_ROOT, L4 | PINNED, table(PV_ROOT, 16)))
    yield "p2m-in-records-that-overlap", good(with_state(s).end())
    s = with_state(filled())
    s.raw(x.END, b"")
    s.model.commit(counts=False)
    s.out += b"what follows END stays unread"
    yield "octets-after-end", good(s)
    s = opened("hvm")
    yield "no-memory", good(with_state(s).end())
    s = LibxcStream("hvm").static_end().pages(4)
    yield "least", good(s.context(0, 1).end())
    s = LibxcStream("hvm", major=0, minor=1).static_end().pages(4)
    yield "made-by-the-converter", good(s.context().end())


def accepted_pages():
    s = opened().pages(*[(pfn, XALLOC) for pfn in range(1495)], *range(1495, 1500))
    yield "batch-of-1500", good(with_state(s).end())
    s = opened().pages(1, 2, 3, 4).pages((1, XALLOC), (2, BROKEN), (3, XTAB))
    yield "types-without-content-keep-content", good(with_state(s).end())
    s = opened().pages((4, NOTAB, content(4, 1)), (4, NOTAB, content(4, 2)), (6, XALLOC), 6)
    yield "same-pfn-twice-last-wins", good(with_state(s).end())
    s = opened().pages(1, 2, entry_bits=0xFF << 52)
    yield "reserved-entry-bits", good(with_state(s).end())
    s = opened().pages(1, 2, reserved=0xDEADBEEF)
    yield "reserved-of-page-data", good(with_state(s).end())
    s = opened().pages(1, ((1 << 52) - 1, XTAB), ((1 << 51) + 5, BROKEN))
    yield "absurd-pfns-without-memory", good(with_state(s).end())
    for kind in (NOTAB, 1, 2, 3, 4, 9, 10, 11, 12):
        pages = ((pfn, kind, table(pfn, 16) if kind else content(pfn)) for pfn in (1, 7))
        yield f"type-{kind:x}", good(with_state(filled("pv").pages(*pages)).end())
    s = filled()
    s.verify().pages(0, (1, NOTAB, content(1, 9)), (11, NOTAB, content(11)))
    yield "verify-compares-only", good(with_state(s).end())
    s = opened().pages(*((pfn, NOTAB, bytes(PAGE)) for pfn in range(4)))
    yield "zero-pages", good(with_state(s).end())


def accepted_oddities():
    header = {"options": 0xFFFE, "reserved": 7, "reserved2": 9, "domain_reserved": 3}
    s = whole("hvm", 3, **header)
    yield "reserved-of-headers", good(s)
    s.at, s.numbers = 0, 0
    yield "reserved-of-headers-strict", bad(s, "reserved", strict=True)
    s = filled()
    s.raw(x.TSC_INFO, struct.pack("<IIQII", 0, 1, 2, 3, 0)).raw(x.CPUID_POLICY, b"x" * 24, pad=b"\1")
    s.model.state("X86_TSC_INFO", struct.pack("<IIQII", 0, 1, 2, 3, 0))
    s.hvm_params((1, 2))
    octets = blob("hvm context 3", 13)
    s.blob(x.HVM_CONTEXT, octets, pad=b"\xff")
    strict = bad(s, "padding", strict=True)
    s.end()
    yield "padding-not-zero", good(s)
    yield "padding-not-zero-strict", {**strict, "octets": bytes(s.out)}
    for kind, name in ((x.END, "end"), (x.VERIFY, "verify"), (x.STATIC_DATA_END, "static-data-end")):
        s = opened() if kind != x.STATIC_DATA_END else LibxcStream("hvm").static_end(b"body")
        strict = None
        if kind == x.STATIC_DATA_END:
            strict = bad(s, "length", strict=True)
        s.pages(1)
        if kind == x.VERIFY:
            s.raw(kind, b"body")
            s.model.verifying = True
            strict = bad(s, "length", strict=True)
        with_state(s)
        s.end(b"body" if kind == x.END else b"")
        strict = strict or bad(s, "length", strict=True)
        yield f"{name}-with-body", good(s)
        yield f"{name}-with-body-strict", {**strict, "octets": bytes(s.out)}
    s = LibxcStream("hvm").raw(0x80000000, b"1").policies().raw(0x80000001, b"no pages").static_end()
    s.raw(0xFFFFFFFF, b"").pages(1).raw(0x80001234, blob("optional", 5000))
    yield "optional-records-everywhere", good(with_state(s).end())


def remus(epochs, guest="hvm", version=3):
    """A checkpointed stream of so many committed epochs."""
    s = with_state(filled(guest, version)).checkpoint()
    for n in range(1, epochs):
        s.pages((0, NOTAB, touched(content(0), n)), (n + 6, NOTAB, content(n + 6, n)))
        if n == 1:
            s.pages((1, XALLOC), (3, NOTAB, content(3, 2)))
        with_state(s, n).checkpoint()
    return s


def checkpointed():
    for guest in ("hvm", "pv"):
        for version in (2, 3):
            yield f"{guest}-v{version}", good(remus(3, guest, version), complete=False)
    yield "no-checkpoint-but-end", good(whole(), mode="remus")
    yield "end-right-after", good(remus(2).end())
    s = with_state(remus(2).pages((0, NOTAB, content(0, 77))), 9).end()
    yield "end-drops-what-is-buffered", good(s)
    s = with_state(remus(2).pages((0, NOTAB, content(0, 77))), 9)
    yield "break-between-records", good(s, complete=False)
    yield "break-in-body", good(cut(remus(2).pages((0, NOTAB, content(0, 77))), 100), complete=False)
    yield "break-in-header", good(cut(remus(2).raw(x.CHECKPOINT), 3), complete=False)
    yield "break-in-padding", good(cut(remus(2).context(4, 13), 2), complete=False)
    s = remus(2).raw(x.PAGE_DATA, b"", length=(128 << 20) + 1)
    yield "too-long-after-checkpoint", good(s, complete=False)
    s = remus(2).raw(0x13, b"unknown").pages((0, NOTAB, content(0, 5)))
    yield "bad-record-never-applied", good(s, complete=False)
    yield "bad-record-dropped-by-end", good(remus(2).raw(0x13, b"unknown").end())
    s = remus(1).raw(0x80000010, b"optional").pages((0, NOTAB, content(0, 5)))
    yield "optional-in-buffered-epoch", good(with_state(s, 4).checkpoint(), complete=False)
    s = remus(2).checkpoint()
    yield "empty-epoch", good(s, complete=False)
    s = remus(2)
    s.raw(x.CHECKPOINT, b"with a body")
    s.model.commit()
    yield "checkpoint-with-body", good(s, complete=False)
    yield "break-before-first", bad(with_state(filled()), "truncated", mode="remus")
    for name, kind, body in (("unknown", 0x13, b""), ("page-count-zero", x.PAGE_DATA, bytes(8)),
                             ("tsc-short", x.TSC_INFO, bytes(8)), ("other-guest", x.SHARED_INFO, bytes(PAGE)),
                             ("static-again", x.STATIC_DATA_END, b"")):
        s = remus(2).raw(kind, body)
        refused = bad(s, "in-committed-epoch")
        s.checkpoint()
        yield f"{name}-in-committed-epoch", {**refused, "octets": bytes(s.out)}
    s = filled().tsc().checkpoint(commits=False)
    yield "first-without-context", bad(s, "no-context")
    s = filled("pv").tsc().checkpoint(commits=False)
    yield "first-without-vcpu", bad(s, "no-vcpu")
    yield "checkpoint-in-plain", bad(with_state(filled()).checkpoint(commits=False), "checkpoint",
                                     mode="plain")


def refused_headers():
    def header(reason, **fields):
        s = whole("hvm", 3, **fields)
        s.at, s.numbers = 0, 0
        return bad(s, reason, framing="libxc")

    yield "marker", header("marker", marker=(1 << 64) - 2)
    yield "id", header("id", ident=0x464E4558)
    for version in (0, 1, 4, 0x02000000):
        yield f"version-{version:x}", {
            **header("version"), "octets": with_version(version)}
    yield "big-endian", header("endian", options=1)
    for kind in (0, 3, 4):
        yield f"guest-type-{kind}", header("guest", kind=kind)
    for shift in (0, 11, 13, 44):
        yield f"page-shift-{shift}", header("page-size", shift=shift)
    for octets in (1, 7, 8, 12, 23, 24, 39):
        s = whole()
        del s.out[octets:]
        s.at, s.numbers = 0, 0
        yield f"cut-at-{octets}", bad(s, "truncated", **({"framing": "libxc"} if octets < 8 else {}))
    s = whole()
    del s.out[:]
    s.at, s.numbers = 0, 0
    yield "empty-file", bad(s, "truncated")


def with_version(version):
    s = whole()
    struct.pack_into(">I", s.out, 12, version)
    return bytes(s.out)


def refused_framing():
    yield "cut-in-header", {**bad(cut(opened().raw(x.TSC_INFO, bytes(24)), 28), "truncated"), "number": None}
    yield "cut-in-body", bad(cut(opened().raw(x.TSC_INFO, bytes(24)), 1), "truncated")
    yield "cut-in-padding", bad(cut(filled().context(0, 13), 1), "truncated")
    s = with_state(filled())
    s.at = len(s.out)
    yield "no-end", bad(s, "truncated")
    s = with_state(filled()).end(b"x")
    yield "end-without-its-padding", bad(cut(s, 4), "truncated")
    for length in ((128 << 20) + 1, 0x80000000, 0xFFFFFFF8, 0xFFFFFFF9, 0xFFFFFFFF):
        s = opened().raw(x.PAGE_DATA, bytes(64), length=length)
        yield f"length-{length:x}", bad(s, "length")
    s = opened().raw(0x80000007, bytes(64), length=(128 << 20) + 8)
    yield "length-of-optional", bad(s, "length")
    for kind in (0x13, 0x0FFFFFFF, 0x7FFFFFFF):
        yield f"unknown-{kind:x}", bad(filled().raw(kind, b""), "unknown")
    yield "toolstack", bad(filled().raw(x.TOOLSTACK, b"12345678"), "unknown")
    yield "dirty-pfn-list", bad(filled().raw(x.DIRTY_PFN_LIST, bytes(16)), "unknown")


def refused_order():
    for kind in (x.PV_INFO, x.P2M_FRAMES, x.VCPU_BASIC, x.VCPU_EXTENDED, x.VCPU_XSAVE, x.SHARED_INFO,
                 x.VCPU_MSRS):
        body = {x.SHARED_INFO: bytes(PAGE), x.PV_INFO: bytes([8, 4, 0, 0, 0, 0, 0, 0])}.get(kind, bytes(24))
        yield f"pv-record-{kind:x}-in-hvm", bad(filled().raw(kind, body), "guest")
    for kind in (x.HVM_CONTEXT, x.HVM_PARAMS):
        yield f"hvm-record-{kind:x}-in-pv", bad(filled("pv").raw(kind, bytes(8)), "guest")
    yield "memory-before-static-end", bad(LibxcStream("hvm").policies().pages(1), "static")
    yield "p2m-before-static-end", bad(LibxcStream("pv").pv_info().p2m(0, 15), "static")
    yield "static-end-twice", bad(opened().static_end(), "static")
    yield "static-end-after-memory", bad(filled().static_end(), "static")
    yield "pv-info-twice", bad(opened("pv").pv_info(), "pv-info")
    yield "p2m-before-pv-info", bad(LibxcStream("pv").static_end().p2m(0, 15), "pv-info")
    yield "shared-info-before-pv-info", bad(LibxcStream("pv").static_end().shared_info(), "pv-info")
    s = LibxcStream("pv").pv_info().static_end().pages(1)
    yield "memory-before-p2m", bad(s, "pfn")
    yield "no-context", bad(filled().tsc().hvm_params((1, 1)).end(), "no-context")
    s = filled("pv").shared_info()
    s.basic(2)
    yield "no-vcpu-0", bad(s.end(), "no-vcpu")
    for name, entries in (("missing", ()), ("allocated-only", ((PV_P2M, XALLOC),)),
                          ("broken", ((PV_P2M, BROKEN),)), ("invalid", ((PV_P2M, XTAB),)),
                          ("a-table", ((PV_P2M, L1, table(PV_P2M, 16)),))):
        s = opened("pv").pages(0, PV_START_INFO, (PV_ROOT, L4 | PINNED, table(PV_ROOT, 16)), *entries)
        yield f"p2m-frame-{name}", bad(with_state(s).end(), "p2m-frame")
    s = LibxcStream("pv").pv_info().static_end().p2m(0, 15, [16]).pages(0, PV_START_INFO, PV_P2M)
    yield "p2m-frame-beyond", bad(with_state(s).end(), "p2m-frame")


def refused_pages():
    for octets in (0, 4, 7):
        yield f"page-data-of-{octets}", bad(opened().raw(x.PAGE_DATA, bytes(octets)), "length")
    for octets in (8, 16, 8 + PAGE):
        yield f"count-0-of-{octets}", bad(opened().raw(x.PAGE_DATA, bytes(octets)), "count")
    one = (1, NOTAB, content(1))
    for name, body in (
            ("pfns-do-not-fit", page_data([(1, XTAB, None)], count=2)),
            ("page-missing", page_data([one, (2, NOTAB, None)])),
            ("one-octet-short", page_data([one])[:-1]),
            ("one-octet-more", page_data([one]) + b"x"),
            ("one-page-more", page_data([one]) + content(2)),
            ("content-for-xtab", page_data([(1, XTAB, content(1))])),
            ("content-for-xalloc", page_data([(1, XALLOC, content(1))])),
            ("content-for-broken", page_data([(1, BROKEN, content(1))])),
            ("count-20000000-wraps", page_data([], count=0x20000000) + bytes(8)),
            ("count-40000001-wraps", page_data([one], count=0x40000001)),
            ("count-ffffffff", page_data([one], count=0xFFFFFFFF))):
        yield name, bad(opened().raw(x.PAGE_DATA, body), "length")
    for kind in (5, 6, 7, 8):
        yield f"type-{kind}", bad(opened().pages((1, kind, content(1))), "type")
        yield f"type-{kind}-pv", bad(filled("pv").pages((1, kind, content(1))), "type")
    for name, entry in (("content", 16), ("xtab", (16, XTAB)), ("broken", (16, BROKEN)),
                        ("xalloc", (16, XALLOC)), ("far", ((1 << 52) - 1, XTAB))):
        yield f"pfn-beyond-p2m-{name}", bad(filled("pv").pages(entry), "pfn")
    yield "absurd-pfn-with-memory", bad(opened().pages(((1 << 51), NOTAB, content(1))), "pfn")
    yield "absurd-pfn-allocated", bad(opened().pages(((1 << 52) - 1, XALLOC)), "pfn")


def refused_pv():
    def info(*octets):
        return bad(LibxcStream("pv").pv_info(bytes(octets)), "pv-info")

    yield "pv-info-short", info(8, 4, 0, 0, 0, 0, 0)
    yield "pv-info-empty", info()
    for width, levels in ((8, 3), (4, 4), (4, 2), (2, 2), (0, 0)):
        yield f"pv-info-{width}-{levels}", info(width, levels, 0, 0, 0, 0, 0, 0)
    for name, body in (("empty", b""), ("short", bytes(7)), ("start-after-end", struct.pack("<IIQ", 16, 15, 4)),
                       ("no-frames", struct.pack("<II", 0, 15)), ("one-more", struct.pack("<IIQQ", 0, 15, 4, 4)),
                       ("one-less", struct.pack("<IIQ", 0, 512, 4)), ("odd", struct.pack("<IIQI", 0, 15, 4, 4)),
                       ("wraps", struct.pack("<IIQ", 0, 0xFFFFFFFF, 4))):
        s = LibxcStream("pv").pv_info().static_end().raw(x.P2M_FRAMES, body)
        yield f"p2m-{name}", bad(s, "p2m")
    for octets in (0, 4095, 4097):
        yield f"shared-info-{octets}", bad(filled("pv").raw(x.SHARED_INFO, bytes(octets)), "length")
    for name, kind, octets in (
            ("basic", x.VCPU_BASIC, (1, 0xAF0, 0x142F, 0x1431)), ("extended", x.VCPU_EXTENDED, (129, 4096)),
            ("xsave", x.VCPU_XSAVE, (1, 15)), ("msrs", x.VCPU_MSRS, (1, 15, 17, 24))):
        for n in octets:
            yield f"vcpu-{name}-{n}", bad(filled("pv").vcpu(kind, 0, bytes(n)), "length")
        yield f"vcpu-{name}-header-short", bad(filled("pv").raw(kind, bytes(7)), "length")
    yield "vcpu-basic-of-other-width", bad(
        filled("pv", 3, 4).vcpu(x.VCPU_BASIC, 0, vcpu_context(8)), "length")
    for vcpu in (0x10000, 0xFFFFFFFF):
        yield f"vcpu-id-{vcpu:x}", bad(filled("pv").vcpu(x.VCPU_EXTENDED, vcpu, bytes(128)), "vcpu-id")


def refused_state():
    for octets in (0, 8, 23, 25, 32):
        yield f"tsc-{octets}", bad(filled().raw(x.TSC_INFO, bytes(octets)), "length")
    yield "context-empty", bad(filled().raw(x.HVM_CONTEXT, b""), "length")
    for name, body in (("empty", b""), ("short", bytes(7)), ("one-less", struct.pack("<II", 2, 0) + bytes(16)),
                       ("one-more", struct.pack("<II", 1, 0) + bytes(32)),
                       ("odd", struct.pack("<II", 1, 0) + bytes(15)),
                       ("count-10000000-wraps", struct.pack("<II", 0x10000000, 0)),
                       ("count-f0000001-wraps", struct.pack("<II", 0xF0000001, 0) + bytes(16))):
        yield f"params-{name}", bad(filled().raw(x.HVM_PARAMS, body), "length")
    for kind, name, size in ((x.CPUID_POLICY, "cpuid", 24), (x.MSR_POLICY, "msr", 16)):
        for octets in (0, size - 1, size + 1, size + 8):
            s = LibxcStream("hvm").raw(kind, bytes(octets))
            yield f"{name}-policy-{octets}", bad(s, "length")


def cases():
    """(path without suffix, case) of every libxc stream."""
    for folder, groups in (("libxc", (accepted_shapes, accepted_pages, accepted_oddities)),
                           ("remus", (checkpointed,)),
                           ("libxc-bad", (refused_headers, refused_framing, refused_order, refused_pages,
                                          refused_pv, refused_state))):
        for group in groups:
            for name, case in group():
                yield f"{folder}/{name}", case
