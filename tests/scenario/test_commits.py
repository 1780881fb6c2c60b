# SPDX-License-Identifier: Apache-2.0
"""Commits whose outcome somebody does not learn, on real servers, where it hurts most: while the server is away for
longer than anybody waits for an answer, when the process is killed with its COMMIT on its way, which arrives when its
successor has gone on, and when it is asked to end meanwhile.

Services, links and what must be found are those of the link points (tests/links). A COMMIT is recognized here by what
was tallied in its unit of work. All engines are tested concurrently, since they mostly wait; each case is reported by a
test of its own."""

import asyncio
import contextlib
import os
import re
import shutil
import signal
import sys
import time

import pytest

from conftest import ROOT, open_folder

sys.path[:0] = [str(ROOT / "tests" / "links")]
from bed import Bed, ask  # noqa: E402
from kinds import BATCH, PATIENCE_S, Wrong, until_answered, wrong  # noqa: E402
from link import Fault, Link, Pair  # noqa: E402

ENGINES = ("postgresql", "mariadb", "mongodb", "redis")
AWAY_S = 11             # longer than a request waits for its answer (RUNTIME_DEADLINE_MS)
ANSWERED_S_MAX = 20
SUCCESSOR_GOES_ON_S = 2 # as long as nobody is in its way

# What is in a message that tallies: {name} and {what}.
TALLIED = {"postgresql": b"{name}....{what}", "mariadb": b"{name}.{what}",
           "redis": rb"tally:{name}\r\n.*\$\d+\r\n{what}\r\n", "mongodb": b"(?=.*{name}).*[\x10\x12]{what}\0\1"}
# Whether a message commits what was tallied by it, or before it on its link.
COMMITS = {"postgresql": lambda message, units: units[-1] == "COMMIT", "mariadb": lambda message, units: b"COMMIT" in message}
# Where one message is the whole unit of work, it is one of these.
WORKS = {"mongodb": ("insert", "update"), "redis": ("script: work",)}


class Told:
    """A conversation in which the message that commits what is looked for has one more unit."""

    def __init__(self, talk, link, pair):
        self.talk, self.link, self.pair, self.tallied = talk, link, pair, set()

    def client(self, data):
        found = []
        for message, units in self.talk.client(data):
            if units[0].startswith(WORKS.get(self.link.protocol, "")):
                self.tallied |= {label for label, pattern in self.link.wanted if pattern.search(message)}
            if self.tallied and self.link.commits(message, units):
                units = (*units, *sorted(self.tallied))
                self.link.struck = self.pair
                self.tallied = set()
            found.append((message, units))
        return found

    def server(self, data):
        return self.talk.server(data)


