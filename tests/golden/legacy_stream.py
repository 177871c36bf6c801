"""legacy_stream — writes the libxc streams of Xen 3.x to 4.5, good ones and bad ones."""
import struct

from guest_model import NOTAB, PAGE, WITHOUT_CONTENT, XTAB, Model, blob, content
from libxc_stream import BASIC_OCTETS, PV_P2M, pv_info_body, vcpu_context

VERIFY, VCPU_INFO, IDENT_PT, VM86_TSS, TMEM, TMEM_EXTRA, TSC, CONSOLE_PFN, LAST_CHECKPOINT, \
    ACPI_IOPORTS, VIRIDIAN, COMPRESSED, ENABLE_COMPRESSION, GENERATION_ID, PAGING, ACCESS, SHARING, \
    TOOLSTACK, IOREQ_SERVER_PFN, IOREQ_SERVER_NR, X87_FIP_WIDTH = range(-1, -22, -1)
PARAMS = {IDENT_PT: 12, VM86_TSS: 15, CONSOLE_PFN: 17, ACPI_IOPORTS: 19, VIRIDIAN: 9, GENERATION_ID: 34,
          PAGING: 27, ACCESS: 28, SHARING: 29, IOREQ_SERVER_PFN: 32, IOREQ_SERVER_NR: 33, X87_FIP_WIDTH: 36}
NOTHING = 0xF0000000  # an XTAB entry as savers write it
PLAIN_QEMU, REMUS_QEMU, XEND_QEMU = b"DeviceModelRecord0002", b"RemusDeviceModelState", b"QemuDeviceModelRecord"
LITERALS_MAX = 127


