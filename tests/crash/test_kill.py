# SPDX-License-Identifier: Apache-2.0
"""kill -9 at random, of services and of the gateway, under load: no acknowledged order is lost, none is done twice, every
saga ends, and the books balance.

On the embedded stores, and less often on each profile with servers. FREEHOLD_KILLS says how often, FREEHOLD_SEED repeats
a choice of victims."""

import asyncio
import os
import pathlib
import random
import signal
import sys
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "tests" / "crash"), str(ROOT / "tests" / "scenario"), str(ROOT / "examples" / "shop")]
from books import Load  # noqa: E402
from client import Shop  # noqa: E402
from conftest import CONDITION_S_MAX, EVERY_BUS, PROFILES, SHOP_SERVICES, System, folder_for, named  # noqa: E402
from issuer import Issuer  # noqa: E402

KILLS = int(os.environ.get("FREEHOLD_KILLS", "0"))
KILLS_USUAL = {"embedded": 100}
KILLS_ELSEWHERE = 25
SEED = int(os.environ.get("FREEHOLD_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 31)
VICTIMS = (*SHOP_SERVICES, "gateway")
CLIENTS = 16


class Run(Load):
    kills = 0

    async def killer(self):
        """Each kill waits until its victim and some orders have come through since the last one."""
        killed = set()  # `up` may not have noticed yet
        try:
            for _ in range(self.kills):
                acknowledged = len(self.orders)
                victim = self.random.choice(VICTIMS)
                until = time.monotonic() + CONDITION_S_MAX
                while True:
                    status = await asyncio.to_thread(self.system.status)
                    found = next(one for one in [status["gateway"], *status["services"]]
                                 if one["name"] == victim)
                    if found["ready"] and found["pid"] not in killed and \
                            len(self.orders) > acknowledged:
                        break
                    assert time.monotonic() < until, f"{victim} is not back, or no order comes through"
                    await asyncio.sleep(0.02)
                await asyncio.sleep(self.random.uniform(0, 0.05))  # somewhere in the middle of things
                os.kill(found["pid"], signal.SIGKILL)
                killed.add(found["pid"])
        finally:
            self.over = True


async def under_load(system, kills):
    async with Shop(f"http://127.0.0.1:{system.port}", CLIENTS * 2, patience_s=120, issuer=Issuer()) as shop:
        run = Run(system, shop, SEED)
        run.kills = kills
        await run.prepare(CLIENTS)
        async with asyncio.TaskGroup() as group:
            group.create_task(run.killer())
            for _ in range(CLIENTS):
                group.create_task(run.client())
        await run.at_rest()
        return run, await run.read()


@pytest.mark.parametrize("profile", (*PROFILES, *EVERY_BUS))
def test_kill_9_at_random_loses_nothing_and_does_nothing_twice(profile, request):
    kills = KILLS or KILLS_USUAL.get(profile, KILLS_ELSEWHERE)
    print(f"FREEHOLD_SEED={SEED} FREEHOLD_KILLS={kills}")
    system = System(ROOT / "examples" / "shop" / "freehold.yaml", folder_for(request) / "state", named(profile)).up()
    try:
        run, books = asyncio.run(under_load(system, kills))
    except BaseException:
        print(system.logs())
        raise
    finally:
        system.stop(check=False)

    books.check(run)
    assert books.confirmed, "some orders came through"
    print(f"{len(books.orders)} orders, {len(books.confirmed)} confirmed, {kills} kills,"
          f" {run.shop.repeated} requests repeated")
