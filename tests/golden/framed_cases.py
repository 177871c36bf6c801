"""framed_cases — libxl streams and files of `xl save`: a libxc stream with a frame around it."""
import json
import struct

import legacy_cases
import libxc_stream as x
from guest_model import NOTAB, blob, content, digest
from libxc_cases import cut
from libxc_stream import filled, with_state

END, LIBXC_CONTEXT, EMULATOR_XENSTORE, EMULATOR_CONTEXT, CHECKPOINT_END, CHECKPOINT_STATE = range(6)
QEMU = 2
XL_MAGIC = b"Xen saved domain, xl format\n \0 \r"
CONFIG = json.dumps({"c_info": {"type": "hvm", "name": "golden"}, "b_info": {"max_vcpus": 2}}).encode() + b"\0"


class LibxlStream:
    """A libxl stream around a libxc one. Both write into the same octets; numbers run through."""

    def __init__(self, ident=0x4C6962786C466D74, version=2, options=0, front=b""):
        self.out = bytearray(front) + struct.pack(">QII", ident, version, options)
        self.numbers = 0
        self.at = 0
        self.inner = None
        self.config = None

    def raw(self, kind, body=b"", length=None, pad=b"\0"):
        self.at = len(self.out)
        self.numbers += 1
        self.out += struct.pack("<II", kind, len(body) if length is None else length) + body
        self.out += pad * (-len(body) % 8)
        return self

    def libxc(self, guest="hvm", write=filled):
        """LIBXC_CONTEXT and what `write` makes of a guest; more comes by more()."""
        self.raw(LIBXC_CONTEXT)
        self.inner = write(guest)
        if self.config is not None:
            self.inner.model.state("XL_CONFIG", self.config)
        return self._take(0)

    def more(self, write):
        before = len(self.inner.out), self.inner.numbers
        write(self.inner)
        return self._take(before[0], before[1])

    def _take(self, octets, numbers=0):
        self.at = len(self.out) + self.inner.at - octets
        self.out += self.inner.out[octets:]
        self.numbers += self.inner.numbers - numbers
        return self

    @property
    def model(self):
        return self.inner.model

    def emulator(self, kind, octets, emulator=QEMU, index=0):
        name = {EMULATOR_XENSTORE: "EMULATOR_XENSTORE_DATA", EMULATOR_CONTEXT: "EMULATOR_CONTEXT"}[kind]
        self.model.state(name, octets, f"{emulator}/{index}")
        return self.raw(kind, struct.pack("<II", emulator, index) + octets)

    def emulators(self, version=0):
        self.emulator(EMULATOR_XENSTORE, b"physmap/f0000000/start_addr\0f0000000\0")
        return self.emulator(EMULATOR_CONTEXT, blob(f"qemu {version}", 1001))

    def checkpoint(self, version=0, emulators=True):
        self.more(lambda s: with_state(s, version).checkpoint(commits=False))
        if emulators:
            self.emulators(version)
        self.raw(CHECKPOINT_END)
        self.model.commit()
        return self


def good(s, complete=True, framing="libxl", **options):
    return {"octets": bytes(s.out), "framing": framing, "version": s.inner.version,
            **s.model.outcome(complete), "options": options}


def bad(s, reason, **options):
    return {"octets": bytes(s.out), "status": "reject", "reason": reason, "from": s.at,
            "number": s.numbers, "options": options}


def sound(guest="hvm"):
    return with_state(filled(guest)).end()


def plain(guest="hvm", **header):
    """A whole plain stream up to its last END; what ends the inner one is not yet the end."""
    s = LibxlStream(**header).libxc(guest, sound)
    return s


def closed(s):
    s.raw(END)
    s.model.commit(counts=False)
    return s


def remus(epochs, guest="hvm"):
    s = LibxlStream().libxc(guest, filled).checkpoint(emulators=guest == "hvm")
    for n in range(1, epochs):
        s.more(lambda inner, n=n: inner.pages((0, NOTAB, content(0, n)), (3 + n, NOTAB, content(3, n))))
        s.checkpoint(n, emulators=guest == "hvm")
    return s


