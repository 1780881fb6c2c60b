# SPDX-License-Identifier: Apache-2.0
"""A client of the shop as a real one should be: it keeps its connections, names every command with
an Idempotency-Key, and asks again with the same key, ever more slowly, while a service is away.
Used by `import`, `demo` and the tests; standard library only."""

import asyncio
import json
import random
import sys
import time
import urllib.parse

ATTEMPT_S_MAX = 30.0  # one attempt; a lost answer is asked for again
PAUSE_S_MIN, PAUSE_S_MAX = 0.05, 2.0
ANSWER_SIZE_MAX = 64 << 20
STAFF = "clerk"  # who is staff and no user of the shop


class Unreachable(Exception):
    """No answer came within the client's patience."""


class Answer:
    def __init__(self, status, headers, body, attempts):
        self.status, self.headers, self.body, self.attempts = status, headers, body, attempts

    def json(self):
        return json.loads(self.body) if self.body else None

    def problem(self):
        """What a problem document (RFC 9457) says, in one line."""
        try:
            told = self.json()
            places = [f"{e.get('pointer', e.get('parameter', ''))}: {e.get('detail', '')}"
                      for e in told.get("errors", [])]
            return "; ".join(filter(None, [told.get("detail") or told.get("title")] + places))
        except (ValueError, AttributeError):
            return self.body[:200].decode("utf-8", "replace")


class Shop:
    """Requests to one address, at most `connections` at once. `async with` it. Whoever a request is made for is
    logged in by `issuer` (issuer.py), which may be None where nobody is."""

    def __init__(self, url, connections=32, patience_s=60.0, issuer=None):
        parts = urllib.parse.urlsplit(url if "//" in url else "http://" + url)
        if parts.scheme != "http" or not parts.hostname:
            raise ValueError(f"expected an address like http://127.0.0.1:8080, found {url!r}")
        self.host, self.port = parts.hostname, parts.port or 80
        self.patience_s, self.issuer = patience_s, issuer
        self.idle = []
        self.room = asyncio.Semaphore(connections)
        self.repeated = 0  # attempts after the first, all requests together
        self.head = f"Host: {self.host}:{self.port}\r\n"

    async def __aenter__(self):
        return self

    async def __aexit__(self, *unused):
        while self.idle:
            self.idle.pop()[1].close()

    async def request(self, method, path, body=None, key=None, headers=(), user=None, staff=False, role=None):
        """The answer of a service, whatever its status below 500; asks again otherwise. `user`: as whom, the id of
        a user, with a `role`; `staff`: as one of the staff; neither: as nobody."""
        lines = [f"{method} {path} HTTP/1.1\r\n", self.head]
        if user is not None or staff:
            token = self.issuer.token(STAFF if user is None else user, *(["staff"] if staff else []), *([role] if role else []))
            lines.append(f"Authorization: Bearer {token}\r\n")
        data = b""
        if body is not None:
            data = json.dumps(body, separators=(",", ":")).encode()
            lines.append(f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n")
        elif method not in ("GET", "DELETE"):
            lines.append("Content-Length: 0\r\n")
        if key is not None:
            lines.append(f"Idempotency-Key: {key}\r\n")
        lines += [f"{name}: {value}\r\n" for name, value in headers]
        message = "".join(lines).encode() + b"\r\n" + data
        may_repeat = key is not None or method in ("GET", "PUT", "DELETE")

        give_up = time.monotonic() + self.patience_s
        attempts, pause = 0, PAUSE_S_MIN
        while True:
            attempts += 1
            status, told, content, why = 0, {}, b"", ""
            try:
                async with self.room:
                    status, told, content = await self._attempt(message)
                if status < 500:
                    return Answer(status, told, content, attempts)
                why = f"{status} {Answer(status, told, content, 0).problem()}"
            except (OSError, EOFError, ValueError, TimeoutError) as error:
                why = str(error) or type(error).__name__
            wait = random.uniform(0, pause)
            if told.get("retry-after", "").isdigit():
                wait = max(wait, min(float(told["retry-after"]), PAUSE_S_MAX))
            if not may_repeat or time.monotonic() + wait > give_up:
                raise Unreachable(f"{method} {path}: {why} (asked {attempts} times)")
            self.repeated += 1
            pause = min(pause * 2, PAUSE_S_MAX)
            await asyncio.sleep(wait)

    async def _attempt(self, message):
        async with asyncio.timeout(ATTEMPT_S_MAX):
            if self.idle:
                reader, writer = self.idle.pop()
            else:
                reader, writer = await asyncio.open_connection(self.host, self.port,
                                                               limit=1 << 20)
            keep = False
            try:
                writer.write(message)
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                status = int(head[0].split(" ", 2)[1])
                headers = {}
                for line in head[1:]:
                    name, colon, value = line.partition(":")
                    if colon:
                        headers[name.lower()] = value.strip()
                body = await self._body(reader, status, headers)
                keep = headers.get("connection", "").lower() != "close"
                return status, headers, body
            finally:
                if keep:
                    self.idle.append((reader, writer))
                else:
                    writer.close()

    @staticmethod
    async def _body(reader, status, headers):
        if status in (204, 304):
            return b""
        if headers.get("transfer-encoding", "").lower() != "chunked":
            length = int(headers.get("content-length", "0"))
            if length > ANSWER_SIZE_MAX:
                raise ValueError(f"an answer of {length} bytes")
            return await reader.readexactly(length)
        body = b""
        while True:
            size = int((await reader.readuntil(b"\r\n")).split(b";")[0], 16)
            body += (await reader.readexactly(size + 2))[:-2]
            if size == 0:
                return body
            if len(body) > ANSWER_SIZE_MAX:
                raise ValueError("an answer without end")


async def in_parallel(work, items, width):
    """Runs `await work(item)` for all items, `width` at once; the first exception ends it."""
    source = iter(items)

    async def worker():
        for item in source:
            await work(item)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(width):
                group.create_task(worker())
    except BaseExceptionGroup as group:
        raise group.exceptions[0] from None


class Progress:
    """A bar with rate and time left; lines instead, a few of them, where nobody watches."""

    def __init__(self, what, total, unit):
        self.what, self.total, self.unit = what, total, unit
        self.done, self.began = 0, time.monotonic()
        self.watched = sys.stderr.isatty()
        self.every = 0.1 if self.watched else 10.0
        self.shown = self.began

    def step(self):
        self.done += 1
        now = time.monotonic()
        if now - self.shown >= self.every:
            self.shown = now
            self._show(now)

    def _show(self, now):
        spent = max(now - self.began, 1e-9)
        rate = self.done / spent
        left = (self.total - self.done) / rate if rate > 0 else 0
        text = (f"{self.what:<10} {self.done:>6,} of {self.total:,} {self.unit}"
                f"  {rate:,.0f}/s  {left:.0f} s left")
        if self.watched:
            filled = int(24 * self.done / max(self.total, 1))
            bar = "#" * filled + "." * (24 - filled)
            print(f"\r[{bar}] {text}\x1b[K", end="", file=sys.stderr, flush=True)
        else:
            print(text, file=sys.stderr, flush=True)

    def say(self, line):
        """A line that stays, above the bar."""
        if self.watched:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
        print(line, flush=True)

    def end(self):
        """The line that stays."""
        spent = max(time.monotonic() - self.began, 1e-9)
        if self.watched:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
        print(f"{self.what:<10} {self.done:>6,} {self.unit} in {spent:.1f} s"
              f" ({self.done / spent:,.0f}/s)", flush=True)
