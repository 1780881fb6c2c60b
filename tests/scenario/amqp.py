# SPDX-License-Identifier: Apache-2.0
"""A client of AMQP 0-9-1 that shares no code with ours: https://www.rabbitmq.com/amqp-0-9-1-reference."""

import socket
import ssl
import struct


class Refused(Exception):
    """What the server says of it."""


def short(text):
    data = text.encode()
    return bytes([len(data)]) + data


def long(data):
    return struct.pack(">I", len(data)) + data


NO_TABLE = long(b"")


class Amqp:
    """A connection with a channel, as the user of a service's configuration of a bus."""

    def __init__(self, bus, user=None, password=None, seconds=20):
        plain = socket.create_connection((bus["host"], bus["port"]), timeout=seconds)
        self.socket = ssl.create_default_context(cafile=bus["tls"]["ca"]).wrap_socket(plain, server_hostname=bus["host"])
        self.buffer = b""
        name, secret = (bus["user"] if user is None else user), (bus["password"] if password is None else password)
        self.socket.sendall(b"AMQP\0\0\x09\x01")
        self.answer((10, 10), channel=0)
        self.send(0, 10, 11, NO_TABLE + short("PLAIN") + long(f"\0{name}\0{secret}".encode()) + short("en_US"))
        limits = self.answer((10, 30), channel=0)
        self.send(0, 10, 31, limits[:6] + b"\0\0")
        self.send(0, 10, 40, short("/") + short("") + b"\0")
        self.answer((10, 41), channel=0)
        self.send(1, 20, 10, short(""))
        self.answer((20, 11))

    def send(self, channel, kind, method, arguments):
        self.frame(1, channel, struct.pack(">HH", kind, method) + arguments)

    def frame(self, kind, channel, payload):
        self.socket.sendall(struct.pack(">BHI", kind, channel, len(payload)) + payload + b"\xce")

    def bytes(self, count):
        while len(self.buffer) < count:
            data = self.socket.recv(1 << 16)
            if not data:
                raise Refused("the connection was closed")
            self.buffer += data
        data, self.buffer = self.buffer[:count], self.buffer[count:]
        return data

    def answer(self, *wanted, channel=1):
        """The arguments of one of these methods; a channel or a connection that is closed instead is a refusal."""
        while True:
            kind, on, size = struct.unpack(">BHI", self.bytes(7))
            payload = self.bytes(size + 1)[:-1]
            if kind != 1:
                continue
            method = struct.unpack(">HH", payload[:4])
            if method in ((10, 50), (20, 40)):
                raise Refused(f"{struct.unpack('>H', payload[4:6])[0]} {payload[7:7 + payload[6]].decode()}")
            if on == channel and method in wanted:
                return payload[4:]

    def call(self, kind, method, arguments):
        self.send(1, kind, method, arguments)
        return self.answer((kind, method + 1))

    def declare_exchange(self, name, passive=False, kind="direct"):
        self.call(40, 10, b"\0\0" + short(name) + short(kind) + bytes([1 if passive else 2]) + NO_TABLE)

    def delete_exchange(self, name):
        self.call(40, 20, b"\0\0" + short(name) + b"\0")

    def bind_exchange(self, to, source):
        self.call(40, 30, b"\0\0" + short(to) + short(source) + short("0") + b"\0" + NO_TABLE)

    def declare_queue(self, name):
        self.call(50, 10, b"\0\0" + short(name) + b"\0" + NO_TABLE)

    def bind_queue(self, queue, exchange, key="0"):
        self.call(50, 20, b"\0\0" + short(queue) + short(exchange) + short(key) + b"\0" + NO_TABLE)

    def purge(self, queue):
        self.call(50, 30, b"\0\0" + short(queue) + b"\0")

    def delete_queue(self, queue):
        self.send(1, 50, 40, b"\0\0" + short(queue) + b"\0")
        self.answer((50, 41))

    def get(self, queue):
        self.send(1, 60, 70, b"\0\0" + short(queue) + b"\0")
        self.answer((60, 71), (60, 72))

    def publish(self, exchange, key="0", body=b"{}"):
        self.send(1, 60, 40, b"\0\0" + short(exchange) + short(key) + b"\0")
        self.frame(2, 1, struct.pack(">HHQH", 60, 0, len(body), 0))
        self.frame(3, 1, body)
        self.call(60, 10, struct.pack(">IHB", 0, 1, 0))  # its answer comes after what is said of the message

    def close(self):
        self.socket.close()
