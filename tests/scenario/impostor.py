# SPDX-License-Identifier: Apache-2.0
"""Hostile database servers: each says as much of its protocol as it takes to be told a password, and remembers all that
it is told. They stand where a server was that has just died, on its port or at its socket's path."""

import contextlib
import os
import pathlib
import re
import socket
import struct
import subprocess
import threading

NOBODY = 65534
PATIENCE_S = 60


class Gone(Exception):
    """The client has hung up."""


class Link:
    """One connection; `told` is everything that the client has sent."""

    def __init__(self, link):
        self.link, self.told = link, b""
        link.settimeout(PATIENCE_S)

    def send(self, data):
        with contextlib.suppress(OSError):
            self.link.sendall(data)

    def read(self, size):
        data = b""
        while len(data) < size:
            try:
                more = self.link.recv(size - len(data))
            except OSError:
                more = b""
            if not more:
                raise Gone
            self.told += more
            data += more
        return data

    def line(self):
        data = b""
        while not data.endswith(b"\n"):
            data += self.read(1)
        return data

    def answer(self):
        """What is sent next, whatever it is; then there was enough."""
        self.read(1)
        with contextlib.suppress(OSError):
            self.told += self.link.recv(65536)


class Impostor:
    """Serves until it is closed. `how` is one of its class's `ways`."""

    ways = ("asks",)

    def __init__(self, how=None, path=None):
        self.how, self.links, self.ended, self.lock = how or self.ways[0], [], 0, threading.Lock()
        self.socket = self.listen_at(path) if path else socket.create_server(("127.0.0.1", 0))
        self.port = None if path else self.socket.getsockname()[1]
        self.path = path
        threading.Thread(target=self.serve, daemon=True).start()

    @staticmethod
    def listen_at(path):
        """As root, as another user: the kernel tells clients who began to listen."""
        listener = socket.socket(socket.AF_UNIX)
        if os.geteuid() == 0:
            os.seteuid(NOBODY)
        try:
            listener.bind(str(path))
            listener.listen()
        finally:
            if os.getuid() == 0:
                os.seteuid(0)
        os.chmod(path, 0o777)
        return listener

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                link, _ = self.socket.accept()
                threading.Thread(target=self.converse, args=[Link(link)], daemon=True).start()

    def converse(self, link):
        with self.lock:
            self.links.append(link)
        with contextlib.suppress(Gone):
            self.talk(link)
        link.link.close()
        with self.lock:
            self.ended += 1

    def talk(self, link):
        raise NotImplementedError

    def told(self):
        with self.lock:
            return b"\n".join(link.told for link in self.links)

    def close(self):
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        if self.path:
            pathlib.Path(self.path).unlink(missing_ok=True)


# ---- PostgreSQL ------------------------------------------------------------------------------------------------


def request(code, data=b""):
    return b"R" + struct.pack(">II", 8 + len(data), code) + data


class Postgres(Impostor):
    ways = ("cleartext", "md5", "cleartext after SCRAM has begun", "cleartext a moment later", "cleartext byte by byte",
            "nothing")

    def talk(self, link):
        scram = request(10, b"SCRAM-SHA-256\0\0")
        length, = struct.unpack(">I", link.read(4))
        link.read(length - 4)
        if self.how == "cleartext":
            link.send(request(3))
        elif self.how == "md5":
            link.send(request(5, b"salt"))
        elif self.how == "cleartext after SCRAM has begun":
            link.send(scram + request(3))
        elif self.how == "cleartext a moment later":
            link.send(scram)
            link.read(1)
            length, = struct.unpack(">I", link.read(4))
            link.read(length - 4)
            link.send(request(3))
        elif self.how == "cleartext byte by byte":
            link.link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for byte in request(3):
                link.send(bytes([byte]))
        else:  # lets everybody in, to be told what the store is asked
            link.send(request(0) + b"Z" + struct.pack(">I", 5) + b"I")
        link.answer()

    def breach(self, password):
        """What it must not have been told."""
        told = self.told()
        found = [password.encode() in told and "the password",
                 re.search(rb"md5[0-9a-f]{32}", told) and "its MD5 hash",
                 self.how == "nothing" and b"SET " in told and "what the store is asked"]
        return [one for one in found if one]


# ---- MariaDB ---------------------------------------------------------------------------------------------------


