# SPDX-License-Identifier: Apache-2.0
"""Carts through the gateway: kept, checked out, emptied of exactly what was ordered, and gone when they expire."""

import concurrent.futures
import contextlib
import itertools
import os
import pathlib
import re
import shutil
import signal
import sqlite3
import tempfile
import uuid

import pytest

from conftest import AUTH, SHOP_FILE, System, wait_for, with_programs
from test_shop import ended, new_product, new_user, order_body, stock

NUMBERS = itertools.count(1_000_000)  # users that nobody has created: a cart accepts any


@pytest.fixture(scope="module")
def shop(start):
    return start(SHOP_FILE)


def put(shop, user, product, quantity, **more):
    answer = shop.http("PUT", f"/api/carts/{user}/items/{product}", {"quantity": quantity}, **more)
    assert answer.status == 200, answer
    return items_of(answer.body)


def items_of(cart):
    return {item["product_id"]: item["quantity"] for item in cart["items"]}


def cart(shop, user):
    answer = shop.http("GET", f"/api/carts/{user}")
    assert answer.status == 200 and answer.body["user_id"] == user, answer
    return items_of(answer.body)


def check_out(shop, user, token="tok_visa", **more):
    return shop.http("POST", f"/api/carts/{user}/checkout", {"payment_token": token}, **more)


def sagas_end(shop):
    wait_for("every saga ends", shop.at_rest)


# ---- Keeping ---------------------------------------------------------------------------------------


def test_a_cart_holds_what_was_put_into_it(shop):
    user = next(NUMBERS)
    assert cart(shop, user) == {}
    assert put(shop, user, "mug", 2) == {"mug": 2}
    assert put(shop, user, "lamp", 1) == {"lamp": 1, "mug": 2}
    assert put(shop, user, "mug", 5) == {"lamp": 1, "mug": 5}  # not 7: it sets the number
    assert cart(shop, user) == {"lamp": 1, "mug": 5}
    path = f"/api/carts/{user}/items/mug"
    assert [shop.http("DELETE", path).status for _ in range(2)] == [204, 404]
    assert cart(shop, user) == {"lamp": 1}
    assert shop.http("DELETE", f"/api/carts/{user}/items/lamp").status == 204
    assert cart(shop, user) == {}


def test_products_may_have_any_name_and_carts_are_separate(shop):
    user, other = next(NUMBERS), next(NUMBERS)
    for name, text in (("%C3%A4%20%E4%B8%96", "ä 世"), ("a%2Fb", "a/b"), ("%27%3B--", "';--"), ("%25", "%")):
        assert put(shop, user, name, 1)[text] == 1
    assert len(cart(shop, user)) == 4 and cart(shop, other) == {}
    assert shop.http("PUT", f"/api/carts/{user}/items/{'x' * 201}", {"quantity": 1}).status == 404
    assert shop.http("GET", "/api/carts/0").status == 404


def test_a_quantity_is_a_whole_number_from_one_on(shop):
    user = next(NUMBERS)
    for wrong in (0, -1, 1.5, "2", None, 1_000_000_001):
        answer = shop.http("PUT", f"/api/carts/{user}/items/mug", {"quantity": wrong})
        assert answer.status == 422 and answer.body["errors"][0]["pointer"] == "/quantity", answer
    assert cart(shop, user) == {}


def test_a_cart_holds_as_many_products_as_an_order_takes(shop):
    user = next(NUMBERS)
    for i in range(100):
        put(shop, user, f"p{i}", 1)
    answer = shop.http("PUT", f"/api/carts/{user}/items/one-more", {"quantity": 1})
    assert answer.status == 409 and "at most 100" in answer.body["detail"]
    assert len(cart(shop, user)) == 100
    assert put(shop, user, "p7", 9)["p7"] == 9


def test_changes_that_come_at_once_are_all_there(shop):
    user = next(NUMBERS)
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda i: put(shop, user, f"p{i}", i + 1), range(64)))
    assert cart(shop, user) == {f"p{i}": i + 1 for i in range(64)}


