# SPDX-License-Identifier: Apache-2.0
"""What is sent on a link, message by message, for each protocol: enough of its framing to know where a message begins
and ends and what it is about, and no values.

A conversation belongs to one connection. `client(data)` and `server(data)` take bytes as they come and give back whole
messages, (bytes, units): the units name what the message asks for, statement by statement, so that two messages that
request the same have the same units, whoever sends them. A piece that belongs to the message before it (most of a
database's answers) has None for units. What a server sends unsolicited has units, too."""

import hashlib
import re
import struct

UNIT_LENGTH_MAX = 110
BEGINNINGS, ENDINGS = ("BEGIN", "START TRANSACTION"), ("COMMIT", "ROLLBACK")


def unit(text):
    """A statement without its values, short enough for a line; what is cut off is represented by its checksum, but an
    end of the transaction after it stays."""
    text = re.sub(r"'(?:[^']|'')*'", "'?'", " ".join(text.split()))
    text = re.sub(r"\b[0-9a-f]{32}\b|\b\d+\b|(?<=_)\d+\b", "0", text)
    text = re.sub(r"((?:\$0|\?|'\?')(?:, ?(?:\$0|\?|'\?'))+)", lambda found: found[0][:2].rstrip(",") + "...", text)
    text = re.sub(r"(\([^()]*\))(?:, ?\1)+", r"\1...", text)
    if len(text) <= UNIT_LENGTH_MAX:
        return text
    told = hashlib.sha1(text.encode()).hexdigest()[:8] + next((f";{end}" for end in ENDINGS if text.endswith(f";{end}")), "")
    return f"{text[:UNIT_LENGTH_MAX - 5 - len(told)]} ... {told}"


def without_runs(units):
    """The same several times in a row counts once: how many share a message is accidental."""
    return tuple(one for i, one in enumerate(units) if i == 0 or units[i - 1] != one)


class Conversation:
    always_within = False  # after an end the next transaction has begun, implicitly

    def __init__(self):
        self.from_client, self.from_server = b"", b""
        self.within, self.begins = None, False  # what the transaction under way began with

    def placed(self, units):
        """The units, after what their transaction began with where that was in an earlier message: a COMMIT is
        identified by what it commits."""
        units = [one for one in units if not one.startswith("(prepare)")] or list(units)
        told = []
        if self.within and not units[0].startswith(BEGINNINGS):
            told = [f"in: {self.within}"]
        for one in units:
            if one.startswith(BEGINNINGS):
                self.within, self.begins = None, True
            elif self.begins and not one.startswith("("):
                self.within, self.begins = one, False
            elif one.endswith(ENDINGS):
                self.within, self.begins = None, self.always_within
        return without_runs(told + units)

    def client(self, data):
        self.from_client += data
        found = []
        while (cut := self.client_message()) is not None:
            length, units = cut
            found.append((self.from_client[:length], units))
            self.from_client = self.from_client[length:]
        return found

    def server(self, data):
        self.from_server += data
        found = []
        while (cut := self.server_message()) is not None:
            length, units = cut
            found.append((self.from_server[:length], units))
            self.from_server = self.from_server[length:]
        return found

    def client_message(self):
        """(length, units) of the whole message that from_client begins with, or None."""
        raise NotImplementedError

    def server_message(self):
        return (len(self.from_server), None) if self.from_server else None


