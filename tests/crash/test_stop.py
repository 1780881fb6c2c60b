# SPDX-License-Identifier: Apache-2.0
"""Services that are stopped under load (SIGSTOP): a stopped process keeps its store's lock and answers nobody, so `up`
kills it and starts another; no acknowledged order is lost, none is done twice, and the books balance."""

import asyncio
import os
import pathlib
import signal
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "tests" / "crash"), str(ROOT / "tests" / "scenario"), str(ROOT / "examples" / "shop")]
from books import Load  # noqa: E402
from client import Shop  # noqa: E402
from conftest import CONDITION_S_MAX, System  # noqa: E402
from issuer import Issuer  # noqa: E402

STOPPED = ("products", "orders")  # one of each model; one that receives commands, one that sends them
CLIENTS = 16


class Run(Load):
    async def until(self, what, condition):
        end = time.monotonic() + CONDITION_S_MAX
        while not (found := await condition()):
            assert time.monotonic() < end, f"waited {CONDITION_S_MAX} s: {what}"
            await asyncio.sleep(0.02)
        return found

    async def service(self, name):
        return (await asyncio.to_thread(self.system.services))[name]

    async def more_orders(self, count):
        async def are_there():
            return len(self.orders) >= wanted
        wanted = len(self.orders) + count
        await self.until("orders are acknowledged", are_there)

    async def stopper(self):
        try:
            for name in STOPPED:
                await self.more_orders(50)
                stopped = (await self.service(name))["pid"]
                os.kill(stopped, signal.SIGSTOP)

                async def is_replaced():
                    one = await self.service(name)
                    return one if one["ready"] and one["pid"] != stopped else None
                after = await self.until(f"{name} is replaced", is_replaced)
                assert "did not respond" in after["last_end"], after
                await self.more_orders(50)
        finally:
            self.over = True


async def under_load(system):
    async with Shop(f"http://127.0.0.1:{system.port}", CLIENTS * 2, patience_s=120, issuer=Issuer()) as shop:
        run = Run(system, shop, 1)
        await run.prepare(CLIENTS)
        async with asyncio.TaskGroup() as group:
            group.create_task(run.stopper())
            for _ in range(CLIENTS):
                group.create_task(run.client())
        await run.at_rest()
        return run, await run.read()


# Schedule 5.
def test_a_service_that_is_stopped_under_load_is_replaced_and_nothing_is_lost(tmp_path):
    system = System(ROOT / "examples" / "shop" / "freehold.yaml", tmp_path / "state").up()
    try:
        run, books = asyncio.run(under_load(system))
    except BaseException:
        print(system.logs())
        raise
    finally:
        system.stop(check=False)
    books.check(run)
    assert books.confirmed, "some orders came through"
    print(f"{len(books.orders)} orders, {len(books.confirmed)} confirmed, {run.shop.repeated} requests repeated")
