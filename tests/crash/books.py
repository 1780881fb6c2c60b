# SPDX-License-Identifier: Apache-2.0
"""The shop under load, and its books: what crash tests share. Clients place orders, each under a key, repeated until it
is acknowledged; afterwards the books must balance to the last piece and cent."""

import asyncio
import collections
import pathlib
import random
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "tests" / "scenario"), str(ROOT / "examples" / "shop")]
from client import in_parallel  # noqa: E402
from conftest import wait_for  # noqa: E402

PRODUCTS, USERS = 20, 10
STOCK = {f"p{i}": 100 if i < 2 else 1_000_000 for i in range(PRODUCTS)}  # two of them run out
REST_S_MAX = 180


class Load:
    pause_s = 0.1  # at most, between two orders of a client
    behind_max = 4  # orders of a client that have not ended: slow stores should be tested, not overwhelmed

    def __init__(self, system, shop, seed, timeouts=True):
        self.system, self.shop = system, shop
        self.random, self.timeouts = random.Random(seed), timeouts
        self.users, self.orders = [], {}  # key -> the acknowledged order's id
        self.number, self.over = 0, False

    async def prepare(self, at_once):
        async def product(i):
            body = {"id": f"p{i}", "name": f"Product {i}", "price": 100 + i,
                    "stock": STOCK[f"p{i}"]}
            answer = await self.shop.request("POST", "/api/products", body, key=f"p{i}", staff=True)
            assert answer.status == 201, answer.body

        async def user(i):
            body = {"name": f"User {i}", "email": f"user-{i}@example.org"}
            answer = await self.shop.request("POST", "/api/users", body, key=f"u{i}")
            self.users.append(answer.json()["id"])

        await in_parallel(product, range(PRODUCTS), at_once)
        await in_parallel(user, range(USERS), at_once)

    async def ended(self, order, user):
        while not self.over:
            answer = await self.shop.request("GET", f"/api/orders/{order}", user=user)
            if answer.status == 200 and answer.json()["status"] != "PENDING":
                return
            await asyncio.sleep(self.random.uniform(0, self.pause_s))

    async def client(self):
        behind = collections.deque()
        while not self.over:
            self.number += 1
            key, i = f"order-{self.number}", self.number
            late = "tok_timeout" if self.timeouts else "tok_visa"
            token = "tok_declined" if i % 11 == 0 else late if i % 37 == 0 else "tok_visa"
            address = "5 Coral Row, Atlantis" if i % 13 == 0 else "2 Quay Street"  # the first is refused
            body = {"user_id": self.random.choice(self.users), "payment_token": token, "address": address,
                    "items": [{"product_id": f"p{n}", "quantity": self.random.randint(1, 3)}
                              for n in self.random.sample(range(PRODUCTS), 2)]}
            answer = await self.shop.request("POST", "/api/orders", body, key=key, user=body["user_id"])
            assert answer.status == 202, (key, answer.status, answer.body)
            self.orders[key] = answer.json()["id"]
            behind.append((self.orders[key], body["user_id"]))
            if len(behind) > self.behind_max:
                await self.ended(*behind.popleft())
            await asyncio.sleep(self.random.uniform(0, self.pause_s))

    async def at_rest(self):
        try:
            await asyncio.to_thread(wait_for, "every saga ends and every event is applied",
                                    self.system.at_rest, REST_S_MAX)
        except AssertionError as error:
            sagas = self.system.command("saga", "list", "--state", self.system.state, check=False).stdout
            raise AssertionError("\n".join([str(error), *self.system.unrest(), sagas])) from error

    async def history(self, user):
        found, after = [], ""
        while True:
            path = f"/api/users/{user}/orders/history?limit=100{after}"
            page = (await self.shop.request("GET", path, user=user)).json()
            found += [one["order_id"] for one in page]
            if len(page) < 100:
                return found
            after = f"&after={found[-1]}"

    async def listed(self):
        """What the list shows of each order, page by page."""
        found, path = [], "/api/views/orders?limit=100"
        while path:
            answer = await self.shop.request("GET", path, staff=True)
            found += answer.json()
            following = re.fullmatch(r'<(.*)>; rel="next"', answer.headers.get("link", ""))
            path = following and following.group(1)
        return found

    async def read(self):
        orders = {}
        for user in self.users:
            after = 0
            while True:
                page = (await self.shop.request(
                    "GET", f"/api/orders?user_id={user}&after={after}&limit=100", user=user)).json()
                orders.update((order["id"], order) for order in page)
                if len(page) < 100:
                    break
                after = page[-1]["id"]
        products = (await self.shop.request("GET", "/api/products?limit=1000")).json()
        stock = {one["id"]: one["quantity"] for one in await asyncio.to_thread(self.all_of, "inventory", "stock")}
        assert {p["id"]: p["stock"] for p in products} == stock, "the products show what the inventory has"
        users = (await self.shop.request("GET", "/api/users?ids=" + ",".join(map(str, self.users)), staff=True)).json()
        histories = {user: await self.history(user) for user in self.users}
        outcomes = (await self.shop.request("GET", "/api/reports/outcomes", staff=True)).json()
        return Books(orders, stock, {u["id"]: u["order_count"] for u in users}, histories,
                     await asyncio.to_thread(self.all_of, "payments"),
                     await asyncio.to_thread(self.all_of, "shipping", "shipments"), await self.listed(), outcomes)

    def all_of(self, service, what=None):
        found, after = [], ""
        while True:
            page = self.system.call(service, "GET", f"/api/{what or service}?limit=1000{after}").body
            found += page
            if len(page) < 1000:
                return found
            after = f"&after={page[-1]['id']}"


