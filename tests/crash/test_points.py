# SPDX-License-Identifier: Apache-2.0
"""Killed at every named point, before and after each durable step: the books balance all the same.

The points are the CRASH_POINTs of the sources; one that is new, and that no service named in PLACES passes under this
load, fails. The shop runs from a build that has them (ninja crash-programs). FREEHOLD_SEED repeats what chance draws."""

import asyncio
import collections
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "tests" / "crash"), str(ROOT / "tests" / "scenario"), str(ROOT / "examples" / "shop")]
from books import Load  # noqa: E402
from client import Shop  # noqa: E402
from conftest import FREEHOLD, System, wait_for  # noqa: E402

SEED = int(os.environ.get("FREEHOLD_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 31)
CLIENTS = 6
ORDERS_BEHIND_MIN = 3  # acknowledged after the kill
FIRED_S_MAX = 60
ORDER = "crash"  # the file, in the service's own folder

# Who is to die at the points of a kind: one who passes them under this load. The longest name that fits counts.
PLACES = {
    "checkpoint": "orders", "closed": "orders", "closing": "products", "command": "payments",
    "command.undone": "products", "cursor": "orders", "group": "orders", "log": "orders",
    "migration": "users", "outbox": "users", "refusal": "payments", "saga": "orders",
    "start": "orders", "store": "orders", "subscriber": "users", "work": "products",
}
AT_START = ("log", "migration", "store")  # passed when a service starts
ONCE = AT_START + ("checkpoint", "closed", "closing")  # too rare to wait for the third time


def names_in_the_sources():
    found = collections.Counter()
    for path in sorted((ROOT / "src").rglob("*.c")):
        found.update(re.findall(r'\bCRASH_POINT\("([^"]*)"\)', path.read_text(encoding="utf-8")))
    return found


POINTS = names_in_the_sources()


class Points:
    """The shop with crash points in it, and what it was asked so far."""

    def __init__(self, folder):
        subprocess.run(["/usr/bin/ninja", "-C", pathlib.Path(FREEHOLD).parent, "--quiet", "crash-programs"],
                       check=True)
        programs = pathlib.Path(FREEHOLD).parent / "tests" / "crash"
        self.source = folder / "shop"
        shutil.copytree(ROOT / "examples" / "shop", self.source)
        file = self.source / "freehold.yaml"
        file.write_text(re.sub(r"program: (\w+)", rf"program: {programs}/\1", file.read_text()))
        os.environ["FREEHOLD_CRASH"] = ORDER  # of `up`, and so of its services
        self.random, self.migrations, self.renamed = random.Random(SEED), 1, 0
        self.system = System(file, folder / "state").up()
        self.load = Load(self.system, None, SEED, timeouts=False)
        asyncio.run(self.with_shop(lambda: self.load.prepare(CLIENTS)))

    async def with_shop(self, what):
        async with Shop(f"http://127.0.0.1:{self.system.port}", CLIENTS * 2, patience_s=60) as shop:
            self.load.shop = shop
            return await what()

    def order(self, service):
        return pathlib.Path(self.system.state) / service / ORDER

    def arm(self, point, service):
        times = 1 if point.startswith(ONCE) else self.random.randint(1, 3)
        draft = self.order(service).with_suffix(".draft")
        draft.write_text(f"{point}:{times}")
        draft.chmod(0o644)  # the service may be another user
        draft.rename(self.order(service))
        if point.startswith("migration"):
            self.migrations += 1
            path = self.source / service / "migrations" / f"{self.migrations:04}_more.sql"
            path.write_text(f"CREATE TABLE more_{self.migrations} (id INTEGER PRIMARY KEY);\n")
        if point.startswith(AT_START):
            os.kill(self.system.pid(service), signal.SIGKILL)

    async def renamer(self):
        """What makes events that others hear."""
        while not self.load.over:
            self.renamed += 1
            user = self.load.random.choice(self.load.users)
            answer = await self.load.shop.request("PATCH", f"/api/users/{user}", {"name": f"Name {self.renamed}"},
                                                  key=f"name-{self.renamed}")
            assert answer.status == 200, answer.body
            await asyncio.sleep(0.02)

    async def killer(self, point, service):
        load = self.load
        try:
            before = await asyncio.to_thread(self.system.pid, service)
            await asyncio.to_thread(self.arm, point, service)
            await asyncio.to_thread(wait_for, f"{service} passes {point}",
                                    lambda: not self.order(service).exists(), FIRED_S_MAX)
            await asyncio.to_thread(
                wait_for, f"{service} is back",
                lambda: (one := self.system.services()[service])["ready"] and one["pid"] != before)
            wanted = len(load.orders) + ORDERS_BEHIND_MIN
            await asyncio.to_thread(wait_for, "it goes on", lambda: len(load.orders) >= wanted)
        finally:
            load.over = True
            self.order(service).unlink(missing_ok=True)

    async def kill_at(self, point, service):
        self.load.over = False
        async with asyncio.TaskGroup() as group:
            group.create_task(self.killer(point, service))
            group.create_task(self.renamer())
            for _ in range(CLIENTS):
                group.create_task(self.load.client())
        await self.load.at_rest()
        return await self.load.read()


@pytest.fixture(scope="module")
def points(tmp_path_factory):
    print(f"FREEHOLD_SEED={SEED}")
    running = Points(tmp_path_factory.mktemp("points"))
    yield running
    del os.environ["FREEHOLD_CRASH"]
    running.system.stop(check=False)


def test_every_point_has_a_name_of_its_own():
    assert POINTS, "the sources have crash points"
    assert [name for name, count in POINTS.items() if count > 1] == []
    assert [name for name in POINTS if not re.fullmatch(r"[a-z_]+\.[a-z_]+", name)] == []


@pytest.mark.parametrize("point", sorted(POINTS))
def test_killed_there_the_books_balance(points, point):
    kind = point if point in PLACES else point.split(".")[0]
    assert kind in PLACES, f"{point} is new: name in PLACES who passes it"
    try:
        books = asyncio.run(points.with_shop(lambda: points.kill_at(point, PLACES[kind])))
    except BaseException:
        print(points.system.logs())
        raise
    books.check(points.load)
