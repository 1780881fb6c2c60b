# SPDX-License-Identifier: Apache-2.0
"""Statements of who the user is, as services take them: the gateway's, and nobody else's. They are made here, with the
key of the running system."""

import json
import pathlib

import pytest
import conftest
from conftest import ROOT, text64
from test_identity import ask, ask_as

SHOP = ROOT / "examples" / "shop" / "freehold.yaml"
ADA = {"sub": "ada", "via": "jwt", "iat": 1763737200}
GRACE = {**ADA, "sub": "grace"}


@pytest.fixture(scope="module")
def shop(start):
    return start(SHOP)


def stated(shop, identity, seed=None, system="shop"):
    """docs/guide/identity.md: the header's value."""
    if seed is None:
        seed = json.loads((pathlib.Path(shop.state) / "keys.json").read_text())["keys"]["gateway"]["_user"]
    return conftest.stated(identity, seed, system)


def make_user(shop, key, statement=None):
    headers = {"Idempotency-Key": key, **({"Freehold-User": statement} if statement else {})}
    return ask_as(shop, "gateway", "users", "POST", "/api/users", headers,
                  {"name": "Ada", "email": f"{key}@example.com"})


def test_only_the_gateway_can_say_who_it_is(shop):
    good = stated(shop, ADA)
    changed = text64(json.dumps(GRACE, separators=(",", ":")).encode())
    wrong = [stated(shop, ADA, seed="00" * 32), stated(shop, ADA, system="another"),
             good[:-2] + ("AA" if good[-2:] != "AA" else "BA"),
             good.rpartition(".")[0], f"1.{changed}.{good.rpartition('.')[2]}", "ada", "",
             stated(shop, {**ADA, "admin": True}), stated(shop, {**ADA, "claims": {"x": "x" * 4000}})]
    for caller in ("gateway", "orders"):  # a service that was taken over can state nothing either
        assert ask_as(shop, caller, "users", "GET", "/api/users/1", {"Freehold-User": good}).status == 404
        for statement in wrong:
            answer = ask_as(shop, caller, "users", "GET", "/api/users/1", {"Freehold-User": statement})
            assert answer.status == 401, (statement, answer)
            assert answer.body["type"] == "urn:freehold:problem:user-unproven"
            assert answer.headers["freehold-refused"] == "user" and "freehold-outcome" not in answer.headers


def test_no_service_has_the_key_to_state_anything(shop):
    secret = json.loads((pathlib.Path(shop.state) / "keys.json").read_text())["keys"]["gateway"]["_user"]
    for part in pathlib.Path(shop.state).iterdir():
        texts = [file.read_text(errors="replace") for file in part.glob("*.json")] if part.is_dir() else []
        assert part.name == "gateway" or all(secret not in text for text in texts), part


def test_a_key_is_each_users_own(shop):
    """The same key, and not even the same body: nobody is told that there was one before."""
    ada, grace = stated(shop, ADA), stated(shop, GRACE)
    made = [make_user(shop, "first", who) for who in (ada, None, ada, None, stated(shop, {**ADA, "iat": 1763737201}))]
    assert all(one.status == 201 for one in made), made
    assert made[0].body == made[2].body == made[4].body  # the same user, however often they log in
    assert made[1].body == made[3].body and made[1].body["id"] != made[0].body["id"]  # and nobody's
    other = ask_as(shop, "gateway", "users", "POST", "/api/users",
                   {"Idempotency-Key": "first", "Freehold-User": grace}, {"name": "Grace", "email": "g@example.com"})
    assert other.status == 201 and other.body["id"] not in (made[0].body["id"], made[1].body["id"])


def test_the_gateway_takes_no_statement_from_outside(shop):
    plain = shop.http("GET", "/api/users/1")
    assert shop.http("GET", "/api/users/1", headers={"Freehold-User": "ada"}).status == plain.status == 200


def test_without_keys_a_request_is_refused_as_before(shop):
    assert ask(shop, "users", "GET", "/api/users/1", {"Freehold-User": stated(shop, ADA)}).status == 401
