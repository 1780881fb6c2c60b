# SPDX-License-Identifier: Apache-2.0
"""Requests in lockstep: one on each of a fixed number of connections, then all their answers, then the next round. So two
runs ask a service for the same in the same order, and what it does can be counted."""

import contextlib
import os
import pathlib
import signal
import socket
import time

from common import PATIENCE_S, Failed


def request(method, path, body="", *headers):
    """The bytes of one."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", *headers]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", body]).encode()


class Connection:
    def __init__(self, address):
        host, _, port = address.partition(":")
        self.socket = socket.create_connection((host, int(port)), PATIENCE_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.answers = self.socket.makefile("rb")

    def answered(self):
        """Reads one answer; anything but a 2xx is a failure: it would be cheaper."""
        status = self.answers.readline()
        length = 0
        while (line := self.answers.readline().strip()):
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        body = self.answers.read(length)
        if not status.startswith(b"HTTP/1.1 2"):
            raise Failed(f"answered {status.decode().strip() or 'nothing'}: {body[:200].decode()}")

    def close(self):
        self.answers.close()
        self.socket.close()


def is_stopped(pid):
    """T, or t under strace; a thread that waits for something is in neither."""
    return all(stat.read_text().rpartition(") ")[2][0] in "Tt" for stat in pathlib.Path(f"/proc/{pid}/task").glob("*/stat"))


@contextlib.contextmanager
def held(pid):
    """The process does nothing meanwhile, and what reaches it is there at once when it goes on."""
    os.kill(pid, signal.SIGSTOP)
    try:
        deadline = time.monotonic() + PATIENCE_S
        while not is_stopped(pid):
            if time.monotonic() > deadline:
                raise Failed(f"process {pid} does not stop")
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


class Lockstep:
    def __init__(self, address, connections):
        self.connections = [Connection(address) for _ in range(connections)]

    def run(self, rounds, requests, pid):
        """`requests`: an iterator of their bytes. `pid`: the service's; with several connections it is held while they send."""
        for _ in range(rounds):
            with held(pid) if len(self.connections) > 1 else contextlib.nullcontext():
                for connection in self.connections:
                    connection.socket.sendall(next(requests))
            for connection in self.connections:
                connection.answered()

    def close(self):
        for connection in self.connections:
            connection.close()
