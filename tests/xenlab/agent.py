#!/usr/bin/env python3
"""agent — runs commands in a host of the lab for whoever is in the lab's network.

One connection is one command. It starts with a line of JSON: {"argv": [...], "tty": false,
"stay": false}; after it both directions are frames of a letter, a length (4 octets, big endian)
and so many octets: i = standard input (empty: its end), o and e = output, x = exit status (of 4
octets; it is the last one). When the connection goes away before that the command and all its
children are killed, unless it was to stay.
"""

import contextlib
import json
import os
import pty
import select
import signal
import socket
import socketserver
import struct
import subprocess

PORT = 7000


def frame(kind, body):
    return kind + struct.pack(">I", len(body)) + body


class Command(socketserver.StreamRequestHandler):
    rbufsize = 0  # what was read ahead would be hidden from select()

    def setup(self):
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def handle(self):
        line = self.rfile.readline()
        if not line:  # only a look whether the host is there
            return
        asked = json.loads(line)
        try:
            self.start(asked)
        except OSError as error:
            self.wfile.write(frame(b"e", f"{asked['argv'][0]}: {error.strerror}\n".encode()))
            self.end(127)
            return
        try:
            self.serve()
        except OSError:
            if not asked.get("stay"):
                os.killpg(self.child.pid, signal.SIGKILL)
            self.child.wait()
            return
        self.end(self.child.wait())

    def end(self, status):
        """A connection that is closed with input unread is reset, and output on its way is lost."""
        with contextlib.suppress(OSError):  # who asked needn't wait for it
            self.wfile.write(frame(b"x", struct.pack(">i", status)))
            self.connection.shutdown(socket.SHUT_WR)
            while self.connection.recv(65536):
                pass

    def start(self, asked):
        if asked.get("tty"):
            terminal, slave = pty.openpty()
            # It starts another process, for whose end it is to wait.
            self.child = subprocess.Popen(
                ["setsid", "-c", "-w"] + asked["argv"], stdin=slave, stdout=slave, stderr=slave, cwd="/root",
                start_new_session=True)
            os.close(slave)
            self.input, self.outputs = os.dup(terminal), {terminal: b"o"}
            return
        self.child = subprocess.Popen(
            asked["argv"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd="/root",
            start_new_session=True, bufsize=0)
        self.input = os.dup(self.child.stdin.fileno())
        self.child.stdin.close()
        self.outputs = {self.child.stdout.fileno(): b"o", self.child.stderr.fileno(): b"e"}

    def serve(self):
        """Until the outputs are at their end, or, where children of the command keep them open,
        until the command itself has ended."""
        ended = os.pidfd_open(self.child.pid)
        waiting, gone = [self.connection, ended, *self.outputs], False
        while self.outputs:
            ready = select.select(waiting, [], [], 0 if gone else None)[0]
            if gone and not any(fd in self.outputs for fd in ready):
                break
            if ended in ready:
                gone = True
                waiting.remove(ended)
            for fd in list(self.outputs):
                if fd in ready and not self.copy_output(fd):
                    waiting.remove(fd)
            if self.connection in ready and not self.copy_input():
                waiting.remove(self.connection)
        os.close(ended)

    def copy_output(self, fd):
        try:
            body = os.read(fd, 65536)
        except OSError:  # a terminal whose other side was closed
            body = b""
        if body:
            self.wfile.write(frame(self.outputs[fd], body))
        else:
            del self.outputs[fd]
        return bool(body)

    def exactly(self, length):
        got = b""
        while len(got) < length:
            more = self.connection.recv(length - len(got))
            if not more:
                raise ConnectionError
            got += more
        return got

    def copy_input(self):
        head = self.exactly(5)
        body = self.exactly(struct.unpack(">I", head[1:])[0])
        if self.input is None:
            return True
        try:
            while body:
                body = body[os.write(self.input, body):]
            if head[1:] == b"\0\0\0\0":
                raise BrokenPipeError
        except OSError:  # the command doesn't want more
            os.close(self.input)
            self.input = None
        return True


class Agent(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 64


if __name__ == "__main__":
    Agent(("", PORT), Command).serve_forever()