class Maria(Impostor):
    ways = ("mysql_clear_password", "dialog", "caching_sha2_password", "sha256_password", "mysql_old_password",
            "at once: mysql_clear_password")
    file = None  # of the client's, that it is asked for once it has logged in

    def packet(self, link):
        head = link.read(4)
        return head[3], link.read(int.from_bytes(head[:3], "little"))

    @staticmethod
    def send_packet(link, number, data):
        link.send(len(data).to_bytes(3, "little") + bytes([number & 255]) + data)

    def talk(self, link):
        plugin = self.how.rsplit(" ", 1)[-1]
        first = plugin if self.how.startswith("at once") else "mysql_native_password"
        salt = b"12345678" + b"abcdefghijkl"
        capabilities = 0x00ffffff & ~0x0800 & ~0x0020  # no TLS, no compression
        greeting = (b"\x0a" + b"10.11.19-MariaDB\0" + struct.pack("<I", 7) + salt[:8] + b"\0" +
                    struct.pack("<HBHH", capabilities & 0xffff, 45, 2, capabilities >> 16) + bytes([21]) + bytes(10) +
                    salt[8:] + b"\0" + first.encode() + b"\0")
        self.send_packet(link, 0, greeting)
        number, _ = self.packet(link)
        if self.file:
            self.ask_for_file(link, number)
        if not self.how.startswith("at once"):
            if plugin == "mysql_old_password":
                self.send_packet(link, number + 1, b"\xfe")
            else:
                data = b"\x04Password: " if plugin == "dialog" else salt + b"\0"
                self.send_packet(link, number + 1, b"\xfe" + plugin.encode() + b"\0" + data)
            number, answer = self.packet(link)
            if plugin in ("caching_sha2_password", "sha256_password"):
                self.take_by_key(link, number, answer)
        link.answer()

    def ask_for_file(self, link, number):
        """As the answer to every statement: LOAD DATA LOCAL INFILE, which the server decides on."""
        done = b"\0\0\0\x02\0\0\0"
        self.send_packet(link, number + 1, done)
        while True:
            number, _ = self.packet(link)
            self.send_packet(link, number + 1, b"\xfb" + str(self.file).encode())
            number, data = self.packet(link)
            while data:
                number, data = self.packet(link)
            self.send_packet(link, number + 1, done)

    def take_by_key(self, link, number, answer):
        """The password is encrypted with a key that the server itself sends: its own."""
        key = subprocess.run(["openssl", "genrsa", "2048"], capture_output=True, check=True).stdout
        public = subprocess.run(["openssl", "rsa", "-pubout"], input=key, capture_output=True, check=True).stdout
        if answer[:1] not in (b"\x01", b"\x02"):
            self.send_packet(link, number + 1, b"\x01\x04")
            number, _ = self.packet(link)
        self.send_packet(link, number + 1, b"\x01" + public)
        self.packet(link)
        with self.lock:
            self.encrypted = True

    encrypted = False

    def breach(self, password):
        """Whoever answers a refused method at all has told too much."""
        found = [password.encode() in self.told() and "the password",
                 self.encrypted and "the password, encrypted for it"]
        return [one for one in found if one]


# ---- Redis -----------------------------------------------------------------------------------------------------


class Redis(Impostor):
    ways = ("says OK",)

    def talk(self, link):
        while True:
            count = int(link.line()[1:])
            for _ in range(count):
                size = int(link.line()[1:])
                link.read(size + 2)
            link.send(b"+OK\r\n")

    def breach(self, password):
        return ["the password"] if password.encode() in self.told() else []


# ---- MongoDB ---------------------------------------------------------------------------------------------------


def bson(pairs):
    """A document of doubles, int32s, texts, booleans and lists of texts."""
    out = b""
    for name, value in pairs:
        key = name.encode() + b"\0"
        if isinstance(value, bool):
            out += b"\x08" + key + bytes([value])
        elif isinstance(value, int):
            out += b"\x10" + key + struct.pack("<i", value)
        elif isinstance(value, float):
            out += b"\x01" + key + struct.pack("<d", value)
        elif isinstance(value, list):
            out += b"\x04" + key + bson([(str(i), one) for i, one in enumerate(value)])
        else:
            text = value.encode() + b"\0"
            out += b"\x02" + key + struct.pack("<i", len(text)) + text
    return struct.pack("<i", len(out) + 5) + out + b"\0"


class Mongo(Impostor):
    ways = ("PLAIN", "MONGODB-CR", "SCRAM-SHA-1")

    def talk(self, link):
        while True:
            size, number, _, operation = struct.unpack("<iiii", link.read(16))
            link.read(size - 16)
            reply = bson([("isWritablePrimary", True), ("ismaster", True), ("helloOk", True), ("minWireVersion", 0),
                          ("maxWireVersion", 2 if self.how == "MONGODB-CR" else 17), ("maxBsonObjectSize", 16777216),
                          ("maxMessageSizeBytes", 48000000), ("maxWriteBatchSize", 100000),
                          ("saslSupportedMechs", [self.how]), ("nonce", "2375531c32080ae8"), ("ok", 1.0)])
            if operation == 2013:
                body = struct.pack("<i", 0) + b"\0" + reply
            else:  # the old form of replies
                operation, body = 1, struct.pack("<iqii", 8, 0, 0, 1) + reply
            link.send(struct.pack("<iiii", 16 + len(body), 1, number, 1 if operation == 1 else 2013) + body)

    def breach(self, password):
        told = self.told()
        found = [password.encode() in told and "the password", b"PLAIN\0" in told and "PLAIN",
                 b"SCRAM-SHA-1\0" in told and "an older method's proof", b"\x02key\0" in told and "MONGODB-CR's key"]
        return [one for one in found if one]
