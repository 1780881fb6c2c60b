# SPDX-License-Identifier: Apache-2.0
"""A boundary moves: the stock and the commands on it, out of products into inventory, with sagas between a step and its
undo (docs/guide/boundaries.md), and killed at every step of it.

The shop as it was before runs first, is killed with orders half done, and comes up again as the shop of today."""

import contextlib
import os
import pathlib
import re
import shutil
import signal
import sqlite3
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests" / "scenario"))
from conftest import FREEHOLD, System, build_crash_programs, living, open_folder, wait_for, with_programs  # noqa: E402
from test_shop_undo import Step  # noqa: E402

POINTS = re.findall(r'CRASH_POINT\("([^"]*)"\)', (ROOT / "src" / "service" / "take_over.c").read_text(encoding="utf-8"))
PROGRAMS = pathlib.Path(FREEHOLD).parent / "tests" / "crash"
PRODUCTS = 130  # more than a page
STOCK = 50


def as_it_was(text):
    """The system file before there was an inventory."""
    text = re.sub(r"^ +inventory: \{.*\n", "", text, flags=re.M)
    text = re.sub(rf"{PROGRAMS}/(products|orders)\b", rf"{PROGRAMS}/before_\1", text)
    assert text.count("before_") == 2 and "inventory" not in text
    return text


def place(shop, user, product, quantity, token):
    answer = shop.http("POST", "/api/orders", {"user_id": user, "payment_token": token, "items": [
        {"product_id": product, "quantity": quantity}]})
    assert answer.status == 202, answer
    return answer.body["id"]


def ended(shop, user, order):
    def look():
        answer = shop.http("GET", f"/api/orders/{order}", user=user)
        return answer.body if answer.status == 200 and answer.body["status"] != "PENDING" else None
    return wait_for(f"order {order} ends", look)


def left(shop, product):
    answer = shop.http("GET", f"/api/products/{product}/stock")
    return answer.body["quantity"] if answer.status == 200 else None


def orders_store(state):
    return contextlib.closing(sqlite3.connect(pathlib.Path(state) / "orders" / "store.db", timeout=120))


def all_closed(state):
    with orders_store(state) as store:
        return store.execute("SELECT count(*) FROM fh_saga WHERE closed = 0").fetchone() == (0,)


@pytest.fixture(scope="module")
def before(tmp_path_factory):
    """The state of a shop that was killed: one order is over and closed, two have reserved and not been charged."""
    build_crash_programs()
    source = tmp_path_factory.mktemp("boundary") / "shop"
    shutil.copytree(ROOT / "examples" / "shop", source, ignore=shutil.ignore_patterns("*.c"))
    after = source / "freehold.yaml"
    after.write_text(with_programs(after.read_text(), PROGRAMS))
    then = source / "before.yaml"
    then.write_text(as_it_was(after.read_text()))
    folder = open_folder()
    shop = System(then, folder / "state").up()
    try:
        user = shop.http("POST", "/api/users", {"name": "Ada", "email": "a@example.org", "address": "1 Quay"}).body["id"]
        for i in range(PRODUCTS):
            made = shop.http("POST", "/api/products", {"id": f"p{i:03}", "name": f"P {i}", "price": 100 + i, "stock": STOCK})
            assert made.status == 201, made
        orders = {"over": place(shop, user, "p000", 1, "tok_visa")}
        assert ended(shop, user, orders["over"])["status"] == "CONFIRMED"
        wait_for("its saga is closed", lambda: all_closed(shop.state))
        up = int(pathlib.Path(shop.state, "up.lock").read_text())
        pids = {name: one["pid"] for name, one in shop.services().items()}
        os.kill(up, signal.SIGSTOP)  # it would replace what is suspended
        os.kill(pids["payments"], signal.SIGSTOP)
        orders["paid"] = place(shop, user, "p001", 2, "tok_visa")
        orders["declined"] = place(shop, user, "p002", 3, "tok_declined")
        wait_for("both have reserved", lambda: (left(shop, "p001"), left(shop, "p002")) == (STOCK - 2, STOCK - 3))
        for pid in (up, *pids.values()):
            os.kill(pid, signal.SIGKILL)
        wait_for("no process writes to what is copied", lambda: not living(shop.state))
    except BaseException:
        print(shop.logs())
        raise
    yield folder / "state", after, user, orders
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def shop(before):
    state, file, _, _ = before
    folder = open_folder()
    shutil.copytree(state, folder / "state", ignore=shutil.ignore_patterns("*.sock"))
    system = System(file, folder / "state")
    os.environ["FREEHOLD_CRASH"] = "crash"
    yield system
    del os.environ["FREEHOLD_CRASH"]
    system.stop(check=False)
    shutil.rmtree(folder)


def test_every_step_of_taking_over_has_a_point():
    assert len(POINTS) == len(set(POINTS)) == 5


# Schedule 12.
@pytest.mark.parametrize("point", ["", *POINTS])
def test_what_was_reserved_before_is_kept_or_undone_after(shop, before, point):
    _, _, user, orders = before
    order = pathlib.Path(shop.state) / "inventory" / "crash"
    if point:
        order.parent.mkdir(mode=0o700)
        order.write_text(point)
    try:
        shop.up()
        assert not order.exists(), f"inventory passes {point}"
        check(shop, user, orders)
    except BaseException:
        print(shop.logs())
        raise


def check(shop, user, orders):
    assert ended(shop, user, orders["paid"])["status"] == "CONFIRMED"
    declined = ended(shop, user, orders["declined"])
    assert declined["status"] == "CANCELLED" and declined["reason"].startswith("charge: ")
    assert ended(shop, user, place(shop, user, "p003", 4, "tok_visa"))["status"] == "CONFIRMED"
    wait_for("all comes to rest", shop.at_rest)
    sold = {"p000": 1, "p001": 2, "p003": 4}
    names = [f"p{i:03}" for i in range(PRODUCTS)]
    stock = shop.call("inventory", "GET", "/api/stock?limit=1000").body
    assert {one["id"]: one["quantity"] for one in stock} == {name: STOCK - sold.get(name, 0) for name in names}
    shown = shop.http("GET", "/api/products?limit=1000").body
    assert {one["id"]: one["stock"] for one in shown} == {name: STOCK - sold.get(name, 0) for name in names}
    wait_for("every saga is closed, those that began before too", lambda: all_closed(shop.state))
    late(shop, "p000", 1, "closed")


def late(shop, product, quantity, outcome):
    """A message of a saga that was over before: the boundary has moved, and what is closed stays closed."""
    step = Step(shop, "inventory", f"/api/products/{product}/reserve?quantity={quantity}",
                f"/api/products/{product}/release?quantity={quantity}")
    with orders_store(shop.state) as store:
        birth, number = store.execute("SELECT birth, number FROM fh_saga ORDER BY number LIMIT 1").fetchone()
    step.key = f"orders/{birth}.{number}/reserve/0"
    stock = left(shop, product)
    assert [step.do().outcome for _ in range(2)] == [outcome] * 2
    assert left(shop, product) == stock
