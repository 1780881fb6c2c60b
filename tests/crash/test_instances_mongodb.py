# SPDX-License-Identifier: Apache-2.0
"""Three processes each of two services on MongoDB, under load. They take turns in writing: they are killed, paused until
`up` kills them, and paused and woken up again, with the turn or without; nothing is lost or done twice."""

import asyncio
import os
import pathlib
import re
import shutil
import signal
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "tests" / "crash"), str(ROOT / "tests" / "scenario"), str(ROOT / "examples" / "shop")]
import mongodb  # noqa: E402
from books import Load  # noqa: E402
from client import Shop  # noqa: E402
from conftest import System, open_folder, wait_for  # noqa: E402
from issuer import Issuer  # noqa: E402

CLIENTS = 6
INSTANCES = 3
KILLS = 3         # of each service's instances, one after the other
PAUSED_S = 2      # and then continues as if nothing had happened
SERVICES = ("payments", "products")


@pytest.fixture(name="system", params=sorted(mongodb.VARIABLES))
def three_instances(request):
    folder = open_folder()
    file = mongodb.shop_file(folder, request.param)
    text = re.sub(r"(payments|products), engine: mongodb,", rf"\1, engine: mongodb, instances: {INSTANCES},",
                  file.read_text())
    assert text.count(f"instances: {INSTANCES}") == len(SERVICES)
    file.write_text(text)
    system = System(file, folder / "s", None).up()
    yield system
    system.stop(check=False)
    shutil.rmtree(folder, ignore_errors=True)


class Run(Load):
    async def pid(self, service, instance):
        def ready():
            found = self.system.services()[service]["instances"]
            return next((one["pid"] for one in found if one["instance"] == instance and one["ready"]), None)
        return await asyncio.to_thread(wait_for, f"{service}/{instance} is ready", ready)

    async def another(self, service, instance, pid):
        def is_another():
            found = self.system.services()[service]["instances"]
            return any(one["instance"] == instance and one["ready"] and one["pid"] != pid for one in found)
        await asyncio.to_thread(wait_for, f"{service}/{instance} is started again", is_another)

    async def more_orders(self):
        orders = len(self.orders)
        await asyncio.to_thread(wait_for, "orders come through", lambda: len(self.orders) > orders + 5)

    async def kill(self, service, instance):
        pid = await self.pid(service, instance)
        os.kill(pid, signal.SIGKILL)
        await self.more_orders()
        await self.another(service, instance, pid)

    async def pause_for_good(self, service, instance):
        pid = await self.pid(service, instance)
        os.kill(pid, signal.SIGSTOP)
        await self.another(service, instance, pid)
        await self.more_orders()

    async def pause_and_wake_up(self, service, instance):
        pid = await self.pid(service, instance)
        os.kill(pid, signal.SIGSTOP)
        await asyncio.sleep(PAUSED_S)
        try:
            os.kill(pid, signal.SIGCONT)
        except ProcessLookupError:
            pass  # `up` has killed it for its silence, and started it again
        await self.more_orders()

    async def trouble(self):
        try:
            await self.more_orders()
            for number in range(KILLS):
                for service in SERVICES:
                    await self.kill(service, number % INSTANCES)
            for service in SERVICES:
                for instance in range(INSTANCES):
                    await self.pause_and_wake_up(service, instance)
            await self.pause_for_good("payments", 1)
            await self.pause_for_good("products", 0)
        finally:
            self.over = True


async def under_load(system):
    async with Shop(f"http://127.0.0.1:{system.port}", CLIENTS * 3, patience_s=120, issuer=Issuer()) as shop:
        run = Run(system, shop, 1)
        await run.prepare(CLIENTS)
        async with asyncio.TaskGroup() as group:
            group.create_task(run.trouble())
            for _ in range(CLIENTS):
                group.create_task(run.client())
        await run.at_rest()
        (await run.read()).check(run)
        print(f"{len(run.orders)} orders")


def test_instances_killed_and_paused_lose_nothing_and_double_nothing(system):
    try:
        asyncio.run(under_load(system))
    except BaseException:
        print(system.logs())
        raise
