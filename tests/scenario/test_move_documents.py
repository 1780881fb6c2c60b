# SPDX-License-Identifier: Apache-2.0
"""A document store moves to a server that speaks MongoDB's protocol, and back; all others go on as if nothing had
happened."""

import json
import pathlib
import re
import shutil

import pytest

from conftest import open_folder, wait_for
from servers import Ferret
from test_identity import shop_with

PRODUCTS = 250  # more than one slice of the move


@pytest.fixture(scope="module")
def shop():
    if not Ferret.program():
        pytest.skip("NO FERRETDB TO MOVE TO: " + Ferret.install)
    folder = open_folder()
    system = shop_with(folder).up()
    for i in range(PRODUCTS):
        product = {"id": f"p{i:03}", "name": f"Lämp {i}", "price": 100 + i, "stock": 50}
        assert system.http("POST", "/api/products", product, {"Idempotency-Key": product["id"]}).status == 201
        if i < 5:
            assert system.http("PATCH", f"/api/products/p{i:03}", {"name": f"Lamp {i}"},
                               {"Idempotency-Key": f"rename-{i}"}).status == 200
    assert system.http("POST", "/api/users", {"name": "Ann", "email": "ann@x.example"},
                       {"Idempotency-Key": "ann"}).status == 201
    yield system
    system.stop(check=False)
    shutil.rmtree(folder)


def set_engine(system, engine):
    path = pathlib.Path(system.file)
    lines = []
    for line in path.read_text().splitlines():
        if line.startswith("  products: "):
            line = "  products: " + json.dumps({**json.loads(line.split(": ", 1)[1]), "engine": engine})
        lines.append(line)
    path.write_text("\n".join(lines) + "\n")


def move(system):
    system.stop()
    refused = system.command("up", system.file, "--detach", "--state", system.state, "--listen",
                             f"127.0.0.1:{system.port}", check=False)
    assert refused.returncode != 0 and "products has its data in" in refused.stderr
    system.command("move", system.file, "products", "--detach", "--state", system.state, "--listen",
                   f"127.0.0.1:{system.port}")


def order(system, key):
    answer = system.http("POST", "/api/orders", {"user_id": 1, "payment_token": "tok_visa",
                                                 "items": [{"product_id": "p001", "quantity": 1}]},
                         {"Idempotency-Key": key, "Prefer": "wait=20"})
    assert answer.status in (200, 201, 202), answer
    wait_for("it is confirmed",
             lambda: system.http("GET", f"/api/orders/{answer.body['id']}").body["status"] == "CONFIRMED")


def products(system):
    ids = [f"p{i:03}" for i in range(PRODUCTS)]
    found = []
    for at in range(0, PRODUCTS, 50):
        found += system.http("GET", "/api/products?ids=" + ",".join(ids[at:at + 50])).body
    return sorted(found, key=lambda one: one["id"])


def is_known(system):
    """A command done before is: its answer again, and nothing twice."""
    again = system.http("POST", "/api/products", {"id": "p007", "name": "Lämp 7", "price": 107, "stock": 50},
                        {"Idempotency-Key": "p007"})
    return again.status == 201 and again.body["id"] == "p007"


def test_a_document_store_moves_to_a_server_and_back(shop):
    order(shop, "first")
    wait_for("it rests", shop.at_rest)
    before, position = products(shop), shop.state_of("products")["position"]
    assert len(before) == PRODUCTS and position >= 5

    set_engine(shop, "mongodb")
    move(shop)
    log = (pathlib.Path(shop.state) / "products" / "log").read_text()
    assert re.search(r"moved from sqlite to mongodb: \d+ tables, \d+ rows, all read again and compared", log), log
    assert products(shop) == before and is_known(shop)
    assert shop.state_of("products")["position"] == position
    order(shop, "second")
    renamed = shop.http("PATCH", "/api/products/p001", {"name": "Lantern"}, {"Idempotency-Key": "lantern"})
    assert renamed.status == 200, renamed
    wait_for("it rests", shop.at_rest)
    before, position = products(shop), shop.state_of("products")["position"]

    set_engine(shop, "sqlite")
    move(shop)
    assert products(shop) == before and is_known(shop)
    assert shop.state_of("products")["position"] == position
    order(shop, "third")
    wait_for("it rests", shop.at_rest)
