"""random_guests — sound streams of random guests, of every format, and what must be read from each.

A seed makes one guest, always the same. Built on the golden generator, and like it on nothing of the
program.
"""
import pathlib
import random
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "golden"))

import framed_cases as framed
import legacy_cases
import legacy_stream as old
import libxc_cases
import libxc_stream as new
from guest_model import BROKEN, L1, L4, NOTAB, PAGE, PINNED, XALLOC, XTAB, blob, content, digest, table, touched
from legacy_stream import LegacyStream, full, runs

KINDS = ("libxc", "libxl", "xl", "legacy", "format-b")


def some_page(rng, pfn):
    """Zeros, few distinct words, or all distinct."""
    return rng.choice((bytes(PAGE), blob(f"tile {pfn}", 32) * (PAGE // 32), content(pfn, rng.randrange(9))))


def changed(rng, page):
    return touched(page, *{rng.randrange(1024) for _ in range(rng.choice((0, 1, 3, 30, 700)))})


class Guest:
    """Random writes to a guest of `pages`, as entries for one batch after another."""

    def __init__(self, rng, model, pages, is_pv):
        self.rng, self.model, self.pages, self.is_pv = rng, model, pages, is_pv
        self.kept = {new.PV_START_INFO, new.PV_P2M, new.PV_ROOT} if is_pv else set()

    def entry(self):
        rng, pfn = self.rng, self.rng.randrange(self.pages)
        known = self.model.memory.get(pfn)
        draw = rng.random()
        if pfn in self.kept or draw < 0.7:
            page = changed(rng, known) if known and rng.random() < 0.7 else some_page(rng, pfn)
            return (pfn, NOTAB, page)
        if draw < 0.8 and self.is_pv:
            return (pfn, rng.choice((L1, L4, L1 | PINNED)), table(pfn, self.pages, rng.randrange(9)))
        return (pfn, rng.choice((XALLOC, XTAB, BROKEN, XALLOC)))

    def batches(self):
        """No pfn twice in one batch: the converter of old streams refuses that."""
        for _ in range(self.rng.randrange(1, 5)):
            entries = {entry[0]: entry for entry in (self.entry() for _ in range(self.rng.randrange(1, 9)))}
            yield list(entries.values())


def shape(rng):
    return rng.choice(("hvm", "pv")), rng.randrange(8, 60), rng.choice((4, 8))


def write_pages(rng, s, guest):
    for batch in guest.batches():
        s.pages(*batch)
    return s


def libxc_open(rng, kind, pages, width):
    s = new.opened(kind, rng.choice((2, 3)), width, pages)
    if kind == "pv":
        s.pages(new.PV_START_INFO, new.PV_P2M, (new.PV_ROOT, L4 | PINNED, table(new.PV_ROOT, pages)))
    return write_pages(rng, s, Guest(rng, s.model, pages, kind == "pv"))


def libxc(rng):
    kind, pages, width = shape(rng)
    s = libxc_open(rng, kind, pages, width)
    if rng.random() < 0.4:
        return libxc_cases.good(new.with_state(s).end())
    guest = Guest(rng, s.model, pages, kind == "pv")
    for n in range(rng.randrange(1, 4)):
        new.with_state(write_pages(rng, s, guest), n).checkpoint()
    if rng.random() < 0.5:
        write_pages(rng, s, guest)
    if rng.random() < 0.3:
        return libxc_cases.good(s.end())
    return libxc_cases.good(s, complete=False)


def libxl(rng, front=b"", config=None, framing="libxl"):
    kind, pages, width = shape(rng)
    s = framed.LibxlStream(front=front)
    s.config = config
    s.libxc(kind, lambda _: libxc_open(rng, kind, pages, width))
    guest = Guest(rng, s.model, pages, kind == "pv")
    if rng.random() < 0.5:
        s.more(lambda inner: new.with_state(inner).end())
        if kind == "hvm":
            s.emulators()
        return framed.good(framed.closed(s), framing=framing)
    for n in range(rng.randrange(1, 4)):
        s.more(lambda inner: write_pages(rng, inner, guest))
        s.checkpoint(n, emulators=kind == "hvm")
    s.more(lambda inner: write_pages(rng, inner, guest))
    return framed.good(s, complete=False, framing=framing)


def xl(rng):
    return libxl(rng, framed.xl_head(), framed.CONFIG, "xl")


def legacy_open(rng):
    kind, pages, width = shape(rng)
    ext = rng.choice((("vcpu",), ("vcpu", "extv"), ("vcpu", "extv", "xcnt")))
    s = LegacyStream(kind, rng.choice((4, 8)), pages, width, ext, rng.choice((576, 832)))
    if rng.random() < 0.3:
        s.tmem(legacy_cases.TMEM_POOLS)
    if kind == "pv":
        s.batch(new.PV_START_INFO, new.PV_P2M, (new.PV_ROOT, L4 | PINNED, table(new.PV_ROOT, pages)))
    return s, Guest(rng, s.model, pages, kind == "pv")


def legacy_tail(rng, s, n):
    how = {}
    if s.guest == "hvm":
        how["signature"] = old.REMUS_QEMU if n else rng.choice((old.PLAIN_QEMU, old.REMUS_QEMU))
    return s.tail(n, **how)


def legacy_good(s, complete=True):
    """Version 3 does not say how many pages an HVM guest has: the image ends with the last one."""
    case = legacy_cases.good(s, complete)
    case["width"] = 8 * s.width
    if s.guest == "hvm":
        s.model.pages_fixed = None
        case["anew"] = {name: s.model.outcome()[name] for name in ("image_sha256", "image_pages")}
        # libxl has a record for what the toolstack said.
        case["framed"] = {"EMULATOR_XENSTORE_DATA/0/0": digest(old.physmap_keys(s.maps))}
    if complete and s.model.checkpoints == 1:
        case.setdefault("anew", {})["checkpoints"] = 0  # a plain stream stays one
    return case


def legacy(rng):
    s, guest = legacy_open(rng)
    epochs, has_params = rng.randrange(1, 4), rng.random() < 0.5
    for n in range(epochs):
        for batch in guest.batches():
            s.batch(*batch, *([old.NOTHING] * rng.randrange(3)))
        legacy_cases.state(s, tsc=n == 0, params=has_params)
        if n == epochs - 1:
            s.last()
        legacy_tail(rng, s, n)
    return legacy_good(s)


def format_b(rng):
    s, guest = legacy_open(rng)
    for batch in guest.batches():
        s.batch(*batch)
    legacy_tail(rng, legacy_cases.state(s.compress()), 0)
    for n in range(1, rng.randrange(2, 5)):
        payload = b""
        for batch in guest.batches():
            for entry in batch:
                if len(entry) == 3:
                    base = s.model.memory.get(entry[0]) or bytes(PAGE)
                    whole = rng.random() < 0.2
                    payload += full(entry[2]) if whole else runs(base, entry[2])
            s.batch(*batch)
            if rng.random() < 0.5:
                cut = rng.randrange(len(payload) + 1)
                s.compressed(payload[:cut])
                payload = payload[cut:]
        legacy_tail(rng, legacy_cases.state(s.compressed(payload), tsc=False), n)
    return legacy_good(s, complete=False)


MAKERS = {"libxc": libxc, "libxl": libxl, "xl": xl, "legacy": legacy, "format-b": format_b}


def make(seed):
    """(kind, case) as the golden generator has them."""
    rng = random.Random(f"guest {seed}")
    kind = KINDS[seed % len(KINDS)]
    return kind, MAKERS[kind](rng)
