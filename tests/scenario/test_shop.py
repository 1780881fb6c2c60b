# SPDX-License-Identifier: Apache-2.0
"""The shop through its gateway: what a customer sees when all is well, and when it is not."""

import concurrent.futures
import contextlib
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import urllib.parse
import uuid

import pytest

from conftest import EVERY_BUS, PROFILES, ROOT, SHOP_SERVICES, named, wait_for

SHOP = ROOT / "examples" / "shop"


@pytest.fixture(scope="module", params=(*PROFILES, *(EVERY_BUS or ("nats",))))
def shop(request, start):
    """By RabbitMQ and Kafka a part of it is run by test_bus_*.py (shop_part.py), and all of it by `make test-buses`."""
    system = start(SHOP / "freehold.yaml", named(request.param))
    if request.param in EVERY_BUS:
        by_the_bus(system)
    yield system
    system.stop(check=False)  # the next one need not share the machine with it


def by_the_bus(shop):
    """Nobody waits for a broker that starts; here events come by it from the beginning on."""
    wait_for("events come by the bus", lambda: all(
        shop.services()[name]["ready"] and all(bus["connected"] for bus in shop.state_of(name)["buses"])
        for name in ("users", "products", "inventory", "search", "orders", "notifications", "views", "reports")), 300)


def new_user(shop, name="Ada"):
    answer = shop.http("POST", "/api/users", {"name": name, "email": f"{name}@example.org",
                                              "address": "1 Example Street"})
    assert answer.status == 201, answer
    return answer.body["id"]


def new_product(shop, stock=10, price=2999, **more):
    answer = shop.http("POST", "/api/products", {"name": "Lamp", "price": price, **more})
    assert answer.status == 201, answer
    product = answer.body["id"]
    assert shop.http("PUT", f"/api/products/{product}/stock", {"quantity": stock}).status == 200
    return product


def stock(shop, product):
    return shop.http("GET", f"/api/products/{product}/stock").body["quantity"]


def order_body(user, *items, token="tok_visa"):
    return {"user_id": user, "payment_token": token,
            "items": [{"product_id": product, "quantity": quantity} for product, quantity in items]}


def place(shop, user, *items, token="tok_visa"):
    answer = shop.http("POST", "/api/orders", order_body(user, *items, token=token))
    assert answer.status == 202, answer
    assert answer.body["status"] == "PENDING"
    return answer.body["id"]


def ended(shop, order):
    """The order, once it is no longer pending."""
    def look():
        answer = shop.http("GET", f"/api/orders/{order}")
        return answer.body if answer.status == 200 and answer.body["status"] != "PENDING" else None
    return wait_for(f"order {order} ends", look)


def details_of(shop, order):
    """With all their parts: one that is late is missing."""
    return wait_for("details are whole", lambda: (
        answer := shop.http("GET", f"/api/orders/{order['id']}/details")).status == 200 and
        not answer.body.get("missing") and answer.body)


def payments_of(shop, order):
    found, after = [], ""
    while True:
        page = shop.call("payments", "GET", f"/api/payments?limit=1000{after}").body
        found += [payment for payment in page if payment["order_id"] == order]
        if len(page) < 1000:
            return found
        after = "&after=" + page[-1]["id"]


def shipment_of(shop, order):
    answer = shop.http("GET", f"/api/orders/{order}/shipment")
    return answer.body if answer.status == 200 else answer.status


# ---- When all is well ------------------------------------------------------------------------

def test_an_order_is_confirmed_paid_and_counted(shop):
    user, lamp, table = new_user(shop), new_product(shop, 10), new_product(shop, 5, price=10000)
    answer = shop.http("POST", "/api/orders", order_body(user, (lamp, 3), (table, 1)))
    assert answer.status == 202
    assert answer.headers["location"] == f"/api/orders/{answer.body['id']}"
    order = ended(shop, answer.body["id"])
    assert order["status"] == "CONFIRMED"
    assert order["total"] == 3 * 2999 + 10000
    assert order["user_name"] == "Ada"
    assert [(i["product_id"], i["product_name"], i["quantity"], i["price"]) for i in order["items"]] == [
        (lamp, "Lamp", 3, 2999), (table, "Lamp", 1, 10000)]
    assert (stock(shop, lamp), stock(shop, table)) == (7, 4)
    payment = shop.http("GET", f"/api/payments/{order['payment_id']}").body
    assert (payment["amount"], payment["status"], payment["order_id"]) == (18997, "CHARGED", order["id"])
    shipment = shop.http("GET", f"/api/shipments/{order['shipment_id']}").body
    assert (shipment["status"], shipment["order_id"], shipment["user_id"]) == ("SENT", order["id"], user)
    assert shipment["address"] == order["address"] == "1 Example Street"
    assert shipment_of(shop, order["id"]) == shipment
    wait_for("the user's order is counted",
             lambda: shop.http("GET", f"/api/users/{user}").body["order_count"] == 1)
    assert [one["id"] for one in shop.http("GET", f"/api/orders?user_id={user}").body] == [order["id"]]