def libxl_accepted():
    yield "hvm", good(closed(plain().emulators()))
    yield "hvm-without-emulator", good(closed(plain()))
    yield "pv", good(closed(plain("pv")))
    yield "made-by-the-converter", good(closed(plain(options=2).emulators()))
    yield "reserved-options", good(closed(plain(options=0xFFFFFFFE).emulators()))
    s = plain().emulator(EMULATOR_CONTEXT, b"older").emulator(EMULATOR_CONTEXT, blob("newer", 64))
    s.emulator(EMULATOR_CONTEXT, blob("of another", 9), emulator=1, index=3)
    yield "emulators-by-id-and-index", good(closed(s))
    yield "optional-record", good(closed(plain().raw(0x80000001, b"nobody knows me").emulators()))
    s = closed(plain().emulators())
    s.out += b"unread"
    yield "octets-after-end", good(s)


def libxl_remus():
    for guest in ("hvm", "pv"):
        yield guest, good(remus(3, guest), complete=False)
    s = remus(2)
    s.more(lambda inner: with_state(inner, 9).checkpoint(commits=False))
    yield "break-before-checkpoint-end", good(s, complete=False)
    yield "break-in-emulator-record", good(cut(s.emulators(9), 50), complete=False)
    for kind, body in ((6, b"unknown"), (END, b""), (EMULATOR_CONTEXT, bytes(7)), (CHECKPOINT_STATE, bytes(8))):
        s = remus(2).more(lambda inner: with_state(inner, 9).checkpoint(commits=False)).raw(kind, body)
        yield f"bad-record-{kind}-never-committed", good(s, complete=False)
        refused = bad(s, "unknown")
        yield f"bad-record-{kind}-in-checkpoint", {**refused, "octets": bytes(s.raw(CHECKPOINT_END).out)}
    s = remus(2)
    s.more(lambda inner: inner.pages((0, NOTAB, content(0, 9))))
    yield "break-in-memory", good(cut(s, 100), complete=False)
    s = LibxlStream().libxc("hvm", filled)
    s.more(lambda inner: with_state(inner).checkpoint(commits=False))
    s.at = len(s.out)
    yield "first-without-checkpoint-end", bad(s, "truncated")
    s = LibxlStream().libxc("hvm", filled)
    s.more(lambda inner: with_state(inner).checkpoint(commits=False))
    yield "checkpoint-in-plain", bad(s, "checkpoint", mode="plain")
    s = remus(2)
    s.more(lambda inner: inner.raw(0x13, b"unknown"))
    refused = bad(s, "in-committed-epoch")
    s.more(lambda inner: with_state(inner, 3).checkpoint(commits=False))
    yield "bad-record-in-committed-epoch", {**refused, "octets": bytes(s.emulators(3).raw(CHECKPOINT_END).out)}


def libxl_refused():
    for name, header in (("ident", {"ident": 0x4C6962786C466D75}), ("version-1", {"version": 1}),
                         ("version-3", {"version": 3}), ("big-endian", {"options": 1})):
        s = closed(plain(**header).emulators())
        s.at, s.numbers = 0, 0
        yield name, bad(s, name, framing="libxl")
    s = LibxlStream()
    yield "cut-in-header", {**bad(s, "truncated"), "octets": bytes(s.out[:12])}
    s.at = len(s.out)
    yield "nothing-after-header", bad(s, "truncated")
    yield "no-context", bad(LibxlStream().raw(END), "order")
    yield "emulator-before-context", bad(LibxlStream().raw(EMULATOR_CONTEXT, bytes(16)), "order")
    s = plain().emulators()
    s.at = len(s.out)
    yield "no-end", bad(s, "truncated")
    for kind in (6, 0x7FFFFFFF):
        yield f"unknown-{kind:x}", bad(plain().raw(kind, b""), "unknown")
    yield "checkpoint-end-outside", bad(plain().raw(CHECKPOINT_END), "order")
    yield "checkpoint-state", bad(plain().raw(CHECKPOINT_STATE, bytes(8)), "unknown")
    for kind in (EMULATOR_XENSTORE, EMULATOR_CONTEXT):
        yield f"emulator-{kind}-in-pv", bad(plain("pv").raw(kind, bytes(16)), "guest")
        yield f"emulator-{kind}-short", bad(plain().raw(kind, bytes(7)), "length")
    yield "length-ffffffff", bad(plain().raw(EMULATOR_CONTEXT, bytes(16), length=0xFFFFFFFF), "length")
    yield "cut-in-emulator", bad(cut(plain().raw(EMULATOR_CONTEXT, bytes(64)), 8), "truncated")
    s = LibxlStream().libxc("hvm", lambda guest: filled(guest).tsc().end())
    yield "inner-without-state", bad(s, "no-context")
    s = LibxlStream().libxc("hvm", lambda guest: filled(guest).raw(0x13))
    yield "inner-refused", bad(s, "unknown")