def test_a_cart_survives_the_death_of_its_service(shop):
    user = next(NUMBERS)
    put(shop, user, "mug", 3)
    before = shop.pid("carts")
    os.kill(before, signal.SIGKILL)
    wait_for("carts is back", lambda: (one := shop.services()["carts"])["ready"] and one["pid"] != before)
    assert cart(shop, user) == {"mug": 3}


# ---- Checking out ------------------------------------------------------------------------------------


def test_a_checked_out_cart_becomes_an_order_and_is_emptied(shop):
    user, lamp, mug = new_user(shop), new_product(shop, 10), new_product(shop, 5, price=10000)
    put(shop, user, lamp, 3)
    put(shop, user, mug, 1)
    answer = check_out(shop, user)
    assert answer.status == 202 and answer.body["status"] == "PENDING", answer
    assert answer.headers["location"] == f"/api/orders/{answer.body['id']}"
    order = ended(shop, answer.body["id"])
    assert (order["status"], order["total"]) == ("CONFIRMED", 3 * 2999 + 10000)
    assert {item["product_id"]: item["quantity"] for item in order["items"]} == {lamp: 3, mug: 1}
    assert (stock(shop, lamp), stock(shop, mug)) == (7, 4)
    sagas_end(shop)
    assert cart(shop, user) == {}
    assert check_out(shop, user).status == 409  # empty


def test_a_repeated_check_out_is_the_same_order(shop):
    user, lamp = new_user(shop), new_product(shop, 10)
    put(shop, user, lamp, 2)
    headers = {"Idempotency-Key": uuid.uuid4().hex}
    first = check_out(shop, user, headers=headers)
    ended(shop, first.body["id"])
    sagas_end(shop)
    again = check_out(shop, user, headers=headers)  # of a cart that is empty by now
    assert (again.status, again.body["id"]) == (202, first.body["id"])
    assert stock(shop, lamp) == 8


def test_a_cart_is_one_order_however_often_it_is_checked_out(shop):
    user, lamp = new_user(shop), new_product(shop, 20)
    put(shop, user, lamp, 2)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: check_out(shop, user), range(8)))
    placed = [answer.body["id"] for answer in answers if answer.status == 202]
    assert [answer.status for answer in answers].count(409) == 7 and len(placed) == 1, answers
    assert ended(shop, placed[0])["status"] == "CONFIRMED"
    sagas_end(shop)
    assert cart(shop, user) == {} and stock(shop, lamp) == 18
    put(shop, user, lamp, 1)  # what comes after it is another order
    assert ended(shop, check_out(shop, user).body["id"])["status"] == "CONFIRMED"
    assert len(shop.http("GET", f"/api/orders?user_id={user}").body) == 2


def test_no_other_order_is_made_of_a_cart_while_one_is_under_way(shop):
    user, lamp = new_user(shop), new_product(shop, 10)
    put(shop, user, lamp, 2)
    with shop.held_still("payments"):  # the order can't go on
        order = check_out(shop, user).body["id"]
        answer = check_out(shop, user)
        assert answer.status == 409 and f"Order {order} " in answer.body["detail"], answer
    assert ended(shop, order)["status"] == "CONFIRMED"


def test_what_is_put_in_meanwhile_stays(shop):
    user, lamp, mug = new_user(shop), new_product(shop, 10), new_product(shop, 10)
    put(shop, user, lamp, 2)
    with shop.held_still("payments"):  # the order can't continue
        order = check_out(shop, user).body["id"]
        put(shop, user, mug, 1)
        put(shop, user, lamp, 5)
        assert cart(shop, user) == {lamp: 5, mug: 1}
    assert ended(shop, order)["status"] == "CONFIRMED"
    sagas_end(shop)
    assert cart(shop, user) == {lamp: 3, mug: 1}