def test_a_client_can_wait_for_the_end_of_its_order(shop):
    user, lamp = new_user(shop), new_product(shop)
    answer = shop.http("POST", "/api/orders", order_body(user, (lamp, 1)), {"Prefer": "wait=50"})
    assert answer.status == 200, answer
    order = shop.http("GET", f"/api/orders/{answer.body['id']}").body
    assert order["status"] == "CONFIRMED"


def test_a_saga_is_found_by_the_name_that_its_start_was_answered_with(shop):
    user, lamp = new_user(shop), new_product(shop)
    headers = {"Idempotency-Key": uuid.uuid4().hex, "Content-Type": "application/json",
               "Freehold-Token": shop.token("gateway", "orders"), "Freehold-User": shop.statement(user)}
    answers = []
    for _ in range(2):  # the same name, before and after its number
        connection = http.client.HTTPConnection(shop.services()["orders"]["address"], timeout=120)
        connection.request("POST", "/api/orders", json.dumps(order_body(user, (lamp, 1))), headers)
        answers.append(connection.getresponse().getheader("Freehold-Saga"))
        connection.close()
    name = answers[0]
    assert answers == [name, name] and name
    shown = json.loads(shop.command("saga", "show", "orders", name, "--json", "--state", shop.state).stdout)
    birth, number = shown["id"].split(".")
    assert name.startswith(birth + ".") and int(number) > 0
    assert name == shown["id"] or name.startswith(birth + ".~")
    # By its number alone, and when it is over; with what it began with.
    wait_for("it is over", lambda: json.loads(shop.command("saga", "show", "orders", number, "--json", "--state",
                                                           shop.state).stdout)["status"] == "ended")
    text = shop.command("saga", "show", "orders", number, "--state", shop.state).stdout
    assert f"{shown['id']} is ended." in text and "\nbegun     20" in text and "\nended     20" in text, text
    assert "\ninput     {" in text, text
    assert f"\ntrace     {shown['trace']}" in text and re.search(r"\ncharge .* done .* 201  POST /api/payments", text), text


def saga_answer(shop, *words):
    return json.loads(shop.command("saga", *words, "--json", "--state", shop.state).stdout)


def test_sagas_that_are_over_are_listed_and_found_by_what_they_began_with(shop):
    user, lamp = new_user(shop), new_product(shop, 10)
    orders = [place(shop, user, (lamp, 1)) for _ in range(2)]
    refused = place(shop, user, (lamp, 1), token="tok_declined")
    for order in (*orders, refused):
        ended(shop, order)
        wait_for("its saga is over", lambda: saga_answer(shop, "list", "orders", "--ended", "--with",
                                                         f"id={order}")["sagas"])
    every = saga_answer(shop, "list", "orders", "--ended")["sagas"]
    assert len(every) >= 3
    numbers = [int(one["id"].split(".")[1]) for one in every]
    assert numbers == sorted(numbers, reverse=True)
    assert all(0 < one["begun_ms"] <= one["ended_ms"] for one in every), every
    (mine,) = saga_answer(shop, "list", "orders", "--ended", "--with", f"id={refused}")["sagas"]
    assert mine["status"] == "undone" and "tok_declined" not in json.dumps(mine)
    # By the same in `show`: the times of steps are in their order, and what was undone says when.
    found = saga_answer(shop, "show", "orders", f"id={refused}")
    assert found["id"] == mine["id"]
    reserve, charge = found["steps"][:2]
    assert found["begun_ms"] - 1 <= reserve["begun_ms"] <= reserve["settled_ms"] <= reserve["undone_ms"], found
    assert reserve["settled_ms"] <= charge["begun_ms"] <= charge["settled_ms"] <= charge["undone_ms"], found
    assert charge["undone_ms"] <= reserve["undone_ms"] <= found["ended_ms"], found
    text = shop.command("saga", "list", "orders", "--ended", "--with", f"id={orders[0]}", "--state", shop.state).stdout
    assert re.search(r"orders +place_order +ended +20\S+Z +[\d.]+ m?s ", text), text
    # What is marked is not found by its value, and what nobody has is not found.
    assert saga_answer(shop, "list", "orders", "--ended", "--with", "token=tok_declined")["sagas"] == []
    missing = shop.command("saga", "show", "orders", "id=0", "--state", shop.state, check=False)
    assert missing.returncode == 1 and "has id=0 in its input" in " ".join(missing.stderr.split()), missing
    for words in (["show", "orders", "1", "--ended"], ["list", "--ended", "--status", "parked"],
                  ["list", "--with", "id"]):
        assert shop.command("saga", *words, "--state", shop.state, check=False).returncode == 2, words


