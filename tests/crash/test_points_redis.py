# SPDX-License-Identifier: Apache-2.0
"""Carts on a private Redis server, killed at every named point of that engine, and the server itself with `kill -9`
again and again: what was taken out of a cart was taken out once, whoever died."""

import asyncio
import os
import pathlib
import re
import shutil
import signal

import pytest

from test_points import FIRED_S_MAX, NAMES, ORDER, ROOT, SEED  # and its path
from client import Shop
from conftest import FREEHOLD, System, build_crash_programs, open_folder, wait_for
from issuer import Issuer

POINTS = sorted(name for name in NAMES if name.startswith("redis."))
CLIENTS, FULL, BEHIND_MIN, SERVER_KILLS = 6, 1_000_000, 20, 3


class Carts:
    """One cart, full at first, of which clients take one piece after the other, each under a key of its own."""

    def __init__(self, folder):
        if not shutil.which("redis-server"):
            pytest.skip("NOT RUN WITH REDIS: apt-get install redis-server")
        build_crash_programs()
        programs = pathlib.Path(FREEHOLD).parent / "tests" / "crash"
        shutil.copytree(ROOT / "examples" / "shop", folder / "shop")
        file = folder / "shop" / "freehold.yaml"
        text = re.sub(r"program: (\w+)", rf"program: {programs}/\1", file.read_text())
        text, changed = re.subn(rf"({programs}/carts)\b", r"\1, engine: redis", text)
        assert changed == 1
        file.write_text(text)
        os.environ["FREEHOLD_CRASH"] = ORDER  # of `up`, and so of its services
        self.state = open_folder()  # the server is another user
        self.system = System(file, pathlib.Path(self.state) / "state").up()
        self.address = self.system.services()["carts"]["address"]  # kept through every restart
        self.taken = self.number = 0
        self.over = False

    async def ask(self, method, path, body=None, user=None):
        """As this user through the gateway, or else as an operator."""
        self.number += 1
        key = f"piece-{self.number}"
        address = f"127.0.0.1:{self.system.port}" if user else self.address
        headers = [] if user else [("Freehold-Token", self.system.token("operator", "carts"))]
        async with Shop(f"http://{address}", 1, patience_s=120, issuer=Issuer()) as carts:
            return await carts.request(method, path, body, key=key, headers=headers, user=user)

    async def fill(self):
        answer = await self.ask("PUT", "/api/carts/7/items/p1", {"quantity": FULL}, user=7)
        assert answer.status == 200, answer.body
        self.taken, self.over = 0, False

    async def taker(self):
        while not self.over:
            one = {"items": [{"product_id": "p1", "quantity": 1}]}
            answer = await self.ask("POST", "/api/carts/7/remove", one)
            assert answer.status == 204, answer.body
            self.taken += 1

    async def goes_on(self):
        wanted = self.taken + BEHIND_MIN
        await asyncio.to_thread(wait_for, "it goes on", lambda: self.taken >= wanted)

    async def kill_at(self, point):
        order = pathlib.Path(self.system.state) / "carts" / ORDER
        try:
            await self.goes_on()
            before = await asyncio.to_thread(self.system.pid, "carts")
            draft = order.with_suffix(".draft")
            draft.write_text(f"{point}:2")
            draft.chmod(0o644)  # the service may be another user
            draft.rename(order)
            await asyncio.to_thread(wait_for, f"carts pass {point}", lambda: not order.exists(), FIRED_S_MAX)
            await asyncio.to_thread(
                wait_for, "carts are back",
                lambda: (one := self.system.services()["carts"])["ready"] and one["pid"] != before)
            await self.goes_on()
        finally:
            self.over = True
            order.unlink(missing_ok=True)

    async def kill_server(self):
        try:
            for _ in range(SERVER_KILLS):
                await self.goes_on()
                [keeper] = [one["pid"] for one in self.system.status()["servers"]]
                [server] = pathlib.Path(f"/proc/{keeper}/task/{keeper}/children").read_text().split()
                os.kill(int(server), signal.SIGKILL)
            await self.goes_on()
        finally:
            self.over = True

    async def check(self, killer):
        await self.fill()
        async with asyncio.TaskGroup() as group:
            group.create_task(killer())
            for _ in range(CLIENTS):
                group.create_task(self.taker())
        cart = await self.ask("GET", "/api/carts/7", user=7)
        assert cart.json()["items"] == [{"product_id": "p1", "quantity": FULL - self.taken}]


@pytest.fixture(scope="module")
def carts(tmp_path_factory):
    print(f"FREEHOLD_SEED={SEED}")
    running = Carts(tmp_path_factory.mktemp("redis"))
    yield running
    del os.environ["FREEHOLD_CRASH"]
    running.system.stop(check=False)
    shutil.rmtree(running.state)


def check(carts, killer):
    try:
        asyncio.run(carts.check(killer))
    except BaseException:
        print(carts.system.logs())
        raise


@pytest.mark.parametrize("point", POINTS)
def test_killed_there_each_piece_was_taken_once(carts, point):
    check(carts, lambda: carts.kill_at(point))


def test_with_its_server_killed_each_piece_was_taken_once(carts):
    check(carts, carts.kill_server)
