# SPDX-License-Identifier: Apache-2.0
"""Three instances of one service under load; one is killed, one is paused and wakes up again, and each dies in the
middle of taking over. What they had is taken over, nothing is lost or done twice, and the order of each key is kept.

The shop's orders are one service whose events, sagas and requests its instances share."""

import asyncio
import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import sys
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "tests" / "crash"), str(ROOT / "tests" / "scenario"), str(ROOT / "examples" / "shop")]
from books import Load  # noqa: E402
from client import Shop  # noqa: E402
from conftest import FREEHOLD, SHOP_FILE, System, build_crash_programs, named, open_folder, wait_for  # noqa: E402
from issuer import Issuer  # noqa: E402
from test_points import NAMES  # noqa: E402
from test_servers import sql  # noqa: E402

CLIENTS = 8
TAKEN_FOR_DEAD = "This instance was taken for dead"
RENAMED = 3          # users whose names change all the time


POINTS = sorted(name for name in NAMES if name.startswith("lease."))
ORDER = "crash"  # the file, in the service's own folder: whichever process passes the point first dies there


def three_instances(folder, change=lambda text: text):
    """The shop with orders in three processes, on a PostgreSQL server of its own."""
    shop = shutil.copytree(SHOP_FILE.parent, folder / "shop", ignore=shutil.ignore_patterns("*.c"))
    text = (shop / "freehold.yaml").read_text()
    changed = text.replace("orders: { engine: postgresql }", "orders: { engine: postgresql, instances: 3 }")
    assert changed != text
    (shop / "freehold.yaml").write_text(change(changed))
    return System(shop / "freehold.yaml", folder / "s", "postgresql").up()


@pytest.fixture(name="system")
def plain():
    named("postgresql")
    folder = open_folder()
    system = three_instances(folder)
    yield system
    system.stop(check=False)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(name="dying")
def with_crash_points(monkeypatch):
    named("postgresql")
    build = pathlib.Path(FREEHOLD).parent
    build_crash_programs()
    monkeypatch.setenv("FREEHOLD_CRASH", ORDER)  # of `up`, and so of its services
    folder = open_folder()
    system = three_instances(
        folder, lambda text: re.sub(r"program: (\w+)", rf"program: {build}/tests/crash/\1", text))
    yield system
    system.stop(check=False)
    shutil.rmtree(folder, ignore_errors=True)


class Run(Load):
    def __init__(self, system, shop, seed, timeouts=True):
        super().__init__(system, shop, seed, timeouts)
        self.store = json.loads((pathlib.Path(system.state) / "orders" / "service.json").read_text())["store"]
        self.names = {}

    def column(self, statement):
        return [row[0] for row in sql(self.store, statement)]

    def pid(self, instance):
        def ready():
            found = self.system.services()["orders"]["instances"]
            return next((one["pid"] for one in found if one["instance"] == instance and one["ready"]), None)
        return wait_for(f"instance {instance} is ready", ready)

    def life(self, instance):
        return self.column(f"SELECT owner FROM fh_lease WHERE name = 'instance {instance}'")[0]

    def had(self, life):
        return int(self.column(f"SELECT count(*) FROM fh_lease WHERE owner = '{life}'")[0])

    async def silence(self, instance, pid, number):
        """Until others have all that the instance had; returns when it fell silent."""
        life = await asyncio.to_thread(self.life, instance)
        assert await asyncio.to_thread(self.had, life) > 1, "it has shares to lose"
        began = time.monotonic()
        os.kill(pid, number)
        await asyncio.to_thread(wait_for, "the others take over", lambda: self.had(life) == 0)
        print(f"instance {instance}, {signal.Signals(number).name}: "
              f"taken over {1000 * (time.monotonic() - began):.0f} ms later")
        return began

    async def wake_up(self, instance):
        """It is paused for as long as it takes, since `up`, which would kill it for its silence, is suspended, too."""
        up = (await asyncio.to_thread(self.system.status))["up_pid"]
        pid, noticed = await asyncio.to_thread(self.pid, instance), self.log().count(TAKEN_FOR_DEAD)
        os.kill(up, signal.SIGSTOP)
        try:
            await self.silence(instance, pid, signal.SIGSTOP)
            await self.more_orders()
            os.kill(pid, signal.SIGCONT)
            await asyncio.to_thread(wait_for, "it notices that it was taken for dead",
                                    lambda: self.log().count(TAKEN_FOR_DEAD) > noticed)
        finally:
            os.kill(up, signal.SIGCONT)
        assert await asyncio.to_thread(self.pid, instance) == pid, "it goes on"

    def log(self):
        return "\n".join(path.read_text() for path in pathlib.Path(self.system.state).glob("orders/log*"))

    async def balanced(self):
        """Each of three has some of both subscriptions."""
        statement = ("SELECT count(DISTINCT owner) FROM fh_lease WHERE owner <> '' AND name LIKE 'share %'"
                     " GROUP BY split_part(name, ' ', 2)")
        await asyncio.to_thread(wait_for, "all have shares again",
                                lambda: self.column(statement) == ["3", "3"])

    async def closed(self):
        """Whoever ran them, and whoever notifies: receivers know of every saga that it has ended."""
        await asyncio.to_thread(wait_for, "all ended sagas are closed", lambda: self.column(
            "SELECT count(*) FROM fh_saga WHERE closed = 0") == ["0"])

    async def more_orders(self):
        orders = len(self.orders)
        await asyncio.to_thread(wait_for, "orders come through", lambda: len(self.orders) > orders + 5)

    async def trouble(self):
        try:
            await self.balanced()
            await self.more_orders()
            await self.silence(1, await asyncio.to_thread(self.pid, 1), signal.SIGKILL)
            await self.balanced()
            await self.more_orders()
            await self.wake_up(2)
            await self.balanced()
            await self.more_orders()
            pid = await asyncio.to_thread(self.pid, 0)
            began = await self.silence(0, pid, signal.SIGSTOP)
            await asyncio.sleep(10 - (time.monotonic() - began))
            try:
                os.kill(pid, signal.SIGCONT)
            except ProcessLookupError:
                pass  # `up` has killed it for its silence, and started it again
            await self.balanced()
            await self.more_orders()
        finally:
            self.over = True

    async def order_once(self, user):
        """From then on the name that orders show comes by events alone. The first one is queried, and may be newer than
        events that are still to come."""
        body = {"user_id": user, "payment_token": "tok_visa", "address": "2 Quay Street",
                "items": [{"product_id": "p2", "quantity": 1}]}
        answer = await self.shop.request("POST", "/api/orders", body, key=f"first-{user}", user=user)
        assert answer.status == 202, answer.body
        self.orders[f"first-{user}"] = answer.json()["id"]

    async def rename(self, user):
        """One after the other, so that users publish them in this order."""
        self.names[user] = 0
        while not self.over:
            number = self.names[user] + 1
            answer = await self.shop.request("PATCH", f"/api/users/{user}", {"name": f"N{number}"},
                                             key=f"rename-{user}-{number}", user=user)
            assert answer.status == 200, answer.body
            self.names[user] = number
            await asyncio.sleep(0.01)

    async def watch(self, user):
        """The name that orders know never goes back."""
        number = 0
        while not self.over:
            orders = (await self.shop.request("GET", f"/api/orders?user_id={user}&limit=1", user=user)).json()
            name = orders[0]["user_name"]
            seen = int(name[1:]) if name.startswith("N") else 0
            assert seen >= number, f"user {user} was N{number}, and then {name}"
            number = seen
            await asyncio.sleep(0.02)


