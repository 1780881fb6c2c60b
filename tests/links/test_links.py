# SPDX-License-Identifier: Apache-2.0
"""Link points: whatever happens to a message between a service and its server, or between two services, all that was
acknowledged is done once and in order (docs/internals/durability.md).

All engines are tested concurrently, since they mostly wait, for ALL_S with the recording: a sample, drawn by a seed
that is printed and that FREEHOLD_SEED repeats. FREEHOLD_LINKS_S makes it longer, and `make audit` does all of them."""

import asyncio
import os
import pathlib
import random
import sys

import pytest

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent)]
from kinds import Wrong  # noqa: E402
from points import IDLE, Run, TriedBed, compare, read_list, singles  # noqa: E402
from wire import MariaDB, unit  # noqa: E402

SEED = int(os.environ.get("FREEHOLD_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 31)
ALL_S = float(os.environ.get("FREEHOLD_LINKS_S", "70"))
SINGLES_S_MIN = 15
RECORDINGS, RECORDINGS_AGAIN = 1, 2
AWAY_S = 1.5
BEDS = {"postgresql": 4, "mariadb": 3, "mongodb": 2, "redis": 3}
NOT_PASSED_MAX = 0.25  # of the points, those that a unit of work did not reach this time


class Tried:
    def __init__(self, engine, folder):
        self.engine, self.run = engine, Run(folder, engine, BEDS[engine], SEED)
        self.new, self.schedules, self.error = [], [], None

    async def all(self):
        clock = asyncio.get_running_loop().time
        until = clock() + ALL_S
        recording, beds = await self.run.record(RECORDINGS, RECORDINGS_AGAIN)
        listed = read_list(self.engine)
        self.new = compare(listed, recording)
        self.schedules = singles(self.run, recording, listed, AWAY_S, True)
        self.run.until = max(until, clock() + SINGLES_S_MIN)
        await self.run.all(beds, self.schedules)

    async def try_all(self):
        try:
            await self.all()
        except Exception as error:  # reported by the engine's own tests
            self.error = error


@pytest.fixture(scope="module")
def tried(tmp_path_factory):
    print(f"FREEHOLD_SEED={SEED}")
    folder = tmp_path_factory.mktemp("links")
    folder.chmod(0o711)
    found = {engine: Tried(engine, folder) for engine in BEDS if f"FREEHOLD_TEST_{engine.upper()}" in os.environ}

    async def side_by_side():
        await asyncio.gather(*(one.try_all() for one in found.values()))
    asyncio.run(side_by_side())
    return found


@pytest.fixture(params=sorted(BEDS))
def one(request, tried):
    if request.param not in tried:
        pytest.skip(f"NO LINK POINTS ON {request.param.upper()}: it is not there")
    if tried[request.param].error:
        raise tried[request.param].error
    return tried[request.param]


def test_every_message_is_known(one):
    assert not one.new, "\n".join([f"tests/links/run record {one.engine} writes the list anew:", *one.new])


def test_whatever_message_fails_the_books_balance(one):
    run = one.run
    tried = run.passed + len(run.failures) + len(run.missed)
    print(f"FREEHOLD_SEED={SEED} {one.engine}: {run.passed} of {len(one.schedules)} faults tried and passed, "
          f"{len(run.missed)} messages did not come")
    assert not run.failures, "\n\n".join(run.failures)
    assert tried, "no fault was tried"
    assert len(run.missed) <= NOT_PASSED_MAX * tried, "\n".join(["did not come:", *map(str, run.missed)])


# ---- What the checks are worth ------------------------------------------------------------------

CREATED = b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n{}"


def sabotaged(tmp_path_factory, link, units, how, text=b"", kind="work without a key"):
    """What a kind reports when its bed is sabotaged in this way."""
    async def all_of_it():
        run = Run(tmp_path_factory.mktemp("links"), "sqlite", 1, SEED)
        bed = await run.bed()
        bed.rest_s = 3
        try:
            bed.sabotage(link, (units,), how, text)
            fault = bed.sabotages[0]
            await bed.suffer(kind, [fault])
            assert fault.fired
        finally:
            await bed.__aexit__()
    asyncio.run(all_of_it())


def test_a_request_that_is_done_twice_is_noticed(tmp_path_factory):
    with pytest.raises(Wrong, match="made 2 times"):
        sabotaged(tmp_path_factory, "client>desk", "POST /api/items", "double")


def test_what_was_acknowledged_and_not_done_is_noticed(tmp_path_factory):
    with pytest.raises(Wrong, match="made 0 times"):
        sabotaged(tmp_path_factory, "client>desk", "POST /api/items", "answer", CREATED)


def test_a_step_that_was_answered_and_not_done_is_noticed(tmp_path_factory):
    done = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: application/json\r\nFreehold-Outcome: done\r\n\r\n{}"
    with pytest.raises(Wrong, match="the books do not balance"):
        sabotaged(tmp_path_factory, "desk>shelf", "POST /api/sent/{name}", "answer", done, "saga")


def test_a_message_that_is_not_in_the_list_is_noticed(one):
    class Unheard:
        kinds = {IDLE: {}, "saga": {}}

        @staticmethod
        def lines(kind, whole):
            assert whole
            return {"desk>store > SELECT something new": True} if kind == "saga" else {}
    assert "new in saga: desk>store > SELECT something new" in compare(read_list(one.engine), Unheard)


def test_an_answer_that_a_busy_service_sends_is_no_new_message():
    class Busy:
        kinds = {"saga": {}}

        @staticmethod
        def lines(kind, whole):
            return {f"desk>shelf < {status} to POST /api/held": False for status in (503, 400)}
    assert compare({"saga": {"desk>shelf > POST /api/held": False}}, Busy) == ["new in saga: desk>shelf < 400 to POST /api/held"]


def test_a_message_that_only_another_kind_still_sends_is_noticed():
    class Less:
        kinds = {"saga": {}, "cursor alone": {}}

        @staticmethod
        def lines(kind, whole):
            return {"desk>store > SELECT something": True} if kind == "cursor alone" else {}
    listed = {kind: {"desk>store > SELECT something": True} for kind in Less.kinds}
    assert compare(listed, Less) == ["not sent any more in saga: desk>store > SELECT something"]
    listed["saga"]["desk>store > SELECT something"] = False
    assert not compare(listed, Less)


def packet(text):
    """A command of MariaDB's protocol that is a query."""
    body = bytes([MariaDB.QUERY]) + text.encode()
    return len(body).to_bytes(3, "little") + b"\0" + body


def test_a_commit_after_a_statement_that_is_too_long_for_a_line_ends_its_transaction():
    talk = MariaDB()
    long = unit(f"INSERT INTO tally (name, what) VALUES ({', '.join(f'column_{i} + 1' for i in range(30))});COMMIT")
    talk.client(packet("SET NAMES utf8mb4;SET autocommit = 0, idle_transaction_timeout = 5"))
    assert talk.placed(["UPDATE tally"]) == ("UPDATE tally",)
    assert talk.placed([long]) == ("in: UPDATE tally", long)
    assert talk.placed(["SELECT what"]) == ("SELECT what",)


def test_what_is_alone_on_a_connection_is_not_identified_by_what_came_before_it():
    talk = MariaDB()
    talk.client(packet("SET NAMES utf8mb4;SET autocommit = 1"))
    assert talk.placed(["SELECT what"]) == ("SELECT what",)
    assert talk.placed(["SELECT status"]) == ("SELECT status",)
    assert talk.placed(["START TRANSACTION READ ONLY"]) == ("START TRANSACTION READ ONLY",)
    assert talk.placed(["SELECT position"]) == ("SELECT position",)
    assert talk.placed(["ROLLBACK"]) == ("in: SELECT position", "ROLLBACK")
    assert talk.placed(["SELECT what"]) == ("SELECT what",)
    assert talk.placed(["SELECT status"]) == ("SELECT status",)


def test_a_kind_waits_until_what_it_waits_for_is_so():
    answers = [False, False, True]
    asyncio.run(TriedBed.until(None, "three answers", lambda: answers.pop(0)))
    assert not answers
    with pytest.raises(Wrong, match="never: not within 0.05 s"):
        asyncio.run(TriedBed.until(None, "never", lambda: False, 0.05))
