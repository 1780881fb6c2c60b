# SPDX-License-Identifier: Apache-2.0
"""Undo by key at the shop's payments, shipping and inventory: late, early, doubled and out of order, sent as a saga's
initiator would (docs/guide/sagas.md, "On the wire")."""

import concurrent.futures
import http.client
import itertools
import json

import pytest

from conftest import EVERY_BUS, ROOT, Answer, named, wait_for

INITIATOR = "orders"  # which is granted these steps; its own sagas have small numbers
NUMBERS = itertools.count(1_000_000_000)


@pytest.fixture(scope="module", params=("embedded", "servers", *EVERY_BUS))
def shop(request, start):
    system = start(ROOT / "examples" / "shop" / "freehold.yaml", named(request.param))
    yield system
    system.stop(check=False)


class Step:
    """One step of a saga of orders: doing it, and undoing it, any number of times."""

    def __init__(self, shop, service, path, undo_path, body=None):
        self.born, self.life = (shop.state_of(name)["incarnation"] for name in (INITIATOR, service))
        self.token, self.address = shop.token(INITIATOR, service), shop.services()[service]["address"]
        self.path, self.undo_path, self.body = path, undo_path, body
        self.key = f"{INITIATOR}/{self.born}.{next(NUMBERS)}/step/0"

    def _send(self, path, header, attempt):
        headers = {"Freehold-From": f"{INITIATOR}/{self.born}", "Freehold-To": self.life,
                   header: self.key, "Freehold-Attempt": str(attempt),
                   "Freehold-Token": self.token}
        data = None
        if self.body is not None:
            data, headers["Content-Type"] = json.dumps(self.body), "application/json"
        connection = http.client.HTTPConnection(self.address, timeout=120)
        connection.request("POST", path, data, headers)
        answer = connection.getresponse()
        result = Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()},
                        answer.read().decode())
        connection.close()
        result.outcome = result.headers.get("freehold-outcome")
        return result

    def do(self, attempt=1):
        return self._send(self.path, "Idempotency-Key", attempt)

    def undo(self):
        return self._send(self.undo_path, "Freehold-Undo", 1)


def charge(shop, token="tok_visa", order_id=2):
    return Step(shop, "payments", "/api/payments", "/api/payments/refund",
                {"order_id": order_id, "user_id": 1, "amount": 500, "token": token})


def shipment(shop, address="2 Quay Street", order_id=2):
    return Step(shop, "shipping", "/api/shipments", "/api/shipments/cancel",
                {"order_id": order_id, "user_id": 1, "address": address})


def payment(shop, answer):
    return shop.http("GET", f"/api/payments/{answer.body['id']}", user=1).body


def test_a_refund_finds_its_charge_by_key_and_happens_once(shop):
    step = charge(shop)
    done = step.do()
    assert (done.status, done.outcome) == (201, "done")
    again = step.do()
    assert (again.outcome, again.body["id"]) == ("done", done.body["id"])
    assert [step.undo().outcome for _ in range(3)] == ["undone"] * 3
    assert payment(shop, done)["status"] == "REFUNDED"
    assert step.do().outcome == "undone"
    assert payment(shop, done)["status"] == "REFUNDED"


# Schedule 24.
def test_a_charge_that_arrives_after_its_refund_does_nothing(shop):
    step = charge(shop)
    before = len(shop.call("payments", "GET", "/api/payments?limit=1000").body)
    assert step.undo().outcome == "never"
    assert step.do().outcome == "never"
    assert step.undo().outcome == "never"
    assert len(shop.call("payments", "GET", "/api/payments?limit=1000").body) == before


# Schedule 24.
def test_a_charge_still_under_way_is_refunded_once_it_is_there(shop):
    step = charge(shop, token="tok_timeout", order_id=2)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        late = pool.submit(step.do)
        settled = wait_for("the undo is settled", lambda: (
            answer if (answer := step.undo()).outcome in ("undone", "never") else None))
        done = late.result()
    if settled.outcome == "undone":
        assert done.outcome == "done" and payment(shop, done)["status"] == "REFUNDED"
    else:
        assert done.outcome == "never"  # the refund came first: nothing was charged
    assert step.do().outcome == settled.outcome


