# SPDX-License-Identifier: Apache-2.0
"""Clients: they append, read and begin deals through the gateway, as clumsily as clients are, and record each attempt.

A request with a key is repeated until an answer decides it, some while the first is still under way, some long after,
some never. A request without one is made once. All times are of one monotonic clock."""

import asyncio
import collections
import json
import random
import time

from checker import DEALS, QUIET, History

LISTS, QUIET_LISTS, LENGTH = 48, 12, 40  # lists in use at once; they are left when they have so many values
ATTEMPT_S_MAX, PAUSE_S_MAX = 20.0, 1.0
REMEMBERED = 300  # answered keys that may be asked again
TIMES_MAX = 200   # of one key
DECIDED = {200: "ok", 201: "ok", 202: "ok", 409: "refused"}
DELAYS_MS = (0, 0, 0, 0, 0, 0, 300, 900, 2500, 6500)  # of a deal's take; the last comes after its undo


class Broken(Exception):
    """No whole answer came."""


class Connection:
    """One to the gateway, kept alive; as much of HTTP as that needs."""

    def __init__(self, port):
        self.port, self.reader, self.writer = port, None, None

    def close(self):
        if self.writer:
            self.writer.transport.abort()
        self.reader = self.writer = None

    async def ask(self, method, path, body=None, key=None, seconds=ATTEMPT_S_MAX):
        try:
            async with asyncio.timeout(seconds):
                return await self._ask(method, path, body, key)
        except (OSError, asyncio.IncompleteReadError, TimeoutError, ValueError, asyncio.LimitOverrunError) as error:
            self.close()
            raise Broken(repr(error)) from error
        except BaseException:
            self.close()
            raise

    async def _ask(self, method, path, body, key):
        if not self.writer:
            self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port, limit=1 << 26)
        head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n"
        head += f"Idempotency-Key: {key}\r\n" if key else ""
        data = body or b""
        head += f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n" if body is not None else "\r\n"
        self.writer.write(head.encode() + data)
        told = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in told[1:])}
        content = await self.reader.readexactly(int(headers.get("content-length", "0")))
        if headers.get("connection", "").lower() == "close":
            self.close()
        return int(told[0].split()[1]), content