async def under_load(system):
    async with Shop(f"http://127.0.0.1:{system.port}", CLIENTS * 3, patience_s=120, issuer=Issuer()) as shop:
        run = Run(system, shop, 1)
        await run.prepare(CLIENTS)
        for user in run.users[:RENAMED]:
            await run.order_once(user)
        async with asyncio.TaskGroup() as group:
            group.create_task(run.trouble())
            for _ in range(CLIENTS):
                group.create_task(run.client())
            for user in run.users[:RENAMED]:
                group.create_task(run.rename(user))
                group.create_task(run.watch(user))
        await run.at_rest()
        (await run.read()).check(run)
        await run.closed()
        for user, number in run.names.items():
            orders = (await shop.request("GET", f"/api/orders?user_id={user}&limit=1", user=user)).json()
            assert orders[0]["user_name"] == f"N{number}"
        print(f"{len(run.orders)} orders and {sum(run.names.values())} renamings")


def test_an_instance_killed_and_others_paused_lose_nothing_and_double_nothing(system):
    try:
        asyncio.run(under_load(system))
    except BaseException:
        print(system.logs())
        raise
    log = "\n".join(path.read_text() for path in pathlib.Path(system.state).glob("orders/log*"))
    assert "does not respond: its leases are taken over" in log
    assert TAKEN_FOR_DEAD in log


class Dying(Run):
    """An instance is killed, so that another one takes over, and dies at a point of that, and so on."""

    def order(self):
        return pathlib.Path(self.system.state) / "orders" / ORDER

    async def trouble(self):
        try:
            for point in POINTS:
                await self.balanced()
                await self.more_orders()
                draft = self.order().with_suffix(".draft")
                draft.write_text(f"{point}:1")
                draft.rename(self.order())
                # The instance with the lease "sagas" adopts when another one has gone; it may be this one's turn.
                while self.order().exists():
                    instance = self.random.randrange(3)
                    with contextlib.suppress(ProcessLookupError):  # it may just have died at the point itself
                        os.kill(await asyncio.to_thread(self.pid, instance), signal.SIGKILL)
                    await asyncio.sleep(1)
                await self.balanced()
        finally:
            self.over = True
            self.order().unlink(missing_ok=True)


async def dying_under_load(system):
    async with Shop(f"http://127.0.0.1:{system.port}", CLIENTS * 2, patience_s=120, issuer=Issuer()) as shop:
        run = Dying(system, shop, 1, timeouts=False)
        await run.prepare(CLIENTS)
        async with asyncio.TaskGroup() as group:
            group.create_task(run.trouble())
            for _ in range(CLIENTS):
                group.create_task(run.client())
        await run.at_rest()
        (await run.read()).check(run)
        await run.closed()


def test_an_instance_dies_while_it_takes_over_and_the_books_balance(dying):
    assert POINTS, "the sources have crash points where leases are taken"
    try:
        asyncio.run(dying_under_load(dying))
    except BaseException:
        print(dying.logs())
        raise