def test_a_declined_charge_has_nothing_to_refund(shop):
    step = charge(shop, token="tok_declined")
    assert (step.do().outcome, step.do(attempt=1).status) == ("refused", 402)
    assert step.undo().outcome == "never"


def test_the_same_key_with_another_body_is_a_mismatch(shop):
    step = charge(shop)
    assert step.do().outcome == "done"
    step.body = {**step.body, "amount": 501}
    answer = step.do()
    assert (answer.status, answer.outcome) == (422, "mismatch")


def test_a_shipment_is_cancelled_once_by_its_key(shop):
    step = shipment(shop)
    done = step.do()
    assert (done.status, done.outcome, done.body["status"]) == (201, "done", "SENT")
    assert (again := step.do()).outcome == "done" and again.body["id"] == done.body["id"]
    assert [step.undo().outcome for _ in range(2)] == ["undone"] * 2
    assert shop.http("GET", f"/api/shipments/{done.body['id']}", user=1).body["status"] == "CANCELLED"
    assert step.do().outcome == "undone"


def test_a_shipment_that_comes_after_its_undo_is_not_sent(shop):
    step = shipment(shop)
    before = len(shop.call("shipping", "GET", "/api/shipments?limit=1000").body)
    assert (step.undo().outcome, step.do().outcome) == ("never", "never")
    refused = shipment(shop, address="Atlantis")
    assert ((answer := refused.do()).outcome, answer.status, refused.undo().outcome) == ("refused", 409, "never")
    assert len(shop.call("shipping", "GET", "/api/shipments?limit=1000").body) == before


def test_a_reservation_is_given_back_once(shop):
    shop.http("POST", "/api/products", {"id": "undone-lamp", "name": "Lamp", "price": 1, "stock": 10})
    step = Step(shop, "inventory", "/api/products/undone-lamp/reserve?quantity=3",
                "/api/products/undone-lamp/release?quantity=3")

    def left():
        return shop.http("GET", "/api/products/undone-lamp/stock").body["quantity"]

    done = wait_for("the inventory has heard of it", lambda: (
        answer if (answer := step.do()).outcome == "done" else None))
    assert (done.body, step.do().body, left()) == (True, True, 7)
    assert [step.undo().outcome for _ in range(2)] == ["undone"] * 2
    assert left() == 10
    assert step.do().outcome == "undone" and left() == 10


def test_a_reservation_of_a_product_that_is_gone_can_still_be_undone(shop):
    shop.http("POST", "/api/products", {"id": "gone-lamp", "name": "Lamp", "price": 1, "stock": 10})
    step = Step(shop, "inventory", "/api/products/gone-lamp/reserve?quantity=3",
                "/api/products/gone-lamp/release?quantity=3")
    wait_for("the inventory has heard of it", lambda: step.do().outcome == "done")
    assert shop.http("DELETE", "/api/products/gone-lamp").status == 204
    wait_for("the inventory has heard that it is gone", lambda: shop.call(
        "inventory", "POST", "/api/products/gone-lamp/reserve?quantity=1").status == 409)
    assert step.undo().outcome == "undone"
    assert shop.http("GET", "/api/products/gone-lamp/stock").status == 404


def test_what_the_products_do_not_have_can_not_be_reserved(shop):
    """The inventory does not know it, and queries: there is none."""
    step = Step(shop, "inventory", "/api/products/never-heard/reserve?quantity=3",
                "/api/products/never-heard/release?quantity=3")
    assert [(answer.status, answer.outcome) for answer in (step.do(), step.do())] == [(409, "refused")] * 2
    assert (step.undo().outcome, step.do().outcome) == ("never", "never")
