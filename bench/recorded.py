# SPDX-License-Identifier: Apache-2.0
"""What a service sends to a server, written down on the way: a relay for a connection at a time, which takes the bytes
apart into requests (of HTTP) or messages (of PostgreSQL). bench/resend and bench/resend_postgresql send them again."""

import collections
import contextlib
import socket
import struct
import threading

from common import Failed

PART = 1 << 16

Request = collections.namedtuple("Request", "method path headers body")


def take_request(data):
    """The first one in `data`, and what is behind it; None: it is not whole yet."""
    head, there, rest = bytes(data).partition(b"\r\n\r\n")
    if not there:
        return None
    first, *lines = head.decode("latin-1").split("\r\n")
    method, path, _ = first.split(" ", 2)
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if "transfer-encoding" in headers:
        raise Failed(f"{method} {path}: a body of unknown length can't be written down")
    length = int(headers.get("content-length", 0))
    return (Request(method, path, headers, rest[:length]), rest[length:]) if len(rest) >= length else None


Message = collections.namedtuple("Message", "kind bytes")


NO_STARTUP = (80877103, 80877104)  # may TLS, or GSS, be spoken? What comes next is asked for again
OF_CONNECTIONS = ("", "p", "X")


class Messages:
    """A client's of PostgreSQL."""

    def __init__(self):
        self.begun = False

    def take(self, data):
        head = 1 if self.begun else 0  # the first message has no type
        if len(data) < head + 4:
            return None
        length = head + struct.unpack_from(">I", data, head)[0]
        if len(data) < length:
            return None
        kind = chr(data[0]) if self.begun else ""
        self.begun = self.begun or struct.unpack_from(">I", data, 4)[0] not in NO_STARTUP
        return Message(kind, bytes(data[:length])), data[length:]


class Recorder:
    """Listens at `port` for what is for `host`:`to`. `taken`: everything so far, in the order in which it came whole."""

    def __init__(self, host, to, takes):
        """`takes`: makes, for a connection, what takes the next one of its bytes, as take_request does."""
        self.to, self.takes, self.taken = (host, to), takes, []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.failure = None
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):  # closed
            while True:
                client, _ = self.listener.accept()
                server = socket.create_connection(self.to)
                for one in (client, server):
                    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=self.pump, args=(client, server, self.takes()), daemon=True).start()
                threading.Thread(target=self.pump, args=(server, client, None), daemon=True).start()

    def pump(self, source, target, take):
        data = b""
        with contextlib.suppress(OSError):
            while part := source.recv(PART):
                if take:
                    data = self.note(take, data + part)
                target.sendall(part)
        for one in (source, target):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def note(self, take, data):
        """Before it is sent on: whoever has its answer finds it here."""
        try:
            while data and (found := take(data)):
                self.taken.append(found[0])
                data = found[1]
        except (ValueError, Failed) as error:
            self.failure = error
        return data

    def close(self):
        self.listener.close()
        if self.failure:
            raise Failed(f"what went to the server could not be written down: {self.failure}")


def by_http(host, to):
    return Recorder(host, to, lambda: take_request)


def by_postgresql(host, to):
    return Recorder(host, to, lambda: Messages().take)


# ---- Pages to be sent again ------------------------------------------------------------------------

def write_page(file, data, measured=True, answers=1):
    """As bench/resend.h has it."""
    file.write(struct.pack("=IIQ", measured, answers, len(data)) + data)


def write_requests(path, requests, port, path_of):
    """`path_of`: where a request goes now, by where it went. The body is the same, byte by byte."""
    with open(path, "wb") as file:
        for request in requests:
            kept = "".join(f"{name}: {request.headers[name]}\r\n" for name in ("accept", "content-type", "authorization")
                           if name in request.headers)
            head = (f"{request.method} {path_of(request.path)} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{kept}"
                    f"Content-Length: {len(request.body)}\r\n\r\n")
            write_page(file, head.encode("latin-1") + request.body)


def transactions(messages):
    """Of a client's messages those of each transaction, up to its end, and what stands before it."""
    parts, part = [], []
    for message in messages:
        if message.kind not in OF_CONNECTIONS:
            part.append(message)
        if message.kind == "Q" and message.bytes.endswith((b"COMMIT\0", b"ROLLBACK\0")):
            parts.append(part)
            part = []
    return [*parts, part]


def write_transactions(path, parts, is_page):
    with open(path, "wb") as file:
        for part in parts:
            if part:
                write_page(file, b"".join(message.bytes for message in part), is_page(part),
                           sum(message.kind in "QS" for message in part))
