"""libxc_stream — writes libxc migration streams (versions 2 and 3), good ones and bad ones.

Every method that writes something sound tells the model too; raw() writes whatever it is given.
"""
import struct

from guest_model import (BROKEN, L4, NOTAB, PAGE, PINNED, WITHOUT_CONTENT, XALLOC, XTAB, Model, blob,
                         content, table)

END, PAGE_DATA, PV_INFO, P2M_FRAMES, VCPU_BASIC, VCPU_EXTENDED, VCPU_XSAVE, SHARED_INFO, TSC_INFO, \
    HVM_CONTEXT, HVM_PARAMS, TOOLSTACK, VCPU_MSRS, VERIFY, CHECKPOINT, DIRTY_PFN_LIST, \
    STATIC_DATA_END, CPUID_POLICY, MSR_POLICY = range(0x13)
OPTIONAL = 0x80000000
NAMES = {
    VCPU_BASIC: "X86_PV_VCPU_BASIC", VCPU_EXTENDED: "X86_PV_VCPU_EXTENDED",
    VCPU_XSAVE: "X86_PV_VCPU_XSAVE", VCPU_MSRS: "X86_PV_VCPU_MSRS", SHARED_INFO: "SHARED_INFO",
    TSC_INFO: "X86_TSC_INFO", HVM_CONTEXT: "HVM_CONTEXT", CPUID_POLICY: "X86_CPUID_POLICY",
    MSR_POLICY: "X86_MSR_POLICY",
}
PV_START_INFO, PV_P2M, PV_ROOT, PV_TABLE = 3, 4, 5, 6
BASIC_OCTETS = {8: 0x1430, 4: 0xAF0}


def vcpu_context(width, vcpu=0, version=0):
    """A guest context with the few fields in it that a restore looks at."""
    out = bytearray(blob(f"context {vcpu} {version}", BASIC_OCTETS[width]))
    if width == 8:
        struct.pack_into("<Q", out, 616, PV_START_INFO)
        struct.pack_into("<Q", out, 4960, 0)            # no descriptor table
        struct.pack_into("<Q", out, 4992, 0)            # cr1: no user root
        struct.pack_into("<Q", out, 5008, PV_ROOT << 12)
    else:
        struct.pack_into("<I", out, 524, PV_START_INFO)
        struct.pack_into("<I", out, 2704, 0)
        struct.pack_into("<I", out, 2728, PV_ROOT << 12 & 0xFFFFFFFF | PV_ROOT >> 20)
    return bytes(out)


def pv_info_body(width):
    return struct.pack("<BB6x", width, {8: 4, 4: 3}[width])


def page_data(entries, reserved=0, entry_bits=0, count=None):
    """The body: entries are (pfn, type, octets or None)."""
    out = struct.pack("<II", len(entries) if count is None else count, reserved)
    for pfn, kind, _ in entries:
        out += struct.pack("<Q", kind << 60 | entry_bits | pfn)
    return out + b"".join(octets for _, _, octets in entries if octets is not None)