class CommitLink(Link):
    """When it goes away, it does so for all who use it."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.wanted, self.struck = [], None
        self.commits = COMMITS.get(self.protocol, lambda *_: True)

    async def accept(self, client, client_end):
        pair = Pair(self, client, client_end)
        pair.talk = Told(pair.talk, self, pair)
        await pair.run(self.to_port)

    def away(self, seconds):
        super().away(seconds)
        for pair in list(self.pairs) if seconds else ():
            if pair is not self.struck:
                pair.cut()

    async def come_back(self):
        self.opening.cancel()
        self.opening = None
        await self.open()


class CommitBed(Bed):
    async def link(self, name, protocol, to_port):
        if not name.endswith(">store"):
            return await super().link(name, protocol, to_port)
        self.links[name] = await CommitLink(name, protocol, 0, to_port).open()
        self.links[name].port = self.links[name].listening.sockets[0].getsockname()[1]
        return self.links[name].port

    def strike(self, service, name, what, how, away_s=0.0):
        """The COMMIT of the unit of work that tallies this is hit."""
        link = self.links[f"{service}>store"]
        pattern = TALLIED[self.engine].replace(b"{name}", name.encode()).replace(b"{what}", what.encode())
        link.wanted = [(what, re.compile(pattern, re.DOTALL))]
        fault = Fault(link.name, (what,), 1, how, away_s)
        link.arm(fault)
        return fault

    async def until(self, what, condition, seconds=PATIENCE_S):
        until = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > until:
                raise Wrong(f"{what}: not within {seconds} s")
            await asyncio.sleep(0.02)

    async def right(self, name, expected):
        """Everything comes to rest, and is as it must be."""
        found = await self.at_rest(lambda: wrong(self, name, expected))
        if found:
            raise Wrong(found)

    async def is_not_yet_told(self, path, body, key):
        """The client waits as long as it has to, and is answered that the outcome is not known."""
        answer = await ask(self.door, "POST", path, body, key, seconds=ANSWERED_S_MAX)
        if not answer or answer.status != 503 or "unknown" not in str(answer.body):
            raise Wrong(f"POST {path}, while the store is away: {answer}")

    async def is_told(self, path, body, key, status):
        answer = await until_answered(self, path, body, key)
        if answer.status != status:
            raise Wrong(f"POST {path}: {answer}")


# ---- The server is away for longer than anybody waits -------------------------------------------

async def a_sagas_own_handler_takes_effect_once(bed):
    name = bed.new_name()
    fault = bed.strike("desk", name, "ended", "swallow", AWAY_S)
    await bed.is_told("/api/deals", {"name": name, "refuse": 0}, name, 202)
    await bed.until("its handler commits", lambda: fault.fired)
    await bed.right(name, {"begun": (1, 1), "ended": (1, 1)})


async def a_saga_whose_start_was_told_to_nobody_is_run(bed):
    name = bed.new_name()
    body = {"name": name, "refuse": 0}
    fault = bed.strike("desk", name, "begun", "swallow", AWAY_S)
    await bed.is_not_yet_told("/api/deals", body, name)
    assert fault.fired
    await bed.right(name, {"begun": (1, 1), "ended": (1, 1)})
    await bed.is_told("/api/deals", body, name, 202)
    await bed.right(name, {"begun": (1, 1), "ended": (1, 1)})


async def events_told_to_nobody_get_their_positions(bed):
    name = bed.new_name()
    body = {"name": name, "count": BATCH}
    fault = bed.strike("desk", name, "made several", "swallow", AWAY_S)
    await bed.is_not_yet_told("/api/batches", body, name)
    assert fault.fired
    await bed.right(name, {"made several": (1, 1)})
    await bed.is_told("/api/batches", body, name, 201)
    await bed.right(name, {"made several": (1, 1)})


# ---- It is asked to end meanwhile ----------------------------------------------------------------

async def who_is_told_to_end_does_not_wait_for_a_commit(bed):
    name = bed.new_name()
    body = {"name": name}
    fault = bed.strike("desk", name, "made", "swallow", 10 * AWAY_S)
    asked = asyncio.ensure_future(ask(bed.door, "POST", "/api/items", body, name, seconds=ANSWERED_S_MAX))
    await bed.until("it commits", lambda: fault.fired)
    await bed.desk.stop()
    assert bed.desk.process.returncode == 1 # it gave up by itself: a killed process has none
    await asked
    await bed.links["desk>store"].come_back()
    await bed.desk.start()
    await bed.is_told("/api/items", body, name, 201)
    await bed.right(name, {"made": (1, 1)})


# ---- A COMMIT of a killed process that comes late -----------------------------------------------

async def comes_late(bed, service, what, path, body, status, expected):
    """The service is killed when its COMMIT is on its way; that reaches the server when its successor has begun, or,
    where nobody is in the way, has done everything again."""
    name, process = body["name"], getattr(bed, service)
    link = bed.links[f"{service}>store"]
    fault = bed.strike(service, name, what, "hold")

    def kill():
        process.ready.clear()
        process.process.kill()
    link.happened = kill
    asked = asyncio.ensure_future(bed.is_told(path, body, name, status))
    await bed.until("it commits", lambda: fault.fired)
    await asyncio.wait_for(process.ready.wait(), PATIENCE_S)
    with contextlib.suppress(asyncio.TimeoutError):
        await asyncio.wait_for(asyncio.shield(asked), SUCCESSOR_GOES_ON_S)
    assert await link.release(), "nothing was held"
    await asked
    await bed.right(name, expected)
    assert process.ends[0] == -signal.SIGKILL, process.ends  # the next one may have to try again
    process.ends = []


async def a_late_commit_with_a_key(bed):
    name = bed.new_name()
    await comes_late(bed, "desk", "made", "/api/items", {"name": name}, 201, {"made": (1, 1)})


async def a_late_start_of_a_saga(bed):
    name = bed.new_name()
    await comes_late(bed, "desk", "begun", "/api/deals", {"name": name, "refuse": 0}, 202,
                     {"begun": (1, 1), "ended": (1, 1)})


async def a_late_handler_of_a_saga(bed):
    name = bed.new_name()
    await comes_late(bed, "desk", "ended", "/api/deals", {"name": name, "refuse": 0}, 202,
                     {"begun": (1, 1), "ended": (1, 1)})


async def a_late_step(bed):
    name = bed.new_name()
    await comes_late(bed, "shelf", "held", "/api/deals", {"name": name, "refuse": 0}, 202,
                     {"begun": (1, 1), "ended": (1, 1)})


async def a_late_batch_of_events(bed):
    name = bed.new_name()
    await comes_late(bed, "shelf", r"heard@\d+", "/api/batches", {"name": name, "count": BATCH}, 201,
                     {"made several": (1, 1)})


LATE = (a_late_commit_with_a_key, a_late_start_of_a_saga, a_late_handler_of_a_saga, a_late_step, a_late_batch_of_events)


# ---- All of them --------------------------------------------------------------------------------

AWAY = (a_sagas_own_handler_takes_effect_once, a_saga_whose_start_was_told_to_nobody_is_run,
        events_told_to_nobody_get_their_positions)
ENDING = (who_is_told_to_end_does_not_wait_for_a_commit, *LATE)


async def tried(folder, engine, cases):
    """{case: what went wrong, or ""}, one after the other; after a failure the others are not tested."""
    told = {}
    try:
        async with CommitBed(folder, engine) as bed:
            for case in cases:
                try:
                    told[case] = "not tried: the one before it has failed"
                    await bed.right(bed.new_name(), {})
                    await case(bed)
                    if any(one.ends for one in (bed.desk, bed.shelf)):
                        raise Wrong(f"a service ended by itself: {bed.desk.ends} {bed.shelf.ends}")
                    told[case] = ""
                except Exception as error:
                    told[case] = f"{type(error).__name__}: {error}\n{await bed.states()}\n{bed.logs()}"
                    break
    except Exception as error:
        return {case: told.get(case) or f"{type(error).__name__}: {error}" for case in cases}
    return {case: told.get(case, "not tried: one before it has failed") for case in cases}


@pytest.fixture(scope="module")
def found():
    folder = open_folder()
    there = [engine for engine in ENGINES if f"FREEHOLD_TEST_{engine.upper()}" in os.environ]

    async def side_by_side():
        rows = [(engine, cases) for cases in (AWAY, ENDING) for engine in there]
        told = await asyncio.gather(*(tried(folder, engine, cases) for engine, cases in rows))
        return {(engine, case): one for (engine, _), of_cases in zip(rows, told) for case, one in of_cases.items()}
    yield asyncio.run(side_by_side())
    shutil.rmtree(folder, ignore_errors=True)


def right(found, engine, case):
    if (engine, case) not in found:
        pytest.skip(f"NO COMMITS ON {engine.upper()}: it is not there")
    assert not found[engine, case], found[engine, case]


@pytest.mark.parametrize("engine", ENGINES)
def test_a_sagas_own_handler_takes_effect_once_though_the_server_is_away(found, engine):
    right(found, engine, a_sagas_own_handler_takes_effect_once)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_saga_whose_start_was_told_to_nobody_is_run(found, engine):
    right(found, engine, a_saga_whose_start_was_told_to_nobody_is_run)


@pytest.mark.parametrize("engine", ENGINES)
def test_events_told_to_nobody_get_their_positions(found, engine):
    right(found, engine, events_told_to_nobody_get_their_positions)


@pytest.mark.parametrize("engine", ENGINES)
def test_who_is_told_to_end_does_not_wait_for_a_commit(found, engine):
    right(found, engine, who_is_told_to_end_does_not_wait_for_a_commit)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("late", LATE)
def test_a_late_commit_of_a_killed_process_changes_nothing(found, engine, late):
    right(found, engine, late)
