# SPDX-License-Identifier: Apache-2.0
"""A client of NATS that shares no code with ours: https://docs.nats.io/reference/reference-protocols/nats-protocol."""

import json
import socket
import ssl


class Refused(Exception):
    """What the server says of it."""


class Nats:
    """A connection as the user of a service's configuration of a bus."""

    def __init__(self, bus, user=None, password=None, seconds=20):
        self.inbox, self.number = "_INBOX.test", 0
        self.socket = socket.create_connection((bus["host"], bus["port"]), timeout=seconds)
        self.buffer = b""
        assert self.line().startswith("INFO ")
        if "tls" in bus:
            context = ssl.create_default_context(cafile=bus["tls"]["ca"])
            self.socket = context.wrap_socket(self.socket, server_hostname=bus["host"])
        self.send("CONNECT " + json.dumps({
            "verbose": False, "pedantic": False, "headers": True, "no_responders": True,
            "user": bus["user"] if user is None else user,
            "pass": bus["password"] if password is None else password}))
        self.ping()

    def send(self, line, payload=None):
        self.socket.sendall(line.encode() + b"\r\n" + (payload + b"\r\n" if payload is not None else b""))

    def fill(self):
        data = self.socket.recv(1 << 16)
        if not data:
            raise Refused("the connection was closed")
        self.buffer += data

    def line(self):
        while b"\r\n" not in self.buffer:
            self.fill()
        line, self.buffer = self.buffer.split(b"\r\n", 1)
        return line.decode()

    def bytes(self, count):
        while len(self.buffer) < count + 2:
            self.fill()
        data, self.buffer = self.buffer[:count], self.buffer[count + 2:]
        return data

    def until(self, wanted):
        """The payload of the next message, if that is wanted, else None once the server has answered PING."""
        while True:
            words = self.line().split(" ")
            if words[0] == "-ERR":
                raise Refused(" ".join(words[1:]))
            if words[0] == "PING":
                self.send("PONG")
            elif words[0] in ("MSG", "HMSG"):
                data = self.bytes(int(words[-1]))
                if wanted:
                    return data[int(words[-2]) if words[0] == "HMSG" else 0:]
            elif words[0] == "PONG" and not wanted:
                return None

    def ping(self):
        self.send("PING")
        return self.until(False)

    def subscribe(self, subject):
        self.number += 1
        self.send(f"SUB {subject} {self.number}")
        self.ping()

    def publish(self, subject, payload=b"{}"):
        self.send(f"PUB {subject} {len(payload)}", payload)
        self.ping()

    def request(self, subject, body=None):
        """The answer of JetStream; an empty one: nobody listens there."""
        self.number += 1
        reply, payload = f"{self.inbox}.{self.number}", json.dumps(body or {}).encode()
        self.send(f"SUB {reply} {self.number}")
        self.send(f"PUB {subject} {reply} {len(payload)}", payload)
        answer = self.until(True)
        return json.loads(answer) if answer else {}

    def close(self):
        self.socket.close()