class PostgreSQL(Conversation):
    """Frames up to what makes the server answer: a Sync, a Flush, a Query."""

    STARTUP, TLS, GSS, CANCEL = 196608, 80877103, 80877104, 80877102

    def __init__(self):
        super().__init__()
        self.begun, self.single_byte, self.statements = False, False, {}

    def startup(self):
        if len(self.from_client) < 8:
            return None
        length, code = struct.unpack_from("!II", self.from_client)
        if len(self.from_client) < length:
            return None
        self.single_byte = code in (self.TLS, self.GSS)
        self.begun = code == self.STARTUP
        return length, ({self.STARTUP: "(startup)", self.CANCEL: "(cancel)"}.get(code, "(encryption?)"),)

    def client_message(self):
        if not self.begun:
            return self.startup()
        at, units, data = 0, [], self.from_client
        prepared = set()
        while len(data) >= at + 5:
            kind, length = data[at:at + 1], struct.unpack_from("!I", data, at + 1)[0]
            if len(data) < at + 1 + length:
                return None
            body = data[at + 5:at + 1 + length]
            at += 1 + length
            if kind == b"P":
                name, text, _ = body.split(b"\0", 2)
                self.statements[name] = unit(text.decode("utf-8", "replace"))
                prepared.add(name)
            elif kind == b"B":
                name = body.split(b"\0", 2)[1]
                prepared.discard(name)
                units.append(self.statements.get(name, "(unknown)"))
            elif kind == b"Q":
                units.append(unit(body[:-1].decode("utf-8", "replace")))
            elif kind == b"p":
                units.append("(password)")
            elif kind == b"X":
                units.append("(end)")
            if kind in (b"S", b"H", b"Q", b"p", b"X"):
                units += [f"(prepare) {self.statements[name]}" for name in sorted(prepared)]
                return at, self.placed(units or ["(sync)" if kind == b"S" else "(flush)"])
        return None

    def server_message(self):
        data = self.from_server
        if self.single_byte and data:
            self.single_byte = False
            return 1, None
        at = 0
        while len(data) >= at + 5:
            length = struct.unpack_from("!I", data, at + 1)[0]
            if len(data) < at + 1 + length:
                break
            if data[at:at + 1] == b"A":
                return (at, None) if at else (1 + length, ("(notification)",))
            at += 1 + length
        return (at, None) if at else None


class MariaDB(Conversation):
    """A command is one packet, numbered 0 (or several, when it is large); the login's are numbered on. With autocommit off
    any statement begins a transaction; with autocommit on none does, but for an explicit beginning."""

    AUTOCOMMIT = re.compile(rb"SET autocommit = ([01])")
    QUIT, QUERY, PING, PREPARE, EXECUTE, CLOSE = 0x01, 0x03, 0x0e, 0x16, 0x17, 0x19

    def __init__(self):
        super().__init__()
        self.preparing, self.statements, self.last = [], {}, None

    def client_message(self):
        data = self.from_client
        if len(data) < 5:
            return None
        length, number = int.from_bytes(data[:3], "little"), data[3]
        if len(data) < 4 + length:
            return None
        if number:
            return 4 + length, ("(login)",)
        command, body = data[4], data[5:4 + length]
        if command == self.QUERY and (setting := self.AUTOCOMMIT.search(body)):
            self.always_within = self.begins = setting.group(1) == b"0"
            return 4 + length, (unit(body.decode("utf-8", "replace")),)
        if command in (self.QUERY, self.PREPARE):
            text = unit(body.decode("utf-8", "replace"))
            if command == self.QUERY:
                return 4 + length, self.placed([text])
            self.preparing.append(text)
            return 4 + length, (f"(prepare) {text}",)
        if command == self.EXECUTE:
            statement = int.from_bytes(body[:4], "little")
            if statement == 0xffffffff:  # the one that was prepared last
                return 4 + length, self.placed([self.last or "(unknown)"])
            return 4 + length, self.placed([self.statements.get(statement, "(unknown)")])
        return 4 + length, ({self.QUIT: "(end)", self.PING: "(ping)", self.CLOSE: "(close)"}.get(command, f"({command})"),)

    def server(self, data):
        if self.preparing:
            self.from_server += data
            if len(self.from_server) >= 9:
                whole, self.from_server = self.from_server, b""
                text = self.preparing.pop(0)
                if whole[4] == 0:
                    self.statements[int.from_bytes(whole[5:9], "little")] = text
                    self.last = text
                return [(whole, None)]
            return []
        return [(data, None)]


