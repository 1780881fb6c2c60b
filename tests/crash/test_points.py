# SPDX-License-Identifier: Apache-2.0
"""Killed at every named point, before and after each durable step: the books balance all the same.

The points are the CRASH_POINTs of the sources; one that is new, and that no service named in PLACES passes under this
load, fails. The shop runs from a build that has them (ninja crash-programs). FREEHOLD_SEED repeats what chance draws."""

import asyncio
import collections
import os
import pathlib
import random
import re
import shutil
import signal
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "tests" / "crash"), str(ROOT / "tests" / "scenario"), str(ROOT / "examples" / "shop")]
from books import Load  # noqa: E402
from client import Shop  # noqa: E402
from conftest import FREEHOLD, System, build_crash_programs, wait_for  # noqa: E402
from issuer import Issuer  # noqa: E402

SEED = int(os.environ.get("FREEHOLD_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 31)
CLIENTS = 6
ORDERS_BEHIND_MIN = 3  # acknowledged after the kill
FIRED_S_MAX = 120
ORDER = "crash"  # the file, in the service's own folder
OWN_MIGRATIONS = 9000  # the number of the first one that is not the shop's

# Which service dies at the points of a kind: one that passes them under this load. The longest name that fits counts.
# At points that are passed when a service starts it dies twice in a row, and `up` waits longer each time before it
# restarts one that does not get ready: so these are spread.
PLACES = {
    "checkpoint": "orders", "closed": "orders", "closing": "inventory", "command": "payments",
    "command.undone": "inventory", "cursor": "orders", "drop": "orders", "edit": "orders", "expiry.durable": "payments",
    "expiry.recorded": "products", "fence": "orders", "forget": "orders", "group": "orders", "log.copied": "shipping",
    "log.found": "search", "log.renamed": "products", "migration": "users", "migration.durable": "notifications",
    "migration.recorded": "shipping", "outbox": "users", "park": "orders", "refusal": "payments", "retry": "orders",
    "saga": "orders", "start": "orders", "store.opened": "search", "store.provisioned": "notifications",
    "subscriber": "users", "sweep": "carts", "trim": "users", "work": "inventory",
}
AT_START = ("expiry", "log", "migration", "mongodb.recovered", "store", "sweep")  # passed when a service starts
ONCE = AT_START + ("checkpoint", "closed", "closing", "forget", "trim")  # too rare to wait for the third time
POISONED = ("drop", "edit", "fence", "park", "retry")  # passed only where handlers of events fail
# Of engines that this shop does not have: tested where it has them.
ELSEWHERE = ("handing.", "lease.", "mongodb.", "postgresql.", "redis.", "round.", "steps.",
             "timer.",  # test_timers.py kills there
             "relay.",  # test_points_buses.py kills there
             "closing.reported", "restored.",  # test_restored.py kills there
             "rotate.", "rekey.",  # and test_rotation.py
             "rebuild.", "exchange.", "beside.",  # and test_rebuild*_killed.py
             "replay.",  # and test_replay_killed.py
             "derived.", "carrier.", "kept.",  # and test_derived.py and test_carried.py
             "alike.",  # and scenario test_search_owners.py
             "series.", "columns.",  # and test_series.py
             "audit.", "hold.",  # and test_audit_log.py and test_backup.py
             "trial.")  # and test_trials.py

KEPT = "retention: { events_kept_s: 1, sagas_kept_s: 1 }"  # so that much is trimmed meanwhile

# Orders can't process a name "Poison ..." while it has no user called "Cured".
POISON = """CREATE TRIGGER poison BEFORE UPDATE OF user_name ON user_names
WHEN NEW.user_name LIKE 'Poison %' AND NOT EXISTS (SELECT 1 FROM user_names WHERE user_name = 'Cured')
BEGIN SELECT RAISE(ABORT, 'that name can not be borne'); END;
"""


def names_in_the_sources():
    found = collections.Counter()
    for path in sorted((ROOT / "src").rglob("*.c")):
        if path.name in ("abandon.c", "adopt.c", "move.c", "relocate.c", "take_over.c", "backup.c", "moment.c",
                         "restore.c"):
            continue  # test_abandon.py, test_adopt.py, test_move*.py, test_boundary.py and test_backup.py kill there
        found.update(re.findall(r'\bCRASH_POINT\("([^"]*)"\)', path.read_text(encoding="utf-8")))
    return found


NAMES = names_in_the_sources()
POINTS = sorted(name for name in NAMES if not name.startswith(ELSEWHERE))


class Points:
    """The shop with crash points in it, and what was requested of it so far."""

    def __init__(self, folder):
        build_crash_programs()
        programs = pathlib.Path(FREEHOLD).parent / "tests" / "crash"
        file = self.shop_file(folder, programs)
        self.source = file.parent
        (self.source / "orders" / "migrations" / f"{OWN_MIGRATIONS:04}_poison.sql").write_text(POISON)
        os.environ["FREEHOLD_CRASH"] = ORDER  # of `up`, and so of its services
        self.random, self.migrations, self.renamed = random.Random(SEED), OWN_MIGRATIONS, 0
        self.system = self.system_of(file, folder).up()
        self.orders = self.system.services()["orders"]["address"]  # kept through every restart
        self.load = Load(self.system, None, SEED, timeouts=False)
        asyncio.run(self.with_shop(lambda: self.load.prepare(CLIENTS)))

    def system_of(self, file, folder):
        return System(file, folder / "state")

    def end(self):
        del os.environ["FREEHOLD_CRASH"]
        self.system.stop(check=False)

    def shop_file(self, folder, programs):
        """A copy of the shop that runs these programs."""
        shutil.copytree(ROOT / "examples" / "shop", folder / "shop")
        file = folder / "shop" / "freehold.yaml"
        file.write_text(re.sub(r"program: (\w+)", rf"{KEPT}, program: {programs}/\1", file.read_text()))
        return file

    async def with_shop(self, what):
        async with Shop(f"http://127.0.0.1:{self.system.port}", CLIENTS * 2, patience_s=120, issuer=Issuer()) as shop:
            self.load.shop = shop
            return await what()

    def order(self, service):
        return pathlib.Path(self.system.state) / service / ORDER

    def arm(self, point, service):
        times = 1 if point.startswith(ONCE) else self.random.randint(1, 3)
        draft = self.order(service).with_suffix(".draft")
        draft.write_text(f"{point}:{times}")
        draft.chmod(0o644)  # the service may be another user
        draft.rename(self.order(service))
        if point.startswith("migration"):
            self.migrations += 1
            path = self.source / service / "migrations" / f"{self.migrations:04}_more.sql"
            path.write_text(f"CREATE TABLE more_{self.migrations} (id INTEGER PRIMARY KEY);\n")
            # The trial before it is in a folder of its own, and does not see the order.
            self.system.command("upgrade", service, "--state", self.system.state)
        elif point.startswith(AT_START):
            os.kill(self.system.pid(service), signal.SIGKILL)

    async def renamer(self):
        """What makes events that others subscribe to."""
        while not self.load.over:
            await self.rename(self.load.random.choice(self.load.users[2:]), f"Name {self.renamed}")
            await asyncio.sleep(0.02)

    async def rename(self, user, name):
        self.renamed += 1
        answer = await self.load.shop.request("PATCH", f"/api/users/{user}", {"name": name},
                                              key=f"name-{self.renamed}", user=user)
        assert answer.status == 200, answer.body

    async def operator(self, method, path, body=None):
        """An operator's request to orders."""
        async with Shop(f"http://{self.orders}", 1, patience_s=120) as orders:
            answer = await orders.request(method, path, body, key="again", headers=[
                ("Freehold-Token", self.system.token("operator", "orders"))])
        assert answer.status in (200, 404, 409), answer.body  # 409: tried meanwhile, by a new process
        return answer.json()

    async def parked(self):
        return (await self.operator("GET", "/_freehold/parked"))["keys"]

    async def poisoner(self):
        """Again and again orders can't process one user's name, with another event after it; operators retry in vain,
        and then drop it, give it another name, or fix the cause and retry."""
        patient, doctor = self.load.users[:2]
        which = {"source": "users", "key": str(patient)}
        while not self.load.over:
            await self.rename(doctor, "Away")
            while not self.load.over and not await self.parked():  # at first nobody ordered for that user
                await self.rename(patient, f"Poison {self.renamed}")
                await asyncio.sleep(0.1)
            await self.rename(patient, f"Poison {self.renamed}")
            await self.operator("POST", "/_freehold/parked/retry", which)
            choice = self.random.random()
            if choice < 0.3:
                await self.operator("POST", "/_freehold/parked/drop", which)
            elif choice < 0.7:
                await self.operator("POST", "/_freehold/parked/edit",
                                    {**which, "data": {"id": patient, "name": f"Mended {self.renamed}"}})
            await self.rename(doctor, "Cured")
            while not self.load.over and await self.parked():
                await self.operator("POST", "/_freehold/parked/retry", {})

    async def cure(self):
        """Whatever waits is applied, in its order, and nothing waits any more."""
        patient, doctor = self.load.users[:2]
        await self.rename(doctor, "Cured")
        await self.rename(patient, f"Poison {self.renamed}, the last")
        await self.load.at_rest()
        for _ in range(10):  # one request has its limit
            await self.operator("POST", "/_freehold/parked/retry", {})
            if not await self.parked():
                break
        assert await self.parked() == []
        named = await self.load.shop.request("GET", f"/api/orders?user_id={patient}&limit=1", user=patient)
        assert [order["user_name"] for order in named.json()] == [f"Poison {self.renamed - 1}, the last"]

    async def killer(self, point, service):
        load = self.load
        try:
            before = await asyncio.to_thread(self.system.pid, service)
            await asyncio.to_thread(self.arm, point, service)
            await asyncio.to_thread(wait_for, f"{service} passes {point}",
                                    lambda: not self.order(service).exists(), FIRED_S_MAX)
            await asyncio.to_thread(
                wait_for, f"{service} is back",
                lambda: (one := self.system.services()[service])["ready"] and one["pid"] != before)
            wanted = len(load.orders) + ORDERS_BEHIND_MIN
            await asyncio.to_thread(wait_for, "it goes on", lambda: len(load.orders) >= wanted)
        finally:
            load.over = True
            self.order(service).unlink(missing_ok=True)

    async def kill_at(self, point, service):
        self.load.over = False
        poisoned = point.startswith(POISONED)
        async with asyncio.TaskGroup() as group:
            group.create_task(self.killer(point, service))
            group.create_task(self.renamer())
            if poisoned:
                group.create_task(self.poisoner())
            for _ in range(CLIENTS):
                group.create_task(self.load.client())
        if poisoned:
            await self.cure()
        await self.load.at_rest()
        return await self.load.read()


@pytest.fixture(scope="module")
def points(tmp_path_factory):
    print(f"FREEHOLD_SEED={SEED}")
    running = Points(tmp_path_factory.mktemp("points"))
    yield running
    running.end()


def test_every_point_has_a_name_of_its_own():
    assert POINTS, "the sources have crash points"
    assert [name for name, count in NAMES.items() if count > 1] == []
    assert [name for name in NAMES if not re.fullmatch(r"[a-z_]+\.[a-z_]+", name)] == []


@pytest.mark.parametrize("point", POINTS)
def test_killed_there_the_books_balance(points, point):
    kind = point if point in PLACES else point.split(".")[0]
    assert kind in PLACES, f"{point} is new: name in PLACES who passes it"
    try:
        books = asyncio.run(points.with_shop(lambda: points.kill_at(point, PLACES[kind])))
    except BaseException:
        print(points.system.logs())
        raise
    books.check(points.load)
