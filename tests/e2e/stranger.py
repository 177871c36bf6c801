"""stranger — speaks to a receiver's socket as nobody should: stranger.py ADDRESS KIND [NAME LINEAGE SESSION [UUID SPEC]]

Sends what KIND names, then reads until the connection is closed. Prints the verdict of a HELLO_ACK,
or "closed". Exit 1 when the other side keeps the connection for longer than 20 seconds."""
import os
import socket
import struct
import sys

HELLO, HELLO_ACK, PAGES, ACK = 0x52500010, 0x52500011, 0x52500001, 0x52500012
HEADERS = struct.pack(">QIIHHI", 2**64 - 1, 0x58454E46, 3, 0, 0, 0) + struct.pack("<IHHII", 2, 12, 0, 4, 17)


def record(kind, body, length=None):
    pad = b"\0" * (-len(body) % 8)
    return struct.pack("<II", kind, len(body) if length is None else length) + body + pad


def hello(name="web2", lineage=7, session=1, version=1, pages=4096, uuid=b"\1" * 16, spec=None):
    spec = (spec or f"sim:{name}?mib=16").encode()
    fixed = struct.pack("<II9Q", version, 1, lineage, 0, session, 0, pages, 25_000_000, 100_000_000,
                        1_000_000_000, 1)
    body = fixed + uuid + struct.pack("<HH12x", len(name), len(spec)) + name.encode() + spec
    return HEADERS + record(HELLO, body)


def streams(arguments):
    usual = ["web2", "7", "1", "01" * 16, None]
    name, lineage, session, uuid, spec = arguments + usual[len(arguments):]
    ours = dict(name=name, lineage=int(lineage, 16), session=int(session),
                uuid=bytes.fromhex(uuid.replace("-", "")), spec=spec)
    return {
        "garbage": os.urandom(4096),
        "http": b"GET / HTTP/1.1\r\nHost: web1\r\n\r\n",
        "nothing": b"",
        "truncated": hello()[:77],
        "other-record": HEADERS + record(ACK, b"\0" * 24),
        "huge-hello": HEADERS + record(HELLO, b"", 0xFFFFFFFF),
        "nul-name": hello("we\0b"),
        "path-name": hello("../../etc"),
        "version": hello(version=2),
        "shape": hello(pages=5000),
        "domain": hello(**{**ours, "session": 1000000}),
        "old-session": hello(**ours),
        "huge-record": hello("web3") + record(PAGES, b"", 0xFFFFFFFF),
        "replayed-ack": hello("web3") + record(ACK, struct.pack("<QQQ", 1, 1, 0)),
        "pages-too-early": hello("web3") + record(PAGES, b"\0" * 64),
    }


def connect(address):
    kind, place = address.split(":", 1)
    if kind == "unix":
        s = socket.socket(socket.AF_UNIX)
        s.connect(place)
        return s
    host, port = place.rsplit(":", 1)
    return socket.create_connection((host, int(port)))


def main():
    s = connect(sys.argv[1])
    s.settimeout(20)
    got = b""
    try:
        s.sendall(streams(sys.argv[3:])[sys.argv[2]])
        if sys.argv[2] in ("nothing", "truncated"):
            s.shutdown(socket.SHUT_WR)
        while part := s.recv(65536):
            got += part
    except (ConnectionResetError, BrokenPipeError):
        pass
    if len(got) >= 64 and struct.unpack_from("<I", got)[0] == HELLO_ACK:
        print("verdict", struct.unpack_from("<I", got, 8 + 40)[0])
    else:
        print("closed")


main()