def test_the_same_product_twice_in_one_order_is_reserved_twice(shop):
    user, lamp = new_user(shop), new_product(shop, 10)
    assert ended(shop, place(shop, user, (lamp, 2), (lamp, 3)))["status"] == "CONFIRMED"
    assert stock(shop, lamp) == 5


def test_many_can_be_queried_in_one_call(shop):
    users = [new_user(shop, name) for name in ("Ada", "Grace", "Edsger")]
    found = shop.http("GET", "/api/users?ids=" + ",".join(map(str, users))).body
    assert [(one["id"], one["name"]) for one in found] == list(zip(users, ("Ada", "Grace", "Edsger")))
    category = "c-" + uuid.uuid4().hex
    products = [new_product(shop, category=category) for _ in range(5)]
    found = shop.http("GET", "/api/products?ids=" + ",".join(products[:2])).body
    assert {one["id"] for one in found} == set(products[:2])
    first = shop.http("GET", f"/api/products?category={category}&limit=3").body
    rest = shop.http("GET", f"/api/products?category={category}&limit=3&after={first[-1]['id']}").body
    assert (len(first), len(rest)) == (3, 2)
    assert sorted(one["id"] for one in first + rest) == sorted(products)


def test_a_product_has_what_attributes_its_seller_gives_it(shop):
    product = new_product(shop, colour="green", sizes=[{"w": 1}])
    answer = shop.http("PATCH", f"/api/products/{product}", {"colour": None, "price": 5, "year": 1970})
    assert answer.status == 200
    found = shop.http("GET", f"/api/products/{product}").body
    assert "colour" not in found and (found["price"], found["year"]) == (5, 1970)
    assert found["sizes"] == [{"w": 1}]
    for name in ("stock", "low_stock", "id", "sizes.0", "$inc"):
        refused = shop.http("PATCH", f"/api/products/{product}", {name: 1000000})
        assert refused.status == 422 and refused.body["errors"][0]["pointer"] == f"/{name}"
    heard = {"stock", "low_stock"}  # these come by themselves

    def is_shown():
        now = shop.http("GET", f"/api/products/{product}").body
        return now["stock"] == 10 and all(now.get(name) == found.get(name) for name in (now | found).keys() - heard)

    wait_for("the stock is shown", is_shown)


def test_internal_routes_are_not_there_for_the_public(shop):
    product, user = new_product(shop), new_user(shop)
    for method, path in (("POST", f"/api/products/{product}/reserve?quantity=1"),
                         ("POST", f"/api/products/{product}/release?quantity=1"),
                         ("POST", "/api/payments"), ("POST", "/api/payments/refund"),
                         ("POST", "/api/shipments"), ("POST", "/api/shipments/cancel"), ("GET", "/api/shipments"),
                         ("GET", "/api/payments"), ("POST", f"/api/users/{user}/orders/increment"),
                         ("GET", "/_freehold/state"), ("GET", "/_freehold/feed")):
        assert shop.http(method, path).status == 404, path
    assert stock(shop, product) == 10


# ---- When it is not --------------------------------------------------------------------------

def test_a_declined_card_cancels_and_gives_the_stock_back(shop):
    user, lamp = new_user(shop), new_product(shop, 10)
    order = ended(shop, place(shop, user, (lamp, 4), token="tok_declined"))
    assert order["status"] == "CANCELLED"
    assert order["reason"].startswith("charge: ") and "declined" in order["reason"]
    assert stock(shop, lamp) == 10
    assert payments_of(shop, order["id"]) == []
    assert shop.http("GET", f"/api/users/{user}").body["order_count"] == 0


def test_too_little_stock_cancels_and_gives_back_what_was_reserved(shop):
    user, lamp, table = new_user(shop), new_product(shop, 10), new_product(shop, 1)
    order = ended(shop, place(shop, user, (lamp, 4), (table, 2)))
    assert order["status"] == "CANCELLED" and order["reason"].startswith("reserve: ")
    assert table in order["reason"]
    assert (stock(shop, lamp), stock(shop, table)) == (10, 1)
    assert payments_of(shop, order["id"]) == []