def runs(old, new):
    """A page of format B as its sender writes it: greedy runs of words, new values, trailing skip."""
    changed = [old[4 * i:4 * i + 4] != new[4 * i:4 * i + 4] for i in range(PAGE // 4)]
    if not any(changed):
        return b"\0"
    out, at = b"", 0
    while at < len(changed):
        end = at
        while end < len(changed) and changed[end] == changed[at] and end - at < LITERALS_MAX:
            end += 1
        out += bytes([(0 if changed[at] else 0x80) | (end - at)])
        if changed[at]:
            out += new[4 * at:4 * end]
        at = end
    return out


def full(page):
    return b"\x80" + page


def physmap_keys(maps):
    """What libxl carries of the toolstack chunk since version 2."""
    out = b""
    for offset, start, size, name in maps:
        for leaf, value in (("start_addr", b"%x\0" % start), ("size", b"%x\0" % size), ("name", name)):
            out += f"physmap/{offset:x}/{leaf}\0".encode() + value
    return out


class LegacyStream:
    """width: of the toolstack's words in octets. ext: the blocks of the extended info, None: none."""

    def __init__(self, guest="hvm", width=8, pages=16, guest_width=8, ext=("vcpu", "extv", "xcnt"), xsave=576,
                 model=None, p2m=None):
        self.out = bytearray()
        self.guest, self.width = guest, width
        self.model = model or Model(guest == "pv")
        self.model.pages_fixed = pages
        self.guest_width = guest_width if guest == "pv" and ext is not None else width
        self.ext = ext if guest == "pv" else None
        self.xsave = xsave
        self.online = [0]
        self.at = 0
        self.epoch = 1
        self.compressing = False
        self.ulongs(pages)
        if guest == "pv":
            self.head(pages, p2m)

    # ---- pieces --------------------------------------------------------------------------------

    def raw(self, octets):
        self.at = len(self.out)
        self.out += octets
        return self

    def more(self, octets):
        self.out += octets
        return self

    def pack_ulongs(self, *values):
        return struct.pack(f"<{len(values)}{'Q' if self.width == 8 else 'I'}", *values)

    def ulongs(self, *values):
        return self.more(self.pack_ulongs(*values))

    def head(self, pages, p2m):
        if self.ext is not None:
            block = {"vcpu": b"vcpu" + struct.pack("<I", BASIC_OCTETS[self.guest_width]) +
                     vcpu_context(self.guest_width),
                     "extv": b"extv" + struct.pack("<I", 0),
                     "xcnt": b"xcnt" + struct.pack("<II", 4, 16 + self.xsave),
                     "else": b"else" + struct.pack("<I", 5) + b"other"}
            body = b"".join(block[name] if isinstance(name, str) else name for name in self.ext)
            self.ulongs((1 << 8 * self.width) - 1).more(struct.pack("<I", len(body)) + body)
        p2m = [PV_P2M] * -(-pages // (PAGE // self.guest_width)) if p2m is None else p2m
        self.model.state("X86_PV_INFO", pv_info_body(self.guest_width))
        self.model.state("X86_PV_P2M_FRAMES", struct.pack(f"<II{len(p2m)}Q", 0, pages - 1, *p2m))
        self.ulongs(*p2m)

    def chunk(self, kind, body=b""):
        return self.raw(struct.pack("<i", kind) + body)

    # ---- body ----------------------------------------------------------------------------------

    def batch(self, *entries, count=None):
        """pfn, (pfn, type) or (pfn, type, content) each; NOTHING is the entry of nothing."""
        words, pages = [], b""
        for entry in entries:
            if entry == NOTHING:
                words.append(NOTHING)
                continue
            entry = entry if isinstance(entry, tuple) else (entry,)
            pfn, kind, octets = entry + (NOTAB, None)[len(entry) - 1:]
            if kind not in WITHOUT_CONTENT:
                octets = content(pfn) if octets is None else octets
                pages += octets
            words.append(kind << 28 | pfn)
            self.model.page(pfn, kind, octets, allocates_broken=True)
        if self.compressing:
            pages = b""
        return self.chunk(len(words) if count is None else count, self.pack_ulongs(*words) + pages)

    def compressed(self, octets):
        return self.chunk(COMPRESSED, self.pack_ulongs(len(octets)) + octets)

    def verify(self):
        self.model.verifying = True
        return self.chunk(VERIFY)

    def vcpus(self, *online, most=None, words=None):
        most = max(online) if most is None else most
        self.online = sorted(online)
        bits = sum(1 << vcpu for vcpu in online)
        return self.chunk(VCPU_INFO, struct.pack("<i", most) +
                          bits.to_bytes(8 * (most // 64 + 1 if words is None else words), "little"))

    def param(self, kind, value):
        self.model.param(PARAMS[kind], value)
        return self.chunk(kind, struct.pack("<IQ", 0, value))

    def tsc(self, version=0):
        mode, khz, nsec = 1, 2400000, 1 << 40
        self.model.state("X86_TSC_INFO", struct.pack("<IIQII", mode, khz, nsec, version, 0))
        return self.chunk(TSC, struct.pack("<IQII", mode, nsec, khz, version))

    def toolstack(self, *maps):
        self.maps = maps
        octets = struct.pack("<II", 1, len(maps))
        for offset, start, size, name in maps:
            octets += struct.pack("<QQQI", offset, start, size, len(name)) + name
            octets += bytes(4) if self.width == 8 else b""
        self.model.state("TOOLSTACK", octets)
        return self.chunk(TOOLSTACK, struct.pack("<I", len(octets)) + octets)

    def tmem(self, pools, pool_max=16, end=b"\xff" * 4, version=1, head=0xFFFFFFFF):
        """pools: (id, flags, n_pages, [(oid, index, page)])."""
        octets = struct.pack("<IIIIIII", version, pool_max, head, 1, 100, 0, 0xFFFFFFFF)
        for pool, flags, most, pages in pools:
            octets += struct.pack("<III16s", pool, flags, most, blob(f"uuid {pool}", 16))
            for oid, index, page in pages:
                octets += struct.pack("<QQQI", *oid, index) + page
            if most > len(pages):
                octets += b"\xff" * 24
        octets += end
        self.model.state("TMEM", octets, 0)
        return self.chunk(TMEM, octets)

    def tmem_extra(self, *gone, end=b"\xff" * 4):
        octets = b"".join(struct.pack("<IQQQI", pool, *oid, index) for pool, oid, index in gone) + end
        self.model.state("TMEM_EXTRA", octets, 0)
        return self.chunk(TMEM_EXTRA, octets)

    def body_end(self):
        return self.chunk(0)

    # ---- tail ----------------------------------------------------------------------------------

    def tail(self, version=0, **how):
        self.body_end()
        self.at = len(self.out)
        (self.pv_tail if self.guest == "pv" else self.hvm_tail)(version, **how)
        self.compressing = self.compressing or self.epoch == 1 and getattr(self, "will_compress", False)
        self.epoch += 1
        self.model.commit()
        return self

    def hvm_tail(self, version, signature=PLAIN_QEMU, context=600, qemu=None):
        magic = ((5, 0xFEFF8), (6, 0xFEFF9), (1, 0xFEFFC))
        for index, value in magic:
            self.model.param(index, value)
        octets = blob(f"hvm context {version}", context)
        self.model.state("HVM_CONTEXT", octets)
        self.more(struct.pack("<QQQI", *(value for _, value in magic), context) + octets)
        qemu = b"QEVM" + blob(f"qemu {version}", 1001) if qemu is None else qemu
        self.model.state("EMULATOR_CONTEXT", qemu, "0/0")
        self.more(signature)
        if signature != XEND_QEMU:
            self.more(struct.pack("<I", len(qemu)))
        self.more(qemu)

    def pv_tail(self, version, freed=(), mask=7, xsave=None):
        self.more(struct.pack("<I", len(freed))).ulongs(*freed)
        self.model.freed = tuple(freed)
        if freed or "UNMAPPED_PFNS" in self.model.states:
            self.model.state("UNMAPPED_PFNS", struct.pack(f"<{len(freed)}Q", *freed))
        for vcpu in self.online:
            octets = vcpu_context(self.guest_width, vcpu, version)
            self.model.state("X86_PV_VCPU_BASIC", octets, vcpu)
            self.more(octets)
            if self.ext and "extv" in self.ext:
                octets = blob(f"extended {vcpu} {version}", 128)
                self.model.state("X86_PV_VCPU_EXTENDED", octets, vcpu)
                self.more(octets)
            if self.ext and "xcnt" in self.ext and self.xsave:
                octets = blob(f"xsave {vcpu} {version}", self.xsave)
                self.model.state("X86_PV_VCPU_XSAVE", octets, vcpu)
                self.more(struct.pack("<QQ", mask, self.xsave if xsave is None else xsave) + octets)
        octets = blob(f"shared info {version}", PAGE)
        self.model.state("SHARED_INFO", octets)
        self.more(octets)

    # ---- checkpoints ---------------------------------------------------------------------------

    def compress(self):
        """From the next body on, pages come as format B."""
        self.will_compress = True
        return self.chunk(ENABLE_COMPRESSION)

    def last(self):
        return self.chunk(LAST_CHECKPOINT)