class Load:
    """`clients` at once, until `over`. What they were answered is in `history`."""

    def __init__(self, port, seed, clients):
        self.port, self.random, self.clients = port, random.Random(seed), clients
        self.history, self.over, self.last = History(), False, time.monotonic()
        self.number, self.next_list = 0, LISTS
        self.lists = [[i + 1, 0] for i in range(LISTS)]
        self.quiet = [[QUIET + i, 0] for i in range(QUIET_LISTS)]
        self.old = collections.deque(maxlen=REMEMBERED)
        self.counts, self.odd, self.slowest = collections.Counter(), [], 0.0
        self.tag = f"{self.random.getrandbits(40):x}"
        self.used = set()

    def place(self, quiet):
        """A list to append to; one that is full is replaced by a new one."""
        lists = self.quiet if quiet else self.lists
        slot = self.random.randrange(len(lists))
        lists[slot][1] += 1
        if lists[slot][1] > LENGTH:
            self.next_list += 1
            lists[slot] = [self.next_list + (QUIET if quiet else 0), 1]
        self.used.add(lists[slot][0])
        return lists[slot][0]

    async def attempt(self, connection, record, path, body, key, seconds=ATTEMPT_S_MAX):
        """One request that changes something; its outcome, which is recorded."""
        began = time.monotonic()
        try:
            status, content = await connection.ask("POST", path, body, key, seconds)
        except Broken:
            record(began, time.monotonic(), "unknown")
            self.counts["unanswered"] += 1
            return "unknown"
        except asyncio.CancelledError:
            record(began, time.monotonic(), "unknown")
            raise
        ended = time.monotonic()
        outcome = DECIDED.get(status, "unknown")
        if outcome == "unknown" and status < 500 and status != 429:
            self.odd.append(f"POST {path} {body} was answered with {status} {content[:300]}")
        if outcome == "unknown":
            self.counts[str(status)] += 1
            record(began, ended, "unknown")
        else:
            self.slowest, self.last = max(self.slowest, ended - self.last), ended
            number = json.loads(content).get("number") if outcome == "ok" else None
            record(began, ended, outcome, f"{status} {content.decode()}", number)
        return outcome

    async def insist(self, connection, record, path, body, key):
        """Until it is decided; now and then twice at once, or not to the end."""
        pause, at_once, stubborn = 0.02, self.random.random() < 0.06, self.random.random() > 0.05
        for _ in range(TIMES_MAX):
            hasty = self.random.random() < 0.03
            seconds = self.random.uniform(0.001, 0.1) if hasty else ATTEMPT_S_MAX
            if at_once:
                other, at_once = Connection(self.port), False
                first, second = await asyncio.gather(self.attempt(connection, record, path, body, key, seconds),
                                                     self.attempt(other, record, path, body, key))
                other.close()
                outcome = first if first != "unknown" else second
                self.counts["at once"] += 1
            else:
                outcome = await self.attempt(connection, record, path, body, key, seconds)
            if outcome != "unknown":
                self.old.append((record, path, body, key))
                return outcome
            if not stubborn or self.over:
                break
            await asyncio.sleep(self.random.uniform(0, pause))
            pause = min(PAUSE_S_MAX, pause * 2)
            self.counts["repeated"] += 1
        self.counts["left unknown"] += 1
        return "unknown"

    async def append(self, connection, keyed, quiet, refuse=False):
        self.number += 1
        list_, value = self.place(quiet), f"{self.tag}-{self.number}"
        key = f"a-{value}" if keyed else None
        body = {"list": list_, "value": value, **({"refuse": True} if refuse else {})}
        body = json.dumps(body).encode()

        def record(began, ended, outcome, answer=None, number=None):
            self.history.append(list_, value, key, began, ended, outcome, answer, number)

        if keyed:
            outcome = await self.insist(connection, record, "/recorder/entries", body, key)
        else:
            outcome = await self.attempt(connection, record, "/recorder/entries", body, None)
        self.counts["acknowledged"] += outcome == "ok"
        self.counts["refused"] += outcome == "refused"
        self.counts["unknown without a key"] += outcome == "unknown" and not keyed

    async def deal(self, connection):
        self.number += 1
        deal, key = DEALS + self.number, f"d-{self.tag}-{self.number}"
        body = json.dumps({"deal": deal, "delay_ms": self.random.choice(DELAYS_MS),
                           "refuse": self.random.random() < 0.1}).encode()

        def record(began, ended, outcome, answer=None, _number=None):
            self.history.deal(deal, key, began, ended, outcome, answer)

        outcome = await self.insist(connection, record, "/recorder/deals", body, key)
        self.counts["acknowledged"] += outcome == "ok"
        self.counts["deals"] += outcome == "ok"

    async def again(self, connection):
        """What was answered long ago is requested again."""
        if self.old:
            self.counts["asked again"] += 1
            await self.attempt(connection, *self.random.choice(self.old))

    async def read(self, connection, copies):
        lists = self.lists if copies or self.random.random() < 0.8 else self.quiet
        list_ = self.random.choice(lists)[0]
        began = time.monotonic()
        try:
            status, content = await connection.ask(
                "GET", f"/{'hearer' if copies else 'recorder'}/lists/{list_}")
        except Broken:
            return
        if status == 200:
            record = self.history.read_copy if copies else self.history.read
            record(list_, json.loads(content)["values"], began, time.monotonic())
            self.counts["reads"] += 1
        elif status < 500 and status != 429:
            self.odd.append(f"GET list {list_} was answered with {status} {content[:300]}")

    async def client(self):
        connection = Connection(self.port)
        while not self.over:
            drawn = self.random.random()
            if drawn < 0.40:
                await self.append(connection, True, self.random.random() < 0.2)
            elif drawn < 0.64:
                await self.append(connection, False, self.random.random() < 0.7)
            elif drawn < 0.67:
                await self.append(connection, True, False, refuse=True)
            elif drawn < 0.84:
                await self.read(connection, copies=False)
            elif drawn < 0.89:
                await self.read(connection, copies=True)
            elif drawn < 0.97:
                await self.deal(connection)
            else:
                await self.again(connection)
        connection.close()

    async def run(self, seconds):
        async with asyncio.TaskGroup() as group:
            for _ in range(self.clients):
                group.create_task(self.client())
            await asyncio.sleep(seconds)
            self.over = True

    async def write_unseen(self):
        """One value that the history does not know of."""
        connection = Connection(self.port)
        body = json.dumps({"list": self.lists[0][0], "value": "unseen"}).encode()
        status, _ = await connection.ask("POST", "/recorder/entries", body)
        assert status == 201
        connection.close()

    async def page_all(self, service, patience_s):
        """{list: values} of all that a service holds; retried while it is away."""
        found, after, connection = {}, -1, Connection(self.port)
        until = time.monotonic() + patience_s
        while True:
            try:
                status, content = await connection.ask("GET", f"/{service}/lists?after={after}&limit=200")
            except Broken:
                status, content = 0, b""
            if status != 200:
                if time.monotonic() > until:
                    raise Broken(f"{service}'s lists can't be read: {status} {content[:300]}")
                await asyncio.sleep(0.1)
                continue
            page = json.loads(content)
            found.update((one["list"], one["values"]) for one in page)
            if len(page) < 200:
                connection.close()
                return found
            after = page[-1]["list"]
