# SPDX-License-Identifier: Apache-2.0
"""The shop itself under the same faults: orders are placed, and its books must balance to the last piece and cent
(tests/crash/books.py). Whatever of it an engine can keep is on that engine, the rest is embedded."""

import asyncio
import json
import re
import sys
import types

from world import ROOT, World

sys.path[:0] = [str(ROOT / "tests" / "crash"), str(ROOT / "tests" / "scenario"), str(ROOT / "examples" / "shop")]
from books import Load  # noqa: E402
from client import Shop  # noqa: E402
from issuer import Issuer  # noqa: E402

ON = {"sqlite": (), "postgresql": ("users", "orders"), "mariadb": ("users", "orders"), "redis": ("carts",),
      "ferretdb": ("products", "payments"), "mongo-java-server": ("products", "payments")}
FILE = ROOT / "examples" / "shop" / "freehold.yaml"
PATIENCE_S, AT_ONCE = 240, 8


class ShopWorld(World):
    services = tuple(re.findall(r"^  (\w+): \{ program:", FILE.read_text(), re.MULTILINE))
    victims = ("orders", "orders", "payments", "inventory", "users", "products", "shipping", "gateway")
    receiver = "payments"

    def file(self):
        """A copy with stores behind the link, and programs and migrations by their paths."""
        text = FILE.read_text().split("\nservers:\n")[0]
        text = text.replace("system: shop", f"system: {self.system}").replace("keys: .login/", f"keys: {FILE.parent}/.login/")
        for name in self.services:
            program = self.freehold.parent / "examples" / "shop" / name
            migrations = FILE.parent / name / "migrations"
            more = f", migrations: {migrations}" if migrations.is_dir() else ""
            if name in ON[self.engine]:
                store = {"server": "main"} if self.name != "mongodb" else \
                    {"host": "127.0.0.1", "port": self.link.port, "database": f"{self.system}_{name}"}
                more += f", engine: {self.name}, store: {json.dumps(store)}"
                more += f", instances: {self.instances}" if self.instances > 1 else ""
            text = text.replace(f"program: {name}", f"program: {program}{more}")
        if self.kind and self.name != "mongodb":
            server = {"engine": self.name, "host": "127.0.0.1", "port": self.link.port,
                      "user": self.server["user"], "password": self.server["password"]}
            text += f"\nservers:\n  main: {json.dumps(server)}\n"
        path = self.folder / "freehold.yaml"
        path.write_text(text)
        path.chmod(0o600)
        return path

    def call(self, service, method, path):
        """As an operator; what books.py needs of a system."""
        done = self.command("call", service, method, path, "--json", seconds=90)
        return types.SimpleNamespace(**json.loads(done.stdout))


class Orders(Load):
    pause_s = 0.3

    async def client_until_over(self):
        """An order that is not answered in time is a finding; so is any answer other than 202."""
        await self.client()


async def under_faults(world, seed, seconds, begin):
    """`begin()` starts the faults and returns what ends them. Returns (what was placed, what is wrong)."""
    async with Shop(f"http://127.0.0.1:{world.port}", AT_ONCE * 3, patience_s=PATIENCE_S, issuer=Issuer()) as shop:
        load = Orders(world, shop, seed)
        await load.prepare(AT_ONCE)
        end = await begin()
        wrong = []
        try:
            async with asyncio.timeout(seconds + PATIENCE_S * 2), asyncio.TaskGroup() as group:
                for _ in range(AT_ONCE):
                    group.create_task(load.client_until_over())
                await asyncio.sleep(seconds)
                load.over = True
                await end()
        except* (AssertionError, TimeoutError, OSError) as error:
            wrong += [f"{one!r}" for one in error.exceptions]
        load.over = True
        await end()
        why, retried = await asyncio.to_thread(world.at_rest)
        wrong += [f"not at rest: {line}" for line in why]
        try:
            (await load.read()).check(load)
        except AssertionError as error:
            wrong.append(f"the books: {str(error)[:2000]}")
        return load, retried, wrong