def test_an_order_that_is_cancelled_leaves_the_cart_as_it_is(shop):
    user, lamp = new_user(shop), new_product(shop, 10)
    put(shop, user, lamp, 2)
    assert ended(shop, check_out(shop, user, "tok_declined").body["id"])["status"] == "CANCELLED"
    sagas_end(shop)
    assert cart(shop, user) == {lamp: 2} and stock(shop, lamp) == 10
    assert ended(shop, check_out(shop, user).body["id"])["status"] == "CONFIRMED"
    sagas_end(shop)
    assert cart(shop, user) == {}


def test_an_order_placed_by_itself_leaves_the_cart_alone(shop):
    user, lamp = new_user(shop), new_product(shop, 10)
    put(shop, user, lamp, 2)
    answer = shop.http("POST", "/api/orders", order_body(user, (lamp, 1)))
    assert ended(shop, answer.body["id"])["status"] == "CONFIRMED"
    sagas_end(shop)
    assert cart(shop, user) == {lamp: 2}


def test_what_can_not_be_ordered_is_reported(shop):
    user, lamp = new_user(shop), new_product(shop, 10)
    assert check_out(shop, next(NUMBERS)).status == 409  # an empty cart
    put(shop, user, lamp, 1)
    put(shop, user, "gone", 1)
    answer = check_out(shop, user)
    assert answer.status == 409 and "gone" in answer.body["detail"]
    assert cart(shop, user) == {lamp: 1, "gone": 1}
    nobody = next(NUMBERS)
    put(shop, nobody, lamp, 1)
    assert check_out(shop, nobody).status == 422
    assert shop.http("POST", f"/api/carts/{user}/checkout", {}).status == 422


def test_emptying_is_for_services_and_done_once(shop):
    user = next(NUMBERS)
    put(shop, user, "mug", 5)
    put(shop, user, "lamp", 1)
    path, ordered = f"/api/carts/{user}/remove", {"items": [{"product_id": "mug", "quantity": 2},
                                                            {"product_id": "lamp", "quantity": 4},
                                                            {"product_id": "none", "quantity": 1}]}
    assert shop.http("POST", path, ordered).status == 404  # unknown at the gateway
    key = uuid.uuid4().hex
    assert [shop.call("carts", "POST", path, ordered, key).status for _ in range(3)] == [204, 204, 204]
    assert cart(shop, user) == {"mug": 3}


# ---- Expiring ----------------------------------------------------------------------------------------


def rows(system, sql):
    """Of a copy of the store as it is on disk now; None: it was changed while it was copied."""
    with tempfile.TemporaryDirectory() as copies, \
            contextlib.suppress(FileNotFoundError, sqlite3.DatabaseError):
        for name in ("store.db", "store.db-wal"):
            shutil.copy(pathlib.Path(system.state) / "carts" / name, copies)
        with contextlib.closing(sqlite3.connect(f"{copies}/store.db")) as store:
            return store.execute(sql).fetchall()
    return None


def test_a_cart_expires_and_is_swept(tmp_path):
    """With the shortest time there is; how long it took is not checked."""
    file = tmp_path / "carts.yaml"
    carts = re.search(r"^  carts: \{ program: carts", SHOP_FILE.read_text(), re.MULTILINE).group()
    file.write_text(with_programs(f"system: shop\ngateway:\n{AUTH}services:\n{carts}, settings: {{ kept_s: 1 }} }}\n"))
    system = System(file, tmp_path / "s").up()
    try:
        put(system, 1, "mug", 1)
        wait_for("the cart expires", lambda: cart(system, 1) == {})
        assert put(system, 1, "lamp", 1) == {"lamp": 1}  # starts over
        wait_for("the cart expires again", lambda: cart(system, 1) == {})
        os.kill(system.pid("carts"), signal.SIGKILL)  # a start sweeps
        wait_for("nothing is kept of it", lambda: rows(
            system, "SELECT (SELECT count(*) FROM kv_key) + (SELECT count(*) FROM kv_field)"
                    " + (SELECT count(*) FROM kv_gone)") == [(0,)])
    finally:
        system.stop(check=False)