def test_what_can_not_be_sent_is_paid_back_and_goes_back_to_the_shelf(shop):
    user, lamp = new_user(shop), new_product(shop, 10)
    body = {**order_body(user, (lamp, 4)), "address": "5 Coral Row, ATLANTIS"}
    order = ended(shop, shop.http("POST", "/api/orders", body).body["id"])
    assert order["status"] == "CANCELLED"
    assert order["reason"] == "ship: Nothing can be sent to Atlantis."
    assert [(one["status"], one["amount"]) for one in payments_of(shop, order["id"])] == [("REFUNDED", 4 * 2999)]
    assert (stock(shop, lamp), shipment_of(shop, order["id"])) == (10, 404)
    assert shop.http("GET", f"/api/users/{user}").body["order_count"] == 0
    details = details_of(shop, order)
    assert details["payment"] is details["shipment"] is None


def test_an_order_may_name_another_address_than_the_users(shop):
    user, lamp = new_user(shop), new_product(shop, 10)
    for address in ("2 Quay Street", ""):  # without one it is collected at the shop
        body = {**order_body(user, (lamp, 1)), "address": address}
        order = ended(shop, shop.http("POST", "/api/orders", body).body["id"])
        assert (order["status"], order["address"]) == ("CONFIRMED", address)
        assert shipment_of(shop, order["id"])["address"] == address
    refused = shop.http("POST", "/api/orders", {**order_body(user, (lamp, 1)), "address": "x" * 1001})
    assert refused.status == 422 and refused.body["errors"][0]["pointer"] == "/address"


def test_an_operator_can_cancel_a_shipment(shop):
    user, lamp = new_user(shop), new_product(shop, 10)
    order = ended(shop, place(shop, user, (lamp, 1)))
    path = f"/api/shipments/{order['shipment_id']}"
    assert shop.http("DELETE", path).status == 404
    assert [shop.call("shipping", "DELETE", path).status for _ in range(2)] == [204, 204]
    assert shipment_of(shop, order["id"])["status"] == "CANCELLED"
    assert shop.call("shipping", "DELETE", "/api/shipments/99999999").status == 404


def test_the_last_piece_is_sold_once(shop):
    user, lamp = new_user(shop), new_product(shop, 3)
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        orders = list(pool.map(lambda _: place(shop, user, (lamp, 1)), range(16)))
    ends = [ended(shop, order)["status"] for order in orders]
    assert (ends.count("CONFIRMED"), ends.count("CANCELLED")) == (3, 13)
    assert stock(shop, lamp) == 0


def test_a_product_that_was_deleted_meanwhile_cancels(shop):
    user, lamp, table = new_user(shop), new_product(shop, 5), new_product(shop, 5)
    assert shop.http("DELETE", f"/api/products/{table}").status == 204
    answer = shop.http("POST", "/api/orders", order_body(user, (lamp, 1), (table, 1)))
    assert answer.status == 422
    assert answer.body["errors"][0]["pointer"] == "/items/1/product_id"
    path = f"/api/products/{table}/reserve?quantity=1"
    wait_for("the inventory has heard of it", lambda: shop.call("inventory", "POST", path).status == 409)
    assert shop.http("GET", f"/api/products/{table}/stock").status == 404
    assert shop.http("PUT", f"/api/products/{table}/stock", {"quantity": 7}).status == 404
    assert stock(shop, lamp) == 5


def test_a_product_that_is_created_again_has_its_new_stock(shop):
    product = new_product(shop, 5, id="anew-" + uuid.uuid4().hex)
    assert shop.http("DELETE", f"/api/products/{product}").status == 204
    assert shop.http("POST", "/api/products", {"id": product, "name": "Lamp", "price": 1, "stock": 7}).status == 201
    path = f"/api/products/{product}/reserve?quantity=7"
    wait_for("the inventory has heard of both", lambda: shop.call("inventory", "POST", path).status == 200)
    wait_for("the product shows it", lambda: shop.http("GET", f"/api/products/{product}").body["stock"] == 0)


# ---- What others publish -----------------------------------------------------------------------


def test_a_stock_can_be_read_set_and_ordered_at_once_after_its_product_was_made(shop):
    user = new_user(shop)
    for first, then in ((4, 9), (None, 9)):
        body = {"name": "Lamp", "price": 1, **({"stock": first} if first else {})}
        product = shop.http("POST", "/api/products", body).body["id"]
        assert stock(shop, product) == (first or 0)
        assert shop.http("PUT", f"/api/products/{product}/stock", {"quantity": then}).body == {"quantity": then}
        assert stock(shop, product) == then
    product = shop.http("POST", "/api/products", {"name": "Lamp", "price": 1, "stock": 3}).body["id"]
    assert ended(shop, place(shop, user, (product, 2)))["status"] == "CONFIRMED"
    assert stock(shop, product) == 1


