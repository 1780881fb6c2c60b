# SPDX-License-Identifier: Apache-2.0
"""Who may do what in the shop, through its gateway and by the tokens of examples/shop/login: everybody looks around and
registers, users see and change what is theirs, staff set prices and stock."""

import json
import subprocess

import pytest

from conftest import EVERY_BUS, SHOP_FILE, Logins, named, wait_for
from test_shop import details_of, ended, new_product, new_user, order_body, place

LOGIN = SHOP_FILE.parent / "login"


@pytest.fixture(scope="module", params=("embedded", *EVERY_BUS))
def shop(request, start):
    system = start(SHOP_FILE, named(request.param))
    yield system
    system.stop(check=False)


@pytest.fixture(scope="module")
def bought(shop):
    """(user, another user, product, a confirmed order of the first)"""
    ada, eve, lamp = new_user(shop), new_user(shop, "Eve"), new_product(shop)
    order = ended(shop, place(shop, ada, (lamp, 2)))
    assert order["status"] == "CONFIRMED"
    wait_for("the history has it", lambda: shop.http("GET", f"/api/users/{ada}/orders/history").body)
    return ada, eve, lamp, order


def owned(ada, order):
    """(method, path, body) of all that is Ada's."""
    name = {"name": "Ada L."}
    return [("GET", f"/api/users/{ada}", None), ("PATCH", f"/api/users/{ada}", name),
            ("GET", f"/api/users/{ada}/orders/history", None), ("GET", f"/api/users/{ada}/orders", None),
            ("GET", f"/api/orders/{order['id']}", None), ("GET", f"/api/orders/{order['id']}/details", None),
            ("GET", f"/api/orders?user_id={ada}", None), ("GET", f"/api/payments/{order['payment_id']}", None),
            ("GET", f"/api/shipments/{order['shipment_id']}", None), ("GET", f"/api/orders/{order['id']}/shipment", None),
            ("GET", f"/api/carts/{ada}", None), ("PUT", f"/api/carts/{ada}/items/x", {"quantity": 1}),
            ("DELETE", f"/api/carts/{ada}/items/x", None)]


def test_what_is_anothers_is_answered_as_if_it_were_not_there(shop, bought):
    ada, eve, _, order = bought
    none = {**order, "id": 999_999, "payment_id": "none", "shipment_id": 999_999}
    for (method, path, body), (_, empty, _) in zip(owned(ada, order), owned(999_999, none)):
        assert shop.http(method, path, body, user=ada).status in (200, 204), path
        for roles in ((), ("staff",)):
            others = shop.http(method, path, body, user=eve, roles=roles)
            missing = shop.http(method, empty, body, user=eve, roles=roles)
            assert others.status == missing.status == 404, (path, others, missing)
            assert others.body["type"] == "urn:freehold:problem:data-missing"
            assert others.body == missing.body, path
        nobody = shop.http(method, path, body, nobody=True)
        assert nobody.status == 401 and nobody.body["type"] == "urn:freehold:problem:user-missing", (path, nobody)
    kept = shop.http("GET", f"/api/users/{ada}", user=ada).body
    assert kept["name"] == "Ada L."


def test_nobody_orders_or_fills_a_cart_for_another(shop, bought):
    ada, eve, lamp, _ = bought
    before = len(shop.http("GET", f"/api/orders?user_id={ada}", user=ada).body)
    assert shop.http("PUT", f"/api/carts/{ada}/items/{lamp}", {"quantity": 1}, user=ada).status == 200
    paid = {"payment_token": "tok_visa"}
    for method, path, body in (("POST", "/api/orders", order_body(ada, (lamp, 1))),
                               ("POST", f"/api/carts/{ada}/checkout", paid),
                               ("PUT", f"/api/carts/{ada}/items/{lamp}", {"quantity": 9}),
                               ("DELETE", f"/api/users/{ada}", None)):
        assert shop.http(method, path, body, user=eve).status == 404, path
        assert shop.http(method, path, body, nobody=True).status == 401, path
    assert len(shop.http("GET", f"/api/orders?user_id={ada}", user=ada).body) == before
    assert shop.http("GET", f"/api/carts/{ada}", user=ada).body["items"] == [{"product_id": lamp, "quantity": 1}]


