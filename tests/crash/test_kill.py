# SPDX-License-Identifier: Apache-2.0
"""kill -9 at random, of services and of the gateway, under load: no acknowledged order is lost, none is done twice, every
saga ends, and the books balance.

FREEHOLD_KILLS says how often, FREEHOLD_SEED repeats a choice of victims."""

import asyncio
import collections
import os
import pathlib
import random
import signal
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "tests" / "scenario"), str(ROOT / "examples" / "shop")]
from client import Shop, in_parallel  # noqa: E402
from conftest import System, wait_for  # noqa: E402

KILLS = int(os.environ.get("FREEHOLD_KILLS", "100"))
SEED = int(os.environ.get("FREEHOLD_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 31)
VICTIMS = ("users", "products", "payments", "orders", "gateway")
PRODUCTS, USERS = 20, 10
STOCK = {f"p{i}": 100 if i < 2 else 1_000_000 for i in range(PRODUCTS)}  # two of them run out
CLIENTS = 16
REST_S_MAX = 180


class Run:
    def __init__(self, system, shop):
        self.system, self.shop = system, shop
        self.random = random.Random(SEED)
        self.users, self.orders = [], {}  # key -> the acknowledged order's id
        self.number, self.over = 0, False

    async def prepare(self):
        async def product(i):
            body = {"id": f"p{i}", "name": f"Product {i}", "price": 100 + i,
                    "stock": STOCK[f"p{i}"]}
            assert (await self.shop.request("POST", "/api/products", body, key=f"p{i}")).status == 201

        async def user(i):
            body = {"name": f"User {i}", "email": f"user-{i}@example.org"}
            answer = await self.shop.request("POST", "/api/users", body, key=f"u{i}")
            self.users.append(answer.json()["id"])

        await in_parallel(product, range(PRODUCTS), CLIENTS)
        await in_parallel(user, range(USERS), CLIENTS)

    async def client(self):
        while not self.over:
            self.number += 1
            key, i = f"order-{self.number}", self.number
            token = "tok_declined" if i % 11 == 0 else "tok_timeout" if i % 37 == 0 else "tok_visa"
            body = {"user_id": self.random.choice(self.users), "payment_token": token,
                    "items": [{"product_id": f"p{n}", "quantity": self.random.randint(1, 3)}
                              for n in self.random.sample(range(PRODUCTS), 2)]}
            answer = await self.shop.request("POST", "/api/orders", body, key=key)
            assert answer.status == 202, (key, answer.status, answer.body)
            self.orders[key] = answer.json()["id"]
            await asyncio.sleep(self.random.uniform(0, 0.1))

    async def killer(self):
        """Each kill waits until its victim and some orders have come through since the last one."""
        killed = set()  # `up` may not have noticed yet
        try:
            for _ in range(KILLS):
                acknowledged = len(self.orders)
                victim = self.random.choice(VICTIMS)
                until = time.monotonic() + 60
                while True:
                    status = await asyncio.to_thread(self.system.status)
                    found = next(one for one in [status["gateway"], *status["services"]]
                                 if one["name"] == victim)
                    if found["ready"] and found["pid"] not in killed and \
                            len(self.orders) > acknowledged:
                        break
                    assert time.monotonic() < until, f"{victim} is not back, or no order comes through"
                    await asyncio.sleep(0.02)
                await asyncio.sleep(self.random.uniform(0, 0.05))  # somewhere in the midst of things
                os.kill(found["pid"], signal.SIGKILL)
                killed.add(found["pid"])
        finally:
            self.over = True

    async def books(self):
        orders = {}
        for user in self.users:
            after = 0
            while True:
                page = (await self.shop.request(
                    "GET", f"/api/orders?user_id={user}&after={after}&limit=100")).json()
                orders.update((order["id"], order) for order in page)
                if len(page) < 100:
                    break
                after = page[-1]["id"]
        products = (await self.shop.request("GET", "/api/products?limit=1000")).json()
        users = (await self.shop.request("GET", "/api/users?ids=" + ",".join(map(str, self.users)))).json()
        return orders, {p["id"]: p["stock"] for p in products}, {u["id"]: u["order_count"] for u in users}

    def payments(self):
        found, after = [], ""
        while True:
            page = self.system.call("payments", "GET", f"/api/payments?limit=1000{after}").body
            found += page
            if len(page) < 1000:
                return found
            after = "&after=" + page[-1]["id"]


async def under_load(system):
    async with Shop(f"http://127.0.0.1:{system.port}", CLIENTS * 2, patience_s=60) as shop:
        run = Run(system, shop)
        await run.prepare()
        async with asyncio.TaskGroup() as group:
            group.create_task(run.killer())
            for _ in range(CLIENTS):
                group.create_task(run.client())
        await asyncio.to_thread(wait_for, "every saga ends and every event is applied", system.at_rest, REST_S_MAX)
        return run, await run.books(), run.payments()


def test_kill_9_at_random_loses_nothing_and_does_nothing_twice(tmp_path):
    print(f"FREEHOLD_SEED={SEED} FREEHOLD_KILLS={KILLS}")
    system = System(ROOT / "examples" / "shop" / "freehold.yaml", tmp_path / "state").up()
    try:
        run, (orders, stock, counts), payments = asyncio.run(under_load(system))
    except BaseException:
        print(system.logs())
        raise
    finally:
        system.stop(check=False)

    assert sorted(run.orders.values()) == sorted(orders), "acknowledged orders, each once, and no other"
    assert {order["status"] for order in orders.values()} <= {"CONFIRMED", "CANCELLED"}
    confirmed = {i: order for i, order in orders.items() if order["status"] == "CONFIRMED"}
    assert confirmed, "some orders came through"

    sold = collections.Counter()
    for order in confirmed.values():
        for item in order["items"]:
            sold[item["product_id"]] += item["quantity"]
    assert stock == {name: quantity - sold[name] for name, quantity in STOCK.items()}

    charged = {p["order_id"]: p["amount"] for p in payments if p["status"] == "CHARGED"}
    assert len(charged) == sum(p["status"] == "CHARGED" for p in payments), "no order is charged twice"
    assert charged == {i: order["total"] for i, order in confirmed.items()}

    expected = collections.Counter(order["user_id"] for order in confirmed.values())
    assert counts == {user: expected[user] for user in run.users}
    print(f"{len(orders)} orders, {len(confirmed)} confirmed, {KILLS} kills,"
          f" {run.shop.repeated} requests repeated")