def test_products_are_found_by_all_of_their_words(shop):
    mark = "w" + uuid.uuid4().hex
    made = [new_product(shop, name=f"{mark} {name}", category=category, id=f"{mark}-{i}", description=text)
            for i, (name, category, text) in enumerate([
                ("Bright lamp", "light", "100% glass"), ("Desk LAMP, black", "light", "tall"), ("Table", "Wood", "5_legs")])]

    def search(words, **more):
        # A server that has just been started may not be asked yet.
        answer = wait_for("it can be asked", lambda: (a := shop.http(
            "GET", "/api/search?" + urllib.parse.urlencode({"q": words, "sort": "id", **more}))).status != 503 and a)
        assert answer.status == 200, answer
        return answer.body

    def found(words, **more):
        return [one["id"] for one in search(words, **more)["hits"]]

    wait_for("all are heard of", lambda: found(mark) == made)
    assert found(f"{mark} lamp") == found(f"lamp LIGHT {mark[:9]}") == made[:2]
    assert found(f"{mark}, black!") == made[1:2] and found(f"{mark} amp") == [] and found(f'"black {mark}"') == []
    assert found(f"{mark} legs") == found(f"{mark} wood") == made[2:] and found(f"{mark} 100%") == made[:1]
    page = search(mark, limit=2)
    assert [one["id"] for one in page["hits"]] == made[:2] and page["total"] == 3
    assert found(mark, limit=2, after=page["next"]) == made[2:]
    assert page["categories"] == [{"value": "light", "count": 2}, {"value": "Wood", "count": 1}]
    assert found(mark, category="Wood") == made[2:] and "<mark>glass</mark>" in search("glass")["hits"][0]["highlight"]
    assert found(mark, sort="price") and shop.http("GET", f"/api/search?q={mark}&sort=colour").status == 400
    assert found("%_'--") == [] and search(" ", limit=1)["total"] >= 3
    assert shop.http("GET", "/api/search?q=" + "+".join(["a"] * 33)).status == 422
    assert shop.http("PATCH", f"/api/products/{made[0]}", {"name": f"{mark} Sofa"}).status == 200
    wait_for("the new name is found", lambda: found(f"{mark} sofa") == made[:1] and found(f"{mark} bright") == [])
    assert shop.http("DELETE", f"/api/products/{made[2]}").status == 204
    wait_for("what is gone is not found", lambda: found(mark) == made[:2])


def history(shop, user, **page):
    return shop.http("GET", f"/api/users/{user}/orders/history?" + urllib.parse.urlencode(page))


def test_a_users_history_has_each_confirmed_order_once_the_newest_first(shop):
    user, lamp = new_user(shop), new_product(shop, 20)
    orders = [ended(shop, place(shop, user, (lamp, 1 + i))) for i in range(4)]
    refused = ended(shop, place(shop, user, (lamp, 1), token="tok_declined"))
    assert [one["status"] for one in orders + [refused]] == ["CONFIRMED"] * 4 + ["CANCELLED"]
    bought = [{"order_id": one["id"], "total": one["total"], "created_at": one["created_at"]}
              for one in reversed(orders)]
    wait_for("the history has them", lambda: history(shop, user).body == bought)
    first = history(shop, user, limit=3).body
    assert first == bought[:3] and history(shop, user, limit=3, after=first[-1]["order_id"]).body == bought[3:]
    assert history(shop, user, after=bought[-1]["order_id"]).body == []


def test_a_wrong_query_for_a_history_is_refused_with_the_place(shop):
    user = new_user(shop)
    assert history(shop, user).body == []
    assert history(shop, 99999999).status == 404
    assert shop.http("GET", "/api/users/ada/orders/history").status == 404
    for wrong in ({"limit": 0}, {"limit": 101}, {"limit": "many"}, {"after": 0}, {"after": "x"}, {"before": 1}):
        answer = history(shop, user, **wrong)
        assert answer.status in (400, 422), answer
        assert answer.body["errors"][0]["parameter"] == next(iter(wrong)), answer


def test_a_product_shows_its_stock_and_whether_that_is_little(shop):
    user, lamp = new_user(shop), new_product(shop, 10)

    def shown(quantity, low):
        found = shop.http("GET", f"/api/products/{lamp}").body
        return (found["stock"], found.get("low_stock", False)) == (quantity, low)

    wait_for("all of it is shown", lambda: shown(10, False))
    ended(shop, place(shop, user, (lamp, 6)))
    wait_for("little is left", lambda: shown(4, True))
    assert shop.http("PUT", f"/api/products/{lamp}/stock", {"quantity": 5}).status == 200
    wait_for("there is more", lambda: shown(5, False))


