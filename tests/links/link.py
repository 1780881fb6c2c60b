# SPDX-License-Identifier: Apache-2.0
"""A link that fails on demand: a port on the loopback that passes messages on to another one, knows what they are
(wire.py), and does once, to the n-th message of a kind, what a fault says:

    before    the message is not delivered, and both ends are closed
    behind    it is delivered and both ends are closed at once; whatever is answered is read by nobody
    swallow   it is delivered and answered, the answer is dropped, and then both ends are closed
    after     it is answered, the answer is delivered, and then both ends are closed
    hold      its sender sees the link die; the receiver gets it later, when `release` says so
    lose      of an answer: it is dropped, and both ends are closed
    double    it is delivered twice (no network does that: it is the sabotage that the checks must notice)
    answer    it is not delivered, and `text` is the answer (sabotage too, and how a subscriber is made to resync)

With `away_s` nobody listens at the port for so long after the cut. An answer counts as complete when nothing came for
QUIET_S after a part of it: protocols show that in many ways, and a link on the loopback pauses for nothing else."""

import asyncio
import contextlib
import dataclasses
import time

from wire import PROTOCOLS

QUIET_S = 0.025
ANSWER_S_MAX = 3.0
REQUEST_FAULTS = ("before", "behind", "swallow", "after", "hold")
HTTP_REQUEST_FAULTS = ("before", "behind", "hold")
ANSWER_FAULTS = ("lose", "after")


@dataclasses.dataclass
class Fault:
    link: str
    units: tuple
    nth: int
    how: str
    away_s: float = 0.0
    text: bytes = b""
    loosely: bool = True  # a message that has these units among others is meant, too
    behind: "Fault | None" = None  # only what comes when that one has happened is counted
    fired: bool = False

    def __str__(self):
        away = f", away for {self.away_s} s" if self.away_s else ""
        return f"{self.how}{away}: {self.link}: {' ; '.join(self.units)} (no. {self.nth})"

    def meant(self, units):
        return units == self.units or self.loosely and set(self.units) <= set(units)


class Pair:
    """One connection: its two sockets, and what was decided about it."""

    def __init__(self, link, client, client_end):
        self.link, self.client, self.client_end = link, client, client_end
        self.server = self.server_end = None
        self.talk = PROTOCOLS[link.protocol]()
        self.silent = self.cut_when_answered = False
        self.dead = False
        self.heard_at = None  # when the last part of the answer to a fault's message came
        self.changed = asyncio.Event()

    def cut(self):
        """Both ends learn of it at once."""
        self.dead = True
        for end in (self.client_end, self.server_end):
            if end:
                end.transport.abort()
        self.changed.set()

    async def until_answered(self):
        began = time.monotonic()
        while not self.dead and time.monotonic() - began < ANSWER_S_MAX:
            if self.heard_at is not None and time.monotonic() - self.heard_at >= QUIET_S:
                return
            await asyncio.sleep(QUIET_S / 3)

    async def strike(self, fault, data):
        """What the fault does with the message. True: the connection goes on."""
        how = fault.how
        self.link.away(fault.away_s)
        if how == "before":
            self.cut()
        elif how == "behind":
            self.server_end.write(data)
            self.client_end.transport.abort()
            with contextlib.suppress(OSError):
                await self.server_end.drain()
            self.server_end.close()
            self.dead = True
        elif how in ("swallow", "after"):
            self.silent, self.heard_at = how == "swallow", None
            self.server_end.write(data)
            await self.until_answered()
            self.cut()
        elif how == "hold":
            self.silent = True
            self.client_end.transport.abort()
            self.link.held.append((self, data))
        elif how == "double":
            _, other = await asyncio.open_connection("127.0.0.1", self.link.to_port)
            other.write(data)
            self.server_end.write(data)
            return True
        elif how == "answer":
            self.client_end.write(fault.text)
            self.talk.asked.pop()
            return True
        return False

    async def release(self, data):
        """What was held reaches the server now, as if it had been on its way all the time."""
        if self.dead or self.server_end.transport.is_closing():
            return
        self.heard_at = None
        self.server_end.write(data)
        await self.until_answered()
        self.cut()

    async def to_server(self):
        while data := await self.client.read(1 << 16):
            for message, units in self.talk.client(data):
                fault = self.link.saw(">", units)
                if fault and not await self.strike(fault, message):
                    return
                if not fault:
                    self.server_end.write(message)
            await self.server_end.drain()

    async def to_client(self):
        while data := await self.server.read(1 << 16):
            self.heard_at = time.monotonic()
            for message, units in self.talk.server(data):
                fault = self.link.saw("<", units) if units and not self.silent else None
                if fault and fault.how == "lose":
                    self.link.away(fault.away_s)
                    self.cut()
                    return
                if not self.silent:
                    self.client_end.write(message)
                if fault:
                    await self.client_end.drain()
                    self.link.away(fault.away_s)
                    self.client_end.close()
                    self.server_end.close()
                    return
            if not self.silent:
                await self.client_end.drain()

    async def run(self, port):
        try:
            self.server, self.server_end = await asyncio.open_connection("127.0.0.1", port, limit=1 << 22)
        except OSError:
            self.client_end.transport.abort()
            return
        ways = [asyncio.ensure_future(self.way(way())) for way in (self.to_server, self.to_client)]
        self.link.pairs.add(self)
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            if self.silent and not self.dead:
                await ways[1]  # held, or to be swallowed: the server's end stays open until the server closes it
            if not self.dead:
                for end in (self.client_end, self.server_end):
                    end.close()  # what was written is still sent
        finally:
            for way in ways:
                way.cancel()
            self.dead = True
            self.link.pairs.discard(self)

    @staticmethod
    async def way(steps):
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await steps


class Link:
    def __init__(self, name, protocol, port, to_port):
        self.name, self.protocol, self.port, self.to_port = name, protocol, port, to_port
        self.pairs, self.held, self.armed = set(), [], []
        self.seen = []  # (way, units), since `forget`
        self.listening, self.opening = None, None
        self.closed = False
        self.happened = lambda: None

    async def open(self):
        self.listening = await asyncio.start_server(self.accept, "127.0.0.1", self.port, backlog=256, limit=1 << 22)
        return self

    async def accept(self, client, client_end):
        await Pair(self, client, client_end).run(self.to_port)

    def away(self, seconds):
        if not seconds or self.opening:
            return
        self.listening.close()

        async def come_back():
            await asyncio.sleep(seconds)
            if not self.closed:
                await self.open()
            self.opening = None
        self.opening = asyncio.ensure_future(come_back())

    def arm(self, fault):
        self.armed.append((fault, [fault.nth]))

    def saw(self, way, units):
        """The fault that is to be done to this message, or None."""
        self.seen.append((way, units))
        for fault, left in self.armed:
            is_answer = fault.how == "lose" or (self.protocol == "http" and fault.how == "after")
            if fault.fired or fault.behind and not fault.behind.fired:
                continue
            if (way == "<") != (is_answer or fault.units == ("(notification)",)) or not fault.meant(units):
                continue
            left[0] -= 1
            if left[0] == 0:
                fault.fired = True
                self.happened()
                return fault
        return None

    async def release(self):
        held, self.held = self.held, []
        for pair, data in held:
            await pair.release(data)
        return bool(held)

    async def close(self):
        self.closed = True
        if self.opening:
            self.opening.cancel()
        self.listening.close()
        for pair in list(self.pairs):
            pair.cut()