class MongoDB(Conversation):
    """OP_MSG: a command and, mostly, the collection that it is about. Older messages are handshakes."""

    OP_MSG = 2013
    FIXED = {1: 8, 7: 12, 8: 1, 9: 8, 10: 0, 16: 4, 17: 8, 18: 8, 19: 16, 255: 0, 127: 0}

    def __init__(self):
        super().__init__()
        self.end = 0

    def client_message(self):
        data = self.from_client
        if len(data) < 16:
            return None
        length, _, _, code = struct.unpack_from("<iiii", data)
        if len(data) < length:
            return None
        if code != self.OP_MSG:
            return length, ("(greeting)",)
        command, told = self.command(data[:length])
        if command.lower() in ("hello", "ismaster"):
            return length, ("(greeting)",)
        return length, (f"{command} {told}".strip(),)

    def command(self, data):
        """The first element of the body: its name, and its value if that is a text."""
        at = 20
        while at < len(data) and data[at] == 1:  # a sequence of documents before the body
            at += 1 + struct.unpack_from("<i", data, at + 1)[0]
        at += 1 + 4
        kind, name_end = data[at], data.index(b"\0", at + 1)
        name = data[at + 1:name_end].decode()
        if kind != 2:
            return name, ""
        length = struct.unpack_from("<i", data, name_end + 1)[0]
        return name, data[name_end + 5:name_end + 4 + length].decode("utf-8", "replace")


class Redis(Conversation):
    """Commands are arrays of texts; each is a message. A key is identified by what follows the store's name."""

    def client_message(self):
        data = self.from_client
        if not data.startswith(b"*") or b"\r\n" not in data:
            return None
        at = data.index(b"\r\n") + 2
        words = []
        for _ in range(int(data[1:at - 2])):
            end = data.find(b"\r\n", at)
            if end < 0:
                return None
            length = int(data[at + 1:end])
            if len(data) < end + 2 + length + 2:
                return None
            words.append(data[end + 2:end + 2 + length])
            at = end + 2 + length + 2
        return at, self.told(words)

    def told(self, words):
        name = words[0].decode().upper()
        if name == "EVALSHA":
            return self.scripted(words)
        for word in words[1:]:
            parts = word.split(b":")
            if len(parts) > 2 and parts[1] in (b"kv", b"fh"):
                kind = b":".join(parts[1:3]) if parts[1] == b"fh" else parts[1]
                return (f"{name} {re.sub(r'[0-9]+', '0', kind.decode('utf-8', 'replace'))}",)
        return (name,)


    @staticmethod
    def scripted(words):
        """A script's mode, with each kind of record that its units of work read or change: which of them share a call
        is accidental. Keys of the service's own are kv."""
        kinds = {found.decode() for word in words[4:] for found in re.findall(rb":(fh:[a-z_]+|kv)", word[:200])}
        mode = words[3].decode("utf-8", "replace")
        return tuple(f"script: {mode} {kind}" for kind in sorted(kinds)) or (f"script: {mode}",)


class Http(Conversation):
    """Requests and answers by Content-Length or in chunks; an answer is identified by its status and what it
    answers."""

    def __init__(self):
        super().__init__()
        self.asked = []

    @staticmethod
    def whole(data):
        """(length, first line, headers) of a whole message, or None."""
        end = data.find(b"\r\n\r\n")
        if end < 0:
            return None
        first, *lines = data[:end].decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        at = end + 4
        if headers.get("transfer-encoding", "").lower() == "chunked":
            while True:
                line = data.find(b"\r\n", at)
                if line < 0:
                    return None
                size = int(data[at:line].split(b";")[0], 16)
                at = line + 2 + size + 2
                if len(data) < at:
                    return None
                if size == 0:
                    return at, first, headers
        at += int(headers.get("content-length", "0"))
        return (at, first, headers) if len(data) >= at else None

    def client_message(self):
        found = self.whole(self.from_client)
        if not found:
            return None
        length, first, headers = found
        method, target, _ = first.split(" ", 2)
        path = re.sub(r"/[0-9]+(?=/|$)", "/{name}", target.partition("?")[0])
        if "freehold-undo" in headers:
            method = "undo: " + method
        self.asked.append(f"{method} {path}")
        return length, (self.asked[-1],)

    def server_message(self):
        found = self.whole(self.from_server)
        if not found:
            return None
        length, first, _ = found
        status = first.split(" ", 2)[1]
        if status == "100":
            return length, ("100",)
        return length, (f"{status} to {self.asked.pop(0) if self.asked else '?'}",)


PROTOCOLS = {"postgresql": PostgreSQL, "mariadb": MariaDB, "mongodb": MongoDB, "redis": Redis, "http": Http}