@pytest.mark.parametrize("body, pointer", [
    ({"items": [{"product_id": "x", "quantity": 1}], "payment_token": "t"}, "/user_id"),
    ({"user_id": "1", "items": [{"product_id": "x", "quantity": 1}], "payment_token": "t"}, "/user_id"),
    ({"user_id": 1, "items": [], "payment_token": "t"}, "/items"),
    ({"user_id": 1, "items": [{"product_id": "x", "quantity": 0}], "payment_token": "t"},
     "/items/0/quantity"),
    ({"user_id": 1, "items": [{"product_id": "x", "quantity": 1, "price": 1}], "payment_token": "t"},
     "/items/0/price"),
    ({"user_id": 1, "items": [{"product_id": "x", "quantity": 1}]}, "/payment_token"),
])
def test_a_wrong_order_is_refused_with_the_place(shop, body, pointer):
    answer = shop.http("POST", "/api/orders", body)
    assert answer.status in (400, 422)
    assert answer.headers["content-type"] == "application/problem+json"
    assert pointer in [one["pointer"] for one in answer.body["errors"]]


def test_unknown_users_and_products_are_refused_with_the_place(shop):
    user, lamp = new_user(shop), new_product(shop)
    answer = shop.http("POST", "/api/orders", order_body(99999999, (lamp, 1)))
    assert answer.status == 422, answer
    assert answer.body["errors"][0]["pointer"] == "/user_id"
    answer = shop.http("POST", "/api/orders", order_body(user, (lamp, 1), ("no-such", 1)))
    assert answer.status == 422
    assert answer.body["errors"][0]["pointer"] == "/items/1/product_id"
    assert shop.http("GET", f"/api/orders?user_id={user}").body == []


def test_a_total_that_could_not_be_counted_exactly_is_refused(shop):
    user, dear = new_user(shop), new_product(shop, 10**12, price=10**10)
    answer = shop.http("POST", "/api/orders", order_body(user, (dear, 900_000), (dear, 1_000)))
    assert answer.status == 422 and answer.body["errors"][0]["pointer"] == "/items"
    assert ended(shop, place(shop, user, (dear, 900_000)))["total"] == 9 * 10**15


def test_things_that_are_not_there_are_404(shop):
    for path in ("/api/users/99999999", "/api/users/99999999/orders/history", "/api/products/no-such", "/api/products/no-such/stock",
                 "/api/payments/no-such", "/api/shipments/99999999", "/api/orders/99999999", "/api/orders/99999999/details",
                 "/api/nothing"):
        answer = shop.http("GET", path)
        assert answer.status == 404, path
        assert answer.body["status"] == 404


# ---- Commands have identity ------------------------------------------------------------------

def test_the_same_key_twice_is_one_order_and_the_same_answer(shop):
    user, lamp, key = new_user(shop), new_product(shop, 10), uuid.uuid4().hex
    body = order_body(user, (lamp, 2))
    first = shop.http("POST", "/api/orders", body, {"Idempotency-Key": key})
    second = shop.http("POST", "/api/orders", body, {"Idempotency-Key": key})
    assert (first.status, first.text) == (second.status, second.text) and first.status == 202
    ended(shop, first.body["id"])
    third = shop.http("POST", "/api/orders", body, {"Idempotency-Key": key})
    assert (third.status, third.text) == (202, first.text)
    assert len(shop.http("GET", f"/api/orders?user_id={user}").body) == 1
    assert stock(shop, lamp) == 8


def test_the_same_key_at_the_same_time_is_one_order(shop):
    user, lamp, key = new_user(shop), new_product(shop, 10), uuid.uuid4().hex
    body = order_body(user, (lamp, 1))
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: shop.http("POST", "/api/orders", body,
                                                    {"Idempotency-Key": key}), range(8)))
    assert {answer.status for answer in answers} == {202}
    assert len({answer.text for answer in answers}) == 1
    assert len(shop.http("GET", f"/api/orders?user_id={user}").body) == 1


def test_the_same_key_with_another_body_is_refused(shop):
    user, lamp, key = new_user(shop), new_product(shop, 10), uuid.uuid4().hex
    first = shop.http("POST", "/api/orders", order_body(user, (lamp, 1)), {"Idempotency-Key": key})
    other = shop.http("POST", "/api/orders", order_body(user, (lamp, 2)), {"Idempotency-Key": key})
    assert (first.status, other.status) == (202, 422)
    assert len(shop.http("GET", f"/api/orders?user_id={user}").body) == 1


def test_a_refusal_is_repeated_too(shop):
    key = uuid.uuid4().hex
    body = order_body(99999999, ("no-such", 1))
    answers = [shop.http("POST", "/api/orders", body, {"Idempotency-Key": key}) for _ in range(2)]
    assert [answer.status for answer in answers] == [422, 422]
    assert answers[0].text == answers[1].text


# ---- Others' data ----------------------------------------------------------------------------