class LibxcStream:
    def __init__(self, guest="hvm", version=3, model=None, width=8, **header):
        self.out = bytearray()
        self.guest, self.version, self.width = guest, version, width
        self.model = model or Model(guest == "pv")
        self.numbers = 0
        self.at = 0         # where the newest record starts
        self.is_remus = False
        self.header(**header)

    def header(self, marker=(1 << 64) - 1, ident=0x58454E46, version=None, options=0, reserved=0,
               reserved2=0, kind=None, shift=12, domain_reserved=0, major=4, minor=17):
        version = self.version if version is None else version
        kind = {"pv": 1, "hvm": 2}[self.guest] if kind is None else kind
        self.out += struct.pack(">QIIHHI", marker, ident, version, options, reserved, reserved2)
        self.out += struct.pack("<IHHII", kind, shift, domain_reserved, major, minor)

    # ---- any record ----------------------------------------------------------------------------

    def raw(self, kind, body=b"", length=None, pad=b"\0"):
        self.at = len(self.out)
        self.numbers += 1
        self.kind = kind
        self.out += struct.pack("<II", kind, len(body) if length is None else length) + body
        self.out += pad * (-len(body) % 8)
        return self

    def blob(self, kind, octets, has_effect=True, **how):
        if has_effect:
            self.model.state(NAMES[kind], octets)
        return self.raw(kind, octets, **how)

    # ---- static --------------------------------------------------------------------------------

    def policies(self, has_effect=True):
        """Only those before STATIC_DATA_END have an effect."""
        self.blob(CPUID_POLICY, blob("cpuid", 24 * 3), has_effect)
        return self.blob(MSR_POLICY, blob("msr", 16 * 2), has_effect)

    def static_end(self, body=b""):
        return self.raw(STATIC_DATA_END, body)

    def pv_info(self, body=None):
        if body is None:
            body = pv_info_body(self.width)
            self.model.state("X86_PV_INFO", body)
        return self.raw(PV_INFO, body)

    def p2m(self, start, end, frames=None):
        per_frame = PAGE // self.width
        count = end // per_frame - start // per_frame + 1
        frames = [PV_P2M] * count if frames is None else frames
        self.model.end_pfn = max(end, self.model.end_pfn or 0)
        body = struct.pack("<II", start, end) + struct.pack(f"<{len(frames)}Q", *frames)
        self.model.state("X86_PV_P2M_FRAMES", body)
        return self.raw(P2M_FRAMES, body)

    # ---- memory --------------------------------------------------------------------------------

    def pages(self, *entries, **how):
        """(pfn), (pfn, type), (pfn, type, content) each."""
        full = []
        for entry in entries:
            entry = entry if isinstance(entry, tuple) else (entry,)
            pfn, kind, octets = entry + (NOTAB, None)[len(entry) - 1:]
            if octets is None and kind not in WITHOUT_CONTENT:
                octets = content(pfn)
            full.append((pfn, kind, octets))
            self.model.page(pfn, kind, octets)
        return self.raw(PAGE_DATA, page_data(full, **how))

    # ---- state ---------------------------------------------------------------------------------

    def tsc(self, version=0):
        return self.blob(TSC_INFO, struct.pack("<IIQII", 1, 2400000, 1 << 40, version, 0))

    def context(self, version=0, octets=600):
        return self.blob(HVM_CONTEXT, blob(f"hvm context {version}", octets))

    def hvm_params(self, *pairs):
        for index, value in pairs:
            self.model.param(index, value)
        return self.raw(HVM_PARAMS, struct.pack("<II", len(pairs), 0) +
                        b"".join(struct.pack("<QQ", *pair) for pair in pairs))

    def vcpu(self, kind, vcpu, octets):
        if octets:
            self.model.state(NAMES[kind], octets, vcpu)
        return self.raw(kind, struct.pack("<II", vcpu, 0) + octets)

    def basic(self, vcpu=0, version=0):
        return self.vcpu(VCPU_BASIC, vcpu, vcpu_context(self.width, vcpu, version))

    def shared_info(self, version=0):
        return self.blob(SHARED_INFO, blob(f"shared info {version}", PAGE))

    # ---- epochs --------------------------------------------------------------------------------

    def checkpoint(self, body=b"", commits=True):
        self.raw(CHECKPOINT, body)
        if commits:
            self.model.commit()
        self.is_remus = True
        return self

    def end(self, body=b""):
        self.raw(END, body)
        if not self.is_remus:
            self.model.commit(counts=False)
        return self

    def verify(self):
        self.model.verifying = True
        return self.raw(VERIFY)


def opened(guest="hvm", version=3, width=8, pages=16, **header):
    """A stream up to where memory comes."""
    s = LibxcStream(guest, version, width=width, **header)
    if guest == "pv":
        s.pv_info()
    if version == 3:
        s.policies().static_end()
    if guest == "pv":
        s.p2m(0, pages - 1)
    return s


def filled(guest="hvm", version=3, width=8, **header):
    """… with its memory."""
    s = opened(guest, version, width, **header)
    if guest == "hvm":
        return s.pages(0, 1, (2, XALLOC), 3).pages((7, NOTAB), (5, BROKEN), (9, XTAB))
    s.pages(0, 1, PV_START_INFO, PV_P2M)
    return s.pages((PV_ROOT, L4 | PINNED, table(PV_ROOT, 16)), (PV_TABLE, 1, table(PV_TABLE, 16)),
                   (8, XALLOC), (9, BROKEN), (10, XTAB))


def with_state(s, version=0):
    """… and the state of vCPUs and devices."""
    s.tsc(version)
    if s.guest == "hvm":
        s.hvm_params((1, 0xFEFFC), (5, 0xFEFF8), (6, 0xFEFF9), (17, 0xFEFFF))
        return s.context(version)
    s.shared_info(version)
    for vcpu in (0, 2):
        s.basic(vcpu, version)
        s.vcpu(VCPU_EXTENDED, vcpu, blob(f"extended {vcpu} {version}", 128))
        s.vcpu(VCPU_XSAVE, vcpu, blob(f"xsave {vcpu} {version}", 576))
        s.vcpu(VCPU_MSRS, vcpu, blob(f"msrs {vcpu} {version}", 48))
    return s