def xl_head(config=CONFIG, flags=3, order=0x01020304, optional=0, tail=b"", config_octets=None, octets=None):
    body = struct.pack("<I", len(config) if config_octets is None else config_octets) + config + tail
    if config is None or octets == 0:
        body = b""
    return XL_MAGIC + struct.pack("<IIII", order, flags, optional,
                                  len(body) if octets is None else octets) + body


def xl_stream(config=CONFIG, write=None, **head):
    s = LibxlStream(front=xl_head(config, **head))
    s.config = config if head.get("octets") != 0 else None
    return (write or (lambda it: closed(it.libxc("hvm", sound).emulators())))(s)


def xl_accepted():
    yield "hvm", good(xl_stream(), framing="xl")
    yield "pv", good(xl_stream(write=lambda it: closed(it.libxc("pv", sound))), framing="xl")
    yield "optional-flags", good(xl_stream(optional=0xFFFFFFFF), framing="xl")
    yield "no-config", good(xl_stream(octets=0), framing="xl")
    yield "config-with-tail", good(xl_stream(tail=b"more"), framing="xl")
    s = xl_stream(write=lambda it: it.libxc("hvm", filled).checkpoint())
    s.more(lambda inner: inner.pages((0, NOTAB, content(0, 4))))
    yield "remus", good(s.checkpoint(1), complete=False, framing="xl")
    for name, case in legacy_cases.for_xl():
        text = b"name = 'golden'\nbuilder = 'hvm'\n"
        state = {**case["state"], "XL_CONFIG_TEXT": digest(text)}
        yield f"legacy-{name}", {**case, "octets": xl_head(text, flags=0) + case["octets"], "framing": "xl",
                                 "state": dict(sorted(state.items()))}


def xl_refused():
    whole = bytes(xl_stream().out)

    def refused(reason, octets, **options):
        return {"octets": octets, "status": "reject", "reason": reason, "from": 0, "number": 0,
                "options": options}

    yield "byte-order", refused("byte-order", bytes(xl_stream(order=0x04030201).out))
    yield "mandatory-flag", refused("flags", bytes(xl_stream(flags=7).out))
    yield "config-too-long", refused("truncated", bytes(xl_stream(config_octets=len(CONFIG) + 1).out))
    yield "config-length-ffffffff", refused("truncated", bytes(xl_stream(config_octets=0xFFFFFFFF).out))
    yield "optional-length-huge", refused("length", xl_head(octets=0xFFFFFFFF))
    yield "optional-shorter-than-length", refused("truncated", xl_head(octets=3) + bytes(64))
    for octets in (32, 40, 47, 50, 60):
        yield f"cut-at-{octets}", refused("truncated", whole[:octets], framing="xl")
    yield "says-libxl-but-is-libxc", refused("ident", xl_head(flags=3) + bytes(sound().out))


def cases():
    for folder, group in (("libxl", libxl_accepted), ("libxl-remus", libxl_remus),
                          ("libxl-bad", libxl_refused), ("xl", xl_accepted), ("xl-bad", xl_refused)):
        for name, case in group():
            yield f"{folder}/{name}", case