def test_orders_show_the_new_names_of_users_and_products(shop):
    user, lamp = new_user(shop), new_product(shop)
    order = ended(shop, place(shop, user, (lamp, 1)))
    assert shop.http("PATCH", f"/api/users/{user}", {"name": "Countess Lovelace"}).status == 200
    assert shop.http("PATCH", f"/api/products/{lamp}", {"name": "Bright lamp"}).status == 200

    def renamed():
        found = shop.http("GET", f"/api/orders/{order['id']}").body
        return (found["user_name"], found["items"][0]["product_name"]) == (
            "Countess Lovelace", "Bright lamp")
    wait_for("the order shows the new names", renamed)


def test_a_user_who_is_gone_shows_as_deleted(shop):
    user, lamp = new_user(shop), new_product(shop)
    order = ended(shop, place(shop, user, (lamp, 1)))
    assert shop.http("DELETE", f"/api/users/{user}").status == 204
    assert shop.http("GET", f"/api/users/{user}").status == 404
    wait_for("the order shows that its user is gone", lambda: shop.http(
        "GET", f"/api/orders/{order['id']}").body["user_name"] == "user [deleted]")
    assert details_of(shop, order)["user"] is None


def test_a_user_deleted_while_the_order_runs_does_not_hold_it_up(shop):
    user, lamp = new_user(shop), new_product(shop)
    order = place(shop, user, (lamp, 1))
    assert shop.http("DELETE", f"/api/users/{user}").status == 204
    assert ended(shop, order)["status"] == "CONFIRMED"
    wait_for("all comes to rest", shop.at_rest)


def test_details_are_composed_of_five_services(shop):
    user, lamp, table = new_user(shop), new_product(shop), new_product(shop)
    order = ended(shop, place(shop, user, (lamp, 1), (table, 2)))
    details = details_of(shop, order)
    assert details["order"] == order
    assert details["user"]["email"] == "Ada@example.org"
    assert {one["id"] for one in details["products"]} == {lamp, table}
    assert details["payment"]["id"] == order["payment_id"]
    assert details["shipment"]["id"] == order["shipment_id"]


# ---- Payments that are answered too late -----------------------------------------------------

def test_a_payment_answered_too_late_never_leaves_a_charge_without_its_order(shop):
    user, lamp = new_user(shop), new_product(shop, 100)
    orders = [place(shop, user, (lamp, 1), token="tok_timeout") for _ in range(6)]
    seen = set()
    for order in orders:
        end, payments = ended(shop, order), payments_of(shop, order)
        charged = [one for one in payments if one["status"] == "CHARGED"]
        if end["status"] == "CONFIRMED":
            assert [one["id"] for one in payments] == [end["payment_id"]] and charged == payments
        else:
            assert charged == [] and end["reason"].startswith("charge: ")
        seen.add(end["status"])
    assert seen == {"CONFIRMED", "CANCELLED"}
    confirmed = sum(ended(shop, order)["status"] == "CONFIRMED" for order in orders)
    assert stock(shop, lamp) == 100 - confirmed


# ---- The tools -------------------------------------------------------------------------------

def test_other_peoples_files_come_in_once(shop, tmp_path):
    files = {"products": [{"id": 1, "title": "Lamp", "price": 19.99, "stock": 5, "category": "light",
                           "description": "d", "sku": "s", "tags": [], "rating": 4.5}],
             "users": [{"id": 7, "firstName": "Ada", "lastName": "Lovelace", "email": "a@example.org",
                        "address": {"address": "1 Street", "city": "London", "stateCode": "L",
                                    "postalCode": "1", "country": "UK"}}],
             "carts": [{"id": 3, "userId": 7, "products": [{"id": 1, "quantity": 2}]}]}
    for kind, records in files.items():
        (tmp_path / f"{kind}.json").write_text(json.dumps(records))
    arguments = [str(SHOP / "import"), "--gateway", f"http://127.0.0.1:{shop.port}",
                 *(str(tmp_path / f"{kind}.json") for kind in files)]
    for _ in range(2):
        done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "1 CONFIRMED" in done.stdout
    wait_for("the stock is shown", lambda: shop.http("GET", "/api/products/dummyjson-1").body["stock"] == 3)
    found = shop.http("GET", "/api/products/dummyjson-1").body
    assert (found["price"], found["rating"]) == (1999, "4.5")


# ---- One service away ------------------------------------------------------------------------

@contextlib.contextmanager
def held(shop, service):
    """Suspended; afterwards it is ready again."""
    with shop.held_still(service):
        yield
    wait_for(f"{service} is ready again", lambda: shop.services()[service]["ready"])


