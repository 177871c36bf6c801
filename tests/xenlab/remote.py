"""remote — runs commands in a host of the lab; the other side is agent.py, which says how."""

import json
import os
import select
import socket
import struct
import subprocess
import sys

PORT = 7000
CHUNK = 65536


class Lost(Exception):
    """The host went away before the command had ended."""


class Remote:
    """One command in a host, as it runs. `connection` is a socket to the agent."""

    def __init__(self, connection, argv, tty=False, stay=False):
        self.connection = connection
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # A host without power says nothing any more.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 10)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 60000)
        connection.sendall(json.dumps({"argv": argv, "tty": tty, "stay": stay}).encode() + b"\n")

    def exactly(self, length):
        got = bytearray()
        while len(got) < length:
            try:
                more = self.connection.recv(length - len(got))
            except OSError as error:
                raise Lost(str(error)) from error
            if not more:
                raise Lost("the connection to the agent was closed")
            got += more
        return bytes(got)

    def send(self, body):
        """To its standard input; nothing means its end."""
        self.connection.sendall(b"i" + struct.pack(">I", len(body)) + body)

    def next(self):
        """(b"o" or b"e", output), or (b"x", exit status) as the last."""
        head = self.exactly(5)
        body = self.exactly(struct.unpack(">I", head[1:])[0])
        return (b"x", struct.unpack(">i", body)[0]) if head[:1] == b"x" else (head[:1], body)

    def finish(self, stdin=b"", on_output=None):
        """A subprocess.CompletedProcess. What is sent is small or read as it comes."""
        parts = {b"o": [], b"e": []}
        left = memoryview(stdin)
        writing = [self.connection]
        while True:
            readable, writable = select.select([self.connection], writing, [])[:2]
            if writable:
                self.send(bytes(left[:CHUNK]))
                writing = writing if left else []
                left = left[CHUNK:]
            if readable:
                kind, body = self.next()
                if kind == b"x":
                    return subprocess.CompletedProcess([], body, b"".join(parts[b"o"]), b"".join(parts[b"e"]))
                parts[kind].append(body)
                if on_output:
                    on_output(kind, body)

    def follow(self, stdin=True):
        """Joined to this process's own streams; returns the exit status."""
        waiting = [self.connection] + ([0] if stdin else [])
        if not stdin:
            self.send(b"")
        while True:
            ready = select.select(waiting, [], [])[0]
            if 0 in ready:
                body = os.read(0, CHUNK)
                self.send(body)
                if not body:
                    waiting.remove(0)
            if self.connection in ready:
                kind, body = self.next()
                if kind == b"x":
                    return body
                out = sys.stdout.buffer if kind == b"o" else sys.stderr.buffer
                out.write(body)
                out.flush()

    def close(self):
        self.connection.close()
