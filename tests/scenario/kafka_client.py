# SPDX-License-Identifier: Apache-2.0
"""A client of Kafka's protocol that shares no code with ours: https://kafka.apache.org/protocol. What publishers and
subscribers do besides is done with kcat."""

import pathlib
import re
import socket
import ssl
import struct
import subprocess

ERRORS = {29: "TOPIC_AUTHORIZATION_FAILED", 30: "GROUP_AUTHORIZATION_FAILED", 31: "CLUSTER_AUTHORIZATION_FAILED",
          53: "TRANSACTIONAL_ID_AUTHORIZATION_FAILED", 58: "SASL_AUTHENTICATION_FAILED"}
TOPIC, GROUP, CLUSTER = 2, 3, 4    # kinds of what there are rights to
ALLOW, LITERAL, ANY = 3, 3, 1
ALL, READ, WRITE = 2, 3, 4


class Refused(Exception):
    """What the server says of it."""


def number(size):
    kinds = {1: ">b", 2: ">h", 4: ">i", 8: ">q"}
    return lambda value: struct.pack(kinds[size], value)


i8, i16, i32, i64 = number(1), number(2), number(4), number(8)


def text(value):
    return i16(-1) if value is None else i16(len(value.encode())) + value.encode()


def data(value):
    return i32(len(value)) + value


def many(*parts):
    return i32(len(parts)) + b"".join(parts)


class Answer:
    def __init__(self, body):
        self.body, self.at = body, 0

    def take(self, kind):
        value = struct.unpack_from(kind, self.body, self.at)[0]
        self.at += struct.calcsize(kind)
        return value

    def i8(self):
        return self.take(">b")

    def i16(self):
        return self.take(">h")

    def i32(self):
        return self.take(">i")

    def i64(self):
        return self.take(">q")

    def text(self):
        length = self.i16()
        if length < 0:
            return None
        self.at += length
        return self.body[self.at - length:self.at].decode()

    def many(self, one):
        return [one() for _ in range(self.i32())]

    def judge(self, code):
        if code:
            raise Refused(f"{code} {ERRORS.get(code, '')}")


