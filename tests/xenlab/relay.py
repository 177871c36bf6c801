#!/usr/bin/env python3
"""relay — what ssh is to `xl remus`, without encryption and with room for 1 MiB: standard input and
output joined to a connection.

  relay.py to ADDRESS PORT     what xl runs to reach the other host
  relay.py at PORT COMMAND...  takes one connection, which becomes the command's input and output
"""

import fcntl
import os
import select
import socket
import sys

ROOM = 1 << 20
F_SETPIPE_SZ = 1031


def widen(connection):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, ROOM)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, ROOM)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def go_to(host, port):
    connection = socket.create_connection((host, int(port)))
    widen(connection)
    for pipe in (0, 1):
        fcntl.fcntl(pipe, F_SETPIPE_SZ, ROOM)
    waiting = [0, connection]
    while True:
        ready = select.select(waiting, [], [])[0]
        if 0 in ready and not os.splice(0, connection.fileno(), ROOM):
            waiting.remove(0)
            connection.shutdown(socket.SHUT_WR)
        if connection in ready and not os.splice(connection.fileno(), 1, ROOM):
            return


def serve_at(port, *command):
    listener = socket.create_server(("", int(port)), reuse_port=True)
    print("listening", flush=True)
    connection, _ = listener.accept()
    widen(connection)
    listener.close()
    for own in (0, 1):
        os.dup2(connection.fileno(), own)
    os.execvp(command[0], command)


if __name__ == "__main__":
    {"to": go_to, "at": serve_at}[sys.argv[1]](*sys.argv[2:])
