# SPDX-License-Identifier: Apache-2.0
"""The shop with products and payments on MongoDB, killed at every named point of that engine, at those that every unit
of work passes, and together with the server itself: the books balance all the same."""

import asyncio
import os
import signal

import pytest

from test_points import CLIENTS, NAMES, ORDERS_BEHIND_MIN, SEED, Points  # and its path
import mongodb
from conftest import wait_for

# Which service passes which: payments publish, products are changed again and again.
PLACES = {name: "payments" for name in sorted(NAMES) if name.startswith("mongodb.")}
PLACES |= {"mongodb.written": "products", "mongodb.trimmed": "products"}
PLACES |= {"work.durable": "payments", "outbox.written": "payments", "closing.recorded": "payments"}
del PLACES["mongodb.begun"]  # sagas of a service with documents: tests/conformance/mongodb_conformance.c
SERVERS = sorted(mongodb.VARIABLES)


class MongodbPoints(Points):
    def __init__(self, folder, server):
        self.server = server
        super().__init__(folder)

    def shop_file(self, folder, programs):
        return mongodb.shop_file(folder, self.server, programs)

    async def server_killer(self):
        """Again and again, while its clients go on."""
        try:
            for _ in range(3):
                wanted = len(self.load.orders) + ORDERS_BEHIND_MIN
                await asyncio.to_thread(wait_for, "it goes on", lambda: len(self.load.orders) >= wanted)
                with open(mongodb.server(self.server)["pid_file"], encoding="utf-8") as file:
                    os.kill(int(file.read()), signal.SIGKILL)
                await asyncio.sleep(self.random.uniform(0.1, 1))
            wanted = len(self.load.orders) + ORDERS_BEHIND_MIN
            await asyncio.to_thread(wait_for, "it goes on", lambda: len(self.load.orders) >= wanted)
        finally:
            self.load.over = True

    async def kill_server(self):
        self.load.over = False
        async with asyncio.TaskGroup() as group:
            group.create_task(self.server_killer())
            for _ in range(CLIENTS):
                group.create_task(self.load.client())
        await self.load.at_rest()
        return await self.load.read()


@pytest.fixture(scope="module", params=SERVERS)
def points(request, tmp_path_factory):
    print(f"FREEHOLD_SEED={SEED}")
    running = MongodbPoints(tmp_path_factory.mktemp("points"), request.param)
    yield running
    del os.environ["FREEHOLD_CRASH"]
    running.system.stop(check=False)


def check(points, what):
    try:
        books = asyncio.run(points.with_shop(what))
    except BaseException:
        print(points.system.logs())
        raise
    books.check(points.load)


@pytest.mark.parametrize("point", sorted(PLACES))
def test_killed_there_the_books_balance(points, point):
    check(points, lambda: points.kill_at(point, PLACES[point]))


def test_with_its_server_killed_the_books_balance(points):
    if points.server != "ferretdb" or "pid_file" not in mongodb.server(points.server):
        pytest.skip("it keeps nothing on disk, or nobody starts it again")
    check(points, points.kill_server)
