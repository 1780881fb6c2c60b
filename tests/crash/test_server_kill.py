# SPDX-License-Identifier: Apache-2.0
"""kill -9 of database servers under load: the other services go on, the server comes back by itself and its services with
it, no acknowledged order is lost, none is done twice, and the books balance.

FREEHOLD_KILLS says how often each server is killed, FREEHOLD_SEED repeats what chance draws."""

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
from conftest import CONDITION_S_MAX, PROFILES, System, folder_for, named  # noqa: E402
from issuer import Issuer  # noqa: E402
from test_servers import keepers, ready_again, server_pid  # noqa: E402

KILLS = int(os.environ.get("FREEHOLD_KILLS", "0"))
KILLS_USUAL = 4  # of all servers together
SEED = int(os.environ.get("FREEHOLD_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 31)
CLIENTS = 4
MORE = 10  # orders, before and after each kill
# The services of a server by its name; those on no server are never touched.
SERVICES = {"shared": ("users", "orders")}
READ = {"users": "/api/users?ids=1", "products": "/api/products?limit=1", "orders": "/api/orders?user_id=1",
        "payments": None}  # an internal route only


class Run(Load):
    pause_s = 1  # no more than the slowest of the servers can take: waiting is not what is tested here
    down_s = None  # {server: the longest time from its death until all was as before}

    def services_of(self, server):
        name = server.rsplit("-", 1)[0]
        return SERVICES.get(name, (name,))

    async def more_orders(self, count):
        wanted, end = len(self.orders) + count, time.monotonic() + CONDITION_S_MAX
        while len(self.orders) < wanted:
            assert time.monotonic() < end, f"no orders come through: {self.system.status()}"
            await asyncio.sleep(0.01)

    async def others_answer(self, server):
        """At once, though a server has just died; each several times, so that none was only lucky."""
        for _ in range(5):
            for service, path in READ.items():
                if path and service not in self.services_of(server):
                    answer = await asyncio.to_thread(self.system.http, "GET", path)
                    assert answer.status == 200, (server, service, answer)

    async def all_answer(self):
        """Several times in a row: each of a service's connections notices for itself that its server is back."""
        good, end = 0, time.monotonic() + CONDITION_S_MAX
        while good < 20:
            for path in filter(None, READ.values()):
                answer = await asyncio.to_thread(self.system.http, "GET", path)
                good = good + 1 if answer.status == 200 else 0
                assert answer.status in (200, 503) and time.monotonic() < end, (path, answer)

    async def kill(self, server):
        before = await asyncio.to_thread(self.system.services)
        keeper = (await asyncio.to_thread(keepers, self.system))[server]["pid"]
        await asyncio.sleep(self.random.uniform(0, 0.1))  # somewhere in the middle of things
        os.kill(server_pid(keeper), signal.SIGKILL)
        died = time.monotonic()
        await self.others_answer(server)
        await asyncio.to_thread(ready_again, self.system, server, keeper)
        await self.more_orders(MORE)
        await self.all_answer()
        self.down_s[server] = max(self.down_s.get(server, 0), time.monotonic() - died)
        after = await asyncio.to_thread(self.system.services)
        for name, one in after.items():
            assert one["pid"] == before[name]["pid"], f"{name} has died of {server}'s death: it {one['last_end']}"

    async def killer(self):
        try:
            servers = sorted(await asyncio.to_thread(keepers, self.system))
            for server in servers * (KILLS or max(1, KILLS_USUAL // len(servers))):
                await self.more_orders(MORE)
                await self.kill(server)
        finally:
            self.over = True


async def under_load(system):
    async with Shop(f"http://127.0.0.1:{system.port}", CLIENTS * 2, patience_s=120, issuer=Issuer()) as shop:
        run = Run(system, shop, SEED)
        run.down_s = {}
        await run.prepare(CLIENTS)
        async with asyncio.TaskGroup() as group:
            group.create_task(run.killer())
            for _ in range(CLIENTS):
                group.create_task(run.client())
        await run.at_rest()
        return run, await run.read()


@pytest.mark.parametrize("profile", [profile for profile in PROFILES if profile != "embedded"])
def test_a_server_that_is_killed_under_load_comes_back_and_nothing_is_lost(profile, request):
    print(f"FREEHOLD_SEED={SEED}")
    system = System(ROOT / "examples" / "shop" / "freehold.yaml", folder_for(request) / "state", named(profile)).up()
    try:
        run, books = asyncio.run(under_load(system))
    except BaseException:
        for command in ("status", "saga list", "parked list"):
            print(system.command(*command.split(), "--state", system.state, check=False).stdout)
        print(system.logs())
        raise
    finally:
        system.stop(check=False)
    books.check(run)
    assert books.confirmed, "some orders came through"
    print(f"{len(books.orders)} orders, {len(books.confirmed)} confirmed, {run.shop.repeated} requests repeated, "
          f"as before after {run.down_s}")