class Books:
    def __init__(self, orders, stock, counts, histories, payments, shipments, listed, outcomes):
        self.orders, self.stock, self.counts, self.histories = orders, stock, counts, histories
        self.payments, self.shipments = payments, shipments
        self.listed, self.outcomes = listed, outcomes
        self.confirmed = {i: order for i, order in orders.items() if order["status"] == "CONFIRMED"}

    def check(self, load):
        assert sorted(load.orders.values()) == sorted(self.orders), \
            "acknowledged orders, each once, and no other"
        assert {order["status"] for order in self.orders.values()} <= {"CONFIRMED", "CANCELLED"}

        sold = collections.Counter()
        for order in self.confirmed.values():
            for item in order["items"]:
                sold[item["product_id"]] += item["quantity"]
        assert self.stock == {name: quantity - sold[name] for name, quantity in STOCK.items()}

        charged = {p["order_id"]: p["amount"] for p in self.payments if p["status"] == "CHARGED"}
        assert len(charged) == sum(p["status"] == "CHARGED" for p in self.payments), \
            "no order is charged twice"
        assert charged == {i: order["total"] for i, order in self.confirmed.items()}

        sent = [(s["order_id"], s["id"], s["address"]) for s in self.shipments if s["status"] == "SENT"]
        assert sorted(sent) == sorted((i, order["shipment_id"], order["address"])
                                      for i, order in self.confirmed.items()), "each confirmed order is sent once"
        assert not any("Atlantis" in address for _, _, address in sent)

        expected = collections.Counter(order["user_id"] for order in self.confirmed.values())
        assert self.counts == {user: expected[user] for user in load.users}
        assert self.histories == {user: sorted((i for i, order in self.confirmed.items() if order["user_id"] == user),
                                               reverse=True)
                                  for user in load.users}, "each confirmed order is in its user's history once"
        self.check_copies()

    def check_copies(self):
        """What is made of events alone."""
        payments = {one["order_id"]: one["status"] for one in self.payments}
        shipments = {one["order_id"]: one["status"] for one in self.shipments}
        shown = ("id", "user_id", "user_name", "status", "total", "created_at", "items")
        assert self.listed == [{**{name: order[name] for name in shown},
                                "payment": payments.get(i), "shipment": shipments.get(i)}
                               for i, order in sorted(self.orders.items(), reverse=True)], "the list shows each order as it is"
        sums = collections.defaultdict(lambda: [0, 0])
        for order in self.orders.values():
            step = order["reason"].split(":")[0] if order["reason"] else None
            sums[order["status"], step][0] += 1
            sums[order["status"], step][1] += order["total"]
        assert {(row["outcome"], row["refused_by"]): [row["orders"], row["cents"]] for row in self.outcomes} == sums, \
            "the report sums up all orders"