def reads(shop, user, lamp, order):
    return {"users": f"/api/users/{user}", "products": f"/api/products/{lamp}",
            "inventory": f"/api/products/{lamp}/stock", "search": "/api/search?q=lamp",
            "payments": f"/api/payments/{order['payment_id']}", "shipping": f"/api/shipments/{order['shipment_id']}",
            "orders": f"/api/orders/{order['id']}", "views": f"/api/users/{user}/orders",
            "reports": "/api/reports/sales_by_day"}


@pytest.mark.parametrize("away", SHOP_SERVICES)
def test_a_killed_service_leaves_the_others_answering_and_catches_up(shop, away):
    user, lamp = new_user(shop), new_product(shop, 50)
    order = ended(shop, place(shop, user, (lamp, 1)))
    wait_for("it can be searched", lambda: shop.http("GET", "/api/search?q=lamp").status == 200)
    pid = shop.pid(away)
    os.kill(pid, signal.SIGKILL)
    for service, path in reads(shop, user, lamp, order).items():
        if service != away:
            assert shop.http("GET", path).status == 200, service
    wait_for(f"{away} is started anew",
             lambda: (one := shop.services()[away])["ready"] and one["pid"] != pid)
    for path in reads(shop, user, lamp, order).values():
        assert shop.http("GET", path).status == 200
    assert ended(shop, place(shop, user, (lamp, 1)))["status"] == "CONFIRMED"
    wait_for("all comes to rest", shop.at_rest)


# Each costs the gateway's whole deadline. "servers" has orders on PostgreSQL, next to users on the same server.
@pytest.mark.parametrize("away", [pytest.param("orders", marks=pytest.mark.on("embedded", "servers")),
                                  *(pytest.param(name, marks=pytest.mark.on("embedded"))
                                    for name in ("users", "products", "payments"))])
def test_a_service_held_still_leaves_the_others_answering(shop, away):
    user, lamp = new_user(shop), new_product(shop, 50)
    order, key = ended(shop, place(shop, user, (lamp, 1))), {"Idempotency-Key": uuid.uuid4().hex}
    with held(shop, away):
        for service, path in reads(shop, user, lamp, order).items():
            if service != away:
                assert shop.http("GET", path).status == 200, service
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            read = pool.submit(shop.http, "GET", reads(shop, user, lamp, order)[away])
            placed = pool.submit(shop.http, "POST", "/api/orders", order_body(user, (lamp, 1)), key)
        refused = [read.result()] if away == "payments" else [read.result(), placed.result()]
        for answer in refused:
            assert answer.status == 503 and int(answer.headers["retry-after"]) > 0, answer
        assert away != "payments" or placed.result().status == 202
    for path in reads(shop, user, lamp, order).values():
        wait_for(f"{path} answers", lambda: shop.http("GET", path).status == 200)

    def taken():
        again = shop.http("POST", "/api/orders", order_body(user, (lamp, 1)), key)
        return again.body["id"] if again.status == 202 else None
    assert ended(shop, wait_for("the order is taken", taken))["status"] == "CONFIRMED"
    assert len(shop.http("GET", f"/api/orders?user_id={user}").body) == 2


def test_details_say_what_is_missing_while_payments_is_away(shop):
    user, lamp = new_user(shop), new_product(shop, 50)
    order = ended(shop, place(shop, user, (lamp, 1)))
    with held(shop, "payments"):
        answer = wait_for("all others are there", lambda: (
            found := shop.http("GET", f"/api/orders/{order['id']}/details")).status == 200 and
            found.body["missing"] == ["payment"] and found)
        assert answer.body["order"]["id"] == order["id"] and answer.body["user"]["id"] == user
    details_of(shop, order)


def test_orders_placed_while_payments_is_away_are_confirmed_when_it_is_back(shop):
    user, lamp = new_user(shop), new_product(shop, 50)
    with held(shop, "payments"):
        orders = [place(shop, user, (lamp, 1)) for _ in range(3)]
        for order in orders:
            assert shop.http("GET", f"/api/orders/{order}").body["status"] == "PENDING"
    for order in orders:
        assert ended(shop, order)["status"] == "CONFIRMED"
        assert len(payments_of(shop, order)) == 1
    assert stock(shop, lamp) == 47


def test_everything_is_still_there_after_stop_and_up(shop):
    user, lamp = new_user(shop), new_product(shop, 50)
    orders = [place(shop, user, (lamp, 1)) for _ in range(5)]
    assert shop.http("PATCH", f"/api/users/{user}", {"name": "Later"}).status == 200
    shop.stop()
    shop.up()
    for order in orders:
        assert ended(shop, order)["status"] == "CONFIRMED"
    wait_for("the new name is heard after the restart", lambda: shop.http(
        "GET", f"/api/orders/{orders[0]}").body["user_name"] == "Later")
    assert stock(shop, lamp) == 45
    wait_for("all comes to rest", shop.at_rest)
