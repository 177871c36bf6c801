"""guest_model — what a stream says about a guest, kept without reading any stream.

The writers of streams beside this file tell the model what they write; the model knows what a reader
must find: the pages as last committed, the blobs of state, the HVM parameters. Written from the
formats alone; shares nothing with the program that it judges.
"""
import hashlib
import struct

PAGE = 4096
NOTAB, L1, L2, L3, L4 = 0, 1, 2, 3, 4
PINNED = 8
BROKEN, XALLOC, XTAB = 0xD, 0xE, 0xF
WITHOUT_CONTENT = (BROKEN, XALLOC, XTAB)


def digest(octets):
    return hashlib.sha256(octets).hexdigest()


def word_of(*what):
    """A 32-bit word that depends on nothing but its arguments."""
    return struct.unpack("<I", hashlib.sha256(repr(what).encode()).digest()[:4])[0]


def content(pfn, version=0):
    """An ordinary page: no word twice, so that a shifted copy is another page."""
    first = word_of("page", pfn, version)
    return struct.pack("<1024I", *((first + i) & 0xFFFFFFFF for i in range(1024)))


def touched(page, *words):
    """The page with these words changed."""
    out = bytearray(page)
    for at in words:
        old, = struct.unpack_from("<I", out, 4 * at)
        struct.pack_into("<I", out, 4 * at, old ^ 0x5A5A5A5A)
    return bytes(out)


def table(pfn, pages, version=0):
    """A page table in canonical form: eight present entries, all of them within the guest."""
    entries = [((pfn + version + i) % pages) << 12 | 0x67 for i in range(8)]
    return struct.pack("<8Q", *entries) + bytes(PAGE - 64)


def blob(name, octets):
    """So many octets that depend on the name only."""
    out = b""
    while len(out) < octets:
        out += hashlib.sha256(f"{name} {len(out)}".encode()).digest()
    return out[:octets]


class Model:
    """The guest as sent so far and as last committed."""

    def __init__(self, is_pv):
        self.is_pv = is_pv
        self.pages_fixed = None  # legacy: p2m_size
        self.end_pfn = None      # PV: largest seen
        self.memory = {}         # pfn → content, None: populated without content
        self.states = {}
        self.params = {}
        self.freed = ()
        self.verifying = False
        self.checkpoints = 0
        self.committed = None

    def page(self, pfn, kind, octets=None, allocates_broken=False):
        if kind == XTAB or (kind == BROKEN and not allocates_broken):
            return
        if kind in WITHOUT_CONTENT or self.verifying:
            self.memory.setdefault(pfn, None)
        else:
            self.memory[pfn] = octets

    def state(self, name, octets, index=None):
        self.states[name if index is None else f"{name}/{index}"] = octets

    def param(self, index, value):
        self.params[index] = value

    def commit(self, counts=True):
        if counts:
            self.checkpoints += 1
        self.committed = (dict(self.memory), dict(self.states), dict(self.params),
                          tuple(self.freed), self.end_pfn)

    def outcome(self, complete=True):
        """What verify must print of a stream that is accepted."""
        memory, states, params, freed, end_pfn = self.committed
        memory = {pfn: octets for pfn, octets in memory.items() if pfn not in freed}
        if self.pages_fixed is not None:
            pages = self.pages_fixed
        elif self.is_pv:
            pages = end_pfn + 1 if end_pfn is not None else 0
        else:
            pages = max(memory, default=-1) + 1
        image = hashlib.sha256()
        for pfn in range(pages):
            image.update(memory.get(pfn) or bytes(PAGE))
        return {
            "status": "ok",
            "guest": "pv" if self.is_pv else "hvm",
            "image_sha256": image.hexdigest(),
            "image_pages": pages,
            "pages_populated": len(memory),
            "checkpoints": self.checkpoints,
            "complete": complete,
            "state": {name: digest(octets) for name, octets in sorted(states.items())},
            "hvm_params": {str(index): value for index, value in sorted(params.items())},
        }
