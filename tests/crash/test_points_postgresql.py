# SPDX-License-Identifier: Apache-2.0
"""The shop with users and orders on PostgreSQL, killed at every named point of that engine and at those that every unit
of work passes: the books balance all the same."""

import asyncio
import contextlib
import json
import os
import pathlib
import re
import subprocess
import uuid

import pytest

from test_points import NAMES, OWN_MIGRATIONS, SEED, Points  # and its path
from client import Shop, Unreachable, in_parallel
from issuer import Issuer

VARIABLE = "FREEHOLD_TEST_POSTGRESQL"
SERVICES = ("users", "orders")
PLACES = {name: "orders" for name in sorted(NAMES) if name.startswith("postgresql.")}
PLACES |= {name: "users" for name in PLACES if name.startswith("postgresql.group")}
PLACES |= {"work.fenced": "orders", "work.finished": "orders", "work.durable": "users", "outbox.written": "users"}


AT_ONCE = 12


class PostgresqlPoints(Points):
    def __init__(self, folder):
        self.registered, self.newcomers = 0, {}
        super().__init__(folder)

    async def register(self, shop, number):
        """A unit of work of one statement and without a key, which may share its transaction. Requested once."""
        body = {"name": f"Newcomer {number}", "email": f"newcomer-{number}@example.org"}
        with contextlib.suppress(Unreachable):
            answer = await shop.request("POST", "/api/users", body)
            assert answer.status == 201, answer.body
            self.newcomers[answer.json()["id"]] = body["email"]

    async def registrar(self):
        async with Shop(f"http://127.0.0.1:{self.system.port}", AT_ONCE, issuer=Issuer()) as shop:
            while not self.load.over:
                self.registered += AT_ONCE
                await in_parallel(lambda i: self.register(shop, self.registered - i), range(AT_ONCE), AT_ONCE)

    async def kill_at(self, point, service):
        if not point.startswith("postgresql.group"):
            return await super().kill_at(point, service)
        registrar = asyncio.create_task(self.registrar())
        books = await super().kill_at(point, service)
        await registrar
        for user, email in self.newcomers.items():
            answer = await self.load.shop.request("GET", f"/api/users/{user}", user=user)
            assert answer.status == 200 and answer.json()["email"] == email, answer.body
        return books

    def shop_file(self, folder, programs):
        file = super().shop_file(folder, programs)
        text = file.read_text()
        for service in SERVICES:
            text = re.sub(rf"{programs}/{service}\b", lambda found: f"{found[0]}, {new_store(service)}", text)
        assert text.count("engine: postgresql, store: { host") == len(SERVICES)
        file.write_text(text)
        # That trigger is SQLite's, and no event is poison here.
        own = file.parent / "orders" / "migrations" / "postgresql" / f"{OWN_MIGRATIONS:04}_poison.sql"
        own.write_text("SELECT 1;\n")
        return file


def new_store(service):
    """A database and a user on the server that tools/servers has started."""
    at, name = json.loads(os.environ[VARIABLE]), f"{service}_{uuid.uuid4().hex[:12]}"
    for statement in (f"CREATE ROLE {name} LOGIN PASSWORD '{name}'", f"CREATE DATABASE {name} OWNER {name}"):
        subprocess.run(["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-h", at["host"], "-p", str(at["port"]),
                        "-U", at["user"], "-d", "postgres", "-c", statement],
                       env={**os.environ, "PGPASSWORD": at["password"]}, check=True, timeout=120)
    return (f"engine: postgresql, store: {{ host: {at['host']}, port: {at['port']}, database: {name}, "
            f"user: {name}, password: {name} }}")


@pytest.fixture(scope="module")
def points(tmp_path_factory):
    if VARIABLE not in os.environ:
        pytest.skip(f"NOT RUN ON POSTGRESQL: {VARIABLE} names no server")
    print(f"FREEHOLD_SEED={SEED}")
    running = PostgresqlPoints(tmp_path_factory.mktemp("points"))
    yield running
    del os.environ["FREEHOLD_CRASH"]
    running.system.stop(check=False)


def test_all_points_of_the_engine_are_tried():
    sources = pathlib.Path(__file__).resolve().parent.parent.parent / "src" / "engine" / "postgresql"
    named = {name for path in sources.glob("*.c")
             for name in re.findall(r'CRASH_POINT\("([^"]*)"\)', path.read_text(encoding="utf-8"))
             if not name.startswith("beside.")}  # test_rebuild_postgresql_killed.py
    assert named and named <= set(PLACES)


@pytest.mark.parametrize("point", sorted(PLACES))
def test_killed_there_the_books_balance(points, point):
    try:
        books = asyncio.run(points.with_shop(lambda: points.kill_at(point, PLACES[point])))
    except BaseException:
        print(points.system.logs())
        raise
    books.check(points.load)