class Kafka:
    """A connection, as the user of a service's configuration of a bus."""

    def __init__(self, bus, user=None, password=None, port=None, seconds=20):
        self.socket = socket.create_connection((bus["host"], port or bus["port"]), timeout=seconds)
        if "tls" in bus:
            context = ssl.create_default_context(cafile=bus["tls"]["ca"])
            self.socket = context.wrap_socket(self.socket, server_hostname=bus["host"])
        self.number = 0
        name, secret = (bus["user"] if user is None else user), (bus["password"] if password is None else password)
        said = self.ask(17, 1, text("PLAIN"))
        said.judge(said.i16())
        said = self.ask(36, 0, data(f"\0{name}\0{secret}".encode()))
        said.judge(said.i16())

    def bytes(self, count):
        got = b""
        while len(got) < count:
            more = self.socket.recv(count - len(got))
            if not more:
                raise Refused("the connection was closed")
            got += more
        return got

    def ask(self, api, version, body):
        self.number += 1
        self.socket.sendall(data(i16(api) + i16(version) + i32(self.number) + text("test") + body))
        answer = Answer(self.bytes(struct.unpack(">i", self.bytes(4))[0]))
        assert answer.i32() == self.number
        return answer

    def close(self):
        self.socket.close()

    # Each of these asks for one thing, and raises what the server says against it.

    def create_topic(self, name, partitions=8):
        said = self.ask(19, 0, many(text(name) + i32(partitions) + i16(1) + many() + many()) + i32(5000))
        said.judge(said.many(lambda: (said.text(), said.i16()))[0][1])

    def delete_topic(self, name):
        said = self.ask(20, 0, many(text(name)) + i32(5000))
        said.judge(said.many(lambda: (said.text(), said.i16()))[0][1])

    def more_partitions(self, name):
        said = self.ask(37, 0, many(text(name) + i32(16) + i32(-1)) + i32(5000) + i8(0))
        said.i32()
        said.judge(said.many(lambda: (said.text(), said.i16(), said.text()))[0][1])

    def change_topic(self, name):
        said = self.ask(44, 0, many(i8(TOPIC) + text(name) + many(text("retention.ms") + i8(0) + text("1"))) + i8(0))
        said.i32()
        said.judge(said.many(lambda: (said.i16(), said.text(), said.i8(), said.text()))[0][0])

    def replace_settings(self, name):
        said = self.ask(33, 0, many(i8(TOPIC) + text(name) + many(text("retention.ms") + text("1"))) + i8(0))
        said.i32()
        said.judge(said.many(lambda: (said.i16(), said.text(), said.i8(), said.text()))[0][0])

    def change_server(self, name):
        said = self.ask(44, 0, many(i8(CLUSTER) + text(name) + many(text("log.retention.ms") + i8(0) + text("1"))) + i8(0))
        said.i32()
        said.judge(said.many(lambda: (said.i16(), said.text(), said.i8(), said.text()))[0][0])

    def settings_of(self, name):
        said = self.ask(32, 1, many(i8(TOPIC) + text(name) + i32(-1)) + i8(0))
        said.i32()
        said.i32()
        said.judge(said.i16())

    def empty(self, name, partition=0, before=-1):
        said = self.ask(21, 0, many(text(name) + many(i32(partition) + i64(before))) + i32(5000))
        said.i32()
        found = said.many(lambda: (said.text(), said.many(lambda: (said.i32(), said.i64(), said.i16()))))
        said.judge(found[0][1][0][2])

    def ends(self, name):
        said = self.ask(2, 1, i32(-1) + many(text(name) + many(i32(0) + i64(-1))))
        found = said.many(lambda: (said.text(), said.many(lambda: (said.i32(), said.i16(), said.i64(), said.i64()))))
        said.judge(found[0][1][0][1])

    def read(self, name):
        said = self.ask(1, 4, i32(-1) + i32(0) + i32(0) + i32(1 << 20) + i8(0) +
                        many(text(name) + many(i32(0) + i64(0) + i32(1 << 20))))
        said.i32()
        assert said.i32() == 1 and said.text() == name and said.i32() == 1
        said.i32()
        said.judge(said.i16())

    def place(self, group, topic):
        said = self.ask(9, 2, text(group) + many(text(topic) + many(i32(0))))
        found = said.many(lambda: (said.text(), said.many(lambda: (said.i32(), said.i64(), said.text(), said.i16()))))
        said.judge(said.i16() or found[0][1][0][3])

    def move_place(self, group, topic):
        said = self.ask(8, 2, text(group) + i32(-1) + text("") + i64(-1) + many(text(topic) + many(i32(0) + i64(0) + text(None))))
        found = said.many(lambda: (said.text(), said.many(lambda: (said.i32(), said.i16()))))
        said.judge(found[0][1][0][1])

    def forget_place(self, group, topic):
        said = self.ask(47, 0, text(group) + many(text(topic) + many(i32(0))))
        code = said.i16()
        said.i32()
        found = said.many(lambda: (said.text(), said.many(lambda: (said.i32(), said.i16()))))
        said.judge(code or (found[0][1][0][1] if found else 0))

    def join(self, group):
        said = self.ask(11, 0, text(group) + i32(10000) + text("") + text("consumer") + many(text("range") + data(b"")))
        said.judge(said.i16())

    def find_coordinator(self, group):
        said = self.ask(10, 0, text(group))
        said.judge(said.i16())

    def delete_group(self, group):
        said = self.ask(42, 0, many(text(group)))
        said.i32()
        said.judge(said.many(lambda: (said.text(), said.i16()))[0][1])

    def transact(self, name):
        said = self.ask(22, 0, text(name) + i32(5000))
        said.i32()
        said.judge(said.i16())

    def give_right(self, user):
        said = self.ask(30, 1, many(i8(TOPIC) + text("freehold-shop-users") + i8(LITERAL) + text(f"User:{user}") + text("*") +
                                    i8(ALL) + i8(ALLOW)))
        said.i32()
        said.judge(said.many(lambda: (said.i16(), said.text()))[0][0])

    def take_rights(self, user):
        said = self.ask(31, 1, many(i8(ANY) + text(None) + i8(ANY) + text(f"User:{user}") + text(None) + i8(ANY) + i8(ANY)))
        said.i32()
        assert said.i32() == 1
        said.judge(said.i16())

    def rights(self, user):
        """{(kind, name, operation)} that the user is allowed."""
        said = self.ask(29, 1, i8(ANY) + text(None) + i8(ANY) + text(f"User:{user}") + text(None) + i8(ANY) + i8(ANY))
        said.i32()
        code = said.i16()
        said.text()
        said.judge(code)
        found = said.many(lambda: (said.i8(), said.text(), said.i8(), said.many(
            lambda: (said.text(), said.text(), said.i8(), said.i8()))))
        assert all((pattern, host, kind) == (LITERAL, "*", ALLOW) for _, _, pattern, those in found
                   for _, host, _, kind in those)
        return {(kind, name, operation) for kind, name, _, those in found for _, _, operation, _ in those}

    def groups(self):
        said = self.ask(16, 0, b"")
        said.judge(said.i16())
        return said.many(lambda: (said.text(), said.text()))

    def topics(self):
        """The names of all that it is let see."""
        said = self.ask(3, 1, i32(-1))
        said.many(lambda: (said.i32(), said.text(), said.i32(), said.text()))
        said.i32()
        return {name for _, name, _, _ in said.many(lambda: (said.i16(), said.text(), said.i8(), said.many(
            lambda: (said.i16(), said.i32(), said.i32(), said.many(said.i32), said.many(said.i32)))))}


def kcat(folder, bus, *arguments, given=""):
    """What kcat says, as the user of a configuration of a bus; its password in a file."""
    file = pathlib.Path(folder) / "kcat.conf"
    file.touch(0o600)
    links = f"sasl_ssl\nssl.ca.location={bus['tls']['ca']}" if "tls" in bus else "sasl_plaintext"
    file.write_text(f"bootstrap.servers={bus['host']}:{bus['port']}\nsecurity.protocol={links}\nsasl.mechanisms=PLAIN\n"
                    f"sasl.username={bus['user']}\nsasl.password={bus['password']}\nlog_level=3\n")
    done = subprocess.run(["kcat", "-F", file, *arguments], input=given, capture_output=True, text=True, timeout=60, check=False)
    refused = re.search(r"Broker: (\w+ authorization failed)", done.stderr)
    if refused:
        raise Refused(refused.group(1))
    assert done.returncode == 0, done
    return done.stdout