def test_prices_and_stock_are_for_staff(shop, bought):
    ada, _, lamp, _ = bought
    changes = (("POST", "/api/products", {"name": "Fake", "price": 1}), ("PATCH", f"/api/products/{lamp}", {"price": 1}),
               ("DELETE", f"/api/products/{lamp}", None), ("PUT", f"/api/products/{lamp}/stock", {"quantity": 1000}))
    before = shop.http("GET", f"/api/products/{lamp}", nobody=True).body
    for method, path, body in changes:
        refused = shop.http(method, path, body, user=ada, roles=("customer", "stafff"))
        assert refused.status == 403 and refused.body["type"] == "urn:freehold:problem:user-not-granted", (path, refused)
        assert shop.http(method, path, body, nobody=True).status == 401, path
    assert shop.http("GET", f"/api/products/{lamp}", nobody=True).body == before
    assert shop.http("GET", f"/api/users?ids={ada}", user=ada).status == 403
    assert shop.http("PATCH", f"/api/products/{lamp}", {"price": 5}, user="clerk", roles=("staff",)).body["price"] == 5
    assert shop.http("PUT", f"/api/products/{lamp}/stock", {"quantity": 7}, user="clerk", roles=("staff",)).status == 200
    assert [one["id"] for one in shop.http("GET", f"/api/users?ids={ada}", user="clerk", roles=("staff",)).body] == [ada]


def test_everybody_looks_around_and_registers(shop, bought):
    lamp = bought[2]
    for path in (f"/api/products/{lamp}", "/api/products?limit=3", f"/api/products/{lamp}/stock", "/api/search?q=lamp"):
        assert shop.http("GET", path, nobody=True).status == 200, path
    new = {"name": "New", "email": "new@example.org"}
    assert shop.http("POST", "/api/users", new, nobody=True).status == 201


def test_details_are_composed_for_their_user(shop, bought):
    ada, _, _, order = bought
    details = details_of(shop, order)
    assert (details["user"]["id"], details["payment"]["user_id"], details["shipment"]["user_id"]) == (ada,) * 3


def login(*words):
    return subprocess.run([LOGIN, *map(str, words)], capture_output=True, text=True, timeout=60, check=False)


def test_the_command_logs_in_as_a_user_and_as_staff(shop, bought):
    ada, eve, lamp, order = bought
    path = f"/api/orders/{order['id']}"
    for who, status in ((ada, 200), (eve, 404)):
        token = login(who).stdout.strip()
        assert shop.http("GET", path, headers={"Authorization": f"Bearer {token}"}).status == status
    staff = login("clerk", "--staff").stdout.strip()
    changed = shop.http("PATCH", f"/api/products/{lamp}", {"price": 6}, {"Authorization": f"Bearer {staff}"})
    assert changed.status == 200 and changed.body["price"] == 6


@pytest.mark.parametrize("words, expected", [
    ((), "expected either a USER, such as 7, or --keys"), (("7", "--keys"), "expected either"),
    (("--keys", "--staff"), "expected either"), (("",), "expected the id of a user"), (("7\n8",), "expected the id of a user"),
    (("7" * 256,), "1 to 255 bytes"), (("7", "8"), "unrecognized arguments: 8")])
def test_the_command_says_what_it_expects(words, expected):
    done = login(*words)
    assert done.returncode == 2 and expected in done.stderr and not done.stdout, done


def test_the_keys_are_made_once_and_the_private_one_is_closed(tmp_path):
    folder = tmp_path / "keys"
    assert login("--keys", "--folder", folder).returncode == 0
    files = {path.name: path.read_text() for path in folder.iterdir()}
    assert set(files) == {"key.json", "keys.json"} and (folder / "key.json").stat().st_mode & 0o777 == 0o600
    private, [public] = json.loads(files["key.json"]), json.loads(files["keys.json"])["keys"]
    assert "d" not in public and {**private, "d": None} == {**public, "d": None}
    assert login("--keys", "--folder", folder).returncode == 0
    assert {path.name: path.read_text() for path in folder.iterdir()} == files
    (folder / "key.json").write_text("{}")
    done = login("7", "--folder", folder)
    assert done.returncode == 1 and "is not a private key that was made here: remove" in done.stderr


def test_a_token_of_other_keys_is_refused(shop, bought, tmp_path):
    ada, _, _, order = bought
    token = login(ada, "--folder", tmp_path / "other").stdout.strip()
    refused = shop.http("GET", f"/api/orders/{order['id']}", headers={"Authorization": f"Bearer {token}"})
    assert refused.status == 401 and refused.body["type"] == "urn:freehold:problem:credentials-refused"
    assert Logins.issuer.token(ada) != token
